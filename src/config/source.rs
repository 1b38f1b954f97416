//! Where settings come from: the file, the environment, the command line, in that order.
//!
//! Everything ends in the same call, [`Directive::set`], with the origin kept for the error. Left
//! out on purpose: patterns in `include`, and any file that the user has not named.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Config;
use super::error::{ConfigError, Origin, printable};
use super::help;
use super::kind::{Kind, Reason, Stage};
use super::table::{Directive, find, nearest};
use crate::access::file::UserLine;

/// How deep files may include each other; a file that includes itself ends here.
const INCLUDE_DEPTH: usize = 16;
/// Bytes of one file: far beyond any real one, and an end for `/dev/zero`.
const FILE_BYTES: u64 = 4 << 20;
/// What the names of our variables start with.
const PREFIX: &str = "EAVE_";

/// What the process was asked to do.
#[derive(Debug, PartialEq)]
pub enum Start {
    /// Serve, with these settings.
    Run(Box<Config>),
    /// Print this text and exit successfully: `--help` or `--version`.
    Print(String),
}

impl Config {
    /// Reads the settings of a process: defaults, then the configuration file, then the variables
    /// `EAVE_*`, then the options; later ones win.
    ///
    /// `args` is what [`std::env::args_os`] yields, the program's name first; `env` what
    /// [`std::env::vars_os`] yields. Reads the named files, and standard input when `-` asks for it.
    ///
    /// # Errors
    /// The first setting that is wrong, with its origin, or a file that cannot be read.
    pub fn from_process(
        args: impl Iterator<Item = OsString>,
        env: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Start, ConfigError> {
        load(args, env, io::stdin())
    }
}

pub(super) fn load(
    args: impl Iterator<Item = OsString>,
    env: impl Iterator<Item = (OsString, OsString)>,
    stdin: impl Read,
) -> Result<Start, ConfigError> {
    let args: Vec<Vec<u8>> = args.skip(1).map(OsString::into_encoded_bytes).collect();
    let CommandLine { file, stdin: reads_stdin, options } = match CommandLine::parse(&args)? {
        Asked::Help => return Ok(Start::Print(help::help())),
        Asked::Version => return Ok(Start::Print(help::version())),
        Asked::Run(line) => line,
    };
    let mut config = Config::default();
    if let Some(path) = file {
        include(&mut config, &path, &Origin::CommandLine, 0)?;
        config.config_file = Some(path);
    }
    if reads_stdin {
        let name = "standard input";
        let text = read_bounded(stdin).map_err(|source| ConfigError::Read {
            origin: Origin::CommandLine,
            path: name.to_owned(),
            source,
        })?;
        lines(&mut config, name, &text, 0)?;
    }
    variables(&mut config, env)?;
    for Setting { name, words } in options {
        let origin = Origin::Option(printable(name));
        apply(&mut config, name, &words, origin, Stage::Adding, 0)?;
    }
    Ok(Start::Run(Box::new(config)))
}

/// What the arguments ask for.
enum Asked<'a> {
    Help,
    Version,
    Run(CommandLine<'a>),
}

/// The arguments of a start, not yet applied.
#[derive(Default)]
struct CommandLine<'a> {
    file: Option<PathBuf>,
    stdin: bool,
    options: Vec<Setting<'a>>,
}

/// One option with its values.
struct Setting<'a> {
    name: &'a [u8],
    words: Vec<Vec<u8>>,
}

impl<'a> CommandLine<'a> {
    /// redis-server's grammar: `[file] [--name value ...]... [-]`. A value may start with one dash
    /// (`--bind -::1`); what starts with two is the next option. `--name=value` is ours, and the
    /// only way to give a value that starts with two dashes.
    ///
    /// Written by hand because a grammar of options has no word for "any number of values, dashes
    /// allowed, until the next option".
    fn parse(args: &'a [Vec<u8>]) -> Result<Asked<'a>, ConfigError> {
        let mut line = Self::default();
        let mut rest = args;
        match rest.first().map(Vec::as_slice) {
            Some(b"-h" | b"--help") => return Ok(Asked::Help),
            Some(b"-v" | b"--version") => return Ok(Asked::Version),
            _ => {}
        }
        if let Some((last, before)) = rest.split_last()
            && last == b"-"
        {
            line.stdin = true;
            rest = before;
        }
        if let Some((first, after)) = rest.split_first()
            && !first.starts_with(b"-")
        {
            line.file = Some(PathBuf::from(String::from_utf8_lossy(first).into_owned()));
            rest = after;
        }
        for arg in rest {
            if let Some(option) = arg.strip_prefix(b"--") {
                match option {
                    b"help" => return Ok(Asked::Help),
                    b"version" => return Ok(Asked::Version),
                    option => line.options.push(Setting::parse(option)),
                }
            } else if let Some(setting) = line.options.last_mut() {
                setting.words.push(arg.clone());
            } else {
                // The argument is not shown: `eave requirepass s3cret` is an easy slip.
                return Err(ConfigError::Syntax {
                    origin: Origin::CommandLine,
                    reason: "expected [file.conf] and then options such as --port 6379".to_owned(),
                });
            }
        }
        Ok(Asked::Run(line))
    }
}

impl<'a> Setting<'a> {
    fn parse(option: &'a [u8]) -> Self {
        match option.iter().position(|&byte| byte == b'=') {
            Some(at) => Self { name: &option[..at], words: vec![option[at + 1..].to_vec()] },
            None => Self { name: option, words: Vec::new() },
        }
    }
}

/// Reads the file at `path` into `config`; `depth` files led to it.
fn include(
    config: &mut Config,
    path: &Path,
    origin: &Origin,
    depth: usize,
) -> Result<(), ConfigError> {
    if depth > INCLUDE_DEPTH {
        return Err(ConfigError::Syntax {
            origin: origin.clone(),
            reason: format!("files include each other more than {INCLUDE_DEPTH} deep"),
        });
    }
    let file = printable(path.as_os_str().as_encoded_bytes());
    let text = File::open(path).and_then(read_bounded).map_err(|source| ConfigError::Read {
        origin: origin.clone(),
        path: file.clone(),
        source,
    })?;
    lines(config, &file, &text, depth)
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(io::Error::other(format!("larger than {} MiB", FILE_BYTES >> 20)));
    }
    Ok(text)
}

/// Applies the lines of a file in redis.conf syntax.
fn lines(config: &mut Config, file: &str, text: &[u8], depth: usize) -> Result<(), ConfigError> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let origin = Origin::Line { file: file.to_owned(), line: index + 1 };
        let Some(words) = split_words(line) else {
            return Err(ConfigError::Syntax {
                origin,
                reason: "a quote is not closed, or text follows a closing quote".to_owned(),
            });
        };
        if let Some((name, words)) = words.split_first() {
            apply(config, name, words, origin, Stage::Adding, depth)?;
        }
    }
    Ok(())
}

/// Applies the variables whose name starts with `EAVE_`, in the order of their names.
fn variables(
    config: &mut Config,
    env: impl Iterator<Item = (OsString, OsString)>,
) -> Result<(), ConfigError> {
    let mut ours: Vec<(String, Vec<u8>)> = env
        .filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix(PREFIX)?.to_owned();
            Some((name, value.into_encoded_bytes()))
        })
        .filter(|(name, value)| !made_by_an_orchestrator(name, value))
        // Those of `eave import`, which may be set in the same shell.
        .filter(|(name, _)| !name.starts_with("IMPORT_"))
        .collect();
    ours.sort();
    for (name, value) in ours {
        let origin = Origin::Variable(printable(format!("{PREFIX}{name}").as_bytes()));
        let directive = name.to_ascii_lowercase().replace('_', "-");
        let words = match find(&directive) {
            Some(directive) => directive.words_of(&value),
            None => Vec::new(),
        };
        // A variable does not include: it could not say in which order.
        let depth = usize::MAX;
        apply(config, directive.as_bytes(), &words, origin, Stage::Replacing, depth)?;
    }
    Ok(())
}

/// Kubernetes and Docker links describe a *service* called `eave` to every container in variables
/// of these shapes (`EAVE_SERVICE_HOST`, `EAVE_PORT=tcp://10.0.0.7:6379`, `EAVE_PORT_6379_TCP`).
/// They are no settings, and must not keep a server from starting.
fn made_by_an_orchestrator(name: &str, value: &[u8]) -> bool {
    let address = value.starts_with(b"tcp://") || value.starts_with(b"udp://");
    name.starts_with("SERVICE_") || name.starts_with("PORT_") || (name == "PORT" && address)
}

/// Applies one directive, wherever it was written.
fn apply(
    config: &mut Config,
    name: &[u8],
    words: &[Vec<u8>],
    origin: Origin,
    stage: Stage,
    depth: usize,
) -> Result<(), ConfigError> {
    if name.eq_ignore_ascii_case(b"include") && depth != usize::MAX {
        return match words {
            [path] => {
                let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
                include(config, &path, &origin, depth + 1)
            }
            _ => Err(ConfigError::Value {
                origin,
                shown: "include".to_owned(),
                reason: Reason::Count(words.len()).plain(),
            }),
        };
    }
    if name.eq_ignore_ascii_case(b"user") {
        return user(config, words, origin);
    }
    let text = String::from_utf8_lossy(name);
    let Some(directive) = find(&text) else {
        return Err(ConfigError::Unknown {
            origin,
            name: printable(name),
            nearest: nearest(&text),
        });
    };
    directive.set(config, words, stage).map_err(|reason| ConfigError::Value {
        origin,
        shown: shown(directive, name, words),
        reason: reason.plain(),
    })
}

/// Adds a user. It is no directive, since there is one for each user; CONFIG does not show it.
fn user(config: &mut Config, words: &[Vec<u8>], origin: Origin) -> Result<(), ConfigError> {
    let name = words.first().map_or(&b""[..], Vec::as_slice);
    let refuse = |reason: &str| ConfigError::Value {
        origin,
        // Its rules may be passwords.
        shown: printable(&[b"user ", name].concat()),
        reason: reason.to_owned(),
    };
    if config.users.iter().any(|known| known.name == name) {
        return Err(refuse("there is a user of this name already"));
    }
    let line = UserLine::parse(words).map_err(refuse)?;
    config.users.push(line);
    Ok(())
}

/// A directive and its values for an error, without what a secret holds.
fn shown(directive: &Directive, name: &[u8], words: &[Vec<u8>]) -> String {
    if matches!(directive.kind, Kind::Secret { .. }) {
        return format!("{} (hidden)", directive.name);
    }
    let mut text = name.to_vec();
    for word in words {
        text.push(b' ');
        text.extend(if word.is_empty() { b"\"\"" } else { word.as_slice() });
    }
    printable(&text)
}

/// Cuts a line into words as redis.conf and inline commands do; `None` if its quotes are wrong.
///
/// Words are separated by white space. Within double quotes `\n \r \t \b \a` and `\xHH` stand for
/// bytes, and a backslash before anything else for that; within single quotes only `\'`. A closing
/// quote must end its word.
pub fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = trim_start(line);
    while !rest.is_empty() {
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = trim_start(after);
    }
    Some(words)
}

/// C's `isspace`: the vertical tab, too, which Rust's ASCII white space leaves out.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn trim_start(line: &[u8]) -> &[u8] {
    let spaces = line.iter().take_while(|&&byte| is_space(byte)).count();
    &line[spaces..]
}

/// The first word of `line`, which starts with it, and what follows.
fn next_word(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' | b'\'' => {
                let after = quoted(byte, after, &mut word)?;
                return after.first().is_none_or(|&byte| is_space(byte)).then_some((word, after));
            }
            space if is_space(space) => break,
            other => {
                word.push(other);
                after
            }
        };
    }
    Some((word, rest))
}

/// Adds what stands before the closing `quote` to `word`, and answers what follows the quote.
fn quoted<'a>(quote: u8, text: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut rest = text;
    loop {
        rest = match (quote, rest) {
            (_, []) => return None,
            (b'"', [b'\\', b'x', high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                word.push(hex(*high) << 4 | hex(*low));
                after
            }
            (b'"', [b'\\', escaped, after @ ..]) => {
                word.push(unescape(*escaped));
                after
            }
            (b'\'', [b'\\', b'\'', after @ ..]) => {
                word.push(b'\'');
                after
            }
            (_, [byte, after @ ..]) if *byte == quote => return Some(after),
            (_, [byte, after @ ..]) => {
                word.push(*byte);
                after
            }
        };
    }
}

fn unescape(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The value of a hexadecimal digit.
fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.to_ascii_lowercase().wrapping_sub(b'a').wrapping_add(10),
    }
}
