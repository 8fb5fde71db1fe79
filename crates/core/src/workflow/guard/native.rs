//! The typed subset as the engine runs it: a small tree over numbered inputs. No allocation, no fault.
//!
//! An input that has no value leaves open whatever depends on it. Questions are answered with every input in place, so
//! there it never happens; the search for examples assigns inputs one by one and sees early what is decided already.

use super::constant::Constant;
use super::formula::{Comparison, Formula, Value, Variable};
use super::input::Input;
use crate::VariableName;
use crate::model::VariableType;
use std::cmp::Ordering;

/// Most inputs of one guard.
pub(super) const MAX_INPUTS: usize = 32;

/// An input of a guard, by its place in the order of names.
type Slot = u8;

/// Where the inputs of a guard stand in the context of a question.
#[derive(Debug, Clone, Copy)]
pub struct Slots<'c> {
    inputs: &'c [(&'c str, Input<'c>)],
    /// For each input of the guard its place in `inputs`.
    places: [u16; MAX_INPUTS],
}

impl<'c> Slots<'c> {
    /// No place: contexts are searched up to it.
    const NOWHERE: u16 = u16::MAX;

    pub(super) fn none(inputs: &'c [(&'c str, Input<'c>)]) -> Self {
        Self { inputs, places: [Self::NOWHERE; MAX_INPUTS] }
    }

    pub(super) fn set(&mut self, slot: usize, place: usize) {
        if let Some(entry) = self.places.get_mut(slot) {
            *entry = u16::try_from(place).unwrap_or(Self::NOWHERE);
        }
    }

    pub(super) fn clear(&mut self, slot: usize) {
        self.set(slot, usize::from(Self::NOWHERE));
    }

    #[inline]
    pub(super) fn get(&self, slot: usize) -> Option<&'c Input<'c>> {
        let place = usize::from(*self.places.get(slot)?);
        self.inputs.get(place).map(|(_, input)| input)
    }

    #[inline]
    fn bool(&self, slot: Slot) -> Option<bool> {
        match self.get(slot.into()) {
            Some(Input::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    #[inline]
    fn integer(&self, slot: Slot) -> Option<i64> {
        match self.get(slot.into()) {
            Some(Input::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    #[inline]
    fn string(&self, slot: Slot) -> Option<&'c str> {
        match self.get(slot.into()) {
            Some(Input::String(value)) => Some(value),
            _ => None,
        }
    }

    #[inline]
    fn strings(&self, slot: Slot) -> Option<&'c [&'c str]> {
        match self.get(slot.into()) {
            Some(Input::Strings(value)) => Some(value),
            _ => None,
        }
    }
}

/// Where a name stands in a context: its first entry counts.
#[inline]
pub(super) fn place(inputs: &[(&str, Input<'_>)], name: &str) -> Option<usize> {
    inputs.iter().take(usize::from(Slots::NOWHERE)).position(|(this, _)| *this == name)
}

/// A formula of the typed subset without settings, over slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Constant(bool),
    /// A boolean input is this.
    Flag(Slot, bool),
    Not(Box<Test>),
    And(Box<[Test]>),
    Or(Box<[Test]>),
    Same(Box<[Test; 2]>),
    Differ(Box<[Test; 2]>),
    /// An integer input and a constant.
    Integer(Comparison, Slot, i64),
    Integers(Comparison, [Slot; 2]),
    /// A string input and a constant.
    String(Comparison, Slot, Box<str>),
    Strings(Comparison, [Slot; 2]),
    /// An input in a constant list, which is sorted.
    IntegerIn(Slot, Box<[i64]>),
    /// The same; shorter texts stand first, so that lengths alone tell most of them apart.
    StringIn(Slot, Box<[Box<str>]>),
    /// A constant in a list.
    Holds(Box<str>, Slot),
    /// An input in a list.
    HoldsInput(Slot, Slot),
}

impl Test {
    /// Lowers a formula. Nothing where it lies outside the typed subset.
    pub(super) fn of(formula: &Formula, inputs: &[(VariableName, VariableType)]) -> Option<Self> {
        let lower = |formula: &Formula| Self::of(formula, inputs);
        let all = |parts: &[Formula]| parts.iter().map(lower).collect::<Option<Box<[_]>>>();
        let both = |[left, right]: &[Formula; 2]| Some(Box::new([lower(left)?, lower(right)?]));
        Some(match formula {
            Formula::Constant(value) => Self::Constant(*value),
            Formula::Variable(variable) => Self::Flag(slot(variable, inputs)?.0, true),
            Formula::Not(inner) => match lower(inner)? {
                Self::Flag(slot, wanted) => Self::Flag(slot, !wanted),
                other => Self::Not(Box::new(other)),
            },
            Formula::And(parts) => Self::And(all(parts)?),
            Formula::Or(parts) => Self::Or(all(parts)?),
            Formula::Same(sides) => Self::Same(both(sides)?),
            Formula::Differ(sides) => Self::Differ(both(sides)?),
            Formula::Compare(comparison, left, right) => Self::comparison(*comparison, left, right, inputs)?,
            Formula::In(item, list) => Self::membership(item, list, inputs)?,
            Formula::Text(..) => return None,
        })
    }

    fn comparison(
        comparison: Comparison,
        left: &Value,
        right: &Value,
        inputs: &[(VariableName, VariableType)],
    ) -> Option<Self> {
        Some(match (left, right) {
            (Value::Variable(left), Value::Variable(right)) => {
                let ((left, kind), (right, _)) = (slot(left, inputs)?, slot(right, inputs)?);
                match kind {
                    VariableType::Integer => Self::Integers(comparison, [left, right]),
                    _ => Self::Strings(comparison, [left, right]),
                }
            }
            (Value::Variable(variable), Value::Constant(constant)) => {
                Self::constant(comparison, slot(variable, inputs)?.0, constant)?
            }
            (Value::Constant(constant), Value::Variable(variable)) => {
                Self::constant(comparison.turned(), slot(variable, inputs)?.0, constant)?
            }
            _ => return None,
        })
    }

    fn constant(comparison: Comparison, slot: Slot, constant: &Constant) -> Option<Self> {
        match constant {
            Constant::Integer(value) => Some(Self::Integer(comparison, slot, *value)),
            Constant::String(text) => Some(Self::String(comparison, slot, text.clone())),
            Constant::Bool(_) | Constant::Strings(_) | Constant::Integers(_) => None,
        }
    }

    fn membership(item: &Value, list: &Value, inputs: &[(VariableName, VariableType)]) -> Option<Self> {
        Some(match (item, list) {
            (Value::Variable(item), Value::Constant(Constant::Integers(list))) => {
                let mut list = list.clone();
                list.sort_unstable();
                Self::IntegerIn(slot(item, inputs)?.0, list.into())
            }
            (Value::Variable(item), Value::Constant(Constant::Strings(list))) => {
                let mut list = list.clone();
                list.sort_unstable_by(|a, b| by_length(a, b));
                Self::StringIn(slot(item, inputs)?.0, list.into())
            }
            (Value::Constant(Constant::String(item)), Value::Variable(list)) => {
                Self::Holds(item.clone(), slot(list, inputs)?.0)
            }
            (Value::Variable(item), Value::Variable(list)) => {
                Self::HoldsInput(slot(item, inputs)?.0, slot(list, inputs)?.0)
            }
            _ => return None,
        })
    }

    /// Whether it holds; nothing where that depends on an input without a value.
    #[inline]
    pub(super) fn holds(&self, slots: &Slots<'_>) -> Option<bool> {
        // What is found most often is answered here, without a call.
        match self {
            Self::Flag(slot, wanted) => Some(slots.bool(*slot)? == *wanted),
            Self::Integer(comparison, slot, value) => Some(comparison.holds(slots.integer(*slot)?.cmp(value))),
            other => other.composed(slots),
        }
    }

    fn composed(&self, slots: &Slots<'_>) -> Option<bool> {
        match self {
            Self::Flag(..) | Self::Integer(..) => self.holds(slots),
            Self::Constant(value) => Some(*value),
            Self::Not(inner) => inner.holds(slots).map(|holds| !holds),
            Self::And(parts) => decided(parts, false, slots),
            Self::Or(parts) => decided(parts, true, slots),
            Self::Same(sides) => {
                let [left, right] = &**sides;
                Some(left.holds(slots)? == right.holds(slots)?)
            }
            Self::Differ(sides) => {
                let [left, right] = &**sides;
                Some(left.holds(slots)? != right.holds(slots)?)
            }
            Self::Integers(comparison, [left, right]) => {
                Some(comparison.holds(slots.integer(*left)?.cmp(&slots.integer(*right)?)))
            }
            Self::String(comparison, slot, text) => Some(compare(*comparison, slots.string(*slot)?, text)),
            Self::Strings(comparison, [left, right]) => {
                Some(compare(*comparison, slots.string(*left)?, slots.string(*right)?))
            }
            Self::IntegerIn(slot, list) => Some(list.binary_search(&slots.integer(*slot)?).is_ok()),
            Self::StringIn(slot, list) => {
                let item = slots.string(*slot)?;
                Some(list.binary_search_by(|this| by_length(this, item)).is_ok())
            }
            Self::Holds(item, list) => Some(slots.strings(*list)?.contains(&&**item)),
            Self::HoldsInput(item, list) => {
                let item = slots.string(*item)?;
                Some(slots.strings(*list)?.contains(&item))
            }
        }
    }
}

fn by_length(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// The first part that comes to this decides; a part that is left open leaves it open unless another one decides.
#[inline]
fn decided(parts: &[Test], deciding: bool, slots: &Slots<'_>) -> Option<bool> {
    let mut open = false;
    for part in parts {
        match part.holds(slots) {
            Some(holds) if holds == deciding => return Some(deciding),
            Some(_) => {}
            None => open = true,
        }
    }
    if open { None } else { Some(!deciding) }
}

/// Texts of different lengths are different: their bytes need not be looked at to tell.
#[inline]
fn compare(comparison: Comparison, left: &str, right: &str) -> bool {
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        ordering => ordering.holds(Ord::cmp(left, right)),
    }
}

impl Comparison {
    /// The comparison with its sides exchanged.
    const fn turned(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// The place of an input in the order of names, and its type.
fn slot(variable: &Variable, inputs: &[(VariableName, VariableType)]) -> Option<(Slot, VariableType)> {
    let at = inputs.binary_search_by(|(name, _)| name.cmp(&variable.name)).ok()?;
    Some((Slot::try_from(at).ok()?, inputs.get(at)?.1))
}
