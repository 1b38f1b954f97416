//! The layout of a packed entry; see the description of `entry`.

use super::NEVER;

pub(super) const TAG_BYTES: u8 = 0;
pub(super) const TAG_INTEGER: u8 = 1;
pub(super) const TAG_RATE_LIMIT: u8 = 2;
pub(super) const TAG_HASH: u8 = 3;
pub(super) const TAG_LIST: u8 = 4;
pub(super) const TAG_SET: u8 = 5;
pub(super) const TAG_SORTED_SET: u8 = 6;
pub(super) const TAG_JSON: u8 = 7;
/// The bits that say which kind it is.
pub(super) const TAG_KIND: u8 = 0x0f;
/// Elements of the collection expire.
pub(super) const TAG_PARTS_EXPIRE: u8 = 0x40;
/// An expiry follows.
pub(super) const TAG_EXPIRES: u8 = 0x80;

/// A packed entry, taken apart.
pub(super) struct Parts<'a> {
    pub(super) tag: u8,
    /// Bytes in front of the value.
    pub(super) head: usize,
    pub(super) expires_at: u64,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Parts<'a> {
    #[inline]
    pub(super) fn of(bytes: &'a [u8]) -> Parts<'a> {
        let Some((tag, rest)) = bytes.split_first() else {
            return Parts { tag: TAG_BYTES, head: 0, expires_at: NEVER, key: &[], value: &[] };
        };
        let (expires_at, rest) = match rest.split_first_chunk::<8>() {
            Some((at, rest)) if tag & TAG_EXPIRES != 0 => (u64::from_le_bytes(*at), rest),
            _ => (NEVER, rest),
        };
        let (length, rest) = read_varint(rest);
        let (key, value) = rest.split_at(length);
        let head = bytes.len() - value.len();
        Parts { tag: tag & TAG_KIND, head, expires_at, key, value }
    }
}

/// When a packed entry expires, or `NEVER`.
#[inline]
pub(super) fn packed_expiry(bytes: &[u8]) -> u64 {
    match bytes {
        [tag, rest @ ..] if tag & TAG_EXPIRES != 0 => {
            rest.first_chunk::<8>().map_or(NEVER, |at| u64::from_le_bytes(*at))
        }
        _ => NEVER,
    }
}

/// The integer that a packed value is.
pub(super) fn integer(value: &[u8]) -> i64 {
    value.first_chunk::<8>().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

/// Packs an entry.
pub(super) fn pack(tag: u8, key: &[u8], value: &[u8], expires_at: u64) -> Box<[u8]> {
    let head = if expires_at == NEVER { 1 } else { 9 };
    // Exact, so that no byte is given back and the allocation is made once.
    let size = head + varint_bytes(key.len()) + key.len() + value.len();
    let mut bytes = Vec::with_capacity(size);
    if expires_at == NEVER {
        bytes.push(tag);
    } else {
        bytes.push(tag | TAG_EXPIRES);
        bytes.extend_from_slice(&expires_at.to_le_bytes());
    }
    push_varint(&mut bytes, key.len());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value);
    bytes.into_boxed_slice()
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn push_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros();
    (bits.max(1)).div_ceil(7) as usize
}

#[inline]
fn read_varint(bytes: &[u8]) -> (usize, &[u8]) {
    let (mut value, mut shift) = (0, 0);
    for (at, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (value, &bytes[at + 1..]);
        }
        shift += 7;
    }
    (0, &[])
}
