//! Errors on their way to Python: what the engine says, as an exception of the right class of `leasehold.errors`.

use crate::answer::{Held, said_to, shape};
use leasehold::bindings;
use leasehold::model::Diagnostics;
use leasehold::wire::Fault;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the engine says.
    Said(bindings::Failure),
    /// The engine is closed.
    Closed,
    /// What Python says, such as an exception of an object that was passed in.
    Raised(PyErr),
}

pub(crate) type Result<R> = std::result::Result<R, Failure>;

impl Failure {
    /// A mistake in how a function was called.
    pub(crate) fn argument(message: impl std::fmt::Display) -> Self {
        Self::Said(bindings::Failure::argument(message))
    }
}

macro_rules! said {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::Said(error.into())
            }
        })*
    };
}

said!(bindings::Failure, leasehold::Error, Fault, Diagnostics);

impl From<PyErr> for Failure {
    fn from(raised: PyErr) -> Self {
        Self::Raised(raised)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        static CLOSED: Held = Held::new("leasehold.errors", "CLOSED");
        let made = Python::attach(|py| match failure {
            Failure::Raised(raised) => Ok(raised),
            Failure::Closed => exception(py, "closed", "closed", &CLOSED.get(py)?).map(Self::from_value),
            Failure::Said(said) => {
                let made = exception(py, said.kind, said.code, PyString::new(py, &said.message).as_any())?;
                if let Some(blockers) = &said.blockers {
                    made.setattr("blockers", shape!("Blocker").each(py, blockers)?)?;
                }
                if let Some(found) = &said.diagnostics {
                    made.setattr("diagnostics", shape!("Diagnostic").each(py, found)?)?;
                }
                if let Some(stage) = &said.stage {
                    made.setattr("stage", said_to(py, stage)?)?;
                }
                if let Some(item) = &said.item {
                    made.setattr("item", &**item)?;
                }
                Ok(Self::from_value(made))
            }
        });
        made.unwrap_or_else(|raised| raised)
    }
}

/// An exception of the class for a code, or else for a kind; made, as answers are, without a line of Python being run.
fn exception<'py>(py: Python<'py>, kind: &str, code: &str, message: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    static CLASSES: Held = Held::new("leasehold.errors", "CLASSES");
    let classes = CLASSES.get(py)?;
    let class = classes.get_item(code).or_else(|_| classes.get_item(kind))?;
    let made = class.getattr("__new__")?.call1((&class, message))?;
    made.setattr("code", code)?;
    Ok(made)
}
