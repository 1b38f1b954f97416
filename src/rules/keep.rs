//! Keeps the file of rules up to date: written anew behind every change, changes in quick succession
//! together.
//!
//! A command does not wait for the file, and a write that fails is no command's failure: the rule holds on
//! this node and its replicas, and a disk that is full must not keep an operator from closing a door. It
//! is logged, INFO shows it, and it is tried again. So a crash may lose the changes of the last moment,
//! but a stop in order does not. A kill between a write and the next leaves a whole file.
//!
//! On a replica the file follows what its leader says.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::file;
use crate::clock;
use crate::node::Node;

/// How long further changes are waited for.
const GATHER: Duration = Duration::from_millis(50);

/// Between two writes there is at least this many times what the first took: a large file that changes all
/// the time takes no more than a fifth of a disk.
const REST: u32 = 4;

/// Between a write that failed and the next.
const AGAIN: Duration = Duration::from_secs(1);

/// What is known of the file.
#[derive(Debug, Default)]
pub struct Kept {
    /// The comments above the first command; held while the file is written, which two never do at once.
    head: Mutex<Vec<u8>>,
    /// The change up to which the file has all.
    saved: AtomicU64,
    /// When it was written last, or read, in unix milliseconds.
    saved_at: AtomicU64,
    failing: AtomicBool,
    saves: AtomicU64,
    failures: AtomicU64,
}

/// What INFO says of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether there is a file.
    pub enabled: bool,
    /// Changes that it does not have yet.
    pub unsaved: u64,
    /// When it was written last, or read, in unix milliseconds.
    pub saved_at: u64,
    /// Whether the last write failed.
    pub failing: bool,
    /// Writes since the start.
    pub saves: u64,
    /// Writes that failed.
    pub failures: u64,
}

/// What INFO says of the file; all of it 0 if there is none.
pub fn status(node: &Node) -> Status {
    if node.config.load().rules_file.is_empty() {
        return Status::default();
    }
    let kept = &node.rules_kept;
    let changes = *node.keyspace.rules.changes().borrow();
    Status {
        enabled: true,
        unsaved: changes.saturating_sub(kept.saved.load(Ordering::Relaxed)),
        saved_at: kept.saved_at.load(Ordering::Relaxed),
        failing: kept.failing.load(Ordering::Relaxed),
        saves: kept.saves.load(Ordering::Relaxed),
        failures: kept.failures.load(Ordering::Relaxed),
    }
}

/// Reads the file, before anybody is let in.
///
/// # Errors
/// What is wrong with it, with the line.
pub fn load(node: &Node) -> Result<(), String> {
    let config = node.config.load();
    if config.rules_file.is_empty() {
        return Ok(());
    }
    let (rules, now) = (&node.keyspace.rules, clock::unix_ms());
    let head = file::load(rules, Path::new(&config.rules_file), now)?;
    let kept = &node.rules_kept;
    *kept.head.lock() = head;
    kept.note_saved(*rules.changes().borrow());
    Ok(())
}

impl Kept {
    fn note_saved(&self, changes: u64) {
        self.saved.store(changes, Ordering::Relaxed);
        self.saved_at.store(clock::unix_ms(), Ordering::Relaxed);
    }
}

/// Writes the file whenever something has changed, until the node stops.
pub async fn run(node: Arc<Node>) {
    if node.config.load().rules_file.is_empty() {
        return;
    }
    let mut changes = node.keyspace.rules.changes();
    let mut pause = GATHER;
    loop {
        let saved = node.rules_kept.saved.load(Ordering::Relaxed);
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            _ = changes.wait_for(|changes| *changes != saved) => {}
        }
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let begun = clock::monotonic_ms();
        let done = save(&node).await;
        let took = Duration::from_millis(clock::monotonic_ms().saturating_sub(begun));
        pause = (took * REST).max(if done { GATHER } else { AGAIN });
    }
}

/// Writes what the file does not have yet: for the end, when nobody changes anything any more.
pub async fn finish(node: &Arc<Node>) {
    if status(node).unsaved > 0 {
        save(node).await;
    }
}

/// Writes the file on a thread that may wait for a disk; answers whether it is written.
async fn save(node: &Arc<Node>) -> bool {
    let writer = Arc::clone(node);
    let done = tokio::task::spawn_blocking(move || write(&writer)).await;
    let done = done.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    let kept = &node.rules_kept;
    let failed = kept.failing.swap(done.is_err(), Ordering::Relaxed);
    match done {
        Ok(()) if failed => tracing::info!("rules-file: written again"),
        Ok(()) => {}
        Err(error) => {
            kept.failures.fetch_add(1, Ordering::Relaxed);
            // Tried again and again: said once.
            if !failed {
                let path = &node.config.load().rules_file;
                tracing::warn!("rules-file {path} cannot be written, tried again: {error}");
            }
            return false;
        }
    }
    true
}

fn write(node: &Node) -> io::Result<()> {
    let (kept, rules) = (&node.rules_kept, &node.keyspace.rules);
    let head = kept.head.lock();
    // Read before what they have led to, which then is in the file.
    let changes = *rules.changes().borrow();
    let config = node.config.load_full();
    file::save(rules, &head, Path::new(&config.rules_file), clock::unix_ms())?;
    kept.note_saved(changes);
    kept.saves.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
