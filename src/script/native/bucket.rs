//! Token buckets: a hash of what is left and when it was filled last, in whole intervals.

use super::{Dynamic, Ground, Inner, LONGEST_MS, PLAIN, Unsure, Work};
use crate::resp::Reply;

/// What limits call.
pub(super) const LIMIT: &[Inner] = &[Inner::Get, Inner::HMGet, Inner::HSet, Inner::PExpire];

/// What those call that only look.
pub(super) const LOOK: &[Inner] = &[Inner::Get, Inner::HMGet];

/// The fields as the JavaScript library names them.
pub(super) const JS: [&[u8]; 2] = [b"refilledAt", b"tokens"];

/// The fields as the Python library names them.
pub(super) const PYTHON: [&[u8]; 2] = [b"refilled_at", b"tokens"];

/// When a bucket refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refuses {
    /// When it is empty.
    Empty,
    /// When it is empty, unless tokens are given back.
    EmptyToTakers,
    /// When it has fewer than are asked for.
    Short,
    /// Likewise, unless tokens are given back.
    ShortToTakers,
}

impl Refuses {
    fn does(self, tokens: i64, rate: i64) -> bool {
        match self {
            Refuses::Empty => tokens == 0,
            Refuses::EmptyToTakers => tokens == 0 && rate > 0,
            Refuses::Short => tokens < rate,
            Refuses::ShortToTakers => tokens < rate && rate > 0,
        }
    }
}

/// In what the scripts differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// The fields.
    pub(super) fields: [&'static [u8]; 2],
    /// The key for another limit; with one the limit is answered too.
    pub(super) dynamic: Dynamic,
    /// When it refuses.
    pub(super) refuses: Refuses,
    /// Whether it looks at an expiry before it sets it; otherwise a past one takes the key away.
    pub(super) careful: bool,
}

/// KEYS: bucket, and a key for another limit. ARGV: capacity, interval, refill, now, rate.
pub(super) fn limit(
    form: Form,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    let (capacity, interval) = (work.number(0)?, work.window(1)?);
    let (refill, now, rate) = (work.number(2)?, work.moment(3)?, work.number(4)?);
    if refill < 1 {
        return Err(Unsure);
    }
    let capacity = form.dynamic.limit(work, 1, capacity, ground)?;
    let (mut filled_at, mut tokens) = kept(form.fields, ground)?.unwrap_or((now, capacity));
    if now >= filled_at + interval {
        let times = (now - filled_at) / interval;
        // Beyond what is exact it is beyond any capacity too.
        tokens = tokens.saturating_add(times.saturating_mul(refill)).min(capacity);
        filled_at += times * interval;
    }
    if form.refuses.does(tokens, rate) {
        answer(form, [-1, filled_at + interval, capacity], reply);
        return Ok(());
    }
    let left = tokens - rate;
    let lasts = expiry(capacity - left, refill, interval)?;
    if lasts <= 0 && !form.careful {
        return Err(Unsure);
    }
    let (mut one, mut other) = (itoa::Buffer::new(), itoa::Buffer::new());
    let [filled_field, tokens_field] = form.fields;
    let (filled_text, left_text) = (one.format(filled_at), other.format(left));
    let pairs = [filled_field, filled_text.as_bytes(), tokens_field, left_text.as_bytes()];
    ground.set_fields(0, &pairs)?;
    if lasts > 0 {
        ground.expire(0, lasts);
    }
    answer(form, [left, filled_at + interval, capacity], reply);
    Ok(())
}

/// When the bucket was filled last, and what it has; nothing if it is new.
fn kept(fields: [&'static [u8]; 2], ground: &mut dyn Ground) -> Result<Option<(i64, i64)>, Unsure> {
    match ground.fields(0, &fields)?.as_slice() {
        [Some(filled_at), Some(tokens)] => Ok(Some((*filled_at, *tokens))),
        [None, _] => Ok(None),
        _ => Err(Unsure),
    }
}

/// Milliseconds until so many tokens are back.
fn expiry(missing: i64, refill: i64, interval: i64) -> Result<i64, Unsure> {
    let intervals = missing.div_euclid(refill) + i64::from(missing.rem_euclid(refill) > 0);
    let lasts = intervals.checked_mul(interval).ok_or(Unsure)?;
    if lasts <= LONGEST_MS && missing.unsigned_abs() <= PLAIN * 2 { Ok(lasts) } else { Err(Unsure) }
}

fn answer(form: Form, numbers: [i64; 3], reply: &mut dyn Reply) {
    match form.dynamic {
        Dynamic::No => reply.integers(&numbers[..2]),
        Dynamic::Needed | Dynamic::Optional => reply.integers(&numbers),
    }
}

/// What was left when it was last asked, not refilled since. KEYS as for [`limit`]. ARGV:
/// capacity.
pub(super) fn left(
    dynamic: Dynamic,
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    let capacity = dynamic.limit(work, 1, work.number(0)?, ground)?;
    let (filled_at, tokens) = kept(JS, ground)?.unwrap_or((-1, capacity));
    match dynamic {
        Dynamic::No => reply.integers(&[tokens, filled_at]),
        Dynamic::Needed | Dynamic::Optional => reply.integers(&[tokens, filled_at, capacity]),
    }
    Ok(())
}

/// Likewise, without the time. KEYS: bucket. ARGV: capacity.
pub(super) fn tokens(
    work: &Work<'_>,
    ground: &mut dyn Ground,
    reply: &mut dyn Reply,
) -> Result<(), Unsure> {
    work.has_keys(1)?;
    let capacity = work.number(0)?;
    let left = ground.fields(0, &JS[1..])?.first().copied().flatten();
    reply.integer(left.unwrap_or(capacity));
    Ok(())
}
