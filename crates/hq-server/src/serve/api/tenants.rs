//! Tenants, and all that belongs to them. Every write is published at once, and answers with its revision.

use super::definitions::Written;
use crate::serve::extract::{
    IfMatch, Json as Body, JsonText, Once, Page, Paging, Path, Precondition, Query, WithEtag, object, parsed,
};
use crate::serve::openapi::authored;
use crate::serve::problem::Problem;
use crate::serve::state::{self, Shared};
use crate::serve::who::{Allowed, AllowedTenant, Needs, Standing, to};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use leasehold::model::Tenant;
use leasehold::{TenantId, Timestamp};
use leasehold_postgres::hq::TenantChange;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read, put, remove))
        .routes(routes!(put_subscription, remove_subscription))
        .routes(routes!(put_licence, remove_licence))
        .routes(routes!(put_override, remove_override))
        .routes(routes!(lay_block))
        .routes(routes!(lift_block))
        .routes(routes!(set_preferences))
        .routes(routes!(put_workflow, remove_workflow))
}

/// Ids of tenants, in order.
#[utoipa::path(get, path = "/v1/tenants", tag = "tenants", security(("token" = ["tenants:read"])), params(Paging),
    responses((status = 200, body = Page<String>)))]
async fn list(
    State(shared): State<Shared>,
    _: Allowed<to::ReadTenants>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<String>>, Problem> {
    let after: Option<TenantId> = paging.after.as_deref().map(|after| parsed("tenant", after)).transpose()?;
    let ids = shared.hq().tenant_ids(after.as_ref(), paging.to_read()?).await?;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Ok(Json(paging.page(ids, Clone::clone)))
}

/// A tenant, as it is authored.
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "tenants", security(("token" = ["tenants:read"])),
    params(("tenant" = String, Path)), responses((status = 200, body = authored::Tenant)))]
async fn read(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadTenants>,
) -> Result<WithEtag<Tenant>, Problem> {
    let found = shared.hq().tenant(&allowed.tenant).await?;
    Ok(WithEtag(found.row_version, found.record))
}

/// A change as it is asked for.
struct Asked<'a> {
    /// What is done, as [`TenantChange`] names it.
    what: &'a str,
    /// Members that are texts: to which record, and what else there is to say.
    texts: &'a [(&'a str, &'a str)],
    /// The record by its name, as JSON.
    record: Option<(&'a str, &'a [u8])>,
}

impl Asked<'_> {
    /// As [`TenantChange`] reads it.
    fn json(&self) -> Vec<u8> {
        let text = |text: &str| json!(text).to_string().into_bytes();
        let texts = self.texts.iter().map(|(name, value)| (*name, text(value)));
        let record = self.record.map(|(name, record)| (name, record.to_vec()));
        object([("change", text(self.what))].into_iter().chain(texts).chain(record))
    }
}

/// Does it, and waits until it is published.
async fn change<P: Needs>(
    shared: &Shared,
    allowed: AllowedTenant<P>,
    (once, precondition): (Once, IfMatch),
    asked: Asked<'_>,
) -> Result<Response, Problem> {
    let tenant = &allowed.tenant;
    let is_new = asked.what == "create";
    let seen = if is_new { None } else { precondition.seen()? };
    let around = asked.record.map_or_else(String::new, |(name, _)| format!("/{name}"));
    let read =
        TenantChange::from_json(tenant, "body", &asked.json()).map_err(|error| Problem::within(error, &around))?;
    if let (Some(own), TenantChange::Create { tenant } | TenantChange::Replace { tenant }) =
        (&allowed.caller.region, &read)
        && tenant.region != *own
    {
        return Err(Problem::forbidden("other_region", "this token reaches another region"));
    }
    if let (Some(own), TenantChange::Create { .. }) = (&allowed.caller.region, &read)
        && shared.hq().region_of_removed(tenant).await?.is_some_and(|region| region != *own)
    {
        let detail = "a tenant of this id was in another region, where what is left of it is: take another id";
        return Err(Problem::forbidden("other_region", detail));
    }
    let changed = shared.hq().change_tenant(tenant, &read, seen, once.0.as_ref(), &allowed.caller.actor()).await;
    let changed = changed.map_err(|error| Problem::within(error, &format!("/tenants/{tenant}{}", read.path())))?;
    let revision = shared.published(changed.change).await?;
    // Where nothing changed for the tenant, its stream may have skipped the revision: engines wait for what they get.
    let stream = shared.streams().of_tenant(tenant);
    let newest = stream.map(|stream| stream.current().head.head().revision);
    let revision = revision.map(|revision| newest.map_or(revision, |newest| newest.min(revision)).get());
    let written = Written { row_version: changed.row_version.0, change: Some(changed.change), revision };
    Ok(written.answer(is_new))
}

/// Write a tenant with all that belongs to it: a new one (`If-None-Match: *`), or another in place of the one that was seen.
#[utoipa::path(put, path = "/v1/tenants/{tenant}", tag = "tenants", security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = authored::Tenant,
    responses((status = 200, body = Written), (status = 201, body = Written), (status = 202, body = Written)))]
async fn put(
    State(shared): State<Shared>,
    allowed: AllowedTenant<Standing>,
    once: Once,
    precondition: IfMatch,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let what = if precondition.required()? == Precondition::New { "create" } else { "replace" };
    change(&shared, allowed, (once, precondition), Asked { what, texts: &[], record: Some(("tenant", &body)) }).await
}

/// Remove a tenant with all that belongs to it. Its audit chain stays.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Written), (status = 202, body = Written)))]
async fn remove(
    State(shared): State<Shared>,
    allowed: AllowedTenant<Standing>,
    once: Once,
    precondition: IfMatch,
) -> Result<Response, Problem> {
    precondition.required()?;
    change(&shared, allowed, (once, precondition), Asked { what: "remove", texts: &[], record: None }).await
}

/// Routes that put and remove what belongs to a tenant.
macro_rules! belongings {
    ($put:ident, $remove:ident, $path:literal, $schema:ident, $put_change:literal, $remove_change:literal, $id:literal,
     $field:literal, $one:literal) => {
        #[utoipa::path(put, path = $path,
                    summary = concat!("Put ", $one, ": a new one, or another in place of the one with the id."),
                    tag = "tenants", security(("token" = ["tenants:write"])),
                    params(("tenant" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header),
                        ("Idempotency-Key" = Option<String>, Header)),
                    request_body = authored::$schema,
                    responses((status = 200, body = Written), (status = 202, body = Written)))]
        async fn $put(
            State(shared): State<Shared>,
            allowed: AllowedTenant<to::WriteTenants>,
            Path((_, id)): Path<(String, String)>,
            once: Once,
            precondition: IfMatch,
            JsonText(body): JsonText,
        ) -> Result<Response, Problem> {
            let asked = Asked { what: $put_change, texts: &[($id, &id)], record: Some(($field, &body)) };
            change(&shared, allowed, (once, precondition), asked).await
        }

        #[utoipa::path(delete, path = $path,
                    summary = concat!("Remove ", $one, "."),
                    tag = "tenants", security(("token" = ["tenants:write"])),
                    params(("tenant" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header),
                        ("Idempotency-Key" = Option<String>, Header)),
                    responses((status = 200, body = Written), (status = 202, body = Written)))]
        async fn $remove(
            State(shared): State<Shared>,
            allowed: AllowedTenant<to::WriteTenants>,
            Path((_, id)): Path<(String, String)>,
            once: Once,
            precondition: IfMatch,
        ) -> Result<Response, Problem> {
            let asked = Asked { what: $remove_change, texts: &[($id, &id)], record: None };
            change(&shared, allowed, (once, precondition), asked).await
        }
    };
}

belongings!(
    put_subscription,
    remove_subscription,
    "/v1/tenants/{tenant}/subscriptions/{id}",
    Phase,
    "put_phase",
    "remove_phase",
    "id",
    "phase",
    "a phase of the tenant's subscription"
);
belongings!(
    put_licence,
    remove_licence,
    "/v1/tenants/{tenant}/licences/{id}",
    Licence,
    "put_licence",
    "remove_licence",
    "id",
    "licence",
    "a licence of an add-on"
);
belongings!(
    put_override,
    remove_override,
    "/v1/tenants/{tenant}/overrides/{id}",
    Override,
    "put_override",
    "remove_override",
    "id",
    "override",
    "an override"
);
belongings!(
    put_workflow,
    remove_workflow,
    "/v1/tenants/{tenant}/workflows/{id}",
    TenantWorkflow,
    "put_workflow",
    "remove_workflow",
    "workflow",
    "laid",
    "what the tenant lays over a workflow"
);

/// Lay a block. It is a fact: it stays as it is until it is lifted.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/blocks/{id}", tag = "tenants", security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = authored::Block,
    responses((status = 200, body = Written), (status = 202, body = Written)))]
async fn lay_block(
    State(shared): State<Shared>,
    allowed: AllowedTenant<Standing>,
    Path((_, id)): Path<(String, String)>,
    once: Once,
    precondition: IfMatch,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let asked = Asked { what: "lay_block", texts: &[("id", &id)], record: Some(("block", &body)) };
    change(&shared, allowed, (once, precondition), asked).await
}

/// How a block is lifted.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Lift {
    /// Who lifts it: `lifecycle`, `billing`, `security` or `staff`, as who laid it.
    by: String,
    /// First instant at which it no longer holds; without it, now.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// Why.
    reason: String,
}

/// Lift a block.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/blocks/{id}/lift", tag = "tenants",
    security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = Lift, responses((status = 200, body = Written), (status = 202, body = Written)))]
async fn lift_block(
    State(shared): State<Shared>,
    allowed: AllowedTenant<Standing>,
    Path((_, id)): Path<(String, String)>,
    once: Once,
    precondition: IfMatch,
    Body(lift): Body<Lift>,
) -> Result<Response, Problem> {
    // Sent again under its key, it is the same only if it says when.
    let at = match (&lift.at, &once.0) {
        (Some(at), _) => at.clone(),
        (None, None) => state::now().to_string(),
        (None, Some(_)) => {
            let detail = "name `at`: without it, the same request would be another one the next time";
            return Err(Problem::bad_request("invalid_body", detail));
        }
    };
    let _: Timestamp = parsed("instant", &at)?;
    let texts = [("id", id.as_str()), ("by", &lift.by), ("at", &at), ("reason", &lift.reason)];
    let asked = Asked { what: "lift_block", texts: &texts, record: None };
    change(&shared, allowed, (once, precondition), asked).await
}

/// Set the tenant's own preferences: the switches that it has switched off for itself.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/preferences", tag = "tenants",
    security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    request_body = authored::Preferences,
    responses((status = 200, body = Written), (status = 202, body = Written)))]
async fn set_preferences(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteTenants>,
    once: Once,
    precondition: IfMatch,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let asked = Asked { what: "set_preferences", texts: &[], record: Some(("preferences", &body)) };
    change(&shared, allowed, (once, precondition), asked).await
}
