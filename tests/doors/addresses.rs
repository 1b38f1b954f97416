//! Where the server listens.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::support::server::free_address;
use crate::talk::{ask, wait_for};

/// A server that is ended when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both only fail when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(port: u16, bind: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eave"));
    command.args(["--port", &port.to_string(), "--rest-port", "0", "--bind"]).args(bind);
    Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be run"))
}

fn answers(address: impl Into<SocketAddr>) -> bool {
    TcpStream::connect(address.into())
        .is_ok_and(|mut stream| ask(&mut stream, &["PING"]) == "+PONG\r\n")
}

fn has_ipv6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[test]
fn at_several_addresses() {
    let port = free_address().port();
    let _server = start(port, &["127.0.0.1", "127.0.0.2", "-::1"]);
    wait_for("nobody listens", || answers((Ipv4Addr::LOCALHOST, port)));
    assert!(answers((Ipv4Addr::new(127, 0, 0, 2), port)));
    assert!(!answers((Ipv4Addr::new(127, 0, 0, 3), port)));
    assert_eq!(answers((Ipv6Addr::LOCALHOST, port)), has_ipv6());
}

#[test]
fn at_all_addresses() {
    let port = free_address().port();
    let _server = start(port, &["*", "-::*"]);
    wait_for("nobody listens", || answers((Ipv4Addr::LOCALHOST, port)));
    assert!(answers((Ipv4Addr::new(127, 0, 0, 9), port)));
    assert_eq!(answers((Ipv6Addr::LOCALHOST, port)), has_ipv6());
}

#[test]
fn at_those_that_the_machine_has() {
    let port = free_address().port();
    // An address for documentation: no machine has it.
    let _server = start(port, &["-192.0.2.1", "127.0.0.1"]);
    wait_for("nobody listens", || answers((Ipv4Addr::LOCALHOST, port)));
    let mut server = start(free_address().port(), &["192.0.2.1", "127.0.0.1"]);
    let ended = server.0.wait().expect("it ends");
    assert!(!ended.success());
}

#[test]
fn a_port_that_is_taken_is_named() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there are free ports");
    let port = listener.local_addr().expect("it has an address").port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_eave"))
        .args(["--port", &port, "--rest-port", "0", "--bind", "127.0.0.1"])
        .output()
        .expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(&format!("127.0.0.1:{port}")), "{said}");
}
