-- What was done, by whom: a hash chain for each tenant and one for HQ, an outbox for events, and the keys of requests
-- that were answered already. They commit together with what they are about.

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

-- A domain is looked at where a value comes in; a CHECK of the column would be at every entry.
CREATE DOMAIN audit_chain AS text COLLATE "C" CHECK (VALUE = '' OR VALUE::tenant_id IS NOT NULL);
COMMENT ON DOMAIN audit_chain IS 'Whose audit chain it is: a tenant; empty for HQ.';

CREATE TABLE sys_audit_heads (
    tenant_org_id audit_chain PRIMARY KEY,
    seq bigint NOT NULL DEFAULT 0,
    prev_hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 50);  -- Room for the next version of a row beside the last, which changes with every entry.
COMMENT ON TABLE sys_audit_heads IS 'Where each audit chain ends. Whoever appends holds this row.';
COMMENT ON COLUMN sys_audit_heads.tenant_org_id IS 'The tenant; empty for the chain of HQ.';
COMMENT ON COLUMN sys_audit_heads.seq IS 'Number of the last entry.';
COMMENT ON COLUMN sys_audit_heads.prev_hash IS 'Hash of the entry before it.';
COMMENT ON COLUMN sys_audit_heads.hash IS 'Its hash; 32 zero bytes before the first.';
-- A head moves on by one entry, and never back. Triggers of rows do not see TRUNCATE.
CREATE TRIGGER heads_move_on BEFORE UPDATE ON sys_audit_heads FOR EACH ROW
    WHEN (NEW.seq <> OLD.seq + 1 OR NEW.prev_hash <> OLD.hash OR NEW.tenant_org_id <> OLD.tenant_org_id)
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER heads_stay BEFORE DELETE ON sys_audit_heads FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER heads_are_not_emptied BEFORE TRUNCATE ON sys_audit_heads FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_change();

CREATE TABLE sys_audit_log (
    tenant_org_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    at instant NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    trace_id text,
    body bytea NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    PRIMARY KEY (tenant_org_id, seq),
    UNIQUE (tenant_org_id, prev_hash),
    -- Each constraint is made ready for every entry, so these are one. A foreign key to the head, which append_audit holds
    -- anyway, would cost as much as the rest of an entry's way; verification finds a chain whose head is gone.
    CONSTRAINT well_formed CHECK (seq >= 1 AND octet_length(trace_id) <= 256 AND octet_length(prev_hash) = 32
        AND octet_length(hash) = 32)
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
CREATE TRIGGER entries_are_not_emptied BEFORE TRUNCATE ON sys_audit_log FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_change();

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
CREATE TRIGGER checkpoints_are_not_emptied BEFORE TRUNCATE ON sys_audit_checkpoints FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_change();

-- JSON in its one spelling, as engines write it: RFC 8785 with integers for numbers. What they refuse is refused here:
-- numbers with a fraction or beyond 2^53 - 1, and nesting of more than 127. jsonb has lost what was spelled twice.
CREATE FUNCTION canonical_json(value jsonb, depth integer DEFAULT 0) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    kind text := jsonb_typeof(value);
    written text;
BEGIN
    IF kind IN ('object', 'array') AND depth >= 127 THEN
        RAISE EXCEPTION 'JSON is nested more than 127 deep' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    CASE kind
        WHEN 'object' THEN
            SELECT '{' || coalesce(string_agg(to_json(member.key)::text || ':' || canonical_json(member.value, depth + 1), ','
                ORDER BY utf16_order(member.key) COLLATE "C"), '') || '}' INTO written FROM jsonb_each(value) AS member;
        WHEN 'array' THEN
            SELECT '[' || coalesce(string_agg(canonical_json(item.value, depth + 1), ',' ORDER BY item.ordinality), '') || ']'
                INTO written FROM jsonb_array_elements(value) WITH ORDINALITY AS item;
        WHEN 'number' THEN
            written := value::text;
            IF written !~ '^-?[0-9]{1,16}$' OR abs(written::bigint) > 9007199254740991 THEN
                RAISE EXCEPTION '% is not an integer within 2^53 - 1', written USING ERRCODE = 'invalid_parameter_value';
            END IF;
        ELSE
            written := value::text;
    END CASE;
    RETURN written;
END
$$;
COMMENT ON FUNCTION canonical_json(jsonb, integer) IS 'JSON in its one spelling; numbers are integers.';

-- RFC 8785 orders keys by UTF-16, and the bytes of UTF-8 differ from that in one thing: U+E000 to U+FFFF come after all
-- that UTF-16 writes as two units. Here U+10FFFF, which stands for no character, in front of them brings them there.
CREATE FUNCTION utf16_order(key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF octet_length(key) = length(key) THEN
        RETURN key;
    END IF;
    IF position(U&'\+10FFFF' IN key) > 0 THEN
        RAISE EXCEPTION 'a key holds U+10FFFF, which stands for no character' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN regexp_replace(key, U&'([\E000-\FFFF])', U&'\+10FFFF\\1', 'g');
END
$$;
COMMENT ON FUNCTION utf16_order(text) IS 'A text whose bytes sort as the UTF-16 code units of a key do.';

-- The bytes of an entry, for those who append from SQL.
CREATE FUNCTION audit_body(tenant text, entry_at timestamptz, actor text, action text, subject text, detail jsonb,
                           trace_id text) RETURNS bytea
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT convert_to(canonical_json(
        jsonb_build_object('at', (extract(epoch FROM entry_at) * 1000)::bigint, 'actor', actor, 'action', action,
            'subject', subject, 'detail', coalesce(detail, 'null'))
        || CASE tenant WHEN '' THEN '{}' ELSE jsonb_build_object('tenant', tenant) END
        || CASE WHEN trace_id IS NULL THEN '{}' ELSE jsonb_build_object('trace_id', trace_id) END), 'UTF8') $$;
COMMENT ON FUNCTION audit_body(text, timestamptz, text, text, text, jsonb, text) IS
    'The bytes of an audit entry, for append_audit; the tenant is empty for the chain of HQ.';

-- Appends to a chain and gives the number of the entry. The head's row is held from here to the end of the transaction,
-- so that a chain never forks.
CREATE FUNCTION append_audit(tenant text, entry_at timestamptz, entry_actor text, entry_action text,
                             entry_trace_id text, entry_body bytea) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
DECLARE
    head sys_audit_heads;
BEGIN
    LOOP
        UPDATE sys_audit_heads SET seq = seq + 1, prev_hash = hash,
                hash = sha256(convert_to('leasehold-audit/1' || E'\n' || tenant || E'\n' || (seq + 1) || E'\n', 'UTF8')
                    || hash || entry_body)
            WHERE tenant_org_id = tenant RETURNING * INTO head;
        EXIT WHEN FOUND;
        INSERT INTO sys_audit_heads (tenant_org_id) VALUES (tenant) ON CONFLICT DO NOTHING;
    END LOOP;
    INSERT INTO sys_audit_log (tenant_org_id, seq, at, actor, action, trace_id, body, prev_hash, hash)
        VALUES (tenant, head.seq, entry_at, entry_actor, entry_action, entry_trace_id, entry_body, head.prev_hash, head.hash);
    RETURN head.seq;
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
-- Chains that lost their head are listed too, so that a head cannot be taken away to hide a chain. The log is not read for
-- that, however long it is: the index is asked for one chain after the other.
CREATE FUNCTION hq_audit_heads() RETURNS TABLE (tenant_org_id text, seq bigint, hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
    WITH RECURSIVE chain(tenant) AS (
        SELECT min(l.tenant_org_id) FROM sys_audit_log l
        UNION ALL
        SELECT (SELECT min(l.tenant_org_id) FROM sys_audit_log l WHERE l.tenant_org_id > c.tenant)
        FROM chain c WHERE c.tenant IS NOT NULL)
    SELECT h.tenant_org_id, h.seq, h.hash FROM sys_audit_heads h
    UNION ALL
    SELECT c.tenant, NULL, NULL FROM chain c
        WHERE c.tenant IS NOT NULL AND NOT EXISTS (SELECT FROM sys_audit_heads h WHERE h.tenant_org_id = c.tenant)
    ORDER BY 1 $$;
COMMENT ON FUNCTION hq_audit_heads() IS 'Where every audit chain ends; null where its head is missing.';
CREATE FUNCTION hq_audit_head(tenant text) RETURNS TABLE (tenant_org_id text, seq bigint, hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT tenant, h.seq, h.hash FROM (SELECT) AS one LEFT JOIN sys_audit_heads h ON h.tenant_org_id = tenant
        -- The lowest number, and not any entry: that is found by the index, and never by reading on until there is one.
        WHERE h.tenant_org_id IS NOT NULL
            OR (SELECT min(l.seq) FROM sys_audit_log l WHERE l.tenant_org_id = tenant) IS NOT NULL $$;
COMMENT ON FUNCTION hq_audit_head(text) IS
    'Where one audit chain ends; null where its head is missing, and no row where there is no such chain.';
REVOKE ALL ON FUNCTION hq_audit_entries(text, bigint, integer), hq_audit_heads(), hq_audit_head(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_audit_entries(text, bigint, integer), hq_audit_heads(), hq_audit_head(text) TO leasehold_hq;

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
    idempotency_key text NOT NULL CHECK (octet_length(idempotency_key) BETWEEN 1 AND 255),
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
