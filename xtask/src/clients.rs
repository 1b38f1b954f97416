//! Real clients against a real server: every file in `tests/clients` is one test.
//!
//! `js/*.test.mjs` runs under node, `python/test_*.py` under pytest, `ruby/*.test.rb` under
//! ruby, `cli/*.sh` under bash. Each file gets a server of its own, and learns of it from `EAVE_RESP_PORT`,
//! `EAVE_REST_URL` and `EAVE_REST_TOKEN`. A line `eave-options: ...` among a file's first
//! ten is added to that server's command line; with a line `eave-doors: tls` the server has
//! doors with TLS too, which `tls` describes. A file fails when it ends with another
//! status than 0, runs out of time, or leaves a server that does not stop in order.
//!
//! Left out on purpose: running files at once; they are short, and CI has two cores.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::counts::Counts;
use crate::install::{self, Tools};
use crate::process::{self, Ending};
use crate::server::{self, Server};
use crate::tls;

/// Far above what any file takes, so that it only ends what hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// The folders below `tests/clients` that hold tests.
const FOLDERS: [&str; 4] = ["cli", "js", "python", "ruby"];

/// Lines of a failed test's output that are printed.
const SHOWN: usize = 80;

/// Runs every client test whose file name contains `wanted`.
///
/// # Errors
/// When the folder of the tests cannot be read.
pub(crate) fn run(tools: &Tools, binary: &Path, wanted: Option<&str>) -> Result<Counts> {
    let mut counts = Counts::default();
    for file in files()? {
        let name = name_of(&file);
        if wanted.is_some_and(|wanted| !name.contains(wanted)) {
            continue;
        }
        counts += match runner(&file, tools) {
            Ok(command) => judge(&name, one(&name, &file, binary, command)),
            Err(error) => could_not_run(&name, &error),
        };
    }
    Ok(counts)
}

/// Prints the verdict on one test, and counts it.
pub(crate) fn judge(name: &str, outcome: Result<()>) -> Counts {
    match outcome {
        Ok(()) => {
            println!("PASS {name}");
            Counts::pass()
        }
        Err(error) => {
            println!("FAIL {name}\n{error:#}\n");
            Counts::fail()
        }
    }
}

/// Prints that a test could not run, and counts it.
pub(crate) fn could_not_run(name: &str, error: &anyhow::Error) -> Counts {
    println!("---- {name} could not run: {error:#}");
    Counts::not_run(name, &format!("{error:#}"))
}

fn files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        let folder = install::clients_folder().join(folder);
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if is_test(&path) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".test.mjs")
        || name.ends_with(".test.rb")
        || name.ends_with(".sh")
        || (name.starts_with("test_") && name.ends_with(".py"))
}

/// `js/ioredis.test.mjs`: the folder and the file, as one would type them.
fn name_of(file: &Path) -> String {
    let path = file.strip_prefix(install::clients_folder()).unwrap_or(file);
    path.to_string_lossy().into_owned()
}

/// The command line for a file, or why it cannot be run on this machine.
fn runner(file: &Path, tools: &Tools) -> Result<Command> {
    let (program, arguments): (PathBuf, &[&str]) = match file.extension().and_then(|e| e.to_str()) {
        // A test that fails may leave connections open, and node would wait for them.
        Some("mjs") => (found(&tools.node)?, &["--test-force-exit", "--test-timeout=120000"]),
        Some("py") => {
            let options = &["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"];
            (found(&tools.python)?, options)
        }
        Some("rb") => {
            found(&tools.ruby)?;
            (PathBuf::from("ruby"), &[])
        }
        _ => {
            found(&tools.redis)?;
            (PathBuf::from("bash"), &["-eu"])
        }
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(file);
    if let Some(folder) = file.parent() {
        command.current_dir(folder);
    }
    Ok(command)
}

/// What a tool search found; its error is shared by every test that needs the tool.
pub(crate) fn found<T: Clone>(tool: &Result<T>) -> Result<T> {
    match tool {
        Ok(tool) => Ok(tool.clone()),
        Err(error) => Err(anyhow::anyhow!("{error:#}")),
    }
}

fn one(name: &str, file: &Path, binary: &Path, mut command: Command) -> Result<()> {
    let label = name.replace('/', "-");
    let text = std::fs::read_to_string(file)?;
    let mut options = options_in(&text);
    if marked(&text, "eave-doors:").any(|door| door == "tls") {
        let doors = tls::Doors::make(&label)?;
        options.extend(doors.options());
        command.envs(doors.environment());
    }
    let server = Server::start(binary, &label, &options)?;
    command.envs(server.environment());
    // For tests that start more of them.
    command.env("EAVE_BINARY", binary.canonicalize()?);
    let log = process::scratch()?.join(format!("{label}.log"));
    finish(server, &mut command, &log)
}

/// Runs a client to its end, and the server after it.
///
/// # Errors
/// When either does not end well; the error holds the end of the log.
pub(crate) fn finish(server: Server, command: &mut Command, log: &Path) -> Result<()> {
    match process::run_within(command, log, LIMIT)? {
        Ending::Exited(status) if status.success() => {}
        Ending::Exited(status) => bail!("{status}\n{}", server::tail(log, SHOWN)),
        Ending::TimedOut => bail!("out of time\n{}", server::tail(log, SHOWN)),
    }
    server.stop()
}

/// The words after `eave-options:` among a file's first ten lines.
fn options_in(text: &str) -> Vec<String> {
    marked(text, "eave-options:").map(str::to_owned).collect()
}

/// The words after a mark among a file's first ten lines.
fn marked<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().take(10).filter_map(move |line| line.split_once(mark));
    lines.flat_map(|(_, words)| words.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_at_the_top_of_a_file() {
        let text = "// A test.\n// eave-options: --requirepass secret\n";
        assert_eq!(options_in(text), ["--requirepass", "secret"]);
        assert!(options_in("import x\n").is_empty());
    }

    #[test]
    fn the_page_of_programs_names_the_tests() {
        let page = std::fs::read_to_string(process::root().join("docs/programs.md")).unwrap();
        for name in files().unwrap().iter().map(|file| name_of(file)) {
            let named = page.contains(&format!("`{name}`"));
            assert!(named || name.starts_with("cli/"), "docs/programs.md does not name {name}");
        }
    }

    #[test]
    fn every_folder_has_tests() {
        let names: Vec<String> = files().unwrap().iter().map(|file| name_of(file)).collect();
        for folder in FOLDERS {
            assert!(
                names.iter().any(|name| name.starts_with(&format!("{folder}/"))),
                "{folder} in {names:?}"
            );
        }
    }
}
