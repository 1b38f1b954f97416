//! The text of commands and replies: words, quotes, escapes.
//!
//! Left out on purpose: what the words mean; that is for [`super::expect`] and
//! [`super::script`].

/// Characters of a line with a position that moves forward.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Cursor<'a> {
        Cursor { rest: text }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Moves past `token` if it comes next.
    pub(crate) fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The characters up to the first that `ends`.
    pub(crate) fn take_until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let at = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(at);
        self.rest = rest;
        word
    }

    /// A string in double quotes, with redis-cli's escapes; the cursor stands on the first quote.
    pub(crate) fn take_quoted(&mut self) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let text = self.rest.strip_prefix('"').ok_or("a string in double quotes belongs here")?;
        let mut characters = text.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &text[at + 1..];
                    return Ok(repeated(&out));
                }
                '\\' => {
                    let (_, escaped) = characters.next().ok_or("an escape without a character")?;
                    match escaped {
                        'n' => out.push(b'\n'),
                        'r' => out.push(b'\r'),
                        't' => out.push(b'\t'),
                        'a' => out.push(7),
                        'b' => out.push(8),
                        'x' => {
                            let digits = text.get(at + 2..at + 4).ok_or("\\x needs two digits")?;
                            let byte = u8::from_str_radix(digits, 16)
                                .map_err(|_| format!("\\x{digits} is no byte"))?;
                            out.push(byte);
                            characters.nth(1);
                        }
                        other => push_char(&mut out, other),
                    }
                }
                other => push_char(&mut out, other),
            }
        }
        Err("a string has no closing quote".to_owned())
    }
}

/// The arguments of a command line: words apart by spaces, quoted where needed.
pub(crate) fn arguments(line: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut cursor = Cursor::new(line);
    let mut args = Vec::new();
    loop {
        cursor.skip_space();
        if cursor.is_at_end() {
            break;
        }
        if cursor.rest().starts_with('"') {
            args.push(cursor.take_quoted()?);
            if !cursor.is_at_end() && !cursor.rest().starts_with(' ') {
                return Err("a closing quote must be followed by a space".to_owned());
            }
        } else {
            args.push(repeated(cursor.take_until(|c| c == ' ').as_bytes()));
        }
    }
    if args.is_empty() { Err("no command".to_owned()) } else { Ok(args) }
}

/// Writes `{x*3}` out as `xxx`: long values stay readable in a script.
fn repeated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        match repetition(rest) {
            Some((byte, times, length)) => {
                out.resize(out.len() + times, byte);
                rest = &rest[length..];
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

/// The byte, the count and the length of a `{x*3}` at the start.
fn repetition(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let [b'{', byte, b'*', tail @ ..] = bytes else { return None };
    let end = tail.iter().position(|&b| b == b'}')?;
    let times = std::str::from_utf8(&tail[..end]).ok()?.parse().ok()?;
    Some((*byte, times, end + 4))
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
