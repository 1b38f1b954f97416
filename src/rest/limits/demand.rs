//! The bodies of requests, as the commands that they ask for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::error::Category;
use smallvec::SmallVec;

use super::super::access::Sender;
use super::super::caller::Caller;
use super::super::refusal::Refusal;
use super::Verb;
use super::status::Collected;
use crate::command::Argv;
use crate::limits::LIMITS_AT_ONCE;

type Text<'b> = Cow<'b, str>;

/// A take, a peek or a gift.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Demand<'b> {
    #[serde(borrow)]
    key: Option<Text<'b>>,
    #[serde(borrow)]
    rule: Option<Text<'b>>,
    #[serde(borrow)]
    limits: Option<Vec<Part<'b>>>,
    cost: Option<i64>,
    #[serde(borrow, rename = "for")]
    ids: Option<Vec<Text<'b>>>,
}

/// A key and its rule, of several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part<'b> {
    #[serde(borrow)]
    key: Text<'b>,
    #[serde(borrow)]
    rule: Text<'b>,
    cost: Option<i64>,
}

/// A reservation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reservation<'b> {
    #[serde(borrow)]
    key: Text<'b>,
    #[serde(borrow)]
    rule: Text<'b>,
    cost: Option<i64>,
    #[serde(rename = "ttlMs")]
    ttl_ms: i64,
    #[serde(borrow)]
    id: Option<Text<'b>>,
    #[serde(borrow, rename = "for")]
    ids: Option<Vec<Text<'b>>>,
}

/// The end of reservations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settlement<'b> {
    #[serde(borrow)]
    id: Option<Text<'b>>,
    actual: Option<i64>,
    #[serde(borrow)]
    holds: Option<Vec<Settled<'b>>>,
}

/// The end of one of several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled<'b> {
    #[serde(borrow)]
    id: Text<'b>,
    actual: i64,
}

/// What is to be forgotten.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgotten<'b> {
    #[serde(borrow)]
    key: Option<Text<'b>>,
    #[serde(borrow)]
    keys: Option<Vec<Text<'b>>>,
}

/// A limit that is asked.
#[derive(Debug)]
pub(super) struct Limit<'b> {
    pub(super) key: Text<'b>,
    /// None where the hold knows it.
    pub(super) rule: Option<Text<'b>>,
    /// What is taken, given, reserved, or was really used.
    amount: i64,
}

/// The words of a limit: its key, its rule, an amount.
type Words<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// A request, read.
#[derive(Debug)]
pub(super) struct Commands<'b> {
    verb: Verb,
    pub(super) limits: SmallVec<[Limit<'b>; 1]>,
    /// Whether they were given as an array, and are answered as one.
    pub(super) is_many: bool,
    ids: Vec<Text<'b>>,
    /// Of a reservation: its time, and its id.
    ttl_ms: i64,
    id: Option<Text<'b>>,
}

const EITHER: &str = "ERR give either \"key\" and \"rule\", or \"limits\": [{\"key\", \"rule\"}]";

impl<'b> Commands<'b> {
    /// Reads the body of a request.
    pub(super) fn read(verb: Verb, body: &'b [u8]) -> Result<Commands<'b>, Refusal> {
        let mut commands = Commands {
            verb,
            limits: SmallVec::new(),
            is_many: false,
            ids: Vec::new(),
            ttl_ms: 0,
            id: None,
        };
        match verb {
            Verb::Hold => commands.reservation(parse(body)?),
            Verb::Settle => commands.settlement(parse(body)?)?,
            Verb::Reset => commands.forgotten(parse(body)?)?,
            Verb::Take | Verb::Peek | Verb::Give | Verb::Gate => commands.demand(parse(body)?)?,
        }
        match commands.limits.len() {
            0 => Err(Refusal::bad_request("ERR limits must not be empty")),
            1..=LIMITS_AT_ONCE => Ok(commands),
            _ => Err(Refusal::bad_request(format!("ERR at most {LIMITS_AT_ONCE} limits at once"))),
        }
    }

    fn demand(&mut self, demand: Demand<'b>) -> Result<(), Refusal> {
        let cost = demand.cost.unwrap_or(1);
        match demand {
            Demand { key: Some(key), rule: Some(rule), limits: None, ids, .. } => {
                self.ids = ids.unwrap_or_default();
                self.limits.push(Limit { key, rule: Some(rule), amount: cost });
            }
            Demand { key: None, rule: None, limits: Some(limits), ids: None, .. } => {
                self.is_many = true;
                self.limits.extend(limits.into_iter().map(|Part { key, rule, cost: own }| Limit {
                    key,
                    rule: Some(rule),
                    amount: own.unwrap_or(cost),
                }));
            }
            _ => return Err(Refusal::bad_request(EITHER)),
        }
        Ok(())
    }

    fn reservation(&mut self, asked: Reservation<'b>) {
        let Reservation { key, rule, cost, ttl_ms, id, ids } = asked;
        self.limits.push(Limit { key, rule: Some(rule), amount: cost.unwrap_or(1) });
        (self.ttl_ms, self.id, self.ids) = (ttl_ms, id, ids.unwrap_or_default());
    }

    fn settlement(&mut self, asked: Settlement<'b>) -> Result<(), Refusal> {
        let limit = |id, actual| Limit { key: id, rule: None, amount: actual };
        match asked {
            Settlement { id: Some(id), actual: Some(actual), holds: None } => {
                self.limits.push(limit(id, actual));
            }
            Settlement { id: None, actual: None, holds: Some(holds) } => {
                self.is_many = true;
                self.limits.extend(holds.into_iter().map(|hold| limit(hold.id, hold.actual)));
            }
            _ => {
                return Err(Refusal::bad_request(
                    "ERR give either \"id\" and \"actual\", or \"holds\": [{\"id\", \"actual\"}]",
                ));
            }
        }
        Ok(())
    }

    fn forgotten(&mut self, asked: Forgotten<'b>) -> Result<(), Refusal> {
        let keys = match asked {
            Forgotten { key: Some(key), keys: None } => vec![key],
            Forgotten { key: None, keys: Some(keys) } => keys,
            _ => return Err(Refusal::bad_request("ERR give either \"key\" or \"keys\"")),
        };
        self.limits.extend(keys.into_iter().map(|key| Limit { key, rule: None, amount: 0 }));
        Ok(())
    }

    /// Whether several are taken from at once: the answer then begins with two numbers of its own.
    pub(super) fn is_many_taken(&self) -> bool {
        self.verb == Verb::Take && self.is_many
    }

    /// Has the commands run.
    pub(super) async fn run(&self, caller: &Caller, sender: &Sender) -> Result<Collected, Refusal> {
        if let (Verb::Take | Verb::Peek, [limit], false) =
            (self.verb, self.limits.as_slice(), self.is_many)
        {
            let mut digits = itoa::Buffer::new();
            let name: &[u8] = if self.verb == Verb::Take { b"RL.TAKE" } else { b"RL.PEEK" };
            let rule = limit.rule.as_deref().unwrap_or_default();
            let cost = digits.format(limit.amount).as_bytes();
            let mut argv: Vec<&[u8]> =
                vec![name, limit.key.as_bytes(), rule.as_bytes(), &b"COST"[..], cost];
            self.add_ids(&mut argv);
            return caller.collect(sender, &[&argv]).await;
        }
        let amounts: Vec<String> =
            self.limits.iter().map(|limit| limit.amount.to_string()).collect();
        let (count, ttl) = (self.limits.len().to_string(), self.ttl_ms.to_string());
        let commands = self.commands(&amounts, &count, &ttl);
        let commands: Vec<Argv<'_>> = commands.iter().map(Vec::as_slice).collect();
        caller.collect(sender, &commands).await
    }

    fn add_ids<'a>(&'a self, argv: &mut Vec<&'a [u8]>) {
        if !self.ids.is_empty() {
            argv.push(b"FOR");
            argv.extend(self.ids.iter().map(|id| id.as_bytes()));
        }
    }

    /// The commands of what is not a simple take.
    fn commands<'a>(
        &'a self,
        amounts: &'a [String],
        count: &'a str,
        ttl: &'a str,
    ) -> Vec<Vec<&'a [u8]>> {
        let all = self.limits.iter().zip(amounts).map(|(limit, amount)| {
            let rule = limit.rule.as_deref().unwrap_or_default();
            (limit.key.as_bytes(), rule.as_bytes(), amount.as_bytes())
        });
        let each = |form: fn(Words<'a>) -> Vec<&'a [u8]>| all.clone().map(form).collect();
        match self.verb {
            Verb::Take | Verb::Gate => {
                let mut argv: Vec<&[u8]> = vec![&b"RL.MTAKE"[..], count.as_bytes()];
                all.clone().for_each(|(key, rule, _)| argv.extend([key, rule]));
                argv.push(b"COST");
                argv.extend(all.map(|(_, _, amount)| amount));
                vec![argv]
            }
            Verb::Peek => {
                each(|(key, rule, amount)| vec![&b"RL.PEEK"[..], key, rule, &b"COST"[..], amount])
            }
            Verb::Give => each(|(key, rule, amount)| vec![&b"RL.GIVE"[..], key, rule, amount]),
            Verb::Settle => each(|(id, _, amount)| vec![&b"RL.SETTLE"[..], id, amount]),
            Verb::Reset => {
                let mut argv: Vec<&[u8]> = vec![&b"RL.RESET"[..]];
                argv.extend(all.map(|(key, _, _)| key));
                vec![argv]
            }
            Verb::Hold => {
                let mut argv: Vec<&[u8]> = vec![&b"RL.HOLD"[..]];
                all.for_each(|(key, rule, amount)| argv.extend([key, rule, amount]));
                argv.extend([&b"TTL"[..], ttl.as_bytes()]);
                if let Some(id) = &self.id {
                    argv.extend([&b"ID"[..], id.as_bytes()]);
                }
                self.add_ids(&mut argv);
                vec![argv]
            }
        }
    }
}

fn parse<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

/// The longest error text, in characters: it may repeat what was sent.
const ERROR_CHARS: usize = 200;

#[cold]
fn unreadable(error: &serde_json::Error) -> Refusal {
    let what = match error.classify() {
        Category::Data => "request",
        _ => "JSON",
    };
    let why: String = error.to_string().chars().take(ERROR_CHARS).collect();
    Refusal::bad_request(format!("ERR invalid {what}: {why}"))
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    fn asked(verb: Verb, body: &str) -> Vec<String> {
        let commands = Commands::read(verb, body.as_bytes()).unwrap();
        let amounts: Vec<String> =
            commands.limits.iter().map(|limit| limit.amount.to_string()).collect();
        let (count, ttl) = (commands.limits.len().to_string(), commands.ttl_ms.to_string());
        let all = commands.commands(&amounts, &count, &ttl);
        all.iter().map(|argv| String::from_utf8(argv.join(&b' ')).unwrap()).collect()
    }

    #[test]
    fn bodies_become_commands() {
        let two =
            r#"{"limits":[{"key":"a","rule":"1/1s"},{"key":"b","rule":"@r","cost":3}],"cost":2}"#;
        assert_eq!(asked(Verb::Take, two), ["RL.MTAKE 2 a 1/1s b @r COST 2 3"]);
        assert_eq!(asked(Verb::Peek, two), ["RL.PEEK a 1/1s COST 2", "RL.PEEK b @r COST 3"]);
        assert_eq!(asked(Verb::Give, two), ["RL.GIVE a 1/1s 2", "RL.GIVE b @r 3"]);
        let hold = r#"{"key":"a","rule":"2/conc","ttlMs":9,"id":"x","for":["y","z"]}"#;
        assert_eq!(asked(Verb::Hold, hold), ["RL.HOLD a 2/conc 1 TTL 9 ID x FOR y z"]);
        assert_eq!(asked(Verb::Settle, r#"{"id":"x@a","actual":4}"#), ["RL.SETTLE x@a 4"]);
        let both = r#"{"holds":[{"id":"x@a","actual":4},{"id":"y@b","actual":0}]}"#;
        assert_eq!(asked(Verb::Settle, both), ["RL.SETTLE x@a 4", "RL.SETTLE y@b 0"]);
        assert_eq!(asked(Verb::Reset, r#"{"key":"a"}"#), ["RL.RESET a"]);
        assert_eq!(asked(Verb::Reset, r#"{"keys":["a","b"]}"#), ["RL.RESET a b"]);
    }

    #[test]
    fn bad_bodies_are_refused() {
        let many = format!(r#"{{"keys":[{}"a"]}}"#, r#""a","#.repeat(LIMITS_AT_ONCE));
        for (verb, body) in [
            (Verb::Take, ""),
            (Verb::Take, "[]"),
            (Verb::Take, "{}"),
            (Verb::Take, r#"{"key":"k"}"#),
            (Verb::Take, r#"{"key":"k","rule":"r","limits":[]}"#),
            (Verb::Take, r#"{"limits":[]}"#),
            (Verb::Take, r#"{"limits":[{"key":"k","rule":"r"}],"for":["x"]}"#),
            (Verb::Take, r#"{"key":"k","rule":"r","cost":1.5}"#),
            (Verb::Take, r#"{"key":"k","rule":"r","cost":99999999999999999999}"#),
            (Verb::Take, r#"{"key":"k","rule":"r","costs":1}"#),
            (Verb::Take, r#"{"key":"k","rule":"r"} x"#),
            (Verb::Hold, r#"{"key":"k","rule":"r"}"#),
            (Verb::Settle, r#"{"id":"k"}"#),
            (Verb::Settle, r#"{"id":"k","actual":1,"holds":[]}"#),
            (Verb::Reset, r#"{"key":"k","keys":[]}"#),
            (Verb::Reset, r#"{"keys":[]}"#),
            (Verb::Reset, &many),
        ] {
            let refusal = Commands::read(verb, body.as_bytes()).unwrap_err();
            assert!(refusal.text.starts_with("ERR "), "{body}: {refusal:?}");
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
        let long = format!(r#"{{"key":"k","rule":"r","cost":"{}"}}"#, "x".repeat(100_000));
        assert!(Commands::read(Verb::Take, long.as_bytes()).unwrap_err().text.len() < 1000);
    }
}
