-- Who may ask HQ for what: staff, their sessions, tokens of programs; the keys that its servers sign slices with; and what
-- engines report of themselves.

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

CREATE TABLE sys_staff (
    staff_id text COLLATE "C" PRIMARY KEY CHECK (staff_id ~ '^[a-z0-9][a-z0-9_.@-]{0,63}$'),
    role text NOT NULL CHECK (role IN ('super_admin', 'tech_admin', 'biz_admin', 'auditor', 'support_readonly')),
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    disabled_at timestamptz
);
COMMENT ON TABLE sys_staff IS 'People who work at HQ.';
COMMENT ON COLUMN sys_staff.staff_id IS 'The name that they sign in with, as the audit log names them.';
COMMENT ON COLUMN sys_staff.role IS 'What they may do.';
COMMENT ON COLUMN sys_staff.password_hash IS 'Argon2id of their password, with its salt and costs.';
COMMENT ON COLUMN sys_staff.created_at IS 'Since when they are known.';
COMMENT ON COLUMN sys_staff.created_by IS 'Who added them.';
COMMENT ON COLUMN sys_staff.disabled_at IS 'Since when they may do nothing any more.';

CREATE TABLE sys_staff_sessions (
    secret_hash bytea PRIMARY KEY CHECK (octet_length(secret_hash) = 32),
    staff_id text COLLATE "C" NOT NULL REFERENCES sys_staff,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON sys_staff_sessions (staff_id);
CREATE INDEX ON sys_staff_sessions (expires_at);
COMMENT ON TABLE sys_staff_sessions IS 'Who is signed in.';
COMMENT ON COLUMN sys_staff_sessions.secret_hash IS 'SHA-256 of the session''s secret.';
COMMENT ON COLUMN sys_staff_sessions.staff_id IS 'Who.';
COMMENT ON COLUMN sys_staff_sessions.created_at IS 'Since when.';
COMMENT ON COLUMN sys_staff_sessions.expires_at IS 'Until when.';

CREATE TABLE sys_api_tokens (
    token_id text COLLATE "C" PRIMARY KEY CHECK (token_id ~ '^[0-9a-f]{16}$'),
    name text NOT NULL CHECK (name <> ''),
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    region region,
    tenant text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE sys_api_tokens IS 'What programs identify themselves with.';
COMMENT ON COLUMN sys_api_tokens.token_id IS 'The part of the token that is no secret.';
COMMENT ON COLUMN sys_api_tokens.name IS 'What it is for, as the audit log names it.';
COMMENT ON COLUMN sys_api_tokens.secret_hash IS 'SHA-256 of the part that is one: 256 random bits.';
COMMENT ON COLUMN sys_api_tokens.scopes IS 'What it may be used for.';
COMMENT ON COLUMN sys_api_tokens.region IS 'The only region that it reaches; null for all.';
COMMENT ON COLUMN sys_api_tokens.tenant IS 'The only tenant that it reaches; null for all. The row is HQ''s, not that tenant''s.';
COMMENT ON COLUMN sys_api_tokens.created_at IS 'When it was made.';
COMMENT ON COLUMN sys_api_tokens.created_by IS 'Who made it.';
COMMENT ON COLUMN sys_api_tokens.expires_at IS 'Until when it is good; null for ever.';
COMMENT ON COLUMN sys_api_tokens.revoked_at IS 'Since when it is not good any more.';

CREATE TABLE sys_slice_keys (
    public_key bytea PRIMARY KEY CHECK (octet_length(public_key) = 32),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    CHECK (valid_until > valid_from AND valid_until <= valid_from + interval '24 hours')
);
COMMENT ON TABLE sys_slice_keys IS 'Keys that servers sign slices with, for heads to certify. Their secrets are nowhere but in those servers.';
COMMENT ON COLUMN sys_slice_keys.public_key IS 'The public half.';
COMMENT ON COLUMN sys_slice_keys.valid_from IS 'Since when it may sign.';
COMMENT ON COLUMN sys_slice_keys.valid_until IS 'Until when.';

-- Texts as certificates and heads spell them. In PL/pgSQL, which keeps the plan, for it is asked with every publication.
CREATE FUNCTION hq_slice_keys(at_most integer) RETURNS TABLE (public_key text, valid_from text, valid_until text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    RETURN QUERY SELECT encode(k.public_key, 'hex'), iso_ms(k.valid_from), iso_ms(k.valid_until) FROM sys_slice_keys k
        WHERE k.valid_until > now() ORDER BY k.valid_until DESC, k.public_key LIMIT at_most;
END
$$;
COMMENT ON FUNCTION hq_slice_keys(integer) IS 'Slice keys that are good now, so many at the most, those that end last first.';
REVOKE ALL ON FUNCTION hq_slice_keys(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_slice_keys(integer) TO leasehold_hq;

CREATE TABLE sys_engines (
    engine_id text COLLATE "C" NOT NULL,
    stream region NOT NULL,
    epoch bigint,
    revision bigint,
    definitions bytea CHECK (octet_length(definitions) = 32),
    candidate boolean NOT NULL DEFAULT false,
    persisted boolean NOT NULL DEFAULT false,
    applied_at timestamptz,
    refused_revision bigint,
    fault jsonb,
    refused_at timestamptz,
    reported_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (engine_id, stream)
);
CREATE INDEX ON sys_engines (reported_at);
COMMENT ON TABLE sys_engines IS 'What engines reported last.';
COMMENT ON COLUMN sys_engines.engine_id IS 'The engine.';
COMMENT ON COLUMN sys_engines.stream IS 'What it follows.';
COMMENT ON COLUMN sys_engines.epoch IS 'Epoch of the head that is in force there.';
COMMENT ON COLUMN sys_engines.revision IS 'Its revision; null before the first.';
COMMENT ON COLUMN sys_engines.definitions IS 'The definitions in use there.';
COMMENT ON COLUMN sys_engines.candidate IS 'Whether those are on trial.';
COMMENT ON COLUMN sys_engines.persisted IS 'Whether it survives a restart there.';
COMMENT ON COLUMN sys_engines.applied_at IS 'When that was reported.';
COMMENT ON COLUMN sys_engines.refused_revision IS 'The revision that it refused since; null where it refused none, or could not read which.';
COMMENT ON COLUMN sys_engines.fault IS 'Why it refused it.';
COMMENT ON COLUMN sys_engines.refused_at IS 'When that was reported.';
COMMENT ON COLUMN sys_engines.reported_at IS 'When it reported last.';

CREATE TABLE sys_rollout (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    proposal_id bigint NOT NULL REFERENCES sys_proposals,
    share_permille integer NOT NULL CHECK (share_permille BETWEEN 0 AND 1000),
    halted_at timestamptz,
    halted_by text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    since_revision bigint NOT NULL,
    CHECK ((halted_at IS NULL) = (halted_by IS NULL))
);
COMMENT ON TABLE sys_rollout IS 'The trial of a proposal that is under way.';
COMMENT ON COLUMN sys_rollout.one IS 'There is one row at most.';
COMMENT ON COLUMN sys_rollout.proposal_id IS 'The proposal.';
COMMENT ON COLUMN sys_rollout.share_permille IS 'The share of engines that is to try it, unless it is halted.';
COMMENT ON COLUMN sys_rollout.halted_at IS 'Since when nobody tries it.';
COMMENT ON COLUMN sys_rollout.halted_by IS 'Who halted it: the engine that refused it, or a person.';
COMMENT ON COLUMN sys_rollout.changed_at IS 'When anything of this changed last.';
COMMENT ON COLUMN sys_rollout.since_revision IS 'The revision that it was staged or resumed with: what engines refuse of earlier ones says nothing about it.';

-- A record that is made anew under the key of one that was removed goes on from its version: who saw that one would take
-- another record for it.
CREATE TABLE sys_removed_records (
    relation text COLLATE "C" NOT NULL,
    record_key text COLLATE "C" NOT NULL,
    row_version bigint NOT NULL,
    region text,
    PRIMARY KEY (relation, record_key)
);
COMMENT ON TABLE sys_removed_records IS 'Records of definitions, and tenants, that were removed.';
COMMENT ON COLUMN sys_removed_records.relation IS 'The table that it was in.';
COMMENT ON COLUMN sys_removed_records.record_key IS 'Its key.';
COMMENT ON COLUMN sys_removed_records.row_version IS 'The version that it had last.';
COMMENT ON COLUMN sys_removed_records.region IS 'The region of a tenant, in which its audit chain, items and usage are left.';
CREATE FUNCTION remember_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    INSERT INTO sys_removed_records (relation, record_key, row_version, region)
        VALUES (TG_TABLE_NAME, to_jsonb(OLD) ->> TG_ARGV[0], OLD.row_version, to_jsonb(OLD) ->> 'region')
        ON CONFLICT (relation, record_key) DO UPDATE SET row_version = excluded.row_version, region = excluded.region;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION remember_removed() IS 'Keeps the version of a record that is removed, and the region of a tenant.';
CREATE FUNCTION go_on_from_removed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
BEGIN
    NEW.row_version := coalesce((SELECT r.row_version FROM sys_removed_records r
        WHERE r.relation = TG_TABLE_NAME AND r.record_key = to_jsonb(NEW) ->> TG_ARGV[0]), 0) + 1;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION go_on_from_removed() IS 'Gives a record that is new the version after that of one that was removed under its key.';
CREATE FUNCTION hq_removed_region(tenant text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    RETURN (SELECT r.region FROM sys_removed_records r WHERE r.relation = 'org_tenants_mst' AND r.record_key = tenant);
COMMENT ON FUNCTION hq_removed_region(text) IS 'The region that a tenant was in when it was removed last; null where it never was.';
REVOKE ALL ON FUNCTION remember_removed(), go_on_from_removed(), hq_removed_region(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_removed_region(text) TO leasehold_hq;
DO $$
DECLARE
    record text[];
BEGIN
    FOREACH record SLICE 1 IN ARRAY ARRAY[
        ['sys_features_cf', 'feature_key'], ['sys_plan_subscriptions_types_cf', 'plan_key'], ['sys_add_ons_cf', 'add_on_key'],
        ['sys_feature_kills', 'kill_id'], ['sys_guards_cf', 'guard_key'], ['workflow_template_cd', 'workflow_key'],
        ['org_tenants_mst', 'tenant_org_id']]
    LOOP
        EXECUTE format('CREATE TRIGGER remember_removed AFTER DELETE ON %I FOR EACH ROW
            EXECUTE FUNCTION remember_removed(%L)', record[1], record[2]);
        EXECUTE format('CREATE TRIGGER go_on_from_removed BEFORE INSERT ON %I FOR EACH ROW
            EXECUTE FUNCTION go_on_from_removed(%L)', record[1], record[2]);
    END LOOP;
END
$$;

CREATE FUNCTION tell_access() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    NOTIFY leasehold_access;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION tell_access() IS 'Tells servers to forget what they remember of who may do what.';
REVOKE ALL ON FUNCTION tell_access() FROM PUBLIC;
CREATE TRIGGER tell_access AFTER UPDATE OR DELETE ON sys_staff FOR EACH ROW EXECUTE FUNCTION tell_access();
-- Nobody remembers a session past its end.
CREATE TRIGGER tell_access AFTER UPDATE OR DELETE ON sys_staff_sessions FOR EACH ROW WHEN (OLD.expires_at > now())
    EXECUTE FUNCTION tell_access();
CREATE TRIGGER tell_access AFTER UPDATE OR DELETE ON sys_api_tokens FOR EACH ROW EXECUTE FUNCTION tell_access();

-- What requests to HQ itself were answered, as `sys_idempotency` keeps it of tenants'.
CREATE FUNCTION hq_remember_request(request_key text, request bytea, answer jsonb) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
    WITH put AS (INSERT INTO sys_idempotency (tenant_org_id, idempotency_key, request_hash, response)
        VALUES ('', request_key, request, answer) ON CONFLICT DO NOTHING RETURNING 1)
    SELECT EXISTS (SELECT FROM put) $$;
COMMENT ON FUNCTION hq_remember_request(text, bytea, jsonb) IS
    'Keeps what a request to HQ was answered; false where its key is taken.';
CREATE FUNCTION hq_earlier_request(request_key text) RETURNS TABLE (request_hash bytea, response jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$ SELECT request_hash, response FROM sys_idempotency
        WHERE tenant_org_id = '' AND idempotency_key = request_key $$;
COMMENT ON FUNCTION hq_earlier_request(text) IS 'What a request to HQ was answered.';
REVOKE ALL ON FUNCTION hq_remember_request(text, bytea, jsonb), hq_earlier_request(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_remember_request(text, bytea, jsonb), hq_earlier_request(text) TO leasehold_hq;

GRANT SELECT, INSERT, UPDATE (role, password_hash, disabled_at) ON sys_staff TO leasehold_hq;
GRANT SELECT, INSERT, DELETE ON sys_staff_sessions TO leasehold_hq;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON sys_api_tokens TO leasehold_hq;
GRANT SELECT, INSERT, DELETE ON sys_slice_keys TO leasehold_hq;
GRANT SELECT, INSERT, UPDATE, DELETE ON sys_engines, sys_rollout TO leasehold_hq;

RESET ROLE;
RESET search_path;
