//! Reads the body of a request: whole, within its limit, and in time.
//!
//! A sender gets the time of a head to begin with, and then has to keep a pace; whoever promises
//! a body and does not send it holds a connection for seconds and no more memory than it sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

use super::load::Busy;
use super::refusal::Refusal;
use crate::clock;
use crate::limits::{RESERVED_ARGUMENT_BYTES, REST_BODY_PACE};
use crate::node::Node;

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Bytes.
    pub(super) bytes: u64,
    /// How long nothing may come.
    pub(super) patience: Duration,
}

/// Reads a body.
///
/// # Errors
/// When it is too large, too slow, or broken off.
pub(super) async fn read(
    node: &Arc<Node>,
    mut body: Incoming,
    limits: BodyLimits,
) -> Result<Bytes, Refusal> {
    let announced = body.size_hint().lower();
    if announced > limits.bytes {
        return Err(refuse_large(body, limits, announced).await);
    }
    let mut pace = Pace::new(limits.patience);
    let Some(first) = pace.next(&mut body).await? else { return Ok(Bytes::new()) };
    // Mostly the body came along with the head and is whole.
    if body.is_end_stream() && first.len() as u64 <= limits.bytes {
        return Ok(first);
    }
    let most = node.config.load().rest_max_requests as usize;
    let mut busy = Busy::new(node, most).ok_or(Refusal::BUSY)?;
    busy.gather(first.len())?;
    let room = usize::try_from(announced).unwrap_or(usize::MAX).min(RESERVED_ARGUMENT_BYTES);
    let mut whole = Vec::with_capacity(room.max(first.len()));
    whole.extend_from_slice(&first);
    drop(first);
    while let Some(piece) = pace.next(&mut body).await? {
        let length = whole.len() as u64 + piece.len() as u64;
        if length > limits.bytes {
            return Err(refuse_large(body, limits, length).await);
        }
        busy.gather(piece.len())?;
        grow(&mut whole, piece.len(), announced);
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// Makes room for `more` bytes of a body. As soon as a quarter of what was announced has come,
/// there is room for all of it: from then on nothing is copied again, and until then a promise
/// has cost no more than was sent.
fn grow(whole: &mut Vec<u8>, more: usize, announced: u64) {
    let needed = whole.len() + more;
    if needed <= whole.capacity() {
        return;
    }
    match usize::try_from(announced) {
        Ok(all) if all >= needed && all / 4 <= whole.len() => {
            whole.reserve_exact(all - whole.len());
        }
        _ => whole.reserve(more),
    }
}

/// Refuses a body, and lets its sender know: the rest is thrown away as it comes, up to the size
/// of a body that would have been allowed. A connection that is closed with bytes unread would be
/// reset, and the answer lost.
async fn refuse_large(mut body: Incoming, limits: BodyLimits, length: u64) -> Refusal {
    let refusal = Refusal::too_large(limits.bytes, length);
    let mut room = limits.bytes;
    let mut pace = Pace::new(limits.patience);
    while body.size_hint().lower() <= room {
        let Ok(Some(piece)) = pace.next(&mut body).await else { break };
        let Some(left) = room.checked_sub(piece.len() as u64) else { break };
        room = left;
    }
    refusal
}

/// The time by which the next piece has to come.
struct Pace {
    deadline: Instant,
}

impl Pace {
    fn new(patience: Duration) -> Pace {
        Pace { deadline: Instant::from_std(clock::instant()) + patience }
    }

    /// The next piece; each byte of it buys time for those behind it.
    async fn next(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
        loop {
            let frame = match timeout_at(self.deadline, body.frame()).await {
                Err(_) => return Err(Refusal::SLOW_BODY),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Refusal::BROKEN_BODY),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers say nothing here.
            if let Ok(piece) = frame.into_data() {
                let micros = piece.len() as u64 * 1_000_000 / REST_BODY_PACE;
                self.deadline += Duration::from_micros(micros);
                return Ok(Some(piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_believed_when_a_quarter_has_come() {
        let mut whole = vec![0; 1000];
        whole.shrink_to_fit();
        grow(&mut whole, 10, 1_000_000);
        assert!((1010..10_000).contains(&whole.capacity()), "{}", whole.capacity());
        whole.resize(250_000, 0);
        whole.shrink_to_fit();
        grow(&mut whole, 10, 1_000_000);
        assert_eq!(whole.capacity(), 1_000_000);
        // More than was announced, or nothing was.
        for announced in [0, 250_005] {
            whole.shrink_to_fit();
            grow(&mut whole, 10, announced);
            assert!(whole.capacity() >= 250_010);
        }
    }
}
