//! What a command's syntax says of its arguments, as COMMAND DOCS tells it: their names, kinds
//! and tokens, which may be left out or repeated, and which belong together.
//!
//! Read from the text of the row, so that nothing has to be said twice: `[ ]` may be left out,
//! `< >` and `|` are a choice (tight, as in `*|id`, of single words), what is in capitals is
//! typed as it stands, and `[x ...]` repeats what stands before it. Left out on purpose: since
//! when an argument is there, which `history` says of the command.

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A key.
    Key,
    /// Any bytes.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A pattern of names.
    Pattern,
    /// A point in time.
    UnixTime,
    /// A word that stands for itself.
    Token,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

impl Kind {
    /// Its name in COMMAND DOCS.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::Text => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Pattern => "pattern",
            Kind::UnixTime => "unix-time",
            Kind::Token => "pure-token",
            Kind::OneOf => "oneof",
            Kind::Block => "block",
        }
    }
}

/// An argument, or several that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// What the syntax calls it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The word in front of it, or that it is.
    pub token: Option<String>,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether its token is repeated with it.
    pub multiple_token: bool,
    /// What it consists of.
    pub parts: Vec<Argument>,
    /// The text that it was read from.
    text: String,
}

/// What is meant by names that other commands mean otherwise.
const MEANT: &[(&[&str], &[&str], Kind)] = &[
    (&["incrbyfloat", "hincrbyfloat"], &["increment"], Kind::Double),
    (
        &["zcount", "zrangebyscore", "zrevrangebyscore", "zremrangebyscore"],
        &["min", "max"],
        Kind::Double,
    ),
    (&["setbit", "bitfield"], &["value"], Kind::Integer),
    (
        &["zrange", "zrangestore", "xrange", "xrevrange", "xpending", "xautoclaim"],
        &["start", "stop", "end"],
        Kind::Text,
    ),
    (&["xpending"], &["min-idle-time"], Kind::Integer),
    (&["wait", "client|pause"], &["timeout"], Kind::Integer),
];

/// The arguments of a command, by its full name.
pub fn of(name: &str, syntax: &str) -> Vec<Argument> {
    let mut arguments = read(syntax);
    for (_, names, kind) in MEANT.iter().filter(|(commands, ..)| commands.contains(&name)) {
        arguments.iter_mut().for_each(|argument| argument.mean(names, *kind));
    }
    arguments
}

impl Argument {
    fn mean(&mut self, names: &[&str], kind: Kind) {
        if self.parts.is_empty() && names.contains(&&*self.name) {
            self.kind = kind;
        }
        self.parts.iter_mut().for_each(|part| part.mean(names, kind));
    }
}

fn read(syntax: &str) -> Vec<Argument> {
    let spaced = ["[", "]", "<", ">"]
        .iter()
        .fold(syntax.to_owned(), |text, bracket| text.replace(bracket, &format!(" {bracket} ")));
    let mut words = spaced.split_whitespace().peekable();
    let choices = choices(&mut words);
    match &choices[..] {
        [only] => arguments(only),
        _ => vec![one_of(&choices)],
    }
}

/// A piece of syntax.
#[derive(Debug)]
enum Piece<'a> {
    Word(&'a str),
    Group { optional: bool, repeats: bool, choices: Vec<Vec<Piece<'a>>> },
}

impl Piece<'_> {
    fn text(&self) -> String {
        match self {
            Piece::Word(word) => (*word).to_owned(),
            Piece::Group { choices, .. } => format!("({})", texts(choices)),
        }
    }
}

fn texts(choices: &[Vec<Piece<'_>>]) -> String {
    let text =
        |pieces: &Vec<Piece<'_>>| pieces.iter().map(Piece::text).collect::<Vec<_>>().join(" ");
    choices.iter().map(text).collect::<Vec<_>>().join(" | ")
}

/// The alternatives up to a closing bracket or the end.
fn choices<'a>(words: &mut impl Iterator<Item = &'a str>) -> Vec<Vec<Piece<'a>>> {
    let mut all = vec![Vec::new()];
    while let Some(word) = words.next() {
        let piece = match word {
            "]" | ">" => break,
            "|" => {
                all.push(Vec::new());
                continue;
            }
            "[" | "<" => {
                let mut choices = choices(words);
                let dots = |piece: &Piece<'_>| matches!(piece, Piece::Word("..."));
                let last = choices.last_mut();
                let repeats = last.is_some_and(|last| last.pop_if(|piece| dots(piece)).is_some());
                Piece::Group { optional: word == "[", repeats, choices }
            }
            word => Piece::Word(word),
        };
        if let Some(last) = all.last_mut() {
            last.push(piece);
        }
    }
    all
}

fn is_token(word: &str) -> bool {
    !word.contains(char::is_lowercase)
}

/// The arguments that a row of pieces describes.
fn arguments(pieces: &[Piece<'_>]) -> Vec<Argument> {
    let mut found: Vec<Argument> = Vec::new();
    // The token that takes what follows, and where that begins.
    let mut open: Option<(&str, usize)> = None;
    for piece in pieces {
        let own = match piece {
            Piece::Word(word) if is_token(word) && !word.contains('|') => {
                close(&mut found, open.take());
                open = Some((word, found.len()));
                continue;
            }
            Piece::Word(word) => single(word),
            Piece::Group { repeats: true, choices, .. } => {
                if !repeat(&mut found, open.as_ref().map(|open| open.1), &texts(choices)) {
                    close(&mut found, open.take());
                    if !repeat(&mut found, None, &texts(choices)) {
                        found.push(Argument { optional: true, multiple: true, ..group(choices) });
                    }
                }
                continue;
            }
            Piece::Group { optional: true, choices, .. } => {
                close(&mut found, open.take());
                Argument { optional: true, ..group(choices) }
            }
            Piece::Group { choices, .. } => group(choices),
        };
        found.push(Argument { text: piece.text(), ..own });
    }
    close(&mut found, open);
    found
}

/// Gives a token what stands behind it.
fn close(found: &mut Vec<Argument>, open: Option<(&str, usize)>) {
    let Some((token, from)) = open else { return };
    let mut parts = found.split_off(from);
    let text = std::iter::once(token).chain(parts.iter().map(|part| &*part.text));
    let text = text.collect::<Vec<_>>().join(" ");
    let taken = match parts.pop() {
        None => Argument { kind: Kind::Token, ..leaf(&token.to_lowercase(), Kind::Token) },
        Some(only) if parts.is_empty() && only.token.is_none() => only,
        Some(last) => {
            parts.push(last);
            together(Kind::Block, parts)
        }
    };
    found.push(Argument { token: Some(token.to_owned()), text, ..taken });
}

/// Marks what a text repeats, the last of what was found; answers whether it is there.
fn repeat(found: &mut Vec<Argument>, from: Option<usize>, text: &str) -> bool {
    for count in 1..=found.len() - from.unwrap_or(0).min(found.len()) {
        let last = &found[found.len() - count..];
        if last.iter().map(|one| &*one.text).collect::<Vec<_>>().join(" ") != text {
            continue;
        }
        let parts = found.split_off(found.len() - count);
        let mut whole = match <[Argument; 1]>::try_from(parts) {
            Ok([only]) => only,
            Err(parts) => Argument { text: text.to_owned(), ..together(Kind::Block, parts) },
        };
        whole.multiple = true;
        whole.multiple_token = whole.token.is_some();
        found.push(whole);
        return true;
    }
    false
}

/// What stands in brackets.
fn group(choices: &[Vec<Piece<'_>>]) -> Argument {
    match choices {
        [only] => joined(arguments(only)),
        // A word, and then what it can be.
        [first, rest @ ..] if is_named(first, rest) => {
            let (Some(Piece::Word(token)), first) = (first.first(), &first[1..]) else {
                return one_of(choices);
            };
            let mut parts = arguments(first);
            parts.extend(rest.iter().flat_map(|pieces| arguments(pieces)));
            Argument { token: Some((*token).to_owned()), ..together(Kind::OneOf, parts) }
        }
        _ => one_of(choices),
    }
}

/// Whether the first of a group's choices begins with a word for all of them.
fn is_named(first: &[Piece<'_>], rest: &[Vec<Piece<'_>>]) -> bool {
    let is_word = |piece: &Piece<'_>| matches!(piece, Piece::Word(word) if is_token(word));
    matches!(first, [one, two] if is_word(one) && is_word(two))
        && rest.iter().all(|pieces| matches!(&pieces[..], [only] if is_word(only)))
}

fn one_of(choices: &[Vec<Piece<'_>>]) -> Argument {
    let whole = |pieces: &[Piece<'_>]| joined(arguments(pieces));
    // What repeats the whole choice stands in the last of them.
    let multiple = choices.last().and_then(|last| last.last()).is_some_and(
        |piece| matches!(piece, Piece::Group { repeats: true, choices: inner, .. } if inner.len() == choices.len()),
    );
    let parts = choices.iter().enumerate().map(|(at, pieces)| {
        let end = pieces.len() - usize::from(multiple && at + 1 == choices.len());
        whole(&pieces[..end])
    });
    Argument { multiple, ..together(Kind::OneOf, parts.collect()) }
}

fn joined(parts: Vec<Argument>) -> Argument {
    match <[Argument; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => together(Kind::Block, parts),
    }
}

fn together(kind: Kind, parts: Vec<Argument>) -> Argument {
    let name = parts.iter().map(|part| &*part.name).collect::<Vec<_>>().join("_");
    Argument { parts, ..leaf(&name, kind) }
}

/// One word, or a choice of words.
fn single(word: &str) -> Argument {
    if !word.contains('|') {
        return leaf(word, kind(word));
    }
    let each = word.split('|').map(|word| match is_token(word) {
        true => {
            Argument { token: Some(word.to_owned()), ..leaf(&word.to_lowercase(), Kind::Token) }
        }
        false => leaf(word, kind(word)),
    });
    together(Kind::OneOf, each.collect())
}

pub(super) fn leaf(name: &str, kind: Kind) -> Argument {
    Argument {
        name: name.to_owned(),
        kind,
        token: None,
        optional: false,
        multiple: false,
        multiple_token: false,
        parts: Vec::new(),
        text: String::new(),
    }
}

/// What a name says of the argument's kind.
fn kind(name: &str) -> Kind {
    match name {
        "key" | "destination" | "destkey" | "dst" | "key1" | "key2" | "newkey" | "source"
        | "sourcekey" | "src" => Kind::Key,
        "pattern" => Kind::Pattern,
        "height" | "latitude" | "longitude" | "radius" | "score" | "width" | "timeout" => {
            Kind::Double
        }
        "unix-time-milliseconds" | "unix-time-seconds" => Kind::UnixTime,
        "bit" | "bits" | "client-id" | "count" | "cursor" | "db" | "decrement"
        | "destination-db" | "entries-added" | "entries_added" | "entries_read"
        | "entries-read" | "frequency" | "increment" | "index" | "index1" | "index2" | "len"
        | "limit" | "milliseconds" | "ms" | "num-matches" | "numfields" | "numids" | "numkeys"
        | "numreplicas" | "offset" | "port" | "protover" | "rank" | "seconds" | "ttl"
        | "version" | "weight" | "start" | "stop" | "end" | "cost" | "n" | "maxage" => {
            Kind::Integer
        }
        _ => Kind::Text,
    }
}

/// A line that shows the shape of arguments, for tests.
#[cfg(test)]
pub fn shape(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| {
        let token = argument.token.iter().map(|token| format!("{token}:"));
        let kind = match argument.kind {
            Kind::OneOf => format!("one({})", shape(&argument.parts)),
            Kind::Block => format!("all({})", shape(&argument.parts)),
            Kind::Token => String::new(),
            kind => format!("{}={}", argument.name, kind.name()),
        };
        let mut text = token.collect::<String>() + &kind;
        for (flag, mark) in
            [(argument.optional, "?"), (argument.multiple, "+"), (argument.multiple_token, "t")]
        {
            text.push_str(if flag { mark } else { "" });
        }
        text
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syntax_is_read_as_it_is_meant() {
        for (syntax, wanted) in [
            ("", ""),
            ("key", "key=key"),
            ("key [key ...]", "key=key+"),
            ("numkeys [key ...] [arg ...]", "numkeys=integer key=key?+ arg=string?+"),
            ("[section [section ...]]", "section=string?+"),
            ("key value [key value ...]", "all(key=key value=string)+"),
            ("key [NX | XX] [GET]", "key=key one(NX: XX:)? GET:?"),
            ("[EX seconds | KEEPTTL]", "one(EX:seconds=integer KEEPTTL:)?"),
            ("[LIMIT offset count]", "LIMIT:all(offset=integer count=integer)?"),
            ("[COUNT count [ANY]]", "all(COUNT:count=integer ANY:?)?"),
            ("[GET pattern [GET pattern ...]]", "GET:pattern=pattern?+t"),
            ("STREAMS key [key ...] id [id ...]", "STREAMS:all(key=key+ id=string+)"),
            ("GROUP group consumer [NOACK]", "GROUP:all(group=string consumer=string) NOACK:?"),
            ("<LEFT | RIGHT> [COUNT count]", "one(LEFT: RIGHT:) COUNT:count=integer?"),
            ("[AGGREGATE <SUM | MIN>]", "AGGREGATE:one(SUM: MIN:)?"),
            ("[TYPE NORMAL | PUBSUB]", "TYPE:one(NORMAL: PUBSUB:)?"),
            ("*|id", "one(*: id=string)"),
            ("[a b | C [a b | C ...]]", "one(all(a=string b=string) C:)?+"),
        ] {
            assert_eq!(shape(&read(syntax)), wanted, "{syntax}");
        }
    }
}
