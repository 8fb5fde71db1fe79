//! `leasehold lint`: every error and warning in one list.

use crate::context::Context;
use crate::diagnostics::list;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::words;
use leasehold::model::{Severity, locate};
use serde_json::json;
use std::fmt::Write;

pub(crate) const EXAMPLES: &str = "\
Exits with 1 where there is an error. Warnings alone pass, unless --deny-warnings is given. Definitions with errors are not looked at for warnings.

Examples:
  leasehold lint -d examples/cleanmatex
  leasehold lint -d examples/cleanmatex --deny-warnings --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Exit with 1 where there is a warning
    #[arg(long)]
    deny_warnings: bool,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let sources = context.sources(context.root())?;
    let found = match context.build(&sources) {
        Ok(world) => {
            let mut warnings = world.snapshot.warnings();
            locate(&mut warnings, &sources);
            warnings
        }
        Err(found) => found,
    };
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    let exit = Exit::yes_if(errors == 0 && (warnings == 0 || !options.deny_warnings));
    if context.json() {
        let answer = json!({ "files": sources.len(), "errors": errors, "warnings": warnings, "diagnostics": found });
        return Report::json(&answer, exit);
    }
    let mut text = list(&found, context.style);
    let files = words::count(sources.len(), "file");
    let tone = if errors > 0 {
        Tone::Bad
    } else if warnings > 0 {
        Tone::Notice
    } else {
        Tone::Good
    };
    let summary = if found.is_empty() {
        "no errors, no warnings".to_owned()
    } else {
        format!("{}, {}", words::count(errors, "error"), words::count(warnings, "warning"))
    };
    let _ = writeln!(text, "{} in {files}", context.style.paint(tone, &summary));
    Ok(Report::text(text, exit))
}
