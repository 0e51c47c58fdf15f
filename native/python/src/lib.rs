//! The binding of Anabranch's native libraries to Python: one file for each library.

use pyo3::prelude::*;

mod bitmap;
mod loading;
mod ranges;
mod sketch;
mod wire;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    loading::register(module)?;
    bitmap::register(module)?;
    ranges::register(module)?;
    sketch::register(module)?;
    wire::register(module)?;
    Ok(())
}
