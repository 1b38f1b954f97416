//! Paths and queries as arguments: `/set/key/value?EX=100`.
//!
//! A path is split before it is decoded, so `%2F` is a slash inside of an argument, and `+` is
//! a plus. A query value is a form's: there `+` is a blank. An escape that is none stays as it
//! was written, because the JavaScript client sends names of channels as they are.

use std::borrow::Cow;

use memchr::memchr;
use percent_encoding::percent_decode;

/// The name of the query parameter that carries a token and is no argument.
pub(super) const TOKEN: &str = "_token";

/// The arguments of a path. Empty segments at its end are dropped, others are empty arguments.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let mut inside = path.as_bytes();
    while let [b'/', rest @ ..] | [rest @ .., b'/'] = inside {
        inside = rest;
    }
    let parts = (!inside.is_empty()).then(|| inside.split(|byte| *byte == b'/'));
    parts.into_iter().flatten().map(decode)
}

/// The first segment of a path, as it was written.
pub(super) fn first(path: &str) -> &[u8] {
    let inside = path.as_bytes();
    let start = inside.iter().take_while(|byte| **byte == b'/').count();
    let inside = &inside[start..];
    &inside[..memchr(b'/', inside).unwrap_or(inside.len())]
}

/// The arguments of a query: each name, and its value if it has one. The token is left out.
pub(super) fn arguments(query: &str) -> impl Iterator<Item = Cow<'_, [u8]>> {
    pairs(query)
        .filter(|(name, _)| **name != *TOKEN.as_bytes())
        .flat_map(|(name, value)| [Some(name), value].into_iter().flatten())
}

/// The value of a query's first parameter of that name; empty if it has none.
pub(super) fn parameter<'q>(query: &'q str, name: &str) -> Option<Cow<'q, [u8]>> {
    let (_, value) = pairs(query).find(|(found, _)| **found == *name.as_bytes())?;
    Some(value.unwrap_or_default())
}

/// A decoded name, and its value behind `=`.
type Pair<'q> = (Cow<'q, [u8]>, Option<Cow<'q, [u8]>>);

fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((name, value)) => (decode_form(name), Some(decode_form(value))),
        None => (decode_form(pair), None),
    })
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    // Most have no escape.
    match memchr(b'%', text) {
        None => Cow::Borrowed(text),
        Some(_) => percent_decode(text).into(),
    }
}

fn decode_form(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('+') {
        return decode(text.as_bytes());
    }
    let blanks = text.replace('+', " ");
    Cow::Owned(percent_decode(blanks.as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        segments(text).map(|one| String::from_utf8_lossy(&one).into_owned()).collect()
    }

    fn query(text: &str) -> Vec<String> {
        arguments(text).map(|one| String::from_utf8_lossy(&one).into_owned()).collect()
    }

    #[test]
    fn a_path_is_split_and_then_decoded() {
        assert_eq!(path("/get/foo"), ["get", "foo"]);
        assert_eq!(path("/get/foo/"), ["get", "foo"]);
        assert_eq!(path("/get/foo///"), ["get", "foo"]);
        assert_eq!(path("/set/a%2Fb/c%20d%25"), ["set", "a/b", "c d%"]);
        assert_eq!(path("/set/1+1//x"), ["set", "1+1", "", "x"]);
        assert_eq!(path("/set/100%zz%/%4"), ["set", "100%zz%", "%4"]);
        assert_eq!(path("/set/%00/%0d%0a"), ["set", "\0", "\r\n"]);
        assert!(path("/").is_empty() && path("").is_empty() && path("//").is_empty());
    }

    #[test]
    fn the_first_segment_is_what_stands_before_the_second_slash() {
        for (path, first) in [("/get/foo", "get"), ("get", "get"), ("//get/", "get"), ("/", "")] {
            assert_eq!(super::first(path), first.as_bytes(), "{path}");
        }
    }

    #[test]
    fn a_path_may_hold_any_byte() {
        let decoded: Vec<_> = segments("/set/%ff%FE").collect();
        assert_eq!(*decoded[1], [0xff, 0xfe]);
    }

    #[test]
    fn a_query_is_names_and_values() {
        assert_eq!(query("EX=100"), ["EX", "100"]);
        assert_eq!(query("EX=100&_token=secret&NX"), ["EX", "100", "NX"]);
        assert_eq!(query("&&a=b=c&d=+%2B&%5ftoken=x"), ["a", "b=c", "d", " +"]);
        assert_eq!(query("a="), ["a", ""]);
        assert!(query("").is_empty());
        assert_eq!(query("p=100%"), ["p", "100%"]);
    }

    #[test]
    fn a_parameter_is_found_by_its_decoded_name() {
        assert_eq!(parameter("a=1&_token=s+%2f", TOKEN).as_deref(), Some(&b"s /"[..]));
        assert_eq!(parameter("%5Ftoken", TOKEN).as_deref(), Some(&b""[..]));
        assert_eq!(parameter("token=1", TOKEN), None);
    }
}
