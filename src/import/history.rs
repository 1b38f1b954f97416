//! The source's stream, cut into what a target can be asked: single commands, and transactions as
//! a whole. Half of either is forgotten when the link breaks, and comes again.

use crate::limits::IMPORT_UNIT_BYTES;
use crate::rdb::{Compression, LimiterState, dump};
use crate::resp::reply::encode_command;
use crate::resp::request::{Decoded, RequestDecoder, RequestLimits};

/// What the source has run was within its own bounds; that of a unit is asked separately.
const LIMITS: RequestLimits = RequestLimits {
    arguments: i32::MAX as usize,
    argument_bytes: u32::MAX as usize,
    request_bytes: usize::MAX / 2,
    before_auth: false,
};

/// What the stream says next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More bytes are needed.
    Nothing,
    /// What is to be asked.
    Unit(Unit),
    /// Bytes that say nothing: a PING, or a database that what follows is for.
    Quiet(u64),
    /// What follows is for this database.
    Select(u32, u64),
    /// The source asks how far this is.
    Ack(u64),
}

/// A command, or a transaction.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// Requests, encoded.
    pub(super) bytes: Vec<u8>,
    /// The name of each.
    pub(super) names: Vec<Vec<u8>>,
    /// Databases that it selects on the way.
    pub(super) selects: Vec<u32>,
    /// Bytes of history that it is.
    pub(super) history: u64,
}

/// The stream's bytes.
#[derive(Debug, Default)]
pub(super) struct History {
    decoder: RequestDecoder,
    buffer: Vec<u8>,
    taken: usize,
    /// A transaction that has begun.
    open: Option<Unit>,
}

impl History {
    /// Forgets what is not whole.
    pub(super) fn forget(&mut self) {
        *self = History::default();
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// What comes next. The error says what is wrong with the bytes.
    pub(super) fn next(&mut self) -> Result<Next, String> {
        loop {
            let rest = &self.buffer[self.taken..];
            let (consumed, words) = match self.decoder.decode(rest, &LIMITS) {
                Ok(Decoded::Incomplete(_)) => return self.incomplete(),
                Ok(Decoded::Nothing(consumed)) => (consumed, Vec::new()),
                Ok(Decoded::Request(consumed)) => {
                    (consumed, self.decoder.arguments(rest).map(<[u8]>::to_vec).collect())
                }
                Err(error) => return Err(error.to_string()),
            };
            self.taken += consumed;
            if let Some(next) = self.command(&words, consumed as u64) {
                return Ok(next);
            }
        }
    }

    fn incomplete(&self) -> Result<Next, String> {
        let open = self.open.as_ref().map_or(0, |unit| unit.bytes.len());
        if open + (self.buffer.len() - self.taken) > IMPORT_UNIT_BYTES {
            return Err("a transaction that is too large".to_owned());
        }
        Ok(Next::Nothing)
    }

    fn command(&mut self, words: &[Vec<u8>], history: u64) -> Option<Next> {
        let is = |at: usize, word: &str| {
            words.get(at).is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
        };
        let database = || std::str::from_utf8(words.get(1)?).ok()?.parse().ok();
        if let Some(unit) = &mut self.open {
            unit.history += history;
            if words.is_empty() || is(0, "PING") {
                return None;
            }
            if is(0, "SELECT") {
                unit.selects.extend(database());
            }
            unit.add(words);
            return if is(0, "EXEC") || is(0, "DISCARD") {
                self.open.take().map(Next::Unit)
            } else {
                None
            };
        }
        if words.is_empty() || is(0, "PING") {
            return Some(Next::Quiet(history));
        }
        if is(0, "REPLCONF") {
            return Some(if is(1, "GETACK") { Next::Ack(history) } else { Next::Quiet(history) });
        }
        if is(0, "SELECT")
            && let Some(db) = database()
        {
            return Some(Next::Select(db, history));
        }
        let mut unit = Unit { history, ..Unit::default() };
        unit.add(words);
        if is(0, "MULTI") {
            self.open = Some(unit);
            return None;
        }
        Some(Next::Unit(unit))
    }
}

impl Unit {
    fn add(&mut self, words: &[Vec<u8>]) {
        match words {
            // What Eave's log has of a rate limit, in words that a client may say.
            [name, key, at, state] if name.eq_ignore_ascii_case(b"RL.STATE") => {
                let mut payload = Vec::new();
                dump::write(&mut payload, LimiterState(state), Compression::None);
                let argv: [&[u8]; 6] = [b"RESTORE", key, at, &payload, b"REPLACE", b"ABSTTL"];
                encode_command(&mut self.bytes, &argv);
            }
            _ => {
                let argv: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                encode_command(&mut self.bytes, &argv);
            }
        }
        let name = words.first().map(|name| name[..name.len().min(64)].to_vec());
        self.names.push(name.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            encode_command(&mut bytes, &line.split(' ').map(str::as_bytes).collect::<Vec<_>>());
        }
        bytes
    }

    fn all(history: &mut History) -> Vec<Next> {
        let mut found = Vec::new();
        loop {
            match history.next().expect("a stream") {
                Next::Nothing => return found,
                next => found.push(next),
            }
        }
    }

    #[test]
    fn commands_and_transactions_are_units_however_bytes_come() {
        let lines = [
            "SELECT 3",
            "SET a 1",
            "PING",
            "MULTI",
            "SET b 2",
            "PING",
            "SELECT 4",
            "EXEC",
            "REPLCONF GETACK *",
        ];
        let bytes = encoded(&lines);
        let mut whole = History::default();
        whole.feed(&bytes);
        let wanted = all(&mut whole);
        assert_eq!(wanted.len(), 5);
        let Next::Unit(transaction) = &wanted[3] else { panic!("{wanted:?}") };
        assert_eq!(transaction.bytes, encoded(&["MULTI", "SET b 2", "SELECT 4", "EXEC"]));
        assert_eq!((transaction.names.len(), transaction.selects.as_slice()), (4, &[4][..]));
        let total: u64 = wanted
            .iter()
            .map(|next| match next {
                Next::Unit(unit) => unit.history,
                Next::Quiet(n) | Next::Select(_, n) | Next::Ack(n) => *n,
                Next::Nothing => 0,
            })
            .sum();
        assert_eq!(total, bytes.len() as u64);
        let (mut pieces, mut found) = (History::default(), Vec::new());
        for byte in &bytes {
            pieces.feed(std::slice::from_ref(byte));
            found.extend(all(&mut pieces));
        }
        assert_eq!(found, wanted);
    }

    #[test]
    fn states_of_limits_become_what_a_client_may_say() {
        let mut history = History::default();
        history.feed(&encoded(&["RL.STATE k 5 x"]));
        let Some(Next::Unit(unit)) = all(&mut history).pop() else { panic!() };
        assert!(unit.bytes.starts_with(b"*6\r\n$7\r\nRESTORE\r\n$1\r\nk\r\n$1\r\n5\r\n"));
    }

    #[test]
    fn nonsense_is_an_error() {
        let mut history = History::default();
        history.feed(b"*1\r\n:1\r\n");
        assert!(history.next().is_err());
    }
}
