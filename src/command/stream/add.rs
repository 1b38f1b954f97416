//! XADD and XTRIM, which share the words for trimming.

use super::super::Argv;
use super::super::args::{integer, is};
use super::{INVALID_ID, change, id, make};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::WriteView;
use crate::keyspace::view::BEFORE_ALL;
use crate::resp::Reply;
use crate::value::stream::{Id, Reach, References, Stream, StreamLimits, Trim, Until};

/// What XADD and XTRIM ask for, besides the entry.
#[derive(Debug, Default)]
struct Asked {
    until: Option<Until>,
    nodes: bool,
    limit: Option<u64>,
    references: Option<References>,
    /// Not to make a stream.
    existing: bool,
    /// Where the options end.
    end: usize,
}

const BOTH: Fault =
    Fault::new("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const LIMIT_ALONE: Fault =
    Fault::new("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const LIMIT_EXACT: Fault =
    Fault::new("ERR syntax error, LIMIT cannot be used without the special ~ option");
const NO_STRATEGY: Fault =
    Fault::new("ERR syntax error, XTRIM must be called with a trimming strategy");
const TOO_SMALL: Fault =
    Fault::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const EXHAUSTED: Fault =
    Fault::new("ERR The stream has exhausted the last possible ID, unable to add more items");

impl Asked {
    /// Reads options up to the first argument that is none, or the end.
    fn parse(argv: Argv<'_>, adding: bool) -> Result<Asked, Fault> {
        let mut asked = Asked::default();
        let mut at = 2;
        while at < argv.len() {
            let (word, more) = (argv[at], argv.len() - 1 - at);
            if (is(word, "MAXLEN") || is(word, "MINID")) && more > 0 {
                at = asked.threshold(argv, at)?;
            } else if is(word, "LIMIT") && more > 0 {
                at += 1;
                let limit = u64::try_from(integer(argv[at])?);
                let limit = limit.map_err(|_| Fault::new("ERR The LIMIT argument must be >= 0."));
                asked.limit = Some(limit?);
            } else if adding && is(word, "NOMKSTREAM") {
                asked.existing = true;
            } else if let Some(references) = references(word) {
                if asked.references.replace(references).is_some() {
                    return Err(Fault::SYNTAX);
                }
            } else {
                break;
            }
            at += 1;
        }
        asked.end = at;
        Ok(asked)
    }

    /// Reads what is to be left; answers where it ends.
    fn threshold(&mut self, argv: Argv<'_>, mut at: usize) -> Result<usize, Fault> {
        if self.until.is_some() {
            return Err(BOTH);
        }
        let by_length = is(argv[at], "MAXLEN");
        at += 1;
        // The sign is one only in front of something.
        if at + 1 < argv.len() && matches!(argv[at], b"~" | b"=") {
            self.nodes = argv[at] == b"~";
            at += 1;
        }
        self.until = Some(if by_length {
            let length = u64::try_from(integer(argv[at])?);
            let wrong = Fault::new("ERR The MAXLEN argument must be >= 0.");
            Until::Length(length.map_err(|_| wrong)?)
        } else {
            Until::Id(id(argv[at])?)
        });
        Ok(at)
    }

    /// The trim that is asked for, if any.
    fn trim(&self, view: &WriteView<'_, '_>) -> Result<Option<Trim>, Fault> {
        let Some(until) = self.until else {
            // Redis has 0 for no limit here, and for a limit below.
            return match self.limit {
                None => Ok(None),
                Some(0) => Err(LIMIT_EXACT),
                Some(_) => Err(LIMIT_ALONE),
            };
        };
        // A leader that is Redis repeats the limit to what it says exactly.
        let leaders = view.around.now == BEFORE_ALL;
        let reach = match (self.nodes, self.limit) {
            (false, Some(_)) if !leaders => return Err(LIMIT_EXACT),
            (false, _) => Reach::Exact,
            (true, _) if leaders => Reach::Nodes(None),
            (true, Some(0)) => Reach::Nodes(None),
            (true, Some(limit)) => Reach::Nodes(Some(limit)),
            (true, None) => {
                let nodes = view.around.config.encodings.stream.node_entries as u64;
                Reach::Nodes(Some(match nodes.saturating_mul(100) {
                    0 => 10_000,
                    most => most.min(1_000_000),
                }))
            }
        };
        Ok(Some(Trim { until, reach, references: self.references.unwrap_or_default() }))
    }
}

/// What becomes of references, by its word.
pub(super) fn references(word: &[u8]) -> Option<References> {
    [
        ("KEEPREF", References::Keep),
        ("DELREF", References::Drop),
        ("ACKED", References::Acknowledged),
    ]
    .into_iter()
    .find(|(name, _)| is(word, name))
    .map(|(_, references)| references)
}

/// The words for what a trim has come to, whatever limits it had.
fn words(stream: &Stream, trim: Trim) -> Vec<Vec<u8>> {
    let (word, threshold) = match (trim.reach, trim.until) {
        (Reach::Exact, Until::Length(length)) => ("MAXLEN", length.to_string()),
        (Reach::Exact, Until::Id(id)) => ("MINID", id.to_string()),
        (Reach::Nodes(_), Until::Length(_)) => ("MAXLEN", stream.len().to_string()),
        (Reach::Nodes(_), Until::Id(_)) if stream.is_empty() => ("MINID", Id::MAX.to_string()),
        (Reach::Nodes(_), Until::Id(_)) => ("MINID", stream.first_id().to_string()),
    };
    let mut words = vec![word.into(), b"=".to_vec(), threshold.into_bytes()];
    match trim.references {
        References::Keep => {}
        References::Drop => words.push(b"DELREF".to_vec()),
        References::Acknowledged => words.push(b"ACKED".to_vec()),
    }
    words
}

/// The id that an entry is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// Any.
    Next,
    /// The next of a millisecond.
    Within(u64),
    /// This one.
    Exactly(Id),
}

impl Wanted {
    fn parse(argument: &[u8]) -> Result<Wanted, Fault> {
        if argument == b"*" {
            return Ok(Wanted::Next);
        }
        let open = Id::parse_open(argument).map(Wanted::Within);
        open.or_else(|| Id::parse(argument, 0).map(Wanted::Exactly)).ok_or(INVALID_ID)
    }

    /// The id for an entry behind those that the stream has had.
    fn id(self, stream: &Stream, now: u64) -> Result<Id, Fault> {
        let last = stream.past().last;
        let next = stream.next_id(now).ok_or(EXHAUSTED)?;
        let id = match self {
            Wanted::Next => next,
            Wanted::Within(ms) if ms == last.ms => {
                Id::new(ms, last.seq.checked_add(1).ok_or(TOO_SMALL)?)
            }
            Wanted::Within(ms) => Id::new(ms, 0),
            Wanted::Exactly(id) => id,
        };
        if id > last { Ok(id) } else { Err(TOO_SMALL) }
    }
}

/// An entry to add, and what is then to go.
#[derive(Debug, Clone, Copy)]
struct Addition<'a> {
    wanted: Wanted,
    pairs: &'a [&'a [u8]],
    trim: Option<Trim>,
}

/// What has come of an addition.
#[derive(Debug)]
struct Added {
    id: Id,
    trimmed: u64,
    /// The trim, in the words of the log.
    words: Vec<Vec<u8>>,
}

impl<'a> Addition<'a> {
    /// Reads the arguments, and which stream they are for: `true` for one that is there.
    fn parse(view: &WriteView<'_, '_>, argv: Argv<'a>) -> Result<(Addition<'a>, bool), Fault> {
        let asked = Asked::parse(argv, true)?;
        let wanted = argv.get(asked.end).map(|id| Wanted::parse(id)).transpose()?;
        let trim = asked.trim(view)?;
        let pairs = argv.get(asked.end + 1..).unwrap_or_default();
        let Some(wanted) = wanted.filter(|_| !pairs.is_empty() && pairs.len() % 2 == 0) else {
            return Err(Fault::arity("xadd"));
        };
        if wanted == Wanted::Exactly(Id::MIN) {
            return Err(Fault::new("ERR The ID specified in XADD must be greater than 0-0"));
        }
        Ok((Addition { wanted, pairs, trim }, asked.existing))
    }

    fn add(self, stream: &mut Stream, now: u64, limits: StreamLimits) -> Result<Added, Fault> {
        let id = self.wanted.id(stream, now)?;
        if !Stream::fits(self.pairs) {
            return Err(Fault::new("ERR Elements are too large to be stored"));
        }
        stream.add(id, self.pairs, limits);
        let trimmed = self.trim.map_or(0, |trim| stream.trim(trim));
        let words = self.trim.map(|trim| words(stream, trim)).unwrap_or_default();
        Ok(Added { id, trimmed, words })
    }
}

pub(super) fn xadd(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    let (addition, existing) = Addition::parse(view, argv)?;
    if existing && !view.exists(key) {
        reply.null();
        return Ok(());
    }
    let (now, limits) = (view.around.now, view.around.config.encodings.stream);
    let added = make(view, key, |stream| addition.add(stream, now, limits))?;
    view.modified(key);
    view.notify(Classes::STREAM, "xadd", key);
    if added.trimmed > 0 {
        view.notify(Classes::STREAM, "xtrim", key);
    }
    let id = added.id.to_string();
    if view.effects.is_written() {
        let mut log: Vec<&[u8]> = vec![b"XADD", key];
        log.extend(added.words.iter().map(Vec::as_slice));
        log.push(id.as_bytes());
        log.extend(addition.pairs);
        view.reword(&log);
    }
    reply.bulk(id.as_bytes());
    Ok(())
}

pub(super) fn xtrim(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let key = argv[1];
    let asked = Asked::parse(argv, false)?;
    if asked.end < argv.len() {
        return Err(Fault::SYNTAX);
    }
    if asked.until.is_none() && asked.limit.is_none_or(|limit| limit == 0) {
        return Err(NO_STRATEGY);
    }
    let trim = asked.trim(view)?.ok_or(NO_STRATEGY)?;
    let trimmed = change(view, key, |stream| Ok((stream.trim(trim), words(stream, trim))))?;
    let (trimmed, words) = trimmed.unwrap_or_default();
    if trimmed > 0 {
        view.modified(key);
        view.notify(Classes::STREAM, "xtrim", key);
        let mut log: Vec<&[u8]> = vec![b"XTRIM", key];
        log.extend(words.iter().map(Vec::as_slice));
        view.reword(&log);
    }
    reply.integer(trimmed as i64);
    Ok(())
}
