//! What differs between two sides, by content.

use arrow_buffer::Buffer;
use arrow_data::ArrayData;
use arrow_schema::DataType;

use crate::arrow;
use crate::entries::{Entries, is_equal, is_same, require_plain};
use crate::ids::IDENTITY_BYTES;
use crate::merge::next_rows;
use crate::text::{Run, push_run};
use crate::{Invalid, Result, threads};

/// What became of a path between two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unchanged = 0,
    Added = 1,
    Removed = 2,
    Changed = 3,
}

impl Kind {
    /// The kind by presence alone: a path on both sides counts as changed.
    pub fn of(before: Option<usize>, after: Option<usize>) -> Kind {
        match (before, after) {
            (None, None) => Kind::Unchanged,
            (None, Some(_)) => Kind::Added,
            (Some(_), None) => Kind::Removed,
            (Some(_), Some(_)) => Kind::Changed,
        }
    }
}

struct Found {
    runs: Vec<Run>,
    kinds: Vec<i8>,
    left_sizes: Vec<i64>,
    right_sizes: Vec<i64>,
}

fn compare(left: &Entries, right: &Entries) -> Found {
    let mut found = Found {
        runs: Vec::new(),
        kinds: Vec::new(),
        left_sizes: Vec::new(),
        right_sizes: Vec::new(),
    };
    let (mut l, mut r) = (0, 0);
    while l < left.len() || r < right.len() {
        let (before, after) = next_rows(left, l, right, r);
        l += usize::from(before.is_some());
        r += usize::from(after.is_some());
        if let (Some(at), Some(other)) = (before, after)
            && is_same(left, at, right, other)
        {
            continue;
        }
        match (before, after) {
            (_, Some(row)) => push_run(&mut found.runs, 1, row, 1),
            (Some(row), None) => push_run(&mut found.runs, 0, row, 1),
            (None, None) => continue,
        }
        found.kinds.push(Kind::of(before, after) as i8);
        found
            .left_sizes
            .push(before.map_or(0, |row| left.size_bytes[row]));
        found
            .right_sizes
            .push(after.map_or(0, |row| right.size_bytes[row]));
    }
    found
}

/// Differences of aligned pairs of sides, in order: kind, size on each side (0 where absent), and
/// the right row, or the left one of a removed path.
pub fn diff(pairs: &[(Entries, Entries)]) -> Result<ArrayData> {
    let found = threads::map(pairs, rows_of, |(left, right)| compare(left, right));
    let sources: Vec<&Entries> = pairs
        .iter()
        .flat_map(|(left, right)| [left, right])
        .collect();
    let (mut runs, mut kinds) = (Vec::new(), Vec::new());
    let (mut left_sizes, mut right_sizes) = (Vec::new(), Vec::new());
    for (pair, part) in found.into_iter().enumerate() {
        runs.extend(part.runs.into_iter().map(|run| Run {
            source: 2 * pair + run.source,
            ..run
        }));
        kinds.extend(part.kinds);
        left_sizes.extend(part.left_sizes);
        right_sizes.extend(part.right_sizes);
    }
    let rows = Entries::gather(&sources, &runs, None)?;
    let mut columns = vec![
        ("kind", arrow::byte_array(kinds)),
        (
            "left_size_bytes",
            arrow::number_array(DataType::Int64, &left_sizes.into()),
        ),
        (
            "right_size_bytes",
            arrow::number_array(DataType::Int64, &right_sizes.into()),
        ),
    ];
    columns.extend(arrow::entry_columns(&rows));
    Ok(arrow::batch(rows.len(), columns))
}

/// The columns of a diff before those of its rows.
const HEAD_COLUMNS: usize = 3;

/// Differences as `diff` gives them, or some of them in a row.
pub struct Differences {
    kinds: Buffer,
    pub rows: Entries,
}

impl Differences {
    /// Reads the columns of `diff`; the rows may be a slice of its.
    pub fn from_arrow(data: &ArrayData) -> Result<Self> {
        let columns = arrow::columns(data)?;
        let kinds = match columns.first() {
            Some((name, child))
                if name == "kind"
                    && child.data_type() == &DataType::Int8
                    && columns.len() > HEAD_COLUMNS =>
            {
                arrow::to_fixed(child, 1)
            }
            _ => return Err(Invalid::new("columns are not those of a diff")),
        };
        if !kinds.iter().all(|kind| (1..=3).contains(kind)) {
            return Err(Invalid::new("a difference of no known kind"));
        }
        let rows = arrow::entries_of(&columns[HEAD_COLUMNS..])?;
        require_plain(&rows)?;
        Ok(Differences { kinds, rows })
    }

    pub fn kind(&self, row: usize) -> Kind {
        match self.kinds.as_slice()[row] {
            1 => Kind::Added,
            2 => Kind::Removed,
            _ => Kind::Changed,
        }
    }
}

const BLOCK_ROWS: usize = 256;

/// Whether `count` rows of each side are equal in every column.
fn are_equal(left: &Entries, at: usize, right: &Entries, other: usize, count: usize) -> bool {
    let bytes = |entries: &Entries, row: usize| {
        let all = row * IDENTITY_BYTES..(row + count) * IDENTITY_BYTES;
        entries.identity.slice_with_length(all.start, all.len())
    };
    bytes(left, at) == bytes(right, other)
        && left.mtime[at..at + count] == right.mtime[other..other + count]
        && left.size_bytes[at..at + count] == right.size_bytes[other..other + count]
        && left
            .texts()
            .iter()
            .zip(right.texts())
            .all(|(ours, theirs)| ours.is_run_equal(at, theirs, other, count))
}

/// The rows of two sides without those that both hold, equal in every column.
fn differing(left: &Entries, right: &Entries) -> Result<(Entries, Entries)> {
    let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
    let (mut l, mut r) = (0, 0);
    let mut block = BLOCK_ROWS;
    while l < left.len() || r < right.len() {
        // Sides that differ little are equal over long runs, which compare as memory.
        while block > 1 && l + block <= left.len() && r + block <= right.len() {
            if are_equal(left, l, right, r, block) {
                l += block;
                r += block;
            } else {
                block /= 2;
            }
        }
        block = if block > 1 { block / 2 } else { BLOCK_ROWS };
        if l >= left.len() && r >= right.len() {
            break;
        }
        let (before, after) = next_rows(left, l, right, r);
        l += usize::from(before.is_some());
        r += usize::from(after.is_some());
        if let (Some(at), Some(other)) = (before, after)
            && is_equal(left, at, right, other)
        {
            continue;
        }
        before.inspect(|row| push_run(&mut of_left, 0, *row, 1));
        after.inspect(|row| push_run(&mut of_right, 0, *row, 1));
    }
    Ok((
        Entries::gather(&[left], &of_left, None)?,
        Entries::gather(&[right], &of_right, None)?,
    ))
}

/// What differs between the sides of each pair, whole rows compared.
pub fn differing_many(pairs: &[(Entries, Entries)]) -> Result<Vec<(Entries, Entries)>> {
    threads::map(pairs, rows_of, |(left, right)| differing(left, right))
        .into_iter()
        .collect()
}

fn rows_of((left, right): &(Entries, Entries)) -> usize {
    left.len() + right.len()
}
