//! What can be typed, and how it is carried out.

use crate::commands::{
    audit, build, certify, check, codegen, completions, db, demo, diff, entitlements, explain, fmt, generate, history,
    inspect, keygen, limit, lint, rotate, serve, slice, verify, what_if, workflow,
};
use crate::context::Context;
use crate::failure::{Failure, print_json};
use crate::report::{Exit, Report};
use crate::style::{ColorWhen, Style};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use leasehold::Timestamp;
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

const EXIT_CODES: &str = "\
Answers come from a directory of definitions: every .json file below it, together. Or from what was published of them: a directory of signed snapshots, or a pack, verified with --trust.

Exit codes:
  0  yes, or success
  1  no: not enabled, denied, blocked, errors found by lint, something to format or generate, differences, conflicts, refused moves, not verified, migrations missing, not approved
  2  the command line is wrong, or an amount is out of range
  3  the definitions, what was published of them, a log of moves, what the database is given, or a server's configuration are refused
  4  unknown tenant, feature, plan, version, add-on, override, workflow, stage or stream, a feature of the wrong kind, or an instant before the history
  5  a file, directory or database cannot be read or written, or the database has another schema

Examples:
  leasehold demo
  leasehold check om-muscat-sparkle delivery -d examples/cleanmatex
  leasehold explain om-muscat-sparkle sso -d examples/cleanmatex";

/// Ask an entitlement and policy engine: what may this tenant do, and why?
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, after_help = EXIT_CODES, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Options {
    /// Directory of definitions; or a pack or a directory of snapshots, with --trust
    #[arg(
        short,
        long,
        global = true,
        value_name = "PATH",
        env = "LEASEHOLD_DEFINITIONS",
        hide_env_values = true,
        default_value = "."
    )]
    pub(crate) definitions: PathBuf,
    /// The instant asked about, and at which is signed, as an RFC 3339 time; without it, now
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colour; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) color: ColorWhen,
}

/// In the place of `--at`, for a command that no instant is named to: it is not in its help, and is refused.
pub(crate) fn no_instant() -> clap::Arg {
    clap::Arg::new("at").long("at").value_parser(clap::value_parser!(Timestamp)).hide(true)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say whether a tenant may use a feature: yes or no, and why
    #[command(after_help = check::EXAMPLES)]
    Check(check::Options),
    /// Ask a limit whether there is room for a request
    #[command(after_help = limit::EXAMPLES)]
    Limit(limit::Options),
    /// Show everything that a tenant may have
    #[command(after_help = entitlements::EXAMPLES)]
    Entitlements(entitlements::Options),
    /// Show step by step why an answer is what it is
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Options),
    /// Show what another plan, an add-on or a missing override would change for a tenant
    #[command(after_help = what_if::EXAMPLES)]
    WhatIf(what_if::Options),
    /// Ask about workflows: what may an item of this tenant do next, and why not?
    #[command(after_help = workflow::EXAMPLES)]
    Workflow(workflow::Options),
    /// Compare the answers of two directories of definitions, or of two tenants
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::Options),
    /// List all errors and warnings in definitions
    #[command(after_help = lint::EXAMPLES)]
    Lint(lint::Options),
    /// Rewrite definitions in their normal form
    #[command(after_help = fmt::EXAMPLES)]
    Fmt(fmt::Options),
    /// Write what is defined as source text of a programming language
    #[command(after_help = codegen::EXAMPLES)]
    Codegen(codegen::Options),
    /// Make a root, fleet or slice key
    #[command(after_help = keygen::EXAMPLES)]
    Keygen(keygen::Options),
    /// Let a root key certify a fleet key
    #[command(after_help = certify::EXAMPLES)]
    Certify(certify::Options),
    /// Publish definitions as signed snapshots
    #[command(after_help = build::EXAMPLES)]
    Build(build::Options),
    /// Verify something published, down to its last byte
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::Options),
    /// Show what something published says of itself, without verifying it
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::Options),
    /// List what was published, revision by revision
    #[command(after_help = history::EXAMPLES)]
    History(history::Options),
    /// Cut and sign what one tenant's browser may know
    #[command(after_help = slice::EXAMPLES)]
    Slice(slice::Options),
    /// Sign what was published again, with another key or epoch
    #[command(after_help = rotate::EXAMPLES)]
    Rotate(rotate::Options),
    /// Author, propose and publish in a Postgres database
    #[command(after_help = db::EXAMPLES)]
    Db(db::Options),
    /// Serve HQ: the interface over HTTP, the publisher, and snapshots for engines
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Options),
    /// Verify, sign and export what was done
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::Options),
    /// Write definitions of an invented fleet, for trials and load tests
    #[command(after_help = generate::EXAMPLES)]
    Generate(generate::Options),
    /// Walk through a reference product, with real answers
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Options),
    /// Print a completion script for a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Options),
}

impl Command {
    pub(crate) fn run(&self, context: &Context) -> Result<Report, Failure> {
        match self {
            Self::Check(options) => check::run(options, context),
            Self::Limit(options) => limit::run(options, context),
            Self::Entitlements(options) => entitlements::run(options, context),
            Self::Explain(options) => explain::run(options, context),
            Self::WhatIf(options) => what_if::run(options, context),
            Self::Workflow(options) => workflow::run(options, context),
            Self::Diff(options) => diff::run(options, context),
            Self::Lint(options) => lint::run(options, context),
            Self::Fmt(options) => fmt::run(options, context),
            Self::Codegen(options) => codegen::run(options, context),
            Self::Keygen(options) => keygen::run(options, context),
            Self::Certify(options) => certify::run(options, context),
            Self::Build(options) => build::run(options, context),
            Self::Verify(options) => verify::run(options, context),
            Self::Inspect(options) => inspect::run(options, context),
            Self::History(options) => history::run(options, context),
            Self::Slice(options) => slice::run(options, context),
            Self::Rotate(options) => rotate::run(options, context),
            Self::Db(options) => db::run(options, context),
            Self::Serve(options) => serve::run(options, context),
            Self::Audit(options) => audit::run(options, context),
            Self::Generate(options) => generate::run(options, context),
            Self::Demo(options) => demo::run(options, context),
            Self::Completions(options) => completions::run(options, context),
        }
    }
}

/// Carries out a command line and prints what comes of it.
pub(crate) fn run(line: Vec<OsString>) -> ExitCode {
    let json = line.iter().any(|word| word == "--json");
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(error) => return refuse_line(&error, json),
    };
    let style = Style::detect(cli.options.color);
    let context = Context::new(cli.options, style);
    let exit = match cli.command.run(&context) {
        Ok(report) => report.print(),
        Err(failure) => failure.print(context.json(), context.style.errors()),
    };
    exit.into()
}

/// Help and versions go to standard output as they are; anything else is a failure like others.
fn refuse_line(error: &clap::Error, json: bool) -> ExitCode {
    let wrong = error.use_stderr();
    // Where even this cannot be printed there is nobody left to tell.
    let _ = error.print();
    if wrong && json {
        let text = error.render().to_string();
        let message = match error.kind() {
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
            _ => {
                let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
                lines.join(" ").trim_start_matches("error: ").to_owned()
            }
        };
        print_json(&Failure::usage(message).to_json(), Exit::Usage);
    }
    if wrong { Exit::Usage.into() } else { Exit::Yes.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
