//! Entries as columns: what a range file holds and what staging changes.

use arrow_buffer::{Buffer, ScalarBuffer};

use crate::ids::IDENTITY_BYTES;
use crate::text::{Run, Text};
use crate::{Invalid, Result};

/// Rows sorted by path. `tombstone` has one byte for each row, 1 for a delete; absent when no row
/// can be one.
#[derive(Clone, Debug)]
pub struct Entries {
    pub path: Text,
    pub identity: Buffer,
    pub address: Text,
    pub checksum: Text,
    pub size_bytes: ScalarBuffer<i64>,
    pub mtime: ScalarBuffer<i64>,
    pub content_type: Text,
    pub metadata: Text,
    pub checksum2: Text,
    pub tombstone: Option<Buffer>,
}

impl Entries {
    pub fn len(&self) -> usize {
        self.path.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn identity(&self, row: usize) -> &[u8] {
        &self.identity.as_slice()[row * IDENTITY_BYTES..(row + 1) * IDENTITY_BYTES]
    }

    pub fn is_tombstone(&self, row: usize) -> bool {
        self.tombstone
            .as_ref()
            .is_some_and(|flags| flags.as_slice()[row] != 0)
    }

    pub fn slice(&self, start: usize, len: usize) -> Self {
        assert!(start + len <= self.len(), "slice past the last row");
        Entries {
            path: self.path.slice(start, len),
            identity: self
                .identity
                .slice_with_length(start * IDENTITY_BYTES, len * IDENTITY_BYTES),
            address: self.address.slice(start, len),
            checksum: self.checksum.slice(start, len),
            size_bytes: self.size_bytes.slice(start, len),
            mtime: self.mtime.slice(start, len),
            content_type: self.content_type.slice(start, len),
            metadata: self.metadata.slice(start, len),
            checksum2: self.checksum2.slice(start, len),
            tombstone: self
                .tombstone
                .as_ref()
                .map(|flags| flags.slice_with_length(start, len)),
        }
    }

    /// Row of `path`, if there is one.
    pub fn find(&self, path: &[u8]) -> Option<usize> {
        let row = self.path.lower_bound(0, path);
        (row < self.len() && self.path.get(row) == path).then_some(row)
    }

    /// Sum of the sizes of all objects.
    pub fn objects_bytes(&self) -> i64 {
        self.size_bytes.iter().sum()
    }

    /// Bytes of memory the rows use (a slice's share of its parent's buffers).
    pub fn memory_bytes(&self) -> usize {
        let texts = self
            .texts()
            .iter()
            .map(|text| text.bytes().len())
            .sum::<usize>();
        texts + self.len() * (6 * 4 + IDENTITY_BYTES + 2 * 8)
    }

    pub fn texts(&self) -> [&Text; 6] {
        [
            &self.path,
            &self.address,
            &self.checksum,
            &self.content_type,
            &self.metadata,
            &self.checksum2,
        ]
    }

    /// Whether every path is above the one before it, and the first above `after`.
    pub fn is_ascending(&self, after: Option<&[u8]>) -> bool {
        let mut last = after;
        for row in 0..self.len() {
            let path = self.path.get(row);
            if last.is_some_and(|last| last >= path) {
                return false;
            }
            last = Some(path);
        }
        true
    }

    /// Copies runs of rows into new columns; tombstones are kept when `flags` gives them.
    pub fn gather(sources: &[&Entries], runs: &[Run], tombstone: Option<Buffer>) -> Result<Self> {
        if let [run] = runs
            && tombstone.is_none()
            && run.start == 0
            && run.len == sources[run.source].len()
        {
            let mut whole = sources[run.source].clone();
            whole.tombstone = None;
            return Ok(whole);
        }
        let text = |column: fn(&Entries) -> &Text| {
            let columns: Vec<&Text> = sources.iter().map(|source| column(source)).collect();
            Text::gather(&columns, runs)
        };
        let numbers = |column: fn(&Entries) -> &ScalarBuffer<i64>| {
            let mut out: Vec<i64> = Vec::with_capacity(runs.iter().map(|run| run.len).sum());
            for run in runs {
                out.extend_from_slice(&column(sources[run.source])[run.start..run.start + run.len]);
            }
            ScalarBuffer::from(out)
        };
        let rows: usize = runs.iter().map(|run| run.len).sum();
        let mut identity = Vec::with_capacity(rows * IDENTITY_BYTES);
        for run in runs {
            let bytes = sources[run.source].identity.as_slice();
            identity.extend_from_slice(
                &bytes[run.start * IDENTITY_BYTES..(run.start + run.len) * IDENTITY_BYTES],
            );
        }
        Ok(Entries {
            path: text(|entries| &entries.path)?,
            identity: Buffer::from_vec(identity),
            address: text(|entries| &entries.address)?,
            checksum: text(|entries| &entries.checksum)?,
            size_bytes: numbers(|entries| &entries.size_bytes),
            mtime: numbers(|entries| &entries.mtime),
            content_type: text(|entries| &entries.content_type)?,
            metadata: text(|entries| &entries.metadata)?,
            checksum2: text(|entries| &entries.checksum2)?,
            tombstone,
        })
    }

    /// Rows of all parts, one after the other; tombstones are kept when any part has them.
    pub fn concat(parts: &[&Entries]) -> Result<Self> {
        if let [part] = parts {
            return Ok((*part).clone());
        }
        let runs: Vec<Run> = parts
            .iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty())
            .map(|(source, part)| Run {
                source,
                start: 0,
                len: part.len(),
            })
            .collect();
        let tombstone = parts.iter().any(|part| part.tombstone.is_some()).then(|| {
            let mut flags = Vec::new();
            for part in parts {
                match &part.tombstone {
                    Some(bytes) => flags.extend_from_slice(bytes.as_slice()),
                    None => flags.resize(flags.len() + part.len(), 0u8),
                }
            }
            Buffer::from_vec(flags)
        });
        Entries::gather(parts, &runs, tombstone)
    }
}

/// Whether two rows stand for equal content: the identity decides, and second checksums when both
/// rows have one by the same algorithm (the part before the colon).
pub fn is_same(left: &Entries, at: usize, right: &Entries, other: usize) -> bool {
    if left.identity(at) != right.identity(other) {
        return false;
    }
    let (ours, theirs) = (left.checksum2.get(at), right.checksum2.get(other));
    ours == theirs || ours.is_empty() || theirs.is_empty() || algorithm(ours) != algorithm(theirs)
}

fn algorithm(checksum: &[u8]) -> &[u8] {
    checksum
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or(checksum)
}

/// Whether two rows are equal in every column.
pub fn is_equal(left: &Entries, at: usize, right: &Entries, other: usize) -> bool {
    left.identity(at) == right.identity(other)
        && left.size_bytes[at] == right.size_bytes[other]
        && left.mtime[at] == right.mtime[other]
        && left
            .texts()
            .iter()
            .zip(right.texts())
            .all(|(ours, theirs)| ours.get(at) == theirs.get(other))
}

/// Refuses rows that hold tombstones where only entries have a meaning.
pub fn require_plain(entries: &Entries) -> Result<()> {
    match &entries.tombstone {
        Some(_) => Err(Invalid::new("tombstones where only entries are taken")),
        None => Ok(()),
    }
}
