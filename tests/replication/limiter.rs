//! What a leader knows of rate limits its replicas know: states with holds, named rules and lists.

use crate::Outcome;
use crate::pair::{Node, assert_same};

/// Expects a reply that begins so, and then has a time.
fn begins(node: &mut Node, command: &str, wanted: &str) -> Outcome {
    let reply = node.ask(command)?.to_string();
    if reply.starts_with(wanted) { Ok(()) } else { Err(format!("{command}: {reply}").into()) }
}

#[test]
fn a_replica_has_rules_lists_and_holds() -> Outcome {
    let mut leader = Node::leader()?;
    leader.ask("RL.RULE SET before 5/1h DENY bad EX 1000")?;
    leader.ask("RL.RULE SET before 9/1h FOR alice")?;
    leader.ask("RL.LIST ADD bad DENY 10.0.0.0/8 mallory EX 1000")?;
    leader.ask("RL.HOLD k 2/conc 1 TTL 600000 ID a")?;
    let mut replica = Node::rejecting(leader.address())?;
    replica.wait_for("master_link_status", "up")?;
    leader.ask("RL.RULE SET behind 3/1h ALLOW good")?;
    leader.ask("RL.RULE SET behind 4/1h FOR bob PX 900000")?;
    leader.ask("RL.LIST ADD good ALLOW carol")?;
    leader.ask("RL.LIST ADD good ALLOW dave")?;
    leader.ask("RL.LIST DEL good ALLOW dave")?;
    leader.ask("RL.TAKE before:alice @before COST 2")?;
    leader.ask("RL.HOLD k 2/conc 1 TTL 600000 ID b")?;
    leader.ask("RL.SETTLE a@k 1")?;
    leader.ask("RL.MTAKE 3 x 5/1h y 5/1h:log x 5/1h")?;
    leader.ask("RL.MTAKE 2 x 5/1h z 5/1h COST 9")?;
    replica.catch_up(&mut leader)?;
    assert_same(&mut leader, &mut replica)?;
    // Which came with the full copy.
    begins(&mut replica, "RL.PEEK before:alice @before COST 0", "[1 9 7 0 ")?;
    replica.expect("RL.PEEK 10.1.2.3 @before", "[0 5 0 -1 0]")?;
    replica.expect(
        "RL.RULE GET before",
        "[* * \"rule\" \"5/1h\" \"deny\" \"bad\" * * * * * 1..1000000 * 1]",
    )?;
    // Which came in the stream.
    replica.expect("RL.PEEK fresh @behind FOR bob", "[1 4 4 0 0]")?;
    replica.expect("RL.PEEK fresh @behind FOR carol", "[1 3 3 0 0]")?;
    replica.expect("RL.LIST CHECK good ALLOW carol dave", "[1 0]")?;
    begins(&mut replica, "RL.PEEK k 2/conc", "[1 2 1 0 ")?;
    begins(&mut replica, "RL.PEEK x 5/1h COST 0", "[1 5 3 0 ")?;
    replica.expect(
        "RL.RULE SET mine 5/1h",
        "!READONLY You can't write against a read only replica.",
    )?;
    leader.ask("RL.RULE DEL before")?;
    leader.ask("MULTI")?;
    leader.ask("RL.RULE SET behind 7/1h")?;
    leader.ask("RL.TAKE k2 @behind")?;
    leader.ask("EXEC")?;
    replica.catch_up(&mut leader)?;
    assert_same(&mut leader, &mut replica)?;
    replica.expect("RL.PEEK k @before", "!NORULE no rule named 'before'")?;
    begins(&mut replica, "RL.PEEK k2 @behind COST 0", "[1 7 6 0 ")?;
    Ok(())
}
