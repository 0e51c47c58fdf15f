//! Stored bytes: Doris's forms around the portable and the native format of Roaring bitmaps.

use std::collections::BTreeMap;

use crate::bitmap::Bitmap;
use crate::container::{ARRAY_MAX, Container, Form, Run, Words};
use crate::{Invalid, Result};

pub const EMPTY: u8 = 0;
pub const SINGLE32: u8 = 1;
pub const BITMAP32: u8 = 2;
pub const SINGLE64: u8 = 3;
pub const BITMAP64: u8 = 4;
const SET: u8 = 5;
const SET_V2: u8 = 10;
const BITMAP32_V2: u8 = 12;
const BITMAP64_V2: u8 = 13;

/// First bytes of a Roaring bitmap without and with runs.
const COOKIE_PLAIN: u32 = 12_346;
const COOKIE_RUNS: u32 = 12_347;
/// With runs, up to so many containers have no table of offsets.
const OFFSETS_MIN: usize = 4;
/// The most numbers of form 5.
const SET_MAX: usize = 32;
const KEYS: usize = 1 << 16;

/// The stored form of a set of one number.
pub fn single(number: u64, out: &mut Vec<u8>) {
    if let Ok(small) = u32::try_from(number) {
        out.push(SINGLE32);
        out.extend_from_slice(&small.to_le_bytes());
    } else {
        out.push(SINGLE64);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Return the number of a stored set of one, `None` for all other bytes.
pub fn as_single(data: &[u8]) -> Option<u64> {
    match data {
        [SINGLE32, rest @ ..] => rest
            .try_into()
            .ok()
            .map(|one| u32::from_le_bytes(one).into()),
        [SINGLE64, rest @ ..] => rest.try_into().ok().map(u64::from_le_bytes),
        _ => None,
    }
}

fn write_roaring(parts: &[(u16, &Container)], out: &mut Vec<u8>) {
    let forms: Vec<(usize, Form)> = parts.iter().map(|(_, part)| part.form()).collect();
    let has_runs = forms.iter().any(|(_, form)| matches!(form, Form::Runs(_)));
    let start = out.len();
    if has_runs {
        let cookie = COOKIE_RUNS | (parts.len() as u32 - 1) << 16;
        out.extend_from_slice(&cookie.to_le_bytes());
        for forms in forms.chunks(8) {
            let flags = forms
                .iter()
                .enumerate()
                .fold(0, |flags, (place, (_, form))| {
                    flags | u8::from(matches!(form, Form::Runs(_))) << place
                });
            out.push(flags);
        }
    } else {
        out.extend_from_slice(&COOKIE_PLAIN.to_le_bytes());
        out.extend_from_slice(&(parts.len() as u32).to_le_bytes());
    }
    for ((key, _), (count, _)) in parts.iter().zip(&forms) {
        out.extend_from_slice(&key.to_le_bytes());
        out.extend_from_slice(&((count - 1) as u16).to_le_bytes());
    }
    let offsets = out.len();
    if !has_runs || parts.len() >= OFFSETS_MIN {
        out.resize(offsets + 4 * parts.len(), 0);
    }
    for (place, ((_, part), (_, form))) in parts.iter().zip(&forms).enumerate() {
        let offset = (out.len() - start) as u32;
        if !has_runs || parts.len() >= OFFSETS_MIN {
            let at = offsets + 4 * place;
            out[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        }
        part.encode(*form, out);
    }
}

/// Append the number of parts: seven bits a byte, the low ones first.
fn write_count(mut count: usize, out: &mut Vec<u8>) {
    while count >= 128 {
        out.push(count as u8 | 128);
        count >>= 7;
    }
    out.push(count as u8);
}

/// Append the stored form; equal sets have equal bytes.
pub fn encode(bitmap: &Bitmap, out: &mut Vec<u8>) {
    let (Some(low), Some(high)) = (bitmap.min(), bitmap.max()) else {
        return out.push(EMPTY);
    };
    if low == high {
        return single(low, out);
    }
    let is_wide = u32::try_from(high).is_err();
    bitmap.read(|by_key| {
        let parts: Vec<(u64, &Container)> = by_key.iter().map(|(&key, one)| (key, one)).collect();
        let maps = || parts.chunk_by(|one, two| one.0 >> 16 == two.0 >> 16);
        if is_wide {
            out.push(BITMAP64);
            write_count(maps().count(), out);
        } else {
            out.push(BITMAP32);
        }
        for map in maps() {
            if is_wide {
                out.extend_from_slice(&((map[0].0 >> 16) as u32).to_le_bytes());
            }
            let low: Vec<(u16, &Container)> =
                map.iter().map(|&(key, one)| (key as u16, one)).collect();
            write_roaring(&low, out);
        }
    });
}

struct Reader<'a> {
    data: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (found, rest) = self.rest.split_at_checked(count).ok_or(Invalid::TooShort)?;
        self.rest = rest;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (found, rest) = self.rest.split_first_chunk().ok_or(Invalid::TooShort)?;
        self.rest = rest;
        Ok(*found)
    }

    fn at(&self) -> usize {
        self.data.len() - self.rest.len()
    }

    fn count(&mut self) -> Result<u64> {
        let mut count = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            count |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(count);
            }
        }
        Err(Invalid::Keys)
    }

    fn numbers(&mut self, count: usize) -> Result<Bitmap> {
        // Asked for before anything is kept: a count without bytes costs no memory.
        let bytes = self.take(count.checked_mul(8).ok_or(Invalid::TooShort)?)?;
        Ok(bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|number| u64::from_le_bytes(*number))
            .collect())
    }
}

fn runs(reader: &mut Reader<'_>, count: usize) -> Result<Container> {
    let found = usize::from(u16::from_le_bytes(reader.array()?));
    let bytes = reader.take(4 * found)?;
    let mut runs: Vec<Run> = Vec::with_capacity(found);
    let (mut free, mut sum) = (0, 0);
    for &[first_low, first_high, more_low, more_high] in bytes.as_chunks::<4>().0 {
        let first = u16::from_le_bytes([first_low, first_high]);
        let more = u16::from_le_bytes([more_low, more_high]);
        let after = usize::from(first) + usize::from(more) + 1;
        if usize::from(first) < free || after > KEYS {
            return Err(Invalid::Container);
        }
        sum += usize::from(more) + 1;
        match runs.last_mut() {
            // Runs that touch are one.
            Some(last) if usize::from(first) == free => last[1] += more + 1,
            _ => runs.push([first, more]),
        }
        free = after;
    }
    if sum != count {
        return Err(Invalid::Container);
    }
    Ok(Container::Runs(runs))
}

fn container(reader: &mut Reader<'_>, count: usize) -> Result<Container> {
    if count <= ARRAY_MAX {
        let bytes = reader.take(2 * count)?.as_chunks::<2>().0;
        let numbers: Vec<u16> = bytes.iter().map(|two| u16::from_le_bytes(*two)).collect();
        if numbers.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(Invalid::Container);
        }
        return Ok(Container::Array(numbers));
    }
    let mut words: Box<Words> = Box::new([0; 1024]);
    for (word, bytes) in words
        .iter_mut()
        .zip(reader.take(8 * 1024)?.as_chunks::<8>().0)
    {
        *word = u64::from_le_bytes(*bytes);
    }
    let bits = Container::Bits(words);
    if bits.len() == count {
        Ok(bits)
    } else {
        Err(Invalid::Container)
    }
}

/// Read a Roaring bitmap in the portable format, as the part of a bitmap above `high`.
fn roaring(
    reader: &mut Reader<'_>,
    high: u32,
    by_key: &mut BTreeMap<u64, Container>,
) -> Result<()> {
    let start = reader.at();
    let cookie = u32::from_le_bytes(reader.array()?);
    let has_runs = cookie & 0xffff == COOKIE_RUNS;
    let (count, flags) = if has_runs {
        let count = (cookie >> 16) as usize + 1;
        (count, reader.take(count.div_ceil(8))?)
    } else if cookie == COOKIE_PLAIN {
        (u32::from_le_bytes(reader.array()?) as usize, &[][..])
    } else {
        return Err(Invalid::UnknownForm(cookie as u8));
    };
    if count > KEYS {
        return Err(Invalid::Keys);
    }
    let heads = reader.take(4 * count)?.as_chunks::<4>().0;
    let offsets = if !has_runs || count >= OFFSETS_MIN {
        reader.take(4 * count)?.as_chunks::<4>().0
    } else {
        &[]
    };
    let mut free = 0;
    for (place, &[key_low, key_high, low, high_byte]) in heads.iter().enumerate() {
        let key = usize::from(u16::from_le_bytes([key_low, key_high]));
        if key < free {
            return Err(Invalid::Keys);
        }
        free = key + 1;
        let size = usize::from(u16::from_le_bytes([low, high_byte])) + 1;
        if let Some(offset) = offsets.get(place)
            && u32::from_le_bytes(*offset) as usize != reader.at() - start
        {
            return Err(Invalid::Container);
        }
        let is_runs = flags
            .get(place / 8)
            .is_some_and(|byte| byte >> (place % 8) & 1 == 1);
        let part = if is_runs {
            runs(reader, size)?
        } else {
            container(reader, size)?
        };
        by_key.insert(u64::from(high) << 16 | key as u64, part);
    }
    Ok(())
}

/// Read a Roaring bitmap as CRoaring writes it for itself: a list of numbers, or the portable form.
fn native(reader: &mut Reader<'_>, high: u32, by_key: &mut BTreeMap<u64, Container>) -> Result<()> {
    match reader.array()? {
        [1] => {
            let count = u32::from_le_bytes(reader.array()?) as usize;
            let bytes = reader.take(count.checked_mul(4).ok_or(Invalid::TooShort)?)?;
            for number in bytes.as_chunks::<4>().0 {
                let number = u64::from(high) << 32 | u64::from(u32::from_le_bytes(*number));
                by_key
                    .entry(number >> 16)
                    .or_insert_with(|| Container::single(number as u16))
                    .add(number as u16);
            }
            Ok(())
        }
        [2] => roaring(reader, high, by_key),
        [form] => Err(Invalid::UnknownForm(form)),
    }
}

type Part = fn(&mut Reader<'_>, u32, &mut BTreeMap<u64, Container>) -> Result<()>;

fn parts(reader: &mut Reader<'_>, read: Part) -> Result<Bitmap> {
    let mut by_key = BTreeMap::new();
    let mut free = 0;
    for _ in 0..reader.count()? {
        let high = u32::from_le_bytes(reader.array()?);
        if u64::from(high) < free {
            return Err(Invalid::Keys);
        }
        free = u64::from(high) + 1;
        read(reader, high, &mut by_key)?;
    }
    Ok(Bitmap::of_containers(by_key))
}

fn part(reader: &mut Reader<'_>, read: Part) -> Result<Bitmap> {
    let mut by_key = BTreeMap::new();
    read(reader, 0, &mut by_key)?;
    Ok(Bitmap::of_containers(by_key))
}

/// Check all of `data` and return what it holds.
pub fn decode(data: &[u8]) -> Result<Bitmap> {
    let (&form, rest) = data.split_first().ok_or(Invalid::NoBytes)?;
    let reader = &mut Reader { data, rest };
    let bitmap = match form {
        EMPTY => Bitmap::new(),
        SINGLE32 => [u64::from(u32::from_le_bytes(reader.array()?))]
            .into_iter()
            .collect(),
        SINGLE64 => [u64::from_le_bytes(reader.array()?)].into_iter().collect(),
        BITMAP32 => part(reader, roaring)?,
        BITMAP64 => parts(reader, roaring)?,
        BITMAP32_V2 => part(reader, native)?,
        BITMAP64_V2 => parts(reader, native)?,
        SET => {
            let [count] = reader.array()?;
            let count = usize::from(count);
            let bitmap = reader.numbers(count)?;
            if count > SET_MAX || bitmap.len() != count as u64 {
                return Err(Invalid::Set(count));
            }
            bitmap
        }
        SET_V2 => {
            let count = u32::from_le_bytes(reader.array()?) as usize;
            reader.numbers(count)?
        }
        form => return Err(Invalid::UnknownForm(form)),
    };
    match reader.rest.len() {
        0 => Ok(bitmap),
        count => Err(Invalid::TrailingBytes(count)),
    }
}
