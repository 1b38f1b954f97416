//! SET and MSETEX: strings set under conditions, with an expiry or without.

use super::Argv;
use super::args::{Moment, expiry_option, is, next};
use super::string::{answer, set_until, store, string_of};
use super::string_compare::Expected;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{Entry, NEVER, WriteView};
use crate::resp::Reply;
use crate::value::number::parse_integer;

/// When a string is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    IfAbsent,
    IfPresent,
    If(Expected<'a>),
}

/// What SET and GETEX do with the expiry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No option was given.
    Unsaid,
    /// KEEPTTL.
    Keep,
    /// PERSIST.
    Never,
    /// At this unix millisecond.
    At(u64),
}

struct Options<'a> {
    condition: Condition<'a>,
    answer_old: bool,
    expiry: Expiry,
}

impl<'a> Options<'a> {
    /// The options of the command `name`, which begin with the first word.
    fn parse(words: Argv<'a>, now: u64, name: &str) -> Result<Options<'a>, Fault> {
        let mut options =
            Options { condition: Condition::Always, answer_old: false, expiry: Expiry::Unsaid };
        let mut expiry_value: Option<(Moment, &[u8])> = None;
        let mut at = 0;
        while let Some(word) = words.get(at) {
            if is(word, "NX") {
                options.only(Condition::IfAbsent)?;
            } else if is(word, "XX") {
                options.only(Condition::IfPresent)?;
            } else if is(word, "GET") {
                options.answer_old = true;
            } else if is(word, "KEEPTTL") && expiry_value.is_none() {
                options.expiry = Expiry::Keep;
            } else if let Some(moment) = Moment::option(word)
                // The same option may be repeated, and its last value counts, as in Redis.
                && expiry_value.is_none_or(|(earlier, _)| earlier == moment)
                && options.expiry == Expiry::Unsaid
            {
                expiry_value = Some((moment, next(words, &mut at)?));
            } else if let Some(expected) = Expected::option(word) {
                options.only(Condition::If(expected(next(words, &mut at)?)))?;
            } else {
                return Err(Fault::SYNTAX);
            }
            at += 1;
        }
        if let Some((moment, value)) = expiry_value {
            options.expiry = Expiry::At(expiry_option(moment, value, now, name)?);
        }
        Ok(options)
    }

    /// Sets the condition; another one beside it is no syntax.
    fn only(&mut self, condition: Condition<'a>) -> Outcome {
        if self.condition != Condition::Always && self.condition != condition {
            return Err(Fault::SYNTAX);
        }
        self.condition = condition;
        Ok(())
    }
}

pub(super) fn set(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let [_, key, value, words @ ..] = argv else { return Err(Fault::SYNTAX) };
    if words.is_empty() {
        store(view, key, value, NEVER);
        reply.ok();
        return Ok(());
    }
    let options = Options::parse(words, view.around.now, "set")?;
    let old = view.get(key);
    let kept = old.map_or(NEVER, Entry::expires_at);
    let wanted = match options.condition {
        Condition::Always => true,
        Condition::IfAbsent => old.is_none(),
        Condition::IfPresent => old.is_some(),
        // A key that is not there has no value, so it has another one than was given.
        Condition::If(expected) => match old {
            Some(entry) => expected.holds(string_of(entry)?)?,
            None => expected.is_another(),
        },
    };
    if options.answer_old {
        match old {
            Some(entry) => answer(string_of(entry)?, reply),
            None => reply.null(),
        }
    }
    if wanted {
        put(view, key, value, options.expiry, kept);
    }
    match (options.answer_old, wanted) {
        (true, _) => {}
        (false, true) => reply.ok(),
        (false, false) => reply.null(),
    }
    Ok(())
}

/// Sets a string, in the log too; `kept` is when the key expires that it may replace.
fn put(view: &mut WriteView<'_, '_>, key: &[u8], value: &[u8], expiry: Expiry, kept: u64) {
    match expiry {
        Expiry::At(at) => set_until(view, key, value, at),
        Expiry::Keep => {
            store(view, key, value, kept);
            view.reword(&[b"SET", key, value, b"KEEPTTL"]);
        }
        Expiry::Unsaid | Expiry::Never => {
            store(view, key, value, NEVER);
            view.reword(&[b"SET", key, value]);
        }
    }
}

pub(super) fn msetex(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let keys = parse_integer(argv[1]).filter(|keys| (1..=i64::from(i32::MAX)).contains(keys));
    let keys = keys.ok_or(Fault::new("ERR invalid numkeys value"))? as usize;
    let pairs = argv.get(2..2 + keys * 2);
    let pairs = pairs.ok_or(Fault::new("ERR wrong number of key-value pairs"))?;
    let options = Options::parse(&argv[2 + keys * 2..], view.around.now, "msetex")?;
    if options.answer_old || matches!(options.condition, Condition::If(_)) {
        return Err(Fault::SYNTAX);
    }
    let present = |view: &mut WriteView<'_, '_>, pair: &[&[u8]]| view.exists(pair[0]);
    let wanted = match options.condition {
        Condition::IfAbsent => !pairs.chunks_exact(2).any(|pair| present(view, pair)),
        Condition::IfPresent => pairs.chunks_exact(2).all(|pair| present(view, pair)),
        Condition::Always | Condition::If(_) => true,
    };
    if wanted {
        for pair in pairs.chunks_exact(2) {
            let kept = view.get(pair[0]).map_or(NEVER, Entry::expires_at);
            put(view, pair[0], pair[1], options.expiry, kept);
        }
    }
    reply.integer(i64::from(wanted));
    Ok(())
}
