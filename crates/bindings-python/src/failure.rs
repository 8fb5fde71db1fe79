//! Errors on their way to Python: of what the engine says, `leasehold.errors` makes an exception of the right class.

use crate::answer::Imported;
use leasehold::bindings;
use leasehold::model::Diagnostics;
use leasehold::wire::Fault;
use pyo3::prelude::*;

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
        static TOLD: Imported = Imported::new("leasehold.errors", "_told");
        static CLOSED: Imported = Imported::new("leasehold.errors", "ClosedError");
        let made = Python::attach(|py| match failure {
            Failure::Raised(raised) => Err(raised),
            Failure::Closed => CLOSED.get(py)?.call0().map(Self::from_value),
            Failure::Said(said) => TOLD.get(py)?.call1((said.to_string(),)).map(Self::from_value),
        });
        made.unwrap_or_else(|raised| raised)
    }
}
