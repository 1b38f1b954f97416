//! A way to a node that takes its time: what goes in comes out later, in order.
//!
//! Its threads end with the connections that they carry, or with the process.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::process;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// Chunks that are under way in one direction: 64 MiB at most.
const UNDER_WAY: usize = 4096;

/// A port that leads to another one.
pub(super) struct Distance {
    pub(super) port: u16,
}

impl Distance {
    /// Leads to the node of this machine that listens on `target`, each way so long.
    pub(super) fn start(target: u16, one_way: Duration) -> std::io::Result<Distance> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be carried on is dropped, and its owner tries again.
                let _ = carry(client, target, one_way);
            }
        });
        Ok(Distance { port })
    }
}

fn carry(client: TcpStream, target: u16, one_way: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    one_direction(client.try_clone()?, server.try_clone()?, one_way);
    one_direction(server, client, one_way);
    Ok(())
}

/// Bytes, and when they arrive.
type Chunk = (Instant, Vec<u8>);

fn one_direction(from: TcpStream, to: TcpStream, one_way: Duration) {
    let (sender, receiver) = sync_channel(UNDER_WAY);
    std::thread::spawn(move || depart(from, &sender, one_way));
    std::thread::spawn(move || arrive(to, &receiver));
}

fn depart(mut from: TcpStream, sender: &SyncSender<Chunk>, one_way: Duration) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if sender.send((process::now() + one_way, buffer[..length].to_vec())).is_err() {
            break;
        }
    }
}

fn arrive(mut to: TcpStream, receiver: &Receiver<Chunk>) {
    while let Ok((due, bytes)) = receiver.recv() {
        process::pause(due.saturating_duration_since(process::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // It may be closed already.
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_and_not_early() {
        let echo = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let target = echo.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = echo.accept().unwrap();
            let mut copy = stream.try_clone().unwrap();
            std::io::copy(&mut stream, &mut copy)
        });
        let distance = Distance::start(target, Duration::from_millis(30)).unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", distance.port)).unwrap();
        let begun = process::now();
        let sent: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        client.write_all(&sent).unwrap();
        let mut found = vec![0; sent.len()];
        client.read_exact(&mut found).unwrap();
        assert_eq!(found, sent);
        assert!(begun.elapsed() >= Duration::from_millis(60));
    }
}
