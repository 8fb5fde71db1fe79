-- What HQ published: contents by hash, heads, and what waits to be published; and proposals, by which definitions change.

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

CREATE TABLE sys_chunks (
    hash bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    raw_length bigint NOT NULL CHECK (raw_length >= 0),
    encoding text NOT NULL CHECK (encoding IN ('raw', 'zstd')),
    bytes bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- What is compressed is checked by whoever opens it: nothing here can.
    CHECK (encoding <> 'raw' OR (hash = sha256(bytes) AND raw_length = octet_length(bytes)))
);
-- They are compressed already.
ALTER TABLE sys_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;
COMMENT ON TABLE sys_chunks IS 'Contents by hash: manifests, definitions, nodes and shards of tenants.';
COMMENT ON COLUMN sys_chunks.hash IS 'SHA-256 of the content.';
COMMENT ON COLUMN sys_chunks.raw_length IS 'Its bytes before compression.';
COMMENT ON COLUMN sys_chunks.encoding IS 'How it is kept.';
COMMENT ON COLUMN sys_chunks.bytes IS 'The content as it is kept.';
COMMENT ON COLUMN sys_chunks.created_at IS 'When it came, or was last named by something new.';

CREATE TABLE sys_publisher (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    revision bigint NOT NULL CHECK (revision >= 0),
    turn bigint NOT NULL DEFAULT 0,
    definitions bytea CHECK (octet_length(definitions) = 32),
    definitions_length bigint,
    candidate bytea CHECK (octet_length(candidate) = 32),
    candidate_length bigint,
    candidate_permille integer CHECK (candidate_permille BETWEEN 0 AND 1000),
    forgotten_before timestamptz,
    CHECK ((definitions IS NULL) = (definitions_length IS NULL)),
    CHECK ((candidate IS NULL) = (candidate_length IS NULL)),
    CHECK ((candidate IS NULL) = (candidate_permille IS NULL))
);
INSERT INTO sys_publisher (revision) VALUES (0);
COMMENT ON TABLE sys_publisher IS 'The last revision, the definitions in force, and whose turn it is to publish. Whoever publishes changes this row.';
COMMENT ON COLUMN sys_publisher.one IS 'There is one row.';
COMMENT ON COLUMN sys_publisher.revision IS 'The last revision; 0 before the first.';
COMMENT ON COLUMN sys_publisher.turn IS 'How many publications there were, those that changed nothing among them.';
COMMENT ON COLUMN sys_publisher.definitions IS 'Hash of the definitions in force.';
COMMENT ON COLUMN sys_publisher.definitions_length IS 'Length of their index.';
COMMENT ON COLUMN sys_publisher.candidate IS 'Hash of the definitions on trial.';
COMMENT ON COLUMN sys_publisher.candidate_length IS 'Length of their index.';
COMMENT ON COLUMN sys_publisher.candidate_permille IS 'Share of the engines that use them.';
COMMENT ON COLUMN sys_publisher.forgotten_before IS 'What was known before this instant is forgotten; null while nothing is.';

CREATE TABLE sys_heads (
    stream region PRIMARY KEY,
    epoch bigint NOT NULL,
    revision bigint NOT NULL CHECK (revision >= 1),
    issued_at timestamptz NOT NULL,
    manifest bytea NOT NULL,
    document bytea NOT NULL
);
COMMENT ON TABLE sys_heads IS 'The current head of each stream.';
COMMENT ON COLUMN sys_heads.stream IS 'The stream: a region.';
COMMENT ON COLUMN sys_heads.epoch IS 'Epoch of the fleet key.';
COMMENT ON COLUMN sys_heads.revision IS 'Revision of the head.';
COMMENT ON COLUMN sys_heads.issued_at IS 'When it was signed.';
COMMENT ON COLUMN sys_heads.manifest IS 'Hash of its manifest.';
COMMENT ON COLUMN sys_heads.document IS 'The signed document.';

CREATE TABLE sys_head_history (
    stream region NOT NULL,
    revision bigint NOT NULL,
    issued_at timestamptz NOT NULL,
    manifest bytea NOT NULL,
    document bytea NOT NULL,
    PRIMARY KEY (stream, revision)
);
CREATE INDEX ON sys_head_history (revision, issued_at);
COMMENT ON TABLE sys_head_history IS 'The first head of every revision, for who asks what was known when.';
COMMENT ON COLUMN sys_head_history.stream IS 'The stream: a region.';
COMMENT ON COLUMN sys_head_history.revision IS 'Revision of the head.';
COMMENT ON COLUMN sys_head_history.issued_at IS 'When it was first signed.';
COMMENT ON COLUMN sys_head_history.manifest IS 'Hash of its manifest.';
COMMENT ON COLUMN sys_head_history.document IS 'The signed document.';

CREATE TABLE sys_publish_queue (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_org_id text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    kill_id record_id,
    queued_at timestamptz NOT NULL DEFAULT now(),
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    revision bigint,
    refused jsonb,
    -- What one transaction does to a tenant is one change.
    UNIQUE NULLS NOT DISTINCT (tenant_org_id, stream, kill_id, transaction_id),
    CHECK ((kill_id IS NULL) = (tenant_org_id <> ''))
);
CREATE INDEX ON sys_publish_queue (change_id) WHERE revision IS NULL;
CREATE INDEX ON sys_publish_queue (change_id) WHERE refused IS NOT NULL;
CREATE INDEX ON sys_publish_queue (tenant_org_id, change_id);
COMMENT ON TABLE sys_publish_queue IS 'Changes on their way into snapshots.';
COMMENT ON COLUMN sys_publish_queue.change_id IS 'Number of the change.';
COMMENT ON COLUMN sys_publish_queue.tenant_org_id IS 'The tenant; empty for a kill switch.';
COMMENT ON COLUMN sys_publish_queue.stream IS 'The stream that it is about; empty for all of them.';
COMMENT ON COLUMN sys_publish_queue.kill_id IS 'The kill switch, where it is about one.';
COMMENT ON COLUMN sys_publish_queue.queued_at IS 'When it was made.';
COMMENT ON COLUMN sys_publish_queue.transaction_id IS 'The transaction that made it.';
COMMENT ON COLUMN sys_publish_queue.revision IS 'The revision that it is in; null until then.';
COMMENT ON COLUMN sys_publish_queue.refused IS 'What is wrong with it; the tenant keeps its last published form.';

CREATE TABLE sys_proposals (
    proposal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'approved', 'rejected', 'lapsed', 'published')),
    author text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    base bytea,
    proposed bytea NOT NULL,
    proposed_length bigint NOT NULL,
    diff jsonb NOT NULL,
    affected bigint NOT NULL,
    binding bytea NOT NULL CHECK (octet_length(binding) = 32),
    lifts text[] NOT NULL DEFAULT '{}',
    unseen bigint NOT NULL DEFAULT 0,
    warnings jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(warnings) = 'array'),
    approved_by text,
    approved_at timestamptz,
    approved_binding bytea CHECK (octet_length(approved_binding) = 32),
    decided_reason text,
    revision bigint,
    -- Four eyes.
    CHECK (approved_by <> author),
    CHECK ((approved_by IS NULL) = (approved_binding IS NULL)),
    -- What is approved is what was looked at.
    CHECK (status NOT IN ('approved', 'published') OR (approved_by IS NOT NULL AND approved_binding = binding))
);
COMMENT ON TABLE sys_proposals IS 'Changes of definitions: drafted, looked at with their fleet diff, approved, published.';
COMMENT ON COLUMN sys_proposals.proposal_id IS 'Number of the proposal.';
COMMENT ON COLUMN sys_proposals.title IS 'What it is about.';
COMMENT ON COLUMN sys_proposals.status IS 'draft, approved, rejected, lapsed or published.';
COMMENT ON COLUMN sys_proposals.author IS 'Who proposed it.';
COMMENT ON COLUMN sys_proposals.created_at IS 'When.';
COMMENT ON COLUMN sys_proposals.base IS 'Hash of the definitions that it changes, kill switches aside; null for the first.';
COMMENT ON COLUMN sys_proposals.proposed IS 'Hash of the index of the proposed definitions.';
COMMENT ON COLUMN sys_proposals.proposed_length IS 'Length of that index.';
COMMENT ON COLUMN sys_proposals.diff IS 'What tenants gain and lose by it: the fleet diff.';
COMMENT ON COLUMN sys_proposals.affected IS 'How many tenants it concerns.';
COMMENT ON COLUMN sys_proposals.binding IS 'Hash of base, proposal, and what is lifted, gained, lost and moved.';
COMMENT ON COLUMN sys_proposals.lifts IS 'Kill switches in force that it lifts or changes.';
COMMENT ON COLUMN sys_proposals.unseen IS 'How many later instants, at which something begins or ends, were not looked at.';
COMMENT ON COLUMN sys_proposals.warnings IS 'What is most likely not meant, and was not there before: a list of diagnostics.';
COMMENT ON COLUMN sys_proposals.approved_by IS 'Who approved it: not the author.';
COMMENT ON COLUMN sys_proposals.approved_at IS 'When.';
COMMENT ON COLUMN sys_proposals.approved_binding IS 'What was approved.';
COMMENT ON COLUMN sys_proposals.decided_reason IS 'Why it was rejected, or how it lapsed.';
COMMENT ON COLUMN sys_proposals.revision IS 'The revision that it was published as.';

-- Every change of a tenant waits to be published, however it was made.
CREATE FUNCTION queue_tenants() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    -- Each tenant is looked up. While an import goes on, the planner thinks that there are hardly any, and would read all.
    SET enable_seqscan = off
    SET enable_mergejoin = off
    SET enable_hashjoin = off
    AS $$
BEGIN
    IF TG_TABLE_NAME = 'org_tenants_mst' THEN
        INSERT INTO sys_publish_queue (tenant_org_id, stream) SELECT DISTINCT tenant_org_id, region FROM changed
            ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO sys_publish_queue (tenant_org_id, stream)
            SELECT DISTINCT t.tenant_org_id, t.region FROM changed JOIN org_tenants_mst t USING (tenant_org_id)
            ON CONFLICT DO NOTHING;
    END IF;
    PERFORM pg_notify('leasehold_publish', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION queue_tenants() IS 'Trigger: tenants that changed wait to be published.';

CREATE FUNCTION queue_kills() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    INSERT INTO sys_publish_queue (tenant_org_id, stream, kill_id) SELECT '', '', kill_id FROM changed
        ON CONFLICT DO NOTHING;
    PERFORM pg_notify('leasehold_publish', '');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION queue_kills() IS 'Trigger: new kill switches wait to be published.';
CREATE TRIGGER kills_are_published AFTER INSERT ON sys_feature_kills
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_kills();

DO $$
DECLARE
    which text;
BEGIN
    FOREACH which IN ARRAY ARRAY['org_tenants_mst', 'org_subscriptions_mst', 'org_add_on_licences',
        'org_feature_overrides', 'org_access_blocks', 'org_access_block_lifts', 'tenant_workflow_templates_cf',
        'tenant_workflow_settings_cf'] LOOP
        EXECUTE format('CREATE TRIGGER added_is_published AFTER INSERT ON %I
            REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_tenants()', which);
        EXECUTE format('CREATE TRIGGER removed_is_published AFTER DELETE ON %I
            REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_tenants()', which);
        EXECUTE format('CREATE TRIGGER changed_is_published AFTER UPDATE ON %I
            REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_tenants()', which);
        IF which = 'org_tenants_mst' THEN
            -- A tenant that moves leaves another stream.
            EXECUTE format('CREATE TRIGGER left_is_published AFTER UPDATE ON %I
                REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION queue_tenants()', which);
        END IF;
    END LOOP;
END
$$;

-- Reading what was authored, as definitions have it ------------------------------------------------------------------

-- Members without a value are left out of definitions.
CREATE FUNCTION contribution(id text, feature text, op text, value jsonb, valid_from timestamptz,
                             valid_until timestamptz, author text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN jsonb_strip_nulls(jsonb_build_object('id', id, 'feature', feature, 'op', op, 'from', iso_ms(valid_from),
        'until', iso_ms(valid_until), 'author', author)) || jsonb_build_object('value', value);
COMMENT ON FUNCTION contribution(text, text, text, jsonb, timestamptz, timestamptz, text) IS
    'A contribution as definitions have it.';

-- Functions of PL/pgSQL keep their plans from one call to the next; those of SQL would plan all of this at every call.
CREATE FUNCTION workflow_settings(tenant text, workflow text, of_category text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    AS $$
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(guard_key, settings), '{}') FROM (
        SELECT guard_key, jsonb_object_agg(setting, value) AS settings FROM tenant_workflow_settings_cf
        WHERE tenant_org_id = tenant AND workflow_key = workflow AND category = of_category GROUP BY guard_key) AS s);
END
$$;
COMMENT ON FUNCTION workflow_settings(text, text, text) IS 'Settings of a tenant, by guard and name.';

CREATE FUNCTION hq_tenant_documents(tenants text[])
    RETURNS TABLE (tenant_org_id text, file text, row_version bigint, document jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    -- A plan that is kept may be of a time when the tables were small; making one anew takes longer than the reading.
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT t.tenant_org_id::text, t.file, t.row_version, jsonb_strip_nulls(jsonb_build_object(
        'name', t.name, 'name2', t.name2, 'region', t.region, 'anchor', iso_ms(t.anchor),
        'utc_offset_minutes', t.utc_offset_minutes,
        'phases', (SELECT jsonb_object_agg(phase_id, jsonb_strip_nulls(jsonb_build_object('kind', kind, 'plan', plan_key,
                'version', version, 'from', iso_ms(valid_from), 'until', iso_ms(valid_until),
                'grace_until', iso_ms(grace_until))))
            FROM org_subscriptions_mst p WHERE p.tenant_org_id = t.tenant_org_id),
        'licences', (SELECT jsonb_object_agg(licence_id, jsonb_strip_nulls(jsonb_build_object('add_on', add_on_key,
                'quantity', quantity, 'from', iso_ms(valid_from), 'until', iso_ms(valid_until))))
            FROM org_add_on_licences l WHERE l.tenant_org_id = t.tenant_org_id),
        'blocks', (SELECT jsonb_object_agg(b.block_id, jsonb_strip_nulls(jsonb_build_object('kind', kind,
                'laid_by', laid_by, 'level', level, 'since', iso_ms(since), 'until', iso_ms(least(until, lifted_at)),
                'reason', b.reason)))
            FROM org_access_blocks b LEFT JOIN org_access_block_lifts x USING (tenant_org_id, block_id)
            -- What was lifted before it began never held.
            WHERE b.tenant_org_id = t.tenant_org_id AND (lifted_at IS NULL OR lifted_at > since)),
        'preferences', CASE WHEN t.preferences_off <> '{}' THEN jsonb_build_object('off', t.preferences_off) END))
        -- Values may hold nulls that mean something.
        || coalesce((SELECT jsonb_build_object('overrides', jsonb_object_agg(override_id,
                jsonb_strip_nulls(jsonb_build_object('feature', feature_key, 'op', op, 'plan', plan_key,
                    'from', iso_ms(valid_from), 'until', iso_ms(valid_until), 'reason', reason, 'actor', actor))
                || CASE WHEN value IS NULL THEN '{}' ELSE jsonb_build_object('value', value) END))
            FROM org_feature_overrides o WHERE o.tenant_org_id = t.tenant_org_id HAVING count(*) > 0), '{}')
        || coalesce((SELECT jsonb_build_object('workflows', jsonb_object_agg(w.workflow_key,
                jsonb_build_object('active', active, 'patch', patch,
                    'settings', workflow_settings(t.tenant_org_id, w.workflow_key, ''),
                    'categories', (SELECT coalesce(jsonb_object_agg(c.category, jsonb_build_object(
                            'patch', coalesce(category_patches -> c.category, '[]'),
                            'settings', workflow_settings(t.tenant_org_id, w.workflow_key, c.category))), '{}')
                        FROM (SELECT jsonb_object_keys(category_patches) AS category
                              UNION SELECT s.category FROM tenant_workflow_settings_cf s
                              WHERE s.tenant_org_id = t.tenant_org_id AND s.workflow_key = w.workflow_key
                                AND s.category <> '') AS c))
                || CASE WHEN version IS NULL THEN '{}' ELSE jsonb_build_object('version', version) END))
            FROM tenant_workflow_templates_cf w WHERE w.tenant_org_id = t.tenant_org_id HAVING count(*) > 0), '{}')
    FROM org_tenants_mst t
    WHERE t.tenant_org_id = ANY (coalesce(tenants, (SELECT array_agg(o.tenant_org_id::text) FROM org_tenants_mst o)));
END
$$;
COMMENT ON FUNCTION hq_tenant_documents(text[]) IS 'Tenants as definitions have them; all of them where none is named.';

-- All but the tenants, as one file of definitions would have it; of the records that are exported to a file where one is
-- named.
CREATE FUNCTION hq_definitions_document(of_file text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
    -- Sections without records are left out.
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(jsonb_build_object(
        'features', (SELECT jsonb_object_agg(feature_key, jsonb_strip_nulls(jsonb_build_object('kind', kind, 'name', name,
                'name2', name2, 'group', group_key, 'requires', to_jsonb(requires), 'min_access', min_access,
                'min_read', min_read, 'staleness', staleness, 'type', value_type, 'unit', unit, 'window', "window"))
                || jsonb_build_object('default', "default"))
            FROM sys_features_cf WHERE file = coalesce(of_file, file)),
        'plans', (SELECT jsonb_object_agg(plan_key, jsonb_build_object('name', name, 'name2', name2, 'rank', rank,
                'price', jsonb_build_object('amount', price_amount, 'currency', price_currency, 'period', price_period),
                'versions', (SELECT coalesce(jsonb_object_agg(v.version, jsonb_build_object(
                        'effective_from', iso_ms(effective_from), 'moves', moves,
                        'contributions', (SELECT coalesce(jsonb_agg(c ORDER BY position), '[]') FROM (
                            SELECT position, contribution(contribution_id, feature_key, op, value, valid_from, valid_until,
                                author)
                            FROM sys_plan_features_cf f WHERE f.plan_key = p.plan_key AND f.version = v.version
                            UNION ALL
                            SELECT position, contribution(contribution_id, feature_key, op, value, valid_from, valid_until,
                                author)
                            FROM sys_plan_limits_cf l WHERE l.plan_key = p.plan_key AND l.version = v.version) AS of(position, c)))),
                        '{}') FROM sys_plan_versions_cf v WHERE v.plan_key = p.plan_key)))
            FROM sys_plan_subscriptions_types_cf p WHERE file = coalesce(of_file, file)),
        'add_ons', (SELECT jsonb_object_agg(add_on_key, jsonb_build_object('name', name, 'name2', name2,
                'compatible_with', to_jsonb(compatible_with), 'included_in', to_jsonb(included_in),
                'contributions', (SELECT coalesce(jsonb_agg(contribution(contribution_id, feature_key, op, value,
                        valid_from, valid_until, author) ORDER BY position), '[]')
                    FROM sys_add_on_contributions_cf c WHERE c.add_on_key = a.add_on_key)))
            FROM sys_add_ons_cf a WHERE file = coalesce(of_file, file)),
        'kills', (SELECT jsonb_object_agg(kill_id, jsonb_strip_nulls(jsonb_build_object('feature', feature_key,
                'since', iso_ms(since), 'until', iso_ms(until), 'reason', reason, 'actor', actor)))
            FROM sys_feature_kills WHERE file = coalesce(of_file, file)),
        'guards', (SELECT jsonb_object_agg(guard_key, jsonb_build_object('name', name, 'name2', name2, 'inputs', inputs,
                'settings', settings, 'expression', expression))
            FROM sys_guards_cf WHERE file = coalesce(of_file, file)),
        'workflows', (SELECT jsonb_object_agg(workflow_key, jsonb_build_object('name', name, 'name2', name2,
                'active', active,
                'versions', (SELECT coalesce(jsonb_object_agg(v.version, jsonb_build_object('categories', categories,
                        'stages', (SELECT coalesce(jsonb_object_agg(stage_id, jsonb_build_object('name', name,
                                'name2', name2, 'initial', initial, 'final', final, 'order', sort_order)), '{}')
                            FROM workflow_template_stages s
                            WHERE s.workflow_key = w.workflow_key AND s.version = v.version),
                        'transitions', (SELECT coalesce(jsonb_object_agg(transition_id, jsonb_build_object('name', name,
                                'name2', name2, 'from', from_stage, 'event', event, 'to', to_stage, 'guards', guards,
                                'order', sort_order)
                                || CASE WHEN role IS NULL THEN '{}' ELSE jsonb_build_object('role', role) END), '{}')
                            FROM workflow_template_transitions t
                            WHERE t.workflow_key = w.workflow_key AND t.version = v.version))), '{}')
                    FROM workflow_template_versions v WHERE v.workflow_key = w.workflow_key))
                || CASE WHEN current_version IS NULL THEN '{}'
                        ELSE jsonb_build_object('current', current_version) END)
            FROM workflow_template_cd w WHERE file = coalesce(of_file, file)))) WHERE value <> 'null' $$;
COMMENT ON FUNCTION hq_definitions_document(text) IS 'Definitions without tenants; those of one file where it is named.';

CREATE FUNCTION hq_tenant_ids(after text, at_most bigint) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$ SELECT tenant_org_id FROM org_tenants_mst WHERE tenant_org_id > after ORDER BY tenant_org_id LIMIT at_most $$;
COMMENT ON FUNCTION hq_tenant_ids(text, bigint) IS 'Ids of tenants, in order, after one.';

-- Writing what was authored -------------------------------------------------------------------------------------------

-- Makes a file known. One that is known as it is stays untouched: whoever writes to it would wait for all others who do.
CREATE FUNCTION put_definition_file(of_file text, of_schema text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sys_definition_files
                   WHERE file = of_file AND (of_schema IS NULL OR schema_ref IS NOT DISTINCT FROM of_schema)) THEN
        INSERT INTO sys_definition_files AS f VALUES (of_file, of_schema)
            ON CONFLICT (file) DO UPDATE SET schema_ref = coalesce(excluded.schema_ref, f.schema_ref);
    END IF;
END
$$;
COMMENT ON FUNCTION put_definition_file(text, text) IS 'Makes a file known that definitions are exported to.';

-- Takes the records of one file, or some of them, in the form that definitions have. What was there under the same keys is
-- replaced, but for versions that were published: they stay. Whoever calls has compared them, and leaves out records that are
-- as they were: each one here is a new version of its row.
CREATE FUNCTION hq_put_definitions(of_file text, schema_ref text, document jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    PERFORM put_definition_file(of_file, hq_put_definitions.schema_ref);

    -- The kind is what grants refer to. Who sets it holds the row against everybody who grants the feature, or changes a
    -- tenant, even where it is the same: so it is set apart, where it is another.
    UPDATE sys_features_cf r SET kind = doc ->> 'kind', value_type = doc ->> 'type', unit = doc ->> 'unit',
            "window" = CASE doc ->> 'kind' WHEN 'limit' THEN coalesce(doc ->> 'window', 'none') END,
            "default" = CASE doc ->> 'kind' WHEN 'limit' THEN coalesce(doc -> 'default', '{"amount": 0}')
                WHEN 'switch' THEN coalesce(doc -> 'default', 'false') ELSE doc -> 'default' END
        FROM jsonb_each(coalesce(document -> 'features', '{}')) AS each(key, doc)
        WHERE r.feature_key = key AND r.kind <> doc ->> 'kind';
    INSERT INTO sys_features_cf AS r (feature_key, file, kind, name, name2, group_key, requires, min_access, min_read,
            staleness, value_type, unit, "window", "default")
        SELECT key, of_file, doc ->> 'kind', doc ->> 'name', doc ->> 'name2', doc ->> 'group',
            ARRAY(SELECT jsonb_array_elements_text(coalesce(doc -> 'requires', '[]'))),
            coalesce(doc ->> 'min_access', 'full'), coalesce(doc ->> 'min_read', 'read_only'),
            coalesce(doc ->> 'staleness', 'serve'), doc ->> 'type', doc ->> 'unit',
            CASE doc ->> 'kind' WHEN 'limit' THEN coalesce(doc ->> 'window', 'none') END,
            CASE doc ->> 'kind' WHEN 'limit' THEN coalesce(doc -> 'default', '{"amount": 0}')
                WHEN 'switch' THEN coalesce(doc -> 'default', 'false') ELSE doc -> 'default' END
        FROM jsonb_each(coalesce(document -> 'features', '{}')) AS each(key, doc)
        ON CONFLICT (feature_key) DO UPDATE SET file = excluded.file, name = excluded.name, name2 = excluded.name2,
            group_key = excluded.group_key, requires = excluded.requires, min_access = excluded.min_access,
            min_read = excluded.min_read, staleness = excluded.staleness, value_type = excluded.value_type,
            unit = excluded.unit, "window" = excluded."window", "default" = excluded."default",
            row_version = r.row_version + 1, updated_at = now();

    INSERT INTO sys_plan_subscriptions_types_cf AS r (plan_key, file, name, name2, rank, price_amount, price_currency,
            price_period)
        SELECT key, of_file, doc ->> 'name', doc ->> 'name2', (doc ->> 'rank')::bigint, doc #>> '{price,amount}',
            doc #>> '{price,currency}', doc #>> '{price,period}'
        FROM jsonb_each(coalesce(document -> 'plans', '{}')) AS each(key, doc)
        ON CONFLICT (plan_key) DO UPDATE SET file = excluded.file, name = excluded.name, name2 = excluded.name2,
            rank = excluded.rank, price_amount = excluded.price_amount, price_currency = excluded.price_currency,
            price_period = excluded.price_period, row_version = r.row_version + 1, updated_at = now();
    -- Phases may pin a version that is no longer there: that is refused.
    DELETE FROM sys_plan_versions_cf
        WHERE plan_key IN (SELECT jsonb_object_keys(coalesce(document -> 'plans', '{}'))) AND published_at IS NULL
            AND document #> ARRAY['plans', plan_key, 'versions', version::text] IS NULL;
    DELETE FROM sys_plan_features_cf f USING sys_plan_versions_cf v
        WHERE v.plan_key = f.plan_key AND v.version = f.version AND v.published_at IS NULL
            AND v.plan_key IN (SELECT jsonb_object_keys(coalesce(document -> 'plans', '{}')));
    DELETE FROM sys_plan_limits_cf l USING sys_plan_versions_cf v
        WHERE v.plan_key = l.plan_key AND v.version = l.version AND v.published_at IS NULL
            AND v.plan_key IN (SELECT jsonb_object_keys(coalesce(document -> 'plans', '{}')));
    INSERT INTO sys_plan_versions_cf (plan_key, version, effective_from, moves)
        SELECT plan.key, version.key::bigint, (version.doc ->> 'effective_from')::timestamptz, version.doc ->> 'moves'
        FROM jsonb_each(coalesce(document -> 'plans', '{}')) AS plan(key, doc),
            jsonb_each(plan.doc -> 'versions') AS version(key, doc)
        ON CONFLICT (plan_key, version) DO UPDATE SET effective_from = excluded.effective_from, moves = excluded.moves
            WHERE sys_plan_versions_cf.published_at IS NULL;
    INSERT INTO sys_plan_features_cf (plan_key, version, position, contribution_id, feature_key, kind, op, value,
            valid_from, valid_until, author)
        SELECT v.plan_key, v.version, c.position, doc ->> 'id', doc ->> 'feature', f.kind, doc ->> 'op', doc -> 'value',
            (doc ->> 'from')::timestamptz, (doc ->> 'until')::timestamptz, doc ->> 'author'
        FROM sys_plan_versions_cf v,
            jsonb_array_elements(document #> ARRAY['plans', v.plan_key, 'versions', v.version::text, 'contributions'])
                WITH ORDINALITY AS c(doc, position)
            LEFT JOIN sys_features_cf f ON f.feature_key = doc ->> 'feature'
        WHERE v.published_at IS NULL AND f.kind IS DISTINCT FROM 'limit';
    INSERT INTO sys_plan_limits_cf (plan_key, version, position, contribution_id, feature_key, op, value, valid_from,
            valid_until, author)
        SELECT v.plan_key, v.version, c.position, doc ->> 'id', doc ->> 'feature', doc ->> 'op', doc -> 'value',
            (doc ->> 'from')::timestamptz, (doc ->> 'until')::timestamptz, doc ->> 'author'
        FROM sys_plan_versions_cf v,
            jsonb_array_elements(document #> ARRAY['plans', v.plan_key, 'versions', v.version::text, 'contributions'])
                WITH ORDINALITY AS c(doc, position)
            JOIN sys_features_cf f ON f.feature_key = doc ->> 'feature' AND f.kind = 'limit'
        WHERE v.published_at IS NULL;

    INSERT INTO sys_add_ons_cf AS r (add_on_key, file, name, name2, compatible_with, included_in)
        SELECT key, of_file, doc ->> 'name', doc ->> 'name2',
            ARRAY(SELECT jsonb_array_elements_text(coalesce(doc -> 'compatible_with', '[]'))),
            ARRAY(SELECT jsonb_array_elements_text(coalesce(doc -> 'included_in', '[]')))
        FROM jsonb_each(coalesce(document -> 'add_ons', '{}')) AS each(key, doc)
        ON CONFLICT (add_on_key) DO UPDATE SET file = excluded.file, name = excluded.name, name2 = excluded.name2,
            compatible_with = excluded.compatible_with, included_in = excluded.included_in,
            row_version = r.row_version + 1, updated_at = now();
    DELETE FROM sys_add_on_contributions_cf
        WHERE add_on_key IN (SELECT jsonb_object_keys(coalesce(document -> 'add_ons', '{}')));
    INSERT INTO sys_add_on_contributions_cf (add_on_key, position, contribution_id, feature_key, op, value, valid_from,
            valid_until, author)
        SELECT add_on.key, c.position, c.doc ->> 'id', c.doc ->> 'feature', c.doc ->> 'op', c.doc -> 'value',
            (c.doc ->> 'from')::timestamptz, (c.doc ->> 'until')::timestamptz, c.doc ->> 'author'
        FROM jsonb_each(coalesce(document -> 'add_ons', '{}')) AS add_on(key, doc),
            jsonb_array_elements(coalesce(add_on.doc -> 'contributions', '[]')) WITH ORDINALITY AS c(doc, position);

    INSERT INTO sys_feature_kills AS r (kill_id, file, feature_key, since, until, reason, actor)
        SELECT key, of_file, doc ->> 'feature', (doc ->> 'since')::timestamptz, (doc ->> 'until')::timestamptz,
            doc ->> 'reason', doc ->> 'actor'
        FROM jsonb_each(coalesce(document -> 'kills', '{}')) AS each(key, doc)
        ON CONFLICT (kill_id) DO UPDATE SET file = excluded.file, feature_key = excluded.feature_key,
            since = excluded.since, until = excluded.until, reason = excluded.reason, actor = excluded.actor,
            row_version = r.row_version + 1, updated_at = now();

    INSERT INTO sys_guards_cf AS r (guard_key, file, name, name2, inputs, settings, expression)
        SELECT key, of_file, doc ->> 'name', doc ->> 'name2', coalesce(doc -> 'inputs', '{}'),
            coalesce(doc -> 'settings', '{}'), doc ->> 'expression'
        FROM jsonb_each(coalesce(document -> 'guards', '{}')) AS each(key, doc)
        ON CONFLICT (guard_key) DO UPDATE SET file = excluded.file, name = excluded.name, name2 = excluded.name2,
            inputs = excluded.inputs, settings = excluded.settings, expression = excluded.expression,
            row_version = r.row_version + 1, updated_at = now();

    INSERT INTO workflow_template_cd AS r (workflow_key, file, name, name2, active, current_version)
        SELECT key, of_file, doc ->> 'name', doc ->> 'name2', coalesce((doc -> 'active')::boolean, true),
            (doc -> 'current')::bigint
        FROM jsonb_each(coalesce(document -> 'workflows', '{}')) AS each(key, doc)
        ON CONFLICT (workflow_key) DO UPDATE SET file = excluded.file, name = excluded.name, name2 = excluded.name2,
            active = excluded.active, current_version = excluded.current_version, row_version = r.row_version + 1,
            updated_at = now();
    DELETE FROM workflow_template_versions
        WHERE workflow_key IN (SELECT jsonb_object_keys(coalesce(document -> 'workflows', '{}')))
            AND published_at IS NULL
            AND document #> ARRAY['workflows', workflow_key, 'versions', version::text] IS NULL;
    DELETE FROM workflow_template_transitions t USING workflow_template_versions v
        WHERE v.workflow_key = t.workflow_key AND v.version = t.version AND v.published_at IS NULL
            AND v.workflow_key IN (SELECT jsonb_object_keys(coalesce(document -> 'workflows', '{}')));
    DELETE FROM workflow_template_stages s USING workflow_template_versions v
        WHERE v.workflow_key = s.workflow_key AND v.version = s.version AND v.published_at IS NULL
            AND v.workflow_key IN (SELECT jsonb_object_keys(coalesce(document -> 'workflows', '{}')));
    INSERT INTO workflow_template_versions (workflow_key, version, categories)
        SELECT workflow.key, version.key::bigint, coalesce(version.doc -> 'categories', '{}')
        FROM jsonb_each(coalesce(document -> 'workflows', '{}')) AS workflow(key, doc),
            jsonb_each(workflow.doc -> 'versions') AS version(key, doc)
        ON CONFLICT (workflow_key, version) DO UPDATE SET categories = excluded.categories
            WHERE workflow_template_versions.published_at IS NULL;
    INSERT INTO workflow_template_stages (workflow_key, version, stage_id, name, name2, initial, final, sort_order)
        SELECT v.workflow_key, v.version, stage.key, doc ->> 'name', doc ->> 'name2',
            coalesce((doc -> 'initial')::boolean, false), coalesce((doc -> 'final')::boolean, false),
            coalesce((doc -> 'order')::bigint, 0)
        FROM workflow_template_versions v,
            jsonb_each(document #> ARRAY['workflows', v.workflow_key, 'versions', v.version::text, 'stages'])
                AS stage(key, doc)
        WHERE v.published_at IS NULL;
    INSERT INTO workflow_template_transitions (workflow_key, version, transition_id, name, name2, from_stage, event,
            to_stage, guards, role, sort_order)
        SELECT v.workflow_key, v.version, transition.key, doc ->> 'name', doc ->> 'name2', doc ->> 'from',
            doc ->> 'event', doc ->> 'to', coalesce(doc -> 'guards', '{}'), doc ->> 'role',
            coalesce((doc -> 'order')::bigint, 0)
        FROM workflow_template_versions v,
            jsonb_each(document #> ARRAY['workflows', v.workflow_key, 'versions', v.version::text, 'transitions'])
                AS transition(key, doc)
        WHERE v.published_at IS NULL;
END
$$;
COMMENT ON FUNCTION hq_put_definitions(text, text, jsonb) IS
    'Takes records in the form that definitions have, in place of what was there under the same keys.';

-- Takes tenants with all that belongs to them, and says of each one whether it is new. Whoever calls leaves out tenants that
-- are as they were. Blocks are facts: those that are there stay, and one that holds cannot be left out.
CREATE FUNCTION hq_put_tenants(of_file text, schema_ref text, document jsonb, put_at timestamptz)
    RETURNS TABLE (tenant_org_id text, is_new boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    -- An import fills the tables within one transaction, and nobody tells the planner how large they are by now.
    SET enable_seqscan = off
    -- It thinks that every object of JSON has a hundred members, and would compile each statement for all of theirs.
    SET jit = off
    AS $$
#variable_conflict use_column
DECLARE
    ids text[] := ARRAY(SELECT jsonb_object_keys(document));
    there text[];
    written bigint;
    wrong text;
BEGIN
    PERFORM put_definition_file(of_file, hq_put_tenants.schema_ref);
    -- Held in one order by all who put several.
    there := ARRAY(SELECT r.tenant_org_id::text FROM org_tenants_mst r WHERE r.tenant_org_id = ANY (ids)
        ORDER BY r.tenant_org_id FOR UPDATE);
    INSERT INTO org_tenants_mst AS r (tenant_org_id, file, name, name2, region, anchor, utc_offset_minutes,
            preferences_off)
        SELECT key, of_file, doc ->> 'name', doc ->> 'name2', doc ->> 'region', (doc ->> 'anchor')::timestamptz,
            coalesce((doc -> 'utc_offset_minutes')::smallint, 0),
            ARRAY(SELECT jsonb_array_elements_text(coalesce(doc #> '{preferences,off}', '[]')))
        FROM jsonb_each(document) AS each(key, doc) ORDER BY key
        ON CONFLICT (tenant_org_id) DO UPDATE SET file = excluded.file, name = excluded.name, name2 = excluded.name2,
            region = excluded.region, anchor = excluded.anchor, utc_offset_minutes = excluded.utc_offset_minutes,
            preferences_off = excluded.preferences_off, row_version = r.row_version + 1, updated_at = now()
            WHERE r.tenant_org_id = ANY (there);
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written < cardinality(ids) THEN
        RAISE EXCEPTION 'a tenant was created in between' USING ERRCODE = 'serialization_failure';
    END IF;

    DELETE FROM org_subscriptions_mst WHERE tenant_org_id = ANY (ids)
        AND document #> ARRAY[tenant_org_id::text, 'phases', phase_id::text] IS NULL;
    INSERT INTO org_subscriptions_mst (tenant_org_id, phase_id, kind, plan_key, version, valid_from, valid_until,
            grace_until)
        SELECT tenant.key, phase.key, p ->> 'kind', p ->> 'plan', (p -> 'version')::bigint, (p ->> 'from')::timestamptz,
            (p ->> 'until')::timestamptz, (p ->> 'grace_until')::timestamptz
        FROM jsonb_each(document) AS tenant(key, doc), jsonb_each(tenant.doc -> 'phases') AS phase(key, p)
        ON CONFLICT (tenant_org_id, phase_id) DO UPDATE SET kind = excluded.kind, plan_key = excluded.plan_key,
            version = excluded.version, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
            grace_until = excluded.grace_until;

    DELETE FROM org_add_on_licences WHERE tenant_org_id = ANY (ids)
        AND document #> ARRAY[tenant_org_id::text, 'licences', licence_id::text] IS NULL;
    INSERT INTO org_add_on_licences (tenant_org_id, licence_id, add_on_key, quantity, valid_from, valid_until)
        SELECT tenant.key, licence.key, l ->> 'add_on', (l -> 'quantity')::bigint, (l ->> 'from')::timestamptz,
            (l ->> 'until')::timestamptz
        FROM jsonb_each(document) AS tenant(key, doc), jsonb_each(tenant.doc -> 'licences') AS licence(key, l)
        ON CONFLICT (tenant_org_id, licence_id) DO UPDATE SET add_on_key = excluded.add_on_key,
            quantity = excluded.quantity, valid_from = excluded.valid_from, valid_until = excluded.valid_until;

    DELETE FROM org_feature_overrides WHERE tenant_org_id = ANY (ids)
        AND document #> ARRAY[tenant_org_id::text, 'overrides', override_id::text] IS NULL;
    INSERT INTO org_feature_overrides (tenant_org_id, override_id, feature_key, op, value, plan_key, valid_from,
            valid_until, reason, actor)
        SELECT tenant.key, this.key, o ->> 'feature', o ->> 'op', o -> 'value', o ->> 'plan',
            (o ->> 'from')::timestamptz, (o ->> 'until')::timestamptz, o ->> 'reason', o ->> 'actor'
        FROM jsonb_each(document) AS tenant(key, doc), jsonb_each(tenant.doc -> 'overrides') AS this(key, o)
        ON CONFLICT (tenant_org_id, override_id) DO UPDATE SET feature_key = excluded.feature_key, op = excluded.op,
            value = excluded.value, plan_key = excluded.plan_key, valid_from = excluded.valid_from,
            valid_until = excluded.valid_until, reason = excluded.reason, actor = excluded.actor;

    SELECT string_agg(CASE WHEN told IS NULL
                THEN format('block `%s` of tenant `%s`, laid by %s, still holds and is left out; put it back, or lift it first',
                    b.block_id, b.tenant_org_id, b.laid_by)
                ELSE format('block `%s` of tenant `%s`, laid by %s, is a fact, and is told otherwise; lay another one',
                    b.block_id, b.tenant_org_id, b.laid_by) END, E'\n' ORDER BY b.tenant_org_id, b.block_id) INTO wrong
        FROM org_access_blocks b LEFT JOIN org_access_block_lifts x USING (tenant_org_id, block_id),
            LATERAL (SELECT document #> ARRAY[b.tenant_org_id::text, 'blocks', b.block_id::text] AS told) AS new
        WHERE b.tenant_org_id = ANY (there) AND CASE WHEN told IS NULL THEN block_holds(since, until, lifted_at, put_at)
            ELSE (b.kind, b.laid_by, b.level, b.since, least(b.until, x.lifted_at), b.reason)
                IS DISTINCT FROM (told ->> 'kind', told ->> 'laid_by', told ->> 'level', (told ->> 'since')::timestamptz,
                    (told ->> 'until')::timestamptz, told ->> 'reason') END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'restrict_violation';
    END IF;
    INSERT INTO org_access_blocks (tenant_org_id, block_id, kind, laid_by, level, since, until, reason)
        SELECT tenant.key, block.key, b ->> 'kind', b ->> 'laid_by', b ->> 'level', (b ->> 'since')::timestamptz,
            (b ->> 'until')::timestamptz, b ->> 'reason'
        FROM jsonb_each(document) AS tenant(key, doc), jsonb_each(tenant.doc -> 'blocks') AS block(key, b)
        ON CONFLICT DO NOTHING;

    DELETE FROM tenant_workflow_templates_cf WHERE tenant_org_id = ANY (ids);
    INSERT INTO tenant_workflow_templates_cf (tenant_org_id, workflow_key, version, active, patch, category_patches)
        SELECT tenant.key, workflow.key, (w -> 'version')::bigint, coalesce((w -> 'active')::boolean, true),
            coalesce(w -> 'patch', '[]'),
            coalesce((SELECT jsonb_object_agg(category.key, coalesce(c -> 'patch', '[]'))
                FROM jsonb_each(w -> 'categories') AS category(key, c)), '{}')
        FROM jsonb_each(document) AS tenant(key, doc), jsonb_each(tenant.doc -> 'workflows') AS workflow(key, w);
    INSERT INTO tenant_workflow_settings_cf (tenant_org_id, workflow_key, category, guard_key, setting, value)
        SELECT tenant.key, workflow.key, scope.category, guard.key, setting.key, setting.value
        FROM jsonb_each(document) AS tenant(key, doc), jsonb_each(tenant.doc -> 'workflows') AS workflow(key, w),
            LATERAL (SELECT '' AS category, w -> 'settings' AS settings
                     UNION ALL SELECT category.key, c -> 'settings' FROM jsonb_each(w -> 'categories') AS category(key, c))
                AS scope,
            jsonb_each(scope.settings) AS guard(key, settings), jsonb_each(guard.settings) AS setting(key, value);
    RETURN QUERY SELECT id, id <> ALL (there) FROM unnest(ids) AS id;
END
$$;
COMMENT ON FUNCTION hq_put_tenants(text, text, jsonb, timestamptz) IS
    'Takes tenants with all that belongs to them, in place of what was there under the same ids.';

-- Where a tenant is exported to is no part of it: its version stays.
CREATE FUNCTION hq_move_tenants(of_file text, schema_ref text, tenants text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    PERFORM put_definition_file(of_file, hq_move_tenants.schema_ref);
    PERFORM FROM org_tenants_mst WHERE tenant_org_id = ANY (tenants) ORDER BY tenant_org_id FOR NO KEY UPDATE;
    UPDATE org_tenants_mst SET file = of_file WHERE tenant_org_id = ANY (tenants) AND file <> of_file;
END
$$;
COMMENT ON FUNCTION hq_move_tenants(text, text, text[]) IS 'Says which file tenants are exported to.';
REVOKE ALL ON FUNCTION hq_move_tenants(text, text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_move_tenants(text, text, text[]) TO leasehold_hq;

-- What append_audit does, for chains of several tenants at once: an entry for each.
CREATE FUNCTION append_audit_of_tenants(tenants text[], entry_at timestamptz, entry_actor text, entry_actions text[],
                                        entry_trace_id text, entry_bodies bytea[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET enable_seqscan = off
    AS $$
DECLARE
    written bigint;
BEGIN
    INSERT INTO sys_audit_heads (tenant_org_id) SELECT tenant FROM unnest(tenants) AS tenant ORDER BY tenant
        ON CONFLICT DO NOTHING;
    -- Held in one order by all who append to several.
    PERFORM FROM sys_audit_heads WHERE tenant_org_id = ANY (tenants) ORDER BY tenant_org_id FOR UPDATE;
    WITH entry AS (SELECT * FROM unnest(tenants, entry_actions, entry_bodies) AS entry(tenant, action, body)),
        head AS (UPDATE sys_audit_heads h SET seq = seq + 1, prev_hash = hash,
                hash = sha256(convert_to('leasehold-audit/1' || E'\n' || tenant || E'\n' || (seq + 1) || E'\n', 'UTF8')
                    || hash || body)
            FROM entry WHERE tenant_org_id = tenant RETURNING h.*)
    INSERT INTO sys_audit_log (tenant_org_id, seq, at, actor, action, trace_id, body, prev_hash, hash)
        SELECT tenant, seq, entry_at, entry_actor, action, entry_trace_id, body, prev_hash, hash
        FROM head JOIN entry ON tenant = tenant_org_id;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> cardinality(tenants) THEN
        RAISE EXCEPTION 'a tenant is named twice' USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION append_audit_of_tenants(text[], timestamptz, text, text[], text, bytea[]) IS
    'Appends an entry to the audit chain of each tenant.';
REVOKE ALL ON FUNCTION append_audit_of_tenants(text[], timestamptz, text, text[], text, bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_audit_of_tenants(text[], timestamptz, text, text[], text, bytea[]) TO leasehold_hq;

-- Rows of the queue are hidden where there is no tenant.
CREATE FUNCTION hq_kill_change() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    RETURN (SELECT max(change_id) FROM sys_publish_queue
            WHERE tenant_org_id = '' AND transaction_id = pg_current_xact_id_if_assigned());
COMMENT ON FUNCTION hq_kill_change() IS 'The change that this transaction''s kill switches are published as; null without any.';
REVOKE ALL ON FUNCTION hq_kill_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_kill_change() TO leasehold_hq;

CREATE FUNCTION hq_last_change() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    RETURN (SELECT max(change_id) FROM sys_publish_queue WHERE transaction_id = pg_current_xact_id_if_assigned());
COMMENT ON FUNCTION hq_last_change() IS 'The last change that this transaction puts on its way to be published; null without any.';
REVOKE ALL ON FUNCTION hq_last_change() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_last_change() TO leasehold_hq;

-- What waits to be published.
CREATE FUNCTION hq_publish_queue(at_most integer, with_kept_back boolean)
    RETURNS TABLE (change_id bigint, tenant_org_id text, stream text, kill_id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
DECLARE
    listed bigint;
    last bigint;
BEGIN
    RETURN QUERY (SELECT change_id, tenant_org_id, stream, kill_id::text FROM sys_publish_queue WHERE revision IS NULL
        ORDER BY change_id LIMIT at_most);
    GET DIAGNOSTICS listed = ROW_COUNT;
    -- A tenant that moves to another region leaves the one and enters the other in one publication.
    IF listed = at_most THEN
        SELECT max(change_id) INTO last FROM (SELECT change_id FROM sys_publish_queue WHERE revision IS NULL
            ORDER BY change_id LIMIT at_most) q;
        -- From the batch, and not from all that waits.
        RETURN QUERY SELECT rest.change_id, rest.tenant_org_id, rest.stream, rest.kill_id::text
            FROM (SELECT DISTINCT tenant_org_id FROM sys_publish_queue
                  WHERE revision IS NULL AND change_id <= last AND tenant_org_id <> '') listed,
                LATERAL (SELECT * FROM sys_publish_queue q WHERE q.tenant_org_id = listed.tenant_org_id
                    AND q.change_id > last AND q.revision IS NULL OFFSET 0) rest
            ORDER BY rest.change_id;
    END IF;
    IF with_kept_back THEN
        RETURN QUERY SELECT change_id, tenant_org_id, stream, kill_id::text FROM sys_publish_queue q
            WHERE refused IS NOT NULL AND NOT EXISTS (SELECT FROM sys_publish_queue later
                WHERE later.tenant_org_id = q.tenant_org_id AND later.stream = q.stream
                    AND later.kill_id IS NOT DISTINCT FROM q.kill_id AND later.change_id > q.change_id)
            ORDER BY change_id;
    END IF;
END
$$;
COMMENT ON FUNCTION hq_publish_queue(integer, boolean) IS
    'Changes that wait to be published, oldest first, so many and all others of their tenants; and on demand all that were kept back last.';

-- Everything that is read for each publication, of one instant and in one round trip: a function that is STABLE sees what
-- its caller's statement sees. Definitions are named by hash; they and other contents are read where they are not known.
CREATE FUNCTION hq_read_publication(at_most integer, with_kept_back boolean, most_slice_keys integer,
    OUT revision bigint, OUT turn bigint, OUT definitions bytea, OUT definitions_length bigint,
    OUT candidate bytea, OUT candidate_length bigint, OUT candidate_permille integer,
    OUT streams text[], OUT documents bytea[],
    OUT changes bigint[], OUT changed_tenants text[], OUT changed_streams text[], OUT changed_kills text[],
    OUT tenants text[], OUT tenant_documents text[],
    OUT slice_keys text[], OUT slice_keys_from text[], OUT slice_keys_until text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
BEGIN
    SELECT p.revision, p.turn, p.definitions, p.definitions_length, p.candidate, p.candidate_length, p.candidate_permille
        INTO revision, turn, definitions, definitions_length, candidate, candidate_length, candidate_permille
        FROM sys_publisher p;
    SELECT array_agg(q.change_id), array_agg(q.tenant_org_id), array_agg(q.stream), array_agg(q.kill_id)
        INTO changes, changed_tenants, changed_streams, changed_kills
        FROM hq_publish_queue(at_most, with_kept_back) q;
    IF changes IS NOT NULL OR with_kept_back THEN
        SELECT array_agg(h.stream), array_agg(h.document) INTO streams, documents FROM sys_heads h;
        SELECT array_agg(t.tenant_org_id), array_agg(t.document::text) INTO tenants, tenant_documents
            FROM hq_tenant_documents(changed_tenants) t WHERE changed_tenants IS NOT NULL;
        SELECT array_agg(k.public_key), array_agg(k.valid_from), array_agg(k.valid_until)
            INTO slice_keys, slice_keys_from, slice_keys_until FROM hq_slice_keys(most_slice_keys) k;
    END IF;
END
$$;
COMMENT ON FUNCTION hq_read_publication(integer, boolean, integer) IS
    'What a publication is made of: what is in force, what waits, so many changes and all others of their tenants, and the tenants that it is about.';

-- What became of a change.
CREATE FUNCTION hq_publish_outcome(change bigint)
    RETURNS TABLE (tenant_org_id text, stream text, revision bigint, refused jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$ SELECT tenant_org_id, stream, revision, refused FROM sys_publish_queue WHERE change_id = change $$;
COMMENT ON FUNCTION hq_publish_outcome(bigint) IS
    'Whose a change is, empty for a kill switch; the revision that it is in, and what was refused of it.';

-- Contents that are about to be named. What is there under the same hash is put right: it may have been written past this
-- function, and is kept for longer in any case.
CREATE FUNCTION hq_keep_contents(new_hashes bytea[], new_lengths bigint[], new_encodings text[], new_bytes bytea[])
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    -- In one order: several may keep the same ones at once.
    INSERT INTO sys_chunks (hash, raw_length, encoding, bytes)
        SELECT * FROM unnest(new_hashes, new_lengths, new_encodings, new_bytes) AS new(hash) ORDER BY new.hash
        ON CONFLICT (hash) DO UPDATE SET raw_length = excluded.raw_length, encoding = excluded.encoding,
            bytes = excluded.bytes, created_at = now();
END
$$;
COMMENT ON FUNCTION hq_keep_contents(bytea[], bigint[], text[], bytea[]) IS
    'Keeps contents by hash, in place of what was kept under it.';

-- A row that nobody else can lock, unlike a number that everybody may.
CREATE FUNCTION hq_hold_publisher(expected_turn bigint) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
BEGIN
    PERFORM FROM sys_publisher WHERE turn = coalesce(expected_turn, turn) FOR UPDATE;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION hq_hold_publisher(bigint) IS
    'Keeps others from publishing until the transaction ends; false where somebody published since the expected turn, if any.';

-- Puts a publication in force, all of it or nothing: false where another one came first. `new_heads` is a list of
-- {stream, epoch, revision, issued_at, manifest, document}, bytes in hex; `refusals` gives what is wrong by change.
CREATE FUNCTION hq_commit_publication(
    expected_turn bigint, next_revision bigint, changes bigint[], refusals jsonb,
    new_hashes bytea[], new_lengths bigint[], new_encodings text[], new_bytes bytea[],
    new_heads jsonb, new_definitions bytea, new_definitions_length bigint,
    new_candidate bytea, new_candidate_length bigint, new_candidate_permille integer,
    entry_at timestamptz, entry_actor text, entry_action text, entry_trace_id text, entry_body bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
DECLARE
    last_revision bigint;
    named text;
BEGIN
    -- This row is what publishers take turns on; whoever publishes other definitions holds it until they are in force. The
    -- revision does not tell who was first: it stays where changes undo each other, and yet whoever read only the one must
    -- not publish it after that.
    SELECT p.revision INTO last_revision FROM sys_publisher p WHERE p.turn = expected_turn FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE sys_publisher SET turn = expected_turn + 1, revision = next_revision, definitions = new_definitions,
        definitions_length = new_definitions_length, candidate = new_candidate,
        candidate_length = new_candidate_length, candidate_permille = new_candidate_permille;
    PERFORM hq_keep_contents(new_hashes, new_lengths, new_encodings, new_bytes);
    INSERT INTO sys_heads AS h (stream, epoch, revision, issued_at, manifest, document)
        SELECT stream, epoch, revision, issued_at, decode(manifest, 'hex'), decode(document, 'hex')
        FROM jsonb_to_recordset(new_heads) AS new(stream text, epoch bigint, revision bigint, issued_at timestamptz,
            manifest text, document text)
        ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision,
            issued_at = excluded.issued_at, manifest = excluded.manifest, document = excluded.document
            -- What the key of an epoch said of time does not bind the next one.
            WHERE h.epoch < excluded.epoch
                OR h.epoch = excluded.epoch AND h.revision <= excluded.revision AND h.issued_at < excluded.issued_at;
    IF (SELECT count(*) FROM jsonb_to_recordset(new_heads) AS new(stream text, document text)
            JOIN sys_heads h ON h.stream = new.stream AND h.document = decode(new.document, 'hex'))
        <> jsonb_array_length(new_heads) THEN
        -- A heartbeat came in between: its head is newer than the one that was signed here.
        RAISE EXCEPTION 'a head was signed in between' USING ERRCODE = 'serialization_failure';
    END IF;
    INSERT INTO sys_head_history (stream, revision, issued_at, manifest, document)
        SELECT stream, revision, issued_at, manifest, document FROM sys_heads h
        WHERE h.stream IN (SELECT new.stream FROM jsonb_to_recordset(new_heads) AS new(stream text))
        ON CONFLICT DO NOTHING;
    UPDATE sys_publish_queue SET revision = next_revision, refused = refusals -> change_id::text
        WHERE change_id = ANY (changes);
    IF next_revision > last_revision THEN
        PERFORM append_audit('', entry_at, entry_actor, entry_action, entry_trace_id, entry_body);
    END IF;
    FOR named IN SELECT new.stream || ' ' || new.revision
                 FROM jsonb_to_recordset(new_heads) AS new(stream text, revision bigint) LOOP
        PERFORM pg_notify('leasehold_head', named);
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION hq_commit_publication(bigint, bigint, bigint[], jsonb, bytea[], bigint[], text[], bytea[], jsonb,
    bytea, bigint, bytea, bigint, integer, timestamptz, text, text, text, bytea) IS
    'Puts a publication in force, all of it or nothing.';

-- A heartbeat: the same content, signed anew. False where the head is another one by now.
CREATE FUNCTION hq_commit_heartbeat(of_stream text, expected bytea, next_epoch bigint, next_issued_at timestamptz,
                                    next_document bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    told text;
BEGIN
    -- Not while other definitions are published: their heads follow the ones that are there now.
    PERFORM FROM sys_publisher FOR SHARE;
    UPDATE sys_heads SET epoch = next_epoch, issued_at = next_issued_at, document = next_document
        WHERE stream = of_stream AND document = expected RETURNING stream || ' ' || revision INTO told;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM pg_notify('leasehold_head', told);
    RETURN true;
END
$$;
COMMENT ON FUNCTION hq_commit_heartbeat(text, bytea, bigint, timestamptz, bytea) IS
    'Puts a head in force that was signed anew at the same revision.';

-- Forgetting by the clock of this server: those of its clients differ, and what was kept by one of them a moment ago would
-- be old to another one.
CREATE FUNCTION days_ago(days bigint) RETURNS timestamptz
    LANGUAGE sql VOLATILE
    SET search_path = leasehold, pg_temp
    AS $$ SELECT clock_timestamp() - make_interval(days => least(days, 365000)::integer) $$;
COMMENT ON FUNCTION days_ago(bigint) IS 'The instant so many days ago, a thousand years ago at the most.';

-- What was in force when those days began is still remembered.
CREATE FUNCTION hq_forget_heads(history_days bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    before timestamptz := days_ago(history_days);
    gone bigint;
BEGIN
    DELETE FROM sys_head_history h
        USING (SELECT stream, max(revision) AS revision FROM sys_head_history WHERE issued_at <= before GROUP BY stream) kept
        WHERE h.stream = kept.stream AND h.revision < kept.revision;
    GET DIAGNOSTICS gone = ROW_COUNT;
    -- Last: publishers take turns on this row.
    UPDATE sys_publisher SET forgotten_before = greatest(forgotten_before, before);
    RETURN gone;
END
$$;
COMMENT ON FUNCTION hq_forget_heads(bigint) IS 'Forgets heads that were no longer in force so many days ago.';

-- Whatever came or was named anew in the last hour stays: a publication may be about to name it, and somebody may be about
-- to ask for it.
CREATE FUNCTION hq_forget_contents(named bytea[], history_days bigint) RETURNS TABLE (chunks bigint, changes bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    young timestamptz := clock_timestamp() - interval '1 hour';
    before timestamptz := least(days_ago(history_days), young);
BEGIN
    DELETE FROM sys_chunks c WHERE created_at < young AND NOT EXISTS (SELECT FROM unnest(named) AS n(hash) WHERE n.hash = c.hash);
    GET DIAGNOSTICS chunks = ROW_COUNT;
    -- What was kept back is looked at again with other definitions, where no later change took its place.
    DELETE FROM sys_publish_queue q WHERE refused IS NOT NULL AND queued_at < before AND EXISTS
        (SELECT FROM sys_publish_queue later WHERE later.tenant_org_id = q.tenant_org_id AND later.stream = q.stream
            AND later.kill_id IS NOT DISTINCT FROM q.kill_id AND later.change_id > q.change_id);
    DELETE FROM sys_publish_queue WHERE revision IS NOT NULL AND refused IS NULL AND queued_at < before;
    GET DIAGNOSTICS changes = ROW_COUNT;
    DELETE FROM sys_idempotency WHERE created_at < before;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION hq_forget_contents(bytea[], bigint) IS
    'Forgets contents that are not named, published changes, and what requests were answered, but for what is less than an hour old.';

SELECT isolate_tenants('sys_publish_queue');

REVOKE ALL ON FUNCTION queue_tenants(), queue_kills(), hq_tenant_ids(text, bigint), hq_forget_heads(bigint),
    hq_forget_contents(bytea[], bigint), hq_keep_contents(bytea[], bigint[], text[], bytea[]), hq_hold_publisher(bigint),
    hq_put_tenants(text, text, jsonb, timestamptz),
    hq_put_definitions(text, text, jsonb), workflow_settings(text, text, text), hq_tenant_documents(text[]),
    hq_definitions_document(text), hq_publish_queue(integer, boolean), hq_publish_outcome(bigint),
    hq_read_publication(integer, boolean, integer),
    hq_commit_publication(bigint, bigint, bigint[], jsonb, bytea[], bigint[], text[], bytea[], jsonb, bytea, bigint,
        bytea, bigint, integer, timestamptz, text, text, text, bytea),
    hq_commit_heartbeat(text, bytea, bigint, timestamptz, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hq_tenant_documents(text[]), hq_definitions_document(text), hq_publish_queue(integer, boolean),
    hq_read_publication(integer, boolean, integer),
    hq_put_tenants(text, text, jsonb, timestamptz), hq_put_definitions(text, text, jsonb), hq_publish_outcome(bigint),
    hq_commit_publication(bigint, bigint, bigint[], jsonb, bytea[], bigint[], text[], bytea[], jsonb, bytea, bigint,
        bytea, bigint, integer, timestamptz, text, text, text, bytea),
    hq_commit_heartbeat(text, bytea, bigint, timestamptz, bytea) TO leasehold_hq;
GRANT EXECUTE ON FUNCTION hq_tenant_ids(text, bigint), hq_forget_heads(bigint), hq_forget_contents(bytea[], bigint),
    hq_keep_contents(bytea[], bigint[], text[], bytea[]), hq_hold_publisher(bigint) TO leasehold_hq;

GRANT SELECT ON sys_heads, sys_chunks TO leasehold_engine;
GRANT SELECT ON sys_heads, sys_head_history, sys_chunks, sys_publisher, sys_publish_queue TO leasehold_hq;
-- What is proposed stays as it was looked at; what changes is what becomes of it.
GRANT SELECT, INSERT, UPDATE (status, approved_by, approved_at, approved_binding, decided_reason, revision) ON sys_proposals
    TO leasehold_hq;

RESET ROLE;
RESET search_path;
