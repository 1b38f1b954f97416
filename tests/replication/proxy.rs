//! A link that can be cut: forwards bytes between a replica and whoever leads at the moment.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What the proxy's threads share.
#[derive(Debug)]
struct Shared {
    /// Where connections go; `None` refuses them.
    target: Option<SocketAddr>,
    open: Vec<TcpStream>,
    /// Bytes of the leader that a connection gets before it is cut.
    budget: usize,
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

fn forward(shared: &Mutex<Shared>, client: TcpStream) -> std::io::Result<()> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(target) = shared.target else { return Ok(()) };
    let server = TcpStream::connect(target)?;
    for (from, to, budget) in [(&client, &server, usize::MAX), (&server, &client, shared.budget)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || pump(&mut from, &mut to, budget));
    }
    shared.open.extend([client, server]);
    Ok(())
}

fn pump(from: &mut TcpStream, to: &mut TcpStream, mut budget: usize) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let length = length.min(budget);
        budget -= length;
        if to.write_all(&buffer[..length]).is_err() || budget == 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
