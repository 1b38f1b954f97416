//! XCLAIM and XAUTOCLAIM: what is pending gets another consumer.

use std::ops::Bound;

use super::super::Argv;
use super::super::args::{integer, is, next};
use super::{answer_entry, answer_id, change, id, no_group, regrouped, start, stream};
use crate::config::Classes;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::WriteView;
use crate::keyspace::view::BEFORE_ALL;
use crate::resp::Reply;
use crate::value::number::parse_integer;
use crate::value::stream::{ConsumerId, Group, Id, Pending, Stream};

/// Entries that XAUTOCLAIM looks at for each one it may answer.
const ATTEMPTS: usize = 10;

/// The largest COUNT of XAUTOCLAIM, as in Redis.
const MOST: i64 = i64::MAX / 16;

/// How entries are claimed.
#[derive(Debug, Clone, Copy)]
struct Claim<'a> {
    consumer: &'a [u8],
    /// Milliseconds that an entry has not been heard of.
    idle: u64,
    now: u64,
    delivered_at: u64,
    deliveries: Option<u64>,
    /// Also what is not pending.
    force: bool,
    /// Answer ids alone, and do not count it as a delivery.
    ids_alone: bool,
    /// What the group has read at least.
    last: Option<Id>,
}

/// What has come of claims.
#[derive(Debug, Default)]
struct Claimed {
    consumer: Option<ConsumerId>,
    created: bool,
    moved: Vec<(Id, Pending)>,
    /// Pending entries that had been deleted.
    gone: Vec<Id>,
    advanced: bool,
}

impl<'a> Claim<'a> {
    fn new(view: &WriteView<'_, '_>, consumer: &'a [u8], idle: u64) -> Claim<'a> {
        let now = view.around.now;
        Claim {
            consumer,
            idle,
            now,
            delivered_at: now,
            deliveries: None,
            force: false,
            ids_alone: false,
            last: None,
        }
    }

    /// Reads the options of XCLAIM.
    fn options(&mut self, options: &[&[u8]]) -> Outcome {
        let mut at = 0;
        while at < options.len() {
            let (word, more) = (options[at], at + 1 < options.len());
            let mut number = |fault| {
                at += 1;
                parse_integer(options[at]).ok_or(Fault::new(fault))
            };
            if is(word, "FORCE") {
                self.force = true;
            } else if is(word, "JUSTID") {
                self.ids_alone = true;
            } else if is(word, "IDLE") && more {
                let idle = number("ERR Invalid IDLE option argument for XCLAIM")?;
                self.deliver(0i64.checked_add_unsigned(self.now).and_then(|t| t.checked_sub(idle)));
            } else if is(word, "TIME") && more {
                let time = number("ERR Invalid TIME option argument for XCLAIM")?;
                self.deliver(Some(time));
            } else if is(word, "RETRYCOUNT") && more {
                let count = number("ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                self.deliveries = u64::try_from(count).ok();
            } else if is(word, "LASTID") && more {
                self.last = Some(id(next(options, &mut at)?)?);
            } else {
                let word = shown(word, usize::MAX);
                return Err(Fault::text(format!("ERR Unrecognized XCLAIM option '{word}'")));
            }
            at += 1;
        }
        Ok(())
    }

    /// Sets when the entries were delivered; a moment that cannot be is taken for now. A leader
    /// knows better than its replica what time it is.
    fn deliver(&mut self, at: Option<i64>) {
        let at = at.and_then(|at| u64::try_from(at).ok());
        let past = at.filter(|at| *at <= self.now || self.now == BEFORE_ALL);
        self.delivered_at = past.unwrap_or(self.now);
    }

    /// Claims one entry, if it is pending for long enough.
    fn claim(&self, stream: &mut Stream, name: &[u8], id: Id, claimed: &mut Claimed) {
        let exists = stream.contains(id);
        let Some(group) = stream.group_mut(name) else { return };
        let old = group.pending(id).copied();
        if !exists {
            if group.acknowledge(id) {
                claimed.gone.push(id);
            }
            return;
        }
        let deliveries = match old {
            Some(old) if self.now.saturating_sub(old.delivered_at) < self.idle => return,
            Some(old) => old.deliveries,
            None if self.force => 1,
            None => return,
        };
        let deliveries = match self.deliveries {
            Some(deliveries) => deliveries,
            None if self.ids_alone => deliveries,
            None => deliveries.saturating_add(1).min(Pending::MOST),
        };
        let consumer = self.consumer(group, claimed);
        let pending = Pending { delivered_at: self.delivered_at, deliveries, consumer };
        group.assign(id, pending);
        claimed.moved.push((id, pending));
    }

    /// The consumer, which is made when it gets its first entry.
    fn consumer(&self, group: &mut Group, claimed: &mut Claimed) -> ConsumerId {
        if let Some(consumer) = claimed.consumer {
            return consumer;
        }
        // On a replica the time of the delivery is the best that is known.
        let seen_at = if self.now == BEFORE_ALL { self.delivered_at } else { self.now };
        let consumer = match group.find(self.consumer) {
            Some(consumer) => {
                group.see(consumer, seen_at);
                consumer
            }
            None => {
                claimed.created = true;
                group.create(self.consumer, seen_at)
            }
        };
        claimed.consumer = Some(consumer);
        consumer
    }

    /// Tells the log and the listeners.
    fn publish(&self, view: &mut WriteView<'_, '_>, argv: Argv<'_>, claimed: &Claimed) {
        let (key, name) = (argv[1], argv[2]);
        if claimed.created {
            view.notify(Classes::STREAM, "xgroup-createconsumer", key);
        }
        if claimed.moved.is_empty() && claimed.gone.is_empty() && !claimed.advanced {
            return;
        }
        regrouped(view);
        if !view.effects.is_written() {
            return;
        }
        let gone: Vec<String> = claimed.gone.iter().map(Id::to_string).collect();
        if !gone.is_empty() {
            let mut log: Vec<&[u8]> = vec![b"XACK", key, name];
            log.extend(gone.iter().map(String::as_bytes));
            view.reword(&log);
        }
        log_deliveries(view, key, name, self.consumer, &claimed.moved);
        if claimed.moved.is_empty() && claimed.advanced {
            log_position(view, key, name);
        }
    }

    /// Answers the entries that were claimed, or their ids.
    fn answer(&self, stream: &Stream, claimed: &Claimed, reply: &mut dyn Reply) {
        reply.array(claimed.moved.len());
        for (id, _) in &claimed.moved {
            match stream.get(*id).filter(|_| !self.ids_alone) {
                Some(entry) => answer_entry(entry, reply),
                None => answer_id(*id, reply),
            }
        }
    }
}

/// Entries that one XCLAIM of the log names, well below what a request may have.
const LOGGED: usize = 1024;

/// Puts deliveries into the log, with their times and counts.
pub(super) fn log_deliveries(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    name: &[u8],
    consumer: &[u8],
    moved: &[(Id, Pending)],
) {
    let alike = |(_, a): &(Id, Pending), (_, b): &(Id, Pending)| a == b;
    for moved in moved.chunk_by(alike).flat_map(|alike| alike.chunks(LOGGED)) {
        let [(_, pending), ..] = moved else { continue };
        let Some(last) = last(view, key, name) else { return };
        let texts: Vec<String> = moved.iter().map(|(id, _)| id.to_string()).collect();
        let (time, count) = (pending.delivered_at.to_string(), pending.deliveries.to_string());
        let mut log: Vec<&[u8]> = vec![b"XCLAIM", key, name, consumer, b"0"];
        log.extend(texts.iter().map(String::as_bytes));
        log.extend([b"TIME", time.as_bytes(), b"RETRYCOUNT", count.as_bytes()]);
        log.extend([&b"FORCE"[..], b"JUSTID", b"LASTID", last.as_bytes()]);
        view.reword(&log);
    }
}

fn last(view: &WriteView<'_, '_>, key: &[u8], name: &[u8]) -> Option<String> {
    let read = view.as_read();
    let group = stream(&read, key).ok()??.group(name)?;
    Some(group.last().to_string())
}

/// Puts into the log how far a group has read.
pub(super) fn log_position(view: &mut WriteView<'_, '_>, key: &[u8], name: &[u8]) {
    let position = {
        let read = view.as_read();
        let group = stream(&read, key).ok().flatten().and_then(|stream| stream.group(name));
        group.map(|group| (group.last(), group.read()))
    };
    let Some((last, read)) = position else { return };
    let last = last.to_string();
    let read = read.map_or("-1".to_owned(), |read| read.to_string());
    let log: [&[u8]; 7] =
        [b"XGROUP", b"SETID", key, name, last.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
    view.reword(&log);
}

/// Refuses a group that is not there.
fn present(view: &WriteView<'_, '_>, key: &[u8], name: &[u8]) -> Outcome {
    let read = view.as_read();
    let group = stream(&read, key)?.and_then(|stream| stream.group(name));
    group.map(|_| ()).ok_or_else(|| no_group(key, name))
}

pub(super) fn xclaim(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (key, name) = (argv[1], argv[2]);
    present(view, key, name)?;
    let idle = parse_integer(argv[4]);
    let idle = idle.ok_or(Fault::new("ERR Invalid min-idle-time argument for XCLAIM"))?;
    let mut claim = Claim::new(view, argv[3], u64::try_from(idle).unwrap_or(0));
    let ids: Vec<Id> = argv[5..].iter().map_while(|text| Id::parse(text, 0)).collect();
    claim.options(&argv[5 + ids.len()..])?;
    let claimed = change(view, key, |stream| {
        let mut claimed = Claimed::default();
        if let (Some(group), Some(last)) = (stream.group_mut(name), claim.last)
            && last > group.last()
        {
            group.advance(last, group.read());
            claimed.advanced = true;
        }
        ids.iter().for_each(|id| claim.claim(stream, name, *id, &mut claimed));
        Ok(claimed)
    })?;
    let claimed = claimed.unwrap_or_default();
    claim.publish(view, argv, &claimed);
    if let Some(stream) = stream(&view.as_read(), key)? {
        claim.answer(stream, &claimed, reply);
    }
    Ok(())
}

/// Reads the options of XAUTOCLAIM; answers how many entries it may answer.
fn auto_options(claim: &mut Claim<'_>, argv: Argv<'_>) -> Result<usize, Fault> {
    let (mut at, mut count) = (6, 100);
    while at < argv.len() {
        if is(argv[at], "COUNT") && at + 1 < argv.len() {
            let wanted = integer(next(argv, &mut at)?).ok();
            let wanted = wanted.filter(|wanted| (1..=MOST).contains(wanted));
            let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
            count = wanted.ok_or(Fault::new("ERR COUNT must be > 0"))?;
        } else if is(argv[at], "JUSTID") {
            claim.ids_alone = true;
        } else {
            return Err(Fault::SYNTAX);
        }
        at += 1;
    }
    Ok(count)
}

pub(super) fn xautoclaim(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let (key, name) = (argv[1], argv[2]);
    let idle = parse_integer(argv[4]);
    let idle = idle.ok_or(Fault::new("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let from = start(argv[5])?;
    let mut claim = Claim::new(view, argv[3], u64::try_from(idle).unwrap_or(0));
    let count = auto_options(&mut claim, argv)?;
    present(view, key, name)?;
    let claimed = change(view, key, |stream| Ok(claim.run(stream, name, from, count)))?;
    let (claimed, cursor) = claimed.unwrap_or_default();
    claim.publish(view, argv, &claimed);
    if let Some(stream) = stream(&view.as_read(), key)? {
        reply.array(3);
        answer_id(cursor, reply);
        claim.answer(stream, &claimed, reply);
        reply.array(claimed.gone.len());
        claimed.gone.iter().for_each(|id| answer_id(*id, reply));
    }
    Ok(())
}

impl Claim<'_> {
    /// Claims `count` entries from an id on; answers where to go on, or 0-0 at the end.
    fn run(&self, stream: &mut Stream, name: &[u8], from: Id, count: usize) -> (Claimed, Id) {
        let mut claimed = Claimed::default();
        let mut from = Bound::Included(from);
        let mut attempts = count.saturating_mul(ATTEMPTS);
        loop {
            let group = stream.group(name);
            let pending = group.and_then(|group| group.pending_in((from, Bound::Unbounded)).next());
            let Some((id, _)) = pending else { return (claimed, Id::MIN) };
            if attempts == 0 || claimed.moved.len() + claimed.gone.len() == count {
                return (claimed, id);
            }
            attempts -= 1;
            from = Bound::Excluded(id);
            self.claim(stream, name, id, &mut claimed);
        }
    }
}
