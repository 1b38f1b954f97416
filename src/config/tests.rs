//! The whole table held against its own rules, and every way of setting held against Redis.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use super::source::load;
use super::table::{acting, directives, names};
use super::*;

fn os(text: &str) -> OsString {
    OsString::from(text)
}

/// A start with these arguments, variables and standard input.
fn start(args: &[&str], env: &[(&str, &str)], stdin: &str) -> Result<Start, ConfigError> {
    let args = std::iter::once("eave").chain(args.iter().copied()).map(os);
    load(args, env.iter().map(|(name, value)| (os(name), os(value))), stdin.as_bytes())
}

fn config(args: &[&str], env: &[(&str, &str)], stdin: &str) -> Config {
    match start(args, env, stdin) {
        Ok(Start::Run(config)) => *config,
        other => panic!("{args:?} {env:?}: {other:?}"),
    }
}

/// The settings of a file with this text.
fn file(text: &str) -> Config {
    config(&["-"], &[], text)
}

fn refusal(args: &[&str], env: &[(&str, &str)], stdin: &str) -> String {
    match start(args, env, stdin) {
        Err(error) => error.to_string(),
        Ok(other) => panic!("{args:?} {env:?} {stdin:?}: accepted: {other:?}"),
    }
}

fn get(config: &Config, name: &str) -> String {
    String::from_utf8(config.get(name).expect(name)).expect(name)
}

/// A folder of this test, with these files.
fn folder(test: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("eave-config-{}-{test}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        fs::write(folder.join(name), text.replace("@", &folder.display().to_string())).unwrap();
    }
    folder
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<(), String> {
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    config.set_many(&pairs).map_err(|error| error.to_string())
}

// The table.

#[test]
fn names_are_unique_lower_case_and_sorted_within_their_group() {
    let mut seen = BTreeSet::new();
    for (name, _) in names() {
        assert!(seen.insert(name), "{name} twice");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
    }
    let order: Vec<_> = directives().map(|row| (row.group, row.name)).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn every_row_is_explained_in_one_line() {
    let Ok(Start::Print(help)) = start(&["--help"], &[], "") else { panic!("no help") };
    for row in directives() {
        assert!(!row.help.is_empty() && row.help.len() <= 90, "{}", row.name);
        assert!(!row.help.ends_with('.') || row.group == Group::Inert, "{}", row.name);
        assert!(help.contains(row.name), "{}", row.name);
    }
    for row in acting() {
        assert!(help.contains(&row.variable()), "{}", row.name);
    }
    assert!(help.lines().all(|line| line.len() <= 100), "{help}");
}

#[test]
fn defaults_and_every_value_that_get_shows_can_be_set_again() {
    for row in directives() {
        let mut config = Config::default();
        let shown = row.get(&config);
        row.set(&mut config, &row.words_of(&shown), Stage::Replacing)
            .unwrap_or_else(|reason| panic!("{}: {reason:?}", row.name));
        assert_eq!(row.get(&config), shown, "{}", row.name);
        config.inert.clear();
        assert_eq!(config, Config::default(), "{} changed another field", row.name);
    }
}

/// Fails when an accessor reads or writes the field of another row.
#[test]
fn a_row_changes_its_own_value_and_no_other() {
    for row in directives() {
        let Some(value) = another_value(row) else { continue };
        let mut config = Config::default();
        let before: Vec<_> = directives().map(|other| other.get(&config)).collect();
        row.set(&mut config, &row.words_of(value.as_bytes()), Stage::Replacing)
            .unwrap_or_else(|reason| panic!("{} {value}: {reason:?}", row.name));
        assert_eq!(get(&config, row.name), value, "{}", row.name);
        for (other, before) in directives().zip(before) {
            if other.name != row.name {
                assert_eq!(other.get(&config), before, "{} changed {}", row.name, other.name);
            }
        }
    }
}

fn another_value(row: &Directive) -> Option<String> {
    let defaults = Config::default();
    Some(match row.kind {
        Kind::Number { get, .. } => (get(&defaults) + 1).clamp(1, 499).max(2).to_string(),
        Kind::Bytes { get, .. } => (get(&defaults) + 1).to_string(),
        Kind::YesNo { get, .. } => if get(&defaults) { "no" } else { "yes" }.to_owned(),
        Kind::Choice { names, get, .. } => names[(get(&defaults) + 1) % names.len()].to_owned(),
        Kind::Text { .. } | Kind::Secret { .. } | Kind::Inert { .. } => "something".to_owned(),
        Kind::Fixed { .. } => return None,
        Kind::Words { .. } => match row.name {
            "bind" | "rest-bind" | "rest-metrics-bind" | "rls-bind" => "10.0.0.1 -fe80::1",
            "replicaof" => "leader.example 6380",
            "save" => "3600 1 300 100",
            "notify-keyspace-events" => "AKE",
            "client-output-buffer-limit" => "normal 1 2 3 slave 4 5 6 pubsub 7 8 9",
            "latency-tracking-info-percentiles" => "1 2.5",
            "maxmemory-clients" => "7%",
            "unixsocketperm" => "700",
            "region" => "fra-1",
            "auth-failures" => "7/90s",
            other => panic!("give {other} a value here"),
        }
        .to_owned(),
    })
}

#[test]
fn bounds_are_reached_and_fit_their_fields() {
    for row in acting() {
        let (inside, outside) = match row.kind {
            Kind::Number { min, max, .. } => (
                vec![min.to_string(), max.to_string()],
                vec![(i128::from(min) - 1).to_string(), (i128::from(max) + 1).to_string()],
            ),
            Kind::Bytes { min, max, .. } => (
                vec![min.to_string(), max.to_string()],
                vec![(i128::from(min) - 1).to_string(), (i128::from(max) + 1).to_string()],
            ),
            _ => continue,
        };
        let set = |value: &String| {
            row.set(&mut Config::default(), &[value.clone().into_bytes()], Stage::Adding)
        };
        for value in inside {
            assert_eq!(set(&value), Ok(()), "{} {value}", row.name);
        }
        for value in outside {
            assert!(set(&value).is_err(), "{} {value}", row.name);
        }
    }
}

#[test]
fn choices_name_their_variants_in_order() {
    for row in acting() {
        let Kind::Choice { names, get, .. } = row.kind else { continue };
        for (index, name) in names.iter().enumerate() {
            let mut config = Config::default();
            row.set(&mut config, &[name.as_bytes().to_vec()], Stage::Adding).unwrap();
            assert_eq!(get(&config), index, "{} {name}", row.name);
        }
    }
    assert_eq!(EvictionPolicy::AllkeysLfu.name(), "allkeys-lfu");
    assert_eq!(file("loglevel warning").loglevel, LogLevel::Warning);
    assert_eq!(file("enable-debug-command local").enable_debug_command, DebugAccess::Local);
}

#[test]
fn aliases_lead_to_their_directive() {
    for (name, row) in names() {
        assert_eq!(find(&name.to_ascii_uppercase()).map(|found| found.name), Some(row.name));
    }
    let config = file("slaveof 10.0.0.1 6380\nhash-max-ziplist-entries 7");
    assert_eq!(config.replicaof, Some(Leader { host: "10.0.0.1".into(), port: 6380 }));
    assert_eq!(get(&config, "hash-max-listpack-entries"), "7");
}

// Files.

#[test]
fn a_file_reads_as_in_redis() {
    let config = file(
        "\u{feff}# a comment\r\n\
         \n   \t\n\
         PORT 7000\r\n\
         \tmaxmemory   100mb  \n\
         requirepass \"a b\\x41\\n\\q\"\n\
         masteruser 'it\\'s \\n'\n\
         bind * -::*\n\
         save 3600 1\n\
         save 300 100 60 10000\n\
         client-output-buffer-limit replica 1kb 2 3\n\
         client-output-buffer-limit pubsub 4 5 6\n\
         appendonly no\n\
         hz 1",
    );
    assert_eq!(config.port, 7000);
    assert_eq!(config.maxmemory, 100 << 20);
    assert_eq!(config.requirepass.reveal(), b"a bA\nq");
    assert_eq!(config.masteruser, "it's \\n");
    assert_eq!(get(&config, "bind"), "* -::*");
    assert!(config.bind[1].optional && !config.bind[0].optional);
    assert_eq!(get(&config, "save"), "3600 1 300 100 60 10000");
    assert_eq!(
        get(&config, "client-output-buffer-limit"),
        "normal 67108864 0 0 slave 1024 2 3 pubsub 4 5 6"
    );
    assert_eq!(config.hz, 1, "the last line needs no line end");
    assert_eq!(get(&file("save 1 1\nsave \"\""), "save"), "");
    assert_eq!(file("bind \"\"").bind, []);
    assert_eq!(file("replicaof a 1\nreplicaof NO one").replicaof, None);
}

#[test]
fn an_error_names_line_directive_and_reason() {
    for (text, expected) in [
        ("hz 1\n\nmaxmemory 12quux", "line 3: 'maxmemory 12quux': expected bytes such as 100mb"),
        ("port 65536", "line 1: 'port 65536': expected a number between 0 and 65535"),
        ("port", "line 1: 'port': expected a value"),
        ("port 7392 # x", "line 1: 'port 7392 # x': expected one value, not 3"),
        ("timeout -1", "line 1: 'timeout -1': expected a number between 0 and 2147483647"),
        ("hz x", "line 1: 'hz x': expected a whole number"),
        ("proto-max-bulk-len 1", "'proto-max-bulk-len 1': expected a number of at least 1048576"),
        ("rest-cors maybe", "line 1: 'rest-cors maybe': expected yes or no"),
        ("loglevel x", "'loglevel x': expected one of debug, verbose, notice, warning"),
        ("bind localhost", "expected IP addresses such as 127.0.0.1, -::1, or * for all"),
        ("replicaof a", "line 1: 'replicaof a': expected HOST PORT, or no one"),
        ("replicaof a 0", "line 1: 'replicaof a 0': Invalid master port"),
        ("save 1", "line 1: 'save 1': Invalid save parameters"),
        ("appendonly yes", "'appendonly yes': only no is possible: persistence is not available"),
        ("unixsocketperm 9", "'unixsocketperm 9': argument must be an octal number up to 777"),
        ("hz 5\nhz \"a", "line 2: a quote is not closed, or text follows a closing quote"),
        ("hz \"5\"6", "line 1: a quote is not closed"),
        ("maxmemry 1", "line 1: no directive is called 'maxmemry'; did you mean 'maxmemory'?"),
        ("quux 1", "line 1: no directive is called 'quux'; --help lists them"),
        ("rename-command CONFIG \"\"", "no directive is called 'rename-command'"),
    ] {
        let error = refusal(&["-"], &[], text);
        assert!(error.starts_with("standard input line "), "{error}");
        assert!(error.contains(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn files_are_named_in_their_errors_and_may_include_others() {
    let folder = folder(
        "include",
        &[
            ("main.conf", "port 1\ninclude @/more.conf\nhz 3\n"),
            ("more.conf", "port 2\nhz 2\n"),
            ("bad.conf", "hz 5\ninclude \"@/worse.conf\"\n"),
            ("worse.conf", "\n\nhz five\n"),
            ("loop.conf", "include @/loop.conf\n"),
            ("gone.conf", "hz 1\ninclude @/nowhere.conf\n"),
        ],
    );
    let path = |name: &str| folder.join(name).display().to_string();
    let read = config(&[&path("main.conf")], &[], "");
    assert_eq!((read.port, read.hz), (2, 3));
    assert_eq!(read.config_file, Some(folder.join("main.conf")));
    assert_eq!(config(&["--include", &path("more.conf")], &[], "").port, 2);
    assert_eq!(
        refusal(&[&path("bad.conf")], &[], ""),
        format!("{} line 3: 'hz five': expected a whole number", path("worse.conf"))
    );
    assert_eq!(
        refusal(&[&path("loop.conf")], &[], ""),
        format!("{} line 1: files include each other more than 16 deep", path("loop.conf"))
    );
    let gone = refusal(&[&path("gone.conf")], &[], "");
    assert!(gone.starts_with(&format!("{} line 2: cannot read ", path("gone.conf"))), "{gone}");
    let none = refusal(&[&path("none.conf")], &[], "");
    assert!(none.starts_with(&format!("command line: cannot read {}", path("none"))), "{none}");
    assert!(refusal(&["-"], &[], "include").contains("'include': expected a value"));
    assert!(refusal(&[&folder.display().to_string()], &[], "").contains("cannot read"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_have_an_end() {
    assert!(refusal(&["-"], &[], &"#".repeat((4 << 20) + 1)).contains("larger than 4 MiB"));
    assert_eq!(file(&"#".repeat(4 << 20)), Config::default());
}

#[test]
fn words_are_cut_as_sdssplitargs_does() {
    let words = |line: &str| {
        let words = split_words(line.as_bytes())?;
        Some(words.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>())
    };
    for (line, expected) in [
        ("", vec![]),
        (" \t\x0b a\x0cb ", vec!["a", "b"]),
        ("a\"b c\"", vec!["ab c"]),
        ("\"\" ''", vec!["", ""]),
        (r#""\x41\x4g\\\"" 'a\nb'"#, vec![r#"Ax4g\\\""#, r"a\\nb"]),
        (r#""\x00\xfF\b\a\t""#, vec![r"\x00\xff\x08\x07\t"]),
        ("a\\ b", vec![r"a\\", "b"]),
        ("a\0b", vec![r"a\x00b"]),
    ] {
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(words(line), Some(expected), "{line:?}");
    }
    for line in ["\"", "'", "\"a\\", "\"a\\\"", "'a\\'", "\"a\"b", "'a''b'", "a \"b"] {
        assert_eq!(words(line), None, "{line:?}");
    }
}

/// No line stops the process; each gives settings or one sentence. Lines are pieces put together
/// by a small generator, so that they come close to real ones.
#[test]
fn hostile_lines_are_refused_in_one_sentence() {
    let pieces: Vec<Vec<u8>> = names()
        .map(|(name, _)| name.as_bytes().to_vec())
        .chain(
            [
                " ",
                "  ",
                "\"",
                "'",
                "\\",
                "\\x",
                "\\xf",
                "\0",
                "\r",
                "\x1b[2J",
                "-",
                "--",
                "#",
                "no one",
                "99999999999999999999",
                "-9223372036854775808",
                "18446744073709551615gb",
                "1.5",
                "normal",
                "-::",
                "\u{202e}",
                "include",
                "yes",
                "\x0b",
            ]
            .iter()
            .map(|piece| piece.as_bytes().to_vec()),
        )
        .chain([vec![0xff, 0xfe], vec![0xc3], vec![b'a'; 5000]])
        .collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..20_000 {
        let mut line = pieces[draw(names().count())].clone();
        line.push(b' ');
        for _ in 0..draw(6) {
            line.extend(&pieces[draw(pieces.len())]);
        }
        match load([os("eave"), os("-")].into_iter(), std::iter::empty(), line.as_slice()) {
            Ok(_) => accepted += 1,
            Err(error) => {
                refused += 1;
                let error = error.to_string();
                assert!(!error.chars().any(char::is_control), "round {round}: {error:?}");
                assert!(error.len() < 600, "round {round}: {} bytes", error.len());
            }
        }
    }
    assert!(refused > 1000 && accepted > 1000, "{refused} {accepted}");
}

// Environment and command line.

#[test]
fn later_sources_win() {
    let env = [("EAVE_PORT", "2"), ("EAVE_HZ", "2"), ("PATH", "/bin"), ("eave_port", "9")];
    let text = "port 1\nhz 1\ntimeout 1";
    let config = config(&["--port", "3", "-"], &env, text);
    assert_eq!((config.port, config.hz, config.timeout), (3, 2, 1));
    assert_eq!(config.tcp_backlog, 511);
}

#[test]
fn variables_take_what_lines_take() {
    let env = [
        ("EAVE_BIND", "10.0.0.1  -::1"),
        ("EAVE_REPLICAOF", "10.0.0.2 6380"),
        ("EAVE_REQUIREPASS", "with spaces \"and quotes"),
        ("EAVE_SAVE", "60 1"),
        ("EAVE_SLAVE_READ_ONLY", "no"),
        // What Kubernetes tells every container about a service called eave.
        ("EAVE_PORT", "tcp://10.0.0.7:6379"),
        ("EAVE_PORT_6379_TCP_ADDR", "10.0.0.7"),
        ("EAVE_SERVICE_HOST", "10.0.0.7"),
    ];
    let config = config(&["-"], &env, "save 300 5");
    assert_eq!(get(&config, "bind"), "10.0.0.1 -::1");
    assert_eq!(get(&config, "replicaof"), "10.0.0.2 6380");
    assert_eq!(config.requirepass.reveal(), b"with spaces \"and quotes");
    assert_eq!(get(&config, "save"), "60 1", "a variable replaces");
    assert_eq!(config.port, 6379);
    assert!(!config.replica_read_only);
    assert_eq!(
        refusal(&[], &[("EAVE_MAXMEMORY", "lots")], ""),
        "environment variable EAVE_MAXMEMORY: 'maxmemory lots': expected bytes such as 100mb"
    );
    assert_eq!(
        refusal(&[], &[("EAVE_MAXMEMROY", "1")], ""),
        "environment variable EAVE_MAXMEMROY: no directive is called 'maxmemroy'; did you mean \
         'maxmemory'?"
    );
    assert!(refusal(&[], &[("EAVE_INCLUDE", "/x")], "").contains("no directive"));
}

#[test]
fn options_are_those_of_redis_server() {
    let config = config(
        &[
            "--bind",
            "127.0.0.1",
            "-::1",
            "--replicaof",
            "127.0.0.1",
            "6379",
            "--save",
            "",
            "--SAVE",
            "5",
            "6",
            "--save",
            "7 8",
            "--slowlog-log-slower-than",
            "-1",
            "--requirepass=--x=y",
            "--masterauth",
            "-h",
            "--client-output-buffer-limit",
            "normal",
            "1",
            "2",
            "3",
            "pubsub",
            "4",
            "5",
            "6",
        ],
        &[],
        "",
    );
    assert_eq!(get(&config, "bind"), "127.0.0.1 -::1");
    assert_eq!(get(&config, "replicaof"), "127.0.0.1 6379");
    assert_eq!(get(&config, "save"), "5 6 7 8");
    assert_eq!(config.slowlog_log_slower_than, -1);
    assert_eq!(config.requirepass.reveal(), b"--x=y");
    assert_eq!(config.masterauth.reveal(), b"-h");
    assert_eq!(config.client_output_buffer_limit.pubsub.soft_seconds, 6);
    assert_eq!(config.config_file, None);
}

#[test]
fn wrong_options_are_named() {
    for (args, expected) in [
        (&["--maxmemory", "abc"][..], "option --maxmemory: 'maxmemory abc': expected bytes such"),
        (&["--hz"], "option --hz: 'hz': expected a value"),
        (&["--hz", "--port", "1"], "option --hz: 'hz': expected a value"),
        (&["--hz", "1 2"], "option --hz: 'hz 1 2': expected a whole number"),
        (&["--prot", "1"], "option --prot: no directive is called 'prot'; did you mean 'port'?"),
        (&["--"], "option --: no directive is called ''"),
        (&["-x"], "command line: expected [file.conf] and then options such as --port 6379"),
        (&["a.conf", "hunter2"], "command line: expected [file.conf] and then options"),
        (&["--hz", "1", "-x"], "option --hz: 'hz 1 -x': expected one value, not 2"),
    ] {
        let error = refusal(args, &[], "");
        assert!(error.starts_with(expected), "{args:?}: {error}");
    }
}

#[test]
fn help_and_version_are_printed_instead_of_a_start() {
    for args in [&["-h"][..], &["--help"], &["--port", "1", "--help"]] {
        let Ok(Start::Print(help)) = start(args, &[("EAVE_HZ", "x")], "") else {
            panic!("{args:?}")
        };
        assert!(help.contains("Usage: eave [/path/to/eave.conf] [--directive value ...]"));
        assert!(help.contains("defaults, file, environment, options"));
        assert!(help.contains("[default: 32mb] [env: EAVE_PROTO_MAX_BULK_LEN]"), "{help}");
    }
    for args in [&["-v"][..], &["--version", "-x"]] {
        let Ok(Start::Print(version)) = start(args, &[], "") else { panic!("{args:?}") };
        assert!(version.starts_with("Eave server v="), "{version}");
    }
}

// Secrets.

#[test]
fn secrets_are_not_printed() {
    let config = file("requirepass hunter2\nrest-token hunter2\nmasterauth hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", Start::Run(Box::new(config))).contains("hunter2"));
    for error in [
        refusal(&["-"], &[], "requirepass hunter2 hunter2"),
        refusal(&["-"], &[], "requirepass \"hunter2"),
        refusal(&["-"], &[], "requirepas hunter2"),
        refusal(&["--rest-token", "a", "hunter2"], &[], ""),
        refusal(&["requirepass", "hunter2"], &[], ""),
        refusal(&[], &[("EAVE_REQUIREPAS", "hunter2")], ""),
    ] {
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn secrets_match_only_themselves() {
    let secret = Secret::new("hunter2");
    assert!(secret.matches(b"hunter2"));
    for other in ["", "hunter", "hunter22", "Hunter2"] {
        assert!(!secret.matches(other.as_bytes()), "{other}");
        assert_ne!(secret, Secret::new(other));
    }
    assert!(!Secret::default().matches(b""), "unset lets nobody in");
    assert_eq!(secret, secret.clone());
}

// CONFIG.

#[test]
fn config_set_answers_as_redis_7_0_15() {
    let failed = |name, reason| {
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    };
    let unknown = "ERR Unknown option or number of arguments for CONFIG SET - 'foo'".to_owned();
    let memory = "argument must be a memory value";
    let integer = "argument couldn't be parsed into an integer";
    let events = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
    let immutable = "can't set immutable config";
    let count = "Wrong number of arguments in buffer limit configuration.";
    let class = "Invalid client class specified in buffer limit configuration.";
    let limit = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    let policies = "argument(s) must be one of the following: volatile-lru, volatile-lfu, \
                    volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, \
                    noeviction";
    for (pairs, expected) in [
        (&[("foo", "bar")][..], unknown.clone()),
        (&[("foo", "1"), ("hz", "3")], unknown.clone()),
        (&[("foo", "1"), ("foo", "2")], unknown),
        (&[("databases", "3"), ("foo", "4")], failed("databases", immutable)),
        (&[("maxmemory", "abc")], failed("maxmemory", memory)),
        (&[("maxmemory", "-1")], failed("maxmemory", memory)),
        (&[("replicaof", "1.1.1.1 80")], failed("replicaof", immutable)),
        (&[("dir", "/tmp")], failed("dir", "can't set protected config")),
        (&[("hz", "10"), ("hz", "20")], failed("hz", "duplicate parameter")),
        (&[("maxmemory", "1"), ("MAXMEMORY", "3")], failed("MAXMEMORY", "duplicate parameter")),
        (&[("hz", "abc")], failed("hz", integer)),
        (&[("hz", "")], failed("hz", integer)),
        (&[("hz", "+10")], failed("hz", integer)),
        (
            &[("timeout", "-1")],
            failed("timeout", "argument must be between 0 and 2147483647 inclusive"),
        ),
        (
            &[("maxclients", "0")],
            failed("maxclients", "argument must be between 1 and 4294967295 inclusive"),
        ),
        (
            &[("proto-max-bulk-len", "1")],
            failed(
                "proto-max-bulk-len",
                "argument must be between 1048576 and 9223372036854775807 inclusive",
            ),
        ),
        (
            &[("protected-mode", "maybe")],
            failed("protected-mode", "argument must be 'yes' or 'no'"),
        ),
        (&[("maxmemory-policy", "foo")], failed("maxmemory-policy", policies)),
        (&[("notify-keyspace-events", "xyz")], failed("notify-keyspace-events", events)),
        (&[("save", "3600 1 300")], failed("save", "Invalid save parameters")),
        (&[("save", "0 1")], failed("save", "Invalid save parameters")),
        (
            &[("client-output-buffer-limit", "normal 1")],
            failed("client-output-buffer-limit", count),
        ),
        (
            &[("client-output-buffer-limit", "foo 1 1 1")],
            failed("client-output-buffer-limit", class),
        ),
        (
            &[("client-output-buffer-limit", "normal 1mb -1 1")],
            failed("client-output-buffer-limit", limit),
        ),
        // Ours: Redis starts its append-only file here.
        (
            &[("appendonly", "yes")],
            failed("appendonly", "only no is possible: persistence is not available yet"),
        ),
    ] {
        let mut config = Config::default();
        assert_eq!(set(&mut config, pairs), Err(expected), "{pairs:?}");
        assert_eq!(config, Config::default(), "{pairs:?}");
    }
}

#[test]
fn config_set_changes_all_or_nothing() {
    let mut config = Config::default();
    let pairs = [("timeout", "5"), ("requirepass", "x y"), ("maxmemory", "1mb"), ("hz", "no")];
    assert!(set(&mut config, &pairs).is_err());
    assert_eq!(config, Config::default());
    set(&mut config, &pairs[..3]).unwrap();
    assert_eq!((config.timeout, config.maxmemory), (5, 1 << 20));
    assert_eq!(config.requirepass.reveal(), b"x y");
    set(&mut config, &[("hz", "0"), ("save", "1 2"), ("notify-keyspace-events", "KEA")]).unwrap();
    set(&mut config, &[("save", "3 4"), ("lazyfree-lazy-expire", "yes")]).unwrap();
    assert_eq!(get(&config, "hz"), "1", "as Redis, brought within bounds");
    assert_eq!(get(&config, "save"), "3 4", "CONFIG SET replaces");
    assert_eq!(get(&config, "lazyfree-lazy-expire"), "yes");
    assert_eq!(get(&config, "notify-keyspace-events"), "AKE");
    set(&mut config, &[("save", ""), ("client-output-buffer-limit", "replica 1 1 1")]).unwrap();
    assert_eq!(get(&config, "save"), "");
    assert!(
        get(&config, "client-output-buffer-limit").starts_with("normal 67108864 0 0 slave 1 1 1")
    );
    let both = [("repl-ping-replica-period", "5"), ("repl-ping-slave-period", "6")];
    set(&mut config, &both).unwrap();
    assert_eq!(config.repl_ping_replica_period, 6, "an alias is no duplicate, the last counts");
    let pairs: [(&[u8], &[u8]); 1] = [(b"requirepass", &[0xff, 0])];
    config.set_many(&pairs).unwrap();
    assert_eq!(config.requirepass.reveal(), [0xff, 0], "passwords are bytes");
    assert!(config.set_many(&[(b"\xff", b"1")]).is_err());
}

#[test]
fn config_get_answers_as_redis() {
    let config = file("requirepass p\nmaxmemory 1kb");
    let glob = |pattern: &[u8], text: &[u8]| match pattern {
        b"*" => true,
        b"h?" => text == b"hz",
        b"hash-max-*" => text.starts_with(b"hash-max-"),
        other => panic!("{other:?} is no pattern"),
    };
    let found = |patterns: &[&str]| -> Vec<(String, String)> {
        let patterns: Vec<_> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        let found = config.get_matching(&patterns, glob).into_iter();
        found.map(|(name, value)| (name, String::from_utf8(value).unwrap())).collect()
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(found(&["HZ", "hz", "H?"]), [pair("HZ", "10")]);
    assert_eq!(
        found(&["maxmemory", "requirepass"]),
        [pair("maxmemory", "1024"), pair("requirepass", "p")]
    );
    assert_eq!(found(&["nothing", ""]), []);
    assert_eq!(
        found(&["hash-max-*"]),
        [
            pair("hash-max-listpack-entries", "512"),
            pair("hash-max-ziplist-entries", "512"),
            pair("hash-max-listpack-value", "64"),
            pair("hash-max-ziplist-value", "64"),
        ]
    );
    assert_eq!(found(&["*"]).len(), names().count());
    assert_eq!(config.get_matching(&[b"\xff", b"\xff*"], |_, _| false), []);
}

#[test]
fn what_does_not_act_yet_is_said_at_start() {
    assert_eq!(Config::default().notices(), [""; 0]);
    let config = file("save 1 1\nmaxmemory-policy allkeys-lru\ndaemonize YES");
    assert_eq!(config.notices().len(), 2);
    assert!(config.notices()[1].contains("daemonize"));
}

#[test]
fn the_rest_door_follows_bind_until_it_has_its_own() {
    let mut config = file("bind 10.0.0.1");
    assert_eq!(config.rest_addresses(), config.bind);
    config = file("bind 10.0.0.1\nrest-bind 10.0.0.2");
    assert_eq!(config.rest_addresses()[0].to_string(), "10.0.0.2");
}
