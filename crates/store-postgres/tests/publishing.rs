//! Publishing: what is authored reaches engines, whole or not at all, in one order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use crate::support;
use crate::support::fleet;
use crate::support::fleet::*;
use futures_util::FutureExt;
use leasehold::follow::Follower;
use leasehold::model::{Block, BlockKind, Feature, LaidBy, Workflow};
use leasehold::wire::SignedHead;
use leasehold::{Keep, Revision, Timestamp};
use leasehold_postgres::PostgresFollowing;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::hq::{Hq, TenantChange, pool_options};
use leasehold_postgres::publish::{Publication, Publisher, Step, Timing};
use leasehold_postgres::schema::{self, Part};
use serde_json::Value;
use sqlx::{ConnectOptions, Connection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Waits until something holds; fails where it does not within half a minute.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
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

/// An import answers with the last of its changes: once that is published, all of them are.
#[tokio::test]
async fn imports_can_be_waited_for() {
    let database = support::database().await;
    let publisher = publisher(&database).await;
    let hq = publisher.hq().clone();
    let imported = hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let last: i64 = sqlx::query_scalar("SELECT max(change_id) FROM leasehold.sys_publish_queue")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert_eq!(imported.change, Some(last));
    adopt(&publisher).await;
    assert_eq!(hq.published(last).await.unwrap().get(), 1);
    let again = hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    assert_eq!((again.tenants, again.change), (30, None), "nothing is other than it was");
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
    // What was refused is forgotten like what was published, once another change has taken its place.
    sqlx::query("UPDATE leasehold.sys_publish_queue SET queued_at = queued_at - interval '8 days'")
        .execute(&database.admin)
        .await
        .unwrap();
    publisher.archive().collect(7, &ada()).await.unwrap();
    for change in [refused, fine.change] {
        assert_eq!(code(hq.outcome(change).await), "not_found");
    }
}

/// A tenant that moves leaves one region and enters another in one publication, however many changes wait.
#[tokio::test]
async fn both_halves_of_a_move_are_published_together() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq();
    let moving = id("om-muscat-sparkle");
    let mut tenant = hq.tenant(&moving).await.unwrap().record;
    tenant.region = "GCC-AE".parse().unwrap();
    hq.change_tenant(&moving, &TenantChange::Replace { tenant }, None, None, &ada()).await.unwrap();
    hq.change_tenant(&id("om-muscat-crown"), &put("starter"), None, None, &ada()).await.unwrap();
    let queue = "SELECT tenant_org_id, stream FROM leasehold.hq_publish_queue($1, false) ORDER BY stream";
    let waiting = async |at_most: i32| -> Vec<(String, String)> {
        sqlx::query_as(queue).bind(at_most).fetch_all(&database.hq).await.unwrap()
    };
    let of_moving = |stream: &str| ("om-muscat-sparkle".to_owned(), stream.to_owned());
    assert_eq!(waiting(1).await, [of_moving("GCC-AE"), of_moving("GCC-OM")]);
    assert_eq!((waiting(2).await.len(), waiting(10).await.len()), (2, 3));
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

/// Changes that undo each other move no revision. Whoever read only the first of them comes too late all the same: nothing
/// would ever take back what it published.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_undone_is_not_published_after_that() {
    let database = support::database().await;
    let first = published(&database).await;
    let hq = first.hq().clone();
    let (stays, comes) = (id("om-muscat-sparkle"), id("om-muscat-new"));
    let record = hq.tenant(&stays).await.unwrap().record;
    for (undo, other) in [("a plan", "enterprise"), ("a tenant", "")] {
        let (done, undone) = if other.is_empty() {
            (TenantChange::Create { tenant: record.clone() }, TenantChange::Remove)
        } else {
            (put(other), TenantChange::Replace { tenant: record.clone() })
        };
        let tenant = if other.is_empty() { &comes } else { &stays };
        hq.change_tenant(tenant, &done, None, None, &ada()).await.unwrap();
        let meanwhile = {
            let (options, tenant, undone) = (database.options("hq"), tenant.clone(), undone);
            std::sync::Mutex::new(Some(move || async move {
                let hq = Hq::connect(options).await.unwrap();
                hq.change_tenant(&tenant, &undone, None, None, &ada()).await.unwrap();
                let other = Publisher::new(archive(hq), signer(), Timing::default());
                let published = other.publish().await.unwrap().unwrap();
                assert_eq!((published.changes.len(), published.streams.len()), (2, 0), "{published:?}");
            }))
        };
        let (before, _) = read_back(&database).await;
        let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default()).watched(move |step| {
            if let (Step::Read, Some(meanwhile)) = (step, meanwhile.lock().unwrap().take()) {
                elsewhere(meanwhile());
            }
        });
        assert_eq!(publisher.publish().await.unwrap(), None, "{undo}");
        let (after, _) = read_back(&database).await;
        assert!(before.iter().all(|(stream, head)| after[stream].bytes() == head.bytes()), "{undo}");
        assert_published(&database, &hq).await;
    }
}

/// Rows that are written by hand while their tenant is moved by hand: the writer saw it where it was.
#[tokio::test]
async fn rows_are_published_where_their_tenant_is_by_then() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let mut writer = sqlx::PgConnection::connect_with(&database.options("admin")).await.unwrap();
    support::execute(&mut writer, "BEGIN").await;
    support::execute(
        &mut writer,
        r#"INSERT INTO leasehold.org_feature_overrides (tenant_org_id, override_id, feature_key, op, value, reason, actor)
             VALUES ('om-muscat-sparkle', 'by-hand', 'max_users', 'set', '{"amount": 7}', 'a favour', 'ada')"#,
    )
    .await;
    let mut admin = database.admin.acquire().await.unwrap();
    let moved = "UPDATE leasehold.org_tenants_mst SET region = 'EU' WHERE tenant_org_id = 'om-muscat-sparkle'";
    support::execute(&mut admin, moved).await;
    publisher.publish().await.unwrap().unwrap();
    support::execute(&mut writer, "COMMIT").await;
    let queued: Vec<String> = sqlx::query_scalar("SELECT stream FROM leasehold.hq_publish_queue(10, false)")
        .fetch_all(&database.hq)
        .await
        .unwrap();
    assert_eq!(queued, ["GCC-OM"], "the writer saw it there");
    let next = publisher.publish().await.unwrap().unwrap();
    assert_eq!((next.streams.as_slice(), next.refused.as_slice()), (&[region("EU")][..], &[][..]));
    assert_published(&database, &hq).await;
}

/// A publisher that is killed at any step leaves the last head whole; the next one publishes everything, once.
#[tokio::test]
async fn a_publisher_may_be_killed_at_every_step() {
    for step in STEPS {
        let database = support::database().await;
        let first = published(&database).await;
        let hq = first.hq().clone();
        // Its items move by another machine then.
        let change = TenantChange::RemoveWorkflow { workflow: "order".parse().unwrap() };
        let changed = hq.change_tenant(&id("om-muscat-sparkle"), &change, None, None, &ada()).await.unwrap();
        let (before, _) = read_back(&database).await;
        let machines_before = machines(&database).await;
        killed(&database, step, None);
        let (after, _) = read_back(&database).await;
        let moved = before["GCC-OM"].head().revision != after["GCC-OM"].head().revision;
        assert_eq!(moved, step == Step::Committed, "{step:?}");
        assert_eq!(machines_before != machines(&database).await, step == Step::Committed, "{step:?}");
        assert_eq!(first.publish_change(changed.change).await.unwrap().get(), 2, "{step:?}");
        assert_published(&database, &hq).await;
        assert_machines_placed(&database, &first).await;
        let entries: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM leasehold.sys_audit_log WHERE tenant_org_id = '' AND action = 'snapshot.published'",
        )
        .fetch_one(&database.admin)
        .await
        .unwrap();
        assert_eq!(entries, 1, "{step:?}");
    }
}

/// Which machine items of each tenant move by.
async fn machines(database: &support::Database) -> Vec<(String, String, String, Option<Vec<u8>>)> {
    sqlx::query_as(
        "SELECT tenant_org_id::text, workflow_key::text, category, machine FROM leasehold.org_workflow_machines
         ORDER BY 1, 2, 3",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap()
}

/// Items move by the machines of what is in force.
async fn assert_machines_placed(database: &support::Database, publisher: &Publisher) {
    let placed = machines(database).await;
    assert!(!placed.is_empty());
    publisher.archive().place_machines(&ada()).await.unwrap();
    assert_eq!(placed, machines(database).await);
}

/// A process of its own publishes what waits, or reaches for definitions, and ends at a step as by `kill -9`: nothing in it is finished
/// or dropped.
fn killed(database: &support::Database, step: Step, definitions: Option<(&str, i64)>) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "publishing::publishes_until_it_is_killed", "--nocapture"])
        .env(DIES_AT, format!("{step:?}"))
        .env("LEASEHOLD_TEST_DATABASE", database.options("hq").to_url_lossy().as_str())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    if let Some((goal, proposal)) = definitions {
        child.env(PUBLISHES, format!("{goal} {proposal}"));
    }
    let ended = child.status().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{step:?}");
}

const STEPS: [Step; 5] = [Step::Read, Step::Built, Step::Signed, Step::Written, Step::Committed];
const DIES_AT: &str = "LEASEHOLD_TEST_DIES_AT";
const PUBLISHES: &str = "LEASEHOLD_TEST_PUBLISHES";

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
    match std::env::var(PUBLISHES) {
        Ok(definitions) => {
            let (goal, proposal) = definitions.split_once(' ').unwrap();
            drop(reach(&publisher, goal, proposal.parse().unwrap()).await.unwrap());
        }
        Err(_) => drop(publisher.publish().await.unwrap()),
    }
}

/// An approved proposal with another version of a workflow: those who follow it have other machines then.
async fn approved(publisher: &Publisher) -> i64 {
    let hq = publisher.hq();
    let key: leasehold::FeatureKey = "max_users".parse().unwrap();
    let mut feature = hq.read::<Feature>(&key).await.unwrap();
    feature.record.name = "People".to_owned();
    hq.update(&key, &feature, &ada()).await.unwrap();
    let key: leasehold::WorkflowKey = "order".parse().unwrap();
    let mut workflow = hq.read::<Workflow>(&key).await.unwrap();
    let (number, version) = workflow.record.versions.iter().next_back().map(|(n, it)| (*n, it.clone())).unwrap();
    workflow.record.versions.insert(number + 1, version);
    workflow.record.current = Some(number + 1);
    hq.update(&key, &workflow, &ada()).await.unwrap();
    let proposal = publisher.archive().propose("People", &ada()).await.unwrap();
    hq.approve(proposal.id, proposal.binding, &ben()).await.unwrap().id
}

/// What is committed by several statements comes whole, or nothing of it does: where its process is killed,
#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_of_definitions_may_be_killed_at_every_step() {
    come_whole_or_not_at_all(async |database, goal, proposal, at| killed(database, at, Some((goal, proposal)))).await;
}

/// and where the database goes away.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_may_go_away_while_definitions_are_published() {
    come_whole_or_not_at_all(async |database, goal, proposal, at| {
        let hq = Hq::connect(database.options("hq")).await.unwrap();
        let lose = lose_connections(database);
        let publisher = Publisher::new(archive(hq), signer(), Timing::default()).watched(move |step| {
            if step == at {
                lose();
            }
        });
        let done = reach(&publisher, goal, proposal).await;
        assert_eq!(done.is_ok(), at == Step::Committed, "{goal} {at:?}: {done:?}");
    })
    .await;
}

/// How definitions come into force and leave it.
async fn reach(publisher: &Publisher, goal: &str, proposal: i64) -> Result<Publication, leasehold_postgres::Error> {
    match goal {
        "stage" => publisher.stage(proposal, 100, &ben()).await,
        "publish" => publisher.publish_proposal(proposal, &ben()).await,
        _ => publisher.rollback(Revision::new(1).unwrap(), &ben()).await,
    }
}

/// A proposal is staged, published and gone back from, each interrupted at every step.
async fn come_whole_or_not_at_all(interrupt: impl AsyncFn(&support::Database, &str, i64, Step)) {
    let database = support::database().await;
    let proposal = approved(&published(&database).await).await;
    for goal in ["stage", "publish", "rollback"] {
        for at in STEPS {
            let hq = Hq::connect(database.options("hq")).await.unwrap();
            let (before, _) = read_back(&database).await;
            let machines_before = machines(&database).await;
            let (was_on_trial, was) = (hq.rollout().await.unwrap(), hq.proposal(proposal).await.unwrap().status);
            interrupt(&database, goal, proposal, at).await;
            let is_done = at == Step::Committed;
            let hq = Hq::connect(database.options("hq")).await.unwrap();
            let (after, _) = read_back(&database).await;
            let same = before.iter().all(|(stream, head)| after[stream].bytes() == head.bytes());
            assert_eq!(same, !is_done, "{goal} {at:?}");
            let other_machines = is_done && goal != "stage";
            assert_eq!(machines_before != machines(&database).await, other_machines, "{goal} {at:?}");
            let (on_trial, is) = (hq.rollout().await.unwrap(), hq.proposal(proposal).await.unwrap().status);
            assert_eq!(on_trial != was_on_trial, is_done && goal != "rollback", "{goal} {at:?}: {on_trial:?}");
            assert_eq!(is != was, is_done && goal == "publish", "{goal} {at:?}: {is:?}");
            if is_done && goal == "publish" {
                assert_published(&database, &hq).await;
            }
        }
        let hq = Hq::connect(database.options("hq")).await.unwrap();
        assert_machines_placed(&database, &Publisher::new(archive(hq), signer(), Timing::default())).await;
    }
}

/// The database goes away in the middle of a publication: it is in force whole, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_may_go_away_in_the_middle() {
    let database = support::database().await;
    let first = published(&database).await;
    let hq = first.hq().clone();
    for (number, at) in STEPS.into_iter().enumerate() {
        let plan = ["starter", "growth", "business", "enterprise"][number % 4];
        let changed = hq.change_tenant(&id("om-muscat-sparkle"), &put(plan), None, None, &ada()).await.unwrap();
        let (before, _) = read_back(&database).await;
        let lose = lose_connections(&database);
        let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default()).watched(move |step| {
            if step == at {
                lose();
            }
        });
        let published = publisher.publish().await;
        assert_eq!(published.is_ok(), at == Step::Committed, "{at:?}: {published:?}");
        let (after, _) = read_back(&database).await;
        assert_eq!(before["GCC-OM"].bytes() != after["GCC-OM"].bytes(), at == Step::Committed, "{at:?}");
        // Connections of the pool that are gone are found out one by one.
        while hq.definitions().await.is_err() {}
        first.publish_change(changed.change).await.unwrap();
        assert_published(&database, &hq).await;
    }
}

/// What ends the connections of HQ's back end, from within a step of a publication.
fn lose_connections(database: &support::Database) -> impl Fn() + Send + Sync + 'static {
    let (admin, name) = (database.options("admin"), database.name.clone());
    move || {
        let (admin, name) = (admin.clone(), name.clone());
        let end = async move {
            let mut admin = sqlx::PgConnection::connect_with(&admin).await.unwrap();
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = $1 AND usename = 'leasehold_test_hq'",
            )
            .bind(name)
            .execute(&mut admin)
            .await
            .unwrap();
        };
        elsewhere(end);
    }
}

/// What arrives while one publication is running comes with the next, all of it at once.
#[tokio::test(flavor = "multi_thread")]
async fn what_arrives_meanwhile_comes_together() {
    let database = support::database().await;
    let first = published(&database).await;
    let hq = first.hq().clone();
    let ids = hq.tenant_ids(None, 6).await.unwrap();
    hq.change_tenant(&ids[0], &put("starter"), None, None, &ada()).await.unwrap();
    // While the first publication is under way, five more come.
    let come = {
        let (options, ids) = (database.options("hq"), ids[1..].to_vec());
        std::sync::Mutex::new(Some(move || async move {
            let hq = Hq::connect(options).await.unwrap();
            for id in &ids {
                hq.change_tenant(id, &put("starter"), None, None, &ada()).await.unwrap();
            }
        }))
    };
    let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default()).watched(move |step| {
        if let (Step::Read, Some(come)) = (step, come.lock().unwrap().take()) {
            elsewhere(come());
        }
    });
    let (one, two) = (publisher.publish().await.unwrap().unwrap(), publisher.publish().await.unwrap().unwrap());
    assert_eq!((one.changes.len(), two.changes.len()), (1, 5));
    assert_eq!(two.revision.get(), one.revision.get() + 1);
    assert_published(&database, &hq).await;
}

/// A burst of commits is read together: not once for each notification that tells of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_is_read_together() {
    let database = support::database().await;
    let hq = published(&database).await.hq().clone();
    let (reads, burst) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(Some(released));
    let publisher = {
        let reads = reads.clone();
        Publisher::new(archive(hq.clone()), signer(), Timing::default()).watched(move |step| {
            if step == Step::Read {
                reads.fetch_add(1, Relaxed);
                // It has found nothing the first time, and goes on once everything is there.
                let wait = released.lock().unwrap().take();
                if let Some(wait) = wait {
                    // The driver of the runtime may be in this thread's hands: it is handed over, or nobody hears anything.
                    tokio::task::block_in_place(|| wait.recv().unwrap());
                }
            }
        })
    };
    let running = {
        let burst = burst.clone();
        tokio::spawn(async move {
            let told = |told: Result<Publication, _>| {
                burst.fetch_add(u32::from(told.is_ok()), Relaxed);
            };
            publisher.run(Duration::from_millis(1), told).await;
        })
    };
    until("it looks", || reads.load(Relaxed) > 0).await;
    let mut last = 0;
    for number in 0..50 {
        let plan = ["starter", "growth", "business"][number % 3];
        last = hq.change_tenant(&id("om-muscat-sparkle"), &put(plan), None, None, &ada()).await.unwrap().change;
    }
    release.send(()).unwrap();
    hq.published(last).await.unwrap();
    // By the time that heads are signed again and once more, it has heard everything that was told.
    for _ in 0..2 {
        let signed_at = read_back(&database).await.0["EU"].head().issued_at;
        while read_back(&database).await.0["EU"].head().issued_at == signed_at {}
    }
    running.abort();
    let (reads, publications) = (reads.load(Relaxed), burst.load(Relaxed));
    assert!(reads < 20 && publications == 1, "{reads} readings, {publications} publications");
}

/// Whoever begins a transaction and goes away leaves nothing of it to the next one.
#[tokio::test]
async fn no_transaction_is_left_to_whoever_comes_next() {
    let database = support::database().await;
    let one = pool_options().max_connections(1);
    let pool = one.connect_with(database.options("admin")).await.unwrap();
    let statements = ["BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"];
    for (number, statement) in statements.into_iter().enumerate() {
        // The answer is not there at once, but where this thread was kept waiting.
        let gone = async || pool.acquire().await.unwrap().begin_with(statement).now_or_never().is_none();
        while !gone().await {}
        let write = format!("CREATE TABLE left_over_{number} ()");
        sqlx::raw_sql(sqlx::AssertSqlSafe(write)).execute(&pool).await.unwrap();
        let count = format!("SELECT count(*) FROM left_over_{number}");
        let written = sqlx::raw_sql(sqlx::AssertSqlSafe(count)).execute(&database.admin).await;
        assert!(written.is_ok(), "{statement}: {written:?}");
    }
}

/// Heads are signed again whatever becomes of publishing.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_keeps_no_head_from_being_signed_again() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let mut admin = database.admin.acquire().await.unwrap();
    support::execute(
        &mut admin,
        "DO $$ BEGIN EXECUTE (SELECT format('REVOKE ALL ON FUNCTION %s FROM leasehold_hq', oid::regprocedure) FROM pg_proc
             WHERE proname = 'hq_commit_publication'); END $$",
    )
    .await;
    hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    let (before, _) = read_back(&database).await;
    let running = tokio::spawn(async move { publisher.run(Duration::from_millis(50), |_| {}).await });
    let start = Instant::now();
    loop {
        let (after, _) = read_back(&database).await;
        if after.iter().all(|(stream, head)| head.head().issued_at > before[stream].head().issued_at) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "heads are signed again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.abort();
}

/// Has heads dated ahead, as by somebody whose clock is: those of all streams, or of one.
async fn date_ahead(database: &support::Database, of: Option<&str>) -> Timestamp {
    let (heads, _) = read_back(database).await;
    let later = Timestamp::from_ms(now().as_ms() + 365 * 24 * 60 * 60 * 1000).unwrap();
    for (stream, last) in heads.iter().filter(|(stream, _)| of.is_none_or(|of| of == *stream)) {
        let terms = leasehold::build::Terms { issued_at: later, fresh_for_ms: 60_000, slice_keys: Vec::new() };
        let content = (last.head().revision, last.head().manifest, None);
        let next = signer().sign(&region(stream), Some(last), content, &terms).unwrap();
        sqlx::query(
            "UPDATE leasehold.sys_heads SET issued_at = $2::text::timestamptz, document = $3 WHERE stream = $1",
        )
        .bind(stream)
        .bind(next.head().issued_at.to_string())
        .bind(next.bytes().to_vec())
        .execute(&database.admin)
        .await
        .unwrap();
    }
    later
}

/// Clocks differ: a head may be dated later than the one who signs the next. A new epoch is not bound by that, and what was
/// known when is told by revisions, whatever they are dated.
#[tokio::test]
async fn heads_go_on_beside_a_clock_that_is_ahead() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let sparkle = id("om-muscat-sparkle");
    let plan_at = async |known_at: Option<Timestamp>| {
        let then = publisher.archive().entitlements(&sparkle, now(), known_at).await.unwrap();
        (then.revision.get(), then.entitlements.plan.unwrap().to_string())
    };
    let later = date_ahead(&database, None).await;
    let mut tenant = hq.tenant(&sparkle).await.unwrap().record;
    tenant.phases = std::iter::once(("p".parse().unwrap(), paid("starter"))).collect();
    hq.change_tenant(&sparkle, &TenantChange::Replace { tenant }, None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    let (after, _) = read_back(&database).await;
    assert!(after["GCC-OM"].head().issued_at > later);
    // By its own account it is not known yet; but it is the newest.
    assert_eq!(plan_at(Some(now())).await.0, 1);
    assert_eq!(plan_at(None).await, (2, "starter".to_owned()));
    // The key leaked: the next epoch says what time it is.
    let next = fleet::signer_of(leasehold::wire::SecretKey::from_seed(&[9; 32]), 2);
    let next = Publisher::new(archive(hq.clone()), next, Timing::default());
    hq.change_tenant(&id("om-muscat-sparkle"), &put("business"), None, None, &ada()).await.unwrap();
    next.publish().await.unwrap().unwrap();
    let (after, _) = read_back(&database).await;
    assert!(after["GCC-OM"].head().epoch == 2 && after["GCC-OM"].head().issued_at < later);
    assert_published(&database, &hq).await;
    // The newest revision that was known then, though an older one is dated later.
    let much_later = Timestamp::from_ms(later.as_ms() + 24 * 60 * 60 * 1000).unwrap();
    for known_at in [None, Some(now()), Some(much_later)] {
        assert_eq!(plan_at(known_at).await, (3, "business".to_owned()), "{known_at:?}");
    }
}

/// A tenant that moves beside a head that is dated ahead is in one stream at every time.
#[tokio::test]
async fn a_tenant_that_moves_is_in_one_stream_whatever_heads_are_dated() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let sparkle = id("om-muscat-sparkle");
    let move_to = async |to: &str| {
        let mut tenant = hq.tenant(&sparkle).await.unwrap().record;
        tenant.region = region(to);
        hq.change_tenant(&sparkle, &TenantChange::Replace { tenant }, None, None, &ada()).await.unwrap();
        publisher.publish().await.unwrap().unwrap();
    };
    move_to("EU").await;
    let later = date_ahead(&database, Some("EU")).await;
    move_to("GCC-OM").await;
    let (heads, _) = read_back(&database).await;
    let (left, entered) = (heads["EU"].head(), heads["GCC-OM"].head());
    assert!(left.revision == entered.revision && left.issued_at == entered.issued_at && left.issued_at > later);
    for (known_at, stream) in [(Some(now()), "EU"), (Some(left.issued_at), "GCC-OM"), (None, "GCC-OM")] {
        let then = publisher.archive().entitlements(&sparkle, now(), known_at).await.unwrap();
        assert_eq!(then.stream, region(stream), "{known_at:?}");
    }
    // The next revision is after it in every stream, though no head of that stream is dated ahead.
    hq.change_tenant(&id("sa-riyadh-najd"), &put("starter"), None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    let (after, _) = read_back(&database).await;
    assert!(after["GCC-SA"].head().issued_at > left.issued_at);
}

/// Many wait for their changes, with few connections.
#[tokio::test(flavor = "multi_thread")]
async fn many_may_wait_for_their_changes() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let few = pool_options().max_connections(2).connect_with(database.options("hq")).await.unwrap();
    let few = Hq::of(few).await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    for id in few.tenant_ids(None, 20).await.unwrap() {
        let changed = few.change_tenant(&id, &put("starter"), None, None, &ada()).await.unwrap();
        let few = few.clone();
        waiting.spawn(async move { few.published(changed.change).await.unwrap() });
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let revision = publisher.publish().await.unwrap().unwrap().revision;
    assert!(waiting.join_all().await.into_iter().all(|published| published == revision));
}

/// The server is restarted under load, once in order and once as by a crash: every change is published, once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_under_load_loses_no_change() {
    let cluster = Cluster::start(Durability::ProcessOnly).unwrap();
    let mut admin = sqlx::PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    schema::migrate(&mut admin, Part::Hq).await.unwrap();
    support::execute(&mut admin, "CREATE ROLE back_end LOGIN IN ROLE leasehold_hq").await;
    let hq = Hq::connect(cluster.url_as("back_end", "postgres").parse().unwrap()).await.unwrap();
    hq.import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default());
    adopt(&publisher).await;
    let failures = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let running = {
        let failures = failures.clone();
        tokio::spawn(async move {
            publisher
                .run(Duration::from_secs(1), |told| {
                    failures.fetch_add(u32::from(told.is_err()), std::sync::atomic::Ordering::Relaxed);
                })
                .await;
        })
    };
    let writing = {
        let hq = hq.clone();
        tokio::spawn(async move {
            let mut changes = Vec::new();
            for number in 0..150 {
                let key = leasehold_postgres::ledger::IdempotencyKey::new(format!("change-{number}")).unwrap();
                let plan = ["starter", "growth", "business"][number % 3];
                let changed = loop {
                    match hq.change_tenant(&id("om-muscat-sparkle"), &put(plan), None, Some(&key), &ada()).await {
                        Ok(changed) => break changed,
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                };
                changes.push(changed.change);
            }
            changes
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    cluster.restart(Durability::ProcessOnly).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    cluster.crash().unwrap();
    cluster.resume(Durability::ProcessOnly).unwrap();
    let changes = writing.await.unwrap();
    let mut last = 0;
    for change in changes {
        let revision = loop {
            match hq.published(change).await {
                Ok(revision) => break revision.get(),
                Err(error) => assert!(error.code().starts_with("database_"), "{error}"),
            }
        };
        assert!(revision >= last);
        last = revision;
    }
    running.abort();
    let mut admin = sqlx::PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let (put, revisions, greatest): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM leasehold.sys_audit_log WHERE action = 'tenant.phase.put'),
             count(DISTINCT revision), max(revision) FROM leasehold.sys_head_history",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(put, 150, "each change is made once");
    assert_eq!(revisions, greatest, "no revision is missing");
    let published = sqlx::query_scalar::<_, String>(
        "SELECT plan_key FROM leasehold.org_subscriptions_mst WHERE tenant_org_id = 'om-muscat-sparkle' AND phase_id = 'p'",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    let now = archive(hq).entitlements(&id("om-muscat-sparkle"), now(), None).await.unwrap();
    assert_eq!(now.entitlements.plan.as_ref().map(leasehold::PlanKey::as_str), Some(published.as_str()));
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
    let revoke = revoke("orders", "for a test");
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
    let before = publisher.archive().entitlements(&sparkle, at, Some(now())).await.unwrap();
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
        let then = publisher.archive().entitlements(&sparkle, at, Some(known_at)).await.unwrap();
        assert_eq!(then.entitlements.plan.as_ref().map(leasehold::PlanKey::as_str), Some(plan));
    }
    let first: String = sqlx::query_scalar("SELECT leasehold.iso_ms(min(issued_at)) FROM leasehold.sys_head_history")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    let first: Timestamp = first.parse().unwrap();
    assert_eq!(
        publisher.archive().entitlements(&sparkle, at, Some(first)).await.unwrap().entitlements,
        before.entitlements
    );
    let too_early = Timestamp::from_ms(first.as_ms() - 1).unwrap();
    assert_eq!(code(publisher.archive().entitlements(&sparkle, at, Some(too_early)).await), "outside_history");
    assert_eq!(code(publisher.archive().entitlements(&id("nobody"), at, None).await), "not_found");

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
    // What is forgotten of one stream is forgotten, though another one has a head that is as old.
    let early = now();
    until("time goes on", || now() > early).await;
    for plan in ["starter", "growth"] {
        hq.change_tenant(&sparkle, &put(plan), None, None, &ada()).await.unwrap();
        publisher.publish().await.unwrap();
    }
    publisher.archive().collect(0, &ada()).await.unwrap();
    assert_eq!(code(publisher.archive().entitlements(&sparkle, at, Some(early)).await), "outside_history");
    publisher.archive().entitlements(&sparkle, at, Some(now())).await.unwrap();
}

/// What is published while contents are collected is all there afterwards, be it made of what nothing named before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_contents_are_collected_stays() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let sparkle = id("om-muscat-sparkle");
    let to = async |plan: &str| {
        hq.change_tenant(&sparkle, &put(plan), None, None, &ada()).await.unwrap();
        publisher.publish().await.unwrap().unwrap();
        read_back(&database).await.0["GCC-OM"].head().manifest
    };
    let reused = to("starter").await;
    to("business").await;
    // All of it is old, and what was in force before is of interest to nobody.
    let mut admin = database.admin.acquire().await.unwrap();
    support::execute(
        &mut admin,
        "UPDATE leasehold.sys_head_history SET issued_at = issued_at - interval '8 days';
         UPDATE leasehold.sys_chunks SET created_at = created_at - interval '8 days';
         CREATE FUNCTION public.wait_a_while() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_advisory_xact_lock(78); RETURN NULL; END $$;
         CREATE TRIGGER wait_a_while BEFORE DELETE ON leasehold.sys_chunks
             FOR EACH STATEMENT EXECUTE FUNCTION public.wait_a_while();
         SELECT pg_advisory_lock(78)",
    )
    .await;
    let collecting = tokio::spawn({
        let archive = publisher.archive().clone();
        async move { archive.collect(7, &ada()).await }
    });
    // Between what is named and what is removed.
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 78 AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *admin).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(to("starter").await, reused, "the same contents are named again");
    support::execute(&mut admin, "SELECT pg_advisory_unlock(78)").await;
    let collected = collecting.await.unwrap().unwrap();
    assert!(collected.heads > 0 && collected.chunks > 0, "{collected:?}");
    assert_published(&database, &hq).await;
}

/// Who collects says how many days are remembered, and not what time it is: their clock may be ahead.
#[tokio::test]
async fn what_came_lately_is_not_collected() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let hq = publisher.hq().clone();
    let changed = hq.change_tenant(&id("om-muscat-sparkle"), &put("starter"), None, None, &ada()).await.unwrap();
    publisher.publish().await.unwrap().unwrap();
    let collect = "SELECT chunks, changes FROM leasehold.hq_forget_contents('{}', 0)";
    let gone: (i64, i64) = sqlx::query_as(collect).fetch_one(&database.hq).await.unwrap();
    assert_eq!(gone, (0, 0), "nothing is named, and nothing is an hour old");
    assert!(hq.outcome(changed.change).await.unwrap().is_some());
    assert_published(&database, &hq).await;
    let clocks: Vec<String> = sqlx::query_scalar(
        "SELECT proname::text FROM pg_proc WHERE pronamespace = 'leasehold'::regnamespace AND proname ~ '^hq_forget'
         AND 'timestamptz'::regtype = ANY (proargtypes)",
    )
    .fetch_all(&database.admin)
    .await
    .unwrap();
    assert!(clocks.is_empty(), "{clocks:?}");
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
    let blocked = publisher.archive().entitlements(&sparkle, now(), Some(now())).await.unwrap();
    assert_eq!(serde_json::to_value(&blocked.entitlements).unwrap()["status"], Value::from("suspended"));
    let lift =
        TenantChange::LiftBlock { id: "b".parse().unwrap(), by: LaidBy::Billing, at: now(), reason: "paid".to_owned() };
    let changed = hq.change_tenant(&sparkle, &lift, None, None, &ada()).await.unwrap();
    publisher.publish_change(changed.change).await.unwrap();
    let free = publisher.archive().entitlements(&sparkle, now(), Some(now())).await.unwrap();
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
