//! Replaying what happened against a version that might be next: which moves of the past it would have refused.

use super::templates::{Recipe, Resolved, Template};
use super::{Blocker, Context, Finding, JsonInputs, Machine};
use crate::merge::Side;
use crate::model::{Diagnostic, TenantWorkflow, VariableType};
use crate::{CategoryKey, Error, GuardKey, Snapshot, TenantId, WorkflowKey};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A move that was made: a line of a transition log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoggedMove {
    /// The tenant whose item moved.
    pub tenant: String,
    /// The item's service category, where it has one.
    pub category: Option<String>,
    /// The stage that it left.
    pub from: String,
    /// The stage that it entered.
    pub to: String,
    /// What was known: inputs of guards by name.
    pub inputs: BTreeMap<String, LoggedInput>,
    /// The roles of whoever moved it.
    pub roles: Vec<String>,
}

/// An input as a log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoggedInput {
    /// A typed value.
    Json(Value),
    /// A text that stands for a value of the type that the input is declared with, as in a table: `true`, `12`, a word, or
    /// words separated by semicolons.
    Text(String),
}

/// What a version would have said to the moves of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Replay {
    /// How many moves were replayed.
    pub moves: usize,
    /// How many of them the version allows.
    pub allowed: usize,
    /// Those that it refuses, in the order of the log.
    pub refused: Vec<RefusedMove>,
    /// How many it refuses of each tenant.
    pub refused_by_tenant: BTreeMap<String, usize>,
    /// How many moves each guard stands against. A move counts once for each of its guards.
    pub refused_by_guard: BTreeMap<GuardKey, usize>,
    /// Tenants whose patches conflict with the version, with the number of conflicts: replayed with what the tenant has.
    pub conflicts: BTreeMap<TenantId, usize>,
    /// Errors in what tenants would lay over the version. Moves of items whose machine has one are refused, with code
    /// `invalid_upgrade`: a machine that lacks something is asked nothing.
    pub misfits: BTreeMap<TenantId, Vec<Diagnostic>>,
}

/// A move of the past that a version refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedMove {
    /// Its place in the log, from 1.
    pub line: usize,
    /// The tenant.
    pub tenant: String,
    /// The item's service category, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The stage that it left.
    pub from: String,
    /// The stage that it entered.
    pub to: String,
    /// The stable code of the error that it would have met.
    pub code: &'static str,
    /// The error in words.
    pub message: String,
    /// All that blocks it, where guards or roles do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
}

impl Snapshot {
    /// What a version of a workflow template would have said to moves of the past. Patches of tenants that pin another
    /// version are carried over as [`PinnedTenant::upgrade`](crate::PinnedTenant::upgrade) does.
    ///
    /// # Errors
    /// `unknown_workflow`, `unknown_workflow_version`, `not_in_slice`. A tenant or stage that is not known refuses the move, not the
    /// replay.
    pub fn replay(
        &self,
        workflow: &str,
        version: u32,
        log: impl IntoIterator<Item = LoggedMove>,
    ) -> Result<Replay, Error> {
        self.needs_whole("replay")?;
        let templates = &self.rules.templates;
        let (key, template) = templates.get(workflow).ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
        if !template.definition.versions.contains_key(&version) {
            return Err(Error::UnknownWorkflowVersion { workflow: workflow.into(), version });
        }
        let mut replay = Replay::default();
        let mut tenants: BTreeMap<String, Result<Option<TenantWorkflow>, Refusal>> = BTreeMap::new();
        let mut machines: BTreeMap<(String, Option<CategoryKey>), Result<Machine, Refusal>> = BTreeMap::new();
        for (at, logged) in log.into_iter().enumerate() {
            if !tenants.contains_key(&logged.tenant) {
                let carried = self.carried(key, template, &logged.tenant, version, &mut replay);
                tenants.insert(logged.tenant.clone(), carried);
            }
            let answer = match tenants.get(&logged.tenant) {
                Some(Ok(laid)) => {
                    let recipe = template.version(key, version, laid.as_ref(), logged.category.as_deref());
                    let recipe = recipe.ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
                    let whose = (logged.tenant.clone(), recipe.category.cloned());
                    let machine = machines.entry(whose).or_insert_with(|| {
                        let Resolved { machine, found, .. } = templates.resolve(&recipe);
                        match found.first() {
                            None => Ok(machine),
                            Some(first) => {
                                let refusal = Refusal::misfit(version, first);
                                replay.misfit(&logged.tenant, &recipe, found);
                                Err(refusal)
                            }
                        }
                    });
                    match machine {
                        Ok(machine) => check(machine, &logged).map_err(Refusal::from),
                        Err(refusal) => Err(refusal.clone()),
                    }
                }
                Some(Err(refusal)) => Err(refusal.clone()),
                None => Err(Refusal::from(Error::UnknownTenant(logged.tenant.as_str().into()))),
            };
            replay.moves += 1;
            match answer {
                Ok(()) => replay.allowed += 1,
                Err(refusal) => replay.refuse(at + 1, logged, refusal),
            }
        }
        Ok(replay)
    }

    /// What a tenant would lay over the version.
    fn carried(
        &self,
        key: &WorkflowKey,
        template: &Template,
        tenant: &str,
        version: u32,
        replay: &mut Replay,
    ) -> Result<Option<TenantWorkflow>, Refusal> {
        let tenant = self.tenant(tenant)?;
        let Some(own) = tenant.slot.record.workflow(key.as_str()) else { return Ok(None) };
        // One that follows has whichever version there is, with the settings that it has.
        if own.laid.version.is_none_or(|pinned| pinned == version) {
            return Ok(Some((*own.laid).clone()));
        }
        let (_, laid, conflicts) = template.carry_over(key, &own.laid, version, Side::Ours)?;
        if let (false, Ok(id)) = (conflicts.is_empty(), tenant.id().parse()) {
            replay.conflicts.insert(id, conflicts.len());
        }
        Ok(Some(laid))
    }
}

/// Why a move is refused.
#[derive(Debug, Clone)]
struct Refusal {
    code: &'static str,
    message: String,
    blockers: Vec<Blocker>,
}

impl Refusal {
    fn misfit(version: u32, first: &Finding) -> Self {
        let message =
            format!("what the tenant lays over version {version} does not fit: {} [{}]", first.message, first.code);
        Self { code: "invalid_upgrade", message, blockers: Vec::new() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (code, message) = (error.code(), error.to_string());
        let blockers = match error {
            Error::GuardFailed { blockers, .. } => blockers.into_vec(),
            _ => Vec::new(),
        };
        Self { code, message, blockers }
    }
}

impl Replay {
    fn misfit(&mut self, tenant: &str, recipe: &Recipe<'_>, found: Vec<Finding>) {
        if let Ok(id) = tenant.parse::<TenantId>() {
            let found = found.into_iter().map(|one| one.diagnostic(recipe, Some(tenant)));
            self.misfits.entry(id).or_default().extend(found);
        }
    }

    fn refuse(&mut self, line: usize, logged: LoggedMove, refusal: Refusal) {
        let Refusal { code, message, blockers } = refusal;
        *self.refused_by_tenant.entry(logged.tenant.clone()).or_default() += 1;
        let guards: BTreeSet<&GuardKey> = blockers.iter().filter_map(|blocker| blocker.guard.as_ref()).collect();
        for guard in guards {
            *self.refused_by_guard.entry(guard.clone()).or_default() += 1;
        }
        let LoggedMove { tenant, category, from, to, .. } = logged;
        self.refused.push(RefusedMove { line, tenant, category, from, to, code, message, blockers });
    }
}

fn check(machine: &Machine, logged: &LoggedMove) -> Result<(), Error> {
    let typed = logged.inputs.iter().map(|(name, value)| {
        let value = match value {
            LoggedInput::Json(value) => value.clone(),
            LoggedInput::Text(text) => machine.typed(name, text),
        };
        (name.as_str(), value)
    });
    let typed: Vec<(&str, Value)> = typed.collect();
    let given = JsonInputs::of(typed.iter().map(|(name, value)| (*name, value)));
    let inputs = given.inputs();
    let roles: Vec<&str> = logged.roles.iter().map(String::as_str).collect();
    machine.check(&logged.from, &logged.to, &Context { inputs: &inputs, roles: &roles }).map(drop)
}

impl Machine {
    /// A text, as tables and command lines have it, as a value of the type that an input is declared with: `true`, `12`, a
    /// word, or words separated by semicolons. What fits no type that the input has stays a text, which guards then refuse.
    #[must_use]
    pub fn typed(&self, input: &str, text: &str) -> Value {
        let inputs = self.inputs();
        let mut declared = inputs.iter().filter(|(name, _)| name.as_str() == input).map(|(_, value_type)| *value_type);
        declared.find_map(|value_type| read(text, value_type)).unwrap_or_else(|| text.into())
    }
}

fn read(text: &str, value_type: VariableType) -> Option<Value> {
    let word = text.trim();
    match value_type {
        VariableType::Bool => word.parse().ok().map(Value::Bool),
        VariableType::Integer => word.parse::<i64>().ok().map(Value::from),
        VariableType::Strings if word.is_empty() => Some(Value::Array(Vec::new())),
        VariableType::Strings => Some(word.split(';').map(str::trim).collect()),
        VariableType::String => Some(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VariableType::{Bool, Integer, String, Strings};
    use serde_json::json;

    #[test]
    fn texts_are_read_as_they_are_declared() {
        for (text, value_type, value) in [
            ("true", Bool, Some(json!(true))),
            (" false ", Bool, Some(json!(false))),
            ("yes", Bool, None),
            ("-12", Integer, Some(json!(-12))),
            ("12.5", Integer, None),
            ("12", String, Some(json!("12"))),
            ("front; back", Strings, Some(json!(["front", "back"]))),
            ("", Strings, Some(json!([]))),
            ("", String, Some(json!(""))),
        ] {
            assert_eq!(read(text, value_type), value, "{text} as {value_type}");
        }
    }
}
