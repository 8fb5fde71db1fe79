//! Definitions, record by record: features, plans, add-ons, guards, workflows, kill switches. What is written here is
//! authored; it comes in force by an approved proposal, and kill switches at once.

use crate::serve::extract::{
    IfMatch, Json as Body, JsonText, Once, Page, Paging, Path, Precondition, Query, WithEtag, done_once, object,
    parsed, remembered,
};
use crate::serve::openapi::authored;
use crate::serve::problem::Problem;
use crate::serve::state::Shared;
use crate::serve::who::{Allowed, Needs, Permission, to};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold::PlanKey;
use leasehold::model::{AddOn, Feature, Guard, Kill, Plan, Source, Workflow, load};
use leasehold_postgres::hq::{Actor, Record, RowVersion, Versioned};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(features::routes())
        .merge(plans::routes())
        .routes(routes!(retire_plan))
        .routes(routes!(plan_versions))
        .routes(routes!(plan_version, put_plan_version))
        .merge(add_ons::routes())
        .routes(routes!(retire_add_on))
        .merge(guards::routes())
        .merge(workflows::routes())
        .merge(kills::routes())
        .routes(routes!(export, import))
}

/// What a write came to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Written {
    /// The version of the record, which is its ETag.
    pub(super) row_version: i64,
    /// The change on its way to be published: ask for it at `/v1/changes/{change}`. Null where nothing is published by it:
    /// definitions come in force by an approved proposal.
    pub(super) change: Option<i64>,
    /// The revision that it is in. Null while it is not published: `change` says whether it will be.
    pub(super) revision: Option<u64>,
}

impl Written {
    /// 201 for what is new, 202 for what waits to be published, 200 otherwise.
    pub(super) fn answer(self, created: bool) -> Response {
        let status = match (created, self.change, self.revision) {
            (_, Some(_), None) => StatusCode::ACCEPTED,
            (true, ..) => StatusCode::CREATED,
            (false, ..) => StatusCode::OK,
        };
        (status, [(header::ETAG, format!("\"{}\"", self.row_version))], Json(self)).into_response()
    }
}

/// A record with its key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Item {
    /// Its key or id.
    key: String,
    /// The record, as a file of definitions has it.
    #[schema(value_type = Object)]
    value: Value,
}

/// Where a new record is exported to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Filed {
    /// The file of definitions that a new record is exported to, as `plans/gold.json`.
    file: Option<String>,
}

trait Keyed: Record<Key: FromStr<Err: Display>> {}
impl<R: Record<Key: FromStr<Err: Display>>> Keyed for R {}

/// The record that a body is, with all that is wrong with it.
fn read_body<R: Keyed>(key: &R::Key, body: &[u8]) -> Result<R, Problem> {
    read_within(key, body, &format!("/{}/{}", R::SECTION, key.as_ref()))
}

/// The same, where the body that was sent stands at a place in definitions.
fn read_within<R: Keyed>(key: &R::Key, record: &[u8], around: &str) -> Result<R, Problem> {
    let section = R::SECTION;
    let text = object([(section, object([(key.as_ref(), record)]))]);
    let loaded = load(&[Source { name: "body".into(), bytes: text }]);
    let missing = || Problem::bad_request("invalid_body", "the body is no such record");
    match loaded {
        Ok(mut definitions) => R::section(&mut definitions).remove(key).ok_or_else(missing),
        Err(found) => Err(Problem::refused_within(found, around)),
    }
}

async fn list<R: Keyed>(shared: &Shared, paging: &Paging) -> Result<Json<Page<Item>>, Problem> {
    let most = usize::try_from(paging.to_read()?).unwrap_or(usize::MAX);
    let mut definitions = shared.hq().definitions().await?;
    let after = paging.after.as_deref();
    let records = std::mem::take(R::section(&mut definitions)).into_iter();
    let records = records.filter(|(key, _)| after.is_none_or(|after| key.as_ref() > after)).take(most);
    let items = records.map(|(key, record)| Item { key: key.to_string(), value: json!(record) }).collect();
    Ok(Json(paging.page(items, |item| item.key.clone())))
}

async fn read<R: Keyed>(shared: &Shared, key: &str) -> Result<WithEtag<Value>, Problem> {
    let Versioned { row_version, record } = shared.hq().read::<R>(&parsed(R::WHAT, key)?).await?;
    Ok(WithEtag(row_version, json!(record)))
}

/// Writes a record: a new one, or another in place of the one that was seen.
async fn put<R: Keyed>(
    shared: &Shared,
    mut actor: Actor,
    once: Once,
    precondition: IfMatch,
    key: &str,
    (file, body): (String, &[u8]),
) -> Result<Response, Problem> {
    let key: R::Key = parsed(R::WHAT, key)?;
    let precondition = precondition.required()?;
    let new = read_body::<R>(&key, body)?;
    let within = |error| Problem::within(error, &format!("/{}/{key}", R::SECTION));
    let is_new = precondition == Precondition::New;
    actor.request = once.request(&actor.name, &format!("PUT {} {key}", R::SECTION), &json!([is_new, file, new]));
    let writing = async {
        if is_new {
            let created = shared.hq().create::<R>(&key, &new, &file, &actor).await.map_err(within)?;
            return written(shared, created.row_version, created.change).await;
        }
        let update = |row_version| {
            let (key, actor, changed) = (&key, &actor, Versioned { row_version, record: new.clone() });
            async move { shared.hq().update::<R>(key, &changed, actor).await.map_err(within) }
        };
        written(shared, of_version::<R, _, _>(shared, &key, precondition, update).await?, None).await
    };
    let before = async |came_to: String| {
        let came_to: CameTo = remembered(&came_to)?;
        written(shared, RowVersion(came_to.row_version), came_to.change).await
    };
    Ok(done_once(shared, actor.request.as_ref(), writing, before).await?.answer(is_new))
}

/// What a write is remembered to have come to.
#[derive(Debug, Deserialize)]
struct CameTo {
    row_version: i64,
    change: Option<i64>,
}

/// What a write came to, once that is published.
async fn written(shared: &Shared, row_version: RowVersion, change: Option<i64>) -> Result<Written, Problem> {
    let revision = match change {
        Some(change) => shared.published(change).await?.map(leasehold::Revision::get),
        None => None,
    };
    Ok(Written { row_version: row_version.0, change, revision })
}

/// Changes the version that was seen; where any will do, the one that is there, however often others are faster.
async fn of_version<R: Keyed, T, F: Future<Output = Result<T, Problem>>>(
    shared: &Shared,
    key: &R::Key,
    precondition: Precondition,
    change: impl Fn(RowVersion) -> F,
) -> Result<T, Problem> {
    match precondition {
        Precondition::Seen(seen) => change(seen).await,
        Precondition::New => Err(Problem::bad_request("invalid_precondition", "`If-None-Match` has no meaning here")),
        Precondition::Any => loop {
            let there = shared.hq().read::<R>(key).await?.row_version;
            match change(there).await {
                Err(problem) if problem.status() == StatusCode::PRECONDITION_FAILED => {}
                changed => return changed,
            }
        },
    }
}

async fn remove<R: Keyed>(
    shared: &Shared,
    actor: &Actor,
    precondition: IfMatch,
    key: &str,
) -> Result<StatusCode, Problem> {
    let key: R::Key = parsed(R::WHAT, key)?;
    let key = &key;
    let remove = |seen| async move { Ok(shared.hq().remove::<R>(key, seen, actor).await?) };
    of_version::<R, _, _>(shared, key, precondition.required()?, remove).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn retire<R: Keyed>(
    shared: &Shared,
    actor: &Actor,
    precondition: IfMatch,
    key: &str,
) -> Result<Response, Problem> {
    let key: R::Key = parsed(R::WHAT, key)?;
    let key = &key;
    let retire = |seen| async move { Ok(shared.hq().retire::<R>(key, seen, actor).await?) };
    let row_version = of_version::<R, _, _>(shared, key, precondition.required()?, retire).await?.0;
    Ok(Written { row_version, change: None, revision: None }.answer(false))
}

/// Routes of one kind of record.
macro_rules! records {
    ($module:ident, $record:ident, $needs:ident, $permission:literal, $path:literal, $file:literal, $many:literal,
     $one:literal) => {
        mod $module {
            use super::*;

            pub(super) fn routes() -> OpenApiRouter<Shared> {
                OpenApiRouter::new().routes(routes!(all)).routes(routes!(one, write, delete))
            }

            #[utoipa::path(get, path = $path,
                summary = concat!($many, ", as they are authored."),
                tag = "definitions",
                security(("token" = ["definitions:read"])), params(Paging), responses((status = 200, body = Page<Item>)))]
            async fn all(
                State(shared): State<Shared>,
                _: Allowed<to::ReadDefinitions>,
                Query(paging): Query<Paging>,
            ) -> Result<Json<Page<Item>>, Problem> {
                list::<$record>(&shared, &paging).await
            }

            #[utoipa::path(get, path = concat!($path, "/{key}"),
                summary = concat!("Read ", $one, ", as it is authored."),
                tag = "definitions", security(("token" = ["definitions:read"])),
                params(("key" = String, Path)), responses((status = 200, body = authored::$record)))]
            async fn one(
                State(shared): State<Shared>,
                _: Allowed<to::ReadDefinitions>,
                Path(key): Path<String>,
            ) -> Result<WithEtag<Value>, Problem> {
                read::<$record>(&shared, &key).await
            }

            #[utoipa::path(put, path = concat!($path, "/{key}"),
                summary = concat!("Write ", $one, ": a new one, or another in place of the one that was seen."),
                tag = "definitions", security(("token" = [$permission])),
                params(("key" = String, Path), Filed, ("If-Match" = Option<String>, Header),
                    ("If-None-Match" = Option<String>, Header), ("Idempotency-Key" = Option<String>, Header)),
                request_body = authored::$record,
                responses((status = 200, body = Written), (status = 201, body = Written), (status = 202, body = Written)))]
            async fn write(
                State(shared): State<Shared>,
                allowed: Allowed<to::$needs>,
                Path(key): Path<String>,
                Query(Filed { file }): Query<Filed>,
                precondition: IfMatch,
                once: Once,
                JsonText(body): JsonText,
            ) -> Result<Response, Problem> {
                let file = file.unwrap_or_else(|| $file.to_owned());
                put::<$record>(&shared, allowed.caller.actor(), once, precondition, &key, (file, &body)).await
            }

            #[utoipa::path(delete, path = concat!($path, "/{key}"),
                summary = concat!("Remove ", $one, " that nothing names."),
                tag = "definitions", security(("token" = [$permission])),
                params(("key" = String, Path), ("If-Match" = Option<String>, Header)), responses((status = 204)))]
            async fn delete(
                State(shared): State<Shared>,
                allowed: Allowed<to::$needs>,
                Path(key): Path<String>,
                precondition: IfMatch,
            ) -> Result<StatusCode, Problem> {
                remove::<$record>(&shared, &allowed.caller.actor(), precondition, &key).await
            }
        }
    };
}

records!(
    features,
    Feature,
    WriteDefinitions,
    "definitions:write",
    "/v1/features",
    "features.json",
    "Features",
    "a feature"
);
records!(plans, Plan, WriteDefinitions, "definitions:write", "/v1/plans", "plans.json", "Plans", "a plan");
records!(add_ons, AddOn, WriteDefinitions, "definitions:write", "/v1/add-ons", "add_ons.json", "Add-ons", "an add-on");
records!(guards, Guard, WriteDefinitions, "definitions:write", "/v1/guards", "guards.json", "Guards", "a guard");
records!(
    workflows,
    Workflow,
    WriteDefinitions,
    "definitions:write",
    "/v1/workflows",
    "workflows.json",
    "Workflows",
    "a workflow"
);
records!(kills, Kill, Kill, "kills:write", "/v1/kills", "kills.json", "Kill switches", "a kill switch");

/// Retire a plan: who has it keeps it, and nobody gets it any more.
#[utoipa::path(post, path = "/v1/plans/{key}/retire", tag = "definitions", security(("token" = ["definitions:write"])),
    params(("key" = String, Path), ("If-Match" = Option<String>, Header)), responses((status = 200, body = Written)))]
async fn retire_plan(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteDefinitions>,
    Path(key): Path<String>,
    precondition: IfMatch,
) -> Result<Response, Problem> {
    retire::<Plan>(&shared, &allowed.caller.actor(), precondition, &key).await
}

/// Retire an add-on: who has it keeps it, and nobody gets it any more.
#[utoipa::path(post, path = "/v1/add-ons/{key}/retire", tag = "definitions",
    security(("token" = ["definitions:write"])),
    params(("key" = String, Path), ("If-Match" = Option<String>, Header)), responses((status = 200, body = Written)))]
async fn retire_add_on(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteDefinitions>,
    Path(key): Path<String>,
    precondition: IfMatch,
) -> Result<Response, Problem> {
    retire::<AddOn>(&shared, &allowed.caller.actor(), precondition, &key).await
}

/// Versions of a plan. Those that were published stay as they are.
#[utoipa::path(get, path = "/v1/plans/{key}/versions", tag = "definitions", security(("token" = ["definitions:read"])),
    params(("key" = String, Path)), responses((status = 200, body = Page<Item>)))]
async fn plan_versions(
    State(shared): State<Shared>,
    _: Allowed<to::ReadDefinitions>,
    Path(key): Path<String>,
) -> Result<Json<Page<Item>>, Problem> {
    let plan = shared.hq().read::<Plan>(&parsed("plan", &key)?).await?.record;
    let items = plan.versions.iter().map(|(number, version)| Item { key: number.to_string(), value: json!(version) });
    Ok(Json(Page { items: items.collect(), next: None }))
}

/// A version of a plan. Its ETag is that of the plan.
#[utoipa::path(get, path = "/v1/plans/{key}/versions/{number}", tag = "definitions",
    security(("token" = ["definitions:read"])), params(("key" = String, Path), ("number" = u32, Path)),
    responses((status = 200, body = authored::PlanVersion)))]
async fn plan_version(
    State(shared): State<Shared>,
    _: Allowed<to::ReadDefinitions>,
    Path((key, number)): Path<(String, u32)>,
) -> Result<WithEtag<Value>, Problem> {
    let Versioned { row_version, record } = shared.hq().read::<Plan>(&parsed("plan", &key)?).await?;
    let version = record.versions.get(&number);
    let version = version.ok_or_else(|| Problem::not_found("version of the plan", &number.to_string()))?;
    Ok(WithEtag(row_version, json!(version)))
}

/// Write a version of a plan that was not published yet.
#[utoipa::path(put, path = "/v1/plans/{key}/versions/{number}", tag = "definitions",
    security(("token" = ["definitions:write"])),
    params(("key" = String, Path), ("number" = u32, Path), ("If-Match" = Option<String>, Header)),
    request_body = authored::PlanVersion, responses((status = 200, body = Written)))]
async fn put_plan_version(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteDefinitions>,
    Path((key, number)): Path<(String, u32)>,
    precondition: IfMatch,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let key: PlanKey = parsed("plan", &key)?;
    let (hq, key, body, actor) = (shared.hq(), &key, &body, &allowed.caller.actor());
    let around = &format!("/plans/{key}/versions/{number}");
    let write = |row_version| async move {
        let record = with_version(key, hq.read::<Plan>(key).await?.record, number, body)?;
        let updated = hq.update::<Plan>(key, &Versioned { row_version, record }, actor).await;
        updated.map_err(|error| Problem::within(error, around))
    };
    let row_version = of_version::<Plan, _, _>(&shared, key, precondition.required()?, write).await?.0;
    Ok(Written { row_version, change: None, revision: None }.answer(false))
}

/// The plan with a version as it was sent, in place of the one with its number.
fn with_version(key: &PlanKey, mut plan: Plan, number: u32, version: &[u8]) -> Result<Plan, Problem> {
    plan.versions.remove(&number);
    // The version stands among the others as it came: the reader of definitions complains about whatever is wrong with it.
    let text = |value: Value| value.to_string().into_bytes();
    let others = plan.versions.iter().map(|(number, version)| (number.to_string(), text(json!(version))));
    let versions = object(others.chain([(number.to_string(), version.to_vec())]));
    let Value::Object(mut plan) = json!(plan) else { return Err(Problem::internal()) };
    plan.remove("versions");
    let members = plan.into_iter().map(|(name, value)| (name, text(value)));
    let text = object(members.chain([("versions".to_owned(), versions)]));
    read_within::<Plan>(key, &text, &format!("/plans/{key}/versions/{number}"))
}

/// A directory of definitions: files by name.
#[derive(Debug, Serialize, ToSchema)]
struct Directory {
    /// Each file as JSON, by its name, as `plans/gold.json`.
    #[schema(value_type = Object)]
    files: std::collections::BTreeMap<String, Value>,
}

/// Everything that is authored, as a directory of definitions: tenants too.
#[utoipa::path(get, path = "/v1/definitions", tag = "definitions", security(("token" = ["definitions:read"])),
    responses((status = 200, body = Directory)))]
async fn export(State(shared): State<Shared>, _: Allowed<to::ReadDefinitions>) -> Result<Json<Directory>, Problem> {
    let sources = shared.hq().export().await?;
    let files = sources.into_iter().map(|source| Ok((source.name.to_string(), serde_json::from_slice(&source.bytes)?)));
    let files = files.collect::<Result<_, serde_json::Error>>().map_err(|_| Problem::internal())?;
    Ok(Json(Directory { files }))
}

/// The same as it comes, for the reader of definitions to complain about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    #[serde(deserialize_with = "files")]
    files: Vec<Source>,
}

fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Source>, D::Error> {
    struct Files;
    impl<'de> Visitor<'de> for Files {
        type Value = Vec<Source>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("files by name")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut names = BTreeSet::new();
            let mut files = Vec::new();
            while let Some((name, file)) = map.next_entry::<String, Box<RawValue>>()? {
                if !names.insert(name.clone()) {
                    return Err(serde::de::Error::custom(format!("the file `{name}` stands twice")));
                }
                files.push(Source { name: name.into(), bytes: file.get().as_bytes().to_vec() });
            }
            Ok(files)
        }
    }
    deserializer.deserialize_map(Files)
}

/// What an import came to.
#[derive(Debug, Serialize, ToSchema)]
struct Imported {
    /// Records of definitions that are there now.
    records: u64,
    /// Tenants that were written.
    tenants: u64,
}

/// Take a directory of definitions, all of it or nothing.
#[utoipa::path(post, path = "/v1/definitions", tag = "definitions", security(("token" = ["tenants:write"])),
    request_body = Directory, responses((status = 200, body = Imported)))]
async fn import(
    State(shared): State<Shared>,
    allowed: Allowed<to::WriteTenants>,
    Body(Upload { files }): Body<Upload>,
) -> Result<Json<Imported>, Problem> {
    let needs = |permission: Permission| {
        let needed = permission.as_str();
        Problem::forbidden("forbidden", format!("this needs the permission `{needed}` too"))
    };
    if !allowed.caller.may(to::WriteDefinitions::PERMISSION) {
        return Err(needs(to::WriteDefinitions::PERMISSION));
    }
    // Kill switches come in force at once. What is wrong with the files is told by the import.
    if !allowed.caller.may(to::Kill::PERMISSION)
        && let Ok(given) = load(&files)
    {
        let authored = shared.hq().definitions().await?.kills;
        if given.kills.iter().any(|(id, kill)| authored.get(id) != Some(kill)) {
            return Err(needs(to::Kill::PERMISSION));
        }
    }
    let imported = shared.hq().import(&files, &allowed.caller.actor(), |_| {}).await?;
    let count = |number: usize| number as u64;
    Ok(Json(Imported { records: count(imported.records), tenants: count(imported.tenants) }))
}
