//! Bitmaps and bitfields.

use super::{Mirror, Random, Words, line};

/// A string in which long runs are as likely as noise.
fn string(random: &mut Random) -> Vec<u8> {
    let longest = [3, 9, 70][random.below(3) as usize];
    let mut byte = 0;
    (0..random.below(longest))
        .map(|_| {
            if random.below(4) == 0 {
                byte = [0, 0xff, random.next() as u8][random.below(3) as usize];
            }
            byte
        })
        .collect()
}

fn bit_command(random: &mut Random) -> Words {
    let key = random.one_of(&["a", "b", "c", "missing"]);
    let unit = random.one_of(&["", " BYTE", " BIT"]);
    let (a, b) = (random.integer(), random.integer());
    let (bit, at) = (random.below(2), random.below(700));
    match random.below(8) {
        0 => line(&format!("BITCOUNT {key} {a} {b}{unit}")),
        1 => line(&format!("BITCOUNT {key}")),
        2 => line(&format!("BITPOS {key} {bit} {a} {b}{unit}")),
        3 => line(&format!("BITPOS {key} {bit} {a}")),
        4 => line(&format!("BITPOS {key} {bit}")),
        5 => line(&format!("SETBIT {} {at} {bit}", random.one_of(&["a", "b", "c"]))),
        6 => line(&format!("GETBIT {key} {at}")),
        _ => {
            let operation = random.one_of(&["AND", "OR", "XOR"]);
            let (other, to) = (random.one_of(&["a", "b", "c"]), random.one_of(&["a", "b", "d"]));
            line(&format!("BITOP {operation} {to} {key} {other} {}", random.one_of(&["c", "e"])))
        }
    }
}

fn bitfield(random: &mut Random) -> Words {
    let mut command = "BITFIELD f".to_owned();
    for _ in 0..1 + random.below(4) {
        let width = match random.below(3) {
            0 => format!("u{}", 1 + random.below(63)),
            _ => format!("i{}", 1 + random.below(64)),
        };
        let place = format!("{width} {}{}", random.one_of(&["", "#"]), random.below(20));
        let overflow =
            random.one_of(&["", "", "OVERFLOW SAT ", "OVERFLOW FAIL ", "OVERFLOW WRAP "]);
        command += &match random.below(3) {
            0 => format!(" {overflow}GET {place}"),
            1 => format!(" {overflow}SET {place} {}", random.integer()),
            _ => format!(" {overflow}INCRBY {place} {}", random.integer()),
        };
    }
    line(&command)
}

#[test]
fn bits_of_strings() {
    let mut mirror = Mirror::start("bits");
    for _ in 0..300 {
        let random = &mut mirror.random;
        let mut commands = Vec::new();
        for key in ["a", "b", "c", "f"] {
            let mut set = line(&format!("SET {key}"));
            set.push(string(random));
            commands.push(set);
        }
        commands.push(line(&format!("SET e {}", random.integer())));
        for _ in 0..40 {
            commands.push(bit_command(random));
            commands.push(bitfield(random));
        }
        commands
            .extend(["GET a", "GET b", "GET c", "GET d", "GET f", "OBJECT ENCODING d"].map(line));
        mirror.same(&commands);
    }
}
