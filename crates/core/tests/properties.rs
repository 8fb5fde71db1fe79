//! The numbered properties of `docs/properties.md`, over worlds that hold every edge case. Seeds and case counts are
//! fixed: a run that passes once passes always.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use crate::support::{self, Held};
use leasehold::build::definitions_hash;
use leasehold::generate::{Choices, FleetSpec, Question, fleet, instants, question, world};
use leasehold::model::{
    Action, Block, BlockKind, Definitions, FeatureKind, Kill, Kind, LaidBy, Licence, MAX_INTEGER, Op, Override, format,
    load,
};
use leasehold::reference::Reference;
use leasehold::{Change, FeatureKey, Outcome, Revision, Snapshot, Stamp, Timestamp, Variant};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn stamp(issued_at: Timestamp) -> Stamp {
    Stamp { revision: Revision::new(7).unwrap(), issued_at, expires_at: instants().last().copied() }
}

/// Checks a property over so many inputs.
fn check(cases: u32, property: impl Fn(&mut Choices<'_>) -> Held) {
    support::check(cases, 700, property);
}

/// A world that compiles, with its snapshot.
fn compiled(choices: &mut Choices<'_>) -> Option<(Definitions, Snapshot)> {
    let issued_at = choices.pick(&instants()).copied()?;
    let definitions = world(choices);
    match Snapshot::compile(&definitions, stamp(issued_at)) {
        Ok(snapshot) => Some((definitions, snapshot)),
        Err(refused) => {
            let codes: Vec<&str> = refused.as_slice().iter().map(|one| one.code.as_str()).collect();
            assert!(codes.iter().all(|code| *code == "amount_overflow"), "worlds are well-formed: {refused}");
            None
        }
    }
}

fn questions(definitions: &Definitions, choices: &mut Choices<'_>) -> Vec<Question> {
    (0..6).filter_map(|_| question(definitions, choices)).collect()
}

fn code_of<T>(result: Result<T, leasehold::Error>) -> Result<T, &'static str> {
    result.map_err(|error| error.code())
}

/// All switches that are on for a tenant.
fn switches_on(snapshot: &Snapshot, question: &Question) -> Vec<String> {
    let table = snapshot.tenant(question.tenant.as_str()).unwrap().answer_table(question.action, question.now);
    table.answers.into_iter().filter(|(_, on)| *on).map(|(key, _)| key.to_string()).collect()
}

fn compile(definitions: &Definitions, now: Timestamp) -> Option<Snapshot> {
    Snapshot::compile(definitions, stamp(now)).ok()
}

#[test]
fn p01_answers_equal_the_reference() {
    check(12_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        let expires_at = snapshot.stamp().expires_at;
        let reference = Reference {
            definitions: &definitions,
            hash: definitions_hash(&definitions).unwrap(),
            revision: 7,
            expires_at,
        };
        for q in questions(&definitions, choices) {
            let (tenant, feature) = (q.tenant.as_str(), q.feature.as_str());
            let ours = snapshot.tenant(tenant).unwrap();
            prop_assert_eq!(
                code_of(ours.decide(feature, q.action, q.now).map(|decision| json!(&decision))),
                reference.decide(tenant, feature, q.action, q.now),
                "decide {:?}",
                q
            );
            prop_assert_eq!(
                code_of(ours.is_enabled_for(feature, q.action, q.now)),
                reference.is_enabled(tenant, feature, q.action, q.now),
                "is_enabled {:?}",
                q
            );
            prop_assert_eq!(
                code_of(ours.value(feature, q.now)).map(|value| value.cloned()),
                reference.value(tenant, feature, q.now),
                "value {:?}",
                q
            );
            prop_assert_eq!(
                code_of(ours.check_limit(feature, q.used, q.requested, q.now)).map(|answer| json!(&answer)),
                reference.check_limit(tenant, feature, q.used, q.requested, q.now),
                "check_limit {:?}",
                q
            );
            let entitled = ours.entitlements(q.now);
            prop_assert_eq!(
                (ours.plan(q.now), ours.status(q.now)),
                (entitled.plan.as_ref(), entitled.status),
                "plan and status {:?}",
                q
            );
            prop_assert_eq!(Ok(json!(&entitled)), reference.entitlements(tenant, q.now), "entitlements {:?}", q);
        }
        Ok(())
    });
}

#[test]
fn p02_explanations_recompute_to_the_decision() {
    check(8_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            let explanation = tenant.explain(&q.feature, q.action, q.now).unwrap();
            prop_assert_eq!(explanation.decision, tenant.decide(&q.feature, q.action, q.now).unwrap());
            prop_assert!(explanation.verify(), "{:#?}", explanation);
        }
        Ok(())
    });
}

#[test]
fn p03_when_a_snapshot_was_compiled_has_no_meaning() {
    check(4_000, |choices| {
        let Some((definitions, early)) = compiled(choices) else { return Ok(()) };
        let late = compile(&definitions, *choices.pick(&instants()).unwrap()).unwrap();
        for q in questions(&definitions, choices) {
            let ask = |snapshot: &Snapshot| {
                let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
                let limit = code_of(tenant.check_limit(&q.feature, q.used, q.requested, q.now));
                let (table, flags) = (tenant.answer_table(q.action, q.now), tenant.evaluate_all(q.now));
                (tenant.decide(&q.feature, q.action, q.now), limit, tenant.entitlements(q.now), table, flags)
            };
            prop_assert_eq!(ask(&early), ask(&late));
        }
        Ok(())
    });
}

#[test]
fn p04_answer_tables_hold_until_they_say() {
    check(6_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            let table = tenant.answer_table(q.action, q.now);
            let before_end = table.until.map_or(Timestamp::MAX, |end| Timestamp::from_ms(end.as_ms() - 1).unwrap());
            prop_assert!(table.from.is_none_or(|from| from <= q.now) && q.now <= before_end);
            for now in [table.from.unwrap_or(Timestamp::MIN), q.now, before_end] {
                for (key, on) in &table.answers {
                    prop_assert_eq!(tenant.is_enabled_for(key, q.action, now).unwrap(), *on, "{} at {}", key, now);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn p05_the_order_of_contributions_has_no_meaning() {
    check(2_400, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        let mut turned = definitions.clone();
        for version in turned.plans.values_mut().flat_map(|plan| plan.versions.values_mut()) {
            version.contributions.reverse();
        }
        for add_on in turned.add_ons.values_mut() {
            let middle = add_on.contributions.len() / 2;
            add_on.contributions.rotate_left(middle);
        }
        let turned = compile(&turned, snapshot.stamp().issued_at).unwrap();
        for q in questions(&definitions, choices) {
            let ask = |snapshot: &Snapshot| {
                let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
                (tenant.explain(&q.feature, q.action, q.now).unwrap().decision, tenant.entitlements(q.now))
            };
            prop_assert_eq!(ask(&snapshot), ask(&turned));
        }
        Ok(())
    });
}

/// Adds something that takes away, and checks that no switch goes on.
fn nothing_goes_on(take_away: impl Fn(&mut Definitions, &Question)) {
    check(2_800, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let mut less = definitions.clone();
            take_away(&mut less, &q);
            let Some(less) = compile(&less, snapshot.stamp().issued_at) else { continue };
            let before = switches_on(&snapshot, &q);
            let after = switches_on(&less, &q);
            prop_assert!(after.iter().all(|key| before.contains(key)), "{:?} → {:?}", before, after);
        }
        Ok(())
    });
}

fn an_override(q: &Question, op: Op, value: Option<Value>) -> Override {
    Override {
        feature: q.feature.clone(),
        op,
        value,
        plan: None,
        from: None,
        until: None,
        reason: "test".into(),
        actor: "test".into(),
    }
}

#[test]
fn p06_a_revoke_turns_nothing_on() {
    nothing_goes_on(|definitions, q| {
        let tenant = definitions.tenants.get_mut(&q.tenant).unwrap();
        tenant.overrides.insert("zz".parse().unwrap(), an_override(q, Op::Revoke, None));
    });
}

#[test]
fn p07_a_block_turns_nothing_on() {
    nothing_goes_on(|definitions, q| {
        let kind = BlockKind::ALL[q.used.unsigned_abs() as usize % BlockKind::ALL.len()];
        let (since, reason) = (Timestamp::MIN, "test".into());
        let block = Block { kind, laid_by: LaidBy::Staff, level: None, since, until: None, reason };
        definitions.tenants.get_mut(&q.tenant).unwrap().blocks.insert("zz".parse().unwrap(), block);
    });
}

#[test]
fn p08_a_kill_turns_nothing_on() {
    nothing_goes_on(|definitions, q| {
        let (feature, since) = (q.feature.clone(), Timestamp::MIN);
        let kill = Kill { feature, since, until: None, reason: "test".into(), actor: "test".into() };
        definitions.kills.insert("zz".parse().unwrap(), kill);
    });
}

#[test]
fn p09_a_preference_turns_nothing_on() {
    nothing_goes_on(|definitions, q| {
        if matches!(definitions.features[&q.feature].kind, FeatureKind::Switch { .. }) {
            definitions.tenants.get_mut(&q.tenant).unwrap().preferences.off.push(q.feature.clone());
        }
    });
}

#[test]
fn p10_buying_an_add_on_lowers_no_limit_unless_a_tenant_pins_it() {
    check(6_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        let add_ons: Vec<_> = definitions.add_ons.keys().cloned().collect();
        for q in questions(&definitions, choices) {
            let mut more = definitions.clone();
            let tenant = more.tenants.get_mut(&q.tenant).unwrap();
            let pinned = tenant.overrides.values().any(|this| this.op == Op::Pin && this.feature == q.feature);
            let add_on = choices.pick(&add_ons).unwrap().clone();
            let licence = Licence { add_on, quantity: 3, from: Timestamp::MIN, until: None };
            tenant.licences.insert("zz".parse().unwrap(), licence);
            let Some(more) = compile(&more, snapshot.stamp().issued_at) else { continue };
            let amount = |snapshot: &Snapshot| {
                let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
                tenant.check_limit(&q.feature, 0, 0, q.now).ok().map(|answer| answer.limit.unwrap_or(u64::MAX))
            };
            prop_assert!(pinned || amount(&more) >= amount(&snapshot), "{:?}", q);
        }
        Ok(())
    });
}

#[test]
fn p11_what_if_equals_the_definitions_changed() {
    check(2_800, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = definitions.tenants.get(&q.tenant).unwrap();
            let Some(id) = tenant.overrides.keys().next().cloned() else { continue };
            let mut less = definitions.clone();
            less.tenants.get_mut(&q.tenant).unwrap().overrides.remove(id.as_str());
            let change = Change { without: vec![id], ..Change::default() };
            let pinned = snapshot.tenant(q.tenant.as_str()).unwrap();
            let supposed = pinned.what_if(&change, &leasehold::Usage::new(), q.now).unwrap();
            let Some(changed) = compile(&less, snapshot.stamp().issued_at) else { continue };
            let fleet = changed.diff(&snapshot, q.now);
            let group = fleet.groups.iter().find(|group| group.examples.contains(&q.tenant));
            let really = group.map_or_else(Default::default, |group| group.difference.clone());
            prop_assert_eq!(supposed.difference, really);
        }
        Ok(())
    });
}

#[test]
fn p12_the_on_set_is_the_union_of_the_grants_less_the_revokes() {
    check(6_000, |choices| {
        let (mut definitions, at) = (world(choices), *choices.pick(&instants()).unwrap());
        // The law holds absent `set false`, and before blocks, kills, prerequisites and preferences.
        definitions.kills.clear();
        for feature in definitions.features.values_mut() {
            feature.requires.clear();
            feature.staleness = leasehold::model::Staleness::Serve;
        }
        for tenant in definitions.tenants.values_mut() {
            tenant.blocks.clear();
            tenant.preferences.off.clear();
            tenant.overrides.retain(|_, this| this.value != Some(json!(false)));
        }
        let Some(snapshot) = compile(&definitions, at) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            for (key, feature) in &definitions.features {
                let FeatureKind::Switch { default } = feature.kind else { continue };
                let explanation = tenant.explain(key, q.action, q.now).unwrap();
                let counts = |one: &&leasehold::Considered| {
                    let in_time = one.from.is_none_or(|from| from <= q.now) && one.until.is_none_or(|end| q.now < end);
                    in_time
                        && !json!(&one.verdict).as_str().unwrap().contains("plan")
                        && !json!(&one.verdict).as_str().unwrap().starts_with("addon")
                };
                let counting: Vec<_> = explanation.contributions.iter().filter(counts).collect();
                let revoked = counting.iter().any(|one| one.op == Op::Revoke);
                let granted =
                    default || counting.iter().any(|one| one.op == Op::Set && one.value() == Some(json!(true)));
                prop_assert_eq!(tenant.is_enabled_for(key, q.action, q.now).unwrap(), granted && !revoked, "{}", key);
            }
        }
        Ok(())
    });
}

#[test]
fn p13_removing_a_losing_contribution_changes_nothing() {
    check(2_800, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            let explanation = tenant.explain(&q.feature, q.action, q.now).unwrap();
            let loses = |one: &&leasehold::Considered| {
                one.layer == leasehold::Layer::Tenant && one.verdict != leasehold::Verdict::Applied
            };
            let Some(loser) = explanation.contributions.iter().find(loses) else { continue };
            let mut less = definitions.clone();
            less.tenants.get_mut(&q.tenant).unwrap().overrides.remove(loser.id.as_str()).expect("it is there");
            // Without it, a sum may exceed 2^53 − 1, which is refused.
            let Some(less) = compile(&less, snapshot.stamp().issued_at) else { continue };
            let after = less.tenant(q.tenant.as_str()).unwrap().explain(&q.feature, q.action, q.now).unwrap();
            prop_assert_eq!((after.decision, after.result), (explanation.decision, explanation.result));
        }
        Ok(())
    });
}

#[test]
fn p14_limits_follow_the_formulas() {
    check(12_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            let Ok(answer) = tenant.check_limit(&q.feature, q.used, q.requested, q.now) else { continue };
            let (used, total) = (i128::from(q.used), i128::from(q.used) + i128::from(q.requested));
            match answer.limit.map(i128::from) {
                None => prop_assert_eq!(answer.outcome, Outcome::Allow),
                Some(limit) if answer.outcome != Outcome::Deny => {
                    prop_assert_eq!(i128::from(answer.overage_units), 0.max(total - limit.max(used)));
                    prop_assert_eq!(i128::from(answer.overage_total), 0.max(total - limit));
                    prop_assert_eq!(answer.remaining.map(i128::from), Some(0.max(limit - used)));
                }
                Some(_) => {
                    let nothing = (answer.overage_units, answer.overage_total, answer.thresholds_crossed.len());
                    prop_assert_eq!(nothing, (0, 0, 0));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn p15_definitions_survive_being_written_and_read() {
    check(2_400, |choices| {
        let mut definitions = world(choices);
        let text = format::print(&mut definitions);
        let source = leasehold::model::Source { name: "world.json".into(), bytes: text.clone().into_bytes() };
        prop_assert_eq!(&load(std::slice::from_ref(&source)).unwrap(), &definitions);
        prop_assert_eq!(format::format(&source).unwrap(), text);
        Ok(())
    });
}

#[test]
fn p16_no_bytes_panic_and_nothing_invalid_is_produced() {
    support::check(3_000, 200, |choices| {
        let (flip, at) = (choices.number() & 0xff, choices.wide());
        let mut text = format::print(&mut world(choices)).into_bytes();
        let at = usize::try_from(at % text.len() as u64).unwrap();
        text[at] ^= u8::try_from(flip).unwrap();
        let sources = [leasehold::model::Source { name: "a.json".into(), bytes: text }];
        match Snapshot::from_sources(&sources, stamp(instants()[0])) {
            Ok(snapshot) => prop_assert!(snapshot.tenants().all(|tenant| tenant.id().is_ascii())),
            Err(refused) => {
                for one in refused.as_slice() {
                    prop_assert!(!one.message.is_empty() && !one.hint.is_empty() && &*one.file == "a.json");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn p17_generated_definitions_pass_the_json_schema() {
    let schema = jsonschema::validator_for(&leasehold::model::json_schema()).unwrap();
    check(300, |choices| {
        let definitions = json!(&world(choices));
        let errors: Vec<String> = schema.iter_errors(&definitions).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{:?}", errors);
        Ok(())
    });
}

#[test]
fn p19_an_empty_difference_means_equal_answers() {
    check(2_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let Some(other) = definitions.tenants.keys().find(|id| **id != q.tenant) else { continue };
            let difference = snapshot.diff_tenants(q.tenant.as_str(), other.as_str(), q.now).unwrap();
            let ask = |id: &str| {
                let tenant = snapshot.tenant(id).unwrap();
                let limit = code_of(tenant.check_limit(&q.feature, q.used, q.requested, q.now));
                // Reasons, sources and window starts may differ where the answer does not.
                let limit = limit.map(|a| (a.outcome, a.limit, a.mode, a.overage_units, a.thresholds_crossed));
                let on = Action::ALL.iter().map(|action| tenant.decide(&q.feature, *action, q.now).unwrap().enabled);
                (on.collect::<Vec<_>>(), limit, code_of(tenant.value(&q.feature, q.now)).map(|value| value.cloned()))
            };
            let same = ask(q.tenant.as_str()) == ask(other.as_str());
            prop_assert!(same || !difference.is_empty(), "{:?}", q);
        }
        Ok(())
    });
}

#[test]
fn p63_those_whose_answers_change_are_told() {
    check(1_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            // One tenant loses what is its own, and another one is gone.
            let mut next = definitions.clone();
            let tenant = next.tenants.get_mut(&q.tenant).unwrap();
            (tenant.overrides, tenant.licences) = (Default::default(), Default::default());
            let gone = definitions.tenants.keys().find(|id| **id != q.tenant).cloned();
            gone.iter().for_each(|id| drop(next.tenants.remove(id.as_str())));
            let Some(next) = compile(&next, snapshot.stamp().issued_at) else { continue };
            let (told, counted) = (next.changes(&snapshot, q.now), next.diff(&snapshot, q.now));
            prop_assert_eq!((&told.added, &told.removed), (&counted.added, &counted.removed));
            prop_assert_eq!(told.removed, gone.into_iter().collect::<Vec<_>>());
            let tenants: Vec<_> = told.groups.iter().flat_map(|group| &group.tenants).collect();
            prop_assert_eq!(tenants.len(), counted.changed);
            for group in &told.groups {
                prop_assert_eq!(&group.tenants, &vec![q.tenant.clone()], "others are as they were");
                for feature in snapshot.features().map(|(key, _)| key) {
                    let on = |snapshot: &Snapshot| {
                        snapshot.tenant(q.tenant.as_str()).unwrap().decide(feature, Action::Use, q.now)
                    };
                    let is_switched = on(&next).unwrap().enabled != on(&snapshot).unwrap().enabled;
                    prop_assert!(!is_switched || group.features.contains(feature), "{:?}: {}", q, feature);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn p18_every_tenant_of_a_fleet_equals_the_reference() {
    check(24, |choices| {
        let (plans, add_ons) = (1 + choices.below(6), choices.below(24));
        let spec = FleetSpec { tenants: 1 + choices.below(40), features: 60, plans, add_ons, seed: choices.number() };
        let definitions = fleet(&spec);
        let now = FleetSpec::reference_instant();
        let snapshot = Snapshot::compile(&definitions, stamp(now)).unwrap();
        let (hash, expires_at) = (definitions_hash(&definitions).unwrap(), stamp(now).expires_at);
        let reference = Reference { definitions: &definitions, hash, revision: 7, expires_at };
        for id in definitions.tenants.keys() {
            let ours = snapshot.tenant(id.as_str()).unwrap().entitlements(now);
            prop_assert_eq!(json!(&ours), reference.entitlements(id.as_str(), now).unwrap(), "{}", id);
        }
        Ok(())
    });
}

/// Whether a plan or an add-on says something about a feature, or about one that it requires.
fn varies(definitions: &Definitions, key: &FeatureKey) -> bool {
    let versions = definitions.plans.values().flat_map(|plan| plan.versions.values());
    let of_plans = versions.flat_map(|version| &version.contributions);
    let of_add_ons = definitions.add_ons.values().flat_map(|add_on| &add_on.contributions);
    of_plans.chain(of_add_ons).any(|contribution| contribution.feature == *key)
        || definitions.features[key].requires.iter().any(|required| varies(definitions, required))
}

/// An evaluation says what `decide`, `is_enabled`, `value` and `check_limit` say; all of them hold for as long as they say.
#[test]
fn p62_evaluations_say_what_is_answered_and_hold_until_they_say() {
    check(4_000, |choices| {
        let Some((definitions, snapshot)) = compiled(choices) else { return Ok(()) };
        for q in questions(&definitions, choices) {
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            let all = tenant.evaluate_all(q.now);
            let before_end = all.until.map_or(Timestamp::MAX, |end| Timestamp::from_ms(end.as_ms() - 1).unwrap());
            prop_assert!(all.from.is_none_or(|from| from <= q.now) && q.now <= before_end);
            prop_assert!(all.flags.iter().map(|flag| &flag.key).eq(snapshot.features().map(|(key, _)| key)));
            for now in [all.from.unwrap_or(Timestamp::MIN), q.now, before_end] {
                for flag in &all.flags {
                    let again = tenant.evaluate(&flag.key, now).unwrap();
                    prop_assert_eq!(
                        (&again.value, again.variant),
                        (&flag.value, flag.variant),
                        "{} at {}",
                        flag.key,
                        now
                    );
                    let decision = tenant.decide(&flag.key, Action::Use, now).unwrap();
                    prop_assert_eq!(
                        again.reason,
                        decision.reason.open_feature(decision.source, !varies(&definitions, &flag.key))
                    );
                    prop_assert_eq!(again.metadata.reason, decision.reason);
                    prop_assert_eq!(again.metadata.freshness, decision.freshness);
                    prop_assert_eq!(again.variant == Variant::Off, !decision.enabled);
                    match flag.metadata.kind {
                        Kind::Switch => prop_assert_eq!(&again.value, &decision.enabled),
                        Kind::Value if decision.enabled => {
                            prop_assert_eq!(tenant.value(&flag.key, now).unwrap(), Some(&again.value));
                        }
                        Kind::Value => prop_assert_eq!(tenant.value(&flag.key, now).unwrap(), None),
                        Kind::Limit => {
                            let limit = tenant.check_limit(&flag.key, 0, 0, now).unwrap().limit;
                            prop_assert_eq!(again.variant == Variant::Unlimited, limit.is_none());
                            prop_assert_eq!(&again.value, &limit.unwrap_or(MAX_INTEGER));
                        }
                    }
                }
            }
        }
        Ok(())
    });
}

/// `docs/properties.md` names the test of each property, and every test of one.
#[test]
fn the_page_names_every_property() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../../docs/properties.md")).unwrap();
    let (mut named, mut above) = (BTreeSet::new(), "");
    for row in page.lines().filter(|line| line.starts_with("| P")) {
        let (number, _) = row[2..].split_once(' ').unwrap();
        let (_, cell) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        if cell != "the same" {
            above = cell.trim_matches('`').rsplit("::").next().unwrap();
            assert!(above.starts_with(&number.to_lowercase()), "{number} is tested by `{above}`");
        }
        named.insert(above.to_owned());
    }
    let mut written = BTreeSet::new();
    for file in ["properties", "following", "merging", "workflows"] {
        let text = std::fs::read_to_string(folder.join(format!("tests/{file}.rs"))).unwrap();
        let functions = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn p")?.split_once('('));
        let names = functions.map(|(name, _)| format!("p{name}"));
        written.extend(names.filter(|name| name[1..].starts_with(|first: char| first.is_ascii_digit())));
    }
    assert_eq!(named, written);
}
