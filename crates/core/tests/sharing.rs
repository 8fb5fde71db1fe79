//! Tenants share what is resolved only where every answer is the same: what tells them apart is told here one by one, beside
//! a tenant that has the same from another time or under another name.

#![expect(clippy::unwrap_used, reason = "tests")]

use leasehold::model::Source;
use leasehold::{Revision, Snapshot, Stamp, Timestamp};
use serde_json::{Map, Value, json};

fn compiled(add_ons: &[&str], tenants: &[(&str, Value)]) -> Snapshot {
    let feature = |kind: &str, more: Value| {
        let mut feature = json!({ "kind": kind, "name": "F", "name2": "م", "group": "x" });
        feature.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        feature
    };
    let add_on = |theme: &&str| {
        let contribution = json!({ "feature": "theme", "op": "set", "value": theme });
        let add_on = json!({ "name": "X", "name2": "إ", "compatible_with": ["p"], "contributions": [contribution] });
        ((*theme).to_owned(), add_on)
    };
    let tenants: Map<String, Value> = tenants
        .iter()
        .map(|(id, facts)| {
            let mut tenant = json!({
                "name": "T", "name2": "ت", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z",
                "phases": { "p": { "kind": "paid", "plan": "p", "from": "2026-01-01T00:00:00Z" } },
            });
            tenant.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
            ((*id).to_owned(), tenant)
        })
        .collect();
    let definitions = json!({
        "features": { "a": feature("switch", json!({ "default": true })), "b": feature("switch", json!({ "default": true })),
                      "theme": feature("value", json!({ "type": "string", "default": "plain" })),
                      "users": feature("limit", json!({ "unit": "user" })) },
        "plans": { "p": { "name": "P", "name2": "خ", "rank": 1,
            "price": { "amount": "1.000", "currency": "OMR", "period": "month" },
            "versions": { "1": { "effective_from": "2026-01-01T00:00:00Z", "moves": "now", "contributions": [] } } } },
        "add_ons": add_ons.iter().map(add_on).collect::<Map<_, _>>(),
        "tenants": tenants,
    });
    let stamp = Stamp { revision: Revision::default(), issued_at: now(), expires_at: None };
    let sources = [Source { name: "a.json".into(), bytes: definitions.to_string().into_bytes() }];
    Snapshot::from_sources(&sources, stamp).unwrap()
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00Z".parse().unwrap()
}

fn theme<'s>(snapshot: &'s Snapshot, tenant: &str) -> &'s str {
    snapshot.tenant(tenant).unwrap().value("theme", now()).unwrap().and_then(Value::as_str).unwrap()
}

#[test]
fn of_two_add_ons_that_contend_it_counts_which_came_later() {
    let licences = |dark: &str, light: &str| {
        let licence = |add_on: &str, from: &str| json!({ "add_on": add_on, "quantity": 1, "from": from });
        json!({ "licences": { "a": licence("dark", dark), "b": licence("light", light) } })
    };
    let (early, late) = ("2026-01-05T00:00:00Z", "2026-02-05T00:00:00Z");
    let snapshot = compiled(
        &["dark", "light"],
        &[
            ("dark_last", licences(late, early)),
            ("light_last", licences(early, late)),
            ("light_last_too", licences("2026-01-06T00:00:00Z", late)),
        ],
    );
    let themes = ["dark_last", "light_last", "light_last_too"].map(|tenant| theme(&snapshot, tenant));
    assert_eq!(themes, ["dark", "light", "light"]);
}

#[test]
fn an_add_on_that_nobody_contends_for_shares_whenever_it_came() {
    let licence = |from: &str| json!({ "licences": { "a": { "add_on": "dark", "quantity": 1, "from": from } } });
    let tenants = [("one", licence("2026-01-05T00:00:00Z")), ("two", licence("2026-01-06T00:00:00Z"))];
    let profiles = |add_ons: &[&str]| {
        let snapshot = compiled(add_ons, &tenants);
        assert_eq!(["one", "two"].map(|tenant| theme(&snapshot, tenant)), ["dark", "dark"]);
        snapshot.profile_count()
    };
    assert_eq!(profiles(&["dark"]), 1);
    assert_eq!(profiles(&["dark", "light"]), 2, "whoever buys `light` next, it counts when `dark` came");
}

#[test]
fn the_values_of_overrides_count_and_their_reasons_do_not() {
    let set = |feature: &str, value: Value, reason: &str| json!({ "overrides": { "o": { "feature": feature, "op": "set", "value": value, "reason": reason, "actor": "staff" } } });
    let snapshot = compiled(
        &[],
        &[
            ("red", set("theme", json!("red"), "agreed")),
            ("red_too", set("theme", json!("red"), "promised")),
            ("tan", set("theme", json!("tan"), "agreed")),
            ("ten", set("users", json!({ "amount": 10 }), "agreed")),
            ("eleven", set("users", json!({ "amount": 11 }), "agreed")),
            ("warned", set("users", json!({ "amount": 10, "thresholds": [80] }), "agreed")),
            ("warned_later", set("users", json!({ "amount": 10, "thresholds": [90] }), "agreed")),
        ],
    );
    assert_eq!(["red", "red_too", "tan", "ten"].map(|tenant| theme(&snapshot, tenant)), ["red", "red", "tan", "plain"]);
    let limit = |tenant: &str| {
        let answer = snapshot.tenant(tenant).unwrap().check_limit("users", 7, 2, now()).unwrap();
        (answer.limit, answer.thresholds_crossed)
    };
    let limits = ["ten", "eleven", "warned", "warned_later"].map(limit);
    assert_eq!(limits, [(Some(10), vec![]), (Some(11), vec![]), (Some(10), vec![80]), (Some(10), vec![90])]);
    assert_eq!(snapshot.profile_count(), 6);
}

/// What one tenant has in one list, another has in the next: two switches turned off look like an add-on, by their numbers.
#[test]
fn lists_of_one_tenant_are_not_taken_for_those_of_another() {
    let snapshot = compiled(
        &["dark"],
        &[
            (
                "bought",
                json!({ "licences": { "l": { "add_on": "dark", "quantity": 1, "from": "2026-01-05T00:00:00Z" } } }),
            ),
            ("declined", json!({ "preferences": { "off": ["a", "b"] } })),
        ],
    );
    let has = |tenant: &str| {
        let tenant = snapshot.tenant(tenant).unwrap();
        ["a", "b"].map(|switch| tenant.is_enabled(switch, now()).unwrap())
    };
    assert_eq!((has("bought"), theme(&snapshot, "bought")), ([true, true], "dark"));
    assert_eq!((has("declined"), theme(&snapshot, "declined")), ([false, false], "plain"));
}
