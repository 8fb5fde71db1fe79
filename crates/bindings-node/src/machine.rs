//! Questions about workflows.

use crate::failure::{answer, document};
use leasehold::bindings::{self, MachineAbout, within, written};
use leasehold::workflow::Machine;
use napi_derive::napi;

/// A tenant's machine of a workflow.
#[napi]
pub struct NativeMachine(pub(crate) Machine);

#[napi]
impl NativeMachine {
    /// What it is made of.
    #[napi]
    pub fn about(&self) -> napi::Result<String> {
        document(|| Ok(MachineAbout::from(&self.0)))
    }

    /// What may be done at a stage.
    #[napi]
    pub fn transitions(&self, stage: String, context: Option<String>) -> napi::Result<String> {
        // Answers borrow from the context: they are written while it is there.
        answer(|| within(context.as_deref(), |context| written(&self.0.transitions(&stage, context)?)))
    }

    /// Whether an item may move from one stage to another.
    #[napi]
    pub fn check(&self, from: String, to: String, context: Option<String>) -> napi::Result<String> {
        answer(|| within(context.as_deref(), |context| written(&self.0.check(&from, &to, context)?)))
    }

    /// Answers what a check would, without asking: what crossing costs alone, for benchmarks.
    #[napi]
    pub fn empty_check(&self, _from: String, _to: String, _context: Option<String>) -> String {
        r#"{"transition":"pick_up","event":"picked_up"}"#.to_owned()
    }

    /// Why a move is what it is.
    #[napi]
    pub fn explain(&self, from: String, to: String, context: Option<String>) -> napi::Result<String> {
        document(|| within(context.as_deref(), |context| Ok(self.0.explain(&from, &to, context)?)))
    }

    /// Paths that take every transition.
    #[napi]
    pub fn covering_paths(&self) -> napi::Result<String> {
        document(|| Ok(self.0.covering_paths()))
    }

    /// A picture of it.
    #[napi]
    pub fn picture(&self, form: String, language: String, current: Option<String>) -> napi::Result<String> {
        answer(|| bindings::picture(&self.0, None, &form, &language, current))
    }

    /// A picture of what it changes over an older one.
    #[napi]
    pub fn picture_against(
        &self,
        older: &NativeMachine,
        form: String,
        language: String,
        current: Option<String>,
    ) -> napi::Result<String> {
        answer(|| bindings::picture(&self.0, Some(&older.0), &form, &language, current))
    }
}
