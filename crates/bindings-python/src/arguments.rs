//! Arguments, read before anything is asked. Whatever cannot be meant is an error of the call, never a guess.

use crate::failure::{Failure, Result};
use leasehold::Timestamp;
use leasehold::bindings;
use leasehold::model::Action;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDate, PyDateTime, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple};
use serde_json::{Map, Value};

/// What was passed in.
pub(crate) type Given<'a, 'py> = &'a Bound<'py, PyAny>;

/// What a value is called in messages.
fn kind(value: Given<'_, '_>) -> String {
    if value.is_none() {
        return "None".to_owned();
    }
    // A class may have any name, or none that can be read.
    value.get_type().name().map_or_else(|_| "of a strange type".to_owned(), |name| format!("of type `{name}`"))
}

/// A text.
pub(crate) fn text<'a>(name: &str, value: Given<'a, '_>) -> Result<&'a str> {
    let text =
        value.cast::<PyString>().map_err(|_| Failure::argument(format!("`{name}` is a str, not {}", kind(value))))?;
    text.to_str()
        .map_err(|_| Failure::argument(format!("`{name}` holds a lone surrogate, which no text of Unicode has")))
}

/// A text, where there is one.
pub(crate) fn text_or_none<'a>(name: &str, value: Option<Given<'a, '_>>) -> Result<Option<&'a str>> {
    value.map(|value| text(name, value)).transpose()
}

/// Bytes.
pub(crate) fn bytes<'a>(name: &str, value: Given<'a, '_>) -> Result<&'a [u8]> {
    let bytes = value.cast::<PyBytes>().map_err(|_| {
        let hint = if value.is_instance_of::<PyString>() { ": `.encode()` makes bytes of a text" } else { "" };
        Failure::argument(format!("`{name}` is bytes, not {}{hint}", kind(value)))
    })?;
    Ok(bytes.as_bytes())
}

/// An integer that the engine or an argument bounds further: one that is too great for 64 bits is as great as they can tell.
pub(crate) fn integer(name: &str, value: Given<'_, '_>) -> Result<i64> {
    // `True` is 1 to Python, and most likely a mistake here.
    if value.is_instance_of::<PyBool>() {
        return Err(Failure::argument(format!("`{name}` is an int, not a bool")));
    }
    value.extract().or_else(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            return Ok(if value.lt(0)? { -1 } else { i64::MAX });
        }
        let hint = if value.is_instance_of::<PyFloat>() { ": `int(…)` makes one of it" } else { "" };
        Err(Failure::argument(format!("`{name}` is an int, not {}{hint}", kind(value))))
    })
}

/// An integer within bounds, such as a version.
pub(crate) fn whole<T: TryFrom<i64>>(name: &str, value: Given<'_, '_>, most: &str) -> Result<T> {
    T::try_from(integer(name, value)?)
        .map_err(|_| Failure::argument(format!("`{name}` is an integer from 0 to {most}")))
}

/// The greatest version.
pub(crate) const MOST_VERSION: &str = "4294967295";

/// A bool.
pub(crate) fn yes_or_no(name: &str, value: Given<'_, '_>) -> Result<bool> {
    let flag =
        value.cast::<PyBool>().map_err(|_| Failure::argument(format!("`{name}` is a bool, not {}", kind(value))))?;
    Ok(flag.is_true())
}

/// What is done with a feature.
pub(crate) fn action(value: Option<Given<'_, '_>>) -> Result<Action> {
    match text_or_none("action", value)? {
        None | Some("use") => Ok(Action::Use),
        Some("read") => Ok(Action::Read),
        Some(other) => Err(Failure::argument(format!("`action` is use or read, not `{other}`"))),
    }
}

fn at(ms: i64) -> Result<Timestamp> {
    Ok(bindings::at(ms)?)
}

/// A point in time; without one, the clock's.
#[inline]
pub(crate) fn instant(name: &str, value: Option<Given<'_, '_>>) -> Result<Timestamp> {
    match value {
        None => at(clock()),
        Some(value) => given_instant(name, value),
    }
}

/// The milliseconds since 1970. The kernel's coarse clock is read in a fraction of the time, and is behind by one tick at the
/// most, which is 1 to 10 ms.
#[cfg(target_os = "linux")]
fn clock() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}

/// The milliseconds since 1970.
#[cfg(not(target_os = "linux"))]
fn clock() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    let ms = |elapsed: std::time::Duration| i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms)
}

fn given_instant(name: &str, value: Given<'_, '_>) -> Result<Timestamp> {
    let refused = |why: &str| {
        let wanted = "pass milliseconds since 1970, or an aware `datetime`";
        Err(Failure::argument(format!("`{name}` is not an instant: {why}; {wanted}")))
    };
    if value.is_instance_of::<PyBool>() {
        return refused("it is a bool");
    }
    if value.is_instance_of::<PyInt>() {
        return value.extract().map_or_else(|_| refused("it is an int far beyond the calendar"), at);
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        let ms = float.value().floor();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of floats saturates, and the calendar is narrower"
        )]
        return if ms.is_finite() { at(ms as i64) } else { refused("it is not a finite number") };
    }
    if value.is_instance_of::<PyDateTime>() {
        return of_datetime(value)?.map_or_else(|| {
            let hint = "it is a naive `datetime`, of which nobody knows the time zone: `datetime.now(timezone.utc)` is aware";
            refused(hint)
        }, at);
    }
    if value.is_instance_of::<PyDate>() {
        return refused("it is a `date`, which has no time of day");
    }
    refused(&format!("it is {}", kind(value)))
}

/// The milliseconds since 1970 of a `datetime`; nothing where it is naive.
fn of_datetime(value: Given<'_, '_>) -> Result<Option<i64>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    if value.call_method0("utcoffset")?.is_none() {
        return Ok(None);
    }
    let epoch = EPOCH.get_or_try_init(py, || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        Ok::<_, PyErr>(datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?.unbind())
    })?;
    let since = value.sub(epoch)?;
    let part = |name| since.getattr(name)?.extract::<i64>();
    let [days, seconds, microseconds] = [part("days")?, part("seconds")?, part("microseconds")?];
    // Python knows the years 1 to 9999: nothing here comes near to what 64 bits hold.
    Ok(Some((days * 86_400 + seconds) * 1_000 + microseconds.div_euclid(1_000)))
}

/// Several texts: any iterable of them, but not a text, which is an iterable of its letters.
pub(crate) fn texts(name: &str, value: Given<'_, '_>) -> Result<Vec<String>> {
    if value.is_instance_of::<PyString>() {
        return Err(Failure::argument(format!("`{name}` is a sequence of str, not one str: put it in a list")));
    }
    let items = value
        .try_iter()
        .map_err(|_| Failure::argument(format!("`{name}` is a sequence of str, not {}", kind(value))))?;
    items.map(|item| text(name, &item?).map(str::to_owned)).collect()
}

/// What is known of an item, by the names of inputs.
pub(crate) fn inputs(value: Option<Given<'_, '_>>) -> Result<Map<String, Value>> {
    let Some(value) = value else {
        return Ok(Map::new());
    };
    let mut inputs = Map::new();
    let mut take = |name: Given<'_, '_>, value: Given<'_, '_>| {
        let name = text("inputs", name)?.to_owned();
        let value = input(&name, value)?;
        inputs.insert(name, value);
        Ok::<_, Failure>(())
    };
    if let Ok(dict) = value.cast::<PyDict>() {
        dict.iter().try_for_each(|(name, value)| take(&name, &value))?;
    } else {
        let refused = |_| Failure::argument(format!("`inputs` is a mapping, not {}", kind(value)));
        for pair in value.cast::<PyMapping>().map_err(refused)?.items()? {
            let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
            take(&name, &value)?;
        }
    }
    Ok(inputs)
}

/// One input: what guards know. What is of another type is told by the guard that asks for it.
fn input(name: &str, value: Given<'_, '_>) -> Result<Value> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true().into());
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(integer(name, value)?.into());
    }
    if value.is_instance_of::<PyString>() {
        return Ok(text(name, value)?.into());
    }
    if (value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>())
        && let Some(items) =
            value.try_iter()?.map(|item| Ok(text(name, &item?).ok().map(Value::from))).collect::<Result<_>>()?
    {
        return Ok(Value::Array(items));
    }
    Ok(bindings::argument(name, &json(name, value)?)?)
}

/// A value as JSON.
pub(crate) fn json<'py>(name: &str, value: Given<'_, 'py>) -> Result<String> {
    static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = value.py();
    let options = PyDict::new(py);
    options.set_item("allow_nan", false)?;
    options.set_item("ensure_ascii", false)?;
    let written = DUMPS.import(py, "json", "dumps")?.call((value,), Some(&options));
    let written = written
        .map_err(|error| Failure::argument(format!("`{name}` cannot be written as JSON: {}", error.value(py))))?;
    Ok(text(name, &written)?.to_owned())
}

/// A mapping as JSON.
pub(crate) fn json_object(name: &str, value: Given<'_, '_>) -> Result<String> {
    if value.is_instance_of::<PyDict>() {
        return json(name, value);
    }
    let refused = |_| Failure::argument(format!("`{name}` is a mapping, not {}", kind(value)));
    let mapping = value.cast::<PyMapping>().map_err(refused)?;
    let dict = PyDict::new(value.py());
    dict.update(mapping)?;
    json(name, &dict)
}

/// Whom to believe: JSON text or a mapping, of the stream that is named beside it, where one is.
pub(crate) fn trust(value: Given<'_, '_>, stream: Option<Given<'_, '_>>) -> Result<leasehold::wire::Trust> {
    let mut written = if value.is_instance_of::<PyString>() {
        text("trust", value)?.to_owned()
    } else {
        json_object("trust", value)?
    };
    if let Some(stream) = text_or_none("stream", stream)? {
        let mut said: Value = bindings::argument("trust", &written)?;
        if let Some(members) = said.as_object_mut() {
            members.insert("stream".to_owned(), stream.into());
        }
        written = said.to_string();
    }
    Ok(leasehold::wire::Trust::from_json(written.as_bytes())?)
}
