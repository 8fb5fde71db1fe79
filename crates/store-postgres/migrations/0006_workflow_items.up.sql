-- Items of workflows, and how they move. Machines are resolved by the engine and kept here as it resolved them; their
-- guards come in their typed form, and SQL is made of that form here, so that nobody who writes machines can make the
-- database run anything else. Items move in one transaction each: the item, the log, the audit entry, the event and the
-- idempotency key, or nothing.

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

-- Machines ----------------------------------------------------------------------------------------------------------

CREATE TABLE sys_machines (
    machine bytea PRIMARY KEY CHECK (octet_length(machine) = 32),
    workflow_key key NOT NULL,
    version version_number NOT NULL,
    category record_id,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sys_machines IS 'Workflows as tenants have them, all layers put together by the engine. Tenants with equal ones share them.';
COMMENT ON COLUMN sys_machines.machine IS 'SHA-256 of the document that the engine wrote.';
COMMENT ON COLUMN sys_machines.workflow_key IS 'The template.';
COMMENT ON COLUMN sys_machines.version IS 'The template''s version.';
COMMENT ON COLUMN sys_machines.category IS 'The service category, where anything differs for it.';
COMMENT ON COLUMN sys_machines.created_at IS 'When it came.';

CREATE TABLE sys_machine_stages (
    machine bytea NOT NULL REFERENCES sys_machines ON DELETE CASCADE,
    position integer NOT NULL,
    stage_id record_id NOT NULL,
    initial boolean NOT NULL,
    final boolean NOT NULL,
    PRIMARY KEY (machine, stage_id)
);
COMMENT ON TABLE sys_machine_stages IS 'Where items can be, by machine.';
COMMENT ON COLUMN sys_machine_stages.machine IS 'The machine.';
COMMENT ON COLUMN sys_machine_stages.position IS 'Place in the declared order, from 1.';
COMMENT ON COLUMN sys_machine_stages.stage_id IS 'The stage.';
COMMENT ON COLUMN sys_machine_stages.initial IS 'Whether items begin here.';
COMMENT ON COLUMN sys_machine_stages.final IS 'Whether items may end here.';

CREATE TABLE sys_machine_transitions (
    machine bytea NOT NULL REFERENCES sys_machines ON DELETE CASCADE,
    ordinal integer NOT NULL,
    transition_id record_id NOT NULL,
    event record_id NOT NULL,
    from_stage record_id NOT NULL,
    to_stage record_id NOT NULL,
    role record_id,
    role_layer text,
    PRIMARY KEY (machine, ordinal),
    FOREIGN KEY (machine, from_stage) REFERENCES sys_machine_stages ON DELETE CASCADE,
    FOREIGN KEY (machine, to_stage) REFERENCES sys_machine_stages ON DELETE CASCADE,
    CHECK ((role IS NULL) = (role_layer IS NULL))
);
CREATE INDEX ON sys_machine_transitions (machine, from_stage, to_stage);
COMMENT ON TABLE sys_machine_transitions IS 'How items get from one stage to another, by machine.';
COMMENT ON COLUMN sys_machine_transitions.machine IS 'The machine.';
COMMENT ON COLUMN sys_machine_transitions.ordinal IS 'Place in the declared order, from 1: the first one that is enabled is taken.';
COMMENT ON COLUMN sys_machine_transitions.transition_id IS 'Id of the transition.';
COMMENT ON COLUMN sys_machine_transitions.event IS 'What happens.';
COMMENT ON COLUMN sys_machine_transitions.from_stage IS 'The stage that it leaves.';
COMMENT ON COLUMN sys_machine_transitions.to_stage IS 'The stage that it enters.';
COMMENT ON COLUMN sys_machine_transitions.role IS 'The role that somebody must have for it.';
COMMENT ON COLUMN sys_machine_transitions.role_layer IS 'The layer that requires the role.';

CREATE TABLE sys_machine_guards (
    machine bytea NOT NULL,
    ordinal integer NOT NULL,
    position integer NOT NULL,
    binding record_id NOT NULL,
    guard_key key NOT NULL,
    layer text NOT NULL,
    expression text NOT NULL,
    inputs jsonb NOT NULL CHECK (jsonb_typeof(inputs) = 'array'),
    conditions jsonb CHECK (jsonb_typeof(conditions) = 'array'),
    sql text CHECK ((sql IS NULL) = (conditions IS NULL)),
    PRIMARY KEY (machine, ordinal, position),
    FOREIGN KEY (machine, ordinal) REFERENCES sys_machine_transitions ON DELETE CASCADE
);
COMMENT ON TABLE sys_machine_guards IS 'What must hold for transitions, by machine, with settings filled in.';
COMMENT ON COLUMN sys_machine_guards.machine IS 'The machine.';
COMMENT ON COLUMN sys_machine_guards.ordinal IS 'The transition.';
COMMENT ON COLUMN sys_machine_guards.position IS 'Place among the guards of the transition, from 1.';
COMMENT ON COLUMN sys_machine_guards.binding IS 'Id of the binding.';
COMMENT ON COLUMN sys_machine_guards.guard_key IS 'The guard.';
COMMENT ON COLUMN sys_machine_guards.layer IS 'The layer that touched the binding last.';
COMMENT ON COLUMN sys_machine_guards.expression IS 'The guard as text.';
COMMENT ON COLUMN sys_machine_guards.inputs IS 'What it looks at: a list of {name, type}, by name.';
COMMENT ON COLUMN sys_machine_guards.conditions IS
    'What must hold, all of it: a list of {form, text, part, inputs}; null where only the engine can say.';
COMMENT ON COLUMN sys_machine_guards.sql IS
    'The conditions as SQL, made of their forms: an expression over the context $1 that comes to a boolean for each.';

CREATE TABLE org_workflow_machines (
    tenant_org_id tenant_id NOT NULL,
    workflow_key key NOT NULL,
    category text COLLATE "C" NOT NULL CHECK (category = '' OR category::record_id IS NOT NULL),
    machine bytea REFERENCES sys_machines,
    PRIMARY KEY (tenant_org_id, workflow_key, category)
);
CREATE INDEX ON org_workflow_machines (machine);
COMMENT ON TABLE org_workflow_machines IS 'Which machine items of a tenant move by.';
COMMENT ON COLUMN org_workflow_machines.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_workflow_machines.workflow_key IS 'The template.';
COMMENT ON COLUMN org_workflow_machines.category IS
    'The service category; empty for items without one, and for every category that is not listed.';
COMMENT ON COLUMN org_workflow_machines.machine IS 'The machine; null where the template is not active for the tenant.';

-- Items -------------------------------------------------------------------------------------------------------------

CREATE TABLE org_workflow_items (
    tenant_org_id tenant_id NOT NULL,
    item_id text COLLATE "C" NOT NULL CHECK (octet_length(item_id) BETWEEN 1 AND 255),
    workflow_key key NOT NULL,
    category text COLLATE "C" NOT NULL DEFAULT '' CHECK (category = '' OR category::record_id IS NOT NULL),
    stage record_id NOT NULL,
    row_version bigint NOT NULL DEFAULT 1 CHECK (row_version >= 1),
    created_at instant NOT NULL,
    updated_at instant NOT NULL,
    PRIMARY KEY (tenant_org_id, item_id)
);
CREATE INDEX ON org_workflow_items (tenant_org_id, workflow_key, stage);
COMMENT ON TABLE org_workflow_items IS 'What moves from stage to stage: orders, pickup requests, complaints.';
COMMENT ON COLUMN org_workflow_items.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_workflow_items.item_id IS 'Id that the app gave it, compared by bytes.';
COMMENT ON COLUMN org_workflow_items.workflow_key IS 'The template that it moves by.';
COMMENT ON COLUMN org_workflow_items.category IS 'Its service category; empty where it has none.';
COMMENT ON COLUMN org_workflow_items.stage IS 'Where it is.';
COMMENT ON COLUMN org_workflow_items.row_version IS 'Grows by one with every move; movers name the one that they saw.';
COMMENT ON COLUMN org_workflow_items.created_at IS 'When it began.';
COMMENT ON COLUMN org_workflow_items.updated_at IS 'When it moved last.';

CREATE TABLE org_workflow_transition_log (
    tenant_org_id tenant_id NOT NULL,
    item_id text COLLATE "C" NOT NULL,
    row_version bigint NOT NULL CHECK (row_version >= 1),
    at instant NOT NULL,
    actor text NOT NULL,
    workflow_key key NOT NULL,
    version version_number NOT NULL,
    category text COLLATE "C" NOT NULL,
    transition_id record_id,
    event record_id,
    from_stage record_id,
    to_stage record_id NOT NULL,
    decided_by text NOT NULL CHECK (decided_by IN ('engine', 'database')),
    context jsonb,
    context_hash bytea NOT NULL CHECK (octet_length(context_hash) = 32),
    audit_seq bigint NOT NULL,
    trace_id text,
    PRIMARY KEY (tenant_org_id, item_id, row_version),
    FOREIGN KEY (tenant_org_id, item_id) REFERENCES org_workflow_items,
    -- Only the first entry of an item comes from nowhere.
    CHECK ((row_version = 1) = (from_stage IS NULL)),
    CHECK ((from_stage IS NULL) = (transition_id IS NULL)),
    CHECK ((from_stage IS NULL) = (event IS NULL))
);
CREATE INDEX ON org_workflow_transition_log (tenant_org_id, workflow_key, at);
CREATE TRIGGER moves_are_facts BEFORE UPDATE OR DELETE ON org_workflow_transition_log
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
COMMENT ON TABLE org_workflow_transition_log IS 'Every move of every item. Rows are added and never changed.';
COMMENT ON COLUMN org_workflow_transition_log.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN org_workflow_transition_log.item_id IS 'The item.';
COMMENT ON COLUMN org_workflow_transition_log.row_version IS 'The version that the item came to.';
COMMENT ON COLUMN org_workflow_transition_log.at IS 'When.';
COMMENT ON COLUMN org_workflow_transition_log.actor IS 'Who moved it.';
COMMENT ON COLUMN org_workflow_transition_log.workflow_key IS 'The template.';
COMMENT ON COLUMN org_workflow_transition_log.version IS 'The version of the template that the machine was made of.';
COMMENT ON COLUMN org_workflow_transition_log.category IS 'The item''s service category; empty where it has none.';
COMMENT ON COLUMN org_workflow_transition_log.transition_id IS 'The transition that was taken; null where the item began.';
COMMENT ON COLUMN org_workflow_transition_log.event IS 'What happened; null where the item began.';
COMMENT ON COLUMN org_workflow_transition_log.from_stage IS 'The stage that it left; null where it began.';
COMMENT ON COLUMN org_workflow_transition_log.to_stage IS 'The stage that it entered.';
COMMENT ON COLUMN org_workflow_transition_log.decided_by IS 'Who looked at the guards: the engine, or the database.';
COMMENT ON COLUMN org_workflow_transition_log.context IS
    'What was known, {inputs, roles}: null where it is longer than 65,536 bytes.';
COMMENT ON COLUMN org_workflow_transition_log.context_hash IS 'SHA-256 of the context as text; in the audit entry too.';
COMMENT ON COLUMN org_workflow_transition_log.audit_seq IS 'Number of the audit entry of the move.';
COMMENT ON COLUMN org_workflow_transition_log.trace_id IS 'The trace that it was part of.';

CREATE TYPE item_move AS (
    item_id text, row_version bigint, transition text, event text, from_stage text, to_stage text, at timestamptz,
    audit_seq bigint, repeated boolean);
COMMENT ON TYPE item_move IS 'A move of an item, or its beginning, as it was answered.';
COMMENT ON COLUMN item_move.item_id IS 'The item.';
COMMENT ON COLUMN item_move.row_version IS 'The version that it came to.';
COMMENT ON COLUMN item_move.transition IS 'The transition that was taken; null where it began.';
COMMENT ON COLUMN item_move.event IS 'What happened; null where it began.';
COMMENT ON COLUMN item_move.from_stage IS 'The stage that it left; null where it began.';
COMMENT ON COLUMN item_move.to_stage IS 'The stage that it entered.';
COMMENT ON COLUMN item_move.at IS 'When.';
COMMENT ON COLUMN item_move.audit_seq IS 'Number of the audit entry.';
COMMENT ON COLUMN item_move.repeated IS 'Whether it had been done before, under the same idempotency key.';

CREATE TYPE begun_move AS (workflow_key text, category text, from_stage text, earlier item_move);
COMMENT ON TYPE begun_move IS 'An item that is held to be moved.';
COMMENT ON COLUMN begun_move.workflow_key IS 'The template that it moves by.';
COMMENT ON COLUMN begun_move.category IS 'Its service category; empty where it has none.';
COMMENT ON COLUMN begun_move.from_stage IS 'Where it is.';
COMMENT ON COLUMN begun_move.earlier IS 'The move, where it was done before under the same idempotency key.';

-- Typed guards as SQL -------------------------------------------------------------------------------------------------

-- An integer, a string, or a list that is an input.
CREATE FUNCTION guard_operand_sql(operand jsonb, types jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    name text := operand ->> 'input';
    constant jsonb := operand -> 'constant';
BEGIN
    CASE
        WHEN types ->> name = 'integer' THEN RETURN format('($1 ->> %L)::bigint', name);
        WHEN types ->> name = 'string' THEN RETURN format('($1 ->> %L) COLLATE "C"', name);
        WHEN types ->> name = 'strings' THEN RETURN format('($1 -> %L)', name);
        WHEN jsonb_typeof(constant) = 'number' THEN RETURN format('(%s)::bigint', (constant #>> '{}')::bigint);
        WHEN jsonb_typeof(constant) = 'string' THEN RETURN format('(%L)::text COLLATE "C"', constant #>> '{}');
    END CASE;
END
$$;
COMMENT ON FUNCTION guard_operand_sql(jsonb, jsonb) IS 'What a guard compares, as SQL; an error for anything else.';

-- Whatever is not one of these forms is an error (case_not_found), and no machine is kept.
CREATE FUNCTION guard_sql(form jsonb, types jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    kind text;
    body jsonb;
    list jsonb;
    item text;
    operator text;
BEGIN
    SELECT member.key, member.value INTO STRICT kind, body FROM jsonb_each(form) AS member;
    CASE kind
        WHEN 'constant' THEN RETURN (body #>> '{}')::boolean;
        WHEN 'input' THEN
            CASE types ->> (body #>> '{}') WHEN 'bool' THEN
                RETURN format('($1 -> %L)::boolean', body #>> '{}');
            END CASE;
        WHEN 'not' THEN RETURN format('(NOT %s)', guard_sql(body, types));
        WHEN 'and', 'or' THEN
            RETURN (SELECT '(' || string_agg(guard_sql(part.value, types), format(' %s ', upper(kind))
                ORDER BY part.ordinality) || ')' FROM jsonb_array_elements(body) WITH ORDINALITY AS part);
        WHEN 'same' THEN RETURN format('(%s = %s)', guard_sql(body -> 0, types), guard_sql(body -> 1, types));
        WHEN 'differ' THEN RETURN format('(%s <> %s)', guard_sql(body -> 0, types), guard_sql(body -> 1, types));
        WHEN 'compare' THEN
            CASE body ->> 'operator'
                WHEN '==' THEN operator := '=';
                WHEN '!=' THEN operator := '<>';
                WHEN '<', '<=', '>', '>=' THEN operator := body ->> 'operator';
            END CASE;
            RETURN format('(%s %s %s)', guard_operand_sql(body -> 'left', types), operator,
                guard_operand_sql(body -> 'right', types));
        WHEN 'in' THEN
            item := guard_operand_sql(body -> 'item', types);
            list := body -> 'list' -> 'constant';
            IF list IS NULL THEN
                RETURN format('(%s ? (%s))', guard_operand_sql(body -> 'list', types), item);
            END IF;
            IF list = '[]' THEN
                RETURN 'false';
            END IF;
            RETURN format('(%s = ANY (ARRAY[%s]))', item,
                (SELECT string_agg(guard_operand_sql(jsonb_build_object('constant', one.value), types), ', '
                    ORDER BY one.ordinality) FROM jsonb_array_elements(list) WITH ORDINALITY AS one));
    END CASE;
END
$$;
COMMENT ON FUNCTION guard_sql(jsonb, jsonb) IS
    'A typed guard as an SQL expression over the context $1, whose inputs are known to fit their types.';

CREATE FUNCTION shortened(whole text, bytes integer) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    raw bytea := convert_to(whole, 'UTF8');
    kept integer := bytes;
BEGIN
    IF octet_length(raw) <= bytes THEN
        RETURN whole;
    END IF;
    -- To the end of a character.
    WHILE get_byte(raw, kept) & 192 = 128 LOOP
        kept := kept - 1;
    END LOOP;
    RETURN convert_from(substring(raw FROM 1 FOR kept), 'UTF8') || '… (' || octet_length(raw) || ' bytes)';
END
$$;
COMMENT ON FUNCTION shortened(text, integer) IS 'A text cut off after so many bytes, at the end of a character.';

-- Whole numbers beyond 64 bits are floats to whoever reads JSON.
CREATE FUNCTION is_integer(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT jsonb_typeof(value) = 'number' AND (strpos(value #>> '{}', '.') = 0
        -- jsonb does not keep how a number was written: 1e2 and -0, which are floats to the engine, are integers here.
        -- The engine reads it as the double nearest to it, which is 2^63 from here on: what 64 bits do not hold is too great.
        OR abs((value #>> '{}')::numeric) >= 9223372036854775296) $$;
COMMENT ON FUNCTION is_integer(jsonb) IS 'Whether JSON is a whole number as the engine reads it, or greater than any that it reads.';

-- What keeps an input from being looked at: null where nothing does.
CREATE FUNCTION input_fault(value jsonb, type text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF value IS NULL THEN
        RETURN 'input_missing';
    END IF;
    CASE type
        WHEN 'bool' THEN
            RETURN CASE WHEN jsonb_typeof(value) <> 'boolean' THEN 'input_mistyped' END;
        WHEN 'integer' THEN
            IF NOT is_integer(value) THEN
                RETURN 'input_mistyped';
            END IF;
            RETURN CASE WHEN abs((value #>> '{}')::numeric) > 9007199254740991 THEN 'input_out_of_range' END;
        WHEN 'string' THEN
            IF jsonb_typeof(value) <> 'string' THEN
                RETURN 'input_mistyped';
            END IF;
            RETURN CASE WHEN octet_length(value #>> '{}') > 65536 THEN 'input_out_of_range' END;
        WHEN 'strings' THEN
            IF jsonb_typeof(value) <> 'array' THEN
                RETURN 'input_mistyped';
            END IF;
            IF EXISTS (SELECT FROM jsonb_array_elements(value) AS item WHERE jsonb_typeof(item) <> 'string') THEN
                RETURN 'input_mistyped';
            END IF;
            RETURN CASE WHEN jsonb_array_length(value) > 1024
                    OR EXISTS (SELECT FROM jsonb_array_elements_text(value) AS item WHERE octet_length(item) > 65536)
                THEN 'input_out_of_range' END;
    END CASE;
END
$$;
COMMENT ON FUNCTION input_fault(jsonb, text) IS 'What keeps an input from being looked at; null where nothing does.';

CREATE FUNCTION shown_input(value jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    items integer;
BEGIN
    CASE jsonb_typeof(value)
        WHEN 'null', 'boolean' THEN RETURN value;
        WHEN 'number' THEN
            IF NOT is_integer(value) THEN
                RETURN '"a float"';
            END IF;
            RETURN to_jsonb(CASE WHEN strpos(value #>> '{}', '.') = 0
                THEN least(greatest((value #>> '{}')::numeric, -9223372036854775808), 9223372036854775807)
                WHEN (value #>> '{}')::numeric > 0 THEN 9223372036854775807 ELSE -9223372036854775808 END);
        WHEN 'string' THEN RETURN to_jsonb(shortened(value #>> '{}', 128));
        WHEN 'object' THEN RETURN '"an object"';
        WHEN 'array' THEN
            IF EXISTS (SELECT FROM jsonb_array_elements(value) AS item WHERE jsonb_typeof(item) <> 'string') THEN
                RETURN '"a mixed list"';
            END IF;
            items := jsonb_array_length(value);
            RETURN (SELECT coalesce(jsonb_agg(shortened(value ->> at, 128) ORDER BY at), '[]')
                    FROM generate_series(0, least(items, 16) - 1) AS at)
                || CASE WHEN items > 16 THEN jsonb_build_array('… ' || items || ' items') ELSE '[]' END;
    END CASE;
END
$$;
COMMENT ON FUNCTION shown_input(jsonb) IS 'An input for an answer; long texts and lists are cut off.';

CREATE FUNCTION shown_inputs(context jsonb, names jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT coalesce(jsonb_object_agg(name, shown_input(context -> name)), '{}')
    FROM jsonb_array_elements_text(names) AS name WHERE context ? name $$;
COMMENT ON FUNCTION shown_inputs(jsonb, jsonb) IS 'Those of some inputs that were given, for an answer.';

-- All that is wrong with one guard, as the engine would say it.
CREATE FUNCTION guard_blockers(guard sys_machine_guards, transition text, context jsonb) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    here jsonb := jsonb_build_object('transition', transition, 'binding', guard.binding, 'guard', guard.guard_key,
        'layer', guard.layer);
    unfit jsonb;
    held boolean[];
    failed integer[];
    expected text;
    mentioned jsonb;
BEGIN
    SELECT jsonb_agg(here || jsonb_build_object('code', code, 'expected', input.name || ': ' || CASE input.type
            WHEN 'bool' THEN 'true or false'
            WHEN 'integer' THEN 'an integer from −(2^53 − 1) to 2^53 − 1'
            WHEN 'string' THEN 'a string of at most 65,536 bytes'
            WHEN 'strings' THEN 'a list of at most 1,024 strings' END,
            'actual', shown_inputs(context, jsonb_build_array(input.name))) ORDER BY input.name COLLATE "C")
        INTO unfit
        FROM jsonb_to_recordset(guard.inputs) AS input(name text, type text),
            input_fault(context -> input.name, input.type) AS code
        WHERE code IS NOT NULL;
    IF unfit IS NOT NULL THEN
        RETURN unfit;
    END IF;
    EXECUTE 'SELECT ' || guard.sql INTO STRICT held USING context;
    -- What is neither true nor false blocks too.
    SELECT array_agg(at ORDER BY at) INTO failed FROM generate_series(1, jsonb_array_length(guard.conditions)) AS at
        WHERE held[at] IS DISTINCT FROM true;
    IF failed IS NULL THEN
        RETURN '[]';
    END IF;
    IF cardinality(failed) = jsonb_array_length(guard.conditions) THEN
        expected := guard.expression;
        SELECT jsonb_agg(input -> 'name') INTO mentioned FROM jsonb_array_elements(guard.inputs) AS input;
    ELSE
        SELECT CASE WHEN cardinality(failed) = 1 THEN min(condition ->> 'text')
                ELSE string_agg(condition ->> 'part', ' && ' ORDER BY at) END
            INTO expected
            FROM unnest(failed) AS at, LATERAL (SELECT guard.conditions -> (at - 1)) AS of(condition);
        SELECT jsonb_agg(DISTINCT name) INTO mentioned
            FROM unnest(failed) AS at, jsonb_array_elements(guard.conditions -> (at - 1) -> 'inputs') AS name;
    END IF;
    RETURN jsonb_build_array(here || jsonb_build_object('code', 'guard_failed', 'expected', shortened(expected, 2000),
        'actual', shown_inputs(context, coalesce(mentioned, '[]'))));
END
$$;
COMMENT ON FUNCTION guard_blockers(sys_machine_guards, text, jsonb) IS
    'All that is wrong with one guard in a context; an empty list where it holds.';

-- Keeping machines ----------------------------------------------------------------------------------------------------

-- Machines that are not there yet. Those that are stay to the end of the transaction: whoever asks is about to place them,
-- and nobody may drop them in between. In the order of their hashes, as they are written: two who place machines wait for
-- each other, and never lock each other out.
CREATE FUNCTION hq_missing_machines(machines bytea[]) RETURNS SETOF bytea
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    kept bytea[] := ARRAY(SELECT s.machine FROM sys_machines s WHERE s.machine = ANY (machines)
                          ORDER BY s.machine FOR KEY SHARE);
BEGIN
    RETURN QUERY SELECT m FROM unnest(machines) AS m WHERE NOT EXISTS (SELECT FROM unnest(kept) AS k WHERE k = m);
END
$$;
COMMENT ON FUNCTION hq_missing_machines(bytea[]) IS
    'Those of some machines that are not kept yet; holds the others to the end of the transaction.';

-- Keeps one machine, under the hash of its document. Nothing of the document is ever run: SQL is made of the forms.
CREATE FUNCTION hq_put_machine(document text) RETURNS bytea
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    hash bytea := sha256(convert_to(document, 'UTF8'));
    made jsonb := document::jsonb;
BEGIN
    INSERT INTO sys_machines (machine, workflow_key, version, category)
        VALUES (hash, made ->> 'workflow', (made ->> 'version')::bigint, made ->> 'category') ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN hash;
    END IF;
    INSERT INTO sys_machine_stages (machine, position, stage_id, initial, final)
        SELECT hash, s.ordinality, s.value ->> 'stage', (s.value ->> 'initial')::boolean, (s.value ->> 'final')::boolean
        FROM jsonb_array_elements(made -> 'stages') WITH ORDINALITY AS s;
    INSERT INTO sys_machine_transitions (machine, ordinal, transition_id, event, from_stage, to_stage, role, role_layer)
        SELECT hash, t.ordinality, t.value ->> 'transition', t.value ->> 'event', t.value ->> 'from', t.value ->> 'to',
            t.value ->> 'role', t.value ->> 'role_layer'
        FROM jsonb_array_elements(made -> 'transitions') WITH ORDINALITY AS t;
    INSERT INTO sys_machine_guards (machine, ordinal, position, binding, guard_key, layer, expression, inputs,
            conditions, sql)
        SELECT hash, t.ordinality, g.ordinality, g.value ->> 'binding', g.value ->> 'guard', g.value ->> 'layer',
            g.value ->> 'expression', g.value -> 'inputs', nullif(g.value -> 'conditions', 'null'),
            (SELECT 'ARRAY[' || string_agg(guard_sql(c.value -> 'form',
                    (SELECT coalesce(jsonb_object_agg(input.name, input.type), '{}')
                     FROM jsonb_to_recordset(g.value -> 'inputs') AS input(name text, type text))), ', '
                    ORDER BY c.ordinality) || ']'
             FROM jsonb_array_elements(nullif(g.value -> 'conditions', 'null')) WITH ORDINALITY AS c)
        FROM jsonb_array_elements(made -> 'transitions') WITH ORDINALITY AS t,
            jsonb_array_elements(t.value -> 'guards') WITH ORDINALITY AS g;
    RETURN hash;
END
$$;
COMMENT ON FUNCTION hq_put_machine(text) IS 'Keeps a machine, and gives the hash of its document.';

-- Says which machines some tenants have: theirs are the ones that are listed, and no others. `placed` is a list of
-- {tenant, workflow, category, machine}, hashes in hex, null where the template is not active. Gives how many rows changed.
CREATE FUNCTION hq_place_machines(tenants text[], placed jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    changed bigint;
    removed bigint;
BEGIN
    IF EXISTS (SELECT FROM jsonb_to_recordset(placed) AS p(tenant text)
               WHERE NOT EXISTS (SELECT FROM unnest(tenants) AS t WHERE t = p.tenant)) THEN
        RAISE EXCEPTION 'a machine is placed at a tenant that is not named' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM org_workflow_machines o WHERE o.tenant_org_id = ANY (tenants) AND NOT EXISTS (
        SELECT FROM jsonb_to_recordset(placed) AS p(tenant text, workflow text, category text)
        WHERE (p.tenant, p.workflow, p.category) = (o.tenant_org_id, o.workflow_key, o.category));
    GET DIAGNOSTICS removed = ROW_COUNT;
    -- Rows that stay as they are are not touched: a conflict would lock and write each of them.
    INSERT INTO org_workflow_machines AS o (tenant_org_id, workflow_key, category, machine)
        SELECT p.tenant, p.workflow, p.category, p.machine
        FROM (SELECT tenant, workflow, category, decode(machine, 'hex') AS machine
              FROM jsonb_to_recordset(placed) AS p(tenant text, workflow text, category text, machine text)) AS p
        LEFT JOIN org_workflow_machines h
            ON (h.tenant_org_id, h.workflow_key, h.category) = (p.tenant, p.workflow, p.category)
        WHERE h.tenant_org_id IS NULL OR h.machine IS DISTINCT FROM p.machine
        ORDER BY p.tenant, p.workflow, p.category
        ON CONFLICT (tenant_org_id, workflow_key, category) DO UPDATE SET machine = excluded.machine;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed + removed;
END
$$;
COMMENT ON FUNCTION hq_place_machines(text[], jsonb) IS 'Says which machines some tenants have.';

-- Machines that no tenant has any more. Items do not name machines: they move by whichever their tenant has.
CREATE FUNCTION hq_drop_idle_machines() RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    idle bytea[];
    dropped bigint;
BEGIN
    -- One that somebody holds is about to be placed, or moves an item just now: it is left for the next time.
    idle := ARRAY(SELECT m.machine FROM sys_machines m
        WHERE NOT EXISTS (SELECT FROM org_workflow_machines o WHERE o.machine = m.machine)
        ORDER BY m.machine FOR UPDATE SKIP LOCKED);
    -- Looked at again, now that nobody can place them: one may have been placed after the look above.
    DELETE FROM sys_machines m WHERE m.machine = ANY (idle)
        AND NOT EXISTS (SELECT FROM org_workflow_machines o WHERE o.machine = m.machine);
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION hq_drop_idle_machines() IS 'Drops the machines that no tenant has any more, and gives how many there were.';

-- Moving items ------------------------------------------------------------------------------------------------------

-- The code is the message: it is what programs look at. The facts are JSON, the advice is for people.
CREATE FUNCTION refuse_move(code text, facts jsonb, advice text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'LH001', MESSAGE = code, DETAIL = facts::text, HINT = advice;
END
$$;
COMMENT ON FUNCTION refuse_move(text, jsonb, text) IS 'Raises an error with a stable code as its message, SQLSTATE LH001.';

CREATE FUNCTION required_tenant() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF current_tenant() IS NULL THEN
        PERFORM refuse_move('no_tenant', '{}', 'set app.current_tenant_id within the transaction');
    END IF;
    RETURN current_tenant();
END
$$;
COMMENT ON FUNCTION required_tenant() IS 'The tenant of the running transaction; an error where there is none.';

CREATE FUNCTION is_record_id(value text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    PERFORM value::record_id;
    RETURN true;
EXCEPTION WHEN check_violation THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION is_record_id(text) IS 'Whether a text can be a record_id.';

-- What tables would refuse as well, in words that programs do not know.
CREATE FUNCTION check_request(request_key text, trace text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF octet_length(request_key) NOT BETWEEN 1 AND 255 THEN
        PERFORM refuse_move('invalid_idempotency_key', jsonb_build_object('bytes', octet_length(request_key)),
            'give it 1 to 255 bytes, or leave it out');
    END IF;
    IF octet_length(trace) > 256 THEN
        PERFORM refuse_move('invalid_argument', '{"argument": "trace_id"}', 'a trace id has at most 256 bytes');
    END IF;
END
$$;
COMMENT ON FUNCTION check_request(text, text) IS 'Refuses an idempotency key or a trace id that cannot be kept.';

CREATE FUNCTION check_move(item text, to_stage text, context jsonb, expected_row_version bigint, actor text,
                           request_key text, trace text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF item IS NULL OR to_stage IS NULL OR actor IS NULL THEN
        PERFORM refuse_move('invalid_argument', '{}', 'name the item, the stage and the actor');
    END IF;
    IF jsonb_typeof(context) IS DISTINCT FROM 'object' THEN
        PERFORM refuse_move('invalid_argument', '{"argument": "context"}', 'give the context as a JSON object');
    END IF;
    IF expected_row_version IS NULL THEN
        PERFORM refuse_move('invalid_argument', '{"argument": "expected_row_version"}',
            'name the version of the item that was seen');
    END IF;
    PERFORM check_request(request_key, trace);
END
$$;
COMMENT ON FUNCTION check_move(text, text, jsonb, bigint, text, text, text) IS
    'Refuses a request to move an item that cannot be meant.';

-- What was answered before to a request under this key: null where there was none.
CREATE FUNCTION earlier_move(tenant text, key_of_request text, hash_of_request bytea) RETURNS item_move
    LANGUAGE plpgsql STABLE
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    earlier sys_idempotency;
    answered item_move;
BEGIN
    SELECT * INTO earlier FROM sys_idempotency
        WHERE tenant_org_id = tenant AND idempotency_key = key_of_request;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF earlier.request_hash <> hash_of_request THEN
        PERFORM refuse_move('idempotency_key_reused', jsonb_build_object('idempotency_key', key_of_request),
            'another request had this key: use one key for each request');
    END IF;
    answered := jsonb_populate_record(NULL::item_move, earlier.response);
    answered.repeated := true;
    RETURN answered;
END
$$;
COMMENT ON FUNCTION earlier_move(text, text, bytea) IS 'What was answered before to the same request under the same key.';

CREATE FUNCTION move_request(item text, to_stage text, context jsonb, roles text[], expected_row_version bigint,
                             actor text) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    SET search_path = leasehold, pg_temp
    AS $$
    SELECT sha256(convert_to(jsonb_build_array('move', item, to_stage, context, roles, expected_row_version, actor)::text,
        'UTF8')) $$;
COMMENT ON FUNCTION move_request(text, text, jsonb, text[], bigint, text) IS 'What tells requests to move an item apart.';

-- Writes all that a move comes with. The item's row is held and has been changed.
CREATE FUNCTION write_move(tenant text, moved item_move, workflow text, of_version bigint, of_category text,
                           mover text, decided text, known jsonb, request_key text, hash_of_request bytea, trace text)
    RETURNS item_move
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    hash_of_known bytea := sha256(convert_to(known::text, 'UTF8'));
    action text := CASE WHEN moved.from_stage IS NULL THEN 'workflow.item.created' ELSE 'workflow.item.moved' END;
    facts jsonb := jsonb_strip_nulls(jsonb_build_object('item', moved.item_id, 'workflow', workflow, 'version', of_version,
        'category', nullif(of_category, ''), 'from', moved.from_stage, 'to', moved.to_stage,
        'transition', moved.transition, 'event', moved.event, 'row_version', moved.row_version));
BEGIN
    moved.audit_seq := append_audit(tenant, moved.at, mover, action, trace, audit_body(tenant, moved.at, mover, action,
        moved.item_id, facts || jsonb_build_object('decided_by', decided, 'context_hash', encode(hash_of_known, 'hex')),
        trace));
    INSERT INTO org_workflow_transition_log (tenant_org_id, item_id, row_version, at, actor, workflow_key, version,
            category, transition_id, event, from_stage, to_stage, decided_by, context, context_hash, audit_seq, trace_id)
        VALUES (tenant, moved.item_id, moved.row_version, moved.at, mover, workflow, of_version, of_category,
            moved.transition, moved.event, moved.from_stage, moved.to_stage, decided,
            CASE WHEN octet_length(known::text) <= 65536 THEN known END, hash_of_known, moved.audit_seq, trace);
    INSERT INTO sys_outbox (tenant_org_id, event_type, payload, trace_id) VALUES (tenant, action, facts, trace);
    IF request_key IS NOT NULL THEN
        INSERT INTO sys_idempotency (tenant_org_id, idempotency_key, request_hash, response)
            VALUES (tenant, request_key, hash_of_request, to_jsonb(moved)) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            -- Of another item: requests of the same one wait for each other.
            PERFORM refuse_move('idempotency_key_reused', jsonb_build_object('idempotency_key', request_key),
                'another request had this key: use one key for each request');
        END IF;
    END IF;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION write_move(text, item_move, text, bigint, text, text, text, jsonb, text, bytea, text) IS
    'Writes the log, the audit entry, the event and the idempotency key of a move.';

-- The machine that items of a tenant move by. It stays to the end of the transaction: its stages and guards are read one
-- by one, and of a machine that was dropped in between they would seem to be none.
CREATE FUNCTION machine_of(tenant text, workflow text, of_category text) RETURNS sys_machines
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    placed org_workflow_machines;
    found_machine sys_machines;
BEGIN
    LOOP
        -- The empty category sorts before every other one.
        SELECT * INTO placed FROM org_workflow_machines
            WHERE tenant_org_id = tenant AND workflow_key = workflow AND category IN (of_category, '')
            ORDER BY category DESC LIMIT 1;
        IF NOT FOUND THEN
            PERFORM refuse_move('unknown_workflow', jsonb_build_object('workflow', workflow),
                'check the key, or publish its definition');
        END IF;
        IF placed.machine IS NULL THEN
            PERFORM refuse_move('inactive_template', jsonb_build_object('workflow', workflow),
                'activate the template, and the tenant''s use of it');
        END IF;
        SELECT * INTO found_machine FROM sys_machines WHERE machine = placed.machine FOR KEY SHARE;
        -- Otherwise the tenant has another one by now.
        EXIT WHEN FOUND;
    END LOOP;
    RETURN found_machine;
END
$$;
COMMENT ON FUNCTION machine_of(text, text, text) IS 'The machine that items of a tenant move by.';

CREATE FUNCTION hq_create_item(item text, workflow text, category text, actor text, idempotency_key text,
                               trace_id text DEFAULT NULL) RETURNS item_move
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    tenant text := required_tenant();
    moment timestamptz := date_trunc('milliseconds', clock_timestamp());
    of_category text := coalesce(category, '');
    hash_of_request bytea :=
        sha256(convert_to(jsonb_build_array('create', item, workflow, of_category, actor)::text, 'UTF8'));
    by_machine sys_machines;
    begin_at text;
    answered item_move;
BEGIN
    IF item IS NULL OR workflow IS NULL OR actor IS NULL THEN
        PERFORM refuse_move('invalid_argument', '{}', 'name the item, the workflow and the actor');
    END IF;
    IF octet_length(item) NOT BETWEEN 1 AND 255 THEN
        PERFORM refuse_move('invalid_argument', '{"argument": "item"}', 'an item''s id has 1 to 255 bytes');
    END IF;
    IF of_category <> '' AND NOT is_record_id(of_category) THEN
        PERFORM refuse_move('invalid_argument', '{"argument": "category"}',
            'a category has 1 to 128 letters, digits and _.:-, and begins with a letter or digit');
    END IF;
    PERFORM check_request(idempotency_key, trace_id);
    answered := earlier_move(tenant, idempotency_key, hash_of_request);
    IF answered.repeated THEN
        RETURN answered;
    END IF;
    by_machine := machine_of(tenant, workflow, of_category);
    SELECT s.stage_id INTO begin_at FROM sys_machine_stages s
        WHERE s.machine = by_machine.machine AND s.initial ORDER BY s.position LIMIT 1;
    INSERT INTO org_workflow_items AS i (tenant_org_id, item_id, workflow_key, category, stage, created_at, updated_at)
        VALUES (tenant, item, workflow, of_category, begin_at, moment, moment) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        -- The same request may have been under way.
        answered := earlier_move(tenant, idempotency_key, hash_of_request);
        IF answered.repeated THEN
            RETURN answered;
        END IF;
        PERFORM refuse_move('already_exists', jsonb_build_object('item', item), 'give it another id');
    END IF;
    RETURN write_move(tenant, ROW(item, 1, NULL, NULL, NULL, begin_at, moment, NULL, false)::item_move, workflow,
        by_machine.version, of_category, actor, 'database', '{"inputs": {}, "roles": []}', idempotency_key,
        hash_of_request, trace_id);
END
$$;
COMMENT ON FUNCTION hq_create_item(text, text, text, text, text, text) IS
    'Lets an item of the running transaction''s tenant begin, in the initial stage of its machine.';

-- Holds an item to the end of the transaction, to be moved.
CREATE FUNCTION hq_begin_move(item text, to_stage text, context jsonb, roles text[], expected_row_version bigint,
                              actor text, idempotency_key text, trace_id text) RETURNS begun_move
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    tenant text := required_tenant();
    held org_workflow_items;
    earlier item_move;
BEGIN
    PERFORM check_move(item, to_stage, context, expected_row_version, actor, idempotency_key, trace_id);
    SELECT i.* INTO held FROM org_workflow_items i
        WHERE i.tenant_org_id = tenant AND i.item_id = item FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse_move('unknown_item', jsonb_build_object('item', item), 'check the id, or create the item');
    END IF;
    earlier := earlier_move(tenant, idempotency_key,
        move_request(item, to_stage, context, roles, expected_row_version, actor));
    IF earlier.repeated IS NULL AND held.row_version IS DISTINCT FROM expected_row_version THEN
        PERFORM refuse_move('row_version_conflict',
            jsonb_build_object('item', item, 'expected', expected_row_version, 'actual', held.row_version),
            'somebody else has moved it: read it again');
    END IF;
    RETURN ROW(held.workflow_key, held.category, held.stage, earlier)::begun_move;
END
$$;
COMMENT ON FUNCTION hq_begin_move(text, text, jsonb, text[], bigint, text, text, text) IS
    'Holds an item to be moved, and gives what the engine has to know of it.';

-- Moves an item by a transition that the engine, or hq_transition, found enabled.
CREATE FUNCTION hq_move_item(item text, to_stage text, context jsonb, roles text[], expected_row_version bigint,
                             actor text, idempotency_key text, trace_id text, transition text, event text,
                             of_version bigint, decided_by text) RETURNS item_move
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    tenant text := required_tenant();
    before org_workflow_items;
    moment timestamptz := date_trunc('milliseconds', clock_timestamp());
BEGIN
    PERFORM check_move(item, to_stage, context, expected_row_version, actor, idempotency_key, trace_id);
    SELECT i.* INTO before FROM org_workflow_items i
        WHERE i.tenant_org_id = tenant AND i.item_id = item AND i.row_version = expected_row_version
        FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse_move('row_version_conflict', jsonb_build_object('item', item, 'expected', expected_row_version,
                'actual', (SELECT i.row_version FROM org_workflow_items i
                           WHERE i.tenant_org_id = tenant AND i.item_id = item)),
            'somebody else has moved it: read it again');
    END IF;
    -- No move stands before the one it follows, whatever the clock says.
    moment := greatest(moment, before.updated_at);
    UPDATE org_workflow_items AS i SET stage = to_stage, row_version = i.row_version + 1, updated_at = moment
        WHERE i.tenant_org_id = tenant AND i.item_id = item;
    RETURN write_move(tenant, ROW(item, before.row_version + 1, transition, event, before.stage, to_stage, moment, NULL,
            false)::item_move, before.workflow_key, of_version, before.category, actor, decided_by,
        jsonb_build_object('inputs', context, 'roles', coalesce(to_jsonb(roles), '[]')), idempotency_key,
        move_request(item, to_stage, context, roles, expected_row_version, actor), trace_id);
END
$$;
COMMENT ON FUNCTION hq_move_item(text, text, jsonb, text[], bigint, text, text, text, text, text, bigint, text) IS
    'Moves an item by a transition that is known to be enabled, and writes all that comes with it.';

-- Whether an item may move is decided as `Machine::check` does: the first transition in declared order that is enabled.
CREATE FUNCTION hq_transition(item text, to_stage text, context jsonb, roles text[], expected_row_version bigint,
                              actor text, idempotency_key text DEFAULT NULL, trace_id text DEFAULT NULL)
    RETURNS item_move
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    tenant text := required_tenant();
    begun begun_move := hq_begin_move(item, to_stage, context, roles, expected_row_version, actor, idempotency_key,
        trace_id);
    by_machine sys_machines;
    wanted text;
    rule sys_machine_transitions;
    guard sys_machine_guards;
    of_rule jsonb;
    blockers jsonb := '[]';
    open_guards jsonb;
    all_open_guards jsonb := '[]';
    joined boolean := false;
BEGIN
    IF (begun.earlier).repeated THEN
        RETURN begun.earlier;
    END IF;
    by_machine := machine_of(tenant, begun.workflow_key, begun.category);
    FOREACH wanted IN ARRAY ARRAY[begun.from_stage, to_stage] LOOP
        IF NOT EXISTS (SELECT FROM sys_machine_stages s WHERE s.machine = by_machine.machine AND s.stage_id = wanted) THEN
            PERFORM refuse_move('unknown_stage', jsonb_build_object('workflow', begun.workflow_key, 'stage', wanted),
                'name a stage that the workflow has');
        END IF;
    END LOOP;
    FOR rule IN SELECT t.* FROM sys_machine_transitions t
            WHERE t.machine = by_machine.machine AND t.from_stage = begun.from_stage AND t.to_stage = to_stage
            ORDER BY t.ordinal LOOP
        joined := true;
        of_rule := '[]';
        open_guards := '[]';
        IF rule.role IS NOT NULL AND (rule.role = ANY (roles)) IS NOT TRUE THEN
            of_rule := jsonb_build_array(jsonb_build_object('code', 'role_required', 'transition', rule.transition_id,
                'expected', rule.role, 'actual', coalesce(to_jsonb(roles), '[]'), 'layer', rule.role_layer));
        END IF;
        FOR guard IN SELECT g.* FROM sys_machine_guards g
                WHERE g.machine = by_machine.machine AND g.ordinal = rule.ordinal ORDER BY g.position LOOP
            IF guard.sql IS NULL THEN
                open_guards := open_guards || jsonb_build_object('transition', rule.transition_id,
                    'binding', guard.binding, 'guard', guard.guard_key);
            ELSE
                of_rule := of_rule || guard_blockers(guard, rule.transition_id, context);
            END IF;
        END LOOP;
        all_open_guards := all_open_guards || open_guards;
        IF of_rule = '[]' THEN
            IF open_guards <> '[]' THEN
                -- It may be enabled, and only the engine can say.
                EXIT;
            END IF;
            RETURN hq_move_item(item, to_stage, context, roles, expected_row_version, actor, idempotency_key, trace_id,
                rule.transition_id, rule.event, by_machine.version, 'database');
        END IF;
        blockers := blockers || of_rule;
    END LOOP;
    IF NOT joined THEN
        PERFORM refuse_move('illegal_transition', jsonb_build_object('from', begun.from_stage, 'to', to_stage),
            'nothing leads from the one stage to the other');
    END IF;
    IF all_open_guards <> '[]' THEN
        -- The answer, or the list of what blocks, is not whole without them.
        PERFORM refuse_move('guard_needs_engine',
            jsonb_build_object('from', begun.from_stage, 'to', to_stage, 'guards', all_open_guards),
            'ask a service that has the engine to move the item');
    END IF;
    PERFORM refuse_move('guard_failed',
        jsonb_build_object('from', begun.from_stage, 'to', to_stage, 'blockers', blockers),
        'see to all that blocks one of the transitions');
END
$$;
COMMENT ON FUNCTION hq_transition(text, text, jsonb, text[], bigint, text, text, text) IS
    'Moves an item of the running transaction''s tenant to another stage, if that is allowed.';

-- Who may -----------------------------------------------------------------------------------------------------------

SELECT isolate_tenants(which) FROM unnest(ARRAY['org_workflow_machines', 'org_workflow_items',
    'org_workflow_transition_log']::regclass[]) AS which;

GRANT SELECT ON org_workflow_items, org_workflow_transition_log TO leasehold_app, leasehold_hq;
GRANT SELECT ON sys_machines, sys_machine_stages, sys_machine_transitions, sys_machine_guards, org_workflow_machines
    TO leasehold_hq;

REVOKE ALL ON FUNCTION guard_operand_sql(jsonb, jsonb), guard_sql(jsonb, jsonb), shortened(text, integer),
    is_integer(jsonb), input_fault(jsonb, text), shown_input(jsonb), shown_inputs(jsonb, jsonb),
    guard_blockers(sys_machine_guards, text, jsonb), hq_missing_machines(bytea[]), hq_put_machine(text),
    hq_place_machines(text[], jsonb), hq_drop_idle_machines(), refuse_move(text, jsonb, text), required_tenant(),
    is_record_id(text), check_request(text, text), check_move(text, text, jsonb, bigint, text, text, text),
    earlier_move(text, text, bytea), move_request(text, text, jsonb, text[], bigint, text),
    write_move(text, item_move, text, bigint, text, text, text, jsonb, text, bytea, text), machine_of(text, text, text),
    hq_create_item(text, text, text, text, text, text),
    hq_begin_move(text, text, jsonb, text[], bigint, text, text, text),
    hq_move_item(text, text, jsonb, text[], bigint, text, text, text, text, text, bigint, text),
    hq_transition(text, text, jsonb, text[], bigint, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_missing_machines(bytea[]), hq_put_machine(text), hq_place_machines(text[], jsonb),
    hq_drop_idle_machines() TO leasehold_hq;
-- Who can call these two decides by itself whether an item may move.
GRANT EXECUTE ON FUNCTION hq_begin_move(text, text, jsonb, text[], bigint, text, text, text),
    hq_move_item(text, text, jsonb, text[], bigint, text, text, text, text, text, bigint, text) TO leasehold_hq;
GRANT EXECUTE ON FUNCTION hq_create_item(text, text, text, text, text, text),
    hq_transition(text, text, jsonb, text[], bigint, text, text, text) TO leasehold_app, leasehold_hq;

RESET ROLE;
RESET search_path;
