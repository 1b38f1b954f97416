//! Templates of commands: what a command may look like, in one line.
//!
//! | written | means |
//! |---|---|
//! | `SET`, `0`, `t1` | the word itself |
//! | `'missing`, `'+` | the word behind the quote |
//! | `key`, `field`: only small letters | a word of the vocabulary, see `words` |
//! | `[NX|XX]` | perhaps one of them |
//! | `(a|b)` | one of them |
//! | `x+`, `(a b)+` | once or more |
//! | `{[a] [b]}` | its parts in any order |
//!
//! Left out on purpose: errors at run time. Templates are constants; a test parses them all.

use super::random::Random;
use super::words::{self, Draw, Word};

/// Arguments as they are sent.
pub(super) type Arguments = Vec<Vec<u8>>;

/// A parsed template.
#[derive(Debug)]
pub(super) struct Template {
    nodes: Vec<Node>,
    /// The literal words behind the name, with which arguments are spoilt.
    literals: Vec<&'static str>,
}

#[derive(Debug)]
enum Node {
    Literal(&'static str),
    Word(Word),
    Maybe(Vec<Vec<Node>>),
    One(Vec<Vec<Node>>),
    Many(Box<Node>),
    AnyOrder(Vec<Node>),
}

impl Template {
    /// Reads a template; the error names the part that is wrong.
    pub(super) fn parse(text: &'static str) -> Result<Self, String> {
        let tokens = split(text);
        let mut rest = tokens.as_slice();
        let nodes = sequence(&mut rest)?;
        if let Some(token) = rest.first() {
            return Err(format!("{token:?} belongs to nothing in {text:?}"));
        }
        let mut literals: Vec<_> = tokens.into_iter().filter_map(literal).collect();
        if literals.is_empty() {
            return Err(format!("{text:?} has no name"));
        }
        literals.remove(0);
        Ok(Self { nodes, literals })
    }

    /// One command of this form.
    pub(super) fn expand(&self, draw: &mut Draw) -> Arguments {
        let mut out = Arguments::new();
        for node in &self.nodes {
            node.expand(draw, &mut out);
        }
        out
    }

    /// One of the options of the template, or nothing when it has none.
    pub(super) fn option(&self, random: &mut Random) -> Option<&'static str> {
        if self.literals.is_empty() { None } else { Some(*random.pick::<&str>(&self.literals)) }
    }
}

impl Node {
    fn expand(&self, draw: &mut Draw, out: &mut Arguments) {
        match self {
            Node::Literal(word) => out.push(word.as_bytes().to_vec()),
            Node::Word(word) => (word.draw)(draw, out),
            Node::Maybe(all) => {
                if draw.random.chance(40) {
                    one_of(all, draw, out);
                }
            }
            Node::One(all) => one_of(all, draw, out),
            Node::Many(node) => {
                for _ in 0..draw.many() {
                    node.expand(draw, out);
                }
            }
            Node::AnyOrder(nodes) => {
                let mut order: Vec<_> = nodes.iter().collect();
                draw.random.shuffle(&mut order);
                for node in order {
                    node.expand(draw, out);
                }
            }
        }
    }
}

fn one_of(all: &[Vec<Node>], draw: &mut Draw, out: &mut Arguments) {
    let chosen = draw.random.below(all.len());
    for node in &all[chosen] {
        node.expand(draw, out);
    }
}

const BRACKETS: [char; 7] = ['[', ']', '(', ')', '{', '}', '|'];

/// Brackets are tokens of their own, as are `|` and a `+` right behind something.
fn split(text: &'static str) -> Vec<&'static str> {
    let mut tokens = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut rest = word;
        while !rest.is_empty() {
            // A quoted word may be a plus.
            let ends = |c: char| BRACKETS.contains(&c) || (c == '+' && !rest.starts_with('\''));
            let end = rest.find(ends).unwrap_or(rest.len());
            let (token, tail) = rest.split_at(end.max(1));
            tokens.push(token);
            rest = tail;
        }
    }
    tokens
}

/// The text of a token that stands for itself.
fn literal(token: &'static str) -> Option<&'static str> {
    if let Some(text) = token.strip_prefix('\'') {
        return Some(text);
    }
    let other = token.starts_with(BRACKETS)
        || token == "+"
        || token.bytes().all(|byte| byte.is_ascii_lowercase());
    if other { None } else { Some(token) }
}

type Rest<'a> = &'a [&'static str];

/// Nodes up to something that closes.
fn sequence(rest: &mut Rest<'_>) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    while let Some((&token, tail)) = rest.split_first() {
        if matches!(token, "]" | ")" | "}" | "|") {
            break;
        }
        *rest = tail;
        let mut node = match token {
            "[" => Node::Maybe(alternatives(rest, "]")?),
            "(" => Node::One(alternatives(rest, ")")?),
            "{" => Node::AnyOrder(flat(alternatives(rest, "}")?)),
            "+" => return Err("a + behind nothing".to_owned()),
            token => match literal(token) {
                Some(text) => Node::Literal(text),
                None => Node::Word(words::named(token).ok_or(format!("no word {token:?}"))?),
            },
        };
        if rest.first() == Some(&"+") {
            *rest = &rest[1..];
            node = Node::Many(Box::new(node));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn flat(all: Vec<Vec<Node>>) -> Vec<Node> {
    all.into_iter().flatten().collect()
}

fn alternatives(rest: &mut Rest<'_>, closing: &str) -> Result<Vec<Vec<Node>>, String> {
    let mut all = vec![sequence(rest)?];
    loop {
        let Some((&token, tail)) = rest.split_first() else {
            return Err(format!("{closing:?} is missing"));
        };
        *rest = tail;
        match token {
            "|" => all.push(sequence(rest)?),
            token if token == closing => return Ok(all),
            other => return Err(format!("{other:?} where {closing:?} belongs")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::Scale;
    use super::*;

    #[test]
    fn every_form_expands_to_what_it_says() {
        let template = Template::parse("X {[NX|XX] [GET]} (A 1|B)+").unwrap();
        let mut draw = Draw::new(3, Scale { keys: 2, words: 5 }, "s");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3000 {
            let words: Vec<_> = template.expand(&mut draw);
            let text: Vec<_> = words.iter().map(|w| String::from_utf8_lossy(w)).collect();
            let text = text.join(" ");
            assert!(text.starts_with("X ") && (text.ends_with("A 1") || text.ends_with('B')));
            seen.insert(text);
        }
        for wanted in ["X A 1", "X NX GET B", "X GET XX B", "X A 1 B"] {
            assert!(seen.contains(wanted), "{wanted}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for wrong in ["X [a", "X a]", "X nonsuch", "+", "key", "X (A|B]"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
