//! Scalar functions of bitmaps. Each takes NULLs itself.

use anabranch_bitmap::bitmap::Bitmap;
use anabranch_bitmap::bytes::{self, single};
use anabranch_bitmap::container::Operation;
use anabranch_bitmap::hash::{hash32, hash64};
use anabranch_sketch::base64;

use crate::Outcome;
use crate::api::{Api, Handle, types};
use crate::registration::{Scalar, scalar};
use crate::vectors::{Bytes, Input, Output};

const EMPTY: &[u8] = &[bytes::EMPTY];
/// The longest text that a bitmap is shown as.
const TEXT_MAX: usize = 16 << 20;

pub fn decoded(data: &[u8]) -> Result<Bitmap, String> {
    Bitmap::decode(data).map_err(|error| error.to_string())
}

/// Return the number that a text says: digits, with blanks around them.
fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    if !digits.first()?.is_ascii_digit() {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Write the bitmap of one number for each row, the empty one for what is none.
///
/// # Safety
/// `T` is the physical type of the input's column; the output is a BLOB column as long.
unsafe fn each_single<T: Copy>(
    input: Input,
    output: &Output,
    number: impl Fn(&T) -> Option<u64>,
) -> Outcome {
    let mut data = Vec::new();
    for row in 0..input.rows {
        // SAFETY: promised by the caller.
        unsafe {
            match input.get::<T>(row).as_ref().and_then(&number) {
                None => output.set_bytes(row, EMPTY),
                Some(number) => {
                    data.clear();
                    single(number, &mut data);
                    output.set_bytes(row, &data);
                }
            }
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn to_bitmap(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: each branch reads the physical type of its logical type.
    unsafe {
        let input = Input::new(chunk, 0);
        match input.type_of().0 {
            types::VARCHAR => each_single(input, &output, |v: &Bytes| number(v.as_slice())),
            types::BOOLEAN | types::UTINYINT => {
                each_single(input, &output, |v: &u8| Some(u64::from(*v)))
            }
            types::TINYINT => each_single(input, &output, |v: &i8| u64::try_from(*v).ok()),
            types::SMALLINT => each_single(input, &output, |v: &i16| u64::try_from(*v).ok()),
            types::INTEGER => each_single(input, &output, |v: &i32| u64::try_from(*v).ok()),
            types::BIGINT => each_single(input, &output, |v: &i64| u64::try_from(*v).ok()),
            types::HUGEINT => each_single(input, &output, |v: &i128| u64::try_from(*v).ok()),
            types::SQLNULL => each_single(input, &output, |_: &i32| None),
            _ => Err("to_bitmap takes no value of this type".to_owned()),
        }
    }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_hash(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the input is a VARCHAR column, the output BLOB.
    unsafe {
        each_single(Input::new(chunk, 0), &output, |v: &Bytes| {
            Some(u64::from(hash32(v.as_slice())))
        })
    }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_hash64(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the input is a VARCHAR column, the output BLOB.
    unsafe {
        each_single(Input::new(chunk, 0), &output, |v: &Bytes| {
            Some(hash64(v.as_slice()))
        })
    }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_empty(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the output has as many rows as the chunk.
    unsafe {
        let rows = (Api::get().chunk_size)(chunk) as usize;
        (0..rows).for_each(|row| output.set_bytes(row, EMPTY));
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_count(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the input is a BLOB column, the output BIGINT.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let count = match input.get::<Bytes>(row) {
                None => 0,
                Some(data) => decoded(data.as_slice())?.len(),
            };
            output.set_count(row, count);
        }
    }
    Ok(())
}

/// Write a BIGINT of each bitmap; NULL for NULL and for `None`.
///
/// # Safety
/// The input is a BLOB column, the output BIGINT.
unsafe fn each_count(
    chunk: Handle,
    output: &Output,
    count: impl Fn(&Bitmap) -> Option<u64>,
) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let found = match input.get::<Bytes>(row) {
                None => None,
                Some(data) => count(&decoded(data.as_slice())?),
            };
            match found {
                None => output.set_null(row),
                Some(found) => output.set_count(row, found),
            }
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_min(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe { each_count(chunk, &output, Bitmap::min) }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_max(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe { each_count(chunk, &output, Bitmap::max) }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_contains(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the inputs are BLOB and BIGINT columns, the output BOOLEAN.
    unsafe {
        let (bitmaps, numbers) = (Input::new(chunk, 0), Input::new(chunk, 1));
        for row in 0..bitmaps.rows {
            match (bitmaps.get::<Bytes>(row), numbers.get::<i64>(row)) {
                (Some(data), Some(number)) => {
                    let found = decoded(data.as_slice())?.contains(number as u64);
                    output.set_truth(row, found);
                }
                _ => output.set_null(row),
            }
        }
    }
    Ok(())
}

/// Call `write` with each row of two bitmaps; NULL where one is.
///
/// # Safety
/// Both inputs are BLOB columns.
unsafe fn each_pair(
    chunk: Handle,
    output: &Output,
    write: impl Fn(usize, Bitmap, Bitmap),
) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe {
        let (left, right) = (Input::new(chunk, 0), Input::new(chunk, 1));
        for row in 0..left.rows {
            match (left.get::<Bytes>(row), right.get::<Bytes>(row)) {
                (Some(one), Some(two)) => {
                    write(row, decoded(one.as_slice())?, decoded(two.as_slice())?);
                }
                _ => output.set_null(row),
            }
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn operate(operation: Operation, chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the inputs are BLOB columns, as is the output.
    unsafe {
        each_pair(chunk, &output, |row, left, right| {
            let mut data = Vec::new();
            Bitmap::operate(operation, left, right).encode(&mut data);
            output.set_bytes(row, &data);
        })
    }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_and(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe { operate(Operation::And, chunk, output) }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_xor(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe { operate(Operation::Xor, chunk, output) }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_not(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe { operate(Operation::Not, chunk, output) }
}

/// The union leaves NULLs out: it is NULL only for two of them.
///
/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_or(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the inputs are BLOB columns, as is the output.
    unsafe {
        let (left, right) = (Input::new(chunk, 0), Input::new(chunk, 1));
        let mut out = Vec::new();
        for row in 0..left.rows {
            let (one, two) = (left.get::<Bytes>(row), right.get::<Bytes>(row));
            let (Some(data), other) = (one.or(two), one.and(two)) else {
                output.set_null(row);
                continue;
            };
            let mut bitmap = decoded(data.as_slice())?;
            if let Some(other) = other {
                bitmap.unite(&decoded(other.as_slice())?);
            }
            out.clear();
            bitmap.encode(&mut out);
            output.set_bytes(row, &out);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_has_any(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the inputs are BLOB columns, the output is BOOLEAN.
    unsafe {
        each_pair(chunk, &output, |row, left, right| {
            let both = Bitmap::operate(Operation::And, left, right);
            output.set_truth(row, !both.is_empty());
        })
    }
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_has_all(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the inputs are BLOB columns, the output is BOOLEAN.
    unsafe {
        each_pair(chunk, &output, |row, left, right| {
            let missing = Bitmap::operate(Operation::Not, right, left);
            output.set_truth(row, missing.is_empty());
        })
    }
}

fn shown(bitmap: &Bitmap, text: &mut Vec<u8>) -> Outcome {
    use std::io::Write;
    bitmap.each(|number| {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{number}").is_ok() && text.len() <= TEXT_MAX
    });
    if text.len() > TEXT_MAX {
        return Err(format!(
            "the text of a bitmap is longer than {TEXT_MAX} bytes"
        ));
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_to_string(chunk: Handle, output: Output) -> Outcome {
    let mut text = Vec::new();
    // SAFETY: the input is a BLOB column, the output VARCHAR.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let Some(data) = input.get::<Bytes>(row) else {
                output.set_null(row);
                continue;
            };
            text.clear();
            shown(&decoded(data.as_slice())?, &mut text)?;
            output.set_bytes(row, &text);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_from_string(chunk: Handle, output: Output) -> Outcome {
    let mut data = Vec::new();
    // SAFETY: the input is a VARCHAR column, the output BLOB.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let bitmap: Option<Bitmap> = input.get::<Bytes>(row).and_then(|text| {
                let parts = text.as_slice().split(|&byte| byte == b',');
                parts.map(number).collect()
            });
            let Some(bitmap) = bitmap else {
                output.set_null(row);
                continue;
            };
            data.clear();
            bitmap.encode(&mut data);
            output.set_bytes(row, &data);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_to_base64(chunk: Handle, output: Output) -> Outcome {
    let mut text = Vec::new();
    // SAFETY: the input is a BLOB column, the output VARCHAR.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let Some(data) = input.get::<Bytes>(row) else {
                output.set_null(row);
                continue;
            };
            decoded(data.as_slice())?;
            text.clear();
            base64::encode(data.as_slice(), &mut text);
            output.set_bytes(row, &text);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn bitmap_from_base64(chunk: Handle, output: Output) -> Outcome {
    let mut out = Vec::new();
    // SAFETY: the input is a VARCHAR column, the output BLOB.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let text = input.get::<Bytes>(row);
            let text = text.as_ref().map(|text| text.as_slice());
            let Some((text, data)) = text.and_then(|text| Some((text, base64::decode(text)?)))
            else {
                output.set_null(row);
                continue;
            };
            let Ok(bitmap) = Bitmap::decode(&data) else {
                let text = String::from_utf8_lossy(&text[..text.len().min(100)]);
                return Err(format!("bitmap_from_base64 decode failed: base64: {text}"));
            };
            // Other writers have other forms: what is kept is ours, so that equal sets are equal.
            out.clear();
            bitmap.encode(&mut out);
            output.set_bytes(row, &out);
        }
    }
    Ok(())
}

scalar!(call_to_bitmap, to_bitmap);
scalar!(call_hash, bitmap_hash);
scalar!(call_hash64, bitmap_hash64);
scalar!(call_empty, bitmap_empty);
scalar!(call_count, bitmap_count);
scalar!(call_min, bitmap_min);
scalar!(call_max, bitmap_max);
scalar!(call_contains, bitmap_contains);
scalar!(call_and, bitmap_and);
scalar!(call_or, bitmap_or);
scalar!(call_xor, bitmap_xor);
scalar!(call_not, bitmap_not);
scalar!(call_has_any, bitmap_has_any);
scalar!(call_has_all, bitmap_has_all);
scalar!(call_to_string, bitmap_to_string);
scalar!(call_from_string, bitmap_from_string);
scalar!(call_to_base64, bitmap_to_base64);
scalar!(call_from_base64, bitmap_from_base64);

const TEXT: &[u32] = &[types::VARCHAR];
const ONE: &[u32] = &[types::BLOB];
const TWO: &[u32] = &[types::BLOB, types::BLOB];
const NUMBERED: &[u32] = &[types::BLOB, types::BIGINT];

const SCALARS: [Scalar; 18] = [
    Scalar::pure(c"to_bitmap", &[types::ANY], types::BLOB, call_to_bitmap),
    Scalar::pure(c"bitmap_hash", TEXT, types::BLOB, call_hash),
    Scalar::pure(c"bitmap_hash64", TEXT, types::BLOB, call_hash64),
    Scalar::pure(c"bitmap_empty", &[], types::BLOB, call_empty),
    Scalar::pure(c"bitmap_count", ONE, types::BIGINT, call_count),
    Scalar::pure(c"bitmap_min", ONE, types::BIGINT, call_min),
    Scalar::pure(c"bitmap_max", ONE, types::BIGINT, call_max),
    Scalar::pure(c"bitmap_contains", NUMBERED, types::BOOLEAN, call_contains),
    Scalar::pure(c"bitmap_and", TWO, types::BLOB, call_and),
    Scalar::pure(c"bitmap_or", TWO, types::BLOB, call_or),
    Scalar::pure(c"bitmap_xor", TWO, types::BLOB, call_xor),
    Scalar::pure(c"bitmap_not", TWO, types::BLOB, call_not),
    Scalar::pure(c"bitmap_has_any", TWO, types::BOOLEAN, call_has_any),
    Scalar::pure(c"bitmap_has_all", TWO, types::BOOLEAN, call_has_all),
    Scalar::pure(c"bitmap_to_string", ONE, types::VARCHAR, call_to_string),
    Scalar::pure(c"bitmap_from_string", TEXT, types::BLOB, call_from_string),
    Scalar::pure(c"bitmap_to_base64", ONE, types::VARCHAR, call_to_base64),
    Scalar::pure(c"bitmap_from_base64", TEXT, types::BLOB, call_from_base64),
];

/// # Safety
/// `connection` is an open connection.
pub unsafe fn register(api: &Api, connection: Handle) -> bool {
    // SAFETY: promised by the caller.
    SCALARS
        .iter()
        .all(|scalar| unsafe { scalar.register(api, connection) })
}
