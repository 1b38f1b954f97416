//! Plays steps to both servers, pipelined, and stops at the first reply that differs.
//!
//! Left out on purpose: what the commands did to the keyspace; see `keyspace`.

use std::collections::BTreeMap;

use anyhow::Result;

use super::compare;
use super::grammar::{How, Line, Step};
use super::pair::{Answer, Pair};
use super::reply;

/// A batch never holds more bytes than the kernel's buffers take.
const BATCH_BYTES: usize = 32 * 1024;

/// Two replies that should have been the same.
#[derive(Debug)]
pub(super) struct Difference {
    /// How many steps had been played when it showed.
    pub(super) steps: usize,
    /// The command that was answered differently.
    pub(super) line: Line,
    /// What redis-server and Eave answered.
    pub(super) redis: Answer,
    pub(super) eave: Answer,
}

/// How often each command was sent, and how often redis-server answered it with an error.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) commands: BTreeMap<String, (u64, u64)>,
    pub(super) sent: u64,
}

impl Tally {
    fn count(&mut self, line: &Line, redis: Option<&[u8]>) {
        let counts = self.commands.entry(line.name()).or_default();
        counts.0 += 1;
        counts.1 += u64::from(redis.is_some_and(|reply| reply.starts_with(b"-")));
        self.sent += 1;
    }
}

/// Plays all steps, `batch` commands at once; the first difference ends it.
///
/// # Errors
/// When a server sends no RESP.
pub(super) fn play(
    pair: &mut Pair,
    steps: &[Step],
    batch: usize,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let mut first = 0;
    let mut request = Vec::new();
    while first < steps.len() {
        request.clear();
        let mut last = first;
        let mut count = 0;
        while last < steps.len() && (last == first || count < batch) && request.len() < BATCH_BYTES
        {
            for line in &steps[last].lines {
                reply::encode(&line.arguments, &mut request);
                pair.past.see(line);
                count += 1;
            }
            last += 1;
        }
        pair.send(&request);
        for (at, step) in steps.iter().enumerate().take(last).skip(first) {
            if let Some(mut difference) = judge(pair, step, at + 1, tally)? {
                if difference.redis.is_none() || difference.eave.is_none() {
                    // What broke the connection may come later: replies before it are lost.
                    difference.steps = last;
                }
                return Ok(Some(difference));
            }
        }
        first = last;
    }
    Ok(None)
}

/// What jemalloc is told each time that redis-server is asked again, before its answer is believed.
const ALLOCATORS: [&str; 4] = ["", "tcache:false", "tcache:false,narenas:1", "tcache:false"];

/// Whether redis-server, asked all of it once more on a new server, answers what Eave answered
/// the first time, and not what it had answered itself. Streams that were chosen by chance damage
/// its memory (an entry that it has told once becomes another), and then what it tells depends on
/// where things lie in it: so they are made to lie elsewhere.
///
/// # Errors
/// When a server sends no RESP.
pub(super) fn is_taken_back(
    pair: &mut Pair,
    steps: &[Step],
    batch: usize,
    resp3: bool,
    first: &Difference,
) -> Result<bool> {
    let (Some(split), Some(eave)) = (steps.split_last(), &first.eave) else { return Ok(false) };
    let mut taken_back = false;
    for allocator in ALLOCATORS {
        pair.redis.end_for(allocator);
        pair.reset(resp3)?;
        taken_back = answers_so_now(pair, split, batch, (&first.line, eave.as_slice()))?;
        if taken_back {
            break;
        }
    }
    pair.redis.end();
    Ok(taken_back)
}

/// Plays what came before on new servers; answers whether redis-server agrees with Eave then, and
/// says to the last line what Eave has said before.
fn answers_so_now(
    pair: &mut Pair,
    (last, before): (&Step, &[Step]),
    batch: usize,
    (asked, said): (&Line, &[u8]),
) -> Result<bool> {
    if play(pair, before, batch, &mut Tally::default())?.is_some() {
        return Ok(false);
    }
    let mut request = Vec::new();
    last.lines.iter().for_each(|line| reply::encode(&line.arguments, &mut request));
    pair.send(&request);
    let mut so = false;
    for line in &last.lines {
        let (Some(now), Some(_)) = pair.receive()? else { return Ok(false) };
        so |= line.arguments == asked.arguments && now == said;
    }
    Ok(so)
}

/// Reads the replies to one step and compares them.
fn judge(
    pair: &mut Pair,
    step: &Step,
    steps: usize,
    tally: &mut Tally,
) -> Result<Option<Difference>> {
    let mut replies = Vec::with_capacity(step.lines.len());
    for line in &step.lines {
        let both = pair.receive()?;
        tally.count(line, both.0.as_deref());
        let silent = both.0.is_none() || both.1.is_none();
        replies.push(both);
        if silent {
            break;
        }
    }
    let transaction = step.is_transaction();
    for (at, (redis, eave)) in replies.iter().enumerate() {
        let line = &step.lines[at];
        let alike = match (redis, eave) {
            (Some(redis), Some(eave)) if line.how == How::Exec => {
                let inner = step.lines.get(1..step.lines.len() - 1).unwrap_or_default();
                compare::same_transaction(inner, redis, eave, pair.past)
            }
            // Inside of a transaction commands are only queued, which is exact.
            (Some(redis), Some(eave)) if transaction => compare::same(
                &Line { how: How::Exact, ..line.clone() },
                redis,
                eave,
                None,
                pair.past,
            ),
            (Some(redis), Some(eave)) => {
                let probe = step.lines.get(at + 1).filter(|next| compare::is_probe(line, next));
                let next = probe.and(replies.get(at + 1)).and_then(|next| next.0.as_deref());
                compare::same(line, redis, eave, next, pair.past)
            }
            _ => false,
        };
        if !alike {
            let (redis, eave) = (redis.clone(), eave.clone());
            return Ok(Some(Difference { steps, line: line.clone(), redis, eave }));
        }
    }
    Ok(None)
}
