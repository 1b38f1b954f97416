//! What a source yields, on its way to the target: which keys are wanted, how they are written.

use super::ImportError;
use super::options::Existing;
use super::peer::Peer;
use super::progress::Progress;
use super::tally::{Tally, kind};
use super::target::{Awaited, Target};
use crate::archive;
use crate::clock;
use crate::command::dump;
use crate::fault::Fault;
use crate::keyspace::NEVER;
use crate::rdb::{Item, Key, KeyMeta, Skipped, Usage};
use crate::rules::carry;
use crate::value::limits::Limits as Encodings;

/// When a key is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Never,
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds from now, by the target's clock.
    In(u64),
}

impl Due {
    fn of(meta: &KeyMeta) -> Due {
        // A time before 1970 has passed, like any other; 0 would mean never.
        let at = meta.expire_at_ms.map(|at| u64::try_from(at).unwrap_or(1).max(1));
        at.map_or(Due::Never, Due::At)
    }

    fn is_over(self) -> bool {
        matches!(self, Due::At(at) if at <= clock::unix_ms())
    }
}

/// Where keys go.
pub(super) struct Delivery {
    /// `None` = nothing is written.
    target: Option<Target>,
    existing: Existing,
    /// The one database that is wanted, and the one it goes into.
    only: Option<(u32, u32)>,
    db: u32,
    encodings: Encodings,
    pub(super) tally: Tally,
    pub(super) progress: Progress,
}

impl Delivery {
    pub(super) fn new(
        target: Option<Peer>,
        existing: Existing,
        only: Option<(u32, u32)>,
    ) -> Delivery {
        Delivery {
            target: target.map(Target::new),
            existing,
            only,
            db: 0,
            encodings: Encodings::default(),
            tally: Tally::default(),
            progress: Progress::new(),
        }
    }

    /// So many bytes of the source were read.
    pub(super) fn read(&mut self, bytes: usize) {
        self.tally.bytes += bytes as u64;
        self.progress.copying(&self.tally);
    }

    /// Takes a part of an RDB stream.
    pub(super) async fn item(&mut self, item: Item) -> Result<(), ImportError> {
        match item {
            Item::SelectDb(db) => self.db = db,
            Item::Key(key) => {
                let due = Due::of(&key.meta);
                self.key(key, due).await?;
            }
            Item::Function(code) => self.function(&code).await?,
            Item::Skipped { key: Some(key), why } if self.wants() => match why {
                Skipped::Module { name, .. } => self.tally.module(&name),
                Skipped::Empty => {
                    let _ = key;
                    self.tally.empty += 1;
                }
            },
            Item::Aux { name, value } if name == carry::FACT => self.rule(&value).await?,
            // Facts, hints, data of modules that belong to no key.
            _ => {}
        }
        Ok(())
    }

    /// Keys that follow are of this database.
    pub(super) fn select(&mut self, db: u32) {
        self.db = db;
    }

    fn wants(&self) -> bool {
        self.only.is_none_or(|(from, _)| from == self.db)
    }

    /// Takes a key.
    pub(super) async fn key(&mut self, key: Key, due: Due) -> Result<(), ImportError> {
        if !self.wants() {
            return Ok(());
        }
        let Key { name, meta, value } = key;
        let (kind, expired) = (kind(&value), due.is_over());
        let entry = match archive::load(&name, value, NEVER, &self.encodings) {
            Ok(entry) => entry,
            Err(why) => {
                self.tally.refused(&name, &why.to_string());
                return Ok(());
            }
        };
        let Delivery { target: Some(target), tally, .. } = self else {
            match expired {
                true => self.tally.expired += 1,
                false => self.tally.copied(kind),
            }
            return Ok(());
        };
        target.select(self.only.map_or(self.db, |(_, to)| to), tally).await?;
        let payload = dump::payload(&entry);
        drop(entry);
        let replace = self.existing == Existing::Replace;
        let what = Awaited::Key { name: name[..name.len().min(128)].to_vec(), kind, expired };
        restore(target, &name, &payload, due, Options { replace, usage: meta.usage }, what, tally)
            .await
    }

    /// Takes the code of a function library.
    pub(super) async fn function(&mut self, code: &[u8]) -> Result<(), ImportError> {
        let Delivery { target: Some(target), tally, .. } = self else {
            self.tally.functions += 1;
            return Ok(());
        };
        let mut argv: Vec<&[u8]> = vec![b"FUNCTION", b"LOAD"];
        if self.existing == Existing::Replace {
            argv.push(b"REPLACE");
        }
        argv.push(code);
        target.push(&argv, Awaited::Function, tally).await
    }

    /// Takes a rule of rate limits, or a part of its lists, as Eave's full copies have them.
    async fn rule(&mut self, fact: &[u8]) -> Result<(), ImportError> {
        let words = match carry::decode(fact) {
            Ok(words) => words,
            Err(why) => {
                self.tally.refused(b"rule of rate limits", &shown(&why));
                return Ok(());
            }
        };
        match &mut self.target {
            Some(target) => target.push(&words, Awaited::Rule, &mut self.tally).await,
            None => {
                self.tally.rules += 1;
                Ok(())
            }
        }
    }

    /// Waits until everything is there.
    pub(super) async fn settle(&mut self) -> Result<(), ImportError> {
        match &mut self.target {
            Some(target) => target.settle(&mut self.tally).await,
            None => Ok(()),
        }
    }

    /// The target and its counts, for what is more than a copy.
    pub(super) fn target(&mut self) -> Option<(&mut Target, &mut Tally)> {
        self.target.as_mut().map(|target| (target, &mut self.tally))
    }

    /// Milliseconds and counts in words.
    pub(super) fn summary(&self) -> String {
        let done = if self.target.is_some() { "imported" } else { "would import" };
        self.tally.summary(self.progress.took_ms(), done)
    }

    /// Whether everything is there that was to be.
    pub(super) fn is_whole(&self) -> bool {
        self.tally.is_whole(self.existing == Existing::Keep)
    }
}

fn shown(fault: &Fault) -> String {
    format!("{fault:?}")
}

/// What RESTORE is told besides key, time and payload.
struct Options {
    replace: bool,
    usage: Option<Usage>,
}

async fn restore(
    target: &mut Target,
    name: &[u8],
    payload: &[u8],
    due: Due,
    options: Options,
    what: Awaited,
    tally: &mut Tally,
) -> Result<(), ImportError> {
    let (mut time, mut usage) = (itoa::Buffer::new(), itoa::Buffer::new());
    let time = time.format(match due {
        Due::Never => 0,
        Due::At(ms) | Due::In(ms) => ms,
    });
    let mut argv: Vec<&[u8]> = vec![b"RESTORE", name, time.as_bytes(), payload];
    if options.replace {
        argv.push(b"REPLACE");
    }
    if matches!(due, Due::At(_)) {
        argv.push(b"ABSTTL");
    }
    match options.usage {
        Some(Usage::IdleSeconds(seconds)) => {
            argv.extend([b"IDLETIME".as_slice(), usage.format(seconds).as_bytes()]);
        }
        Some(Usage::Frequency(counter)) => {
            argv.extend([b"FREQ".as_slice(), usage.format(counter).as_bytes()]);
        }
        None => {}
    }
    target.push(&argv, what, tally).await
}
