//! The interface: a file for each thing that there is, and what holds for every request.

mod audit;
mod changes;
mod decisions;
mod definitions;
mod engines;
mod ofrep;
mod operations;
mod proposals;
mod rollout;
mod sessions;
mod slices;
mod snapshots;
mod staff;
mod tenants;
mod tokens;
mod usage;

use super::config::Origin;
use super::openapi;
use super::problem::Problem;
use super::state::Shared;
use super::telemetry::Told;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use leasehold::TenantId;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;

/// Everything that is described in the OpenAPI document.
pub(super) fn described() -> OpenApiRouter<Shared> {
    for_programs().merge(for_pages())
}

/// What staff, apps and engines ask.
fn for_programs() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(operations::routes())
        .merge(sessions::routes())
        .merge(staff::routes())
        .merge(tokens::routes())
        .merge(definitions::routes())
        .merge(tenants::routes())
        .merge(changes::routes())
        .merge(proposals::routes())
        .merge(rollout::routes())
        .merge(audit::routes())
        .merge(snapshots::routes())
        .merge(engines::routes())
        .merge(usage::routes())
}

/// What pages of tenants' apps ask too, from origins that are allowed.
fn for_pages() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().merge(decisions::routes()).merge(slices::routes()).merge(ofrep::routes())
}

/// What browsers are told of requests from other origins. Who asks is said by a header, never by a cookie: there are no
/// credentials that a browser would add by itself.
fn cross_origin(origins: &[Origin]) -> CorsLayer {
    let named = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().map(Origin::header)))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            named("idempotency-key"),
            named("traceparent"),
            named("x-tenant-id"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, named("leasehold-envelope"), named("trace-id")])
        .max_age(Duration::from_secs(3600))
}

/// The whole interface.
pub(super) fn router(shared: &Shared) -> Router {
    let not_allowed = || async {
        let detail = "this cannot be done with it; see /docs";
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    };
    // Laid over other methods too: browsers ask with OPTIONS first.
    let mut pages = for_pages().split_for_parts().0.method_not_allowed_fallback(not_allowed);
    let origins = &shared.config().access.allowed_origins;
    if !origins.is_empty() {
        pages = pages.layer(cross_origin(origins));
    }
    let places = Arc::new(Semaphore::new(shared.config().limits.requests));
    let programs = for_programs().split_for_parts().0;
    programs
        .merge(pages)
        .merge(openapi::routes())
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing here; see /docs") })
        .method_not_allowed_fallback(not_allowed)
        .layer(from_fn_with_state((shared.clone(), places), around))
        .with_state(shared.clone())
}

/// What holds for every request: its trace, its time, a place among those that are under way, and what is told of it.
async fn around(
    State((shared, places)): State<(Shared, Arc<Semaphore>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let told = Told::of(&method, &route, request.headers());
    if let Some(tenant) = tenant_in(&route, request.uri().path()) {
        told.span.record("tenant", tenant.as_str());
    }
    request.extensions_mut().insert(told.trace.clone());
    // Whoever asks whether the server lives is answered even when it is busy.
    let vital = matches!(route.as_str(), "/healthz" | "/readyz" | "/metrics");
    let answered = async {
        let _place = match places.try_acquire() {
            Ok(place) => Some(place),
            Err(_) if vital => None,
            Err(_) => {
                shared.metrics().overloaded();
                return Problem::unavailable("overloaded", "too many requests are under way; ask again")
                    .into_response();
            }
        };
        // Events are sent after this: what is bounded is the time until the first byte.
        match tokio::time::timeout(shared.config().limits.request.std(), next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::unavailable("timed_out", "this took too long, and may be done or not").into_response(),
        }
    };
    let mut response = answered.instrument(told.span.clone()).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&told.trace.0) {
        headers.insert(HeaderName::from_static("trace-id"), value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (status, took) = (response.status(), began.elapsed());
    shared.metrics().served(&method, &route, status, took);
    let code = response.headers().get("leasehold-code").and_then(|code| code.to_str().ok());
    told.answered(status, code, took);
    response
}

/// The tenant that a path names, where its route has one.
fn tenant_in(route: &str, path: &str) -> Option<TenantId> {
    let mut parts = route.split('/').zip(path.split('/'));
    parts.find_map(|(name, part)| (name == "{tenant}").then(|| part.parse().ok()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenant_is_where_the_route_has_it() {
        for (route, path, tenant) in [
            ("/v1/tenants/{tenant}", "/v1/tenants/om-muscat", Some("om-muscat")),
            ("/v1/tenants/{tenant}/blocks/{id}", "/v1/tenants/t1/blocks/t2", Some("t1")),
            ("/v1/tenants/{tenant}", "/v1/tenants/no%20tenant", None),
            ("/v1/tenants", "/v1/tenants", None),
            ("none", "/v1/tenants/t1", None),
        ] {
            let found = tenant_in(route, path);
            assert_eq!(found.as_ref().map(TenantId::as_str), tenant, "{path}");
        }
    }
}
