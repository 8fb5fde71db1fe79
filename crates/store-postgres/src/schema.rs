//! The schema: numbered migrations, each with its way back.
//!
//! They are plain files in `migrations/`, which `sqlx migrate run` applies too. The usage ledger's are a part of them: it
//! can be installed without the rest.

use crate::Error;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, SqlSafeStr};
use std::collections::BTreeMap;

/// The oldest major version of Postgres that the schema works on.
pub const OLDEST_SERVER: u32 = 15;

/// Which part of the schema is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: what HQ needs.
    Hq,
    /// The usage ledger alone.
    Ledger,
}

struct Step {
    number: i64,
    name: &'static str,
    up: &'static str,
    down: &'static str,
    in_ledger: bool,
}

macro_rules! steps {
    ($($number:literal $file:literal $(in $ledger:ident)?),* $(,)?) => {
        &[$(Step {
            number: $number,
            name: $file,
            up: include_str!(concat!("../migrations/", $file, ".up.sql")),
            down: include_str!(concat!("../migrations/", $file, ".down.sql")),
            in_ledger: !<[&str]>::is_empty(&[$(stringify!($ledger))?]),
        }),*]
    };
}

const STEPS: &[Step] = steps! {
    1 "0001_saas_core",
    2 "0002_sys_catalogs",
    3 "0003_audit",
    4 "0004_snapshots",
    5 "0005_usage_ledger" in ledger,
    6 "0006_workflow_items",
};

/// A migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Its number and name, as `0003_audit`.
    pub name: &'static str,
    /// Whether it is applied.
    pub applied: bool,
}

fn migrator(part: Part) -> Migrator {
    let steps = STEPS.iter().filter(|step| part == Part::Hq || step.in_ledger);
    let migrations = steps.flat_map(|step| {
        // As `sqlx migrate` has it from the name of the file.
        let name = step.name.split_once('_').map_or(step.name, |(_, name)| name).replace('_', " ");
        [(MigrationType::ReversibleUp, step.up), (MigrationType::ReversibleDown, step.down)]
            .map(|(kind, sql)| Migration::new(step.number, name.clone().into(), kind, sql.into_sql_str(), false))
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // The ledger may stand beside HQ's tables, or without them.
    migrator.set_ignore_missing(part == Part::Ledger);
    migrator
}

/// Applies the migrations that a database lacks, each in a transaction of its own. Several at once wait for each other.
///
/// # Errors
/// [`Error::Migration`] where one fails: those before it are applied, it and those after it are not.
/// [`Error::ServerTooOld`], [`Error::SchemaAhead`], [`Error::SchemaAltered`] before anything is applied.
pub async fn migrate(connection: &mut PgConnection, part: Part) -> Result<(), Error> {
    require_server(connection).await?;
    let done = migrator(part).run_direct(None, connection, false).await;
    finished(connection, done).await
}

/// Undoes migrations down to, and without, this number; 0 undoes all of them.
///
/// # Errors
/// [`Error::Migration`] where one fails: it is not undone, nor are those before it. [`Error::ServerTooOld`].
pub async fn undo(connection: &mut PgConnection, part: Part, target: i64) -> Result<(), Error> {
    require_server(connection).await?;
    let done = migrator(part).undo(&mut *connection, target).await;
    finished(connection, done).await
}

/// Lets others migrate after a failure too: the lock belongs to the connection, which may live on in a pool.
async fn finished(connection: &mut PgConnection, done: Result<(), MigrateError>) -> Result<(), Error> {
    if done.is_err() {
        // Where the connection is lost, the lock is gone with it.
        let _ = connection.unlock().await;
    }
    done.map_err(refused)
}

async fn require_server(connection: &mut PgConnection) -> Result<(), Error> {
    let number: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::integer").fetch_one(connection).await?;
    let found = u32::try_from(number / 10_000).unwrap_or_default();
    if found < OLDEST_SERVER { Err(Error::ServerTooOld { found, oldest: OLDEST_SERVER }) } else { Ok(()) }
}

/// Every migration of this build, and whether the database has it.
///
/// # Errors
/// [`Error::ServerTooOld`], [`Error::SchemaAhead`], [`Error::SchemaAltered`].
pub async fn state(connection: &mut PgConnection, part: Part) -> Result<Vec<MigrationState>, Error> {
    require_server(connection).await?;
    let migrator = migrator(part);
    let applied = applied(connection, &migrator).await?;
    let known: BTreeMap<i64, &Step> = STEPS.iter().map(|step| (step.number, step)).collect();
    let unknown: Vec<String> =
        applied.keys().filter(|number| !known.contains_key(number)).map(ToString::to_string).collect();
    if !unknown.is_empty() && part == Part::Hq {
        return Err(Error::SchemaAhead { unknown });
    }
    let mut states = Vec::new();
    for migration in migrator.iter().filter(|migration| migration.migration_type.is_up_migration()) {
        let Some(step) = known.get(&migration.version) else { continue };
        let found = applied.get(&migration.version);
        if found.is_some_and(|found| *found.checksum != *migration.checksum) {
            return Err(Error::SchemaAltered { migration: step.name.to_owned() });
        }
        states.push(MigrationState { name: step.name, applied: found.is_some() });
    }
    Ok(states)
}

/// Refuses a database whose schema is not that of this build. Everything that works on a database asks this first.
///
/// # Errors
/// [`Error::SchemaBehind`] with the migrations that are missing, [`Error::SchemaAhead`], [`Error::SchemaAltered`],
/// [`Error::ServerTooOld`].
pub async fn check(connection: &mut PgConnection, part: Part) -> Result<(), Error> {
    let states = state(connection, part).await?;
    let missing: Vec<String> =
        states.iter().filter(|state| !state.applied).map(|state| state.name.to_owned()).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::SchemaBehind { missing }) }
}

async fn applied(connection: &mut PgConnection, migrator: &Migrator) -> Result<BTreeMap<i64, AppliedMigration>, Error> {
    let table = &migrator.table_name;
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&**table).fetch_one(&mut *connection).await?;
    if !is_there {
        return Ok(BTreeMap::new());
    }
    let applied = connection.list_applied_migrations(table).await.map_err(refused)?;
    Ok(applied.into_iter().map(|migration| (migration.version, migration)).collect())
}

fn refused(error: MigrateError) -> Error {
    let name = |number: i64| {
        let step = STEPS.iter().find(|step| step.number == number);
        step.map_or_else(|| number.to_string(), |step| step.name.to_owned())
    };
    match error {
        MigrateError::VersionMissing(number) => Error::SchemaAhead { unknown: vec![number.to_string()] },
        MigrateError::VersionMismatch(number) => Error::SchemaAltered { migration: name(number) },
        MigrateError::Execute(error) => Error::from(error),
        error => Error::Migration(Box::new(error)),
    }
}

/// Connects and checks the schema.
///
/// # Errors
/// [`Error::Unreachable`], and those of [`check`].
pub async fn connect_checked(url: &str, part: Part) -> Result<PgConnection, Error> {
    let mut connection = PgConnection::connect(url).await?;
    check(&mut connection, part).await?;
    Ok(connection)
}

/// All migrations as one text: what tells one schema from another.
#[must_use]
pub fn text() -> String {
    STEPS.iter().map(|step| step.up).collect()
}
