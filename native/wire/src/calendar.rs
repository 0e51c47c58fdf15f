//! Numbers with leading zeros, and dates of the proleptic Gregorian calendar.

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// Append a number in decimal digits.
pub fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [0_u8; 20];
    let mut start = buffer.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        start -= 2;
        buffer[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        start -= 1;
        buffer[start] = b'0' + value as u8;
    }
    out.extend_from_slice(&buffer[start..]);
}

/// Append a number with at least `width` digits.
pub fn push_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut limit = 10;
    for _ in 1..width {
        if value < limit {
            out.push(b'0');
        }
        limit *= 10;
    }
    push_number(out, value);
}

/// Return year, month and day of a count of days since 1970-01-01.
pub fn date_of_days(days: i64) -> (i64, u64, u64) {
    // Years begin in March here, so that the leap day is a year's last; eras have 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u64, day as u64)
}

/// Return the count of days since 1970-01-01; None for a date that no calendar has.
pub fn days_of_date(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) {
        return None;
    }
    let shifted = year - i64::from(month <= 2);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(shifted.div_euclid(400) * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date_of_days(0), (1970, 1, 1));
        assert_eq!(date_of_days(-719_528), (0, 1, 1));
        assert_eq!(date_of_days(2_932_896), (9999, 12, 31));
        assert_eq!(date_of_days(11_016), (2000, 2, 29));
    }

    #[test]
    fn days_are_dates_and_back() {
        for days in (-719_528..2_932_896).step_by(97) {
            let (year, month, day) = date_of_days(days);
            assert_eq!(days_of_date(year, month as i64, day as i64), Some(days));
        }
        for (year, month, day) in [(2023, 2, 29), (2024, 13, 1), (2024, 4, 31), (2024, 1, 0)] {
            assert_eq!(days_of_date(year, month, day), None);
        }
    }

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        push_padded(&mut out, 7, 4);
        push_padded(&mut out, 1234, 4);
        push_padded(&mut out, 0, 1);
        push_number(&mut out, u64::MAX);
        assert_eq!(out, b"00071234018446744073709551615");
    }
}
