//! Tokens and staff: revoked, expired, disabled, and told from strangers.

use super::{PATIENCE, Served, ask, until};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
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
    for (staff, password) in
        [("ada", "another long password"), ("nobody", "a password of ada"), ("admin", "wrong password!"), ("\0", "x")]
    {
        let refused = served.ask_as("", "POST", "/v1/sessions", &json!({ "staff": staff, "password": password }));
        assert_eq!((refused.status, &*refused.code()), (401, "unauthorized"), "{staff}");
    }
    served.does(200, "PATCH", "/v1/staff/ada", &json!({ "disabled": false }));
    // The last administrator stays one.
    for change in [json!({ "disabled": true }), json!({ "role": "auditor" })] {
        let refused = served.ask("PATCH", "/v1/staff/admin", &[], &change);
        assert_eq!((refused.status, &*refused.code()), (400, "invalid_argument"), "{change}");
    }
    assert_eq!(
        served.ask("POST", "/v1/staff", &[], &json!({ "id": "ben", "role": "auditor", "password": "short" })).code(),
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
    // Tenants' interfaces are open to all, with a token.
    assert_eq!(from("192.0.2.7", "/v1/identity"), "");
    assert_eq!(from("192.0.2.7", "/v1/tenants/om-1/entitlements"), "unknown_tenant");
    let sign_in = json!({ "staff": "admin", "password": served.password }).to_string();
    let refused =
        ask(&served.base, "", "POST", "/v1/sessions", &[("x-forwarded-for", "192.0.2.7")], sign_in.as_bytes());
    assert_eq!(refused.code(), "network_not_allowed");
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
