//! Classes of keyspace notifications, and their letters in `notify-keyspace-events`.

use std::fmt;

use bitflags::bitflags;

use super::kind::Reason;

bitflags! {
    /// Classes of keyspace notifications, in the order in which Redis prints their letters.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Classes: u16 {
        /// `g`: commands for keys of any type.
        const GENERIC = 1;
        /// `$`: strings.
        const STRING = 1 << 1;
        /// `l`: lists.
        const LIST = 1 << 2;
        /// `s`: sets.
        const SET = 1 << 3;
        /// `h`: hashes.
        const HASH = 1 << 4;
        /// `z`: sorted sets.
        const SORTED_SET = 1 << 5;
        /// `x`: a key was removed because it was due.
        const EXPIRED = 1 << 6;
        /// `e`: a key was evicted.
        const EVICTED = 1 << 7;
        /// `t`: streams.
        const STREAM = 1 << 8;
        /// `d`: types of modules.
        const MODULE = 1 << 9;
        /// `n`: a key was made.
        const NEW = 1 << 10;
        /// `K`: publish to `__keyspace@<db>__:<key>`.
        const KEYSPACE = 1 << 11;
        /// `E`: publish to `__keyevent@<db>__:<event>`.
        const KEYEVENT = 1 << 12;
        /// `m`: a key was asked for that is not there.
        const MISS = 1 << 13;
    }
}

impl Classes {
    /// The letters in the order of the bits. (After `A`, Redis 7.0 forgets `n`.)
    const LETTERS: &str = "g$lshzxetdnKEm";

    /// What `A` stands for.
    const ALL: Classes = Classes::from_bits_truncate((1 << 10) - 1);

    pub(super) fn parse(letters: &str) -> Result<Self, Reason> {
        let mut classes = Classes::empty();
        for letter in letters.chars() {
            classes |= Self::of(letter)
                .ok_or(Reason::Other("Invalid event class character. Use 'Ag$lshzxeKEtmdn'."))?;
        }
        Ok(classes)
    }

    fn of(letter: char) -> Option<Classes> {
        match letter {
            'A' => Some(Self::ALL),
            other => Self::LETTERS.find(other).and_then(|index| Classes::from_bits(1 << index)),
        }
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        if rest.contains(Self::ALL) {
            f.write_str("A")?;
            rest -= Self::ALL;
        }
        for (index, letter) in Self::LETTERS.char_indices() {
            if rest.bits() & (1 << index) != 0 {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}
