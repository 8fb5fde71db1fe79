SET LOCAL search_path = leasehold, pg_temp;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['sys_features_cf', 'sys_plan_subscriptions_types_cf', 'sys_add_ons_cf', 'sys_feature_kills',
        'sys_guards_cf', 'workflow_template_cd', 'org_tenants_mst']
    LOOP
        EXECUTE format('DROP TRIGGER remember_removed ON %I', relation);
        EXECUTE format('DROP TRIGGER go_on_from_removed ON %I', relation);
    END LOOP;
END
$$;
DROP TABLE sys_removed_records, sys_rollout, sys_engines, sys_slice_keys, sys_api_tokens, sys_staff_sessions, sys_staff;
DROP FUNCTION hq_slice_keys(integer), hq_earlier_request(text), hq_remember_request(text, bytea, jsonb), tell_access(),
    remember_removed(), go_on_from_removed();

RESET ROLE;
RESET search_path;
