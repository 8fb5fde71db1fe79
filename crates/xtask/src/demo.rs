//! `cargo xtask demo`: builds the command line in the dev profile, which the tests share, and runs its demo.

use std::process::{Command, ExitCode};

use clap::Args;

use crate::{Result, process};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Keep up what the demo starts until you press Ctrl-C. The demo starts nothing that outlives it yet.
    #[arg(long)]
    stay: bool,
}

/// Runs the demo with our standard streams and passes its exit status on.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut command = command();
    let status = command.status().map_err(|error| format!("`{}`: {error}", process::line(&command)))?;
    if options.stay && status.success() {
        println!(
            "\nThank you for staying, but nothing needs to stay up yet: the demo runs in one process, which has ended. \
             `--stay` will keep the server up once the demo has one."
        );
    }
    // A process that a signal ended has no code.
    let code = status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1));
    Ok(ExitCode::from(code))
}

/// The demo as a command; cargo builds it first where needed.
pub(crate) fn command() -> Command {
    process::cargo(["run", "--package", "leasehold-hq", "--bin", "leasehold", "--", "demo"])
}
