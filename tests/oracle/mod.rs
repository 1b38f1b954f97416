//! A redis-server of the test's own, on a socket of the file system.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A reply, as far as the tests need it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Integer(i64),
    Error(String),
    Array(Vec<Reply>),
    Null,
}

/// A running redis-server with a connection to it; it ends with this.
pub(crate) struct Oracle {
    server: Child,
    directory: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Oracle {
    /// Starts one. `None` when there is no redis-server, which under CI is a failure.
    pub(crate) fn start(name: &str) -> Option<Oracle> {
        let directory = std::env::temp_dir().join(format!("eave-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory");
        let socket = directory.join("redis.sock");
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(&socket)
            .current_dir(&directory)
            .stdout(Stdio::piped())
            .spawn();
        let mut server = match server {
            Ok(server) => server,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "redis-server does not start: {error}");
                eprintln!("not run: redis-server does not start: {error}");
                return None;
            }
        };
        let log = BufReader::new(server.stdout.take().expect("it is piped"));
        let ready = log.lines().map_while(Result::ok).any(|line| line.contains("ready to accept"));
        assert!(ready, "redis-server has ended at once");
        let stream = BufReader::new(UnixStream::connect(&socket).expect("it is ready"));
        Some(Oracle { server, directory, stream })
    }

    /// Sends all of `commands` at once, and answers the reply of each.
    pub(crate) fn ask(&mut self, commands: &[Vec<&[u8]>]) -> Vec<Reply> {
        let mut request = Vec::new();
        for command in commands {
            write!(request, "*{}\r\n", command.len()).expect("to memory");
            for argument in command {
                write!(request, "${}\r\n", argument.len()).expect("to memory");
                request.extend_from_slice(argument);
                request.extend_from_slice(b"\r\n");
            }
        }
        self.stream.get_mut().write_all(&request).expect("redis reads");
        commands.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("redis answers");
        let (kind, text) = line.trim_end().split_at(1);
        match (kind, text) {
            ("+", _) => Reply::Text(text.into()),
            ("-", _) => Reply::Error(text.into()),
            (":", _) => Reply::Integer(text.parse().expect("an integer")),
            ("$" | "*", "-1") => Reply::Null,
            ("$", _) => {
                let mut bytes = vec![0; text.parse::<usize>().expect("a length") + 2];
                self.stream.read_exact(&mut bytes).expect("redis answers");
                bytes.truncate(bytes.len() - 2);
                Reply::Text(bytes)
            }
            ("*", _) => {
                let length = text.parse::<usize>().expect("a length");
                Reply::Array((0..length).map(|_| self.reply()).collect())
            }
            _ => unreachable!("not a reply of RESP2: {line:?}"),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
