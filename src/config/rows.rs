//! The rows of the table, a file a group, sorted by name.
//!
//! Left out on purpose: defaults, which stand in [`Config::default`] with their reasons.

mod access;
mod data;
mod inert;
mod limits;
mod memory;
mod network;
mod observation;
mod process;
mod replication;
mod rest;
mod tls;

pub(super) use inert::INERT;

use super::Config;
use super::kind::{Kind, Reason, Stage};
use super::table::{Directive, Group, When};
use super::value::Secret;

const INT: i64 = i32::MAX as i64;
const UINT: i64 = u32::MAX as i64;
const LONG: i64 = i64::MAX;
const BYTES: u64 = i64::MAX as u64;
const MIB: u64 = 1 << 20;

/// The directives that act, group by group.
pub(super) const TABLE: &[&[Directive]] = &[
    network::ROWS,
    rest::ROWS,
    access::ROWS,
    replication::ROWS,
    memory::ROWS,
    limits::ROWS,
    data::ROWS,
    observation::ROWS,
    process::ROWS,
    tls::ROWS,
];

/// A row before it is said what it holds.
struct Row {
    group: Group,
    when: When,
    name: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
}

const fn row(group: Group, name: &'static str, help: &'static str) -> Row {
    Row { group, when: When::Runtime, name, aliases: &[], help }
}

const fn inert(
    name: &'static str,
    aliases: &'static [&'static str],
    default: &'static str,
) -> Directive {
    row(Group::Inert, name, "Accepted for compatibility, without effect")
        .alias(aliases)
        .inert(default)
}

impl Row {
    const fn alias(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn at_start(self) -> Self {
        Self { when: When::Start, ..self }
    }

    const fn protected(self) -> Self {
        Self { when: When::Protected, ..self }
    }

    const fn holds(self, kind: Kind) -> Directive {
        let Self { group, when, name, aliases, help } = self;
        Directive { name, aliases, group, when, help, kind }
    }

    const fn number(
        self,
        min: i64,
        max: i64,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64) -> bool,
    ) -> Directive {
        self.holds(Kind::Number { min, max, get, set })
    }

    const fn bytes(
        self,
        min: u64,
        max: u64,
        get: fn(&Config) -> u64,
        set: fn(&mut Config, u64) -> bool,
    ) -> Directive {
        self.holds(Kind::Bytes { min, max, get, set })
    }

    const fn yes_no(self, get: fn(&Config) -> bool, set: fn(&mut Config, bool)) -> Directive {
        self.holds(Kind::YesNo { get, set })
    }

    const fn choice(
        self,
        names: &'static [&'static str],
        get: fn(&Config) -> usize,
        set: fn(&mut Config, usize),
    ) -> Directive {
        self.holds(Kind::Choice { names, get, set })
    }

    const fn text(self, get: fn(&Config) -> &str, set: fn(&mut Config, String)) -> Directive {
        self.holds(Kind::Text { get, set })
    }

    const fn secret(self, get: fn(&Config) -> &Secret, set: fn(&mut Config, Secret)) -> Directive {
        self.holds(Kind::Secret { get, set })
    }

    const fn words(
        self,
        shape: &'static str,
        get: fn(&Config) -> String,
        set: fn(&mut Config, &[&str], Stage) -> Result<(), Reason>,
    ) -> Directive {
        self.holds(Kind::Words { shape, get, set })
    }

    const fn fixed(self, value: &'static str, why: &'static str) -> Directive {
        self.holds(Kind::Fixed { value, why })
    }

    const fn inert(self, default: &'static str) -> Directive {
        self.holds(Kind::Inert { default })
    }
}

/// Percentiles, each from 0 to 100; one empty word is none.
fn percentiles(words: &[&str]) -> Result<Vec<f64>, Reason> {
    if words == [""] {
        return Ok(Vec::new());
    }
    let parse = |word: &&str| {
        let percent = word.parse::<f64>();
        let percent = percent
            .map_err(|_| Reason::Other("Invalid latency-tracking-info-percentiles parameters"))?;
        let range = Reason::Other(
            "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
        );
        (0.0..=100.0).contains(&percent).then_some(percent).ok_or(range)
    };
    words.iter().map(parse).collect()
}

/// Stores a number that a row's bounds have already been held against.
fn put<T: TryFrom<N>, N>(field: &mut T, number: N) -> bool {
    T::try_from(number).map(|number| *field = number).is_ok()
}

/// The text of a list.
fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// For fields of a width that the compiler does not convert by itself; what does not fit cannot
/// have been set through the table.
fn wide<T: TryInto<N>, N: From<u32>>(field: T, most: N) -> N {
    field.try_into().unwrap_or(most)
}
