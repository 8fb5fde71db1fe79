//! `leasehold db undo`: back to an older schema.

use super::{listed, table};
use crate::context::Context;
use crate::database::{Database, PartArg};
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::words;
use leasehold_postgres::schema::{self, MigrationState};
use serde_json::json;

pub(crate) const EXAMPLES: &str = "\
Tables of what is undone go, with every row in them: make a backup first. Without --yes it says what would be undone, and does nothing.

Examples:
  leasehold db undo --to 3
  leasehold db undo --to 3 --yes
  leasehold db undo --to 0 --yes";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Number of the last migration that stays; 0 for none
    #[arg(long, value_name = "N")]
    to: i64,
    /// Do it
    #[arg(long)]
    yes: bool,
    /// Which part of the schema
    #[arg(long, value_enum, default_value_t)]
    part: PartArg,
    #[command(flatten)]
    database: Database,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let part = options.part.into();
    let (undone, after) = options.database.connected(async |connection| {
        let before = schema::state(connection, part).await?;
        let number = |state: &MigrationState| state.name.split('_').next().and_then(|number| number.parse().ok());
        if options.to != 0 && !before.iter().any(|state| number(state) == Some(options.to)) {
            return Err(Failure::usage(format!("there is no migration {}", options.to))
                .hint("`leasehold db status` lists them"));
        }
        let undone = before.iter().filter(|state| state.applied && number(state) > Some(options.to));
        let undone: Vec<&'static str> = undone.map(|state| state.name).collect();
        if !options.yes && !undone.is_empty() {
            return Err(Failure::confirmation_required(format!(
                "this would undo {}, with every row of {} tables",
                undone.join(", "),
                if undone.len() == 1 { "its" } else { "their" }
            ))
            .hint("make a backup, then add --yes"));
        }
        if !undone.is_empty() {
            schema::undo(connection, part, options.to).await?;
        }
        Ok((undone, schema::state(connection, part).await?))
    })?;
    if context.json() {
        return Report::json(&json!({ "undone": undone, "migrations": listed(&after) }), Exit::Yes);
    }
    let title = match undone.len() {
        0 => "there is nothing to undo".to_owned(),
        undone => format!("{} undone", words::count(undone, "migration")),
    };
    let title = context.style.paint(Tone::Strong, &title);
    Ok(Report::text(format!("{title}\n{}", table(&after, context.style)), Exit::Yes))
}
