//! Settings filled in, and what follows from them.
//!
//! Rewriting never hides a fault that Rhai would meet: a part is dropped only where evaluation would not reach it, or
//! where it lies in the typed subset and so has no faults.

use super::constant::Constant;
use super::formula::{Arithmetic, Formula, Origin, Value, Variable};
use crate::VariableName;
use crate::model::MAX_INTEGER;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The values of settings by name.
pub(super) type Settings = BTreeMap<VariableName, Constant>;

impl Formula {
    /// The formula with settings filled in, simplified.
    pub(super) fn bound(&self, settings: &Settings) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(*value),
            Self::Variable(variable) => match value_of(variable, settings) {
                Some(Constant::Bool(value)) => Self::Constant(*value),
                _ => Self::Variable(variable.clone()),
            },
            Self::Not(inner) => inner.bound(settings).denied(),
            Self::And(parts) => chain(true, parts.iter().map(|part| part.bound(settings))),
            Self::Or(parts) => chain(false, parts.iter().map(|part| part.bound(settings))),
            Self::Same(sides) => {
                let [left, right] = &**sides;
                same(left.bound(settings), right.bound(settings))
            }
            Self::Differ(sides) => {
                let [left, right] = &**sides;
                match same(left.bound(settings), right.bound(settings)) {
                    Self::Same(sides) => Self::Differ(sides),
                    other => other.denied(),
                }
            }
            Self::Compare(comparison, left, right) => {
                let (left, right) = (left.bound(settings), right.bound(settings));
                match order(&left, &right) {
                    Some(order) => Self::Constant(comparison.holds(order)),
                    None => Self::Compare(*comparison, left, right),
                }
            }
            Self::In(item, list) => membership(item.bound(settings), list.bound(settings)),
            Self::Text(test, text, part) => {
                let (text, part) = (text.bound(settings), part.bound(settings));
                match (text.constant(), part.constant()) {
                    (Some(Constant::String(text)), Some(Constant::String(part))) => {
                        Self::Constant(test.holds(text, part))
                    }
                    _ => Self::Text(*test, text, part),
                }
            }
        }
    }

    fn denied(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }
}

impl Value {
    fn bound(&self, settings: &Settings) -> Self {
        match self {
            Self::Constant(constant) => Self::Constant(constant.clone()),
            Self::Variable(variable) => match value_of(variable, settings) {
                Some(constant) => Self::Constant(constant.clone()),
                None => self.clone(),
            },
            Self::Arithmetic(operator, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (left.bound(settings), right.bound(settings));
                let known = match (left.constant(), right.constant()) {
                    (Some(Constant::Integer(left)), Some(Constant::Integer(right))) => operator.of(*left, *right),
                    _ => None,
                };
                known.and_then(exact).unwrap_or_else(|| Self::Arithmetic(*operator, Box::new([left, right])))
            }
            Self::Negative(inner) => {
                let inner = inner.bound(settings);
                let known = inner.constant().and_then(integer).and_then(|it| Arithmetic::Subtract.of(0, it));
                known.and_then(exact).unwrap_or_else(|| Self::Negative(Box::new(inner)))
            }
            Self::Absolute(inner) => {
                let inner = inner.bound(settings);
                let known = inner.constant().and_then(integer).and_then(i64::checked_abs);
                known.and_then(exact).unwrap_or_else(|| Self::Absolute(Box::new(inner)))
            }
            Self::Length(inner) => {
                let inner = inner.bound(settings);
                let known = match inner.constant() {
                    Some(Constant::String(text)) => Some(text.chars().count()),
                    Some(Constant::Strings(items)) => Some(items.len()),
                    _ => None,
                };
                let known = known.and_then(|length| exact(i64::try_from(length).ok()?));
                known.unwrap_or_else(|| Self::Length(Box::new(inner)))
            }
        }
    }
}

fn value_of<'s>(variable: &Variable, settings: &'s Settings) -> Option<&'s Constant> {
    settings.get(&variable.name).filter(|_| variable.origin == Origin::Setting)
}

fn integer(constant: &Constant) -> Option<i64> {
    match constant {
        Constant::Integer(value) => Some(*value),
        _ => None,
    }
}

/// A result as a constant, unless it lies beyond what can be written down exactly everywhere.
fn exact(value: i64) -> Option<Value> {
    (value.unsigned_abs() <= MAX_INTEGER).then_some(Value::Constant(Constant::Integer(value)))
}

/// The parts of `&&` (where what is neutral is true) or of `||`.
pub(super) fn chain(neutral: bool, parts: impl Iterator<Item = Formula>) -> Formula {
    let mut kept: Vec<Formula> = Vec::new();
    for part in parts {
        match part {
            Formula::Constant(value) if value == neutral => {}
            Formula::Constant(value) => {
                // It decides, unless something before it may fail. What stands behind it is never reached.
                if kept.iter().all(Formula::is_native) {
                    return Formula::Constant(value);
                }
                kept.push(Formula::Constant(value));
                break;
            }
            // A chain within a chain of its kind, left over from something simplified.
            Formula::And(inner) if neutral => kept.extend(inner),
            Formula::Or(inner) if !neutral => kept.extend(inner),
            other => kept.push(other),
        }
    }
    match kept.len() {
        0 => Formula::Constant(neutral),
        1 => kept.pop().unwrap_or(Formula::Constant(neutral)),
        _ if neutral => Formula::And(kept),
        _ => Formula::Or(kept),
    }
}

fn same(left: Formula, right: Formula) -> Formula {
    match (left, right) {
        (Formula::Constant(true), other) | (other, Formula::Constant(true)) => other,
        (Formula::Constant(false), other) | (other, Formula::Constant(false)) => other.denied(),
        (Formula::Variable(left), Formula::Variable(right)) if left == right => Formula::Constant(true),
        (left, right) => Formula::Same(Box::new([left, right])),
    }
}

/// How two values stand to each other, where that is known.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Variable(left), Value::Variable(right)) if left == right => Some(Ordering::Equal),
        (Value::Constant(Constant::Integer(left)), Value::Constant(Constant::Integer(right))) => Some(left.cmp(right)),
        (Value::Constant(Constant::String(left)), Value::Constant(Constant::String(right))) => Some(left.cmp(right)),
        _ => None,
    }
}

fn membership(item: Value, list: Value) -> Formula {
    let known = match (item.constant(), list.constant()) {
        (Some(Constant::Integer(item)), Some(Constant::Integers(list))) => Some(list.contains(item)),
        (Some(Constant::String(item)), Some(Constant::Strings(list))) => Some(list.contains(item)),
        (_, Some(Constant::Integers(list))) if list.is_empty() && item.is_native() => Some(false),
        (_, Some(Constant::Strings(list))) if list.is_empty() && item.is_native() => Some(false),
        _ => None,
    };
    known.map_or_else(|| Formula::In(item, list), Formula::Constant)
}
