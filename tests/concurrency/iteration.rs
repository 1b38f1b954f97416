//! SCAN and HSCAN while others write: what is there throughout is found.

use std::collections::HashSet;

use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::{Outcome, Random, call, start, together};

const STAY: usize = 2000;
const CHURN: usize = 20_000;
const ROUNDS: usize = 4;

/// Follows a cursor to its end; answers every element, `width` strings each.
fn iterate(
    client: &mut Connection,
    command: &[&str],
    options: &[&str],
    width: usize,
) -> Result<HashSet<String>, String> {
    let (mut cursor, mut found) = ("0".to_owned(), HashSet::new());
    loop {
        let args = [command, &[&cursor], options].concat();
        let Reply::Array(page) = call(client, &args)? else {
            return Err("no page".to_owned());
        };
        let [next, Reply::Array(elements)] = page.as_slice() else {
            return Err("a page is a cursor and a list".to_owned());
        };
        found.extend(elements.iter().step_by(width).filter_map(Reply::text));
        cursor = next.text().ok_or("no cursor")?;
        if cursor == "0" {
            return Ok(found);
        }
    }
}

fn must_have_all(found: &HashSet<String>, what: &str) -> Result<(), String> {
    match (0..STAY).map(|n| format!("stay:{n}")).find(|name| !found.contains(name)) {
        None => Ok(()),
        Some(missing) => Err(format!("{what} did not return {missing}")),
    }
}

#[test]
fn scan_returns_what_stays() -> Outcome {
    let server = start()?;
    let mut client = server.connect()?;
    for n in 0..STAY {
        call(&mut client, &["SET", &format!("stay:{n}"), "v"])?;
    }
    together(
        &server,
        3,
        |number, client| {
            let mut random = Random::of(number);
            for round in 0..ROUNDS {
                for n in 0..CHURN / 20 {
                    // Twenty at once, so that tables grow by much and soon.
                    let keys: Vec<String> =
                        (0..20).map(|m| format!("churn:{number}:{round}:{n}:{m}")).collect();
                    let pairs: Vec<&str> = std::iter::once("MSET")
                        .chain(keys.iter().flat_map(|key| [key.as_str(), "v"]))
                        .collect();
                    call(client, &pairs)?;
                    if random.below(4) == 0 {
                        let keys = keys.iter().map(String::as_str);
                        let del: Vec<&str> = std::iter::once("DEL").chain(keys).collect();
                        call(client, &del)?;
                    }
                }
                shrink(client, &format!("churn:{number}:*"))?;
            }
            Ok(())
        },
        |client, done| {
            let mut rounds = 0;
            while !done() || rounds == 0 {
                let count = ["10", "100", "1000"][rounds % 3];
                must_have_all(&iterate(client, &["SCAN"], &["COUNT", count], 1)?, "SCAN")?;
                rounds += 1;
            }
            Ok(())
        },
    )?;
    must_have_all(&iterate(&mut client, &["SCAN"], &[], 1)?, "SCAN at the end")?;
    Ok(())
}

/// Removes every key that a pattern fits, as users do: by SCAN and UNLINK.
fn shrink(client: &mut Connection, pattern: &str) -> Result<(), String> {
    let found = iterate(client, &["SCAN"], &["MATCH", pattern, "COUNT", "1000"], 1)?;
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    for keys in found.chunks(500) {
        call(client, &[&["UNLINK"], keys].concat())?;
    }
    Ok(())
}

#[test]
fn hscan_returns_what_stays() -> Outcome {
    let server = start()?;
    let mut client = server.connect()?;
    for n in 0..STAY {
        call(&mut client, &["HSET", "hash", &format!("stay:{n}"), "v"])?;
    }
    together(
        &server,
        3,
        |number, client| {
            for _ in 0..ROUNDS {
                for verb in ["HSET", "HDEL"] {
                    for n in 0..CHURN / 10 {
                        let fields: Vec<String> =
                            (0..10).map(|m| format!("churn:{number}:{n}:{m}")).collect();
                        let mut args = vec![verb, "hash"];
                        for field in &fields {
                            args.push(field);
                            args.extend((verb == "HSET").then_some("v"));
                        }
                        call(client, &args)?;
                    }
                }
            }
            Ok(())
        },
        |client, done| {
            let mut rounds = 0;
            while !done() || rounds == 0 {
                let count = ["10", "100", "1000"][rounds % 3];
                let found = iterate(client, &["HSCAN", "hash"], &["COUNT", count], 2)?;
                must_have_all(&found, "HSCAN")?;
                rounds += 1;
            }
            Ok(())
        },
    )
}
