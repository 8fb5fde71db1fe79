//! Errors on their way to JavaScript: as one JSON text, `{"kind", "code", "message", …}`, of which the TypeScript makes the
//! class of the kind.

use leasehold::Timestamp;
use leasehold::bindings::{self, Failure, Result, caught, written};
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

/// An instant as JavaScript has it, in milliseconds since 1970.
pub(crate) fn instant(ms: f64) -> Result<Timestamp> {
    /// As far as dates of JavaScript reach.
    const MOST: f64 = 8.64e15;
    if !(-MOST..=MOST).contains(&ms) {
        return Err(Failure::argument("`now` is not an instant: pass milliseconds since 1970, or a valid `Date`"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds, and parts of a millisecond are cut off")]
    bindings::at(ms.floor() as i64)
}
