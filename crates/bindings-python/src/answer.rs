//! Answers on their way to Python.

use crate::failure::Result;
use leasehold::bindings::caught;
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};
use pythonize::pythonize;
use serde::Serialize;

/// Something of one of [`MODULES`], which is looked up once.
pub(crate) struct Held {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

impl Held {
    pub(crate) const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, found: PyOnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.found.get(py) {
            Some(found) => Ok(found.bind(py).clone()),
            None => self.look_up(py),
        }
    }

    #[cold]
    fn look_up<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let missing = || PyKeyError::new_err((self.module, self.name));
        let found =
            ALL.get(py).ok_or_else(missing)?.bind(py).get_item((self.module, self.name))?.ok_or_else(missing)?;
        // Whoever was quicker has found the same.
        let _ = self.found.set(py, found.clone().unbind());
        Ok(found)
    }
}

/// Modules that things are taken from.
const MODULES: [&str; 4] = ["json", "leasehold._answer", "leasehold.answers", "leasehold.errors"];

/// All that these modules have, by module and name. Nothing is imported later: in the midst of that another thread may fork,
/// and while the interpreter ends modules lose what they had.
static ALL: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

/// Holds it, when the extension is imported.
pub(crate) fn hold(py: Python<'_>) -> PyResult<()> {
    let held = PyDict::new(py);
    for module in MODULES {
        for (name, value) in py.import(module)?.dict() {
            held.set_item((module, name), value)?;
        }
    }
    let _ = ALL.set(py, held.unbind());
    Ok(())
}

/// A class of `leasehold.answers`.
pub(crate) struct Shape(Held);

impl Shape {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(Held::new("leasehold.answers", name))
    }

    /// Answers with an object.
    pub(crate) fn of<R: Serialize>(&self, py: Python<'_>, ask: impl FnOnce() -> Result<R>) -> PyResult<Py<PyAny>> {
        self.made(py, &answer(ask)?)
    }

    /// Answers with an object; other threads of Python run while it is asked.
    pub(crate) fn beside<R: Serialize + Send>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce() -> Result<R> + Send,
    ) -> PyResult<Py<PyAny>> {
        self.made(py, &beside(py, ask)?)
    }

    /// The object that stands for what is said.
    pub(crate) fn made(&self, py: Python<'_>, said: &impl Serialize) -> PyResult<Py<PyAny>> {
        Ok(self.holding(py, said_to(py, said)?)?.unbind())
    }

    /// The objects that stand for the items of a list.
    pub(crate) fn each(&self, py: Python<'_>, said: &[impl Serialize]) -> PyResult<Py<PyTuple>> {
        let items = said.iter().map(|item| self.holding(py, said_to(py, item)?));
        Ok(PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)?.unbind())
    }

    /// An object is made, and what is said put into it, without a line of Python being run: a thread that is in the middle
    /// of one when the interpreter ends is ended by it, and cannot be with Rust below it.
    fn holding<'py>(&self, py: Python<'py>, said: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        static NEW: Held = Held::new("leasehold._answer", "NEW");
        static PUT: Held = Held::new("leasehold._answer", "PUT");
        let answer = NEW.get(py)?.call1((self.0.get(py)?,))?;
        PUT.get(py)?.call1((&answer, said))?;
        Ok(answer)
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

/// What is said, as Python has JSON.
pub(crate) fn said_to<'py>(py: Python<'py>, said: &(impl Serialize + ?Sized)) -> PyResult<Bound<'py, PyAny>> {
    Ok(pythonize(py, said)?)
}

/// Answers a call. A panic, which would be our mistake, becomes an error of this one call.
pub(crate) fn answer<R>(ask: impl FnOnce() -> Result<R>) -> PyResult<R> {
    Ok(caught(ask)?)
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
