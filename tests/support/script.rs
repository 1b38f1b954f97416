//! A script: sections of commands with the replies that they expect.
//!
//! tests/README.md describes the notation for those who write scripts. Left out on purpose:
//! variables, conditions and loops other than `@repeat`: a test that needs them is no script.

use std::path::{Path, PathBuf};

use super::expect::Expect;
use super::notation;

/// A file of tests/commands.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) path: PathBuf,
    /// Options that its server is started with.
    pub(crate) options: Vec<String>,
    pub(crate) sections: Vec<Section>,
}

/// Commands that start from an empty keyspace and on new connections.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// Only over RESP: connections matter, or bytes that JSON cannot carry.
    pub(crate) only_resp: bool,
    /// Only on Eave: redis-server 7.0.15 has no such command.
    pub(crate) only_eave: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// Wait, in milliseconds.
    Sleep(u64),
    Call(Box<Call>),
    /// Close a connection, and wait until the server has noticed.
    Close(usize),
}

/// What is done with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// It is sent, and its reply read.
    Call,
    /// It is sent; the next step comes once the server lets its client wait.
    Wait,
    /// Nothing is sent: a reply to what was sent before is read.
    Hear,
}

/// A command, and what it is expected to answer.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where in the file it stands, counted from 1.
    pub(crate) line: usize,
    pub(crate) act: Act,
    /// The number of the connection that sends it.
    pub(crate) connection: usize,
    /// The command as the script writes it.
    pub(crate) source: String,
    pub(crate) args: Vec<Vec<u8>>,
    /// How often it is sent; `{i}` in an argument counts from 0.
    pub(crate) repeat: u64,
    /// Follow the cursor of a SCAN to its end and expect all of it.
    pub(crate) follow_cursor: bool,
    /// Why the reply is not redis-server's.
    pub(crate) differs: Option<String>,
    pub(crate) replies: Replies,
}

/// The expected replies, each where it differs from the one before.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    pub(crate) any: Option<Expect>,
    pub(crate) resp3: Option<Expect>,
    pub(crate) rest: Option<Expect>,
    pub(crate) redis: Option<Expect>,
    pub(crate) redis3: Option<Expect>,
}

/// What the directives before a command ask for.
#[derive(Debug, Default)]
struct Pending {
    repeat: Option<u64>,
    follow_cursor: bool,
    differs: Option<String>,
}

/// The state of reading a file.
#[derive(Debug)]
struct Reader {
    script: Script,
    pending: Pending,
    /// File-wide `@resp` and `@eave`.
    file_resp: bool,
    file_eave: bool,
}

impl Script {
    /// Reads a file; an error names its line.
    pub(crate) fn read(path: &Path) -> Result<Script, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Script::parse(path, &text)
    }

    /// The name of the file without its extension: the command.
    pub(crate) fn name(path: &Path) -> String {
        path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Reads a text; `path` is what errors call it.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Script, String> {
        let script = Script { path: path.to_owned(), options: Vec::new(), sections: Vec::new() };
        let mut reader =
            Reader { script, pending: Pending::default(), file_resp: false, file_eave: false };
        for (line, text) in joined_lines(text) {
            reader.line(line, &text).map_err(|why| format!("{}:{line}: {why}", path.display()))?;
        }
        if reader.script.sections.iter().all(|section| section.steps.is_empty()) {
            return Err(format!("{}: no commands", path.display()));
        }
        Ok(reader.script)
    }
}

/// The lines with their numbers; an indented line continues the one before.
fn joined_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        match lines.last_mut() {
            Some((_, last)) if line.starts_with(' ') && !line.trim().is_empty() => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push((number, line.to_owned())),
        }
    }
    lines
}

impl Reader {
    fn line(&mut self, number: usize, text: &str) -> Result<(), String> {
        if text.trim().is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if let Some(title) = text.strip_prefix("== ") {
            self.open_section(title);
            return Ok(());
        }
        if let Some(directive) = text.strip_prefix('@') {
            return self.directive(directive);
        }
        match command_line(text) {
            Some((act, connection, command)) => self.command(number, act, connection, command),
            None => self.reply(text),
        }
    }

    fn open_section(&mut self, title: &str) {
        self.script.sections.push(Section {
            title: title.trim().to_owned(),
            only_resp: self.file_resp,
            only_eave: self.file_eave,
            steps: Vec::new(),
        });
    }

    /// The section that is being read; a file need not name its first.
    fn section(&mut self) -> Result<&mut Section, String> {
        if self.script.sections.is_empty() {
            self.open_section("");
        }
        self.script.sections.last_mut().ok_or_else(|| "no section".to_owned())
    }

    fn directive(&mut self, directive: &str) -> Result<(), String> {
        let (name, value) = directive.split_once([' ', ':']).unwrap_or((directive, ""));
        let value = value.trim();
        let number = || value.parse::<u64>().map_err(|_| format!("@{name} needs a number"));
        match name {
            "sleep" => {
                let pause = Step::Sleep(number()?);
                self.section()?.steps.push(pause);
            }
            "close" => {
                let connection = usize::try_from(number()?).map_err(|e| e.to_string())?;
                self.section()?.steps.push(Step::Close(connection));
            }
            "repeat" => self.pending.repeat = Some(number()?),
            "scan" => self.pending.follow_cursor = true,
            "differs" if value.is_empty() => return Err("@differs needs a reason".to_owned()),
            "differs" => self.pending.differs = Some(value.to_owned()),
            "options" => self.script.options = value.split(' ').map(str::to_owned).collect(),
            "resp" | "eave" => self.restrict(name)?,
            _ => return Err(format!("no such directive: @{name}")),
        }
        Ok(())
    }

    /// `@resp` and `@eave`: of the file when no section is open yet, else of the section.
    fn restrict(&mut self, name: &str) -> Result<(), String> {
        let (resp, eave) = match self.script.sections.last_mut() {
            None => (&mut self.file_resp, &mut self.file_eave),
            Some(section) if section.steps.is_empty() => {
                (&mut section.only_resp, &mut section.only_eave)
            }
            Some(_) => return Err(format!("@{name} belongs at the start of a section")),
        };
        *(if name == "resp" { resp } else { eave }) = true;
        Ok(())
    }

    fn command(
        &mut self,
        line: usize,
        act: Act,
        connection: usize,
        text: &str,
    ) -> Result<(), String> {
        let args = if act == Act::Hear { Vec::new() } else { notation::arguments(text)? };
        let pending = std::mem::take(&mut self.pending);
        let section = self.section()?;
        if !section.only_resp && act != Act::Call {
            return Err("who waits belongs in a section marked @resp".to_owned());
        }
        if !section.only_resp && args.iter().any(|arg| std::str::from_utf8(arg).is_err()) {
            return Err("bytes that are no UTF-8 belong in a section marked @resp".to_owned());
        }
        section.steps.push(Step::Call(Box::new(Call {
            line,
            act,
            connection,
            source: text.to_owned(),
            args,
            repeat: pending.repeat.unwrap_or(1),
            follow_cursor: pending.follow_cursor,
            differs: pending.differs,
            replies: Replies::default(),
        })));
        Ok(())
    }

    fn reply(&mut self, text: &str) -> Result<(), String> {
        let Some(Step::Call(call)) = self.section()?.steps.last_mut() else {
            return Err(format!("a reply without a command: {text}"));
        };
        if call.act == Act::Wait {
            return Err("who waits is not answered yet: read the reply by `2<`".to_owned());
        }
        let mut slot = &mut call.replies.any;
        let mut rest = text;
        for (prefix, named) in [
            ("resp3: ", &mut call.replies.resp3),
            ("rest: ", &mut call.replies.rest),
            ("redis: ", &mut call.replies.redis),
            ("redis3: ", &mut call.replies.redis3),
        ] {
            if let Some(after) = text.strip_prefix(prefix) {
                (slot, rest) = (named, after);
            }
        }
        if slot.is_some() {
            return Err(format!("a second reply to one command: {text}"));
        }
        *slot = Some(Expect::parse(rest)?);
        let of_redis = call.replies.redis.is_some() || call.replies.redis3.is_some();
        if of_redis && call.differs.is_none() {
            return Err("redis: needs an @differs before the command".to_owned());
        }
        Ok(())
    }
}

/// `> GET k` is for connection 1, `2> GET k` for connection 2; `2>> BLPOP k 0` waits there, and
/// `2<` reads what comes.
fn command_line(text: &str) -> Option<(Act, usize, &str)> {
    if let Some(number) = text.strip_suffix('<') {
        return Some((Act::Hear, number.parse().ok()?, text));
    }
    let (number, command) = text.split_once("> ")?;
    let (act, number) = match number.strip_suffix('>') {
        Some(number) => (Act::Wait, number),
        None => (Act::Call, number),
    };
    match number {
        "" => Some((act, 1, command)),
        _ => Some((act, number.parse().ok()?, command)),
    }
}
