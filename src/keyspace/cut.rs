//! A consistent copy of the keyspace while writes go on, without forking and without stopping
//! the world.
//!
//! A cut locks every shard for an instant, in which the caller notes the log's offset. After
//! that each shard is serialized as it was at that instant, by whoever comes first: the task
//! that makes the copy, or a writer that is about to change the shard. What has been serialized
//! and not been passed on has a bound: at it, writers of shards that are still to be copied find
//! them busy, until some of it has gone. The task itself goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::locks::{Access, Contended, LockSet, Wanted};
use super::{Keyspace, Shard};
use crate::limits::SHARDS;

/// Writes a shard down; appends to the buffer.
pub type Serialize = Box<dyn Fn(usize, &Shard, &mut Vec<u8>) + Send + Sync>;

/// The cut that is being made, if any.
#[derive(Debug, Default)]
pub(super) struct CutState {
    /// Counts cuts. Written while every shard is locked, so that whoever holds a shard knows
    /// whether its copy is still to be made.
    epoch: AtomicU64,
    current: Mutex<Option<Arc<Cut>>>,
}

/// A copy in the making.
pub struct Cut {
    epoch: u64,
    serialize: Serialize,
    parts: Mutex<Vec<Vec<u8>>>,
    /// Bytes that have been serialized and not been passed on, and the most there were.
    held: AtomicU64,
    peak: AtomicU64,
    /// Bytes from which writers wait.
    most: u64,
    /// Writers that have found a shard busy for that.
    refused: AtomicU64,
    /// The place that the task wants next: to it the bound does not apply. Counts from one.
    turn: AtomicUsize,
    /// The databases that had been used.
    databases: Vec<usize>,
}

impl std::fmt::Debug for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cut").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl CutState {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Called with every exclusive lock: copies the shard if the present cut wants it.
    #[inline]
    pub(super) fn before_write(
        &self,
        db: usize,
        number: usize,
        shard: &mut Shard,
    ) -> Result<(), Contended> {
        let epoch = self.epoch.load(Ordering::Acquire);
        if shard.cut != epoch {
            return self.copy(epoch, db, number, shard);
        }
        Ok(())
    }

    #[cold]
    fn copy(
        &self,
        epoch: u64,
        db: usize,
        number: usize,
        shard: &mut Shard,
    ) -> Result<(), Contended> {
        let current = self.current.lock().clone();
        if let Some(cut) = current
            && !shard.is_empty()
        {
            if cut.is_full() && cut.turn.load(Ordering::Relaxed) != place(db, number) {
                cut.refused.fetch_add(1, Ordering::Relaxed);
                return Err(Contended);
            }
            let mut bytes = Vec::new();
            (cut.serialize)(db, shard, &mut bytes);
            cut.keep(bytes);
        }
        shard.cut = epoch;
        Ok(())
    }
}

/// A shard's place among all, from one.
fn place(db: usize, shard: usize) -> usize {
    db * SHARDS + shard + 1
}

impl Keyspace {
    /// Makes a cut; `at` runs in the instant in which every shard is locked. Writers may put
    /// `most` bytes aside for it, and what the shards have that are written to at that moment.
    ///
    /// # Errors
    /// When somebody holds a shard for longer than a moment, or another cut is in the making.
    pub fn begin_cut<T>(
        &self,
        serialize: impl Fn(usize, &Shard, &mut Vec<u8>) + Send + Sync + 'static,
        most: u64,
        at: impl FnOnce() -> T,
    ) -> Result<(Arc<Cut>, T), Contended> {
        let _creation = self.creation.try_lock().ok_or(Contended)?;
        if self.cut.current.lock().is_some() {
            return Err(Contended);
        }
        let databases = self.used_databases();
        let _locks = self.lock_all(&databases)?;
        let epoch = self.cut.epoch() + 1;
        let serialize = Box::new(serialize);
        let cut = Arc::new(Cut {
            epoch,
            serialize,
            parts: Mutex::default(),
            held: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            most,
            refused: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            databases,
        });
        *self.cut.current.lock() = Some(Arc::clone(&cut));
        self.cut.epoch.store(epoch, Ordering::Release);
        Ok((cut, at()))
    }

    /// Runs `at` in an instant in which no writer is under way.
    ///
    /// # Errors
    /// When somebody holds a shard for longer than a moment.
    pub fn standstill<T>(&self, at: impl FnOnce() -> T) -> Result<T, Contended> {
        let _creation = self.creation.try_lock().ok_or(Contended)?;
        let _locks = self.lock_all(&self.used_databases())?;
        Ok(at())
    }

    /// Every shard of these databases, exclusively. The caller holds `creation`.
    pub(super) fn lock_all(&self, databases: &[usize]) -> Result<LockSet<'_>, Contended> {
        let mut wanted: SmallVec<[Wanted; 8]> =
            databases.iter().flat_map(|db| Wanted::database(*db, Access::Exclusive)).collect();
        LockSet::all(self, &mut wanted)
    }

    /// Copies one shard of a cut, unless a writer has done so; `step` counts from 0.
    ///
    /// Answers false when `step` is behind the last shard.
    ///
    /// # Errors
    /// When somebody holds the shard for longer than a moment.
    pub fn copy_step(&self, cut: &Cut, step: usize) -> Result<bool, Contended> {
        let Some(db) = cut.databases.get(step / SHARDS) else { return Ok(false) };
        let wanted = Wanted { db: *db, shard: step % SHARDS, access: Access::Exclusive };
        cut.turn.store(place(*db, step % SHARDS), Ordering::Relaxed);
        // Taking the lock makes the copy.
        LockSet::one(self, wanted).map(|_| true)
    }

    /// Ends a cut, finished or given up.
    pub fn end_cut(&self, cut: &Cut) {
        let mut current = self.cut.current.lock();
        if current.as_ref().is_some_and(|now| now.epoch == cut.epoch) {
            *current = None;
        }
    }
}

impl Cut {
    /// Takes what has been serialized so far, in no order. It counts until it is [`released`].
    ///
    /// [`released`]: Cut::release
    pub fn take_parts(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.parts.lock())
    }

    fn keep(&self, bytes: Vec<u8>) {
        let held = self.held.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        self.peak.fetch_max(held, Ordering::Relaxed);
        self.parts.lock().push(bytes);
    }

    /// Says that so many bytes of the parts have been passed on.
    pub fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// Whether writers have to wait.
    pub fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.most
    }

    /// Bytes that have been serialized and not been passed on: now, and at most so far.
    pub fn held(&self) -> (u64, u64) {
        (self.held.load(Ordering::Relaxed), self.peak.load(Ordering::Relaxed))
    }

    /// How often a writer has found a shard busy, because this cut holds as much as it may.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many shards there are to be copied.
    pub fn steps(&self) -> usize {
        self.databases.len() * SHARDS
    }
}
