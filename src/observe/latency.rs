//! LATENCY: of each kind of event, the worst times of the last seconds that had one beyond
//! `latency-monitor-threshold`.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::limits::LATENCY_SAMPLES;

/// What can take long here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happening {
    /// A command that takes as long as its work.
    Command,
    /// A command that should take no time.
    FastCommand,
    /// A slice of the work of freeing due keys.
    ExpireCycle,
    /// Evicting keys before a command, or between commands.
    EvictionCycle,
    /// Everything that is done ten times a second.
    Cron,
}

impl Happening {
    /// All of them.
    pub const ALL: [Happening; 5] = [
        Happening::Command,
        Happening::FastCommand,
        Happening::ExpireCycle,
        Happening::EvictionCycle,
        Happening::Cron,
    ];

    /// The name that LATENCY takes and shows.
    pub fn name(self) -> &'static str {
        match self {
            Happening::Command => "command",
            Happening::FastCommand => "fast-command",
            Happening::ExpireCycle => "expire-cycle",
            Happening::EvictionCycle => "eviction-cycle",
            Happening::Cron => "cron",
        }
    }

    /// The event of a name, in any case.
    pub fn find(name: &[u8]) -> Option<Happening> {
        Happening::ALL.into_iter().find(|event| name.eq_ignore_ascii_case(event.name().as_bytes()))
    }
}

/// The worst time of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The second, in unix time.
    pub at: u64,
    /// Milliseconds.
    pub ms: u64,
}

/// What is known of one kind of event.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The oldest first.
    pub samples: Vec<Sample>,
    /// Milliseconds of the worst since the last reset.
    pub worst: u64,
}

impl History {
    fn add(&mut self, sample: Sample) {
        self.worst = self.worst.max(sample.ms);
        match self.samples.last_mut() {
            Some(last) if last.at == sample.at => last.ms = last.ms.max(sample.ms),
            _ => {
                if self.samples.len() == LATENCY_SAMPLES {
                    self.samples.remove(0);
                }
                self.samples.push(sample);
            }
        }
    }
}

/// All events.
#[derive(Debug, Default)]
pub struct Latency(Mutex<BTreeMap<Happening, History>>);

impl Latency {
    /// Notes an event that ended at the unix second `at`.
    pub fn add(&self, event: Happening, at: u64, ms: u64) {
        self.0.lock().entry(event).or_default().add(Sample { at, ms });
    }

    /// What is known of an event, if it has happened.
    pub fn history(&self, event: Happening) -> Option<History> {
        self.0.lock().get(&event).cloned()
    }

    /// Every event that has happened.
    pub fn all(&self) -> Vec<(Happening, History)> {
        self.0.lock().iter().map(|(event, history)| (*event, history.clone())).collect()
    }

    /// Forgets an event; answers whether there was something to forget.
    pub fn reset(&self, event: Happening) -> bool {
        self.0.lock().remove(&event).is_some()
    }
}

/// Rows of a graph.
const ROWS: usize = 4;
/// What a row's last step looks like; what is above it, below.
const STEPS: [char; 3] = ['_', 'o', '#'];

/// A graph of samples, the oldest at the left, with their ages below, as LATENCY GRAPH shows it.
pub fn graph(samples: &[Sample], now: u64) -> String {
    let low = samples.iter().map(|sample| sample.ms).min().unwrap_or(0);
    let high = samples.iter().map(|sample| sample.ms).max().unwrap_or(0);
    let steps = (ROWS * STEPS.len()) as u64;
    let height = |sample: &Sample| {
        let step = (sample.ms - low).saturating_mul(steps) / (high - low).max(1);
        usize::try_from(step.min(steps - 1)).unwrap_or(0)
    };
    let bar = |sample: &Sample, floor: usize| match height(sample).checked_sub(floor) {
        None => ' ',
        Some(above) => STEPS.get(above).copied().unwrap_or('|'),
    };
    let ages: Vec<String> = samples.iter().map(|sample| age(now, sample.at)).collect();
    let longest = ages.iter().map(String::len).max().unwrap_or(0);
    let mut lines: Vec<String> = (0..ROWS)
        .rev()
        .map(|row| samples.iter().map(|sample| bar(sample, row * STEPS.len())).collect())
        .collect();
    lines.push(" ".repeat(samples.len()));
    let letter = |age: &String, at| age.as_bytes().get(at).map_or(' ', |byte| char::from(*byte));
    lines.extend((0..longest).map(|at| ages.iter().map(|age| letter(age, at)).collect::<String>()));
    lines.join("\n") + "\n"
}

fn age(now: u64, at: u64) -> String {
    let seconds = now.saturating_sub(at);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What LATENCY DOCTOR says of one kind of event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diagnosis {
    /// How many seconds had one.
    pub spikes: u64,
    /// The mean of their worst times, in milliseconds.
    pub average: u64,
    /// How far they are from it, in the mean.
    pub deviation: u64,
    /// Seconds between two.
    pub period: f64,
}

/// Looks at the samples of one kind of event.
pub fn diagnose(samples: &[Sample], now: u64) -> Diagnosis {
    let count = samples.len().max(1) as u64;
    let average = samples.iter().map(|sample| sample.ms).sum::<u64>() / count;
    let deviation = samples.iter().map(|sample| sample.ms.abs_diff(average)).sum::<u64>() / count;
    let since = samples.first().map_or(0, |first| now.saturating_sub(first.at)).max(1);
    let period = since as f64 / count as f64;
    Diagnosis { spikes: samples.len() as u64, average, deviation, period }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst() {
        let latency = Latency::default();
        for (at, ms) in [(1, 10), (1, 30), (1, 20), (2, 5)] {
            latency.add(Happening::Command, at, ms);
        }
        let history = latency.history(Happening::Command).unwrap();
        assert_eq!(history.samples, [Sample { at: 1, ms: 30 }, Sample { at: 2, ms: 5 }]);
        assert_eq!(history.worst, 30);
        (3..1000).for_each(|at| latency.add(Happening::Command, at, at));
        let history = latency.history(Happening::Command).unwrap();
        assert_eq!(history.samples.len(), LATENCY_SAMPLES);
        assert_eq!((history.samples.last().unwrap().at, history.worst), (999, 999));
        assert!(latency.reset(Happening::Command) && !latency.reset(Happening::Command));
        assert!(latency.all().is_empty());
    }

    #[test]
    fn graphs_rise() {
        let samples: Vec<Sample> =
            [(0, 10), (99, 20), (100, 30)].map(|(at, ms)| Sample { at, ms }).into();
        let lines = ["  #", " _|", " ||", "_||", "   ", "110", "mss"];
        assert_eq!(graph(&samples, 100), lines.join("\n") + "\n");
        assert_eq!(graph(&samples[..1], 5), " \n \n \n_\n \n5\ns\n");
        assert_eq!(diagnose(&samples, 100).average, 20);
    }
}
