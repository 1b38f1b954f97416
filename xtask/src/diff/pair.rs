//! The two servers of a run, and a connection to each.
//!
//! Left out on purpose: reading with a thread of its own. A batch is small enough for the
//! kernel's buffers, so writing all of it never waits for a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::added::Added;
use super::compare::Past;
use super::grammar::FAMILIES;
use super::reply::{self, Reply};
use crate::process;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(20);

/// How long a reply may take: a debug build on a busy machine needs a fraction of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A whole reply as it came; nothing when the connection ended, or nothing came in time.
pub(super) type Answer = Option<Vec<u8>>;

/// A server of ours; killed when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(binary: &Path, log: &Path, allocator: &str) -> Result<Self> {
        let port = process::free_port()?;
        let name = binary.file_name().unwrap_or_default().to_string_lossy();
        let redis = name.contains("redis") || name.contains("valkey");
        let own: &[&str] = if redis {
            &["--save", "", "--appendonly", "no"]
        } else {
            // Redis' default, on which the limits of LCS and of bits depend.
            &["--rest-port", "0", "--proto-max-bulk-len", "512mb"]
        };
        let output = File::create(log)?;
        let child = Command::new(binary)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(own)
            // SORT ALPHA follows the locale.
            .env("LC_ALL", "C")
            .env("MALLOC_CONF", allocator)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut server = Self { child, port };
        let deadline = process::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{} ended with {status}; see {}", binary.display(), log.display());
            }
            if process::now() > deadline {
                bail!("{} does not listen on {port}", binary.display());
            }
            process::pause(Duration::from_millis(10));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only on a server that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with its program, so that it can be started again, and a connection.
pub(super) struct Side {
    binary: PathBuf,
    log: PathBuf,
    server: Server,
    stream: TcpStream,
    /// What was read beyond the last reply.
    read: Vec<u8>,
    /// Whether something has come that is no RESP.
    garbled: bool,
    /// What jemalloc is told where the server uses it.
    allocator: &'static str,
}

impl Side {
    fn start(binary: &Path, role: &str) -> Result<Self> {
        let log = process::scratch()?.join(format!("diff.{}.{role}.log", std::process::id()));
        let server = Server::start(binary, &log, "")?;
        let stream = connect(server.port)?;
        Ok(Self {
            binary: binary.to_path_buf(),
            log,
            server,
            stream,
            read: Vec::new(),
            garbled: false,
            allocator: "",
        })
    }

    /// A new connection of this protocol, and a new server where the old one has ended. One
    /// that has crashed takes its time to write a report: until it has ended, it may accept
    /// connections or refuse them, but does not answer.
    pub(super) fn renew(&mut self, resp3: bool) -> Result<()> {
        let version = if resp3 { "3" } else { "2" };
        for _ in 0..600 {
            if self.server.child.try_wait()?.is_some() {
                self.server = Server::start(&self.binary, &self.log, self.allocator)?;
            }
            self.read.clear();
            if let Ok(stream) = connect(self.server.port) {
                self.stream = stream;
                match self.ask(&["HELLO", version])? {
                    Reply::Map(_) | Reply::Array(_) => return Ok(()),
                    Reply::Silence(_) => {}
                    other => bail!("{} refuses HELLO: {other:?}", self.name()),
                }
            }
            process::pause(Duration::from_millis(100));
        }
        bail!("{} does not answer", self.name())
    }

    /// Whether the server is of no use any more: it has ended, or does so within a minute (on a
    /// busy machine a report of a crash takes its time), or answers nobody until then, or has
    /// sent what is no RESP. It is made to end, so that the next one starts anew.
    pub(super) fn is_lost(&mut self) -> Result<bool> {
        for _ in 0..60 {
            if self.server.child.try_wait()?.is_some() {
                return Ok(true);
            }
            if self.garbled {
                break;
            }
            if self.answers() {
                return Ok(false);
            }
            process::pause(Duration::from_millis(100));
        }
        self.end();
        Ok(true)
    }

    /// Whether a new client is answered within a second.
    fn answers(&self) -> bool {
        let ping = || -> Result<bool> {
            let mut stream = connect(self.server.port)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            stream.write_all(b"PING\r\n")?;
            let mut pong = [0; 7];
            stream.read_exact(&mut pong)?;
            Ok(&pong == b"+PONG\r\n")
        };
        ping().unwrap_or(false)
    }

    /// Ends the server; [`Side::renew`] starts another.
    pub(super) fn end(&mut self) {
        self.end_for("");
    }

    /// Likewise; jemalloc is told this in the next one, which changes what lies beside what.
    pub(super) fn end_for(&mut self, allocator: &'static str) {
        let _ = self.server.child.kill();
        let _ = self.server.child.wait();
        self.garbled = false;
        self.allocator = allocator;
    }

    /// Sends bytes; a server that has gone is noticed when its reply is read.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next reply; nothing when the connection has ended, or nothing comes.
    ///
    /// # Errors
    /// When the server sends something else than RESP.
    pub(super) fn receive(&mut self) -> Result<Answer> {
        let mut chunk = [0; 64 * 1024];
        loop {
            let length = reply::length(&self.read).map_err(|error| {
                self.garbled = true;
                anyhow::anyhow!("{}: {error}", self.name())
            })?;
            if let Some(length) = length {
                let rest = self.read.split_off(length);
                return Ok(Some(std::mem::replace(&mut self.read, rest)));
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.read.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// One command and its reply.
    ///
    /// # Errors
    /// As [`Side::receive`].
    pub(super) fn ask<T: AsRef<[u8]>>(&mut self, arguments: &[T]) -> Result<Reply> {
        let mut request = Vec::new();
        reply::encode(arguments, &mut request);
        self.send(&request);
        match self.receive()? {
            None => Ok(Reply::Silence("closed, or nothing in time")),
            Some(bytes) => reply::parse(&bytes).map_err(|error| anyhow::anyhow!(error)),
        }
    }

    pub(super) fn name(&self) -> String {
        self.binary.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The oracle and the one that is held against it.
pub(super) struct Pair {
    pub(super) redis: Side,
    pub(super) eave: Side,
    /// The directives that both know, with redis-server's defaults.
    defaults: BTreeMap<String, String>,
    commands: BTreeSet<String>,
    /// What was sent since the last reset.
    pub(super) past: Past,
    /// What was added to streams since then.
    pub(super) added: Added,
}

impl Pair {
    /// Starts both.
    ///
    /// # Errors
    /// When one does not start or does not tell its commands.
    pub(super) fn start(eave: &Path) -> Result<Self> {
        let redis = Side::start(Path::new("redis-server"), "redis")?;
        let eave = Side::start(eave, "eave")?;
        let (defaults, commands) = (BTreeMap::new(), BTreeSet::new());
        let (past, added) = (Past::default(), Added::default());
        let mut pair = Self { redis, eave, defaults, commands, past, added };
        pair.commands = &commands_of(&mut pair.redis)? & &commands_of(&mut pair.eave)?;
        let names: BTreeSet<&str> =
            FAMILIES.iter().flat_map(|family| family.directives).map(|(name, _)| *name).collect();
        for name in names {
            let Some(value) = directive(&mut pair.redis, name)? else { continue };
            let set = ["CONFIG", "SET", name, &value];
            if matches!(pair.eave.ask(&set)?, Reply::Status(_)) {
                pair.defaults.insert(name.to_owned(), value);
            }
        }
        Ok(pair)
    }

    /// Names of the commands that both know.
    pub(super) fn commands(&self) -> &BTreeSet<String> {
        &self.commands
    }

    /// Does as if a server did not know these commands.
    pub(super) fn forget(&mut self, names: &[String]) {
        self.commands.retain(|name| !names.iter().any(|other| other.eq_ignore_ascii_case(name)));
    }

    /// Names of the directives that both know.
    pub(super) fn directives(&self) -> BTreeSet<String> {
        self.defaults.keys().cloned().collect()
    }

    /// New connections to empty servers with their defaults.
    ///
    /// # Errors
    /// When a server does not come back, or refuses.
    pub(super) fn reset(&mut self, resp3: bool) -> Result<()> {
        self.past = Past::default();
        self.added = Added::default();
        for side in [&mut self.redis, &mut self.eave] {
            side.renew(resp3)?;
        }
        self.empty()
    }

    /// Takes all keys away and sets the defaults.
    ///
    /// # Errors
    /// When a server refuses.
    pub(super) fn empty(&mut self) -> Result<()> {
        for side in [&mut self.redis, &mut self.eave] {
            let flushed = side.ask(&["FLUSHALL"])?;
            if flushed != Reply::Status(b"OK".to_vec()) {
                bail!("{} answered FLUSHALL with {flushed:?}", side.name());
            }
            for (name, value) in &self.defaults {
                side.ask(&["CONFIG", "SET", name, value])?;
            }
        }
        Ok(())
    }

    /// The same commands to both, before any reply is read.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.redis.send(bytes);
        self.eave.send(bytes);
    }

    /// The next reply of each.
    ///
    /// # Errors
    /// As [`Side::receive`].
    pub(super) fn receive(&mut self) -> Result<(Answer, Answer)> {
        Ok((self.redis.receive()?, self.eave.receive()?))
    }
}

fn commands_of(side: &mut Side) -> Result<BTreeSet<String>> {
    let Reply::Array(all) = side.ask(&["COMMAND"])? else {
        bail!("{} does not tell its commands", side.name());
    };
    let mut names = BTreeSet::new();
    for one in all {
        let Reply::Array(parts) = one else { continue };
        if let Some(Reply::Text(name) | Reply::Status(name)) = parts.first() {
            names.insert(String::from_utf8_lossy(name).to_ascii_uppercase());
        }
    }
    Ok(names)
}

fn directive(side: &mut Side, name: &str) -> Result<Option<String>> {
    let reply = side.ask(&["CONFIG", "GET", name])?;
    let Reply::Array(pair) = reply else { return Ok(None) };
    let Some(Reply::Text(value)) = pair.get(1) else { return Ok(None) };
    Ok(Some(String::from_utf8_lossy(value).into_owned()))
}
