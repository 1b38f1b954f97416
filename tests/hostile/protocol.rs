//! Requests that are none: one row each, with the answer that redis-server 7.0.15 gives.

use crate::Failure;
use crate::raw::{End, Pace, ask};
use crate::support::reply::{Reply, quoted};
use crate::support::server::{Program, Server};

/// Longer rows are not sent byte by byte.
const SHORT: usize = 1000;

/// Bytes, and what must become of them.
struct Row {
    bytes: Vec<u8>,
    answer: Answer,
    end: End,
}

/// What must come back.
enum Answer {
    /// Exactly this, from both servers.
    Exactly(Vec<u8>),
    /// Whatever it says before it closes.
    Anything,
    /// Something that starts so, from Eave; redis-server waits for more, or lets it pass.
    EaveStartsWith(&'static str),
}

/// A protocol error, after which the server closes.
fn refused(bytes: impl AsRef<[u8]>, why: &str) -> Row {
    let answer = Answer::Exactly(format!("-ERR Protocol error: {why}\r\n").into_bytes());
    Row { bytes: bytes.as_ref().to_vec(), answer, end: End::Closed }
}

/// An answer, after which the connection goes on.
fn answered(bytes: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) -> Row {
    let answer = Answer::Exactly(answer.as_ref().to_vec());
    Row { bytes: bytes.as_ref().to_vec(), answer, end: End::Open }
}

/// An answer (or none), after which the server closes.
fn closed(bytes: impl AsRef<[u8]>, answer: impl AsRef<[u8]>) -> Row {
    Row { end: End::Closed, ..answered(bytes, answer) }
}

fn only_eave(bytes: impl AsRef<[u8]>, start: &'static str, end: End) -> Row {
    Row { bytes: bytes.as_ref().to_vec(), answer: Answer::EaveStartsWith(start), end }
}

fn lengths() -> Vec<Row> {
    let multibulk = "invalid multibulk length";
    let bulk = "invalid bulk length";
    vec![
        refused("*2147483648\r\n", multibulk),
        refused("*9223372036854775807\r\n", multibulk),
        refused("*99999999999999999999\r\n", multibulk),
        refused("*abc\r\n", multibulk),
        refused("*\r\n", multibulk),
        refused("* 1\r\n", multibulk),
        refused("*1 \r\n$4\r\nPING\r\n", multibulk),
        refused("*+1\r\n", multibulk),
        refused("*01\r\n", multibulk),
        refused("*1.0\r\n", multibulk),
        refused("*-\r\n", multibulk),
        refused("*1\n$4\nPING\r\n", multibulk),
        refused("*1\r\n$abc\r\n", bulk),
        refused("*1\r\n$\r\n", bulk),
        refused("*1\r\n$-1\r\n", bulk),
        refused("*1\r\n$-9223372036854775808\r\n", bulk),
        refused("*1\r\n$+4\r\nPING\r\n", bulk),
        refused("*1\r\n$04\r\nPING\r\n", bulk),
        refused("*1\r\n$4 \r\nPING\r\n", bulk),
        refused("*1\r\n$536870913\r\n", bulk),
        refused("*1\r\n$2147483648\r\n", bulk),
        refused("*1\r\n$99999999999999999999\r\n", bulk),
        refused("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n", bulk),
        // A count of nothing or less is no request at all.
        answered("*0\r\n", ""),
        answered("*-1\r\n", ""),
        answered("*-9223372036854775808\r\n", ""),
        answered("*0\r\n*0\r\n*-7\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n"),
        answered("*1\r\n$0\r\n\r\n", "-ERR unknown command '', with args beginning with: \r\n"),
        only_eave("*2\r\n$3\r\nGET\r\n$1\r\nabc\r\n", "-ERR Protocol error: ", End::Closed),
        only_eave("*1\r\n$4\r\nPINGXX", "-ERR Protocol error: ", End::Closed),
    ]
}

fn types() -> Vec<Row> {
    let unknown = |name: &str| format!("-ERR unknown command '{name}', with args beginning with: ");
    vec![
        refused("*1\r\n:5\r\n", "expected '$', got ':'"),
        refused("*1\r\nPING\r\n", "expected '$', got 'P'"),
        refused("*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$', got '*'"),
        refused("*1\r\n\r\n", "expected '$', got ' '"),
        refused("*2\r\n$3\r\nGET\r\n+k\r\n", "expected '$', got '+'"),
        // Deep nesting: 36 KB of it have ended parsers that recurse, 4 MB end slower ones.
        refused("*1\r\n".repeat(9000), "expected '$', got '*'"),
        refused("*1\r\n".repeat(1_000_000), "expected '$', got '*'"),
        // Redis believes the count; Eave's limit is a million arguments.
        Row { answer: Answer::Anything, ..refused("*2147483647\r\n".repeat(9000), "") },
        refused("*1048576\r\n".repeat(9000), "expected '$', got '*'"),
        // Replies are no requests: they are read as inline commands.
        answered("+OK\r\n", unknown("+OK") + "\r\n"),
        answered(":1\r\n", unknown(":1") + "\r\n"),
        answered("-ERR x\r\n", unknown("-ERR") + "'x' \r\n"),
        answered(
            "~1\r\n$4\r\nPING\r\n",
            format!("{}\r\n{}\r\n+PONG\r\n", unknown("~1"), unknown("$4")),
        ),
    ]
}

fn inline() -> Vec<Row> {
    let unbalanced = "unbalanced quotes in request";
    vec![
        answered("PING\r\n", "+PONG\r\n"),
        answered("PING\n", "+PONG\r\n"),
        answered("  PING   hello  \r\n", "$5\r\nhello\r\n"),
        answered("\r\n", ""),
        answered("   \r\n", ""),
        answered("\n\n\nPING\n", "+PONG\r\n"),
        answered("PING\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n+PONG\r\n+PONG\r\n"),
        answered("ECHO \"a\\x00\\n\\\"b\"\r\n", b"$5\r\na\x00\n\"b\r\n"),
        answered("ECHO 'a\\'b\\n'\r\n", "$5\r\na'b\\n\r\n"),
        answered("ECHO \"\"\r\n", "$0\r\n\r\n"),
        refused("\"unbalanced\r\n", unbalanced),
        refused("'unbalanced\r\n", unbalanced),
        refused("GET \"a\"b\r\n", unbalanced),
        refused("GET 'a'b\r\n", unbalanced),
        refused("GET \"a\\\"\r\n", unbalanced),
        // Limits of a line.
        refused("A".repeat(64 * 1024 + 1), "too big inline request"),
        refused(format!("*{}", "1".repeat(64 * 1024 + 1)), "too big mbulk count string"),
        refused(format!("*1\r\n${}", "1".repeat(64 * 1024 + 1)), "too big bulk count string"),
        // Bytes that mean nothing, as a TLS greeting on the plain port. Redis echoes them as they
        // are; an error text of Eave's is always UTF-8, since REST answers with it as well.
        only_eave(b"\xff\xfe\xfd\r\n", "-ERR unknown command '\u{fffd}", End::Open),
        only_eave(b"\x00\xff\xfe\r\n", "-ERR ", End::Open),
        only_eave(b"\x16\x03\x01\x02\x00\x01\x00\r\n", "-ERR ", End::Open),
    ]
}

fn endings() -> Vec<Row> {
    vec![
        // A web page may make a browser send these: the connection ends without a word.
        closed("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nPING\r\n", ""),
        closed("post / http/1.1\r\n", ""),
        closed("Host: localhost\r\n", ""),
        // GET is a command, with the wrong number of arguments; whether the error still goes out
        // before the Host line ends it depends on how the bytes arrive.
        Row {
            bytes: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
            answer: Answer::Anything,
            end: End::Closed,
        },
        // What came before an error is answered, what comes after is not run.
        closed("PING\r\n*abc\r\n", "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"),
        closed(
            "*1\r\n$4\r\nPING\r\n*1\r\n$-5\r\nSET after error\r\n",
            "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n",
        ),
        closed("QUIT\r\nSET after quit\r\n", "+OK\r\n"),
        answered("EXISTS after\r\n", ":0\r\n"),
    ]
}

/// What an unauthenticated client may not even promise.
fn before_auth() -> Vec<Row> {
    let noauth = "-NOAUTH Authentication required.\r\n";
    let argument = "x".repeat(16 * 1024);
    vec![
        refused("*11\r\n", "unauthenticated multibulk length"),
        refused("*1000000\r\n", "unauthenticated multibulk length"),
        refused("*2147483648\r\n", "invalid multibulk length"),
        refused("*2\r\n$3\r\nGET\r\n$16385\r\n", "unauthenticated bulk length"),
        refused("*1\r\n$536870912\r\n", "unauthenticated bulk length"),
        refused("*1\r\n$-1\r\n", "invalid bulk length"),
        answered_after_auth("GET k\r\n", noauth),
        answered_after_auth(format!("*2\r\n$3\r\nGET\r\n$16384\r\n{argument}\r\n"), noauth),
        answered_after_auth(format!("*10\r\n$3\r\nDEL\r\n{}", "$1\r\nk\r\n".repeat(9)), noauth),
        closed("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", ""),
        answered(
            format!("AUTH foobared\r\n*12\r\n$3\r\nDEL\r\n{}", "$1\r\nk\r\n".repeat(11)),
            "+OK\r\n:0\r\n",
        ),
        answered(
            format!("AUTH foobared\r\n*2\r\n$3\r\nGET\r\n$20000\r\n{}\r\n", "x".repeat(20_000)),
            "+OK\r\n$-1\r\n",
        ),
        // The limits of one connection do not loosen another's.
        refused("*11\r\n", "unauthenticated multibulk length"),
    ]
}

/// The sentinel is answered only after AUTH.
fn answered_after_auth(bytes: impl AsRef<[u8]>, answer: &str) -> Row {
    let bytes = [bytes.as_ref(), b"AUTH foobared\r\n"].concat();
    answered(bytes, format!("{answer}+OK\r\n"))
}

/// Sends every row and lists those that came out otherwise; a neighbour on a connection of its
/// own must be answered after each.
fn hold(program: Program, options: &[&str], rows: &[Row], pace: Pace) -> Result<(), Failure> {
    let options: Vec<String> = options.iter().map(ToString::to_string).collect();
    let mut server = Server::start(program, &options)?;
    let mut neighbour = server.connect()?;
    let mut failures = Vec::new();
    for row in rows {
        if matches!(pace, Pace::ByteByByte) && row.bytes.len() > SHORT {
            continue;
        }
        if let Err(why) = row.hold(program, &server, pace) {
            failures.push(why);
        }
        if neighbour.call(&["PING"])? != Reply::Status("PONG".to_owned()) {
            failures.push(format!("{}: the neighbour is not answered", row.name()));
        }
    }
    if !server.is_running() {
        failures.push(format!("the server has ended:\n{}", server.log_tail()));
    }
    if failures.is_empty() { Ok(()) } else { Err(Failure(failures.join("\n"))) }
}

impl Row {
    fn hold(&self, program: Program, server: &Server, pace: Pace) -> Result<(), String> {
        let expected = match &self.answer {
            Answer::Exactly(answer) => quoted(answer),
            Answer::Anything => "anything".to_owned(),
            Answer::EaveStartsWith(_) if program == Program::Redis => return Ok(()),
            Answer::EaveStartsWith(start) => format!("{}...", quoted(start.as_bytes())),
        };
        let (got, end) = ask(server.resp, &self.bytes, pace, self.end)
            .map_err(|why| format!("{} ({program:?}, {pace:?}): {why}", self.name()))?;
        let fits = match &self.answer {
            Answer::Exactly(answer) => got == *answer,
            Answer::Anything => true,
            Answer::EaveStartsWith(start) => got.starts_with(start.as_bytes()),
        };
        if fits && end == self.end {
            return Ok(());
        }
        Err(format!(
            "{} ({program:?}, {pace:?}):\n  expected: {expected}, then {:?}\n  got:      {}, then {end:?}",
            self.name(),
            self.end,
            quoted(&got),
        ))
    }

    /// The bytes, as far as a line holds them.
    fn name(&self) -> String {
        let shown = &self.bytes[..self.bytes.len().min(60)];
        let rest = self.bytes.len() - shown.len();
        let more = if rest == 0 { String::new() } else { format!(" and {rest} bytes more") };
        format!("{}{more}", quoted(shown))
    }
}

/// Every table, on both servers, in one piece and byte by byte: how the bytes are cut must not
/// matter.
macro_rules! on_both {
    ($($name:ident: $rows:expr, $options:expr;)*) => {
        mod redis {
            use super::*;
            $(#[test] fn $name() -> Result<(), Failure> {
                hold(Program::Redis, $options, &$rows, Pace::AtOnce)?;
                hold(Program::Redis, $options, &$rows, Pace::ByteByByte)
            })*
        }
        mod eave {
            use super::*;
            $(#[test] fn $name() -> Result<(), Failure> {
                hold(Program::Eave, $options, &$rows, Pace::AtOnce)?;
                hold(Program::Eave, $options, &$rows, Pace::ByteByByte)
            })*
        }
    };
}

on_both! {
    lengths_that_are_none: lengths(), &[];
    types_that_do_not_belong: types(), &[];
    inline_commands: inline(), &[];
    how_a_connection_ends: endings(), &[];
    limits_before_auth: before_auth(), &["--requirepass", "foobared"];
}
