//! Snapshots: heads, contents, packs, and events of new heads.

use super::slices;
use crate::serve::extract::{Path, Query};
use crate::serve::metrics::Origin;
use crate::serve::problem::Problem;
use crate::serve::state::{Content, Shared, ends};
use crate::serve::streams::{Current, Stream};
use crate::serve::who::{Allowed, Caller, to};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold::wire::{ChunkRef, Encoding};
use leasehold::{Hash, Region, TenantId};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How often followers of events hear that there is nothing new. Proxies close what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long a follower waits for news while the database is asked whether it may still hear them.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(head)).routes(routes!(chunk)).routes(routes!(pack)).routes(routes!(events))
}

/// Which stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// The stream: a region, as `GCC-OM`. Without it, the region of the token, or the only stream there is.
    stream: Option<String>,
}

impl Which {
    fn stream(&self, caller: &Caller, shared: &Shared) -> Result<Arc<Stream>, Problem> {
        let region: Region = match (&self.stream, &caller.region) {
            (Some(named), _) => {
                named.parse().map_err(|error| Problem::bad_request("invalid_query", format!("`stream`: {error}")))?
            }
            (None, Some(own)) => own.clone(),
            (None, None) => match shared.streams().all().as_slice() {
                [only] => only.region.clone(),
                _ => return Err(Problem::bad_request("stream_required", "name the stream: `?stream=REGION`")),
            },
        };
        caller.reaches_stream(&region)?;
        shared.streams().get(&region).ok_or_else(|| Problem::not_found("stream", region.as_str()))
    }
}

/// The head in force: a signed document, which names everything else by its hash.
#[utoipa::path(get, path = "/v1/snapshots/head", tag = "snapshots", security(("token" = ["snapshots:read"])),
    params(Which, ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 304)))]
async fn head(
    State(shared): State<Shared>,
    allowed: Allowed<to::ReadSnapshots>,
    Query(which): Query<Which>,
    request: Request,
) -> Result<Response, Problem> {
    let current = which.stream(&allowed.caller, &shared)?.current();
    Ok(answer_head(&current, request.headers()))
}

fn answer_head(current: &Current, headers: &HeaderMap) -> Response {
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if current.etag.is_had(headers) {
        return (StatusCode::NOT_MODIFIED, [current.etag.header(), cache]).into_response();
    }
    let text = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    ([current.etag.header(), cache, text], current.document.clone()).into_response()
}

/// A content that a head names, by its SHA-256. It never changes.
#[utoipa::path(get, path = "/v1/snapshots/chunks/{hash}", tag = "snapshots",
    security(("token" = ["snapshots:read"])), params(("hash" = String, Path), Which),
    responses((status = 200, body = String, content_type = "application/octet-stream")))]
async fn chunk(
    State(shared): State<Shared>,
    allowed: Allowed<to::ReadSnapshots>,
    Path(hash): Path<String>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || Problem::not_found("content", &hash);
    let stream = which.stream(&allowed.caller, &shared)?;
    let named: Hash = hash.parse().map_err(|_| missing())?;
    // What other regions' heads name is not there. Whoever was told of a head by another server may ask before it is here.
    if !stream.names(&named) {
        shared.streams().refresh_soon().await;
        if !stream.names(&named) {
            return Err(missing());
        }
    }
    let content = match shared.contents().get(&named) {
        Some(content) => {
            shared.metrics().content_served(Origin::Memory);
            content
        }
        None => {
            let (chunk, length) = shared.archive().content(named).await?.ok_or_else(missing)?;
            let zstd = chunk.encoding() == Encoding::Zstd;
            let content = Content { bytes: Bytes::copy_from_slice(chunk.bytes()), zstd, length };
            shared.contents().insert(named, content.clone());
            shared.metrics().content_served(Origin::Store);
            content
        }
    };
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let takes_zstd = accepted.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_zstd = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("zstd"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        is_zstd && weight.is_none_or(|weight| weight > 0.0)
    });
    let forever = (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    let media = (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let vary = (header::VARY, HeaderValue::from_static("accept-encoding"));
    if content.zstd && takes_zstd {
        let zstd = (header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        return Ok(([forever, media, vary, zstd], content.bytes).into_response());
    }
    let raw = if content.zstd {
        let kept = leasehold::wire::Chunk::zstd(content.bytes.to_vec());
        Bytes::from(kept.open(ChunkRef { hash: named, length: content.length }).map_err(|_| Problem::internal())?)
    } else {
        content.bytes
    };
    Ok(([forever, media, vary], raw).into_response())
}

/// The head and everything that it names, in one file: for a cold start.
#[utoipa::path(get, path = "/v1/snapshots/pack", tag = "snapshots", security(("token" = ["snapshots:read"])),
    params(Which, ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = String, content_type = "application/octet-stream"), (status = 304)))]
async fn pack(
    State(shared): State<Shared>,
    allowed: Allowed<to::ReadSnapshots>,
    Query(which): Query<Which>,
    request: Request,
) -> Result<Response, Problem> {
    let stream = which.stream(&allowed.caller, &shared)?;
    let current = stream.current();
    if current.etag.is_had(request.headers()) {
        return Ok((StatusCode::NOT_MODIFIED, [current.etag.header()]).into_response());
    }
    let pack = stream.pack(&current, shared.archive()).await?;
    let media = (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(([current.etag.header(), media], Bytes::from_owner(Shown(pack))).into_response())
}

/// Events of new heads, as server-sent events: `head`, with the document, at once and with every new one; and `heartbeat`,
/// every 10 seconds. Both state the current revision.
#[utoipa::path(get, path = "/v1/snapshots/events", tag = "snapshots", security(("token" = ["snapshots:read"])),
    params(Which), responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn events(
    State(shared): State<Shared>,
    allowed: Allowed<to::ReadSnapshots>,
    Query(which): Query<Which>,
    parts: axum::http::request::Parts,
) -> Result<Response, Problem> {
    let stream = which.stream(&allowed.caller, &shared)?;
    Ok(Follower::of(&stream, None, shared, parts).answer())
}

/// A pack that is sent.
struct Shown(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shown {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Somebody who hears of heads, or of what they make of one tenant's slice.
pub(super) struct Follower {
    heads: tokio::sync::watch::Receiver<Arc<Current>>,
    /// Whose slice it is about, and the ETag that was told last.
    slice: Option<(TenantId, Option<Hash>)>,
    /// Changes when somebody's rights do.
    rights: tokio::sync::watch::Receiver<u64>,
    ticks: Interval,
    stopping: tokio::sync::watch::Receiver<bool>,
    shared: Shared,
    parts: axum::http::request::Parts,
}

/// Why a follower is told something.
enum News {
    Head,
    Heartbeat,
    Rights,
}

impl Follower {
    pub(super) fn of(
        stream: &Stream,
        slice: Option<TenantId>,
        shared: Shared,
        parts: axum::http::request::Parts,
    ) -> Self {
        let mut heads = stream.subscribe();
        heads.mark_changed();
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (rights, stopping) = (shared.access().changes(), shared.stopping());
        let slice = slice.map(|tenant| (tenant, None));
        Self { heads, slice, rights, ticks, stopping, shared, parts }
    }

    /// What it is told, as server-sent events.
    pub(super) fn answer(self) -> Response {
        let told = futures_util::stream::unfold(self, |mut follower| async move {
            let next = follower.next().await?;
            Some((Ok::<Bytes, std::convert::Infallible>(next), follower))
        });
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            // Proxies that gather answers would keep events back.
            (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        ];
        (headers, Body::from_stream(told)).into_response()
    }

    /// What they are told next; nothing where it is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let news = tokio::select! {
                biased;
                () = ends(&mut self.stopping) => return None,
                changed = self.rights.changed() => {
                    changed.ok()?;
                    News::Rights
                }
                changed = self.heads.changed() => {
                    changed.ok()?;
                    News::Head
                }
                _ = self.ticks.tick() => News::Heartbeat,
            };
            if !self.may_hear().await {
                return None;
            }
            if let Some(told) = self.told(news).await {
                return Some(told);
            }
        }
    }

    /// What there is to say.
    async fn told(&mut self, news: News) -> Option<Bytes> {
        let (current, is_new) = match news {
            News::Rights => return None,
            News::Head => (self.heads.borrow_and_update().clone(), true),
            News::Heartbeat => (self.heads.borrow().clone(), false),
        };
        let Some((tenant, last)) = &mut self.slice else {
            return Some(if is_new { current.event.clone() } else { current.heartbeat.clone() });
        };
        // What could not be cut is tried again.
        let missing = last.is_none();
        if is_new || missing {
            // Where it cannot be cut now, whoever hears of the revision asks for it, and is told why.
            let etag = match slices::signed(&self.shared, &current, tenant).await {
                Ok(Some(signed)) => Some(signed.etag.hash()),
                Ok(None) | Err(_) => None,
            };
            if is_new && !missing && etag == *last {
                return None;
            }
            *last = etag;
        }
        let is_new = is_new || (missing && last.is_some());
        let head = current.head.head();
        let said = json!({ "stream": head.stream, "revision": head.revision, "etag": last });
        let name = if is_new { "slice" } else { "heartbeat" };
        Some(Bytes::from(format!("event: {name}\nid: {}\ndata: {said}\n\n", head.revision)))
    }

    /// Whether they may still hear. Who may not is let go, and asks again in vain. Where nobody can say, because the
    /// database is away, nothing is published either.
    async fn may_hear(&self) -> bool {
        let asked = self.shared.access().holds(&self.parts);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Err(problem)) => problem.status() != StatusCode::UNAUTHORIZED,
            _ => true,
        }
    }
}
