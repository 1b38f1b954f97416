//! The 80-bit floating point of INCRBYFLOAT and HINCRBYFLOAT.
//!
//! Redis on x86-64 reads, adds and prints C's `long double`, the x87 format: 64 bits of
//! significand, 15 of exponent. A client that counts in tenths sees the difference to a double
//! in the digits, so the same format is used here, with correct rounding throughout, on any
//! processor. Texts are read as `strtold` reads them and written as `%.17Lf` without the zeros
//! at the end (Redis' `LD_STR_HUMAN`). Left out on purpose: every operation that no
//! command needs.

use std::fmt;
use std::ops::Add;

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round};

use super::number::{self, Numeral, parse_integer};

/// Bytes of the longest text that is read, plus one (Redis: `MAX_LONG_DOUBLE_CHARS`).
const TEXT_BYTES: usize = 5 * 1024;

/// 10 to the digits behind the dot.
const FRACTION: u128 = 10u128.pow(FRACTION_DIGITS);
const FRACTION_DIGITS: u32 = 17;

/// A number of the x87 format.
#[derive(Debug, Clone, Copy)]
pub struct LongDouble(Form);

#[derive(Debug, Clone, Copy)]
enum Form {
    /// Most counters: the format holds every 64-bit integer.
    Whole(i64),
    Extended(X87DoubleExtended),
}

impl LongDouble {
    /// Reads a number as Redis does: what `strtold` takes as a whole (decimal, hexadecimal,
    /// infinity), but no leading blank, no NaN, and neither a number too large nor one so small
    /// that it would become 0.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if let Some(whole) = parse_integer(text) {
            return Some(whole.into());
        }
        if text.len() >= TEXT_BYTES {
            return None;
        }
        let numeral = Numeral::parse(text)?;
        let value = match numeral.form {
            number::Form::Infinity => X87DoubleExtended::INFINITY,
            number::Form::Decimal(digits) => {
                in_range(number::parse_nearest(digits)?, numeral.zero)?
            }
            number::Form::Hexadecimal(digits) => {
                in_range(number::parse_hexadecimal(digits)?, numeral.zero)?
            }
        };
        Some(LongDouble(Form::Extended(if numeral.negative { -value } else { value })))
    }

    /// Whether the number is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        match self.0 {
            Form::Whole(_) => true,
            Form::Extended(value) => value.is_finite(),
        }
    }

    /// Whether the number is NaN, which only the sum of both infinities is.
    pub fn is_nan(self) -> bool {
        match self.0 {
            Form::Whole(_) => false,
            Form::Extended(value) => value.is_nan(),
        }
    }

    /// A thousand times the number, rounded up: seconds as milliseconds. What is too large or
    /// too small, infinity for one, is the largest or the smallest integer.
    pub fn thousandfold(self) -> i128 {
        match self.0 {
            Form::Whole(whole) => i128::from(whole) * 1000,
            Form::Extended(value) => {
                let product = (value * X87DoubleExtended::from_i128(1000).value).value;
                product.to_i128_r(128, Round::TowardPositive, &mut false).value
            }
        }
    }

    fn extended(self) -> X87DoubleExtended {
        match self.0 {
            Form::Whole(whole) => X87DoubleExtended::from_i128(i128::from(whole)).value,
            Form::Extended(value) => value,
        }
    }
}

impl From<i64> for LongDouble {
    fn from(whole: i64) -> Self {
        LongDouble(Form::Whole(whole))
    }
}

impl Add for LongDouble {
    type Output = LongDouble;

    fn add(self, other: LongDouble) -> LongDouble {
        if let (Form::Whole(a), Form::Whole(b)) = (self.0, other.0)
            && let Some(sum) = a.checked_add(b)
        {
            return sum.into();
        }
        LongDouble(Form::Extended((self.extended() + other.extended()).value))
    }
}

/// As Redis stores and replies it: never an exponent, at most 17 digits behind the dot, no
/// zeros at the end, no negative zero.
impl fmt::Display for LongDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Form::Whole(whole) => f.write_str(itoa::Buffer::new().format(whole)),
            Form::Extended(value) if value.is_nan() => f.write_str("nan"),
            Form::Extended(value) => {
                let text =
                    if value.is_infinite() { "inf".into() } else { magnitude(value.to_bits()) };
                let sign = if value.is_negative() && text != "0" { "-" } else { "" };
                write!(f, "{sign}{text}")
            }
        }
    }
}

/// `strtold` sets ERANGE where a number that is not zero becomes infinite or zero.
fn in_range(value: X87DoubleExtended, zero: bool) -> Option<X87DoubleExtended> {
    (value.is_finite() && (!value.is_zero() || zero)).then_some(value)
}

/// The digits of a finite number without its sign, from its 80 bits: a sign, 15 bits of
/// exponent with a bias of 16383, 64 bits of significand of which the first is the integer part.
fn magnitude(bits: u128) -> String {
    let significand = bits as u64;
    // Subnormal numbers have the exponent of the smallest normal ones.
    let biased = ((bits >> 64) as i32 & 0x7fff).max(1);
    match biased - (16383 + 63) {
        exponent @ 0.. => shifted_left(significand, exponent.unsigned_abs()),
        exponent => shifted_right(significand, exponent.unsigned_abs()),
    }
}

/// The digits of `significand / 2^shift`, rounded to the even 17th digit behind the dot;
/// `shift` is at least 1.
fn shifted_right(significand: u64, shift: u32) -> String {
    let whole = significand.checked_shr(shift).unwrap_or(0);
    let rest = significand - whole.checked_shl(shift).unwrap_or(0);
    // Below 2^64 * 10^17 < 2^121.
    let scaled = u128::from(rest) * FRACTION;
    let mut fraction = scaled.checked_shr(shift).unwrap_or(0);
    if let Some(half) = 1u128.checked_shl(shift - 1) {
        let lost = scaled - fraction.checked_shl(shift).unwrap_or(0);
        let up = lost > half || (lost == half && fraction % 2 == 1);
        fraction += u128::from(up);
    }
    // Rounding may have carried into the whole part, which is below 2^63.
    let whole = u128::from(whole) + fraction / FRACTION;
    let text = format!("{whole}.{:0width$}", fraction % FRACTION, width = FRACTION_DIGITS as usize);
    number::trimmed(&text).into()
}

/// The digits of `significand * 2^shift`.
fn shifted_left(significand: u64, shift: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    // Groups of nine digits, the lowest first.
    let mut groups = Vec::new();
    let mut carry = significand;
    while carry > 0 {
        groups.push(carry % BASE);
        carry /= BASE;
    }
    let mut left = shift;
    while left > 0 {
        let step = left.min(32);
        for group in &mut groups {
            // Below 10^9 * 2^32 + 2^33, which fits.
            let value = (*group << step) + carry;
            *group = value % BASE;
            carry = value / BASE;
        }
        while carry > 0 {
            groups.push(carry % BASE);
            carry /= BASE;
        }
        left -= step;
    }
    let Some(first) = groups.pop() else { return "0".into() };
    groups.iter().rev().fold(first.to_string(), |text, group| format!("{text}{group:09}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> LongDouble {
        LongDouble::parse(text.as_bytes()).expect(text)
    }

    fn sum(a: &str, b: &str) -> String {
        (number(a) + number(b)).to_string()
    }

    #[test]
    fn sums_as_redis_prints_them() {
        for (a, b, text) in [
            ("10.5", "0.1", "10.6"),
            ("0.1", "0.2", "0.3"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3.0", "0"),
            ("0", "-1e-30", "0"),
            ("0", "-0", "0"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("9223372036854775807", "9223372036854775807", "18446744073709551614"),
            ("0", "0x1p-17", "0.00000762939453125"),
            ("1e18", "0.4", "1000000000000000000.375"),
            // Ties go to the even digit.
            ("0", "0x1p-18", "0.00000381469726562"),
            ("0", "0x3p-18", "0.00001144409179688"),
            ("0", "0x1p100", "1267650600228229401496703205376"),
        ] {
            assert_eq!(sum(a, b), text, "{a} + {b}");
        }
    }

    #[test]
    fn thousandfolds_are_rounded_up() {
        for (text, thousandfold) in [
            ("0", 0),
            ("1.5", 1500),
            ("0.0001", 1),
            ("-0.0001", 0),
            ("-0.0011", -1),
            ("-2", -2000),
            ("1e400", i128::MAX),
            ("inf", i128::MAX),
            ("-inf", i128::MIN),
        ] {
            assert_eq!(number(text).thousandfold(), thousandfold, "{text}");
        }
    }

    #[test]
    fn infinities_are_numbers_until_they_meet() {
        let sum = number("inf") + number("-INFINITY");
        assert!(sum.is_nan() && !sum.is_finite());
        let large = number("1e4932") + number("1e4932");
        assert!(!large.is_nan() && !large.is_finite());
        assert_eq!(large.to_string(), "inf");
        assert_eq!(number("-inf").to_string(), "-inf");
    }

    #[test]
    fn refuses_what_redis_refuses() {
        for text in ["", " 1", "1 ", "nan", "1e5000", "1e-5000", "0x", "1e", "-", "+", "1,5"] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(LongDouble::parse(&[b'0'; TEXT_BYTES]).is_none());
        assert!(LongDouble::parse(&[b'0'; TEXT_BYTES - 1]).is_some());
        assert!(LongDouble::parse(b"1e-99999999999999999999").is_none());
        assert!(LongDouble::parse(b"0x1p99999999999999999999").is_none());
        assert_eq!(number("0e99999999999999999999").to_string(), "0");
    }

    #[test]
    fn the_largest_and_the_smallest() {
        let largest = number("0xffffffffffffffffp16320").to_string();
        assert_eq!(largest.len(), 4933);
        assert!(largest.starts_with("118973149535723176502126385303097020516906332229462"));
        // It reads back as what it was, and one step further is too large.
        assert_eq!(number(&largest).to_string(), largest);
        assert!(LongDouble::parse(b"0x1p16384").is_none());
        assert_eq!(number("0x1p-16445").to_string(), "0");
        assert!(LongDouble::parse(b"0x1p-16446").is_none());
    }

    proptest! {
        #[test]
        fn the_short_way_is_the_long_way(a in any::<i64>(), b in any::<i64>(), shift in 0u32..64) {
            let (a, b) = (a >> shift, b >> (shift / 2));
            let long = |n: i64| LongDouble(Form::Extended(LongDouble::from(n).extended()));
            let sum = LongDouble::from(a) + LongDouble::from(b);
            prop_assert_eq!(sum.to_string(), (long(a) + long(b)).to_string());
            prop_assert_eq!(long(a).to_string(), a.to_string());
        }

        #[test]
        fn any_bytes_are_read_or_refused(text in "[-+0-9.eExXpPinfa]{0,12}") {
            let _ = LongDouble::parse(text.as_bytes());
        }
    }
}
