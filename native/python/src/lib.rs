//! The binding of Anabranch's native libraries to Python: one file for each library.

use pyo3::prelude::*;

mod ranges;
mod sketch;
mod wire;

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    ranges::register(module)?;
    sketch::register(module)?;
    wire::register(module)?;
    Ok(())
}
