//! What a directive can hold beyond numbers, text and yes/no.
//!
//! Each type reads the words of a directive and prints itself as `CONFIG GET` shows it. Left out on
//! purpose: host names as listening addresses, because resolving one is I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::kind::{Reason, parse_bytes, parse_integer};

/// A password or token: never printed by `Debug`, wiped when dropped, compared in constant time.
///
/// Empty means "not set", as in redis.conf.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves, for the few places that must send or show them.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `candidate` is this secret. Takes a time that depends on the lengths only, and an
    /// unset secret matches nothing.
    pub fn matches(&self, candidate: &[u8]) -> bool {
        !self.is_empty() && bool::from(self.0.as_slice().ct_eq(candidate))
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "Secret(unset)" } else { "Secret(hidden)" })
    }
}

/// One address to listen on, as `bind` and `rest-bind` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress {
    /// The address; `*` and `::*` are the unspecified ones.
    pub ip: IpAddr,
    /// Written with a leading `-`: the start goes on when the machine does not have it.
    pub optional: bool,
}

impl BindAddress {
    /// The most addresses that one directive takes, Redis' own bound.
    pub const MOST: usize = 16;

    /// Every address of `words`; one empty word is an empty list.
    pub(super) fn parse_all(words: &[&str]) -> Result<Vec<Self>, Reason> {
        if words == [""] {
            return Ok(Vec::new());
        }
        if words.len() > Self::MOST {
            return Err(Reason::Other("Too many bind addresses specified."));
        }
        words.iter().map(|word| Self::parse(word)).collect()
    }

    fn parse(word: &str) -> Result<Self, Reason> {
        let (optional, address) = match word.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, word),
        };
        let ip = match address {
            "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            other => other.parse().map_err(|_| {
                Reason::Other("expected IP addresses such as 127.0.0.1, -::1, or * for all")
            })?,
        };
        Ok(Self { ip, optional })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.optional { "-" } else { "" };
        match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => write!(f, "{sign}*"),
            IpAddr::V6(ip) if ip.is_unspecified() => write!(f, "{sign}::*"),
            ip => write!(f, "{sign}{ip}"),
        }
    }
}

/// The node that a replica follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Host name or address.
    pub host: String,
    /// TCP port of its Redis protocol, never 0.
    pub port: u16,
}

impl Leader {
    /// `HOST PORT`; `no one`, or one empty word, is no leader. Redis takes port 0 for no leader
    /// too; here it is an error, because nothing can listen there.
    pub(super) fn parse(words: &[&str]) -> Result<Option<Self>, Reason> {
        match words {
            [""] => Ok(None),
            [no, one] if no.eq_ignore_ascii_case("no") && one.eq_ignore_ascii_case("one") => {
                Ok(None)
            }
            [host, port] if !host.is_empty() => {
                let port = parse_integer(port).and_then(|port| u16::try_from(port).ok());
                match port {
                    Some(port) if port > 0 => Ok(Some(Self { host: (*host).to_owned(), port })),
                    _ => Err(Reason::Other("Invalid master port")),
                }
            }
            _ => Err(Reason::Shape("HOST PORT, or no one")),
        }
    }
}

impl fmt::Display for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.host, self.port)
    }
}

/// How much unsent reply a client may leave in memory before it is cut off; 0 = no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is closed at once.
    pub hard: u64,
    /// Bytes that it may not exceed for longer than `soft_seconds`.
    pub soft: u64,
    /// Seconds.
    pub soft_seconds: u32,
}

impl OutputLimit {
    /// Whether `unread` bytes are more than a client may have; `over_since` remembers since when
    /// it has had more than the soft limit, in unix milliseconds.
    pub fn is_exceeded(&self, unread: u64, over_since: &mut Option<u64>, now: u64) -> bool {
        if self.hard > 0 && unread > self.hard {
            return true;
        }
        if self.soft == 0 || unread <= self.soft {
            *over_since = None;
            return false;
        }
        let since = *over_since.get_or_insert(now);
        now.saturating_sub(since) > u64::from(self.soft_seconds) * 1000
    }
}

/// The limits of the three classes of clients that redis.conf knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients, MONITOR among them.
    pub normal: OutputLimit,
    /// Replicas that follow this node.
    pub replica: OutputLimit,
    /// Clients with at least one subscription.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    const WRONG_NUMBER: Reason =
        Reason::Other("Error in hard, soft or soft_seconds setting in buffer limit configuration.");

    /// Changes the classes that `words` names, four words each, and leaves the others.
    pub(super) fn update(&mut self, words: &[&str]) -> Result<(), Reason> {
        let mut next = *self;
        let (groups, rest) = words.as_chunks::<4>();
        if groups.is_empty() || !rest.is_empty() {
            return Err(Reason::Other("Wrong number of arguments in buffer limit configuration."));
        }
        for [class, hard, soft, seconds] in groups {
            let limit = OutputLimit::parse(hard, soft, seconds).ok_or(Self::WRONG_NUMBER)?;
            match class.to_ascii_lowercase().as_str() {
                "normal" => next.normal = limit,
                "replica" | "slave" => next.replica = limit,
                "pubsub" => next.pubsub = limit,
                _ => {
                    return Err(Reason::Other(
                        "Invalid client class specified in buffer limit configuration.",
                    ));
                }
            }
        }
        *self = next;
        Ok(())
    }
}

impl OutputLimit {
    fn parse(hard: &str, soft: &str, seconds: &str) -> Option<Self> {
        Some(Self {
            hard: parse_bytes(hard)?,
            soft: parse_bytes(soft)?,
            soft_seconds: parse_integer(seconds)?.try_into().ok()?,
        })
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.hard, self.soft, self.soft_seconds)
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Redis still says "slave" here, and clients look for it.
        write!(f, "normal {} slave {} pubsub {}", self.normal, self.replica, self.pubsub)
    }
}

/// One rule of `save`: a snapshot after `seconds` if at least `changes` keys changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// Seconds, at least one.
    pub seconds: u32,
    /// Number of changes.
    pub changes: u32,
}

impl SavePoint {
    const WRONG: Reason = Reason::Other("Invalid save parameters");

    /// Pairs of numbers; one empty word is an empty list.
    pub(super) fn parse_all(words: &[&str]) -> Result<Vec<Self>, Reason> {
        if words == [""] {
            return Ok(Vec::new());
        }
        let (pairs, rest) = words.as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(Self::WRONG);
        }
        pairs.iter().map(|[seconds, changes]| Self::parse(seconds, changes)).collect()
    }

    fn parse(seconds: &str, changes: &str) -> Result<Self, Reason> {
        let number = |word| parse_integer(word).and_then(|number| u32::try_from(number).ok());
        match (number(seconds), number(changes)) {
            (Some(seconds), Some(changes)) if seconds > 0 => Ok(Self { seconds, changes }),
            _ => Err(Self::WRONG),
        }
    }
}

impl fmt::Display for SavePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seconds, self.changes)
    }
}

/// What to remove when `maxmemory` is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Least recently used, among keys that expire.
    VolatileLru,
    /// Least frequently used, among keys that expire.
    VolatileLfu,
    /// Any, among keys that expire.
    VolatileRandom,
    /// Soonest to expire.
    VolatileTtl,
    /// Least recently used.
    AllkeysLru,
    /// Least frequently used.
    AllkeysLfu,
    /// Any.
    AllkeysRandom,
    /// Nothing: writes that need memory are refused.
    NoEviction,
}

impl EvictionPolicy {
    /// Whether the least frequently used go first.
    #[inline]
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether the least recently used go first.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }

    /// Whether only keys with an expiry may go.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl
        )
    }

    /// In the order of [`Self::NAMES`].
    pub(super) const ALL: [Self; 8] = [
        Self::VolatileLru,
        Self::VolatileLfu,
        Self::VolatileRandom,
        Self::VolatileTtl,
        Self::AllkeysLru,
        Self::AllkeysLfu,
        Self::AllkeysRandom,
        Self::NoEviction,
    ];
    pub(super) const NAMES: [&str; 8] = [
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
        "allkeys-lru",
        "allkeys-lfu",
        "allkeys-random",
        "noeviction",
    ];

    /// Its name in redis.conf, also what INFO prints.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// How much is logged; each includes what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Rarely needed detail.
    Verbose,
    /// What an operator wants to know.
    Notice,
    /// Only what needs attention.
    Warning,
}

impl LogLevel {
    /// In the order of [`Self::NAMES`].
    pub(super) const ALL: [Self; 4] = [Self::Debug, Self::Verbose, Self::Notice, Self::Warning];
    pub(super) const NAMES: [&str; 4] = ["debug", "verbose", "notice", "warning"];
}

/// How REST writes integers that JavaScript would round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BigIntegers {
    /// As strings of digits.
    String,
    /// As numbers, like all others.
    Number,
}

/// Who may use DEBUG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugAccess {
    /// Nobody.
    No,
    /// Everybody.
    Yes,
    /// Connections from this machine.
    Local,
}

impl DebugAccess {
    /// In the order of [`Self::NAMES`].
    pub(super) const ALL: [Self; 3] = [Self::No, Self::Yes, Self::Local];
    pub(super) const NAMES: [&str; 3] = ["no", "yes", "local"];
}

/// An amount of memory, or a part of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths.
    Percent(u64),
}

impl Share {
    pub(super) fn parse(word: &str) -> Result<Self, Reason> {
        match word.strip_suffix('%') {
            Some(percent) => {
                let percent = parse_integer(percent).and_then(|percent| percent.try_into().ok());
                match percent {
                    Some(101..) => {
                        Err(Reason::Other("percentage argument must be less or equal to 100"))
                    }
                    Some(percent) => Ok(Self::Percent(percent)),
                    None => Err(Reason::MemoryOrPercent),
                }
            }
            None => parse_bytes(word).map(Self::Bytes).ok_or(Reason::MemoryOrPercent),
        }
    }

    /// The bytes that are meant, of a `whole`.
    pub fn bytes(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                u64::try_from(u128::from(whole) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}
