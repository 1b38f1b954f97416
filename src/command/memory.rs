//! MEMORY: what takes how much.

use super::args::{integer, is};
use super::server::row;
use super::{Argv, Command, Flags, Keys, Run, help};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::node::Node;
use crate::observe::footprint::Footprint;
use crate::observe::memory;
use crate::resp::Reply;
use crate::session::Session;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[Command {
    subcommands: SUBCOMMANDS,
    complexity: "Depends on subcommand.",
    ..row("memory", "", "A container for memory diagnostics commands.", "4.0.0", -2)
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        run: Run::Session(doctor),
        ..row("doctor", "", "Outputs a memory problems report.", "4.0.0", 2)
    },
    Command {
        run: Run::Session(malloc_stats),
        complexity: "Depends on how much memory is allocated, could be slow",
        ..row("malloc-stats", "", "Returns the allocator statistics.", "4.0.0", 2)
    },
    Command {
        run: Run::Session(purge),
        complexity: "Depends on how much memory is allocated, could be slow",
        ..row("purge", "", "Asks the allocator to release memory.", "4.0.0", 2)
    },
    Command {
        run: Run::Session(stats),
        ..row("stats", "", "Returns details about memory usage.", "4.0.0", 2)
    },
    Command {
        keys: Keys::At { first: 2, last: 2, step: 1 },
        run: Run::Read(usage),
        complexity: "O(N) where N is the number of samples.",
        ..row("usage", "key [SAMPLES count]", "Estimates the memory usage of a key.", "4.0.0", -3)
    },
    Command {
        flags: Flags::LOADING.union(Flags::STALE),
        run: Run::Session(show_help),
        ..row("help", "", "Returns helpful text about the different subcommands.", "4.0.0", 2)
    },
];

/// Bytes of a table for each entry: two words, the hash beside them, and the room between.
const SLOT_BYTES: usize = 32;

fn usage(view: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut options = &argv[3..];
    // Nothing is sampled here: a value knows what it takes.
    while let [word, count, rest @ ..] = options {
        if !is(word, "SAMPLES") {
            return Err(Fault::SYNTAX);
        }
        if integer(count)? < 0 {
            return Err(Fault::SYNTAX);
        }
        options = rest;
    }
    if !options.is_empty() {
        return Err(Fault::SYNTAX);
    }
    match view.peek(argv[2]) {
        Some(entry) => reply.integer((entry.heap_bytes() + SLOT_BYTES) as i64),
        None => reply.null(),
    }
    Ok(())
}

fn stats(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let print = Footprint::of(node);
    let bytes: [(&str, u64); 11] = [
        ("peak.allocated", print.peak),
        ("total.allocated", print.used),
        ("startup.allocated", print.startup),
        ("replication.backlog", print.backlog),
        ("clients.slaves", print.replicas),
        ("clients.normal", print.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", print.scripts),
        ("functions.caches", print.functions),
        ("overhead.total", print.overhead()),
    ];
    let databases: Vec<_> = print.databases.iter().filter(|(_, count)| count.keys > 0).collect();
    reply.map(27 + databases.len());
    for (name, value) in &bytes[..10] {
        put(name, *value, reply);
    }
    for (db, count) in databases {
        reply.bulk(format!("db.{db}").as_bytes());
        reply.map(3);
        put("overhead.hashtable.main", (count.keys * SLOT_BYTES) as u64, reply);
        // When a key is due stands beside it.
        put("overhead.hashtable.expires", (count.expiring * 8) as u64, reply);
        put("overhead.hashtable.slot-to-keys", 0, reply);
    }
    put(bytes[10].0, bytes[10].1, reply);
    put("keys.count", print.keys(), reply);
    put("keys.bytes-per-key", print.used_by_data().checked_div(print.keys()).unwrap_or(0), reply);
    put("dataset.bytes", print.dataset(), reply);
    ratio("dataset.percentage", print.dataset_percent(), reply);
    ratio("peak.percentage", print.peak_percent(), reply);
    put("allocator.allocated", print.heap.allocated, reply);
    put("allocator.active", print.heap.active, reply);
    put("allocator.resident", print.heap.resident, reply);
    for (name, part, whole) in print.ratios() {
        ratio(&format!("{name}.ratio"), part as f64 / whole.max(1) as f64, reply);
        signed(&format!("{name}.bytes"), part as i64 - whole as i64, reply);
    }
    ratio("fragmentation", print.fragmentation(), reply);
    signed("fragmentation.bytes", print.rss as i64 - print.used as i64, reply);
    Ok(())
}

fn put(name: &str, value: u64, reply: &mut dyn Reply) {
    reply.bulk(name.as_bytes());
    reply.integer(i64::try_from(value).unwrap_or(i64::MAX));
}

fn signed(name: &str, value: i64, reply: &mut dyn Reply) {
    reply.bulk(name.as_bytes());
    reply.integer(value);
}

fn ratio(name: &str, value: f64, reply: &mut dyn Reply) {
    reply.bulk(name.as_bytes());
    reply.double(value);
}

fn doctor(node: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    const LITTLE: u64 = 5 << 20;
    let print = Footprint::of(node);
    if print.used < LITTLE {
        reply.verbatim("This node holds next to nothing, too little to judge how it is kept.\n");
        return Ok(());
    }
    let mut found: Vec<String> = Vec::new();
    if print.peak as f64 > print.used as f64 * 1.5 {
        found.push(format!(
            "Peak: {} bytes were in use once, now it is {}. The allocator may keep what was freed; \
             MEMORY PURGE gives it back.",
            print.peak, print.used
        ));
    }
    if print.fragmentation() > 1.4 && print.rss - print.used > 10 << 20 {
        found.push(format!(
            "Fragmentation: the process holds {:.2} times what is in use. Values of many sizes \
             that come and go do that; a restart, with a replica taking over, undoes it.",
            print.fragmentation()
        ));
    }
    let clients = print.client_count.max(1);
    if print.clients / clients > 200 << 10 {
        found.push(format!(
            "Clients: they take {} bytes each. CLIENT LIST shows in omem who does not read, in \
             qbuf who sends large requests.",
            print.clients / clients
        ));
    }
    if print.replicas > 10 << 20 {
        found.push(
            "Replicas: what they have not taken yet is large. INFO replication shows who lags."
                .to_owned(),
        );
    }
    if found.is_empty() {
        reply.verbatim("Nothing about the memory of this node looks wrong.\n");
        return Ok(());
    }
    let lines: String = found.iter().map(|line| format!(" * {line}\n\n")).collect();
    reply.verbatim(&format!("What looks wrong about the memory of this node:\n\n{lines}"));
    Ok(())
}

fn malloc_stats(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    reply.verbatim(&memory::allocator_report());
    Ok(())
}

fn purge(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if memory::purge().is_err() {
        return Err(Fault::new("ERR Error purging dirty pages"));
    }
    reply.ok();
    Ok(())
}

fn show_help(_: &Node, _: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    help(
        "MEMORY",
        &[
            ("DOCTOR", "Say in words what is wrong about memory."),
            ("MALLOC-STATS", "Return what the allocator says of itself."),
            ("PURGE", "Have the allocator give back what is free."),
            ("STATS", "Return what takes how much memory."),
            (
                "USAGE <key> [SAMPLES <count>]",
                "Return the bytes that <key> and its value take.\n\
                 All of the value is counted, whatever <count> says.",
            ),
        ],
        reply,
    );
    Ok(())
}
