//! Columns into a file.

use std::cell::RefCell;

use super::thrift::Struct;
use super::{Kind, Values, code, delta, drop_if_large};
use crate::text::Text;
use crate::{Invalid, Result};

const LEVEL: i32 = 1;
const MAGIC: &[u8] = b"PAR1";
/// Shared with the text before it on the average, in bytes: below it prefixes gain nothing.
const PREFIX_BYTES_MIN: usize = 4;

thread_local! {
    // A context takes longer to make than a page to compress.
    static COMPRESSOR: RefCell<Option<(zstd::bulk::Compressor<'static>, Vec<u8>)>> =
        const { RefCell::new(None) };
}

struct Chunk<'a> {
    name: &'a str,
    kind: Kind,
    encoding: i64,
    codec: i64,
    offset: usize,
    /// With the page's header, before and after compression.
    plain_bytes: usize,
    stored_bytes: usize,
}

/// Writes columns of `rows` rows each, with key-value metadata.
pub fn write(
    rows: usize,
    columns: &[(&str, Kind, Values)],
    metadata: &[(&str, &str)],
) -> Result<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    let mut chunks = Vec::with_capacity(columns.len());
    let mut page = Vec::new();
    for (name, kind, values) in columns {
        page.clear();
        let encoding = encode(&mut page, values);
        chunks.push(append(&mut out, rows, name, *kind, encoding, &page)?);
    }
    let footer = out.len();
    Struct::write(&mut out, |file| fill_footer(file, rows, &chunks, metadata));
    let length = (out.len() - footer) as u32;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(MAGIC);
    Ok(out)
}

fn encode(page: &mut Vec<u8>, values: &Values) -> i64 {
    match values {
        Values::Text(text) => encode_texts(page, text),
        Values::Fixed(bytes) => {
            page.extend_from_slice(bytes.as_slice());
            code::PLAIN
        }
        Values::Numbers(numbers) => {
            delta::encode(page, numbers);
            code::DELTA_BINARY_PACKED
        }
        Values::Flags(flags) => {
            for part in flags.chunks(8) {
                let bits = part.iter().enumerate();
                page.push(bits.fold(0, |byte, (bit, flag)| byte | (flag & 1) << bit));
            }
            code::PLAIN
        }
    }
}

/// How many bytes both begin with; eight are compared at a time.
fn shared_bytes(left: &[u8], right: &[u8]) -> usize {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
    let mut shared = 0;
    for (one, other) in left.chunks_exact(8).zip(right.chunks_exact(8)) {
        let differing = word(one) ^ word(other);
        if differing != 0 {
            return shared + (differing.trailing_zeros() / 8) as usize;
        }
        shared += 8;
    }
    let rest = left[shared..].iter().zip(&right[shared..]);
    shared + rest.take_while(|(one, other)| one == other).count()
}

fn encode_texts(page: &mut Vec<u8>, text: &Text) -> i64 {
    let rows = text.len();
    let sample = 64.min(rows.saturating_sub(1));
    let is_alike = (1..=sample)
        .map(|row| shared_bytes(text.get(row - 1), text.get(row)))
        .sum::<usize>()
        > PREFIX_BYTES_MIN * sample;
    // Equal texts are better off as they are: their column compresses to nothing.
    let is_equal = (1..=sample).all(|row| text.get(row - 1) == text.get(row));
    if is_alike && !is_equal {
        let mut prefixes = Vec::with_capacity(rows);
        let mut suffixes = Vec::with_capacity(rows);
        let mut last: &[u8] = &[];
        for row in 0..rows {
            let this = text.get(row);
            let prefix = shared_bytes(last, this);
            prefixes.push(prefix as i64);
            suffixes.push((this.len() - prefix) as i64);
            last = this;
        }
        delta::encode(page, &prefixes);
        delta::encode(page, &suffixes);
        page.reserve(suffixes.iter().sum::<i64>() as usize);
        for (row, prefix) in prefixes.iter().enumerate() {
            page.extend_from_slice(&text.get(row)[*prefix as usize..]);
        }
        return code::DELTA_TEXTS;
    }
    let ends = text.offsets();
    let lengths: Vec<i64> = ends
        .windows(2)
        .map(|pair| i64::from(pair[1] - pair[0]))
        .collect();
    delta::encode(page, &lengths);
    page.extend_from_slice(text.bytes());
    code::DELTA_LENGTH
}

fn append<'a>(
    out: &mut Vec<u8>,
    rows: usize,
    name: &'a str,
    kind: Kind,
    encoding: i64,
    page: &[u8],
) -> Result<Chunk<'a>> {
    compressed(page, |packed| {
        // What gains too little is not worth being undone by every reader.
        let (codec, body) = if packed.len() < page.len() - page.len() / 16 {
            (code::ZSTD, packed)
        } else {
            (code::UNCOMPRESSED, page)
        };
        let offset = out.len();
        Struct::write(out, |header| {
            header.i32(1, code::DATA_PAGE);
            header.i32(2, page.len() as i64);
            header.i32(3, body.len() as i64);
            header.nested(5, |data| {
                data.i32(1, rows as i64);
                data.i32(2, encoding);
                data.i32(3, code::RLE);
                data.i32(4, code::RLE);
            });
        });
        let header_bytes = out.len() - offset;
        out.extend_from_slice(body);
        Chunk {
            name,
            kind,
            encoding,
            codec,
            offset,
            plain_bytes: header_bytes + page.len(),
            stored_bytes: header_bytes + body.len(),
        }
    })
}

/// Calls `take` with the page compressed, in a buffer that the thread's next page has too.
fn compressed<T>(page: &[u8], take: impl FnOnce(&[u8]) -> T) -> Result<T> {
    let failed = |_| Invalid::new("a page could not be compressed");
    COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            let compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
            *slot = Some((compressor, Vec::new()));
        }
        let (compressor, packed) = slot.as_mut().expect("just made");
        packed.clear();
        packed.reserve(zstd::zstd_safe::compress_bound(page.len()));
        compressor
            .compress_to_buffer(page, packed)
            .map_err(failed)?;
        let taken = take(packed);
        drop_if_large(packed);
        Ok(taken)
    })
}

fn fill_footer(
    file: &mut Struct<'_>,
    rows: usize,
    chunks: &[Chunk<'_>],
    metadata: &[(&str, &str)],
) {
    file.i32(1, 2);
    // The root and the columns, all required.
    let nodes: Vec<Option<&Chunk<'_>>> = std::iter::once(None)
        .chain(chunks.iter().map(Some))
        .collect();
    file.structs(2, &nodes, |node, schema| match node {
        None => {
            schema.i32(3, 0);
            schema.text(4, b"schema");
            schema.i32(5, chunks.len() as i64);
        }
        Some(chunk) => fill_schema(schema, chunk),
    });
    file.i64(3, rows as i64);
    file.structs(4, &[()], |(), group| {
        group.structs(1, chunks, |chunk, column| {
            column.i64(2, chunk.offset as i64);
            column.nested(3, |data| fill_chunk(data, rows, chunk));
        });
        group.i64(2, chunks.iter().map(|chunk| chunk.plain_bytes as i64).sum());
        group.i64(3, rows as i64);
    });
    file.structs(5, metadata, |(key, value), pair| {
        pair.text(1, key.as_bytes());
        pair.text(2, value.as_bytes());
    });
    file.text(6, b"anabranch");
}

fn fill_schema(schema: &mut Struct<'_>, chunk: &Chunk<'_>) {
    schema.i32(1, physical(chunk.kind));
    if let Kind::Fixed(width) = chunk.kind {
        schema.i32(2, width as i64);
    }
    schema.i32(3, 0);
    schema.text(4, chunk.name.as_bytes());
    match chunk.kind {
        Kind::Text => {
            schema.i32(6, code::UTF8);
            schema.nested(10, |logical| logical.nested(1, |_| {}));
        }
        Kind::Time => {
            schema.i32(6, code::TIMESTAMP_MICROS);
            schema.nested(10, |logical| {
                logical.nested(8, |time| {
                    time.flag(1, true);
                    time.nested(2, |unit| unit.nested(2, |_| {}));
                });
            });
        }
        Kind::Fixed(_) | Kind::Number | Kind::Flag => {}
    }
}

pub fn physical(kind: Kind) -> i64 {
    match kind {
        Kind::Text => code::BYTE_ARRAY,
        Kind::Fixed(_) => code::FIXED,
        Kind::Number | Kind::Time => code::INT64,
        Kind::Flag => code::BOOLEAN,
    }
}

fn fill_chunk(data: &mut Struct<'_>, rows: usize, chunk: &Chunk<'_>) {
    data.i32(1, physical(chunk.kind));
    data.i32s(2, &[chunk.encoding, code::RLE]);
    data.texts(3, &[chunk.name.as_bytes()]);
    data.i32(4, chunk.codec);
    data.i64(5, rows as i64);
    data.i64(6, chunk.plain_bytes as i64);
    data.i64(7, chunk.stored_bytes as i64);
    data.i64(9, chunk.offset as i64);
}
