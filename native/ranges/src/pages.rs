//! Pages of a listing as JSON, in the shape of the REST API's object statistics.

use std::io::Write;

use crate::entries::Entries;
use crate::{Invalid, Result};

const SECOND_US: i64 = 1_000_000;

/// A JSON array with one object for each row. `namespace` goes before addresses that are relative.
pub fn stats_json(rows: &Entries, namespace: &[u8], with_metadata: bool) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(2 + rows.len() * 320);
    out.push(b'[');
    for row in 0..rows.len() {
        if row > 0 {
            out.push(b',');
        }
        put_text(&mut out, b"{\"path\":", rows.path.get(row));
        out.extend_from_slice(b",\"path_type\":\"object\",\"physical_address\":\"");
        let address = rows.address.get(row);
        if !is_absolute(address) {
            escape(&mut out, namespace);
            out.push(b'/');
        }
        escape(&mut out, address);
        put_text(&mut out, b"\",\"checksum\":", rows.checksum.get(row));
        let mtime = rows.mtime[row].div_euclid(SECOND_US);
        write!(
            out,
            ",\"mtime\":{mtime},\"size_bytes\":{}",
            rows.size_bytes[row]
        )
        .map_err(|_| Invalid::new("a page could not be written"))?;
        put_text(&mut out, b",\"content_type\":", rows.content_type.get(row));
        let metadata = rows.metadata.get(row);
        if with_metadata && !metadata.is_empty() {
            // It is canonical JSON already.
            out.extend_from_slice(b",\"metadata\":");
            out.extend_from_slice(metadata);
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(out)
}

/// Whether an address is a URI of its own.
pub fn is_absolute(address: &[u8]) -> bool {
    address.windows(3).any(|part| part == b"://")
}

fn put_text(out: &mut Vec<u8>, name: &[u8], text: &[u8]) {
    out.extend_from_slice(name);
    out.push(b'"');
    escape(out, text);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, text: &[u8]) {
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
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
