//! Errors on their way to JavaScript: as one JSON text, `{"kind", "code", "message", …}`, of which the TypeScript makes the
//! class of the kind.

use leasehold::bindings::{Failure, Result, caught, written};
use napi::{Error as Thrown, Status};
use serde::Serialize;

fn thrown(failure: Failure) -> Thrown {
    Thrown::new(Status::GenericFailure, failure.to_string())
}

/// Answers a call. A panic, which would be our mistake, becomes an error of this one call.
pub(crate) fn answer<R>(ask: impl FnOnce() -> Result<R>) -> napi::Result<R> {
    caught(ask).map_err(thrown)
}

/// Answers a call with a document.
pub(crate) fn document<R: Serialize>(ask: impl FnOnce() -> Result<R>) -> napi::Result<String> {
    answer(|| written(&ask()?))
}
