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

use super::about::{self, About};
use super::config::Origin;
use super::extract::LEASEHOLD_IF_NONE_MATCH;
use super::openapi;
use super::problem::{CODE, Problem};
use super::route::{Route, Routes};
use super::state::Shared;
use super::telemetry::Told;
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use matchit::InsertError;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tower::Service;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;

/// For how long browsers remember what they may ask: as long as any of them does.
const LEAVE: Duration = Duration::from_secs(7200);

const TRACE_ID: HeaderName = HeaderName::from_static("trace-id");

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
            LEASEHOLD_IF_NONE_MATCH,
            named("idempotency-key"),
            named("traceparent"),
            named("x-tenant-id"),
        ])
        .expose_headers([header::ETAG, header::RETRY_AFTER, named("leasehold-envelope"), TRACE_ID])
        .max_age(LEAVE)
}

/// The whole interface, and what holds for every request.
#[derive(Debug)]
pub(super) struct Interface {
    router: Router,
    routes: Routes,
    /// Places among the requests that are under way.
    places: Semaphore,
    shared: Shared,
}

impl Interface {
    /// # Errors
    /// Two routes are for the same paths.
    pub(super) fn of(shared: Shared) -> Result<Self, InsertError> {
        let routes = Routes::of(openapi::templates())?;
        let places = Semaphore::new(shared.config().limits.requests.get());
        Ok(Self { router: router(&shared), routes, places, shared })
    }

    /// Answers a request: within its time, and where it has a place among those that are under way; and tells of it.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let began = Instant::now();
        let (method, route) = (request.method().clone(), self.routes.find(&request));
        let told = Told::of(&method, &route, request.headers());
        let about = About::request(method.clone(), route.clone(), told.trace);
        let span = told.span.clone();
        let answering = async move {
            if let Some(tenant) = route.tenant(request.uri().path()) {
                about::tenant(&tenant);
            }
            let mut response = self.in_time(&route, request).await;
            let headers = response.headers_mut();
            if let Ok(value) = HeaderValue::from_str(told.trace.as_str()) {
                headers.insert(TRACE_ID, value);
            }
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            let (status, took) = (response.status(), began.elapsed());
            self.shared.metrics().served(&method, route, status, took);
            let code = (status.is_client_error() || status.is_server_error()).then(|| response.headers().get(CODE));
            told.answered(status, code.flatten().and_then(|code| code.to_str().ok()), took);
            response
        };
        about.scope(answering.instrument(span)).await
    }

    async fn in_time(&self, route: &Route, request: Request) -> Response {
        let _place = match self.places.try_acquire() {
            Ok(place) => Some(place),
            // Whoever asks whether the server lives is answered even when it is busy.
            Err(_) if route.is_probe() => None,
            Err(_) => {
                self.shared.metrics().overloaded();
                return Problem::unavailable("overloaded", "too many requests are under way; ask again")
                    .into_response();
            }
        };
        // It is always ready. Events are sent after this: what is bounded is the time until the first byte.
        let answer = self.router.clone().call(request);
        match tokio::time::timeout(self.shared.config().limits.request.std(), answer).await {
            Ok(Ok(response)) => response,
            Err(_) => Problem::unavailable("timed_out", "this took too long, and may be done or not").into_response(),
        }
    }
}

fn router(shared: &Shared) -> Router {
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
    let programs = for_programs().split_for_parts().0;
    programs
        .merge(pages)
        .merge(openapi::routes())
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing here; see /docs") })
        .method_not_allowed_fallback(not_allowed)
        .with_state(shared.clone())
}
