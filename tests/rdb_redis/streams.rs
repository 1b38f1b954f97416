//! Streams: payloads of Redis through Eave and back, with all that XINFO tells of them.

use eave::archive::{self, Sink};
use eave::keyspace::NEVER;
use eave::rdb::{Checksum, Compression, Encode, Limits, Value, dump};

use crate::data::Noise;
use crate::server::{Dir, Redis, Reply, text};

struct Payload(Vec<u8>);

impl Sink for Payload {
    fn take<V: Encode>(&mut self, value: V) {
        dump::write(&mut self.0, value, Compression::None);
    }
}

/// A payload as Eave writes it, having read it.
fn through_eave(payload: &[u8]) -> Vec<u8> {
    let value = dump::read(payload, &Limits::default()).unwrap();
    let entry = archive::load(b"s", value, NEVER, &Default::default()).unwrap();
    let mut payload = Payload(Vec::new());
    archive::save(&entry, &mut payload);
    payload.0
}

/// Commands that come to streams of every shape.
fn commands(seed: u64) -> Vec<String> {
    let mut noise = Noise(seed);
    let mut commands = Vec::new();
    let mut ms = 1;
    for _ in 0..400 {
        ms += noise.below(300) as u64;
        let (id, other) = (format!("{ms}-{}", noise.below(9)), noise.below(ms as usize));
        let (group, consumer) = (noise.below(3), noise.below(4));
        let value = ["x".repeat(noise.below(200)), (noise.next() as i64 >> 20).to_string()];
        let value = &value[noise.below(2)];
        commands.push(match noise.below(12) {
            0..=4 => format!("XADD s {id} field {value}"),
            5 => format!("XADD s {id} a {value} b 1 -5 {}", noise.below(1000)),
            6 => format!("XDEL s {other}-0 {other}-1 {other}-2 {other}-3"),
            7 => format!("XGROUP CREATE s group{group} {other} MKSTREAM"),
            8..=9 => format!("XREADGROUP GROUP group{group} c{consumer} COUNT 9 STREAMS s >"),
            10 => format!("XAUTOCLAIM s group{group} c{consumer} 0 {other} COUNT 2"),
            _ => format!("XTRIM s MAXLEN ~ {}", 100 + noise.below(200)),
        });
    }
    commands
}

fn info(redis: &mut Redis, key: &str) -> Reply {
    redis.run(&format!("XINFO STREAM {key} FULL COUNT 0"))
}

#[test]
fn streams_go_through_unchanged() {
    let mut redis = Redis::start(Dir::new("streams"), &["--rdbcompression", "no"]);
    redis.run("CONFIG SET sanitize-dump-payload yes");
    for seed in 1..12 {
        redis.run("DEL s");
        for command in commands(seed) {
            let words: Vec<_> = command.split(' ').map(str::as_bytes).collect();
            // A group may not be there, an id may be too small.
            redis.call(&words);
        }
        let theirs = text(&redis.run("DUMP s"));
        let ours = through_eave(&theirs);
        // Not byte for byte: an id that is a short number is stored shorter than Redis does.
        assert_eq!(redis.restore(&ours), Reply::Text(b"OK".to_vec()), "seed {seed}");
        assert_eq!(info(&mut redis, "restored"), info(&mut redis, "s"), "seed {seed}");
        assert_eq!(through_eave(&ours), ours, "seed {seed}");
        // Nodes are as full as they were: what follows goes where it would have gone.
        redis.run("XADD s 99999999-1 a b");
        redis.run("XADD restored 99999999-1 a b");
        assert_eq!(info(&mut redis, "restored"), info(&mut redis, "s"), "seed {seed}");
    }
}

#[test]
fn an_empty_stream_goes_through() {
    let mut redis = Redis::start(Dir::new("empty-stream"), &[]);
    redis.run("XADD s 5-5 a b");
    redis.run("XDEL s 5-5");
    redis.run("XGROUP CREATE s g 3");
    redis.run("XGROUP CREATECONSUMER s g c");
    let ours = through_eave(&text(&redis.run("DUMP s")));
    assert_eq!(redis.restore(&ours), Reply::Text(b"OK".to_vec()));
    assert_eq!(info(&mut redis, "restored"), info(&mut redis, "s"));
}

/// What Eave takes of damaged payloads, Redis takes too; Eave is stricter.
#[test]
fn damaged_streams_are_refused_or_the_same() {
    let mut redis = Redis::start(Dir::new("damaged-streams"), &["--sanitize-dump-payload", "yes"]);
    for command in commands(7).iter().take(60) {
        let words: Vec<_> = command.split(' ').map(str::as_bytes).collect();
        redis.call(&words);
    }
    let payload = text(&redis.run("DUMP s"));
    let body = &payload[..payload.len() - 10];
    let mut noise = Noise(11);
    let (mut taken, mut refused) = (0, 0);
    for round in 0..2000 {
        let mut damaged = body.to_vec();
        let at = 1 + noise.below(damaged.len() - 1);
        damaged[at] = noise.next() as u8;
        damaged.extend_from_slice(&10u16.to_le_bytes());
        damaged.extend_from_slice(&Checksum::of(&damaged).to_le_bytes());
        match dump::read(&damaged, &Limits::default()) {
            Err(_) => refused += 1,
            Ok(Value::Stream(_)) => {
                taken += 1;
                let ours = through_eave(&damaged);
                assert_eq!(redis.restore(&ours), Reply::Text(b"OK".to_vec()), "round {round}");
            }
            Ok(other) => panic!("{other:?}"),
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} taken, {refused} refused");
}
