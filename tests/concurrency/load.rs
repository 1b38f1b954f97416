//! Commands over all shards and pipelines, mixed: nobody waits for good, nobody is answered
//! what another asked.

use crate::support::reply::Reply;
use crate::support::resp::encode;
use crate::{Failure, Outcome, Random, call, integer, nothing, start, together};

/// FLUSHALL, KEYS, EXEC and MSET over many shards, databases that come into being, and single
/// keys beside them.
#[test]
fn commands_over_all_shards_end_and_keys_are_counted() -> Outcome {
    const ROUNDS: usize = 250;
    let server = start()?;
    together(
        &server,
        8,
        |client_number, client| {
            let mut random = Random::of(client_number);
            for _ in 0..ROUNDS {
                let keys: Vec<String> =
                    (0..50).map(|_| format!("key:{}", random.below(2000))).collect();
                let mut mset = vec!["MSET"];
                keys.iter().for_each(|key| mset.extend([key.as_str(), "v"]));
                call(client, &mset)?;
                let db = random.below(16).to_string();
                match random.below(10) {
                    0 => drop(call(client, &["FLUSHALL"])?),
                    1 => drop(call(client, &["FLUSHDB", "ASYNC"])?),
                    2 => drop(call(client, &["KEYS", "key:1*"])?),
                    3 => drop(call(client, &["SELECT", &db])?),
                    4 => drop(call(client, &["RANDOMKEY"])?),
                    5 => drop(call(client, &["COPY", &keys[0], &keys[1], "DB", &db, "REPLACE"])?),
                    6 => drop(call(client, &["PEXPIRE", &keys[2], "3"])?),
                    _ => {
                        call(client, &["MULTI"])?;
                        call(client, &mset)?;
                        call(client, &["SELECT", &db])?;
                        call(client, &["SET", "key:x", "v"])?;
                        call(client, &[["FLUSHALL", "DBSIZE"][usize::from(random.below(8) > 0)]])?;
                        call(client, &["KEYS", "*x"])?;
                        call(client, &["EXEC"])?;
                    }
                }
            }
            Ok(())
        },
        |client, done| {
            while !done() {
                call(client, &["SCAN", "0", "COUNT", "500"])?;
                call(client, &["INFO"])?;
            }
            Ok(())
        },
    )?;
    let mut client = server.connect()?;
    for db in 0..16 {
        call(&mut client, &["SELECT", &db.to_string()])?;
        // Due keys are counted until they are swept, which takes a moment.
        let mut outcome = Ok(());
        for _ in 0..200 {
            call(&mut client, &["MULTI"])?;
            call(&mut client, &["KEYS", "*"])?;
            call(&mut client, &["DBSIZE"])?;
            outcome = counts_agree(&call(&mut client, &["EXEC"])?, db);
            if outcome.is_ok() {
                break;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
        outcome?;
    }
    Ok(())
}

fn counts_agree(reply: &Reply, db: usize) -> Outcome {
    let Reply::Array(parts) = reply else { return Err(Failure(format!("EXEC: {reply}"))) };
    let [Reply::Array(keys), Reply::Integer(count)] = parts.as_slice() else {
        return Err(Failure(format!("EXEC: {reply}")));
    };
    if keys.len() as i64 == *count {
        return Ok(());
    }
    Err(Failure(format!("database {db} has {} keys and DBSIZE says {count}", keys.len())))
}

/// Pipelines of several clients on the same keys: each gets its own answers, in order.
#[test]
fn pipelines_are_answered_in_order() -> Outcome {
    const ROUNDS: usize = 60;
    const LENGTH: usize = 200;
    let server = start()?;
    together(
        &server,
        8,
        |client_number, client| {
            let mut random = Random::of(client_number);
            for round in 0..ROUNDS {
                let (mut request, mut wanted) = (Vec::new(), Vec::new());
                for n in 0..LENGTH {
                    let tag = format!("{client_number}:{round}:{n}");
                    let key = format!("shared:{}", random.below(4));
                    let more: &[&[&str]] = match random.below(6) {
                        0 => &[&["INCR", "counter"]],
                        1 => &[&["MSET", &key, "1", "shared:0", "2", "shared:3", "3"]],
                        2 => &[&["MULTI"], &["SET", &key, &tag], &["GET", &key], &["EXEC"]],
                        3 => &[&["DEL", "shared:0", "shared:1", "shared:2"]],
                        4 => &[&["APPEND", &key, "x"]],
                        _ => &[&["nosuchcommand"]],
                    };
                    for args in more {
                        request.extend(encode(args));
                        wanted.push((args[0].to_owned(), tag.clone()));
                    }
                    request.extend(encode(&["ECHO", &tag]));
                    wanted.push(("ECHO".to_owned(), tag));
                }
                client.send_raw(&request).map_err(|e| e.to_string())?;
                for (command, tag) in wanted {
                    let reply = client.receive()?;
                    if !answers(&command, &tag, &reply) {
                        return Err(format!("{command} of {tag} was answered {reply}"));
                    }
                }
            }
            Ok(())
        },
        nothing,
    )?;
    // The counter was counted by all of them and by nobody else.
    integer(&mut server.connect()?, &["INCR", "counter"])?;
    Ok(())
}

/// Whether a reply can be that of a command; what carries a tag must carry this one.
fn answers(command: &str, tag: &str, reply: &Reply) -> bool {
    let tagged = |reply: &Reply| *reply == Reply::Bulk(tag.as_bytes().to_vec());
    match (command, reply) {
        ("ECHO", reply) => tagged(reply),
        ("INCR" | "DEL" | "APPEND", Reply::Integer(_)) => true,
        ("MSET" | "MULTI", Reply::Status(text)) => text == "OK",
        ("SET" | "GET", Reply::Status(text)) => text == "QUEUED",
        ("EXEC", Reply::Array(parts)) => parts.len() == 2 && tagged(&parts[1]),
        ("nosuchcommand", Reply::Error(text)) => text.starts_with("ERR unknown command"),
        _ => false,
    }
}
