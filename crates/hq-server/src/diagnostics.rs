//! Errors and warnings in definitions, as they are listed.

use crate::style::{Style, Tone};
use crate::words;
use leasehold::model::{Diagnostic, Severity};
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
            (file, path) => format!("{file}#{path}"),
        };
        let _ = writeln!(text, "{head} {}", style.paint(Tone::Strong, &words::printable(&place)));
        let _ = writeln!(text, "  {}", words::printable(&diagnostic.message));
        let _ = writeln!(text, "  {} {}\n", style.paint(Tone::Faint, "hint:"), words::printable(&diagnostic.hint));
    }
    text
}
