//! The number of elements that a histogram of registers suggests.
//!
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), the
//! improved raw estimator, in the order of operations of Redis 7.0, since clients see the last
//! digit.

use super::{INDEX_BITS, REGISTERS};

/// Values that six bits can have.
pub(super) const VALUES: usize = 64;

/// Bits of a hash behind those that choose the register; a register is at most one more.
const RANK_BITS: usize = 64 - INDEX_BITS as usize;

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// The estimate for so many registers of each value.
pub(super) fn of(histogram: &[u32; VALUES]) -> u64 {
    let m = REGISTERS as f64;
    let share = |value: f64| value / m;
    let full = f64::from(histogram[RANK_BITS + 1]);
    let mut z = m * tau(share(m - full));
    for count in histogram[1..=RANK_BITS].iter().rev() {
        z += f64::from(*count);
        z *= 0.5;
    }
    z += m * sigma(share(f64::from(histogram[0])));
    let estimate = (ALPHA * m * m / z).round();
    // More comes only of registers that a client has written; what Redis makes of them on
    // x86-64.
    if estimate < i64::MAX as f64 { estimate as u64 } else { 1 << 63 }
}

/// x + the sum of x^(2^k) * 2^(k-1) over k from 1.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// A third of 1 - x - the sum of (1 - x^(2^-k))^2 * 2^-k over k from 1.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}
