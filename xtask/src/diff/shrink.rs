//! Shortens a run that ends in a difference, to what still ends in one (delta debugging).
//!
//! Any difference will do: a shorter run may show another one, which is as good a finding.
//! What is left is tried on empty servers each time.
//!
//! Left out on purpose: the smallest of all runs; it is the smallest that leaving out and
//! simplifying one thing at a time leads to.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::compare::is_probe;
use super::grammar::{How, Line, Step};
use super::keyspace;
use super::pair::Pair;
use super::play::{Difference, Tally, play};
use crate::process;

/// Beyond this a run stays as it is: somebody waits for it.
const TIME: Duration = Duration::from_secs(90);

/// How a run is tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) resp3: bool,
    pub(super) batch: usize,
    /// Whether dumps are swapped at the end, which costs as much as a short run.
    pub(super) swap: bool,
}

impl Trial {
    /// Plays steps to empty servers and compares what they hold.
    ///
    /// # Errors
    /// When a server does not come back or sends no RESP.
    pub(super) fn run(self, pair: &mut Pair, steps: &[Step]) -> Result<Option<Difference>> {
        pair.reset(self.resp3)?;
        let difference = play(pair, steps, self.batch, &mut Tally::default())?;
        if difference.is_some() {
            return Ok(difference);
        }
        let difference = keyspace::compare(pair, steps.len())?;
        if difference.is_some() || !self.swap {
            return Ok(difference);
        }
        keyspace::swap(pair, steps.len())
    }
}

/// A run that is being shortened.
struct Shrinking<'a> {
    pair: &'a mut Pair,
    trial: Trial,
    until: Instant,
    steps: Vec<Step>,
}

/// The shortest run found, and the difference that it ends in; nothing when even the whole
/// run does not show it again.
///
/// # Errors
/// As [`Trial::run`].
pub(super) fn shrink(
    pair: &mut Pair,
    trial: Trial,
    steps: Vec<Step>,
) -> Result<Option<(Vec<Step>, Difference)>> {
    let Some(difference) = trial.run(pair, &steps)? else { return Ok(None) };
    let mut shrinking = Shrinking { pair, trial, until: process::now() + TIME, steps };
    shrinking.steps.truncate(difference.steps);
    shrinking.leave_out_steps()?;
    shrinking.open_transactions()?;
    shrinking.leave_out_steps()?;
    shrinking.simplify_arguments()?;
    shrinking.leave_out_steps()?;
    let Shrinking { steps, pair, .. } = shrinking;
    Ok(trial.run(pair, &steps)?.map(|difference| (steps, difference)))
}

impl Shrinking<'_> {
    /// Keeps `steps` if they still end in a difference.
    fn keep(&mut self, steps: Vec<Step>) -> Result<bool> {
        if process::now() > self.until {
            return Ok(false);
        }
        let Some(difference) = self.trial.run(self.pair, &steps)? else { return Ok(false) };
        self.steps = steps;
        self.steps.truncate(difference.steps);
        Ok(true)
    }

    /// Leaves out halves, then quarters, and so on down to single steps, from the end.
    fn leave_out_steps(&mut self) -> Result<()> {
        let mut size = self.steps.len().div_ceil(2);
        while size > 0 {
            let mut end = self.steps.len();
            let mut left_out = false;
            while end > 0 {
                let start = end.saturating_sub(size);
                let mut fewer = self.steps.clone();
                fewer.drain(start..end);
                left_out |= self.keep(fewer)?;
                end = start.min(self.steps.len());
            }
            // What was needed before may not be needed any more.
            if size > 1 || !left_out {
                size /= 2;
            }
        }
        Ok(())
    }

    /// Tries the commands of a transaction without it, and the transaction with fewer.
    fn open_transactions(&mut self) -> Result<()> {
        for at in (0..self.steps.len()).rev() {
            let Some(step) = self.steps.get(at) else { continue };
            if !step.is_transaction() {
                continue;
            }
            let inner = step.lines.get(1..step.lines.len() - 1).unwrap_or_default().to_vec();
            // A command that would block is only itself inside of a transaction.
            if !inner.iter().any(|line| line.name().starts_with('B') || is_blocking_read(line)) {
                let mut opened = self.steps.clone();
                opened.splice(at..=at, [Step { lines: inner.clone() }]);
                if self.keep(opened)? {
                    continue;
                }
            }
            for left in (1..=inner.len()).rev() {
                let mut fewer = self.steps.clone();
                if let Some(step) = fewer.get_mut(at).filter(|step| step.lines.len() > left + 1) {
                    leave_out(&mut step.lines, left);
                    self.keep(fewer)?;
                }
            }
        }
        Ok(())
    }

    /// Drops arguments, and puts short ones in the place of long ones.
    fn simplify_arguments(&mut self) -> Result<()> {
        for at in 0..self.steps.len() {
            for line in 0..self.steps.get(at).map_or(0, |step| step.lines.len()) {
                self.simplify_line(at, line)?;
            }
        }
        Ok(())
    }

    fn simplify_line(&mut self, at: usize, line: usize) -> Result<()> {
        let count = |steps: &[Step]| {
            let line: Option<&Line> = steps.get(at).and_then(|step| step.lines.get(line));
            line.filter(|line| !line.rigid && line.how == How::Exact)
                .map_or(0, |line| line.arguments.len())
        };
        for argument in (1..count(&self.steps)).rev() {
            let mut fewer = self.steps.clone();
            if let Some(line) = fewer.get_mut(at).and_then(|step| step.lines.get_mut(line)) {
                line.arguments.remove(argument);
                if self.keep(fewer)? {
                    continue;
                }
            }
            self.shorten(at, line, argument)?;
        }
        Ok(())
    }

    fn shorten(&mut self, at: usize, line: usize, argument: usize) -> Result<()> {
        for _ in 0..12 {
            let mut shorter = self.steps.clone();
            let found = shorter.get_mut(at).and_then(|step| step.lines.get_mut(line));
            let Some(text) = found.and_then(|line| line.arguments.get_mut(argument)) else {
                break;
            };
            // A shorter number could be a time to live that is over too soon.
            if text.len() < 8 || text.iter().all(u8::is_ascii_digit) {
                break;
            }
            text.truncate(text.len() * 2 / 3);
            if !self.keep(shorter)? {
                break;
            }
        }
        Ok(())
    }
}

/// Leaves a line out, and with it the question that says how its reply is to be read. Such a
/// question does not go alone.
fn leave_out(lines: &mut Vec<Line>, at: usize) {
    let asks = |at: usize| {
        let (line, next) = (lines.get(at), lines.get(at + 1));
        line.zip(next).is_some_and(|(line, next)| is_probe(line, next))
    };
    if at > 0 && asks(at - 1) {
        return;
    }
    let end = if asks(at) { at + 2 } else { at + 1 };
    lines.drain(at..end);
}

fn is_blocking_read(line: &Line) -> bool {
    line.name().starts_with("XREAD")
        && line.arguments.iter().any(|argument| argument.eq_ignore_ascii_case(b"BLOCK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_that_would_block_are_known() {
        let words: [&[u8]; 6] = [b"XREAD", b"block", b"0", b"STREAMS", b"x", b"$"];
        assert!(is_blocking_read(&Line::exact(words)));
        assert!(!is_blocking_read(&Line::exact([b"XREAD".as_slice(), b"STREAMS", b"x", b"0"])));
    }
}
