//! Numbers as Redis reads and writes them.
//!
//! Integers are canonical (no plus, no leading zeros, no blanks), so that a value that is
//! stored as a number reads back as the very bytes that were set. Doubles are read as C's
//! `strtod` reads them and written as `%.17g`, the form of Redis 7.0. Left out on purpose: the
//! 80-bit arithmetic of INCRBYFLOAT, which is `long_double`.

use rustc_apfloat::ieee::Double;
use rustc_apfloat::{Float, Round};

/// Reads a canonical 64-bit integer (Redis' `string2ll`); `None` for anything else.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // 19 digits are below 10^19, which fits in 64 bits.
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// Reads a double as Redis does: what `strtod` takes as a whole, but no leading blank, no NaN,
/// and neither a number too large nor one so small that it would become 0.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let numeral = Numeral::parse(text)?;
    let value = match numeral.form {
        Form::Infinity => f64::INFINITY,
        Form::Decimal(digits) => in_range(digits.parse().ok()?, numeral.zero)?,
        Form::Hexadecimal(digits) => {
            let value: Double = parse_hexadecimal(digits)?;
            in_range(f64::from_bits(u64::try_from(value.to_bits()).ok()?), numeral.zero)?
        }
    };
    Some(if numeral.negative { -value } else { value })
}

/// Reads an end of a range of scores as Redis does: what `strtod` takes up to the first NUL, be it
/// out of range, blanks in front and nothing at all (which is 0) included; but no NaN.
pub fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !blank(byte))?;
    let numeral = Numeral::parse(&text[start..])?;
    let value = match numeral.form {
        Form::Infinity => f64::INFINITY,
        Form::Decimal(digits) => digits.parse().ok()?,
        Form::Hexadecimal(digits) => {
            let value: Double = parse_hexadecimal(digits)?;
            f64::from_bits(u64::try_from(value.to_bits()).ok()?)
        }
    };
    Some(if numeral.negative { -value } else { value })
}

/// `strtod` sets ERANGE where a number that is not zero becomes infinite or zero.
fn in_range(value: f64, zero: bool) -> Option<f64> {
    (value.is_finite() && (value != 0.0 || zero)).then_some(value)
}

/// Reads a decimal numeral, correctly rounded, infinite or 0 where it is out of range.
pub(super) fn parse_nearest<F: Float>(digits: &str) -> Option<F> {
    Some(F::from_str_r(digits, Round::NearestTiesToEven).ok()?.value)
}

/// Reads `0x1.8p3` in the same way; the binary exponent may be missing.
pub(super) fn parse_hexadecimal<F: Float>(digits: &str) -> Option<F> {
    if digits.contains(['p', 'P']) {
        return parse_nearest(digits);
    }
    parse_nearest(&format!("{digits}p0"))
}

/// A text that `strtod` takes as a whole, NaN excepted.
pub(super) struct Numeral<'a> {
    pub(super) negative: bool,
    /// Whether all digits are 0, so that the value is 0 and not too small.
    pub(super) zero: bool,
    pub(super) form: Form<'a>,
}

/// A numeral without its sign.
pub(super) enum Form<'a> {
    Infinity,
    /// `1.5e3`; the dot, the digits on one of its sides and the exponent may be missing.
    Decimal(&'a str),
    /// The same with `0x` in front, hexadecimal digits, and `p` before the exponent.
    Hexadecimal(&'a str),
}

impl<'a> Numeral<'a> {
    /// The numeral that `text` is, from its first byte to its last.
    pub(super) fn parse(text: &'a [u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        let (zero, form) = match digits {
            [b'0', b'x' | b'X', rest @ ..] => {
                let zero = all_zero(rest, b'p', u8::is_ascii_hexdigit)?;
                (zero, Form::Hexadecimal(std::str::from_utf8(digits).ok()?))
            }
            [b'i' | b'I', ..] => {
                let known: [&[u8]; 2] = [b"inf", b"infinity"];
                known.iter().find(|name| digits.eq_ignore_ascii_case(name))?;
                (false, Form::Infinity)
            }
            _ => {
                let zero = all_zero(digits, b'e', u8::is_ascii_digit)?;
                (zero, Form::Decimal(std::str::from_utf8(digits).ok()?))
            }
        };
        Some(Numeral { negative, zero, form })
    }
}

/// Whether all digits before the exponent are 0; `None` when `text` is not digits with at
/// most one dot, and an exponent behind `mark` at most.
fn all_zero(text: &[u8], mark: u8, is_digit: fn(&u8) -> bool) -> Option<bool> {
    let end = text.iter().position(|byte| byte.to_ascii_lowercase() == mark);
    let (mantissa, exponent) = text.split_at(end.unwrap_or(text.len()));
    if let [_, exponent @ ..] = exponent {
        let digits = exponent.strip_prefix(b"-").or(exponent.strip_prefix(b"+"));
        let digits = digits.unwrap_or(exponent);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
    }
    let dots = mantissa.iter().filter(|byte| **byte == b'.').count();
    let digits = mantissa.iter().filter(|byte| is_digit(byte)).count();
    if dots > 1 || digits == 0 || dots + digits < mantissa.len() {
        return None;
    }
    Some(mantissa.iter().all(|byte| matches!(byte, b'0' | b'.')))
}

/// Writes a double as Redis 7.0 replies it, in both protocols: C's `%.17g`, so `3`,
/// `0.10000000000000001`, `1e+21`, `inf`. Redis 7.2 and later write the shortest text that
/// reads back the same.
pub fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    // Whole numbers below 10^17, which most scores are, need no rounding.
    if value.trunc() == value && value.abs() < 1e17 && value != 0.0 {
        return itoa::Buffer::new().format(value as i64).into();
    }
    let text = format!("{value:.16e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..17).contains(&exponent) {
        let decimals = usize::try_from(16 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}")).into();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs())
}

/// Writes a double with 17 decimals, but for the zeros at their end: the form that Redis calls
/// human, in which it answers coordinates.
pub fn format_fixed(value: f64) -> String {
    let text = format!("{value:.17}");
    let text = trimmed(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

/// Writes a double as Redis stores a score in a listpack, which ZSCAN and DUMP show: a whole
/// number up to 2^62 with all of its digits, anything else as `format_double` does.
pub fn format_stored_double(value: f64) -> String {
    const LARGEST: f64 = (1u64 << 62) as f64;
    if value.trunc() == value && value.abs() <= LARGEST {
        return itoa::Buffer::new().format(value as i64).into();
    }
    format_double(value)
}

/// A decimal fraction without the zeros at its end, and without a dot that ends it.
pub(super) fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_canonical() {
        for n in [0, 1, -1, 42, i64::MAX, i64::MIN, i64::MAX - 1] {
            assert_eq!(parse_integer(n.to_string().as_bytes()), Some(n));
        }
        for text in [
            "",
            "-",
            "-0",
            "01",
            "+1",
            " 1",
            "1 ",
            "9223372036854775808",
            "1.0",
            "a",
            "-9223372036854775809",
            "99999999999999999999",
        ] {
            assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_as_strtod() {
        for (text, value) in [
            ("3.5", 3.5),
            ("+1e3", 1000.0),
            ("-inf", f64::NEG_INFINITY),
            ("InFinity", f64::INFINITY),
            ("0x10", 16.0),
            ("-0X.8p1", -1.0),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.000000000000080000001p0", 1.0 + f64::EPSILON),
            ("5.", 5.0),
            (".5", 0.5),
            ("0e-999999999999", 0.0),
            ("5e-324", 5e-324),
        ] {
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text}");
        }
        for text in [
            "",
            "nan",
            "1e",
            " 1",
            "1 ",
            "1e999",
            "1e-400",
            "e5",
            "--1",
            ".",
            "0x",
            "0x.p1",
            "0x1p",
            "1e+",
            "infi",
            "1\0",
            "0x1p-2000",
            "0x1p2000",
            "1..",
            "1_0",
            "\u{661}",
        ] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_read_leniently() {
        for (text, value) in [
            ("", Some(0.0)),
            ("\0x", Some(0.0)),
            ("1.5\0x", Some(1.5)),
            (" \t\x0b1", Some(1.0)),
            ("-1e999", Some(f64::NEG_INFINITY)),
            ("1e-999", Some(0.0)),
            ("0x1p2000", Some(f64::INFINITY)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            (" ", None),
            ("1 ", None),
            ("nan", None),
            ("1x", None),
        ] {
            assert_eq!(parse_bound(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn whole_doubles_are_stored_in_digits() {
        for (value, text) in [
            (1e17, "100000000000000000"),
            (-(2f64.powi(62)), "-4611686018427387904"),
            (2f64.powi(63), "9.2233720368547758e+18"),
            (-0.0, "0"),
            (0.5, "0.5"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(format_stored_double(value), text);
        }
    }

    #[test]
    fn doubles_print_as_g() {
        for (value, text) in [
            (3.0, "3"),
            (-3.0, "-3"),
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.10000000000000001"),
            (0.5, "0.5"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e21, "1e+21"),
            (1.5e-7, "1.4999999999999999e-07"),
            (0.0001, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            // Ties go to the even digit.
            (4_938_271_560_493_827.0 / 4.0, "1234567890123456.8"),
            (4_938_271_560_493_825.0 / 4.0, "1234567890123456.2"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(format_double(value), text);
        }
    }
}
