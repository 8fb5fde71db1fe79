//! The demo says what the engine says.

use crate::run::{engine, finish, now, program, typed};
use leasehold::model::Action;
use leasehold::{Change, PlanChoice, Timestamp, Usage};
use serde_json::{Value, json};

/// Every command that the demo shows, typed at the root of the repository, prints what the demo says that it prints.
#[test]
fn every_shown_command_prints_what_the_demo_shows() {
    let demo = typed("demo");
    assert_eq!((demo.code, demo.err.as_str()), (0, ""));
    let mut shown = 0;
    for line in demo.out.lines().filter_map(|line| line.strip_prefix("$ leasehold ")) {
        let ran = typed(line);
        assert!(demo.out.contains(&format!("$ leasehold {line}\n{}", ran.out)), "{line}: {}", ran.out);
        assert_eq!(ran.err, "");
        shown += 1;
    }
    assert_eq!(shown, 10);
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
    let [whole, yes, no, why, warn, overage, before, after, what_if, lint] = answers[..] else {
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

    let codes: Vec<&Value> = lint.0["diagnostics"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!((codes, lint.1), (vec![&json!("unknown_feature"), &json!("op_not_allowed")], &json!(1)));
}
