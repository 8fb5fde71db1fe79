//! The system catalog against the rules of the schema. Whoever adds a table, a view, a function or a grant finds here what
//! it must have; a rule names the object that breaks it, and each rule is shown to see what it is there for.

use crate::support;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// What the rules ask about: tables of tenants, what belongs to extensions, and what each role was given.
const WORDS: &str = "
    WITH ours AS (SELECT 'leasehold'::regnamespace AS oid),
    extension AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
    relation AS (
        SELECT c.* FROM pg_class c, ours WHERE c.relnamespace = ours.oid
            AND NOT EXISTS (SELECT FROM extension e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid)),
    routine AS (
        SELECT p.*, format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) AS signature
        FROM pg_proc p, ours WHERE p.pronamespace = ours.oid
            AND NOT EXISTS (SELECT FROM extension e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid)),
    kind AS (
        SELECT t.* FROM pg_type t, ours WHERE t.typnamespace = ours.oid AND (t.typtype IN ('d', 'e', 'r')
            -- Tables have a composite type too, which is no type by itself.
            OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
            AND NOT EXISTS (SELECT FROM extension e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid)),
    tenant AS (
        SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, a.attnum, a.attnotnull
        FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_org_id' AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p', 'f', 'm')),
    grant_to AS (
        SELECT acl.grantee, acl.privilege_type, acl.is_grantable, r.relowner AS owner, r.relname::text AS name
        FROM relation r, aclexplode(r.relacl) acl
        UNION ALL
        SELECT acl.grantee, acl.privilege_type, acl.is_grantable, r.relowner, format('%s (%s)', r.relname, a.attname)
        FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid, aclexplode(a.attacl) acl
        UNION ALL
        SELECT acl.grantee, acl.privilege_type, acl.is_grantable, p.proowner, p.signature
        FROM routine p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
        -- By default everybody may execute a function; one that runs with the rights of its caller gives nothing away.
        WHERE acl.grantee <> 0 OR p.prosecdef
        UNION ALL
        SELECT acl.grantee, acl.privilege_type, acl.is_grantable, n.nspowner, format('SCHEMA %s', n.nspname)
        FROM pg_namespace n JOIN ours USING (oid), aclexplode(n.nspacl) acl
        UNION ALL
        SELECT acl.grantee, acl.privilege_type, acl.is_grantable, d.defaclrole, 'what is created later'
        FROM pg_default_acl d, aclexplode(d.defaclacl) acl
        WHERE d.defaclnamespace IN (0, (SELECT oid FROM ours)) AND d.defaclrole = 'leasehold_owner'::regrole)";

/// A rule: what breaks it is what this gives, by name.
struct Rule {
    name: &'static str,
    broken_by: &'static str,
    /// What breaks it, and how it is named.
    plants: &'static [(&'static str, &'static str)],
}

const RULES: &[Rule] = &[
    Rule {
        name: "row level security is on, and forced",
        broken_by: "SELECT relname::text FROM tenant WHERE NOT (relrowsecurity AND relforcerowsecurity)",
        plants: &[
            ("CREATE TABLE planted (tenant_org_id text NOT NULL)", "planted"),
            (
                "CREATE TABLE planted (tenant_org_id text NOT NULL); ALTER TABLE planted ENABLE ROW LEVEL SECURITY",
                "planted",
            ),
            ("ALTER TABLE org_tenants_mst NO FORCE ROW LEVEL SECURITY", "org_tenants_mst"),
            ("ALTER TABLE org_tenants_mst DISABLE ROW LEVEL SECURITY", "org_tenants_mst"),
            // A copy of rows that no policy reaches.
            ("CREATE MATERIALIZED VIEW planted AS SELECT tenant_org_id FROM org_tenants_mst", "planted"),
            (
                "CREATE TABLE planted (tenant_org_id text NOT NULL) PARTITION BY LIST (tenant_org_id);
                 SELECT isolate_tenants('planted');
                 CREATE TABLE planted_part PARTITION OF planted DEFAULT",
                "planted_part",
            ),
        ],
    },
    Rule {
        name: "the policies are those of isolate_tenants, and no others but HQ's for what concerns all tenants",
        broken_by: "
            SELECT format('%s: %s', t.relname, coalesce(p.polname, 'lacks ' || wanted.name))
            FROM tenant t CROSS JOIN (VALUES ('own_tenant'), ('owner_sees_all')) AS wanted(name)
            LEFT JOIN pg_policy p ON p.polrelid = t.oid AND p.polname = wanted.name
            WHERE t.relkind <> 'm' AND (p.oid IS NULL OR NOT p.polpermissive OR p.polcmd <> '*')
            UNION ALL
            SELECT format('%s: %s', t.relname, p.polname) FROM tenant t JOIN pg_policy p ON p.polrelid = t.oid,
            LATERAL (SELECT p.polroles::regrole[]::text[],
                replace(replace(pg_get_expr(p.polqual, t.oid), '(tenant_org_id)::text', 'tenant_org_id'), ' ', ''),
                replace(replace(pg_get_expr(p.polwithcheck, t.oid), '(tenant_org_id)::text', 'tenant_org_id'), ' ', '')
            ) AS x(roles, shown, taken)
            WHERE shown IS DISTINCT FROM taken OR (p.polname, x.roles, x.shown) NOT IN (
                ('own_tenant', '{-}'::text[], '(tenant_org_id=(SELECTcurrent_tenant()AScurrent_tenant))'),
                -- The ledger's, which does without HQ's function.
                ('own_tenant', '{-}',
                    '(tenant_org_id=(SELECTNULLIF(current_setting(''app.current_tenant_id''::text,true),''''::text)AS\"nullif\"))'),
                ('owner_sees_all', '{leasehold_owner}', 'true'),
                ('hq_own', '{leasehold_hq}', '(tenant_org_id=''''::text)'))",
        plants: &[
            (
                "CREATE TABLE planted (tenant_org_id text NOT NULL); ALTER TABLE planted ENABLE ROW LEVEL SECURITY;
                 ALTER TABLE planted FORCE ROW LEVEL SECURITY",
                "planted: lacks own_tenant",
            ),
            ("DROP POLICY owner_sees_all ON org_tenants_mst", "org_tenants_mst: lacks owner_sees_all"),
            ("ALTER POLICY own_tenant ON org_tenants_mst WITH CHECK (true)", "org_tenants_mst: own_tenant"),
            ("ALTER POLICY own_tenant ON org_tenants_mst USING (true)", "org_tenants_mst: own_tenant"),
            ("CREATE POLICY planted ON org_tenants_mst USING (name = 'Public')", "org_tenants_mst: planted"),
            ("ALTER POLICY owner_sees_all ON org_tenants_mst TO PUBLIC", "org_tenants_mst: owner_sees_all"),
            ("ALTER POLICY hq_own ON sys_outbox TO leasehold_app", "sys_outbox: hq_own"),
        ],
    },
    Rule {
        name: "a table of tenants says whose its rows are",
        broken_by: "
            SELECT r.relname::text FROM relation r LEFT JOIN tenant t USING (oid)
            WHERE r.relkind IN ('r', 'p', 'f', 'm') AND r.relname ~ '^(org|tenant)_' AND t.oid IS NULL
            UNION ALL
            SELECT format('%s.%s', r.relname, a.attname) FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
            WHERE r.relkind IN ('r', 'p', 'f', 'm') AND a.attnum > 0 AND NOT a.attisdropped
                AND a.attname <> 'tenant_org_id' AND a.atttypid = 'tenant_id'::regtype
            UNION ALL
            SELECT format('%s.tenant_org_id', relname) FROM tenant WHERE NOT attnotnull AND relkind <> 'm'",
        plants: &[
            ("CREATE TABLE org_planted (key text PRIMARY KEY)", "org_planted"),
            ("CREATE TABLE sys_planted (owner_id tenant_id PRIMARY KEY)", "sys_planted.owner_id"),
            ("CREATE TABLE sys_planted (tenant_org_id tenant_id)", "sys_planted.tenant_org_id"),
        ],
    },
    Rule {
        name: "everything has a comment",
        broken_by: "
            SELECT format('SCHEMA %s', n.nspname) FROM pg_namespace n JOIN ours USING (oid)
            WHERE obj_description(n.oid, 'pg_namespace') IS NULL
            UNION ALL
            SELECT r.relname::text FROM relation r
            WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f') AND obj_description(r.oid, 'pg_class') IS NULL
            UNION ALL
            SELECT format('%s.%s', r.relname, a.attname) FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
            WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND a.attnum > 0 AND NOT a.attisdropped
                AND col_description(r.oid, a.attnum) IS NULL
            UNION ALL
            SELECT signature FROM routine WHERE obj_description(oid, 'pg_proc') IS NULL
            UNION ALL
            SELECT format('TYPE %s', typname) FROM kind WHERE obj_description(oid, 'pg_type') IS NULL",
        plants: &[
            ("COMMENT ON SCHEMA leasehold IS NULL", "SCHEMA leasehold"),
            ("CREATE TABLE planted (key text)", "planted"),
            ("COMMENT ON COLUMN org_tenants_mst.name IS NULL", "org_tenants_mst.name"),
            ("CREATE VIEW planted AS SELECT 1 AS one; COMMENT ON VIEW planted IS 'v'", "planted.one"),
            ("CREATE FUNCTION planted(a integer) RETURNS integer LANGUAGE sql RETURN a", "planted(a integer)"),
            ("COMMENT ON DOMAIN amount IS NULL", "TYPE amount"),
            ("CREATE TYPE planted AS (one text); COMMENT ON COLUMN planted.one IS 'o'", "TYPE planted"),
            ("COMMENT ON COLUMN item_move.at IS NULL", "item_move.at"),
        ],
    },
    Rule {
        name: "views run with the rights of who reads them",
        broken_by: "
            SELECT relname::text FROM relation WHERE relkind = 'v'
                AND NOT coalesce(reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on']
            UNION ALL
            SELECT format('%s: %s', r.relname, w.rulename) FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid
            WHERE w.rulename <> '_RETURN'",
        plants: &[
            ("CREATE VIEW planted AS SELECT * FROM org_tenants_mst", "planted"),
            ("CREATE VIEW planted WITH (security_invoker = false) AS SELECT * FROM org_tenants_mst", "planted"),
            // A rule runs what it adds with the rights of the table's owner.
            ("CREATE RULE planted AS ON DELETE TO sys_outbox DO INSTEAD NOTHING", "sys_outbox: planted"),
        ],
    },
    Rule {
        name: "functions that run as their owner look nowhere else, and are for those alone whom they are granted to",
        broken_by: "
            SELECT signature FROM routine WHERE prosecdef AND (
                proconfig IS NULL OR NOT 'search_path=leasehold, pg_temp' = ANY (proconfig)
                OR proowner <> 'leasehold_owner'::regrole
                OR EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0))
            UNION ALL
            SELECT signature FROM routine WHERE proleakproof",
        plants: &[
            (
                "CREATE FUNCTION planted() RETURNS integer LANGUAGE sql SECURITY DEFINER
                     SET search_path = leasehold, pg_temp RETURN 1;
                 ALTER FUNCTION planted() OWNER TO leasehold_owner",
                "planted()",
            ),
            (
                "CREATE FUNCTION planted() RETURNS integer LANGUAGE sql SECURITY DEFINER RETURN 1;
                 ALTER FUNCTION planted() OWNER TO leasehold_owner; REVOKE ALL ON FUNCTION planted() FROM PUBLIC",
                "planted()",
            ),
            (
                "CREATE FUNCTION planted() RETURNS integer LANGUAGE sql SECURITY DEFINER
                     SET search_path = public, leasehold RETURN 1;
                 ALTER FUNCTION planted() OWNER TO leasehold_owner; REVOKE ALL ON FUNCTION planted() FROM PUBLIC",
                "planted()",
            ),
            (
                "CREATE FUNCTION planted() RETURNS integer LANGUAGE sql SECURITY DEFINER
                     SET search_path = leasehold, pg_temp RETURN 1;
                 REVOKE ALL ON FUNCTION planted() FROM PUBLIC",
                "planted()",
            ),
            ("GRANT EXECUTE ON FUNCTION hq_audit_heads() TO PUBLIC", "hq_audit_heads()"),
            ("CREATE FUNCTION planted() RETURNS integer LANGUAGE sql LEAKPROOF RETURN 1", "planted()"),
        ],
    },
    Rule {
        name: "what policies call means the same wherever the caller looks",
        broken_by: "
            SELECT DISTINCT p.signature FROM routine p
            JOIN pg_depend d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
                AND d.classid = 'pg_policy'::regclass
            WHERE p.prosqlbody IS NULL AND (p.proconfig IS NULL OR NOT 'search_path=leasehold, pg_temp' = ANY (p.proconfig))",
        plants: &[(
            "CREATE OR REPLACE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
             AS $$ SELECT nullif(current_setting('app.current_tenant_id', true), '') $$",
            "current_tenant()",
        )],
    },
    Rule {
        name: "leasehold_owner owns everything",
        broken_by: "
            SELECT format('SCHEMA %s', n.nspname) FROM pg_namespace n JOIN ours USING (oid)
            WHERE n.nspowner <> 'leasehold_owner'::regrole
            UNION ALL
            SELECT relname::text FROM relation WHERE relowner <> 'leasehold_owner'::regrole AND relkind NOT IN ('i', 'I')
            UNION ALL
            SELECT signature FROM routine WHERE proowner <> 'leasehold_owner'::regrole
            UNION ALL
            SELECT format('TYPE %s', typname) FROM kind WHERE typowner <> 'leasehold_owner'::regrole",
        plants: &[
            ("ALTER SCHEMA leasehold OWNER TO CURRENT_USER", "SCHEMA leasehold"),
            ("CREATE TABLE planted (key text)", "planted"),
            ("CREATE SEQUENCE planted", "planted"),
            ("CREATE FUNCTION planted() RETURNS integer LANGUAGE sql RETURN 1", "planted()"),
            ("CREATE DOMAIN planted AS text", "TYPE planted"),
        ],
    },
    Rule {
        name: "nobody logs in as a role of the schema, and none stands above row level security or in another one",
        broken_by: "
            SELECT rolname::text FROM pg_roles WHERE rolname ~ '^leasehold_(owner|hq|app|engine)$'
                AND (rolsuper OR rolbypassrls OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolreplication)
            UNION ALL
            SELECT format('%s in %s', member::regrole, roleid::regrole) FROM pg_auth_members
            WHERE member::regrole::text ~ '^leasehold_(owner|hq|app|engine)$'",
        plants: &[
            ("ALTER ROLE leasehold_app BYPASSRLS", "leasehold_app"),
            ("ALTER ROLE leasehold_owner LOGIN", "leasehold_owner"),
            ("ALTER ROLE leasehold_hq SUPERUSER", "leasehold_hq"),
            ("ALTER ROLE leasehold_engine CREATEROLE", "leasehold_engine"),
            ("GRANT leasehold_owner TO leasehold_hq", "leasehold_hq in leasehold_owner"),
            ("GRANT pg_read_all_data TO leasehold_app", "leasehold_app in pg_read_all_data"),
        ],
    },
    Rule {
        name: "what policies do not reach is the owner's alone, and nobody passes on what was granted",
        broken_by: "
            SELECT format('%s %s ON %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
                privilege_type, name)
            FROM grant_to WHERE grantee <> owner AND grantee <> 'leasehold_owner'::regrole
                AND (privilege_type IN ('TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN', 'CREATE') OR is_grantable
                    OR name = 'what is created later')",
        plants: &[
            ("GRANT TRUNCATE ON org_tenants_mst TO leasehold_hq", "leasehold_hq TRUNCATE ON org_tenants_mst"),
            ("GRANT REFERENCES ON org_tenants_mst TO leasehold_app", "leasehold_app REFERENCES ON org_tenants_mst"),
            ("GRANT CREATE ON SCHEMA leasehold TO leasehold_hq", "leasehold_hq CREATE ON SCHEMA leasehold"),
            (
                "GRANT SELECT ON sys_heads TO leasehold_engine WITH GRANT OPTION",
                "leasehold_engine SELECT ON sys_heads",
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold GRANT SELECT ON TABLES TO leasehold_app",
                "leasehold_app SELECT ON what is created later",
            ),
        ],
    },
    Rule {
        name: "unique keys of tenants begin with the tenant, or are numbers that nobody but Postgres gives",
        broken_by: "
            SELECT c.relname::text FROM tenant t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
            WHERE (i.indisunique OR i.indisexclusion) AND i.indkey[0] <> t.attnum AND NOT (
                i.indnkeyatts = 1 AND EXISTS (
                    SELECT FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
                    WHERE a.attrelid = t.oid AND a.attnum = i.indkey[0] AND a.attidentity = 'a' AND NOT EXISTS (
                        SELECT FROM (SELECT * FROM aclexplode(r.relacl) UNION ALL SELECT * FROM aclexplode(a.attacl)) acl
                        WHERE acl.grantee <> r.relowner AND acl.privilege_type IN ('INSERT', 'UPDATE'))))",
        plants: &[
            ("CREATE UNIQUE INDEX planted ON org_tenants_mst (name)", "planted"),
            ("CREATE UNIQUE INDEX planted ON org_tenants_mst (name, tenant_org_id)", "planted"),
            ("CREATE UNIQUE INDEX planted ON org_tenants_mst ((lower(tenant_org_id)))", "planted"),
            ("GRANT INSERT ON sys_outbox TO leasehold_hq", "sys_outbox_pkey"),
            ("GRANT UPDATE (change_id) ON sys_publish_queue TO leasehold_hq", "sys_publish_queue_pkey"),
            (
                "ALTER TABLE org_subscriptions_mst ADD CONSTRAINT planted
                 EXCLUDE USING gist (phase_id WITH =, tstzrange(valid_from, valid_until) WITH &&)",
                "planted",
            ),
        ],
    },
    Rule {
        // What runs for all tenants finds rows by them; whoever may choose one could choose another tenant's.
        name: "nobody but Postgres gives the numbers in tables of tenants",
        broken_by: "
            SELECT DISTINCT format('%s %s ON %s (%s)', CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END,
                acl.privilege_type, t.relname, a.attname)
            FROM tenant t JOIN pg_class r USING (oid) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0,
                LATERAL (SELECT * FROM aclexplode(r.relacl) UNION ALL SELECT * FROM aclexplode(a.attacl)) acl
            WHERE a.attidentity <> '' AND acl.grantee <> r.relowner AND acl.privilege_type IN ('INSERT', 'UPDATE')
            UNION ALL
            SELECT format('%s.%s', t.relname, a.attname) FROM tenant t JOIN pg_attribute a ON a.attrelid = t.oid
            WHERE a.attidentity = 'd'",
        plants: &[
            ("GRANT INSERT ON org_usage_events TO leasehold_app", "leasehold_app INSERT ON org_usage_events (event_id)"),
            (
                "GRANT INSERT (event_id) ON org_usage_events TO PUBLIC",
                "PUBLIC INSERT ON org_usage_events (event_id)",
            ),
            ("GRANT UPDATE (event_id) ON sys_outbox TO leasehold_hq", "leasehold_hq UPDATE ON sys_outbox (event_id)"),
            (
                "ALTER TABLE org_usage_events ALTER COLUMN event_id SET GENERATED BY DEFAULT",
                "org_usage_events.event_id",
            ),
        ],
    },
    Rule {
        name: "foreign keys to a table of tenants stay within the tenant",
        broken_by: "
            SELECT format('%s: %s', k.conrelid::regclass, k.conname) FROM pg_constraint k JOIN tenant t ON t.oid = k.confrelid
            WHERE k.contype = 'f' AND NOT EXISTS (
                SELECT FROM unnest(k.conkey, k.confkey) AS pair(own, referenced) JOIN pg_attribute a
                    ON a.attrelid = k.conrelid AND a.attnum = pair.own
                WHERE a.attname = 'tenant_org_id' AND pair.referenced = t.attnum)",
        plants: &[
            (
                "ALTER TABLE org_access_blocks ADD UNIQUE (block_id);
                 ALTER TABLE org_access_block_lifts ADD CONSTRAINT planted
                     FOREIGN KEY (block_id) REFERENCES org_access_blocks (block_id)",
                "org_access_block_lifts: planted",
            ),
            (
                "CREATE TABLE sys_planted (owner_id text REFERENCES org_tenants_mst)",
                "sys_planted: sys_planted_owner_id_fkey",
            ),
        ],
    },
];

/// All that apps, engines and everybody may do. Row level security narrows it to the tenant. Add a line here together with
/// the grant, and an attempt in `attacks.rs` where it opens a new way.
const GRANTS: &[&str] = &[
    "leasehold_app EXECUTE ON hq_create_item(item text, workflow text, category text, actor text, idempotency_key text, trace_id text)",
    "leasehold_app EXECUTE ON hq_transition(item text, to_stage text, context jsonb, roles text[], expected_row_version bigint, actor text, idempotency_key text, trace_id text)",
    "leasehold_app EXECUTE ON ledger_expire(of_tenant text, of_feature text, of_window_ms bigint, now_ms bigint)",
    "leasehold_app EXECUTE ON ledger_sweep(now_ms bigint, at_most integer)",
    "leasehold_app INSERT ON org_usage_counters",
    "leasehold_app INSERT ON org_usage_entries",
    "leasehold_app INSERT ON org_usage_events (at_ms)",
    "leasehold_app INSERT ON org_usage_events (feature_key)",
    "leasehold_app INSERT ON org_usage_events (idempotency_key)",
    "leasehold_app INSERT ON org_usage_events (kind)",
    "leasehold_app INSERT ON org_usage_events (limit_amount)",
    "leasehold_app INSERT ON org_usage_events (mode)",
    "leasehold_app INSERT ON org_usage_events (percent)",
    "leasehold_app INSERT ON org_usage_events (tenant_org_id)",
    "leasehold_app INSERT ON org_usage_events (units)",
    "leasehold_app INSERT ON org_usage_events (used)",
    "leasehold_app INSERT ON org_usage_events (window_start_ms)",
    "leasehold_app INSERT ON org_usage_reservations",
    "leasehold_app SELECT ON org_usage_counters",
    "leasehold_app SELECT ON org_usage_entries",
    "leasehold_app SELECT ON org_usage_events",
    "leasehold_app SELECT ON org_usage_reservations",
    "leasehold_app SELECT ON org_workflow_items",
    "leasehold_app SELECT ON org_workflow_transition_log",
    "leasehold_app UPDATE ON org_usage_counters (earliest_expiry_ms)",
    "leasehold_app UPDATE ON org_usage_counters (granted_limit)",
    "leasehold_app UPDATE ON org_usage_counters (granted_mode)",
    "leasehold_app UPDATE ON org_usage_counters (granted_thresholds)",
    "leasehold_app UPDATE ON org_usage_counters (reserved)",
    "leasehold_app UPDATE ON org_usage_counters (used)",
    "leasehold_app UPDATE ON org_usage_events (delivered_at_ms)",
    "leasehold_app UPDATE ON org_usage_reservations (settled_at_ms)",
    "leasehold_app UPDATE ON org_usage_reservations (state)",
    "leasehold_app SELECT ON org_access_block_lifts",
    "leasehold_app SELECT ON org_access_blocks",
    "leasehold_app SELECT ON org_add_on_licences",
    "leasehold_app SELECT ON org_feature_overrides",
    "leasehold_app SELECT ON org_subscriptions_mst",
    "leasehold_app SELECT ON org_tenants_mst",
    "leasehold_app SELECT ON sys_add_on_contributions_cf",
    "leasehold_app SELECT ON sys_add_ons_cf",
    "leasehold_app SELECT ON sys_audit_log",
    "leasehold_app SELECT ON sys_feature_kills",
    "leasehold_app SELECT ON sys_features_cf",
    "leasehold_app SELECT ON sys_guards_cf",
    "leasehold_app SELECT ON sys_plan_features_cf",
    "leasehold_app SELECT ON sys_plan_limits_cf",
    "leasehold_app SELECT ON sys_plan_subscriptions_types_cf",
    "leasehold_app SELECT ON sys_plan_versions_cf",
    "leasehold_app SELECT ON tenant_workflow_settings_cf",
    "leasehold_app SELECT ON tenant_workflow_templates_cf",
    "leasehold_app SELECT ON workflow_template_cd",
    "leasehold_app SELECT ON workflow_template_stages",
    "leasehold_app SELECT ON workflow_template_transitions",
    "leasehold_app SELECT ON workflow_template_versions",
    "leasehold_app USAGE ON SCHEMA leasehold",
    "leasehold_engine SELECT ON sys_chunks",
    "leasehold_engine SELECT ON sys_heads",
    "leasehold_engine USAGE ON SCHEMA leasehold",
];

const GRANTED: &str = "
    SELECT DISTINCT format('%s %s ON %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
        privilege_type, name)
    FROM grant_to WHERE grantee IN (0, 'leasehold_app'::regrole, 'leasehold_engine'::regrole) ORDER BY 1";

async fn ask(connection: &mut PgConnection, question: &str) -> Vec<String> {
    let sql = format!("{WORDS} {question}");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{question}: {error}"))
}

/// What was granted and is not listed, and what is listed and was not granted.
async fn grants_that_differ(connection: &mut PgConnection) -> (Vec<String>, Vec<&'static str>) {
    let granted = ask(connection, GRANTED).await;
    let gone = GRANTS.iter().copied().filter(|listed| !granted.iter().any(|grant| grant == listed)).collect();
    (granted.into_iter().filter(|grant| !GRANTS.contains(&grant.as_str())).collect(), gone)
}

async fn connect(database: &support::Database) -> PgConnection {
    let mut connection = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    support::execute(&mut connection, "SET search_path = leasehold").await;
    connection
}

async fn broken(connection: &mut PgConnection, rule: &Rule) -> Vec<String> {
    ask(connection, rule.broken_by).await
}

#[tokio::test]
async fn the_schema_keeps_every_rule() {
    let database = support::database().await;
    let mut connection = connect(&database).await;
    let mut found = Vec::new();
    for rule in RULES {
        found.extend(broken(&mut connection, rule).await.into_iter().map(|name| format!("{}: {name}", rule.name)));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[tokio::test]
async fn every_rule_names_what_breaks_it() {
    let database = support::database().await;
    let _roles = support::roles().await;
    let mut connection = connect(&database).await;
    for rule in RULES {
        for (plant, name) in rule.plants {
            let mut transaction = connection.begin().await.unwrap();
            support::execute(&mut transaction, plant).await;
            let named = broken(&mut transaction, rule).await;
            assert!(named.iter().any(|found| found == name), "{}\n{plant}\nnames {named:?}, not {name}", rule.name);
            transaction.rollback().await.unwrap();
        }
    }
}

#[tokio::test]
async fn apps_and_engines_may_do_what_is_listed_and_nothing_else() {
    let database = support::database().await;
    let mut connection = connect(&database).await;
    let (more, less) = grants_that_differ(&mut connection).await;
    assert!(more.is_empty() && less.is_empty(), "granted and not listed: {more:#?}\nlisted and not granted: {less:#?}");

    let plants = [
        ("GRANT UPDATE ON org_tenants_mst TO leasehold_app", "leasehold_app UPDATE ON org_tenants_mst"),
        ("GRANT UPDATE (name) ON org_tenants_mst TO leasehold_app", "leasehold_app UPDATE ON org_tenants_mst (name)"),
        ("GRANT SELECT ON sys_outbox TO PUBLIC", "PUBLIC SELECT ON sys_outbox"),
        (
            "GRANT EXECUTE ON FUNCTION hq_audit_heads() TO leasehold_engine",
            "leasehold_engine EXECUTE ON hq_audit_heads()",
        ),
        ("GRANT USAGE ON SCHEMA leasehold TO PUBLIC", "PUBLIC USAGE ON SCHEMA leasehold"),
        (
            "GRANT SELECT ON SEQUENCE sys_outbox_event_id_seq TO leasehold_app",
            "leasehold_app SELECT ON sys_outbox_event_id_seq",
        ),
    ];
    for (plant, line) in plants {
        let mut transaction = connection.begin().await.unwrap();
        support::execute(&mut transaction, plant).await;
        assert_eq!(grants_that_differ(&mut transaction).await.0, [line]);
        transaction.rollback().await.unwrap();
    }
}
