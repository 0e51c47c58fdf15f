//! The binding of Anabranch's native libraries to Python: one file for each library.

use pyo3::prelude::*;

mod bitmap;
mod files;
mod loading;
mod ranges;
mod sketch;
mod wire;

/// How Python aligns the memory of its objects (`PyObject_Malloc`): what is embedded in one and asks
/// for more belongs in a box, else aligned vector loads fault.
const OBJECT_ALIGNMENT: usize = 16;

/// Refuse, while compiling, a class whose contents Python would place wrongly.
const fn require_alignment<Class>() {
    assert!(align_of::<Class>() <= OBJECT_ALIGNMENT);
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    loading::register(module)?;
    bitmap::register(module)?;
    files::register(module)?;
    ranges::register(module)?;
    sketch::register(module)?;
    wire::register(module)?;
    Ok(())
}
