//! Why a command has no answer.

use crate::diagnostics::list;
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::words;
use leasehold::{Error, model::Diagnostic};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::{io, io::Write as _, path::Path};

/// How many diagnostics a command lists that is not about them.
const LISTED: usize = 20;

/// Why a command has no answer: a stable code, one line, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    message: String,
    hint: Option<String>,
    diagnostics: Vec<Diagnostic>,
    pub(crate) exit: Exit,
}

impl Failure {
    fn new(code: &str, message: impl Into<String>, exit: Exit) -> Self {
        Self { code: code.to_owned(), message: message.into(), hint: None, diagnostics: Vec::new(), exit }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message, Exit::Usage)
    }

    /// The definitions are refused.
    pub(crate) fn refused(diagnostics: Vec<Diagnostic>) -> Self {
        let message = format!("the definitions are refused: {}", words::count(diagnostics.len(), "error"));
        Self { diagnostics, ..Self::new("definitions_refused", message, Exit::Refused) }
    }

    /// Files below a directory cannot be read.
    pub(crate) fn unreadable(root: &Path, diagnostics: Vec<Diagnostic>) -> Self {
        let message = format!("the definitions in `{}` cannot be read", root.display());
        let failure = Self { diagnostics, ..Self::new("unreadable", message, Exit::Io) };
        failure.hint("name the directory of definitions with -d, or set LEASEHOLD_DEFINITIONS")
    }

    /// A directory without a single file of definitions.
    pub(crate) fn no_definitions(root: &Path) -> Self {
        let message = format!("there is no .json file below `{}`", root.display());
        let failure = Self::new("no_definitions", message, Exit::Io);
        failure.hint("name the directory of definitions with -d, or set LEASEHOLD_DEFINITIONS")
    }

    /// Something that the operating system refused.
    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new("io", format!("cannot {doing} `{}`: {error}", path.display()), Exit::Io)
    }

    /// A directory that must be empty and is not.
    pub(crate) fn not_empty(path: &Path) -> Self {
        let failure = Self::new("not_empty", format!("`{}` is not empty", path.display()), Exit::Io);
        failure.hint("name a directory that does not exist yet")
    }

    /// A fault of this program.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message, Exit::Io).hint("this is a fault of leasehold itself: please report it")
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(fields) = error.as_object_mut() {
            if let Some(hint) = &self.hint {
                fields.insert("hint".into(), json!(hint));
            }
            if !self.diagnostics.is_empty() {
                fields.insert("diagnostics".into(), json!(self.diagnostics));
            }
        }
        json!({ "error": error })
    }

    /// Says it on standard error, and as JSON on standard output where JSON was asked for.
    pub(crate) fn print(&self, json: bool, style: Style) -> Exit {
        if json {
            print_json(&self.to_json(), self.exit);
        }
        // Where even this cannot be printed there is nobody left to tell.
        let _ = io::stderr().lock().write_all(self.to_text(style).as_bytes());
        self.exit
    }

    fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        let error = style.paint(Tone::Bad, "error");
        let _ = writeln!(text, "{error}: {} [{}]", words::printable(&self.message), self.code);
        if !self.diagnostics.is_empty() {
            let shown = self.diagnostics.get(..LISTED).unwrap_or(&self.diagnostics);
            let _ = write!(text, "\n{}", list(shown, style));
        }
        if let Some(more) = self.diagnostics.len().checked_sub(LISTED).filter(|more| *more > 0) {
            let _ = writeln!(text, "… and {}: `leasehold lint` lists all", words::count(more, "more error"));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{}: {}", style.paint(Tone::Strong, "hint"), words::printable(hint));
        }
        text
    }
}

/// An error object on standard output.
pub(crate) fn print_json(error: &Value, exit: Exit) {
    if let Ok(report) = Report::json(error, exit) {
        report.print();
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::AmountOutOfRange(_) | Error::InvalidTime(_) => Exit::Usage,
            _ => Exit::Unknown,
        };
        Self::new(error.code(), error.to_string(), exit)
    }
}
