//! Scalar functions. Each takes NULLs itself.

use anabranch_sketch::bytes::{View, single};
use anabranch_sketch::hash::hash;
use anabranch_sketch::text::{self, Text};
use anabranch_sketch::{base64, estimate};

use crate::Outcome;
use crate::api::{Api, Handle, types};
use crate::memory;
use crate::registration::{Scalar, scalar};
use crate::vectors::{Bytes, Input, Output};

const EMPTY: &[u8] = &[anabranch_sketch::bytes::EMPTY];

/// # Safety
/// `T` is the physical type of the input's column; the output is a BLOB column as long.
unsafe fn hash_texts<T: Copy>(
    input: Input,
    output: &Output,
    text: impl Fn(T) -> anabranch_sketch::Result<Text>,
) -> Outcome {
    for row in 0..input.rows {
        // SAFETY: promised by the caller.
        unsafe {
            match input.get::<T>(row) {
                None => output.set_bytes(row, EMPTY),
                Some(value) => {
                    let text = text(value).map_err(|error| error.to_string())?;
                    output.set_bytes(row, &single(hash(text.as_bytes())));
                }
            }
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_hash(chunk: Handle, output: Output) -> Outcome {
    let integer = |value: i128| Ok(text::integer(value));
    // SAFETY: each branch reads the physical type of its logical type.
    unsafe {
        let input = Input::new(chunk, 0);
        let (id, scale, below) = input.type_of();
        let decimal = |value: i128| Ok(text::decimal(value, scale));
        match (id, below) {
            (types::VARCHAR, _) => {
                for row in 0..input.rows {
                    match input.get::<Bytes>(row) {
                        None => output.set_bytes(row, EMPTY),
                        Some(value) => output.set_bytes(row, &single(hash(value.as_slice()))),
                    }
                }
                Ok(())
            }
            (types::TINYINT, _) => hash_texts(input, &output, |v: i8| integer(v.into())),
            (types::SMALLINT, _) => hash_texts(input, &output, |v: i16| integer(v.into())),
            (types::INTEGER, _) => hash_texts(input, &output, |v: i32| integer(v.into())),
            (types::BIGINT, _) => hash_texts(input, &output, |v: i64| integer(v.into())),
            (types::HUGEINT, _) => hash_texts(input, &output, integer),
            (types::UTINYINT, _) => hash_texts(input, &output, |v: u8| integer(v.into())),
            (types::USMALLINT, _) => hash_texts(input, &output, |v: u16| integer(v.into())),
            (types::UINTEGER, _) => hash_texts(input, &output, |v: u32| integer(v.into())),
            (types::UBIGINT, _) => hash_texts(input, &output, |v: u64| integer(v.into())),
            (types::UHUGEINT, _) => hash_texts(input, &output, |v: u128| Ok(text::unsigned(v))),
            (types::DATE, _) => hash_texts(input, &output, text::date),
            (types::DECIMAL, types::SMALLINT) => {
                hash_texts(input, &output, |v: i16| decimal(v.into()))
            }
            (types::DECIMAL, types::INTEGER) => {
                hash_texts(input, &output, |v: i32| decimal(v.into()))
            }
            (types::DECIMAL, types::BIGINT) => {
                hash_texts(input, &output, |v: i64| decimal(v.into()))
            }
            (types::DECIMAL, types::HUGEINT) => hash_texts(input, &output, decimal),
            (types::SQLNULL, _) => {
                (0..input.rows).for_each(|row| output.set_bytes(row, EMPTY));
                Ok(())
            }
            _ => Err("hll_hash takes no value of this type: cast it to VARCHAR".to_owned()),
        }
    }
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_empty(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the output has as many rows as the chunk.
    unsafe {
        let rows = (Api::get().chunk_size)(chunk) as usize;
        (0..rows).for_each(|row| output.set_bytes(row, EMPTY));
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_cardinality(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the input is a BLOB column, the output BIGINT.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let count = match input.get::<Bytes>(row) {
                None => 0,
                Some(data) => {
                    let view = View::parse(data.as_slice()).map_err(|error| error.to_string())?;
                    estimate::by_view(&view)
                }
            };
            output.set_count(row, count);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_to_base64(chunk: Handle, output: Output) -> Outcome {
    let mut text = Vec::new();
    // SAFETY: the input is a BLOB column, the output VARCHAR.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let Some(data) = input.get::<Bytes>(row) else {
                output.set_null(row);
                continue;
            };
            View::parse(data.as_slice()).map_err(|error| error.to_string())?;
            text.clear();
            base64::encode(data.as_slice(), &mut text);
            output.set_bytes(row, &text);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_from_base64(chunk: Handle, output: Output) -> Outcome {
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
            if View::parse(&data).is_err() {
                let text = String::from_utf8_lossy(text);
                return Err(format!("hll_from_base64 decode failed: base64: {text}"));
            }
            output.set_bytes(row, &data);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_memory(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the output is BIGINT and as long as the chunk.
    unsafe {
        let rows = (Api::get().chunk_size)(chunk) as usize;
        (0..rows).for_each(|row| output.set_count(row, memory::used()));
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn hll_memory_max(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: input and output are BIGINT.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let Some(most) = input
                .get::<i64>(row)
                .and_then(|most| u64::try_from(most).ok())
            else {
                return Err("hll_memory_max takes a number of bytes".to_owned());
            };
            memory::allow(most);
            output.set_count(row, most);
        }
    }
    Ok(())
}

scalar!(call_hash, hll_hash);
scalar!(call_empty, hll_empty);
scalar!(call_cardinality, hll_cardinality);
scalar!(call_to_base64, hll_to_base64);
scalar!(call_from_base64, hll_from_base64);
scalar!(call_memory, hll_memory);
scalar!(call_memory_max, hll_memory_max);

const SCALARS: [Scalar; 7] = [
    Scalar::pure(c"hll_hash", &[types::ANY], types::BLOB, call_hash),
    Scalar::pure(c"hll_empty", &[], types::BLOB, call_empty),
    Scalar::pure(
        c"hll_cardinality",
        &[types::BLOB],
        types::BIGINT,
        call_cardinality,
    ),
    Scalar::pure(
        c"hll_to_base64",
        &[types::BLOB],
        types::VARCHAR,
        call_to_base64,
    ),
    Scalar::pure(
        c"hll_from_base64",
        &[types::VARCHAR],
        types::BLOB,
        call_from_base64,
    ),
    Scalar::volatile(c"hll_memory", &[], types::BIGINT, call_memory),
    Scalar::volatile(
        c"hll_memory_max",
        &[types::BIGINT],
        types::BIGINT,
        call_memory_max,
    ),
];

/// # Safety
/// `connection` is an open connection.
pub unsafe fn register(api: &Api, connection: Handle) -> bool {
    // SAFETY: promised by the caller.
    SCALARS
        .iter()
        .all(|scalar| unsafe { scalar.register(api, connection) })
}
