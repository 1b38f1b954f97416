//! `rules-file`: named rules and lists are there after the next start.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::reply::Reply;
use crate::support::server::{Program, Server};
use crate::talk::{Talk, ok, until};

/// A folder of one test, gone with it.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Home {
        let home = std::env::temp_dir().join(format!("eave-rules-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).expect("a folder");
        Home(home)
    }

    fn file(&self) -> PathBuf {
        self.0.join("limits.rules")
    }

    fn start(&self, more: &[&str]) -> Talk {
        let path = self.file();
        let path = path.to_str().expect("a path of text");
        Talk::with(Program::Eave, &[&["--rules-file", path], more].concat())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A field of INFO.
fn info(talk: &mut Talk, field: &str) -> String {
    let text = talk.ask(0, "INFO persistence").text().expect("a text");
    let found = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {field}")).to_owned()
}

fn until_written(talk: &mut Talk) {
    until("the file has all", || info(talk, "rules_changes_since_last_save") == "0");
}

fn tell(talk: &mut Talk, lines: &[&str]) {
    for line in lines {
        let reply = talk.ask(0, line);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply}");
    }
}

fn shown(talk: &mut Talk, line: &str) -> String {
    talk.ask(0, line).to_string()
}

const CHANGES: &[&str] = &[
    "RL.RULE SET pro 5/1h:gcra:7 DENY bad",
    "RL.RULE SET pro 9/1h FOR alice EXAT 99999999999",
    "RL.RULE SET gone 9/1h",
    "RL.RULE SET gone 9/1h FOR bob",
    "RL.RULE SET short 9/1h PX 1",
    "RL.RULE DEL gone",
    "RL.RULE SET everywhere 100/10s REGIONS local",
    "RL.LIST ADD bad DENY 10.0.0.0/8 mallory trent",
    "RL.LIST DEL bad DENY trent",
];

/// Everything that the changes have come to.
fn assert_there(talk: &mut Talk) {
    let names = |talk: &mut Talk| shown(talk, "RL.RULE LIST").matches("\"name\"").count();
    until("what is over is not seen", || names(talk) == 2);
    let pro = shown(talk, "RL.RULE GET pro");
    assert!(pro.contains("\"5/1h:gcra:7\" \"deny\" \"bad\""), "{pro}");
    assert!(shown(talk, "RL.RULE GET everywhere").contains("\"regions\" \"local\""));
    assert_eq!(shown(talk, "RL.PEEK alice @pro COST 0"), "[1 9 9 0 0]");
    assert_eq!(shown(talk, "RL.LIST CHECK bad DENY 10.9.9.9 mallory trent"), "[1 1 0]");
    assert_eq!(shown(talk, "RL.TAKE 10.1.2.3 @pro"), "[0 5 0 -1 0]");
}

/// The last change is made, and the server is asked to end at once.
#[test]
fn a_stop_in_order_has_written_everything() {
    let home = Home::new("order");
    let mut talk = home.start(&[]);
    assert!(!home.file().exists(), "a file comes with the first change");
    assert_eq!(info(&mut talk, "rules_file_enabled"), "1");
    tell(&mut talk, CHANGES);
    talk.server.ask_to_end().expect("it runs");
    until("the server has ended", || !talk.server.is_running());
    assert_eq!(talk.server.exit_code(), Some(0));
    for start in 0..2 {
        let mut talk = home.start(&[]);
        assert_there(&mut talk);
        assert_eq!(info(&mut talk, "rules_saves"), "0", "start {start} has changed nothing");
    }
    assert_eq!(fs::read_dir(&home.0).expect("a folder").count(), 1, "nothing is left beside it");
}

#[test]
fn what_was_written_outlives_a_kill() {
    let home = Home::new("kill");
    let mut talk = home.start(&[]);
    tell(&mut talk, CHANGES);
    until_written(&mut talk);
    talk.server.cut_down().expect("it runs");
    until("the server has ended", || !talk.server.is_running());
    assert_there(&mut home.start(&[]));
}

/// Whenever it is cut down, there is a whole file: of each moment in which it was written.
#[test]
fn a_kill_in_the_middle_leaves_a_whole_file() {
    let home = Home::new("middle");
    for round in 1..=3 {
        let mut talk = home.start(&[]);
        let batch = format!("b{round}");
        for number in 0..200 {
            let line = format!("RL.LIST ADD {batch} DENY {number} EX 10000");
            assert_eq!(talk.ask(0, &line), Reply::Integer(1));
            if number == 20 {
                until("it has been written", || info(&mut talk, "rules_saves") != "0");
            }
        }
        talk.server.cut_down().expect("it runs");
        until("the server has ended", || !talk.server.is_running());
        let mut talk = home.start(&[]);
        assert_eq!(shown(&mut talk, &format!("RL.LIST CHECK {batch} DENY 0 20")), "[1 1]");
    }
}

#[test]
fn a_person_may_write_the_file() {
    let home = Home::new("person");
    fs::write(
        home.file(),
        "# The shop's limits.\n# Ask ann.\n\nrl.rule set shop 7/1m\n# the others\nRL.LIST ADD l ALLOW \
         'a b' c\n",
    )
    .expect("a file");
    let mut talk = home.start(&[]);
    assert_eq!(shown(&mut talk, "RL.PEEK k @shop COST 0"), "[1 7 7 0 0]");
    let Reply::Array(values) = talk.ask(0, "RL.LIST SCAN l ALLOW 0") else { panic!("a page") };
    assert_eq!(values[1].to_string().matches('"').count(), 4, "{:?}", values[1]);
    tell(&mut talk, &["RL.RULE SET shop 8/1m"]);
    until_written(&mut talk);
    let text = fs::read_to_string(home.file()).expect("a file");
    let begin = "# The shop's limits.\n# Ask ann.\n\nRL.RULE SET shop 8/1m\nRL.LIST ADD l ALLOW ";
    assert!(text.starts_with(begin) && !text.contains("others"), "{text}");
    assert!(text.contains("RL.LIST ADD l ALLOW \"a b\"\n"), "{text}");
}

fn refusal(path: &Path) -> String {
    let options = ["--rules-file".to_owned(), path.to_string_lossy().into_owned()];
    Server::start(Program::Eave, &options).expect_err("the start is stopped")
}

#[test]
fn a_broken_file_stops_the_start() {
    let home = Home::new("broken");
    let path = home.file();
    fs::write(&path, "# text\nRL.RULE SET pro 5/1h\nRL.RULE SET pro 5/1 FOR alice\n")
        .expect("a file");
    let why = refusal(&path);
    let place = format!("rules-file {}, line 3: invalid rule '5/1': window: ", path.display());
    assert!(why.contains(&place), "{why}");
    let text = fs::read_to_string(&path).expect("a file");
    assert!(text.contains("FOR alice"), "it is left as it was");
    let why = refusal(&home.0);
    assert!(why.contains(&format!("rules-file {}: ", home.0.display())), "a folder: {why}");
    let why = refusal(&home.0.join("none").join("limits.rules"));
    assert!(why.contains("No such file or directory"), "without a folder: {why}");
}

/// The folder goes away: rules hold all the same, and the file is made as soon as it can be.
#[test]
fn a_write_that_fails_is_shown_and_tried_again() {
    let home = Home::new("failing");
    let mut talk = home.start(&[]);
    fs::remove_dir(&home.0).expect("an empty folder");
    assert_eq!(talk.ask(0, "RL.RULE SET pro 5/1h"), ok());
    assert_eq!(shown(&mut talk, "RL.PEEK k @pro COST 0"), "[1 5 5 0 0]");
    until("the failure is shown", || info(&mut talk, "rules_last_save_status") == "err");
    assert_ne!(info(&mut talk, "rules_save_failures"), "0");
    assert_eq!(info(&mut talk, "rules_changes_since_last_save"), "1");
    let log = talk.server.log_tail();
    assert!(log.contains("cannot be written, tried again: No such file or directory"), "{log}");
    fs::create_dir(&home.0).expect("a folder");
    until_written(&mut talk);
    assert_eq!(info(&mut talk, "rules_last_save_status"), "ok");
    let text = fs::read_to_string(home.file()).expect("a file");
    assert!(text.ends_with("RL.RULE SET pro 5/1h\n"), "{text}");
}

#[test]
fn without_a_file_nothing_is_kept() {
    let mut talk = Talk::with(Program::Eave, &[]);
    tell(&mut talk, CHANGES);
    assert_eq!(info(&mut talk, "rules_file_enabled"), "0");
    assert_eq!(info(&mut talk, "rules_changes_since_last_save"), "0");
    let reply = talk.ask(0, "CONFIG SET rules-file /tmp/x");
    assert!(matches!(&reply, Reply::Error(why) if why.ends_with("can't set immutable config")));
}

/// What the leader says wins, in its copy and behind it; who takes over has it all.
#[test]
fn the_file_of_a_replica_follows_its_leader() {
    let (home, own) = (Home::new("leader"), Home::new("replica"));
    fs::write(own.file(), "# mine\nRL.RULE SET old 3/1h\n").expect("a file");
    let mut leader = home.start(&["--repl-diskless-sync-delay", "0"]);
    tell(&mut leader, &CHANGES[..4]);
    let port = leader.server.resp.port().to_string();
    let mut replica = own.start(&["--replicaof", "127.0.0.1", &port]);
    until("the copy has come", || shown(&mut replica, "RL.RULE GET gone") != "nil");
    assert_eq!(shown(&mut replica, "RL.RULE GET old"), "nil");
    tell(&mut leader, &CHANGES[4..]);
    let deleted = "RL.LIST CHECK bad DENY mallory trent";
    until("the stream has come", || shown(&mut replica, deleted) == "[1 0]");
    until_written(&mut replica);
    let text = fs::read_to_string(own.file()).expect("a file");
    assert!(text.starts_with("# mine\nRL.RULE SET everywhere "), "{text}");
    leader.server.cut_down().expect("it runs");
    assert_eq!(replica.ask(0, "REPLICAOF NO ONE"), ok());
    assert_there(&mut replica);
    tell(&mut replica, &["RL.RULE SET mine 4/1h"]);
    until_written(&mut replica);
    replica.server.cut_down().expect("it runs");
    until("it has ended", || !replica.server.is_running());
    let mut again = own.start(&[]);
    tell(&mut again, &["RL.RULE DEL mine"]);
    assert_there(&mut again);
}
