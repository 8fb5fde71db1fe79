//! `leasehold db migrate`: the schema of this build.

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
Applies what is missing, each migration in a transaction of its own. Where one fails, those before it stay. Doing it again does nothing.

Examples:
  leasehold db migrate
  leasehold db migrate --database-url postgresql://postgres@localhost/leasehold";

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
    let (before, after) = options.database.connected(async |connection| {
        let before = schema::state(connection, part).await?;
        schema::migrate(connection, part).await?;
        Ok((before, schema::state(connection, part).await?))
    })?;
    let new = before.iter().zip(&after).filter(|(before, after)| !before.applied && after.applied);
    let new: Vec<&str> = new.map(|(_, after)| after.name).collect();
    if context.json() {
        return Report::json(&json!({ "applied": new, "migrations": listed(&after) }), Exit::Yes);
    }
    let title = match new.len() {
        0 => "the database has every migration already".to_owned(),
        applied => format!("{} applied", words::count(applied, "migration")),
    };
    let title = context.style.paint(Tone::Strong, &title);
    Ok(Report::text(format!("{title}\n{}", table(&after, context.style)), Exit::Yes))
}
