//! What requests are made of, each refused with a problem that says what is wrong.

use super::problem::Problem;
use super::state::{self, Shared};
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold::{Hash, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::hq::{Request as HqRequest, RowVersion};
use leasehold_postgres::ledger::IdempotencyKey;
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use std::error::Error as _;
use std::fmt::{self, Display};
use std::str::FromStr;

/// The same as `If-None-Match`. Browsers ask for leave before each request that has the standard one, whatever they were told
/// before: pages send this.
pub(crate) const LEASEHOLD_IF_NONE_MATCH: HeaderName = HeaderName::from_static("leasehold-if-none-match");

/// The ETag of what a hash is of.
#[derive(Debug, Clone)]
pub(crate) struct Etag {
    hash: Hash,
    /// The hash in quotes.
    text: HeaderValue,
}

impl Etag {
    pub(crate) fn of(hash: Hash) -> Self {
        let text = HeaderValue::try_from(format!("\"{hash}\""));
        // Hexadecimal digits can stand in a header.
        Self { hash, text: text.unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    pub(crate) fn header(&self) -> (HeaderName, HeaderValue) {
        (header::ETAG, self.text.clone())
    }

    /// Whether somebody has it already.
    pub(crate) fn is_had(&self, headers: &HeaderMap) -> bool {
        let mut sent =
            [header::IF_NONE_MATCH, LEASEHOLD_IF_NONE_MATCH].into_iter().flat_map(|name| headers.get_all(name));
        let is_this = |one: &str| {
            let one = one.trim();
            one == "*" || self.text == one.strip_prefix("W/").unwrap_or(one)
        };
        sent.any(|value| {
            // What most send who poll is looked at first.
            self.text == value || value.to_str().is_ok_and(|value| value.split(',').any(is_this))
        })
    }
}

/// A JSON body of a type, in which nothing is too much.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Problem> {
        let JsonText(bytes) = JsonText::from_request(request, shared).await?;
        // It is JSON. What else is wrong with it is what it says, whatever serde calls it.
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::bad_request("invalid_body", format!("the body is wrong: {error}")))
    }
}

/// The bytes of a body that says that it is JSON, for whoever reads them by other rules. No body at all is nothing.
#[derive(Debug)]
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl OptionalFromRequest<Shared> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Option<Self>, Problem> {
        let json = is_json(request.headers());
        let bytes = body(request, shared.config().limits.body_bytes.get()).await?;
        match (bytes.is_empty(), json) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(Self(bytes))),
            (false, false) => Err(not_json()),
        }
    }
}

/// A body that is one JSON document, as it came: duplicate keys and all, for the reader of definitions to complain about.
#[derive(Debug)]
pub(crate) struct JsonText(pub(crate) Bytes);

impl FromRequest<Shared> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, shared: &Shared) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        let bytes = body(request, shared.config().limits.body_bytes.get()).await?;
        serde_json::from_slice::<AnyJson>(&bytes)
            .map_err(|error| Problem::bad_request("malformed_json", format!("the body is not JSON: {error}")))?;
        Ok(Self(bytes))
    }
}

/// Whatever is JSON, and as deep as others read it: what is ignored by serde is not looked at as closely.
struct AnyJson;

impl<'de> Deserialize<'de> for AnyJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for AnyJson {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        while members.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

fn not_json() -> Problem {
    let detail = "send JSON, and say so: `Content-Type: application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail)
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn body(request: Request, most: usize) -> Result<Bytes, Problem> {
    to_bytes(request.into_body(), most).await.map_err(|error| {
        let too_long = error.source().is_some_and(|source| source.to_string().contains("length limit"));
        if too_long {
            let detail = format!("the body is longer than {most} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        } else {
            Problem::bad_request("body_unreadable", "the body ended before it was whole")
        }
    })
}

/// Parameters of the query, in which nothing is too much.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, shared).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|refused| {
            let why = refused.source().map_or_else(|| refused.to_string(), ToString::to_string);
            Problem::bad_request("invalid_query", format!("the query is wrong: {why}"))
        })
    }
}

/// Parts of the path. What cannot be a key or number is not there.
#[derive(Debug)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, shared).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|refused| {
            Problem::new(StatusCode::NOT_FOUND, "not_found", format!("the path names nothing: {}", refused.body_text()))
        })
    }
}

/// A JSON object of members that are JSON texts already, as they came.
pub(crate) fn object<N: AsRef<str>, T: AsRef<[u8]>>(members: impl IntoIterator<Item = (N, T)>) -> Vec<u8> {
    let mut text = vec![b'{'];
    for (name, value) in members {
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(serde_json::Value::from(name.as_ref()).to_string().as_bytes());
        text.push(b':');
        text.extend_from_slice(value.as_ref());
    }
    text.push(b'}');
    text
}

/// An instant that somebody names; now where they do not.
pub(crate) fn instant(named: Option<&str>) -> Result<Timestamp, Problem> {
    named.map_or_else(|| Ok(state::now()), |named| parsed("instant", named))
}

/// A key or id out of a path.
pub(crate) fn parsed<T: FromStr<Err: Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|error| Problem::bad_request("invalid_key", format!("the {what} `{text}` cannot be one: {error}")))
}

/// What a writer says of the version that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// `If-None-Match: *`: there is none yet.
    New,
    /// `If-Match: "4"`: it is this one.
    Seen(RowVersion),
    /// `If-Match: *`: whichever it is.
    Any,
}

/// What a writer says of the version that it changes, where it says something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IfMatch(pub(crate) Option<Precondition>);

impl IfMatch {
    /// Refuses a writer that says nothing.
    pub(crate) fn required(self) -> Result<Precondition, Problem> {
        self.0.ok_or_else(|| {
            let detail = "say what you change: `If-Match` with the ETag that you read, or, where it may be a new one, \
                          `If-None-Match: *`";
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
        })
    }

    /// The version that was seen; nothing where any will do. Refuses a writer who means something new, of what is a part of
    /// something that is there.
    pub(crate) fn seen(self) -> Result<Option<RowVersion>, Problem> {
        match self.0 {
            Some(Precondition::Seen(version)) => Ok(Some(version)),
            Some(Precondition::New) => {
                let detail = "`If-None-Match` has no meaning here: send `If-Match` with the ETag that you read";
                Err(Problem::bad_request("invalid_precondition", detail))
            }
            Some(Precondition::Any) | None => Ok(None),
        }
    }
}

impl FromRequestParts<Shared> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let header = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
        let invalid = || {
            let detail = "`If-Match` is an ETag that this resource had, as `\"4\"`, or `*`; `If-None-Match` is `*`";
            Problem::bad_request("invalid_precondition", detail)
        };
        match (header(header::IF_MATCH), header(header::IF_NONE_MATCH)) {
            (None, None) => Ok(Self(None)),
            (None, Some("*")) => Ok(Self(Some(Precondition::New))),
            (Some("*"), None) => Ok(Self(Some(Precondition::Any))),
            (Some(etag), None) => {
                let number = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"'));
                let number: i64 = number.and_then(|number| number.parse().ok()).ok_or_else(invalid)?;
                Ok(Self(Some(Precondition::Seen(RowVersion(number)))))
            }
            _ => Err(invalid()),
        }
    }
}

/// The key under which a request is done once, however often it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Once(pub(crate) Option<IdempotencyKey>);

impl FromRequestParts<Shared> for Once {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let text = value.to_str().map_err(|_| {
            Problem::bad_request("invalid_idempotency_key", "`Idempotency-Key` is printable ASCII of 1 to 255 bytes")
        })?;
        Ok(Self(Some(IdempotencyKey::new(text)?)))
    }
}

impl Once {
    /// Tells the request from others under its key: by who asks for what.
    pub(crate) fn request(self, caller: &str, what: &str, body: &impl Serialize) -> Option<HqRequest> {
        let told = serde_json::json!([what, body]).to_string();
        Some(HqRequest { caller: caller.to_owned(), key: self.0?, hash: leasehold::Hash::of(told.as_bytes()) })
    }
}

/// Does something once under the key of its request, where it has one. `again` answers for what it came to before: sent
/// again, and sent again while it is still under way.
pub(crate) async fn done_once<T, F: Future<Output = Result<T, Problem>>>(
    shared: &Shared,
    request: Option<&HqRequest>,
    act: impl Future<Output = Result<T, Problem>>,
    again: impl FnOnce(String) -> F,
) -> Result<T, Problem> {
    let Some(request) = request else { return act.await };
    if let Some(came_to) = shared.hq().earlier(request).await? {
        return again(came_to).await;
    }
    match act.await {
        Ok(done) => Ok(done),
        Err(problem) => match shared.hq().earlier(request).await {
            Ok(Some(came_to)) => again(came_to).await,
            Err(reused @ Error::IdempotencyKeyReused { .. }) => Err(reused.into()),
            _ => Err(problem),
        },
    }
}

/// What a request is remembered to have come to, where that is JSON.
pub(crate) fn remembered<T: DeserializeOwned>(came_to: &str) -> Result<T, Problem> {
    // It is what HQ wrote itself.
    serde_json::from_str(came_to).map_err(|_| Problem::internal())
}

/// A page of a list: its items, and where the next one begins.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Page<T> {
    /// The items, in order.
    pub(crate) items: Vec<T>,
    /// What to give as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paging {
    /// Where the page begins: `next` of the one before. Without it, at the beginning.
    pub(crate) after: Option<String>,
    /// How many items at the most: 1 to 500.
    #[serde(default = "Paging::default_limit")]
    #[param(default = 100, minimum = 1, maximum = 500)]
    pub(crate) limit: u32,
}

impl Paging {
    const MOST: u32 = 500;

    fn default_limit() -> u32 {
        100
    }

    /// How many to read: one more than to show, to know whether there is another page.
    pub(crate) fn to_read(&self) -> Result<u32, Problem> {
        if (1..=Self::MOST).contains(&self.limit) {
            return Ok(self.limit + 1);
        }
        Err(Problem::bad_request("invalid_query", format!("`limit` is 1 to {}", Self::MOST)))
    }

    /// The page, of what was read.
    pub(crate) fn page<T>(&self, mut read: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = read.len() > limit;
        read.truncate(limit);
        let next = read.last().filter(|_| more).map(cursor);
        Page { items: read, next }
    }
}

/// A record with its ETag.
#[derive(Debug)]
pub(crate) struct WithEtag<T>(pub(crate) RowVersion, pub(crate) T);

impl<T: Serialize> IntoResponse for WithEtag<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, format!("\"{}\"", self.0.0))], axum::Json(self.1)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn etags_are_compared_weakly() {
        let etag = Etag::of(Hash::of(b""));
        let sent = |values: &[&str]| {
            [header::IF_NONE_MATCH, LEASEHOLD_IF_NONE_MATCH].map(|name| {
                let value =
                    |value: &&str| HeaderValue::try_from(value.replace("ETAG", &etag.hash().to_string())).unwrap();
                etag.is_had(&values.iter().map(|text| (name.clone(), value(text))).collect())
            }) == [true; 2]
        };
        assert!(sent(&["\"ETAG\""]) && sent(&["W/\"ETAG\""]));
        assert!(sent(&["\"b\", \"ETAG\""]) && sent(&["\"b\"", "\"ETAG\""]));
        assert!(sent(&["*"]) && !sent(&[]) && !sent(&["ETAG"]) && !sent(&["\"ETAGb\""]) && !sent(&["\"b\""]));
    }
}
