//! What Prometheus reads. No label has a tenant, nor anything else that grows with them or that callers invent: that is
//! what traces and logs are for.

use super::route::Route;
use super::telemetry::VERSION;
use axum::http::{Method, StatusCode};
use leasehold::wire::SignedHead;
use leasehold::{PlanKey, Region, Status};
use leasehold_postgres::publish::{Publication, Step};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Declares sets of labels, each of one or more texts.
macro_rules! labels {
    ($($name:ident { $($label:ident),+ })*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($label: String),+ }

        impl $name {
            fn of($($label: impl ToString),+) -> Self {
                Self { $($label: $label.to_string()),+ }
            }
        }
    )*};
}

/// Of what is counted for every request, no text is made.
#[derive(Debug, Clone, PartialEq, Eq, EncodeLabelSet)]
struct Served {
    method: &'static str,
    route: Route,
    status: u16,
}

impl Hash for Served {
    /// Without the method: a route has few, and every request is hashed.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.route.hash(state);
        self.status.hash(state);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByRoute {
    route: Route,
}

labels! {
    ByStream { stream }
    ByCode { code }
    ByStreamAndCode { stream, code }
    ByStreamAndStatus { stream, status }
    ByStreamAndState { stream, state }
    ByPlan { plan }
    ByOrigin { from }
    ByState { state }
}

/// Bounds of what is told apart of how long answers took, in seconds: 0.3 and 0.8 are those of the service's objectives.
const ANSWERS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.3, 0.8, 2.0, 5.0, 15.0];
/// The same of publications and of changes on their way into one.
const PUBLICATIONS_S: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// What is counted of tenants.
#[derive(Debug, Default)]
pub(crate) struct TenantCounts {
    pub(crate) by_status: HashMap<(Region, Status), i64>,
    pub(crate) by_plan: HashMap<PlanKey, i64>,
}

/// How an engine stands to the head of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EngineState {
    /// The head, or a later one, is in force there.
    Converged,
    /// It has not reported so yet.
    Behind,
    /// It has refused a head since.
    Refused,
}

impl EngineState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Behind => "behind",
            Self::Refused => "refused",
        }
    }
}

/// Where something was had from that is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was held in memory.
    Memory,
    /// It was read from the database, or made.
    Store,
}

/// Gauges that are all set at once. What is not set any more goes.
#[derive(Debug)]
struct Levels<L> {
    family: Family<L, Gauge>,
    shown: Mutex<HashSet<L>>,
}

impl<L: Clone + fmt::Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static> Levels<L> {
    fn set(&self, levels: impl IntoIterator<Item = (L, i64)>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = std::mem::take(&mut *shown);
        for (label, level) in levels {
            self.family.get_or_create(&label).set(level);
            gone.remove(&label);
            shown.insert(label);
        }
        for label in gone {
            self.family.remove(&label);
        }
    }
}

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Served, Counter>,
    durations: Family<ByRoute, Histogram>,
    rate_limited: Counter,
    overloaded: Counter,
    breaches: Counter,
    sync_errors: Counter,
    active_tenants: Gauge,
    plans: Levels<ByPlan>,
    tenants: Levels<ByStreamAndStatus>,
    publisher: Gauge,
    publications: Counter,
    publication_durations: Histogram,
    change_durations: Histogram,
    published_changes: Counter,
    kept_back: Counter,
    publish_errors: Family<ByCode, Counter>,
    /// When the publication that is under way was read.
    publishing_since: Mutex<Option<Instant>>,
    revisions: Family<ByStream, Gauge>,
    issued: Family<ByStream, Gauge>,
    expires: Family<ByStream, Gauge>,
    trials: Family<ByStream, Gauge<f64, AtomicU64>>,
    halted: Counter,
    followers: Family<ByStream, Gauge>,
    contents: Family<ByOrigin, Counter>,
    slices: Family<ByOrigin, Counter>,
    refused: Family<ByStreamAndCode, Counter>,
    engines: Levels<ByStreamAndState>,
    database_up: Gauge,
    database_durations: Histogram,
    connections: Family<ByState, Gauge>,
    most_connections: Gauge,
    resident: Gauge,
    open_files: Gauge,
}

/// Where metrics are made known as they are made.
struct Making(Registry);

impl Making {
    fn some<M: Metric + Default + Clone>(&mut self, name: &str, help: &str) -> M {
        self.this(name, help, M::default())
    }

    fn this<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn levels<L>(&mut self, name: &str, help: &str) -> Levels<L>
    where
        L: Clone + fmt::Debug + Eq + Hash + EncodeLabelSet + Send + Sync + 'static,
    {
        Levels { family: self.some(name, help), shown: Mutex::default() }
    }

    fn seconds(&mut self, name: &str, help: &str, bounds: impl IntoIterator<Item = f64>) -> Histogram {
        let histogram = Histogram::new(bounds);
        self.0.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        histogram
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut making = Making(Registry::default());
        let to = &mut making;
        let durations = Family::<ByRoute, Histogram>::new_with_constructor(|| Histogram::new(ANSWERS_S));
        to.0.register_with_unit(
            "leasehold_http_request_duration",
            "How long answers took",
            Unit::Seconds,
            durations.clone(),
        );
        let build = Info::new(vec![("version", VERSION)]);
        to.0.register("leasehold_build", "What this server was built from", build);
        let started: Gauge = to.some("process_start_time_seconds", "When this process started, in seconds since 1970");
        started.set(started_at());
        let metrics = Self {
            requests: to.some("leasehold_http_requests", "Requests that were answered"),
            durations,
            rate_limited: to.some(
                "leasehold_rate_limited",
                "Requests that were refused because a token, a session, an address or somebody who signs in asked too often",
            ),
            overloaded: to.some(
                "leasehold_overloaded",
                "Requests and connections that were refused because too many were under way",
            ),
            breaches: to.some("saas_limit_breaches", "Requests beyond a limit that were denied"),
            sync_errors: to.some(
                "saas_catalog_sync_errors",
                "Publications that failed, tenants and kill switches that were kept back, and heads that engines refused",
            ),
            active_tenants: to.some("saas_active_tenants", "Tenants whose displayed status is active"),
            plans: to.levels("saas_plan_distribution", "Tenants by the plan that applies"),
            tenants: to.levels("leasehold_tenants", "Tenants by stream and displayed status"),
            publisher: to.some("leasehold_publisher", "Whether this server publishes"),
            publications: to.some("leasehold_publications", "Publications of this server"),
            publication_durations: to.seconds(
                "leasehold_publication_duration",
                "How long publications took, from when everything was read until they were committed",
                PUBLICATIONS_S,
            ),
            change_durations: to.seconds(
                "leasehold_change_duration",
                "How long whoever changed something waited until it was published, or gave up",
                PUBLICATIONS_S,
            ),
            published_changes: to.some("leasehold_published_changes", "Changes in publications of this server"),
            kept_back: to.some(
                "leasehold_kept_back",
                "Tenants and kill switches that kept their last published form",
            ),
            publish_errors: to.some("leasehold_publish_errors", "Publications that failed, by code"),
            publishing_since: Mutex::default(),
            revisions: to.some("leasehold_head_revision", "Revision in force, by stream"),
            issued: to.some("leasehold_head_issued_timestamp_seconds", "When the head in force was signed, by stream"),
            expires: to.some(
                "leasehold_head_expires_timestamp_seconds",
                "When the head in force stops being fresh, by stream",
            ),
            trials: to.some("leasehold_trial_share_ratio", "Share of the engines that try other definitions, by stream"),
            halted: to.some("leasehold_trials_halted", "Trials that were halted because an engine refused them"),
            followers: to.some("leasehold_followers", "Followers of events, by stream"),
            contents: to.some("leasehold_contents_served", "Contents that were handed out, by where they were had from"),
            slices: to.some("leasehold_slices_served", "Slices that were handed out, by where they were had from"),
            refused: to.some("leasehold_engine_refusals", "Heads that engines refused, by stream and code"),
            engines: to.levels("leasehold_engines", "Engines that ever reported, by stream and how they stand"),
            database_up: to.some("leasehold_database_up", "Whether the database answered when it was asked last"),
            database_durations: to.seconds(
                "leasehold_database_ping_duration",
                "How long it took to get a connection and an answer of the database",
                ANSWERS_S,
            ),
            connections: to.some("leasehold_database_connections", "Connections to the database, by state"),
            most_connections: to.some("leasehold_database_connections_max", "Connections to the database at the most"),
            resident: to.some("process_resident_memory_bytes", "Memory of this process that is in RAM"),
            open_files: to.some("process_open_fds", "Files and connections that this process has open"),
            registry: Registry::default(),
        };
        Self { registry: making.0, ..metrics }
    }

    pub(crate) fn served(&self, method: &Method, route: Route, status: StatusCode, took: Duration) {
        // Callers may invent methods.
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            Method::OPTIONS => "OPTIONS",
            _ => "other",
        };
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.rate_limited.inc();
        }
        self.requests.get_or_create(&Served { method, route: route.clone(), status: status.as_u16() }).inc();
        self.durations.get_or_create(&ByRoute { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn overloaded(&self) {
        self.overloaded.inc();
    }

    pub(crate) fn limit_breached(&self) {
        self.breaches.inc();
    }

    /// Says that this server publishes.
    pub(crate) fn publishes(&self) {
        self.publisher.set(1);
    }

    /// Hears of the steps of publications, which come one after the other.
    pub(crate) fn step(&self, step: Step) {
        let mut since = self.publishing_since.lock().unwrap_or_else(PoisonError::into_inner);
        match step {
            Step::Read => *since = Some(Instant::now()),
            Step::Committed => {
                if let Some(since) = since.take() {
                    self.publication_durations.observe(since.elapsed().as_secs_f64());
                }
            }
            Step::Built | Step::Signed | Step::Written => {}
        }
    }

    pub(crate) fn published(&self, publication: &Publication) {
        let kept_back = publication.refused.len() as u64;
        self.publications.inc();
        self.published_changes.inc_by(publication.changes.len() as u64);
        self.kept_back.inc_by(kept_back);
        self.sync_errors.inc_by(kept_back);
    }

    pub(crate) fn publish_failed(&self, code: &str) {
        self.publish_errors.get_or_create(&ByCode::of(code)).inc();
        self.sync_errors.inc();
    }

    /// Somebody waited so long for their change to be published, or to give up.
    pub(crate) fn waited_for_change(&self, took: Duration) {
        self.change_durations.observe(took.as_secs_f64());
    }

    pub(crate) fn head(&self, head: &SignedHead) {
        let said = head.head();
        let label = ByStream::of(&said.stream);
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.revisions.get_or_create(&label).set(number(said.revision.get()));
        self.issued.get_or_create(&label).set(said.issued_at.as_ms() / 1000);
        self.expires.get_or_create(&label).set(said.expires_at.as_ms() / 1000);
        let share = said.candidate.as_ref().map_or(0, |candidate| candidate.share_permille);
        self.trials.get_or_create(&label).set(f64::from(share) / 1000.0);
    }

    pub(crate) fn trial_halted(&self) {
        self.halted.inc();
    }

    pub(crate) fn followers(&self, stream: &Region, count: usize) {
        self.followers.get_or_create(&ByStream::of(stream)).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn content_served(&self, origin: Origin) {
        let from = if origin == Origin::Memory { "memory" } else { "database" };
        self.contents.get_or_create(&ByOrigin::of(from)).inc();
    }

    pub(crate) fn slice_served(&self, origin: Origin) {
        let from = if origin == Origin::Memory { "memory" } else { "signed" };
        self.slices.get_or_create(&ByOrigin::of(from)).inc();
    }

    /// An engine has refused a head of a stream; none where there is no such stream.
    pub(crate) fn refused(&self, stream: Option<&Region>, code: &str) {
        let stream = stream.map_or("unknown", Region::as_str);
        self.refused.get_or_create(&ByStreamAndCode::of(stream, code)).inc();
        self.sync_errors.inc();
    }

    /// How many engines stand how; those of no stream that there is under none.
    pub(crate) fn engines(&self, counts: HashMap<(Option<Region>, EngineState), i64>) {
        self.engines.set(counts.into_iter().map(|((stream, state), count)| {
            let stream = stream.as_ref().map_or("unknown", Region::as_str);
            (ByStreamAndState::of(stream, state.as_str()), count)
        }));
    }

    pub(crate) fn tenants(&self, counts: &TenantCounts) {
        let active = counts.by_status.iter().filter(|((_, status), _)| *status == Status::Active);
        self.active_tenants.set(active.map(|(_, count)| count).sum());
        let by_status = counts.by_status.iter();
        self.tenants.set(by_status.map(|((stream, status), count)| (ByStreamAndStatus::of(stream, status), *count)));
        self.plans.set(counts.by_plan.iter().map(|(plan, count)| (ByPlan::of(plan), *count)));
    }

    /// The database answered after so long, or did not.
    pub(crate) fn database(&self, answered: Option<Duration>) {
        self.database_up.set(i64::from(answered.is_some()));
        if let Some(took) = answered {
            self.database_durations.observe(took.as_secs_f64());
        }
    }

    /// How many connections there are.
    pub(crate) fn connections(&self, pool: &PgPool) {
        let (all, idle) = (i64::from(pool.size()), i64::try_from(pool.num_idle()).unwrap_or(i64::MAX));
        self.connections.get_or_create(&ByState::of("idle")).set(idle);
        self.connections.get_or_create(&ByState::of("used")).set((all - idle).max(0));
        self.most_connections.set(i64::from(pool.options().get_max_connections()));
    }

    /// All of it, in the text format.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        // Where there is no /proc, they stay at zero.
        self.resident.set(resident_bytes().unwrap_or_default());
        self.open_files.set(std::fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as i64));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn started_at() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::route;

    fn lines(metrics: &Metrics, of: &str) -> Vec<String> {
        let text = metrics.text().unwrap();
        let lines = text.lines().filter(|line| line.starts_with(of) && !line.starts_with('#'));
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn names_are_those_that_were_promised() {
        let metrics = Metrics::new();
        metrics.limit_breached();
        metrics.publish_failed("database_unreachable");
        let region: Region = "GCC-OM".parse().unwrap();
        metrics.tenants(&TenantCounts {
            by_status: HashMap::from([((region.clone(), Status::Active), 3), ((region, Status::Trial), 2)]),
            by_plan: HashMap::from([("growth".parse().unwrap(), 5)]),
        });
        for expected in [
            "saas_active_tenants 3",
            "saas_plan_distribution{plan=\"growth\"} 5",
            "saas_limit_breaches_total 1",
            "saas_catalog_sync_errors_total 1",
            "leasehold_tenants{stream=\"GCC-OM\",status=\"trial\"} 2",
            "leasehold_publish_errors_total{code=\"database_unreachable\"} 1",
        ] {
            let name = expected.split(['{', ' ']).next().unwrap();
            assert!(lines(&metrics, name).contains(&expected.to_owned()), "{expected}: {}", metrics.text().unwrap());
        }
        let build = format!("leasehold_build_info{{version=\"{VERSION}\"}} 1");
        assert_eq!(lines(&metrics, "leasehold_build"), [build]);
    }

    #[test]
    fn what_is_gone_is_not_shown() {
        let metrics = Metrics::new();
        for plans in [&["a", "b"][..], &["b", "c"], &[]] {
            let by_plan = plans.iter().map(|plan| (plan.parse().unwrap(), 1)).collect();
            metrics.tenants(&TenantCounts { by_plan, ..TenantCounts::default() });
            let expected: Vec<String> =
                plans.iter().map(|plan| format!("saas_plan_distribution{{plan=\"{plan}\"}} 1")).collect();
            assert_eq!(lines(&metrics, "saas_plan_distribution"), expected);
        }
    }

    #[test]
    fn callers_invent_no_labels() {
        let metrics = Metrics::new();
        for method in [Method::GET, "BREW".parse().unwrap(), "WHEN".parse().unwrap()] {
            metrics.served(&method, route::tests::none(), StatusCode::NOT_FOUND, Duration::ZERO);
        }
        let counted = [
            "leasehold_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
            "leasehold_http_requests_total{method=\"other\",route=\"none\",status=\"404\"} 2",
        ];
        assert_eq!(lines(&metrics, "leasehold_http_requests"), counted);
    }

    #[test]
    fn a_publication_takes_from_its_last_reading_to_its_commit() {
        let metrics = Metrics::new();
        for step in [Step::Read, Step::Built, Step::Read, Step::Built, Step::Signed, Step::Committed, Step::Committed] {
            metrics.step(step);
        }
        assert_eq!(
            lines(&metrics, "leasehold_publication_duration_seconds_count"),
            ["leasehold_publication_duration_seconds_count 1"]
        );
    }
}
