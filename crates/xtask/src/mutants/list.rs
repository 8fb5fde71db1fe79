//! The mutants, as cargo-mutants lists them.

use serde::Deserialize;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Span {
    pub(super) start: Position,
    pub(super) end: Position,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Mutant {
    /// From one, in the order of the list.
    #[serde(skip)]
    pub(super) number: u32,
    /// Where it is and what it does, on one line.
    pub(super) name: String,
    /// Below the root of the workspace.
    pub(super) file: String,
    pub(super) genre: Genre,
    pub(super) replacement: String,
    pub(super) span: Span,
}

/// Every mutant of files that match these patterns, in a package.
pub(super) fn list(package: &str, patterns: &[String]) -> Result<Vec<Mutant>> {
    let mut command = process::cargo(["mutants", "--list", "--json", "--colors", "never", "--package", package]);
    for pattern in patterns {
        command.args(["--file", pattern]);
    }
    read(&process::read(&mut command)?)
}

fn read(listed: &str) -> Result<Vec<Mutant>> {
    let mut mutants: Vec<Mutant> =
        serde_json::from_str(listed).map_err(|error| format!("what `cargo mutants --list` said: {error}"))?;
    for (number, mutant) in (1..).zip(&mut mutants) {
        mutant.number = number;
    }
    Ok(mutants)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn entries_are_read_and_what_is_not_known_is_told() {
        let entry = json!({
            "name": "src/a.rs:1:2: replace + with -", "file": "src/a.rs", "genre": "BinaryOperator", "replacement": "-",
            "span": { "start": { "line": 1, "column": 2 }, "end": { "line": 1, "column": 3 } }, "package": "p",
        });
        let [one, two] = read(&json!([entry, entry]).to_string()).unwrap().try_into().unwrap();
        assert_eq!((one.number, two.number, one.genre), (1, 2, Genre::BinaryOperator));
        assert_eq!((one.span.start, one.span.end.column), (Position { line: 1, column: 2 }, 3));
        let mut strange = entry;
        strange["genre"] = "Loop".into();
        assert!(read(&json!([strange]).to_string()).unwrap_err().to_string().contains("Loop"));
    }
}
