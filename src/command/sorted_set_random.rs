//! ZRANDMEMBER: members of a sorted set by chance.

use super::Argv;
use super::args::is;
use super::random::{Pick, pick, signed_count};
use super::sorted_set::Parts;
use crate::clock::random_below;
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::resp::Reply;
use crate::value::packed::Text;
use crate::value::sorted_set::{Members, SortedSetRef};

type Element<'a> = (Text<'a>, f64);

impl<'a> Pick for SortedSetRef<'a> {
    type Element = Element<'a>;

    fn len(self) -> usize {
        SortedSetRef::len(self)
    }

    fn elements(self) -> impl Iterator<Item = Element<'a>> {
        self.iter()
    }

    fn one(self) -> Option<Element<'a>> {
        let rank = random_below(self.len() as u64);
        self.at(usize::try_from(rank).ok()?)
    }

    fn walks(self) -> bool {
        matches!(self, SortedSetRef::Small(_))
    }

    fn name<'e>((member, _): &'e Element<'a>) -> &'e [u8] {
        member
    }

    fn bytes((member, _): &Element<'a>) -> usize {
        member.len() + size_of::<f64>()
    }
}

/// ZRANDMEMBER: see its row.
pub fn zrandmember(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let Some(count) = argv.get(2) else {
        match view.collection::<Members>(argv[1])?.and_then(Pick::one) {
            Some((member, _)) => reply.bulk(&member),
            None => reply.null(),
        }
        return Ok(());
    };
    let (count, parts) = options(count, &argv[3..])?;
    let picked = match view.collection::<Members>(argv[1])? {
        None => Vec::new(),
        Some(set) => pick(set, count)?,
    };
    parts.announce(picked.len(), reply);
    picked.iter().for_each(|(member, score)| parts.answer(member, *score, reply));
    Ok(())
}

/// Reads the count and what follows, with the complaints of Redis in their order.
fn options(count: &[u8], rest: Argv<'_>) -> Result<(i64, Parts), Fault> {
    let count = signed_count(count)?;
    match rest {
        [] => Ok((count, Parts::Members)),
        [word] if is(word, "WITHSCORES") => {
            if count.unsigned_abs() > i64::MAX.unsigned_abs() / 2 {
                return Err(Fault::new("ERR value is out of range"));
            }
            Ok((count, Parts::MembersAndScores))
        }
        _ => Err(Fault::SYNTAX),
    }
}
