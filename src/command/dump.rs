//! Values as bytes that another server can take: DUMP and RESTORE.
//!
//! What a payload looks like is `rdb::dump`'s business, which value it becomes is `archive`'s.

use super::args::{integer, is, next};
use super::keys::GENERIC;
use super::{Argv, Command, Flags, Run};
use crate::archive::{self, Sink};
use crate::config::Classes;
use crate::fault::{Fault, Outcome};
use crate::keyspace::usage::Usage;
use crate::keyspace::{Entry, NEVER, ReadView, WriteView};
use crate::rdb::{Compression, Encode, Limits, dump};
use crate::resp::Reply;
use crate::value::limits::Limits as Encodings;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of elements and M their average size. For small string values thus O(1).",
        ..GENERIC.row(
            "dump",
            "key",
            "Returns a serialized representation of the value stored at a key.",
            "2.6.0",
            2,
            Flags::empty(),
            Run::Read(dump),
        )
    },
    Command {
        complexity: "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of elements and M their average size. For sorted sets O(N*M*log(N)), because inserting into them is O(log(N)).",
        ..GENERIC.row(
            "restore",
            "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
            "Creates a key from the serialized representation of a value.",
            "2.6.0",
            -4,
            Flags::DENYOOM.union(Flags::DANGEROUS),
            Run::Write(restore),
        )
    },
];

const FOOTER: Fault = Fault::new("ERR DUMP payload version or checksum are wrong");
const FORMAT: Fault = Fault::new("ERR Bad data format");
const BUSY: Fault = Fault::new("BUSYKEY Target key name already exists.");

/// A payload in the making.
struct Payload(Vec<u8>);

impl Sink for Payload {
    fn take<V: Encode>(&mut self, value: V) {
        dump::write(&mut self.0, value, Compression::Lzf);
    }
}

/// The payload of an entry's value.
pub fn payload(entry: &Entry) -> Vec<u8> {
    let mut payload = Payload(Vec::new());
    archive::save(entry, &mut payload);
    payload.0
}

/// The entry that a payload stands for.
///
/// # Errors
/// That it is none, or one of a type that Eave does not have.
pub fn entry(key: &[u8], payload: &[u8], at: u64, encodings: &Encodings) -> Result<Entry, Fault> {
    entry_of(key, dump::verify(payload).map_err(|_| FOOTER)?, at, encodings)
}

/// The entry that a payload without its footer stands for.
fn entry_of(key: &[u8], body: &[u8], at: u64, encodings: &Encodings) -> Result<Entry, Fault> {
    let value = dump::value(body, &Limits::default()).map_err(|_| FORMAT)?;
    archive::load(key, value, at, encodings).map_err(|_| FORMAT)
}

fn dump(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match view.get(argv[1]) {
        Some(entry) => reply.bulk(&payload(entry)),
        None => reply.null(),
    }
    Ok(())
}

/// What RESTORE is told besides key, time and payload.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    /// REPLACE: in place of what has the name.
    replace: bool,
    /// ABSTTL: the time is one of the clock, and not from now.
    absolute: bool,
    /// IDLETIME: seconds since the last use.
    idle: Option<u64>,
    /// FREQ: how often it was used, on a logarithmic scale.
    frequency: Option<u8>,
}

impl Options {
    fn parse(words: Argv<'_>) -> Result<Options, Fault> {
        let mut found = Options::default();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let more = at + 1 < words.len();
            if is(word, "REPLACE") {
                found.replace = true;
            } else if is(word, "ABSTTL") {
                found.absolute = true;
            } else if is(word, "IDLETIME") && more && found.frequency.is_none() {
                let idle = u64::try_from(integer(next(words, &mut at)?)?);
                found.idle =
                    Some(idle.map_err(|_| Fault::new("ERR Invalid IDLETIME value, must be >= 0"))?);
            } else if is(word, "FREQ") && more && found.idle.is_none() {
                let frequency = u8::try_from(integer(next(words, &mut at)?)?);
                found.frequency =
                    Some(frequency.map_err(|_| {
                        Fault::new("ERR Invalid FREQ value, must be >= 0 and <= 255")
                    })?);
            } else {
                return Err(Fault::SYNTAX);
            }
            at += 1;
        }
        Ok(found)
    }

    /// Notes what was said of the key's uses.
    fn note_usage(self, view: &mut WriteView<'_, '_>, key: &[u8]) {
        let now = view.around.tick;
        let idle = self.idle.map(|seconds| Usage::idle(now, seconds));
        let frequent = self.frequency.map(|counter| Usage::frequent(now, counter));
        if let Some(usage) = idle.or(frequent) {
            view.set_usage(key, usage);
        }
    }
}

fn restore(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (key, ttl, payload) = (argv[1], argv[2], argv[3]);
    let options = Options::parse(&argv[4..])?;
    if !options.replace && view.exists(key) {
        return Err(BUSY);
    }
    let ttl = u64::try_from(integer(ttl)?)
        .map_err(|_| Fault::new("ERR Invalid TTL value, must be >= 0"))?;
    let now = view.around.now;
    let at = if ttl == NEVER || options.absolute { ttl } else { ttl.saturating_add(now) };
    let config = view.around.config;
    let body = match config.skip_checksums {
        true => dump::unverified(payload),
        false => dump::verify(payload),
    };
    let entry = entry_of(key, body.map_err(|_| FOOTER)?, at, &config.encodings)?;
    if entry.is_expired(now) {
        // It would be gone at once: what it replaces goes.
        if view.discard(key) {
            view.modified(key);
            view.notify(Classes::GENERIC, "del", key);
            view.reword(&[b"DEL", key]);
        }
        reply.ok();
        return Ok(());
    }
    view.discard(key);
    view.insert(key, entry);
    options.note_usage(view, key);
    view.modified(key);
    view.notify(Classes::GENERIC, "restore", key);
    if at != ttl {
        log_absolute(view, argv, at);
    }
    reply.ok();
    Ok(())
}

/// Says in the log at which time the key is due, and not in which.
fn log_absolute(view: &mut WriteView<'_, '_>, argv: Argv<'_>, at: u64) {
    let mut at_text = itoa::Buffer::new();
    let mut words = argv.to_vec();
    words[2] = at_text.format(at).as_bytes();
    words.push(b"ABSTTL");
    view.reword(&words);
}
