//! One Eave process for a test: started on free ports, asked to end, and judged by how it did.
//!
//! Left out on purpose: servers for measurements; `bench` pins and times its own.

use std::fs::File;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// A debug build under load on two cores starts in well under this.
const START: Duration = Duration::from_secs(20);

/// How long an orderly shutdown may take before it is a failure.
const STOP: Duration = Duration::from_secs(20);

/// The token that the server of a test is given.
pub(crate) const TOKEN: &str = "token-of-the-tests";

/// A running server; killed when dropped without [`Server::stop`].
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
    pub(crate) resp_port: u16,
    pub(crate) rest_port: u16,
}

impl Server {
    /// Starts `binary` on two free ports of the loopback address and waits until both answer.
    ///
    /// # Errors
    /// When it cannot be started, ends at once, or does not listen in time; the error
    /// holds the end of its log.
    pub(crate) fn start(binary: &Path, name: &str, options: &[String]) -> Result<Self> {
        Self::start_as(Command::new(binary), name, options)
    }

    /// Likewise, one that does not hear the Ctrl-C of its starter's terminal.
    ///
    /// # Errors
    /// Likewise.
    pub(crate) fn start_alone(binary: &Path, name: &str, options: &[String]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.process_group(0);
        Self::start_as(command, name, options)
    }

    fn start_as(mut command: Command, name: &str, options: &[String]) -> Result<Self> {
        let (resp_port, rest_port) = (process::free_port()?, process::free_port()?);
        let log = process::scratch()?.join(format!("{name}.server.log"));
        let output = File::create(&log)?;
        let child = command
            .args(["--bind", "127.0.0.1", "--rest-token", TOKEN])
            .args(["--port", &resp_port.to_string(), "--rest-port", &rest_port.to_string()])
            .args(options)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", process::shown(&command)))?;
        let mut server = Self { child, log, resp_port, rest_port };
        server.wait_until_it_listens()?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = process::now() + START;
        for port in [self.resp_port, self.rest_port] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                if let Some(status) = self.child.try_wait()? {
                    bail!("the server ended with {status}:\n{}", self.log_tail());
                }
                if process::now() > deadline {
                    bail!("the server does not listen on {port}:\n{}", self.log_tail());
                }
                process::pause(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// What a client test is told: where the server is, and the token.
    pub(crate) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("EAVE_RESP_PORT", self.resp_port.to_string()),
            ("EAVE_REST_URL", format!("http://127.0.0.1:{}", self.rest_port)),
            ("EAVE_REST_TOKEN", TOKEN.to_owned()),
        ]
    }

    /// Asks the server to end.
    ///
    /// # Errors
    /// When it has already ended, does not end in time, or not with status 0.
    pub(crate) fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended by itself with {status}:\n{}", self.log_tail());
        }
        process::terminate(&self.child)?;
        match process::wait_within(&mut self.child, STOP)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the server ended with {status}:\n{}", self.log_tail()),
            None => bail!("the server did not end on SIGTERM:\n{}", self.log_tail()),
        }
    }

    fn log_tail(&self) -> String {
        tail(&self.log, 20)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail on a server that has been waited for, which is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log, or nothing when it cannot be read.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
