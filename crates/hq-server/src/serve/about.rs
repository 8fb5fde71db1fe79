//! What lines of the log are about: the request that is under way, or the publication that somebody asked for.
//!
//! It goes with the task, and becomes text only where a line is written. Spans of `tracing` would be written out for each
//! request, and thrown away: of most, nothing is logged. Where traces are sent, there are spans besides.

use super::route::Route;
use super::telemetry::{self, TraceId};
use super::who::Caller;
use crate::words::printable;
use axum::http::Method;
use leasehold::TenantId;
use leasehold_postgres::hq::Actor;
use serde::Serialize;
use std::fmt;
use std::sync::{Arc, OnceLock};
use tracing::field::Field;
use tracing::{Event, Span, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, format};
use tracing_subscriber::registry::LookupSpan;

tokio::task_local! {
    static ABOUT: About;
}

/// What a task is about.
#[derive(Debug)]
pub(super) struct About {
    what: What,
    trace: Option<TraceId>,
    tenant: OnceLock<TenantId>,
    caller: OnceLock<Arc<Caller>>,
}

#[derive(Debug)]
enum What {
    Request(Method, Route),
    /// What the publisher is to do.
    Publication(&'static str),
}

impl About {
    pub(super) fn request(method: Method, route: Route, trace: TraceId) -> Self {
        Self::of(What::Request(method, route), Some(trace))
    }

    /// A publication that somebody asked for, as a part of a trace.
    pub(super) fn publication(wish: &'static str, trace: Option<TraceId>) -> Self {
        Self::of(What::Publication(wish), trace)
    }

    fn of(what: What, trace: Option<TraceId>) -> Self {
        Self { what, trace, tenant: OnceLock::new(), caller: OnceLock::new() }
    }

    /// Whatever is logged in it is about this.
    pub(super) fn scope<F: Future>(self, task: F) -> impl Future<Output = F::Output> {
        ABOUT.scope(self, task)
    }

    fn told(&self) -> Told<'_> {
        let (name, method, route, wish) = match &self.what {
            What::Request(method, route) => ("request", Some(method.as_str()), Some(route.as_str()), None),
            What::Publication(wish) => ("publish", None, None, Some(*wish)),
        };
        Told {
            name,
            method,
            route,
            wish,
            trace_id: self.trace.as_ref().map(TraceId::as_str),
            tenant: self.tenant.get().map(TenantId::as_str),
            caller: self.caller.get().map(|caller| caller.name.as_str()),
        }
    }
}

/// The trace that this task is part of.
pub(super) fn trace() -> Option<TraceId> {
    ABOUT.try_with(|about| about.trace).ok().flatten()
}

/// Who does it, by name, as a part of its trace: for the audit log.
pub(super) fn actor(name: &str) -> Actor {
    Actor { trace_id: trace().map(|trace| trace.as_str().to_owned()), ..Actor::new(name) }
}

/// The tenant that this is about.
pub(super) fn tenant(tenant: &TenantId) {
    let _ = ABOUT.try_with(|about| about.tenant.set(tenant.clone()));
    record("tenant", tenant.as_str());
}

/// Who asks for it.
pub(super) fn caller(caller: &Arc<Caller>) {
    let _ = ABOUT.try_with(|about| about.caller.set(caller.clone()));
    record("caller", &caller.name);
}

/// Says it in the trace as well, where there is one to be sent.
fn record(field: &str, value: &str) {
    if telemetry::are_traces_sent() {
        Span::current().record(field, value);
    }
}

/// What a line says of what it is about.
#[derive(Serialize)]
struct Told<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wish: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<&'a str>,
}

/// Lines as JSON, each with what it is about as the member `span`.
pub(super) struct ForMachines(format::Format<format::Json>);

/// Lines for people, each with what it is about at its end.
pub(super) struct ForPeople(format::Format);

impl ForMachines {
    pub(super) fn new() -> Self {
        let format = tracing_subscriber::fmt::format().json().flatten_event(true).with_ansi(false);
        Self(format.with_current_span(false).with_span_list(false))
    }
}

impl ForPeople {
    pub(super) fn new(ansi: bool) -> Self {
        Self(tracing_subscriber::fmt::format().with_ansi(ansi))
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>, N: for<'w> FormatFields<'w> + 'static> FormatEvent<S, N> for ForMachines {
    fn format_event(&self, of: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(of, Writer::new(&mut line), event)?;
        let added = ABOUT.try_with(|about| serde_json::to_string(&about.told()));
        match (added, line.strip_suffix("}\n")) {
            (Ok(Ok(about)), Some(open)) => writeln!(writer, "{open},\"span\":{about}}}"),
            _ => writer.write_str(&line),
        }
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>, N: for<'w> FormatFields<'w> + 'static> FormatEvent<S, N> for ForPeople {
    fn format_event(&self, of: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::new();
        self.0.format_event(of, Writer::new(&mut line), event)?;
        writer.write_str(line.trim_end_matches('\n'))?;
        let added = ABOUT.try_with(|about| {
            let Told { method, route, wish, trace_id, tenant, caller, .. } = about.told();
            let all = [("wish", wish), ("trace_id", trace_id), ("tenant", tenant), ("caller", caller)];
            let asked = method.zip(route).map(|(method, route)| write!(writer, " {} {route}", printable(method)));
            asked.unwrap_or(Ok(()))?;
            let mut told = all.into_iter().filter_map(|(name, value)| Some((name, value?)));
            told.try_for_each(|(name, value)| write!(writer, " {name}={}", printable(value)))
        });
        added.unwrap_or(Ok(()))?;
        writer.write_char('\n')
    }
}

/// Fields for people. Whatever is in them stays in its line, and steers no terminal; the library's own write the texts of
/// errors as they are.
pub(super) fn for_people() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    let write = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => writer.write_str(&value),
            name => write!(writer, "{name}={value}"),
        }
    };
    debug_fn(write).delimited(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::route;
    use crate::serve::who::{Rights, Role};
    use serde_json::{Value, json};
    use std::io;
    use std::sync::Mutex;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, Registry};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn json(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
            let lines = self.clone();
            let layer = tracing_subscriber::fmt::layer().with_writer(move || lines.clone());
            layer.event_format(ForMachines::new()).fmt_fields(format::JsonFields::new()).boxed()
        }

        fn text_for_people(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
            let lines = self.clone();
            let layer = tracing_subscriber::fmt::layer().with_writer(move || lines.clone());
            layer.event_format(ForPeople::new(false)).fmt_fields(for_people()).boxed()
        }
    }

    fn named(name: &str) -> Arc<Caller> {
        let (name, id) = (name.to_owned(), "1".to_owned());
        Arc::new(Caller { name, rights: Rights::Role(Role::Auditor), region: None, tenant: None, id })
    }

    async fn log() {
        tracing::info!("outside");
        let request = About::request(Method::GET, route::tests::none(), TraceId::of([0xab; 16]));
        request
            .scope(async {
                tracing::info!(status = 404, "nobody");
                tenant(&"om-muscat".parse().unwrap());
                caller(&named("\"ada\""));
                tracing::info!("somebody");
            })
            .await;
        About::publication("halt", None).scope(async { tracing::info!("publisher") }).await;
    }

    #[tokio::test]
    async fn lines_say_what_they_are_about() {
        let (machines, people) = (Lines::default(), Lines::default());
        for layer in [machines.json(), people.text_for_people()] {
            let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
            log().await;
        }
        let told: Vec<Value> = machines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let trace = "ab".repeat(16);
        let request = json!({ "name": "request", "method": "GET", "route": "none", "trace_id": trace });
        let mut whole = request.clone();
        whole["tenant"] = json!("om-muscat");
        whole["caller"] = json!("\"ada\"");
        let spans: Vec<&Value> = told.iter().map(|line| &line["span"]).collect();
        assert_eq!(spans, [&Value::Null, &request, &whole, &json!({ "name": "publish", "wish": "halt" })]);
        assert_eq!((&told[1]["status"], &told[1]["message"]), (&json!(404), &json!("nobody")));
        let text = people.text();
        let ends: Vec<String> = ["outside", "nobody", "somebody", "publisher"]
            .iter()
            .zip(text.lines())
            .map(|(from, line)| line.split_once(from).unwrap().1.to_owned())
            .collect();
        let end = format!(" GET none trace_id={trace}");
        let somebody = format!("{end} tenant=om-muscat caller=\"ada\"");
        assert_eq!(ends, ["", &format!(" status=404{end}"), &somebody, " wish=halt"]);
    }

    /// Texts of others, in every way in which they come into a line: as values, as errors, as who asks.
    #[tokio::test]
    async fn log_injection() {
        const HOSTILE: &str = "a\n2026-01-01T00:00:00Z ERROR forged: b\r\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\t\0c";
        let (machines, people) = (Lines::default(), Lines::default());
        for layer in [machines.json(), people.text_for_people()] {
            let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
            let request = About::request(Method::GET, route::tests::none(), TraceId::of([1; 16]));
            let hostile = async {
                caller(&named(HOSTILE));
                let error = io::Error::other(HOSTILE);
                tracing::warn!(error = %error, value = HOSTILE, debug = ?error, "happened");
                tracing::warn!("{HOSTILE}");
                tracing::error!(error = &error as &dyn std::error::Error, "failed");
            };
            request.scope(hostile).await;
        }
        let (text, json) = (people.text(), machines.text());
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with('\n') && text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
        assert!(!text.contains('\u{202e}') && text.lines().all(|line| line.contains("forged")), "{text:?}");
        let told: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.len(), 3, "{json}");
        assert!(!json.contains('\u{1b}') && !json.contains('\r'), "{json:?}");
        assert_eq!(
            (&told[0]["value"], &told[0]["error"], &told[1]["message"]),
            (&json!(HOSTILE), &json!(HOSTILE), &json!(HOSTILE))
        );
        assert!(told.iter().all(|line| line["span"]["caller"] == HOSTILE), "{json}");
    }
}
