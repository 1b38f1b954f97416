//! HRANDFIELD: fields of a hash by chance.

use super::Argv;
use super::args::is;
use super::hash::live;
use super::random::{Pick, pick, signed_count};
use crate::clock::random;
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::value::hash::Live;
use crate::value::packed::Text;

type Pair<'a> = (Text<'a>, Text<'a>);

impl<'a> Pick for Live<'a> {
    type Element = Pair<'a>;

    fn len(self) -> usize {
        Live::len(self)
    }

    fn elements(self) -> impl Iterator<Item = Pair<'a>> {
        self.iter()
    }

    fn one(self) -> Option<Pair<'a>> {
        self.random(random)
    }

    fn walks(self) -> bool {
        !self.is_table()
    }

    fn name<'e>(pair: &'e Pair<'a>) -> &'e [u8] {
        &pair.0
    }

    fn bytes((field, value): &Pair<'a>) -> usize {
        field.len() + value.len()
    }
}

/// What is answered of each field that was picked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    Fields,
    FieldsAndValues,
}

/// HRANDFIELD: see its row.
pub fn hrandfield(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let Some(count) = argv.get(2) else {
        match live(view, argv[1])?.and_then(|hash| hash.random(random)) {
            Some((field, _)) => reply.bulk(&field),
            None => reply.null(),
        }
        return Ok(());
    };
    let (count, parts) = options(count, &argv[3..])?;
    let picked = match live(view, argv[1])? {
        None => Vec::new(),
        Some(hash) => pick(hash, count)?,
    };
    answer(&picked, parts, reply);
    Ok(())
}

/// Reads the count and what follows, with the complaints of Redis in their order.
fn options(count: &[u8], rest: Argv<'_>) -> Result<(i64, Parts), Fault> {
    let count = signed_count(count)?;
    match rest {
        [] => Ok((count, Parts::Fields)),
        [word] if is(word, "WITHVALUES") => {
            if count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
                return Err(Fault::new("ERR value is out of range"));
            }
            Ok((count, Parts::FieldsAndValues))
        }
        _ => Err(Fault::SYNTAX),
    }
}

/// RESP3 has a list of pairs where RESP2 has one flat list.
fn answer(picked: &[Pair<'_>], parts: Parts, reply: &mut dyn Reply) {
    let paired = parts == Parts::FieldsAndValues && reply.protocol() == Protocol::V3;
    let flat = parts == Parts::FieldsAndValues && !paired;
    reply.array(if flat { picked.len() * 2 } else { picked.len() });
    for (field, value) in picked {
        if paired {
            reply.array(2);
        }
        reply.bulk(field);
        if parts == Parts::FieldsAndValues {
            reply.bulk(value);
        }
    }
}
