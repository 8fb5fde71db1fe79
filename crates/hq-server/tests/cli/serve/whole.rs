//! The whole of it, as users have it: from definitions to engines, and back by what they report.

use super::faults::{follow, move_to, now, trust};
use super::{Answer, Served, ask, until};
use leasehold::follow::Follower;
use leasehold::wire::{Pack, Trust};
use leasehold::{Revision, Snapshot};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_change_reaches_an_engine_and_a_kill_switch_too() {
    let served = Served::new("whole").await;
    let token = served.token(&["snapshots:read", "engines:report"], &json!({ "region": "GCC-OM" }));
    let engine = follow(&served, &token, "checkout-1");
    let delivers = || engine.engine().is_enabled("ae-alain-oasis", "delivery", now()).unwrap();
    assert!(!delivers());
    let reached = |revision: u64| engine.following().wait_for(Revision::new(revision).unwrap(), PATIENCE).unwrap();
    reached(move_to(&served, "growth"));
    assert!(delivers());

    // A kill switch, at once and for everybody; sent again under its key, it is the same one.
    let kill =
        json!({ "feature": "delivery", "since": "2026-01-01T00:00:00Z", "reason": "wrong fees", "actor": "admin" });
    let lay = || served.ask("PUT", "/v1/kills/k1", &[("if-none-match", "*"), ("idempotency-key", "kill-1")], &kill);
    let laid = lay();
    assert_eq!(laid.status, 201, "{laid:?}");
    reached(laid.json()["revision"].as_u64().unwrap());
    assert!(!delivers());
    assert_eq!(lay().json(), laid.json(), "sent again, it is answered alike");
    // Keys are each caller's own.
    let dina = served.staff("dina", "tech_admin");
    let theirs = [("if-match", "\"77\""), ("idempotency-key", "kill-1")];
    let theirs = ask(&served.base, &dina, "PUT", "/v1/kills/k1", &theirs, kill.to_string().as_bytes());
    assert_eq!(theirs.code(), "row_version_conflict");
    let other = served.ask("PUT", "/v1/kills/k2", &[("if-none-match", "*"), ("idempotency-key", "kill-1")], &kill);
    assert_eq!((other.status, &*other.code()), (422, "idempotency_key_reused"));

    // Lifting it needs a proposal that somebody else approves.
    let read = served.ask("GET", "/v1/kills/k1", &[], &Value::Null);
    assert_eq!((read.status, read.header("etag")), (200, "\"1\""));
    let removed = served.ask("DELETE", "/v1/kills/k1", &[("if-match", "\"1\"")], &Value::Null);
    assert_eq!(removed.status, 204, "{removed:?}");
    let proposal = served.does(201, "POST", "/v1/proposals", &json!({ "title": "Fees are right again" }));
    assert_eq!(proposal["lifts"], json!(["k1"]));
    let approve = format!("/v1/proposals/{}/approve", proposal["id"]);
    let own = served.ask("POST", &approve, &[], &json!({ "binding": proposal["binding"] }));
    assert_eq!((own.status, &*own.code()), (409, "not_approved"));
    let cem = served.staff("cem", "tech_admin");
    assert_eq!(served.ask_as(&cem, "POST", &approve, &json!({ "binding": proposal["binding"] })).status, 200);
    let published = served.ask_as(&cem, "POST", &format!("/v1/proposals/{}/publish", proposal["id"]), &Value::Null);
    reached(published.json()["revision"].as_u64().unwrap());
    assert!(delivers());

    // The audit log tells of it, with traces, and is whole.
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let phase = json!({ "kind": "paid", "plan": "growth", "from": "2026-09-11T20:00:00Z" });
    let put =
        served.ask("PUT", "/v1/tenants/ae-alain-oasis/subscriptions/2-starter", &[("traceparent", parent)], &phase);
    assert_eq!(put.status, 200);
    let own = served.does(200, "GET", "/v1/audit?tenant=ae-alain-oasis", &Value::Null);
    let last = own["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["actor"], &last["trace_id"]), (&json!("admin"), &json!("4bf92f3577b34da6a3ce929d0e0e4736")));
    let hq = served.does(200, "GET", "/v1/audit?limit=500", &Value::Null);
    let actions: Vec<&str> =
        hq["items"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    for action in ["staff.added", "token.created", "definitions.published", "proposal.approved", "staff.signed_in"] {
        assert!(actions.contains(&action), "{action}: {actions:?}");
    }
    let verified = served.does(200, "GET", "/v1/audit/verification", &Value::Null);
    assert_eq!((&verified["good"], &verified["found"]), (&json!(true), &json!(0)), "{verified}");
    let signed = served.does(201, "POST", "/v1/audit/checkpoint", &Value::Null);
    let document = signed["checkpoint"].as_str().unwrap();
    assert!(trust("GCC-OM").checkpoint(document.as_bytes()).is_ok());
    let last = served.ask("GET", "/v1/audit/checkpoint", &[], &Value::Null);
    assert_eq!(last.bytes, document.as_bytes());

    // What was known before is still known; the future of a plan can be supposed.
    let then = served.does(200, "GET", "/v1/tenants/ae-alain-oasis/entitlements", &Value::Null);
    assert_eq!(then["plan"], "growth");
    let supposed = json!({ "plan": { "key": "starter" }, "usage": { "max_users": 9 } });
    let what_if = served.does(200, "POST", "/v1/tenants/ae-alain-oasis/what-if", &supposed);
    assert!(what_if["lost"].as_array().unwrap().iter().any(|one| one == "delivery"), "{what_if}");
    let why = served.does(200, "GET", "/v1/tenants/ae-alain-oasis/features/delivery/explanation", &Value::Null);
    assert_eq!(why["decision"]["enabled"], true, "{why}");
}

#[tokio::test]
async fn definitions_are_written_record_by_record() {
    let served = Served::new("records").await;
    for (path, key) in [
        ("/v1/features", "delivery"),
        ("/v1/plans", "growth"),
        ("/v1/add-ons", "sms_pack"),
        ("/v1/guards", "requires_invoice"),
        ("/v1/workflows", "order"),
    ] {
        let page = served.does(200, "GET", &format!("{path}?limit=1"), &Value::Null);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{path}");
        let one = served.ask("GET", &format!("{path}/{key}"), &[], &Value::Null);
        if one.status == 404 {
            // Guards that are built in are not among the definitions.
            assert_eq!(path, "/v1/guards");
            continue;
        }
        // Written as it was read, it is a version later.
        let etag = one.header("etag").to_owned();
        let written = served.ask("PUT", &format!("{path}/{key}"), &[("if-match", &etag)], &one.json());
        assert_eq!(written.status, 200, "{path}: {written:?}");
        assert_ne!(written.header("etag"), etag);
        let again = served.ask("PUT", &format!("{path}/{key}"), &[("if-match", &etag)], &one.json());
        assert_eq!((again.status, &*again.code()), (412, "row_version_conflict"), "{path}");
        let taken = served.ask("PUT", &format!("{path}/{key}"), &[("if-none-match", "*")], &one.json());
        assert_eq!((taken.status, &*taken.code()), (409, "already_exists"), "{path}");
    }
    // All pages together are all records, once.
    let (mut keys, mut after) = (Vec::new(), String::new());
    loop {
        let page = served.does(200, "GET", &format!("/v1/features?limit=7{after}"), &Value::Null);
        keys.extend(page["items"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let all = served.does(200, "GET", "/v1/features?limit=500", &Value::Null);
    assert_eq!(keys.len(), all["items"].as_array().unwrap().len());
    assert!(keys.is_sorted());

    let feature = json!({ "kind": "switch", "name": "Drones", "name2": "طائرات", "group": "module" });
    let created =
        served.ask("PUT", "/v1/features/drones?file=features%2Fnew.json", &[("if-none-match", "*")], &feature);
    assert_eq!((created.status, created.header("etag")), (201, "\"1\""), "{created:?}");
    let exported = served.does(200, "GET", "/v1/definitions", &Value::Null);
    assert_eq!(exported["files"]["features/new.json"]["features"]["drones"], feature);

    // A new version of a plan; the published ones stay as they are.
    let versions = served.does(200, "GET", "/v1/plans/growth/versions", &Value::Null);
    let newest = versions["items"].as_array().unwrap().last().unwrap().clone();
    let (number, mut version) = (newest["key"].as_str().unwrap().parse::<u32>().unwrap(), newest["value"].clone());
    version["effective_from"] = json!("2027-06-01T00:00:00Z");
    let published = served.ask("PUT", &format!("/v1/plans/growth/versions/{number}"), &[("if-match", "*")], &version);
    assert_eq!(published.code(), "invalid_definitions", "{published:?}");
    let next = format!("/v1/plans/growth/versions/{}", number + 1);
    let put = served.ask("PUT", &next, &[("if-match", "*")], &version);
    assert_eq!(put.status, 200, "{put:?}");
    assert_eq!(served.ask("GET", &next, &[], &Value::Null).json()["effective_from"], "2027-06-01T00:00:00Z");
    let retired = served.ask("POST", "/v1/plans/starter/retire", &[("if-match", "*")], &Value::Null);
    assert_eq!(retired.status, 200, "{retired:?}");
    // Whichever version it is, somebody else may be faster.
    let growth = served.does(200, "GET", "/v1/plans/growth", &Value::Null);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (mut growth, base, admin) = (growth.clone(), &served.base, &served.admin);
            scope.spawn(move || {
                for number in 0..5 {
                    growth["name"] = json!(format!("Growth {writer}.{number}"));
                    let put = growth.to_string();
                    let put = ask(base, admin, "PUT", "/v1/plans/growth", &[("if-match", "*")], put.as_bytes());
                    assert_eq!(put.status, 200, "{put:?}");
                }
            });
        }
    });
    // Proposed twice under one key, it is one proposal.
    let propose = || {
        ask(
            &served.base,
            &served.admin,
            "POST",
            "/v1/proposals",
            &[("idempotency-key", "p1")],
            br#"{"title":"Drones"}"#,
        )
    };
    let (first, second) = (propose(), propose());
    assert_eq!((first.status, second.status), (201, 201), "{second:?}");
    assert_eq!(first.json()["id"], second.json()["id"]);
    let rejected = served.does(
        200,
        "POST",
        &format!("/v1/proposals/{}/reject", first.json()["id"]),
        &json!({ "reason": "too loud" }),
    );
    assert_eq!(rejected["status"], "rejected");
}

#[tokio::test]
async fn tenants_and_all_that_belongs_to_them() {
    let served = Served::new("tenants").await;
    let tenant = json!({ "name": "New", "name2": "جديد", "region": "GCC-OM", "anchor": "2026-11-01T00:00:00Z" });
    let create =
        || served.ask("PUT", "/v1/tenants/om-new", &[("if-none-match", "*"), ("idempotency-key", "c")], &tenant);
    let (created, again) = (create(), create());
    assert_eq!((created.status, again.status), (201, 201), "{again:?}");
    assert_eq!(created.json(), again.json(), "the same answer");
    let base = "/v1/tenants/om-new";
    let from = "2026-11-01T00:00:00Z";
    for (method, path, body) in [
        ("PUT", "subscriptions/s1", json!({ "kind": "paid", "plan": "growth", "from": from })),
        ("PUT", "licences/l1", json!({ "add_on": "sms_pack", "quantity": 2, "from": from })),
        (
            "PUT",
            "overrides/o1",
            json!({ "feature": "max_users", "op": "add", "value": 3, "reason": "launch", "actor": "admin" }),
        ),
        ("PUT", "blocks/b1", json!({ "kind": "warned", "laid_by": "staff", "since": from, "reason": "late" })),
        ("POST", "blocks/b1/lift", json!({ "by": "staff", "reason": "paid" })),
        ("PUT", "preferences", json!({ "off": ["delivery"] })),
        ("PUT", "workflows/order", json!({ "version": 1 })),
        ("DELETE", "workflows/order", Value::Null),
        ("DELETE", "overrides/o1", Value::Null),
        ("DELETE", "licences/l1", Value::Null),
    ] {
        let answer = served.ask(method, &format!("{base}/{path}"), &[], &body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", String::from_utf8_lossy(&answer.bytes));
        assert!(answer.json()["revision"].is_u64(), "{method} {path}");
    }
    let read = served.ask("GET", base, &[], &Value::Null);
    assert_eq!(read.json()["preferences"]["off"], json!(["delivery"]));
    until("the server's engine has it", || {
        let decision = served.ask("GET", &format!("{base}/features/delivery"), &[], &Value::Null);
        decision.status == 200 && decision.json()["reason"] == "preference"
    });
    let wrong = served.ask("PUT", &format!("{base}/subscriptions/s2"), &[], &json!({ "kind": "free", "plan": "none" }));
    assert_eq!(wrong.code(), "invalid_definitions");
    assert!(wrong.json()["diagnostics"].as_array().unwrap().iter().any(|one| one["path"] == "/kind"), "{wrong:?}");
    let of_nothing = json!({ "feature": "nothing", "op": "set", "value": true, "reason": "r", "actor": "a" });
    let wrong = served.ask("PUT", &format!("{base}/overrides/o9"), &[], &of_nothing);
    let found = &wrong.json()["diagnostics"][0];
    assert_eq!((&found["code"], &found["path"]), (&json!("unknown_feature"), &json!("/feature")));
    let stale = served.ask("DELETE", base, &[("if-match", "\"1\"")], &Value::Null);
    assert_eq!((stale.status, &*stale.code()), (412, "row_version_conflict"));
    let removed = served.ask("DELETE", base, &[("if-match", read.header("etag"))], &Value::Null);
    assert_eq!(removed.status, 200, "{removed:?}");
    until("it is gone", || {
        served.ask("GET", &format!("{base}/entitlements"), &[], &Value::Null).code() == "unknown_tenant"
    });
    let listed = served.does(200, "GET", "/v1/tenants?limit=5", &Value::Null);
    assert_eq!((listed["items"].as_array().unwrap().len(), listed["next"].is_string()), (5, true));
}

#[tokio::test]
async fn usage_counts_once_and_items_move() {
    let served = Served::new("usage").await;
    let token = served.token(&["usage:write", "decisions:read"], &json!({ "tenant": "om-muscat-sparkle" }));
    let path = "/v1/tenants/om-muscat-sparkle/usage/max_pos";
    let post = |path: &str, key: &str, body: &Value| {
        ask(&served.base, &token, "POST", path, &[("idempotency-key", key)], body.to_string().as_bytes())
    };
    let first = post(&format!("{path}/consume"), "u1", &json!({ "amount": 2 }));
    assert_eq!((first.status, &first.json()["booked"], &first.json()["repeated"]), (200, &json!(true), &json!(false)));
    assert_eq!(post(&format!("{path}/consume"), "u1", &json!({ "amount": 2 })).json()["repeated"], true);
    let other = post(&format!("{path}/consume"), "u1", &json!({ "amount": 3 }));
    assert_eq!((other.status, &*other.code()), (422, "idempotency_key_reused"));
    let reserved = post(&format!("{path}/reserve"), "r1", &json!({ "amount": 2, "hold_ms": 60000 }));
    assert_eq!(reserved.json()["booked"], true, "{reserved:?}");
    let report = ask(&served.base, &token, "GET", path, &[], b"").json();
    assert_eq!((&report["used"], &report["reserved"]), (&json!(2), &json!(2)));
    let reservation = "/v1/tenants/om-muscat-sparkle/reservations/r1";
    assert_eq!(post(&format!("{reservation}/confirm"), "-", &json!({ "amount": 1 })).status, 200);
    assert_eq!(post(&format!("{reservation}/release"), "-", &json!({})).code(), "reservation_ended");
    assert_eq!(post(&format!("{path}/give-back"), "g1", &json!({ "amount": 1 })).status, 200);
    let denied = post(&format!("{path}/consume"), "u2", &json!({ "amount": 1_000_000 })).json();
    assert_eq!(
        (&denied["booked"], &denied["outcome"], &denied["reason"]),
        (&json!(false), &json!("deny"), &json!("limit_reached"))
    );
    assert_eq!(ask(&served.base, &token, "GET", path, &[], b"").json()["used"], 2);

    let items = "/v1/tenants/om-muscat-sparkle/items";
    let begun = post(items, "i1", &json!({ "id": "o-1", "workflow": "order" }));
    assert_eq!(begun.status, 201, "{begun:?}");
    let stage = begun.json()["to"].as_str().unwrap().to_owned();
    let ways = post("/v1/tenants/om-muscat-sparkle/workflows/order/transitions", "-", &json!({ "stage": stage }));
    assert_eq!(ways.status, 200, "{ways:?}");
    let blocked = ways.json().as_array().unwrap().iter().find(|way| way["state"] == "blocked").unwrap().clone();
    let read = ask(&served.base, &token, "GET", &format!("{items}/o-1"), &[], b"").json();
    assert_eq!((&read["stage"], &read["row_version"]), (&json!(stage), &json!(1)));
    let nowhere = post(&format!("{items}/o-1/transitions"), "m0", &json!({ "to": "nowhere", "row_version": 1 }));
    assert_eq!(nowhere.code(), "unknown_stage", "{nowhere:?}");
    let step = |key, roles: &[&str]| {
        let step = json!({ "to": blocked["to"], "row_version": 1, "roles": roles });
        post(&format!("{items}/o-1/transitions"), key, &step)
    };
    let refused = step("m1", &[]);
    assert_eq!((refused.status, &*refused.code()), (409, "guard_failed"));
    assert_eq!(refused.json()["blockers"], blocked["blockers"]);
    let moved = step("m2", &[blocked["role"].as_str().unwrap()]);
    assert_eq!((moved.status, &moved.json()["to"]), (200, &blocked["to"]), "{moved:?}");
}

#[tokio::test]
async fn snapshots_are_handed_out_whole_and_once() {
    let served = Served::new("snapshots").await;
    let token = served.token(&["snapshots:read"], &json!({ "region": "GCC-OM" }));
    let get = |path: &str, headers: &[(&str, &str)]| ask(&served.base, &token, "GET", path, headers, b"");
    let head = get("/v1/snapshots/head", &[]);
    let etag = head.header("etag").to_owned();
    assert_eq!((head.status, etag.clone()), (200, format!("\"{}\"", leasehold::Hash::of(&head.bytes))));
    let same = get("/v1/snapshots/head", &[("if-none-match", &etag)]);
    assert_eq!((same.status, same.bytes.len(), same.header("etag")), (304, 0, &*etag));
    let trust = trust("GCC-OM");
    let signed = trust.head(&head.bytes).unwrap();
    let manifest = signed.head().manifest;
    let raw = get(&format!("/v1/snapshots/chunks/{}", manifest.hash), &[]);
    assert_eq!(leasehold::Hash::of(&raw.bytes), manifest.hash);
    assert!(raw.header("cache-control").contains("immutable") && raw.header("content-encoding").is_empty());
    let zstd = get(&format!("/v1/snapshots/chunks/{}", manifest.hash), &[("accept-encoding", "zstd")]);
    if zstd.header("content-encoding") == "zstd" {
        assert!(zstd.bytes.len() < raw.bytes.len());
        assert_eq!(leasehold::wire::Chunk::zstd(zstd.bytes).open(manifest).unwrap(), raw.bytes);
    }
    let pack = get("/v1/snapshots/pack", &[]);
    let snapshot = Snapshot::from_pack(Pack::read(&pack.bytes).unwrap(), &trust).unwrap();
    assert!(snapshot.tenant("om-muscat-sparkle").unwrap().is_enabled("delivery", now()).unwrap());

    // Events: the head at once, and the next one when it comes.
    let mut events = events(&served, "/v1/snapshots/events", &token);
    let mut event = |wanted: &str| events.find(|(name, _)| name == wanted).unwrap().1;
    let first = event("head");
    assert_eq!(first["document"].as_str().unwrap().as_bytes(), head.bytes);
    let revision = move_to(&served, "growth");
    let next = event("head");
    assert_eq!((&next["revision"], &next["stream"]), (&json!(revision), &json!("GCC-OM")));
    assert_eq!(event("heartbeat")["revision"], revision);
}

/// What is told of a path, by name.
fn events(served: &Served, path: &str, token: &str) -> impl Iterator<Item = (String, Value)> + use<> {
    let mut stream = TcpStream::connect(served.base.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    std::iter::from_fn(move || {
        let name = lines.find_map(|line| line.strip_prefix("event: ").map(str::to_owned))?;
        let id = lines.next()?;
        let data: Value = serde_json::from_str(lines.next()?.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(id, format!("id: {}", data["revision"]));
        Some((name, data))
    })
}

fn slice(answer: &Answer, trust: &Trust) -> leasehold::wire::Slice {
    trust.slice(&answer.bytes, &"om-muscat-sparkle".parse().unwrap()).unwrap()
}

#[tokio::test]
async fn slices_are_one_tenants_alone() {
    let served = Served::new("slices").await;
    let token = served.token(&["slices:read"], &json!({ "tenant": "om-muscat-sparkle" }));
    let path = "/v1/tenants/om-muscat-sparkle/slice";
    let mut answer = ask(&served.base, &token, "GET", path, &[], b"");
    until("heads certify the slice key", || {
        answer = ask(&served.base, &token, "GET", path, &[], b"");
        answer.status == 200
    });
    let trust = trust("GCC-OM");
    let sliced = slice(&answer, &trust);
    let content = sliced.content().unwrap();
    assert_eq!(content.definitions.tenants.len(), 1);
    // Plans that the tenant is not on say something about these, and the slice holds neither plan.
    let is_static = |key: &str| content.statics.contains(&key.parse().unwrap());
    assert!(is_static("two_factor") && !is_static("directory_listing") && !is_static("delivery"));
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    for other in ["ae-alain-oasis", "sa-riyadh-najd"] {
        assert!(!text.contains(other), "{other}");
    }
    // Another tenant changes: the content is the same, and the envelope is fresh.
    let etag = answer.header("etag").to_owned();
    let before = slice(&answer, &trust).stamp().revision;
    let revision = move_to(&served, "growth");
    let mut same = ask(&served.base, &token, "GET", path, &[("if-none-match", &etag)], b"");
    until("the slice is of the new head", || {
        same = ask(&served.base, &token, "GET", path, &[("if-none-match", &etag)], b"");
        assert_eq!(same.status, 304, "{same:?}");
        use base64::Engine as _;
        let mut whole = base64::engine::general_purpose::STANDARD.decode(same.header("leasehold-envelope")).unwrap();
        // The content is the last line of what was had before.
        let content = answer.bytes.split(|byte| *byte == b'\n').rev().nth(1).unwrap();
        whole.extend_from_slice(content);
        whole.push(b'\n');
        let fresh = trust.slice(&whole, &"om-muscat-sparkle".parse().unwrap()).unwrap();
        fresh.stamp().revision.get() == revision
    });
    assert!(revision > before.get());
    // A page hears of its tenant's changes, and of nobody else's.
    let path_of_events = format!("{path}/events");
    let mut events = events(&served, &path_of_events, &token);
    let (name, told) = events.next().unwrap();
    assert_eq!((name.as_str(), &told["etag"]), ("slice", &json!(etag.trim_matches('"'))));
    let revision = move_to(&served, "starter");
    let later = |told: &Value| told["revision"].as_u64().unwrap() >= revision;
    let (name, told) = events.find(|(_, told)| later(told)).unwrap();
    assert_eq!((name.as_str(), &told["etag"]), ("heartbeat", &json!(etag.trim_matches('"'))));
    let preferences = json!({ "off": ["delivery"] });
    let changed = served.does(200, "PUT", "/v1/tenants/om-muscat-sparkle/preferences", &preferences);
    let (_, told) = events.find(|(name, _)| name == "slice").unwrap();
    assert!(told["revision"].as_u64() >= changed["revision"].as_u64(), "{told} after {changed}");
    let now_is = ask(&served.base, &token, "GET", path, &[], b"").header("etag").to_owned();
    assert_eq!(told["etag"], now_is.trim_matches('"'));

    // Many pages of one tenant hear at once: its slice is cut for all of them together.
    let signed = || {
        let metrics = String::from_utf8(served.ask("GET", "/metrics", &[], &Value::Null).bytes).unwrap();
        let counted =
            metrics.lines().find_map(|line| line.strip_prefix("leasehold_slices_served_total{from=\"signed\"} "));
        counted.unwrap().parse::<usize>().unwrap()
    };
    let mut pages: Vec<_> = (0..16).map(|_| self::events(&served, &path_of_events, &token)).collect();
    assert!(pages.iter_mut().all(|page| page.next().unwrap().0 == "slice"));
    let before = signed();
    let revision = served.does(200, "PUT", "/v1/tenants/om-muscat-sparkle/preferences", &json!({ "off": [] }));
    let revision = revision["revision"].as_u64();
    for page in &mut pages {
        page.find(|(name, told)| name == "slice" && told["revision"].as_u64() >= revision).unwrap();
    }
    // Heads that are signed anew meanwhile are cut anew.
    let cuts = signed() - before;
    assert!((1..=3).contains(&cuts), "{cuts}");

    // A follower of a slice takes it.
    let mut follower = Follower::of_slice(trust, "om-muscat-sparkle".parse().unwrap());
    let _ = follower.handle(leasehold::follow::Event::Started, now(), 0);
}

#[tokio::test]
async fn a_trial_is_halted_by_who_refuses_it() {
    let served = Served::new("trial").await;
    let feature = json!({ "kind": "switch", "name": "Drones", "name2": "طائرات", "group": "module" });
    assert_eq!(served.ask("PUT", "/v1/features/drones", &[("if-none-match", "*")], &feature).status, 201);
    let cem = served.staff("cem", "tech_admin");
    let id = served.approve("Drones", &cem);
    let token = served.token(&["snapshots:read", "engines:report"], &json!({ "region": "GCC-OM" }));
    let engine = follow(&served, &token, "brave-1");
    let under = |key| vec![("idempotency-key", key)];
    let stage = || {
        let share = json!({ "proposal": id, "share_permille": 1000 });
        let staged = served.ask("PUT", "/v1/rollout", &under("try"), &share);
        assert_eq!(staged.status, 200, "{staged:?}");
        staged.json()
    };
    let staged = stage();
    assert_eq!((&staged["state"], &staged["share_permille"]), (&json!("running"), &json!(1000)));
    let revision = Revision::new(staged["revision"].as_u64().unwrap()).unwrap();
    engine.following().wait_for(revision, PATIENCE).unwrap();
    assert!(engine.engine().is_enabled("ae-alain-oasis", "drones", now()).is_ok(), "it tries what is on trial");
    let member = || served.does(200, "GET", "/v1/fleet", &Value::Null)["items"][0].clone();
    until("it says so", || member()["candidate"] == true && member()["converged"] == true);

    // What cannot be fetched halts nothing; what is refused does.
    let nack = |code: &str, stage: &str, engine: &str| {
        let fault = json!({ "stage": stage, "code": code, "item": "definitions", "message": "too brave" });
        let report =
            json!({ "report": "nack", "stream": "GCC-OM", "epoch": 1, "revision": revision.get(), "fault": fault });
        served.ask_as(&token, "POST", &format!("/v1/engines/{engine}/status"), &report).status
    };
    assert_eq!(nack("unreachable", "download", "brave-2"), 204);
    assert_eq!(nack("unknown_key", "verify", "brave-3"), 204);
    // The publisher has looked by then.
    let looked = move_to(&served, "growth");
    engine.following().wait_for(Revision::new(looked).unwrap(), PATIENCE).unwrap();
    assert_eq!(served.does(200, "GET", "/v1/rollout", &Value::Null)["state"], "running");
    // Another server, which publishes nothing, takes the report that counts, of an engine that is newer than HQ.
    let other = served.beside(&[("LEASEHOLD_PUBLISHER", "off")]);
    let fault =
        json!({ "stage": "compile", "code": "of_a_later_build", "item": "x", "message": "too brave", "more": 1 });
    let report =
        json!({ "report": "nack", "stream": "GCC-OM", "epoch": 1, "revision": looked, "fault": fault, "more": 1 });
    let told = ask(&other.base, &token, "POST", "/v1/engines/brave-2/status", &[], report.to_string().as_bytes());
    assert_eq!(told.status, 204, "{told:?}");
    let rollout = || served.does(200, "GET", "/v1/rollout", &Value::Null);
    until("it is halted", || rollout()["state"] == "halted");
    let halted = rollout();
    assert_eq!((&halted["state"], &halted["halted_by"]), (&json!("halted"), &json!("engine brave-2")), "{halted}");
    until("nobody tries it", || engine.engine().is_enabled("ae-alain-oasis", "drones", now()).is_err());
    // Whoever asks the other server is told who publishes.
    let elsewhere = ask(&other.base, &served.admin, "POST", "/v1/rollout/halt", &[], b"");
    assert_eq!((elsewhere.status, &*elsewhere.code()), (409, "publishes_elsewhere"));
    let refused = served.does(200, "GET", "/v1/fleet", &Value::Null);
    assert_eq!(refused["items"][1]["refused"]["fault"]["code"], "of_a_later_build", "{refused}");

    let resumed = served.does(200, "PUT", "/v1/rollout", &json!({ "proposal": id, "share_permille": 1000 }));
    assert_eq!((&resumed["state"], &resumed["halted_by"]), (&json!("running"), &Value::Null));
    until("it is tried again", || engine.engine().is_enabled("ae-alain-oasis", "drones", now()).is_ok());
    assert_eq!(served.does(200, "POST", "/v1/rollout/halt", &Value::Null)["halted_by"], "admin");
    served.does(200, "DELETE", "/v1/rollout", &Value::Null);
    assert_eq!(served.ask("GET", "/v1/rollout", &[], &Value::Null).status, 404);
    // Whoever never heard what a request came to asks again, and is told as then, whatever has become of it.
    assert_eq!(stage(), staged);
    served.does(200, "POST", &format!("/v1/proposals/{id}/publish"), &Value::Null);
    let back = || served.ask("POST", "/v1/rollbacks", &under("back"), &json!({ "revision": looked })).json();
    let first = back();
    assert_eq!((&first["streams"], &first["refused"]), (&json!(["EU", "GCC-OM", "GCC-SA"]), &json!([])), "{first}");
    assert_eq!(back(), first);
    let bad = served.ask_as(
        &token,
        "POST",
        "/v1/engines/x/status",
        &json!({ "report": "nack", "stream": "GCC-OM", "fault": { "stage": "not a word", "code": "y" } }),
    );
    assert_eq!((bad.status, &*bad.code()), (400, "invalid_body"));
    let elsewhere = served.ask_as(&token, "POST", "/v1/engines/x/status", &json!({ "report": "ack", "stream": "GCC-SA", "epoch": 1, "revision": 1, "definitions": "0".repeat(64), "candidate": false, "persisted": false }));
    assert_eq!(elsewhere.code(), "other_region");
    assert_eq!(served.ask("DELETE", "/v1/engines/brave-2", &[], &Value::Null).status, 204);
}

/// The document is kept, so that changes of it are seen.
#[test]
fn the_document_is_what_it_was() {
    let document = crate::run::run(["serve", "--openapi"]);
    assert_eq!(document.code, 0, "{document:?}");
    let document: Value = document.json();
    assert_eq!(document["openapi"], "3.1.0");
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&document).unwrap());
}

/// What is published is copied to a bucket too, from which engines follow without HQ.
#[tokio::test]
async fn a_bucket_has_what_hq_publishes() {
    use leasehold::{Bucket, Following, Keep};
    let desk = super::desk("mirror").await;
    let folder = desk.folder.path().join("bucket");
    let url = format!("file://{}", folder.display());
    std::fs::create_dir(&folder).unwrap();
    let served = Served::start(desk, &[("LEASEHOLD_MIRROR", &url)]);
    served.adopt_reference();
    let open = || Bucket::open(&url, []).unwrap();
    let mut following = None;
    until("the bucket has a head", || {
        following = Following::start(Follower::of_stream(trust("GCC-OM")), open(), Keep::default()).ok();
        following.is_some()
    });
    let following = following.unwrap();
    let revision = Revision::new(move_to(&served, "growth")).unwrap();
    until("the bucket has the next one", || {
        following.notify();
        following.wait_for(revision, Duration::from_millis(100)).is_ok()
    });
    assert!(following.engine().is_enabled("ae-alain-oasis", "delivery", now()).unwrap());
    // While nothing can be written there, HQ goes on; then it is all there, without anything new being published.
    let (heads, away) = (folder.join("heads"), folder.join("heads-away"));
    std::fs::rename(&heads, &away).unwrap();
    std::fs::write(&heads, b"no folder").unwrap();
    let revision = Revision::new(move_to(&served, "starter")).unwrap();
    until("it is told that nothing could be copied", || {
        let line = served.log.recv_timeout(PATIENCE).unwrap();
        line.contains("not copied; trying again")
    });
    std::fs::remove_file(&heads).unwrap();
    std::fs::rename(&away, &heads).unwrap();
    until("the bucket has it", || {
        following.notify();
        following.wait_for(revision, Duration::from_millis(100)).is_ok()
    });
    assert!(!following.engine().is_enabled("ae-alain-oasis", "delivery", now()).unwrap());
}

/// Engines that say nothing are not waited for, and nobody is told that a revision is there because of that.
#[tokio::test]
async fn silence_is_no_answer() {
    let served = Served::new("silence").await;
    let token = served.token(&["snapshots:read", "engines:report"], &json!({ "region": "GCC-OM" }));
    let engine = follow(&served, &token, "quiet-1");
    let revision = Revision::new(move_to(&served, "growth")).unwrap();
    engine.following().wait_for(revision, PATIENCE).unwrap();
    let path = format!("/v1/fleet/wait?revision={revision}&timeout_ms=20000");
    let waited = served.does(200, "GET", &path, &Value::Null);
    assert_eq!((&waited["reached"], &waited["engines"], &waited["silent"]), (&json!(true), &json!(1), &json!([])));
    drop(engine);
    let mut connection = PgConnection::connect(&served.desk.url).await.unwrap();
    let age = "UPDATE leasehold.sys_engines SET reported_at = now() - interval '6 minutes'";
    sqlx::query(age).execute(&mut connection).await.unwrap();
    let revision = move_to(&served, "starter");
    let waited = served.does(200, "GET", &format!("/v1/fleet/wait?revision={revision}&timeout_ms=200"), &Value::Null);
    let told = json!({ "reached": false, "engines": 0, "missing": [], "silent": ["quiet-1"] });
    assert_eq!(waited, told);
    let patient = format!("/v1/fleet/wait?revision={revision}&timeout_ms=200&silent_ms=3600000");
    assert_eq!(served.does(200, "GET", &patient, &Value::Null)["missing"], json!(["quiet-1"]));
}

/// What staff write about tenants is for staff.
#[tokio::test]
async fn pages_are_not_told_what_staff_write() {
    let served = Served::new("pages").await;
    let path = "/v1/tenants/om-muscat-sparkle";
    let given =
        json!({ "feature": "delivery", "op": "set", "value": true, "reason": "they asked twice", "actor": "ada" });
    served.does(200, "PUT", &format!("{path}/overrides/o1"), &given);
    let why = format!("{path}/features/delivery/explanation");
    let all = served.does(200, "GET", &why, &Value::Null).to_string();
    assert!(all.contains("they asked twice") && all.contains("ada"), "{all}");
    let token = served.token(&["decisions:read"], &json!({ "tenant": "om-muscat-sparkle" }));
    let told = served.ask_as(&token, "GET", &why, &Value::Null);
    let text = String::from_utf8(told.bytes.clone()).unwrap();
    assert!(told.status == 200 && !text.contains("they asked twice") && !text.contains("ada"), "{text}");
    assert_eq!(told.json()["decision"]["reason"], "granted", "{text}");
}
