//! The fleet: what engines report, and what they are to have.

use crate::serve::extract::{Json as Body, Page, Paging, Path, Query, parsed};
use crate::serve::problem::Problem;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, to};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use leasehold::follow::Report;
use leasehold::wire::FaultCode;
use leasehold::{EngineId, Hash, Region, Revision};
use leasehold_postgres::fleet::{EngineStatus, Refused};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How many engines an answer names at the most.
const MOST_NAMED: usize = 100;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(forget)).routes(routes!(fleet)).routes(routes!(wait))
}

/// What an engine reports: that a head is in force (`ack`), or that one was refused (`nack`). Engines may be newer than HQ:
/// members that it does not know are passed over.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "report", rename_all = "snake_case")]
enum Reported {
    /// A head is in force.
    Ack {
        /// What the engine follows.
        stream: String,
        /// Epoch of the head.
        epoch: u64,
        /// Its revision.
        revision: u64,
        /// Hash of the definitions in use.
        definitions: String,
        /// Whether those are on trial.
        candidate: bool,
        /// Whether it survives a restart.
        persisted: bool,
    },
    /// A head was refused; what ran before still runs.
    Nack {
        /// What the engine follows.
        stream: String,
        /// Epoch of the head, where it could be read.
        epoch: Option<u64>,
        /// Its revision.
        revision: Option<u64>,
        /// Why.
        fault: ReportedFault,
    },
}

/// Why a head was refused.
#[derive(Debug, Deserialize, ToSchema)]
struct ReportedFault {
    /// How far it got: `download`, `verify`, `parse`, `compile`, `persist`.
    stage: String,
    /// The stable code.
    code: String,
    /// What it is about: a hash, a name.
    #[serde(default)]
    item: String,
    /// What is wrong, for people.
    #[serde(default)]
    message: String,
}

/// Report what is in force, or what was refused. An engine that cannot use what it is to try halts the trial: where that
/// cannot be read or compiled, not where it did not arrive.
#[utoipa::path(post, path = "/v1/engines/{id}/status", tag = "fleet", security(("token" = ["engines:report"])),
    params(("id" = String, Path)), request_body = Reported, responses((status = 204)))]
async fn report(
    State(shared): State<Shared>,
    allowed: Allowed<to::ReportEngines>,
    Path(id): Path<String>,
    Body(reported): Body<Reported>,
) -> Result<StatusCode, Problem> {
    let engine: EngineId = parsed("engine", &id)?;
    let wrong = |what: &str| Problem::bad_request("invalid_body", format!("`{what}` is none"));
    let (Reported::Ack { stream, .. } | Reported::Nack { stream, .. }) = &reported;
    let stream: Region = stream.parse().map_err(|_| wrong("stream"))?;
    allowed.caller.reaches_stream(&stream)?;
    match reported {
        Reported::Ack { epoch, revision, definitions, candidate, persisted, .. } => {
            let revision = Revision::new(revision).ok_or_else(|| wrong("revision"))?;
            let definitions: Hash = definitions.parse().map_err(|_| wrong("definitions"))?;
            let report = Report::Ack { epoch, revision, definitions, candidate, persisted };
            shared.hq().engine_reported(&engine, &stream, &report).await?;
        }
        Reported::Nack { epoch, revision, fault: ReportedFault { stage, code, item, message }, .. } => {
            let revision = revision.map(|number| Revision::new(number).ok_or_else(|| wrong("revision"))).transpose()?;
            for (name, word) in [("stage", &stage), ("code", &code)] {
                if !is_word(word) {
                    return Err(wrong(name));
                }
            }
            let shortened = |text: &str| text.chars().take(500).collect::<String>();
            let (item, message) = (shortened(&item), shortened(&message));
            let fault = json!({ "stage": stage, "code": code, "item": item, "message": message });
            shared.hq().engine_refused(&engine, &stream, revision, &fault).await?;
            let known = shared.streams().get(&stream);
            // What counts by codes has room for those that are known.
            let counted = FaultCode::from_word(&code).map_or("other", FaultCode::as_str);
            shared.metrics().refused(known.as_ref().map(|stream| &stream.region), counted);
            let revision = revision.map(Revision::get);
            tracing::warn!(engine = %engine, stream = %stream, epoch, revision, code, "an engine refused a head");
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Whether something may be a stage or a code, of an engine that may be newer than this server.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'0'..=b'9'))
}

/// Forget an engine that is gone for good.
#[utoipa::path(delete, path = "/v1/engines/{id}", tag = "fleet", security(("token" = ["fleet:write"])),
    params(("id" = String, Path)), responses((status = 204)))]
async fn forget(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteFleet>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let engine: EngineId = parsed("engine", &id)?;
    if shared.hq().forget_engine(&engine, &allowed.caller.actor()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::not_found("engine", &id))
    }
}

/// An engine, what it is to have, and what it has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FleetMember)]
struct Member {
    /// The engine.
    engine: String,
    /// What it follows.
    stream: String,
    /// The revision that it is to have; null where the stream has no head.
    desired: Option<u64>,
    /// The revision that is in force there; null before the first.
    applied: Option<u64>,
    /// Whether it has what it is to have.
    converged: bool,
    /// Whether it is to try what is on trial.
    on_trial: bool,
    /// Whether it tries it.
    candidate: bool,
    /// Hash of the definitions in use there.
    definitions: Option<String>,
    /// Whether they survive a restart there.
    persisted: bool,
    /// When it reported last.
    reported_at: String,
    /// How long ago that was, in milliseconds.
    age_ms: i64,
    /// What it refused since; null where what it reported last is in force.
    refused: Option<RefusedHead>,
}

/// A head that an engine refused.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedHead {
    /// Its revision; null where it could not be read.
    revision: Option<u64>,
    /// Why, in the words of the engine, which may be newer than HQ.
    #[schema(value_type = ReportedFault)]
    fault: Value,
    /// When that was reported.
    at: String,
}

impl From<Refused> for RefusedHead {
    fn from(refused: Refused) -> Self {
        Self { revision: refused.revision.map(Revision::get), fault: refused.fault, at: refused.at.to_string() }
    }
}

impl Member {
    fn of(status: EngineStatus, shared: &Shared) -> Self {
        let current = shared.streams().get(&status.stream).map(|stream| stream.current());
        let head = current.as_ref().map(|current| current.head.head());
        let desired = head.map(|head| head.revision);
        Self {
            engine: status.engine.to_string(),
            stream: status.stream.to_string(),
            desired: desired.map(Revision::get),
            applied: status.revision.map(Revision::get),
            converged: status.revision.is_some() && status.revision >= desired,
            on_trial: head.is_some_and(|head| head.staged_for(Some(&status.engine)).is_some()),
            candidate: status.candidate,
            definitions: status.definitions.map(|hash| hash.to_string()),
            persisted: status.persisted,
            age_ms: crate::serve::state::now().as_ms() - status.reported_at.as_ms(),
            reported_at: status.reported_at.to_string(),
            refused: status.refused.map(RefusedHead::from),
        }
    }
}

/// Every engine that ever reported: what it is to have, what it has, since when, and what it refused.
#[utoipa::path(get, path = "/v1/fleet", tag = "fleet", security(("token" = ["fleet:read"])), params(Paging),
    responses((status = 200, body = Page<Member>)))]
async fn fleet(
    State(shared): State<Shared>,
    _: Allowed<to::ReadFleet>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Member>>, Problem> {
    let after = paging.after.as_deref().map(cursor).transpose()?;
    let after = after.as_ref().map(|(stream, engine)| (stream, engine));
    let engines = shared.hq().engines(after, paging.to_read()?).await?;
    let members = engines.into_iter().map(|status| Member::of(status, &shared)).collect();
    Ok(Json(paging.page(members, |member: &Member| format!("{} {}", member.stream, member.engine))))
}

fn cursor(text: &str) -> Result<(Region, EngineId), Problem> {
    let parts = text.split_once(' ').and_then(|(stream, engine)| Some((stream.parse().ok()?, engine.parse().ok()?)));
    parts.ok_or_else(|| Problem::bad_request("invalid_query", "`after` is no `next` of this list"))
}

/// How long to wait for what.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Awaited {
    /// The revision that is waited for.
    revision: u64,
    /// Only engines that follow this stream.
    stream: Option<String>,
    /// How long to wait, in milliseconds: 25,000 at the most.
    #[serde(default = "Awaited::default_timeout")]
    #[param(default = 10000, maximum = 25000)]
    timeout_ms: u64,
    /// Engines that have not reported for so long are not waited for, in milliseconds.
    #[serde(default = "Awaited::default_silent")]
    #[param(default = 300000)]
    silent_ms: i64,
}

impl Awaited {
    fn default_timeout() -> u64 {
        10_000
    }

    fn default_silent() -> i64 {
        300_000
    }
}

/// Whether the fleet has a revision.
#[derive(Debug, Serialize, ToSchema)]
struct Waited {
    /// Whether every engine that is waited for has it, or a later one of its stream. Where all are silent, nothing is known.
    reached: bool,
    /// How many engines have it.
    engines: usize,
    /// Those that do not have it: at most 100.
    missing: Vec<String>,
    /// Those that are not waited for, because they have not reported for `silent_ms`: at most 100.
    silent: Vec<String>,
}

/// Wait until the fleet has a revision. A stream skips revisions that do not concern it: its engines have one once they
/// have the head in force.
#[utoipa::path(get, path = "/v1/fleet/wait", tag = "fleet", security(("token" = ["fleet:read"])), params(Awaited),
    responses((status = 200, body = Waited)))]
async fn wait(
    State(shared): State<Shared>,
    _: Allowed<to::ReadFleet>,
    Query(awaited): Query<Awaited>,
) -> Result<Json<Waited>, Problem> {
    let revision =
        Revision::new(awaited.revision).ok_or_else(|| Problem::bad_request("invalid_query", "`revision` is none"))?;
    let stream: Option<Region> = awaited
        .stream
        .as_deref()
        .map(|text| text.parse().map_err(|_| Problem::bad_request("invalid_query", "`stream` is none")))
        .transpose()?;
    if let Some(stream) = &stream
        && shared.streams().get(stream).is_none()
    {
        // Another server may have published its first head just now.
        shared.streams().refresh_soon().await;
        if shared.streams().get(stream).is_none() {
            return Err(Problem::not_found("stream", stream.as_str()));
        }
    }
    let timeout = Duration::from_millis(awaited.timeout_ms.min(25_000));
    let deadline = tokio::time::Instant::now() + timeout;
    let mut pause = Duration::from_millis(100);
    loop {
        let waited = look(&shared, revision, stream.as_ref(), awaited.silent_ms).await?;
        if waited.reached || tokio::time::Instant::now() >= deadline {
            return Ok(Json(waited));
        }
        // All engines are read each time: who waits for long looks less often.
        tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + pause)).await;
        pause = (pause * 3 / 2).min(Duration::from_secs(1));
    }
}

async fn look(shared: &Shared, revision: Revision, only: Option<&Region>, silent_ms: i64) -> Result<Waited, Problem> {
    // A revision that no stream has yet is not reached, even where nobody follows.
    let published = shared.streams().has_shown(revision);
    let (mut engines, mut missing, mut silent, mut after) = (0, Vec::new(), Vec::new(), None);
    loop {
        let cursor = after.as_ref().map(|(stream, engine)| (stream, engine));
        let page = shared.hq().engines(cursor, 500).await?;
        let Some(last) = page.last() else { break };
        after = Some((last.stream.clone(), last.engine.clone()));
        let now = crate::serve::state::now().as_ms();
        for status in page {
            if only.is_some_and(|only| *only != status.stream) {
                continue;
            }
            if now - status.reported_at.as_ms() > silent_ms {
                if silent.len() < MOST_NAMED {
                    silent.push(status.engine.to_string());
                }
                continue;
            }
            let current = shared.streams().get(&status.stream).map(|stream| stream.current().head.head().revision);
            let needed = current.map_or(revision, |current| current.min(revision));
            if status.revision.is_some_and(|applied| applied >= needed) {
                engines += 1;
            } else if missing.len() < MOST_NAMED {
                missing.push(status.engine.to_string());
            }
        }
    }
    let known = engines > 0 || silent.is_empty();
    Ok(Waited { reached: published && missing.is_empty() && known, engines, missing, silent })
}
