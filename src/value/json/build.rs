//! Writes documents: values one after the other, containers opened and closed.
//!
//! What a container says in front of itself is known only when it is closed. So the longest form
//! is kept free for it, and `finish` moves everything together, each byte once.

use super::document::{
    ARRAY, FALSE, FLOAT32, FLOAT64, INT8, INT16, INT32, INT64, NULL, OBJECT, SHORT, SHORT_BYTES,
    SMALL, SMALL_LAST, STRING16, STRING32, TRUE, UINT64, WIDTHS,
};
use super::{DEPTH, DOCUMENT_BYTES, JsonError};

/// Bytes in front of a container's content until `finish`.
const OPEN_BYTES: usize = 9;

/// A document in the making.
#[derive(Debug, Default)]
pub struct Builder {
    out: Vec<u8>,
    /// The containers that are open, the outermost first.
    open: Vec<Frame>,
    /// Where each container begins in `out`, in that order, with the width of its numbers.
    containers: Vec<(u32, u8)>,
}

/// A container that is open.
#[derive(Debug)]
struct Frame {
    tag: u8,
    /// Its place in `containers`.
    container: usize,
    /// Bytes of its content when all is moved together.
    bytes: usize,
    count: usize,
}

impl Builder {
    /// Nothing yet.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Bytes so far, more than it will come to.
    pub fn size(&self) -> usize {
        self.out.len()
    }

    /// How many containers are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Counts a value of `bytes` in the container that is open.
    fn count(&mut self, bytes: usize) {
        if let Some(frame) = self.open.last_mut() {
            frame.bytes += bytes;
            frame.count += 1;
        }
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.out.push(tag);
        self.out.extend_from_slice(bytes);
        self.count(1 + bytes.len());
    }

    /// Null.
    pub fn null(&mut self) {
        self.tagged(NULL, &[]);
    }

    /// True or false.
    pub fn boolean(&mut self, value: bool) {
        self.tagged(if value { TRUE } else { FALSE }, &[]);
    }

    /// An integer.
    pub fn integer(&mut self, value: i64) {
        if let Some(small) = u8::try_from(value).ok().filter(|value| *value <= SMALL_LAST - SMALL) {
            self.tagged(SMALL + small, &[]);
        } else if let Ok(value) = i8::try_from(value) {
            self.tagged(INT8, &value.to_le_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.tagged(INT16, &value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.tagged(INT32, &value.to_le_bytes());
        } else {
            self.tagged(INT64, &value.to_le_bytes());
        }
    }

    /// An integer, which may be beyond the signed ones.
    pub fn unsigned(&mut self, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.tagged(UINT64, &value.to_le_bytes()),
        }
    }

    /// A float, which is finite.
    pub fn float(&mut self, value: f64) {
        let short = value as f32;
        if f64::from(short).to_bits() == value.to_bits() {
            self.tagged(FLOAT32, &short.to_le_bytes());
        } else {
            self.tagged(FLOAT64, &value.to_le_bytes());
        }
    }

    /// A string, in UTF-8.
    pub fn string(&mut self, text: &[u8]) {
        let bytes = self.text(text);
        self.count(bytes);
    }

    /// The key of the value that follows.
    pub fn key(&mut self, text: &[u8]) {
        let bytes = self.text(text);
        if let Some(frame) = self.open.last_mut() {
            frame.bytes += bytes;
        }
    }

    fn text(&mut self, text: &[u8]) -> usize {
        let start = self.out.len();
        if text.len() <= SHORT_BYTES {
            self.out.push(SHORT + text.len() as u8);
        } else if let Ok(length) = u16::try_from(text.len()) {
            self.out.push(STRING16);
            self.out.extend_from_slice(&length.to_le_bytes());
        } else {
            self.out.push(STRING32);
            // What is longer is refused by `finish`.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            self.out.extend_from_slice(&length.to_le_bytes());
        }
        self.out.extend_from_slice(text);
        self.out.len() - start
    }

    /// `count` values, or keys with values, as they stand in another document.
    pub fn copy(&mut self, bytes: &[u8], count: usize) {
        self.out.extend_from_slice(bytes);
        if let Some(frame) = self.open.last_mut() {
            frame.bytes += bytes.len();
            frame.count += count;
        }
    }

    /// Begins an array.
    ///
    /// # Errors
    /// When it lies too deep, or the document is too large.
    pub fn open_array(&mut self) -> Result<(), JsonError> {
        self.open(ARRAY)
    }

    /// Begins an object.
    ///
    /// # Errors
    /// As `open_array`.
    pub fn open_object(&mut self) -> Result<(), JsonError> {
        self.open(OBJECT)
    }

    fn open(&mut self, tag: u8) -> Result<(), JsonError> {
        if self.open.len() >= DEPTH {
            return Err(JsonError::Depth);
        }
        let at = u32::try_from(self.out.len()).map_err(|_| JsonError::Size)?;
        self.open.push(Frame { tag, container: self.containers.len(), bytes: 0, count: 0 });
        self.containers.push((at, 0));
        self.out.resize(self.out.len() + OPEN_BYTES, 0);
        Ok(())
    }

    /// Ends the container that was begun last.
    pub fn close(&mut self) {
        let Some(frame) = self.open.pop() else { return };
        let most = frame.bytes.max(frame.count);
        let class = match most {
            0..=0xff => 0,
            0x100..=0xffff => 1,
            _ => 2,
        };
        let width = WIDTHS[class];
        let (at, known) = &mut self.containers[frame.container];
        *known = width as u8;
        let at = *at as usize;
        self.out[at] = frame.tag + class as u8;
        // Beyond four bytes `finish` refuses the document.
        let numbers = [frame.bytes, frame.count].map(|number| (number as u64).to_le_bytes());
        self.out[at + 1..at + 1 + width].copy_from_slice(&numbers[0][..width]);
        self.out[at + 1 + width..at + 1 + 2 * width].copy_from_slice(&numbers[1][..width]);
        self.count(1 + 2 * width + frame.bytes);
    }

    /// The document.
    ///
    /// # Errors
    /// When it is too large.
    pub fn finish(mut self) -> Result<Vec<u8>, JsonError> {
        debug_assert!(self.open.is_empty(), "every container is closed");
        let (mut from, mut to) = (0, 0);
        for &(at, width) in &self.containers {
            let head = at as usize + 1 + 2 * usize::from(width);
            self.out.copy_within(from..head, to);
            to += head - from;
            from = at as usize + OPEN_BYTES;
        }
        self.out.copy_within(from.., to);
        self.out.truncate(to + self.out.len() - from);
        if self.out.len() > DOCUMENT_BYTES {
            return Err(JsonError::Size);
        }
        Ok(self.out)
    }
}
