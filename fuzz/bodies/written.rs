//! Bytes as a guard: its text, and values for its settings and inputs. `xtask` makes conformance vectors of the same.

use leasehold::VariableName;
use leasehold::model::VariableType;
use leasehold::workflow::guard::{Constant, Variables};
use std::collections::BTreeMap;

/// Declared inputs and settings, and values to draw from.
pub(crate) const INPUTS: [(&str, VariableType); 8] = [
    ("count", VariableType::Integer),
    ("index", VariableType::Integer),
    ("kind", VariableType::String),
    ("note", VariableType::String),
    ("paid", VariableType::Bool),
    ("photo", VariableType::Bool),
    ("tags", VariableType::Strings),
    ("total", VariableType::Integer),
];
pub(crate) const SETTINGS: [(&str, VariableType); 4] = [
    ("above", VariableType::Integer),
    ("allowed", VariableType::Strings),
    ("required", VariableType::Bool),
    ("wanted", VariableType::String),
];
const INTEGERS: [i64; 8] = [0, 1, -1, 2, 5, 500, 9_007_199_254_740_991, -9_007_199_254_740_991];
const STRINGS: [&str; 8] = ["", "a", "b", "ab", "ß", "a\"b\\", "\n", "${paid}"];

/// Pieces that texts are put together from: random bytes alone seldom make a guard.
const PIECES: [&str; 64] = [
    "paid",
    "photo",
    "total",
    "count",
    "index",
    "kind",
    "note",
    "tags",
    "above",
    "allowed",
    "required",
    "wanted",
    "true",
    "false",
    "0",
    "1",
    "5",
    "-1",
    "500",
    "1_0",
    "0x1f",
    "9007199254740991",
    "\"a\"",
    "\"\"",
    "\"a\\x62\"",
    "`b`",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    ", ",
    " && ",
    " || ",
    "!",
    "!",
    " !in ",
    " in ",
    " == ",
    " != ",
    " < ",
    " <= ",
    " > ",
    " >= ",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    "-",
    ".len()",
    ".contains(",
    ".starts_with(",
    ".ends_with(",
    "min(",
    "max(",
    "abs(",
    " ",
    "\n",
    "// \n",
    "/* */",
    "total == 1",
    "\"a\" in tags",
];

/// Values by the names of inputs or settings.
pub(crate) type Values = BTreeMap<VariableName, Constant>;

/// A guard, and what it is asked.
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) settings: Values,
    pub(crate) inputs: [Values; 3],
}

impl Written {
    /// Bytes up to the first zero as the text of a guard, the others as values. Bytes that begin with 255 stand for pieces of
    /// text instead. Nothing where they are no text.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (text, values) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
        let text = match text.split_first() {
            Some((255, pieces)) => pieces.iter().map(|byte| PIECES[usize::from(*byte) % PIECES.len()]).collect(),
            _ => String::from_utf8(text.to_vec()).ok()?,
        };
        let mut drawn = values.iter().copied();
        let mut draw_all = |of: &[(&str, VariableType)]| declared(of).iter().map(|it| draw(it, &mut drawn)).collect();
        let settings = draw_all(&SETTINGS);
        Some(Self { text, settings, inputs: std::array::from_fn(|_| draw_all(&INPUTS)) })
    }
}

pub(crate) fn declared(names: &[(&str, VariableType)]) -> Variables {
    names.iter().map(|(name, kind)| (name.parse().expect("it is a name"), *kind)).collect()
}

/// A value of a type from the bytes that are left.
fn draw(
    (name, kind): (&VariableName, &VariableType),
    bytes: &mut impl Iterator<Item = u8>,
) -> (VariableName, Constant) {
    let mut next = || usize::from(bytes.next().unwrap_or(0));
    let value = match kind {
        VariableType::Bool => Constant::Bool(next() % 2 == 1),
        VariableType::Integer => Constant::Integer(INTEGERS[next() % INTEGERS.len()]),
        VariableType::String => Constant::String(STRINGS[next() % STRINGS.len()].into()),
        VariableType::Strings => {
            Constant::Strings((0..next() % 4).map(|_| STRINGS[next() % STRINGS.len()].into()).collect())
        }
    };
    (name.clone(), value)
}
