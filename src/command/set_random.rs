//! SPOP and SRANDMEMBER: members of a set by chance.

use super::Argv;
use super::args::integer;
use super::random::{Pick, distinct, pick, signed_count};
use super::set::{answer, taken};
use crate::clock::random;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::limits::LOGGED_MEMBERS;
use crate::resp::Reply;
use crate::value::packed::Text;
use crate::value::set::{Members, Set, SetRef};

impl<'a> Pick for SetRef<'a> {
    type Element = Text<'a>;

    fn len(self) -> usize {
        SetRef::len(self)
    }

    fn elements(self) -> impl Iterator<Item = Text<'a>> {
        self.iter()
    }

    fn one(self) -> Option<Text<'a>> {
        self.random(random)
    }

    fn walks(self) -> bool {
        self.is_list()
    }

    fn name<'e>(member: &'e Text<'a>) -> &'e [u8] {
        member
    }

    fn bytes(member: &Text<'a>) -> usize {
        member.len()
    }
}

/// SPOP: see its row.
pub fn spop(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    match argv {
        [_, key] => pop_one(view, key, reply),
        [_, key, count] => pop_many(view, key, positive(count)?, reply),
        _ => Err(Fault::SYNTAX),
    }
}

fn positive(count: &[u8]) -> Result<usize, Fault> {
    let count = integer(count).ok().and_then(|count| usize::try_from(count).ok());
    count.ok_or(Fault::new("ERR value is out of range, must be positive"))
}

fn pop_one(view: &mut WriteView<'_, '_>, key: &[u8], reply: &mut dyn Reply) -> Outcome {
    let edited = view.edit_present(key, |set: &mut Set| {
        let popped = set.as_ref().random(random).map(|member| Box::<[u8]>::from(&*member));
        popped.iter().for_each(|member| {
            set.remove(member);
        });
        Ok(popped)
    })?;
    let emptied = edited.as_ref().is_some_and(|edited| edited.emptied);
    let Some(popped) = edited.and_then(|edited| edited.result) else {
        reply.null();
        return Ok(());
    };
    taken(view, key, "spop", emptied);
    view.reword(&[b"SREM", key, &popped]);
    reply.bulk(&popped);
    Ok(())
}

fn pop_many(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    count: usize,
    reply: &mut dyn Reply,
) -> Outcome {
    let len = view.as_read().collection::<Members>(key)?.map_or(0, SetRef::len);
    match count {
        0 => answer(None, reply),
        _ if count >= len => pop_all(view, key, reply),
        _ => {
            let popped = pop_some(view, key, count)?;
            reply.set(popped.len());
            popped.iter().for_each(|member| reply.bulk(member));
        }
    }
    Ok(())
}

/// Pops every member of what is a set, or not there.
fn pop_all(view: &mut WriteView<'_, '_>, key: &[u8], reply: &mut dyn Reply) {
    let Some(entry) = view.remove(key) else {
        answer(None, reply);
        return;
    };
    taken(view, key, "spop", true);
    view.reword(&[b"DEL", key]);
    answer(entry.as_set(), reply);
    view.effects.discard(entry);
}

/// Pops fewer members than there are.
fn pop_some(
    view: &mut WriteView<'_, '_>,
    key: &[u8],
    count: usize,
) -> Result<Vec<Box<[u8]>>, Fault> {
    let edited = view.edit_present(key, |set: &mut Set| {
        let picked = distinct(set.as_ref(), count);
        let popped: Vec<Box<[u8]>> = picked.iter().map(|member| Box::from(&**member)).collect();
        popped.iter().for_each(|member| {
            set.remove(member);
        });
        Ok(popped)
    })?;
    let popped = edited.map(|edited| edited.result).unwrap_or_default();
    taken(view, key, "spop", false);
    for members in popped.chunks(LOGGED_MEMBERS) {
        let words: Vec<&[u8]> =
            [b"SREM", key].into_iter().chain(members.iter().map(|member| &**member)).collect();
        view.reword(&words);
    }
    Ok(popped)
}

/// SRANDMEMBER: see its row.
pub fn srandmember(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let count = match argv {
        [_, _] => None,
        [_, _, count] => Some(signed_count(count)?),
        _ => return Err(Fault::SYNTAX),
    };
    let set = view.collection::<Members>(argv[1])?;
    let Some(count) = count else {
        match set.and_then(|set| set.random(random)) {
            Some(member) => reply.bulk(&member),
            None => reply.null(),
        }
        return Ok(());
    };
    let picked = set.map(|set| pick(set, count)).transpose()?.unwrap_or_default();
    reply.array(picked.len());
    picked.iter().for_each(|member| reply.bulk(member));
    Ok(())
}
