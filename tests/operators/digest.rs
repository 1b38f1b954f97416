//! DEBUG DIGEST: equal for the same data, whatever it was made by.

use crate::support::reply::Reply;
use crate::support::server::Program;
use crate::talk::Talk;

/// A generator of the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn word(&mut self) -> String {
        match self.roll(4) {
            0 => self.roll(2_000_000).to_string(),
            1 => format!("-{}", self.roll(100)),
            2 => "long".repeat(self.roll(40) as usize + 1),
            _ => format!("w{}", self.roll(50)),
        }
    }

    fn command(&mut self) -> Vec<String> {
        let word = |text: &str| text.to_owned();
        let kind = self.roll(8);
        let key = format!("{kind}:{}", self.roll(20));
        match kind {
            0 => vec![word("SET"), key, self.word()],
            1 => vec![word("RPUSH"), key, self.word(), self.word()],
            2 => vec![word("SADD"), key, self.word(), self.word()],
            3 => {
                let score = self.roll(1_000_000) as f64 / 7.0 - 50_000.0;
                vec![word("ZADD"), key, format!("{score}"), self.word()]
            }
            4 => vec![word("HSET"), key, self.word(), self.word()],
            5 => {
                let id = format!("{}-{}", 1000 + self.0 % 7, self.roll(1 << 30));
                vec![word("XADD"), key, id, self.word(), self.word()]
            }
            6 => vec![word("SELECT"), self.roll(3).to_string()],
            _ => {
                let kind = self.roll(6);
                vec![word("EXPIREAT"), format!("{kind}:{}", self.roll(20)), word("9999999999")]
            }
        }
    }
}

fn digests(program: Program, seed: u64) -> Vec<Reply> {
    let mut talk = Talk::with(program, &["--enable-debug-command", "yes"]);
    let mut dice = Dice(seed);
    let mut digests = vec![talk.ask(0, "DEBUG DIGEST")];
    for round in 0..20 {
        for _ in 0..100 {
            talk.connection(0).call(&dice.command()).expect("the server answers");
        }
        digests.push(talk.ask(0, "DEBUG DIGEST"));
        for kind in 0..6 {
            digests.push(talk.ask(0, &format!("DEBUG DIGEST-VALUE {kind}:{round} {kind}:0 none")));
        }
    }
    digests
}

#[test]
fn digests_are_those_of_redis() {
    for seed in [1, 2, 3] {
        let (eave, redis) = (digests(Program::Eave, seed), digests(Program::Redis, seed));
        for (at, (ours, theirs)) in eave.iter().zip(&redis).enumerate() {
            assert_eq!(ours, theirs, "seed {seed}, digest {at}");
        }
        assert_ne!(eave[0], eave[1]);
    }
}

#[test]
fn who_may_ask_is_a_setting() {
    for (access, allowed) in [("no", false), ("local", true), ("yes", true)] {
        for (_, mut talk) in [Program::Eave, Program::Redis]
            .map(|program| (program, Talk::with(program, &["--enable-debug-command", access])))
        {
            let reply = talk.ask(0, "DEBUG LOG hello");
            assert_eq!(matches!(reply, Reply::Status(_)), allowed, "{reply:?}");
        }
    }
}

#[test]
fn a_sleeper_keeps_nobody_from_working() {
    let mut talk =
        Talk::with(Program::Eave, &["--enable-debug-command", "yes", "--io-threads", "1"]);
    talk.send(1, "DEBUG SLEEP 0.3");
    talk.send(1, "PING");
    assert_eq!(talk.ask(0, "PING"), Reply::Status("PONG".to_owned()));
    assert!(talk.is_silent(1));
    assert_eq!(talk.hear(1), crate::talk::ok());
    assert_eq!(talk.hear(1), Reply::Status("PONG".to_owned()));
}
