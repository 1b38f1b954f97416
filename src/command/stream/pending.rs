//! XPENDING: what the consumers of a group have not acknowledged.

use super::super::Argv;
use super::super::args::{integer, is};
use super::{answer_id, end, no_group, start, stream};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::resp::Reply;
use crate::value::stream::{Consumer, Group, Id, Pending};

/// What part of what is pending is asked for.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    idle: u64,
    from: Id,
    to: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Part<'a> {
    /// Reads the arguments; `None` for the summary.
    fn parse(argv: Argv<'a>) -> Result<Option<Part<'a>>, Fault> {
        if argv.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&argv.len()) {
            return Err(Fault::SYNTAX);
        }
        let (mut at, mut idle) = (3, 0);
        if is(argv[3], "IDLE") {
            idle = u64::try_from(integer(argv[4])?).unwrap_or(0);
            if argv.len() < 8 {
                return Err(Fault::SYNTAX);
            }
            at = 5;
        }
        let count = usize::try_from(integer(argv[at + 2])?).unwrap_or(0);
        let (from, to) = (start(argv[at])?, end(argv[at + 1])?);
        Ok(Some(Part { idle, from, to, count, consumer: argv.get(at + 3).copied() }))
    }
}

pub(super) fn xpending(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, name) = (argv[1], argv[2]);
    let part = Part::parse(argv)?;
    let group = stream(view, key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_group(key, name))?;
    match part {
        None => summary(group, reply),
        Some(part) => list(group, part, view.around.now, reply),
    }
    Ok(())
}

fn summary(group: &Group, reply: &mut dyn Reply) {
    reply.array(4);
    reply.integer(group.pending_len() as i64);
    let mut ids = group.pending_in(..).map(|(id, _)| id);
    let Some(first) = ids.next() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    answer_id(first, reply);
    answer_id(ids.next_back().unwrap_or(first), reply);
    let busy = || group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0);
    reply.array(busy().count());
    for (_, consumer) in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
}

fn list(group: &Group, part: Part<'_>, now: u64, reply: &mut dyn Reply) {
    let Part { idle, from, to, count, consumer } = part;
    // A tree refuses a range that ends before it starts.
    let to = to.max(from);
    let asked = |(id, pending): &(Id, &Pending)| {
        part.from <= part.to && *id <= part.to && now.saturating_sub(pending.delivered_at) >= idle
    };
    let found: Vec<(Id, &Pending)> = match consumer {
        None => group.pending_in(from..=to).filter(asked).take(count).collect(),
        Some(name) => match group.find(name) {
            Some(own) => group.pending_of(own, from..=to).filter(asked).take(count).collect(),
            None => Vec::new(),
        },
    };
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        answer_id(id, reply);
        reply.bulk(group.consumer(pending.consumer).map_or(b"", Consumer::name));
        reply.integer(now.saturating_sub(pending.delivered_at) as i64);
        reply.integer(pending.deliveries as i64);
    }
}
