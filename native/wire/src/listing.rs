//! The objects of a page of S3's ListObjects as XML, straight from columns.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

use crate::calendar::{date_of_days, push_number, push_padded};
use crate::uris::push_coded;

/// The columns are not those of a listing.
#[derive(Debug)]
pub struct Misfit;

/// A page's columns: path, checksum (the ETag), size in bytes, time of the last change, and the
/// second checksum as entries keep it (`crc32:<base64>`, with `-<parts>` when made of parts).
struct Rows<'a> {
    paths: &'a StringArray,
    etags: &'a StringArray,
    sizes: &'a Int64Array,
    times: &'a TimestampMicrosecondArray,
    checksums: &'a StringArray,
}

impl<'a> Rows<'a> {
    fn of(columns: &'a [ArrayRef]) -> Result<Self, Misfit> {
        let [paths, etags, sizes, times, checksums] = columns else {
            return Err(Misfit);
        };
        if columns.iter().any(|column| column.null_count() > 0) {
            return Err(Misfit);
        }
        Ok(Rows {
            paths: paths.as_string_opt().ok_or(Misfit)?,
            etags: etags.as_string_opt().ok_or(Misfit)?,
            sizes: sizes.as_primitive_opt::<Int64Type>().ok_or(Misfit)?,
            times: times
                .as_primitive_opt::<TimestampMicrosecondType>()
                .ok_or(Misfit)?,
            checksums: checksums.as_string_opt().ok_or(Misfit)?,
        })
    }
}

/// The text of one minute, the last that was asked for.
struct Minute {
    number: i64,
    text: Vec<u8>,
}

/// One `Contents` a row, in order. `head` stands before each path; `owner` is XML already.
pub fn contents(
    columns: &[ArrayRef],
    head: &str,
    owner: &[u8],
    is_coded: bool,
) -> Result<Vec<u8>, Misfit> {
    let rows = Rows::of(columns)?;
    let count = rows.paths.len();
    let mut key_head = Vec::new();
    push_key(&mut key_head, head, is_coded);
    let mut minute = Minute {
        number: i64::MIN,
        text: Vec::new(),
    };
    let is_key_plain = is_plain_column(rows.paths, is_coded);
    let is_etag_plain = is_plain_column(rows.etags, false);
    let mut out = Vec::with_capacity(count * (320 + owner.len() + key_head.len()));
    for row in 0..count {
        out.extend_from_slice(b"<Contents><Key>");
        out.extend_from_slice(&key_head);
        let path = rows.paths.value(row);
        if is_key_plain {
            out.extend_from_slice(path.as_bytes());
        } else {
            push_key(&mut out, path, is_coded);
        }
        out.extend_from_slice(b"</Key><LastModified>");
        minute.push_time(&mut out, rows.times.value(row));
        out.extend_from_slice(b"</LastModified><ETag>&quot;");
        let etag = rows.etags.value(row);
        if is_etag_plain {
            out.extend_from_slice(etag.as_bytes());
        } else {
            push_escaped(&mut out, etag);
        }
        out.extend_from_slice(b"&quot;</ETag>");
        push_checksum(&mut out, rows.checksums.value(row));
        out.extend_from_slice(b"<Size>");
        push_number(&mut out, u64::try_from(rows.sizes.value(row)).unwrap_or(0));
        out.extend_from_slice(b"</Size>");
        out.extend_from_slice(owner);
        out.extend_from_slice(b"<StorageClass>STANDARD</StorageClass></Contents>");
    }
    Ok(out)
}

/// Whether every text of a column is written as it is; percent-coded ones are not looked at.
fn is_plain_column(texts: &StringArray, is_coded: bool) -> bool {
    let offsets = texts.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[texts.len()] as usize);
    !is_coded && is_plain(&texts.value_data()[first..last])
}

/// Whether nothing has to be escaped. Without an early end: it runs over many bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |so_far, byte| {
        let is_mark = (*byte == b'&') | (*byte == b'<') | (*byte == b'>');
        let is_quote = (*byte == b'"') | (*byte == b'\'');
        so_far & (*byte >= b' ') & (*byte <= b'~') & !is_mark & !is_quote
    })
}

fn push_key(out: &mut Vec<u8>, text: &str, is_coded: bool) {
    if is_coded {
        push_coded(out, text.as_bytes(), b"/*");
    } else {
        push_escaped(out, text);
    }
}

/// Text as an element's content. Control characters become numeric references, as S3 writes them
/// although XML 1.0 has no such ones; NUL, which no key holds, is replaced.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for letter in text.chars() {
        match letter {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\'' => out.extend_from_slice(b"&#39;"),
            '\0' => out.extend_from_slice("\u{fffd}".as_bytes()),
            '\u{1}'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                out.extend_from_slice(format!("&#x{:x};", u32::from(letter)).as_bytes());
            }
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

fn push_checksum(out: &mut Vec<u8>, stored: &str) {
    let Some((algorithm, value)) = stored.split_once(':') else {
        return;
    };
    let name = match algorithm {
        "crc32" => "CRC32",
        "crc32c" => "CRC32C",
        "crc64nvme" => "CRC64NVME",
        "sha1" => "SHA1",
        "sha256" => "SHA256",
        _ => return,
    };
    let parts = value.split_once('-').map_or("", |(_, parts)| parts);
    let is_of_parts = parts.bytes().any(|digit| digit != b'0');
    out.extend_from_slice(b"<ChecksumAlgorithm>");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"</ChecksumAlgorithm><ChecksumType>");
    out.extend_from_slice(if is_of_parts {
        b"COMPOSITE"
    } else {
        b"FULL_OBJECT"
    });
    out.extend_from_slice(b"</ChecksumType>");
}

impl Minute {
    /// Microseconds since 1970 as S3's lists write them: milliseconds and a Z.
    fn push_time(&mut self, out: &mut Vec<u8>, time_us: i64) {
        let number = time_us.div_euclid(60_000_000);
        if number != self.number {
            self.number = number;
            self.text.clear();
            let (year, month, day) = date_of_days(number.div_euclid(1_440));
            let of_day = number.rem_euclid(1_440) as u64;
            push_padded(&mut self.text, year.unsigned_abs(), 4);
            for (mark, value) in [(b'-', month), (b'-', day), (b'T', of_day / 60)] {
                self.text.push(mark);
                push_padded(&mut self.text, value, 2);
            }
            self.text.push(b':');
            push_padded(&mut self.text, of_day % 60, 2);
            self.text.push(b':');
        }
        let rest_ms = (time_us.rem_euclid(60_000_000) / 1_000) as u64;
        out.extend_from_slice(&self.text);
        push_padded(out, rest_ms / 1_000, 2);
        out.push(b'.');
        push_padded(out, rest_ms % 1_000, 3);
        out.push(b'Z');
    }
}
