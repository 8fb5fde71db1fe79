//! `leasehold lint`: every error and warning in one list.

use crate::context::{Context, refuse_choices};
use crate::diagnostics::list;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::trust::Published;
use crate::words;
use leasehold::model::{Diagnostic, Severity, locate};
use serde_json::{Value, json};
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
    #[command(flatten)]
    published: Published,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    if context.place(context.root())?.is_some() {
        return published(options, context);
    }
    refuse_choices(&options.published)?;
    let sources = context.sources(context.root())?;
    let found = match context.build(&sources) {
        Ok(world) => {
            let mut warnings = world.snapshot.warnings();
            locate(&mut warnings, &sources);
            warnings
        }
        Err(found) => found,
    };
    report(found, options, context, &words::count(sources.len(), "file"), ("files", json!(sources.len())))
}

/// What was published compiles: there is nothing to list but warnings.
fn published(options: &Options, context: &Context) -> Result<Report, Failure> {
    let world = context.world(&options.published)?;
    let place = world.described(context.now).unwrap_or_default();
    report(world.snapshot.warnings(), options, context, &place, ("revision", json!(world.snapshot.stamp().revision)))
}

fn report(
    found: Vec<Diagnostic>,
    options: &Options,
    context: &Context,
    place: &str,
    (field, what): (&str, Value),
) -> Result<Report, Failure> {
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    let exit = Exit::yes_if(errors == 0 && (warnings == 0 || !options.deny_warnings));
    if context.json() {
        let answer = json!({ field: what, "errors": errors, "warnings": warnings, "diagnostics": found });
        return Report::json(&answer, exit);
    }
    let mut text = list(&found, context.style);
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
    let _ = writeln!(text, "{} in {place}", context.style.paint(tone, &summary));
    Ok(Report::text(text, exit))
}
