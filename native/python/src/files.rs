//! Binding of `anabranch_ranges::files`.

use std::io;
use std::os::fd::BorrowedFd;

use anabranch_ranges::files::Files as Found;
use pyo3::exceptions::{PyIndexError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::ranges::{Entries, refused, text};
use crate::require_alignment;

/// Files and directories of one directory, in the order of their paths.
#[pyclass(frozen, module = "anabranch._native")]
struct Files(Found);

const _: () = require_alignment::<Files>();

fn failed(error: &io::Error) -> PyErr {
    PyOSError::new_err((error.raw_os_error(), error.to_string()))
}

#[pymethods]
impl Files {
    #[new]
    fn new(names: Vec<String>, sizes: Vec<i64>, mtimes: Vec<i64>) -> PyResult<Self> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Found::new(&names, &sizes, &mtimes)
            .map(Files)
            .map_err(refused)
    }

    #[staticmethod]
    fn in_directory(py: Python<'_>, descriptor: i32) -> PyResult<Self> {
        if descriptor < 0 {
            return Err(PyValueError::new_err("not an open directory"));
        }
        // SAFETY: the caller keeps the directory open during the call, as for any file operation
        // that takes a descriptor; one that is closed makes the calls below fail.
        let directory = unsafe { BorrowedFd::borrow_raw(descriptor) };
        py.detach(|| Found::in_directory(directory))
            .map(Files)
            .map_err(|error| failed(&error))
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn link<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyString>>> {
        self.0.link().map(|name| text(py, name)).transpose()
    }

    #[getter]
    fn misnamed<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.misnamed().map(|name| PyBytes::new(py, name))
    }

    fn name<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyString>> {
        if index >= self.0.len() {
            return Err(PyIndexError::new_err("index past the last name"));
        }
        text(py, self.0.name(index))
    }

    fn next_directory(&self, start: usize) -> usize {
        self.0.next_directory(start)
    }

    fn rows(
        &self,
        py: Python<'_>,
        start: usize,
        stop: usize,
        prefix: &str,
        base: &str,
        content_type: &str,
    ) -> PyResult<Entries> {
        py.detach(|| self.0.rows(start, stop, prefix, base, content_type))
            .map(Entries)
            .map_err(refused)
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Files>()
}
