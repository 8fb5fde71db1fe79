//! Requests to HQ, and what is made of answers that say no.

use super::options::{HttpOptions, ms};
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, RETRY_AFTER};
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, RequestBuilder};

/// Longest problem document that is read.
const MAX_PROBLEM_BYTES: u64 = 16 << 10;
/// Longest time for which HQ is left alone because it asks to be.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Whom requests go to. Its threads share one.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    options: HttpOptions,
    /// HQ wants to be left alone until then.
    not_before: Mutex<Option<Instant>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// For people to read.
    pub(super) why: String,
    /// Whether the same may go well another time.
    pub(super) passing: bool,
    /// What HQ answered, where it did.
    pub(super) status: Option<StatusCode>,
}

impl Client {
    pub(super) fn new(options: HttpOptions) -> Self {
        let answer = Some(ms(options.patience.answer_ms));
        let roots = options.roots.clone().map_or(RootCerts::WebPki, RootCerts::Specific);
        let config = Agent::config_builder()
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            // Every status is looked at here.
            .http_status_as_error(false)
            // The token is for the host that was named, whoever that host names, and for no proxy.
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("leasehold/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("")
            .timeout_resolve(answer)
            .timeout_connect(answer)
            .timeout_send_request(answer)
            .timeout_send_body(answer)
            .timeout_recv_response(answer)
            .build();
        Self { agent: config.new_agent(), options, not_before: Mutex::new(None) }
    }

    pub(super) fn options(&self) -> &HttpOptions {
        &self.options
    }

    /// Ends what is under way; nothing is asked any more.
    pub(super) fn interrupt(&self) {
        self.agent.clone().shutdown();
    }

    /// A head, with the hash of the one that is known.
    pub(super) fn head(&self, path: &str, known: Option<&str>) -> Result<Response<Body>, Failure> {
        let mut request = self.authorized(self.agent.get(self.url(path)))?;
        if let Some(known) = known {
            request = request.header(IF_NONE_MATCH, known);
        }
        let answer = Some(ms(self.options.patience.answer_ms));
        self.answer(|| request.config().timeout_global(answer).build().call())
    }

    /// A content, compressed where HQ has it so.
    pub(super) fn chunk(&self, path: &str) -> Result<Response<Body>, Failure> {
        let request = self.authorized(self.agent.get(self.url(path)))?.header(ACCEPT_ENCODING, "zstd");
        let patience = self.options.patience;
        let config = request.config().timeout_global(Some(ms(patience.content_ms)));
        self.answer(|| config.timeout_per_read(Some(ms(patience.answer_ms))).build().call())
    }

    /// A head with all that it names. One that takes longer than any content may is fetched in pieces.
    pub(super) fn pack(&self, path: &str) -> Result<Response<Body>, Failure> {
        let request = self.authorized(self.agent.get(self.url(path)))?;
        let patience = self.options.patience;
        let config = request.config().timeout_global(Some(ms(patience.content_ms)));
        self.answer(|| config.timeout_per_read(Some(ms(patience.answer_ms))).build().call())
    }

    /// Events, which end with a silence.
    pub(super) fn events(&self, path: &str) -> Result<Response<Body>, Failure> {
        let request = self.authorized(self.agent.get(self.url(path)))?.header(ACCEPT, "text/event-stream");
        let silence = Some(ms(self.options.patience.silence_ms));
        self.answer(|| request.config().timeout_per_read(silence).build().call())
    }

    /// Tells HQ something in JSON.
    pub(super) fn post(&self, path: &str, json: &[u8]) -> Result<(), Failure> {
        let request = self.authorized(self.agent.post(self.url(path)))?.header(CONTENT_TYPE, "application/json");
        let answer = Some(ms(self.options.patience.answer_ms));
        self.answer(|| request.config().timeout_global(answer).build().send(json)).map(drop)
    }

    /// For how long HQ wants to be left alone yet.
    pub(super) fn left_alone(&self) -> Duration {
        let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        not_before.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// A text that HQ sent, or that is about what it sent, fit to be shown.
    pub(super) fn shown(&self, text: &str) -> String {
        /// Enough for a sentence or two.
        const MOST: usize = 400;
        self.options.token.removed_from(text, MOST)
    }

    /// An answer that does not come, or not to its end.
    pub(super) fn lost(&self, error: &dyn std::error::Error) -> Failure {
        Failure { why: self.shown(&format!("HQ does not answer: {error}")), passing: true, status: None }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.options.base_url)
    }

    fn authorized<B>(&self, request: RequestBuilder<B>) -> Result<RequestBuilder<B>, Failure> {
        let token = self.options.token.header().map_err(|error| self.lost(&error))?;
        Ok(request.header(AUTHORIZATION, token))
    }

    /// Asks, and gives an answer that says yes, or that nothing is new.
    fn answer(&self, ask: impl FnOnce() -> Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, Failure> {
        let left = self.left_alone();
        if !left.is_zero() {
            let why = format!("HQ asks to be left alone for another {} s", left.as_secs() + 1);
            return Err(Failure { why, passing: true, status: None });
        }
        let response = ask().map_err(|error| self.lost(&error))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        self.heed(&response);
        let passing =
            status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
        let why = if status.is_redirection() {
            "a redirect, which is not followed: mend the base URL".to_owned()
        } else {
            problem(response)
        };
        Err(Failure {
            why: self.shown(&format!("HQ answers {}, {why}", status.as_u16())),
            passing,
            status: Some(status),
        })
    }

    /// Leaves HQ alone for as long as it asks for.
    fn heed(&self, response: &Response<Body>) {
        let told = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        // The other form, a date, would depend on whose clock is right.
        let Some(seconds) = told.and_then(|told| told.trim().parse().ok()) else { return };
        let until = Instant::now() + Duration::from_secs(seconds).min(MAX_RETRY_AFTER);
        *self.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }
}

/// What a problem document says (RFC 9457), in one line.
fn problem(response: Response<Body>) -> String {
    let without = "without saying why".to_owned();
    let Ok(body) = read(response.into_body(), MAX_PROBLEM_BYTES) else { return without };
    let Ok(problem) = serde_json::from_slice::<serde_json::Value>(&body) else { return without };
    let text = |key: &str| problem.get(key).and_then(serde_json::Value::as_str);
    match (text("code"), text("detail").or(text("title"))) {
        (Some(code), Some(detail)) => format!("`{code}`: {detail}"),
        (Some(code), None) => format!("`{code}`"),
        (None, Some(detail)) => detail.to_owned(),
        (None, None) => without,
    }
}

/// A body, of which one byte more than is allowed is read: what it is for refuses it.
pub(super) fn read(body: Body, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.into_reader().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The next piece of a body as it comes; an empty one is the end.
pub(super) fn read_some(body: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut piece = vec![0; 4096];
    let length = body.read(&mut piece)?;
    piece.truncate(length);
    Ok(piece)
}
