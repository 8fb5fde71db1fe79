//! What each fuzz target checks. `fuzz_targets/` runs the bodies on what libFuzzer makes up;
//! `crates/core/tests/fuzz_corpus.rs` runs them on the checked-in corpus with every test run.

#[path = "bodies/guards.rs"]
pub(crate) mod guards;
#[path = "bodies/published.rs"]
pub(crate) mod published;
#[path = "bodies/snapshots.rs"]
pub(crate) mod snapshots;
#[path = "bodies/written.rs"]
pub(crate) mod written;

use leasehold::generate::{Choices, Question, instants, question, world};
use leasehold::model::{Action, Definitions, Diagnostics, Kind, Source, format, load, locate};
use leasehold::reference::Reference;
use leasehold::{Engine, Entitlements, Error, Feature, PinnedTenant, Revision, Snapshot, Stamp, Timestamp};
use serde_json::Value;

/// Enough of a large file to see every kind of mistake, and little enough for thousands of runs a second.
const TENANTS: usize = 4;
const FEATURES: usize = 12;

/// Bytes as a definitions file. Nothing panics, every mistake is told in full, and what builds means the same in normal
/// form and compiled at another instant.
pub(crate) fn definitions(bytes: &[u8]) {
    let source = Source { name: "fuzz.json".into(), bytes: bytes.to_vec() };
    let sources = std::slice::from_ref(&source);
    let definitions = match (load(sources), format::format(&source)) {
        (Ok(definitions), Ok(normal)) => {
            check_normal_form(&definitions, &normal);
            definitions
        }
        (Err(refused), Err(same)) => {
            assert_eq!(refused, same);
            return check_refusal(&refused);
        }
        (loaded, formatted) => panic!("loading says {loaded:?}, formatting {formatted:?}"),
    };
    let issued_at = middle();
    let snapshot = match Snapshot::compile(&definitions, stamp(issued_at)) {
        Ok(snapshot) => snapshot,
        Err(mut refused) => {
            locate(refused.as_mut_slice(), sources);
            return check_refusal(&refused);
        }
    };
    for warning in snapshot.warnings() {
        assert!(!warning.message.is_empty() && !warning.hint.is_empty(), "{warning:?}");
    }
    let normal = Snapshot::compile(&in_normal_form(&definitions), stamp(issued_at)).expect("it built before");
    let instants = instants_of(&definitions);
    let elsewhere = instants.first().copied().unwrap_or(Timestamp::MIN);
    let late = Snapshot::compile(&definitions, stamp(elsewhere)).expect("it built before");
    for tenant in definitions.tenants.keys().take(TENANTS) {
        let [ours, normal, late] =
            [&snapshot, &normal, &late].map(|snapshot| snapshot.tenant(tenant.as_str()).expect("it was compiled"));
        for now in &instants {
            let entitlements = ours.entitlements(*now);
            assert_eq!(entitlements, normal.entitlements(*now), "in normal form, {tenant} at {now}");
            assert_eq!(entitlements, late.entitlements(*now), "compiled at {elsewhere}, {tenant} at {now}");
            for (key, kind) in snapshot.features().take(FEATURES) {
                check_answers(&ours, key, kind, *now, &entitlements);
                let answers = |of: &PinnedTenant<'_>| {
                    let limit = of.check_limit(key, 1, 1, *now);
                    (of.decide(key, Action::Use, *now), of.decide(key, Action::Read, *now), limit)
                };
                assert_eq!(answers(&ours), answers(&normal), "in normal form, {tenant} {key} at {now}");
                assert_eq!(answers(&ours), answers(&late), "compiled at {elsewhere}, {tenant} {key} at {now}");
            }
        }
    }
}

/// Bytes as a small world and questions about it: the engine answers what the reference evaluator answers, asked by text
/// and through handles.
pub(crate) fn resolution(bytes: &[u8]) {
    let Some((mut choices, definitions, snapshot)) = compiled(bytes) else { return };
    let expires_at = snapshot.stamp().expires_at;
    let hash = leasehold::build::definitions_hash(&definitions).expect("it compiled");
    let reference = Reference { definitions: &definitions, hash, revision: REVISION, expires_at };
    let engine = Engine::new(snapshot);
    for q in questions(&definitions, &mut choices) {
        let (tenant, key) = (q.tenant.as_str(), q.feature.as_str());
        let (held, handle) = (engine.tenant(tenant).expect("it was compiled"), Feature::new(q.feature.clone()));
        let expected = reference.is_enabled(tenant, key, q.action, q.now);
        assert_eq!(code(engine.is_enabled_for(tenant, key, q.action, q.now)), expected, "is_enabled {q:?}");
        // The second time from what the handles saw the first time.
        for _ in 0..2 {
            assert_eq!(code(held.is_enabled_for(&handle, q.action, q.now)), expected, "handles {q:?}");
        }
        let decision = held.decide(&handle, q.action, q.now);
        assert_eq!(code(decision).map(json), reference.decide(tenant, key, q.action, q.now), "decide {q:?}");
        assert_eq!(code(held.value(key, q.now)), reference.value(tenant, key, q.now), "value {q:?}");
        let answer = held.check_limit(key, q.used, q.requested, q.now);
        let expected = reference.check_limit(tenant, key, q.used, q.requested, q.now);
        assert_eq!(code(answer).map(json), expected, "check_limit {q:?}");
        let entitlements = held.entitlements(q.now);
        assert_eq!(code(entitlements).map(json), reference.entitlements(tenant, q.now), "entitlements {q:?}");
    }
}

/// Bytes as a small world and questions about it: every explanation comes to the decision, from nothing but what it
/// lists, whenever the snapshot was compiled.
pub(crate) fn explanation(bytes: &[u8]) {
    let Some((mut choices, definitions, snapshot)) = compiled(bytes) else { return };
    let elsewhere = choices.pick(&instants()).copied().unwrap_or(Timestamp::MAX);
    let other = Snapshot::compile(&definitions, stamp(elsewhere)).expect("it compiled before");
    for q in questions(&definitions, &mut choices) {
        let [ours, other] =
            [&snapshot, &other].map(|snapshot| snapshot.tenant(q.tenant.as_str()).expect("it was compiled"));
        let explanation = ours.explain(&q.feature, q.action, q.now).expect("the world has this feature");
        assert!(explanation.verify(), "{explanation:#?}");
        assert_eq!(Ok(explanation.decision), ours.decide(&q.feature, q.action, q.now), "{q:?}");
        assert_eq!(Ok(explanation.decision), other.decide(&q.feature, q.action, q.now), "{q:?}");
        assert_eq!(Ok(&explanation), other.explain(&q.feature, q.action, q.now).as_ref(), "{q:?}");
        assert_eq!(ours.entitlements(q.now), other.entitlements(q.now), "{q:?}");
        for kind in Kind::ALL {
            let limit = |of: &PinnedTenant<'_>| of.check_limit(&q.feature, q.used, q.requested, q.now);
            let value = |of: &PinnedTenant<'_>| of.value(&q.feature, q.now).map(|value| value.cloned());
            match kind {
                Kind::Switch => assert_eq!(
                    ours.is_enabled_for(&q.feature, q.action, q.now),
                    other.is_enabled_for(&q.feature, q.action, q.now),
                    "{q:?}"
                ),
                Kind::Limit => assert_eq!(limit(&ours), limit(&other), "{q:?}"),
                Kind::Value => assert_eq!(value(&ours), value(&other), "{q:?}"),
            }
        }
        let mut altered = explanation;
        altered.decision.enabled = !altered.decision.enabled;
        assert!(!altered.verify(), "{altered:#?}");
    }
}

const REVISION: u64 = 7;

/// A head that expires at the last instant of the grid.
fn stamp(issued_at: Timestamp) -> Stamp {
    Stamp { revision: Revision::new(REVISION).unwrap_or_default(), issued_at, expires_at: instants().last().copied() }
}

fn middle() -> Timestamp {
    instants().get(5).copied().unwrap_or(Timestamp::MIN)
}

/// A world made from bytes, and what is left of them.
fn compiled(bytes: &[u8]) -> Option<(Choices<'_>, Definitions, Snapshot)> {
    let mut choices = Choices::from_bytes(bytes);
    let issued_at = choices.pick(&instants()).copied()?;
    let definitions = world(&mut choices);
    match Snapshot::compile(&definitions, stamp(issued_at)) {
        Ok(snapshot) => Some((choices, definitions, snapshot)),
        Err(refused) => {
            // The one mistake that the generator makes.
            assert!(refused.as_slice().iter().all(|one| one.code.as_str() == "amount_overflow"), "{refused}");
            None
        }
    }
}

fn questions(definitions: &Definitions, choices: &mut Choices<'_>) -> Vec<Question> {
    (0..4).filter_map(|_| question(definitions, choices)).collect()
}

fn code<T>(answer: Result<T, Error>) -> Result<T, &'static str> {
    answer.map_err(|error| error.code())
}

fn json(answer: impl serde::Serialize) -> Value {
    serde_json::to_value(answer).expect("answers are JSON")
}

fn check_refusal(refused: &Diagnostics) {
    assert!(!refused.as_slice().is_empty() && !refused.to_string().is_empty());
    // Positions in lists count as numbers.
    let steps = |path: &str| -> Vec<Result<u64, String>> {
        path.split('/').map(|step| step.parse().map_err(|_| step.to_owned())).collect()
    };
    assert!(refused.as_slice().is_sorted_by_key(|one| (&one.file, steps(&one.path), one.code)), "{refused}");
    for one in refused.as_slice() {
        assert!(&*one.file == "fuzz.json" && !one.message.is_empty() && !one.hint.is_empty(), "{one:?}");
        assert!(one.path.is_empty() || one.path.starts_with('/'), "{one:?}");
    }
}

fn in_normal_form(definitions: &Definitions) -> Definitions {
    let text = format::print(&mut definitions.clone());
    load(&[Source { name: "normal.json".into(), bytes: text.into_bytes() }]).expect("what was printed reads back")
}

fn check_normal_form(definitions: &Definitions, normal: &str) {
    let again = Source { name: "again.json".into(), bytes: normal.as_bytes().to_vec() };
    assert_eq!(format::format(&again).as_deref(), Ok(normal), "formatting twice changes more");
    let reread = load(&[again]).expect("what was formatted reads back");
    let print = |definitions: &Definitions| format::print(&mut definitions.clone());
    assert_eq!(print(&reread), print(definitions), "formatting changes the meaning");
}

/// The ends of time, the middle of the grid, and instants at which something changes.
fn instants_of(definitions: &Definitions) -> Vec<Timestamp> {
    let mut all: Vec<Timestamp> = Vec::new();
    for tenant in definitions.tenants.values().take(TENANTS) {
        all.push(tenant.anchor);
        all.extend(tenant.phases.values().flat_map(|it| [Some(it.from), it.until, it.grace_until]).flatten());
        all.extend(tenant.licences.values().flat_map(|it| [Some(it.from), it.until]).flatten());
        all.extend(tenant.overrides.values().flat_map(|it| [it.from, it.until]).flatten());
        all.extend(tenant.blocks.values().flat_map(|it| [Some(it.since), it.until]).flatten());
    }
    all.extend(definitions.plans.values().flat_map(|plan| plan.versions.values()).map(|it| it.effective_from));
    all.truncate(5);
    all.extend([Timestamp::MIN, middle(), Timestamp::MAX]);
    all
}

/// Every way of asking about one feature agrees with the explanation and the entitlements.
fn check_answers(
    tenant: &PinnedTenant<'_>,
    key: &leasehold::FeatureKey,
    kind: Kind,
    now: Timestamp,
    entitlements: &Entitlements,
) {
    for action in Action::ALL {
        let explanation = tenant.explain(key, *action, now).expect("it is a feature of this snapshot");
        assert!(explanation.verify(), "{explanation:#?}");
        assert_eq!(Ok(explanation.decision), tenant.decide(key, *action, now));
        let on = code(tenant.is_enabled_for(key, *action, now));
        let expected = if kind == Kind::Switch { Ok(explanation.decision.enabled) } else { Err("wrong_kind") };
        assert_eq!(on, expected, "{key} at {now}");
    }
    match kind {
        Kind::Switch => {
            let on = tenant.is_enabled(key, now).expect("it is a switch");
            assert_eq!(on, entitlements.features.contains(key), "{key} at {now}");
        }
        Kind::Limit => {
            let answer = tenant.check_limit(key, 0, 0, now).expect("it is a limit");
            assert_eq!(Some(&answer.limit), entitlements.limits.get(key), "{key} at {now}");
            assert!(answer.resets_at.is_none_or(|resets_at| resets_at > now || now == Timestamp::MAX), "{answer:?}");
        }
        Kind::Value => {
            let value = tenant.value(key, now).expect("it is a value");
            let listed = entitlements.values.get(key).and_then(Option::as_deref);
            assert_eq!(value, listed, "{key} at {now}");
        }
    }
}
