//! Questions about workflows.

use crate::answer::{answer, shape};
use crate::arguments::{Given, inputs, instance, text, text_or_none, texts};
use crate::failure::Result;
use crate::snapshot::not_copied;
use leasehold::bindings::{self, MachineAbout};
use leasehold::workflow::{Context, JsonInputs, Machine as Inner};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use serde_json::{Map, Value};

/// A tenant's machine of a workflow, as it was when it was asked for.
#[pyclass(frozen, module = "leasehold")]
pub(crate) struct Machine(pub(crate) Inner);

/// What is known of an item that is to move.
struct Known {
    inputs: Map<String, Value>,
    roles: Vec<String>,
}

impl Known {
    fn of(inputs: Option<Given<'_, '_>>, roles: Option<Given<'_, '_>>) -> Result<Self> {
        let roles = roles.map_or_else(|| Ok(Vec::new()), |roles| texts("roles", roles))?;
        Ok(Self { inputs: self::inputs(inputs)?, roles })
    }

    /// Asks in this context.
    fn ask<R>(&self, ask: impl FnOnce(&Context<'_>) -> Result<R>) -> Result<R> {
        let inputs = JsonInputs::new(&self.inputs);
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        ask(&Context { inputs: &inputs.inputs(), roles: &roles })
    }
}

#[pymethods]
impl Machine {
    /// What it is made of: workflow, version, stages, and the inputs of its guards.
    #[getter]
    fn about(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        shape!("MachineAbout").of(py, || Ok(MachineAbout::from(&self.0)))
    }

    /// What may be done at a stage: every transition of the machine, with all that blocks it.
    #[pyo3(signature = (stage, *, inputs=None, roles=None))]
    pub(crate) fn transitions(
        &self,
        py: Python<'_>,
        stage: Given<'_, '_>,
        inputs: Option<Given<'_, '_>>,
        roles: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyTuple>> {
        let (stage, known) = (text("stage", stage)?, Known::of(inputs, roles)?);
        // Answers borrow from the context: they are made while it is there.
        let ask =
            |context: &Context<'_>| Ok(shape!("TransitionAnswer").each(py, &self.0.transitions(stage, context)?)?);
        answer(|| known.ask(ask))
    }

    /// Whether an item may move from one stage to another, and by which transition.
    ///
    /// Raises TransitionError with all that stands against it; IllegalTransitionError, UnknownStageError.
    #[pyo3(signature = (from_stage, to_stage, *, inputs=None, roles=None))]
    pub(crate) fn check(
        &self,
        py: Python<'_>,
        from_stage: Given<'_, '_>,
        to_stage: Given<'_, '_>,
        inputs: Option<Given<'_, '_>>,
        roles: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (from, to) = (text("from_stage", from_stage)?, text("to_stage", to_stage)?);
        let known = Known::of(inputs, roles)?;
        answer(|| known.ask(|context| Ok(shape!("Allowed").made(py, &self.0.check(from, to, context)?)?)))
    }

    /// Why a move is what it is.
    #[pyo3(signature = (from_stage, to_stage, *, inputs=None, roles=None))]
    fn explain(
        &self,
        py: Python<'_>,
        from_stage: Given<'_, '_>,
        to_stage: Given<'_, '_>,
        inputs: Option<Given<'_, '_>>,
        roles: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (from, to) = (text("from_stage", from_stage)?, text("to_stage", to_stage)?);
        let known = Known::of(inputs, roles)?;
        answer(|| known.ask(|context| Ok(shape!("MoveExplanation").made(py, &self.0.explain(from, to, context)?)?)))
    }

    /// Paths that take every transition, with inputs that open them.
    fn covering_paths(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        shape!("CoveringPaths").beside(py, || Ok(self.0.covering_paths()))
    }

    /// A picture of it, or of what it changes over an older machine: as `mermaid`, `dot` or `svg`.
    #[pyo3(signature = (form, *, language=None, current=None, against=None))]
    fn picture(
        &self,
        form: Given<'_, '_>,
        language: Option<Given<'_, '_>>,
        current: Option<Given<'_, '_>>,
        against: Option<Given<'_, '_>>,
    ) -> PyResult<String> {
        let (form, language) = (text("form", form)?, text_or_none("language", language)?.unwrap_or("en"));
        let current = text_or_none("current", current)?;
        let against =
            against.map(|older| instance::<Self>("against", older, "take one from a tenant, with `machine(…)`"));
        let against = against.transpose()?;
        let older = against.map(|older| &older.get().0);
        answer(|| Ok(bindings::picture(&self.0, older, form, language, current.map(str::to_owned))?))
    }

    fn __repr__(&self) -> String {
        let category = self.0.category().map(|category| format!(" for {category}")).unwrap_or_default();
        format!("<Machine of `{}` version {}{category}>", self.0.workflow(), self.0.version())
    }

    fn __reduce_ex__(&self, _protocol: Given<'_, '_>) -> PyResult<()> {
        Err(not_copied("a machine", "take it from a tenant where it is needed"))
    }
}
