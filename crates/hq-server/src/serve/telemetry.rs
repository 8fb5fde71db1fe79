//! What is told of what goes on: logs, and the trace that a request is part of.

use super::config::{LogFormat, Telemetry};
use crate::failure::Failure;
use axum::http::request::Parts;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The trace that a request is part of: 32 hexadecimal digits.
#[derive(Debug, Clone)]
pub(crate) struct TraceId(pub(crate) String);

/// The trace of a request, for the audit log.
pub(crate) fn trace_id(parts: &Parts) -> Option<String> {
    parts.extensions.get::<TraceId>().map(|trace| trace.0.clone())
}

impl TraceId {
    /// The one that a `traceparent` names (W3C Trace Context), or a new one.
    pub(crate) fn of(traceparent: Option<&str>) -> Self {
        let named = traceparent.and_then(|text| {
            let mut parts = text.split('-');
            let (version, trace) = (parts.next()?, parts.next()?);
            let hex = |text: &str| text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
            let good = version.len() == 2 && hex(version) && version != "ff" && trace.len() == 32 && hex(trace);
            (good && trace.bytes().any(|digit| digit != b'0')).then(|| trace.to_owned())
        });
        Self(named.unwrap_or_else(|| {
            let mut bytes = [0; 16];
            // Without chance, traces are hard to tell apart; requests are served all the same.
            let _ = getrandom::fill(&mut bytes);
            format!("{:032x}", u128::from_be_bytes(bytes).max(1))
        }))
    }
}

/// Starts to log.
pub(crate) fn start(settings: &Telemetry) -> Result<(), Failure> {
    let filter = settings.log.as_deref().unwrap_or("info");
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::wrong("bad_configuration", format!("`{filter}` is no filter of logs: {error}")))?;
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.log_format {
        Some(format) => format == LogFormat::Json,
        None => !terminal,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let started = if json {
        registry.with(lines.json().flatten_event(true).with_span_list(false).with_ansi(false)).try_init()
    } else {
        registry.with(lines).try_init()
    };
    started.map_err(|error| Failure::internal(format!("logging cannot start: {error}")))
}
