//! What happens when something goes away: the server, the database, followers.

use super::{Answer, Served, ask, until};
use leasehold::follow::Follower;
use leasehold::wire::{SecretKey, Trust};
use leasehold::{HttpFollowing, HttpOptions, Keep, Revision, Timestamp};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

pub(super) fn trust(stream: &str) -> Trust {
    let roots = [SecretKey::from_seed(&[1; 32]).public()];
    let trust = json!({ "issuer": "hq.example", "environment": "test", "stream": stream, "roots": roots });
    Trust::from_json(trust.to_string().as_bytes()).unwrap()
}

pub(super) fn follow(served: &Served, token: &str, engine: &str) -> HttpFollowing {
    let options = HttpOptions::new(&served.base, token).unwrap();
    let follower = Follower::of_engine(trust("GCC-OM"), engine.parse().unwrap());
    HttpFollowing::start(follower, options, Keep::default()).unwrap()
}

pub(super) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Moves a tenant to another plan, and gives the revision.
pub(super) fn move_to(served: &Served, plan: &str) -> u64 {
    let phase = json!({ "kind": "paid", "plan": plan, "from": "2026-09-11T20:00:00Z" });
    let written = served.does(200, "PUT", "/v1/tenants/ae-alain-oasis/subscriptions/2-starter", &phase);
    written["revision"].as_u64().unwrap()
}

fn delivers(following: &HttpFollowing) -> bool {
    following.engine().is_enabled("ae-alain-oasis", "delivery", now()).unwrap()
}

const PATIENCE: Duration = Duration::from_secs(60);

/// HQ is killed while a hundred engines follow: they go on deciding, come back, and converge.
#[tokio::test]
async fn a_hundred_engines_outlive_hq() {
    let mut served = Served::new("hundred").await;
    let token = served.token(&["snapshots:read", "engines:report"], &json!({ "region": "GCC-OM" }));
    let engines: Vec<HttpFollowing> = (0..100).map(|n| follow(&served, &token, &format!("engine-{n}"))).collect();
    let revision = Revision::new(move_to(&served, "growth")).unwrap();
    for engine in &engines {
        engine.following().wait_for(revision, PATIENCE).unwrap();
        assert!(delivers(engine));
    }
    served.kill();
    assert!(engines.iter().all(delivers), "they go on deciding");
    served.again(&[]);
    let revision = Revision::new(move_to(&served, "starter")).unwrap();
    for engine in &engines {
        engine.following().wait_for(revision, PATIENCE).unwrap();
        assert!(!delivers(engine));
    }
    // HQ knows: every engine has what it is to have.
    let waited = served.does(200, "GET", &format!("/v1/fleet/wait?revision={revision}&timeout_ms=20000"), &Value::Null);
    assert_eq!((&waited["reached"], &waited["engines"]), (&json!(true), &json!(100)), "{waited}");
    let fleet = served.does(200, "GET", "/v1/fleet?limit=60", &Value::Null);
    assert_eq!(fleet["items"].as_array().unwrap().len(), 60);
    let next = served.does(
        200,
        "GET",
        &format!("/v1/fleet?limit=60&after={}", fleet["next"].as_str().unwrap().replace(' ', "%20")),
        &Value::Null,
    );
    assert_eq!((next["items"].as_array().unwrap().len(), &next["next"]), (40, &Value::Null));
    assert!(next["items"].as_array().unwrap().iter().all(|one| one["converged"] == true && one["refused"].is_null()));
}

/// Writes one change after the other until nobody answers any more; gives the revisions that were answered.
fn write_until_it_dies(base: &str, token: &str, run: u64) -> Vec<u64> {
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build());
    let url = format!("{base}/v1/tenants/ae-alain-oasis/subscriptions/2-starter");
    let mut answered = Vec::new();
    for (number, plan) in ["growth", "starter"].into_iter().cycle().enumerate() {
        // No two are alike: each has a revision of its own.
        let from = format!("2026-09-{:02}T20:{:02}:{:02}Z", 12 + run, number / 60 % 60, number % 60);
        let phase = json!({ "kind": "paid", "plan": plan, "from": from });
        let put = agent.put(&url).header("authorization", format!("Bearer {token}"));
        let put = put.header("idempotency-key", format!("{run}-{number}")).content_type("application/json");
        let Ok(mut answer) = put.send(phase.to_string()) else { break };
        let Ok(text) = answer.body_mut().read_to_string() else { break };
        let written: Value = serde_json::from_str(&text).unwrap();
        answered.extend(written["revision"].as_u64());
    }
    answered
}

/// HQ is killed in the middle of publishing, again and again: what was answered is published, in one order without a gap,
/// and whatever was begun is finished or was never there.
#[tokio::test]
async fn hq_may_be_killed_while_it_publishes() {
    let mut served = Served::new("killed").await;
    let token = served.token(&["snapshots:read"], &json!({ "region": "GCC-OM" }));
    let engine = follow(&served, &token, "one");
    let mut answered = Vec::new();
    for run in 0..5 {
        let (base, admin) = (served.base.clone(), served.admin.clone());
        let writer = std::thread::spawn(move || write_until_it_dies(&base, &admin, run));
        std::thread::sleep(Duration::from_millis(60 + 37 * run));
        served.kill();
        answered.extend(writer.join().unwrap());
        served.again(&[]);
    }
    assert!(answered.is_sorted_by(|one, next| one < next), "{answered:?}");
    let last = move_to(&served, "growth");
    assert!(answered.iter().all(|one| *one < last));
    engine.following().wait_for(Revision::new(last).unwrap(), PATIENCE).unwrap();
    assert!(delivers(&engine));
    let mut connection = PgConnection::connect(&served.desk.url).await.unwrap();
    let published: i64 = sqlx::query_scalar("SELECT count(DISTINCT revision) FROM leasehold.sys_head_history")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(published.cast_unsigned(), last, "every revision is there");
    let verified = served.does(200, "GET", "/v1/audit/verification", &Value::Null);
    assert_eq!(verified["good"], true, "{verified}");
}

/// The clock of a running HQ jumps back and ahead: heads stay in one order, every change arrives, and nobody is let in for
/// longer.
#[tokio::test]
async fn a_clock_that_jumps_breaks_nothing() {
    // Debian's `faketime`: what it preloads reads how far the clock is off from a file. Time that passes stays right.
    let faked = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let faked = faked.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let faked = faked.into_iter().find(|path| path.exists()).expect("install Debian's `faketime`");
    let desk = super::desk("clock").await;
    let clock = desk.folder.path().join("clock");
    let jump = |by: &str| std::fs::write(&clock, by).unwrap();
    jump("+0");
    let settings = [
        ("LD_PRELOAD", faked.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let served = Served::start(desk, &settings);
    served.adopt_reference();
    let token = served.token(&["snapshots:read", "engines:report"], &json!({ "region": "GCC-OM" }));
    let engine = follow(&served, &token, "one");
    let reached = |revision: u64| engine.following().wait_for(Revision::new(revision).unwrap(), PATIENCE).unwrap();
    jump("-2h");
    reached(move_to(&served, "growth"));
    assert!(delivers(&engine));
    jump("+2d");
    // By that clock the session is over.
    let refused = served.ask("GET", "/v1/identity", &[], &Value::Null);
    assert_eq!((refused.status, &*refused.code()), (401, "unauthorized"));
    let again = json!({ "staff": "admin", "password": served.password });
    let again = served.ask_as("", "POST", "/v1/sessions", &again).json()["token"].as_str().unwrap().to_owned();
    let phase = json!({ "kind": "paid", "plan": "starter", "from": "2026-09-11T20:00:00Z" });
    let path = "/v1/tenants/ae-alain-oasis/subscriptions/2-starter";
    let written = served.ask_as(&again, "PUT", path, &phase);
    assert_eq!(written.status, 200, "{written:?}");
    reached(written.json()["revision"].as_u64().unwrap());
    assert!(!delivers(&engine));
    jump("+0");
    reached(move_to(&served, "growth"));
    assert!(delivers(&engine));
    // What is asked about an instant is answered for that, whatever the clock says.
    let then =
        served.does(200, "GET", "/v1/tenants/ae-alain-oasis/features/delivery?at=2026-09-11T21:00:00Z", &Value::Null);
    assert_eq!(then["enabled"], true, "{then}");
    assert_eq!(engine.following().health().faults, []);
}

/// SIGTERM: followers of events are let go, what is under way is finished, and the exit is a good one.
#[tokio::test]
async fn it_ends_when_it_is_asked_to() {
    let mut served = Served::new("ends").await;
    let token = served.token(&["snapshots:read", "engines:report"], &json!({ "region": "GCC-OM" }));
    let engine = follow(&served, &token, "one");
    let status = served.terminate();
    assert!(status.success(), "{status:?}");
    assert!(!delivers(&engine));
}

/// Ends what goes on beside a test, whether that fails or not.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Connections to the database are cut again and again under load: no answer is wrong, and it recovers alone.
#[tokio::test]
async fn a_database_that_restarts_makes_no_answer_wrong() {
    use leasehold_postgres::cluster::{Cluster, Durability};
    // A server of its own: others are not to be restarted with it.
    let cluster = Cluster::start(Durability::ProcessOnly).unwrap();
    let desk = super::desk_on(cluster.url("postgres")).await;
    let served = Served::start(desk, &[]);
    served.adopt_reference();
    let token = served.token(&["decisions:read"], &json!({ "tenant": "om-muscat-sparkle" }));
    let path = "/v1/tenants/om-muscat-sparkle/features/delivery";
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = Over(&stop);
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let answer = ask(&served.base, &token, "GET", path, &[], b"");
                        match answer.status {
                            200 => assert_eq!(answer.json()["enabled"], true),
                            // Refused at once, it asks more often than it may.
                            503 | 429 => assert!(!answer.header("retry-after").is_empty()),
                            other => panic!("{other}: {answer:?}"),
                        }
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        for _ in 0..2 {
            cluster.restart(Durability::ProcessOnly).unwrap();
        }
        // Who watches is told while nobody else can be; and those alone who were let in for it before.
        let [watcher, late] = [(); 2].map(|()| served.token(&["metrics:read"], &json!({})));
        let other = served.token(&["hq:read"], &json!({}));
        let metrics = |token: &str| ask(&served.base, token, "GET", "/metrics", &[], b"");
        let says = |answer: &Answer, line: &str| String::from_utf8_lossy(&answer.bytes).lines().any(|it| it == line);
        // As whoever scrapes them does, again and again: after a restart, rights are looked up anew.
        for _ in 0..30 {
            assert!(says(&metrics(&watcher), "leasehold_database_up 1"));
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(metrics(&other).status, 403);
        cluster.crash().unwrap();
        until("metrics say so", || {
            let answer = metrics(&watcher);
            answer.status == 200 && says(&answer, "leasehold_database_up 0")
        });
        for nobody in [&late, &other, &served.admin] {
            assert_eq!(metrics(nobody).status, 503);
        }
        until("it says that it is not ready", || ask(&served.base, "", "GET", "/readyz", &[], b"").status == 503);
        assert_eq!(ask(&served.base, "", "GET", "/healthz", &[], b"").status, 200);
        cluster.resume(Durability::ProcessOnly).unwrap();
        until("it is ready again", || ask(&served.base, "", "GET", "/readyz", &[], b"").status == 200);
        until("it answers again", || ask(&served.base, &token, "GET", path, &[], b"").status == 200);
        until("others are let in again", || metrics(&late).status == 200);
        drop(over);
        assert!(asking.into_iter().map(|one| one.join().unwrap()).sum::<u32>() > 0);
    });
    // And it publishes again.
    until("it publishes", || {
        let phase = json!({ "kind": "paid", "plan": "growth", "from": "2026-09-11T20:00:00Z" });
        let path = "/v1/tenants/ae-alain-oasis/subscriptions/2-starter";
        let answer = served.ask("PUT", path, &[], &phase);
        answer.status == 200 && answer.json()["revision"].is_u64()
    });
}
