//! CSV as Doris reads it.
//!
//! A line ends at the delimiter, or at the end of the file; empty lines are no rows; a carriage
//! return before a `\n` delimiter belongs to it. Columns are divided by the separator, both of any
//! length. `\N` is NULL. A value that begins with the enclosing byte goes to the next one that is
//! neither escaped nor doubled, over separators and delimiters. A line that has another number of
//! columns, or is not UTF-8, is no row and is told apart.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StructArray};
use arrow_schema::{DataType, Field, Fields};
use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

use crate::Invalid;
use crate::texts::Texts;

const NULL_TEXT: &[u8] = b"\\N";
const BOM: &[u8] = b"\xEF\xBB\xBF";

pub struct Rules {
    pub columns: usize,
    pub separator: Vec<u8>,
    pub delimiter: Vec<u8>,
    pub enclose: Option<u8>,
    pub escape: Option<u8>,
    pub trims_quotes: bool,
    pub skip_lines: u64,
    pub line_bytes_max: usize,
    /// Bad lines that are kept with their text, and how much of it.
    pub bad_max: usize,
    pub bad_bytes_max: usize,
}

/// A line that is no row: the number its row would have, its columns (None: not UTF-8), its text.
#[derive(Debug, PartialEq, Eq)]
pub struct Bad {
    pub row: i64,
    pub columns: Option<usize>,
    pub line: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    is_enclosed: bool,
}

/// Where a line ends, and where the next one begins.
struct Line {
    end: usize,
    next: usize,
}

pub struct Splitter {
    rules: Rules,
    separator: Finder<'static>,
    delimiter: Finder<'static>,
    is_separator_text: bool,
    fields: Fields,
    columns: Vec<Texts>,
    rows: Vec<i64>,
    next_row: i64,
    pending: Vec<u8>,
    spans: Vec<Span>,
    skips: u64,
    is_begun: bool,
    bad_count: u64,
    bad_kept: usize,
    bad: Vec<Bad>,
}

impl Splitter {
    pub fn new(rules: Rules, first_row: i64) -> Result<Self, Invalid> {
        if rules.separator.is_empty() || rules.delimiter.is_empty() {
            return Err(Invalid("a separator and a delimiter are not empty".into()));
        }
        if rules.separator == rules.delimiter {
            return Err(Invalid("separator and delimiter are the same".into()));
        }
        if rules.columns == 0 {
            return Err(Invalid("a file has at least one column".into()));
        }
        let mut fields: Vec<Field> = (0..rules.columns)
            .map(|index| Field::new(format!("f{index}"), DataType::Utf8, true))
            .collect();
        fields.push(Field::new("row", DataType::Int64, false));
        Ok(Splitter {
            separator: Finder::new(&rules.separator).into_owned(),
            delimiter: Finder::new(&rules.delimiter).into_owned(),
            is_separator_text: std::str::from_utf8(&rules.separator).is_ok(),
            fields: Fields::from(fields),
            columns: (0..rules.columns).map(|_| Texts::default()).collect(),
            rows: Vec::new(),
            next_row: first_row,
            pending: Vec::new(),
            spans: Vec::new(),
            skips: rules.skip_lines,
            is_begun: false,
            bad_count: 0,
            bad_kept: 0,
            bad: Vec::new(),
            rules,
        })
    }

    /// The number that the next row will have.
    pub fn next_row(&self) -> i64 {
        self.next_row
    }

    pub fn bad_count(&self) -> u64 {
        self.bad_count
    }

    /// Take the next bytes of the file; return the rows that end in them.
    pub fn feed(&mut self, data: &[u8]) -> Result<(StructArray, Vec<Bad>), Invalid> {
        if self.pending.is_empty() {
            let used = self.split(data, false)?;
            self.pending.extend_from_slice(&data[used..]);
        } else {
            self.pending.extend_from_slice(data);
            let whole = std::mem::take(&mut self.pending);
            let used = self.split(&whole, false)?;
            self.pending = whole;
            self.pending.drain(..used);
        }
        if self.pending.len() > self.rules.line_bytes_max {
            let most = self.rules.line_bytes_max;
            return Err(Invalid(format!("a line is longer than {most} bytes")));
        }
        self.take()
    }

    /// Take the end of the file; return the rest of its rows.
    pub fn finish(&mut self) -> Result<(StructArray, Vec<Bad>), Invalid> {
        let whole = std::mem::take(&mut self.pending);
        self.split(&whole, true)?;
        self.take()
    }

    fn take(&mut self) -> Result<(StructArray, Vec<Bad>), Invalid> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len() + 1);
        for column in &mut self.columns {
            arrays.push(column.take()?);
        }
        arrays.push(Arc::new(Int64Array::from(std::mem::take(&mut self.rows))));
        let batch = StructArray::try_new(self.fields.clone(), arrays, None)
            .map_err(|error| Invalid(error.to_string()))?;
        Ok((batch, std::mem::take(&mut self.bad)))
    }

    /// Split what is complete in `data`; return how many bytes that was.
    fn split(&mut self, data: &[u8], is_last: bool) -> Result<usize, Invalid> {
        let mut at = 0;
        if !self.is_begun {
            if data.len() < BOM.len() && !is_last {
                return Ok(0);
            }
            self.is_begun = true;
            if data.starts_with(BOM) {
                at = BOM.len();
            }
        }
        // A file is text nearly always: then one look is enough for all lines.
        let is_text = self.is_separator_text && std::str::from_utf8(&data[at..]).is_ok();
        while at < data.len() {
            self.spans.clear();
            let Some(line) = self.line(data, at, is_last) else {
                break;
            };
            let start = std::mem::replace(&mut at, line.next);
            if self.skips > 0 {
                self.skips -= 1;
            } else if line.end > start {
                self.row(data, start, line.end, is_text);
            }
        }
        Ok(at)
    }

    /// Find the line that begins at `start` and its columns, None if it is not complete.
    fn line(&mut self, data: &[u8], start: usize, is_last: bool) -> Option<Line> {
        if self.rules.enclose.is_some() {
            return self.enclosed_line(data, start, is_last);
        }
        if let ([separator], [delimiter]) = (&self.rules.separator[..], &self.rules.delimiter[..]) {
            return quick_line(
                &mut self.spans,
                (*separator, *delimiter),
                data,
                start,
                is_last,
            );
        }
        let (end, next) = match self.delimiter.find(&data[start..]) {
            Some(found) => (start + found, start + found + self.rules.delimiter.len()),
            None if is_last => (data.len(), data.len()),
            None => return None,
        };
        let end = without_return(data, start, end, &self.rules.delimiter);
        let mut at = start;
        while let Some(found) = self.separator.find(&data[at..end]) {
            push(&mut self.spans, at, at + found);
            at += found + self.rules.separator.len();
        }
        push(&mut self.spans, at, end);
        Some(Line { end, next })
    }

    fn enclosed_line(&mut self, data: &[u8], start: usize, is_last: bool) -> Option<Line> {
        let enclose = self.rules.enclose?;
        let (separator, delimiter) = (&self.rules.separator, &self.rules.delimiter);
        let (mut field, mut at) = (start, start);
        let mut closed = None; // the place after the byte that closes the field
        loop {
            if at == field && data.get(at) == Some(&enclose) {
                match closing(data, at + 1, enclose, self.rules.escape) {
                    // A byte to come may double the last one.
                    Closing::At(found) if found + 1 == data.len() && !is_last => return None,
                    Closing::At(found) => {
                        at = found + 1;
                        closed = Some(at);
                    }
                    Closing::Never if !is_last => return None,
                    Closing::Never => at = data.len(),
                }
            }
            let rest = &data[at..];
            // At the end of what came so far, a separator or delimiter may have begun.
            if !is_last && rest.len() < separator.len().max(delimiter.len()) {
                return None;
            }
            if rest.is_empty() || rest.starts_with(delimiter) {
                let end = without_return(data, field, at, delimiter);
                let is_enclosed = closed == Some(end);
                self.spans.push(Span {
                    start: field,
                    end,
                    is_enclosed,
                });
                let next = data.len().min(at + delimiter.len());
                return Some(Line { end, next });
            }
            if rest.starts_with(separator) {
                let is_enclosed = closed.take() == Some(at);
                self.spans.push(Span {
                    start: field,
                    end: at,
                    is_enclosed,
                });
                at += separator.len();
                field = at;
            } else {
                at += 1;
            }
        }
    }

    fn row(&mut self, data: &[u8], start: usize, end: usize, is_text: bool) {
        let row = self.next_row;
        self.next_row += 1;
        let is_valid = is_text
            || if self.is_separator_text {
                std::str::from_utf8(&data[start..end]).is_ok()
            } else {
                let spans = &self.spans;
                spans
                    .iter()
                    .all(|span| std::str::from_utf8(&data[span.start..span.end]).is_ok())
            };
        if !is_valid || self.spans.len() != self.rules.columns {
            self.bad_count += 1;
            if self.bad_kept < self.rules.bad_max {
                self.bad_kept += 1;
                let shown = &data[start..end.min(start + self.rules.bad_bytes_max)];
                let columns = is_valid.then_some(self.spans.len());
                self.bad.push(Bad {
                    row,
                    columns,
                    line: shown.to_vec(),
                });
            }
            return;
        }
        self.rows.push(row);
        for (column, span) in self.columns.iter_mut().zip(&self.spans) {
            let value = &data[span.start..span.end];
            if span.is_enclosed {
                unescape(column, value, self.rules.enclose, self.rules.escape);
            } else if value == NULL_TEXT {
                column.push_null();
            } else {
                column.push(if self.rules.trims_quotes {
                    unquoted(value)
                } else {
                    value
                });
            }
        }
    }
}

fn push(spans: &mut Vec<Span>, start: usize, end: usize) {
    spans.push(Span {
        start,
        end,
        is_enclosed: false,
    });
}

fn without_return(data: &[u8], start: usize, end: usize, delimiter: &[u8]) -> usize {
    if delimiter == b"\n" && end > start && data[end - 1] == b'\r' {
        end - 1
    } else {
        end
    }
}

fn quick_line(
    spans: &mut Vec<Span>,
    (separator, delimiter): (u8, u8),
    data: &[u8],
    start: usize,
    is_last: bool,
) -> Option<Line> {
    let mut at = start;
    loop {
        let Some(found) = memchr2(separator, delimiter, &data[at..]) else {
            if !is_last {
                return None;
            }
            let end = without_return(data, at, data.len(), &[delimiter]);
            push(spans, at, end);
            return Some(Line {
                end,
                next: data.len(),
            });
        };
        let place = at + found;
        if data[place] == delimiter {
            let end = without_return(data, at, place, &[delimiter]);
            push(spans, at, end);
            return Some(Line {
                end,
                next: place + 1,
            });
        }
        push(spans, at, place);
        at = place + 1;
    }
}

enum Closing {
    At(usize),
    Never,
}

/// Find the byte that closes what was opened before `at`: neither escaped nor doubled.
fn closing(data: &[u8], mut at: usize, enclose: u8, escape: Option<u8>) -> Closing {
    let escape = escape.filter(|escape| *escape != enclose);
    loop {
        let rest = data.get(at..).unwrap_or_default();
        let found = match escape {
            Some(escape) => memchr2(enclose, escape, rest),
            None => memchr(enclose, rest),
        };
        let Some(found) = found else {
            return Closing::Never;
        };
        let place = at + found;
        if data[place] != enclose || data.get(place + 1) == Some(&enclose) {
            at = place + 2;
        } else {
            return Closing::At(place);
        }
    }
}

/// Append an enclosed value without what encloses and escapes.
fn unescape(column: &mut Texts, value: &[u8], enclose: Option<u8>, escape: Option<u8>) {
    let inner = &value[1..value.len() - 1];
    let Some(enclose) = enclose else { return };
    let is_special = |byte: u8| byte == enclose || Some(byte) == escape;
    let out = column.bytes();
    let mut at = 0;
    while at < inner.len() {
        let byte = inner[at];
        if is_special(byte) && inner.get(at + 1).is_some_and(|next| is_special(*next)) {
            at += 1;
        }
        out.push(inner[at]);
        at += 1;
    }
    column.end();
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;

    fn rules(columns: usize) -> Rules {
        Rules {
            columns,
            separator: b",".to_vec(),
            delimiter: b"\n".to_vec(),
            enclose: None,
            escape: None,
            trims_quotes: false,
            skip_lines: 0,
            line_bytes_max: 1 << 20,
            bad_max: 10,
            bad_bytes_max: 100,
        }
    }

    fn read(rules: Rules, data: &[u8], step: usize) -> (Vec<Vec<Option<String>>>, Vec<Bad>) {
        let count = rules.columns;
        let mut splitter = Splitter::new(rules, 0).unwrap();
        let (mut rows, mut bad) = (Vec::new(), Vec::new());
        let mut parts: Vec<_> = data
            .chunks(step)
            .map(|part| splitter.feed(part).unwrap())
            .collect();
        parts.push(splitter.finish().unwrap());
        for (batch, found) in parts {
            bad.extend(found);
            for row in 0..batch.len() {
                let value = |index: usize| {
                    let column = batch.column(index).as_string::<i32>();
                    column.is_valid(row).then(|| column.value(row).to_string())
                };
                rows.push((0..count).map(value).collect());
            }
        }
        (rows, bad)
    }

    #[test]
    fn pieces_do_not_matter() {
        let data = b"a,\\N\r\n\nb,\"c,\n\"\"d\"\nonly\n\"e\",f";
        for step in 1..data.len() {
            let plain = Rules {
                enclose: Some(b'"'),
                ..rules(2)
            };
            let (rows, bad) = read(plain, data, step);
            let texts: Vec<String> = rows.iter().flatten().flatten().cloned().collect();
            assert_eq!(texts, ["a", "b", "c,\n\"d", "e", "f"], "{step}");
            assert_eq!(bad.len(), 1);
            assert_eq!((bad[0].row, bad[0].columns), (2, Some(1)));
        }
    }
}
