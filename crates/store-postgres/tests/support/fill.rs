//! Rows for tests about all tables: what HQ decides, once, and one tenant with a row in every table of tenants.

use sqlx::{Connection, PgConnection};

/// What HQ decides, in the order in which it can be written.
const DECIDED: &[(&str, &str)] = &[
    ("sys_definition_files", "VALUES ('a.json')"),
    (
        "sys_features_cf (feature_key, file, kind, name, name2, group_key, \"default\")",
        "VALUES ('reports', 'a.json', 'switch', 'Reports', 'تقارير', 'module', 'false')",
    ),
    (
        "sys_features_cf (feature_key, file, kind, name, name2, group_key, unit, \"window\", \"default\")",
        "VALUES ('orders', 'a.json', 'limit', 'Orders', 'طلبات', 'usage', 'order', 'month', '{\"amount\": 1}')",
    ),
    (
        "sys_plan_subscriptions_types_cf (plan_key, file, name, name2, rank, price_amount, price_currency, price_period)",
        "VALUES ('basic', 'a.json', 'Basic', 'أساسي', 1, '9.500', 'OMR', 'month')",
    ),
    ("sys_plan_versions_cf", "VALUES ('basic', 1, '2026-01-01Z', 'now')"),
    (
        "sys_plan_features_cf (plan_key, version, position, feature_key, kind, op, value)",
        "VALUES ('basic', 1, 0, 'reports', 'switch', 'set', 'true')",
    ),
    (
        "sys_plan_limits_cf (plan_key, version, position, feature_key, op, value)",
        "VALUES ('basic', 1, 0, 'orders', 'set', '{\"amount\": 100}')",
    ),
    ("sys_add_ons_cf (add_on_key, file, name, name2)", "VALUES ('pos', 'a.json', 'POS', 'نقطة بيع')"),
    (
        "sys_add_on_contributions_cf (add_on_key, position, feature_key, op, value)",
        "VALUES ('pos', 0, 'orders', 'add', '{\"amount\": 5}')",
    ),
    (
        "sys_feature_kills (kill_id, file, feature_key, since, reason, actor)",
        "VALUES ('outage', 'a.json', 'reports', '2026-01-01Z', 'an outage', 'staff')",
    ),
    ("sys_guards_cf (guard_key, file, name, name2, expression)", "VALUES ('paid', 'a.json', 'Paid', 'مدفوع', 'true')"),
    ("workflow_template_cd (workflow_key, file, name, name2)", "VALUES ('order', 'a.json', 'Order', 'طلب')"),
    ("workflow_template_versions (workflow_key, version)", "VALUES ('order', 1)"),
    (
        "workflow_template_stages (workflow_key, version, stage_id, name, name2)",
        "VALUES ('order', 1, 'new', 'New', 'جديد'), ('order', 1, 'done', 'Done', 'تم')",
    ),
    (
        "workflow_template_transitions (workflow_key, version, transition_id, name, name2, from_stage, event, to_stage)",
        "VALUES ('order', 1, 'finish', 'Finish', 'إنهاء', 'new', 'finished', 'done')",
    ),
    ("sys_audit_checkpoints (document)", "SELECT '\\x7b7d' WHERE NOT EXISTS (SELECT FROM sys_audit_checkpoints)"),
    ("sys_chunks (hash, raw_length, encoding, bytes)", "VALUES (sha256('\\x7b7d'), 2, 'raw', '\\x7b7d')"),
    ("sys_heads", "VALUES ('GCC-OM', 1, 1, '2026-01-01Z', '\\xab', '\\x7b7d')"),
    ("sys_head_history", "VALUES ('GCC-OM', 1, '2026-01-01Z', '\\xab', '\\x7b7d')"),
    (
        "sys_proposals (title, author, proposed, proposed_length, diff, affected, binding)",
        "SELECT 'first', 'staff', '\\xab', 2, '{}', 1, decode(repeat('ab', 32), 'hex')
         WHERE NOT EXISTS (SELECT FROM sys_proposals)",
    ),
    ("sys_staff (staff_id, role, password_hash, created_by)", "VALUES ('root', 'super_admin', 'argon2id', 'setup')"),
    ("sys_staff_sessions (secret_hash, staff_id, expires_at)", "VALUES (sha256('session'), 'root', '2999-01-01Z')"),
    (
        "sys_api_tokens (token_id, name, secret_hash, scopes, created_by)",
        "VALUES ('00000000000000ab', 'CI', sha256('token'), '{read}', 'root')",
    ),
    ("sys_slice_keys", "VALUES (sha256('key'), '2026-01-01Z', '2026-01-02Z')"),
    ("sys_engines (engine_id, stream)", "VALUES ('engine-1', 'GCC-OM')"),
    ("sys_removed_records", "VALUES ('sys_features_cf', 'gone', 3)"),
    ("sys_rollout (proposal_id, share_permille, since_revision)", "SELECT min(proposal_id), 10, 1 FROM sys_proposals"),
];

/// A row in each table of tenants; `$tenant` and `$secret` are filled in.
const OF_TENANT: &[(&str, &str)] = &[
    ("org_tenants_mst (tenant_org_id, file, name, name2, region, anchor)",
        "VALUES ('$tenant', 'a.json', '$secret Laundry', '$secret', 'GCC-OM', '2026-01-31Z')"),
    ("org_subscriptions_mst (tenant_org_id, phase_id, kind, plan_key, valid_from)",
        "VALUES ('$tenant', '$secret-phase', 'paid', 'basic', '2026-01-01Z')"),
    ("org_add_on_licences (tenant_org_id, licence_id, add_on_key, quantity, valid_from)",
        "VALUES ('$tenant', '$secret-licence', 'pos', 2, '2026-01-01Z')"),
    ("org_feature_overrides (tenant_org_id, override_id, feature_key, op, value, reason, actor)",
        "VALUES ('$tenant', '$secret-override', 'reports', 'set', 'true', '$secret reason', '$secret actor')"),
    // Over by now: a tenant with a block that holds cannot be removed.
    ("org_access_blocks (tenant_org_id, block_id, kind, laid_by, since, until, reason)",
        "VALUES ('$tenant', '$secret-block', 'warned', 'billing', '2026-01-01Z', NULL, '$secret reason'),
                ('$tenant', '$secret-open', 'warned', 'billing', '2026-01-01Z', '2026-03-01Z', '$secret reason')"),
    ("org_access_block_lifts (tenant_org_id, block_id, lifted_by, lifted_at, reason)",
        "VALUES ('$tenant', '$secret-block', 'billing', '2026-02-01Z', '$secret reason')"),
    ("tenant_workflow_templates_cf (tenant_org_id, workflow_key, version, category_patches)",
        "VALUES ('$tenant', 'order', 1, '{\"$secret\": []}')"),
    ("tenant_workflow_settings_cf (tenant_org_id, workflow_key, category, guard_key, setting, value)",
        "VALUES ('$tenant', 'order', '$secret', 'paid', 'least', '1')"),
    // Written by its function alone; the head of the chain comes with it.
    ("sys_audit_log (tenant_org_id, seq, at, actor, action, body, prev_hash, hash)",
        "SELECT '$tenant', 0, now(), '', '', '', '', '' FROM append_audit('$tenant', '2026-01-01Z', '$secret actor',
            'tenant.created', '$secret trace', convert_to('{\"actor\":\"$secret actor\"}', 'UTF8')) AS seq WHERE seq < 0"),
    ("sys_outbox (tenant_org_id, event_type, payload)",
        "VALUES ('$tenant', 'tenant.plan.changed', '{\"to\": \"$secret\"}')"),
    ("sys_idempotency (tenant_org_id, idempotency_key, request_hash, response)",
        "VALUES ('$tenant', '$secret-key', decode(repeat('ab', 32), 'hex'), '{\"said\": \"$secret\"}')"),
    ("org_usage_counters (tenant_org_id, feature_key, window_start_ms, used, reserved)",
        "VALUES ('$tenant', 'orders', 0, 3, 1)"),
    ("org_usage_entries (tenant_org_id, idempotency_key, step, kind, feature_key, window_start_ms, amount, at_ms, outcome,
        overage_units, overage_total, thresholds_crossed, revision)",
        "VALUES ('$tenant', '$secret-use', 1, 'consume', 'orders', 0, 3, 0, 'allow', 0, 0, '{}', 1)"),
    ("org_usage_reservations (tenant_org_id, idempotency_key, feature_key, window_start_ms, amount, expires_at_ms)",
        "VALUES ('$tenant', '$secret-hold', 'orders', 0, 1, 9000000000000)"),
    ("org_usage_events (tenant_org_id, idempotency_key, kind, feature_key, window_start_ms, percent, mode, limit_amount,
        used, at_ms)",
        "VALUES ('$tenant', '$secret-use', 'threshold', 'orders', 0, 80, 'hard', 3, 3, 0)"),
    ("org_workflow_machines (tenant_org_id, workflow_key, category)", "VALUES ('$tenant', 'order', '$secret')"),
    ("org_workflow_items (tenant_org_id, item_id, workflow_key, stage, created_at, updated_at)",
        "VALUES ('$tenant', '$secret-item', 'order', 'new', '2026-01-01Z', '2026-01-01Z')"),
    ("org_workflow_transition_log (tenant_org_id, item_id, row_version, at, actor, workflow_key, version, category,
        to_stage, decided_by, context_hash, audit_seq)",
        "VALUES ('$tenant', '$secret-item', 1, '2026-01-01Z', '$secret actor', 'order', 1, '', 'new', 'engine',
            decode(repeat('ab', 32), 'hex'), 1)"),
];

/// Fills the tables that there are, as superuser. HQ's part is written once; each tenant is new, and `secret` stands in
/// each of its rows that has room for text.
pub async fn fill(connection: &mut PgConnection, tenant: &str, secret: &str) {
    let mut transaction = connection.begin().await.unwrap();
    super::execute(&mut transaction, "SET LOCAL search_path = leasehold").await;
    for (table, rows) in DECIDED {
        insert(&mut transaction, table, &format!("{rows} ON CONFLICT DO NOTHING")).await;
    }
    for (table, rows) in OF_TENANT {
        insert(&mut transaction, table, &rows.replace("$tenant", tenant).replace("$secret", secret)).await;
    }
    transaction.commit().await.unwrap();
}

async fn insert(connection: &mut PgConnection, table: &str, rows: &str) {
    let name = table.split_once(' ').map_or(table, |(name, _)| name);
    let is_there: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(name).fetch_one(&mut *connection).await.unwrap();
    if is_there {
        super::execute(connection, &format!("INSERT INTO {table} {rows}")).await;
    }
}
