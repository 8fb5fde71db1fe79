//! Guards with random expressions, and values for what they ask for.

use super::super::{Choices, made};
use super::Expression;
use crate::model::{Guard, GuardBinding, GuardSetting, VariableType, built_in_guards};
use crate::{GuardKey, SortedMap, VariableName};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What generated guards may ask for; their inputs are few, so that guards meet.
const INPUTS: [(&str, VariableType); 9] = [
    ("paid", VariableType::Bool),
    ("rush", VariableType::Bool),
    ("total", VariableType::Integer),
    ("pieces", VariableType::Integer),
    ("color", VariableType::String),
    ("fabric", VariableType::String),
    ("tags", VariableType::Strings),
    ("stains", VariableType::Strings),
    // Asked for in two types, by different guards.
    ("note", VariableType::String),
];
const SETTINGS: [(&str, VariableType); 6] = [
    ("needed", VariableType::Bool),
    ("ceiling", VariableType::Integer),
    ("floor", VariableType::Integer),
    ("shade", VariableType::String),
    ("allowed", VariableType::Strings),
    ("refused", VariableType::Strings),
];
const INTEGERS: [i64; 8] = [0, 1, 2, 3, -7, 50_000, MAX_INTEGER, -MAX_INTEGER];
const STRINGS: [&str; 7] = ["", "red", "reds", "blue", "أحمر", "a\"b", "line\nbreak"];
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The guards of a world, the built-in ones included.
#[derive(Debug, Default)]
pub(super) struct Guards {
    pub(super) own: BTreeMap<GuardKey, Guard>,
    pub(super) expressions: SortedMap<GuardKey, Expression>,
    /// Guards that can hold whatever their settings are: they never close a way for good.
    open: Vec<GuardKey>,
    all: Vec<GuardKey>,
}

impl Guards {
    /// So many guards of our own, beside the built-in ones.
    pub(super) fn new(count: usize, choices: &mut Choices<'_>) -> Self {
        let mut guards = Self::default();
        guards.open.extend(built_in_guards().keys().cloned());
        for number in 0..count {
            let Some(key) = made::<GuardKey>(&format!("guard_{number}")) else { continue };
            let open = choices.percent(60);
            let (guard, expression) = guard(open, choices);
            if open {
                guards.open.push(key.clone());
            }
            guards.own.insert(key.clone(), guard);
            guards.expressions.insert(key, expression);
        }
        guards.all = built_in_guards().keys().chain(guards.own.keys()).cloned().collect();
        guards
    }

    fn get(&self, key: &GuardKey) -> Option<&Guard> {
        self.own.get(key).or_else(|| built_in_guards().get(key))
    }

    /// Whether a binding never closes a way for good.
    pub(super) fn is_open(&self, id: &str, binding: &GuardBinding) -> bool {
        let key = binding.guard.as_ref().map_or(id, GuardKey::as_str);
        self.open.iter().any(|open| open.as_str() == key)
    }

    /// Whether a binding names a guard, and fills in settings that it has.
    pub(super) fn knows(&self, id: &str, binding: &GuardBinding) -> bool {
        let fits = |guard: &Guard| {
            binding.settings.iter().all(|(name, value)| {
                guard
                    .settings
                    .get(name)
                    .is_some_and(|setting| std::mem::discriminant(&setting.default) == std::mem::discriminant(value))
            })
        };
        self.named(id, binding).and_then(|key| self.get(&key)).is_some_and(fits)
    }

    /// The guard that a binding names.
    pub(super) fn named(&self, id: &str, binding: &GuardBinding) -> Option<GuardKey> {
        match &binding.guard {
            Some(guard) => Some(guard.clone()),
            None => made(id),
        }
    }

    pub(super) fn any(&self, choices: &mut Choices<'_>) -> Option<GuardKey> {
        choices.pick(&self.all).cloned()
    }

    pub(super) fn any_open(&self, choices: &mut Choices<'_>) -> Option<GuardKey> {
        choices.pick(&self.open).cloned()
    }

    pub(super) fn all(&self) -> &[GuardKey] {
        &self.all
    }

    /// Values for some of a guard's settings.
    pub(super) fn settings(
        &self,
        key: &GuardKey,
        percent: u64,
        choices: &mut Choices<'_>,
    ) -> SortedMap<VariableName, Value> {
        let declared = self.get(key).into_iter().flat_map(|guard| &guard.settings);
        let some: Vec<_> = declared.filter(|_| choices.percent(percent)).collect();
        some.into_iter().map(|(name, setting)| (name.clone(), value(setting.value_type, choices))).collect()
    }
}

/// Some value of a type.
pub(super) fn value(value_type: VariableType, choices: &mut Choices<'_>) -> Value {
    match value_type {
        VariableType::Bool => json!(!choices.percent(50)),
        VariableType::Integer => json!(choices.pick(&INTEGERS)),
        VariableType::String => json!(choices.pick(&STRINGS)),
        VariableType::Strings => {
            let count = choices.below(4);
            (0..count).map(|_| json!(choices.pick(&STRINGS))).collect()
        }
    }
}

fn guard(open: bool, choices: &mut Choices<'_>) -> (Guard, Expression) {
    let mut inputs = SortedMap::new();
    for (name, value_type) in INPUTS {
        let taken = choices.percent(60);
        let value_type = if name == "note" && choices.percent(50) { VariableType::Bool } else { value_type };
        inputs.extend(made::<VariableName>(name).filter(|_| taken || name == "paid").map(|name| (name, value_type)));
    }
    let mut settings = SortedMap::new();
    for (name, value_type) in SETTINGS {
        let taken = choices.percent(50);
        let setting = GuardSetting { value_type, default: value(value_type, choices) };
        settings.extend(made::<VariableName>(name).filter(|_| taken).map(|name| (name, setting)));
    }
    let mut variables: Vec<(VariableName, VariableType)> =
        inputs.iter().map(|(name, value_type)| (name.clone(), *value_type)).collect();
    variables.extend(settings.iter().map(|(name, setting)| (name.clone(), setting.value_type)));
    let depth = 1 + choices.below(4);
    let mut expression = condition(&variables, depth, choices);
    if open {
        let flag = made("paid").map_or(Expression::Constant(json!(true)), Expression::Variable);
        expression = Expression::Any(vec![expression, flag]);
    }
    let text = expression.to_string();
    let (name, name2) = ("Guard".into(), "شرط".into());
    (Guard { name, name2, inputs, settings, expression: text }, expression)
}

type Variables = [(VariableName, VariableType)];

fn condition(variables: &Variables, depth: usize, choices: &mut Choices<'_>) -> Expression {
    let Some(deeper) = depth.checked_sub(1) else { return flag(variables, choices) };
    let kind = choices.below(10);
    match kind {
        0 => flag(variables, choices),
        1 => Expression::Not(Box::new(condition(variables, deeper, choices))),
        2 | 3 => {
            let count = 2 + choices.below(2);
            let parts = (0..count).map(|_| condition(variables, deeper, choices)).collect();
            if kind == 2 { Expression::All(parts) } else { Expression::Any(parts) }
        }
        4 => {
            let (left, right) = (condition(variables, deeper, choices), condition(variables, deeper, choices));
            Expression::Compare(choices.one_of("==", &["!="]), Box::new(left), Box::new(right))
        }
        5 => membership(variables, choices),
        _ => comparison(variables, choices),
    }
}

/// A variable of a type, or a constant.
fn operand(variables: &Variables, value_type: VariableType, choices: &mut Choices<'_>) -> Expression {
    let fitting: Vec<&VariableName> =
        variables.iter().filter(|(_, of)| *of == value_type).map(|(name, _)| name).collect();
    let constant = choices.percent(30);
    match choices.pick(&fitting) {
        Some(name) if !constant => Expression::Variable((*name).clone()),
        _ => Expression::Constant(value(value_type, choices)),
    }
}

fn flag(variables: &Variables, choices: &mut Choices<'_>) -> Expression {
    operand(variables, VariableType::Bool, choices)
}

fn comparison(variables: &Variables, choices: &mut Choices<'_>) -> Expression {
    let value_type = choices.one_of(VariableType::Integer, &[VariableType::String]);
    let operator = choices.one_of("<=", &["==", "!=", "<", ">", ">="]);
    let (left, right) = (operand(variables, value_type, choices), operand(variables, value_type, choices));
    Expression::Compare(operator, Box::new(left), Box::new(right))
}

fn membership(variables: &Variables, choices: &mut Choices<'_>) -> Expression {
    let kind = choices.below(3);
    if kind == 0 {
        let count = choices.below(4);
        let list = (0..count).map(|_| json!(choices.pick(&INTEGERS))).collect();
        let item = operand(variables, VariableType::Integer, choices);
        return Expression::In(Box::new(item), Box::new(Expression::Constant(list)));
    }
    let item = operand(variables, VariableType::String, choices);
    // A constant list of strings is a literal; a variable one is an input or a setting.
    let list = operand(variables, VariableType::Strings, choices);
    Expression::In(Box::new(item), Box::new(list))
}
