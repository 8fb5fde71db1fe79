//! What was found wrong with workflows, each as the case that showed it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use crate::support::{stamp, start};
use leasehold::Snapshot;
use leasehold::merge::Side;
use leasehold::model::Source;
use leasehold::workflow::{Context, Input, LoggedInput, LoggedMove, Upgrade};
use serde_json::{Value, json};

fn labelled(mut value: Value) -> Value {
    value["name"] = json!("Name");
    value["name2"] = json!("اسم");
    value
}

fn transition(from: &str, to: &str, guards: Value) -> Value {
    labelled(json!({ "from": from, "event": format!("{from}-{to}"), "to": to, "guards": guards }))
}

fn guard(inputs: Value, settings: Value, expression: &str) -> Value {
    labelled(json!({ "inputs": inputs, "settings": settings, "expression": expression }))
}

/// From `a` to the final `z` by one transition with these guards.
fn version(guards: Value) -> Value {
    json!({
        "stages": { "a": labelled(json!({ "initial": true })), "z": labelled(json!({ "final": true })) },
        "transitions": { "t": transition("a", "z", guards) },
    })
}

fn definitions(guards: Value, versions: Value, laid: Value) -> Value {
    let tenant = json!({
        "name": "T", "name2": "ت", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z", "workflows": { "w": laid },
    });
    json!({
        "guards": guards,
        "workflows": { "w": labelled(json!({ "current": 1, "versions": versions })) },
        "tenants": { "t": tenant },
    })
}

/// Where the conflicts of an upgrade are.
fn paths(upgrade: &Upgrade) -> Vec<&str> {
    upgrade.conflicts.iter().map(|conflict| conflict.conflict.path.as_str()).collect()
}

fn build(definitions: &Value) -> Result<Snapshot, Vec<(&'static str, String)>> {
    let source = Source { name: "case.json".into(), bytes: definitions.to_string().into_bytes() };
    Snapshot::from_sources(&[source], stamp(start()))
        .map_err(|refused| refused.into_vec().into_iter().map(|one| (one.code.as_str(), one.path)).collect())
}

fn compiled(definitions: &Value) -> Snapshot {
    build(definitions).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Settings of a tenant that leave no way to the final stage are refused, however they do it.
#[test]
fn settings_that_cut_the_only_path() {
    let cut = |guards: Value, bound: Value, settings: Value| {
        let laid = json!({ "settings": settings });
        build(&definitions(guards, json!({ "1": version(bound) }), laid)).map(|_| ())
    };
    let refused = Err(vec![("no_path_to_final", "/tenants/t/workflows/w".to_owned())]);
    let integer = |default: i64| json!({ "type": "integer", "default": default });

    // A division by zero on constants alone.
    let divides = json!({ "g": guard(json!({ "x": "integer" }), json!({ "d": integer(2) }), "x < 10 / d") });
    assert_eq!(cut(divides.clone(), json!({ "g": {} }), json!({ "g": { "d": 0 } })), refused);
    assert_eq!(cut(divides, json!({ "g": {} }), json!({ "g": { "d": 5 } })), Ok(()));

    // Two guards that can each hold, and never together.
    let bounds = json!({
        "lo": guard(json!({ "x": "integer" }), json!({ "m": integer(1) }), "x >= m"),
        "hi": guard(json!({ "x": "integer" }), json!({ "m": integer(10) }), "x <= m"),
    });
    assert_eq!(cut(bounds.clone(), json!({ "lo": {}, "hi": {} }), json!({ "lo": { "m": 20 } })), refused);
    assert_eq!(cut(bounds.clone(), json!({ "lo": {}, "hi": {} }), json!({ "lo": { "m": 10 } })), Ok(()));

    // One that needs Rhai stands between them.
    let mut noted = bounds;
    noted["note"] = guard(json!({ "n": "string" }), json!({}), "n.len() > 0");
    let three = json!({ "lo": {}, "hi": {}, "note": {} });
    assert_eq!(cut(noted.clone(), three.clone(), json!({ "lo": { "m": 20 } })), refused);
    assert_eq!(cut(noted, three, json!({ "lo": { "m": 10 } })), Ok(()));

    // Next to so many other conditions that nobody tries all inputs at once; some share inputs in a long row.
    let mut inputs = json!({ "z": "integer" });
    for at in 0..12 {
        inputs[format!("p{at}")] = json!("bool");
        inputs[format!("i{at}")] = json!("integer");
    }
    let within = (0..12).map(|at| format!("i{at} >= 0 && i{at} <= 100"));
    let row = (0..11).map(|at| format!("(p{at} || p{})", at + 1));
    let around = within.chain(row).collect::<Vec<_>>().join(" && ");
    for last in
        ["z >= min && z <= max", "(z >= min || p0) && z <= max && !p0", "(p0 && z < min || !p0) && z < max && z > 5"]
    {
        let text = format!("{around} && {last}");
        let wide = json!({ "g": guard(inputs.clone(), json!({ "min": integer(0), "max": integer(20) }), &text) });
        let (fits, cuts) = (json!({ "g": { "max": 9 } }), json!({ "g": { "min": 6, "max": 5 } }));
        assert_eq!(cut(wide.clone(), json!({ "g": {} }), fits), Ok(()), "{last}");
        assert_eq!(cut(wide, json!({ "g": {} }), cuts), refused, "{last}");
    }

    // More than Rhai is given.
    let long = json!({ "g": guard(
        json!({ "note": "string", "kind": "string" }),
        json!({ "allowed": { "type": "strings", "default": ["silk"] } }),
        "note.len() > 0 && kind in allowed",
    ) });
    let allowed: Vec<String> = (0..1_000).map(|n| format!("{n:0300}")).collect();
    let over = Err(vec![("guard_over_budget", "/tenants/t/workflows/w".to_owned())]);
    assert_eq!(cut(long, json!({ "g": {} }), json!({ "g": { "allowed": allowed } })), over);
}

#[test]
fn one_input_in_two_types_can_never_be_given() {
    let guards = json!({
        "g1": guard(json!({ "x": "bool" }), json!({}), "x"),
        "g2": guard(json!({ "x": "integer" }), json!({}), "x > 0"),
    });
    let refused = build(&definitions(guards, json!({ "1": version(json!({ "g1": {}, "g2": {} })) }), json!({})));
    assert_eq!(refused.unwrap_err(), [("no_path_to_final", "/workflows/w/versions/1".to_owned())]);
}

#[test]
fn a_tenant_cannot_take_the_last_final_stage_away() {
    let mut back = version(json!({}));
    back["transitions"]["back"] = transition("z", "a", json!({}));
    let laid = json!({ "version": 1, "patch": [{ "op": "change", "stage": "z", "value": { "final": false } }] });
    let refused = build(&definitions(json!({}), json!({ "1": back }), laid));
    assert_eq!(refused.unwrap_err(), [("no_final_stage", "/tenants/t/workflows/w".to_owned())]);
}

/// Long lists in settings are looked at, not multiplied.
#[test]
fn long_settings_are_cheap() {
    let guards = json!({ "g": guard(
        json!({ "s": "string", "l": "strings" }),
        json!({ "allowed": { "type": "strings", "default": ["silk"] } }),
        "s in allowed && s in l",
    ) });
    let allowed: Vec<String> = (0..1_024).map(|n| format!("{n:0500}")).collect();
    let laid = json!({ "settings": { "g": { "allowed": allowed } } });
    // Multiplied, this takes half an hour.
    compiled(&definitions(guards, json!({ "1": version(json!({ "g": {} })) }), laid));
}

#[test]
fn what_is_too_large_is_refused_before_machines_are_made_of_it() {
    let mut large = version(json!({}));
    for number in 0..1_001 {
        large["stages"][format!("s{number}")] = labelled(json!({}));
    }
    let refused = build(&definitions(json!({}), json!({ "1": large }), json!({})));
    assert_eq!(refused.unwrap_err(), [("too_many_definitions", "/workflows/w/versions/1/stages".to_owned())]);
    let operation = json!({ "op": "change", "stage": "a", "value": { "order": 1 } });
    let laid = |count: usize| json!({ "version": 1, "patch": vec![&operation; count] });
    let laid = |count| build(&definitions(json!({}), json!({ "1": version(json!({})) }), laid(count)));
    assert_eq!(laid(1_001).unwrap_err(), [("too_many_definitions", "/tenants/t/workflows/w/patch".to_owned())]);
    laid(1_000).unwrap();
}

/// Guards that stand together are compared with each other.
#[test]
fn a_transition_has_so_many_guards_and_no_more() {
    let guards = json!({ "g": guard(json!({ "x": "bool" }), json!({}), "x") });
    let bound = |count: usize| (0..count).map(|at| (format!("b{at}"), json!({ "guard": "g" }))).collect::<Value>();
    let refused = |count, laid| {
        let refused = build(&definitions(guards.clone(), json!({ "1": version(bound(count)) }), laid));
        refused.map(drop)
    };
    refused(64, json!({})).unwrap();
    let one = |path: &str| Err(vec![("too_many_definitions", path.to_owned())]);
    assert_eq!(refused(65, json!({})), one("/workflows/w/versions/1/transitions/t"));
    assert_eq!(refused(100_000, json!({})), one("/workflows/w/versions/1/transitions/t"));
    let patch = json!([{ "op": "add", "transition": "t", "guard": "another", "value": { "guard": "g" } }]);
    assert_eq!(refused(64, json!({ "version": 1, "patch": patch })), one("/tenants/t/workflows/w"));
}

/// Guards that a tenant and a new version add to a transition without any are two additions.
#[test]
fn both_sides_add_a_guard() {
    let versions = json!({ "1": version(json!({})), "2": version(json!({ "requires_invoice": {} })) });
    let patch = json!([{ "op": "add", "transition": "t", "guard": "requires_pod", "value": {} }]);
    let snapshot = compiled(&definitions(json!({}), versions, json!({ "version": 1, "patch": patch })));
    let upgrade = snapshot.tenant("t").unwrap().upgrade("w", 2, Side::Base).unwrap();
    assert_eq!(upgrade.conflicts, []);
    assert_eq!(json!(upgrade.laid), json!({ "version": 2, "patch": patch }));
}

/// Where a conflict may be decided for a stage that the other side removed, that is a conflict too.
#[test]
fn a_conflict_over_a_removed_stage_lists_the_stage() {
    let four = |to: &str, with_b: bool| {
        let mut stages = json!({ "a": labelled(json!({ "initial": true })) });
        for stage in ["b", "c", "d"] {
            if stage != "b" || with_b {
                stages[stage] = labelled(json!({ "final": true }));
            }
        }
        json!({ "stages": stages, "transitions": { "t": transition("a", to, json!({})) } })
    };
    let mut versions = json!({ "1": four("d", true), "2": four("c", false) });
    for number in ["1", "2"] {
        versions[number]["transitions"]["t"]["event"] = json!("go");
    }
    let patch = json!([{ "op": "change", "transition": "t", "value": { "to": "b" } }]);
    let snapshot = compiled(&definitions(json!({}), versions, json!({ "version": 1, "patch": patch })));
    let upgrade = snapshot.tenant("t").unwrap().upgrade("w", 2, Side::Ours).unwrap();
    assert_eq!(paths(&upgrade), ["/stages/b", "/transitions/t/to"]);
    assert_eq!(upgrade.found.iter().filter(|one| one.severity == leasehold::model::Severity::Error).count(), 0);
}

/// So it is where a side removed the transition, whichever side is taken. Stages that only other transitions used are gone.
#[test]
fn a_removed_transition_restores_its_own_stages_alone() {
    let final_stage = || labelled(json!({ "final": true }));
    let first = labelled(json!({ "initial": true }));
    let to = |stage: &str| labelled(json!({ "from": "a", "event": "go", "to": stage, "role": "clerk" }));
    let left = |stage: &str| transition("a", stage, json!({}));
    let one = json!({
        "stages": { "a": first, "b": final_stage(), "c": final_stage(), "d": final_stage(), "e": final_stage() },
        "transitions": { "t": to("d"), "u": left("c"), "v": left("e") },
    });
    let two = json!({
        "stages": { "a": first, "c": final_stage(), "d": final_stage() },
        "transitions": { "u": left("c") },
    });
    let patch = json!([{ "op": "change", "transition": "t", "value": { "to": "b" } }]);
    let versions = json!({ "1": one, "2": two });
    let snapshot = compiled(&definitions(json!({}), versions, json!({ "version": 1, "patch": patch })));
    for side in [Side::Ours, Side::Theirs, Side::Base] {
        let upgrade = snapshot.tenant("t").unwrap().upgrade("w", 2, side).unwrap();
        assert_eq!(paths(&upgrade), ["/stages/b", "/transitions/t"], "{side:?}");
    }
}

/// A machine that lacks one of its guards is asked nothing.
#[test]
fn replay_refuses_what_does_not_fit() {
    let guards = json!({
        "g1": guard(json!({ "y": "integer" }), json!({ "m": { "type": "string", "default": "x" } }), "y < 5 && m != \"\""),
        "g2": guard(json!({ "y": "integer" }), json!({ "m": { "type": "integer", "default": 3 } }), "y < m"),
    });
    let bound = |settings: Value| version(json!({ "k": { "guard": "g1", "settings": settings } }));
    let versions = json!({ "1": bound(json!({})), "2": bound(json!({ "m": "abc" })) });
    let patch = json!([{ "op": "change", "transition": "t", "guard": "k", "value": { "guard": "g2" } }]);
    let snapshot = compiled(&definitions(guards, versions, json!({ "version": 1, "patch": patch })));
    let inputs = [("y".to_owned(), LoggedInput::Json(json!(99)))].into();
    let logged = LoggedMove { tenant: "t".into(), from: "a".into(), to: "z".into(), inputs, ..LoggedMove::default() };
    let replay = snapshot.replay("w", 2, [logged]).unwrap();
    assert_eq!((replay.allowed, replay.refused[0].code), (0, "invalid_upgrade"));
    assert_eq!(replay.misfits.values().flatten().map(|one| one.code.as_str()).collect::<Vec<_>>(), ["invalid_value"]);
}

/// Inputs for a path are looked for under all guards of a transition at once.
#[test]
fn paths_find_inputs_for_guards_together() {
    let guards = json!({
        "above": guard(json!({ "x": "integer" }), json!({}), "x > 5"),
        "other": guard(json!({ "x": "integer" }), json!({}), "x != 6"),
    });
    let versions = json!({ "1": version(json!({ "above": {}, "other": {} })) });
    let machine = compiled(&definitions(guards, versions, json!({}))).tenant("t").unwrap().machine("w", None).unwrap();
    let paths = machine.covering_paths();
    assert_eq!((paths.not_covered.len(), paths.paths.len()), (0, 1));
}

/// A guard that a setting switches off shadows what comes after it.
#[test]
fn a_guard_that_is_switched_off_shadows() {
    let mut both = version(json!({ "requires_pod": {} }));
    both["transitions"]["u"] = transition("a", "z", json!({ "requires_invoice": {} }));
    let laid = json!({ "settings": { "requires_pod": { "required": false } } });
    let found = compiled(&definitions(json!({}), json!({ "1": both }), laid)).warnings();
    let found: Vec<(&str, &str)> = found.iter().map(|one| (one.code.as_str(), one.path.as_str())).collect();
    assert_eq!(found, [("shadowed_transition", "/tenants/t/workflows/w")]);
}

/// What a tenant says for all categories stands above the override of one, though it repeats what the version says.
#[test]
fn a_change_that_repeats_the_version_is_kept_above_an_override() {
    let mut one = version(json!({}));
    one["transitions"]["t"]["role"] = json!("cashier");
    let role = |role: &str| json!([{ "op": "change", "transition": "t", "value": { "role": role } }]);
    one["categories"] = json!({ "DRY_CLEAN": { "patch": role("driver") } });
    let mut two = one.clone();
    two["stages"]["z"]["name"] = json!("Finished");
    let laid = json!({ "version": 1, "patch": role("cashier") });
    let mut definitions = definitions(json!({}), json!({ "1": one, "2": two }), laid);
    for to in [1, 2] {
        let upgrade = compiled(&definitions).tenant("t").unwrap().upgrade("w", to, Side::Theirs).unwrap();
        assert_eq!((&*upgrade.conflicts, &*upgrade.found), (&[][..], &[][..]));
        definitions["tenants"]["t"]["workflows"]["w"] = serde_json::to_value(&upgrade.laid).unwrap();
        let snapshot = compiled(&definitions);
        for category in [None, Some("DRY_CLEAN")] {
            let machine = snapshot.tenant("t").unwrap().machine("w", category).unwrap();
            let context = Context { inputs: &[], roles: &["cashier"] };
            assert!(machine.check("a", "z", &context).is_ok(), "{category:?} of version {to}");
        }
    }
}

/// A setting of the tenant's that a new version fixes at a binding is not overruled without a word.
#[test]
fn a_setting_that_the_new_version_fixes_is_a_conflict() {
    let guards = json!({ "lim": guard(
        json!({ "d": "integer" }), json!({ "max": { "type": "integer", "default": 20 } }), "d <= max",
    ) });
    let bound = |settings: Value| version(json!({ "k": { "guard": "lim", "settings": settings } }));
    let versions = json!({ "1": bound(json!({})), "2": bound(json!({ "max": 30 })), "3": bound(json!({ "max": 15 })) });
    let laid = json!({ "version": 1, "settings": { "lim": { "max": 15 } } });
    let mut definitions = definitions(guards, versions, laid.clone());
    let snapshot = compiled(&definitions);
    let tenant = snapshot.tenant("t").unwrap();
    // What the new version fixes to the same is nobody's loss.
    assert_eq!(tenant.upgrade("w", 3, Side::Theirs).unwrap().conflicts, []);
    for (side, most) in [(Side::Ours, 15), (Side::Theirs, 30), (Side::Base, 15)] {
        let upgrade = tenant.upgrade("w", 2, side).unwrap();
        let expected = json!([{ "path": "/transitions/t/guards/k/settings/max", "ours": 15, "theirs": 30 }]);
        assert_eq!((json!(upgrade.conflicts), &*upgrade.found), (expected, &[][..]));
        definitions["tenants"]["t"]["workflows"]["w"] = json!(upgrade.laid);
        let machine = compiled(&definitions).tenant("t").unwrap().machine("w", None).unwrap();
        for (discount, allowed) in [(most, true), (most + 1, false)] {
            let inputs = [("d", leasehold::workflow::Input::Integer(discount))];
            let context = Context { inputs: &inputs, roles: &[] };
            assert_eq!(machine.check("a", "z", &context).is_ok(), allowed, "{side:?}: {discount}");
        }
    }

    // The guard stands elsewhere in the new version, and nowhere else.
    definitions["tenants"]["t"]["workflows"]["w"] = laid;
    let mut moved = version(json!({}));
    moved["transitions"] = json!({ "u": transition("a", "z", json!({ "lim": { "settings": { "max": 30 } } })) });
    definitions["workflows"]["w"]["versions"]["2"] = moved;
    let upgrade = compiled(&definitions).tenant("t").unwrap().upgrade("w", 2, Side::Ours).unwrap();
    assert_eq!(paths(&upgrade), ["/transitions/u/guards/lim/settings/max"]);
    assert_eq!(json!(upgrade.laid)["patch"][0]["value"]["settings"]["max"], 15);
}

/// A setting at a binding that is a conflict itself is not listed once more.
#[test]
fn a_setting_below_a_conflict_is_told_with_it() {
    let guards = json!({ "lim": guard(
        json!({ "d": "integer" }), json!({ "max": { "type": "integer", "default": 20 } }), "d <= max",
    ) });
    let added = version(json!({ "k": { "guard": "lim", "settings": { "max": 30 } } }));
    let patch = json!([{ "op": "add", "transition": "t", "guard": "k", "value": { "guard": "lim" } }]);
    let laid = json!({ "version": 1, "patch": patch, "settings": { "lim": { "max": 15 } } });
    let snapshot = compiled(&definitions(guards, json!({ "1": version(json!({})), "2": added }), laid));
    for side in [Side::Ours, Side::Theirs] {
        let upgrade = snapshot.tenant("t").unwrap().upgrade("w", 2, side).unwrap();
        assert_eq!(paths(&upgrade), ["/transitions/t/guards/k"], "{side:?}");
        let operations = upgrade.laid.patch.len();
        assert_eq!(operations, usize::from(side == Side::Ours));
    }
}

/// What a tenant does for all categories and an override of the new version does too cannot stand: it is told, whichever
/// side is taken, and the other machines are as they should be.
#[test]
fn a_patch_that_does_not_fit_an_override_is_a_conflict() {
    let mut one = version(json!({}));
    one["stages"]["m"] = labelled(json!({}));
    one["transitions"]["am"] = transition("a", "m", json!({}));
    one["transitions"]["mz"] = transition("m", "z", json!({}));
    one["transitions"]["cancel"] = transition("a", "z", json!({}));
    let remove = |what: &str, id: &str| json!({ "op": "remove", what: id });
    let cancel = json!([remove("transition", "cancel")]);
    let guarded = json!([{ "op": "add", "transition": "t", "guard": "requires_invoice", "value": {} }]);
    let without_m = json!([remove("transition", "am"), remove("transition", "mz"), remove("stage", "m")]);
    let relabelled = json!([{ "op": "change", "stage": "m", "value": { "name": "Mine" } }]);
    for (own, over, path, code) in [
        (&cancel, &cancel, "/transitions/cancel", "patch_target_gone"),
        (&guarded, &guarded, "/transitions/t/guards/requires_invoice", "patch_target_exists"),
        (&relabelled, &without_m, "/stages/m", "patch_target_gone"),
    ] {
        let mut two = one.clone();
        two["categories"] = json!({ "DRY_CLEAN": { "patch": over } });
        let versions = json!({ "1": one, "2": two });
        let snapshot = compiled(&definitions(json!({}), versions, json!({ "version": 1, "patch": own })));
        let tenant = snapshot.tenant("t").unwrap();
        for side in [Side::Ours, Side::Theirs, Side::Base] {
            let upgrade = tenant.upgrade("w", 2, side).unwrap();
            let [conflict] = &*upgrade.conflicts else { panic!("{:?}", upgrade.conflicts) };
            let category = conflict.category.as_ref().map(|category| category.as_str());
            assert_eq!((category, &*conflict.conflict.path), (Some("DRY_CLEAN"), path));
            assert!(conflict.misfit.is_some() || side != Side::Ours);
            let found: Vec<&str> = upgrade.found.iter().map(|one| one.code.as_str()).collect();
            assert_eq!(found, [code]);
            let of = |category| tenant.supposed_machine("w", &upgrade.laid, category).unwrap().1.len();
            assert_eq!((of(None), of(Some("DRY_CLEAN")), of(Some("REPAIRS"))), (0, 1, 0));
        }
    }
}

/// A tenant that follows a template and has settings of its own is replayed with these over the version as it is.
#[test]
fn replay_lays_nothing_more_over_what_is_followed() {
    let guards = json!({ "lim": guard(
        json!({ "d": "integer" }), json!({ "max": { "type": "integer", "default": 20 } }), "d <= max",
    ) });
    let bound = |settings: Value| version(json!({ "lim": { "settings": settings } }));
    let versions = json!({ "1": bound(json!({})), "2": bound(json!({ "max": 30 })) });
    let snapshot = compiled(&definitions(guards, versions, json!({ "settings": { "lim": { "max": 15 } } })));
    let inputs = [("d".to_owned(), LoggedInput::Json(json!(25)))].into();
    let logged = LoggedMove { tenant: "t".into(), from: "a".into(), to: "z".into(), inputs, ..LoggedMove::default() };
    let replay = snapshot.replay("w", 2, [logged]).unwrap();
    assert_eq!((replay.allowed, replay.conflicts.len()), (1, 0));
}

/// What a tenant changed otherwise than the version that is replayed is a conflict, and told.
#[test]
fn replay_tells_of_conflicts() {
    let role = |role: &str| {
        let mut version = version(json!({}));
        version["transitions"]["t"]["role"] = json!(role);
        version
    };
    let versions = json!({ "1": role("cashier"), "2": role("clerk") });
    let patch = json!([{ "op": "change", "transition": "t", "value": { "role": "driver" } }]);
    let snapshot = compiled(&definitions(json!({}), versions, json!({ "version": 1, "patch": patch })));
    let roles = vec!["driver".to_owned()];
    let logged = LoggedMove { tenant: "t".into(), from: "a".into(), to: "z".into(), roles, ..LoggedMove::default() };
    for (version, conflicts) in [(1, vec![]), (2, vec![("t".to_owned(), 1)])] {
        let replay = snapshot.replay("w", version, [logged.clone()]).unwrap();
        let found: Vec<(String, usize)> = replay.conflicts.iter().map(|(id, count)| (id.to_string(), *count)).collect();
        assert_eq!((replay.allowed, found), (1, conflicts), "version {version}");
    }
}

/// A stage that a category needs and the tenant's patch for all of them takes away is the patch's fault.
#[test]
fn whoever_takes_a_stage_away_is_to_blame() {
    let mut one = version(json!({}));
    one["stages"]["m"] = labelled(json!({ "final": true }));
    one["transitions"]["am"] = transition("a", "m", json!({}));
    let mut over = transition("a", "m", json!({}));
    over["event"] = json!("again");
    let own = json!([{ "op": "add", "transition": "u", "value": over }]);
    one["categories"] = json!({ "DRY_CLEAN": { "patch": own } });
    let remove = |what: &str, id: &str| json!({ "op": "remove", what: id });
    let patch = json!([remove("transition", "am"), remove("stage", "m")]);
    let told = |laid: Value| build(&definitions(json!({}), json!({ "1": one }), laid)).map(|_| ()).unwrap_err();
    let at = |path: &str| vec![("unknown_stage", format!("/tenants/t/workflows/w{path}"))];
    assert_eq!(told(json!({ "version": 1, "patch": patch })), at(""));
    let in_category = json!({ "DRY_CLEAN": { "patch": patch } });
    assert_eq!(told(json!({ "version": 1, "categories": in_category })), at("/categories/DRY_CLEAN"));
}

/// The hash of a machine says whether it is the same without making it.
#[test]
fn machines_are_the_same_where_their_hashes_are() {
    let role = |role: &str| json!([{ "op": "change", "transition": "t", "value": { "role": role } }]);
    let mut one = version(json!({}));
    one["transitions"]["t"]["role"] = json!("cashier");
    one["categories"] = json!({ "DRY_CLEAN": { "patch": role("driver") } });
    let hash = |laid: Value, category: Option<&str>| {
        let snapshot = compiled(&definitions(json!({}), json!({ "1": one }), laid));
        snapshot.tenant("t").unwrap().machine_hash("w", category).unwrap()
    };
    let plain = hash(json!({}), None);
    assert_eq!(hash(json!({}), None), plain);
    assert_eq!(hash(json!({}), Some("REPAIRS")), plain, "nobody says anything of this category");
    let different =
        [plain, hash(json!({}), Some("DRY_CLEAN")), hash(json!({ "version": 1, "patch": role("clerk") }), None)];
    assert_eq!(different.iter().collect::<std::collections::BTreeSet<_>>().len(), different.len());
}

/// What was one patch for all categories may have to be said for each, which can be too much for one entry.
#[test]
fn an_entry_that_outgrows_what_is_allowed_is_told() {
    let role = |role: &str| json!([{ "op": "change", "transition": "t", "value": { "role": role } }]);
    let mut one = version(json!({}));
    one["transitions"]["t"]["role"] = json!("cashier");
    one["categories"] = (0..10).map(|at| (format!("OVER_{at}"), json!({ "patch": role("driver") }))).collect();
    let mut laid = json!({ "version": 1, "patch": role("cashier") });
    laid["categories"] = (0..250).map(|at| (format!("OWN_{at}"), json!({ "patch": role("clerk") }))).collect();
    let snapshot = compiled(&definitions(json!({}), json!({ "1": one, "2": one }), laid));
    let upgrade = snapshot.tenant("t").unwrap().upgrade("w", 2, Side::Ours).unwrap();
    let found: Vec<(&str, &str)> = upgrade.found.iter().map(|one| (one.code.as_str(), one.path.as_str())).collect();
    assert_eq!(found, [("too_many_definitions", "/tenants/t/workflows/w/categories")]);
}

/// What tenants lay over a template is looked at once for all who lay the same, and every one of them is told.
#[test]
fn every_tenant_is_told_of_what_it_lays_over_a_template() {
    let guards = json!({
        "g": guard(json!({ "x": "integer" }), json!({ "min": { "type": "integer", "default": 1 } }), "x >= min"),
        "broken": guard(json!({ "x": "integer" }), json!({}), "x >="),
    });
    let told = |laid: Value, guards: &Value| {
        let mut definitions = definitions(guards.clone(), json!({ "1": version(json!({ "g": {} })) }), laid);
        definitions["tenants"]["u"] = definitions["tenants"]["t"].clone();
        build(&definitions).err().unwrap_or_default()
    };
    let both = |code: &'static str, below: &str| {
        ["t", "u"].map(|tenant| (code, format!("/tenants/{tenant}/workflows/w{below}"))).to_vec()
    };
    let sound = json!({ "g": guards["g"] });
    assert_eq!(told(json!({ "settings": { "g": { "min": 5 } } }), &sound), []);
    let removes = json!({ "version": 1, "patch": [{ "op": "remove", "transition": "t" }] });
    assert!(told(removes, &sound).iter().any(|(_, path)| path.starts_with("/tenants/u/")), "not only the first");
    // Settings that are wrong are not tried out.
    let wrong = json!({ "settings": { "g": { "min": "a" } } });
    assert_eq!(told(wrong, &sound), both("invalid_value", "/settings/g"));
    // A guard that is there, and mistaken, is not one that is not there.
    let of_broken = told(json!({ "settings": { "broken": { "min": 1 } } }), &guards);
    assert!(of_broken.iter().all(|(_, path)| path.starts_with("/guards/broken")), "{of_broken:?}");
    assert_eq!(
        told(json!({ "settings": { "nowhere": { "min": 1 } } }), &sound),
        both("unknown_guard", "/settings/nowhere")
    );
}

#[test]
fn a_machine_says_what_it_needs_and_a_blocker_what_it_wants() {
    let machine = |expression: &str| {
        let guards = json!({ "g": guard(json!({ "x": "integer" }), json!({}), expression) });
        compiled(&definitions(guards, json!({ "1": version(json!({ "g": {} })) }), json!({})))
    };
    for (expression, calculates) in [("x > 1", false), ("x * x > 1", true)] {
        let snapshot = machine(expression);
        assert_eq!(snapshot.tenant("t").unwrap().machine("w", None).unwrap().needs_rhai(), calculates);
    }
    let snapshot = machine("x > 1");
    let machine = snapshot.tenant("t").unwrap().machine("w", None).unwrap();
    let context = Context { inputs: &[("x", Input::Integer(1))], roles: &[] };
    let answer = machine.transitions("a", &context).unwrap();
    assert_eq!(answer[0].blockers[0].to_string(), "`g` (guard_failed): expected x > 1, found {\"x\":1}");
}

fn input(value: &Value) -> Input<'_> {
    value.as_i64().map_or_else(|| Input::String(value.as_str().unwrap()), Input::Integer)
}

/// Between two stages the first transition that is enabled is taken: a path that names another one has inputs with which that
/// is it. Guards that share no input are looked at apart.
#[test]
fn a_path_takes_the_transitions_that_it_names() {
    let integers =
        |names: &[&str]| -> Value { names.iter().map(|name| ((*name).to_owned(), json!("integer"))).collect() };
    let guards = json!({
        "most": guard(integers(&["amount"]), json!({}), "amount >= 0"),
        "some": guard(integers(&["amount"]), json!({}), "amount >= 100 || amount < -5"),
        "share": guard(integers(&["d", "k"]), json!({}), "d != 0 && k * 100 / d <= 10"),
        "text": guard(json!({ "x": "string" }), json!({}), "x == \"a\""),
        "number": guard(integers(&["x"]), json!({}), "x > 3"),
        "many": guard(integers(&["p", "q", "r", "s", "u"]), json!({}), "p > 1 && q > 2 && r > 3 && s > 4 && u > 5"),
    });
    let version = json!({
        "stages": {
            "a": labelled(json!({ "initial": true })), "y": labelled(json!({ "final": true })),
            "z": labelled(json!({ "final": true })),
        },
        "transitions": {
            // The first is blocked by an input of another type, which is taken for the second.
            "t5": transition("a", "y", json!({ "text": {} })),
            "t6": transition("a", "y", json!({ "number": {} })),
            "t1": transition("a", "z", json!({ "most": {} })),
            "t2": transition("a", "z", json!({ "some": {} })),
            "t3": transition("a", "z", json!({ "most": {}, "some": {} })),
            "t4": transition("a", "z", json!({ "share": {}, "many": {} })),
        },
    });
    let snapshot = compiled(&definitions(guards, json!({ "1": version }), json!({})));
    let machine = snapshot.tenant("t").unwrap().machine("w", None).unwrap();
    let covering = machine.covering_paths();
    let mut taken = Vec::new();
    for step in covering.paths.iter().flat_map(|path| &path.steps) {
        let given: Vec<(&str, Input<'_>)> =
            step.inputs.iter().map(|(name, value)| (name.as_str(), input(value))).collect();
        let context = Context { inputs: &given, roles: &[] };
        let allowed = machine.check(step.from.as_str(), step.to.as_str(), &context).unwrap();
        assert_eq!(*allowed.transition, step.transition, "{:?}", step.inputs);
        taken.push(step.transition.as_str());
    }
    taken.sort_unstable();
    assert_eq!(taken, ["t1", "t2", "t4", "t5", "t6"]);
    assert_eq!(covering.not_covered.iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["t3"]);
}
