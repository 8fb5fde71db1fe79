//! What is answered fits the schemas of answers, over worlds that hold every edge case.

#![expect(clippy::unwrap_used, reason = "tests")]

use jsonschema::Validator;
use leasehold::follow::{Event, Follower, Health};
use leasehold::generate::{Choices, instants, question, workflow_world, world};
use leasehold::merge::Side;
use leasehold::model::{Action, Diagnostic};
use leasehold::wire::{Fault, FaultCode, SecretKey, Stage, Trust};
use leasehold::workflow::{
    Allowed, CoveringPaths, LoggedInput, LoggedMove, MachineStage, MoveExplanation, Replay, TransitionAnswer, Upgrade,
    VersionComparison,
};
use leasehold::{
    AnswerTable, CategoryKey, Change, Changes, Decision, DiffGroup, Entitlements, Evaluation, Evaluations, Explanation,
    FeatureDiff, FleetDiff, LimitAnswer, PlanChoice, Revision, Snapshot, Stamp, Timestamp, Usage, WhatIf,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

/// The schema of a type as it is written.
fn schema<T: JsonSchema>() -> Validator {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    jsonschema::validator_for(&generator.into_root_schema_for::<T>().to_value()).unwrap()
}

fn check(schema: &Validator, answer: &impl Serialize) {
    let answer = serde_json::to_value(answer).unwrap();
    let errors = schema.iter_errors(&answer).map(|error| format!("{}: {error}", error.instance_path()));
    let errors: Vec<String> = errors.collect();
    assert!(errors.is_empty(), "{errors:#?}\nin {answer:#}");
}

fn stamp(issued_at: Timestamp) -> Stamp {
    Stamp { revision: Revision::new(7).unwrap(), issued_at, expires_at: instants().last().copied() }
}

#[test]
fn answers_about_features_fit() {
    let (decision, explanation, limit) = (schema::<Decision>(), schema::<Explanation>(), schema::<LimitAnswer>());
    let (entitlements, evaluation, what_if) = (schema::<Entitlements>(), schema::<Evaluation>(), schema::<WhatIf>());
    let (group, per_feature, diagnostic) = (schema::<DiffGroup>(), schema::<FeatureDiff>(), schema::<Diagnostic>());
    let (table, evaluations, fleet) = (schema::<AnswerTable>(), schema::<Evaluations>(), schema::<FleetDiff>());
    let changes = schema::<Changes>();
    let mut before: Option<Snapshot> = None;
    for seed in 0..300 {
        let mut choices = Choices::from_seed(seed);
        let issued_at = choices.pick(&instants()).copied().unwrap();
        let definitions = world(&mut choices);
        let snapshot = match Snapshot::compile(&definitions, stamp(issued_at)) {
            Ok(snapshot) => snapshot,
            Err(refused) => {
                refused.as_slice().iter().for_each(|one| check(&diagnostic, one));
                continue;
            }
        };
        snapshot.warnings().iter().for_each(|one| check(&diagnostic, one));
        for _ in 0..6 {
            let Some(q) = question(&definitions, &mut choices) else { continue };
            let tenant = snapshot.tenant(q.tenant.as_str()).unwrap();
            check(&decision, &tenant.decide(&q.feature, q.action, q.now).unwrap());
            check(&explanation, &tenant.explain(&q.feature, q.action, q.now).unwrap());
            check(&entitlements, &tenant.entitlements(q.now));
            check(&evaluation, &tenant.evaluate(&q.feature, q.now).unwrap());
            check(&evaluations, &tenant.evaluate_all(q.now));
            check(&table, &tenant.answer_table(Action::Use, q.now));
            let answer = tenant.check_limit(&q.feature, q.used, q.requested, q.now);
            let is_limit = answer.is_ok();
            answer.iter().for_each(|answer| check(&limit, answer));
            let plans: Vec<_> = definitions.plans.keys().cloned().collect();
            let change = Change {
                plan: choices.pick(&plans).map(|plan| PlanChoice { plan: plan.clone(), version: None }),
                add_ons: definitions.add_ons.keys().map(|key| (key.clone(), 2)).collect(),
                without: Vec::new(),
            };
            let usage: Usage = is_limit.then_some((q.feature, 1_000_000)).into_iter().collect();
            check(&what_if, &tenant.what_if(&change, &usage, q.now).unwrap());
            if let Some(before) = &before {
                let diff = snapshot.diff(before, q.now);
                check(&fleet, &diff);
                check(&changes, &snapshot.changes(before, q.now));
                diff.groups.iter().for_each(|one| check(&group, one));
                diff.features.iter().for_each(|one| check(&per_feature, one));
            }
        }
        before = Some(snapshot);
    }
}

#[test]
fn answers_about_workflows_fit() {
    let transition = schema::<TransitionAnswer<'static>>();
    let (stage, allowed) = (schema::<MachineStage<'static>>(), schema::<Allowed<'static>>());
    let (explanation, paths) = (schema::<MoveExplanation>(), schema::<CoveringPaths>());
    let (comparison, upgrade, replay) = (schema::<VersionComparison>(), schema::<Upgrade>(), schema::<Replay>());
    let (mut moved, mut conflicts, mut refused) = (0, 0, 0);
    let issued_at = instants().first().copied().unwrap();
    for seed in 0..20 {
        let mut choices = Choices::from_seed(seed);
        let world = workflow_world(&mut choices);
        let snapshot = Snapshot::compile(&world.definitions, stamp(issued_at)).unwrap();
        let mut log: Vec<(String, LoggedMove)> = Vec::new();
        for name in world.machines() {
            let category = name.category.as_ref().map(CategoryKey::as_str);
            let tenant = snapshot.tenant(name.tenant.as_str()).unwrap();
            let Ok(machine) = tenant.machine(name.workflow.as_str(), category) else { continue };
            check(&paths, &machine.covering_paths());
            for from in machine.stages() {
                check(&stage, &from);
                let given = world.given(&mut choices);
                let to = choices.pick(&machine.stages().collect::<Vec<_>>()).copied().unwrap();
                let (from, to) = (from.stage.as_str(), to.stage.as_str());
                given.ask(|context| {
                    let answers = machine.transitions(from, context).unwrap();
                    answers.iter().for_each(|answer| check(&transition, answer));
                    for to in answers.iter().map(|answer| answer.to.as_str()).chain([to]) {
                        check(&explanation, &machine.explain(from, to, context).unwrap());
                        if let Ok(answer) = machine.check(from, to, context) {
                            check(&allowed, &answer);
                            moved += 1;
                        }
                    }
                });
                let logged = LoggedMove {
                    tenant: name.tenant.to_string(),
                    category: category.map(str::to_owned),
                    from: from.to_owned(),
                    to: to.to_owned(),
                    inputs: [("nothing".to_owned(), LoggedInput::Text("1".to_owned()))].into(),
                    roles: Vec::new(),
                };
                log.push((name.workflow.to_string(), logged));
            }
        }
        for (key, workflow) in &world.definitions.workflows {
            let key = key.as_str();
            for (from, to) in
                workflow.versions.keys().flat_map(|from| workflow.versions.keys().map(move |to| (*from, *to)))
            {
                check(&comparison, &snapshot.compare_versions(key, from, to).unwrap());
            }
            for version in workflow.versions.keys() {
                for tenant in snapshot.tenants() {
                    let upgraded = tenant.upgrade(key, *version, Side::Ours).unwrap();
                    conflicts += upgraded.conflicts.len();
                    check(&upgrade, &upgraded);
                }
                let log = log.iter().filter(|(workflow, _)| workflow == key).map(|(_, logged)| logged.clone());
                let replayed = snapshot.replay(key, *version, log).unwrap();
                refused += replayed.refused.len();
                check(&replay, &replayed);
            }
        }
    }
    assert!(moved > 0 && conflicts > 0 && refused > 0, "{moved} moves, {conflicts} conflicts, {refused} refused");
}

#[test]
fn followers_fit() {
    let (trusted, health) = (schema::<Trust>(), schema::<Health>());
    let root = SecretKey::from_seed(&[7; 32]).public();
    let trust = format!(r#"{{"issuer":"hq.example","environment":"production","stream":"GCC-OM","roots":["{root}"]}}"#);
    let trust = Trust::from_json(trust.as_bytes()).unwrap();
    check(&trusted, &trust);
    let now = instants().first().copied().unwrap();
    let mut follower = Follower::of_stream(trust);
    check(&health, &follower.health(now));
    follower.handle(Event::Started, now, 0);
    follower.handle(Event::HeadFailed("nobody answers".to_owned()), now, 0);
    let failing = follower.health(now);
    assert_eq!(failing.faults.len(), 1, "{failing:?}");
    check(&health, &failing);
}

#[test]
fn faults_fit() {
    let schema = schema::<Fault>();
    for (at, code) in FaultCode::ALL.iter().enumerate() {
        let stage = Stage::ALL.iter().copied().cycle().nth(at).unwrap();
        check(&schema, &Fault::new(stage, *code, "an item", "a message"));
    }
}
