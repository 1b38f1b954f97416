//! RL.RULE and RL.STATS: what names of rules mean, and what came of them.
//!
//! The log carries a change as the command that made it, with an absolute time; a full copy carries the
//! same commands (`rules::carry`).

use eave_ratelimit::regions::Span;
use eave_ratelimit::{MAX_TOKEN_BYTES, Rule};

use super::args::{Moment, at_least, expiry_option, integer, is};
use super::{Argv, Command, Family, Flags, Group, Keys, Run, SessionRun, help};
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Access, LockSet, Wanted};
use crate::limits::RULE_ID_BYTES;
use crate::node::Node;
use crate::resp::Reply;
use crate::rules::{self, Change, FOREVER, Named, Regions, Rules, Spec};
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "Depends on subcommand.",
        subcommands: SUBCOMMANDS,
        run: Run::Container,
        ..row("rl.rule", "", "A container for the commands of named rules.", -2, get)
    },
    Command {
        complexity: "O(N) where N is the number of ids that are counted.",
        ..row(
            "rl.stats",
            "name [FROM unix-time-milliseconds] [TOP k]",
            "Tells how often a named rule has let pass and turned away, and who asks most.",
            -2,
            stats,
        )
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: WRITES.union(Flags::DENYOOM),
        ..row(
            "set",
            "name rule [DENY list] [ALLOW list] [FOR id] [EX seconds | PX milliseconds | EXAT \
             unix-time-seconds | PXAT unix-time-milliseconds] [REGIONS leader | local]",
            "Says what a name means, or what it means for one identifier.",
            -4,
            set,
        )
    },
    row("get", "name [FOR id]", "Tells what a name means.", -3, get),
    Command {
        flags: WRITES,
        ..row("del", "name [FOR id]", "Forgets a name, or what it means for one id.", -3, del)
    },
    Command {
        complexity: "O(N) where N is the number of rules that are told of.",
        ..row("list", "[name]", "Tells of all names, or of all identifiers of one.", -2, list)
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        ..row("help", "", "Returns helpful text about the different subcommands.", 2, show_help)
    },
];

/// For what changes rules and lists: not from scripts, which hold other locks.
pub(super) const WRITES: Flags = Flags::NOSCRIPT.union(Flags::WRITES);

pub(super) const fn row(
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    arity: isize,
    run: SessionRun,
) -> Command {
    Command {
        // In a transaction, so that no copy of the data is cut in between.
        keys: Keys::Databases(|_| [Some(0), None]),
        ..Family::new(Group::RateLimit).row(
            name,
            syntax,
            summary,
            "0.1.0",
            arity,
            Flags::empty(),
            Run::Session(run),
        )
    }
}

/// Changes rules or lists, and says so in the log if `apply` answers words for it.
///
/// As with functions: a shard is locked, so that a full copy and its place in the log are both before the
/// change, or both behind it.
pub(super) fn change<R>(
    node: &Node,
    session: &Session,
    words: &[&[u8]],
    apply: impl FnOnce(&Change<'_>) -> Result<(R, bool), Fault>,
) -> Result<R, Fault> {
    let shard = Wanted { db: 0, shard: 0, access: Access::Exclusive };
    let _lock = match session.executing {
        Some(_) => None,
        None => Some(LockSet::one(&node.keyspace, shard)?),
    };
    let change = node.keyspace.rules.change();
    let (result, changed) = apply(&change)?;
    if changed {
        let mut effects = node.effects();
        effects.append(session.db, words);
        node.record(&mut effects);
    }
    Ok(result)
}

/// Does what a fact of a full copy says, or a line of a file. What is over by now is taken all the same, and
/// nobody sees it: what belongs to it may come behind it, and clocks of two nodes do not agree.
///
/// # Errors
/// What the command would be told.
pub fn replay(rules: &Rules, argv: Argv<'_>, now: u64) -> Outcome {
    match argv {
        [family, word, ..] if is(family, "RL.RULE") && is(word, "SET") && argv.len() >= 4 => {
            Setting::read(argv, now)?.apply(&rules.change(), 0)
        }
        [family, word, ..] if is(family, "RL.LIST") && is(word, "ADD") && argv.len() >= 5 => {
            let values = super::limiter_list::Values::read(argv, now)?;
            values.add(&rules.change(), 0).map(|_| ())
        }
        _ => Err(Fault::SYNTAX),
    }
}

/// What RL.RULE SET says.
struct Setting<'a> {
    name: &'a [u8],
    spec: Spec,
    id: Option<&'a [u8]>,
    says_regions: bool,
}

impl<'a> Setting<'a> {
    fn read(argv: Argv<'a>, now: u64) -> Result<Setting<'a>, Fault> {
        let name = argv[2].strip_prefix(b"@").unwrap_or(argv[2]);
        rules::check_name(name)?;
        if name.starts_with(b"@") {
            return Err(Fault::new(
                "ERR the name of a rule cannot begin with @, which stands before it",
            ));
        }
        let rule = parse(argv[3])?;
        let regions = Regions::Leader;
        let spec = Spec { rule, deny: None, allow: None, expires_at: FOREVER, regions };
        let mut setting = Setting { name, spec, id: None, says_regions: false };
        let (options, rest) = argv[4..].as_chunks::<2>();
        if !rest.is_empty() {
            return Err(Fault::SYNTAX);
        }
        for [word, value] in options {
            setting.option(word, value, now)?;
        }
        if setting.id.is_some() && (setting.spec.deny.is_some() || setting.spec.allow.is_some()) {
            return Err(Fault::new("ERR lists belong to the rule, not to one of its identifiers"));
        }
        let local = setting.spec.regions == Regions::Local;
        if setting.id.is_some() && local {
            return Err(Fault::new(
                "ERR REGIONS belongs to the rule, not to one of its identifiers",
            ));
        }
        if local && Span::of(&setting.spec.rule).is_none() {
            return Err(Fault::new(NOT_SHARED));
        }
        Ok(setting)
    }

    fn option(&mut self, word: &[u8], value: &'a [u8], now: u64) -> Outcome {
        let spec = &mut self.spec;
        match () {
            () if is(word, "DENY") && spec.deny.is_none() => {
                rules::check_name(value)?;
                spec.deny = Some(value.into());
            }
            () if is(word, "ALLOW") && spec.allow.is_none() => {
                rules::check_name(value)?;
                spec.allow = Some(value.into());
            }
            () if is(word, "FOR") && self.id.is_none() => {
                if !(1..=RULE_ID_BYTES).contains(&value.len()) {
                    return Err(Fault::text(format!(
                        "ERR an identifier must have from 1 to {RULE_ID_BYTES} bytes"
                    )));
                }
                self.id = Some(value);
            }
            () if is(word, "REGIONS") && !self.says_regions => {
                self.says_regions = true;
                spec.regions = match () {
                    () if is(value, "leader") => Regions::Leader,
                    () if is(value, "local") => Regions::Local,
                    () if is(value, "lease") => {
                        return Err(Fault::new("ERR REGIONS lease is not available yet"));
                    }
                    () => return Err(Fault::SYNTAX),
                };
            }
            () => match Moment::option(word) {
                Some(moment) if spec.expires_at == FOREVER => {
                    spec.expires_at = expiry_option(moment, value, now, "rl.rule|set")?;
                }
                _ => return Err(Fault::SYNTAX),
            },
        }
        Ok(())
    }

    fn apply(self, change: &Change<'_>, now: u64) -> Outcome {
        match self.id {
            Some(id) => change.set_for(self.name, id, (self.spec.rule, self.spec.expires_at), now),
            None => change.set(self.name, self.spec, now),
        }
    }
}

const NOT_SHARED: &str = "ERR REGIONS local is for sliding and fixed, whose counts add up over \
                          regions; gcra, log, conc and windows of the calendar are the leader's \
                          to decide";

/// A rule that is no name itself.
fn parse(token: &[u8]) -> Result<Rule, Fault> {
    Rule::parse(token).map_err(|error| {
        let shown = token[..token.len().min(MAX_TOKEN_BYTES)].escape_ascii();
        Fault::text(format!("ERR invalid rule '{shown}': {error}"))
    })
}

fn set(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = session.now;
    let setting = Setting::read(argv, now)?;
    let until = setting.spec.expires_at.to_string();
    let words = in_words_of_the_log(argv, 4, setting.spec.expires_at, &until);
    change(node, session, &words, |change| Ok((setting.apply(change, now)?, true)))?;
    reply.ok();
    Ok(())
}

/// The arguments with an absolute time in place of any other: options begin at `options`, in
/// pairs.
fn in_words_of_the_log<'a>(
    argv: Argv<'a>,
    options: usize,
    expires_at: u64,
    digits: &'a str,
) -> Vec<&'a [u8]> {
    let mut words = argv[..options].to_vec();
    for pair in argv[options..].chunks(2) {
        if Moment::option(pair[0]).is_none() {
            words.extend(pair);
        }
    }
    if expires_at != FOREVER {
        words.extend([&b"PXAT"[..], digits.as_bytes()]);
    }
    words
}

fn get(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (name, id) = named(argv)?;
    let now = session.now;
    let Ok(named) = node.keyspace.rules.get(name, now) else {
        reply.null();
        return Ok(());
    };
    match id {
        None => describe(&named, now, reply),
        Some(id) => match named.overrides.get(id, now) {
            Some((rule, expires_at)) => describe_for(id, &rule, expires_at, now, reply),
            None => reply.null(),
        },
    }
    Ok(())
}

/// The name, with an `@` or without, and the identifier of `name [FOR id]`.
fn named(argv: Argv<'_>) -> Result<(&[u8], Option<&[u8]>), Fault> {
    let name = argv[2].strip_prefix(b"@").unwrap_or(argv[2]);
    match &argv[3..] {
        [] => Ok((name, None)),
        [word, id] if is(word, "FOR") => Ok((name, Some(id))),
        _ => Err(Fault::SYNTAX),
    }
}

fn describe(named: &Named, now: u64, reply: &mut dyn Reply) {
    let spec = &named.spec;
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(&named.name);
    reply.bulk(b"rule");
    reply.bulk(spec.rule.to_string().as_bytes());
    for (word, list) in [("deny", &spec.deny), ("allow", &spec.allow)] {
        reply.bulk(word.as_bytes());
        match list {
            Some(list) => reply.bulk(list),
            None => reply.null(),
        }
    }
    reply.bulk(b"regions");
    reply.bulk(spec.regions.word().as_bytes());
    ttl(spec.expires_at, now, reply);
    reply.bulk(b"identifiers");
    reply.integer(i64::try_from(named.overrides.live(now)).unwrap_or(i64::MAX));
}

fn describe_for(id: &[u8], rule: &Rule, expires_at: u64, now: u64, reply: &mut dyn Reply) {
    reply.map(3);
    reply.bulk(b"for");
    reply.bulk(id);
    reply.bulk(b"rule");
    reply.bulk(rule.to_string().as_bytes());
    ttl(expires_at, now, reply);
}

/// The time left, -1 for ever.
fn ttl(expires_at: u64, now: u64, reply: &mut dyn Reply) {
    reply.bulk(b"ttl_ms");
    let left = rules::remaining_ms(expires_at, now);
    reply.integer(left.map_or(-1, |left| i64::try_from(left).unwrap_or(i64::MAX)));
}

fn del(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (name, id) = named(argv)?;
    let now = session.now;
    let removed = change(node, session, argv, |change| {
        let removed = match id {
            Some(id) => change.remove_for(name, id, now),
            None => change.remove(name, now),
        };
        Ok((removed, removed))
    })?;
    reply.integer(removed.into());
    Ok(())
}

fn list(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = session.now;
    match &argv[2..] {
        [] => {
            let all = node.keyspace.rules.all(now);
            reply.array(all.len());
            all.iter().for_each(|named| describe(named, now, reply));
        }
        [name] => {
            let name = name.strip_prefix(b"@").unwrap_or(name);
            let all = node.keyspace.rules.get(name, now)?.overrides.all(now);
            reply.array(all.len());
            for (id, rule, expires_at) in &all {
                describe_for(id, rule, *expires_at, now, reply);
            }
        }
        _ => return Err(Fault::SYNTAX),
    }
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "RL.RULE",
        &[
            (
                "SET <name> <rule> [DENY <list>] [ALLOW <list>] [FOR <id>] [EX <seconds>] [REGIONS local]",
                "Say what a name means, or what it means for one identifier.",
            ),
            ("GET <name> [FOR <id>]", "Return what a name means."),
            ("DEL <name> [FOR <id>]", "Forget a name, or what it means for one identifier."),
            ("LIST [<name>]", "Return all names, or all identifiers of one."),
        ],
        reply,
    );
    Ok(())
}

/// Who are told of unless TOP says how many, and at most.
const TOP: usize = 10;
const MOST_TOP: usize = 512;

fn stats(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = session.now;
    let (mut from, mut top) = (None, None);
    let (options, rest) = argv[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::SYNTAX);
    }
    for [word, value] in options {
        if is(word, "FROM") && from.is_none() {
            let text = "ERR value is out of range, must be positive";
            from = Some(u64::try_from(integer(value)?).map_err(|_| Fault::new(text))?);
        } else if is(word, "TOP") && top.is_none() {
            top = Some(at_least(0, value, "ERR TOP can't be negative")?.min(MOST_TOP));
        } else {
            return Err(Fault::SYNTAX);
        }
    }
    let name = argv[1].strip_prefix(b"@").unwrap_or(argv[1]);
    let named = node.keyspace.rules.get(name, now)?;
    let counts = named.stats.since(from.unwrap_or(0), now);
    let top = named.stats.top(top.unwrap_or(TOP), now);
    reply.map(4);
    for (word, count) in ["allowed", "limited", "denied"].iter().zip(counts) {
        reply.bulk(word.as_bytes());
        reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    }
    reply.bulk(b"top");
    reply.array(top.len());
    for one in &top {
        reply.array(4);
        reply.bulk(&one.id);
        for count in [one.total, one.refused, one.error] {
            reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}
