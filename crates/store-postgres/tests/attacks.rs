//! Attempts to get from one tenant to another. `tenant-a` attacks within its own context, with the rights of an app, of an
//! engine and of HQ; what belongs to `tenant-b` says `zzsecret` wherever there is room for text. An attempt has succeeded
//! when anything of `tenant-b` is seen, when a row of it has changed or come into being, or when what guards it has changed.
//! Each attempt is shown to succeed where row level security is not in the way.
//!
//! Who may send any SQL they like with the rights of an app can also set another tenant: the context guards against what an
//! app does with values that are not its own, and against what it forgets. `docs/postgres.md` says so.

use crate::support;
use crate::support::fleet::*;
use futures_util::TryStreamExt;
use leasehold::TenantId;
use leasehold_postgres::TenantTransaction;
use leasehold_postgres::access::StaffChange;
use leasehold_postgres::hq::Hq;
use leasehold_postgres::publish::{Publisher, Timing};
use sqlx::postgres::{PgDatabaseError, PgListener, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row, ValueRef};

const SECRET: &str = "zzsecret";
/// The same as bytes are shown.
const SECRET_IN_HEX: &str = "7a7a736563726574";
const VICTIM: &str = "tenant-b";

/// What is tried, once on each table of tenants where it says `{table}`.
struct Attempt {
    number: u32,
    what: &'static str,
    sql: &'static str,
    /// How it may be refused, beside `insufficient_privilege`.
    also: &'static [&'static str],
    by: &'static [&'static str],
}

const EVERYBODY: &[&str] = &["app", "engine", "hq"];
const NOT_HQ: &[&str] = &["app", "engine"];

const fn attempt(number: u32, what: &'static str, sql: &'static str) -> Attempt {
    Attempt { number, what, sql, also: &[], by: EVERYBODY }
}

const ATTEMPTS: &[Attempt] = &[
    // To see.
    attempt(1, "name it in a filter", "SELECT * FROM {table} WHERE tenant_org_id = 'tenant-b'"),
    attempt(2, "filter nothing", "SELECT * FROM {table}"),
    attempt(3, "a filter that is always true", "SELECT * FROM {table} WHERE tenant_org_id = 'tenant-a' OR true"),
    attempt(4, "a pattern, and another collation",
        "SELECT * FROM {table} WHERE tenant_org_id LIKE 'tenant%' OR upper(tenant_org_id) = 'TENANT-B' COLLATE \"POSIX\""),
    attempt(5, "a common table expression", "WITH all_rows AS MATERIALIZED (SELECT * FROM {table}) SELECT * FROM all_rows"),
    attempt(6, "join outward from one's own",
        "SELECT other FROM {table} own RIGHT JOIN {table} other ON other.tenant_org_id <> own.tenant_org_id"),
    attempt(7, "a cursor", "DECLARE rows SCROLL CURSOR FOR SELECT * FROM {table}; FETCH ALL FROM rows"),
    attempt(8, "aggregates", "SELECT max(tenant_org_id::text), string_agg(t::text, ',') FROM {table} t"),
    attempt(9, "a view of one's own", "CREATE TEMP VIEW rows AS SELECT * FROM {table}; SELECT * FROM rows; DROP VIEW rows"),
    attempt(10, "lock rows", "SELECT * FROM {table} FOR KEY SHARE"),
    attempt(11, "a sample", "SELECT * FROM {table} TABLESAMPLE system (100)"),
    attempt(12, "switch row level security off", "SET LOCAL row_security = off; SELECT * FROM {table}"),
    attempt(13, "where rows lie",
        "SELECT * FROM {table} WHERE ctid = ANY (ARRAY(SELECT format('(0,%s)', n)::tid FROM generate_series(1, 200) n))"),
    attempt(14, "have it asked by a function", "SELECT query_to_xml('SELECT * FROM {table}', true, false, '')"),
    attempt(15, "export the whole schema", "SELECT schema_to_xml('leasehold', true, false, '')"),
    attempt(16, "an error that depends on the row",
        "SELECT 1 / CASE tenant_org_id::text WHEN 'tenant-b' THEN 0 ELSE 1 END FROM {table}"),
    attempt(17, "an error in a filter that depends on the row",
        "SELECT 1 FROM {table} WHERE 1 / CASE tenant_org_id::text WHEN 'tenant-b' THEN 0 ELSE 1 END = 1"),
    attempt(18, "a cheap function that keeps what it is asked about",
        "CREATE TEMP TABLE seen (what text) ON COMMIT DROP;
         CREATE OR REPLACE FUNCTION pg_temp.keep(what text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
             AS $$ BEGIN INSERT INTO seen VALUES (what); RETURN true; END $$;
         SELECT count(*) FROM {table} t WHERE pg_temp.keep(t::text); SELECT * FROM seen"),
    attempt(19, "a cheap function that complains about what it is asked about",
        "CREATE OR REPLACE FUNCTION pg_temp.complain(what text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001
             AS $$ BEGIN IF what LIKE '%tenant-b%' THEN RAISE 'zzsecret'; END IF; RETURN true; END $$;
         SELECT count(*) FROM {table} t WHERE pg_temp.complain(t::text)"),
    attempt(20, "a function that says which tenant it is",
        "CREATE OR REPLACE FUNCTION pg_temp.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'tenant-b' $$;
         SET LOCAL search_path = pg_temp, playground, leasehold;
         CREATE OR REPLACE FUNCTION playground.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'tenant-b' $$;
         SELECT * FROM {table}"),
    attempt(21, "functions that say which settings there are, before those of the system",
        "CREATE OR REPLACE FUNCTION playground.current_setting(text, boolean) RETURNS text LANGUAGE sql
             AS $$ SELECT 'tenant-b' $$;
         SET LOCAL search_path = playground, pg_catalog, leasehold;
         SELECT * FROM {table}"),
    attempt(22, "an operator by which everything is equal",
        "CREATE OR REPLACE FUNCTION playground.always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         DO $$ BEGIN CREATE OPERATOR playground.= (LEFTARG = text, RIGHTARG = text, FUNCTION = playground.always);
         EXCEPTION WHEN duplicate_function THEN NULL; END $$;
         SET LOCAL search_path = playground, pg_catalog, leasehold; SELECT * FROM {table}"),
    attempt(23, "a block of code that swallows errors",
        "DO $$ DECLARE seen text; BEGIN
             BEGIN SELECT string_agg(t::text, ',') INTO seen FROM {table} t;
             EXCEPTION WHEN insufficient_privilege THEN seen := ''; END;
             PERFORM set_config('my.seen', coalesce(seen, ''), true);
         END $$; SELECT current_setting('my.seen')"),
    attempt(24, "a prepared statement",
        "PREPARE asked_{name}(text) AS SELECT * FROM {table} WHERE tenant_org_id = $1; EXECUTE asked_{name}('tenant-b')"),
    attempt(25, "a copy of the table",
        "CREATE TEMP TABLE copied ON COMMIT DROP AS SELECT * FROM {table}; SELECT * FROM copied"),
    attempt(26, "what the planner knows of the values", "SELECT s::text FROM pg_stats s WHERE schemaname = 'leasehold'"),
    attempt(27, "what the planner knows, unfiltered", "SELECT stavalues1::text, stavalues2::text FROM pg_statistic"),
    attempt(28, "a function of one's own that runs as its owner",
        "CREATE OR REPLACE FUNCTION pg_temp.asked_{name}() RETURNS SETOF {table} LANGUAGE sql SECURITY DEFINER
             AS $$ SELECT * FROM {table} $$; SELECT * FROM pg_temp.asked_{name}()"),
    attempt(29, "ask in parallel workers",
        "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
         SELECT t::text FROM {table} t"),
    // To change.
    attempt(30, "insert for it", "INSERT INTO {table} ({columns}) SELECT {foreign} FROM {table} RETURNING *"),
    attempt(31, "insert for it where there is none",
        "INSERT INTO {table} ({columns}) SELECT {foreign} FROM {table} ON CONFLICT DO NOTHING RETURNING *"),
    attempt(32, "insert for it or change what there is",
        "INSERT INTO {table} ({columns}) SELECT {foreign} FROM {table}
         ON CONFLICT ({key}) DO UPDATE SET tenant_org_id = excluded.tenant_org_id RETURNING *"),
    attempt(33, "insert a constant for it, without reading", "INSERT INTO {table} (tenant_org_id) VALUES ('tenant-b')"),
    attempt(34, "change its rows", "UPDATE {table} SET {change} WHERE tenant_org_id = 'tenant-b' RETURNING *"),
    attempt(35, "change all rows", "UPDATE {table} SET {change} RETURNING *"),
    attempt(36, "give it one's own rows", "UPDATE {table} SET tenant_org_id = 'tenant-b' RETURNING *"),
    attempt(37, "take its rows",
        "UPDATE {table} SET tenant_org_id = 'tenant-a' WHERE tenant_org_id = 'tenant-b' RETURNING *"),
    attempt(38, "change its rows by joining one's own",
        "UPDATE {table} other SET tenant_org_id = other.tenant_org_id FROM {table} own WHERE other.tenant_org_id <> own.tenant_org_id RETURNING *"),
    attempt(39, "delete its rows", "DELETE FROM {table} WHERE tenant_org_id = 'tenant-b' RETURNING *"),
    attempt(40, "delete its rows within a query",
        "WITH gone AS (DELETE FROM {table} WHERE tenant_org_id = 'tenant-b' RETURNING *) SELECT * FROM gone"),
    attempt(41, "merge into its rows",
        "MERGE INTO {table} t USING (SELECT 'tenant-b' AS it) s ON t.tenant_org_id = s.it WHEN MATCHED THEN DELETE"),
    attempt(42, "empty the table", "TRUNCATE {table} CASCADE"),
    // The cursor stands nowhere.
    Attempt { also: &["24000"], ..attempt(43, "delete by where a cursor stands",
        "DECLARE rows CURSOR FOR SELECT * FROM {table} WHERE tenant_org_id = 'tenant-b' FOR UPDATE;
         MOVE NEXT FROM rows; DELETE FROM {table} WHERE CURRENT OF rows") },
    // By the columns alone that may be changed.
    attempt(44, "change what may be changed of its rows",
        "UPDATE {table} SET {granted} WHERE tenant_org_id = 'tenant-b' RETURNING *"),
    attempt(45, "change what may be changed of all rows", "UPDATE {table} SET {granted} RETURNING *"),
    attempt(46, "count what it used anew",
        "UPDATE leasehold.org_usage_counters SET used = 0, reserved = 0, earliest_expiry_ms = 1"),
    attempt(47, "count for it", "INSERT INTO leasehold.org_usage_counters (tenant_org_id, feature_key, window_start_ms, used,
         reserved) VALUES ('tenant-b', 'orders', 0, 0, 0)
         ON CONFLICT (tenant_org_id, feature_key, window_start_ms) DO UPDATE SET used = 0"),
    attempt(48, "let what it holds expire", "UPDATE leasehold.org_usage_reservations SET state = 'expired', settled_at_ms = 0"),
    attempt(49, "say that its events were told", "UPDATE leasehold.org_usage_events SET delivered_at_ms = 0"),
    // To change what guards it.
    attempt(50, "switch row level security off for all", "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
    attempt(51, "have it no longer forced", "ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"),
    attempt(52, "drop the policy", "DROP POLICY own_tenant ON {table}"),
    attempt(53, "add a policy", "CREATE POLICY mine ON {table} USING (true)"),
    attempt(54, "change the policy", "ALTER POLICY own_tenant ON {table} USING (true)"),
    attempt(55, "own the table", "ALTER TABLE {table} OWNER TO CURRENT_USER"),
    attempt(56, "grant oneself everything", "GRANT ALL ON {table} TO PUBLIC"),
    attempt(57, "a trigger on the table",
        "CREATE OR REPLACE FUNCTION playground.spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER spy BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION playground.spy()"),
    attempt(58, "a rule on the table", "CREATE RULE spy AS ON INSERT TO {table} DO ALSO NOTHING"),
    attempt(59, "a unique index that tells of duplicates", "CREATE UNIQUE INDEX spy ON {table} (tenant_org_id)"),
    Attempt { also: &["42P16"], ..attempt(60, "inherit from the table",
        "CREATE TABLE playground.heir () INHERITS ({table}); SELECT * FROM {table}; DROP TABLE playground.heir") },
    attempt(61, "replace the function that says which tenant it is",
        "CREATE OR REPLACE FUNCTION leasehold.current_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'tenant-b' $$"),
    attempt(62, "put something in the way in the schema", "CREATE TABLE leasehold.in_the_way (key text)"),
    attempt(63, "be above row level security", "ALTER ROLE leasehold_app BYPASSRLS"),
    attempt(64, "be the owner by membership", "GRANT leasehold_owner TO leasehold_engine"),
    // To be somebody else.
    attempt(70, "take the owner's role", "SET LOCAL ROLE leasehold_owner; SELECT * FROM {table}"),
    attempt(71, "take the owner's session", "SET LOCAL SESSION AUTHORIZATION leasehold_owner; SELECT * FROM {table}"),
    attempt(72, "take the role of who connected first",
        "RESET ROLE; RESET SESSION AUTHORIZATION; SELECT * FROM {table}"),
    Attempt { by: NOT_HQ, ..attempt(73, "take HQ's role",
        "SET LOCAL ROLE leasehold_hq; SELECT * FROM leasehold.hq_tenant_documents(NULL)") },
    Attempt { by: NOT_HQ, ..attempt(74, "ask for all tenants as HQ does",
        "SELECT * FROM leasehold.hq_tenant_documents(ARRAY['tenant-b'])") },
    Attempt { by: NOT_HQ, ..attempt(75, "read its audit chain as HQ does",
        "SELECT * FROM leasehold.hq_audit_entries('tenant-b', 0, 100)") },
    Attempt { by: NOT_HQ, ..attempt(76, "write into its audit chain as HQ does",
        "SELECT leasehold.append_audit('tenant-b', '2026-01-01Z', 'it', 'was.here', NULL, '\\x7b7d')") },
    attempt(77, "read its settings by a function that is not for anybody",
        "SELECT leasehold.workflow_settings('tenant-b', 'order', 'zzsecret'), 'zzsecret' WHERE
             leasehold.workflow_settings('tenant-b', 'order', 'zzsecret') <> '{}'"),
    attempt(78, "let a trigger that runs as the owner fire on a table of one's own",
        "CREATE TEMP TABLE org_tenants_mst (tenant_org_id text, region text) ON COMMIT DROP;
         CREATE TRIGGER spy AFTER INSERT ON pg_temp.org_tenants_mst REFERENCING NEW TABLE AS changed FOR EACH STATEMENT
             EXECUTE FUNCTION leasehold.queue_tenants();
         INSERT INTO pg_temp.org_tenants_mst VALUES ('tenant-b', 'GCC-OM')"),
    // Last, since it empties the attacker's own tables.
    attempt(90, "delete everything that there is", "DELETE FROM {table} RETURNING *"),
];

/// What is refused to everybody, whatever is in the tables.
const REFUSED: &[(u32, &str, &str)] = &[
    (100, "read the server's files", "SELECT pg_read_file('PG_VERSION')"),
    (101, "list the server's files", "SELECT pg_ls_dir('base')"),
    (102, "write a table into a file", "COPY (SELECT 1) TO '/tmp/leasehold-attack'"),
    (103, "hand a table to a program", "COPY (SELECT 1) TO PROGRAM 'cat'"),
    (104, "a large object from a file", "SELECT lo_import('/etc/hostname')"),
    (105, "follow the log of changes", "SELECT pg_create_logical_replication_slot('attack', 'test_decoding')"),
    (106, "publish the log of changes", "CREATE PUBLICATION attack FOR ALL TABLES"),
    (107, "code without bounds", "CREATE FUNCTION playground.code() RETURNS void LANGUAGE c AS 'libc.so.6', 'abort'"),
    (
        108,
        "a function that is believed not to leak",
        "CREATE FUNCTION playground.leak(text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'",
    ),
    (109, "passwords", "SELECT rolpassword FROM pg_authid"),
    (110, "settings of the server", "SELECT pg_reload_conf()"),
    (111, "fire no triggers", "SET LOCAL session_replication_role = replica"),
    (112, "a new role", "CREATE ROLE leasehold_attack BYPASSRLS"),
    (
        113,
        "watch every command",
        "CREATE EVENT TRIGGER attack ON ddl_command_start EXECUTE FUNCTION leasehold.refuse_change()",
    ),
    (
        114,
        "refer to tenants by a key of one's own",
        "CREATE TABLE playground.probe (it text REFERENCES leasehold.org_tenants_mst)",
    ),
    (115, "how many events there were", "SELECT last_value FROM leasehold.sys_outbox_event_id_seq"),
    (116, "use up numbers of events", "SELECT nextval('leasehold.sys_outbox_event_id_seq')"),
    (117, "which migrations there were", "UPDATE public._sqlx_migrations SET success = false"),
];

/// A database with two tenants, and with a schema in which everybody may make what they like.
async fn world() -> support::Database {
    let database = support::database().await;
    let mut connection = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    support::fill(&mut connection, "tenant-a", "asecret").await;
    support::fill(&mut connection, VICTIM, SECRET).await;
    support::execute(&mut connection, "CREATE SCHEMA playground; GRANT ALL ON SCHEMA playground TO PUBLIC; ANALYZE")
        .await;
    database
}

fn pool<'a>(database: &'a support::Database, role: &str) -> &'a PgPool {
    match role {
        "app" => &database.app,
        "engine" => &database.engine,
        _ => &database.hq,
    }
}

fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

/// A table of tenants, and what attempts are filled in with.
struct Table {
    name: String,
    /// Columns that take values.
    columns: Vec<String>,
    key: String,
    /// Columns that apps may change, or HQ.
    granted: Vec<String>,
}

async fn tables(pool: &PgPool) -> Vec<Table> {
    let rows: Vec<(String, Vec<String>, String, Vec<String>)> = sqlx::query_as(
        "SELECT c.oid::regclass::text, array_agg(quote_ident(a.attname) ORDER BY a.attnum)
             FILTER (WHERE a.attgenerated = '' AND a.attidentity = ''),
             (SELECT string_agg(quote_ident(k.attname), ', ') FROM pg_index i JOIN pg_attribute k
                 ON k.attrelid = c.oid AND k.attnum = ANY (i.indkey) WHERE i.indrelid = c.oid AND i.indisprimary),
             coalesce(array_agg(quote_ident(a.attname) ORDER BY a.attnum) FILTER (WHERE
                 has_column_privilege('leasehold_app', c.oid, a.attnum, 'UPDATE')
                 OR has_column_privilege('leasehold_hq', c.oid, a.attnum, 'UPDATE')), '{}')
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind = 'r' AND EXISTS (
             SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_org_id')
         GROUP BY c.oid ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().map(|(name, columns, key, granted)| Table { name, columns, key, granted }).collect()
}

fn filled(attempt: &Attempt, table: &Table) -> String {
    let foreign: Vec<_> =
        table.columns.iter().map(|column| if column == "tenant_org_id" { "'tenant-b'" } else { column }).collect();
    let change = table.columns.iter().find(|column| *column != "tenant_org_id").unwrap();
    // Where there are none, it is refused.
    let granted = if table.granted.is_empty() { &table.columns } else { &table.granted };
    let granted: Vec<_> = granted.iter().map(|column| format!("{column} = {column}")).collect();
    let sql = attempt.sql.replace("{table}", &table.name).replace("{columns}", &table.columns.join(", "));
    sql.replace("{foreign}", &foreign.join(", "))
        .replace("{name}", table.name.trim_start_matches("leasehold."))
        .replace("{key}", &table.key)
        .replace("{granted}", &granted.join(", "))
        .replace("{change}", &format!("{change} = {change}, tenant_org_id = tenant_org_id"))
}

/// How an attempt ended: what it showed, and how it was refused.
#[derive(Debug)]
struct Ending {
    shown: String,
    refused: Option<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: String,
    said: String,
}

impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(error) = error else { panic!("the connection failed: {error}") };
        let error = error.downcast_ref::<PgDatabaseError>();
        let said = [Some(error.message()), error.detail(), error.hint(), error.r#where()];
        Self { code: error.code().to_owned(), said: said.into_iter().flatten().collect::<Vec<_>>().join("\n") }
    }
}

fn text_of(row: &PgRow) -> String {
    let cells = (0..row.len()).map(|index| {
        let cell = row.try_get_raw(index).unwrap();
        if cell.is_null() { "null".to_owned() } else { cell.as_str().unwrap_or("not text").to_owned() }
    });
    cells.collect::<Vec<_>>().join(" | ")
}

async fn run(connection: &mut PgConnection, sql: &str) -> Ending {
    match sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await {
        Ok(rows) => Ending { shown: rows.iter().map(text_of).collect::<Vec<_>>().join("\n"), refused: None },
        Err(error) => Ending { shown: String::new(), refused: Some(error.into()) },
    }
}

impl Ending {
    /// Whether anything of the other tenant was seen.
    fn tells(&self) -> bool {
        let secret = |text: &str| text.contains(SECRET) || text.contains(SECRET_IN_HEX);
        let by_error = self.refused.as_ref().is_some_and(|refusal| refusal.code == "22012" || secret(&refusal.said));
        secret(&self.shown) || self.shown.contains(VICTIM) || by_error
    }
}

/// All rows of the other tenant and all that guards them, in one value.
async fn state(connection: &mut PgConnection, tables: &[Table]) -> String {
    let rows = tables.iter().map(|table| {
        let Table { name, .. } = table;
        format!("SELECT '{name} ' || to_jsonb(t)::text FROM {name} t WHERE tenant_org_id = '{VICTIM}'")
    });
    let guards = "
        SELECT concat_ws(' ', oid, relname, relkind, relowner, relacl, relrowsecurity, relforcerowsecurity)
        FROM pg_class WHERE relnamespace = 'leasehold'::regnamespace
        UNION ALL SELECT concat_ws(' ', oid, polname, polrelid, polcmd, polroles, polqual, polwithcheck) FROM pg_policy
        UNION ALL SELECT concat_ws(' ', t.oid, tgname, tgrelid, tgfoid, tgenabled) FROM pg_trigger t
            JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 'leasehold'::regnamespace
        UNION ALL SELECT concat_ws(' ', r.oid, rulename, ev_class) FROM pg_rewrite r
            JOIN pg_class c ON c.oid = ev_class WHERE relnamespace = 'leasehold'::regnamespace
        UNION ALL SELECT concat_ws(' ', oid, proname, proowner, proacl, prosrc, prosqlbody, proconfig, prosecdef)
            FROM pg_proc WHERE pronamespace = 'leasehold'::regnamespace
        UNION ALL SELECT concat_ws(' ', rolname, rolsuper, rolbypassrls, rolcanlogin, rolcreaterole) FROM pg_roles
            WHERE rolname ~ '^leasehold_(test_)?(owner|hq|app|engine)$'
        UNION ALL SELECT concat_ws(' ', roleid::regrole, member::regrole) FROM pg_auth_members
            WHERE member::regrole::text ~ '^leasehold_(test_)?(owner|hq|app|engine)$'";
    let all = rows.chain([guards.to_owned()]).collect::<Vec<_>>().join(" UNION ALL ");
    let sql = format!("SELECT string_agg(line, E'\\n' ORDER BY line) FROM ({all}) AS lines(line)");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
}

fn each<'a>(attempt: &'a Attempt, tables: &'a [Table]) -> impl Iterator<Item = String> + 'a {
    let once = if attempt.sql.contains("{table}") { tables.len() } else { 1 };
    tables.iter().take(once).map(|table| filled(attempt, table))
}

#[tokio::test]
async fn there_is_something_to_find_in_every_table_and_attempts_are_numbered() {
    let database = world().await;
    for table in tables(&database.admin).await {
        let sql = format!("SELECT count(*) FROM {} WHERE tenant_org_id = '{VICTIM}'", table.name);
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&database.admin).await.unwrap();
        assert!(found > 0, "{} is empty: give it a row in support/fill.rs", table.name);
    }
    let numbers: Vec<u32> =
        ATTEMPTS.iter().map(|attempt| attempt.number).chain(REFUSED.iter().map(|(number, ..)| *number)).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next) && numbers.len() >= 30, "{numbers:?}");
}

/// An attempt that cannot succeed anywhere would prove nothing.
#[tokio::test]
async fn every_attempt_succeeds_where_nothing_is_in_the_way() {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let mut connection = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    let before = state(&mut connection, &tables).await;
    let _roles = support::roles().await;
    for attempt in ATTEMPTS {
        let (mut succeeded, mut endings) = (false, Vec::new());
        for sql in each(attempt, &tables) {
            let mut transaction = connection.begin().await.unwrap();
            let ending = run(&mut transaction, &sql).await;
            succeeded |= ending.tells();
            if ending.refused.is_none() {
                support::execute(&mut transaction, "RESET ROLE; RESET search_path").await;
                succeeded |= state(&mut transaction, &tables).await != before;
            }
            endings.push((sql, ending));
            transaction.rollback().await.unwrap();
        }
        // To insert without reading takes rows that fit; there it is the refusal that counts.
        assert!(succeeded || attempt.number == 33, "{} {}: {endings:#?}", attempt.number, attempt.what);
    }
}

async fn nothing_crosses(role: &str) {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    let before = state(&mut admin, &tables).await;
    let mut refused = 0;
    for attempt in ATTEMPTS.iter().filter(|attempt| attempt.by.contains(&role)) {
        for sql in each(attempt, &tables) {
            let what = format!("{} {} as {role}\n{sql}", attempt.number, attempt.what);
            let mut transaction = TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
            let ending = run(transaction.connection(), &sql).await;
            assert!(!ending.tells(), "{what}\n{ending:?}");
            match &ending.refused {
                None => transaction.commit().await.unwrap(),
                Some(refusal) => {
                    refused += 1;
                    let expected = refusal.code == "42501" || attempt.also.contains(&refusal.code.as_str());
                    assert!(expected, "{what}\n{refusal:?}");
                    transaction.rollback().await.unwrap();
                }
            }
            assert!(state(&mut admin, &tables).await == before, "{what}\nchanged the other tenant, or what guards it");
        }
    }
    assert!(refused > 0, "no attempt as {role} was refused");
}

#[tokio::test]
async fn nothing_crosses_with_the_rights_of_an_app() {
    nothing_crosses("app").await;
}

#[tokio::test]
async fn nothing_crosses_with_the_rights_of_an_engine() {
    nothing_crosses("engine").await;
}

#[tokio::test]
async fn nothing_crosses_with_the_rights_of_hq() {
    nothing_crosses("hq").await;
}

#[tokio::test]
async fn what_nobody_may_do_is_refused_to_everybody() {
    let database = world().await;
    for role in EVERYBODY {
        for (number, what, sql) in REFUSED {
            let mut transaction = TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
            let ending = run(transaction.connection(), sql).await;
            let code = ending.refused.as_ref().map(|refusal| refusal.code.as_str());
            assert_eq!(code, Some("42501"), "{number} {what} as {role}: {ending:?}");
        }
    }
    for role in NOT_HQ {
        // 118: keep others waiting.
        for table in tables(&database.admin).await {
            let mut transaction = TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
            let ending =
                run(transaction.connection(), &format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table.name)).await;
            assert_eq!(
                ending.refused.map(|refusal| refusal.code),
                Some("42501".to_owned()),
                "{} as {role}",
                table.name
            );
        }
    }
}

/// 120: every function of the schema, with the other tenant in every argument that takes text.
#[tokio::test]
async fn no_function_takes_apps_and_engines_across() {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    let calls = calls(&mut admin, &format!("'{VICTIM}'")).await;
    assert!(calls.len() > 10, "{calls:?}");
    let before = state(&mut admin, &tables).await;
    let mut succeeds_as_admin = 0;
    for call in &calls {
        let mut transaction = admin.begin().await.unwrap();
        let ending = run(&mut transaction, call).await;
        let changed = ending.refused.is_none() && state(&mut transaction, &tables).await != before;
        succeeds_as_admin += u32::from(changed || ending.tells());
        transaction.rollback().await.unwrap();
        for role in NOT_HQ {
            let mut transaction = TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
            let ending = run(transaction.connection(), call).await;
            // What a function was asked about may stand in its answer; what belongs to the tenant may not.
            let told = ending.shown.contains(SECRET) || ending.shown.contains(SECRET_IN_HEX);
            assert!(!told, "{call} as {role}: {ending:?}");
            if ending.refused.is_none() {
                transaction.commit().await.unwrap();
            }
            assert!(state(&mut admin, &tables).await == before, "{call} as {role} changed the other tenant");
        }
    }
    assert!(succeeds_as_admin > 2);
}

/// A call of every function of the schema that can be called, with a text wherever one fits.
async fn calls(connection: &mut PgConnection, text: &str) -> Vec<String> {
    let functions: Vec<(String, Vec<String>)> = sqlx::query_as(
        "SELECT p.oid::regproc::text, (SELECT coalesce(array_agg(format_type(
                 coalesce(nullif(t.typbasetype, 0), t.oid), NULL) ORDER BY n), '{}')
             FROM unnest(p.proargtypes) WITH ORDINALITY AS a(type, n) JOIN pg_type t ON t.oid = a.type)
         FROM pg_proc p WHERE pronamespace = 'leasehold'::regnamespace AND prorettype <> 'trigger'::regtype
             AND prokind = 'f' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    let value = |kind: &String| match kind.as_str() {
        "text" | "character varying" => text.to_owned(),
        "text[]" => format!("ARRAY[{text}]"),
        "integer" | "bigint" | "smallint" | "numeric" => format!("1::{kind}"),
        "boolean" => "true".to_owned(),
        "timestamp with time zone" => "'2026-01-01Z'::timestamptz".to_owned(),
        "bytea" => "'\\x7b7d'::bytea".to_owned(),
        // As the context of a move, or whatever else it may be.
        "jsonb" => format!("jsonb_build_object({text}::text, {text}::text)"),
        "regclass" => "'leasehold.org_tenants_mst'::regclass".to_owned(),
        "bytea[]" | "bigint[]" | "integer[]" => format!("'{{}}'::{kind}"),
        other => format!("NULL::{other}"),
    };
    let call = |(name, kinds): (String, Vec<String>)| {
        format!("SELECT to_jsonb(x)::text FROM {name}({}) AS x", kinds.iter().map(value).collect::<Vec<_>>().join(", "))
    };
    functions.into_iter().map(call).collect()
}

/// 130: what is refused says the same about what others have and about what nobody has.
#[tokio::test]
async fn refusals_do_not_tell_what_others_have() {
    let database = world().await;
    let probes = [
        "INSERT INTO leasehold.org_tenants_mst (tenant_org_id, file, name, name2, region, anchor)
         VALUES ('{tenant}', 'a.json', 'n', 'n', 'GCC-OM', '2026-01-01Z')",
        "INSERT INTO leasehold.org_tenants_mst (tenant_org_id, file, name, name2, region, anchor)
         VALUES ('{tenant}', 'a.json', 'n', 'n', 'GCC-OM', '2026-01-01Z') ON CONFLICT (tenant_org_id) DO UPDATE SET name = 'n'",
        "INSERT INTO leasehold.org_subscriptions_mst (tenant_org_id, phase_id, kind, plan_key, valid_from)
         VALUES ('{tenant}', '{secret}-phase', 'paid', 'basic', '2026-01-01Z')",
        "INSERT INTO leasehold.org_access_block_lifts (tenant_org_id, block_id, lifted_by, lifted_at, reason)
         VALUES ('{tenant}', '{secret}-open', 'billing', '2026-01-01Z', 'r')",
        "INSERT INTO leasehold.org_access_block_lifts (tenant_org_id, block_id, lifted_by, lifted_at, reason)
         VALUES ('tenant-a', '{secret}-open', 'billing', '2026-01-01Z', 'r')",
        "INSERT INTO leasehold.sys_idempotency (tenant_org_id, idempotency_key, request_hash, response)
         VALUES ('{tenant}', '{secret}-key', decode(repeat('ab', 32), 'hex'), '{}')",
        "INSERT INTO leasehold.tenant_workflow_settings_cf VALUES ('{tenant}', 'order', '{secret}', 'paid', 'least', '1')",
        "UPDATE leasehold.org_tenants_mst SET tenant_org_id = '{tenant}'",
        "DELETE FROM leasehold.org_tenants_mst WHERE tenant_org_id = '{tenant}' RETURNING 1 / 0",
        "INSERT INTO leasehold.sys_outbox (event_id, tenant_org_id, event_type, payload)
         OVERRIDING SYSTEM VALUE VALUES ({number}, 'tenant-a', 'probe', '{}')",
    ];
    for role in EVERYBODY {
        for probe in probes {
            let mut endings = Vec::new();
            // The second event is the other tenant's; there is no event 900.
            for (tenant_id, secret, number) in [(VICTIM, SECRET, "2"), ("nobody-x", "nothing", "900")] {
                let sql = probe.replace("{tenant}", tenant_id).replace("{secret}", secret).replace("{number}", number);
                let mut transaction =
                    TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
                let ending = run(transaction.connection(), &sql).await;
                let said = ending.refused.map(|refusal| Refusal {
                    said: refusal.said.replace(tenant_id, "{tenant}").replace(secret, "{secret}"),
                    ..refusal
                });
                endings.push((said, ending.shown));
            }
            assert_eq!(endings[0], endings[1], "as {role}: {probe}");
        }
    }
}

/// 131: a row that is refused is not shown by the refusal.
#[tokio::test]
async fn a_row_that_does_not_fit_is_not_shown() {
    let database = world().await;
    let mut transaction = TenantTransaction::begin(&database.hq, &tenant("tenant-a")).await.unwrap();
    let sql = "UPDATE leasehold.org_tenants_mst SET utc_offset_minutes = 9999";
    let refusal = run(transaction.connection(), sql).await.refused.unwrap();
    assert_eq!(refusal.code, "23514");
    assert!(!refusal.said.contains("asecret"), "{refusal:?}");
}

async fn seen(connection: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT tenant_org_id FROM leasehold.org_subscriptions_mst ORDER BY 1")
        .fetch_all(connection)
        .await
        .unwrap()
}

/// 140: what a transaction was about is forgotten with it, however it ends and whatever was set by whom.
#[tokio::test]
async fn a_pooled_connection_brings_no_context_along() {
    let database = world().await;
    for role in ["app", "hq"] {
        // One connection: everybody gets the one that was used before.
        let pool = PgPoolOptions::new().max_connections(1).connect_with(database.options(role)).await.unwrap();
        for ending in 0..4 {
            let mut transaction = TenantTransaction::begin(&pool, &tenant(VICTIM)).await.unwrap();
            assert_eq!(seen(transaction.connection()).await, [VICTIM]);
            match ending {
                0 => transaction.commit().await.unwrap(),
                1 => transaction.rollback().await.unwrap(),
                2 => drop(transaction),
                // An error in the middle, and a savepoint.
                _ => {
                    support::execute(transaction.connection(), "SAVEPOINT before").await;
                    assert!(run(transaction.connection(), "SELECT 1 / 0").await.refused.is_some());
                    support::execute(transaction.connection(), "ROLLBACK TO before").await;
                    assert_eq!(seen(transaction.connection()).await, [VICTIM]);
                    drop(transaction);
                }
            }
            let mut connection = pool.acquire().await.unwrap();
            assert!(seen(&mut connection).await.is_empty(), "{role}, ending {ending}");
        }
        // What others left for the whole session stands behind the context of a transaction.
        for left in [
            "SET app.current_tenant_id = 'tenant-b'",
            "SELECT set_config('app.current_tenant_id', 'tenant-b', false)",
            "SET SESSION app.current_tenant_id TO 'tenant-b'",
            "BEGIN; SET LOCAL app.current_tenant_id = 'tenant-b'; COMMIT",
        ] {
            support::execute(&mut pool.acquire().await.unwrap(), left).await;
            let mut transaction = TenantTransaction::begin(&pool, &tenant("tenant-a")).await.unwrap();
            assert_eq!(seen(transaction.connection()).await, ["tenant-a"], "{left}");
            transaction.commit().await.unwrap();
        }
    }
}

/// 141: many at once on few connections, each with its own tenant.
#[tokio::test]
async fn contexts_do_not_mix_under_load() {
    let database = world().await;
    let pool = PgPoolOptions::new().max_connections(3).connect_with(database.options("app")).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..120 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let id = ["tenant-a", VICTIM, "tenant-c"][number % 3];
            let mut transaction = TenantTransaction::begin(&pool, &tenant(id)).await.unwrap();
            let found = seen(transaction.connection()).await;
            assert_eq!(found, if id == "tenant-c" { vec![] } else { vec![id] });
            // Some commit, some are dropped in the middle.
            if number % 2 == 0 {
                transaction.commit().await.unwrap();
            }
        });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
        done += 1;
    }
    assert_eq!(done, 120);
}

/// 142: a statement that was prepared, and planned, for one tenant answers for the one of the transaction.
#[tokio::test]
async fn a_prepared_statement_follows_the_context() {
    let database = world().await;
    let pool = PgPoolOptions::new().max_connections(1).connect_with(database.options("app")).await.unwrap();
    // More often than it takes for a plan to be kept.
    for number in 0..24 {
        let id = ["tenant-a", VICTIM][number / 2 % 2];
        let mut transaction = TenantTransaction::begin(&pool, &tenant(id)).await.unwrap();
        assert_eq!(seen(transaction.connection()).await, [id]);
        transaction.commit().await.unwrap();
    }
    let mut connection = pool.acquire().await.unwrap();
    let kept: i64 = sqlx::query_scalar(
        "SELECT max(generic_plans + custom_plans) FROM pg_prepared_statements
         WHERE statement LIKE 'SELECT tenant_org_id FROM leasehold.org_subscriptions_mst%'",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    assert!(kept >= 24, "it was one statement, run {kept} times");
}

/// 143: no tenant, or what only looks like one.
#[tokio::test]
async fn what_is_not_the_tenant_byte_for_byte_sees_nothing() {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let contexts = [
        None,
        Some(""),
        Some(" "),
        Some("tenant-b "),
        Some(" tenant-b"),
        Some("tenant-b\n"),
        Some("TENANT-B"),
        Some("Tenant-b"),
        Some("tenant\u{2011}b"),
        Some("tenant-b\u{200b}"),
        Some("tenant-b\u{301}"),
        Some("\u{ff54}enant-b"),
        Some("tenant-\u{432}"),
        Some("tenant-%"),
        Some("tenant-_"),
        Some("tenant-a,tenant-b"),
        Some("{tenant-a,tenant-b}"),
        Some("*"),
        Some("null"),
        Some("tenant-b' OR '1'='1"),
        Some("(SELECT 'tenant-b')"),
    ];
    for role in ["app", "hq"] {
        let mut connection = pool(&database, role).acquire().await.unwrap();
        for context in contexts {
            let mut transaction = connection.begin().await.unwrap();
            sqlx::query("SELECT set_config('app.current_tenant_id', $1, true)")
                .bind(context)
                .execute(&mut *transaction)
                .await
                .unwrap();
            for table in &tables {
                let mut attempt = transaction.begin().await.unwrap();
                let ending = run(&mut attempt, &format!("SELECT * FROM {}", table.name)).await;
                assert_eq!(ending.shown, "", "{context:?} as {role} in {}", table.name);
                attempt.rollback().await.unwrap();
            }
            let insert =
                "INSERT INTO leasehold.sys_idempotency (tenant_org_id, idempotency_key, request_hash, response)
                 VALUES ('tenant-b', 'planted', decode(repeat('ab', 32), 'hex'), '{}')";
            let ending = run(&mut transaction, insert).await;
            assert_eq!(ending.refused.map(|refusal| refusal.code), Some("42501".to_owned()), "{context:?} as {role}");
            transaction.rollback().await.unwrap();
        }
        // Without any setting, ever, on this connection.
        let mut fresh = PgConnection::connect_with(&database.options(role)).await.unwrap();
        assert!(seen(&mut fresh).await.is_empty());
    }
    // Most of these are no ids at all; the others are those of other tenants.
    let ids = contexts.into_iter().flatten().filter(|context| context.parse::<TenantId>().is_ok());
    assert_eq!(ids.collect::<Vec<_>>(), ["TENANT-B", "Tenant-b", "tenant-_", "null"]);
}

/// 144, 145: COPY, both ways.
#[tokio::test]
async fn copy_is_under_the_same_rules() {
    let database = world().await;
    for table in tables(&database.admin).await {
        for sql in [
            format!("COPY {} TO STDOUT", table.name),
            format!("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv)", table.name),
        ] {
            let mut whole = database.admin.acquire().await.unwrap();
            let all = copied(&mut whole, &sql).await.unwrap();
            assert!(all.contains(VICTIM), "{sql}: {all}");
            for role in EVERYBODY {
                match copied(&mut within(&database, role).await, &sql).await {
                    Ok(text) => assert!(!text.contains(VICTIM) && !text.contains(SECRET), "{sql} as {role}: {text}"),
                    Err(refusal) => assert_eq!(refusal.code, "42501", "{sql} as {role}: {refusal:?}"),
                }
            }
        }
        for role in EVERYBODY {
            let sql = format!("COPY {} (tenant_org_id) FROM STDIN", table.name);
            let refusal: Refusal = match within(&database, role).await.copy_in_raw(&sql).await {
                Ok(_) => panic!("{sql} as {role} was taken"),
                Err(error) => error.into(),
            };
            // Not under row level security at all.
            assert!(["42501", "0A000"].contains(&refusal.code.as_str()), "{sql} as {role}: {refusal:?}");
        }
    }
}

/// A connection of its own within the attacker's context: after a COPY that was refused, the driver has lost its place.
async fn within(database: &support::Database, role: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(&database.options(role)).await.unwrap();
    support::execute(&mut connection, "BEGIN; SET LOCAL app.current_tenant_id = 'tenant-a'").await;
    connection
}

async fn copied(connection: &mut PgConnection, sql: &str) -> Result<String, Refusal> {
    let parts: Vec<_> = connection.copy_out_raw(sql).await?.try_collect().await?;
    Ok(parts.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect())
}

/// 150: how many rows a plan went through is told to who may see plans, what is in them is not.
#[tokio::test]
async fn plans_give_no_row_of_others() {
    let database = world().await;
    for table in tables(&database.admin).await {
        for (role, sql) in [("app", "TRUE"), ("hq", "TRUE"), ("app", "tenant_org_id = 'tenant-b'")] {
            let sql = format!(
                "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM {} WHERE {sql}",
                table.name
            );
            let mut transaction = TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
            let own = format!("SELECT count(*) FROM {}", table.name);
            let ending = run(transaction.connection(), &own).await;
            if ending.refused.is_some() {
                continue;
            }
            let own = if sql.contains(VICTIM) { "0".to_owned() } else { ending.shown };
            let plan = run(transaction.connection(), &sql).await.shown;
            let top = plan.lines().next().unwrap();
            assert!(!plan.contains(SECRET), "{plan}");
            let rows = top.split("actual rows=").nth(1).map(|rows| rows.split([' ', '.']).next().unwrap().to_owned());
            assert!(top.contains("never executed") && own == "0" || rows == Some(own), "{plan}");
        }
    }
}

/// 151: what others are doing at the moment.
#[tokio::test]
async fn running_statements_do_not_name_tenants() {
    let database = world().await;
    // Of the same role, whose statements everybody of the role may read.
    let mut victim = TenantTransaction::begin(&database.app, &tenant(VICTIM)).await.unwrap();
    sqlx::query("SELECT $1::text FROM leasehold.org_tenants_mst")
        .bind(SECRET)
        .execute(victim.connection())
        .await
        .unwrap();
    let mut begun = TenantTransaction::begin(&database.app, &tenant(VICTIM)).await.unwrap();
    let mut attacker = TenantTransaction::begin(&database.app, &tenant("tenant-a")).await.unwrap();
    let running = run(
        attacker.connection(),
        "SELECT query, application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await
    .shown;
    assert!(running.contains("org_tenants_mst") && running.contains("set_config"), "{running}");
    assert!(!running.contains(VICTIM) && !running.contains(SECRET), "{running}");
    // Another role's are not shown at all.
    let mut engine = database.engine.acquire().await.unwrap();
    let others =
        "SELECT query FROM pg_stat_activity WHERE usename = 'leasehold_test_app' AND datname = current_database()";
    let shown = run(&mut engine, others).await.shown;
    assert!(shown.contains("insufficient privilege") && !shown.contains("org_tenants_mst"), "{shown}");

    // 152: locks that anybody may look at have no tenant's number.
    begun.connection().execute("SELECT 1").await.unwrap();
    let mut hq = TenantTransaction::begin(&database.hq, &tenant(VICTIM)).await.unwrap();
    sqlx::query("SELECT leasehold.append_audit('tenant-b', '2026-01-01Z', 'it', 'was.here', NULL, '\\x7b7d')")
        .execute(hq.connection())
        .await
        .unwrap();
    let locks = "SELECT count(*), count(*) FILTER (WHERE locktype = 'advisory') FROM pg_locks l JOIN pg_database d
                 ON d.oid = l.database WHERE d.datname = current_database()";
    let (all, advisory): (i64, i64) = sqlx::query_as(locks).fetch_one(attacker.connection()).await.unwrap();
    assert!(all > 0 && advisory == 0, "{advisory} of {all} locks are advisory");
}

/// 153: whoever listens hears that something happened, not to whom.
#[tokio::test]
async fn notifications_do_not_name_tenants() {
    let database = world().await;
    let channels: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT m[1] FROM pg_proc, regexp_matches(prosrc, 'pg_notify\\(''([a-z_]+)''', 'g') AS m
         WHERE pronamespace = 'leasehold'::regnamespace",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();
    assert!(channels.iter().any(|channel| channel == "leasehold_publish"), "{channels:?}");
    let mut listener = PgListener::connect_with(&database.app).await.unwrap();
    listener.listen_all(channels.iter().map(String::as_str)).await.unwrap();
    listener.listen("the_end").await.unwrap();
    for table in tables(&database.admin).await {
        let mut transaction = TenantTransaction::begin(&database.hq, &tenant(VICTIM)).await.unwrap();
        let ending =
            run(transaction.connection(), &format!("UPDATE {} SET tenant_org_id = tenant_org_id", table.name)).await;
        if ending.refused.is_none() {
            transaction.commit().await.unwrap();
        }
    }
    database.admin.execute("NOTIFY the_end").await.unwrap();
    let mut heard = 0;
    loop {
        let notification = listener.recv().await.unwrap();
        if notification.channel() == "the_end" {
            break;
        }
        let payload = notification.payload();
        assert!(!payload.contains(VICTIM) && !payload.contains(SECRET), "{notification:?}");
        heard += 1;
    }
    assert!(heard > 0);
}

/// 154: row level security does not reach large objects: there are none, and those of other roles are closed.
#[tokio::test]
async fn nothing_is_kept_in_large_objects() {
    let database = world().await;
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_largeobject_metadata").fetch_one(&database.admin).await.unwrap();
    assert_eq!(kept, 0);
    let object: i64 = sqlx::query_scalar("SELECT lo_from_bytea(0, convert_to('zzsecret', 'UTF8'))::bigint")
        .fetch_one(&database.hq)
        .await
        .unwrap();
    for role in NOT_HQ {
        let mut connection = pool(&database, role).acquire().await.unwrap();
        for sql in [format!("SELECT lo_get({object})"), "SELECT data FROM pg_largeobject".to_owned()] {
            let ending = run(&mut connection, &sql).await;
            assert_eq!(ending.refused.map(|refusal| refusal.code), Some("42501".to_owned()), "{sql} as {role}");
        }
    }
}

/// 155: tables and functions in front of the schema's do not mislead what runs as the owner.
#[tokio::test]
async fn functions_that_run_as_the_owner_find_their_own() {
    let database = world().await;
    let document = "SELECT document FROM leasehold.hq_tenant_documents(ARRAY['tenant-a'])";
    let before = run(&mut database.hq.acquire().await.unwrap(), document).await.shown;
    assert!(before.contains("asecret"));
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'leasehold'::regnamespace AND relkind = 'r'",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();

    let mut transaction = TenantTransaction::begin(&database.hq, &tenant("tenant-a")).await.unwrap();
    for name in &names {
        let shadow = format!("CREATE TEMP TABLE {name} (tenant_org_id text, seq bigint, hash bytea) ON COMMIT DROP");
        support::execute(transaction.connection(), &shadow).await;
    }
    support::execute(
        transaction.connection(),
        "CREATE FUNCTION playground.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$;
         CREATE FUNCTION playground.iso_ms(timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT 'never' $$;
         CREATE FUNCTION playground.workflow_settings(text, text, text) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
         SET LOCAL search_path = pg_temp, playground, pg_catalog, leasehold",
    )
    .await;
    assert_eq!(run(transaction.connection(), document).await.shown, before);
    let append = "SELECT leasehold.append_audit('tenant-a', '2026-01-01Z', 'hq', 'was.here', NULL, '\\x7b7d')";
    assert_eq!(run(transaction.connection(), append).await.shown, "2");
    let shadows = "SELECT count(*) FROM pg_temp.sys_audit_log";
    assert_eq!(run(transaction.connection(), shadows).await.shown, "0");
    transaction.commit().await.unwrap();
    let whole: bool = sqlx::query_scalar(
        "SELECT bool_and(octet_length(hash) = 32) AND count(*) = 2 FROM leasehold.sys_audit_log WHERE tenant_org_id = 'tenant-a'",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert!(whole);
}

const INJECTIONS: &[&str] = &[
    "'; DELETE FROM leasehold.org_feature_overrides; --",
    "tenant-b' OR '1'='1",
    "' UNION SELECT * FROM leasehold.org_tenants_mst --",
    "$$; RESET ROLE; $$",
    "\\'; SET app.current_tenant_id = 'tenant-b'; --",
    "%s %I %L %1$s",
    "\"; DROP TABLE leasehold.org_tenants_mst; --",
    "\u{2bc}; SELECT 1; --\u{202e}",
    "{\"tenant_org_id\": \"tenant-b\"}",
    "$1 $2 :name ? ??",
];

/// 160: text stays text, in every column that HQ writes and whatever reads it then.
#[tokio::test]
async fn text_in_every_column_stays_text() {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    let before = state(&mut admin, &tables).await;
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT c.oid::regclass::text, quote_ident(a.attname), format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL)
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         JOIN pg_type t ON t.oid = a.atttypid
         WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind = 'r' AND a.attgenerated = ''
             AND has_column_privilege('leasehold_hq', c.oid, a.attnum, 'UPDATE')
             AND coalesce(nullif(t.typbasetype, 0), t.oid) IN ('text'::regtype, 'jsonb'::regtype)
         ORDER BY 1, 2",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();
    assert!(columns.len() > 40, "{columns:?}");
    let (mut kept, mut refused) = (0, 0);
    for (table, column, kind) in &columns {
        for payload in INJECTIONS {
            let mut transaction = TenantTransaction::begin(&database.hq, &tenant("tenant-a")).await.unwrap();
            let value = if kind == "jsonb" { "jsonb_build_object('a', $1::text)" } else { "$1" };
            let sql = format!("UPDATE {table} SET {column} = {value} RETURNING to_jsonb({column})");
            let rows = sqlx::query_scalar::<_, serde_json::Value>(AssertSqlSafe(sql))
                .bind(payload)
                .fetch_all(transaction.connection())
                .await;
            match rows {
                Ok(rows) => {
                    let values = rows.iter().map(|row| row.get("a").unwrap_or(row).as_str().unwrap());
                    assert!(values.clone().all(|value| value == *payload), "{table}.{column}: {rows:?}");
                    kept += values.count();
                }
                Err(error) => {
                    // A rule of the schema, not a fault of what was sent.
                    let refusal = Refusal::from(error);
                    assert!(
                        ["22", "23", "42501"].iter().any(|class| refusal.code.starts_with(class)),
                        "{table}.{column}: {payload}: {refusal:?}"
                    );
                    refused += 1;
                    continue;
                }
            }
            // And what HQ makes of it.
            let read = "SELECT document FROM leasehold.hq_tenant_documents(ARRAY['tenant-a'])";
            let ending = run(transaction.connection(), read).await;
            assert!(ending.refused.is_none() && !ending.shown.contains(SECRET), "{table}.{column}: {ending:?}");
            // Some leave rows that no other test would want; what they did to the other tenant would be seen here.
            let others = "SELECT count(*) FROM leasehold.hq_tenant_documents(ARRAY['tenant-b'])
                          WHERE document::text LIKE '%zzsecret%'";
            assert_eq!(run(transaction.connection(), others).await.shown, "1", "{table}.{column}: {payload}");
        }
    }
    assert!(kept > 100 && refused > 100, "{kept} kept, {refused} refused");
    assert!(state(&mut admin, &tables).await == before);
}

/// 163: text stays text in columns that are written once and never changed: HQ's and the app's.
#[tokio::test]
async fn text_in_every_column_that_is_only_added_stays_text() {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    let before = state(&mut admin, &tables).await;
    let columns: Vec<(String, String, String, String, Vec<String>, bool)> = sqlx::query_as(
        "SELECT r.role, c.oid::regclass::text, quote_ident(a.attname),
             format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL),
             (SELECT array_agg(quote_ident(o.attname) ORDER BY o.attnum) FROM pg_attribute o WHERE o.attrelid = c.oid
                 AND o.attnum > 0 AND NOT o.attisdropped AND has_column_privilege(r.role, c.oid, o.attnum, 'INSERT')
                 AND o.attgenerated = '' AND o.attidentity = ''),
             EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = 'tenant_org_id')
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         JOIN pg_type t ON t.oid = a.atttypid, (VALUES ('leasehold_hq'), ('leasehold_app')) AS r(role)
         WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind = 'r' AND a.attgenerated = ''
             AND has_column_privilege(r.role, c.oid, a.attnum, 'INSERT')
             AND NOT (r.role = 'leasehold_hq' AND has_column_privilege(r.role, c.oid, a.attnum, 'UPDATE'))
             AND coalesce(nullif(t.typbasetype, 0), t.oid) IN ('text'::regtype, 'jsonb'::regtype)
         ORDER BY 1, 2, 3",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();
    for named in [
        "leasehold_hq leasehold.org_access_blocks.reason",
        "leasehold_hq leasehold.sys_outbox.payload",
        "leasehold_hq leasehold.sys_idempotency.response",
        "leasehold_app leasehold.org_usage_entries.idempotency_key",
        "leasehold_app leasehold.org_usage_events.idempotency_key",
    ] {
        let is_there = columns.iter().any(|(role, table, column, ..)| format!("{role} {table}.{column}") == named);
        assert!(is_there, "{named} is not among {columns:?}");
    }
    assert!(columns.len() >= 26, "{columns:?}");
    let mut kept = std::collections::BTreeSet::new();
    for (role, table, column, kind, all, of_tenants) in &columns {
        for payload in INJECTIONS {
            // A row that is there already, with another text in it, written by whoever may.
            let mut transaction = admin.begin().await.unwrap();
            support::execute(&mut transaction, "SET LOCAL session_replication_role = replica").await;
            let whose = if *of_tenants { " WHERE tenant_org_id = 'tenant-a'" } else { "" };
            let sql = format!(
                "DELETE FROM {table} t WHERE ctid = (SELECT ctid FROM {table}{whose} LIMIT 1) RETURNING to_jsonb(t)"
            );
            let row: serde_json::Value =
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *transaction).await.unwrap();
            support::execute(
                &mut transaction,
                &format!(
                    "SET LOCAL session_replication_role = origin; SET LOCAL app.current_tenant_id = 'tenant-a';
                     SET LOCAL ROLE {role}"
                ),
            )
            .await;
            let value = if kind == "jsonb" { "jsonb_build_object('a', $2::text)" } else { "to_jsonb($2::text)" };
            let all = all.join(", ");
            let sql = format!(
                "INSERT INTO {table} ({all}) SELECT {all} FROM jsonb_populate_record(NULL::{table},
                     $1 || jsonb_build_object('{column}', {value}))"
            );
            let added =
                sqlx::query(AssertSqlSafe(sql)).bind(row).bind(payload).execute(&mut *transaction).await.map(drop);
            match added {
                Ok(()) => {
                    support::execute(&mut transaction, "RESET ROLE").await;
                    let sql = format!(
                        "SELECT count(*) FROM {table} WHERE to_jsonb({column}) = {}",
                        value.replace("$2", "$1")
                    );
                    let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                        .bind(payload)
                        .fetch_one(&mut *transaction)
                        .await
                        .unwrap();
                    assert_eq!(found, 1, "{table}.{column}: {payload}");
                    // And what HQ makes of it; here the other tenant is as it was, whatever was added.
                    let read = "SELECT document FROM leasehold.hq_tenant_documents(ARRAY['tenant-a'])";
                    let ending = run(&mut transaction, read).await;
                    assert!(ending.refused.is_none() && !ending.shown.contains(SECRET), "{table}.{column}: {ending:?}");
                    assert!(state(&mut transaction, &tables).await == before, "{table}.{column}: {payload}");
                    kept.insert(format!("{table}.{column}"));
                }
                Err(error) => {
                    // A rule of the schema, not a fault of what was sent.
                    let refusal = Refusal::from(error);
                    assert!(
                        ["22", "23", "42501"].iter().any(|class| refusal.code.starts_with(class))
                            && refusal.code != "23505",
                        "{table}.{column}: {payload}: {refusal:?}"
                    );
                }
            }
            transaction.rollback().await.unwrap();
        }
    }
    for named in [
        "org_access_blocks.reason",
        "sys_outbox.payload",
        "sys_idempotency.response",
        "org_usage_entries.idempotency_key",
        "org_usage_reservations.idempotency_key",
        "org_usage_events.idempotency_key",
    ] {
        assert!(kept.contains(&format!("leasehold.{named}")), "{named} was never added: {kept:?}");
    }
}

/// 164: workers mark events as told by their numbers, which nobody but Postgres gives.
#[tokio::test]
async fn events_of_others_are_not_marked_along() {
    let database = world().await;
    let number: i64 =
        sqlx::query_scalar("SELECT event_id FROM leasehold.org_usage_events WHERE tenant_org_id = 'tenant-b'")
            .fetch_one(&database.admin)
            .await
            .unwrap();
    for (columns, values) in [("event_id", number.to_string()), ("delivered_at_ms", "0".to_owned())] {
        let mut transaction = TenantTransaction::begin(&database.app, &tenant("tenant-a")).await.unwrap();
        let sql = format!(
            "INSERT INTO leasehold.org_usage_events ({columns}, tenant_org_id, idempotency_key, kind, feature_key,
                 window_start_ms, percent, mode, limit_amount, used, at_ms) OVERRIDING SYSTEM VALUE
             VALUES ({values}, 'tenant-a', 'mine', 'threshold', 'orders', 0, 80, 'hard', 3, 3, 0)"
        );
        let ending = run(transaction.connection(), &sql).await;
        assert_eq!(ending.refused.map(|refusal| refusal.code), Some("42501".to_owned()), "{columns}");
    }
}

/// 165: numbers that anybody may lock keep nobody from publishing, authoring or administering; and what HQ locks instead,
/// nobody else can.
#[tokio::test(flavor = "multi_thread")]
async fn locks_that_anybody_may_take_keep_nobody_waiting() {
    let database = support::database().await;
    published(&database).await;
    let mut holders = Vec::new();
    for role in ["app", "engine"] {
        let mut connection = PgConnection::connect_with(&database.options(role)).await.unwrap();
        for name in ["publish", "definitions", "staff"] {
            // Shared, so that each of them holds it; an exclusive lock waits for that as for any other.
            let sql = format!("SELECT pg_advisory_lock_shared(hashtext('leasehold {name}'))");
            assert_eq!(run(&mut connection, &sql).await.refused, None);
        }
        for sql in [
            "SELECT FROM leasehold.sys_publisher FOR UPDATE",
            "SELECT FROM leasehold.sys_publisher FOR KEY SHARE",
            "SELECT leasehold.hq_hold_publisher(NULL)",
            "SELECT 1; LOCK TABLE leasehold.sys_publisher IN ROW SHARE MODE",
            "SELECT FROM leasehold.sys_features_cf FOR KEY SHARE",
            "SELECT FROM leasehold.sys_staff FOR KEY SHARE",
        ] {
            assert_eq!(
                run(&mut connection, sql).await.refused.map(|refusal| refusal.code).as_deref(),
                Some("42501"),
                "{sql}"
            );
        }
        for mode in ["ROW SHARE", "ROW EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"] {
            let sql = format!("SELECT 1; LOCK TABLE leasehold.sys_features_cf IN {mode} MODE");
            assert_eq!(
                run(&mut connection, &sql).await.refused.map(|refusal| refusal.code).as_deref(),
                Some("42501"),
                "{sql}"
            );
        }
        // To read is all that is left to an app, and keeps nobody from writing.
        if role == "app" {
            assert_eq!(
                run(&mut connection, "BEGIN; LOCK TABLE leasehold.sys_features_cf IN ACCESS SHARE MODE").await.refused,
                None
            );
        }
        holders.push(connection);
    }
    // Whoever waited for one of them would be told so, and not wait for ever.
    let options = database.options("hq").options([("lock_timeout", "20s")]);
    let hq = Hq::connect(options).await.unwrap();
    hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default());
    publisher.publish().await.unwrap().unwrap();
    assert!(!publisher.heartbeat(0).await.unwrap().is_empty());
    let key: leasehold::FeatureKey = "max_users".parse().unwrap();
    let mut feature = hq.read::<leasehold::model::Feature>(&key).await.unwrap();
    feature.record.name = "People".to_owned();
    hq.update(&key, &feature, &ada()).await.unwrap();
    adopt(&publisher).await;
    hq.add_staff("root", "super_admin", "argon2id", &ada()).await.unwrap();
    let changed = StaffChange::Password("another".to_owned());
    hq.change_staff("root", &changed, &ada()).await.unwrap();
    assert_published(&database, &hq).await;
    drop(holders);
}

/// 166: contents that somebody with HQ's role has put under a hash before are put right by who publishes them.
#[tokio::test]
async fn contents_that_are_there_before_are_put_right() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let to = async |plan: &str| {
        hq.change_tenant(&id("om-muscat-sparkle"), &put(plan), None, None, &ada()).await.unwrap();
        publisher.publish().await.unwrap().unwrap();
    };
    to("starter").await;
    let kept: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT hash, bytes FROM leasehold.sys_chunks WHERE created_at = (SELECT max(created_at) FROM leasehold.sys_chunks)",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();
    assert!(kept.len() >= 3);
    to("business").await;
    // What nothing names any more, as somebody could have written it before it was ever named.
    for (hash, _) in &kept {
        sqlx::query("SELECT leasehold.hq_keep_contents(ARRAY[$1], '{1}', '{zstd}', ARRAY['poison'::bytea])")
            .bind(hash)
            .execute(&database.hq)
            .await
            .unwrap();
    }
    let fresh = Publisher::new(archive(hq.clone()), signer(), Timing::default());
    hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    fresh.publish().await.unwrap().unwrap();
    assert_published(&database, &hq).await;
    for (hash, bytes) in &kept {
        let now: Vec<u8> = sqlx::query_scalar("SELECT bytes FROM leasehold.sys_chunks WHERE hash = $1")
            .bind(hash)
            .fetch_one(&database.admin)
            .await
            .unwrap();
        assert!(now == *bytes);
    }
}

/// 161: text in every argument of every function, for HQ and for apps. Items can be created and moved, so that the functions
/// which do so come to their ends.
#[tokio::test]
async fn text_in_every_argument_stays_text() {
    let database = world().await;
    let tables = tables(&database.admin).await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    let machine = r#"{"workflow": "order", "version": 1, "category": null,
        "stages": [{"stage": "new", "initial": true, "final": false}, {"stage": "done", "initial": false, "final": true}],
        "transitions": [{"transition": "finish", "event": "finished", "from": "new", "to": "done", "guards": []},
                        {"transition": "again", "event": "begun", "from": "done", "to": "new", "guards": []}]}"#;
    let machine: Vec<u8> =
        sqlx::query_scalar("SELECT leasehold.hq_put_machine($1)").bind(machine).fetch_one(&database.hq).await.unwrap();
    sqlx::query(
        "UPDATE leasehold.org_workflow_machines SET machine = $1, category = '' WHERE tenant_org_id = 'tenant-a'",
    )
    .bind(machine)
    .execute(&database.admin)
    .await
    .unwrap();
    let before = state(&mut admin, &tables).await;
    for role in ["hq", "app"] {
        for (at, payload) in INJECTIONS.iter().enumerate() {
            let text = format!("'{}'", payload.replace('\'', "''"));
            for call in calls(&mut admin, &text).await {
                let mut transaction =
                    TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
                let ending = run(transaction.connection(), &call).await;
                assert!(!ending.shown.contains(SECRET), "{call} as {role}: {ending:?}");
                if ending.refused.is_none() {
                    transaction.commit().await.unwrap();
                }
            }
            // Those that move items, with the text wherever it is not what leads to the move.
            let item = format!("'{role} {at} ' || {text}");
            let moves = [
                format!("leasehold.hq_create_item({item}, 'order', NULL, {text}, 'create ' || {item}, {text})"),
                format!("leasehold.hq_transition({item}, {text}, jsonb_build_object({text}, {text}), ARRAY[{text}], 1, {text})"),
                format!("leasehold.hq_transition({item}, 'done', jsonb_build_object({text}, {text}), ARRAY[{text}], 1, {text},
                     'move ' || {item}, {text})"),
            ];
            for (step, call) in moves.iter().enumerate() {
                let mut transaction =
                    TenantTransaction::begin(pool(&database, role), &tenant("tenant-a")).await.unwrap();
                let sql = format!("SELECT to_jsonb(x)::text FROM {call} AS x");
                let ending = run(transaction.connection(), &sql).await;
                match (role, step, &ending.refused) {
                    // To the stage of that name.
                    (_, 1, Some(refusal)) => assert!(refusal.said.starts_with("unknown_stage"), "{call}: {refusal:?}"),
                    (_, 0 | 2, None) => transaction.commit().await.unwrap(),
                    _ => panic!("{call} as {role}: {ending:?}"),
                }
            }
            let moved: (String, serde_json::Value, String) = sqlx::query_as(
                "SELECT actor, context, trace_id FROM leasehold.org_workflow_transition_log
                 WHERE tenant_org_id = 'tenant-a' AND item_id = $1 AND row_version = 2",
            )
            .bind(format!("{role} {at} {payload}"))
            .fetch_one(&database.admin)
            .await
            .unwrap();
            let context = serde_json::json!({ "inputs": { *payload: payload }, "roles": [payload] });
            assert_eq!(moved, ((*payload).to_owned(), context, (*payload).to_owned()), "{payload} as {role}");
            assert!(state(&mut admin, &tables).await == before, "{payload} as {role}");
        }
    }
    // 162: the typed context takes ids alone.
    for payload in INJECTIONS {
        assert!(payload.parse::<TenantId>().is_err(), "{payload}");
    }
}
