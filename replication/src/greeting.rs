//! What Eave nodes tell each other beyond Redis' protocol: one line each way.
//!
//! A replica says `REPLCONF eave "<words>"`, a leader answers `+EAVE <words>`. A word is
//! `name=value`; both sides leave out what they do not know, so versions can differ. A
//! redis-server answers with an error, and is thereby known to be none. The leader says its words
//! again in front of its answer to PSYNC: what it is may have changed in between.

use crate::id::{Position, ReplicationId};
use crate::wire::{self, MAX_LINE};

/// The option of REPLCONF.
pub const OPTION: &str = "eave";
/// What the answer begins with, after `+`.
pub const ANSWER: &str = "EAVE";

/// How the bytes of a leader are compressed on their way to a follower: from right behind its
/// answer to PSYNC until the connection ends. Offsets count what they are once unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A frame of LZ4 without an end, its blocks linked and no larger than 64 KiB.
    Lz4,
}

impl Packing {
    /// All of them, by name.
    const NAMES: [(&'static str, Self); 1] = [("lz4", Self::Lz4)];

    /// Its name in a greeting.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, packing)| *packing == self).map_or("", |(name, _)| name)
    }

    fn parse(name: &[u8]) -> Option<Self> {
        let found = Self::NAMES.iter().find(|(known, _)| known.as_bytes() == name);
        found.map(|(_, packing)| *packing)
    }
}

/// The words; what is absent was not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeting {
    /// The epoch that the sender is in (`epoch`).
    pub epoch: Option<u64>,
    /// Where the sender is (`at`).
    pub at: Option<Position>,
    /// The history that the sender's continues, and up to where (`from`).
    pub from: Option<Position>,
    /// The receiver has been superseded, if this is its history: it went on without the receiver
    /// from this place (`fence`).
    pub fence: Option<Position>,
    /// The answer to that: whether the sender takes writes no longer (`fenced`).
    pub fenced: Option<bool>,
    /// The name of the sender's region (`region`).
    pub region: Option<String>,
    /// From a replica, how it would like the leader's bytes packed; from a leader, in front of its
    /// answer to PSYNC, how it packs them from there on (`packing`).
    pub packing: Option<Packing>,
}

/// Bytes that the name of a region has at most.
pub const REGION_BYTES: usize = 32;

/// Whether this may name a region: letters, digits, `-`, `_` and `.`, so that it stands in any line.
pub fn is_region(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=REGION_BYTES).contains(&name.len()) && name.iter().all(fits)
}

impl Greeting {
    /// Reads words; those that are unknown or make no sense are left out.
    pub fn parse(text: &[u8]) -> Self {
        let mut greeting = Self::default();
        for word in text[..text.len().min(MAX_LINE)].split(|byte| *byte == b' ') {
            let Some(at) = word.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = (&word[..at], &word[at + 1..]);
            match name {
                b"epoch" => greeting.epoch = wire::parse_decimal(value),
                b"at" => greeting.at = position(value),
                b"from" => greeting.from = position(value),
                b"fence" => greeting.fence = position(value),
                b"fenced" => greeting.fenced = Some(value == b"yes"),
                b"region" => greeting.region = region(value),
                b"packing" => greeting.packing = Packing::parse(value),
                _ => {}
            }
        }
        greeting
    }

    /// The words, separated by blanks.
    pub fn words(&self) -> String {
        let show = |at: Position| format!("{}:{}", at.id, at.offset);
        let words = [
            ("epoch", self.epoch.map(|epoch| epoch.to_string())),
            ("at", self.at.map(show)),
            ("from", self.from.map(show)),
            ("fence", self.fence.map(show)),
            ("fenced", self.fenced.map(|fenced| if fenced { "yes" } else { "no" }.to_owned())),
            ("region", self.region.clone()),
            ("packing", self.packing.map(|packing| packing.name().to_owned())),
        ];
        let said = words.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
        said.collect::<Vec<_>>().join(" ")
    }

    /// The request that says them.
    pub fn request(&self) -> Vec<u8> {
        wire::replconf(OPTION, &self.words())
    }

    /// The answer that says them, without `+` and the line's end.
    pub fn answer(&self) -> String {
        format!("{ANSWER} {}", self.words())
    }

    /// Reads an answer, without `+`; nothing if it is another.
    pub fn of_answer(text: &str) -> Option<Self> {
        let words = text.strip_prefix(ANSWER)?;
        (words.is_empty() || words.starts_with(' ')).then(|| Self::parse(words.as_bytes()))
    }
}

fn region(text: &[u8]) -> Option<String> {
    is_region(text).then(|| String::from_utf8_lossy(text).into_owned())
}

fn position(text: &[u8]) -> Option<Position> {
    let at = text.iter().position(|byte| *byte == b':')?;
    let id = ReplicationId::parse(&text[..at])?;
    Some(Position { id, offset: wire::parse_decimal(&text[at + 1..])? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_says_and_leaves_out_the_rest() {
        let at = |byte, offset| Position { id: ReplicationId::from_random([byte; 20]), offset };
        let greeting = Greeting {
            epoch: Some(7),
            at: Some(at(1, 20)),
            from: Some(at(2, 10)),
            fence: Some(at(3, 5)),
            fenced: Some(false),
            region: Some("eu-west.1_b".to_owned()),
            packing: Some(Packing::Lz4),
        };
        let words = format!("color=blue {} epoch  =", greeting.words());
        assert_eq!(Greeting::parse(words.as_bytes()), greeting);
        assert_eq!(Greeting::of_answer(&greeting.answer()), Some(greeting.clone()));
        assert!(greeting.answer().len() < MAX_LINE);
        assert_eq!(Greeting::of_answer("EAVE"), Some(Greeting::default()));
        for other in ["OK", "EAVESDROP epoch=1", ""] {
            assert_eq!(Greeting::of_answer(other), None);
        }
        let nonsense = "epoch=x epoch=-1 at=1:2 from=zz fence=: region=a,b region= packing=rot13";
        assert_eq!(Greeting::parse(nonsense.as_bytes()), Greeting::default());
    }
}
