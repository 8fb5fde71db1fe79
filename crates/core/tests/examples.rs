//! The example definitions are right, in normal form, as large as they say, and show every condition a tenant can be in.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use leasehold::model::{Definitions, DiagnosticCode, Source, format, json_schema, load};
use leasehold::{Revision, Snapshot, Stamp, Status, Timestamp, read_directory};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The instant for which the example was written.
fn now() -> Timestamp {
    "2026-11-15T12:00:00Z".parse().unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/cleanmatex")
}

fn sources() -> Vec<Source> {
    let sources = read_directory(&folder()).unwrap();
    assert!(sources.len() > 5, "the example was not found");
    sources
}

fn definitions() -> Definitions {
    load(&sources()).unwrap_or_else(|refused| panic!("{refused}"))
}

fn snapshot() -> Snapshot {
    let stamp = Stamp { revision: Revision::default(), issued_at: now(), expires_at: None };
    Snapshot::from_sources(&sources(), stamp).unwrap_or_else(|refused| panic!("{refused}"))
}

fn schema() -> jsonschema::Validator {
    jsonschema::validator_for(&json_schema()).unwrap()
}

fn parsed(source: &Source) -> Value {
    serde_json::from_slice(&source.bytes).unwrap()
}

#[test]
fn every_file_is_in_normal_form() {
    for source in sources() {
        let normal = format::format(&source).unwrap_or_else(|refused| panic!("{refused}"));
        assert!(normal.as_bytes() == source.bytes, "{} is not in normal form", source.name);
    }
}

/// What is optional is left out, in the schema as to the reader; in a change null takes something away.
#[test]
fn the_schema_takes_null_where_the_reader_does() {
    let schema = schema();
    let feature = |more: Value| {
        let mut feature = json!({ "name": "F", "name2": "F", "group": "x", "kind": "switch" });
        feature.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "features": { "f": feature } })
    };
    let kill = |until: Value| {
        let kill =
            json!({ "feature": "f", "since": "2026-01-01T00:00:00Z", "until": until, "reason": "r", "actor": "a" });
        json!({ "features": feature(json!({}))["features"], "kills": { "k": kill } })
    };
    let change = |value: Value| {
        let patch = json!([{ "op": "change", "transition": "accept", "value": value }]);
        json!({ "features": {}, "tenants": { "a": { "name": "T", "name2": "T", "region": "R",
            "anchor": "2026-01-01T00:00:00Z", "workflows": { "w": { "patch": patch } } } } })
    };
    for (file, is_right) in [
        (feature(json!({})), true),
        (feature(json!({ "requires": null })), false),
        (kill(json!("2026-02-01T00:00:00Z")), true),
        (kill(Value::Null), false),
        (change(json!({ "role": null })), true),
        (change(json!({ "name": null })), false),
        (json!({ "$schema": null }), false),
    ] {
        let source = Source { name: "file.json".into(), bytes: file.to_string().into_bytes() };
        assert_eq!((schema.is_valid(&file), load(&[source]).is_ok()), (is_right, is_right), "{file}");
    }
}

#[test]
fn every_file_matches_the_schema_and_points_to_it() {
    let schema = schema();
    for source in sources() {
        let file = parsed(&source);
        let errors: Vec<String> = schema.iter_errors(&file).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", source.name);
        let reference = file["$schema"].as_str().unwrap_or_else(|| panic!("{} names no schema", source.name));
        let here = folder().join(&*source.name);
        assert!(here.parent().unwrap().join(reference).is_file(), "{}: {reference} does not exist", source.name);
    }
}

#[test]
fn it_is_as_large_as_a_real_business() {
    let definitions = definitions();
    assert!(definitions.features.len() >= 45, "{} features", definitions.features.len());
    assert_eq!(definitions.plans.len(), 4);
    assert!(definitions.plans.values().all(|plan| plan.versions.len() >= 2));
    assert!(definitions.add_ons.len() >= 8, "{} add-ons", definitions.add_ons.len());
    assert_eq!(definitions.tenants.len(), 30);
    let regions: BTreeSet<&str> = definitions.tenants.values().map(|tenant| tenant.region.as_str()).collect();
    assert_eq!(regions.len(), 3, "{regions:?}");
    assert_eq!(snapshot().tenant_count(), 30);
}

#[test]
fn every_label_is_there_in_both_languages() {
    let definitions = definitions();
    let features = definitions.features.iter().map(|(key, it)| (key.as_str(), &it.name, &it.name2));
    let plans = definitions.plans.iter().map(|(key, it)| (key.as_str(), &it.name, &it.name2));
    let add_ons = definitions.add_ons.iter().map(|(key, it)| (key.as_str(), &it.name, &it.name2));
    let tenants = definitions.tenants.iter().map(|(key, it)| (key.as_str(), &it.name, &it.name2));
    let is_arabic = |letter: char| ('\u{0620}'..='\u{064a}').contains(&letter);
    for (key, name, name2) in features.chain(plans).chain(add_ons).chain(tenants) {
        assert!(!name.trim().is_empty() && !name.chars().any(is_arabic), "{key}: `{name}`");
        assert!(name2.chars().any(is_arabic), "{key}: `{name2}`");
    }
}

#[test]
fn every_status_appears() {
    let snapshot = snapshot();
    let seen: BTreeSet<Status> = snapshot.tenants().map(|tenant| tenant.entitlements(now()).status).collect();
    let missing: Vec<&Status> = Status::ALL.iter().filter(|status| !seen.contains(status)).collect();
    assert!(missing.is_empty(), "nobody is {missing:?}");
}

#[test]
fn it_warns_of_three_kinds() {
    let warnings = snapshot().warnings();
    let kinds: BTreeSet<&str> = warnings.iter().map(|warning| warning.code.as_str()).collect();
    let expected =
        [DiagnosticCode::AddOnIncompatible, DiagnosticCode::TrialTakesAway, DiagnosticCode::OverrideBelowPlan];
    assert_eq!(kinds, expected.iter().map(|code| code.as_str()).collect(), "{warnings:#?}");
}

/// A file with a record of every kind, each with every key it can have.
fn one_of_everything() -> Value {
    let labels = |record: Value| -> Value {
        let mut record = record;
        record["name"] = json!("Label");
        record["name2"] = json!("تسمية");
        record
    };
    let grant = json!({ "amount": 5, "mode": "soft", "thresholds": [80, 100] });
    let common = |record: Value| -> Value {
        let mut record = labels(record);
        record["group"] = json!("module");
        record["requires"] = json!(["other"]);
        record["min_access"] = json!("read_only");
        record["min_read"] = json!("billing_only");
        record["staleness"] = json!("off");
        record
    };
    let mut other = common(json!({ "kind": "switch" }));
    other["requires"] = json!([]);
    let contribution = json!({ "id": "c1", "feature": "limit", "op": "set", "value": grant,
        "from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z", "author": "sales" });
    json!({
        "$schema": "definitions.schema.json",
        "features": {
            "other": other,
            "switch": common(json!({ "kind": "switch", "default": true })),
            "value": common(json!({ "kind": "value", "type": "json", "default": { "any": ["thing"] } })),
            "limit": common(json!({ "kind": "limit", "unit": "user", "window": "month", "default": grant })),
        },
        "plans": { "plan": labels(json!({ "rank": 1,
            "price": { "amount": "9.500", "currency": "OMR", "period": "month" },
            "versions": { "1": { "effective_from": "2026-01-01T00:00:00Z", "moves": "now",
                "contributions": [contribution] } } })) },
        "add_ons": { "extra": labels(json!({ "compatible_with": ["plan"], "included_in": ["plan"],
            "contributions": [contribution] })) },
        "kills": { "k1": { "feature": "switch", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z",
            "reason": "incident", "actor": "ops" } },
        "tenants": { "t1": labels(json!({ "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z",
            "utc_offset_minutes": 240,
            "phases": { "p1": { "kind": "paid", "plan": "plan", "version": 1, "from": "2026-01-01T00:00:00Z",
                "until": "2026-06-01T00:00:00Z", "grace_until": "2026-06-15T00:00:00Z" } },
            "licences": { "l1": { "add_on": "extra", "quantity": 2, "from": "2026-01-01T00:00:00Z",
                "until": "2026-06-01T00:00:00Z" } },
            "overrides": {
                "o1": { "feature": "limit", "op": "set", "value": grant, "from": "2026-01-01T00:00:00Z",
                    "until": "2026-06-01T00:00:00Z", "reason": "agreed", "actor": "staff" },
                "o2": { "feature": "switch", "op": "revoke", "plan": "plan", "reason": "agreed", "actor": "staff" } },
            "blocks": { "b1": { "kind": "warned", "laid_by": "billing", "level": "full",
                "since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z", "reason": "overdue" } },
            "preferences": { "off": ["switch"] } })) },
    })
}

/// Every record in it, by kind, and the JSON Pointer to it.
const RECORDS: [(&str, &str); 19] = [
    ("file", ""),
    ("switch", "/features/switch"),
    ("value", "/features/value"),
    ("limit", "/features/limit"),
    ("grant", "/features/limit/default"),
    ("plan", "/plans/plan"),
    ("price", "/plans/plan/price"),
    ("plan version", "/plans/plan/versions/1"),
    ("contribution of a plan", "/plans/plan/versions/1/contributions/0"),
    ("add-on", "/add_ons/extra"),
    ("contribution of an add-on", "/add_ons/extra/contributions/0"),
    ("kill", "/kills/k1"),
    ("tenant", "/tenants/t1"),
    ("phase", "/tenants/t1/phases/p1"),
    ("licence", "/tenants/t1/licences/l1"),
    ("override", "/tenants/t1/overrides/o1"),
    ("revoke", "/tenants/t1/overrides/o2"),
    ("block", "/tenants/t1/blocks/b1"),
    ("preferences", "/tenants/t1/preferences"),
];

fn build_codes(file: &Value) -> Vec<(&'static str, String)> {
    let source = Source { name: "all.json".into(), bytes: file.to_string().into_bytes() };
    let stamp = Stamp { revision: Revision::default(), issued_at: now(), expires_at: None };
    let told = |one: &leasehold::model::Diagnostic| (one.code.as_str(), one.path.clone());
    Snapshot::from_sources(&[source], stamp)
        .map_or_else(|refused| refused.as_slice().iter().map(told).collect(), |_| Vec::new())
}

#[test]
fn schema_and_engine_refuse_an_unknown_key_in_every_kind_of_record() {
    let (schema, file) = (schema(), one_of_everything());
    let errors: Vec<String> = schema.iter_errors(&file).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    assert_eq!(build_codes(&file), []);
    for (kind, pointer) in RECORDS {
        let mut file = file.clone();
        let record = file.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap();
        record.insert("unknown".into(), json!(1));
        assert!(!schema.is_valid(&file), "the schema lets an unknown key of a {kind} pass");
        assert_eq!(build_codes(&file), [("unknown_key", format!("{pointer}/unknown"))], "{kind}");
    }
}

#[test]
fn schema_and_engine_refuse_the_keys_of_other_kinds_of_feature() {
    let (schema, file) = (schema(), one_of_everything());
    for (pointer, key, value) in [
        ("/features/switch", "type", json!("json")),
        ("/features/switch", "unit", json!("user")),
        ("/features/value", "window", json!("day")),
        ("/features/limit", "type", json!("json")),
    ] {
        let mut file = file.clone();
        file.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().insert(key.into(), value);
        assert!(!schema.is_valid(&file), "the schema lets `{key}` of {pointer} pass");
        assert_eq!(build_codes(&file), [("unknown_key", format!("{pointer}/{key}"))]);
    }
}
