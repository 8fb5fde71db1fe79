//! Runs every conformance vector of `tests/conformance`, and fails on what it does not know.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use leasehold::model::{Action, Diagnostic, Source};
use leasehold::wire::{Pack, Trust};
use leasehold::{Change, Engine, Error, PlanChoice, Revision, Snapshot, Stamp, Timestamp, Usage};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

const CASE_KEYS: [&str; 7] = ["id", "rule", "needs", "call", "args", "expect", "error"];
/// What this runtime can do. A case that needs anything else would be skipped, and said so; there is none.
const CAPABILITIES: [&str; 1] = ["build"];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn bytes(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` is not a text in {value}"))
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// Whom this runtime believes.
fn trust() -> Trust {
    Trust::from_json(&bytes("trust.json")).unwrap()
}

/// The snapshot of a checked-in pack.
fn pack(name: &str) -> Arc<Snapshot> {
    let pack = Pack::read(&bytes(&format!("packs/{name}.pack"))).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    Snapshot::from_pack(pack, &trust()).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

#[test]
fn every_vector() {
    let index = read("index.json");
    assert_eq!(index["version"], 1);
    for capability in index["capabilities"].as_array().unwrap() {
        assert!(CAPABILITIES.contains(&capability.as_str().unwrap()), "unknown capability {capability}");
    }
    let mut listed: Vec<String> = vec!["index.json".into(), "trust.json".into(), "vectors.schema.json".into()];
    let (mut passed, mut failures) = (0, Vec::new());
    for entry in index["files"].as_array().unwrap() {
        let name = text(entry, "file");
        listed.push(name.into());
        let (cases, failed) = run_file(name);
        assert_eq!(entry["cases"], cases, "{name} has lost or gained cases: correct `index.json`");
        passed += cases - failed.len();
        failures.extend(failed);
    }
    for file in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(!file.ends_with(".json") || listed.contains(&file), "`index.json` does not list {file}");
    }
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), passed + failures.len(), failures.join("\n"));
    assert!(passed >= 250, "only {passed} cases");
}

#[test]
fn every_file_matches_the_schema() {
    let schema = jsonschema::validator_for(&read("vectors.schema.json")).unwrap();
    for entry in read("index.json")["files"].as_array().unwrap() {
        let name = text(entry, "file");
        let errors: Vec<String> = schema.iter_errors(&read(name)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

fn run_file(name: &str) -> (usize, Vec<String>) {
    let file = read(name);
    let engine = file.get("pack").map(|name| Engine::new(pack(name.as_str().unwrap())));
    let mut seen = HashMap::new();
    let cases = file["cases"].as_array().unwrap();
    let failures = cases.iter().filter_map(|case| {
        let id = text(case, "id");
        assert!(seen.insert(id.to_owned(), ()).is_none(), "{name} has two cases `{id}`");
        for key in case.as_object().unwrap().keys() {
            assert!(CASE_KEYS.contains(&key.as_str()), "{name} {id}: unknown key `{key}`");
        }
        for need in case["needs"].as_array().into_iter().flatten() {
            assert!(CAPABILITIES.contains(&need.as_str().unwrap()), "{name} {id}: unknown capability {need}");
        }
        let answer = match text(case, "call") {
            "build" => Ok(build(&case["args"])),
            call => ask(engine.as_ref().unwrap_or_else(|| panic!("{name} has no pack")), call, &case["args"]),
        };
        let wrong = match (answer, case.get("expect"), case.get("error")) {
            (Ok(answer), Some(expected), None) => {
                mismatch(expected, &answer, "").map(|what| format!("{what}\n    in {answer}"))
            }
            (Err(error), None, Some(code)) if code == error.code() => None,
            (answer, _, _) => Some(format!("answered {answer:?}")),
        };
        wrong.map(|wrong| format!("  {name} {id}: {wrong}"))
    });
    let failures: Vec<String> = failures.collect();
    (cases.len(), failures)
}

/// Where an answer differs from its pattern.
fn mismatch(pattern: &Value, answer: &Value, path: &str) -> Option<String> {
    match (pattern, answer) {
        (Value::Object(pattern), Value::Object(answer)) => pattern.iter().find_map(|(key, pattern)| {
            let path = format!("{path}/{key}");
            match answer.get(key) {
                Some(answer) => mismatch(pattern, answer, &path),
                None => Some(format!("{path} is absent")),
            }
        }),
        (Value::Array(pattern), Value::Array(answer)) if pattern.len() == answer.len() => pattern
            .iter()
            .zip(answer)
            .enumerate()
            .find_map(|(at, (pattern, answer))| mismatch(pattern, answer, &format!("{path}/{at}"))),
        _ if pattern == answer => None,
        _ => Some(format!("{path} is {answer}, not {pattern}")),
    }
}

fn json_of(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

fn action(args: &Value) -> Action {
    args.get("action").map_or(Action::Use, |word| Action::from_word(word.as_str().unwrap()).unwrap())
}

/// Asks the engine, by id and again through a handle; both must agree.
fn ask(engine: &Engine, call: &str, args: &Value) -> Result<Value, Error> {
    let now = time(&args["now"]);
    if call == "diff" {
        return Ok(json_of(pack(text(args, "other")).diff(&engine.pin(), now)));
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

fn build(args: &Value) -> Value {
    let bytes = |content: &Value| match content.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => from_base64(text(content, "base64")),
    };
    let files = args["files"].as_object().unwrap().iter();
    let sources: Vec<Source> =
        files.map(|(name, content)| Source { name: name.as_str().into(), bytes: bytes(content) }).collect();
    let now = time(&json!("2026-03-10T12:00:00Z"));
    let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
    let brief = |found: &[Diagnostic]| -> Value {
        found.iter().map(|one| json!({ "file": &*one.file, "path": one.path, "code": one.code })).collect()
    };
    match Snapshot::from_sources(&sources, stamp) {
        Ok(snapshot) => {
            let mut warnings = snapshot.warnings();
            leasehold::model::locate(&mut warnings, &sources);
            json!({ "errors": [], "warnings": brief(&warnings) })
        }
        Err(refused) => json!({ "errors": brief(refused.as_slice()), "warnings": [] }),
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| digits.iter().position(|digit| digit == byte).unwrap();
    let values: Vec<usize> = text.as_bytes().iter().filter(|byte| **byte != b'=').map(digit).collect();
    let bytes = values.chunks(4).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - chunk.len()));
        [bits >> 16, bits >> 8, bits].map(|byte| (byte & 0xff) as u8).into_iter().take(chunk.len() - 1)
    });
    bytes.collect()
}
