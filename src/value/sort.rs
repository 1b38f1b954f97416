//! What SORT compares, and the names that it makes of patterns.
//!
//! Left out on purpose: keys and where their values are.

use std::cmp::Ordering;

use super::number::parse_double;

/// What an element, or the value found by it, weighs.
#[derive(Debug, Clone, Copy)]
pub enum Weight<T> {
    /// A number.
    Number(f64),
    /// A text.
    Text(T),
    /// Nothing was found: less than any text.
    Nothing,
}

impl<T: AsRef<[u8]>> Weight<T> {
    /// The order of two weights, of one kind.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Weight::Number(a), Weight::Number(b)) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (Weight::Text(a), Weight::Text(b)) => a.as_ref().cmp(b.as_ref()),
            (Weight::Nothing, Weight::Nothing) => Ordering::Equal,
            (Weight::Nothing, _) => Ordering::Less,
            (_, Weight::Nothing) => Ordering::Greater,
            // The weights of one SORT are numbers, or they are texts.
            (Weight::Number(_), _) => Ordering::Less,
            (_, Weight::Number(_)) => Ordering::Greater,
        }
    }
}

/// Reads a number as SORT does: as C's `strtod`, up to the first zero byte, where nothing at
/// all is 0; not NaN, and neither too large nor too small.
pub fn number(text: &[u8]) -> Option<f64> {
    let text = c_string(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b);
    parse_double(&text[blanks.count()..])
}

/// The bytes in front of the first zero byte: all that C's `strcoll` compares.
pub fn c_string(text: &[u8]) -> &[u8] {
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

/// What BY and GET say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// A text without a star: nothing has that name.
    Nothing,
    /// The name of a key, with the element in the place of the first star.
    Key {
        /// What stands in front of the star.
        prefix: &'a [u8],
        /// What stands behind it, up to the arrow.
        suffix: &'a [u8],
        /// What stands behind the arrow: the field of a hash.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    /// Reads a pattern.
    pub fn parse(text: &'a [u8]) -> Pattern<'a> {
        if text == b"#" {
            return Pattern::Element;
        }
        let Some(star) = memchr::memchr(b'*', text) else { return Pattern::Nothing };
        let (prefix, suffix) = (&text[..star], &text[star + 1..]);
        let arrow = suffix.windows(2).position(|pair| pair == b"->");
        match arrow {
            // An arrow that ends the text belongs to the name.
            Some(at) if at + 2 < suffix.len() => {
                Pattern::Key { prefix, suffix: &suffix[..at], field: Some(&suffix[at + 2..]) }
            }
            _ => Pattern::Key { prefix, suffix, field: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_sort_reads_them() {
        for (text, value) in [
            (&b""[..], Some(0.0)),
            (b"\0abc", Some(0.0)),
            (b"1\0abc", Some(1.0)),
            (b" \t\n1.5", Some(1.5)),
            (b"-inf", Some(f64::NEG_INFINITY)),
            (b"0x10", Some(16.0)),
            (b" ", None),
            (b"1 ", None),
            (b"nan", None),
            (b"1e400", None),
            (b"a", None),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    #[test]
    fn patterns_are_names_with_a_hole() {
        let key = |prefix: &'static str, suffix: &'static str, field: Option<&'static str>| {
            let (prefix, suffix) = (prefix.as_bytes(), suffix.as_bytes());
            Pattern::Key { prefix, suffix, field: field.map(str::as_bytes) }
        };
        for (text, pattern) in [
            ("#", Pattern::Element),
            ("", Pattern::Nothing),
            ("##", Pattern::Nothing),
            ("plain->f", Pattern::Nothing),
            ("*", key("", "", None)),
            ("a_*_b", key("a_", "_b", None)),
            ("a*b*c", key("a", "b*c", None)),
            ("a*->f", key("a", "", Some("f"))),
            ("a*b->f->g", key("a", "b", Some("f->g"))),
            ("a*->", key("a", "->", None)),
            ("a->f*", key("a->f", "", None)),
            ("a->f*->g", key("a->f", "", Some("g"))),
        ] {
            assert_eq!(Pattern::parse(text.as_bytes()), pattern, "{text}");
        }
    }

    #[test]
    fn nothing_weighs_less_than_any_text() {
        let text = |text: &'static str| Weight::Text(text);
        assert_eq!(Weight::Nothing.compare(&text("")), Ordering::Less);
        assert_eq!(text("").compare(&Weight::Nothing), Ordering::Greater);
        assert_eq!(Weight::<&str>::Nothing.compare(&Weight::Nothing), Ordering::Equal);
        assert_eq!(text("a").compare(&text("b")), Ordering::Less);
        assert_eq!(Weight::<&str>::Number(2.0).compare(&Weight::Number(10.0)), Ordering::Less);
    }
}
