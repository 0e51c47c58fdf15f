//! The estimate: float32 in register order, linear counting below, a bias polynomial above.

use crate::{REGISTERS, bytes::View};

/// With so many zero registers the harmonic mean is below the switch to linear counting, whatever
/// the others hold: alpha * 16384^2 / 5000 < 40960, with room for rounding.
const ZEROS_ENOUGH: usize = 5_000;

const SWITCH: f64 = REGISTERS as f64 * 2.5;

/// Estimate by the number of zero registers (at least one) alone.
///
/// The logarithm of a float32 quotient rounded to float32, then a float32 product. The logarithm
/// is taken in double and rounded, which gives the same integers as glibc's `logf` for every count
/// of zeros, and the same on every machine.
pub fn by_zeros(zeros: usize) -> u64 {
    let quotient = REGISTERS as f32 / zeros as f32;
    let logarithm = f64::from(quotient).ln() as f32;
    rounded(f64::from(REGISTERS as f32 * logarithm))
}

fn rounded(estimate: f64) -> u64 {
    (estimate + 0.5) as u64
}

/// Estimate of registers, none above 51.
pub fn by_registers(registers: &[u8; REGISTERS]) -> u64 {
    let zeros = registers.iter().filter(|&&value| value == 0).count();
    if zeros >= ZEROS_ENOUGH {
        return by_zeros(zeros);
    }
    // The order of these additions is part of the result: float32 rounds each.
    let mut sum = 0.0f32;
    for &value in registers {
        sum += f32::from_bits((127 - u32::from(value)) << 23);
    }
    let alpha = 0.7213f32 / (1.0 + 1.079f32 / REGISTERS as f32);
    let scale = alpha * REGISTERS as f32 * REGISTERS as f32;
    let estimate = f64::from(scale * (1.0f32 / sum));
    if estimate <= SWITCH && zeros != 0 {
        return by_zeros(zeros);
    }
    if estimate >= 72_000.0 {
        return rounded(estimate);
    }
    let square = estimate * estimate;
    let bias = 5.9119 * 1.0e-18 * (square * estimate * estimate)
        - 1.4253 * 1.0e-12 * (square * estimate)
        + 1.2940 * 1.0e-7 * square
        - 5.2921 * 1.0e-3 * estimate
        + 83.3216;
    rounded(estimate - estimate * (bias / 100.0))
}

/// Number of distinct hashes: sorts only what is not ascending already.
fn distinct(hashes: &[[u8; 8]]) -> u64 {
    let value = |hash: &[u8; 8]| u64::from_le_bytes(*hash);
    if hashes.is_sorted_by(|left, right| value(left) < value(right)) {
        return hashes.len() as u64;
    }
    let mut sorted: Vec<u64> = hashes.iter().map(value).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len() as u64
}

/// Estimate of stored bytes, without building a state.
pub fn by_view(view: &View<'_>) -> u64 {
    match view {
        View::Empty => 0,
        View::Explicit(hashes) => distinct(hashes),
        // At least 12,288 zeros.
        View::Sparse(registers) => by_zeros(REGISTERS - registers.len()),
        View::Full(registers) => by_registers(registers),
    }
}
