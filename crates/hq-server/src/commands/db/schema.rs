//! `leasehold db migrate`, `status`, `undo`.

use super::Database;
use crate::context::Context;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::table::Grid;
use crate::words;
use leasehold_postgres::schema::{self, MigrationState, Part};
use serde_json::json;
use sqlx::{Connection, PgConnection};

/// Which part of the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum PartArg {
    /// All of it
    #[default]
    Hq,
    /// The usage ledger alone, for an app's own database
    Ledger,
}

impl From<PartArg> for Part {
    fn from(part: PartArg) -> Self {
        match part {
            PartArg::Hq => Self::Hq,
            PartArg::Ledger => Self::Ledger,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Migrate {
    /// Which part of the schema
    #[arg(long, value_enum, default_value_t)]
    part: PartArg,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Which part of the schema
    #[arg(long, value_enum, default_value_t)]
    part: PartArg,
    #[command(flatten)]
    database: Database,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Undo {
    /// Undo every migration after this number; 0 undoes all of them
    #[arg(long, value_name = "NUMBER")]
    to: i64,
    /// Which part of the schema
    #[arg(long, value_enum, default_value_t)]
    part: PartArg,
    /// Lose what is in their tables
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    database: Database,
}

pub(super) async fn migrate(options: &Migrate, context: &Context) -> Result<Report, Failure> {
    let mut connection = connect(&options.database).await?;
    let part = options.part.into();
    let before = schema::state(&mut connection, part).await?;
    schema::migrate(&mut connection, part).await?;
    let missing = before.iter().filter(|state| !state.applied).map(|state| state.name);
    let applied: Vec<&str> = missing.collect();
    if context.json() {
        return Report::json(&json!({ "applied": applied }), Exit::Yes);
    }
    let text = match &*applied {
        [] => "nothing to apply: the database has every migration\n".to_owned(),
        applied => format!("applied {}: {}\n", words::count(applied.len(), "migration"), applied.join(", ")),
    };
    Ok(Report::text(text, Exit::Yes))
}

pub(super) async fn status(options: &Status, context: &Context) -> Result<Report, Failure> {
    let mut connection = connect(&options.database).await?;
    listed(&schema::state(&mut connection, options.part.into()).await?, context)
}

pub(super) async fn undo(options: &Undo, context: &Context) -> Result<Report, Failure> {
    let mut connection = connect(&options.database).await?;
    let part = options.part.into();
    if !options.yes {
        let failure = Failure::usage("undoing migrations removes their tables, and everything in them");
        return Err(failure.hint("say --yes if that is what you want; a backup brings it back, nothing else does"));
    }
    schema::undo(&mut connection, part, options.to).await?;
    listed(&schema::state(&mut connection, part).await?, context)
}

fn listed(states: &[MigrationState], context: &Context) -> Result<Report, Failure> {
    let exit = Exit::yes_if(states.iter().all(|state| state.applied));
    if context.json() {
        let states: Vec<_> = states.iter().map(|it| json!({ "name": it.name, "applied": it.applied })).collect();
        return Report::json(&json!({ "migrations": states }), exit);
    }
    let mut grid = Grid::new(context.style, &["MIGRATION", "STATE"]);
    for state in states {
        grid.row([state.name, if state.applied { "applied" } else { "missing" }]);
    }
    Ok(Report::text(grid.render(&[]), exit))
}

async fn connect(database: &Database) -> Result<PgConnection, Failure> {
    let connection = PgConnection::connect_with(&database.options()?).await;
    Ok(connection.map_err(leasehold_postgres::Error::from)?)
}
