//! AWS Signature Version 4, by header and presigned, for any region.
//!
//! Works on bytes as they were sent. S3's canonical URI is the path percent-coded once, with no
//! normalisation of `//` or `..`; clients differ in which characters they code, so a signature is
//! compared for the path as sent and, when that fails, for the path coded by the book.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::calendar;
use crate::signing_keys::{HASH_BYTES, SigningKey};
use crate::uris::{Decoded, Pair, canonical_path, canonical_query, decoded_pairs, sorted_query};

const ALGORITHM: &[u8] = b"AWS4-HMAC-SHA256";
const UNSIGNED: &[u8] = b"UNSIGNED-PAYLOAD";
const PAYLOAD_HEADER: &[u8] = b"x-amz-content-sha256";
const QUERY_NAMES: [&[u8]; 6] = [
    b"X-Amz-Algorithm",
    b"X-Amz-Credential",
    b"X-Amz-Date",
    b"X-Amz-Expires",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Signature",
];

/// Why a signature is not even looked at. The numbers cross the border to Python; those of one
/// block are for headers, and the same plus ten for queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Problem {
    /// Signed by another version, or not at all.
    NotVersion4 = 0,
    TwoMechanisms = 1,
    PayloadHashMissing = 2,
    Date = 3,
    HeaderMalformed = 4,
    HeaderIncomplete = 5,
    HeaderCredential = 6,
    HeaderDay = 7,
    HeaderScope = 8,
    HeaderNames = 9,
    HeaderSignature = 10,
    QueryTwice = 14,
    QueryIncomplete = 15,
    QueryCredential = 16,
    QueryDay = 17,
    QueryScope = 18,
    QueryNames = 19,
    QuerySignature = 20,
    QueryAlgorithm = 21,
    QueryExpires = 22,
    QueryDate = 23,
}

/// What a request says about its signature; nothing of it is verified.
#[derive(Debug)]
pub struct Claim {
    pub key_id: Vec<u8>,
    /// `<date>/<region>/s3/aws4_request`
    pub scope: Vec<u8>,
    /// As sent: `YYYYMMDDTHHMMSSZ`.
    pub date: Vec<u8>,
    /// The date in seconds since 1970.
    pub time_s: i64,
    /// Given for a presigned request only.
    pub expires_s: Option<i64>,
    pub payload_hash: Vec<u8>,
    /// As sent: 64 hex digits.
    pub signature: Vec<u8>,
    /// `x-amz-` headers that were sent and are not signed, in the order sent, each once.
    pub unsigned: Vec<Vec<u8>>,
    signature_bytes: [u8; HASH_BYTES],
    /// The canonical request from its headers to its end.
    tail: Vec<u8>,
    query: Vec<u8>,
    raw_query: Vec<u8>,
}

/// The claim of a request, by header or query. Names of headers are lower-case.
pub fn parse(headers: &[Pair<'_>], raw_query: &[u8], most_s: i64) -> Result<Claim, Problem> {
    let pairs = decoded_pairs(raw_query);
    let has = |wanted: &[u8]| pairs.iter().any(|(name, _)| name.as_ref() == wanted);
    let is_by_query = has(b"X-Amz-Signature") || has(b"X-Amz-Algorithm");
    let payload_hash = joined(headers, PAYLOAD_HEADER);
    if let Some(value) = joined(headers, b"authorization") {
        if is_by_query || has(b"AWSAccessKeyId") {
            return Err(Problem::TwoMechanisms);
        }
        let rest = value.strip_prefix(ALGORITHM).ok_or(Problem::NotVersion4)?;
        let [credential, names, signature] = header_parts(rest)?;
        let date = joined(headers, b"x-amz-date")
            .filter(|sent| !sent.is_empty())
            .or_else(|| joined(headers, b"date"))
            .unwrap_or_default();
        let mut claim = claim_of(credential, &date, names, signature, None)?;
        claim.payload_hash = payload_hash
            .ok_or(Problem::PayloadHashMissing)?
            .into_owned();
        claim.take(headers, names, raw_query, &pairs);
        return Ok(claim);
    }
    if !is_by_query {
        return Err(Problem::NotVersion4);
    }
    let [credential, date, names, signature, expires] = query_parts(&pairs)?;
    let expires_s = number(expires)
        .filter(|seconds| (1..=most_s).contains(seconds))
        .ok_or(Problem::QueryExpires)?;
    if !has_form_of_date(date) {
        return Err(Problem::QueryDate);
    }
    let mut claim = claim_of(credential, date, names, signature, Some(expires_s))?;
    // The hash may stand in the query, and most do not name one.
    claim.payload_hash = payload_hash.map(Cow::into_owned).unwrap_or_else(|| {
        let is_hash = |(name, _): &&Decoded<'_>| name.eq_ignore_ascii_case(PAYLOAD_HEADER);
        let found = pairs.iter().rev().find(is_hash);
        found.map_or_else(|| UNSIGNED.to_vec(), |(_, value)| value.to_vec())
    });
    claim.take(headers, names, raw_query, &pairs);
    Ok(claim)
}

/// Credential, names of signed headers and signature, out of what follows the algorithm.
fn header_parts(rest: &[u8]) -> Result<[&[u8]; 3], Problem> {
    const NAMES: [&[u8]; 3] = [b"Credential=", b"SignedHeaders=", b"Signature="];
    let mut found = [None; 3];
    for part in rest.split(|byte| *byte == b',') {
        let part = trimmed(part);
        let (slot, value) = NAMES
            .iter()
            .enumerate()
            .find_map(|(slot, name)| Some((slot, part.strip_prefix(*name)?)))
            .ok_or(Problem::HeaderMalformed)?;
        if found[slot].is_some() || value.iter().copied().any(is_space) {
            return Err(Problem::HeaderMalformed);
        }
        found[slot] = Some(value);
    }
    match found {
        [Some(credential), Some(names), Some(signature)] => Ok([credential, names, signature]),
        _ => Err(Problem::HeaderIncomplete),
    }
}

/// Credential, date, names of signed headers, signature and seconds, out of a query.
fn query_parts<'a>(pairs: &'a [Decoded<'_>]) -> Result<[&'a [u8]; 5], Problem> {
    let mut found: [Option<&[u8]>; 6] = [None; 6];
    for (name, value) in pairs {
        if let Some(slot) = QUERY_NAMES.iter().position(|one| *one == name.as_ref()) {
            if found[slot].is_some() {
                return Err(Problem::QueryTwice);
            }
            found[slot] = Some(value.as_ref());
        }
    }
    match found {
        [
            Some(algorithm),
            Some(credential),
            Some(date),
            Some(expires),
            Some(names),
            Some(signature),
        ] => {
            if algorithm != ALGORITHM {
                return Err(Problem::QueryAlgorithm);
            }
            Ok([credential, date, names, signature, expires])
        }
        _ => Err(Problem::QueryIncomplete),
    }
}

fn claim_of(
    credential: &[u8],
    date: &[u8],
    names: &[u8],
    signature: &[u8],
    expires_s: Option<i64>,
) -> Result<Claim, Problem> {
    let in_query = |header: Problem, query: Problem| match expires_s {
        None => header,
        Some(_) => query,
    };
    let mut parts = credential.rsplitn(5, |byte| *byte == b'/');
    let (Some(end), Some(service), Some(_region), Some(day), Some(key_id)) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next().filter(|key_id| !key_id.is_empty()),
    ) else {
        return Err(in_query(
            Problem::HeaderCredential,
            Problem::QueryCredential,
        ));
    };
    if day != &date[..date.len().min(8)] {
        return Err(in_query(Problem::HeaderDay, Problem::QueryDay));
    }
    if service != b"s3" || end != b"aws4_request" {
        return Err(in_query(Problem::HeaderScope, Problem::QueryScope));
    }
    let has_host = names
        .split(|byte| *byte == b';')
        .any(|name| name == b"host");
    if !has_host || names.iter().any(u8::is_ascii_uppercase) {
        return Err(in_query(Problem::HeaderNames, Problem::QueryNames));
    }
    let signature_bytes =
        hash_of(signature).ok_or(in_query(Problem::HeaderSignature, Problem::QuerySignature))?;
    Ok(Claim {
        key_id: key_id.to_vec(),
        scope: credential[key_id.len() + 1..].to_vec(),
        date: date.to_vec(),
        time_s: seconds(date).ok_or(Problem::Date)?,
        expires_s,
        payload_hash: Vec::new(),
        signature: signature.to_vec(),
        unsigned: Vec::new(),
        signature_bytes,
        tail: Vec::new(),
        query: Vec::new(),
        raw_query: Vec::new(),
    })
}

impl Claim {
    /// Keep what of the request is signed, except for method and path.
    fn take(
        &mut self,
        headers: &[Pair<'_>],
        names: &[u8],
        raw_query: &[u8],
        pairs: &[Decoded<'_>],
    ) {
        let is_signed = |wanted: &[u8]| names.split(|byte| *byte == b';').any(|one| one == wanted);
        for (name, _) in headers {
            let is_known = self.unsigned.iter().any(|one| one == name);
            if name.starts_with(b"x-amz-") && !is_signed(name) && !is_known {
                self.unsigned.push(name.to_vec());
            }
        }
        self.tail.reserve(512);
        for name in names.split(|byte| *byte == b';') {
            self.tail.extend_from_slice(name);
            self.tail.push(b':');
            match joined(headers, name) {
                Some(value) => push_folded(&mut self.tail, &value),
                // A server in between may drop a header that says nothing about an empty body.
                None if name == b"content-length" => self.tail.push(b'0'),
                None => {}
            }
            self.tail.push(b'\n');
        }
        self.tail.push(b'\n');
        self.tail.extend_from_slice(names);
        self.tail.push(b'\n');
        self.tail.extend_from_slice(&self.payload_hash);
        if !raw_query.is_empty() {
            self.query = canonical_query(pairs);
            self.raw_query = raw_query.to_vec();
        }
    }

    /// Whether the signature is the request's; compared in constant time.
    pub fn is_signed_by(&self, key: &SigningKey, method: &[u8], raw_path: &[u8]) -> bool {
        let raw_path = if raw_path.is_empty() { b"/" } else { raw_path };
        let holds = |path: &[u8], query: &[u8]| {
            let text = self.string_to_sign(&self.canonical(method, path, query));
            key.has_signed(&text, &self.signature_bytes)
        };
        if holds(raw_path, &self.query) {
            return true;
        }
        // Some clients sign what they send, some what they should have sent.
        let by_the_book = canonical_path(raw_path);
        let as_sent = sorted_query(&self.raw_query);
        let is_other_path = by_the_book != raw_path;
        let is_other_query = as_sent != self.query;
        (is_other_query && holds(raw_path, &as_sent))
            || (is_other_path && holds(&by_the_book, &self.query))
            || (is_other_path && is_other_query && holds(&by_the_book, &as_sent))
    }

    /// The canonical request with path and query as this side reads them first.
    pub fn canonical_request(&self, method: &[u8], raw_path: &[u8]) -> Vec<u8> {
        let raw_path = if raw_path.is_empty() { b"/" } else { raw_path };
        self.canonical(method, raw_path, &self.query)
    }

    fn canonical(&self, method: &[u8], path: &[u8], query: &[u8]) -> Vec<u8> {
        let size = method.len() + path.len() + query.len() + self.tail.len() + 3;
        let mut text = Vec::with_capacity(size);
        for part in [method, path, query] {
            text.extend_from_slice(part);
            text.push(b'\n');
        }
        text.extend_from_slice(&self.tail);
        text
    }

    /// What the key signs.
    pub fn string_to_sign(&self, canonical_request: &[u8]) -> Vec<u8> {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = Vec::with_capacity(160);
        for part in [ALGORITHM, &self.date, &self.scope] {
            text.extend_from_slice(part);
            text.push(b'\n');
        }
        for byte in Sha256::digest(canonical_request) {
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
        text
    }
}

/// The values of a header; those of a repeated one are joined by commas.
fn joined<'a>(headers: &[Pair<'a>], wanted: &[u8]) -> Option<Cow<'a, [u8]>> {
    let mut found: Option<Cow<'a, [u8]>> = None;
    for (name, value) in headers {
        if *name == wanted {
            found = Some(match found {
                None => Cow::Borrowed(*value),
                Some(before) => Cow::Owned([&before, *value].join(&b',')),
            });
        }
    }
    found
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn trimmed(data: &[u8]) -> &[u8] {
    let Some(start) = data.iter().position(|byte| !is_space(*byte)) else {
        return &[];
    };
    let last = data.iter().rposition(|byte| !is_space(*byte));
    &data[start..=last.unwrap_or(start)]
}

/// A value with each run of white space as one space, and none at its ends.
fn push_folded(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(|byte| is_space(*byte));
    for (index, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// 64 lower-case hex digits as bytes.
fn hash_of(digits: &[u8]) -> Option<[u8; HASH_BYTES]> {
    let mut out = [0_u8; HASH_BYTES];
    if digits.len() != 2 * HASH_BYTES || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(out)
}

/// A number of at least one digit and nothing else; None also for one that no limit allows.
fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits.iter().try_fold(0_i64, |before, digit| {
        before.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    })
}

fn has_form_of_date(date: &[u8]) -> bool {
    date.len() == 16
        && date.iter().enumerate().all(|(at, byte)| match at {
            8 => *byte == b'T',
            15 => *byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
}

/// Seconds since 1970 of `YYYYMMDDTHHMMSSZ`.
fn seconds(date: &[u8]) -> Option<i64> {
    if !has_form_of_date(date) {
        return None;
    }
    let part = |start: usize, end: usize| number(&date[start..end]);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    if year < 1 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = calendar::days_of_date(year, month, day)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing_keys::SigningKeys;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    #[test]
    fn the_published_example_for_get_object() {
        let empty = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let authorization = b"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/\
            s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
            Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        let headers: [Pair<'_>; 5] = [
            (b"host", b"examplebucket.s3.amazonaws.com"),
            (b"range", b"bytes=0-9"),
            (b"x-amz-content-sha256", empty),
            (b"x-amz-date", b"20130524T000000Z"),
            (b"authorization", authorization),
        ];
        let claim = parse(&headers, b"", 604_800).unwrap();
        assert_eq!(claim.time_s, 1_369_353_600);
        let key = SigningKeys::new(1).get(SECRET, &claim.scope);
        assert!(claim.is_signed_by(&key, b"GET", b"/test.txt"));
        assert!(!claim.is_signed_by(&key, b"GET", b"/test.tx"));
    }

    #[test]
    fn seconds_of_dates_that_exist_alone() {
        assert_eq!(seconds(b"19700101T000000Z"), Some(0));
        assert_eq!(seconds(b"20240229T235959Z"), Some(1_709_251_199));
        for date in [
            b"20230229T000000Z",
            b"20241301T000000Z",
            b"20240101T240000Z",
        ] {
            assert_eq!(seconds(date), None);
        }
    }
}
