//! Aggregate functions over one state: a `Sketch` in DuckDB's memory.
//!
//! DuckDB may move a state byte by byte, combine or finalize it more than once (windows do), and
//! call the destructor on success and on failure; so `combine` and `finalize` leave their source
//! as it was.

use std::ffi::CStr;

use anabranch_sketch::hash::{date_bytes, datetime_bytes, hash};
use anabranch_sketch::state::{Sketch, fetch};

use crate::Outcome;
use crate::api::{Api, Handle, StateFinalize, types};
use crate::memory;
use crate::registration::{Aggregate, State};
use crate::vectors::{Bytes, Input, Output, guarded};

unsafe extern "C" fn size(_info: Handle) -> u64 {
    size_of::<Sketch>() as u64
}

unsafe extern "C" fn init(_info: Handle, state: Handle) {
    // SAFETY: the memory is as large as `size` said, aligned to eight, and holds nothing yet.
    unsafe { state.cast::<Sketch>().write(Sketch::new()) };
}

unsafe extern "C" fn destroy(states: *const Handle, count: u64) {
    for place in 0..count as usize {
        // SAFETY: each state went through `init`; an empty one in its place owns nothing.
        unsafe {
            let state = (*states.add(place)).cast::<Sketch>();
            drop(state.replace(Sketch::new()));
        }
    }
}

unsafe extern "C" fn combine(
    info: Handle,
    sources: *const Handle,
    targets: *const Handle,
    count: u64,
) {
    // SAFETY: sources and targets are different initialised states.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            for place in 0..count as usize {
                let source = (*sources.add(place)).cast::<Sketch>();
                let target = (*targets.add(place)).cast::<Sketch>();
                if source != target {
                    (*target).merge(&*source);
                }
            }
            memory::require()
        });
    }
}

unsafe extern "C" fn finalize_count(
    info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
) {
    // SAFETY: `result` is BIGINT and has rows for all states from `offset` on.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            let output = Output::new(result);
            for place in 0..count as usize {
                let state = &*(*states.add(place)).cast::<Sketch>();
                output.set_count(offset as usize + place, state.estimate());
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn finalize_sketch(
    info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
) {
    // SAFETY: `result` is BLOB and has rows for all states from `offset` on.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            let output = Output::new(result);
            let mut bytes = Vec::new();
            for place in 0..count as usize {
                let state = &*(*states.add(place)).cast::<Sketch>();
                bytes.clear();
                state.encode(&mut bytes);
                output.set_bytes(offset as usize + place, &bytes);
            }
            Ok(())
        });
    }
}

unsafe extern "C" fn update_union(info: Handle, chunk: Handle, states: *const Handle) {
    // SAFETY: the chunk has one BLOB column and a state for each row.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            memory::require()?;
            let input = Input::new(chunk, 0);
            for row in 0..input.rows {
                if let Some(data) = input.get::<Bytes>(row) {
                    let state = &mut *(*states.add(row)).cast::<Sketch>();
                    state
                        .merge_bytes(data.as_slice())
                        .map_err(|error| error.to_string())?;
                }
            }
            Ok(())
        });
    }
}

/// Rows whose memory is asked for before the first of them is used.
const BLOCK: usize = 32;

/// Add the hash of each value's bytes; a hash of 0 is left out, as Doris does here.
///
/// # Safety
/// `T` is the physical type of the column, and each row has a state.
#[inline(always)]
unsafe fn add<T: Copy>(
    input: Input,
    states: *const Handle,
    hash: impl Fn(&T) -> anabranch_sketch::Result<u64>,
) -> Outcome {
    // SAFETY: promised by the caller; all states of a chunk stay where they are.
    unsafe {
        let states = std::slice::from_raw_parts(states, input.rows);
        match one_group(states) {
            Some(state) => add_to_one(input, &mut *state, hash),
            None => add_to_each(input, states, hash),
        }
    }
}

/// Return the state of all rows, if they have one in common.
fn one_group(states: &[Handle]) -> Option<*mut Sketch> {
    let (first, last) = (states.first()?, states.last()?);
    // Without a branch for each row: vectors of pointers are compared at once.
    let is_one = first == last
        && states
            .iter()
            .fold(true, |all, state| all & (state == first));
    is_one.then(|| first.cast::<Sketch>())
}

/// # Safety
/// `T` is the physical type of the column.
#[inline(always)]
unsafe fn add_to_one<T: Copy>(
    input: Input,
    sketch: &mut Sketch,
    hash: impl Fn(&T) -> anabranch_sketch::Result<u64>,
) -> Outcome {
    let mut hashes = [0; BLOCK];
    for start in (0..input.rows).step_by(BLOCK) {
        let rows = BLOCK.min(input.rows - start);
        for (place, slot) in hashes[..rows].iter_mut().enumerate() {
            // SAFETY: promised by the caller.
            *slot = match unsafe { input.get::<T>(start + place) } {
                Some(value) => hash(&value).map_err(|error| error.to_string())?,
                None => 0,
            };
        }
        sketch.update_all(&hashes[..rows]);
    }
    Ok(())
}

/// # Safety
/// `T` is the physical type of the column; `states` has an initialised one for each row.
#[inline(always)]
unsafe fn add_to_each<T: Copy>(
    input: Input,
    states: &[Handle],
    hash: impl Fn(&T) -> anabranch_sketch::Result<u64>,
) -> Outcome {
    let mut hashes = [0; BLOCK];
    for (block, states) in states.chunks(BLOCK).enumerate() {
        // SAFETY: promised by the caller.
        unsafe {
            for (place, state) in states.iter().enumerate() {
                fetch(state.cast::<Sketch>());
                hashes[place] = match input.get::<T>(block * BLOCK + place) {
                    Some(value) => hash(&value).map_err(|error| error.to_string())?,
                    None => 0,
                };
            }
            for (state, hash) in states.iter().zip(&hashes) {
                (*state.cast::<Sketch>()).fetch(*hash);
            }
            for (state, hash) in states.iter().zip(&hashes) {
                if *hash != 0 {
                    (*state.cast::<Sketch>()).update(*hash);
                }
            }
        }
    }
    Ok(())
}

/// # Safety
/// The chunk has one column and a state for each row.
unsafe fn update_values(chunk: Handle, states: *const Handle) -> Outcome {
    memory::require()?;
    // SAFETY: each branch reads the physical type of its logical type.
    unsafe {
        let input = Input::new(chunk, 0);
        let (id, _, below) = input.type_of();
        let physical = if id == types::DECIMAL { below } else { id };
        match (physical, id) {
            // A DECIMAL of up to nine digits has four bytes, also where two would do.
            (types::SMALLINT, types::DECIMAL) => add(input, states, |v: &i16| {
                Ok(hash(&i32::from(*v).to_le_bytes()))
            }),
            (types::BOOLEAN | types::TINYINT | types::UTINYINT, _) => {
                add(input, states, |v: &[u8; 1]| Ok(hash(v)))
            }
            (types::SMALLINT | types::USMALLINT, _) => {
                add(input, states, |v: &[u8; 2]| Ok(hash(v)))
            }
            (types::INTEGER | types::UINTEGER | types::FLOAT, _) => {
                add(input, states, |v: &[u8; 4]| Ok(hash(v)))
            }
            (types::BIGINT | types::UBIGINT | types::DOUBLE, _) => {
                add(input, states, |v: &[u8; 8]| Ok(hash(v)))
            }
            (types::HUGEINT | types::UHUGEINT, _) => add(input, states, |v: &[u8; 16]| Ok(hash(v))),
            (types::VARCHAR, _) => add(input, states, |v: &Bytes| Ok(hash(v.as_slice()))),
            (types::DATE, _) => add(input, states, |v: &i32| Ok(hash(&date_bytes(*v)?))),
            (types::TIMESTAMP, _) => add(input, states, |v: &i64| Ok(hash(&datetime_bytes(*v)?))),
            (types::SQLNULL, _) => Ok(()),
            _ => Err("ndv takes no value of this type".to_owned()),
        }
    }
}

unsafe extern "C" fn update_ndv(info: Handle, chunk: Handle, states: *const Handle) {
    // SAFETY: DuckDB calls with a chunk of one column and a state for each row.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            update_values(chunk, states)
        });
    }
}

const STATE: State = State {
    size,
    init,
    combine,
    destroy,
};

const fn union(name: &'static CStr, result: u32, finalize: StateFinalize) -> Aggregate {
    Aggregate {
        name,
        parameter: types::BLOB,
        result,
        state: STATE,
        update: update_union,
        finalize,
    }
}

const AGGREGATES: [Aggregate; 4] = [
    union(c"hll_union_agg", types::BIGINT, finalize_count),
    union(c"hll_union", types::BLOB, finalize_sketch),
    union(c"hll_raw_agg", types::BLOB, finalize_sketch),
    Aggregate {
        name: c"ndv",
        parameter: types::ANY,
        result: types::BIGINT,
        state: STATE,
        update: update_ndv,
        finalize: finalize_count,
    },
];

/// # Safety
/// `connection` is an open connection.
pub unsafe fn register(api: &Api, connection: Handle) -> bool {
    // SAFETY: promised by the caller.
    AGGREGATES
        .iter()
        .all(|aggregate| unsafe { aggregate.register(api, connection) })
}
