//! Integers of any width inside a string, as BITFIELD reads, sets and adds to them.
//!
//! Widths are 1 to 64 bits signed and 1 to 63 unsigned, since an answer is a signed integer.
//! Left out on purpose: growing the string; bits beyond its end read as 0.

/// Width and signedness of a field: `i8`, `u63`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    signed: bool,
    bits: u32,
}

/// What becomes of a value that a field cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Its low bits are kept.
    #[default]
    Wrap,
    /// The nearest value that fits takes its place.
    Saturate,
    /// Nothing is changed.
    Fail,
}

/// On which side a value is out of a field's range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

impl Width {
    /// An `i` and 1 to 64, or a `u` and 1 to 63.
    pub fn parse(text: &[u8]) -> Option<Width> {
        let (kind, bits) = text.split_first()?;
        let signed = match kind {
            b'i' => true,
            b'u' => false,
            _ => return None,
        };
        let bits = super::number::parse_integer(bits)?;
        let most = if signed { 64 } else { 63 };
        (1..=most).contains(&bits).then_some(Width { signed, bits: bits as u32 })
    }

    /// Bits of a field.
    pub fn bits(self) -> u32 {
        self.bits
    }

    /// The low bits of `value` that a field has, the others 0.
    fn cut(self, value: u64) -> u64 {
        value & (u64::MAX >> (64 - self.bits))
    }

    /// The integer that the bits of a field are.
    fn integer(self, bits: u64) -> i64 {
        let unused = 64 - self.bits;
        // Unsigned fields are below 2^63.
        if self.signed { ((bits << unused) as i64) >> unused } else { bits as i64 }
    }

    /// The integer at `offset`.
    pub fn read(self, bytes: &[u8], offset: u64) -> i64 {
        self.integer(self.load(bytes, offset))
    }

    fn load(self, bytes: &[u8], offset: u64) -> u64 {
        let start = usize::try_from(offset / 8).unwrap_or(usize::MAX);
        // 64 bits that do not begin with a byte touch nine.
        let mut window = [0; 16];
        if let Some(present) = bytes.get(start..) {
            let length = present.len().min(9);
            window[..length].copy_from_slice(&present[..length]);
        }
        let behind = 128 - self.bits - (offset % 8) as u32;
        self.cut((u128::from_be_bytes(window) >> behind) as u64)
    }

    /// Writes the low bits of `value` at `offset`; the field lies within `bytes`.
    fn store(self, bytes: &mut [u8], offset: u64, value: u64) {
        let start = (offset / 8) as usize;
        let shift = (offset % 8) as u32;
        let touched = &mut bytes[start..start + (shift + self.bits).div_ceil(8) as usize];
        let mut window = [0; 16];
        window[..touched.len()].copy_from_slice(touched);
        let behind = 128 - self.bits - shift;
        let field = u128::from(u64::MAX >> (64 - self.bits)) << behind;
        let value = u128::from(self.cut(value)) << behind;
        let merged = (u128::from_be_bytes(window) & !field) | value;
        touched.copy_from_slice(&merged.to_be_bytes()[..touched.len()]);
    }

    /// Sets the integer at `offset`; answers the one before, or `None` when `value` does not
    /// fit and that is to fail.
    pub fn set(self, bytes: &mut [u8], offset: u64, value: i64, overflow: Overflow) -> Option<i64> {
        let old = self.read(bytes, offset);
        let new = self.settle(value, 0, overflow)?;
        self.store(bytes, offset, new);
        Some(old)
    }

    /// Adds to the integer at `offset`; answers the sum as it is kept, or `None` when it does
    /// not fit and that is to fail.
    pub fn add(
        self,
        bytes: &mut [u8],
        offset: u64,
        amount: i64,
        overflow: Overflow,
    ) -> Option<i64> {
        let new = self.settle(self.read(bytes, offset), amount, overflow)?;
        self.store(bytes, offset, new);
        Some(self.integer(self.cut(new)))
    }

    /// The bits to keep for `value` and `amount` together.
    fn settle(self, value: i64, amount: i64, overflow: Overflow) -> Option<u64> {
        let sum = (value as u64).wrapping_add(amount as u64);
        match (self.excess(value, amount), overflow) {
            (None, _) | (Some(_), Overflow::Wrap) => Some(sum),
            (Some(_), Overflow::Fail) => None,
            (Some(Side::Above), Overflow::Saturate) => Some(self.most()),
            (Some(Side::Below), Overflow::Saturate) => Some(self.least() as u64),
        }
    }

    /// The largest integer.
    fn most(self) -> u64 {
        (u64::MAX >> (64 - self.bits)) >> u32::from(self.signed)
    }

    /// The smallest integer.
    fn least(self) -> i64 {
        if self.signed { -(self.most() as i64) - 1 } else { 0 }
    }

    /// Whether `value` and `amount` together are out of range.
    fn excess(self, value: i64, amount: i64) -> Option<Side> {
        let (most, least) = (i128::from(self.most()), i128::from(self.least()));
        // A negative value for an unsigned field is, as in Redis, a very large one.
        let value = if self.signed { i128::from(value) } else { i128::from(value as u64) };
        let sum = value + i128::from(amount);
        // Redis takes a value as too large that is so small that 64 bits cannot say how far it
        // is from the largest one.
        let beyond = self.bits < 64 && self.signed && most - value > i128::from(i64::MAX);
        if sum > most || value > most || beyond {
            Some(Side::Above)
        } else if sum < least || value < least {
            Some(Side::Below)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn width(text: &str) -> Width {
        Width::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn widths() {
        for text in ["i1", "i64", "u1", "u63", "i8"] {
            let width = width(text);
            assert_eq!(width.bits().to_string(), text[1..]);
        }
        for text in ["", "i", "u", "i0", "u0", "i65", "u64", "I8", "U8", "s8", "i08", "i-1", "8"] {
            assert_eq!(Width::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn overflow() {
        let mut bytes = [0; 8];
        let u2 = width("u2");
        for (amount, overflow, answer) in [
            (3, Overflow::Wrap, Some(3)),
            (1, Overflow::Wrap, Some(0)),
            (9, Overflow::Saturate, Some(3)),
            (1, Overflow::Fail, None),
            (-4, Overflow::Saturate, Some(0)),
            (-1, Overflow::Fail, None),
            (-1, Overflow::Wrap, Some(3)),
        ] {
            assert_eq!(u2.add(&mut bytes, 5, amount, overflow), answer);
        }
        let i64 = width("i64");
        assert_eq!(i64.set(&mut bytes, 0, i64::MAX, Overflow::Fail), Some(3 << 57));
        assert_eq!(i64.add(&mut bytes, 0, 1, Overflow::Fail), None);
        assert_eq!(i64.add(&mut bytes, 0, 1, Overflow::Saturate), Some(i64::MAX));
        assert_eq!(i64.add(&mut bytes, 0, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(i64.add(&mut bytes, 0, -1, Overflow::Saturate), Some(i64::MIN));
    }

    proptest! {
        #[test]
        fn fields_read_back_and_leave_their_neighbours_alone(
            mut bytes in prop::collection::vec(any::<u8>(), 24),
            signed in any::<bool>(), bits in 1u32..=64, offset in 0u64..120, value in any::<i64>(),
        ) {
            let bits = bits - u32::from(!signed && bits == 64);
            let width = Width { signed, bits };
            let old = bytes.clone();
            let before = width.read(&bytes, offset);
            let set = width.set(&mut bytes, offset, value, Overflow::Wrap);
            prop_assert_eq!(set, Some(before));
            let kept = width.cut(value as u64);
            prop_assert_eq!(width.cut(width.read(&bytes, offset) as u64), kept);
            for at in 0..24 * 8 {
                if at < offset || at >= offset + u64::from(bits) {
                    let same = super::super::bitmap::get(&bytes, at);
                    prop_assert_eq!(same, super::super::bitmap::get(&old, at));
                } else {
                    let place = offset + u64::from(bits) - 1 - at;
                    prop_assert_eq!(super::super::bitmap::get(&bytes, at), kept >> place & 1 == 1);
                }
            }
        }
    }
}
