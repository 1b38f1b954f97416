//! Waits for a busy shard: what a task does that was told `Contended`.
//!
//! At first it only lets others run, since nobody holds a shard for long. When that has not
//! helped a few times, a script is the likely reason, and asking again at once would keep a
//! worker busy for nothing: from then on a timer wakes it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

/// Attempts that follow one another without a pause.
const EAGER: u32 = 16;

/// The pause between two later ones.
const PAUSE: Duration = Duration::from_millis(1);

/// See the module's description.
#[derive(Debug, Default)]
pub struct Patience {
    attempts: u32,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Starts anew: the last attempt was no disappointment.
    #[inline]
    pub fn renew(&mut self) {
        self.attempts = 0;
    }

    /// Notes that an attempt was one, and has the task woken when the next is due.
    pub fn disappoint(&mut self, context: &mut Context<'_>) {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > EAGER {
            self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
        }
        // At once, behind the others, and be it to start the timer.
        context.waker().wake_by_ref();
    }

    /// Whether the next attempt is due.
    #[inline]
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(pause) = &mut self.pause else { return Poll::Ready(()) };
        std::task::ready!(pause.as_mut().poll(context));
        self.pause = None;
        Poll::Ready(())
    }

    /// Waits until the next attempt is due.
    pub async fn wait(&mut self) {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > EAGER {
            tokio::time::sleep(PAUSE).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}
