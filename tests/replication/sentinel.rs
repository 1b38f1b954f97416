//! Debian's redis-sentinel supervises three Eave nodes: it notices that the leader is gone,
//! promotes a replica, points the other at it, and the old leader too when it is back.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::pair::{Node, assert_same};
use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::free_address;
use crate::support::server::{Program, pause};

/// How often something that must come true is asked for, with a pause of 20 ms each time.
const PATIENCE: usize = 3000;

/// A sentinel, ended when dropped.
struct Sentinel {
    child: Child,
    folder: std::path::PathBuf,
    address: SocketAddr,
}

impl Sentinel {
    fn start(leader: SocketAddr) -> Result<Sentinel, String> {
        let say = |error: std::io::Error| format!("sentinel: {error}");
        let address = free_address();
        let name = format!("eave-sentinel-{}-{}", std::process::id(), address.port());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).map_err(say)?;
        let file = folder.join("sentinel.conf");
        let (ip, port) = (leader.ip(), leader.port());
        let text = format!(
            "port {}\nbind 127.0.0.1\ndir {}\nlogfile {}\n\
             sentinel monitor eave {ip} {port} 1\nsentinel down-after-milliseconds eave 1500\n\
             sentinel failover-timeout eave 6000\nsentinel parallel-syncs eave 1\n",
            address.port(),
            folder.display(),
            folder.join("log").display()
        );
        fs::write(&file, text).map_err(say)?;
        let child = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| format!("could not run: redis-server --sentinel ({error})"))?;
        Ok(Sentinel { child, folder, address })
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn ask(&self, command: &str) -> Result<Reply, String> {
        let mut connection = Connection::open(self.address)?;
        connection.call(&command.split_whitespace().collect::<Vec<_>>())
    }

    /// Waits until an answer is this, or begins so.
    fn wait_for(&self, command: &str, answer: impl Fn(&str) -> bool) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..PATIENCE {
            if let Ok(reply) = self.ask(command) {
                last = reply.to_string();
                if answer(&last) {
                    return Ok(());
                }
            }
            pause(Duration::from_millis(20));
        }
        Err(format!("{command} is still {last}:\n{}", self.log()))
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start(port: Option<u16>, leader: Option<SocketAddr>) -> Result<Node, String> {
    let mut options = String::new();
    if let Some(port) = port {
        options.push_str(&format!(" --port {port}"));
    }
    if let Some(leader) = leader {
        options.push_str(&format!(" --replicaof {} {}", leader.ip(), leader.port()));
    }
    Node::start(Program::Eave, &options)
}

#[test]
fn a_sentinel_fails_over_and_takes_the_old_leader_back() -> Outcome {
    let mut leader = start(None, None)?;
    let old = leader.address();
    let mut replicas = [start(None, Some(old))?, start(None, Some(old))?];
    leader.expect("SET a 1", "OK")?;
    for replica in &mut replicas {
        replica.catch_up(&mut leader)?;
    }
    let sentinel = Sentinel::start(old)?;
    // It finds the replicas by the leader's INFO.
    sentinel.wait_for("SENTINEL REPLICAS eave", |list| list.matches("\"runid\"").count() == 2)?;
    sentinel.wait_for("SENTINEL REPLICAS eave", |list| {
        list.matches("\"master-link-status\" \"ok\"").count() == 2
    })?;
    sentinel.wait_for("SENTINEL CKQUORUM eave", |answer| answer.starts_with("OK 1 usable"))?;
    // The process is killed: nothing is said in farewell.
    drop(leader);
    sentinel.wait_for("SENTINEL GET-MASTER-ADDR-BY-NAME eave", |address| {
        !address.contains(&format!("\"{}\"", old.port()))
    })?;
    let [first, second] = replicas;
    let mut nodes = vec![first, second];
    let now = leader_of(&sentinel, &mut nodes)?;
    nodes[now].expect("SET b 2", "OK")?;
    // The old one comes back as a leader, empty, and is made to follow.
    nodes.push(start(Some(old.port()), None)?);
    nodes[2].wait_for("role", "slave")?;
    let now = leader_of(&sentinel, &mut nodes)?;
    let mut new = nodes.swap_remove(now);
    for other in &mut nodes {
        assert_eq!(assert_same(&mut new, other)?.len(), 2);
    }
    Ok(())
}

/// Waits until one of the nodes leads, whom the sentinel names, and the others follow that one.
fn leader_of(sentinel: &Sentinel, nodes: &mut [Node]) -> Result<usize, String> {
    for _ in 0..PATIENCE {
        let named = sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME eave")?.to_string();
        let port = |node: &Node| node.address().port().to_string();
        let found = nodes.iter().position(|node| named.contains(&format!("\"{}\"", port(node))));
        if let Some(leader) = found {
            let wanted = port(&nodes[leader]);
            let mut agree = nodes[leader].info("role")? == "master";
            for (index, node) in nodes.iter_mut().enumerate() {
                agree &= index == leader
                    || (node.info("master_port")? == wanted
                        && node.info("master_link_status")? == "up");
            }
            if agree {
                return Ok(leader);
            }
        }
        pause(Duration::from_millis(20));
    }
    Err(format!("they do not agree who leads:\n{}", sentinel.log()))
}

#[test]
fn a_sentinel_fails_over_when_it_is_asked_to() -> Outcome {
    let mut leader = start(None, None)?;
    let mut replica = start(None, Some(leader.address()))?;
    leader.expect("SET a 1", "OK")?;
    replica.catch_up(&mut leader)?;
    let sentinel = Sentinel::start(leader.address())?;
    sentinel.wait_for("SENTINEL REPLICAS eave", |list| {
        list.contains("\"master-link-status\" \"ok\"")
    })?;
    sentinel.wait_for("SENTINEL FAILOVER eave", |answer| answer == "OK")?;
    replica.wait_for("role", "master")?;
    leader.wait_for("role", "slave")?;
    replica.expect("SET b 2", "OK")?;
    assert_same(&mut replica, &mut leader)?;
    // Its last messages went to nobody; of writes it gave up none.
    assert_eq!(leader.info("eave_diverged_commands")?, "0");
    Ok(())
}
