//! Questions to an engine, and definitions that are built.

use super::{bytes_of, json_of, pack, text, time, workflow};
use leasehold::model::{Action, Diagnostic, Source};
use leasehold::{Change, Engine, Error, PlanChoice, Revision, Snapshot, Stamp, Usage};
use serde_json::{Map, Value, json};

fn action(args: &Value) -> Action {
    args.get("action").map_or(Action::Use, |word| Action::from_word(word.as_str().unwrap()).unwrap())
}

/// Asks the engine, by id and again through a handle; both must agree.
pub(crate) fn ask(engine: &Engine, call: &str, args: &Value) -> Result<Value, Value> {
    if let Some(answer) = workflow::ask(engine, call, args) {
        return answer;
    }
    answer(engine, call, args).map_err(|error| json!({ "code": error.code(), "message": error.to_string() }))
}

fn answer(engine: &Engine, call: &str, args: &Value) -> Result<Value, Error> {
    let now = time(&args["now"]);
    let other = || pack(text(args, "other"));
    match call {
        "diff" => return Ok(json_of(other().diff(&engine.pin(), now))),
        "changes" => return Ok(json_of(other().changes(&engine.pin(), now))),
        _ => {}
    }
    let tenant = text(args, "tenant");
    let feature = || text(args, "feature");
    match call {
        "is_enabled" => {
            let on = engine.is_enabled_for(tenant, feature(), action(args), now)?;
            let handle = leasehold::Feature::new(feature().parse().unwrap());
            let held = engine.tenant(tenant)?;
            assert_eq!(held.is_enabled_for(&handle, action(args), now), Ok(on));
            assert_eq!(held.is_enabled_for(&handle, action(args), now), Ok(on), "the second time from what it saw");
            Ok(json!({ "value": on }))
        }
        "is_enabled_or" => {
            let default = args["default"].as_bool().unwrap();
            Ok(json!({ "value": engine.is_enabled_or(tenant, feature(), now, default) }))
        }
        "decide" => engine.decide(tenant, feature(), action(args), now).map(json_of),
        "value" => engine.value(tenant, feature(), now).map(|value| json!({ "value": value })),
        "check_limit" => {
            let amount = |key: &str| args[key].as_i64().unwrap();
            engine.check_limit(tenant, feature(), amount("used"), amount("requested"), now).map(json_of)
        }
        "entitlements" => engine.entitlements(tenant, now).map(json_of),
        "answer_table" => engine.answer_table(tenant, action(args), now).map(json_of),
        "evaluate" => {
            let evaluation = engine.evaluate(tenant, feature(), now)?;
            assert_eq!(engine.tenant(tenant)?.evaluate(feature(), now).as_ref(), Ok(&evaluation));
            Ok(json_of(evaluation))
        }
        "evaluate_all" => {
            let all = engine.evaluate_all(tenant, now)?;
            assert_eq!(engine.tenant(tenant)?.evaluate_all(now).as_ref(), Ok(&all));
            Ok(json_of(all))
        }
        "explain" => {
            let explanation = engine.explain(tenant, feature(), action(args), now)?;
            assert!(explanation.verify());
            Ok(json_of(explanation))
        }
        "what_if" => engine.what_if(tenant, &change(&args["change"]), &usage(&args["usage"]), now).map(json_of),
        "diff_tenants" => engine.pin().diff_tenants(tenant, text(args, "other"), now).map(json_of),
        unknown => panic!("unknown call `{unknown}`"),
    }
}

fn change(value: &Value) -> Change {
    let empty = Map::new();
    let change = value.as_object().unwrap_or(&empty);
    for key in change.keys() {
        assert!(["plan", "version", "add_ons", "without"].contains(&key.as_str()), "unknown change `{key}`");
    }
    let version = change.get("version").map(|version| version.as_u64().unwrap().try_into().unwrap());
    let list = |key: &str| change.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let add_on = |one: &Value| (text(one, "key").parse().unwrap(), one["quantity"].as_u64().unwrap());
    Change {
        plan: change.get("plan").map(|plan| PlanChoice { plan: plan.as_str().unwrap().parse().unwrap(), version }),
        add_ons: list("add_ons").iter().map(add_on).collect(),
        without: list("without").iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect(),
    }
}

fn usage(value: &Value) -> Usage {
    let usage = value.as_object().into_iter().flatten();
    usage.map(|(key, used)| (key.parse().unwrap(), used.as_i64().unwrap())).collect()
}

pub(crate) fn build(args: &Value) -> Value {
    let brief = |found: Vec<Diagnostic>| -> Value {
        found.iter().map(|one| json!({ "file": &*one.file, "path": one.path, "code": one.code })).collect()
    };
    match diagnostics(args) {
        Ok(warnings) => json!({ "errors": [], "warnings": brief(warnings) }),
        Err(errors) => json!({ "errors": brief(errors), "warnings": [] }),
    }
}

/// The warnings about definitions, or the errors in them.
pub(crate) fn diagnostics(args: &Value) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let files = args["files"].as_object().unwrap().iter();
    let sources: Vec<Source> =
        files.map(|(name, content)| Source { name: name.as_str().into(), bytes: bytes_of(content) }).collect();
    let now = time(&json!("2026-03-10T12:00:00Z"));
    let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
    let snapshot = Snapshot::from_sources(&sources, stamp).map_err(|refused| refused.as_slice().to_vec())?;
    let mut warnings = snapshot.warnings();
    leasehold::model::locate(&mut warnings, &sources);
    Ok(warnings)
}
