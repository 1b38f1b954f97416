//! HyperLogLog: how many different elements were added, in 12 KiB at most, within about 0.8 %.
//!
//! The bytes are those of Redis, which keeps a HyperLogLog in a string that clients may read
//! and write: 16 bytes of head (`HYLL`, the encoding, three that mean nothing, the last estimate
//! with its top bit set when it is out of date), then 16384 registers of six bits, `dense` or as
//! runs, `sparse`. Since clients may write them, no length or run inside is believed
//! (CVE-2025-32023). Left out on purpose: that there is a keyspace.

mod dense;
mod estimate;
mod murmur;
mod sparse;

use thiserror::Error;

/// Registers of a HyperLogLog.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// Bits of an element's hash that choose its register.
const INDEX_BITS: u32 = 14;

/// Bytes before the registers.
const HEAD: usize = 16;

const MAGIC: &[u8] = b"HYLL";
/// Where the encoding is.
const ENCODING: usize = 4;
/// Where the estimate is.
const ESTIMATE: usize = 8;
/// The byte of the estimate whose top bit says that it is out of date.
const STALE: usize = 15;

/// Up to where HyperLogLogs stay sparse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HyperLogLogLimits {
    /// Bytes, the head included (`hll-sparse-max-bytes`).
    pub sparse_bytes: usize,
}

impl Default for HyperLogLogLimits {
    /// That of Redis 7.0.
    fn default() -> Self {
        HyperLogLogLimits { sparse_bytes: 3000 }
    }
}

/// How registers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs of the same value.
    Sparse,
}

/// The runs of a sparse HyperLogLog are not those of all registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Corrupted HLL object detected")]
pub struct Corrupted;

/// The registers of a HyperLogLog, or of several together, one byte each.
#[derive(Clone, Debug)]
pub struct Registers(Box<[u8]>);

/// A HyperLogLog without elements.
pub fn empty() -> Vec<u8> {
    let mut bytes = vec![0; HEAD];
    bytes[..MAGIC.len()].copy_from_slice(MAGIC);
    bytes[ENCODING] = 1;
    bytes.extend_from_slice(&sparse::EMPTY);
    bytes
}

/// The encoding of what looks like a HyperLogLog; `None` for other bytes.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEAD || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING] {
        0 if bytes.len() == HEAD + dense::BYTES => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

/// Whether runs, if these are any, are those of all registers.
///
/// # Errors
/// When they are not.
pub fn check(bytes: &[u8]) -> Result<(), Corrupted> {
    match encoding(bytes) {
        Some(Encoding::Dense) => Ok(()),
        _ => sparse::check(bytes),
    }
}

/// Adds an element to a HyperLogLog that `check` has passed; answers whether a register has
/// changed.
///
/// # Errors
/// When the runs are not those of all registers.
pub fn add(
    bytes: &mut Vec<u8>,
    element: &[u8],
    limits: HyperLogLogLimits,
) -> Result<bool, Corrupted> {
    let hash = murmur::hash(element);
    let index = hash as usize % REGISTERS;
    // The zeros that the rest of the hash ends with, and one; the bit above ends them.
    let zeros = ((hash >> INDEX_BITS) | 1 << (64 - INDEX_BITS)).trailing_zeros();
    raise(bytes, index, zeros as u8 + 1, limits)
}

/// Raises a register to `value`; answers whether it was lower.
fn raise(
    bytes: &mut Vec<u8>,
    index: usize,
    value: u8,
    limits: HyperLogLogLimits,
) -> Result<bool, Corrupted> {
    if encoding(bytes) == Some(Encoding::Sparse) {
        match sparse::raise(bytes, index, value, limits.sparse_bytes)? {
            sparse::Raised::No => return Ok(false),
            sparse::Raised::Yes => {
                forget(bytes);
                return Ok(true);
            }
            sparse::Raised::OutOfRoom => make_dense(bytes)?,
        };
    }
    Ok(dense::raise(&mut bytes[HEAD..], index, value))
}

/// Makes a sparse HyperLogLog dense; answers whether it was sparse.
///
/// # Errors
/// When the runs are not those of all registers; nothing is changed then.
pub fn make_dense(bytes: &mut Vec<u8>) -> Result<bool, Corrupted> {
    if encoding(bytes) == Some(Encoding::Dense) {
        return Ok(false);
    }
    let mut registers = Registers::new();
    registers.merge(bytes)?;
    bytes.truncate(HEAD);
    bytes[ENCODING] = 0;
    bytes.reserve_exact(dense::BYTES);
    bytes.extend(dense::pack(&registers.0));
    Ok(true)
}

/// The estimate in the head, if no register has changed since.
pub fn remembered(bytes: &[u8]) -> Option<u64> {
    let estimate = bytes.get(ESTIMATE..)?.first_chunk::<8>()?;
    (estimate[7] & 0x80 == 0).then(|| u64::from_le_bytes(*estimate))
}

/// Puts an estimate into the head.
pub fn remember(bytes: &mut [u8], estimate: u64) {
    bytes[ESTIMATE..HEAD].copy_from_slice(&estimate.to_le_bytes());
}

/// Says in the head that a register has changed.
pub fn forget(bytes: &mut [u8]) {
    bytes[STALE] |= 0x80;
}

/// Estimates the number of different elements.
///
/// # Errors
/// When the runs are not those of all registers.
pub fn estimate(bytes: &[u8]) -> Result<u64, Corrupted> {
    let mut histogram = [0; estimate::VALUES];
    match encoding(bytes) {
        Some(Encoding::Dense) => {
            for value in dense::unpack(&bytes[HEAD..]) {
                histogram[usize::from(value)] += 1;
            }
        }
        _ => {
            sparse::check(bytes)?;
            for run in sparse::runs(bytes) {
                histogram[usize::from(run.value)] += run.length as u32;
            }
        }
    }
    Ok(estimate::of(&histogram))
}

/// The runs of a sparse HyperLogLog as PFDEBUG shows them; as many as there are, if they are
/// not those of all registers.
pub fn describe(bytes: &[u8]) -> String {
    let words = sparse::runs(bytes).map(|run| run.to_string());
    words.collect::<Vec<_>>().join(" ")
}

/// Makes the registers of a HyperLogLog that `check` has passed at least `registers`.
///
/// # Errors
/// When the runs are not those of all registers.
pub fn raise_all(
    bytes: &mut Vec<u8>,
    registers: &Registers,
    limits: HyperLogLogLimits,
) -> Result<(), Corrupted> {
    for (index, value) in registers.0.iter().enumerate().filter(|(_, value)| **value > 0) {
        raise(bytes, index, *value, limits)?;
    }
    forget(bytes);
    Ok(())
}

/// What `self_test` has found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Elements that were added.
    pub count: u64,
    /// What both forms, or the two of them together, made of it.
    pub estimate: u64,
}

/// Adds a hundred thousand elements in both forms, and looks at estimates on the way.
///
/// # Errors
/// When the forms disagree, or an estimate is too far off to be one by chance.
pub fn self_test() -> Result<(), Disagreement> {
    // Six standard errors of 1.04 / sqrt(REGISTERS), as in Redis' own test.
    const TOLERANCE: f64 = 6.0 * 1.04 / 128.0;
    let (mut bytes, mut dense) = (empty(), empty());
    let failed = |count, estimate| Disagreement { count, estimate };
    make_dense(&mut dense).map_err(|Corrupted| failed(0, 0))?;
    for count in 1u64..=100_000 {
        let element = count.to_le_bytes();
        for bytes in [&mut bytes, &mut dense] {
            add(bytes, &element, HyperLogLogLimits::default())
                .map_err(|Corrupted| failed(count, 0))?;
        }
        if count.is_power_of_two() || count == 100_000 {
            let found = estimate(&dense).map_err(|Corrupted| failed(count, 0))?;
            let off = found.abs_diff(count) as f64 / count as f64;
            if estimate(&bytes) != Ok(found) || off > TOLERANCE {
                return Err(failed(count, found));
            }
        }
    }
    Ok(())
}

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}

impl Registers {
    /// Those of no element.
    pub fn new() -> Registers {
        Registers(vec![0; REGISTERS].into())
    }

    /// Makes each at least what it is in a HyperLogLog.
    ///
    /// # Errors
    /// When the runs are not those of all registers; nothing is changed then.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupted> {
        match encoding(bytes) {
            Some(Encoding::Dense) => {
                let values = dense::unpack(&bytes[HEAD..]);
                self.0.iter_mut().zip(values).for_each(|(most, value)| *most = value.max(*most));
            }
            _ => {
                sparse::check(bytes)?;
                let mut first = 0;
                for run in sparse::runs(bytes) {
                    let registers = &mut self.0[first..first + run.length];
                    registers.iter_mut().for_each(|most| *most = run.value.max(*most));
                    first += run.length;
                }
            }
        }
        Ok(())
    }

    /// Each of them.
    pub fn values(&self) -> &[u8] {
        &self.0
    }

    /// Estimates the number of different elements.
    pub fn estimate(&self) -> u64 {
        let mut histogram = [0; estimate::VALUES];
        self.0.iter().for_each(|value| histogram[usize::from(*value)] += 1);
        estimate::of(&histogram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registers(bytes: &[u8]) -> Vec<u8> {
        let mut registers = Registers::new();
        registers.merge(bytes).unwrap();
        registers.values().to_vec()
    }

    #[test]
    fn counts_within_its_error() {
        assert_eq!(self_test(), Ok(()));
    }

    #[test]
    fn an_estimate_is_remembered_until_a_register_changes() {
        let mut bytes = empty();
        assert_eq!(remembered(&bytes), Some(0));
        add(&mut bytes, b"a", HyperLogLogLimits::default()).unwrap();
        assert_eq!(remembered(&bytes), None);
        remember(&mut bytes, 1);
        assert_eq!(remembered(&bytes), Some(1));
        assert!(!add(&mut bytes, b"a", HyperLogLogLimits::default()).unwrap());
        assert_eq!(remembered(&bytes), Some(1));
    }

    #[test]
    fn other_bytes_are_none() {
        let bytes = empty();
        assert_eq!(encoding(&bytes), Some(Encoding::Sparse));
        assert_eq!(encoding(&bytes[..15]), None);
        assert_eq!(encoding(b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"), None);
        assert_eq!(encoding(b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"), None);
        assert_eq!(encoding(b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"), None);
        assert_eq!(encoding(&[&b"HYLL"[..], &[0; 12300]].concat()), Some(Encoding::Dense));
    }

    /// The head of a sparse one and any runs behind it.
    fn any_runs() -> impl Strategy<Value = Vec<u8>> {
        let run = prop_oneof![
            any::<u8>().prop_map(|byte| vec![byte]),
            (0x40u8..=0x7f, any::<u8>()).prop_map(|(a, b)| vec![a, b]),
        ];
        prop::collection::vec(run, 0..12)
            .prop_map(|runs| [empty()[..HEAD].to_vec(), runs.concat()].concat())
    }

    proptest! {
        #[test]
        fn sparse_and_dense_have_the_same_registers(
            steps in prop::collection::vec((0..REGISTERS, 1u8..40), 0..400),
            near in any::<bool>(), sparse_bytes in 0usize..1500,
        ) {
            let limits = HyperLogLogLimits { sparse_bytes };
            let (mut bytes, mut model) = (empty(), vec![0; REGISTERS]);
            for (index, value) in steps {
                let (index, value) = if near { (index % 60, value % 5 + 1) } else { (index, value) };
                let lower = model[index] < value;
                prop_assert_eq!(raise(&mut bytes, index, value, limits), Ok(lower));
                model[index] = value.max(model[index]);
                prop_assert_eq!(check(&bytes), Ok(()));
            }
            let mut found = Registers::new();
            prop_assert_eq!(found.merge(&bytes), Ok(()));
            prop_assert_eq!(found.values(), &model[..]);
            prop_assert_eq!(estimate(&bytes), Ok(found.estimate()));
            let mut merged = empty();
            raise_all(&mut merged, &found, limits).unwrap();
            prop_assert_eq!(&registers(&merged), &model);
            make_dense(&mut bytes).unwrap();
            prop_assert_eq!(&registers(&bytes), &model);
        }

        #[test]
        fn no_run_is_believed(
            bytes in any_runs(), index in 0..REGISTERS, value in 1u8..=51,
        ) {
            let whole = check(&bytes);
            let limits = HyperLogLogLimits::default();
            prop_assert_eq!(estimate(&bytes).is_ok(), whole.is_ok());
            prop_assert_eq!(Registers::new().merge(&bytes).is_ok(), whole.is_ok());
            prop_assert_eq!(make_dense(&mut bytes.clone()).is_ok(), whole.is_ok());
            let _ = describe(&bytes);
            let mut raised = bytes.clone();
            if raise(&mut raised, index, value, limits).is_err() {
                prop_assert!(whole.is_err());
                prop_assert_eq!(raised, bytes);
            } else if whole.is_ok() {
                prop_assert_eq!(check(&raised), Ok(()));
                prop_assert!(registers(&raised)[index] >= value);
            }
        }
    }
}
