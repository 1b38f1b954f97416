//! The socket for clients of this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::server::{Program, Server};
use crate::talk::{ask, hear, wait_for};

fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("eave-{}-{name}.sock", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn start(program: Program, path: &Path, more: &[&str]) -> Server {
    let own = ["--unixsocket", path.to_str().expect("it is text")];
    let options: Vec<String> = own.iter().chain(more).map(|word| (*word).to_owned()).collect();
    let server = Server::start(program, &options).expect("the server answers");
    wait_for("nobody listens", || UnixStream::connect(path).is_ok());
    server
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it can be set");
    stream
}

#[test]
fn a_client_is_answered() {
    for program in [Program::Eave, Program::Redis] {
        let path = path("answered");
        let server = start(program, &path, &["--unixsocketperm", "700"]);
        let mut client = connect(&path);
        assert_eq!(ask(&mut client, &["PING"]), "+PONG\r\n", "{program:?}");
        assert_eq!(ask(&mut client, &["SET", "k", "v"]), "+OK\r\n", "{program:?}");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o700, "{program:?}");
        let shown = ask(&mut client, &["CONFIG", "GET", "unixsocketperm"]);
        assert!(shown.ends_with("$3\r\n700\r\n"), "{program:?}: {shown}");
        let info = ask(&mut client, &["CLIENT", "INFO"]);
        let both = format!(" addr={0}:0 laddr={0}:0 ", path.display());
        assert!(info.contains(&both) && info.contains(" flags=U "), "{program:?}: {info}");
        let gone = Command::new("kill").arg(server.process_id().to_string()).status();
        assert!(gone.expect("there is a kill").success());
        assert_eq!(hear(&mut client), "", "{program:?}");
        wait_for("the file stays", || !path.exists());
    }
}

#[test]
fn protected_mode_and_maxclients_are_heeded() {
    for program in [Program::Eave, Program::Redis] {
        let path = path("places");
        let _server = start(program, &path, &["--protected-mode", "yes"]);
        let mut one = connect(&path);
        assert_eq!(ask(&mut one, &["CONFIG", "SET", "maxclients", "1"]), "+OK\r\n");
        let mut two = connect(&path);
        assert_eq!(hear(&mut two), "-ERR max number of clients reached\r\n", "{program:?}");
        assert_eq!(ask(&mut one, &["PING"]), "+PONG\r\n", "{program:?}");
    }
}

#[test]
fn what_an_earlier_process_has_left_is_no_obstacle() {
    let path = path("left");
    drop(UnixListener::bind(&path).expect("it can be made"));
    assert!(path.exists());
    let _server = start(Program::Eave, &path, &[]);
    assert_eq!(ask(&mut connect(&path), &["PING"]), "+PONG\r\n");
}

#[test]
fn a_file_is_not_removed() {
    let path = path("file");
    fs::write(&path, "precious").expect("there is room");
    let output = Command::new(env!("CARGO_BIN_EXE_eave"))
        .args(["--port", "0", "--rest-port", "0", "--unixsocket"])
        .arg(&path)
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("unixsocket"), "{said}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "precious");
    let _ = fs::remove_file(&path);
}
