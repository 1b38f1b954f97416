//! A consistent copy of the keyspace while writes go on, without forking and without stopping
//! the world.
//!
//! A cut locks every shard for an instant, in which the caller notes the log's offset. After
//! that each shard is serialized as it was at that instant, by whoever comes first: the task
//! that makes the copy, or a writer that is about to change the shard. Left out for now: a
//! bound on the bytes that writers put aside before the task has taken them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(super) fn before_write(&self, db: usize, shard: &mut Shard) {
        let epoch = self.epoch.load(Ordering::Acquire);
        if shard.cut != epoch {
            self.copy(epoch, db, shard);
        }
    }

    #[cold]
    fn copy(&self, epoch: u64, db: usize, shard: &mut Shard) {
        shard.cut = epoch;
        let current = self.current.lock().clone();
        if let Some(cut) = current
            && !shard.is_empty()
        {
            let mut bytes = Vec::new();
            (cut.serialize)(db, shard, &mut bytes);
            cut.parts.lock().push(bytes);
        }
    }
}

impl Keyspace {
    /// Makes a cut; `at` runs in the instant in which every shard is locked.
    ///
    /// # Errors
    /// When somebody holds a shard for longer than a moment, or another cut is in the making.
    pub fn begin_cut<T>(
        &self,
        serialize: impl Fn(usize, &Shard, &mut Vec<u8>) + Send + Sync + 'static,
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
        let cut = Arc::new(Cut { epoch, serialize, parts: Mutex::default(), databases });
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
    /// Takes what has been serialized so far, in no order.
    pub fn take_parts(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.parts.lock())
    }
}
