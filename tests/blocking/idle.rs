//! What those cost who wait and are never served.

use std::fs;

use super::{call, connect, hear, send, until_blocked};
use crate::support::reply::Reply;
use crate::support::server::{Program, Server};

/// Clients that wait: as many as the usual limit of open files leaves to test and server alike.
const CLIENTS: usize = 9000;

/// The time that the process has computed, in ticks of the kernel (10 ms).
fn ticks(process: u32) -> u64 {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux tells");
    let fields: Vec<&str> = line.rsplit(')').next().expect("a name").split_whitespace().collect();
    [11, 12].map(|at: usize| fields[at].parse::<u64>().expect("a number")).iter().sum()
}

/// Thousands wait, each for a key of its own and one that they share; while nothing comes nobody
/// computes. Then each is served.
#[test]
fn thousands_wait_at_no_cost() {
    let options = ["--maxclients", "12000"].map(str::to_owned);
    let server = Server::start(Program::Eave, &options).expect("the server answers");
    let mut control = connect(&server);
    // Connections of which each has asked something already, for comparison.
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        match server.connect() {
            Ok(mut client) => {
                call(&mut client, "PING");
                clients.push(client);
            }
            // The limit of open files is lower here.
            Err(_) => break,
        }
    }
    let idle = server.resident_bytes().expect("the server runs");
    for (n, client) in clients.iter_mut().enumerate() {
        send(client, &format!("BLPOP own:{n} shared 0"));
    }
    until_blocked(&mut control, clients.len());
    let waiting = server.resident_bytes().expect("the server runs");
    let before = ticks(server.process_id());
    crate::support::server::pause(std::time::Duration::from_secs(1));
    let spent = ticks(server.process_id()) - before;
    eprintln!(
        "{} clients wait: {} bytes each, beside {idle} bytes in all; {spent} ticks in a second",
        clients.len(),
        waiting.saturating_sub(idle) / clients.len() as u64,
    );
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(call(&mut control, &format!("RPUSH own:{n} {n}")), Reply::Integer(1));
        let Reply::Array(parts) = hear(client) else { panic!("{n} got no element") };
        assert_eq!(parts[1], Reply::Bulk(n.to_string().into_bytes()));
    }
    until_blocked(&mut control, 0);
    assert_eq!(call(&mut control, "DBSIZE"), Reply::Integer(0));
    assert_eq!(call(&mut control, "RPUSH shared x"), Reply::Integer(1));
    assert_eq!(call(&mut control, "LLEN shared"), Reply::Integer(1));
}
