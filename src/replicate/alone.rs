//! What a leader did alone after another had taken over: kept in a file when it is given up.
//!
//! Once this node follows the new leader, what it has written behind the place where the new
//! history began is of no history that goes on. Before the full copy replaces the data, those
//! commands are read from the backlog and written into a file in `dir`, as RESP, so that somebody
//! can look at them, or send them again with `redis-cli --pipe`. The file is bounded, and so is
//! what the backlog still has; what is missing is said.

use std::io;
use std::path::PathBuf;

use eave_replication::epoch;
use eave_replication::greeting::Greeting;

use crate::limits::ALONE_BYTES;
use crate::node::Node;
use crate::resp::request::Decoded;
use crate::resp::{RequestDecoder, RequestLimits};

/// How a SELECT begins in the log.
const SELECT: &[u8] = b"*2\r\n$6\r\nSELECT\r\n";

/// What this node has given up last; zeros if nothing.
#[derive(Clone, Debug, Default)]
pub struct Alone {
    /// Commands, without those that change nothing.
    commands: u64,
    /// Bytes of the log.
    bytes: u64,
    /// Of these, how many the file has.
    saved: u64,
    file: Option<PathBuf>,
}

impl Alone {
    /// The lines of INFO.
    pub(super) fn info_lines(&self, mut put: impl FnMut(&str, String)) {
        put("eave_diverged_commands", self.commands.to_string());
        put("eave_diverged_bytes", self.bytes.to_string());
        put("eave_diverged_bytes_saved", self.saved.to_string());
        let file = self.file.as_ref().map(|file| file.display().to_string());
        put("eave_diverged_file", file.unwrap_or_default());
    }
}

/// Keeps what this node did alone, if the leader that it follows now says so.
pub(super) async fn keep(node: &Node, leader: Option<&Greeting>) {
    let Some(leader) = leader else { return };
    let mut text = Vec::new();
    let (at, range) = {
        let mut log = node.log.lock();
        let backlog = log.backlog();
        let at = backlog.position();
        let Some(range) = epoch::alone(at, leader) else { return };
        let held = backlog.start().is_some_and(|start| start <= range.start);
        if held {
            if let Some(select) = selected_before(backlog, range.start) {
                text.extend(select);
            }
            let most = usize::try_from(ALONE_BYTES).unwrap_or(usize::MAX);
            backlog.read(range.start, most, &mut text);
        }
        (at, range)
    };
    let bytes = range.end - range.start;
    let (commands, whole) = count(&text);
    text.truncate(whole);
    let name = format!("eave-diverged-{}-{}-{}.resp", at.id, range.start, range.end);
    let path = PathBuf::from(node.config.load().dir.clone()).join(name);
    let saved = text.len() as u64;
    let (writing, target) = (text, path.clone());
    let written = in_background(move || write(&target, &writing)).await;
    let file = match written {
        _ if saved == 0 => None,
        Ok(()) => Some(path),
        Err(error) => {
            tracing::error!("{} cannot be written: {error}", path.display());
            None
        }
    };
    tracing::error!(
        "{commands} commands ({bytes} bytes of the log, from offset {} on) were written here after \
         another node had taken over, and are given up; {}",
        range.start,
        match &file {
            Some(file) if saved >= bytes => format!("they are in {}", file.display()),
            Some(file) => format!("the first {saved} bytes are in {}", file.display()),
            None => "they could not be kept".to_owned(),
        }
    );
    let saved = if file.is_some() { saved } else { 0 };
    *node.replication.alone.lock() = Alone { commands, bytes, saved, file };
}

/// The last SELECT in front of `offset`, if the backlog still has it.
fn selected_before(backlog: &eave_replication::Backlog, offset: u64) -> Option<Vec<u8>> {
    let start = backlog.start()?;
    let mut before = Vec::new();
    backlog.read(start, usize::try_from(offset - start).ok()?, &mut before)?;
    let at = memchr::memmem::rfind(&before, SELECT)?;
    let mut decoder = RequestDecoder::default();
    match decoder.decode(&before[at..], &LIMITS) {
        Ok(Decoded::Request(length)) => Some(before[at..at + length].to_vec()),
        _ => None,
    }
}

/// How many commands change something, and how many bytes are whole commands.
fn count(text: &[u8]) -> (u64, usize) {
    const IDLE: [&[u8]; 7] =
        [b"PING", b"SELECT", b"REPLCONF", b"MULTI", b"EXEC", b"PUBLISH", b"SPUBLISH"];
    let (mut decoder, mut commands, mut at) = (RequestDecoder::default(), 0, 0);
    while let Ok(Decoded::Request(length)) = decoder.decode(&text[at..], &LIMITS) {
        let name = decoder.arguments(&text[at..]).next().unwrap_or_default();
        if !IDLE.iter().any(|idle| name.eq_ignore_ascii_case(idle)) {
            commands += 1;
        }
        at += length;
    }
    (commands, at)
}

/// Does what takes long where it keeps nobody waiting; in a simulation there and then, since when
/// a thread comes to its end is nobody's to choose.
async fn in_background(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    if cfg!(feature = "simulation") {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn write(path: &std::path::Path, text: &[u8]) -> io::Result<()> {
    if text.is_empty() { Ok(()) } else { std::fs::write(path, text) }
}

const LIMITS: RequestLimits = super::apply::LIMITS;
