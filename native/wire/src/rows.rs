//! Rows of MySQL's protocol, in its text and its binary form, from Arrow columns.
//!
//! Each row is one packet: three bytes of length, one of sequence, then the cells. A row of
//! 2^24 - 1 bytes or more goes on in further packets, the last of them shorter than that.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use crate::calendar::{date_of_days, push_number, push_padded};
use crate::floats;

pub const PACKET_BYTES_MAX: usize = 0xFF_FFFF;
const NULL_CELL: u8 = 0xFB;
const DAY_US: i64 = 86_400_000_000;

/// A column whose type has no form in MySQL's protocol.
#[derive(Debug)]
pub struct Unsupported(pub String);

enum Cells<'a> {
    Null,
    Bool(&'a arrow_array::BooleanArray),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal(&'a [i128], usize),
    LargeInt(&'a arrow_array::FixedSizeBinaryArray),
    Date(&'a [i32]),
    Datetime(&'a [i64], usize),
    Time(&'a [i64], usize),
    Text(&'a [i32], &'a [u8]),
    LargeText(&'a [i64], &'a [u8]),
}

struct Column<'a> {
    cells: Cells<'a>,
    nulls: Option<&'a arrow_buffer::NullBuffer>,
}

fn column<'a>(array: &'a ArrayRef, digits: usize) -> Result<Column<'a>, Unsupported> {
    let cells = match array.data_type() {
        DataType::Null => Cells::Null,
        DataType::Boolean => Cells::Bool(array.as_boolean()),
        DataType::Int8 => Cells::Int8(array.as_primitive::<Int8Type>().values()),
        DataType::Int16 => Cells::Int16(array.as_primitive::<Int16Type>().values()),
        DataType::Int32 => Cells::Int32(array.as_primitive::<Int32Type>().values()),
        DataType::Int64 => Cells::Int64(array.as_primitive::<Int64Type>().values()),
        DataType::Float32 => Cells::Float32(array.as_primitive::<Float32Type>().values()),
        DataType::Float64 => Cells::Float64(array.as_primitive::<Float64Type>().values()),
        DataType::Decimal128(_, scale) if *scale >= 0 => Cells::Decimal(
            array.as_primitive::<Decimal128Type>().values(),
            *scale as usize,
        ),
        DataType::Date32 => Cells::Date(array.as_primitive::<Date32Type>().values()),
        DataType::Timestamp(TimeUnit::Microsecond, None) => Cells::Datetime(
            array.as_primitive::<TimestampMicrosecondType>().values(),
            digits.min(6),
        ),
        DataType::FixedSizeBinary(16) => Cells::LargeInt(array.as_fixed_size_binary()),
        DataType::Duration(TimeUnit::Microsecond) => Cells::Time(
            array.as_primitive::<DurationMicrosecondType>().values(),
            digits.min(6),
        ),
        DataType::Time64(TimeUnit::Microsecond) => Cells::Time(
            array.as_primitive::<Time64MicrosecondType>().values(),
            digits.min(6),
        ),
        DataType::Utf8 => {
            let text = array.as_string::<i32>();
            Cells::Text(text.value_offsets(), text.value_data())
        }
        DataType::Binary => {
            let bytes = array.as_binary::<i32>();
            Cells::Text(bytes.value_offsets(), bytes.value_data())
        }
        DataType::LargeUtf8 => {
            let text = array.as_string::<i64>();
            Cells::LargeText(text.value_offsets(), text.value_data())
        }
        DataType::LargeBinary => {
            let bytes = array.as_binary::<i64>();
            Cells::LargeText(bytes.value_offsets(), bytes.value_data())
        }
        other => return Err(Unsupported(other.to_string())),
    };
    Ok(Column {
        cells,
        nulls: array.nulls(),
    })
}

/// Append a length as MySQL's length-encoded integer.
pub fn push_length(out: &mut Vec<u8>, length: usize) {
    match length {
        0..=250 => out.push(length as u8),
        251..=0xFFFF => {
            out.push(0xFC);
            out.extend_from_slice(&(length as u16).to_le_bytes());
        }
        0x1_0000..=0xFF_FFFF => {
            out.push(0xFD);
            out.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
        }
        _ => {
            out.push(0xFE);
            out.extend_from_slice(&(length as u64).to_le_bytes());
        }
    }
}

fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    push_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Write a cell shorter than 251 bytes and its length before it.
fn push_short(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.push(0);
    write(out);
    let length = out.len() - start - 1;
    debug_assert!(length <= 250);
    out[start] = length as u8;
}

fn push_integer(out: &mut Vec<u8>, value: i64) {
    push_short(out, |out| {
        if value < 0 {
            out.push(b'-');
        }
        push_number(out, value.unsigned_abs());
    });
}

fn push_decimal(out: &mut Vec<u8>, value: i128, scale: usize) {
    push_short(out, |out| {
        if value < 0 {
            out.push(b'-');
        }
        let rest = value.unsigned_abs();
        let start = out.len();
        match u64::try_from(rest) {
            Ok(small) => push_number(out, small),
            Err(_) => out.extend_from_slice(rest.to_string().as_bytes()),
        }
        if scale == 0 {
            return;
        }
        let digits = out.len() - start;
        if digits <= scale {
            let zeros = scale + 1 - digits;
            out.splice(start..start, std::iter::repeat_n(b'0', zeros));
        }
        let point = out.len() - scale;
        out.insert(point, b'.');
    });
}

fn push_fraction(out: &mut Vec<u8>, micros: u64, digits: usize) {
    if digits > 0 {
        out.push(b'.');
        push_padded(out, micros / 10_u64.pow(6 - digits as u32), digits);
    }
}

fn push_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = date_of_days(days);
    if year < 0 {
        out.push(b'-');
    }
    push_padded(out, year.unsigned_abs(), 4);
    out.push(b'-');
    push_padded(out, month, 2);
    out.push(b'-');
    push_padded(out, day, 2);
}

fn push_clock(out: &mut Vec<u8>, micros: u64, digits: usize) {
    let seconds = micros / 1_000_000;
    push_padded(out, seconds / 3600, 2);
    out.push(b':');
    push_padded(out, seconds / 60 % 60, 2);
    out.push(b':');
    push_padded(out, seconds % 60, 2);
    push_fraction(out, micros % 1_000_000, digits);
}

fn push_text(out: &mut Vec<u8>, cells: &Cells<'_>, row: usize) {
    match cells {
        Cells::Null => out.push(NULL_CELL),
        Cells::Bool(values) => push_bytes(out, if values.value(row) { b"1" } else { b"0" }),
        Cells::Int8(values) => push_integer(out, i64::from(values[row])),
        Cells::Int16(values) => push_integer(out, i64::from(values[row])),
        Cells::Int32(values) => push_integer(out, i64::from(values[row])),
        Cells::Int64(values) => push_integer(out, values[row]),
        Cells::Float32(values) => push_short(out, |out| floats::push_f32(out, values[row])),
        Cells::Float64(values) => push_short(out, |out| floats::push_f64(out, values[row])),
        Cells::Decimal(values, scale) => push_decimal(out, values[row], *scale),
        Cells::LargeInt(values) => {
            // Big-endian with the sign bit flipped, so that bytes order as the numbers do.
            let mut bytes = [0; 16];
            bytes.copy_from_slice(values.value(row));
            bytes[0] ^= 0x80;
            push_decimal(out, i128::from_be_bytes(bytes), 0);
        }
        Cells::Date(values) => push_short(out, |out| push_date(out, i64::from(values[row]))),
        Cells::Datetime(values, digits) => push_short(out, |out| {
            push_date(out, values[row].div_euclid(DAY_US));
            out.push(b' ');
            push_clock(out, values[row].rem_euclid(DAY_US) as u64, *digits);
        }),
        Cells::Time(values, digits) => push_short(out, |out| {
            if values[row] < 0 {
                out.push(b'-');
            }
            push_clock(out, values[row].unsigned_abs(), *digits);
        }),
        Cells::Text(offsets, data) => {
            push_bytes(out, &data[offsets[row] as usize..offsets[row + 1] as usize])
        }
        Cells::LargeText(offsets, data) => {
            push_bytes(out, &data[offsets[row] as usize..offsets[row + 1] as usize])
        }
    }
}

fn push_binary_clock(out: &mut Vec<u8>, micros: u64) {
    let seconds = micros / 1_000_000;
    out.push((seconds / 3600 % 24) as u8);
    out.push((seconds / 60 % 60) as u8);
    out.push((seconds % 60) as u8);
    if !micros.is_multiple_of(1_000_000) {
        out.extend_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
    }
}

fn push_binary_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = date_of_days(days);
    out.extend_from_slice(&(year as u16).to_le_bytes());
    out.push(month as u8);
    out.push(day as u8);
}

fn push_binary(out: &mut Vec<u8>, cells: &Cells<'_>, row: usize) {
    match cells {
        Cells::Null => {}
        Cells::Bool(values) => out.push(u8::from(values.value(row))),
        Cells::Int8(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Cells::Int16(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Cells::Int32(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Cells::Int64(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Cells::Float32(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Cells::Float64(values) => out.extend_from_slice(&values[row].to_le_bytes()),
        Cells::Date(values) => push_short(out, |out| {
            push_binary_date(out, i64::from(values[row]));
        }),
        Cells::Datetime(values, digits) => push_short(out, |out| {
            let unit = 10_i64.pow(6 - *digits as u32);
            let value = values[row].div_euclid(unit) * unit;
            push_binary_date(out, value.div_euclid(DAY_US));
            let micros = value.rem_euclid(DAY_US) as u64;
            if micros > 0 {
                push_binary_clock(out, micros);
            }
        }),
        Cells::Time(values, digits) => push_short(out, |out| {
            let unit = 10_u64.pow(6 - *digits as u32);
            let micros = values[row].unsigned_abs() / unit * unit;
            if micros > 0 {
                out.push(u8::from(values[row] < 0));
                out.extend_from_slice(&((micros / DAY_US as u64) as u32).to_le_bytes());
                push_binary_clock(out, micros);
            }
        }),
        _ => push_text(out, cells, row),
    }
}

fn push_row(out: &mut Vec<u8>, columns: &[Column<'_>], row: usize, is_binary: bool) {
    if !is_binary {
        for column in columns {
            if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                out.push(NULL_CELL);
            } else {
                push_text(out, &column.cells, row);
            }
        }
        return;
    }
    out.push(0);
    // Bit i + 2 of the map stands for column i.
    let map = out.len();
    out.resize(map + (columns.len() + 9) / 8, 0);
    for (index, column) in columns.iter().enumerate() {
        let is_null = matches!(column.cells, Cells::Null)
            || column.nulls.is_some_and(|nulls| nulls.is_null(row));
        if is_null {
            out[map + (index + 2) / 8] |= 1 << ((index + 2) % 8);
        } else {
            push_binary(out, &column.cells, row);
        }
    }
}

/// Put the head before the packet whose payload begins at `start + 4`; split it if need be.
fn close_packet(out: &mut Vec<u8>, start: usize, sequence: &mut u8) {
    let length = out.len() - start - 4;
    if length < PACKET_BYTES_MAX {
        out[start..start + 3].copy_from_slice(&(length as u32).to_le_bytes()[..3]);
        out[start + 3] = *sequence;
        *sequence = sequence.wrapping_add(1);
        return;
    }
    let payload = out.split_off(start + 4);
    out.truncate(start);
    let mut rest = payload.as_slice();
    loop {
        let length = rest.len().min(PACKET_BYTES_MAX);
        out.extend_from_slice(&(length as u32).to_le_bytes()[..3]);
        out.push(*sequence);
        *sequence = sequence.wrapping_add(1);
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
        if length < PACKET_BYTES_MAX {
            return;
        }
    }
}

/// Return the packets of `rows` rows, the first of them numbered `sequence`, and the next number.
///
/// `digits` has one number for each column: the fractional digits of a time.
pub fn encode(
    arrays: &[ArrayRef],
    digits: &[u8],
    rows: usize,
    mut sequence: u8,
    is_binary: bool,
) -> Result<(Vec<u8>, u8), Unsupported> {
    let columns = arrays
        .iter()
        .zip(digits)
        .map(|(array, digits)| column(array, usize::from(*digits)))
        .collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = arrays
        .iter()
        .map(|array| array.get_buffer_memory_size())
        .sum();
    let mut out = Vec::with_capacity(rows * (4 + 2 * columns.len()) + bytes.min(4 << 20));
    for row in 0..rows {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        push_row(&mut out, &columns, row, is_binary);
        close_packet(&mut out, start, &mut sequence);
    }
    Ok((out, sequence))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BinaryArray, Int32Array};

    use super::*;

    #[test]
    fn a_row_of_the_largest_packet_is_followed_by_an_empty_one() {
        let cell = vec![b'x'; PACKET_BYTES_MAX - 4];
        let array: ArrayRef = Arc::new(BinaryArray::from(vec![cell.as_slice()]));
        let (out, next) = encode(&[array], &[0], 1, 255, false).unwrap();
        assert_eq!(&out[..8], &[0xFF, 0xFF, 0xFF, 255, 0xFD, 0xFB, 0xFF, 0xFF]);
        assert_eq!(&out[out.len() - 4..], &[0, 0, 0, 0]);
        assert_eq!(next, 1);
    }

    #[test]
    fn nulls_are_marked() {
        let array: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
        let (out, _) = encode(std::slice::from_ref(&array), &[0], 2, 0, false).unwrap();
        assert_eq!(out, [2, 0, 0, 0, 1, b'7', 1, 0, 0, 1, 0xFB]);
        let (out, _) = encode(&[array], &[0], 2, 0, true).unwrap();
        assert_eq!(out, [6, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 1, 0, 4]);
    }
}
