//! The deny list: which members are on it, and whether somebody is to fetch the list of addresses.

use super::{Ground, Inner, Unsure, Work};
use crate::resp::Reply;

/// What it calls.
pub(super) const CALLS: &[Inner] = &[Inner::SMIsMember, Inner::Ttl, Inner::SetEx];

/// Seconds that who finds no list has, to fetch it, before others try.
const PENDING_S: i64 = 30;

/// KEYS: the set of what is denied, the state of the list of addresses. ARGV: members.
pub(super) fn check(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(2)?;
    if work.arguments.is_empty() {
        return Err(Unsure);
    }
    let denied = ground.are_members(0, work.arguments)?;
    let left = ground.seconds_left(1);
    if left == -2 {
        ground.set_for(1, PENDING_S, b"pending");
    }
    reply.array(2);
    reply.array(denied.len());
    denied.iter().for_each(|denied| reply.integer((*denied).into()));
    reply.integer(left);
    Ok(())
}
