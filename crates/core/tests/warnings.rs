//! Warnings of a build, word for word: that they are raised is told by conformance vectors (`build_meaning.json`).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use leasehold::model::Source;
use leasehold::{Revision, Snapshot, Stamp};
use serde_json::{Value, json};

/// Two plans: `full` has a switch and more of two limits, `small` more of a third.
fn definitions() -> Value {
    let limit = || json!({ "kind": "limit", "name": "Limit", "name2": "حد", "group": "limits", "unit": "user" });
    let plan = |rank: u32, contributions: Value| {
        json!({ "name": "Plan", "name2": "خطة", "rank": rank,
                "price": { "amount": "10.000", "currency": "OMR", "period": "month" },
                "versions": { "1": { "effective_from": "2026-01-01T00:00:00Z", "moves": "now",
                                     "contributions": contributions } } })
    };
    let set = |feature: &str, value: Value| json!({ "feature": feature, "op": "set", "value": value });
    json!({
        "features": {
            "orders": { "kind": "switch", "name": "Orders", "name2": "طلبات", "group": "module" },
            "branches": limit(), "seats": limit(), "users": limit(),
        },
        "plans": {
            "full": plan(2, json!([set("orders", json!(true)), set("branches", json!({ "amount": 1 })),
                                   set("seats", json!({ "amount": "unlimited" })), set("users", json!({ "amount": 60 }))])),
            "small": plan(1, json!([set("branches", json!({ "amount": 2 })), set("seats", json!({ "amount": 5 })),
                                    set("users", json!({ "amount": 10 }))])),
        },
        "add_ons": {
            "extra": { "name": "Extra", "name2": "إضافة", "compatible_with": ["full"],
                       "contributions": [set("orders", json!(true))] },
        },
    })
}

fn paid(plan: &str, until: &str) -> Value {
    json!({ "kind": "paid", "plan": plan, "from": "2026-01-01T00:00:00Z", "until": until })
}

/// What is said of a tenant with these facts.
fn warnings(facts: Value) -> Vec<(String, String)> {
    let mut tenant = json!({ "name": "T", "name2": "ت", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" });
    tenant.as_object_mut().unwrap().extend(facts.as_object().unwrap().clone());
    let mut definitions = definitions();
    definitions["tenants"] = json!({ "t": tenant });
    let stamp =
        Stamp { revision: Revision::default(), issued_at: "2026-02-01T00:00:00Z".parse().unwrap(), expires_at: None };
    let sources = [Source { name: "a.json".into(), bytes: definitions.to_string().into_bytes() }];
    let found = Snapshot::from_sources(&sources, stamp).unwrap().warnings();
    found.into_iter().map(|warning| (warning.path, warning.message)).collect()
}

fn one(path: &str, message: &str) -> Vec<(String, String)> {
    vec![(path.to_owned(), message.to_owned())]
}

/// The plan that was before goes on below the one that applies, as upgrades are mostly written down.
#[test]
fn a_licence_is_inert_beside_the_plan_that_applies_and_no_other() {
    let small = json!({ "kind": "paid", "plan": "small", "from": "2026-01-01T00:00:00Z" });
    let full = |from: &str| json!({ "kind": "paid", "plan": "full", "from": from });
    let licence = json!({ "l": { "add_on": "extra", "quantity": 1, "from": "2026-03-01T00:00:00Z" } });
    let of = |from: &str| warnings(json!({ "phases": { "a": small, "b": full(from) }, "licences": licence }));
    assert_eq!(of("2026-03-01T00:00:00Z"), []);
    let inert = one("/tenants/t/licences/l", "add-on `extra` is inert while plan `small` applies");
    assert_eq!(of("2026-03-01T00:00:01Z"), inert);
}

#[test]
fn a_trial_names_what_it_takes_away_once_and_not_what_it_adds() {
    let trial =
        json!({ "kind": "trial", "plan": "small", "from": "2026-02-01T00:00:00Z", "until": "2026-03-01T00:00:00Z" });
    let phases = json!({ "p": paid("full", "2027-01-01T00:00:00Z"), "t1": trial });
    let said = one(
        "/tenants/t/phases/t1",
        "the trial of `small` takes away `orders`, `seats` (unlimited → 5), `users` (60 → 10) at 2026-02-01T00:00:00Z",
    );
    assert_eq!(warnings(json!({ "phases": phases })), said);
    // Something else begins within the trial: it is not a second trial.
    let preference = json!({ "feature": "branches", "op": "add", "value": 1, "from": "2026-02-10T00:00:00Z",
                             "reason": "agreed", "actor": "staff" });
    assert_eq!(warnings(json!({ "phases": phases, "overrides": { "o": preference } })), said);
}

#[test]
fn an_override_that_gives_less_says_how_much_and_one_that_gives_the_same_is_left_alone() {
    let with = |feature: &str, amount: Value| {
        let set = json!({ "feature": feature, "op": "set", "value": { "amount": amount },
                          "reason": "agreed", "actor": "staff" });
        warnings(json!({ "phases": { "p": paid("full", "2027-01-01T00:00:00Z") }, "overrides": { "o": set } }))
    };
    assert_eq!(
        with("users", json!(59)),
        one(
            "/tenants/t/overrides/o",
            "the tenant has 59 of `users` with the override and would have 60 without it at 2026-01-01T00:00:00Z"
        )
    );
    assert_eq!(
        with("seats", json!(1)),
        one(
            "/tenants/t/overrides/o",
            "the tenant has 1 of `seats` with the override and would have unlimited without it at 2026-01-01T00:00:00Z"
        )
    );
    for (feature, amount) in [("users", json!(60)), ("users", json!("unlimited")), ("seats", json!("unlimited"))] {
        assert_eq!(with(feature, amount), []);
    }
}

#[test]
fn an_add_on_is_inert_beside_a_plan_only_while_both_last() {
    let with = |plan: &str, from: &str| {
        let licence = json!({ "add_on": "extra", "quantity": 1, "from": from });
        warnings(json!({ "phases": { "p": paid(plan, "2026-06-01T00:00:00Z") }, "licences": { "l": licence } }))
    };
    assert_eq!(
        with("small", "2026-05-31T00:00:00Z"),
        one("/tenants/t/licences/l", "add-on `extra` is inert while plan `small` applies")
    );
    assert_eq!(with("small", "2026-06-01T00:00:00Z"), []);
    assert_eq!(with("full", "2026-05-31T00:00:00Z"), []);
}

/// Thousands of overrides on one limit are looked at in a moment, and of those below the plan each is told.
#[test]
fn many_overrides_of_one_limit_are_looked_at_once() {
    let day = |number: u32| format!("{}-01-01T00:00:00Z", 2000 + number);
    let overrides = |count: u32| -> Value {
        let of = |number: u32| {
            let value = json!({ "feature": "users", "op": "set", "value": { "amount": 20 + number }, "reason": "R",
                "actor": "A", "from": day(2 * number), "until": day(2 * number + 3) });
            (format!("o{number:04}"), value)
        };
        (0..count).map(of).collect()
    };
    // The last of those that are valid together counts, and without it the one before it. Each is alone for a year.
    let found =
        warnings(json!({ "phases": { "p": paid("full", "2030-01-01T00:00:00Z") }, "overrides": overrides(3000) }));
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/tenants/t/overrides/o0013", "/tenants/t/overrides/o0014"]);
}
