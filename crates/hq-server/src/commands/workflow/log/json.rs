//! Logs as JSON lines: an object on each.

use super::Reading;
use crate::commands::workflow::strict;
use crate::suggest::nearest;
use leasehold::workflow::{LoggedInput, LoggedMove};
use serde_json::{Map, Value};

const KEYS: [&str; 6] = ["tenant", "category", "from", "to", "inputs", "roles"];

pub(super) fn read(bytes: &[u8], reading: &mut Reading) {
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        if std::str::from_utf8(line).is_err() {
            reading.refuse(number, "invalid_utf8", "it is not UTF-8");
            continue;
        }
        match strict::parse(line) {
            Ok(Value::Object(members)) => object(number, members, reading),
            Ok(_) => reading.refuse(number, "wrong_type", "a move is an object"),
            Err(mistake) => reading.refuse(number, mistake.code, mistake.message),
        }
    }
}

fn object(number: usize, mut members: Map<String, Value>, reading: &mut Reading) {
    let before = reading.bad.len();
    let mut wrong = |code, message: String| reading.refuse(number, code, message);
    for key in members.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        let meant = nearest(key, KEYS).map(|meant| format!("did you mean `{meant}`?"));
        let meant = meant.unwrap_or_else(|| format!("a move has {}", KEYS.join(", ")));
        wrong("unknown_key", format!("key `{key}` is not known: {meant}"));
    }
    let mut text = |key: &str| match members.remove(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        Some(Value::String(_)) => {
            wrong("missing_value", format!("`{key}` is empty"));
            None
        }
        Some(_) => {
            wrong("wrong_type", format!("`{key}` is not a text"));
            None
        }
        None => {
            wrong("missing_key", format!("there is no `{key}`"));
            None
        }
    };
    let (tenant, from, to) = (text("tenant"), text("from"), text("to"));
    let category = match members.remove("category") {
        None | Some(Value::Null) => None,
        Some(Value::String(category)) => Some(category),
        Some(_) => {
            wrong("wrong_type", "`category` is neither a text nor null".to_owned());
            None
        }
    };
    let inputs = match members.remove("inputs") {
        None => Map::new(),
        Some(Value::Object(inputs)) => inputs,
        Some(_) => {
            wrong("wrong_type", "`inputs` is not an object".to_owned());
            Map::new()
        }
    };
    let roles: Option<Vec<String>> = match members.remove("roles") {
        None => Some(Vec::new()),
        Some(Value::Array(roles)) => roles.iter().map(|role| role.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    if roles.is_none() {
        wrong("wrong_type", "`roles` is not a list of texts".to_owned());
    }
    if reading.bad.len() > before {
        return;
    }
    if let (Some(tenant), Some(from), Some(to), Some(roles)) = (tenant, from, to, roles) {
        let inputs = inputs.into_iter().map(|(name, value)| (name, LoggedInput::Json(value))).collect();
        reading.keep(number, LoggedMove { tenant, category, from, to, inputs, roles });
    }
}
