//! `leasehold db status`: which migrations a database has.

use super::{listed, table};
use crate::context::Context;
use crate::database::{Database, PartArg};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::words;
use leasehold_postgres::schema;
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Exits with 1 where the database lacks a migration. One that this build does not know, or that was applied with another text, is an error.

Examples:
  leasehold db status
  leasehold db status --json";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which part of the schema
    #[arg(long, value_enum, default_value_t)]
    part: PartArg,
    #[command(flatten)]
    database: Database,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let part = options.part.into();
    let states = options.database.connected(async |connection| Ok(schema::state(connection, part).await?))?;
    let missing = states.iter().filter(|state| !state.applied).count();
    let exit = Exit::yes_if(missing == 0);
    if context.json() {
        return Report::json(&json!({ "current": missing == 0, "migrations": listed(&states) }), exit);
    }
    let (tone, title) = match missing {
        0 => (Tone::Good, "the database has every migration".to_owned()),
        missing => (Tone::Notice, format!("the database lacks {}", words::count(missing, "migration"))),
    };
    Ok(Report::text(format!("{}\n{}", context.style.paint(tone, &title), table(&states, context.style)), exit))
}
