//! Binding of `anabranch_ranges`.

use anabranch_ranges::cuts::{Cutter as PlainCutter, Rule};
use anabranch_ranges::diff::Differences;
use anabranch_ranges::entries::{Entries as Rows, require_plain};
use anabranch_ranges::merge::{Sides, Strategy};
use anabranch_ranges::range_file::{self, Unreadable};
use anabranch_ranges::text::{Run, Text};
use anabranch_ranges::{Invalid, arrow, diff, ids, merge, pages, staging};
use arrow_array::ffi::{FFI_ArrowArray, from_ffi, to_ffi};
use arrow_data::ArrayData;
use arrow_schema::ffi::FFI_ArrowSchema;
use pyo3::exceptions::{PyIndexError, PyNotImplementedError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyList, PyString, PyTuple};

use crate::require_alignment;

const SCHEMA: &std::ffi::CStr = c"arrow_schema";
const ARRAY: &std::ffi::CStr = c"arrow_array";

pub(crate) fn refused(error: Invalid) -> PyErr {
    PyValueError::new_err(error.0)
}

pub(crate) fn import(object: &Bound<'_, PyAny>) -> PyResult<ArrayData> {
    let capsules = object.call_method0("__arrow_c_array__")?;
    let (schema, array): (Bound<'_, PyCapsule>, Bound<'_, PyCapsule>) = capsules.extract()?;
    let schema = schema
        .pointer_checked(Some(SCHEMA))?
        .cast::<FFI_ArrowSchema>();
    let array = array.pointer_checked(Some(ARRAY))?.cast::<FFI_ArrowArray>();
    // SAFETY: capsules of these names hold these structs; `from_raw` moves the array out and
    // leaves a released one behind, as the Arrow C data interface asks.
    let found = unsafe {
        let array = FFI_ArrowArray::from_raw(array.as_ptr());
        from_ffi(array, schema.as_ref())
    };
    found.map_err(|error| PyValueError::new_err(error.to_string()))
}

fn export<'py>(py: Python<'py>, data: &ArrayData) -> PyResult<Bound<'py, PyTuple>> {
    let (array, schema) = to_ffi(data).map_err(|error| PyValueError::new_err(error.to_string()))?;
    let schema = PyCapsule::new_with_value(py, schema, SCHEMA)?;
    let array = PyCapsule::new_with_value(py, array, ARRAY)?;
    PyTuple::new(py, [schema, array])
}

/// A result in Arrow's C data interface: `pyarrow.record_batch` or `pyarrow.array` take it.
#[pyclass(frozen, module = "anabranch._native")]
pub(crate) struct Columns(pub(crate) ArrayData);

#[pymethods]
impl Columns {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        export(py, &self.0)
    }
}

/// Entries sorted by path, some of them perhaps tombstones.
#[pyclass(frozen, module = "anabranch._native")]
pub(crate) struct Entries(pub(crate) Rows);

pub(crate) fn text<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let text = std::str::from_utf8(bytes).map_err(|_| PyValueError::new_err("not UTF-8"))?;
    Ok(PyString::new(py, text))
}

#[pymethods]
impl Entries {
    #[staticmethod]
    fn from_arrow(batch: &Bound<'_, PyAny>) -> PyResult<Self> {
        arrow::to_entries(&import(batch)?)
            .map(Entries)
            .map_err(refused)
    }

    #[staticmethod]
    fn concat(py: Python<'_>, parts: Vec<PyRef<'_, Entries>>) -> PyResult<Self> {
        let rows: Vec<&Rows> = parts.iter().map(|part| &part.0).collect();
        py.detach(|| Rows::concat(&rows))
            .map(Entries)
            .map_err(refused)
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_array__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let _ = requested_schema;
        export(py, &arrow::from_entries(&self.0))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn has_tombstones(&self) -> bool {
        self.0.tombstone.is_some()
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    #[getter]
    fn objects_bytes(&self) -> i64 {
        self.0.objects_bytes()
    }

    fn path<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyString>> {
        self.require(row)?;
        text(py, self.0.path.get(row))
    }

    fn row<'py>(&self, py: Python<'py>, row: usize) -> PyResult<Bound<'py, PyTuple>> {
        self.require(row)?;
        let rows = &self.0;
        (
            text(py, rows.address.get(row))?,
            text(py, rows.checksum.get(row))?,
            rows.size_bytes[row],
            rows.mtime[row],
            text(py, rows.content_type.get(row))?,
            text(py, rows.metadata.get(row))?,
            text(py, rows.checksum2.get(row))?,
            PyBytes::new(py, rows.identity(row)),
        )
            .into_pyobject(py)
    }

    #[getter]
    fn paths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let rows = 0..self.0.len();
        let paths: Vec<_> = rows
            .map(|row| text(py, self.0.path.get(row)))
            .collect::<PyResult<_>>()?;
        PyList::new(py, paths)
    }

    fn find(&self, path: &str) -> Option<usize> {
        self.0.find(path.as_bytes())
    }

    fn is_tombstone(&self, row: usize) -> PyResult<bool> {
        self.require(row)?;
        Ok(self.0.is_tombstone(row))
    }

    #[pyo3(signature = (path, start=0))]
    fn lower_bound(&self, path: &str, start: usize) -> usize {
        self.0
            .path
            .lower_bound(start.min(self.0.len()), path.as_bytes())
    }

    #[pyo3(signature = (path, start=0))]
    fn upper_bound(&self, path: &str, start: usize) -> usize {
        self.0
            .path
            .upper_bound(start.min(self.0.len()), path.as_bytes())
    }

    /// Copies of some rows, which are given in ascending order.
    fn take(&self, rows: Vec<usize>) -> PyResult<Entries> {
        if !rows.is_sorted() || rows.last().is_some_and(|&row| row >= self.0.len()) {
            return Err(PyIndexError::new_err(
                "rows in ascending order, all of them there",
            ));
        }
        let runs: Vec<Run> = rows
            .iter()
            .map(|&start| Run {
                source: 0,
                start,
                len: 1,
            })
            .collect();
        let found = Rows::gather(&[&self.0], &runs, None).map_err(refused)?;
        Ok(Entries(found))
    }

    fn slice(&self, start: usize, stop: usize) -> PyResult<Self> {
        if start > stop || stop > self.0.len() {
            return Err(PyIndexError::new_err("slice past the last row"));
        }
        Ok(Entries(self.0.slice(start, stop - start)))
    }

    fn is_ascending(&self, py: Python<'_>, after: &str) -> bool {
        py.detach(|| self.0.is_ascending(Some(after.as_bytes())))
    }
}

impl Entries {
    fn require(&self, row: usize) -> PyResult<()> {
        if row < self.0.len() {
            return Ok(());
        }
        Err(PyIndexError::new_err("row past the last one"))
    }
}

/// Cuts a stream of sorted entries into ranges.
#[pyclass(module = "anabranch._native")]
struct Cutter(PlainCutter);

const _: () = require_alignment::<Columns>();
const _: () = require_alignment::<Entries>();
const _: () = require_alignment::<Cutter>();

#[pymethods]
impl Cutter {
    #[new]
    fn new(weight_min: u64, slope: u64, weight_max: u64) -> PyResult<Self> {
        let rule = Rule::new(weight_min, slope, weight_max).map_err(refused)?;
        Ok(Cutter(PlainCutter::new(rule)))
    }

    #[getter]
    fn pending(&self) -> usize {
        self.0.pending()
    }

    #[getter]
    fn taken(&self) -> u64 {
        self.0.taken()
    }

    fn add(&mut self, py: Python<'_>, rows: &Entries) -> PyResult<Vec<(Entries, bool, u64)>> {
        let rows = rows.0.clone();
        let cuts = py.detach(|| self.0.add(rows)).map_err(refused)?;
        Ok(cuts
            .into_iter()
            .map(|cut| (Entries(cut.rows), cut.is_fallback, cut.end))
            .collect())
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Option<Entries>> {
        let rest = py.detach(|| self.0.finish()).map_err(refused)?;
        Ok(rest.map(Entries))
    }
}

#[pyfunction]
fn identity<'py>(
    py: Python<'py>,
    size_bytes: u64,
    checksum: &str,
    content_type: &str,
    metadata: &str,
) -> Bound<'py, PyBytes> {
    let found = ids::identity(
        size_bytes,
        checksum.as_bytes(),
        content_type.as_bytes(),
        metadata.as_bytes(),
    );
    PyBytes::new(py, &found)
}

#[pyfunction]
fn identities(
    py: Python<'_>,
    sizes: &Bound<'_, PyAny>,
    checksums: &Bound<'_, PyAny>,
    content_types: &Bound<'_, PyAny>,
    metadata: &Bound<'_, PyAny>,
) -> PyResult<Columns> {
    let columns = [
        import(sizes)?,
        import(checksums)?,
        import(content_types)?,
        import(metadata)?,
    ];
    let found = py.detach(|| ids::identities(columns.each_ref()));
    found.map(Columns).map_err(refused)
}

#[pyfunction]
fn blake3<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &ids::blake3_256(data))
}

#[pyfunction]
fn range_id<'py>(py: Python<'py>, rows: &Entries) -> PyResult<Bound<'py, PyBytes>> {
    let found = py.detach(|| ids::range_id(&rows.0)).map_err(refused)?;
    Ok(PyBytes::new(py, &found))
}

#[pyfunction]
fn node_id<'py>(
    py: Python<'py>,
    level: u8,
    children: &Bound<'_, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let children = import(children)?;
    let found = py
        .detach(|| ids::node_id(level, &children))
        .map_err(refused)?;
    Ok(PyBytes::new(py, &found))
}

fn unreadable(error: Unreadable) -> PyErr {
    match error {
        Unreadable::OtherFormat => PyNotImplementedError::new_err("it has an unknown format"),
        Unreadable::Damaged(text) => PyValueError::new_err(text),
    }
}

#[pyfunction]
fn encode_range<'py>(py: Python<'py>, rows: &Entries) -> PyResult<Bound<'py, PyBytes>> {
    let data = py
        .detach(|| range_file::encode_range(&rows.0))
        .map_err(refused)?;
    Ok(PyBytes::new(py, &data))
}

#[pyfunction]
fn decode_range(py: Python<'_>, data: &[u8], id: &[u8]) -> PyResult<Entries> {
    py.detach(|| range_file::decode_range(data, id))
        .map(Entries)
        .map_err(unreadable)
}

#[pyfunction]
fn encode_node<'py>(
    py: Python<'py>,
    level: u8,
    children: &Bound<'_, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let children = import(children)?;
    let data = py
        .detach(|| range_file::encode_node(level, &children))
        .map_err(refused)?;
    Ok(PyBytes::new(py, &data))
}

type NodeTuples<'py> = (
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
    Bound<'py, PyTuple>,
);

/// The columns of a metarange's file as tuples, ids as hex digits: pyarrow makes an object more for
/// each value.
#[pyfunction]
fn decode_node<'py>(
    py: Python<'py>,
    level: u8,
    data: &[u8],
    id: &[u8],
) -> PyResult<NodeTuples<'py>> {
    let node = py
        .detach(|| range_file::decode_node(level, data, id))
        .map_err(unreadable)?;
    let texts = |text: &Text| -> PyResult<Bound<'py, PyTuple>> {
        let found: Result<Vec<&str>, _> = (0..text.len())
            .map(|row| std::str::from_utf8(text.get(row)))
            .collect();
        PyTuple::new(
            py,
            found.map_err(|error| PyValueError::new_err(error.to_string()))?,
        )
    };
    Ok((
        PyTuple::new(py, node.ids().map(hex).collect::<Vec<_>>())?,
        texts(&node.firsts)?,
        texts(&node.lasts)?,
        PyTuple::new(py, node.counts.iter())?,
        PyTuple::new(py, node.sizes_bytes.iter())?,
        PyTuple::new(py, node.fallbacks.iter().map(|flag| *flag != 0))?,
    ))
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

#[pyfunction]
fn staging_rows(
    py: Python<'_>,
    paths: &Bound<'_, PyList>,
    blobs: &Bound<'_, PyList>,
) -> PyResult<Entries> {
    // Both lists are held by new ones, so that nobody can drop the bytes while they are read.
    let (paths, blobs) = (PyList::new(py, paths)?, PyList::new(py, blobs)?);
    let paths: Vec<Bound<'_, PyBytes>> = paths.extract()?;
    let blobs: Vec<Bound<'_, PyBytes>> = blobs.extract()?;
    let paths: Vec<&[u8]> = paths.iter().map(|path| path.as_bytes()).collect();
    let blobs: Vec<&[u8]> = blobs.iter().map(|blob| blob.as_bytes()).collect();
    let rows = py.detach(|| staging::decode(&paths, &blobs));
    rows.map(Entries).map_err(refused)
}

type Merged = (Vec<Entries>, (u64, u64, u64, u64));

#[pyfunction]
fn merge_many(
    py: Python<'_>,
    jobs: Vec<(PyRef<'_, Entries>, PyRef<'_, Entries>, bool)>,
) -> PyResult<Merged> {
    let jobs: Vec<(Rows, Rows, bool)> = jobs
        .iter()
        .map(|(base, changes, is_cleared)| (base.0.clone(), changes.0.clone(), *is_cleared))
        .collect();
    let (rows, counts) = py.detach(|| merge::merge_many(&jobs)).map_err(refused)?;
    Ok((
        rows.into_iter().map(Entries).collect(),
        (
            counts.added,
            counts.changed,
            counts.removed,
            counts.unchanged,
        ),
    ))
}

#[pyfunction]
fn diff_many(
    py: Python<'_>,
    pairs: Vec<(PyRef<'_, Entries>, PyRef<'_, Entries>)>,
) -> PyResult<Columns> {
    let pairs: Vec<(Rows, Rows)> = pairs
        .iter()
        .map(|(left, right)| (left.0.clone(), right.0.clone()))
        .collect();
    py.detach(|| diff::diff(&pairs))
        .map(Columns)
        .map_err(refused)
}

type Pair = (Entries, Entries);

#[pyfunction]
fn differing_many(
    py: Python<'_>,
    pairs: Vec<(PyRef<'_, Entries>, PyRef<'_, Entries>)>,
) -> PyResult<Vec<Pair>> {
    let pairs: Vec<(Rows, Rows)> = pairs
        .iter()
        .map(|(left, right)| (left.0.clone(), right.0.clone()))
        .collect();
    let found = py
        .detach(|| diff::differing_many(&pairs))
        .map_err(refused)?;
    Ok(found
        .into_iter()
        .map(|(left, right)| (Entries(left), Entries(right)))
        .collect())
}

#[pyfunction]
fn stats_json<'py>(
    py: Python<'py>,
    rows: &Entries,
    namespace: &str,
    with_metadata: bool,
) -> Bound<'py, PyBytes> {
    let found = pages::stats_json(&rows.0, namespace.as_bytes(), with_metadata);
    PyBytes::new(py, &found)
}

#[pyfunction]
fn diffs_json<'py>(
    py: Python<'py>,
    batches: Vec<Bound<'py, PyAny>>,
    with_right: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let parts: Vec<Differences> = batches
        .iter()
        .map(|batch| Differences::from_arrow(&import(batch)?).map_err(refused))
        .collect::<PyResult<_>>()?;
    Ok(PyBytes::new(py, &pages::diffs_json(&parts, with_right)))
}

type Triple<'py> = (
    PyRef<'py, Entries>,
    PyRef<'py, Entries>,
    PyRef<'py, Entries>,
);

#[pyfunction]
fn three_way_many(
    py: Python<'_>,
    triples: Vec<Triple<'_>>,
    strategy: u8,
) -> PyResult<(Entries, Columns)> {
    let strategy = Strategy::from_code(strategy).map_err(refused)?;
    let mut jobs = Vec::with_capacity(triples.len());
    for (base, source, dest) in &triples {
        for side in [base, source, dest] {
            require_plain(&side.0).map_err(refused)?;
        }
        jobs.push(Sides {
            base: base.0.clone(),
            source: source.0.clone(),
            dest: dest.0.clone(),
        });
    }
    let (changes, conflicts) = py
        .detach(|| merge::three_way(&jobs, strategy))
        .map_err(refused)?;
    Ok((Entries(changes), Columns(conflicts)))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Columns>()?;
    module.add_class::<Entries>()?;
    module.add_class::<Cutter>()?;
    module.add_function(wrap_pyfunction!(identity, module)?)?;
    module.add_function(wrap_pyfunction!(identities, module)?)?;
    module.add_function(wrap_pyfunction!(blake3, module)?)?;
    module.add_function(wrap_pyfunction!(range_id, module)?)?;
    module.add_function(wrap_pyfunction!(node_id, module)?)?;
    module.add_function(wrap_pyfunction!(encode_range, module)?)?;
    module.add_function(wrap_pyfunction!(decode_range, module)?)?;
    module.add_function(wrap_pyfunction!(encode_node, module)?)?;
    module.add_function(wrap_pyfunction!(decode_node, module)?)?;
    module.add_function(wrap_pyfunction!(staging_rows, module)?)?;
    module.add_function(wrap_pyfunction!(merge_many, module)?)?;
    module.add_function(wrap_pyfunction!(diff_many, module)?)?;
    module.add_function(wrap_pyfunction!(differing_many, module)?)?;
    module.add_function(wrap_pyfunction!(stats_json, module)?)?;
    module.add_function(wrap_pyfunction!(diffs_json, module)?)?;
    module.add_function(wrap_pyfunction!(three_way_many, module)?)?;
    Ok(())
}
