//! Paths and queries of requests: decoded, and coded again as signatures have them.

use std::borrow::Cow;

/// A header, or a pair of a query: name and value.
pub type Pair<'a> = (&'a [u8], &'a [u8]);
pub(crate) type Decoded<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The pair of a query that is no part of what it signs.
const SIGNATURE_NAME: &[u8] = b"X-Amz-Signature";

/// A query's decoded pairs in order; a plus is a space, as S3 and clients mean it.
pub(crate) fn decoded_pairs(raw_query: &[u8]) -> Vec<Decoded<'_>> {
    let parts = raw_query.split(|byte| *byte == b'&');
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = halves(part);
            (decoded(name, true), decoded(value, true))
        })
        .collect()
}

fn halves(part: &[u8]) -> Pair<'_> {
    match part.iter().position(|byte| *byte == b'=') {
        Some(at) => (&part[..at], &part[at + 1..]),
        None => (part, &[]),
    }
}

/// Percent-decoded bytes; what is no escape stays as it is.
fn decoded(data: &[u8], is_plus_a_space: bool) -> Cow<'_, [u8]> {
    let is_coded = |byte: &u8| *byte == b'%' || (is_plus_a_space && *byte == b'+');
    if !data.iter().any(is_coded) {
        return Cow::Borrowed(data);
    }
    let digit = |at: usize| data.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(data.len());
    let mut at = 0;
    while at < data.len() {
        match (data[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if is_plus_a_space => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(out)
}

/// Percent-coded by the book: all but unreserved characters and those in `safe`.
pub fn push_coded(out: &mut Vec<u8>, data: &[u8], safe: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in data {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) || safe.contains(byte) {
            out.push(*byte);
        } else {
            out.push(b'%');
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

/// A path percent-coded once by the book.
pub(crate) fn canonical_path(raw_path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw_path.len());
    push_coded(&mut out, &decoded(raw_path, false), b"/");
    out
}

/// A query coded by the book and sorted, without the signature itself.
pub(crate) fn canonical_query(pairs: &[Decoded<'_>]) -> Vec<u8> {
    let coded = |data: &[u8]| {
        let mut out = Vec::with_capacity(data.len());
        push_coded(&mut out, data, b"");
        out
    };
    let kept = pairs.iter().filter(|(name, _)| **name != *SIGNATURE_NAME);
    let mut found: Vec<_> = kept
        .map(|(name, value)| (coded(name), coded(value)))
        .collect();
    found.sort_unstable();
    equations(found.iter().map(|(name, value)| (&name[..], &value[..])))
}

/// A query coded as it was sent, sorted, without the signature itself.
pub(crate) fn sorted_query(raw_query: &[u8]) -> Vec<u8> {
    let parts = raw_query.split(|byte| *byte == b'&');
    let pairs = parts.filter(|part| !part.is_empty()).map(halves);
    let mut found: Vec<_> = pairs.filter(|(name, _)| *name != SIGNATURE_NAME).collect();
    found.sort_unstable();
    equations(found.into_iter())
}

fn equations<'a>(pairs: impl Iterator<Item = Pair<'a>>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
    out
}
