use std::sync::Arc;

use chrono::Utc;
use eppo_core::eval::get_assignment;
use eppo_core::ufc::{AssignmentValue, UniversalFlagConfig, VariationType};
use eppo_core::{Attributes, Configuration, SdkMetadata, Str};
use serde_json::{Map, Value, json};

use super::{Asked, Asks, Result, asked};
use crate::world::{QUESTIONS_OF_ALL, TENANTS_OF_ALL, is_statically_on, plans_with, switches, tenants_with};

/// Flags that are on or off for all; and flags with an allocation for plans and tenants.
pub(super) fn load() -> Result<Asks> {
    let one_of =
        |attribute: &str, values: Vec<&str>| json!({ "attribute": attribute, "operator": "ONE_OF", "value": values });
    let fixed = configuration(|key| vec![allocation(is_statically_on(key), json!([]))])?;
    let targeted = configuration(|key| {
        let rules = [one_of("plan", plans_with(key).collect()), one_of("id", tenants_with(key).collect())];
        let rules = rules.map(|condition| json!({ "conditions": [condition] }));
        vec![allocation(true, json!(rules)), allocation(false, json!([]))]
    })?;
    let now = Utc::now();
    let subjects: Vec<_> = TENANTS_OF_ALL
        .iter()
        .map(|tenant| {
            let attributes = [(Str::from("plan"), tenant.plan.id.as_str().into())];
            (Str::from(tenant.id.as_str()), Arc::new(attributes.into_iter().collect::<Attributes>()))
        })
        .collect();
    let asks = [(Asked::Static, fixed), (Asked::Tenant, targeted)].map(|(what, configuration)| {
        let subjects = subjects.clone();
        asked(what, move |n| {
            let question = &QUESTIONS_OF_ALL[n];
            let (subject, attributes) = &subjects[question.at];
            let expected = Some(VariationType::Boolean);
            let assigned = get_assignment(Some(&configuration), question.key, subject, attributes, expected, now);
            match assigned.ok()??.value {
                AssignmentValue::Boolean(value) => Some(value),
                _ => None,
            }
        })
    });
    Ok(asks.into())
}

fn allocation(on: bool, rules: Value) -> Value {
    let variation = if on { "on" } else { "off" };
    // What is not logged makes no event.
    json!({ "key": variation, "rules": rules, "doLog": false, "splits": [{ "shards": [], "variationKey": variation }] })
}

fn configuration(allocations: impl Fn(&str) -> Vec<Value>) -> Result<Configuration> {
    let flag = |key: &'static str| {
        let flag = json!({
            "key": key,
            "enabled": true,
            "variationType": "BOOLEAN",
            "variations": { "on": { "key": "on", "value": true }, "off": { "key": "off", "value": false } },
            "allocations": allocations(key),
            "totalShards": 10_000,
        });
        (key.to_owned(), flag)
    };
    let flags = json!({
        "createdAt": "2024-01-01T00:00:00Z",
        "format": "SERVER",
        "environment": { "name": "production" },
        "flags": switches().map(flag).collect::<Map<_, _>>(),
    });
    let metadata = SdkMetadata { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
    let flags = UniversalFlagConfig::from_json(metadata, serde_json::to_vec(&flags)?)?;
    Ok(Configuration::from_server_response(flags, None))
}
