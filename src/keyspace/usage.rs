//! When and how often a key was used, in the 32 bits that lie beside its hash.
//!
//! 24 bits are the second of the last use, eight are Redis' logarithmic counter of uses. The
//! second is always noted, the counter moves only under a policy that asks for it, so a key
//! that is read again within a second costs one comparison. A change of the policy finds the
//! seconds as they should be. Left out on purpose: reading the clock, and who is evicted.

/// Seconds go round after so many: 194 days in whole minutes, which 24 bits hold.
const ROUND_S: u32 = 279_620 * 60;

/// Bits of the counter.
const COUNTER: u32 = 0xff;

/// What a new key's counter starts with, so that it is not the first to go (Redis:
/// `LFU_INIT_VAL`).
const FIRST: u8 = 5;

/// The present, in the unit of `Usage`; the bits of its counter say what is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick(u32);

/// What of the uses of a key is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// The second of the last one.
    Last = 0,
    /// That, and how many there are.
    Count = 1,
    /// Nothing.
    Nothing = 2,
}

impl Tick {
    /// The tick of a unix millisecond.
    #[inline]
    pub fn new(unix_ms: u64, noted: Noted) -> Tick {
        let second = ((unix_ms / 1000) % u64::from(ROUND_S)) as u32;
        // With a bit of the counter it equals no usage, so every use comes to be looked at.
        Tick(second << 8 | noted as u32)
    }

    /// The same moment, without a trace of what is done in it.
    pub fn unnoted(self) -> Tick {
        Tick(self.0 & !COUNTER | Noted::Nothing as u32)
    }

    fn second(self) -> u32 {
        self.0 >> 8
    }
}

/// How the counter grows and shrinks: `lfu-log-factor` and `lfu-decay-time`.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The larger, the more uses one step takes.
    pub log_factor: u32,
    /// Minutes without a use for one step down; 0 = never.
    pub decay_minutes: u32,
}

/// See the module's description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage(u32);

impl Usage {
    /// Of a key that has just been made.
    #[inline]
    pub fn fresh(now: Tick) -> Usage {
        Usage::new(now.second(), FIRST)
    }

    /// Of a key that was used `idle_s` seconds ago.
    pub fn idle(now: Tick, idle_s: u64) -> Usage {
        let idle = u32::try_from(idle_s).unwrap_or(u32::MAX).min(ROUND_S - 1);
        Usage::new((now.second() + ROUND_S - idle) % ROUND_S, FIRST)
    }

    /// Of a key that has been used now and so often before.
    pub fn frequent(now: Tick, counter: u8) -> Usage {
        Usage::new(now.second(), counter)
    }

    fn new(second: u32, counter: u8) -> Usage {
        Usage(second << 8 | u32::from(counter))
    }

    /// As it is kept.
    #[inline]
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From what is kept.
    #[inline]
    pub fn from_bits(bits: u32) -> Usage {
        Usage(bits)
    }

    /// Whether a use now changes nothing.
    #[inline]
    pub fn is_current(self, now: Tick) -> bool {
        self.0 & !COUNTER == now.0
    }

    /// After a use now; `random` yields a number below its argument.
    #[cold]
    pub fn used(self, now: Tick, scale: Scale, random: impl FnOnce(u64) -> u64) -> Usage {
        if now == now.unnoted() {
            return self;
        }
        if now.0 & COUNTER == Noted::Last as u32 {
            return Usage(now.0 | self.0 & COUNTER);
        }
        let counter = self.frequency(now, scale);
        // The more uses there were, the less one more says; new keys get up to speed at once.
        let steps = u64::from(counter.saturating_sub(FIRST)) * u64::from(scale.log_factor) + 1;
        let counter = counter.saturating_add(u8::from(random(steps) == 0));
        Usage::new(now.second(), counter)
    }

    /// Seconds since the last use.
    pub fn idle_s(self, now: Tick) -> u32 {
        (now.second() + ROUND_S - (self.0 >> 8)) % ROUND_S
    }

    /// The counter, less what it has lost by now: one step for each of `decay_minutes` that
    /// began since the last use.
    pub fn frequency(self, now: Tick, scale: Scale) -> u8 {
        let minutes = ROUND_S / 60;
        let passed = (now.second() / 60 + minutes - (self.0 >> 8) / 60) % minutes;
        let steps = passed.checked_div(scale.decay_minutes).unwrap_or(0);
        (self.0 & COUNTER).saturating_sub(steps) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: Scale = Scale { log_factor: 10, decay_minutes: 1 };
    /// The beginning of a minute, some rounds after 1970.
    const NOW: u64 = ROUND_S as u64 * 1000 * 104;

    fn tick(second: u64, noted: Noted) -> Tick {
        Tick::new(NOW + second * 1000, noted)
    }

    #[test]
    fn a_use_is_noted_once_a_second() {
        let usage = Usage::fresh(tick(5, Noted::Last));
        assert!(usage.is_current(tick(5, Noted::Last)));
        assert!(!usage.is_current(tick(6, Noted::Last)));
        assert!(!usage.is_current(tick(5, Noted::Count)), "every use is counted");
        let later = usage.used(tick(9, Noted::Last), SCALE, |_| 0);
        assert_eq!(
            (later.idle_s(tick(9, Noted::Last)), later.frequency(tick(9, Noted::Last), SCALE)),
            (0, 5)
        );
        assert_eq!(later.idle_s(tick(19, Noted::Last)), 10);
        let unnoted = tick(99, Noted::Count).unnoted();
        assert_eq!(later.used(unnoted, SCALE, |_| 0), later);
        assert!(!later.is_current(unnoted));
        assert_eq!(Usage::fresh(unnoted), Usage::fresh(tick(99, Noted::Last)));
    }

    #[test]
    fn seconds_go_round() {
        let before = Usage::fresh(Tick::new(NOW - 3000, Noted::Last));
        assert_eq!(before.idle_s(tick(4, Noted::Last)), 7);
        assert_eq!(Usage::idle(tick(4, Noted::Last), 7).idle_s(tick(4, Noted::Last)), 7);
        let ancient = Usage::idle(tick(4, Noted::Last), u64::MAX);
        assert_eq!(ancient.idle_s(tick(4, Noted::Last)), ROUND_S - 1);
        let counted = Usage::frequent(Tick::new(NOW - 1000, Noted::Count), 9);
        assert_eq!(counted.frequency(tick(0, Noted::Count), SCALE), 8);
    }

    #[test]
    fn the_counter_loses_a_step_a_minute() {
        let usage = Usage::frequent(tick(59, Noted::Count), 20);
        let at = |second| usage.frequency(tick(second, Noted::Count), SCALE);
        assert_eq!([at(59), at(60), at(119), at(120), at(60 * 30)], [20, 19, 19, 18, 0]);
        let slow = Scale { decay_minutes: 10, ..SCALE };
        assert_eq!(usage.frequency(tick(60 * 25, Noted::Count), slow), 18);
        let never = Scale { decay_minutes: 0, ..SCALE };
        assert_eq!(usage.frequency(tick(60 * 25, Noted::Count), never), 20);
    }

    /// The table in Redis' documentation: with a factor of 10, a hundred uses come to about 10,
    /// a thousand to 18, a hundred thousand to 142.
    #[test]
    fn the_counter_is_logarithmic() {
        let now = tick(0, Noted::Count);
        let mut usage = Usage::fresh(now);
        let mut reached = Vec::new();
        // The same luck in every run.
        let mut state = 1u64;
        let mut below = |bound: u64| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (state >> 33) % bound
        };
        for uses in 1..=100_000u32 {
            usage = usage.used(now, SCALE, &mut below);
            if [100, 1000, 100_000].contains(&uses) {
                reached.push(usage.frequency(now, SCALE));
            }
        }
        let [hundred, thousand, more] = reached[..] else { panic!("three readings") };
        assert!((7..=14).contains(&hundred), "{hundred}");
        assert!((14..=24).contains(&thousand), "{thousand}");
        assert!((125..=160).contains(&more), "{more}");
        let full = Usage::frequent(now, 255).used(now, SCALE, |_| 0);
        assert_eq!(full.frequency(now, SCALE), 255);
    }
}
