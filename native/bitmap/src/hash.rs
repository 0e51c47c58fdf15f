//! The hashes of `bitmap_hash` and `bitmap_hash64`: MurmurHash3, as Doris has it.

/// The seed that Doris gives to the hash of 32 bits.
const SEED: u32 = 104_729;

fn word<const N: usize>(data: &[u8]) -> u64 {
    debug_assert!(data.len() <= N);
    data.iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Return MurmurHash3 of 32 bits.
pub fn hash32(data: &[u8]) -> u32 {
    let mixed = |word: u64| {
        (word as u32)
            .wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let (blocks, rest) = data.as_chunks::<4>();
    let mut hash = SEED;
    for block in blocks {
        hash ^= mixed(u64::from(u32::from_le_bytes(*block)));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    hash ^= mixed(word::<3>(rest));
    hash ^= data.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// Return MurmurHash3 of 64 bits: one lane, seed 0.
pub fn hash64(data: &[u8]) -> u64 {
    let mixed = |word: u64| {
        word.wrapping_mul(0x87c3_7b91_1142_53d5)
            .rotate_left(31)
            .wrapping_mul(0x4cf5_ad43_2745_937f)
    };
    let (blocks, rest) = data.as_chunks::<8>();
    let mut hash = 0u64;
    for block in blocks {
        hash ^= mixed(u64::from_le_bytes(*block));
        hash = hash
            .rotate_left(27)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
    }
    hash ^= mixed(word::<7>(rest));
    hash ^= data.len() as u64;
    hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_doris() {
        assert_eq!(hash32(b"hello"), 1_321_743_225);
        assert_eq!(hash32(b"world"), 2_453_398_188);
        assert_eq!(hash64(b"hello"), 15_231_136_565_543_391_023);
    }
}
