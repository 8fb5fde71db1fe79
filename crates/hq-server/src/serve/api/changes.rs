//! What becomes of changes, publishing by hand, and going back.

use crate::serve::extract::{Json as Body, Once, Path, done_once, remembered};
use crate::serve::openapi::answers;
use crate::serve::problem::Problem;
use crate::serve::publishing::Wish;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, AllowedBound, to};
use axum::Json;
use axum::extract::State;
use leasehold::Revision;
use leasehold_postgres::Error;
use leasehold_postgres::publish::{Publication, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(publish)).routes(routes!(rollback))
}

/// What became of a change.
#[derive(Debug, Serialize, ToSchema)]
struct Outcome {
    /// Its number.
    change: i64,
    /// `waiting`, `published` or `kept_back`.
    state: &'static str,
    /// The revision that it is in.
    revision: Option<u64>,
    /// Why the tenant kept its last published form.
    #[schema(value_type = Vec<answers::Diagnostic>)]
    diagnostics: Vec<Value>,
}

/// What became of a change of a tenant, or of a kill switch. A token that is bound asks for those of its own.
#[utoipa::path(get, path = "/v1/changes/{change}", tag = "publishing", security(("token" = ["tenants:read"])),
    params(("change" = i64, Path)), responses((status = 200, body = Outcome)))]
async fn read(
    State(shared): State<Shared>,
    allowed: AllowedBound<to::ReadTenants>,
    Path(change): Path<i64>,
) -> Result<Json<Outcome>, Problem> {
    allowed.caller.reaches_change(shared.hq().concerned_by(change).await?)?;
    let (state, revision, diagnostics) = match shared.hq().outcome(change).await {
        Ok(Some(revision)) => ("published", Some(revision.get()), Vec::new()),
        Ok(None) => ("waiting", None, Vec::new()),
        Err(Error::KeptBack { found }) => ("kept_back", None, found.as_array().cloned().unwrap_or_default()),
        Err(error) => return Err(error.into()),
    };
    Ok(Json(Outcome { change, state, revision, diagnostics }))
}

/// What was published.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
pub(super) struct Published {
    /// The revision in force; null where nothing waited.
    revision: Option<u64>,
    /// Streams with a new head.
    streams: Vec<String>,
    /// How many changes are in it.
    changes: usize,
    /// Tenants and kill switches that kept their last published form, and why.
    refused: Vec<KeptBack>,
}

impl From<Publication> for Published {
    fn from(publication: Publication) -> Self {
        Self {
            revision: Some(publication.revision.get()),
            streams: publication.streams.iter().map(ToString::to_string).collect(),
            changes: publication.changes.len(),
            refused: publication.refused.into_iter().map(KeptBack::from).collect(),
        }
    }
}

/// A tenant or kill switch that kept its last published form.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct KeptBack {
    /// The tenant; null where it is about a kill switch.
    tenant: Option<String>,
    /// The kill switch; null where it is about a tenant.
    kill: Option<String>,
    /// What is wrong.
    #[schema(value_type = Vec<answers::Diagnostic>)]
    diagnostics: Vec<Value>,
}

impl From<Refusal> for KeptBack {
    fn from(refusal: Refusal) -> Self {
        Self {
            tenant: refusal.tenant.map(|tenant| tenant.to_string()),
            kill: refusal.kill.map(|kill| kill.to_string()),
            diagnostics: refusal.found.iter().map(|found| json!(found)).collect(),
        }
    }
}

/// Publish what waits. Publishers do so by themselves, at once; this is for whoever does not want to wait for them.
#[utoipa::path(post, path = "/v1/publications", tag = "publishing", security(("token" = ["snapshots:publish"])),
    responses((status = 200, body = Published)))]
async fn publish(State(shared): State<Shared>, allowed: Allowed<to::Publish>) -> Result<Json<Published>, Problem> {
    let publication = shared.publish(Wish::Pending, allowed.caller.actor()).await?;
    Ok(Json(publication.map(Published::from).unwrap_or_default()))
}

/// Which definitions to go back to.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Back {
    /// The revision whose definitions come in force again.
    #[schema(minimum = 1)]
    revision: u64,
}

/// Put the definitions of an earlier revision in force again, under a new revision. Tenants stay as they are, and kill
/// switches stand.
#[utoipa::path(post, path = "/v1/rollbacks", tag = "publishing", security(("token" = ["snapshots:publish"])),
    request_body = Back, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Published)))]
async fn rollback(
    State(shared): State<Shared>,
    allowed: Allowed<to::Publish>,
    once: Once,
    Body(back): Body<Back>,
) -> Result<Json<Published>, Problem> {
    let to = Revision::new(back.revision).ok_or_else(|| Problem::not_found("revision", &back.revision.to_string()))?;
    let mut actor = allowed.caller.actor();
    actor.request = once.request(&allowed.caller.name, "POST /v1/rollbacks", &back);
    let request = actor.request.clone();
    let publishing = async {
        let publication = shared.publish(Wish::Rollback(to), actor).await?;
        Ok(publication.map(Published::from).unwrap_or_default())
    };
    let before = async |came_to: String| remembered(&came_to);
    Ok(Json(done_once(&shared, request.as_ref(), publishing, before).await?))
}
