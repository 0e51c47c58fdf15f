//! Staging rows as columns; docs/formats/entry.md describes their bytes.

use arrow_buffer::Buffer;

use crate::entries::Entries;
use crate::ids::IDENTITY_BYTES;
use crate::text::Text;
use crate::{Invalid, Result};

const TOMBSTONE: u8 = 0;
const ENTRY: u8 = 1;
const LENGTHS: usize = 1 + IDENTITY_BYTES + 8 + 8;
const HEADER: usize = LENGTHS + 4 * 2 + 4;

struct Row<'a> {
    header: Option<&'a [u8]>,
    // Address, checksum, content type, second checksum, metadata.
    texts: [&'a [u8]; 5],
}

fn parse(blob: &[u8]) -> Option<Row<'_>> {
    if blob == [TOMBSTONE] {
        return Some(Row {
            header: None,
            texts: [&[]; 5],
        });
    }
    if blob.len() < HEADER || blob[0] != ENTRY {
        return None;
    }
    let (header, mut rest) = blob.split_at(HEADER);
    let mut texts: [&[u8]; 5] = [&[]; 5];
    for (index, text) in texts.iter_mut().enumerate() {
        let at = LENGTHS + 2 * index;
        let length = if index < 4 {
            usize::from(u16::from_le_bytes([header[at], header[at + 1]]))
        } else {
            u32::from_le_bytes(header[at..at + 4].try_into().ok()?) as usize
        };
        (*text, rest) = rest.split_at_checked(length)?;
        std::str::from_utf8(text).ok()?;
    }
    rest.is_empty().then_some(Row {
        header: Some(header),
        texts,
    })
}

fn number(header: Option<&[u8]>, at: usize) -> i64 {
    header.map_or(0, |bytes| {
        i64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
    })
}

/// Columns of staging rows, given in ascending order of path; tombstones have empty values.
pub fn decode(paths: &[&[u8]], blobs: &[&[u8]]) -> Result<Entries> {
    if paths.len() != blobs.len() {
        return Err(Invalid::new("as many staging rows as paths"));
    }
    let rows: Vec<Row<'_>> = blobs
        .iter()
        .map(|blob| parse(blob).ok_or_else(|| Invalid::new("staging row has an unknown format")))
        .collect::<Result<_>>()?;
    if paths.iter().any(|path| std::str::from_utf8(path).is_err()) {
        return Err(Invalid::new("path is not UTF-8"));
    }
    let text = |index: usize| Text::from_texts(rows.iter().map(|row| row.texts[index]));
    let numbers =
        |at: usize| -> Vec<i64> { rows.iter().map(|row| number(row.header, at)).collect() };
    let mut identity = Vec::with_capacity(rows.len() * IDENTITY_BYTES);
    for row in &rows {
        match row.header {
            Some(header) => identity.extend_from_slice(&header[1..1 + IDENTITY_BYTES]),
            None => identity.extend_from_slice(&[0; IDENTITY_BYTES]),
        }
    }
    let flags: Vec<u8> = rows
        .iter()
        .map(|row| u8::from(row.header.is_none()))
        .collect();
    let entries = Entries {
        path: Text::from_texts(paths.iter().copied())?,
        identity: Buffer::from_vec(identity),
        address: text(0)?,
        checksum: text(1)?,
        size_bytes: numbers(1 + IDENTITY_BYTES).into(),
        mtime: numbers(1 + IDENTITY_BYTES + 8).into(),
        content_type: text(2)?,
        metadata: text(4)?,
        checksum2: text(3)?,
        tombstone: Some(Buffer::from_vec(flags)),
    };
    if !entries.is_ascending(None) {
        return Err(Invalid::new("staging rows are not in order of path"));
    }
    Ok(entries)
}
