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
pub fn encode(out: &mut Vec<u8>, count: usize, numbers: impl Iterator<Item = i64>) {
    let mut numbers = numbers;
    put_varint(out, BLOCK as u64);
    put_varint(out, MINIBLOCKS as u64);
    put_varint(out, count as u64);
    let mut last = numbers.next().unwrap_or(0);
    put_varint(out, zigzag(last));
    let mut block = [0i64; BLOCK];
    loop {
        let mut filled = 0;
        while filled < BLOCK
            && let Some(number) = numbers.next()
        {
            block[filled] = number.wrapping_sub(last);
            last = number;
            filled += 1;
        }
        if filled == 0 {
            return;
        }
        put_block(out, &mut block, filled);
    }
}

fn put_block(out: &mut Vec<u8>, block: &mut [i64; BLOCK], filled: usize) {
    let least = *block[..filled].iter().min().expect("a block of numbers");
    // Padding packs as zeros.
    block[filled..].fill(least);
    put_varint(out, zigzag(least));
    let above = |value: i64| value.wrapping_sub(least) as u64;
    let widths = out.len();
    for part in block.chunks_exact(MINIBLOCK) {
        let most = part.iter().fold(0, |all, value| all | above(*value));
        out.push((64 - most.leading_zeros()) as u8);
    }
    for (index, part) in block.chunks_exact(MINIBLOCK).enumerate() {
        if index * MINIBLOCK >= filled {
            break;
        }
        let width = u32::from(out[widths + index]);
        if width > 0 {
            pack(out, width, part.iter().map(|value| above(*value)));
        }
    }
}

fn pack(out: &mut Vec<u8>, width: u32, numbers: impl Iterator<Item = u64>) {
    let (mut bits, mut held) = (0u128, 0u32);
    for number in numbers {
        bits |= u128::from(number) << held;
        held += width;
        while held >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(bits as u8);
    }
}

/// Unpacks `count` numbers of `width` bits, `width` at most 64; the bytes hold them all.
pub fn unpack(bytes: &[u8], width: u32, count: usize, mut take: impl FnMut(u64)) {
    let mask = if width == 64 {
        u64::MAX
    } else {
        (1u64 << width) - 1
    };
    let mut padded = [0u8; 16];
    for index in 0..count {
        let bit = index * width as usize;
        let at = bit / 8;
        let shift = (bit % 8) as u32;
        let word = match bytes.get(at..at + 16) {
            Some(bytes) => u128::from_le_bytes(bytes.try_into().expect("sixteen bytes")),
            None => {
                let rest = &bytes[at.min(bytes.len())..];
                padded.fill(0);
                padded[..rest.len()].copy_from_slice(rest);
                u128::from_le_bytes(padded)
            }
        };
        take((word >> shift) as u64 & mask);
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
            let bytes = data.get(at..at + taken).ok_or_else(damaged)?;
            at += taken;
            if width == 0 {
                for _ in 0..wanted {
                    last = last.wrapping_add(least);
                    numbers.push(last);
                }
                continue;
            }
            unpack(bytes, width, wanted, |number| {
                last = last.wrapping_add(least).wrapping_add(number as i64);
                numbers.push(last);
            });
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
                encode(&mut out, count, numbers.iter().copied());
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
        encode(&mut out, 300, (0..300).map(|number| number * number));
        for end in 0..out.len() {
            assert!(decode(&out[..end]).is_err());
        }
    }
}
