//! Files of ranges and metaranges; docs/formats/range.md and metarange.md describe them.

use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::DataType;

use crate::arrow;
use crate::entries::{Entries, require_plain};
use crate::ids::{self, IDENTITY_BYTES};
use crate::parquet::{self, Kind, Values};
use crate::text::Text;
use crate::{Invalid, Result};

const FORMAT_KEY: &str = "anabranch.format";
const LEVEL_KEY: &str = "anabranch.level";
const FORMAT: &str = "1";
const ID_BYTES: usize = 32;

const RANGE: [(&str, Kind); 9] = [
    ("path", Kind::Text),
    ("identity", Kind::Fixed(IDENTITY_BYTES)),
    ("address", Kind::Text),
    ("checksum", Kind::Text),
    ("size_bytes", Kind::Number),
    ("mtime", Kind::Time),
    ("content_type", Kind::Text),
    ("metadata", Kind::Text),
    ("checksum2", Kind::Text),
];

const NODE: [(&str, Kind); 6] = [
    ("id", Kind::Fixed(ID_BYTES)),
    ("first", Kind::Text),
    ("last", Kind::Text),
    ("count", Kind::Number),
    ("size_bytes", Kind::Number),
    ("is_fallback", Kind::Flag),
];

/// Why a file's rows cannot be had.
#[derive(Debug)]
pub enum Unreadable {
    /// It says that it has a format that is not known here.
    OtherFormat,
    /// It is not what was written under its name.
    Damaged(String),
}

impl From<Invalid> for Unreadable {
    fn from(error: Invalid) -> Self {
        Unreadable::Damaged(error.0)
    }
}

fn write(
    rows: usize,
    level: u8,
    shape: &[(&'static str, Kind)],
    values: Vec<Values>,
) -> Result<Vec<u8>> {
    let columns: Vec<(&str, Kind, Values)> = shape
        .iter()
        .zip(values)
        .map(|((name, kind), values)| (*name, *kind, values))
        .collect();
    let level = level.to_string();
    parquet::write(rows, &columns, &[(FORMAT_KEY, FORMAT), (LEVEL_KEY, &level)])
}

fn read(
    data: &[u8],
    level: u8,
    shape: &[(&str, Kind)],
) -> std::result::Result<(usize, Vec<Values>), Unreadable> {
    let file = parquet::open(data)?;
    if file.metadata(FORMAT_KEY) != Some(FORMAT.as_bytes()) {
        return Err(Unreadable::OtherFormat);
    }
    if file.metadata(LEVEL_KEY) != Some(level.to_string().as_bytes()) {
        return Err(Unreadable::Damaged("it has another level".into()));
    }
    let (rows, columns) = file.read(shape)?;
    if rows == 0 {
        return Err(Unreadable::Damaged("it is empty".into()));
    }
    Ok((rows, columns))
}

/// The file of a range that is not empty.
pub fn encode_range(rows: &Entries) -> Result<Vec<u8>> {
    require_plain(rows)?;
    let text = |text: &crate::text::Text| Values::Text(text.clone());
    let values = vec![
        text(&rows.path),
        Values::Fixed(rows.identity.clone()),
        text(&rows.address),
        text(&rows.checksum),
        Values::Numbers(rows.size_bytes.clone()),
        Values::Numbers(rows.mtime.clone()),
        text(&rows.content_type),
        text(&rows.metadata),
        text(&rows.checksum2),
    ];
    write(rows.len(), 0, &RANGE, values)
}

/// The rows of a range file, which are those that `id` names.
pub fn decode_range(data: &[u8], id: &[u8]) -> std::result::Result<Entries, Unreadable> {
    let mut columns = read(data, 0, &RANGE)?.1.into_iter();
    let mut next = || columns.next().expect("as many columns as were asked for");
    let kind = || Invalid::new("a column of another kind");
    let rows = Entries {
        path: next().text().ok_or_else(kind)?,
        identity: next().fixed().ok_or_else(kind)?,
        address: next().text().ok_or_else(kind)?,
        checksum: next().text().ok_or_else(kind)?,
        size_bytes: next().numbers().ok_or_else(kind)?,
        mtime: next().numbers().ok_or_else(kind)?,
        content_type: next().text().ok_or_else(kind)?,
        metadata: next().text().ok_or_else(kind)?,
        checksum2: next().text().ok_or_else(kind)?,
        tombstone: None,
    };
    if ids::range_id(&rows)? != *id {
        return Err(Unreadable::Damaged("it does not hash to its name".into()));
    }
    Ok(rows)
}

/// The file of a metarange, from the columns that `ids::node_id` takes and `is_fallback`.
pub fn encode_node(level: u8, data: &ArrayData) -> Result<Vec<u8>> {
    let columns = arrow::columns(data)?;
    let is_other = |((name, data), (wanted, kind)): (&(String, ArrayData), &(&str, Kind))| {
        let found = match data.data_type() {
            DataType::Utf8 => Some(Kind::Text),
            DataType::Int64 => Some(Kind::Number),
            DataType::Boolean => Some(Kind::Flag),
            DataType::FixedSizeBinary(width) => Some(Kind::Fixed(*width as usize)),
            _ => None,
        };
        name != wanted || found != Some(*kind)
    };
    if columns.len() != NODE.len() || columns.iter().zip(&NODE).any(is_other) {
        return Err(Invalid::new("columns are not those of a metarange"));
    }
    let values = columns
        .iter()
        .zip(&NODE)
        .map(|((_, data), (_, kind))| {
            Ok(match kind {
                Kind::Text => Values::Text(arrow::to_text(data)?),
                Kind::Fixed(width) => Values::Fixed(arrow::to_fixed(data, *width)),
                Kind::Number | Kind::Time => Values::Numbers(arrow::to_numbers(data)),
                Kind::Flag => Values::Flags(arrow::to_flags(data)),
            })
        })
        .collect::<Result<_>>()?;
    write(data.len(), level, &NODE, values)
}

/// A metarange's ranges, by column.
pub struct Node {
    ids: Buffer,
    pub firsts: Text,
    pub lasts: Text,
    pub counts: ScalarBuffer<i64>,
    pub sizes_bytes: ScalarBuffer<i64>,
    /// 0 or 1.
    pub fallbacks: Vec<u8>,
}

impl Node {
    pub fn ids(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.ids.chunks_exact(ID_BYTES)
    }
}

/// The ranges of a metarange file, which are those that `id` names.
pub fn decode_node(level: u8, data: &[u8], id: &[u8]) -> std::result::Result<Node, Unreadable> {
    let mut columns = read(data, level, &NODE)?.1.into_iter();
    let mut next = || columns.next().expect("as many columns as were asked for");
    let kind = || Invalid::new("a column of another kind");
    let node = Node {
        ids: next().fixed().ok_or_else(kind)?,
        firsts: next().text().ok_or_else(kind)?,
        lasts: next().text().ok_or_else(kind)?,
        counts: next().numbers().ok_or_else(kind)?,
        sizes_bytes: next().numbers().ok_or_else(kind)?,
        fallbacks: next().flags().ok_or_else(kind)?,
    };
    if ids::hash_node(
        level,
        &node.ids,
        &node.firsts,
        &node.lasts,
        &node.counts,
        &node.sizes_bytes,
    ) != *id
    {
        return Err(Unreadable::Damaged("it does not hash to its name".into()));
    }
    Ok(node)
}
