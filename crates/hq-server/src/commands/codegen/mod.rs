//! `leasehold codegen`: source text made from definitions, for the languages that engines are embedded in.

mod ts;

use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;

pub(crate) const EXAMPLES: &str = "\
A key that is mistyped in a program is found when it is compiled, not when it is asked.

Examples:
  leasehold codegen ts -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write the keys of features and workflows as TypeScript
    #[command(after_help = ts::EXAMPLES)]
    Ts(ts::Options),
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    match &options.command {
        Command::Ts(options) => ts::run(options, context),
    }
}
