//! A server to be measured: how it is started, and the handle it is ended through.
//!
//! Left out on purpose: an orderly shutdown; what is measured keeps nothing.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cores::Cores;
use crate::process;

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(10);

/// Whose options a program takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Eave,
    Redis,
}

/// A program to be measured.
pub(super) struct Subject {
    pub(super) binary: PathBuf,
    pub(super) kind: Kind,
}

impl Subject {
    /// The system's redis-server.
    pub(super) fn redis() -> Self {
        Self { binary: PathBuf::from("redis-server"), kind: Kind::Redis }
    }

    /// Any program; its name tells whose options it takes.
    pub(super) fn at(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let redis = name.contains("redis") || name.contains("valkey");
        Self { binary: path.to_path_buf(), kind: if redis { Kind::Redis } else { Kind::Eave } }
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let common = ["--bind", "127.0.0.1", "--port"].map(str::to_owned);
        let own: &[&str] = match self.kind {
            Kind::Eave => &["--rest-port", "0"],
            // In memory only, which is what both then are.
            Kind::Redis => &["--save", "", "--appendonly", "no"],
        };
        let mut all = Vec::from(common);
        all.push(port.to_string());
        all.extend(own.iter().map(|word| (*word).to_owned()));
        all
    }

    /// Starts it on the servers' core and waits until it listens.
    ///
    /// # Errors
    /// When it cannot be started or does not listen.
    pub(super) fn start(&self, cores: &Cores) -> Result<Running> {
        self.start_with(cores, &[])
    }

    /// Likewise, with further options.
    ///
    /// # Errors
    /// When it cannot be started or does not listen.
    pub(super) fn start_with(&self, cores: &Cores, options: &[&str]) -> Result<Running> {
        self.start_on(cores.server, options)
    }

    /// Likewise, on the core of this number.
    ///
    /// # Errors
    /// When it cannot be started or does not listen.
    pub(super) fn start_on(&self, core: u32, options: &[&str]) -> Result<Running> {
        let port = process::free_port()?;
        let child = Cores::pinned(core, &self.binary)
            .args(self.arguments(port))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let mut running = Running { child, port, name: self.name() };
        running.wait_until_it_listens()?;
        Ok(running)
    }

    fn name(&self) -> String {
        self.binary.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A started server; killed when dropped.
pub(super) struct Running {
    child: Child,
    name: String,
    pub(super) port: u16,
}

impl Running {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it refuses.
    pub(super) fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))
            .with_context(|| format!("connecting to {}", self.name))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = process::now() + START;
        while self.connect().is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}", self.name);
            }
            if process::now() > deadline {
                bail!("{} does not listen on {}", self.name, self.port);
            }
            process::pause(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only on a server that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
