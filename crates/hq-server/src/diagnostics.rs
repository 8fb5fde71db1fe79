//! Errors and warnings in definitions, as they are listed.

use crate::style::{Style, Tone};
use crate::words;
use leasehold::model::{Diagnostic, Severity};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// Diagnostics, each with its place, code, message and hint.
pub(crate) fn list(found: &[Diagnostic], style: Style) -> String {
    let listed = found.iter().map(|it| {
        let place = (&*it.file, it.path.as_str());
        one(it.severity, it.code.as_str(), place, &it.message, &it.hint, style)
    });
    listed.collect()
}

/// Diagnostics as the database keeps them.
pub(crate) fn list_kept(found: &[Value], style: Style) -> String {
    let listed = found.iter().map(|it| {
        let word = |name: &str| it.get(name).and_then(Value::as_str).unwrap_or_default();
        let severity = if word("severity") == "warning" { Severity::Warning } else { Severity::Error };
        one(severity, word("code"), (word("file"), word("path")), word("message"), word("hint"), style)
    });
    listed.collect()
}

fn one(severity: Severity, code: &str, place: (&str, &str), message: &str, hint: &str, style: Style) -> String {
    let (tone, severity) = match severity {
        Severity::Error => (Tone::Bad, "error"),
        Severity::Warning => (Tone::Notice, "warning"),
    };
    let place = match place {
        (file, "") => file.to_owned(),
        ("", path) => path.to_owned(),
        (file, path) => format!("{file}#{path}"),
    };
    format!(
        "{} {}\n  {}\n  {} {}\n\n",
        style.paint(tone, &format!("{severity}[{code}]")),
        style.paint(Tone::Strong, &words::printable(&place)),
        words::printable(message),
        style.paint(Tone::Faint, "hint:"),
        words::printable(hint)
    )
}

/// A line of a log that cannot be read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

/// Bad lines, each with its code.
pub(crate) fn list_lines(bad: &[BadLine], style: Style) -> String {
    let mut text = String::new();
    for BadLine { line, code, message } in bad {
        let head = style.paint(Tone::Bad, &format!("error[{code}]"));
        let place = style.paint(Tone::Strong, &format!("line {line}"));
        let _ = writeln!(text, "{head} {place}: {}", words::printable(message));
    }
    text
}
