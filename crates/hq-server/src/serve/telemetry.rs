//! What is told of what goes on: logs, traces, and the trace that a request is part of.

use super::about::{ForMachines, ForPeople, for_people};
use super::config::{LogFormat, Telemetry};
use super::route::Route;
use crate::failure::Failure;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Status, TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider};
use std::io::IsTerminal;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::{Level, Metadata, Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What traces name this program by.
const SERVICE: &str = "leasehold-hq";
/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How long a collector may take to take what it is sent.
const EXPORT: Duration = Duration::from_secs(10);
/// How long the end waits for what was not sent yet.
const FLUSH: Duration = Duration::from_secs(5);
/// Longest answer of a collector that is read, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Whether traces are sent. A process tells of one server.
static SENT: AtomicBool = AtomicBool::new(false);

/// Whether traces are sent: what only they need costs nothing where they are not.
pub(super) fn are_traces_sent() -> bool {
    SENT.load(Ordering::Relaxed)
}

/// The trace that a request is part of: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

impl TraceId {
    pub(crate) fn of(id: [u8; 16]) -> Self {
        let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
        let mut digits = [0; 32];
        for (two, byte) in digits.chunks_exact_mut(2).zip(id) {
            two.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What is told of a request while it is under way.
#[derive(Debug)]
pub(crate) struct Told {
    /// Where traces are sent.
    pub(crate) span: Span,
    pub(crate) trace: TraceId,
}

impl Told {
    /// Begins to tell of a request. It is part of the trace that its `traceparent` names (W3C Trace Context), or begins one.
    pub(crate) fn of(method: &Method, route: &Route, headers: &HeaderMap) -> Self {
        let (empty, word, path) = (field::Empty, method.as_str(), route.as_str());
        // Whoever only asks whether the server lives, and how it does, is no part of a trace that is sent.
        let sent = are_traces_sent() && !route.is_probe();
        let span = if sent {
            tracing::info_span!(
                "request",
                method = word,
                route = path,
                trace_id = empty,
                tenant = empty,
                caller = empty,
                status = empty,
                otel.kind = "server",
                otel.name = format!("{method} {path}"),
            )
        } else {
            Span::none()
        };
        let mut trace = opentelemetry::TraceId::INVALID;
        if headers.contains_key(TRACEPARENT) {
            let caller = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
            trace = caller.span().span_context().trace_id();
            if sent && trace != opentelemetry::TraceId::INVALID {
                // Where the span is not sent, there is nobody to tell.
                let _ = span.set_parent(caller);
            }
        }
        if sent && trace == opentelemetry::TraceId::INVALID {
            trace = span.context().span().span_context().trace_id();
        }
        if trace == opentelemetry::TraceId::INVALID {
            trace = RandomIdGenerator::default().new_trace_id();
        }
        let trace = TraceId::of(trace.to_bytes());
        span.record("trace_id", trace.as_str());
        Self { span, trace }
    }

    /// Says how a request was answered: with the code of the problem, where it was one.
    pub(crate) fn answered(&self, status: StatusCode, code: Option<&str>, took: Duration) {
        let (number, ms) = (status.as_u16(), took.as_secs_f64() * 1000.0);
        self.span.record("status", number);
        match number {
            500.. => tracing::error!(status = number, code, ms, "answered"),
            400.. => tracing::info!(status = number, code, ms, "answered"),
            _ => tracing::debug!(status = number, ms, "answered"),
        }
        if status.is_server_error() {
            self.span.set_status(Status::error(code.unwrap_or_default().to_owned()));
        }
    }
}

/// Tells for as long as it is there. What was not sent by then is sent before it ends.
#[derive(Debug)]
#[must_use]
pub(crate) struct Telling(Option<SdkTracerProvider>);

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(traces) = &self.0
            && traces.shutdown_with_timeout(FLUSH).is_err()
        {
            tracing::warn!("the last traces could not be sent");
        }
    }
}

/// Starts to log, and to send traces where it says to whom.
pub(crate) fn start(settings: &Telemetry) -> Result<Telling, Failure> {
    let wrong = |what: String| Failure::wrong("bad_configuration", what);
    let filter = settings.log.as_deref().unwrap_or("info");
    let filter =
        EnvFilter::try_new(filter).map_err(|error| wrong(format!("`{filter}` is no filter of logs: {error}")))?;
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.log_format {
        Some(format) => format == LogFormat::Json,
        None => !terminal,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let lines = if json {
        lines.event_format(ForMachines::new()).with_ansi(false).fmt_fields(JsonFields::new()).boxed()
    } else {
        lines.event_format(ForPeople::new(terminal)).fmt_fields(for_people()).boxed()
    };
    // Spans are for traces: lines say by themselves what they are about.
    let filter = filter.and(filter_fn(|about| !about.is_span()));
    let traces =
        settings.otlp_endpoint.as_ref().map(|endpoint| traces(endpoint.reveal())).transpose().map_err(wrong)?;
    let sent = traces.as_ref().map(|traces| {
        let layer = tracing_opentelemetry::layer().with_tracer(traces.tracer(SERVICE));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_target(false);
        // Whatever is logged: what this program itself tells, and nothing of what libraries do.
        layer.with_filter(filter_fn(is_traced).with_max_level_hint(LevelFilter::INFO))
    });
    let registry = tracing_subscriber::registry().with(lines.with_filter(filter)).with(sent);
    registry.try_init().map_err(|error| Failure::internal(format!("logging cannot start: {error}")))?;
    SENT.store(traces.is_some(), Ordering::Relaxed);
    Ok(Telling(traces))
}

fn is_traced(about: &Metadata<'_>) -> bool {
    *about.level() <= Level::INFO && about.target().starts_with("leasehold")
}

/// Sends traces to a collector, from a thread of its own.
fn traces(endpoint: &str) -> Result<SdkTracerProvider, String> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Carrier::new())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT)
        .build()
        .map_err(|_| "telemetry.otlp_endpoint is no address, as `http://127.0.0.1:4318`")?;
    let version = opentelemetry::KeyValue::new("service.version", VERSION);
    let resource = Resource::builder().with_service_name(SERVICE).with_attribute(version).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Carries traces to a collector. One that cannot be reached costs a line in the log, and one more when it can be again.
#[derive(Debug)]
struct Carrier {
    agent: ureq::Agent,
    failing: AtomicBool,
}

impl Carrier {
    fn new() -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(EXPORT)).http_status_as_error(false);
        Self { agent: config.max_redirects(0).build().into(), failing: AtomicBool::new(false) }
    }

    fn carry(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let body: &[u8] = &body;
        let mut response = self.agent.run(Request::from_parts(parts, body))?;
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec()?;
        Ok(response.map(|_| Bytes::from(body)))
    }

    fn tell(&self, why: Option<String>) {
        let failed = self.failing.swap(why.is_some(), Ordering::Relaxed);
        match why {
            Some(why) if !failed => tracing::warn!(why, "traces cannot be sent; they are dropped until they can"),
            None if failed => tracing::info!("traces can be sent again"),
            _ => {}
        }
    }
}

impl HttpClient for Carrier {
    fn send_bytes<'s, 'sending>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        's: 'sending,
        Self: 'sending,
    {
        // The exporter has a thread of its own, which may wait.
        let sent = self.carry(request);
        self.tell(match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answers {}", response.status())),
            Err(error) => Some(error.to_string()),
        });
        Box::pin(std::future::ready(sent.map_err(HttpError::from)))
    }
}
