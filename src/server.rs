//! Wires everything: opens the doors, starts the tasks, and stops all of it in order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::clients::Client;
use crate::clock;
use crate::config::Config;
use crate::net::connection::{Connection, End};
use crate::net::listener;
use crate::node::Node;
use crate::observe::stats;
use crate::pause;
use crate::replicate;
use crate::rest;
use crate::session::{Door, Session};
use crate::shutdown;
use crate::upkeep;

/// How long connections have to end when the node stops: those that do not take their answers
/// use it up. Less than the ten seconds after which Docker and others kill.
const DRAIN: Duration = Duration::from_secs(8);

/// A node with its doors open.
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    tasks: TaskTracker,
    resp: Vec<TcpListener>,
    rest: Vec<TcpListener>,
}

impl Server {
    /// Opens the doors; nobody is let in yet.
    ///
    /// # Errors
    /// When an address cannot be used.
    pub fn bind(config: Config) -> io::Result<Server> {
        let resp = if config.port == 0 {
            Vec::new()
        } else {
            listener::open(&config.bind, config.port, config.tcp_backlog)?
        };
        let rest = if config.rest_port == 0 {
            Vec::new()
        } else {
            listener::open(config.rest_addresses(), config.rest_port, config.tcp_backlog)?
        };
        Ok(Server { node: Node::new(config), tasks: TaskTracker::new(), resp, rest })
    }

    /// The node behind the doors.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where RESP is answered.
    pub fn resp_addresses(&self) -> Vec<SocketAddr> {
        self.resp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Where REST is answered.
    pub fn rest_addresses(&self) -> Vec<SocketAddr> {
        self.rest.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Serves until the node's `shutdown` is cancelled, then ends in order: no new
    /// connections, running requests answered, tasks ended.
    pub async fn run(self) {
        let Server { node, tasks, resp, rest } = self;
        tasks.spawn(upkeep::run(Arc::clone(&node)));
        tasks.spawn(pause::run(Arc::clone(&node)));
        tasks.spawn(shutdown::run(Arc::clone(&node)));
        replicate::start(&node, &tasks);
        for listener in resp {
            let keepalive = keepalive_of(&node);
            let serve = {
                let (node, tasks) = (Arc::clone(&node), tasks.clone());
                move |stream, peer| admit(&node, &tasks, stream, peer)
            };
            tasks.spawn(listener::accept(listener, node.shutdown.clone(), keepalive, serve));
        }
        node.memory.started();
        let requests = Arc::new(rest::Connections::default());
        for listener in rest {
            let keepalive = keepalive_of(&node);
            let serve = {
                let (node, tasks, open) = (Arc::clone(&node), tasks.clone(), Arc::clone(&requests));
                move |stream, peer| admit_rest(&node, &tasks, &open, stream, peer)
            };
            tasks.spawn(listener::accept(listener, node.shutdown.clone(), keepalive, serve));
        }
        node.shutdown.cancelled().await;
        for client in node.clients.list() {
            client.close();
        }
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
    }
}

/// Reads `tcp-keepalive` as it is now.
fn keepalive_of(node: &Arc<Node>) -> impl Fn() -> u32 + use<> {
    let node = Arc::clone(node);
    move || node.config.load().tcp_keepalive
}

/// Lets a connection in, or says why not.
fn admit(node: &Arc<Node>, tasks: &TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let config = node.config.load();
    let refusal = if node.clients.len() >= config.maxclients as usize {
        stats::add(&node.stats.rejected, 1);
        Some("-ERR max number of clients reached\r\n")
    } else if config.protected_mode && config.requirepass.is_empty() && !is_local(peer.ip()) {
        Some(PROTECTED)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        // A fresh socket takes a line at once; if it does not, it learns nothing.
        let _ = stream.try_write(refusal.as_bytes());
        return;
    }
    stats::add(&node.stats.connections, 1);
    let local = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let client = node.clients.add(peer.to_string(), local, clock::unix_ms());
    end_if_stopping(node, &client);
    let session = Session::new(client, Door::Resp, Arc::clone(&node.config));
    tasks.spawn(serve(Arc::clone(node), stream, session));
}

const PROTECTED: &str = "-DENIED Eave is running in protected mode because no password is set \
for the default user. Only connections from this machine are accepted. Set 'requirepass', or turn \
'protected-mode' off if every machine that can reach this port may do everything.\r\n";

fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Ends a client that came while the node was beginning to stop: those who were there before
/// have been told.
fn end_if_stopping(node: &Node, client: &Client) {
    if node.shutdown.is_cancelled() {
        client.close();
    }
}

/// Lets an HTTP connection in, or says why not. Protected mode is no question here: this door
/// always asks for a token.
fn admit_rest(
    node: &Arc<Node>,
    tasks: &TaskTracker,
    open: &Arc<rest::Connections>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let config = node.config.load();
    let place = open.take_place(config.rest_max_connections as usize);
    let Some(place) = place.filter(|_| node.clients.len() < config.maxclients as usize) else {
        stats::add(&node.stats.rejected, 1);
        // A fresh socket takes a few lines at once; if it does not, it learns nothing.
        let _ = stream.try_write(rest::FULL.as_bytes());
        return;
    };
    stats::add(&node.stats.connections, 1);
    let local = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let client = node.clients.add(peer.to_string(), local, clock::unix_ms());
    let node = Arc::clone(node);
    tasks.spawn(async move {
        let _place = place;
        let _registered = Registered { node: Arc::clone(&node), id: client.id };
        rest::connection::serve(node, stream, client).await;
    });
}

/// One connection, from its first byte to its last. A panic in it ends it and nothing else.
async fn serve(node: Arc<Node>, stream: TcpStream, session: Session) {
    let id = session.client.id;
    let _registered = Registered { node: Arc::clone(&node), id };
    let connection = Connection::new(stream, Arc::clone(&node), session);
    let (stream, session, end) = connection.run().await;
    match end {
        End::Closed => {}
        End::Follow(rest) => replicate::follower::serve(node, stream, session, rest).await,
        End::Io(error) => tracing::debug!("client {id}: {error}"),
    }
}

/// A client's entry in the registry: taken out however its task ends.
struct Registered {
    node: Arc<Node>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.node.clients.remove(self.id);
        if std::thread::panicking() {
            stats::add(&self.node.stats.panics, 1);
            tracing::error!("client {}: its connection ended by a bug in this server", self.id);
        }
    }
}
