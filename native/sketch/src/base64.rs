//! Base64 with the standard alphabet and padding.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE: u8 = 255;

const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut place = 0;
    while place < 64 {
        values[ALPHABET[place] as usize] = place as u8;
        place += 1;
    }
    values
};

/// Append the text of `data`.
pub fn encode(data: &[u8], out: &mut Vec<u8>) {
    out.reserve(data.len().div_ceil(3) * 4);
    for part in data.chunks(3) {
        let word = part.iter().enumerate().fold(0, |word, (place, &byte)| {
            word | u32::from(byte) << (16 - 8 * place)
        });
        for place in 0..4 {
            let filled = place <= part.len();
            let digit = ALPHABET[(word >> (18 - 6 * place) & 63) as usize];
            out.push(if filled { digit } else { b'=' });
        }
    }
}

/// Return the bytes of `text`, or `None` when its length or a character is not base64's.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, rest) = text.as_chunks::<4>();
    if !rest.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(groups.len() * 3);
    for (place, group) in groups.iter().enumerate() {
        let padding = match group {
            [_, _, b'=', b'='] => 2,
            [_, _, _, b'='] => 1,
            _ => 0,
        };
        if padding > 0 && place + 1 < groups.len() {
            return None;
        }
        let mut word = 0u32;
        for &digit in &group[..4 - padding] {
            let value = VALUES[usize::from(digit)];
            if value == NONE {
                return None;
            }
            word = word << 6 | u32::from(value);
        }
        word <<= 6 * padding;
        out.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    Some(out)
}
