//! Entries and other results as Arrow struct arrays, the form in which they cross borders.

use arrow_buffer::{BooleanBuffer, Buffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field, TimeUnit};

use crate::entries::Entries;
use crate::ids::IDENTITY_BYTES;
use crate::text::Text;
use crate::{Invalid, Result};

const TOMBSTONE: &str = "is_tombstone";

fn mtime_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Columns of entries, in the order of the range format.
pub fn entry_fields() -> Vec<(&'static str, DataType)> {
    vec![
        ("path", DataType::Utf8),
        ("identity", DataType::FixedSizeBinary(IDENTITY_BYTES as i32)),
        ("address", DataType::Utf8),
        ("checksum", DataType::Utf8),
        ("size_bytes", DataType::Int64),
        ("mtime", mtime_type()),
        ("content_type", DataType::Utf8),
        ("metadata", DataType::Utf8),
        ("checksum2", DataType::Utf8),
    ]
}

/// The children of a struct array, cut to its own rows.
pub fn columns(data: &ArrayData) -> Result<Vec<(String, ArrayData)>> {
    let DataType::Struct(fields) = data.data_type() else {
        return Err(Invalid::new("not a record batch"));
    };
    let mut out = Vec::with_capacity(fields.len());
    for (field, child) in fields.iter().zip(data.child_data()) {
        let mut child = child.slice(data.offset(), data.len());
        if child.null_count() > 0 {
            return Err(Invalid::new(format!("column {} holds nulls", field.name())));
        }
        child.align_buffers();
        child
            .validate()
            .map_err(|error| Invalid::new(format!("column {}: {error}", field.name())))?;
        out.push((field.name().clone(), child));
    }
    Ok(out)
}

pub fn to_text(data: &ArrayData) -> Result<Text> {
    if data.data_type() != &DataType::Utf8 {
        return Err(Invalid::new("not a column of texts"));
    }
    if data.is_empty() {
        return Ok(Text::new(
            vec![0i32].into(),
            Buffer::from_vec(Vec::<u8>::new()),
        ));
    }
    let offsets = ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len() + 1);
    Ok(Text::new(offsets, data.buffers()[1].clone()))
}

pub fn to_numbers(data: &ArrayData) -> ScalarBuffer<i64> {
    ScalarBuffer::new(data.buffers()[0].clone(), data.offset(), data.len())
}

/// Bytes of a fixed-width column, without its parent's other rows.
pub fn to_fixed(data: &ArrayData, width: usize) -> Buffer {
    data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width)
}

/// Bits as a byte each, 0 or 1.
pub fn to_flags(data: &ArrayData) -> Vec<u8> {
    let bits = BooleanBuffer::new(data.buffers()[0].clone(), data.offset(), data.len());
    bits.iter().map(u8::from).collect()
}

/// Reads entries from a record batch: the nine columns in order, then perhaps `is_tombstone`.
pub fn to_entries(data: &ArrayData) -> Result<Entries> {
    entries_of(&columns(data)?)
}

/// Reads entries from the columns of a record batch, as `to_entries` does.
pub fn entries_of(columns: &[(String, ArrayData)]) -> Result<Entries> {
    let fields = entry_fields();
    let matches = columns.len() >= fields.len()
        && columns
            .iter()
            .zip(&fields)
            .all(|((name, child), (wanted, kind))| name == wanted && child.data_type() == kind);
    let tombstone = match columns.get(fields.len()..) {
        _ if !matches => return Err(Invalid::new("columns are not those of entries")),
        Some([]) => None,
        Some([(name, child)]) if name == TOMBSTONE && child.data_type() == &DataType::Boolean => {
            Some(Buffer::from_vec(to_flags(child)))
        }
        _ => return Err(Invalid::new("columns are not those of entries")),
    };
    Ok(Entries {
        path: to_text(&columns[0].1)?,
        identity: to_fixed(&columns[1].1, IDENTITY_BYTES),
        address: to_text(&columns[2].1)?,
        checksum: to_text(&columns[3].1)?,
        size_bytes: to_numbers(&columns[4].1),
        mtime: to_numbers(&columns[5].1),
        content_type: to_text(&columns[6].1)?,
        metadata: to_text(&columns[7].1)?,
        checksum2: to_text(&columns[8].1)?,
        tombstone,
    })
}

fn array(kind: DataType, len: usize, buffers: Vec<Buffer>) -> ArrayData {
    let builder = ArrayData::builder(kind).len(len).buffers(buffers);
    // SAFETY: the buffers come from columns of this crate, whose offsets ascend and stay inside
    // their data, and which hold only whole texts copied from valid columns.
    unsafe { builder.build_unchecked() }
}

pub fn text_array(text: &Text) -> ArrayData {
    let buffers = vec![text.offsets().inner().clone(), text.data().clone()];
    array(DataType::Utf8, text.len(), buffers)
}

pub fn number_array(kind: DataType, numbers: &ScalarBuffer<i64>) -> ArrayData {
    array(kind, numbers.len(), vec![numbers.inner().clone()])
}

pub fn byte_array(bytes: Vec<i8>) -> ArrayData {
    array(DataType::Int8, bytes.len(), vec![Buffer::from_vec(bytes)])
}

pub fn fixed_array(bytes: &Buffer, width: usize) -> ArrayData {
    array(
        DataType::FixedSizeBinary(width as i32),
        bytes.len() / width,
        vec![bytes.clone()],
    )
}

pub fn identity_array(identities: &Buffer) -> ArrayData {
    fixed_array(identities, IDENTITY_BYTES)
}

/// Flags of one byte each as bits.
pub fn flag_array(flags: &[u8]) -> ArrayData {
    let bits = BooleanBuffer::collect_bool(flags.len(), |row| flags[row] != 0);
    array(DataType::Boolean, bits.len(), vec![bits.into_inner()])
}

/// A struct array of named columns of `len` rows each: a record batch.
pub fn batch(len: usize, columns: Vec<(&'static str, ArrayData)>) -> ArrayData {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, child)| Field::new(*name, child.data_type().clone(), false))
        .collect();
    let builder = ArrayData::builder(DataType::Struct(fields.into()))
        .len(len)
        .child_data(columns.into_iter().map(|(_, child)| child).collect());
    // SAFETY: every child has `len` rows and no nulls.
    unsafe { builder.build_unchecked() }
}

pub fn entry_columns(entries: &Entries) -> Vec<(&'static str, ArrayData)> {
    let mut columns = vec![
        ("path", text_array(&entries.path)),
        ("identity", identity_array(&entries.identity)),
        ("address", text_array(&entries.address)),
        ("checksum", text_array(&entries.checksum)),
        (
            "size_bytes",
            number_array(DataType::Int64, &entries.size_bytes),
        ),
        ("mtime", number_array(mtime_type(), &entries.mtime)),
        ("content_type", text_array(&entries.content_type)),
        ("metadata", text_array(&entries.metadata)),
        ("checksum2", text_array(&entries.checksum2)),
    ];
    if let Some(flags) = &entries.tombstone {
        columns.push((TOMBSTONE, flag_array(flags.as_slice())));
    }
    columns
}

pub fn from_entries(entries: &Entries) -> ArrayData {
    batch(entries.len(), entry_columns(entries))
}
