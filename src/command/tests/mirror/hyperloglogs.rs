//! HyperLogLogs, byte for byte.

use super::{Mirror, Random, Reply, Words, line};

/// An element of one of three sizes of sets, some longer than the words of the hash.
fn element(random: &mut Random) -> Vec<u8> {
    let most = [30, 3000, 1 << 40][random.below(3) as usize];
    let number = random.below(most);
    let mut text = number.to_string();
    let longest = [1, 1, 30][random.below(3) as usize];
    text += &"x".repeat(random.below(longest) as usize);
    text.into_bytes()
}

fn pf_command(random: &mut Random) -> Words {
    let key = random.one_of(&["a", "b", "c", "d"]);
    match random.below(12) {
        0 => line(&format!("PFCOUNT {key}")),
        1 => line(&format!("PFCOUNT {key} missing a {}", random.one_of(&["b", "c"]))),
        2 => line(&format!(
            "PFMERGE {} {key} {}",
            random.one_of(&["d", "e", "f"]),
            random.one_of(&["a", "b"])
        )),
        3 => line(&format!("PFDEBUG ENCODING {key}")),
        4 => line(&format!("PFDEBUG DECODE {key}")),
        5 if random.below(20) == 0 => line(&format!("DEL {key}")),
        _ => {
            let mut add = line(&format!("PFADD {key}"));
            let most = [2, 5, 60][random.below(3) as usize];
            add.extend((0..random.below(most)).map(|_| element(random)));
            add
        }
    }
}

#[test]
fn hyperloglogs_byte_for_byte() {
    let mut mirror = Mirror::start("hll");
    for limit in [3000, 120, 0, 12_000] {
        mirror.bench.config.encodings.hyperloglog.sparse_bytes = limit;
        let set = format!("CONFIG SET hll-sparse-max-bytes {limit}");
        let set: Vec<&[u8]> = set.split(' ').map(str::as_bytes).collect();
        assert_eq!(mirror.redis.ask(&[set]), [Reply::Text(b"OK".to_vec())]);
        let random = &mut mirror.random;
        let mut commands: Vec<Words> =
            ["a", "b", "c", "d", "e", "f"].map(|key| line(&format!("DEL {key}"))).into();
        for _ in 0..600 {
            commands.push(pf_command(random));
            commands.push(line(&format!("GET {}", random.one_of(&["a", "b", "c", "d", "e", "f"]))));
        }
        let inspect =
            ["PFDEBUG GETREG a", "PFDEBUG TODENSE b", "GET b", "PFCOUNT b", "PFCOUNT c", "GET c"];
        commands.extend(inspect.map(line));
        mirror.same(&commands);
    }
}

/// What only a client can have written: registers of any value.
#[test]
fn estimates_of_any_registers() {
    let mut mirror = Mirror::start("hll-any");
    for round in 0..60 {
        let random = &mut mirror.random;
        let mut bytes = b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80".to_vec();
        // Alike in all registers, or noise up to some value.
        let most = 1 + random.below(63);
        let mut value = round;
        for _ in 0..4096 {
            let mut group = 0;
            for place in 0..4 {
                if round > 51 {
                    value = random.below(most);
                }
                group |= (value as u32) << (6 * place);
            }
            bytes.extend_from_slice(&group.to_le_bytes()[..3]);
        }
        let set = vec![b"SET".to_vec(), b"k".to_vec(), bytes];
        mirror.same(&[
            set,
            line("PFCOUNT k"),
            line("GET k"),
            line("PFCOUNT k k"),
            line("PFDEBUG GETREG k"),
        ]);
    }
}
