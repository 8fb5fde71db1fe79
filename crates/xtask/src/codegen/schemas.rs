//! What the engine answers, as the JSON Schemas of its own types: what the types of other languages are made of.

use std::collections::BTreeMap;

use leasehold::bindings::{CertificateSays, HeadSays, MachineAbout, MergeSays, PlaceSays, SliceSays, SnapshotAbout};
use leasehold::follow::Health;
use leasehold::model::{Action, Diagnostic, VariableType};
use leasehold::wire::Trust;
use leasehold::workflow::{
    Allowed, Blocker, CoveringPaths, MachineStage, MoveExplanation, Replay, TransitionAnswer, Upgrade,
    VersionComparison,
};
use leasehold::{
    AnswerTable, Changes, Decision, Difference, Entitlements, Evaluation, Evaluations, Explanation, FleetDiff,
    Freshness, LimitAnswer, WhatIf,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::Result;

/// Every type that is answered, and all that it refers to, by name.
pub(crate) fn answers() -> Result<BTreeMap<String, Value>> {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let of = &mut generator;
    name::<Action>(of);
    name::<Allowed<'static>>(of);
    name::<AnswerTable>(of);
    name::<Blocker>(of);
    name::<CertificateSays>(of);
    name::<Changes>(of);
    name::<CoveringPaths>(of);
    name::<Decision>(of);
    name::<Diagnostic>(of);
    name::<Difference>(of);
    name::<Entitlements>(of);
    name::<Evaluation>(of);
    name::<Evaluations>(of);
    name::<Explanation>(of);
    name::<FleetDiff>(of);
    name::<Freshness>(of);
    name::<HeadSays>(of);
    name::<Health>(of);
    name::<LimitAnswer>(of);
    name::<MachineAbout<'static>>(of);
    name::<MachineStage<'static>>(of);
    name::<MergeSays>(of);
    name::<MoveExplanation>(of);
    name::<PlaceSays>(of);
    name::<Replay>(of);
    name::<SliceSays>(of);
    name::<SnapshotAbout<'static>>(of);
    name::<TransitionAnswer<'static>>(of);
    name::<Trust>(of);
    name::<Upgrade>(of);
    name::<VariableType>(of);
    name::<VersionComparison>(of);
    name::<WhatIf>(of);
    named(generator.take_definitions(true).into_iter().collect())
}

/// Fails where two types have one name.
fn named(schemas: BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>> {
    // A word that `schemars` makes up, where two types have one name.
    match schemas.keys().find(|name| name.ends_with(|last: char| last.is_ascii_digit())) {
        None => Ok(schemas),
        Some(name) => {
            Err(format!("`{name}`: two types have this name, but for its digit; name one of them anew").into())
        }
    }
}

/// Gives a type, and all that it refers to, a name.
fn name<T: JsonSchema>(generator: &mut SchemaGenerator) {
    let _ = generator.subschema_for::<T>();
}

/// Whether a type goes by what it is, since nothing is told of it: keys, ids and revisions.
pub(crate) fn is_anonymous(schema: &Value) -> bool {
    let plain = schema.get("type").is_some_and(|kind| kind == "string" || kind == "integer");
    plain && schema.get("description").is_none()
}

pub(crate) fn members_of(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// The members of an object, and whether they are required: those that are in the order in which they are declared; of the
/// others only their names are known.
pub(crate) fn members_in_order(schema: &Value) -> Result<Vec<(&str, &Value, bool)>> {
    let members = members_of(schema).ok_or_else(|| format!("an object of nobody knows what: {schema}"))?;
    let required: Vec<&str> = match schema.get("required").and_then(Value::as_array) {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    let mut optional: Vec<&str> = members.keys().map(String::as_str).filter(|name| !required.contains(name)).collect();
    optional.sort_unstable();
    let named = |name, is_required| match members.get(name) {
        Some(member) => Ok((name, member, is_required)),
        None => Err(format!("`{name}` is required, and is not there").into()),
    };
    let required = required.into_iter().map(|name| named(name, true));
    required.chain(optional.into_iter().map(|name| named(name, false))).collect()
}

/// What the values of a map are.
pub(crate) fn map_of(schema: &Value) -> Option<&Value> {
    if members_of(schema).is_some() {
        return None;
    }
    let patterns = schema.get("patternProperties").and_then(Value::as_object).filter(|patterns| patterns.len() == 1);
    patterns.and_then(|patterns| patterns.values().next()).or_else(|| schema.get("additionalProperties"))
}

pub(crate) fn variants_of(schema: &Value) -> &[Value] {
    let variants = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    variants.map_or(&[], Vec::as_slice)
}

/// What is told of a schema.
pub(crate) fn described(schema: &Value) -> Result<Option<&str>> {
    match schema.get("description").and_then(Value::as_str) {
        // Rustdoc knows where it leads, and nobody else does.
        Some(text) if text.contains("[`") || text.contains("](") => {
            Err(format!("`{text}` holds a link of rustdoc's: describe it with `schemars(description = …)`").into())
        }
        text => Ok(text),
    }
}

/// The longest line of generated files.
pub(crate) const WIDTH: usize = 120;

/// A text in lines, each behind the same.
pub(crate) fn wrapped(text: &str, before: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.chars().count() + 1 + word.chars().count() <= WIDTH) {
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(format!("{before}{word}")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_types_of_one_name_are_refused() {
        let schemas = |name: &str| BTreeMap::from([(name.to_owned(), json!({ "enum": ["a"] }))]);
        assert!(named(schemas("T")).is_ok());
        let error = named(schemas("T2")).unwrap_err().to_string();
        assert!(error.starts_with("`T2`: two types"), "{error}");
    }

    #[test]
    fn members_come_in_the_order_of_their_declaration() {
        let schema = json!({
            "required": ["z", "b"],
            "properties": { "a": true, "b": true, "c": true, "z": true },
        });
        let members: Vec<(&str, bool)> =
            members_in_order(&schema).unwrap().into_iter().map(|(name, _, is_required)| (name, is_required)).collect();
        assert_eq!(members, [("z", true), ("b", true), ("a", false), ("c", false)]);
        assert!(members_in_order(&json!({ "required": ["a"], "properties": {} })).is_err());
        assert!(members_in_order(&json!({ "type": "object" })).is_err());
    }
}
