//! Makes the changed document: what edits leave alone is copied, in runs as long as possible.
//!
//! Only the containers that hold an edit are opened, so that what they say of their size is
//! written anew. An edit within a value that another one replaces or removes goes with it.

use super::build::Builder;
use super::document::{Content, Node, Value};
use super::{DEPTH, DOCUMENT_BYTES, JsonError};

/// What becomes of one value.
#[derive(Debug)]
pub enum Change<'a> {
    /// It is replaced by this document.
    Replace(Vec<u8>),
    /// The same by one that others are replaced by too.
    ReplaceShared(&'a [u8]),
    /// It goes, with its key.
    Remove,
    /// An array: `removed` values from a place on give way to others.
    Splice {
        /// The place, up to behind the last.
        at: usize,
        /// How many go.
        removed: usize,
        /// What comes, documents each.
        inserted: &'a [Vec<u8>],
    },
    /// An array: only the values from one place to before another stay.
    Keep {
        /// The first that stays.
        from: usize,
        /// The first behind them that does not.
        to: usize,
    },
    /// An object gets a member that it does not have.
    Add {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
}

/// A change, and where the value begins that it is about.
#[derive(Debug)]
pub struct Edit<'a> {
    /// The first byte of the value.
    pub at: usize,
    /// What becomes of it.
    pub change: Change<'a>,
}

/// Edits that are gathered; what they bring is bounded as a document is.
#[derive(Debug, Default)]
pub struct Edits<'a> {
    edits: Vec<Edit<'a>>,
    bytes: usize,
}

impl<'a> Edits<'a> {
    /// Adds one.
    ///
    /// # Errors
    /// When no document could hold what they bring.
    pub fn push(&mut self, at: usize, change: Change<'a>) -> Result<(), JsonError> {
        if let Change::Replace(value) = &change {
            self.bytes = self.bytes.saturating_add(value.len());
        }
        self.edits.push(Edit { at, change });
        if self.bytes > DOCUMENT_BYTES { Err(JsonError::Size) } else { Ok(()) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.edits.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<Edit<'a>> {
        self.edits
    }
}

/// Those of the places that lie in no other of them, in the order of the document.
pub fn outermost(document: &[u8], mut places: Vec<usize>) -> Vec<usize> {
    places.sort_unstable();
    let mut end = 0;
    places.retain(|at| {
        let free = *at >= end;
        if free {
            end = Node::at(document, *at).end();
        }
        free
    });
    places
}

/// The document with all edits made; of several about the same value, the first. The root is not
/// removed: that is the key's own end.
///
/// # Errors
/// When it gets too deep or too large.
pub fn apply(document: &[u8], mut edits: Vec<Edit<'_>>) -> Result<Vec<u8>, JsonError> {
    edits.sort_by_key(|edit| edit.at);
    // A path may name a value twice.
    edits.dedup_by_key(|edit| edit.at);
    let mut writer = Writer { document, edits: &edits, builder: Builder::new(), open: Vec::new() };
    writer.value(Node::root(document))?;
    while let Some(frame) = writer.open.pop() {
        writer.go_on(frame)?;
    }
    writer.builder.finish()
}

struct Writer<'e, 'a> {
    document: &'a [u8],
    /// Those that are still to be made.
    edits: &'e [Edit<'a>],
    builder: Builder,
    /// The containers that are written, the outermost first.
    open: Vec<Frame<'e, 'a>>,
}

/// A container that is written anew.
struct Frame<'e, 'a> {
    content: Content<'a>,
    keyed: bool,
    /// Where the next value, or its key, begins.
    at: usize,
    /// Which it is.
    index: usize,
    /// Whether what a splice brings is written.
    spliced: bool,
    change: Option<&'e Change<'a>>,
}

impl<'e, 'a> Writer<'e, 'a> {
    /// Where the next edit is.
    fn next_edit(&self) -> usize {
        self.edits.first().map_or(usize::MAX, |edit| edit.at)
    }

    /// Forgets the edits before a place.
    fn skip_edits(&mut self, end: usize) {
        while self.next_edit() < end {
            self.edits = &self.edits[1..];
        }
    }

    /// Writes a value; one that is to be written part by part is then open.
    fn value(&mut self, node: Node<'a>) -> Result<(), JsonError> {
        let end = node.end();
        if self.next_edit() >= end {
            self.builder.copy(node.bytes(), 1);
            return Ok(());
        }
        let mut change = None;
        if self.next_edit() == node.offset() {
            change = self.edits.first().map(|edit| &edit.change);
            self.edits = &self.edits[1..];
        }
        match change {
            Some(Change::Replace(value)) => {
                self.skip_edits(end);
                self.insert(value)
            }
            Some(Change::ReplaceShared(value)) => {
                self.skip_edits(end);
                self.insert(value)
            }
            Some(Change::Remove) => {
                self.skip_edits(end);
                Ok(())
            }
            _ => self.open(node, change),
        }
    }

    fn open(&mut self, node: Node<'a>, change: Option<&'e Change<'a>>) -> Result<(), JsonError> {
        let (content, keyed) = match node.value() {
            Value::Array(content) => (content, false),
            Value::Object(content) => (content, true),
            // Only containers hold edits.
            _ => {
                self.builder.copy(node.bytes(), 1);
                return Ok(());
            }
        };
        if keyed {
            self.builder.open_object()?;
        } else {
            self.builder.open_array()?;
        }
        let at = content.start;
        self.open.push(Frame { content, keyed, at, index: 0, spliced: false, change });
        Ok(())
    }

    /// Writes a document as a value.
    fn insert(&mut self, value: &[u8]) -> Result<(), JsonError> {
        if self.builder.depth() + Node::root(value).depth() > DEPTH {
            return Err(JsonError::Depth);
        }
        if self.builder.size().saturating_add(value.len()) > 2 * DOCUMENT_BYTES {
            return Err(JsonError::Size);
        }
        self.builder.copy(value, 1);
        Ok(())
    }

    /// Goes on with a container up to the next that it holds and that is written anew, or to
    /// its end.
    fn go_on(&mut self, mut frame: Frame<'e, 'a>) -> Result<(), JsonError> {
        loop {
            self.copy_run(&mut frame);
            if let Some(Change::Splice { at, inserted, .. }) = frame.change
                && *at == frame.index
                && !frame.spliced
            {
                frame.spliced = true;
                inserted.iter().try_for_each(|value| self.insert(value))?;
            }
            if frame.at >= frame.content.end {
                if let Some(Change::Add { key, value }) = frame.change {
                    self.builder.key(key);
                    self.insert(value)?;
                }
                self.builder.close();
                return Ok(());
            }
            let key = Node::at(self.document, frame.at);
            let node = if frame.keyed { Node::at(self.document, key.end()) } else { key };
            let goes = frame.drops(frame.index) || self.removes(node);
            frame.at = node.end();
            frame.index += 1;
            if goes {
                self.skip_edits(frame.at);
                continue;
            }
            if frame.keyed {
                self.builder.key(key.text());
            }
            let before = self.open.len();
            self.value(node)?;
            if self.open.len() > before {
                // What has been opened comes first.
                self.open.insert(before, frame);
                return Ok(());
            }
        }
    }

    fn removes(&self, node: Node<'_>) -> bool {
        self.edits
            .first()
            .is_some_and(|edit| edit.at == node.offset() && matches!(edit.change, Change::Remove))
    }

    /// Copies what is left alone from here on.
    fn copy_run(&mut self, frame: &mut Frame<'e, 'a>) {
        let (start, first) = (frame.at, frame.index);
        let edit = self.next_edit();
        let until = frame.next_boundary();
        if edit >= frame.content.end && until >= frame.content.count {
            frame.at = frame.content.end;
            frame.index = frame.content.count;
        }
        while frame.index < until && frame.at < frame.content.end {
            let key = Node::at(self.document, frame.at);
            let node = if frame.keyed { Node::at(self.document, key.end()) } else { key };
            let end = node.end();
            if edit < end {
                break;
            }
            frame.at = end;
            frame.index += 1;
        }
        self.builder.copy(&self.document[start..frame.at], frame.index - first);
    }
}

impl Frame<'_, '_> {
    /// Whether the container's own change takes out the value at a place.
    fn drops(&self, index: usize) -> bool {
        match self.change {
            Some(Change::Splice { at, removed, .. }) => (*at..at + removed).contains(&index),
            Some(Change::Keep { from, to }) => !(*from..*to).contains(&index),
            _ => false,
        }
    }

    /// The first place from here on at which that change has something to do.
    fn next_boundary(&self) -> usize {
        match self.change {
            Some(Change::Splice { at, .. }) if !self.spliced => *at,
            Some(_) if self.drops(self.index) => self.index,
            Some(Change::Keep { to, .. }) => *to,
            _ => usize::MAX,
        }
    }
}
