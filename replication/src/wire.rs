//! What replication says outside the command stream: requests, answers, and lines.
//!
//! A replica opens with PING, AUTH, REPLCONF and PSYNC; the leader answers each with one line.
//! On the leader requests arrive split into arguments by the server's own decoder, so
//! [`Request::parse`] takes those; on the replica answers arrive as raw bytes, and
//! [`LineReader`] cuts them into lines, however they were split on the way.
//!
//! Left out: the payload of a full sync ([`crate::payload`]), and the commands of the stream
//! itself, which the server decodes like any client's.

use crate::greeting::Greeting;
use crate::id::{Position, ReplicationId};

/// Longest line accepted from a peer, in bytes: Redis' own limit for these lines.
pub const MAX_LINE: usize = 1024;
/// Longest announced address, in bytes: a host name's limit (RFC 1035).
pub const MAX_ADDRESS: usize = 255;
/// What a leader logs so that quiet followers can tell it from a dead one.
pub const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
/// What a leader logs to ask every follower for its offset at once.
pub const GETACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n";
/// What either side sends while it is busy with a snapshot, so that the other keeps waiting.
pub const HEARTBEAT: &[u8] = b"\n";
/// The answer to an accepted REPLCONF.
pub const OK: &[u8] = b"+OK\r\n";

/// Why a peer's bytes were not understood. The connection cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A line did not end in time.
    #[error("line longer than {MAX_LINE} bytes")]
    LineTooLong,
    /// A line that fits nowhere, shortened.
    #[error("unexpected answer '{0}'")]
    UnexpectedLine(String),
    /// The payload announces more than [`crate::payload::MAX_PAYLOAD`].
    #[error("payload length out of range")]
    PayloadTooLong,
}

/// Why a request of a follower is refused. The text is the reply after `-`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not an option and a value each, or not PSYNC's two arguments.
    #[error("ERR syntax error")]
    Syntax,
    /// A port or offset that is no number, or out of range.
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    /// An address beyond [`MAX_ADDRESS`], or not plain text.
    #[error("ERR REPLCONF ip-address provided by replica instance is invalid")]
    InvalidAddress,
    /// An option that this version does not know; peers go on without it.
    #[error("ERR Unrecognized REPLCONF option: {0}")]
    UnknownOption(String),
}

/// What a follower can do beyond the oldest protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It finds the end of a payload by a mark, so the length need not be known (`eof`).
    pub eof: bool,
    /// It takes a new replication id with `+CONTINUE` (`psync2`).
    pub psync2: bool,
    /// It is an Eave node, and takes what Redis has no type for (`eave`). A redis-server
    /// ignores the word, and never says it.
    pub eave: bool,
}

impl Capabilities {
    /// Adds what `later` says, as REPLCONF does: what was told once stays true.
    pub fn merge(&mut self, later: Self) {
        self.eof |= later.eof;
        self.psync2 |= later.psync2;
        self.eave |= later.eave;
    }
}

/// The options of one REPLCONF, each as given last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replconf {
    /// The port on which the follower itself listens.
    pub listening_port: Option<u16>,
    /// The address under which the follower can be reached, if not the connection's.
    pub ip_address: Option<String>,
    /// Capabilities to add to those already told.
    pub capabilities: Capabilities,
    /// Bytes of the history applied so far. Such a request gets no reply.
    pub ack: Option<u64>,
    /// The leader asks for an ACK. Travels in the stream, towards replicas.
    pub getack: bool,
    /// The client wants a snapshot and no stream (`redis-cli --rdb`).
    pub rdb_only: Option<bool>,
    /// What an Eave node tells of itself.
    pub greeting: Option<Greeting>,
}

impl Replconf {
    /// Adds the options of a later REPLCONF of the same connection, so that however many there
    /// are, what they say together takes no more memory than one.
    pub fn merge(&mut self, later: Self) {
        self.listening_port = later.listening_port.or(self.listening_port);
        self.ip_address = later.ip_address.or_else(|| self.ip_address.take());
        self.capabilities.merge(later.capabilities);
        self.ack = later.ack.or(self.ack);
        self.getack |= later.getack;
        self.rdb_only = later.rdb_only.or(self.rdb_only);
        self.greeting = later.greeting.or_else(|| self.greeting.take());
    }
}

/// A request by which a connection becomes, or acts as, a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// REPLCONF with its options.
    Replconf(Replconf),
    /// PSYNC.
    Psync {
        /// The place to go on from; without one, or with one that makes no sense, it asks for
        /// everything.
        from: Option<Position>,
        /// The leader itself asks, to follow whom it asks from now on (FAILOVER).
        failover: bool,
    },
    /// The oldest form: everything, without an answering line and without ACKs.
    Sync,
}

impl Request {
    /// Reads REPLCONF, PSYNC or SYNC from its arguments, name included; `None` if it is
    /// another command.
    pub fn parse(argv: &[&[u8]]) -> Option<Result<Self, RequestError>> {
        let (name, args) = argv.split_first()?;
        if name.eq_ignore_ascii_case(b"REPLCONF") {
            Some(parse_replconf(args).map(Self::Replconf))
        } else if name.eq_ignore_ascii_case(b"PSYNC") {
            Some(parse_psync(args))
        } else if name.eq_ignore_ascii_case(b"SYNC") {
            Some(if args.is_empty() { Ok(Self::Sync) } else { Err(RequestError::Syntax) })
        } else {
            None
        }
    }
}

fn parse_replconf(args: &[&[u8]]) -> Result<Replconf, RequestError> {
    if args.is_empty() || !args.len().is_multiple_of(2) {
        return Err(RequestError::Syntax);
    }
    let mut replconf = Replconf::default();
    for pair in args.chunks_exact(2) {
        set_option(&mut replconf, pair[0], pair[1])?;
    }
    Ok(replconf)
}

fn set_option(replconf: &mut Replconf, name: &[u8], value: &[u8]) -> Result<(), RequestError> {
    match name.to_ascii_lowercase().as_slice() {
        b"listening-port" => {
            let port = u16::try_from(parse_number(value)?);
            replconf.listening_port = Some(port.map_err(|_| RequestError::NotAnInteger)?);
        }
        b"ip-address" => replconf.ip_address = Some(parse_address(value)?),
        b"capa" if value.eq_ignore_ascii_case(b"eof") => replconf.capabilities.eof = true,
        b"capa" if value.eq_ignore_ascii_case(b"psync2") => replconf.capabilities.psync2 = true,
        b"capa" if value.eq_ignore_ascii_case(b"eave") => replconf.capabilities.eave = true,
        // Redis: capabilities that are not understood are ignored.
        b"capa" => {}
        b"ack" => replconf.ack = Some(parse_number(value)?),
        // What Redis 7.2 adds to its ACK: the offset that is on disk.
        b"fack" => _ = parse_number(value)?,
        b"getack" => replconf.getack = true,
        b"rdb-only" => replconf.rdb_only = Some(parse_number(value)? != 0),
        b"eave" => replconf.greeting = Some(Greeting::parse(value)),
        _ => return Err(RequestError::UnknownOption(shorten(name))),
    }
    Ok(())
}

fn parse_address(value: &[u8]) -> Result<String, RequestError> {
    let plain = value.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(value) {
        Ok(text) if plain && text.len() <= MAX_ADDRESS => Ok(text.to_owned()),
        _ => Err(RequestError::InvalidAddress),
    }
}

fn parse_psync(args: &[&[u8]]) -> Result<Request, RequestError> {
    let (id, offset, failover) = match args {
        [id, offset] => (id, offset, false),
        [id, offset, word] => (id, offset, word.eq_ignore_ascii_case(b"FAILOVER")),
        _ => return Err(RequestError::Syntax),
    };
    if *offset == b"-1" {
        return Ok(Request::Psync { from: None, failover });
    }
    let next = parse_number(offset)?;
    // The wire names the next byte and counts from one.
    let position = ReplicationId::parse(id).zip(next.checked_sub(1));
    let from = position.map(|(id, offset)| Position { id, offset });
    Ok(Request::Psync { from, failover })
}

/// Reads a decimal number of the range 0 to `i64::MAX`, the wire's own for lengths and offsets.
fn parse_number(text: &[u8]) -> Result<u64, RequestError> {
    parse_decimal(text).ok_or(RequestError::NotAnInteger)
}

/// Digits only, at most `i64::MAX`.
pub(crate) fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    i64::try_from(number).is_ok().then_some(number)
}

/// A line of the leader's handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An empty line: the leader is still busy.
    Heartbeat,
    /// `+FULLRESYNC`: a snapshot follows that stands for this place.
    FullResync(Position),
    /// `+CONTINUE`: the stream follows where it broke off, under a new id if one is named.
    Continue(Option<ReplicationId>),
    /// Any other `+` line, such as PONG and OK.
    Status(String),
    /// A `-` line, without the dash.
    Error(String),
}

impl Reply {
    /// Reads one line, its end already removed.
    pub fn parse(line: &[u8]) -> Result<Self, WireError> {
        let unexpected = || WireError::UnexpectedLine(shorten(line));
        match line.split_first() {
            None => Ok(Self::Heartbeat),
            Some((b'-', text)) => Ok(Self::Error(printable(text))),
            Some((b'+', text)) => parse_status(text).ok_or_else(unexpected),
            Some(_) => Err(unexpected()),
        }
    }
}

fn parse_status(text: &[u8]) -> Option<Reply> {
    let mut words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    match words.next() {
        Some(b"FULLRESYNC") => {
            let id = ReplicationId::parse(words.next()?)?;
            let offset = parse_decimal(words.next()?)?;
            Some(Reply::FullResync(Position { id, offset }))
        }
        Some(b"CONTINUE") => match words.next() {
            None => Some(Reply::Continue(None)),
            Some(id) => Some(Reply::Continue(Some(ReplicationId::parse(id)?))),
        },
        _ => Some(Reply::Status(printable(text))),
    }
}

/// Cuts bytes into lines, wherever reads split them. Holds at most [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub struct LineReader {
    line: Vec<u8>,
}

impl LineReader {
    /// Takes the next line from `input` and returns it without its LF or CRLF; `None` once
    /// all of `input` is taken and the line is not complete.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, WireError> {
        let end = memchr::memchr(b'\n', input);
        let (part, rest) = input.split_at(end.unwrap_or(input.len()));
        if self.line.len() + part.len() > MAX_LINE {
            return Err(WireError::LineTooLong);
        }
        self.line.extend_from_slice(part);
        *input = if end.is_some() { &rest[1..] } else { rest };
        if end.is_none() {
            return Ok(None);
        }
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// Encodes a request as an array of bulk strings.
pub fn command(argv: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", argv.len()).into_bytes();
    for argument in argv {
        bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        bytes.extend_from_slice(argument);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// `REPLCONF option value`.
pub fn replconf(option: &str, value: &str) -> Vec<u8> {
    command(&[b"REPLCONF", option.as_bytes(), value.as_bytes()])
}

/// `REPLCONF ACK`: bytes of the history applied so far.
pub fn ack(offset: u64) -> Vec<u8> {
    replconf("ACK", &offset.to_string())
}

/// `PSYNC`: go on from this place, or send everything; with `failover`, and lead from now on.
pub fn psync(from: Option<Position>, failover: bool) -> Vec<u8> {
    let (id, offset) = match from {
        Some(at) => (at.id.to_string(), at.offset.saturating_add(1).to_string()),
        None => ("?".to_owned(), "-1".to_owned()),
    };
    let argv = [b"PSYNC", id.as_bytes(), offset.as_bytes(), b"FAILOVER"];
    command(if failover { &argv } else { &argv[..3] })
}

/// `+FULLRESYNC`: a snapshot follows that stands for this place.
pub fn full_resync(position: Position) -> Vec<u8> {
    format!("+FULLRESYNC {} {}\r\n", position.id, position.offset).into_bytes()
}

/// `+CONTINUE`, with the history's id for followers that understand it.
pub fn continue_as(id: Option<ReplicationId>) -> Vec<u8> {
    match id {
        Some(id) => format!("+CONTINUE {id}\r\n").into_bytes(),
        None => b"+CONTINUE\r\n".to_vec(),
    }
}

/// The reply to a refused request.
pub fn error(error: &RequestError) -> Vec<u8> {
    format!("-{error}\r\n").into_bytes()
}

/// Whether an error is of a node that may answer otherwise a moment later.
pub fn is_temporary(error: &str) -> bool {
    ["LOADING", "BUSY", "MASTERDOWN", "NOMASTERLINK"].iter().any(|start| error.starts_with(start))
}

/// A peer's text as it may be logged: printable ASCII.
fn printable(text: &[u8]) -> String {
    text.iter().map(|byte| if (32..127).contains(byte) { char::from(*byte) } else { '?' }).collect()
}

/// The beginning of a peer's text, for an error message.
pub(crate) fn shorten(text: &[u8]) -> String {
    printable(&text[..text.len().min(64)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn position(offset: u64) -> Position {
        Position { id: ID.parse().unwrap(), offset }
    }

    fn request(text: &str) -> Result<Request, RequestError> {
        let argv: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        Request::parse(&argv).unwrap()
    }

    fn replconf_of(text: &str) -> Replconf {
        match request(text).unwrap() {
            Request::Replconf(replconf) => replconf,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reads_what_redis_sends() {
        assert_eq!(replconf_of("REPLCONF listening-port 6380").listening_port, Some(6380));
        assert_eq!(
            replconf_of("replconf ip-address fra1.example").ip_address.as_deref(),
            Some("fra1.example")
        );
        let capabilities = replconf_of("REPLCONF capa eof capa psync2 capa more").capabilities;
        assert_eq!(capabilities, Capabilities { eof: true, psync2: true, eave: false });
        assert!(replconf_of("REPLCONF capa eave").capabilities.eave);
        assert_eq!(replconf_of("REPLCONF ACK 12 FACK 11").ack, Some(12));
        assert!(replconf_of("REPLCONF GETACK *").getack);
        assert_eq!(replconf_of("REPLCONF rdb-only 1").rdb_only, Some(true));
        assert_eq!(request("SYNC"), Ok(Request::Sync));
        let psync = |from, failover| Ok(Request::Psync { from, failover });
        assert_eq!(request("PSYNC ? -1"), psync(None, false));
        assert_eq!(request(&format!("PSYNC {ID} 8")), psync(Some(position(7)), false));
        assert_eq!(request(&format!("PSYNC {ID} 8 failover")), psync(Some(position(7)), true));
        assert_eq!(request(&format!("PSYNC {ID} 0")), psync(None, false));
        assert_eq!(Request::parse(&[b"GET", b"k"]), None);
        assert_eq!(Request::parse(&[]), None);
    }

    #[test]
    fn refuses_nonsense() {
        for text in ["REPLCONF", "REPLCONF ack", "SYNC now", "PSYNC ?", "PSYNC a b c d"] {
            assert_eq!(request(text), Err(RequestError::Syntax), "{text}");
        }
        for text in [
            "REPLCONF ack -1",
            "REPLCONF ack 9223372036854775808",
            "REPLCONF listening-port 65536",
            "REPLCONF ack ",
            "PSYNC ? 99999999999999999999999",
            "PSYNC ? -2",
        ] {
            assert_eq!(request(text), Err(RequestError::NotAnInteger), "{text}");
        }
        let long = format!("REPLCONF ip-address {}", "a".repeat(256));
        for text in ["REPLCONF ip-address a\nb", &long] {
            assert_eq!(request(text), Err(RequestError::InvalidAddress));
        }
        let unknown = RequestError::UnknownOption("x?".into());
        assert_eq!(request("REPLCONF x\r 1"), Err(unknown.clone()));
        assert_eq!(error(&unknown), b"-ERR Unrecognized REPLCONF option: x?\r\n");
    }

    #[test]
    fn reads_back_what_it_writes() {
        for (bytes, reply) in [
            (full_resync(position(7)), Reply::FullResync(position(7))),
            (continue_as(None), Reply::Continue(None)),
            (continue_as(Some(position(0).id)), Reply::Continue(Some(position(0).id))),
            (OK.to_vec(), Reply::Status("OK".into())),
            (HEARTBEAT.to_vec(), Reply::Heartbeat),
            (error(&RequestError::Syntax), Reply::Error("ERR syntax error".into())),
        ] {
            let line = LineReader::default().next(&mut &bytes[..]).unwrap().unwrap();
            assert_eq!(Reply::parse(&line), Ok(reply));
        }
        assert_eq!(psync(None, false), b"*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n");
        assert!(psync(Some(position(7)), false).ends_with(b"\r\n$1\r\n8\r\n"));
        assert!(psync(Some(position(7)), true).ends_with(b"$1\r\n8\r\n$8\r\nFAILOVER\r\n"));
        assert_eq!(command(&[b"REPLCONF", b"GETACK", b"*"]), GETACK);
        assert_eq!(command(&[b"PING"]), PING);
        assert_eq!(ack(10), b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$2\r\n10\r\n");
    }

    #[test]
    fn lines_are_the_same_however_they_are_split() {
        let input = b"\n+PONG\r\n\r\n-ERR no\n$12\r\nrest";
        let whole = lines_of(&[input]);
        assert_eq!(whole.0, ["", "+PONG", "", "-ERR no", "$12"]);
        for i in 0..=input.len() {
            for j in i..=input.len() {
                assert_eq!(lines_of(&[&input[..i], &input[i..j], &input[j..]]), whole);
            }
        }
    }

    fn lines_of(parts: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
        let (mut reader, mut lines) = (LineReader::default(), Vec::new());
        for mut part in parts.iter().copied() {
            while let Some(line) = reader.next(&mut part).unwrap() {
                lines.push(String::from_utf8(line).unwrap());
            }
        }
        (lines, reader.line)
    }

    #[test]
    fn endless_lines_are_refused() {
        let mut reader = LineReader::default();
        assert_eq!(reader.next(&mut [b'a'; MAX_LINE].as_slice()), Ok(None));
        assert_eq!(reader.next(&mut b"a".as_slice()), Err(WireError::LineTooLong));
        let huge = vec![b'a'; 1 << 20];
        assert_eq!(LineReader::default().next(&mut &huge[..]), Err(WireError::LineTooLong));
    }

    #[test]
    fn strange_answers_are_refused() {
        for line in ["hello", "+FULLRESYNC", "+FULLRESYNC x 1", "+CONTINUE x", ":1", "$5"] {
            let refused = WireError::UnexpectedLine(line.into());
            assert_eq!(Reply::parse(line.as_bytes()), Err(refused), "{line}");
        }
        for offset in ["-1", "", "9223372036854775808", "1e3"] {
            assert!(Reply::parse(format!("+FULLRESYNC {ID} {offset}").as_bytes()).is_err());
        }
    }
}
