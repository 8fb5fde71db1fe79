//! `leasehold completions`: a completion script for a shell.

use crate::args::Cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Examples:
  leasehold completions bash > ~/.local/share/bash-completion/completions/leasehold
  leasehold completions zsh > ~/.zfunc/_leasehold
  leasehold completions fish > ~/.config/fish/completions/leasehold.fish";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "leasehold", &mut script);
    let script = String::from_utf8(script).map_err(|_| Failure::internal("the script is not text"))?;
    if context.json() {
        return Report::json(&json!({ "shell": options.shell.to_string(), "script": script }), Exit::Yes);
    }
    Ok(Report::text(script, Exit::Yes))
}
