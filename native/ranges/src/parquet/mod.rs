//! Parquet files of few plain columns: one row group, no nulls, what `open` and `write` name.
//!
//! `write` makes one page for each column. `File::read` takes what any writer of format 1 made: several
//! pages, dictionaries, and the encodings PLAIN, RLE_DICTIONARY and DELTA_*.

mod delta;
mod pages;
mod read;
mod thrift;
mod write;

use arrow_buffer::{Buffer, ScalarBuffer};

use crate::text::Text;

pub use read::{File, open};
pub use write::write;

/// Rows of one file, and bytes of one page before compression: damaged files cannot ask for more.
const ROWS_MAX: usize = 1 << 26;
const PAGE_BYTES_MAX: usize = 1 << 30;
/// What a thread keeps of the memory of its last page.
const SCRATCH_BYTES_MAX: usize = 4 << 20;

fn drop_if_large(scratch: &mut Vec<u8>) {
    if scratch.capacity() > SCRATCH_BYTES_MAX {
        *scratch = Vec::new();
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// So many bytes a row.
    Fixed(usize),
    Number,
    /// Microseconds since 1970, UTC.
    Time,
    Flag,
}

/// A column's rows; times are numbers, a flag is one byte, 0 or 1.
#[derive(Clone, Debug)]
pub enum Values {
    Text(Text),
    Fixed(Buffer),
    Numbers(ScalarBuffer<i64>),
    Flags(Vec<u8>),
}

impl Values {
    pub fn text(self) -> Option<Text> {
        match self {
            Values::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn fixed(self) -> Option<Buffer> {
        match self {
            Values::Fixed(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn numbers(self) -> Option<ScalarBuffer<i64>> {
        match self {
            Values::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    pub fn flags(self) -> Option<Vec<u8>> {
        match self {
            Values::Flags(flags) => Some(flags),
            _ => None,
        }
    }
}

mod code {
    pub const BOOLEAN: i64 = 0;
    pub const INT64: i64 = 2;
    pub const BYTE_ARRAY: i64 = 6;
    pub const FIXED: i64 = 7;

    pub const UTF8: i64 = 0;
    pub const TIMESTAMP_MICROS: i64 = 10;

    pub const PLAIN: i64 = 0;
    pub const PLAIN_DICTIONARY: i64 = 2;
    pub const RLE: i64 = 3;
    pub const DELTA_BINARY_PACKED: i64 = 5;
    pub const DELTA_LENGTH: i64 = 6;
    pub const DELTA_TEXTS: i64 = 7;
    pub const RLE_DICTIONARY: i64 = 8;

    pub const UNCOMPRESSED: i64 = 0;
    pub const ZSTD: i64 = 6;

    pub const DATA_PAGE: i64 = 0;
    pub const DICTIONARY_PAGE: i64 = 2;
}
