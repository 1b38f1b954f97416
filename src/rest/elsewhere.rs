//! Requests that a replica cannot answer itself: see `engine::elsewhere`. The replies of the
//! leader come in the Redis protocol, version 2, of which JSON has the shapes.

use hyper::StatusCode;
use hyper::header::HeaderValue;

use super::answer::{self, Answer, JSON, OCTETS, STALENESS};
use super::asked::Format;
use super::caller::{Caller, Desk};
use super::refusal::Refusal;
use super::reply::{Encoding, JsonReply};
use crate::engine::elsewhere::{self, Elsewhere};
use crate::limits::FORWARD_REPLY_BYTES;
use crate::node::Node;
use crate::rare::Rare;
use crate::resp::answer::{error_text, relay};
use crate::session::Session;

impl Caller {
    /// Does what the session has elsewhere; answers the replies of what has been done there.
    /// Without one the command is to be tried again.
    pub(super) async fn visit(&self, elsewhere: Elsewhere) -> Option<Vec<u8>> {
        let done = matches!(elsewhere, Elsewhere::Errand(_));
        let visited = elsewhere::visit(&self.node, elsewhere).await;
        let replies = elsewhere::settle(&mut self.desk.lock().session, visited);
        done.then_some(replies)
    }

    /// Has the session see at least what the client has seen elsewhere, as its token says.
    pub(super) fn catch_up(&self, token: Option<&[u8]>) {
        self.desk.lock().catch_up(&self.node, token);
    }

    /// Whether what the client has seen is still unknown here: then its token stays what it was.
    pub(super) fn knows_less(&self) -> bool {
        self.desk.lock().session.rare.contains(Rare::MARK_UNKNOWN)
    }

    /// Says how old the data of this replica is at most, if that is known.
    pub(super) fn tell_staleness(&self, answer: &mut Answer) {
        if let Some(staleness_ms) = self.node.replication.staleness_ms() {
            answer.headers_mut().insert(STALENESS, HeaderValue::from(staleness_ms));
        }
    }
}

impl Desk {
    /// See the caller's.
    #[inline]
    pub(super) fn catch_up(&mut self, node: &Node, token: Option<&[u8]>) {
        let session = &mut self.session;
        session.may_leave = true;
        let Some(token) = token.filter(|_| node.replication.is_replica()) else { return };
        match SyncToken::parse(token) {
            // What is no token asks for nothing.
            None => {}
            Some(token) if node.log.has_been_at(token.history, token.offset) => {
                elsewhere::behind(session, token.offset);
            }
            Some(_) => elsewhere::only_leader_knows(session),
        }
    }

    /// The sync token of an answer, at the place in the history that its client has seen.
    #[inline]
    pub(super) fn seen(&self, node: &Node) -> SyncToken {
        let mark = if node.replication.is_replica() { self.session.mark } else { 0 };
        SyncToken { history: node.log.short_id(), offset: node.log.offset().max(mark) }
    }
}

/// How many commands of a session are on their way to the leader.
pub(super) fn away(session: &Session) -> usize {
    match session.elsewhere.as_deref() {
        Some(Elsewhere::Errand(errand)) => errand.len(),
        _ => 0,
    }
}

/// The answer to one command whose replies came from the leader.
pub(super) fn answer(replies: &[u8], format: Format) -> Answer {
    let (out, kind) = match format {
        Format::Resp => (replies.to_vec(), OCTETS),
        Format::Json(encoding) => (json(replies, encoding), JSON),
    };
    let failed = replies.first() == Some(&b'-');
    let status = if failed { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    answer::with_body(status, kind, out.into())
}

/// A reply as JSON.
pub(super) fn json(replies: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut out = Vec::with_capacity(replies.len() + 16);
    relay(replies, &mut JsonReply::new(&mut out, encoding).bounded(FORWARD_REPLY_BYTES));
    out
}

/// The items of a transaction.
pub(super) fn items(replies: &[u8], encoding: Encoding) -> Result<Vec<u8>, Refusal> {
    if let Some(text) = error_text(replies) {
        // The first refusal of its commands is that of the whole.
        let text = text.strip_prefix("EXECABORT Transaction discarded because of: ");
        let why = text.map(|text| match text.split_once(' ') {
            Some((code, _)) if code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                text.to_owned()
            }
            _ => format!("ERR {text}"),
        });
        let whole = || error_text(replies).unwrap_or_default().into_owned();
        return Err(Refusal::bad_request(why.unwrap_or_else(whole)));
    }
    let mut out = Vec::with_capacity(replies.len() + 16);
    relay(replies, &mut JsonReply::items(&mut out, encoding).bounded(FORWARD_REPLY_BYTES));
    Ok(out)
}

/// A place in a history as clients carry it about: the first digits of the history's name, and
/// the offset in base 32. Clients treat it as opaque; a counter in base 32 is what Upstash sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyncToken {
    /// The first 32 bits of the history's name.
    pub(super) history: u32,
    /// Bytes of the history.
    pub(super) offset: u64,
}

const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

impl SyncToken {
    /// Reads a token.
    pub(super) fn parse(text: &[u8]) -> Option<SyncToken> {
        let (history, digits) = text.split_at_checked(8)?;
        let history = u32::from_str_radix(std::str::from_utf8(history).ok()?, 16).ok()?;
        let (dash, digits) = digits.split_first()?;
        if *dash != b'-' || digits.is_empty() {
            return None;
        }
        let offset = digits.iter().try_fold(0_u64, |offset, digit| {
            let value = DIGITS.iter().position(|known| known == digit)?;
            offset.checked_mul(32)?.checked_add(value as u64)
        })?;
        Some(SyncToken { history, offset })
    }

    /// Writes it.
    #[inline]
    pub(super) fn write(self, out: &mut Vec<u8>) {
        for place in (0..8).rev() {
            out.push(DIGITS[(self.history >> (place * 4)) as usize & 15]);
        }
        out.push(b'-');
        let digits = (64 - self.offset.leading_zeros()).div_ceil(5).max(1);
        for place in (0..digits).rev() {
            out.push(DIGITS[(self.offset >> (place * 5)) as usize & 31]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_token_is_a_history_and_an_offset() {
        let history = 0x0123_4567;
        for (offset, text) in [
            (0, "01234567-0"),
            (31, "01234567-v"),
            (32, "01234567-10"),
            (u64::MAX, "01234567-fvvvvvvvvvvvv"),
        ] {
            let token = SyncToken { history, offset };
            let mut written = Vec::new();
            token.write(&mut written);
            assert_eq!(written, text.as_bytes());
            assert_eq!(SyncToken::parse(text.as_bytes()), Some(token));
        }
        for text in
            ["", "01234567", "01234567-", "0123456-71", "01234567-w", "01234567_1", "x1234567-1"]
        {
            assert_eq!(SyncToken::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(SyncToken::parse(b"01234567-fvvvvvvvvvvvvv"), None);
    }

    #[test]
    fn replies_become_json() {
        assert_eq!(json(b"*2\r\n:1\r\n$-1\r\n", Encoding::Plain), br#"{"result":[1,null]}"#);
        let transaction = b"*3\r\n+OK\r\n-ERR no\r\n*0\r\n";
        let wanted = br#"[{"result":"OK"},{"error":"ERR no"},{"result":[]}]"#;
        assert_eq!(items(transaction, Encoding::Plain).unwrap(), wanted);
        for (reply, told) in [
            ("-EXECABORT Transaction discarded because of: NOPERM no\r\n", "NOPERM no"),
            ("-EXECABORT Transaction discarded because of: no way\r\n", "ERR no way"),
            ("-UNCERTAIN gone\r\n", "UNCERTAIN gone"),
        ] {
            assert_eq!(items(reply.as_bytes(), Encoding::Plain).unwrap_err().text, told);
        }
    }
}
