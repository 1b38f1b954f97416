//! Whether two replies say the same, and the one table of where they need not.
//!
//! Left out on purpose: guesses. What has an order in Redis is compared in that order.

use super::grammar::{How, Line};
use super::reply::{self, Reply};

/// How far the clocks of two servers may be apart, in milliseconds: a batch lies between.
const APART_MS: i64 = 60_000;

/// Milliseconds since 1970 are larger than this, and nothing else that streams count is.
const MOMENT_MS: i64 = 100_000_000_000;

/// A difference that Eave has on purpose.
struct Deliberate {
    /// The commands whose replies it concerns; all of them when none is named.
    commands: &'static [&'static str],
    /// Why; see `@differs` in `tests/commands`.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who read the table"))]
    reason: &'static str,
    /// What must have been sent before.
    past: fn(Past) -> bool,
    /// Whether redis-server's reply and Eave's differ in just this way.
    fits: fn(&Line, Both<'_>) -> bool,
}

/// Both replies to a command, and redis-server's to the probe behind it.
#[derive(Clone, Copy)]
struct Both<'a> {
    redis: &'a Reply,
    eave: &'a Reply,
    next: Option<&'a Reply>,
}

/// What an epoch has sent that later replies depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Past {
    /// A SORT.
    sorted: bool,
    /// A MINID, by which a stream was trimmed.
    trimmed: bool,
}

impl Past {
    /// Keeps in mind what a command does to later ones.
    pub(super) fn see(&mut self, line: &Line) {
        let name = line.name();
        self.sorted |= name.starts_with("SORT");
        let trims = name == "XTRIM" || name == "XADD";
        let by_id = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"MINID");
        self.trimmed |= trims && line.arguments.iter().any(by_id);
    }
}

/// All of them.
const DELIBERATE: &[Deliberate] = &[
    Deliberate {
        commands: &["XINFO"],
        reason: "XTRIM MINID leaves a node of which all entries are deleted, and XSETID can then \
                 go back behind its id; here such a node goes at once",
        past: |past| past.trimmed,
        fits: |_, both| times(&without_nodes(both.redis), &without_nodes(both.eave)),
    },
    Deliberate {
        commands: &["XREAD"],
        reason: "since Redis 7.4 the id + asks for the last entry",
        past: |_| true,
        fits: |line, both| {
            let plus = line.arguments.iter().any(|argument| argument == b"+");
            plus && matches!(both.redis, Reply::Error(text) if text.starts_with(b"ERR Invalid stream ID"))
        },
    },
    Deliberate {
        commands: &[],
        reason: "error texts are UTF-8, so that one text serves RESP and JSON: what is none in \
                 a client's word is replaced",
        past: |_| true,
        fits: |_, both| match (both.redis, both.eave) {
            (Reply::Error(redis), Reply::Error(eave)) => {
                String::from_utf8_lossy(redis).as_bytes() == eave.as_slice()
            }
            _ => false,
        },
    },
    Deliberate {
        commands: &["OBJECT"],
        reason: "Redis makes a small sorted set large when it is sorted, even by SORT_RO; here \
                 reading changes nothing",
        past: |past| past.sorted,
        fits: |_, both| match (both.redis, both.eave) {
            (Reply::Text(redis), Reply::Text(eave)) => redis == b"skiplist" && eave == b"listpack",
            _ => false,
        },
    },
    Deliberate {
        commands: &[],
        reason: "in a sorted set that Redis has made large like this, a score of -0 keeps its \
                 sign, which it loses in every small one",
        past: |past| past.sorted,
        fits: |line, Both { redis, eave, next }| {
            alike(line, &without_signs(redis), &without_signs(eave), next)
        },
    },
    Deliberate {
        commands: &["ZSCAN"],
        reason: "nor does ZSCAN write whole scores of 10^17 and beyond with all their digits \
                 there, as it does in every small one",
        past: |past| past.sorted,
        fits: |line, Both { redis, eave, next }| {
            alike(line, &rewritten(redis), &rewritten(eave), next)
        },
    },
];

/// Whether `next` asks for the encoding of the key of `line`, and so for how the reply to that
/// is to be read.
pub(super) fn is_probe(line: &Line, next: &Line) -> bool {
    let [object, encoding, key] = next.arguments.as_slice() else { return false };
    object == b"OBJECT"
        && encoding == b"ENCODING"
        && line.name() != "SCAN"
        && line.arguments.get(1) == Some(key)
}

/// Whether the replies to `line` are as good as equal. `next` is redis-server's reply to the
/// probe behind it, if there is one.
pub(super) fn same(
    line: &Line,
    redis: &[u8],
    eave: &[u8],
    next: Option<&[u8]>,
    past: Past,
) -> bool {
    if redis == eave {
        return true;
    }
    let (Ok(redis), Ok(eave)) = (reply::parse(redis), reply::parse(eave)) else { return false };
    let next = next.and_then(|next| reply::parse(next).ok());
    agree(line, &redis, &eave, next.as_ref(), past)
}

/// The same of parsed replies.
fn agree(line: &Line, redis: &Reply, eave: &Reply, next: Option<&Reply>, past: Past) -> bool {
    alike(line, redis, eave, next) || {
        let name = line.name();
        DELIBERATE
            .iter()
            .filter(|one| (one.past)(past))
            .filter(|one| one.commands.is_empty() || one.commands.contains(&name.as_str()))
            .any(|one| (one.fits)(line, Both { redis, eave, next }))
    }
}

/// Whether the replies say the same by the rule of the line.
fn alike(line: &Line, redis: &Reply, eave: &Reply, next: Option<&Reply>) -> bool {
    match line.how {
        How::Scan => scanned(line, redis, eave, next, How::Unordered),
        How::ScanPairs => scanned(line, redis, eave, next, How::Pairs),
        how => like(how, redis, eave, next),
    }
}

/// The replies to a transaction's commands, one by one. `lines` are those between MULTI and
/// EXEC.
pub(super) fn same_transaction(lines: &[Line], redis: &[u8], eave: &[u8], past: Past) -> bool {
    if redis == eave {
        return true;
    }
    let (Ok(redis), Ok(eave)) = (reply::parse(redis), reply::parse(eave)) else { return false };
    match (&redis, &eave) {
        (Reply::Array(a), Reply::Array(b)) if a.len() == b.len() && a.len() == lines.len() => {
            let each = lines.iter().zip(a.iter().zip(b)).enumerate();
            each.into_iter().all(|(at, (line, (redis, eave)))| {
                let probed = lines.get(at + 1).is_some_and(|next| is_probe(line, next));
                let next = if probed { a.get(at + 1) } else { None };
                agree(line, redis, eave, next, past)
            })
        }
        _ => redis == eave,
    }
}

fn like(how: How, redis: &Reply, eave: &Reply, next: Option<&Reply>) -> bool {
    if redis == eave {
        return true;
    }
    // Sets and hash tables have no order of their own; everything smaller has.
    let ordered = !matches!(next, Some(Reply::Text(encoding)) if encoding == b"hashtable");
    match how {
        How::Exact | How::Exec | How::Scan | How::ScanPairs => false,
        How::Unordered => sorted(redis) == sorted(eave),
        How::Pairs => sorted(&paired(redis)) == sorted(&paired(eave)),
        How::ByEncoding => !ordered && like(How::Unordered, redis, eave, None),
        How::PairsByEncoding => !ordered && like(How::Pairs, redis, eave, None),
        How::Length => length(redis) == length(eave) && of_one_kind(redis, eave),
        How::Kind => of_one_kind(redis, eave),
        How::Near(by) => near(redis, eave, by),
        How::Times => times(redis, eave),
    }
}

/// Elements of a list, of a set or of a map in one order for both.
fn sorted(reply: &Reply) -> Vec<String> {
    let mut all: Vec<String> = match reply {
        Reply::Array(all) | Reply::Set(all) => all.iter().map(|one| format!("{one:?}")).collect(),
        Reply::Map(all) => all.iter().map(|one| format!("{one:?}")).collect(),
        other => return vec![format!("{other:?}")],
    };
    all.sort();
    // A list is no set, even of the same elements.
    all.push(kind(reply).to_owned());
    all
}

/// A flat list of pairs as a map; anything else as it is.
fn paired(reply: &Reply) -> Reply {
    let Reply::Array(all) = reply else { return reply.clone() };
    let names = all.iter().step_by(2);
    if all.len() % 2 == 1 || names.into_iter().any(|one| matches!(one, Reply::Array(_))) {
        return reply.clone();
    }
    Reply::Map(all.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

fn length(reply: &Reply) -> Option<usize> {
    match reply {
        Reply::Array(all) | Reply::Set(all) => Some(all.len()),
        Reply::Map(all) => Some(all.len()),
        _ => None,
    }
}

/// Same type; of errors, the words count.
fn of_one_kind(redis: &Reply, eave: &Reply) -> bool {
    kind(redis) == kind(eave) && !matches!(redis, Reply::Error(_))
}

fn kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::Status(_) => "status",
        Reply::Error(_) => "error",
        Reply::Integer(_) => "integer",
        Reply::Text(_) => "text",
        Reply::Verbatim(_) => "verbatim",
        Reply::Nil => "nil",
        Reply::NilArray => "nil array",
        Reply::Double(_) => "double",
        Reply::Boolean(_) => "boolean",
        Reply::Array(_) => "array",
        Reply::Set(_) => "set",
        Reply::Push(_) => "push",
        Reply::Map(_) => "map",
        Reply::Silence(_) => "silence",
    }
}

/// Positive integers that are close; -1 and -2 say something else.
fn near(redis: &Reply, eave: &Reply, by: i64) -> bool {
    match (redis, eave) {
        (Reply::Integer(a), Reply::Integer(b)) => {
            *a >= 0 && *b >= 0 && a.abs_diff(*b) <= by.unsigned_abs()
        }
        _ => false,
    }
}

/// Moments, and the idle times of what streams tell of consumers.
fn times(redis: &Reply, eave: &Reply) -> bool {
    match (redis, eave) {
        (Reply::Integer(a), Reply::Integer(b)) => {
            a == b || (*a > MOMENT_MS && *b > MOMENT_MS && near(redis, eave, APART_MS))
        }
        (Reply::Map(a), Reply::Map(b)) => {
            let pairs = a.iter().zip(b);
            a.len() == b.len()
                && pairs.into_iter().all(|(a, b)| a.0 == b.0 && timed(&a.0, &a.1, &b.1))
        }
        (Reply::Array(a), Reply::Array(b)) => {
            let keys = std::iter::once(&Reply::Nil).chain(a);
            let pending = is_pending(a) && is_pending(b);
            a.len() == b.len()
                && keys.zip(a.iter().zip(b)).enumerate().all(|(at, (key, (a, b)))| {
                    (pending && at == 2 && near(a, b, APART_MS)) || timed(key, a, b)
                })
        }
        _ => redis == eave,
    }
}

/// What XINFO STREAM tells of the nodes of a stream.
const NODES: [&[u8]; 2] = [b"radix-tree-keys", b"radix-tree-nodes"];

fn is_of_nodes((name, _): &&(Reply, Reply)) -> bool {
    matches!(name, Reply::Text(name) if NODES.contains(&name.as_slice()))
}

fn without_nodes(reply: &Reply) -> Reply {
    let Reply::Map(pairs) = paired(reply) else { return reply.clone() };
    Reply::Map(pairs.iter().filter(|pair| !is_of_nodes(pair)).cloned().collect())
}

/// A reply in which each -0 is 0.
fn without_signs(reply: &Reply) -> Reply {
    let all = |all: &[Reply]| all.iter().map(without_signs).collect();
    match reply {
        Reply::Double(text) if text == b"-0" => Reply::Double(b"0".to_vec()),
        Reply::Text(text) if text == b"-0" => Reply::Text(b"0".to_vec()),
        Reply::Array(replies) => Reply::Array(all(replies)),
        Reply::Set(replies) => Reply::Set(all(replies)),
        other => other.clone(),
    }
}

/// A reply in which long numbers are written one way, and -0 as 0.
fn rewritten(reply: &Reply) -> Reply {
    match without_signs(reply) {
        Reply::Text(text) if text.len() > 16 || text.contains(&b'e') => {
            let number = std::str::from_utf8(&text).ok().and_then(|text| text.parse::<f64>().ok());
            Reply::Text(number.map_or(text, |number| format!("{number:e}").into_bytes()))
        }
        Reply::Array(replies) => Reply::Array(replies.iter().map(rewritten).collect()),
        other => other,
    }
}

/// Values below a name; of idle times only that they are some.
fn timed(name: &Reply, a: &Reply, b: &Reply) -> bool {
    let idle = matches!(name, Reply::Text(name) if name == b"idle" || name == b"inactive");
    (idle && near(a, b, APART_MS)) || times(a, b)
}

/// An entry of XPENDING: id, consumer, idle time, deliveries.
fn is_pending(entry: &[Reply]) -> bool {
    use Reply::{Integer, Text};
    matches!(entry, [Text(_), Text(_), Integer(_), Integer(_)])
}

/// Replies of SCAN and its kin. Cursors are a server's own, and so is how far it went; but
/// what is small comes all at once and in order, whatever the cursor.
fn scanned(line: &Line, redis: &Reply, eave: &Reply, next: Option<&Reply>, how: How) -> bool {
    if redis == eave {
        return true;
    }
    if matches!(next, Some(Reply::Text(name)) if name == b"listpack" || name == b"intset") {
        return false;
    }
    let (Reply::Array(redis), Reply::Array(eave)) = (redis, eave) else { return false };
    let ([Reply::Text(one), redis], [Reply::Text(other), eave]) = (&redis[..], &eave[..]) else {
        return false;
    };
    let cursor = line.arguments.get(if line.name() == "SCAN" { 1 } else { 2 });
    let from_the_start = cursor.is_some_and(|cursor| cursor == b"0");
    let through = from_the_start && one == b"0" && other == b"0";
    kind(redis) == kind(eave) && (!through || like(how, redis, eave, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(how: How, redis: &str, eave: &str, next: Option<&str>) -> bool {
        let line = Line { how, ..Line::exact([b"TEST", b"key", b"0"]) };
        let bytes = |text: &str| text.replace(' ', "\r\n").into_bytes();
        same(&line, &bytes(redis), &bytes(eave), next.map(bytes).as_deref(), Past::default())
    }

    #[test]
    fn order_counts_where_redis_has_one() {
        let (one, other) = ("*2 :1 :2 ", "*2 :2 :1 ");
        assert!(!judge(How::Exact, one, other, None));
        assert!(judge(How::Unordered, one, other, None));
        assert!(!judge(How::Unordered, one, "*2 :2 :2 ", None));
        assert!(!judge(How::Unordered, one, "~2 :2 :1 ", None));
        assert!(!judge(How::ByEncoding, one, other, Some("$8 listpack ")));
        assert!(judge(How::ByEncoding, one, other, Some("$9 hashtable ")));
        assert!(judge(How::Pairs, "*4 :1 :2 :3 :4 ", "*4 :3 :4 :1 :2 ", None));
        assert!(!judge(How::Pairs, "*4 :1 :2 :3 :4 ", "*4 :2 :1 :3 :4 ", None));
    }

    #[test]
    fn what_is_random_or_timed_is_compared_by_shape() {
        assert!(judge(How::Length, "*1 :1 ", "*1 :2 ", None));
        assert!(!judge(How::Length, "*1 :1 ", "*2 :1 :1 ", None));
        assert!(!judge(How::Length, "-ERR ", "-ERR2 ", None));
        assert!(judge(How::Near(2), ":100 ", ":99 ", None));
        assert!(!judge(How::Near(2), ":-1 ", ":0 ", None));
        assert!(judge(How::Kind, "$1 a ", "$1 b ", None));
        assert!(!judge(How::Kind, "$1 a ", "$-1 ", None));
    }

    #[test]
    fn scans_are_compared_when_both_went_through() {
        assert!(judge(How::Scan, "*2 $1 0 *2 :1 :2 ", "*2 $1 0 *2 :2 :1 ", None));
        assert!(!judge(How::Scan, "*2 $1 0 *2 :1 :2 ", "*2 $1 0 *1 :2 ", None));
        assert!(judge(How::Scan, "*2 $1 0 *2 :1 :2 ", "*2 $1 7 *1 :2 ", None));
        assert!(!judge(How::Scan, "*2 $1 0 *1 :1 ", "*2 $1 7 *0 ", Some("$8 listpack ")));
    }

    #[test]
    fn idle_times_are_the_only_numbers_that_may_differ() {
        let pending = |idle, count| format!("*1 *4 $1 a $1 b :{idle} :{count} ");
        assert!(judge(How::Times, &pending(1, 1), &pending(9, 1), None));
        assert!(!judge(How::Times, &pending(1, 1), &pending(1, 2), None));
        assert!(judge(How::Times, "*2 $4 idle :3 ", "*2 $4 idle :4 ", None));
        assert!(!judge(How::Times, "*2 $4 name :3 ", "*2 $4 name :4 ", None));
    }

    #[test]
    fn only_the_probe_of_a_key_says_how_its_reply_is_read() {
        let scan = |words: &[&[u8]]| Line {
            arguments: words.iter().map(|word| word.to_vec()).collect(),
            how: How::Scan,
            rigid: true,
        };
        let probe = Line::exact([b"OBJECT".as_slice(), b"ENCODING", b"0"]);
        let keys = [scan(&[b"SCAN", b"0"]), probe.clone()];
        let one = "*2\r\n*2\r\n$1\r\n0\r\n*2\r\n:1\r\n:2\r\n$8\r\nlistpack\r\n";
        let other = one.replace(":1\r\n:2", ":2\r\n:1");
        assert!(same_transaction(&keys, one.as_bytes(), other.as_bytes(), Past::default()));
        let members = [scan(&[b"SSCAN", b"0", b"0"]), probe];
        assert!(!same_transaction(&members, one.as_bytes(), other.as_bytes(), Past::default()));
    }

    #[test]
    fn a_sign_of_zero_may_differ_once_something_was_sorted() {
        let line = Line::exact([b"ZRANGE"]);
        let (redis, eave) = (b"*2\r\n$1\r\na\r\n,-0\r\n", b"*2\r\n$1\r\na\r\n,0\r\n");
        let mut past = Past::default();
        assert!(!same(&line, redis, eave, None, past));
        past.see(&Line::exact([b"SORT_RO".as_slice(), b"a"]));
        assert!(same(&line, redis, eave, None, past));
        assert!(!same(&line, b",-1\r\n", b",1\r\n", None, past));
        // What is then large has no order of its own in ZSCAN either.
        let scan = Line { how: How::ScanPairs, ..Line::exact([b"ZSCAN".as_slice(), b"z", b"0"]) };
        let reply = |pairs: &str| format!("*2 $1 0 *4 {pairs} ").replace(' ', "\r\n").into_bytes();
        let (redis, eave) = (reply("$1 a $2 -0 $1 b $1 1"), reply("$1 b $1 1 $1 a $1 0"));
        assert!(same(&scan, &redis, &eave, Some(b"$8\r\nskiplist\r\n"), past));
        let redis = reply("$1 b $1 1 $1 a $22 1.0000000000000002e+17");
        let eave = reply("$1 a $18 100000000000000016 $1 b $1 1");
        assert!(same(&scan, &redis, &eave, Some(b"$8\r\nskiplist\r\n"), past));
        assert!(!same(&scan, &redis, &eave, Some(b"$8\r\nskiplist\r\n"), Past::default()));
    }

    #[test]
    fn each_reply_of_a_transaction_is_compared_by_its_own_rule() {
        let lines = [Line { how: How::Unordered, ..Line::exact([b"A"]) }, Line::exact([b"B"])];
        let bytes = |text: &str| text.replace(' ', "\r\n").into_bytes();
        let redis = bytes("*2 *2 :1 :2 :5 ");
        assert!(same_transaction(&lines, &redis, &bytes("*2 *2 :2 :1 :5 "), Past::default()));
        assert!(!same_transaction(&lines, &redis, &bytes("*2 *2 :2 :1 :6 "), Past::default()));
    }

    #[test]
    fn every_deliberate_difference_has_a_reason() {
        assert!(DELIBERATE.iter().all(|one| !one.reason.is_empty()));
        let line = Line::exact([b"TEST"]);
        assert!(same(
            &line,
            b"-ERR \xff\r\n",
            "-ERR \u{fffd}\r\n".as_bytes(),
            None,
            Past::default()
        ));
        assert!(!same(&line, b"-ERR \xff\r\n", b"-ERR ?\r\n", None, Past::default()));
        let line = Line::exact([b"XINFO"]);
        let info = |keys, length| {
            let text =
                format!("%2\r\n$15\r\nradix-tree-keys\r\n:{keys}\r\n+length\r\n:{length}\r\n");
            text.into_bytes()
        };
        let mut trimmed = Past::default();
        assert!(!same(&line, &info(2, 5), &info(1, 5), None, trimmed));
        trimmed.see(&Line::exact([b"xtrim".as_slice(), b"x", b"minid", b"5"]));
        assert!(same(&line, &info(2, 5), &info(1, 5), None, trimmed));
        assert!(!same(&line, &info(2, 5), &info(1, 6), None, trimmed));
        let line = Line::exact([b"OBJECT"]);
        let judge = |past| same(&line, b"$8\r\nskiplist\r\n", b"$8\r\nlistpack\r\n", None, past);
        let mut sorted = Past::default();
        sorted.see(&Line::exact([b"sort_ro", b"z"]));
        assert!(judge(sorted) && !judge(Past::default()));
    }
}
