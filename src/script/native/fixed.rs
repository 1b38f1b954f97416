//! Fixed windows: one counter, whose key names the window.
//!
//! A call that is refused has counted all the same: that is the scripts' way.

use super::{Dynamic, Ground, Inner, Unsure, Work};
use crate::resp::Reply;

/// What limits call.
pub(super) const LIMIT: &[Inner] = &[Inner::Get, Inner::IncrBy, Inner::PExpire];

/// What those call that only look.
pub(super) const LOOK: &[Inner] = &[Inner::Get];

/// KEYS: counter, and a key for another limit. ARGV: limit, window, rate.
pub(super) fn limit(
    dynamic: Dynamic,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    let (limit, window, rate) = (work.number(0)?, work.window(1)?, work.number(2)?);
    let limit = dynamic.limit(work, 1, limit, ground)?;
    let count = count(window, rate, ground)?;
    reply.integers(&[count, limit]);
    Ok(())
}

/// Likewise, where the client knows the limit. ARGV: window, rate.
pub(super) fn counted(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(1)?;
    let (window, rate) = (work.window(0)?, work.number(1)?);
    let count = count(window, rate, ground)?;
    reply.integer(count);
    Ok(())
}

/// Counts; the first of a window has the counter expire.
fn count(window: i64, rate: i64, ground: &mut dyn Ground) -> Result<i64, Unsure> {
    let count = ground.add(0, rate)?;
    if count == rate {
        ground.expire(0, window);
    }
    Ok(count)
}

/// Likewise, but the counter never expires: these scripts compare a number with a text. ARGV:
/// window, rate.
pub(super) fn counted_for_ever(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(1)?;
    let rate = work.number(1)?;
    let count = ground.add(0, rate)?;
    reply.integer(count);
    Ok(())
}

/// What is left. KEYS as for [`limit`]. ARGV: limit.
pub(super) fn left(
    dynamic: Dynamic,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    let limit = dynamic.limit(work, 1, work.number(0)?, ground)?;
    let used = ground.number(0)?.unwrap_or(0);
    reply.integers(&[limit - used, limit]);
    Ok(())
}

/// The counter as it is kept, or 0.
pub(super) fn used(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(1)?;
    ground.answer_text(0, reply)
}
