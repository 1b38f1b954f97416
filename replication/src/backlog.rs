//! The recent history of the log, from which followers are fed.
//!
//! Every effect that the leader logs is appended here and moves the running offset by its
//! length. The newest bytes stay readable from any offset, in chunks of equal size: at least
//! `size` bytes for followers that come back, more while an attached follower still needs
//! them, and never more than `limit`: beyond it the oldest chunk goes, and whoever needed it
//! has to copy everything again. So neither writers nor memory ever wait for a follower.
//!
//! While nobody ever followed, the backlog is inactive: the offset moves, nothing is kept.
//!
//! [`Backlog::append`] runs under the keyspace's shard locks: it is one comparison and one
//! copy, and once a chunk's length an allocation. Reads copy too: handing out shared chunks
//! would save the copy, but not the system call that dwarfs it.
//!
//! Left out on purpose: writing the log to disk (the append-only file is the server's), and
//! going back to the inactive mode (Redis' `repl-backlog-ttl`).

use std::collections::VecDeque;

use crate::id::{Position, ReplicationId};

/// Default of `repl-backlog-size` in bytes: Redis' own.
pub const DEFAULT_SIZE: u64 = 1024 * 1024;
/// Default hard limit in bytes: Redis' hard output limit for one replica, here shared by all.
pub const DEFAULT_LIMIT: u64 = 256 * 1024 * 1024;
/// Largest chunk in bytes: big enough that allocating one disappears among a thousand appends.
const CHUNK_MAX: u64 = 64 * 1024;
/// Smallest chunk in bytes: small enough for tests that wrap around often.
const CHUNK_MIN: u64 = 64;
/// Most chunks dropped at a time: each costs a `free`, and writers are waiting.
const TRIM_BATCH: usize = 8;

/// How much history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BacklogConfig {
    /// Bytes kept at least, once that many were written (`repl-backlog-size`).
    pub size: u64,
    /// Bytes kept at most while followers lag; raised to `size` and two chunks if it is less.
    pub limit: u64,
}

impl Default for BacklogConfig {
    fn default() -> Self {
        Self { size: DEFAULT_SIZE, limit: DEFAULT_LIMIT }
    }
}

/// The running offset of the log, the ids of its history, and its newest bytes.
#[derive(Debug)]
pub struct Backlog {
    id: ReplicationId,
    second: Option<Position>,
    offset: u64,
    size: u64,
    limit: u64,
    pinned: Option<u64>,
    chunk: usize,
    history: Option<History>,
}

/// The kept bytes: full chunks, then the one being filled.
#[derive(Debug)]
struct History {
    /// Offset of the oldest kept byte.
    start: u64,
    full: VecDeque<Vec<u8>>,
    tail: Vec<u8>,
    /// The chunk dropped last, for the next tail: saves faulting its pages in again.
    spare: Option<Vec<u8>>,
}

impl Backlog {
    /// An inactive backlog at a place in a history: offset 0 of a new id for a fresh leader,
    /// or wherever a restored data set left off.
    pub fn new(config: BacklogConfig, position: Position) -> Self {
        // Sixteen chunks or more make up the size, so that keeping whole chunks costs little.
        let chunk = (config.size / 16).clamp(CHUNK_MIN, CHUNK_MAX);
        let mut backlog = Self {
            id: position.id,
            second: None,
            offset: position.offset,
            size: 0,
            limit: 0,
            pinned: None,
            chunk: usize::try_from(chunk).unwrap_or(usize::MAX),
            history: None,
        };
        backlog.configure(config);
        backlog
    }

    /// Changes the amounts kept (`CONFIG SET repl-backlog-size`); the next appends apply them.
    pub fn configure(&mut self, config: BacklogConfig) {
        self.size = config.size;
        let least = config.size.saturating_add(2 * self.chunk as u64);
        self.limit = config.limit.max(least);
    }

    /// Appends effects and returns the offset after them, in bytes since the history began.
    ///
    /// What must reach followers unbroken, such as a whole transaction, goes in one call.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> u64 {
        self.offset += bytes.len() as u64;
        if let Some(history) = &mut self.history {
            if bytes.len() < self.chunk - history.tail.len() {
                history.tail.extend_from_slice(bytes);
            } else {
                self.append_across_chunks(bytes);
            }
        }
        self.offset
    }

    /// Moves the offset by `bytes` that nobody will read, and returns it.
    ///
    /// Meant for the inactive mode. In an active backlog it leaves a hole, so the history
    /// starts again after it: whoever needed the missing bytes copies everything.
    #[inline]
    pub fn advance(&mut self, bytes: u64) -> u64 {
        self.offset += bytes;
        if self.history.is_some() && bytes > 0 {
            self.history = Some(History::new(self.offset, self.chunk));
        }
        self.offset
    }

    /// Keeps bytes from here on. Does nothing if it already does.
    pub fn activate(&mut self) {
        if self.history.is_none() {
            self.history = Some(History::new(self.offset, self.chunk));
        }
    }

    /// Whether bytes are kept, so that effects need to be spelled out.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.history.is_some()
    }

    /// Goes on from another place, as after a full sync from a leader: kept bytes and second
    /// id are forgotten. Followers of this node have to be told by
    /// [`leader::Event::HistoryReplaced`](crate::leader::Event::HistoryReplaced).
    pub fn reset(&mut self, position: Position) {
        self.id = position.id;
        self.second = None;
        self.offset = position.offset;
        self.pinned = None;
        if self.history.is_some() {
            self.history = Some(History::new(self.offset, self.chunk));
        }
    }

    /// Continues the same bytes under a new id, as a promoted replica does, or one whose
    /// leader answered CONTINUE with a new id. The old id stays good up to this offset.
    pub fn change_id(&mut self, id: ReplicationId) {
        self.second = Some(self.position());
        self.id = id;
    }

    /// Takes over which history this one continues, and up to where, from the leader: a follower
    /// that was behind when its leader got a new id does not know it itself.
    pub fn inherit_second(&mut self, second: Option<Position>) {
        self.second = second.filter(|second| second.id != self.id).or(self.second);
    }

    /// Copies up to `max` bytes from `from` on to the end of `into`, and says how many: 0 at
    /// the end of the log. `None`, and nothing copied, if `from` is no longer (or not yet)
    /// held.
    pub fn read(&self, from: u64, max: usize, into: &mut Vec<u8>) -> Option<usize> {
        let history = self.history.as_ref()?;
        if from < history.start || from > self.offset {
            return None;
        }
        let skipped = usize::try_from(from - history.start).ok()?;
        let (first, mut within) = (skipped / self.chunk, skipped % self.chunk);
        let mut left = max;
        for chunk in history.full.range(first.min(history.full.len())..).chain([&history.tail]) {
            let end = chunk.len().min(within.saturating_add(left));
            into.extend_from_slice(&chunk[within..end]);
            left -= end - within;
            if left == 0 {
                break;
            }
            within = 0;
        }
        Some(max - left)
    }

    /// Whether a replica at this place can go on from here without copying everything.
    pub fn can_resume(&self, from: Position) -> bool {
        let same_history = from.id == self.id
            || self.second.is_some_and(|old| old.id == from.id && from.offset <= old.offset);
        let held = self.start().is_some_and(|start| start <= from.offset);
        same_history && held && from.offset <= self.offset
    }

    /// Holds on to everything from `offset` on, up to the hard limit; `None` lets go.
    ///
    /// [`Leader`](crate::leader::Leader) calls this as its followers progress.
    pub fn pin(&mut self, offset: Option<u64>) {
        self.pinned = offset;
        self.trim();
    }

    /// The offset after the newest byte, in bytes since the history began (`master_repl_offset`).
    #[inline]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The name of the history (`master_replid`).
    pub fn id(&self) -> ReplicationId {
        self.id
    }

    /// The history's name and end.
    pub fn position(&self) -> Position {
        Position { id: self.id, offset: self.offset }
    }

    /// The id this history had before, and the offset up to which it is good
    /// (`master_replid2`).
    pub fn second(&self) -> Option<Position> {
        self.second
    }

    /// Offset of the oldest byte held; `None` while inactive.
    pub fn start(&self) -> Option<u64> {
        self.history.as_ref().map(|history| history.start)
    }

    /// The configured amounts.
    pub fn config(&self) -> BacklogConfig {
        BacklogConfig { size: self.size, limit: self.limit }
    }

    /// Bytes of memory taken by the kept history; at most the limit and one chunk.
    pub fn memory(&self) -> u64 {
        self.history.as_ref().map_or(0, |history| {
            let chunks = history.full.len() + 1 + usize::from(history.spare.is_some());
            chunks as u64 * self.chunk as u64
        })
    }

    #[cold]
    fn append_across_chunks(&mut self, mut bytes: &[u8]) {
        while let Some(history) = &mut self.history {
            let room = self.chunk - history.tail.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            history.tail.extend_from_slice(now);
            bytes = later;
            if history.tail.len() < self.chunk {
                return;
            }
            let tail = history.spare.take().unwrap_or_else(|| Vec::with_capacity(self.chunk));
            history.full.push_back(std::mem::replace(&mut history.tail, tail));
            self.trim();
        }
    }

    /// Drops the oldest chunks that nobody needs, or that the limit forbids.
    fn trim(&mut self) {
        let chunk = self.chunk as u64;
        let Some(history) = &mut self.history else { return };
        for _ in 0..TRIM_BATCH {
            let chunks = history.full.len() as u64 + 1;
            let front_end = history.start + chunk;
            let held_after = (chunks - 1) * chunk + history.tail.len() as u64;
            let wanted = held_after < self.size.saturating_add(chunk)
                || self.pinned.is_some_and(|pinned| pinned < front_end);
            if history.full.is_empty() || (wanted && chunks * chunk <= self.limit) {
                return;
            }
            history.start = front_end;
            history.spare = history.full.pop_front().map(emptied);
        }
    }
}

impl History {
    fn new(start: u64, chunk: usize) -> Self {
        Self { start, full: VecDeque::new(), tail: Vec::with_capacity(chunk), spare: None }
    }
}

fn emptied(mut chunk: Vec<u8>) -> Vec<u8> {
    chunk.clear();
    chunk
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ReplicationId = ReplicationId::from_random([1; 20]);

    fn backlog(size: u64, limit: u64) -> Backlog {
        let mut backlog =
            Backlog::new(BacklogConfig { size, limit }, Position { id: ID, offset: 7 });
        backlog.activate();
        backlog
    }

    fn byte_at(offset: u64) -> u8 {
        (offset % 251) as u8
    }

    fn append(backlog: &mut Backlog, len: u64) {
        let from = backlog.offset();
        let bytes: Vec<u8> = (from..from + len).map(byte_at).collect();
        assert_eq!(backlog.append(&bytes), from + len);
    }

    fn assert_reads(backlog: &Backlog, from: u64, max: usize) {
        let mut bytes = vec![9];
        let read = backlog.read(from, max, &mut bytes).unwrap();
        assert_eq!(read as u64, (max as u64).min(backlog.offset() - from));
        let expected: Vec<u8> = (from..from + read as u64).map(byte_at).collect();
        assert_eq!(bytes[1..], expected);
    }

    #[test]
    fn reads_any_held_range_while_it_wraps() {
        let mut backlog = backlog(1024, 4096);
        for len in (0..200).chain([64, 63, 65, 128, 1000, 5000]) {
            append(&mut backlog, len);
            let (start, end) = (backlog.start().unwrap(), backlog.offset());
            for from in (start..=end).step_by(17).chain([end]) {
                for max in [0, 1, 63, 64, 65, 100_000] {
                    assert_reads(&backlog, from, max);
                }
            }
            assert!(start == 7 || end - start >= 1024);
            assert!(backlog.memory() <= 1024 + 4 * 64);
            assert_eq!(backlog.read(end + 1, 1, &mut Vec::new()), None);
            assert_eq!(backlog.read(start - 1, 1, &mut Vec::new()), None);
        }
    }

    #[test]
    fn keeps_what_is_pinned_up_to_the_limit() {
        let mut backlog = backlog(1024, 4096);
        backlog.pin(Some(7));
        append(&mut backlog, 4000);
        assert_reads(&backlog, 7, 4000);
        append(&mut backlog, 1000);
        assert!(backlog.start().unwrap() > 7);
        assert!(backlog.memory() <= 4096 + 64);
        append(&mut backlog, 100_000);
        assert!(backlog.memory() <= 4096 + 64);
    }

    #[test]
    fn lets_go_when_unpinned() {
        let mut backlog = backlog(1024, 4096);
        backlog.pin(Some(7));
        append(&mut backlog, 4000);
        for _ in 0..10 {
            backlog.pin(None);
        }
        assert!(backlog.offset() - backlog.start().unwrap() <= 1024 + 2 * 64);
    }

    #[test]
    fn inactive_only_counts() {
        let mut backlog = Backlog::new(BacklogConfig::default(), Position { id: ID, offset: 0 });
        assert_eq!(backlog.append(b"abc"), 3);
        assert_eq!(backlog.advance(4), 7);
        assert_eq!((backlog.memory(), backlog.start()), (0, None));
        assert_eq!(backlog.read(7, 1, &mut Vec::new()), None);
        assert!(!backlog.can_resume(backlog.position()));
        backlog.activate();
        assert!(backlog.can_resume(backlog.position()));
    }

    #[test]
    fn a_hole_restarts_the_history() {
        let mut backlog = backlog(1024, 4096);
        append(&mut backlog, 10);
        let before = backlog.position();
        assert!(backlog.can_resume(before));
        backlog.advance(5);
        assert!(!backlog.can_resume(before));
        assert_reads(&backlog, 22, 1);
    }

    #[test]
    fn resumes_within_the_history_only() {
        let mut backlog = backlog(1024, 4096);
        append(&mut backlog, 3000);
        let at = |offset| Position { id: ID, offset };
        assert!(backlog.can_resume(at(3007)) && backlog.can_resume(at(2500)));
        assert!(!backlog.can_resume(at(3008)), "from the future");
        assert!(!backlog.can_resume(at(7)), "wrapped");
        let other = Position { id: ReplicationId::from_random([2; 20]), offset: 3007 };
        assert!(!backlog.can_resume(other));
    }

    #[test]
    fn the_old_id_is_good_up_to_the_change() {
        let mut backlog = backlog(1024, 4096);
        append(&mut backlog, 100);
        backlog.change_id(ReplicationId::from_random([2; 20]));
        append(&mut backlog, 100);
        let at = |offset| Position { id: ID, offset };
        assert!(backlog.can_resume(at(107)));
        assert!(!backlog.can_resume(at(108)));
        assert_eq!(backlog.second(), Some(at(107)));
        backlog.reset(at(5));
        assert!(backlog.second().is_none() && !backlog.can_resume(at(107)));
        assert!(backlog.can_resume(at(5)));
    }
}
