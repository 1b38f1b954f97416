//! DEBUG: what tests and operators ask of a server, in Redis' forms.
//!
//! Unlike any other handler, those that look at keys lock them themselves, since the first word
//! says what is wanted. They are refused inside a transaction, which holds its locks already.

use smallvec::SmallVec;

use super::args::{integer, is};
use super::dump::payload;
use super::server::row;
use super::{Argv, Command, Flags, Run, help};
use crate::clock;
use crate::config::DebugAccess;
use crate::fault::{Fault, Outcome, shown};
use crate::keyspace::digest::Digest;
use crate::keyspace::usage::Tick;
use crate::keyspace::view::Surroundings;
use crate::keyspace::{Access, Effects, Entry, LockSet, NEVER, Place, StrRef, Wanted, WriteView};
use crate::node::Node;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::session::Session;
use crate::value::number::parse_double;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    flags: Flags::ADMIN
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::NO_REST),
    run: Run::Session(debug),
    complexity: "Depends on subcommand.",
    ..row("debug", "", "A container for debugging commands.", "1.0.0", -2)
}];

const REFUSED: Fault = Fault::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);
const IN_TRANSACTION: Fault =
    Fault::new("ERR DEBUG looks at keys only outside of a transaction here");

fn debug(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let access = session.config().enable_debug_command;
    match access {
        DebugAccess::Yes => {}
        DebugAccess::Local if session.client.is_local() => {}
        DebugAccess::Local | DebugAccess::No => return Err(REFUSED),
    }
    let (word, arguments) = (argv[1], &argv[2..]);
    let found = SUBCOMMANDS.iter().find(|(name, least, most, _)| {
        is(word, name) && (*least..=*most).contains(&arguments.len())
    });
    let Some((.., run)) = found else {
        return Err(unknown(word));
    };
    let outcome = run(node, session, arguments, reply);
    outcome.map_err(|fault| if fault == OPTION { unknown(word) } else { fault })
}

/// What a subcommand answers whose option is none; the client is told its word as it was sent.
const OPTION: Fault = Fault::new("ERR unknown option");

fn unknown(word: &[u8]) -> Fault {
    let word = shown(word, 128);
    Fault::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP."
    ))
}

type DebugRun = fn(&Node, &mut Session, Argv<'_>, &mut dyn Reply) -> Outcome;

/// Each word with how many arguments it takes, and what it does.
const SUBCOMMANDS: &[(&str, usize, usize, DebugRun)] = &[
    ("help", 0, 0, show_help),
    ("sleep", 1, 1, sleep),
    ("object", 1, 1, object),
    ("set-active-expire", 1, 1, set_active_expire),
    ("set-skip-checksum-validation", 1, 1, set_skip_checksum),
    ("digest", 0, 0, digest),
    ("digest-value", 0, usize::MAX, digest_value),
    ("htstats", 1, 2, htstats),
    ("htstats-key", 1, 2, htstats_key),
    ("quicklist-packed-threshold", 1, 1, packed_threshold),
    ("pause-cron", 1, 1, pause_cron),
    ("protocol", 1, 1, protocol),
    ("replybuffer", 2, 2, reply_buffer),
    ("populate", 1, 3, populate),
    ("dict-resizing", 1, 1, nothing),
    ("stringmatch-len", 2, 2, match_length),
    ("stringmatch-test", 0, 0, nothing),
    ("jmap", 0, 0, nothing),
    ("change-repl-id", 0, 0, change_repl_id),
    ("log", 1, 1, log),
    ("error", 1, 1, error),
    ("sdslen", 1, 1, text_length),
    ("client-eviction", 0, 0, client_eviction),
    ("config-rewrite-force-all", 0, 0, rewrite_all),
];

/// What has a meaning only in the insides of Redis.
fn nothing(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.ok();
    Ok(())
}

/// Keeps the client waiting. Others go on: nobody parks a worker.
fn sleep(_: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let now = clock::unix_ms();
    let until = match session.sleeps_until {
        Some(until) => until,
        None => {
            // What is no number is 0, as C reads it.
            let seconds = parse_double(argv[0]).unwrap_or(0.0).clamp(0.0, 1e9);
            now.saturating_add((seconds * 1000.0).ceil() as u64)
        }
    };
    // Locks are held in a transaction, and may not be for long.
    if until <= now || session.executing.is_some() {
        session.sleeps_until = None;
        reply.ok();
        return Ok(());
    }
    if session.sleeps_until.is_none() {
        session.sleeps_until = Some(until);
        let client = std::sync::Arc::clone(&session.client);
        let time = std::time::Duration::from_millis(until - now);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(time).await;
                client.wake();
            });
        }
    }
    session.held = true;
    Err(Fault::Contended)
}

/// Locks the shard of one key to read it.
fn look<'k>(node: &'k Node, session: &Session, key: &[u8]) -> Result<LockSet<'k>, Fault> {
    if session.executing.is_some() {
        return Err(IN_TRANSACTION);
    }
    Ok(LockSet::one(&node.keyspace, Wanted::key(session.db, key, Access::Shared))?)
}

/// The entry of a key in its locked shard, unless it is due.
fn entry<'l>(locks: &'l LockSet<'_>, session: &Session, key: &[u8]) -> Option<&'l Entry> {
    let place = Place::of(key);
    let shard = locks.held(session.db, place.shard);
    let slot = shard.find(place.hash, key)?;
    Some(shard.at(slot)).filter(|entry| !entry.is_expired(session.now))
}

fn object(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let locks = look(node, session, argv[0])?;
    let entry = entry(&locks, session, argv[0]).ok_or(Fault::NO_KEY)?;
    let place = Place::of(argv[0]);
    let shard = locks.held(session.db, place.shard);
    let usage = shard.find(place.hash, argv[0]).map(|slot| shard.usage(slot)).unwrap_or_default();
    let config = session.config.load();
    let idle = u64::from(usage.idle_s(Tick::new(session.now, config.usage_noted())));
    // Without the type, the version and the checksum.
    let length = payload(entry).len().saturating_sub(11);
    let mut text = format!(
        "Value at:0x0 refcount:1 encoding:{} serializedlength:{length} lru:{} lru_seconds_idle:{idle}",
        entry.encoding(),
        (session.now / 1000).saturating_sub(idle) & 0xff_ffff,
    );
    if let Some(list) = entry.as_list() {
        text += &format!(
            " ql_nodes:1 ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:0 \
             ql_uncompressed_size:{length}",
            list.len() as f64,
            config.encodings.list.fill
        );
    }
    reply.status(&text);
    Ok(())
}

/// Whether an argument is a number other than 0, as C reads it.
fn truth(argument: &[u8]) -> bool {
    argument.first().is_some_and(|digit| (b'1'..=b'9').contains(digit))
}

fn set_active_expire(
    node: &Node,
    _: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    node.sweepless.store(!truth(argv[0]), std::sync::atomic::Ordering::Relaxed);
    reply.ok();
    Ok(())
}

fn pause_cron(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    node.cronless.store(truth(argv[0]), std::sync::atomic::Ordering::Relaxed);
    reply.ok();
    Ok(())
}

fn set_skip_checksum(
    node: &Node,
    _: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let skip = truth(argv[0]);
    node.configure(|config| {
        config.skip_checksums = skip;
        Ok::<(), Fault>(())
    })?;
    reply.ok();
    Ok(())
}

fn digest(node: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if session.executing.is_some() {
        return Err(IN_TRANSACTION);
    }
    let locks = LockSet::everything(&node.keyspace, &mut SmallVec::new())?;
    let mut digest = Digest::default();
    for db in node.keyspace.used_databases() {
        let shards = (0..crate::limits::SHARDS).map(|shard| locks.held(db, shard));
        let live = |entry: &&Entry| !entry.is_expired(session.now);
        let mut entries = shards.flat_map(|shard| shard.table().iter()).filter(live).peekable();
        if entries.peek().is_some() {
            digest.begin(db);
            entries.for_each(|entry| digest.add_key(entry));
        }
    }
    reply.status(&digest.to_string());
    Ok(())
}

fn digest_value(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let mut digests = Vec::with_capacity(argv.len());
    for key in argv {
        let locks = look(node, session, key)?;
        digests.push(entry(&locks, session, key).map(Digest::of_value).unwrap_or_default());
    }
    reply.array(digests.len());
    digests.iter().for_each(|digest| reply.status(&digest.to_string()));
    Ok(())
}

fn htstats(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let db = integer(argv[0])?;
    let db = usize::try_from(db).ok().filter(|db| *db < node.keyspace.databases());
    let db = db.ok_or(Fault::new("ERR Out of range database"))?;
    if session.executing.is_some() {
        return Err(IN_TRANSACTION);
    }
    let mut wanted = Wanted::database(db, Access::Shared).collect();
    let locks = LockSet::all(&node.keyspace, &mut wanted)?;
    let shards = || (0..crate::limits::SHARDS).map(|shard| locks.held(db, shard));
    let slots = shards().map(|shard| shard.table().slots()).sum();
    let keys = shards().map(crate::keyspace::Shard::len).sum();
    let expiring: usize = shards().map(crate::keyspace::Shard::expiring).sum();
    // When a key is due stands beside it: there is no second table.
    let text = format!(
        "[Dictionary HT]\n{}[Expires HT]\n{}",
        table_lines(slots, keys),
        table_lines(expiring, expiring)
    );
    reply.verbatim(&text);
    Ok(())
}

fn table_lines(slots: usize, elements: usize) -> String {
    let head = "Hash table 0 stats (main hash table):\n";
    if elements == 0 {
        return format!("{head}No stats available for empty dictionaries\n");
    }
    format!("{head} table size: {slots}\n number of elements: {elements}\n")
}

fn htstats_key(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let locks = look(node, session, argv[0])?;
    let entry = entry(&locks, session, argv[0]).ok_or(Fault::NO_KEY)?;
    let len = match entry.encoding() {
        "hashtable" => {
            entry.as_hash().map(|hash| hash.len()).or(entry.as_set().map(|set| set.len()))
        }
        "skiplist" => entry.as_sorted_set().map(|set| set.len()),
        _ => None,
    };
    let len = len.ok_or(Fault::new(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))?;
    reply.verbatim(&table_lines(len, len));
    Ok(())
}

/// Lists have no such threshold here; what Redis refuses is refused.
fn packed_threshold(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let text = String::from_utf8_lossy(argv[0]);
    let bytes = crate::config::bytes(&text).filter(|bytes| *bytes < 1 << 32);
    if bytes.is_none() {
        return Err(Fault::new(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        ));
    }
    reply.ok();
    Ok(())
}

fn reply_buffer(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if is(argv[0], "PEAK-RESET-TIME") {
        if !is(argv[1], "NEVER") && !is(argv[1], "RESET") {
            integer(argv[1])?;
        }
    } else if !is(argv[0], "RESIZING") {
        return Err(OPTION);
    }
    reply.ok();
    Ok(())
}

fn protocol(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let kind = argv[0];
    if is(kind, "string") {
        reply.bulk(b"Hello World");
    } else if is(kind, "integer") {
        reply.integer(12345);
    } else if is(kind, "double") {
        reply.decimal("3.141");
    } else if is(kind, "bignum") {
        reply.big_number("1234567999999999999999999999999999999");
    } else if is(kind, "null") {
        reply.null();
    } else if is(kind, "array") {
        reply.integers(&[0, 1, 2]);
    } else if is(kind, "set") {
        reply.set(3);
        (0..3).for_each(|number| reply.integer(number));
    } else if is(kind, "map") {
        reply.map(3);
        for number in 0..3 {
            reply.integer(number);
            reply.boolean(number == 1);
        }
    } else if is(kind, "attrib") {
        // The attribute itself is left out: no client of today reads one that it has not asked
        // for. What follows it is the reply.
        reply.bulk(b"Some real reply following the attribute");
    } else if is(kind, "push") {
        if reply.protocol() == Protocol::V2 {
            return Err(Fault::new("ERR RESP2 is not supported by this command"));
        }
        reply.push(2);
        reply.bulk(b"server-cpu-usage");
        reply.integer(42);
    } else if is(kind, "verbatim") {
        reply.verbatim("This is a verbatim\nstring");
    } else if is(kind, "true") || is(kind, "false") {
        reply.boolean(is(kind, "true"));
    } else {
        return Err(Fault::new(
            "ERR Wrong protocol type name. Please use one of the following: \
             string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
        ));
    }
    Ok(())
}

/// Adds keys that are not there yet: `<prefix>:<number>`, with `value:<number>` or, cut or
/// filled with zero bytes, so many bytes of it. Replicas get them, too.
fn populate(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    const POSITIVE: Fault = Fault::new("ERR value is out of range, must be positive");
    let number = |argument: &[u8]| {
        let number = integer(argument).map_err(|_| POSITIVE)?;
        usize::try_from(number).map_err(|_| POSITIVE)
    };
    let count = number(argv[0])?;
    let prefix = argv.get(1).copied().unwrap_or(b"key");
    let size = argv.get(2).map(|size| number(size)).transpose()?.filter(|size| *size > 0);
    if size.is_some_and(|size| size > session.config().string_bytes()) {
        return Err(Fault::STRING_TOO_LONG);
    }
    if session.executing.is_some() {
        return Err(IN_TRANSACTION);
    }
    for index in 0..count {
        let key = [prefix, b":", index.to_string().as_bytes()].concat();
        let mut value = format!("value:{index}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        // One after the other: to be asked again adds only those that are not there yet.
        add(node, session, &key, &value)?;
    }
    reply.ok();
    Ok(())
}

fn add(node: &Node, session: &mut Session, key: &[u8], value: &[u8]) -> Outcome {
    let db = session.db;
    let mut locks = LockSet::key(&node.keyspace, db, key, Access::Exclusive)?;
    let config = session.config.load();
    let tick = Tick::new(session.now, config.usage_noted());
    let around = Surroundings { now: session.now, tick, config };
    let mut effects = Effects::new(node.logging());
    let mut view = WriteView::new(&mut locks, db, around, &mut effects);
    if !view.exists(key) {
        view.put_string(key, value, NEVER);
        view.modified(key);
    }
    effects.settle(db, &[b"SET", key, value]);
    node.record(&mut effects);
    Ok(())
}

/// Whether a text of a given length of the letter `a` fits a pattern.
fn match_length(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let (pattern, text) = (argv[0], argv[1]);
    reply.integer(crate::value::glob::matches(pattern, text).into());
    Ok(())
}

fn change_repl_id(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if node.replication.is_replica() {
        return Err(Fault::new("ERR a replica's history is its leader's"));
    }
    let mut id = [0; 20];
    clock::secret_bytes(&mut id);
    tracing::info!("DEBUG CHANGE-REPL-ID: the history goes on under another name");
    node.log.change_id(eave_replication::ReplicationId::from_random(id));
    reply.ok();
    Ok(())
}

fn log(_: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    tracing::warn!("DEBUG LOG: {}", argv[0].escape_ascii());
    reply.ok();
    Ok(())
}

fn error(_: &Node, _: &mut Session, argv: Argv<'_>, _: &mut dyn Reply) -> Outcome {
    Err(Fault::text(String::from_utf8_lossy(argv[0]).into_owned()))
}

fn text_length(
    node: &Node,
    session: &mut Session,
    argv: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let locks = look(node, session, argv[0])?;
    let entry = entry(&locks, session, argv[0]).ok_or(Fault::NO_KEY)?;
    let Some(StrRef::Bytes(bytes)) = entry.as_string() else {
        return Err(Fault::new("ERR Not an sds encoded string."));
    };
    reply.status(&format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{}, val_sds_avail:0, \
         val_zmalloc: {}",
        argv[0].len(),
        argv[0].len(),
        bytes.len(),
        bytes.len()
    ));
    Ok(())
}

fn client_eviction(
    node: &Node,
    session: &mut Session,
    _: Argv<'_>,
    reply: &mut dyn Reply,
) -> Outcome {
    let config = session.config();
    let most = config.maxmemory_clients.bytes(config.maxmemory);
    if most == 0 {
        return Err(Fault::new("ERR maxmemory-clients is disabled."));
    }
    let clients = node.clients.list();
    let bytes: usize = clients.iter().map(|client| client.memory()).sum();
    reply.verbatim(&format!("{} clients take {bytes} of {most} bytes\n", clients.len()));
    Ok(())
}

fn rewrite_all(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    super::config::rewrite_file(node)?;
    reply.ok();
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "DEBUG",
        &[
            ("CHANGE-REPL-ID", "Give the history of writes another name."),
            ("CLIENT-EVICTION", "Return what clients take of maxmemory-clients."),
            ("DIGEST", "Return a digest of all data, equal for equal data."),
            ("DIGEST-VALUE <key> [<key> ...]", "Return the digests of values."),
            ("DICT-RESIZING (0|1)", "Accepted; tables grow in small steps here."),
            ("ERROR <string>", "Answer this error."),
            ("HTSTATS <dbid>", "Return how full the tables of a database are."),
            ("HTSTATS-KEY <key>", "Return how full the table of a value is."),
            ("JMAP", "Accepted."),
            ("LOG <message>", "Write to the server's log."),
            ("OBJECT <key>", "Return how a value is kept."),
            ("PAUSE-CRON (0|1)", "Stop what is done ten times a second."),
            (
                "POPULATE <count> [<prefix>] [<size>]",
                "Add <count> string keys, <prefix>:<number>, that are not there yet.",
            ),
            ("PROTOCOL <type>", "Answer something of a type of the protocol."),
            ("QUICKLIST-PACKED-THRESHOLD <size>", "Accepted."),
            ("REPLYBUFFER <option> <value>", "Accepted."),
            ("SDSLEN <key>", "Return the lengths of a key and its text."),
            ("SET-ACTIVE-EXPIRE (0|1)", "Stop freeing due keys that nobody asks for."),
            ("SET-SKIP-CHECKSUM-VALIDATION (0|1)", "Do not check what RESTORE gets."),
            ("SLEEP <seconds>", "Let this client, and nobody else, wait."),
            ("STRINGMATCH-LEN <pattern> <string>", "Return whether a glob fits."),
        ],
        reply,
    );
    Ok(())
}
