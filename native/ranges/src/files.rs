//! Entries of files that are adopted where they lie, without reading them.

use arrow_buffer::Buffer;
use rayon::prelude::*;

use crate::entries::Entries;
use crate::ids::{IDENTITY_BYTES, identity};
use crate::text::Text;
use crate::{Invalid, Result};

const CHECKSUM_BYTES: usize = 16;
const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Rows of one task: below it, handing them out costs more than making them.
const ROWS_MIN: usize = 256;

/// The checksum of a file by its URI, size and time: 32 hex digits that say nothing of its bytes.
fn checksum(text: &[u8]) -> [u8; 2 * CHECKSUM_BYTES] {
    let found = blake2b_simd::Params::new()
        .hash_length(CHECKSUM_BYTES)
        .hash(text);
    let mut out = [0; 2 * CHECKSUM_BYTES];
    for (pair, byte) in out.chunks_exact_mut(2).zip(found.as_bytes()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

/// Rows of the files `names` of one directory, in ascending order: at `prefix` + name, of the URI
/// `base` + name.
pub fn file_rows(
    prefix: &str,
    base: &str,
    content_type: &str,
    names: &[&str],
    sizes: Vec<i64>,
    mtimes: Vec<i64>,
) -> Result<Entries> {
    let rows = names.len();
    if sizes.len() != rows || mtimes.len() != rows {
        return Err(Invalid::new("as many sizes and times as names"));
    }
    let paths: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
    let uris: Vec<String> = names.iter().map(|name| format!("{base}{name}")).collect();
    let made: Vec<([u8; 2 * CHECKSUM_BYTES], [u8; IDENTITY_BYTES])> = (0..rows)
        .into_par_iter()
        .with_min_len(ROWS_MIN)
        .map(|row| {
            let text = format!("{}\n{}\n{}", uris[row], sizes[row], mtimes[row]);
            let checksum = checksum(text.as_bytes());
            let size = sizes[row] as u64;
            let identity = identity(size, &checksum, content_type.as_bytes(), b"");
            (checksum, identity)
        })
        .collect();
    let same = |text: &str| Text::from_texts((0..rows).map(|_| text.as_bytes()));
    let identities: Vec<u8> = made.iter().flat_map(|(_, identity)| *identity).collect();
    let entries = Entries {
        path: Text::from_texts(paths.iter().map(String::as_bytes))?,
        identity: Buffer::from_vec(identities),
        address: Text::from_texts(uris.iter().map(String::as_bytes))?,
        checksum: Text::from_texts(made.iter().map(|(checksum, _)| checksum.as_slice()))?,
        size_bytes: sizes.into(),
        mtime: mtimes.into(),
        content_type: same(content_type)?,
        metadata: same("")?,
        checksum2: same("")?,
        tombstone: None,
    };
    if !entries.is_ascending(None) {
        return Err(Invalid::new("names of files are not in order"));
    }
    Ok(entries)
}
