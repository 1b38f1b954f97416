//! Fills in the replies that a script does not have yet, as redis-server gives them.
//!
//! For whoever writes a script: write the commands, record, then read every reply and make the
//! volatile ones patterns. Replies that stand in the script are not touched.

use std::collections::BTreeMap;
use std::path::Path;

use super::reply::Reply;
use super::run::{Door, observe};
use super::script::{Call, Script};

/// Records into the file itself; returns how many replies it has added.
pub(crate) fn record(path: &Path) -> Result<usize, String> {
    let script = Script::read(path)?;
    let mut resp2: BTreeMap<usize, Reply> = BTreeMap::new();
    let mut resp3: BTreeMap<usize, Reply> = BTreeMap::new();
    observe(&script, Door::Redis, |call, reply| keep(&mut resp2, call, reply))?;
    observe(&script, Door::Redis3, |call, reply| keep(&mut resp3, call, reply))?;
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let (mut out, mut due) = (String::new(), String::new());
    for (number, line) in (1..).zip(text.lines()) {
        // An indented line still belongs to the command.
        if !line.starts_with(' ') {
            out.push_str(&std::mem::take(&mut due));
        }
        out.push_str(line);
        out.push('\n');
        if let (Some(two), Some(three)) = (resp2.get(&number), resp3.get(&number)) {
            due = written(two, three);
        }
    }
    out.push_str(&due);
    std::fs::write(path, out).map_err(|e| e.to_string())?;
    Ok(resp2.len())
}

fn keep(replies: &mut BTreeMap<usize, Reply>, call: &Call, reply: &Reply) {
    let missing = call.replies.any.is_none() && call.replies.redis.is_none();
    if missing && call.differs.is_none() {
        replies.insert(call.line, reply.clone());
    }
}

/// One line when RESP2's reply follows from RESP3's, else one of each. Two runs that answer the
/// same in another order show that the order means nothing.
fn written(two: &Reply, three: &Reply) -> String {
    if let (Reply::Array(first), Reply::Array(second)) = (two, three) {
        let sorted = |items: &[Reply]| {
            let mut texts: Vec<String> = items.iter().map(ToString::to_string).collect();
            texts.sort();
            texts
        };
        if first != second && sorted(first) == sorted(second) {
            return format!("~{two}\n");
        }
    }
    let follows = three.lowered() == *two || (*two == Reply::NilArray && *three == Reply::Nil);
    match (follows, two) {
        (true, Reply::NilArray) => format!("{two}\n"),
        (true, _) => format!("{three}\n"),
        (false, _) => format!("{two}\nresp3: {three}\n"),
    }
}
