//! What a test needs of redis-server.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

pub(crate) struct Redis {
    child: Child,
    pub(crate) dir: Dir,
    stream: BufReader<UnixStream>,
}

pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("eave-rdb-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Text(Vec<u8>),
    Error(String),
    Integer(i64),
    Array(Vec<Reply>),
    Nil,
}

impl Redis {
    pub(crate) fn start(dir: Dir, options: &[&str]) -> Self {
        let mut child = Command::new("redis-server")
            .args(["--port", "0", "--unixsocket", "socket", "--save", "", "--dir"])
            .arg(&dir.0)
            .args(options)
            .current_dir(&dir.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        let log = BufReader::new(child.stdout.take().unwrap());
        let mut seen = Vec::new();
        let ready = log.lines().map_while(Result::ok).any(|line| {
            seen.push(line);
            seen.last().is_some_and(|line| line.contains("ready to accept connections"))
        });
        assert!(ready, "redis-server did not start:\n{}", seen.join("\n"));
        let stream = BufReader::new(UnixStream::connect(dir.0.join("socket")).unwrap());
        Self { child, dir, stream }
    }

    pub(crate) fn call(&mut self, request: &[&[u8]]) -> Reply {
        let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
        for argument in request {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&bytes).unwrap();
        self.reply()
    }

    /// A request in words; the reply must not be an error.
    pub(crate) fn run(&mut self, request: &str) -> Reply {
        let words: Vec<_> = request.split(' ').map(str::as_bytes).collect();
        self.ok(&words)
    }

    pub(crate) fn ok(&mut self, request: &[&[u8]]) -> Reply {
        let reply = self.call(request);
        assert!(!matches!(reply, Reply::Error(_)), "{request:?}: {reply:?}");
        reply
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Reply::Text(rest.into()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(rest.parse().unwrap()),
            "$" if rest == "-1" => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Reply::Text(bytes)
            }
            "*" => Reply::Array((0..rest.parse().unwrap()).map(|_| self.reply()).collect()),
            _ => panic!("{line:?}"),
        }
    }

    pub(crate) fn fields(&mut self, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let Reply::Array(items) = self.ok(&[b"HGETALL", key]) else { panic!("no array") };
        let texts: Vec<_> = items.iter().map(text).collect();
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    pub(crate) fn members(&mut self, key: &[u8]) -> Vec<Vec<u8>> {
        let Reply::Array(items) = self.ok(&[b"SMEMBERS", key]) else { panic!("no array") };
        items.iter().map(text).collect()
    }

    pub(crate) fn elements(&mut self, key: &[u8]) -> Vec<Vec<u8>> {
        let Reply::Array(items) = self.ok(&[b"LRANGE", key, b"0", b"-1"]) else {
            panic!("no array")
        };
        items.iter().map(text).collect()
    }

    pub(crate) fn encoding(&mut self, key: &[u8]) -> String {
        String::from_utf8(text(&self.ok(&[b"OBJECT", b"ENCODING", key]))).unwrap()
    }

    pub(crate) fn restore(&mut self, payload: &[u8]) -> Reply {
        self.call(&[b"RESTORE", b"restored", b"0", payload, b"REPLACE"])
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn text(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Text(bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    }
}
