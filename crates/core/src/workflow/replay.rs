//! Replaying what happened against a version that might be next: which moves of the past it would have refused.

use super::{Blocker, Context, JsonInputs, Machine};
use crate::merge::Side;
use crate::model::VariableType;
use crate::{Error, GuardKey, Snapshot, TenantId};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

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
}

/// A move of the past that a version refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
        let mut machines: BTreeMap<(String, Option<String>), Result<Machine, Error>> = BTreeMap::new();
        for (at, logged) in log.into_iter().enumerate() {
            let whose = (logged.tenant.clone(), logged.category.clone());
            let machine = machines.entry(whose).or_insert_with(|| {
                let tenant = self.tenant(&logged.tenant)?;
                let laid = match tenant.slot.record.workflow(workflow) {
                    Some(own) if own.laid.version != Some(version) => {
                        let upgrade = templates.upgrade(tenant.id(), key, template, &own.laid, version, Side::Ours)?;
                        if let (false, Ok(id)) = (upgrade.conflicts.is_empty(), tenant.id().parse()) {
                            replay.conflicts.insert(id, upgrade.conflicts.len());
                        }
                        Some(upgrade.laid)
                    }
                    own => own.map(|own| (*own.laid).clone()),
                };
                let recipe = template.version(key, version, laid.as_ref(), logged.category.as_deref());
                let recipe = recipe.ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
                Ok(templates.resolve(&recipe).machine)
            });
            replay.moves += 1;
            let answer = machine.as_ref().map_err(Clone::clone).and_then(|machine| check(machine, &logged));
            match answer {
                Ok(()) => replay.allowed += 1,
                Err(error) => replay.refuse(at + 1, logged, error),
            }
        }
        Ok(replay)
    }
}

impl Replay {
    fn refuse(&mut self, line: usize, logged: LoggedMove, error: Error) {
        let (code, message) = (error.code(), error.to_string());
        let blockers = match error {
            Error::GuardFailed { blockers, .. } => blockers.into_vec(),
            _ => Vec::new(),
        };
        *self.refused_by_tenant.entry(logged.tenant.clone()).or_default() += 1;
        let guards: std::collections::BTreeSet<&GuardKey> =
            blockers.iter().filter_map(|blocker| blocker.guard.as_ref()).collect();
        for guard in guards {
            *self.refused_by_guard.entry(guard.clone()).or_default() += 1;
        }
        let LoggedMove { tenant, category, from, to, .. } = logged;
        self.refused.push(RefusedMove { line, tenant, category, from, to, code, message, blockers });
    }
}

fn check(machine: &Machine, logged: &LoggedMove) -> Result<(), Error> {
    let types: BTreeMap<&str, VariableType> =
        machine.inputs().into_iter().map(|(name, value_type)| (name.as_str(), value_type)).collect();
    let typed = logged.inputs.iter().map(|(name, value)| {
        let value = match value {
            LoggedInput::Json(value) => value.clone(),
            LoggedInput::Text(text) => typed(text, types.get(name.as_str()).copied()),
        };
        (name.as_str(), value)
    });
    let typed: Vec<(&str, Value)> = typed.collect();
    let given = JsonInputs::of(typed.iter().map(|(name, value)| (*name, value)));
    let inputs = given.inputs();
    let roles: Vec<&str> = logged.roles.iter().map(String::as_str).collect();
    machine.check(&logged.from, &logged.to, &Context { inputs: &inputs, roles: &roles }).map(drop)
}

/// A text of a table as a value. What does not stand for a value of the type stays a text, which guards then refuse.
fn typed(text: &str, declared: Option<VariableType>) -> Value {
    let word = text.trim();
    match declared {
        Some(VariableType::Bool) => word.parse().map_or_else(|_| text.into(), Value::Bool),
        Some(VariableType::Integer) => word.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Some(VariableType::Strings) if word.is_empty() => Value::Array(Vec::new()),
        Some(VariableType::Strings) => word.split(';').map(str::trim).collect(),
        Some(VariableType::String) | None => text.into(),
    }
}
