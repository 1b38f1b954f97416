//! The log: one stream of effects with a running offset, for replicas and sync tokens.
//!
//! Writers append while they hold the locks of what they changed, so the order of the log is
//! the order of the changes. As long as nobody follows, nothing is kept and only the offset
//! moves: it names states of the keyspace, whether or not anybody reads the bytes.

use eave_replication::{Backlog, Position, ReplicationId, wire};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::keyspace::Effects;
use crate::keyspace::effects::Logging;
use crate::resp::reply::encode_command;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// See the module's description.
#[derive(Debug)]
pub struct Log {
    /// Whether bytes are kept. Changes only while every shard is locked.
    active: AtomicBool,
    /// The offset, also while `active` is off.
    offset: AtomicU64,
    /// The first 32 bits of the history's name.
    short_id: AtomicU32,
    inner: Mutex<Inner>,
    appended: Notify,
}

/// What the lock of the log guards.
#[derive(Debug)]
pub struct Inner {
    /// The bytes.
    pub backlog: Backlog,
    /// The database that the log's last SELECT named; `None` makes the next append name one.
    selected: Option<usize>,
    /// Whether the log is another node's, so that nothing of this node's own may come into it.
    foreign: bool,
}

impl Log {
    /// A log that keeps nothing yet.
    pub fn new(backlog: Backlog) -> Log {
        Log {
            active: AtomicBool::new(backlog.is_active()),
            offset: AtomicU64::new(backlog.offset()),
            short_id: AtomicU32::new(short(backlog.id())),
            inner: Mutex::new(Inner { backlog, selected: None, foreign: false }),
            appended: Notify::new(),
        }
    }

    /// Whether effects have to be written down.
    #[inline]
    pub fn logging(&self) -> Logging {
        if self.active.load(Ordering::Relaxed) { Logging::On } else { Logging::Off }
    }

    /// Whether bytes are kept.
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// Bytes of history so far.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    /// The first 32 bits of the history's name, for sync tokens.
    pub fn short_id(&self) -> u32 {
        self.short_id.load(Ordering::Acquire)
    }

    /// Whether `offset` of the history that is named so is a place of the present one, which may
    /// be still to come.
    pub fn has_been_at(&self, short_id: u32, offset: u64) -> bool {
        if short_id == self.short_id() {
            return true;
        }
        let second = self.inner.lock().backlog.second();
        second.is_some_and(|at| short(at.id) == short_id && offset <= at.offset)
    }

    /// Appends the effects of one command or transaction. The caller still holds the locks of
    /// what was changed.
    #[inline]
    pub fn append(&self, effects: &Effects) {
        if effects.commands() == 0 {
            return;
        }
        match effects.databases() {
            // A state without followers has a name too, so that sync tokens differ.
            None => {
                self.offset.fetch_add(1, Ordering::AcqRel);
            }
            Some(databases) => self.append_bytes(effects, databases),
        }
    }

    fn append_bytes(&self, effects: &Effects, (first, last): (usize, usize)) {
        let mut inner = self.inner.lock();
        if inner.foreign {
            return;
        }
        if inner.selected != Some(first) {
            let mut select = Vec::with_capacity(32);
            encode_command(&mut select, &[b"SELECT", first.to_string().as_bytes()]);
            inner.backlog.append(&select);
        }
        inner.selected = Some(last);
        // Several effects of one request are seen together or not at all.
        if effects.commands() > 1 {
            inner.backlog.append(b"*1\r\n$5\r\nMULTI\r\n");
            inner.backlog.append(effects.log());
            inner.backlog.append(b"*1\r\n$4\r\nEXEC\r\n");
        } else {
            inner.backlog.append(effects.log());
        }
        self.publish(&inner);
    }

    /// Starts to keep bytes. The caller holds every shard, so that no writer is under way that
    /// has not written its effects down.
    pub fn activate(&self) {
        let mut inner = self.inner.lock();
        if !self.is_active() {
            inner.catch_up(self.offset());
            inner.backlog.activate();
        }
        // A follower starts with database 0 after a full copy; name the database again.
        inner.selected = None;
        self.active.store(true, Ordering::Release);
    }

    /// Says whether the log is another node's from now on. What is still on its way into it from
    /// here, a message that was published for instance, is left out then.
    pub fn follow(&self, foreign: bool) {
        self.inner.lock().foreign = foreign;
    }

    /// Asks those who follow how far they are.
    pub fn ask_how_far(&self) {
        let mut log = self.lock();
        if self.is_active() && !log.inner.foreign {
            log.backlog().append(wire::GETACK);
        }
    }

    /// Appends bytes as they came from the leader: a replica's log is its leader's.
    pub fn append_raw(&self, bytes: &[u8]) {
        let mut inner = self.inner.lock();
        if self.is_active() {
            inner.backlog.append(bytes);
        } else {
            inner.catch_up(self.offset());
            inner.backlog.advance(bytes.len() as u64);
        }
        self.publish(&inner);
    }

    /// Goes on with the same history under another name: after a promotion, or when the leader
    /// says that it has been promoted.
    pub fn change_id(&self, id: ReplicationId) {
        let mut inner = self.inner.lock();
        if !self.is_active() {
            inner.catch_up(self.offset());
        }
        inner.backlog.change_id(id);
        self.short_id.store(short(id), Ordering::Release);
        // What the leader has selected last is not known here.
        inner.selected = None;
    }

    /// Takes over from the leader which history this one continues.
    pub fn inherit_second(&self, second: Option<Position>) {
        self.inner.lock().backlog.inherit_second(second);
    }

    /// Starts another history at `position`: after a full copy from a leader.
    pub fn reset(&self, position: Position) {
        let mut inner = self.inner.lock();
        inner.backlog.reset(position);
        self.short_id.store(short(position.id), Ordering::Release);
        inner.selected = None;
        self.publish(&inner);
    }

    /// The backlog, to read it or to ask for its position. While this is held no write ends,
    /// so it is to be let go soon.
    pub fn lock(&self) -> LogGuard<'_> {
        let mut inner = self.inner.lock();
        if !self.is_active() {
            inner.catch_up(self.offset());
        }
        let from = inner.backlog.offset();
        LogGuard { log: self, inner, from }
    }

    /// Waits until something has been appended since `offset`.
    pub async fn appended_since(&self, offset: u64) {
        loop {
            let notified = self.appended.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.offset() > offset {
                return;
            }
            notified.await;
        }
    }

    fn publish(&self, inner: &Inner) {
        self.offset.store(inner.backlog.offset(), Ordering::Release);
        self.appended.notify_waiters();
    }
}

/// The first 32 bits of a history's name: what a sync token has of it.
fn short(id: ReplicationId) -> u32 {
    let text = id.to_hex();
    let digits = std::str::from_utf8(&text[..8]).unwrap_or_default();
    u32::from_str_radix(digits, 16).unwrap_or_default()
}

impl Inner {
    /// Brings the backlog's offset to that of a log that has kept nothing.
    fn catch_up(&mut self, offset: u64) {
        self.backlog.advance(offset.saturating_sub(self.backlog.offset()));
    }
}

/// The locked log; what was appended through it is made known when it is let go.
#[derive(Debug)]
pub struct LogGuard<'a> {
    log: &'a Log,
    inner: MutexGuard<'a, Inner>,
    /// The offset when it was locked.
    from: u64,
}

impl LogGuard<'_> {
    /// The backlog.
    pub fn backlog(&mut self) -> &mut Backlog {
        &mut self.inner.backlog
    }
}

impl Drop for LogGuard<'_> {
    fn drop(&mut self) {
        let appended = self.inner.backlog.offset().saturating_sub(self.from);
        if appended == 0 {
            return;
        }
        if self.log.is_active() {
            self.log.publish(&self.inner);
        } else {
            // Writers may have moved it meanwhile: they do not ask for the lock.
            self.log.offset.fetch_add(appended, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eave_replication::BacklogConfig;

    const ID: ReplicationId = ReplicationId::from_random([1; 20]);

    fn log() -> Log {
        Log::new(Backlog::new(BacklogConfig::default(), Position { id: ID, offset: 0 }))
    }

    fn write(log: &Log, db: usize, commands: &[&[&[u8]]]) {
        let mut effects = Effects::new(log.logging());
        for argv in commands {
            effects.append(db, argv);
        }
        log.append(&effects);
    }

    fn read(log: &Log, from: u64) -> String {
        let mut bytes = Vec::new();
        log.lock().backlog().read(from, usize::MAX, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn an_inactive_log_names_states_and_keeps_its_place_when_it_becomes_active() {
        let log = log();
        write(&log, 0, &[&[b"SET", b"a", b"1"]]);
        write(&log, 0, &[&[b"SET", b"a", b"2"]]);
        assert_eq!((log.offset(), log.lock().backlog().offset()), (2, 2));
        log.lock().backlog().append(b"ping");
        assert_eq!(log.offset(), 6);
        log.append_raw(b"raw");
        assert_eq!((log.offset(), log.lock().backlog().offset()), (9, 9));
        log.activate();
        assert_eq!((log.offset(), log.lock().backlog().start()), (9, Some(9)));
        write(&log, 2, &[&[b"DEL", b"a"]]);
        assert_eq!(read(&log, 9), "*2 $6 SELECT $1 2 *2 $3 DEL $1 a ");
    }

    #[test]
    fn the_database_is_named_when_it_changes_or_a_copy_was_cut() {
        let log = log();
        log.activate();
        write(&log, 0, &[&[b"A"]]);
        write(&log, 0, &[&[b"B"]]);
        write(&log, 1, &[&[b"C"], &[b"D"]]);
        log.activate();
        write(&log, 1, &[&[b"E"]]);
        let expected = "*2 $6 SELECT $1 0 *1 $1 A *1 $1 B *2 $6 SELECT $1 1 *1 $5 MULTI \
                        *1 $1 C *1 $1 D *1 $4 EXEC *2 $6 SELECT $1 1 *1 $1 E ";
        assert_eq!(read(&log, 0), expected);
    }

    #[test]
    fn a_promoted_node_goes_on_at_its_place_and_names_the_database() {
        let log = log();
        log.reset(Position { id: ReplicationId::from_random([2; 20]), offset: 100 });
        log.activate();
        log.append_raw(b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
        let at = log.offset();
        log.change_id(ReplicationId::from_random([3; 20]));
        write(&log, 3, &[&[b"A"]]);
        assert_eq!(read(&log, at), "*2 $6 SELECT $1 3 *1 $1 A ");
        let second = log.lock().backlog().second().unwrap();
        assert_eq!((second.id, second.offset), (ReplicationId::from_random([2; 20]), at));
    }

    #[test]
    fn what_a_replica_changes_of_its_own_is_not_logged() {
        let log = log();
        log.activate();
        let mut effects = Effects::new(Logging::Foreign);
        effects.append(0, &[b"SET", b"a", b"1"]);
        effects.changed();
        effects.settle(0, &[b"SET", b"a", b"1"]);
        log.append(&effects);
        assert_eq!(log.offset(), 0);
    }
}
