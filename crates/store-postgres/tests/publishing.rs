//! Publishing: what is authored reaches engines, whole or not at all, in one order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "support/fleet.rs"]
mod fleet;
mod support;

use fleet::{ada, adopt, archive, ben, cleanmatex, published, publisher, region, signer, trust};
use leasehold::build::Content;
use leasehold::follow::{Follower, read_definitions};
use leasehold::model::{
    Block, BlockKind, Definitions, Feature, Kill, LaidBy, Op, Override, Phase, PhaseKind, Plan, format,
};
use leasehold::wire::{Chunk, SignedHead};
use leasehold::{Hash, Keep, Revision, TenantId, Timestamp};
use leasehold_postgres::PostgresFollowing;
use leasehold_postgres::hq::{Hq, TenantChange};
use leasehold_postgres::publish::{Publisher, Step, Timing};
use serde_json::Value;
use sqlx::{ConnectOptions, Row};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::Database;

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn id(text: &str) -> TenantId {
    text.parse().unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, leasehold_postgres::Error>) -> &'static str {
    result.unwrap_err().code()
}

fn paid(plan: &str) -> Phase {
    Phase {
        kind: PhaseKind::Paid,
        plan: plan.parse().unwrap(),
        version: None,
        from: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        grace_until: None,
    }
}

fn put(plan: &str) -> TenantChange {
    TenantChange::PutPhase { id: "p".parse().unwrap(), phase: paid(plan) }
}

/// Waits until something holds; fails where it does not within half a minute.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Everything that is published, as engines would read it; every hash and signature on the way is verified.
async fn read_back(database: &Database) -> (BTreeMap<String, SignedHead>, Definitions) {
    let mut chunks: HashMap<Hash, Chunk> = HashMap::new();
    for row in
        sqlx::query("SELECT hash, encoding, bytes FROM leasehold.sys_chunks").fetch_all(&database.engine).await.unwrap()
    {
        let hash: [u8; 32] = row.get::<Vec<u8>, _>(0).try_into().unwrap();
        let bytes: Vec<u8> = row.get(2);
        let chunk = if row.get::<String, _>(1) == "zstd" { Chunk::zstd(bytes) } else { Chunk::raw(bytes) };
        chunks.insert(Hash::from(hash), chunk);
    }
    let mut heads = BTreeMap::new();
    let mut all = Definitions::default();
    for row in
        sqlx::query("SELECT stream, document FROM leasehold.sys_heads").fetch_all(&database.engine).await.unwrap()
    {
        let stream: String = row.get(0);
        let head = trust(&stream).head(&row.get::<Vec<u8>, _>(1)).unwrap();
        let stream_definitions = read_definitions(&head, None, &|hash| chunks.get(&hash).cloned()).unwrap();
        let tenants = std::mem::take(&mut all.tenants);
        all = stream_definitions;
        all.tenants.extend(tenants);
        heads.insert(stream, head);
    }
    (heads, all)
}

/// What is authored, definitions and tenants.
async fn authored(hq: &Hq) -> Definitions {
    let mut all = hq.definitions().await.unwrap();
    for id in hq.tenant_ids(None, 1000).await.unwrap() {
        all.tenants.insert(id.clone(), hq.tenant(&id).await.unwrap().record);
    }
    all
}

/// What is published is what is authored, and each stream is what a full build of it would be.
async fn assert_published(database: &Database, hq: &Hq) {
    let (heads, published) = read_back(database).await;
    let authored = authored(hq).await;
    // Lists whose order has no meaning are put in one.
    let printed = |mut definitions: Definitions| format::print(&mut definitions);
    assert_eq!(printed(published), printed(authored.clone()));
    for (stream, head) in &heads {
        assert_eq!(head.head().manifest, Content::of_stream(&authored, &region(stream)).unwrap().root, "{stream}");
    }
}

#[tokio::test]
async fn what_is_authored_is_published() {
    let database = support::database().await;
    let publisher = publisher(&database).await;
    let hq = publisher.hq().clone();
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    // Nothing is published before somebody has approved the first definitions.
    assert_eq!(publisher.publish().await.unwrap(), None);
    let first = adopt(&publisher).await;
    assert_eq!((first.revision.get(), first.refused.len(), first.streams.len()), (1, 0, 3));
    assert_published(&database, &hq).await;
    assert_eq!(publisher.publish().await.unwrap(), None);

    // One tenant: one stream, one revision; the manifest, a node and a shard.
    let sparkle = id("om-muscat-sparkle");
    let changed = hq.change_tenant(&sparkle, &put("enterprise"), None, None, &ada()).await.unwrap();
    let second = publisher.publish().await.unwrap().unwrap();
    assert_eq!((second.revision.get(), &*second.streams, second.new_chunks.0), (2, &[region("GCC-OM")][..], 3));
    assert_eq!(hq.outcome(changed.change).await.unwrap().map(Revision::get), Some(2));
    assert_published(&database, &hq).await;

    // A tenant that moves leaves one stream and comes into the other, in one revision.
    let mut moved = hq.tenant(&sparkle).await.unwrap().record;
    moved.region = region("EU");
    let change = TenantChange::Replace { tenant: moved };
    hq.change_tenant(&sparkle, &change, None, None, &ada()).await.unwrap();
    let third = publisher.publish().await.unwrap().unwrap();
    assert_eq!((third.revision.get(), &*third.streams), (3, &[region("EU"), region("GCC-OM")][..]));
    assert_published(&database, &hq).await;

    // A new region, and one that empties.
    let mut new = hq.tenant(&sparkle).await.unwrap().record;
    new.region = region("GCC-AE");
    hq.change_tenant(&id("ae-first"), &TenantChange::Create { tenant: new }, None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    assert_published(&database, &hq).await;
    hq.change_tenant(&id("ae-first"), &TenantChange::Remove, None, None, &ada()).await.unwrap();
    let fifth = publisher.publish().await.unwrap().unwrap();
    assert_eq!((fifth.revision.get(), &*fifth.streams), (5, &[region("GCC-AE")][..]));
    assert_published(&database, &hq).await;

    // What changes nothing that is published gets no revision of its own.
    let same = hq.tenant(&sparkle).await.unwrap().record;
    let change = TenantChange::Replace { tenant: same };
    let changed = hq.change_tenant(&sparkle, &change, None, None, &ada()).await.unwrap();
    assert_eq!(publisher.publish_change(changed.change).await.unwrap().get(), 5);
}

/// A record that does not compile, however it came there: the tenant keeps its last published form, and others go on.
#[tokio::test]
async fn a_bad_tenant_keeps_its_last_published_form() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let (bad, good) = (id("om-muscat-sparkle"), id("om-salalah-fresh"));
    let (_, before) = read_back(&database).await;
    // Past the authoring API: an override whose value is of another kind.
    sqlx::query(
        "INSERT INTO leasehold.org_feature_overrides (tenant_org_id, override_id, feature_key, op, value, reason, actor)
         VALUES ($1, 'bad', 'max_users', 'set', '\"many\"', 'by hand', 'somebody')",
    )
    .bind(bad.as_str())
    .execute(&database.admin)
    .await
    .unwrap();
    let fine = hq.change_tenant(&good, &put("enterprise"), None, None, &ada()).await.unwrap();
    let publication = publisher.publish().await.unwrap().unwrap();
    assert_eq!(publication.refused.len(), 1);
    assert_eq!(publication.refused[0].tenant, Some(bad.clone()));
    assert!(publication.refused[0].found.iter().any(|one| one.path.contains("om-muscat-sparkle")));
    let (_, after) = read_back(&database).await;
    assert_eq!(after.tenants[&bad], before.tenants[&bad]);
    assert_ne!(after.tenants[&good], before.tenants[&good]);
    assert_eq!(hq.outcome(fine.change).await.unwrap(), Some(publication.revision));
    let refused: i64 =
        sqlx::query_scalar("SELECT max(change_id) FROM leasehold.sys_publish_queue WHERE refused IS NOT NULL")
            .fetch_one(&database.admin)
            .await
            .unwrap();
    assert_eq!(code(hq.outcome(refused).await), "kept_back");
    // Mended, it is published.
    let change = TenantChange::RemoveOverride { id: "bad".parse().unwrap() };
    let mended = hq.change_tenant(&bad, &change, None, None, &ada()).await.unwrap();
    publisher.publish_change(mended.change).await.unwrap();
    assert_published(&database, hq).await;
}

#[tokio::test]
async fn kill_switches_are_published_at_once_and_lifted_by_approval() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let kill = Kill {
        feature: "delivery".parse().unwrap(),
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        reason: "wrong invoices".to_owned(),
        actor: "ada".to_owned(),
    };
    let key = "stop-delivery".parse().unwrap();
    let draft = publisher.archive().propose("Before the kill switch", &ada()).await;
    let created = hq.create(&key, &kill, "kills.json", &ada()).await.unwrap();
    let seen = created.row_version;
    let publication = publisher.publish().await.unwrap().unwrap();
    assert_eq!((publication.revision.get(), publication.streams.len()), (2, 3));
    // Who made it can wait for it.
    let change = created.change.expect("a kill switch is on its way at once");
    assert_eq!(publisher.publish_change(change).await.unwrap(), publication.revision);
    let (_, after) = read_back(&database).await;
    assert!(after.kills.contains_key(&key));
    // A kill switch makes no approval lapse.
    let draft = draft.unwrap();
    hq.approve(draft.id, draft.binding, &ben()).await.unwrap();
    assert!(matches!(
        publisher.publish_proposal(draft.id, &ben()).await,
        Ok(_) | Err(leasehold_postgres::Error::NotFound { .. })
    ));
    let (_, after) = read_back(&database).await;
    assert!(after.kills.contains_key(&key), "definitions that were proposed before it do not lift it");

    hq.remove::<Kill>(&key, seen, &ada()).await.unwrap();
    publisher.publish().await.unwrap();
    let (_, after) = read_back(&database).await;
    assert!(after.kills.contains_key(&key), "nobody has approved it");
    adopt(&publisher).await;
    let (_, after) = read_back(&database).await;
    assert!(!after.kills.contains_key(&key));
    assert_published(&database, hq).await;
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
    let (number, version) = plan.record.versions.iter().next_back().map(|(number, it)| (*number, it.clone())).unwrap();
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
    let mut plan = hq.read::<Plan>(&growth).await.unwrap();
    let mut next = version;
    next.contributions.retain(|it| it.feature.as_str() != "delivery");
    next.effective_from = now();
    next.moves = leasehold::model::Moves::Now;
    plan.record.versions.insert(number + 1, next);
    hq.update(&growth, &plan, &ada()).await.unwrap();
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

/// An approval is for what was looked at: it lapses when something else would be published.
#[tokio::test]
async fn approvals_lapse() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let label = async |text: &str| {
        let key = "max_users".parse().unwrap();
        let mut feature = hq.read::<Feature>(&key).await.unwrap();
        feature.record.name = text.to_owned();
        hq.update(&key, &feature, &ada()).await.unwrap();
    };
    let approve = async |title: &str| {
        let proposal = publisher.archive().propose(title, &ada()).await.unwrap();
        hq.approve(proposal.id, proposal.binding, &ben()).await.unwrap().id
    };
    // What is authored changed after the approval.
    label("People").await;
    let proposal = approve("Call users people").await;
    label("Persons").await;
    assert_eq!(code(publisher.publish_proposal(proposal, &ben()).await), "not_approved");
    assert_eq!(hq.proposal(proposal).await.unwrap().status.as_str(), "lapsed");
    // The base changed: something else was published in between.
    let (one, two) = (approve("One").await, approve("Two").await);
    publisher.publish_proposal(one, &ben()).await.unwrap();
    assert_eq!(code(publisher.publish_proposal(two, &ben()).await), "not_approved");

    // It concerns more tenants than were looked at.
    let growth: leasehold::PlanKey = "growth".parse().unwrap();
    let mut plan = hq.read::<Plan>(&growth).await.unwrap();
    let (number, mut version) = plan.record.versions.iter().next_back().map(|(n, it)| (*n, it.clone())).unwrap();
    version.contributions.retain(|it| it.feature.as_str() != "delivery");
    version.effective_from = now();
    version.moves = leasehold::model::Moves::Now;
    plan.record.versions.insert(number + 1, version);
    hq.update(&growth, &plan, &ada()).await.unwrap();
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
    let Err(leasehold_postgres::Error::NotApproved { why, .. }) = publisher.publish_proposal(proposal, &ben()).await
    else {
        panic!("it lapses");
    };
    assert!(why.contains("1 %"), "{why}");
    hq.reject(approve("Again").await, "not now", &ben()).await.unwrap();
}

/// Several publishers on one database: one order, no gap, no fork, and every change is in.
#[tokio::test(flavor = "multi_thread")]
async fn publishers_take_turns() {
    let database = support::database().await;
    let first = published(&database).await;
    let hq = first.hq().clone();
    let publishers: Vec<Arc<Publisher>> =
        (0..4).map(|_| Arc::new(Publisher::new(archive(hq.clone()), signer(), Timing::default()))).collect();
    let ids = hq.tenant_ids(None, 100).await.unwrap();
    let mut tasks = Vec::new();
    for (number, id) in ids.iter().cycle().take(120).enumerate() {
        let (hq, id, publisher) = (hq.clone(), id.clone(), publishers[number % publishers.len()].clone());
        tasks.push(tokio::spawn(async move {
            let plan = ["starter", "growth", "business", "enterprise"][number % 4];
            let changed = hq.change_tenant(&id, &put(plan), None, None, &ada()).await.unwrap();
            // Others may be in the way for longer than one call is patient.
            loop {
                match publisher.publish_change(changed.change).await {
                    Err(leasehold_postgres::Error::Contended { .. }) => {}
                    done => return done.unwrap(),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_published(&database, &hq).await;
    // Each revision was given once; a stream skips those that do not concern it.
    let last: i64 =
        sqlx::query_scalar("SELECT revision FROM leasehold.sys_publisher").fetch_one(&database.admin).await.unwrap();
    let (distinct, greatest): (i64, i64) =
        sqlx::query_as("SELECT count(DISTINCT revision), max(revision) FROM leasehold.sys_head_history")
            .fetch_one(&database.admin)
            .await
            .unwrap();
    assert_eq!((distinct, greatest), (last, last));
    let ordered: bool = sqlx::query_scalar(
        "SELECT bool_and(issued_at > before) FROM (SELECT issued_at, lag(issued_at, 1, '-infinity') OVER
             (PARTITION BY stream ORDER BY revision) AS before FROM leasehold.sys_head_history) AS h",
    )
    .fetch_one(&database.admin)
    .await
    .unwrap();
    assert!(ordered);
}

/// A publisher that is killed at any step leaves the last head whole; the next one publishes everything, once.
#[tokio::test]
async fn a_publisher_may_be_killed_at_every_step() {
    for step in STEPS {
        let database = support::database().await;
        let first = published(&database).await;
        let hq = first.hq().clone();
        let changed = hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
        let (before, _) = read_back(&database).await;
        // A process of its own, which ends as by `kill -9`: nothing in it is finished or dropped.
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publishes_until_it_is_killed", "--nocapture"])
            .env(DIES_AT, format!("{step:?}"))
            .env("LEASEHOLD_TEST_DATABASE", database.options("hq").to_url_lossy().as_str())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child), Some(9), "{step:?}");
        let (after, _) = read_back(&database).await;
        let moved = before["GCC-OM"].head().revision != after["GCC-OM"].head().revision;
        assert_eq!(moved, step == Step::Committed, "{step:?}");
        assert_eq!(first.publish_change(changed.change).await.unwrap().get(), 2, "{step:?}");
        assert_published(&database, &hq).await;
        let entries: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id = '' AND action = 'snapshot.published'",
        )
        .fetch_one(&database.admin)
        .await
        .unwrap();
        assert_eq!(entries, 1, "{step:?}");
    }
}

const STEPS: [Step; 4] = [Step::Read, Step::Built, Step::Signed, Step::Committed];
const DIES_AT: &str = "LEASEHOLD_TEST_DIES_AT";

/// The process that the test above kills. By itself there is nothing for it to do.
#[tokio::test]
async fn publishes_until_it_is_killed() {
    let Ok(at) = std::env::var(DIES_AT) else { return };
    let options: sqlx::postgres::PgConnectOptions = std::env::var("LEASEHOLD_TEST_DATABASE").unwrap().parse().unwrap();
    let hq = Hq::connect(options).await.unwrap();
    let publisher = Publisher::new(archive(hq), signer(), Timing::default()).watched(move |step| {
        if format!("{step:?}") == at {
            let itself = std::process::id().to_string();
            std::process::Command::new("kill").args(["-9", &itself]).status().unwrap();
            std::thread::park();
        }
    });
    publisher.publish().await.unwrap();
}

/// The database goes away in the middle of a publication: it is in force whole, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_may_go_away_in_the_middle() {
    let database = support::database().await;
    let first = published(&database).await;
    let hq = first.hq().clone();
    for number in 0..12_u64 {
        let plan = ["starter", "growth", "business"][usize::try_from(number % 3).unwrap()];
        let changed = hq.change_tenant(&id("om-muscat-sparkle"), &put(plan), None, None, &ada()).await.unwrap();
        let admin = database.admin.clone();
        let name = database.name.clone();
        let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default());
        let killer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(700 * number)).await;
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = $1 AND usename = 'leasehold_test_hq'",
            )
            .bind(name)
            .execute(&admin)
            .await
            .unwrap();
        });
        let _ = publisher.publish().await;
        killer.await.unwrap();
        let (_, whole) = read_back(&database).await;
        assert_eq!(whole.tenants.len(), 30);
        first.publish_change(changed.change).await.unwrap();
        assert_published(&database, &hq).await;
    }
}

/// Engines hear of a change, answer from it, and go on answering while the database is away.
#[tokio::test(flavor = "multi_thread")]
async fn engines_follow() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let options = database.options("engine");
    let following = tokio::task::spawn_blocking(move || {
        PostgresFollowing::start(Follower::of_stream(trust("GCC-OM")), options, Keep::default()).unwrap()
    })
    .await
    .unwrap();
    let engine = following.engine().clone();
    let here = authored(&hq).await.tenants.into_values().filter(|tenant| tenant.region == region("GCC-OM")).count();
    assert_eq!(engine.pin().tenant_count(), here);
    let sparkle = id("om-muscat-sparkle");
    let revoke = Override {
        feature: "orders".parse().unwrap(),
        op: Op::Revoke,
        value: None,
        plan: None,
        from: None,
        until: None,
        reason: "for a test".to_owned(),
        actor: "ada".to_owned(),
    };
    assert!(engine.is_enabled(sparkle.as_str(), "orders", now()).unwrap());
    let change = TenantChange::PutOverride { id: "o".parse().unwrap(), r#override: revoke };
    let changed = hq.change_tenant(&sparkle, &change, None, None, &ada()).await.unwrap();
    publisher.publish_change(changed.change).await.unwrap();
    until("the override arrives", || !engine.is_enabled(sparkle.as_str(), "orders", now()).unwrap()).await;

    // All connections are lost; the next change arrives all the same.
    let lose = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()";
    sqlx::query(lose).bind(&database.name).execute(&database.admin).await.unwrap();
    assert!(!engine.is_enabled(sparkle.as_str(), "orders", now()).unwrap());
    let change = TenantChange::RemoveOverride { id: "o".parse().unwrap() };
    let lift = leasehold_postgres::ledger::IdempotencyKey::new("lift").unwrap();
    let changed = loop {
        // The first attempt may find a connection of the pool that is gone.
        if let Ok(changed) = hq.change_tenant(&sparkle, &change, None, Some(&lift), &ada()).await {
            break changed;
        }
    };
    publisher.publish_change(changed.change).await.unwrap();
    until("the removal arrives", || engine.is_enabled(sparkle.as_str(), "orders", now()).unwrap()).await;
    tokio::task::spawn_blocking(move || drop(following)).await.unwrap();
}

#[tokio::test]
async fn heartbeats_sign_again() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let (before, _) = read_back(&database).await;
    assert!(publisher.heartbeat(60_000).await.unwrap().is_empty());
    assert_eq!(publisher.heartbeat(0).await.unwrap().len(), before.len());
    let (after, _) = read_back(&database).await;
    for (stream, head) in &before {
        let (old, new) = (head.head(), after[stream].head());
        assert_eq!((old.revision, old.manifest), (new.revision, new.manifest));
        assert!(new.issued_at > old.issued_at && new.expires_at > old.expires_at);
    }
    // A publication after a heartbeat goes on from there.
    publisher.hq().change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
}

/// What was known when: the snapshot of then, asked about any instant; and what is forgotten is said to be.
#[tokio::test]
async fn the_past_is_remembered_for_a_while() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let sparkle = id("om-muscat-sparkle");
    let at = now();
    let before = publisher.archive().entitlements(&sparkle, at, now()).await.unwrap();
    let mut known = Vec::new();
    for plan in ["starter", "business"] {
        let mut tenant = hq.tenant(&sparkle).await.unwrap().record;
        tenant.phases = std::iter::once(("p".parse().unwrap(), paid(plan))).collect();
        let changed = hq.change_tenant(&sparkle, &TenantChange::Replace { tenant }, None, None, &ada()).await.unwrap();
        publisher.publish_change(changed.change).await.unwrap();
        known.push((plan, now()));
        until("time goes on", || now() > known.last().unwrap().1).await;
    }
    for (plan, known_at) in known {
        let then = publisher.archive().entitlements(&sparkle, at, known_at).await.unwrap();
        assert_eq!(then.entitlements.plan.as_ref().map(leasehold::PlanKey::as_str), Some(plan));
    }
    let first: String = sqlx::query_scalar("SELECT leasehold.iso_ms(min(issued_at)) FROM leasehold.sys_head_history")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    let first: Timestamp = first.parse().unwrap();
    assert_eq!(publisher.archive().entitlements(&sparkle, at, first).await.unwrap().entitlements, before.entitlements);
    let too_early = Timestamp::from_ms(first.as_ms() - 1).unwrap();
    assert_eq!(code(publisher.archive().entitlements(&sparkle, at, too_early).await), "outside_history");
    assert_eq!(code(publisher.archive().entitlements(&id("nobody"), at, now()).await), "not_found");

    // Nothing of today is forgotten. A week later, all but what is in force is.
    let nothing = publisher.archive().collect(7, &ada()).await.unwrap();
    assert_eq!((nothing.heads, nothing.chunks), (0, 0));
    sqlx::query("UPDATE leasehold.sys_head_history SET issued_at = issued_at - interval '8 days'")
        .execute(&database.admin)
        .await
        .unwrap();
    sqlx::query("UPDATE leasehold.sys_chunks SET created_at = created_at - interval '8 days'")
        .execute(&database.admin)
        .await
        .unwrap();
    let collected = publisher.archive().collect(7, &ada()).await.unwrap();
    assert_eq!(collected.heads, 2);
    assert!(collected.chunks >= 4, "{collected:?}");
    assert_published(&database, &hq).await;
    assert_eq!(publisher.archive().collect(7, &ada()).await.unwrap().chunks, 0);
}

/// A key that the heads in force do not know is no publisher here.
#[tokio::test]
async fn another_issuer_cannot_publish() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    let (before, _) = read_back(&database).await;
    let older = fleet::signer_of(leasehold::wire::SecretKey::from_seed(&[9; 32]), 0);
    assert!(Publisher::new(archive(hq), older, Timing::default()).publish().await.is_err());
    let documents =
        |heads: &BTreeMap<String, SignedHead>| heads.values().map(|head| head.bytes().to_vec()).collect::<Vec<_>>();
    assert_eq!(documents(&read_back(&database).await.0), documents(&before));
}

/// Blocks, once laid, are in what is published until they are lifted.
#[tokio::test]
async fn blocks_reach_engines() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let block = Block {
        kind: BlockKind::Suspended,
        laid_by: LaidBy::Billing,
        level: None,
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        until: None,
        reason: "unpaid".to_owned(),
    };
    let sparkle = id("om-muscat-sparkle");
    let lay = TenantChange::LayBlock { id: "b".parse().unwrap(), block };
    let changed = hq.change_tenant(&sparkle, &lay, None, None, &ada()).await.unwrap();
    publisher.publish_change(changed.change).await.unwrap();
    let blocked = publisher.archive().entitlements(&sparkle, now(), now()).await.unwrap();
    assert_eq!(serde_json::to_value(&blocked.entitlements).unwrap()["status"], Value::from("suspended"));
    let lift =
        TenantChange::LiftBlock { id: "b".parse().unwrap(), by: LaidBy::Billing, at: now(), reason: "paid".to_owned() };
    let changed = hq.change_tenant(&sparkle, &lift, None, None, &ada()).await.unwrap();
    publisher.publish_change(changed.change).await.unwrap();
    let free = publisher.archive().entitlements(&sparkle, now(), now()).await.unwrap();
    assert_ne!(serde_json::to_value(&free.entitlements).unwrap()["status"], Value::from("suspended"));
}

/// A publisher that runs publishes what comes, and goes on after the database was away.
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_runs() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let running = tokio::spawn(async move { publisher.run(Duration::from_millis(50), |_| {}).await });
    for plan in ["starter", "business", "growth"] {
        let changed = hq.change_tenant(&id("om-muscat-sparkle"), &put(plan), None, None, &ada()).await.unwrap();
        hq.published(changed.change).await.unwrap();
        assert_published(&database, &hq).await;
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = 'leasehold_test_hq'",
        )
        .bind(&database.name)
        .execute(&database.admin)
        .await
        .unwrap();
        // Connections of the pool that are gone are found out one by one.
        while hq.definitions().await.is_err() {}
    }
    let (before, _) = read_back(&database).await;
    let start = Instant::now();
    loop {
        let (after, _) = read_back(&database).await;
        if after["EU"].head().issued_at > before["EU"].head().issued_at {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "heads are signed again");
    }
    running.abort();
}

/// An engine begins with what it kept when the database is down, and says so where it has nothing.
#[tokio::test(flavor = "multi_thread")]
async fn engines_begin_without_the_database() {
    let database = support::database().await;
    published(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let start = |options: sqlx::postgres::PgConnectOptions, folder: &std::path::Path| {
        let keep = Keep { folder: Some(folder.to_owned()), ..Keep::default() };
        tokio::task::spawn_blocking(move || {
            PostgresFollowing::start(Follower::of_stream(trust("GCC-OM")), options, keep)
        })
    };
    let first = start(database.options("engine"), folder.path()).await.unwrap().unwrap();
    until("it is kept", || first.following().health().faults.is_empty() && folder.path().join("chunks").exists()).await;
    let tenants = first.engine().pin().tenant_count();
    tokio::task::spawn_blocking(move || drop(first)).await.unwrap();
    let down = database.options("engine").socket("/nonexistent");
    let second = start(down.clone(), folder.path()).await.unwrap().unwrap();
    assert_eq!(second.engine().pin().tenant_count(), tenants);
    tokio::task::spawn_blocking(move || drop(second)).await.unwrap();
    let empty = tempfile::tempdir().unwrap();
    let error = start(down.clone(), empty.path()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), "unreachable");
    assert_eq!(code(Hq::connect(down).await), "database_unreachable");
}
