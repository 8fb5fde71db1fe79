-- What HQ decides: features, plans, add-ons, kill switches, and the tenants they are decided for.
--
-- Tables of HQ are called `sys_*`, those of tenants `org_*` or `tenant_*`; every table with the column `tenant_org_id` has
-- row level security, forced. Roles:
--
--   leasehold_owner   NOLOGIN. Owns everything here. Nobody logs in as it; functions with SECURITY DEFINER run as it.
--   leasehold_hq      HQ's back end: authors definitions, and tenants one by one within a tenant context.
--   leasehold_app     a tenant's app: sees and writes its own tenant's rows within a tenant context.
--   leasehold_engine  an embedding service: reads heads and contents, nothing else.
--
-- Roles belong to the whole cluster. Give a login role one of the last three: GRANT leasehold_hq TO my_backend.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['leasehold_owner', 'leasehold_hq', 'leasehold_app', 'leasehold_engine'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Another database of the cluster was migrated at the same time.
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

-- What follows is done as the owner. A superuser may, and so may a member; who just made the role is none yet.
DO $$
BEGIN
    SET LOCAL ROLE leasehold_owner;
    RESET ROLE;
EXCEPTION WHEN insufficient_privilege THEN
    GRANT leasehold_owner TO CURRENT_USER;
END
$$;

CREATE SCHEMA IF NOT EXISTS leasehold;
ALTER SCHEMA leasehold OWNER TO leasehold_owner;
COMMENT ON SCHEMA leasehold IS 'Entitlements and policy: what HQ decides, what it published, and what tenants used.';
GRANT USAGE ON SCHEMA leasehold TO leasehold_hq, leasehold_app, leasehold_engine;

-- Exclusion constraints compare keys and intervals in one index.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA leasehold;

-- Whoever connects compares its schema with the migrations that were applied. Whoever migrates owns their table.
DO $$
BEGIN
    IF to_regclass('_sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON _sqlx_migrations TO leasehold_hq, leasehold_app, leasehold_engine;
    END IF;
END
$$;

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

CREATE DOMAIN tenant_id AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$');
COMMENT ON DOMAIN tenant_id IS 'Id of a tenant, compared by bytes.';
CREATE DOMAIN record_id AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$');
COMMENT ON DOMAIN record_id IS 'Id of a record, stage, transition or event, compared by bytes.';
CREATE DOMAIN key AS text COLLATE "C" CHECK (VALUE ~ '^[a-z][a-z0-9_.-]{0,63}$');
COMMENT ON DOMAIN key IS 'Key of a feature, plan, add-on, group, guard or workflow, compared by bytes.';
CREATE DOMAIN region AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$');
COMMENT ON DOMAIN region IS 'Where a tenant''s data lives, and which stream of snapshots it is in.';
CREATE DOMAIN version_number AS bigint CHECK (VALUE BETWEEN 0 AND 4294967295);
COMMENT ON DOMAIN version_number IS 'Number of a version of a plan or template.';
CREATE DOMAIN amount AS bigint CHECK (VALUE BETWEEN 0 AND 9007199254740991);
COMMENT ON DOMAIN amount IS 'A quantity that every language can hold exactly: 0 to 2^53 - 1.';
-- Engines count in milliseconds, from year 1 to 9999; anything else would be lost on the way.
CREATE DOMAIN instant AS timestamptz CHECK (VALUE >= '0001-01-01T00:00:00Z' AND VALUE < '10000-01-01T00:00:00Z'
    AND date_trunc('milliseconds', VALUE AT TIME ZONE 'UTC') = VALUE AT TIME ZONE 'UTC');
COMMENT ON DOMAIN instant IS 'An instant that engines know: whole milliseconds, years 1 to 9999.';

-- The tenant of the running transaction; null where there is none. A setting that was local to a transaction comes back
-- as '' after it. The body is parsed here and now: whatever the caller's search_path leads to, it means this.
CREATE FUNCTION current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.current_tenant_id', true), '');
COMMENT ON FUNCTION current_tenant() IS 'The tenant of the running transaction; null where there is none.';

-- Bound as above; and STABLE, as to_char is, so that it is taken into the statements that call it.
CREATE FUNCTION iso_ms(at timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
COMMENT ON FUNCTION iso_ms(timestamptz) IS 'An instant as definitions have it: RFC 3339, UTC, milliseconds.';

CREATE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are facts: they are added and never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
COMMENT ON FUNCTION refuse_change() IS 'Trigger of tables whose rows are only ever added.';

-- What is published -------------------------------------------------------------------------------------------------

CREATE TABLE sys_definition_files (
    file text PRIMARY KEY CHECK (file ~ '^([A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*\.json$'
        AND file !~ '\.json/' AND length(file) <= 1000),
    schema_ref text
);
COMMENT ON TABLE sys_definition_files IS 'Files that definitions are imported from and exported to.';
COMMENT ON COLUMN sys_definition_files.file IS 'Path in the directory of definitions.';
COMMENT ON COLUMN sys_definition_files.schema_ref IS 'What the file has under "$schema".';

CREATE TABLE sys_features_cf (
    feature_key key PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    kind text NOT NULL CHECK (kind IN ('switch', 'value', 'limit')),
    name text NOT NULL,
    name2 text NOT NULL,
    group_key key NOT NULL,
    requires key[] NOT NULL DEFAULT '{}',
    min_access text NOT NULL DEFAULT 'full' CHECK (min_access IN ('full', 'read_only', 'billing_only', 'none')),
    min_read text NOT NULL DEFAULT 'read_only' CHECK (min_read IN ('full', 'read_only', 'billing_only', 'none')),
    staleness text NOT NULL DEFAULT 'serve' CHECK (staleness IN ('serve', 'off')),
    value_type text,
    unit text,
    "window" text CHECK ("window" IN ('none', 'day', 'month', 'year')),
    "default" jsonb NOT NULL,
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (feature_key, kind),
    CHECK ((kind = 'value') = (value_type IS NOT NULL)),
    CHECK ((kind = 'limit') = (unit IS NOT NULL)),
    CHECK ((kind = 'limit') = ("window" IS NOT NULL)),
    CHECK (kind <> 'switch' OR jsonb_typeof("default") = 'boolean'),
    CHECK (kind <> 'limit' OR jsonb_typeof("default") = 'object')
);
COMMENT ON TABLE sys_features_cf IS 'What tenants may have: switches, values and limits, each with a global default.';
COMMENT ON COLUMN sys_features_cf.feature_key IS 'Key of the feature.';
COMMENT ON COLUMN sys_features_cf.file IS 'File that it is exported to.';
COMMENT ON COLUMN sys_features_cf.kind IS 'What an answer looks like: switch, value or limit.';
COMMENT ON COLUMN sys_features_cf.name IS 'Label in English.';
COMMENT ON COLUMN sys_features_cf.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN sys_features_cf.group_key IS '"module", "add_on" or a group of your own.';
COMMENT ON COLUMN sys_features_cf.requires IS 'Switches that must be on for this feature to be on.';
COMMENT ON COLUMN sys_features_cf.min_access IS 'Least access level at which it may be used.';
COMMENT ON COLUMN sys_features_cf.min_read IS 'Least access level at which what it made may be read.';
COMMENT ON COLUMN sys_features_cf.staleness IS 'What happens after the head has expired: serve, or off.';
COMMENT ON COLUMN sys_features_cf.value_type IS 'Type of every value; of value features alone.';
COMMENT ON COLUMN sys_features_cf.unit IS 'What is counted, in the singular; of limits alone.';
COMMENT ON COLUMN sys_features_cf."window" IS 'How often the count starts again; of limits alone.';
COMMENT ON COLUMN sys_features_cf."default" IS 'The global default: a boolean, a value, or a grant.';
COMMENT ON COLUMN sys_features_cf.row_version IS 'Grows with every change; writers name the one that they saw.';
COMMENT ON COLUMN sys_features_cf.updated_at IS 'When it was changed last.';

CREATE TABLE sys_plan_subscriptions_types_cf (
    plan_key key PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    name text NOT NULL,
    name2 text NOT NULL,
    rank bigint NOT NULL CHECK (rank BETWEEN 0 AND 4294967295),
    price_amount text NOT NULL CHECK (price_amount ~ '^[0-9]{1,15}(\.[0-9]{1,6})?$'),
    price_currency text NOT NULL CHECK (price_currency ~ '^[A-Z]{3}$'),
    price_period text NOT NULL CHECK (price_period IN ('month', 'year')),
    retired_at timestamptz,
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sys_plan_subscriptions_types_cf IS 'Plans: what is sold as a whole.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.plan_key IS 'Key of the plan.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.file IS 'File that it is exported to.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.name IS 'Label in English.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.rank IS 'Position among the plans: a higher rank is a bigger plan.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.price_amount IS 'Decimal number as text: there are no floats.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.price_currency IS 'ISO 4217 code.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.price_period IS 'How often it is paid.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.retired_at IS 'Since when no new phase may name the plan.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.row_version IS 'Grows with every change; writers name the one that they saw.';
COMMENT ON COLUMN sys_plan_subscriptions_types_cf.updated_at IS 'When it was changed last.';

CREATE TABLE sys_plan_versions_cf (
    plan_key key NOT NULL REFERENCES sys_plan_subscriptions_types_cf ON DELETE CASCADE,
    version version_number NOT NULL,
    effective_from instant NOT NULL,
    moves text NOT NULL CHECK (moves IN ('now', 'renewal', 'never')),
    published_at timestamptz,
    PRIMARY KEY (plan_key, version)
);
COMMENT ON TABLE sys_plan_versions_cf IS 'Versions of plans. A version never changes once it is published.';
COMMENT ON COLUMN sys_plan_versions_cf.plan_key IS 'The plan.';
COMMENT ON COLUMN sys_plan_versions_cf.version IS 'Number of the version.';
COMMENT ON COLUMN sys_plan_versions_cf.effective_from IS 'When the version becomes available.';
COMMENT ON COLUMN sys_plan_versions_cf.moves IS 'When tenants who follow the plan move to it.';
COMMENT ON COLUMN sys_plan_versions_cf.published_at IS 'When it was first published; from then on it is frozen.';

CREATE TABLE sys_plan_features_cf (
    plan_key key NOT NULL,
    version version_number NOT NULL,
    position integer NOT NULL,
    contribution_id record_id,
    feature_key key NOT NULL,
    kind text NOT NULL CHECK (kind IN ('switch', 'value')),
    op text NOT NULL CHECK (op IN ('set', 'pin')),
    value jsonb NOT NULL,
    valid_from instant,
    valid_until instant,
    author text,
    PRIMARY KEY (plan_key, version, position),
    FOREIGN KEY (plan_key, version) REFERENCES sys_plan_versions_cf ON DELETE CASCADE,
    FOREIGN KEY (feature_key, kind) REFERENCES sys_features_cf (feature_key, kind),
    CHECK (valid_from < valid_until),
    CHECK (kind <> 'switch' OR op = 'set' AND value = 'true'),
    CONSTRAINT sys_plan_features_one_at_a_time
        EXCLUDE USING gist (plan_key WITH =, version WITH =, feature_key WITH =, tstzrange(valid_from, valid_until) WITH &&)
);
COMMENT ON TABLE sys_plan_features_cf IS 'What versions of plans grant of switches and values.';
COMMENT ON COLUMN sys_plan_features_cf.plan_key IS 'The plan.';
COMMENT ON COLUMN sys_plan_features_cf.version IS 'Its version.';
COMMENT ON COLUMN sys_plan_features_cf.position IS 'Tells rows apart; it has no other meaning.';
COMMENT ON COLUMN sys_plan_features_cf.contribution_id IS 'Id as authored; null where it follows from operator and feature.';
COMMENT ON COLUMN sys_plan_features_cf.feature_key IS 'The feature that is granted.';
COMMENT ON COLUMN sys_plan_features_cf.kind IS 'Kind of the feature.';
COMMENT ON COLUMN sys_plan_features_cf.op IS 'Operator: set, or pin of a value.';
COMMENT ON COLUMN sys_plan_features_cf.value IS 'What it is set to.';
COMMENT ON COLUMN sys_plan_features_cf.valid_from IS 'First instant at which it counts; null for always.';
COMMENT ON COLUMN sys_plan_features_cf.valid_until IS 'First instant at which it no longer counts; null for ever.';
COMMENT ON COLUMN sys_plan_features_cf.author IS 'Who decided it.';

CREATE TABLE sys_plan_limits_cf (
    plan_key key NOT NULL,
    version version_number NOT NULL,
    position integer NOT NULL,
    contribution_id record_id,
    feature_key key NOT NULL,
    kind text NOT NULL DEFAULT 'limit' CHECK (kind = 'limit'),
    op text NOT NULL CHECK (op IN ('set', 'pin')),
    value jsonb NOT NULL CHECK (jsonb_typeof(value) = 'object'),
    amount amount GENERATED ALWAYS AS
        (CASE jsonb_typeof(value -> 'amount') WHEN 'number' THEN (value -> 'amount')::bigint END) STORED,
    mode text GENERATED ALWAYS AS (coalesce(value ->> 'mode', 'hard')) STORED,
    valid_from instant,
    valid_until instant,
    author text,
    PRIMARY KEY (plan_key, version, position),
    FOREIGN KEY (plan_key, version) REFERENCES sys_plan_versions_cf ON DELETE CASCADE,
    FOREIGN KEY (feature_key, kind) REFERENCES sys_features_cf (feature_key, kind),
    CHECK (valid_from < valid_until),
    CHECK (mode IN ('hard', 'soft', 'billable')),
    CONSTRAINT sys_plan_limits_one_at_a_time
        EXCLUDE USING gist (plan_key WITH =, version WITH =, feature_key WITH =, tstzrange(valid_from, valid_until) WITH &&)
);
COMMENT ON TABLE sys_plan_limits_cf IS 'What versions of plans grant of limits.';
COMMENT ON COLUMN sys_plan_limits_cf.plan_key IS 'The plan.';
COMMENT ON COLUMN sys_plan_limits_cf.version IS 'Its version.';
COMMENT ON COLUMN sys_plan_limits_cf.position IS 'Tells rows apart; it has no other meaning.';
COMMENT ON COLUMN sys_plan_limits_cf.contribution_id IS 'Id as authored; null where it follows from operator and feature.';
COMMENT ON COLUMN sys_plan_limits_cf.feature_key IS 'The limit that is granted.';
COMMENT ON COLUMN sys_plan_limits_cf.kind IS 'Kind of the feature: limit.';
COMMENT ON COLUMN sys_plan_limits_cf.op IS 'Operator: set or pin.';
COMMENT ON COLUMN sys_plan_limits_cf.value IS 'The grant: amount, mode, thresholds.';
COMMENT ON COLUMN sys_plan_limits_cf.amount IS 'Amount of the grant; null when unlimited.';
COMMENT ON COLUMN sys_plan_limits_cf.mode IS 'What happens beyond the amount.';
COMMENT ON COLUMN sys_plan_limits_cf.valid_from IS 'First instant at which it counts; null for always.';
COMMENT ON COLUMN sys_plan_limits_cf.valid_until IS 'First instant at which it no longer counts; null for ever.';
COMMENT ON COLUMN sys_plan_limits_cf.author IS 'Who decided it.';

CREATE TABLE sys_add_ons_cf (
    add_on_key key PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    name text NOT NULL,
    name2 text NOT NULL,
    compatible_with key[] NOT NULL DEFAULT '{}',
    included_in key[] NOT NULL DEFAULT '{}',
    retired_at timestamptz,
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sys_add_ons_cf IS 'Separately licensed sets of contributions.';
COMMENT ON COLUMN sys_add_ons_cf.add_on_key IS 'Key of the add-on.';
COMMENT ON COLUMN sys_add_ons_cf.file IS 'File that it is exported to.';
COMMENT ON COLUMN sys_add_ons_cf.name IS 'Label in English.';
COMMENT ON COLUMN sys_add_ons_cf.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN sys_add_ons_cf.compatible_with IS 'Plans beside which it may be licensed.';
COMMENT ON COLUMN sys_add_ons_cf.included_in IS 'Plans that already include it.';
COMMENT ON COLUMN sys_add_ons_cf.retired_at IS 'Since when no new licence may name it.';
COMMENT ON COLUMN sys_add_ons_cf.row_version IS 'Grows with every change; writers name the one that they saw.';
COMMENT ON COLUMN sys_add_ons_cf.updated_at IS 'When it was changed last.';

CREATE TABLE sys_add_on_contributions_cf (
    add_on_key key NOT NULL REFERENCES sys_add_ons_cf ON DELETE CASCADE,
    position integer NOT NULL,
    contribution_id record_id,
    feature_key key NOT NULL REFERENCES sys_features_cf,
    op text NOT NULL CHECK (op IN ('set', 'pin', 'add')),
    value jsonb NOT NULL,
    valid_from instant,
    valid_until instant,
    author text,
    PRIMARY KEY (add_on_key, position),
    CHECK (valid_from < valid_until),
    CONSTRAINT sys_add_on_contributions_one_at_a_time
        EXCLUDE USING gist (add_on_key WITH =, feature_key WITH =, tstzrange(valid_from, valid_until) WITH &&)
        WHERE (op <> 'add')
);
COMMENT ON TABLE sys_add_on_contributions_cf IS 'What one unit of an add-on grants.';
COMMENT ON COLUMN sys_add_on_contributions_cf.add_on_key IS 'The add-on.';
COMMENT ON COLUMN sys_add_on_contributions_cf.position IS 'Tells rows apart; it has no other meaning.';
COMMENT ON COLUMN sys_add_on_contributions_cf.contribution_id IS 'Id as authored; null where it follows from operator and feature.';
COMMENT ON COLUMN sys_add_on_contributions_cf.feature_key IS 'The feature that is granted.';
COMMENT ON COLUMN sys_add_on_contributions_cf.op IS 'Operator.';
COMMENT ON COLUMN sys_add_on_contributions_cf.value IS 'What it is set to, or what is added.';
COMMENT ON COLUMN sys_add_on_contributions_cf.valid_from IS 'First instant at which it counts; null for always.';
COMMENT ON COLUMN sys_add_on_contributions_cf.valid_until IS 'First instant at which it no longer counts; null for ever.';
COMMENT ON COLUMN sys_add_on_contributions_cf.author IS 'Who decided it.';

CREATE TABLE sys_feature_kills (
    kill_id record_id PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    feature_key key NOT NULL REFERENCES sys_features_cf,
    since instant NOT NULL,
    until instant,
    reason text NOT NULL,
    actor text NOT NULL,
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (since < until)
);
COMMENT ON TABLE sys_feature_kills IS 'Kill switches: features that are off for everybody.';
COMMENT ON COLUMN sys_feature_kills.kill_id IS 'Id of the kill switch.';
COMMENT ON COLUMN sys_feature_kills.file IS 'File that it is exported to.';
COMMENT ON COLUMN sys_feature_kills.feature_key IS 'The feature that is off.';
COMMENT ON COLUMN sys_feature_kills.since IS 'First instant at which it is off.';
COMMENT ON COLUMN sys_feature_kills.until IS 'First instant at which it is no longer off; null until it is lifted.';
COMMENT ON COLUMN sys_feature_kills.reason IS 'Why.';
COMMENT ON COLUMN sys_feature_kills.actor IS 'Who decided it.';
COMMENT ON COLUMN sys_feature_kills.row_version IS 'Grows with every change; writers name the one that they saw.';
COMMENT ON COLUMN sys_feature_kills.updated_at IS 'When it was changed last.';

-- Tenants -----------------------------------------------------------------------------------------------------------

CREATE TABLE org_tenants_mst (
    tenant_org_id tenant_id PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    name text NOT NULL,
    name2 text NOT NULL,
    region region NOT NULL,
    anchor instant NOT NULL,
    utc_offset_minutes smallint NOT NULL DEFAULT 0 CHECK (utc_offset_minutes BETWEEN -1080 AND 1080),
    preferences_off key[] NOT NULL DEFAULT '{}',
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE org_tenants_mst IS 'Customers.';
COMMENT ON COLUMN org_tenants_mst.tenant_org_id IS 'Id of the tenant.';
COMMENT ON COLUMN org_tenants_mst.file IS 'File that it is exported to.';
COMMENT ON COLUMN org_tenants_mst.name IS 'Name in English.';
COMMENT ON COLUMN org_tenants_mst.name2 IS 'Name in Arabic.';
COMMENT ON COLUMN org_tenants_mst.region IS 'Where its data lives; its stream of snapshots.';
COMMENT ON COLUMN org_tenants_mst.anchor IS 'Start of its first window and billing period.';
COMMENT ON COLUMN org_tenants_mst.utc_offset_minutes IS 'The tenant''s clock, in minutes east of UTC.';
COMMENT ON COLUMN org_tenants_mst.preferences_off IS 'Switches that the tenant does not want.';
COMMENT ON COLUMN org_tenants_mst.row_version IS 'Grows with every change of the tenant or what belongs to it.';
COMMENT ON COLUMN org_tenants_mst.updated_at IS 'When it was changed last.';

CREATE TABLE org_subscriptions_mst (
    tenant_org_id tenant_id NOT NULL REFERENCES org_tenants_mst ON DELETE CASCADE,
    phase_id record_id NOT NULL,
    kind text NOT NULL CHECK (kind IN ('trial', 'paid')),
    plan_key key NOT NULL REFERENCES sys_plan_subscriptions_types_cf,
    version version_number,
    valid_from instant NOT NULL,
    valid_until instant,
    grace_until instant,
    PRIMARY KEY (tenant_org_id, phase_id),
    FOREIGN KEY (plan_key, version) REFERENCES sys_plan_versions_cf,
    CHECK (valid_from < valid_until),
    CHECK (grace_until IS NULL OR kind = 'paid')
);
CREATE INDEX ON org_subscriptions_mst (plan_key, version);
COMMENT ON TABLE org_subscriptions_mst IS 'Stretches of time that tenants have on plans: trials and paid terms.';
COMMENT ON COLUMN org_subscriptions_mst.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_subscriptions_mst.phase_id IS 'Id of the phase.';
COMMENT ON COLUMN org_subscriptions_mst.kind IS 'trial or paid. A valid trial replaces the paid plan.';
COMMENT ON COLUMN org_subscriptions_mst.plan_key IS 'The plan.';
COMMENT ON COLUMN org_subscriptions_mst.version IS 'The pinned version; null to follow the plan.';
COMMENT ON COLUMN org_subscriptions_mst.valid_from IS 'First instant of the phase.';
COMMENT ON COLUMN org_subscriptions_mst.valid_until IS 'First instant after it; null where it is open-ended.';
COMMENT ON COLUMN org_subscriptions_mst.grace_until IS 'Until when an ended paid phase still applies.';

CREATE TABLE org_add_on_licences (
    tenant_org_id tenant_id NOT NULL REFERENCES org_tenants_mst ON DELETE CASCADE,
    licence_id record_id NOT NULL,
    add_on_key key NOT NULL REFERENCES sys_add_ons_cf,
    quantity amount NOT NULL CHECK (quantity >= 1),
    valid_from instant NOT NULL,
    valid_until instant,
    PRIMARY KEY (tenant_org_id, licence_id),
    CHECK (valid_from < valid_until)
);
CREATE INDEX ON org_add_on_licences (add_on_key);
COMMENT ON TABLE org_add_on_licences IS 'Licences of add-ons.';
COMMENT ON COLUMN org_add_on_licences.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_add_on_licences.licence_id IS 'Id of the licence.';
COMMENT ON COLUMN org_add_on_licences.add_on_key IS 'The add-on.';
COMMENT ON COLUMN org_add_on_licences.quantity IS 'How many units.';
COMMENT ON COLUMN org_add_on_licences.valid_from IS 'First instant of the licence.';
COMMENT ON COLUMN org_add_on_licences.valid_until IS 'First instant after it; null where it is open-ended.';

CREATE TABLE org_feature_overrides (
    tenant_org_id tenant_id NOT NULL REFERENCES org_tenants_mst ON DELETE CASCADE,
    override_id record_id NOT NULL,
    feature_key key NOT NULL REFERENCES sys_features_cf,
    op text NOT NULL CHECK (op IN ('set', 'pin', 'add', 'revoke', 'mode')),
    value jsonb,
    plan_key key REFERENCES sys_plan_subscriptions_types_cf,
    valid_from instant,
    valid_until instant,
    reason text NOT NULL,
    actor text NOT NULL,
    PRIMARY KEY (tenant_org_id, override_id),
    CHECK (valid_from < valid_until),
    CHECK ((op = 'revoke') = (value IS NULL)),
    CHECK (plan_key IS NULL OR op = 'revoke')
);
CREATE INDEX ON org_feature_overrides (feature_key);
CREATE INDEX ON org_feature_overrides (plan_key);
COMMENT ON TABLE org_feature_overrides IS 'Contributions on one tenant.';
COMMENT ON COLUMN org_feature_overrides.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_feature_overrides.override_id IS 'Id of the override.';
COMMENT ON COLUMN org_feature_overrides.feature_key IS 'The feature that it changes.';
COMMENT ON COLUMN org_feature_overrides.op IS 'How it changes the feature.';
COMMENT ON COLUMN org_feature_overrides.value IS 'What it changes the feature to; null for revoke.';
COMMENT ON COLUMN org_feature_overrides.plan_key IS 'Narrows a revoke to the time in which this plan applies.';
COMMENT ON COLUMN org_feature_overrides.valid_from IS 'First instant at which it counts; null for always.';
COMMENT ON COLUMN org_feature_overrides.valid_until IS 'First instant at which it no longer counts; null for ever.';
COMMENT ON COLUMN org_feature_overrides.reason IS 'Why.';
COMMENT ON COLUMN org_feature_overrides.actor IS 'Who decided it.';

CREATE TABLE org_access_blocks (
    tenant_org_id tenant_id NOT NULL REFERENCES org_tenants_mst ON DELETE CASCADE,
    block_id record_id NOT NULL,
    kind text NOT NULL CHECK (kind IN
        ('pending', 'warned', 'restricted', 'frozen', 'suspended', 'quarantined', 'archived')),
    laid_by text NOT NULL CHECK (laid_by IN ('lifecycle', 'billing', 'security', 'staff')),
    level text CHECK (level IN ('full', 'read_only', 'billing_only', 'none')),
    since instant NOT NULL,
    until instant,
    reason text NOT NULL,
    PRIMARY KEY (tenant_org_id, block_id),
    UNIQUE (tenant_org_id, block_id, laid_by),
    CHECK (since < until)
);
COMMENT ON TABLE org_access_blocks IS 'Facts that lower a tenant''s access level. They are added, never changed; lifting is a fact of its own.';
COMMENT ON COLUMN org_access_blocks.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_access_blocks.block_id IS 'Id of the block.';
COMMENT ON COLUMN org_access_blocks.kind IS 'What kind of condition it is.';
COMMENT ON COLUMN org_access_blocks.laid_by IS 'Who laid it: lifecycle, billing, security or staff.';
COMMENT ON COLUMN org_access_blocks.level IS 'The access that it leaves; null for the default of its kind.';
COMMENT ON COLUMN org_access_blocks.since IS 'First instant of the block.';
COMMENT ON COLUMN org_access_blocks.until IS 'First instant after it; null until it is lifted.';
COMMENT ON COLUMN org_access_blocks.reason IS 'Why.';

CREATE TABLE org_access_block_lifts (
    tenant_org_id tenant_id NOT NULL,
    block_id record_id NOT NULL,
    lifted_by text NOT NULL,
    lifted_at instant NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (tenant_org_id, block_id),
    -- Only who laid a block lifts it.
    FOREIGN KEY (tenant_org_id, block_id, lifted_by) REFERENCES org_access_blocks (tenant_org_id, block_id, laid_by)
        ON DELETE CASCADE
);
COMMENT ON TABLE org_access_block_lifts IS 'Blocks that were lifted, by those who had laid them.';
COMMENT ON COLUMN org_access_block_lifts.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_access_block_lifts.block_id IS 'The block.';
COMMENT ON COLUMN org_access_block_lifts.lifted_by IS 'Who lifted it: the one who laid it.';
COMMENT ON COLUMN org_access_block_lifts.lifted_at IS 'First instant at which it no longer holds.';
COMMENT ON COLUMN org_access_block_lifts.reason IS 'Why.';

CREATE TRIGGER blocks_are_facts BEFORE UPDATE ON org_access_blocks FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER lifts_are_facts BEFORE UPDATE ON org_access_block_lifts FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- One rule for all who ask. What was lifted before it began never holds.
CREATE FUNCTION block_holds(since timestamptz, until timestamptz, lifted_at timestamptz, at timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(least(until, lifted_at) > greatest(since, at), true);
COMMENT ON FUNCTION block_holds(timestamptz, timestamptz, timestamptz, timestamptz) IS
    'Whether a block holds at an instant, or will after it.';

-- Blocks go with their tenant, and a tenant that was removed may be created again: a block would be got round.
CREATE FUNCTION refuse_to_forget_block() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF block_holds(OLD.since, OLD.until, (SELECT lifted_at FROM org_access_block_lifts l
            WHERE l.tenant_org_id = OLD.tenant_org_id AND l.block_id = OLD.block_id), now()) THEN
        RAISE EXCEPTION 'block `%` of tenant `%`, laid by %, still holds; have it lifted first', OLD.block_id,
            OLD.tenant_org_id, OLD.laid_by USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
$$;
COMMENT ON FUNCTION refuse_to_forget_block() IS 'Trigger: a block that holds is not removed, nor is its tenant.';
CREATE TRIGGER blocks_that_hold_stay BEFORE DELETE ON org_access_blocks
    FOR EACH ROW EXECUTE FUNCTION refuse_to_forget_block();

-- Versions that were published stay as they are ---------------------------------------------------------------------

CREATE FUNCTION refuse_published_plan_version() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    held record;
BEGIN
    -- The version that a row leaves, and the one that it comes to. Both are held until the transaction ends, so that none
    -- is published meanwhile.
    FOR held IN SELECT v.plan_key, v.version, v.published_at FROM sys_plan_versions_cf v
            WHERE (v.plan_key, v.version) IN ((OLD.plan_key, OLD.version), (NEW.plan_key, NEW.version)) FOR SHARE LOOP
        IF held.published_at IS NOT NULL THEN
            RAISE EXCEPTION 'version % of plan `%` was published, and stays as it is', held.version, held.plan_key
                USING ERRCODE = 'restrict_violation', HINT = 'write what is new as another version';
        END IF;
    END LOOP;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_published_plan_version() IS 'Trigger: what a published version of a plan grants stays as it is.';
CREATE TRIGGER published_stays BEFORE INSERT OR UPDATE OR DELETE ON sys_plan_features_cf
    FOR EACH ROW EXECUTE FUNCTION refuse_published_plan_version();
CREATE TRIGGER published_stays BEFORE INSERT OR UPDATE OR DELETE ON sys_plan_limits_cf
    FOR EACH ROW EXECUTE FUNCTION refuse_published_plan_version();

CREATE FUNCTION refuse_change_once_published() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF OLD.published_at IS NOT NULL AND (TG_OP = 'DELETE' OR NEW IS DISTINCT FROM OLD) THEN
        RAISE EXCEPTION 'version % was published, and stays as it is', OLD.version
            USING ERRCODE = 'restrict_violation', HINT = 'write what is new as another version';
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_change_once_published() IS 'Trigger: a version that was published stays as it is.';
CREATE TRIGGER published_stays BEFORE UPDATE OR DELETE ON sys_plan_versions_cf
    FOR EACH ROW EXECUTE FUNCTION refuse_change_once_published();

-- An INSERT ... ON CONFLICT DO UPDATE comes here as an INSERT first, whether there is such a row or not.
CREATE FUNCTION refuse_retired_plan() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM sys_plan_subscriptions_types_cf p
               WHERE p.plan_key = NEW.plan_key AND p.retired_at <= now())
        AND NOT EXISTS (SELECT FROM org_subscriptions_mst s WHERE s.tenant_org_id = NEW.tenant_org_id
               AND s.phase_id = NEW.phase_id AND s.plan_key = NEW.plan_key) THEN
        RAISE EXCEPTION 'plan `%` is retired: no new phase may name it', NEW.plan_key USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_retired_plan() IS 'Trigger: no new phase names a plan that is retired; who has it keeps it.';
CREATE TRIGGER retired_is_not_sold BEFORE INSERT OR UPDATE OF tenant_org_id, phase_id, plan_key ON org_subscriptions_mst
    FOR EACH ROW EXECUTE FUNCTION refuse_retired_plan();

CREATE FUNCTION refuse_retired_add_on() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF EXISTS (SELECT FROM sys_add_ons_cf a WHERE a.add_on_key = NEW.add_on_key AND a.retired_at <= now())
        AND NOT EXISTS (SELECT FROM org_add_on_licences l WHERE l.tenant_org_id = NEW.tenant_org_id
               AND l.licence_id = NEW.licence_id AND l.add_on_key = NEW.add_on_key) THEN
        RAISE EXCEPTION 'add-on `%` is retired: no new licence may name it', NEW.add_on_key
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_retired_add_on() IS
    'Trigger: no new licence names an add-on that is retired; who has it keeps it.';
CREATE TRIGGER retired_is_not_sold BEFORE INSERT OR UPDATE OF tenant_org_id, licence_id, add_on_key ON org_add_on_licences
    FOR EACH ROW EXECUTE FUNCTION refuse_retired_add_on();

-- Who may ----------------------------------------------------------------------------------------------------------

-- One rule for every table of tenants: its own rows within a tenant context, and all rows for the owner, as whom nobody
-- logs in and functions with SECURITY DEFINER run.
CREATE FUNCTION isolate_tenants(which regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', which);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', which);
    EXECUTE format('CREATE POLICY own_tenant ON %s USING (tenant_org_id = (SELECT current_tenant()))
                    WITH CHECK (tenant_org_id = (SELECT current_tenant()))', which);
    EXECUTE format('CREATE POLICY owner_sees_all ON %s TO leasehold_owner USING (true) WITH CHECK (true)', which);
END
$$;
COMMENT ON FUNCTION isolate_tenants(regclass) IS 'Puts a table of tenants under row level security, in migrations.';
REVOKE ALL ON FUNCTION isolate_tenants(regclass) FROM PUBLIC;

SELECT isolate_tenants(which) FROM unnest(ARRAY['org_tenants_mst', 'org_subscriptions_mst', 'org_add_on_licences',
    'org_feature_overrides', 'org_access_blocks', 'org_access_block_lifts']::regclass[]) AS which;

GRANT SELECT ON sys_features_cf, sys_plan_subscriptions_types_cf, sys_plan_versions_cf, sys_plan_features_cf,
    sys_plan_limits_cf, sys_add_ons_cf, sys_add_on_contributions_cf, sys_feature_kills TO leasehold_app;
GRANT SELECT ON org_tenants_mst, org_subscriptions_mst, org_add_on_licences, org_feature_overrides, org_access_blocks,
    org_access_block_lifts TO leasehold_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON sys_definition_files, sys_features_cf, sys_plan_subscriptions_types_cf,
    sys_plan_versions_cf, sys_plan_features_cf, sys_plan_limits_cf, sys_add_ons_cf, sys_add_on_contributions_cf,
    sys_feature_kills TO leasehold_hq;
GRANT SELECT, INSERT, UPDATE, DELETE ON org_tenants_mst, org_subscriptions_mst, org_add_on_licences,
    org_feature_overrides TO leasehold_hq;
GRANT SELECT, INSERT ON org_access_blocks, org_access_block_lifts TO leasehold_hq;

RESET ROLE;
RESET search_path;
