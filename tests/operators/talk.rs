//! A server with several connections, in the few words that these tests need.

use std::time::Duration;

use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::{Program, Server, pause};

/// A server and its connections, which are opened when they are first used.
pub(crate) struct Talk {
    pub(crate) server: Server,
    connections: Vec<Option<Connection>>,
}

impl Talk {
    pub(crate) fn with(program: Program, options: &[&str]) -> Talk {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let server = Server::start(program, &options).expect("the server answers");
        Talk { server, connections: (0..4).map(|_| None).collect() }
    }

    /// One with a configuration file.
    pub(crate) fn with_file(program: Program, path: &str) -> Talk {
        let server = Server::start_with_file(program, path).expect("the server answers");
        Talk { server, connections: (0..4).map(|_| None).collect() }
    }

    /// One with Eave, and one with redis-server.
    pub(crate) fn both(options: &[&str]) -> [(Program, Talk); 2] {
        [Program::Eave, Program::Redis].map(|program| (program, Talk::with(program, options)))
    }

    pub(crate) fn connection(&mut self, who: usize) -> &mut Connection {
        let server = &self.server;
        self.connections[who].get_or_insert_with(|| server.connect().expect("the server answers"))
    }

    /// Sends a command and waits for its reply; words are separated by single blanks.
    pub(crate) fn ask(&mut self, who: usize, line: &str) -> Reply {
        let words: Vec<&str> = line.split(' ').collect();
        self.connection(who).call(&words).unwrap_or_else(|why| panic!("{line}: {why}"))
    }

    /// Sends a command whose reply will be waited for later, if at all.
    pub(crate) fn send(&mut self, who: usize, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let bytes = crate::support::resp::encode(&words);
        self.connection(who).send_raw(&bytes).expect("the server reads");
    }

    pub(crate) fn hear(&mut self, who: usize) -> Reply {
        self.connection(who).receive().expect("the server answers")
    }

    /// Whether nothing comes to a connection for a while.
    pub(crate) fn is_silent(&mut self, who: usize) -> bool {
        let socket = self.connection(who).socket().try_clone().expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(150))).expect("a socket");
        let silent = socket.peek(&mut [0]).is_err();
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        silent
    }

    pub(crate) fn id(&mut self, who: usize) -> String {
        self.ask(who, "CLIENT ID").text().expect("a number")
    }

    /// The address of a connection's own end.
    pub(crate) fn address(&mut self, who: usize) -> String {
        self.connection(who).socket().local_addr().expect("an address").to_string()
    }

    /// Whether a connection is closed, or is so within a moment.
    pub(crate) fn is_closed(&mut self, who: usize) -> bool {
        matches!(self.connection(who).call(&["PING"]), Ok(Reply::Closed) | Err(_))
    }
}

pub(crate) fn ok() -> Reply {
    Reply::Status("OK".to_owned())
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        pause(Duration::from_millis(10));
    }
    panic!("it never came to be that {what}");
}
