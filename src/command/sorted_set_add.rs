//! ZADD and ZINCRBY, and what adds places: members get scores, under conditions.

use super::Argv;
use super::args::is;
use super::sorted_set::answer_score;
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::resp::Reply;
use crate::value::number::{format_double, parse_double};
use crate::value::sorted_set::{SortedSet, SortedSetLimits};

/// A score that adding has made no number.
const NOT_A_NUMBER: Fault = Fault::new("ERR resulting score is not a number (NaN)");

/// How ZADD treats members, by its options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// Only those that are not there.
    pub nx: bool,
    /// Only those that are there.
    pub xx: bool,
    /// Only when the new score is greater than the one that is there.
    pub gt: bool,
    /// Only when it is less.
    pub lt: bool,
    /// Count those whose score has changed, too.
    pub ch: bool,
    /// Add the score to the one that is there.
    pub incr: bool,
}

impl Conditions {
    /// Takes an option; answers whether it is one.
    fn take(&mut self, word: &[u8]) -> bool {
        let options = [
            ("NX", &mut self.nx),
            ("XX", &mut self.xx),
            ("GT", &mut self.gt),
            ("LT", &mut self.lt),
            ("CH", &mut self.ch),
            ("INCR", &mut self.incr),
        ];
        let option = options.into_iter().find(|(name, _)| is(word, name));
        option.map(|(_, set)| *set = true).is_some()
    }

    /// Refuses options that exclude one another.
    ///
    /// # Errors
    /// In the words of ZADD.
    pub fn check(&self) -> Result<(), Fault> {
        if self.nx && self.xx {
            return Err(Fault::new("ERR XX and NX options at the same time are not compatible"));
        }
        if [self.gt, self.lt, self.nx].into_iter().filter(|set| *set).count() > 1 {
            return Err(Fault::new(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        Ok(())
    }

    /// Gives one member a score, as far as the conditions allow it.
    fn apply(
        self,
        set: &mut SortedSet,
        member: &[u8],
        score: f64,
        limits: SortedSetLimits,
    ) -> Result<Change, Fault> {
        let mut change = Ok(Change::Refused);
        set.update(member, limits, |old| {
            change = self.change(old, score);
            match change {
                Ok(Change::Added(score) | Change::Updated(score)) => Some(score),
                _ => None,
            }
        });
        change
    }

    /// What becomes of a member that has this score, or none.
    fn change(self, old: Option<f64>, score: f64) -> Result<Change, Fault> {
        let Some(old) = old else {
            return Ok(if self.xx { Change::Refused } else { Change::Added(score) });
        };
        if self.nx {
            return Ok(Change::Refused);
        }
        let score = if self.incr { old + score } else { score };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if (self.lt && score >= old) || (self.gt && score <= old) {
            return Ok(Change::Refused);
        }
        Ok(if score == old { Change::Same(score) } else { Change::Updated(score) })
    }
}

/// What has become of a member, and the score that is answered for it.
enum Change {
    /// A condition was against it.
    Refused,
    /// It had this score already.
    Same(f64),
    Added(f64),
    Updated(f64),
}

/// What adding has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Added {
    /// Members that were not there.
    pub added: usize,
    /// Members that have another score now.
    pub updated: usize,
    /// The score of the last member that no condition was against.
    pub score: Option<f64>,
}

impl Added {
    fn note(&mut self, change: &Change) {
        match *change {
            Change::Refused => {}
            Change::Same(score) => self.score = Some(score),
            Change::Added(score) => {
                self.added += 1;
                self.score = Some(score);
            }
            Change::Updated(score) => {
                self.updated += 1;
                self.score = Some(score);
            }
        }
    }
}

/// Adds members to the sorted set under a key, and says so to watchers, the log and those who
/// hear of events. With `incr` there is one pair, and the log gets its resulting score.
///
/// # Errors
/// `WRONGTYPE`, or a sum that is no number; nothing has changed then.
pub fn add(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    conditions: Conditions,
    pairs: &[(f64, &[u8])],
) -> Result<Added, Fault> {
    let limits = view.around.config.encodings.sorted_set;
    let edit = |set: &mut SortedSet| {
        let mut done = Added::default();
        for (score, member) in pairs {
            done.note(&conditions.apply(set, member, *score, limits)?);
        }
        Ok(done)
    };
    let done = if conditions.xx {
        view.edit_present(key, edit)?.map_or_else(Added::default, |edited| edited.result)
    } else {
        view.edit(key, edit)?
    };
    if done.added + done.updated > 0 {
        view.modified(key);
        view.notify(Classes::SORTED_SET, if conditions.incr { "zincr" } else { "zadd" }, key);
        if let (true, [(_, member)], Some(score)) = (conditions.incr, pairs, done.score) {
            view.reword(&[b"ZADD", key, format_double(score).as_bytes(), member]);
        }
    }
    Ok(done)
}

/// ZADD: see its row.
pub(super) fn zadd(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut conditions = Conditions::default();
    let options = argv[2..].iter().take_while(|word| conditions.take(word)).count();
    let elements = &argv[2 + options..];
    if elements.is_empty() || elements.len() % 2 == 1 {
        return Err(Fault::SYNTAX);
    }
    conditions.check()?;
    if conditions.incr && elements.len() > 2 {
        return Err(Fault::new("ERR INCR option supports a single increment-element pair"));
    }
    let pairs: Result<Vec<_>, Fault> =
        elements.chunks_exact(2).map(|pair| Ok((score(pair[0])?, pair[1]))).collect();
    let done = add(view, argv[1], conditions, &pairs?)?;
    if conditions.incr {
        answer_score(done.score, reply);
    } else {
        reply.integer((done.added + if conditions.ch { done.updated } else { 0 }) as i64);
    }
    Ok(())
}

fn score(argument: &[u8]) -> Result<f64, Fault> {
    parse_double(argument).ok_or(Fault::NOT_FLOAT)
}

/// ZINCRBY: see its row.
pub(super) fn zincrby(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    // Redis reads options here too, and of what is left misses a member.
    if ["NX", "XX", "GT", "LT", "CH", "INCR"].iter().any(|option| is(argv[2], option)) {
        return Err(Fault::SYNTAX);
    }
    let increment = Conditions { incr: true, ..Conditions::default() };
    let done = add(view, argv[1], increment, &[(score(argv[2])?, argv[3])])?;
    answer_score(done.score, reply);
    Ok(())
}
