//! What is wrong with the text of a guard.

use crate::model::DiagnosticCode;
use serde::Serialize;

/// One mistake in the text of a guard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardMistake {
    /// What is wrong, stable.
    pub code: DiagnosticCode,
    /// Where in the text, in bytes.
    pub at: usize,
    /// What is wrong, in words.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

pub(super) fn mistake(
    code: DiagnosticCode,
    at: usize,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> GuardMistake {
    GuardMistake { code, at, message: message.into(), hint: hint.into() }
}

pub(super) fn syntax(at: usize, message: impl Into<String>, hint: impl Into<String>) -> GuardMistake {
    mistake(DiagnosticCode::GuardSyntax, at, message, hint)
}

/// Something of Rhai that guards do not have.
pub(super) fn not_allowed(at: usize, what: &str, hint: impl Into<String>) -> GuardMistake {
    mistake(DiagnosticCode::GuardNotAllowed, at, format!("{what} is not allowed in a guard"), hint)
}

pub(super) fn mismatch(at: usize, message: impl Into<String>, hint: impl Into<String>) -> GuardMistake {
    mistake(DiagnosticCode::GuardTypeMismatch, at, message, hint)
}
