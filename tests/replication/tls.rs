//! Links over TLS: both sides show certificates, and are refused without.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Outcome;
use crate::authority::{Authority, Files, in_file, shown_by};
use crate::pair::{Node, assert_same};
use crate::proxy::Proxy;
use crate::support::server::free_address;
use crate::support::server::{Program, pause};
use crate::writer::write;

/// Whom a node follows, if anybody.
type Leader = Option<SocketAddr>;

/// What a node has to show, and whom it believes.
struct Papers<'a> {
    authority: &'a Authority,
    /// As a server.
    own: Files,
    /// Towards its leader; the same where there is none.
    client: Option<Files>,
}

impl<'a> Papers<'a> {
    fn new(authority: &'a Authority, name: &str) -> Papers<'a> {
        Papers { authority, own: authority.issue(name), client: None }
    }

    fn options(&self) -> String {
        let Files { certificate, key } = &self.own;
        let mut options = format!(
            "--tls-replication yes --tls-ca-cert-file {} --tls-cert-file {certificate} \
             --tls-key-file {key}",
            self.authority.file()
        );
        if let Some(Files { certificate, key }) = &self.client {
            options.push_str(&format!(
                " --tls-client-cert-file {certificate} --tls-client-key-file {key}"
            ));
        }
        options
    }
}

/// Starts a node with a port for TLS; answers that too.
fn start(
    program: Program,
    papers: &Papers<'_>,
    leader: Leader,
    more: &str,
) -> Result<(Node, SocketAddr), String> {
    let tls = free_address();
    let mut options = format!("{} --tls-port {} {more}", papers.options(), tls.port());
    if let Some(leader) = leader {
        options.push_str(&format!(" --replicaof {} {}", leader.ip(), leader.port()));
    }
    if program == Program::Redis {
        options.push_str(" --repl-diskless-sync-delay 0");
    }
    Ok((Node::start(program, &options)?, tls))
}

/// A copy, the stream, a broken link, and the lead handed over and back, all of it over TLS.
fn everything_goes_over_tls(programs: [Program; 2]) -> Outcome {
    let authority = Authority::new();
    let mut papers = Papers::new(&authority, "node");
    papers.client = Some(authority.issue("replica"));
    let (mut leader, at) = start(programs[0], &papers, None, "")?;
    write(&mut leader.connect()?, 31, 1000)?;
    let proxy = Proxy::start(at)?;
    let (mut replica, replica_at) = start(programs[1], &papers, Some(proxy.address), "")?;
    assert!(assert_same(&mut leader, &mut replica)?.len() > 100, "the copy");
    write(&mut leader.connect()?, 32, 300)?;
    assert_same(&mut leader, &mut replica)?;
    // The leader knows under which port the replica can be spoken to over TLS.
    let told = leader.info("slave0")?;
    assert!(told.contains(&format!(",port={},", replica_at.port())), "{told}");
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    write(&mut leader.connect()?, 33, 300)?;
    proxy.restore(at);
    assert_same(&mut leader, &mut replica)?;
    let synced = (leader.info("sync_full")?, leader.info("sync_partial_ok")?);
    assert_eq!(synced, ("1".into(), "1".into()));
    hand_over(&mut leader, &mut replica)?;
    replica.expect("SET handed over", "OK")?;
    assert_same(&mut replica, &mut leader)?;
    hand_over(&mut replica, &mut leader)?;
    leader.expect("SET handed back", "OK")?;
    assert_same(&mut leader, &mut replica)?;
    Ok(())
}

fn hand_over(from: &mut Node, to: &mut Node) -> Result<(), String> {
    let mut answer = String::new();
    // Redis does not know that a copy was taken until it is told so.
    for _ in 0..1000 {
        answer = from.ask("FAILOVER")?.to_string();
        if answer == "OK" {
            break;
        }
        pause(Duration::from_millis(10));
    }
    if answer != "OK" {
        return Err(format!("FAILOVER: {answer}"));
    }
    to.wait_for("role", "master")?;
    from.wait_for("master_failover_state", "no-failover")?;
    from.wait_for("master_link_status", "up")
}

#[test]
fn between_eave_nodes() -> Outcome {
    everything_goes_over_tls([Program::Eave, Program::Eave])
}

#[test]
fn redis_follows_eave() -> Outcome {
    everything_goes_over_tls([Program::Eave, Program::Redis])
}

#[test]
fn eave_follows_redis() -> Outcome {
    everything_goes_over_tls([Program::Redis, Program::Eave])
}

/// What a client asks of a replica goes to the leader over TLS too, with the user's name and
/// password where the leader asks for those.
#[test]
fn writes_are_forwarded_over_tls() -> Outcome {
    let authority = Authority::new();
    let papers = Papers::new(&authority, "node");
    let (mut leader, at) = start(Program::Eave, &papers, None, "--tls-auth-clients no")?;
    leader.expect("ACL SETUSER link on >secret ~* &* +@all", "OK")?;
    leader.expect("ACL SETUSER default resetpass", "OK")?;
    let secret = "--masteruser link --masterauth secret";
    let (mut replica, _) = start(Program::Eave, &papers, Some(at), secret)?;
    replica.wait_for("replica_forward_link", "up")?;
    replica.expect("SET k v", "OK")?;
    replica.expect("GET k", "\"v\"")?;
    replica.expect("MULTI", "OK")?;
    replica.expect("INCR n", "QUEUED")?;
    replica.expect("EXEC", "[1]")?;
    assert_eq!(assert_same(&mut leader, &mut replica)?.len(), 2);
    // Nothing of it was said in the clear.
    let (mut other, _) = start(Program::Eave, &papers, Some(leader.address()), secret)?;
    wait_for_word(&mut other, "no link to the leader")?;
    assert_eq!(leader.info("connected_slaves")?, "1");
    Ok(())
}

/// Who is not let in, and whom a replica does not believe, whatever else is right.
#[test]
fn who_shows_another_authoritys_certificate_is_refused() -> Outcome {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let papers = Papers::new(&authority, "node");
    let (mut leader, at) = start(Program::Eave, &papers, None, "")?;
    leader.expect("SET k v", "OK")?;
    let mut foreign = Papers::new(&authority, "replica");
    foreign.client = Some(stranger.issue("replica"));
    let (mut refused, _) = start(Program::Eave, &foreign, Some(at), "")?;
    wait_for_word(&mut refused, "no link to the leader")?;
    let believes = Papers::new(&stranger, "replica");
    let (mut doubting, _) = start(Program::Eave, &believes, Some(at), "")?;
    wait_for_word(&mut doubting, "invalid peer certificate")?;
    // A replica that comes later and is let in shows that the leader has looked at all of them.
    let (mut good, _) = start(Program::Eave, &papers, Some(at), "")?;
    assert_same(&mut leader, &mut good)?;
    assert_eq!(leader.info("connected_slaves")?, "1");
    for node in [&mut refused, &mut doubting] {
        assert_eq!(node.info("master_link_status")?, "down");
        node.expect("DBSIZE", "0")?;
    }
    // Nobody is cut off for ever: it is enough to show the right one.
    let Files { certificate, key } = authority.issue("mended");
    let mended = format!("CONFIG SET tls-client-cert-file {certificate} tls-client-key-file {key}");
    refused.expect(&mended, "OK")?;
    assert_same(&mut leader, &mut refused)?;
    Ok(())
}

/// Waits until a node's log says so.
fn wait_for_word(node: &mut Node, word: &str) -> Result<(), String> {
    for _ in 0..3000 {
        if node.server.log_tail().contains(word) {
            return Ok(());
        }
        pause(Duration::from_millis(10));
    }
    Err(format!("the log does not say '{word}':\n{}", node.server.log_tail()))
}

#[test]
fn certificates_change_while_a_link_stands() -> Outcome {
    let authority = Authority::new();
    let papers = Papers::new(&authority, "node");
    let (mut leader, at) = start(Program::Eave, &papers, None, "")?;
    let proxy = Proxy::start(at)?;
    let (mut replica, _) = start(Program::Eave, &papers, Some(proxy.address), "")?;
    leader.expect("SET before v", "OK")?;
    assert_same(&mut leader, &mut replica)?;
    let new = authority.issue("another");
    let change = format!("CONFIG SET tls-cert-file {} tls-key-file {}", new.certificate, new.key);
    for node in [&mut leader, &mut replica] {
        node.expect(&change, "OK")?;
    }
    assert_eq!(shown_by(&mut authority.connect(at, Some(&new))), in_file(&new));
    leader.expect("SET after v", "OK")?;
    assert_same(&mut leader, &mut replica)?;
    // The same link all the time.
    let synced = (leader.info("sync_full")?, leader.info("sync_partial_ok")?);
    assert_eq!(synced, ("1".into(), "0".into()));
    proxy.cut();
    replica.wait_for("master_link_status", "down")?;
    proxy.restore(at);
    leader.expect("SET again v", "OK")?;
    assert_same(&mut leader, &mut replica)?;
    let synced = (leader.info("sync_full")?, leader.info("sync_partial_ok")?);
    assert_eq!(synced, ("1".into(), "1".into()));
    Ok(())
}
