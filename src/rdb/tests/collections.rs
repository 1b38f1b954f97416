//! Hashes and lists in every layout, empty ones, and fields that come twice.

use super::*;

#[test]
fn hashes_with_field_expiries_are_read() {
    let expected = Value::Hash(vec![
        field("a", "x", None),
        field("b", "y", Some(1000)),
        field("c", "z", Some(1007)),
    ]);
    let mut table = vec![24, 1, b'h'];
    table.extend_from_slice(&1000u64.to_le_bytes());
    table.extend_from_slice(&[3, 0, 1, b'a', 1, b'x', 1, 1, b'b', 1, b'y', 8, 1, b'c', 1, b'z']);
    assert_eq!(read_body(&table), [key("h", expected.clone())]);

    let mut packed = Listpack::new();
    for element in ["a", "x", "0", "b", "y", "1000", "c", "z", "1007"] {
        packed.push(element.as_bytes()).unwrap();
    }
    let mut listpack = vec![25, 1, b'h'];
    listpack.extend_from_slice(&1000u64.to_le_bytes());
    listpack.push(packed.as_bytes().len() as u8);
    listpack.extend_from_slice(packed.as_bytes());
    assert_eq!(read_body(&listpack), [key("h", expected)]);

    table[3..11].fill(0xff);
    let late = refusal(&table).to_string();
    assert_eq!(late, "RDB byte 26: expected a field's expiry within 48 bits");
    for (last, expected) in [
        ("soon", "a field's expiry within 48 bits"),
        ("-1", "a field's expiry within 48 bits"),
        ("281474976710656", "a field's expiry within 48 bits"),
        ("", "no field without its value"),
    ] {
        packed.clear();
        for element in ["a", "x", last].iter().take(if last.is_empty() { 2 } else { 3 }) {
            packed.push(element.as_bytes()).unwrap();
        }
        listpack.truncate(11);
        listpack.push(packed.as_bytes().len() as u8);
        listpack.extend_from_slice(packed.as_bytes());
        let late = refusal(&listpack).to_string();
        assert!(late.ends_with(expected), "{last}: {late}");
    }
}

#[test]
fn empty_hashes_are_passed_over_in_files_and_refused_in_dumps() {
    let skipped = Item::Skipped { key: Some(b"h".to_vec()), why: Skipped::Empty };
    assert_eq!(read_body(&[4, 1, b'h', 0]), [skipped]);
    let mut payload = Vec::new();
    dump::write(&mut payload, HashListpack(&Listpack::new()), Compression::None);
    let refused = dump::read(&payload, &Limits::default()).unwrap_err();
    assert_eq!(refused.to_string(), "RDB byte 1: expected a collection with elements");
}

/// A list in each of its layouts.
fn lists() -> Vec<(Vec<u8>, Value)> {
    let texts = |texts: &[&str]| Value::List(texts.iter().collect());
    let mut packed = Listpack::new();
    for element in ["a", "7", ""] {
        packed.push(element.as_bytes()).unwrap();
    }
    let mut node = vec![2, packed.as_bytes().len() as u8];
    node.extend_from_slice(packed.as_bytes());
    // "b" and 12.
    let ziplist = [16, 0, 0, 0, 13, 0, 0, 0, 2, 0, 0, 1, b'b', 3, 0xfd, 0xff];
    let empty = [11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff];
    let in_front = |head: &[u8], parts: &[&[u8]]| [head, &parts.concat()].concat();
    vec![
        (in_front(&[1, 1, b'l'], &[&[2, 1, b'a', 0xc0, 9]]), texts(&["a", "9"])),
        (in_front(&[10, 1, b'l', 16], &[&ziplist]), texts(&["b", "12"])),
        (
            in_front(&[14, 1, b'l', 3], &[&[16], &ziplist, &[11], &empty, &[16], &ziplist]),
            texts(&["b", "12", "b", "12"]),
        ),
        (
            in_front(&[18, 1, b'l', 3], &[&node, &[1, 1, b'p'], &node]),
            texts(&["a", "7", "", "p", "a", "7", ""]),
        ),
    ]
}

#[test]
fn lists_are_read_in_every_layout() {
    for (body, value) in lists() {
        assert_eq!(read_body(&body), [key("l", value)], "type {}", body[0]);
        read_any(&file(&body), 1);
        for cut in 3..body.len() {
            assert!(dump::value(&[&body[..1], &body[3..cut]].concat(), &fuzz::LIMITS).is_err());
        }
    }
}

#[test]
fn empty_lists_are_passed_over_and_unknown_nodes_refused() {
    let skipped = || Item::Skipped { key: Some(b"l".to_vec()), why: Skipped::Empty };
    let empty = [11, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0xff];
    let ziplist = [&[10, 1, b'l', 11][..], &empty].concat();
    let ziplists = [&[14, 1, b'l', 1, 11][..], &empty].concat();
    let listpack = [18, 1, b'l', 1, 2, 7, 7, 0, 0, 0, 0, 0, 0xff];
    for body in
        [&[1, 1, b'l', 0][..], &[14, 1, b'l', 0], &[18, 1, b'l', 0], &ziplist, &ziplists, &listpack]
    {
        assert_eq!(read_body(body), [skipped()], "{body:?}");
    }
    for container in [0, 3] {
        let refused = refusal(&[18, 1, b'l', 1, container, 1, b'x']);
        assert_eq!(refused.to_string(), "RDB byte 13: expected a plain or a packed node");
    }
}

#[test]
fn many_nodes_are_counted_once_they_are_known() {
    // More than a length of one byte can say, and than one of two bytes.
    for nodes in [1, 63, 64, 16_400] {
        let texts: Texts = (0..nodes).map(|n| format!("{n:05}{}", "x".repeat(8200))).collect();
        let mut payload = Vec::new();
        dump::write(&mut payload, ListValue(texts.iter()), Compression::Lzf);
        assert!(dump::read(&payload, &Limits::default()) == Ok(Value::List(texts)), "{nodes}");
    }
}

#[test]
fn a_field_twice_is_refused_in_every_encoding() {
    let mut packed = Listpack::new();
    for element in ["1", "x", "1", "y"] {
        packed.push(element.as_bytes()).unwrap();
    }
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, Compression::None);
    writer.key(b"h", &KeyMeta::default(), HashListpack(&packed));
    assert_eq!(refusal(&out).kind, ErrorKind::DuplicateField);
    for count in [2, 17, 200] {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, Compression::None);
        let pairs = (0..count).map(|i| (format!("{}", i % (count - 1)), ""));
        writer.key(b"h", &KeyMeta::default(), HashTable(pairs));
        assert_eq!(refusal(&out).kind, ErrorKind::DuplicateField, "{count}");
    }
}
