//! `cjson.decode`.

use mlua::{Lua, Table, Value};

use super::Wrong;
use crate::script::vm::Shared;

/// What stands at a place of the text.
enum Token {
    ObjectBegin,
    ObjectEnd,
    ListBegin,
    ListEnd,
    Text(Vec<u8>),
    Number(f64),
    Truth(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ListBegin => "T_ARR_BEGIN",
            Token::ListEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Truth(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Wrong(why) => why,
        }
    }
}

/// A table that is being filled.
enum Open {
    List(Table, usize),
    Object(Table, mlua::LuaString),
}

pub(super) fn run(lua: &Lua, shared: &Shared, values: &[Value]) -> Result<Value, Wrong> {
    let text = match values {
        [Value::String(text)] => text.clone(),
        [number @ (Value::Integer(_) | Value::Number(_))] => {
            lua.create_string(crate::script::answer::text(number).unwrap_or_default())?
        }
        [other] => {
            return Err(Wrong::text(format!(
                "bad argument #1 to 'decode' (string expected, got {})",
                other.type_name()
            )));
        }
        _ => return Err(Wrong::text("bad argument #1 to 'decode' (expected 1 argument)")),
    };
    let text = text.as_bytes();
    if let [0, _, ..] | [_, 0, ..] = &*text {
        return Err(Wrong::text("JSON parser does not support UTF-16 or UTF-32"));
    }
    let settings = shared.json.get();
    let mut reader = Reader {
        lua,
        text: &text,
        at: 0,
        token_at: 0,
        invalid: settings.decode_invalid,
        depth: settings.decode_depth,
        open: Vec::new(),
    };
    reader.read()
}

struct Reader<'l, 't> {
    lua: &'l Lua,
    text: &'t [u8],
    at: usize,
    /// Where the last token begins.
    token_at: usize,
    invalid: bool,
    depth: usize,
    open: Vec<Open>,
}

impl Reader<'_, '_> {
    fn read(&mut self) -> Result<Value, Wrong> {
        let mut token = self.next();
        loop {
            let value = match token {
                Token::ListBegin => {
                    self.descend()?;
                    let table = self.lua.create_table()?;
                    token = self.next();
                    if !matches!(token, Token::ListEnd) {
                        self.open.push(Open::List(table, 1));
                        continue;
                    }
                    Value::Table(table)
                }
                Token::ObjectBegin => {
                    self.descend()?;
                    let table = self.lua.create_table()?;
                    token = self.next();
                    if !matches!(token, Token::ObjectEnd) {
                        let key = self.key(token)?;
                        self.open.push(Open::Object(table, key));
                        token = self.next();
                        continue;
                    }
                    Value::Table(table)
                }
                Token::Text(text) => Value::String(self.lua.create_string(&text)?),
                Token::Number(number) => Value::Number(number),
                Token::Truth(value) => Value::Boolean(value),
                Token::Null => Value::NULL,
                other => return Err(self.unexpected("value", &other)),
            };
            match self.put(value)? {
                Some(value) => {
                    let token = self.next();
                    return match token {
                        Token::End => Ok(value),
                        other => Err(self.unexpected("the end", &other)),
                    };
                }
                None => token = self.next(),
            }
        }
    }

    /// Puts a value where it belongs, and closes what ends behind it; answers the whole once that
    /// is complete.
    fn put(&mut self, value: Value) -> Result<Option<Value>, Wrong> {
        let mut value = value;
        loop {
            let Some(open) = self.open.pop() else { return Ok(Some(value)) };
            let token = self.next();
            match open {
                Open::List(table, index) => {
                    table.raw_set(index, value)?;
                    match token {
                        Token::Comma => {
                            self.open.push(Open::List(table, index + 1));
                            return Ok(None);
                        }
                        Token::ListEnd => value = Value::Table(table),
                        other => return Err(self.unexpected("comma or array end", &other)),
                    }
                }
                Open::Object(table, key) => {
                    table.raw_set(key, value)?;
                    match token {
                        Token::Comma => {
                            let token = self.next();
                            let key = self.key(token)?;
                            self.open.push(Open::Object(table, key));
                            return Ok(None);
                        }
                        Token::ObjectEnd => value = Value::Table(table),
                        other => return Err(self.unexpected("comma or object end", &other)),
                    }
                }
            }
        }
    }

    /// A key and the colon behind it.
    fn key(&mut self, token: Token) -> Result<mlua::LuaString, Wrong> {
        let Token::Text(key) = token else {
            return Err(self.unexpected("object key string", &token));
        };
        let key = self.lua.create_string(&key)?;
        match self.next() {
            Token::Colon => Ok(key),
            other => Err(self.unexpected("colon", &other)),
        }
    }

    fn descend(&self) -> Result<(), Wrong> {
        let depth = self.open.len() + 1;
        if depth > self.depth {
            let at = self.at;
            return Err(Wrong::text(format!(
                "Found too many nested data structures ({depth}) at character {at}"
            )));
        }
        Ok(())
    }

    fn unexpected(&self, expected: &str, found: &Token) -> Wrong {
        let at = self.token_at + 1;
        Wrong::text(format!("Expected {expected} but found {} at character {at}", found.name()))
    }

    fn next(&mut self) -> Token {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.token_at = self.at;
        // A zero byte ends the text, as it would in C.
        let Some(byte) = self.text.get(self.at).filter(|byte| **byte != 0) else {
            return if self.at == self.text.len() {
                Token::End
            } else {
                Token::Wrong("invalid token")
            };
        };
        let single = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ListBegin,
            b']' => Token::ListEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.quoted(),
            _ => return self.word(),
        };
        self.at += 1;
        single
    }

    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        for (word, token) in [
            (&b"true"[..], Token::Truth(true)),
            (b"false", Token::Truth(false)),
            (b"null", Token::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        let plain = matches!(rest[0], b'-' | b'0'..=b'9');
        let beyond = is_beyond_json(rest);
        if plain && beyond && !self.invalid {
            return Token::Wrong("invalid number");
        }
        if !(plain || beyond && self.invalid) {
            return Token::Wrong("invalid token");
        }
        match number(rest) {
            Some((number, length)) => {
                self.at += length;
                Token::Number(number)
            }
            None => Token::Wrong("invalid number"),
        }
    }

    fn quoted(&mut self) -> Token {
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            match rest.first() {
                None | Some(0) => {
                    self.token_at = self.at;
                    return Token::Wrong("unexpected end of string");
                }
                Some(b'"') => {
                    self.at += 1;
                    return Token::Text(out);
                }
                Some(b'\\') => {
                    let plain = match rest.get(1) {
                        Some(b'u') => match escaped(rest) {
                            Some((character, length)) => {
                                let mut buffer = [0; 4];
                                out.extend_from_slice(
                                    character.encode_utf8(&mut buffer).as_bytes(),
                                );
                                self.at += length;
                                continue;
                            }
                            None => {
                                self.token_at = self.at;
                                return Token::Wrong("invalid unicode escape code");
                            }
                        },
                        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
                        Some(b'b') => 0x08,
                        Some(b'f') => 0x0c,
                        Some(b'n') => b'\n',
                        Some(b'r') => b'\r',
                        Some(b't') => b'\t',
                        _ => {
                            self.token_at = self.at;
                            return Token::Wrong("invalid escape code");
                        }
                    };
                    out.push(plain);
                    self.at += 2;
                }
                Some(_) => {
                    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0));
                    let end = end.unwrap_or(rest.len());
                    out.extend_from_slice(&rest[..end]);
                    self.at += end;
                }
            }
        }
    }
}

/// The character of an escape `\u....`, or of a pair of them, and how many bytes that is.
fn escaped(text: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?;
        let digits = digits.strip_prefix(b"\\u")?;
        digits
            .iter()
            .try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
    };
    let first = unit(0)?;
    if !(0xd800..0xe000).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second))?;
    if first >= 0xdc00 {
        return None;
    }
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 12))
}

/// Whether a number is one that JSON does not have: hexadecimal, infinite, none at all, or with
/// a zero or a plus in front.
fn is_beyond_json(text: &[u8]) -> bool {
    if text.first() == Some(&b'+') {
        return true;
    }
    let text = text.strip_prefix(b"-").unwrap_or(text);
    match text.first() {
        Some(b'0') => matches!(text.get(1), Some(b'x' | b'X' | b'0'..=b'9')),
        Some(b'1'..=b'9') | None => false,
        _ => {
            let begins =
                |word: &[u8]| text.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
            begins(b"inf") || begins(b"nan")
        }
    }
}

/// The number that a text begins with, as C's `strtod` reads it, and how many bytes that is.
pub(in crate::script) fn number(text: &[u8]) -> Option<(f64, usize)> {
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let negative = text.first() == Some(&b'-');
    let body = &text[sign..];
    let begins = |word: &[u8]| body.get(..word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
    let signed = |value: f64| if negative { -value } else { value };
    if begins(b"infinity") {
        return Some((signed(f64::INFINITY), sign + 8));
    }
    if begins(b"inf") {
        return Some((signed(f64::INFINITY), sign + 3));
    }
    if begins(b"nan") {
        return Some((signed(f64::NAN), sign + 3));
    }
    if begins(b"0x")
        && let Some((value, length)) = hexadecimal(&body[2..])
    {
        return Some((signed(value), sign + 2 + length));
    }
    let digits = |from: usize| body[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(0);
    let mut end = whole;
    let mut fraction = 0;
    if body.get(end) == Some(&b'.') {
        fraction = digits(end + 1);
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(body.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(body.get(end + 1), Some(b'-' | b'+')));
        let power = digits((end + 1 + sign).min(body.len()));
        if power > 0 {
            end += 1 + sign + power;
        }
    }
    let value: f64 = std::str::from_utf8(&body[..end]).ok()?.parse().ok()?;
    Some((signed(value), sign + end))
}

/// Hexadecimal digits with a fraction and a power of two, and how many bytes that is.
fn hexadecimal(text: &[u8]) -> Option<(f64, usize)> {
    let (mut value, mut at, mut digits, mut scale) = (0.0f64, 0, 0, 0i32);
    let mut after_point = false;
    while let Some(byte) = text.get(at) {
        match char::from(*byte).to_digit(16) {
            Some(digit) => {
                value = value * 16.0 + f64::from(digit);
                digits += 1;
                if after_point {
                    scale -= 4;
                }
            }
            None if *byte == b'.' && !after_point => after_point = true,
            None => break,
        }
        at += 1;
    }
    if digits == 0 {
        return None;
    }
    if matches!(text.get(at), Some(b'p' | b'P')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'-' | b'+')));
        let from = (at + 1 + sign).min(text.len());
        let power = text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if power > 0 {
            let number: i32 =
                std::str::from_utf8(&text[from..from + power]).ok()?.parse().unwrap_or(9999);
            let number = number.min(9999);
            scale += if text.get(at + 1) == Some(&b'-') { -number } else { number };
            at = from + power;
        }
    }
    Some((value * f64::from(scale).exp2(), at))
}
