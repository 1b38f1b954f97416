//! Finds a plain request at the beginning of what was read.
//!
//! Plain is what the clients of the dialect send nearly always, and what no two readers of HTTP
//! take for different things: GET or POST of a path, HTTP/1.1, lines that end with CR LF, header
//! names of token characters, values of visible ASCII and blanks, at most one length, in digits,
//! and none of the headers that say where a message ends or what becomes of its connection.
//!
//! *Invariant*: this reader refuses nothing and guesses nothing. Whatever it does not take is left
//! as it came to hyper, which alone judges what is malformed. So nothing that may be read in two
//! ways is read here.

use hyper::Method;
use memchr::memchr;

use super::super::asked::Asked;

/// Headers of a plain request: those of an SDK behind two proxies are some 25.
const HEADERS: usize = 48;

/// Digits of a length; what is longer does not fit the buffer anyway.
const DIGITS: usize = 6;

/// A request that has come as a whole.
#[derive(Debug)]
pub(in super::super) struct Plain<'b> {
    /// What its head says.
    pub(in super::super) asked: Asked<'b>,
    /// Its body.
    pub(in super::super) body: &'b [u8],
    /// Bytes of all of it.
    pub(in super::super) length: usize,
}

/// What stands at the beginning of a buffer.
#[derive(Debug)]
pub(in super::super) enum Found<'b> {
    /// A plain request.
    Plain(Plain<'b>),
    /// The beginning of what may become one.
    Part,
    /// Something else.
    Other,
}

/// Looks for a request at the beginning of `bytes`, of which there is room for `room`.
pub(in super::super) fn read(bytes: &[u8], room: usize) -> Found<'_> {
    let mut lines = Lines { bytes, at: 0 };
    match head(&mut lines) {
        Ok((asked, length)) => match bytes.get(lines.at..lines.at + length) {
            Some(body) => Found::Plain(Plain { asked, body, length: lines.at + length }),
            None if lines.at + length <= room => Found::Part,
            None => Found::Other,
        },
        Err(Stop::Part) if bytes.len() < room && begins_well(bytes) => Found::Part,
        Err(_) => Found::Other,
    }
}

/// Why there is no head.
enum Stop {
    /// It has no end yet.
    Part,
    /// It is not plain.
    Other,
}

/// Whether the first bytes are those of a plain request, as far as they have come.
fn begins_well(bytes: &[u8]) -> bool {
    [&b"GET /"[..], b"POST /"].iter().any(|start| {
        let length = start.len().min(bytes.len());
        bytes[..length] == start[..length]
    })
}

/// The lines of a head, without their ends.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Lines<'b> {
    fn next(&mut self) -> Result<&'b [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let end = memchr(b'\n', rest).ok_or(Stop::Part)?;
        self.at += end + 1;
        rest[..end].strip_suffix(b"\r").ok_or(Stop::Other)
    }
}

/// Reads a head, and answers what it says and how long the body is.
fn head<'b>(lines: &mut Lines<'b>) -> Result<(Asked<'b>, usize), Stop> {
    let line = lines.next()?;
    let (method, from) = match line {
        [b'G', b'E', b'T', b' ', b'/', ..] => (Method::GET, 4),
        [b'P', b'O', b'S', b'T', b' ', b'/', ..] => (Method::POST, 5),
        _ => return Err(Stop::Other),
    };
    let target = line[from..].strip_suffix(b" HTTP/1.1").ok_or(Stop::Other)?;
    if !target.iter().all(|byte| is(*byte, IN_TARGET)) {
        return Err(Stop::Other);
    }
    // Those characters are ASCII.
    let target = std::str::from_utf8(target).map_err(|_| Stop::Other)?;
    let (path, query) = match memchr(b'?', target.as_bytes()) {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, ""),
    };
    let posts = method == Method::POST;
    let mut asked = Asked::for_path(method, path, query);
    let mut length = None;
    for _ in 0..=HEADERS {
        let line = lines.next()?;
        if line.is_empty() {
            let length = length.unwrap_or(0);
            // A GET with a body is not what clients send.
            return if posts || length == 0 { Ok((asked, length)) } else { Err(Stop::Other) };
        }
        header(line, &mut asked, &mut length)?;
    }
    Err(Stop::Other)
}

/// Reads one line of a head.
fn header<'b>(
    line: &'b [u8],
    asked: &mut Asked<'b>,
    length: &mut Option<usize>,
) -> Result<(), Stop> {
    let colon = memchr(b':', line).ok_or(Stop::Other)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let named = !name.is_empty() && name.iter().all(|byte| is(*byte, IN_NAME));
    // Without a branch per byte, the compiler does this with vectors.
    let visible = value.iter().fold(true, |all, byte| all & (*byte >= b' ') & (*byte < 0x7f));
    if !(named && visible) {
        return Err(Stop::Other);
    }
    let mut lower = [0; LONGEST];
    let Some(lower) = lower.get_mut(..name.len()) else { return Ok(()) };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let value = value.trim_ascii();
    match &*lower {
        b"content-length" => match length.replace(digits(value).ok_or(Stop::Other)?) {
            None => Ok(()),
            Some(_) => Err(Stop::Other),
        },
        b"connection" if value.eq_ignore_ascii_case(b"keep-alive") => Ok(()),
        b"connection" | b"transfer-encoding" | b"te" | b"trailer" | b"upgrade" | b"expect"
        | b"keep-alive" | b"proxy-connection" | b"http2-settings" => Err(Stop::Other),
        // Pages of other origins, and what is run once, take more than a head and a body.
        b"origin" | b"idempotency-key" => Err(Stop::Other),
        lower => {
            asked.note(lower, value);
            Ok(())
        }
    }
}

/// The longest name that says anything: `upstash-response-format`.
const LONGEST: usize = 23;

fn digits(value: &[u8]) -> Option<usize> {
    if value.is_empty() || value.len() > DIGITS {
        return None;
    }
    value.iter().try_fold(0_usize, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + usize::from(byte - b'0'))
    })
}

/// What may stand in a name: token characters (RFC 9110).
const IN_NAME: u8 = 1;
/// What may stand in a path and its query (RFC 3986).
const IN_TARGET: u8 = 2;

fn is(byte: u8, what: u8) -> bool {
    KINDS[usize::from(byte)] & what != 0
}

const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let letter = byte as u8;
        if letter.is_ascii_alphanumeric() {
            kinds[byte] = IN_NAME | IN_TARGET;
        }
        byte += 1;
    }
    let (names, targets) = (b"!#$%&'*+-.^_`|~", b"-._~!$&'()*+,;=:@%/?");
    let mut at = 0;
    while at < names.len() {
        kinds[names[at] as usize] |= IN_NAME;
        at += 1;
    }
    at = 0;
    while at < targets.len() {
        kinds[targets[at] as usize] |= IN_TARGET;
        at += 1;
    }
    kinds
};

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 4096;

    fn kind(text: &str) -> &'static str {
        match read(text.as_bytes(), ROOM) {
            Found::Plain(_) => "plain",
            Found::Part => "part",
            Found::Other => "other",
        }
    }

    fn with(headers: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n[\"PING\"]")
    }

    #[test]
    fn a_plain_request_is_read() {
        let text = "POST /set/a%2Fb?EX=1&_token=t HTTP/1.1\r\nHost: x\r\nAUTHORIZATION:  Bearer t \r\n\
                    Upstash-Encoding: base64\r\nX-Other: a:b\r\nConnection: Keep-Alive\r\n\
                    Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        let Found::Plain(plain) = read(text.as_bytes(), ROOM) else { panic!("it is plain") };
        assert_eq!((plain.asked.path, plain.asked.query), ("/set/a%2Fb", "EX=1&_token=t"));
        assert_eq!(plain.asked.method, Method::POST);
        assert_eq!(plain.asked.token().as_deref(), Some(&b"t"[..]));
        assert_eq!(plain.body, b"abc");
        let Found::Plain(next) = read(&text.as_bytes()[plain.length..], ROOM) else {
            panic!("so is the next")
        };
        assert_eq!((next.asked.method, next.asked.path, next.body), (Method::GET, "/", &b""[..]));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_left_to_hyper() {
        for headers in [
            "Content-Length: 8\r\nContent-Length: 8",
            "Content-Length: 8, 8",
            "Content-Length: +8",
            "Content-Length: 0x8",
            "Content-Length: 8 8",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length : 8",
            " Content-Length: 8",
            "Content-Length: 8\r\n folded: yes",
            "Content-Length: 8\nHost: y",
            "Content-Length: 8\r\nTransfer-Encoding: chunked",
            "transfer-ENCODING: identity",
            "Transfer-Encoding : chunked",
            "X: a\rContent-Length: 8",
            "X: \u{e9}",
            "X: a\tb",
            "X\u{7f}: a",
            "no colon",
            ": no name",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "Connection: keep-alive, content-length",
            "Trailer: x",
            "TE: trailers",
            "Origin: http://page",
            "Idempotency-Key: 1",
        ] {
            assert_eq!(kind(&with(headers)), "other", "{headers}");
        }
        for line in [
            "GET / HTTP/1.0",
            "GET / HTTP/1.1 ",
            "GET  / HTTP/1.1",
            "GET /\tHTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /\"a\" HTTP/1.1",
            "GET /\u{e9} HTTP/1.1",
            "GET http://x/ HTTP/1.1",
            "GET * HTTP/1.1",
            "get / HTTP/1.1",
            "HEAD / HTTP/1.1",
            "PUT / HTTP/1.1",
            "OPTIONS / HTTP/1.1",
            "CONNECT x:1 HTTP/1.1",
            " GET / HTTP/1.1",
            "\r\nGET / HTTP/1.1",
            "GET /",
        ] {
            assert_eq!(kind(&format!("{line}\r\nHost: x\r\n\r\n")), "other", "{line:?}");
        }
        assert_eq!(kind("GET / HTTP/1.1\nHost: x\r\n\r\n"), "other");
        assert_eq!(kind("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"), "other");
        assert_eq!(kind("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), "plain");
        let many = "X: 1\r\n".repeat(HEADERS + 1);
        assert_eq!(kind(&format!("GET / HTTP/1.1\r\n{many}\r\n")), "other");
    }

    #[test]
    fn every_beginning_of_a_plain_request_is_a_part_of_one() {
        let text = with("Content-Length: 8");
        assert_eq!(kind(&text), "plain");
        for end in 0..text.len() {
            assert_eq!(kind(&text[..end]), "part", "{:?}", &text[..end]);
        }
        let whole = read(text.as_bytes(), text.len());
        assert!(matches!(whole, Found::Plain(_)));
        assert!(matches!(read(&text.as_bytes()[..40], 40), Found::Other), "there is no room");
        let long = with("Content-Length: 5000");
        assert_eq!(kind(&long), "other", "its body has no room");
        assert_eq!(kind("SSH-2.0-x"), "other");
    }

    /// Whatever single byte is changed, added or left out: what is taken for plain is what hyper's
    /// own parser reads.
    #[test]
    fn hyper_reads_the_same() {
        let texts = [
            "POST /set/a?EX=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\
             Upstash-Encoding: base64\r\nConnection: keep-alive\r\nContent-Length: 12\r\n\r\n\
             [\"GET\",\"key\"]",
            "GET /get/a%20b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ];
        let bytes = *b"\0\t\n\r ,:;0+-xHk%?#\"/\x7f\x80\xff";
        let mut plain = 0;
        for text in texts {
            for at in 0..text.len() {
                let (before, behind) = text.as_bytes().split_at(at);
                let mut cases = vec![[before, &behind[1..]].concat()];
                for byte in bytes {
                    cases.push([before, &[byte], behind].concat());
                    cases.push([before, &[byte], &behind[1..]].concat());
                }
                plain += cases.iter().filter(|case| agrees(case)).count();
            }
        }
        assert!(plain > 1000, "only {plain}");
    }

    /// Whether a text is plain; then hyper's parser has to agree.
    fn agrees(text: &[u8]) -> bool {
        let Found::Plain(plain) = read(text, ROOM) else { return false };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let shown = text.escape_ascii().to_string();
        let head = plain.length - plain.body.len();
        assert_eq!(request.parse(text), Ok(httparse::Status::Complete(head)), "{shown}");
        assert_eq!((request.version, request.method), (Some(1), Some(plain.asked.method.as_str())));
        let target = request.path.unwrap_or_default();
        assert_eq!(target.split('?').next(), Some(plain.asked.path), "{shown}");
        let values = |name: &str| -> Vec<&[u8]> {
            let found = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name));
            found.map(|header| header.value).collect()
        };
        assert!(values("transfer-encoding").is_empty(), "{shown}");
        match *values("content-length") {
            [] => assert!(plain.body.is_empty(), "{shown}"),
            [length] => {
                let length = std::str::from_utf8(length).map(str::parse);
                assert_eq!(length, Ok(Ok(plain.body.len())), "{shown}");
            }
            _ => panic!("several lengths: {shown}"),
        }
        true
    }
}
