//! `eave import`: what was there is here afterwards, whatever the source is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use crate::Outcome;
use crate::authority::{Authority, Files};
use crate::big::{digest, fill};
use crate::pair::Node;
use crate::proxy::Proxy;
use crate::support::server::Program;
use crate::support::server::free_address;
use crate::writer::{Stream, write};

const DEBUG: &str = "--enable-debug-command yes --repl-diskless-sync-delay 0";

/// A library with a function of its own name.
const LIBRARY: &str = "#!lua name=mylib\nredis.register_function('twice', function(keys, args) return args[1] * 2 end)";

/// The program, told to import.
pub(crate) fn import(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eave"));
    command.arg("import").args(args).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Result<Output, String> {
    import(args).output().map_err(|error| error.to_string())
}

/// Everything that it has said.
pub(crate) fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

pub(crate) fn url(node: &Node) -> String {
    format!("redis://{}", node.address())
}

pub(crate) fn place(node: &Node) -> String {
    node.address().to_string()
}

/// A server with keys of every type, some due, in several databases, and a function library.
pub(crate) fn filled(program: Program, options: &str) -> Result<Node, String> {
    let mut node = Node::start(program, &format!("{DEBUG} {options}"))?;
    fill(&mut node.connect()?, 2000)?;
    node.ask_all(&["FUNCTION", "LOAD", LIBRARY])?;
    for command in [
        "XGROUP CREATE stream:6 group 0",
        "XREADGROUP GROUP group me COUNT 1 STREAMS stream:6 >",
        "SETBIT bits 7777 1",
        "PFADD counted a b c",
        "GEOADD places 15.44 47.07 graz",
        "SELECT 3",
        "SET far away",
        "EXPIRE far 10000",
        "SET \"\\x00\\xff binary\" \"\\r\\n\"",
        "SELECT 0",
    ] {
        let reply = node.ask(command)?.to_string();
        assert!(!reply.starts_with('!'), "{command}: {reply}");
    }
    Ok(node)
}

fn target() -> Result<Node, String> {
    Node::start(Program::Eave, DEBUG)
}

fn assert_moved(source: &mut Node, target: &mut Node) -> Outcome {
    let keys = source.ask("DBSIZE")?.to_string();
    target.expect("DBSIZE", &keys)?;
    assert_eq!(digest(source)?, digest(target)?);
    assert_eq!(source.contents()?, target.contents()?);
    target.expect("FCALL twice 0 21", "42")?;
    Ok(())
}

#[test]
fn all_of_a_redis_is_moved() -> Outcome {
    let mut source = filled(Program::Redis, "")?;
    let mut target = target()?;
    let done = run(&[&url(&source), "--to", &place(&target)])?;
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("imported 2005 keys in "), "{}", said(&done));
    assert!(said(&done).contains("1 function library"), "{}", said(&done));
    assert_moved(&mut source, &mut target)
}

#[test]
fn a_file_of_redis_is_moved_and_a_pipe_too() -> Outcome {
    let mut source = filled(Program::Redis, "")?;
    source.expect("SAVE", "OK")?;
    let file = source.server.file("dump.rdb");
    let path = file.to_string_lossy().into_owned();
    let counted = run(&[&path, "--dry-run"])?;
    assert!(counted.status.success(), "{}", said(&counted));
    assert!(said(&counted).contains("would import 2005 keys"), "{}", said(&counted));
    let mut first = target()?;
    let done = run(&[&path, "--to", &place(&first)])?;
    assert!(done.status.success(), "{}", said(&done));
    assert_moved(&mut source, &mut first)?;
    let mut second = target()?;
    let pipe = std::fs::File::open(&file).map_err(|error| error.to_string())?;
    let done = import(&["-", "--to", &place(&second)]).stdin(pipe).output();
    let done = done.map_err(|error| error.to_string())?;
    assert!(done.status.success(), "{}", said(&done));
    assert_moved(&mut source, &mut second)
}

/// As hosted ones are: nobody follows them.
#[test]
fn a_source_that_refuses_replicas_is_scanned() -> Outcome {
    let mut source = filled(Program::Redis, "")?;
    source.expect("ACL SETUSER mover on >pass ~* &* +@all -psync -sync", "OK")?;
    let url = format!("redis://mover:pass@{}", source.address());
    let mut first = target()?;
    let done = run(&[&url, "--to", &place(&first)])?;
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("copying by SCAN and DUMP"), "{}", said(&done));
    // When a key is due is told by milliseconds from now, so only the rest is the same exactly.
    first.expect("DBSIZE", &source.ask("DBSIZE")?.to_string())?;
    assert_eq!(digest(&source)?, digest(&first)?);
    first.expect("FCALL twice 0 21", "42")?;
    let live = run(&[&url, "--to", &place(&first), "--live", "--replace"])?;
    assert_eq!(live.status.code(), Some(1));
    assert!(said(&live).contains("as --live does"), "{}", said(&live));
    // One database alone, into another.
    let mut second = target()?;
    let to = format!("redis://{}/5", second.address());
    let done = run(&[&format!("{url}/3"), "--to", &to, "--scan"])?;
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("imported 2 keys"), "{}", said(&done));
    second.expect("DBSIZE", "0")?;
    second.expect("SELECT 5", "OK")?;
    second.expect("GET far", "\"away\"")?;
    Ok(())
}

#[test]
fn one_database_of_a_copy_goes_where_it_is_wanted() -> Outcome {
    let source = filled(Program::Redis, "")?;
    let mut target = target()?;
    let done = run(&[&format!("{}/3", url(&source)), "--to", &place(&target)])?;
    assert!(done.status.success(), "{}", said(&done));
    target.expect("DBSIZE", "0")?;
    target.expect("SELECT 3", "OK")?;
    target.expect("DBSIZE", "2")?;
    Ok(())
}

/// An import that follows, up to where it has copied.
struct Live {
    child: Child,
    lines: BufReader<ChildStderr>,
    told: String,
}

impl Live {
    fn start(source: &Node, target: &Node) -> Result<Live, String> {
        Live::start_at(&url(source), target)
    }

    fn start_at(url: &str, target: &Node) -> Result<Live, String> {
        let say = |error: std::io::Error| error.to_string();
        let args = [url, "--to", &place(target), "--live"];
        let mut child = import(&args).spawn().map_err(say)?;
        let stderr = child.stderr.take().ok_or("no standard error")?;
        let mut live = Live { child, lines: BufReader::new(stderr), told: String::new() };
        while !live.told.contains("; following ") {
            if live.lines.read_line(&mut live.told).map_err(say)? == 0 {
                let _ = live.child.wait();
                return Err(live.told.clone());
            }
        }
        Ok(live)
    }

    /// Ctrl-C; answers whether all went well, and what was said.
    fn stop(mut self) -> Result<(bool, String), String> {
        let say = |error: std::io::Error| error.to_string();
        let id = self.child.id().to_string();
        Command::new("kill").args(["-INT", &id]).status().map_err(say)?;
        self.lines.read_to_string(&mut self.told).map_err(say)?;
        let done = self.child.wait_with_output().map_err(say)?;
        self.told += &String::from_utf8_lossy(&done.stdout);
        Ok((done.status.success(), self.told))
    }
}

fn moves_while_it_is_written_to(program: Program) -> Result<(Node, Node), crate::Failure> {
    let mut source = filled(program, "")?;
    let mut target = target()?;
    let writer = Stream::start(&source, 7000)?;
    let live = Live::start(&source, &target)?;
    source.ask("INCR after:copy")?;
    source.ask("PUBLISH channel message")?;
    writer.stop()?;
    let (well, told) = live.stop()?;
    assert!(well, "{told}");
    assert!(told.contains("where the source was when asked to end"), "{told}");
    target.expect("GET after:copy", "\"1\"")?;
    assert_moved(&mut source, &mut target)?;
    Ok((source, target))
}

#[test]
fn a_redis_moves_while_it_is_written_to() -> Outcome {
    moves_while_it_is_written_to(Program::Redis).map(drop)
}

#[test]
fn an_eave_moves_while_it_is_written_to() -> Outcome {
    moves_while_it_is_written_to(Program::Eave).map(drop)
}

#[test]
fn both_ends_may_speak_tls() -> Outcome {
    let authority = Authority::new();
    let Files { certificate, key } = authority.issue("node");
    let start = |program: Program| -> Result<(Node, String), String> {
        let port = free_address().port();
        let tls = format!(
            "--tls-port {port} --tls-ca-cert-file {} --tls-cert-file {certificate} \
             --tls-key-file {key} --tls-auth-clients yes",
            authority.file()
        );
        Ok((filled_or_not(program, &tls)?, format!("rediss://localhost:{port}")))
    };
    let (mut source, from) = start(Program::Redis)?;
    let (mut target, to) = start(Program::Eave)?;
    let ca = authority.file();
    let mut args = vec![from.as_str(), "--to", &to, "--tls-ca-cert-file", &ca];
    let unknown = run(&args)?;
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
    args.extend(["--tls-cert-file", &certificate, "--tls-key-file", &key]);
    let done = run(&args)?;
    assert!(done.status.success(), "{}", said(&done));
    assert_moved(&mut source, &mut target)
}

/// A redis-server with keys, or an Eave without.
fn filled_or_not(program: Program, options: &str) -> Result<Node, String> {
    match program {
        Program::Redis => filled(program, options),
        Program::Eave => Node::start(program, &format!("{DEBUG} {options}")),
    }
}

#[test]
fn a_link_that_breaks_is_made_again_and_goes_on() -> Outcome {
    let mut source = filled(Program::Redis, "")?;
    let mut target = target()?;
    let proxy = Proxy::start(source.address())?;
    let live = Live::start_at(&format!("redis://{}", proxy.address), &target)?;
    write(&mut source.connect()?, 31, 500)?;
    source.wait_for("connected_slaves", "1")?;
    proxy.cut();
    source.wait_for("connected_slaves", "0")?;
    write(&mut source.connect()?, 32, 500)?;
    proxy.restore(source.address());
    let (well, told) = live.stop()?;
    assert!(well, "{told}");
    assert!(told.contains("trying again"), "{told}");
    assert_eq!(source.info("sync_partial_ok")?, "1");
    assert_moved(&mut source, &mut target)
}

#[test]
fn a_source_that_has_forgotten_what_came_after_the_copy_ends_it() -> Outcome {
    let mut source = filled(Program::Redis, "")?;
    let target = target()?;
    let proxy = Proxy::start(source.address())?;
    let mut live = Live::start_at(&format!("redis://{}", proxy.address), &target)?;
    proxy.cut();
    source.wait_for("connected_slaves", "0")?;
    source.expect("DEBUG CHANGE-REPL-ID", "OK")?;
    proxy.restore(source.address());
    let status = live.child.wait().map_err(|error| error.to_string())?;
    live.lines.read_to_string(&mut live.told).map_err(|error| error.to_string())?;
    assert_eq!(status.code(), Some(1), "{}", live.told);
    assert!(live.told.contains("Start again with --replace"), "{}", live.told);
    Ok(())
}

#[test]
fn limits_their_rules_and_documents_are_moved() -> Outcome {
    let mut source = Node::leader()?;
    source.expect("JSON.SET document $ [1]", "OK")?;
    source.ask("RL.TAKE before 3/1h")?;
    source.ask("RL.RULE SET login 5/60s")?;
    let mut target = target()?;
    let live = Live::start(&source, &target)?;
    source.ask("RL.TAKE before 3/1h")?;
    source.ask("RL.TAKE after 3/1h")?;
    let (well, told) = live.stop()?;
    assert!(well, "{told}");
    target.expect("JSON.GET document", "\"[1]\"")?;
    for (command, left) in [("RL.PEEK before 3/1h", "[1 3 1 "), ("RL.PEEK after 3/1h", "[1 3 2 ")] {
        let reply = target.ask(command)?.to_string();
        assert!(reply.starts_with(left), "{command}: {reply}");
    }
    assert!(target.ask("RL.RULE GET login")?.to_string().contains("5/1m"));
    Ok(())
}
