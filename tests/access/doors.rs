//! The doors test: every row of the table, through every door, asked by a user who may not and by
//! one who just may. Who may not is told so in Redis' words everywhere; who may is not.
//!
//! The rows are those of COMMAND INFO, so that a new command is in this test without a word
//! here, and so are the places of keys among its arguments.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::http::{Client, fetch};
use crate::support::reply::Reply;
use crate::support::resp::Connection;
use crate::support::server::{Program, Server};
use crate::{ask, tell};

/// A command of the table.
#[derive(Clone, Debug)]
struct Row {
    /// Its name, a subcommand's behind its container's and a bar.
    name: String,
    /// Name and arguments, a key wherever one belongs.
    argv: Vec<String>,
    flags: Vec<String>,
    has_keys: bool,
}

/// The key, or channel, that users may not use or may just use.
const KEY: &str = "door";

impl Row {
    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    /// Whether it is refused without a question about users.
    fn is_for_all(&self) -> bool {
        self.has("no_auth")
    }
}

/// The table, as the server shows it.
fn table(admin: &mut Connection) -> Vec<Row> {
    let Ok(Reply::Array(rows)) = admin.call(&["COMMAND", "INFO"]) else { panic!("no table") };
    rows.iter().flat_map(rows_of).collect()
}

fn rows_of(row: &Reply) -> Vec<Row> {
    let Reply::Array(parts) = row else { panic!("no row: {row}") };
    let [name, Reply::Integer(arity), flags, _, _, _, _, _, specs, subcommands] = parts.as_slice()
    else {
        panic!("COMMAND INFO has another form: {row}")
    };
    let Reply::Array(subcommands) = subcommands else { panic!("no subcommands: {row}") };
    let name = name.text().expect("a name");
    let mut argv: Vec<String> = name.split('|').map(str::to_owned).collect();
    let arity = usize::try_from(arity.unsigned_abs()).expect("a small number");
    argv.resize(arity.max(argv.len()), "1".to_owned());
    let Reply::Array(specs) = specs else { panic!("no specs: {row}") };
    let mut has_keys = false;
    for spec in specs {
        has_keys |= place(spec, &mut argv);
    }
    let found = Row { name, argv, flags: crate::texts(flags), has_keys };
    let own = (subcommands.is_empty() || arity == 1).then_some(found);
    own.into_iter().chain(subcommands.iter().flat_map(rows_of)).collect()
}

/// The value of a field of a flat map.
fn field(map: &Reply, name: &str) -> Reply {
    let Reply::Array(fields) = map else { panic!("no map: {map}") };
    let found = fields.chunks(2).find(|pair| pair[0].text().as_deref() == Some(name));
    found.map_or(Reply::Nil, |pair| pair[1].clone())
}

fn number(map: &Reply, name: &str) -> i64 {
    match field(map, name) {
        Reply::Integer(number) => number,
        other => panic!("{name} is no number: {other}"),
    }
}

/// Puts a key where a specification says that there is one. Channels are no keys.
fn place(spec: &Reply, argv: &mut Vec<String>) -> bool {
    if crate::texts(&field(spec, "flags")).iter().any(|flag| flag == "not_key") {
        argv.resize(argv.len().max(2), "1".to_owned());
        argv[1] = KEY.to_owned();
        return false;
    }
    let (begin, find) = (field(spec, "begin_search"), field(spec, "find_keys"));
    let kind = |part: &Reply| field(part, "type").text().expect("a type");
    let first = match kind(&begin).as_str() {
        "index" => usize::try_from(number(&field(&begin, "spec"), "index")).expect("an index"),
        // Optional, but for XREAD and its kin, which are nothing without their keys.
        "keyword" if kind(&find) == "range" && number(&field(&find, "spec"), "limit") == 2 => {
            let from =
                usize::try_from(number(&field(&begin, "spec"), "startfrom")).expect("an index");
            argv.resize(argv.len().max(from), "1".to_owned());
            argv.truncate(from);
            argv.push("STREAMS".to_owned());
            argv.push(KEY.to_owned());
            argv.push("0".to_owned());
            return true;
        }
        _ => return false,
    };
    let at = if kind(&find) == "keynum" { first + 1 } else { first };
    argv.resize(argv.len().max(at + 1), "1".to_owned());
    if kind(&find) == "keynum" {
        argv[first] = "1".to_owned();
    }
    argv[at] = KEY.to_owned();
    true
}

/// The doors by which one command can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Resp,
    Queued,
    AtExec,
    Script,
    RestBody,
    RestPath,
    RestPipeline,
    RestTransaction,
}

const DOORS: [Door; 8] = [
    Door::Resp,
    Door::Queued,
    Door::AtExec,
    Door::Script,
    Door::RestBody,
    Door::RestPath,
    Door::RestPipeline,
    Door::RestTransaction,
];

/// What is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Command,
    Key,
    Channel,
}

impl What {
    /// The words, as the door says them.
    fn words(self, door: Door, name: &str) -> String {
        let said = match (door, self) {
            (Door::AtExec, What::Command) => "no permission to execute the command or subcommand",
            (Door::AtExec, What::Key) => "no permission to touch the specified keys",
            (Door::AtExec, What::Channel) => {
                "no permission to access one of the channels used as arguments"
            }
            (Door::Script, What::Command) => "can't run this command or subcommand",
            (Door::Script, What::Key) => "can't access at least one of the keys",
            (Door::Script, What::Channel) => "can't publish to the channel",
            (_, What::Command) => {
                return format!("NOPERM this user has no permissions to run the '{name}' command");
            }
            (_, What::Key) => {
                "NOPERM this user has no permissions to access one of the keys used as arguments"
            }
            (_, What::Channel) => {
                "NOPERM this user has no permissions to access one of the channels used as arguments"
            }
        };
        said.to_owned()
    }
}

/// A server, its operator, and what there is besides.
struct Stage {
    server: Server,
    admin: Connection,
    has_scripts: bool,
}

/// The password of the user who asks.
const PASSWORD: &str = "p";

impl Stage {
    fn start() -> Stage {
        let server = Server::start(Program::Eave, &[]).expect("the server starts");
        let mut admin = server.connect().expect("the server answers");
        let has_scripts = ask(&mut admin, "COMMAND INFO eval") != "[nil]";
        Stage { server, admin, has_scripts }
    }

    /// Gives the user `asker` these rights and no others.
    fn allow(&mut self, rules: &str) {
        let line = format!("ACL SETUSER asker reset on >{PASSWORD} {rules}");
        assert_eq!(ask(&mut self.admin, &line), "OK", "{rules}");
    }

    fn rest_token() -> String {
        let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("ev_{}.{}", text("asker"), text(PASSWORD))
    }

    /// Whether a command can come in by this door at all.
    fn admits(&self, door: Door, row: &Row) -> bool {
        let steers = ["multi", "exec", "discard", "watch", "reset", "quit", "forward"];
        match door {
            Door::Resp => true,
            Door::Queued | Door::AtExec => {
                !row.has("no_multi") && !row.is_for_all() && !steers.contains(&row.name.as_str())
            }
            Door::Script => self.has_scripts && !row.has("noscript") && !row.has("no_auth"),
            Door::RestBody | Door::RestPath | Door::RestPipeline | Door::RestTransaction => {
                !row.is_for_all()
            }
        }
    }

    /// Sends a command through a door, as the user. `taken` is what the user loses between MULTI
    /// and EXEC.
    fn send(&mut self, door: Door, argv: &[String], taken: &str) -> String {
        let mut asker = Connection::open(self.server.resp).expect("the server answers");
        if matches!(door, Door::Resp | Door::Queued | Door::AtExec | Door::Script) {
            assert_eq!(ask(&mut asker, &format!("AUTH asker {PASSWORD}")), "OK");
        }
        let json = Value::from(argv.to_vec());
        match door {
            Door::Resp => tell(&mut asker, argv),
            Door::Queued => {
                assert_eq!(ask(&mut asker, "MULTI"), "OK");
                tell(&mut asker, argv)
            }
            Door::AtExec => {
                assert_eq!(ask(&mut asker, "MULTI"), "OK");
                let queued = tell(&mut asker, argv);
                if queued != "QUEUED" {
                    return queued;
                }
                if !taken.is_empty() {
                    assert_eq!(ask(&mut self.admin, &format!("ACL SETUSER asker {taken}")), "OK");
                }
                ask(&mut asker, "EXEC")
            }
            Door::Script => {
                let script = "return redis.call(unpack(ARGV))".to_owned();
                let head = ["EVAL".to_owned(), script, "0".to_owned()];
                tell(&mut asker, &[&head[..], argv].concat())
            }
            Door::RestBody => self.fetch("/", &json.to_string()),
            Door::RestPath => self.fetch(&format!("/{}", argv.join("/")), ""),
            Door::RestPipeline => self.fetch("/pipeline", &Value::from(vec![json]).to_string()),
            Door::RestTransaction => {
                self.fetch("/multi-exec", &Value::from(vec![json]).to_string())
            }
        }
    }

    fn fetch(&self, path: &str, body: &str) -> String {
        let address = self.server.rest.expect("Eave has REST");
        fetch(address, &Stage::rest_token(), path, body).expect("the server answers")
    }

    /// The operator's connection again, if a command has ended it.
    fn recover(&mut self) {
        if ask(&mut self.admin, "PING") != "PONG" {
            self.admin = self.server.connect().expect("the server answers");
        }
    }
}

/// Whether a REST answer says that the command is not for REST, which comes before users.
fn is_not_for_rest(answer: &str) -> bool {
    answer.contains("is not allowed in REST")
}

/// Rules that a door needs besides those that a test gives.
fn needed(door: Door) -> &'static str {
    match door {
        Door::Queued | Door::AtExec => "+multi +exec",
        Door::Script => "+eval",
        _ => "",
    }
}

#[test]
fn who_may_not_run_a_command_is_told_so_everywhere() {
    let mut stage = Stage::start();
    let mut asked = 0;
    for row in table(&mut stage.admin).iter().filter(|row| !row.is_for_all()) {
        for door in DOORS {
            if !stage.admits(door, row) {
                continue;
            }
            // The door itself is the command.
            if needed(door).split(' ').any(|rule| rule.strip_prefix('+') == Some(&row.name)) {
                continue;
            }
            let extra = needed(door);
            let words = What::Command.words(door, &row.name);
            let answer = if door == Door::AtExec {
                stage.allow(&format!("~* &* +@all {extra}"));
                stage.send(door, &row.argv, &format!("-@all {extra}"))
            } else {
                stage.allow(&format!("~* &* +@all -{} {extra}", row.name));
                stage.send(door, &row.argv, "")
            };
            assert!(
                answer.contains(&words) || is_not_for_rest(&answer),
                "{} through {door:?}: {answer}",
                row.name
            );
            asked += 1;
        }
    }
    assert!(asked > 1000, "only {asked}");
}

#[test]
fn who_may_not_touch_a_key_is_told_so_everywhere() {
    let mut stage = Stage::start();
    let mut asked = 0;
    let rows = table(&mut stage.admin);
    for row in rows.iter().filter(|row| row.has_keys) {
        for door in DOORS {
            if !stage.admits(door, row) {
                continue;
            }
            let words = What::Key.words(door, &row.name);
            stage
                .allow(&format!("+@all &* {}", if door == Door::AtExec { "~*" } else { "~other" }));
            let answer = stage.send(door, &row.argv, "resetkeys ~other");
            assert!(
                answer.contains(&words) || is_not_for_rest(&answer),
                "{:?} through {door:?}: {answer}",
                row.argv
            );
            asked += 1;
        }
    }
    assert!(asked > 1000, "only {asked}");
}

#[test]
fn who_may_not_use_a_channel_is_told_so_everywhere() {
    let mut stage = Stage::start();
    let rows = table(&mut stage.admin);
    for name in ["publish", "spublish", "subscribe", "psubscribe", "ssubscribe"] {
        let row = rows.iter().find(|row| row.name == name).expect("it is in the table");
        let mut row = row.clone();
        row.argv[1] = KEY.to_owned();
        for door in DOORS {
            if !stage.admits(door, &row) {
                continue;
            }
            let channels = if door == Door::AtExec { "&*" } else { "&other" };
            stage.allow(&format!("+@all ~* resetchannels {channels}"));
            let answer = stage.send(door, &row.argv, "resetchannels &other");
            let words = What::Channel.words(door, name);
            assert!(
                answer.contains(&words) || is_not_for_rest(&answer),
                "{name} through {door:?}: {answer}"
            );
        }
    }
}

/// Commands that are not really run by somebody who may, since the test could not go on: DRYRUN
/// has to do.
fn ends_the_test(row: &Row) -> bool {
    let ends = [
        "shutdown",
        "replicaof",
        "slaveof",
        "psync",
        "sync",
        "monitor",
        "debug",
        "failover",
        "client|kill",
        "client|pause",
        "client|reply",
        "acl|deluser",
        "script|kill",
        "function|kill",
        "wait",
    ];
    ends.contains(&row.name.as_str())
}

#[test]
fn who_just_may_is_let_through_everywhere() {
    let mut stage = Stage::start();
    let rows = table(&mut stage.admin);
    for row in rows.iter().filter(|row| !row.is_for_all()) {
        for door in DOORS {
            if !stage.admits(door, row) {
                continue;
            }
            stage.allow(&format!("-@all +{} {} ~{KEY} ~1 &{KEY} &1", row.name, needed(door)));
            if ends_the_test(row) {
                let dry = ["ACL", "DRYRUN", "asker"].map(str::to_owned);
                let argv = [&dry[..], &row.argv].concat();
                assert_eq!(tell(&mut stage.admin, &argv), "OK", "{}", row.name);
                continue;
            }
            let mut argv = row.argv.clone();
            // As a path these are streams that do not end: tests/rest has them.
            if door == Door::RestPath && ["subscribe", "psubscribe"].contains(&row.name.as_str()) {
                continue;
            }
            if row.has("blocking") {
                // Nobody waits here: this is no timeout.
                argv.iter_mut().skip(1).filter(|word| *word == "1").for_each(|word| {
                    *word = "0.001".to_owned();
                });
            }
            let answer = stage.send(door, &argv, "");
            let refused = ["NOPERM", "NOAUTH", "user executing the script"];
            assert!(
                !refused.iter().any(|word| answer.contains(word)),
                "{argv:?} through {door:?}: {answer}"
            );
            stage.recover();
        }
    }
}

#[test]
fn who_has_said_nothing_is_let_through_nowhere() {
    let mut stage = Stage::start();
    let rows = table(&mut stage.admin);
    assert_eq!(ask(&mut stage.admin, "CONFIG SET requirepass secret"), "OK");
    let mut stranger = Connection::open(stage.server.resp).expect("the server answers");
    for row in rows.iter().filter(|row| !row.is_for_all()) {
        let answer = if row.argv.len() <= 10 {
            tell(&mut stranger, &row.argv)
        } else {
            continue;
        };
        let said = match row.name.as_str() {
            "exec" => {
                "!EXECABORT Transaction discarded because of: NOAUTH Authentication required."
            }
            _ => "!NOAUTH Authentication required.",
        };
        assert_eq!(answer, said, "{}", row.name);
    }
    let address = stage.server.rest.expect("Eave has REST");
    for path in ["/", "/ping", "/pipeline", "/multi-exec", "/v1/take", "/v1/peek", "/nonsense"] {
        for token in ["", "wrong", "ev_ZGVmYXVsdA.d3Jvbmc"] {
            let answer = fetch(address, token, path, "[\"PING\"]").expect("the server answers");
            assert!(answer.contains("WRONGPASS"), "{path} with {token:?}: {answer}");
        }
    }
    let mut right = Client::new(address, crate::support::server::REST_TOKEN);
    assert_eq!(right.call(&["PING"]), Ok(Reply::Bulk(b"PONG".to_vec())));
}

#[test]
fn rate_limits_over_http_ask_for_the_rights_of_their_command() {
    let mut stage = Stage::start();
    let body = format!("{{\"key\":\"{KEY}\",\"rule\":\"5/60s\"}}");
    for (path, command) in [("/v1/take", "rl.take"), ("/v1/peek", "rl.peek")] {
        stage.allow(&format!("+@all -{command} ~*"));
        let answer = stage.fetch(path, &body);
        assert!(answer.contains(&What::Command.words(Door::RestBody, command)), "{answer}");
        stage.allow("+@all ~other");
        let answer = stage.fetch(path, &body);
        assert!(answer.contains(&What::Key.words(Door::RestBody, command)), "{answer}");
        stage.allow(&format!("+{command} ~{KEY}"));
        let answer = stage.fetch(path, &body);
        assert!(answer.contains("\"remaining\""), "{answer}");
    }
}
