//! A column of texts: Arrow's offsets and bytes, without nulls.

use arrow_buffer::{Buffer, ScalarBuffer};

use crate::{Invalid, Result};

/// A run of rows copied from one of several sources.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub source: usize,
    pub start: usize,
    pub len: usize,
}

/// Adds a run, joining it to the last one when it continues it.
pub fn push_run(runs: &mut Vec<Run>, source: usize, start: usize, len: usize) {
    if len == 0 {
        return;
    }
    if let Some(last) = runs.last_mut()
        && last.source == source
        && last.start + last.len == start
    {
        last.len += len;
        return;
    }
    runs.push(Run { source, start, len });
}

/// Texts by row. A slice shares its parent's buffers, so the first offset need not be 0.
#[derive(Clone, Debug)]
pub struct Text {
    offsets: ScalarBuffer<i32>,
    data: Buffer,
}

impl Text {
    /// `offsets` holds one more value than there are rows.
    pub fn new(offsets: ScalarBuffer<i32>, data: Buffer) -> Self {
        debug_assert!(!offsets.is_empty());
        Text { offsets, data }
    }

    pub fn from_texts<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        let mut data = Vec::new();
        offsets.push(0i32);
        for text in texts {
            data.extend_from_slice(text);
            offsets.push(to_offset(data.len())?);
        }
        Ok(Text::new(offsets.into(), Buffer::from_vec(data)))
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn offsets(&self) -> &ScalarBuffer<i32> {
        &self.offsets
    }

    pub fn data(&self) -> &Buffer {
        &self.data
    }

    #[inline]
    pub fn get(&self, row: usize) -> &[u8] {
        &self.data.as_slice()[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    #[inline]
    pub fn length(&self, row: usize) -> usize {
        (self.offsets[row + 1] - self.offsets[row]) as usize
    }

    /// The bytes of all rows, without gaps.
    pub fn bytes(&self) -> &[u8] {
        let first = self.offsets[0] as usize;
        let last = self.offsets[self.len()] as usize;
        &self.data.as_slice()[first..last]
    }

    /// Whether `len` rows are those of another column, from `start` and `other` on.
    pub fn is_run_equal(&self, start: usize, texts: &Text, other: usize, len: usize) -> bool {
        let ours = &self.offsets[start..=start + len];
        let theirs = &texts.offsets[other..=other + len];
        let (first, second) = (ours[0], theirs[0]);
        // Without an early end, so that it runs over many at a time.
        let is_same = |same, (one, two): (&i32, &i32)| same & (one - first == two - second);
        ours.iter().zip(theirs).fold(true, is_same)
            && self.data.as_slice()[first as usize..ours[len] as usize]
                == texts.data.as_slice()[second as usize..theirs[len] as usize]
    }

    pub fn slice(&self, start: usize, len: usize) -> Self {
        Text {
            offsets: self.offsets.slice(start, len + 1),
            data: self.data.clone(),
        }
    }

    /// First row at or after `from` whose text is not below `wanted`; rows are sorted.
    pub fn lower_bound(&self, from: usize, wanted: &[u8]) -> usize {
        self.bound(from, |text| text < wanted)
    }

    /// First row at or after `from` whose text is above `wanted`; rows are sorted.
    pub fn upper_bound(&self, from: usize, wanted: &[u8]) -> usize {
        self.bound(from, |text| text <= wanted)
    }

    // Steps double from `from` on, so that a near answer costs little and a far one log n.
    fn bound(&self, from: usize, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let len = self.len();
        let mut low = from;
        let mut step = 1;
        let mut high = from;
        while high < len && is_before(self.get(high)) {
            low = high + 1;
            high = (high + step).min(len);
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Copies runs of rows into a new column.
    pub fn gather(sources: &[&Text], runs: &[Run]) -> Result<Self> {
        let rows: usize = runs.iter().map(|run| run.len).sum();
        let size: usize = runs
            .iter()
            .map(|run| {
                let offsets = &sources[run.source].offsets;
                (offsets[run.start + run.len] - offsets[run.start]) as usize
            })
            .sum();
        to_offset(size)?;
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut data = Vec::with_capacity(size);
        offsets.push(0i32);
        for run in runs {
            let column = sources[run.source];
            let first = column.offsets[run.start];
            let last = column.offsets[run.start + run.len];
            let shift = data.len() as i32 - first;
            let ends = &column.offsets[run.start + 1..=run.start + run.len];
            offsets.extend(ends.iter().map(|end| end + shift));
            data.extend_from_slice(&column.data.as_slice()[first as usize..last as usize]);
        }
        Ok(Text::new(offsets.into(), Buffer::from_vec(data)))
    }
}

/// Offsets are 32 bits wide: columns past 2 GiB are refused, never wrapped.
fn to_offset(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(|_| Invalid::new("a column of texts exceeds 2 GiB"))
}
