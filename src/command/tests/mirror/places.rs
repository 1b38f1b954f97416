//! Places, to the last digit.

use super::{Mirror, Random, Words, line};

/// A coordinate: anywhere, near an edge of the world, or near a few places.
fn coordinate(random: &mut Random, edge: f64) -> f64 {
    let unit = random.next() as f64 / u64::MAX as f64 * 2.0 - 1.0;
    match random.below(4) {
        0 => unit * edge,
        1 => edge * unit.signum() * (1.0 - unit.abs() / 1000.0),
        2 => unit * 0.01 + 10.0,
        _ => ((unit * 5.0).trunc() * edge / 5.5) + unit * 0.3,
    }
}

fn point(random: &mut Random) -> String {
    format!("{} {}", coordinate(random, 180.0), coordinate(random, 85.05112878))
}

fn metres(random: &mut Random) -> f64 {
    let digits = random.below(8) as i32;
    (random.below(100_000) as f64 / 1000.0) * 10f64.powi(digits - 2)
}

fn geo_command(random: &mut Random, members: u64) -> Words {
    let member = random.below(members);
    let centre = match random.below(2) {
        0 => format!("FROMLONLAT {}", point(random)),
        _ => format!("FROMMEMBER m{member}"),
    };
    let unit = random.one_of(&["m", "KM", "ft", "mi"]);
    let area = match random.below(2) {
        0 => format!("BYRADIUS {} {unit}", metres(random)),
        _ => format!("BYBOX {} {} {unit}", metres(random), metres(random)),
    };
    let order = random.one_of(&["", "", " ASC", " DESC"]);
    let count = match random.below(4) {
        0 => format!(" COUNT {}", 1 + random.below(20)),
        1 => format!(" COUNT {} ANY", 1 + random.below(20)),
        _ => String::new(),
    };
    let with =
        random.one_of(&["", " WITHDIST", " WITHCOORD WITHHASH", " WITHHASH WITHDIST WITHCOORD"]);
    match random.below(10) {
        0 => line(&format!("GEODIST g m{member} m{} {unit}", random.below(members))),
        1 => line(&format!("GEOPOS g m{member} m{} none", random.below(members))),
        2 => line(&format!("GEOHASH g m{member} m{} none", random.below(members))),
        3 => line(&format!(
            "GEOADD g{} {} m{member}",
            random.one_of(&["", " NX", " XX CH"]),
            point(random)
        )),
        4 => line(&format!(
            "GEORADIUS g {} {} {unit}{with}{order}{count}",
            point(random),
            metres(random)
        )),
        5 => line(&format!(
            "GEORADIUSBYMEMBER_RO g m{member} {} {unit}{order}{count}{with}",
            metres(random)
        )),
        6 => line(&format!(
            "GEOSEARCHSTORE s g {centre} {area}{count}{}",
            random.one_of(&["", " STOREDIST"])
        )),
        _ => line(&format!("GEOSEARCH g {centre} {area}{with}{order}{count}")),
    }
}

#[test]
fn places_to_the_last_digit_and_in_the_same_order() {
    let mut mirror = Mirror::start("geo");
    for members in [5, 100, 1000, 3000] {
        let random = &mut mirror.random;
        let mut commands = vec![line("DEL g")];
        for member in 0..members {
            commands.push(line(&format!("GEOADD g {} m{member}", point(random))));
        }
        for _ in 0..2000 {
            commands.push(geo_command(random, members));
        }
        commands.extend(["ZRANGE g 0 -1 WITHSCORES", "ZRANGE s 0 -1 WITHSCORES"].map(line));
        mirror.same(&commands);
    }
}

/// Many members at few places, so that most distances are the same.
#[test]
fn members_at_one_place_in_the_same_order() {
    let mut mirror = Mirror::start("geo-ties");
    for members in [6, 7, 8, 39, 40, 41, 100, 500, 2000] {
        for places in [1, 2, 5, 30] {
            let random = &mut mirror.random;
            let mut commands = vec![line("DEL g")];
            for member in 0..members {
                let at = random.below(places);
                commands.push(line(&format!("GEOADD g {at} {at} {}-{member}", random.below(1000))));
            }
            for _ in 0..30 {
                let order = random.one_of(&["", " ASC", " DESC"]);
                let count = 1 + random.below(members + 2);
                commands.push(line(&format!(
                    "GEOSEARCH g FROMLONLAT {} 0 BYRADIUS 9000 km{order} COUNT {count}",
                    random.below(places)
                )));
            }
            mirror.same(&commands);
        }
    }
}

/// Scores that no place has: what ZADD can store.
#[test]
fn any_score_is_a_place() {
    let mut mirror = Mirror::start("geo-any");
    let mut commands = Vec::new();
    for at in 0..3000 {
        let random = &mut mirror.random;
        let score = match random.below(4) {
            0 => f64::from_bits(random.next()),
            1 => random.next() as f64,
            2 => -(random.below(1 << 60) as f64),
            _ => (random.next() >> 12) as f64,
        };
        if score.is_nan() {
            continue;
        }
        commands.push(line(&format!("ZADD z {score:e} m{at}")));
        commands.push(line(&format!("GEOPOS z m{at}")));
        commands.push(line(&format!("GEOHASH z m{at}")));
        commands.push(line(&format!("GEODIST z m{at} m0 km")));
    }
    mirror.same(&commands);
}
