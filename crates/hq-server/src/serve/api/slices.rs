//! Slices: what the browsers of one tenant may know.

use super::snapshots::Follower;
use crate::serve::extract::Etag;
use crate::serve::metrics::Origin;
use crate::serve::problem::Problem;
use crate::serve::state::{Shared, SignedSlice};
use crate::serve::streams::Current;
use crate::serve::who::{AllowedTenant, to};
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold::build::sign_slice;
use leasehold::wire::ChunkRef;
use leasehold::{Hash, TenantId};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(slice)).routes(routes!(slice_events))
}

/// The slice of a tenant: an envelope that is signed, and the content. Its ETag is that of the content. Where that is
/// unchanged, the answer is 304, and the header `leasehold-envelope` carries the fresh envelope: its lines, each with its
/// end, in Base64.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/slice", tag = "snapshots", security(("token" = ["slices:read"])),
    params(("tenant" = String, Path), ("If-None-Match" = Option<String>, Header),
        ("Leasehold-If-None-Match" = Option<String>, Header, description = "The same, for pages")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 304)))]
async fn slice(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadSlices>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = &allowed.tenant;
    let current = shared.stream_of(tenant)?.current();
    let signed = signed(&shared, &current, tenant).await?;
    let signed = signed.ok_or_else(|| Problem::from(leasehold::Error::UnknownTenant(tenant.as_str().into())))?;
    let etag = signed.etag.header();
    // Pages keep slices by themselves, once they are verified.
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if signed.etag.is_had(request.headers()) {
        let envelope = base64(signed.document.get(..signed.envelope).unwrap_or_default());
        let envelope = HeaderValue::from_str(&envelope).map_err(|_| Problem::internal())?;
        let envelope = (HeaderName::from_static("leasehold-envelope"), envelope);
        return Ok((StatusCode::NOT_MODIFIED, [etag, cache, envelope]).into_response());
    }
    let text = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Ok(([etag, cache, text], signed.document).into_response())
}

/// Events of a tenant's slice, as server-sent events: `slice`, at once and whenever its content is another; and
/// `heartbeat`, every 10 seconds. Both state the current revision, and the ETag of the slice; null where it cannot be cut at
/// the moment.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/slice/events", tag = "snapshots",
    security(("token" = ["slices:read"])), params(("tenant" = String, Path)),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn slice_events(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadSlices>,
    parts: axum::http::request::Parts,
) -> Result<Response, Problem> {
    let stream = shared.stream_of(&allowed.tenant)?;
    Ok(Follower::of(&stream, Some(allowed.tenant), shared, parts).answer())
}

/// The slice, cut and signed once for each head: all pages of a tenant ask at the same moment, when there is a new one.
pub(super) async fn signed(
    shared: &Shared,
    current: &Current,
    tenant: &TenantId,
) -> Result<Option<SignedSlice>, Problem> {
    let key = (Hash::of(&current.document), tenant.clone());
    let entry = shared.slices().entry(key).or_try_insert_with(cut(shared, current, tenant)).await;
    let entry = entry.map_err(|problem: Arc<Problem>| Problem::clone(&problem))?;
    shared.metrics().slice_served(if entry.is_fresh() { Origin::Store } else { Origin::Memory });
    Ok(entry.into_value())
}

async fn cut(shared: &Shared, current: &Current, tenant: &TenantId) -> Result<Option<SignedSlice>, Problem> {
    let Some(cut) = shared.archive().slice(&current.head, tenant).await? else { return Ok(None) };
    let keys = shared.slice_keys();
    // The newest that the head certifies: a new key is offered before heads know it.
    let signed =
        keys.iter().rev().find_map(|key| sign_slice(&current.head, tenant, cut.definitions, &cut.content, key).ok());
    let document = signed.ok_or_else(|| {
        Problem::unavailable("slice_key_pending", "the head does not certify this server's slice key yet")
    })?;
    // The content and the end of its line stand behind the envelope.
    let envelope = document.len().saturating_sub(cut.content.len() + 1);
    let etag = Etag::of(ChunkRef::to(&cut.content).hash);
    Ok(Some(SignedSlice { document: Bytes::from(document), envelope, etag }))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
