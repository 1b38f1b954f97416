//! The process: MONITOR, SHUTDOWN, LOLWUT.

use super::args::{integer, is};
use super::server::row;
use super::{Argv, Command, Flags, Keys, Run};
use crate::fault::{Fault, Outcome};
use crate::keyspace::ReadView;
use crate::node::Node;
use crate::observe::info::REDIS_VERSION;
use crate::rare::Rare;
use crate::resp::Reply;
use crate::session::Session;
use crate::shutdown::Shutting;

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command {
        flags: ADMIN.union(Flags::NO_REST),
        run: Run::Session(monitor),
        ..row(
            "monitor",
            "",
            "Listens for all requests received by the server in real-time.",
            "1.0.0",
            1,
        )
    },
    Command {
        flags: ADMIN.union(Flags::NO_MULTI).union(Flags::ALLOW_BUSY).union(Flags::NO_REST),
        run: Run::Session(shutdown),
        complexity: "O(1)",
        ..row(
            "shutdown",
            "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
            "Shuts down the server.",
            "1.0.0",
            -1,
        )
    },
    Command {
        flags: Flags::FAST,
        keys: Keys::None,
        run: Run::Read(lolwut),
        ..row("lolwut", "[VERSION version]", "Displays computer art and the version.", "5.0.0", -1)
    },
];

const ADMIN: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE);

fn monitor(node: &Node, session: &mut Session, _: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    if session.executing.is_some() {
        return Err(Fault::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // Who watches already is not even answered, as in Redis.
    if !session.rare.contains(Rare::MONITORS) {
        session.watch_all(node);
        reply.ok();
    }
    Ok(())
}

/// What is asked of SHUTDOWN, in the sense of Redis. There is nothing to save yet, so SAVE and
/// FORCE, which are about saving, change nothing; NOW does not wait for replicas.
#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    save: bool,
    nosave: bool,
    now: bool,
    force: bool,
    abort: bool,
}

impl Wish {
    fn parse(options: Argv<'_>) -> Result<Wish, Fault> {
        let mut wish = Wish::default();
        for option in options {
            let said = [
                ("SAVE", &mut wish.save),
                ("NOSAVE", &mut wish.nosave),
                ("NOW", &mut wish.now),
                ("FORCE", &mut wish.force),
                ("ABORT", &mut wish.abort),
            ]
            .into_iter()
            .find(|(name, _)| is(option, name));
            *said.ok_or(Fault::SYNTAX)?.1 = true;
        }
        let alone = !(wish.save || wish.nosave || wish.now || wish.force);
        if (wish.save && wish.nosave) || (wish.abort && !alone) {
            return Err(Fault::SYNTAX);
        }
        Ok(wish)
    }
}

fn shutdown(node: &Node, session: &mut Session, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let wish = Wish::parse(&argv[1..])?;
    if wish.abort {
        if !Shutting::abort(node) {
            return Err(Fault::new("ERR No shutdown in progress."));
        }
        reply.ok();
        return Ok(());
    }
    if !session.waits_for_end {
        tracing::info!("client {}: SHUTDOWN", session.client.id);
        Shutting::begin(node, wish.now);
    } else if !Shutting::is_on(node) && !node.shutdown.is_cancelled() {
        session.waits_for_end = false;
        return Err(Fault::new("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    if node.shutdown.is_cancelled() {
        // As in Redis, nobody answers: the connection ends.
        session.closing = true;
        return Ok(());
    }
    session.waits_for_end = true;
    session.held = true;
    Err(Fault::Contended)
}

fn lolwut(_: &ReadView<'_, '_>, argv: Argv<'_>, reply: &mut dyn Reply) -> Outcome {
    let mut version = None;
    let mut sizes = &argv[1..];
    if let [word, number, rest @ ..] = sizes
        && is(word, "VERSION")
    {
        version = Some(integer(number)?);
        sizes = rest;
    }
    let art = match version {
        Some(5 | 6) => wave(sizes)?,
        _ => String::new(),
    };
    reply.verbatim(&format!(
        "{art}Redis ver. {REDIS_VERSION}, Eave {}\n",
        env!("CARGO_PKG_VERSION")
    ));
    Ok(())
}

/// The swell under the eaves: a surface of Braille dots, as wide and as high as is asked.
fn wave(sizes: Argv<'_>) -> Result<String, Fault> {
    let size = |at: usize, most: i64, otherwise: i64| -> Result<i64, Fault> {
        let size = sizes.get(at).map_or(Ok(otherwise), |size| integer(size))?;
        Ok(size.clamp(1, most))
    };
    let (columns, rows) = (size(0, 120, 66)?, size(1, 40, 6)?);
    let height = |x: i64| {
        let x = x as f64 / 7.0;
        let level = (x.sin() + (x * 0.37).sin() * 1.4 + 2.4) / 4.8;
        (level * (rows * 4) as f64) as i64
    };
    let mut text = String::new();
    for row in 0..rows {
        for column in 0..columns {
            // The dots of a Braille cell, from the left column's top down.
            let dots = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
            let under = |(x, y): (i64, i64)| rows * 4 - row * 4 - y <= height(column * 2 + x);
            let bits = (0..).zip(dots).filter(|(_, dot)| under(*dot)).map(|(bit, _)| 1u32 << bit);
            text.push(char::from_u32(0x2800 + bits.sum::<u32>()).unwrap_or(' '));
        }
        text.push('\n');
    }
    Ok(text + "\n")
}
