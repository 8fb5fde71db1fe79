//! Proposals: how definitions change. Drafted from what is authored, with what tenants gain and lose by it; approved by
//! somebody else; published as approved.

use super::changes::Published;
use crate::serve::extract::{Json as Body, Once, Page, Paging, Path, Query, done_once, parsed};
use crate::serve::openapi::answers;
use crate::serve::problem::Problem;
use crate::serve::publishing::Wish;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, to};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use leasehold::{DiffGroup, FeatureDiff, Hash, RecordId, Timestamp};
use leasehold_postgres::publish::{Proposal as Kept, ProposalStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
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

/// Where a proposal is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProposalStatus)]
enum Status {
    /// Nobody has decided yet.
    Draft,
    /// Somebody other than its author has approved it, as it was then.
    Approved,
    /// It was turned down.
    Rejected,
    /// What was approved is no longer what it would do.
    Lapsed,
    /// It is in force, or was.
    Published,
}

impl From<ProposalStatus> for Status {
    fn from(status: ProposalStatus) -> Self {
        match status {
            ProposalStatus::Draft => Self::Draft,
            ProposalStatus::Approved => Self::Approved,
            ProposalStatus::Rejected => Self::Rejected,
            ProposalStatus::Lapsed => Self::Lapsed,
            ProposalStatus::Published => Self::Published,
        }
    }
}

/// A change of definitions.
#[derive(Debug, Serialize, ToSchema)]
struct Proposal {
    /// Its number.
    id: i64,
    /// What it is about.
    title: String,
    /// Where it is.
    status: Status,
    /// Who proposed it.
    author: String,
    /// Who approved it; null while nobody has.
    approved_by: Option<String>,
    /// Hash of the definitions that it changes, kill switches aside; null for the first.
    #[schema(value_type = Option<answers::Hash>)]
    base: Option<Hash>,
    /// Hash of the definitions that it proposes.
    #[schema(value_type = answers::Hash)]
    proposed: Hash,
    /// What tenants gain, lose and have moved by it, at each instant at which something in it begins or ends.
    #[schema(value_type = Vec<FleetDiff>)]
    diff: Value,
    /// How many tenants it concerns, at the instant at which they are most.
    affected: i64,
    /// What an approval names: the hash of base, proposal, kill switches that are lifted, and what is gained, lost and
    /// moved per plan and feature.
    #[schema(value_type = answers::Hash)]
    binding: Hash,
    /// Kill switches in force that it lifts or changes.
    #[schema(value_type = Vec<answers::RecordId>)]
    lifts: Vec<RecordId>,
    /// How many later instants, at which something begins or ends, were not looked at.
    unseen: i64,
    /// What is most likely not meant in the fleet by it, and is not there without it: 1,000 at the most.
    #[schema(value_type = Vec<answers::Diagnostic>)]
    warnings: Value,
    /// Why it was rejected, or how it lapsed; null otherwise.
    reason: Option<String>,
    /// The revision that it was published as; null while it is not.
    revision: Option<i64>,
}

impl From<Kept> for Proposal {
    fn from(kept: Kept) -> Self {
        Self {
            id: kept.id,
            title: kept.title,
            status: kept.status.into(),
            author: kept.author,
            approved_by: kept.approved_by,
            base: kept.base,
            proposed: kept.proposed,
            diff: kept.diff,
            affected: kept.affected,
            binding: kept.binding,
            lifts: kept.lifts,
            unseen: kept.unseen,
            warnings: kept.warnings,
            reason: kept.reason,
            revision: kept.revision,
        }
    }
}

/// What other definitions change for the fleet at one instant.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the store keeps with a proposal")]
struct FleetDiff {
    /// The instant at which both are asked.
    #[schema(value_type = answers::Timestamp)]
    at: Timestamp,
    /// The revisions compared. Drafts have none: both are 0.
    revision: RevisionsCompared,
    /// How many tenants are only there with the other definitions.
    added: u64,
    /// How many tenants are only there without them.
    removed: u64,
    /// How many tenants have other answers.
    changed: u64,
    /// How many tenants have the same answers.
    unchanged: u64,
    /// How many tenants gain, lose or see moved what, by their plan with the other definitions.
    #[schema(value_type = Vec<answers::FeatureDiff>)]
    features: Vec<FeatureDiff>,
    /// Tenants with other answers, together where the same things change: the largest group first.
    #[schema(value_type = Vec<answers::DiffGroup>)]
    groups: Vec<DiffGroup>,
}

/// Two revisions.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what the store keeps with a proposal")]
struct RevisionsCompared {
    /// Before.
    from: u64,
    /// After.
    to: u64,
}

/// What is proposed.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProposal)]
struct New {
    /// What it is about.
    #[schema(min_length = 1, max_length = 200)]
    title: String,
}

/// Proposals, newest first.
#[utoipa::path(get, path = "/v1/proposals", tag = "proposals", security(("token" = ["definitions:read"])), params(Paging),
    responses((status = 200, body = Page<Proposal>)))]
async fn list(
    State(shared): State<Shared>,
    _: Allowed<to::ReadDefinitions>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Proposal>>, Problem> {
    let before: Option<i64> = paging.after.as_deref().map(|before| parsed("proposal", before)).transpose()?;
    let proposals = shared.hq().proposals(before, paging.to_read()?).await?;
    let proposals: Vec<Proposal> = proposals.into_iter().map(Proposal::from).collect();
    Ok(Json(paging.page(proposals, |proposal| proposal.id.to_string())))
}

/// Propose what is authored now in place of the definitions in force. The answer says what tenants gain and lose by it, and
/// `binding`, which an approval names.
#[utoipa::path(post, path = "/v1/proposals", tag = "proposals", security(("token" = ["definitions:write"])),
    request_body = New, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Proposal)))]
async fn propose(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteDefinitions>,
    once: Once,
    Body(new): Body<New>,
) -> Result<(StatusCode, Json<Proposal>), Problem> {
    if new.title.trim().is_empty() || new.title.chars().count() > 200 || new.title.chars().any(char::is_control) {
        return Err(Problem::bad_request(
            "invalid_body",
            "`title` has 1 to 200 characters, none of them a control character",
        ));
    }
    let mut actor = allowed.caller.actor();
    actor.request = once.request(&allowed.caller.name, "POST /v1/proposals", &new);
    let proposing = async { Ok(shared.archive().propose(&new.title, &actor).await?) };
    let proposed = async |id: String| Ok(shared.hq().proposal(parsed("proposal", &id)?).await?);
    let proposal = done_once(&shared, actor.request.as_ref(), proposing, proposed).await?;
    Ok((StatusCode::CREATED, Json(proposal.into())))
}

/// A proposal, with what tenants gain, lose and have moved by it.
#[utoipa::path(get, path = "/v1/proposals/{id}", tag = "proposals", security(("token" = ["definitions:read"])),
    params(("id" = i64, Path)), responses((status = 200, body = Proposal)))]
async fn read(
    State(shared): State<Shared>,
    _: Allowed<to::ReadDefinitions>,
    Path(id): Path<i64>,
) -> Result<Json<Proposal>, Problem> {
    Ok(Json(shared.hq().proposal(id).await?.into()))
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
    responses((status = 200, body = Proposal)))]
async fn approve(
    State(shared): State<Shared>,
    allowed: Allowed<to::Approve>,
    Path(id): Path<i64>,
    Body(approval): Body<Approval>,
) -> Result<Json<Proposal>, Problem> {
    let binding: Hash = parsed("binding", &approval.binding)?;
    Ok(Json(shared.hq().approve(id, binding, &allowed.caller.actor()).await?.into()))
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
    responses((status = 200, body = Proposal)))]
async fn reject(
    State(shared): State<Shared>,
    allowed: Allowed<to::Approve>,
    Path(id): Path<i64>,
    Body(rejection): Body<Rejection>,
) -> Result<Json<Proposal>, Problem> {
    Ok(Json(shared.hq().reject(id, &rejection.reason, &allowed.caller.actor()).await?.into()))
}

/// Publish an approved proposal: all tenants are on its definitions from then on.
#[utoipa::path(post, path = "/v1/proposals/{id}/publish", tag = "proposals",
    security(("token" = ["snapshots:publish"])), params(("id" = i64, Path)), responses((status = 200, body = Published)))]
async fn publish(
    State(shared): State<Shared>,
    allowed: Allowed<to::Publish>,
    Path(id): Path<i64>,
) -> Result<Json<Published>, Problem> {
    let publication = shared.publish(Wish::Proposal(id), allowed.caller.actor()).await?;
    Ok(Json(publication.map(Published::from).unwrap_or_default()))
}
