//! Numbers as Redis reads and writes them.
//!
//! Integers are canonical (no plus, no leading zeros, no blanks), so that a value that is
//! stored as a number reads back as the very bytes that were set. INCRBYFLOAT and
//! HINCRBYFLOAT print as C's `%.17Lg` does after Redis' trimming: here the shortest text that
//! reads back as the same `f64`, which is the same for every sum a person would check.

/// Reads a canonical 64-bit integer (Redis' `string2ll`); `None` for anything else.
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

/// Reads a floating point number as `strtold` would, but whole: no blanks, no NaN.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let value = match unsigned.to_ascii_lowercase().as_str() {
        "inf" | "infinity" if text.starts_with('-') => f64::NEG_INFINITY,
        "inf" | "infinity" => f64::INFINITY,
        hex if hex.starts_with("0x") => {
            let value = hex_double(&hex[2..])?;
            if text.starts_with('-') { -value } else { value }
        }
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            let value: f64 = text.parse().ok()?;
            // strtold answers ERANGE where Rust answers infinity.
            if value.is_infinite() {
                return None;
            }
            value
        }
        _ => return None,
    };
    if value.is_nan() { None } else { Some(value) }
}

/// Hexadecimal digits with an optional fraction, as C accepts them; no binary exponent.
fn hex_double(digits: &str) -> Option<f64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0;
    for digit in whole.chars() {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let mut scale = 1.0 / 16.0;
    for digit in fraction.chars() {
        value += scale * f64::from(digit.to_digit(16)?);
        scale /= 16.0;
    }
    Some(value)
}

/// Writes a double as RESP3 does, and RESP2 in a bulk string: `3`, `0.1`, `1e+21`, `inf`.
pub fn format_double(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if value.is_nan() {
        return "nan".into();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-5..1e17).contains(&magnitude) {
        return exponent(value);
    }
    format!("{value}")
}

/// Writes a double as INCRBYFLOAT stores it: never with an exponent.
pub fn format_human(value: f64) -> String {
    // Negative zero reads as zero.
    format!("{}", if value == 0.0 { 0.0 } else { value })
}

/// `1e+21`, as C's `%g` writes exponents: a sign, and at least two digits.
fn exponent(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
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
    fn doubles_as_strtold() {
        assert_eq!(parse_double(b"3.5"), Some(3.5));
        assert_eq!(parse_double(b"+1e3"), Some(1000.0));
        assert_eq!(parse_double(b"-inf"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_double(b"0x10"), Some(16.0));
        assert_eq!(parse_double(b"5."), Some(5.0));
        for text in ["", "nan", "1e", " 1", "1 ", "1e999", "e5", "--1"] {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn doubles_print_as_g() {
        assert_eq!(format_double(3.0), "3");
        assert_eq!(format_double(0.1), "0.1");
        assert_eq!(format_double(1e21), "1e+21");
        assert_eq!(format_double(1.5e-7), "1.5e-07");
        assert_eq!(format_human(1e21), "1000000000000000000000");
    }
}
