//! Following: engines hear of new heads at once, and miss none when connections and servers go away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::support::fleet::{ada, adopt, archive, cleanmatex, published, put, signer, trust};
use crate::support::{self, Database};
use leasehold::follow::{Follower, Settings};
use leasehold::{Keep, Revision, TenantId};
use leasehold_postgres::PostgresFollowing;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::hq::Hq;
use leasehold_postgres::ledger::IdempotencyKey;
use leasehold_postgres::publish::{Publisher, Timing};
use leasehold_postgres::schema::{self, Part};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// An engine that follows, and never asks by itself: what it has, it was told of.
async fn following(options: PgConnectOptions) -> PostgresFollowing {
    let settings = Settings { poll_ms: 24 * 3_600_000, ..Settings::default() };
    let follower = Follower::of_stream(trust("GCC-OM")).with_settings(settings);
    tokio::task::spawn_blocking(move || PostgresFollowing::start(follower, options, Keep::default()).unwrap())
        .await
        .unwrap()
}

fn revision(following: &PostgresFollowing) -> Option<Revision> {
    following.following().health().revision
}

/// Waits until something holds; fails where it does not within half a minute.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Puts a tenant of the stream on another plan, and publishes that; gives the revision that it is in.
async fn publish(publisher: &Publisher, number: u32) -> Revision {
    insist(publisher, number).await.1
}

/// The same, again and again where the database is away; says how often it was.
async fn insist(publisher: &Publisher, number: u32) -> (u32, Revision) {
    let tenant: TenantId = "om-muscat-sparkle".parse().unwrap();
    let plan = if number.is_multiple_of(2) { "growth" } else { "business" };
    let change = put(plan);
    let key = IdempotencyKey::new(number.to_string()).unwrap();
    let mut failed = 0;
    loop {
        let changed = publisher.hq().change_tenant(&tenant, &change, None, Some(&key), &ada()).await;
        let published = match changed {
            Ok(changed) => publisher.publish_change(changed.change).await,
            Err(error) => Err(error),
        };
        match published {
            Ok(_) => return (failed, last(publisher.hq().pool()).await),
            Err(error) => assert!(error.code().starts_with("database_"), "{error}"),
        }
        failed += 1;
        tokio::task::yield_now().await;
    }
}

/// The last revision of the stream.
async fn last(pool: &PgPool) -> Revision {
    let sql = "SELECT revision FROM leasehold.sys_heads WHERE stream = $1";
    loop {
        // A connection of the pool may be one that was lost.
        if let Ok(revision) = sqlx::query_scalar::<_, i64>(sql).bind("GCC-OM").fetch_one(pool).await {
            return Revision::new(revision.try_into().unwrap()).unwrap();
        }
        tokio::task::yield_now().await;
    }
}

/// Backends that listen.
const LISTENERS: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";

async fn listener(database: &Database) -> i32 {
    let start = Instant::now();
    loop {
        let listeners: Vec<i32> = sqlx::query_scalar(LISTENERS).fetch_all(&database.admin).await.unwrap();
        if let [listener] = listeners[..] {
            return listener;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "nobody listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_heads_are_told_of() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let following = following(database.options("engine")).await;
    listener(&database).await;
    // Each is there before the next is published, so that no question of the beginning answers for more than the first.
    for number in 0..3 {
        let wanted = publish(&publisher, number).await;
        until("it is told", async || revision(&following) == Some(wanted)).await;
    }
    tokio::task::spawn_blocking(move || drop(following)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_nobody_listens_arrives() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let following = following(database.options("engine")).await;
    for number in 0..3 {
        let pid = listener(&database).await;
        sqlx::query("SELECT pg_terminate_backend($1, 10000)").bind(pid).execute(&database.admin).await.unwrap();
        let wanted = publish(&publisher, number).await;
        until("it arrives", async || revision(&following) == Some(wanted)).await;
    }
    tokio::task::spawn_blocking(move || drop(following)).await.unwrap();
}

/// Carries bytes between a socket of its own and the server's, until they are cut, without a word.
struct Wire {
    folder: tempfile::TempDir,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    streams: Vec<UnixStream>,
}

impl Wire {
    fn new(server: PathBuf, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(folder.path().join(&name)).unwrap();
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = state.clone();
        thread::spawn(move || {
            for here in listener.incoming() {
                let (state, changed) = &*shared;
                let mut state = changed.wait_while(state.lock().unwrap(), |state| state.is_cut).unwrap();
                let (here, there) = (here.unwrap(), UnixStream::connect(server.join(&name)).unwrap());
                for (from, to) in [(&here, &there), (&there, &here)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    state.streams.push(from.try_clone().unwrap());
                    thread::spawn(move || carry(from, to));
                }
            }
        });
        Self { folder, state }
    }

    /// Cuts what is connected, and lets nobody connect.
    fn cut(&self) {
        let mut state = self.state.0.lock().unwrap();
        state.is_cut = true;
        for stream in state.streams.drain(..) {
            // It may have ended by itself.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.state.0.lock().unwrap().is_cut = false;
        self.state.1.notify_all();
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream) {
    let mut bytes = [0; 8192];
    let mut carry = || -> io::Result<()> {
        loop {
            match from.read(&mut bytes)? {
                0 => return to.shutdown(std::net::Shutdown::Both),
                some => to.write_all(bytes.get(..some).unwrap_or_default())?,
            }
        }
    };
    // Its end is what the other side hears of it.
    let _ = carry();
}

/// A server that ends a connection says so; a network that does is silent.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_while_the_wire_is_cut_arrives() {
    let database = support::database().await;
    let publisher = published(&database).await;
    let options = database.options("engine");
    let Some(server) = options.get_socket().cloned() else {
        // The server is on another machine; there is none in the gate.
        return;
    };
    let wire = Wire::new(server, options.get_port());
    let following = following(options.socket(wire.folder.path())).await;
    for number in 0..3 {
        listener(&database).await;
        wire.cut();
        until("nobody listens", async || {
            sqlx::query_scalar::<_, i32>(LISTENERS).fetch_all(&database.admin).await.unwrap().is_empty()
        })
        .await;
        let wanted = publish(&publisher, number).await;
        wire.mend();
        until("it arrives", async || revision(&following) == Some(wanted)).await;
    }
    tokio::task::spawn_blocking(move || drop(following)).await.unwrap();
}

/// The server is stopped and started, and crashes, while tenants change and engines answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_restarts_under_load_everybody_has_the_last_revision() {
    let cluster = Cluster::start(Durability::ProcessOnly).unwrap();
    let mut admin = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    schema::migrate(&mut admin, Part::Hq).await.unwrap();
    for role in ["hq", "engine"] {
        support::execute(&mut admin, &format!("CREATE ROLE {role} LOGIN IN ROLE leasehold_{role}")).await;
    }
    let pool = leasehold_postgres::hq::pool_options()
        .max_connections(8)
        .connect(&cluster.url_as("hq", "postgres"))
        .await
        .unwrap();
    let hq = Hq::of(pool.clone()).await.unwrap();
    let publisher = Arc::new(Publisher::new(archive(hq), signer(), Timing::default()));
    publisher.hq().import(&cleanmatex(), &ada(), |_| {}).await.unwrap();
    adopt(&publisher).await;
    let mut engines = Vec::new();
    for _ in 0..4 {
        engines.push(following(cluster.url_as("engine", "postgres").parse().unwrap()).await);
    }
    let (changes, is_over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let mut askers = JoinSet::new();
    for following in &engines {
        let (engine, is_over) = (following.engine().clone(), is_over.clone());
        askers.spawn(async move {
            let tenants = engine.pin().tenant_count();
            while !is_over.load(Ordering::Relaxed) {
                let now = std::time::SystemTime::now().into();
                engine.is_enabled("om-muscat-sparkle", "orders", now).unwrap();
                assert_eq!(engine.pin().tenant_count(), tenants);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let load = {
        let (publisher, changes) = (publisher.clone(), changes.clone());
        tokio::spawn(async move {
            let mut failed = 0;
            for number in 0..60 {
                failed += insist(&publisher, number).await.0;
                changes.fetch_add(1, Ordering::Relaxed);
            }
            failed
        })
    };
    for (at, crash) in [(20, false), (40, true)] {
        until("the load goes on", async || changes.load(Ordering::Relaxed) >= at).await;
        if crash {
            cluster.crash().unwrap();
            cluster.resume(Durability::ProcessOnly).unwrap();
        } else {
            cluster.restart(Durability::ProcessOnly).unwrap();
        }
        assert!(changes.load(Ordering::Relaxed) < 60, "the load ended before the server did");
    }
    assert!(load.await.unwrap() > 0, "nobody noticed");
    // The last change may come before anybody listens again: nobody tells of it then.
    let wanted = last(&pool).await;
    for following in &engines {
        until("everybody has the last revision", async || revision(following) == Some(wanted)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    askers.join_all().await;
    tokio::task::spawn_blocking(move || drop(engines)).await.unwrap();
}
