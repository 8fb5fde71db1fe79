//! What tenants use of their limits, counted once and exactly; and their items, moved from stage to stage.

use crate::serve::extract::{Json as Body, Once, Path, Query, instant, parsed};
use crate::serve::openapi::answers;
use crate::serve::problem::Problem;
use crate::serve::state::Shared;
use crate::serve::who::{AllowedTenant, to};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use leasehold::workflow::{Context, JsonInputs};
use leasehold::{Error as Question, FeatureKey, LimitAnswer};
use leasehold_postgres::ledger::{Booking, IdempotencyKey, UsageRequest};
use leasehold_postgres::workflow::{Item, Move, Moved, NewItem, create_item, item, move_item};
use leasehold_postgres::{Error, TenantTransaction};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(report))
        .routes(routes!(consume))
        .routes(routes!(reserve))
        .routes(routes!(give_back))
        .routes(routes!(confirm))
        .routes(routes!(release))
        .routes(routes!(begin_item))
        .routes(routes!(read_item))
        .routes(routes!(transition))
}

/// How much of a limit.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UsageAmount)]
struct Amount {
    /// How much.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    amount: i64,
    /// When, by the clock of whoever asks, as an RFC 3339 time; without it, now.
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// How much of a limit, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Hold {
    /// How much.
    #[schema(minimum = 0, maximum = 9007199254740991_i64)]
    amount: i64,
    /// For how long it is held, in milliseconds. Held for no time, it is booked and over.
    #[schema(minimum = 0)]
    hold_ms: u64,
    /// When, by the clock of whoever asks, as an RFC 3339 time; without it, now.
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// When something ends.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Ending {
    /// When, by the clock of whoever asks, as an RFC 3339 time; without it, now.
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// Which instant is asked about.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct When {
    /// The instant that is asked about, as an RFC 3339 time; without it, now.
    #[param(format = DateTime)]
    at: Option<String>,
}

/// What became of a request.
#[derive(Debug, Serialize, ToSchema)]
struct Booked {
    /// Whether it is counted.
    booked: bool,
    /// Whether it had been counted before, under the same key.
    repeated: bool,
    /// What the engine said: `allow`, `warn`, `overage` or `deny`.
    outcome: String,
    /// The limit; null when unlimited.
    limit: Option<u64>,
    /// What was left before the request; null when unlimited.
    remaining: Option<u64>,
    /// How much of the request lies beyond the limit.
    overage_units: u64,
    /// How much of all use lies beyond the limit.
    overage_total: u64,
    /// Percentages of the limit that the request crosses.
    thresholds_crossed: Vec<u16>,
    /// When the window ends that it counts in; null for a capacity.
    resets_at: Option<String>,
    /// Why it was denied; null where it was not.
    reason: Option<String>,
    /// Revision of the snapshot that decided.
    revision: u64,
}

fn booked(booking: Booking, shared: &Shared) -> Json<Booked> {
    let repeated = matches!(booking, Booking::Repeated(_));
    Json(match booking {
        Booking::Booked(receipt) | Booking::Repeated(receipt) => Booked {
            booked: true,
            repeated,
            outcome: json!(receipt.outcome).as_str().unwrap_or_default().to_owned(),
            limit: receipt.limit,
            remaining: receipt.remaining,
            overage_units: receipt.overage_units,
            overage_total: receipt.overage_total,
            thresholds_crossed: receipt.thresholds_crossed,
            resets_at: receipt.resets_at.map(|at| at.to_string()),
            reason: None,
            revision: receipt.revision.get(),
        },
        Booking::Denied(answer) => {
            shared.metrics().limit_breached();
            Booked {
                booked: false,
                repeated: false,
                outcome: json!(answer.outcome).as_str().unwrap_or_default().to_owned(),
                limit: answer.limit,
                remaining: answer.remaining,
                overage_units: answer.overage_units,
                overage_total: answer.overage_total,
                thresholds_crossed: answer.thresholds_crossed.clone(),
                resets_at: answer.resets_at.map(|at| at.to_string()),
                reason: Some(json!(answer.reason).as_str().unwrap_or_default().to_owned()),
                revision: answer.revision.get(),
            }
        }
    })
}

fn key(once: Once) -> Result<IdempotencyKey, Problem> {
    once.0.ok_or_else(|| {
        let detail =
            "name the request with `Idempotency-Key`: sent again after an answer that was lost, it counts once";
        Problem::bad_request("idempotency_key_required", detail)
    })
}

fn feature(named: &str) -> Result<FeatureKey, Problem> {
    parsed("feature", named)
}

/// What is used and reserved of a limit, and what it says to that.
#[derive(Debug, Serialize, ToSchema)]
struct UsageDocument {
    /// What was consumed in the window and not given back.
    used: u64,
    /// What is held beside it.
    reserved: u64,
    /// When the window began; null for a capacity.
    window_start: Option<String>,
    /// What the limit says when both are in use.
    #[schema(value_type = answers::LimitAnswer)]
    answer: LimitAnswer,
}

/// What is used and reserved of a limit, in the window of an instant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/usage/{feature}", tag = "usage", security(("token" = ["usage:read"])),
    params(("tenant" = String, Path), ("feature" = String, Path), When), responses((status = 200, body = UsageDocument)))]
async fn report(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadUsage>,
    Path((_, named)): Path<(String, String)>,
    Query(when): Query<When>,
) -> Result<Json<UsageDocument>, Problem> {
    let (feature, at) = (feature(&named)?, instant(when.at.as_deref())?);
    let stream = shared.stream_of(&allowed.tenant)?;
    let report = stream.ledger().usage(&allowed.tenant, &feature, at).await?;
    Ok(Json(UsageDocument {
        used: report.used,
        reserved: report.reserved,
        window_start: report.window_start.map(|at| at.to_string()),
        answer: report.answer,
    }))
}

/// Use so much of a limit, all or nothing. A denied request is answered 200 too: `booked` says what became of it.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/usage/{feature}/consume", tag = "usage",
    security(("token" = ["usage:write"])),
    params(("tenant" = String, Path), ("feature" = String, Path), ("Idempotency-Key" = String, Header)),
    request_body = Amount, responses((status = 200, body = Booked)))]
async fn consume(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    Path((_, named)): Path<(String, String)>,
    once: Once,
    Body(asked): Body<Amount>,
) -> Result<Json<Booked>, Problem> {
    let (feature, now, key) = (feature(&named)?, instant(asked.at.as_deref())?, key(once)?);
    let request = UsageRequest { tenant: &allowed.tenant, feature: &feature, amount: asked.amount, key: &key, now };
    Ok(booked(shared.stream_of(&allowed.tenant)?.ledger().consume(&request).await?, &shared))
}

/// Hold so much of a limit for some time. The key names the reservation from then on.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/usage/{feature}/reserve", tag = "usage",
    security(("token" = ["usage:write"])),
    params(("tenant" = String, Path), ("feature" = String, Path), ("Idempotency-Key" = String, Header)),
    request_body = Hold, responses((status = 200, body = Booked)))]
async fn reserve(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    Path((_, named)): Path<(String, String)>,
    once: Once,
    Body(asked): Body<Hold>,
) -> Result<Json<Booked>, Problem> {
    let (feature, now, key) = (feature(&named)?, instant(asked.at.as_deref())?, key(once)?);
    let request = UsageRequest { tenant: &allowed.tenant, feature: &feature, amount: asked.amount, key: &key, now };
    let hold = Duration::from_millis(asked.hold_ms);
    Ok(booked(shared.stream_of(&allowed.tenant)?.ledger().reserve(&request, hold).await?, &shared))
}

/// Give back some of what is used.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/usage/{feature}/give-back", tag = "usage",
    security(("token" = ["usage:write"])),
    params(("tenant" = String, Path), ("feature" = String, Path), ("Idempotency-Key" = String, Header)),
    request_body = Amount, responses((status = 200, body = Booked)))]
async fn give_back(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    Path((_, named)): Path<(String, String)>,
    once: Once,
    Body(asked): Body<Amount>,
) -> Result<Json<Booked>, Problem> {
    let (feature, now, key) = (feature(&named)?, instant(asked.at.as_deref())?, key(once)?);
    let request = UsageRequest { tenant: &allowed.tenant, feature: &feature, amount: asked.amount, key: &key, now };
    Ok(booked(shared.stream_of(&allowed.tenant)?.ledger().give_back(&request).await?, &shared))
}

/// Use so much of what was reserved under this key, and release the rest.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/reservations/{key}/confirm", tag = "usage",
    security(("token" = ["usage:write"])), params(("tenant" = String, Path), ("key" = String, Path)),
    request_body = Amount, responses((status = 200, body = Booked)))]
async fn confirm(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    Path((_, named)): Path<(String, String)>,
    Body(asked): Body<Amount>,
) -> Result<Json<Booked>, Problem> {
    let key = IdempotencyKey::new(named)?;
    let now = instant(asked.at.as_deref())?;
    let stream = shared.stream_of(&allowed.tenant)?;
    Ok(booked(stream.ledger().confirm(&allowed.tenant, &key, asked.amount, now).await?, &shared))
}

/// Give up a reservation.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/reservations/{key}/release", tag = "usage",
    security(("token" = ["usage:write"])), params(("tenant" = String, Path), ("key" = String, Path)),
    request_body = Ending, responses((status = 204)))]
async fn release(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    Path((_, named)): Path<(String, String)>,
    Body(ending): Body<Ending>,
) -> Result<StatusCode, Problem> {
    let key = IdempotencyKey::new(named)?;
    let now = instant(ending.at.as_deref())?;
    shared.stream_of(&allowed.tenant)?.ledger().release(&allowed.tenant, &key, now).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An item that is to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Begin {
    /// Its id, unique among the tenant's items.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    /// The template that it is to move by.
    workflow: String,
    /// Its service category.
    category: Option<String>,
}

/// A move that was made, or the beginning of an item.
#[derive(Debug, Serialize, ToSchema)]
struct MovedDocument {
    /// The item.
    item: String,
    /// The version that it came to.
    row_version: i64,
    /// The transition that was taken; null where the item began.
    transition: Option<String>,
    /// What happened; null where the item began.
    event: Option<String>,
    /// The stage that it left; null where it began.
    from: Option<String>,
    /// The stage that it entered.
    to: String,
    /// When.
    at: String,
    /// Number of the entry in the tenant's audit chain.
    audit_seq: i64,
    /// Whether it had been made before, under the same key.
    repeated: bool,
}

impl From<Moved> for MovedDocument {
    fn from(moved: Moved) -> Self {
        Self {
            item: moved.item,
            row_version: moved.row_version,
            transition: moved.transition.map(|it| it.to_string()),
            event: moved.event.map(|it| it.to_string()),
            from: moved.from.map(|it| it.to_string()),
            to: moved.to.to_string(),
            at: moved.at.to_string(),
            audit_seq: moved.audit_seq,
            repeated: moved.repeated,
        }
    }
}

/// Let an item begin, in the initial stage of its machine.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/items", tag = "usage", security(("token" = ["usage:write"])),
    params(("tenant" = String, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = Begin,
    responses((status = 201, body = MovedDocument)))]
async fn begin_item(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    once: Once,
    Body(begin): Body<Begin>,
) -> Result<(StatusCode, Json<MovedDocument>), Problem> {
    let mut transaction = TenantTransaction::begin(shared.hq().pool(), &allowed.tenant).await?;
    let actor = allowed.caller.actor();
    let new = NewItem {
        id: &begin.id,
        workflow: &begin.workflow,
        category: begin.category.as_deref(),
        actor: &actor.name,
        idempotency_key: once.0.as_ref().map(IdempotencyKey::as_str),
        trace_id: actor.trace_id.as_deref(),
    };
    let moved = match create_item(&mut transaction, &new).await {
        // To the database of items a tenant that is not published is one without workflows.
        Err(Error::Question(Question::UnknownWorkflow(_))) if shared.streams().of_tenant(&allowed.tenant).is_none() => {
            return Err(Question::UnknownTenant(allowed.tenant.as_str().into()).into());
        }
        moved => moved?,
    };
    transaction.commit().await?;
    Ok((StatusCode::CREATED, Json(moved.into())))
}

/// An item.
#[derive(Debug, Serialize, ToSchema)]
struct ItemDocument {
    /// Its id.
    id: String,
    /// The template that it moves by.
    workflow: String,
    /// Its service category.
    category: Option<String>,
    /// Where it is.
    stage: String,
    /// Grows by one with every move.
    row_version: i64,
    /// When it began.
    created_at: String,
    /// When it moved last.
    updated_at: String,
}

impl From<Item> for ItemDocument {
    fn from(item: Item) -> Self {
        Self {
            id: item.id,
            workflow: item.workflow.to_string(),
            category: item.category.map(|category| category.to_string()),
            stage: item.stage.to_string(),
            row_version: item.row_version,
            created_at: item.created_at.to_string(),
            updated_at: item.updated_at.to_string(),
        }
    }
}

/// Where an item is.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/items/{id}", tag = "usage", security(("token" = ["usage:read"])),
    params(("tenant" = String, Path), ("id" = String, Path)), responses((status = 200, body = ItemDocument)))]
async fn read_item(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadUsage>,
    Path((_, named)): Path<(String, String)>,
) -> Result<Json<ItemDocument>, Problem> {
    let mut transaction = TenantTransaction::begin(shared.hq().pool(), &allowed.tenant).await?;
    let found = item(&mut transaction, &named).await?;
    transaction.rollback().await?;
    Ok(Json(found.into()))
}

/// A move that is asked for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Step {
    /// The stage that it is to enter.
    to: String,
    /// The item's version as it was seen.
    row_version: i64,
    /// Inputs of guards, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    inputs: Map<String, Value>,
    /// Roles of whoever moves it.
    #[serde(default)]
    roles: Vec<String>,
}

/// Move an item to another stage, where its machine lets it.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/items/{id}/transitions", tag = "usage",
    security(("token" = ["usage:write"])),
    params(("tenant" = String, Path), ("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Step, responses((status = 200, body = MovedDocument)))]
async fn transition(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::WriteUsage>,
    Path((_, named)): Path<(String, String)>,
    once: Once,
    Body(step): Body<Step>,
) -> Result<Json<MovedDocument>, Problem> {
    let stream = shared.stream_of(&allowed.tenant)?;
    let actor = allowed.caller.actor();
    let asked = Move {
        item: &named,
        to: &step.to,
        expected_row_version: step.row_version,
        actor: &actor.name,
        idempotency_key: once.0.as_ref().map(IdempotencyKey::as_str),
        trace_id: actor.trace_id.as_deref(),
    };
    let given = JsonInputs::new(&step.inputs);
    let (inputs, roles): (_, Vec<&str>) = (given.inputs(), step.roles.iter().map(String::as_str).collect());
    let context = Context { inputs: &inputs, roles: &roles };
    let moved = move_item(shared.hq().pool(), &allowed.tenant, stream.engine(), &asked, &context).await?;
    Ok(Json(moved.into()))
}
