//! The usage ledger when connections and servers die: nothing is lost, and nothing counts twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use crate::support;
use crate::support::ledger::{User, assert_consistent, code, engine, noon, user};
use leasehold_postgres::Error;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::ledger::{Booking, Ledger};
use leasehold_postgres::schema::{self, Part};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinSet;

/// Sends a request again under the same key until there is an answer, as clients do; says how often there was none.
async fn insist(user: &User, name: &str) -> u32 {
    let mut failed = 0;
    loop {
        match user.consume("hard", 1, name, noon()).await {
            Ok(booking) => {
                assert!(booking.receipt().is_some(), "{booking:?}");
                return failed;
            }
            Err(error) => assert_eq!(error.code(), "database_unreachable", "{error}"),
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
    let (user, done) = (user(&pool, "t1").await, Arc::new(AtomicU32::new(0)));
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
    let user = user(&database.app, "t1").await;
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
    let user = user(&database.app, "t1").await;
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

/// Whoever hears nothing and asks again is answered as the first request is, though that is still on its way and takes the
/// last there is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_meanwhile_is_not_refused_for_what_it_took() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let mut admin = database.admin.acquire().await.unwrap();
    support::execute(&mut admin, STOP).await;
    user.consume("seats", 1, "before", noon()).await.unwrap();
    let trigger = "CREATE TRIGGER stop AFTER INSERT ON leasehold.org_usage_entries
                   FOR EACH ROW EXECUTE FUNCTION public.stop_here()";
    support::execute(&mut admin, trigger).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = $1";
    for what in ["consume", "give back", "reserve"] {
        let ask = || {
            let user = user.clone();
            tokio::spawn(async move {
                match what {
                    "consume" => user.consume("seats", 2, what, noon()).await,
                    "give back" => user.give_back("seats", 3, what, noon()).await,
                    _ => user.reserve("seats", 3, what, noon(), 60_000).await,
                }
            })
        };
        support::execute(&mut admin, "SELECT pg_advisory_lock(77)").await;
        let mut asked = Vec::new();
        // The first is on its way when the second comes, which waits for the counter.
        for lock in ["advisory", "transactionid"] {
            asked.push(ask());
            while sqlx::query_scalar::<_, i64>(waiting).bind(lock).fetch_one(&mut *admin).await.unwrap() == 0 {
                tokio::task::yield_now().await;
            }
        }
        support::execute(&mut admin, "SELECT pg_advisory_unlock(77)").await;
        let second = asked.pop().unwrap().await.unwrap().unwrap();
        let first = asked.pop().unwrap().await.unwrap().unwrap();
        assert!(
            matches!((&first, &second), (Booking::Booked(_), Booking::Repeated(_))),
            "{what}: {first:?}, {second:?}"
        );
        assert_eq!(first.receipt(), second.receipt(), "{what}");
    }
    assert_consistent(&database.admin).await;
}

#[tokio::test]
async fn a_ledger_starts_when_its_database_is_up() {
    let cluster = Cluster::start(Durability::ProcessOnly).unwrap();
    let mut admin = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    schema::migrate(&mut admin, Part::Ledger).await.unwrap();
    support::execute(&mut admin, "CREATE ROLE app LOGIN IN ROLE leasehold_app").await;
    let options: PgConnectOptions = cluster.url_as("app", "postgres").parse().unwrap();
    let pool = PgPoolOptions::new().connect_lazy_with(options);

    cluster.crash().unwrap();
    assert_eq!(code(Ledger::connect(pool.clone(), engine()).await), "database_unreachable");
    cluster.resume(Durability::ProcessOnly).unwrap();
    let up = user(&pool, "t1").await;
    up.consume("hard", 1, "k", noon()).await.unwrap();

    // Down again: every question says so, and none stays in the way of the next.
    cluster.crash().unwrap();
    assert_eq!(code(up.consume("hard", 1, "l", noon()).await), "database_unreachable");
    assert_eq!(code(up.ledger.usage(&up.tenant, &"hard".parse().unwrap(), noon()).await), "database_unreachable");
    cluster.resume(Durability::ProcessOnly).unwrap();
    assert_eq!(insist(&up, "l").await, 0);
    assert_eq!(up.usage("hard", noon()).await, (2, 0));
}

#[tokio::test]
async fn what_ends_a_connection_is_said_to_be_unreachable() {
    let database = support::database().await;
    let mut connection = database.admin.acquire().await.unwrap();
    for (state, expected) in [
        ("57P01", "database_unreachable"),
        ("57P02", "database_unreachable"),
        ("57P03", "database_unreachable"),
        ("57P04", "database_unreachable"),
        ("57P05", "database_unreachable"),
        ("25P03", "database_unreachable"),
        ("25P04", "database_unreachable"),
        ("40003", "database_unreachable"),
        ("53300", "database_unreachable"),
        ("08000", "database_unreachable"),
        ("08001", "database_unreachable"),
        ("08003", "database_unreachable"),
        ("08004", "database_unreachable"),
        ("08006", "database_unreachable"),
        ("08P01", "database_unreachable"),
        ("40001", "contended"),
        ("40P01", "contended"),
        ("23505", "constraint_violated"),
        ("22012", "database_failed"),
        ("57014", "database_failed"),
        ("25P02", "database_failed"),
    ] {
        let sql = format!("DO $$ BEGIN RAISE 'said so' USING ERRCODE = '{state}'; END $$");
        let said = sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await;
        assert_eq!(code(said.map_err(Error::from)), expected, "{state}");
    }
    // One of them as a server says it.
    let mut idle = PgConnection::connect_with(&database.options("app")).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut idle).await.unwrap();
    support::execute(&mut idle, "SET idle_session_timeout = 1").await;
    let there = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    while sqlx::query_scalar::<_, i64>(there).bind(pid).fetch_one(&mut *connection).await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
    let said = sqlx::query("SELECT 1").execute(&mut idle).await;
    assert_eq!(code(said.map_err(Error::from)), "database_unreachable");
}

/// A sequence counts attempts, since no rollback takes them back; a trigger lets so many of them fail.
const FAIL: &str = "CREATE SEQUENCE public.attempts; GRANT USAGE, SELECT ON SEQUENCE public.attempts TO PUBLIC;
    CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('public.attempts') <= TG_ARGV[0]::bigint THEN RAISE 'not now' USING ERRCODE = TG_ARGV[1]; END IF;
        RETURN NULL; END $$;
    GRANT USAGE ON SCHEMA public TO PUBLIC;";

#[tokio::test]
async fn what_others_are_in_the_way_of_is_tried_eight_times() {
    let database = support::database().await;
    let user = user(&database.app, "t1").await;
    let mut admin = database.admin.acquire().await.unwrap();
    support::execute(&mut admin, FAIL).await;
    for name in ["a", "b", "c", "d"] {
        user.reserve("hard", 1, &format!("held {name}"), noon(), 1000).await.unwrap();
    }
    // A failure to serialize, and a deadlock; just within the bound, and just beyond it.
    for (name, failures, state) in [("a", 7, "40001"), ("b", 8, "40001"), ("c", 7, "40P01"), ("d", 8, "40P01")] {
        let trigger = format!(
            "CREATE TRIGGER fail AFTER INSERT OR UPDATE ON leasehold.org_usage_counters
             FOR EACH ROW EXECUTE FUNCTION public.fail('{failures}', '{state}')"
        );
        support::execute(&mut admin, &trigger).await;
        let before = user.usage("hard", noon()).await;
        let (used, held) = (format!("used {name}"), format!("held {name}"));
        for call in 0..5 {
            support::execute(&mut admin, "ALTER SEQUENCE public.attempts RESTART").await;
            let done = match call {
                0 => user.consume("hard", 1, &used, noon()).await.map(drop),
                1 => user.reserve("hard", 1, &format!("more {name}"), noon(), 1000).await.map(drop),
                2 => user.give_back("hard", 0, &format!("back {name}"), noon()).await.map(drop),
                3 if failures == 7 => user.confirm(&held, 1, noon()).await.map(drop),
                _ => user.release(&held, noon()).await,
            };
            let attempts: i64 =
                sqlx::query_scalar("SELECT last_value FROM public.attempts").fetch_one(&mut *admin).await.unwrap();
            match done {
                Ok(()) => assert_eq!((failures, attempts), (7, 8), "call {call}, {state}"),
                Err(Error::Contended { attempts: 8 }) => {
                    assert_eq!((failures, attempts), (8, 8), "call {call}, {state}");
                }
                // Confirmed before.
                Err(error) => assert_eq!((call, error.code()), (4, "reservation_ended")),
            }
        }
        support::execute(&mut admin, "DROP TRIGGER fail ON leasehold.org_usage_counters").await;
        // All of it, or nothing.
        let (used, reserved) = before;
        let expected = if failures == 7 { (used + 2, reserved) } else { before };
        assert_eq!(user.usage("hard", noon()).await, expected, "{state}");
    }
    assert_consistent(&database.admin).await;
}
