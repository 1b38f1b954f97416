//! `eave import` where it cannot do what is asked: it says why, and its exit status says so.

use crate::Outcome;
use crate::import::{filled, import, place, run, said, url};
use crate::pair::Node;
use crate::support::server::Program;

/// A file of redis-server's, its bytes changed.
fn changed(name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<std::path::PathBuf, String> {
    let say = |error: std::io::Error| error.to_string();
    let mut source = filled(Program::Redis, "")?;
    source.expect("SAVE", "OK")?;
    let mut bytes = std::fs::read(source.server.file("dump.rdb")).map_err(say)?;
    change(&mut bytes);
    let path = std::env::temp_dir().join(format!("eave-{name}-{}.rdb", std::process::id()));
    std::fs::write(&path, bytes).map_err(say)?;
    Ok(path)
}

#[test]
fn a_damaged_file_is_told() -> Outcome {
    type Change = fn(&mut Vec<u8>);
    let cases: [(&str, &str, Change); 4] = [
        ("truncated", "found the end", |bytes| bytes.truncate(bytes.len() / 2)),
        ("checksum", "checksum is", |bytes| {
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
        }),
        ("other", "expected \"REDIS\"", |bytes| *bytes = b"hello, world".to_vec()),
        ("more", "goes on behind its end", |bytes| bytes.extend(b"*1\r\n$4\r\nPING\r\n")),
    ];
    for (name, words, change) in cases {
        let path = changed(name, change)?;
        let done = run(&[&path.to_string_lossy(), "--dry-run"])?;
        let _ = std::fs::remove_file(&path);
        assert_eq!(done.status.code(), Some(1), "{name}: {}", said(&done));
        assert!(said(&done).contains(words), "{name}: {}", said(&done));
    }
    let none = run(&["/nowhere/at/all.rdb", "--dry-run"])?;
    assert!(said(&none).contains("/nowhere/at/all.rdb: No such file"), "{}", said(&none));
    assert_eq!(none.status.code(), Some(1));
    Ok(())
}

#[test]
fn passwords_are_asked_for_and_never_shown() -> Outcome {
    let mut source = Node::start(Program::Redis, "--requirepass theirs")?;
    source.expect("SET k v", "OK")?;
    let mut target = Node::start(Program::Eave, "--requirepass ours")?;
    let from = |password: &str| format!("redis://:{password}@{}", source.address());
    let to = format!("redis://:ours@{}", target.address());
    for (from, to) in [
        (from("wrong"), to.clone()),
        (from("theirs"), format!("redis://:wrong@{}", target.address())),
        (url(&source), to),
        (from("theirs"), place(&target)),
    ] {
        let done = run(&[&from, "--to", &to])?;
        let said = said(&done);
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(["WRONGPASS", "NOAUTH"].iter().any(|code| said.contains(code)), "{said}");
        assert!(!said.contains("theirs") && !said.contains("ours"), "{said}");
    }
    let mut command = import(&[&url(&source), "--to", &place(&target)]);
    command.env("EAVE_IMPORT_FROM_PASSWORD", "theirs").env("EAVE_IMPORT_TO_PASSWORD", "ours");
    let done = command.output().map_err(|error| error.to_string())?;
    assert!(done.status.success(), "{}", said(&done));
    target.expect("GET k", "\"v\"")?;
    Ok(())
}

#[test]
fn keys_that_are_there_are_the_users_decision() -> Outcome {
    let mut source = Node::start(Program::Redis, "--repl-diskless-sync-delay 0")?;
    source.expect("MSET a theirs b theirs", "OK")?;
    let mut target = Node::leader()?;
    target.expect("MSET a ours c ours", "OK")?;
    let (from, to) = (url(&source), place(&target));
    let refused = run(&[&from, "--to", &to])?;
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("holds 2 keys already"), "{}", said(&refused));
    target.expect("GET b", "nil")?;
    let kept = run(&[&from, "--to", &to, "--keep"])?;
    assert!(kept.status.success(), "{}", said(&kept));
    assert!(said(&kept).contains("1 key was there already"), "{}", said(&kept));
    target.expect("MGET a b c", "[\"ours\" \"theirs\" \"ours\"]")?;
    let replaced = run(&[&from, "--to", &to, "--replace"])?;
    assert!(replaced.status.success(), "{}", said(&replaced));
    target.expect("MGET a b c", "[\"theirs\" \"theirs\" \"ours\"]")?;
    let itself = run(&[&to.replace("127.0.0.1", "redis://localhost"), "--to", &to, "--replace"])?;
    assert!(said(&itself).contains("the same server"), "{}", said(&itself));
    assert_eq!(itself.status.code(), Some(1));
    Ok(())
}

#[test]
fn a_target_that_is_full_or_too_small_ends_it() -> Outcome {
    let mut source = Node::start(Program::Redis, "--repl-diskless-sync-delay 0")?;
    for n in 0..200 {
        source.ask_all(&["SET", &format!("large:{n}"), &"x".repeat(100_000)])?;
    }
    let mut full = Node::start(Program::Eave, "--maxmemory 12mb --maxmemory-policy noeviction")?;
    let done = run(&[&url(&source), "--to", &place(&full)])?;
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("OOM command not allowed"), "{}", said(&done));
    full.expect("PING", "PONG")?;
    source.expect("FLUSHALL", "OK")?;
    source.expect("SELECT 9", "OK")?;
    source.expect("SET far 1", "OK")?;
    let mut small = Node::start(Program::Eave, "--databases 4")?;
    let done = run(&[&url(&source), "--to", &place(&small)])?;
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("database 9: ERR DB index is out of range"), "{}", said(&done));
    small.expect("DBSIZE", "0")?;
    Ok(())
}

#[test]
fn a_value_that_cannot_be_kept_is_left_out_and_named() -> Outcome {
    // A document that RedisJSON would not have written, in a payload that is right otherwise.
    let mut source = Node::leader()?;
    source.expect("JSON.SET good $ 1", "OK")?;
    source.expect("SET plain 1", "OK")?;
    let mut target = Node::start(Program::Redis, "")?;
    let done = run(&[&url(&source), "--to", &place(&target)])?;
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("'good': ERR Bad data format"), "{}", said(&done));
    target.expect("GET plain", "\"1\"")?;
    Ok(())
}

#[test]
fn the_command_line_is_explained() -> Outcome {
    let help = run(&["--help"])?;
    assert!(help.status.success());
    assert!(said(&help).contains("Usage: eave import SOURCE"), "{}", said(&help));
    let wrong = run(&["a.rdb", "--life"])?;
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("no option --life"), "{}", said(&wrong));
    let nobody = run(&["redis://127.0.0.1:1", "--dry-run"])?;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(said(&nobody).contains("127.0.0.1:1: cannot connect"), "{}", said(&nobody));
    Ok(())
}
