//! Changes of tenants: each in one transaction with its audit entry and its place in the queue to be published.

use super::{Actor, Hq, in_force, not_found, now, read_tenants, record};
use crate::error::retried;
use crate::hq::record::RowVersion;
use crate::ledger::IdempotencyKey;
use crate::{Error, TenantTransaction};
use leasehold::model::{Block, LaidBy, Licence, Override, Phase, Preferences, Tenant, TenantWorkflow};
use leasehold::{RecordId, TenantId, Timestamp, WorkflowKey};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;

/// The file that tenants are exported to which came from none.
const NEW_TENANTS: &str = "tenants/authored.json";

/// What is done to a tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum TenantChange {
    /// It is new, with all that belongs to it.
    Create {
        /// The tenant.
        tenant: Tenant,
    },
    /// It is another one, with all that belongs to it.
    Replace {
        /// The tenant.
        tenant: Tenant,
    },
    /// It is gone, with all that belongs to it.
    Remove,
    /// It has a phase: a new one, or another in place of the one with the id.
    PutPhase {
        /// Id of the phase.
        id: RecordId,
        /// The phase.
        phase: Phase,
    },
    /// A phase is gone.
    RemovePhase {
        /// Id of the phase.
        id: RecordId,
    },
    /// It has a licence: a new one, or another in place of the one with the id.
    PutLicence {
        /// Id of the licence.
        id: RecordId,
        /// The licence.
        licence: Licence,
    },
    /// A licence is gone.
    RemoveLicence {
        /// Id of the licence.
        id: RecordId,
    },
    /// It has an override: a new one, or another in place of the one with the id.
    PutOverride {
        /// Id of the override.
        id: RecordId,
        /// The override.
        r#override: Override,
    },
    /// An override is gone.
    RemoveOverride {
        /// Id of the override.
        id: RecordId,
    },
    /// A block is laid. It is a fact: it stays as it is until it is lifted.
    LayBlock {
        /// Id of the block.
        id: RecordId,
        /// The block.
        block: Block,
    },
    /// A block is lifted, by those who laid it.
    LiftBlock {
        /// Id of the block.
        id: RecordId,
        /// Who lifts it.
        by: LaidBy,
        /// First instant at which it no longer holds.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It has other preferences.
    SetPreferences {
        /// The preferences.
        preferences: Preferences,
    },
    /// It lays something over a workflow.
    PutWorkflow {
        /// The workflow.
        workflow: WorkflowKey,
        /// What it lays over it.
        laid: TenantWorkflow,
    },
    /// It lays nothing over a workflow any more.
    RemoveWorkflow {
        /// The workflow.
        workflow: WorkflowKey,
    },
}

impl TenantChange {
    /// What it is called in the audit log.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Create { .. } => "tenant.created",
            Self::Replace { .. } => "tenant.replaced",
            Self::Remove => "tenant.removed",
            Self::PutPhase { .. } => "tenant.phase.put",
            Self::RemovePhase { .. } => "tenant.phase.removed",
            Self::PutLicence { .. } => "tenant.licence.put",
            Self::RemoveLicence { .. } => "tenant.licence.removed",
            Self::PutOverride { .. } => "tenant.override.put",
            Self::RemoveOverride { .. } => "tenant.override.removed",
            Self::LayBlock { .. } => "tenant.block.laid",
            Self::LiftBlock { .. } => "tenant.block.lifted",
            Self::SetPreferences { .. } => "tenant.preferences.set",
            Self::PutWorkflow { .. } => "tenant.workflow.put",
            Self::RemoveWorkflow { .. } => "tenant.workflow.removed",
        }
    }

    /// Where in the tenant stands what it puts there, as a JSON Pointer; empty for the tenant as a whole.
    #[must_use]
    pub fn path(&self) -> String {
        // Ids hold nothing that a JSON Pointer escapes.
        match self {
            Self::Create { .. } | Self::Replace { .. } | Self::Remove => String::new(),
            Self::PutPhase { id, .. } | Self::RemovePhase { id } => format!("/phases/{id}"),
            Self::PutLicence { id, .. } | Self::RemoveLicence { id } => format!("/licences/{id}"),
            Self::PutOverride { id, .. } | Self::RemoveOverride { id } => format!("/overrides/{id}"),
            Self::LayBlock { id, .. } | Self::LiftBlock { id, .. } => format!("/blocks/{id}"),
            Self::SetPreferences { .. } => "/preferences".to_owned(),
            Self::PutWorkflow { workflow, .. } | Self::RemoveWorkflow { workflow } => format!("/workflows/{workflow}"),
        }
    }

    /// Does it to the tenant as it is.
    fn apply(&self, tenant: &mut Tenant) -> Result<(), Error> {
        let missing = |what, key: &RecordId| not_found(what, key.as_str());
        match self {
            Self::Create { tenant: new } | Self::Replace { tenant: new } => tenant.clone_from(new),
            Self::Remove => {}
            Self::PutPhase { id, phase } => drop(tenant.phases.insert(id.clone(), phase.clone())),
            Self::RemovePhase { id } => drop(tenant.phases.remove(id.as_str()).ok_or_else(|| missing("phase", id))?),
            Self::PutLicence { id, licence } => drop(tenant.licences.insert(id.clone(), licence.clone())),
            Self::RemoveLicence { id } => {
                drop(tenant.licences.remove(id.as_str()).ok_or_else(|| missing("licence", id))?);
            }
            Self::PutOverride { id, r#override } => drop(tenant.overrides.insert(id.clone(), r#override.clone())),
            Self::RemoveOverride { id } => {
                drop(tenant.overrides.remove(id.as_str()).ok_or_else(|| missing("override", id))?);
            }
            Self::LayBlock { id, block } => {
                if tenant.blocks.insert(id.clone(), block.clone()).is_some() {
                    return Err(Error::Exists { what: "block", key: id.to_string() });
                }
            }
            Self::LiftBlock { id, by, at, reason } => {
                if reason.trim().is_empty() {
                    return Err(Error::InvalidArgument { message: "`reason` is empty: say why".to_owned() });
                }
                let mut block = tenant.blocks.remove(id.as_str()).ok_or_else(|| missing("block", id))?;
                if block.laid_by != *by {
                    let message = format!("block `{id}` was laid by {}, and is lifted by no one else", block.laid_by);
                    return Err(Error::Constraint { constraint: Some("lifted_by_who_laid_it".to_owned()), message });
                }
                block.until = Some(block.until.map_or(*at, |until| until.min(*at)));
                // What is lifted before it begins never held.
                if block.until > Some(block.since) {
                    tenant.blocks.insert(id.clone(), block);
                }
            }
            Self::SetPreferences { preferences } => tenant.preferences.clone_from(preferences),
            Self::PutWorkflow { workflow, laid } => drop(tenant.workflows.insert(workflow.clone(), laid.clone())),
            Self::RemoveWorkflow { workflow } => {
                let gone = tenant.workflows.remove(workflow);
                gone.ok_or_else(|| not_found("workflow of the tenant", workflow.as_str()))?;
            }
        }
        Ok(())
    }
}

/// A change that was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The version that the tenant has now.
    pub row_version: RowVersion,
    /// The change on its way to be published: see [`Hq::published`].
    pub change: i64,
}

impl Hq {
    /// Changes a tenant: the change, its audit entry, its place in the queue and the answer to its key commit together, or
    /// nothing does. It is checked against the definitions in force, and those that were authored where none are.
    ///
    /// `seen` is the version of the tenant that the writer read; without it, the change is made to whatever there is.
    /// `key` makes it safe to ask again: the same key gets the same answer, and nothing is done twice.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`]; [`Error::Conflict`] where somebody else was faster;
    /// [`Error::Refused`] with all that is wrong with the tenant then; [`Error::Constraint`];
    /// [`Error::IdempotencyKeyReused`] where the key was used for something else.
    pub async fn change_tenant(
        &self,
        id: &TenantId,
        change: &TenantChange,
        seen: Option<RowVersion>,
        key: Option<&IdempotencyKey>,
        actor: &Actor,
    ) -> Result<Changed, Error> {
        retried!(self.try_change(id, change, seen, key, actor))
    }

    async fn try_change(
        &self,
        id: &TenantId,
        change: &TenantChange,
        seen: Option<RowVersion>,
        key: Option<&IdempotencyKey>,
        actor: &Actor,
    ) -> Result<Changed, Error> {
        let mut transaction = TenantTransaction::begin(&self.pool, id).await?;
        let connection = transaction.connection();
        // Whoever changes the tenant holds its row. Of those who create it, all but the first come back here.
        let row: Option<(i64, String)> = sqlx::query_as(
            "SELECT row_version, file FROM leasehold.org_tenants_mst WHERE tenant_org_id = $1 FOR UPDATE",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
        let (actual, file) = row.unzip();
        // Only now: whoever was here first may have answered to the same key, and may have removed the tenant.
        if let Some(key) = key
            && let Some(answered) = answered(connection, id, key, change).await?
        {
            return Ok(answered);
        }
        let mut tenant = match (change, actual) {
            (TenantChange::Create { .. }, Some(_)) => {
                return Err(Error::Exists { what: "tenant", key: id.to_string() });
            }
            (TenantChange::Create { tenant }, None) => tenant.clone(),
            (_, None) => return Err(not_found("tenant", id.as_str())),
            (_, Some(actual)) => {
                if let Some(seen) = seen.filter(|seen| seen.0 != actual) {
                    let (what, key) = ("tenant", id.to_string());
                    return Err(Error::Conflict { what, key, expected: seen.0, actual });
                }
                let found = read_tenants(connection, &[id.as_str().to_owned()]).await?.pop();
                found.ok_or_else(|| not_found("tenant", id.as_str()))?.2?
            }
        };
        change.apply(&mut tenant)?;
        if *change != TenantChange::Remove {
            in_force(self, connection).await?.checker.check(id, &tenant)?;
        }
        // One that is replaced stays in its file.
        write(connection, id, change, file.as_deref().unwrap_or(NEW_TENANTS)).await?;
        let row_version = match change {
            TenantChange::Create { .. } => RowVersion(
                sqlx::query_scalar("SELECT row_version FROM leasehold.org_tenants_mst WHERE tenant_org_id = $1")
                    .bind(id.as_str())
                    .fetch_one(&mut *connection)
                    .await?,
            ),
            _ => RowVersion(actual.unwrap_or_default() + 1),
        };
        record(connection, Some(id), actor, change.action(), id.as_str(), json!({ "change": change })).await?;
        let change_id: i64 =
            sqlx::query_scalar("SELECT max(change_id) FROM leasehold.sys_publish_queue WHERE tenant_org_id = $1")
                .bind(id.as_str())
                .fetch_one(&mut *connection)
                .await?;
        let changed = Changed { row_version, change: change_id };
        if let Some(key) = key {
            answer(connection, id, key, change, changed).await?;
        }
        transaction.commit().await?;
        Ok(changed)
    }
}

/// Writes the rows that a change is about. `file` is the one that a tenant as a whole is exported to.
async fn write(
    connection: &mut PgConnection,
    tenant: &TenantId,
    change: &TenantChange,
    file: &str,
) -> Result<(), Error> {
    // Instants and values go as the JSON that definitions have, and come apart in the statement.
    let mut touch = true;
    let (sql, id, document): (&'static str, &str, Value) = match change {
        TenantChange::Create { tenant: new } | TenantChange::Replace { tenant: new } => {
            let is_new: bool =
                sqlx::query_scalar("SELECT is_new FROM leasehold.hq_put_tenants($1, NULL, $2, $3::timestamptz)")
                    .bind(file)
                    .bind(json!({ tenant.as_str(): new }))
                    .bind(now().to_string())
                    .fetch_one(connection)
                    .await?;
            // Another has created it in between.
            let created_twice = matches!(change, TenantChange::Create { .. }) && !is_new;
            return if created_twice { Err(Error::Contended { attempts: 1 }) } else { Ok(()) };
        }
        TenantChange::Remove => {
            touch = false;
            ("DELETE FROM leasehold.org_tenants_mst WHERE tenant_org_id = $1", "", Value::Null)
        }
        TenantChange::PutPhase { id, phase } => (
            "INSERT INTO leasehold.org_subscriptions_mst (tenant_org_id, phase_id, kind, plan_key, version, valid_from,
                 valid_until, grace_until)
             SELECT $1, $2, d ->> 'kind', d ->> 'plan', (d -> 'version')::bigint, (d ->> 'from')::timestamptz,
                 (d ->> 'until')::timestamptz, (d ->> 'grace_until')::timestamptz FROM (SELECT $3::jsonb) AS new(d)
             ON CONFLICT (tenant_org_id, phase_id) DO UPDATE SET kind = excluded.kind, plan_key = excluded.plan_key,
                 version = excluded.version, valid_from = excluded.valid_from, valid_until = excluded.valid_until,
                 grace_until = excluded.grace_until",
            id.as_str(),
            json!(phase),
        ),
        TenantChange::RemovePhase { id } => (
            "DELETE FROM leasehold.org_subscriptions_mst WHERE tenant_org_id = $1 AND phase_id = $2",
            id.as_str(),
            Value::Null,
        ),
        TenantChange::PutLicence { id, licence } => (
            "INSERT INTO leasehold.org_add_on_licences (tenant_org_id, licence_id, add_on_key, quantity, valid_from,
                 valid_until)
             SELECT $1, $2, d ->> 'add_on', (d -> 'quantity')::bigint, (d ->> 'from')::timestamptz,
                 (d ->> 'until')::timestamptz FROM (SELECT $3::jsonb) AS new(d)
             ON CONFLICT (tenant_org_id, licence_id) DO UPDATE SET add_on_key = excluded.add_on_key,
                 quantity = excluded.quantity, valid_from = excluded.valid_from, valid_until = excluded.valid_until",
            id.as_str(),
            json!(licence),
        ),
        TenantChange::RemoveLicence { id } => (
            "DELETE FROM leasehold.org_add_on_licences WHERE tenant_org_id = $1 AND licence_id = $2",
            id.as_str(),
            Value::Null,
        ),
        TenantChange::PutOverride { id, r#override } => (
            "INSERT INTO leasehold.org_feature_overrides (tenant_org_id, override_id, feature_key, op, value, plan_key,
                 valid_from, valid_until, reason, actor)
             SELECT $1, $2, d ->> 'feature', d ->> 'op', d -> 'value', d ->> 'plan', (d ->> 'from')::timestamptz,
                 (d ->> 'until')::timestamptz, d ->> 'reason', d ->> 'actor' FROM (SELECT $3::jsonb) AS new(d)
             ON CONFLICT (tenant_org_id, override_id) DO UPDATE SET feature_key = excluded.feature_key,
                 op = excluded.op, value = excluded.value, plan_key = excluded.plan_key,
                 valid_from = excluded.valid_from, valid_until = excluded.valid_until, reason = excluded.reason,
                 actor = excluded.actor",
            id.as_str(),
            json!(r#override),
        ),
        TenantChange::RemoveOverride { id } => (
            "DELETE FROM leasehold.org_feature_overrides WHERE tenant_org_id = $1 AND override_id = $2",
            id.as_str(),
            Value::Null,
        ),
        TenantChange::LayBlock { id, block } => (
            "INSERT INTO leasehold.org_access_blocks (tenant_org_id, block_id, kind, laid_by, level, since, until, reason)
             SELECT $1, $2, d ->> 'kind', d ->> 'laid_by', d ->> 'level', (d ->> 'since')::timestamptz,
                 (d ->> 'until')::timestamptz, d ->> 'reason' FROM (SELECT $3::jsonb) AS new(d)
             ON CONFLICT DO NOTHING",
            id.as_str(),
            json!(block),
        ),
        TenantChange::LiftBlock { id, by, at, reason } => (
            "INSERT INTO leasehold.org_access_block_lifts (tenant_org_id, block_id, lifted_by, lifted_at, reason)
             SELECT $1, $2, d ->> 'by', (d ->> 'at')::timestamptz, d ->> 'reason' FROM (SELECT $3::jsonb) AS new(d)
             ON CONFLICT DO NOTHING",
            id.as_str(),
            json!({ "by": by, "at": at, "reason": reason }),
        ),
        TenantChange::SetPreferences { preferences } => {
            touch = false;
            (
                "UPDATE leasehold.org_tenants_mst SET row_version = row_version + 1, updated_at = now(),
                     preferences_off = ARRAY(SELECT jsonb_array_elements_text(coalesce($3::jsonb -> 'off', '[]')))
                 WHERE tenant_org_id = $1 AND $2 = ''",
                "",
                json!(preferences),
            )
        }
        TenantChange::PutWorkflow { workflow, laid } => (
            "WITH gone AS (DELETE FROM leasehold.tenant_workflow_settings_cf
                 WHERE tenant_org_id = $1 AND workflow_key = $2),
             put AS (INSERT INTO leasehold.tenant_workflow_templates_cf (tenant_org_id, workflow_key, version, active,
                     patch, category_patches)
                 SELECT $1, $2, (d -> 'version')::bigint, coalesce((d -> 'active')::boolean, true),
                     coalesce(d -> 'patch', '[]'), coalesce((SELECT jsonb_object_agg(c.key, coalesce(c.value -> 'patch',
                         '[]')) FROM jsonb_each(d -> 'categories') AS c), '{}') FROM (SELECT $3::jsonb) AS new(d)
                 ON CONFLICT (tenant_org_id, workflow_key) DO UPDATE SET version = excluded.version,
                     active = excluded.active, patch = excluded.patch, category_patches = excluded.category_patches)
             SELECT 1",
            workflow.as_str(),
            json!(laid),
        ),
        TenantChange::RemoveWorkflow { workflow } => (
            "DELETE FROM leasehold.tenant_workflow_templates_cf WHERE tenant_org_id = $1 AND workflow_key = $2",
            workflow.as_str(),
            Value::Null,
        ),
    };
    let mut query = sqlx::query(sql).bind(tenant.as_str());
    if *change != TenantChange::Remove {
        query = query.bind(id);
    }
    if document != Value::Null {
        query = query.bind(document.clone());
    }
    let written = query.execute(&mut *connection).await?.rows_affected();
    match change {
        // One that was lifted before it began is there, and shown to nobody.
        TenantChange::LayBlock { id, .. } if written == 0 => {
            return Err(Error::Exists { what: "block", key: id.to_string() });
        }
        TenantChange::LiftBlock { id, .. } if written == 0 => {
            return Err(Error::Exists { what: "lift of block", key: id.to_string() });
        }
        _ => {}
    }
    if let TenantChange::PutWorkflow { .. } = change {
        sqlx::query(
            "INSERT INTO leasehold.tenant_workflow_settings_cf (tenant_org_id, workflow_key, category, guard_key, setting,
                 value)
             SELECT $1, $2, scope.category, guard.key, setting.key, setting.value
             FROM (SELECT '' AS category, $3::jsonb -> 'settings' AS settings
                   UNION ALL SELECT c.key, c.value -> 'settings' FROM jsonb_each($3::jsonb -> 'categories') AS c) AS scope,
                 jsonb_each(scope.settings) AS guard(key, settings), jsonb_each(guard.settings) AS setting(key, value)",
        )
        .bind(tenant.as_str())
        .bind(id)
        .bind(document)
        .execute(&mut *connection)
        .await?;
    }
    if touch {
        sqlx::query(
            "UPDATE leasehold.org_tenants_mst SET row_version = row_version + 1, updated_at = now()
             WHERE tenant_org_id = $1",
        )
        .bind(tenant.as_str())
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// What was answered to a key, if it was used before.
async fn answered(
    connection: &mut PgConnection,
    tenant: &TenantId,
    key: &IdempotencyKey,
    change: &TenantChange,
) -> Result<Option<Changed>, Error> {
    let row: Option<(Vec<u8>, Value)> = sqlx::query_as(
        "SELECT request_hash, response FROM leasehold.sys_idempotency WHERE tenant_org_id = $1 AND idempotency_key = $2",
    )
    .bind(tenant.as_str())
    .bind(key.as_str())
    .fetch_optional(connection)
    .await?;
    let Some((request, response)) = row else { return Ok(None) };
    if request != request_hash(change) {
        return Err(Error::IdempotencyKeyReused { key: key.as_str().to_owned() });
    }
    let number = |name: &str| response.get(name).and_then(Value::as_i64).unwrap_or_default();
    Ok(Some(Changed { row_version: RowVersion(number("row_version")), change: number("change") }))
}

async fn answer(
    connection: &mut PgConnection,
    tenant: &TenantId,
    key: &IdempotencyKey,
    change: &TenantChange,
    changed: Changed,
) -> Result<(), Error> {
    let written = sqlx::query(
        "INSERT INTO leasehold.sys_idempotency (tenant_org_id, idempotency_key, request_hash, response)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(key.as_str())
    .bind(request_hash(change))
    .bind(json!({ "row_version": changed.row_version.0, "change": changed.change }))
    .execute(connection)
    .await?;
    // Somebody else was answered in between: what was done here is undone, and the next attempt finds their answer.
    if written.rows_affected() == 1 { Ok(()) } else { Err(Error::Contended { attempts: 1 }) }
}

fn request_hash(change: &TenantChange) -> Vec<u8> {
    leasehold::Hash::of(json!(change).to_string().as_bytes()).as_bytes().to_vec()
}
