//! What was moved, what was not, and why.

use std::collections::BTreeMap;
use std::fmt;

use crate::limits::IMPORT_EXAMPLES;
use crate::rdb::Value;

/// Types of keys, by the names that TYPE gives them.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::List(_) => "list",
        Value::Hash(_) => "hash",
        Value::Set(_) => "set",
        Value::SortedSet(_) | Value::PackedSortedSet(_) => "zset",
        Value::Stream(_) => "stream",
        Value::Limiter(_) => "rate limit",
        Value::Json(_) => "json",
    }
}

/// What came to nothing: how much, and some of it by name.
#[derive(Debug, Default)]
struct Failed {
    count: u64,
    examples: Vec<String>,
}

impl Failed {
    fn add(&mut self, name: &[u8], why: &str) {
        self.count += 1;
        if self.examples.len() < IMPORT_EXAMPLES {
            self.examples.push(format!("'{}': {}", shown(name), shown(why.as_bytes())));
        }
    }
}

/// The beginning of a name, in one line.
pub(super) fn shown(name: &[u8]) -> String {
    let cut = name.len() > 100;
    let text = name[..name.len().min(100)].escape_ascii().to_string();
    if cut { format!("{text}...") } else { text }
}

/// The counts of an import.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Keys by type.
    kinds: BTreeMap<&'static str, u64>,
    pub(super) functions: u64,
    /// Rules of rate limits, and their lists.
    pub(super) rules: u64,
    /// Keys whose time had come before they were there.
    pub(super) expired: u64,
    /// Keys that were there already.
    pub(super) present: u64,
    pub(super) functions_present: u64,
    /// Collections without elements, which old versions have written.
    pub(super) empty: u64,
    /// Values of modules, by the name of their type.
    modules: BTreeMap<String, u64>,
    /// Keys, libraries and rules that could not be moved.
    keys_failed: Failed,
    /// Commands of the stream, applied and refused.
    pub(super) commands: u64,
    commands_failed: Failed,
    /// Bytes read from the source.
    pub(super) bytes: u64,
}

impl Tally {
    pub(super) fn copied(&mut self, kind: &'static str) {
        *self.kinds.entry(kind).or_default() += 1;
    }

    pub(super) fn refused(&mut self, key: &[u8], why: &str) {
        self.keys_failed.add(key, why);
    }

    pub(super) fn module(&mut self, name: &str) {
        *self.modules.entry(shown(name.as_bytes())).or_default() += 1;
    }

    pub(super) fn command_refused(&mut self, name: &[u8], why: &str) {
        self.commands_failed.add(name, why);
    }

    /// Keys that were copied.
    pub(super) fn keys(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Keys that were read, whatever became of them.
    pub(super) fn read(&self) -> u64 {
        let modules: u64 = self.modules.values().sum();
        self.keys() + self.expired + self.present + self.empty + modules + self.keys_failed.count
    }

    /// Whether something is missing that nobody asked to leave out.
    pub(super) fn is_whole(&self, present_is_fine: bool) -> bool {
        self.modules.is_empty()
            && self.keys_failed.count == 0
            && self.commands_failed.count == 0
            && (present_is_fine || self.present + self.functions_present == 0)
    }

    /// The closing words.
    pub(super) fn summary(&self, ms: u64, done: &str) -> String {
        let keys = self.keys();
        let seconds = ms as f64 / 1000.0;
        let rate = keys as f64 / seconds.max(0.001);
        let mut text = format!(
            "{done} {} in {seconds:.1} s ({rate:.0} keys/s, {} read)\n",
            count(keys, "key"),
            size(self.bytes)
        );
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by(|a, b| b.1.cmp(a.1));
        if !kinds.is_empty() {
            let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
            text += &format!("  {}\n", kinds.join(", "));
        }
        for (n, what) in [
            (self.functions, "function library, function libraries"),
            (self.rules, "rule or list of rate limits, rules and lists of rate limits"),
            (self.expired, "key had expired on the way, keys had expired on the way"),
            (self.commands, "command of the stream applied, commands of the stream applied"),
        ] {
            if n > 0 {
                text += &format!("  {}\n", either(n, what));
            }
        }
        text + &self.left_out().to_string()
    }

    fn left_out(&self) -> LeftOut<'_> {
        LeftOut(self)
    }
}

/// What is missing, one line each.
struct LeftOut<'a>(&'a Tally);

impl fmt::Display for LeftOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.0;
        let mut lines = Vec::new();
        if tally.present > 0 {
            let what = "key was there already, keys were there already";
            lines.push(either(tally.present, what));
        }
        if tally.functions_present > 0 {
            let what = "function library was there already, function libraries were there already";
            lines.push(either(tally.functions_present, what));
        }
        if tally.empty > 0 {
            lines.push(either(tally.empty, "key without elements, keys without elements"));
        }
        for (name, n) in &tally.modules {
            lines.push(format!("{} of the module type {name}", count(*n, "key")));
        }
        for (failed, what) in [
            (&tally.keys_failed, "was refused, were refused"),
            (&tally.commands_failed, "command was refused, commands were refused"),
        ] {
            if failed.count > 0 {
                lines.push(format!("{}:", either(failed.count, what)));
                lines.extend(failed.examples.iter().map(|example| format!("  {example}")));
                if failed.count > failed.examples.len() as u64 {
                    lines.push("  ...".to_owned());
                }
            }
        }
        if !lines.is_empty() {
            writeln!(f, "left out:")?;
        }
        lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// `1 key`, `2 keys`.
pub(super) fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A number, with the first of two wordings if it is one.
fn either(n: u64, wordings: &str) -> String {
    let (one, many) = wordings.split_once(", ").unwrap_or((wordings, wordings));
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Bytes for a person.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_is_missing() {
        let mut tally = Tally { bytes: 2_500, functions: 1, expired: 2, ..Tally::default() };
        for kind in ["string", "string", "hash"] {
            tally.copied(kind);
        }
        assert!(tally.is_whole(false));
        assert_eq!(
            tally.summary(1500, "imported"),
            "imported 3 keys in 1.5 s (2 keys/s, 2.5 kB read)\n  string 2, hash 1\n  \
             1 function library\n  2 keys had expired on the way\n"
        );
        tally.present = 1;
        assert!(tally.is_whole(true) && !tally.is_whole(false));
        tally.module("TSDB-TYPE");
        for n in 0..100 {
            tally.refused(format!("k{n}\n").as_bytes(), "ERR no");
        }
        let text = tally.summary(0, "imported");
        let (_, missing) = text.split_once("left out:\n").expect("something is");
        assert!(
            missing
                .starts_with("  1 key was there already\n  1 key of the module type TSDB-TYPE\n")
        );
        assert!(missing.contains("100 were refused:\n    'k0\\n': ERR no\n"), "{missing}");
        assert!(missing.ends_with("    ...\n"));
        assert_eq!(tally.read(), 3 + 2 + 1 + 1 + 100);
    }
}
