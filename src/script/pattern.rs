//! Lua's patterns for texts on which they may take long.
//!
//! Lua's own matcher runs within one instruction, where no hook is called: a pattern such as
//! `(.-)(.-)(.-)b` on a megabyte of `a` would keep its worker for years, and neither SCRIPT KILL
//! nor a stop would reach it. The prelude gives what may take that long to this one, which looks
//! at the time as it goes. It finds what Lua's finds (a test draws patterns and asks both).
//!
//! Left out on purpose: iterating and replacing, which the prelude does by it.

use std::rc::Rc;

use mlua::{Lua, MultiValue, Value};

use super::busy::Verdict;
use super::host::HOST;
use super::vm::{Shared, look_every, unbounded};

/// Captures of a pattern, as in Lua.
const CAPTURES: usize = 32;

/// How deep parts of a pattern may lie within each other's attempts, as in LuaJIT.
const DEPTH: usize = 200;

/// Steps between two looks at the time: some hundred microseconds.
const STEPS: u32 = 20_000;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The pattern is none.
    Wrong(&'static str),
    /// The script has been ended.
    Killed,
}

/// One capture: where it begins and how long it is.
#[derive(Clone, Copy, Debug)]
enum Capture {
    /// It has no end yet.
    Open(usize),
    Text(usize, usize),
    /// Only a place.
    Place(usize),
}

/// A subject and a pattern while they are compared.
struct Matcher<'t, L> {
    subject: &'t [u8],
    pattern: &'t [u8],
    captures: Vec<Capture>,
    depth: usize,
    steps: u32,
    /// Looks whether to go on.
    look: L,
}

/// Where a match was found, and its captures.
#[derive(Debug)]
struct Found {
    start: usize,
    end: usize,
    captures: Vec<Capture>,
}

/// The first match at `init` or behind it; only there if the pattern is `anchored`.
fn search<L: FnMut() -> Verdict>(
    subject: &[u8],
    pattern: &[u8],
    init: usize,
    anchored: bool,
    look: L,
) -> Result<Option<Found>, Stop> {
    let captures = Vec::new();
    let mut matcher = Matcher { subject, pattern, captures, depth: 0, steps: 0, look };
    let mut start = init;
    loop {
        matcher.captures.clear();
        if let Some(end) = matcher.matches(start, 0)? {
            return Ok(Some(Found { start, end, captures: matcher.captures }));
        }
        if anchored || start >= subject.len() {
            return Ok(None);
        }
        start += 1;
    }
}

impl<L: FnMut() -> Verdict> Matcher<'_, L> {
    fn step(&mut self) -> Result<(), Stop> {
        self.steps += 1;
        if self.steps < STEPS {
            return Ok(());
        }
        self.steps = 0;
        match (self.look)() {
            Verdict::Goes => Ok(()),
            Verdict::Killed => Err(Stop::Killed),
        }
    }

    /// Whether the pattern from `p` on fits the subject from `s` on; answers where that ends.
    fn matches(&mut self, s: usize, p: usize) -> Result<Option<usize>, Stop> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Stop::Wrong("pattern too complex"));
        }
        let end = self.run(s, p);
        self.depth -= 1;
        end
    }

    fn run(&mut self, mut s: usize, mut p: usize) -> Result<Option<usize>, Stop> {
        loop {
            self.step()?;
            let next = self.pattern.get(p + 1).copied();
            match self.pattern.get(p) {
                None => return Ok(Some(s)),
                Some(b'(') if next == Some(b')') => {
                    return self.open(Capture::Place(s), s, p + 2);
                }
                Some(b'(') => return self.open(Capture::Open(s), s, p + 1),
                Some(b')') => return self.close(s, p + 1),
                Some(b'$') if next.is_none() => {
                    return Ok((s == self.subject.len()).then_some(s));
                }
                Some(b'%') if next == Some(b'b') => match self.balanced(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                Some(b'%') if next == Some(b'f') => {
                    p += 2;
                    if self.pattern.get(p) != Some(&b'[') {
                        return Err(Stop::Wrong("missing '[' after '%f' in pattern"));
                    }
                    let end = self.item_end(p)?;
                    let before = s.checked_sub(1).map_or(0, |at| self.subject[at]);
                    let here = self.subject.get(s).copied().unwrap_or(0);
                    let set = &self.pattern[p..end];
                    if in_set(before, set) || !in_set(here, set) {
                        return Ok(None);
                    }
                    p = end;
                }
                Some(b'%') if next.is_some_and(|byte| byte.is_ascii_digit()) => {
                    match self.again(s, next.unwrap_or(b'0'))? {
                        Some(end) => (s, p) = (end, p + 2),
                        None => return Ok(None),
                    }
                }
                Some(_) => {
                    let end = self.item_end(p)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.fits(s, p, end)
                                && let Some(found) = self.matches(s + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            p = end + 1;
                        }
                        Some(b'*') => return self.most(s, p, end, 0),
                        Some(b'+') => return self.most(s, p, end, 1),
                        Some(b'-') => return self.least(s, p, end),
                        _ if !self.fits(s, p, end) => return Ok(None),
                        _ => (s, p) = (s + 1, end),
                    }
                }
            }
        }
    }

    /// Where the item that begins at `p` ends.
    fn item_end(&self, p: usize) -> Result<usize, Stop> {
        let mut at = p + 1;
        match self.pattern[p] {
            b'%' if at >= self.pattern.len() => {
                Err(Stop::Wrong("malformed pattern (ends with '%')"))
            }
            b'%' => Ok(at + 1),
            b'[' => {
                const OPEN: Stop = Stop::Wrong("malformed pattern (missing ']')");
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                // A bracket in the first place is one of the set.
                loop {
                    let byte = *self.pattern.get(at).ok_or(OPEN)?;
                    at += 1;
                    if byte == b'%' && at < self.pattern.len() {
                        at += 1;
                    }
                    if *self.pattern.get(at).ok_or(OPEN)? == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(at),
        }
    }

    /// Whether the byte at `s` is one of the item from `p` to `end`.
    fn fits(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(byte) = self.subject.get(s).copied() else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => in_class(byte, self.pattern[p + 1]),
            b'[' => in_set(byte, &self.pattern[p..end]),
            literal => literal == byte,
        }
    }

    /// As many as there are, at least `least`, and then fewer.
    fn most(
        &mut self,
        s: usize,
        p: usize,
        end: usize,
        least: usize,
    ) -> Result<Option<usize>, Stop> {
        let mut count = 0;
        while self.fits(s + count, p, end) {
            count += 1;
            self.step()?;
        }
        while count >= least {
            if let Some(found) = self.matches(s + count, end + 1)? {
                return Ok(Some(found));
            }
            if count == 0 {
                break;
            }
            count -= 1;
        }
        Ok(None)
    }

    /// As few as will do.
    fn least(&mut self, mut s: usize, p: usize, end: usize) -> Result<Option<usize>, Stop> {
        loop {
            if let Some(found) = self.matches(s, end + 1)? {
                return Ok(Some(found));
            }
            if !self.fits(s, p, end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    fn open(&mut self, capture: Capture, s: usize, p: usize) -> Result<Option<usize>, Stop> {
        if self.captures.len() >= CAPTURES {
            return Err(Stop::Wrong("too many captures"));
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let found = self.matches(s, p)?;
        if found.is_none() {
            self.captures.truncate(level);
        }
        Ok(found)
    }

    fn close(&mut self, s: usize, p: usize) -> Result<Option<usize>, Stop> {
        let open = self.captures.iter().rposition(|one| matches!(one, Capture::Open(_)));
        let Some(at) = open else { return Err(Stop::Wrong("invalid pattern capture")) };
        let Capture::Open(start) = self.captures[at] else { return Ok(None) };
        self.captures[at] = Capture::Text(start, s - start);
        let found = self.matches(s, p)?;
        if found.is_none() {
            self.captures[at] = Capture::Open(start);
        }
        Ok(found)
    }

    /// `%bxy`, whose x and y stand at `p`.
    fn balanced(&mut self, s: usize, p: usize) -> Result<Option<usize>, Stop> {
        let (Some(&begin), Some(&end)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return Err(Stop::Wrong("unbalanced pattern"));
        };
        if self.subject.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut deep = 1_usize;
        let mut at = s + 1;
        while let Some(byte) = self.subject.get(at).copied() {
            self.step()?;
            at += 1;
            if byte == end {
                deep -= 1;
                if deep == 0 {
                    return Ok(Some(at));
                }
            } else if byte == begin {
                deep += 1;
            }
        }
        Ok(None)
    }

    /// What a capture has found, once more.
    fn again(&mut self, s: usize, digit: u8) -> Result<Option<usize>, Stop> {
        const WRONG: Stop = Stop::Wrong("invalid capture index");
        let number = usize::from(digit - b'0').checked_sub(1).ok_or(WRONG)?;
        match self.captures.get(number).copied().ok_or(WRONG)? {
            Capture::Open(_) => Err(WRONG),
            Capture::Place(_) => Ok(None),
            Capture::Text(start, length) => {
                let text = &self.subject[start..start + length];
                Ok(self.subject[s..].starts_with(text).then_some(s + length))
            }
        }
    }
}

/// Whether a byte is one of a set, which stands there with its brackets.
fn in_set(byte: u8, set: &[u8]) -> bool {
    let inside = &set[1..set.len() - 1];
    let (inside, wanted) = match inside {
        [b'^', rest @ ..] => (rest, false),
        _ => (inside, true),
    };
    let mut at = 0;
    while let Some(first) = inside.get(at).copied() {
        let second = inside.get(at + 1).copied();
        if first == b'%' {
            at += 2;
            if second.is_some_and(|class| in_class(byte, class)) {
                return wanted;
            }
        } else if second == Some(b'-')
            && let Some(last) = inside.get(at + 2).copied()
        {
            at += 3;
            if (first..=last).contains(&byte) {
                return wanted;
            }
        } else {
            at += 1;
            if first == byte {
                return wanted;
            }
        }
    }
    !wanted
}

/// Whether a byte is one of the class behind a `%`.
fn in_class(byte: u8, class: u8) -> bool {
    let is = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => matches!(byte, b' ' | b'\t'..=b'\r'),
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return class == byte,
    };
    is == class.is_ascii_lowercase()
}

/// What the prelude searches by: `(subject, pattern, init, plain, anchors)` with a first place of
/// 0. Answers a reason or nil, then the first place and the last one behind it, then captures.
pub(super) fn function(lua: &Lua, shared: &Rc<Shared>) -> mlua::Result<mlua::Function> {
    let shared = Rc::clone(shared);
    lua.create_function(
        move |lua, (subject, pattern, init, plain, anchors): (Value, Value, usize, bool, bool)| {
            let (Value::String(subject), Value::String(pattern)) = (&subject, &pattern) else {
                return Ok(MultiValue::new());
            };
            let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
            if init > subject.len() {
                return Ok(MultiValue::new());
            }
            if plain {
                let found = memchr::memmem::find(&subject[init..], &pattern);
                let place = |at: usize| Value::Integer((init + at) as mlua::Integer);
                return Ok(found.map_or_else(MultiValue::new, |at| {
                    [Value::Nil, place(at), place(at + pattern.len())].into_iter().collect()
                }));
            }
            let (pattern, anchored) = match &*pattern {
                [b'^', rest @ ..] if anchors => (rest, true),
                all => (all, false),
            };
            let look = || match HOST.is_set() {
                true => HOST.with(|host| host.0.look()),
                false => Verdict::Goes,
            };
            match search(&subject, pattern, init, anchored, look) {
                Ok(None) => Ok(MultiValue::new()),
                Ok(Some(found)) => unbounded(lua, || answer(lua, &subject, &found)),
                Err(Stop::Wrong(why)) => {
                    Ok([Value::String(lua.create_string(why)?)].into_iter().collect())
                }
                Err(Stop::Killed) => {
                    // The hook says so at the next instruction.
                    if shared.killed.get().is_none() {
                        shared.killed.set(Some(0));
                    }
                    look_every(lua, &shared, 1)?;
                    Ok(MultiValue::new())
                }
            }
        },
    )
}

fn answer(lua: &Lua, subject: &[u8], found: &Found) -> mlua::Result<MultiValue> {
    let mut values = MultiValue::with_capacity(3 + found.captures.len());
    values.push_back(Value::Nil);
    values.push_back(Value::Integer(found.start as mlua::Integer));
    values.push_back(Value::Integer(found.end as mlua::Integer));
    for capture in &found.captures {
        values.push_back(match *capture {
            Capture::Text(start, length) => {
                Value::String(lua.create_string(&subject[start..start + length])?)
            }
            Capture::Place(at) => Value::Integer((at + 1) as mlua::Integer),
            Capture::Open(_) => {
                let why = Value::String(lua.create_string("unfinished capture")?);
                return Ok([why].into_iter().collect());
            }
        });
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Lua's own `string.find` answers.
    fn native(lua: &Lua, subject: &[u8], pattern: &[u8]) -> Result<Option<(usize, usize)>, String> {
        let find: mlua::Function =
            lua.load("return function(...) return pcall(string.find, ...) end").eval().unwrap();
        let arguments = (lua.create_string(subject).unwrap(), lua.create_string(pattern).unwrap());
        let values: MultiValue = find.call(arguments).unwrap();
        let values: Vec<Value> = values.into_iter().collect();
        match values.as_slice() {
            [Value::Boolean(true), Value::Nil] => Ok(None),
            [Value::Boolean(true), start, end, ..] => {
                Ok(Some((start.as_usize().unwrap(), end.as_usize().unwrap())))
            }
            [_, why, ..] => Err(why.to_string().unwrap()),
            _ => Err("nothing".into()),
        }
    }

    fn ours(subject: &[u8], pattern: &[u8]) -> Result<Option<(usize, usize)>, String> {
        let (pattern, anchored) = match pattern {
            [b'^', rest @ ..] => (rest, true),
            all => (all, false),
        };
        match search(subject, pattern, 0, anchored, || Verdict::Goes) {
            Ok(None) => Ok(None),
            Ok(Some(found)) => {
                if found.captures.iter().any(|one| matches!(one, Capture::Open(_))) {
                    return Err("unfinished capture".into());
                }
                Ok(Some((found.start + 1, found.end)))
            }
            Err(Stop::Wrong(why)) => Err(why.into()),
            Err(Stop::Killed) => Err("killed".into()),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn it_finds_what_lua_finds(
            subject in "[ab()%1 .-]{0,14}",
            pattern in r"(\^)?([ab.]|%[abdswplux%bf1]|\[[\^]?[ab%\]-]{1,3}\]|[()*+?\[\]$%-]|\(\)|\([ab.][*+-]?\)){0,8}",
        ) {
            // What has none of these is no pattern to string.find, not even `)`.
            prop_assume!(pattern.bytes().any(|byte| b"^$*+?.([%-".contains(&byte)));
            let lua = Lua::new();
            let (native, ours) = (
                native(&lua, subject.as_bytes(), pattern.as_bytes()),
                ours(subject.as_bytes(), pattern.as_bytes()),
            );
            match (&native, &ours) {
                (Err(a), Err(b)) => prop_assert!(
                    a.ends_with(b.as_str()) || b == "unbalanced pattern",
                    "{a} and {b}: {subject:?} {pattern:?}"
                ),
                _ => prop_assert_eq!(&native, &ours, "{:?} {:?}", subject, pattern),
            }
        }
    }

    #[test]
    fn it_stops_when_it_is_told() {
        let subject = vec![b'a'; 100_000];
        let mut looks = 0;
        let stopped = search(&subject, b"(.-)(.-)(.-)b", 0, false, || {
            looks += 1;
            if looks > 5 { Verdict::Killed } else { Verdict::Goes }
        });
        assert_eq!(stopped.err(), Some(Stop::Killed));
        let open = "(".repeat(40);
        let deep = search(b"a", open.as_bytes(), 0, false, || Verdict::Goes);
        assert_eq!(deep.err(), Some(Stop::Wrong("too many captures")));
    }
}
