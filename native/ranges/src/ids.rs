//! Identities and ids: BLAKE3 over logical values, never over file bytes.

use arrow_buffer::{Buffer, ScalarBuffer, ToByteSlice};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use blake3::Hasher;

use crate::arrow;
use crate::entries::{Entries, require_plain};
use crate::text::Text;
use crate::{Invalid, Result, threads};

/// Bytes of an entry's identity.
pub const IDENTITY_BYTES: usize = 20;
const ID_BYTES: usize = 32;
const FORMAT: u8 = 1;

fn add_text(hasher: &mut Hasher, text: &[u8]) {
    hasher.update(&(text.len() as u32).to_le_bytes());
    hasher.update(text);
}

/// The identity of one entry: size, checksum, content type and canonical metadata.
pub fn identity(
    size_bytes: u64,
    checksum: &[u8],
    content_type: &[u8],
    metadata: &[u8],
) -> [u8; IDENTITY_BYTES] {
    let mut hasher = Hasher::new();
    hasher.update(&size_bytes.to_le_bytes());
    add_text(&mut hasher, checksum);
    add_text(&mut hasher, content_type);
    add_text(&mut hasher, metadata);
    let mut out = [0u8; IDENTITY_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..IDENTITY_BYTES]);
    out
}

/// The identities of many entries, given as the columns of `identity`.
pub fn identities(columns: [&ArrayData; 4]) -> Result<ArrayData> {
    let [sizes, checksums, content_types, metadata] = columns;
    let rows = sizes.len();
    let is_wrong = |data: &&ArrayData| data.len() != rows || data.null_count() > 0;
    if columns.iter().any(is_wrong) || sizes.data_type() != &DataType::Int64 {
        return Err(Invalid::new(
            "sizes and three columns of texts, of equal length, no nulls",
        ));
    }
    let sizes = arrow::to_numbers(sizes);
    let checksums = arrow::to_text(checksums)?;
    let content_types = arrow::to_text(content_types)?;
    let metadata = arrow::to_text(metadata)?;
    let found = threads::map_rows(rows, |row| {
        identity(
            sizes[row] as u64,
            checksums.get(row),
            content_types.get(row),
            metadata.get(row),
        )
    });
    Ok(arrow::identity_array(&Buffer::from_vec(found.concat())))
}

/// BLAKE3-256 of bytes.
pub fn blake3_256(data: &[u8]) -> [u8; ID_BYTES] {
    *blake3::hash(data).as_bytes()
}

enum Column<'a> {
    Text(&'a Text),
    Fixed(&'a [u8]),
    Numbers(&'a ScalarBuffer<i64>),
}

// Lengths are hashed, not offsets: a slice keeps its parent's offsets.
fn hash_columns(level: u8, rows: usize, columns: &[Column<'_>]) -> [u8; ID_BYTES] {
    let mut hasher = Hasher::new();
    hasher.update(&[FORMAT, level]);
    hasher.update(&(columns.len() as u16).to_le_bytes());
    hasher.update(&(rows as u64).to_le_bytes());
    let mut scratch: Vec<u32> = Vec::with_capacity(rows);
    for column in columns {
        match column {
            Column::Text(text) => {
                let ends = text.offsets().windows(2);
                scratch.clear();
                scratch.extend(ends.map(|pair| ((pair[1] - pair[0]) as u32).to_le()));
                hasher.update(scratch.to_byte_slice());
                hasher.update(text.bytes());
            }
            Column::Fixed(bytes) => {
                hasher.update(bytes);
            }
            Column::Numbers(numbers) => {
                if cfg!(target_endian = "little") {
                    hasher.update(numbers.to_byte_slice());
                } else {
                    let numbers: Vec<i64> = numbers.iter().map(|number| number.to_le()).collect();
                    hasher.update(numbers.to_byte_slice());
                }
            }
        }
    }
    *hasher.finalize().as_bytes()
}

/// The id of a range: all nine columns.
pub fn range_id(entries: &Entries) -> Result<[u8; ID_BYTES]> {
    require_plain(entries)?;
    Ok(hash_columns(
        0,
        entries.len(),
        &[
            Column::Text(&entries.path),
            Column::Fixed(entries.identity.as_slice()),
            Column::Text(&entries.address),
            Column::Text(&entries.checksum),
            Column::Numbers(&entries.size_bytes),
            Column::Numbers(&entries.mtime),
            Column::Text(&entries.content_type),
            Column::Text(&entries.metadata),
            Column::Text(&entries.checksum2),
        ],
    ))
}

/// The id of a node above ranges: children's ids, first and last paths, counts and sizes.
pub fn node_id(level: u8, data: &ArrayData) -> Result<[u8; ID_BYTES]> {
    const NAMES: [&str; 5] = ["id", "first", "last", "count", "size_bytes"];
    let columns = arrow::columns(data)?;
    let has_names = NAMES
        .iter()
        .zip(&columns)
        .filter(|(name, (found, _))| *name == found);
    if has_names.count() != NAMES.len()
        || columns[0].1.data_type() != &DataType::FixedSizeBinary(ID_BYTES as i32)
        || columns[3..5]
            .iter()
            .any(|(_, data)| data.data_type() != &DataType::Int64)
    {
        return Err(Invalid::new("columns are not those of a metarange"));
    }
    let ids = arrow::to_fixed(&columns[0].1, ID_BYTES);
    let (first, last) = (
        arrow::to_text(&columns[1].1)?,
        arrow::to_text(&columns[2].1)?,
    );
    let (count, size) = (
        arrow::to_numbers(&columns[3].1),
        arrow::to_numbers(&columns[4].1),
    );
    Ok(hash_node(level, &ids, &first, &last, &count, &size))
}

/// The id of a node, from the columns of `node_id`.
pub fn hash_node(
    level: u8,
    ids: &Buffer,
    first: &Text,
    last: &Text,
    count: &ScalarBuffer<i64>,
    size_bytes: &ScalarBuffer<i64>,
) -> [u8; ID_BYTES] {
    let columns = [
        Column::Fixed(ids.as_slice()),
        Column::Text(first),
        Column::Text(last),
        Column::Numbers(count),
        Column::Numbers(size_bytes),
    ];
    hash_columns(level, first.len(), &columns)
}
