//! What the kernel says a process has used.
//!
//! Left out on purpose: threads that ended during a measurement; neither server ends any
//! while it serves.

use anyhow::{Context, Result};

/// CPU time of all threads of a process so far, in nanoseconds.
///
/// # Errors
/// When the process is gone, or the kernel keeps no such statistics.
pub(super) fn nanoseconds(pid: u32) -> Result<u64> {
    let mut sum = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        // "time on the CPU, time waiting for it, number of slices": proc(5).
        let spent = text.split_whitespace().next().context("an empty schedstat")?;
        sum += spent.parse::<u64>().context("schedstat")?;
    }
    Ok(sum)
}

/// Resident memory of a process, in bytes.
///
/// # Errors
/// When the process is gone.
pub(super) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        assert!(nanoseconds(pid).unwrap() > 0);
        assert!(resident_bytes(pid).unwrap() > 100_000);
    }
}
