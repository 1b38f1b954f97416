//! Every row, held against COMMAND INFO of a real redis-server: arity, flags, key positions,
//! ACL categories. What differs on purpose is listed with its reason, and nothing else may.

#[path = "../../../tests/oracle/mod.rs"]
pub(super) mod oracle;

use std::collections::BTreeSet;

use self::oracle::{Oracle, Reply};
use super::super::introspect::{categories, flag_names};
use super::super::key_specs::{self, Begin, Find, KeySpec};
use super::super::{Command, Flags, Group, all, full_name, tips};

/// What redis-server 7.0 does not have, and why Eave does.
const ONLY_EAVE: &[(&str, &str)] = &[
    ("client|setinfo", "of Redis 7.2; every client of today says it when it connects"),
    ("client|no-touch", "of Redis 7.2"),
    ("msetex", "of Redis 8.4; several keys with one expiry"),
    ("digest", "of Redis 8.4; what IFDEQ compares"),
    ("delex", "of Redis 8.4; a lock is given back only by its holder"),
    ("hexpire", HASH_FIELDS),
    ("hexpireat", HASH_FIELDS),
    ("hexpiretime", HASH_FIELDS),
    ("hgetdel", "of Redis 8.0"),
    ("hgetex", "of Redis 8.0"),
    ("hpersist", HASH_FIELDS),
    ("hpexpire", HASH_FIELDS),
    ("hpexpireat", HASH_FIELDS),
    ("hpexpiretime", HASH_FIELDS),
    ("hpttl", HASH_FIELDS),
    ("hsetex", "of Redis 8.0"),
    ("httl", HASH_FIELDS),
    ("acl|gentoken", "of Upstash: a password that is a bearer token of REST"),
    ("acl|resttoken", "of Upstash: the bearer token of a user"),
    ("xdelex", "of Redis 8.2"),
    ("xackdel", "of Redis 8.2"),
    ("forward", "Eave's own: a replica asks on behalf of a client"),
    ("rl.exchange", "Eave's own: what was taken of limits that nodes share"),
    // The commands of `Group::RateLimit` are Eave's own, those of `Group::Json` a module's.
];

const HASH_FIELDS: &str = "of Redis 7.4, where fields expire";

/// Rows whose parts differ from those of redis-server 7.0, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("zrank", "arity -3", "WITHSCORE is of Redis 7.2"),
    ("zrevrank", "arity -3", "WITHSCORE is of Redis 7.2"),
];

fn differs_on_purpose(name: &str, part: &str) -> bool {
    DIFFERENT.iter().any(|(row, ours, _)| *row == name && *ours == part)
}

/// The parts of COMMAND INFO that are compared, in words.
fn of_row(container: Option<&Command>, command: &Command) -> Vec<String> {
    let (first, last, step) = command.keys.range();
    let step = if first == 0 { 0 } else { step };
    vec![
        full_name(container, command),
        format!("arity {}", command.arity),
        format!("keys {first} {last} {step}"),
        format!("flags {:?}", flag_names(command).into_iter().collect::<BTreeSet<_>>()),
        format!("categories {:?}", categories(command).into_iter().collect::<BTreeSet<_>>()),
        format!("key specs {:?}", specs(&full_name(container, command))),
        format!(
            "tips {:?}",
            tips::of(&full_name(container, command)).iter().collect::<BTreeSet<_>>()
        ),
    ]
}

/// The key specifications of a row, in words.
fn specs(name: &str) -> Vec<String> {
    let begin = |begin| match begin {
        Begin::Index(index) => format!("index {index}"),
        Begin::Keyword(word, from) => format!("keyword {word} {from}"),
        Begin::Unknown => "unknown".to_owned(),
    };
    let find = |find| match find {
        Find::Range { last, step, limit } => format!("range {last} {step} {limit}"),
        Find::Counted { step } => format!("keynum 0 1 {step}"),
        Find::Unknown => "unknown".to_owned(),
    };
    let words = |spec: &KeySpec| {
        let uses: BTreeSet<_> = spec.uses.names().map(str::to_lowercase).collect();
        format!("{uses:?} {} {}", begin(spec.begin), find(spec.find))
    };
    key_specs::of(name).iter().map(words).collect()
}

/// The same of what redis-server answers.
fn specs_of(reply: &Reply) -> Vec<String> {
    let Reply::Array(specs) = reply else { panic!("no key specifications: {reply:?}") };
    let field = |map: &Reply, name: &str| {
        let Reply::Array(fields) = map else { panic!("no map: {map:?}") };
        let (pairs, _) = fields.as_chunks::<2>();
        let found = pairs.iter().find(|[key, _]| text(key) == name);
        found.map(|[_, value]| value.clone()).expect("the field is there")
    };
    let part = |part: &Reply| {
        let Reply::Array(values) = field(part, "spec") else { panic!("no map: {part:?}") };
        let (pairs, _) = values.as_chunks::<2>();
        let values = pairs.iter().map(|[_, value]| text(value));
        std::iter::once(text(&field(part, "type"))).chain(values).collect::<Vec<_>>().join(" ")
    };
    let words = |spec: &Reply| {
        let uses: BTreeSet<_> =
            texts(&field(spec, "flags")).into_iter().map(|flag| flag.to_lowercase()).collect();
        let begin = part(&field(spec, "begin_search"));
        format!("{uses:?} {begin} {}", part(&field(spec, "find_keys")))
    };
    specs.iter().map(words).collect()
}

/// The same of what redis-server answers; its subcommands come behind it.
fn of_reply(reply: &Reply) -> Vec<Vec<String>> {
    let Reply::Array(parts) = reply else { return Vec::new() };
    let [name, arity, flags, first, last, step, categories, tips, specs, subcommands] =
        parts.as_slice()
    else {
        panic!("COMMAND INFO has another form: {reply:?}")
    };
    let mut found = vec![vec![
        text(name),
        format!("arity {}", text(arity)),
        format!("keys {} {} {}", text(first), text(last), text(step)),
        format!("flags {:?}", texts(flags)),
        format!("categories {:?}", texts(categories)),
        format!("key specs {:?}", specs_of(specs)),
        format!("tips {:?}", texts(tips)),
    ]];
    let Reply::Array(subcommands) = subcommands else { panic!("no subcommands: {reply:?}") };
    found.extend(subcommands.iter().flat_map(of_reply));
    found
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Reply::Integer(number) => number.to_string(),
        other => panic!("no text: {other:?}"),
    }
}

fn texts(reply: &Reply) -> BTreeSet<String> {
    let Reply::Array(items) = reply else { panic!("no list: {reply:?}") };
    items.iter().map(text).collect()
}

/// Every row that clients can ask, with its container.
fn rows() -> impl Iterator<Item = (Option<&'static Command>, &'static Command)> {
    all().flat_map(|command| {
        let subcommands = command.subcommands.iter().map(move |sub| (Some(command), sub));
        std::iter::once((None, command)).chain(subcommands)
    })
}

#[test]
fn every_row_says_what_redis_says() {
    let mut oracle = Oracle::start("table").expect("could not run: no redis-server");
    let names: Vec<&[u8]> = all().map(|command| command.name.as_bytes()).collect();
    let ask = [&[&b"COMMAND"[..], b"INFO"], names.as_slice()].concat();
    let Some(Reply::Array(answers)) = oracle.ask(&[ask]).pop() else { panic!("no COMMAND INFO") };
    let redis: Vec<Vec<String>> = answers.iter().flat_map(of_reply).collect();
    let mut wrong = Vec::new();
    for (container, command) in rows() {
        let row = of_row(container, command);
        let theirs = redis.iter().find(|theirs| theirs[0] == row[0]);
        let ours_alone = matches!(command.group, Group::RateLimit | Group::Json)
            || ONLY_EAVE.iter().any(|(name, _)| *name == row[0]);
        match theirs {
            Some(_) if ours_alone => wrong.push(format!("{}: redis-server has it", row[0])),
            None if ours_alone => {}
            None => wrong.push(format!("{}: redis-server does not have it", row[0])),
            Some(theirs) => {
                let pairs = row.iter().zip(theirs).filter(|(ours, theirs)| ours != theirs);
                let pairs = pairs.filter(|(ours, _)| !differs_on_purpose(&row[0], ours));
                wrong.extend(pairs.map(|(o, t)| format!("{}: {o}, redis-server: {t}", row[0])));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What scripts, replicas and read-only tokens rely on, and no server can be asked.
#[test]
fn rows_agree_with_themselves() {
    let mut seen = BTreeSet::new();
    for (container, command) in rows() {
        let name = full_name(container, command);
        assert!(seen.insert(name.clone()), "{name} has two rows");
        assert_eq!(command.name, command.name.to_ascii_lowercase(), "{name}");
        assert!(!command.summary.is_empty() && !command.since.is_empty(), "{name}");
        assert!(!command.flags.contains(Flags::INTERNAL), "{name} is shown");
        let (first, last, _) = command.keys.range();
        let fewest = command.arity.unsigned_abs();
        if command.reads() || command.writes() {
            assert!(first < fewest, "{name}: its first key may be missing");
            assert!(last < fewest as isize, "{name}: its last key may be missing");
        }
        let specs = key_specs::of(&name);
        assert_eq!(specs.is_empty(), command.keys.is_none(), "{name}: what is done to its keys?");
        assert!(!command.flags.contains(Flags::DENYOOM) || command.writes(), "{name} denies OOM");
    }
}
