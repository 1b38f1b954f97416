//! Limits that regions share (`REGIONS local`): decided on the node that is asked, a replica too.
//!
//! What is taken goes to the board (`crate::regions`) and not to a key. On a leader the handlers
//! of RL.TAKE and its kin come here; on a replica, where those are writes and so the leader's, the
//! engine asks here first ([`here`]), and no key is locked. In a transaction, and in a script,
//! they go to the leader as any write does: it shares the same limits.

use eave_ratelimit::Rule;
use eave_ratelimit::regions::Span;

use super::limiter::{Status, amount, answer, answer_with, counted, listed, options};
use super::server::row;
use super::{Argv, Command, Flags, Group, Run, limiter_many};
use crate::fault::{Fault, Outcome};
use crate::limits::REGION_REPORT_MOST;
use crate::node::Node;
use crate::regions::{Asked, Board};
use crate::replicate::regions;
use crate::resp::Reply;
use crate::rules::{Judgement, Known};
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    group: Group::RateLimit,
    flags: Flags::ADMIN
        .union(Flags::NOSCRIPT)
        .union(Flags::NO_REST)
        .union(Flags::NO_MULTI)
        .union(Flags::STALE)
        .union(Flags::ALLOW_BUSY)
        .union(Flags::SKIP_SLOWLOG)
        .union(Flags::SKIP_MONITOR),
    run: Run::Session(exchange),
    ..row(
        "rl.exchange",
        "report",
        "An internal command: nodes tell each other what was taken of limits that they share.",
        "0.6.0",
        2,
    )
}];

fn exchange(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if argv[1].len() > REGION_REPORT_MOST {
        return Err(Fault::new("ERR the report is too large"));
    }
    let answer =
        regions::answer(node, argv[1]).map_err(|error| Fault::text(format!("ERR {error}")))?;
    reply.bulk(&answer);
    Ok(())
}

/// A key that is asked under a rule which nodes share.
pub(super) struct Question<'a> {
    pub(super) db: usize,
    pub(super) key: &'a [u8],
    pub(super) rule: &'a Rule,
    pub(super) now: u64,
}

impl<'a> Question<'a> {
    /// Nothing if there is no room for it: then it is decided as if it were not shared.
    fn asked(&self, board: &Board) -> Option<Asked<'a>> {
        let &Question { db, key, rule, .. } = self;
        let span = Span::of(rule)?;
        board.has_room(db, key).then_some(Asked { db, key, rule, span })
    }

    #[cold]
    pub(super) fn take(&self, board: &Board, known: &Known, cost: u64) -> Option<Status> {
        let asked = self.asked(board)?;
        let mut within = 0;
        let mut locked = board.lock(self.db, std::iter::once(self.key));
        let status = locked.take(asked, cost, self.now, |most| within = most);
        drop(locked);
        known.note_within(within);
        Some(status)
    }

    #[cold]
    pub(super) fn give(&self, board: &Board, amount: u64) -> Option<Status> {
        let asked = self.asked(board)?;
        let mut locked = board.lock(self.db, std::iter::once(self.key));
        Some(locked.give(asked, amount, self.now))
    }

    #[cold]
    pub(super) fn peek(&self, board: &Board, cost: u64) -> Option<Status> {
        let asked = self.asked(board)?;
        let locked = board.lock(self.db, std::iter::once(self.key));
        Some(locked.peek(asked, cost, self.now))
    }
}

/// Whether this may be decided on a replica.
pub fn is_shared(node: &Node, command: &Command) -> bool {
    node.keyspace.rules.are_shared() && matches!(command.name, "rl.take" | "rl.mtake" | "rl.give")
}

/// Decides on a replica what it can decide; `false` = this is the leader's, and nothing has
/// happened. What is wrong with a request the leader says too: a rule that it does not know here
/// may have been made there a moment ago.
#[cold]
pub fn here(
    node: &Node,
    session: &mut Session,
    command: &Command,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> bool {
    let allowed = match command.name {
        "rl.take" => take(node, session, argv, reply),
        "rl.give" => return give(node, session, argv, reply).unwrap_or(false),
        "rl.mtake" => limiter_many::mtake_here(node, session, argv, reply),
        _ => Ok(None),
    };
    match allowed {
        Ok(Some(true)) => session.tally.allowed += 1,
        Ok(Some(false)) => session.tally.refused += 1,
        Ok(None) | Err(_) => return false,
    }
    true
}

fn take(
    node: &Node,
    session: &Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Result<Option<bool>, Fault> {
    let (cost, ids) = options(&argv[3..])?;
    let (key, token, now, db) = (argv[1], argv[2], session.now, session.db);
    let rules = &node.keyspace.rules;
    rules.with(token, now, |known| {
        let judgement = known.judge(key, ids, now);
        let (status, list) = match judgement {
            Judgement::Rule(_) => return Ok(None),
            Judgement::Shared(rule) => {
                let question = Question { db, key, rule: &rule, now };
                match question.take(&node.keyspace.regions, known, cost) {
                    Some(status) => (status, None),
                    None => return Ok(None),
                }
            }
            // Of a rule that is the leader's, the leader counts whom a list lets pass.
            _ if !known.is_shared() => return Ok(None),
            judgement => {
                let (status, list) = listed(judgement).unwrap_or_default();
                (status, Some(("list", list)))
            }
        };
        known.count(counted(judgement, &status), key, ids, now);
        answer_with(&status, token, list, reply);
        Ok(Some(status[0] == 1))
    })
}

fn give(
    node: &Node,
    session: &Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Result<bool, Fault> {
    let amount = amount(argv[3])?;
    let (key, now, db) = (argv[1], session.now, session.db);
    let rules = &node.keyspace.rules;
    rules.with(argv[2], now, |known| {
        let Judgement::Shared(rule) = known.judge(key, &[], now) else { return Ok(false) };
        let question = Question { db, key, rule: &rule, now };
        let Some(status) = question.give(&node.keyspace.regions, amount) else { return Ok(false) };
        answer(&status, argv[2], reply);
        Ok(true)
    })
}
