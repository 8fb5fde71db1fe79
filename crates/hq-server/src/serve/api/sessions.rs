//! Signing in and out, and who one is.

use crate::serve::about;
use crate::serve::extract::Json as Body;
use crate::serve::problem::Problem;
use crate::serve::state::{self, Shared};
use crate::serve::who::{Allowed, Password, Permission, Rights, Secret, SecretKind, to};
use axum::Json;
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use leasehold::{Region, TenantId, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::access::StaffChange;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Longest body that signs somebody in, in bytes. Whoever sends it is nobody yet.
const LONGEST: usize = 4 << 10;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(sign_in))
        .routes(routes!(sign_out))
        .routes(routes!(whoami))
        .routes(routes!(change_password))
}

/// Who signs in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SignIn {
    /// The name.
    staff: String,
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: Password,
}

impl FromRequest<Shared> for SignIn {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        // Where it is not whole, nobody is there any more to be told so.
        let bytes = to_bytes(body, LONGEST).await.map_err(|_| {
            let detail = format!("the body is longer than {LONGEST} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        })?;
        let request = Request::from_parts(parts, axum::body::Body::from(bytes));
        let Body(sign_in) = Body::<Self>::from_request(request, shared).await?;
        Ok(sign_in)
    }
}

/// Somebody who may try to sign in, by where they are and how often they tried. It stands before the body, which is
/// read of nobody else.
#[derive(Debug)]
struct MayTry;

impl FromRequestParts<Shared> for MayTry {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        shared.access().network(parts)?;
        shared.access().may_sign_in_from(parts)?;
        Ok(Self)
    }
}

/// Somebody who is signed in.
#[derive(Debug, Serialize, ToSchema)]
struct SignedIn {
    /// What to send as `Authorization: Bearer …`. It is shown this once.
    token: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Sign in as a member of staff.
#[utoipa::path(post, path = "/v1/sessions", tag = "access", security(()), request_body = SignIn,
    responses((status = 201, body = SignedIn)))]
async fn sign_in(
    State(shared): State<Shared>,
    _: MayTry,
    SignIn { staff, password }: SignIn,
) -> Result<(StatusCode, [(header::HeaderName, &'static str); 1], Json<SignedIn>), Problem> {
    shared.access().may_sign_in(&staff)?;
    let kept = match shared.hq().staff_member(&staff).await {
        Ok((known, hash)) => known.disabled_at.is_none().then_some(hash),
        Err(Error::NotFound { .. } | Error::NulCharacter) => None,
        Err(error) => return Err(error.into()),
    };
    if !password.is(kept.clone()).await {
        tracing::warn!("somebody could not sign in");
        return Err(Problem::not_signed_in());
    }
    let secret = Secret::new(SecretKind::Session).map_err(|_| Problem::internal())?;
    let until = state::now().as_ms() + shared.config().access.session.ms;
    let expires_at = Timestamp::from_ms(until).map_err(|_| Problem::internal())?;
    let actor = about::actor(&staff);
    match shared.hq().sign_in(&staff, kept.as_deref(), secret.hash(), expires_at, &actor).await {
        Ok(()) => {}
        Err(Error::NotFound { .. }) => return Err(Problem::not_signed_in()),
        Err(error) => return Err(error.into()),
    }
    let signed_in = SignedIn { token: secret.reveal(), expires_at };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(signed_in)))
}

/// Sign out: the session that asks is over.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "access", security(("token" = ["identify"])),
    responses((status = 204)))]
async fn sign_out(State(shared): State<Shared>, _: Allowed<to::Identify>, parts: Parts) -> Result<StatusCode, Problem> {
    let sent = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let secret =
        sent.split_once(' ').and_then(|(_, token)| Secret::read(token.trim())).ok_or_else(Problem::unauthorized)?;
    if secret.kind == SecretKind::Token {
        return Err(not_a_session("a token does not sign out; revoke it"));
    }
    shared.hq().sign_out(secret.hash()).await?;
    shared.access().forget();
    Ok(StatusCode::NO_CONTENT)
}

fn not_a_session(detail: &str) -> Problem {
    Problem::bad_request("not_a_session", detail)
}

/// A password in place of one's own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OwnPassword {
    /// The one that was good until now.
    #[schema(value_type = String, format = Password)]
    current: Password,
    /// The one that is to be, of 12 characters or more.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
    new: Password,
}

/// Change one's own password. All of one's sessions end, this one too.
#[utoipa::path(put, path = "/v1/identity/password", tag = "access", security(("token" = ["identify"])),
    request_body = OwnPassword, responses((status = 204)))]
async fn change_password(
    State(shared): State<Shared>,
    allowed: Allowed<to::Identify>,
    Body(OwnPassword { current, new }): Body<OwnPassword>,
) -> Result<StatusCode, Problem> {
    let caller = &allowed.caller;
    if !matches!(caller.rights, Rights::Role(_)) {
        return Err(not_a_session("a token has no password; make another token, and revoke this one"));
    }
    new.check()?;
    // A session that was stolen guesses no faster than whoever signs in.
    shared.access().may_sign_in(&caller.name)?;
    let (_, kept) = shared.hq().staff_member(&caller.name).await?;
    if !current.is(Some(kept)).await {
        return Err(Problem::forbidden("wrong_password", "`current` is not the password until now"));
    }
    let change = StaffChange::Password(new.hash().await?);
    shared.hq().change_staff(&caller.name, &change, &caller.actor()).await?;
    shared.access().forget();
    Ok(StatusCode::NO_CONTENT)
}

/// Who asks, and what they may do.
#[derive(Debug, Serialize, ToSchema)]
struct Identity {
    /// As the audit log names them.
    name: String,
    /// Their role; null for a token.
    role: Option<&'static str>,
    /// Scopes of the token; empty for staff.
    scopes: Vec<&'static str>,
    /// What they may do.
    permissions: Vec<&'static str>,
    /// The only region that they reach.
    #[schema(value_type = Option<String>)]
    region: Option<Region>,
    /// The only tenant that they reach.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
}

/// Who asks, and what they may do.
#[utoipa::path(get, path = "/v1/identity", tag = "access", security(("token" = ["identify"])),
    responses((status = 200, body = Identity)))]
async fn whoami(allowed: Allowed<to::Identify>) -> Json<Identity> {
    let caller = &allowed.caller;
    let (role, scopes) = match &caller.rights {
        Rights::Role(role) => (Some(role.as_str()), Vec::new()),
        Rights::Scopes(scopes) => (None, scopes.iter().map(|scope| scope.as_str()).collect()),
    };
    let permissions = Permission::ALL.iter().filter(|it| caller.may(**it)).map(|it| it.as_str()).collect();
    let (region, tenant) = (caller.region.clone(), caller.tenant.clone());
    Json(Identity { name: caller.name.clone(), role, scopes, permissions, region, tenant })
}
