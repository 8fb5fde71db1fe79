//! What is wrong, and how it is told.

use super::{Served, ask, desk, serve};
use crate::run::finish;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Variables of the environment, or headers.
type Named<'a> = &'a [(&'a str, &'a str)];
/// A request by method, path, headers and body, and the status and code that it is answered with.
type Case<'a> = (&'a str, &'a str, Named<'a>, &'a [u8], u16, &'a str);

#[tokio::test]
async fn a_server_that_lacks_something_does_not_start() {
    let desk = desk("missing").await;
    desk.write("bad.toml", "listen = 7\n");
    desk.write("unknown.toml", "[publisher]\nfleetkey = \"x\"\n");
    desk.write("none.toml", "[limits]\nconnections = 0\n");
    desk.write("never.toml", "[access]\nrequests_per_second = 0\n");
    desk.write("no_past.toml", "[history]\ndays = 0\n");
    desk.write("other.toml", "[publisher]\ncertificate = \"fleet.cert\"\n");
    let cases: &[(&str, Named<'_>, &str)] = &[
        ("no trust", &[("LEASEHOLD_TRUST", "")], "configuration_missing"),
        ("no key", &[("LEASEHOLD_FLEET_KEY", "")], "configuration_missing"),
        ("no certificate", &[("LEASEHOLD_CERTIFICATE", "")], "configuration_missing"),
        ("no database", &[("DATABASE_URL", "")], "database_required"),
        ("another root", &[("LEASEHOLD_TRUST", "other.json")], "unknown_key"),
        ("another key", &[("LEASEHOLD_FLEET_KEY", "root.key")], "wrong_key_kind"),
        ("no such file", &[("LEASEHOLD_TRUST", "gone.json")], "io"),
        ("a bad file", &[("LEASEHOLD_CONFIG", "bad.toml")], "bad_configuration"),
        ("an unknown member", &[("LEASEHOLD_CONFIG", "unknown.toml")], "bad_configuration"),
        ("a bad address", &[("LEASEHOLD_LISTEN", "here")], "bad_configuration"),
        ("a bad network", &[("LEASEHOLD_ALLOW", "10.0.0.0/99")], "bad_configuration"),
        ("a bad filter", &[("LEASEHOLD_LOG", "leasehold=loud")], "bad_configuration"),
        ("neither on nor off", &[("LEASEHOLD_PUBLISHER", "maybe")], "bad_configuration"),
        ("no connections", &[("LEASEHOLD_CONFIG", "none.toml")], "bad_configuration"),
        ("no requests", &[("LEASEHOLD_CONFIG", "never.toml")], "bad_configuration"),
        ("no history", &[("LEASEHOLD_CONFIG", "no_past.toml")], "bad_configuration"),
        ("a URL of something else", &[("DATABASE_URL", "mysql://x")], "usage"),
    ];
    for (what, settings, code) in cases {
        let ran = finish(serve(&desk, settings).arg("--json"));
        let error = ran.json();
        assert_eq!(error["error"]["code"], *code, "{what}: {ran:?}");
        assert_ne!(ran.code, 0, "{what}");
    }
    // A schema that is behind is named, with what to do.
    desk.does("db undo --to 6 --yes");
    let ran = finish(serve(&desk, &[]).arg("--json"));
    assert_eq!(ran.json()["error"]["code"], "schema_behind", "{ran:?}");
    // The example is a configuration, and one that changes nothing.
    let example = desk.does("serve --example");
    desk.write("example.toml", &example);
    desk.does("db migrate");
    let ran = finish(serve(&desk, &[("LEASEHOLD_CONFIG", "example.toml"), ("LEASEHOLD_TRUST", "")]).arg("--json"));
    assert_eq!(ran.json()["error"]["code"], "configuration_missing", "{ran:?}");
}

#[tokio::test]
async fn bad_requests_say_what_is_wrong() {
    let served = Served::new("bad").await;
    let json_header = ("content-type", "application/json");
    let huge = vec![b' '; (4 << 20) + 1];
    let deep = b"[".repeat(200);
    let cases: &[Case<'_>] = &[
        ("POST", "/v1/tokens", &[], b"{", 400, "malformed_json"),
        ("POST", "/v1/tokens", &[], b"[]", 400, "invalid_body"),
        ("POST", "/v1/tokens", &[], br#"{"name":"x","scopes":["all"]}"#, 400, "invalid_body"),
        ("POST", "/v1/tokens", &[], br#"{"name":"x","scopes":[]}"#, 400, "invalid_token"),
        ("POST", "/v1/tokens", &[], br#"{"name":"x","scopes":["hq:read"],"more":1}"#, 400, "invalid_body"),
        ("POST", "/v1/tokens", &[], br#"{"name":"","scopes":["hq:read"]}"#, 400, "invalid_token"),
        ("POST", "/v1/tokens", &[], b"\xff\xfe", 400, "malformed_json"),
        ("POST", "/v1/tokens", &[json_header], b"", 400, "malformed_json"),
        ("POST", "/v1/tokens", &[("content-type", "text/plain")], b"{}", 415, "not_json"),
        ("POST", "/v1/tokens", &[json_header], &huge, 413, "body_too_large"),
        ("GET", "/v1/features?limit=0", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/features?limit=501", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/features?limit=many", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/features?page=2", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/features/Not%20a%20key", &[], b"", 400, "invalid_key"),
        ("GET", "/v1/features/nothing", &[], b"", 404, "not_found"),
        ("GET", "/v1/features/%00", &[], b"", 400, "invalid_key"),
        ("GET", "/v1/features/%ff", &[], b"", 404, "not_found"),
        ("GET", "/v1/tenants/..%2f..%2fetc%2fpasswd", &[], b"", 400, "invalid_tenant"),
        ("GET", "/v1/tenants/%2e%2e/slice", &[], b"", 400, "invalid_tenant"),
        ("GET", "/v1/proposals/x", &[], b"", 404, "not_found"),
        ("GET", "/v1/nothing", &[], b"", 404, "no_such_route"),
        ("TRACE", "/v1/features", &[], b"", 405, "method_not_allowed"),
        ("DELETE", "/v1/features", &[], b"", 405, "method_not_allowed"),
        ("PUT", "/v1/features/delivery", &[], b"{}", 428, "precondition_required"),
        ("PUT", "/v1/features/delivery", &[("if-match", "4")], b"{}", 400, "invalid_precondition"),
        ("PUT", "/v1/features/delivery", &[("if-match", "\"1\"")], b"{}", 422, "invalid_definitions"),
        (
            "PUT",
            "/v1/features/delivery",
            &[("if-match", "\"1\"")],
            br#"{"kind":"switch","kind":"switch"}"#,
            422,
            "invalid_definitions",
        ),
        ("PUT", "/v1/features/delivery", &[("if-match", "\"1\"")], b"1", 422, "invalid_definitions"),
        ("PUT", "/v1/features/delivery", &[("if-match", "\"1\"")], br#"{}},"plans":{"x":{}"#, 400, "malformed_json"),
        ("DELETE", "/v1/features/delivery", &[("if-match", "\"77\"")], b"", 412, "row_version_conflict"),
        ("DELETE", "/v1/features/delivery", &[("if-match", "*")], b"", 422, "invalid_definitions"),
        ("GET", "/v1/snapshots/chunks/zz?stream=GCC-OM", &[], b"", 404, "not_found"),
        ("GET", "/v1/snapshots/head?stream=gcc%20om", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/snapshots/head?stream=NOWHERE", &[], b"", 404, "not_found"),
        ("GET", "/v1/snapshots/head", &[], b"", 400, "stream_required"),
        ("GET", "/v1/tenants/om-muscat-sparkle/features/nothing", &[], b"", 404, "unknown_feature"),
        ("GET", "/v1/tenants/nobody/entitlements", &[], b"", 404, "unknown_tenant"),
        ("POST", "/v1/tenants/nobody/items", &[], br#"{"id":"o-1","workflow":"order"}"#, 404, "unknown_tenant"),
        ("GET", "/v1/tenants/om-muscat-sparkle/entitlements?at=yesterday", &[], b"", 400, "invalid_key"),
        (
            "GET",
            "/v1/tenants/om-muscat-sparkle/entitlements?known_at=2001-01-01T00:00:00Z",
            &[],
            b"",
            404,
            "outside_history",
        ),
        (
            "GET",
            "/v1/tenants/om-muscat-sparkle/entitlements?known_at=0000-01-01T00:00:00Z",
            &[],
            b"",
            400,
            "invalid_argument",
        ),
        ("DELETE", "/v1/tenants/om-muscat-sparkle", &[("if-none-match", "*")], b"", 400, "invalid_precondition"),
        (
            "PUT",
            "/v1/tenants/om-muscat-sparkle/overrides/o1",
            &[("if-none-match", "*")],
            br#"{"feature":"delivery","op":"set","value":true,"reason":"x","actor":"y"}"#,
            400,
            "invalid_precondition",
        ),
        (
            "PUT",
            "/v1/plans/starter/versions/9",
            &[("if-match", "*")],
            br#"{"moves":"now","moves":"now"}"#,
            422,
            "invalid_definitions",
        ),
        ("POST", "/v1/definitions", &[], br#"{"files":{"a.json":{},"a.json":{}}}"#, 400, "invalid_body"),
        (
            "POST",
            "/v1/definitions",
            &[],
            br#"{"files":{"a.json":{"features":{},"features":{}}}}"#,
            422,
            "invalid_definitions",
        ),
        (
            "POST",
            "/v1/engines/x/status",
            &[],
            br#"{"report":"nack","stream":"GCC-OM","fault":{"stage":"compile","code":"invalid_definitions"}}"#,
            403,
            "forbidden",
        ),
        ("GET", "/v1/tenants/om-muscat-sparkle/limits/delivery?used=1", &[], b"", 400, "wrong_kind"),
        ("GET", "/v1/tenants/om-muscat-sparkle/limits/max_users?used=-1", &[], b"", 400, "amount_out_of_range"),
        ("GET", "/v1/tenants/om-muscat-sparkle/limits/max_users?used=1.5", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/tenants/om-muscat-sparkle/limits/max_users", &[], b"", 400, "invalid_query"),
        (
            "POST",
            "/v1/tenants/om-muscat-sparkle/usage/max_users/consume",
            &[],
            br#"{"amount":1}"#,
            400,
            "idempotency_key_required",
        ),
        (
            "POST",
            "/v1/tenants/om-muscat-sparkle/usage/max_users/consume",
            &[("idempotency-key", "")],
            br#"{"amount":1}"#,
            400,
            "invalid_idempotency_key",
        ),
        (
            "POST",
            "/v1/tenants/om-muscat-sparkle/usage/max_users/consume",
            &[("idempotency-key", "k")],
            br#"{"amount":"1"}"#,
            400,
            "invalid_body",
        ),
        ("POST", "/v1/tenants/om-muscat-sparkle/reservations/none/confirm", &[], br#"{"amount":1}"#, 404, "not_found"),
        ("POST", "/v1/tenants/om-muscat-sparkle/what-if", &[], br#"{"plan":{"key":"none"}}"#, 404, "unknown_plan"),
        (
            "POST",
            "/v1/tenants/om-muscat-sparkle/workflows/none/transitions",
            &[],
            br#"{"stage":"x"}"#,
            404,
            "unknown_workflow",
        ),
        ("GET", "/v1/tenants/om-muscat-sparkle/items/none", &[], b"", 404, "unknown_item"),
        ("GET", "/v1/tenants/a/entitlements", &[("x-tenant-id", "b")], b"", 400, "tenant_mismatch"),
        ("POST", "/v1/proposals", &[], br#"{"title":"again"}"#, 409, "nothing_to_propose"),
        ("POST", "/v1/proposals/1/approve", &[], br#"{"binding":"x"}"#, 400, "invalid_key"),
        ("POST", "/v1/proposals/1/publish", &[], b"", 409, "not_approved"),
        ("POST", "/v1/proposals/77/publish", &[], b"", 404, "not_found"),
        ("POST", "/v1/rollbacks", &[], br#"{"revision":99}"#, 404, "not_found"),
        ("DELETE", "/v1/rollout", &[], b"", 404, "not_found"),
        ("GET", "/v1/rollout", &[], b"", 404, "not_found"),
        ("PUT", "/v1/rollout", &[], br#"{"proposal":1,"share_permille":1001}"#, 400, "invalid_body"),
        ("GET", "/v1/audit/verification?scope=some", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/audit/verification?scope=tenant&tenant=om-muscat-sparkel", &[], b"", 404, "not_found"),
        (
            "PUT",
            "/v1/tenants/om-muscat-sparkle/licences/p9",
            &[],
            br#"{"add_on":"extra_branch","add_on":"extra_pos","quantity":1,"from":"2026-01-01T00:00:00Z"}"#,
            422,
            "invalid_definitions",
        ),
        ("PUT", "/v1/tenants/om-muscat-sparkle/licences/p9", &[], b"{\"a\":\"\xff\"}", 400, "malformed_json"),
        ("PUT", "/v1/tenants/om-muscat-sparkle/licences/p9", &[], &deep, 400, "malformed_json"),
        ("GET", "/v1/fleet?after=x", &[], b"", 400, "invalid_query"),
        ("GET", "/v1/changes/99999", &[], b"", 404, "not_found"),
    ];
    let mut wrong = Vec::new();
    for (method, path, headers, body, status, code) in cases {
        let answer = ask(&served.base, &served.admin, method, path, headers, body);
        if (answer.status, &*answer.code()) != (*status, *code) {
            let said: String = String::from_utf8_lossy(&answer.bytes).chars().take(300).collect();
            wrong.push(format!("{method} {path}: {} {said}, and not {status} {code}", answer.status));
        }
        assert_eq!(answer.header("trace-id").len(), 32, "{method} {path}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // All that is wrong with a record, where it stands in it.
    let plan = json!({ "name": "P", "rank": "high", "price": {}, "more": 1 });
    let refused = served.ask("PUT", "/v1/plans/p", &[("if-none-match", "*")], &plan);
    assert_eq!(refused.code(), "invalid_definitions");
    let found = refused.json()["diagnostics"].as_array().unwrap().clone();
    assert!(found.len() >= 3, "{found:?}");
    assert!(found.iter().any(|one| one["path"] == "/rank" && one["code"] == "wrong_type"), "{found:?}");
    assert!(found.iter().all(|one| !one["hint"].as_str().unwrap().is_empty()), "{found:?}");
    let refused = served.ask("PUT", "/v1/plans/growth/versions/9", &[("if-match", "*")], &json!({ "more": 1 }));
    let found = refused.json()["diagnostics"].as_array().unwrap().clone();
    assert!(
        found.iter().any(|one| one["path"] == "/more") && found.iter().all(|one| one["path"] != "/versions/9"),
        "{found:?}"
    );
    // What only all versions together tell stands in the body too.
    let there = served.does(200, "GET", "/v1/plans/growth", &Value::Null)["versions"].clone();
    let (_, same) = there.as_object().unwrap().iter().next_back().unwrap();
    let refused = served.ask("PUT", "/v1/plans/growth/versions/9", &[("if-match", "*")], same);
    let found = refused.json()["diagnostics"].as_array().unwrap().clone();
    assert!(found.iter().any(|one| one["path"] == "/effective_from"), "{found:?}");
}

/// Several requests at once under one key, of which half ask for something else: those are told so, and never that the
/// server is at fault.
#[tokio::test]
async fn a_key_is_one_requests_however_many_come_at_once() {
    let served = Served::new("keys_at_once").await;
    let token = |name: &str| json!({ "name": name, "scopes": ["decisions:read"] });
    let feature = |name: &str| json!({ "kind": "switch", "name": name, "name2": "ب", "group": "module" });
    let (base, admin) = (served.base.clone(), served.admin.clone());
    let ask = |path: &str, method: &str, key: &str, body: &Value| {
        let headers = [("idempotency-key", key), ("if-none-match", "*"), ("content-type", "application/json")];
        let answer = ask(&base, &admin, method, path, &headers, body.to_string().as_bytes());
        (answer.status, answer.code())
    };
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..16)
            .map(|number| {
                let (token, feature, ask) = (&token, &feature, &ask);
                scope.spawn(move || {
                    let name = ["one", "other"][number % 2];
                    if number % 4 < 2 {
                        ask("/v1/tokens", "POST", "tokens", &token(name))
                    } else {
                        ask("/v1/features/at_once", "PUT", "features", &feature(name))
                    }
                })
            })
            .collect();
        for asked in asked {
            let (status, code) = asked.join().unwrap();
            let allowed = [(201, ""), (422, "idempotency_key_reused"), (409, "secret_shown_once")];
            assert!(allowed.contains(&(status, &*code)), "{status} {code}");
        }
    });
    // Where a record is exported to is part of what is asked.
    let filed = |file: &str| ask(&format!("/v1/features/filed?file={file}"), "PUT", "filed", &feature("F"));
    assert_eq!(filed("x.json").0, 201);
    assert_eq!(filed("y.json"), (422, "idempotency_key_reused".to_owned()));
}

/// Sends bytes as they are, and reads what comes back until the other end closes, or nothing comes for a while.
fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The other end may have closed while this is being sent.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn broken_requests_break_nothing() {
    let desk = desk("raw").await;
    desk.write("leasehold.toml", "[limits]\nheaders = \"1s\"\nconnections = 8\n");
    let served = Served::start(desk, &[("LEASEHOLD_CONFIG", "leasehold.toml")]);
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    for broken in [
        "GET / HTTP/9.9\r\n\r\n",
        "\0\0\0\0",
        "GET /healthz HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        "POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "GET /v1/identity HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a\r\n b\r\n\r\n",
        &long,
    ] {
        let answer = raw(&served, broken.as_bytes());
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{broken:.60}: {answer}");
    }
    // A client that never says what it wants is let go.
    assert_eq!(raw(&served, b"GET /healthz HTTP/1.1\r\nhost: x\r\n"), "");
    // A header is not made of what somebody sends.
    let answer = raw(&served, b"GET /v1/features/a%0d%0aset-cookie:x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(!answer.to_lowercase().contains("\r\nset-cookie"), "{answer}");
    let answer = ask(&served.base, "", "GET", "/healthz", &[("traceparent", "00-zz-zz-01")], b"");
    assert_eq!((answer.status, answer.header("trace-id").len()), (200, 32));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = ask(&served.base, "", "GET", "/healthz", &[("traceparent", &parent)], b"");
    assert_eq!(answer.header("trace-id"), trace);
    // Connections beyond the bound are closed, and there is room again when others go.
    let address = served.base.strip_prefix("http://").unwrap();
    let held: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    drop(held);
    super::until("there is room again", || {
        raw(&served, b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").starts_with("HTTP/1.1 200")
    });
    let _ = Value::Null;
}

/// A client that reads nothing of what it is sent is let go, and takes nothing with it.
#[tokio::test]
async fn who_does_not_read_is_not_waited_for() {
    let desk = super::desk("slow_reader").await;
    desk.write("serve.toml", "[limits]\nrequest = \"1s\"\nconnections = 4\n");
    let served = Served::start(desk, &[("LEASEHOLD_CONFIG", "serve.toml")]);
    let connect = || TcpStream::connect(served.base.strip_prefix("http://").unwrap()).unwrap();
    // More than sockets hold: answers that nobody takes fill them.
    let request = "GET /openapi.json HTTP/1.1\r\nhost: hq\r\n\r\n".repeat(200);
    let mut stuck: Vec<TcpStream> = (0..4).map(|_| connect()).collect();
    for stream in &mut stuck {
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        // It stops taking requests while it cannot answer them.
        let _ = stream.write_all(request.as_bytes());
    }
    // All places are taken until they are given up.
    super::until("somebody else is served", || {
        let mut stream = connect();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut first = [0; 12];
        let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: hq\r\n\r\n");
        asked.is_ok() && stream.read_exact(&mut first).is_ok() && first == *b"HTTP/1.1 200"
    });
}

/// Whoever may write definitions lays no kill switch by that.
#[tokio::test]
async fn kill_switches_in_files_need_the_right_to_them() {
    let served = Served::new("files").await;
    let bea = served.staff("bea", "biz_admin");
    let kill = json!({ "feature": "delivery", "since": "2026-01-01T00:00:00Z", "reason": "x", "actor": "bea" });
    let files = json!({ "files": { "more.json": { "kills": { "k9": kill } } } });
    let refused = served.ask_as(&bea, "POST", "/v1/definitions", &files);
    assert_eq!((refused.status, &*refused.code()), (403, "forbidden"), "{refused:?}");
    assert!(refused.json()["detail"].as_str().unwrap().contains("kills:write"));
    assert_eq!(served.ask("GET", "/v1/kills/k9", &[], &Value::Null).status, 404);
    // What is there already is no kill switch of theirs.
    let same = json!({ "files": super::reference() });
    assert_eq!(served.ask_as(&bea, "POST", "/v1/definitions", &same).status, 200);
}
