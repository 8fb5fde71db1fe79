SET LOCAL search_path = leasehold, pg_temp;

DROP FUNCTION hq_commit_heartbeat(text, bytea, bigint, timestamptz, bytea),
    hq_commit_publication(bigint, bigint, bigint[], jsonb, bytea[], bigint[], text[], bytea[], jsonb, bytea, bigint,
        bytea, bigint, integer, timestamptz, text, text, text, bytea),
    hq_forget_heads(bigint), hq_forget_contents(bytea[], bigint), days_ago(bigint), hq_hold_publisher(bigint),
    hq_keep_contents(bytea[], bigint[], text[], bytea[]),
    hq_tenant_ids(text, bigint), hq_put_tenants(text, text, jsonb, timestamptz), hq_move_tenants(text, text, text[]),
    append_audit_of_tenants(text[], timestamptz, text, text[], text, bytea[]), hq_kill_change(), hq_last_change(),
    hq_put_definitions(text, text, jsonb), put_definition_file(text, text), hq_publish_outcome(bigint),
    hq_read_publication(integer, boolean, integer), hq_publish_queue(integer, boolean), hq_definitions_document(text),
    hq_tenant_documents(text[]),
    workflow_settings(text, text, text), contribution(text, text, text, jsonb, timestamptz, timestamptz, text);
DROP FUNCTION queue_tenants(), queue_kills() CASCADE;
DROP TABLE sys_proposals, sys_publish_queue, sys_head_history, sys_heads, sys_publisher, sys_chunks;

RESET ROLE;
RESET search_path;
