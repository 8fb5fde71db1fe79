//! `leasehold audit`: whether what was done is still told as it was written. One file per subcommand.

mod checkpoint;
mod export;
mod verify;

use crate::args::no_instant;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::words;
use clap::Args;
use leasehold::TenantId;
use leasehold_postgres::audit::{self, Scope};

pub(crate) const EXAMPLES: &str = "\
Every tenant has a chain of entries, and HQ has one of its own. An entry's hash covers the entry before it: what is altered, removed, inserted or moved is found by the chain alone. That the end was cut off, or all of it written anew, is found against a checkpoint that was kept elsewhere.

Examples:
  leasehold audit verify
  leasehold audit checkpoint --fleet fleet.key --certificate fleet.cert \\
      --trust trust.json --out today.checkpoint
  leasehold audit export --out audit.jsonl
  leasehold audit verify audit.jsonl --checkpoint today.checkpoint --trust trust.json";

/// How many problems a page lists.
const LISTED: usize = 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Verify chains, in the database or in a file
    #[command(after_help = verify::EXAMPLES, arg = no_instant())]
    Verify(verify::Options),
    /// Sign where the chains end, once they are verified
    #[command(after_help = checkpoint::EXAMPLES)]
    Checkpoint(checkpoint::Options),
    /// Write chains to a file that can be verified without the database
    #[command(after_help = export::EXAMPLES, arg = no_instant())]
    Export(export::Options),
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    if !matches!(options.command, Command::Checkpoint(_)) {
        context.refuse_instant("`checkpoint` signs at an instant; chains are as they are now")?;
    }
    match &options.command {
        Command::Verify(options) => verify::run(options, context),
        Command::Checkpoint(options) => checkpoint::run(options, context),
        Command::Export(options) => export::run(options, context),
    }
}

/// Which chains.
#[derive(Debug, Clone, Args)]
struct Chains {
    /// The chain of this tenant alone
    #[arg(long, value_name = "ID", conflicts_with = "hq")]
    tenant: Option<TenantId>,
    /// HQ's own chain alone
    #[arg(long)]
    hq: bool,
}

impl Chains {
    fn scope(&self) -> Scope {
        match &self.tenant {
            Some(tenant) => Scope::One(Some(tenant.clone())),
            None if self.hq => Scope::One(None),
            None => Scope::All,
        }
    }

    /// Refuses where the chain that was asked for is not among those that were found: it may be another's name.
    fn must_be_found(&self, chains: u64) -> Result<(), Failure> {
        match &self.tenant {
            Some(tenant) if chains == 0 => {
                let (what, key) = ("audit chain", tenant.to_string());
                Err(leasehold_postgres::Error::NotFound { what, key }.into())
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong, as a table; nothing where nothing is.
fn problems(report: &audit::Report, style: Style) -> String {
    if report.problems.is_empty() {
        return String::new();
    }
    let mut grid = Grid::new(style, &["CHAIN", "ENTRY", "CODE", "WHAT"]);
    for problem in report.problems.iter().take(LISTED) {
        let chain = if problem.tenant.is_empty() { "(HQ)" } else { &problem.tenant };
        grid.toned([
            (Tone::Plain, words::printable(chain)),
            (Tone::Plain, problem.seq.to_string()),
            (Tone::Bad, problem.code.to_string()),
            (Tone::Plain, problem.message.clone()),
        ]);
    }
    let mut text = grid.render(&[1]);
    let listed = report.problems.len().min(LISTED) as u64;
    if let Some(more) = report.found.checked_sub(listed).filter(|more| *more > 0) {
        let more = words::count(usize::try_from(more).unwrap_or(usize::MAX), "more problem");
        text.push_str(&format!("  … and {more}: --json lists them\n"));
    }
    text
}

/// How much was looked at.
fn extent(report: &audit::Report) -> String {
    let chains = words::count(usize::try_from(report.chains).unwrap_or(usize::MAX), "chain");
    let entries = if report.entries == 1 { "entry" } else { "entries" };
    format!("{chains}, {} {entries}", words::number(report.entries))
}
