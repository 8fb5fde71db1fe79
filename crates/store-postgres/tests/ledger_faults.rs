//! The usage ledger when connections and servers die: nothing is lost, and nothing counts twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;
#[path = "support/ledger.rs"]
mod usage;

use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::ledger::Booking;
use leasehold_postgres::schema::{self, Part};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinSet;
use usage::{User, assert_consistent, noon, user};

/// Sends a request again under the same key until there is an answer, as clients do; says how often there was none.
async fn insist(user: &User, name: &str) -> u32 {
    let mut failed = 0;
    loop {
        match user.consume("hard", 1, name, noon()).await {
            Ok(booking) => {
                assert!(booking.receipt().is_some(), "{booking:?}");
                return failed;
            }
            Err(error) => assert!(matches!(error.code(), "database_unreachable" | "database_failed"), "{error}"),
        }
        failed += 1;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_under_load_loses_nothing_and_counts_nothing_twice() {
    let cluster = Cluster::start(Durability::ProcessOnly).unwrap();
    let mut admin = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    schema::migrate(&mut admin, Part::Ledger).await.unwrap();
    support::execute(&mut admin, "CREATE ROLE app LOGIN IN ROLE leasehold_app").await;
    let pool = PgPoolOptions::new().max_connections(8).connect(&cluster.url_as("app", "postgres")).await.unwrap();
    let (user, done) = (user(&pool, "t1"), Arc::new(AtomicU32::new(0)));
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (user, done) = (user.clone(), done.clone());
        clients.spawn(async move {
            let mut failed = 0;
            for turn in 0..100 {
                failed += insist(&user, &format!("{client}-{turn}")).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
            failed
        });
    }
    // Each stop comes in the midst of it: the first one asks sessions to end, the second one ends the server as a crash does.
    for (at, crash) in [(150, false), (450, true)] {
        while done.load(Ordering::Relaxed) < at {
            tokio::task::yield_now().await;
        }
        if crash {
            cluster.crash().unwrap();
            cluster.resume(Durability::ProcessOnly).unwrap();
        } else {
            cluster.restart(Durability::ProcessOnly).unwrap();
        }
        assert!(done.load(Ordering::Relaxed) < 800, "the load ended before the server did");
    }
    let failed: u32 = clients.join_all().await.into_iter().sum();
    assert!(failed > 0, "nobody noticed");
    let admin = PgPool::connect(&cluster.url("postgres")).await.unwrap();
    assert_eq!(user.usage("hard", noon()).await, (800, 0));
    assert_eq!(user.events("hard").await.len(), 2);
    assert_consistent(&admin).await;
}

/// A trigger that waits for a lock which the test holds, so that the connection can be killed right there.
const STOP: &str = "CREATE FUNCTION public.stop_here() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END $$;
    GRANT USAGE ON SCHEMA public TO PUBLIC;";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_killed_before_its_commit_has_done_nothing() {
    let database = support::database().await;
    let user = user(&database.app, "t1");
    let mut admin = database.admin.acquire().await.unwrap();
    support::execute(&mut admin, STOP).await;
    user.consume("hard", 1, "before", noon()).await.unwrap();
    // In the midst of the statement that writes; and after it, in the commit.
    for (at, trigger) in [
        (
            "write",
            "CREATE TRIGGER stop AFTER INSERT ON leasehold.org_usage_entries
                   FOR EACH ROW EXECUTE FUNCTION public.stop_here()",
        ),
        (
            "commit",
            "CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON leasehold.org_usage_entries
                    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.stop_here()",
        ),
    ] {
        support::execute(&mut admin, trigger).await;
        support::execute(&mut admin, "SELECT pg_advisory_lock(77)").await;
        let (sender, name) = (user.clone(), format!("killed in {at}"));
        let sending = {
            let name = name.clone();
            tokio::spawn(async move { sender.consume("hard", 10, &name, noon()).await })
        };
        let killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
            WHERE locktype = 'advisory' AND objid = 77 AND NOT granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        while sqlx::query_scalar::<_, i64>(killed).fetch_one(&mut *admin).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
        let error = sending.await.unwrap().unwrap_err();
        assert_eq!(error.code(), "database_unreachable", "{at}: {error}");
        support::execute(&mut admin, "SELECT pg_advisory_unlock(77)").await;
        support::execute(&mut admin, "DROP TRIGGER stop ON leasehold.org_usage_entries").await;
        let used = user.usage("hard", noon()).await.0;
        let again = user.consume("hard", 10, &name, noon()).await.unwrap();
        assert!(matches!(again, Booking::Booked(_)), "{at}: {again:?}");
        assert_eq!(user.usage("hard", noon()).await, (used + 10, 0), "{at}");
    }
    // Killed when it has committed and before anybody was told, it is counted, and a repeat says so.
    assert_eq!(user.usage("hard", noon()).await, (21, 0));
    let again = user.consume("hard", 10, "killed in commit", noon()).await.unwrap();
    assert!(matches!(again, Booking::Repeated(_)), "{again:?}");
    assert_consistent(&database.admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_gives_up_leaves_no_lock() {
    let database = support::database().await;
    let user = user(&database.app, "t1");
    let mut admin = database.admin.acquire().await.unwrap();
    support::execute(&mut admin, STOP).await;
    let trigger = "CREATE TRIGGER stop AFTER INSERT ON leasehold.org_usage_entries
                   FOR EACH ROW WHEN (NEW.idempotency_key = 'given up') EXECUTE FUNCTION public.stop_here()";
    support::execute(&mut admin, trigger).await;
    support::execute(&mut admin, "SELECT pg_advisory_lock(77)").await;
    let sender = user.clone();
    let sending = tokio::spawn(async move { sender.consume("hard", 10, "given up", noon()).await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77 AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *admin).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    support::execute(&mut admin, "SELECT pg_advisory_unlock(77)").await;
    // Others go on, and what was given up did not happen.
    assert!(matches!(user.consume("hard", 1, "next", noon()).await.unwrap(), Booking::Booked(_)));
    assert_eq!(user.usage("hard", noon()).await, (1, 0));
    assert_consistent(&database.admin).await;
}
