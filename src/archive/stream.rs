//! Streams as RDB has them, and back.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::rdb::{
    StreamConsumer, StreamEntry, StreamFacts, StreamGroup, StreamId, StreamNode, StreamPending,
    StreamRecord, StreamTable,
};
use crate::value::packed::Text;
use crate::value::stream::{ConsumerId, Entry, Group, Id, NodeRef, Past, Pending, Stream};

/// A stream as the writer takes it.
pub(super) fn table(stream: &Stream) -> StreamTable<impl ExactSizeIterator<Item = StreamNode>> {
    let Past { last, max_deleted, added } = stream.past();
    let facts = StreamFacts {
        len: stream.len(),
        last: pair(last),
        first: pair(stream.first_id()),
        max_deleted: pair(max_deleted),
        added,
        complete: true,
    };
    let groups = stream.groups().map(|(name, group)| saved(name, group)).collect();
    StreamTable { nodes: stream.by_node().map(node), facts, groups }
}

fn pair(id: Id) -> StreamId {
    (id.ms, id.seq)
}

fn id((ms, seq): StreamId) -> Id {
    Id::new(ms, seq)
}

/// A node as a listpack.
fn node(node: NodeRef<'_>) -> StreamNode {
    let fields: Vec<Text<'_>> = node.fields().collect();
    let entries = node.entries().map(|(live, entry)| StreamEntry {
        id: pair(entry.id),
        deleted: !live,
        same_fields: entry.shares_fields(),
        texts: texts(entry),
    });
    let fields: Vec<&[u8]> = fields.iter().map(|field| &**field).collect();
    match StreamNode::pack(pair(node.first()), node.counts(), &fields, entries) {
        Ok(node) => node,
        Err(full) => unreachable!("nodes end before that: {full}"),
    }
}

fn texts(entry: Entry<'_>) -> Vec<Cow<'_, [u8]>> {
    let pairs = entry.pairs();
    match entry.shares_fields() {
        true => pairs.map(|(_, value)| value.into_cow()).collect(),
        false => pairs.flat_map(|(field, value)| [field.into_cow(), value.into_cow()]).collect(),
    }
}

fn saved(name: &[u8], group: &Group) -> StreamGroup {
    let ids: Vec<ConsumerId> = group.consumers().map(|(id, _)| id).collect();
    let at: HashMap<ConsumerId, usize> = ids.into_iter().zip(0..).collect();
    let consumers = group.consumers().map(|(_, consumer)| StreamConsumer {
        name: consumer.name().to_vec(),
        seen_at_ms: consumer.seen_at(),
    });
    let pending = group.pending_in(..).map(|(id, pending)| StreamPending {
        id: pair(id),
        delivered_at_ms: pending.delivered_at,
        deliveries: pending.deliveries,
        consumer: at.get(&pending.consumer).copied().unwrap_or(usize::MAX),
    });
    StreamGroup {
        name: name.to_vec(),
        last: pair(group.last()),
        read: group.read(),
        pending: pending.collect(),
        consumers: consumers.collect(),
    }
}

/// A stream as the reader gives it, checked.
pub(super) fn of_record(record: &StreamRecord) -> Stream {
    let mut stream = Stream::new();
    for node in &record.nodes {
        push_node(&mut stream, node);
    }
    let StreamFacts { last, max_deleted, added, complete, .. } = record.facts;
    stream.set_past(Past { last: id(last), max_deleted: id(max_deleted), added });
    for group in &record.groups {
        let read = match complete {
            true => group.read,
            false => stream.entries_up_to(id(group.last)),
        };
        stream.add_group(&group.name, of_group(group, read));
    }
    stream
}

fn push_node(stream: &mut Stream, node: &StreamNode) {
    let fields = node.fields();
    let fields: Vec<&[u8]> = fields.iter().map(|field| &**field).collect();
    let entries: Vec<StreamEntry<'_>> = node.entries().collect();
    let entries = entries.iter().map(|entry| {
        let texts = entry.texts.iter().map(|text| &**text);
        let pairs: Vec<&[u8]> = match entry.same_fields {
            true => fields.iter().copied().zip(texts).flat_map(|(f, v)| [f, v]).collect(),
            false => texts.collect(),
        };
        (id(entry.id), !entry.deleted, pairs)
    });
    stream.push_node(id(node.first()), &fields, entries);
}

fn of_group(stored: &StreamGroup, read: Option<u64>) -> Group {
    let mut group = Group::new(id(stored.last), read);
    let create = |consumer: &StreamConsumer| group.create(&consumer.name, consumer.seen_at_ms);
    let consumers: Vec<ConsumerId> = stored.consumers.iter().map(create).collect();
    for pending in &stored.pending {
        if let Some(consumer) = consumers.get(pending.consumer) {
            let deliveries = pending.deliveries.min(Pending::MOST);
            let delivered_at = pending.delivered_at_ms;
            group.assign(id(pending.id), Pending { delivered_at, deliveries, consumer: *consumer });
        }
    }
    group
}
