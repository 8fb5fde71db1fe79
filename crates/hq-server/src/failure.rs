//! Why a command has no answer.

use crate::diagnostics::{BadLine, list, list_kept, list_lines};
use crate::report::{Exit, Report};
use crate::style::{Style, Tone};
use crate::words;
use leasehold::wire::{Fault, FaultCode, Stage};
use leasehold::{Error, model::Diagnostic};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::{io, io::Write as _, path::Path};

/// How many diagnostics a command lists that is not about them.
const LISTED: usize = 20;

/// Why a command has no answer: a stable code, one line, and what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    code: &'static str,
    message: String,
    hint: Option<Box<str>>,
    diagnostics: Box<[Diagnostic]>,
    /// How many of them are listed.
    listed: usize,
    /// What is wrong with a log, line by line.
    lines: Box<[BadLine]>,
    /// Something else to know: its name, and it as JSON and as text.
    shown: Option<Box<(&'static str, Value, String)>>,
    /// How far something published got, and what is wrong with it.
    fault: Option<Box<(Stage, String)>>,
    pub(crate) exit: Exit,
}

impl Failure {
    fn new(code: &'static str, message: impl Into<String>, exit: Exit) -> Self {
        let message = message.into();
        let (diagnostics, lines) = (Box::default(), Box::default());
        Self { code, message, hint: None, diagnostics, listed: LISTED, lines, shown: None, fault: None, exit }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// The same, with something else to know.
    pub(crate) fn showing(mut self, name: &'static str, value: Value, text: String) -> Self {
        self.shown = Some(Box::new((name, value, text)));
        self
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("usage", message, Exit::Usage)
    }

    /// The definitions are refused.
    pub(crate) fn refused(diagnostics: Vec<Diagnostic>) -> Self {
        let message = format!("the definitions are refused: {}", words::count(diagnostics.len(), "error"));
        Self { diagnostics: diagnostics.into(), ..Self::new("definitions_refused", message, Exit::Refused) }
    }

    /// Files below a directory cannot be read.
    pub(crate) fn unreadable(root: &Path, diagnostics: Vec<Diagnostic>) -> Self {
        let message = format!("the definitions in `{}` cannot be read", root.display());
        let failure = Self { diagnostics: diagnostics.into(), ..Self::new("unreadable", message, Exit::Io) };
        failure.hint("name the directory of definitions with -d, or set LEASEHOLD_DEFINITIONS")
    }

    /// A file where a directory of definitions is expected.
    pub(crate) fn is_a_file(path: &Path) -> Self {
        let message = format!("`{}` is neither a directory of definitions nor something published", path.display());
        let failure = Self::new("unreadable", message, Exit::Io);
        failure
            .hint("`leasehold inspect` says what it is; answers need definitions, a pack or a directory of snapshots")
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

    /// Errors in definitions, all of them, where they are the subject.
    pub(crate) fn refused_whole(what: &str, diagnostics: Vec<Diagnostic>) -> Self {
        let message = format!("{what} refused, and nothing is written: {}", words::count(diagnostics.len(), "error"));
        Self {
            diagnostics: diagnostics.into(),
            listed: usize::MAX,
            ..Self::new("definitions_refused", message, Exit::Refused)
        }
    }

    /// What was changed is not published as it is.
    fn kept_back(found: Value) -> Self {
        let listed = found.as_array().map(Vec::as_slice).unwrap_or_default();
        let message = format!(
            "the change is kept back, and what was published last stays: {}",
            words::count(listed.len(), "error")
        );
        let text = format!("\n{}", list_kept(listed, Style::plain(None)));
        let failure = Self::new("kept_back", message, Exit::Refused).showing("diagnostics", found, text);
        failure.hint("change it again; or put the definitions in force by which it is right")
    }

    /// A log with bad lines, all of them.
    pub(crate) fn bad_log(name: &str, lines: Vec<BadLine>) -> Self {
        let message = format!("{name} is refused, and nothing is replayed: {}", words::count(lines.len(), "mistake"));
        Self { lines: lines.into(), ..Self::new("log_refused", message, Exit::Refused) }
    }

    /// Something signed or published that is not to be believed, or not whole.
    pub(crate) fn fault(fault: &Fault) -> Self {
        let exit = match fault.fault_code() {
            FaultCode::OutsideHistory => Exit::Unknown,
            FaultCode::Unreachable | FaultCode::NotPersisted => Exit::Io,
            _ => Exit::Refused,
        };
        let mut failure = Self::new(fault.code(), fault.to_string(), exit);
        failure.hint = hint_for(fault.fault_code()).map(Into::into);
        failure.fault = Some(Box::new((fault.stage(), fault.item().to_owned())));
        failure.diagnostics = fault.diagnostics().map(|found| found.as_slice().into()).unwrap_or_default();
        failure
    }

    /// A trust file that says something else than whom to believe.
    pub(crate) fn bad_trust(path: &Path, fault: &Fault) -> Self {
        let failure = Self::new("bad_trust", format!("`{}` is not a trust file: {fault}", path.display()), Exit::Io);
        failure.hint(
            r#"it holds {"issuer": …, "environment": …, "roots": ["64 hexadecimal digits"]}, and may hold "stream""#,
        )
    }

    /// Something signed, and nobody named whom to believe.
    pub(crate) fn trust_required(path: &Path) -> Self {
        let message = format!("`{}` is signed, and nothing says whom to believe", path.display());
        let failure = Self::new("trust_required", message, Exit::Usage);
        failure.hint("name the publisher's trust file with --trust, or set LEASEHOLD_TRUST; `leasehold inspect` shows it unverified")
    }

    /// Several streams, and nobody said which.
    pub(crate) fn stream_required(path: &Path, streams: usize) -> Self {
        Self::new("stream_required", format!("`{}` holds {streams} streams", path.display()), Exit::Usage)
    }

    /// A stream that is not there.
    pub(crate) fn unknown_stream(stream: &str, path: &Path) -> Self {
        Self::new("unknown_stream", format!("`{}` holds no stream `{stream}`", path.display()), Exit::Unknown)
    }

    /// Neither a pack nor a directory of snapshots, or an empty one.
    pub(crate) fn no_snapshots(path: &Path) -> Self {
        let message = format!("`{}` holds no snapshot", path.display());
        Self::new("no_snapshots", message, Exit::Io)
            .hint("`leasehold build` writes directories of snapshots, and packs")
    }

    /// Published, where something authored is needed.
    pub(crate) fn is_published(message: impl Into<String>) -> Self {
        Self::new("is_published", message, Exit::Usage)
    }

    /// A file that is to be written and is already there.
    pub(crate) fn exists(path: &Path) -> Self {
        let failure = Self::new("exists", format!("`{}` is already there", path.display()), Exit::Io);
        failure.hint("it is not overwritten: name another file, or remove that one")
    }

    /// A file that holds no key, or not the one that is needed.
    pub(crate) fn key(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, message, Exit::Io)
    }

    /// Something about what was typed that has a code of its own.
    pub(crate) fn wrong(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, message, Exit::Refused)
    }

    /// A database is needed, and nobody named one.
    pub(crate) fn database_required() -> Self {
        Self::new("database_required", "nothing says where the database is", Exit::Usage)
    }

    /// Something that cannot be taken back, and nobody said yes.
    pub(crate) fn confirmation_required(message: impl Into<String>) -> Self {
        Self::new("confirmation_required", message, Exit::Usage)
    }

    /// The same, with the file that it is about.
    pub(crate) fn about(mut self, path: &Path) -> Self {
        self.message = format!("`{}`: {}", path.display(), self.message);
        self
    }

    /// A fault of this program.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message, Exit::Io).hint("this is a fault of leasehold itself: please report it")
    }

    /// One line about it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether something was read and refused, which is an answer of a sort.
    pub(crate) fn refuses(&self) -> bool {
        self.fault.as_deref().is_some_and(|(stage, _)| *stage != Stage::Persist) || self.exit == Exit::Refused
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(fields) = error.as_object_mut() {
            if let Some(hint) = &self.hint {
                fields.insert("hint".into(), json!(hint));
            }
            if let Some((stage, item)) = self.fault.as_deref() {
                fields.insert("stage".into(), json!(stage));
                fields.insert("item".into(), json!(item));
            }
            if !self.diagnostics.is_empty() {
                fields.insert("diagnostics".into(), json!(self.diagnostics));
            }
            if let Some((name, value, _)) = self.shown.as_deref() {
                fields.insert((*name).to_owned(), value.clone());
            }
            if !self.lines.is_empty() {
                fields.insert("lines".into(), json!(self.lines));
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

    pub(crate) fn to_text(&self, style: Style) -> String {
        let mut text = String::new();
        let error = style.paint(Tone::Bad, "error");
        let _ = writeln!(text, "{error}: {} [{}]", words::printable(&self.message), self.code);
        if !self.diagnostics.is_empty() {
            let shown = self.diagnostics.get(..self.listed).unwrap_or(&self.diagnostics);
            let _ = write!(text, "\n{}", list(shown, style));
        }
        text.push_str(&list_lines(&self.lines, style));
        if let Some((.., shown)) = self.shown.as_deref() {
            text.push_str(shown);
        }
        if let Some(more) = self.diagnostics.len().checked_sub(self.listed).filter(|more| *more > 0) {
            let _ = writeln!(text, "… and {}: `leasehold lint` lists all", words::count(more, "more error"));
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{}: {}", style.paint(Tone::Strong, "hint"), words::printable(hint));
        }
        text
    }
}

/// What helps against a fault, where something does.
fn hint_for(code: FaultCode) -> Option<&'static str> {
    Some(match code {
        FaultCode::MissingChunk => {
            "what it names was not copied along, or was removed: get it whole from the publisher"
        }
        FaultCode::UnexpectedChunk => "something was added to it since it was made: get it again from the publisher",
        FaultCode::Truncated => "it was cut short on its way: get it again",
        FaultCode::HashMismatch | FaultCode::InvalidCompression | FaultCode::CompressionBomb | FaultCode::TooLong => {
            "its bytes are not those that were published: get it again from the publisher"
        }
        FaultCode::BadSignature => "it was changed after it was signed: do not use it",
        FaultCode::WrongDocument => "`leasehold inspect` says what it is",
        FaultCode::UnknownFormat | FaultCode::UnsupportedSemantics => {
            "a later version of leasehold made it: update this one"
        }
        FaultCode::UnknownKey => {
            "it is of another publisher, or the trust file or certificate is not the one that goes with it; \
             `leasehold inspect` shows key ids"
        }
        FaultCode::SliceKey => "slice keys sign slices only: sign heads with the fleet key",
        FaultCode::KeyExpired => "let the root key certify the key for the time of signing, with `leasehold certify`",
        FaultCode::WrongIssuer | FaultCode::WrongEnvironment => "the trust file names another publisher",
        FaultCode::WrongStream => {
            "name the stream that it is of with --stream; a pack has one, and needs no such option"
        }
        FaultCode::WrongTenant => "name the tenant that it is about with --tenant",
        FaultCode::OlderRevision | FaultCode::RevisionConflict | FaultCode::NotNewer => {
            "engines that have seen the newer head refuse it: to roll back, build the older definitions again"
        }
        FaultCode::NotPersisted => "what was published before is still whole",
        FaultCode::OutsideHistory => "`leasehold history` lists what is known",
        _ => return None,
    })
}

/// An error object on standard output.
pub(crate) fn print_json(error: &Value, exit: Exit) {
    if let Ok(report) = Report::json(error, exit) {
        report.print();
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::fault(&fault)
    }
}

/// What helps against a failure of the database, where something does.
fn store_hint(error: &leasehold_postgres::Error) -> Option<&'static str> {
    use leasehold_postgres::Error as Store;
    Some(match error {
        Store::Unreachable(_) => "is it up, and does --database-url name it?",
        Store::SchemaBehind { .. } => "`leasehold db status` lists what is missing",
        Store::SchemaAhead { .. } => "somebody migrated it with a later version of leasehold: update this one",
        Store::ExportMalformed { .. } => "export it again, or use a whole copy",
        Store::Contended { .. } => "nothing was changed",
        Store::NotApproved { .. } => "`leasehold db proposals` shows what is proposed",
        Store::Database(_) | Store::Migration(_) => {
            "migrations need a role that may create roles and schemas; everything else a member of leasehold_hq"
        }
        _ => return None,
    })
}

impl From<leasehold_postgres::Error> for Failure {
    fn from(error: leasehold_postgres::Error) -> Self {
        use leasehold_postgres::Error as Store;
        let exit = match error {
            Store::Refused(found) => return Self::refused_whole("the definitions are", found.into_vec()),
            Store::Fault(fault) => return fault.into(),
            Store::Question(error) => return error.into(),
            Store::KeptBack { found } => return Self::kept_back(found),
            Store::NotFound { .. } | Store::UnknownItem(_) => Exit::Unknown,
            Store::InvalidArgument { .. } => Exit::Usage,
            Store::NotApproved { .. } => Exit::No,
            Store::IdempotencyKeyReused { .. } => Exit::Refused,
            Store::Constraint { .. }
            | Store::StillNamed { .. }
            | Store::NulCharacter
            | Store::NoCanonicalForm(_)
            | Store::ExportMalformed { .. }
            | Store::Exists { .. }
            | Store::Conflict { .. } => Exit::Refused,
            _ => Exit::Io,
        };
        let mut failure = Self::new(error.code(), error.to_string(), exit);
        failure.hint = store_hint(&error).map(Into::into);
        failure
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error {
            Error::AmountOutOfRange(_) | Error::InvalidTime(_) => Exit::Usage,
            Error::InactiveTemplate(_) => Exit::No,
            _ => Exit::Unknown,
        };
        Self::new(error.code(), error.to_string(), exit)
    }
}
