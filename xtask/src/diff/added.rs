//! What was added to streams: by it redis-server's word is held against itself.
//!
//! Streams that are changed at random damage redis-server's memory, and then it tells under an ID the
//! fields of another stream's entry, the same way on every new server. An entry never changes, so a
//! server that tells one that nobody has added is wrong, whatever the other one says.

use std::collections::HashMap;

use super::grammar::Step;
use super::pair::Answer;
use super::play::Difference;
use super::reply::{self, Reply};

/// The arguments of every XADD that redis-server has answered with an ID, by that ID.
#[derive(Default)]
pub(super) struct Added(HashMap<Vec<u8>, Vec<Vec<Vec<u8>>>>);

impl Added {
    /// Notes what a step has added, by redis-server's replies.
    pub(super) fn note(&mut self, step: &Step, replies: &[(Answer, Answer)]) {
        let adds = |line: usize| step.lines[line].name() == "XADD";
        let last = replies.len().saturating_sub(1);
        if !(0..replies.len()).any(adds) {
            return;
        }
        let told = |at: usize| reply::parse(replies[at].0.as_deref()?).ok();
        match (step.is_transaction(), told(last)) {
            (true, Some(Reply::Array(inner))) => {
                for (at, reply) in inner.into_iter().enumerate() {
                    self.note_one(step, at + 1, reply);
                }
            }
            (true, _) => {}
            (false, _) => {
                for at in (0..replies.len()).filter(|at| adds(*at)) {
                    told(at).into_iter().for_each(|reply| self.note_one(step, at, reply));
                }
            }
        }
    }

    fn note_one(&mut self, step: &Step, at: usize, reply: Reply) {
        if let (Some(line), Reply::Text(id)) = (step.lines.get(at), reply)
            && line.name() == "XADD"
        {
            self.0.entry(id).or_default().push(line.arguments.clone());
        }
    }

    /// Whether redis-server tells an entry that was not added, and Eave the one that was.
    pub(super) fn speaks_for_eave(&self, difference: &Difference) -> bool {
        let entries = |answer: &Answer| {
            let mut entries = Vec::new();
            if let Some(Ok(reply)) = answer.as_deref().map(reply::parse) {
                gather(reply, &mut entries);
            }
            entries
        };
        let eave = entries(&difference.eave);
        entries(&difference.redis).iter().any(|(id, fields)| {
            !self.knows(id, fields)
                && eave.iter().any(|(same, fields)| same == id && self.knows(id, fields))
        })
    }

    /// Whether this entry was added to some stream: they are copied, renamed and restored.
    fn knows(&self, id: &[u8], fields: &[Vec<u8>]) -> bool {
        let time = id.split(|byte| *byte == b'-').next().unwrap_or_default();
        self.0.get(id).is_some_and(|adds| {
            adds.iter().any(|arguments| {
                let Some(rest) = arguments.strip_suffix(fields) else { return false };
                let asked = rest.last().map(Vec::as_slice).unwrap_or_default();
                asked == b"*" || asked.split(|byte| *byte == b'-').next() == Some(time)
            })
        })
    }
}

/// An ID and the fields and values under it.
type Entry = (Vec<u8>, Vec<Vec<u8>>);

/// Every part of a reply that looks like an entry.
fn gather(reply: Reply, entries: &mut Vec<Entry>) {
    match reply {
        Reply::Array(parts) => match <[Reply; 2]>::try_from(parts) {
            Ok([Reply::Text(id), Reply::Array(fields)]) if fields.iter().all(is_text) => {
                entries.push((id, fields.into_iter().filter_map(text).collect()));
            }
            Ok(two) => two.into_iter().for_each(|part| gather(part, entries)),
            Err(parts) => parts.into_iter().for_each(|part| gather(part, entries)),
        },
        Reply::Map(pairs) => pairs.into_iter().for_each(|(name, value)| {
            gather(name, entries);
            gather(value, entries);
        }),
        _ => {}
    }
}

fn is_text(reply: &Reply) -> bool {
    matches!(reply, Reply::Text(_))
}

fn text(reply: Reply) -> Option<Vec<u8>> {
    match reply {
        Reply::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::grammar::Line;
    use super::*;

    fn add(added: &mut Added, words: &str, id: &str) {
        let arguments = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let step = Step { lines: vec![Line { arguments, ..Line::exact([]) }] };
        let said = Some(format!("${}\r\n{id}\r\n", id.len()).into_bytes());
        added.note(&step, &[(said.clone(), said)]);
    }

    fn difference(redis: &str, eave: &str) -> Difference {
        let bytes = |text: &str| Some(text.replace(' ', "\r\n").into_bytes());
        Difference { steps: 1, line: Line::exact([]), redis: bytes(redis), eave: bytes(eave) }
    }

    #[test]
    fn who_tells_what_was_not_added_is_wrong() {
        let mut added = Added::default();
        add(&mut added, "XADD s 5-* f v", "5-1");
        add(&mut added, "xadd t MAXLEN 3 6-1 g w", "6-1");
        let right = "*1 *2 $3 5-1 *2 $1 f $1 v ";
        let wrong = "*1 *2 $3 5-1 *2 $1 g $1 w ";
        assert!(added.speaks_for_eave(&difference(wrong, right)));
        assert!(!added.speaks_for_eave(&difference(right, wrong)));
        assert!(!added.speaks_for_eave(&difference(right, right)));
        // A part of the fields is another entry.
        assert!(!added.knows(b"5-1", &[b"v".to_vec()]));
        assert!(added.knows(b"6-1", &[b"g".to_vec(), b"w".to_vec()]));
    }
}
