//! SIGTERM under load: what was answered stands in order, and the process ends with 0.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::resp::encode;
use crate::support::server::pause;
use crate::{Failure, Outcome, start};

/// How often it is looked whether the server is gone; a tenth of a second apart.
const ATTEMPTS: usize = 300;

#[test]
fn sigterm_under_load_ends_in_order() -> Outcome {
    let mut server = start()?;
    let mut writers = Vec::new();
    for number in 0..8 {
        let mut client = server.connect()?;
        writers.push(thread::spawn(move || -> Result<i64, String> {
            let key = format!("writer:{number}");
            let request = encode(&["INCR", &key]).repeat(50);
            let mut answered = 0;
            loop {
                if client.send_raw(&request).is_err() {
                    return Ok(answered);
                }
                for _ in 0..50 {
                    match client.receive() {
                        Ok(Reply::Integer(next)) if next == answered + 1 => answered = next,
                        Ok(Reply::Closed) => return Ok(answered),
                        // The server has closed with requests of ours unread.
                        Err(error) if error.contains("end") => return Ok(answered),
                        other => return Err(format!("after {answered}: {other:?}")),
                    }
                }
            }
        }));
    }
    // One that never reads, and one that says nothing.
    let mut deaf = server.connect()?;
    deaf.call(&["SETRANGE", "big", "9999999", "x"])?;
    deaf.send_raw(&encode(&["GET", "big"])).map_err(|e| e.to_string())?;
    let _silent = server.connect()?;
    pause(Duration::from_millis(200));
    let killed = Command::new("kill").args(["-TERM", &server.process_id().to_string()]).status();
    if !killed.map_err(|e| e.to_string())?.success() {
        return Err(Failure("no SIGTERM was sent".to_owned()));
    }
    for writer in writers {
        let answered = writer.join().map_err(|_| "a writer panicked".to_owned())??;
        if answered == 0 {
            return Err(Failure("a writer was never answered".to_owned()));
        }
    }
    for _ in 0..ATTEMPTS {
        if !server.is_running() {
            return ended_well(&server.exit_code(), &server.log_tail());
        }
        pause(Duration::from_millis(100));
    }
    Err(Failure(format!("still runs:\n{}", server.log_tail())))
}

/// Whoever says nothing is told at once, and need not be cut.
#[test]
fn idle_clients_do_not_hold_a_stop_up() -> Outcome {
    let mut server = start()?;
    let mut asked = server.connect()?;
    asked.call(&["PING"])?;
    let _silent = server.connect()?;
    pause(Duration::from_millis(200));
    let killed = Command::new("kill").args(["-TERM", &server.process_id().to_string()]).status();
    if !killed.map_err(|e| e.to_string())?.success() {
        return Err(Failure("no SIGTERM was sent".to_owned()));
    }
    for _ in 0..ATTEMPTS {
        if !server.is_running() {
            let log = server.log_tail();
            if log.contains("did not end in time") {
                return Err(Failure(format!("idle clients were cut:\n{log}")));
            }
            return ended_well(&server.exit_code(), &log);
        }
        pause(Duration::from_millis(100));
    }
    Err(Failure(format!("still runs:\n{}", server.log_tail())))
}

fn ended_well(code: &Option<i32>, log: &str) -> Outcome {
    if *code == Some(0) && log.contains("stopped") && !log.contains("panicked") {
        return Ok(());
    }
    Err(Failure(format!("ended with {code:?}:\n{log}")))
}
