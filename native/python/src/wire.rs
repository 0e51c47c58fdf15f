//! Binding of `anabranch_wire`.

use anabranch_wire::crc::{self, Crc};
use anabranch_wire::signing_keys::SigningKeys as PlainKeys;
use anabranch_wire::sigv4::{self, Claim};
use anabranch_wire::uris::Pair;
use anabranch_wire::{listing, rows};
use arrow_array::{ArrayRef, make_array};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::require_alignment;

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

fn named<const COUNT: usize>(data: &ArrayData, names: [&str; COUNT]) -> PyResult<Vec<ArrayRef>> {
    let DataType::Struct(fields) = data.data_type() else {
        return Err(PyValueError::new_err("not a record batch"));
    };
    let cut = |name: &str| {
        let (index, _) = fields.find(name)?;
        let child = data.child_data()[index].slice(data.offset(), data.len());
        Some(make_array(child))
    };
    let found: Option<Vec<_>> = names.into_iter().map(cut).collect();
    found.ok_or_else(|| PyValueError::new_err("a column is missing"))
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

/// Signing keys by secret and scope, at most `most` of them.
#[pyclass(frozen, module = "anabranch._native")]
struct SigningKeys(PlainKeys);

#[pymethods]
impl SigningKeys {
    #[new]
    fn new(most: usize) -> Self {
        SigningKeys(PlainKeys::new(most))
    }

    fn get<'py>(&self, py: Python<'py>, secret: &str, scope: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.get(secret, scope).bytes)
    }
}

/// What a request says about its signature.
#[pyclass(frozen, module = "anabranch._native")]
struct SignatureClaim(Claim);

const _: () = require_alignment::<SigningKeys>();
const _: () = require_alignment::<SignatureClaim>();

#[pymethods]
impl SignatureClaim {
    #[getter]
    fn key_id(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0.key_id)
    }

    #[getter]
    fn scope<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.scope)
    }

    #[getter]
    fn date<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.date)
    }

    #[getter]
    fn time_s(&self) -> i64 {
        self.0.time_s
    }

    #[getter]
    fn expires_s(&self) -> Option<i64> {
        self.0.expires_s
    }

    #[getter]
    fn payload_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payload_hash)
    }

    #[getter]
    fn signature<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.signature)
    }

    fn unsigned<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(
            py,
            self.0.unsigned.iter().map(|name| PyBytes::new(py, name)),
        )
    }

    fn is_signed_by(
        &self,
        keys: &SigningKeys,
        secret: &str,
        method: &str,
        raw_path: &[u8],
    ) -> bool {
        let key = keys.0.get(secret, &self.0.scope);
        self.0.unsigned.is_empty() && self.0.is_signed_by(&key, method.as_bytes(), raw_path)
    }

    fn texts<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        raw_path: &[u8],
    ) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
        let canonical = self.0.canonical_request(method.as_bytes(), raw_path);
        let text = self.0.string_to_sign(&canonical);
        (PyBytes::new(py, &canonical), PyBytes::new(py, &text))
    }
}

#[pyfunction]
fn signature_claim<'py>(
    py: Python<'py>,
    headers: &Bound<'py, PyList>,
    raw_query: &[u8],
    most_s: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let mut owners = Vec::with_capacity(2 * headers.len());
    for pair in headers.iter() {
        let pair = pair.cast_into::<PyTuple>()?;
        owners.push(pair.get_item(0)?.cast_into::<PyBytes>()?);
        owners.push(pair.get_item(1)?.cast_into::<PyBytes>()?);
    }
    let pairs: Vec<Pair<'_>> = owners
        .chunks_exact(2)
        .map(|pair| (pair[0].as_bytes(), pair[1].as_bytes()))
        .collect();
    match sigv4::parse(&pairs, raw_query, most_s) {
        Ok(claim) => Ok(Bound::new(py, SignatureClaim(claim))?.into_any()),
        Err(problem) => Ok((problem as u8).into_pyobject(py)?.into_any()),
    }
}

#[pyfunction]
fn listing_contents<'py>(
    py: Python<'py>,
    batch: &Bound<'py, PyAny>,
    head: &str,
    owner: &[u8],
    is_coded: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let data = crate::ranges::import(batch)?;
    let columns = named(
        &data,
        ["path", "checksum", "size_bytes", "mtime", "checksum2"],
    )?;
    let found = listing::contents(&columns, head, owner, is_coded)
        .map_err(|_| PyValueError::new_err("not the columns of a listing"))?;
    Ok(PyBytes::new(py, &found))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(crc_update, module)?)?;
    module.add_function(wrap_pyfunction!(crc_combine, module)?)?;
    module.add_function(wrap_pyfunction!(mysql_rows, module)?)?;
    module.add_function(wrap_pyfunction!(signature_claim, module)?)?;
    module.add_function(wrap_pyfunction!(listing_contents, module)?)?;
    module.add_class::<SigningKeys>()?;
    module.add_class::<SignatureClaim>()?;
    Ok(())
}
