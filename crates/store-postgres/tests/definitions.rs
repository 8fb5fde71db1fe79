//! How definitions change: proposals, approvals, trials, going back; and kill switches, which do not wait for any of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use crate::support;
use crate::support::fleet::*;
use leasehold::follow::Report;
use leasehold::model::{Feature, Kill, Moves, Op, Override, Phase, Plan, Source, Stage, Transition, Workflow};
use leasehold::wire::{self, Fault, FaultCode};
use leasehold::{EngineId, FeatureKey, Hash, PlanKey, RecordId, Revision, Timestamp, WorkflowKey};
use leasehold_postgres::Error;
use leasehold_postgres::access::NewToken;
use leasehold_postgres::hq::{Actor, Hq, TenantChange};
use leasehold_postgres::publish::{Publisher, Step, Timing};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// Gives a feature another label.
async fn label(hq: &Hq, text: &str) {
    let key: FeatureKey = "max_users".parse().unwrap();
    let mut feature = hq.read::<Feature>(&key).await.unwrap();
    feature.record.name = text.to_owned();
    hq.update(&key, &feature, &ada()).await.unwrap();
}

/// Gives a plan another version, from an instant on: the last one, without a feature.
async fn without(hq: &Hq, plan: &str, feature: &str, from: Timestamp, moves: Moves) {
    let key: PlanKey = plan.parse().unwrap();
    let mut plan = hq.read::<Plan>(&key).await.unwrap();
    let (number, mut version) = plan.record.versions.iter().next_back().map(|(n, it)| (*n, it.clone())).unwrap();
    version.contributions.retain(|it| it.feature.as_str() != feature);
    version.effective_from = from;
    version.moves = moves;
    plan.record.versions.insert(number + 1, version);
    hq.update(&key, &plan, &ada()).await.unwrap();
}

fn kill(feature: &str) -> Kill {
    Kill {
        feature: feature.parse().unwrap(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        reason: "wrong invoices".to_owned(),
        actor: "ada".to_owned(),
    }
}

fn record(id: &str) -> RecordId {
    id.parse().unwrap()
}

async fn approved(publisher: &Publisher, title: &str) -> i64 {
    let proposal = publisher.archive().propose(title, &ada()).await.unwrap();
    publisher.hq().approve(proposal.id, proposal.binding, &ben()).await.unwrap().id
}

fn why<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::NotApproved { why, .. }) => why,
        other => panic!("it is not refused: {other:?}"),
    }
}

async fn change_of_kill(database: &support::Database, id: &str) -> i64 {
    sqlx::query_scalar("SELECT max(change_id) FROM leasehold.sys_publish_queue WHERE kill_id = $1")
        .bind(id)
        .fetch_one(&database.admin)
        .await
        .unwrap()
}

/// A tenant that was kept back is published with the definitions by which it is right.
#[tokio::test]
async fn what_was_kept_back_is_published_with_the_definitions_it_waits_for() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let gold = hq.read::<Plan>(&"growth".parse().unwrap()).await.unwrap().record;
    let mut tenant = hq.tenant(&id("om-muscat-sparkle")).await.unwrap().record;
    tenant.phases = std::iter::once((record("p"), paid("gold"))).collect();
    let document = json!({ "plans": { "gold": gold }, "tenants": { "om-goldy": tenant } });
    let source = Source { name: "gold.json".into(), bytes: document.to_string().into_bytes() };
    hq.import(&[source], &ada(), |_| {}).await.unwrap();
    let publication = publisher.publish().await.unwrap().unwrap();
    assert_eq!(publication.refused[0].tenant, Some(id("om-goldy")));
    assert_eq!(code(publisher.publish_change(publication.changes[0]).await), "kept_back");
    // Nothing of the history is forgotten that is still to be looked at.
    publisher.archive().collect(0, &ada()).await.unwrap();

    let proposal = publisher.archive().propose("Gold", &ada()).await.unwrap();
    assert_eq!(proposal.affected, 1, "the tenant is looked at");
    hq.approve(proposal.id, proposal.binding, &ben()).await.unwrap();
    let revision = publisher.publish_proposal(proposal.id, &ben()).await.unwrap().revision;
    assert_eq!(hq.outcome(publication.changes[0]).await.unwrap(), Some(revision));
    assert_published(&database, hq).await;
}

/// Of two proposals for the same definitions in force one is published, however fast they are.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_approved_proposals_is_published() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let other = Publisher::new(archive(publisher.hq().clone()), signer(), Timing::default());
    label(publisher.hq(), "People").await;
    let (one, two) = (approved(&publisher, "One").await, approved(&publisher, "Two").await);
    let (ben, two_ben) = (ben(), ben());
    let (one, two) = tokio::join!(publisher.publish_proposal(one, &ben), other.publish_proposal(two, &two_ben));
    let lapsed = if one.is_ok() { two } else { one };
    assert!(why(lapsed).contains("other definitions"));
    assert_published(&database, publisher.hq()).await;
}

/// Whoever writes definitions while they are published waits, and finds them published then.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_into_what_is_being_published() {
    let database = support::database().await;
    let first = published(&database).await;
    let hq = first.hq().clone();
    without(&hq, "growth", "delivery", now(), Moves::Now).await;
    let proposal = approved(&first, "Growth without delivery").await;
    let growth: PlanKey = "growth".parse().unwrap();
    let mut plan = hq.read::<Plan>(&growth).await.unwrap();
    plan.record.versions.values_mut().next_back().unwrap().contributions.clear();
    let (signed, heard) = std::sync::mpsc::channel();
    let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default()).watched(move |step| {
        if step == Step::Signed {
            signed.send(()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let publishing = tokio::spawn(async move { publisher.publish_proposal(proposal, &ben()).await });
    tokio::task::spawn_blocking(move || heard.recv()).await.unwrap().unwrap();
    assert_eq!(code(hq.update(&growth, &plan, &ada()).await), "invalid_definitions");
    publishing.await.unwrap().unwrap();
    assert_published(&database, &hq).await;
    // By hand, past the lock of those who write: what is in force is what is authored all the same.
    without(&hq, "growth", "orders", now(), Moves::Now).await;
    let proposal = approved(&first, "Growth without orders").await;
    let options = database.options("admin");
    let by_hand = Publisher::new(archive(hq.clone()), signer(), Timing::default()).watched(move |step| {
        if step == Step::Signed {
            let options = options.clone();
            let write = async move {
                // A connection of its own: it ends with the thread that it is used on.
                let mut admin = PgConnection::connect_with(&options).await.unwrap();
                sqlx::query(
                    "DELETE FROM leasehold.sys_plan_limits_cf WHERE plan_key = 'growth'
                     AND version = (SELECT max(version) FROM leasehold.sys_plan_versions_cf WHERE plan_key = 'growth')",
                )
                .execute(&mut admin)
                .await
                .unwrap();
            };
            elsewhere(write);
        }
    });
    assert!(why(by_hand.publish_proposal(proposal, &ben()).await).contains("what is authored"));
    let frozen: bool = sqlx::query_scalar(
        "SELECT bool_or(published_at IS NULL) FROM leasehold.sys_plan_versions_cf WHERE plan_key = 'growth'",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert!(frozen, "nothing is frozen that is not in force");
}

/// An approval allows for fewer, and for no others.
#[tokio::test]
async fn approvals_are_for_each_count() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let move_to = async |tenant: &str, plan: &str| {
        let mut record = hq.tenant(&id(tenant)).await.unwrap().record;
        record.phases = std::iter::once((self::record("p"), paid(plan))).collect();
        record.overrides.clear();
        hq.change_tenant(&id(tenant), &TenantChange::Replace { tenant: record }, None, None, &ada()).await.unwrap();
    };
    let tenants = hq.tenant_ids(None, 6).await.unwrap();
    for (number, tenant) in tenants.iter().enumerate() {
        move_to(tenant.as_str(), if number < 3 { "growth" } else { "business" }).await;
    }
    publisher.publish().await.unwrap();
    without(hq, "growth", "delivery", now(), Moves::Now).await;
    without(hq, "business", "delivery", now(), Moves::Now).await;
    let proposal = approved(&publisher, "Without delivery").await;
    // As many as before, and others.
    move_to(tenants[0].as_str(), "business").await;
    publisher.publish().await.unwrap();
    assert!(why(publisher.publish_proposal(proposal, &ben()).await).contains("something else"));
    // Fewer than were looked at.
    let proposal = approved(&publisher, "Without delivery").await;
    move_to(tenants[0].as_str(), "starter").await;
    publisher.publish().await.unwrap();
    publisher.publish_proposal(proposal, &ben()).await.unwrap();
}

/// A proposal shows what comes with renewals; and that time goes by makes no approval lapse.
#[tokio::test]
async fn proposals_look_ahead() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    without(hq, "growth", "delivery", now(), Moves::Renewal).await;
    let proposal = publisher.archive().propose("With their renewals", &ada()).await.unwrap();
    assert!(proposal.affected > 0, "{proposal:?}");
    assert_eq!(proposal.unseen, 0);
    hq.reject(proposal.id, "for a test", &ben()).await.unwrap();
    let soon = Timestamp::from_ms(now().as_ms() + 400).unwrap();
    without(hq, "business", "delivery", soon, Moves::Now).await;
    let proposal = approved(&publisher, "Soon").await;
    while now() <= soon {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    publisher.publish_proposal(proposal, &ben()).await.unwrap();
}

/// What is on trial has to be right for every tenant that comes meanwhile; and a proposal on trial is not turned down.
#[tokio::test]
async fn tenants_are_right_by_what_is_on_trial() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let key: FeatureKey = "shade".parse().unwrap();
    let feature = |kind: &str| -> Feature {
        let document = format!(
            r#"{{"features":{{"shade":{{"name":"Shade","name2":"ظل","group":"module","kind":"value",{kind}}}}}}}"#
        );
        let source = Source { name: "shade.json".into(), bytes: document.into_bytes() };
        leasehold::model::load(&[source]).unwrap().features.remove("shade").unwrap()
    };
    hq.create(&key, &feature(r#""type":"string","default":"none""#), "shade.json", &ada()).await.unwrap();
    adopt(&publisher).await;
    let mut changed = hq.read::<Feature>(&key).await.unwrap();
    changed.record = feature(r#""type":"integer","default":0"#);
    hq.update(&key, &changed, &ada()).await.unwrap();
    let proposal = approved(&publisher, "Shades are numbers").await;
    publisher.stage(proposal, 500, &ben()).await.unwrap();
    assert!(why(hq.reject(proposal, "no", &ben()).await).contains("on trial"));

    let dark = Override {
        feature: key.clone(),
        op: Op::Set,
        value: Some(serde_json::from_value(json!("dark")).unwrap()),
        plan: None,
        from: None,
        until: None,
        reason: "for a test".to_owned(),
        actor: "ada".to_owned(),
    };
    let change = TenantChange::PutOverride { id: record("dark"), r#override: dark };
    let sparkle = id("om-muscat-sparkle");
    let change = hq.change_tenant(&sparkle, &change, None, None, &ada()).await.unwrap().change;
    assert_eq!(code(publisher.publish_change(change).await), "kept_back");
    let ended = publisher.unstage(&ben()).await.unwrap();
    assert_eq!(hq.outcome(change).await.unwrap(), Some(ended.revision), "without the trial it is right");
    hq.reject(proposal, "no", &ben()).await.unwrap();
}

/// What engines try under a number stays what it was: a version on trial is frozen as one in force is. Until then, and for
/// what has no versions, authors go on.
#[tokio::test]
async fn versions_on_trial_stay_as_they_are() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let (plan_key, workflow_key): (PlanKey, WorkflowKey) = ("growth".parse().unwrap(), "order".parse().unwrap());
    without(hq, "growth", "delivery", now(), Moves::Now).await;
    let mut workflow = hq.read::<Workflow>(&workflow_key).await.unwrap();
    let (last, version) = workflow.record.versions.iter().next_back().map(|(n, it)| (*n, it.clone())).unwrap();
    workflow.record.versions.insert(last + 1, version);
    hq.update(&workflow_key, &workflow, &ada()).await.unwrap();

    let change_plan = async || {
        let mut plan = hq.read::<Plan>(&plan_key).await.unwrap();
        plan.record.versions.values_mut().next_back().unwrap().contributions.pop();
        hq.update(&plan_key, &plan, &ada()).await
    };
    let change_workflow = async || {
        let mut workflow = hq.read::<Workflow>(&workflow_key).await.unwrap();
        let last = workflow.record.versions.values_mut().next_back().unwrap();
        last.graph.transitions.values_mut().next().unwrap().name.push('!');
        hq.update(&workflow_key, &workflow, &ada()).await
    };
    // Drafts, and what was approved, may still be changed: the approval is for what it was.
    approved(&publisher, "Draft").await;
    change_plan().await.unwrap();
    change_workflow().await.unwrap();
    let proposal = approved(&publisher, "Growth without delivery").await;
    publisher.stage(proposal, 100, &ben()).await.unwrap();
    let frozen = async || {
        let frozen: bool = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT published_at FROM leasehold.sys_plan_versions_cf WHERE published_at IS NULL
                 UNION ALL SELECT published_at FROM leasehold.workflow_template_versions WHERE published_at IS NULL)",
        )
        .fetch_one(&database.admin)
        .await
        .unwrap();
        frozen
    };
    assert!(frozen().await);
    assert_eq!(code(change_plan().await), "invalid_definitions");
    assert_eq!(code(change_workflow().await), "invalid_definitions");
    assert_eq!(hq.proposal(proposal).await.unwrap().status.as_str(), "approved", "it is not closed by a trial");
    // Nor is one left out, be the trial over.
    publisher.unstage(&ben()).await.unwrap();
    let mut plan = hq.read::<Plan>(&plan_key).await.unwrap();
    let last = *plan.record.versions.keys().next_back().unwrap();
    plan.record.versions.remove(&last);
    assert_eq!(code(hq.update(&plan_key, &plan, &ada()).await), "invalid_definitions");
    publisher.publish_proposal(proposal, &ben()).await.unwrap();
    assert_published(&database, hq).await;
}

/// A trial that nobody approves of any more ends; and what was asked for is refused when it is asked again.
#[tokio::test]
async fn a_trial_ends_with_its_approval() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    for is_halted in [false, true] {
        label(hq, "People").await;
        let proposal = approved(&publisher, "Call users people").await;
        publisher.stage(proposal, 100, &ben()).await.unwrap();
        if is_halted {
            publisher.halt(&ada()).await.unwrap();
        }
        assert!(why(hq.reject(proposal, "no", &ben()).await).contains("on trial"));
        label(hq, "Persons").await;
        let asked = request("publish it");
        let actor = Actor { request: Some(asked.clone()), ..ben() };
        assert!(why(publisher.publish_proposal(proposal, &actor).await).contains("what is authored"));
        assert_eq!(hq.earlier(&asked).await.unwrap(), None);
        assert_eq!(hq.rollout().await.unwrap(), None);
        let (heads, _) = read_back(&database).await;
        assert!(heads.values().all(|head| head.head().candidate.is_none()));
        assert_eq!(hq.proposal(proposal).await.unwrap().status.as_str(), "lapsed");
    }
}

/// A trial halts by itself when an engine that is to try it refuses it, whichever server that engine told.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_is_halted_by_what_engines_report() {
    let database = support::database().await;
    let publisher = Arc::new(published(&database).await);
    // A server that publishes nothing.
    let server = hq(&database).await;
    label(publisher.hq(), "People").await;
    let proposal = approved(&publisher, "Call users people").await;
    publisher.stage(proposal, 500, &ben()).await.unwrap();
    let stream = region("GCC-OM");
    let (heads, _) = read_back(&database).await;
    let engines = (0..64).map(|number| -> EngineId { format!("engine-{number}").parse().unwrap() });
    let (staged, others): (Vec<EngineId>, Vec<EngineId>) =
        engines.partition(|engine| heads["GCC-OM"].head().staged_for(Some(engine)).is_some());
    let refuses_of = async |revision: Option<Revision>, engine: &EngineId, stage: wire::Stage| {
        let fault = Fault::new(stage, FaultCode::InvalidDefinitions, "definitions", "for a test");
        let report = Report::Nack { epoch: None, revision, fault };
        server.engine_reported(engine, &stream, &report).await.unwrap();
    };
    let refuses = async |engine: &EngineId, stage: wire::Stage| refuses_of(None, engine, stage).await;
    // It is not in the share; or it has not come so far as to see what is on trial.
    refuses(&others[0], wire::Stage::Compile).await;
    for stage in [wire::Stage::Download, wire::Stage::Verify, wire::Stage::Hash, wire::Stage::Persist] {
        refuses(&staged[0], stage).await;
        assert_eq!(publisher.halt_refused().await.unwrap(), None, "{stage:?}");
    }
    assert_eq!(server.rollout().await.unwrap().unwrap().halted_at, None);

    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let running = tokio::spawn({
        let publisher = publisher.clone();
        async move {
            // Nobody hears of it once the test is over.
            publisher.run(Duration::from_secs(3600), |happened| drop(tell.send(happened))).await;
        }
    });
    refuses(&staged[0], wire::Stage::Compile).await;
    let halted = told.recv().await.unwrap().unwrap();
    assert_eq!(halted.halted_by.as_ref(), Some(&staged[0]));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let rollout = server.rollout().await.unwrap().unwrap();
    assert!(rollout.halted_at.is_some());
    assert_eq!(rollout.halted_by, Some(format!("engine {}", staged[0])));
    let (heads, _) = read_back(&database).await;
    assert!(heads.values().all(|head| head.head().candidate.is_none()));
    assert_eq!(publisher.halt_refused().await.unwrap(), None, "it is halted");

    // What was refused before it was resumed does not count, and neither does what was published before: engines say it
    // again as long as they have nothing newer.
    let resumed = publisher.stage(proposal, 500, &ben()).await.unwrap();
    assert_eq!(publisher.halt_refused().await.unwrap(), None);
    refuses_of(Some(halted.revision), &staged[1], wire::Stage::Parse).await;
    assert_eq!(publisher.halt_refused().await.unwrap(), None);
    refuses_of(Some(resumed.revision), &staged[1], wire::Stage::Parse).await;
    let halted = publisher.halt_refused().await.unwrap().unwrap();
    assert_eq!(halted.halted_by.as_ref(), Some(&staged[1]));

    // One that is newer than HQ may say it in words that HQ does not know.
    let resumed = publisher.stage(proposal, 500, &ben()).await.unwrap();
    let fault =
        json!({ "stage": "compile", "code": "of_a_later_build", "item": "definitions", "message": "for a test" });
    server.engine_refused(&staged[2], &stream, Some(resumed.revision), &fault).await.unwrap();
    let halted = publisher.halt_refused().await.unwrap().unwrap();
    assert_eq!(halted.halted_by.as_ref(), Some(&staged[2]));

    // What it reports before anybody looks, and says nothing about contents, does not hide that; what is in force does.
    let resumed = publisher.stage(proposal, 500, &ben()).await.unwrap();
    refuses_of(Some(resumed.revision), &staged[3], wire::Stage::Compile).await;
    refuses(&staged[3], wire::Stage::Download).await;
    let halted = publisher.halt_refused().await.unwrap().unwrap();
    assert_eq!(halted.halted_by.as_ref(), Some(&staged[3]));
    // Once that is done, what it reports last is what is told of it.
    refuses(&staged[3], wire::Stage::Verify).await;
    let engines = server.engines(None, 500).await.unwrap();
    let refused = engines.into_iter().find(|it| it.engine == staged[3]).unwrap().refused.unwrap();
    assert_eq!(refused.fault["stage"], "verify");
}

/// A kill switch whose id another one has in force says so, and so does one on a feature that is not in force; others go
/// on. The second one comes in force with its feature.
#[tokio::test]
async fn kill_switches_are_told_apart() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    hq.create(&record("stop"), &kill("delivery"), "kills.json", &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    let seen = hq.read::<Kill>(&record("stop")).await.unwrap().row_version;
    hq.remove::<Kill>(&record("stop"), seen, &ada()).await.unwrap();
    hq.create(&record("stop"), &kill("orders"), "kills.json", &ada()).await.unwrap();

    let key: FeatureKey = "brand_new".parse().unwrap();
    let mut new = hq.read::<Feature>(&"delivery".parse().unwrap()).await.unwrap().record;
    new.requires.clear();
    hq.create(&key, &new, "new.json", &ada()).await.unwrap();
    hq.create(&record("too-early"), &kill("brand_new"), "kills.json", &ada()).await.unwrap();
    hq.create(&record("good"), &kill("max_users"), "kills.json", &ada()).await.unwrap();
    let publication = publisher.publish().await.unwrap().unwrap();
    assert_eq!(publication.refused.len(), 2, "{publication:?}");
    for (kill, is_published) in [("stop", false), ("too-early", false), ("good", true)] {
        let change = change_of_kill(&database, kill).await;
        match hq.outcome(change).await {
            Ok(revision) => assert!(is_published && revision == Some(publication.revision), "{kill}"),
            Err(error) => assert!(!is_published && error.code() == "kept_back", "{kill}"),
        }
    }
    let (_, all) = read_back(&database).await;
    assert_eq!(all.kills[&record("stop")].feature.as_str(), "delivery");
    adopt(&publisher).await;
    assert!(hq.outcome(change_of_kill(&database, "too-early").await).await.unwrap().is_some());
    assert_published(&database, hq).await;
}

/// A kill switch that is removed after the approval of something else is not lifted by that.
#[tokio::test]
async fn kill_switches_are_lifted_by_what_says_so() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    hq.create(&record("stop"), &kill("delivery"), "kills.json", &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    label(hq, "People").await;
    let proposal = approved(&publisher, "Call users people").await;
    let seen = hq.read::<Kill>(&record("stop")).await.unwrap().row_version;
    hq.remove::<Kill>(&record("stop"), seen, &ada()).await.unwrap();
    assert!(why(publisher.publish_proposal(proposal, &ben()).await).contains("kill switches"));
    assert!(read_back(&database).await.1.kills.contains_key(&record("stop")));
}

/// Going back works when it is needed: after a feature that came with the new definitions was switched off.
#[tokio::test]
async fn going_back_leaves_out_kill_switches_of_what_was_not_there() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let mut new = hq.read::<Feature>(&"delivery".parse().unwrap()).await.unwrap().record;
    new.requires.clear();
    hq.create(&"brand_new".parse::<FeatureKey>().unwrap(), &new, "new.json", &ada()).await.unwrap();
    adopt(&publisher).await;
    hq.create(&record("stop-new"), &kill("brand_new"), "kills.json", &ada()).await.unwrap();
    hq.create(&record("stop-old"), &kill("delivery"), "kills.json", &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    publisher.rollback(Revision::new(1).unwrap(), &ben()).await.unwrap();
    let (_, all) = read_back(&database).await;
    assert!(all.kills.contains_key(&record("stop-old")) && !all.kills.contains_key(&record("stop-new")));
    assert!(!all.features.contains_key("brand_new"));
    assert_eq!(code(publisher.rollback(Revision::new(1).unwrap(), &ben()).await), "not_found");
    // Forward again.
    adopt(&publisher).await;
    assert_published(&database, hq).await;
}

/// Without any tenant there is no stream yet; revisions and the audit log tell of what comes in force all the same.
#[tokio::test]
async fn kill_switches_before_the_first_tenant_get_a_revision() {
    let database = support::database().await;
    let publisher = publisher(&database).await;
    let hq = publisher.hq();
    assert_eq!(code(publisher.rollback(Revision::new(1).unwrap(), &ben()).await), "not_found");
    let sources: Vec<Source> = cleanmatex().into_iter().filter(|source| !source.name.contains("tenants")).collect();
    hq.import(&sources, &ada(), |_| {}).await.unwrap();
    hq.create(&record("early"), &kill("delivery"), "kills.json", &ada()).await.unwrap();
    assert_eq!(code(publisher.publish_change(change_of_kill(&database, "early").await).await), "nothing_in_force");
    assert_eq!(adopt(&publisher).await.revision.get(), 1);
    hq.create(&record("stop"), &kill("orders"), "kills.json", &ada()).await.unwrap();
    assert_eq!(publisher.publish_change(change_of_kill(&database, "stop").await).await.unwrap().get(), 2);
    let told: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id = '' AND action = 'snapshot.published'",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn kill_switches_are_published_at_once_and_lifted_by_approval() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let key = "stop-delivery".parse().unwrap();
    label(hq, "People").await;
    let draft = publisher.archive().propose("Before the kill switch", &ada()).await.unwrap();
    let created = hq.create(&key, &kill("delivery"), "kills.json", &ada()).await.unwrap();
    let seen = created.row_version;
    let publication = publisher.publish().await.unwrap().unwrap();
    // Who made it can wait for it.
    let change = created.change.expect("a kill switch is on its way at once");
    assert_eq!(publisher.publish_change(change).await.unwrap(), publication.revision);
    assert_eq!((publication.revision.get(), publication.streams.len()), (2, 3));
    let (_, after) = read_back(&database).await;
    assert!(after.kills.contains_key(&key));
    // A kill switch makes no approval lapse, and nothing that was proposed before it lifts it.
    hq.approve(draft.id, draft.binding, &ben()).await.unwrap();
    publisher.publish_proposal(draft.id, &ben()).await.unwrap();
    let (_, after) = read_back(&database).await;
    assert!(after.kills.contains_key(&key));

    hq.remove::<Kill>(&key, seen, &ada()).await.unwrap();
    publisher.publish().await.unwrap();
    let (_, after) = read_back(&database).await;
    assert!(after.kills.contains_key(&key), "nobody has approved it");
    let lifting = publisher.archive().propose("Delivery is back", &ada()).await.unwrap();
    assert_eq!(lifting.lifts, std::slice::from_ref(&key));
    hq.approve(lifting.id, lifting.binding, &ben()).await.unwrap();
    publisher.publish_proposal(lifting.id, &ben()).await.unwrap();
    let (_, after) = read_back(&database).await;
    assert!(!after.kills.contains_key(&key));
    assert_published(&database, hq).await;
}

/// A proposal says what is most likely not meant by it: what is new, and not what is there today.
#[tokio::test]
async fn proposals_list_what_is_most_likely_not_meant() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    label(hq, "People").await;
    let harmless = publisher.archive().propose("Call users people", &ada()).await.unwrap();
    assert_eq!(harmless.warnings, json!([]), "what is there today is nobody's to mend here");
    // Without the transitions that enter a stage, no item reaches it.
    let key: WorkflowKey = "pickup_request".parse().unwrap();
    let mut workflow = hq.read::<Workflow>(&key).await.unwrap();
    let (last, mut version) = workflow.record.versions.iter().next_back().map(|(n, it)| (*n, it.clone())).unwrap();
    let new: leasehold::StageId = "lonely".parse().unwrap();
    let graph = &mut version.graph;
    let leave = graph.transitions.values().next().unwrap().clone();
    let stage = Stage { initial: false, r#final: false, order: 1_000, ..graph.stages[&leave.to].clone() };
    graph.stages.insert(new.clone(), stage);
    let leave = Transition { from: new, order: 1_000, ..leave };
    graph.transitions.insert("leave_lonely".parse().unwrap(), leave);
    workflow.record.versions.insert(last + 1, version);
    workflow.record.current = Some(last + 1);
    hq.update(&key, &workflow, &ada()).await.unwrap();
    let proposal = publisher.archive().propose("A lonely stage", &ada()).await.unwrap();
    let listed = proposal.warnings.as_array().unwrap();
    assert!(
        listed.iter().any(|it| it["code"] == "unreachable_stage" && it["message"].as_str().unwrap().contains("lonely")),
        "{listed:#?}"
    );
    assert!(listed.iter().all(|it| it["severity"] == "warning"));
    assert_eq!(hq.proposal(proposal.id).await.unwrap().warnings, proposal.warnings, "it is kept");
}

/// Going back says what it does to tenants: before, in its answer, and in the audit log.
#[tokio::test]
async fn going_back_says_what_it_does() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let one = Revision::new(1).unwrap();
    assert_eq!(code(publisher.archive().rollback_effect(one).await), "not_found");
    without(hq, "growth", "delivery", now(), Moves::Now).await;
    let done = publisher.publish_proposal(approved(&publisher, "Growth without delivery").await, &ben()).await.unwrap();
    assert_eq!(done.effect, None);
    let before = publisher.archive().rollback_effect(one).await.unwrap();
    assert!(before.affected > 0, "{before:?}");
    let gained = before.diff[0]["features"].as_array().unwrap();
    assert!(gained.iter().any(|it| it["feature"] == "delivery" && it["gained"].as_u64() > Some(0)), "{gained:?}");
    let back = publisher.rollback(one, &ben()).await.unwrap();
    let effect = back.effect.unwrap();
    assert_eq!(
        (effect.affected, effect.diff[0]["features"].clone()),
        (before.affected, before.diff[0]["features"].clone())
    );
    let told: serde_json::Value = sqlx::query_scalar(
        "SELECT convert_from(body, 'UTF8')::jsonb -> 'detail' FROM leasehold.sys_audit_log
         WHERE tenant_org_id = '' AND action = 'definitions.rolled_back'",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert_eq!(
        (&told["to"], &told["affected"], &told["diff"]),
        (&json!(1), &json!(effect.affected), &json!(effect.hash))
    );
}

/// Definitions change by proposals: looked at, approved by somebody else, bound to what was looked at.
#[tokio::test]
async fn definitions_change_by_approved_proposals() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let growth: leasehold::PlanKey = "growth".parse().unwrap();

    // A version that was published stays.
    let mut plan = hq.read::<Plan>(&growth).await.unwrap();
    let number = *plan.record.versions.iter().next_back().unwrap().0;
    plan.record.versions.get_mut(&number).unwrap().contributions.clear();
    assert_eq!(code(hq.update(&growth, &plan, &ada()).await), "invalid_definitions");
    assert!(
        sqlx::query("DELETE FROM leasehold.sys_plan_limits_cf WHERE plan_key = 'growth' AND version = $1")
            .bind(i64::from(number))
            .execute(&database.hq)
            .await
            .is_err()
    );

    // A new one, without what the last one grants.
    without(&hq, "growth", "delivery", now(), Moves::Now).await;
    let (heads, before) = read_back(&database).await;
    publisher.publish().await.unwrap();
    assert_eq!(read_back(&database).await.1, before, "nothing of it is published by itself");

    let proposal = publisher.archive().propose("Growth without delivery", &ada()).await.unwrap();
    assert!(proposal.affected > 0 && !proposal.diff.as_array().unwrap().is_empty(), "{proposal:?}");
    assert_eq!(code(publisher.publish_proposal(proposal.id, &ben()).await), "not_approved");
    assert_eq!(code(hq.approve(proposal.id, proposal.binding, &ada()).await), "not_approved");
    assert_eq!(code(hq.approve(proposal.id, Hash::default(), &ben()).await), "not_approved");
    hq.approve(proposal.id, proposal.binding, &ben()).await.unwrap();

    // On trial first: the base stays, and engines in the share use the other.
    let staged = publisher.stage(proposal.id, 100, &ben()).await.unwrap();
    assert_eq!(staged.streams.len(), heads.len());
    let (heads, _) = read_back(&database).await;
    assert!(heads.values().all(|head| head.head().candidate.as_ref().is_some_and(|it| it.share_permille == 100)));
    // Tenants keep flowing meanwhile, in the one chain of revisions.
    let changed = hq.change_tenant(&id("om-salalah-fresh"), &put("starter"), None, None, &ada()).await.unwrap();
    let revision = publisher.publish_change(changed.change).await.unwrap();
    assert_eq!(revision.get(), staged.revision.get() + 1);
    let (heads, _) = read_back(&database).await;
    assert!(heads["GCC-OM"].head().candidate.is_some());
    publisher.stage(proposal.id, 500, &ben()).await.unwrap();
    publisher.unstage(&ben()).await.unwrap();
    let (heads, _) = read_back(&database).await;
    assert!(heads.values().all(|head| head.head().candidate.is_none()));

    let done = publisher.publish_proposal(proposal.id, &ben()).await;
    let done = match done {
        Ok(done) => done,
        Err(error) => panic!("{error}"),
    };
    assert_published(&database, &hq).await;
    assert_eq!(hq.proposal(proposal.id).await.unwrap().revision, i64::try_from(done.revision.get()).ok());

    // Back again, under a new revision.
    let back = publisher.rollback(Revision::new(1).unwrap(), &ben()).await.unwrap();
    assert_eq!(back.revision.get(), done.revision.get() + 1);
    let (_, after) = read_back(&database).await;
    assert_eq!(after.plans, before.plans);
    assert_eq!(after.tenants, authored(&hq).await.tenants);
}

/// A token is no second person beside whoever made it.
#[tokio::test]
async fn nobody_approves_what_their_own_token_proposed() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let scopes = ["hq:write".to_owned()];
    for (id, maker) in [("00000000000000aa", ada()), ("00000000000000ab", ada()), ("00000000000000bb", ben())] {
        let secret_hash = *Hash::of(id.as_bytes()).as_bytes();
        let new =
            NewToken { id, name: "CI", secret_hash, scopes: &scopes, region: None, tenant: None, expires_at: None };
        hq.create_token(&new, &maker).await.unwrap();
    }
    label(hq, "People").await;
    let token = |id: &str| Actor::new(format!("token {id} (CI)"));
    let of_ada = publisher.archive().propose("By her token", &token("00000000000000aa")).await.unwrap();
    for own in [token("00000000000000aa"), token("00000000000000ab"), ada()] {
        assert_eq!(why(hq.approve(of_ada.id, of_ada.binding, &own).await), "its author cannot approve it");
    }
    hq.approve(of_ada.id, of_ada.binding, &ben()).await.unwrap();
    // The other way round it is the same; and a name that no token has is somebody's own.
    let by_ada = publisher.archive().propose("By herself", &ada()).await.unwrap();
    assert!(why(hq.approve(by_ada.id, by_ada.binding, &token("00000000000000ab")).await).contains("author"));
    hq.approve(by_ada.id, by_ada.binding, &token("00000000000000bb")).await.unwrap();
    let by_another = publisher.archive().propose("By another", &token("00000000000000ff")).await.unwrap();
    hq.approve(by_another.id, by_another.binding, &ada()).await.unwrap();
}

/// The year 0000 is one that instants have and Postgres has not: whoever asks is told so, and nothing failed.
#[tokio::test]
async fn an_instant_that_postgres_does_not_have_is_refused() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let sparkle = id("om-muscat-sparkle");
    let asked = publisher.archive().entitlements(&sparkle, now(), Some(Timestamp::MIN)).await;
    assert_eq!(code(asked), "invalid_argument");
    let year_one = "0001-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(code(publisher.archive().entitlements(&sparkle, now(), Some(year_one)).await), "outside_history");
}

/// An approval is for what was looked at: it lapses when something else would be published.
#[tokio::test]
async fn approvals_lapse() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let approve = async |title: &str| approved(&publisher, title).await;
    // What is authored changed after the approval.
    label(&hq, "People").await;
    let proposal = approve("Call users people").await;
    label(&hq, "Persons").await;
    assert_eq!(code(publisher.publish_proposal(proposal, &ben()).await), "not_approved");
    assert_eq!(hq.proposal(proposal).await.unwrap().status.as_str(), "lapsed");
    // The base changed: something else was published in between.
    let (one, two) = (approve("One").await, approve("Two").await);
    publisher.publish_proposal(one, &ben()).await.unwrap();
    assert_eq!(code(publisher.publish_proposal(two, &ben()).await), "not_approved");

    // It concerns more tenants than were looked at.
    without(&hq, "growth", "delivery", now(), Moves::Now).await;
    let proposal = approve("Growth without delivery").await;
    let like = hq.tenant(&id("om-muscat-sparkle")).await.unwrap().record;
    for number in 0..3 {
        let mut tenant = like.clone();
        tenant.phases = std::iter::once(("p".parse().unwrap(), paid("growth"))).collect();
        tenant.overrides = Default::default();
        let change = TenantChange::Create { tenant };
        hq.change_tenant(&id(&format!("om-new-{number}")), &change, None, None, &ada()).await.unwrap();
    }
    publisher.publish().await.unwrap();
    let why = why(publisher.publish_proposal(proposal, &ben()).await);
    assert!(why.contains("1 %"), "{why}");
    // Nobody came, and it concerns more by the time: their phases have begun.
    let new = (0..3).map(|number| id(&format!("om-new-{number}"))).collect::<Vec<_>>();
    for tenant in &new {
        hq.change_tenant(tenant, &TenantChange::RemovePhase { id: record("p") }, None, None, &ada()).await.unwrap();
    }
    // Far enough away for it to be looked at before, however slow that is.
    let mut away_ms = 1_000;
    let (proposal, soon) = loop {
        let soon = Timestamp::from_ms(now().as_ms() + away_ms).unwrap();
        for tenant in &new {
            let phase = Phase { from: soon, ..paid("growth") };
            let change = TenantChange::PutPhase { id: record("later"), phase };
            hq.change_tenant(tenant, &change, None, None, &ada()).await.unwrap();
        }
        publisher.publish().await.unwrap();
        let proposal = approve("Growth without delivery, soon").await;
        if now() < soon {
            break (proposal, soon);
        }
        away_ms *= 2;
    };
    while now() <= soon {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let why = self::why(publisher.publish_proposal(proposal, &ben()).await);
    assert!(why.contains("1 %") || why.contains("something else"), "{why}");
    hq.reject(approve("Again").await, "not now", &ben()).await.unwrap();
    // Nothing is proposed by what changes nothing.
    label(&hq, "Persons").await;
    approve("All of it").await;
    let all = hq.proposals(None, 1).await.unwrap().remove(0);
    publisher.publish_proposal(all.id, &ben()).await.unwrap();
    assert_eq!(code(publisher.archive().propose("Again", &ada()).await), "nothing_to_propose");
}
