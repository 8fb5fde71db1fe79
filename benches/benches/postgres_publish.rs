//! Publishing from Postgres, on a private cluster with fsync on: import of a fleet, what a proposal says that another version
//! of a plan does to all of it, and one tenant's change on its way to a new head, beside a full build and beside bare SQL that
//! writes the same rows.
//!
//! Both sides log in as the same member of `leasehold_hq`, and have a connection already. Ours takes 2 round trips: one for a
//! reading of the counter, the heads, the queue, the tenant and the keys of slices; and one that commits. Contents that the
//! last publication did not leave in memory (a node and a shard) are 2 more. Bare SQL reads nothing, and takes 9: one for each
//! table, all contents by one `unnest`, and those around them.
//!
//! `cargo bench -p leasehold-benches --bench postgres_publish [-- TENANTS]`

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

use indicatif::{ProgressBar, ProgressStyle};
use leasehold::build::{Content, Signer};
use leasehold::generate::{FleetSpec, fleet};
use leasehold::model::{Definitions, Moves, Phase, PhaseKind, Plan, Source};
use leasehold::wire::{Certificate, Chunk, SecretKey, Trust};
use leasehold::{Region, Revision, Snapshot, Stamp, Timestamp};
use leasehold_benches::row;
use leasehold_postgres::cluster::{Cluster, Durability};
use leasehold_postgres::hq::{Actor, Hq, TenantChange};
use leasehold_postgres::publish::{Archive, Publisher, Timing};
use leasehold_postgres::schema::{self, Part};
use serde_json::json;
use sqlx::{Connection, PgConnection, PgPool};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

const CHANGES: usize = 300;

#[tokio::main]
async fn main() {
    let quick = std::env::var_os("LEASEHOLD_BENCH_QUICK").is_some();
    let given = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let tenants = given.unwrap_or(if quick { 2_000 } else { 100_000 });
    let cluster = Cluster::start(Durability::Full).unwrap_or_else(|error| panic!("{error}"));
    let url = cluster.url("postgres");
    let mut admin = PgConnection::connect(&url).await.unwrap();
    schema::migrate(&mut admin, Part::Hq).await.unwrap();
    // What bare SQL writes by itself is written by functions of the owner otherwise.
    let login = "CREATE ROLE bench LOGIN IN ROLE leasehold_hq; SET search_path = leasehold;
        GRANT INSERT, UPDATE ON sys_chunks, sys_publisher, sys_heads, sys_head_history, sys_publish_queue, sys_audit_heads,
            sys_audit_log TO bench;
        GRANT SELECT ON sys_audit_heads, sys_audit_log TO bench;
        CREATE POLICY bench ON sys_publish_queue TO bench USING (true);
        CREATE POLICY bench ON sys_audit_heads TO bench USING (true);
        CREATE POLICY bench ON sys_audit_log TO bench USING (true)";
    sqlx::raw_sql(login).execute(&mut admin).await.unwrap();
    let hq = Hq::connect(cluster.url_as("bench", "postgres").parse().unwrap()).await.unwrap();
    let (ada, ben) = (Actor::new("ada"), Actor::new("ben"));

    let region: Region = "GCC-OM".parse().unwrap();
    let mut definitions = fleet(&FleetSpec { tenants, ..FleetSpec::default() });
    definitions.tenants.values_mut().for_each(|tenant| tenant.region = region.clone());

    let sources = files(&definitions);
    let bar = ProgressBar::new(tenants as u64);
    bar.set_style(ProgressStyle::with_template("{elapsed_precise} {bar:40} {pos}/{len} tenants, {per_sec}").unwrap());
    let start = Instant::now();
    hq.import(&sources, &ada, |progress| bar.set_position(progress.done as u64)).await.unwrap();
    bar.finish();
    let imported = start.elapsed();
    let rows: i64 = sqlx::query_scalar(
        "SELECT sum(n)::bigint FROM (SELECT count(*) AS n FROM leasehold.org_tenants_mst
             UNION ALL SELECT count(*) FROM leasehold.org_subscriptions_mst
             UNION ALL SELECT count(*) FROM leasehold.org_add_on_licences
             UNION ALL SELECT count(*) FROM leasehold.org_feature_overrides
             UNION ALL SELECT count(*) FROM leasehold.org_access_blocks
             UNION ALL SELECT count(*) FROM leasehold.sys_publish_queue) AS counted",
    )
    .fetch_one(&mut admin)
    .await
    .unwrap();
    let per_second = rows as f64 / imported.as_secs_f64();
    row(&json!({ "id": "postgres.import", "runtime": "postgres", "unit": "rows/s", "ours": per_second.round(),
        "what": format!("import of {tenants} tenants, {rows} rows, fsync on"),
        "peer": null, "peer_version": null, "theirs": null, "ratio": null }));

    // When each step was reached, to see where the time goes.
    let steps = Arc::new(Mutex::new(Vec::new()));
    let reached = steps.clone();
    let publisher = Publisher::new(archive(hq.clone()), signer(), Timing::default())
        .watched(move |step| reached.lock().unwrap().push((step, Instant::now())));
    let proposal = publisher.archive().propose("All of it", &ada).await.unwrap();
    hq.approve(proposal.id, proposal.binding, &ben).await.unwrap();
    publisher.publish_proposal(proposal.id, &ben).await.unwrap();
    while publisher.publish().await.unwrap().is_some() {}

    // A full build: checked, compiled, made into contents, compressed; nothing of it is written.
    let full = median(3, || {
        let stamp =
            Stamp { revision: Revision::default(), issued_at: Timestamp::from_ms(0).unwrap(), expires_at: None };
        let start = Instant::now();
        let snapshot = Snapshot::compile(&definitions, stamp).unwrap();
        let content = Content::of_stream(&definitions, &region).unwrap();
        let stored: usize = content.chunks.iter().map(|(_, bytes)| Chunk::compressed(bytes).bytes().len()).sum();
        let took = start.elapsed();
        assert!(stored > 0 && snapshot.tenant_count() == tenants);
        took
    });

    // One tenant's plan change, from its commit to the new head.
    let ids: Vec<_> = definitions.tenants.keys().step_by((tenants / CHANGES).max(1)).take(CHANGES).cloned().collect();
    let plans: Vec<_> = definitions.plans.keys().cloned().collect();
    let (mut ours, mut bytes, mut written) = (Vec::new(), 0, 0);
    let mut by_step: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for (number, id) in ids.iter().enumerate() {
        let phase = Phase {
            kind: PhaseKind::Paid,
            plan: plans[number % plans.len()].clone(),
            version: None,
            from: FleetSpec::reference_instant(),
            until: None,
            grace_until: None,
        };
        let change = TenantChange::PutPhase { id: "bench".parse().unwrap(), phase };
        hq.change_tenant(id, &change, None, None, &ada).await.unwrap();
        steps.lock().unwrap().clear();
        let start = Instant::now();
        let publication = publisher.publish().await.unwrap().unwrap();
        ours.push(start.elapsed());
        let mut before = start;
        for (step, at) in steps.lock().unwrap().drain(..) {
            by_step.entry(format!("{step:?}")).or_default().push(at - before);
            before = at;
        }
        assert!(publication.refused.is_empty(), "{publication:?}");
        written += publication.new_chunks.0;
        bytes += publication.new_chunks.1;
    }
    ours.sort();
    let ours = ours[ours.len() / 2];
    for (step, mut times) in by_step {
        times.sort();
        eprintln!("until it is {step}: {:?}", times[times.len() / 2]);
    }
    let theirs = bare(hq.pool(), written / ids.len(), usize::try_from(bytes).unwrap() / ids.len()).await;
    let contents = written / ids.len();
    let beside = |id: &str, what: String, peer: &str, theirs: Duration| {
        row(&json!({ "id": id, "runtime": "postgres", "unit": "ns", "what": what, "ours": ours.as_nanos() as f64,
            "peer": peer, "peer_version": "leasehold", "theirs": theirs.as_nanos() as f64,
            "ratio": theirs.as_secs_f64() / ours.as_secs_f64() }));
    };
    let what = format!("one plan change among {tenants} tenants, commit to new head, fsync on");
    beside("postgres.publish.build", what, "a full build in memory", full);
    let what = format!("the same: {contents} contents of {} bytes", bytes / ids.len() as u64);
    beside("postgres.publish.sql", what, "the same rows by bare SQL", theirs);

    // Another version of a plan, which grants one feature less.
    let mut plan = hq.read::<Plan>(&plans[0]).await.unwrap();
    let (number, newest) = plan.record.versions.iter().next_back().unwrap();
    let (number, mut version) = (number + 1, newest.clone());
    version.effective_from = SystemTime::now().into();
    version.moves = Moves::Now;
    version.contributions.pop();
    plan.record.versions.insert(number, version);
    hq.update(&plans[0], &plan, &ada).await.unwrap();
    let before = Resident::now();
    let start = Instant::now();
    let proposal = publisher.archive().propose("Another version", &ada).await.unwrap();
    let took = start.elapsed();
    assert!(proposal.affected > 0, "{proposal:?}");
    let what = format!("what a plan's new version does to {tenants} tenants, as its proposal says");
    row(&json!({ "id": "postgres.propose", "runtime": "postgres", "unit": "ns", "what": what,
        "ours": took.as_nanos() as f64, "peer": "a full build in memory", "peer_version": "leasehold",
        "theirs": full.as_nanos() as f64, "ratio": full.as_secs_f64() / took.as_secs_f64() }));
    if let Some(before) = before {
        row(
            &json!({ "id": "postgres.propose.peak", "runtime": "postgres", "unit": "bytes", "ours": before.most_since(),
            "what": "memory that this takes beside what there was", "peer": null, "peer_version": null, "theirs": null,
            "ratio": null }),
        );
    }
}

/// The memory of this process that is resident, in bytes, where the kernel tells.
struct Resident(u64);

impl Resident {
    /// What there is. The most that there was is forgotten.
    fn now() -> Option<Self> {
        std::fs::write("/proc/self/clear_refs", "5").ok()?;
        Self::told("VmRSS:").map(Self)
    }

    /// How much more there was at most since then.
    fn most_since(&self) -> u64 {
        Self::told("VmHWM:").unwrap_or_default().saturating_sub(self.0)
    }

    fn told(name: &str) -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix(" kB")?;
        kib.parse::<u64>().ok().map(|kib| kib * 1024)
    }
}

/// The same rows by bare SQL: contents, head, its history, the counter, the change in the queue, an audit entry with its
/// head.
async fn bare(pool: &PgPool, contents: usize, bytes: usize) -> Duration {
    let mut connection = pool.acquire().await.unwrap();
    let size = bytes / contents.max(1);
    let changes: Vec<i64> =
        sqlx::query_scalar("SELECT change_id FROM leasehold.sys_publish_queue ORDER BY 1 DESC LIMIT 300")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
    let head: Vec<u8> =
        sqlx::query_scalar("SELECT document FROM leasehold.sys_heads").fetch_one(&mut *connection).await.unwrap();
    let mut times = Vec::new();
    for change in changes {
        // As compressed as ours are: random bytes of a third of the size.
        let content: Vec<Vec<u8>> = (0..contents).map(|at| noise(change, at, size / 3)).collect();
        let hash = |at| leasehold::Hash::of(&noise(change, at, 64)).as_bytes().to_vec();
        let hashes: Vec<Vec<u8>> = (0..contents).map(hash).collect();
        let start = Instant::now();
        let mut transaction = connection.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO leasehold.sys_chunks (hash, raw_length, encoding, bytes)
             SELECT hash, $2, 'zstd', bytes FROM unnest($1::bytea[], $3::bytea[]) AS new(hash, bytes)",
        )
        .bind(&hashes)
        .bind(size as i64)
        .bind(&content)
        .execute(&mut *transaction)
        .await
        .unwrap();
        let revision: i64 =
            sqlx::query_scalar("UPDATE leasehold.sys_publisher SET revision = revision + 1 RETURNING revision")
                .fetch_one(&mut *transaction)
                .await
                .unwrap();
        sqlx::query("UPDATE leasehold.sys_heads SET revision = $1, issued_at = clock_timestamp(), document = $2")
            .bind(revision)
            .bind(&head)
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO leasehold.sys_head_history (stream, revision, issued_at, manifest, document)
             VALUES ('GCC-OM', $1, clock_timestamp(), $2, $3)",
        )
        .bind(revision)
        .bind(noise(change, 0, 32))
        .bind(&head)
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query("UPDATE leasehold.sys_publish_queue SET revision = $1 WHERE change_id = $2")
            .bind(revision)
            .bind(change)
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(
            "UPDATE leasehold.sys_audit_heads SET seq = seq + 1, prev_hash = hash, hash = $1 WHERE tenant_org_id = ''",
        )
        .bind(noise(change, 1, 32))
        .execute(&mut *transaction)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO leasehold.sys_audit_log (tenant_org_id, seq, at, actor, action, body, prev_hash, hash)
             SELECT '', seq, date_trunc('milliseconds', clock_timestamp()), 'bench', 'bench', $1, $2, hash
             FROM leasehold.sys_audit_heads WHERE tenant_org_id = ''",
        )
        .bind(vec![b'x'; 400])
        .bind(noise(change, 2, 32))
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

fn noise(seed: i64, at: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 32);
    let mut counter = 0_u64;
    while bytes.len() < length {
        let text = format!("{seed} {at} {counter}");
        bytes.extend_from_slice(leasehold::Hash::of(text.as_bytes()).as_bytes());
        counter += 1;
    }
    bytes.truncate(length);
    bytes
}

/// Definitions as files of at most 5,000 tenants.
fn files(definitions: &Definitions) -> Vec<Source> {
    let source =
        |name: String, part: &Definitions| Source { name: name.into(), bytes: serde_json::to_vec(part).unwrap() };
    let rules = Definitions { tenants: BTreeMap::new(), ..definitions.clone() };
    let mut sources = vec![source("rules.json".to_owned(), &rules)];
    let tenants: Vec<_> = definitions.tenants.iter().collect();
    for (number, part) in tenants.chunks(5_000).enumerate() {
        let tenants = part.iter().map(|(id, tenant)| ((*id).clone(), (*tenant).clone())).collect();
        let part = Definitions { tenants, ..Definitions::default() };
        sources.push(source(format!("tenants/{number:04}.json"), &part));
    }
    sources
}

fn signer() -> Signer {
    let (root, fleet) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let certificate = Certificate {
        issuer: "bench".parse().unwrap(),
        environment: "bench".parse().unwrap(),
        epoch: 1,
        key: fleet.public(),
        valid_from: Timestamp::from_ms(0).unwrap(),
        valid_until: None,
    };
    Signer::new(fleet, certificate.sign(&root).unwrap(), vec![root.public()]).unwrap()
}

fn median(times: usize, mut once: impl FnMut() -> Duration) -> Duration {
    let mut all: Vec<Duration> = (0..times).map(|_| once()).collect();
    all.sort();
    all[all.len() / 2]
}

fn archive(hq: Hq) -> Archive {
    let root = SecretKey::from_seed(&[1; 32]).public();
    let name = "bench";
    let (issuer, environment, stream) = (name.parse().unwrap(), name.parse().unwrap(), name.parse().unwrap());
    Archive::new(hq, Trust { issuer, environment, stream, roots: vec![root] })
}
