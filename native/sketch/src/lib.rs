//! HyperLogLog sketches as Apache Doris computes and stores them.
//!
//! Nothing here knows Python, SQL or files; docs/formats/sketch.md describes the bytes. Bytes that
//! are no sketch are an error and never a panic.

use std::fmt;

pub mod base64;
pub mod bytes;
pub mod estimate;
pub mod hash;
pub mod state;
pub mod text;

/// Number of registers of a sketch.
pub const REGISTERS: usize = 1 << 14;
/// Up to so many distinct hashes are kept as they are, and the count is exact.
pub const EXPLICIT_MAX: usize = 160;
/// Up to so many registers that are not zero are stored one by one.
pub const SPARSE_MAX: usize = 4096;
/// The highest value of a register: 50 bits without a one, and one more.
pub const REGISTER_MAX: u8 = 51;

/// Why bytes or a value are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    NoBytes,
    UnknownForm(u8),
    Length { wanted: usize, found: usize },
    TooManyHashes(usize),
    TooManyRegisters(usize),
    RegisterIndex(usize),
    RegisterValue(u8),
    Year(i64),
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::NoBytes => write!(out, "not a sketch: no bytes"),
            Invalid::UnknownForm(form) => write!(out, "not a sketch: unknown form {form}"),
            Invalid::Length { wanted, found } => {
                write!(out, "not a sketch: {found} bytes instead of {wanted}")
            }
            Invalid::TooManyHashes(count) => {
                write!(out, "not a sketch: {count} hashes, at most {EXPLICIT_MAX}")
            }
            Invalid::TooManyRegisters(count) => {
                write!(
                    out,
                    "not a sketch: {count} sparse registers, at most {SPARSE_MAX}"
                )
            }
            Invalid::RegisterIndex(index) => {
                write!(
                    out,
                    "not a sketch: register {index} is out of order or range"
                )
            }
            Invalid::RegisterValue(value) => {
                write!(out, "not a sketch: a register of value {value}")
            }
            Invalid::Year(year) => write!(out, "year {year} is not in 0 to 9999"),
        }
    }
}

impl std::error::Error for Invalid {}

pub type Result<T> = std::result::Result<T, Invalid>;
