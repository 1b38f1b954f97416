//! Packed entries, and what they become.

use super::*;

#[test]
fn an_entry_is_two_words() {
    assert_eq!(size_of::<Entry>(), 16);
}

#[test]
fn packed_entries_keep_their_parts() {
    for key in [&b""[..], b"k", &[7; 127], &[7; 128], &[7; 100_000]] {
        for (value, encoding) in [
            (&b""[..], "embstr"),
            (b"0", "int"),
            (b"-12", "int"),
            (b"007", "embstr"),
            (&[b'x'; 44], "embstr"),
            (&[b'x'; 45], "raw"),
        ] {
            let mut entry = Entry::string(key, value, NEVER);
            for at in [NEVER, 5, u64::MAX, NEVER] {
                entry.set_expires_at(at);
                assert_eq!(entry.expires_at(), at);
                assert_eq!(entry.key(), key);
                assert_eq!(entry.encoding(), encoding);
                let text = match entry.as_string().unwrap() {
                    StrRef::Integer(n) => n.to_string().into_bytes(),
                    StrRef::Bytes(bytes) => bytes.to_vec(),
                };
                assert_eq!(text, value);
            }
        }
    }
}

#[test]
fn put_replaces_kind_value_and_expiry() {
    let mut entry = Entry::string(b"k", b"abcdefgh", 9);
    entry.put_integer(5);
    assert_eq!((entry.encoding(), entry.expires_at()), ("int", 9));
    entry.put_string(b"abc", NEVER);
    assert_eq!(entry.as_string(), Some(StrRef::Bytes(b"abc")));
    entry.string_mut().extend_from_slice(b"def");
    assert_eq!((entry.encoding(), entry.key()), ("raw", &b"k"[..]));
    entry.put_rate_limit(b"state", 7);
    assert_eq!((entry.kind(), entry.as_rate_limit()), (Kind::RateLimit, Some(&b"state"[..])));
    assert_eq!(entry.renamed(b"other").key(), b"other");
}
