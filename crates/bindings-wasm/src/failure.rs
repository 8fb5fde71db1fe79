//! Errors on their way to JavaScript: as one JSON text, `{"kind", "code", "message", …}`, of which the TypeScript makes the
//! class of the kind. A panic ends a call by itself: the TypeScript sees that it was none of these.

use leasehold::bindings::{Failure, Result, written};
use serde::Serialize;
use wasm_bindgen::JsValue;

/// What a call gives back.
pub(crate) type Thrown<R> = std::result::Result<R, JsValue>;

/// Answers a call.
pub(crate) fn answer<R>(ask: impl FnOnce() -> Result<R>) -> Thrown<R> {
    ask().map_err(thrown)
}

fn thrown(failure: Failure) -> JsValue {
    JsValue::from_str(&failure.to_string())
}

/// Answers a call with a document.
pub(crate) fn document<R: Serialize>(ask: impl FnOnce() -> Result<R>) -> Thrown<String> {
    answer(|| written(&ask()?))
}
