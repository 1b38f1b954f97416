//! Random choices of a run, all from one seed (xorshift64*).

pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            rng.next();
        }
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn size(&mut self, max: usize) -> usize {
        self.below(max as u64 + 1) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Hex digits, so that pieces of an end mark turn up among them.
    pub(crate) fn text(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| b"0123456789abcdef"[self.below(16) as usize]).collect()
    }

    pub(crate) fn twenty(&mut self) -> [u8; 20] {
        std::array::from_fn(|_| self.below(256) as u8)
    }
}
