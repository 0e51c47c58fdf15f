//! Sums that no order of rows changes: of LARGEINT modulo 2^128, and of DECIMAL up to 38 digits,
//! NULL past them. LARGEINT is kept in files as 16 bytes that sort as the numbers do: big-endian,
//! the sign bit flipped.

use std::ffi::{CStr, CString};

use crate::Outcome;
use crate::api::{Api, Handle, SUCCESS, StateFinalize, types};
use crate::registration::{Aggregate, Scalar, State, scalar};
use crate::vectors::{Bytes, Input, Output, guarded};

const SIGN: u128 = 1 << 127;
const DIGITS: u8 = 38;
const DECIMAL_END: u128 = 10_u128.pow(DIGITS as u32);

/// A sum of 192 bits, which no number of rows fills. DuckDB aligns states to eight bytes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Total {
    low: [u64; 2],
    high: i64,
    rows: u64,
}

impl Total {
    const ZERO: Total = Total {
        low: [0, 0],
        high: 0,
        rows: 0,
    };

    fn low(&self) -> u128 {
        u128::from(self.low[0]) | u128::from(self.low[1]) << 64
    }

    #[inline(always)]
    fn add_wide(&mut self, low: u128, high: i64, rows: u64) {
        let (sum, carry) = self.low().overflowing_add(low);
        self.low = [sum as u64, (sum >> 64) as u64];
        self.high = self.high.wrapping_add(high).wrapping_add(carry.into());
        self.rows += rows;
    }

    #[inline(always)]
    fn add(&mut self, value: i128) {
        self.add_wide(value as u128, if value < 0 { -1 } else { 0 }, 1);
    }

    /// The sum modulo 2^128.
    fn wrapped(&self) -> Option<i128> {
        (self.rows > 0).then(|| self.low() as i128)
    }

    /// The sum, or `None` where it has more digits than a DECIMAL.
    fn decimal(&self) -> Option<i128> {
        let value = self.wrapped()?;
        let is_whole = self.high == (value >> 127) as i64;
        (is_whole && value.unsigned_abs() < DECIMAL_END).then_some(value)
    }
}

unsafe extern "C" fn size(_info: Handle) -> u64 {
    size_of::<Total>() as u64
}

unsafe extern "C" fn init(_info: Handle, state: Handle) {
    // SAFETY: the memory is as large as `size` said.
    unsafe { state.cast::<Total>().write_unaligned(Total::ZERO) };
}

unsafe extern "C" fn destroy(_states: *const Handle, _count: u64) {}

unsafe extern "C" fn combine(
    _info: Handle,
    sources: *const Handle,
    targets: *const Handle,
    count: u64,
) {
    for place in 0..count as usize {
        // SAFETY: sources and targets are different initialised states.
        unsafe {
            let source = (*sources.add(place)).cast::<Total>().read_unaligned();
            let target = (*targets.add(place)).cast::<Total>();
            let mut total = target.read_unaligned();
            total.add_wide(source.low(), source.high, source.rows);
            target.write_unaligned(total);
        }
    }
}

unsafe extern "C" fn update(info: Handle, chunk: Handle, states: *const Handle) {
    // SAFETY: the chunk has one column of 128-bit integers and a state for each row.
    unsafe {
        guarded(info, Api::get().aggregate_set_error, || {
            let input = Input::new(chunk, 0);
            for row in 0..input.rows {
                if let Some(value) = input.get::<i128>(row) {
                    let state = (*states.add(row)).cast::<Total>();
                    let mut total = state.read_unaligned();
                    total.add(value);
                    state.write_unaligned(total);
                }
            }
            Ok(())
        });
    }
}

/// # Safety
/// `result` is a column of 128-bit integers with rows for all states from `offset` on.
unsafe fn finish(
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
    value: impl Fn(&Total) -> Option<i128>,
) {
    // SAFETY: promised by the caller.
    unsafe {
        let output = Output::new(result);
        for place in 0..count as usize {
            let total = (*states.add(place)).cast::<Total>().read_unaligned();
            let row = offset as usize + place;
            match value(&total) {
                Some(value) => output.set_wide(row, value),
                None => output.set_null(row),
            }
        }
    }
}

unsafe extern "C" fn finalize_wrapped(
    _info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
) {
    // SAFETY: the result was registered as HUGEINT.
    unsafe { finish(states, result, count, offset, Total::wrapped) };
}

unsafe extern "C" fn finalize_decimal(
    _info: Handle,
    states: *const Handle,
    result: Handle,
    count: u64,
    offset: u64,
) {
    // SAFETY: the result was registered as DECIMAL of 38 digits.
    unsafe { finish(states, result, count, offset, Total::decimal) };
}

/// # Safety
/// As a scalar callback's.
unsafe fn decode(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the input is a BLOB column, the output HUGEINT.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            let Some(data) = input.get::<Bytes>(row) else {
                output.set_null(row);
                continue;
            };
            let Ok(data) = <[u8; 16]>::try_from(data.as_slice()) else {
                return Err("a stored LARGEINT has 16 bytes".to_owned());
            };
            output.set_wide(row, (u128::from_be_bytes(data) ^ SIGN) as i128);
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn encode(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: the input is a HUGEINT column, the output BLOB.
    unsafe {
        let input = Input::new(chunk, 0);
        for row in 0..input.rows {
            match input.get::<i128>(row) {
                Some(value) => output.set_bytes(row, &(value as u128 ^ SIGN).to_be_bytes()),
                None => output.set_null(row),
            }
        }
    }
    Ok(())
}

/// # Safety
/// As a scalar callback's.
unsafe fn add(chunk: Handle, output: Output) -> Outcome {
    // SAFETY: both inputs and the output are HUGEINT columns.
    unsafe {
        let (left, right) = (Input::new(chunk, 0), Input::new(chunk, 1));
        for row in 0..left.rows {
            match (left.get::<i128>(row), right.get::<i128>(row)) {
                (Some(left), Some(right)) => output.set_wide(row, left.wrapping_add(right)),
                _ => output.set_null(row),
            }
        }
    }
    Ok(())
}

scalar!(call_decode, decode);
scalar!(call_encode, encode);
scalar!(call_add, add);

const SCALARS: [Scalar; 3] = [
    Scalar::pure(
        c"largeint_decode",
        &[types::BLOB],
        types::HUGEINT,
        call_decode,
    ),
    Scalar::pure(
        c"largeint_encode",
        &[types::HUGEINT],
        types::BLOB,
        call_encode,
    ),
    Scalar::pure(
        c"largeint_add",
        &[types::HUGEINT, types::HUGEINT],
        types::HUGEINT,
        call_add,
    ),
];

const STATE: State = State {
    size,
    init,
    combine,
    destroy,
};

const SUM: Aggregate = Aggregate {
    name: c"largeint_sum",
    parameter: types::HUGEINT,
    result: types::HUGEINT,
    state: STATE,
    update,
    finalize: finalize_wrapped,
};

/// Register `decimal_sum_<scale>`: DECIMAL(38, scale) to itself.
///
/// # Safety
/// `connection` is an open connection.
unsafe fn register_decimal_sum(api: &Api, connection: Handle, scale: u8) -> bool {
    let name = CString::new(format!("decimal_sum_{scale}")).unwrap_or_default();
    let name: &CStr = &name;
    let finalize: StateFinalize = finalize_decimal;
    // SAFETY: the function is complete when it is registered; it and its type are destroyed once.
    unsafe {
        let mut function = (api.create_aggregate)();
        (api.aggregate_set_name)(function, name.as_ptr());
        let mut logical = (api.create_decimal_type)(DIGITS, scale);
        (api.aggregate_add_parameter)(function, logical);
        (api.aggregate_set_return_type)(function, logical);
        (api.destroy_logical_type)(&mut logical);
        (api.aggregate_set_special_handling)(function);
        (api.aggregate_set_functions)(function, size, init, update, combine, finalize);
        let state = (api.register_aggregate)(connection, function);
        (api.destroy_aggregate)(&mut function);
        state == SUCCESS
    }
}

/// # Safety
/// `connection` is an open connection.
pub unsafe fn register(api: &Api, connection: Handle) -> bool {
    // SAFETY: promised by the caller.
    unsafe {
        SCALARS
            .iter()
            .all(|function| function.register(api, connection))
            && SUM.register(api, connection)
            && (0..=DIGITS).all(|scale| register_decimal_sum(api, connection, scale))
    }
}
