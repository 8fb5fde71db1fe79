//! Consuming from one limit and from many, against SQL written by hand: same round trips, same rows, same clients, one run,
//! on a private cluster that waits for the disk at every commit.
//!
//! `cargo bench -p leasehold-benches --bench postgres_ledger`: the time of one consumption, of all clients together.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use leasehold::model::{self, Source};
use leasehold::{Engine, FeatureKey, Revision, Snapshot, Stamp, TenantId, Timestamp};
use leasehold_benches::row;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::ledger::{Booking, IdempotencyKey, Ledger, UsageRequest};
use leasehold_postgres::schema::{self, Part};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool, Postgres, Row, Transaction};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const TENANTS: u64 = 1000;
const ROUND: Duration = Duration::from_millis(1500);
const LIMIT: i64 = 1 << 50;

/// What is compared.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Ledger,
    /// The transaction that the ledger does, without engine and without types.
    ByHand,
    /// The fewest statements that keep the same rows right: one that guards itself. It cannot ask anybody, nor say why not.
    Guarded,
}

#[derive(Clone)]
struct Bench {
    pool: PgPool,
    ledger: Ledger,
    tenants: Arc<Vec<TenantId>>,
    feature: FeatureKey,
    now: Timestamp,
    window_ms: i64,
    next: Arc<AtomicU64>,
}

impl Bench {
    async fn once(&self, way: Way, tenant: &TenantId, key: &str) {
        match way {
            Way::Ledger => {
                let key = IdempotencyKey::new(key).unwrap();
                let (feature, now) = (&self.feature, self.now);
                let request = UsageRequest { tenant, feature, amount: 1, key: &key, now };
                let booking = self.ledger.consume(&request).await.unwrap();
                assert!(matches!(booking, Booking::Booked(_)));
            }
            Way::ByHand => self.by_hand(tenant.as_str(), key).await.unwrap(),
            Way::Guarded => self.guarded(tenant.as_str(), key).await.unwrap(),
        }
    }

    async fn begin(&self, tenant: &str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        sqlx::query("SELECT set_config('app.current_tenant_id', $1, true)")
            .bind(tenant)
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }

    async fn by_hand(&self, tenant: &str, key: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin(tenant).await?;
        let row = sqlx::query(
            "SELECT used, reserved, EXISTS (SELECT FROM leasehold.org_usage_entries
                 WHERE tenant_org_id = $1 AND idempotency_key = $4 AND step = 1) AS repeated
             FROM leasehold.org_usage_counters
             WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3 FOR NO KEY UPDATE",
        )
        .bind(tenant)
        .bind(self.feature.as_str())
        .bind(self.window_ms)
        .bind(key)
        .fetch_one(&mut *transaction)
        .await?;
        let taken = row.get::<i64, _>("used") + row.get::<i64, _>("reserved");
        assert!(taken < LIMIT && !row.get::<bool, _>("repeated"));
        sqlx::query(
            "WITH counter AS (
                 UPDATE leasehold.org_usage_counters SET used = used + 1
                 WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3)
             INSERT INTO leasehold.org_usage_entries VALUES
                 ($1, $4, 1, 'consume', $2, $3, 1, NULL, $5, 'allow', $6, $7, 0, 0, '{}', $8, 1)",
        )
        .bind(tenant)
        .bind(self.feature.as_str())
        .bind(self.window_ms)
        .bind(key)
        .bind(self.now.as_ms())
        .bind(LIMIT)
        .bind(LIMIT - taken)
        .bind(self.now.as_ms())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }

    async fn guarded(&self, tenant: &str, key: &str) -> Result<(), sqlx::Error> {
        let mut transaction = self.begin(tenant).await?;
        let done = sqlx::query(
            "WITH counter AS (
                 UPDATE leasehold.org_usage_counters SET used = used + 1
                 WHERE tenant_org_id = $1 AND feature_key = $2 AND window_start_ms = $3 AND used + reserved < $6
                 RETURNING used + reserved AS taken)
             INSERT INTO leasehold.org_usage_entries
                 SELECT $1, $4, 1, 'consume', $2, $3, 1, NULL, $5, 'allow', $6, $6 - taken + 1, 0, 0, '{}', $7, 1
                 FROM counter",
        )
        .bind(tenant)
        .bind(self.feature.as_str())
        .bind(self.window_ms)
        .bind(key)
        .bind(self.now.as_ms())
        .bind(LIMIT)
        .bind(self.now.as_ms())
        .execute(&mut *transaction)
        .await?;
        assert_eq!(done.rows_affected(), 1);
        transaction.commit().await
    }

    /// Consumptions in one round, and how long it took.
    async fn round(&self, way: Way, clients: u64, tenants: u64) -> (u64, Duration) {
        let begin = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let bench = self.clone();
            running.spawn(async move {
                let mut done = 0;
                while begin.elapsed() < ROUND {
                    let number = bench.next.fetch_add(1, Ordering::Relaxed);
                    let tenant = usize::try_from(number % tenants).unwrap();
                    bench.once(way, &bench.tenants[tenant], &format!("order-{number:012}")).await;
                    done += 1;
                }
                done
            });
        }
        (running.join_all().await.into_iter().sum(), begin.elapsed())
    }
}

#[tokio::main]
async fn main() {
    let rounds = if std::env::var_os("LEASEHOLD_BENCH_QUICK").is_some() { 1 } else { 5 };
    let cluster = Cluster::start(Durability::Full).unwrap_or_else(|error| panic!("{error}"));
    let mut admin = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    schema::migrate(&mut admin, Part::Ledger).await.unwrap_or_else(|error| panic!("{error}"));
    sqlx::raw_sql("CREATE ROLE app LOGIN IN ROLE leasehold_app").execute(&mut admin).await.unwrap();
    let url = cluster.url_as("app", "postgres");
    let pool = PgPoolOptions::new().min_connections(32).max_connections(32).connect(&url).await.unwrap();

    let tenants: Vec<TenantId> = (0..TENANTS).map(|number| format!("tenant-{number}").parse().unwrap()).collect();
    let feature: FeatureKey = "orders".parse().unwrap();
    let now: Timestamp = "2026-03-10T12:00:00Z".parse().unwrap();
    let engine = engine(&tenants, now);
    let bench = Bench {
        ledger: Ledger::connect(pool.clone(), engine.clone()).await.unwrap(),
        window_ms: engine.pin().tenant("tenant-0").unwrap().window_start(&feature, now).unwrap().unwrap().as_ms(),
        next: Arc::default(),
        tenants: Arc::new(tenants),
        pool,
        feature,
        now,
    };
    // Counters are there before anything is measured.
    for (number, tenant) in bench.tenants.iter().enumerate() {
        bench.once(Way::Ledger, tenant, &format!("first-{number}")).await;
    }
    for (place, id, tenants) in [("one counter", "one", 1), ("1000 counters", "many", TENANTS)] {
        for clients in [1, 8, 32] {
            let ways = [Way::Ledger, Way::ByHand, Way::Guarded];
            let mut rates: [Vec<f64>; 3] = Default::default();
            // Turn by turn, so that what slows the machine slows all of them.
            for _ in 0..rounds {
                for (way, rates) in ways.into_iter().zip(&mut rates) {
                    let (done, took) = bench.round(way, clients, tenants).await;
                    rates.push(done as f64 / took.as_secs_f64());
                }
            }
            let [ours, by_hand, guarded] = rates.map(|mut rates| {
                rates.sort_by(f64::total_cmp);
                rates[rates.len() / 2]
            });
            for (peer, theirs) in
                [("SQL by hand, same round trips", by_hand), ("SQL by hand, one round trip less", guarded)]
            {
                row(&json!({ "id": format!("postgres.consume.{id}.{clients}"), "runtime": "postgres", "unit": "ns",
                    "what": format!("consume, {place}, {clients} clients, fsync on"), "ours": 1e9 / ours, "peer": peer,
                    "peer_version": "SQL", "theirs": 1e9 / theirs, "ratio": ours / theirs }));
            }
        }
    }
}

fn engine(tenants: &[TenantId], now: Timestamp) -> Engine {
    let tenant = json!({ "name": "T", "name2": "T", "region": "R", "anchor": "2026-01-31T00:00:00Z" });
    let tenants: serde_json::Map<_, _> = tenants.iter().map(|id| (id.to_string(), tenant.clone())).collect();
    let file = json!({
        "features": { "orders": { "kind": "limit", "unit": "order", "name": "O", "name2": "O", "group": "x",
            "window": "month", "default": { "amount": LIMIT, "thresholds": [80, 100] } } },
        "tenants": tenants,
    });
    let source = Source { name: "bench.json".into(), bytes: file.to_string().into_bytes() };
    let definitions = model::load(&[source]).unwrap_or_else(|error| panic!("{error}"));
    let stamp = Stamp { revision: Revision::new(1).unwrap(), issued_at: now, expires_at: None };
    Engine::new(Snapshot::compile(&definitions, stamp).unwrap_or_else(|error| panic!("{error}")))
}
