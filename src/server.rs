//! Wires everything: opens the doors, starts the tasks, and stops all of it in order.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio_util::task::TaskTracker;

use crate::access;
use crate::clients::Client;
use crate::clock;
use crate::config::{BindAddress, Config};
use crate::envoy;
use crate::net::connection::{Connection, End};
use crate::net::socket::{TcpListener, TcpStream};
use crate::net::stream::Stream;
use crate::net::tls::{self, TlsDoor};
use crate::net::{listener, unix};
use crate::node::Node;
use crate::observe::stats;
use crate::pause;
use crate::replicate;
use crate::rest;
use crate::rules::keep;
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
    resp_tls: Vec<TcpListener>,
    unix: Option<unix::Door>,
    rest: Vec<TcpListener>,
    rest_tls: Vec<TcpListener>,
    metrics: Vec<TcpListener>,
    rls: Vec<TcpListener>,
}

impl Server {
    /// Opens the doors; nobody is let in yet.
    ///
    /// # Errors
    /// When an address or a certificate cannot be used.
    pub fn bind(config: Config) -> io::Result<Server> {
        let node = Node::new(config);
        load_users(&node)?;
        keep::load(&node).map_err(io::Error::other)?;
        let config = node.config.load_full();
        node.tls.load(&config.tls).map_err(io::Error::other)?;
        let open = |addresses: &[BindAddress], port: u16| match port {
            0 => Ok(Vec::new()),
            port => listener::open(addresses, port, config.tcp_backlog),
        };
        let resp = open(&config.bind, config.port)?;
        let resp_tls = open(&config.bind, config.tls.port)?;
        let rest = open(config.rest_addresses(), config.rest_port)?;
        let rest_tls = open(config.rest_addresses(), config.tls.rest_port)?;
        let metrics = open(&config.metrics_addresses(), config.rest_metrics_port)?;
        let rls = open(&config.rls_addresses(), config.rls_port)?;
        let (path, mode) = (&config.unixsocket, config.unixsocketperm);
        let unix =
            if path.is_empty() { None } else { Some(unix::open(path, mode, config.tcp_backlog)?) };
        Ok(Server {
            node,
            tasks: TaskTracker::new(),
            resp,
            resp_tls,
            unix,
            rest,
            rest_tls,
            metrics,
            rls,
        })
    }

    /// The node behind the doors.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where RESP is answered, with TLS or without.
    pub fn resp_addresses(&self, tls: bool) -> Vec<SocketAddr> {
        addresses(if tls { &self.resp_tls } else { &self.resp })
    }

    /// Where REST is answered, with TLS or without.
    pub fn rest_addresses(&self, tls: bool) -> Vec<SocketAddr> {
        addresses(if tls { &self.rest_tls } else { &self.rest })
    }

    /// The socket for clients of this machine.
    pub fn unix_path(&self) -> Option<&Path> {
        self.unix.as_ref().map(unix::Door::path)
    }

    /// Serves until the node's `shutdown` is cancelled, then ends in order: no new
    /// connections, running requests answered, tasks ended.
    pub async fn run(self) {
        let Server { node, tasks, resp, resp_tls, unix, rest, rest_tls, metrics, rls } = self;
        tasks.spawn(upkeep::run(Arc::clone(&node)));
        tasks.spawn(pause::run(Arc::clone(&node)));
        tasks.spawn(shutdown::run(Arc::clone(&node)));
        tasks.spawn(keep::run(Arc::clone(&node)));
        replicate::start(&node, &tasks);
        let plain = resp.into_iter().map(|listener| (listener, false));
        for (listener, tls) in plain.chain(resp_tls.into_iter().map(|listener| (listener, true))) {
            let serve = {
                let (node, tasks) = (Arc::clone(&node), tasks.clone());
                move |stream, peer| {
                    let arrival =
                        if tls { Arrival::Tls(stream, peer) } else { Arrival::Tcp(stream, peer) };
                    admit(&node, &tasks, arrival);
                }
            };
            let (keepalive, shutdown) = (keepalive_of(&node), node.shutdown.clone());
            tasks.spawn(listener::accept(listener, shutdown, keepalive, serve));
        }
        node.memory.started();
        if let Some(door) = unix {
            let serve = {
                let (node, tasks) = (Arc::clone(&node), tasks.clone());
                move |stream| admit(&node, &tasks, Arrival::Unix(stream))
            };
            tasks.spawn(door.accept(node.shutdown.clone(), serve));
        }
        let plain = rest.into_iter().map(|listener| (listener, false));
        for (listener, tls) in plain.chain(rest_tls.into_iter().map(|listener| (listener, true))) {
            let serve = {
                let (node, tasks) = (Arc::clone(&node), tasks.clone());
                move |stream, peer| admit_rest(&node, &tasks, stream, peer, tls)
            };
            let (keepalive, shutdown) = (keepalive_of(&node), node.shutdown.clone());
            tasks.spawn(listener::accept(listener, shutdown, keepalive, serve));
        }
        for listener in rls {
            let serve = {
                let (node, tasks) = (Arc::clone(&node), tasks.clone());
                move |stream, peer| admit_rls(&node, &tasks, stream, peer)
            };
            let (keepalive, shutdown) = (keepalive_of(&node), node.shutdown.clone());
            tasks.spawn(listener::accept(listener, shutdown, keepalive, serve));
        }
        for listener in metrics {
            tasks.spawn(rest::metrics::accept(Arc::clone(&node), listener));
        }
        node.shutdown.cancelled().await;
        for client in node.clients.list() {
            client.close();
        }
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time and are cut");
        }
        keep::finish(&node).await;
    }
}

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}

/// A client of the Redis protocol at one of the doors.
enum Arrival {
    Tcp(TcpStream, SocketAddr),
    /// The handshake is to come.
    Tls(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Arrival {
    fn is_local(&self) -> bool {
        match self {
            Arrival::Tcp(_, peer) | Arrival::Tls(_, peer) => is_local(peer.ip()),
            Arrival::Unix(_) => true,
        }
    }

    /// The addresses of the client and of the door.
    fn addresses(&self, node: &Node) -> (String, String) {
        match self {
            Arrival::Tcp(stream, peer) | Arrival::Tls(stream, peer) => {
                let local = stream.local_addr().map(|address| address.to_string());
                (peer.to_string(), local.unwrap_or_default())
            }
            Arrival::Unix(_) => {
                let path = format!("{}:0", node.config.load().unixsocket);
                (path.clone(), path)
            }
        }
    }

    /// Says a line and no more. A fresh socket takes it at once; if it does not, or if TLS is
    /// not set up yet, the client learns nothing.
    fn refuse(&self, line: &str) {
        let _ = match self {
            Arrival::Tcp(stream, _) => stream.try_write(line.as_bytes()),
            Arrival::Unix(stream) => stream.try_write(line.as_bytes()),
            Arrival::Tls(..) => return,
        };
    }
}

/// Reads the users of `aclfile`.
fn load_users(node: &Node) -> io::Result<()> {
    let config = node.config.load();
    if config.aclfile.is_empty() {
        return Ok(());
    }
    if !config.users.is_empty() {
        return Err(io::Error::other(
            "users are either in an aclfile or in user lines of the configuration, not in both",
        ));
    }
    access::file::load(&node.access, &config, Path::new(&config.aclfile)).map_err(io::Error::other)
}

/// Reads `tcp-keepalive` as it is now.
fn keepalive_of(node: &Arc<Node>) -> impl Fn() -> u32 + use<> {
    let node = Arc::clone(node);
    move || node.config.load().tcp_keepalive
}

/// Lets a connection in, or says why not.
fn admit(node: &Arc<Node>, tasks: &TaskTracker, arrival: Arrival) {
    let config = node.config.load();
    let refusal = if node.clients.len() >= config.maxclients as usize {
        stats::add(&node.stats.rejected, 1);
        Some("-ERR max number of clients reached\r\n")
    } else if config.protected_mode
        && node.access.users().default().no_password
        && !arrival.is_local()
    {
        stats::add(&node.stats.rejected, 1);
        Some(PROTECTED)
    } else {
        None
    };
    if let Some(refusal) = refusal {
        arrival.refuse(refusal);
        return;
    }
    stats::add(&node.stats.connections, 1);
    let (peer, local) = arrival.addresses(node);
    let client = node.clients.add(peer, local, clock::unix_ms());
    end_if_stopping(node, &client);
    let session = Session::new(client, Door::Resp, node);
    let registered = Registered { node: Arc::clone(node), id: session.client.id };
    match arrival {
        Arrival::Tcp(stream, _) => {
            tasks.spawn(serve(registered, open(node, Stream::Tcp(stream), session)))
        }
        Arrival::Unix(stream) => {
            tasks.spawn(serve(registered, open(node, Stream::Unix(stream), session)))
        }
        Arrival::Tls(stream, _) => tasks.spawn(serve_secret(registered, stream, session)),
    };
}

/// A connection in a place of its own: a task that had it inside would have room for it several
/// times over, once for each place where it is handed on.
fn open(node: &Arc<Node>, stream: Stream, session: Session) -> Box<Connection<Stream>> {
    Box::new(Connection::new(stream, Arc::clone(node), session))
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
    stream: TcpStream,
    peer: SocketAddr,
    tls: bool,
) {
    let config = node.config.load();
    let most = rest::load::Most {
        total: config.rest_max_connections as usize,
        of_address: config.rest_max_connections_per_address as usize,
    };
    let place = rest::load::Place::take(node, peer.ip(), most);
    let Some(place) = place.filter(|_| node.clients.len() < config.maxclients as usize) else {
        stats::add(&node.stats.rejected, 1);
        // A fresh socket takes a few lines at once; if it does not, it learns nothing.
        if !tls {
            let _ = stream.try_write(rest::FULL.as_bytes());
        }
        return;
    };
    stats::add(&node.stats.connections, 1);
    let local = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let client = node.clients.add(peer.to_string(), local, clock::unix_ms());
    let node = Arc::clone(node);
    tasks.spawn(async move {
        let _place = place;
        let _registered = Registered { node: Arc::clone(&node), id: client.id };
        let stream = if tls {
            match Box::pin(node.tls.accept(TlsDoor::Rest, stream)).await {
                Ok(stream) => stream,
                Err(error) => return tracing::debug!("client {}: {error}", client.id),
            }
        } else {
            Stream::Tcp(stream)
        };
        rest::connection::serve(node, stream, client).await;
    });
}

/// Lets a gateway in, or cuts it: it counts as one of the connections over HTTP.
fn admit_rls(node: &Arc<Node>, tasks: &TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let config = node.config.load();
    let most = rest::load::Most {
        total: config.rest_max_connections as usize,
        of_address: config.rest_max_connections_per_address as usize,
    };
    let place = rest::load::Place::take(node, peer.ip(), most);
    let Some(place) = place.filter(|_| node.clients.len() < config.maxclients as usize) else {
        stats::add(&node.stats.rejected, 1);
        return;
    };
    stats::add(&node.stats.connections, 1);
    let local = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let client = node.clients.add(peer.to_string(), local, clock::unix_ms());
    end_if_stopping(node, &client);
    let node = Arc::clone(node);
    tasks.spawn(async move {
        let _place = place;
        let _registered = Registered { node: Arc::clone(&node), id: client.id };
        envoy::serve(node, stream, client).await;
    });
}

/// One connection, from its first byte to its last. A panic in it ends it and nothing else.
async fn serve(registered: Registered, mut connection: Box<Connection<Stream>>) {
    // What few connections come to is boxed, so that the others have no room for it.
    match connection.run().await {
        End::Closed => Box::pin(tls::farewell(connection)).await,
        End::Follow(rest) => {
            let node = Arc::clone(&registered.node);
            let (stream, session) = connection.into_parts();
            Box::pin(replicate::follower::serve(node, stream, session, rest)).await;
        }
        End::Io(error) => tracing::debug!("client {}: {error}", registered.id),
    }
}

/// Likewise, with the handshake of TLS before it. What that takes of memory is given back before
/// the connection is served.
async fn serve_secret(registered: Registered, stream: TcpStream, session: Session) {
    match Box::pin(registered.node.tls.accept(TlsDoor::Resp, stream)).await {
        Ok(stream) => {
            let connection = open(&registered.node, stream, session);
            serve(registered, connection).await;
        }
        Err(error) => tracing::debug!("client {}: TLS: {error}", registered.id),
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
