//! Makes calls like `return redis.call(...)` ordinary ones.
//!
//! LuaJIT gives the frame of a function away when it ends with a call, even one of C, so an
//! error in there could not say its line, which Redis does. `return (redis.call(...))` keeps the
//! frame, and means the same for a function that answers one value. Only the text between
//! tokens is looked at, so lines stay what they are. Left out on purpose: functions that answer
//! several values, where parentheses would cut them.

/// Functions that are known to answer one value, besides those of `LIBRARIES`.
const SINGLE: &[&[u8]] =
    &[b"redis.call", b"error", b"tonumber", b"tostring", b"rawset", b"rawget", b"setmetatable"];

/// Libraries whose functions answer one value, but for those of `SEVERAL`.
const LIBRARIES: &[&[u8]] =
    &[b"redis", b"cjson", b"cmsgpack", b"struct", b"bit", b"string", b"math", b"table"];

const SEVERAL: &[&[u8]] = &[
    b"byte",
    b"find",
    b"match",
    b"gsub",
    b"unpack",
    b"unpack_one",
    b"unpack_limit",
    b"modf",
    b"frexp",
    b"remove",
];

/// Whether a function of this name answers one value.
fn is_single(name: &[u8]) -> bool {
    if SINGLE.contains(&name) {
        return true;
    }
    let Some(dot) = memchr::memchr(b'.', name) else { return false };
    LIBRARIES.contains(&&name[..dot]) && !SEVERAL.contains(&&name[dot + 1..])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Mark,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// The text with those parentheses, or `None` if it needs none.
pub(super) fn without_tail_calls(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(text, b"return")?;
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or(&b""[..], |token| &text[token.start..token.end]);
    let aliases = aliases(&tokens, word);
    let mut inserted: Vec<(usize, u8)> = Vec::new();
    for at in 0..tokens.len() {
        if word(at) != b"return" || tokens[at].kind != Kind::Word {
            continue;
        }
        let first = at + 1;
        let name = dotted(&tokens, word, first);
        let begin = tokens.get(first).map_or(0, |token| token.start);
        let callee = text.get(begin..name.1).unwrap_or_default();
        let known = is_single(callee) || aliases.contains(&callee);
        if !known || word(name.0) != b"(" {
            continue;
        }
        let Some(close) = closing(&tokens, word, name.0) else { continue };
        if ends_statement(&tokens, word, close + 1) {
            inserted.push((tokens[first].start, b'('));
            inserted.push((tokens[close].end, b')'));
        }
    }
    if inserted.is_empty() {
        return None;
    }
    // A call within the arguments of another has its parentheses inside of the other's.
    inserted.sort_unstable_by_key(|(at, _)| *at);
    let mut out = Vec::with_capacity(text.len() + inserted.len());
    let mut from = 0;
    for (at, byte) in inserted {
        out.extend_from_slice(&text[from..at]);
        out.push(byte);
        from = at;
    }
    out.extend_from_slice(&text[from..]);
    Some(out)
}

/// What is wrong with a text that LuaJIT would take, and Lua 5.1 does not: it leaves out a first
/// line that begins with `#`, and knows numbers of its own.
pub(super) fn foreign(text: &[u8]) -> Option<String> {
    if text.starts_with(b"#") {
        return Some("1: unexpected symbol near '#'".into());
    }
    foreign_number(text)
}

/// The first number of a text that is none in Lua 5.1, but an object of LuaJIT's foreign function
/// interface: `1LL`, `2ULL`, `3i`.
fn foreign_number(text: &[u8]) -> Option<String> {
    let is_foreign = |token: &&Token| {
        let word = &text[token.start..token.end];
        let hex = word.get(1).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'x'));
        token.kind == Kind::Other
            && word[0].is_ascii_digit()
            && match word {
                [.., a, b] if a.eq_ignore_ascii_case(&b'l') && b.eq_ignore_ascii_case(&b'l') => {
                    true
                }
                [.., a] => a.eq_ignore_ascii_case(&b'i') && !hex,
                [] => false,
            }
    };
    let tokens = tokens(text);
    let found = tokens.iter().find(is_foreign)?;
    let line = 1 + memchr::memchr_iter(b'\n', &text[..found.start]).count();
    let word = String::from_utf8_lossy(&text[found.start..found.end]);
    Some(format!("{line}: malformed number near '{word}'"))
}

/// Names that stand for `redis.call`: `local rcall = redis.call`.
fn aliases<'t>(tokens: &[Token], word: impl Fn(usize) -> &'t [u8]) -> Vec<&'t [u8]> {
    let is = |at: usize, words: &[&[u8]]| {
        words.iter().enumerate().all(|(offset, expected)| word(at + offset) == *expected)
    };
    (0..tokens.len())
        .filter(|at| word(*at) == b"local" && is(at + 2, &[b"=", b"redis", b".", b"call"]))
        .filter(|at| !matches!(word(at + 6), b"(" | b"." | b":" | b"[" | b"{"))
        .map(|at| word(at + 1))
        .collect()
}

/// The tokens of `a` or `a.b` from `first` on: the token behind it, and where its text ends.
fn dotted<'t>(tokens: &[Token], word: impl Fn(usize) -> &'t [u8], first: usize) -> (usize, usize) {
    let end = |at: usize| tokens.get(at).map_or(0, |token| token.end);
    if word(first + 1) == b"." { (first + 3, end(first + 2)) } else { (first + 1, end(first)) }
}

/// The parenthesis that closes the one at `open`.
fn closing<'t>(tokens: &[Token], word: impl Fn(usize) -> &'t [u8], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        if token.kind != Kind::Mark {
            continue;
        }
        match word(at) {
            b"(" => depth += 1,
            b")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Whether the token `at` cannot go on with the expression before it.
fn ends_statement<'t>(tokens: &[Token], word: impl Fn(usize) -> &'t [u8], at: usize) -> bool {
    at >= tokens.len()
        || matches!(word(at), b"end" | b"else" | b"elseif" | b"until" | b";")
            && tokens[at].kind != Kind::Other
}

fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let start = at;
        let kind = match byte {
            byte if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if text[at..].starts_with(b"--") => {
                at = comment_end(text, at + 2);
                continue;
            }
            b'"' | b'\'' => {
                at = quoted_end(text, at);
                Kind::Other
            }
            b'[' if long_bracket(text, at).is_some() => {
                at = long_end(text, at);
                Kind::Other
            }
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..) => {
                while text
                    .get(at)
                    .is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b >= 0x80)
                {
                    at += 1;
                }
                if byte.is_ascii_digit() { Kind::Other } else { Kind::Word }
            }
            _ => {
                at += 1;
                Kind::Mark
            }
        };
        tokens.push(Token { kind, start, end: at });
    }
    tokens
}

/// The level of a long bracket that opens at `at`: `[[` is 0, `[==[` is 2.
fn long_bracket(text: &[u8], at: usize) -> Option<usize> {
    let level = text[at + 1..].iter().take_while(|byte| **byte == b'=').count();
    (text.get(at + 1 + level) == Some(&b'[')).then_some(level)
}

fn long_end(text: &[u8], at: usize) -> usize {
    let Some(level) = long_bracket(text, at) else { return at + 1 };
    let mut close = vec![b'='; level + 2];
    close[0] = b']';
    close[level + 1] = b']';
    memchr::memmem::find(&text[at..], &close).map_or(text.len(), |found| at + found + close.len())
}

fn comment_end(text: &[u8], at: usize) -> usize {
    if text.get(at) == Some(&b'[') && long_bracket(text, at).is_some() {
        return long_end(text, at);
    }
    memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |found| at + found)
}

fn quoted_end(text: &[u8], at: usize) -> usize {
    let quote = text[at];
    let mut at = at + 1;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'\\' => at = (at + 1).min(text.len()),
            byte if *byte == quote => break,
            _ => {}
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> String {
        without_tail_calls(text.as_bytes())
            .map_or_else(|| text.to_owned(), |text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_last_call_of_a_known_function_gets_parentheses() {
        for (text, expected) in [
            ("return redis.call('get', KEYS[1])", "return (redis.call('get', KEYS[1]))"),
            ("if x then return redis.call('a') end", "if x then return (redis.call('a')) end"),
            (
                "local r = redis.call\nreturn r('a', f(1))",
                "local r = redis.call\nreturn (r('a', f(1)))",
            ),
            ("return cjson.encode(t);", "return (cjson.encode(t));"),
            (
                "return redis.call(')', \")\", [[)]]) -- )",
                "return (redis.call(')', \")\", [[)]])) -- )",
            ),
            (
                "return tonumber(f(function() return redis.call('x') end))",
                "return (tonumber(f(function() return (redis.call('x')) end)))",
            ),
        ] {
            assert_eq!(changed(text), expected);
        }
    }

    #[test]
    fn numbers_of_luajit_alone_are_found() {
        for text in ["return 1LL", "x = 2ull", "\n return 3i", "0x1fLL"] {
            assert!(foreign_number(text.as_bytes()).is_some(), "{text}");
        }
        for text in ["return 1", "x = '1LL'", "-- 1LL", "a1LL = 2", "0x1f", "1e5", "[[1LL]]"] {
            assert_eq!(foreign_number(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            "return redis.call('get', KEYS[1]) + 1",
            "return redis.call('a'), 2",
            "return redis.call('a')[1]",
            "return redis.pcall",
            "return string.find('a', 'b')",
            "return unpack(t)",
            "return redis.call 'x'",
            "return redis.call('a'",
            "-- return redis.call('a')",
            "local s = 'return redis.call(1)'",
            "local r = redis.call('x')\nreturn r('a')",
            "x.return_ = redis.call('a')",
            "return",
            "return redis.",
            "return [==[ redis.call() ]==]",
            "'",
            "[==[",
            "--[[",
        ] {
            assert_eq!(changed(text), text);
        }
    }
}
