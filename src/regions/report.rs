//! What nodes tell each other of shared limits, as bytes.
//!
//! Numbers are little-endian. A head (version, who, when, what it has heard), the nodes that it
//! knows, then limits until the end: database, key, span, and for each bucket and node two
//! counts. All of it is checked before any of it counts; a decoder holds no more than what
//! was sent.

use eave_ratelimit::regions::{Count, Counts, MAX_NODES, Node, Span};
use eave_replication::greeting::{REGION_BYTES, is_region};

use super::Board;
use super::peers::Peers;
use crate::limits::{REGION_KEY_BYTES, REGION_REPORT_BYTES, REGION_REPORT_LIMITS};

/// The version of this form.
const FORM: u8 = 1;

/// An age that is not known.
const UNKNOWN: u32 = u32::MAX;

/// The bytes are no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a report of shared limits is broken")]
pub struct Broken;

/// Everything but the counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Who says so.
    pub from: Node,
    /// Its region, or another name.
    pub region: String,
    /// When, by its own clock.
    pub stamp_ms: u64,
    /// The stamp that the receiver has sent last, 0 for none, and how long ago that came in.
    pub echo_ms: u64,
    /// See there.
    pub held_ms: u64,
    /// The oldest that its knowledge was of late.
    pub worst_ms: u64,
    /// The node whose versions `since` are of, and the one up to which it has heard all.
    pub knows: Node,
    /// See there.
    pub since: u64,
    /// Up to which of the sender's versions the receiver has all with this report.
    pub upto: u64,
    /// Whether that is all that there was.
    pub complete: bool,
    /// Whom it has heard of, by which name, and how old that is.
    pub nodes: Vec<(Node, String, Option<u64>)>,
}

/// A limit as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// The database.
    pub db: u32,
    /// The key.
    pub key: &'a [u8],
    /// How its window is cut.
    pub span: Span,
    counts: &'a [u8],
}

const COUNT_BYTES: usize = 4 * 8;

impl Told<'_> {
    /// Its counts.
    pub fn counts(&self) -> impl Iterator<Item = Count> {
        self.counts.as_chunks::<COUNT_BYTES>().0.iter().map(|bytes| {
            let words = bytes.as_chunks::<8>().0;
            let [bucket, node, taken, returned] =
                std::array::from_fn(|at| words.get(at).map_or(0, |word| u64::from_le_bytes(*word)));
            Count { bucket, node, taken, returned }
        })
    }
}

/// Fills in whom this node has heard of.
pub fn nodes(peers: &Peers, now_ms: u64) -> Vec<(Node, String, Option<u64>)> {
    peers.all().map(|(id, peer)| (id, peer.region.clone(), peer.staleness_ms(now_ms))).collect()
}

/// Writes a report with what has changed on the board behind version `since`. Of the head,
/// `upto` and `complete` are said by what found room.
pub fn write(board: &Board, mut head: Head, since: u64) -> (Vec<u8>, Head) {
    let changed = board.changed(since, REGION_REPORT_LIMITS);
    let mut limits = Vec::new();
    (head.upto, head.complete) = (changed.upto, changed.all);
    let mut last = since;
    for (version, db, key) in changed.keys {
        if limits.len() >= REGION_REPORT_BYTES {
            (head.upto, head.complete) = (last, false);
            break;
        }
        board.told(db, &key, |span, counts| encode_limit(&mut limits, (db, &key, span), counts));
        last = version;
    }
    let mut bytes = encode(&head);
    bytes.extend(limits);
    (bytes, head)
}

fn encode_limit(bytes: &mut Vec<u8>, (db, key, span): (usize, &[u8], Span), counts: &Counts) {
    let (bucket_ms, buckets) = span.parts();
    // All of these were checked when they came in.
    bytes.extend_from_slice(&u32::try_from(db).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&bucket_ms.to_le_bytes());
    bytes.push(u8::try_from(buckets).unwrap_or(u8::MAX));
    let count = u32::try_from(counts.all().count()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
    for Count { bucket, node, taken, returned } in counts.all() {
        for word in [bucket, node, taken, returned] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
}

fn encode(head: &Head) -> Vec<u8> {
    let mut bytes = vec![FORM];
    let Head { from, stamp_ms, echo_ms, held_ms, worst_ms, knows, since, upto, .. } = *head;
    for word in [from, stamp_ms, echo_ms, held_ms, worst_ms, knows, since, upto] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.push(head.complete.into());
    encode_name(&mut bytes, &head.region);
    let nodes = &head.nodes[..head.nodes.len().min(MAX_NODES)];
    bytes.push(u8::try_from(nodes.len()).unwrap_or(u8::MAX));
    for (id, region, age) in nodes {
        bytes.extend_from_slice(&id.to_le_bytes());
        encode_name(&mut bytes, region);
        let age = age.map_or(UNKNOWN, |age| u32::try_from(age).unwrap_or(UNKNOWN));
        bytes.extend_from_slice(&age.to_le_bytes());
    }
    bytes
}

fn encode_name(bytes: &mut Vec<u8>, name: &str) {
    let name = &name.as_bytes()[..name.len().min(REGION_BYTES)];
    bytes.push(name.len() as u8);
    bytes.extend_from_slice(name);
}

/// Reads a report; what it says of limits is whole, but may be any numbers.
///
/// # Errors
/// When it is none.
pub fn read(bytes: &[u8]) -> Result<(Head, Vec<Told<'_>>), Broken> {
    let mut input = Input(bytes);
    if input.byte()? != FORM {
        return Err(Broken);
    }
    let mut word = || input.word();
    let mut head = Head {
        from: word()?,
        stamp_ms: word()?,
        echo_ms: word()?,
        held_ms: word()?,
        worst_ms: word()?,
        knows: word()?,
        since: word()?,
        upto: word()?,
        ..Head::default()
    };
    head.complete = input.byte()? == 1;
    head.region = input.name()?;
    let nodes = usize::from(input.byte()?);
    if head.from == 0 || nodes > MAX_NODES {
        return Err(Broken);
    }
    for _ in 0..nodes {
        let (id, region) = (input.word()?, input.name()?);
        let age = u32::from_le_bytes(input.array()?);
        head.nodes.push((id, region, (age != UNKNOWN).then(|| age.into())));
    }
    let mut limits = Vec::new();
    while !input.0.is_empty() {
        limits.push(input.limit()?);
    }
    Ok((head, limits))
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        self.take(N)?.try_into().map_err(|_| Broken)
    }

    fn byte(&mut self) -> Result<u8, Broken> {
        Ok(self.array::<1>()?[0])
    }

    fn word(&mut self) -> Result<u64, Broken> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn name(&mut self) -> Result<String, Broken> {
        let length = self.byte()?;
        let name = self.take(length.into())?;
        if !is_region(name) {
            return Err(Broken);
        }
        Ok(String::from_utf8_lossy(name).into_owned())
    }

    fn limit(&mut self) -> Result<Told<'a>, Broken> {
        let db = u32::from_le_bytes(self.array()?);
        let length = usize::from(u16::from_le_bytes(self.array()?));
        if length > REGION_KEY_BYTES {
            return Err(Broken);
        }
        let key = self.take(length)?;
        let bucket_ms = self.word()?;
        let span = Span::new(bucket_ms, self.byte()?.into()).ok_or(Broken)?;
        let count = usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| Broken)?;
        let counts = self.take(count.checked_mul(COUNT_BYTES).ok_or(Broken)?)?;
        Ok(Told { db, key, span, counts })
    }
}
