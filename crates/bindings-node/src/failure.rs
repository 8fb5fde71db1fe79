//! Errors on their way to JavaScript: as one JSON text, `{"kind", "code", "message", …}`, of which the TypeScript makes the
//! class of the kind.

use leasehold::model::Diagnostics;
use leasehold::wire::Fault;
use leasehold::{Error, Timestamp};
use napi::{Error as Thrown, Result, Status};
use serde::Serialize;
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) struct Failure(Value);

impl Failure {
    /// A mistake in how a function was called.
    pub(crate) fn argument(message: impl std::fmt::Display) -> Self {
        Self(json!({ "kind": "argument", "code": "invalid_argument", "message": message.to_string() }))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut said = json!({ "kind": "question", "code": error.code(), "message": error.to_string() });
        if let Error::GuardFailed { blockers, .. } = &error {
            said["blockers"] = json!(blockers);
        }
        Self(said)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let mut said = json!({
            "kind": "snapshot",
            "code": fault.code(),
            "stage": fault.stage(),
            "item": fault.item(),
            "message": fault.to_string(),
        });
        if let Some(found) = fault.diagnostics() {
            said["diagnostics"] = json!(found.as_slice());
        }
        Self(said)
    }
}

impl From<Diagnostics> for Failure {
    fn from(found: Diagnostics) -> Self {
        let (message, found) = (found.to_string(), found.as_slice());
        Self(json!({ "kind": "definitions", "code": "invalid_definitions", "message": message, "diagnostics": found }))
    }
}

impl From<Failure> for Thrown {
    fn from(failure: Failure) -> Self {
        Self::new(Status::GenericFailure, failure.0.to_string())
    }
}

/// Answers a call. A panic, which would be our mistake, becomes an error of this one call.
pub(crate) fn answer<R>(ask: impl FnOnce() -> std::result::Result<R, Failure>) -> Result<R> {
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(answer) => answer.map_err(Thrown::from),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
            let message = format!("the engine panicked, which is a mistake in it: {text}");
            Err(Failure(json!({ "kind": "internal", "code": "internal", "message": message })).into())
        }
    }
}

/// Answers a call with a document.
pub(crate) fn document<R: Serialize>(ask: impl FnOnce() -> std::result::Result<R, Failure>) -> Result<String> {
    answer(|| written(&ask()?))
}

/// A document as text.
pub(crate) fn written(document: &impl Serialize) -> std::result::Result<String, Failure> {
    // Most answers find room in it.
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, document).map_err(Failure::argument)?;
    String::from_utf8(text).map_err(Failure::argument)
}

/// An instant as JavaScript has it, in milliseconds since 1970.
pub(crate) fn instant(ms: f64) -> std::result::Result<Timestamp, Failure> {
    /// As far as dates of JavaScript reach.
    const MOST: f64 = 8.64e15;
    if !(-MOST..=MOST).contains(&ms) {
        return Err(Failure::argument("`now` is not an instant: pass milliseconds since 1970, or a valid `Date`"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds, and parts of a millisecond are cut off")]
    Timestamp::from_ms(ms.floor() as i64).map_err(|error| Failure::from(Error::from(error)))
}

/// Reads an argument that came as JSON.
pub(crate) fn argument<T: serde::de::DeserializeOwned>(name: &str, json: &str) -> std::result::Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| Failure::argument(format!("`{name}` cannot be read: {error}")))
}

/// Reads an identifier.
pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: &str,
) -> std::result::Result<T, Failure> {
    text.parse().map_err(|error| Failure::argument(format!("`{name}`: {error}")))
}

/// Makes an integer of a number that JavaScript wrote as a float because it is great: it is out of a guard's range, not of
/// another type.
pub(crate) fn whole(value: &mut serde_json::Value) {
    if value.is_f64()
        && let Some(float) = value.as_f64().filter(|float| float.fract() == 0.0)
    {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of floats saturates, and the engine knows its bounds"
        )]
        let integer = float as i64;
        *value = integer.into();
    }
}
