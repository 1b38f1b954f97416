//! What clients can ask: the table of commands, from which everything about them derives.
//!
//! One file a family: its rows at the top, the handlers below in the same order. A row says
//! which arguments are keys and, by the kind of its handler, whether it reads or writes; the
//! engine locks those keys before the handler runs. A handler is a function of its view of
//! the keyspace and its arguments, and answers into a sink that knows the door.
//!
//! To add a command: a row and a handler in one file here, and a script in `tests/commands`.
//! *Invariant*: a handler that fails has changed nothing and answered nothing.

pub mod acl;
pub mod all_keys;
pub mod args;
pub mod arguments;
pub mod bitfield;
pub mod bitmap;
pub mod client;
pub mod client_others;
pub mod config;
pub mod connection;
pub mod databases;
pub mod debug;
pub mod dump;
pub mod expire;
mod family;
pub mod forward;
pub mod function;
pub mod geo;
pub mod geo_search;
pub mod hash;
pub mod hash_expire;
pub mod hash_extended;
pub mod hash_random;
pub mod history;
pub mod hyperloglog;
pub mod introspect;
pub mod json;
pub mod json_array;
pub mod json_change;
pub mod json_read;
pub mod json_set;
pub mod key_specs;
pub mod keys;
pub mod latency;
pub mod later;
pub mod limiter;
pub mod limiter_hold;
pub mod limiter_list;
pub mod limiter_many;
pub mod limiter_region;
pub mod limiter_rule;
pub mod list;
pub mod list_change;
pub mod list_move;
pub mod list_pop;
pub mod list_position;
pub mod memory;
pub mod object;
pub mod process;
pub mod pubsub;
pub mod random;
pub mod replication;
pub mod scan;
pub mod script;
pub mod server;
pub mod set;
pub mod set_algebra;
pub mod set_random;
pub mod slowlog;
pub mod sort;
pub mod sorted_set;
pub mod sorted_set_add;
pub mod sorted_set_combine;
pub mod sorted_set_pop;
pub mod sorted_set_random;
pub mod sorted_set_range;
pub mod stream;
pub mod string;
pub mod string_compare;
pub mod string_lcs;
pub mod string_number;
pub mod string_range;
pub mod string_set;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod tips;
pub mod tracking;
pub mod transaction;
pub mod waiting;

pub use family::Family;

use std::collections::HashMap;
use std::sync::LazyLock;

use bitflags::bitflags;
use smallvec::SmallVec;

use crate::fault::Outcome;
use crate::hashing::hash_bytes;
use crate::keyspace::{Access, ReadView, WriteView};
use crate::node::Node;
use crate::resp::Reply;
use crate::session::Session;
use crate::table::Table;
use crate::value::number::parse_integer;

/// The arguments of a command, its name included.
pub type Argv<'a> = &'a [&'a [u8]];

/// A command that reads its keys.
pub type ReadRun = fn(&ReadView<'_, '_>, Argv<'_>, &mut dyn Reply) -> Outcome;
/// A command that reads and writes its keys.
pub type WriteRun = fn(&mut WriteView<'_, '_>, Argv<'_>, &mut dyn Reply) -> Outcome;
/// A command about the connection or the server; it touches no key.
pub type SessionRun = fn(&Node, &mut Session, Argv<'_>, &mut dyn Reply) -> Outcome;

/// Positions of keys among arguments.
pub type Positions = SmallVec<[usize; 8]>;

/// The positions of the keys that follow their number, which stands at `at`; none when that is
/// no number of keys.
pub fn counted(argv: Argv<'_>, at: usize) -> Positions {
    let count = argv.get(at).and_then(|count| parse_integer(count));
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let first = at + 1;
    (first..argv.len().min(first.saturating_add(count))).collect()
}

/// What a command may do, and the function that does it.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// Read keys.
    Read(ReadRun),
    /// Read and write keys, and say what has changed.
    Write(WriteRun),
    /// Read keys, and keep in a value what was found out about it: PFCOUNT. To those who ask
    /// it is a reader.
    Remember(WriteRun),
    /// See the connection and the server.
    Session(SessionRun),
    /// Run a script, which calls commands: the engine does these.
    Script(Script),
    /// Steer the transaction of the connection: the engine does these.
    Transaction(Control),
    /// Nothing of its own: it has subcommands.
    Container,
}

/// The commands that run scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// What the first argument is.
    pub by: ScriptBy,
    /// Whether the script may not write.
    pub read_only: bool,
}

/// How a script is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptBy {
    /// By its text: EVAL.
    Text,
    /// By the digest of its text: EVALSHA.
    Digest,
    /// By the name of a function: FCALL.
    Function,
}

/// The commands that steer a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// MULTI.
    Begin,
    /// EXEC.
    Execute,
    /// DISCARD.
    Discard,
    /// WATCH.
    Watch,
    /// UNWATCH.
    Unwatch,
}

/// Which arguments of a command are keys.
#[derive(Clone, Copy, Debug)]
pub enum Keys {
    /// None.
    None,
    /// From `first` to `last`, each `step`th; a negative `last` counts from the end.
    At {
        /// Position of the first key.
        first: usize,
        /// Position of the last key.
        last: isize,
        /// Distance between keys.
        step: usize,
    },
    /// Where the arguments themselves say: behind a count, or a word.
    Found {
        /// What COMMAND INFO says of them, as `range` answers it.
        range: (usize, isize, usize),
        /// Finds their positions, each within the arguments, in any order. What is wrong with
        /// the arguments is the handler's to tell, before it touches a key.
        find: fn(Argv<'_>) -> Positions,
    },
    /// One key, which is a part of the first argument: the id of a hold.
    Within(fn(&[u8]) -> &[u8]),
    /// Keys from the first argument to the `last`, here and in another database, which the
    /// function reads off the arguments: COPY, MOVE.
    Across {
        /// Position of the last key.
        last: isize,
        /// Finds the number of the other database.
        other: fn(Argv<'_>) -> Option<usize>,
    },
    /// As `Found`, but the arguments may say that any other key is read too: SORT BY.
    Reaching {
        /// What COMMAND INFO says of them, as `range` answers it.
        range: (usize, isize, usize),
        /// Finds the positions of those that are named.
        find: fn(Argv<'_>) -> Positions,
        /// Whether any other key of the database may be read.
        beyond: fn(Argv<'_>) -> bool,
    },
    /// Any: shards are locked one after the other as they are looked at; in a transaction, all
    /// of the database's.
    Roaming,
    /// All of the database's, at once.
    Database,
    /// All of the databases that the function reads off the arguments, at once: SWAPDB.
    Databases(fn(Argv<'_>) -> [Option<usize>; 2]),
    /// All of every database's, at once.
    Everything,
}

impl Keys {
    /// One key, right behind the name.
    pub const FIRST: Keys = Keys::At { first: 1, last: 1, step: 1 };
    /// All arguments.
    pub const ALL: Keys = Keys::At { first: 1, last: -1, step: 1 };
    /// Two keys.
    pub const TWO: Keys = Keys::At { first: 1, last: 2, step: 1 };
    /// Keys and values, alternating.
    pub const PAIRS: Keys = Keys::At { first: 1, last: -1, step: 2 };

    /// First, last and step, as COMMAND INFO says them.
    pub fn range(self) -> (usize, isize, usize) {
        match self {
            Keys::At { first, last, step } => (first, last, step),
            Keys::Found { range, .. } | Keys::Reaching { range, .. } => range,
            Keys::Across { last, .. } => (1, last, 1),
            Keys::Within(_) => (1, 1, 1),
            _ => (0, 0, 0),
        }
    }

    /// The key that an argument is, or has in it.
    #[inline]
    pub fn key_in(self, argument: &[u8]) -> &[u8] {
        match self {
            Keys::Within(part) => part(argument),
            _ => argument,
        }
    }

    /// The positions of the keys in `argv`.
    pub fn positions(self, argv: Argv<'_>) -> impl Iterator<Item = usize> + use<> {
        let (found, (first, last, step)) = match self {
            Keys::Found { find, .. } | Keys::Reaching { find, .. } => (find(argv), (0, 0, 0)),
            _ => (Positions::new(), self.range()),
        };
        let end = match usize::try_from(last) {
            Ok(last) => last,
            Err(_) => argv.len().saturating_sub(last.unsigned_abs()),
        };
        let end = if first == 0 { 0 } else { end.min(argv.len().saturating_sub(1)) + 1 };
        (first.min(end)..end).step_by(step.max(1)).chain(found)
    }

    /// Whether none of the arguments is a key.
    pub fn is_none(self) -> bool {
        matches!(self.range(), (0, ..)) && !matches!(self, Keys::Found { .. })
    }
}

bitflags! {
    /// What a row says of its command; the names are those of COMMAND INFO.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// Takes no time that depends on the size of a value.
        const FAST = 1;
        /// Refused when memory is full.
        const DENYOOM = 1 << 1;
        /// For operators.
        const ADMIN = 1 << 2;
        /// Not from scripts.
        const NOSCRIPT = 1 << 3;
        /// Allowed while the data set is being loaded.
        const LOADING = 1 << 4;
        /// Allowed on a replica that has lost its leader.
        const STALE = 1 << 5;
        /// Allowed before AUTH.
        const NO_AUTH = 1 << 6;
        /// Not inside MULTI.
        const NO_MULTI = 1 << 7;
        /// Its keys cannot be told from positions alone.
        const MOVABLE_KEYS = 1 << 8;
        /// Kept from the slow log, because it carries secrets.
        const SKIP_SLOWLOG = 1 << 9;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 10;
        /// Allowed while a script runs too long.
        const ALLOW_BUSY = 1 << 11;
        /// Refused during an asynchronous load.
        const NO_ASYNC_LOADING = 1 << 12;
        /// About publish and subscribe.
        const PUBSUB = 1 << 13;
        /// May wait for something to happen.
        const BLOCKING = 1 << 14;
        /// Dangerous in a careless hand, in the sense of ACL categories.
        const DANGEROUS = 1 << 15;
        /// Not over REST: it is about a connection.
        const NO_REST = 1 << 16;
        /// In the ACL category of the keyspace, whatever its group.
        const KEYSPACE = 1 << 18;
        /// In the ACL category of connections, whatever its group.
        const CONNECTION = 1 << 19;
        /// In the ACL category of operators, though not flagged as theirs: ROLE.
        const OPERATORS = 1 << 21;
        /// In the ACL categories of lists, sets and sorted sets instead of its group's: SORT.
        const COLLECTIONS = 1 << 28;
        /// Run at once inside MULTI instead of being queued.
        const NOT_QUEUED = 1 << 17;
        /// Its keys, given by their number, may be none.
        const NO_MANDATORY_KEYS = 1 << 22;
        /// Changes something that is no key, and that replicas have too.
        const WRITES = 1 << 23;
        /// Only in the log, from a leader to its replicas: to clients it is no command.
        const INTERNAL = 1 << 20;
    }
}

/// The family of a command, as COMMAND DOCS names it; it gives the ACL category too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Any value.
    Generic,
    /// Strings.
    String,
    /// Hashes.
    Hash,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Streams.
    Stream,
    /// HyperLogLogs.
    HyperLogLog,
    /// Places on the earth, in sorted sets.
    Geo,
    /// Bits of strings.
    Bitmap,
    /// Publish and subscribe.
    PubSub,
    /// The connection.
    Connection,
    /// The server.
    Server,
    /// Transactions.
    Transactions,
    /// Scripts and functions.
    Scripting,
    /// Rate limits: Eave's own.
    RateLimit,
    /// JSON documents.
    Json,
}

impl Group {
    /// The name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::Hash => "hash",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Stream => "stream",
            Group::HyperLogLog => "hyperloglog",
            Group::Geo => "geo",
            Group::Bitmap => "bitmap",
            Group::PubSub => "pubsub",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Transactions => "transactions",
            Group::Scripting => "scripting",
            Group::RateLimit => "ratelimit",
            Group::Json => "json",
        }
    }

    /// The ACL category, if the group is one.
    pub fn category(self) -> Option<&'static str> {
        match self {
            Group::Generic => Some("@keyspace"),
            Group::String => Some("@string"),
            Group::Hash => Some("@hash"),
            Group::List => Some("@list"),
            Group::Set => Some("@set"),
            Group::SortedSet => Some("@sortedset"),
            Group::Stream => Some("@stream"),
            Group::HyperLogLog => Some("@hyperloglog"),
            Group::Geo => Some("@geo"),
            Group::Bitmap => Some("@bitmap"),
            Group::Connection => Some("@connection"),
            // The flag of its commands gives it.
            Group::PubSub | Group::Server => None,
            Group::Transactions => Some("@transaction"),
            Group::Scripting => Some("@scripting"),
            Group::RateLimit => Some("@ratelimit"),
            Group::Json => Some("@json"),
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Command {
    /// Lower case; a subcommand's own word.
    pub name: &'static str,
    /// Arguments, as a person reads them.
    pub syntax: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The version of Redis that first had it, or of Eave.
    pub since: &'static str,
    /// What it costs.
    pub complexity: &'static str,
    /// Its family.
    pub group: Group,
    /// How many arguments, the name included (for a subcommand: both words); at least so many
    /// when negative.
    pub arity: isize,
    /// Which arguments are keys.
    pub keys: Keys,
    /// What else is to be known.
    pub flags: Flags,
    /// What it does.
    pub run: Run,
    /// Its subcommands, if it is a container.
    pub subcommands: &'static [Command],
}

impl Command {
    /// Whether it may change keys.
    pub fn writes(&self) -> bool {
        matches!(self.run, Run::Write(_)) || self.flags.contains(Flags::WRITES)
    }

    /// Whether it only reads keys.
    pub fn reads(&self) -> bool {
        matches!(
            self.run,
            Run::Read(_) | Run::Remember(_) | Run::Script(Script { read_only: true, .. })
        )
    }

    /// How its keys are locked.
    #[inline]
    pub fn access(&self) -> Access {
        match self.run {
            Run::Write(_) | Run::Remember(_) | Run::Script(Script { read_only: false, .. }) => {
                Access::Exclusive
            }
            _ => Access::Shared,
        }
    }

    /// Whether `argc` arguments fit.
    #[inline]
    pub fn takes(&self, argc: usize) -> bool {
        if self.arity < 0 {
            argc >= self.arity.unsigned_abs()
        } else {
            argc == self.arity.unsigned_abs()
        }
    }
}

/// The rows of all families, in the order of the files.
pub const FAMILIES: &[&[Command]] = &[
    string::COMMANDS,
    string_number::COMMANDS,
    hash::COMMANDS,
    list::COMMANDS,
    hash_expire::COMMANDS,
    hash_extended::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    sorted_set_range::COMMANDS,
    sorted_set_pop::COMMANDS,
    sorted_set_combine::COMMANDS,
    stream::COMMANDS,
    keys::COMMANDS,
    databases::COMMANDS,
    dump::COMMANDS,
    sort::COMMANDS,
    expire::COMMANDS,
    limiter::COMMANDS,
    throttle::COMMANDS,
    json::COMMANDS,
    limiter_hold::COMMANDS,
    limiter_rule::COMMANDS,
    limiter_region::COMMANDS,
    limiter_list::COMMANDS,
    pubsub::COMMANDS,
    script::COMMANDS,
    function::COMMANDS,
    transaction::COMMANDS,
    connection::COMMANDS,
    replication::COMMANDS,
    forward::COMMANDS,
    server::COMMANDS,
    acl::COMMANDS,
    slowlog::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    process::COMMANDS,
    debug::COMMANDS,
];

/// Every command that clients may ask, containers included, subcommands not.
pub fn all() -> impl Iterator<Item = &'static Command> {
    rows().filter(|command| !command.flags.contains(Flags::INTERNAL))
}

/// Likewise, with what only the log carries.
fn rows() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// A row with its number, or the vacancy of a slot.
#[derive(Debug, Default)]
struct Row(Option<&'static Command>, Number);

static BY_NAME: LazyLock<Table<Row>> = LazyLock::new(|| {
    let mut table = Table::with_capacity(512);
    for (number, (container, command)) in (0..).zip(NUMBERED.iter()) {
        if container.is_none() {
            table.insert(hash_bytes(command.name.as_bytes()), Row(Some(command), number));
        }
    }
    table
});

/// A row's place among all, subcommands included: behind a container come its own.
pub type Number = u16;

static NUMBERED: LazyLock<Vec<(Option<&'static Command>, &'static Command)>> =
    LazyLock::new(|| {
        let with_subcommands = |command: &'static Command| {
            let subcommands = command.subcommands.iter().map(move |sub| (Some(command), sub));
            std::iter::once((None, command)).chain(subcommands)
        };
        rows().flat_map(with_subcommands).collect()
    });

/// By where the row lies.
static BY_PLACE: LazyLock<HashMap<usize, Number>> =
    LazyLock::new(|| NUMBERED.iter().map(|(_, command)| place(command)).zip(0..).collect());

fn place(command: &'static Command) -> usize {
    std::ptr::from_ref(command).addr()
}

/// How many rows there are, subcommands included.
pub fn numbers() -> usize {
    NUMBERED.len()
}

/// The row of a number, with its container.
pub fn numbered(number: Number) -> (Option<&'static Command>, &'static Command) {
    NUMBERED[usize::from(number)]
}

/// The number of a row.
pub fn number(command: &'static Command) -> Number {
    BY_PLACE.get(&place(command)).copied().unwrap_or_default()
}

/// Longer than any name.
const NAME_BYTES: usize = 32;

/// The row of a command, by its name in any case.
pub fn lookup(name: &[u8]) -> Option<&'static Command> {
    lookup_numbered(name).map(|(command, _)| command)
}

/// Likewise, with its number.
pub fn lookup_numbered(name: &[u8]) -> Option<(&'static Command, Number)> {
    let mut lower = [0; NAME_BYTES];
    let lower = lower.get_mut(..name.len())?;
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let is = |row: &Row| row.0.is_some_and(|command| command.name.as_bytes() == &*lower);
    let slot = BY_NAME.find(hash_bytes(lower), is)?;
    let Row(command, number) = BY_NAME.at(slot);
    Some(((*command)?, *number))
}

/// The subcommand that `word` names, in any case.
pub fn subcommand(container: &'static Command, word: &[u8]) -> Option<&'static Command> {
    subcommand_at(container, word).map(|at| &container.subcommands[at])
}

/// Its place among the subcommands.
pub fn subcommand_at(container: &Command, word: &[u8]) -> Option<usize> {
    let mut names = container.subcommands.iter().map(|command| command.name.as_bytes());
    names.position(|name| name.eq_ignore_ascii_case(word))
}

/// The full name of a command for error texts and statistics: `get`, `config|get`.
pub fn full_name(container: Option<&Command>, command: &Command) -> String {
    match container {
        Some(container) => format!("{}|{}", container.name, command.name),
        None => command.name.to_owned(),
    }
}

/// Answers HELP of a container as Redis does: usage, and for each subcommand its syntax and,
/// further in, the lines of what it does.
pub fn help(container: &str, lines: &[(&str, &str)], reply: &mut dyn Reply) {
    const LAST: (&str, &str) = ("HELP", "Print this help.");
    let of_subcommands: usize = lines.iter().map(|(_, text)| 1 + text.lines().count()).sum();
    reply.array(1 + of_subcommands + 2);
    reply.status(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for (syntax, text) in lines.iter().chain(&[LAST]) {
        reply.status(syntax);
        text.lines().for_each(|line| reply.status(&format!("    {line}")));
    }
}
