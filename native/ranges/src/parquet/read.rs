//! A file into columns.

use std::cell::RefCell;

use super::pages::Column;
use super::thrift::{Value, damaged, read_struct};
use super::write::physical;
use super::{Kind, PAGE_BYTES_MAX, ROWS_MAX, Values, code, drop_if_large};
use crate::{Invalid, Result};

const TAIL_BYTES: usize = 8;

thread_local! {
    // A context takes longer to make than a page to decompress, and fresh memory is slow.
    static DECOMPRESSOR: RefCell<Option<(zstd::bulk::Decompressor<'static>, Vec<u8>)>> =
        const { RefCell::new(None) };
}

/// A file whose footer is read and whose columns are not.
pub struct File<'a> {
    data: &'a [u8],
    footer: Value<'a>,
}

/// Reads what a file says of itself.
pub fn open(data: &[u8]) -> Result<File<'_>> {
    let footer = footer(data)?;
    Ok(File { data, footer })
}

impl<'a> File<'a> {
    /// A value of the key-value metadata.
    pub fn metadata(&self, key: &str) -> Option<&'a [u8]> {
        let pairs = self.footer.list(5).ok()?;
        let found = pairs
            .iter()
            .find(|pair| pair.bytes(1).is_ok_and(|found| found == key.as_bytes()))?;
        found.bytes(2).ok()
    }

    /// Number of rows, and the columns, which are exactly these, in this order.
    pub fn read(&self, columns: &[(&str, Kind)]) -> Result<(usize, Vec<Values>)> {
        check_schema(self.footer.list(2)?, columns)?;
        let rows = checked(self.footer.size(3)?)?;
        let mut found: Vec<Column> = columns
            .iter()
            .map(|(_, kind)| Column::new(*kind, rows))
            .collect();
        for group in self.footer.list(4)? {
            let chunks = group.list(1)?;
            if chunks.len() != columns.len() {
                return Err(damaged());
            }
            for (chunk, column) in chunks.iter().zip(&mut found) {
                let chunk = chunk.find(3).ok_or_else(damaged)?;
                read_chunk(self.data, chunk, column)?;
            }
        }
        if found.iter().any(|column| column.rows() != rows) {
            return Err(damaged());
        }
        Ok((rows, found.into_iter().map(Column::finish).collect()))
    }
}

fn footer(data: &[u8]) -> Result<Value<'_>> {
    let body = data.len().checked_sub(TAIL_BYTES).ok_or_else(damaged)?;
    let (length, magic) = data[body..].split_at(4);
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    if magic != b"PAR1" || !data.starts_with(b"PAR1") {
        return Err(damaged());
    }
    let start = body.checked_sub(length).ok_or_else(damaged)?;
    Ok(read_struct(&data[start..body])?.0)
}

fn check_schema(nodes: &[Value<'_>], columns: &[(&str, Kind)]) -> Result<()> {
    let others = || Invalid::new("the file has other columns");
    if nodes.len() != columns.len() + 1 {
        return Err(others());
    }
    for (node, (name, kind)) in nodes[1..].iter().zip(columns) {
        let is_same = node.bytes(4)? == name.as_bytes()
            && node.int(1)? == physical(*kind)
            && node.int(3)? == 0
            && match kind {
                Kind::Fixed(width) => node.size(2)? == *width,
                Kind::Text => node.int(6).is_ok_and(|found| found == code::UTF8),
                Kind::Time => node
                    .int(6)
                    .is_ok_and(|found| found == code::TIMESTAMP_MICROS),
                Kind::Number | Kind::Flag => true,
            };
        if !is_same {
            return Err(others());
        }
    }
    Ok(())
}

fn read_chunk(data: &[u8], chunk: &Value<'_>, column: &mut Column) -> Result<()> {
    let codec = chunk.int(4)?;
    let rows = chunk.size(5)?;
    let mut at = chunk.size(9)?;
    if let Some(Value::Int(dictionary)) = chunk.find(11)
        && *dictionary > 0
    {
        at = at.min(*dictionary as usize);
    }
    let end = column.rows().checked_add(rows).ok_or_else(damaged)?;
    while column.rows() < end {
        let (header, taken) = read_struct(data.get(at..).ok_or_else(damaged)?)?;
        at += taken;
        let (plain_bytes, stored_bytes) = (header.size(2)?, header.size(3)?);
        let stop = at.checked_add(stored_bytes).ok_or_else(damaged)?;
        let stored = data.get(at..stop).ok_or_else(damaged)?;
        at = stop;
        if plain_bytes > PAGE_BYTES_MAX {
            return Err(damaged());
        }
        let mut take = |page: &[u8]| read_page(page, &header, end, column);
        match codec {
            code::UNCOMPRESSED => take(stored)?,
            code::ZSTD => decompressed(stored, plain_bytes, take)?,
            _ => return Err(Invalid::new("a column has a compression that is not read")),
        }
    }
    Ok(())
}

fn read_page(page: &[u8], header: &Value<'_>, end: usize, column: &mut Column) -> Result<()> {
    match header.int(1)? {
        code::DICTIONARY_PAGE => {
            let about = header.find(7).ok_or_else(damaged)?;
            column.add_dictionary(page, checked(about.size(1)?)?)
        }
        code::DATA_PAGE => {
            let about = header.find(5).ok_or_else(damaged)?;
            let count = checked(about.size(1)?)?;
            if count == 0 || count > end - column.rows() {
                return Err(damaged());
            }
            column.add(page, count, about.int(2)?)
        }
        _ => Err(Invalid::new("a column has a page that is not read")),
    }
}

fn checked(rows: usize) -> Result<usize> {
    if rows > ROWS_MAX {
        return Err(damaged());
    }
    Ok(rows)
}

/// Calls `take` with a page as it was before compression, in a buffer that the thread's next page
/// has too.
fn decompressed<T>(
    stored: &[u8],
    plain_bytes: usize,
    take: impl FnOnce(&[u8]) -> Result<T>,
) -> Result<T> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            let decompressor = zstd::bulk::Decompressor::new().map_err(|_| damaged())?;
            *slot = Some((decompressor, Vec::new()));
        }
        let (decompressor, page) = slot.as_mut().expect("just made");
        page.clear();
        page.reserve(plain_bytes);
        decompressor
            .decompress_to_buffer(stored, page)
            .map_err(|_| damaged())?;
        if page.len() != plain_bytes {
            return Err(damaged());
        }
        let taken = take(page);
        drop_if_large(page);
        taken
    })
}
