//! Binding of `anabranch_bitmap`.

use anabranch_bitmap::Invalid;
use anabranch_bitmap::bitmap::Bitmap;
use anabranch_bitmap::container::Operation;
use anabranch_bitmap::hash;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

fn refused(error: Invalid) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn decoded(data: &[u8]) -> PyResult<Bitmap> {
    Bitmap::decode(data).map_err(refused)
}

fn encoded<'py>(py: Python<'py>, bitmap: &Bitmap) -> Bound<'py, PyBytes> {
    let mut bytes = Vec::new();
    bitmap.encode(&mut bytes);
    PyBytes::new(py, &bytes)
}

#[pyfunction]
fn bitmap_of_numbers(py: Python<'_>, numbers: Vec<u64>) -> Bound<'_, PyBytes> {
    encoded(py, &numbers.into_iter().collect())
}

#[pyfunction]
fn bitmap_numbers(bitmap: &[u8], most: usize) -> PyResult<Vec<u64>> {
    let bitmap = decoded(bitmap)?;
    let mut numbers = Vec::new();
    bitmap.each(|number| {
        numbers.push(number);
        numbers.len() <= most
    });
    if numbers.len() > most {
        return Err(PyValueError::new_err("the bitmap has more numbers"));
    }
    Ok(numbers)
}

#[pyfunction]
fn bitmap_count(bitmap: &[u8]) -> PyResult<u64> {
    Ok(decoded(bitmap)?.len())
}

#[pyfunction]
fn bitmap_union(py: Python<'_>, bitmaps: Vec<Vec<u8>>) -> PyResult<Bound<'_, PyBytes>> {
    let mut union = Bitmap::new();
    for bytes in &bitmaps {
        union.unite(&decoded(bytes)?);
    }
    Ok(encoded(py, &union))
}

#[pyfunction]
fn bitmap_operate<'py>(
    py: Python<'py>,
    operation: &str,
    left: &[u8],
    right: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let operation = match operation {
        "and" => Operation::And,
        "or" => Operation::Or,
        "xor" => Operation::Xor,
        "not" => Operation::Not,
        _ => return Err(PyValueError::new_err("no such operation")),
    };
    let found = Bitmap::operate(operation, decoded(left)?, decoded(right)?);
    Ok(encoded(py, &found))
}

#[pyfunction]
fn bitmap_hash32(data: &[u8]) -> u32 {
    hash::hash32(data)
}

#[pyfunction]
fn bitmap_hash64(data: &[u8]) -> u64 {
    hash::hash64(data)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(bitmap_of_numbers, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_numbers, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_count, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_union, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_operate, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_hash32, module)?)?;
    module.add_function(wrap_pyfunction!(bitmap_hash64, module)?)?;
    Ok(())
}
