//! `Engine`, `Tenant` and `Feature`: handles follow swaps, remember nothing wrong, and cost nothing.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use leasehold::generate::{FleetSpec, fleet};
use leasehold::model::{Action, Source};
use leasehold::{Engine, Entitlements, Error, Explanation, Feature, Revision, Snapshot, Stamp, Tenant, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ISSUED_AT: &str = "2026-03-01T08:00:00Z";

fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    t(ISSUED_AT)
}

fn switch(on: bool) -> Value {
    json!({ "kind": "switch", "name": "Switch", "name2": "مفتاح", "group": "module", "default": on })
}

fn limit(amount: u64) -> Value {
    json!({ "kind": "limit", "name": "Limit", "name2": "حد", "group": "limits", "unit": "user",
            "default": { "amount": amount } })
}

/// A tenant with overrides that set switches, by feature and interval.
fn tenant(overrides: Value) -> Value {
    json!({ "name": "Tenant", "name2": "مستأجر", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z",
            "overrides": overrides })
}

fn set(feature: &str, on: bool, from: &str, until: &str) -> Value {
    json!({ "feature": feature, "op": "set", "value": on, "from": from, "until": until,
            "reason": "agreed", "actor": "staff" })
}

fn snapshot_until(revision: u64, expires_at: Option<&str>, features: Value, tenants: Value) -> Snapshot {
    let bytes = json!({ "features": features, "tenants": tenants }).to_string().into_bytes();
    let revision = Revision::new(revision).unwrap();
    let stamp = Stamp { revision, issued_at: now(), expires_at: expires_at.map(t) };
    Snapshot::from_sources(&[Source { name: "test.json".into(), bytes }], stamp).unwrap()
}

fn snapshot(revision: u64, features: Value, tenants: Value) -> Snapshot {
    snapshot_until(revision, None, features, tenants)
}

/// Tenant `t1` alone, with one switch.
fn one_switch(revision: u64, on: bool) -> Snapshot {
    snapshot(revision, json!({ "orders": switch(on) }), json!({ "t1": tenant(json!({})) }))
}

fn handle(key: &str) -> Feature {
    Feature::new(key.parse().unwrap())
}

fn code<T>(answer: Result<T, Error>) -> Result<T, &'static str> {
    answer.map_err(|error| error.code())
}

/// Asks in every way there is, twice, so that the second time may come from what the handle saw. All must agree.
fn ask_every_way(engine: &Engine, held: &Tenant, feature: &Feature, now: Timestamp) -> Result<bool, &'static str> {
    let (id, key) = (held.id(), feature.key().as_str());
    let answer = code(engine.is_enabled(id, key, now));
    for round in 1..=2 {
        assert_eq!(code(engine.is_enabled(id, feature, now)), answer, "engine and feature, round {round}");
        assert_eq!(code(held.is_enabled(feature, now)), answer, "both handles, round {round}");
        assert_eq!(code(held.is_enabled(key, now)), answer, "tenant and text, round {round}");
        assert_eq!(code(held.is_enabled(feature.key(), now)), answer, "tenant and key, round {round}");
        assert_eq!(code(held.with(|pinned| pinned.is_enabled(feature, now))), answer, "pinned, round {round}");
        assert_eq!(held.is_enabled_or(feature, now, true), answer.unwrap_or(true), "with a default, round {round}");
    }
    answer
}

#[test]
fn a_handle_follows_swaps() {
    let engine = Engine::new(one_switch(1, false));
    let (held, orders) = (engine.tenant("t1").unwrap(), handle("orders"));
    let nobody = || snapshot(3, json!({ "orders": switch(true) }), json!({ "t2": tenant(json!({})) }));
    let cases: [(Snapshot, Result<bool, &str>); 5] = [
        (one_switch(2, true), Ok(true)),
        (nobody(), Err("unknown_tenant")),
        (one_switch(4, true), Ok(true)),
        (one_switch(5, false), Ok(false)),
        (snapshot(6, json!({}), json!({ "t1": tenant(json!({})) })), Err("unknown_feature")),
    ];
    assert_eq!(ask_every_way(&engine, &held, &orders, now()), Ok(false));
    for (next, expected) in cases {
        let revision = next.stamp().revision;
        engine.swap(next);
        assert_eq!(ask_every_way(&engine, &held, &orders, now()), expected, "revision {revision}");
        assert_eq!(held.entitlements(now()).is_ok(), expected != Err("unknown_tenant"), "revision {revision}");
    }
    assert_eq!(held.id(), "t1");
}

#[test]
fn every_question_through_a_handle_says_unknown_tenant() {
    let engine = Engine::new(one_switch(1, true));
    let held = engine.tenant("t1").unwrap();
    engine.swap(snapshot(2, json!({ "orders": switch(true) }), json!({})));
    let (change, usage) = (leasehold::Change::default(), leasehold::Usage::new());
    let gone = Err("unknown_tenant");
    assert_eq!(code(held.is_enabled_for("orders", Action::Read, now())), gone);
    assert_eq!(code(held.decide("orders", Action::Use, now()).map(|_| true)), gone);
    assert_eq!(code(held.value("orders", now()).map(|_| true)), gone);
    assert_eq!(code(held.check_limit("orders", 0, 1, now()).map(|_| true)), gone);
    assert_eq!(code(held.entitlements(now()).map(|_| true)), gone);
    assert_eq!(code(held.explain("orders", Action::Use, now()).map(|_| true)), gone);
    assert_eq!(code(held.what_if(&change, &usage, now()).map(|_| true)), gone);
    assert_eq!(code(held.answer_table(Action::Use, now()).map(|_| true)), gone);
    assert_eq!(code(engine.tenant("t1").map(|_| true)), gone);
}

#[test]
fn clones_share_one_store() {
    let engine = Engine::new(one_switch(1, false));
    let (clone, held) = (engine.clone(), engine.tenant("t1").unwrap());
    let held_too = held.clone();
    clone.swap(one_switch(2, true));
    for held in [held, held_too, engine.tenant("t1").unwrap()] {
        assert_eq!(ask_every_way(&engine, &held, &handle("orders"), now()), Ok(true));
    }
    assert_eq!(engine.pin().stamp().revision.get(), 2);
}

#[test]
fn a_feature_handle_survives_renumbering() {
    let features = |earlier: usize, on: bool| -> Value {
        let mut features: Map<String, Value> = (0..earlier).map(|n| (format!("a{n:03}"), switch(!on))).collect();
        features.insert("orders".into(), switch(on));
        features.insert("zz".into(), switch(!on));
        features.into()
    };
    let tenants = || json!({ "t1": tenant(json!({})) });
    let engine = Engine::new(snapshot(1, features(0, true), tenants()));
    let (held, orders) = (engine.tenant("t1").unwrap(), handle("orders"));
    // Over the words of a bit set, there and back.
    for (revision, earlier) in (2..).zip([1, 63, 64, 65, 200, 2, 0]) {
        for on in [true, false] {
            engine.swap(snapshot(revision, features(earlier, on), tenants()));
            assert_eq!(ask_every_way(&engine, &held, &orders, now()), Ok(on), "{earlier} features before it");
            assert_eq!(ask_every_way(&engine, &held, &handle("zz"), now()), Ok(!on), "{earlier} features before it");
        }
    }
}

#[test]
fn a_pinned_snapshot_keeps_answering_from_its_revision() {
    let engine = Engine::new(one_switch(1, true));
    let (pinned, orders) = (engine.pin(), handle("orders"));
    engine.swap(one_switch(2, false));
    engine.swap(snapshot(3, json!({}), json!({})));
    let tenant = pinned.tenant("t1").unwrap();
    let decision = tenant.decide(&orders, Action::Use, now()).unwrap();
    assert_eq!((decision.enabled, decision.revision.get()), (true, 1));
    assert_eq!(code(engine.is_enabled("t1", &orders, now())), Err("unknown_tenant"));
    // The handle was found in the old numbering in between; the new one must not trust that.
    engine.swap(one_switch(4, false));
    assert_eq!(tenant.is_enabled(&orders, now()), Ok(true));
    assert_eq!(engine.is_enabled("t1", &orders, now()), Ok(false));
    assert_eq!(tenant.is_enabled(&orders, now()), Ok(true));
}

#[test]
fn handles_answer_beyond_the_time_a_profile_holds() {
    let overrides = json!({
        "o1": set("orders", true, "2026-02-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        "o2": set("orders", true, "2026-05-01T00:00:00Z", "2026-06-01T00:00:00Z"),
    });
    let engine = Engine::new(snapshot(1, json!({ "orders": switch(false) }), json!({ "t1": tenant(overrides) })));
    let (held, orders) = (engine.tenant("t1").unwrap(), handle("orders"));
    for (at, on) in [
        ("2026-03-01T08:00:00Z", true),
        ("0000-01-01T00:00:00Z", false),
        ("2026-01-31T23:59:59.999Z", false),
        ("2026-02-01T00:00:00Z", true),
        ("2026-03-31T23:59:59.999Z", true),
        ("2026-04-01T00:00:00Z", false),
        ("2026-05-01T00:00:00Z", true),
        ("2026-06-01T00:00:00Z", false),
        ("9999-12-31T23:59:59.999Z", false),
        ("2026-03-01T08:00:00Z", true),
    ] {
        assert_eq!(ask_every_way(&engine, &held, &orders, t(at)), Ok(on), "{at}");
    }
}

#[test]
fn a_handle_on_another_kind_says_wrong_kind_every_time() {
    let engine_of = |revision, feature: Value| {
        snapshot(revision, json!({ "seats": feature, "users": limit(3) }), json!({ "t1": tenant(json!({})) }))
    };
    let engine = Engine::new(engine_of(1, limit(5)));
    let (held, seats) = (engine.tenant("t1").unwrap(), handle("seats"));
    // A question that fits makes the handle remember the place.
    assert_eq!(held.check_limit(&seats, 0, 1, now()).unwrap().limit, Some(5));
    assert_eq!(ask_every_way(&engine, &held, &seats, now()), Err("wrong_kind"));
    // The same key becomes a switch, and a limit again.
    engine.swap(engine_of(2, switch(true)));
    assert_eq!(ask_every_way(&engine, &held, &seats, now()), Ok(true));
    assert_eq!(code(held.check_limit(&seats, 0, 1, now()).map(|_| ())), Err("wrong_kind"));
    assert_eq!(code(held.value(&seats, now())), Err("wrong_kind"));
    engine.swap(engine_of(3, limit(7)));
    assert_eq!(ask_every_way(&engine, &held, &seats, now()), Err("wrong_kind"));
    assert_eq!(held.check_limit(&seats, 7, 1, now()).unwrap().limit, Some(7));
}

#[test]
fn engines_with_other_features_share_a_feature_handle() {
    let tenants = || json!({ "t1": tenant(json!({})) });
    let here = Engine::new(snapshot(1, json!({ "a": switch(false), "orders": switch(true) }), tenants()));
    let there = Engine::new(snapshot(9, json!({ "orders": switch(false), "z": switch(true) }), tenants()));
    let neither = Engine::new(snapshot(5, json!({ "a": switch(true), "z": limit(1) }), tenants()));
    let (orders, z) = (handle("orders"), handle("z"));
    let held = [&here, &there, &neither].map(|engine| engine.tenant("t1").unwrap());
    for _ in 0..3 {
        assert_eq!(ask_every_way(&here, &held[0], &orders, now()), Ok(true));
        assert_eq!(ask_every_way(&there, &held[1], &orders, now()), Ok(false));
        assert_eq!(ask_every_way(&neither, &held[2], &orders, now()), Err("unknown_feature"));
        assert_eq!(ask_every_way(&here, &held[0], &z, now()), Err("unknown_feature"));
        assert_eq!(ask_every_way(&there, &held[1], &z, now()), Ok(true));
        assert_eq!(ask_every_way(&neither, &held[2], &z, now()), Err("wrong_kind"));
    }
}

#[test]
fn an_expired_head_turns_features_off_through_handles() {
    let features = || {
        let mut strict = switch(true);
        strict["staleness"] = json!("off");
        json!({ "served": switch(true), "strict": strict })
    };
    let until =
        |revision, end: Option<&str>| snapshot_until(revision, end, features(), json!({ "t1": tenant(json!({})) }));
    let engine = Engine::new(until(1, Some("2026-03-02T00:00:00Z")));
    let (held, served, strict) = (engine.tenant("t1").unwrap(), handle("served"), handle("strict"));
    let check = |at: &str, on: bool| {
        assert_eq!(ask_every_way(&engine, &held, &strict, t(at)), Ok(on), "strict at {at}");
        assert_eq!(ask_every_way(&engine, &held, &served, t(at)), Ok(true), "served at {at}");
    };
    check("2026-03-01T23:59:59.999Z", true);
    check("2026-03-02T00:00:00Z", false);
    check("2027-01-01T00:00:00Z", false);
    check("2026-03-01T08:00:00Z", true);
    engine.swap(until(2, Some("2026-03-03T00:00:00Z")));
    check("2026-03-02T00:00:00Z", true);
    check("2026-03-03T00:00:00Z", false);
    engine.swap(until(3, None));
    check("9999-12-31T23:59:59.999Z", true);
    // A head that had expired before the snapshot was compiled.
    engine.swap(until(4, Some("2026-01-01T00:00:00Z")));
    check("2026-03-01T08:00:00Z", false);
    check("2025-12-31T23:59:59.999Z", true);
}

/// Every revision has other features, so that numbers never fit: `from_001` to `from_200` are each on from a revision
/// on, `only_NNN` is on in one revision alone, and keys before them come and go.
fn counted(revision: u64) -> Snapshot {
    let mut features: Map<String, Value> =
        (1..=SWAPS).map(|n| (format!("from_{n:03}"), switch(n <= revision))).collect();
    features.extend((0..revision % 7).map(|n| (format!("a{n}"), switch(n % 2 == 0))));
    features.insert("even".into(), switch(revision.is_multiple_of(2)));
    features.insert("odd".into(), switch(!revision.is_multiple_of(2)));
    snapshot(revision, features.into(), json!({ "t1": tenant(json!({})), "t2": tenant(json!({})) }))
}

const SWAPS: u64 = 200;

#[test]
fn threads_that_read_while_another_swaps() {
    let engine = Engine::new(counted(0));
    let held = engine.tenant("t1").unwrap();
    let (even, odd) = (handle("even"), handle("odd"));
    let from: Vec<Feature> = (1..=SWAPS).map(|n| handle(&format!("from_{n:03}"))).collect();
    let done = AtomicBool::new(false);
    let read = || {
        // The newest revision that this thread has had an answer from, by whatever way.
        let (mut newest, mut rounds) = (0_u64, 0_u64);
        while !done.load(Ordering::Acquire) || rounds == 0 {
            rounds += 1;
            let mut saw = |revision: u64, how: &str| {
                assert!(revision >= newest, "{how} answered from {revision} after {newest}");
                newest = revision;
            };
            // One revision for several questions.
            let (revision, both) = held
                .with(|pinned| {
                    let both = [pinned.is_enabled(&even, now())?, pinned.is_enabled(&odd, now())?];
                    Ok((pinned.decide(&even, Action::Use, now())?.revision.get(), both))
                })
                .unwrap();
            assert_eq!(both, [revision.is_multiple_of(2), !revision.is_multiple_of(2)]);
            saw(revision, "a pinned tenant");
            saw(held.decide(&odd, Action::Use, now()).unwrap().revision.get(), "a tenant handle");
            saw(engine.decide("t2", "odd", Action::Use, now()).unwrap().revision.get(), "the engine");
            // What a cached answer tells of its revision: on up to a number, off above it.
            let counted = from.iter().take_while(|feature| held.is_enabled(*feature, now()).unwrap()).count();
            saw(counted as u64, "a cached answer");
            assert!(held.is_enabled(&even, now()).is_ok() && held.is_enabled("odd", now()).is_ok());
        }
        newest
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(read)).collect();
        let next: Vec<Snapshot> = (1..=SWAPS).map(counted).collect();
        for snapshot in next {
            engine.swap(snapshot);
            thread::yield_now();
        }
        done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() <= SWAPS);
        }
    });
    assert_eq!(ask_every_way(&engine, &held, &from[SWAPS as usize - 1], now()), Ok(true), "the last swap counts");
}

/// To free a large snapshot takes a while. A handle must not answer from it once anybody has had an answer from the next.
#[test]
fn a_handle_does_not_lag_behind_while_the_old_snapshot_is_freed() {
    let definitions = |revision: u64| {
        let mut fleet = fleet(&FleetSpec { tenants: 20_000, features: 20, ..FleetSpec::default() });
        fleet.tenants.retain(|_, tenant| {
            tenant.phases.clear();
            tenant.overrides.clear();
            tenant.preferences.off.clear();
            tenant.blocks.clear();
            true
        });
        let module = fleet.features.get_mut("module_0000").unwrap();
        module.kind = leasehold::model::FeatureKind::Switch { default: revision % 2 == 1 };
        let stamp = Stamp { revision: Revision::new(revision).unwrap(), issued_at: now(), expires_at: None };
        Snapshot::compile(&fleet, stamp).unwrap()
    };
    let first = definitions(0);
    let id = first.tenants().next().unwrap().id().to_owned();
    let engine = Engine::new(first);
    let (held, module) = (engine.tenant(&id).unwrap(), handle("module_0000"));
    let next: Vec<Snapshot> = (1..=6).map(definitions).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn({
            let (engine, held, module, done) = (&engine, &held, &module, &done);
            move || {
                while !done.load(Ordering::Acquire) {
                    let before = engine.pin().stamp().revision.get();
                    let on = held.is_enabled(module, now()).unwrap();
                    let after = engine.pin().stamp().revision.get();
                    // Between two equal readings there is one revision to answer from.
                    assert!(before != after || on == (before % 2 == 1), "{on} at revision {before}");
                }
            }
        });
        for snapshot in next {
            engine.swap(snapshot);
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
}

#[test]
fn long_ids_and_ids_that_begin_alike() {
    let start = "x".repeat(40);
    let mut tenants = BTreeMap::from([("y".repeat(128), true), (start.clone(), false), ("x".repeat(39), true)]);
    // All lengths, and for each several that differ in their last bytes alone.
    for length in 1..=88 {
        for (last, on) in [('1', true), ('2', false), ('3', true)] {
            tenants.insert(format!("{start}{}{last}", "m".repeat(length - 1)), on);
        }
    }
    let of = |(id, on): (&String, &bool)| {
        (id.clone(), tenant(json!({ "o": set("orders", *on, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z") })))
    };
    let all: Map<String, Value> = tenants.iter().map(of).collect();
    let engine = Engine::new(snapshot(1, json!({ "orders": switch(false) }), all.into()));
    assert_eq!(engine.pin().tenant_count(), tenants.len());
    let orders = handle("orders");
    for (id, on) in &tenants {
        assert_eq!(ask_every_way(&engine, &engine.tenant(id).unwrap(), &orders, now()), Ok(*on), "{id}");
        assert_eq!(engine.pin().tenant(id).unwrap().id(), id);
    }
    for unknown in ["", "x", &start[..38], &format!("{start}m"), &"y".repeat(127), &"y".repeat(129), &"y".repeat(5_000)]
    {
        assert_eq!(code(engine.tenant(unknown).map(|_| ())), Err("unknown_tenant"), "{unknown}");
        assert_eq!(code(engine.is_enabled(unknown, "orders", now())), Err("unknown_tenant"), "{unknown}");
    }
}

#[test]
fn all_of_5_000_tenants_are_found_and_no_others() {
    let definitions = fleet(&FleetSpec { tenants: 5_000, features: 10, ..FleetSpec::default() });
    let stamp = Stamp { revision: Revision::default(), issued_at: FleetSpec::reference_instant(), expires_at: None };
    let engine = Engine::new(Snapshot::compile(&definitions, stamp).unwrap());
    let pinned = engine.pin();
    assert_eq!((definitions.tenants.len(), pinned.tenant_count()), (5_000, 5_000));
    for id in definitions.tenants.keys().map(|id| id.as_str()) {
        assert_eq!(pinned.tenant(id).unwrap().id(), id);
        assert_eq!(engine.tenant(id).unwrap().id(), id);
    }
    let mut walked: Vec<&str> = pinned.tenants().map(|tenant| tenant.id()).collect();
    walked.sort_unstable();
    assert!(walked.into_iter().eq(definitions.tenants.keys().map(|id| id.as_str())));
    let ids: Vec<&str> = definitions.tenants.keys().map(|id| id.as_str()).collect();
    for (at, id) in ids.iter().take(1_000).enumerate() {
        // Near misses: longer, shorter, another case, and made up.
        let unknown = match at % 4 {
            0 => format!("{id}0"),
            1 => id[..id.len() - 1].to_owned(),
            2 => id.to_uppercase(),
            _ => format!("org-{at:012}"),
        };
        assert!(!ids.contains(&unknown.as_str()));
        assert_eq!(code(pinned.tenant(&unknown).map(|_| ())), Err("unknown_tenant"), "{unknown}");
    }
}

#[test]
fn checks_allocate_nothing() {
    let tenants: Map<String, Value> = (0..100).map(|n| (format!("t{n}"), tenant(json!({})))).collect();
    let engine = Engine::new(snapshot(1, json!({ "orders": switch(true), "seats": limit(5) }), tenants.into()));
    let (held, orders, key) = (engine.tenant("t7").unwrap(), handle("orders"), "orders".parse().unwrap());
    let key: leasehold::FeatureKey = key;
    let pinned = engine.pin();
    let check = |how: &str, ask: &dyn Fn() -> Result<bool, Error>| {
        // The first check of a thread makes what the thread keeps.
        assert_eq!(ask(), Ok(true), "{how}");
        let measured = allocation_counter::measure(|| {
            for _ in 0..100 {
                assert!(ask().is_ok());
            }
        });
        assert_eq!(measured.count_total, 0, "{how}");
    };
    check("engine, texts", &|| engine.is_enabled("t7", "orders", now()));
    check("engine, key", &|| engine.is_enabled("t7", &key, now()));
    check("engine, feature handle", &|| engine.is_enabled("t7", &orders, now()));
    check("tenant handle, text", &|| held.is_enabled("orders", now()));
    check("both handles", &|| held.is_enabled(&orders, now()));
    check("both handles, read", &|| held.is_enabled_for(&orders, Action::Read, now()));
    check("pinned", &|| pinned.tenant("t7")?.is_enabled("orders", now()));
    check("decision", &|| Ok(held.decide(&orders, Action::Use, now())?.enabled));
    // After a swap too: what is looked up again once is not looked up for every check.
    engine.swap(one_switch(2, true));
    assert_eq!(code(held.is_enabled(&orders, now())), Err("unknown_tenant"));
    let held = engine.tenant("t1").unwrap();
    engine.swap(one_switch(3, true));
    check("both handles after a swap", &|| held.is_enabled(&orders, now()));
}

#[test]
fn all_of_it_may_go_to_other_threads() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Engine>();
    check::<Tenant>();
    check::<Feature>();
    check::<Snapshot>();
    check::<Error>();
    check::<Entitlements>();
    check::<Explanation>();
    check::<leasehold::PinnedTenant<'static>>();
    check::<leasehold::model::Definitions>();
    check::<leasehold::model::Diagnostics>();
}

/// What a snapshot says of its memory is what it took, but for its rules, which are the same for any number of tenants.
#[test]
fn memory_is_what_was_allocated() {
    let made = |tenants: usize| {
        let definitions = fleet(&FleetSpec { tenants, ..FleetSpec::default() });
        let stamp =
            Stamp { revision: Revision::default(), issued_at: FleetSpec::reference_instant(), expires_at: None };
        let mut snapshot = None;
        let measured = allocation_counter::measure(|| snapshot = Some(Snapshot::compile(&definitions, stamp).unwrap()));
        let memory = snapshot.unwrap().memory();
        (measured.bytes_current as f64, memory.tenants as f64, memory.profiles as f64)
    };
    let (few, many) = (made(200), made(4_000));
    let (allocated, tenants, profiles) = (many.0 - few.0, many.1 - few.1, many.2 - few.2);
    assert!(tenants > 0.0 && profiles > 0.0);
    let ratio = (tenants + profiles) / allocated;
    assert!((0.9..1.1).contains(&ratio), "{tenants} + {profiles} of {allocated}");
}

/// A gate that is closed ends the decision, not its explanation.
#[test]
fn an_explanation_of_what_is_killed_or_blocked_lists_what_would_have_counted() {
    let mut blocked = tenant(json!({ "o": set("orders", true, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z") }));
    let since = "2026-01-01T00:00:00Z";
    blocked["blocks"] =
        json!({ "b": { "kind": "quarantined", "laid_by": "staff", "since": since, "reason": "an attack" } });
    let snapshot = snapshot(1, json!({ "orders": switch(false) }), json!({ "t1": blocked }));
    let explanation = snapshot.tenant("t1").unwrap().explain("orders", Action::Use, now()).unwrap();
    assert!(!explanation.decision.enabled);
    let listed: Vec<String> = explanation.contributions.iter().map(|one| json!(one)["verdict"].to_string()).collect();
    assert_eq!(listed.len(), 2, "the default and the override: {listed:?}");
    assert!(explanation.verify());
}
