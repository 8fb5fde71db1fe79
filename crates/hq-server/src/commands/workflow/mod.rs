//! `leasehold workflow`: tenants' machines, asked, drawn, compared, carried over to other versions and tried on the past.
//!
//! One file per subcommand; `machine` finds the machine that is asked, `given` reads what is known of an item, `blockers`
//! says what stands against a move, and `log` reads logs of moves.

mod blockers;
mod check;
mod compare;
mod draw;
mod given;
mod log;
mod machine;
mod paths;
mod replay;
mod show;
mod strict;
mod transitions;
mod upgrade;

use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;
use leasehold::CategoryKey;
use leasehold::workflow::Layer;

pub(crate) const EXAMPLES: &str = "\
A machine is one tenant's workflow for one service category: the template's version, its override for the category, the tenant's patch, the tenant's patch for the category, with settings filled into its guards.

Examples:
  leasehold workflow show om-muscat-sparkle order -d examples/cleanmatex
  leasehold workflow transitions om-muscat-sparkle order ready --role counter -d examples/cleanmatex
  leasehold workflow draw om-muscat-sparkle order --format mermaid -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show a tenant's machine, and the layer that each part of it comes from
    #[command(after_help = show::EXAMPLES)]
    Show(show::Options),
    /// List what may be done at a stage, and what stands against the rest
    #[command(after_help = transitions::EXAMPLES)]
    Transitions(transitions::Options),
    /// Say whether an item may move from one stage to another: yes or no, and why
    #[command(after_help = check::EXAMPLES)]
    Check(check::Options),
    /// Draw a tenant's machine as a picture
    #[command(after_help = draw::EXAMPLES)]
    Draw(draw::Options),
    /// Say what a version asks of those who use an older one
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Options),
    /// Carry what a tenant changed over to another version
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade(upgrade::Options),
    /// List paths that take every transition, as fixtures for tests
    #[command(after_help = paths::EXAMPLES)]
    Paths(paths::Options),
    /// Say which moves of the past a version would have refused
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::Options),
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    match &options.command {
        Command::Show(options) => show::run(options, context),
        Command::Transitions(options) => transitions::run(options, context),
        Command::Check(options) => check::run(options, context),
        Command::Draw(options) => draw::run(options, context),
        Command::Compare(options) => compare::run(options, context),
        Command::Upgrade(options) => upgrade::run(options, context),
        Command::Paths(options) => paths::run(options, context),
        Command::Replay(options) => replay::run(options, context),
    }
}

/// Who says something about a machine, in words.
fn layer(layer: Layer, category: Option<&CategoryKey>) -> String {
    let category = category.map(|category| format!(", for {category}")).unwrap_or_default();
    match layer {
        Layer::Template => "template".to_owned(),
        Layer::Category => format!("template{category}"),
        Layer::Tenant => "tenant".to_owned(),
        Layer::TenantCategory => format!("tenant{category}"),
    }
}
