//! How far it is: a line that is rewritten in place, or one now and then where nobody watches.

use std::io::{IsTerminal, Write};

use super::tally::{Tally, count, size};
use crate::clock;

/// Milliseconds between two lines on a terminal, and elsewhere.
const TERMINAL_MS: u64 = 200;
const LOG_MS: u64 = 10_000;

/// Characters of the bar.
const BAR: u64 = 30;

/// What is known of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Total {
    Unknown,
    Keys(u64),
    Bytes(u64),
}

/// The line.
#[derive(Debug)]
pub(super) struct Progress {
    terminal: bool,
    begun_ms: u64,
    shown_ms: u64,
    /// Characters of the line that stands.
    length: usize,
    pub(super) total: Total,
}

impl Progress {
    pub(super) fn new() -> Progress {
        let now = clock::monotonic_ms();
        let terminal = std::io::stderr().is_terminal();
        Progress { terminal, begun_ms: now, shown_ms: now, length: 0, total: Total::Unknown }
    }

    /// Milliseconds since it began.
    pub(super) fn took_ms(&self) -> u64 {
        clock::monotonic_ms().saturating_sub(self.begun_ms)
    }

    /// Shows how far the copy is, when it is time.
    pub(super) fn copying(&mut self, tally: &Tally) {
        if self.is_due() {
            let line = copying(self.total, tally, self.took_ms());
            self.show(&line);
        }
    }

    /// Whether it is time for another line.
    pub(super) fn is_due(&mut self) -> bool {
        let now = clock::monotonic_ms();
        let period = if self.terminal { TERMINAL_MS } else { LOG_MS };
        let due = now.saturating_sub(self.shown_ms) >= period;
        if due {
            self.shown_ms = now;
        }
        due
    }

    /// Puts a line in the place of the last one.
    pub(super) fn show(&mut self, line: &str) {
        // Who closes standard error does not want to know.
        let mut out = std::io::stderr();
        if self.terminal {
            let blanks = self.length.saturating_sub(line.len());
            let _ = write!(out, "\r{line}{:blanks$}", "");
            self.length = line.len();
        } else {
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
    }

    /// Says something that stays.
    pub(super) fn say(&mut self, line: &str) {
        self.show(line);
        self.end();
    }

    /// Leaves the line that stands.
    pub(super) fn end(&mut self) {
        if self.terminal && self.length > 0 {
            let _ = writeln!(std::io::stderr());
            self.length = 0;
        }
    }
}

fn copying(total: Total, tally: &Tally, ms: u64) -> String {
    let (done, of) = match total {
        Total::Unknown => (0, 0),
        Total::Keys(keys) => (tally.read(), keys),
        Total::Bytes(bytes) => (tally.bytes, bytes),
    };
    let rate = tally.read().saturating_mul(1000).checked_div(ms).unwrap_or(0);
    let keys = format!("{}, {rate} keys/s", count(tally.read(), "key"));
    if of == 0 {
        return format!("copying: {keys}, {}", size(tally.bytes));
    }
    let done = done.min(of);
    let filled = usize::try_from(u128::from(BAR) * u128::from(done) / u128::from(of)).unwrap_or(0);
    let bar = format!("{}{}", "#".repeat(filled), "-".repeat(BAR as usize - filled));
    let percent = u128::from(done) * 100 / u128::from(of);
    let left = u128::from(ms) * u128::from(of - done) / u128::from(done.max(1)) / 1000;
    format!("copying [{bar}] {percent}% {keys}, {left} s left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        let mut tally = Tally::default();
        tally.copied("string");
        tally.bytes = 500;
        assert_eq!(copying(Total::Unknown, &tally, 500), "copying: 1 key, 2 keys/s, 500 bytes");
        assert_eq!(
            copying(Total::Bytes(2000), &tally, 1000),
            "copying [#######-----------------------] 25% 1 key, 1 keys/s, 3 s left"
        );
        // More than was announced is no more than all.
        assert!(copying(Total::Bytes(1), &tally, 0).contains("100%"));
        assert!(copying(Total::Keys(u64::MAX), &tally, u64::MAX).contains("] 0%"));
    }
}
