//! Answers on their way to Python.

use crate::failure::Result;
use leasehold::bindings::{caught, written};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use serde::Serialize;

/// A class of `leasehold.answers`, which is looked up once.
pub(crate) struct Shape {
    name: &'static str,
    class: PyOnceLock<Py<PyAny>>,
}

impl Shape {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, class: PyOnceLock::new() }
    }

    /// The object that stands for a JSON text.
    pub(crate) fn of(&self, py: Python<'_>, json: &str) -> PyResult<Py<PyAny>> {
        let class = self.class.import(py, "leasehold.answers", self.name)?;
        Ok(class.call1((parsed(py, json)?,))?.unbind())
    }

    /// The objects that stand for the items of a list.
    pub(crate) fn each(&self, py: Python<'_>, json: &str) -> PyResult<Py<PyTuple>> {
        let class = self.class.import(py, "leasehold.answers", self.name)?;
        let items = parsed(py, json)?.try_iter()?.map(|item| class.call1((item?,))).collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, items)?.unbind())
    }
}

/// A class of `leasehold.answers`.
macro_rules! shape {
    ($name:literal) => {{
        static SHAPE: $crate::answer::Shape = $crate::answer::Shape::new($name);
        &SHAPE
    }};
}
pub(crate) use shape;

/// What a JSON text says, as Python has it.
pub(crate) fn parsed<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    LOADS.import(py, "json", "loads")?.call1((PyString::new(py, json),))
}

/// Answers a call. A panic, which would be our mistake, becomes an error of this one call.
pub(crate) fn answer<R>(ask: impl FnOnce() -> Result<R>) -> PyResult<R> {
    Ok(caught(ask)?)
}

/// Answers with a document, as text.
pub(crate) fn document<R: Serialize>(ask: impl FnOnce() -> Result<R>) -> PyResult<String> {
    answer(|| Ok(written(&ask()?)?))
}

/// Answers with a document, as text; other threads of Python run meanwhile.
pub(crate) fn document_beside<R: Serialize>(
    py: Python<'_>,
    ask: impl FnOnce() -> Result<R> + Send,
) -> PyResult<String> {
    beside(py, || Ok(written(&ask()?)?))
}

/// Answers a call that may take long; other threads of Python run meanwhile.
pub(crate) fn beside<R: Send>(py: Python<'_>, ask: impl FnOnce() -> Result<R> + Send) -> PyResult<R> {
    Ok(py.detach(|| caught(ask))?)
}

/// Panics, to show that it is one error of one call. Development builds only.
#[cfg(debug_assertions)]
#[pyfunction]
pub(crate) fn panics() -> PyResult<()> {
    #[expect(clippy::panic, reason = "a test")]
    answer(|| panic!("on purpose"))
}
