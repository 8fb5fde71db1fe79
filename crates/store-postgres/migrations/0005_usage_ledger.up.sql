-- What tenants used of their limits.
--
-- It stands alone: nothing here needs the migrations before it, so that an app can have the ledger in its own database.
-- Who decides is the engine; rows guard that what it decided on is still so. All times are milliseconds since 1970 that
-- callers pass, as they do to the engine. The clock of the database decides nothing.

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
    -- Where HQ is not, the table of the ledger's own migrations is all that there may be.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'leasehold' AND nspowner = 'leasehold_owner'::regrole) THEN
        CREATE SCHEMA IF NOT EXISTS leasehold;
        ALTER SCHEMA leasehold OWNER TO leasehold_owner;
        COMMENT ON SCHEMA leasehold IS 'Entitlements and policy: what HQ decides, what it published, and what tenants used.';
        GRANT USAGE ON SCHEMA leasehold TO leasehold_hq, leasehold_app, leasehold_engine;
    END IF;
    -- Whoever connects compares its schema with the migrations that were applied. Whoever migrates owns their table.
    IF to_regclass('leasehold.ledger_migrations') IS NOT NULL THEN
        COMMENT ON TABLE leasehold.ledger_migrations IS
            'Migrations of the usage ledger that were applied; those of the app are in a table of its own.';
        GRANT SELECT ON leasehold.ledger_migrations TO leasehold_hq, leasehold_app, leasehold_engine;
    END IF;
END
$$;

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

CREATE DOMAIN usage_amount AS bigint CHECK (VALUE BETWEEN 0 AND 9007199254740991);
COMMENT ON DOMAIN usage_amount IS 'A quantity that every language can hold exactly: 0 to 2^53 - 1.';
CREATE DOMAIN usage_time AS bigint CHECK (VALUE BETWEEN -62167219200000 AND 253402300799999);
COMMENT ON DOMAIN usage_time IS 'An instant in milliseconds since 1970-01-01T00:00:00Z, in the years 0 to 9999.';
CREATE DOMAIN usage_key AS text COLLATE "C" CHECK (octet_length(VALUE) BETWEEN 1 AND 255);
COMMENT ON DOMAIN usage_key IS 'Idempotency key, compared by bytes: 1 to 255 of them.';
CREATE DOMAIN usage_feature AS text COLLATE "C" CHECK (VALUE ~ '^[a-z][a-z0-9_.-]{0,63}$');
COMMENT ON DOMAIN usage_feature IS 'Key of a limit, compared by bytes.';
CREATE DOMAIN usage_tenant AS text COLLATE "C" CHECK (VALUE ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$');
COMMENT ON DOMAIN usage_tenant IS 'Id of a tenant, compared by bytes.';

CREATE TABLE org_usage_counters (
    tenant_org_id usage_tenant NOT NULL,
    feature_key usage_feature NOT NULL,
    window_start_ms usage_time NOT NULL,
    used usage_amount NOT NULL,
    reserved usage_amount NOT NULL,
    earliest_expiry_ms usage_time,
    granted_mode text CHECK (granted_mode IN ('hard', 'soft', 'billable')),
    granted_limit usage_amount,
    granted_thresholds smallint[],
    PRIMARY KEY (tenant_org_id, feature_key, window_start_ms),
    CHECK ((granted_mode IS NULL) = (granted_thresholds IS NULL)),
    CONSTRAINT org_usage_counters_in_range CHECK (used + reserved <= 9007199254740991)
    -- Room for new versions of a row beside it: counting then touches no index.
) WITH (fillfactor = 50);
CREATE INDEX ON org_usage_counters (earliest_expiry_ms) WHERE earliest_expiry_ms IS NOT NULL;
COMMENT ON TABLE org_usage_counters IS 'How much of a limit is used in one window. Its row is what writers take turns on.';
COMMENT ON COLUMN org_usage_counters.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_usage_counters.feature_key IS 'The limit.';
COMMENT ON COLUMN org_usage_counters.window_start_ms IS 'Start of the window; that of year 0 for a capacity, whose window never ends.';
COMMENT ON COLUMN org_usage_counters.used IS 'What was consumed and not given back: the sum of the entries.';
COMMENT ON COLUMN org_usage_counters.reserved IS 'What is held: the sum of the reservations that are held.';
COMMENT ON COLUMN org_usage_counters.earliest_expiry_ms IS
    'No reservation that is held expires before this; null where none is held, or not since it was last looked at.';
COMMENT ON COLUMN org_usage_counters.granted_mode IS
    'Mode of the limit when the engine granted some of it last: what is confirmed or given back counts by it once the limit denies.';
COMMENT ON COLUMN org_usage_counters.granted_limit IS 'The limit at that time; null where unlimited.';
COMMENT ON COLUMN org_usage_counters.granted_thresholds IS 'Its thresholds at that time, in percent.';

CREATE TABLE org_usage_entries (
    tenant_org_id usage_tenant NOT NULL,
    idempotency_key usage_key NOT NULL,
    step smallint NOT NULL,
    kind text NOT NULL,
    feature_key usage_feature NOT NULL,
    window_start_ms usage_time NOT NULL,
    amount usage_amount NOT NULL,
    hold_ms bigint,
    at_ms usage_time NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('allow', 'warn', 'overage')),
    limit_amount usage_amount,
    remaining usage_amount,
    overage_units usage_amount NOT NULL,
    overage_total usage_amount NOT NULL,
    thresholds_crossed smallint[] NOT NULL,
    resets_at_ms usage_time,
    revision usage_amount NOT NULL,
    PRIMARY KEY (tenant_org_id, idempotency_key, step),
    CHECK (step = 1 AND kind IN ('consume', 'reserve', 'give_back') OR step = 2 AND kind = 'confirm'),
    CHECK ((kind = 'reserve') = (hold_ms IS NOT NULL))
);
COMMENT ON TABLE org_usage_entries IS 'What was asked and answered under each idempotency key. Entries are facts: added, never changed. What was denied left none.';
COMMENT ON COLUMN org_usage_entries.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_usage_entries.idempotency_key IS 'Key that the caller chose.';
COMMENT ON COLUMN org_usage_entries.step IS '1 for what was asked under the key, 2 for the confirmation of what was reserved under it.';
COMMENT ON COLUMN org_usage_entries.kind IS 'consume, reserve, give_back or confirm.';
COMMENT ON COLUMN org_usage_entries.feature_key IS 'The limit.';
COMMENT ON COLUMN org_usage_entries.window_start_ms IS 'Window that it counts in.';
COMMENT ON COLUMN org_usage_entries.amount IS 'How much.';
COMMENT ON COLUMN org_usage_entries.hold_ms IS 'For how long it is held, in milliseconds; of reservations alone.';
COMMENT ON COLUMN org_usage_entries.at_ms IS 'When, by the clock of the caller.';
COMMENT ON COLUMN org_usage_entries.outcome IS 'What the engine said: allow, warn (a soft limit exceeded) or overage (a billable one).';
COMMENT ON COLUMN org_usage_entries.limit_amount IS 'The limit at that time; null where unlimited.';
COMMENT ON COLUMN org_usage_entries.remaining IS 'What was left before the request; null where unlimited.';
COMMENT ON COLUMN org_usage_entries.overage_units IS 'How much of it lies beyond the limit.';
COMMENT ON COLUMN org_usage_entries.overage_total IS 'How much of all use lay beyond the limit, this included.';
COMMENT ON COLUMN org_usage_entries.thresholds_crossed IS 'Percentages of the limit that it crossed.';
COMMENT ON COLUMN org_usage_entries.resets_at_ms IS 'When the window ends; null for a capacity.';
COMMENT ON COLUMN org_usage_entries.revision IS 'Revision of the snapshot that decided.';

CREATE TABLE org_usage_reservations (
    tenant_org_id usage_tenant NOT NULL,
    idempotency_key usage_key NOT NULL,
    feature_key usage_feature NOT NULL,
    window_start_ms usage_time NOT NULL,
    amount usage_amount NOT NULL,
    expires_at_ms usage_time NOT NULL,
    state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'confirmed', 'released', 'expired')),
    settled_at_ms usage_time,
    PRIMARY KEY (tenant_org_id, idempotency_key),
    CHECK ((state = 'held') = (settled_at_ms IS NULL))
);
CREATE INDEX ON org_usage_reservations (tenant_org_id, feature_key, window_start_ms, expires_at_ms) WHERE state = 'held';
COMMENT ON TABLE org_usage_reservations IS 'What is held of a limit until it is confirmed or released, or expires.';
COMMENT ON COLUMN org_usage_reservations.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_usage_reservations.idempotency_key IS 'Key of the entry that reserved it.';
COMMENT ON COLUMN org_usage_reservations.feature_key IS 'The limit.';
COMMENT ON COLUMN org_usage_reservations.window_start_ms IS 'Window that it counts in, whenever it is confirmed.';
COMMENT ON COLUMN org_usage_reservations.amount IS 'How much is held.';
COMMENT ON COLUMN org_usage_reservations.expires_at_ms IS 'First instant at which it is no longer held.';
COMMENT ON COLUMN org_usage_reservations.state IS 'held, or how it ended: confirmed, released or expired. An ended one stays as it is.';
COMMENT ON COLUMN org_usage_reservations.settled_at_ms IS 'When it ended, by the clock of the caller.';

CREATE TABLE org_usage_events (
    tenant_org_id usage_tenant NOT NULL,
    event_id bigint GENERATED ALWAYS AS IDENTITY,
    idempotency_key usage_key NOT NULL,
    kind text NOT NULL CHECK (kind IN ('threshold', 'overage', 'overage_returned')),
    feature_key usage_feature NOT NULL,
    window_start_ms usage_time NOT NULL,
    percent smallint,
    units usage_amount,
    mode text NOT NULL CHECK (mode IN ('hard', 'soft', 'billable')),
    limit_amount usage_amount NOT NULL,
    used usage_amount NOT NULL,
    at_ms usage_time NOT NULL,
    delivered_at_ms usage_time,
    PRIMARY KEY (tenant_org_id, event_id),
    CHECK ((kind = 'threshold') = (percent IS NOT NULL)),
    CHECK ((kind = 'threshold') = (units IS NULL))
);
CREATE INDEX ON org_usage_events (tenant_org_id, event_id) WHERE delivered_at_ms IS NULL;
CREATE INDEX ON org_usage_events (event_id) WHERE delivered_at_ms IS NULL;
COMMENT ON TABLE org_usage_events IS 'What others are to be told: thresholds crossed, overage. Written together with the entry that caused it.';
COMMENT ON COLUMN org_usage_events.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_usage_events.event_id IS 'Tells events apart. Those of one counter are in order.';
COMMENT ON COLUMN org_usage_events.idempotency_key IS 'Key of the entry that caused it.';
COMMENT ON COLUMN org_usage_events.kind IS 'threshold, overage, or overage_returned where use beyond the limit was given back.';
COMMENT ON COLUMN org_usage_events.feature_key IS 'The limit.';
COMMENT ON COLUMN org_usage_events.window_start_ms IS 'The window.';
COMMENT ON COLUMN org_usage_events.percent IS 'Which threshold was crossed; of thresholds alone.';
COMMENT ON COLUMN org_usage_events.units IS 'How much lies beyond the limit, or was given back of it; of overage alone.';
COMMENT ON COLUMN org_usage_events.mode IS 'Mode of the limit: only what is billable is to be billed.';
COMMENT ON COLUMN org_usage_events.limit_amount IS 'The limit at that time.';
COMMENT ON COLUMN org_usage_events.used IS 'What was used after it.';
COMMENT ON COLUMN org_usage_events.at_ms IS 'When, by the clock of the caller.';
COMMENT ON COLUMN org_usage_events.delivered_at_ms IS 'When it was passed on; null where it waits.';

CREATE FUNCTION ledger_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are facts: they are added and never changed', TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
COMMENT ON FUNCTION ledger_refuse_change() IS 'Trigger: entries of the ledger are only ever added.';
CREATE TRIGGER entries_are_facts BEFORE UPDATE ON org_usage_entries
    FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();

-- Gives back what expired of one counter, whose row the caller has locked: returns what is still reserved, and until when.
CREATE FUNCTION ledger_expire(of_tenant text, of_feature text, of_window_ms bigint, now_ms bigint)
    RETURNS TABLE (still_reserved bigint, next_expiry_ms bigint)
    LANGUAGE sql
    SET search_path = leasehold, pg_temp
    AS $$
    WITH expired AS (
        UPDATE org_usage_reservations SET state = 'expired', settled_at_ms = now_ms
        WHERE tenant_org_id = of_tenant AND feature_key = of_feature AND window_start_ms = of_window_ms
            AND state = 'held' AND expires_at_ms <= now_ms
        RETURNING amount)
    UPDATE org_usage_counters SET
        reserved = reserved - (SELECT coalesce(sum(amount), 0) FROM expired)::bigint,
        earliest_expiry_ms = (SELECT min(expires_at_ms) FROM org_usage_reservations r
            WHERE r.tenant_org_id = of_tenant AND r.feature_key = of_feature AND r.window_start_ms = of_window_ms
                AND state = 'held' AND expires_at_ms > now_ms)
    WHERE tenant_org_id = of_tenant AND feature_key = of_feature AND window_start_ms = of_window_ms
    RETURNING reserved, earliest_expiry_ms $$;
COMMENT ON FUNCTION ledger_expire(text, text, bigint, bigint) IS
    'Gives back what expired of one counter, whose row the caller has locked; returns what is still reserved, and when some of it expires next.';

-- Counters that others are at work on are passed over: those give back what expired by themselves.
CREATE FUNCTION ledger_sweep(now_ms bigint, at_most integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    counter record;
    given_back bigint := 0;
BEGIN
    FOR counter IN SELECT tenant_org_id, feature_key, window_start_ms, reserved FROM org_usage_counters
        WHERE earliest_expiry_ms <= now_ms ORDER BY earliest_expiry_ms LIMIT at_most FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        given_back := given_back + counter.reserved
            - (SELECT still_reserved FROM
                ledger_expire(counter.tenant_org_id, counter.feature_key, counter.window_start_ms, now_ms));
    END LOOP;
    RETURN given_back;
END
$$;
COMMENT ON FUNCTION ledger_sweep(bigint, integer) IS
    'Gives back what expired of the tenant of the running transaction, of so many counters; returns how much.';

-- For workers that serve every tenant.
CREATE FUNCTION hq_ledger_sweep(now_ms bigint, at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$ SELECT ledger_sweep(now_ms, at_most) $$;
COMMENT ON FUNCTION hq_ledger_sweep(bigint, integer) IS
    'Gives back what expired of every tenant, of so many counters; returns how much.';

CREATE FUNCTION hq_usage_events(at_most integer) RETURNS SETOF org_usage_events
    LANGUAGE sql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT * FROM org_usage_events WHERE delivered_at_ms IS NULL ORDER BY event_id LIMIT at_most
    FOR NO KEY UPDATE SKIP LOCKED $$;
COMMENT ON FUNCTION hq_usage_events(integer) IS
    'Events of every tenant that wait, oldest first; locked, so that no other worker takes them too.';

CREATE FUNCTION hq_usage_events_delivered(ids bigint[], now_ms bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
    UPDATE org_usage_events SET delivered_at_ms = now_ms WHERE event_id = ANY (ids) AND delivered_at_ms IS NULL $$;
COMMENT ON FUNCTION hq_usage_events_delivered(bigint[], bigint) IS 'Marks events as passed on.';

-- One rule for every table of tenants, as HQ's tables have it.
DO $$
DECLARE
    which text;
BEGIN
    FOREACH which IN ARRAY ARRAY['org_usage_counters', 'org_usage_entries', 'org_usage_reservations',
                                 'org_usage_events'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', which);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', which);
        EXECUTE format('CREATE POLICY own_tenant ON %I
            USING (tenant_org_id = (SELECT nullif(current_setting(''app.current_tenant_id'', true), '''')))
            WITH CHECK (tenant_org_id = (SELECT nullif(current_setting(''app.current_tenant_id'', true), '''')))', which);
        EXECUTE format('CREATE POLICY owner_sees_all ON %I TO leasehold_owner USING (true) WITH CHECK (true)', which);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION ledger_refuse_change(), ledger_expire(text, text, bigint, bigint),
    ledger_sweep(bigint, integer), hq_ledger_sweep(bigint, integer), hq_usage_events(integer),
    hq_usage_events_delivered(bigint[], bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_expire(text, text, bigint, bigint), ledger_sweep(bigint, integer) TO leasehold_app;
GRANT EXECUTE ON FUNCTION hq_ledger_sweep(bigint, integer), hq_usage_events(integer),
    hq_usage_events_delivered(bigint[], bigint) TO leasehold_hq;

-- Entries are added, and no row is removed: only what may change can be changed.
GRANT SELECT, INSERT ON org_usage_counters, org_usage_entries, org_usage_reservations TO leasehold_app;
-- Only Postgres gives events their numbers: workers mark them by these alone, and a second one would be marked along.
GRANT SELECT, INSERT (tenant_org_id, idempotency_key, kind, feature_key, window_start_ms, percent, units, mode,
    limit_amount, used, at_ms) ON org_usage_events TO leasehold_app;
GRANT UPDATE (used, reserved, earliest_expiry_ms, granted_mode, granted_limit, granted_thresholds)
    ON org_usage_counters TO leasehold_app;
GRANT UPDATE (state, settled_at_ms) ON org_usage_reservations TO leasehold_app;
GRANT UPDATE (delivered_at_ms) ON org_usage_events TO leasehold_app;
GRANT SELECT ON org_usage_counters, org_usage_entries, org_usage_reservations, org_usage_events TO leasehold_hq;

RESET ROLE;
RESET search_path;
