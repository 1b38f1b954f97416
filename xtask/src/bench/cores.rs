//! Which core the servers get, and which the load.
//!
//! Left out on purpose: hyper-threads and NUMA; on such a machine run the bench under
//! `taskset` with two cores that share neither.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// One core each.
pub(super) struct Cores {
    pub(super) server: u32,
    pub(super) load: u32,
    /// How many this process may use in all.
    pub(super) count: usize,
}

impl Cores {
    /// Takes the first two that this process may run on.
    ///
    /// # Errors
    /// When there are fewer than two, or `taskset` is missing.
    pub(super) fn choose() -> Result<Self> {
        if crate::process::which("taskset").is_none() {
            bail!("taskset is missing (Debian: apt-get install util-linux)");
        }
        let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
            .context("the kernel does not tell the allowed cores")?;
        let cores = parse(list.trim()).context("a list of cores")?;
        let [server, load, ..] = cores[..] else {
            bail!("two cores are needed, one for the server and one for the load");
        };
        Ok(Self { server, load, count: cores.len() })
    }

    /// A command line that runs `program` on `core` only.
    ///
    /// taskset replaces itself by the program, so the process id is the program's own.
    pub(super) fn pinned(core: u32, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["-c", &core.to_string()]).arg(program);
        command
    }
}

/// Reads `0-3,8`.
fn parse(list: &str) -> Option<Vec<u32>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(parse("0-2,8").unwrap(), [0, 1, 2, 8]);
        assert_eq!(parse("5").unwrap(), [5]);
        assert_eq!(parse(""), None);
    }
}
