//! The clients of a region: one that reads, and some that write and read what they have written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::client::Client;
use crate::process;

/// Keys of each writer.
const KEYS: u64 = 100;

/// Clients of each region that write.
const WRITERS: u32 = 10;

/// Times that are kept between two looks at them.
const TIMES: usize = 100_000;

/// Requests a second; 0 = none.
#[derive(Clone, Copy)]
pub(super) struct Rates {
    pub(super) reads: u32,
    pub(super) writes: u32,
}

/// What was done since somebody looked: how often, and how long half of them took at most.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) count: usize,
    pub(super) median_us: u64,
}

/// What the clients of a region have seen since somebody looked.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) reads: Done,
    pub(super) writes: Done,
    /// Reads of what was just written.
    pub(super) own: Done,
}

/// Times of one kind of request, in microseconds.
#[derive(Default)]
struct Times {
    since: Mutex<Vec<u64>>,
    total: AtomicU64,
}

impl Times {
    fn add(&self, begun: Instant) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.len() < TIMES {
            since.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn take(&self) -> Done {
        let mut times =
            std::mem::take(&mut *self.since.lock().unwrap_or_else(PoisonError::into_inner));
        times.sort_unstable();
        let median_us = times.get(times.len() / 2).copied().unwrap_or(0);
        Done { count: times.len(), median_us }
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    reads: Times,
    writes: Times,
    own: Times,
    /// Writes that the one who made them did not read.
    missed: AtomicU64,
}

/// The clients of a region.
pub(super) struct Load {
    name: &'static str,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Load {
    /// Starts them.
    pub(super) fn start(name: &'static str, port: u16, rates: Rates) -> Load {
        let shared = Arc::new(Shared::default());
        let mut threads = Vec::new();
        if rates.reads > 0 {
            let shared = Arc::clone(&shared);
            threads.push(std::thread::spawn(move || read(port, rates.reads, &shared)));
        }
        // Several, since each waits for its answer from far away.
        let writers = rates.writes.min(WRITERS);
        for writer in 0..writers {
            let (shared, rate) = (Arc::clone(&shared), rates.writes / writers);
            let of = format!("{name}:{writer}");
            threads.push(std::thread::spawn(move || write(&of, port, rate, &shared)));
        }
        Load { name, shared, threads }
    }

    /// What has happened since this was asked last.
    pub(super) fn take(&self) -> Seen {
        let Shared { reads, writes, own, .. } = &*self.shared;
        Seen { reads: reads.take(), writes: writes.take(), own: own.take() }
    }

    pub(super) fn reads(&self) -> u64 {
        self.shared.reads.total.load(Ordering::Relaxed)
    }

    pub(super) fn writes(&self) -> u64 {
        self.shared.writes.total.load(Ordering::Relaxed)
    }

    pub(super) fn missed(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }

    /// Everything that was done, in words.
    pub(super) fn total(&self) -> String {
        format!(
            "{}: {} reads, {} writes, {} of them not read by their writer",
            self.name,
            self.reads(),
            self.writes(),
            self.missed()
        )
    }

    /// Ends them.
    ///
    /// # Errors
    /// What one of them has failed with.
    pub(super) fn end(self) -> Result<()> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(done) => done.map_err(|error| error.context(self.name))?,
                Err(_) => bail!("a client in {} has panicked", self.name),
            }
        }
        Ok(())
    }
}

/// Calls `each` so many times a second, with the number of the call. Who is late does not catch up.
fn paced(rate: u32, shared: &Shared, mut each: impl FnMut(u64) -> Result<()>) -> Result<()> {
    let period = Duration::from_secs(1) / rate;
    let mut due = process::now();
    let mut number = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let now = process::now();
        if now < due {
            process::pause((due - now).min(Duration::from_millis(50)));
            continue;
        }
        due = (due + period).max(now);
        number += 1;
        each(number)?;
    }
    Ok(())
}

fn read(port: u16, rate: u32, shared: &Shared) -> Result<()> {
    let mut client = Client::connect(port)?;
    paced(rate, shared, |number| {
        // The keys of all regions in turn.
        let region = super::NAMES[usize::try_from(number).unwrap_or(0) % super::NAMES.len()];
        let begun = process::now();
        client.ask(&["GET", &format!("{region}:0:{}", number % KEYS)])?;
        shared.reads.add(begun);
        Ok(())
    })
}

fn write(writer: &str, port: u16, rate: u32, shared: &Shared) -> Result<()> {
    let mut client = Client::connect(port)?;
    paced(rate, shared, |number| {
        let (key, value) = (format!("{writer}:{}", number % KEYS), number.to_string());
        let begun = process::now();
        let answer = client.ask(&["SET", &key, &value])?;
        if answer != "OK" {
            bail!("SET: {answer}");
        }
        shared.writes.add(begun);
        let begun = process::now();
        let found = client.ask(&["GET", &key])?;
        shared.own.add(begun);
        if found != value {
            shared.missed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    })
}
