//! Numbers as differences, packed into as few bits as their block needs (DELTA_BINARY_PACKED).

use super::ROWS_MAX;
use super::thrift::damaged;
use crate::Result;

const BLOCK: usize = 128;
const MINIBLOCKS: usize = 4;
const MINIBLOCK: usize = BLOCK / MINIBLOCKS;

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends the numbers as one run; differences wrap.
pub fn encode(out: &mut Vec<u8>, numbers: &[i64]) {
    put_varint(out, BLOCK as u64);
    put_varint(out, MINIBLOCKS as u64);
    put_varint(out, numbers.len() as u64);
    put_varint(out, zigzag(numbers.first().copied().unwrap_or(0)));
    let mut block = [0i64; BLOCK];
    // Each block and the number before it.
    for start in (1..numbers.len()).step_by(BLOCK) {
        let numbers = &numbers[start - 1..numbers.len().min(start + BLOCK)];
        for (difference, pair) in block.iter_mut().zip(numbers.windows(2)) {
            *difference = pair[1].wrapping_sub(pair[0]);
        }
        put_block(out, &mut block, numbers.len() - 1);
    }
}

fn put_block(out: &mut Vec<u8>, block: &mut [i64; BLOCK], filled: usize) {
    let first = block[0];
    let is_even = block[..filled]
        .iter()
        .fold(0, |all, value| all | (value ^ first))
        == 0;
    if is_even {
        put_varint(out, zigzag(first));
        out.extend_from_slice(&[0; MINIBLOCKS]);
        return;
    }
    let least = *block[..filled].iter().min().expect("a block of numbers");
    // Padding packs as zeros.
    block[filled..].fill(least);
    put_varint(out, zigzag(least));
    let above = block.map(|value| value.wrapping_sub(least) as u64);
    let (parts, _) = above.as_chunks::<MINIBLOCK>();
    let width = |part: &[u64; MINIBLOCK]| {
        64 - part
            .iter()
            .fold(0, |all, value| all | value)
            .leading_zeros()
    };
    out.extend(parts.iter().map(|part| width(part) as u8));
    for part in &parts[..filled.div_ceil(MINIBLOCK)] {
        pack(out, width(part), part);
    }
}

/// Appends numbers of `width` bits, four times as many bytes.
fn pack(out: &mut Vec<u8>, width: u32, numbers: &[u64; MINIBLOCK]) {
    let (mut bits, mut held) = (0u128, 0u32);
    for number in numbers {
        bits |= u128::from(*number) << held;
        held += width;
        if held >= 64 {
            out.extend_from_slice(&(bits as u64).to_le_bytes());
            bits >>= 64;
            held -= 64;
        }
    }
    out.extend_from_slice(&bits.to_le_bytes()[..held as usize / 8]);
}

/// Unpacks `count` numbers of `width` bits, `width` at most 64; the bytes hold them all.
pub fn unpack(bytes: &[u8], width: u32, count: usize, mut take: impl FnMut(u64)) {
    let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
    let mut bit = 0;
    // As many as can be read eight bytes at a time: a number begins within the first of them.
    let words = match bytes.len().checked_sub(8) {
        Some(last) if (1..=57).contains(&width) => (last * 8 / width as usize + 1).min(count),
        _ => 0,
    };
    for _ in 0..words {
        let word = bytes[bit / 8..][..8].try_into().expect("eight bytes");
        take(u64::from_le_bytes(word) >> (bit % 8) & mask);
        bit += width as usize;
    }
    let mut padded = [0u8; 16];
    for _ in words..count {
        let rest = &bytes[(bit / 8).min(bytes.len())..];
        let rest = &rest[..rest.len().min(16)];
        padded.fill(0);
        padded[..rest.len()].copy_from_slice(rest);
        take((u128::from_le_bytes(padded) >> (bit % 8)) as u64 & mask);
        bit += width as usize;
    }
}

fn get_varint(data: &[u8], at: &mut usize) -> Result<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *data.get(*at).ok_or_else(damaged)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged())
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads one run of numbers from the start of `data`; returns them and the bytes they took.
pub fn decode(data: &[u8]) -> Result<(Vec<i64>, usize)> {
    let mut at = 0;
    let block = get_varint(data, &mut at)? as usize;
    let miniblocks = get_varint(data, &mut at)? as usize;
    let count = get_varint(data, &mut at)? as usize;
    let first = unzigzag(get_varint(data, &mut at)?);
    if miniblocks == 0
        || miniblocks > 512
        || block > 1 << 16
        || !block.is_multiple_of(8 * miniblocks)
        || block == 0
        || count > ROWS_MAX
    {
        return Err(damaged());
    }
    let size = block / miniblocks;
    let mut numbers = Vec::with_capacity(count);
    if count == 0 {
        return Ok((numbers, at));
    }
    numbers.push(first);
    let mut last = first;
    while numbers.len() < count {
        let least = unzigzag(get_varint(data, &mut at)?);
        let widths = data.get(at..at + miniblocks).ok_or_else(damaged)?;
        at += miniblocks;
        for width in widths {
            let wanted = size.min(count - numbers.len());
            if wanted == 0 {
                break;
            }
            let width = u32::from(*width);
            if width > 64 {
                return Err(damaged());
            }
            let taken = size * width as usize / 8;
            if taken > data.len() - at {
                return Err(damaged());
            }
            let mut next = |above: u64| {
                last = last.wrapping_add(least).wrapping_add(above as i64);
                last
            };
            if width == 0 {
                numbers.extend((0..wanted).map(|_| next(0)));
            } else {
                // With what follows, so that its numbers can be read as whole words.
                unpack(&data[at..], width, wanted, |number| {
                    numbers.push(next(number))
                });
            }
            at += taken;
        }
    }
    Ok((numbers, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_all_widths_come_back() {
        let mut seed = 1u64;
        for count in [0, 1, 2, 31, 32, 33, 127, 128, 129, 130, 1_000] {
            for bits in [0, 1, 3, 7, 8, 13, 31, 33, 57, 63, 64] {
                let numbers: Vec<i64> = (0..count)
                    .map(|_| {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        if bits == 0 {
                            5
                        } else {
                            (seed >> (64 - bits)) as i64
                        }
                    })
                    .collect();
                let mut out = Vec::new();
                encode(&mut out, &numbers);
                out.extend_from_slice(b"behind");
                let (found, taken) = decode(&out).unwrap();
                assert_eq!(found, numbers);
                assert_eq!(&out[taken..], b"behind");
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let mut out = Vec::new();
        let squares: Vec<i64> = (0..300).map(|number| number * number).collect();
        encode(&mut out, &squares);
        for end in 0..out.len() {
            assert!(decode(&out[..end]).is_err());
        }
    }
}
