//! Binding of `anabranch_wire`.

use anabranch_wire::crc::{self, Crc};
use anabranch_wire::rows;
use arrow_array::{ArrayRef, make_array};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// From this many bytes on, other Python threads run while we count.
const DETACH_BYTES_MIN: usize = 16 * 1024;

fn parse(name: &str) -> PyResult<Crc> {
    match name {
        "crc32" => Ok(Crc::Crc32),
        "crc32c" => Ok(Crc::Crc32c),
        "crc64nvme" => Ok(Crc::Crc64Nvme),
        _ => Err(PyValueError::new_err("no such CRC")),
    }
}

#[pyfunction]
fn crc_update(py: Python<'_>, name: &str, before: u64, data: PyBuffer<u8>) -> PyResult<u64> {
    let crc = parse(name)?;
    if !data.is_c_contiguous() {
        return Err(PyValueError::new_err("the buffer must be contiguous"));
    }
    if data.len_bytes() == 0 {
        return Ok(before);
    }
    // SAFETY: the buffer is contiguous and kept alive by `data`; nobody writes to a body's window
    // while it is being hashed, which is what the caller promises.
    let bytes =
        unsafe { std::slice::from_raw_parts(data.buf_ptr().cast::<u8>(), data.len_bytes()) };
    if bytes.len() < DETACH_BYTES_MIN {
        return Ok(crc::update(crc, before, bytes));
    }
    Ok(py.detach(|| crc::update(crc, before, bytes)))
}

#[pyfunction]
fn crc_combine(name: &str, first: u64, second: u64, second_bytes: u64) -> PyResult<u64> {
    Ok(crc::combine(parse(name)?, first, second, second_bytes))
}

fn children(data: &ArrayData) -> PyResult<Vec<ArrayRef>> {
    let DataType::Struct(_) = data.data_type() else {
        return Err(PyValueError::new_err("not a record batch"));
    };
    let cut = |child: &ArrayData| make_array(child.slice(data.offset(), data.len()));
    Ok(data.child_data().iter().map(cut).collect())
}

#[pyfunction]
fn mysql_rows<'py>(
    py: Python<'py>,
    batch: &Bound<'py, PyAny>,
    digits: &[u8],
    sequence: u8,
    is_binary: bool,
) -> PyResult<(Bound<'py, PyBytes>, u8)> {
    let data = crate::ranges::import(batch)?;
    let columns = children(&data)?;
    if columns.len() != digits.len() {
        return Err(PyValueError::new_err(
            "one number of digits for each column",
        ));
    }
    let rows = data.len();
    let (bytes, next) = py
        .detach(|| rows::encode(&columns, digits, rows, sequence, is_binary))
        .map_err(|error| PyValueError::new_err(format!("no form for {}", error.0)))?;
    Ok((PyBytes::new(py, &bytes), next))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crc_update, module)?)?;
    module.add_function(wrap_pyfunction!(crc_combine, module)?)?;
    module.add_function(wrap_pyfunction!(mysql_rows, module)?)?;
    Ok(())
}
