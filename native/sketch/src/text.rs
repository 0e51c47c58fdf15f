//! The texts of typed values whose text is the same everywhere: integers, DECIMAL, DATE.

use std::io::Write;

use crate::{Invalid, Result, hash::civil};

/// The longest text: a sign, 39 digits, a point.
pub const TEXT_MAX: usize = 48;

/// A text in place, for hashing.
pub struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    fn new() -> Self {
        Text {
            bytes: [0; TEXT_MAX],
            len: 0,
        }
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn write(mut self, arguments: std::fmt::Arguments<'_>) -> Self {
        let mut rest = &mut self.bytes[..];
        let before = rest.len();
        // No text of this module is longer than the place for it.
        let _ = rest.write_fmt(arguments);
        self.len = before - rest.len();
        self
    }
}

/// Decimal digits, with a minus where needed.
pub fn integer(value: i128) -> Text {
    Text::new().write(format_args!("{value}"))
}

/// An unsigned integer above the signed ones.
pub fn unsigned(value: u128) -> Text {
    Text::new().write(format_args!("{value}"))
}

/// An unscaled DECIMAL with all digits of its scale (at most 38).
pub fn decimal(unscaled: i128, scale: u8) -> Text {
    if scale == 0 {
        return integer(unscaled);
    }
    let unit = 10u128.pow(u32::from(scale.min(38)));
    let (sign, digits) = (if unscaled < 0 { "-" } else { "" }, unscaled.unsigned_abs());
    let width = usize::from(scale);
    Text::new().write(format_args!(
        "{sign}{}.{:0width$}",
        digits / unit,
        digits % unit
    ))
}

/// A DATE as `YYYY-MM-DD`.
pub fn date(days: i32) -> Result<Text> {
    let (year, month, day) = civil(i64::from(days));
    if !(0..=9999).contains(&year) {
        return Err(Invalid::Year(year));
    }
    Ok(Text::new().write(format_args!("{year:04}-{month:02}-{day:02}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &Text) -> &str {
        std::str::from_utf8(text.as_bytes()).unwrap()
    }

    #[test]
    fn texts_are_plain() {
        assert_eq!(
            shown(&integer(i128::MIN)),
            "-170141183460469231731687303715884105728"
        );
        assert_eq!(
            shown(&unsigned(u128::MAX)),
            "340282366920938463463374607431768211455"
        );
        assert_eq!(shown(&decimal(-5, 3)), "-0.005");
        assert_eq!(shown(&decimal(123_456, 2)), "1234.56");
        assert_eq!(shown(&decimal(-(10i128.pow(38) - 1), 38)).len(), 41);
        assert_eq!(shown(&date(19_782).unwrap()), "2024-02-29");
        assert!(date(i32::MAX).is_err());
    }
}
