//! The arithmetic of `CL.THROTTLE` and `GCRA`: the generic cell rate algorithm over one moment in
//! fine units.
//!
//! This is [`gcra`](crate::Algorithm::Gcra) in the form in which other servers have it: one
//! moment (the theoretical arrival time, TAT), in nanoseconds or microseconds, an interval that is
//! rounded to such a unit, and a burst on top of the first request. Everything is computed in 128
//! bits, where no sum or product of 64-bit numbers overflows; a moment that 64 bits do not hold is
//! refused.
//!
//! Left out on purpose: the states of this crate's own algorithms, which round nothing and
//! remember the clock; what is kept here is a number that other clients may read and write.

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Requests on top of the first that may come at once, 0 or more.
    pub burst: i64,
    /// Units between two requests of a steady stream, 1 or more.
    pub interval: i64,
    /// Units of a second: a thousandfold of a million.
    pub second: i64,
}

/// What becomes of the moment that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It stays as it is.
    Same,
    /// It is this one.
    Moment(i64),
    /// It is in the past: everything is back.
    Nothing,
}

/// An answer, in the order in which clients have it, and what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// 1 if refused, else 0.
    pub limited: i64,
    /// Requests that may come at once.
    pub limit: i64,
    /// How many of them still may.
    pub remaining: i64,
    /// Seconds after which the same request fits; -1 if it does, or never will.
    pub retry_after: i64,
    /// Seconds after which everything is back.
    pub reset_after: i64,
    /// What is to be kept.
    pub kept: Kept,
}

/// The moment that a request leads to is beyond 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl Cell {
    /// A limit of `count` requests in each `period` units; `None` unless all of it is in range.
    pub fn new(burst: i64, count: i64, period: f64, second: i64) -> Option<Cell> {
        if burst < 0 || burst == i64::MAX || count < 1 || period.is_nan() || period <= 0.0 {
            return None;
        }
        // A cast of a float stays within its type.
        let interval = ((period / count as f64) as i64).max(1);
        Some(Cell { burst, interval, second })
    }

    /// Decides on `quantity` requests at `now`: 0 only looks, fewer give back.
    ///
    /// # Errors
    /// When the moment that it leads to is beyond 64 bits.
    pub fn throttle(
        &self,
        kept: Option<i64>,
        now: i64,
        quantity: i64,
    ) -> Result<Throttled, OutOfRange> {
        let (interval, wide_now) = (i128::from(self.interval), i128::from(now));
        let tolerance = interval * (i128::from(self.burst) + 1);
        let arrival = kept.map_or(wide_now, i128::from).max(wide_now);
        let increment = interval * i128::from(quantity);
        // What is given back fills up to the brim and no further.
        let next = (arrival + increment).max(wide_now);
        let early = next - tolerance - wide_now;
        let limited = quantity != 0 && early > 0;
        let debt = if limited { arrival } else { next } - wide_now;
        let fits_some_day = limited && increment <= tolerance;
        Ok(Throttled {
            limited: limited.into(),
            limit: self.burst + 1,
            remaining: self.remaining(tolerance - debt),
            retry_after: if fits_some_day { self.seconds(early) } else { -1 },
            reset_after: self.seconds(debt),
            kept: match (limited || quantity == 0, debt) {
                (true, _) => Kept::Same,
                (false, 0) => Kept::Nothing,
                (false, _) => Kept::Moment(i64::try_from(next).map_err(|_| OutOfRange)?),
            },
        })
    }

    /// How many requests fit into what is free, in microseconds where an interval has any.
    fn remaining(&self, free: i128) -> i64 {
        let micro = i128::from(self.second / 1_000_000).max(1);
        let (free, interval) = match i128::from(self.interval) / micro {
            0 => (free, i128::from(self.interval)),
            interval => (free / micro, interval),
        };
        clamped(free / interval).clamp(0, self.burst + 1)
    }

    /// Whole seconds; a part of one counts once it has a millisecond.
    fn seconds(&self, units: i128) -> i64 {
        let second = i128::from(self.second);
        let part = units % second >= second / 1000;
        clamped(units / second + i128::from(part))
    }
}

fn clamped(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_795_210_140 * SECOND;

    fn cell(burst: i64, count: i64, seconds: i64) -> Cell {
        Cell::new(burst, count, seconds as f64 * SECOND as f64, SECOND).unwrap()
    }

    fn numbers(throttled: Throttled) -> [i64; 5] {
        let Throttled { limited, limit, remaining, retry_after, reset_after, .. } = throttled;
        [limited, limit, remaining, retry_after, reset_after]
    }

    #[test]
    fn the_example_of_redis_cell() {
        // CL.THROTTLE user123 15 30 60: the first call, then down to the refusal.
        let cell = cell(15, 30, 60);
        let mut kept = None;
        for call in 0..16 {
            let throttled = cell.throttle(kept, NOW, 1).unwrap();
            assert_eq!(numbers(throttled), [0, 16, 15 - call, -1, 2 * (call + 1)]);
            let Kept::Moment(moment) = throttled.kept else { panic!("{throttled:?}") };
            kept = Some(moment);
        }
        let refused = cell.throttle(kept, NOW, 1).unwrap();
        assert_eq!(numbers(refused), [1, 16, 0, 2, 32]);
        assert_eq!(refused.kept, Kept::Same);
    }

    #[test]
    fn none_looks_and_less_gives_back() {
        let cell = cell(4, 1, 10);
        let kept = Some(NOW + 50 * SECOND);
        assert_eq!(numbers(cell.throttle(kept, NOW, 0).unwrap()), [0, 5, 0, -1, 50]);
        assert_eq!(cell.throttle(kept, NOW, 0).unwrap().kept, Kept::Same);
        let back = cell.throttle(kept, NOW, -2).unwrap();
        assert_eq!(numbers(back), [0, 5, 2, -1, 30]);
        assert_eq!(back.kept, Kept::Moment(NOW + 30 * SECOND));
        let all = cell.throttle(kept, NOW, -100).unwrap();
        assert_eq!((numbers(all), all.kept), ([0, 5, 5, -1, 0], Kept::Nothing));
        assert_eq!(numbers(cell.throttle(None, NOW, 6).unwrap()), [1, 5, 5, -1, 0]);
    }

    #[test]
    fn a_part_of_a_second_counts_from_its_first_millisecond() {
        let cell = Cell { burst: 0, interval: 1, second: SECOND };
        for (units, seconds) in
            [(0, 0), (999_999, 0), (1_000_000, 1), (SECOND, 1), (SECOND + 1_000_000, 2)]
        {
            assert_eq!(cell.seconds(i128::from(units)), seconds, "{units}");
        }
    }

    #[test]
    fn more_than_a_million_a_second() {
        let cell = cell(1_000_000, 10_000_000, 1);
        assert_eq!(cell.interval, 100);
        let first = cell.throttle(None, NOW, 400_000).unwrap();
        assert_eq!(numbers(first), [0, 1_000_001, 600_001, -1, 1]);
    }

    #[test]
    fn no_number_overflows() {
        let numbers = [i64::MIN, i64::MIN + 1, -1, 0, 1, 2, NOW, i64::MAX - 1, i64::MAX];
        for (burst, count) in numbers.iter().flat_map(|a| numbers.map(|b| (*a, b))) {
            for period in [f64::MIN, -1.0, 0.0, 1.0, 1e9, 1e30, f64::MAX, f64::INFINITY, f64::NAN] {
                let Some(cell) = Cell::new(burst, count, period, SECOND) else { continue };
                for (kept, quantity) in numbers.iter().flat_map(|a| numbers.map(|b| (*a, b))) {
                    for now in [0, NOW] {
                        if let Ok(throttled) = cell.throttle(Some(kept), now, quantity) {
                            assert!((0..=throttled.limit).contains(&throttled.remaining));
                            assert!(throttled.reset_after >= 0 && throttled.retry_after >= -1);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn never_more_than_the_burst_and_what_the_time_allows() {
        // Arrivals at odd distances for an hour: 5 at once, then one in 2.5 s.
        let cell = cell(4, 24, 60);
        let (mut kept, mut admitted, mut now) = (None, Vec::new(), NOW);
        for step in 0..10_000i64 {
            now += (step * 7919 % 997) * 1_000_000;
            let throttled = cell.throttle(kept, now, 1 + step % 3).unwrap();
            if let Kept::Moment(moment) = throttled.kept {
                kept = Some(moment);
                admitted.extend(std::iter::repeat_n(now, 1 + (step % 3) as usize));
            }
        }
        for (at, first) in admitted.iter().enumerate().step_by(7) {
            for (more, last) in admitted[at..].iter().enumerate() {
                let most = 5 + (last - first) / (cell.interval - 1);
                assert!((more as i64) < most + 1, "{more} in {} ns", last - first);
            }
        }
    }
}
