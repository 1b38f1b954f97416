//! TLS at both doors.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::authority::{Authority, Files, in_file, shown_by};
use crate::support::reply::Reply;
use crate::support::resp::encode;
use crate::support::server::free_address;
use crate::support::server::{Program, REST_TOKEN, Server, pause};
use crate::talk::{ask, hear, wait_for};

/// Starts a server with TLS on a port of its own.
fn start(
    program: Program,
    authority: &Authority,
    files: &Files,
    more: &[&str],
) -> (Server, SocketAddr) {
    let address = free_address();
    let port = address.port().to_string();
    let own = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &files.certificate,
        "--tls-key-file",
        &files.key,
        "--tls-ca-cert-file",
        &authority.file(),
    ];
    let options: Vec<String> = own.iter().chain(more).map(|word| (*word).to_owned()).collect();
    let server = Server::start(program, &options).expect("the server answers");
    wait_for("nobody listens", || TcpStream::connect(address).is_ok());
    (server, address)
}

#[test]
fn a_client_is_answered() {
    let authority = Authority::new();
    let files = authority.issue("server");
    for program in [Program::Eave, Program::Redis] {
        let (server, address) = start(program, &authority, &files, &["--tls-auth-clients", "no"]);
        let mut client = authority.connect(address, None);
        assert_eq!(ask(&mut client, &["PING"]), "+PONG\r\n", "{program:?}");
        assert_eq!(ask(&mut client, &["SET", "k", "v"]), "+OK\r\n", "{program:?}");
        // The other door shows the same keyspace.
        let mut plain = server.connect().expect("the server answers");
        assert_eq!(plain.call(&["GET", "k"]), Ok(Reply::Bulk(b"v".to_vec())), "{program:?}");
        assert_eq!(ask(&mut client, &["QUIT"]), "+OK\r\n", "{program:?}");
        // A server that is done says so, so that nobody can have cut it short.
        let mut rest = Vec::new();
        assert_eq!(client.read_to_end(&mut rest).map_err(|e| e.kind()), Ok(0), "{program:?}");
    }
}

/// Requests and replies that are larger than any buffer on the way, in pieces and at once.
#[test]
fn large_values_and_pipelines_pass() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let (_server, address) =
        start(Program::Eave, &authority, &files, &["--tls-auth-clients", "no"]);
    let mut client = authority.connect(address, None);
    let value = "x".repeat(5_000_000);
    assert_eq!(ask(&mut client, &["SET", "big", &value]), "+OK\r\n");
    client.write_all(&encode(&["GET", "big"]).repeat(4)).expect("the server takes it");
    client.flush().expect("the server takes it");
    let one = format!("$5000000\r\n{value}\r\n");
    let mut reply = vec![0; one.len()];
    for _ in 0..4 {
        client.read_exact(&mut reply).expect("the server answers");
        assert!(reply == one.as_bytes(), "another value came back");
    }
    let pings = encode(&["PING"]).repeat(20_000);
    let mut writer = client;
    writer.write_all(&pings).expect("the server takes it");
    writer.flush().expect("the server takes it");
    let mut pongs = vec![0; 20_000 * 7];
    writer.read_exact(&mut pongs).expect("the server answers");
    assert!(pongs.chunks(7).all(|pong| pong == b"+PONG\r\n"));
}

#[test]
fn messages_come_without_being_asked_for() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let (server, address) = start(Program::Eave, &authority, &files, &["--tls-auth-clients", "no"]);
    let mut client = authority.connect(address, None);
    assert!(ask(&mut client, &["SUBSCRIBE", "c"]).starts_with("*3\r\n$9\r\nsubscribe"));
    let mut speaker = server.connect().expect("the server answers");
    for n in 0..100 {
        let message = n.to_string();
        assert_eq!(speaker.call(&["PUBLISH", "c", &message]), Ok(Reply::Integer(1)));
        assert!(hear(&mut client).ends_with(&format!("\r\n{message}\r\n")));
    }
}

#[test]
fn clients_show_certificates_as_they_are_asked_to() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let files = authority.issue("server");
    let (good, foreign) = (authority.issue("client"), stranger.issue("client"));
    // Without the directive, Redis asks for one.
    for (setting, none_passes, foreign_passes) in [
        (&[][..], false, false),
        (&["--tls-auth-clients", "yes"][..], false, false),
        (&["--tls-auth-clients", "optional"][..], true, false),
        (&["--tls-auth-clients", "no"][..], true, true),
    ] {
        for program in [Program::Eave, Program::Redis] {
            let (_server, address) = start(program, &authority, &files, setting);
            let answers = |own: Option<&Files>| {
                ask(&mut authority.connect(address, own), &["PING"]) == "+PONG\r\n"
            };
            assert!(answers(Some(&good)), "{program:?} {setting:?}");
            assert_eq!(answers(None), none_passes, "{program:?} {setting:?}");
            assert_eq!(answers(Some(&foreign)), foreign_passes, "{program:?} {setting:?}");
        }
    }
}

#[test]
fn authorities_may_lie_in_a_folder() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let good = authority.issue("client");
    let folder = authority.folder().display().to_string();
    let address = free_address();
    let port = address.port().to_string();
    let options = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        &files.certificate,
        "--tls-key-file",
        &files.key,
        "--tls-ca-cert-dir",
        &folder,
    ];
    let _server = Server::start(Program::Eave, &options.map(str::to_owned)).expect("it starts");
    assert_eq!(ask(&mut authority.connect(address, Some(&good)), &["PING"]), "+PONG\r\n");
    assert_eq!(ask(&mut authority.connect(address, None), &["PING"]), "");
}

#[test]
fn certificates_change_while_connections_stand() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    let more = ["--tls-auth-clients", "no"];
    let (server, address) = start(Program::Eave, &authority, &first, &more);
    let mut standing = authority.connect(address, None);
    assert_eq!(shown_by(&mut standing), in_file(&first));
    let mut operator = server.connect().expect("the server answers");
    let set = ["CONFIG", "SET", "tls-cert-file", &second.certificate, "tls-key-file", &second.key];
    assert_eq!(operator.call(&set), Ok(Reply::Status("OK".into())));
    assert_eq!(shown_by(&mut authority.connect(address, None)), in_file(&second));
    // The same files with another content, and a signal.
    let before = in_file(&second);
    std::fs::copy(&first.certificate, &second.certificate).expect("there is room");
    std::fs::copy(&first.key, &second.key).expect("there is room");
    assert_eq!(shown_by(&mut authority.connect(address, None)), before);
    let hangup = Command::new("kill").args(["-HUP", &server.process_id().to_string()]).status();
    assert!(hangup.expect("there is a kill").success());
    wait_for("SIGHUP changes nothing", || {
        shown_by(&mut authority.connect(address, None)) == in_file(&first)
    });
    // Named again, they are read again too.
    let third = authority.issue("second");
    let again = ["CONFIG", "SET", "tls-cert-file", &third.certificate];
    assert_eq!(operator.call(&again), Ok(Reply::Status("OK".into())));
    assert_eq!(shown_by(&mut authority.connect(address, None)), in_file(&third));
    assert_eq!(ask(&mut standing, &["PING"]), "+PONG\r\n");
}

#[test]
fn what_cannot_be_used_is_refused_and_changes_nothing() {
    let authority = Authority::new();
    let (first, second) = (authority.issue("first"), authority.issue("second"));
    for program in [Program::Eave, Program::Redis] {
        let more = ["--tls-auth-clients", "no"];
        let (server, address) = start(program, &authority, &first, &more);
        let mut operator = server.connect().expect("the server answers");
        for set in [
            ["tls-cert-file", "/nonexistent"],
            ["tls-key-file", &second.key],
            ["tls-key-file", &first.certificate],
            ["tls-protocols", "TLSv9"],
        ] {
            let reply = operator.call(&["CONFIG", "SET", set[0], set[1]]);
            let Ok(Reply::Error(why)) = reply else { panic!("{program:?} {set:?}: {reply:?}") };
            let expected = format!(
                "ERR CONFIG SET failed (possibly related to argument '{}') - Unable to update TLS \
                 configuration. Check server logs.",
                set[0]
            );
            assert_eq!(why, expected, "{program:?}");
        }
        let Ok(Reply::Array(shown)) = operator.call(&["CONFIG", "GET", "tls-cert-file"]) else {
            panic!("{program:?}: no such directive")
        };
        assert_eq!(shown[1], Reply::Bulk(first.certificate.clone().into_bytes()), "{program:?}");
        assert_eq!(shown_by(&mut authority.connect(address, None)), in_file(&first));
    }
}

#[test]
fn a_start_without_what_it_needs_fails() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let port = free_address().port().to_string();
    let whole = ["--tls-cert-file", &files.certificate, "--tls-key-file", &files.key];
    for (options, why) in [
        (&[][..], "tls-cert-file '': it has to be set"),
        (&whole[..2], "tls-key-file '': it has to be set"),
        // Clients are to show certificates, and nobody says of whom.
        (&whole[..], "tls-ca-cert-file or tls-ca-cert-dir has to name an authority"),
        (&["--tls-auth-clients", "no", "--tls-cert-file", "/x"][..], "tls-cert-file '/x': "),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_eave"))
            .args(["--port", "0", "--rest-port", "0", "--tls-port", &port])
            .args(options)
            .output()
            .expect("it can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{options:?}: {said}");
    }
}

#[test]
fn a_client_that_says_nothing_or_nonsense_goes() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let (server, address) = start(Program::Eave, &authority, &files, &["--tls-auth-clients", "no"]);
    let mut plain = TcpStream::connect(address).expect("somebody listens");
    plain.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
    let mut silent = plain.try_clone().expect("it can be held twice");
    // No handshake: an alert at most, and the end.
    let said = ask(&mut plain, &["PING"]);
    assert!(!said.contains("PONG"), "{said}");
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest);
    // Who says nothing holds up nobody, and is cut after ten seconds.
    let mut silent = TcpStream::connect(address).expect("somebody listens");
    silent.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
    assert_eq!(ask(&mut authority.connect(address, None), &["PING"]), "+PONG\r\n");
    assert_eq!(silent.read(&mut [0; 64]).map_err(|error| error.kind()), Ok(0));
    let mut watcher = server.connect().expect("the server answers");
    wait_for("they are still counted", || {
        let list = watcher.call(&["CLIENT", "LIST"]).map(|reply| reply.text().unwrap_or_default());
        list.is_ok_and(|list| list.lines().count() == 1)
    });
}

#[test]
fn versions_are_those_that_are_named() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let more = ["--tls-auth-clients", "no", "--tls-protocols", "TLSv1.2"];
    let (_server, address) = start(Program::Eave, &authority, &files, &more);
    let mut client = authority.connect(address, None);
    assert_eq!(ask(&mut client, &["PING"]), "+PONG\r\n");
    assert_eq!(client.conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
}

#[test]
fn rest_is_answered() {
    let authority = Authority::new();
    let files = authority.issue("server");
    let address = free_address();
    let port = address.port().to_string();
    let options = [
        "--rest-tls-port",
        &port,
        "--tls-cert-file",
        &files.certificate,
        "--tls-key-file",
        &files.key,
        "--tls-auth-clients",
        "no",
    ];
    let _server = Server::start(Program::Eave, &options.map(str::to_owned)).expect("it starts");
    let mut client = authority.connect_with(address, None, &["http/1.1"]);
    for (path, result) in [("set/k/v", "\"OK\""), ("get/k", "\"v\"")] {
        let head = format!(
            "GET /{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {REST_TOKEN}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).expect("the server takes it");
        let answer = hear(&mut client);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with(&format!("{{\"result\":{result}}}")), "{answer}");
    }
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_replica_follows_over_tls() {
    let authority = Authority::new();
    let files = authority.issue("server");
    for leader in [Program::Eave, Program::Redis] {
        let (leading, address) = start(leader, &authority, &files, &[]);
        let port = address.port().to_string();
        let ca = authority.file();
        let options = [
            "--tls-replication",
            "yes",
            "--tls-cert-file",
            &files.certificate,
            "--tls-key-file",
            &files.key,
            "--tls-ca-cert-file",
            &ca,
            "--replicaof",
            "localhost",
            &port,
        ];
        let following = Server::start(Program::Eave, &options.map(str::to_owned));
        let following = following.expect("the server answers");
        let mut writer = leading.connect().expect("the server answers");
        let mut reader = following.connect().expect("the server answers");
        writer.call(&["SET", "k", "1"]).expect("the server answers");
        wait_for("the copy does not come", || {
            reader.call(&["GET", "k"]) == Ok(Reply::Bulk(b"1".to_vec()))
        });
        writer.call(&["SET", "k", "2"]).expect("the server answers");
        wait_for("the stream does not come", || {
            reader.call(&["GET", "k"]) == Ok(Reply::Bulk(b"2".to_vec()))
        });
        pause(Duration::from_millis(1));
    }
}

#[test]
fn redis_cli_is_answered() {
    let authority = Authority::new();
    let (files, own) = (authority.issue("server"), authority.issue("client"));
    let (_server, address) = start(Program::Eave, &authority, &files, &[]);
    let output = Command::new("redis-cli")
        .args(["--tls", "--cacert", &authority.file(), "--cert", &own.certificate])
        .args(["--key", &own.key, "-h", "localhost", "-p", &address.port().to_string(), "PING"])
        .output()
        .expect("could not run: no redis-cli");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "PONG\n");
}
