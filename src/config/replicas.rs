//! What a replica does with what it cannot answer itself.

/// What becomes of writes that clients ask of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Its leader does them, if it takes them.
    Forward,
    /// They are refused.
    Reject,
}

impl Writes {
    /// In the order of [`Self::NAMES`].
    pub(super) const ALL: [Self; 2] = [Self::Forward, Self::Reject];
    pub(super) const NAMES: [&str; 2] = ["forward", "reject"];
}

/// What becomes of reads on a replica whose data is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReads {
    /// Its leader answers them.
    Forward,
    /// They are refused.
    Refuse,
}

impl StaleReads {
    /// In the order of [`Self::NAMES`].
    pub(super) const ALL: [Self; 2] = [Self::Forward, Self::Refuse];
    pub(super) const NAMES: [&str; 2] = ["forward", "refuse"];
}
