//! What a request is answered that cannot be served: RFC 9457 problem documents with stable codes.

use super::openapi::answers;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leasehold::model::{Diagnostic, Diagnostics};
use leasehold::workflow::Blocker;
use leasehold_postgres::Error;
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use utoipa::ToSchema;

/// The code of a problem, for whoever counts and logs answers without reading them.
pub(crate) const CODE: HeaderName = HeaderName::from_static("leasehold-code");

/// Why a request is not served: a status, a stable code, and what to do.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    diagnostics: Vec<Value>,
    blockers: Box<[Blocker]>,
    retry_after_s: Option<u64>,
}

/// A problem document, as RFC 9457 has it. `code` is stable; `detail` is for people.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    /// What sort of problem it is: `urn:leasehold:problem:` and the code.
    #[schema(example = "urn:leasehold:problem:not_found")]
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable code, for programs.
    #[schema(example = "not_found")]
    code: String,
    /// What is wrong, and what to do, for people.
    detail: String,
    /// Everything that is wrong with the definitions that were sent, each with its place, code and hint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<answers::Diagnostic>)]
    diagnostics: Vec<Value>,
    /// All that blocks the move of an item, where the code is `guard_failed`.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<answers::Blocker>)]
    blockers: Box<[Blocker]>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { status, code, detail, diagnostics: Vec::new(), blockers: Box::default(), retry_after_s: None }
    }

    /// The request is not one that can be answered.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Nobody says who asks, or not so that it can be believed. Which of it is wrong is told to nobody.
    pub(crate) fn unauthorized() -> Self {
        let detail = "say who asks: `Authorization: Bearer TOKEN`, with a token or session that is good";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// Nobody is signed in by what was sent. Whether it is the name or the password is told to nobody.
    pub(crate) fn not_signed_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "nobody signs in with this name and this password")
    }

    /// Whoever asks may not do this.
    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(crate) fn not_found(what: &str, key: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what} `{key}`"))
    }

    /// It cannot be answered now, and may be asked again.
    pub(crate) fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(1)
    }

    /// Definitions that were sent, and all that is wrong with them.
    pub(crate) fn refused(diagnostics: Vec<Diagnostic>) -> Self {
        let detail = format!("what was sent is refused: {} mistakes", diagnostics.len());
        let diagnostics = diagnostics.iter().map(|found| json!(found)).collect();
        Self { diagnostics, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_definitions", detail) }
    }

    /// An error of the store about what was sent as a part of something.
    pub(crate) fn within(error: Error, around: &str) -> Self {
        match error {
            Error::Refused(found) => Self::refused_within(found, around),
            error => error.into(),
        }
    }

    /// The same of what was sent as a part of something: whoever sent it knows it without what is around it.
    pub(crate) fn refused_within(found: Diagnostics, around: &str) -> Self {
        let mut found = found.into_vec();
        for one in &mut found {
            if let Some(inside) = one.path.strip_prefix(around)
                && (inside.is_empty() || inside.starts_with('/'))
            {
                one.path = inside.to_owned();
            }
        }
        Self::refused(found)
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// As a document, without the response around it.
    pub(crate) fn document(&self) -> ProblemDocument {
        ProblemDocument {
            r#type: format!("urn:leasehold:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Problem").to_owned(),
            status: self.status.as_u16(),
            code: self.code.clone().into_owned(),
            detail: self.detail.clone(),
            diagnostics: self.diagnostics.clone(),
            blockers: self.blockers.clone(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let media = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, media);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(code) = HeaderValue::from_str(&self.code) {
            headers.insert(CODE, code);
        }
        (self.status, headers, Json(self.document())).into_response()
    }
}

impl From<Diagnostics> for Problem {
    fn from(found: Diagnostics) -> Self {
        Self::refused(found.into_vec())
    }
}

/// Errors of the store, each with the status that says whose turn it is.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        let status = match &error {
            Error::Unreachable(_) => {
                return Self::unavailable("database_unreachable", "the database cannot be reached");
            }
            Error::Contended { .. } => return Self::unavailable(code, error.to_string()),
            Error::Database(inner) => {
                // What the database says may hold what it was asked.
                tracing::error!(error = %inner, "the database failed");
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, "the database failed; the log says more");
            }
            Error::Refused(found) => return found.clone().into(),
            Error::KeptBack { found } => {
                let detail =
                    "the change is kept, and not published: the tenant or kill switch keeps its last published form";
                let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
                problem.diagnostics = found.as_array().cloned().unwrap_or_default();
                return problem;
            }
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Exists { .. } | Error::NotApproved { .. } | Error::Constraint { .. } | Error::StillNamed { .. } => {
                StatusCode::CONFLICT
            }
            Error::NothingInForce | Error::NothingToPropose => StatusCode::CONFLICT,
            Error::Conflict { .. } => StatusCode::PRECONDITION_FAILED,
            Error::IdempotencyKeyReused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::InvalidArgument { .. } | Error::InvalidIdempotencyKey { .. } | Error::NulCharacter => {
                StatusCode::BAD_REQUEST
            }
            Error::ReservationEnded { .. } | Error::MoreThanHeld { .. } => StatusCode::CONFLICT,
            Error::Question(inner) => return inner.clone().into(),
            Error::UnknownItem(_) => StatusCode::NOT_FOUND,
            Error::Fault(fault) if fault.code() == "outside_history" => StatusCode::NOT_FOUND,
            _ => {
                tracing::error!(error = %error, "the store failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, code, error.to_string())
    }
}

/// Errors of the engine: whoever asks named something that is not there, or asked for the impossible.
impl From<leasehold::Error> for Problem {
    fn from(error: leasehold::Error) -> Self {
        let code = error.code();
        let status = match code {
            code if code.starts_with("unknown_") => StatusCode::NOT_FOUND,
            "wrong_kind" | "amount_out_of_range" | "not_in_slice" => StatusCode::BAD_REQUEST,
            _ => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, code, error.to_string());
        match error {
            leasehold::Error::GuardFailed { blockers, .. } => Self { blockers, ..problem },
            _ => problem,
        }
    }
}

impl Problem {
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something is wrong here; the log says more")
    }
}
