//! What answers look like, and that they are the engine's.

use crate::run::{NOW, REFERENCE, ask, copy, edit, engine, now, typed};
use leasehold::model::Action;
use leasehold::{Change, Usage};
use serde_json::json;

/// Every question here, its exit code and the name of its picture.
const ASKED: &[(&str, &str, i32)] = &[
    ("check_yes", "check om-muscat-sparkle whatsapp_receipt", 0),
    ("check_no", "check om-muscat-sparkle sso", 1),
    ("check_blocked", "check om-seeb-express orders", 1),
    ("check_blocked_read", "check om-sohar-press orders --action read", 0),
    ("check_value", "check eu-berlin-waschwerk working_week", 0),
    ("check_value_off", "check om-muscat-sparkle loyalty_rules", 1),
    ("check_limit", "check om-muscat-sparkle whatsapp_messages_per_month", 0),
    ("limit_allow", "limit om-muscat-crown max_users --used 500 --requested 1", 0),
    ("limit_warn", "limit om-muscat-sparkle max_users --used 9 --requested 2", 0),
    ("limit_overage", "limit om-muscat-sparkle whatsapp_messages_per_month --used 990 --requested 30", 0),
    ("limit_deny", "limit om-muscat-sparkle max_pos --used 5 --requested 1", 1),
    ("limit_report", "limit om-muscat-sparkle max_pos --used 5 --requested 0", 0),
    ("entitlements", "entitlements om-muscat-sparkle", 0),
    ("entitlements_without_plan", "entitlements eu-lyon-lavoir", 0),
    ("explain_not_granted", "explain om-muscat-sparkle sso", 0),
    ("explain_limit", "explain om-barka-care max_users", 0),
    ("explain_blocked", "explain om-seeb-express orders", 0),
    ("explain_killed", "explain sa-riyadh-najd machine_monitoring", 0),
    ("explain_inert", "explain ae-dubai-harbour driver_app", 0),
    ("explain_revoked", "explain sa-jeddah-corniche instant_payouts", 0),
    ("explain_prerequisite", "explain om-muscat-sparkle loyalty_rules", 0),
    ("explain_preference", "explain om-muscat-sparkle promotions", 0),
    ("explain_value", "explain eu-berlin-waschwerk working_week", 0),
    ("what_if_up", "what-if om-muscat-sparkle --plan business", 0),
    ("what_if_down", "what-if om-muscat-sparkle --plan starter --usage max_users=9 --add-on extra_pos=2", 0),
    ("what_if_without", "what-if sa-tabuk-north --without order-cap", 0),
    ("diff_tenants", "diff --tenant om-muscat-sparkle --with ae-alain-oasis", 1),
    ("lint", "lint", 0),
];

#[test]
fn answers_read_well() {
    for (name, line, code) in ASKED {
        let ran = ask(line);
        assert_eq!((ran.code, ran.err.as_str()), (*code, ""), "{line}");
        insta::assert_snapshot!(*name, ran.out, line);
    }
}

/// With `--json` the exit code is the same, and the output is one JSON value.
#[test]
fn every_answer_can_be_had_as_json() {
    for (_, line, code) in ASKED {
        let ran = ask(&format!("{line} --json"));
        assert_eq!((ran.code, ran.err.as_str()), (*code, ""), "{line}");
        assert!(ran.json().is_object(), "{line}");
    }
}

#[test]
fn json_is_what_the_engine_says() {
    let engine = engine();
    let sparkle = engine.tenant("om-muscat-sparkle").unwrap();
    let says = |line: &str| ask(&format!("{line} --json")).json();
    for tenant in engine.tenants() {
        assert_eq!(says(&format!("entitlements {}", tenant.id())), json!(tenant.entitlements(now())));
    }
    for (key, _) in engine.features() {
        let explanation = sparkle.explain(key, Action::Use, now()).unwrap();
        let mut expected = json!(explanation);
        expected["verified"] = json!(true);
        assert_eq!(says(&format!("explain om-muscat-sparkle {key}")), expected);
    }
    assert_eq!(says("check om-muscat-sparkle sso"), json!(sparkle.decide("sso", Action::Use, now()).unwrap()));
    let mut valued = json!(sparkle.decide("currency", Action::Use, now()).unwrap());
    valued["value"] = json!("OMR");
    assert_eq!(says("check om-muscat-sparkle currency"), valued);
    assert_eq!(
        says("limit om-muscat-sparkle max_users --used 9 --requested 2"),
        json!(sparkle.check_limit("max_users", 9, 2, now()).unwrap())
    );
    let change = Change { add_ons: vec![("extra_pos".parse().unwrap(), 2)], ..Change::default() };
    assert_eq!(
        says("what-if om-muscat-sparkle --add-on extra_pos=2"),
        json!(sparkle.what_if(&change, &Usage::new(), now()).unwrap())
    );
    assert_eq!(
        says("diff --tenant om-muscat-sparkle --with om-muscat-crown"),
        json!(engine.diff_tenants("om-muscat-sparkle", "om-muscat-crown", now()).unwrap())
    );
}

#[test]
fn a_fleet_is_compared_with_the_next_one() {
    let next = copy();
    edit(&next, "features/settings.json", r#""default": 730"#, r#""default": 731"#);
    edit(&next, "tenants/eu.json", "eu-lyon-lavoir", "eu-lyon-quai");
    edit(&next, "kills.json", r#""feature": "machine_monitoring""#, r#""feature": "delivery""#);
    let other = next.path().display().to_string();

    let ran = ask(&format!("diff {other}"));
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    insta::assert_snapshot!("diff_fleet", ran.out.replace(&other, "NEXT"));
    let counted = ask(&format!("diff {other} --json"));
    assert_eq!(counted.code, 1);
    assert_eq!(counted.json()["added"], json!(["eu-lyon-quai"]));
    assert_eq!(counted.json()["removed"], json!(["eu-lyon-lavoir"]));

    let one = ask(&format!("diff {other} --tenant om-muscat-sparkle"));
    assert_eq!(one.code, 1);
    insta::assert_snapshot!("diff_fleet_one", one.out.replace(&other, "NEXT"));
}

#[test]
fn nothing_differs_from_itself() {
    let fleet = ask(&format!("diff {REFERENCE}"));
    assert_eq!(fleet.code, 0, "{fleet:?}");
    let tenant = ask("diff --tenant om-muscat-sparkle --with om-muscat-sparkle");
    assert_eq!(tenant.code, 0, "{tenant:?}");
    assert!(tenant.out.contains("no difference"));
}

/// Answers are compared at one instant. What only begins later shows at a later one, and the reader is told.
#[test]
fn later_differences_show_later() {
    let next = copy();
    let from = r#""until": "2026-11-30T00:00:00Z""#;
    edit(&next, "kills.json", from, r#""until": "2026-12-31T00:00:00Z""#);
    let other = next.path().display().to_string();
    let now = ask(&format!("diff {other}"));
    assert_eq!(now.code, 0, "{now:?}");
    assert!(now.out.contains("the definitions differ, and no answer does at this instant"), "{}", now.out);
    let later = typed(&format!("diff {other} --at 2026-12-01T00:00:00Z -d {REFERENCE}"));
    assert_eq!(later.code, 1, "{later:?}");
    assert!(later.out.contains("machine_monitoring"), "{}", later.out);
}

/// Without `--at` the clock is asked, and offsets are understood.
#[test]
fn the_instant_can_be_given() {
    let here = typed(&format!("check om-muscat-sparkle delivery --at 2026-11-15T16:00:00+04:00 -d {REFERENCE}"));
    assert!(here.out.contains(&format!("at {NOW}")), "{here:?}");
    let clock = typed(&format!("check om-muscat-sparkle delivery -d {REFERENCE}"));
    assert!(!clock.out.contains(NOW) && clock.code < 2, "{clock:?}");
}
