SET LOCAL search_path = leasehold, pg_temp;

DROP FUNCTION hq_audit_entries(text, bigint, integer), hq_audit_heads(), hq_audit_head(text),
    append_audit(text, timestamptz, text, text, text, bytea),
    audit_body(text, timestamptz, text, text, text, jsonb, text), canonical_json(jsonb, integer), utf16_order(text);
DROP TABLE sys_idempotency, sys_outbox, sys_audit_checkpoints, sys_audit_log, sys_audit_heads;
DROP DOMAIN audit_chain;

RESET ROLE;
RESET search_path;
