//! Servers of their own for tests: Eave, or redis-server as the oracle, on free ports of
//! 127.0.0.1, ended when dropped.
//!
//! Left out on purpose: sharing. Starting takes some ten milliseconds, and a server that nobody
//! used before cannot have been left in a bad state.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::reply::Reply;
use super::resp::Connection;

/// The token that Eave's REST door is started with.
pub(crate) const REST_TOKEN: &str = "secret-test-token";

/// How long a server may take to accept connections: a loaded machine is slow.
const START_PAUSES: usize = 1000;
/// A free port can be taken by somebody else before the server binds it; then try another.
const START_ATTEMPTS: usize = 5;

/// Numbers the servers of this process, for the names of their directories.
static STARTED: AtomicUsize = AtomicUsize::new(0);

/// Which program to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Eave,
    Redis,
}

/// A running server and its directory.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    directory: PathBuf,
    /// Where it speaks RESP.
    pub(crate) resp: SocketAddr,
    /// Where it speaks REST; redis-server does not.
    pub(crate) rest: Option<SocketAddr>,
    password: Option<String>,
}

impl Server {
    /// Starts a server with further options (`["--requirepass", "secret"]`) and waits until it
    /// answers.
    pub(crate) fn start(program: Program, options: &[String]) -> Result<Server, String> {
        let mut last = String::new();
        for _ in 0..START_ATTEMPTS {
            match Server::attempt(program, options) {
                Ok(server) => return Ok(server),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Starts a server with a configuration file, which may ask for a password.
    pub(crate) fn start_with_file(program: Program, path: &str) -> Result<Server, String> {
        Server::start(program, &[path.to_owned()])
    }

    fn attempt(program: Program, options: &[String]) -> Result<Server, String> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("eave-test-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let (mut resp, other) = (free_address(), free_address());
        // A port that is named is taken as it is: somebody expects the server there.
        let named = options.iter().position(|word| word == "--port");
        let mut options = options.to_vec();
        if let Some(at) = named {
            let port = options.get(at + 1).and_then(|port| port.parse().ok());
            resp.set_port(port.ok_or("--port without a number")?);
            options.drain(at..at + 2);
        }
        let options = options.as_slice();
        // A file stands in front of all options.
        let (file, options) = match options {
            [file, rest @ ..] if !file.starts_with("--") => (Some(file.as_str()), rest),
            options => (None, options),
        };
        let (mut command, rest) = match program {
            Program::Eave => (eave(resp, other, file), Some(other)),
            Program::Redis => (redis(resp, file), None),
        };
        let log = File::create(directory.join("log")).map_err(|e| format!("log: {e}"))?;
        let also = log.try_clone().map_err(|e| format!("log: {e}"))?;
        let child = command
            .args(options)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(also)
            .spawn()
            .map_err(|error| {
                format!("could not run: {} ({error})", command.get_program().display())
            })?;
        let password =
            options.windows(2).find(|pair| pair[0] == "--requirepass").map(|pair| pair[1].clone());
        let mut server = Server { child, directory, resp, rest, password };
        server.wait_until_ready()?;
        if program == Program::Redis && file.is_none() {
            server.check_oracle()?;
        }
        Ok(server)
    }

    /// The process of the server.
    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Halts the server, and waits until none of its threads runs any more.
    pub(crate) fn halt(&self) -> Result<(), String> {
        self.signal("-STOP")?;
        for _ in 0..2000 {
            if self.stands() {
                return Ok(());
            }
            pause(Duration::from_millis(5));
        }
        Err("the server does not halt".to_owned())
    }

    /// Lets a halted server go on.
    pub(crate) fn go_on(&self) -> Result<(), String> {
        self.signal("-CONT")
    }

    /// Asks the server to end in order.
    pub(crate) fn ask_to_end(&self) -> Result<(), String> {
        self.signal("-TERM")
    }

    /// Ends the server as the kernel does when memory is short.
    pub(crate) fn cut_down(&self) -> Result<(), String> {
        self.signal("-KILL")
    }

    fn signal(&self, name: &str) -> Result<(), String> {
        let done = Command::new("kill").args([name, &self.process_id().to_string()]).status();
        if done.is_ok_and(|status| status.success()) { Ok(()) } else { Err(format!("kill {name}")) }
    }

    /// Whether all threads are stopped, as the kernel says.
    fn stands(&self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process_id()));
        tasks.is_ok_and(|mut tasks| {
            tasks.all(|task| {
                let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
                // The state stands behind the name, which may have anything in it.
                stat.is_ok_and(|stat| {
                    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
                })
            })
        })
    }

    /// Whether the server still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What the server ended with, once it has.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().ok().flatten().and_then(|status| status.code())
    }

    /// A file in the folder in which the server runs.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The last lines that the server wrote, for a failure's report.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// A connection that has authenticated when the server asks for it.
    pub(crate) fn connect(&self) -> Result<Connection, String> {
        let mut connection = Connection::open(self.resp)?;
        if let Some(password) = &self.password {
            match connection.call(&["AUTH", password])? {
                Reply::Status(_) => {}
                other => return Err(format!("AUTH: {other}")),
            }
        }
        Ok(connection)
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| format!("{path} has no VmRSS"))
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        let doors: Vec<SocketAddr> =
            [Some(self.resp), None::<SocketAddr>].into_iter().flatten().collect();
        for _ in 0..START_PAUSES {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("could not start, {status}:\n{}", self.log_tail()));
            }
            if doors.iter().all(|door| TcpStream::connect(door).is_ok()) {
                return Ok(());
            }
            pause(Duration::from_millis(10));
        }
        Err(format!("accepts no connections:\n{}", self.log_tail()))
    }

    /// Whether it is our redis-server (and not somebody else's on the same port), of the version
    /// that the scripts were written against.
    fn check_oracle(&self) -> Result<(), String> {
        let Reply::Bulk(info) = self.connect()?.call(&["INFO", "server"])? else {
            return Err("the oracle has no INFO".to_owned());
        };
        let info = String::from_utf8_lossy(&info).into_owned();
        let has = |wanted: &str| info.lines().any(|line| line.starts_with(wanted));
        if !has(&format!("process_id:{}", self.child.id())) {
            return Err(format!("port {} belongs to another server", self.resp.port()));
        }
        if !has("redis_version:7.0.") {
            return Err("could not run: the oracle is redis-server 7.0, this is another".to_owned());
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both only fail when the server is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn eave(resp: SocketAddr, rest: SocketAddr, file: Option<&str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eave"));
    // What tells the tests something (EAVE_KEYS, EAVE_SEED) is no setting of the server.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("EAVE_") {
            command.env_remove(name);
        }
    }
    command.args(file);
    command.args(["--port", &resp.port().to_string()]);
    command.args(["--rest-port", &rest.port().to_string()]);
    command.args(["--bind", "127.0.0.1", "--rest-token", REST_TOKEN]);
    command
}

fn redis(resp: SocketAddr, file: Option<&str>) -> Command {
    let mut command = Command::new("redis-server");
    command.args(file);
    command.args(["--port", &resp.port().to_string(), "--bind", "127.0.0.1"]);
    command.args(["--save", "", "--appendonly", "no"]);
    command
}

/// An address of this machine at which nobody listens at this moment, nor will soon: each process
/// of tests goes through the ports from a place of its own, below those that the kernel gives to
/// whoever connects or asks for any.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: usize = 10_000;
    const PORTS: usize = 22_000;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let begin = std::process::id() as usize * 61;
    for _ in 0..PORTS {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port).unwrap_or(0)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    unreachable!("all ports are taken");
}

/// Waits; tests have no clock of their own to wait by.
#[expect(clippy::disallowed_methods, reason = "a test's own thread may be parked")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
