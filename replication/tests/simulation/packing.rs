//! A packing that shows at each byte whether it was packed: every bit is another.

/// Packs or unpacks.
pub(crate) fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

/// Packs if it is to be packed.
pub(crate) fn pack(packs: bool, bytes: &mut [u8]) {
    if packs {
        invert(bytes);
    }
}
