//! Questions about one tenant.

use crate::answer::{answer, said_to, shape};
use crate::arguments::{Given, action, instant, integer, json_object, pairs, text, text_or_none, yes_or_no};
use crate::engine::Shared;
use crate::failure::{Failure, Result};
use crate::machine::Machine;
use crate::snapshot::not_copied;
use leasehold::Usage;
use leasehold::bindings;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyTuple};
use serde_json::Value;
use std::sync::Arc;

/// One tenant, wherever it stands in the newest snapshot. Hold one where a tenant is asked about often.
#[pyclass(frozen, module = "leasehold")]
pub(crate) struct Tenant {
    pub(crate) tenant: leasehold::Tenant,
    pub(crate) shared: Arc<Shared>,
}

impl Tenant {
    fn open(&self) -> Result<&leasehold::Tenant> {
        self.shared.open()?;
        Ok(&self.tenant)
    }
}

#[pymethods]
impl Tenant {
    /// Its id.
    #[getter]
    fn id(&self) -> &str {
        self.tenant.id()
    }

    /// Whether a switch is on.
    ///
    /// Raises UnknownTenantError, UnknownFeatureError, WrongKindError.
    #[pyo3(signature = (feature, now=None, *, action=None))]
    fn is_enabled(
        &self,
        feature: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
        action: Option<Given<'_, '_>>,
    ) -> PyResult<bool> {
        answer(|| {
            let (tenant, keys) = (self.open()?, &self.shared.keys);
            let (action, now) = (self::action(action)?, instant("now", now)?);
            if let Some(known) = keys.find(feature) {
                return Ok(tenant.is_enabled_for(known, action, now)?);
            }
            let key = text("feature", feature)?;
            let on = tenant.is_enabled_for(key, action, now)?;
            keys.remember(feature, key);
            Ok(on)
        })
    }

    /// Whether a switch is on, or what else is to hold where that cannot be said. A mistake in the call is raised still.
    #[pyo3(signature = (feature, default, now=None))]
    fn is_enabled_or(
        &self,
        feature: Given<'_, '_>,
        default: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
    ) -> PyResult<bool> {
        answer(|| {
            let (feature, default) = (text("feature", feature)?, yes_or_no("default", default)?);
            let now = instant("now", now)?;
            Ok(self.open().map_or(default, |tenant| tenant.is_enabled_or(feature, now, default)))
        })
    }

    /// A yes or a no about a feature of any kind, with its reason.
    #[pyo3(signature = (feature, now=None, *, action=None))]
    fn decide(
        &self,
        py: Python<'_>,
        feature: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
        action: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (feature, action, now) = (text("feature", feature)?, self::action(action)?, instant("now", now)?);
        shape!("Decision").of(py, || Ok(self.open()?.decide(feature, action, now)?))
    }

    /// The value of a value feature; None when it is off.
    #[pyo3(signature = (feature, now=None))]
    fn value(&self, py: Python<'_>, feature: Given<'_, '_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (feature, now) = (text("feature", feature)?, instant("now", now)?);
        match answer(|| Ok(self.open()?.value(feature, now)?))? {
            None | Some(Value::Null) => Ok(py.None()),
            Some(Value::Bool(flag)) => Ok(PyBool::new(py, flag).to_owned().into_any().unbind()),
            Some(Value::String(text)) => Ok(text.into_pyobject(py)?.into_any().unbind()),
            Some(value) => Ok(said_to(py, &value)?.unbind()),
        }
    }

    /// What a limit says to a request of so many more, when so many are in use already: integers from 0 to 2^53 − 1.
    #[pyo3(signature = (feature, used, requested, now=None))]
    fn check_limit(
        &self,
        py: Python<'_>,
        feature: Given<'_, '_>,
        used: Given<'_, '_>,
        requested: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (feature, used) = (text("feature", feature)?, integer("used", used)?);
        let (requested, now) = (integer("requested", requested)?, instant("now", now)?);
        shape!("LimitAnswer").of(py, || Ok(self.open()?.check_limit(feature, used, requested, now)?))
    }

    /// Everything that the tenant may have.
    #[pyo3(signature = (now=None))]
    fn entitlements(&self, py: Python<'_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let now = instant("now", now)?;
        shape!("Entitlements").beside(py, || Ok(self.open()?.entitlements(now)?))
    }

    /// The answers to all switches, and how long they hold.
    #[pyo3(signature = (now=None, *, action=None))]
    fn answer_table(
        &self,
        py: Python<'_>,
        now: Option<Given<'_, '_>>,
        action: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (action, now) = (self::action(action)?, instant("now", now)?);
        shape!("AnswerTable").of(py, || Ok(self.open()?.answer_table(action, now)?))
    }

    /// Why an answer is what it is: every contribution, applied or beaten and by what.
    #[pyo3(signature = (feature, now=None, *, action=None))]
    fn explain(
        &self,
        py: Python<'_>,
        feature: Given<'_, '_>,
        now: Option<Given<'_, '_>>,
        action: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let (feature, action, now) = (text("feature", feature)?, self::action(action)?, instant("now", now)?);
        shape!("Explanation").beside(py, || Ok(self.open()?.explain(feature, action, now)?))
    }

    /// What would change on another plan, with other add-ons, without an override.
    #[pyo3(signature = (change, usage=None, now=None))]
    fn what_if(
        &self,
        py: Python<'_>,
        change: Given<'_, '_>,
        usage: Option<Given<'_, '_>>,
        now: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        let change = bindings::change(&json_object("change", change)?).map_err(Failure::from)?;
        let now = instant("now", now)?;
        let usage = usage.map_or_else(|| Ok(Vec::new()), |usage| pairs("usage", usage, integer))?;
        let usage = usage.iter().map(|(key, used)| Ok((bindings::id("usage", key)?, *used)));
        let usage = usage.collect::<Result<Usage>>()?;
        shape!("WhatIf").beside(py, || Ok(self.open()?.what_if(&change, &usage, now)?))
    }

    /// What the tenant would have more, less or otherwise if it were the other one.
    #[pyo3(signature = (other, now=None))]
    fn diff(&self, py: Python<'_>, other: Given<'_, '_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (held, now) = (other.cast::<Self>(), instant("now", now)?);
        let other = match &held {
            Ok(held) => held.get().tenant.id(),
            Err(_) => text("other", other)?,
        };
        shape!("Difference").beside(py, || {
            self.shared.open()?;
            Ok(self.shared.engine.pin().diff_tenants(self.tenant.id(), other, now)?)
        })
    }

    /// A feature as a flag of OpenFeature's.
    #[pyo3(signature = (feature, now=None))]
    fn evaluate(&self, py: Python<'_>, feature: Given<'_, '_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let (feature, now) = (text("feature", feature)?, instant("now", now)?);
        shape!("Evaluation").of(py, || Ok(self.open()?.evaluate(feature, now)?))
    }

    /// All features as flags of OpenFeature's, and how long they hold.
    #[pyo3(signature = (now=None))]
    fn evaluate_all(&self, py: Python<'_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let now = instant("now", now)?;
        shape!("Evaluations").beside(py, || Ok(self.open()?.evaluate_all(now)?))
    }

    /// The tenant's machine of a workflow, for a service category or without one.
    #[pyo3(signature = (workflow, category=None))]
    fn machine(&self, workflow: Given<'_, '_>, category: Option<Given<'_, '_>>) -> PyResult<Machine> {
        let (workflow, category) = (text("workflow", workflow)?, text_or_none("category", category)?);
        answer(|| Ok(Machine(self.open()?.machine(workflow, category)?)))
    }

    /// What an item of a workflow may do at a stage.
    #[pyo3(signature = (workflow, stage, *, inputs=None, roles=None, category=None))]
    fn transitions(
        &self,
        py: Python<'_>,
        workflow: Given<'_, '_>,
        stage: Given<'_, '_>,
        inputs: Option<Given<'_, '_>>,
        roles: Option<Given<'_, '_>>,
        category: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyTuple>> {
        self.machine(workflow, category)?.transitions(py, stage, inputs, roles)
    }

    /// Whether an item of a workflow may move from one stage to another, and by which transition; see Machine.check.
    #[pyo3(signature = (workflow, from_stage, to_stage, *, inputs=None, roles=None, category=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn check_transition(
        &self,
        py: Python<'_>,
        workflow: Given<'_, '_>,
        from_stage: Given<'_, '_>,
        to_stage: Given<'_, '_>,
        inputs: Option<Given<'_, '_>>,
        roles: Option<Given<'_, '_>>,
        category: Option<Given<'_, '_>>,
    ) -> PyResult<Py<PyAny>> {
        self.machine(workflow, category)?.check(py, from_stage, to_stage, inputs, roles)
    }

    /// Answers as `is_enabled` does, without asking: what a call costs alone, for benchmarks.
    #[pyo3(signature = (feature, now=None, *, action=None))]
    #[expect(unused_variables, reason = "it has the arguments of the call that it stands beside")]
    fn _empty(&self, feature: &str, now: Option<Given<'_, '_>>, action: Option<Given<'_, '_>>) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        let revision = self.shared.engine.pin().stamp().revision;
        format!("<Tenant `{}` at revision {revision}>", self.tenant.id())
    }

    fn __reduce_ex__(&self, _protocol: Given<'_, '_>) -> PyResult<()> {
        Err(not_copied("a tenant", "pass on its `id`, and take a handle from an engine there"))
    }
}
