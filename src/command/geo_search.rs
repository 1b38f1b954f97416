//! GEOSEARCH and its older forms: the places of an area.

use std::cmp::Ordering;

use super::Argv;
use super::args::{integer, is};
use super::geo::{answer_distance, answer_place, number, place, place_of, unit};
use super::sorted_set_range;
use crate::fault::{Fault, Outcome};
use crate::keyspace::{ReadView, WriteView};
use crate::resp::Reply;
use crate::value::geo::{Form, Place, Search};
use crate::value::number::format_double;
use crate::value::partial_sort::partial_sort;
use crate::value::sorted_set::{
    Direction, Members, ScoreBound, ScoreRange, SortedSet, SortedSetRef,
};

/// Elements of a sorted set that are read before it is asked whether there are enough.
const STRIDE: usize = 256;

/// Elements that one command of the log adds.
const LOGGED: usize = 1000;

/// Which command asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// GEORADIUS and GEORADIUS_RO.
    Radius,
    /// GEORADIUSBYMEMBER and GEORADIUSBYMEMBER_RO.
    RadiusByMember,
    /// GEOSEARCH.
    Search,
    /// GEOSEARCHSTORE.
    SearchStore,
}

/// What a command asks for.
struct Request<'a> {
    centre: Option<Place>,
    form: Option<(Form, f64)>,
    order: Option<Direction>,
    /// At most so many places; 0 for all.
    count: usize,
    /// Any so many, not the nearest.
    any: bool,
    with_distance: bool,
    with_hash: bool,
    with_place: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

/// A place that was found.
struct Found {
    member: Box<[u8]>,
    score: f64,
    place: Place,
    /// In metres.
    distance: f64,
}

/// The words of a command that are not read yet.
struct Words<'a>(Argv<'a>);

impl<'a> Words<'a> {
    /// The next `N` words.
    fn take<const N: usize>(&mut self) -> Result<[&'a [u8]; N], Fault> {
        let (words, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::SYNTAX)?;
        self.0 = rest;
        Ok(*words)
    }
}

/// A length that is not negative, for which there are two complaints.
fn length(argument: &[u8], complaint: &'static str) -> Result<f64, Fault> {
    number(argument, Fault::new(complaint))
}

fn circle([radius, name]: [&[u8]; 2]) -> Result<(Form, f64), Fault> {
    let radius = length(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(Fault::new("ERR radius cannot be negative"));
    }
    Ok((Form::Circle { radius }, unit(name)?))
}

fn rectangle([width, height, name]: [&[u8]; 3]) -> Result<(Form, f64), Fault> {
    let width = length(width, "ERR need numeric width")?;
    let height = length(height, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(Fault::new("ERR height or width cannot be negative"));
    }
    Ok((Form::Rectangle { width, height }, unit(name)?))
}

fn place_of_member(set: Option<SortedSetRef<'_>>, member: &[u8]) -> Result<Option<Place>, Fault> {
    // Redis goes on reading the arguments when there is nothing to search.
    if set.is_none() {
        return Ok(None);
    }
    let place = place_of(set, member);
    place.map(Some).ok_or(Fault::new("ERR could not decode requested zset member"))
}

impl<'a> Request<'a> {
    /// Reads a command that searches `set`; whether it `may_store` is its own to say.
    fn parse(
        argv: Argv<'a>,
        asker: Asker,
        may_store: bool,
        set: Option<SortedSetRef<'_>>,
    ) -> Result<Request<'a>, Fault> {
        let mut request = Request {
            centre: None,
            form: None,
            order: None,
            count: 0,
            any: false,
            with_distance: false,
            with_hash: false,
            with_place: false,
            store: None,
            store_distance: false,
        };
        let mut words = Words(&argv[2..]);
        match asker {
            Asker::Radius => {
                let [longitude, latitude] = words.take()?;
                request.centre = Some(place(longitude, latitude)?);
                request.form = Some(circle(words.take()?)?);
            }
            Asker::RadiusByMember => {
                let [member] = words.take()?;
                request.centre = place_of_member(set, member)?;
                let form = words.take()?;
                request.form = set.map(|_| circle(form)).transpose()?;
            }
            Asker::Search => {}
            Asker::SearchStore => {
                words.take::<1>()?;
                request.store = Some(argv[1]);
            }
        }
        let mut said = Said::default();
        while let Ok([word]) = words.take() {
            let taken = match asker {
                Asker::Radius | Asker::RadiusByMember => {
                    may_store && request.take_target(word, &mut words)
                }
                Asker::Search => request.take_area(word, &mut words, &mut said, set)?,
                Asker::SearchStore if is(word, "STOREDIST") => {
                    request.store_distance = true;
                    true
                }
                Asker::SearchStore => request.take_area(word, &mut words, &mut said, set)?,
            };
            if !taken {
                request.take_option(word, &mut words)?;
            }
        }
        request.check(argv[0], asker, said)?;
        Ok(request)
    }

    /// Takes an option that every form has.
    fn take_option(&mut self, word: &[u8], words: &mut Words<'a>) -> Outcome {
        if is(word, "WITHDIST") {
            self.with_distance = true;
        } else if is(word, "WITHHASH") {
            self.with_hash = true;
        } else if is(word, "WITHCOORD") {
            self.with_place = true;
        } else if is(word, "ANY") {
            self.any = true;
        } else if is(word, "ASC") {
            self.order = Some(Direction::Ascending);
        } else if is(word, "DESC") {
            self.order = Some(Direction::Descending);
        } else if is(word, "COUNT") {
            let [count] = words.take()?;
            let count = integer(count)?;
            if count <= 0 {
                return Err(Fault::new("ERR COUNT must be > 0"));
            }
            self.count = usize::try_from(count).unwrap_or(usize::MAX);
        } else {
            return Err(Fault::SYNTAX);
        }
        Ok(())
    }

    /// Takes where the older forms store; answers whether that was it.
    fn take_target(&mut self, word: &[u8], words: &mut Words<'a>) -> bool {
        let with_distance = is(word, "STOREDIST");
        if !with_distance && !is(word, "STORE") {
            return false;
        }
        let Ok([target]) = words.take() else { return false };
        self.store = Some(target);
        self.store_distance = with_distance;
        true
    }

    /// Takes where the newer forms search; answers whether that was it.
    fn take_area(
        &mut self,
        word: &[u8],
        words: &mut Words<'a>,
        said: &mut Said,
        set: Option<SortedSetRef<'_>>,
    ) -> Result<bool, Fault> {
        if is(word, "FROMMEMBER") && !said.place {
            let [member] = words.take()?;
            self.centre = place_of_member(set, member)?;
            said.member = true;
        } else if is(word, "FROMLONLAT") && !said.member {
            let [longitude, latitude] = words.take()?;
            self.centre = Some(place(longitude, latitude)?);
            said.place = true;
        } else if is(word, "BYRADIUS") && !said.rectangle {
            self.form = Some(circle(words.take()?)?);
            said.circle = true;
        } else if is(word, "BYBOX") && !said.circle {
            self.form = Some(rectangle(words.take()?)?);
            said.rectangle = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// Refuses options that do not go together, and asks for those that are missing.
    fn check(&self, name: &[u8], asker: Asker, said: Said) -> Outcome {
        let with = self.with_distance || self.with_hash || self.with_place;
        if self.store.is_some() && with {
            let what = match asker {
                Asker::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(Fault::text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let missing = match asker {
            Asker::Radius | Asker::RadiusByMember => None,
            _ if !said.member && !said.place => Some("FROMMEMBER or FROMLONLAT"),
            _ if !said.circle && !said.rectangle => Some("BYRADIUS and BYBOX"),
            _ => None,
        };
        if let Some(missing) = missing {
            let name = String::from_utf8_lossy(name);
            return Err(Fault::text(format!(
                "ERR exactly one of {missing} can be specified for {name}"
            )));
        }
        if self.any && self.count == 0 {
            return Err(Fault::new("ERR the ANY argument requires COUNT argument"));
        }
        Ok(())
    }

    /// Finds the places, in order and as many as are asked for.
    fn find(&self, set: SortedSetRef<'_>) -> Vec<Found> {
        let (Some(centre), Some((form, unit))) = (self.centre, self.form) else {
            return Vec::new();
        };
        let search = Search { centre, form, unit };
        let most = if self.any { self.count } else { usize::MAX };
        let mut found = gather(set, &search, most);
        // The nearest ones, unless any will do.
        let nearest = (self.count > 0 && !self.any).then_some(Direction::Ascending);
        let by_distance = |a: &Found, b: &Found| -> Ordering { a.distance.total_cmp(&b.distance) };
        let wanted = if self.count > 0 { self.count.min(found.len()) } else { found.len() };
        match self.order.or(nearest) {
            Some(Direction::Ascending) => sort(&mut found, wanted, by_distance),
            Some(Direction::Descending) => sort(&mut found, wanted, |a, b| by_distance(b, a)),
            None => {}
        }
        found.truncate(wanted);
        found
    }

    /// Metres of the unit.
    fn unit(&self) -> f64 {
        self.form.map_or(1.0, |(_, unit)| unit)
    }

    fn answer(&self, found: &[Found], reply: &mut dyn Reply) {
        let parts = [self.with_distance, self.with_hash, self.with_place];
        let parts = parts.into_iter().filter(|with| *with).count();
        reply.array(found.len());
        for Found { member, score, place, distance } in found {
            if parts > 0 {
                reply.array(1 + parts);
            }
            reply.bulk(member);
            if self.with_distance {
                answer_distance(distance / self.unit(), reply);
            }
            if self.with_hash {
                reply.integer(*score as i64);
            }
            if self.with_place {
                answer_place(*place, reply);
            }
        }
    }
}

/// Puts the first `wanted` in order. Places at the same distance come as in Redis: as they were
/// found when all are wanted, and otherwise as its own sort leaves them.
fn sort(found: &mut [Found], wanted: usize, order: impl Fn(&Found, &Found) -> Ordering) {
    if wanted == found.len() {
        found.sort_by(order);
    } else {
        partial_sort(found, 0..wanted, order);
    }
}

/// What of the area of a search has been said.
#[derive(Clone, Copy, Default)]
struct Said {
    member: bool,
    place: bool,
    circle: bool,
    rectangle: bool,
}

/// The places of an area, `most` of them at most, in the order in which Redis comes across them.
fn gather(set: SortedSetRef<'_>, search: &Search, most: usize) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for range in search.ranges() {
        let bound = |score: u64, excluded| ScoreBound { score: score as f64, excluded };
        let range = ScoreRange { min: bound(range.start, false), max: bound(range.end, true) };
        let ranks = set.by_score(&range);
        for start in ranks.clone().step_by(STRIDE) {
            if found.len() >= most {
                return found;
            }
            let end = ranks.end.min(start + STRIDE);
            set.visit(start..end, Direction::Ascending, |member, score| {
                let place = Place::of_score(score);
                let reached = search.reaches(place).filter(|_| found.len() < most);
                if let Some(distance) = reached {
                    found.push(Found { member: member.into(), score, place, distance });
                }
            });
        }
    }
    found
}

/// Searches the first key.
///
/// # Errors
/// What is wrong with the arguments, or `WRONGTYPE`.
pub(super) fn read(
    view: &ReadView<'_, '_>,
    argv: Argv<'_>,
    asker: Asker,
    reply: &mut dyn Reply,
) -> Outcome {
    let set = view.collection::<Members>(argv[1])?;
    let request = Request::parse(argv, asker, false, set)?;
    request.answer(&set.map(|set| request.find(set)).unwrap_or_default(), reply);
    Ok(())
}

/// Searches `source`, and stores what is found if that is asked for.
///
/// # Errors
/// What is wrong with the arguments, or `WRONGTYPE`.
pub(super) fn read_or_store(
    view: &mut WriteView<'_, '_>,
    argv: Argv<'_>,
    source: &[u8],
    asker: Asker,
    reply: &mut dyn Reply,
) -> Outcome {
    let read = view.as_read();
    let set = read.collection::<Members>(source)?;
    let request = Request::parse(argv, asker, true, set)?;
    let found = set.map(|set| request.find(set)).unwrap_or_default();
    match request.store {
        Some(target) => {
            let stored = store(view, target, &request, found, asker);
            reply.integer(stored as i64);
        }
        None => request.answer(&found, reply),
    }
    Ok(())
}

/// Makes a key the sorted set of what was found; answers how many there are.
fn store(
    view: &mut WriteView<'_, '_>,
    target: &[u8],
    request: &Request<'_>,
    found: Vec<Found>,
    asker: Asker,
) -> usize {
    let limits = view.around.config.encodings.sorted_set;
    let pairs: Vec<(Box<[u8]>, f64)> = found
        .into_iter()
        .map(|found| {
            let distance = found.distance / request.unit();
            (found.member, if request.store_distance { distance } else { found.score })
        })
        .collect();
    let set = SortedSet::from_pairs(pairs.iter().map(|(member, score)| (member, *score)), limits);
    let event = match asker {
        Asker::SearchStore => "geosearchstore",
        _ => "georadiusstore",
    };
    let was_there = view.exists(target);
    let stored = sorted_set_range::store(view, target, set, event);
    if view.effects.is_written() {
        log(view, target, was_there, &pairs);
    }
    stored
}

/// Says it in the log with scores, so that no other arithmetic comes to other ones.
fn log(view: &mut WriteView<'_, '_>, key: &[u8], was_there: bool, pairs: &[(Box<[u8]>, f64)]) {
    if was_there {
        view.reword(&[b"DEL", key]);
    }
    for pairs in pairs.chunks(LOGGED) {
        let scores: Vec<String> = pairs.iter().map(|(_, score)| format_double(*score)).collect();
        let mut words: Vec<&[u8]> = vec![b"ZADD", key];
        for (score, (member, _)) in scores.iter().zip(pairs) {
            words.extend([score.as_bytes(), member]);
        }
        view.reword(&words);
    }
}
