//! Who may do what, as a table: every route of the interface, every role and every scope, other tenants and regions.

use super::{Answer, Served, ask};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What each role may do. It is written out here, so that a change of the rules is a change of this table.
const ROLES: &[(&str, &[&str])] = &[
    (
        "super_admin",
        &[
            "identify",
            "definitions:read",
            "definitions:write",
            "kills:write",
            "proposals:approve",
            "snapshots:publish",
            "tenants:read",
            "tenants:write",
            "decisions:read",
            "flags:evaluate",
            "usage:read",
            "usage:write",
            "audit:read",
            "audit:sign",
            "fleet:read",
            "fleet:write",
            "tokens:write",
            "staff:write",
            "snapshots:read",
            "slices:read",
            "metrics:read",
        ],
    ),
    (
        "tech_admin",
        &[
            "identify",
            "definitions:read",
            "definitions:write",
            "kills:write",
            "proposals:approve",
            "snapshots:publish",
            "tenants:read",
            "decisions:read",
            "flags:evaluate",
            "usage:read",
            "audit:read",
            "audit:sign",
            "fleet:read",
            "fleet:write",
            "tokens:write",
            "snapshots:read",
            "slices:read",
            "metrics:read",
        ],
    ),
    (
        "biz_admin",
        &[
            "identify",
            "definitions:read",
            "definitions:write",
            "proposals:approve",
            "tenants:read",
            "tenants:write",
            "decisions:read",
            "usage:read",
            "fleet:read",
        ],
    ),
    (
        "auditor",
        &[
            "identify",
            "definitions:read",
            "tenants:read",
            "decisions:read",
            "usage:read",
            "audit:read",
            "audit:sign",
            "fleet:read",
            "metrics:read",
        ],
    ),
    (
        "support_readonly",
        &["identify", "definitions:read", "tenants:read", "decisions:read", "usage:read", "fleet:read"],
    ),
];

const SCOPES: &[(&str, &[&str])] = &[
    ("hq:read", &["identify", "definitions:read", "tenants:read", "decisions:read", "usage:read", "fleet:read"]),
    (
        "hq:write",
        &["identify", "definitions:read", "definitions:write", "tenants:read", "tenants:write", "decisions:read"],
    ),
    ("decisions:read", &["identify", "decisions:read"]),
    ("flags:evaluate", &["identify", "flags:evaluate"]),
    ("usage:write", &["identify", "usage:read", "usage:write"]),
    ("audit:read", &["identify", "audit:read"]),
    ("snapshots:read", &["identify", "snapshots:read"]),
    ("slices:read", &["identify", "slices:read"]),
    ("engines:report", &["identify", "engines:report"]),
    ("metrics:read", &["identify", "metrics:read"]),
];

/// A request of the interface, and the permission that its document names; none for what is open to all.
#[derive(Debug, Clone)]
struct Route {
    method: String,
    path: String,
    needs: Option<String>,
}

fn routes(document: &Value) -> Vec<Route> {
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let security = operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path} says nothing"));
            let needs = security.iter().find_map(|one| one["token"].as_array()?.first()?.as_str());
            routes.push(Route { method: method.to_uppercase(), path: path.clone(), needs: needs.map(str::to_owned) });
        }
    }
    routes
}

/// Whether a route makes, replaces or removes a tenant, or is about its blocks.
fn is_about_its_standing(route: &Route) -> bool {
    let is_whole = route.path == "/v1/tenants/{tenant}" && route.method != "GET";
    is_whole || route.path.starts_with("/v1/tenants/{tenant}/blocks/")
}

/// Asks for a route with names that are nothing, so that whoever may ask changes nothing.
fn ask_route(served: &Served, token: &str, route: &Route, tenant: &str) -> Answer {
    let mut path = route.path.replace("{tenant}", tenant);
    for (name, value) in [
        ("{id}", if route.path.contains("/proposals/") { "999999" } else { "nothing" }),
        ("{key}", "nothing"),
        ("{number}", "1"),
        ("{change}", "999999"),
        ("{hash}", &"0".repeat(64)),
        ("{feature}", "nothing"),
        ("{workflow}", "nothing"),
    ] {
        path = path.replace(name, value);
    }
    let body: &[u8] = if route.method == "GET" || route.method == "DELETE" { b"" } else { b"[]" };
    ask(&served.base, token, &route.method, &path, &[], body)
}

/// Whether somebody was refused for what they are.
fn refused(answer: &Answer) -> bool {
    answer.status == 403 && answer.code() == "forbidden"
}

#[tokio::test]
async fn every_route_every_role() {
    let served = Served::new("matrix").await;
    let document = ask(&served.base, "", "GET", "/openapi.json", &[], b"").json();
    let routes = routes(&document);
    assert!(routes.len() > 60, "{}", routes.len());

    // Each permission is had by somebody, and each that is named is known here.
    let known: BTreeSet<&str> = ROLES.iter().chain(SCOPES).flat_map(|(_, may)| may.iter().copied()).collect();
    let named: BTreeSet<&str> = routes.iter().filter_map(|route| route.needs.as_deref()).collect();
    assert!(named.is_subset(&known), "{:?}", named.difference(&known));

    let mut callers: BTreeMap<String, (String, &[&str])> = BTreeMap::new();
    for (role, may) in ROLES {
        let session = served.staff(&format!("one-{}", role.replace('_', "-")), role);
        callers.insert((*role).to_owned(), (session, may));
    }
    for (scope, may) in SCOPES {
        callers.insert((*scope).to_owned(), (served.token(&[scope], &json!({})), may));
    }
    let mut wrong = Vec::new();
    for route in &routes {
        let Some(needs) = &route.needs else { continue };
        // Signing out is asked last: it ends the session.
        if route.path.ends_with("/sessions/current") {
            continue;
        }
        for token in ["", "nonsense", "lht_0123456789abcdef_0", &format!("lht_0123456789abcdef_{}", "0".repeat(64))] {
            let answer = ask_route(&served, token, route, "om-muscat-sparkle");
            if answer.status != 401 || answer.code() != "unauthorized" {
                wrong.push(format!("{route:?} as nobody: {answer:?}"));
            }
        }
        for (who, (token, may)) in &callers {
            let answer = ask_route(&served, token, route, "om-muscat-sparkle");
            let allowed = may.contains(&needs.as_str());
            if answer.status == 401 || answer.status >= 500 && answer.status != 503 || refused(&answer) == allowed {
                let said = String::from_utf8_lossy(&answer.bytes).into_owned();
                wrong.push(format!("{} {} as {who}: {} {said}", route.method, route.path, answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A token that is bound to a tenant or a region reaches no other, on any route and with any scope.
#[tokio::test]
async fn other_tenants_and_regions_are_out_of_reach() {
    let served = Served::new("bounds").await;
    let document = ask(&served.base, "", "GET", "/openapi.json", &[], b"").json();
    let routes = routes(&document);
    let all: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    let own = served.token(&all, &json!({ "tenant": "om-muscat-sparkle" }));
    let oman = served.token(&all, &json!({ "region": "GCC-OM" }));
    let needed_by_scopes: BTreeSet<&str> = SCOPES.iter().flat_map(|(_, may)| may.iter().copied()).collect();
    let mut wrong = Vec::new();
    for route in routes.iter().filter(|route| route.path.contains("{tenant}")) {
        let Some(needs) = route.needs.as_deref().filter(|needs| needed_by_scopes.contains(needs)) else { continue };
        for (token, other) in [(&own, "ae-alain-oasis"), (&own, "sa-riyadh-najd"), (&oman, "sa-riyadh-najd")] {
            let answer = ask_route(&served, token, route, other);
            if (answer.status, &*answer.code()) != (403, "other_tenant") {
                wrong.push(format!("{} {} ({needs}) of {other}: {answer:?}", route.method, route.path));
            }
        }
        for (token, tenant) in [(&own, "om-muscat-sparkle"), (&oman, "ae-alain-oasis")] {
            let answer = ask_route(&served, token, route, tenant);
            // Whether it is there, and blocked, is not a tenant's own to change.
            let not_its_own = token == &own && is_about_its_standing(route);
            if answer.status == 401 || (answer.status == 403) != not_its_own {
                wrong.push(format!("{} {} ({needs}) of its own {tenant}: {answer:?}", route.method, route.path));
            }
        }
    }
    // What is about all tenants is not for who reaches one.
    for path in ["/v1/tenants", "/v1/fleet", "/v1/definitions", "/v1/audit", "/v1/audit/verification"] {
        for token in [&own, &oman] {
            let answer = ask(&served.base, token, "GET", path, &[], b"");
            if (answer.status, &*answer.code()) != (403, "bound_token") {
                wrong.push(format!("{path}: {answer:?}"));
            }
        }
    }
    // Streams: a region's token reaches its own, a tenant's none.
    for (token, stream, status) in
        [(&oman, "GCC-OM", 200), (&oman, "GCC-SA", 403), (&own, "GCC-OM", 403), (&own, "GCC-SA", 403)]
    {
        for path in ["head", "pack"] {
            let answer = ask(&served.base, token, "GET", &format!("/v1/snapshots/{path}?stream={stream}"), &[], b"");
            if answer.status != status {
                wrong.push(format!("{path} of {stream}: {answer:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Contents of another region are not there, whoever knows their hash.
    let admin = served.ask("GET", "/v1/snapshots/head?stream=GCC-SA", &[], &Value::Null);
    let head = leasehold::wire::Trust::from_json(
        json!({ "issuer": "hq.example", "environment": "test", "stream": "GCC-SA",
            "roots": [leasehold::wire::SecretKey::from_seed(&[1; 32]).public()] })
        .to_string()
        .as_bytes(),
    )
    .unwrap()
    .head(&admin.bytes)
    .unwrap();
    let manifest = head.head().manifest.hash;
    let asked = |stream: &str, token: &str| {
        ask(&served.base, token, "GET", &format!("/v1/snapshots/chunks/{manifest}?stream={stream}"), &[], b"").status
    };
    assert_eq!([asked("GCC-SA", &served.admin), asked("GCC-OM", &served.admin)], [200, 404]);
    assert_eq!([asked("GCC-SA", &oman), asked("GCC-OM", &oman)], [403, 404]);
}
