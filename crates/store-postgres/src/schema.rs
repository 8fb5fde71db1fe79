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
    7 "0007_hq_access",
};

/// A migration, and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationState {
    /// Its number and name, as `0003_audit`.
    pub name: &'static str,
    /// Whether it is applied.
    pub applied: bool,
}

/// Where applied migrations are kept, as `sqlx migrate` has it.
const BOOK: &str = "_sqlx_migrations";
/// Where the ledger's are kept in an app's own database: the numbers in `_sqlx_migrations` are the app's there.
const LEDGER_BOOK: &str = "leasehold.ledger_migrations";

fn migrator(part: Part, book: &'static str) -> Migrator {
    let steps = STEPS.iter().filter(|step| part == Part::Hq || step.in_ledger);
    let migrations = steps.flat_map(|step| {
        // As `sqlx migrate` has it from the name of the file.
        let name = step.name.split_once('_').map_or(step.name, |(_, name)| name).replace('_', " ");
        [(MigrationType::ReversibleUp, step.up), (MigrationType::ReversibleDown, step.down)]
            .map(|(kind, sql)| Migration::new(step.number, name.clone().into(), kind, sql.into_sql_str(), false))
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(book);
    if book == LEDGER_BOOK {
        migrator.create_schema("leasehold");
    }
    // The ledger's may stand among HQ's.
    migrator.set_ignore_missing(part == Part::Ledger && book == BOOK);
    // Whoever calls it has the lock.
    migrator.set_locking(false);
    migrator
}

/// Where the applied migrations of a part are kept. The ledger's are among HQ's where HQ is: it has the ledger too.
async fn book(connection: &mut PgConnection, part: Part) -> Result<&'static str, Error> {
    if part == Part::Hq {
        return Ok(BOOK);
    }
    let hq_is_there = exists(connection, "leasehold.sys_definition_files").await?;
    // Where HQ came later, and not to its end, the ledger is not among its migrations yet.
    let has_its_own = exists(connection, LEDGER_BOOK).await? && !applied(connection, LEDGER_BOOK).await?.is_empty();
    Ok(if hq_is_there && !has_its_own { BOOK } else { LEDGER_BOOK })
}

/// Applies the migrations that a database lacks, each in a transaction of its own. Several at once wait for each other.
///
/// # Errors
/// [`Error::Migration`] where one fails: those before it are applied, it and those after it are not.
/// [`Error::ServerTooOld`], [`Error::SchemaAhead`], [`Error::SchemaAltered`] before anything is applied.
pub async fn migrate(connection: &mut PgConnection, part: Part) -> Result<(), Error> {
    require_server(connection).await?;
    connection.lock().await.map_err(refused)?;
    let done = migrate_alone(connection, part).await;
    unlocked(connection, done).await
}

async fn migrate_alone(connection: &mut PgConnection, part: Part) -> Result<(), Error> {
    state(connection, part).await?;
    let migrator = migrator(part, book(connection, part).await?);
    if part == Part::Hq && exists(connection, LEDGER_BOOK).await? {
        // Up to the ledger, which was there first; if one of these fails, it is as it was.
        let first = STEPS.iter().find(|step| step.in_ledger).map(|step| step.number - 1);
        migrator.run_direct(first, connection, false).await.map_err(refused)?;
        take_over_ledger(connection).await?;
    }
    migrator.run_direct(None, connection, false).await.map_err(refused)
}

/// Makes what is applied of the ledger a part of what is applied of HQ.
async fn take_over_ledger(connection: &mut PgConnection) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("INSERT INTO _sqlx_migrations SELECT * FROM leasehold.ledger_migrations")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("DROP TABLE leasehold.ledger_migrations").execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// Undoes migrations down to, and without, this number; 0 undoes all of them.
///
/// # Errors
/// [`Error::Migration`] where one fails: it is not undone, nor are those before it. [`Error::ServerTooOld`].
pub async fn undo(connection: &mut PgConnection, part: Part, target: i64) -> Result<(), Error> {
    require_server(connection).await?;
    connection.lock().await.map_err(refused)?;
    let done = undo_alone(connection, part, target).await;
    unlocked(connection, done).await
}

async fn undo_alone(connection: &mut PgConnection, part: Part, target: i64) -> Result<(), Error> {
    let book = book(connection, part).await?;
    if !exists(connection, book).await? {
        return Ok(());
    }
    migrator(part, book).undo(&mut *connection, target).await.map_err(refused)?;
    if book == LEDGER_BOOK && applied(connection, book).await?.is_empty() {
        sqlx::query("DROP TABLE leasehold.ledger_migrations").execute(connection).await?;
    }
    Ok(())
}

/// Lets others migrate, after a failure too: the lock belongs to the connection, which may live on in a pool.
async fn unlocked(connection: &mut PgConnection, done: Result<(), Error>) -> Result<(), Error> {
    // Where the connection is lost, the lock is gone with it.
    let unlocked = connection.unlock().await.map_err(refused);
    done.and(unlocked)
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
    let book = book(connection, part).await?;
    let applied = applied(connection, book).await?;
    let known: BTreeMap<i64, &Step> = STEPS.iter().map(|step| (step.number, step)).collect();
    let unknown: Vec<String> =
        applied.keys().filter(|number| !known.contains_key(number)).map(ToString::to_string).collect();
    // Among HQ's, those that are unknown may not be the ledger's.
    if !unknown.is_empty() && (part == Part::Hq || book == LEDGER_BOOK) {
        return Err(Error::SchemaAhead { unknown });
    }
    let mut states = Vec::new();
    for migration in migrator(part, book).iter().filter(|migration| migration.migration_type.is_up_migration()) {
        let Some(step) = known.get(&migration.version) else { continue };
        let found = applied.get(&migration.version);
        if found.is_some_and(|found| *found.checksum != *migration.checksum) {
            return Err(Error::SchemaAltered { migration: step.name.to_owned() });
        }
        states.push(MigrationState { name: step.name, applied: found.is_some() });
    }
    Ok(states)
}

/// Refuses a database whose schema is not that of this build. What connects asks this first: HQ, the ledger, whoever follows.
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

async fn exists(connection: &mut PgConnection, table: &str) -> Result<bool, Error> {
    Ok(sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table).fetch_one(connection).await?)
}

async fn applied(connection: &mut PgConnection, book: &str) -> Result<BTreeMap<i64, AppliedMigration>, Error> {
    if !exists(connection, book).await? {
        return Ok(BTreeMap::new());
    }
    let applied = connection.list_applied_migrations(book).await.map_err(refused)?;
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

/// All migrations as one text: what tells one schema from another.
#[must_use]
pub fn text() -> String {
    STEPS.iter().map(|step| step.up).collect()
}
