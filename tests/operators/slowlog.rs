//! SLOWLOG: the same entries, but for their times.

use crate::support::reply::Reply;
use crate::support::server::Program;
use crate::talk::Talk;

fn entries(program: Program) -> Vec<(i64, Vec<Reply>, String)> {
    let mut talk =
        Talk::with(program, &["--slowlog-log-slower-than", "0", "--slowlog-max-len", "9"]);
    talk.ask(0, "CLIENT SETNAME me");
    talk.ask(0, "SLOWLOG RESET");
    let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    talk.ask(0, &format!("DEL {}", many.join(" ")));
    talk.ask(0, &format!("SET k {}", "x".repeat(200)));
    talk.ask(0, "MULTI");
    talk.ask(0, "GET k");
    talk.ask(0, "INCR k");
    talk.ask(0, "EXEC");
    talk.ask(0, "AUTH secret");
    talk.ask(0, "CONFIG SET masterauth secret");
    talk.ask(0, "GET");
    talk.ask(0, "nonsense");
    let Reply::Array(entries) = talk.ask(0, "SLOWLOG GET -1") else { panic!("a list") };
    let entry = |reply: Reply| {
        let Reply::Array(parts) = reply else { panic!("an entry") };
        let [
            Reply::Integer(id),
            Reply::Integer(at),
            Reply::Integer(micros),
            Reply::Array(argv),
            _,
            name,
        ] = parts.as_slice()
        else {
            panic!("{parts:?}")
        };
        assert!(*at > 1_700_000_000 && *micros >= 0);
        (*id, argv.clone(), name.text().expect("a name"))
    };
    assert_eq!(talk.ask(0, "SLOWLOG LEN"), Reply::Integer(9));
    let mut entries: Vec<_> = entries.into_iter().map(entry).collect();
    // How many there were before is not said.
    let last = entries[0].0;
    entries.iter_mut().for_each(|(id, ..)| *id -= last);
    assert_eq!(talk.ask(0, "CONFIG SET slowlog-log-slower-than -1"), crate::talk::ok());
    talk.ask(0, "SLOWLOG RESET");
    talk.ask(0, "GET k");
    assert_eq!(talk.ask(0, "SLOWLOG LEN"), Reply::Integer(0));
    entries
}

#[test]
fn entries_are_those_of_redis() {
    let (eave, redis) = (entries(Program::Eave), entries(Program::Redis));
    assert_eq!(eave, redis);
    let text = format!("{eave:?}");
    assert!(!text.contains("secret"));
}

#[test]
fn events_are_sampled() {
    for (_, mut talk) in
        Talk::both(&["--latency-monitor-threshold", "1", "--enable-debug-command", "yes"])
    {
        // What takes a while in both: a large answer.
        talk.ask(0, "DEBUG POPULATE 50000");
        let mut slow =
            || matches!(talk.ask(0, "LATENCY LATEST"), Reply::Array(all) if !all.is_empty());
        assert!(slow());
        let Reply::Array(samples) = talk.ask(0, "LATENCY HISTORY command") else {
            panic!("a list")
        };
        assert!(!samples.is_empty());
        let graph = talk.ask(0, "LATENCY GRAPH command").text().expect("a text");
        assert!(graph.starts_with("command - high "), "{graph}");
        assert_eq!(talk.ask(0, "LATENCY RESET command fast-command"), Reply::Integer(1));
        assert_eq!(talk.ask(0, "LATENCY HISTORY command"), Reply::Array(Vec::new()));
    }
}
