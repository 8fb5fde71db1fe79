//! What is authored: files in and out, records, changes of tenants.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use crate::support::fleet::{ada, adopt, ben, cleanmatex, hq, paid, published, revoke};
use crate::support::{self, Database};
use leasehold::model::{
    AddOn, Block, BlockKind, Feature, Guard, Kill, LaidBy, Licence, MAX_FILE_BYTES, Plan, Preferences, Source,
    Workflow, format,
};
use leasehold::{GuardKey, PlanKey, Revision, TenantId};
use leasehold_postgres::Error;
use leasehold_postgres::audit::{Line, Scope, Verifier, walk};
use leasehold_postgres::hq::{Actor, Changed, Hq, Progress, Record, RowVersion, TenantChange, Versioned};
use leasehold_postgres::ledger::IdempotencyKey;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
        let version = hq.create(&key, &model.record, "more.json", &ada()).await.unwrap().row_version;
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
        // Who saw the one that was removed does not take the next one for it.
        let again = hq.create(&key, &hq.read::<R>(&like).await.unwrap().record, "more.json", &ada()).await.unwrap();
        assert!(again.row_version > next);
        hq.remove::<R>(&key, again.row_version, &ada()).await.unwrap();
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
    let leasehold_postgres::Error::Refused(found) = &refused else { panic!("{refused}") };
    let unknown = found.as_slice().iter().filter(|one| one.code.as_str() == "unknown_feature").count();
    assert_eq!(unknown, plan.record.versions.len(), "{refused}");
    assert_eq!(printed(&hq.definitions().await.unwrap()), printed(&all));

    // So does what names a record that was to be removed; of tenants, where the first of them stands.
    let users: leasehold::FeatureKey = "max_users".parse().unwrap();
    let seen = hq.read::<Feature>(&users).await.unwrap().row_version;
    let named = hq.remove::<Feature>(&users, seen, &ada()).await.unwrap_err();
    let leasehold_postgres::Error::Refused(found) = &named else { panic!("{named}") };
    let places: Vec<&str> = found.as_slice().iter().map(|one| one.path.as_str()).collect();
    let expected = all.plans.keys().filter(|plan| places.iter().any(|it| it.starts_with(&format!("/plans/{plan}/"))));
    assert!(expected.count() > 1, "{named}");
    let spare: leasehold::FeatureKey = "spare".parse().unwrap();
    let delivery = hq.read::<Feature>(&"delivery".parse().unwrap()).await.unwrap().record;
    let spare_seen = hq.create(&spare, &delivery, "more.json", &ada()).await.unwrap().row_version;
    let given = json!({ "change": "put_override", "id": "spare", "override":
        { "feature": "spare", "op": "set", "value": true, "reason": "r", "actor": "a" } });
    let change = TenantChange::from_json(&sparkle(), "change.json", given.to_string().as_bytes()).unwrap();
    hq.change_tenant(&sparkle(), &change, None, None, &ada()).await.unwrap();
    let named = hq.remove::<Feature>(&spare, spare_seen, &ada()).await.unwrap_err();
    assert_eq!(named.code(), "constraint_violated");
    let told = "(feature_key)=(spare) is still named in `org_feature_overrides`; change what names it first";
    assert_eq!(named.to_string(), told);
    let change = TenantChange::RemoveOverride { id: "spare".parse().unwrap() };
    hq.change_tenant(&sparkle(), &change, None, None, &ada()).await.unwrap();
    hq.remove::<Feature>(&spare, spare_seen, &ada()).await.unwrap();

    // A retired plan is sold no more.
    let growth: leasehold::PlanKey = "growth".parse().unwrap();
    let seen = hq.read::<Plan>(&growth).await.unwrap().row_version;
    hq.retire::<Plan>(&growth, seen, &ada()).await.unwrap();
    let phase = paid("growth");
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
    let revoke = revoke("delivery", "for a test");
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
        TenantChange::PutPhase { id: record("p"), phase: paid("enterprise") },
        TenantChange::PutPhase { id: record("p"), phase: paid("starter") },
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
    // The import made one too.
    assert_eq!(entries, 1 + i64::try_from(changes.len()).unwrap());

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
    for (reason, refused) in [(" ", "invalid_argument"), ("paid", "constraint_violated")] {
        let by_others =
            TenantChange::LiftBlock { id: record("c"), by: LaidBy::Billing, at: lifted, reason: reason.into() };
        assert_eq!(code(hq.change_tenant(&id, &by_others, None, None, &ada()).await), refused);
    }
    let unknown = TenantChange::PutPhase { id: record("q"), phase: paid("no-such-plan") };
    assert_eq!(code(hq.change_tenant(&id, &unknown, None, None, &ada()).await), "invalid_definitions");
    let nobody: TenantId = "nobody".parse().unwrap();
    assert_eq!(code(hq.change_tenant(&nobody, &lay, None, None, &ada()).await), "not_found");
    let create = TenantChange::Create { tenant: before.record.clone() };
    assert_eq!(code(hq.change_tenant(&id, &create, None, None, &ada()).await), "already_exists");
    let created = hq.change_tenant(&nobody, &create, None, None, &ada()).await.unwrap();
    assert_eq!(hq.tenant(&nobody).await.unwrap().record, before.record);
    hq.change_tenant(&nobody, &TenantChange::Remove, None, None, &ada()).await.unwrap();
    assert_eq!(code(hq.tenant(&nobody).await), "not_found");
    // Who saw the one that was removed does not take the next one for it.
    let again = hq.change_tenant(&nobody, &create, None, None, &ada()).await.unwrap();
    assert!(again.row_version > created.row_version);
    let stale = hq.change_tenant(&nobody, &TenantChange::Remove, Some(created.row_version), None, &ada()).await;
    assert_eq!(code(stale), "row_version_conflict");
    hq.change_tenant(&nobody, &TenantChange::Remove, Some(again.row_version), None, &ada()).await.unwrap();

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
    let change = TenantChange::PutPhase { id: "p".parse().unwrap(), phase: paid("starter") };
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

/// What a query counts, behind the scenes.
async fn count(database: &Database, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&database.admin).await.unwrap()
}

/// The SQLSTATE of a statement that fails.
async fn state(connection: &mut PgConnection, sql: &str) -> String {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    let error = done.err().and_then(|error| Some(error.as_database_error()?.code()?.into_owned()));
    error.unwrap_or_else(|| "done".to_owned())
}

/// Waits until somebody in the database waits for a lock.
async fn until_somebody_waits(database: &Database) {
    let start = Instant::now();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while count(database, waiting).await == 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A source of the reference definitions, with something else in it.
fn edited(name: &str, edit: impl FnOnce(&mut Value)) -> Vec<Source> {
    let mut sources = cleanmatex();
    let source = sources.iter_mut().find(|source| &*source.name == name).unwrap();
    let mut file = serde_json::from_slice(&source.bytes).unwrap();
    edit(&mut file);
    source.bytes = file.to_string().into_bytes();
    sources
}

/// Rows of versions, by table: one of version 2, and what freezes a version.
const OF_VERSIONS: [(&str, &str, &str); 4] = [
    (
        "sys_plan_features_cf",
        "(plan_key, version, position, feature_key, kind, op, value)
         VALUES ('basic', $v, 7, 'reports', 'switch', 'set', 'true')",
        "UPDATE sys_plan_versions_cf SET published_at = now() WHERE plan_key = 'basic' AND version = $v AND published_at IS NULL",
    ),
    (
        "sys_plan_limits_cf",
        "(plan_key, version, position, feature_key, op, value) VALUES ('basic', $v, 7, 'orders', 'set', '{\"amount\": 1}')",
        "UPDATE sys_plan_versions_cf SET published_at = now() WHERE plan_key = 'basic' AND version = $v AND published_at IS NULL",
    ),
    (
        "workflow_template_stages",
        "(workflow_key, version, stage_id, name, name2) VALUES ('order', $v, 'odd', 'Odd', 'غريب')",
        "UPDATE workflow_template_versions SET published_at = now() WHERE workflow_key = 'order' AND version = $v AND published_at IS NULL",
    ),
    (
        "workflow_template_transitions",
        "(workflow_key, version, transition_id, name, name2, from_stage, event, to_stage)
         VALUES ('order', $v, 'odd', 'Odd', 'غريب', 'new', 'odd', 'new')",
        "UPDATE workflow_template_versions SET published_at = now() WHERE workflow_key = 'order' AND version = $v AND published_at IS NULL",
    ),
];

async fn sessions(database: &Database) -> (PgConnection, PgConnection) {
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    support::fill(&mut admin, "t1", "s").await;
    support::execute(
        &mut admin,
        "SET search_path = leasehold;
         INSERT INTO sys_plan_versions_cf SELECT 'basic', v, '2026-01-01Z', 'now' FROM generate_series(2, 20) v;
         INSERT INTO workflow_template_versions SELECT 'order', v FROM generate_series(2, 20) v;
         INSERT INTO workflow_template_stages SELECT 'order', v, 'new', 'New', 'جديد' FROM generate_series(2, 20) v",
    )
    .await;
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut session = PgConnection::connect_with(&database.options("hq")).await.unwrap();
        support::execute(&mut session, "SET search_path = leasehold").await;
        sessions.push(session);
    }
    (sessions.remove(0), sessions.remove(0))
}

/// No row gets into a version that was published, or out of it: not by moving either.
#[tokio::test]
async fn versions_that_were_published_stay() {
    let database = support::database().await;
    let (mut hq, _) = sessions(&database).await;
    for (table, row, _) in OF_VERSIONS {
        for version in ["2", "3"] {
            support::execute(&mut hq, &format!("INSERT INTO {table} {}", row.replace("$v", version))).await;
        }
    }
    for (.., freeze) in OF_VERSIONS {
        support::execute(&mut hq, &freeze.replace("$v", "3")).await;
        support::execute(&mut hq, &freeze.replace("$v", "4")).await;
    }
    for (table, row, _) in OF_VERSIONS {
        for attempt in [
            format!("INSERT INTO {table} {}", row.replace("$v", "4")),
            format!("UPDATE {table} SET version = 4 WHERE version = 2"),
            format!("UPDATE {table} SET version = 5 WHERE version = 3"),
            format!("DELETE FROM {table} WHERE version = 3"),
        ] {
            assert_eq!(state(&mut hq, &attempt).await, "23001", "{attempt}");
        }
    }
}

/// Who writes to a version and who publishes it take turns.
#[tokio::test]
async fn a_version_is_not_published_while_it_is_written() {
    let database = support::database().await;
    let (mut writer, mut publisher) = sessions(&database).await;
    for ((table, row, freeze), version) in OF_VERSIONS.iter().zip([10, 12, 14, 16]) {
        let at = |sql: &str, version: i32| sql.replace("$v", &version.to_string());
        // The writer was first.
        support::execute(&mut writer, &format!("BEGIN; INSERT INTO {table} {}", at(row, version))).await;
        support::execute(&mut publisher, "SET lock_timeout = '100ms'").await;
        assert_eq!(state(&mut publisher, &at(freeze, version)).await, "55P03", "{table}");
        support::execute(&mut writer, "COMMIT").await;
        support::execute(&mut publisher, "RESET lock_timeout").await;
        support::execute(&mut publisher, &at(freeze, version)).await;
        // The publisher was first.
        support::execute(&mut publisher, &format!("BEGIN; {}", at(freeze, version + 1))).await;
        let insert = format!("INSERT INTO {table} {}", at(row, version + 1));
        let writing = async { state(&mut writer, &insert).await };
        let publishing = async {
            until_somebody_waits(&database).await;
            support::execute(&mut publisher, "COMMIT").await;
        };
        assert_eq!(tokio::join!(writing, publishing).0, "23001", "{table}");
    }
}

/// Who has what is retired keeps it, and may have it longer; nobody gets it any more.
#[tokio::test]
async fn what_is_retired_stays_with_those_who_have_it() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let (growth, pos): (PlanKey, leasehold::AddOnKey) = ("growth".parse().unwrap(), "extra_pos".parse().unwrap());
    let seen = hq.read::<Plan>(&growth).await.unwrap().row_version;
    hq.retire::<Plan>(&growth, seen, &ada()).await.unwrap();
    let seen = hq.read::<AddOn>(&pos).await.unwrap().row_version;
    hq.retire::<AddOn>(&pos, seen, &ada()).await.unwrap();

    let mut tenant = hq.tenant(&sparkle()).await.unwrap().record;
    let mut held = tenant.phases.get("growth-2025").unwrap().clone();
    held.until = Some("2030-01-01T00:00:00Z".parse().unwrap());
    let mut licence = tenant.licences.get("pos-counter-2").unwrap().clone();
    licence.quantity += 1;
    tenant.name.push('!');
    for change in [
        TenantChange::PutPhase { id: "growth-2025".parse().unwrap(), phase: held.clone() },
        TenantChange::PutLicence { id: "pos-counter-2".parse().unwrap(), licence: licence.clone() },
        TenantChange::Replace { tenant },
    ] {
        hq.change_tenant(&sparkle(), &change, None, None, &ada()).await.unwrap();
    }
    let renamed = edited("tenants/gcc-om.json", |file| file["tenants"]["om-muscat-sparkle"]["name"] = json!("Another"));
    hq.import(&renamed, &ada(), |_| {}).await.unwrap();

    // Neither by a new phase or licence, nor by one that names something else so far.
    let other = TenantChange::PutPhase { id: "other".parse().unwrap(), phase: paid("starter") };
    hq.change_tenant(&sparkle(), &other, None, None, &ada()).await.unwrap();
    for change in [
        TenantChange::PutPhase { id: "new".parse().unwrap(), phase: held.clone() },
        TenantChange::PutPhase { id: "other".parse().unwrap(), phase: held },
        TenantChange::PutLicence { id: "new".parse().unwrap(), licence: licence.clone() },
        TenantChange::PutLicence { id: "route-alkhoud".parse().unwrap(), licence },
    ] {
        let refused = hq.change_tenant(&sparkle(), &change, None, None, &ada()).await;
        assert_eq!(code(refused), "constraint_violated", "{change:?}");
    }
    let mut session = PgConnection::connect_with(&database.options("hq")).await.unwrap();
    support::execute(&mut session, "SET app.current_tenant_id = 'om-muscat-sparkle'; SET search_path = leasehold")
        .await;
    for attempt in [
        "UPDATE org_subscriptions_mst SET plan_key = 'growth' WHERE phase_id = 'other'",
        "UPDATE org_add_on_licences SET add_on_key = 'extra_pos' WHERE licence_id = 'route-alkhoud'",
    ] {
        assert_eq!(state(&mut session, attempt).await, "23001", "{attempt}");
    }
}

/// What was published once stays, in force or not, and nobody is told that something else was written.
#[tokio::test]
async fn a_published_version_is_neither_changed_nor_left_out() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let growth: PlanKey = "growth".parse().unwrap();
    let refusals = |error: Error| match error {
        Error::Refused(found) => found
            .as_slice()
            .iter()
            .map(|one| (one.code.as_str(), one.file.to_string(), one.path.clone()))
            .collect::<Vec<_>>(),
        error => panic!("{error}"),
    };
    let without = edited("plans/growth.json", |file| {
        file["plans"]["growth"]["versions"].as_object_mut().unwrap().remove("1").unwrap();
    });
    let refused = |path: &str| vec![("published_version_changed", "plans/growth.json".to_owned(), path.to_owned())];
    let first = refused("/plans/growth/versions/1");
    assert_eq!(refusals(hq.import(&without, &ada(), |_| {}).await.unwrap_err()), first);

    // Version 9 is published, and is not in force any more.
    let mut plan = hq.read::<Plan>(&growth).await.unwrap();
    let mut ninth = plan.record.versions.values().next_back().unwrap().clone();
    ninth.effective_from = "2030-01-01T00:00:00Z".parse().unwrap();
    plan.record.versions.insert(9, ninth);
    hq.update(&growth, &plan, &ada()).await.unwrap();
    adopt(&publisher).await;
    publisher.rollback(Revision::new(1).unwrap(), &ben()).await.unwrap();
    let mut plan = hq.read::<Plan>(&growth).await.unwrap();
    let exported = hq.export().await.unwrap();
    let corrected: Vec<Source> = exported
        .iter()
        .map(|source| {
            let text = String::from_utf8(source.bytes.clone()).unwrap().replace("2030-01-01", "2031-01-01");
            Source { name: source.name.clone(), bytes: text.into_bytes() }
        })
        .collect();
    assert_eq!(refusals(hq.import(&corrected, &ada(), |_| {}).await.unwrap_err()), refused("/plans/growth/versions/9"));
    let log = "SELECT count(*) FROM leasehold.sys_audit_log";
    let entries = count(&database, log).await;
    plan.record.versions.get_mut(&9).unwrap().effective_from = "2031-01-01T00:00:00Z".parse().unwrap();
    plan.record.versions.remove(&1);
    let found = refusals(hq.update(&growth, &plan, &ada()).await.unwrap_err());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(count(&database, log).await, entries);
    assert_eq!(by_name(&hq.export().await.unwrap()), by_name(&exported));
}

/// Rows of tables that have a version, as they are and when they were written: what an import leaves alone stays here.
async fn written(database: &Database, table: &str) -> BTreeMap<String, String> {
    let sql = format!("SELECT to_jsonb(t)::text, t.xmin::text FROM leasehold.{table} t");
    let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&database.admin).await.unwrap();
    rows.into_iter().collect()
}

/// An import leaves alone what is as it was, waits for nobody who uses a feature, and audits the tenants that change.
#[tokio::test]
async fn an_import_writes_what_changed() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let tables = [
        "sys_definition_files",
        "sys_features_cf",
        "sys_plan_subscriptions_types_cf",
        "sys_add_ons_cf",
        "sys_feature_kills",
        "sys_guards_cf",
        "workflow_template_cd",
        "org_tenants_mst",
        "org_subscriptions_mst",
        "sys_publish_queue",
    ];
    let mut before = Vec::new();
    for table in tables {
        before.push(written(&database, table).await);
    }
    let of_tenants = "SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id <> ''";
    assert_eq!(count(&database, of_tenants).await, 30);
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    for (table, before) in tables.into_iter().zip(before) {
        assert_eq!(written(&database, table).await, before, "{table}");
    }
    assert_eq!(count(&database, of_tenants).await, 30);

    // A tenant's change holds the features that it names until it ends.
    let mut other = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    support::execute(&mut other, "BEGIN; SELECT FROM leasehold.sys_features_cf FOR KEY SHARE").await;
    let mut changed = edited("features/limits.json", |file| file["features"]["max_users"]["name"] = json!("People"));
    let tenants = edited("tenants/eu.json", |file| file["tenants"]["eu-berlin-waschwerk"]["name"] = json!("Another"));
    changed.retain(|source| &*source.name != "tenants/eu.json");
    changed.extend(tenants.into_iter().filter(|source| &*source.name == "tenants/eu.json"));
    let actor = ada();
    let imported = hq.import(&changed, &actor, |_| {});
    tokio::time::timeout(Duration::from_secs(60), imported).await.expect("nobody is in the way").unwrap();
    support::execute(&mut other, "ROLLBACK").await;
    let read = hq.read::<Feature>(&"max_users".parse().unwrap()).await.unwrap();
    assert_eq!((read.row_version, &*read.record.name), (RowVersion(2), "People"));
    let touched = "SELECT count(*) FROM leasehold.sys_features_cf WHERE row_version > 1";
    assert_eq!(count(&database, touched).await, 1);
    let touched = "SELECT count(*) FROM leasehold.org_tenants_mst WHERE row_version > 1";
    assert_eq!(count(&database, touched).await, 1);
    let of_berlin = "SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id = 'eu-berlin-waschwerk'";
    assert_eq!((count(&database, of_berlin).await, count(&database, of_tenants).await), (2, 31));

    // Entries that were appended by the batch, and one by one, are of one chain.
    let change = TenantChange::PutPhase { id: "p".parse().unwrap(), phase: paid("starter") };
    hq.change_tenant(&"eu-berlin-waschwerk".parse().unwrap(), &change, None, None, &ada()).await.unwrap();
    let mut verifier = Verifier::new(Scope::All, Vec::new());
    let mut actions = Vec::new();
    let mut connection = database.hq.acquire().await.unwrap();
    walk(&mut connection, &Scope::All, |line: &Line| {
        verifier.line(line);
        if let Line::Entry(entry) = line {
            actions.push(entry.action.clone());
        }
        Ok::<(), Error>(())
    })
    .await
    .unwrap();
    let report = verifier.finish();
    assert!(report.is_good(), "{report:?}");
    for (action, times) in [("tenant.created", 30), ("tenant.replaced", 1), ("tenant.phase.put", 1)] {
        assert_eq!(actions.iter().filter(|it| *it == action).count(), times, "{action}");
    }

    // A tenant that moves to another file is the same tenant.
    let eu = changed.iter().position(|source| &*source.name == "tenants/eu.json").unwrap();
    changed[eu].name = "tenants/europe.json".into();
    changed[eu].bytes = hq.export().await.unwrap().into_iter().find(|it| &*it.name == "tenants/eu.json").unwrap().bytes;
    hq.import(&changed, &ada(), |_| {}).await.unwrap();
    assert_eq!(count(&database, of_tenants).await, 32);
    let exported = by_name(&hq.export().await.unwrap());
    assert!(exported.contains_key("tenants/europe.json") && !exported.contains_key("tenants/eu.json"));
}

/// A kind can become another while nothing names the feature.
#[tokio::test]
async fn a_kind_changes() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let feature = |kind: Value| {
        let mut feature = json!({ "name": "N", "name2": "N", "group": "x" });
        feature.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        vec![Source { name: "a.json".into(), bytes: json!({ "features": { "it": feature } }).to_string().into_bytes() }]
    };
    for (version, kind) in [
        json!({ "kind": "switch" }),
        json!({ "kind": "limit", "unit": "piece", "window": "day" }),
        json!({ "kind": "value", "type": "integer", "default": 3 }),
        json!({ "kind": "switch" }),
    ]
    .into_iter()
    .enumerate()
    {
        hq.import(&feature(kind), &ada(), |_| {}).await.unwrap();
        let version = RowVersion(i64::try_from(version).unwrap() + 1);
        assert_eq!(hq.read::<Feature>(&"it".parse().unwrap()).await.unwrap().row_version, version);
    }
}

/// Whoever writes definitions tries again where others are in the way, and at some point no more.
#[tokio::test]
async fn writers_of_definitions_try_again() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    // Each of them ends with an entry in the audit log.
    support::execute(
        &mut admin,
        "CREATE SEQUENCE attempts; GRANT USAGE ON SEQUENCE attempts TO PUBLIC;
         CREATE FUNCTION get_in_the_way() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             IF nextval('public.attempts') <= TG_ARGV[0]::bigint THEN
                 RAISE EXCEPTION 'in the way' USING ERRCODE = 'serialization_failure';
             END IF;
             RETURN NULL;
         END $$",
    )
    .await;
    let (old, new): (GuardKey, GuardKey) = ("requires_driver".parse().unwrap(), "another".parse().unwrap());
    let growth: PlanKey = "growth".parse().unwrap();
    let guard = hq.read::<Guard>(&old).await.unwrap();
    for (others, code) in [(1000, Err("contended")), (2, Ok(()))] {
        let trigger = format!(
            "DROP TRIGGER IF EXISTS in_the_way ON leasehold.sys_audit_log;
             CREATE TRIGGER in_the_way AFTER INSERT ON leasehold.sys_audit_log FOR EACH ROW
                 WHEN (NEW.tenant_org_id = '') EXECUTE FUNCTION get_in_the_way({others})"
        );
        support::execute(&mut admin, &trigger).await;
        let seen = hq.read::<Plan>(&growth).await.unwrap().row_version;
        let (actor, attempts) = (ada(), if code.is_ok() { 3 } else { 8 });
        for what in ["import", "create", "update", "remove", "retire"] {
            support::execute(&mut admin, "SELECT setval('attempts', 1, false)").await;
            let at = guard.row_version;
            let done = match what {
                "import" => hq.import(&cleanmatex(), &actor, |_| {}).await.map(drop),
                "create" => hq.create(&new, &guard.record, "guards.json", &actor).await.map(drop),
                "update" if code.is_ok() => hq.update(&new, &guard, &actor).await.map(drop),
                "update" => hq.update(&old, &guard, &actor).await.map(drop),
                "remove" if code.is_ok() => hq.remove::<Guard>(&new, RowVersion(at.0 + 1), &actor).await,
                // Nothing but the way is tried here: what names it would refuse it first.
                "remove" => {
                    hq.remove::<Kill>(
                        &hq.definitions().await.unwrap().kills.keys().next().unwrap().clone(),
                        RowVersion(1),
                        &actor,
                    )
                    .await
                }
                _ => hq.retire::<Plan>(&growth, seen, &actor).await.map(drop),
            };
            assert_eq!(done.map_err(|error| error.code()), code, "{what}");
            assert_eq!(count(&database, "SELECT last_value FROM attempts").await, attempts, "{what}");
        }
    }
}

/// Postgres ends a deadlock by giving one of those in it up: an import begins anew then.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_outlives_a_deadlock() {
    let database = support::database().await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    // The import is the one that looks for deadlocks, and late enough for this test to make one.
    let sql = format!("ALTER ROLE leasehold_test_hq IN DATABASE {} SET deadlock_timeout = '3s'", database.name);
    support::execute(&mut admin, &sql).await;
    support::execute(&mut admin, "SET deadlock_timeout = '60s'").await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let mut changed = edited("features/limits.json", |file| file["features"]["max_users"]["name"] = json!("People"));
    let plans = edited("plans/growth.json", |file| file["plans"]["growth"]["name"] = json!("Grown"));
    changed.retain(|source| &*source.name != "plans/growth.json");
    changed.extend(plans.into_iter().filter(|source| &*source.name == "plans/growth.json"));

    support::execute(
        &mut admin,
        "BEGIN; SELECT FROM leasehold.sys_plan_subscriptions_types_cf WHERE plan_key = 'growth' FOR UPDATE",
    )
    .await;
    let importing = {
        let hq = hq.clone();
        tokio::spawn(async move { hq.import(&changed, &ada(), |_| {}).await })
    };
    until_somebody_waits(&database).await;
    support::execute(&mut admin, "SELECT FROM leasehold.sys_features_cf WHERE feature_key = 'max_users' FOR UPDATE")
        .await;
    support::execute(&mut admin, "COMMIT").await;
    importing.await.unwrap().unwrap();
    let given_up = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let start = Instant::now();
    // Statistics come in late.
    while count(&database, given_up).await == 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "there was no deadlock");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(hq.read::<Plan>(&"growth".parse().unwrap()).await.unwrap().record.name, "Grown");
}

/// Eight ask for the same at the same time, by the same key: it is done once, and all get the same answer.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_change() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let (id, new) = (sparkle(), "om-new".parse::<TenantId>().unwrap());
    let tenant = hq.tenant(&id).await.unwrap();
    let block = Block {
        kind: BlockKind::Warned,
        laid_by: LaidBy::Staff,
        level: None,
        since: "2026-03-01T00:00:00Z".parse().unwrap(),
        until: Some("2026-03-02T00:00:00Z".parse().unwrap()),
        reason: "for a test".to_owned(),
    };
    let put = TenantChange::PutPhase { id: "p".parse().unwrap(), phase: paid("starter") };
    let cases = [
        (&id, put, Some(tenant.row_version)),
        (&id, TenantChange::LayBlock { id: "b".parse().unwrap(), block }, None),
        (&new, TenantChange::Create { tenant: tenant.record }, None),
        (&new, TenantChange::Remove, None),
    ];
    for (id, change, seen) in cases {
        let log = format!("SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id = '{id}'");
        let before = count(&database, &log).await;
        let key = IdempotencyKey::new(change.action()).unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (hq, id, change, key) = (hq.clone(), id.clone(), change.clone(), key.clone());
                tokio::spawn(async move { hq.change_tenant(&id, &change, seen, Some(&key), &ada()).await })
            })
            .collect();
        let mut answers: Vec<Changed> = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap().unwrap_or_else(|error| panic!("{}: {error}", change.action())));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(count(&database, &log).await, before + 1, "{}", change.action());
    }
}

/// A block that holds is neither left out nor got round; one that is over may be left out.
#[tokio::test]
async fn blocks_that_hold_stay() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let block = |since: &str, until: Option<&str>| Block {
        kind: BlockKind::Quarantined,
        laid_by: LaidBy::Security,
        level: None,
        since: since.parse().unwrap(),
        until: until.map(|until| until.parse().unwrap()),
        reason: "stolen cards".to_owned(),
    };
    let blocks = [
        ("holds", block("2026-01-01T00:00:00Z", None)),
        ("later", block("2100-01-01T00:00:00Z", None)),
        ("over", block("2026-01-01T00:00:00Z", Some("2026-02-01T00:00:00Z"))),
        ("never", block("2026-03-01T00:00:00Z", None)),
    ];
    for (id, block) in &blocks {
        let lay = TenantChange::LayBlock { id: id.parse().unwrap(), block: block.clone() };
        hq.change_tenant(&sparkle(), &lay, None, None, &ada()).await.unwrap();
    }
    let lift = |id: &str, at: &str| TenantChange::LiftBlock {
        id: id.parse().unwrap(),
        by: LaidBy::Security,
        at: at.parse().unwrap(),
        reason: "found".to_owned(),
    };
    hq.change_tenant(&sparkle(), &lift("never", "2026-02-01T00:00:00Z"), None, None, &ada()).await.unwrap();
    let lay = TenantChange::LayBlock { id: "never".parse().unwrap(), block: block("2026-03-01T00:00:00Z", None) };
    assert_eq!(code(hq.change_tenant(&sparkle(), &lay, None, None, &ada()).await), "already_exists");

    let lifts = "SELECT count(*) FROM leasehold.org_access_block_lifts WHERE tenant_org_id = 'om-muscat-sparkle'";
    let lifted = count(&database, lifts).await;
    let told = |result: Result<(), Error>, blocks: &[&str]| {
        let error = result.unwrap_err();
        assert_eq!(error.code(), "constraint_violated");
        let text = error.to_string();
        assert!(text.contains("om-muscat-sparkle") && text.contains("security"), "{text}");
        for block in ["holds", "later", "over", "never"] {
            assert_eq!(text.contains(&format!("`{block}`")), blocks.contains(&block), "{block}: {text}");
        }
    };
    told(hq.import(&cleanmatex(), &ada(), |_| {}).await.map(drop), &["holds", "later"]);
    let mut tenant = hq.tenant(&sparkle()).await.unwrap().record;
    tenant.blocks.remove("holds");
    let replace = TenantChange::Replace { tenant };
    told(hq.change_tenant(&sparkle(), &replace, None, None, &ada()).await.map(drop), &["holds"]);
    let removed = hq.change_tenant(&sparkle(), &TenantChange::Remove, None, None, &ada()).await.unwrap_err();
    assert_eq!(removed.code(), "constraint_violated");
    assert!(removed.to_string().contains("lifted first"), "{removed}");
    assert_eq!(count(&database, lifts).await, lifted);

    // Who laid them lifts them, once each; then they may go, and what is left out is no change.
    for (id, at) in [("holds", "2026-04-01T00:00:00Z"), ("later", "2026-04-01T00:00:00Z")] {
        let lift = lift(id, at);
        hq.change_tenant(&sparkle(), &lift, None, None, &ada()).await.unwrap();
    }
    let again = lift("holds", "2026-05-01T00:00:00Z");
    assert_eq!(code(hq.change_tenant(&sparkle(), &again, None, None, &ada()).await), "already_exists");
    let version = hq.tenant(&sparkle()).await.unwrap().row_version;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let after = hq.tenant(&sparkle()).await.unwrap();
    assert_eq!(after.row_version, version);
    assert!(after.record.blocks.get("holds").is_some() && after.record.blocks.get("over").is_some());
    hq.change_tenant(&sparkle(), &TenantChange::Remove, None, None, &ada()).await.unwrap();
}

/// A file that has grown too large for its tenants is exported in parts that can be read again.
#[tokio::test]
async fn a_large_file_comes_in_parts() {
    let database = support::database().await;
    let hq = hq(&database).await;
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    // One that is replaced stays where it is.
    let mut tenant = hq.tenant(&sparkle()).await.unwrap().record;
    tenant.name.push('!');
    let replace = TenantChange::Replace { tenant: tenant.clone() };
    hq.change_tenant(&sparkle(), &replace, None, None, &ada()).await.unwrap();
    assert!(!by_name(&hq.export().await.unwrap()).contains_key("tenants/authored.json"));

    let large = revoke("delivery", &"why ".repeat(200_000));
    tenant.overrides.insert("large".parse().unwrap(), large);
    let create = TenantChange::Create { tenant: tenant.clone() };
    for number in 10..35 {
        let id: TenantId = format!("om-large-{number}").parse().unwrap();
        hq.change_tenant(&id, &create, None, None, &ada()).await.unwrap();
    }
    let exported = hq.export().await.unwrap();
    let parts: Vec<&Source> = exported.iter().filter(|source| source.name.starts_with("tenants/authored")).collect();
    let names: Vec<&str> = parts.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["tenants/authored.json", "tenants/authored-2.json", "tenants/authored-3.json"]);
    assert!(parts.iter().all(|source| source.bytes.len() < MAX_FILE_BYTES * 2 / 3));
    let exported = by_name(&exported);
    let sources = |files: &BTreeMap<String, String>| -> Vec<Source> {
        let source =
            |(name, text): (&String, &String)| Source { name: name.as_str().into(), bytes: text.clone().into() };
        files.iter().map(source).collect()
    };
    let versions = "SELECT sum(row_version)::bigint FROM leasehold.org_tenants_mst";
    let before = count(&database, versions).await;
    assert_eq!(hq.import(&sources(&exported), &ada(), |_| {}).await.unwrap().tenants, 55);
    assert_eq!(count(&database, versions).await, before);
    assert_eq!(by_name(&hq.export().await.unwrap()), exported);
    // The first part grows again: names that are taken stay taken.
    for number in 10..20 {
        let id: TenantId = format!("om-more-{number}").parse().unwrap();
        hq.change_tenant(&id, &create, None, None, &ada()).await.unwrap();
    }
    let grown = by_name(&hq.export().await.unwrap());
    assert!(grown.contains_key("tenants/authored-4.json"), "{:?}", grown.keys());
    for part in ["tenants/authored-2.json", "tenants/authored-3.json"] {
        assert!(grown[part] == exported[part], "{part}");
    }
}

/// What cannot be taken is refused in words, with a code.
#[tokio::test]
async fn what_cannot_be_taken_is_said_kindly() {
    let database = support::database().await;
    let hq = hq(&database).await;
    let mut sources = cleanmatex();
    sources[0].name = "with a space.json".into();
    let refused = hq.import(&sources, &ada(), |_| {}).await.unwrap_err();
    assert_eq!(refused.code(), "invalid_argument");
    assert!(refused.to_string().contains("`with a space.json`"), "{refused}");
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let guard = hq.read::<Guard>(&"requires_driver".parse().unwrap()).await.unwrap().record;
    let key: GuardKey = "another".parse().unwrap();
    let long = [format!("{}.json", "a".repeat(196)), format!("{}a.json", "a/".repeat(498))];
    let bad =
        ["../a.json", "/a.json", "a", ".json", "a/.b.json", "a//b.json", "", "ä.json", "a\\b.json", "a.json/b.json"];
    for name in bad.into_iter().chain(long.iter().map(String::as_str)) {
        assert_eq!(code(hq.create(&key, &guard, name, &ada()).await), "invalid_argument", "{name}");
    }
    let long = [format!("{}.json", "a".repeat(195)), format!("{}a.json", "a/".repeat(497))];
    for name in ["a.json", "_a/b-c/d.e.json", "-.json"].into_iter().chain(long.iter().map(String::as_str)) {
        let created = hq.create(&key, &guard, name, &ada()).await.unwrap();
        assert_eq!(created.change, None);
        hq.remove::<Guard>(&key, created.row_version, &ada()).await.unwrap();
    }
    for nobody in ["", " "] {
        let nobody = Actor::new(nobody);
        assert_eq!(code(hq.import(&cleanmatex(), &nobody, |_| {}).await), "invalid_argument");
        let change = TenantChange::PutPhase { id: "p".parse().unwrap(), phase: paid("starter") };
        assert_eq!(code(hq.change_tenant(&sparkle(), &change, None, None, &nobody).await), "invalid_argument");
    }
}

/// What the schema's functions call is settled when they are made, wherever the caller looks.
#[tokio::test]
async fn functions_mean_the_same_for_everybody() {
    let database = support::database().await;
    let mut admin = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    support::execute(
        &mut admin,
        "CREATE SCHEMA elsewhere;
         CREATE FUNCTION elsewhere.to_char(timestamp, text) RETURNS text LANGUAGE sql AS $$ SELECT 'never' $$;
         CREATE FUNCTION elsewhere.jsonb_strip_nulls(jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
         SET search_path = elsewhere, pg_catalog",
    )
    .await;
    let found: (String, Value) = sqlx::query_as(
        "SELECT leasehold.iso_ms('2026-01-31T00:00:00.5Z'),
             leasehold.contribution(NULL, 'f', 'set', 'null', '2026-01-31Z', NULL, NULL)",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    let contribution = json!({ "feature": "f", "op": "set", "from": "2026-01-31T00:00:00.000Z", "value": null });
    assert_eq!(found, ("2026-01-31T00:00:00.500Z".to_owned(), contribution));
}
