//! A script that does not end: others go on, who wants what it holds is told, and it can be
//! ended. With one worker, which the script occupies, and with two.

use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Program, Server, pause};
use crate::{call, connect, refusal, start};
use std::time::Duration;

const BUSY: &str =
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";

/// It catches what would end it, again and again.
const ENDLESS: &str = "while true do pcall(function() while true do end end) end";

/// How often something is asked for that must come true, 10 ms apart.
const PATIENCE: usize = 1000;

fn send(client: &mut Connection, args: &[&str]) {
    client.send_raw(&encode(args)).expect("the server reads");
}

fn receive(client: &mut Connection) -> Reply {
    client.receive().expect("the server answers")
}

/// Starts a script that holds `held` and waits until others are told so.
fn occupy(server: &Server, script: &str) -> (Connection, Connection) {
    let (mut runs, mut asks) = (connect(server), connect(server));
    send(&mut runs, &["EVAL", script, "1", "held"]);
    for _ in 0..PATIENCE {
        match call(&mut asks, &["GET", "held"]) {
            Reply::Error(text) => {
                assert_eq!(text, BUSY);
                return (runs, asks);
            }
            // The script has not begun yet.
            _ => pause(Duration::from_millis(10)),
        }
    }
    panic!("nobody is told that a script is running");
}

/// Ends it. Redis answers that it is ended before it is.
fn kill(asks: &mut Connection, runs: &mut Connection) -> String {
    assert_eq!(call(asks, &["SCRIPT", "KILL"]).to_string(), "OK");
    match receive(runs) {
        Reply::Error(text) => text,
        other => panic!("the script answered {other}"),
    }
}

fn an_endless_script_is_ended(program: Program, options: &str) {
    let server = start(program, &format!("--busy-reply-threshold 100 {options}"));
    let scripts = [
        ENDLESS,
        "while true do end",
        "local function f() pcall(f) f() end while true do pcall(f) end",
        "while true do coroutine.wrap(function() while true do pcall(error) end end)() end",
        "local t = setmetatable({}, {__index = function(t, k) while true do end end}) \
         while true do pcall(function() return t.x end) end",
        "while true do redis.call('get', 'held') end",
        "while true do redis.pcall('nosuch') end",
    ];
    for script in scripts {
        let (mut runs, mut asks) = occupy(&server, script);
        let why = kill(&mut asks, &mut runs);
        assert!(
            why.starts_with("ERR Script killed by user with SCRIPT KILL..."),
            "{script}: {why}"
        );
        assert_eq!(call(&mut asks, &["SET", "held", "v"]).to_string(), "OK", "{script}");
        assert_eq!(
            call(&mut runs, &["EVAL", "return redis.call('get', 'held')", "0"]).to_string(),
            "\"v\""
        );
    }
    let mut asks = connect(&server);
    assert_eq!(
        refusal(&mut asks, &["SCRIPT", "KILL"]),
        "NOTBUSY No scripts in execution right now."
    );
}

#[test]
fn an_endless_script_is_ended_with_one_worker() {
    an_endless_script_is_ended(Program::Eave, "--io-threads 1");
}

#[test]
fn an_endless_script_is_ended_with_two_workers() {
    an_endless_script_is_ended(Program::Eave, "--io-threads 2");
}

#[test]
fn an_endless_script_is_ended_by_redis() {
    an_endless_script_is_ended(Program::Redis, "");
}

/// Lua's own matcher would not come back from these within one instruction.
#[test]
fn a_pattern_that_takes_years_is_ended() {
    let server = start(Program::Eave, "--busy-reply-threshold 100 --io-threads 1");
    let patterns = [
        "s:find('(.-)(.-)(.-)b')",
        "s:match('.*.*.*.*b')",
        "s:gsub('(.-)(.-)(.-)b', '')",
        "(function() for a in s:gmatch('(.-)(.-)(.-)b') do end end)()",
        "s:find(s:rep(20) .. 'b', 1, true) while true do end",
        "s:sub(1, 60):find(('a?'):rep(60) .. ('a'):rep(60) .. 'b')",
    ];
    for pattern in patterns {
        let script =
            format!("local s = string.rep('a', 1000000) pcall(function() local x = {pattern} end)");
        let script = format!("{script} while true do pcall(error) end");
        let (mut runs, mut asks) = occupy(&server, &script);
        let why = kill(&mut asks, &mut runs);
        assert!(why.starts_with("ERR Script killed by user"), "{pattern}: {why}");
        assert_eq!(call(&mut asks, &["SET", "held", "v"]).to_string(), "OK", "{pattern}");
    }
}

#[test]
fn others_go_on_beside_an_endless_script() {
    let server = start(Program::Eave, "--busy-reply-threshold 100 --io-threads 1");
    let (mut runs, mut asks) = occupy(&server, ENDLESS);
    // Clients that were there before, and clients that come now.
    for client in [&mut asks, &mut connect(&server)] {
        assert_eq!(call(client, &["PING"]).to_string(), "PONG");
        assert_eq!(call(client, &["SET", "other", "v"]).to_string(), "OK");
        assert_eq!(call(client, &["GET", "other"]).to_string(), "\"v\"");
        assert_eq!(refusal(client, &["SET", "held", "v"]), BUSY);
        assert_eq!(refusal(client, &["EVAL", "return 1", "0"]), BUSY);
    }
    // A script that keeps to its keys needs no turn.
    let keeps = "#!lua flags=allow-key-locking\nreturn redis.call('incr', KEYS[1])";
    assert_eq!(call(&mut asks, &["EVAL", keeps, "1", "count"]), Reply::Integer(1));
    assert_eq!(refusal(&mut asks, &["EVAL", keeps, "1", "held"]), BUSY);
    kill(&mut asks, &mut runs);
    assert_eq!(call(&mut asks, &["EVAL", "return 1", "0"]), Reply::Integer(1));
}

#[test]
fn a_transaction_is_told_as_in_redis() {
    for program in [Program::Eave, Program::Redis] {
        let server = start(program, "--busy-reply-threshold 100");
        let mut inside = connect(&server);
        assert_eq!(call(&mut inside, &["MULTI"]).to_string(), "OK");
        assert_eq!(call(&mut inside, &["SET", "held", "v"]).to_string(), "QUEUED");
        let (mut runs, mut asks) = occupy(&server, ENDLESS);
        let why = refusal(&mut inside, &["EXEC"]);
        assert_eq!(
            why,
            format!("EXECABORT Transaction discarded because of: {BUSY}"),
            "{program:?}"
        );
        kill(&mut asks, &mut runs);
        assert_eq!(call(&mut inside, &["GET", "held"]), Reply::Nil);
    }
}

#[test]
fn a_watcher_may_go_while_a_script_holds_its_key() {
    let server = start(Program::Eave, "--busy-reply-threshold 100 --io-threads 1");
    let mut watcher = connect(&server);
    assert_eq!(call(&mut watcher, &["WATCH", "held"]).to_string(), "OK");
    let (mut runs, mut asks) = occupy(&server, ENDLESS);
    drop(watcher);
    kill(&mut asks, &mut runs);
    assert_eq!(call(&mut asks, &["SET", "held", "v"]).to_string(), "OK");
}

#[test]
fn a_script_that_has_written_is_not_ended() {
    for program in [Program::Eave, Program::Redis] {
        let server = start(program, "--busy-reply-threshold 100");
        let script = format!("redis.call('set', 'held', 1) {ENDLESS}");
        let (_runs, mut asks) = occupy(&server, &script);
        let why = refusal(&mut asks, &["SCRIPT", "KILL"]);
        assert!(why.starts_with("UNKILLABLE Sorry the script already executed write"), "{why}");
        // The server ends nevertheless when it is dropped.
    }
}

#[test]
fn the_node_stops_with_a_script_that_has_written() {
    let mut server = start(Program::Eave, "--busy-reply-threshold 100 --io-threads 1");
    let script = format!("redis.call('set', 'held', 1) {ENDLESS}");
    let (_runs, _asks) = occupy(&server, &script);
    let ended = std::process::Command::new("kill").arg(server.process_id().to_string()).status();
    assert!(ended.expect("kill runs").success());
    for _ in 0..3 * PATIENCE {
        if !server.is_running() {
            return;
        }
        pause(Duration::from_millis(10));
    }
    panic!("the node does not stop:\n{}", server.log_tail());
}

#[test]
fn an_endless_function_is_ended() {
    for program in [Program::Eave, Program::Redis] {
        let server = start(program, "--busy-reply-threshold 100");
        let mut asks = connect(&server);
        let code =
            "#!lua name=lib\nredis.register_function('endless', function() while true do end end)";
        assert_eq!(call(&mut asks, &["FUNCTION", "LOAD", code]).to_string(), "\"lib\"");
        let mut runs = connect(&server);
        send(&mut runs, &["FCALL", "endless", "1", "held"]);
        let busy = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or \
                    SHUTDOWN NOSAVE.";
        let told = (0..PATIENCE).any(|_| {
            pause(Duration::from_millis(10));
            matches!(call(&mut asks, &["GET", "held"]), Reply::Error(text) if text == busy)
        });
        assert!(told, "{program:?}");
        assert_eq!(refusal(&mut asks, &["SCRIPT", "KILL"]), busy, "{program:?}");
        let stats = call(&mut asks, &["FUNCTION", "STATS"]).to_string();
        assert!(stats.contains("\"endless\"") && stats.contains("\"FCALL\""), "{stats}");
        assert_eq!(call(&mut asks, &["FUNCTION", "KILL"]).to_string(), "OK");
        let why = receive(&mut runs).to_string();
        assert!(why.contains("script: endless, on @user_function:2."), "{program:?}: {why}");
    }
}
