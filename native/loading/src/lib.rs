//! Text files of loads as Arrow columns: CSV with Doris's rules, and JSON values one by one.
//!
//! Plain libraries: bytes in as they come, columns of text out, and the lines that are no rows.

pub mod csv;
pub mod json;
pub mod texts;

/// What the input or the settings must not be.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid(pub String);
