//! The hash, and the bytes of typed values that are hashed.

use crate::{Invalid, Result};

const SEED: u64 = 0xadc8_3b19;
const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let word = word.wrapping_mul(FACTOR);
    let word = (word ^ (word >> SHIFT)).wrapping_mul(FACTOR);
    (hash ^ word).wrapping_mul(FACTOR)
}

/// The one to seven bytes after the last whole word, as a number.
///
/// Whole loads that overlap and shifts: copying so few bytes costs more than hashing them.
#[inline(always)]
fn tail(data: &[u8]) -> u64 {
    let count = data.len() % 8;
    let bits = 8 * count as u32;
    if let Some(last) = data.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (64 - bits);
    }
    if let (Some(first), Some(last)) = (data.first_chunk::<4>(), data.last_chunk::<4>()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (bits - 32);
    }
    let byte = |place: usize| u64::from(data[place]) << (8 * place);
    byte(0) | byte(count / 2) | byte(count - 1)
}

/// MurmurHash64A of `data` under Doris's seed.
#[inline(always)]
pub fn hash(data: &[u8]) -> u64 {
    let mut hash = SEED ^ (data.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = data.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        hash = (hash ^ tail(data)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> SHIFT)).wrapping_mul(FACTOR);
    hash ^ (hash >> SHIFT)
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
#[inline]
pub fn civil(days: i64) -> (i64, u64, u64) {
    // Years start in March here, so that the leap day is the last of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let part = (5 * day_of_year + 2) / 153;
    let month = if part < 10 { part + 3 } else { part - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (
        year,
        month as u64,
        (day_of_year - (153 * part + 2) / 5 + 1) as u64,
    )
}

fn civil_checked(days: i64) -> Result<(u64, u64, u64)> {
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return Err(Invalid::Year(year));
    }
    Ok((year as u64, month, day))
}

/// A DATE as Doris keeps it: day 5 bits, month 4, year the rest.
#[inline]
pub fn date_bytes(days: i32) -> Result<[u8; 4]> {
    let (year, month, day) = civil_checked(i64::from(days))?;
    Ok(((year << 9 | month << 5 | day) as u32).to_le_bytes())
}

/// A DATETIME as Doris keeps it: microsecond 20 bits, second 6, minute 6, hour 5, day 5, month 4,
/// year the rest.
#[inline]
pub fn datetime_bytes(micros: i64) -> Result<[u8; 8]> {
    let (year, month, day) = civil_checked(micros.div_euclid(86_400_000_000))?;
    let rest = micros.rem_euclid(86_400_000_000) as u64;
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let date = year << 46 | month << 42 | day << 37;
    Ok((date | hour << 32 | minute << 26 | second << 20 | micros).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(-719_528), (0, 1, 1));
        assert_eq!(civil(2_932_896), (9999, 12, 31));
        assert!(date_bytes(2_932_897).is_err());
        assert!(date_bytes(i32::MAX).is_err());
        assert!(date_bytes(i32::MIN).is_err());
        assert!(datetime_bytes(i64::MAX).is_err());
        assert!(datetime_bytes(i64::MIN).is_err());
    }

    #[test]
    fn text_hashes_as_in_doris() {
        assert_eq!(hash(b"abc"), 0x77ec_90ae_b374_e502);
    }
}
