//! XREAD and XREADGROUP: what is new in several streams, or what a consumer has not
//! acknowledged.

use super::super::args::{integer, is};
use super::super::waiting::{Form, Wait};
use super::super::{Argv, Positions};
use super::claim::{log_deliveries, log_position};
use super::{INVALID_ID, answer_entries, answer_entry, answer_id, change, regrouped, stream};
use crate::config::Classes;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::{NEVER, ReadView, WriteView};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::stream::{ConsumerId, Entry, Group, Id, Pending, Stream};

/// Where the keys stand in `argv`, whatever else may be wrong with it.
pub(in crate::command) fn keys(argv: Argv<'_>) -> Positions {
    let mut at = 1;
    while at < argv.len() {
        match argv[at] {
            word if is(word, "STREAMS") => {
                let rest = argv.len() - at - 1;
                let keys = if rest.is_multiple_of(2) { rest / 2 } else { 0 };
                return (at + 1..at + 1 + keys).collect();
            }
            word if is(word, "GROUP") => at += 3,
            word if is(word, "COUNT") || is(word, "BLOCK") => at += 2,
            word if is(word, "NOACK") => at += 1,
            _ => break,
        }
    }
    Positions::new()
}

/// What is asked for.
#[derive(Debug)]
struct Asked<'a> {
    /// Group and consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    count: usize,
    forget: bool,
    /// How long it waits, in milliseconds; 0 for ever.
    block: Option<u64>,
    keys: &'a [&'a [u8]],
    ids: &'a [&'a [u8]],
}

impl<'a> Asked<'a> {
    fn parse(argv: Argv<'a>, grouped: bool) -> Result<Asked<'a>, Fault> {
        let mut asked = Asked {
            group: None,
            count: usize::MAX,
            forget: false,
            block: None,
            keys: &[],
            ids: &[],
        };
        let mut at = 1;
        while at < argv.len() {
            let (word, more) = (argv[at], argv.len() - 1 - at);
            if is(word, "BLOCK") && more > 0 {
                at += 1;
                asked.block = Some(block(argv[at])?);
            } else if is(word, "COUNT") && more > 0 {
                at += 1;
                let count = usize::try_from(integer(argv[at])?).unwrap_or(0);
                asked.count = if count == 0 { usize::MAX } else { count };
            } else if is(word, "STREAMS") && more > 0 {
                let rest = &argv[at + 1..];
                if rest.len() % 2 == 1 {
                    return Err(Fault::new(
                        "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
                    ));
                }
                (asked.keys, asked.ids) = rest.split_at(rest.len() / 2);
                break;
            } else if is(word, "GROUP") && more > 1 {
                if !grouped {
                    return Err(Fault::new(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                asked.group = Some((argv[at + 1], argv[at + 2]));
                at += 2;
            } else if is(word, "NOACK") {
                if !grouped {
                    return Err(Fault::new(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                asked.forget = true;
            } else {
                return Err(Fault::SYNTAX);
            }
            at += 1;
        }
        if asked.keys.is_empty() {
            return Err(Fault::SYNTAX);
        }
        Ok(asked)
    }

    /// That there is nothing for one who would wait.
    fn wait(&self, form: Form, now: u64) -> Outcome {
        match self.block {
            None => Ok(()),
            Some(0) => Err(Wait::fault(NEVER, form)),
            Some(millis) => Err(Wait::fault(now.saturating_add(millis), form)),
        }
    }

    fn streams(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.keys.iter().copied().zip(self.ids.iter().copied())
    }
}

/// Milliseconds to wait.
pub(in crate::command) fn block(argument: &[u8]) -> Result<u64, Fault> {
    let wait = integer(argument);
    let wait = wait.map_err(|_| Fault::new("ERR timeout is not an integer or out of range"))?;
    u64::try_from(wait).map_err(|_| Fault::new("ERR timeout is negative"))
}

/// Answers how many streams have something; each is then its key and its entries.
fn answer_streams(streams: usize, reply: &mut dyn Reply) {
    match (streams, reply.protocol()) {
        (0, _) => reply.null_array(),
        (_, Protocol::V3) => reply.map(streams),
        (_, Protocol::V2) => reply.array(streams),
    }
}

fn answer_key(key: &[u8], reply: &mut dyn Reply) {
    if reply.protocol() == Protocol::V2 {
        reply.array(2);
    }
    reply.bulk(key);
}

pub(super) fn xread(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let asked = Asked::parse(argv, false)?;
    let mut found: Vec<(&[u8], &Stream, Id)> = Vec::new();
    for (key, id) in asked.streams() {
        let stream = stream(view, key)?;
        let after = after(stream, id)?;
        if let (Some(stream), Some(from)) = (stream, after.next())
            && !stream.is_empty()
            && stream.last_entry_id() >= from
        {
            found.push((key, stream, from));
        }
    }
    if found.is_empty() {
        asked.wait(Form::Read, view.around.now)?;
    }
    answer_streams(found.len(), reply);
    for (key, stream, from) in found {
        answer_key(key, reply);
        answer_entries(|| Box::new(stream.entries(from, Id::MAX).take(asked.count)), reply);
    }
    Ok(())
}

/// The id behind which XREAD reads.
fn after(stream: Option<&Stream>, id: &[u8]) -> Result<Id, Fault> {
    match id {
        b"$" => Ok(stream.map_or(Id::MIN, |stream| stream.past().last)),
        // Redis 7.4: the last entry that is there.
        b"+" => Ok(stream.and_then(|stream| stream.last_entry_id().previous()).unwrap_or(Id::MAX)),
        b">" => Err(Fault::new(
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        )),
        _ => Id::parse(id, 0).ok_or(INVALID_ID),
    }
}

/// Writes the ids out that name the present end of a stream: who waits has seen what is there.
pub(in crate::command) fn write_out(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    kept: &mut [Box<[u8]>],
) {
    let keys = keys(argv);
    for at in &keys {
        let id = at + keys.len();
        if matches!(argv[id], b"$" | b"+") {
            let stream = stream(view, argv[*at]).ok().flatten();
            let last = stream.map_or(Id::MIN, |stream| stream.past().last);
            kept[id] = last.to_string().into_bytes().into();
        }
    }
}

/// What one stream is asked for by a group.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// What the group has not read.
    New,
    /// What the consumer has been given behind this id and not acknowledged.
    Own(Id),
}

/// What one stream gives to a group.
#[derive(Debug)]
enum Served {
    /// So many entries from this id on.
    New(Id, usize),
    /// These, deleted ones included.
    Own(Vec<Id>),
}

pub(super) fn xreadgroup(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let asked = Asked::parse(argv, true)?;
    let missing = Fault::new("ERR Missing GROUP option for XREADGROUP");
    let (name, consumer) = asked.group.ok_or(missing)?;
    let wanted = wanted(&view.as_read(), &asked, name)?;
    let mut served: Vec<(&[u8], Served)> = Vec::new();
    for (key, wanted) in asked.keys.iter().zip(wanted) {
        if let Some(found) = serve(view, key, (name, consumer), &asked, wanted)? {
            served.push((key, found));
        }
    }
    if served.is_empty() {
        asked.wait(Form::GroupRead, view.around.now)?;
    }
    answer_streams(served.len(), reply);
    for (key, served) in served {
        answer_key(key, reply);
        if let Some(stream) = stream(&view.as_read(), key)? {
            answer_served(stream, &served, reply);
        }
    }
    Ok(())
}

/// What is asked of each stream, once all of it is known to be right.
fn wanted(view: &ReadView<'_, '_>, asked: &Asked<'_>, name: &[u8]) -> Result<Vec<Wanted>, Fault> {
    let one = |(key, id): (&[u8], &[u8])| {
        let group = stream(view, key)?.and_then(|stream| stream.group(name));
        if group.is_none() {
            let (key, name) = (shown(key, usize::MAX), shown(name, usize::MAX));
            return Err(Fault::text(format!(
                "NOGROUP No such key '{key}' or consumer group '{name}' in XREADGROUP with GROUP option"
            )));
        }
        match id {
            b"$" => Err(Fault::new(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
            )),
            b">" => Ok(Wanted::New),
            _ => match Id::parse(id, 0).ok_or(INVALID_ID)? {
                // What Redis has for ">" inside, and so takes for it.
                Id::MAX => Ok(Wanted::New),
                id => Ok(Wanted::Own(id)),
            },
        }
    };
    asked.streams().map(one).collect()
}

/// Gives a consumer what it asks of one stream; `None` when there is nothing new.
fn serve(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    (name, consumer): (&[u8], &[u8]),
    asked: &Asked<'_>,
    wanted: Wanted,
) -> Result<Option<Served>, Fault> {
    let now = view.around.now;
    let given = change(view, key, |stream| {
        let Some(from) = begins(stream, name, wanted) else { return Ok(None) };
        let Some(group) = stream.group_mut(name) else { return Ok(None) };
        let (consumer, created) = see(group, consumer, now);
        let (served, moved) = match wanted {
            Wanted::New => deliver(stream, name, from, asked, |deliveries| Pending {
                delivered_at: now,
                deliveries,
                consumer,
            }),
            Wanted::Own(_) => repeat(stream, name, (from, consumer), asked.count, now),
        };
        Ok(Some((served, moved, created)))
    })?;
    let Some((served, moved, created)) = given.flatten() else { return Ok(None) };
    let read = matches!(served, Served::New(..));
    if created {
        view.notify(Classes::STREAM, "xgroup-createconsumer", key);
    }
    if created || read || !moved.is_empty() {
        regrouped(view);
    }
    if view.effects.is_written() {
        if created && moved.is_empty() {
            view.reword(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer]);
        }
        log_deliveries(view, key, name, consumer, &moved);
        if read {
            log_position(view, key, name);
        }
    }
    Ok(Some(served))
}

/// The first id that may be given; `None` when nothing is new.
fn begins(stream: &Stream, name: &[u8], wanted: Wanted) -> Option<Id> {
    match wanted {
        Wanted::Own(id) => Some(id),
        Wanted::New => {
            let from = stream.group(name)?.last().next()?;
            (!stream.is_empty() && stream.last_entry_id() >= from).then_some(from)
        }
    }
}

/// The consumer, made if it is not there, and whether it was made.
fn see(group: &mut Group, consumer: &[u8], now: u64) -> (ConsumerId, bool) {
    match group.find(consumer) {
        Some(consumer) => {
            group.see(consumer, now);
            (consumer, false)
        }
        None => (group.create(consumer, now), true),
    }
}

/// Moves a group over new entries, which become pending unless that is not wanted.
fn deliver(
    stream: &mut Stream,
    name: &[u8],
    from: Id,
    asked: &Asked<'_>,
    pending: impl Fn(u64) -> Pending,
) -> (Served, Vec<(Id, Pending)>) {
    let ids: Vec<Id> =
        stream.entries(from, Id::MAX).take(asked.count).map(|entry| entry.id).collect();
    let mut moved = Vec::new();
    for id in &ids {
        stream.deliver(name, *id);
        if let Some(group) = stream.group_mut(name).filter(|_| !asked.forget) {
            group.assign(*id, pending(1));
            moved.push((*id, pending(1)));
        }
    }
    (Served::New(from, ids.len()), moved)
}

/// Gives a consumer its own entries again, behind an id.
fn repeat(
    stream: &mut Stream,
    name: &[u8],
    (after, consumer): (Id, ConsumerId),
    count: usize,
    now: u64,
) -> (Served, Vec<(Id, Pending)>) {
    let own: Vec<(Id, Pending)> = match (stream.group(name), after.next()) {
        (Some(group), Some(from)) => {
            let own = group.pending_of(consumer, from..).take(count);
            own.map(|(id, pending)| (id, *pending)).collect()
        }
        _ => Vec::new(),
    };
    let ids = own.iter().map(|(id, _)| *id).collect();
    let mut moved = Vec::new();
    for (id, pending) in own {
        if stream.contains(id)
            && let Some(group) = stream.group_mut(name)
        {
            let pending = pending.again(now);
            group.assign(id, pending);
            moved.push((id, pending));
        }
    }
    (Served::Own(ids), moved)
}

fn answer_served(stream: &Stream, served: &Served, reply: &mut dyn Reply) {
    match served {
        Served::New(from, count) => {
            let entries = || -> Box<dyn Iterator<Item = Entry<'_>>> {
                Box::new(stream.entries(*from, Id::MAX).take(*count))
            };
            answer_entries(entries, reply);
        }
        Served::Own(ids) => {
            reply.array(ids.len());
            for id in ids {
                match stream.get(*id) {
                    Some(entry) => answer_entry(entry, reply),
                    None => {
                        reply.array(2);
                        answer_id(*id, reply);
                        reply.null_array();
                    }
                }
            }
        }
    }
}
