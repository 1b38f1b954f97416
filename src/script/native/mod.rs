//! Scripts of rate-limit libraries, known by the SHA-1 of their text and run by Rust code.
//!
//! Such a script answers and stores what its Lua would, bit for bit, or it says that it is not
//! sure before it has changed anything: then the engine goes on as if nothing here knew the
//! script. Sure it is of what these libraries really send: so many keys and arguments, whole
//! numbers of moderate size, keys of the right type or none. Everything else (a text where a
//! number belongs, a fraction, another type) is left to Lua, whose errors name its lines.
//!
//! The arithmetic is Lua's: doubles. Whole numbers up to `PLAIN` are exact in them, and so are
//! their sums, quotients rounded down and remainders, so most of it is done in integers here; a
//! share of a window is a fraction, and computed in doubles, in the order in which the script
//! does.
//!
//! The texts themselves are others' and not in this repository: a test takes them from the
//! published packages and compares (`tests/clients/js/native-scripts.test.mjs`). Left out on
//! purpose: the script that resets a limiter and those of analytics, whose time goes into
//! walking keys and members, which Lua does not make slower.

mod bucket;
mod deny;
mod fixed;
mod multi;
mod sliding;
mod table;

use smallvec::SmallVec;

pub use table::find;

use super::registry::Sha;
use crate::command::Argv;
use crate::resp::Reply;
use crate::value::number::parse_integer;

/// What the native form is not sure of: Lua decides. Nothing has been changed or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsure;

/// Keys that a native script has at most.
pub const KEYS: usize = 3;

/// Sizes up to which numbers are taken: sums of a few of them are exact in a double.
const PLAIN: u64 = 1 << 50;

/// Milliseconds of the longest window: some 300 years. Expiries within it never overflow.
const LONGEST_MS: i64 = 10_000_000_000_000;

/// The commands that native scripts stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// GET.
    Get,
    /// INCRBY.
    IncrBy,
    /// PEXPIRE.
    PExpire,
    /// HMGET.
    HMGet,
    /// HGETALL.
    HGetAll,
    /// HSET.
    HSet,
    /// SMISMEMBER.
    SMIsMember,
    /// TTL.
    Ttl,
    /// SETEX.
    SetEx,
}

impl Inner {
    /// How many there are.
    pub const COUNT: usize = Inner::SetEx as usize + 1;

    /// Each by its name, in order.
    pub const NAMES: [&str; Inner::COUNT] =
        ["GET", "INCRBY", "PEXPIRE", "HMGET", "HGETALL", "HSET", "SMISMEMBER", "TTL", "SETEX"];

    /// Its name, as the scripts write it.
    pub fn name(self) -> &'static str {
        Inner::NAMES[self as usize]
    }

    /// Whether it changes its key.
    pub fn writes(self) -> bool {
        matches!(self, Inner::IncrBy | Inner::PExpire | Inner::HSet | Inner::SetEx)
    }
}

/// What a native script does to its keys; they are named by their place among KEYS, from 0. What
/// reads comes before what writes in every script, so nothing is unsure once something has
/// changed.
pub trait Ground {
    /// The whole number under a key (GET).
    ///
    /// # Errors
    /// When the key holds something else.
    fn number(&mut self, key: usize) -> Result<Option<i64>, Unsure>;

    /// Answers the string under a key (GET), or 0 if there is none.
    ///
    /// # Errors
    /// When the key holds something else.
    fn answer_text(&mut self, key: usize, reply: &mut dyn Reply) -> Result<(), Unsure>;

    /// The whole numbers in fields of a hash (HMGET).
    ///
    /// # Errors
    /// When the key is no hash, or a field no whole number.
    fn fields(&mut self, key: usize, names: &[&[u8]]) -> Result<Numbers, Unsure>;

    /// All fields and values of a hash, with the sum of the values (HGETALL).
    ///
    /// # Errors
    /// When the key is no hash.
    fn pairs(&mut self, key: usize) -> Result<Pairs, Unsure>;

    /// Which of `members` a set has (SMISMEMBER).
    ///
    /// # Errors
    /// When the key is no set.
    fn are_members(&mut self, key: usize, members: Argv<'_>)
    -> Result<SmallVec<[bool; 8]>, Unsure>;

    /// What TTL says of a key.
    fn seconds_left(&mut self, key: usize) -> i64;

    /// Adds to the number under a key, which has been looked at before or is to be looked at now
    /// (INCRBY).
    ///
    /// # Errors
    /// When the key holds something else.
    fn add(&mut self, key: usize, amount: i64) -> Result<i64, Unsure>;

    /// Sets fields of a hash (HSET).
    ///
    /// # Errors
    /// When the key holds something else.
    fn set_fields(&mut self, key: usize, pairs: &[&[u8]]) -> Result<(), Unsure>;

    /// Has a key expire after a time that `Work::window` has let pass, or a few of them
    /// (PEXPIRE).
    fn expire(&mut self, key: usize, ms: i64);

    /// Makes a key a string for some seconds (SETEX).
    fn set_for(&mut self, key: usize, seconds: i64, value: &[u8]);
}

/// What fields of a hash hold, if they are there.
pub type Numbers = SmallVec<[Option<i64>; 2]>;

/// The fields and values of a hash, alternating.
#[derive(Debug)]
pub struct Pairs {
    texts: Vec<Box<[u8]>>,
    /// The sum of the values, if all of them and it are plain numbers.
    sum: Option<i64>,
}

impl Pairs {
    /// None, with room for so many.
    pub fn with_room(pairs: usize) -> Pairs {
        Pairs { texts: Vec::with_capacity(pairs * 2), sum: Some(0) }
    }

    /// Adds a pair.
    pub fn push(&mut self, field: &[u8], value: &[u8]) {
        let number = plain(value);
        let sum = self.sum.and_then(|sum| sum.checked_add(number?));
        self.sum = sum.filter(|sum| is_plain(*sum));
        self.texts.extend([field.into(), value.into()]);
    }

    /// The sum of the values.
    fn total(&self) -> Result<i64, Unsure> {
        self.sum.ok_or(Unsure)
    }

    /// Whether there is a single one.
    fn is_single(&self) -> bool {
        self.texts.len() == 2
    }

    /// Answers them as one flat list, as Lua has them.
    fn answer(&self, reply: &mut dyn Reply) {
        reply.array(self.texts.len());
        self.texts.iter().for_each(|text| reply.bulk(text));
    }
}

/// Whether a number is small enough to be sure of.
pub fn is_plain(number: i64) -> bool {
    number.unsigned_abs() <= PLAIN
}

/// The number that a text is, if it is one to be sure of.
pub fn plain(text: &[u8]) -> Option<i64> {
    parse_integer(text).filter(|number| is_plain(*number))
}

/// What a script is called with.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// KEYS.
    pub keys: Argv<'a>,
    /// ARGV.
    pub arguments: Argv<'a>,
}

impl Work<'_> {
    /// Sure of so many keys only.
    fn has_keys(&self, count: usize) -> Result<(), Unsure> {
        if self.keys.len() == count { Ok(()) } else { Err(Unsure) }
    }

    /// A whole number among the arguments.
    fn number(&self, at: usize) -> Result<i64, Unsure> {
        self.arguments.get(at).and_then(|text| plain(text)).ok_or(Unsure)
    }

    /// The milliseconds of a window among the arguments.
    fn window(&self, at: usize) -> Result<i64, Unsure> {
        let window = self.number(at)?;
        if (1..=LONGEST_MS).contains(&window) { Ok(window) } else { Err(Unsure) }
    }

    /// The moment of the client's clock among the arguments.
    fn moment(&self, at: usize) -> Result<i64, Unsure> {
        let now = self.number(at)?;
        if now >= 0 { Ok(now) } else { Err(Unsure) }
    }
}

/// Whether a script takes a key that may hold another limit than the one it is called with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dynamic {
    /// It has none.
    No,
    /// It takes one; an empty name is none.
    Needed,
    /// It takes one or goes without; an empty name is none.
    Optional,
}

impl Dynamic {
    /// The limit that holds: `limit`, unless the key behind the first `own` ones has another.
    fn limit(
        self,
        work: &Work<'_>,
        own: usize,
        limit: i64,
        ground: &mut dyn Ground,
    ) -> Result<i64, Unsure> {
        let more = work.keys.len().checked_sub(own).ok_or(Unsure)?;
        match (self, more) {
            (Dynamic::No | Dynamic::Optional, 0) => Ok(limit),
            (Dynamic::Needed | Dynamic::Optional, 1) if work.keys[own].is_empty() => Ok(limit),
            (Dynamic::Needed | Dynamic::Optional, 1) => Ok(ground.number(own)?.unwrap_or(limit)),
            _ => Err(Unsure),
        }
    }
}

/// A function that does what a script does.
pub type Run = fn(&Work<'_>, &mut dyn Ground, &mut dyn Reply) -> Result<(), Unsure>;

/// A script that is known.
#[derive(Debug)]
pub struct Native {
    /// The digest of its text.
    pub sha: Sha,
    /// The commands that it may call.
    pub calls: &'static [Inner],
    /// The key that it writes, by its place among KEYS, if it writes one.
    pub writes: Option<usize>,
    /// What it does.
    pub run: Run,
}

/// What counts of a previous window: its share of the sliding one, as a whole number. Doubles, as
/// in the scripts.
fn weighted(now: i64, window: i64, previous: i64) -> i64 {
    ((1.0 - passed(now, window)) * previous as f64).floor() as i64
}

/// How much of the present window has passed, from 0 to 1.
fn passed(now: i64, window: i64) -> f64 {
    let (now, window) = (now as f64, window as f64);
    (now - (now / window).floor() * window) / window
}
