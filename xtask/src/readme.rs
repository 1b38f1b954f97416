//! The snippets of README.md and docs/operations.md, run against a live server so that they stay
//! true.
//!
//! Taken are every ` ```ts ` block, the first ` ```python ` block, and every block whose
//! info string is `sh test`. The ports 6379 and 8079 on `127.0.0.1` or `localhost`
//! are replaced by those of the server, 6380 by that of another one without keys, the token is in `EAVE_REST_TOKEN`, `TOKEN` and
//! the variables that `Redis.fromEnv()` reads, and a literal `<token>` is replaced by it.
//! A snippet fails when it ends with another status than 0, or when a line that it
//! promises after `=>` in a comment of its own is not printed, in that order.
//!
//! Left out on purpose: type checking; the snippet's types are stripped, not checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::clients::{could_not_run, finish, found, judge};
use crate::counts::Counts;
use crate::install::{self, Tools};
use crate::process;
use crate::server::{Server, TOKEN};

/// A language that the README shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Language {
    TypeScript,
    Python,
    Shell,
}

/// One fenced block.
#[derive(PartialEq, Eq, Debug)]
struct Snippet {
    name: String,
    language: Language,
    text: String,
}

/// Runs the snippets.
///
/// # Errors
/// When one of the files is not there.
pub(crate) fn run(tools: &Tools, binary: &Path) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut snippets = snippets("README.md", &page("README.md")?);
    for language in [Language::TypeScript, Language::Python] {
        if !snippets.iter().any(|snippet| snippet.language == language) {
            counts += judge("README.md", Err(anyhow::anyhow!("no {language:?} snippet")));
        }
    }
    let operations = "docs/operations.md";
    snippets.extend(self::snippets(operations, &page(operations)?));
    for snippet in &snippets {
        counts += match needs(snippet.language, tools) {
            Ok(program) => judge(&snippet.name, one(snippet, program, binary)),
            Err(error) => could_not_run(&snippet.name, &error),
        };
    }
    Ok(counts)
}

fn page(name: &str) -> Result<String> {
    std::fs::read_to_string(process::root().join(name)).context(name.to_owned())
}

fn needs(language: Language, tools: &Tools) -> Result<PathBuf> {
    match language {
        Language::TypeScript => found(&tools.node),
        Language::Python => found(&tools.python),
        Language::Shell => found(&tools.redis).map(|()| PathBuf::from("bash")),
    }
}

/// The blocks to run, in the order in which they stand.
fn snippets(page: &str, readme: &str) -> Vec<Snippet> {
    let mut found: Vec<Snippet> = Vec::new();
    let mut lines = readme.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let language = match line.trim_end() {
            "```ts" => Language::TypeScript,
            "```python" => Language::Python,
            "```sh test" => Language::Shell,
            fence if fence.starts_with("```") => {
                lines.by_ref().find(|(line, _)| line.trim_end() == "```");
                continue;
            }
            _ => continue,
        };
        let block =
            lines.by_ref().map(|(line, _)| line).take_while(|line| line.trim_end() != "```");
        let text = block.map(|line| format!("{line}\n")).collect();
        let first = !found.iter().any(|snippet| snippet.language == language);
        if first || language != Language::Python {
            let name = format!("{page} line {number} ({language:?})");
            found.push(Snippet { name, language, text });
        }
    }
    found
}

fn one(snippet: &Snippet, program: PathBuf, binary: &Path) -> Result<()> {
    let label = format!("readme-{:?}", snippet.language).to_lowercase();
    let server = Server::start(binary, &label, &[])?;
    // Whatever lies around is not to be mistaken for what a snippet makes.
    let folder = process::scratch()?.join("snippet");
    std::fs::create_dir_all(&folder)?;
    let old = match snippet.text.contains("6380") {
        true => Some(Server::start(binary, &format!("{label}-old"), &[])?),
        false => None,
    };
    let old_port = old.as_ref().map_or(0, |old| old.resp_port);
    let text = addressed_to(&snippet.text, server.resp_port, server.rest_port, old_port)?;
    let mut command = Command::new(program);
    match snippet.language {
        Language::TypeScript => {
            // Inside the clients' folder, where imports find their packages.
            let folder = install::clients_folder().join("js/.readme");
            let source = write(&folder, "snippet.ts", &text)?;
            command.arg(without_types(command.get_program(), &source)?);
        }
        Language::Python => {
            command.arg(write(&process::scratch()?, "snippet.py", &text)?);
        }
        Language::Shell => {
            let file = write(&process::scratch()?, "snippet.sh", &text)?;
            command.args(["-eu", "-o", "pipefail"]).arg(file).current_dir(&folder);
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = binary.parent().map(Path::to_path_buf);
    command.env("PATH", std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path)))?);
    let url = format!("http://127.0.0.1:{}", server.rest_port);
    command.envs(server.environment()).env("TOKEN", TOKEN);
    // redis-cli then prints what a reader sees in a terminal, not what a pipe gets.
    command.env("FAKETTY", "1");
    command.env("UPSTASH_REDIS_REST_URL", url).env("UPSTASH_REDIS_REST_TOKEN", TOKEN);
    let log = process::scratch()?.join(format!("{label}.log"));
    finish(server, &mut command, &log)?;
    old.map_or(Ok(()), Server::stop)?;
    kept_promises(&snippet.text, &std::fs::read_to_string(&log)?)
}

/// The snippet with the addresses of this server in place of the default ones.
///
/// # Errors
/// When a default port is written in a way that is not known here: it would be another
/// server's that the snippet meets.
fn addressed_to(text: &str, resp: u16, rest: u16, old: u16) -> Result<String> {
    // With ports that hold no digits of the default ones.
    let blank = with_ports(text, 0, 0, 0);
    match blank.lines().find(|line| ["6379", "8079", "6380"].iter().any(|port| line.contains(port)))
    {
        Some(line) => bail!("where is the port in `{line}`?"),
        None => Ok(with_ports(text, resp, rest, old)),
    }
}

fn with_ports(text: &str, resp: u16, rest: u16, old: u16) -> String {
    let mut text = text.replace("<token>", TOKEN);
    for host in ["127.0.0.1", "localhost"] {
        for (port, live) in [(6379, resp), (8079, rest), (6380, old)] {
            text = text.replace(&format!("{host}:{port}"), &format!("127.0.0.1:{live}"));
        }
    }
    for before in ["port=", "port: ", "-p "] {
        for (port, live) in [(6379, resp), (6380, old)] {
            text = text.replace(&format!("{before}{port}"), &format!("{before}{live}"));
        }
    }
    // With both, the last wins.
    text.replace("redis-cli ", &format!("redis-cli -p {resp} "))
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(name);
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

/// Node.js 20 does not read TypeScript, so esbuild takes the types off.
fn without_types(node: &std::ffi::OsStr, source: &Path) -> Result<PathBuf> {
    let plain = source.with_extension("mjs");
    let esbuild = install::clients_folder().join("js/node_modules/esbuild/bin/esbuild");
    let mut command = Command::new(node);
    command.arg(esbuild).arg(source).arg("--format=esm").arg("--log-level=warning");
    let text = process::read(&mut command)?;
    std::fs::write(&plain, text)?;
    Ok(plain)
}

/// Checks that the lines promised after `// =>` or `# =>` were printed, in order.
fn kept_promises(snippet: &str, printed: &str) -> Result<()> {
    let mut lines = printed.lines().map(str::trim);
    for promise in snippet.lines().filter_map(promise) {
        if !lines.any(|line| line == promise) {
            bail!("`{promise}` was promised, but this was printed:\n{printed}");
        }
    }
    Ok(())
}

fn promise(line: &str) -> Option<&str> {
    let (_, promise) = line.split_once("// => ").or_else(|| line.split_once("# => "))?;
    Some(promise.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_and_the_first_of_python_are_taken() {
        let readme = "# A\n```sh\nno\n```\n```ts\nlet a: number;\n```\n```ts\nsecond\n```\n\
                      ```sh test\none\n```\n```json\n{}\n```\n```sh test\ntwo\n```\n\
                      ```python\nthree\n```\n```python\nno\n```\n";
        let texts: Vec<String> = snippets("a page", readme).into_iter().map(|s| s.text).collect();
        assert_eq!(texts, ["let a: number;\n", "second\n", "one\n", "two\n", "three\n"]);
    }

    #[test]
    fn default_ports_become_those_of_the_server() {
        let of = |text| addressed_to(text, 1, 2, 3).ok();
        assert_eq!(of("redis-cli -p 6379 GET k").unwrap(), "redis-cli -p 1 -p 1 GET k");
        assert_eq!(addressed_to("redis-cli PING", 46379, 2, 3).unwrap(), "redis-cli -p 46379 PING");
        assert_eq!(
            of("curl http://localhost:8079/get/k").unwrap(),
            "curl http://127.0.0.1:2/get/k"
        );
        assert_eq!(of("redis-cli -p 6380 PING").unwrap(), "redis-cli -p 1 -p 3 PING");
        assert_eq!(of("Redis(port=6379)").unwrap(), "Redis(port=1)");
        assert_eq!(of("PORT=6379").as_deref(), None);
    }

    #[test]
    fn promises_are_held_against_what_was_printed() {
        let snippet = "print(1) # => 1\nprint(2) # => 2\n";
        assert!(kept_promises(snippet, "1\nnoise\n2\n").is_ok());
        assert!(kept_promises(snippet, "2\n1\n").is_err());
        assert!(kept_promises("print(1)", "").is_ok());
    }
}
