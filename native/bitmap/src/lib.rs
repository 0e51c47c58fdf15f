//! Sets of 64-bit numbers as Apache Doris stores them in BITMAP columns.
//!
//! Nothing here knows Python, SQL or files; docs/formats/bitmap.md describes the bytes. Bytes that
//! are no bitmap are an error and never a panic.

use std::fmt;

pub mod bitmap;
pub mod bytes;
pub mod container;
pub mod hash;

/// Why bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    NoBytes,
    UnknownForm(u8),
    TooShort,
    TrailingBytes(usize),
    Set(usize),
    Keys,
    Container,
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::NoBytes => write!(out, "not a bitmap: no bytes"),
            Invalid::UnknownForm(form) => write!(out, "not a bitmap: unknown form {form}"),
            Invalid::TooShort => write!(out, "not a bitmap: it ends too early"),
            Invalid::TrailingBytes(count) => write!(out, "not a bitmap: {count} bytes too many"),
            Invalid::Set(count) => write!(out, "not a bitmap: a set of {count}"),
            Invalid::Keys => write!(out, "not a bitmap: its parts are not ascending"),
            Invalid::Container => write!(out, "not a bitmap: a part is not what its header says"),
        }
    }
}

impl std::error::Error for Invalid {}

pub type Result<T> = std::result::Result<T, Invalid>;
