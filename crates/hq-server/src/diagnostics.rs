//! Errors and warnings in definitions, as they are listed.

use crate::style::{Style, Tone};
use crate::words;
use leasehold::model::{Diagnostic, Severity};
use serde::Serialize;
use std::fmt::Write;

/// Diagnostics, each with its place, code, message and hint.
pub(crate) fn list(found: &[Diagnostic], style: Style) -> String {
    let mut text = String::new();
    for diagnostic in found {
        let (tone, severity) = match diagnostic.severity {
            Severity::Error => (Tone::Bad, "error"),
            Severity::Warning => (Tone::Notice, "warning"),
        };
        let head = style.paint(tone, &format!("{severity}[{}]", diagnostic.code));
        let place = match (&*diagnostic.file, diagnostic.path.as_str()) {
            (file, "") => file.to_owned(),
            ("", path) => path.to_owned(),
            (file, path) => format!("{file}#{path}"),
        };
        let _ = writeln!(text, "{head} {}", style.paint(Tone::Strong, &words::printable(&place)));
        let _ = writeln!(text, "  {}", words::printable(&diagnostic.message));
        let _ = writeln!(text, "  {} {}\n", style.paint(Tone::Faint, "hint:"), words::printable(&diagnostic.hint));
    }
    text
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
