//! The scripts of tests/commands, each over each door: one test case a pair.
//!
//! `resp2::set`, `resp3::set` and `rest::set` run set.txt against Eave, `redis::set` and
//! `redis3::set` against a real redis-server 7.0.15: what the scripts say is Redis' own word.
//! tests/README.md describes the scripts and how to run one.
//!
//! Left out on purpose: scripts that share a server. Each test case starts its own, so the order
//! and the neighbours of a test case cannot change its result.

mod support;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use support::check;
use support::record::record;
use support::run::{Door, run};
use support::script::Script;

/// When set to the names of scripts (`set,get`), their missing replies are filled in from
/// redis-server instead of running anything.
const RECORD: &str = "EAVE_RECORD";

fn main() -> ExitCode {
    let paths = match script_paths() {
        Ok(paths) => paths,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(names) = std::env::var(RECORD) {
        return record_all(&paths, &names);
    }
    let trials = paths.iter().flat_map(|path| trials(path)).chain(harness_trials()).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn script_paths() -> Result<Vec<PathBuf>, String> {
    // Relative to the package, where cargo runs its tests: failures name short paths.
    let directory = Path::new("tests/commands");
    let entries = std::fs::read_dir(directory).map_err(|e| format!("tests/commands: {e}"))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    Ok(paths)
}

/// The test cases of one script: a door that admits none of its sections has none.
fn trials(path: &Path) -> Vec<Trial> {
    let name = Script::name(path);
    match Script::read(path) {
        Ok(script) => {
            let script = Arc::new(script);
            let open = |door: &Door| script.sections.iter().any(|section| door.admits(section));
            Door::ALL
                .into_iter()
                .filter(open)
                .map(|door| {
                    let script = Arc::clone(&script);
                    Trial::test(format!("{}::{name}", door.name()), move || {
                        run(&script, door).map_err(Failed::from)
                    })
                })
                .collect()
        }
        Err(why) => vec![Trial::test(format!("script::{name}"), move || Err(Failed::from(why)))],
    }
}

/// The tests of the tests.
fn harness_trials() -> [Trial; 4] {
    let test = |name: &str, check: fn() -> Result<(), String>| {
        Trial::test(format!("harness::{name}"), move || check().map_err(Failed::from))
    };
    [
        test("a_mismatch_names_everything", check::a_mismatch_names_everything),
        test("a_difference_is_held_against_redis", check::a_difference_is_held_against_redis),
        test("expectations_tell_replies_apart", check::expectations_tell_replies_apart),
        test("broken_scripts_are_refused", check::broken_scripts_are_refused),
    ]
}

fn record_all(paths: &[PathBuf], names: &str) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for name in names.split(',') {
        let Some(path) = paths.iter().find(|path| Script::name(path) == name) else {
            eprintln!("no script {name}");
            code = ExitCode::FAILURE;
            continue;
        };
        match record(path) {
            Ok(count) => println!("{}: {count} replies recorded", path.display()),
            Err(why) => {
                eprintln!("{why}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
