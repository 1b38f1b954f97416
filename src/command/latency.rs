//! LATENCY: what has taken long, and how long commands take.

use std::fmt::Write as _;

use super::args::is;
use super::server::row;
use super::{Argv, Command, Flags, Number, Run, full_name, help, lookup, numbered};
use crate::clock;
use crate::fault::{Fault, Outcome, shown};
use crate::node::Node;
use crate::observe::commands::Sums;
use crate::observe::latency::{Happening, diagnose, graph};
use crate::resp::Reply;
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    subcommands: SUBCOMMANDS,
    complexity: "Depends on subcommand.",
    ..row("latency", "", "A container for latency diagnostics commands.", "2.8.13", -2)
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        flags: ADMIN,
        run: Run::Session(doctor),
        ..row("doctor", "", "Returns a human-readable latency analysis report.", "2.8.13", 2)
    },
    Command {
        flags: ADMIN,
        run: Run::Session(draw),
        ..row("graph", "event", "Returns a latency graph for an event.", "2.8.13", 3)
    },
    Command {
        flags: ADMIN,
        run: Run::Session(histogram),
        complexity: "O(N) where N is the number of commands with latency information being \
                     retrieved.",
        ..row(
            "histogram",
            "[command [command ...]]",
            "Returns the cumulative distribution of latencies of a subset or all commands.",
            "7.0.0",
            -2,
        )
    },
    Command {
        flags: ADMIN,
        run: Run::Session(history),
        ..row("history", "event", "Returns timestamp-latency samples for an event.", "2.8.13", 3)
    },
    Command {
        flags: ADMIN,
        run: Run::Session(latest),
        ..row("latest", "", "Returns the latest latency samples for all events.", "2.8.13", 2)
    },
    Command {
        flags: ADMIN,
        run: Run::Session(reset),
        ..row(
            "reset",
            "[event [event ...]]",
            "Resets the latency data for one or more events.",
            "2.8.13",
            -2,
        )
    },
    Command {
        flags: STATE,
        run: Run::Session(show_help),
        ..row("help", "", "Returns helpful text about the different subcommands.", "2.8.13", 2)
    },
];

const STATE: Flags = Flags::LOADING.union(Flags::STALE);
const ADMIN: Flags = STATE.union(Flags::ADMIN).union(Flags::NOSCRIPT);

fn seconds() -> u64 {
    clock::unix_ms() / 1000
}

fn doctor(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let config = node.config.load();
    let threshold = config.latency_monitor_threshold;
    if threshold == 0 {
        reply.verbatim(
            "Latency monitoring is off, so there is nothing to tell. \
             CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n",
        );
        return Ok(());
    }
    let events = node.observer.latency.all();
    if events.is_empty() {
        reply.verbatim(&format!("Nothing has taken {threshold} ms or longer so far.\n"));
        return Ok(());
    }
    let mut text = format!("What has taken {threshold} ms or longer:\n\n");
    for (at, (event, history)) in (1..).zip(&events) {
        let found = diagnose(&history.samples, seconds());
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{at}. {}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). \
             Worst all time event {}ms.",
            event.name(),
            found.spikes,
            found.average,
            found.deviation,
            found.period,
            history.worst
        );
    }
    text += "\nWhat may help:\n\n";
    let slow = u64::try_from(config.slowlog_log_slower_than).ok();
    let advice = events.iter().map(|(event, _)| advice(*event)).collect::<Vec<_>>();
    let mut lines: Vec<String> = Vec::new();
    if slow.is_none_or(|micros| micros > threshold.saturating_mul(1000)) {
        lines.push(format!(
            "SLOWLOG keeps less than LATENCY sees: CONFIG SET slowlog-log-slower-than {} keeps as \
             much.",
            threshold.saturating_mul(1000)
        ));
    }
    for line in advice.into_iter().map(str::to_owned) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.iter().for_each(|line| _ = writeln!(text, "- {line}"));
    reply.verbatim(&text);
    Ok(())
}

fn advice(event: Happening) -> &'static str {
    match event {
        Happening::Command => {
            "SLOWLOG GET shows which commands were slow. Those that walk many elements take as \
             long as there are elements; SCAN and its kin do that in steps."
        }
        Happening::FastCommand => {
            "Commands that do little were slow: the machine may be busy, or swap. Look at its \
             load, and whether other programs share the cores."
        }
        Happening::ExpireCycle => {
            "Many keys became due at once. Expiries that differ a little spread that work."
        }
        Happening::EvictionCycle => {
            "Memory is full and keys have to go before writes. A larger maxmemory, or expiries, \
             leave room."
        }
        Happening::Cron => {
            "The work that is done ten times a second was late: the machine may be busy."
        }
    }
}

fn draw(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let known = Happening::find(argv[2]).and_then(|event| {
        let history = node.observer.latency.history(event)?;
        Some((event, history))
    });
    let Some((event, history)) = known else {
        let event = shown(argv[2], usize::MAX);
        return Err(Fault::text(format!("ERR No samples available for event '{event}'")));
    };
    let times = || history.samples.iter().map(|sample| sample.ms);
    let (high, low) = (times().max().unwrap_or(0), times().min().unwrap_or(0));
    let mut text = format!(
        "{} - high {high} ms, low {low} ms (all time high {} ms)\n",
        event.name(),
        history.worst
    );
    text += &"-".repeat(80);
    text.push('\n');
    // A line of a terminal.
    let newest = &history.samples[history.samples.len().saturating_sub(80)..];
    text += &graph(newest, seconds());
    reply.verbatim(&text);
    Ok(())
}

fn histogram(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let all = node.observer.commands.all();
    let tracked = all.into_iter().filter(|(_, sums)| sums.times.total() > 0);
    let found: Vec<(Number, Sums)> =
        tracked.filter(|(number, _)| argv.len() == 2 || is_named(*number, &argv[2..])).collect();
    reply.map(found.len());
    for (number, sums) in found {
        let (container, command) = numbered(number);
        reply.bulk(full_name(container, command).as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(sums.times.total() as i64);
        reply.bulk(b"histogram_usec");
        let lines = sums.times.cumulated();
        reply.map(lines.len());
        for (micros, count) in lines {
            reply.integer(micros as i64);
            reply.integer(count as i64);
        }
    }
    Ok(())
}

/// Whether one of `names` is a command's: its own, its container's, or both with a bar.
fn is_named(number: Number, names: Argv<'_>) -> bool {
    let (container, command) = numbered(number);
    let full = full_name(container, command);
    names.iter().any(|name| {
        is(name, &full)
            || container.is_some_and(|container| {
                lookup(name).is_some_and(|named| std::ptr::eq(named, container))
            })
    })
}

fn history(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let history = Happening::find(argv[2]).and_then(|event| node.observer.latency.history(event));
    let samples = history.map(|history| history.samples).unwrap_or_default();
    reply.array(samples.len());
    for sample in samples {
        reply.integers(&[sample.at as i64, sample.ms as i64]);
    }
    Ok(())
}

fn latest(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let events = node.observer.latency.all();
    reply.array(events.len());
    for (event, history) in events {
        let last = history.samples.last().map_or((0, 0), |sample| (sample.at, sample.ms));
        reply.array(4);
        reply.bulk(event.name().as_bytes());
        reply.integer(last.0 as i64);
        reply.integer(last.1 as i64);
        reply.integer(history.worst as i64);
    }
    Ok(())
}

fn reset(node: &Node, _: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let latency = &node.observer.latency;
    let events: Vec<Happening> = match &argv[2..] {
        [] => Happening::ALL.into(),
        names => names.iter().filter_map(|name| Happening::find(name)).collect(),
    };
    reply.integer(events.into_iter().filter(|event| latency.reset(*event)).count() as i64);
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "LATENCY",
        &[
            ("DOCTOR", "Say in words what took long, and what may help."),
            ("GRAPH <event>", "Draw the samples of an <event>."),
            ("HISTORY <event>", "Return the samples of an <event>: unix time, milliseconds."),
            ("LATEST", "Return the last sample and the worst time of every event."),
            ("RESET [<event> ...]", "Forget the samples of one or more events.\n(default: of all)"),
            (
                "HISTOGRAM [COMMAND ...]",
                "Return how many calls took how long, cumulated, for these commands.\n\
                 Without a name, for all that were called.",
            ),
        ],
        reply,
    );
    Ok(())
}
