//! Proposals: how definitions change. Drafted from what is authored, with what tenants gain and lose by it; approved by
//! somebody else; published as approved.

use super::changes::Published;
use crate::serve::extract::{Json as Body, Once, Page, Paging, Path, Query, parsed};
use crate::serve::problem::Problem;
use crate::serve::publishing::Wish;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, to};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use leasehold::Hash;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, propose))
        .routes(routes!(read))
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(publish))
}

/// What is proposed.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct New {
    /// What it is about.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
}

/// Proposals, newest first.
#[utoipa::path(get, path = "/v1/proposals", tag = "proposals", security(("token" = ["definitions:read"])), params(Paging),
    responses((status = 200, body = Page<Object>)))]
async fn list(
    State(shared): State<Shared>,
    _: Allowed<to::ReadDefinitions>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Value>>, Problem> {
    let before: Option<i64> = paging.after.as_deref().map(|before| parsed("proposal", before)).transpose()?;
    let proposals = shared.hq().proposals(before, paging.to_read()?).await?;
    let page = paging.page(proposals, |proposal| proposal.id.to_string());
    Ok(Json(Page { items: page.items.iter().map(|proposal| json!(proposal)).collect(), next: page.next }))
}

/// Propose what is authored now in place of the definitions in force. The answer says what tenants gain and lose by it, and
/// `binding`, which an approval names.
#[utoipa::path(post, path = "/v1/proposals", tag = "proposals", security(("token" = ["definitions:write"])),
    request_body = New, params(("Idempotency-Key" = Option<String>, Header)), responses((status = 201, body = Object)))]
async fn propose(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteDefinitions>,
    once: Once,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if new.title.trim().is_empty() || new.title.chars().count() > 200 || new.title.chars().any(char::is_control) {
        return Err(Problem::bad_request(
            "invalid_body",
            "`title` has 1 to 200 characters, none of them a control character",
        ));
    }
    let mut actor = allowed.actor;
    actor.request = once.request(&allowed.caller.name, "POST /v1/proposals", &new);
    if let Some(request) = &actor.request
        && let Some(id) = shared.hq().earlier(request).await?
    {
        let proposal = shared.hq().proposal(parsed("proposal", &id)?).await?;
        return Ok((StatusCode::CREATED, Json(json!(proposal))));
    }
    let proposal = shared.archive().propose(&new.title, &actor).await?;
    Ok((StatusCode::CREATED, Json(json!(proposal))))
}

/// A proposal, with what tenants gain, lose and have moved by it.
#[utoipa::path(get, path = "/v1/proposals/{id}", tag = "proposals", security(("token" = ["definitions:read"])),
    params(("id" = i64, Path)), responses((status = 200, body = Object)))]
async fn read(
    State(shared): State<Shared>,
    _: Allowed<to::ReadDefinitions>,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!(shared.hq().proposal(id).await?)))
}

/// What is approved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Approval {
    /// The `binding` of the proposal that was looked at.
    binding: String,
}

/// Approve a proposal that somebody else has made.
#[utoipa::path(post, path = "/v1/proposals/{id}/approve", tag = "proposals",
    security(("token" = ["proposals:approve"])), params(("id" = i64, Path)), request_body = Approval,
    responses((status = 200, body = Object)))]
async fn approve(
    State(shared): State<Shared>,
    allowed: Allowed<to::Approve>,
    Path(id): Path<i64>,
    Body(approval): Body<Approval>,
) -> Result<Json<Value>, Problem> {
    let binding: Hash = parsed("binding", &approval.binding)?;
    Ok(Json(json!(shared.hq().approve(id, binding, &allowed.actor).await?)))
}

/// Why it is turned down.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rejection {
    /// Why.
    reason: String,
}

/// Turn a proposal down.
#[utoipa::path(post, path = "/v1/proposals/{id}/reject", tag = "proposals",
    security(("token" = ["proposals:approve"])), params(("id" = i64, Path)), request_body = Rejection,
    responses((status = 200, body = Object)))]
async fn reject(
    State(shared): State<Shared>,
    allowed: Allowed<to::Approve>,
    Path(id): Path<i64>,
    Body(rejection): Body<Rejection>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(json!(shared.hq().reject(id, &rejection.reason, &allowed.actor).await?)))
}

/// Publish an approved proposal: all tenants are on its definitions from then on.
#[utoipa::path(post, path = "/v1/proposals/{id}/publish", tag = "proposals",
    security(("token" = ["snapshots:publish"])), params(("id" = i64, Path)), responses((status = 200, body = Published)))]
async fn publish(
    State(shared): State<Shared>,
    allowed: Allowed<to::Publish>,
    Path(id): Path<i64>,
) -> Result<Json<Published>, Problem> {
    let publication = shared.publish(Wish::Proposal(id), allowed.actor).await?;
    Ok(Json(publication.map(Published::from).unwrap_or_default()))
}
