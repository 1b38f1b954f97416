//! Numbers that stand for strings: decimal in its one canonical form.

/// The number that `text` is the decimal of, if it is written as Redis would write it.
///
/// No plus sign, no leading zeros, no `-0`, within 64 bits: exactly the strings that can be
/// stored as a number and read back unchanged.
pub(super) fn canonical(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    // Counted downwards, because i64::MIN has no positive counterpart.
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value = value.checked_mul(10)?.checked_sub(i64::from(digit))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// The decimal of a number.
pub(super) fn decimal(value: i64) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_what_reads_back_unchanged() {
        for value in [0, 1, -1, 9, 10, -10, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(canonical(&decimal(value)), Some(value));
        }
        for text in
            ["", "-", "-0", "+1", "01", "-01", " 1", "1 ", "1a", "9223372036854775808", "0x1"]
        {
            assert_eq!(canonical(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(canonical(b"-9223372036854775809"), None);
        assert_eq!(canonical(b"99999999999999999999"), None);
        assert_eq!(canonical(b"1/"), None);
    }
}
