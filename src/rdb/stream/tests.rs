//! Streams on their way round, and payloads that lie.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::value::Limits;
use super::super::{Checksum, Error, Value, dump};
use super::*;

type Texts = Vec<Vec<u8>>;

fn entry(id: StreamId, deleted: bool, same_fields: bool, texts: Texts) -> StreamEntry<'static> {
    let texts = texts.into_iter().map(Cow::Owned).collect();
    StreamEntry { id, deleted, same_fields, texts }
}

/// A node of so many entries, some of them deleted.
fn node(first: StreamId, fields: usize, entries: &[(bool, bool, Vec<u8>)]) -> StreamNode {
    let fields: Texts = (0..fields).map(|n| format!("f{n}").into_bytes()).collect();
    let live = entries.iter().filter(|(deleted, ..)| !deleted).count();
    let packed = entries.iter().zip(0u64..).map(|((deleted, same, text), n)| {
        let count = if *same { fields.len() } else { 2 * (n as usize % 3) };
        // The second number goes back where the first one goes on.
        let id = if n % 2 == 0 { (first.0 + n, first.1) } else { (first.0 + n, 0) };
        entry(id, *deleted, *same, vec![text.clone(); count])
    });
    StreamNode::pack(first, (live, entries.len() - live), &fields, packed).unwrap()
}

fn group(name: Vec<u8>, owners: &[usize], consumers: usize) -> StreamGroup {
    let pending = owners.iter().zip(0u64..).map(|(owner, n)| StreamPending {
        id: (n / 3, n),
        delivered_at_ms: 1_700_000_000_000 + n,
        deliveries: n,
        consumer: owner % consumers,
    });
    let named = |n: usize| StreamConsumer { name: format!("c{n}").into(), seen_at_ms: n as u64 };
    StreamGroup {
        name,
        last: (7, u64::MAX),
        read: (!owners.is_empty()).then_some(3),
        pending: pending.collect(),
        consumers: (0..consumers).map(named).collect(),
    }
}

/// Any stream that Redis 7 could have stored.
pub(in crate::rdb) fn record() -> impl Strategy<Value = StreamRecord> {
    let text = prop_oneof![
        vec(any::<u8>(), 0..20),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
    ];
    let entries = vec((any::<bool>(), any::<bool>(), text), 1..12);
    let groups = vec((vec(any::<usize>(), 0..12), 1usize..4), 0..3);
    (vec((0usize..4, entries), 0..5), groups, any::<u64>()).prop_map(|(nodes, groups, wild)| {
        let nodes: Vec<StreamNode> = nodes
            .iter()
            .zip(1u64..)
            .map(|((fields, entries), n)| node((n * 100, 5), *fields, entries))
            .collect();
        let len = nodes.iter().flat_map(StreamNode::entries).filter(|e| !e.deleted).count() as u64;
        let groups = groups
            .iter()
            .zip(0u8..)
            .map(|((owners, consumers), n)| group(vec![n], owners, *consumers));
        let facts = StreamFacts {
            len,
            last: (wild.max(1000), 3),
            first: (1, wild),
            max_deleted: (wild, 0),
            added: len + (wild >> 32),
            complete: true,
        };
        StreamRecord { nodes, facts, groups: groups.collect() }
    })
}

/// The payload of a record, as `dump` writes it.
pub(in crate::rdb) fn table(
    record: &StreamRecord,
) -> StreamTable<impl ExactSizeIterator<Item = StreamNode>> {
    let nodes = record.nodes.clone().into_iter();
    StreamTable { nodes, facts: record.facts, groups: record.groups.clone() }
}

fn sealed(mut payload: Vec<u8>) -> Vec<u8> {
    payload.extend_from_slice(&10u16.to_le_bytes());
    payload.extend_from_slice(&Checksum::of(&payload).to_le_bytes());
    payload
}

fn encoded(record: &StreamRecord) -> Vec<u8> {
    let mut bytes = vec![code::TYPE_STREAM_2];
    table(record).encode(&mut bytes, Compression::None);
    bytes
}

fn read(payload: Vec<u8>) -> Result<StreamRecord, Error> {
    match dump::read(&sealed(payload), &Limits::default())? {
        Value::Stream(record) => Ok(record),
        other => panic!("{other:?}"),
    }
}

fn refusal(record: &StreamRecord) -> String {
    read(encoded(record)).unwrap_err().to_string()
}

/// A stream of three entries, two of them pending for two consumers.
fn honest() -> StreamRecord {
    let texts = |text: &str| vec![text.as_bytes().to_vec()];
    let entries = [
        entry((1, 1), false, true, texts("a")),
        entry((1, 2), true, true, texts("b")),
        entry((2, 0), false, true, texts("c")),
        entry((3, 0), false, false, vec![b"g".to_vec(), b"d".to_vec()]),
    ];
    let node = StreamNode::pack((1, 1), (3, 1), &[b"f"], entries.into_iter()).unwrap();
    let facts = StreamFacts {
        len: 3,
        last: (3, 0),
        first: (1, 1),
        max_deleted: (1, 2),
        added: 4,
        complete: true,
    };
    let pending = |id, consumer| StreamPending { id, delivered_at_ms: 9, deliveries: 1, consumer };
    let consumer = |name: &str| StreamConsumer { name: name.into(), seen_at_ms: 9 };
    let group = StreamGroup {
        name: b"g".to_vec(),
        last: (2, 0),
        read: Some(3),
        pending: vec![pending((1, 1), 0), pending((2, 0), 1)],
        consumers: vec![consumer("c"), consumer("d")],
    };
    StreamRecord { nodes: vec![node], facts, groups: vec![group] }
}

proptest! {
    #[test]
    fn what_is_written_is_read(record in record()) {
        prop_assert_eq!(read(encoded(&record)), Ok(record));
    }

    /// No damage is worse than a refusal, and what is accepted is written back as it came.
    #[test]
    fn damage_is_refused_or_read(
        record in record(),
        flips in vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&record);
        for (at, byte) in flips {
            let at = 1 + at % (bytes.len() - 1);
            bytes[at] = byte;
        }
        if let Ok(read_once) = read(bytes) {
            prop_assert_eq!(read(encoded(&read_once)), Ok(read_once));
        }
    }
}

#[test]
fn an_older_and_a_newer_form_are_read() {
    let record = honest();
    assert_eq!(read(encoded(&record)), Ok(record.clone()));
    // One node, its id, its listpack; length and last id; one group; what is pending.
    let node = |out: &mut Vec<u8>| {
        write_length(out, 1);
        write_plain(out, &id_bytes((1, 1)));
        write_plain(out, &record.nodes[0].listpack);
        write_length(out, 3);
        write_id(out, (3, 0));
    };
    let pending = |out: &mut Vec<u8>| {
        write_length(out, 1);
        out.extend_from_slice(&id_bytes((2, 0)));
        out.extend_from_slice(&9u64.to_le_bytes());
        write_length(out, 1);
    };
    let consumer = |out: &mut Vec<u8>, times: &[u64]| {
        write_length(out, 1);
        write_plain(out, b"c");
        times.iter().for_each(|time| out.extend_from_slice(&time.to_le_bytes()));
        write_length(out, 1);
        out.extend_from_slice(&id_bytes((2, 0)));
    };
    let mut first = vec![code::TYPE_STREAM];
    node(&mut first);
    write_length(&mut first, 1);
    write_plain(&mut first, b"g");
    write_id(&mut first, (2, 0));
    pending(&mut first);
    consumer(&mut first, &[9]);
    let read_first = read(first).unwrap();
    let facts = read_first.facts;
    assert_eq!((facts.len, facts.added, facts.complete), (3, 3, false));
    assert_eq!((read_first.groups[0].read, read_first.groups[0].pending.len()), (None, 1));
    let mut third = vec![code::TYPE_STREAM_3];
    node(&mut third);
    write_id(&mut third, (1, 1));
    write_id(&mut third, (1, 2));
    write_length(&mut third, 4);
    write_length(&mut third, 1);
    write_plain(&mut third, b"g");
    write_id(&mut third, (2, 0));
    write_length(&mut third, u64::MAX);
    pending(&mut third);
    consumer(&mut third, &[9, 8]);
    let read_third = read(third).unwrap();
    assert_eq!(read_third.facts, record.facts);
    assert_eq!(read_third.groups[0].read, None);
    assert_eq!(read_third.groups[0].consumers, record.groups[0].consumers[..1]);
}

#[test]
fn streams_that_contradict_themselves_are_refused() {
    let lie = |change: fn(&mut StreamRecord)| {
        let mut record = honest();
        change(&mut record);
        refusal(&record)
    };
    for (refused, expected) in [
        (lie(|r| r.facts.len = 2), "expected as many entries as the nodes have"),
        (lie(|r| r.facts.len = u64::MAX), "expected as many entries as the nodes have"),
        (lie(|r| r.facts.added = 2), "expected as many entries as the nodes have"),
        (lie(|r| r.facts.last = (2, 0)), "expected a last id behind all entries"),
        (lie(|r| r.nodes.push(r.nodes[0].clone())), "entries in the order of their ids"),
        (lie(|r| r.groups.push(r.groups[0].clone())), "expected no group twice"),
        (lie(|r| r.groups[0].consumers[1].name = b"c".to_vec()), "expected no consumer twice"),
        (
            lie(|r| r.groups[0].pending[1].consumer = 7),
            "expected a consumer for each pending entry",
        ),
        (
            lie(|r| r.groups[0].pending.reverse()),
            "expected pending entries in the order of their ids",
        ),
        (
            lie(|r| r.groups[0].pending[1].id = (1, 1)),
            "expected pending entries in the order of their ids",
        ),
    ] {
        assert!(refused.ends_with(expected), "{refused}");
    }
}

/// CVE class: what is pending would be freed twice.
#[test]
fn a_pending_entry_has_one_consumer() {
    let bytes = encoded(&honest());
    let (one, two) = (id_bytes((1, 1)), id_bytes((2, 0)));
    let last = bytes.len() - 16;
    assert_eq!(bytes[last..], two);
    for (id, expected) in [
        (one, "expected a pending entry of one consumer"),
        (id_bytes((3, 0)), "expected an entry that is pending in the group"),
    ] {
        let mut bytes = bytes.clone();
        bytes[last..].copy_from_slice(&id);
        let refused = read(bytes).unwrap_err().to_string();
        assert!(refused.ends_with(expected), "{refused}");
    }
    // The same consumer says it twice.
    let mut record = honest();
    record.groups[0].pending.pop();
    record.groups[0].consumers.pop();
    let mut bytes = encoded(&record);
    let count = bytes.len() - 17;
    assert_eq!(bytes[count], 1);
    bytes[count] = 2;
    bytes.extend_from_slice(&one);
    let refused = read(bytes).unwrap_err().to_string();
    assert!(refused.ends_with("expected a pending entry of one consumer"), "{refused}");
}

#[test]
fn nodes_that_contradict_themselves_are_refused() {
    // Counts, fields and a zero; flags, differences, value, elements.
    let honest = ["1", "0", "1", "f", "0", "2", "0", "0", "v", "4"];
    let read_node = |elements: &[&str]| {
        let mut packed = Listpack::new();
        elements.iter().for_each(|element| packed.push(element.as_bytes()).unwrap());
        StreamNode { first: (1, 1), listpack: packed.as_bytes().to_vec() }.check(None)
    };
    assert_eq!(read_node(&honest), Ok((1, Some((1, 1)))));
    for (at, lie, expected) in [
        (0, "2", "as many entries as are counted"),
        (0, "x", "a number"),
        (1, "1", "as many entries as are counted"),
        (2, "-1", "a number of fields"),
        (2, "9223372036854775807", "a number of fields"),
        (2, "0", "a number"),
        (4, "1", "a zero behind the fields"),
        (5, "4", "the flags of an entry"),
        (5, "x", "the flags of an entry"),
        (6, "-1", "entries in the order of their ids"),
        (7, "-1", "entries in the order of their ids"),
        (9, "5", "the number of elements of an entry"),
    ] {
        let mut elements = honest;
        elements[at] = lie;
        assert_eq!(read_node(&elements).unwrap_err().expected, expected, "{at} {lie}");
    }
    assert!(read_node(&honest[..9]).is_err());
    assert!(read_node(&[]).is_err());
    let twice: Vec<&str> = ["2"].iter().chain(&honest[1..]).chain(&honest[5..]).copied().collect();
    assert_eq!(read_node(&twice).unwrap_err().expected, "entries in the order of their ids");
}
