//! Stored bytes, read in place after all checks.

use crate::{EXPLICIT_MAX, Invalid, REGISTER_MAX, REGISTERS, Result, SPARSE_MAX};

pub const EMPTY: u8 = 0;
pub const EXPLICIT: u8 = 1;
pub const SPARSE: u8 = 2;
pub const FULL: u8 = 3;

/// The longest stored form.
pub const BYTES_MAX: usize = 1 + REGISTERS;

/// A stored sketch that passed all checks.
///
/// Explicit hashes may come in any order and more than once, as other writers leave them; sparse
/// registers (little-endian index, value) are ascending and not zero.
#[derive(Clone, Copy, Debug)]
pub enum View<'a> {
    Empty,
    Explicit(&'a [[u8; 8]]),
    Sparse(&'a [[u8; 3]]),
    Full(&'a [u8; REGISTERS]),
}

fn require_length(data: &[u8], wanted: usize) -> Result<()> {
    if data.len() == wanted {
        return Ok(());
    }
    Err(Invalid::Length {
        wanted,
        found: data.len(),
    })
}

fn explicit(data: &[u8]) -> Result<View<'_>> {
    let [_, count, rest @ ..] = data else {
        return Err(Invalid::Length {
            wanted: 2,
            found: data.len(),
        });
    };
    let count = usize::from(*count);
    if count > EXPLICIT_MAX {
        return Err(Invalid::TooManyHashes(count));
    }
    require_length(data, 2 + 8 * count)?;
    Ok(View::Explicit(rest.as_chunks().0))
}

fn sparse(data: &[u8]) -> Result<View<'_>> {
    let Some((count, rest)) = data[1..].split_first_chunk::<4>() else {
        return Err(Invalid::Length {
            wanted: 5,
            found: data.len(),
        });
    };
    let count = u32::from_le_bytes(*count) as usize;
    if count > SPARSE_MAX {
        return Err(Invalid::TooManyRegisters(count));
    }
    require_length(data, 5 + 3 * count)?;
    let registers: &[[u8; 3]] = rest.as_chunks().0;
    let mut free = 0;
    for &[low, high, value] in registers {
        let index = usize::from(u16::from_le_bytes([low, high]));
        if index < free || index >= REGISTERS {
            return Err(Invalid::RegisterIndex(index));
        }
        if value == 0 || value > REGISTER_MAX {
            return Err(Invalid::RegisterValue(value));
        }
        free = index + 1;
    }
    Ok(View::Sparse(registers))
}

fn full(data: &[u8]) -> Result<View<'_>> {
    require_length(data, BYTES_MAX)?;
    let registers: &[u8; REGISTERS] = data[1..].try_into().map_err(|_| Invalid::Length {
        wanted: BYTES_MAX,
        found: data.len(),
    })?;
    // A maximum over bytes is one vector instruction for 16 of them, a search is not.
    let highest = registers.iter().copied().fold(0, u8::max);
    if highest > REGISTER_MAX {
        return Err(Invalid::RegisterValue(highest));
    }
    Ok(View::Full(registers))
}

impl<'a> View<'a> {
    /// Check all of `data` and return what it holds.
    #[inline]
    pub fn parse(data: &'a [u8]) -> Result<Self> {
        match data.first() {
            Some(&EXPLICIT) => explicit(data),
            Some(&SPARSE) => sparse(data),
            Some(&FULL) => full(data),
            Some(&EMPTY) => require_length(data, 1).map(|()| View::Empty),
            Some(&form) => Err(Invalid::UnknownForm(form)),
            None => Err(Invalid::NoBytes),
        }
    }
}

/// The stored form of a set of one hash.
#[inline(always)]
pub fn single(hash: u64) -> [u8; 10] {
    let mut bytes = [EXPLICIT, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&hash.to_le_bytes());
    bytes
}
