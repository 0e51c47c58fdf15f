//! Pages as JSON, in the shapes of the REST API: object statistics, and lines of a diff.

use crate::diff::{Differences, Kind};
use crate::entries::Entries;
use crate::text::Text;

const SECOND_US: i64 = 1_000_000;
const ROW_BYTES: usize = 320;
const LINE_BYTES: usize = 128;
const DIGITS_MAX: usize = 20;

/// A JSON array with one object for each row. `namespace` goes before addresses that are relative.
pub fn stats_json(rows: &Entries, namespace: &[u8], with_metadata: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + rows.len() * ROW_BYTES);
    let mut namespace_text = Vec::with_capacity(namespace.len() + 1);
    escape(&mut namespace_text, namespace);
    namespace_text.push(b'/');
    let (paths, addresses) = (Column::of(&rows.path), Column::of(&rows.address));
    let checksums = Column::of(&rows.checksum);
    let content_types = Column::of(&rows.content_type);
    out.push(b'[');
    for row in 0..rows.len() {
        if row > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"path\":\"");
        paths.put(&mut out, row);
        out.extend_from_slice(b"\",\"path_type\":\"object\",\"physical_address\":\"");
        if !is_absolute(rows.address.get(row)) {
            out.extend_from_slice(&namespace_text);
        }
        addresses.put(&mut out, row);
        out.extend_from_slice(b"\",\"checksum\":\"");
        checksums.put(&mut out, row);
        out.extend_from_slice(b"\",\"mtime\":");
        put_number(&mut out, rows.mtime[row].div_euclid(SECOND_US));
        out.extend_from_slice(b",\"size_bytes\":");
        put_number(&mut out, rows.size_bytes[row]);
        out.extend_from_slice(b",\"content_type\":\"");
        content_types.put(&mut out, row);
        out.push(b'"');
        if with_metadata {
            put_metadata(&mut out, rows.metadata.get(row));
        }
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// A JSON array with one object for each difference, of all parts in a row. `with_right` adds what
/// is known of the right side, where there is one.
pub fn diffs_json(parts: &[Differences], with_right: bool) -> Vec<u8> {
    let rows: usize = parts.iter().map(|part| part.rows.len()).sum();
    let row_bytes = if with_right { ROW_BYTES } else { LINE_BYTES };
    let mut out = Vec::with_capacity(2 + rows * row_bytes);
    out.push(b'[');
    for part in parts {
        put_differences(&mut out, part, with_right);
    }
    out.push(b']');
    out
}

fn put_differences(out: &mut Vec<u8>, part: &Differences, with_right: bool) {
    let rows = &part.rows;
    let paths = Column::of(&rows.path);
    let checksums = Column::of(&rows.checksum);
    let content_types = Column::of(&rows.content_type);
    for row in 0..rows.len() {
        if out.len() > 1 {
            out.push(b',');
        }
        let kind = part.kind(row);
        out.extend_from_slice(match kind {
            Kind::Added => b"{\"type\":\"added\",\"path\":\"".as_slice(),
            Kind::Removed => b"{\"type\":\"removed\",\"path\":\"",
            Kind::Changed | Kind::Unchanged => b"{\"type\":\"changed\",\"path\":\"",
        });
        paths.put(out, row);
        out.extend_from_slice(b"\",\"path_type\":\"object\",\"size_bytes\":");
        put_number(out, rows.size_bytes[row]);
        if with_right && kind != Kind::Removed {
            out.extend_from_slice(b",\"right\":{\"checksum\":\"");
            checksums.put(out, row);
            out.extend_from_slice(b"\",\"mtime\":");
            put_number(out, rows.mtime[row].div_euclid(SECOND_US));
            out.extend_from_slice(b",\"content_type\":\"");
            content_types.put(out, row);
            out.push(b'"');
            put_metadata(out, rows.metadata.get(row));
            out.push(b'}');
        }
        out.push(b'}');
    }
}

fn put_metadata(out: &mut Vec<u8>, metadata: &[u8]) {
    if !metadata.is_empty() {
        // It is canonical JSON already.
        out.extend_from_slice(b",\"metadata\":");
        out.extend_from_slice(metadata);
    }
}

/// A column of texts, looked at once: mostly nothing in it is escaped.
struct Column<'a> {
    texts: &'a Text,
    is_plain: bool,
}

impl<'a> Column<'a> {
    fn of(texts: &'a Text) -> Self {
        // Without an early end, so that it runs over many bytes at a time.
        let is_plain = |so_far, byte: &u8| so_far & !is_escaped(*byte);
        Column {
            texts,
            is_plain: texts.bytes().iter().fold(true, is_plain),
        }
    }

    fn put(&self, out: &mut Vec<u8>, row: usize) {
        let text = self.texts.get(row);
        if self.is_plain {
            out.extend_from_slice(text);
        } else {
            escape(out, text);
        }
    }
}

/// Whether an address is a URI of its own.
pub fn is_absolute(address: &[u8]) -> bool {
    address.windows(3).any(|part| part == b"://")
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    let mut text = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    let mut rest = number.unsigned_abs();
    loop {
        start -= 1;
        text[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&text[start..]);
}

fn is_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        if !is_escaped(*byte) {
            continue;
        }
        out.extend_from_slice(&text[start..at]);
        start = at + 1;
        let short = match byte {
            b'"' | b'\\' => *byte,
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&text[start..]);
}
