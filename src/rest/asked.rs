//! What the head of a request says besides the command: who asks, and in which form the
//! answer is wanted.
//!
//! The headers are walked once, since each look-up by name would hash it. Headers that Upstash's
//! clients send and that change nothing here (telemetry, retries) are passed over.

use std::borrow::Cow;

use hyper::Method;
use hyper::header::HeaderMap;
use hyper::http::request::Parts;

use super::path;
use super::refusal::Refusal;
use super::reply::Encoding;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Asked<'r> {
    /// The method.
    pub(super) method: Method,
    /// All headers; none of a plain request, whose other headers are not kept.
    pub(super) headers: Option<&'r HeaderMap>,
    /// The path, without the prefix of the settings.
    pub(super) path: &'r str,
    /// Behind the path's `?`, without it.
    pub(super) query: &'r str,
    /// How strings are wanted.
    pub(super) encoding: Encoding,
    /// What the answer is to be made of, if that was said.
    format: Option<&'r [u8]>,
    /// The value of `Authorization`.
    authorization: Option<&'r [u8]>,
    /// What the client has seen before, here or elsewhere.
    pub(super) sync_token: Option<&'r [u8]>,
    /// Names the request, so that it is run once.
    pub(super) idempotency_key: Option<&'r [u8]>,
    /// The page that a browser asks for.
    pub(super) origin: Option<&'r [u8]>,
}

/// What answers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON, with strings in this encoding.
    Json(Encoding),
    /// Bytes of the Redis protocol, version 2.
    Resp,
}

impl<'r> Asked<'r> {
    /// Reads the head of a request.
    pub(super) fn of(head: &'r Parts) -> Asked<'r> {
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        let mut asked = Asked::for_path(head.method.clone(), path, query);
        asked.headers = Some(&head.headers);
        for (name, value) in &head.headers {
            asked.note(name.as_str().as_bytes(), value.as_bytes());
        }
        asked
    }

    /// What a head says that has no headers.
    pub(super) fn for_path(method: Method, path: &'r str, query: &'r str) -> Asked<'r> {
        Asked { method, path, query, ..Asked::default() }
    }

    /// Notes what a header says, by its name in lower case. Of several with one name the last holds.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8], value: &'r [u8]) {
        match name {
            b"authorization" => self.authorization = Some(value),
            b"upstash-sync-token" => self.sync_token = Some(value),
            b"origin" => self.origin = Some(value),
            b"idempotency-key" => self.idempotency_key = Some(value),
            b"upstash-encoding" if value.eq_ignore_ascii_case(b"base64") => {
                self.encoding = Encoding::Base64;
            }
            b"upstash-response-format" => self.format = Some(value),
            _ => {}
        }
    }

    /// Leaves out what may stand before every path.
    pub(super) fn strip(&mut self, prefix: &str) {
        let prefix = prefix.trim_matches('/');
        let behind = self.path.strip_prefix('/').and_then(|path| path.strip_prefix(prefix));
        match behind {
            Some(behind) if behind.is_empty() || behind.starts_with('/') => self.path = behind,
            _ => {}
        }
    }

    /// The token that the request carries: that of the query, or else that of the header, with or
    /// without its scheme.
    pub(super) fn token(&self) -> Option<Cow<'r, [u8]>> {
        // Decoding every query for the sake of the few that carry a token would be waste.
        if !self.query.is_empty()
            && let Some(token) = path::parameter(self.query, path::TOKEN)
        {
            return Some(token);
        }
        let value = self.authorization?.trim_ascii();
        let token = match value.split_at_checked(SCHEME.len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => token.trim_ascii(),
            _ => value,
        };
        Some(Cow::Borrowed(token))
    }

    /// The format of the answer.
    ///
    /// # Errors
    /// A format that is not known, or a format and an encoding that exclude each other.
    pub(super) fn format(&self) -> Result<Format, Refusal> {
        match self.format {
            None => Ok(Format::Json(self.encoding)),
            Some(name) if name.eq_ignore_ascii_case(b"json") => Ok(Format::Json(self.encoding)),
            Some(name) if !name.eq_ignore_ascii_case(b"resp2") => {
                Err(Refusal::bad_request("ERR unsupported response format, use json or resp2"))
            }
            Some(_) if self.encoding == Encoding::Base64 => Err(Refusal::bad_request(
                "ERR response format resp2 cannot be combined with encoding base64",
            )),
            Some(_) => Ok(Format::Resp),
        }
    }
}

const SCHEME: &[u8] = b"Bearer ";

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let builder = headers.iter().fold(Request::builder().uri(uri), |builder, (name, value)| {
            builder.header(*name, *value)
        });
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_token_of_the_query_wins() {
        for (uri, header, token) in [
            ("/ping", Some("Bearer abc"), Some("abc")),
            ("/ping", Some("bEARER  abc "), Some("abc")),
            ("/ping", Some("abc"), Some("abc")),
            ("/ping", Some("Basic abc"), Some("Basic abc")),
            ("/ping", Some("Bearer"), Some("Bearer")),
            ("/ping", Some(""), Some("")),
            ("/ping", None, None),
            ("/ping?_token=q", Some("Bearer abc"), Some("q")),
            ("/ping?EX=1&_token=a%2Fb", None, Some("a/b")),
            ("/ping?_token=", Some("Bearer abc"), Some("")),
            ("/ping?token=q", Some("Bearer abc"), Some("abc")),
        ] {
            let headers: Vec<_> = header.iter().map(|value| ("authorization", *value)).collect();
            let head = head(uri, &headers);
            let asked = Asked::of(&head).token().map(|t| String::from_utf8_lossy(&t).into_owned());
            assert_eq!(asked.as_deref(), token, "{uri} {header:?}");
        }
    }

    #[test]
    fn a_prefix_is_left_out() {
        for (path, prefix, inside) in [
            ("/redis/get/k", "/redis", "/get/k"),
            ("/redis/get/k", "redis/", "/get/k"),
            ("/redis", "/redis", ""),
            ("/redis/", "/redis", "/"),
            ("/a/b/pipeline", "/a/b", "/pipeline"),
            ("/rediset/k", "/redis", "/rediset/k"),
            ("/get/k", "/redis", "/get/k"),
            ("*", "/redis", "*"),
        ] {
            let uri = if path == "*" { "/x" } else { path };
            let head = head(uri, &[]);
            let mut asked = Asked::of(&head);
            asked.path = path;
            asked.strip(prefix);
            assert_eq!(asked.path, inside, "{path} {prefix}");
        }
    }

    #[test]
    fn formats_and_encodings() {
        let plain = Format::Json(Encoding::Plain);
        let base64 = Format::Json(Encoding::Base64);
        let encoded = ("Upstash-Encoding", "base64");
        for (headers, format) in [
            (vec![], Some(plain)),
            (vec![encoded], Some(base64)),
            (vec![("Upstash-Encoding", "rot13")], Some(plain)),
            (vec![("Upstash-Response-Format", "JSON"), encoded], Some(base64)),
            (vec![("Upstash-Response-Format", "resp2")], Some(Format::Resp)),
            (vec![("Upstash-Response-Format", "resp2"), encoded], None),
            (vec![("Upstash-Response-Format", "resp3")], None),
            (vec![("Upstash-Response-Format", "")], None),
        ] {
            let head = head("/", &headers);
            assert_eq!(Asked::of(&head).format().ok(), format, "{headers:?}");
        }
    }
}
