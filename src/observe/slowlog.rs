//! The slow log: commands that took longer than `slowlog-log-slower-than`, the newest first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::redact;
use crate::clients::Client;
use crate::command::Argv;
use crate::limits::{SLOW_ARGUMENT_BYTES, SLOW_ARGUMENTS};

/// The newest entries first.
#[derive(Debug, Default)]
pub struct SlowLog {
    entries: Mutex<VecDeque<Slow>>,
    /// Of the next entry; it goes on after a RESET.
    next: AtomicU64,
}

/// One slow command.
#[derive(Clone, Debug)]
pub struct Slow {
    /// Never used twice in the life of a process.
    pub id: u64,
    /// When it ended, in unix seconds.
    pub at: u64,
    /// How long it took.
    pub micros: u64,
    /// The request, secrets hidden, what is long cut.
    pub argv: Vec<Vec<u8>>,
    /// The client's address.
    pub peer: String,
    /// The client's name.
    pub name: Vec<u8>,
}

impl SlowLog {
    /// Keeps a command, and at most `most` of all.
    pub fn add(&self, client: &Client, argv: Argv<'_>, at: u64, micros: u64, most: usize) {
        let slow = Slow {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            at,
            micros,
            argv: cut(argv),
            peer: client.peer.clone(),
            name: client.words.lock().name.clone(),
        };
        let mut entries = self.entries.lock();
        entries.push_front(slow);
        entries.truncate(most);
    }

    /// The newest `most` entries.
    pub fn newest(&self, most: usize) -> Vec<Slow> {
        self.entries.lock().iter().take(most).cloned().collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.entries.lock().clear();
    }
}

/// A request as it is kept: so many arguments, and of each so many bytes, as in Redis.
fn cut(argv: Argv<'_>) -> Vec<Vec<u8>> {
    let shown = redact::shown(argv);
    let kept = if shown.len() > SLOW_ARGUMENTS { SLOW_ARGUMENTS - 1 } else { shown.len() };
    let mut words: Vec<Vec<u8>> = shown[..kept].iter().map(|word| cut_word(word)).collect();
    if kept < shown.len() {
        words.push(format!("... ({} more arguments)", shown.len() - kept).into_bytes());
    }
    words
}

fn cut_word(word: &[u8]) -> Vec<u8> {
    let Some(more) = word.len().checked_sub(SLOW_ARGUMENT_BYTES).filter(|more| *more > 0) else {
        return word.to_vec();
    };
    let mut cut = word[..SLOW_ARGUMENT_BYTES].to_vec();
    cut.extend(format!("... ({more} more bytes)").into_bytes());
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::Clients;

    #[test]
    fn what_is_long_is_cut() {
        let log = SlowLog::default();
        let client = Clients::default().add("peer".into(), "local".into(), 0);
        let long = vec![b'x'; SLOW_ARGUMENT_BYTES + 1];
        let argv: Vec<&[u8]> = vec![&long; SLOW_ARGUMENTS + 1];
        log.add(&client, &argv, 5, 7, 2);
        log.add(&client, &argv[..SLOW_ARGUMENTS], 6, 8, 2);
        log.add(&client, &[b"get", &long[1..]], 7, 9, 2);
        let [last, before] = &log.newest(usize::MAX)[..] else { panic!("two are kept") };
        assert_eq!((last.id, last.at, last.micros, last.argv[1].len()), (2, 7, 9, 128));
        assert_eq!((before.id, before.argv.len()), (1, 32));
        assert!(before.argv[31].ends_with(b"x... (1 more bytes)"));
        log.add(&client, &argv, 5, 7, 2);
        assert_eq!(log.newest(1)[0].argv[31], b"... (2 more arguments)");
        log.reset();
        assert_eq!((log.len(), log.is_empty()), (0, true));
    }
}
