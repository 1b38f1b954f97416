//! Limits over several regions: a hash a window, with a field for each request.

use super::{Ground, Inner, Pairs, Unsure, Work, passed, weighted};
use crate::resp::Reply;

/// What limits call.
pub(super) const LIMIT: &[Inner] = &[Inner::HGetAll, Inner::HSet, Inner::PExpire];

/// What those call that only look.
pub(super) const LOOK: &[Inner] = &[Inner::HGetAll];

/// Milliseconds for which a hash stays beyond the window after its own.
const SLACK_MS: i64 = 1000;

/// When a hash of requests expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expires {
    /// A window after its first request.
    Yes,
    /// Never: the script looks at another place than it means to.
    Never,
}

/// Adds a request to a fixed window and answers all. KEYS: requests. ARGV: id, window, rate.
pub(super) fn fixed(
    expires: Expires,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(1)?;
    let (window, rate) = (work.window(1)?, work.number(2)?);
    set(work.arguments[0], rate, ground)?;
    // A hash now, so this cannot fail.
    let pairs = ground.pairs(0)?;
    if expires == Expires::Yes && pairs.is_single() {
        ground.expire(0, window);
    }
    pairs.answer(reply);
    Ok(())
}

fn set(id: &[u8], rate: i64, ground: &mut dyn Ground) -> Result<(), Unsure> {
    ground.set_fields(0, &[id, itoa::Buffer::new().format(rate).as_bytes()])
}

/// All requests of a window. KEYS: requests.
pub(super) fn all(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(1)?;
    ground.pairs(0)?.answer(reply);
    Ok(())
}

/// How a sliding window asks whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// For one more.
    Any,
    /// For as many as are asked for, and not when some are given back.
    All,
}

/// Adds a request to a sliding window, if there is room, and answers what was there before. KEYS:
/// requests of this window and of the previous one. ARGV: limit, now, window, id, rate.
pub(super) fn sliding(
    asks: Asks,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(2)?;
    let (limit, now) = (work.number(0)?, work.moment(1)?);
    let (window, rate) = (work.window(2)?, work.number(4)?);
    let (current, previous) = (ground.pairs(0)?, ground.pairs(1)?);
    let (counted, before) = (current.total()?, previous.total()?);
    let weighted = before as f64 * (1.0 - passed(now, window)) + counted as f64;
    let full = match asks {
        Asks::Any => weighted >= limit as f64,
        Asks::All => rate > 0 && weighted + rate as f64 > limit as f64,
    };
    if full {
        return answer(&current, &previous, Admitted::No, reply);
    }
    set(work.arguments[3], rate, ground)?;
    if counted == 0 {
        ground.expire(0, window * 2 + SLACK_MS);
    }
    answer(&current, &previous, Admitted::Yes, reply)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Admitted {
    Yes,
    No,
}

fn answer(
    current: &Pairs,
    previous: &Pairs,
    admitted: Admitted,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    reply.array(3);
    current.answer(reply);
    previous.answer(reply);
    match admitted {
        Admitted::Yes => reply.integer(1),
        Admitted::No => reply.null(),
    }
    Ok(())
}

/// What is used. KEYS as for [`sliding`]. ARGV: now, window.
pub(super) fn used(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(2)?;
    let (now, window) = (work.moment(0)?, work.window(1)?);
    let (counted, before) = (ground.pairs(0)?.total()?, ground.pairs(1)?.total()?);
    reply.integer(counted + weighted(now, window, before));
    Ok(())
}
