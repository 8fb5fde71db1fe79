//! The mutants, as cargo-mutants lists them.

use serde::Deserialize;
use serde_json::Value;

use crate::{Result, process};

/// What a mutant changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Genre {
    /// A body, which returns a value and does nothing else.
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

/// A line and a column, both from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Mutant {
    /// From one, in the order of the list.
    pub(super) number: u32,
    /// Where it is and what it does, on one line.
    pub(super) name: String,
    /// Below the root of the workspace.
    pub(super) file: String,
    pub(super) genre: Genre,
    pub(super) replacement: String,
    pub(super) start: Position,
    pub(super) end: Position,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    file: String,
    genre: Genre,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Position,
    end: Position,
}

/// Every mutant of files that match these patterns, in a package.
pub(super) fn list(package: &str, patterns: &[String]) -> Result<Vec<Mutant>> {
    let mut command = process::cargo(["mutants", "--list", "--json", "--colors", "never", "--package", package]);
    for pattern in patterns {
        command.args(["--file", pattern]);
    }
    let listed: Vec<Value> = serde_json::from_str(&process::read(&mut command)?)?;
    (1..).zip(listed).map(|(number, listed)| mutant(number, listed)).collect()
}

fn mutant(number: u32, listed: Value) -> Result<Mutant> {
    let Listed { name, file, genre, replacement, span } =
        serde_json::from_value(listed).map_err(|error| format!("an entry of `cargo mutants --list`: {error}"))?;
    Ok(Mutant { number, name, file, genre, replacement, start: span.start, end: span.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_what_is_not_known_is_told() {
        let entry = serde_json::json!({
            "name": "src/a.rs:1:2: replace + with -", "file": "src/a.rs", "genre": "BinaryOperator", "replacement": "-",
            "span": { "start": { "line": 1, "column": 2 }, "end": { "line": 1, "column": 3 } }, "package": "p",
        });
        let read = mutant(7, entry.clone()).unwrap();
        assert_eq!((read.number, read.genre, read.start), (7, Genre::BinaryOperator, Position { line: 1, column: 2 }));
        let mut strange = entry;
        strange["genre"] = "Loop".into();
        assert!(mutant(7, strange).unwrap_err().to_string().contains("Loop"));
    }
}
