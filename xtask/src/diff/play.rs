//! Plays steps to both servers, pipelined, and stops at the first reply that differs.
//!
//! Left out on purpose: what the commands did to the keyspace; see `keyspace`.

use std::collections::BTreeMap;

use anyhow::Result;

use super::compare::{self, Past};
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
    let mut replies = Vec::with_capacity(last.lines.len());
    for line in &last.lines {
        let (redis, eave) = pair.receive()?;
        if redis.is_none() || eave.is_none() {
            return Ok(false);
        }
        let again = line.arguments == asked.arguments;
        replies.push((redis, if again { Some(said.to_vec()) } else { eave }));
    }
    Ok((0..replies.len()).all(|at| are_alike(last, at, &replies, pair.past)))
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
    pair.added.note(step, &replies);
    for (at, line) in step.lines.iter().enumerate().take(replies.len()) {
        if !are_alike(step, at, &replies, pair.past) {
            let (redis, eave) = replies.swap_remove(at);
            return Ok(Some(Difference { steps, line: line.clone(), redis, eave }));
        }
    }
    Ok(None)
}

/// Whether the replies to a line of a step are as good as equal.
fn are_alike(step: &Step, at: usize, replies: &[(Answer, Answer)], past: Past) -> bool {
    let line = &step.lines[at];
    let (Some(redis), Some(eave)) = &replies[at] else { return false };
    if line.how == How::Exec {
        let inner = step.lines.get(1..step.lines.len() - 1).unwrap_or_default();
        return compare::same_transaction(inner, redis, eave, past);
    }
    if step.is_transaction() {
        // Inside of a transaction commands are only queued, which is exact.
        let exactly = Line { how: How::Exact, ..line.clone() };
        return compare::same(&exactly, redis, eave, None, past);
    }
    let probe = step.lines.get(at + 1).filter(|next| compare::is_probe(line, next));
    let next = probe.and(replies.get(at + 1)).and_then(|next| next.0.as_deref());
    compare::same(line, redis, eave, next, past)
}
