//! What `--help` and `--version` print, made from the table.
//!
//! Left out on purpose: colours and paging; the text goes through any pipe as it is.

use std::fmt::Write;

use super::Config;
use super::kind::Kind;
use super::rows::INERT;
use super::table::{Directive, When, acting};

/// Columns of the text.
const WIDTH: usize = 100;

const USAGE: &str = "\
Usage: eave [/path/to/eave.conf] [--directive value ...] [-]
       eave -                 (read the configuration from standard input)
       eave -v or --version
       eave -h or --help
       eave import SOURCE     (moves the keys of a Redis in: see eave import --help)

Examples:
       eave                   (Redis protocol on 127.0.0.1:6379, REST on 127.0.0.1:8079)
       eave /etc/eave.conf
       eave --port 7777 --replicaof 127.0.0.1 6379
       eave /etc/eave.conf --maxmemory 512mb --loglevel verbose
       echo 'maxmemory 128mb' | eave -
       EAVE_REST_TOKEN=s3cret eave

Every directive can be a line of the file (redis.conf syntax, `include path` too), a variable of
the environment, or an option. Later ones win: defaults, file, environment, options. Those marked
* can only be set at start; CONFIG SET changes the others while the server runs.
";

/// The version, in the form of redis-server's.
pub(super) fn version() -> String {
    format!("Eave server v={} bits={}\n", env!("CARGO_PKG_VERSION"), usize::BITS)
}

/// The whole help.
pub(super) fn help() -> String {
    let mut text = format!(
        "Eave {}: edge cache and rate limiter, Redis protocol and REST in one binary\n\n{USAGE}",
        env!("CARGO_PKG_VERSION")
    );
    let defaults = Config::default();
    let mut group = None;
    for directive in acting() {
        if group.replace(directive.group) != Some(directive.group) {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "\n{}:", directive.group.title());
        }
        describe(&mut text, directive, &defaults);
    }
    text.push_str("\nAccepted for compatibility, without effect:\n");
    wrap(&mut text, 4, INERT.iter().map(|directive| directive.name));
    text
}

/// How to write it; what it does; where else it can be written, and what it is without.
fn describe(text: &mut String, directive: &Directive, defaults: &Config) {
    let star = if directive.when == When::Runtime { ' ' } else { '*' };
    let _ = writeln!(text, " {star}--{} {}", directive.name, placeholder(&directive.kind));
    wrap(text, 6, directive.help.split(' '));
    if let Kind::Choice { names, .. } = directive.kind {
        wrap(text, 6, std::iter::once("one of").chain(names.iter().copied()));
    }
    let also = match directive.aliases {
        [] => String::new(),
        aliases => format!(" [also: {}]", aliases.join(", ")),
    };
    let default = default_of(directive, defaults);
    let facts = format!("[default: {default}] [env: {}]{also}", directive.variable());
    wrap(text, 6, facts.split(' '));
}

fn placeholder(kind: &Kind) -> String {
    match kind {
        Kind::Number { .. } => "<number>".to_owned(),
        Kind::Bytes { .. } => "<bytes>".to_owned(),
        Kind::YesNo { .. } => "yes|no".to_owned(),
        Kind::Choice { .. } => "<name>".to_owned(),
        Kind::Text { .. } | Kind::Inert { .. } => "<text>".to_owned(),
        Kind::Secret { .. } => "<secret>".to_owned(),
        Kind::Words { shape, .. } => (*shape).to_owned(),
        Kind::Fixed { value: "", .. } => "\"\"".to_owned(),
        Kind::Fixed { value, .. } => (*value).to_owned(),
    }
}

/// The default, bytes with the largest unit that loses nothing.
fn default_of(directive: &Directive, defaults: &Config) -> String {
    match directive.kind {
        Kind::Bytes { get, .. } => with_unit(get(defaults)),
        _ => match String::from_utf8_lossy(&directive.get(defaults)).as_ref() {
            "" => "\"\"".to_owned(),
            value => value.to_owned(),
        },
    }
}

fn with_unit(bytes: u64) -> String {
    [("gb", 30), ("mb", 20), ("kb", 10)]
        .into_iter()
        .find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift)
        .map_or_else(|| bytes.to_string(), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

/// Adds words as lines that keep within the width, `indent` spaces before each.
fn wrap<'a>(text: &mut String, indent: usize, words: impl Iterator<Item = &'a str>) {
    let mut column = 0;
    for word in words {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        }
        let spaces = if column == 0 { indent } else { 1 };
        let _ = write!(text, "{:spaces$}{word}", "");
        column += spaces + word.len();
    }
    text.push('\n');
}
