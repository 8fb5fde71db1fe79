//! Settings filled in, and what follows from them.
//!
//! Rewriting never hides a fault that Rhai would meet: a part is dropped only where evaluation would not reach it, or
//! where it lies in the typed subset and so has no faults.
//!
//! Nor does it hide an input, unless a setting says that it does not matter, or `true` or `false` that is written out:
//! `a == a` and `a < 5 || limit == limit` hold for every `a`, and ask for one all the same.

use super::constant::Constant;
use super::formula::{Arithmetic, Formula, Origin, Value, Variable};
use crate::model::MAX_INTEGER;
use crate::{SortedMap, VariableName};
use std::cmp::Ordering;

/// The values of settings by name.
pub(super) type Settings = SortedMap<VariableName, Constant>;

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
            Self::And(parts) => chain(true, parts.iter().map(|part| part.part(settings))),
            Self::Or(parts) => chain(false, parts.iter().map(|part| part.part(settings))),
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
            Self::In(item, list) => {
                let (item, filled) = (item.bound(settings), list.bound(settings));
                match membership(&item, &filled) {
                    Some(holds) => Self::Constant(holds),
                    // Nothing is in an empty list; one that is written out is no setting that says so.
                    None if is_empty(&filled) && list.constant().is_none() && item.is_native() => Self::Constant(false),
                    None => Self::In(item, filled),
                }
            }
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

    /// A part of a chain with settings filled in.
    fn part(&self, settings: &Settings) -> Part {
        match self.bound(settings) {
            Self::Constant(value) if matches!(self, Self::Constant(_)) => Part::Decided(value),
            Self::Constant(value) if !settings.is_empty() && !self.is_fixed() => Part::Decided(value),
            other => Part::Open(other),
        }
    }

    /// Whether it comes to the same whatever the settings are.
    fn is_fixed(&self) -> bool {
        matches!(self.bound(&Settings::new()), Self::Constant(_))
    }

    /// Whether it asks for an input.
    fn asks(&self) -> bool {
        let mut asks = false;
        self.variables(&mut |variable| asks |= variable.origin == Origin::Input);
        asks
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

/// A part of a chain.
pub(super) enum Part {
    /// Settings decide it, or whoever wrote it did.
    Decided(bool),
    /// They do not.
    Open(Formula),
}

/// The parts of `&&` (where what is neutral is true) or of `||`.
pub(super) fn chain(neutral: bool, parts: impl Iterator<Item = Part>) -> Formula {
    let mut kept: Vec<Formula> = Vec::new();
    for part in parts {
        match part {
            Part::Decided(value) | Part::Open(Formula::Constant(value)) if value == neutral => {}
            Part::Decided(value) => {
                // It decides, unless something before it may fail. What stands behind it is never reached.
                if kept.iter().all(Formula::is_native) {
                    return Formula::Constant(value);
                }
                kept.push(Formula::Constant(value));
                break;
            }
            // It decides as well, but the inputs of the others are asked for. Once is enough.
            Part::Open(Formula::Constant(value)) if kept.contains(&Formula::Constant(value)) => {}
            // A chain within a chain of its kind, left over from something simplified.
            Part::Open(Formula::And(inner)) if neutral => kept.extend(inner),
            Part::Open(Formula::Or(inner)) if !neutral => kept.extend(inner),
            Part::Open(other) => kept.push(other),
        }
    }
    let decided = Formula::Constant(!neutral);
    if kept.contains(&decided) && kept.iter().all(|part| part.is_native() && !part.asks()) {
        return decided;
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
        (Formula::Variable(left), Formula::Variable(right)) if is_one_setting(&left, &right) => Formula::Constant(true),
        (left, right) => Formula::Same(Box::new([left, right])),
    }
}

/// How two values stand to each other, where that is known.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Variable(left), Value::Variable(right)) if is_one_setting(left, right) => Some(Ordering::Equal),
        (Value::Constant(Constant::Integer(left)), Value::Constant(Constant::Integer(right))) => Some(left.cmp(right)),
        (Value::Constant(Constant::String(left)), Value::Constant(Constant::String(right))) => Some(left.cmp(right)),
        _ => None,
    }
}

/// Whether both are the same setting, whose value does not matter then. Of an input it matters that there is one.
fn is_one_setting(left: &Variable, right: &Variable) -> bool {
    left == right && left.origin == Origin::Setting
}

/// Whether an item is in a list, where both are known.
fn membership(item: &Value, list: &Value) -> Option<bool> {
    match (item.constant()?, list.constant()?) {
        (Constant::Integer(item), Constant::Integers(list)) => Some(list.contains(item)),
        (Constant::String(item), Constant::Strings(list)) => Some(list.contains(item)),
        _ => None,
    }
}

/// Whether a setting left it empty: settings are lists of strings alone.
fn is_empty(list: &Value) -> bool {
    matches!(list.constant(), Some(Constant::Strings(items)) if items.is_empty())
}
