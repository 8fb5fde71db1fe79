SET LOCAL search_path = leasehold, pg_temp;

-- With their triggers, wherever these are.
DROP FUNCTION remember_removed(), go_on_from_removed() CASCADE;
DROP FUNCTION hq_removed_region(text);
DROP TABLE sys_removed_records, sys_rollout, sys_engines, sys_slice_keys, sys_api_tokens, sys_staff_sessions, sys_staff;
DROP FUNCTION hq_slice_keys(integer), hq_earlier_request(text), hq_remember_request(text, bytea, jsonb), tell_access();

RESET ROLE;
RESET search_path;
