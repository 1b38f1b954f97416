//! What the command line of `eave import` asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use super::address::Address;
use super::tls::Files;
use crate::config::Secret;

/// What `eave import --help` prints.
pub(super) const HELP: &str = "\
Moves keys into a running Eave.

Usage: eave import SOURCE [--to TARGET] [options]

SOURCE:
  redis://[user:password@]host[:port][/database]   a Redis, a Valkey or an Eave (rediss:// for TLS)
  FILE.rdb                                         a file of theirs, of RDB version 1 to 12
  -                                                such a file on standard input

Options:
  --to TARGET               host:port or a URL as above [default: 127.0.0.1:6379]
  --live                    after the copy go on applying what the source writes, until Ctrl-C:
                            then catch up with where the source is, and end
  --replace                 overwrite keys that the target has already
  --keep                    leave keys alone that the target has already
                            (without either, a target that holds keys is refused)
  --scan                    do not follow the source as a replica would: SCAN, DUMP and PTTL
  --dry-run                 read everything, write nothing, and count
  --tls-ca-cert-file FILE   authorities for rediss:// [default: those of the system]
  --tls-cert-file FILE      certificate that is shown to servers that ask for one
  --tls-key-file FILE       its key
  -h, --help                this text

Passwords need not stand in the command line, where others may see them: they are also taken from
the variables EAVE_IMPORT_FROM_PASSWORD and EAVE_IMPORT_TO_PASSWORD.

Exit status: 0 when everything was moved, 1 when something was left out or went wrong (it says
what), 2 when the command line is wrong.

Examples:
  eave import redis://127.0.0.1:6380
  eave import /var/lib/redis/dump.rdb --to 127.0.0.1:7000
  eave import rediss://default@example.net:6379 --live
";

/// Where the keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Node(Address),
    File(PathBuf),
    StandardInput,
}

/// What becomes of keys that the target has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// Nothing is written when there are any.
    Refuse,
    Keep,
    Replace,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) source: Source,
    pub(super) target: Address,
    pub(super) existing: Existing,
    pub(super) live: bool,
    pub(super) scan: bool,
    pub(super) dry_run: bool,
    pub(super) tls: Files,
}

/// What the arguments come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Help,
    Import(Box<Options>),
}

/// Reads the arguments behind `import`, and the variables that hold passwords.
///
/// The error says what is wrong, and never shows a password.
pub(super) fn parse(
    args: impl Iterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Asked, String> {
    let mut source: Option<OsString> = None;
    let mut to = "127.0.0.1:6379".to_owned();
    let (mut live, mut scan, mut dry_run, mut replace, mut keep) =
        (false, false, false, false, false);
    let mut tls = Files::default();
    let mut args = args;
    while let Some(arg) = args.next() {
        let text = arg.to_string_lossy().into_owned();
        let (name, mut given) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (text.as_str(), None),
        };
        let mut value = || {
            let next =
                given.take().or_else(|| args.next().map(|next| next.to_string_lossy().into()));
            next.ok_or_else(|| format!("{name} wants a value"))
        };
        match name {
            "-h" | "--help" => return Ok(Asked::Help),
            "--to" => to = value()?,
            "--tls-ca-cert-file" => tls.authorities = Some(value()?.into()),
            "--tls-cert-file" => tls.certificate = Some(value()?.into()),
            "--tls-key-file" => tls.key = Some(value()?.into()),
            _ if given.is_some() => return Err(format!("there is no option {name} with a value")),
            "--live" => live = true,
            "--scan" => scan = true,
            "--dry-run" => dry_run = true,
            "--replace" => replace = true,
            "--keep" => keep = true,
            _ if name.starts_with("--") => {
                return Err(format!("there is no option {name}; see eave import --help"));
            }
            _ if source.is_some() => return Err("there are two sources".to_owned()),
            _ => source = Some(arg),
        }
    }
    let source = source.ok_or("what is to be imported? See eave import --help")?;
    let mut source = read_source(source)?;
    let mut target = Address::parse(&to).map_err(|why| format!("--to: {why}"))?;
    let secret = |name| variable(name).map(|value| Secret::new(value.into_encoded_bytes()));
    if let Source::Node(node) = &mut source
        && node.password.is_empty()
    {
        node.password = secret("EAVE_IMPORT_FROM_PASSWORD").unwrap_or_default();
    }
    if target.password.is_empty() {
        target.password = secret("EAVE_IMPORT_TO_PASSWORD").unwrap_or_default();
    }
    let existing = match (replace, keep) {
        (true, true) => return Err("--replace and --keep exclude each other".to_owned()),
        (true, false) => Existing::Replace,
        (false, true) => Existing::Keep,
        (false, false) => Existing::Refuse,
    };
    let options = Options { source, target, existing, live, scan, dry_run, tls };
    check(&options)?;
    Ok(Asked::Import(Box::new(options)))
}

fn read_source(source: OsString) -> Result<Source, String> {
    match source.to_str() {
        Some("-") => Ok(Source::StandardInput),
        Some(url) if Address::is_url(url) => {
            Address::parse(url).map(Source::Node).map_err(|why| format!("SOURCE: {why}"))
        }
        _ => Ok(Source::File(source.into())),
    }
}

/// What does not go together.
fn check(options: &Options) -> Result<(), String> {
    let Options { source, target, existing, live, scan, dry_run, tls } = options;
    let node = match source {
        Source::Node(node) => Some(node),
        _ => None,
    };
    if node.is_none() && (*live || *scan) {
        return Err("--live and --scan want a server as their source".to_owned());
    }
    if *live && (*scan || *dry_run) {
        return Err("--live goes neither with --scan nor with --dry-run".to_owned());
    }
    if *live && *existing == Existing::Keep {
        return Err("--live changes keys as the source does: it does not go with --keep".to_owned());
    }
    if *live && node.is_some_and(|node| node.database.is_some()) {
        return Err("--live moves all databases: name the source without one".to_owned());
    }
    if target.database.is_some() && node.is_none_or(|node| node.database.is_none()) {
        return Err("several databases do not fit into one: name that of the source too".to_owned());
    }
    if node.is_some_and(|node| (&node.host, node.port) == (&target.host, target.port)) {
        return Err("source and target are the same server".to_owned());
    }
    if tls.certificate.is_some() != tls.key.is_some() {
        return Err("--tls-cert-file and --tls-key-file go together".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(OsString::from), |_| None)
    }

    fn options(line: &str) -> Options {
        match read(line) {
            Ok(Asked::Import(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_says_what_is_to_be_done() {
        let plain = options("redis://127.0.0.1:7000");
        assert_eq!(plain.target.to_string(), "127.0.0.1:6379");
        assert_eq!(plain.existing, Existing::Refuse);
        let full = options("--to=h:1 redis://a:7/2 --replace --scan --tls-ca-cert-file ca");
        assert_eq!(full.target.to_string(), "h:1");
        assert_eq!((full.existing, full.scan, full.live), (Existing::Replace, true, false));
        assert_eq!(full.tls.authorities, Some("ca".into()));
        assert_eq!(options("dump.rdb").source, Source::File("dump.rdb".into()));
        assert_eq!(options("- --dry-run").source, Source::StandardInput);
        assert_eq!(read("x --help"), Ok(Asked::Help));
    }

    #[test]
    fn passwords_come_from_variables_too() {
        let variable = |name: &str| Some(OsString::from(name.to_lowercase()));
        let args = ["redis://h", "--to", "redis://:mine@h:1"].map(OsString::from);
        let Ok(Asked::Import(options)) = parse(args.into_iter(), variable) else { panic!() };
        let Source::Node(node) = options.source else { panic!() };
        assert_eq!(node.password.reveal(), b"eave_import_from_password");
        assert_eq!(options.target.password.reveal(), b"mine");
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for line in [
            "",
            "a b",
            "--to",
            "a --what",
            "a --live=1",
            "a --live",
            "a --scan",
            "redis://h --live --scan",
            "redis://h --live --keep",
            "redis://h/1 --live",
            "redis://h --to redis://x/1",
            "a --replace --keep",
            "redis://h --to h",
            "a --tls-key-file k",
            "http://h",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
