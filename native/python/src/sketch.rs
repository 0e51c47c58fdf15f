//! Binding of `anabranch_sketch`, and the entrypoint that DuckDB calls in a copy of this library.

use std::ffi::c_void;

use anabranch_sketch::bytes::{EMPTY, View, single};
use anabranch_sketch::state::Sketch;
use anabranch_sketch::{Invalid, base64, estimate, hash};
use arrow_array::builder::LargeBinaryBuilder;
use arrow_array::types::{
    BinaryType, ByteArrayType, LargeBinaryType, LargeUtf8Type, UInt32Type, Utf8Type,
};
use arrow_array::{Array, GenericByteArray, Int64Array, PrimitiveArray};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ranges::{Columns, import};

fn refused(error: Invalid) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn each_of<T: ByteArrayType>(
    column: ArrayData,
    mut visit: impl FnMut(usize, Option<&[u8]>) -> PyResult<()>,
) -> PyResult<()> {
    let column = GenericByteArray::<T>::from(column);
    for row in 0..column.len() {
        let value: Option<&[u8]> = column.is_valid(row).then(|| column.value(row).as_ref());
        visit(row, value)?;
    }
    Ok(())
}

/// Call `visit` with each row's bytes, `None` for nulls.
fn each(
    column: ArrayData,
    visit: impl FnMut(usize, Option<&[u8]>) -> PyResult<()>,
) -> PyResult<()> {
    match column.data_type() {
        DataType::Binary => each_of::<BinaryType>(column, visit),
        DataType::LargeBinary => each_of::<LargeBinaryType>(column, visit),
        DataType::Utf8 => each_of::<Utf8Type>(column, visit),
        DataType::LargeUtf8 => each_of::<LargeUtf8Type>(column, visit),
        _ => Err(PyValueError::new_err("a column of bytes or text is needed")),
    }
}

fn encoded(sketch: &Sketch) -> Vec<u8> {
    let mut bytes = Vec::new();
    sketch.encode(&mut bytes);
    bytes
}

#[pyfunction]
fn sketch_hash(data: &[u8]) -> u64 {
    hash::hash(data)
}

#[pyfunction]
fn sketch_of_hashes(py: Python<'_>, hashes: Vec<u64>) -> Bound<'_, PyBytes> {
    let mut sketch = Sketch::new();
    hashes.into_iter().for_each(|hash| sketch.update(hash));
    PyBytes::new(py, &encoded(&sketch))
}

#[pyfunction]
fn sketch_of_values<'py>(
    py: Python<'py>,
    values: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let values = import(values)?;
    let bytes = py.detach(|| {
        let mut sketch = Sketch::new();
        each(values, |_, value| {
            if let Some(value) = value {
                sketch.update(hash::hash(value));
            }
            Ok(())
        })?;
        PyResult::Ok(encoded(&sketch))
    })?;
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
fn sketch_each_value(py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<Columns> {
    let values = import(values)?;
    py.detach(|| {
        let rows = values.len();
        let mut column = LargeBinaryBuilder::with_capacity(rows, rows * 10);
        each(values, |_, value| {
            match value {
                Some(value) => column.append_value(single(hash::hash(value))),
                None => column.append_value([EMPTY]),
            }
            Ok(())
        })?;
        Ok(Columns(column.finish().into_data()))
    })
}

#[pyfunction]
fn sketch_union<'py>(
    py: Python<'py>,
    sketches: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let sketches = import(sketches)?;
    let bytes = py.detach(|| {
        let mut union = Sketch::new();
        each(sketches, |_, bytes| match bytes {
            Some(bytes) => union.merge_bytes(bytes).map_err(refused),
            None => Ok(()),
        })?;
        PyResult::Ok(encoded(&union))
    })?;
    Ok(PyBytes::new(py, &bytes))
}

fn group_numbers(groups: ArrayData) -> PyResult<PrimitiveArray<UInt32Type>> {
    if *groups.data_type() != DataType::UInt32 || groups.null_count() > 0 {
        return Err(PyValueError::new_err(
            "groups are numbers of 32 bits, without nulls",
        ));
    }
    Ok(PrimitiveArray::from(groups))
}

#[pyfunction]
fn sketch_union_groups(
    py: Python<'_>,
    sketches: &Bound<'_, PyAny>,
    groups: &Bound<'_, PyAny>,
    count: usize,
) -> PyResult<Columns> {
    let (sketches, groups) = (import(sketches)?, group_numbers(import(groups)?)?);
    if sketches.len() != groups.len() {
        return Err(PyValueError::new_err("each sketch needs one group"));
    }
    if groups.values().iter().any(|&group| group as usize >= count) {
        return Err(PyValueError::new_err(
            "a group is not below the number of groups",
        ));
    }
    py.detach(|| {
        let mut unions: Vec<Sketch> = vec![Sketch::new(); count];
        each(sketches, |row, bytes| match bytes {
            Some(bytes) => unions[groups.value(row) as usize]
                .merge_bytes(bytes)
                .map_err(refused),
            None => Ok(()),
        })?;
        let mut column = LargeBinaryBuilder::with_capacity(count, count * 10);
        let mut bytes = Vec::new();
        for union in &unions {
            bytes.clear();
            union.encode(&mut bytes);
            column.append_value(&bytes);
        }
        Ok(Columns(column.finish().into_data()))
    })
}

fn estimate_of(bytes: &[u8]) -> PyResult<i64> {
    let view = View::parse(bytes).map_err(refused)?;
    Ok(estimate::by_view(&view) as i64)
}

#[pyfunction]
fn sketch_estimate(sketch: &[u8]) -> PyResult<i64> {
    estimate_of(sketch)
}

#[pyfunction]
fn sketch_estimates(py: Python<'_>, sketches: &Bound<'_, PyAny>) -> PyResult<Columns> {
    let sketches = import(sketches)?;
    py.detach(|| {
        let mut counts = Vec::with_capacity(sketches.len());
        each(sketches, |_, bytes| {
            counts.push(bytes.map_or(Ok(0), estimate_of)?);
            Ok(())
        })?;
        Ok(Columns(Int64Array::from(counts).into_data()))
    })
}

#[pyfunction]
fn sketch_to_base64(sketch: &[u8]) -> PyResult<String> {
    View::parse(sketch).map_err(refused)?;
    let mut text = Vec::new();
    base64::encode(sketch, &mut text);
    String::from_utf8(text).map_err(|_| PyValueError::new_err("base64 is ASCII"))
}

#[pyfunction]
fn sketch_from_base64<'py>(py: Python<'py>, text: &str) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let Some(bytes) = base64::decode(text.as_bytes()) else {
        return Ok(None);
    };
    View::parse(&bytes).map_err(refused)?;
    Ok(Some(PyBytes::new(py, &bytes)))
}

/// What DuckDB calls when it loads a copy of this library under the name `anabranch_sketches`.
///
/// # Safety
/// Only DuckDB calls it, with its own arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn anabranch_sketches_init_c_api(
    info: *mut c_void,
    access: *const anabranch_duckdb::Access,
) -> bool {
    // SAFETY: promised by the caller.
    unsafe { anabranch_duckdb::load(info, access) }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(sketch_hash, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_of_hashes, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_of_values, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_each_value, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_union, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_union_groups, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_estimate, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_estimates, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_to_base64, module)?)?;
    module.add_function(wrap_pyfunction!(sketch_from_base64, module)?)?;
    Ok(())
}
