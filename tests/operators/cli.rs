//! redis-cli's own modes, with Eave.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::server::Program;
use crate::talk::Talk;

/// What redis-cli prints in one of its modes.
fn cli(talk: &Talk, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("timeout")
        .args(["20", "redis-cli", "-h", "127.0.0.1", "-p", &talk.server.resp.port().to_string()])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("could not run: redis-cli");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn filled(options: &[&str]) -> Talk {
    let mut talk = Talk::with(Program::Eave, options);
    for at in 0..300 {
        talk.ask(0, &format!("SET key:{at} {at}"));
    }
    talk.ask(0, &format!("SET large {}", "x".repeat(5000)));
    talk.ask(0, "RPUSH list a b c");
    talk.ask(0, "HSET hash f v g w");
    talk.ask(0, "ZADD zset 1 a");
    talk.ask(0, "SADD set a b");
    talk.ask(0, "XADD stream * f v");
    talk
}

#[test]
fn big_keys_are_found() {
    let talk = filled(&[]);
    let text = cli(&talk, &["--bigkeys"], "");
    assert!(text.contains("Biggest string found '\"large\"' has 5000 bytes"), "{text}");
    assert!(text.contains("Biggest   list found '\"list\"' has 3 items"), "{text}");
    assert!(text.contains("Sampled 306 keys in the keyspace!"), "{text}");
    let text = cli(&talk, &["--memkeys"], "");
    assert!(text.contains("Biggest string found '\"large\"' has "), "{text}");
}

#[test]
fn hot_keys_are_found() {
    let mut talk = filled(&["--maxmemory-policy", "allkeys-lfu"]);
    for _ in 0..3000 {
        talk.ask(0, "GET key:7");
    }
    let text = cli(&talk, &["--hotkeys"], "");
    assert!(text.contains("hot key found with counter: ") && text.contains("key:7"), "{text}");
}

#[test]
fn keys_are_scanned_and_commands_piped_in() {
    let talk = filled(&[]);
    let text = cli(&talk, &["--scan", "--pattern", "key:1?"], "");
    let mut keys: Vec<&str> = text.lines().collect();
    keys.sort_unstable();
    let all: Vec<String> = (10..20).map(|at| format!("key:{at}")).collect();
    assert_eq!(keys, all);
    let lines: String = (0..1000).map(|at| format!("SET piped:{at} {at}\r\n")).collect();
    let text = cli(&talk, &["--pipe"], &lines);
    assert!(text.contains("errors: 0, replies: 1000"), "{text}");
}

#[test]
fn figures_are_shown() {
    let talk = filled(&[]);
    let mut child = Command::new("timeout")
        .args(["1", "stdbuf", "-oL", "redis-cli", "-p", &talk.server.resp.port().to_string()])
        .args(["--stat", "-i", "0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("could not run: redis-cli");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().expect("a pipe"), &mut text)
        .expect("text");
    let _ = child.wait();
    assert!(text.lines().any(|line| line.trim_start().starts_with("306")), "{text}");
    let text = cli(&talk, &["--latency", "--raw", "-i", "1"], "");
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert!(fields.len() >= 4 && fields[3].parse::<u64>().is_ok_and(|count| count > 0), "{text}");
}
