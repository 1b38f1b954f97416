//! How much happens a second: the `instantaneous_` lines of INFO.

use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::stats::get;

/// Looks that the mean is taken over, as in Redis: 1.6 seconds.
const LOOKS: usize = 16;

/// A count that grows, looked at ten times a second.
#[derive(Debug, Default)]
pub struct Rate(Mutex<Looks>);

#[derive(Debug, Default)]
struct Looks {
    /// When it was looked at last, in milliseconds, and what it was.
    last: Option<(u64, u64)>,
    rates: [u64; LOOKS],
    next: usize,
}

impl Rate {
    /// Looks at a count.
    pub fn look(&self, count: u64, now_ms: u64) {
        let mut looks = self.0.lock();
        if let Some((at, before)) = looks.last.filter(|(at, _)| now_ms > *at) {
            let rate = count.saturating_sub(before).saturating_mul(1000) / (now_ms - at);
            let next = looks.next;
            looks.rates[next] = rate;
            looks.next = (next + 1) % LOOKS;
        }
        looks.last = Some((now_ms, count));
    }

    /// How much it grows a second.
    pub fn get(&self) -> u64 {
        self.0.lock().rates.iter().sum::<u64>() / LOOKS as u64
    }
}

/// The rates that INFO shows.
#[derive(Debug, Default)]
pub struct Rates {
    /// Commands.
    pub commands: Rate,
    /// Bytes from clients.
    pub input: Rate,
    /// Bytes to clients.
    pub output: Rate,
}

impl Rates {
    /// Looks at all counts.
    pub fn look(&self, [commands, input, output]: [&AtomicU64; 3], now_ms: u64) {
        self.commands.look(get(commands), now_ms);
        self.input.look(get(input), now_ms);
        self.output.look(get(output), now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_second() {
        let rate = Rate::default();
        (0..=LOOKS as u64).for_each(|look| rate.look(look * 5, look * 100));
        assert_eq!(rate.get(), 50);
        // A reset count is no negative rate.
        rate.look(0, 5000);
        assert!(rate.get() < 50);
    }
}
