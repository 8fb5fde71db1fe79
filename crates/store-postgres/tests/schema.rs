//! Migrations: there and back, from nothing and from what was there before.

use crate::support;
use leasehold::Source;
use leasehold_postgres::PostgresSource;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::schema::{self, Part};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, SqlSafeStr};
use std::collections::BTreeSet;
use std::path::Path;

/// Everything that the catalog says about the schema, a line each: what does not depend on when things were made.
const DUMP: &str = "
    WITH ours AS (SELECT oid FROM pg_namespace WHERE nspname = 'leasehold'),
    extension AS (SELECT objid FROM pg_depend WHERE deptype = 'e'),
    relation AS (SELECT c.* FROM pg_class c JOIN ours ON ours.oid = c.relnamespace
        WHERE c.oid NOT IN (SELECT objid FROM extension))
    SELECT line FROM (
    SELECT concat_ws(' ', 'schema', nspname, nspowner::regrole, (SELECT string_agg(a::text, ',' ORDER BY a::text)
        FROM unnest(nspacl) a), obj_description(n.oid, 'pg_namespace')) FROM pg_namespace n JOIN ours USING (oid)
    UNION ALL
    SELECT concat_ws(' ', 'relation', relname, relkind, relowner::regrole, relpersistence, relrowsecurity,
        relforcerowsecurity, reloptions::text, obj_description(oid, 'pg_class'),
        (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(relacl) a)) FROM relation
    UNION ALL
    -- Where columns stand, whatever stood between them once.
    SELECT concat_ws(' ', 'column', r.relname, rank() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname,
        format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression,
        a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid), a.attacl::text,
        CASE WHEN r.relkind IN ('r', 'p', 'v', 'c') THEN col_description(r.oid, a.attnum) END)
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT concat_ws(' ', 'sequence', s.seqrelid::regclass, s.seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin,
        seqcache, seqcycle) FROM pg_sequence s JOIN relation r ON r.oid = s.seqrelid
    UNION ALL
    SELECT concat_ws(' ', 'constraint', nullif(conrelid, 0)::regclass, nullif(contypid, 0)::regtype, conname,
        pg_get_constraintdef(k.oid), convalidated) FROM pg_constraint k JOIN ours ON ours.oid = k.connamespace
    UNION ALL
    SELECT concat_ws(' ', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid) FROM pg_index i
        JOIN relation r ON r.oid = i.indrelid
    UNION ALL
    SELECT concat_ws(' ', 'trigger', r.relname, pg_get_triggerdef(t.oid), t.tgenabled) FROM pg_trigger t
        JOIN relation r ON r.oid = t.tgrelid WHERE NOT tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'policy', r.relname, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[]::text,
        pg_get_expr(p.polqual, r.oid), pg_get_expr(p.polwithcheck, r.oid)) FROM pg_policy p
        JOIN relation r ON r.oid = p.polrelid
    UNION ALL
    SELECT concat_ws(' ', 'rule', pg_get_ruledef(w.oid)) FROM pg_rewrite w JOIN relation r ON r.oid = w.ev_class
    UNION ALL
    SELECT concat_ws(' ', 'function', pg_get_functiondef(p.oid), p.proowner::regrole, (SELECT string_agg(a::text, ','
        ORDER BY a::text) FROM unnest(p.proacl) a), obj_description(p.oid, 'pg_proc'))
    FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace WHERE p.oid NOT IN (SELECT objid FROM extension)
    UNION ALL
    SELECT concat_ws(' ', 'type', t.oid::regtype, typtype, typowner::regrole, typnotnull,
        format_type(typbasetype, typtypmod), typcollation::regcollation, typdefault, obj_description(t.oid, 'pg_type'))
    FROM pg_type t JOIN ours ON ours.oid = t.typnamespace
    WHERE (typtype <> 'c' OR EXISTS (SELECT FROM relation r WHERE r.oid = t.typrelid AND r.relkind = 'c'))
        AND typelem = 0 AND t.oid NOT IN (SELECT objid FROM extension)
    UNION ALL
    SELECT concat_ws(' ', 'extension', extname, extnamespace::regnamespace) FROM pg_extension
    ) AS lines(line) ORDER BY line COLLATE \"C\"";

async fn connect(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.unwrap()
}

async fn fresh() -> PgConnection {
    connect(&support::empty_database().await).await
}

async fn dump(connection: &mut PgConnection) -> BTreeSet<String> {
    sqlx::query_scalar(DUMP).fetch_all(connection).await.unwrap().into_iter().collect()
}

/// Says what differs, not two times everything.
#[track_caller]
fn assert_same(wanted: &BTreeSet<String>, found: &BTreeSet<String>, when: &str) {
    let lost: Vec<_> = wanted.difference(found).collect();
    let new: Vec<_> = found.difference(wanted).collect();
    assert!(lost.is_empty() && new.is_empty(), "{when}\nlost: {lost:#?}\nnew: {new:#?}");
}

/// The folder as `sqlx migrate` reads it.
async fn folder() -> Migrator {
    Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))).await.unwrap()
}

/// Numbers of all migrations, and of the ledger's.
async fn numbers(part: Part) -> Vec<i64> {
    let states = schema::state(&mut fresh().await, part).await.unwrap();
    states.iter().map(|state| state.name[..4].parse().unwrap()).collect()
}

#[tokio::test]
async fn a_fresh_database_has_the_schema() {
    let database = support::database().await;
    let mut connection = database.admin.acquire().await.unwrap();
    schema::check(&mut connection, Part::Hq).await.unwrap();
    // Twice is once.
    let before = dump(&mut connection).await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    assert_same(&before, &dump(&mut connection).await, "migrated twice");
}

/// A dump that lacked a kind of object would find all schemas alike.
#[tokio::test]
async fn the_dump_sees_every_change() {
    let database = support::database().await;
    let mut connection = connect(&database.options("admin")).await;
    support::execute(&mut connection, "SET search_path = leasehold").await;
    let before = dump(&mut connection).await;
    for change in [
        "COMMENT ON SCHEMA leasehold IS 'another one'",
        "CREATE TABLE planted (key text)",
        "ALTER TABLE org_tenants_mst NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE org_tenants_mst OWNER TO CURRENT_USER",
        "GRANT SELECT ON org_tenants_mst TO leasehold_engine",
        "GRANT SELECT (name) ON org_tenants_mst TO leasehold_engine",
        "ALTER TABLE org_tenants_mst DROP COLUMN name2",
        "ALTER TABLE org_tenants_mst ALTER COLUMN utc_offset_minutes SET DEFAULT 1",
        "ALTER TABLE org_tenants_mst ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE sys_chunks ALTER COLUMN bytes SET STORAGE EXTENDED",
        "COMMENT ON COLUMN org_tenants_mst.name IS 'another one'",
        "ALTER TABLE org_tenants_mst DROP CONSTRAINT org_tenants_mst_utc_offset_minutes_check",
        "DROP INDEX org_subscriptions_mst_plan_key_version_idx",
        "DROP TRIGGER blocks_are_facts ON org_access_blocks",
        "ALTER TABLE org_access_blocks DISABLE TRIGGER blocks_are_facts",
        "ALTER POLICY own_tenant ON org_tenants_mst WITH CHECK (true)",
        "DROP POLICY own_tenant ON org_tenants_mst",
        "ALTER FUNCTION append_audit SECURITY INVOKER",
        "GRANT EXECUTE ON FUNCTION append_audit TO leasehold_app",
        "ALTER DOMAIN tenant_id DROP CONSTRAINT tenant_id_check",
        "COMMENT ON TYPE item_move IS 'another one'",
        "COMMENT ON COLUMN item_move.at IS 'another one'",
        "ALTER SEQUENCE sys_outbox_event_id_seq INCREMENT BY 2",
        "CREATE VIEW planted AS SELECT 1 AS one",
    ] {
        let mut transaction = connection.begin().await.unwrap();
        support::execute(&mut transaction, change).await;
        assert_ne!(before, dump(&mut transaction).await, "{change}");
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn one_by_one_gives_what_all_at_once_gives_and_every_step_can_be_undone() {
    let mut at_once = fresh().await;
    schema::migrate(&mut at_once, Part::Hq).await.unwrap();
    let whole = dump(&mut at_once).await;
    assert!(whole.len() > 100, "the dump has {} lines", whole.len());

    let folder = folder().await;
    let mut connection = fresh().await;
    let nothing = dump(&mut connection).await;
    let (mut before, mut previous) = (nothing.clone(), 0);
    for number in numbers(Part::Hq).await {
        folder.run_direct(Some(number), &mut connection, false).await.unwrap();
        let after = dump(&mut connection).await;
        assert_ne!(before, after, "{number} does nothing");
        schema::undo(&mut connection, Part::Hq, previous).await.unwrap();
        assert_same(&before, &dump(&mut connection).await, &format!("{number} undone"));
        folder.run_direct(Some(number), &mut connection, false).await.unwrap();
        assert_same(&after, &dump(&mut connection).await, &format!("{number} done again"));
        (before, previous) = (after, number);
    }
    assert_same(&whole, &before, "one by one");

    // All the way back, and once more.
    schema::undo(&mut connection, Part::Hq, 0).await.unwrap();
    assert_same(&nothing, &dump(&mut connection).await, "all undone");
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    assert_same(&whole, &dump(&mut connection).await, "all done again");
}

#[tokio::test]
async fn sqlx_migrates_from_the_folder_to_the_same_schema() {
    let mut ours = fresh().await;
    schema::migrate(&mut ours, Part::Hq).await.unwrap();
    let mut theirs = fresh().await;
    folder().await.run_direct(None, &mut theirs, false).await.unwrap();
    assert_same(&dump(&mut ours).await, &dump(&mut theirs).await, "from the folder");

    // Each finds what the other one did to be its own, checksums included.
    schema::check(&mut theirs, Part::Hq).await.unwrap();
    schema::migrate(&mut theirs, Part::Hq).await.unwrap();
    folder().await.run_direct(None, &mut ours, false).await.unwrap();
    let applied = "SELECT row(version, description, success, encode(checksum, 'hex'))::text
                   FROM _sqlx_migrations ORDER BY version";
    let of_ours: Vec<String> = sqlx::query_scalar(applied).fetch_all(&mut ours).await.unwrap();
    let of_theirs: Vec<String> = sqlx::query_scalar(applied).fetch_all(&mut theirs).await.unwrap();
    assert_eq!(of_ours, of_theirs);
    assert_eq!(of_ours.len(), numbers(Part::Hq).await.len());

    // And each takes back what the other one did.
    folder().await.undo(&mut ours, 0).await.unwrap();
    schema::undo(&mut theirs, Part::Hq, 0).await.unwrap();
    assert_same(&dump(&mut fresh().await).await, &dump(&mut ours).await, "undone by sqlx");
    assert_same(&dump(&mut fresh().await).await, &dump(&mut theirs).await, "undone by us");
}

/// What every table holds, as text.
async fn rows(connection: &mut PgConnection) -> BTreeSet<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = to_regnamespace('leasehold') AND relkind = 'r'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut rows = BTreeSet::new();
    for table in tables {
        let sql = format!("SELECT '{table} ' || to_jsonb(t)::text FROM {table} t");
        let of_table: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
        rows.extend(of_table);
    }
    rows
}

#[tokio::test]
async fn a_populated_database_is_upgraded_step_by_step() {
    let folder = folder().await;
    let all = numbers(Part::Hq).await;
    let mut connection = fresh().await;
    for (index, number) in all.iter().enumerate() {
        let before = rows(&mut connection).await;
        folder.run_direct(Some(*number), &mut connection, false).await.unwrap();
        // Columns may be added by a step; no row and nothing in a row is lost.
        let after = rows(&mut connection).await;
        assert!(before.len() <= after.len(), "{number} lost rows");
        for row in &before {
            let kept = |other: &String| contains(other, row);
            assert!(after.iter().any(kept), "{number} lost {row}");
        }
        support::fill(&mut connection, &format!("step{index}"), &format!("s{index}")).await;
    }
    schema::check(&mut connection, Part::Hq).await.unwrap();

    // The last step undone and done again: what it brought is gone with it, all else is as it was.
    let [.., before_last, last] = all[..] else { panic!("there are fewer than two migrations") };
    let full = rows(&mut connection).await;
    schema::undo(&mut connection, Part::Hq, before_last).await.unwrap();
    let left = rows(&mut connection).await;
    assert!(!left.is_empty() && left.len() < full.len(), "{last} took {} of {}", full.len() - left.len(), full.len());
    for row in &left {
        assert!(full.iter().any(|other| contains(other, row)), "undoing {last} changed {row}");
    }
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    support::fill(&mut connection, "again", "again").await;
    for row in &left {
        assert!(rows(&mut connection).await.iter().any(|other| contains(other, row)), "doing {last} again lost {row}");
    }

    // A whole way back takes everything with it, however much there is.
    schema::undo(&mut connection, Part::Hq, 0).await.unwrap();
    assert_same(&dump(&mut fresh().await).await, &dump(&mut connection).await, "all undone");
}

/// Whether a row has all that another one has.
fn contains(row: &str, part: &str) -> bool {
    let parse = |text: &str| {
        let (table, json) = text.split_once(' ').unwrap();
        (table.to_owned(), serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).unwrap())
    };
    let ((table, row), (other, part)) = (parse(row), parse(part));
    table == other && part.iter().all(|(key, value)| row.get(key) == Some(value))
}

#[tokio::test]
async fn two_processes_migrate_one_database_at_once() {
    let options = support::empty_database().await;
    let children: Vec<_> = (0..2).map(|_| support::private_cluster(&["--migrate", "true"], &options).spawn()).collect();
    for child in children {
        let output = child.unwrap().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let mut connection = connect(&options).await;
    schema::check(&mut connection, Part::Hq).await.unwrap();
    let mut alone = fresh().await;
    schema::migrate(&mut alone, Part::Hq).await.unwrap();
    assert_same(&dump(&mut alone).await, &dump(&mut connection).await, "two at once");
}

#[tokio::test]
async fn a_database_without_migrations_is_refused_by_their_names() {
    let options = support::empty_database().await;
    let mut connection = connect(&options).await;
    let error = schema::check(&mut connection, Part::Hq).await.unwrap_err();
    assert_eq!(error.code(), "schema_behind");
    assert!(error.to_string().contains("0001_saas_core, 0002_sys_catalogs, 0003_audit"), "{error}");
    // Asking leaves nothing behind.
    assert_same(&dump(&mut fresh().await).await, &dump(&mut connection).await, "after asking");

    folder().await.run_direct(Some(2), &mut connection, false).await.unwrap();
    let error = schema::check(&mut connection, Part::Hq).await.unwrap_err().to_string();
    assert!(error.contains("lacks the migrations 0003_audit") && error.contains("`leasehold db migrate`"), "{error}");
    let states = schema::state(&mut connection, Part::Hq).await.unwrap();
    let applied: Vec<_> = states.iter().filter(|state| state.applied).map(|state| state.name).collect();
    assert_eq!(applied, ["0001_saas_core", "0002_sys_catalogs"]);

    // One that is missing in the middle is named alone.
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    support::execute(&mut connection, "DELETE FROM _sqlx_migrations WHERE version = 3").await;
    let error = schema::check(&mut connection, Part::Hq).await.unwrap_err().to_string();
    assert!(error.contains("lacks the migrations 0003_audit;"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_build_is_refused_by_number() {
    let database = support::database().await;
    let mut connection = connect(&database.options("admin")).await;
    support::execute(
        &mut connection,
        "INSERT INTO _sqlx_migrations VALUES (9001, 'from the future', now(), true, '\\x00', 1)",
    )
    .await;
    let error = schema::check(&mut connection, Part::Hq).await.unwrap_err();
    assert_eq!(error.code(), "schema_ahead");
    assert!(error.to_string().contains("9001"), "{error}");
    let error = schema::migrate(&mut connection, Part::Hq).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().contains("9001")), ("schema_ahead", true), "{error}");
}

#[tokio::test]
async fn a_migration_with_another_text_is_refused_by_name() {
    let database = support::database().await;
    let mut connection = connect(&database.options("admin")).await;
    support::execute(&mut connection, "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 2").await;
    for error in [
        schema::check(&mut connection, Part::Hq).await.unwrap_err(),
        schema::migrate(&mut connection, Part::Hq).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "schema_altered");
        assert!(error.to_string().contains("0002_sys_catalogs"), "{error}");
    }
}

/// The lock of migrations belongs to the connection, and would stay with it.
#[tokio::test]
async fn who_is_refused_does_not_keep_others_waiting() {
    let options = support::empty_database().await;
    let mut refused = connect(&options).await;
    // In the way of the first migration, and gone before the second attempt.
    support::execute(&mut refused, "CREATE SCHEMA leasehold; CREATE DOMAIN leasehold.amount AS text").await;
    let error = schema::migrate(&mut refused, Part::Hq).await.unwrap_err();
    assert_eq!(error.code(), "migration_failed", "{error}");
    support::execute(&mut refused, "DROP SCHEMA leasehold CASCADE").await;

    let mut other = connect(&options).await;
    support::execute(&mut other, "SET lock_timeout = '5s'").await;
    schema::migrate(&mut other, Part::Hq).await.unwrap();
    schema::check(&mut refused, Part::Hq).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_of_itself() {
    let mut connection = fresh().await;
    folder().await.run_direct(Some(2), &mut connection, false).await.unwrap();
    let before = dump(&mut connection).await;
    support::execute(&mut connection, "CREATE TABLE leasehold.sys_outbox (in_the_way text)").await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap_err();
    support::execute(&mut connection, "DROP TABLE leasehold.sys_outbox").await;
    assert_same(&before, &dump(&mut connection).await, "after a failure");
    assert_eq!(schema::check(&mut connection, Part::Hq).await.unwrap_err().code(), "schema_behind");
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_too_old_is_refused() {
    let mut connection = fresh().await;
    // A server of version 14, as far as anybody can ask.
    support::execute(
        &mut connection,
        "CREATE SCHEMA old; SET search_path = old, pg_catalog, public;
         CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS
             $$ SELECT CASE $1 WHEN 'server_version_num' THEN '140013' ELSE pg_catalog.current_setting($1) END $$",
    )
    .await;
    let before = dump(&mut connection).await;
    for error in [
        schema::check(&mut connection, Part::Hq).await.unwrap_err(),
        schema::migrate(&mut connection, Part::Hq).await.unwrap_err(),
        schema::migrate(&mut connection, Part::Ledger).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "server_too_old");
        assert!(error.to_string().contains("14") && error.to_string().contains("15"), "{error}");
    }
    assert_same(&before, &dump(&mut connection).await, "after refusing");
    support::execute(&mut connection, "RESET search_path").await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
}

#[tokio::test]
async fn the_ledger_stands_alone_and_beside_the_rest() {
    let of_ledger = numbers(Part::Ledger).await;
    let mut alone = fresh().await;
    let nothing = dump(&mut alone).await;
    schema::migrate(&mut alone, Part::Ledger).await.unwrap();
    schema::check(&mut alone, Part::Ledger).await.unwrap();
    assert_eq!(dump(&mut alone).await != nothing, !of_ledger.is_empty());
    let ledger = dump(&mut alone).await;

    // It is not all that HQ needs; and what HQ has holds it.
    assert_eq!(schema::check(&mut alone, Part::Hq).await.unwrap_err().code(), "schema_behind");
    let mut whole = fresh().await;
    schema::migrate(&mut whole, Part::Hq).await.unwrap();
    schema::check(&mut whole, Part::Ledger).await.unwrap();
    schema::migrate(&mut whole, Part::Ledger).await.unwrap();

    schema::undo(&mut alone, Part::Ledger, 0).await.unwrap();
    if !of_ledger.is_empty() {
        assert_eq!(schema::check(&mut alone, Part::Ledger).await.unwrap_err().code(), "schema_behind");
    }
    schema::migrate(&mut alone, Part::Ledger).await.unwrap();
    assert_same(&ledger, &dump(&mut alone).await, "the ledger, undone and done again");
}

/// An app with migrations of its own, one of which has the number of the ledger's.
fn of_an_app() -> Migrator {
    let steps = [(1, "their own", "CREATE TABLE own (key text)"), (5, "audit", "CREATE TABLE audit (key text)")];
    let migration = |(number, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.map(migration).into())
}

const OF_THE_APP: &str = "SELECT version, description FROM _sqlx_migrations ORDER BY version";

#[tokio::test]
async fn the_ledger_leaves_an_apps_own_migrations_alone() {
    for app_is_first in [true, false] {
        let mut connection = fresh().await;
        for turn in 0..2 {
            if (turn == 0) == app_is_first {
                of_an_app().run_direct(None, &mut connection, false).await.unwrap();
            } else {
                schema::migrate(&mut connection, Part::Ledger).await.unwrap();
            }
        }
        let before: Vec<(i64, String)> = sqlx::query_as(OF_THE_APP).fetch_all(&mut connection).await.unwrap();
        assert_eq!(before.len(), 2);
        // Each goes on as if the other were not there.
        for _ in 0..2 {
            of_an_app().run_direct(None, &mut connection, false).await.unwrap();
            schema::migrate(&mut connection, Part::Ledger).await.unwrap();
            schema::check(&mut connection, Part::Ledger).await.unwrap();
            // HQ has the numbers for itself: it is refused before anything has happened.
            let refused = schema::migrate(&mut connection, Part::Hq).await.unwrap_err();
            assert_eq!(refused.code(), "schema_altered", "{refused}");
            let after: Vec<(i64, String)> = sqlx::query_as(OF_THE_APP).fetch_all(&mut connection).await.unwrap();
            assert_eq!(before, after);
        }
        schema::undo(&mut connection, Part::Ledger, 0).await.unwrap();
        assert_eq!(schema::check(&mut connection, Part::Ledger).await.unwrap_err().code(), "schema_behind");
        of_an_app().run_direct(None, &mut connection, false).await.unwrap();
        schema::migrate(&mut connection, Part::Ledger).await.unwrap();

        // One that this build does not know is refused here too.
        let from_the_future = "INSERT INTO leasehold.ledger_migrations VALUES (9, 'later', now(), true, '\\x00', 1)";
        support::execute(&mut connection, from_the_future).await;
        assert_eq!(schema::check(&mut connection, Part::Ledger).await.unwrap_err().code(), "schema_ahead");
    }
}

#[tokio::test]
async fn hq_takes_over_a_ledger_that_was_there_first() {
    let mut whole = fresh().await;
    schema::migrate(&mut whole, Part::Hq).await.unwrap();
    let whole = dump(&mut whole).await;
    let counted = "INSERT INTO leasehold.org_usage_counters VALUES ('t1', 'orders', 0, 7, 0)";
    let count = "SELECT used::bigint FROM leasehold.org_usage_counters";

    for by_hand in [false, true] {
        let mut connection = fresh().await;
        schema::migrate(&mut connection, Part::Ledger).await.unwrap();
        support::execute(&mut connection, counted).await;
        if by_hand {
            // `sqlx migrate` knows of no other table than its own: it says what is in its way, and ours goes on from there.
            let refused = folder().await.run_direct(None, &mut connection, false).await.unwrap_err();
            assert!(refused.to_string().contains("already exists"), "{refused}");
            // Its lock is still held, by this connection.
            support::execute(&mut connection, "SELECT pg_advisory_unlock_all()").await;
            schema::check(&mut connection, Part::Ledger).await.unwrap();
        }
        schema::migrate(&mut connection, Part::Hq).await.unwrap();
        assert_same(&whole, &dump(&mut connection).await, "the ledger first");
        for part in [Part::Hq, Part::Ledger] {
            schema::check(&mut connection, part).await.unwrap();
            schema::migrate(&mut connection, part).await.unwrap();
        }
        folder().await.run_direct(None, &mut connection, false).await.unwrap();
        assert_same(&whole, &dump(&mut connection).await, "and everything again");
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut connection).await.unwrap(), 7);

        // Of HQ's, it goes and comes as any other.
        schema::undo(&mut connection, Part::Ledger, 0).await.unwrap();
        assert_eq!(schema::check(&mut connection, Part::Hq).await.unwrap_err().code(), "schema_behind");
        schema::migrate(&mut connection, Part::Ledger).await.unwrap();
        schema::check(&mut connection, Part::Hq).await.unwrap();
        assert_same(&whole, &dump(&mut connection).await, "the ledger undone and done again");
    }
}

#[tokio::test]
async fn hq_that_fails_on_its_way_leaves_the_ledger_as_it_was() {
    let mut connection = fresh().await;
    schema::migrate(&mut connection, Part::Ledger).await.unwrap();
    let before = dump(&mut connection).await;
    support::execute(&mut connection, "CREATE DOMAIN leasehold.amount AS text").await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap_err();
    support::execute(&mut connection, "DROP DOMAIN leasehold.amount").await;
    assert_same(&before, &dump(&mut connection).await, "after a failure");
    schema::check(&mut connection, Part::Ledger).await.unwrap();
    // Past its first steps the ledger is still its own, until HQ has come to it.
    support::execute(&mut connection, "CREATE DOMAIN leasehold.sys_audit_log AS text").await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap_err();
    schema::check(&mut connection, Part::Ledger).await.unwrap();
    support::execute(&mut connection, "DROP DOMAIN leasehold.sys_audit_log").await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    for part in [Part::Hq, Part::Ledger] {
        schema::check(&mut connection, part).await.unwrap();
    }
}

#[test]
fn who_follows_asks_for_the_schema_with_the_rights_of_an_engine() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (options, mut connection) = runtime.block_on(async {
        let database = support::database().await;
        (database.options("engine"), connect(&database.options("admin")).await)
    });
    let head = |options: &PgConnectOptions| {
        let mut source = PostgresSource::new(options.clone()).unwrap();
        source.head(&"GCC-OM".parse().unwrap(), None).unwrap_err()
    };
    assert_eq!(head(&options), "the stream has no head");
    for (change, expected) in [
        // HQ's are migrated first: followers of an older build follow on.
        (
            "INSERT INTO _sqlx_migrations VALUES (9001, 'from the future', now(), true, '\\x00', 1)",
            "the stream has no head",
        ),
        (
            "DELETE FROM _sqlx_migrations WHERE version = 9001;
             UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 4",
            "0004_snapshots was applied with another",
        ),
        ("DELETE FROM _sqlx_migrations WHERE version = 4", "lacks the migrations 0004_snapshots;"),
    ] {
        runtime.block_on(support::execute(&mut connection, change));
        let said = head(&options);
        assert!(said.contains(expected), "{change}: {said}");
    }
}

/// What others have made depend on the extension, or keep in the schema, is theirs.
#[tokio::test]
async fn a_whole_way_back_takes_nothing_of_others() {
    let mut connection = fresh().await;
    schema::migrate(&mut connection, Part::Hq).await.unwrap();
    support::execute(
        &mut connection,
        "SET search_path = leasehold, public;
         CREATE TABLE public.bookings (room integer, during tstzrange,
             CONSTRAINT one_at_a_time EXCLUDE USING gist (room WITH =, during WITH &&));
         RESET search_path;
         CREATE TABLE leasehold.notes AS SELECT 'theirs' AS note",
    )
    .await;
    for left in [true, false] {
        schema::undo(&mut connection, Part::Hq, 0).await.unwrap();
        let ours: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename ~ '^(sys|org)_'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(ours, 0);
        if left {
            let theirs = "SELECT conname::text FROM pg_constraint WHERE conrelid = 'public.bookings'::regclass
                          UNION ALL SELECT note FROM leasehold.notes";
            let theirs: Vec<String> = sqlx::query_scalar(theirs).fetch_all(&mut connection).await.unwrap();
            assert_eq!(theirs, ["one_at_a_time", "theirs"]);
        } else {
            assert_same(&dump(&mut fresh().await).await, &dump(&mut connection).await, "all undone");
        }
        schema::migrate(&mut connection, Part::Hq).await.unwrap();
        schema::check(&mut connection, Part::Hq).await.unwrap();
        support::execute(&mut connection, "DROP TABLE IF EXISTS public.bookings, leasehold.notes").await;
    }
}

/// On a server that knows none of the roles, whoever owns the database and may create roles migrates it.
#[tokio::test]
async fn nobody_needs_to_be_a_superuser() {
    let cluster = Cluster::start(Durability::ProcessOnly).unwrap_or_else(|error| panic!("{error}"));
    let server: PgConnectOptions = cluster.url("postgres").parse().unwrap();
    let mut admin = connect(&server).await;
    support::execute(&mut admin, "CREATE ROLE owns_it LOGIN CREATEROLE").await;
    for database in ["first", "second"] {
        support::execute(&mut admin, &format!("CREATE DATABASE {database} OWNER owns_it TEMPLATE template0")).await;
        let mut connection = connect(&server.clone().username("owns_it").database(database)).await;
        let nothing = dump(&mut connection).await;
        schema::migrate(&mut connection, Part::Hq).await.unwrap();
        schema::check(&mut connection, Part::Hq).await.unwrap();
        schema::undo(&mut connection, Part::Hq, 0).await.unwrap();
        assert_same(&nothing, &dump(&mut connection).await, "all undone");
    }
}

/// What a role is refused, and what the schema refuses to everybody: by SQLSTATE.
async fn refused(connection: &mut PgConnection, sql: &str) -> String {
    let mut transaction = connection.begin().await.unwrap();
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut *transaction).await;
    transaction.rollback().await.unwrap();
    match done {
        Err(sqlx::Error::Database(error)) => error.code().unwrap_or_default().into_owned(),
        other => panic!("{sql}: {other:?}"),
    }
}

/// A proposal is approved as what was looked at, and nobody can say otherwise of it afterwards, HQ's back end included.
#[tokio::test]
async fn proposals_are_approved_as_what_they_are() {
    let database = support::database().await;
    let mut admin = connect(&database.options("admin")).await;
    support::fill(&mut admin, "t", "s").await;
    support::execute(&mut admin, "SET search_path = leasehold").await;
    let other = "decode(repeat('cd', 32), 'hex')";
    for status in ["approved", "published"] {
        let draft = "UPDATE sys_proposals SET status = 'draft', approved_by = NULL, approved_binding = NULL";
        support::execute(&mut admin, draft).await;
        for approved in [
            String::new(),
            format!(", approved_by = 'ben', approved_binding = {other}"),
            ", approved_by = author, approved_binding = binding".to_owned(),
            ", approved_by = 'ben'".to_owned(),
        ] {
            let sql = format!("UPDATE sys_proposals SET status = '{status}'{approved}");
            assert_eq!(refused(&mut admin, &sql).await, "23514", "{sql}");
        }
        let sql =
            format!("UPDATE sys_proposals SET status = '{status}', approved_by = 'ben', approved_binding = binding");
        support::execute(&mut admin, &sql).await;
        let sql = format!("UPDATE sys_proposals SET binding = {other}");
        assert_eq!(refused(&mut admin, &sql).await, "23514", "approved as something else");
    }
    // What becomes of it is all that HQ may change.
    let mut hq = connect(&database.options("hq")).await;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT attname::text FROM pg_attribute WHERE attrelid = 'sys_proposals'::regclass AND attnum > 0 ORDER BY attnum",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let decided = ["status", "approved_by", "approved_at", "approved_binding", "decided_reason", "revision"];
    for column in columns {
        let sql = format!("UPDATE leasehold.sys_proposals SET {column} = {column}");
        if decided.contains(&&*column) {
            support::execute(&mut hq, &sql).await;
        } else if column != "proposal_id" {
            assert_eq!(refused(&mut hq, &sql).await, "42501", "{sql}");
        }
    }
    assert_eq!(refused(&mut hq, "DELETE FROM leasehold.sys_proposals").await, "42501");
}

/// A content is what its hash says where that can be told without opening it; and nobody writes any but by its function.
#[tokio::test]
async fn contents_are_what_their_hash_says() {
    let database = support::database().await;
    let mut admin = connect(&database.options("admin")).await;
    let insert = "INSERT INTO leasehold.sys_chunks (hash, raw_length, encoding, bytes)";
    for values in ["sha256('a'), 1, 'raw', 'b'", "sha256('a'), 2, 'raw', 'a'"] {
        assert_eq!(refused(&mut admin, &format!("{insert} VALUES ({values})")).await, "23514", "{values}");
    }
    support::execute(&mut admin, &format!("{insert} VALUES (sha256('a'), 1, 'raw', 'a')")).await;
    for role in ["hq", "engine", "app"] {
        let mut connection = connect(&database.options(role)).await;
        let new = format!("{insert} VALUES (sha256('b'), 1, 'raw', 'b')");
        for sql in [
            new.as_str(),
            "UPDATE leasehold.sys_chunks SET bytes = 'b'",
            "UPDATE leasehold.sys_chunks SET created_at = now()",
            "DELETE FROM leasehold.sys_chunks",
        ] {
            assert_eq!(refused(&mut connection, sql).await, "42501", "{sql} as {role}");
        }
    }
}
