//! Flags by OFREP, OpenFeature's protocol for evaluations elsewhere: what a tenant may do, for clients that know nothing of
//! Leasehold. What is answered is made in the engine (`Evaluation`); docs/ofrep.md is the guide.

use crate::serve::about;
use crate::serve::extract::{Etag, JsonBytes, Path};
use crate::serve::openapi::answers;
use crate::serve::problem::{CODE, Problem};
use crate::serve::state::{self, Shared};
use crate::serve::streams::Stream;
use crate::serve::who::{Allowed, Caller, Permission, to};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold::{Error, Evaluation, Evaluations, Freshness, Hash, OpenFeatureError, Revision, TenantId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(flag)).routes(routes!(flags))
}

/// What is asked, as OpenFeature's clients send it.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what `Asked` reads")]
struct EvaluationRequest {
    /// Who asks about whom. Of what is in it, only the tenant counts; a body without a context, and no body, are the same
    /// as one in which nothing is.
    #[schema(value_type = Option<EvaluationContext>)]
    context: Option<()>,
}

/// Who asks about whom.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "it describes what `Asked` reads")]
#[schema(rename_all = "camelCase")]
struct EvaluationContext {
    /// The tenant, where neither the token, `x-tenant-id` nor `tenant_org_id` names one. Where one does, it may be anything.
    targeting_key: Option<String>,
    /// The tenant.
    #[schema(rename = "tenant_org_id")]
    tenant_org_id: Option<String>,
}

/// Why there is no answer, as OFREP has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EvaluationError {
    /// The flag that was asked about; absent where all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// OpenFeature's code: `PARSE_ERROR`, `INVALID_CONTEXT`, `TARGETING_KEY_MISSING`, `FLAG_NOT_FOUND`, `GENERAL`.
    #[schema(value_type = String, example = "FLAG_NOT_FOUND")]
    error_code: OpenFeatureError,
    /// What is wrong, and what to do, for people.
    error_details: String,
}

/// A request that has no answer.
#[derive(Debug)]
enum Refusal {
    /// What is wrong is of all protocols: nobody asks, somebody asks too often, the body is too long.
    Problem(Problem),
    /// What is wrong is of this one.
    Evaluation(EvaluationError, &'static str),
}

impl Refusal {
    fn new(code: OpenFeatureError, word: &'static str, details: impl Into<String>) -> Self {
        Self::Evaluation(EvaluationError { key: None, error_code: code, error_details: details.into() }, word)
    }

    fn context(details: impl Into<String>) -> Self {
        Self::new(OpenFeatureError::InvalidContext, "invalid_context", details)
    }

    /// Names the flag that was asked about.
    fn about(mut self, key: &str) -> Self {
        if let Self::Evaluation(error, _) = &mut self {
            error.key = Some(key.to_owned());
        }
        self
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new(error.open_feature(), error.code(), error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (error, word) = match self {
            Self::Problem(problem) => return problem.into_response(),
            Self::Evaluation(error, word) => (error, word),
        };
        let status = match error.error_code {
            OpenFeatureError::FlagNotFound => StatusCode::NOT_FOUND,
            OpenFeatureError::General => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let code = (CODE, HeaderValue::from_static(word));
        let cache = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        (status, [code, cache], Json(error)).into_response()
    }
}

/// What a body says of the tenant.
#[derive(Debug, Default)]
struct Asked {
    targeting_key: Option<String>,
    tenant_org_id: Option<String>,
}

impl FromRequest<Shared> for Asked {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Refusal> {
        let Some(JsonBytes(bytes)) = Option::<JsonBytes>::from_request(request, shared).await? else {
            return Ok(Self::default());
        };
        Self::read(&bytes)
    }
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let wrong = |details: String| Refusal::new(OpenFeatureError::ParseError, "malformed_json", details);
        let body: Value =
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("the body is not JSON: {error}")))?;
        let mut body = match body {
            Value::Object(body) => body,
            Value::Null => return Ok(Self::default()),
            _ => return Err(wrong("the body is an object, with a `context` or without one".to_owned())),
        };
        let mut context = match body.remove("context") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(context)) => context,
            Some(_) => return Err(Refusal::context("`context` is an object")),
        };
        let mut text = |name: &str| match context.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(_) => Err(Refusal::context(format!("`{name}` in the context is a text"))),
        };
        Ok(Self { targeting_key: text("targetingKey")?, tenant_org_id: text("tenant_org_id")? })
    }

    /// The tenant that a request is about: whoever is named outright, else whom the token is bound to, else the targeting
    /// key. An app's own context may name a user there, as long as something else names the tenant.
    fn tenant(self, caller: &Caller, headers: &HeaderMap) -> Result<TenantId, Refusal> {
        let header = headers.get("x-tenant-id").map(|value| value.to_str().unwrap_or_default().to_owned());
        let named = match (header, self.tenant_org_id) {
            (Some(header), Some(body)) if header != body => {
                return Err(Refusal::context("`x-tenant-id` and `tenant_org_id` name two tenants; leave one out"));
            }
            (Some(named), _) | (None, Some(named)) => named,
            (None, None) => match (&caller.tenant, self.targeting_key) {
                (Some(own), _) => return Ok(own.clone()),
                (None, Some(named)) => named,
                (None, None) => {
                    let details = "name the tenant: as `targetingKey` or `tenant_org_id` in the context, in the header \
                                   `x-tenant-id`, or by a token that is bound to one";
                    let code = OpenFeatureError::TargetingKeyMissing;
                    return Err(Refusal::new(code, "tenant_required", details));
                }
            },
        };
        named.parse().map_err(|error| Refusal::context(format!("`{named}` is not a tenant: {error}")))
    }

    /// The tenant, and the stream that it is in, for somebody who reaches it.
    async fn stream(
        self,
        shared: &Shared,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<(TenantId, Arc<Stream>), Refusal> {
        let tenant = self.tenant(caller, headers)?;
        caller.reaches(&tenant, Permission::EvaluateFlags, shared).await?;
        about::tenant(&tenant);
        let stream = shared.streams().of_tenant(&tenant);
        let stream = stream.ok_or_else(|| Refusal::from(Error::UnknownTenant(tenant.as_str().into())))?;
        Ok((tenant, stream))
    }
}

/// Evaluate a feature as a flag: `{"key", "value", "variant", "reason", "metadata"}`, all of them always. Value features have
/// values of their own type, limits their amounts; what is off is `false`, 0 or empty, and an unlimited limit is 2^53 − 1 with
/// the variant `unlimited`.
#[utoipa::path(post, path = "/ofrep/v1/evaluate/flags/{key}", tag = "flags", security(("token" = ["flags:evaluate"])),
    params(("key" = String, Path, description = "The feature."),
        ("x-tenant-id" = Option<String>, Header, description = "The tenant, where the token is bound to none.")),
    request_body(content = Option<EvaluationRequest>, content_type = "application/json"),
    responses((status = 200, body = answers::Evaluation),
        (status = 400, body = EvaluationError, content_type = "application/json"),
        (status = 404, body = EvaluationError, content_type = "application/json")))]
async fn flag(
    State(shared): State<Shared>,
    allowed: Allowed<to::EvaluateFlags>,
    Path(key): Path<String>,
    headers: HeaderMap,
    asked: Result<Asked, Refusal>,
) -> Result<Json<Evaluation>, Refusal> {
    let evaluated = async {
        let (tenant, stream) = asked?.stream(&shared, &allowed.caller, &headers).await?;
        Ok(stream.engine().evaluate(tenant.as_str(), key.as_str(), state::now())?)
    };
    evaluated.await.map(Json).map_err(|refusal: Refusal| refusal.about(&key))
}

/// All flags of a tenant.
#[derive(Debug, Serialize, ToSchema)]
struct Flags {
    /// Each of them, in the order of keys.
    #[schema(value_type = Vec<answers::Evaluation>)]
    flags: Vec<Evaluation>,
    /// What holds for all of them.
    metadata: FlagSetMetadata,
}

/// What holds for all flags; flat and scalar, as clients take it.
#[derive(Debug, Serialize, ToSchema)]
struct FlagSetMetadata {
    /// The tenant.
    #[schema(value_type = answers::TenantId)]
    tenant: TenantId,
    /// The revision of the snapshot that answered.
    #[schema(value_type = answers::Revision)]
    revision: Revision,
    /// How sure it is that this snapshot is the newest.
    #[schema(value_type = answers::Freshness)]
    freshness: Freshness,
    /// The definitions that answered, by their hash.
    #[schema(value_type = answers::Hash)]
    definitions: Hash,
    /// When some flag may change without a publication; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = answers::Timestamp)]
    until: Option<Timestamp>,
}

impl Flags {
    fn of(tenant: TenantId, all: Evaluations) -> Self {
        let Evaluations { revision, freshness, definitions, until, flags, .. } = all;
        Self { flags, metadata: FlagSetMetadata { tenant, revision, freshness, definitions, until } }
    }
}

/// Evaluate all features as flags, for clients that keep them: `{"flags": […], "metadata": {…}}`, each flag as if it were
/// asked for by itself. `metadata` says until when nothing changes without a publication. The ETag is that of all that is
/// answered, tenant, revision and instant included: 304 says that asking again would answer the same.
#[utoipa::path(post, path = "/ofrep/v1/evaluate/flags", tag = "flags", security(("token" = ["flags:evaluate"])),
    params(("If-None-Match" = Option<String>, Header),
        ("x-tenant-id" = Option<String>, Header, description = "The tenant, where the token is bound to none.")),
    request_body(content = Option<EvaluationRequest>, content_type = "application/json"),
    responses((status = 200, body = Flags), (status = 304),
        (status = 400, body = EvaluationError, content_type = "application/json")))]
async fn flags(
    State(shared): State<Shared>,
    allowed: Allowed<to::EvaluateFlags>,
    headers: HeaderMap,
    asked: Result<Asked, Refusal>,
) -> Result<Response, Refusal> {
    let (tenant, stream) = asked?.stream(&shared, &allowed.caller, &headers).await?;
    let all = stream.engine().evaluate_all(tenant.as_str(), state::now())?;
    // Hashed as it is sent: nothing that an answer depends on can be forgotten.
    let body = Bytes::from(serde_json::to_vec(&Flags::of(tenant, all)).map_err(|_| Problem::internal())?);
    let etag = Etag::of(Hash::of(&body));
    let cache = (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if etag.is_had(&headers) {
        return Ok((StatusCode::NOT_MODIFIED, [etag.header(), cache]).into_response());
    }
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(([etag.header(), cache, json], body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::who::Rights;

    fn caller(tenant: Option<&str>) -> Caller {
        let tenant = tenant.and_then(|tenant| tenant.parse().ok());
        let (name, id) = ("token t".to_owned(), "t".to_owned());
        Caller { name, rights: Rights::Scopes(Vec::new()), region: None, tenant, id }
    }

    /// The tenant of a request, or the code of its refusal.
    fn tenant(body: &str, header: Option<&str>, bound: Option<&str>) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        if let Some(value) = header.and_then(|header| HeaderValue::from_str(header).ok()) {
            headers.insert("x-tenant-id", value);
        }
        let asked = if body.is_empty() { Ok(Asked::default()) } else { Asked::read(body.as_bytes()) };
        match asked.and_then(|asked| asked.tenant(&caller(bound), &headers)) {
            Ok(tenant) => Ok(tenant.to_string()),
            Err(Refusal::Evaluation(error, _)) => Err(error.error_code.as_str()),
            Err(Refusal::Problem(_)) => Err("a problem"),
        }
    }

    #[test]
    fn the_tenant_is_whoever_is_named_outright() {
        let cases = [
            ("", None, Some("a"), Ok("a")),
            ("{}", None, Some("a"), Ok("a")),
            (r#"{"context":null}"#, None, Some("a"), Ok("a")),
            (r#"{"context":{}}"#, None, Some("a"), Ok("a")),
            (r#"{"context":{"targetingKey":"user 17"}}"#, None, Some("a"), Ok("a")),
            (r#"{"context":{"targetingKey":"user 17"}}"#, Some("b"), None, Ok("b")),
            (r#"{"context":{"targetingKey":"b"}}"#, None, None, Ok("b")),
            (r#"{"context":{"targetingKey":"user 17","tenant_org_id":"b"}}"#, None, None, Ok("b")),
            (r#"{"context":{"tenant_org_id":"b"}}"#, Some("b"), None, Ok("b")),
            // Whoever may not reach it is refused afterwards.
            (r#"{"context":{"tenant_org_id":"b"}}"#, None, Some("a"), Ok("b")),
            (r#"{"context":{"tenant_org_id":"b"}}"#, Some("a"), None, Err("INVALID_CONTEXT")),
            ("", None, None, Err("TARGETING_KEY_MISSING")),
            ("{}", None, None, Err("TARGETING_KEY_MISSING")),
            (r#"{"context":{"targetingKey":""}}"#, None, None, Err("TARGETING_KEY_MISSING")),
            (r#"{"context":{"targetingKey":"user 17"}}"#, None, None, Err("INVALID_CONTEXT")),
            (r#"{"context":{"targetingKey":17}}"#, None, Some("a"), Err("INVALID_CONTEXT")),
            (r#"{"context":[]}"#, None, Some("a"), Err("INVALID_CONTEXT")),
            ("[]", None, Some("a"), Err("PARSE_ERROR")),
            ("null", None, Some("a"), Ok("a")),
            ("{", None, Some("a"), Err("PARSE_ERROR")),
        ];
        for (body, header, bound, expected) in cases {
            assert_eq!(tenant(body, header, bound), expected.map(str::to_owned), "{body} {header:?} {bound:?}");
        }
    }
}
