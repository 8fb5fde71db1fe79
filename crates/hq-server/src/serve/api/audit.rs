//! The audit log: who did what, whether it is whole, and signed checkpoints of it.

use crate::serve::extract::{Page, Paging, Query, parsed};
use crate::serve::problem::{Problem, ProblemDocument};
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, AllowedBound, Permission, to};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use leasehold::TenantId;
use leasehold_postgres::Error;
use leasehold_postgres::audit::{self, Checkpointed, Record, Report, Scope, Since, Verifier};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify)).routes(routes!(last, checkpoint))
}

/// Which chain, and which page of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Chain {
    /// The tenant; without it, HQ's own chain.
    tenant: Option<String>,
    /// Where the page begins: `next` of the one before. Without it, at the beginning.
    after: Option<String>,
    /// How many items at the most: 1 to 500.
    #[param(default = 100, minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// An entry, as it was written.
#[derive(Debug, Serialize, ToSchema)]
struct Entry {
    /// Its number in the chain, from 1.
    seq: i64,
    /// Who.
    actor: String,
    /// What was done.
    action: String,
    /// The trace that it was part of.
    trace_id: Option<String>,
    /// All of it, as it was hashed: when, what it was done to, and details.
    #[schema(value_type = Object)]
    body: Value,
    /// Hash of this entry.
    hash: String,
}

impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        let hash = <[u8; 32]>::try_from(record.hash).map(|hash| leasehold::Hash::from(hash).to_string());
        Self {
            seq: record.seq,
            actor: record.actor,
            action: record.action,
            trace_id: record.trace_id,
            body: serde_json::from_slice(&record.body).unwrap_or(Value::Null),
            hash: hash.unwrap_or_default(),
        }
    }
}

fn tenant_of(text: Option<&str>) -> Result<Option<TenantId>, Problem> {
    text.map(|tenant| parsed("tenant", tenant)).transpose()
}

/// Entries of a chain, oldest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", security(("token" = ["audit:read"])), params(Chain),
    responses((status = 200, body = Page<Entry>)))]
async fn list(
    State(shared): State<Shared>,
    allowed: AllowedBound<to::ReadAudit>,
    Query(chain): Query<Chain>,
) -> Result<Json<Page<Entry>>, Problem> {
    let tenant = tenant_of(chain.tenant.as_deref())?;
    match &tenant {
        Some(tenant) => allowed.caller.reaches(tenant, Permission::ReadAudit, &shared).await?,
        None => allowed.caller.reaches_all()?,
    }
    let paging = Paging { after: chain.after, limit: chain.limit.unwrap_or(100) };
    let after = paging.after.as_deref().map(|after| parsed::<i64>("entry", after)).transpose()?.unwrap_or(i64::MIN);
    let mut connection = shared.hq().pool().acquire().await.map_err(Error::from)?;
    let read = audit::entries(&mut connection, tenant.as_ref(), after, paging.to_read()?).await?;
    let entries: Vec<Entry> = read.into_iter().map(Entry::from).collect();
    Ok(Json(paging.page(entries, |entry| entry.seq.to_string())))
}

/// Which chains.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Chains {
    /// `all` chains, `hq` for HQ's own, or `tenant` with the tenant's id.
    #[serde(default = "Chains::all")]
    #[param(default = "all", pattern = "^(all|hq|tenant)$")]
    scope: String,
    /// The tenant.
    tenant: Option<String>,
}

impl Chains {
    fn all() -> String {
        "all".to_owned()
    }
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
struct Verified {
    /// Whether nothing is wrong.
    good: bool,
    /// How many chains were looked at.
    chains: u64,
    /// How many entries.
    entries: u64,
    /// How many entries came after what the last checkpoint vouches for; all of them where there is none.
    beyond_checkpoints: u64,
    /// How many things are wrong.
    found: u64,
    /// The first of them.
    problems: Vec<ChainProblem>,
}

/// Something that is wrong with a chain.
#[derive(Debug, Serialize, ToSchema)]
struct ChainProblem {
    /// The tenant; empty for HQ's own chain.
    chain: String,
    /// The entry that it was found at; of what is missing, the first number.
    seq: i64,
    /// What is wrong, stable.
    #[schema(example = "hash_mismatch")]
    code: &'static str,
    /// The same in words.
    message: String,
}

impl From<audit::Problem> for ChainProblem {
    fn from(problem: audit::Problem) -> Self {
        let audit::Problem { tenant, seq, code, message } = problem;
        Self { chain: tenant, seq, code: code.as_str(), message }
    }
}

impl From<Report> for Verified {
    fn from(report: Report) -> Self {
        Self {
            good: report.is_good(),
            chains: report.chains,
            entries: report.entries,
            beyond_checkpoints: report.beyond_checkpoints,
            found: report.found,
            problems: report.problems.into_iter().map(ChainProblem::from).collect(),
        }
    }
}

/// Verify chains, against the last checkpoint where there is one.
#[utoipa::path(get, path = "/v1/audit/verification", tag = "audit", security(("token" = ["audit:read"])), params(Chains),
    responses((status = 200, body = Verified)))]
async fn verify(
    State(shared): State<Shared>,
    allowed: AllowedBound<to::ReadAudit>,
    Query(chains): Query<Chains>,
) -> Result<Json<Verified>, Problem> {
    let tenant = tenant_of(chains.tenant.as_deref())?;
    let scope = match (chains.scope.as_str(), tenant) {
        ("all", None) => Scope::All,
        ("hq", None) => Scope::One(None),
        ("tenant", Some(tenant)) => {
            allowed.caller.reaches(&tenant, Permission::ReadAudit, &shared).await?;
            Scope::One(Some(tenant))
        }
        _ => {
            let detail = "`scope` is `all`, `hq`, or `tenant` with `tenant=ID`";
            return Err(Problem::bad_request("invalid_query", detail));
        }
    };
    if !matches!(scope, Scope::One(Some(_))) {
        allowed.caller.reaches_all()?;
    }
    let mut connection = shared.hq().pool().acquire().await.map_err(Error::from)?;
    let last = audit::last_checkpoint(&mut connection).await?;
    let last = last.map(|document| shared.archive().trust().checkpoint(&document)).transpose().map_err(Error::from)?;
    let checkpoints = last.map(|signed| signed.checkpoint().clone()).into_iter().collect();
    let mut verifier = Verifier::new(scope.clone(), checkpoints);
    audit::walk(&mut connection, &scope, |line| {
        verifier.line(line);
        Ok::<(), Error>(())
    })
    .await?;
    let report = verifier.finish();
    match &scope {
        Scope::One(Some(tenant)) if report.chains == 0 => Err(Problem::not_found("audit chain", tenant.as_str())),
        _ => Ok(Json(report.into())),
    }
}

/// The last checkpoint: a signed document that says where every chain ended.
#[utoipa::path(get, path = "/v1/audit/checkpoint", tag = "audit", security(("token" = ["audit:read"])),
    responses((status = 200, body = String, content_type = "text/plain")))]
async fn last(State(shared): State<Shared>, _: Allowed<to::ReadAudit>) -> Result<impl IntoResponse, Problem> {
    let mut connection = shared.hq().pool().acquire().await.map_err(Error::from)?;
    let document = audit::last_checkpoint(&mut connection).await?;
    let document = document.ok_or_else(|| Problem::not_found("checkpoint", "of the audit log"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], document))
}

/// A checkpoint that was signed.
#[derive(Debug, Serialize, ToSchema)]
struct Signed {
    /// What was found in the chains.
    verified: Verified,
    /// The document; null where something is wrong with the chains: nothing is signed then.
    checkpoint: Option<String>,
}

/// Verify all chains since the last checkpoint, and sign where they end. Where something is wrong nothing is signed, and
/// the answer is 409.
#[utoipa::path(post, path = "/v1/audit/checkpoint", tag = "audit", security(("token" = ["audit:sign"])),
    responses((status = 201, body = Signed),
        (status = 409, content((Signed = "application/json"), (ProblemDocument = "application/problem+json")))))]
async fn checkpoint(
    State(shared): State<Shared>,
    allowed: Allowed<to::SignAudit>,
) -> Result<(StatusCode, Json<Signed>), Problem> {
    Ok(match shared.publishing()?.checkpoint(Since::LastCheckpoint, allowed.caller.actor()).await? {
        Checkpointed::Signed(document, report) => {
            let checkpoint = Some(String::from_utf8_lossy(document.bytes()).into_owned());
            (StatusCode::CREATED, Json(Signed { verified: report.into(), checkpoint }))
        }
        Checkpointed::Refused(report) => {
            (StatusCode::CONFLICT, Json(Signed { verified: report.into(), checkpoint: None }))
        }
    })
}
