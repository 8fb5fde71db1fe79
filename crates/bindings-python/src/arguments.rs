//! Arguments, read before anything is asked. Whatever cannot be meant is an error of the call, never a guess.

use crate::answer::Held;
use crate::failure::{Failure, Result};
use leasehold::Timestamp;
use leasehold::bindings;
use leasehold::model::Action;
use pyo3::PyTypeCheck;
use pyo3::exceptions::{PyOverflowError, PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{
    PyBool, PyBytes, PyDate, PyDateTime, PyDict, PyFloat, PyInt, PyIterator, PyList, PyMapping, PyString, PyTuple,
    PyType,
};
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
            return Ok(if value.lt(0)? { i64::MIN } else { i64::MAX });
        }
        if !error.is_instance_of::<PyTypeError>(value.py()) {
            return Err(error.into());
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
    // What is asked most: an int, and nothing that inherits from it, as a bool does.
    if let Ok(ms) = value.cast_exact::<PyInt>()
        && let Ok(ms) = ms.extract()
    {
        return at(ms);
    }
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
        let naive =
            "it is a naive `datetime`, of which nobody knows the time zone: `datetime.now(timezone.utc)` is aware";
        return match of_datetime(value)? {
            None => refused(naive),
            // A class that inherits from `datetime` may have any difference.
            Some(since) => since.map_or_else(|| refused("it is beyond every calendar"), at),
        };
    }
    if value.is_instance_of::<PyDate>() {
        return refused("it is a `date`, which has no time of day");
    }
    refused(&format!("it is {}", kind(value)))
}

/// The milliseconds since 1970 of a `datetime`, where they can be counted; nothing where it is naive.
fn of_datetime(value: Given<'_, '_>) -> Result<Option<Option<i64>>> {
    static EPOCH: Held = Held::new("leasehold._answer", "EPOCH");
    let py = value.py();
    if value.call_method0("utcoffset")?.is_none() {
        return Ok(None);
    }
    let since = value.sub(EPOCH.get(py)?)?;
    let part = |name| since.getattr(name)?.extract::<i64>();
    let [days, seconds, microseconds] = [part("days")?, part("seconds")?, part("microseconds")?];
    let ms = || {
        days.checked_mul(86_400)?.checked_add(seconds)?.checked_mul(1_000)?.checked_add(microseconds.div_euclid(1_000))
    };
    Ok(Some(ms()))
}

/// Several texts, which stay what they are while others run.
pub(crate) fn held_texts(name: &str, value: Given<'_, '_>) -> Result<Vec<PyBackedStr>> {
    let held = |item: PyResult<Bound<'_, PyAny>>| {
        let item = item?;
        text(name, &item)?;
        Ok(item.extract::<PyBackedStr>()?)
    };
    several(name, value)?.map(held).collect()
}

fn several<'py>(name: &str, value: Given<'_, 'py>) -> Result<Bound<'py, PyIterator>> {
    if value.is_instance_of::<PyString>() {
        return Err(Failure::argument(format!("`{name}` is a sequence of str, not one str: put it in a list")));
    }
    iterated(value, || Failure::argument(format!("`{name}` is a sequence of str, not {}", kind(value))))
}

/// Several texts: any iterable of them, but not a text, which is an iterable of its letters.
pub(crate) fn texts(name: &str, value: Given<'_, '_>) -> Result<Vec<String>> {
    several(name, value)?.map(|item| text(name, &item?).map(str::to_owned)).collect()
}

/// Goes through something; what it raises is its own, unless it cannot be gone through at all.
pub(crate) fn iterated<'py>(
    value: Given<'_, 'py>,
    refused: impl FnOnce() -> Failure,
) -> Result<Bound<'py, PyIterator>> {
    value.try_iter().map_err(
        |error| {
            if error.is_instance_of::<PyTypeError>(value.py()) { refused() } else { error.into() }
        },
    )
}

/// One of our own classes.
pub(crate) fn instance<'a, 'py, T: PyTypeCheck>(
    name: &str,
    value: Given<'a, 'py>,
    hint: &str,
) -> Result<&'a Bound<'py, T>> {
    value.cast::<T>().map_err(|_| Failure::argument(format!("`{name}` is not {}: {hint}", kind(value))))
}

/// The members of a mapping, each read.
pub(crate) fn pairs<R>(
    name: &str,
    value: Given<'_, '_>,
    read: impl Fn(&str, Given<'_, '_>) -> Result<R>,
) -> Result<Vec<(String, R)>> {
    let pair = |key: Given<'_, '_>, value: Given<'_, '_>| {
        let key = text(name, key)?.to_owned();
        let value = read(&key, value)?;
        Ok((key, value))
    };
    // What inherits from a dict may have other members than it holds.
    if let Ok(dict) = value.cast_exact::<PyDict>() {
        return dict.iter().map(|(key, value)| pair(&key, &value)).collect();
    }
    let refused = |_| Failure::argument(format!("`{name}` is a mapping, not {}", kind(value)));
    let items = value.cast::<PyMapping>().map_err(refused)?.items()?;
    items
        .iter()
        .map(|item| item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>())
        .map(|item| {
            let (key, value) = item?;
            pair(&key, &value)
        })
        .collect()
}

/// What is known of an item, by the names of inputs.
pub(crate) fn inputs(value: Option<Given<'_, '_>>) -> Result<Map<String, Value>> {
    Ok(value.map_or_else(|| Ok(Vec::new()), |value| pairs("inputs", value, input))?.into_iter().collect())
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
    static DUMPS: Held = Held::new("json", "dumps");
    let py = value.py();
    let options = PyDict::new(py);
    options.set_item("allow_nan", false)?;
    options.set_item("ensure_ascii", false)?;
    let written = DUMPS.get(py)?.call((value,), Some(&options));
    let written = written.map_err(|error| {
        // What else is raised is the caller's own, from within a mapping or an iterable.
        let is = |class: Bound<'_, PyType>| error.matches(py, class).unwrap_or(false);
        if is(py.get_type::<PyTypeError>())
            || is(py.get_type::<PyValueError>())
            || is(py.get_type::<PyRecursionError>())
        {
            Failure::argument(format!("`{name}` cannot be written as JSON: {}", error.value(py)))
        } else {
            error.into()
        }
    })?;
    keys_are_texts(name, value)?;
    Ok(text(name, &written)?.to_owned())
}

/// Fails where a key is no text: JSON would make one of it. Called once the value was written, so that it has an end.
fn keys_are_texts(name: &str, value: Given<'_, '_>) -> Result<()> {
    if let Ok(dict) = value.cast::<PyDict>() {
        return dict.iter().try_for_each(|(key, value)| {
            if !key.is_instance_of::<PyString>() {
                return Err(Failure::argument(format!("`{name}` has a key {}: keys are str", kind(&key))));
            }
            keys_are_texts(name, &value)
        });
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        return value.try_iter()?.try_for_each(|item| keys_are_texts(name, &item?));
    }
    Ok(())
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
