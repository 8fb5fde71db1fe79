//! Questions about workflows.

use crate::failure::{Thrown, answer, document};
use leasehold::bindings::{MachineAbout, within, written};
use leasehold::workflow::Machine;
use wasm_bindgen::prelude::wasm_bindgen;

/// A tenant's machine of a workflow.
#[wasm_bindgen]
#[derive(Debug)]
pub struct NativeMachine(pub(crate) Machine);

#[wasm_bindgen]
impl NativeMachine {
    /// What it is made of.
    pub fn about(&self) -> Thrown<String> {
        document(|| Ok(MachineAbout::from(&self.0)))
    }

    /// What may be done at a stage.
    pub fn transitions(&self, stage: &str, context: Option<String>) -> Thrown<String> {
        // Answers borrow from the context: they are written while it is there.
        answer(|| within(context.as_deref(), |context| written(&self.0.transitions(stage, context)?)))
    }

    /// Whether an item may move from one stage to another.
    pub fn check(&self, from: &str, to: &str, context: Option<String>) -> Thrown<String> {
        answer(|| within(context.as_deref(), |context| written(&self.0.check(from, to, context)?)))
    }

    /// Why a move is what it is.
    pub fn explain(&self, from: &str, to: &str, context: Option<String>) -> Thrown<String> {
        document(|| within(context.as_deref(), |context| Ok(self.0.explain(from, to, context)?)))
    }
}
