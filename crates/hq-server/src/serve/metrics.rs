//! What Prometheus reads.

use axum::http::{Method, StatusCode};
use leasehold::Region;
use leasehold::wire::SignedHead;
use leasehold_postgres::publish::Publication;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Served {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabel {
    stream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabel {
    code: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabel {
    stream: String,
    code: String,
}

/// Bounds of what is told apart of how long answers took, in seconds: 0.3 and 0.8 are those of the service's objectives.
const DURATIONS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.8, 2.0, 5.0, 15.0];

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Served, Counter>,
    durations: Family<Route, Histogram>,
    rate_limited: Counter,
    overloaded: Counter,
    publications: Counter,
    published_changes: Counter,
    kept_back: Counter,
    publish_errors: Family<CodeLabel, Counter>,
    revisions: Family<StreamLabel, Gauge>,
    issued: Family<StreamLabel, Gauge>,
    expires: Family<StreamLabel, Gauge>,
    followers: Family<StreamLabel, Gauge>,
    refused: Family<RefusedLabel, Counter>,
    breaches: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let durations = Family::<Route, Histogram>::new_with_constructor(|| Histogram::new(DURATIONS_S.into_iter()));
        let metrics = Self {
            requests: Family::default(),
            durations: durations.clone(),
            rate_limited: Counter::default(),
            overloaded: Counter::default(),
            publications: Counter::default(),
            published_changes: Counter::default(),
            kept_back: Counter::default(),
            publish_errors: Family::default(),
            revisions: Family::default(),
            issued: Family::default(),
            expires: Family::default(),
            followers: Family::default(),
            refused: Family::default(),
            breaches: Counter::default(),
            registry: Registry::default(),
        };
        registry.register("leasehold_http_requests", "Requests that were answered", metrics.requests.clone());
        registry.register("leasehold_http_request_duration_seconds", "How long answers took", durations);
        registry.register(
            "leasehold_rate_limited",
            "Requests that were refused because a token or session asked too often",
            metrics.rate_limited.clone(),
        );
        registry.register(
            "leasehold_overloaded",
            "Requests that were refused because too many were under way",
            metrics.overloaded.clone(),
        );
        registry.register("leasehold_publications", "Publications of this server", metrics.publications.clone());
        registry.register(
            "leasehold_published_changes",
            "Changes in publications of this server",
            metrics.published_changes.clone(),
        );
        registry.register(
            "leasehold_kept_back",
            "Tenants and kill switches that kept their last published form",
            metrics.kept_back.clone(),
        );
        registry.register(
            "leasehold_publish_errors",
            "Publications that failed, by code",
            metrics.publish_errors.clone(),
        );
        registry.register("leasehold_head_revision", "Revision in force, by stream", metrics.revisions.clone());
        registry.register(
            "leasehold_head_issued_timestamp_seconds",
            "When the head in force was signed, by stream",
            metrics.issued.clone(),
        );
        registry.register(
            "leasehold_head_expires_timestamp_seconds",
            "When the head in force stops being fresh, by stream",
            metrics.expires.clone(),
        );
        registry.register("leasehold_followers", "Followers of events, by stream", metrics.followers.clone());
        registry.register(
            "leasehold_engine_refusals",
            "Heads that engines refused, by stream and code",
            metrics.refused.clone(),
        );
        registry.register("saas_limit_breaches", "Requests beyond a limit that were denied", metrics.breaches.clone());
        Self { registry, ..metrics }
    }

    pub(crate) fn served(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let (method, status) = (method.to_string(), status.as_u16());
        self.requests.get_or_create(&Served { method, route: route.to_owned(), status }).inc();
        self.durations.get_or_create(&Route { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    pub(crate) fn rate_limited(&self) {
        self.rate_limited.inc();
    }

    pub(crate) fn overloaded(&self) {
        self.overloaded.inc();
    }

    pub(crate) fn published(&self, publication: &Publication) {
        self.publications.inc();
        self.published_changes.inc_by(publication.changes.len() as u64);
        self.kept_back.inc_by(publication.refused.len() as u64);
    }

    pub(crate) fn publish_failed(&self, code: &str) {
        self.publish_errors.get_or_create(&CodeLabel { code: code.to_owned() }).inc();
    }

    pub(crate) fn head(&self, head: &SignedHead) {
        let said = head.head();
        let label = StreamLabel { stream: said.stream.to_string() };
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.revisions.get_or_create(&label).set(number(said.revision.get()));
        self.issued.get_or_create(&label).set(said.issued_at.as_ms() / 1000);
        self.expires.get_or_create(&label).set(said.expires_at.as_ms() / 1000);
    }

    pub(crate) fn followers(&self, stream: &Region, count: usize) {
        let label = StreamLabel { stream: stream.to_string() };
        self.followers.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn refused(&self, stream: &Region, code: &str) {
        let label = RefusedLabel { stream: stream.to_string(), code: code.to_owned() };
        self.refused.get_or_create(&label).inc();
    }

    pub(crate) fn limit_breached(&self) {
        self.breaches.inc();
    }

    /// All of it, in the text format.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
