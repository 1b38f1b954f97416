//! Places: sorted sets whose scores are geohashes.
//!
//! Whatever ZADD can store is a place here. What searches is in `geo_search`.

use super::args::is;
use super::geo_search::{Asker, read, read_or_store};
use super::sorted_set_add::{Conditions, add};
use super::{Argv, Command, Family, Flags, Group, Keys, Positions, Run};
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::value::geo::Place;
use crate::value::number::{format_fixed, parse_double};
use crate::value::sorted_set::{Members, SortedSetRef};

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        complexity: "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
        ..GEO.row(
            "geoadd",
            "key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]",
            "Adds one or more members to a geospatial index. The key is created if it doesn't exist.",
            "3.2.0",
            -5,
            Flags::DENYOOM,
            Run::Write(geoadd),
        )
    },
    Command {
        complexity: "O(1) for each member requested.",
        ..GEO.row(
            "geopos",
            "key [member [member ...]]",
            "Returns the longitude and latitude of members from a geospatial index.",
            "3.2.0",
            -2,
            Flags::empty(),
            Run::Read(geopos),
        )
    },
    Command {
        complexity: "O(1)",
        ..GEO.row(
            "geodist",
            "key member1 member2 [M | KM | FT | MI]",
            "Returns the distance between two members of a geospatial index.",
            "3.2.0",
            -4,
            Flags::empty(),
            Run::Read(geodist),
        )
    },
    Command {
        complexity: "O(1) for each member requested.",
        ..GEO.row(
            "geohash",
            "key [member [member ...]]",
            "Returns members from a geospatial index as geohash strings.",
            "3.2.0",
            -2,
            Flags::empty(),
            Run::Read(geohash),
        )
    },
    GEO.row(
        "geosearch",
        "key <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]",
        "Queries a geospatial index for members inside an area of a box or a circle.",
        "6.2.0",
        -7,
        Flags::empty(),
        Run::Read(|view, argv, reply| read(view, argv, Asker::Search, reply)),
    ),
    Command {
        keys: Keys::TWO,
        ..GEO.row(
            "geosearchstore",
            "destination source <FROMMEMBER member | FROMLONLAT longitude latitude> <BYRADIUS radius <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI>> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]",
            "Queries a geospatial index for members inside an area of a box or a circle, and stores the result.",
            "6.2.0",
            -8,
            Flags::DENYOOM,
            Run::Write(|view, argv, reply| read_or_store(view, argv, argv[2], Asker::SearchStore, reply)),
        )
    },
    Command {
        keys: Keys::Found { range: (1, 1, 1), find: |argv| stored(argv, 6) },
        ..GEO.row(
            "georadius",
            "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
            "Queries a geospatial index for members within a distance from a coordinate, optionally stores the result.",
            "3.2.0",
            -6,
            Flags::DENYOOM.union(Flags::MOVABLE_KEYS),
            Run::Write(|view, argv, reply| read_or_store(view, argv, argv[1], Asker::Radius, reply)),
        )
    },
    GEO.row(
        "georadius_ro",
        "key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        "Returns members from a geospatial index that are within a distance from a coordinate.",
        "3.2.10",
        -6,
        Flags::empty(),
        Run::Read(|view, argv, reply| read(view, argv, Asker::Radius, reply)),
    ),
    Command {
        keys: Keys::Found { range: (1, 1, 1), find: |argv| stored(argv, 5) },
        ..GEO.row(
            "georadiusbymember",
            "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC] [STORE key | STOREDIST key]",
            "Queries a geospatial index for members within a distance from a member, optionally stores the result.",
            "3.2.0",
            -5,
            Flags::DENYOOM.union(Flags::MOVABLE_KEYS),
            Run::Write(|view, argv, reply| read_or_store(view, argv, argv[1], Asker::RadiusByMember, reply)),
        )
    },
    GEO.row(
        "georadiusbymember_ro",
        "key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]] [ASC | DESC]",
        "Returns members from a geospatial index that are within a distance from a member.",
        "3.2.10",
        -5,
        Flags::empty(),
        Run::Read(|view, argv, reply| read(view, argv, Asker::RadiusByMember, reply)),
    ),
];

/// What the rows of this family have in common.
const GEO: Family = Family {
    group: Group::Geo,
    complexity: "O(N+log(M)) where N is the number of elements in the grid-aligned bounding box area around the shape provided as the filter and M is the number of items inside the shape",
};

/// The key that is searched, and those behind STORE and STOREDIST among the options, which
/// begin at `first`.
fn stored(argv: Argv<'_>, first: usize) -> Positions {
    let words = argv.iter().enumerate().skip(first);
    let stores = words.filter(|(_, word)| is(word, "STORE") || is(word, "STOREDIST"));
    let targets = stores.map(|(at, _)| at + 1).filter(|at| *at < argv.len());
    std::iter::once(1).chain(targets).collect()
}

/// The number that an argument is.
///
/// # Errors
/// `complaint`, when it is none.
pub fn number(argument: &[u8], complaint: Fault) -> Result<f64, Fault> {
    parse_double(argument).ok_or(complaint)
}

/// The place of two arguments.
///
/// # Errors
/// When they are no numbers, or beyond the range of coordinates.
pub fn place(longitude: &[u8], latitude: &[u8]) -> Result<Place, Fault> {
    let longitude = number(longitude, Fault::NOT_FLOAT)?;
    let latitude = number(latitude, Fault::NOT_FLOAT)?;
    Place::new(longitude, latitude).ok_or_else(|| {
        Fault::text(format!("ERR invalid longitude,latitude pair {longitude:.6},{latitude:.6}"))
    })
}

/// Metres of the unit that an argument names.
///
/// # Errors
/// When it names none.
pub fn unit(argument: &[u8]) -> Result<f64, Fault> {
    [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)]
        .into_iter()
        .find(|(name, _)| is(argument, name))
        .map(|(_, metres)| metres)
        .ok_or(Fault::new("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// Answers a distance, of four decimals. As in Redis they are rounded once the distance is
/// multiplied, which can turn what lies next to a tie into one; ties go to the even digit.
pub fn answer_distance(distance: f64, reply: &mut dyn Reply) {
    let scaled = (distance * 10_000.0).round_ties_even() as u64;
    reply.bulk(format!("{}.{:04}", scaled / 10_000, scaled % 10_000).as_bytes());
}

/// Answers longitude and latitude.
pub fn answer_place(place: Place, reply: &mut dyn Reply) {
    reply.array(2);
    reply.decimal(&format_fixed(place.longitude));
    reply.decimal(&format_fixed(place.latitude));
}

fn geoadd(view: &mut WriteView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let key = argv[1];
    let mut conditions = Conditions::default();
    let options = argv[2..].iter().take_while(|word| {
        let options =
            [("NX", &mut conditions.nx), ("XX", &mut conditions.xx), ("CH", &mut conditions.ch)];
        let option = options.into_iter().find(|(name, _)| is(word, name));
        option.map(|(_, set)| *set = true).is_some()
    });
    let first = 2 + options.count();
    let elements = &argv[first..];
    if elements.is_empty() || !elements.len().is_multiple_of(3) || (conditions.nx && conditions.xx)
    {
        return Err(Fault::SYNTAX);
    }
    let scored = elements
        .chunks_exact(3)
        .map(|element| Ok((place(element[0], element[1])?.score(), element[2])));
    let scored: Vec<(u64, &[u8])> = scored.collect::<Result<_, Fault>>()?;
    let pairs: Vec<(f64, &[u8])> =
        scored.iter().map(|(score, member)| (*score as f64, *member)).collect();
    let done = add(view, key, conditions, &pairs)?;
    if done.added + done.updated > 0 && view.effects.is_written() {
        log(view, key, &argv[2..first], &scored);
    }
    reply.integer((done.added + if conditions.ch { done.updated } else { 0 }) as i64);
    Ok(())
}

/// Says it in the log with scores, so that no other arithmetic comes to another one.
fn log(view: &mut WriteView<'_, '_>, key: &[u8], options: Argv<'_>, scored: &[(u64, &[u8])]) {
    let scores: Vec<String> = scored.iter().map(|(score, _)| score.to_string()).collect();
    let mut words: Vec<&[u8]> = vec![b"ZADD", key];
    words.extend(options);
    for (score, (_, member)) in scores.iter().zip(scored) {
        words.extend([score.as_bytes(), *member]);
    }
    view.reword(&words);
}

/// The place of a member.
pub fn place_of(set: Option<SortedSetRef<'_>>, member: &[u8]) -> Option<Place> {
    set.and_then(|set| set.score(member)).map(Place::of_score)
}

fn geopos(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let set = view.collection::<Members>(argv[1])?;
    reply.array(argv.len() - 2);
    for member in &argv[2..] {
        match place_of(set, member) {
            Some(place) => answer_place(place, reply),
            None => reply.null_array(),
        }
    }
    Ok(())
}

fn geodist(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let metres = match &argv[4..] {
        [] => 1.0,
        [name] => unit(name)?,
        _ => return Err(Fault::SYNTAX),
    };
    let set = view.collection::<Members>(argv[1])?;
    match (place_of(set, argv[2]), place_of(set, argv[3])) {
        (Some(one), Some(other)) => answer_distance(one.distance(other) / metres, reply),
        _ => reply.null(),
    }
    Ok(())
}

fn geohash(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let set = view.collection::<Members>(argv[1])?;
    reply.array(argv.len() - 2);
    for member in &argv[2..] {
        match place_of(set, member) {
            Some(place) => reply.bulk(&place.geohash()),
            None => reply.null(),
        }
    }
    Ok(())
}
