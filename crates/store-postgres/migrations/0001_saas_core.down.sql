SET LOCAL search_path = leasehold, pg_temp;

DROP TABLE org_access_block_lifts, org_access_blocks, org_feature_overrides, org_add_on_licences, org_subscriptions_mst,
    org_tenants_mst, sys_feature_kills, sys_add_on_contributions_cf, sys_add_ons_cf, sys_plan_limits_cf,
    sys_plan_features_cf, sys_plan_versions_cf, sys_plan_subscriptions_types_cf, sys_features_cf, sys_definition_files;
DROP FUNCTION isolate_tenants(regclass), refuse_retired_add_on(), refuse_retired_plan(), refuse_change_once_published(),
    refuse_published_plan_version(), refuse_to_forget_block(),
    block_holds(timestamptz, timestamptz, timestamptz, timestamptz), refuse_change(), iso_ms(timestamptz),
    current_tenant();
DROP DOMAIN instant, amount, version_number, region, key, record_id, tenant_id;

RESET search_path;

-- Others may depend on the extension by now, or keep something of their own in the schema: then both stay. Roles stay in any
-- case: other databases of the cluster may have them.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist' AND extnamespace = 'leasehold'::regnamespace) THEN
        DROP EXTENSION btree_gist;
    END IF;
    DROP SCHEMA leasehold;
EXCEPTION WHEN dependent_objects_still_exist THEN
    NULL;
END
$$;
