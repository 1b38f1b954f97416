//! The replica's way through a session, one answer at a time and under every split.

use eave_replication::payload::{EofMark, Framing};
use eave_replication::replica::{
    Action, Credentials, Event, Introduction, LinkError, Replica, ReplicaConfig,
};
use eave_replication::status::LinkState;
use eave_replication::wire::{self, WireError};
use eave_replication::{Position, ReplicationId};

const ID: ReplicationId = ReplicationId::from_random([7; 20]);
const AT: Position = Position { id: ID, offset: 100 };

fn config() -> ReplicaConfig {
    ReplicaConfig {
        introduction: Introduction { listening_port: 6380, ..Introduction::default() },
        ..ReplicaConfig::default()
    }
}

fn connected(config: ReplicaConfig, position: Option<Position>) -> Replica {
    let mut replica = Replica::new(config, position, 0);
    assert_eq!(replica.step(Event::Tick, 0), [Action::Connect]);
    assert_eq!(replica.step(Event::Connected, 0), [Action::Send(wire::PING.to_vec())]);
    replica
}

/// Offers bytes until all are taken, installing snapshots at once; what was done, in words.
fn feed(replica: &mut Replica, mut bytes: &[u8], log: &mut Vec<String>) {
    while !bytes.is_empty() {
        let mut actions = Vec::new();
        let taken = replica.receive(bytes, 0, &mut actions);
        bytes = &bytes[taken..];
        for action in &actions {
            note(action, log);
        }
        if actions.contains(&Action::Install) {
            for action in replica.step(Event::Installed, 0) {
                note(&action, log);
            }
        }
    }
}

/// Writes an action down, joining pieces of the snapshot and of the stream.
fn note(action: &Action<'_>, log: &mut Vec<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", " ");
    let (kind, more) = match action {
        Action::Send(bytes) => return log.push(format!("send {}", text(bytes))),
        Action::Load(bytes) => ("load ", text(bytes)),
        Action::Apply(bytes) => ("apply ", text(bytes)),
        Action::BeginLoad { position, .. } => {
            return log.push(format!("begin {}", position.offset));
        }
        other => return log.push(format!("{other:?}")),
    };
    match log.last_mut() {
        Some(last) if last.starts_with(kind) => last.push_str(&more),
        _ => log.push(format!("{kind}{more}")),
    }
}

fn session(parts: &[&[u8]]) -> Vec<String> {
    let (mut replica, mut log) = (connected(config(), None), Vec::new());
    for part in parts {
        feed(&mut replica, part, &mut log);
    }
    log
}

fn leader_says(framing: Framing) -> Vec<u8> {
    let mark = match &framing {
        Framing::Length(_) => [].as_slice(),
        Framing::EofMark(mark) => mark.as_bytes(),
    };
    let handshake = b"+PONG\r\n+OK\r\n-ERR Unrecognized REPLCONF option: capa\r\n\n".as_slice();
    let (line, header) = (wire::full_resync(AT), framing.header());
    [handshake, &line, b"\n\n", &header, b"REDIS0011", mark, b"stream"].concat()
}

#[test]
fn a_session_is_the_same_however_it_is_split() {
    for framing in [Framing::Length(9), Framing::EofMark(EofMark::from_random([3; 20]))] {
        let bytes = leader_says(framing);
        let whole = session(&[&bytes]);
        assert_eq!(
            whole,
            [
                "send *3 $8 REPLCONF $14 listening-port $4 6380 \
                 *7 $8 REPLCONF $4 capa $3 eof $4 capa $6 psync2 $4 capa $4 eave ",
                "send *3 $5 PSYNC $1 ? $2 -1 ",
                "begin 100",
                "load REDIS0011",
                "Install",
                "send *3 $8 REPLCONF $3 ACK $3 100 ",
                "apply stream",
            ]
        );
        for split in 0..=bytes.len() {
            assert_eq!(session(&[&bytes[..split], &bytes[split..]]), whole, "split at {split}");
        }
        assert_eq!(session(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    }
}

/// A replica that streams, having resumed at [`AT`].
fn streaming() -> Replica {
    let mut replica = connected(config(), Some(AT));
    let mut log = Vec::new();
    feed(&mut replica, b"+PONG\r\n+OK\r\n+OK\r\n+CONTINUE\r\n", &mut log);
    assert_eq!(log[1], format!("send *3 $5 PSYNC $40 {ID} $3 101 "));
    assert_eq!(log[3], "send *3 $8 REPLCONF $3 ACK $3 100 ");
    replica
}

#[test]
fn only_applied_bytes_count() {
    let mut replica = streaming();
    replica.receive(b"0123456789", 10, &mut Vec::new());
    assert_eq!(replica.step(Event::AckRequested, 10), [Action::Send(wire::ack(100))]);
    replica.step(Event::Applied(4), 10);
    assert_eq!(replica.step(Event::Tick, 999), []);
    assert_eq!(replica.step(Event::Tick, 1010), [Action::Send(wire::ack(104))]);
    let status = replica.status(1010);
    assert_eq!(
        (status.received, status.state.name(), status.heard_ago_ms),
        (110, "connected", 1000)
    );
    assert_eq!(replica.step(Event::Closed, 2000), [Action::Close(LinkError::Closed)]);
    assert_eq!(replica.status(2000).received, 104);
    assert_eq!(replica.position(), Some(Position { offset: 104, ..AT }));
}

#[test]
fn a_new_id_is_adopted() {
    let mut replica = connected(config(), Some(AT));
    let new = ReplicationId::from_random([8; 20]);
    let mut log = Vec::new();
    let line = wire::continue_as(Some(new));
    feed(&mut replica, &[b"+PONG\r\n+OK\r\n+OK\r\n", line.as_slice()].concat(), &mut log);
    assert_eq!(replica.position(), Some(Position { id: new, ..AT }));
}

#[test]
fn a_broken_full_sync_is_forgotten() {
    let mut replica = connected(config(), Some(AT));
    let bytes = leader_says(Framing::Length(9));
    feed(&mut replica, &bytes[..bytes.len() - 10], &mut Vec::new());
    assert_eq!((replica.position(), replica.status(0).state), (None, LinkState::Sync));
    assert_eq!(replica.status(0).payload.and_then(|payload| payload.total), Some(9));
    // It tells the leader that it is alive, and gives up on silence.
    assert_eq!(replica.step(Event::Tick, 1000), [Action::Send(b"\n".to_vec())]);
    let broken = [Action::DiscardLoad, Action::Close(LinkError::Timeout)];
    assert_eq!(replica.step(Event::Tick, 60_001), broken);
    replica.step(Event::Tick, 61_000);
    replica.step(Event::Connected, 61_000);
    let mut log = Vec::new();
    feed(&mut replica, b"+PONG\r\n+OK\r\n+OK\r\n", &mut log);
    assert_eq!(log[1], "send *3 $5 PSYNC $1 ? $2 -1 ");
}

#[test]
fn the_stream_waits_for_the_installation() {
    let mut replica = connected(config(), None);
    let bytes = leader_says(Framing::Length(9));
    let mut actions = Vec::new();
    let taken = replica.receive(&bytes, 0, &mut actions);
    assert_eq!((&bytes[taken..], actions.last()), (b"stream".as_slice(), Some(&Action::Install)));
    assert_eq!(replica.receive(b"stream", 0, &mut actions), 0);
    // Installing may take longer than the leader may be silent.
    assert_eq!(replica.step(Event::Tick, 100_000), [Action::Send(b"\n".to_vec())]);
    let failed = [Action::DiscardLoad, Action::Close(LinkError::InstallFailed)];
    assert_eq!(replica.step(Event::InstallFailed, 100_000), failed);
    assert_eq!(replica.step(Event::Installed, 100_000), [], "too late");
    assert_eq!(replica.position(), None);
}

#[test]
fn refusals_are_reported_and_tried_again_ever_later() {
    let mut replica = Replica::new(config(), Some(AT), 0);
    let (mut now_ms, mut waits) = (0, Vec::new());
    for _ in 0..9 {
        assert_eq!(replica.step(Event::Tick, now_ms), [Action::Connect]);
        replica.step(Event::Connected, now_ms);
        let mut actions = Vec::new();
        let answers = b"+PONG\r\n+OK\r\n+OK\r\n-NOMASTERLINK Can't SYNC\r\n";
        replica.receive(answers, now_ms, &mut actions);
        let refused = LinkError::Refused("NOMASTERLINK Can't SYNC".into());
        assert_eq!(actions.last(), Some(&Action::Close(refused)));
        waits.extend(replica.status(now_ms).retry_in_ms);
        now_ms += waits.last().unwrap_or(&0);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert_eq!(replica.position(), Some(AT), "a refusal costs nothing");
}

#[test]
fn passwords_are_sent_and_never_printed() {
    let mut config = config();
    config.introduction.credentials =
        Some(Credentials { user: Some("replica".into()), password: "hunter2".into() });
    assert!(!format!("{config:?}").contains("hunter2"));
    for (ping, auth, works) in
        [("-NOAUTH Authentication required.", "+OK", true), ("+PONG", "-WRONGPASS invalid", false)]
    {
        let (mut replica, mut log) = (connected(config.clone(), None), Vec::new());
        feed(&mut replica, format!("{ping}\r\n{auth}\r\n+OK\r\n+OK\r\n").as_bytes(), &mut log);
        assert!(log[0].starts_with("send *3 $4 AUTH $7 replica $7 hunter2 *3 $8 REPLCONF"));
        assert_eq!(log[1].starts_with("send *3 $5 PSYNC"), works, "{log:?}");
        let denied = Some(LinkError::Denied("WRONGPASS invalid".into()));
        assert_eq!(replica.status(0).last_error == denied, !works);
    }
}

#[test]
fn hostile_leaders_get_an_error() {
    let introduced = b"+PONG\r\n+OK\r\n+OK\r\n".as_slice();
    let synced = [introduced, &wire::full_resync(AT)].concat();
    let endless = vec![b'+'; 5000];
    for (bytes, error) in [
        (endless.clone(), WireError::LineTooLong),
        (b"$5\r\nhello\r\n".to_vec(), WireError::UnexpectedLine("$5".into())),
        ([introduced, b"+CONTINUE\r\n"].concat(), WireError::UnexpectedLine("+CONTINUE".into())),
        ([introduced, b"+OK\r\n"].concat(), WireError::UnexpectedLine("+OK".into())),
        ([&synced, b"$9999999999999999\r\n".as_slice()].concat(), WireError::PayloadTooLong),
        ([&synced, endless.as_slice()].concat(), WireError::LineTooLong),
        ([&synced, b"-ERR\r\n".as_slice()].concat(), WireError::UnexpectedLine("-ERR".into())),
    ] {
        let mut replica = connected(config(), None);
        let mut actions = Vec::new();
        assert_eq!(replica.receive(&bytes, 0, &mut actions), bytes.len());
        assert_eq!(actions.last(), Some(&Action::Close(LinkError::Protocol(error))));
    }
}

#[test]
fn events_that_do_not_fit_are_ignored() {
    let mut replica = Replica::new(config(), None, 0);
    for event in [
        Event::Connected,
        Event::ConnectFailed,
        Event::Closed,
        Event::Applied(5),
        Event::AckRequested,
        Event::Installed,
        Event::InstallFailed,
    ] {
        assert_eq!(replica.step(event, 0), [], "{event:?}");
    }
    let mut actions = Vec::new();
    assert_eq!(replica.receive(b"late", 0, &mut actions), 4);
    assert_eq!((actions.len(), replica.position()), (0, None));
}
