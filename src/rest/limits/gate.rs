//! `GET /v1/gate/<rule>?key=...`: a verdict that proxies understand.
//!
//! nginx' auth_request lets a request pass after 2xx, hands 401 and 403 on, and takes anything else
//! for its own error; Traefik's forwardAuth and Caddy's forward_auth hand any refusal on as it is. So the
//! status of a refusal can be chosen: `deny=403`. The rule is a name, or written out with its slash
//! as `%2F` or as it is. The key, and what stands behind `for`, may have headers of the request in
//! them: `key=login:{x-real-ip}`, and of a header with several values the first or the last:
//! `{x-forwarded-for:first}`.

use eave_ratelimit::Rule;
use hyper::StatusCode;
use hyper::http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::super::access::Sender;
use super::super::answer::{self, Answer, PROBLEM};
use super::super::asked::Asked;
use super::super::caller::Caller;
use super::super::path;
use super::super::refusal::Refusal;
use super::problem;
use crate::command::Argv;

/// What a refusal may be, besides 429.
const DENIALS: [(&[u8], StatusCode); 4] = [
    (b"401", StatusCode::UNAUTHORIZED),
    (b"403", StatusCode::FORBIDDEN),
    (b"429", StatusCode::TOO_MANY_REQUESTS),
    (b"503", StatusCode::SERVICE_UNAVAILABLE),
];

/// Answers a proxy.
pub(super) async fn answer(
    caller: &Caller,
    sender: &Sender,
    asked: &Asked<'_>,
) -> Result<Answer, Refusal> {
    let headers = asked.headers.ok_or(Refusal::BUG)?;
    let rule = rule(asked.path)?;
    let parameter = |name| path::parameter(asked.query, name);
    let key = parameter("key").ok_or_else(|| Refusal::bad_request("ERR key is missing"))?;
    let key = filled(&key, headers)?;
    let cost = parameter("cost").unwrap_or_else(|| b"1"[..].into());
    let id = parameter("for").map(|id| filled(&id, headers)).transpose()?;
    let deny = match parameter("deny") {
        None => None,
        Some(code) => {
            let known = DENIALS.iter().find(|(text, _)| *code == **text);
            let text = "ERR deny must be one of 401, 403, 429 and 503";
            Some(known.ok_or_else(|| Refusal::bad_request(text))?.1)
        }
    };
    let argv: Argv<'_> = &[b"RL.TAKE", &key, rule.as_bytes(), b"COST", &cost];
    let with_id: Argv<'_> = &[
        b"RL.TAKE",
        &key,
        rule.as_bytes(),
        b"COST",
        &cost,
        b"FOR",
        id.as_deref().unwrap_or_default(),
    ];
    let argv = if id.is_some() { with_id } else { argv };
    let statuses = caller.collect(sender, &[argv]).await?.statuses(0, 1)?;
    let limits = [(caller.policy(&rule, true), statuses[0])];
    let mut answer = if statuses[0].allowed() {
        answer::empty(StatusCode::NO_CONTENT)
    } else {
        let mut body = vec![b'{'];
        let usual = problem(&mut body, &limits);
        statuses[0].members(&mut body, Some(&rule));
        body.push(b'}');
        answer::with_body(deny.unwrap_or(usual), PROBLEM, body.into())
    };
    caller.write_headers(&mut answer, &limits);
    Ok(answer)
}

/// The rule that a path names.
fn rule(path: &str) -> Result<String, Refusal> {
    let named = path.strip_prefix("/v1/gate/").unwrap_or_default();
    let text = percent_decode_str(named).decode_utf8();
    let text = text.map_err(|_| Refusal::bad_request("ERR the rule is not valid Unicode"))?;
    if Rule::parse(text.as_bytes()).is_ok() || text.starts_with('@') {
        return Ok(text.into_owned());
    }
    Ok(format!("@{text}"))
}

/// The text with values of headers in the place of their names.
fn filled(template: &[u8], headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let (mut text, mut rest) = (Vec::with_capacity(template.len()), template);
    while let Some(open) = memchr::memchr(b'{', rest) {
        let close = memchr::memchr(b'}', &rest[open..])
            .ok_or_else(|| Refusal::bad_request("ERR a { without its }"))?;
        text.extend_from_slice(&rest[..open]);
        text.extend_from_slice(value(&rest[open + 1..open + close], headers)?);
        rest = &rest[open + close + 1..];
    }
    text.extend_from_slice(rest);
    Ok(text)
}

/// The value of a header, or its first or last of several.
fn value<'h>(asked: &[u8], headers: &'h HeaderMap) -> Result<&'h [u8], Refusal> {
    let (name, part) = match memchr::memchr(b':', asked) {
        Some(at) => (&asked[..at], &asked[at + 1..]),
        None => (asked, &b""[..]),
    };
    let name = std::str::from_utf8(name).unwrap_or_default();
    let value = headers.get(name).map(|value| value.as_bytes()).unwrap_or_default();
    let mut parts = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let chosen = match part {
        b"" => Some(value),
        b"first" => parts.next(),
        b"last" => parts.next_back(),
        _ => return Err(Refusal::bad_request("ERR of a header, there is :first and :last")),
    };
    // A limit that all share whose header is missing would be a surprise.
    chosen.filter(|value| !value.is_empty()).ok_or_else(|| {
        Refusal::bad_request(format!("ERR header {} is missing", name.escape_default()))
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn rules_are_names_or_written_out() {
        for (path, wanted) in [
            ("pro", "@pro"),
            ("%40pro", "@pro"),
            ("edge/a=b", "@edge/a=b"),
            ("100/60s", "100/60s"),
            ("100%2F60s:gcra:20", "100/60s:gcra:20"),
            ("100/60", "@100/60"),
        ] {
            assert_eq!(rule(&format!("/v1/gate/{path}")).unwrap(), wanted);
        }
        assert!(rule("/v1/gate/%ff").is_err());
    }

    #[test]
    fn keys_have_headers_in_them() {
        let mut headers = HeaderMap::new();
        headers.insert("x-real-ip", HeaderValue::from_static("1.2.3.4"));
        headers.insert("x-forwarded-for", HeaderValue::from_static("5.6.7.8, 9.9.9.9 ,1.1.1.1"));
        headers.insert("empty", HeaderValue::from_static(""));
        let fill = |text: &str| filled(text.as_bytes(), &headers);
        for (template, wanted) in [
            ("plain", "plain"),
            ("ip:{x-real-ip}", "ip:1.2.3.4"),
            ("{X-Real-IP}{x-real-ip}!", "1.2.3.41.2.3.4!"),
            ("{x-forwarded-for}", "5.6.7.8, 9.9.9.9 ,1.1.1.1"),
            ("{x-forwarded-for:first}", "5.6.7.8"),
            ("{x-forwarded-for:last}", "1.1.1.1"),
            ("{x-real-ip:last}", "1.2.3.4"),
        ] {
            assert_eq!(fill(template).unwrap(), wanted.as_bytes(), "{template}");
        }
        for bad in ["{", "{x-real-ip", "{nobody}", "{empty}", "{}", "{a b}", "{x-real-ip:third}"] {
            assert!(fill(bad).is_err(), "{bad}");
        }
    }
}
