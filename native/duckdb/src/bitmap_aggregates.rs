//! Aggregate functions over one state: a `Bitmap` in DuckDB's memory, and whether it has begun.
//!
//! As with sketches, a state may be moved, combined and finalized more than once.

use std::ffi::CStr;

use anabranch_bitmap::bitmap::Bitmap;
use anabranch_bitmap::bytes::as_single;
use anabranch_bitmap::container::Operation;

use crate::Outcome;
use crate::api::{Api, Handle, StateCombine, StateFinalize, StateUpdate, types};
use crate::bitmap_scalars::decoded;
use crate::memory;
use crate::registration::{Aggregate, State};
use crate::vectors::{Bytes, Input, Output, guarded};

/// A union or an intersection of what came so far; `has_begun` matters to the latter.
struct Gathered {
    bitmap: Bitmap,
    has_begun: bool,
}

impl Gathered {
    const fn new() -> Self {
        Gathered {
            bitmap: Bitmap::new(),
            has_begun: false,
        }
    }

    fn intersect(&mut self, other: Bitmap) {
        self.bitmap = if self.has_begun {
            Bitmap::operate(Operation::And, std::mem::take(&mut self.bitmap), other)
        } else {
            other
        };
        self.has_begun = true;
    }
}

unsafe extern "C" fn size(_info: Handle) -> u64 {
    size_of::<Gathered>() as u64
}

unsafe extern "C" fn init(_info: Handle, state: Handle) {
    // SAFETY: the memory is as large as `size` said, aligned to eight, and holds nothing yet.
    unsafe { state.cast::<Gathered>().write(Gathered::new()) };
}

unsafe extern "C" fn destroy(states: *const Handle, count: u64) {
    for place in 0..count as usize {
        // SAFETY: each state went through `init`; an empty one in its place owns nothing.
        unsafe {
            let state = (*states.add(place)).cast::<Gathered>();
            drop(state.replace(Gathered::new()));
        }
    }
}

/// # Safety
/// Sources and targets are initialised states.
unsafe fn combine(
    info: Handle,
    sources: *const Handle,
    targets: *const Handle,
    count: u64,
    join: fn(&mut Gathered, &Gathered),
) {
    // SAFETY: promised by the caller.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            for place in 0..count as usize {
                let source = (*sources.add(place)).cast::<Gathered>();
                let target = (*targets.add(place)).cast::<Gathered>();
                if source != target {
                    join(&mut *target, &*source);
                }
            }
            memory::require()
        });
    }
}

unsafe extern "C" fn combine_union(
    info: Handle,
    sources: *const Handle,
    targets: *const Handle,
    count: u64,
) {
    // SAFETY: DuckDB calls with initialised states.
    unsafe {
        combine(info, sources, targets, count, |target, source| {
            target.bitmap.unite(&source.bitmap);
        });
    }
}

unsafe extern "C" fn combine_intersection(
    info: Handle,
    sources: *const Handle,
    targets: *const Handle,
    count: u64,
) {
    // SAFETY: DuckDB calls with initialised states.
    unsafe {
        combine(info, sources, targets, count, |target, source| {
            if source.has_begun {
                target.intersect(source.bitmap.clone());
            }
        });
    }
}

/// Write one value for each state.
///
/// # Safety
/// The result has rows for all states from `offset` on.
unsafe fn finalize(
    info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
    write: impl Fn(&Output, usize, &Bitmap),
) {
    // SAFETY: promised by the caller.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            let output = Output::new(result);
            for place in 0..count as usize {
                let state = &*(*states.add(place)).cast::<Gathered>();
                write(&output, offset as usize + place, &state.bitmap);
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn finalize_bitmap(
    info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
) {
    // SAFETY: the result is BLOB.
    unsafe {
        finalize(
            info,
            states,
            result,
            count,
            offset,
            |output, row, bitmap| {
                let mut bytes = Vec::new();
                bitmap.encode(&mut bytes);
                output.set_bytes(row, &bytes);
            },
        );
    }
}

unsafe extern "C" fn finalize_count(
    info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
) {
    // SAFETY: the result is BIGINT.
    unsafe {
        finalize(
            info,
            states,
            result,
            count,
            offset,
            |output, row, bitmap| {
                output.set_count(row, bitmap.len());
            },
        );
    }
}

/// Stored bitmaps above this size are weighed one by one.
const LARGE: usize = 4096;

/// Call `take` with the state and the bytes of each row that is not NULL.
///
/// # Safety
/// The chunk has one BLOB column and a state for each row.
unsafe fn update(
    info: Handle,
    chunk: Handle,
    states: *const Handle,
    take: fn(&mut Gathered, &[u8]) -> Outcome,
) {
    // SAFETY: promised by the caller.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            memory::require()?;
            let input = Input::new(chunk, 0);
            for row in 0..input.rows {
                let Some(data) = input.get::<Bytes>(row) else {
                    continue;
                };
                let data = data.as_slice();
                take(&mut *(*states.add(row)).cast::<Gathered>(), data)?;
                if data.len() > LARGE {
                    memory::require()?;
                }
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn update_union(info: Handle, chunk: Handle, states: *const Handle) {
    // SAFETY: DuckDB calls with a chunk of one column and a state for each row.
    unsafe {
        update(info, chunk, states, |state, data| {
            match as_single(data) {
                Some(number) => state.bitmap.add(number),
                None => state.bitmap.unite(&decoded(data)?),
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn update_intersection(info: Handle, chunk: Handle, states: *const Handle) {
    // SAFETY: DuckDB calls with a chunk of one column and a state for each row.
    unsafe {
        update(info, chunk, states, |state, data| {
            state.intersect(decoded(data)?);
            Ok(())
        });
    }
}

unsafe extern "C" fn update_numbers(info: Handle, chunk: Handle, states: *const Handle) {
    // SAFETY: the chunk has one BIGINT column and a state for each row.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            memory::require()?;
            let input = Input::new(chunk, 0);
            for row in 0..input.rows {
                if let Some(number) = input.get::<i64>(row) {
                    let state = &mut *(*states.add(row)).cast::<Gathered>();
                    state.bitmap.add(number as u64);
                }
            }
            Ok(())
        });
    }
}

const fn made(
    name: &'static CStr,
    types: (u32, u32),
    combine: StateCombine,
    update: StateUpdate,
    finalize: StateFinalize,
) -> Aggregate {
    Aggregate {
        name,
        parameter: types.0,
        result: types.1,
        state: State {
            size,
            init,
            combine,
            destroy,
        },
        update,
        finalize,
    }
}

const AGGREGATES: [Aggregate; 5] = [
    made(
        c"bitmap_union",
        (types::BLOB, types::BLOB),
        combine_union,
        update_union,
        finalize_bitmap,
    ),
    made(
        c"bitmap_union_count",
        (types::BLOB, types::BIGINT),
        combine_union,
        update_union,
        finalize_count,
    ),
    made(
        c"bitmap_agg",
        (types::BIGINT, types::BLOB),
        combine_union,
        update_numbers,
        finalize_bitmap,
    ),
    made(
        c"bitmap_union_int",
        (types::BIGINT, types::BIGINT),
        combine_union,
        update_numbers,
        finalize_count,
    ),
    made(
        c"bitmap_intersect",
        (types::BLOB, types::BLOB),
        combine_intersection,
        update_intersection,
        finalize_bitmap,
    ),
];

/// # Safety
/// `connection` is an open connection.
pub unsafe fn register(api: &Api, connection: Handle) -> bool {
    // SAFETY: promised by the caller.
    AGGREGATES
        .iter()
        .all(|aggregate| unsafe { aggregate.register(api, connection) })
}
