//! Reads paths.

use super::filter::{Comparison, Filter, Op, Operand, Pattern};
use super::{JsonError, PATH_BYTES, Path, Selector, Slice, Step};
use crate::value::json::build::Builder;
use crate::value::json::parse;

/// Filters within filters.
const NESTED_FILTERS: usize = 8;

/// Bytes that a compiled pattern of `=~` may take, and what each byte of a text then costs: looking
/// for it takes at most as many steps for each as the pattern has parts, and a repetition of a
/// few characters may be thousands of those.
const PATTERNS: [(usize, usize); 3] = [(4 * 1024, 8), (16 * 1024, 32), (64 * 1024, 128)];

/// Reads a path of either form.
pub(super) fn path(text: &[u8]) -> Result<Path, JsonError> {
    if text.len() > PATH_BYTES {
        return Err(JsonError::Path("path is too long", PATH_BYTES));
    }
    let shown = String::from_utf8_lossy(text);
    let (legacy, shown, start) = match text {
        [] => return Err(JsonError::Path("expected a path", 0)),
        [b'$', ..] => (false, shown.into_owned(), 1),
        b"." => (true, "$".to_owned(), 1),
        [b'.' | b'[', ..] => (true, format!("${shown}"), 0),
        _ => (true, format!("$.{shown}"), 0),
    };
    let mut reader = Reader { text, at: start, filters: 0 };
    let mut steps = Vec::new();
    if legacy && !matches!(text, [b'.' | b'[', ..]) {
        steps.push(Step { deep: false, selectors: vec![reader.dotted()?] });
    }
    reader.steps(&mut steps)?;
    if reader.at < text.len() {
        return Err(reader.error("unexpected character"));
    }
    Ok(Path { steps, legacy, text: shown })
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// The filters that are being read.
    filters: usize,
}

impl Reader<'_> {
    fn error(&self, what: &'static str) -> JsonError {
        JsonError::Path(what, self.at)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Passes over `word` if it stands here.
    fn take(&mut self, word: &str) -> bool {
        let found = self.text[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    fn expect(&mut self, word: &str, what: &'static str) -> Result<(), JsonError> {
        if self.take(word) { Ok(()) } else { Err(self.error(what)) }
    }

    /// Reads steps as long as there are any.
    fn steps(&mut self, steps: &mut Vec<Step>) -> Result<(), JsonError> {
        loop {
            let deep = self.take("..");
            let dot = deep || self.take(".");
            let selectors = match self.peek() {
                Some(b'[') => self.brackets()?,
                _ if dot => vec![self.dotted()?],
                _ => return Ok(()),
            };
            steps.push(Step { deep, selectors });
        }
    }

    /// A name behind a dot, or all.
    fn dotted(&mut self) -> Result<Selector, JsonError> {
        if self.take("*") {
            return Ok(Selector::All);
        }
        let ends = |byte: &u8| match byte {
            b'.' | b'[' | b']' | b'"' | b'\'' => true,
            // Within a filter, what comes behind a path ends it.
            byte if self.filters > 0 => byte.is_ascii_whitespace() || b"()=!<>&|~,".contains(byte),
            _ => false,
        };
        let rest = &self.text[self.at..];
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.error("expected a name"));
        }
        self.at += length;
        Ok(Selector::Name(rest[..length].into()))
    }

    /// What stands in brackets: one selector or several.
    fn brackets(&mut self) -> Result<Vec<Selector>, JsonError> {
        self.expect("[", "expected '['")?;
        let mut selectors = Vec::new();
        loop {
            self.skip_blanks();
            selectors.push(self.selector()?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(selectors);
            }
            self.expect(",", "expected ']' or ','")?;
        }
    }

    fn selector(&mut self) -> Result<Selector, JsonError> {
        match self.peek() {
            Some(b'*') => {
                self.at += 1;
                Ok(Selector::All)
            }
            Some(b'?') => {
                self.at += 1;
                self.filter().map(Selector::Filter)
            }
            Some(b'"' | b'\'') => Ok(Selector::Name(self.quoted()?.into())),
            Some(b'0'..=b'9' | b'-' | b':') => self.index_or_slice(),
            _ => Err(self.error("expected an index, a name in quotes, '*' or '?'")),
        }
    }

    fn index_or_slice(&mut self) -> Result<Selector, JsonError> {
        let from = self.integer()?;
        self.skip_blanks();
        if !self.take(":") {
            return from.map(Selector::Index).ok_or_else(|| self.error("expected an index"));
        }
        self.skip_blanks();
        let to = self.integer()?;
        self.skip_blanks();
        let step = match self.take(":") {
            true => {
                self.skip_blanks();
                self.integer()?
            }
            false => None,
        };
        Ok(Selector::Slice(Slice { from, to, step: step.unwrap_or(1) }))
    }

    /// An integer, if one stands here.
    fn integer(&mut self) -> Result<Option<i64>, JsonError> {
        let rest = &self.text[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let digits = rest[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return if sign == 0 { Ok(None) } else { Err(self.error("expected an index")) };
        }
        let digits = &rest[..sign + digits];
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        let number = number.ok_or_else(|| self.error("index is out of range"))?;
        self.at += digits.len();
        Ok(Some(number))
    }

    /// A string in quotes of either kind.
    fn quoted(&mut self) -> Result<Vec<u8>, JsonError> {
        let quote = self.peek();
        self.at += 1;
        let mut text = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(|| self.error("expected the end of a string"))?;
            self.at += 1;
            match byte {
                b'\\' => self.escape(&mut text)?,
                byte if Some(byte) == quote => return Ok(text),
                byte => text.push(byte),
            }
        }
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), JsonError> {
        let byte = self.peek().ok_or_else(|| self.error("expected the end of a string"))?;
        self.at += 1;
        match byte {
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let mut units = vec![self.unit()?];
                if (0xd800..0xdc00).contains(&units[0]) && self.take("\\u") {
                    units.push(self.unit()?);
                }
                let decoded =
                    String::from_utf16(&units).map_err(|_| self.error("invalid \\u escape"))?;
                text.extend_from_slice(decoded.as_bytes());
            }
            byte => text.push(byte),
        }
        Ok(())
    }

    /// The four hexadecimal digits of an escape.
    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.error("invalid \\u escape"))?;
        self.at += 4;
        Ok(unit)
    }

    /// A condition, up to the bracket or comma behind it.
    fn filter(&mut self) -> Result<Filter, JsonError> {
        if self.filters == NESTED_FILTERS {
            return Err(self.error("filters are nested too deep"));
        }
        self.filters += 1;
        let filter = self.condition();
        self.filters -= 1;
        filter
    }

    /// Reads by precedence: `!` before `&&` before `||`; what waits for its second side stands
    /// on a stack, and what is ready in the order in which it is decided.
    fn condition(&mut self) -> Result<Filter, JsonError> {
        let mut ready: Vec<Op> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            self.skip_blanks();
            if self.take("(") {
                waiting.push(Waiting::Parenthesis);
                continue;
            }
            if self.take("!") {
                waiting.push(Waiting::Not);
                continue;
            }
            ready.push(self.test()?);
            release(&mut waiting, &mut ready, Waiting::Not);
            loop {
                self.skip_blanks();
                if self.take(")") {
                    release(&mut waiting, &mut ready, Waiting::Or);
                    if waiting.pop() != Some(Waiting::Parenthesis) {
                        return Err(self.error("unexpected ')'"));
                    }
                    release(&mut waiting, &mut ready, Waiting::Not);
                    continue;
                }
                break;
            }
            let next = match () {
                () if self.take("&&") => Waiting::And,
                () if self.take("||") => Waiting::Or,
                () => break,
            };
            release(&mut waiting, &mut ready, next);
            waiting.push(next);
        }
        release(&mut waiting, &mut ready, Waiting::Or);
        if waiting.is_empty() { Ok(Filter::new(ready)) } else { Err(self.error("expected ')'")) }
    }

    /// One comparison, or one operand that is there or not.
    fn test(&mut self) -> Result<Op, JsonError> {
        let left = self.operand()?;
        self.skip_blanks();
        if self.take("=~") {
            self.skip_blanks();
            let right = self.pattern()?;
            return Ok(Op::Compare(left, Comparison::Matches, right));
        }
        const WORDS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        match WORDS.iter().find(|(word, _)| self.take(word)) {
            Some((_, comparison)) => {
                self.skip_blanks();
                Ok(Op::Compare(left, *comparison, self.operand()?))
            }
            None => Ok(Op::Exists(left)),
        }
    }

    /// What `=~` compares with: a pattern, read once, or a path to one.
    fn pattern(&mut self) -> Result<Operand, JsonError> {
        let start = self.at;
        match self.peek() {
            Some(b'"' | b'\'') => {
                let text = self.quoted()?;
                let pattern = String::from_utf8(text).ok().and_then(|text| compile(&text));
                pattern.map(Operand::Pattern).ok_or(JsonError::Path("invalid pattern", start))
            }
            _ => self.operand(),
        }
    }

    fn operand(&mut self) -> Result<Operand, JsonError> {
        let start = self.at;
        let mut builder = Builder::new();
        match self.peek() {
            Some(from @ (b'@' | b'$')) => {
                self.at += 1;
                let mut steps = Vec::new();
                self.steps(&mut steps)?;
                return Ok(Operand::Path { from_root: from == b'$', steps });
            }
            Some(b'"' | b'\'') => {
                let text = self.quoted()?;
                if std::str::from_utf8(&text).is_err() {
                    return Err(JsonError::Path("string is not UTF-8", start));
                }
                builder.string(&text);
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = |byte: &&u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = self.text[start..].iter().take_while(number).count();
                self.at += length;
                let number = parse(&self.text[start..self.at]);
                return number
                    .map(Operand::Literal)
                    .map_err(|_| JsonError::Path("invalid number", start));
            }
            _ if self.take("true") => builder.boolean(true),
            _ if self.take("false") => builder.boolean(false),
            _ if self.take("null") => builder.null(),
            _ => return Err(self.error("expected '@', '$', a number, a string, or a literal")),
        }
        builder.finish().map(Operand::Literal)
    }
}

/// Reads a pattern of `=~`; nothing if it does not read, or takes too much.
pub(super) fn compile(pattern: &str) -> Option<Pattern> {
    PATTERNS.iter().find_map(|(bytes, cost)| {
        let regex = regex_lite::RegexBuilder::new(pattern).size_limit(*bytes).build().ok()?;
        Some(Pattern { regex, cost: *cost })
    })
}

/// What waits for its second side, the weakest last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Not,
    And,
    Or,
    Parenthesis,
}

/// Puts what waits and binds as strongly as `than`, or more, behind what is ready.
fn release(waiting: &mut Vec<Waiting>, ready: &mut Vec<Op>, than: Waiting) {
    while let Some(top) = waiting.last().copied().filter(|top| (*top as u8) <= than as u8) {
        ready.push(match top {
            Waiting::Not => Op::Not,
            Waiting::And => Op::And,
            Waiting::Or => Op::Or,
            Waiting::Parenthesis => return,
        });
        waiting.pop();
    }
}
