//! Columns of a chunk, read and written in place.

use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::Outcome;
use crate::api::{Api, Handle};

/// A string of DuckDB: up to 12 bytes in place, more behind a pointer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    length: u32,
    place: [u8; 12],
}

const IN_PLACE: usize = 12;

impl Bytes {
    /// # Safety
    /// The vector that it was read from is alive.
    #[inline(always)]
    pub unsafe fn as_slice(&self) -> &[u8] {
        let length = self.length as usize;
        if length <= IN_PLACE {
            return &self.place[..length];
        }
        let mut pointer = [0; 8];
        pointer.copy_from_slice(&self.place[4..]);
        let pointer = usize::from_ne_bytes(pointer) as *const u8;
        // SAFETY: a long string has its prefix in the first four bytes, then this pointer.
        unsafe { std::slice::from_raw_parts(pointer, length) }
    }

    /// A string of at most 12 bytes.
    #[inline(always)]
    fn short(data: &[u8]) -> Self {
        let mut place = [0; IN_PLACE];
        place[..data.len()].copy_from_slice(data);
        Bytes {
            length: data.len() as u32,
            place,
        }
    }
}

/// A column of a chunk that DuckDB has flattened.
#[derive(Clone, Copy)]
pub struct Input {
    pub vector: Handle,
    data: *const u8,
    validity: *const u64,
    pub rows: usize,
}

impl Input {
    /// # Safety
    /// `chunk` is a chunk with more than `column` columns.
    pub unsafe fn new(chunk: Handle, column: u64) -> Self {
        let api = Api::get();
        // SAFETY: promised by the caller.
        unsafe {
            let vector = (api.chunk_vector)(chunk, column);
            Input {
                vector,
                data: (api.vector_data)(vector).cast(),
                validity: (api.vector_validity)(vector),
                rows: (api.chunk_size)(chunk) as usize,
            }
        }
    }

    #[inline(always)]
    fn is_valid(&self, row: usize) -> bool {
        // SAFETY: the bitmap has a bit for each row; none at all means no nulls.
        self.validity.is_null() || unsafe { *self.validity.add(row / 64) >> (row % 64) & 1 == 1 }
    }

    /// Return the value of a row, or `None` for NULL.
    ///
    /// # Safety
    /// `T` is the physical type of the column, and `row` is one of its rows.
    #[inline(always)]
    pub unsafe fn get<T: Copy>(&self, row: usize) -> Option<T> {
        // SAFETY: promised by the caller; DuckDB aligns to the type, and this asks for nothing.
        self.is_valid(row)
            .then(|| unsafe { self.data.cast::<T>().add(row).read_unaligned() })
    }

    /// The type's number, and for DECIMAL its scale and the number of the integer below.
    pub fn type_of(&self) -> (u32, u8, u32) {
        let api = Api::get();
        // SAFETY: the type is asked only as its number allows, and destroyed once.
        unsafe {
            let mut logical = (api.vector_type)(self.vector);
            let id = (api.type_id)(logical);
            let (scale, below) = if id == crate::api::types::DECIMAL {
                (
                    (api.decimal_scale)(logical),
                    (api.decimal_internal_type)(logical),
                )
            } else {
                (0, 0)
            };
            (api.destroy_logical_type)(&mut logical);
            (id, scale, below)
        }
    }
}

/// A column that is being written.
pub struct Output {
    vector: Handle,
    data: *mut u8,
}

impl Output {
    /// # Safety
    /// `vector` is a flat vector that DuckDB wants filled.
    pub unsafe fn new(vector: Handle) -> Self {
        // SAFETY: promised by the caller.
        Output {
            vector,
            data: unsafe { (Api::get().vector_data)(vector) }.cast(),
        }
    }

    /// # Safety
    /// The column is BIGINT and has that row.
    #[inline(always)]
    pub unsafe fn set_count(&self, row: usize, count: u64) {
        // SAFETY: promised by the caller.
        unsafe {
            self.data
                .cast::<i64>()
                .add(row)
                .write_unaligned(count as i64)
        };
    }

    /// # Safety
    /// The column is BOOLEAN and has that row.
    pub unsafe fn set_truth(&self, row: usize, truth: bool) {
        // SAFETY: promised by the caller.
        unsafe { self.data.cast::<bool>().add(row).write(truth) };
    }

    /// # Safety
    /// The column is HUGEINT, or DECIMAL of more than 18 digits, and has that row.
    #[inline(always)]
    pub unsafe fn set_wide(&self, row: usize, value: i128) {
        // SAFETY: promised by the caller; a vector's data may be aligned to eight bytes.
        unsafe { self.data.cast::<i128>().add(row).write_unaligned(value) };
    }

    /// # Safety
    /// The column is BLOB or VARCHAR (then `data` is ASCII) and has that row.
    #[inline(always)]
    pub unsafe fn set_bytes(&self, row: usize, data: &[u8]) {
        // SAFETY: promised by the caller; DuckDB copies long strings.
        unsafe {
            if data.len() <= IN_PLACE {
                self.data
                    .cast::<Bytes>()
                    .add(row)
                    .write_unaligned(Bytes::short(data));
            } else {
                let length = data.len() as u64;
                (Api::get().vector_assign_bytes)(self.vector, row as u64, data.as_ptr(), length);
            }
        }
    }

    /// # Safety
    /// The column has that row.
    pub unsafe fn set_null(&self, row: usize) {
        let api = Api::get();
        // SAFETY: promised by the caller; the bitmap exists once it was asked for.
        unsafe {
            (api.vector_ensure_validity)(self.vector);
            let word = (api.vector_validity)(self.vector).add(row / 64);
            *word &= !(1 << (row % 64));
        }
    }
}

/// Run a callback's work and hand an error, or a panic, to DuckDB.
///
/// # Safety
/// `set_error` takes `info`.
pub unsafe fn guarded(
    info: Handle,
    set_error: unsafe extern "C" fn(Handle, *const std::ffi::c_char),
    body: impl FnOnce() -> Outcome,
) {
    let text = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return,
        Ok(Err(text)) => text,
        Err(_) => "internal error in a function of sketches".to_owned(),
    };
    // A text with a zero byte cannot be handed over; quoted input may hold one.
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // SAFETY: promised by the caller; DuckDB copies the text.
    unsafe { set_error(info, text.as_ptr()) };
}
