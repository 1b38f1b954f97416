//! How the words of a directive become a field of [`Config`], and the field becomes text again.
//!
//! A kind carries the accessors of its field, so that the file, the command line, the environment
//! and CONFIG all read and write through the same place. Left out on purpose: where the words come
//! from, and which directive they belong to.

use super::Config;
use super::value::Secret;

/// What a directive holds, with the accessors of its field.
///
/// Numeric setters answer `false` when the field's type cannot hold the number.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number between two bounds.
    Number {
        /// Smallest accepted.
        min: i64,
        /// Largest accepted.
        max: i64,
        /// Reads the field.
        get: fn(&Config) -> i64,
        /// Writes the field.
        set: fn(&mut Config, i64) -> bool,
    },
    /// A number of bytes, with units on input (`100mb`), plain on output.
    Bytes {
        /// Smallest accepted.
        min: u64,
        /// Largest accepted.
        max: u64,
        /// Reads the field.
        get: fn(&Config) -> u64,
        /// Writes the field.
        set: fn(&mut Config, u64) -> bool,
    },
    /// `yes` or `no`.
    YesNo {
        /// Reads the field.
        get: fn(&Config) -> bool,
        /// Writes the field.
        set: fn(&mut Config, bool),
    },
    /// One of several names.
    Choice {
        /// The names.
        names: &'static [&'static str],
        /// The index of the name that is set.
        get: fn(&Config) -> usize,
        /// Writes the value whose name has that index, which is within `names`.
        set: fn(&mut Config, usize),
    },
    /// Any text.
    Text {
        /// Reads the field.
        get: fn(&Config) -> &str,
        /// Writes the field.
        set: fn(&mut Config, String),
    },
    /// A password or token; no error, log or help text shows it.
    Secret {
        /// Reads the field.
        get: fn(&Config) -> &Secret,
        /// Writes the field.
        set: fn(&mut Config, Secret),
    },
    /// Several words with a meaning of their own.
    Words {
        /// How they are written, for help.
        shape: &'static str,
        /// Reads the field.
        get: fn(&Config) -> String,
        /// Writes the field, all of it or nothing; gets at least one word, perhaps empty.
        set: fn(&mut Config, &[&str], Stage) -> Result<(), Reason>,
    },
    /// Only one value is possible today; asking for another must not be silently ignored.
    Fixed {
        /// That value.
        value: &'static str,
        /// Why, continuing "only no is possible: ".
        why: &'static str,
    },
    /// Redis has it, it means nothing here: any value is kept for CONFIG GET.
    Inert {
        /// What CONFIG GET shows until it is set.
        default: &'static str,
    },
}

/// Whether a directive adds to what earlier ones said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A line of the file or an option: `save` accumulates.
    Adding,
    /// CONFIG SET or a variable: the whole value.
    Replacing,
}

/// Why words were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Not a whole number.
    Integer,
    /// A number outside of its bounds.
    Range {
        /// Smallest accepted.
        min: i128,
        /// Largest accepted.
        max: i128,
    },
    /// Not a number of bytes.
    Memory,
    /// Neither that nor a percentage.
    MemoryOrPercent,
    /// Neither `yes` nor `no`.
    YesNo,
    /// None of these names.
    Choice(&'static [&'static str]),
    /// Not exactly one word, but so many.
    Count(usize),
    /// Not words of this shape.
    Shape(&'static str),
    /// Not UTF-8.
    Encoding,
    /// Only this value is possible, because.
    Fixed(&'static str, &'static str),
    /// Said in full, the same for start and CONFIG SET.
    Other(&'static str),
}

impl Reason {
    /// As the start says it, continuing `'maxmemory x': `.
    pub fn plain(&self) -> String {
        match self {
            Self::Integer => "expected a whole number".to_owned(),
            Self::Range { min, max } if *max >= i128::from(i64::MAX) => {
                format!("expected a number of at least {min}")
            }
            Self::Range { min, max } => format!("expected a number between {min} and {max}"),
            Self::Memory => "expected bytes such as 100mb".to_owned(),
            Self::MemoryOrPercent => "expected bytes such as 100mb, or 5%".to_owned(),
            Self::YesNo => "expected yes or no".to_owned(),
            Self::Choice(names) => format!("expected one of {}", names.join(", ")),
            Self::Count(0) => "expected a value".to_owned(),
            Self::Count(count) => format!("expected one value, not {count}"),
            Self::Shape(shape) => format!("expected {shape}"),
            Self::Encoding => "expected text in UTF-8".to_owned(),
            Self::Fixed(value, why) => {
                let value = if value.is_empty() { "\"\"" } else { value };
                format!("only {value} is possible: {why}")
            }
            Self::Other(text) => (*text).to_owned(),
        }
    }

    /// As Redis' CONFIG SET says it, where Redis has a wording.
    pub fn redis(&self) -> String {
        match self {
            Self::Integer => "argument couldn't be parsed into an integer".to_owned(),
            Self::Range { min, max } => {
                format!("argument must be between {min} and {max} inclusive")
            }
            Self::Memory => "argument must be a memory value".to_owned(),
            Self::MemoryOrPercent => "argument must be a memory or percent value".to_owned(),
            Self::YesNo => "argument must be 'yes' or 'no'".to_owned(),
            Self::Choice(names) => {
                format!("argument(s) must be one of the following: {}", names.join(", "))
            }
            Self::Count(_) | Self::Shape(_) => "wrong number of arguments".to_owned(),
            Self::Encoding | Self::Fixed(..) | Self::Other(_) => self.plain(),
        }
    }
}

impl Kind {
    /// Whether the directive takes several words, so that a single value is split at spaces.
    pub(super) fn takes_words(&self) -> bool {
        matches!(self, Self::Words { .. })
    }

    /// Writes `words` into the field of `config`, all or nothing. `name` is the row's own name.
    pub(super) fn set(
        &self,
        name: &'static str,
        config: &mut Config,
        words: &[Vec<u8>],
        stage: Stage,
    ) -> Result<(), Reason> {
        match *self {
            Self::Number { min, max, set, .. } => {
                let number = parse_integer(one(words)?).ok_or(Reason::Integer)?;
                let stored = (min..=max).contains(&number) && set(config, number);
                stored.then_some(()).ok_or(Reason::Range { min: min.into(), max: max.into() })
            }
            Self::Bytes { min, max, set, .. } => {
                let bytes = parse_bytes(one(words)?).ok_or(Reason::Memory)?;
                let stored = (min..=max).contains(&bytes) && set(config, bytes);
                stored.then_some(()).ok_or(Reason::Range { min: min.into(), max: max.into() })
            }
            Self::YesNo { set, .. } => {
                set(config, parse_yes_no(one(words)?)?);
                Ok(())
            }
            Self::Choice { names, set, .. } => {
                let word = one(words)?;
                let found = names.iter().position(|name| name.eq_ignore_ascii_case(word));
                set(config, found.ok_or(Reason::Choice(names))?);
                Ok(())
            }
            Self::Text { set, .. } => {
                set(config, one(words)?.to_owned());
                Ok(())
            }
            Self::Secret { set, .. } => {
                let [word] = words else { return Err(Reason::Count(words.len())) };
                set(config, Secret::new(word.as_slice()));
                Ok(())
            }
            Self::Words { set, .. } => {
                let words: Vec<&str> = words.iter().map(|w| utf8(w)).collect::<Result<_, _>>()?;
                set(config, if words.is_empty() { &[""] } else { &words }, stage)
            }
            Self::Fixed { value, why } => {
                let same = one(words)?.eq_ignore_ascii_case(value);
                same.then_some(()).ok_or(Reason::Fixed(value, why))
            }
            Self::Inert { .. } => {
                if words.is_empty() {
                    return Err(Reason::Count(0));
                }
                config.inert.insert(name, words.join(&b' '));
                Ok(())
            }
        }
    }

    /// The field of `config` as CONFIG GET shows it.
    pub(super) fn get(&self, name: &'static str, config: &Config) -> Vec<u8> {
        match *self {
            Self::Number { get, .. } => get(config).to_string().into_bytes(),
            Self::Bytes { get, .. } => get(config).to_string().into_bytes(),
            Self::YesNo { get, .. } => if get(config) { "yes" } else { "no" }.into(),
            Self::Choice { names, get, .. } => {
                names.get(get(config)).copied().unwrap_or_default().into()
            }
            Self::Text { get, .. } => get(config).into(),
            Self::Secret { get, .. } => get(config).reveal().to_vec(),
            Self::Words { get, .. } => get(config).into_bytes(),
            Self::Fixed { value, .. } => value.into(),
            Self::Inert { default } => {
                config.inert.get(name).cloned().unwrap_or_else(|| default.into())
            }
        }
    }
}

/// The only word, as text.
fn one(words: &[Vec<u8>]) -> Result<&str, Reason> {
    match words {
        [word] => utf8(word),
        _ => Err(Reason::Count(words.len())),
    }
}

fn utf8(word: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(word).map_err(|_| Reason::Encoding)
}

fn parse_yes_no(word: &str) -> Result<bool, Reason> {
    match word {
        yes if yes.eq_ignore_ascii_case("yes") => Ok(true),
        no if no.eq_ignore_ascii_case("no") => Ok(false),
        _ => Err(Reason::YesNo),
    }
}

/// A whole number written as Redis demands: no sign but `-`, no leading zeros, no spaces.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A number of bytes: `k`, `m`, `g` are powers of 1000, `kb`, `mb`, `gb` of 1024, as in
/// redis.conf. Unlike Redis, an empty or overflowing number is refused rather than read as 0 or
/// as the largest.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_units_of_redis() {
        for (text, bytes) in [
            ("0", 0),
            ("12b", 12),
            ("1k", 1000),
            ("1kb", 1024),
            ("1K", 1000),
            ("2mB", 2 << 20),
            ("3m", 3_000_000),
            ("1g", 1_000_000_000),
            ("4GB", 4 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in
            ["", "mb", "-1", "+1", " 1", "1 ", "1.5mb", "1kib", "18446744073709551616", "1e3", "٣"]
        {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
        assert_eq!(parse_bytes("17179869184gb"), None, "overflows by its unit");
    }

    #[test]
    fn integers_are_written_one_way() {
        assert_eq!(parse_integer("-5"), Some(-5));
        assert_eq!(parse_integer("9223372036854775807"), Some(i64::MAX));
        for text in ["", "-", "+1", "-0", "007", " 1", "1 ", "0x1", "9223372036854775808", "1\0"] {
            assert_eq!(parse_integer(text), None, "{text:?}");
        }
    }
}
