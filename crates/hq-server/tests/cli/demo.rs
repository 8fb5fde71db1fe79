//! The demo says what the engine says.

use crate::run::{engine, finish, now, program, repository, typed};
use leasehold::model::Action;
use leasehold::wire::SecretKey;
use leasehold::{Change, Hash, PlanChoice, Timestamp, Usage};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Every command that the demo shows, typed in a place that looks like the repository, prints what the demo says that it
/// prints; but for keys, which are new wherever they are typed.
#[test]
fn every_shown_command_prints_what_the_demo_shows() {
    let demo = typed("demo");
    assert_eq!((demo.code, demo.err.as_str()), (0, ""));
    let place = tempfile::tempdir().unwrap();
    for folder in ["examples", "crates"] {
        std::os::unix::fs::symlink(repository().join(folder), place.path().join(folder)).unwrap();
    }
    let (mut shown, mut shell) = (0, 0);
    for line in demo.out.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let Some(words) = line.strip_prefix("leasehold ") else {
            let ran = Command::new("sh").args(["-c", line]).current_dir(place.path()).status().unwrap();
            assert!(ran.success(), "{line}");
            shell += 1;
            continue;
        };
        let ran = finish(program().args(words.split(' ')).current_dir(place.path()));
        assert_eq!(ran.err, "", "{line}");
        shown += 1;
        if words.starts_with("keygen ") {
            put_the_demos_key(place.path(), words);
        } else {
            assert!(demo.out.contains(&format!("$ {line}\n{}", ran.out)), "{line}: {}", ran.out);
        }
    }
    assert_eq!((shown, shell), (25, 3));
}

/// Replaces a key that was made just now by the demo's, in all files that hold it.
fn put_the_demos_key(place: &Path, words: &str) {
    let name = words.split(' ').find(|word| word.ends_with(".key")).unwrap();
    let secret = |path: &Path| {
        let fields: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        SecretKey::from_hex(fields["secret"].as_str().unwrap()).unwrap()
    };
    let new = secret(&place.join(name));
    let seed = Hash::of(format!("leasehold demo: {name}").as_bytes());
    let old = SecretKey::from_seed(seed.as_bytes());
    for file in [name.to_owned(), format!("{name}.pub"), "leasehold-demo/trust.json".to_owned()] {
        let path = place.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .replace(&new.to_hex(), &old.to_hex())
            .replace(&new.public().to_string(), &old.public().to_string())
            .replace(&new.public().id().to_string(), &old.public().id().to_string());
        fs::write(&path, text).unwrap();
    }
}

/// The demo needs neither the repository nor a terminal.
#[test]
fn it_runs_anywhere() {
    let empty = tempfile::tempdir().unwrap();
    let ran = finish(program().arg("demo").current_dir(empty.path()).env("LEASEHOLD_DEFINITIONS", "/nowhere"));
    assert_eq!((ran.code, ran.out), (0, typed("demo").out));
}

/// The steps are about what their titles promise, and the answers are the engine's.
#[test]
fn its_answers_are_the_engines() {
    let demo = typed("demo --json").json();
    let answers: Vec<(&Value, &Value)> = demo["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["commands"].as_array().unwrap())
        .map(|command| (&command["answer"], &command["exit"]))
        .collect();
    let [
        whole,
        yes,
        no,
        why,
        warn,
        overage,
        before,
        after,
        what_if,
        handed,
        plain,
        dry,
        compared,
        lint,
        ref published @ ..,
    ] = answers[..]
    else {
        panic!("{} answers", answers.len())
    };

    let engine = engine();
    let sparkle = engine.tenant("om-muscat-sparkle").unwrap();
    let fresh = engine.tenant("om-salalah-fresh").unwrap();
    let use_at = |at: &str| fresh.decide("delivery", Action::Use, at.parse::<Timestamp>().unwrap()).unwrap();
    assert_eq!(whole, (&json!(sparkle.entitlements(now())), &json!(0)));
    let receipt = sparkle.decide("whatsapp_receipt", Action::Use, now()).unwrap();
    assert!(receipt.enabled);
    assert_eq!(yes, (&json!(receipt), &json!(0)));
    let sso = sparkle.decide("sso", Action::Use, now()).unwrap();
    assert!(!sso.enabled);
    assert_eq!(no, (&json!(sso), &json!(1)));
    let mut explained = json!(sparkle.explain("sso", Action::Use, now()).unwrap());
    explained["verified"] = json!(true);
    assert_eq!(why, (&explained, &json!(0)));

    let users = sparkle.check_limit("max_users", 9, 2, now()).unwrap();
    assert_eq!(users.outcome.as_str(), "warn");
    assert_eq!(warn, (&json!(users), &json!(0)));
    let messages = sparkle.check_limit("whatsapp_messages_per_month", 990, 30, now()).unwrap();
    assert_eq!((messages.outcome.as_str(), messages.overage_units), ("overage", 20));
    assert_eq!(overage, (&json!(messages), &json!(0)));

    let (last, first) = (use_at("2026-11-30T19:59:59Z"), use_at("2026-11-30T20:00:00Z"));
    assert!(last.enabled && !first.enabled);
    assert_eq!(before, (&json!(last), &json!(0)));
    assert_eq!(after, (&json!(first), &json!(1)));

    let business = PlanChoice { plan: "business".parse().unwrap(), version: None };
    let change = Change { plan: Some(business), ..Change::default() };
    let expected = sparkle.what_if(&change, &Usage::new(), now()).unwrap();
    assert!(!expected.difference.is_empty());
    assert_eq!(what_if, (&json!(expected), &json!(0)));

    assert_eq!((&handed.0["allowed"], handed.1), (&json!(false), &json!(1)));
    assert!(handed.0["error"]["blockers"].as_array().unwrap().len() > 1);
    let leads = |answer: &Value, to: &str| {
        answer["transitions"].as_array().unwrap().iter().any(|it| it["to"] == to && it["state"] != "not_from_here")
    };
    assert!(leads(plain.0, "processing") && !leads(plain.0, "pretreatment"));
    assert!(!leads(dry.0, "processing") && leads(dry.0, "pretreatment"));
    assert_eq!(compared, (&json!(engine.compare_versions("order", 2, 3).unwrap()), &json!(1)));

    let codes: Vec<&Value> = lint.0["diagnostics"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!((codes, lint.1), (vec![&json!("unknown_feature"), &json!("op_not_allowed")], &json!(1)));

    let [_, _, _, built, from_pack, _, tampered, _, _, again, history, replayed, was, is] = *published else {
        panic!("{} answers about what is published", published.len())
    };
    assert_eq!(built.0["streams"].as_array().unwrap().len(), 3);
    assert_eq!((&from_pack.0["enabled"], &from_pack.0["revision"]), (&json!(true), &json!(1)));
    let code = |answer: &Value| answer["items"][0]["error"]["code"].clone();
    assert_eq!((code(tampered.0), tampered.1), (json!("hash_mismatch"), &json!(1)));
    assert_eq!((code(replayed.0), replayed.1), (json!("older_revision"), &json!(1)));
    let changed: Vec<&Value> = again.0["streams"].as_array().unwrap().iter().map(|it| &it["new_chunks"]).collect();
    assert_eq!(changed, [&json!(0), &json!(3), &json!(0)]);
    assert_eq!(history.0["revisions"][1]["tenants_changed"], json!(1));
    assert_eq!((&was.0["value"], &is.0["value"]), (&json!(30), &json!(60)));
}
