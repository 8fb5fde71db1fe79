//! What is authored: files in and out, records, changes of tenants.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use fleet::{ada, cleanmatex, hq};
use leasehold::TenantId;
use leasehold::model::{
    AddOn, Block, BlockKind, Feature, Guard, Kill, LaidBy, Licence, Op, Override, Phase, PhaseKind, Plan, Preferences,
    Source, Workflow, format,
};
use leasehold_postgres::hq::{Hq, Progress, Record, RowVersion, TenantChange, Versioned};
use leasehold_postgres::ledger::IdempotencyKey;
use std::collections::BTreeMap;

fn by_name(sources: &[Source]) -> BTreeMap<String, String> {
    let text = |source: &Source| (source.name.to_string(), String::from_utf8(source.bytes.clone()).unwrap());
    sources.iter().map(text).collect()
}

/// The reference definitions come out as they went in, file by file and byte by byte, in normal form.
#[tokio::test]
async fn a_directory_comes_out_as_it_went_in() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let sources = cleanmatex();
    let mut seen = Vec::new();
    let imported = hq.import(&sources, &ada(), |progress| seen.push(progress)).await.unwrap();
    assert!(imported.records > 100 && imported.tenants == 30, "{imported:?}");
    assert_eq!(seen.last(), Some(&Progress { done: 30, of: 30 }));
    let formatted: Vec<Source> = sources
        .iter()
        .map(|source| Source { name: source.name.clone(), bytes: format::format(source).unwrap().into_bytes() })
        .collect();
    let (expected, exported) = (by_name(&formatted), by_name(&hq.export().await.unwrap()));
    assert_eq!(expected.keys().collect::<Vec<_>>(), exported.keys().collect::<Vec<_>>());
    for (name, text) in &expected {
        assert_eq!(text, &exported[name], "{name}");
    }

    // Once more changes nothing, blocks among it.
    hq.import(&sources, &ada(), |_| {}).await.unwrap();
    assert_eq!(by_name(&hq.export().await.unwrap()), exported);
}

fn code<T: std::fmt::Debug>(result: Result<T, leasehold_postgres::Error>) -> &'static str {
    result.unwrap_err().code()
}

/// Every sort of record is read, created, changed and removed, each seeing what others did in between.
#[tokio::test]
async fn records_are_written_one_by_one() {
    async fn check<R: Record + PartialEq + std::fmt::Debug>(hq: &Hq, like: &str, key: &str, change: impl Fn(&mut R))
    where
        R::Key: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug,
    {
        let (like, key): (R::Key, R::Key) = (like.parse().unwrap(), key.parse().unwrap());
        let model = hq.read::<R>(&like).await.unwrap();
        assert_eq!(code(hq.read::<R>(&key).await), "not_found");
        let version = hq.create(&key, &model.record, "more.json", &ada()).await.unwrap();
        assert_eq!(code(hq.create(&key, &model.record, "more.json", &ada()).await), "already_exists");
        let mut read = hq.read::<R>(&key).await.unwrap();
        assert_eq!((&read.record, read.row_version), (&model.record, version));
        change(&mut read.record);
        let next = hq.update(&key, &read, &ada()).await.unwrap();
        assert!(next > version);
        // Whoever read before is told, and nothing is lost.
        assert_eq!(
            code(hq.update(&key, &Versioned { row_version: version, record: model.record }, &ada()).await),
            "row_version_conflict"
        );
        assert_eq!(hq.read::<R>(&key).await.unwrap(), Versioned { row_version: next, record: read.record });
        assert_eq!(code(hq.remove::<R>(&key, version, &ada()).await), "row_version_conflict");
        hq.remove::<R>(&key, next, &ada()).await.unwrap();
        assert_eq!(code(hq.read::<R>(&key).await), "not_found");
    }
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let all = hq.definitions().await.unwrap();
    let printed = |definitions: &leasehold::model::Definitions| format::print(&mut definitions.clone());
    let first = |keys: Vec<String>| keys[0].clone();
    let name = |text: &mut String| text.push('!');
    check::<Feature>(&hq, "max_users", "another", |it| name(&mut it.name)).await;
    check::<Plan>(&hq, "growth", "another", |it| name(&mut it.name2)).await;
    check::<AddOn>(&hq, &first(all.add_ons.keys().map(ToString::to_string).collect()), "another", |it| {
        name(&mut it.name);
    })
    .await;
    check::<Kill>(&hq, &first(all.kills.keys().map(ToString::to_string).collect()), "another", |it| {
        name(&mut it.reason);
    })
    .await;
    check::<Guard>(&hq, &first(all.guards.keys().map(ToString::to_string).collect()), "another", |it| {
        name(&mut it.name);
    })
    .await;
    check::<Workflow>(&hq, "complaint", "another", |it| name(&mut it.name)).await;
    assert_eq!(printed(&hq.definitions().await.unwrap()), printed(&all));

    // What is wrong comes as a list, and nothing of it is written.
    let mut plan = hq.read::<Plan>(&"growth".parse().unwrap()).await.unwrap();
    for version in plan.record.versions.values_mut() {
        let mut wrong = version.contributions[0].clone();
        wrong.feature = "no_such_feature".parse().unwrap();
        version.contributions.push(wrong);
    }
    let refused = hq.update(&"growth".parse().unwrap(), &plan, &ada()).await.unwrap_err();
    assert!(matches!(refused.code(), "invalid_definitions" | "constraint_violated"), "{refused}");
    assert_eq!(printed(&hq.definitions().await.unwrap()), printed(&all));

    // A retired plan is sold no more.
    let growth: leasehold::PlanKey = "growth".parse().unwrap();
    let seen = hq.read::<Plan>(&growth).await.unwrap().row_version;
    hq.retire::<Plan>(&growth, seen, &ada()).await.unwrap();
    let phase = phase("growth");
    let change = TenantChange::PutPhase { id: "late".parse().unwrap(), phase };
    let refused = hq.change_tenant(&sparkle(), &change, None, None, &ada()).await;
    assert_eq!(code(refused), "constraint_violated");
    assert_eq!(
        code(hq.retire::<Feature>(&"max_users".parse().unwrap(), RowVersion(1), &ada()).await),
        "constraint_violated"
    );
}

fn sparkle() -> TenantId {
    "om-muscat-sparkle".parse().unwrap()
}

fn phase(plan: &str) -> Phase {
    Phase {
        kind: PhaseKind::Paid,
        plan: plan.parse().unwrap(),
        version: None,
        from: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        grace_until: None,
    }
}

/// Every change of a tenant does in the database what it says, and comes with its audit entry and its place in the queue.
#[tokio::test]
async fn tenants_change() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let id = sparkle();
    let before = hq.tenant(&id).await.unwrap();
    let block = Block {
        kind: BlockKind::Frozen,
        laid_by: LaidBy::Staff,
        level: None,
        since: "2026-03-01T00:00:00Z".parse().unwrap(),
        until: None,
        reason: "moving house".to_owned(),
    };
    let record = |name: &str| -> leasehold::RecordId { name.parse().unwrap() };
    let revoke = Override {
        feature: "delivery".parse().unwrap(),
        op: Op::Revoke,
        value: None,
        plan: None,
        from: None,
        until: None,
        reason: "for a test".to_owned(),
        actor: "ada".to_owned(),
    };
    let licence = Licence {
        add_on: hq.definitions().await.unwrap().add_ons.keys().next().unwrap().clone(),
        quantity: 3,
        from: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
    };
    let lifted: leasehold::Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
    let at = lifted;
    let order: leasehold::WorkflowKey = "order".parse().unwrap();
    let laid = hq.tenant(&"sa-makkah-pilgrim".parse().unwrap()).await.unwrap().record.workflows[&order].clone();
    let reason = "moved".to_owned();
    let changes = [
        TenantChange::PutPhase { id: record("p"), phase: phase("enterprise") },
        TenantChange::PutPhase { id: record("p"), phase: phase("starter") },
        TenantChange::PutLicence { id: record("l"), licence: licence.clone() },
        TenantChange::PutLicence { id: record("l"), licence: Licence { quantity: 4, ..licence } },
        TenantChange::PutOverride { id: record("o"), r#override: revoke },
        TenantChange::LayBlock { id: record("b"), block: block.clone() },
        TenantChange::LiftBlock { id: record("b"), by: LaidBy::Staff, at, reason },
        TenantChange::SetPreferences { preferences: Preferences { off: vec!["delivery".parse().unwrap()] } },
        TenantChange::PutWorkflow { workflow: order.clone(), laid },
        TenantChange::RemovePhase { id: record("p") },
        TenantChange::RemoveLicence { id: record("l") },
        TenantChange::RemoveOverride { id: record("o") },
        TenantChange::RemoveWorkflow { workflow: order },
    ];
    let mut version = before.row_version;
    let mut queued = 0;
    for (number, change) in changes.iter().enumerate() {
        let mut expected = hq.tenant(&id).await.unwrap().record;
        match change {
            TenantChange::PutPhase { id, phase } => drop(expected.phases.insert(id.clone(), phase.clone())),
            TenantChange::RemovePhase { id } => drop(expected.phases.remove(id.as_str())),
            TenantChange::PutLicence { id, licence } => drop(expected.licences.insert(id.clone(), licence.clone())),
            TenantChange::RemoveLicence { id } => drop(expected.licences.remove(id.as_str())),
            TenantChange::PutOverride { id, r#override } => {
                drop(expected.overrides.insert(id.clone(), r#override.clone()));
            }
            TenantChange::RemoveOverride { id } => drop(expected.overrides.remove(id.as_str())),
            TenantChange::LayBlock { id, block } => drop(expected.blocks.insert(id.clone(), block.clone())),
            TenantChange::LiftBlock { id, .. } => {
                expected.blocks.insert(id.clone(), Block { until: Some(lifted), ..block.clone() });
            }
            TenantChange::SetPreferences { preferences } => expected.preferences.clone_from(preferences),
            TenantChange::PutWorkflow { workflow, laid } => {
                drop(expected.workflows.insert(workflow.clone(), laid.clone()));
            }
            TenantChange::RemoveWorkflow { workflow } => drop(expected.workflows.remove(workflow)),
            _ => unreachable!("not among them"),
        }
        let key = IdempotencyKey::new(format!("key-{number}")).unwrap();
        let changed = hq.change_tenant(&id, change, Some(version), Some(&key), &ada()).await.unwrap();
        let after = hq.tenant(&id).await.unwrap();
        assert_eq!(after.record, expected, "{change:?}");
        assert!(after.row_version > version && after.row_version == changed.row_version, "{change:?}");
        assert!(changed.change > queued);
        // Asked again, the answer is the same, and nothing is done twice; the key is good for nothing else.
        assert_eq!(hq.change_tenant(&id, change, Some(version), Some(&key), &ada()).await.unwrap(), changed);
        assert_eq!(hq.tenant(&id).await.unwrap(), after);
        assert_eq!(
            code(hq.change_tenant(&id, &TenantChange::Remove, None, Some(&key), &ada()).await),
            "idempotency_key_reused"
        );
        assert_eq!(code(hq.change_tenant(&id, change, Some(version), None, &ada()).await), "row_version_conflict");
        (version, queued) = (changed.row_version, changed.change);
    }
    let entries: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id = $1")
        .bind(id.as_str())
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert_eq!(entries, i64::try_from(changes.len()).unwrap());

    // A block that was lifted stays a fact.
    let mut after = hq.tenant(&id).await.unwrap().record;
    assert!(after.blocks.remove("b").is_some());
    after.preferences = before.record.preferences.clone();
    after.workflows = before.record.workflows.clone();
    assert_eq!(after, before.record);

    let again = TenantChange::LayBlock { id: record("b"), block: block.clone() };
    assert_eq!(code(hq.change_tenant(&id, &again, None, None, &ada()).await), "already_exists");
    let lay = TenantChange::LayBlock { id: record("c"), block };
    hq.change_tenant(&id, &lay, None, None, &ada()).await.unwrap();
    let by_others = TenantChange::LiftBlock { id: record("c"), by: LaidBy::Billing, at: lifted, reason: String::new() };
    assert_eq!(code(hq.change_tenant(&id, &by_others, None, None, &ada()).await), "constraint_violated");
    let unknown = TenantChange::PutPhase { id: record("q"), phase: phase("no-such-plan") };
    assert_eq!(code(hq.change_tenant(&id, &unknown, None, None, &ada()).await), "invalid_definitions");
    let nobody: TenantId = "nobody".parse().unwrap();
    assert_eq!(code(hq.change_tenant(&nobody, &lay, None, None, &ada()).await), "not_found");
    let create = TenantChange::Create { tenant: before.record.clone() };
    assert_eq!(code(hq.change_tenant(&id, &create, None, None, &ada()).await), "already_exists");
    hq.change_tenant(&nobody, &create, None, None, &ada()).await.unwrap();
    assert_eq!(hq.tenant(&nobody).await.unwrap().record, before.record);
    hq.change_tenant(&nobody, &TenantChange::Remove, None, None, &ada()).await.unwrap();
    assert_eq!(code(hq.tenant(&nobody).await), "not_found");

    let mut nul = before.record.clone();
    nul.name = "a\0b".to_owned();
    assert_eq!(
        code(hq.change_tenant(&nobody, &TenantChange::Create { tenant: nul }, None, None, &ada()).await),
        "nul_character"
    );
}

/// Sixteen create the same tenant, and sixteen change the version that they all read: one does.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_one_is_first() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let tenant = hq.tenant(&sparkle()).await.unwrap().record;
    let id: TenantId = "om-new".parse().unwrap();
    let race = async |change: TenantChange, seen: Option<RowVersion>| {
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (hq, id, change) = (hq.clone(), id.clone(), change.clone());
                tokio::spawn(async move { hq.change_tenant(&id, &change, seen, None, &ada()).await })
            })
            .collect();
        let mut codes = Vec::new();
        for task in tasks {
            codes.extend(task.await.unwrap().err().map(|error| error.code()));
        }
        codes
    };
    assert_eq!(race(TenantChange::Create { tenant }, None).await, ["already_exists"; 15]);
    let change = TenantChange::PutPhase { id: "p".parse().unwrap(), phase: phase("starter") };
    assert_eq!(race(change, Some(RowVersion(1))).await, ["row_version_conflict"; 15]);
}

/// Mistakes of an import come all at once, by file, and nothing of it is written.
#[tokio::test]
async fn an_import_is_all_or_nothing() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let mut sources = cleanmatex();
    let file = sources.iter_mut().find(|source| &*source.name == "tenants/eu.json").unwrap();
    let text = String::from_utf8(file.bytes.clone()).unwrap();
    file.bytes = text.replace("\"plan\": \"", "\"plan\": \"no-").into_bytes();
    let Err(leasehold_postgres::Error::Refused(found)) = hq.import(&sources, &ada(), |_| {}).await else {
        panic!("it is refused");
    };
    assert!(found.as_slice().len() > 1);
    assert!(found.as_slice().iter().all(|one| &*one.file == "tenants/eu.json"), "{found}");
    assert!(hq.export().await.unwrap().is_empty());
}
