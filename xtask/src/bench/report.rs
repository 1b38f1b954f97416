//! The figures as tables, on the screen and in BENCHMARKS.md.
//!
//! Left out on purpose: verdicts. The targets stand in the text of BENCHMARKS.md.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};

use super::cores::Cores;
use super::load::Sample;
use super::{Measured, Pair, complexity, hand_over, memory, sessions, version};
use crate::process;

/// What and where was measured, and by which command.
///
/// # Errors
/// When a server does not tell its version.
pub(super) fn heading(date: Option<&str>, cores: &Cores, pair: &Pair) -> Result<String> {
    let mut text = String::new();
    if let Some(date) = date {
        writeln!(text, "Measured on {date} by\n")?;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    writeln!(text, "    cargo xtask {}\n", arguments.join(" "))?;
    let processor = processor().unwrap_or_else(|| "an unknown processor".to_owned());
    writeln!(text, "- machine: {} cores, {processor}", cores.count)?;
    for binary in [&pair.eave.binary, &pair.redis.binary] {
        writeln!(text, "- {}", version(binary)?)?;
    }
    writeln!(text)?;
    Ok(text)
}

fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// From LPUSH to the reply of a BLPOP that waits.
pub(super) fn hand_over_table(measured: &hand_over::Measured) -> String {
    let columns = |samples: &[hand_over::Sample]| {
        let of = |column: fn(&hand_over::Sample) -> f64| {
            middle(samples.iter().map(column).collect()).unwrap_or(f64::NAN)
        };
        let (p50, p99, cpu) = (of(|s| s.p50_us), of(|s| s.p99_us), of(|s| s.cpu_us));
        format!("{p50:.1} | {p99:.1} | {cpu:.2}")
    };
    let ratio = |column: fn(&hand_over::Sample) -> f64| {
        let rounds = measured.eave.iter().zip(&measured.redis);
        middle(rounds.map(|(a, b)| column(a) / column(b)).collect()).unwrap_or(f64::NAN)
    };
    let (p50, p99) = (ratio(|s| s.p50_us), ratio(|s| s.p99_us));
    format!(
        "| LPUSH to a BLPOP that waits | p50 µs | p99 µs | server CPU, µs | p50 ratio | p99 ratio |\n\
         |---|---:|---:|---:|---:|---:|\n\
         | Eave | {} | **{p50:.2}** | **{p99:.2}** |\n\
         | redis-server | {} | 1 | 1 |\n\n",
        columns(&measured.eave),
        columns(&measured.redis),
    )
}

/// Both servers, every scenario that both know.
pub(super) fn speed_table(all: &[Measured]) -> String {
    let mut text = String::from(
        "| | pipeline | | requests/s | p50 ms | p99 ms | server CPU, µs/request | CPU ratio |\n\
         |---|---:|---|---:|---:|---:|---:|---:|\n",
    );
    for measured in all {
        let (Some(eave), Some(redis)) = (median(&measured.eave), median(&measured.redis)) else {
            continue;
        };
        let scenario = measured.scenario;
        let ratio = ratio(&measured.eave, &measured.redis);
        let head = format!("| {} | {} ", scenario.name, scenario.pipeline);
        text.push_str(&format!("{head}| Eave {}| **{ratio:.2}** |\n", columns(&eave)));
        text.push_str(&format!("| | | redis-server {}| 1 |\n", columns(&redis)));
    }
    text + "\n"
}

/// RL.TAKE, and a script that Eave knows, held against INCR, all on Eave, and the script against
/// one of its kind on redis-server; nothing when Eave does not know them.
pub(super) fn limiter_table(all: &[Measured]) -> String {
    let mut text = String::new();
    let limits = ["RL.TAKE", "EVALSHA native"];
    for take in all.iter().filter(|m| limits.contains(&m.scenario.name) && !m.eave.is_empty()) {
        let same = |m: &&Measured| {
            m.scenario.name == "INCR" && m.scenario.pipeline == take.scenario.pipeline
        };
        let Some(incr) = all.iter().find(same) else { continue };
        let (Some(taken), Some(incremented)) = (median(&take.eave), median(&incr.eave)) else {
            continue;
        };
        let (pipeline, ratio) = (take.scenario.pipeline, ratio(&take.eave, &incr.eave));
        text.push_str(&format!("| INCR | {pipeline} {}| 1 |\n", columns(&incremented)));
        let name = take.scenario.name;
        text.push_str(&format!("| {name} | {pipeline} {}| **{ratio:.2}** |\n", columns(&taken)));
        let script =
            all.iter().find(|m| m.scenario.name == "EVALSHA" && m.scenario.pipeline == pipeline);
        if let Some(script) = script.filter(|script| name != "RL.TAKE" && !script.redis.is_empty())
        {
            let ratio = self::ratio(&take.eave, &script.redis);
            text.push_str(&format!(
                "| {name}, to EVALSHA on redis-server | {pipeline} | | | | | **{ratio:.2}** |\n"
            ));
        }
    }
    if text.is_empty() {
        return text;
    }
    "| on Eave | pipeline | requests/s | p50 ms | p99 ms | server CPU, µs/request | CPU ratio |\n\
     |---|---:|---:|---:|---:|---:|---:|\n"
        .to_owned()
        + &text
        + "\n"
}

/// Bytes a key, side by side.
pub(super) fn memory_table(all: &[memory::Measured], keys: u64) -> String {
    let mut text = format!(
        "| {keys} keys of 16 bytes | Eave, bytes/key | redis-server, bytes/key | ratio |\n\
         |---|---:|---:|---:|\n"
    );
    for measured in all {
        let each = |bytes: Option<u64>| {
            bytes.map_or("-".to_owned(), |bytes| format!("{:.1}", per(bytes, keys)))
        };
        let ratio = match (measured.eave, measured.redis) {
            (Some(eave), Some(redis)) if redis > 0 => format!("**{:.2}**", per(eave, redis)),
            _ => "-".to_owned(),
        };
        let (eave, redis) = (each(measured.eave), each(measured.redis));
        text.push_str(&format!("| {} | {eave} | {redis} | {ratio} |\n", measured.name));
    }
    text + "\n"
}

/// What connections cost, side by side.
pub(super) fn sessions_table(measured: &sessions::Measured) -> String {
    let [eave, redis] = measured.idle;
    let mut text = format!(
        "| | Eave | redis-server | ratio |\n|---|---:|---:|---:|\n\
         | bytes of one of {} idle connections | {eave:.0} | {redis:.0} | **{:.2}** |\n\n\
         | messages to 1000 listeners | | messages/s | server CPU, µs/message | speed ratio |\n\
         |---|---|---:|---:|---:|\n",
        sessions::IDLE,
        eave / redis,
    );
    for (at_once, [eave, redis]) in sessions::AT_ONCE.iter().zip(&measured.fanned) {
        let of = |all: &[sessions::Fanned], column: fn(&sessions::Fanned) -> f64| {
            middle(all.iter().map(column).collect()).unwrap_or(f64::NAN)
        };
        let row = |all: &[sessions::Fanned]| {
            format!("{:.0} | {:.2}", of(all, |f| f.per_second), of(all, |f| f.cpu_us))
        };
        let rounds = eave.iter().zip(redis).map(|(a, b)| a.per_second / b.per_second);
        let ratio = middle(rounds.collect()).unwrap_or(f64::NAN);
        text.push_str(&format!("| {at_once} at once | Eave | {} | **{ratio:.2}** |\n", row(eave)));
        text.push_str(&format!("| | redis-server | {} | 1 |\n", row(redis)));
    }
    text + "\n"
}

/// CPU of a command at each size, and how many times that of the size before.
pub(super) fn complexity_table(all: &[complexity::Measured]) -> String {
    let mut text = String::from(
        "| | elements | Eave, µs/command | growth | redis-server, µs/command | growth | CPU ratio |\n\
         |---|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut before: Option<&complexity::Measured> = None;
    for measured in all {
        let smaller = before.filter(|before| before.name == measured.name);
        let name = if smaller.is_some() { "" } else { measured.name };
        let column = |of: fn(&complexity::Measured) -> &Vec<f64>| {
            let Some(now) = middle(of(measured).clone()) else { return "- | -".to_owned() };
            let growth = smaller.and_then(|smaller| middle(of(smaller).clone()));
            let growth = growth.map_or(String::new(), |then| format!("{:.2}", now / then));
            format!("{now:.2} | {growth}")
        };
        let rounds = measured.eave.iter().zip(&measured.redis).map(|(a, b)| a / b);
        let ratio = middle(rounds.collect()).map_or("-".to_owned(), |r| format!("**{r:.2}**"));
        let (eave, redis) = (column(|m| &m.eave), column(|m| &m.redis));
        text.push_str(&format!("| {name} | {} | {eave} | {redis} | {ratio} |\n", measured.size));
        before = Some(measured);
    }
    text + "\n"
}

#[expect(clippy::cast_precision_loss, reason = "bytes and keys stay far below 2^53")]
fn per(amount: u64, of: u64) -> f64 {
    amount as f64 / of as f64
}

fn columns(sample: &Sample) -> String {
    let Sample { per_second, p50_ms, p99_ms, cpu_us } = sample;
    format!("| {per_second:.0} | {p50_ms:.3} | {p99_ms:.3} | {cpu_us:.2} ")
}

/// The median of each column by itself; nothing when nothing was measured.
fn median(samples: &[Sample]) -> Option<Sample> {
    let of = |column: fn(&Sample) -> f64| middle(samples.iter().map(column).collect());
    Some(Sample {
        per_second: of(|s| s.per_second)?,
        p50_ms: of(|s| s.p50_ms)?,
        p99_ms: of(|s| s.p99_ms)?,
        cpu_us: of(|s| s.cpu_us)?,
    })
}

/// The median of the rounds' own CPU ratios, in which a slow minute cancels out.
fn ratio(ours: &[Sample], theirs: &[Sample]) -> f64 {
    let rounds = ours.iter().zip(theirs).map(|(a, b)| a.cpu_us / b.cpu_us);
    middle(rounds.collect()).unwrap_or(f64::NAN)
}

/// The median; nothing of nothing.
pub(super) fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    // An even number has two in the middle.
    Some(f64::midpoint(upper, *values.get(values.len() / 2 - 1)?))
}

/// Puts the figures between the markers of their part of BENCHMARKS.md.
///
/// # Errors
/// When the file has a marker that is never closed, or cannot be written.
pub(super) fn write(part: &str, figures: &str) -> Result<()> {
    let path = process::root().join("BENCHMARKS.md");
    let old = std::fs::read_to_string(&path).unwrap_or_else(|_| "# Benchmarks\n".to_owned());
    std::fs::write(&path, replaced(&old, part, figures)?).context("writing BENCHMARKS.md")
}

fn replaced(old: &str, part: &str, figures: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {part}: begin -->\n"), format!("<!-- {part}: end -->"));
    let Some((before, rest)) = old.split_once(&begin) else {
        return Ok(format!("{old}\n{begin}{figures}{end}\n"));
    };
    let Some((_, after)) = rest.split_once(&end) else { bail!("{end} is missing") };
    Ok(format!("{before}{begin}{figures}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_even_and_no_values() {
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(middle(vec![]), None);
    }

    #[test]
    fn hand_overs_are_compared_round_by_round() {
        let sample = |p50_us, p99_us| hand_over::Sample { p50_us, p99_us, cpu_us: 20.0 };
        let eave = vec![sample(10.0, 20.0), sample(30.0, 60.0), sample(20.0, 40.0)];
        let redis = vec![sample(20.0, 20.0), sample(30.0, 120.0), sample(10.0, 20.0)];
        let text = hand_over_table(&hand_over::Measured { eave, redis });
        assert!(text.contains("| Eave | 20.0 | 40.0 | 20.00 | **1.00** | **1.00** |"), "{text}");
    }

    #[test]
    fn growth_is_held_against_the_size_before() {
        let measured = |size, eave: f64| complexity::Measured {
            name: "ZADD",
            size,
            eave: vec![eave],
            redis: vec![2.0],
        };
        let mut all = vec![measured(1000, 1.0), measured(10_000, 1.5)];
        all.push(complexity::Measured { name: "XADD", eave: Vec::new(), ..measured(1000, 0.0) });
        let text = complexity_table(&all);
        assert!(text.contains("| ZADD | 1000 | 1.00 |  | 2.00 |  | **0.50** |"), "{text}");
        assert!(text.contains("|  | 10000 | 1.50 | 1.50 | 2.00 | 1.00 | **0.75** |"), "{text}");
        assert!(text.contains("| XADD | 1000 | - | - | 2.00 |  | - |"), "{text}");
    }

    #[test]
    fn figures_replace_those_of_their_own_part_only() {
        let once = replaced("# Benchmarks\n", "speed", "a\n").unwrap();
        let both = replaced(&once, "memory", "b\n").unwrap();
        let again = replaced(&both, "speed", "c\n").unwrap();
        assert_eq!(again, both.replace("a\n", "c\n"));
        assert!(replaced("<!-- speed: begin -->\n", "speed", "d").is_err());
    }
}
