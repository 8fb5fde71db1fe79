//! What a tenant may do, and why: the engine's answers, from the snapshot in force.

use crate::serve::extract::{Json as Body, Path, Query, instant, parsed};
use crate::serve::openapi::answers;
use crate::serve::problem::Problem;
use crate::serve::state::Shared;
use crate::serve::who::{AllowedTenant, to};
use axum::Json;
use axum::extract::State;
use leasehold::model::Action;
use leasehold::workflow::{Context, JsonInputs};
use leasehold::{Change, PlanChoice, TenantId, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(entitlements))
        .routes(routes!(decision))
        .routes(routes!(explanation))
        .routes(routes!(limit))
        .routes(routes!(what_if))
        .routes(routes!(transitions))
}

/// Which instant, and as it was known when.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WhenKnown {
    /// The instant that is asked about, as an RFC 3339 time; without it, now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// As it was known then; without it, as it is known now.
    #[param(format = DateTime)]
    known_at: Option<String>,
}

/// What for, and which instant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The instant that is asked about, as an RFC 3339 time; without it, now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// What is to be done: `use` or `read`.
    #[param(pattern = "^(use|read)$")]
    action: Option<String>,
}

/// How much, and which instant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Amounts {
    /// The instant that is asked about, as an RFC 3339 time; without it, now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// How much is in use.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    used: i64,
    /// How much more is asked for; without it, 0.
    #[serde(default)]
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    requested: i64,
}

fn action(word: Option<&str>) -> Result<Action, Problem> {
    let Some(word) = word else { return Ok(Action::Use) };
    Action::from_word(word).ok_or_else(|| Problem::bad_request("invalid_query", "`action` is `use` or `read`"))
}

fn engine(shared: &Shared, tenant: &TenantId) -> Result<leasehold::Engine, Problem> {
    Ok(shared.stream_of(tenant)?.engine().clone())
}

/// Everything that a tenant may have: now, at another instant, or as it was known at another.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/entitlements", tag = "decisions",
    security(("token" = ["decisions:read"])), params(("tenant" = String, Path), WhenKnown),
    responses((status = 200, body = answers::Entitlements)))]
async fn entitlements(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadDecisions>,
    Query(when): Query<WhenKnown>,
) -> Result<Json<Value>, Problem> {
    let at = instant(when.at.as_deref())?;
    if let Some(known_at) = &when.known_at {
        let known_at: Timestamp = parsed("instant", known_at)?;
        let then = shared.archive().entitlements(&allowed.tenant, at, Some(known_at)).await?;
        // It may have been in another region then.
        if allowed.caller.region.as_ref().is_some_and(|own| *own != then.stream) {
            return Err(Problem::forbidden("other_region", "the tenant was in another region then"));
        }
        return Ok(Json(json!(then.entitlements)));
    }
    let engine = engine(&shared, &allowed.tenant)?;
    Ok(Json(json!(engine.entitlements(allowed.tenant.as_str(), at)?)))
}

/// Whether a tenant may use a feature, and why in one word.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/features/{feature}", tag = "decisions",
    security(("token" = ["decisions:read"])), params(("tenant" = String, Path), ("feature" = String, Path), Asked),
    responses((status = 200, body = answers::Decision)))]
async fn decision(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadDecisions>,
    Path((_, feature)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let (at, action) = (instant(asked.at.as_deref())?, action(asked.action.as_deref())?);
    let engine = engine(&shared, &allowed.tenant)?;
    Ok(Json(json!(engine.decide(allowed.tenant.as_str(), &feature, action, at)?)))
}

/// Why an answer is what it is: every contribution that was considered, in order, applied or beaten and by what. Who made
/// them and what they wrote about it is left out for tokens of a tenant.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/features/{feature}/explanation", tag = "decisions",
    security(("token" = ["decisions:read"])), params(("tenant" = String, Path), ("feature" = String, Path), Asked),
    responses((status = 200, body = answers::Explanation)))]
async fn explanation(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadDecisions>,
    Path((_, feature)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Problem> {
    let (at, action) = (instant(asked.at.as_deref())?, action(asked.action.as_deref())?);
    let engine = engine(&shared, &allowed.tenant)?;
    let mut explanation = engine.explain(allowed.tenant.as_str(), &feature, action, at)?;
    // What staff write about a tenant is not for its pages.
    if allowed.caller.tenant.is_some() {
        for considered in &mut explanation.contributions {
            (considered.author, considered.reason) = (None, None);
        }
    }
    Ok(Json(json!(explanation)))
}

/// What a limit says to a request, given how much is in use.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/limits/{feature}", tag = "decisions",
    security(("token" = ["decisions:read"])), params(("tenant" = String, Path), ("feature" = String, Path), Amounts),
    responses((status = 200, body = answers::LimitAnswer)))]
async fn limit(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadDecisions>,
    Path((_, feature)): Path<(String, String)>,
    Query(amounts): Query<Amounts>,
) -> Result<Json<Value>, Problem> {
    let at = instant(amounts.at.as_deref())?;
    let engine = engine(&shared, &allowed.tenant)?;
    let answer = engine.check_limit(allowed.tenant.as_str(), &feature, amounts.used, amounts.requested, at)?;
    Ok(Json(json!(answer)))
}

/// What is supposed.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct Supposed {
    /// The tenant is on this plan, in place of all its phases.
    plan: Option<SupposedPlan>,
    /// The tenant has these add-ons beside those it has: units by key.
    add_ons: BTreeMap<String, u64>,
    /// The tenant does not have these overrides: ids.
    without: Vec<String>,
    /// How much of each limit is in use.
    usage: BTreeMap<String, i64>,
    /// The instant that is asked about; without it, now.
    #[schema(format = DateTime)]
    at: Option<String>,
}

/// A plan, followed or pinned.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SupposedPlan {
    /// Its key.
    key: String,
    /// The pinned version; without it, the newest that a phase starting now gets.
    version: Option<u32>,
}

/// What another plan, an add-on or a missing override would change for a tenant.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/what-if", tag = "decisions",
    security(("token" = ["decisions:read"])), params(("tenant" = String, Path)), request_body = Supposed,
    responses((status = 200, body = answers::WhatIf)))]
async fn what_if(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadDecisions>,
    Body(supposed): Body<Supposed>,
) -> Result<Json<Value>, Problem> {
    let at = instant(supposed.at.as_deref())?;
    let plan = supposed
        .plan
        .map(|plan| Ok::<_, Problem>(PlanChoice { plan: parsed("plan", &plan.key)?, version: plan.version }));
    let add_ons = supposed.add_ons.iter().map(|(key, units)| Ok((parsed("add-on", key)?, *units)));
    let without = supposed.without.iter().map(|id| parsed("override", id));
    let change = Change {
        plan: plan.transpose()?,
        add_ons: add_ons.collect::<Result<_, Problem>>()?,
        without: without.collect::<Result<_, Problem>>()?,
    };
    let usage = supposed.usage.iter().map(|(key, used)| Ok((parsed("feature", key)?, *used)));
    let usage = usage.collect::<Result<Usage, Problem>>()?;
    let engine = engine(&shared, &allowed.tenant)?;
    Ok(Json(json!(engine.what_if(allowed.tenant.as_str(), &change, &usage, at)?)))
}

/// Where an item is, and what is known of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The stage that the item is in.
    stage: String,
    /// Its service category.
    category: Option<String>,
    /// Inputs of guards, by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    inputs: Map<String, Value>,
    /// Roles of whoever asks.
    #[serde(default)]
    roles: Vec<String>,
}

/// What an item of this tenant may do next: every transition, enabled, blocked and by what, or not from here.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/workflows/{workflow}/transitions", tag = "decisions",
    security(("token" = ["decisions:read"])), params(("tenant" = String, Path), ("workflow" = String, Path)),
    request_body = Position, responses((status = 200, body = Vec<answers::TransitionAnswer>)))]
async fn transitions(
    State(shared): State<Shared>,
    allowed: AllowedTenant<to::ReadDecisions>,
    Path((_, workflow)): Path<(String, String)>,
    Body(position): Body<Position>,
) -> Result<Json<Value>, Problem> {
    let engine = engine(&shared, &allowed.tenant)?;
    let machine = engine.machine(allowed.tenant.as_str(), &workflow, position.category.as_deref())?;
    let given = JsonInputs::new(&position.inputs);
    let (inputs, roles): (_, Vec<&str>) = (given.inputs(), position.roles.iter().map(String::as_str).collect());
    let context = Context { inputs: &inputs, roles: &roles };
    Ok(Json(json!(machine.transitions(&position.stage, &context)?)))
}
