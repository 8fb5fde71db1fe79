//! Commands about the database, on a real server.

use crate::run::{NOW, Ran, finish, program};
use leasehold::wire::SecretKey;
use leasehold_postgres::audit::{Entry, append};
use leasehold_postgres::cluster::{Cluster, Durability};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::fs;

const PEN: &str = "--fleet fleet.key --certificate fleet.cert --trust trust.json";

/// A folder with keys, and an empty database.
struct Desk {
    folder: tempfile::TempDir,
    url: String,
    /// It ends with the test; there is none where `DATABASE_URL` names a server.
    _cluster: Option<Cluster>,
}

impl Desk {
    async fn new(name: &str) -> Self {
        let name = format!("leasehold_cli_{name}_{}", std::process::id());
        let (server, url, cluster) = match std::env::var("DATABASE_URL") {
            Ok(server) => {
                let options: PgConnectOptions = server.parse().unwrap();
                (server, options.database(&name).to_url_lossy().to_string(), None)
            }
            Err(_) => {
                let cluster = Cluster::start(Durability::ProcessOnly).unwrap();
                (cluster.url("postgres"), cluster.url(&name), Some(cluster))
            }
        };
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        let desk = Self { folder: tempfile::tempdir().unwrap(), url, _cluster: cluster };
        for (kind, name, seed) in [("root", "root.key", 1), ("fleet", "fleet.key", 3), ("root", "other.key", 2)] {
            let key = SecretKey::from_seed(&[seed; 32]);
            let secret = json!({ "kind": kind, "key_id": key.public().id(), "secret": key.to_hex() });
            desk.write(name, &secret.to_string());
            let public = json!({ "kind": kind, "key_id": key.public().id(), "public": key.public() });
            desk.write(&format!("{name}.pub"), &public.to_string());
        }
        for (name, seed) in [("trust.json", 1), ("other.json", 2)] {
            let roots = [SecretKey::from_seed(&[seed; 32]).public()];
            let trust = json!({ "issuer": "hq.example", "environment": "test", "roots": roots });
            desk.write(name, &trust.to_string());
        }
        desk.does(&format!("certify fleet.key.pub --root root.key --trust trust.json --out fleet.cert --at {NOW}"));
        desk
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    fn types(&self, line: &str) -> Ran {
        finish(program().args(line.split(' ')).current_dir(self.folder.path()).env("DATABASE_URL", &self.url))
    }

    fn does(&self, line: &str) -> String {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {}", ran.out);
        ran.out
    }

    /// Types a line that says no.
    fn denies(&self, line: &str) -> String {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{line}: {}", ran.out);
        ran.out
    }

    fn fails(&self, line: &str, exit: i32, code: &str, says: &str) {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{line}: {}", ran.err);
        assert!(ran.err.contains(&format!("[{code}]")) && ran.err.contains(says), "{line}: {}", ran.err);
        let json = self.types(&format!("{line} --json"));
        assert_eq!((json.code, &json.json()["error"]["code"]), (exit, &json!(code)), "{line}");
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

#[tokio::test]
async fn there_and_back() {
    let desk = Desk::new("db").await;
    let out = desk.denies("db status");
    assert!(out.starts_with("the database lacks ") && out.contains("0003_audit     no"), "{out}");
    desk.fails("audit verify", 5, "schema_behind", "0001_saas_core");
    let out = desk.does("db migrate");
    assert!(out.contains("migrations applied") && out.contains("0003_audit     yes"), "{out}");
    assert!(desk.does("db migrate").starts_with("the database has every migration already"));
    assert!(desk.does("db status").starts_with("the database has every migration\n"));
    let json = desk.types("db status --json").json();
    assert_eq!(
        (&json["current"], &json["migrations"][0]),
        (&json!(true), &json!({ "name": "0001_saas_core", "applied": true }))
    );
    desk.fails("db undo --to 2", 2, "confirmation_required", "0003_audit");
    desk.fails("db undo --to 99 --yes", 2, "usage", "no migration 99");
    assert!(desk.does("db status").starts_with("the database has every migration\n"), "nothing was undone");
    let out = desk.does("db undo --to 2 --yes");
    assert!(
        out.contains("undone") && out.contains("0003_audit     no") && out.contains("0002_sys_catalogs  yes"),
        "{out}"
    );
    assert!(desk.does("db undo --to 2").starts_with("there is nothing to undo"));
    desk.does("db undo --to 0 --yes");
    desk.does("db migrate");
    let mut connection = desk.connection().await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2").execute(&mut connection).await.unwrap();
    desk.fails("db status", 5, "schema_altered", "0002_sys_catalogs");
    sqlx::query("UPDATE _sqlx_migrations SET version = 99 WHERE version = 2").execute(&mut connection).await.unwrap();
    desk.fails("db migrate", 5, "schema_ahead", "99");
    desk.fails(
        "db status --database-url postgresql://nobody:secret@127.0.0.1:1/x",
        5,
        "database_unreachable",
        "is it up",
    );
    desk.fails("db status --database-url mysql://nobody:secret@host/x", 2, "usage", "none of Postgres");
    let ran = finish(program().args(["db", "status"]));
    assert!(ran.code == 2 && ran.err.contains("[database_required]"), "{ran:?}");
}

async fn fill(connection: &mut PgConnection, numbers: std::ops::Range<u32>) {
    for number in numbers {
        for tenant in [None, Some("acme")] {
            let entry = Entry {
                tenant: tenant.map(|tenant| tenant.parse().unwrap()),
                at: NOW.parse().unwrap(),
                actor: "ali".to_owned(),
                action: "tenant.plan.changed".to_owned(),
                subject: "plan:growth".to_owned(),
                detail: json!({ "number": number }),
                trace_id: None,
            };
            append(connection, &entry).await.unwrap();
        }
    }
}

async fn tamper(connection: &mut PgConnection, sql: &str) {
    let sql = format!("SET session_replication_role = replica; SET search_path = leasehold; {sql}; RESET ALL");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

#[tokio::test]
async fn from_an_entry_to_a_checkpoint_that_finds_what_is_missing() {
    let desk = Desk::new("audit").await;
    desk.does("db migrate");
    assert!(desk.does("audit verify").starts_with("verified: 0 chains, 0 entries\n"));
    let mut connection = desk.connection().await;
    fill(&mut connection, 0..4).await;
    insta::assert_snapshot!("audit_verify", desk.does("audit verify"));
    let made = desk.does(&format!("audit checkpoint {PEN} --out one.checkpoint --at {NOW}"));
    insta::assert_snapshot!("audit_checkpoint", made);
    desk.fails(&format!("audit checkpoint {PEN} --out one.checkpoint --at {NOW}"), 5, "exists", "one.checkpoint");
    assert!(desk.does("inspect one.checkpoint").contains("checkpoint: one.checkpoint"));
    let verify = "--checkpoint one.checkpoint --trust trust.json";
    insta::assert_snapshot!("audit_verify_checkpoint", desk.does(&format!("audit verify {verify}")));
    assert!(desk.does("audit verify --trust trust.json").contains("from the database"));
    desk.fails("audit verify --checkpoint one.checkpoint", 2, "trust_required", "one.checkpoint");
    desk.fails("audit verify --checkpoint one.checkpoint --trust other.json", 3, "unknown_key", "certificate");
    desk.fails("audit verify --checkpoint fleet.cert --trust trust.json", 3, "truncated", "checkpoint");

    assert_eq!(desk.does("audit export --out all.jsonl"), "exported to all.jsonl\n  chains   2\n  entries  9\n");
    desk.does("audit export --out acme.jsonl --tenant acme");
    desk.does("audit export --out hq.jsonl --hq");
    desk.fails("audit export --out all.jsonl", 5, "exists", "all.jsonl");
    let file = |name: &str| format!("audit verify {name} {verify}");
    assert!(desk.does(&file("all.jsonl")).starts_with("verified: 2 chains, 9 entries\n"));
    assert!(desk.does(&format!("{} --tenant acme", file("acme.jsonl"))).starts_with("verified: 1 chain, 4 entries\n"));
    // Who hands over one chain as if it were all of them is found out.
    assert!(desk.denies(&file("acme.jsonl")).contains("there is no such chain"));
    desk.write(
        "cut.jsonl",
        &desk.read("all.jsonl").lines().take(5).map(|line| format!("{line}\n")).collect::<String>(),
    );
    desk.fails("audit verify cut.jsonl", 3, "export_malformed", "`cut.jsonl`: line 6");
    desk.fails("audit verify nothing.jsonl", 5, "io", "nothing.jsonl");
    desk.write("altered.jsonl", &desk.read("all.jsonl").replace("ali", "eve"));
    let altered = desk.denies("audit verify altered.jsonl");
    insta::assert_snapshot!("audit_verify_altered", altered);

    // Somebody cuts off the end of a chain, head and all.
    let cut = "DELETE FROM sys_audit_log WHERE tenant_org_id = 'acme' AND seq > 2;
               UPDATE sys_audit_heads SET seq = 2, hash = (SELECT hash FROM sys_audit_log WHERE tenant_org_id = 'acme'
                   AND seq = 2) WHERE tenant_org_id = 'acme'";
    tamper(&mut connection, cut).await;
    assert!(desk.does("audit verify").starts_with("verified: "));
    let refused = desk.denies(&format!("audit verify {verify}"));
    insta::assert_snapshot!("audit_verify_truncated", refused);
    let json = desk.types(&format!("audit verify {verify} --json"));
    assert_eq!((json.code, &json.json()["report"]["problems"][0]["code"]), (1, &json!("truncated")));
    let refused = desk.denies(&format!("audit checkpoint {PEN} --out two.checkpoint --at {NOW}"));
    assert!(refused.starts_with("nothing is signed: 1 problem in ") && refused.contains("truncated"), "{refused}");
    assert!(!desk.folder.path().join("two.checkpoint").exists());
}
