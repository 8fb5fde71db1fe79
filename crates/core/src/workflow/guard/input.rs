//! What callers say about the item that is to move.

use crate::model::{MAX_INTEGER, VariableType};
use serde_json::Value;

/// Longest string that a guard looks at, in bytes.
pub(super) const MAX_STRING_BYTES: usize = 65_536;
/// Most items of a list that a guard looks at.
pub(super) const MAX_ITEMS: usize = 1_024;
/// Where a text that is quoted in an answer is cut off, in bytes.
const SHOWN_BYTES: usize = 128;
/// How many items of a list are quoted in an answer.
const SHOWN_ITEMS: usize = 16;

/// One value of the context that a question carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'c> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    String(&'c str),
    /// A list of texts.
    Strings(&'c [&'c str]),
    /// Something that no guard can look at, in words: `null`, `a float`, `an object`, `a mixed list`.
    Other(&'static str),
}

/// What keeps an input from being looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    Mistyped,
    OutOfRange,
}

impl Input<'_> {
    /// Whether this value can stand for an input of a type.
    #[inline]
    pub(super) fn check(&self, expected: VariableType) -> Result<(), Unfit> {
        let in_range = match (self, expected) {
            (Self::Bool(_), VariableType::Bool) => true,
            (Self::Integer(value), VariableType::Integer) => value.unsigned_abs() <= MAX_INTEGER,
            (Self::String(text), VariableType::String) => text.len() <= MAX_STRING_BYTES,
            (Self::Strings(items), VariableType::Strings) => {
                items.len() <= MAX_ITEMS && items.iter().all(|item| item.len() <= MAX_STRING_BYTES)
            }
            _ => return Err(Unfit::Mistyped),
        };
        if in_range { Ok(()) } else { Err(Unfit::OutOfRange) }
    }

    /// The value for an answer; long texts and lists are cut off.
    pub(super) fn shown(&self) -> Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::String(text) => shortened(text, SHOWN_BYTES).into(),
            Self::Strings(items) => {
                let mut shown: Vec<Value> =
                    items.iter().take(SHOWN_ITEMS).map(|item| shortened(item, SHOWN_BYTES).into()).collect();
                if items.len() > SHOWN_ITEMS {
                    shown.push(format!("… {} items", items.len()).into());
                }
                shown.into()
            }
            Self::Other("null") => Value::Null,
            Self::Other(what) => (*what).into(),
        }
    }
}

/// A text cut off after so many bytes, at the end of a character.
pub(super) fn shortened(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let kept = text.get(..text.floor_char_boundary(bytes)).unwrap_or_default();
    format!("{kept}… ({} bytes)", text.len())
}

/// What an input of a type must be, in words.
pub(super) fn describe(expected: VariableType) -> &'static str {
    match expected {
        VariableType::Bool => "true or false",
        VariableType::Integer => "an integer from −(2^53 − 1) to 2^53 − 1",
        VariableType::String => "a string of at most 65,536 bytes",
        VariableType::Strings => "a list of at most 1,024 strings",
    }
}
