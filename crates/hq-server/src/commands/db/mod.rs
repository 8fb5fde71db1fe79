//! `leasehold db`: HQ's memory in Postgres, from the command line.

mod definitions;
mod proposals;
mod publish;
mod schema;

use crate::context::Context;
use crate::failure::Failure;
use crate::report::Report;
use crate::trust::{TrustFile, Trusted};
use leasehold::Timestamp;
use leasehold_postgres::hq::{Actor, Hq};
use leasehold_postgres::publish::Archive;
use std::future::Future;
use std::path::PathBuf;

pub(crate) const EXAMPLES: &str = "\
Works on the database that --database-url names, or DATABASE_URL. `migrate` and `undo` need a role that may create schemas and roles; everything else one that has the role leasehold_hq. docs/postgres.md is the guide.

Examples:
  leasehold db migrate
  leasehold db import -d examples/cleanmatex
  leasehold db propose \"First definitions\"
  leasehold db approve 1 --binding HASH --by ben
  leasehold db publish 1 --fleet fleet.key --certificate fleet.cert --trust trust.json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Apply the migrations that the database lacks
    Migrate(schema::Migrate),
    /// List migrations, and which of them the database has
    Status(schema::Status),
    /// Undo migrations, and lose what is in their tables
    Undo(schema::Undo),
    /// Take a directory of definitions, all of it or nothing
    Import(definitions::Import),
    /// Write what is authored as a directory of definitions
    Export(definitions::Export),
    /// Propose what is authored now in place of the definitions in force
    Propose(proposals::Propose),
    /// List proposals, or show one with what tenants gain and lose by it
    Proposals(proposals::List),
    /// Approve a proposal that somebody else has made
    Approve(proposals::Approve),
    /// Turn a proposal down
    Reject(proposals::Reject),
    /// Publish an approved proposal, and tenants that changed
    Publish(publish::Publish),
    /// Put the definitions of an earlier revision in force again, under a new one
    Rollback(publish::Rollback),
    /// Show what a tenant had at an instant, as it was known at another
    Recall(publish::Recall),
    /// Forget heads and contents that are older than the history
    Collect(publish::Collect),
}

/// Which database.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct Database {
    /// Where the database is, as postgresql://user:password@host/database
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
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

impl Database {
    fn options(&self) -> Result<sqlx::postgres::PgConnectOptions, Failure> {
        let wrong = |error| Failure::usage(format!("the database's URL cannot be read: {error}"));
        self.database_url.parse().map_err(wrong)
    }

    async fn hq(&self) -> Result<Hq, Failure> {
        Ok(Hq::connect(self.options()?).await?)
    }
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    match &options.command {
        Command::Migrate(options) => wait(schema::migrate(options, context)),
        Command::Status(options) => wait(schema::status(options, context)),
        Command::Undo(options) => wait(schema::undo(options, context)),
        Command::Import(options) => wait(definitions::import(options, context)),
        Command::Export(options) => wait(definitions::export(options, context)),
        Command::Propose(options) => wait(proposals::propose(options, context)),
        Command::Proposals(options) => wait(proposals::list(options, context)),
        Command::Approve(options) => wait(proposals::approve(options, context)),
        Command::Reject(options) => wait(proposals::reject(options, context)),
        Command::Publish(options) => wait(publish::publish(options, context)),
        Command::Rollback(options) => wait(publish::rollback(options, context)),
        Command::Recall(options) => wait(publish::recall(options, context)),
        Command::Collect(options) => wait(publish::collect(options, context)),
    }
}

/// Does something that waits for a database.
pub(crate) fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::internal(error.to_string()))?.block_on(work)
}

/// The instant that was asked about, or now.
fn at(context: &Context) -> Timestamp {
    context.now
}
