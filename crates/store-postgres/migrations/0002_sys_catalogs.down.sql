SET LOCAL search_path = leasehold, pg_temp;

DROP TABLE tenant_workflow_settings_cf, tenant_workflow_templates_cf, workflow_template_transitions,
    workflow_template_stages, workflow_template_versions, workflow_template_cd, sys_guards_cf CASCADE;
DROP FUNCTION refuse_published_template_version();

RESET ROLE;
RESET search_path;
