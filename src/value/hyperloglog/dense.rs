//! Registers of six bits back to back, the low bits of a byte first.

use super::REGISTERS;

/// Bytes of all registers.
pub(super) const BYTES: usize = REGISTERS * 6 / 8;

/// Every register, in order. Four of them are three bytes.
pub(super) fn unpack(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = bytes.as_chunks::<3>();
    groups.iter().flat_map(|[a, b, c]| {
        let group = u32::from_le_bytes([*a, *b, *c, 0]);
        [0, 6, 12, 18].map(|shift| (group >> shift) as u8 & 63)
    })
}

/// The bytes of registers.
pub(super) fn pack(registers: &[u8]) -> impl Iterator<Item = u8> {
    let (groups, _) = registers.as_chunks::<4>();
    groups.iter().flat_map(|group| {
        let bits = group.iter().rev().fold(0, |bits, value| bits << 6 | u32::from(*value));
        let [a, b, c, _] = bits.to_le_bytes();
        [a, b, c]
    })
}

/// Raises a register to `value`; answers whether it was lower.
pub(super) fn raise(bytes: &mut [u8], index: usize, value: u8) -> bool {
    let shift = index % 4 * 6;
    let group = &mut bytes[index / 4 * 3..][..3];
    let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
    let lower = (bits >> shift) as u8 & 63 < value;
    if lower {
        let bits = bits & !(63 << shift) | u32::from(value) << shift;
        group.copy_from_slice(&bits.to_le_bytes()[..3]);
    }
    lower
}
