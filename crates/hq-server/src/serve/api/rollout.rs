//! The trial of a proposal among a share of the engines.

use crate::serve::extract::{Json as Body, Once, done_once, remembered};
use crate::serve::problem::Problem;
use crate::serve::publishing::Wish;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, to};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use leasehold_postgres::fleet::Rollout;
use leasehold_postgres::publish::Publication;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, stage, abort)).routes(routes!(halt))
}

/// A trial.
#[derive(Debug, Serialize, ToSchema)]
struct Trial {
    /// The proposal.
    proposal: i64,
    /// How many of a thousand engines are to try it, unless it is halted.
    share_permille: u16,
    /// `running` or `halted`.
    state: &'static str,
    /// Since when nobody tries it.
    halted_at: Option<String>,
    /// Who halted it: the engine that refused it, or a person.
    halted_by: Option<String>,
    /// When anything of this changed last.
    changed_at: String,
    /// The revision from which it is so; null where it was only read.
    revision: Option<u64>,
}

impl Trial {
    /// The trial that a publication began, changed or halted.
    fn of_publication(publication: Option<Publication>) -> Result<Json<Self>, Problem> {
        let begun = publication.and_then(|publication| Some((publication.trial?, publication.revision.get())));
        begun.map(|(trial, revision)| Json(Self::of(trial, Some(revision)))).ok_or_else(Problem::internal)
    }

    fn of(rollout: Rollout, revision: Option<u64>) -> Self {
        Self {
            proposal: rollout.proposal,
            share_permille: rollout.share_permille,
            state: if rollout.halted_at.is_some() { "halted" } else { "running" },
            halted_at: rollout.halted_at.map(|at| at.to_string()),
            halted_by: rollout.halted_by,
            changed_at: rollout.changed_at.to_string(),
            revision,
        }
    }
}

/// The trial that is under way, or halted.
#[utoipa::path(get, path = "/v1/rollout", tag = "proposals", security(("token" = ["fleet:read"])),
    responses((status = 200, body = Trial)))]
async fn read(State(shared): State<Shared>, _: Allowed<to::ReadFleet>) -> Result<Json<Trial>, Problem> {
    let rollout = shared.hq().rollout().await?.ok_or_else(|| Problem::not_found("trial", "of definitions"))?;
    Ok(Json(Trial::of(rollout, None)))
}

/// What is to be tried by how many.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Staged {
    /// An approved proposal.
    proposal: i64,
    /// How many of a thousand engines are to try it. Raising it only adds engines.
    #[schema(maximum = 1000)]
    share_permille: u16,
}

/// What staging is remembered to have come to: what was asked for, running.
#[derive(Debug, Deserialize)]
struct CameTo {
    revision: u64,
    trial: Begun,
}

#[derive(Debug, Deserialize)]
struct Begun {
    changed_at: String,
}

/// Put a proposal on trial, raise or lower its share, or resume it after a halt.
#[utoipa::path(put, path = "/v1/rollout", tag = "proposals", security(("token" = ["snapshots:publish"])),
    request_body = Staged, params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Trial)))]
async fn stage(
    State(shared): State<Shared>,
    allowed: Allowed<to::Publish>,
    once: Once,
    Body(staged): Body<Staged>,
) -> Result<Json<Trial>, Problem> {
    if staged.share_permille > 1000 {
        return Err(Problem::bad_request("invalid_body", "`share_permille` is 0 to 1000"));
    }
    let mut actor = allowed.caller.actor();
    actor.request = once.request(&allowed.caller.name, "PUT /v1/rollout", &staged);
    let request = actor.request.clone();
    let staging = async {
        let wish = Wish::Stage(staged.proposal, staged.share_permille);
        Trial::of_publication(shared.publish(wish, actor).await?)
    };
    let before = async |came_to: String| {
        let CameTo { revision, trial: Begun { changed_at } } = remembered(&came_to)?;
        let Staged { proposal, share_permille } = staged;
        let (state, revision) = ("running", Some(revision));
        Ok(Json(Trial { proposal, share_permille, state, halted_at: None, halted_by: None, changed_at, revision }))
    };
    done_once(&shared, request.as_ref(), staging, before).await
}

/// Halt the trial: nobody tries it until it is resumed.
#[utoipa::path(post, path = "/v1/rollout/halt", tag = "proposals", security(("token" = ["snapshots:publish"])),
    responses((status = 200, body = Trial)))]
async fn halt(State(shared): State<Shared>, allowed: Allowed<to::Publish>) -> Result<Json<Trial>, Problem> {
    Trial::of_publication(shared.publish(Wish::Halt, allowed.caller.actor()).await?)
}

/// What a trial that is over left behind.
#[derive(Debug, Serialize, ToSchema)]
struct Aborted {
    /// The revision from which all engines are on the definitions in force.
    revision: Option<u64>,
}

/// End the trial: all engines are on the definitions in force again.
#[utoipa::path(delete, path = "/v1/rollout", tag = "proposals", security(("token" = ["snapshots:publish"])),
    responses((status = 200, body = Aborted)))]
async fn abort(
    State(shared): State<Shared>,
    allowed: Allowed<to::Publish>,
) -> Result<(StatusCode, Json<Aborted>), Problem> {
    let publication = shared.publish(Wish::Unstage, allowed.caller.actor()).await?;
    let revision = publication.map(|publication| publication.revision.get());
    Ok((StatusCode::OK, Json(Aborted { revision })))
}
