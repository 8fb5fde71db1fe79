//! A checked guard: every part has a type, and types always go together.

use super::constant::Constant;
use crate::VariableName;
use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;

/// How two integers or two strings are compared. Strings are compared by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
// Each number holds one bit for every order in which it holds: less, equal, greater.
pub enum Comparison {
    /// `==`
    Equal = 0b010,
    /// `!=`
    NotEqual = 0b101,
    /// `<`
    Less = 0b001,
    /// `<=`
    LessOrEqual = 0b011,
    /// `>`
    Greater = 0b100,
    /// `>=`
    GreaterOrEqual = 0b110,
}

impl Comparison {
    /// Every operator.
    pub const ALL: &'static [Self] =
        &[Self::Equal, Self::NotEqual, Self::Less, Self::LessOrEqual, Self::Greater, Self::GreaterOrEqual];

    /// The operator as it is written in expressions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    pub(super) fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|comparison| comparison.as_str() == symbol)
    }

    /// Whether the comparison holds between two values that stand in this order.
    #[inline]
    #[must_use]
    pub const fn holds(self, order: Ordering) -> bool {
        // Less, equal and greater are −1, 0 and 1.
        (self as u8) >> (order as i8 + 1) & 1 == 1
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Where a variable gets its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The context of a question.
    Input,
    /// The definitions.
    Setting,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: VariableName,
    pub(super) origin: Origin,
}

/// Something that holds or does not.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Formula {
    Constant(bool),
    Variable(Variable),
    Not(Box<Formula>),
    And(Vec<Formula>),
    Or(Vec<Formula>),
    /// Both hold, or both do not.
    Same(Box<[Formula; 2]>),
    /// Exactly one of them holds.
    Differ(Box<[Formula; 2]>),
    /// Two integers, or two strings.
    Compare(Comparison, Value, Value),
    /// A string in strings, or an integer in integers.
    In(Value, Value),
    /// A question to two strings.
    Text(TextTest, Value, Value),
}

/// An integer, a string or a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Constant(Constant),
    Variable(Variable),
    Arithmetic(Arithmetic, Box<[Value; 2]>),
    Negative(Box<Value>),
    Absolute(Box<Value>),
    /// Characters of a string, or items of a list.
    Length(Box<Value>),
}

/// What is asked of two strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

impl TextTest {
    pub(super) const ALL: [Self; 3] = [Self::Contains, Self::StartsWith, Self::EndsWith];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
        }
    }

    pub(super) fn holds(self, text: &str, part: &str) -> bool {
        match self {
            Self::Contains => text.contains(part),
            Self::StartsWith => text.starts_with(part),
            Self::EndsWith => text.ends_with(part),
        }
    }
}

/// What is made of two integers. Anything beyond 64 bits is an error, and so is division by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Least,
    Greatest,
}

impl Arithmetic {
    pub(super) const ALL: [Self; 7] =
        [Self::Add, Self::Subtract, Self::Multiply, Self::Divide, Self::Remainder, Self::Least, Self::Greatest];

    /// An operator, or the name of a function.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Least => "min",
            Self::Greatest => "max",
        }
    }

    pub(super) const fn is_function(self) -> bool {
        matches!(self, Self::Least | Self::Greatest)
    }

    pub(super) fn of(self, left: i64, right: i64) -> Option<i64> {
        match self {
            Self::Add => left.checked_add(right),
            Self::Subtract => left.checked_sub(right),
            Self::Multiply => left.checked_mul(right),
            Self::Divide => left.checked_div(right),
            Self::Remainder => left.checked_rem(right),
            Self::Least => Some(left.min(right)),
            Self::Greatest => Some(left.max(right)),
        }
    }
}

impl Formula {
    /// Whether it lies within the typed subset, so that the engine answers it by itself and no fault is possible.
    pub(super) fn is_native(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Variable(_) => true,
            Self::Not(inner) => inner.is_native(),
            Self::And(parts) | Self::Or(parts) => parts.iter().all(Self::is_native),
            Self::Same(sides) | Self::Differ(sides) => sides.iter().all(Self::is_native),
            Self::Compare(_, left, right) | Self::In(left, right) => left.is_native() && right.is_native(),
            Self::Text(..) => false,
        }
    }

    /// Calls back with every variable, in the order of the text.
    pub(super) fn variables<'f>(&'f self, found: &mut impl FnMut(&'f Variable)) {
        match self {
            Self::Constant(_) => {}
            Self::Variable(variable) => found(variable),
            Self::Not(inner) => inner.variables(found),
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.variables(found);
                }
            }
            Self::Same(sides) | Self::Differ(sides) => {
                for side in sides.iter() {
                    side.variables(found);
                }
            }
            Self::Compare(_, left, right) | Self::In(left, right) | Self::Text(_, left, right) => {
                left.variables(found);
                right.variables(found);
            }
        }
    }

    /// Whether it can be seen not to hold whatever the inputs are: parts are false, or fail on constants alone.
    pub(super) fn never_holds(&self) -> bool {
        match self {
            Self::Constant(value) => !value,
            Self::And(parts) => parts.iter().any(Self::never_holds),
            Self::Or(parts) => parts.iter().all(Self::never_holds) || self.fails(),
            _ => self.fails(),
        }
    }

    /// Whether evaluation comes to an error whatever the inputs are.
    fn fails(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Variable(_) => false,
            Self::Not(inner) => inner.fails(),
            // The first part is always reached.
            Self::And(parts) | Self::Or(parts) => parts.first().is_some_and(Self::fails),
            Self::Same(sides) | Self::Differ(sides) => sides.iter().any(Self::fails),
            Self::Compare(_, left, right) | Self::In(left, right) | Self::Text(_, left, right) => {
                left.fails() || right.fails()
            }
        }
    }

    /// The parts that must all hold.
    pub(super) fn conjuncts(&self) -> &[Self] {
        match self {
            Self::And(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }
}

impl Value {
    pub(super) fn is_native(&self) -> bool {
        matches!(self, Self::Constant(_) | Self::Variable(_))
    }

    pub(super) fn variables<'f>(&'f self, found: &mut impl FnMut(&'f Variable)) {
        match self {
            Self::Constant(_) => {}
            Self::Variable(variable) => found(variable),
            Self::Arithmetic(_, sides) => {
                for side in sides.iter() {
                    side.variables(found);
                }
            }
            Self::Negative(inner) | Self::Absolute(inner) | Self::Length(inner) => inner.variables(found),
        }
    }

    /// Whether computing it comes to an error whatever the inputs are.
    fn fails(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Variable(_) => false,
            Self::Arithmetic(operator, sides) => match &**sides {
                [Self::Constant(Constant::Integer(left)), Self::Constant(Constant::Integer(right))] => {
                    operator.of(*left, *right).is_none()
                }
                // Nothing is divisible by this.
                [_, Self::Constant(Constant::Integer(0))]
                    if matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) =>
                {
                    true
                }
                sides => sides.iter().any(Self::fails),
            },
            Self::Negative(inner) | Self::Absolute(inner) | Self::Length(inner) => inner.fails(),
        }
    }

    pub(super) fn constant(&self) -> Option<&Constant> {
        match self {
            Self::Constant(constant) => Some(constant),
            _ => None,
        }
    }
}
