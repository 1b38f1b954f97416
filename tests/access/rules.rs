//! Random rules, given to Eave and to redis-server: both must come to the same rights.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::reply::Reply;
use crate::support::resp::{Connection, encode};
use crate::support::server::{Program, Server};
use crate::texts;

/// Sends commands at once, and reads their replies.
fn pipeline(connection: &mut Connection, commands: &[Vec<String>]) -> Vec<Reply> {
    let bytes: Vec<u8> = commands.iter().flat_map(|command| encode(command)).collect();
    connection.send_raw(&bytes).expect("the server reads");
    commands.iter().map(|_| connection.receive().expect("the server answers")).collect()
}

/// Both servers, with a connection to each.
struct Pair {
    _servers: [Server; 2],
    connections: [Connection; 2],
}

impl Pair {
    fn start() -> Pair {
        let servers = [Program::Eave, Program::Redis]
            .map(|program| Server::start(program, &[]).expect("the server starts"));
        let connections = [0, 1].map(|at| servers[at].connect().expect("the server answers"));
        Pair { _servers: servers, connections }
    }

    /// Asks both the same, and answers the replies of each.
    fn ask(&mut self, commands: &[Vec<String>]) -> [Vec<Reply>; 2] {
        let [eave, redis] = &mut self.connections;
        [pipeline(eave, commands), pipeline(redis, commands)]
    }

    /// Every command that both have, with as many arguments as it takes at least.
    fn commands(&mut self) -> Vec<Vec<String>> {
        let info = ["COMMAND", "INFO"].map(str::to_owned).to_vec();
        let [eave, redis] = self.ask(&[info]);
        let theirs = of_table(&redis[0]);
        of_table(&eave[0]).into_iter().filter(|command| theirs.contains(command)).collect()
    }
}

/// The commands of COMMAND INFO, subcommands included.
fn of_table(reply: &Reply) -> Vec<Vec<String>> {
    let Reply::Array(rows) = reply else { panic!("no table: {reply}") };
    let mut found = Vec::new();
    for row in rows {
        let Reply::Array(parts) = row else { panic!("no row: {row}") };
        let (Some(name), Reply::Integer(arity)) = (parts[0].text(), &parts[1]) else {
            panic!("no row: {row}")
        };
        let mut words: Vec<String> = name.split('|').map(str::to_owned).collect();
        words.resize((arity.unsigned_abs() as usize).max(words.len()), "1".to_owned());
        let subcommands = of_table(&parts[9]);
        // A container does nothing by itself.
        if subcommands.is_empty() || *arity == -1 {
            found.push(words);
        }
        found.extend(subcommands);
    }
    found
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|word| (*word).to_owned()).collect()
}

fn dry_run(command: &[String]) -> Vec<String> {
    [words(&["ACL", "DRYRUN", "u"]), command.to_vec()].concat()
}

/// Gives a new user some rules, one after the other, and then asks for what it may do. `shown` takes
/// out of ACL GETUSER what has to be the same.
fn same(
    pair: &mut Pair,
    first: &[&str],
    rules: &[String],
    tried: &[Vec<String>],
    shown: fn(&Reply) -> Vec<String>,
) -> Result<(), TestCaseError> {
    let mut commands = vec![words(&["ACL", "DELUSER", "u"])];
    commands.push([words(&["ACL", "SETUSER", "u"]), words(first)].concat());
    commands.extend(rules.iter().map(|rule| words(&["ACL", "SETUSER", "u", rule.as_str()])));
    commands.push(words(&["ACL", "GETUSER", "u"]));
    let getuser = commands.len() - 1;
    commands.extend(tried.iter().map(|command| dry_run(command)));
    let [eave, redis] = pair.ask(&commands);
    for (at, (ours, theirs)) in eave.iter().zip(&redis).enumerate().skip(1) {
        if at == getuser {
            prop_assert_eq!(shown(ours), shown(theirs), "{:?}", rules);
        } else {
            prop_assert_eq!(ours, theirs, "{:?} after {:?}", commands[at], rules);
        }
    }
    Ok(())
}

/// Everything but the commands: Redis finds their words from the set of its own commands, which
/// is another, and prints single ones in the order of a hash table.
fn but_commands(reply: &Reply) -> Vec<String> {
    let Reply::Array(fields) = reply else { panic!("no user: {reply}") };
    let mut shown = Vec::new();
    for pair in fields.chunks(2) {
        match (pair[0].text().as_deref(), &pair[1]) {
            (Some("commands"), _) => {}
            (Some("selectors"), Reply::Array(selectors)) => {
                shown.extend(selectors.iter().flat_map(but_commands));
            }
            (name, Reply::Array(_)) => shown.push(format!("{name:?} {:?}", texts(&pair[1]))),
            (name, value) => shown.push(format!("{name:?} {value}")),
        }
    }
    shown
}

fn run(
    cases: u32,
    rules: impl Strategy<Value = Vec<String>>,
    mut test: impl FnMut(Vec<String>) -> Result<(), TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let test = std::cell::RefCell::new(&mut test);
    if let Err(error) = TestRunner::new(config).run(&rules, |rules| (test.borrow_mut())(rules)) {
        panic!("{error}");
    }
}

/// A rule of commands. The names are such as both servers have.
fn command_rule() -> impl Strategy<Value = String> {
    let category = prop::sample::select(vec![
        "all",
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "ALL",
        "Read",
        "nosuch",
    ]);
    let command = prop::sample::select(vec![
        "get",
        "set",
        "GET",
        "config",
        "config|get",
        "config|set",
        "client",
        "client|list",
        "client|id",
        "select",
        "del",
        "keys",
        "xinfo|stream",
        "xinfo",
        "object|encoding",
        "ping",
        "select|0",
        "get|1",
        "select|",
        "client|nosuch",
        "client|id|x",
        "nosuch",
        "nosuch|x",
        "",
        "acl|whoami",
        "acl",
        "command",
        "command|count",
        "command|docs",
        "multi",
        "sort",
    ]);
    prop_oneof![
        1 => (prop::sample::select(vec!["+", "-"]), category)
            .prop_map(|(sign, category)| format!("{sign}@{category}")),
        4 => (prop::sample::select(vec!["+", "-"]), command)
            .prop_map(|(sign, command)| format!("{sign}{command}")),
        1 => prop::sample::select(vec!["allcommands", "nocommands"]).prop_map(str::to_owned),
    ]
}

/// A rule of keys and channels.
fn pattern_rule() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec![
        "~", "%R~", "%W~", "%RW~", "%WR~", "%r~", "%w~", "&", "%~", "%RR~", "%",
    ]);
    let pattern =
        prop::sample::select(vec!["a", "b", "c", "a*", "b*", "*", "?", "[ab]", "", "x y", "*c"]);
    prop_oneof![
        8 => (sign, pattern).prop_map(|(sign, pattern)| format!("{sign}{pattern}")),
        1 => prop::sample::select(vec![
            "allkeys", "resetkeys", "allchannels", "resetchannels", "RESETKEYS", "%R", "%RW",
        ])
        .prop_map(str::to_owned),
    ]
}

/// A rule of the user itself, or a selector.
fn user_rule() -> impl Strategy<Value = String> {
    let password = prop::sample::select(vec!["a", "b", "", "x y"]);
    prop_oneof![
        1 => prop::sample::select(vec![
            "on", "off", "nopass", "resetpass", "sanitize-payload", "skip-sanitize-payload",
            "clearselectors", "ON", "", "bogus", ")", "()", "#abc",
            "#2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "!2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        ])
        .prop_map(str::to_owned),
        1 => (prop::sample::select(vec![">", "<"]), password)
            .prop_map(|(sign, password)| format!("{sign}{password}")),
        2 => prop::collection::vec(prop_oneof![command_rule(), pattern_rule()], 0..4)
            .prop_map(|rules| format!("({})", rules.join(" "))),
    ]
}

#[test]
fn commands_are_allowed_alike() {
    let mut pair = Pair::start();
    let tried = pair.commands();
    assert!(tried.len() > 200, "only {} commands", tried.len());
    let rules = prop::collection::vec(command_rule(), 0..12);
    run(60, rules, |rules| same(&mut pair, &["~*", "&*"], &rules, &tried, but_commands));
}

#[test]
fn keys_and_channels_are_allowed_alike() {
    let mut pair = Pair::start();
    let tried: Vec<Vec<String>> = [
        "GET a",
        "SET b v",
        "SET b v GET",
        "MGET a b c",
        "DEL a b",
        "COPY a b",
        "COPY b a",
        "RENAME a c",
        "SMOVE a b m",
        "EXISTS a b",
        "STRLEN c",
        "SINTERSTORE a b c",
        "LMPOP 2 a b LEFT",
        "ZUNIONSTORE a 2 b c",
        "BITOP AND a b c",
        "SORT a STORE b",
        "SORT a",
        "GEORADIUS a 1 1 1 km STORE b",
        "XREAD STREAMS a b 0 0",
        "OBJECT ENCODING a",
        "PUBLISH a m",
        "PUBLISH ab m",
        "SPUBLISH b m",
        "SUBSCRIBE a b",
        "PSUBSCRIBE a*",
        "PSUBSCRIBE a",
        "SSUBSCRIBE c",
        "BITFIELD a GET u8 0",
        "BITFIELD a SET u8 0 1",
        "GETDEL a",
        "APPEND b v",
        "LPOP c",
        "BLPOP a b 0",
        "WATCH a",
        "PING",
    ]
    .iter()
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .collect();
    let rules = prop::collection::vec(pattern_rule(), 0..10);
    run(300, rules, |rules| same(&mut pair, &["+@all"], &rules, &tried, but_commands));
}

#[test]
fn users_and_selectors_are_alike() {
    let mut pair = Pair::start();
    let tried: Vec<Vec<String>> =
        ["GET a", "SET b v", "MGET a b", "CLIENT ID", "PING", "PUBLISH a m", "CONFIG GET x"]
            .iter()
            .map(|line| line.split(' ').map(str::to_owned).collect())
            .collect();
    let rule = prop_oneof![3 => user_rule(), 1 => command_rule(), 1 => pattern_rule()];
    let rules = prop::collection::vec(rule, 0..12);
    run(300, rules, |rules| same(&mut pair, &[], &rules, &tried, but_commands));
}
