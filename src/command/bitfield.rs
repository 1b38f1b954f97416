//! BITFIELD and BITFIELD_RO: integers of any width in the bits of a string.

use smallvec::SmallVec;

use super::Argv;
use super::args::{integer, is};
use super::bitmap::{bytes_up_to, changed, field_offset, grow};
use super::string::{string_of, with_bytes};
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::limits::STRING_BYTES;
use crate::resp::Reply;
use crate::value::bitfield::{Overflow, Width};

/// One step of a command.
#[derive(Clone, Copy)]
struct Step {
    action: Action,
    width: Width,
    offset: u64,
}

#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

type Steps = SmallVec<[Step; 4]>;

/// The steps; what is written is within `limit` bytes.
fn parse(argv: Argv<'_>, limit: usize) -> Result<Steps, Fault> {
    let mut steps = Steps::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = &argv[2..];
    while let Some((word, operands)) = rest.split_first() {
        rest = match operands {
            [kind, rest @ ..] if is(word, "OVERFLOW") => {
                overflow = named(kind)?;
                rest
            }
            [width, offset, rest @ ..] if is(word, "GET") => {
                // A place that no string reaches is read as 0.
                let (width, offset) = place(width, offset, STRING_BYTES)?;
                steps.push(Step { action: Action::Get, width, offset });
                rest
            }
            [width, offset, value, rest @ ..] if is(word, "SET") || is(word, "INCRBY") => {
                let (width, offset) = place(width, offset, limit)?;
                let value = integer(value)?;
                let action = if is(word, "SET") {
                    Action::Set(value, overflow)
                } else {
                    Action::Add(value, overflow)
                };
                steps.push(Step { action, width, offset });
                rest
            }
            _ => return Err(Fault::SYNTAX),
        };
    }
    Ok(steps)
}

fn named(overflow: &[u8]) -> Result<Overflow, Fault> {
    [("WRAP", Overflow::Wrap), ("SAT", Overflow::Saturate), ("FAIL", Overflow::Fail)]
        .into_iter()
        .find(|(name, _)| is(overflow, name))
        .map(|(_, overflow)| overflow)
        .ok_or(Fault::new("ERR Invalid OVERFLOW type specified"))
}

fn place(width: &[u8], offset: &[u8], limit: usize) -> Result<(Width, u64), Fault> {
    let width = Width::parse(width).ok_or(Fault::new(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    ))?;
    Ok((width, field_offset(offset, width.bits(), limit)?))
}

/// Bytes that the string needs for what is written; `None` when nothing is.
fn needed(steps: &[Step], limit: usize) -> Result<Option<usize>, Fault> {
    let written = steps.iter().filter(|step| !matches!(step.action, Action::Get));
    let last = written.map(|step| step.offset + u64::from(step.width.bits()) - 1).max();
    last.map(|last| bytes_up_to(last, limit)).transpose()
}

pub(super) fn bitfield(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let limit = view.around.config.string_bytes();
    let steps = parse(argv, limit)?;
    let Some(length) = needed(&steps, limit)? else {
        return read(&view.as_read(), argv[1], &steps, reply);
    };
    let (answers, grown) = grow(view, argv[1], length, |bytes| {
        steps.iter().map(|step| step.run(bytes)).collect::<SmallVec<[Answer; 4]>>()
    })?;
    if grown || answers.iter().any(|answer| answer.changed) {
        changed(view, argv[1]);
    }
    reply.array(answers.len());
    for answer in answers {
        match answer.value {
            Some(value) => reply.integer(value),
            None => reply.null(),
        }
    }
    Ok(())
}

pub(super) fn bitfield_ro(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let steps = parse(argv, view.around.config.string_bytes())?;
    if steps.iter().any(|step| !matches!(step.action, Action::Get)) {
        return Err(Fault::new("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(view, argv[1], &steps, reply)
}

fn read(view: &ReadView<'_, '_>, key: &[u8], steps: &[Step], reply: &mut dyn Reply) -> Outcome {
    let answer = |bytes: &[u8], reply: &mut dyn Reply| {
        reply.array(steps.len());
        steps.iter().for_each(|step| reply.integer(step.width.read(bytes, step.offset)));
    };
    match view.get(key) {
        Some(entry) => with_bytes(string_of(entry)?, |bytes| answer(bytes, reply)),
        None => answer(&[], reply),
    }
    Ok(())
}

/// What has come of one step.
struct Answer {
    value: Option<i64>,
    changed: bool,
}

impl Step {
    fn run(self, bytes: &mut [u8]) -> Answer {
        let Step { action, width, offset } = self;
        let old = width.read(bytes, offset);
        let value = match action {
            Action::Get => return Answer { value: Some(old), changed: false },
            Action::Set(value, overflow) => width.set(bytes, offset, value, overflow),
            Action::Add(amount, overflow) => width.add(bytes, offset, amount, overflow),
        };
        Answer { value, changed: width.read(bytes, offset) != old }
    }
}
