//! The process as a whole.

use super::{INT, join, put, row};
use crate::config::kind::Stage;
use crate::config::table::Directive;
use crate::config::table::Group::Process;
use crate::config::value::SavePoint;

/// The rows.
pub(in crate::config) const ROWS: &[Directive] =
    &[
        row(Process, "appendonly", "Append-only file; not available yet")
            .fixed("no", "persistence is not available yet"),
        row(Process, "daemonize", "Accepted, but the server stays in the foreground")
            .at_start()
            .inert("no"),
        row(Process, "dbfilename", "File name of snapshots; no effect yet")
            .protected()
            .inert("dump.rdb"),
        row(Process, "dir", "Folder of files that the server writes")
            .protected()
            .text(|c| &c.dir, |c, v| c.dir = v),
        row(Process, "hz", "Rounds of background work a second, 1 to 500; always 10 as yet")
            .number(0, INT, |c| c.hz.into(), |c, v| put(&mut c.hz, v.clamp(1, 500))),
        row(Process, "io-threads", "Worker threads; 0 = one a core").at_start().number(
            0,
            128,
            |c| c.io_threads.into(),
            |c, v| put(&mut c.io_threads, v),
        ),
        row(Process, "save", "Snapshot rules; accepted, but persistence is not available yet")
            .words(
                "<seconds> <changes>...",
                |c| join(&c.save),
                |c, words, stage| {
                    let points = SavePoint::parse_all(words)?;
                    if points.is_empty() || stage == Stage::Replacing {
                        c.save.clear();
                    }
                    c.save.extend(points);
                    Ok(())
                },
            ),
        row(Process, "shutdown-timeout", "Seconds that a stop waits for replicas at most").number(
            0,
            INT,
            |c| c.shutdown_timeout.into(),
            |c, v| put(&mut c.shutdown_timeout, v),
        ),
    ];
