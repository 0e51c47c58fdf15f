//! Ranges of a lake's committed metadata: plain functions over Arrow columns.
//!
//! Nothing here knows Python, files or configuration; docs/formats describes the bytes. Rows are
//! sorted by path, each path once, unless a function says otherwise.

use std::fmt;

pub mod arrow;
pub mod cuts;
pub mod diff;
pub mod entries;
pub mod files;
pub mod ids;
pub mod merge;
pub mod pages;
pub mod parquet;
pub mod range_file;
pub mod staging;
pub mod text;
mod threads;

/// What a caller handed in is not what the function takes.
#[derive(Debug)]
pub struct Invalid(pub String);

impl fmt::Display for Invalid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

impl Invalid {
    pub fn new(text: impl Into<String>) -> Self {
        Invalid(text.into())
    }
}

pub type Result<T> = std::result::Result<T, Invalid>;
