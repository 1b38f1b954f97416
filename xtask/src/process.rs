//! Starting, watching and ending processes, and the one clock that chores read.
//!
//! Every process is ended through the handle it was started with; nothing here looks a
//! process up by name.
//!
//! Left out on purpose: signals other than SIGTERM, and anything that needs `unsafe`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a process that may run out of time is looked at.
const POLL: Duration = Duration::from_millis(20);

/// The time now, for deadlines and for the durations that stages print.
#[expect(clippy::disallowed_methods, reason = "the server's clock is for the server; chores wait")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits; no runtime's worker is parked by it, because chores have none.
#[expect(clippy::disallowed_methods, reason = "chores have no worker that this could park")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// The folder that holds the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target folder, wherever this build was told to put it.
///
/// # Errors
/// When the running executable does not lie in one.
pub(crate) fn target() -> Result<PathBuf> {
    let this = std::env::current_exe().context("no path of the running xtask")?;
    // Cargo tags the folder for backup programs.
    let tagged = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    let folder = this.ancestors().find(tagged).context("xtask lies in no target folder")?;
    Ok(folder.to_path_buf())
}

/// The folder for logs and other throw-away files of a chore.
///
/// # Errors
/// When it cannot be created.
pub(crate) fn scratch() -> Result<PathBuf> {
    let folder = target()?.join("xtask");
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}

/// `cargo`, the same one that started this chore, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The program and its arguments as one would type them.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs to the end with our own output.
///
/// # Errors
/// When the program cannot be started or does not end with status 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting `{}`", shown(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end and returns what it printed on its standard output.
///
/// # Errors
/// As [`run`]; the error holds what the program printed on its standard error.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting `{}`", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a program that ran to its end left.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) text: String,
}

/// Runs to the end, prints both outputs as they come, and keeps them, free of colours.
///
/// # Errors
/// When the program cannot be started; a failing status is the caller's to judge.
pub(crate) fn tee(command: &mut Command) -> Result<Finished> {
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("starting `{}`", shown(command)))?;
    // The command keeps copies of the pipe's writing end, and the loop below would wait
    // for them for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut text = String::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        text.push_str(&without_colours(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    Ok(Finished { status: child.wait()?, text })
}

/// Takes the terminal's colour sequences (`ESC [ ... letter`) out of a line.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, sequence)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = sequence.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
        rest = rest.get(1..).unwrap_or_default();
    }
    plain + rest
}

/// How a program ended that was given a limited time.
pub(crate) enum Ending {
    /// By itself, with this status.
    Exited(ExitStatus),
    /// It was killed when its time was up.
    TimedOut,
}

/// Runs with both outputs in a file, for at most `limit`.
///
/// # Errors
/// When the program or the file cannot be opened.
pub(crate) fn run_within(command: &mut Command, log: &Path, limit: Duration) -> Result<Ending> {
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("starting `{}`", shown(command)))?;
    Ok(match wait_within(&mut child, limit)? {
        Some(status) => Ending::Exited(status),
        None => {
            child.kill()?;
            child.wait()?;
            Ending::TimedOut
        }
    })
}

/// The status of a child that ends within `limit`, or nothing.
///
/// # Errors
/// When the operating system cannot tell.
pub(crate) fn wait_within(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if now() >= deadline {
            return Ok(None);
        }
        pause(POLL);
    }
}

/// Asks a child of ours to end (SIGTERM); it is alive, because it was not waited for.
///
/// # Errors
/// When `kill` cannot be started or refuses.
pub(crate) fn terminate(child: &Child) -> Result<()> {
    run(Command::new("kill").args(["-TERM", &child.id().to_string()]))
}

/// A port of the loopback address that nobody listens on at this moment.
///
/// # Errors
/// When the machine has none left.
pub(crate) fn free_port() -> Result<u16> {
    /// Below those that the kernel gives to whoever connects, each process from its own place on.
    const FIRST: usize = 10_000;
    const PORTS: usize = 22_000;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let begin = std::process::id() as usize * 61;
    for _ in 0..PORTS {
        let port = FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = u16::try_from(port)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("all ports are taken")
}

/// The full path of a program that the shell would find.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Announces a stage before it starts, and tells its duration when dropped.
pub(crate) struct Stage {
    name: String,
    started: Instant,
}

impl Stage {
    pub(crate) fn begin(name: impl Into<String>) -> Self {
        let name = name.into();
        println!("==> {name}");
        Self { name, started: now() }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        println!("<== {} ({:.1} s)\n", self.name, self.started.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(without_colours("\u{1b}[1;32mPASS\u{1b}[0m x"), "PASS x");
        assert_eq!(without_colours("plain"), "plain");
        assert_eq!(without_colours("cut \u{1b}["), "cut ");
    }

    #[test]
    fn tee_keeps_both_outputs_and_the_status() {
        let finished = tee(Command::new("sh").args(["-c", "echo a; echo b >&2; exit 3"])).unwrap();
        assert_eq!(finished.text, "a\nb\n");
        assert_eq!(finished.status.code(), Some(3));
    }

    #[test]
    fn a_program_out_of_time_is_ended() {
        let log = scratch().unwrap().join("out-of-time.log");
        let mut command = Command::new("sleep");
        let ending = run_within(command.arg("600"), &log, Duration::from_millis(1)).unwrap();
        assert!(matches!(ending, Ending::TimedOut));
    }
}
