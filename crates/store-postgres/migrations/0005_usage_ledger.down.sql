SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

-- Roles and the schema stay: HQ's tables may be in it, and other databases of the cluster may have the roles.
DROP FUNCTION hq_usage_events_delivered(bigint[], bigint), hq_usage_events(integer), hq_ledger_sweep(bigint, integer),
    ledger_sweep(bigint, integer), ledger_expire(text, text, bigint, bigint);
DROP TABLE org_usage_events, org_usage_reservations, org_usage_entries, org_usage_counters;
DROP FUNCTION ledger_refuse_change();
DROP DOMAIN usage_amount, usage_time, usage_key, usage_feature, usage_tenant;

RESET ROLE;
RESET search_path;
