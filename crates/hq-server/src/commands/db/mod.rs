//! `leasehold db`: HQ's memory in Postgres, from the command line.

mod definitions;
mod migrate;
mod proposals;
mod publish;
mod records;
mod staff;
mod status;
mod tenant;
mod undo;
mod waiting;

use crate::args::no_instant;
use crate::context::Context;
use crate::database::{Database, wait};
use crate::failure::Failure;
use crate::report::Report;
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::trust::{TrustFile, Trusted};
use leasehold_postgres::hq::Actor;
use leasehold_postgres::publish::Archive;
use leasehold_postgres::schema::MigrationState;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Works on the database that --database-url names, or DATABASE_URL. `migrate` and `undo` need a role that may create schemas and roles; everything else one that has the role leasehold_hq. docs/postgres.md is the guide.

Examples:
  leasehold db migrate
  leasehold db import -d examples/cleanmatex --by ada
  leasehold db propose \"First definitions\" --trust trust.json --by ada
  leasehold db approve 1 --binding HASH --by ben
  leasehold db publish 1 --fleet fleet.key --certificate fleet.cert --trust trust.json
  leasehold db kill delivery --id k-2026-1 --reason \"wrong fees\" --by ada";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Bring the database to the schema of this build
    #[command(after_help = migrate::EXAMPLES, arg = no_instant())]
    Migrate(migrate::Options),
    /// List migrations, and whether the database has them
    #[command(after_help = status::EXAMPLES, arg = no_instant())]
    Status(status::Options),
    /// Undo migrations, with what their tables hold
    #[command(after_help = undo::EXAMPLES, arg = no_instant())]
    Undo(undo::Options),
    /// Take a directory of definitions, all of it or nothing
    #[command(after_help = definitions::IMPORT, arg = no_instant())]
    Import(definitions::Import),
    /// Write what is authored as a directory of definitions
    #[command(after_help = definitions::EXPORT, arg = no_instant())]
    Export(definitions::Export),
    /// Change one thing about a tenant
    #[command(after_help = tenant::EXAMPLES, arg = no_instant())]
    Tenant(tenant::Options),
    /// Lay a kill switch: a feature is off for everybody, without a proposal
    #[command(after_help = records::KILL)]
    Kill(records::Kill),
    /// Retire a plan or add-on: nobody gets it any more
    #[command(after_help = records::RETIRE, arg = no_instant())]
    Retire(records::Retire),
    /// Remove a record that nothing names; of a kill switch, the first step to lift it
    #[command(after_help = records::REMOVE, arg = no_instant())]
    Remove(records::Remove),
    /// Propose what is authored now in place of the definitions in force
    #[command(after_help = proposals::PROPOSE, arg = no_instant())]
    Propose(proposals::Propose),
    /// List proposals, or show one with what tenants gain and lose by it
    #[command(after_help = proposals::LIST, arg = no_instant())]
    Proposals(proposals::List),
    /// Approve a proposal that somebody else has made
    #[command(after_help = proposals::APPROVE, arg = no_instant())]
    Approve(proposals::Approve),
    /// Turn a proposal down
    #[command(after_help = proposals::REJECT, arg = no_instant())]
    Reject(proposals::Reject),
    /// Publish an approved proposal, and tenants that changed
    #[command(after_help = publish::PUBLISH, arg = no_instant())]
    Publish(publish::Publish),
    /// Put the definitions of an earlier revision in force again, under a new one
    #[command(after_help = publish::ROLLBACK, arg = no_instant())]
    Rollback(publish::Rollback),
    /// Say by which machines SQL users move items: those that are in force
    #[command(after_help = publish::MACHINES, arg = no_instant())]
    Machines(publish::Machines),
    /// Show what a tenant had at an instant, as it was known at another
    #[command(after_help = publish::RECALL)]
    Recall(publish::Recall),
    /// Forget heads and contents that are older than the history
    #[command(after_help = publish::COLLECT, arg = no_instant())]
    Collect(publish::Collect),
    /// Say who works at HQ, and replace passwords that were lost
    #[command(after_help = staff::EXAMPLES, arg = no_instant())]
    Staff(staff::Options),
}

/// Who does something, as the audit log names them.
#[derive(Debug, clap::Args)]
pub(crate) struct By {
    /// Who does it, as the audit log names them; without it, the user of this machine
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "unknown")]
    by: String,
}

/// Whom to believe that what was published is theirs.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Trust")]
pub(crate) struct TrustedArchive {
    /// Whom to believe: a JSON file with issuer, environment and root keys
    #[arg(long, value_name = "FILE", env = "LEASEHOLD_TRUST", hide_env_values = true)]
    trust: PathBuf,
}

impl TrustedArchive {
    async fn of(&self, database: &Database) -> Result<Archive, Failure> {
        let trusted = Trusted { trust: Some(self.trust.clone()), stream: None };
        let file = TrustFile::named(&trusted, &self.trust)?;
        Ok(Archive::new(database.hq().await?, file.any().clone()))
    }
}

impl By {
    fn actor(&self) -> Actor {
        Actor::new(&self.by)
    }
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    // What is authored and published has the time at which that is done, which nobody chooses.
    if !matches!(options.command, Command::Recall(_) | Command::Kill(_)) {
        context
            .refuse_instant("`recall` asks about an instant, and `kill` begins at one; nothing else of `db` does")?;
    }
    match &options.command {
        Command::Migrate(options) => migrate::run(options, context),
        Command::Status(options) => status::run(options, context),
        Command::Undo(options) => undo::run(options, context),
        Command::Import(options) => wait(definitions::import(options, context)),
        Command::Export(options) => wait(definitions::export(options, context)),
        Command::Tenant(options) => wait(tenant::run(options, context)),
        Command::Kill(options) => wait(records::kill(options, context)),
        Command::Retire(options) => wait(records::retire(options, context)),
        Command::Remove(options) => wait(records::remove(options, context)),
        Command::Propose(options) => wait(proposals::propose(options, context)),
        Command::Proposals(options) => wait(proposals::list(options, context)),
        Command::Approve(options) => wait(proposals::approve(options, context)),
        Command::Reject(options) => wait(proposals::reject(options, context)),
        Command::Publish(options) => wait(publish::publish(options, context)),
        Command::Rollback(options) => wait(publish::rollback(options, context)),
        Command::Machines(options) => wait(publish::machines(options, context)),
        Command::Recall(options) => wait(publish::recall(options, context)),
        Command::Collect(options) => wait(publish::collect(options, context)),
        Command::Staff(options) => wait(staff::run(options, context)),
    }
}

/// What makes definitions that were authored come in force.
fn next_proposal() -> &'static str {
    "what is in force changes by an approved proposal: `leasehold db propose TITLE --trust FILE`\n"
}

/// Migrations, as a table.
fn table(states: &[MigrationState], style: Style) -> String {
    let mut grid = Grid::new(style, &["MIGRATION", "APPLIED"]);
    for state in states {
        let (tone, applied) = if state.applied { (Tone::Good, "yes") } else { (Tone::Notice, "no") };
        grid.toned([(Tone::Plain, state.name), (tone, applied)]);
    }
    grid.render(&[])
}

/// Migrations, as JSON.
fn listed(states: &[MigrationState]) -> Vec<Value> {
    states.iter().map(|state| json!({ "name": state.name, "applied": state.applied })).collect()
}
