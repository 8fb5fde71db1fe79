//! Appending to audit chains, on a private cluster with fsync on: 16 writers, on one chain and on chains of their own,
//! beside a bare insert under a lock on the chain's head row that writes the same rows.
//!
//! `cargo bench -p leasehold-benches --bench postgres_audit [-- SECONDS]`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use leasehold::{TenantId, Timestamp};
use leasehold_benches::row;
use leasehold_postgres::audit::{Entry, append};
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::schema::{self, Part};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use std::time::{Duration, Instant};

const WRITERS: usize = 16;

#[tokio::main]
async fn main() {
    let quick = std::env::var_os("LEASEHOLD_BENCH_QUICK").is_some();
    let given = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let seconds = given.unwrap_or(if quick { 1 } else { 5 });
    let cluster = Cluster::start(Durability::Full).unwrap_or_else(|error| panic!("{error}"));
    let url = cluster.url("postgres");
    schema::migrate(&mut PgConnection::connect(&url).await.unwrap(), Part::Hq).await.unwrap();
    let size = u32::try_from(WRITERS).unwrap();
    let pool = PgPoolOptions::new().min_connections(size).max_connections(size).connect(&url).await.unwrap();
    // What bare SQL writes to: the same tables without what guards them.
    for sql in [
        "CREATE TABLE bare_heads (tenant text PRIMARY KEY, seq bigint NOT NULL, hash bytea NOT NULL)",
        "CREATE TABLE bare_log (tenant text NOT NULL, seq bigint NOT NULL, at timestamptz NOT NULL, actor text NOT NULL,
             action text NOT NULL, trace_id text, body bytea NOT NULL, prev_hash bytea NOT NULL, hash bytea NOT NULL,
             PRIMARY KEY (tenant, seq), UNIQUE (tenant, prev_hash))",
        "CREATE INDEX ON bare_log (trace_id) WHERE trace_id IS NOT NULL",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    for (id, what, chains) in [
        ("postgres.audit.one_chain", "one entry of 16 writers of one chain, fsync on", 1),
        ("postgres.audit.own_chains", "one entry of 16 writers, each of a chain of its own, fsync on", WRITERS),
    ] {
        for chain in 0..chains {
            sqlx::query(
                "INSERT INTO bare_heads VALUES ($1, 0, decode(repeat('00', 32), 'hex')) ON CONFLICT DO NOTHING",
            )
            .bind(format!("t{chain}"))
            .execute(&pool)
            .await
            .unwrap();
        }
        // In turns, so that both meet the same machine.
        let (mut ours, mut theirs) = (0, 0);
        for _ in 0..2 {
            ours += appended(&pool, chains, Duration::from_secs(seconds), true).await;
            theirs += appended(&pool, chains, Duration::from_secs(seconds), false).await;
        }
        let each = |count: u64| (2 * seconds) as f64 * 1e9 / count as f64;
        row(&json!({ "id": id, "runtime": "postgres", "unit": "ns", "what": what, "ours": each(ours),
            "peer": "one statement that locks the head and inserts", "peer_version": "SQL", "theirs": each(theirs),
            "ratio": ours as f64 / theirs as f64 }));
    }
}

/// How many entries were appended, each in a transaction of its own.
async fn appended(pool: &PgPool, chains: usize, time: Duration, ours: bool) -> u64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut connection = pool.acquire().await.unwrap();
                let tenant: TenantId = format!("t{}", writer % chains).parse().unwrap();
                let mut count = 0;
                while start.elapsed() < time {
                    let entry = entry(&tenant, count);
                    if ours {
                        append(&mut connection, &entry).await.unwrap();
                    } else {
                        bare(&mut connection, &entry).await;
                    }
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    count
}

fn entry(tenant: &TenantId, count: u64) -> Entry {
    Entry {
        tenant: Some(tenant.clone()),
        at: Timestamp::from_ms(1_790_000_000_000).unwrap(),
        actor: "ada".to_owned(),
        action: "tenant.phase.put".to_owned(),
        subject: tenant.to_string(),
        detail: json!({ "plan": "growth", "count": count }),
        trace_id: Some(format!("{count:032x}")),
    }
}

/// One statement that locks the head, hashes and inserts, as one would write it by hand.
async fn bare(connection: &mut PgConnection, entry: &Entry) {
    sqlx::query(
        "WITH head AS (SELECT seq, hash FROM bare_heads WHERE tenant = $1 FOR UPDATE),
             next AS (SELECT seq + 1 AS seq, hash AS prev_hash,
                 sha256(convert_to($1 || E'\\n' || seq || E'\\n', 'UTF8') || hash || $6) AS hash FROM head),
             moved AS (UPDATE bare_heads b SET seq = n.seq, hash = n.hash FROM next n WHERE b.tenant = $1)
         INSERT INTO bare_log SELECT $1, seq, $2::text::timestamptz, $3, $4, $5, $6, prev_hash, hash FROM next",
    )
    .bind(entry.tenant.as_ref().unwrap().as_str())
    .bind(entry.at.to_string())
    .bind(&entry.actor)
    .bind(&entry.action)
    .bind(&entry.trace_id)
    .bind(entry.body().unwrap())
    .execute(connection)
    .await
    .unwrap();
}
