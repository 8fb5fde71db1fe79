//! A fresh database for each test, cloned from a template that was migrated once.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::schema::{self, Part};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
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
    execute(&mut connection, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    let options = server.database(&name);
    let pool = |role: &str, size: u32| {
        let pool = PgPoolOptions::new().max_connections(size).min_connections(0);
        pool.connect_lazy_with(login(&options, role))
    };
    let (admin, hq, app, engine) = (pool("admin", 8), pool("hq", 48), pool("app", 48), pool("engine", 8));
    Database { name, options, admin, hq, app, engine }
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
