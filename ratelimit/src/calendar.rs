//! Months, as the calendar has them in UTC: windows of `mo` and `y` begin with them.
//!
//! Months are counted from January 1970, and windows of several begin at multiples of their number: `3mo`
//! is the quarter, `1y` the year.
//!
//! Left out on purpose: other time zones, of which rules change while limits last.

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Days before each month of a year that is no leap year.
const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// The Gregorian calendar repeats itself after so many months, which are so many days.
const CYCLE_MONTHS: u64 = 400 * 12;
const CYCLE_DAYS: u64 = 146_097;

/// The window of `months` (at least 1) that contains `at`: its first millisecond, and the first of the
/// next.
pub(crate) fn span(at: u64, months: u64) -> (u64, u64) {
    let months = months.max(1);
    let month = month_of(at / DAY_MS);
    let first = month - month % months;
    (day_of(first) * DAY_MS, day_of(first + months) * DAY_MS)
}

/// The month that a day since 1970 lies in.
fn month_of(day: u64) -> u64 {
    // What the mean length of a month says is a month off at most.
    let mean = day * CYCLE_MONTHS / CYCLE_DAYS;
    let near = mean.saturating_sub(1)..=mean + 1;
    near.rev().find(|month| day_of(*month) <= day).unwrap_or(0)
}

/// The first day of a month, in days since 1970.
fn day_of(month: u64) -> u64 {
    let (year, of_year) = (1970 + month / 12, (month % 12) as usize);
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let before = 365 * (year - 1970) + leap_days(year - 1) - leap_days(1969);
    before + BEFORE[of_year] + u64::from(leap && of_year > 1)
}

/// Leap days up to the end of a year.
fn leap_days(year: u64) -> u64 {
    year / 4 - year / 100 + year / 400
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::MAX_NOW_MS;
    use proptest::prelude::*;

    /// Unix seconds of midnights, from `date -u -d <day> +%s`.
    #[test]
    fn windows_begin_where_the_calendar_says() {
        for (at, months, from, to) in [
            (0, 1, 0, 2_678_400),                              // January 1970
            (1_709_164_800, 1, 1_706_745_600, 1_709_251_200),  // 2024-02-29, a leap day
            (951_782_400, 1, 949_363_200, 951_868_800),        // 2000-02-29, one too
            (4_107_542_399, 1, 4_105_123_200, 4_107_542_400),  // February 2100 has 28 days
            (1_795_219_200, 1, 1_793_491_200, 1_796_083_200),  // 2026-11-21
            (1_795_219_200, 3, 1_790_812_800, 1_798_761_600),  // its quarter
            (1_795_219_200, 12, 1_767_225_600, 1_798_761_600), // 2026
        ] {
            assert_eq!(span(at * 1000, months), (from * 1000, to * 1000), "{at} by {months}");
        }
    }

    proptest! {
        #[test]
        fn windows_follow_on_each_other(at in 0..=MAX_NOW_MS, months in 1..=120u64) {
            let (from, to) = span(at, months);
            prop_assert!((from..to).contains(&at));
            prop_assert_eq!(span(to - 1, months), (from, to));
            prop_assert_eq!(span(to, months).0, to);
            let days = (to - from) / DAY_MS;
            prop_assert!((28 * months..=31 * months).contains(&days));
        }
    }
}
