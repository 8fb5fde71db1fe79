//! The typed form of a guard, for everybody who has something of their own to do with it: show it, store it, translate it.

use super::constant::Constant;
use super::formula::{Comparison, Formula, Origin, Value, Variable};
use crate::VariableName;
use serde::Serialize;
use std::fmt;

/// A guard of the typed subset: comparisons, `in`, `&&`, `||`, `!` and constants over typed inputs and settings.
///
/// It is total: with every input present it comes to true or false, never to an error, and the order of evaluation does
/// not matter. Both sides of a comparison have one type. Strings are compared by bytes. There is no null. Printed by
/// `Display` it is an expression that reads back as the same form.
///
/// As JSON each form is an object with one key, `{ "compare": { "operator": "<=", "left": { "input": "total_minor" },
/// "right": { "setting": "above_minor" } } }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Always, or never.
    Constant(bool),
    /// The value of a boolean input.
    Input(VariableName),
    /// The value of a boolean setting.
    Setting(VariableName),
    /// It does not hold.
    Not(Box<Predicate>),
    /// All of two or more hold. None of them is an `And`.
    And(Vec<Predicate>),
    /// At least one of two or more holds. None of them is an `Or`.
    Or(Vec<Predicate>),
    /// Both hold or both do not: `==` between conditions.
    Same(Box<[Predicate; 2]>),
    /// Exactly one of them holds: `!=` between conditions.
    Differ(Box<[Predicate; 2]>),
    /// Two integers or two strings compare so.
    Compare {
        /// How.
        operator: Comparison,
        /// What stands on the left of the operator.
        left: Operand,
        /// What stands on the right of it.
        right: Operand,
    },
    /// A list holds an item: a string in strings, or an integer in integers.
    In {
        /// What is looked for.
        item: Operand,
        /// Where.
        list: Operand,
    },
}

/// What is compared: an integer, a string or a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operand {
    /// The value of an input.
    Input(VariableName),
    /// The value of a setting.
    Setting(VariableName),
    /// Always this.
    Constant(Constant),
}

impl Predicate {
    /// The typed form of a formula; nothing where it lies outside the typed subset.
    pub(super) fn of(formula: &Formula) -> Option<Self> {
        let all = |parts: &[Formula]| parts.iter().map(Self::of).collect::<Option<Vec<_>>>();
        let both = |[left, right]: &[Formula; 2]| Some(Box::new([Self::of(left)?, Self::of(right)?]));
        Some(match formula {
            Formula::Constant(value) => Self::Constant(*value),
            Formula::Variable(Variable { name, origin: Origin::Input }) => Self::Input(name.clone()),
            Formula::Variable(Variable { name, origin: Origin::Setting }) => Self::Setting(name.clone()),
            Formula::Not(inner) => Self::Not(Box::new(Self::of(inner)?)),
            Formula::And(parts) => Self::And(all(parts)?),
            Formula::Or(parts) => Self::Or(all(parts)?),
            Formula::Same(sides) => Self::Same(both(sides)?),
            Formula::Differ(sides) => Self::Differ(both(sides)?),
            Formula::Compare(operator, left, right) => {
                Self::Compare { operator: *operator, left: Operand::of(left)?, right: Operand::of(right)? }
            }
            Formula::In(item, list) => Self::In { item: Operand::of(item)?, list: Operand::of(list)? },
            Formula::Text(..) => return None,
        })
    }
}

impl Operand {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Constant(constant) => Some(Self::Constant(constant.clone())),
            Value::Variable(Variable { name, origin: Origin::Input }) => Some(Self::Input(name.clone())),
            Value::Variable(Variable { name, origin: Origin::Setting }) => Some(Self::Setting(name.clone())),
            Value::Arithmetic(..) | Value::Negative(_) | Value::Absolute(_) | Value::Length(_) => None,
        }
    }
}

impl From<&Predicate> for Formula {
    fn from(predicate: &Predicate) -> Self {
        let all = |parts: &[Predicate]| parts.iter().map(Self::from).collect();
        let both = |[left, right]: &[Predicate; 2]| Box::new([left.into(), right.into()]);
        match predicate {
            Predicate::Constant(value) => Self::Constant(*value),
            Predicate::Input(name) => Self::Variable(Variable { name: name.clone(), origin: Origin::Input }),
            Predicate::Setting(name) => Self::Variable(Variable { name: name.clone(), origin: Origin::Setting }),
            Predicate::Not(inner) => Self::Not(Box::new((&**inner).into())),
            Predicate::And(parts) => Self::And(all(parts)),
            Predicate::Or(parts) => Self::Or(all(parts)),
            Predicate::Same(sides) => Self::Same(both(sides)),
            Predicate::Differ(sides) => Self::Differ(both(sides)),
            Predicate::Compare { operator, left, right } => Self::Compare(*operator, left.into(), right.into()),
            Predicate::In { item, list } => Self::In(item.into(), list.into()),
        }
    }
}

impl From<&Operand> for Value {
    fn from(operand: &Operand) -> Self {
        match operand {
            Operand::Input(name) => Self::Variable(Variable { name: name.clone(), origin: Origin::Input }),
            Operand::Setting(name) => Self::Variable(Variable { name: name.clone(), origin: Origin::Setting }),
            Operand::Constant(constant) => Self::Constant(constant.clone()),
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Formula::from(self), f)
    }
}
