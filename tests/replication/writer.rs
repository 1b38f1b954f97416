//! Writes of every kind, at random from a seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::pair::Node;
use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};

/// A generator of numbers: xorshift, never zero.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Commands of which both Eave and redis-server know all.
pub(crate) fn command(random: &mut Random) -> Vec<Vec<u8>> {
    let key = |kind: &str, n: u64| format!("{kind}:{n}");
    let (n, m) = (random.below(300), random.below(1000));
    let (string, number, hash) = (key("string", n), key("number", n), key("hash", n % 50));
    let text = match random.below(20) {
        0 => format!("SET {string} {}", "x".repeat(m as usize * 20)),
        1..=3 => format!("SET {string} value{m}"),
        4 => format!("SET {string} {m} PX {}", 600_000 + m),
        5 => format!("APPEND {string} {m}"),
        6 => format!("SETRANGE {string} {} abc", m % 50),
        7 => format!("INCRBY {number} {m}"),
        8 => format!("INCRBYFLOAT {number}.f 0.{m}"),
        9..=11 => format!("HSET {hash} f{} {m} g{} v{m}", m % 400, m % 7),
        12 => format!("HDEL {hash} f{} g{}", m % 400, m % 7),
        13 => format!("HINCRBY {hash}.n count {m}"),
        14 => format!("DEL {string} {number}"),
        15 => format!("EXPIRE {string} {}", 500 + m),
        16 => format!("PERSIST {string}"),
        17 => format!("RENAME {hash} {}", key("hash", m % 50)),
        18 => format!("COPY {string} {} REPLACE", key("copy", m % 100)),
        _ => format!("GETDEL {string}"),
    };
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Sends `count` of them to changing databases, some inside transactions.
pub(crate) fn write(to: &mut Connection, seed: u64, count: usize) -> Result<(), String> {
    let mut random = Random(seed);
    for _ in 0..count {
        match random.below(25) {
            0 => _ = to.call(&["SELECT".to_owned(), random.below(4).to_string()])?,
            1 => transaction(to, &mut random)?,
            _ => {
                // RENAME of what is not there and the like are errors, and change nothing.
                let argv = command(&mut random);
                if to.call(&argv)? == Reply::Closed {
                    return Err("the server has closed".to_owned());
                }
            }
        }
    }
    Ok(())
}

fn transaction(to: &mut Connection, random: &mut Random) -> Result<(), String> {
    let mut bytes = encode(&["MULTI"]);
    let commands = 1 + random.below(5);
    for _ in 0..commands {
        bytes.extend(encode(&command(random)));
    }
    bytes.extend(encode(&["EXEC"]));
    to.send_raw(&bytes).map_err(|error| format!("send: {error}"))?;
    for _ in 0..commands + 2 {
        to.receive()?;
    }
    Ok(())
}

/// Writes in the background until it is stopped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), String>>,
}

impl Stream {
    pub(crate) fn start(node: &Node, seed: u64) -> Result<Stream, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let written = Arc::new(AtomicU64::new(0));
        let mut connection = node.connect()?;
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = std::thread::spawn(move || {
            let mut seed = seed;
            while !stopped.load(Ordering::Relaxed) {
                seed += 1;
                write(&mut connection, seed, 50)?;
                count.fetch_add(50, Ordering::Relaxed);
            }
            Ok(())
        });
        Ok(Stream { stop, written, thread })
    }

    /// Stops, and answers how many commands were sent.
    pub(crate) fn stop(self) -> Result<u64, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the writer has panicked")??;
        Ok(self.written.load(Ordering::Relaxed))
    }
}
