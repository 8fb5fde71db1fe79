//! Tenants, and all that belongs to them. Every write is published at once, and answers with its revision.

use super::definitions::{Written, authored};
use crate::serve::extract::{
    IfMatch, Json as Body, JsonText, Once, Page, Paging, Path, Precondition, Query, WithEtag, parsed,
};
use crate::serve::problem::Problem;
use crate::serve::state::{self, Shared};
use crate::serve::who::{Allowed, AllowedTenant, to};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use leasehold::model::Tenant;
use leasehold::{TenantId, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::hq::TenantChange;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;
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
    allowed: Allowed<to::ReadTenants>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<String>>, Problem> {
    allowed.caller.reaches_all()?;
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
    // One that is not published yet is in no stream that could be compared.
    let own = &allowed.caller.region;
    if own.as_ref().is_some_and(|own| *own != found.record.region) {
        return Err(Problem::forbidden("other_tenant", "this token reaches another tenant, or another region"));
    }
    Ok(WithEtag(found.row_version, found.record))
}

/// A change as [`TenantChange`] reads it: what is done, to which record, and the record.
fn given(what: &str, id: Option<(&str, &str)>, record: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut text = format!("{{\"change\":{}", json!(what)).into_bytes();
    if let Some((name, id)) = id {
        text.extend_from_slice(format!(",{}:{}", json!(name), json!(id)).as_bytes());
    }
    if let Some((name, record)) = record {
        text.extend_from_slice(format!(",{}:", json!(name)).as_bytes());
        text.extend_from_slice(record);
    }
    text.push(b'}');
    text
}

/// What is done, to which record by its name and id, and the record by its name.
type Asked<'a> = (&'a str, Option<(&'a str, &'a str)>, Option<(&'a str, &'a [u8])>);

/// Does it, and waits until it is published.
async fn change(
    shared: &Shared,
    allowed: AllowedTenant<to::WriteTenants>,
    (once, precondition): (Once, IfMatch),
    change: Asked<'_>,
) -> Result<Response, Problem> {
    let (what, id, record) = change;
    let tenant = &allowed.tenant;
    let read = TenantChange::from_json(tenant, "body", &given(what, id, record)).map_err(|error| {
        let Error::Refused(found) = error else { return Problem::from(error) };
        let mut found = found.into_vec();
        let prefix = record.map_or_else(String::new, |(name, _)| format!("/{name}"));
        for one in &mut found {
            if let Some(inside) = one.path.strip_prefix(&prefix) {
                one.path = inside.to_owned();
            }
        }
        Problem::refused(found)
    })?;
    if let (Some(own), TenantChange::Create { tenant } | TenantChange::Replace { tenant }) =
        (&allowed.caller.region, &read)
        && tenant.region != *own
    {
        return Err(Problem::forbidden("other_region", "this token reaches another region"));
    }
    let changed =
        shared.hq().change_tenant(tenant, &read, precondition.seen(), once.0.as_ref(), &allowed.actor).await?;
    let revision = shared.published(changed.change).await?.map(leasehold::Revision::get);
    let written = Written { row_version: changed.row_version.0, change: Some(changed.change), revision };
    Ok(written.answer(what == "create"))
}

/// Write a tenant with all that belongs to it: a new one (`If-None-Match: *`), or another in place of the one that was seen.
#[utoipa::path(put, path = "/v1/tenants/{tenant}", tag = "tenants", security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header), ("If-None-Match" = Option<String>, Header),
        ("Idempotency-Key" = Option<String>, Header)),
    request_body = authored::Tenant,
    responses((status = 200, body = Written), (status = 201, body = Written), (status = 202, body = Written)))]
async fn put(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteTenants>,
    once: Once,
    precondition: IfMatch,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let what = if precondition.required()? == Precondition::New { "create" } else { "replace" };
    change(&shared, allowed, (once, precondition), (what, None, Some(("tenant", &body)))).await
}

/// Remove a tenant with all that belongs to it. Its audit chain stays.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "tenants", security(("token" = ["tenants:write"])),
    params(("tenant" = String, Path), ("If-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Written), (status = 202, body = Written)))]
async fn remove(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteTenants>,
    once: Once,
    precondition: IfMatch,
) -> Result<Response, Problem> {
    precondition.required()?;
    change(&shared, allowed, (once, precondition), ("remove", None, None)).await
}

/// Routes that put and remove what belongs to a tenant.
macro_rules! belongings {
    ($put:ident, $remove:ident, $path:literal, $schema:ident, $put_change:literal, $remove_change:literal, $id:literal,
     $field:literal, $one:literal) => {
        #[doc = concat!("Put ", $one, ": a new one, or another in place of the one with the id.")]
        #[utoipa::path(put, path = $path, tag = "tenants", security(("token" = ["tenants:write"])),
                    params(("tenant" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header),
                        ("Idempotency-Key" = Option<String>, Header)),
                    request_body = authored::$schema,
                    responses((status = 200, body = Written), (status = 202, body = Written)))]
        async fn $put(
            State(shared): State<Shared>,
            allowed: AllowedTenant<to::WriteTenants>,
            Path(path): Path<HashMap<String, String>>,
            once: Once,
            precondition: IfMatch,
            JsonText(body): JsonText,
        ) -> Result<Response, Problem> {
            let id = path.get("id").map_or("", String::as_str);
            let asked = ($put_change, Some(($id, id)), Some(($field, &*body)));
            change(&shared, allowed, (once, precondition), asked).await
        }

        #[doc = concat!("Remove ", $one, ".")]
        #[utoipa::path(delete, path = $path, tag = "tenants", security(("token" = ["tenants:write"])),
                    params(("tenant" = String, Path), ("id" = String, Path), ("If-Match" = Option<String>, Header),
                        ("Idempotency-Key" = Option<String>, Header)),
                    responses((status = 200, body = Written), (status = 202, body = Written)))]
        async fn $remove(
            State(shared): State<Shared>,
            allowed: AllowedTenant<to::WriteTenants>,
            Path(path): Path<HashMap<String, String>>,
            once: Once,
            precondition: IfMatch,
        ) -> Result<Response, Problem> {
            let id = path.get("id").map_or("", String::as_str);
            change(&shared, allowed, (once, precondition), ($remove_change, Some(($id, id)), None)).await
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
    allowed: AllowedTenant<to::WriteTenants>,
    Path(path): Path<HashMap<String, String>>,
    once: Once,
    precondition: IfMatch,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let id = path.get("id").map_or("", String::as_str);
    change(&shared, allowed, (once, precondition), ("lay_block", Some(("id", id)), Some(("block", &body)))).await
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
    allowed: AllowedTenant<to::WriteTenants>,
    Path(path): Path<HashMap<String, String>>,
    once: Once,
    precondition: IfMatch,
    Body(lift): Body<Lift>,
) -> Result<Response, Problem> {
    let id = path.get("id").map_or("", String::as_str);
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
    let mut text = given("lift_block", Some(("id", id)), None);
    text.pop();
    text.extend_from_slice(
        format!(",\"by\":{},\"at\":{},\"reason\":{}}}", json!(lift.by), json!(at), json!(lift.reason)).as_bytes(),
    );
    let read = TenantChange::from_json(&allowed.tenant, "body", &text)?;
    let (seen, key) = (precondition.seen(), once.0.as_ref());
    let changed = shared.hq().change_tenant(&allowed.tenant, &read, seen, key, &allowed.actor).await?;
    let revision = shared.published(changed.change).await?.map(leasehold::Revision::get);
    Ok(Written { row_version: changed.row_version.0, change: Some(changed.change), revision }.answer(false))
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
    change(&shared, allowed, (once, precondition), ("set_preferences", None, Some(("preferences", &body)))).await
}
