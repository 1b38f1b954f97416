//! What a person sees first: where the server listens, its token, a line to paste; and where
//! the log goes.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Config, LogLevel};
use crate::server::Server;

/// The text that is printed once the doors are open.
///
/// A token that the operator has set is repeated only on a terminal: elsewhere it would end in
/// a log that others read.
pub fn text(server: &Server, token_is_set: bool) -> String {
    let mut text =
        format!("eave {} is ready (pid {})\n", env!("CARGO_PKG_VERSION"), std::process::id());
    // Writing to a String does not fail.
    if let Some(addresses) = list(&server.resp_addresses(false)) {
        let _ = writeln!(text, "  Redis protocol  {addresses}");
    }
    if let Some(addresses) = list(&server.resp_addresses(true)) {
        let _ = writeln!(text, "    over TLS      {addresses}");
    }
    if let Some(path) = server.unix_path() {
        let _ = writeln!(text, "    on a socket   {}", path.display());
    }
    if let Some(addresses) = list(&server.rest_addresses(true)) {
        let _ = writeln!(text, "  REST over TLS   {addresses}");
    }
    let rest = server.rest_addresses(false);
    if let (Some(addresses), Some(first)) = (list(&rest), rest.first()) {
        let note = if token_is_set {
            "set by rest-token"
        } else {
            "made for this run; set rest-token to keep one"
        };
        let secret = String::from_utf8_lossy(server.node().token.reveal()).into_owned();
        let shown = !token_is_set || io::stdout().is_terminal();
        let token = if shown { secret } else { "<rest-token>".to_owned() };
        let _ = writeln!(text, "  REST            {addresses}");
        let _ = writeln!(text, "  REST token      {token}");
        let _ = writeln!(text, "                  ({note})");
        let url = format!("http://{}", reachable(*first));
        let _ = writeln!(text, "  Try it:");
        let _ =
            write!(text, "  curl -H \"Authorization: Bearer {token}\" {url}/set/greeting/hello");
    }
    text.trim_end().to_owned()
}

fn list(addresses: &[SocketAddr]) -> Option<String> {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("127.0.0.1:{}", address.port());
    }
    address.to_string()
}

/// Sends the log where the settings say: to standard output, or to a file that is appended to.
///
/// # Errors
/// When the file cannot be opened.
pub fn log_to(config: &Config) -> io::Result<()> {
    let writer = if config.logfile.is_empty() {
        BoxMakeWriter::new(io::stdout)
    } else {
        let file = OpenOptions::new().create(true).append(true).open(&config.logfile);
        let file = file.map_err(|error| {
            io::Error::new(error.kind(), format!("logfile {}: {error}", config.logfile))
        })?;
        BoxMakeWriter::new(Mutex::new(file))
    };
    // What the level lets through is decided by `filter`, which can be changed.
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::DEBUG).with_writer(writer);
    let (filter, handle) = reload::Layer::new(filter(config.loglevel));
    let kept = LEVEL.set(Box::new(move |level| {
        // It fails only when the log is gone.
        let _ = handle.modify(|present| *present = level);
    }));
    // A second start in one process, as tests do, keeps the first one's log.
    if kept.is_ok() {
        let _ = log.with_target(false).with_ansi(false).finish().with(filter).try_init();
    }
    Ok(())
}

/// Sets the level of the log.
static LEVEL: OnceLock<Box<dyn Fn(LevelFilter) + Send + Sync>> = OnceLock::new();

/// Logs as much as `level` says from now on.
pub fn set_level(level: LogLevel) {
    if let Some(set) = LEVEL.get() {
        set(filter(level));
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Verbose | LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
    }
}
