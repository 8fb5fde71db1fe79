//! Constants of guards: what is written in them, and the values of settings.

use super::input::{MAX_ITEMS, MAX_STRING_BYTES};
use crate::model::{MAX_INTEGER, VariableType};
use serde::Serialize;
use serde_json::Value;

/// A value that does not depend on the item that is to move. As JSON it is the value itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Constant {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    String(Box<str>),
    /// A list of texts.
    Strings(Vec<Box<str>>),
    /// A list of whole numbers.
    Integers(Vec<i64>),
}

impl Constant {
    /// Reads a value of a type; nothing where it is of another type or out of range.
    #[must_use]
    pub fn read(expected: VariableType, value: &Value) -> Option<Self> {
        let string = |value: &Value| -> Option<Box<str>> {
            value.as_str().filter(|text| text.len() <= MAX_STRING_BYTES).map(Into::into)
        };
        match expected {
            VariableType::Bool => value.as_bool().map(Self::Bool),
            VariableType::Integer => {
                value.as_i64().filter(|value| value.unsigned_abs() <= MAX_INTEGER).map(Self::Integer)
            }
            VariableType::String => string(value).map(Self::String),
            VariableType::Strings => {
                let items = value.as_array().filter(|items| items.len() <= MAX_ITEMS)?;
                items.iter().map(string).collect::<Option<_>>().map(Self::Strings)
            }
        }
    }

    /// Whether it can stand for a variable of a type.
    pub(super) fn is(&self, expected: VariableType) -> bool {
        matches!(
            (self, expected),
            (Self::Bool(_), VariableType::Bool)
                | (Self::Integer(_), VariableType::Integer)
                | (Self::String(_), VariableType::String)
                | (Self::Strings(_), VariableType::Strings)
        )
    }
}
