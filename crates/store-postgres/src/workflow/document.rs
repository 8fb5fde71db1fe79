//! A machine as the database reads it.
//!
//! Guards travel in their typed form, never as SQL: that is made by a function of the schema's owner, so that whoever may
//! write machines still cannot say what the database runs.

use leasehold::model::VariableType;
use leasehold::workflow::guard::{BoundGuard, Constant, Operand, Predicate};
use leasehold::workflow::{Layer, Machine, MachineGuard};
use leasehold::{CategoryKey, EventKey, GuardKey, RecordId, Role, StageId, TransitionId, VariableName, WorkflowKey};
use serde::Serialize;
use std::collections::BTreeSet;

/// A guard whose text is longer, with its settings filled in, is left to the engine, in bytes.
const LONGEST_GUARD: usize = 65_536;

#[derive(Debug, Serialize)]
pub(super) struct Document<'m> {
    workflow: &'m WorkflowKey,
    version: u32,
    category: Option<&'m CategoryKey>,
    stages: Vec<Stage<'m>>,
    transitions: Vec<Transition<'m>>,
}

#[derive(Debug, Serialize)]
struct Stage<'m> {
    stage: &'m StageId,
    initial: bool,
    r#final: bool,
}

#[derive(Debug, Serialize)]
struct Transition<'m> {
    transition: &'m TransitionId,
    event: &'m EventKey,
    from: &'m StageId,
    to: &'m StageId,
    role: Option<&'m Role>,
    role_layer: Option<Layer>,
    guards: Vec<Guard<'m>>,
}

#[derive(Debug, Serialize)]
struct Guard<'m> {
    binding: &'m RecordId,
    guard: &'m GuardKey,
    layer: Layer,
    expression: String,
    inputs: Vec<Declared<'m>>,
    /// What must hold, all of it; nothing where only the engine can say.
    conditions: Option<Vec<Condition>>,
}

#[derive(Debug, Serialize)]
struct Declared<'m> {
    name: &'m VariableName,
    r#type: VariableType,
}

#[derive(Debug, Serialize)]
struct Condition {
    form: Predicate,
    /// As text by itself.
    text: String,
    /// As text beside others.
    part: String,
    inputs: BTreeSet<VariableName>,
}

impl<'m> Document<'m> {
    pub(super) fn of(machine: &'m Machine) -> Self {
        let stages =
            machine.stages().map(|stage| Stage { stage: stage.stage, initial: stage.initial, r#final: stage.r#final });
        let transitions = machine.rules().map(|rule| Transition {
            transition: rule.transition,
            event: rule.event,
            from: rule.from,
            to: rule.to,
            role: rule.role.map(|(role, _)| role),
            role_layer: rule.role.map(|(_, layer)| layer),
            guards: rule.guards.into_iter().map(Guard::of).collect(),
        });
        Self {
            workflow: machine.workflow(),
            version: machine.version(),
            category: machine.category(),
            stages: stages.collect(),
            transitions: transitions.collect(),
        }
    }
}

impl<'m> Guard<'m> {
    fn of(guard: MachineGuard<'m>) -> Self {
        let MachineGuard { binding, guard, layer, bound } = guard;
        let mut expression = bound.text();
        let conditions = if expression.len() > LONGEST_GUARD { None } else { conditions(bound) };
        expression.truncate(expression.floor_char_boundary(LONGEST_GUARD));
        let inputs = bound.inputs().iter().map(|(name, value_type)| Declared { name, r#type: *value_type });
        Self { binding, guard, layer, expression, inputs: inputs.collect(), conditions }
    }
}

/// What must hold for a guard, all of it; nothing where the database cannot say.
fn conditions(bound: &BoundGuard) -> Option<Vec<Condition>> {
    let parts = match bound.predicate()? {
        Predicate::And(parts) => parts,
        whole => vec![whole],
    };
    parts.into_iter().map(Condition::of).collect()
}

impl Condition {
    fn of(form: Predicate) -> Option<Self> {
        let mut inputs = BTreeSet::new();
        if !is_expressible(&form, &mut inputs) {
            return None;
        }
        let text = form.to_string();
        let part = if stands_alone(&form) { text.clone() } else { format!("({text})") };
        Some(Self { form, text, part, inputs })
    }
}

/// Whether the engine's text of a condition has no parentheses around it beside others.
fn stands_alone(form: &Predicate) -> bool {
    match form {
        Predicate::Constant(_) | Predicate::Input(_) | Predicate::Setting(_) => true,
        Predicate::Not(inner) => !matches!(**inner, Predicate::In { .. }),
        _ => false,
    }
}

/// Collects the inputs of a condition, and says whether the database can evaluate it.
fn is_expressible(form: &Predicate, inputs: &mut BTreeSet<VariableName>) -> bool {
    let operand = |operand: &Operand, inputs: &mut BTreeSet<VariableName>| match operand {
        Operand::Input(name) => {
            inputs.insert(name.clone());
            true
        }
        Operand::Setting(_) => false,
        Operand::Constant(constant) => !holds_nul(constant),
    };
    match form {
        Predicate::Constant(_) => true,
        Predicate::Input(name) => {
            inputs.insert(name.clone());
            true
        }
        // A machine has its settings filled in.
        Predicate::Setting(_) => false,
        Predicate::Not(inner) => is_expressible(inner, inputs),
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().all(|part| is_expressible(part, inputs)),
        Predicate::Same(sides) | Predicate::Differ(sides) => sides.iter().all(|side| is_expressible(side, inputs)),
        Predicate::Compare { left, right, .. } => operand(left, inputs) && operand(right, inputs),
        Predicate::In { item, list } => operand(item, inputs) && operand(list, inputs),
    }
}

/// Postgres keeps no U+0000, so it cannot compare with it either.
fn holds_nul(constant: &Constant) -> bool {
    match constant {
        Constant::String(text) => text.contains('\0'),
        Constant::Strings(items) => items.iter().any(|item| item.contains('\0')),
        Constant::Bool(_) | Constant::Integer(_) | Constant::Integers(_) => false,
    }
}
