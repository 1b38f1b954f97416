//! redis-cli against Eave: a copy into a file, the stream as it comes, many commands at once.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::Outcome;
use crate::pair::Node;
use crate::support::server::Program;
use crate::writer::write;

fn cli(node: &Node, args: &[&str]) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &node.address().port().to_string()]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A redis-server that is started with the file has what Eave has.
#[test]
fn a_copy_into_a_file_is_what_redis_loads() -> Outcome {
    let say = |error: std::io::Error| error.to_string();
    let mut leader = Node::leader()?;
    write(&mut leader.connect()?, 21, 2000)?;
    let name = format!("eave-cli-{}.rdb", std::process::id());
    let path = std::env::temp_dir().join(&name);
    let shown = path.to_string_lossy().into_owned();
    let done = cli(&leader, &["--rdb", &shown]).output().map_err(say)?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let directory = std::env::temp_dir().to_string_lossy().into_owned();
    let mut redis = Node::start(Program::Redis, &format!("--dir {directory} --dbfilename {name}"))?;
    let (wanted, found) = (leader.contents()?, redis.contents()?);
    std::fs::remove_file(&path).map_err(say)?;
    assert!(wanted.len() > 100);
    assert_eq!(wanted, found);
    leader.wait_for("connected_slaves", "0")?;
    Ok(())
}

#[test]
fn the_stream_is_shown_as_it_comes() -> Outcome {
    let say = |error: std::io::Error| error.to_string();
    let mut leader = Node::leader()?;
    leader.expect("SET before 1", "OK")?;
    let mut follower = cli(&leader, &["--replica"]).spawn().map_err(say)?;
    let stdout = follower.stdout.take().ok_or_else(|| "no output".to_owned())?;
    leader.wait_for("connected_slaves", "1")?;
    leader.expect("SET live 1", "OK")?;
    let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
    let shown = lines.find(|line| line.starts_with("\"SET\""));
    let _ = follower.kill();
    let _ = follower.wait();
    assert_eq!(shown.as_deref(), Some("\"SET\",\"live\",\"1\""));
    Ok(())
}

/// To the leader, and to a replica that hands them on.
#[test]
fn many_commands_come_through_a_pipe() -> Outcome {
    let say = |error: std::io::Error| error.to_string();
    let mut leader = Node::leader()?;
    let replica = Node::forwarding(leader.address(), "")?;
    for (node, prefix) in [(&leader, "a"), (&replica, "b")] {
        let mut piped = cli(node, &["--pipe"]).stdin(Stdio::piped()).spawn().map_err(say)?;
        let mut input = piped.stdin.take().ok_or_else(|| "no input".to_owned())?;
        for n in 0..3000 {
            writeln!(input, "SET {prefix}{n} {n}").map_err(say)?;
        }
        drop(input);
        let done = piped.wait_with_output().map_err(say)?;
        let told = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(told.contains("errors: 0, replies: 3000"), "{told}");
    }
    leader.expect("DBSIZE", "6000")?;
    leader.expect("GET b2999", "\"2999\"")?;
    Ok(())
}
