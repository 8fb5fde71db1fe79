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

/// A table without its widths.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// From a directory of definitions to engines, and back to a directory.
#[tokio::test]
async fn from_files_to_a_publication_and_back() {
    let desk = Desk::new("publish").await;
    desk.does("db migrate");
    let examples = crate::run::repository().join("examples/cleanmatex");
    let definitions = examples.display();
    assert!(
        desk.does(&format!("db import -d {definitions} --by ada")).starts_with("imported 121 records and 30 tenants")
    );
    let shown = desk.types("db propose First --trust trust.json --by ada --json").json();
    let binding = shown["binding"].as_str().unwrap().to_owned();
    assert_eq!((&shown["status"], &shown["affected"]), (&json!("draft"), &json!(30)));
    desk.fails(&format!("db approve 1 --binding {binding} --by ada"), 1, "not_approved", "author");
    desk.fails(&format!("db publish 1 {PEN} --by ben"), 1, "not_approved", "draft");
    assert!(desk.does(&format!("db approve 1 --binding {binding} --by ben")).contains("approved by ben"));
    let out = desk.does(&format!("db publish 1 {PEN} --by ben"));
    assert!(out.starts_with("revision 1 in EU, GCC-OM, GCC-SA"), "{out}");
    assert_eq!(desk.does(&format!("db publish {PEN}")), "nothing waits to be published\n");
    assert!(squeezed(&desk.does("db proposals")).contains("1 published 30 ada First"));
    assert_eq!(desk.does("db machines --trust trust.json --by ben"), "machines of 30 tenants are placed\n");
    let then = desk.types("db recall om-muscat-sparkle --trust trust.json").json();
    assert_eq!((&then["revision"], &then["stream"]), (&json!(1), &json!("GCC-OM")));
    desk.fails("db recall nobody --trust trust.json", 4, "not_found", "nobody");
    let early = "db recall om-muscat-sparkle --trust trust.json --known-at 2020-01-01T00:00:00Z";
    desk.fails(early, 4, "outside_history", "2020");
    assert!(desk.does("db collect --history-days 1 --trust trust.json").starts_with("forgot 0 heads"));
    desk.fails("db import -d .", 3, "definitions_refused", "trust.json");
    desk.does("db export --out exported");
    for file in ["guards.json", "plans/growth.json", "tenants/gcc-om.json", "workflows/order.json"] {
        let original = fs::read_to_string(examples.join(file)).unwrap();
        assert_eq!(desk.read(&format!("exported/{file}")), original, "{file}");
    }
    desk.fails("db export --out exported", 5, "not_empty", "exported");
    // Everything that was done is in chains that verify.
    assert!(desk.does("audit verify").contains("chain"));
}

#[tokio::test]
async fn there_and_back() {
    let desk = Desk::new("db").await;
    let out = desk.denies("db status");
    assert!(out.starts_with("the database lacks ") && squeezed(&out).contains("0003_audit no"), "{out}");
    desk.fails("audit verify", 5, "schema_behind", "0001_saas_core");
    let out = desk.does("db migrate");
    assert!(out.contains("migrations applied") && squeezed(&out).contains("0003_audit yes"), "{out}");
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
        out.contains("undone")
            && squeezed(&out).contains("0003_audit no")
            && squeezed(&out).contains("0002_sys_catalogs yes"),
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
