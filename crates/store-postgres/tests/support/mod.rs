//! A fresh database for each test, cloned from a template that was migrated once.

#![allow(unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod fill;
pub mod fleet;
pub mod ledger;

pub use fill::fill;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::schema::{self, Part};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use std::sync::OnceLock;

/// A database of its own, and logins of each role. It is dropped with the cluster, or by hand where `DATABASE_URL` names
/// another server.
pub struct Database {
    pub name: String,
    options: PgConnectOptions,
    /// As superuser, for what tests look at behind the scenes.
    pub admin: PgPool,
    /// As HQ's back end.
    pub hq: PgPool,
    /// As a tenant's app.
    pub app: PgPool,
    /// As an embedding service.
    pub engine: PgPool,
}

impl Database {
    /// Where to connect as `admin`, `hq`, `app` or `engine`.
    pub fn options(&self, role: &str) -> PgConnectOptions {
        login(&self.options, role)
    }
}

fn login(options: &PgConnectOptions, role: &str) -> PgConnectOptions {
    if role == "admin" {
        return options.clone();
    }
    options.clone().username(&format!("leasehold_test_{role}")).password("leasehold_test")
}

/// The server of this process: the one that `DATABASE_URL` names, or a private cluster.
pub fn server() -> PgConnectOptions {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    if let Ok(url) = std::env::var("DATABASE_URL") {
        return url.parse().expect("DATABASE_URL is a URL");
    }
    // It ends with the process.
    let cluster =
        CLUSTER.get_or_init(|| Cluster::start(Durability::ProcessOnly).unwrap_or_else(|error| panic!("{error}")));
    cluster.url("postgres").parse().unwrap()
}

/// A fresh database.
pub async fn database() -> Database {
    let server = server();
    let template = template(&server).await;
    let name = format!("leasehold_test_{}_{}", std::process::id(), next());
    let mut connection = PgConnection::connect_with(&server).await.expect("the server can be reached");
    sweep(&server, &mut connection).await;
    execute(&mut connection, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    let options = server.database(&name);
    let plain = PgPoolOptions::new();
    let pool = |pool: &PgPoolOptions, role: &str, size: u32| {
        pool.clone().max_connections(size).min_connections(0).connect_lazy_with(login(&options, role))
    };
    let (admin, app, engine) = (pool(&plain, "admin", 8), pool(&plain, "app", 48), pool(&plain, "engine", 8));
    let hq = pool(&leasehold_postgres::hq::pool_options(), "hq", 48);
    Database { name, options, admin, hq, app, engine }
}

/// Drops what tests left that have ended, once there is much of it: a server that many share would fill the disk.
async fn sweep(server: &PgConnectOptions, connection: &mut PgConnection) {
    // Of a server elsewhere, processes may be elsewhere too.
    if server.get_socket().is_none() {
        return;
    }
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE datname ~ '^leasehold_(test|empty)_[0-9]+_[0-9]+$'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let has_ended = |name: &&String| {
        let process = name.split('_').nth(2).unwrap_or_default();
        !std::path::Path::new("/proc").join(process).exists()
    };
    let ended: Vec<_> = names.iter().filter(has_ended).collect();
    for name in ended.iter().take(if ended.len() < 32 { 0 } else { 32 }) {
        // Others may be sweeping too.
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).execute(&mut *connection).await;
    }
}

/// A database without anything in it.
pub async fn empty_database() -> PgConnectOptions {
    let server = server();
    let name = format!("leasehold_empty_{}_{}", std::process::id(), next());
    let mut connection = PgConnection::connect_with(&server).await.expect("the server can be reached");
    execute(&mut connection, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    server.database(&name)
}

pub async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn next() -> u32 {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The migrated template; made by the first test that comes, for all others on the same server.
async fn template(server: &PgConnectOptions) -> String {
    let name = format!("leasehold_template_{}", fingerprint());
    let mut connection = PgConnection::connect_with(server).await.expect("the server can be reached");
    execute(&mut connection, "SELECT pg_advisory_lock(4207849)").await;
    let is_there: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
    if !is_there {
        execute(&mut connection, &format!("DROP DATABASE IF EXISTS {name}")).await;
        execute(&mut connection, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let mut inside = PgConnection::connect_with(&server.clone().database(&name)).await.unwrap();
        schema::migrate(&mut inside, Part::Hq).await.unwrap_or_else(|error| panic!("{error}"));
        for role in ["hq", "app", "engine"] {
            let sql = format!(
                "DO $$ BEGIN CREATE ROLE leasehold_test_{role} LOGIN PASSWORD 'leasehold_test' IN ROLE leasehold_{role};
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            );
            execute(&mut inside, &sql).await;
        }
        inside.close().await.unwrap();
        execute(&mut connection, &format!("ALTER DATABASE {name} IS_TEMPLATE true")).await;
    }
    execute(&mut connection, "SELECT pg_advisory_unlock(4207849)").await;
    name
}

/// Other migrations, another template.
fn fingerprint() -> String {
    let hash = leasehold::Hash::of(schema::text().as_bytes()).to_string();
    hash[..12].to_owned()
}

/// The example `private_cluster`, in a process of its own, on a database.
pub fn private_cluster(arguments: &[&str], options: &PgConnectOptions) -> std::process::Command {
    let mut command = std::process::Command::new(example("private_cluster"));
    command.args(arguments).env("DATABASE_URL", options.to_url_lossy().as_str());
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    command
}

/// Where an example of this crate was built to: beside the tests.
pub fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: build the examples too", path.display());
    path
}

/// Roles belong to the whole server: who changes them, if only to undo it, waits until others have done so. Ends when what
/// this gives is dropped.
pub async fn roles() -> PgConnection {
    let mut connection = PgConnection::connect_with(&server()).await.expect("the server can be reached");
    execute(&mut connection, "SELECT pg_advisory_lock(4207850)").await;
    connection
}
