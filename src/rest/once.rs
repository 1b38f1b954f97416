//! Requests that are run once: those with an `Idempotency-Key`.
//!
//! A client whose connection breaks does not know whether its request was run, and sends it
//! again. With a key, the second is answered with what the first was answered, for as long as
//! the settings say and as there is room; one that comes while the first is still run waits for
//! it. Keys are those of a user: what another has used is no business of theirs.
//!
//! What is refused before it is run is not remembered. What was run is, whatever came of it: a
//! script may have written before it failed.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::answer::{self, Answer, Content};
use super::refusal::Refusal;
use crate::clock;
use crate::limits::IDEMPOTENCY_KEY_BYTES;
use crate::node::Node;
use crate::observe::stats;

/// Says that an answer is one that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Bytes that an entry takes besides its key and its answer's body, roughly.
const ENTRY_BYTES: usize = 512;

/// A user's key.
type Name = Arc<[u8]>;

/// What a request is, so that another with the same key is noticed.
pub(super) type Print = [u8; 32];

/// Requests that are being run, and answers of those that were.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Name, Entry>,
    /// Answered ones, with the unix millisecond at which they are forgotten, oldest first.
    order: VecDeque<(u64, Name)>,
    /// Bytes of the answered ones.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    print: Print,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Closed when it has ended.
    Running(watch::Receiver<()>),
    Answered(Kept),
}

/// An answer.
#[derive(Clone, Debug)]
struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What a request with a key comes to.
#[derive(Debug)]
pub(super) enum Turn {
    /// It is the first: it is to be run.
    First(First),
    /// It was run before.
    Known(Answer),
    /// It is being run; this ends when it has been.
    Wait(watch::Receiver<()>),
}

/// The name of a user's key.
///
/// # Errors
/// When it is empty or far too long.
pub(super) fn name(user: &[u8], key: &[u8]) -> Result<Name, Refusal> {
    let key = key.trim_ascii();
    // In the draft it is a string of structured fields, which has quotes around it.
    let key = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).unwrap_or(key);
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES {
        return Err(Refusal::KEY_INVALID);
    }
    let length = (user.len() as u64).to_le_bytes();
    Ok([&length[..], user, key].concat().into())
}

/// What a request is.
pub(super) fn print<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Print {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl Remembered {
    /// How many answers are kept, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let table = self.0.lock();
        (table.order.len(), table.bytes)
    }

    /// Whether a request is to be run.
    ///
    /// # Errors
    /// When its key has come with another request.
    pub(super) fn turn(node: &Arc<Node>, name: &Name, print: Print) -> Result<Turn, Refusal> {
        let mut table = node.rest.remembered.0.lock();
        table.forget(clock::unix_ms(), usize::MAX);
        if let Some(entry) = table.entries.get(name) {
            return match &entry.state {
                _ if entry.print != print => Err(Refusal::KEY_REUSED),
                State::Running(ended) => Ok(Turn::Wait(ended.clone())),
                State::Answered(kept) => Ok(Turn::Known(kept.answer())),
            };
        }
        let (running, ended) = watch::channel(());
        let entry = Entry { print, state: State::Running(ended) };
        table.entries.insert(Arc::clone(name), entry);
        let name = Arc::clone(name);
        Ok(Turn::First(First { node: Arc::clone(node), name, kept: None, _running: running }))
    }
}

impl Table {
    /// Forgets what is due, and the oldest as long as there are more than `most` bytes.
    fn forget(&mut self, now: u64, most: usize) {
        while let Some((due, _)) = self.order.front()
            && (*due <= now || self.bytes > most)
            && let Some((_, name)) = self.order.pop_front()
        {
            if let Some(Entry { state: State::Answered(kept), .. }) = self.entries.remove(&name) {
                self.bytes = self.bytes.saturating_sub(kept.bytes(&name));
            }
        }
    }
}

impl Kept {
    fn bytes(&self, name: &Name) -> usize {
        ENTRY_BYTES + 2 * name.len() + self.body.len()
    }

    fn answer(&self) -> Answer {
        let mut answer = Response::new(Content::Whole(Full::new(self.body.clone())));
        *answer.status_mut() = self.status;
        *answer.headers_mut() = self.headers.clone();
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        answer
    }
}

/// The first request with its key, which is being run. When it is dropped without an answer, the
/// key is forgotten.
#[derive(Debug)]
pub(super) struct First {
    node: Arc<Node>,
    name: Name,
    kept: Option<Kept>,
    _running: watch::Sender<()>,
}

impl First {
    /// Remembers the answer, and gives it back.
    pub(super) async fn answered(mut self, mut answer: Answer) -> Answer {
        let most = self.node.config.load().rest_idempotency_bytes;
        let Content::Whole(body) = answer.body_mut() else { return answer };
        let bytes = answer::bytes_of(body).await;
        let kept = Kept { status: answer.status(), headers: answer.headers().clone(), body: bytes };
        // One answer does not drive out all others.
        let fits = kept.body.len() as u64 <= most / 8;
        self.kept = Some(if fits { kept } else { too_large().await });
        answer
    }
}

/// What is kept of an answer that is too large to be.
async fn too_large() -> Kept {
    let mut answer = answer::refuse(&Refusal::ANSWER_NOT_KEPT);
    let body = match answer.body_mut() {
        Content::Whole(body) => answer::bytes_of(body).await,
        Content::Events(_) => Bytes::new(),
    };
    Kept { status: answer.status(), headers: answer.headers().clone(), body }
}

impl Drop for First {
    fn drop(&mut self) {
        let config = self.node.config.load();
        let mut table = self.node.rest.remembered.0.lock();
        match self.kept.take() {
            None => drop(table.entries.remove(&self.name)),
            Some(kept) => {
                let now = clock::unix_ms();
                let due = now.saturating_add(u64::from(config.rest_idempotency_window) * 1000);
                table.bytes += kept.bytes(&self.name);
                table.order.push_back((due, Arc::clone(&self.name)));
                if let Some(entry) = table.entries.get_mut(&self.name) {
                    entry.state = State::Answered(kept);
                }
                let most = usize::try_from(config.rest_idempotency_bytes).unwrap_or(usize::MAX);
                table.forget(now, most);
            }
        }
        drop(table);
        if std::thread::panicking() {
            stats::add(&self.node.stats.panics, 1);
            tracing::error!("a request ended by a bug in this server");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn first(node: &Arc<Node>, key: &str, text: &str) -> First {
        let name = name(b"ann", key.as_bytes()).unwrap();
        match Remembered::turn(node, &name, print([text.as_bytes()])) {
            Ok(Turn::First(first)) => first,
            other => panic!("{key}: {other:?}"),
        }
    }

    fn of(body: impl Into<Bytes>) -> Answer {
        answer::with_body(StatusCode::OK, answer::JSON, body.into())
    }

    #[tokio::test]
    async fn what_was_run_is_answered_from_memory() {
        let node = Node::new(Config::default());
        first(&node, "k", "a").answered(of("one")).await;
        let key = name(b"ann", b" \"k\" ").unwrap();
        let Ok(Turn::Known(answer)) = Remembered::turn(&node, &key, print([&b"a"[..]])) else {
            panic!("it is not known");
        };
        assert_eq!(answer.headers()[REPLAYED], "true");
        let Content::Whole(mut body) = answer.into_body() else { panic!() };
        assert_eq!(answer::bytes_of(&mut body).await, "one");
        let other = Remembered::turn(&node, &key, print([&b"b"[..]]));
        assert_eq!(other.err(), Some(Refusal::KEY_REUSED));
        // Another's key of the same name is another.
        let theirs = name(b"bob", b"k").unwrap();
        let turn = Remembered::turn(&node, &theirs, print([&b"b"[..]]));
        assert!(matches!(turn, Ok(Turn::First(_))));
    }

    #[tokio::test]
    async fn what_is_being_run_is_waited_for() {
        let node = Node::new(Config::default());
        let running = first(&node, "k", "a");
        let key = name(b"ann", b"k").unwrap();
        let Ok(Turn::Wait(mut ended)) = Remembered::turn(&node, &key, print([&b"a"[..]])) else {
            panic!("it is not waited for");
        };
        drop(running);
        assert!(ended.changed().await.is_err());
        // It came to nothing, so it is run again.
        drop(first(&node, "k", "a"));
        assert_eq!(node.rest.remembered.size(), (0, 0));
        assert!(node.rest.remembered.0.lock().entries.is_empty());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let mut config = Config::default();
        config.rest_idempotency_bytes = 8000;
        let node = Node::new(config);
        for n in 0..100 {
            first(&node, &n.to_string(), "a").answered(of(vec![b'x'; 100])).await;
        }
        let (count, bytes) = node.rest.remembered.size();
        assert!((5..20).contains(&count) && bytes <= 8000, "{count} {bytes}");
        assert_eq!(node.rest.remembered.0.lock().entries.len(), count);
        let large = first(&node, "large", "a");
        large.answered(of(vec![b'x'; 1001])).await;
        let key = name(b"ann", b"large").unwrap();
        let Ok(Turn::Known(answer)) = Remembered::turn(&node, &key, print([&b"a"[..]])) else {
            panic!("it is forgotten");
        };
        assert_eq!(answer.status(), StatusCode::CONFLICT);
    }

    #[test]
    fn keys_have_a_length() {
        assert!(name(b"u", b"").is_err() && name(b"u", b"\"\"").is_err());
        assert!(name(b"u", &[b'x'; 256]).is_err() && name(b"u", &[b'x'; 255]).is_ok());
        assert_ne!(name(b"ab", b"c").ok(), name(b"a", b"bc").ok());
    }
}
