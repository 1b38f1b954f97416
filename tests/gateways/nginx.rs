//! nginx in front of a small site, with Eave's gate behind auth_request.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::start;
use crate::support::server::free_address;
use crate::support::server::{REST_TOKEN, pause};

/// How often it is looked whether nginx answers, every ten milliseconds.
const START_PAUSES: usize = 1000;

/// A running nginx and its directory.
struct Nginx {
    child: Child,
    directory: PathBuf,
    address: SocketAddr,
}

/// The configuration of docs/ratelimit.md, with what a process of a test needs around it.
fn configuration(directory: &Path, port: u16, eave: SocketAddr) -> String {
    let root = directory.display();
    // Started by root, its workers would be nobody, who may not read a test's files.
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n");
    let user = if is_root { "user root;" } else { "" };
    format!(
        "daemon off; {user} worker_processes 1; pid {root}/pid; error_log {root}/error.log;
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
            fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi;
            scgi_temp_path {root}/scgi;
            server {{
                listen 127.0.0.1:{port};
                location / {{
                    root {root}/site;
                    auth_request /gate;
                    auth_request_set $retry $upstream_http_retry_after;
                    auth_request_set $limit $upstream_http_ratelimit;
                    add_header RateLimit $limit always;
                    error_page 403 = @limited;
                }}
                location = /gate {{
                    internal;
                    proxy_pass http://{eave}/v1/gate/pro?key=pro:$http_x_visitor&for=$http_x_from&deny=403;
                    proxy_set_header Authorization \"Bearer {REST_TOKEN}\";
                    proxy_pass_request_body off;
                    proxy_set_header Content-Length \"\";
                }}
                location @limited {{
                    add_header Retry-After $retry always;
                    return 429 \"slow down\\n\";
                }}
            }}
        }}"
    )
}

impl Nginx {
    fn start(eave: SocketAddr) -> Nginx {
        let port = free_address();
        let name = format!("eave-nginx-{}-{}", std::process::id(), port.port());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(directory.join("site")).unwrap();
        fs::write(directory.join("site/index.html"), "the site\n").unwrap();
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration(&directory, port.port(), eave)).unwrap();
        // Debian has it where only root looks.
        let installed = Path::new("/usr/sbin/nginx");
        let program = if installed.is_file() { installed } else { Path::new("nginx") };
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(directory.join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("could not run: no nginx (Debian: apt-get install nginx)");
        let nginx = Nginx { child, directory, address: port };
        for _ in 0..START_PAUSES {
            if TcpStream::connect(nginx.address).is_ok() {
                return nginx;
            }
            pause(Duration::from_millis(10));
        }
        let log = fs::read_to_string(nginx.directory.join("error.log")).unwrap_or_default();
        panic!("nginx does not answer: {log}");
    }

    /// The whole answer to a request for the site.
    fn get(&self, visitor: &str, from: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!(
            "GET /index.html HTTP/1.1\r\nHost: x\r\nX-Visitor: {visitor}\r\nX-From: {from}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked to end, it takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn visitors_pass_up_to_their_limit() {
    let eave = start(&[]);
    let mut client = eave.connect().unwrap();
    client.call(&["RL.RULE", "SET", "pro", "3/1h", "DENY", "bad"]).unwrap();
    client.call(&["RL.LIST", "ADD", "bad", "DENY", "10.0.0.0/8"]).unwrap();
    let nginx = Nginx::start(eave.rest.unwrap());
    for left in [2, 1, 0] {
        let answer = nginx.get("alice", "1.2.3.4");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("the site\n"), "{answer}");
        assert!(answer.contains(&format!("RateLimit: \"pro\";r={left};t=")), "{answer}");
    }
    let refused = nginx.get("alice", "1.2.3.4");
    assert!(refused.starts_with("HTTP/1.1 429 ") && refused.ends_with("slow down\n"), "{refused}");
    assert!(refused.contains("Retry-After: "), "{refused}");
    assert!(nginx.get("bob", "1.2.3.4").starts_with("HTTP/1.1 200 "));
    let denied = nginx.get("carol", "10.9.9.9");
    assert!(denied.starts_with("HTTP/1.1 429 "), "{denied}");
    // What was denied has consumed nothing.
    assert!(nginx.get("carol", "1.2.3.4").contains("r=2;"));
    client.call(&["RL.RULE", "SET", "pro", "5/1h"]).unwrap();
    assert!(nginx.get("alice", "1.2.3.4").starts_with("HTTP/1.1 200 "));
    // Without Eave nobody passes.
    drop(eave);
    assert!(nginx.get("dave", "1.2.3.4").starts_with("HTTP/1.1 500 "));
}
