//! Every bound that faces a client, with its unit and its reason.
//!
//! A bound that an operator may change is a directive in `config`; what stands here is either
//! fixed by the protocol or a floor below which the server would not be safe.

/// Bytes of one inline request, or of one length line (`*3`, `$5`), without its end.
/// Redis: `PROTO_INLINE_MAX_SIZE`.
pub const LINE_BYTES: usize = 64 * 1024;

/// Arguments of one request from an authenticated client. Redis: 1024 * 1024.
pub const ARGUMENTS: usize = 1024 * 1024;

/// Arguments of one request before AUTH (CVE-2021-32675).
pub const ARGUMENTS_BEFORE_AUTH: usize = 10;

/// Bytes of one argument before AUTH (CVE-2021-32675).
pub const ARGUMENT_BYTES_BEFORE_AUTH: usize = 16 * 1024;

/// Bytes of unread replies a client may have before it authenticates (CVE-2025-21605).
pub const OUTPUT_BYTES_BEFORE_AUTH: usize = 64 * 1024;

/// Argument slots that are reserved on a client's word alone; more are added as they arrive.
pub const RESERVED_ARGUMENTS: usize = 64;

/// Bytes that are reserved for an announced argument on a client's word alone.
pub const RESERVED_ARGUMENT_BYTES: usize = 64 * 1024;

/// Bytes that one read takes from a socket: a pipeline of a few hundred small requests.
pub const READ_BYTES: usize = 64 * 1024;

/// Replies are handed to the socket when this many bytes have gathered, so that a pipeline of
/// large reads does not gather all of its replies first.
pub const FLUSH_BYTES: usize = 256 * 1024;

/// Shards of one database. Many small shards keep a resize, a snapshot step and a sweep short,
/// and make it unlikely that two clients want the same lock.
pub const SHARDS: usize = if cfg!(feature = "schedules") { 3 } else { 1024 };

/// Attempts on a busy shard lock before the task gives its worker back to the runtime.
pub const LOCK_SPINS: u32 = if cfg!(feature = "schedules") { 2 } else { 200 };

/// Bytes of a glob pattern for KEYS, SCAN and the like; matching costs at most
/// pattern x subject steps (CVE-2022-36021).
pub const PATTERN_BYTES: usize = 16 * 1024;

/// Bytes of a key, a channel or a name in ACL LOG: the rest is cut off.
pub const ACL_LOG_OBJECT_BYTES: usize = 1024;

/// Bytes of a file of users: far beyond any real one.
pub const ACL_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Addresses whose failed attempts to authenticate are remembered.
pub const GUESSERS: usize = 16 * 1024;

/// Bytes of a string value after APPEND, SETRANGE or SETBIT, whatever `proto-max-bulk-len`
/// allows a request to carry. Redis: 512 MiB.
pub const STRING_BYTES: usize = 512 * 1024 * 1024;

/// Entries of one shard that the active expiry cycle looks at under one lock.
pub const SWEEP_ENTRIES: usize = 256;

/// Fields that the cycle takes out under one lock, or looks at in small hashes: about a tenth
/// of a millisecond.
pub const SWEEP_FIELDS: usize = 1024;

/// Keys that are looked at for one eviction, most of them without an expiry under a policy that
/// asks for one: some hundred microseconds.
pub const EVICTION_LOOKS: usize = 2048;

/// Candidates that are kept from one eviction to the next. Redis: `EVPOOL_SIZE`.
pub const EVICTION_POOL: usize = 16;

/// Bytes of what a leader wrote alone, after another had taken over, that are kept in a file.
pub const ALONE_BYTES: u64 = 64 * 1024 * 1024;

/// Commands of one transaction that may wait for EXEC.
pub const QUEUED_COMMANDS: usize = 64 * 1024;

/// Bytes of one transaction's queued commands.
pub const QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// Keys that one client may watch.
pub const WATCHED_KEYS: usize = 64 * 1024;

/// Bytes of those keys.
pub const WATCHED_BYTES: usize = 16 * 1024 * 1024;

/// Channels and patterns that one client may listen to.
pub const SUBSCRIPTIONS: usize = 64 * 1024;

/// Bytes of their names.
pub const SUBSCRIBED_BYTES: usize = 16 * 1024 * 1024;

/// Prefixes of which one client may hear in broadcast mode: each costs every writer a comparison.
pub const TRACKING_PREFIXES: usize = 1024;

/// Bytes of those prefixes.
pub const TRACKING_PREFIX_BYTES: usize = 1024 * 1024;

/// Bytes of a client's name, and of its library's name and version: each is a word in every
/// CLIENT LIST.
pub const CLIENT_WORD_BYTES: usize = 1024;

/// Elements that HRANDFIELD and its kin pick with repeats: unlike any other answer, this one is
/// not bounded by what has been stored.
pub const RANDOM_COUNT: usize = 1024 * 1024;

/// Bytes of those elements, names and values.
pub const RANDOM_BYTES: usize = 64 * 1024 * 1024;

/// Members in one SREM of the log, in place of an SPOP of many: far fewer than `ARGUMENTS`, as in
/// Redis 7.2.
pub const LOGGED_MEMBERS: usize = 1024;

/// Values that SORT answers where each element has several: as with picks, nothing else bounds
/// their number.
pub const SORT_VALUES: usize = 16 * 1024 * 1024;

/// Bytes of the values that SORT finds by its elements and keeps in a list.
pub const SORT_BYTES: usize = 512 * 1024 * 1024;

/// Codes of errors that INFO errorstats counts: those of the server's own and some of scripts.
pub const ERROR_KINDS: usize = 128;

/// Arguments of one entry of the slow log. Redis: `SLOWLOG_ENTRY_MAX_ARGC`.
pub const SLOW_ARGUMENTS: usize = 32;

/// Bytes of one argument there. Redis: `SLOWLOG_ENTRY_MAX_STRING`.
pub const SLOW_ARGUMENT_BYTES: usize = 128;

/// Seconds that LATENCY remembers of one kind of event. Redis: `LATENCY_TS_LEN`.
pub const LATENCY_SAMPLES: usize = 160;

/// Bytes of a structured value above which it is freed in another thread: some thousand
/// fields, which take about as long to free as a thread takes to start.
pub const BULKY_BYTES: usize = 256 * 1024;

/// Bytes a second at which the body of a REST request has to come at least, after the time that
/// its head may take: a 1 MiB body over the slowest mobile link that is still of use.
pub const REST_BODY_PACE: u64 = 16 * 1024;

/// Bytes of the head of a REST request. A token and some headers of proxies take a few hundred.
pub const REST_HEAD_BYTES: usize = 16 * 1024;

/// Bytes of an idempotency key: those of SDKs are UUIDs.
pub const IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Requests at once of one HTTP/2 connection. hyper: 200.
pub const REST_STREAMS: u32 = 100;

/// Bytes of answers that an HTTP/2 connection has not taken, beyond which it gets no more.
pub const REST_UNTAKEN_BYTES: usize = 16 * 1024 * 1024;

/// Connections at once to the port for metrics: a few scrapers.
pub const METRICS_CONNECTIONS: usize = 16;

/// Bytes of the head of a request for metrics.
pub const METRICS_HEAD_BYTES: usize = 8 * 1024;

/// Bytes in which a plain REST request has to find room, head and body: those of SDKs take a few
/// hundred. hyper reads what is larger.
pub const REST_PLAIN_BYTES: usize = 8 * 1024;

/// Bytes of an answer's buffer that a REST connection keeps for its next one.
pub const REST_KEPT_BYTES: usize = 16 * 1024;

/// Commands of one REST pipeline that are run before other connections get their turn.
pub const REST_TURN: usize = 256;

/// Scripts that are kept of those that came with EVAL. Redis 7.4: 500.
pub const SCRIPTS_OF_EVAL: usize = 500;

/// Bytes of the texts of all scripts that a node keeps.
pub const SCRIPT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that the scripts of one worker may use.
pub const SCRIPT_MEMORY: usize = 256 * 1024 * 1024;

/// Instructions of a script between two looks at the time: some hundred microseconds.
pub const SCRIPT_STEPS: u32 = 20_000;

/// Compiled scripts that one worker keeps.
pub const COMPILED_SCRIPTS: usize = 1024;

/// Tables within tables of a script's answer, and of what cjson and cmsgpack read and write.
/// Redis stops at the end of Lua's stack, or at 1000 in cjson.
pub const SCRIPT_DEPTH: usize = 1000;

/// How long a script waits for a lock that it did not declare, in milliseconds. Whoever holds
/// one for longer is another script, or the node is far beyond what it can do.
pub const SCRIPT_PATIENCE_MS: u64 = 10_000;

/// Bytes of the code of all function libraries.
pub const LIBRARY_BYTES: usize = 64 * 1024 * 1024;

/// How long the code of a library may take when it is loaded, in milliseconds. Redis: 500.
pub const LIBRARY_LOAD_MS: u64 = 500;

/// Links to the leader that all clients of a replica share: two, so that a slow script holds up
/// no more than the requests behind it.
pub const FORWARD_LINKS: usize = 2;

/// Parcels that may wait for one of those links, each of one client.
pub const FORWARD_QUEUE: usize = 1024;

/// Parcels that may be under way on one of them.
pub const FORWARD_PIPELINE: usize = 4096;

/// KiB of requests that may wait or be under way on all of them.
pub const FORWARD_QUEUE_KIB: usize = 256 * 1024;

/// Bytes that are gathered for one write to the leader.
pub const FORWARD_SEND_BYTES: usize = 256 * 1024;

/// Requests of one client's pipeline that travel together.
pub const FORWARD_BATCH: usize = 128;

/// Bytes of these, from which no more are added.
pub const FORWARD_BATCH_BYTES: usize = 256 * 1024;

/// Bytes of the replies to what one client has sent together: beyond that the link is closed.
pub const FORWARD_REPLY_BYTES: usize = 128 * 1024 * 1024;

/// Links of one client each: those that wait at the leader, or watch keys there.
pub const FORWARD_OWN_LINKS: usize = 256;

/// Such links that are kept for the next one.
pub const FORWARD_IDLE: usize = 8;

/// Bytes of a key that is counted for a limit which regions share; longer ones are the leader's.
pub const REGION_KEY_BYTES: usize = 1024;

/// Windows of different lengths that one key is counted in at one time.
pub const REGION_SPANS: usize = 4;

/// Limits that one report to another node tells of; the next follows at once.
pub const REGION_REPORT_LIMITS: usize = 4096;

/// Bytes of one from which no more are added: a limit takes a hundred bytes to, with 64 nodes in
/// every window that it may have, 180 KB.
pub const REGION_REPORT_BYTES: usize = 256 * 1024;

/// Bytes of one that is taken.
pub const REGION_REPORT_MOST: usize = 512 * 1024;

/// Milliseconds after which a node that nobody has heard of does not count any longer.
pub const REGION_FORGOTTEN_MS: u64 = 3_600_000;

/// Named rules of a node: each has statistics of up to some 120 KB once it is used.
pub const NAMED_RULES: usize = 4096;

/// Rules for single identifiers, of all named rules together.
pub const RULE_OVERRIDES: usize = 1_000_000;

/// Bytes of the name of a rule or a list: it stands in headers and errors.
pub const RULE_NAME_BYTES: usize = 128;

/// Bytes of an identifier that has a rule of its own.
pub const RULE_ID_BYTES: usize = 512;

/// Lists of denied and allowed values.
pub const RULE_LISTS: usize = 1024;

/// Values of all lists together; fewer in tests, which reach it.
pub const LIST_VALUES: usize = if cfg!(test) { 30_000 } else { 1_000_000 };

/// Bytes of a line of `rules-file`: a command of a person's making, with some hundred values of a list.
pub const RULES_LINE_BYTES: usize = 1024 * 1024;

/// Bytes that comments at the head of `rules-file` may have.
pub const RULES_HEAD_BYTES: usize = 16 * 1024;

/// Bytes of a value of a list.
pub const LIST_VALUE_BYTES: usize = 512;

/// Bytes of an identifier that statistics keep.
pub const STATS_ID_BYTES: usize = 64;

/// Identifiers that one request names behind FOR.
pub const REQUEST_IDS: usize = 16;

/// Bytes of a request of Envoy's rate limit service.
pub const RLS_BODY_BYTES: usize = 256 * 1024;

/// Limits that one request takes from at once.
pub const LIMITS_AT_ONCE: usize = 128;

/// Bytes that an import gathers before it sends them to its target, and reads of a file at once.
pub const IMPORT_BATCH_BYTES: usize = 256 * 1024;

/// Requests of an import that are sent and not answered.
pub const IMPORT_PIPELINE: usize = 1024;

/// Bytes of a reply that an import takes: a payload of the largest value, and its frame.
pub const IMPORT_REPLY_BYTES: usize = 600 << 20;

/// Bytes of a transaction that an import holds until its end has come.
pub const IMPORT_UNIT_BYTES: usize = 1 << 30;

/// Bytes of a source's stream that an import takes before it waits for the target.
pub const IMPORT_STREAM_BYTES: usize = 1 << 20;

/// What was refused that an import names; the rest is counted.
pub const IMPORT_EXAMPLES: usize = 10;
