//! Binding of `anabranch_loading`.

use anabranch_loading::Invalid;
use anabranch_loading::csv::{Bad, Rules, Splitter};
use anabranch_loading::json::Cutter;
use arrow_array::{Array, StructArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ranges::Columns;
use crate::require_alignment;

fn refused(error: Invalid) -> PyErr {
    PyValueError::new_err(error.0)
}

type BadLine<'py> = (i64, Option<usize>, Bound<'py, PyBytes>);

/// Splits CSV into columns of text.
///
/// The splitter stands in a box of its own: its searchers hold vectors of 32 bytes, and are read as
/// such, while Python aligns its objects to 16.
#[pyclass(module = "anabranch._native")]
struct CsvSplitter(Box<Splitter>);

#[pymethods]
impl CsvSplitter {
    #[new]
    #[pyo3(signature = (columns, separator, delimiter, *, enclose=None, escape=None,
        trims_quotes=false, skip_lines=0, first_row=0, line_bytes_max, bad_max, bad_bytes_max))]
    #[allow(clippy::too_many_arguments)] // they are named in Python
    fn new(
        columns: usize,
        separator: Vec<u8>,
        delimiter: Vec<u8>,
        enclose: Option<u8>,
        escape: Option<u8>,
        trims_quotes: bool,
        skip_lines: u64,
        first_row: i64,
        line_bytes_max: usize,
        bad_max: usize,
        bad_bytes_max: usize,
    ) -> PyResult<Self> {
        let rules = Rules {
            columns,
            separator,
            delimiter,
            enclose,
            escape,
            trims_quotes,
            skip_lines,
            line_bytes_max,
            bad_max,
            bad_bytes_max,
        };
        Splitter::new(rules, first_row)
            .map(|splitter| CsvSplitter(Box::new(splitter)))
            .map_err(refused)
    }

    #[getter]
    fn next_row(&self) -> i64 {
        self.0.next_row()
    }

    #[getter]
    fn bad_count(&self) -> u64 {
        self.0.bad_count()
    }

    fn feed<'py>(
        &mut self,
        py: Python<'py>,
        data: &Bound<'py, PyBytes>,
    ) -> PyResult<(Columns, Vec<BadLine<'py>>)> {
        let bytes = data.as_bytes();
        let found = py.detach(|| self.0.feed(bytes)).map_err(refused)?;
        Ok(shown(py, found))
    }

    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<(Columns, Vec<BadLine<'py>>)> {
        let found = py.detach(|| self.0.finish()).map_err(refused)?;
        Ok(shown(py, found))
    }
}

fn shown<'py>(
    py: Python<'py>,
    (batch, bad): (StructArray, Vec<Bad>),
) -> (Columns, Vec<BadLine<'py>>) {
    let lines = bad
        .into_iter()
        .map(|bad| (bad.row, bad.columns, PyBytes::new(py, &bad.line)))
        .collect();
    (Columns(batch.into_data()), lines)
}

/// Cuts JSON documents into the texts of their values.
#[pyclass(module = "anabranch._native")]
struct JsonCutter(Cutter);

const _: () = require_alignment::<CsvSplitter>();
const _: () = require_alignment::<JsonCutter>();

#[pymethods]
impl JsonCutter {
    #[new]
    fn new(is_array: bool, value_bytes_max: usize) -> Self {
        JsonCutter(Cutter::new(is_array, value_bytes_max))
    }

    fn feed(&mut self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<Columns> {
        let bytes = data.as_bytes();
        let found = py.detach(|| self.0.feed(bytes)).map_err(refused)?;
        Ok(Columns(found.to_data()))
    }

    fn finish(&mut self, py: Python<'_>) -> PyResult<Columns> {
        let found = py.detach(|| self.0.finish()).map_err(refused)?;
        Ok(Columns(found.to_data()))
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<CsvSplitter>()?;
    module.add_class::<JsonCutter>()?;
    Ok(())
}
