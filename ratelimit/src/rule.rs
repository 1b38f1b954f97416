//! A rule and its text: `<limit>/<window>[:<algorithm>][:<burst>]`.
//!
//! `100/60s`, `10/1s:gcra:20`, `1000/1d:fixed`. The window is a whole number
//! and one of `ms s m h d w`. The algorithm is `sliding` if none is named.
//! `20/conc` has no window: so many slots at once.
//! A burst belongs to `gcra` alone and is the limit if none is named. Text is
//! matched as written: no spaces, no signs, no upper case. Windows of `mo` and `y`
//! are those of the calendar: only `fixed` has them, and is meant if none is named.
//!
//! Left out on purpose: names (`@pro`), which the server resolves before it
//! comes here.

use std::fmt;

use crate::calendar;
use crate::held::MAX_HOLDS;

/// The largest limit and burst: what an integer reply can carry.
pub const MAX_AMOUNT: u64 = i64::MAX as u64;

/// The longest window, ten years of 366 days. It keeps a product with any
/// amount below 2^103.
pub const MAX_WINDOW_MS: u64 = 3660 * DAY_MS;

/// The longest window of the calendar, ten years.
pub const MAX_MONTHS: u16 = 120;

/// The largest limit under `log`, which remembers every admission.
pub const MAX_LOG_LIMIT: u64 = 10_000;

/// The longest time in which a `gcra` rule may refill its whole burst: the
/// largest number of milliseconds that a JSON client reads exactly.
pub const MAX_REFILL_MS: u64 = (1 << 53) - 1;

/// The longest text of a rule. The longest canonical one has 59 bytes; the
/// rest is room for leading zeros of generated text.
pub const MAX_TOKEN_BYTES: usize = 128;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Units from the longest, so that the first one that divides is the canonical one.
const UNITS: [(&str, u64); 6] = [
    ("w", 7 * DAY_MS),
    ("d", DAY_MS),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Units of the calendar, in months.
const MONTHS: [(&str, u64); 2] = [("y", 12), ("mo", 1)];

/// How a rule counts. More will come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Never more than the limit in any window; the default.
    Sliding,
    /// Epoch-aligned windows, each with the full limit.
    Fixed,
    /// Smooth: a bucket of `burst` that refills continuously at limit / window.
    Gcra,
    /// Every admission remembered: exact.
    Log,
    /// So many at once, each held until it is let go or its time is over.
    Conc,
}

impl Algorithm {
    /// The name in the text of a rule.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sliding => "sliding",
            Self::Fixed => "fixed",
            Self::Gcra => "gcra",
            Self::Log => "log",
            Self::Conc => "conc",
        }
    }

    fn parse(name: &[u8]) -> Result<Self, RuleError> {
        match name {
            b"sliding" => Ok(Self::Sliding),
            b"fixed" => Ok(Self::Fixed),
            b"gcra" => Ok(Self::Gcra),
            b"log" => Ok(Self::Log),
            b"conc" => Err(RuleError::Conc),
            _ => Err(RuleError::Algorithm),
        }
    }
}

/// How much may pass in which time, counted how. Always within the bounds that
/// this module names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    limit: u64,
    window_ms: u64,
    burst: u64,
    algorithm: Algorithm,
    /// Months of a window of the calendar; 0 = it is none.
    months: u16,
}

/// What is wrong with a rule, naming the part. The text never quotes the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("rule: longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// A name, which the caller has to look up.
    #[error("rule: a name stands where <limit>/<window> is expected")]
    Name,
    /// More than `limit/window:algorithm:burst`.
    #[error("rule: text after the burst")]
    Trailing,
    /// Not a whole number in `1..=MAX_AMOUNT`.
    #[error("limit: must be a whole number from 1 to {MAX_AMOUNT}")]
    Limit,
    /// No `/`, so no window.
    #[error("window: missing; write <limit>/<window>, as in 100/60s")]
    NoWindow,
    /// Not a number and a known unit.
    #[error("window: must be a whole number and one of ms, s, m, h, d, w, mo, y, as in 60s")]
    Window,
    /// 0, or longer than [`MAX_WINDOW_MS`].
    #[error("window: must be from 1ms to 3660d")]
    WindowRange,
    /// 0, or more than [`MAX_MONTHS`].
    #[error("window: must be from 1mo to 10y")]
    MonthRange,
    /// `mo` or `y` under another algorithm than `fixed`.
    #[error("window: mo and y are of the calendar, which only fixed goes by")]
    Calendar,
    /// No algorithm of that name.
    #[error("algorithm: must be sliding, fixed, gcra or log")]
    Algorithm,
    /// `conc` with a window.
    #[error("conc: has no window; write <limit>/conc, as in 20/conc")]
    Conc,
    /// A limit beyond [`MAX_HOLDS`] under `conc`.
    #[error("limit: at most {MAX_HOLDS} under conc")]
    ConcLimit,
    /// A limit beyond [`MAX_LOG_LIMIT`] under `log`.
    #[error("limit: at most {MAX_LOG_LIMIT} under log; sliding has larger ones")]
    LogLimit,
    /// Not a whole number in `1..=MAX_AMOUNT`.
    #[error("burst: must be a whole number from 1 to {MAX_AMOUNT}")]
    Burst,
    /// A burst for an algorithm that has none.
    #[error("burst: only gcra has one")]
    BurstUnused,
    /// The burst would take longer than [`MAX_REFILL_MS`] to come back.
    #[error("burst: at this rate it would take more than {MAX_REFILL_MS} ms to come back")]
    BurstRange,
}

impl Rule {
    /// A rule from its parts. A burst of `None` is the limit; the window of `conc` is 0.
    ///
    /// # Errors
    /// [`RuleError`] if a part is out of its range.
    pub fn new(
        limit: u64,
        window_ms: u64,
        algorithm: Algorithm,
        burst: Option<u64>,
    ) -> Result<Self, RuleError> {
        if !(1..=MAX_AMOUNT).contains(&limit) {
            return Err(RuleError::Limit);
        }
        match algorithm {
            Algorithm::Conc if window_ms != 0 => return Err(RuleError::Conc),
            Algorithm::Conc if limit > MAX_HOLDS as u64 => return Err(RuleError::ConcLimit),
            Algorithm::Conc => {}
            _ if !(1..=MAX_WINDOW_MS).contains(&window_ms) => return Err(RuleError::WindowRange),
            Algorithm::Log if limit > MAX_LOG_LIMIT => return Err(RuleError::LogLimit),
            _ => {}
        }
        if burst.is_some() && algorithm != Algorithm::Gcra {
            return Err(RuleError::BurstUnused);
        }
        let burst = burst.unwrap_or(limit);
        if !(1..=MAX_AMOUNT).contains(&burst) {
            return Err(RuleError::Burst);
        }
        if u128::from(burst) * u128::from(window_ms) > u128::from(limit) * u128::from(MAX_REFILL_MS)
        {
            return Err(RuleError::BurstRange);
        }
        Ok(Self { limit, window_ms, burst, algorithm, months: 0 })
    }

    /// A rule of `fixed` whose windows are so many months of the calendar, in UTC.
    ///
    /// # Errors
    /// [`RuleError`] if a part is out of its range.
    pub fn calendar(limit: u64, months: u16) -> Result<Self, RuleError> {
        if !(1..=MAX_MONTHS).contains(&months) {
            return Err(RuleError::MonthRange);
        }
        let (years, rest) = (u64::from(months / 12), u64::from(months % 12));
        let window_ms = (years * 365 + rest * 30) * DAY_MS;
        Ok(Self { months, ..Self::new(limit, window_ms, Algorithm::Fixed, None)? })
    }

    /// A rule from its text.
    ///
    /// # Errors
    /// [`RuleError`] with the first part that is wrong, from the left.
    pub fn parse(token: &[u8]) -> Result<Self, RuleError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(RuleError::TooLong);
        }
        if token.first() == Some(&b'@') {
            return Err(RuleError::Name);
        }
        let slash = token.iter().position(|&byte| byte == b'/');
        let limit = number(&token[..slash.unwrap_or(token.len())]).ok_or(RuleError::Limit)?;
        let rest = slash.and_then(|at| token.get(at + 1..)).ok_or(RuleError::NoWindow)?;
        if rest == b"conc" {
            return Self::new(limit, 0, Algorithm::Conc, None);
        }
        let mut parts = rest.split(|&byte| byte == b':');
        let window = window(parts.next().unwrap_or_default())?;
        let algorithm = parts.next().map(Algorithm::parse).transpose()?;
        let burst = match parts.next() {
            Some(text) => Some(number(text).ok_or(RuleError::Burst)?),
            None => None,
        };
        if parts.next().is_some() {
            return Err(RuleError::Trailing);
        }
        match (window, algorithm, burst) {
            (Window::Span(ms), _, _) => {
                Self::new(limit, ms, algorithm.unwrap_or(Algorithm::Sliding), burst)
            }
            (Window::Months(_), None | Some(Algorithm::Fixed), Some(_)) => {
                Err(RuleError::BurstUnused)
            }
            (Window::Months(months), None | Some(Algorithm::Fixed), None) => {
                Self::calendar(limit, months)
            }
            (Window::Months(_), Some(_), _) => Err(RuleError::Calendar),
        }
    }

    /// How much may pass in a window, `1..=MAX_AMOUNT`.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The window in milliseconds, `1..=MAX_WINDOW_MS`; 0 under `conc`. A month of the
    /// calendar is 30 days here, and a year 365.
    #[inline]
    #[must_use]
    pub fn window_ms(&self) -> u64 {
        self.window_ms
    }

    /// Whether windows are months or years of the calendar.
    #[inline]
    #[must_use]
    pub fn is_calendar(&self) -> bool {
        self.months > 0
    }

    /// The window of `fixed` that contains `at`: its first tick, and the first of the next.
    #[inline]
    pub(crate) fn span(&self, at: u64) -> (u64, u64) {
        if self.months > 0 {
            return calendar::span(at, self.months.into());
        }
        let start = at - at % self.window_ms;
        (start, start + self.window_ms)
    }

    /// How it counts.
    #[inline]
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How much may pass at once, `1..=MAX_AMOUNT`: the burst under `gcra`,
    /// the limit otherwise.
    #[inline]
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.burst
    }
}

impl fmt::Display for Rule {
    /// The canonical text: equal rules have equal texts, and it parses back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.algorithm == Algorithm::Conc {
            return write!(f, "{}/conc", self.limit);
        }
        if self.months > 0 {
            let years = self.months.is_multiple_of(12);
            let (count, unit) = if years { (self.months / 12, "y") } else { (self.months, "mo") };
            return write!(f, "{}/{count}{unit}:fixed", self.limit);
        }
        let (unit, size) = UNITS
            .into_iter()
            .find(|(_, size)| self.window_ms.is_multiple_of(*size))
            .unwrap_or(("ms", 1));
        write!(f, "{}/{}{unit}", self.limit, self.window_ms / size)?;
        if self.algorithm != Algorithm::Sliding {
            write!(f, ":{}", self.algorithm.name())?;
        }
        if self.burst != self.limit {
            write!(f, ":{}", self.burst)?;
        }
        Ok(())
    }
}

/// Decimal digits and nothing else, up to `u64::MAX`.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A window as it is written.
enum Window {
    /// In milliseconds.
    Span(u64),
    /// In months of the calendar.
    Months(u16),
}

/// A number and a unit. Too large a number is out of range, not malformed.
fn window(text: &[u8]) -> Result<Window, RuleError> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (count, unit) = text.split_at(digits);
    if count.is_empty() {
        return Err(RuleError::Window);
    }
    if let Some((_, size)) = MONTHS.iter().find(|(name, _)| name.as_bytes() == unit) {
        let months = number(count).and_then(|count| u16::try_from(count.checked_mul(*size)?).ok());
        return months.map(Window::Months).ok_or(RuleError::MonthRange);
    }
    let (_, size) =
        UNITS.iter().find(|(name, _)| name.as_bytes() == unit).ok_or(RuleError::Window)?;
    let span = number(count).and_then(|count| count.checked_mul(*size));
    span.map(Window::Span).ok_or(RuleError::WindowRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(text: &str) -> Rule {
        Rule::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn reads_the_parts() {
        let full = rule("10/1s:gcra:20");
        assert_eq!(
            (full.limit(), full.window_ms(), full.algorithm(), full.burst()),
            (10, 1000, Algorithm::Gcra, 20)
        );
        let short = rule("100/60s");
        assert_eq!(
            (short.limit(), short.window_ms(), short.algorithm(), short.burst()),
            (100, 60_000, Algorithm::Sliding, 100)
        );
        assert_eq!(rule("1000/1d:fixed").algorithm(), Algorithm::Fixed);
        for (text, ms) in
            [("7ms", 7), ("7s", 7_000), ("7m", 420_000), ("7h", 25_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(rule(&format!("1/{text}")).window_ms(), ms);
        }
        assert_eq!(rule("1/1w"), rule("1/7d"));
        assert_eq!(rule("1/12mo"), rule("1/1y:fixed"));
        assert_ne!(rule("1/1mo"), rule("1/30d:fixed"));
    }

    #[test]
    fn writes_the_canonical_text() {
        for (text, canonical) in [
            ("100/60s", "100/1m"),
            ("100/60s:sliding", "100/1m"),
            ("007/1500ms", "7/1500ms"),
            ("5/168h:fixed", "5/1w:fixed"),
            ("10/1s:gcra", "10/1s:gcra"),
            ("10/1s:gcra:10", "10/1s:gcra"),
            ("10/1s:gcra:20", "10/1s:gcra:20"),
            ("10/60s:log", "10/1m:log"),
            ("020/conc", "20/conc"),
            ("100/1mo", "100/1mo:fixed"),
            ("100/24mo:fixed", "100/2y:fixed"),
            ("100/10y", "100/10y:fixed"),
        ] {
            assert_eq!(rule(text).to_string(), canonical);
        }
        let longest = Rule::new(MAX_AMOUNT - 1, 316_223_999_999, Algorithm::Gcra, Some(MAX_AMOUNT));
        assert_eq!(longest.map(|rule| rule.to_string().len()), Ok(59));
    }

    #[test]
    fn says_what_is_wrong_with_which_part() {
        for (text, error) in [
            ("", RuleError::Limit),
            ("/60s", RuleError::Limit),
            ("0/60s", RuleError::Limit),
            ("-1/60s", RuleError::Limit),
            ("+1/60s", RuleError::Limit),
            (" 1/60s", RuleError::Limit),
            ("1.5/60s", RuleError::Limit),
            ("9223372036854775808/60s", RuleError::Limit),
            ("99999999999999999999999/60s", RuleError::Limit),
            ("100", RuleError::NoWindow),
            ("100/", RuleError::Window),
            ("100/s", RuleError::Window),
            ("100/60", RuleError::Window),
            ("100/60S", RuleError::Window),
            ("100/60s ", RuleError::Window),
            ("100/60s/2", RuleError::Window),
            ("100/-1s", RuleError::Window),
            ("100/0s", RuleError::WindowRange),
            ("100/3661d", RuleError::WindowRange),
            ("100/99999999999999999999w", RuleError::WindowRange),
            ("100/1mo:sliding", RuleError::Calendar),
            ("100/1y:gcra:5", RuleError::Calendar),
            ("100/1y:fixed:5", RuleError::BurstUnused),
            ("100/0mo", RuleError::MonthRange),
            ("100/121mo", RuleError::MonthRange),
            ("100/11y", RuleError::MonthRange),
            ("100/99999999999999999999y", RuleError::MonthRange),
            ("0/1mo", RuleError::Limit),
            ("100/60s:", RuleError::Algorithm),
            ("100/60s:20", RuleError::Algorithm),
            ("100/60s:GCRA", RuleError::Algorithm),
            ("10001/60s:log", RuleError::LogLimit),
            ("100/60s:log:20", RuleError::BurstUnused),
            ("100/60s:conc", RuleError::Conc),
            ("20/conc:5", RuleError::Window),
            ("20/conc:conc", RuleError::Window),
            ("0/conc", RuleError::Limit),
            ("1025/conc", RuleError::ConcLimit),
            ("100/60s:sliding:20", RuleError::BurstUnused),
            ("100/60s:fixed:20", RuleError::BurstUnused),
            ("100/60s:gcra:", RuleError::Burst),
            ("100/60s:gcra:0", RuleError::Burst),
            ("100/60s:gcra:9223372036854775808", RuleError::Burst),
            ("100/60s:gcra:1:", RuleError::Trailing),
            ("1/3660d:gcra:9223372036854775807", RuleError::BurstRange),
            ("@pro", RuleError::Name),
        ] {
            assert_eq!(Rule::parse(text.as_bytes()), Err(error), "{text}");
            let part = error.to_string();
            assert!(part.contains(": ") && !part.contains(['\r', '\n']), "{part}");
        }
        assert_eq!(Rule::parse(&[b'1'; MAX_TOKEN_BYTES + 1]), Err(RuleError::TooLong));
        assert_eq!(Rule::parse(b"100/\xff\xfes"), Err(RuleError::Window));
    }

    #[test]
    fn the_borders_are_accepted() {
        let most = format!("{MAX_AMOUNT}/{MAX_WINDOW_MS}ms");
        assert_eq!(rule(&most).limit(), MAX_AMOUNT);
        assert_eq!(rule("1/3660d").window_ms(), MAX_WINDOW_MS);
        let refill = Rule::new(1, 1, Algorithm::Gcra, Some(MAX_REFILL_MS));
        assert!(refill.is_ok());
        let refill = Rule::new(1, 1, Algorithm::Gcra, Some(MAX_REFILL_MS + 1));
        assert_eq!(refill, Err(RuleError::BurstRange));
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(token in prop::collection::vec(any::<u8>(), 0..140)) {
            let _ = Rule::parse(&token);
        }

        #[test]
        fn text_comes_back(
            token in "[0-9]{1,20}/([0-9]{1,13}(ms|s|m|h|d|w|mo|y)(:(sliding|fixed|gcra|log)(:[0-9]{1,20})?)?|conc)"
        ) {
            if let Ok(rule) = Rule::parse(token.as_bytes()) {
                let text = rule.to_string();
                prop_assert_eq!(Rule::parse(text.as_bytes()), Ok(rule));
                prop_assert!(text.len() <= MAX_TOKEN_BYTES);
            }
        }
    }
}
