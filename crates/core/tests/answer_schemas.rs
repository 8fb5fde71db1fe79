//! What is answered fits the schemas of answers, over worlds that hold every edge case.

#![expect(clippy::unwrap_used, reason = "tests")]

use jsonschema::Validator;
use leasehold::generate::{Choices, instants, question, workflow_world, world};
use leasehold::model::Diagnostic;
use leasehold::wire::{Fault, FaultCode, Stage};
use leasehold::workflow::TransitionAnswer;
use leasehold::{
    CategoryKey, Change, Decision, DiffGroup, Entitlements, Evaluation, Explanation, FeatureDiff, LimitAnswer,
    PlanChoice, Revision, Snapshot, Stamp, Timestamp, Usage, WhatIf,
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
    let issued_at = instants().first().copied().unwrap();
    for seed in 0..20 {
        let mut choices = Choices::from_seed(seed);
        let world = workflow_world(&mut choices);
        let snapshot = Snapshot::compile(&world.definitions, stamp(issued_at)).unwrap();
        for name in world.machines() {
            let category = name.category.as_ref().map(CategoryKey::as_str);
            let tenant = snapshot.tenant(name.tenant.as_str()).unwrap();
            let Ok(machine) = tenant.machine(name.workflow.as_str(), category) else { continue };
            for stage in machine.stages() {
                let given = world.given(&mut choices);
                given.ask(|context| {
                    let answers = machine.transitions(stage.stage.as_str(), context).unwrap();
                    answers.iter().for_each(|answer| check(&transition, answer));
                });
            }
        }
    }
}

#[test]
fn faults_fit() {
    let schema = schema::<Fault>();
    for (at, code) in FaultCode::ALL.iter().enumerate() {
        let stage = Stage::ALL.iter().copied().cycle().nth(at).unwrap();
        check(&schema, &Fault::new(stage, *code, "an item", "a message"));
    }
}
