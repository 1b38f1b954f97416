//! What can be wrong with an RDB stream or payload, and where.

/// A refused stream or payload: the offset of the culprit, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("RDB byte {offset}: {kind}")]
pub struct Error {
    /// Bytes from the start of the stream or payload.
    pub offset: u64,
    /// What is wrong there.
    pub kind: ErrorKind,
}

/// What is wrong at an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The stream does not start as an RDB file does.
    #[error("expected \"REDIS\" and four digits")]
    Magic,
    /// The version is older or newer than what is read.
    #[error("expected a version from 1 to {newest}, found {found}", newest = super::NEWEST_VERSION)]
    Version {
        /// The version in the header or footer.
        found: u16,
    },
    /// A type of value that is not read.
    #[error("value type {byte} ({name}) is not supported")]
    Type {
        /// The type byte.
        byte: u8,
        /// What Redis means by it.
        name: &'static str,
    },
    /// A byte that is neither a type nor an opcode, or an opcode that is not read.
    #[error("expected a value type or an opcode, found {byte}")]
    Opcode {
        /// The byte.
        byte: u8,
    },
    /// A length beyond the configured limit.
    #[error("{what} of {found} exceeds the limit of {limit}")]
    Limit {
        /// What is too long.
        what: &'static str,
        /// The declared length.
        found: u64,
        /// The limit in force.
        limit: u64,
    },
    /// Bytes that mean nothing here.
    #[error("expected {expected}")]
    Expected {
        /// What should have been there.
        expected: &'static str,
    },
    /// A packed value (listpack, ziplist, zipmap) that is broken inside.
    #[error("{layout}, byte {at}: expected {expected}")]
    Packed {
        /// The layout.
        layout: &'static str,
        /// Bytes from the start of the packed value.
        at: usize,
        /// What should have been there.
        expected: &'static str,
    },
    /// The same field twice in a hash.
    #[error("hash has a field twice")]
    DuplicateField,
    /// The same member twice in a collection.
    #[error("collection has a member twice")]
    DuplicateMember,
    /// The bytes are not those that were written.
    #[error("checksum is {computed:#018x}, stored is {stored:#018x}")]
    Checksum {
        /// Of the bytes read.
        computed: u64,
        /// At the end of the stream or payload.
        stored: u64,
    },
    /// The input ends too early.
    #[error("expected more bytes, found the end")]
    Truncated,
}

impl Error {
    pub(super) fn new(offset: u64, kind: ErrorKind) -> Self {
        Self { offset, kind }
    }

    pub(super) fn expected(offset: u64, expected: &'static str) -> Self {
        Self::new(offset, ErrorKind::Expected { expected })
    }
}

/// What is wrong inside a packed value, before the packed value's own offset is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

impl Broken {
    pub(super) fn within(self, layout: &'static str, offset: u64) -> Error {
        let Self { at, expected } = self;
        Error::new(offset, ErrorKind::Packed { layout, at, expected })
    }
}
