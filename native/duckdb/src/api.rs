//! The slots of DuckDB's C extension API v1.2.0 that are used here, by their index.

use std::ffi::{c_char, c_void};
use std::sync::OnceLock;

pub type Handle = *mut c_void;

pub const SUCCESS: i32 = 0;

/// Type numbers of `duckdb_type`.
pub mod types {
    pub const BOOLEAN: u32 = 1;
    pub const TINYINT: u32 = 2;
    pub const SMALLINT: u32 = 3;
    pub const INTEGER: u32 = 4;
    pub const BIGINT: u32 = 5;
    pub const UTINYINT: u32 = 6;
    pub const USMALLINT: u32 = 7;
    pub const UINTEGER: u32 = 8;
    pub const UBIGINT: u32 = 9;
    pub const FLOAT: u32 = 10;
    pub const DOUBLE: u32 = 11;
    pub const TIMESTAMP: u32 = 12;
    pub const DATE: u32 = 13;
    pub const HUGEINT: u32 = 16;
    pub const VARCHAR: u32 = 17;
    pub const BLOB: u32 = 18;
    pub const DECIMAL: u32 = 19;
    pub const UHUGEINT: u32 = 32;
    pub const ANY: u32 = 34;
    pub const SQLNULL: u32 = 36;
}

/// What DuckDB hands to an entrypoint.
#[repr(C)]
pub struct Access {
    pub set_error: unsafe extern "C" fn(Handle, *const c_char),
    pub get_database: unsafe extern "C" fn(Handle) -> *mut Handle,
    pub get_api: unsafe extern "C" fn(Handle, *const c_char) -> *const Option<Slot>,
}

pub type Slot = unsafe extern "C" fn();
pub type ScalarCall = unsafe extern "C" fn(Handle, Handle, Handle);
pub type StateSize = unsafe extern "C" fn(Handle) -> u64;
pub type StateInit = unsafe extern "C" fn(Handle, Handle);
pub type StateUpdate = unsafe extern "C" fn(Handle, Handle, *const Handle);
pub type StateCombine = unsafe extern "C" fn(Handle, *const Handle, *const Handle, u64);
pub type StateFinalize = unsafe extern "C" fn(Handle, *const Handle, Handle, u64, u64);
pub type StateDestroy = unsafe extern "C" fn(*const Handle, u64);

macro_rules! slots {
    ($($name:ident = $index:literal: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Functions of DuckDB.
        pub struct Api { $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Api {
            /// # Safety
            /// `slots` points to the struct of the API v1.2.0.
            unsafe fn read(slots: *const Option<Slot>) -> Option<Api> {
                // SAFETY: slots keep their index and their signature since v1.2.0.
                unsafe {
                    Some(Api { $($name: std::mem::transmute::<
                        Slot, unsafe extern "C" fn($($argument),*) $(-> $result)?
                    >((*slots.add($index))?),)* })
                }
            }
        }
    };
}

slots! {
    connect = 3: fn(Handle, *mut Handle) -> i32;
    disconnect = 6: fn(*mut Handle);
    create_logical_type = 156: fn(u32) -> Handle;
    create_decimal_type = 165: fn(u8, u8) -> Handle;
    type_id = 166: fn(Handle) -> u32;
    decimal_scale = 168: fn(Handle) -> u8;
    decimal_internal_type = 169: fn(Handle) -> u32;
    destroy_logical_type = 184: fn(*mut Handle);
    chunk_vector = 190: fn(Handle, u64) -> Handle;
    chunk_size = 191: fn(Handle) -> u64;
    vector_type = 193: fn(Handle) -> Handle;
    vector_data = 194: fn(Handle) -> *mut c_void;
    vector_validity = 195: fn(Handle) -> *mut u64;
    vector_ensure_validity = 196: fn(Handle);
    vector_assign_bytes = 198: fn(Handle, u64, *const u8, u64);
    create_scalar = 209: fn() -> Handle;
    destroy_scalar = 210: fn(*mut Handle);
    scalar_set_name = 211: fn(Handle, *const c_char);
    scalar_set_special_handling = 213: fn(Handle);
    scalar_set_volatile = 214: fn(Handle);
    scalar_add_parameter = 215: fn(Handle, Handle);
    scalar_set_return_type = 216: fn(Handle, Handle);
    scalar_set_function = 218: fn(Handle, ScalarCall);
    register_scalar = 219: fn(Handle, Handle) -> i32;
    scalar_set_error = 221: fn(Handle, *const c_char);
    create_aggregate = 226: fn() -> Handle;
    destroy_aggregate = 227: fn(*mut Handle);
    aggregate_set_name = 228: fn(Handle, *const c_char);
    aggregate_add_parameter = 229: fn(Handle, Handle);
    aggregate_set_return_type = 230: fn(Handle, Handle);
    aggregate_set_functions =
        231: fn(Handle, StateSize, StateInit, StateUpdate, StateCombine, StateFinalize);
    aggregate_set_destructor = 232: fn(Handle, StateDestroy);
    register_aggregate = 233: fn(Handle, Handle) -> i32;
    aggregate_set_special_handling = 234: fn(Handle);
    aggregate_set_error = 237: fn(Handle, *const c_char);
}

static API: OnceLock<Api> = OnceLock::new();

impl Api {
    /// Keep what `slots` points to: that struct is gone when the entrypoint returns.
    ///
    /// # Safety
    /// As `read`.
    pub unsafe fn install(slots: *const Option<Slot>) -> Option<&'static Api> {
        // SAFETY: promised by the caller.
        let read = unsafe { Api::read(slots) }?;
        // One process holds one DuckDB, so a second database brings the same functions.
        Some(API.get_or_init(|| read))
    }

    /// The functions, in a callback that DuckDB can only know after `install`.
    #[inline(always)]
    pub fn get() -> &'static Api {
        match API.get() {
            Some(api) => api,
            None => unreachable!("callbacks are registered after the API was installed"),
        }
    }

    /// Call `body` with a logical type that lives as long.
    ///
    /// # Safety
    /// `id` is a type that needs no parameters.
    pub unsafe fn with_type(&self, id: u32, body: impl FnOnce(Handle)) {
        // SAFETY: the type is destroyed once, after its last use.
        unsafe {
            let mut logical = (self.create_logical_type)(id);
            body(logical);
            (self.destroy_logical_type)(&mut logical);
        }
    }
}
