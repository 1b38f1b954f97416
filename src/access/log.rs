//! ACL LOG: what was refused to whom, the latest first, repeats counted instead of repeated.

use std::collections::VecDeque;

use crate::limits::ACL_LOG_OBJECT_BYTES;

/// Within so many milliseconds of the last time, the same refusal is counted instead of added.
const GROUPING_MS: u64 = 60_000;

/// How many entries, from the latest on, are looked at for the same refusal.
const GROUPING_ENTRIES: usize = 10;

/// Where something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A request by itself.
    TopLevel,
    /// One that was queued, or run by EXEC.
    Multi,
    /// A script's.
    Lua,
}

impl Context {
    fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
            Context::Lua => "lua",
        }
    }
}

/// One refusal, perhaps repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How often.
    pub count: u64,
    /// `command`, `key`, `channel` or `auth`.
    pub reason: &'static str,
    /// Where.
    pub context: &'static str,
    /// What was refused: the name of a command, a key, a channel.
    pub object: Vec<u8>,
    /// To whom.
    pub user: Vec<u8>,
    /// When it happened last, in unix milliseconds.
    pub at: u64,
    /// The client's line of CLIENT LIST at that moment.
    pub client: String,
}

impl Entry {
    /// A refusal of now.
    pub fn new(
        reason: &'static str,
        context: Context,
        object: &[u8],
        user: &[u8],
        client: String,
        now: u64,
    ) -> Entry {
        let cut = |text: &[u8]| text[..text.len().min(ACL_LOG_OBJECT_BYTES)].to_vec();
        Entry {
            count: 1,
            reason,
            context: context.name(),
            object: cut(object),
            user: cut(user),
            at: now,
            client,
        }
    }

    fn is_like(&self, other: &Entry) -> bool {
        self.reason == other.reason
            && self.context == other.context
            && self.object == other.object
            && self.user == other.user
            && self.at.abs_diff(other.at) <= GROUPING_MS
    }
}

/// See the module's description.
#[derive(Debug, Default)]
pub struct Log(VecDeque<Entry>);

impl Log {
    /// Adds a refusal, and keeps the latest `most`.
    pub fn add(&mut self, mut entry: Entry, most: usize) {
        let like = self.0.iter().take(GROUPING_ENTRIES).position(|known| known.is_like(&entry));
        if let Some(known) = like.and_then(|at| self.0.remove(at)) {
            entry.count = known.count.saturating_add(1);
        }
        self.0.push_front(entry);
        self.0.truncate(most);
    }

    /// The latest `count` entries.
    pub fn latest(&self, count: usize) -> impl ExactSizeIterator<Item = &Entry> {
        self.0.iter().take(count)
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(object: &str, at: u64) -> Entry {
        Entry::new("key", Context::TopLevel, object.as_bytes(), b"u", String::new(), at)
    }

    fn seen(log: &Log) -> Vec<(String, u64)> {
        let text = |entry: &Entry| String::from_utf8_lossy(&entry.object).into_owned();
        log.latest(usize::MAX).map(|entry| (text(entry), entry.count)).collect()
    }

    #[test]
    fn repeats_are_counted_for_a_minute_and_come_first() {
        let mut log = Log::default();
        for (object, at) in [("a", 0), ("b", 1), ("a", 60_000), ("a", 120_001)] {
            log.add(entry(object, at), 128);
        }
        let expected = [("a", 1), ("a", 2), ("b", 1)];
        assert_eq!(seen(&log), expected.map(|(object, count)| (object.to_owned(), count)));
    }

    #[test]
    fn it_is_bounded() {
        let mut log = Log::default();
        (0..20).for_each(|at| log.add(entry(&at.to_string(), at), 3));
        assert_eq!(seen(&log).len(), 3);
        log.add(entry(&"x".repeat(1 << 20), 0), 0);
        assert!(seen(&log).is_empty());
        let long = entry(&"x".repeat(1 << 20), 0);
        assert_eq!(long.object.len(), ACL_LOG_OBJECT_BYTES);
    }
}
