//! Reading a stream that arrives in pieces: feed bytes, take items.
//!
//! The reader holds the bytes of the part that is not complete yet, and of a large hash only
//! the fields so far. It stops behind the checksum: in a full sync the EOF mark and the
//! command stream follow there, and [`Reader::unread`] hands them back.
//!
//! Left out on purpose: deciding about expired keys, database numbers and unknown facts; that
//! is for whoever puts the items into a keyspace.

use super::code;
use super::cursor::{Cursor, Stop};
use super::error::{Error, ErrorKind};
use super::module;
use super::value::{Decoded, Decoder, Key, KeyMeta, Limits, Skipped, Usage};
use super::{Checksum, NEWEST_VERSION};

/// Memory that an emptied buffer keeps for the next piece.
const RETAINED_BYTES: usize = 1 << 20;
/// Versions before this one end without a checksum.
const CHECKSUM_SINCE: u16 = 5;
const MAGIC: &[u8; 5] = b"REDIS";

/// A part of an RDB stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// A fact about the file.
    Aux {
        /// Its name, for instance `repl-id`.
        name: Vec<u8>,
        /// Its value; numbers as decimals.
        value: Vec<u8>,
    },
    /// The database of the keys that follow; zero until the first.
    SelectDb(u32),
    /// A hint of the selected database's size.
    ResizeDb {
        /// Keys in it.
        keys: u64,
        /// Keys in it that expire.
        expires: u64,
    },
    /// A key, whole.
    Key(Key),
    /// A function library's source.
    Function(Vec<u8>),
    /// Something well-formed that is left out.
    Skipped {
        /// The key that is left out; `None` for data of no key.
        key: Option<Vec<u8>>,
        /// Why.
        why: Skipped,
    },
    /// The end; the checksum, if there is one, was right.
    Eof,
}

/// A resumable reader of one RDB stream.
#[derive(Debug)]
pub struct Reader {
    /// Bytes fed, from the first that may still be needed.
    buffer: Vec<u8>,
    /// Bytes of `buffer` already taken.
    taken: usize,
    /// Offset of `buffer` in the stream.
    base: u64,
    /// Over everything before `buffer`.
    checksum: Checksum,
    grammar: Grammar,
}

impl Reader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let grammar = Grammar { limits, version: 0, state: State::Header };
        Self { buffer: Vec::new(), taken: 0, base: 0, checksum: Checksum::new(), grammar }
    }

    /// Takes the next bytes of the stream, which may end anywhere.
    ///
    /// Bytes pile up until [`Reader::next_item`] has taken them: call that until it gives
    /// `None` before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        // Moving the rest down costs no more than what was taken since the last time.
        if self.taken >= self.buffer.len() - self.taken {
            self.discard_taken();
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next item, or `None` if more bytes are needed or the stream has ended.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it should be. The stream cannot be read beyond it: the
    /// same error is given from then on.
    pub fn next_item(&mut self) -> Result<Option<Item>, Error> {
        loop {
            let offset = self.offset();
            let mut cursor = Cursor::new(&self.buffer[self.taken..], offset);
            let step = self.grammar.step(&mut cursor);
            self.taken += cursor.kept();
            match step {
                Ok(Step::Item(item)) => return Ok(Some(item)),
                // The checksum covers exactly the bytes up to the end opcode.
                Ok(Step::End) => self.discard_taken(),
                Ok(Step::Trailer(stored)) => return self.check(stored).map(Some),
                Ok(Step::Nothing) => {}
                Err(Stop::More) => return Ok(None),
                Err(Stop::Bad(error)) => return Err(self.fail(error)),
            }
        }
    }

    /// Whether [`Item::Eof`] has been given.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.grammar.state, State::Done)
    }

    /// The stream has no more bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Truncated`] if it should have; any earlier error.
    pub fn finish(&self) -> Result<(), Error> {
        match &self.grammar.state {
            State::Done => Ok(()),
            State::Failed(error) => Err(error.clone()),
            _ => Err(Error::new(self.base + self.buffer.len() as u64, ErrorKind::Truncated)),
        }
    }

    /// Bytes fed but not taken; after [`Item::Eof`], what follows the RDB stream.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Bytes of the stream taken so far.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.base + self.taken as u64
    }

    /// The version that the header stated; zero before it has come.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.grammar.version
    }

    fn discard_taken(&mut self) {
        self.checksum.update(&self.buffer[..self.taken]);
        self.base += self.taken as u64;
        self.buffer.drain(..self.taken);
        self.taken = 0;
        if self.buffer.len() < RETAINED_BYTES {
            self.buffer.shrink_to(RETAINED_BYTES);
        }
    }

    /// Zero means that the writer had checksums switched off.
    fn check(&mut self, stored: u64) -> Result<Item, Error> {
        let computed = self.checksum.value();
        if stored != 0 && stored != computed {
            let kind = ErrorKind::Checksum { computed, stored };
            return Err(self.fail(Error::new(self.offset(), kind)));
        }
        self.grammar.state = State::Done;
        Ok(Item::Eof)
    }

    fn fail(&mut self, error: Error) -> Error {
        self.grammar.state = State::Failed(error.clone());
        error
    }
}

/// Where in the stream's grammar the reader is, without the bytes.
#[derive(Debug)]
struct Grammar {
    limits: Limits,
    version: u16,
    state: State,
}

#[derive(Debug)]
enum State {
    Header,
    /// At an opcode or a type byte, with what is known of the next key.
    Opcode(KeyMeta),
    /// In the value of a key.
    Value(Box<KeyInside>),
    /// In a module's data of no key.
    ModuleAux(KeyMeta, module::Decoder),
    Trailer,
    Done,
    Failed(Error),
}

#[derive(Debug)]
struct KeyInside {
    name: Vec<u8>,
    meta: KeyMeta,
    decoder: Decoder,
}

/// What became of some bytes.
enum Step {
    Nothing,
    Item(Item),
    /// The end opcode; what comes now is not part of the checksum.
    End,
    /// The stored checksum.
    Trailer(u64),
}

impl Grammar {
    fn step(&mut self, cursor: &mut Cursor<'_>) -> Result<Step, Stop> {
        match &mut self.state {
            State::Header => self.header(cursor),
            &mut State::Opcode(meta) => self.opcode(cursor, meta),
            State::Value(inside) => {
                let decoded = inside.decoder.step(cursor, &self.limits)?;
                let name = std::mem::take(&mut inside.name);
                let item = key_item(name, inside.meta, decoded);
                self.state = State::Opcode(KeyMeta::default());
                Ok(Step::Item(item))
            }
            State::ModuleAux(meta, decoder) => {
                let decoded = decoder.step(cursor, &self.limits)?;
                cursor.keep();
                self.state = State::Opcode(*meta);
                Ok(match decoded {
                    Decoded::Skipped(why) => Step::Item(Item::Skipped { key: None, why }),
                    Decoded::Value(_) => Step::Nothing,
                })
            }
            State::Trailer => {
                let stored = cursor.u64_le()?;
                cursor.keep();
                Ok(Step::Trailer(stored))
            }
            State::Done => Err(Stop::More),
            State::Failed(error) => Err(error.clone().into()),
        }
    }

    fn header(&mut self, cursor: &mut Cursor<'_>) -> Result<Step, Stop> {
        let magic = cursor.take(MAGIC.len())?;
        let digits = cursor.take(4)?;
        let version = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u16>().ok());
        let found = match version {
            // Parsing would take a plus sign too.
            Some(found) if magic == MAGIC && digits[0] != b'+' => found,
            _ => return Err(Error::new(0, ErrorKind::Magic).into()),
        };
        if !(1..=NEWEST_VERSION).contains(&found) {
            return Err(Error::new(MAGIC.len() as u64, ErrorKind::Version { found }).into());
        }
        cursor.keep();
        self.version = found;
        self.state = State::Opcode(KeyMeta::default());
        Ok(Step::Nothing)
    }

    /// Takes one opcode with its arguments, or one key up to its value.
    fn opcode(&mut self, cursor: &mut Cursor<'_>, meta: KeyMeta) -> Result<Step, Stop> {
        let offset = cursor.offset();
        let byte = cursor.byte()?;
        let step = match byte {
            code::OP_EOF => self.eof(),
            code::OP_MODULE_AUX => {
                self.state = State::ModuleAux(meta, module::Decoder::aux());
                Step::Nothing
            }
            code::OP_EXPIRE_MS | code::OP_EXPIRE_S | code::OP_IDLE | code::OP_FREQ => {
                self.state = State::Opcode(about_key(byte, cursor, meta)?);
                Step::Nothing
            }
            code::OP_AUX
            | code::OP_SELECT_DB
            | code::OP_RESIZE_DB
            | code::OP_FUNCTION2
            | code::OP_SLOT_INFO => about_file(byte, cursor, &self.limits)?,
            code::OP_FUNCTION_PRE_GA => {
                return Err(Error::expected(offset, "functions of a released Redis").into());
            }
            _ => {
                let decoder = Decoder::new(byte, offset)?;
                let name = cursor.string(&self.limits)?.into_vec()?;
                self.state = State::Value(Box::new(KeyInside { name, meta, decoder }));
                Step::Nothing
            }
        };
        cursor.keep();
        Ok(step)
    }

    fn eof(&mut self) -> Step {
        if self.version < CHECKSUM_SINCE {
            self.state = State::Done;
            return Step::Item(Item::Eof);
        }
        self.state = State::Trailer;
        Step::End
    }
}

fn key_item(name: Vec<u8>, meta: KeyMeta, decoded: Decoded) -> Item {
    match decoded {
        Decoded::Value(value) => Item::Key(Key { name, meta, value }),
        Decoded::Skipped(why) => Item::Skipped { key: Some(name), why },
    }
}

/// An opcode that says something of the next key.
fn about_key(byte: u8, cursor: &mut Cursor<'_>, meta: KeyMeta) -> Result<KeyMeta, Stop> {
    Ok(match byte {
        // 32 bits of seconds are far within 64 bits of milliseconds.
        code::OP_EXPIRE_S => {
            KeyMeta { expire_at_ms: Some(i64::from(cursor.i32_le()?) * 1000), ..meta }
        }
        code::OP_EXPIRE_MS => {
            KeyMeta { expire_at_ms: Some(cursor.u64_le()?.cast_signed()), ..meta }
        }
        code::OP_IDLE => KeyMeta { usage: Some(Usage::IdleSeconds(cursor.length()?)), ..meta },
        _ => KeyMeta { usage: Some(Usage::Frequency(cursor.byte()?)), ..meta },
    })
}

/// An opcode that says something of the file, a database or a slot.
fn about_file(byte: u8, cursor: &mut Cursor<'_>, limits: &Limits) -> Result<Step, Stop> {
    Ok(Step::Item(match byte {
        code::OP_AUX => {
            let (name, value) = (cursor.string(limits)?, cursor.string(limits)?);
            Item::Aux { name: name.into_vec()?, value: value.into_vec()? }
        }
        code::OP_SELECT_DB => {
            // Below the limit, so the number fits.
            Item::SelectDb(cursor.limited("a database number", u32::MAX.into())? as u32)
        }
        code::OP_RESIZE_DB => Item::ResizeDb { keys: cursor.length()?, expires: cursor.length()? },
        code::OP_FUNCTION2 => Item::Function(cursor.string(limits)?.into_vec()?),
        _ => {
            // A slot's number, keys and expiries: hints that Eave has no use for.
            for _ in 0..3 {
                cursor.length()?;
            }
            return Ok(Step::Nothing);
        }
    }))
}
