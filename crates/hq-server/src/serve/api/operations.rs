//! Whether the server lives, is ready, and how it does.

use crate::serve::gauges;
use crate::serve::problem::Problem;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, to};
use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
struct Health {
    /// `ok`.
    status: &'static str,
}

/// Whether the process lives. It asks nothing of anybody.
#[utoipa::path(get, path = "/healthz", tag = "operations", security(()), responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether it can serve: the database answers. Followers are served from memory even where it does not.
#[utoipa::path(get, path = "/readyz", tag = "operations", security(()), responses((status = 200, body = Health)))]
async fn readyz(State(shared): State<Shared>) -> Result<Json<Health>, Problem> {
    if gauges::database_answers(&shared).await {
        return Ok(Json(Health { status: "ok" }));
    }
    Err(Problem::unavailable("database_unreachable", "the database cannot be reached"))
}

/// Metrics, in the text format of OpenMetrics.
#[utoipa::path(get, path = "/metrics", tag = "operations", security(("token" = ["metrics:read"])),
    responses((status = 200, body = String, content_type = "application/openmetrics-text")))]
async fn metrics(State(shared): State<Shared>, _: Allowed<to::ReadMetrics>) -> Result<impl IntoResponse, Problem> {
    for stream in shared.streams().all() {
        shared.metrics().followers(&stream.region, stream.followers());
    }
    shared.metrics().connections(shared.hq().pool());
    let text = shared.metrics().text().map_err(|_| Problem::internal())?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}
