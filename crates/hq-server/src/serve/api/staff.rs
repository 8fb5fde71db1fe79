//! Staff: who works at HQ, and as what.

use crate::serve::extract::{Json as Body, Page, Paging, Path, Query};
use crate::serve::problem::Problem;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, Password, Role, to};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use leasehold_postgres::access::{Staff, StaffChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(read, change))
}

/// A member of staff.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StaffMember)]
struct Member {
    /// The name that they sign in with.
    id: String,
    /// Their role.
    role: String,
    /// Since when they are known.
    created_at: String,
    /// Who added them.
    created_by: String,
    /// Since when they may do nothing any more.
    disabled_at: Option<String>,
}

impl From<Staff> for Member {
    fn from(staff: Staff) -> Self {
        Self {
            id: staff.id,
            role: staff.role,
            created_at: staff.created_at.to_string(),
            created_by: staff.created_by,
            disabled_at: staff.disabled_at.map(|at| at.to_string()),
        }
    }
}

/// Somebody new.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewMember {
    /// The name that they sign in with: lower-case letters, digits, and `_.@-`.
    #[schema(pattern = "^[a-z0-9][a-z0-9_.@-]{0,63}$")]
    id: String,
    /// Their role.
    role: Role,
    /// Their password, of 12 characters or more.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 256)]
    password: Password,
}

/// What is changed about somebody: one thing at a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Change {
    /// Another role.
    Role(Role),
    /// Another password.
    #[schema(value_type = String)]
    Password(Password),
    /// Whether they may do nothing.
    Disabled(bool),
}

/// Everybody who works at HQ.
#[utoipa::path(get, path = "/v1/staff", tag = "access", security(("token" = ["staff:write"])), params(Paging),
    responses((status = 200, body = Page<Member>)))]
async fn list(
    State(shared): State<Shared>,
    _: Allowed<to::ManageStaff>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Member>>, Problem> {
    let staff = shared.hq().staff(paging.after.as_deref(), paging.to_read()?).await?;
    let members: Vec<Member> = staff.into_iter().map(Member::from).collect();
    Ok(Json(paging.page(members, |member| member.id.clone())))
}

/// Add somebody.
#[utoipa::path(post, path = "/v1/staff", tag = "access", security(("token" = ["staff:write"])), request_body = NewMember,
    responses((status = 201, body = Member)))]
async fn add(
    State(shared): State<Shared>,
    allowed: Allowed<to::ManageStaff>,
    Body(NewMember { id, role, password }): Body<NewMember>,
) -> Result<(StatusCode, Json<Member>), Problem> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let good = id.starts_with(first) && id.len() <= 64 && id.chars().all(|c| first(c) || "_.@-".contains(c));
    if !good {
        let detail = "a name has 1 to 64 lower-case letters, digits and `_.@-`, and begins with a letter or digit";
        return Err(Problem::bad_request("invalid_key", detail));
    }
    password.check()?;
    let hash = password.hash().await?;
    let staff = shared.hq().add_staff(&id, role.as_str(), &hash, &allowed.caller.actor()).await?;
    Ok((StatusCode::CREATED, Json(staff.into())))
}

/// Somebody who works at HQ.
#[utoipa::path(get, path = "/v1/staff/{id}", tag = "access", security(("token" = ["staff:write"])),
    params(("id" = String, Path)), responses((status = 200, body = Member)))]
async fn read(
    State(shared): State<Shared>,
    _: Allowed<to::ManageStaff>,
    Path(id): Path<String>,
) -> Result<Json<Member>, Problem> {
    Ok(Json(shared.hq().staff_member(&id).await?.0.into()))
}

/// Change somebody's role or password, or disable them. Their sessions end.
#[utoipa::path(patch, path = "/v1/staff/{id}", tag = "access", security(("token" = ["staff:write"])),
    params(("id" = String, Path)), request_body = Change, responses((status = 200, body = Member)))]
async fn change(
    State(shared): State<Shared>,
    allowed: Allowed<to::ManageStaff>,
    Path(id): Path<String>,
    Body(change): Body<Change>,
) -> Result<Json<Member>, Problem> {
    let change = match change {
        Change::Role(role) => StaffChange::Role(role.as_str().to_owned()),
        Change::Password(password) => {
            password.check()?;
            StaffChange::Password(password.hash().await?)
        }
        Change::Disabled(true) => StaffChange::Disable,
        Change::Disabled(false) => StaffChange::Enable,
    };
    let staff = shared.hq().change_staff(&id, &change, &allowed.caller.actor()).await?;
    shared.access().forget();
    Ok(Json(staff.into()))
}
