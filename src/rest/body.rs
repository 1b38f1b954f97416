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
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
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
