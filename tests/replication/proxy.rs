//! A link that can be cut: forwards bytes between a replica and whoever leads at the moment.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::support::server::pause;

/// What the proxy's threads share.
#[derive(Debug)]
struct Shared {
    /// Where connections go; `None` refuses them.
    target: Option<SocketAddr>,
    open: Vec<TcpStream>,
    /// Bytes of the leader that a connection gets before it is cut.
    budget: usize,
    /// Whether the stream of the log is held back.
    holds_stream: bool,
    /// Whether what is said over other connections gets no answer.
    holds_answers: bool,
}

/// A proxy; its threads end with the process.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Proxy {
    /// Forwards to `target`.
    pub(crate) fn start(target: SocketAddr) -> Result<Proxy, String> {
        let say = |error| format!("proxy: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(say)?;
        let address = listener.local_addr().map_err(say)?;
        let shared = Arc::new(Mutex::new(Shared {
            target: Some(target),
            open: Vec::new(),
            budget: usize::MAX,
            holds_stream: false,
            holds_answers: false,
        }));
        let proxy = Proxy { address, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be forwarded is dropped.
                let _ = forward(&shared, client);
            }
        });
        Ok(proxy)
    }

    /// Cuts every connection, and refuses new ones.
    pub(crate) fn cut(&self) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.target = None;
        for stream in shared.open.drain(..) {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Holds back the stream of the log, or lets it go on; other connections go on.
    pub(crate) fn hold_stream(&self, hold: bool) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).holds_stream = hold;
    }

    /// Holds back what the leader answers over other connections than that of the log.
    pub(crate) fn hold_answers(&self, hold: bool) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).holds_answers = hold;
    }

    /// Forwards new connections to `target`.
    pub(crate) fn restore(&self, target: SocketAddr) {
        self.restore_for(target, usize::MAX);
    }

    /// Forwards new connections to `target`, each until it has had so many bytes from there.
    pub(crate) fn restore_for(&self, target: SocketAddr, budget: usize) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        (shared.target, shared.budget) = (Some(target), budget);
    }
}

/// What the two directions of a connection share.
#[derive(Debug, Clone)]
struct Way {
    shared: Arc<Mutex<Shared>>,
    /// Whether it is the connection of the log: it has said PSYNC.
    is_stream: Arc<AtomicBool>,
}

impl Way {
    /// Whether what the leader says is to wait.
    fn is_held(&self) -> bool {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match self.is_stream.load(Ordering::Relaxed) {
            true => shared.holds_stream,
            false => shared.holds_answers,
        }
    }
}

fn forward(all: &Arc<Mutex<Shared>>, client: TcpStream) -> std::io::Result<()> {
    let mut shared = all.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(target) = shared.target else { return Ok(()) };
    let server = TcpStream::connect(target)?;
    let way = Way { shared: Arc::clone(all), is_stream: Arc::default() };
    let (mut from, mut to, there) = (client.try_clone()?, server.try_clone()?, way.clone());
    std::thread::spawn(move || {
        pump(&mut from, &mut to, usize::MAX, |bytes| {
            if bytes.windows(5).any(|word| word == b"PSYNC") {
                there.is_stream.store(true, Ordering::Relaxed);
            }
        });
    });
    let (mut from, mut to, budget) = (server.try_clone()?, client.try_clone()?, shared.budget);
    std::thread::spawn(move || {
        pump(&mut from, &mut to, budget, |_| {
            while way.is_held() {
                pause(Duration::from_millis(1));
            }
        });
    });
    shared.open.extend([client, server]);
    Ok(())
}

fn pump(from: &mut TcpStream, to: &mut TcpStream, mut budget: usize, before: impl Fn(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let length = length.min(budget);
        before(&buffer[..length]);
        budget -= length;
        if to.write_all(&buffer[..length]).is_err() || budget == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
