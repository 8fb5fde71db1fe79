use std::collections::HashMap;

use serde_json::{Value, json};
use unleash_yggdrasil::{ClientFeatures, Context, EngineState};

use super::{Asked, Asks, Result, asked};
use crate::world::{QUESTIONS_OF_ALL, TENANTS_OF_ALL, is_statically_on, plans_with, switches, tenants_with};

/// Flags without rules; and flags whose strategies ask for plan and tenant. Nothing is counted.
pub(super) fn load() -> Result<Asks> {
    let fixed = engine(|key| json!({ "enabled": is_statically_on(key) }))?;
    let targeted = engine(|key| {
        let plans: Vec<_> = plans_with(key).collect();
        let plans = json!({ "contextName": "plan", "operator": "IN", "values": plans });
        let tenants: Vec<_> = tenants_with(key).collect();
        json!({
            "enabled": true,
            "strategies": [
                { "name": "default", "parameters": {}, "constraints": [plans] },
                { "name": "userWithId", "parameters": { "userIds": tenants.join(",") } },
            ],
        })
    })?;
    let contexts: Vec<_> = TENANTS_OF_ALL
        .iter()
        .map(|tenant| Context {
            user_id: Some(tenant.id.clone()),
            properties: Some(HashMap::from([("plan".to_owned(), tenant.plan.id.clone())])),
            ..Context::default()
        })
        .collect();
    let nobody = Context::default();
    Ok(vec![
        asked(Asked::Static, move |n| Some(fixed.is_enabled(QUESTIONS_OF_ALL[n].key, &nobody, &None))),
        asked(Asked::Tenant, move |n| {
            let question = &QUESTIONS_OF_ALL[n];
            Some(targeted.is_enabled(question.key, &contexts[question.at], &None))
        }),
    ])
}

fn engine(feature: impl Fn(&str) -> Value) -> Result<EngineState> {
    let features = switches().map(|key| {
        let mut feature = feature(key);
        feature["name"] = json!(key);
        feature["type"] = json!("release");
        feature
    });
    let features = json!({ "version": 2, "features": features.collect::<Vec<_>>() });
    let engine = EngineState::default();
    match engine.apply_client_features(serde_json::from_value::<ClientFeatures>(features)?) {
        None => Ok(engine),
        Some(warnings) => Err(format!("{warnings:?}").into()),
    }
}
