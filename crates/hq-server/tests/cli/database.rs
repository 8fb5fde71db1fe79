//! Commands about the database, on a real server.

use crate::run::{NOW, Ran, finish, program};
use leasehold::wire::SecretKey;
use leasehold_postgres::audit::{Entry, append};
use leasehold_postgres::cluster::{Cluster, Durability};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

pub(crate) const PEN: &str = "--fleet fleet.key --certificate fleet.cert --trust trust.json";

/// A folder with keys, and an empty database.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    /// It ends with the test; there is none where `DATABASE_URL` names a server.
    _cluster: Option<Cluster>,
}

impl Desk {
    pub(crate) async fn new(name: &str) -> Self {
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
        Self::at(url, cluster)
    }

    /// The same with a database that is there, and empty.
    pub(crate) fn at(url: String, cluster: Option<Cluster>) -> Self {
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

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    pub(crate) fn types(&self, line: &str) -> Ran {
        finish(program().args(line.split(' ')).current_dir(self.folder.path()).env("DATABASE_URL", &self.url))
    }

    pub(crate) fn does(&self, line: &str) -> String {
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

    pub(crate) fn fails(&self, line: &str, exit: i32, code: &str, says: &str) {
        let ran = self.types(line);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{line}: {}", ran.err);
        assert!(ran.err.contains(&format!("[{code}]")) && ran.err.contains(says), "{line}: {}", ran.err);
        let json = self.types(&format!("{line} --json"));
        assert_eq!((json.code, &json.json()["error"]["code"]), (exit, &json!(code)), "{line}");
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

impl Desk {
    /// With the reference definitions in force, as revision 1.
    pub(crate) async fn published(name: &str) -> Self {
        let desk = Self::new(name).await;
        desk.does("db migrate");
        desk.does(&format!("db import -d {} --by ada", crate::run::repository().join("examples/cleanmatex").display()));
        desk.adopts("First");
        desk
    }

    /// Types a line, and gives its answer as JSON.
    pub(crate) fn answers(&self, line: &str) -> Value {
        let ran = self.types(&format!("{line} --json"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}: {}", ran.out);
        ran.json()
    }

    /// Proposes what is authored, and approves it; gives its number.
    pub(crate) fn approves(&self, title: &str) -> i64 {
        let proposal = self.answers(&format!("db propose {title} --trust trust.json --by ada"));
        let (number, binding) = (proposal["id"].as_i64().unwrap(), proposal["binding"].as_str().unwrap());
        let approved = self.answers(&format!("db approve {number} --binding {binding} --by ben"));
        assert_eq!(approved["status"], "approved");
        number
    }

    /// Puts what is authored in force.
    pub(crate) fn adopts(&self, title: &str) {
        let number = self.approves(title);
        self.answers(&format!("db publish {number} {PEN} --by ben"));
        assert_eq!(self.answers(&format!("db proposals {number}"))["status"], "published");
    }

    /// Publishes, and gives the last revision that came of it.
    fn publishes(&self, words: &str) -> u64 {
        let answer = self.answers(&format!("db publish {words} {PEN} --by ben").replace("  ", " "));
        answer["publications"].as_array().unwrap().last().unwrap()["revision"].as_u64().unwrap()
    }

    /// What a tenant may have, by what is in force now.
    fn entitlements(&self, tenant: &str) -> Value {
        self.answers(&format!("db recall {tenant} --trust trust.json"))["entitlements"].take()
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
    let never = "db recall om-muscat-sparkle --trust trust.json --known-at 0000-01-01T00:00:00Z";
    desk.fails(never, 2, "invalid_argument", "years 1 to 9999");
    assert!(desk.does("db collect --history-days 1 --trust trust.json").starts_with("forgot 0 heads"));
    desk.fails("db import -d .", 3, "definitions_refused", "trust.json");
    desk.does("db export --out exported");
    for file in ["guards.json", "plans/growth.json", "tenants/gcc-om.json", "workflows/order.json"] {
        let original = fs::read_to_string(examples.join(file)).unwrap();
        assert_eq!(desk.read(&format!("exported/{file}")), original, "{file}");
    }
    desk.fails("db export --out exported", 5, "not_empty", "exported");
    // An empty one makes room; what cannot be whole is not there, and leaves nothing beside it.
    fs::create_dir_all(desk.folder.path().join("room/empty")).unwrap();
    desk.does("db export --out room/empty");
    assert_eq!(desk.read("room/empty/guards.json"), desk.read("exported/guards.json"));
    desk.write("plain.txt", "a file");
    desk.fails("db export --out plain.txt/below", 5, "io", "plain.txt");
    let left = fs::read_dir(desk.folder.path().join("room")).unwrap().count();
    assert_eq!(left, 1);
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

/// What is proposed can be turned down, tried out, put in force and taken back.
#[tokio::test]
async fn proposals_are_rejected_tried_and_rolled_back() {
    let desk = Desk::published("proposals").await;
    let copy = crate::run::copy();
    crate::run::edit(&copy, "plans/growth.json", "\"rank\": 20", "\"rank\": 21");
    let payouts = "\"name\": \"Instant payouts\",";
    crate::run::edit(&copy, "features/add_ons.json", payouts, &format!("{payouts} \"default\": true,"));
    let import = format!("db import -d {} --by ada", copy.path().display());
    desk.does(&import);

    let second = desk.answers("db propose Second --trust trust.json --by ada");
    assert_eq!((&second["id"], &second["status"]), (&json!(2), &json!("draft")));
    let (shown, binding) = (desk.does("db proposals 2"), second["binding"].as_str().unwrap());
    assert!(shown.starts_with("proposal 2: Second\n  draft, proposed by ada\n"), "{shown}");
    assert!(shown.contains(binding), "who approves it has to name that: {shown}");
    assert_eq!(desk.answers("db proposals 2"), second);
    desk.fails("db proposals 99", 4, "not_found", "`99`");
    let rejected = desk.does("db reject 2 --reason later --by ben");
    assert!(rejected.contains("rejected") && rejected.contains("later"), "{rejected}");
    assert_eq!(desk.answers("db proposals 2")["status"], "rejected");
    desk.fails(&format!("db approve 2 --binding {binding} --by ben"), 1, "not_approved", "rejected");
    desk.fails("db reject 99 --reason later --by ben", 4, "not_found", "`99`");
    assert_eq!(desk.types("db reject 2 --by ben").code, 2, "why is said");

    let third = desk.approves("Third");
    assert_eq!(desk.types(&format!("db publish --share 500 {PEN}")).code, 2, "of what?");
    assert_eq!(desk.types(&format!("db publish {third} --share 1001 {PEN}")).code, 2);
    assert_eq!(desk.types(&format!("db publish {third} --unstage {PEN}")).code, 2);
    desk.fails(&format!("db publish --at {NOW} {PEN}"), 2, "usage", "--at");
    let on_trial = desk.publishes(&format!("{third} --share 500"));
    let ended = desk.publishes("--unstage");
    let in_force = desk.publishes(&third.to_string());
    assert!(1 < on_trial && on_trial < ended && ended < in_force, "{on_trial} {ended} {in_force}");
    assert_eq!(desk.answers(&format!("db proposals {third}"))["status"], "published");

    // What it does is shown first, and nothing is done.
    let rollback = format!("db rollback 1 {PEN} --by ben");
    let ran = desk.types(&rollback);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(
        ran.err.contains("revision 1 in force again") && ran.err.contains("hint: ") && ran.err.contains("--yes"),
        "{}",
        ran.err
    );
    let lost = squeezed(&ran.err);
    assert!(lost.contains("FEATURE GAINED LOST MOVED PLAN instant_payouts 0 "), "{lost}");
    let shown = desk.types(&format!("{rollback} --json")).json();
    assert_eq!(shown["error"]["code"], "confirmation_required");
    assert!(shown["error"]["effect"]["affected"].as_i64() > Some(0), "{shown}");
    assert_eq!(desk.answers("db recall om-muscat-sparkle --trust trust.json")["revision"], json!(in_force));
    let back = desk.answers(&format!("{rollback} --yes"));
    let back = &back["publications"][0];
    assert_eq!(back["effect"]["affected"], shown["error"]["effect"]["affected"]);
    let back = back["revision"].as_u64().unwrap();
    assert!(back > in_force);
    desk.fails(&format!("db rollback {} {PEN}", back + 1), 4, "not_found", &(back + 1).to_string());
    assert_eq!(desk.types(&format!("db rollback first {PEN}")).code, 2);
    // What is authored stayed as it is: it can be proposed again.
    desk.adopts("Fourth");
    assert!(desk.does("audit verify").starts_with("verified: "));
}

/// Whoever stays publishes what comes.
#[tokio::test]
async fn who_stays_publishes_what_comes() {
    let desk = Desk::published("stay").await;
    let mut staying = program()
        .args(format!("db publish --stay {PEN} --json").split(' '))
        .current_dir(desk.folder.path())
        .env("DATABASE_URL", &desk.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(staying.stdout.take().unwrap());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    for (number, plan) in ["business", "starter"].iter().enumerate() {
        let phase = json!({ "kind": "paid", "plan": plan, "from": "2025-01-30T20:00:00Z" });
        desk.write("change.json", &json!({ "change": "put_phase", "id": "growth-2025", "phase": phase }).to_string());
        desk.does("db tenant om-muscat-sparkle change.json --by ada");
        let line = told.recv_timeout(Duration::from_secs(30)).unwrap_or_else(|error| panic!("{plan}: {error}"));
        let publication: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&publication["revision"], &publication["changes"]), (&json!(number + 2), &json!(1)));
        assert_eq!(desk.answers("db recall om-muscat-sparkle --trust trust.json")["revision"], json!(number + 2));
    }
    staying.kill().unwrap();
    staying.wait().unwrap();
}

/// Whoever changes something may wait until it is published, for so long.
#[tokio::test]
async fn changes_are_waited_for() {
    let desk = Desk::published("wait").await;
    let write = |plan: &str| {
        let phase = json!({ "kind": "paid", "plan": plan, "from": "2025-01-30T20:00:00Z" });
        desk.write("change.json", &json!({ "change": "put_phase", "id": "growth-2025", "phase": phase }).to_string());
    };
    let change = "db tenant om-muscat-sparkle change.json --by ada";
    // Nobody publishes: that is said, and the change is made all the same.
    write("business");
    let text = desk.denies(&format!("{change} --wait 1s"));
    assert!(text.ends_with("not published within 1s; it is on its way still\n"), "{text}");
    let ran = desk.types("db kill delivery --id k-1 --reason fees --by ada --wait 1s --json");
    assert_eq!((ran.code, &ran.json()["timed_out"], &ran.json()["revision"]), (1, &json!(true), &Value::Null));
    assert_eq!(desk.types(&format!("{change} --wait soon")).code, 2);

    let mut staying = program()
        .args(format!("db publish --stay {PEN} --json").split(' '))
        .current_dir(desk.folder.path())
        .env("DATABASE_URL", &desk.url)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    write("starter");
    // Together with what waits already, or after it.
    let first = desk.answers(&format!("{change} --wait 60s"));
    let revision = first["revision"].as_u64().unwrap();
    assert!((2..=3).contains(&revision) && first["timed_out"] == false, "{first}");
    assert_eq!(desk.answers("db recall om-muscat-sparkle --trust trust.json")["revision"], first["revision"]);
    let text = desk.does("db kill orders --id k-2 --reason fees --by ada --wait 60s");
    assert!(
        text.contains("is off from ") && text.ends_with(&format!("published as revision {}\n", revision + 1)),
        "{text}"
    );
    let copy = crate::run::copy();
    let import = format!("db import -d {} --by ada --wait 60s", copy.path().display());
    let text = desk.does(&import);
    let taken = format!("\npublished as revision {}\n", revision + 2);
    assert!(text.contains(&taken), "it takes the tenant back: {text}");
    assert_eq!(desk.answers(&import)["change"], Value::Null);
    assert!(desk.does(&import).contains("\nnothing of it is to be published\n"));

    // By definitions that are authored and not in force it would be right.
    let feature = json!({ "features": { "brand_new": { "name": "New", "name2": "جديد", "group": "module", "kind": "switch",
        "default": false } } });
    desk.write("more/new.json", &feature.to_string());
    desk.does("db import -d more --by ada");
    let kill = "db kill brand_new --id k-3 --reason fees --by ada --wait 60s";
    let ran = desk.types(kill);
    assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{}", ran.err);
    assert!(ran.err.contains("[kept_back]") && ran.err.contains("error[unknown_feature]"), "{}", ran.err);
    let ran = desk.types(&format!("{} --json", kill.replace("k-3", "k-4")));
    assert_eq!((ran.code, &ran.json()["error"]["code"]), (3, &json!("kept_back")));
    assert_eq!(ran.json()["error"]["diagnostics"][0]["code"], "unknown_feature");
    staying.kill().unwrap();
    staying.wait().unwrap();
}

/// A kill switch is in force at once, and lifted by a proposal.
#[tokio::test]
async fn kill_switches_are_laid_and_lifted() {
    let desk = Desk::published("kill").await;
    let is_on = || {
        let entitlements = desk.entitlements("om-muscat-sparkle");
        entitlements["features"].as_array().unwrap().contains(&json!("delivery"))
    };
    assert!(is_on());
    let laid = desk.does("db kill delivery --id k-1 --reason fees --by ada");
    assert!(laid.starts_with("kill switch k-1 is laid: delivery is off from "), "{laid}");
    desk.publishes("");
    assert!(!is_on());
    desk.fails("db kill delivery --id k-1 --reason fees --by ada", 3, "already_exists", "`k-1`");
    desk.fails("db kill deliveries --id k-2 --reason fees --by ada", 4, "not_found", "`deliveries`");
    let backwards = "db kill delivery --id k-2 --reason fees --at 2199-01-02T00:00:00Z --until 2199-01-01T00:00:00Z";
    desk.fails(backwards, 2, "usage", "--until");
    let later = desk.answers(
        "db kill delivery --id k-2 --reason fees --at 2199-01-01T00:00:00Z --until 2199-01-02T00:00:00Z --by ada",
    );
    assert_eq!((&later["id"], &later["row_version"]), (&json!("k-2"), &json!(1)));
    assert_eq!((&later["kill"]["since"], &later["kill"]["actor"]), (&json!("2199-01-01T00:00:00Z"), &json!("ada")));

    assert!(desk.does("db remove kill k-1 --by ada").contains("approved proposal"));
    desk.fails("db remove kill k-1 --by ada", 4, "not_found", "`k-1`");
    desk.publishes("");
    assert!(!is_on(), "nobody has approved it");
    desk.adopts("Lift");
    assert!(is_on());
    desk.does("db export --out exported");
    let kills: Value = serde_json::from_str(&desk.read("exported/kills.json")).unwrap();
    assert!(kills["kills"]["k-2"].is_object() && kills["kills"]["k-1"].is_null(), "{kills}");
}

#[tokio::test]
async fn records_are_retired_and_removed() {
    let desk = Desk::published("records").await;
    let retired = desk.does("db retire plan starter --by ada");
    assert!(retired.starts_with("plan starter is retired"), "{retired}");
    let phase = json!({ "kind": "paid", "plan": "starter", "from": "2026-01-30T20:00:00Z" });
    desk.write("change.json", &json!({ "change": "put_phase", "id": "new", "phase": phase }).to_string());
    desk.fails("db tenant om-muscat-sparkle change.json --by ada", 3, "constraint_violated", "starter");
    assert!(desk.answers("db retire add-on extra_pos --by ada")["row_version"].is_i64());
    desk.fails("db retire plan starters --by ada", 4, "not_found", "`starters`");
    assert_eq!(desk.types("db retire feature delivery --by ada").code, 2, "such records are not retired");

    desk.write(
        "more/guard.json",
        &json!({ "guards": { "spare": { "name": "Spare", "name2": "Spare", "inputs": {}, "settings": {},
            "expression": "true" } } })
        .to_string(),
    );
    desk.does("db import -d more --by ada");
    assert!(desk.does("db remove guard spare --by ada").starts_with("guard spare is removed"));
    desk.fails("db remove guard spare --by ada", 4, "not_found", "`spare`");
    // Of what was published or is named, nothing is removed.
    let (named, hint) = ("[constraint_violated]", "hint: something names it");
    for (kind, key, told, more) in [
        ("plan", "growth", named, hint),
        ("feature", "delivery", "error[unknown_feature] /plans/business/", "feature `delivery` is still named here"),
        ("add-on", "extra_pos", named, hint),
        ("workflow", "order", named, hint),
    ] {
        let ran = desk.types(&format!("db remove {kind} {key} --by ada"));
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{kind} {key}: {}", ran.err);
        assert!(ran.err.contains(told) && ran.err.contains(more), "{}", ran.err);
    }
    assert_eq!(desk.types("db remove tenant om-muscat-sparkle --by ada").code, 2);
    desk.fails("db remove feature -- Bad!", 2, "usage", "Bad!");
}

#[tokio::test]
async fn tenants_change_one_thing_at_a_time() {
    let desk = Desk::published("tenant").await;
    let phase = |plan: &str| {
        let phase = json!({ "kind": "paid", "plan": plan, "from": "2025-01-30T20:00:00Z" });
        json!({ "change": "put_phase", "id": "growth-2025", "phase": phase }).to_string()
    };
    desk.write("change.json", &phase("business"));
    let change = "db tenant om-muscat-sparkle change.json --by ada";
    let first = desk.answers(&format!("{change} --seen 1 --key order-1"));
    assert_eq!((&first["tenant"], &first["row_version"]), (&json!("om-muscat-sparkle"), &json!(2)));
    assert!(first["change"].is_i64());
    assert_eq!(desk.answers(&format!("{change} --seen 1 --key order-1")), first, "asked again, answered as before");
    desk.fails(&format!("{change} --seen 1"), 3, "row_version_conflict", "version 2");
    let text = desk.does(&format!("{change} --seen 2"));
    assert!(text.starts_with("tenant om-muscat-sparkle has row version 3, by change "), "{text}");
    desk.write("change.json", &phase("enterprise"));
    desk.fails(&format!("{change} --key order-1"), 3, "idempotency_key_reused", "`order-1`");
    desk.fails(&format!("{change} --at {NOW}"), 2, "usage", "--at");
    assert_eq!(desk.types(&format!("{change} --key {}", "k".repeat(256))).code, 2);
    desk.fails("db tenant nobody change.json --by ada", 4, "not_found", "`nobody`");
    desk.fails("db tenant om-muscat-sparkle none.json --by ada", 5, "io", "none.json");
    desk.write("change.json", &phase("gold"));
    desk.fails(change, 3, "definitions_refused", "gold");
    desk.write("change.json", &json!({ "change": "put_phase", "id": "p", "phase": { "kind": "free" } }).to_string());
    desk.fails(change, 3, "definitions_refused", "change.json#/phase/kind");
    desk.write("change.json", "{}");
    desk.fails(change, 3, "definitions_refused", "change.json");

    // Over standard input; and what was changed is published.
    let mut asking = program()
        .args(["db", "tenant", "om-muscat-sparkle", "-", "--by", "ada"])
        .current_dir(desk.folder.path())
        .env("DATABASE_URL", &desk.url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    asking.stdin.take().unwrap().write_all(phase("starter").as_bytes()).unwrap();
    let output = asking.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout.starts_with(b"tenant om-muscat-sparkle has row version 4"));
    desk.publishes("");
    desk.does("db export --out exported");
    let tenants: Value = serde_json::from_str(&desk.read("exported/tenants/gcc-om.json")).unwrap();
    assert_eq!(tenants["tenants"]["om-muscat-sparkle"]["phases"]["growth-2025"]["plan"], "starter");
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
    assert!(desk.does("audit verify --hq").starts_with("verified: 0 chains, 0 entries\n"));
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
    // A chain that is not there is no chain that is good.
    desk.fails("audit verify --tenant acne", 4, "not_found", "`acne`");
    desk.fails("audit verify .", 5, "io", "`.`");
    desk.fails("audit verify all.jsonl --tenant acne", 4, "not_found", "`acne`");
    desk.fails("audit export --out acne.jsonl --tenant acne", 4, "not_found", "`acne`");
    assert!(!desk.folder.path().join("acne.jsonl").exists());
    desk.fails(&format!("audit verify --at {NOW}"), 2, "usage", "--at");
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
