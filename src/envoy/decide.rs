//! From descriptors to limits.
//!
//! The rule of a descriptor is called by its domain and its entries, `edge/remote_address`, or with the
//! value of an entry that has a limit of its own, `edge/client=gold/path`. The most specific name that
//! there is wins, values of outer entries before those of inner ones. The key is that name, a colon, and the
//! values that the name does not say, so lists and rules for identifiers work on them. What no rule is
//! meant for passes.

use eave_ratelimit::{Algorithm, Rule};
use hyper::HeaderMap;

use super::wire::{
    Code, Descriptor, DescriptorStatus, Duration, Entry, Header, Limit, Override, RateLimitRequest,
    RateLimitResponse, Unit,
};
use crate::clock;
use crate::command::Argv;
use crate::engine;
use crate::fault::{Fault, Outcome};
use crate::limits::LIMITS_AT_ONCE;
use crate::node::Node;
use crate::rare::Rare;
use crate::rest::limits::headers::{self, Policy, XRateLimit};
use crate::rest::limits::status::{Collected, Status};
use crate::session::Session;

/// Entries of which every combination of values is looked for; of more, all or none.
const COMBINED: usize = 4;

/// What a descriptor comes to.
enum Meant {
    /// Nothing limits it.
    Nothing,
    /// It never passes: an override of 0.
    Never,
    /// This limit.
    Limit { key: String, token: String, policy: Policy, hits: u64, gives: bool },
}

/// A request, read.
pub(super) struct Asked(Vec<Meant>);

impl Asked {
    /// Reads a request.
    ///
    /// # Errors
    /// When it says nothing, or too much.
    pub(super) fn read(node: &Node, request: &RateLimitRequest) -> Result<Asked, Fault> {
        if request.domain.is_empty() {
            return Err(Fault::new("rate limit domain must not be empty"));
        }
        if request.descriptors.is_empty() {
            return Err(Fault::new("rate limit descriptor list must not be empty"));
        }
        if request.descriptors.len() > LIMITS_AT_ONCE {
            return Err(Fault::new("too many rate limit descriptors"));
        }
        let usual = u64::from(request.hits_addend.max(1));
        let meant = |descriptor| Meant::of(node, &request.domain, descriptor, usual);
        Ok(Asked(request.descriptors.iter().map(meant).collect::<Result<_, _>>()?))
    }

    /// Takes from all of them or from none; what is given back is given back first. Where the leader has to
    /// do it, the session has it to carry there.
    ///
    /// # Errors
    /// What the limiter refuses, or that a shard is busy: nothing has happened then.
    pub(super) fn run(
        &self,
        node: &Node,
        session: &mut Session,
        collected: &mut Collected,
    ) -> Outcome {
        session.begin(node);
        session.may_leave = true;
        let gives = self.limits().filter(|(_, _, _, gives)| *gives);
        let gives: Vec<[Vec<u8>; 4]> = gives
            .map(|(key, token, hits, _)| {
                [b"RL.GIVE".to_vec(), key.into(), token.into(), hits.to_string().into_bytes()]
            })
            .collect();
        let taken: Vec<_> = self.limits().filter(|(_, _, _, gives)| !*gives).collect();
        let count = taken.len().to_string();
        let costs: Vec<String> = taken.iter().map(|(_, _, hits, _)| hits.to_string()).collect();
        let mut take: Vec<&[u8]> = vec![b"RL.MTAKE", count.as_bytes()];
        take.extend(taken.iter().flat_map(|(key, token, ..)| [key.as_bytes(), token.as_bytes()]));
        take.push(b"COST");
        take.extend(costs.iter().map(|cost| cost.as_bytes()));
        let gives: Vec<Vec<&[u8]>> =
            gives.iter().map(|argv| argv.iter().map(Vec::as_slice).collect()).collect();
        let mut commands: Vec<Argv<'_>> = gives.iter().map(Vec::as_slice).collect();
        if !taken.is_empty() && self.takes() {
            commands.push(&take);
        }
        match commands.as_slice() {
            [] => return Ok(()),
            // What regions share is decided on the spot where it comes alone.
            [argv] => engine::execute(node, session, argv, collected)?,
            all => engine::execute_all(node, session, all, collected)?,
        }
        if !session.rare.contains(Rare::ELSEWHERE) {
            node.stats.add(&mut session.tally);
            session.publish();
        }
        Ok(())
    }

    /// What can never pass must not take from others.
    fn takes(&self) -> bool {
        !self.0.iter().any(|meant| matches!(meant, Meant::Never))
    }

    /// The response to what was collected.
    ///
    /// # Errors
    /// What the limiter has refused.
    pub(super) fn answer(&self, collected: &Collected) -> Result<RateLimitResponse, Fault> {
        let gives = self.limits().filter(|(_, _, _, gives)| *gives).count();
        let takes = if self.takes() { self.limits().count() - gives } else { 0 };
        let given = match gives {
            0 => Vec::new(),
            gives => collected.first(gives).map_err(Fault::text)?,
        };
        let taken = match takes {
            0 => Vec::new(),
            takes => collected.behind(5 * gives + 2, takes).map_err(Fault::text)?,
        };
        Ok(self.response(given, taken))
    }

    /// Key, rule and number of each limit, and whether it is given back.
    fn limits(&self) -> impl Iterator<Item = (&str, &str, u64, bool)> {
        self.0.iter().filter_map(|meant| match meant {
            Meant::Limit { key, token, hits, gives, .. } => {
                Some((key.as_str(), token.as_str(), *hits, *gives))
            }
            _ => None,
        })
    }

    fn response(&self, given: Vec<Status>, taken: Vec<Status>) -> RateLimitResponse {
        let (mut given, mut taken) = (given.into_iter(), taken.into_iter());
        let (mut statuses, mut limits) = (Vec::with_capacity(self.0.len()), Vec::new());
        for meant in &self.0 {
            let found = match meant {
                Meant::Limit { gives: true, .. } => given.next(),
                Meant::Limit { .. } => taken.next(),
                _ => None,
            };
            statuses.push(match (meant, found) {
                (Meant::Limit { policy, .. }, Some(status)) => {
                    limits.push((policy.clone(), status));
                    told(policy, &status)
                }
                (Meant::Never, _) => plain(Code::OverLimit),
                _ => plain(Code::Ok),
            });
        }
        let over = statuses.iter().any(|status| status.code == Code::OverLimit as i32);
        let mut headers = HeaderMap::new();
        if !limits.is_empty() {
            headers::write(&mut headers, &limits, XRateLimit::No, 0);
        }
        let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
            let value = value.to_str().unwrap_or_default().to_owned();
            Header { key: name.as_str().to_owned(), value }
        };
        RateLimitResponse {
            overall_code: if over { Code::OverLimit as i32 } else { Code::Ok as i32 },
            statuses,
            response_headers_to_add: headers.iter().map(header).collect(),
        }
    }
}

fn plain(code: Code) -> DescriptorStatus {
    DescriptorStatus {
        code: code as i32,
        current_limit: None,
        limit_remaining: 0,
        duration_until_reset: None,
    }
}

/// What is said of a limit.
fn told(policy: &Policy, status: &Status) -> DescriptorStatus {
    let narrow = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
    let millis = status.reset_after.max(0);
    DescriptorStatus {
        code: if status.allowed() { Code::Ok as i32 } else { Code::OverLimit as i32 },
        current_limit: Some(Limit {
            requests_per_unit: narrow(status.limit),
            unit: Unit::of_millis(policy.window_ms) as i32,
            name: policy.name.clone(),
        }),
        limit_remaining: narrow(status.remaining),
        duration_until_reset: Some(Duration {
            seconds: millis / 1000,
            nanos: (millis % 1000) as i32 * 1_000_000,
        }),
    }
}

impl Meant {
    fn of(node: &Node, domain: &str, descriptor: &Descriptor, usual: u64) -> Result<Meant, Fault> {
        if descriptor.entries.is_empty() {
            return Err(Fault::new("a rate limit descriptor must have entries"));
        }
        let hits = descriptor.hits_addend.unwrap_or(usual);
        if i64::try_from(hits).is_err() {
            return Err(Fault::new("hits_addend is out of range"));
        }
        let gives = descriptor.is_negative_hits;
        if let Some(limit) = &descriptor.limit {
            return Meant::overridden(domain, &descriptor.entries, limit, hits, gives);
        }
        let (rules, now) = (&node.keyspace.rules, clock::unix_ms());
        for valued in combinations(descriptor.entries.len()) {
            let (name, values) = name(domain, &descriptor.entries, valued);
            let Ok(named) = rules.get(name.as_bytes(), now) else { continue };
            let window_ms = named.spec.rule.window_ms();
            let (key, token) = (format!("{name}:{}", values.join(",")), format!("@{name}"));
            let policy = Policy { name, window_ms };
            return Ok(Meant::Limit { key, token, policy, hits, gives });
        }
        Ok(Meant::Nothing)
    }

    /// A limit that the request brings along.
    fn overridden(
        domain: &str,
        entries: &[Entry],
        limit: &Override,
        hits: u64,
        gives: bool,
    ) -> Result<Meant, Fault> {
        let unit = Unit::try_from(limit.unit).unwrap_or(Unit::Unknown);
        let window_ms = unit.millis().ok_or(Fault::new("limit override of an unknown unit"))?;
        if limit.requests_per_unit == 0 {
            return Ok(Meant::Never);
        }
        let per_unit = u64::from(limit.requests_per_unit);
        let rule = Rule::new(per_unit, window_ms, Algorithm::Sliding, None);
        let token = rule.map_err(|error| Fault::text(error.to_string()))?.to_string();
        let (key, _) = name(domain, entries, u64::MAX);
        let policy = Policy { name: token.clone(), window_ms };
        Ok(Meant::Limit { key, token, policy, hits, gives })
    }
}

/// Which entries are looked for with their values, as bits, the first entry the highest: all of
/// them first.
fn combinations(entries: usize) -> impl Iterator<Item = u64> {
    let all = if entries <= COMBINED { (1u64 << entries) - 1 } else { 1 };
    (0..=all).rev().map(move |bits| match (entries <= COMBINED, bits) {
        (true, bits) => bits,
        (false, 0) => 0,
        (false, _) => u64::MAX,
    })
}

/// The name of a rule with the values of some entries, and the values of the others.
fn name<'e>(domain: &str, entries: &'e [Entry], valued: u64) -> (String, Vec<&'e str>) {
    let (mut name, mut values) = (domain.to_owned(), Vec::new());
    for (at, entry) in entries.iter().enumerate() {
        name.push('/');
        name.push_str(&entry.key);
        let bit = entries.len() - 1 - at;
        if valued == u64::MAX || bit < COMBINED && valued >> bit & 1 == 1 {
            name.push('=');
            name.push_str(&entry.value);
        } else {
            values.push(entry.value.as_str());
        }
    }
    (name, values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(entries: &[(&str, &str)]) -> Vec<String> {
        let entry = |(key, value): &(&str, &str)| Entry {
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        let all = combinations(entries.len());
        all.map(|valued| {
            let (name, values) = name("d", &entries, valued);
            format!("{name}:{}", values.join(","))
        })
        .collect()
    }

    #[test]
    fn the_most_specific_name_comes_first() {
        assert_eq!(names(&[("ip", "1")]), ["d/ip=1:", "d/ip:1"]);
        assert_eq!(
            names(&[("client", "gold"), ("path", "/x")]),
            [
                "d/client=gold/path=/x:",
                "d/client=gold/path:/x",
                "d/client/path=/x:gold",
                "d/client/path:gold,/x"
            ]
        );
        let five: Vec<_> = ["a", "b", "c", "d", "e"].map(|key| (key, "v")).to_vec();
        let all = names(&five);
        assert_eq!(all, ["d/a=v/b=v/c=v/d=v/e=v:", "d/a/b/c/d/e:v,v,v,v,v"]);
        assert_eq!(names(&five[..4]).len(), 16);
    }
}
