//! Fields in lines of the log: of spans as JSON, and for people.

use crate::words::printable;
use serde_json::Value;
use std::fmt::{self, Write as _};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::{MakeExt, RecordFields};
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};

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

/// Fields of a span as a JSON object. What is recorded later is added to the text that is there; the library's own reads all
/// of it again, for every field and every request.
#[derive(Debug)]
pub(super) struct Members;

impl<'w> FormatFields<'w> for Members {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        Members::write(writer, true, |members| fields.record(members))
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let open = current.fields.pop();
        let is_first = open.is_none() || current.fields.ends_with('{');
        if !current.fields.is_empty() {
            return Members::add(current.as_writer(), is_first, |members| fields.record(members));
        }
        Members::write(current.as_writer(), true, |members| fields.record(members))
    }
}

impl Members {
    fn write(mut writer: Writer<'_>, is_first: bool, record: impl FnOnce(&mut Object<'_>)) -> fmt::Result {
        writer.write_char('{')?;
        Self::add(writer, is_first, record)
    }

    fn add(writer: Writer<'_>, is_first: bool, record: impl FnOnce(&mut Object<'_>)) -> fmt::Result {
        let mut object = Object { writer, is_first, written: Ok(()) };
        record(&mut object);
        object.written?;
        object.writer.write_char('}')
    }
}

/// An object that is written, member by member.
struct Object<'w> {
    writer: Writer<'w>,
    is_first: bool,
    written: fmt::Result,
}

impl Object<'_> {
    fn member(&mut self, field: &Field, value: fmt::Arguments<'_>, is_text: bool) {
        if self.written.is_ok() {
            self.written = self.try_member(field.name(), value, is_text);
        }
    }

    fn try_member(&mut self, name: &str, value: fmt::Arguments<'_>, is_text: bool) -> fmt::Result {
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(',')?;
        }
        // Names are those that are written in this program.
        write!(self.writer, "\"{name}\":")?;
        if !is_text {
            return self.writer.write_fmt(value);
        }
        self.writer.write_char('"')?;
        Escaped(&mut self.writer).write_fmt(value)?;
        self.writer.write_char('"')
    }
}

impl Visit for Object<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, format_args!("{value:?}"), true);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field, format_args!("{value}"), true);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, format_args!("{value}"), false);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, format_args!("{value}"), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, format_args!("{value}"), false);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // What is no number in JSON is null.
        self.member(field, format_args!("{}", Value::from(value)), false);
    }
}

/// What is written here is a part of a JSON string.
struct Escaped<'a, 'w>(&'a mut Writer<'w>);

impl fmt::Write for Escaped<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            return self.0.write_str(text);
        }
        let quoted = Value::from(text).to_string();
        self.0.write_str(quoted.get(1..quoted.len() - 1).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

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

    #[test]
    fn spans_are_json_whatever_is_in_them_and_whenever_it_came() {
        let lines = Lines::default();
        let theirs = lines.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || theirs.clone());
        let layer = layer.json().flatten_event(true).with_span_list(false).fmt_fields(Members);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let empty = tracing::field::Empty;
            let later = tracing::info_span!("later", first = empty, second = empty);
            later.record("second", 2.5).record("first", "\"quoted\" \\ and\nbroken, عربي");
            later.in_scope(|| tracing::info!("one"));
            let span = tracing::info_span!("all", at = 7, on = true, method = %"GET", none = f64::NAN, late = empty);
            span.in_scope(|| tracing::info!("two"));
            span.record("late", format_args!("a{}", '"'));
            span.in_scope(|| tracing::info!("three"));
            tracing::info_span!("nothing").in_scope(|| tracing::info!("four"));
        });
        let lines = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let spans: Vec<Value> =
            lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["span"].clone()).collect();
        let all = json!({ "name": "all", "at": 7, "on": true, "method": "GET", "none": null });
        let mut late = all.clone();
        late["late"] = json!("a\"");
        let later = json!({ "name": "later", "second": 2.5, "first": "\"quoted\" \\ and\nbroken, عربي" });
        assert_eq!(spans, [later, all, late, json!({ "name": "nothing" })]);
    }

    /// Texts of others, in every way in which they come into a line: as values, as errors, in spans, recorded later.
    #[test]
    fn log_injection() {
        const HOSTILE: &str = "a\n2026-01-01T00:00:00Z ERROR forged: b\r\u{1b}[2J\u{9b}31m\u{202e}\u{7f}\t\0c";
        let log = |hostile: &str| {
            let empty = tracing::field::Empty;
            let error = io::Error::other(hostile.to_owned());
            let span = tracing::info_span!("request", tenant = hostile, later = empty, other = empty);
            span.record("later", hostile).record("other", format_args!("{error}"));
            span.in_scope(|| {
                tracing::warn!(error = %error, value = hostile, debug = ?error, "happened");
                tracing::warn!("{hostile}");
                tracing::error!(error = &error as &dyn std::error::Error, "failed");
            });
        };
        let lines = |layer: Box<dyn tracing_subscriber::Layer<tracing_subscriber::Registry> + Send + Sync>,
                     lines: Lines| {
            tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || log(HOSTILE));
            String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
        };
        let (people, machines) = (Lines::default(), Lines::default());
        let (for_them, for_those) = (people.clone(), machines.clone());
        let text = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || for_them.clone());
        let json = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
        let json = json.fmt_fields(Members).with_writer(move || for_those.clone());
        let text = lines(tracing_subscriber::Layer::boxed(text.fmt_fields(for_people())), people);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with('\n') && text.lines().all(|line| !line.contains(char::is_control)), "{text:?}");
        assert!(!text.contains('\u{202e}') && text.lines().all(|line| line.contains("forged")), "{text:?}");
        let json = lines(tracing_subscriber::Layer::boxed(json), machines);
        let told: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(told.len(), 3, "{json}");
        assert!(!json.contains('\u{1b}') && !json.contains('\r'), "{json:?}");
        assert_eq!(
            (&told[0]["value"], &told[0]["error"], &told[1]["message"]),
            (&json!(HOSTILE), &json!(HOSTILE), &json!(HOSTILE))
        );
        assert_eq!((&told[0]["span"]["tenant"], &told[0]["span"]["other"]), (&json!(HOSTILE), &json!(HOSTILE)));
    }
}
