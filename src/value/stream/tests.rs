//! A stream against the plainest models: a map of entries, and a map of what is pending.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

type Texts = Vec<Vec<u8>>;

fn texts(entry: Entry<'_>) -> Texts {
    entry.pairs().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect()
}

fn pairs() -> impl Strategy<Value = Texts> {
    let text = prop_oneof![
        "[ab]{0,2}".prop_map(String::into_bytes),
        any::<i64>().prop_map(|n| n.to_string().into_bytes()),
        (60usize..70).prop_map(|len| vec![b'x'; len]),
    ];
    prop_oneof![
        3 => text.clone().prop_map(|value| vec![b"field".to_vec(), value]),
        1 => prop::collection::vec((text.clone(), text), 1..4)
            .prop_map(|pairs| pairs.into_iter().flat_map(|(f, v)| [f, v]).collect()),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Add(u64, u64, Texts),
    Remove(usize),
    Length(u64),
    Before(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u64..3, 0u64..3, pairs()).prop_map(|(ms, seq, texts)| Step::Add(ms, seq, texts)),
        3 => any::<usize>().prop_map(Step::Remove),
        1 => (0u64..30).prop_map(Step::Length),
        1 => any::<usize>().prop_map(Step::Before),
    ]
}

fn exact(until: Until) -> Trim {
    Trim { until, reach: Reach::Exact, references: References::Keep }
}

proptest! {
    #[test]
    fn behaves_as_a_map(
        steps in prop::collection::vec(step(), 0..120),
        node_entries in 0usize..5,
        node_bytes in 0usize..200,
    ) {
        let limits = StreamLimits { node_bytes, node_entries };
        let (mut stream, mut model) = (Stream::new(), BTreeMap::<Id, Texts>::new());
        let (mut last, mut added, mut max_deleted) = (Id::MIN, 0, Id::MIN);
        for step in steps {
            match step {
                Step::Add(ms, seq, texts) => {
                    let id = match ms {
                        0 => Id::new(last.ms, last.seq + 1 + seq),
                        ms => Id::new(last.ms + ms, seq),
                    };
                    let pairs: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
                    stream.add(id, &pairs, limits);
                    model.insert(id, texts);
                    (last, added) = (id, added + 1);
                }
                Step::Remove(nth) if !model.is_empty() => {
                    let id = *model.keys().nth(nth % model.len()).unwrap();
                    prop_assert!(stream.remove(id));
                    prop_assert!(!stream.remove(id));
                    model.remove(&id);
                    max_deleted = max_deleted.max(id);
                }
                Step::Length(len) => {
                    let over = (model.len() as u64).saturating_sub(len);
                    prop_assert_eq!(stream.trim(exact(Until::Length(len))), over);
                    (0..over).for_each(|_| drop(model.pop_first()));
                }
                Step::Before(nth) if !model.is_empty() => {
                    let id = *model.keys().nth(nth % model.len()).unwrap();
                    let stays = model.split_off(&id);
                    prop_assert_eq!(stream.trim(exact(Until::Id(id))), model.len() as u64);
                    model = stays;
                }
                _ => {}
            }
            prop_assert_eq!(stream.len(), model.len() as u64);
            prop_assert_eq!(stream.past(), Past { last, max_deleted, added });
            prop_assert_eq!(stream.first_id(), model.keys().next().copied().unwrap_or_default());
            prop_assert_eq!(
                stream.last_entry_id(),
                model.keys().next_back().copied().unwrap_or_default()
            );
        }
        let all: Vec<(Id, Texts)> =
            stream.entries(Id::MIN, Id::MAX).map(|entry| (entry.id, texts(entry))).collect();
        prop_assert_eq!(&all, &model.clone().into_iter().collect::<Vec<_>>());
        // Any part, from either end, whether or not its ends are entries.
        let ids: Vec<Id> = (0..=last.ms).flat_map(|ms| [Id::new(ms, 0), Id::new(ms, 2)]).collect();
        for from in ids.iter().step_by(ids.len().div_ceil(8)) {
            for to in ids.iter().step_by(ids.len().div_ceil(8)) {
                let of = |entry: Entry<'_>| entry.id;
                let expected: Vec<Id> =
                    model.keys().copied().filter(|id| (from..=to).contains(&id)).collect();
                let found: Vec<Id> = stream.entries(*from, *to).map(of).collect();
                prop_assert_eq!(&found, &expected);
                let mut found: Vec<Id> = stream.entries_back(*from, *to).map(of).collect();
                found.reverse();
                prop_assert_eq!(&found, &expected);
            }
        }
        for (id, expected) in &model {
            let found = stream.get(*id).map(texts);
            prop_assert_eq!(found.as_ref(), Some(expected));
        }
    }

    #[test]
    fn nodes_end_where_the_limits_say(count in 1usize..400, node_entries in 1usize..50) {
        let mut stream = Stream::new();
        let limits = StreamLimits { node_bytes: 0, node_entries };
        for n in 0..count {
            stream.add(Id::new(n as u64 + 1, 0), &[b"f", b"v"], limits);
        }
        prop_assert_eq!(stream.nodes(), count.div_ceil(node_entries));
        // Whole nodes alone, and no more than the limit.
        let keep = count / 2;
        let mut sizes = (0..count).step_by(node_entries).map(|at| node_entries.min(count - at));
        let first = sizes.next().unwrap_or(0);
        let trim = |limit| Trim {
            until: Until::Length(keep as u64),
            reach: Reach::Nodes(limit),
            references: References::Keep,
        };
        prop_assert_eq!(stream.trim(trim(Some(first as u64 - 1))), 0);
        let mut whole = if count - first >= keep { first } else { 0 };
        while whole > 0 && let Some(size) = sizes.next() && count - whole - size >= keep {
            whole += size;
        }
        prop_assert_eq!(stream.trim(trim(None)), whole as u64);
    }

    #[test]
    fn nodes_copied_one_by_one_are_the_same(
        steps in prop::collection::vec((pairs(), any::<bool>()), 0..60),
    ) {
        let limits = StreamLimits { node_bytes: 0, node_entries: 7 };
        let mut stream = Stream::new();
        for (n, (texts, stays)) in steps.iter().enumerate() {
            let pairs: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            stream.add(Id::new(n as u64 / 3 + 1, n as u64), &pairs, limits);
            if !stays {
                stream.remove(Id::new(n as u64 / 3 + 1, n as u64));
            }
        }
        let mut copy = Stream::new();
        for node in stream.by_node() {
            let fields: Texts = node.fields().map(|field| field.to_vec()).collect();
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            let entries: Vec<(Id, bool, Texts)> =
                node.entries().map(|(live, entry)| (entry.id, live, texts(entry))).collect();
            copy.push_node(node.first(), &fields, entries.iter().map(|(id, live, texts)| {
                (*id, *live, texts.iter().map(Vec::as_slice).collect())
            }));
        }
        prop_assert_eq!(copy.len(), stream.len());
        for (copy, node) in copy.nodes.values().zip(stream.nodes.values()) {
            prop_assert_eq!(format!("{copy:?}"), format!("{node:?}"));
        }
    }

    /// Group and consumers agree, whatever happens.
    #[test]
    fn groups_behave_as_a_map(steps in prop::collection::vec((0u8..5, 0u64..9, 0u8..4), 0..80)) {
        let mut group = Group::new(Id::MIN, None);
        let mut model: BTreeMap<Id, (u64, u8)> = BTreeMap::new();
        let mut names: Vec<u8> = Vec::new();
        for (what, seq, name) in steps {
            let id = Id::new(1, seq);
            match what {
                0..=2 => {
                    let consumer = group.find(&[name]).unwrap_or_else(|| group.create(&[name], 1));
                    names.push(name);
                    group.assign(id, Pending { delivered_at: seq, deliveries: 1, consumer });
                    model.insert(id, (seq, name));
                }
                3 => prop_assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
                _ => {
                    let own = model.values().filter(|(_, owner)| *owner == name).count();
                    let there = names.contains(&name);
                    prop_assert_eq!(group.remove_consumer(&[name]), there.then_some(own));
                    model.retain(|_, (_, owner)| *owner != name);
                    names.retain(|other| *other != name);
                }
            }
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(group.consumers().len(), names.len());
            let all: Vec<(Id, u64)> =
                group.pending_in(..).map(|(id, pending)| (id, pending.delivered_at)).collect();
            let expected: Vec<(Id, u64)> = model.iter().map(|(id, (at, _))| (*id, *at)).collect();
            prop_assert_eq!(all, expected);
            for ((id, consumer), name) in group.consumers().zip(&names) {
                prop_assert_eq!(consumer.name(), [*name]);
                let own: Vec<Id> = group.pending_of(id, ..).map(|(id, _)| id).collect();
                prop_assert_eq!(consumer.pending_len(), own.len());
                let theirs = model.iter().filter(|(_, (_, owner))| owner == name);
                prop_assert_eq!(own, theirs.map(|(id, _)| *id).collect::<Vec<_>>());
            }
        }
    }
}

fn filled(count: u64, node_entries: usize) -> Stream {
    let mut stream = Stream::new();
    for n in 1..=count {
        let limits = StreamLimits { node_bytes: 0, node_entries };
        stream.add(Id::new(n, 0), &[b"f", b"v"], limits);
    }
    stream
}

fn read(stream: &mut Stream, group: &str, ids: std::ops::RangeInclusive<u64>) {
    let name = group.as_bytes();
    stream.add_group(name, Group::default());
    for n in ids {
        let id = Id::new(n, 0);
        stream.deliver(name, id);
        let group = stream.group_mut(name).unwrap();
        let consumer = group.find(b"c").unwrap_or_else(|| group.create(b"c", 0));
        group.assign(id, Pending { delivered_at: 0, deliveries: 1, consumer });
    }
}

#[test]
fn trims_mind_references() {
    let trim = |references, reach| Trim { until: Until::Length(0), reach, references };
    let nodes = Reach::Nodes(None);
    let fresh = || {
        let mut stream = filled(10, 2);
        read(&mut stream, "g", 1..=8);
        read(&mut stream, "h", 1..=8);
        for (group, n) in [("g", 1), ("h", 1), ("g", 2), ("h", 2), ("g", 5), ("h", 5), ("g", 3)] {
            stream.group_mut(group.as_bytes()).unwrap().acknowledge(Id::new(n, 0));
        }
        stream
    };
    let mut stream = fresh();
    assert_eq!(stream.trim(trim(References::Keep, Reach::Exact)), 10);
    assert_eq!(stream.group(b"h").unwrap().pending_len(), 5);
    let mut stream = fresh();
    let half = Trim { until: Until::Length(6), ..trim(References::Drop, Reach::Exact) };
    assert_eq!(stream.trim(half), 4);
    assert_eq!(stream.group(b"h").unwrap().pending_len(), 3);
    // 1, 2 and 5 are acknowledged everywhere; 9 and 10 have not been read.
    let mut stream = fresh();
    assert_eq!(stream.trim(trim(References::Acknowledged, nodes)), 2);
    assert_eq!(stream.first_id(), Id::new(3, 0));
    assert_eq!(stream.past().max_deleted, Id::MIN);
    assert_eq!(stream.trim(trim(References::Acknowledged, Reach::Exact)), 1);
    assert!(!stream.contains(Id::new(5, 0)) && stream.contains(Id::new(9, 0)));
    assert_eq!(stream.past().max_deleted, Id::new(5, 0));
}

#[test]
fn lag_is_told_where_it_is_known() {
    let mut stream = filled(10, 100);
    read(&mut stream, "g", 1..=4);
    let lag = |stream: &Stream| stream.lag(stream.group(b"g").unwrap());
    assert_eq!((stream.group(b"g").unwrap().read(), lag(&stream)), (Some(4), Some(6)));
    stream.remove(Id::new(7, 0));
    assert_eq!(lag(&stream), None);
    stream.group_mut(b"g").unwrap().advance(Id::new(10, 0), None);
    assert_eq!(lag(&stream), Some(0));
    stream.group_mut(b"g").unwrap().advance(Id::new(11, 0), None);
    assert_eq!(lag(&stream), None);
    stream.trim(exact(Until::Length(0)));
    assert_eq!(stream.next_id(3), Some(Id::new(10, 1)));
    assert_eq!(stream.next_id(30), Some(Id::new(30, 0)));
}

#[test]
fn entries_cost_less_than_in_a_listpack() {
    let mut stream = Stream::new();
    for n in 0..10_000u64 {
        let pairs: [&[u8]; 4] = [b"sensor", b"1234", b"temperature", b"19.8"];
        stream.add(Id::new(1_700_000_000_000 + n * 3, 0), &pairs, StreamLimits::default());
    }
    // Flags, differences, values and number of elements: 16 bytes each in Redis, and the radix
    // tree besides.
    assert!(stream.heap_bytes() < 16 * 10_000, "{}", stream.heap_bytes());
}
