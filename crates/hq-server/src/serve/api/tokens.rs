//! Tokens of programs.

use crate::serve::extract::{Json as Body, Once, Page, Paging, Path, Query, done_once};
use crate::serve::problem::Problem;
use crate::serve::state::{self, Shared};
use crate::serve::who::{Allowed, Scope, Secret, SecretKind, to};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use leasehold::{Region, TenantId, Timestamp};
use leasehold_postgres::access::{ApiToken, NewToken};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, revoke))
}

/// A token, without its secret.
#[derive(Debug, Serialize, ToSchema)]
struct Token {
    /// The part that is no secret.
    id: String,
    /// What it is for, as the audit log names it.
    name: String,
    /// What it may be used for.
    scopes: Vec<String>,
    /// The only region that it reaches; null for all.
    region: Option<String>,
    /// The only tenant that it reaches; null for all.
    tenant: Option<String>,
    /// When it was made.
    created_at: String,
    /// Who made it.
    created_by: String,
    /// Until when it is good; null for ever.
    expires_at: Option<String>,
    /// Since when it is not good any more.
    revoked_at: Option<String>,
}

impl From<ApiToken> for Token {
    fn from(token: ApiToken) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: token.id,
            name: token.name,
            scopes: token.scopes,
            region: token.region.map(|region| region.to_string()),
            tenant: token.tenant.map(|tenant| tenant.to_string()),
            created_at: token.created_at.to_string(),
            created_by: token.created_by,
            expires_at: text(token.expires_at),
            revoked_at: text(token.revoked_at),
        }
    }
}

/// A token that is to be made.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewToken)]
struct New {
    /// What it is for, as the audit log names it.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may be used for.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// The only region that it is to reach.
    region: Option<String>,
    /// The only tenant that it is to reach.
    tenant: Option<String>,
    /// Until when it is to be good, as an RFC 3339 time.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A token, with its secret.
#[derive(Debug, Serialize, ToSchema)]
struct Created {
    /// The whole token, to be sent as `Authorization: Bearer …`. It is shown this once.
    secret: String,
    #[serde(flatten)]
    token: Token,
}

/// Tokens, revoked and expired ones too.
#[utoipa::path(get, path = "/v1/tokens", tag = "access", security(("token" = ["tokens:write"])), params(Paging),
    responses((status = 200, body = Page<Token>)))]
async fn list(
    State(shared): State<Shared>,
    _: Allowed<to::ManageTokens>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Token>>, Problem> {
    let tokens = shared.hq().tokens(paging.after.as_deref(), paging.to_read()?).await?;
    let tokens: Vec<Token> = tokens.into_iter().map(Token::from).collect();
    Ok(Json(paging.page(tokens, |token| token.id.clone())))
}

/// Make a token. Asked again under the same `Idempotency-Key`, it is refused: a secret is shown once.
#[utoipa::path(post, path = "/v1/tokens", tag = "access", security(("token" = ["tokens:write"])), request_body = New,
    params(("Idempotency-Key" = Option<String>, Header)), responses((status = 201, body = Created)))]
async fn create(
    State(shared): State<Shared>,
    allowed: Allowed<to::ManageTokens>,
    once: Once,
    Body(new): Body<New>,
) -> Result<(StatusCode, [(header::HeaderName, &'static str); 1], Json<Created>), Problem> {
    let invalid = |what: &str, why: String| Problem::bad_request("invalid_token", format!("`{what}` is wrong: {why}"));
    if new.name.trim().is_empty() || new.name.chars().count() > 100 || new.name.chars().any(char::is_control) {
        return Err(invalid("name", "it has 1 to 100 characters, none of them a control character".to_owned()));
    }
    if new.scopes.is_empty() {
        return Err(invalid("scopes", "name one at least".to_owned()));
    }
    if let Some(scope) = new.scopes.iter().find(|scope| !allowed.caller.may_give(**scope)) {
        let scope = scope.as_str();
        let detail = format!("a token with the scope `{scope}` may do what you may not; have somebody make it who may");
        return Err(Problem::forbidden("scope_not_held", detail));
    }
    let region: Option<Region> =
        new.region.as_deref().map(|text| text.parse().map_err(|e| invalid("region", format!("{e}")))).transpose()?;
    let tenant: Option<TenantId> =
        new.tenant.as_deref().map(|text| text.parse().map_err(|e| invalid("tenant", format!("{e}")))).transpose()?;
    let expires_at: Option<Timestamp> = new
        .expires_at
        .as_deref()
        .map(|text| text.parse().map_err(|e| invalid("expires_at", format!("{e}"))))
        .transpose()?;
    if expires_at.is_some_and(|at| at <= state::now()) {
        return Err(invalid("expires_at", "it is over".to_owned()));
    }
    let mut actor = allowed.caller.actor();
    actor.request = once.request(&allowed.caller.name, "POST /v1/tokens", &new);
    let secret = Secret::new(SecretKind::Token).map_err(|_| Problem::internal())?;
    let scopes: Vec<String> = new.scopes.iter().map(|scope| scope.as_str().to_owned()).collect();
    let (region, tenant) = (region.as_ref(), tenant.as_ref());
    let (id, name, secret_hash) = (secret.id.as_str(), new.name.as_str(), secret.hash());
    let new = NewToken { id, name, secret_hash, scopes: &scopes, region, tenant, expires_at };
    let making = async { Ok(shared.hq().create_token(&new, &actor).await?) };
    let made = async |id: String| {
        let detail = format!("token `{id}` was made by this request before, and its secret is shown once");
        Err(Problem::new(StatusCode::CONFLICT, "secret_shown_once", detail))
    };
    let token = done_once(&shared, actor.request.as_ref(), making, made).await?;
    let created = Created { secret: secret.reveal(), token: token.into() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(created)))
}

async fn found(shared: &Shared, id: &str) -> Result<Token, Problem> {
    let token = shared.hq().token(id).await?;
    token.map(|(token, _)| token.into()).ok_or_else(|| Problem::not_found("token", id))
}

/// A token, without its secret.
#[utoipa::path(get, path = "/v1/tokens/{id}", tag = "access", security(("token" = ["tokens:write"])),
    params(("id" = String, Path)), responses((status = 200, body = Token)))]
async fn read(
    State(shared): State<Shared>,
    _: Allowed<to::ManageTokens>,
    Path(id): Path<String>,
) -> Result<Json<Token>, Problem> {
    Ok(Json(found(&shared, &id).await?))
}

/// Revoke a token. It is good for nothing within a second, on every server.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "access", security(("token" = ["tokens:write"])),
    params(("id" = String, Path)), responses((status = 200, body = Token)))]
async fn revoke(
    State(shared): State<Shared>,
    allowed: Allowed<to::ManageTokens>,
    Path(id): Path<String>,
) -> Result<Json<Token>, Problem> {
    let token = shared.hq().revoke_token(&id, &allowed.caller.actor()).await?;
    shared.access().forget();
    Ok(Json(token.into()))
}
