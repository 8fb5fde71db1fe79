-- What was done, by whom: a hash chain for each tenant and one for HQ, an outbox for events, and the keys of requests
-- that were answered already. They commit together with what they are about.

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

CREATE TABLE sys_audit_heads (
    tenant_org_id text COLLATE "C" PRIMARY KEY CHECK (tenant_org_id = '' OR tenant_org_id::tenant_id IS NOT NULL),
    seq bigint NOT NULL CHECK (seq >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE sys_audit_heads IS 'Where each audit chain ends. Whoever appends holds this row.';
COMMENT ON COLUMN sys_audit_heads.tenant_org_id IS 'The tenant; empty for the chain of HQ.';
COMMENT ON COLUMN sys_audit_heads.seq IS 'Number of the last entry.';
COMMENT ON COLUMN sys_audit_heads.hash IS 'Its hash.';

CREATE TABLE sys_audit_log (
    tenant_org_id text COLLATE "C" NOT NULL REFERENCES sys_audit_heads,
    seq bigint NOT NULL CHECK (seq >= 1),
    at timestamptz NOT NULL CHECK (is_instant(at)),
    actor text NOT NULL,
    action text NOT NULL,
    trace_id text,
    body bytea NOT NULL,
    prev_hash bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_org_id, seq),
    UNIQUE (tenant_org_id, prev_hash)
);
CREATE INDEX ON sys_audit_log (trace_id) WHERE trace_id IS NOT NULL;
COMMENT ON TABLE sys_audit_log IS
    'What was done. hash = SHA-256("leasehold-audit/1" LF || tenant LF || seq LF || prev_hash || body); see docs/postgres.md.';
COMMENT ON COLUMN sys_audit_log.tenant_org_id IS 'The tenant; empty for what concerns all of them.';
COMMENT ON COLUMN sys_audit_log.seq IS 'Number of the entry in its chain, from 1, without gaps.';
COMMENT ON COLUMN sys_audit_log.at IS 'When, in milliseconds; in the body too.';
COMMENT ON COLUMN sys_audit_log.actor IS 'Who; in the body too.';
COMMENT ON COLUMN sys_audit_log.action IS 'What; in the body too.';
COMMENT ON COLUMN sys_audit_log.trace_id IS 'The trace that it was part of; in the body too.';
COMMENT ON COLUMN sys_audit_log.body IS 'The entry as canonical JSON, byte for byte what was hashed.';
COMMENT ON COLUMN sys_audit_log.prev_hash IS 'Hash of the entry before; 32 zero bytes for the first.';
COMMENT ON COLUMN sys_audit_log.hash IS 'Hash of this entry.';
CREATE TRIGGER entries_are_facts BEFORE UPDATE OR DELETE ON sys_audit_log FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE sys_audit_checkpoints (
    checkpoint_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    document bytea NOT NULL
);
COMMENT ON TABLE sys_audit_checkpoints IS 'Signed statements of where chains ended. Keep copies elsewhere.';
COMMENT ON COLUMN sys_audit_checkpoints.checkpoint_id IS 'Number of the checkpoint.';
COMMENT ON COLUMN sys_audit_checkpoints.at IS 'When it was made.';
COMMENT ON COLUMN sys_audit_checkpoints.document IS 'The signed statement.';
CREATE TRIGGER checkpoints_are_facts BEFORE UPDATE OR DELETE ON sys_audit_checkpoints
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- JSON in its one spelling (RFC 8785). Values here hold no floats, and their keys sort alike by bytes and by UTF-16
-- wherever they are keys of definitions.
CREATE FUNCTION canonical_json(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT CASE jsonb_typeof(value)
        WHEN 'object' THEN (
            SELECT '{' || coalesce(string_agg(to_json(member.key)::text || ':' || canonical_json(member.value), ','
                ORDER BY member.key COLLATE "C"), '') || '}' FROM jsonb_each(value) AS member)
        WHEN 'array' THEN (
            SELECT '[' || coalesce(string_agg(canonical_json(item.value), ',' ORDER BY item.ordinality), '') || ']'
            FROM jsonb_array_elements(value) WITH ORDINALITY AS item)
        ELSE value::text
    END $$;
COMMENT ON FUNCTION canonical_json(jsonb) IS 'JSON without floats in its one spelling.';

-- Appends to a chain and gives the number of the entry. The head's row is held from here to the end of the transaction,
-- so that a chain never forks.
CREATE FUNCTION append_audit(tenant text, entry_at timestamptz, entry_actor text, entry_action text,
                             entry_trace_id text, entry_body bytea) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    last sys_audit_heads;
    next_hash bytea;
BEGIN
    UPDATE sys_audit_heads SET seq = seq + 1 WHERE tenant_org_id = tenant RETURNING * INTO last;
    IF NOT FOUND THEN
        INSERT INTO sys_audit_heads VALUES (tenant, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING;
        UPDATE sys_audit_heads SET seq = seq + 1 WHERE tenant_org_id = tenant RETURNING * INTO last;
    END IF;
    next_hash := sha256(convert_to('leasehold-audit/1' || E'\n' || tenant || E'\n' || last.seq || E'\n', 'UTF8')
        || last.hash || entry_body);
    INSERT INTO sys_audit_log (tenant_org_id, seq, at, actor, action, trace_id, body, prev_hash, hash)
        VALUES (tenant, last.seq, entry_at, entry_actor, entry_action, entry_trace_id, entry_body, last.hash, next_hash);
    UPDATE sys_audit_heads SET hash = next_hash WHERE tenant_org_id = tenant;
    RETURN last.seq;
END
$$;
COMMENT ON FUNCTION append_audit(text, timestamptz, text, text, text, bytea) IS 'Appends an entry to an audit chain.';
REVOKE ALL ON FUNCTION append_audit(text, timestamptz, text, text, text, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_audit(text, timestamptz, text, text, text, bytea) TO leasehold_hq;

-- The entries of chains, for who verifies or exports them: a page of one chain.
CREATE FUNCTION hq_audit_entries(tenant text, after_seq bigint, at_most integer) RETURNS SETOF sys_audit_log
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$ SELECT * FROM sys_audit_log WHERE tenant_org_id = tenant AND seq > after_seq ORDER BY seq LIMIT at_most $$;
COMMENT ON FUNCTION hq_audit_entries(text, bigint, integer) IS 'Entries of one audit chain, in order.';
CREATE FUNCTION hq_audit_heads() RETURNS SETOF sys_audit_heads
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$ SELECT * FROM sys_audit_heads ORDER BY tenant_org_id $$;
COMMENT ON FUNCTION hq_audit_heads() IS 'Where every audit chain ends.';
REVOKE ALL ON FUNCTION hq_audit_entries(text, bigint, integer), hq_audit_heads() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_audit_entries(text, bigint, integer), hq_audit_heads() TO leasehold_hq;

CREATE TABLE sys_outbox (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_org_id text COLLATE "C" NOT NULL,
    event_type text NOT NULL,
    payload jsonb NOT NULL,
    trace_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz
);
CREATE INDEX ON sys_outbox (event_id) WHERE delivered_at IS NULL;
COMMENT ON TABLE sys_outbox IS 'Events to be delivered, written in the transaction of what they tell.';
COMMENT ON COLUMN sys_outbox.event_id IS 'Number of the event.';
COMMENT ON COLUMN sys_outbox.tenant_org_id IS 'The tenant; empty for what concerns all of them.';
COMMENT ON COLUMN sys_outbox.event_type IS 'What happened, such as tenant.plan.changed.';
COMMENT ON COLUMN sys_outbox.payload IS 'What is told of it.';
COMMENT ON COLUMN sys_outbox.trace_id IS 'The trace that it was part of.';
COMMENT ON COLUMN sys_outbox.created_at IS 'When it happened.';
COMMENT ON COLUMN sys_outbox.delivered_at IS 'When it was handed on; null until then.';

CREATE TABLE sys_idempotency (
    tenant_org_id text COLLATE "C" NOT NULL,
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
    response jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_org_id, idempotency_key)
);
COMMENT ON TABLE sys_idempotency IS 'Requests that were answered: asked again by the same key, they get the same answer.';
COMMENT ON COLUMN sys_idempotency.tenant_org_id IS 'The tenant; empty for what concerns all of them.';
COMMENT ON COLUMN sys_idempotency.idempotency_key IS 'The key that came with the request.';
COMMENT ON COLUMN sys_idempotency.request_hash IS 'SHA-256 of the request: the same key with another request is refused.';
COMMENT ON COLUMN sys_idempotency.response IS 'What was answered.';
COMMENT ON COLUMN sys_idempotency.created_at IS 'When.';

SELECT isolate_tenants(which) FROM unnest(ARRAY['sys_audit_heads', 'sys_audit_log', 'sys_outbox',
    'sys_idempotency']::regclass[]) AS which;
-- What concerns all tenants is HQ's.
CREATE POLICY hq_own ON sys_outbox TO leasehold_hq USING (tenant_org_id = '') WITH CHECK (tenant_org_id = '');
CREATE POLICY hq_own ON sys_idempotency TO leasehold_hq USING (tenant_org_id = '') WITH CHECK (tenant_org_id = '');
GRANT SELECT ON sys_audit_log TO leasehold_app;
GRANT SELECT, INSERT ON sys_audit_checkpoints, sys_idempotency TO leasehold_hq;
-- Numbers of events are Postgres's to give: who could choose one would learn from the answer which ones others have.
GRANT SELECT, INSERT (tenant_org_id, event_type, payload, trace_id) ON sys_outbox TO leasehold_hq;

RESET ROLE;
RESET search_path;
