//! What a replica asks of its leader on behalf of a client, and what comes back.

use crate::limits::{FORWARD_BATCH, FORWARD_BATCH_BYTES};
use crate::resp::Reply as _;
use crate::resp::answer;
use crate::resp::reply::{Protocol, RespReply, encode_command};

use super::link::OwnLink;

/// What the leader answers FORWARD without arguments: where it is in its history, which database
/// is selected on the link, and for how long it has not been in step with its own leader.
pub(super) const POSITION: &[u8] = b"*1\r\n$7\r\nFORWARD\r\n";

/// Requests of one client for the leader, in their order.
#[derive(Debug)]
pub struct Errand {
    /// The requests.
    pub(super) bytes: Vec<u8>,
    items: Vec<Item>,
    /// Replies that they have, without that to [`POSITION`].
    pub(super) replies: usize,
    protocol: Protocol,
    /// Whether a link of its own is wanted, and what becomes of that.
    pub(super) route: Route,
    /// The link of an earlier errand that this one goes on.
    pub(super) own: Option<Box<OwnLink>>,
}

/// Which link an errand takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// One that all clients share.
    Shared,
    /// One of its own, since the leader may take its time.
    Alone,
    /// One of its own, that the client keeps: the leader remembers something of it there.
    Kept,
}

/// One request of a client.
#[derive(Clone, Copy, Debug)]
struct Item {
    /// Replies before the one that counts: those of MULTI and of what is queued.
    before: usize,
    /// Whether the reply stands in an array of one.
    wrapped: bool,
    /// Whether the client wants no reply: CLIENT REPLY.
    silent: bool,
    /// Whether the database may be another behind it.
    selects: bool,
}

/// For whom an errand is.
#[derive(Clone, Copy, Debug)]
pub struct Behalf<'a> {
    /// The user.
    pub user: &'a [u8],
    /// The selected database.
    pub db: usize,
    /// How the client is answered.
    pub protocol: Protocol,
}

impl Errand {
    /// An errand without requests.
    pub fn new(protocol: Protocol, route: Route, own: Option<Box<OwnLink>>) -> Errand {
        Errand { bytes: Vec::new(), items: Vec::new(), replies: 0, protocol, route, own }
    }

    /// Adds a request.
    pub fn ask(&mut self, behalf: Behalf<'_>, argv: &[&[u8]]) {
        self.append(behalf, argv);
        self.items.push(Item { before: 0, wrapped: false, silent: false, selects: false });
    }

    /// Adds a request that may not wait at the leader: in a transaction nobody waits.
    pub fn ask_without_waiting(&mut self, behalf: Behalf<'_>, argv: &[&[u8]]) {
        self.ask_all(behalf, std::iter::once(argv));
        if let Some(item) = self.items.last_mut() {
            item.wrapped = true;
        }
    }

    /// Adds a transaction.
    pub fn ask_all<'a>(&mut self, behalf: Behalf<'_>, argvs: impl Iterator<Item = &'a [&'a [u8]]>) {
        self.append(behalf, &[b"MULTI"]);
        let mut before = 1;
        for argv in argvs {
            self.append(behalf, argv);
            before += 1;
        }
        self.append(behalf, &[b"EXEC"]);
        self.items.push(Item { before, wrapped: false, silent: false, selects: true });
    }

    fn append(&mut self, Behalf { user, db, protocol }: Behalf<'_>, argv: &[&[u8]]) {
        let mut number = itoa::Buffer::new();
        let version: &[u8] = if protocol == Protocol::V3 { b"3" } else { b"2" };
        let head = [b"FORWARD".as_slice(), user, number.format(db).as_bytes(), version];
        let whole: Vec<&[u8]> = head.into_iter().chain(argv.iter().copied()).collect();
        encode_command(&mut self.bytes, &whole);
        self.replies += 1;
    }

    /// Leaves out the reply to the request that was added last.
    pub fn silence_last(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.silent = true;
        }
    }

    /// Whether no more may be added.
    pub fn is_full(&self) -> bool {
        self.items.len() >= FORWARD_BATCH
            || self.bytes.len() >= FORWARD_BATCH_BYTES
            || self.route != Route::Shared
    }

    /// How many requests it has.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The client's replies, made of those that have come.
    pub(super) fn settle(&self, answer: &Answer, failure: &str) -> Carried {
        let mut replies = Vec::with_capacity(answer.bytes.len());
        let mut came = 0;
        for item in &self.items {
            let first = came;
            came += item.before + 1;
            if item.silent {
                continue;
            }
            match answer.reply(came - 1) {
                Some(reply) if item.wrapped && reply.starts_with(b"*1\r\n") => {
                    replies.extend_from_slice(&reply[4..]);
                }
                Some(reply) if reply.first() == Some(&b'-') && item.before > 0 => {
                    // Why it was not even queued tells more than that something was not.
                    let before = (first..came - 1).filter_map(|at| answer.reply(at));
                    let why = before.filter_map(answer::error_text).next();
                    match why {
                        Some(why) => self.fail(&mut replies, &aborted(&why)),
                        None => replies.extend_from_slice(reply),
                    }
                }
                Some(reply) => replies.extend_from_slice(reply),
                None => self.fail(&mut replies, failure),
            }
        }
        let selects = self.items.iter().any(|item| item.selects);
        let place = answer.reply(self.replies).and_then(|reply| Place::read(reply, selects));
        Carried { replies, place, own: None, sent: true }
    }

    /// What the client is told when nothing was sent.
    pub(super) fn fail_all(&self, failure: &str) -> Carried {
        Carried { sent: false, ..self.settle(&Answer::default(), failure) }
    }

    fn fail(&self, replies: &mut Vec<u8>, failure: &str) {
        RespReply::new(replies, self.protocol).error(failure);
    }
}

/// The words of EXEC where something could not be queued.
fn aborted(why: &str) -> String {
    let why = why.strip_prefix("ERR ").unwrap_or(why);
    format!("EXECABORT Transaction discarded because of: {why}")
}

/// Replies as they came, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
}

impl Answer {
    /// Adds a reply.
    pub(super) fn push(&mut self, reply: &[u8]) {
        self.bytes.extend_from_slice(reply);
        self.ends.push(self.bytes.len());
    }

    fn reply(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)?;
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        self.bytes.get(start..end)
    }
}

/// A place in the leader's history, at which what was asked is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes of the history.
    pub offset: u64,
    /// The database that is selected now, if a transaction may have selected another.
    pub db: Option<usize>,
}

impl Place {
    fn read(reply: &[u8], selects: bool) -> Option<Place> {
        let [offset, db, _] = answer::integers::<3>(reply)?;
        let db = usize::try_from(db).ok().filter(|_| selects);
        Some(Place { offset: u64::try_from(offset).ok()?, db })
    }
}

/// What has come of an errand.
#[derive(Debug)]
pub struct Carried {
    /// The client's replies, as its protocol has them.
    pub replies: Vec<u8>,
    /// Where the leader was then; `None` if it did not say.
    pub place: Option<Place>,
    /// The link that the client keeps.
    pub own: Option<Box<OwnLink>>,
    /// Whether the leader may have been asked.
    pub sent: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEHALF: Behalf<'_> = Behalf { user: b"u", db: 3, protocol: Protocol::V2 };

    fn answer(replies: &[&str]) -> Answer {
        let mut answer = Answer::default();
        replies.iter().for_each(|reply| answer.push(reply.as_bytes()));
        answer
    }

    fn settled(errand: &Errand, replies: &[&str]) -> (String, Option<Place>) {
        let carried = errand.settle(&answer(replies), "GONE");
        (String::from_utf8(carried.replies).unwrap(), carried.place)
    }

    #[test]
    fn replies_are_passed_on_and_the_place_is_read() {
        let mut errand = Errand::new(Protocol::V2, Route::Shared, None);
        errand.ask(BEHALF, &[b"SET", b"a", b"1"]);
        errand.ask(BEHALF, &[b"INCR", b"a"]);
        errand.silence_last();
        assert!(
            errand.bytes.starts_with(b"*7\r\n$7\r\nFORWARD\r\n$1\r\nu\r\n$1\r\n3\r\n$1\r\n2\r\n")
        );
        let place = Some(Place { offset: 9, db: None });
        let replies = ["+OK\r\n", ":2\r\n", "*3\r\n:9\r\n:3\r\n:0\r\n"];
        assert_eq!(settled(&errand, &replies), ("+OK\r\n".to_owned(), place));
        assert_eq!(settled(&errand, &replies[..1]), ("+OK\r\n".to_owned(), None));
        assert_eq!(settled(&errand, &[]), ("-GONE\r\n".to_owned(), None));
    }

    #[test]
    fn of_a_transaction_the_last_reply_counts() {
        let mut errand = Errand::new(Protocol::V2, Route::Shared, None);
        let argv: [&[u8]; 2] = [b"INCR", b"a"];
        errand.ask_all(BEHALF, [argv.as_slice(), argv.as_slice()].into_iter());
        let place = Some(Place { offset: 9, db: Some(1) });
        let replies = [
            "+OK\r\n",
            "+QUEUED\r\n",
            "+QUEUED\r\n",
            "*2\r\n:1\r\n:2\r\n",
            "*3\r\n:9\r\n:1\r\n:0\r\n",
        ];
        assert_eq!(settled(&errand, &replies), ("*2\r\n:1\r\n:2\r\n".to_owned(), place));
        let refused = ["+OK\r\n", "-NOPERM no\r\n", "+QUEUED\r\n", "-EXECABORT x\r\n"];
        let told = "-EXECABORT Transaction discarded because of: NOPERM no\r\n";
        assert_eq!(settled(&errand, &refused).0, told);
        assert_eq!(settled(&errand, &replies[..3]).0, "-GONE\r\n");
        let mut errand = Errand::new(Protocol::V2, Route::Shared, None);
        errand.ask_without_waiting(BEHALF, &[b"BLPOP", b"a", b"0"]);
        let replies = ["+OK\r\n", "+QUEUED\r\n", "*1\r\n*-1\r\n"];
        assert_eq!(settled(&errand, &replies).0, "*-1\r\n");
    }
}
