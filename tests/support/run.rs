//! A script over one door: sends its commands, compares the replies, reports every mismatch.
//!
//! Left out on purpose: retries. A script that passes the second time has found something.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;
use std::time::Duration;

use super::expect::{Dialect, Expect};
use super::http;
use super::reply::{Reply, quoted};
use super::resp::{Connection, Protocol, encode};
use super::script::{Act, Call, Script, Section, Step};
use super::server::{Program, REST_TOKEN, Server, pause};

/// After so many mismatches the rest is no news.
const MISMATCHES_REPORTED: usize = 25;
/// More pages than any SCAN of a script has.
const PAGES_LIMIT: usize = 100_000;

/// Looks at a client until it is as wanted; some seconds.
const LOOKS: u32 = 4000;

/// The ids of connections that have waited.
type Ids = BTreeMap<usize, i64>;

/// A way into a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Resp2,
    Resp3,
    Rest,
    /// redis-server, the oracle, over RESP2.
    Redis,
    /// The oracle over RESP3.
    Redis3,
}

impl Door {
    pub(crate) const ALL: [Door; 5] =
        [Door::Redis, Door::Redis3, Door::Resp2, Door::Resp3, Door::Rest];

    /// The first half of a test case's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Door::Resp2 => "resp2",
            Door::Resp3 => "resp3",
            Door::Rest => "rest",
            Door::Redis => "redis",
            Door::Redis3 => "redis3",
        }
    }

    /// Whether a section can be run here.
    pub(crate) fn admits(self, section: &Section) -> bool {
        match self {
            Door::Resp2 | Door::Resp3 => true,
            Door::Rest => !section.only_resp,
            Door::Redis | Door::Redis3 => !section.only_eave,
        }
    }

    fn program(self) -> Program {
        match self {
            Door::Resp2 | Door::Resp3 | Door::Rest => Program::Eave,
            Door::Redis | Door::Redis3 => Program::Redis,
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            Door::Resp3 | Door::Redis3 => Protocol::Resp3,
            Door::Resp2 | Door::Redis | Door::Rest => Protocol::Resp2,
        }
    }

    /// The reply that a call expects here; `None` when any will do.
    fn expected(self, call: &Call, dialect: Dialect) -> Result<Option<&Expect>, String> {
        let replies = &call.replies;
        let resp3 = dialect == Dialect::Resp(Protocol::Resp3);
        if self.program() == Program::Redis && call.differs.is_some() {
            let only_resp3 = if resp3 { replies.redis3.as_ref() } else { None };
            return Ok(only_resp3.or(replies.redis.as_ref()));
        }
        let special = match dialect {
            Dialect::Rest => replies.rest.as_ref(),
            Dialect::Resp(Protocol::Resp3) => replies.resp3.as_ref(),
            Dialect::Resp(Protocol::Resp2) => None,
        };
        match special.or(replies.any.as_ref()) {
            Some(expect) => Ok(Some(expect)),
            None => Err("the script has no reply for this command".to_owned()),
        }
    }
}

/// A connection through a door.
enum Client {
    Resp(Connection),
    Rest(http::Client),
}

impl Client {
    fn open(door: Door, server: &Server) -> Result<Client, String> {
        if let (Door::Rest, Some(address)) = (door, server.rest) {
            return Ok(Client::Rest(http::Client::new(address, REST_TOKEN)));
        }
        let mut connection = Connection::open(server.resp)?;
        if door.protocol() == Protocol::Resp3 {
            match connection.call(&["HELLO", "3"])? {
                Reply::Map(_) => {}
                // A server that wants a password first: the script itself says HELLO.
                Reply::Error(text) if text.starts_with("NOAUTH") => {}
                other => return Err(format!("HELLO 3: {other}")),
            }
        }
        Ok(Client::Resp(connection))
    }

    fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply, String> {
        match self {
            Client::Resp(connection) => connection.call(args),
            Client::Rest(client) => client.call(args),
        }
    }

    /// The RESP connection; who waits has no other.
    fn resp(&mut self) -> Result<&mut Connection, String> {
        match self {
            Client::Resp(connection) => Ok(connection),
            Client::Rest(_) => Err("nobody waits over REST".to_owned()),
        }
    }

    fn dialect(&self) -> Dialect {
        match self {
            Client::Resp(connection) => Dialect::Resp(connection.protocol()),
            Client::Rest(_) => Dialect::Rest,
        }
    }
}

/// A running script: its server and what it has found.
struct Run<'a> {
    door: Door,
    script: &'a Script,
    server: Server,
    mismatches: Vec<String>,
}

/// Runs a script over a door; the error tells every mismatch.
pub(crate) fn run(script: &Script, door: Door) -> Result<(), String> {
    let server = Server::start(door.program(), &script.options)?;
    let mut run = Run { door, script, server, mismatches: Vec::new() };
    for section in script.sections.iter().filter(|section| door.admits(section)) {
        if let Err(why) = run.section(section, |_, _| {}) {
            run.mismatches.push(why);
        }
        if !run.server.is_running() {
            let log = run.server.log_tail();
            run.mismatches.push(format!("the server has ended; its last words:\n{log}"));
            break;
        }
        if run.mismatches.len() >= MISMATCHES_REPORTED {
            run.mismatches.push("... and perhaps more".to_owned());
            break;
        }
    }
    if run.mismatches.is_empty() { Ok(()) } else { Err(run.mismatches.join("\n\n")) }
}

/// Runs a script over the oracle and hands each call's last reply to `note`.
pub(crate) fn observe(
    script: &Script,
    door: Door,
    mut note: impl FnMut(&Call, &Reply),
) -> Result<(), String> {
    let server = Server::start(door.program(), &script.options)?;
    let mut run = Run { door, script, server, mismatches: Vec::new() };
    for section in script.sections.iter().filter(|section| door.admits(section)) {
        run.section(section, &mut note)?;
    }
    Ok(())
}

impl Run<'_> {
    fn section(
        &mut self,
        section: &Section,
        mut note: impl FnMut(&Call, &Reply),
    ) -> Result<(), String> {
        let mut clients = BTreeMap::new();
        let mut ids = Ids::new();
        match self.server.connect()?.call(&["FLUSHALL"])? {
            Reply::Status(_) => {}
            other => return Err(self.at(section, 0, &format!("FLUSHALL answered {other}"))),
        }
        for step in &section.steps {
            match step {
                Step::Sleep(milliseconds) => pause(Duration::from_millis(*milliseconds)),
                Step::Close(connection) => {
                    clients.remove(connection);
                    self.until_gone(ids.remove(connection))
                        .map_err(|why| self.at(section, 0, &why))?;
                }
                Step::Call(call) => {
                    let client = match clients.entry(call.connection) {
                        Entry::Occupied(open) => open.into_mut(),
                        Entry::Vacant(place) => place.insert(
                            Client::open(self.door, &self.server)
                                .map_err(|why| self.at(section, call.line, &why))?,
                        ),
                    };
                    let failed = |why: String| call_failed(call, &why);
                    if call.act == Act::Wait {
                        self.wait(call, client, &mut ids)
                            .map_err(|why| self.at(section, call.line, &failed(why)))?;
                        continue;
                    }
                    let reply = self
                        .call(section, call, client, &ids)
                        .map_err(|why| self.at(section, call.line, &failed(why)))?;
                    note(call, &reply);
                }
            }
        }
        drop(clients);
        // Who waited would still be served in the next section.
        ids.into_values().try_for_each(|id| self.until_gone(Some(id)))
    }

    /// Sends a command and goes on once its client waits.
    fn wait(&self, call: &Call, client: &mut Client, ids: &mut Ids) -> Result<(), String> {
        let connection = client.resp()?;
        let id = match ids.get(&call.connection) {
            Some(id) => *id,
            None => {
                let Reply::Integer(id) = connection.call(&["CLIENT", "ID"])? else {
                    return Err("CLIENT ID answers no number".to_owned());
                };
                ids.insert(call.connection, id);
                id
            }
        };
        let args: Vec<Vec<u8>> = call.args.iter().map(|arg| with_ids(arg, ids)).collect();
        connection.send_raw(&encode(&args)).map_err(|e| format!("send: {e}"))?;
        self.until(id, |line| {
            let flags = line.split(' ').find_map(|field| field.strip_prefix("flags="));
            flags.is_some_and(|flags| flags.contains('b'))
        })
        .map_err(|()| "it does not wait".to_owned())
    }

    /// Waits until the server knows a client no more.
    fn until_gone(&self, id: Option<i64>) -> Result<(), String> {
        let Some(id) = id else { return Ok(()) };
        self.until(id, |line| !line.contains("id=")).map_err(|()| "it is not gone".to_owned())
    }

    /// Waits until the line of a client in CLIENT LIST is as wanted.
    fn until(&self, id: i64, wanted: impl Fn(&str) -> bool) -> Result<(), ()> {
        let mut connection = self.server.connect().map_err(|_| ())?;
        for _ in 0..LOOKS {
            let line = match connection.call(&["CLIENT", "LIST", "ID", &id.to_string()]) {
                Ok(Reply::Bulk(line) | Reply::Verbatim(line)) => line,
                _ => return Err(()),
            };
            if wanted(&String::from_utf8_lossy(&line)) {
                return Ok(());
            }
            pause(Duration::from_millis(2));
        }
        Err(())
    }

    /// Sends a call as often as it says, and compares; the last reply.
    fn call(
        &mut self,
        section: &Section,
        call: &Call,
        client: &mut Client,
        ids: &Ids,
    ) -> Result<Reply, String> {
        let mut last = Reply::Nil;
        for count in 0..call.repeat {
            let args: Vec<Vec<u8>> = if call.repeat > 1 {
                call.args.iter().map(|arg| counted(arg, count)).collect()
            } else {
                call.args.iter().map(|arg| with_ids(arg, ids)).collect()
            };
            last = match call.act {
                Act::Hear => client.resp()?.receive()?,
                _ if call.follow_cursor => all_pages(client, &args)?,
                _ => client.call(&args)?,
            };
            let dialect = client.dialect();
            let expected = match self.door.expected(call, dialect) {
                Ok(expected) => expected,
                Err(why) => {
                    // Sent as often as it says all the same: recording wants the last reply.
                    if count + 1 == call.repeat {
                        let why = call_failed(call, &format!("{why}\n  got:      {last}"));
                        self.mismatches.push(self.at(section, call.line, &why));
                    }
                    continue;
                }
            };
            if expected.is_some_and(|expected| !expected.matches(&last, dialect)) {
                let expected = expected.map(ToString::to_string).unwrap_or_default();
                self.mismatches.push(self.mismatch(section, call, count, &expected, &last));
                break;
            }
        }
        Ok(last)
    }

    fn mismatch(
        &self,
        section: &Section,
        call: &Call,
        count: u64,
        expected: &str,
        got: &Reply,
    ) -> String {
        let mut text = call_failed(call, "the reply is another");
        if call.repeat > 1 {
            let _ = write!(text, "\n  repeat:   {count} of {}", call.repeat);
        }
        let _ = write!(text, "\n  expected: {expected}\n  got:      {got}");
        self.at(section, call.line, &text)
    }

    /// Names the place: file, line, door, section.
    fn at(&self, section: &Section, line: usize, what: &str) -> String {
        let path = self.script.path.display();
        let title = match section.title.as_str() {
            "" => String::new(),
            title => format!(" ({title})"),
        };
        format!("{path}:{line} over {}{title}: {what}", self.door.name())
    }
}

fn call_failed(call: &Call, why: &str) -> String {
    let connection = if call.connection == 1 { String::new() } else { call.connection.to_string() };
    match call.act {
        Act::Hear => format!("{why}\n  waiting:  {}", call.source),
        _ => format!("{why}\n  command:  {connection}> {}", call.source),
    }
}

/// The argument with `{id2}` replaced by the id of connection 2, which has waited.
fn with_ids(arg: &[u8], ids: &Ids) -> Vec<u8> {
    let known =
        ids.iter().find(|(connection, _)| *arg == *format!("{{id{connection}}}").as_bytes());
    known.map_or_else(|| arg.to_vec(), |(_, id)| id.to_string().into_bytes())
}

/// The argument with `{i}` replaced by the count.
fn counted(arg: &[u8], count: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(arg.len());
    let mut rest = arg;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(b"{i}") {
            out.extend_from_slice(count.to_string().as_bytes());
            rest = after;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

/// Follows a SCAN (or HSCAN, ...) to its end: `["0" [everything once]]`.
fn all_pages(client: &mut Client, args: &[Vec<u8>]) -> Result<Reply, String> {
    let mut args = args.to_vec();
    let keyed = !args[0].eq_ignore_ascii_case(b"scan");
    // Elements of HSCAN and ZSCAN are pairs.
    let width = if args[0].eq_ignore_ascii_case(b"hscan") { 2 } else { 1 };
    let mut all: Vec<Reply> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..PAGES_LIMIT {
        let reply = client.call(&args)?;
        let Reply::Array(parts) = &reply else { return Ok(reply) };
        let [Reply::Bulk(cursor), Reply::Array(page)] = parts.as_slice() else {
            return Ok(reply);
        };
        for element in page.chunks(width) {
            if seen.insert(format!("{element:?}")) {
                all.extend_from_slice(element);
            }
        }
        if cursor == b"0" {
            return Ok(Reply::Array(vec![Reply::Bulk(cursor.clone()), Reply::Array(all)]));
        }
        let at = usize::from(keyed) + 1;
        let place = args.get_mut(at).ok_or_else(|| format!("no cursor in {}", quoted(b"SCAN")))?;
        place.clone_from(cursor);
    }
    Err(format!("the cursor does not come to its end within {PAGES_LIMIT} calls"))
}
