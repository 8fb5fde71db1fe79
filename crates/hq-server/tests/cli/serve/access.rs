//! Tokens and staff: revoked, expired, disabled, and told from strangers.

use super::{Answer, PATIENCE, Served, ask, until};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

fn head(served: &Served, token: &str) -> u16 {
    ask(&served.base, token, "GET", "/v1/snapshots/head?stream=GCC-OM", &[], b"").status
}

#[tokio::test]
async fn what_is_revoked_is_good_for_nothing_within_a_second() {
    let served = Served::new("revoke").await;
    let created = served.does(201, "POST", "/v1/tokens", &json!({ "name": "t", "scopes": ["snapshots:read"] }));
    let (id, token) = (created["id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    assert_eq!(head(&served, token), 200);
    // It is remembered now. Revoked past this server, it is told by the database.
    let mut connection = PgConnection::connect(&served.desk.url).await.unwrap();
    sqlx::query("UPDATE leasehold.sys_api_tokens SET revoked_at = now() WHERE token_id = $1")
        .bind(id)
        .execute(&mut connection)
        .await
        .unwrap();
    let revoked = Instant::now();
    until("it is refused", || head(&served, token) == 401);
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());

    // Revoked here, it is refused by the next request.
    let created = served.does(201, "POST", "/v1/tokens", &json!({ "name": "t", "scopes": ["snapshots:read"] }));
    let (id, token) = (created["id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    assert_eq!(head(&served, token), 200);
    let revoked = served.does(200, "DELETE", &format!("/v1/tokens/{id}"), &Value::Null);
    assert!(revoked["revoked_at"].is_string() && revoked["secret"].is_null(), "{revoked}");
    assert_eq!(head(&served, token), 401);
    let shown = served.does(200, "GET", &format!("/v1/tokens/{id}"), &Value::Null);
    assert!(!shown.to_string().contains(token.rsplit('_').next().unwrap()));
}

/// Whoever follows events is let go, however often there is news.
#[tokio::test]
async fn followers_of_events_are_let_go_when_they_may_hear_no_more() {
    let served = Served::new("let_go").await;
    let created = served.does(201, "POST", "/v1/tokens", &json!({ "name": "t", "scopes": ["snapshots:read"] }));
    let (id, token) = (created["id"].as_str().unwrap().to_owned(), created["secret"].as_str().unwrap().to_owned());
    let mut stream = TcpStream::connect(served.base.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = "/v1/snapshots/events?stream=GCC-OM";
    write!(stream, "GET {path} HTTP/1.1\r\nhost: hq\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
    let (heard, heads) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        lines.filter(|line| line.starts_with("event: head")).for_each(|_| heard.send(()).unwrap_or_default());
    });
    let mut plans = ["growth", "starter"].into_iter().cycle();
    heads.recv_timeout(PATIENCE).unwrap();
    for plan in plans.by_ref().take(2) {
        super::faults::move_to(&served, plan);
        heads.recv_timeout(PATIENCE).unwrap();
    }
    served.does(200, "DELETE", &format!("/v1/tokens/{id}"), &Value::Null);
    // There is never a quiet moment.
    let revoked = Instant::now();
    while !reader.is_finished() {
        super::faults::move_to(&served, plans.next().unwrap());
        assert!(revoked.elapsed() < PATIENCE);
    }
    reader.join().unwrap();
}

#[tokio::test]
async fn tokens_end_when_they_say() {
    let served = Served::new("expiry").await;
    let until_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() + 1500;
    let expires_at = leasehold::Timestamp::from_ms(i64::try_from(until_ms).unwrap()).unwrap();
    let token = served.token(&["snapshots:read"], &json!({ "expires_at": expires_at }));
    assert_eq!(head(&served, &token), 200);
    until("it is over", || head(&served, &token) == 401);
    let past = json!({ "name": "t", "scopes": ["hq:read"], "expires_at": "2020-01-01T00:00:00Z" });
    let refused = served.ask("POST", "/v1/tokens", &[], &past);
    assert_eq!((refused.status, &*refused.code()), (400, "invalid_token"));
}

/// While the database tells nothing, nothing is remembered: whoever is revoked then is refused too.
#[tokio::test]
async fn a_lost_listener_makes_nobody_immortal() {
    let served = Served::new("deaf").await;
    let created = served.does(201, "POST", "/v1/tokens", &json!({ "name": "t", "scopes": ["snapshots:read"] }));
    let (id, token) = (created["id"].as_str().unwrap(), created["secret"].as_str().unwrap());
    assert_eq!(head(&served, token), 200);
    let mut connection = PgConnection::connect(&served.desk.url).await.unwrap();
    sqlx::query(
        "WITH deaf AS (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'),
         gone AS (SELECT count(*) AS count FROM deaf)
         UPDATE leasehold.sys_api_tokens SET revoked_at = now() FROM gone WHERE token_id = $1 AND gone.count > 0",
    )
    .bind(id)
    .execute(&mut connection)
    .await
    .unwrap();
    until("it is refused", || head(&served, token) == 401);
}

#[tokio::test]
async fn staff_come_and_go() {
    let served = Served::empty("staff").await;
    let ada = served.staff("ada", "biz_admin");
    let me = served.ask_as(&ada, "GET", "/v1/identity", &Value::Null).json();
    assert_eq!((&me["name"], &me["role"], &me["scopes"]), (&json!("ada"), &json!("biz_admin"), &json!([])));
    assert!(me["permissions"].as_array().unwrap().contains(&json!("tenants:write")));

    // Another role, another password, disabled: each ends the sessions that there were.
    for change in
        [json!({ "role": "auditor" }), json!({ "password": "another long password" }), json!({ "disabled": true })]
    {
        let sign_in = |password: &str| {
            served.ask_as("", "POST", "/v1/sessions", &json!({ "staff": "ada", "password": password }))
        };
        let password = if change["disabled"] == true { "another long password" } else { "a password of ada" };
        let session = sign_in(password);
        assert_eq!(session.status, 201, "{session:?}");
        let session = session.json()["token"].as_str().unwrap().to_owned();
        assert_eq!(served.ask_as(&session, "GET", "/v1/identity", &Value::Null).status, 200);
        served.does(200, "PATCH", "/v1/staff/ada", &change);
        assert_eq!(served.ask_as(&session, "GET", "/v1/identity", &Value::Null).status, 401, "{change}");
    }
    // One's own, by whoever knows it.
    let ben = served.staff("ben", "auditor");
    let own = |who: &str, current: &str, new: &str| {
        served.ask_as(who, "PUT", "/v1/identity/password", &json!({ "current": current, "new": new }))
    };
    let token = served.token(&["hq:read"], &json!({}));
    for (who, current, new, refused) in [
        (&ben, "a password of ada", "a new password of ben", (403, "wrong_password")),
        (&ben, "a password of ben", "too short", (400, "unsafe_password")),
        (&token, "a password of ben", "a new password of ben", (400, "not_a_session")),
    ] {
        let answer = own(who, current, new);
        assert_eq!((answer.status, &*answer.code()), refused, "{current}, {new}");
    }
    assert_eq!(own(&ben, "a password of ben", "a new password of ben").status, 204);
    assert_eq!(served.ask_as(&ben, "GET", "/v1/identity", &Value::Null).status, 401);
    for (password, status) in [("a password of ben", 401), ("a new password of ben", 201)] {
        let sign_in = json!({ "staff": "ben", "password": password });
        assert_eq!(served.ask_as("", "POST", "/v1/sessions", &sign_in).status, status, "{password}");
    }
    for (staff, password) in
        [("ada", "another long password"), ("nobody", "a password of ada"), ("admin", "wrong password!"), ("\0", "x")]
    {
        let refused = served.ask_as("", "POST", "/v1/sessions", &json!({ "staff": staff, "password": password }));
        assert_eq!((refused.status, &*refused.code()), (401, "unauthorized"), "{staff}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("password"), "{refused:?}");
    }
    served.does(200, "PATCH", "/v1/staff/ada", &json!({ "disabled": false }));
    // The last administrator stays one.
    for change in [json!({ "disabled": true }), json!({ "role": "auditor" })] {
        let refused = served.ask("PATCH", "/v1/staff/admin", &[], &change);
        assert_eq!((refused.status, &*refused.code()), (400, "invalid_argument"), "{change}");
    }
    let nothing = served.ask("PATCH", "/v1/staff/ada", &[], &json!({}));
    assert_eq!((nothing.status, &*nothing.code()), (400, "invalid_body"));
    assert_eq!(
        served.ask("POST", "/v1/staff", &[], &json!({ "id": "cleo", "role": "auditor", "password": "short" })).code(),
        "unsafe_password"
    );
    assert_eq!(
        served
            .ask("POST", "/v1/staff", &[], &json!({ "id": "Ben!", "role": "auditor", "password": "long enough, this" }))
            .code(),
        "invalid_key"
    );
    assert_eq!(
        served
            .ask("POST", "/v1/staff", &[], &json!({ "id": "ada", "role": "auditor", "password": "long enough, this" }))
            .code(),
        "already_exists"
    );

    // Guessing is slow.
    let guess =
        || served.ask_as("", "POST", "/v1/sessions", &json!({ "staff": "guessed", "password": "a guess" })).status;
    until("somebody guesses too often", || guess() == 429);
    // Out again.
    assert_eq!(served.ask("DELETE", "/v1/sessions/current", &[], &Value::Null).status, 204);
    assert_eq!(served.ask("GET", "/v1/identity", &[], &Value::Null).status, 401);
}

#[tokio::test]
async fn hq_is_reached_from_allowed_networks_alone() {
    let desk = super::desk("network").await;
    let toml = "[access]\nallow = [\"10.1.0.0/16\"]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    desk.write("leasehold.toml", toml);
    let served = Served::start_behind(desk, &[("LEASEHOLD_CONFIG", "leasehold.toml")], "10.1.2.3");
    let from = |forwarded: &str, path: &str| {
        ask(&served.base, &served.admin, "GET", path, &[("x-forwarded-for", forwarded)], b"").code()
    };
    assert_eq!(from("10.1.2.3", "/v1/features"), "");
    // What stands before the proxy's own word may be invented.
    assert_eq!(from("10.1.2.3, 192.0.2.7", "/v1/features"), "network_not_allowed");
    assert_eq!(from("192.0.2.7, 10.1.2.3", "/v1/features"), "");
    assert_eq!(from("nonsense", "/v1/features"), "network_not_allowed");
    assert_eq!(from("::ffff:10.1.2.3", "/v1/features"), "");
    // A proxy that names nobody may ask for anybody.
    let unnamed: [&[(&str, &str)]; 4] = [
        &[],
        &[("x-forwarded-for", "")],
        &[("x-forwarded-for", "127.0.0.1, 127.0.0.2")],
        &[("forwarded", "for=10.1.2.3")],
    ];
    for headers in unnamed {
        let refused = ask(&served.base, &served.admin, "GET", "/v1/features", headers, b"");
        assert_eq!((refused.status, &*refused.code()), (403, "network_not_allowed"), "{headers:?}");
    }
    // Staff work from there, whatever they ask for. Tenants' interfaces are open to all, with a token.
    let new = json!({ "name": "t", "scopes": ["hq:read"] }).to_string();
    let inside = [("x-forwarded-for", "10.1.2.3")];
    let made = ask(&served.base, &served.admin, "POST", "/v1/tokens", &inside, new.as_bytes()).json();
    let token = made["secret"].as_str().unwrap();
    for (path, code) in [("/v1/identity", ""), ("/v1/tenants/om-1/entitlements", "unknown_tenant")] {
        assert_eq!((&*from("10.1.2.3", path), &*from("192.0.2.7", path)), (code, "network_not_allowed"), "{path}");
        let answer = ask(&served.base, token, "GET", path, &[("x-forwarded-for", "192.0.2.7")], b"");
        assert_eq!(answer.code(), code, "{path}");
    }
    let sign_in = json!({ "staff": "admin", "password": served.password }).to_string();
    let refused =
        ask(&served.base, "", "POST", "/v1/sessions", &[("x-forwarded-for", "192.0.2.7")], sign_in.as_bytes());
    assert_eq!(refused.code(), "network_not_allowed");
}

/// A proxy that nobody has named would lend its own address to whoever asks through it.
#[tokio::test]
async fn who_forwards_is_named_or_refused() {
    let served = Served::empty("forwarded").await;
    let token = served.token(&["hq:read"], &json!({}));
    for header in [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1")] {
        // A body that cannot be read is not read.
        let cases: [(&str, &str, &str, &[u8]); 4] = [
            (&token, "GET", "/v1/features", b""),
            (&served.admin, "GET", "/v1/features", b""),
            (&served.admin, "GET", "/v1/identity", b""),
            ("", "POST", "/v1/sessions", b"{"),
        ];
        for (who, method, path, body) in cases {
            let refused = ask(&served.base, who, method, path, &[header], body);
            assert_eq!((refused.status, &*refused.code()), (403, "network_not_allowed"), "{header:?} {method} {path}");
            assert!(refused.json()["detail"].as_str().unwrap().contains("trusted_proxies"), "{refused:?}");
        }
        assert_eq!(ask(&served.base, &token, "GET", "/v1/identity", &[header], b"").status, 200);
    }
}

#[tokio::test]
async fn nobody_gives_a_token_what_they_may_not_do() {
    let served = Served::empty("scopes").await;
    let tess = served.staff("tess", "tech_admin");
    let make = |who: &str, scope: &str| {
        served.ask_as(who, "POST", "/v1/tokens", &json!({ "name": "t", "scopes": ["hq:read", scope] }))
    };
    for scope in ["hq:write", "usage:write"] {
        let refused = make(&tess, scope);
        assert_eq!((refused.status, &*refused.code()), (403, "scope_not_held"), "{scope}");
        assert!(refused.json()["detail"].as_str().unwrap().contains(scope), "{refused:?}");
        assert_eq!(make(&served.admin, scope).status, 201, "{scope}");
    }
    // Reporting is of engines alone: no role has it, and who makes tokens makes theirs.
    for scope in [
        "decisions:read",
        "flags:evaluate",
        "audit:read",
        "snapshots:read",
        "slices:read",
        "engines:report",
        "metrics:read",
    ] {
        assert_eq!(make(&tess, scope).status, 201, "{scope}");
    }
}

/// Requests of HQ's own interface that are about no single tenant, and that tokens may be for: by the document of it.
fn about_all(served: &Served) -> Vec<(String, String)> {
    let needs = [
        "definitions:read",
        "definitions:write",
        "tenants:read",
        "tenants:write",
        "fleet:read",
        "audit:read",
        "metrics:read",
    ];
    let document = ask(&served.base, "", "GET", "/openapi.json", &[], b"").json();
    let mut found = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let needed = operation["security"][0]["token"][0].as_str().unwrap_or_default();
            // A change is of some tenant, which its path does not name.
            if path.contains("{tenant}") || path.ends_with("{change}") || !needs.contains(&needed) {
                continue;
            }
            let names = [("{key}", "nothing"), ("{id}", "999999"), ("{number}", "1")];
            let path = names.into_iter().fold(path.clone(), |path, (name, value)| path.replace(name, value));
            found.push((method.to_uppercase(), path));
        }
    }
    found
}

#[tokio::test]
async fn what_is_about_all_is_not_for_who_is_bound() {
    let served = Served::empty("bound").await;
    let routes = about_all(&served);
    for about in [
        "/v1/features",
        "/v1/plans",
        "/v1/add-ons",
        "/v1/guards",
        "/v1/workflows",
        "/v1/kills",
        "/v1/definitions",
        "/v1/proposals",
        "/v1/rollout",
        "/v1/fleet",
        "/v1/tenants",
        "/v1/audit",
        "/metrics",
    ] {
        assert!(routes.iter().any(|(_, path)| path.starts_with(about)), "{about}: {routes:?}");
    }
    let scopes = ["hq:read", "hq:write", "audit:read", "metrics:read"];
    let mut wrong = Vec::new();
    for bounds in [json!({ "region": "GCC-OM" }), json!({ "tenant": "om-muscat-sparkle" })] {
        let token = served.token(&scopes, &bounds);
        for (method, path) in &routes {
            let body: &[u8] = if method == "GET" || method == "DELETE" { b"" } else { b"[]" };
            let answer = ask(&served.base, &token, method, path, &[], body);
            if (answer.status, &*answer.code()) != (403, "bound_token") {
                wrong.push(format!("{method} {path} of {bounds}: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is left of a tenant that is gone may be another region's.
#[tokio::test]
async fn a_tenant_that_is_not_there_is_in_no_region() {
    let served = Served::new("absent").await;
    let scopes = ["hq:read", "hq:write", "audit:read", "decisions:read"];
    let oman = served.token(&scopes, &json!({ "region": "GCC-OM" }));
    let gone = "sa-riyadh-najd";
    let removed = served.ask("DELETE", &format!("/v1/tenants/{gone}"), &[("if-match", "*")], &Value::Null);
    assert_eq!(removed.status, 200, "{removed:?}");
    let entitlements = format!("/v1/tenants/{gone}/entitlements");
    until("it is gone", || served.ask("GET", &entitlements, &[], &Value::Null).code() == "unknown_tenant");
    let paths = |tenant: &str| {
        [
            format!("/v1/audit?tenant={tenant}"),
            format!("/v1/audit/verification?scope=tenant&tenant={tenant}"),
            format!("/v1/tenants/{tenant}"),
            format!("/v1/tenants/{tenant}/entitlements"),
        ]
    };
    for tenant in [gone, "nobody"] {
        let known_then = format!("/v1/tenants/{tenant}/entitlements?known_at=2026-01-01T00:00:00Z");
        for path in paths(tenant).into_iter().chain([known_then]) {
            let refused = served.ask_as(&oman, "GET", &path, &Value::Null);
            assert_eq!((refused.status, &*refused.code()), (403, "other_tenant"), "{path}");
        }
    }
    for path in paths("om-muscat-sparkle") {
        assert_eq!(served.ask_as(&oman, "GET", &path, &Value::Null).status, 200, "{path}");
    }
    // A new one is made in their own region.
    let make = |tenant: &str, region: &str| {
        let tenant_json = json!({ "name": "N", "name2": "N", "region": region, "anchor": "2026-11-01T00:00:00Z" });
        let new = [("if-none-match", "*")];
        let path = format!("/v1/tenants/{tenant}");
        ask(&served.base, &oman, "PUT", &path, &new, tenant_json.to_string().as_bytes())
    };
    assert_eq!(make("sa-new", "GCC-SA").code(), "other_region");
    let made = make("om-new", "GCC-OM");
    assert_eq!(made.status, 201, "{made:?}");
    // What is left of one that was elsewhere is not had by making it anew; its own region has it again.
    assert_eq!(make(gone, "GCC-OM").code(), "other_region");
    let saudi = served.token(&scopes, &json!({ "region": "GCC-SA" }));
    let again = json!({ "name": "N", "name2": "N", "region": "GCC-SA", "anchor": "2026-11-01T00:00:00Z" });
    let path = format!("/v1/tenants/{gone}");
    let made = ask(&served.base, &saudi, "PUT", &path, &[("if-none-match", "*")], again.to_string().as_bytes());
    assert_eq!(made.status, 201, "{made:?}");
}

/// A tenant's own token changes what it has. Whether it is there, and blocked, is decided by others: the block may be for
/// whoever holds the token.
#[tokio::test]
async fn a_tenants_own_token_lifts_no_block() {
    let served = Served::new("own_block").await;
    let tenant = "/v1/tenants/om-muscat-sparkle";
    let own = served.token(&["hq:read", "hq:write"], &json!({ "tenant": "om-muscat-sparkle" }));
    let oman = served.token(&["hq:read", "hq:write"], &json!({ "region": "GCC-OM" }));
    let record = served.does(200, "GET", tenant, &Value::Null);
    let block = json!({ "kind": "quarantined", "laid_by": "security", "since": "2026-11-01T00:00:00Z",
        "reason": "a card that was stolen" });
    let lift = json!({ "by": "security", "reason": "it was not" });
    let (laid, lifted) = (format!("{tenant}/blocks/stolen"), format!("{tenant}/blocks/stolen/lift"));
    assert_eq!(served.ask_as(&oman, "PUT", &laid, &block).status, 200);
    for (method, path, body) in [
        ("POST", lifted.as_str(), &lift),
        ("PUT", &format!("{tenant}/blocks/another"), &block),
        ("DELETE", tenant, &Value::Null),
        ("PUT", tenant, &record),
    ] {
        let headers = [("if-match", "*")];
        let refused = ask(&served.base, &own, method, path, &headers, body.to_string().as_bytes());
        assert_eq!((refused.status, &*refused.code()), (403, "bound_token"), "{method} {path}: {refused:?}");
    }
    let preferences = served.ask_as(&own, "PUT", &format!("{tenant}/preferences"), &json!({}));
    assert_eq!(preferences.status, 200, "{preferences:?}");
    assert_eq!(served.ask_as(&oman, "POST", &lifted, &lift).status, 200);
}

/// While a tenant moves, neither region's token reaches what is authored of it: not the old one's what is new, and not the
/// new one's what is not there yet.
#[tokio::test]
async fn a_tenant_that_moves_is_in_no_region_until_it_is_published() {
    let mut served = Served::new("moving").await;
    let scopes = ["hq:read", "hq:write", "audit:read", "decisions:read"];
    let [oman, saudi] = ["GCC-OM", "GCC-SA"].map(|region| served.token(&scopes, &json!({ "region": region })));
    let own = served.token(&scopes, &json!({ "tenant": "om-muscat-sparkle" }));
    let tenant = "/v1/tenants/om-muscat-sparkle";
    let mut record = served.does(200, "GET", tenant, &Value::Null);
    record["region"] = json!("GCC-SA");
    served.terminate();
    served.again(&[("LEASEHOLD_PUBLISHER", "off"), ("LEASEHOLD_FLEET_KEY", "")]);
    let moved = served.ask("PUT", tenant, &[("if-match", "*")], &record);
    assert_eq!(moved.status, 202, "{moved:?}");
    let change = format!("/v1/changes/{}", moved.json()["change"]);
    let status = |who: &str, path: &str| {
        let answer = served.ask_as(who, "GET", path, &Value::Null);
        assert!(answer.status == 200 || answer.code() == "other_tenant", "{path}: {answer:?}");
        answer.status
    };
    for path in [tenant, "/v1/audit?tenant=om-muscat-sparkle"] {
        assert_eq!([status(&oman, path), status(&saudi, path), status(&own, path)], [403, 403, 200], "{path}");
    }
    for who in [&oman, &saudi] {
        let refused = served.ask_as(who, "PUT", &format!("{tenant}/preferences"), &json!({}));
        assert_eq!((refused.status, &*refused.code()), (403, "other_tenant"));
    }
    // What is published of it is where it was.
    let entitlements = format!("{tenant}/entitlements");
    assert_eq!([status(&oman, &entitlements), status(&saudi, &entitlements)], [200, 403]);
    // Whose change it is may ask what became of it.
    assert_eq!(status(&own, &change), 200);
    let unknown = served.ask_as(&own, "GET", "/v1/changes/999999", &Value::Null);
    assert_eq!((unknown.status, &*unknown.code()), (404, "not_found"));

    served.terminate();
    served.again(&[]);
    let outcome = || served.does(200, "GET", &change, &Value::Null)["state"] == "published";
    until("the move is published", outcome);
    until("it has moved", || served.ask_as(&saudi, "GET", &entitlements, &Value::Null).status == 200);
    assert_eq!(served.ask_as(&saudi, "GET", tenant, &Value::Null).status, 200);
    for path in [tenant, &entitlements, "/v1/audit?tenant=om-muscat-sparkle"] {
        let refused = served.ask_as(&oman, "GET", path, &Value::Null);
        assert_eq!((refused.status, &*refused.code()), (403, "other_tenant"), "{path}");
    }
}

#[tokio::test]
async fn guessing_from_one_address_is_slow_under_whatever_names() {
    let served = Served::empty("guesses").await;
    let long = json!({ "staff": "x".repeat(5000), "password": "a guess" });
    let refused = served.ask_as("", "POST", "/v1/sessions", &long);
    assert_eq!((refused.status, &*refused.code()), (413, "body_too_large"));
    let mut tried = 0;
    until("somebody guesses too often", || {
        tried += 1;
        let guess = json!({ "staff": format!("nobody-{tried}"), "password": "a guess" });
        let answer = served.ask_as("", "POST", "/v1/sessions", &guess);
        assert!(matches!(answer.status, 401 | 429), "{answer:?}");
        answer.status == 429
    });
    assert!(tried > 10, "{tried}");
    until("nothing is read any more of what they send", || {
        let answer = ask(&served.base, "", "POST", "/v1/sessions", &[], b"{");
        let limited = answer.status == 429 && answer.code() == "rate_limited";
        limited && (1..=60).contains(&answer.header("retry-after").parse::<u64>().unwrap())
    });
    let metrics = String::from_utf8(served.ask("GET", "/metrics", &[], &Value::Null).bytes).unwrap();
    let refused = metrics.lines().find_map(|line| line.strip_prefix("leasehold_rate_limited_total "));
    assert!(refused.unwrap().parse::<u64>().unwrap() >= 2, "{metrics}");
}

#[tokio::test]
async fn strangers_wait_and_others_do_not() {
    let served = Served::empty("strangers").await;
    let token = served.token(&["hq:read"], &json!({}));
    let base = served.base.as_str();
    let identity = |token: &str| ask(base, token, "GET", "/v1/identity", &[], b"");
    let stranger = |number: u64| identity(&format!("lht_{number:016x}_{number:064x}"));
    let mut tried = 0;
    until("strangers have to wait", || {
        // It is remembered from then on.
        assert_eq!(identity(&token).status, 200);
        tried += 64;
        let answers: Vec<Answer> = std::thread::scope(|scope| {
            let first = tried;
            let asking = [0, 16, 32, 48].map(|from| {
                scope.spawn(move || (from..from + 16).map(|number| stranger(first + number)).collect::<Vec<_>>())
            });
            asking.into_iter().flat_map(|one| one.join().unwrap()).collect()
        });
        let waiting: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 401).collect();
        for answer in &waiting {
            assert_eq!((answer.status, &*answer.code(), answer.header("retry-after")), (429, "rate_limited", "1"));
        }
        !waiting.is_empty()
    });
    assert_eq!(identity(&token).status, 200);
    until("strangers are looked up again", || {
        tried += 64;
        stranger(tried).status == 401
    });
}

#[tokio::test]
async fn who_asks_too_often_has_to_wait() {
    let desk = super::desk("rate").await;
    desk.write("leasehold.toml", "[access]\nrequests_per_second = 1\nburst = 20\n");
    let served = Served::start(desk, &[("LEASEHOLD_CONFIG", "leasehold.toml")]);
    let mut last = served.ask("GET", "/v1/identity", &[], &Value::Null);
    for _ in 0..100 {
        last = served.ask("GET", "/v1/identity", &[], &Value::Null);
        if last.status == 429 {
            break;
        }
    }
    assert_eq!((last.status, &*last.code()), (429, "rate_limited"));
    assert!((1..=60).contains(&last.header("retry-after").parse::<u64>().unwrap()));
    // Others are not kept waiting by it.
    let health = ask(&served.base, "", "GET", "/healthz", &[], b"");
    assert_eq!(health.json(), json!({ "status": "ok" }));
    let _ = PATIENCE;
}
