//! The three CRCs of S3. Each is a plain number that can be carried on: `update` of a prefix's value
//! with the rest gives the value of the whole, and `combine` joins values of neighbouring runs.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

/// Which CRC; the names are S3's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crc {
    Crc32,
    Crc32c,
    Crc64Nvme,
}

impl Crc {
    fn algorithm(self) -> CrcAlgorithm {
        match self {
            Crc::Crc32 => CrcAlgorithm::Crc32IsoHdlc,
            Crc::Crc32c => CrcAlgorithm::Crc32Iscsi,
            Crc::Crc64Nvme => CrcAlgorithm::Crc64Nvme,
        }
    }

    /// All three end by inverting the register, which is therefore `value ^ mask`.
    fn mask(self) -> u64 {
        match self {
            Crc::Crc32 | Crc::Crc32c => 0xffff_ffff,
            Crc::Crc64Nvme => u64::MAX,
        }
    }
}

/// The CRC of `before + data`, given that of `before` (0 for nothing).
pub fn update(crc: Crc, before: u64, data: &[u8]) -> u64 {
    let mut digest = Digest::new_with_init_state(crc.algorithm(), before ^ crc.mask());
    digest.update(data);
    digest.finalize()
}

/// The CRC of two runs of bytes, given the CRC of each and the length of the second.
pub fn combine(crc: Crc, first: u64, second: u64, second_bytes: u64) -> u64 {
    checksum_combine(crc.algorithm(), first, second, second_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_catalogue() {
        assert_eq!(update(Crc::Crc32, 0, b"123456789"), 0xcbf4_3926);
        assert_eq!(update(Crc::Crc32c, 0, b"123456789"), 0xe306_9283);
        assert_eq!(
            update(Crc::Crc64Nvme, 0, b"123456789"),
            0xae8b_1486_0a79_9888
        );
    }

    #[test]
    fn a_value_is_carried_on_and_joined() {
        for crc in [Crc::Crc32, Crc::Crc32c, Crc::Crc64Nvme] {
            let (first, second) = (update(crc, 0, b"1234"), update(crc, 0, b"56789"));
            let whole = update(crc, 0, b"123456789");
            assert_eq!(update(crc, first, b"56789"), whole);
            assert_eq!(combine(crc, first, second, 5), whole);
        }
    }
}
