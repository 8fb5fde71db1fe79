//! What tests of the ledger have in common: definitions, requests, what is in the tables.

#![allow(unreachable_pub, reason = "tests")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use leasehold::model::{self, Source};
use leasehold::{Engine, FeatureKey, Revision, Snapshot, Stamp, TenantId, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::ledger::{Booking, IdempotencyKey, Ledger, UsageEventKind, UsageRequest};
use serde_json::json;
use sqlx::PgPool;
use std::collections::BTreeMap;
use std::time::Duration;

/// Limits of each mode, and the tenants `t1` and `t2`. Months begin on the 31st.
pub fn engine() -> Engine {
    engine_with(1000)
}

/// As above, with another amount of the hard limit.
pub fn engine_with(hard: u64) -> Engine {
    engine_for(hard, &["t1".to_owned(), "t2".to_owned()])
}

/// As above, with these tenants.
pub fn engine_for(hard: u64, tenants: &[String]) -> Engine {
    engine_without(&["off"], hard, tenants)
}

/// As above, with these limits off.
pub fn engine_without(off: &[&str], hard: u64, tenants: &[String]) -> Engine {
    let limit = |window: &str, grant: serde_json::Value| {
        json!({ "kind": "limit", "unit": "piece", "name": "L", "name2": "L", "group": "x", "window": window,
                "default": grant })
    };
    let tenant = json!({ "name": "T", "name2": "T", "region": "R", "anchor": "2026-01-31T00:00:00Z" });
    let tenants: BTreeMap<_, _> = tenants.iter().map(|id| (id, &tenant)).collect();
    let file = json!({
        "features": {
            "hard": limit("month", json!({ "amount": hard, "thresholds": [50, 80, 100] })),
            "soft": limit("month", json!({ "amount": 10, "mode": "soft", "thresholds": [50, 100, 150] })),
            "billable": limit("month", json!({ "amount": 10, "mode": "billable", "thresholds": [100] })),
            "seats": limit("none", json!({ "amount": 3 })),
            "endless": limit("day", json!({ "amount": "unlimited" })),
            "off": limit("month", json!({ "amount": 5 })),
            "switch": { "kind": "switch", "name": "S", "name2": "S", "group": "x" },
        },
        "kills": off.iter().map(|feature| (format!("no-{feature}"), json!({
            "feature": feature, "since": "2026-02-01T00:00:00Z", "reason": "R", "actor": "A",
        }))).collect::<BTreeMap<_, _>>(),
        "tenants": tenants,
    });
    let source = Source { name: "a.json".into(), bytes: file.to_string().into_bytes() };
    let definitions = model::load(&[source]).unwrap_or_else(|error| panic!("{error}"));
    let stamp = Stamp { revision: Revision::new(7).unwrap(), issued_at: t("2026-01-01T00:00:00Z"), expires_at: None };
    Engine::new(Snapshot::compile(&definitions, stamp).unwrap_or_else(|error| panic!("{error}")))
}

pub fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// In the window from 28 February to 31 March.
pub fn noon() -> Timestamp {
    t("2026-03-10T12:00:00Z")
}

/// One tenant's view of the ledger.
#[derive(Clone)]
pub struct User {
    pub ledger: Ledger,
    pub tenant: TenantId,
}

pub async fn user(pool: &PgPool, tenant: &str) -> User {
    user_of(pool, engine(), tenant).await
}

pub async fn user_of(pool: &PgPool, engine: Engine, tenant: &str) -> User {
    User { ledger: Ledger::connect(pool.clone(), engine).await.unwrap(), tenant: tenant.parse().unwrap() }
}

pub fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

impl User {
    pub async fn consume(&self, feature: &str, amount: i64, name: &str, now: Timestamp) -> Result<Booking, Error> {
        let (feature, key): (FeatureKey, _) = (feature.parse().unwrap(), key(name));
        let request = UsageRequest { tenant: &self.tenant, feature: &feature, amount, key: &key, now };
        self.ledger.consume(&request).await
    }

    pub async fn reserve(
        &self,
        feature: &str,
        amount: i64,
        name: &str,
        now: Timestamp,
        hold_ms: u64,
    ) -> Result<Booking, Error> {
        let (feature, key): (FeatureKey, _) = (feature.parse().unwrap(), key(name));
        let request = UsageRequest { tenant: &self.tenant, feature: &feature, amount, key: &key, now };
        self.ledger.reserve(&request, Duration::from_millis(hold_ms)).await
    }

    pub async fn give_back(&self, feature: &str, amount: i64, name: &str, now: Timestamp) -> Result<Booking, Error> {
        let (feature, key): (FeatureKey, _) = (feature.parse().unwrap(), key(name));
        let request = UsageRequest { tenant: &self.tenant, feature: &feature, amount, key: &key, now };
        self.ledger.give_back(&request).await
    }

    pub async fn confirm(&self, name: &str, amount: i64, now: Timestamp) -> Result<Booking, Error> {
        self.ledger.confirm(&self.tenant, &key(name), amount, now).await
    }

    pub async fn release(&self, name: &str, now: Timestamp) -> Result<(), Error> {
        self.ledger.release(&self.tenant, &key(name), now).await
    }

    /// What is used and reserved.
    pub async fn usage(&self, feature: &str, now: Timestamp) -> (u64, u64) {
        let report = self.ledger.usage(&self.tenant, &feature.parse().unwrap(), now).await.unwrap();
        (report.used, report.reserved)
    }

    /// What happened to a limit, in order.
    pub async fn events(&self, feature: &str) -> Vec<UsageEventKind> {
        let events = self.ledger.events(&self.tenant, 10_000).await.unwrap();
        events.into_iter().filter(|event| event.feature.as_str() == feature).map(|event| event.kind).collect()
    }
}

pub fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code()
}

pub fn is_denied(booking: &Booking) -> bool {
    matches!(booking, Booking::Denied(_))
}

/// Asserts that what the counters say is what the entries and reservations add up to, in the whole database.
pub async fn assert_consistent(admin: &PgPool) {
    let wrong: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "SELECT tenant_org_id::text, feature_key::text, used::bigint, reserved::bigint FROM leasehold.org_usage_counters c
         WHERE used <> (SELECT coalesce(sum(CASE kind WHEN 'give_back' THEN -amount WHEN 'reserve' THEN 0 ELSE amount END), 0)
                FROM leasehold.org_usage_entries e WHERE e.tenant_org_id = c.tenant_org_id
                    AND e.feature_key = c.feature_key AND e.window_start_ms = c.window_start_ms)
            OR reserved <> (SELECT coalesce(sum(amount), 0) FROM leasehold.org_usage_reservations r
                WHERE state = 'held' AND r.tenant_org_id = c.tenant_org_id
                    AND r.feature_key = c.feature_key AND r.window_start_ms = c.window_start_ms)",
    )
    .fetch_all(admin)
    .await
    .unwrap();
    assert!(wrong.is_empty(), "{wrong:?}");
}
