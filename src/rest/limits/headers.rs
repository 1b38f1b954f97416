//! What headers say of limits: the one place that knows their syntax.
//!
//! `RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-ratelimit-headers-11, which is no
//! standard yet. `X-RateLimit-*` are what many clients read: their Reset is a time to some and a span to
//! others, so a directive says which, or that there are none.

use hyper::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::status::Status;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The largest integer of structured fields (RFC 9651): 15 digits.
const LARGEST: i64 = 999_999_999_999_999;

/// Which headers are written besides those of the draft.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XRateLimit {
    /// None.
    #[default]
    No,
    /// `X-RateLimit-*`, with the unix second at which the quota is back.
    Epoch,
    /// `X-RateLimit-*`, with the seconds until then.
    Delta,
}

impl XRateLimit {
    /// The values of the directive, in the order of the variants.
    pub const NAMES: &[&str] = &["no", "epoch", "delta"];
}

/// A limit as headers name it.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Its name, visible ASCII without quotes and backslashes.
    pub(crate) name: String,
    /// The window in milliseconds; 0 for slots.
    pub(crate) window_ms: u64,
}

/// Writes the headers of one limit or several.
pub(crate) fn write(
    headers: &mut HeaderMap,
    limits: &[(Policy, Status)],
    x: XRateLimit,
    now_ms: u64,
) {
    let mut insert = |name: HeaderName, text: String| {
        // Digits and checked names make a header.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    };
    insert(RATE_LIMIT_POLICY, list(limits, policy));
    insert(RATE_LIMIT, list(limits, quota));
    if let Some(wait) = retry_after(limits) {
        insert(RETRY_AFTER, up_to_seconds(wait).to_string());
    }
    // These speak of one limit: the one that is closest to its end.
    let tightest = limits.iter().min_by_key(|(_, status)| (status.allowed(), status.remaining));
    if let (Some((_, status)), true) = (tightest, x != XRateLimit::No) {
        insert(X_LIMIT, status.limit.to_string());
        insert(X_REMAINING, status.remaining.max(0).to_string());
        let reset = match x {
            XRateLimit::Epoch => {
                let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
                up_to_seconds(now.saturating_add(status.reset_after.max(0)))
            }
            _ => up_to_seconds(status.reset_after),
        };
        insert(X_RESET, reset.to_string());
    }
}

fn list(limits: &[(Policy, Status)], item: fn(&Policy, &Status) -> String) -> String {
    let items: Vec<String> = limits.iter().map(|(policy, status)| item(policy, status)).collect();
    items.join(", ")
}

/// `"burst";q=100;w=60`
fn policy(policy: &Policy, status: &Status) -> String {
    let name = &policy.name;
    let quota = status.limit.min(LARGEST);
    match policy.window_ms {
        0 => format!("\"{name}\";q={quota};qu=\"concurrent-requests\""),
        window => format!("\"{name}\";q={quota};w={}", window.div_ceil(1000)),
    }
}

/// `"burst";r=50;t=30`
fn quota(policy: &Policy, status: &Status) -> String {
    let (name, left) = (&policy.name, status.remaining.clamp(0, LARGEST));
    format!("\"{name}\";r={left};t={}", seconds(status))
}

/// Seconds after which there is more to take, rounded up; at most those of `Retry-After`.
fn seconds(status: &Status) -> i64 {
    let millis = if status.retry_after > 0 { status.retry_after } else { status.reset_after };
    up_to_seconds(millis)
}

/// Milliseconds after which all limits let a request pass; none if they do, or never will.
pub(super) fn retry_after(limits: &[(Policy, Status)]) -> Option<i64> {
    let refused = limits.iter().map(|(_, status)| status).filter(|status| !status.allowed());
    let waits: Vec<i64> = refused.map(|status| status.retry_after).collect();
    if waits.iter().any(|wait| *wait < 0) { None } else { waits.into_iter().max() }
}

fn up_to_seconds(millis: i64) -> i64 {
    let millis = millis.max(0);
    millis / 1000 + i64::from(millis % 1000 > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(limits: &[(Policy, Status)], x: XRateLimit) -> HeaderMap {
        let mut headers = HeaderMap::new();
        write(&mut headers, limits, x, 1_000_500);
        headers
    }

    fn policy(name: &str, window_ms: u64) -> Policy {
        Policy { name: name.to_owned(), window_ms }
    }

    fn get<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    const REFUSED: Status =
        Status { allowed: 0, limit: 100, remaining: 0, retry_after: 29_001, reset_after: 60_000 };

    #[test]
    fn a_refusal_says_when_to_come_again() {
        let headers = written(&[(policy("default", 60_000), REFUSED)], XRateLimit::No);
        assert_eq!(get(&headers, "ratelimit"), Some("\"default\";r=0;t=30"));
        assert_eq!(get(&headers, "ratelimit-policy"), Some("\"default\";q=100;w=60"));
        assert_eq!(get(&headers, "retry-after"), Some("30"));
        assert_eq!(get(&headers, "x-ratelimit-limit"), None);
    }

    #[test]
    fn what_can_never_fit_has_no_time_to_come_again() {
        let never = Status { retry_after: -1, ..REFUSED };
        let both = [(policy("a", 0), REFUSED), (policy("b", 1), never)];
        let headers = written(&both, XRateLimit::No);
        assert_eq!(get(&headers, "retry-after"), None);
        assert_eq!(get(&headers, "ratelimit"), Some("\"a\";r=0;t=30, \"b\";r=0;t=60"));
        let quotas = "\"a\";q=100;qu=\"concurrent-requests\", \"b\";q=100;w=1";
        assert_eq!(get(&headers, "ratelimit-policy"), Some(quotas));
    }

    #[test]
    fn the_tightest_limit_speaks_in_the_old_headers() {
        let open = Status { allowed: 1, remaining: 7, retry_after: 0, ..REFUSED };
        let two = [(policy("a", 1), open), (policy("b", 1), REFUSED)];
        let headers = written(&two, XRateLimit::Epoch);
        assert_eq!(get(&headers, "x-ratelimit-remaining"), Some("0"));
        assert_eq!(get(&headers, "x-ratelimit-reset"), Some("1061"));
        let headers = written(&two[..1], XRateLimit::Delta);
        assert_eq!(get(&headers, "x-ratelimit-limit"), Some("100"));
        assert_eq!(get(&headers, "x-ratelimit-remaining"), Some("7"));
        assert_eq!(get(&headers, "x-ratelimit-reset"), Some("60"));
    }

    #[test]
    fn the_largest_numbers_fit() {
        let huge = Status {
            allowed: 1,
            limit: i64::MAX,
            remaining: i64::MAX,
            retry_after: 0,
            reset_after: i64::MAX,
        };
        let headers = written(&[(policy("a", u64::MAX), huge)], XRateLimit::Epoch);
        assert!(get(&headers, "ratelimit").unwrap().contains(";r=999999999999999;"));
    }
}
