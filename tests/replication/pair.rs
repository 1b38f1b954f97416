//! A node as the tests see it, and the comparison of two.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::expect::{Dialect, Expect};
use crate::support::notation::arguments;
use crate::support::reply::Reply;
use crate::support::resp::{Connection, Protocol};
use crate::support::server::{Program, Server, pause};

/// How often something that must come true is asked for, with a pause of 10 ms each time.
const PATIENCE: usize = 3000;

/// Databases that the tests use.
const DATABASES: usize = 4;

/// A server with a connection to it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) server: Server,
    connection: Connection,
}

/// What a key holds: its type, its value with fields in order, when it expires.
pub(crate) type Held = (String, Vec<Vec<u8>>, i64);

/// Everything that a node holds, by database and key.
pub(crate) type Contents = BTreeMap<(usize, Vec<u8>), Held>;

impl Node {
    /// Starts a server with these options, separated by blanks.
    pub(crate) fn start(program: Program, options: &str) -> Result<Node, String> {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        Node::start_with(program, &options)
    }

    /// Likewise, each option and value a word of its own, whatever is in it.
    pub(crate) fn start_with(program: Program, options: &[String]) -> Result<Node, String> {
        let server = Server::start(program, options)?;
        let connection = server.connect()?;
        Ok(Node { server, connection })
    }

    /// Starts an Eave that leads.
    pub(crate) fn leader() -> Result<Node, String> {
        Node::start(Program::Eave, "")
    }

    /// Starts an Eave that follows whoever listens at `leader`.
    pub(crate) fn following(leader: SocketAddr) -> Result<Node, String> {
        // A word of its own for each: host and port are two arguments of one directive.
        Node::start(Program::Eave, &format!("--replicaof {} {}", leader.ip(), leader.port()))
    }

    /// Likewise, one that refuses writes.
    pub(crate) fn rejecting(leader: SocketAddr) -> Result<Node, String> {
        let replicaof = format!("--replicaof {} {}", leader.ip(), leader.port());
        Node::start(Program::Eave, &format!("{replicaof} --replica-writes reject"))
    }

    /// Likewise, one that forwards writes, with further options, once it does.
    pub(crate) fn forwarding(leader: SocketAddr, options: &str) -> Result<Node, String> {
        let replicaof = format!("--replicaof {} {}", leader.ip(), leader.port());
        let mut node = Node::start(Program::Eave, &format!("{replicaof} {options}"))?;
        node.wait_for("master_link_status", "up")?;
        node.wait_for("replica_forward_link", "up")?;
        Ok(node)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.resp
    }

    /// A further connection.
    pub(crate) fn connect(&self) -> Result<Connection, String> {
        self.server.connect()
    }

    /// Asks a command given as words, in quotes where they have blanks.
    pub(crate) fn ask(&mut self, command: &str) -> Result<Reply, String> {
        let words = arguments(command)?;
        let reply = self.connection.call(&words).map_err(|error| format!("{command}: {error}"))?;
        if reply != Reply::Closed {
            return Ok(reply);
        }
        // A sentinel closes the connections of clients when it changes who leads.
        self.connection = self.server.connect()?;
        self.connection.call(&words).map_err(|error| format!("{command}: {error}"))
    }

    /// Asks a command given as its arguments, blanks in them included.
    pub(crate) fn ask_all(&mut self, args: &[&str]) -> Result<Reply, String> {
        self.connection.call(args).map_err(|error| format!("{args:?}: {error}"))
    }

    /// Asks a command, the answer to which must be this, in the notation of scripts.
    pub(crate) fn expect(&mut self, command: &str, answer: &str) -> Result<(), String> {
        let reply = self.ask(command)?;
        let fits = reply.to_string() == answer
            || Expect::parse(answer)
                .is_ok_and(|wanted| wanted.matches(&reply, Dialect::Resp(Protocol::Resp2)));
        if fits { Ok(()) } else { Err(format!("{command}: {reply}, not {answer}")) }
    }

    /// A field of INFO; empty when there is none.
    pub(crate) fn info(&mut self, field: &str) -> Result<String, String> {
        let Some(text) = self.ask("INFO everything")?.text() else {
            return Err("INFO is no text".to_owned());
        };
        let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(found.unwrap_or_default().to_owned())
    }

    /// Waits until a field of INFO has this value.
    pub(crate) fn wait_for(&mut self, field: &str, value: &str) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..PATIENCE {
            last = self.info(field)?;
            if last == value {
                return Ok(());
            }
            pause(Duration::from_millis(10));
        }
        let log = self.server.log_tail();
        Err(format!("{field} is still '{last}' and not '{value}':\n{log}"))
    }

    /// Waits until a counter of INFO is at least `least`.
    pub(crate) fn wait_for_count(&mut self, field: &str, least: u64) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..PATIENCE {
            last = self.info(field)?;
            if last.parse::<u64>().is_ok_and(|count| count >= least) {
                return Ok(());
            }
            pause(Duration::from_millis(10));
        }
        Err(format!("{field} is still {last} and not {least}:\n{}", self.server.log_tail()))
    }

    /// Waits until this node, a replica, is connected and has applied all of `leader`'s log.
    pub(crate) fn catch_up(&mut self, leader: &mut Node) -> Result<(), String> {
        self.wait_for("master_link_status", "up")?;
        let offset = leader.info("master_repl_offset")?;
        let offset = offset.parse().map_err(|_| format!("offset '{offset}'"))?;
        self.wait_for_count("slave_repl_offset", offset)
    }

    /// Everything in the databases that tests use. Absent keys do not show, due ones neither.
    pub(crate) fn contents(&mut self) -> Result<Contents, String> {
        let mut contents = Contents::new();
        for db in 0..DATABASES {
            self.expect(&format!("SELECT {db}"), "OK")?;
            for key in bytes(self.ask("KEYS *")?)? {
                if let Some(held) = self.held(&key)? {
                    contents.insert((db, key), held);
                }
            }
        }
        self.expect("SELECT 0", "OK")?;
        Ok(contents)
    }

    fn held(&mut self, key: &[u8]) -> Result<Option<Held>, String> {
        let kind = self.connection.call(&[b"TYPE", key])?.text().unwrap_or_default();
        let value = match kind.as_str() {
            "none" => return Ok(None),
            "string" => match self.connection.call(&[b"GET", key])? {
                Reply::Bulk(value) => vec![value],
                _ => return Ok(None),
            },
            "hash" => {
                let flat = bytes(self.connection.call(&[b"HGETALL", key])?)?;
                let mut pairs: Vec<&[Vec<u8>]> = flat.chunks(2).collect();
                pairs.sort();
                pairs.concat()
            }
            // Looking at a limiter tells of the present moment; that it is there must do.
            _ => Vec::new(),
        };
        let expiry = match self.connection.call(&[b"PEXPIRETIME", key])? {
            Reply::Integer(at) => at,
            other => return Err(format!("PEXPIRETIME: {other}")),
        };
        Ok(Some((kind, value, expiry)))
    }
}

/// The elements of an array of bulk strings.
fn bytes(reply: Reply) -> Result<Vec<Vec<u8>>, String> {
    let Reply::Array(items) = reply else { return Err(format!("{reply} is no array")) };
    items
        .into_iter()
        .map(|item| match item {
            Reply::Bulk(bytes) => Ok(bytes),
            other => Err(format!("{other} is no bulk string")),
        })
        .collect()
}

/// Waits until `replica` has applied everything, and compares what the two hold.
pub(crate) fn assert_same(leader: &mut Node, replica: &mut Node) -> Result<Contents, String> {
    replica.catch_up(leader)?;
    let (wanted, found) = (leader.contents()?, replica.contents()?);
    for (key, held) in &wanted {
        let other = found.get(key);
        if other != Some(held) {
            return Err(format!("{}: {held:?} there, {other:?} here", show(key)));
        }
    }
    match found.keys().find(|key| !wanted.contains_key(*key)) {
        Some(key) => Err(format!("{} is here and not there", show(key))),
        None => Ok(wanted),
    }
}

fn show((db, key): &(usize, Vec<u8>)) -> String {
    format!("key {} of database {db}", key.escape_ascii())
}
