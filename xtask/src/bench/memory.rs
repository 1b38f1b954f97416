//! Resident memory that a number of equal keys takes.
//!
//! Left out on purpose: fragmentation after deletes; this is what growing costs.

use anyhow::Result;
use indicatif::ProgressBar;

use super::Pair;
use super::cores::Cores;
use super::cpu;
use super::fill::Fill;
use super::subject::Subject;

/// Bytes that the keys of one type took; nothing where the server lacks the type.
pub(super) struct Measured {
    pub(super) name: &'static str,
    pub(super) eave: Option<u64>,
    pub(super) redis: Option<u64>,
}

/// Fills fresh servers, one after the other.
///
/// # Errors
/// When a server does not start or answers with an error.
pub(super) fn measure(
    fills: &'static [Fill],
    keys: u64,
    cores: &Cores,
    pair: &Pair,
    progress: &ProgressBar,
) -> Result<Vec<Measured>> {
    let mut all = Vec::new();
    for fill in fills {
        let one = |subject: &Subject| {
            let server = subject.start(cores)?;
            progress.set_message(format!("{keys} x {} on {}", fill.name, server.name()));
            let before = cpu::resident_bytes(server.pid())?;
            let taken = if fill.runs_on(&server)? {
                fill.fill(&server, keys)?;
                Some(cpu::resident_bytes(server.pid())?.saturating_sub(before))
            } else {
                None
            };
            progress.inc(1);
            anyhow::Ok(taken)
        };
        let (eave, redis) = (one(&pair.eave)?, one(&pair.redis)?);
        all.push(Measured { name: fill.name, eave, redis });
    }
    Ok(all)
}
