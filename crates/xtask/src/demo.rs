//! `cargo xtask demo`: builds the command line in the dev profile, which the tests share, and runs its demos.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::suites::Outcome;
use crate::tool::Tool;
use crate::{Result, process, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Keep HQ up until you press Ctrl-C, with its address, tokens and commands to try.
    #[arg(long)]
    stay: bool,
}

/// Runs the demos with our standard streams, and passes their exit status on: that of the engine, then that of HQ.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    Tool::Postgres.ensure()?;
    for mut command in [command(), of_hq(options.stay)] {
        let status = command.status().map_err(|error| format!("`{}`: {error}", process::line(&command)))?;
        if !status.success() {
            // A process that a signal ended has no code.
            let code = status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1));
            return Ok(ExitCode::from(code));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The engine's demo as a command; cargo builds it first where needed.
fn command() -> Command {
    process::cargo(["run", "--package", "leasehold-hq", "--bin", "leasehold", "--", "demo"])
}

/// Runs the demos of the program that the tests have built, and says nothing where they end well.
pub(crate) fn check() -> Result<Outcome> {
    let program = workspace::build(&[])?.join("leasehold");
    for words in [&["demo"][..], &["demo", "--hq"]] {
        process::run_quietly(Command::new(&program).args(words))?;
    }
    Ok(Outcome::Passed)
}

/// HQ's.
fn of_hq(stay: bool) -> Command {
    let mut command = command();
    command.arg("--hq").args(stay.then_some("--stay"));
    command
}
