//! Errors on their way to Python: of what the engine says, `leasehold.errors` makes an exception of the right class.

use leasehold::bindings;
use leasehold::model::Diagnostics;
use leasehold::wire::Fault;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

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
        static TOLD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static CLOSED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let made = Python::attach(|py| match failure {
            Failure::Raised(raised) => Err(raised),
            Failure::Closed => CLOSED.import(py, "leasehold.errors", "ClosedError")?.call0().map(Self::from_value),
            Failure::Said(said) => {
                TOLD.import(py, "leasehold.errors", "_told")?.call1((said.to_string(),)).map(Self::from_value)
            }
        });
        made.unwrap_or_else(|raised| raised)
    }
}
