//! What scripts and functions do on a leader is on its replicas too.

use crate::Outcome;
use crate::pair::{Node, assert_same};

#[test]
fn a_replica_has_what_scripts_have_done() -> Outcome {
    let mut leader = Node::leader()?;
    leader.ask_all(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=before\nredis.register_function('before', function() return 1 end)",
    ])?;
    let mut replica = Node::rejecting(leader.address())?;
    replica.wait_for("master_link_status", "up")?;
    let script = "for i = 1, 20 do redis.call('set', 'key' .. i, math.random()) end \
        redis.call('sadd', KEYS[1], 'a', 'b', 'c', 'd') \
        redis.call('spop', KEYS[1]) \
        redis.call('set', 'volatile', 1, 'px', 100000) \
        redis.call('select', 3) redis.call('hset', 'h', 'f', redis.call('time')[1]) \
        redis.pcall('lpush', 'volatile', 1) \
        redis.call('set', 'gone', 1, 'px', 1) \
        return redis.call('xadd', 's', '*', 'f', 'v')";
    leader.ask_all(&["EVAL", script, "1", "set"])?;
    leader.ask_all(&["EVAL", "redis.call('set', 'half', 1) error('after')", "0"])?;
    leader.ask_all(&["FUNCTION", "LOAD", "#!lua name=behind\nredis.register_function{function_name = 'behind', callback = function() return 2 end, flags = {'no-writes'}}"])?;
    leader.ask_all(&["FCALL", "before", "0"])?;
    replica.catch_up(&mut leader)?;
    assert_same(&mut leader, &mut replica)?;
    replica.expect("FCALL behind 0", "2")?;
    replica.expect("FCALL_RO behind 0", "2")?;
    replica.expect("GET half", "\"1\"")?;
    // Which came with the full copy.
    replica.expect(
        "FCALL before 0",
        "!READONLY Can not run script with write flag on readonly replica.",
    )?;
    let refused = replica.ask_all(&["EVAL", "return redis.call('set', 'x', 1)", "0"])?.to_string();
    if !refused.starts_with("!READONLY You can't write against a read only replica.") {
        return Err(refused.into());
    }
    let read = replica.ask_all(&["EVAL", "return redis.call('get', 'half')", "0"])?.to_string();
    assert_eq!(read, "\"1\"");
    leader.ask_all(&["FUNCTION", "DELETE", "behind"])?;
    leader.ask("SET last 1")?;
    replica.catch_up(&mut leader)?;
    assert_same(&mut leader, &mut replica)?;
    replica.expect("FCALL behind 0", "!ERR Function not found")?;
    Ok(())
}
