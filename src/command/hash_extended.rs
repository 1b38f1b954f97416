//! Values of fields together with their expiry, or with their removal: HGETDEL, HGETEX, HSETEX.

use super::args::{Moment, is};
use super::hash::{HASH, live};
use super::hash_expire::{
    Change, FIELDS, NOT_POSITIVE, PER_FIELD, REMOVED, expire, fields, moment, reword_expiry, say,
};
use super::{Argv, Command, Flags, Run};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{NEVER, WriteView};
use crate::resp::Reply;
use crate::value::hash::{Fields, Hash, Lifetime};
use crate::value::number::parse_integer;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: PER_FIELD,
        ..HASH.row(
            "hgetdel",
            FIELDS,
            "Returns the value of a field and deletes it from the hash.",
            "8.0.0",
            -5,
            Flags::FAST,
            Run::Write(hgetdel),
        )
    },
    Command {
        complexity: PER_FIELD,
        ..HASH.row(
            "hgetex",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]",
            "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
            "8.0.0",
            -5,
            Flags::FAST,
            Run::Write(hgetex),
        )
    },
    Command {
        complexity: "O(N) where N is the number of fields being set.",
        ..HASH.row(
            "hsetex",
            "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]",
            "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
            "8.0.0",
            -6,
            Flags::DENYOOM.union(Flags::FAST),
            Run::Write(hsetex),
        )
    },
];

/// A value that was read before its field changed.
type Read = Option<Vec<u8>>;

fn answer_values(values: &[Read], reply: &mut dyn Reply) {
    reply.array(values.len());
    for value in values {
        match value {
            Some(value) => reply.bulk(value),
            None => reply.null(),
        }
    }
}

fn hgetdel(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    view.as_read().collection::<Fields>(key)?;
    let fields = fields(argv, 2, NOT_POSITIVE)?;
    let now = view.around.now;
    view.remove_due(key, fields.iter().copied());
    let edited = view.edit_present(key, |hash: &mut Hash| {
        let take = |field: &&[u8]| {
            let value = hash.as_ref().live(now).get(field).map(|value| value.to_vec());
            hash.remove(field);
            value
        };
        Ok(fields.iter().map(take).collect::<Vec<Read>>())
    })?;
    let emptied = edited.as_ref().is_some_and(|edited| edited.emptied);
    let values = edited.map_or(vec![None; fields.len()], |edited| edited.result);
    let there = fields.iter().zip(&values).filter(|(_, value)| value.is_some());
    let removed: Vec<&[u8]> = there.map(|(field, _)| *field).collect();
    say(view, key, Change::Persists(&[]), &removed, emptied);
    answer_values(&values, reply);
    Ok(())
}

/// What HGETEX and HSETEX do to the expiry of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expiry {
    /// Nothing is said of it: HGETEX leaves it, HSETEX ends it.
    Unsaid,
    /// PERSIST.
    Ends,
    /// KEEPTTL.
    Stays,
    /// EX, PX, EXAT, PXAT.
    At(u64),
}

/// The options of HGETEX and HSETEX.
#[derive(Clone, Copy, Debug)]
struct Options<'a> {
    expiry: Expiry,
    /// FNX: false, if no field may be there; FXX: true, if all have to.
    there: Option<bool>,
    /// Fields, or fields and values.
    fields: Argv<'a>,
}

/// The command whose options are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    GetEx,
    SetEx,
}

impl Reader {
    fn name(self) -> &'static str {
        if self == Reader::GetEx { "hgetex" } else { "hsetex" }
    }

    /// Reads the options in any order, up to FIELDS.
    fn options(self, argv: Argv<'_>, now: u64) -> Result<Options<'_>, Fault> {
        let mut options = Options { expiry: Expiry::Unsaid, there: None, fields: &[] };
        let mut at = 2;
        while let Some(word) = argv.get(at) {
            if is(word, "FIELDS") {
                options.fields = self.fields(&argv[at + 1..])?;
                return Ok(options);
            }
            if let Some(there) = self.condition(word) {
                if options.there.replace(there).is_some() {
                    return Err(Fault::new(
                        "ERR Only one of FXX or FNX arguments can be specified",
                    ));
                }
            } else {
                let expiry = self.expiry(argv, &mut at, now, options.expiry == Expiry::Unsaid)?;
                options.expiry = expiry;
            }
            at += 1;
        }
        Err(Fault::new("ERR missing FIELDS argument"))
    }

    fn condition(self, word: &[u8]) -> Option<bool> {
        match self {
            Reader::SetEx if is(word, "FXX") => Some(true),
            Reader::SetEx if is(word, "FNX") => Some(false),
            _ => None,
        }
    }

    fn expiry(
        self,
        argv: Argv<'_>,
        at: &mut usize,
        now: u64,
        first: bool,
    ) -> Result<Expiry, Fault> {
        let word = argv[*at];
        let unit = Moment::option(word);
        let lone = match self {
            Reader::GetEx => is(word, "PERSIST").then_some(Expiry::Ends),
            Reader::SetEx => is(word, "KEEPTTL").then_some(Expiry::Stays),
        };
        if unit.is_none() && lone.is_none() {
            let word = String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned();
            return Err(Fault::text(format!("ERR unknown argument: {word}")));
        }
        if !first {
            return Err(Fault::new(match self {
                Reader::GetEx => {
                    "ERR Only one of EX, PX, EXAT, PXAT or PERSIST arguments can be specified"
                }
                Reader::SetEx => {
                    "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
                }
            }));
        }
        let Some(unit) = unit else { return Ok(lone.unwrap_or(Expiry::Unsaid)) };
        *at += 1;
        let value = argv.get(*at).ok_or(Fault::new("ERR missing expire time"))?;
        moment(unit, value, now, self.name()).map(Expiry::At)
    }

    /// What stands behind FIELDS: their number, and they.
    fn fields(self, rest: Argv<'_>) -> Result<Argv<'_>, Fault> {
        let Some((count, fields)) = rest.split_first() else {
            return Err(Fault::arity(self.name()));
        };
        let most = i64::from(i32::MAX);
        let count = parse_integer(count).filter(|count| (1..=most).contains(count));
        let count = count.ok_or(Fault::new("ERR invalid number of fields"))?;
        let words = if self == Reader::GetEx { count } else { count * 2 };
        if usize::try_from(words) != Ok(fields.len()) {
            return Err(Fault::arity(self.name()));
        }
        Ok(fields)
    }
}

fn hgetex(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    view.as_read().collection::<Fields>(key)?;
    let now = view.around.now;
    let Options { expiry, fields, .. } = Reader::GetEx.options(argv, now)?;
    view.remove_due(key, fields.iter().copied());
    let (mut set, mut persisted, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    let edited = view.edit_present(key, |hash: &mut Hash| {
        let mut values: Vec<Read> = Vec::with_capacity(fields.len());
        for field in fields {
            let found = hash.as_ref().live(now).get_with_expiry(field);
            let found = found.map(|(value, at)| (value.to_vec(), at));
            match (&found, expiry) {
                (Some(_), Expiry::At(at)) if expire(hash, field, at, now) == REMOVED => {
                    removed.push(*field);
                }
                (Some(_), Expiry::At(_)) => set.push(*field),
                (Some((_, NEVER)), _) | (None, _) => {}
                (Some(_), Expiry::Ends) => {
                    hash.expire(field, NEVER);
                    persisted.push(*field);
                }
                _ => {}
            }
            values.push(found.map(|(value, _)| value));
        }
        Ok(values)
    })?;
    let change = match expiry {
        Expiry::At(at) => Change::Expires(at, &set),
        _ => Change::Persists(&persisted),
    };
    let emptied = edited.as_ref().is_some_and(|edited| edited.emptied);
    say(view, key, change, &removed, emptied);
    answer_values(&edited.map_or(vec![None; fields.len()], |edited| edited.result), reply);
    Ok(())
}

fn hsetex(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    let now = view.around.now;
    let options = Reader::SetEx.options(argv, now)?;
    let fields = || options.fields.iter().copied().step_by(2);
    let there = {
        let reading = view.as_read();
        let hash = live(&reading, key)?;
        let mut there = fields().map(|field| hash.is_some_and(|hash| hash.contains(field)));
        options.there.is_none_or(|wanted| there.all(|there| there == wanted))
    };
    if !there {
        reply.integer(0);
        return Ok(());
    }
    view.remove_due(key, fields());
    match options.expiry {
        Expiry::At(at) if at <= now => remove_set(view, key, fields())?,
        expiry => set_pairs(view, key, options.fields, expiry)?,
    }
    reply.integer(1);
    Ok(())
}

/// HSETEX with a time that has passed: the fields come and go at once.
fn remove_set<'f>(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    fields: impl Iterator<Item = &'f [u8]>,
) -> Result<(), Fault> {
    let edited = view.edit_present(key, |hash: &mut Hash| {
        Ok(fields.filter(|field| hash.remove(field)).collect::<Vec<_>>())
    })?;
    if let Some(edited) = edited {
        say(view, key, Change::Persists(&[]), &edited.result, edited.emptied);
    }
    Ok(())
}

/// HSETEX: sets values and their expiry.
fn set_pairs(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    pairs: Argv<'_>,
    expiry: Expiry,
) -> Result<(), Fault> {
    let limits = view.around.config.encodings.hash;
    let now = view.around.now;
    let lifetime = if expiry == Expiry::Stays { Lifetime::Kept } else { Lifetime::New };
    let kept = view.edit(key, |hash: &mut Hash| {
        for pair in pairs.chunks_exact(2) {
            hash.set(pair[0], pair[1], lifetime, limits);
            if let Expiry::At(at) = expiry {
                hash.expire(pair[0], at);
            }
        }
        let expiry = |pair: &[&[u8]]| {
            hash.as_ref().live(now).get_with_expiry(pair[0]).map_or(NEVER, |(_, at)| at)
        };
        let kept = pairs.chunks_exact(2).map(expiry);
        Ok(if lifetime == Lifetime::Kept { kept.collect() } else { Vec::new() })
    })?;
    view.modified(key);
    view.notify(Classes::HASH, "hset", key);
    let words: Vec<&[u8]> = [&b"HSET"[..], key].iter().chain(pairs).copied().collect();
    view.reword(&words);
    let fields: Vec<&[u8]> = pairs.iter().copied().step_by(2).collect();
    if let Expiry::At(at) = expiry {
        reword_expiry(view, key, at, &fields);
        view.notify(Classes::HASH, "hexpire", key);
    }
    // HSET ends the expiry of what it sets.
    for (field, at) in fields.iter().zip(kept).filter(|(_, at)| *at != NEVER) {
        reword_expiry(view, key, at, &[field]);
    }
    Ok(())
}
