//! Rows of one column, gathered from its pages.

use std::ops::Range;

use arrow_buffer::Buffer;

use super::thrift::damaged;
use super::{Kind, Values, code, delta};
use crate::text::Text;
use crate::{Invalid, Result};

/// The rows of a column read so far.
pub struct Column {
    kind: Kind,
    rows: usize,
    offsets: Vec<i32>,
    /// Texts and fixed bytes; flags as a byte each.
    bytes: Vec<u8>,
    numbers: Vec<i64>,
    dictionary: Option<Box<Column>>,
}

fn bytes_at(data: &[u8], range: Range<usize>) -> Result<&[u8]> {
    data.get(range).ok_or_else(damaged)
}

fn length_at(data: &[u8], at: usize) -> Result<usize> {
    let bytes = bytes_at(data, at..at + 4)?;
    Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize)
}

impl Column {
    pub fn new(kind: Kind, capacity: usize) -> Self {
        let mut offsets = Vec::new();
        if kind == Kind::Text {
            offsets.reserve_exact(capacity + 1);
            offsets.push(0);
        }
        Column {
            kind,
            rows: 0,
            offsets,
            bytes: Vec::new(),
            numbers: Vec::new(),
            dictionary: None,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn finish(self) -> Values {
        match self.kind {
            Kind::Text => {
                Values::Text(Text::new(self.offsets.into(), Buffer::from_vec(self.bytes)))
            }
            Kind::Fixed(_) => Values::Fixed(Buffer::from_vec(self.bytes)),
            Kind::Number | Kind::Time => Values::Numbers(self.numbers.into()),
            Kind::Flag => Values::Flags(self.bytes),
        }
    }

    /// Takes a dictionary page, for data pages that follow.
    pub fn add_dictionary(&mut self, data: &[u8], rows: usize) -> Result<()> {
        let mut dictionary = Column::new(self.kind, 0);
        dictionary.add(data, rows, code::PLAIN)?;
        self.dictionary = Some(Box::new(dictionary));
        Ok(())
    }

    /// Takes a data page of `rows` rows.
    pub fn add(&mut self, data: &[u8], rows: usize, encoding: i64) -> Result<()> {
        match (encoding, self.kind) {
            (code::PLAIN, Kind::Text) => self.add_plain_texts(data, rows)?,
            (code::PLAIN, Kind::Fixed(width)) => {
                let size = rows.checked_mul(width).ok_or_else(damaged)?;
                self.bytes.extend_from_slice(bytes_at(data, 0..size)?);
            }
            (code::PLAIN, Kind::Number | Kind::Time) => {
                let size = rows.checked_mul(8).ok_or_else(damaged)?;
                let numbers = bytes_at(data, 0..size)?.chunks_exact(8);
                self.numbers.extend(
                    numbers.map(|bytes| i64::from_le_bytes(bytes.try_into().expect("eight bytes"))),
                );
            }
            (code::PLAIN, Kind::Flag) => {
                let bits = bytes_at(data, 0..rows.div_ceil(8))?;
                self.bytes
                    .extend((0..rows).map(|row| bits[row / 8] >> (row % 8) & 1));
            }
            (code::RLE, Kind::Flag) => {
                let size = length_at(data, 0)?;
                let end = size.checked_add(4).ok_or_else(damaged)?;
                let flags = hybrid(bytes_at(data, 4..end)?, 1, rows)?;
                self.bytes.extend(flags.into_iter().map(|flag| flag as u8));
            }
            (code::DELTA_BINARY_PACKED, Kind::Number | Kind::Time) => {
                let (numbers, _) = counted(data, rows)?;
                if self.numbers.is_empty() {
                    self.numbers = numbers;
                } else {
                    self.numbers.extend(numbers);
                }
            }
            (code::DELTA_LENGTH, Kind::Text) => self.add_lengths_and_texts(data, rows)?,
            (code::DELTA_TEXTS, Kind::Text) => self.add_texts_with_prefixes(data, rows)?,
            (code::RLE_DICTIONARY | code::PLAIN_DICTIONARY, _) => self.add_indexes(data, rows)?,
            _ => return Err(Invalid::new("a column has an encoding that is not read")),
        }
        self.rows += rows;
        Ok(())
    }

    fn end_text(&mut self) -> Result<()> {
        let end = i32::try_from(self.bytes.len());
        self.offsets
            .push(end.map_err(|_| Invalid::new("a column of texts exceeds 2 GiB"))?);
        Ok(())
    }

    fn add_plain_texts(&mut self, data: &[u8], rows: usize) -> Result<()> {
        let mut at = 0usize;
        for _ in 0..rows {
            let end = (at + 4)
                .checked_add(length_at(data, at)?)
                .ok_or_else(damaged)?;
            self.bytes.extend_from_slice(bytes_at(data, at + 4..end)?);
            self.end_text()?;
            at = end;
        }
        Ok(())
    }

    fn add_lengths_and_texts(&mut self, data: &[u8], rows: usize) -> Result<()> {
        let (lengths, at) = counted(data, rows)?;
        let mut end = self.bytes.len() as i64;
        for length in &lengths {
            if *length < 0 {
                return Err(damaged());
            }
            end = end.saturating_add(*length);
        }
        // The largest one fits, so that all do.
        i32::try_from(end).map_err(|_| damaged())?;
        let size = end as usize - self.bytes.len();
        let mut end = self.bytes.len() as i32;
        self.offsets.extend(lengths.iter().map(|length| {
            end += *length as i32;
            end
        }));
        self.bytes.reserve_exact(size);
        self.bytes.extend_from_slice(bytes_at(data, at..at + size)?);
        Ok(())
    }

    fn add_texts_with_prefixes(&mut self, data: &[u8], rows: usize) -> Result<()> {
        let (prefixes, at) = counted(data, rows)?;
        let (lengths, taken) = counted(&data[at..], rows)?;
        let mut rest = &data[at + taken..];
        let total: i64 = prefixes
            .iter()
            .chain(&lengths)
            .fold(0, |sum, one| sum.saturating_add(*one));
        self.bytes
            .reserve_exact(usize::try_from(total.min(i64::from(i32::MAX))).map_err(|_| damaged())?);
        // The text before the page's first one is empty.
        let mut last = self.bytes.len()..self.bytes.len();
        for (prefix, length) in prefixes.into_iter().zip(lengths) {
            let prefix = usize::try_from(prefix).map_err(|_| damaged())?;
            let length = usize::try_from(length).map_err(|_| damaged())?;
            if prefix > last.len() {
                return Err(damaged());
            }
            let (suffix, left) = rest.split_at_checked(length).ok_or_else(damaged)?;
            let start = self.bytes.len();
            self.bytes
                .extend_from_within(last.start..last.start + prefix);
            self.bytes.extend_from_slice(suffix);
            self.end_text()?;
            rest = left;
            last = start..self.bytes.len();
        }
        Ok(())
    }

    fn add_indexes(&mut self, data: &[u8], rows: usize) -> Result<()> {
        let dictionary = self.dictionary.take().ok_or_else(damaged)?;
        let width = u32::from(*data.first().ok_or_else(damaged)?);
        for index in hybrid(&data[1..], width, rows)? {
            let row = index as usize;
            if row >= dictionary.rows {
                return Err(damaged());
            }
            match self.kind {
                Kind::Text => {
                    let text =
                        dictionary.offsets[row] as usize..dictionary.offsets[row + 1] as usize;
                    self.bytes.extend_from_slice(&dictionary.bytes[text]);
                    self.end_text()?;
                }
                Kind::Fixed(width) => {
                    let value = &dictionary.bytes[row * width..(row + 1) * width];
                    self.bytes.extend_from_slice(value);
                }
                Kind::Number | Kind::Time => self.numbers.push(dictionary.numbers[row]),
                Kind::Flag => self.bytes.push(dictionary.bytes[row]),
            }
        }
        self.dictionary = Some(dictionary);
        Ok(())
    }
}

fn counted(data: &[u8], rows: usize) -> Result<(Vec<i64>, usize)> {
    let (numbers, taken) = delta::decode(data)?;
    if numbers.len() != rows {
        return Err(damaged());
    }
    Ok((numbers, taken))
}

/// Runs of equal numbers and bit-packed ones, mixed, as dictionaries' indexes are stored.
fn hybrid(data: &[u8], width: u32, rows: usize) -> Result<Vec<u64>> {
    if width > 32 {
        return Err(damaged());
    }
    let mut out = Vec::with_capacity(rows);
    let mut at = 0;
    let value_bytes = width.div_ceil(8) as usize;
    while out.len() < rows {
        let mut head = 0u64;
        for shift in (0..).step_by(7) {
            let byte = *data.get(at).ok_or_else(damaged)?;
            if shift > 56 {
                return Err(damaged());
            }
            at += 1;
            head |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let count = usize::try_from(head >> 1).map_err(|_| damaged())?;
        if head & 1 == 0 {
            let bytes = bytes_at(data, at..at + value_bytes)?;
            let value = bytes
                .iter()
                .rev()
                .fold(0, |value, byte| value << 8 | u64::from(*byte));
            out.resize(out.len() + count.min(rows - out.len()), value);
            at += value_bytes;
        } else {
            let size = count.checked_mul(width as usize).ok_or_else(damaged)?;
            let wanted = count.saturating_mul(8).min(rows - out.len());
            // A writer may leave out the padding of the last run.
            let end = at.saturating_add(size).min(data.len());
            let bytes = &data[at..end];
            if (wanted * width as usize).div_ceil(8) > bytes.len() {
                return Err(damaged());
            }
            if width == 0 {
                out.resize(out.len() + wanted, 0);
            } else {
                delta::unpack(bytes, width, wanted, |number| out.push(number));
            }
            at = end;
        }
        if count == 0 {
            return Err(damaged());
        }
    }
    Ok(out)
}
