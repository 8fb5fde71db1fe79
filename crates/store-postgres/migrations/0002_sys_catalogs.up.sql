-- HQ's catalogs: guards and workflow templates, and what tenants lay over templates.

SET LOCAL ROLE leasehold_owner;
SET LOCAL search_path = leasehold, pg_temp;

CREATE TABLE sys_guards_cf (
    guard_key key PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    name text NOT NULL,
    name2 text NOT NULL,
    inputs jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(inputs) = 'object'),
    settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
    expression text NOT NULL CHECK (octet_length(expression) <= 4096),
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE sys_guards_cf IS 'Conditions on transitions, beside those that are built in.';
COMMENT ON COLUMN sys_guards_cf.guard_key IS 'Key of the guard.';
COMMENT ON COLUMN sys_guards_cf.file IS 'File that it is exported to.';
COMMENT ON COLUMN sys_guards_cf.name IS 'Label in English.';
COMMENT ON COLUMN sys_guards_cf.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN sys_guards_cf.inputs IS 'What the caller must say: types by name.';
COMMENT ON COLUMN sys_guards_cf.settings IS 'What may be filled in: type and default by name.';
COMMENT ON COLUMN sys_guards_cf.expression IS 'When it holds, in Rhai''s syntax.';
COMMENT ON COLUMN sys_guards_cf.row_version IS 'Grows with every change; writers name the one that they saw.';
COMMENT ON COLUMN sys_guards_cf.updated_at IS 'When it was changed last.';

CREATE TABLE workflow_template_cd (
    workflow_key key PRIMARY KEY,
    file text NOT NULL REFERENCES sys_definition_files,
    name text NOT NULL,
    name2 text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    current_version version_number,
    row_version bigint NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow_template_cd IS 'Workflow templates: how items move from stage to stage.';
COMMENT ON COLUMN workflow_template_cd.workflow_key IS 'Key of the template.';
COMMENT ON COLUMN workflow_template_cd.file IS 'File that it is exported to.';
COMMENT ON COLUMN workflow_template_cd.name IS 'Label in English.';
COMMENT ON COLUMN workflow_template_cd.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN workflow_template_cd.active IS 'Whether anybody may use it.';
COMMENT ON COLUMN workflow_template_cd.current_version IS 'Version of tenants that pin none; null for the greatest.';
COMMENT ON COLUMN workflow_template_cd.row_version IS 'Grows with every change; writers name the one that they saw.';
COMMENT ON COLUMN workflow_template_cd.updated_at IS 'When it was changed last.';

CREATE TABLE workflow_template_versions (
    workflow_key key NOT NULL REFERENCES workflow_template_cd ON DELETE CASCADE,
    version version_number NOT NULL,
    categories jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(categories) = 'object'),
    published_at timestamptz,
    PRIMARY KEY (workflow_key, version)
);
COMMENT ON TABLE workflow_template_versions IS 'Versions of templates. A version never changes once it is published.';
COMMENT ON COLUMN workflow_template_versions.workflow_key IS 'The template.';
COMMENT ON COLUMN workflow_template_versions.version IS 'Number of the version.';
COMMENT ON COLUMN workflow_template_versions.categories IS 'What differs for service categories: patches by category.';
COMMENT ON COLUMN workflow_template_versions.published_at IS 'When it was first published; from then on it is frozen.';
ALTER TABLE workflow_template_cd ADD FOREIGN KEY (workflow_key, current_version)
    REFERENCES workflow_template_versions DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE workflow_template_stages (
    workflow_key key NOT NULL,
    version version_number NOT NULL,
    stage_id record_id NOT NULL,
    name text NOT NULL,
    name2 text NOT NULL,
    initial boolean NOT NULL DEFAULT false,
    final boolean NOT NULL DEFAULT false,
    sort_order bigint NOT NULL DEFAULT 0 CHECK (sort_order BETWEEN 0 AND 4294967295),
    PRIMARY KEY (workflow_key, version, stage_id),
    FOREIGN KEY (workflow_key, version) REFERENCES workflow_template_versions ON DELETE CASCADE
);
COMMENT ON TABLE workflow_template_stages IS 'Where items can be.';
COMMENT ON COLUMN workflow_template_stages.workflow_key IS 'The template.';
COMMENT ON COLUMN workflow_template_stages.version IS 'Its version.';
COMMENT ON COLUMN workflow_template_stages.stage_id IS 'Id of the stage.';
COMMENT ON COLUMN workflow_template_stages.name IS 'Label in English.';
COMMENT ON COLUMN workflow_template_stages.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN workflow_template_stages.initial IS 'Whether items begin here.';
COMMENT ON COLUMN workflow_template_stages.final IS 'Whether items may end here.';
COMMENT ON COLUMN workflow_template_stages.sort_order IS 'Its place among the stages, lowest first.';

CREATE TABLE workflow_template_transitions (
    workflow_key key NOT NULL,
    version version_number NOT NULL,
    transition_id record_id NOT NULL,
    name text NOT NULL,
    name2 text NOT NULL,
    from_stage record_id NOT NULL,
    event record_id NOT NULL,
    to_stage record_id NOT NULL,
    guards jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(guards) = 'object'),
    role text,
    sort_order bigint NOT NULL DEFAULT 0 CHECK (sort_order BETWEEN 0 AND 4294967295),
    PRIMARY KEY (workflow_key, version, transition_id),
    FOREIGN KEY (workflow_key, version) REFERENCES workflow_template_versions ON DELETE CASCADE,
    FOREIGN KEY (workflow_key, version, from_stage) REFERENCES workflow_template_stages
        DEFERRABLE INITIALLY DEFERRED,
    FOREIGN KEY (workflow_key, version, to_stage) REFERENCES workflow_template_stages DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE workflow_template_transitions IS 'How items get from one stage to another.';
COMMENT ON COLUMN workflow_template_transitions.workflow_key IS 'The template.';
COMMENT ON COLUMN workflow_template_transitions.version IS 'Its version.';
COMMENT ON COLUMN workflow_template_transitions.transition_id IS 'Id of the transition.';
COMMENT ON COLUMN workflow_template_transitions.name IS 'Label in English, as on a button.';
COMMENT ON COLUMN workflow_template_transitions.name2 IS 'Label in Arabic.';
COMMENT ON COLUMN workflow_template_transitions.from_stage IS 'The stage that it leaves.';
COMMENT ON COLUMN workflow_template_transitions.event IS 'What happens.';
COMMENT ON COLUMN workflow_template_transitions.to_stage IS 'The stage that it enters.';
COMMENT ON COLUMN workflow_template_transitions.guards IS 'What must hold: bindings by id.';
COMMENT ON COLUMN workflow_template_transitions.role IS 'The role that somebody must have for it.';
COMMENT ON COLUMN workflow_template_transitions.sort_order IS 'Its place in the declared order, lowest first.';

CREATE TABLE tenant_workflow_templates_cf (
    tenant_org_id tenant_id NOT NULL REFERENCES org_tenants_mst ON DELETE CASCADE,
    workflow_key key NOT NULL REFERENCES workflow_template_cd,
    version version_number,
    active boolean NOT NULL DEFAULT true,
    patch jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(patch) = 'array'),
    category_patches jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(category_patches) = 'object'),
    PRIMARY KEY (tenant_org_id, workflow_key),
    FOREIGN KEY (workflow_key, version) REFERENCES workflow_template_versions
);
CREATE INDEX ON tenant_workflow_templates_cf (workflow_key, version);
COMMENT ON TABLE tenant_workflow_templates_cf IS 'What tenants lay over templates: pinned versions and patches.';
COMMENT ON COLUMN tenant_workflow_templates_cf.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN tenant_workflow_templates_cf.workflow_key IS 'The template.';
COMMENT ON COLUMN tenant_workflow_templates_cf.version IS 'The pinned version; null to follow the template.';
COMMENT ON COLUMN tenant_workflow_templates_cf.active IS 'Whether the tenant may use it.';
COMMENT ON COLUMN tenant_workflow_templates_cf.patch IS 'Operations on the version, for all categories.';
COMMENT ON COLUMN tenant_workflow_templates_cf.category_patches IS 'Further operations by service category.';

CREATE TABLE tenant_workflow_settings_cf (
    tenant_org_id tenant_id NOT NULL,
    workflow_key key NOT NULL,
    category text NOT NULL DEFAULT '',
    guard_key key NOT NULL,
    setting text NOT NULL,
    value jsonb NOT NULL,
    PRIMARY KEY (tenant_org_id, workflow_key, category, guard_key, setting),
    FOREIGN KEY (tenant_org_id, workflow_key) REFERENCES tenant_workflow_templates_cf ON DELETE CASCADE
);
COMMENT ON TABLE tenant_workflow_settings_cf IS 'Values that tenants give the settings of guards.';
COMMENT ON COLUMN tenant_workflow_settings_cf.tenant_org_id IS 'The tenant.';
COMMENT ON COLUMN tenant_workflow_settings_cf.workflow_key IS 'The template.';
COMMENT ON COLUMN tenant_workflow_settings_cf.category IS 'The service category; empty for all of them.';
COMMENT ON COLUMN tenant_workflow_settings_cf.guard_key IS 'The guard.';
COMMENT ON COLUMN tenant_workflow_settings_cf.setting IS 'Name of the setting.';
COMMENT ON COLUMN tenant_workflow_settings_cf.value IS 'Its value.';

-- As refuse_published_plan_version.
CREATE FUNCTION refuse_published_template_version() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = leasehold, pg_temp
    AS $$
DECLARE
    held record;
BEGIN
    FOR held IN SELECT v.workflow_key, v.version, v.published_at FROM workflow_template_versions v
            WHERE (v.workflow_key, v.version) IN ((OLD.workflow_key, OLD.version), (NEW.workflow_key, NEW.version))
            FOR SHARE LOOP
        IF held.published_at IS NOT NULL THEN
            RAISE EXCEPTION 'version % of workflow `%` was published, and stays as it is', held.version, held.workflow_key
                USING ERRCODE = 'restrict_violation', HINT = 'write what is new as another version';
        END IF;
    END LOOP;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION refuse_published_template_version() IS
    'Trigger: stages and transitions of a published version of a template stay as they are.';
CREATE TRIGGER published_stays BEFORE INSERT OR UPDATE OR DELETE ON workflow_template_stages
    FOR EACH ROW EXECUTE FUNCTION refuse_published_template_version();
CREATE TRIGGER published_stays BEFORE INSERT OR UPDATE OR DELETE ON workflow_template_transitions
    FOR EACH ROW EXECUTE FUNCTION refuse_published_template_version();
CREATE TRIGGER published_stays BEFORE UPDATE OR DELETE ON workflow_template_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change_once_published();

SELECT isolate_tenants(which) FROM unnest(ARRAY['tenant_workflow_templates_cf',
    'tenant_workflow_settings_cf']::regclass[]) AS which;

GRANT SELECT ON sys_guards_cf, workflow_template_cd, workflow_template_versions, workflow_template_stages,
    workflow_template_transitions, tenant_workflow_templates_cf, tenant_workflow_settings_cf TO leasehold_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON sys_guards_cf, workflow_template_cd, workflow_template_versions,
    workflow_template_stages, workflow_template_transitions, tenant_workflow_templates_cf,
    tenant_workflow_settings_cf TO leasehold_hq;

RESET ROLE;
RESET search_path;
