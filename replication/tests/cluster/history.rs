//! What was true: every history, as the hash of its bytes at each place where a command ends.
//!
//! A data set is the hash of the bytes that made it, so that holding a prefix is one comparison,
//! and a snapshot is sixteen digits.

use std::collections::HashMap;

use eave_replication::{Position, ReplicationId};

/// The hash of an empty data set.
pub(crate) const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of a data set after further bytes.
pub(crate) fn fold(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

struct History {
    /// The history that this one continues.
    from: Option<Position>,
    /// Offsets and hashes, in order.
    states: Vec<(u64, u64)>,
}

/// Every history that ever was.
#[derive(Default)]
pub(crate) struct Histories(HashMap<ReplicationId, History>);

impl Histories {
    /// A history begins at a place, with this data.
    pub(crate) fn begin(&mut self, at: Position, from: Option<Position>, hash: u64) {
        let history = History { from, states: vec![(at.offset, hash)] };
        assert!(self.0.insert(at.id, history).is_none(), "an id twice");
    }

    /// A history has grown.
    pub(crate) fn grow(&mut self, at: Position, hash: u64) {
        let Some(history) = self.0.get_mut(&at.id) else { panic!("no history {}", at.id) };
        assert!(history.states.last().is_some_and(|(offset, _)| *offset < at.offset), "went back");
        history.states.push((at.offset, hash));
    }

    /// The data at a place; nothing if no command ends there.
    pub(crate) fn hash_at(&self, mut at: Position) -> Option<u64> {
        loop {
            let history = self.0.get(&at.id)?;
            match history.states.binary_search_by_key(&at.offset, |(offset, _)| *offset) {
                Ok(index) => return Some(history.states[index].1),
                Err(0) => at = Position { id: history.from?.id, offset: at.offset },
                Err(_) => return None,
            }
        }
    }

    /// Where a history ends.
    pub(crate) fn end(&self, id: ReplicationId) -> Option<u64> {
        self.0.get(&id)?.states.last().map(|(offset, _)| *offset)
    }

    /// Which history another continues, and from where.
    pub(crate) fn from(&self, id: ReplicationId) -> Option<Position> {
        self.0.get(&id)?.from
    }
}
