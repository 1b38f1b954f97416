//! Sliding windows: two counters, the previous one weighted by its share of the window.
//!
//! The question whether there is room does not ask for how much: that is the scripts' way, and a
//! call for several may go beyond the limit, is told so, and has counted all the same.

use super::{Dynamic, Ground, Inner, Unsure, Work, weighted};
use crate::resp::Reply;

/// What limits call.
pub(super) const LIMIT: &[Inner] = &[Inner::Get, Inner::IncrBy, Inner::PExpire];

/// What those call that only look.
pub(super) const LOOK: &[Inner] = &[Inner::Get];

/// Milliseconds for which a counter stays beyond the window after its own.
const SLACK_MS: i64 = 1000;

/// In what the scripts differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The key for another limit; with one the limit is answered too.
    pub(super) dynamic: Dynamic,
    /// Whether a rate of 0 or below is let through without a question.
    pub(super) refunds: bool,
    /// Whether counters expire.
    pub(super) expires: bool,
}

/// KEYS: counters of this window and the previous one, and a key for another limit. ARGV: limit,
/// now, window, rate.
pub(super) fn limit(
    form: Form,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    let (limit, now) = (work.number(0)?, work.moment(1)?);
    let (window, rate) = (work.window(2)?, work.number(3)?);
    let limit = form.dynamic.limit(work, 2, limit, ground)?;
    let current = ground.number(0)?.unwrap_or(0);
    let previous = weighted(now, window, ground.number(1)?.unwrap_or(0));
    let asks = rate > 0 || !form.refunds;
    if asks && previous + current >= limit {
        answer(form, -1, limit, reply);
        return Ok(());
    }
    let count = ground.add(0, rate)?;
    if form.expires && count == rate {
        ground.expire(0, window * 2 + SLACK_MS);
    }
    answer(form, limit - (count + previous), limit, reply);
    Ok(())
}

fn answer(form: Form, left: i64, limit: i64, reply: &mut dyn Reply) {
    match form.dynamic {
        Dynamic::No => reply.integer(left),
        Dynamic::Needed | Dynamic::Optional => reply.integers(&[left, limit]),
    }
}

/// What is left. KEYS as for [`limit`]. ARGV: limit, now, window.
pub(super) fn left(
    dynamic: Dynamic,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    let (limit, now, window) = (work.number(0)?, work.moment(1)?, work.window(2)?);
    let limit = dynamic.limit(work, 2, limit, ground)?;
    let used = used_of(now, window, ground)?;
    reply.integers(&[limit - used, limit]);
    Ok(())
}

/// What is used. KEYS: both counters. ARGV: now, window.
pub(super) fn used(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(2)?;
    let used = used_of(work.moment(0)?, work.window(1)?, ground)?;
    reply.integer(used);
    Ok(())
}

fn used_of(now: i64, window: i64, ground: &mut dyn Ground) -> Result<i64, Unsure> {
    let current = ground.number(0)?.unwrap_or(0);
    let previous = ground.number(1)?.unwrap_or(0);
    Ok(weighted(now, window, previous) + current)
}
