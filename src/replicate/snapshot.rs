//! A full copy: the keyspace as it was in one instant, as an RDB stream, while writes go on.
//!
//! Each shard is serialized by whoever comes first, this task or a writer (see `keyspace::cut`);
//! its keys are written in sections, those that redis-server 7.0 can read and those that only
//! Eave can. So one cut serves both kinds of followers, each with its own form of the stream. The parts go
//! to all receivers at the pace of the slowest; one that takes nothing is cut off by the
//! leader's machine.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use eave_replication::Position;
use eave_replication::leader::{CloseReason, Event, SnapshotId};
use eave_replication::payload::EofMark;
use eave_replication::wire::Capabilities;

use super::outlet::{self, Receiver};
use crate::archive::{self, Sink};
use crate::clock;
use crate::config::Config;
use crate::keyspace::cut::Cut;
use crate::keyspace::usage::{Noted, Tick, Usage};
use crate::keyspace::{Count, Entry, Kind, NEVER, Shard};
use crate::node::Node;
use crate::observe::info::REDIS_VERSION;
use crate::rdb::{
    self, Checksum, Compression, Encode, KeyMeta, Preamble, Purpose, StreamPosition, Writer,
};
use crate::rules::carry;
use crate::script::library::Set;

/// Bytes that are gathered before they are sent on.
const PART_BYTES: usize = 256 * 1024;

/// Time before a shard that somebody holds is tried again.
const PAUSE: Duration = Duration::from_micros(200);

/// A piece of a snapshot on its way to a follower.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// The next bytes; followers share them.
    Bytes(Arc<Vec<u8>>),
    /// All bytes have come.
    End,
}

/// Which types a follower knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Redis' own.
    Plain,
    /// Those and Eave's.
    Eave,
}

impl Form {
    /// The form for a follower that can do this.
    pub(super) fn of(capabilities: Capabilities) -> Form {
        if capabilities.eave { Form::Eave } else { Form::Plain }
    }
}

/// Makes the snapshots that are asked for until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut wanted = node.replication.outlets.wanted_snapshot();
    loop {
        tokio::select! {
            biased;
            () = node.shutdown.cancelled() => return,
            changed = wanted.changed() => if changed.is_err() { return },
        }
        let Some(id) = *wanted.borrow_and_update() else { continue };
        // In a task of its own, so that a panic in it is the end of this snapshot only.
        let made = tokio::spawn(make(Arc::clone(&node), id));
        let stop = made.abort_handle();
        let made = tokio::select! {
            biased;
            made = made => made,
            () = node.shutdown.cancelled() => return stop.abort(),
        };
        if made.is_err() {
            tracing::error!("a full copy ended by a bug in this server");
            outlet::step(&node, Event::SnapshotFailed(id));
        }
    }
}

/// Makes one snapshot and sends it to all who wait for it.
async fn make(node: Arc<Node>, id: SnapshotId) {
    let start = clock::monotonic_ms();
    let (cut, instant) = begin(&node).await;
    let position = instant.position;
    let cut = OpenCut { node: &node, cut };
    let mut random = [0; 20];
    clock::secret_bytes(&mut random);
    let mark = EofMark::from_random(random);
    let receivers = outlet::step(&node, Event::SnapshotCut { snapshot: id, position, mark });
    let mut sender = Sender::new(receivers);
    tracing::info!(
        "full copy begins at offset {}, replicas: {}",
        position.offset,
        sender.receivers.len()
    );
    sender.add(&preamble(&node, &instant));
    for fact in rules(&node).await {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes, Compression::None).aux(carry::FACT, &fact);
        sender.add(&bytes);
        sender.flush(PART_BYTES, &node, &cut.cut).await;
    }
    sender.add(&contents(&node, &instant));
    copy(&node, &cut.cut, &mut sender).await;
    sender.end(&node, &cut.cut).await;
    let (_, peak) = cut.cut.held();
    let took = clock::monotonic_ms().saturating_sub(start);
    tracing::info!(
        "full copy made: {} bytes in {took} ms, at most {peak} bytes of it were held back",
        sender.bytes
    );
}

/// What belongs to the instant of a cut.
struct Instant {
    position: Position,
    /// The database that the stream's next command is about, unless it names one.
    db: usize,
    libraries: Arc<Set>,
}

/// Cuts the keyspace, as soon as nobody holds a shard of it.
async fn begin(node: &Node) -> (Arc<Cut>, Instant) {
    loop {
        let config = node.config.load();
        let (serialize, most) = (serialize_for(&config), config.repl_snapshot_memory);
        let cut = {
            // What comes from a leader changes the keyspace first and the log behind that, both
            // with this locked.
            let term = node.replication.term.lock();
            node.keyspace.begin_cut(serialize, most, || {
                node.log.activate();
                Instant {
                    position: node.log.lock().backlog().position(),
                    db: term.db,
                    libraries: node.scripts.libraries.set(),
                }
            })
        };
        match cut {
            Ok(begun) => return begun,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Ends its cut however its task ends.
struct OpenCut<'a> {
    node: &'a Node,
    cut: Arc<Cut>,
}

impl Drop for OpenCut<'_> {
    fn drop(&mut self) {
        self.node.keyspace.end_cut(&self.cut);
        self.node.replication.copying.ended();
    }
}

/// Copies shard after shard, as long as somebody wants them.
async fn copy(node: &Node, cut: &Cut, sender: &mut Sender) {
    let mut step = 0;
    while !sender.receivers.is_empty() {
        match node.keyspace.copy_step(cut, step) {
            Ok(true) => step += 1,
            Ok(false) => break,
            Err(_) => {
                // Who holds it may wait for what is held back.
                sender.take(node, cut).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
        // A shard of a thousand keys takes some hundred microseconds, sending it some more, and
        // both in one would be felt by those whose requests wait for this worker.
        tokio::task::yield_now().await;
        node.replication.copying.now(cut, step, sender.bytes);
        sender.take(node, cut).await;
        tokio::task::yield_now().await;
    }
    sender.take(node, cut).await;
    node.replication.copying.now(cut, step, sender.bytes);
}

/// Named rules of rate limits, and their lists, as facts. There may be millions, so they are read on
/// a thread of their own, and after the instant of the cut, with which nobody waits for them: what has
/// changed since is in the log too, and doing it again comes to the same.
async fn rules(node: &Arc<Node>) -> Vec<Vec<u8>> {
    let now = clock::unix_ms();
    if cfg!(feature = "simulation") {
        return carry::facts(&node.keyspace.rules, now);
    }
    let of = Arc::clone(node);
    let facts = tokio::task::spawn_blocking(move || carry::facts(&of.keyspace.rules, now));
    // A panic there is one here.
    facts.await.expect("the rules are told")
}

/// What stands first: facts about the file.
fn preamble(node: &Node, instant: &Instant) -> Vec<u8> {
    let Instant { position, db, .. } = instant;
    let id = position.id.to_string();
    // `databases` is a directive of 32 bits.
    let database = u32::try_from(*db).unwrap_or(u32::MAX);
    let mut bytes = Vec::new();
    Writer::new(&mut bytes, Compression::None).preamble(&Preamble {
        redis_version: REDIS_VERSION,
        created_at_s: clock::unix_ms() / 1000,
        used_memory_bytes: node.memory.used(),
        position: Some(StreamPosition { database, replication_id: &id, offset: position.offset }),
        purpose: Purpose::Snapshot,
    });
    bytes
}

/// What stands before the keys: the libraries, and how many keys will come.
fn contents(node: &Node, instant: &Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, Compression::None);
    for library in instant.libraries.libraries.values() {
        writer.function(&library.code);
    }
    for db in node.keyspace.used_databases() {
        let Count { keys, expiring } = node.keyspace.count(db);
        if keys == 0 {
            continue;
        }
        writer.select_db(u32::try_from(db).unwrap_or(u32::MAX));
        writer.resize_db(keys as u64, expiring as u64);
    }
    bytes
}

/// One form of the stream, and who gets it.
#[derive(Debug)]
struct Stream {
    form: Form,
    checksum: Checksum,
    pending: Vec<u8>,
}

impl Stream {
    fn add(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.pending.extend_from_slice(bytes);
    }
}

/// Puts the parts together, in each form that somebody wants.
#[derive(Debug)]
struct Sender {
    receivers: Vec<Receiver>,
    streams: Vec<Stream>,
    /// Bytes sent, of all forms.
    bytes: u64,
    patience: Patience,
}

impl Sender {
    fn new(receivers: Vec<Receiver>) -> Sender {
        let wanted = |form: &Form| receivers.iter().any(|receiver| receiver.form == *form);
        let streams = [Form::Plain, Form::Eave].into_iter().filter(wanted);
        let streams = streams
            .map(|form| Stream { form, checksum: Checksum::new(), pending: Vec::new() })
            .collect();
        Sender { receivers, streams, bytes: 0, patience: Patience::default() }
    }

    /// Adds what all forms have alike.
    fn add(&mut self, bytes: &[u8]) {
        for stream in &mut self.streams {
            stream.add(bytes);
        }
    }

    /// Takes what has been serialized, and sends it on when it is enough.
    async fn take(&mut self, node: &Node, cut: &Cut) {
        for part in cut.take_parts() {
            let (common, plain, eave) = sections(&part);
            for stream in &mut self.streams {
                stream.add(common);
                stream.add(if stream.form == Form::Eave { eave } else { plain });
            }
            self.flush(PART_BYTES, node, cut).await;
            cut.release(part.len());
        }
    }

    /// Ends the streams.
    async fn end(&mut self, node: &Node, cut: &Cut) {
        for stream in &mut self.streams {
            let mut end = Vec::new();
            Writer::new(&mut end, Compression::None).eof();
            stream.add(&end);
            stream.pending.extend_from_slice(&stream.checksum.trailer());
        }
        self.flush(1, node, cut).await;
        for receiver in std::mem::take(&mut self.receivers) {
            let _ = receiver.parts.send(Part::End).await;
        }
    }

    /// Sends what has gathered, where it is `enough` bytes. Who does not take it any longer is
    /// sent nothing more.
    async fn flush(&mut self, enough: usize, node: &Node, cut: &Cut) {
        let patience = &mut self.patience;
        for stream in &mut self.streams {
            if stream.pending.len() < enough {
                continue;
            }
            let bytes = Arc::new(std::mem::take(&mut stream.pending));
            self.bytes += bytes.len() as u64;
            let mut gone = Vec::new();
            for (index, receiver) in self.receivers.iter().enumerate() {
                let part = Part::Bytes(Arc::clone(&bytes));
                if receiver.form == stream.form && !patience.send(node, cut, receiver, part).await {
                    gone.push(index);
                }
            }
            for index in gone.into_iter().rev() {
                self.receivers.swap_remove(index);
            }
        }
    }
}

/// How long writers may be held up by those who take a copy slowly, in looks of `LOOK`: a second
/// of a copy altogether, and another for the next one that is slow.
const LOOKS: u32 = 20;

/// Time between two looks at who waits for whom.
const LOOK: Duration = Duration::from_millis(50);

/// Cuts those off that hold up writers: while the copy holds as much as it may, nobody can write to
/// what is still to be copied.
#[derive(Debug, Default)]
struct Patience {
    looks: u32,
    refused: u64,
}

impl Patience {
    /// Sends a part; answers whether the receiver has taken it.
    async fn send(&mut self, node: &Node, cut: &Cut, receiver: &Receiver, part: Part) -> bool {
        let mut sent = std::pin::pin!(receiver.parts.send(part));
        loop {
            match tokio::time::timeout(LOOK, &mut sent).await {
                Ok(sent) => return sent.is_ok(),
                Err(_) if self.is_over(cut) => {
                    tracing::warn!(
                        "a replica is cut off: it takes its full copy so slowly that writers have \
                         to wait; repl-snapshot-memory says how much may be held back for it"
                    );
                    self.looks = 0;
                    node.replication.copying.too_slow();
                    node.replication.outlets.close(receiver.follower, CloseReason::TooSlow);
                    return false;
                }
                Err(_) => {}
            }
        }
    }

    /// Whether writers have been held up for long enough.
    fn is_over(&mut self, cut: &Cut) -> bool {
        let refused = cut.refused();
        if cut.is_full() && refused > self.refused {
            self.looks += 1;
        }
        self.refused = refused;
        self.looks >= LOOKS
    }
}

/// Bytes in front of a part that tell the lengths of its first two sections.
const SECTION_HEADER: usize = 16;

/// Writes shards down, with of the uses of keys what the policy goes by, as Redis does.
fn serialize_for(config: &Config) -> impl Fn(usize, &Shard, &mut Vec<u8>) + Send + Sync + use<> {
    let (policy, scale) = (config.maxmemory_policy, config.usage_scale());
    let now = Tick::new(clock::unix_ms(), Noted::Last);
    move |db, shard, out| {
        serialize(db, shard, out, |usage| {
            if policy.is_lru() {
                Some(rdb::Usage::IdleSeconds(usage.idle_s(now).into()))
            } else if policy.is_lfu() {
                Some(rdb::Usage::Frequency(usage.frequency(now, scale)))
            } else {
                None
            }
        });
    }
}

/// Writes a shard down: the lengths of the first two sections, the keys that both forms of the
/// stream have alike, those that only the plain form has, those that only Eave's has. A hash
/// with fields that expire is in either form, each in its own way.
fn serialize(
    db: usize,
    shard: &Shard,
    out: &mut Vec<u8>,
    usage: impl Fn(Usage) -> Option<rdb::Usage>,
) {
    let start = out.len();
    out.extend_from_slice(&[0; SECTION_HEADER]);
    let special = |entry: &Entry| {
        matches!(entry.kind(), Kind::RateLimit | Kind::Json) || entry.parts_expire()
    };
    let common = section(db, shard, out, &usage, Form::Plain, |entry| !special(entry));
    let plain = section(db, shard, out, &usage, Form::Plain, Entry::parts_expire);
    out[start..start + 8].copy_from_slice(&common.to_le_bytes());
    out[start + 8..start + SECTION_HEADER].copy_from_slice(&plain.to_le_bytes());
    section(db, shard, out, &usage, Form::Eave, special);
}

/// A part's three sections.
fn sections(part: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (lengths, sections) = part.split_at(SECTION_HEADER.min(part.len()));
    let mut lengths = lengths.chunks_exact(8).map(|bytes| {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
    });
    let mut cut = |bytes: &[u8]| lengths.next().unwrap_or(0).min(bytes.len());
    let (common, rest) = sections.split_at(cut(sections));
    let (plain, eave) = rest.split_at(cut(rest));
    (common, plain, eave)
}

/// Writes those keys that belong here; answers how many bytes they are.
fn section(
    db: usize,
    shard: &Shard,
    out: &mut Vec<u8>,
    usage: impl Fn(Usage) -> Option<rdb::Usage>,
    form: Form,
    belongs: impl Fn(&Entry) -> bool,
) -> u64 {
    let start = out.len();
    let mut writer = Writer::new(out, Compression::None);
    let mut selected = false;
    for (entry, mark) in shard.table().iter_marked().filter(|(entry, _)| belongs(entry)) {
        if !selected {
            selected = true;
            // `databases` is a directive of 32 bits.
            writer.select_db(u32::try_from(db).unwrap_or(u32::MAX));
        }
        write(&mut writer, entry, usage(Usage::from_bits(mark)), form);
    }
    (out.len() - start) as u64
}

fn write(writer: &mut Writer<'_>, entry: &Entry, usage: Option<rdb::Usage>, form: Form) {
    let at = entry.expires_at();
    let expire_at_ms = (at != NEVER).then(|| i64::try_from(at).unwrap_or(i64::MAX));
    let meta = KeyMeta { expire_at_ms, usage };
    let mut key = Key { writer, name: entry.key(), meta };
    match form {
        Form::Plain => archive::save_plain(entry, &mut key),
        Form::Eave => archive::save(entry, &mut key),
    }
}

/// A key on its way into the copy.
struct Key<'a, 'w> {
    writer: &'a mut Writer<'w>,
    name: &'a [u8],
    meta: KeyMeta,
}

impl Sink for Key<'_, '_> {
    fn take<V: Encode>(&mut self, value: V) {
        self.writer.key(self.name, &self.meta, value);
    }
}
