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
    status(pid, "VmRSS:")
}

/// The most resident memory of a process since it began, or since [`forget_peak`].
///
/// # Errors
/// When the process is gone.
pub(super) fn peak_bytes(pid: u32) -> Result<u64> {
    status(pid, "VmHWM:")
}

/// Has the kernel count a process's most memory anew.
///
/// # Errors
/// When the process is gone, or somebody else's.
pub(super) fn forget_peak(pid: u32) -> Result<()> {
    // "5" is the peak: proc(5).
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("clear_refs")
}

fn status(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("no {field}"))?;
    Ok(kilobytes.parse::<u64>()? * 1024)
}

/// CPU time of the children that a process has waited for, in seconds.
///
/// # Errors
/// When the process is gone.
pub(super) fn children_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The fields behind the name, which may hold blanks: cutime and cstime are the 16th and 17th
    // of all, in hundredths of a second on Linux.
    let (_, fields) = stat.rsplit_once(')').context("stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |at: usize| fields.get(at).context("stat")?.parse::<f64>().context("stat");
    Ok((field(13)? + field(14)?) / 100.0)
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
