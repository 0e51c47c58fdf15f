//! Sketches and bitmaps as functions of DuckDB: a thin layer over `anabranch_sketch` and
//! `anabranch_bitmap`, through the stable C extension API v1.2.0. docs/formats/sketch.md and
//! docs/formats/bitmap.md list the functions.

use std::ffi::{CStr, c_void};

mod aggregates;
mod api;
mod bitmap_aggregates;
mod bitmap_scalars;
mod largeint;
mod memory;
mod registration;
mod scalars;
mod vectors;

pub use api::Access;
use api::Api;

/// What a callback ends with: an error's text becomes the error of the SQL statement.
type Outcome = Result<(), String>;

fn register(access: &Access, info: *mut c_void) -> Result<(), &'static CStr> {
    // SAFETY: `info` and `access` are DuckDB's own, valid during the entrypoint.
    unsafe {
        let slots = (access.get_api)(info, c"v1.2.0".as_ptr());
        if slots.is_null() {
            // DuckDB has set its own error.
            return Err(c"");
        }
        let api = Api::install(slots).ok_or(c"the C API of this DuckDB lacks a function")?;
        let database = (access.get_database)(info);
        let mut connection = std::ptr::null_mut();
        if database.is_null() || (api.connect)(*database, &mut connection) != api::SUCCESS {
            return Err(c"cannot connect to the database");
        }
        let done = [
            scalars::register,
            aggregates::register,
            bitmap_scalars::register,
            bitmap_aggregates::register,
            largeint::register,
        ]
        .iter()
        .all(|register| register(api, connection));
        (api.disconnect)(&mut connection);
        if done {
            Ok(())
        } else {
            Err(c"cannot register the functions of sketches")
        }
    }
}

/// Register all functions. What an extension's entrypoint calls.
///
/// # Safety
/// Both arguments must be those that DuckDB gave to the entrypoint.
pub unsafe fn load(info: *mut c_void, access: *const Access) -> bool {
    // SAFETY: promised by the caller.
    let Some(access) = (unsafe { access.as_ref() }) else {
        return false;
    };
    let loaded = std::panic::catch_unwind(|| register(access, info));
    let error = match loaded {
        Ok(Ok(())) => return true,
        Ok(Err(error)) => error,
        Err(_) => c"a panic while registering",
    };
    if !error.is_empty() {
        // SAFETY: as above; DuckDB copies the text.
        unsafe { (access.set_error)(info, error.as_ptr()) };
    }
    false
}
