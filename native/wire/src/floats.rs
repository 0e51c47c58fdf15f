//! Floating-point numbers in the fewest digits that read back as the same number.
//!
//! As Doris writes them: plain from 1e-4 to below 1e16, else with an exponent of at least two
//! digits and a sign; whole numbers without a point.

use std::io::Write;

const PLAIN_EXPONENT_MIN: i32 = -4;
const PLAIN_EXPONENT_MAX: i32 = 15;

pub fn push_f32(out: &mut Vec<u8>, value: f32) {
    if value.is_finite() {
        push(out, format_args!("{value:e}"));
    } else {
        push_special(out, f64::from(value));
    }
}

pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        push(out, format_args!("{value:e}"));
    } else {
        push_special(out, value);
    }
}

fn push_special(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(if value.is_nan() {
        b"NaN"
    } else if value > 0.0 {
        b"Infinity"
    } else {
        b"-Infinity"
    });
}

/// Rewrite `-d.dddde-n`, which the standard library makes.
fn push(out: &mut Vec<u8>, scientific: std::fmt::Arguments<'_>) {
    let mut buffer = [0_u8; 40];
    let mut cursor = std::io::Cursor::new(&mut buffer[..]);
    cursor
        .write_fmt(scientific)
        .expect("a number has under 40 characters");
    let length = cursor.position() as usize;
    let mut text = &buffer[..length];
    if text[0] == b'-' {
        out.push(b'-');
        text = &text[1..];
    }
    let mark = text
        .iter()
        .position(|byte| *byte == b'e')
        .expect("an exponent is always written");
    let exponent: i32 = std::str::from_utf8(&text[mark + 1..])
        .ok()
        .and_then(|digits| digits.parse().ok())
        .expect("an exponent is a number");
    let (first, rest) = (text[0], if mark > 2 { &text[2..mark] } else { &[] });
    match exponent {
        PLAIN_EXPONENT_MIN..0 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-exponent - 1) as usize));
            out.push(first);
            out.extend_from_slice(rest);
        }
        0..=PLAIN_EXPONENT_MAX => {
            let whole = exponent as usize;
            out.push(first);
            if rest.len() <= whole {
                out.extend_from_slice(rest);
                out.extend(std::iter::repeat_n(b'0', whole - rest.len()));
            } else {
                out.extend_from_slice(&rest[..whole]);
                out.push(b'.');
                out.extend_from_slice(&rest[whole..]);
            }
        }
        _ => {
            out.push(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            crate::calendar::push_padded(out, u64::from(exponent.unsigned_abs()), 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_f64(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (-1234.5, "-1234.5"),
            (0.0001, "0.0001"),
            (0.000_012, "1.2e-05"),
            (1e15, "1000000000000000"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(value), expected);
        }
        let mut out = Vec::new();
        push_f32(&mut out, 2.000_000_2);
        assert_eq!(out, b"2.0000002");
    }
}
