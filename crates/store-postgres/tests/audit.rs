//! Audit chains on a real server: appended by many at once, tampered with by somebody who may do anything, verified from
//! the database and from a file.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use crate::support::{Database, database, execute};
use leasehold::build::Signer;
use leasehold::generate::Choices;
use leasehold::wire::{Certificate, Checkpoint, SecretKey, SignedCheckpoint, Trust, canonical};
use leasehold::{TenantId, Timestamp};
use leasehold_postgres::audit::{
    Checkpointed, Entry, Line, Report, Scope, Since, Verifier, append, checkpoint, export, last_checkpoint, walk,
};
use leasehold_postgres::{Error, TenantTransaction};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeSet;

fn tenant(id: &str) -> Option<TenantId> {
    (!id.is_empty()).then(|| id.parse().unwrap())
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_790_000_000_000 + ms).unwrap()
}

fn entry(of: &str, number: u64) -> Entry {
    Entry {
        tenant: tenant(of),
        at: at(number.try_into().unwrap()),
        actor: format!("user-{}@example.com", number % 3),
        action: "tenant.plan.changed".to_owned(),
        subject: "plan:growth".to_owned(),
        detail: json!({ "number": number, "note": "من هنا \u{2028}\u{1}\"" }),
        trace_id: number.is_multiple_of(2).then(|| format!("{number:032x}")),
    }
}

/// A database whose chains, HQ's and two tenants', have eight entries each.
async fn filled() -> Database {
    let database = database().await;
    let mut connection = database.hq.acquire().await.unwrap();
    for number in 1..=8 {
        for of in ["", "acme", "zenith"] {
            assert_eq!(append(&mut connection, &entry(of, number)).await.unwrap(), number);
        }
    }
    database
}

async fn verified(database: &Database, scope: Scope, checkpoints: &[&Checkpoint]) -> Report {
    let mut verifier = Verifier::new(scope.clone(), checkpoints.iter().copied().cloned().collect());
    let mut connection = database.hq.acquire().await.unwrap();
    let visit = |line: &Line| {
        verifier.line(line);
        Ok::<(), Error>(())
    };
    walk(&mut connection, &scope, visit).await.unwrap();
    verifier.finish()
}

async fn exported(database: &Database, scope: Scope) -> String {
    let mut text = export::first_line();
    let mut connection = database.hq.acquire().await.unwrap();
    let visit = |line: &Line| {
        text.push_str(&export::line(line));
        Ok::<(), Error>(())
    };
    walk(&mut connection, &scope, visit).await.unwrap();
    text
}

fn verified_file(text: &str, checkpoints: &[&Checkpoint]) -> Result<Report, Error> {
    let mut verifier = Verifier::new(Scope::All, checkpoints.iter().copied().cloned().collect());
    export::read(text.as_bytes(), |line| {
        verifier.line(line);
        Ok::<(), Error>(())
    })?;
    Ok(verifier.finish())
}

/// What was found, each once: chain, entry, code.
fn found(report: &Report) -> BTreeSet<(String, i64, &'static str)> {
    assert_eq!(report.found, report.problems.len() as u64);
    report.problems.iter().map(|problem| (problem.tenant.clone(), problem.seq, problem.code.as_str())).collect()
}

fn said<const N: usize>(list: [(&str, i64, &'static str); N]) -> BTreeSet<(String, i64, &'static str)> {
    list.into_iter().map(|(tenant, seq, code)| (tenant.to_owned(), seq, code)).collect()
}

/// As somebody whom no trigger and no constraint stops.
async fn tamper(database: &Database, sql: &str) {
    let mut connection = PgConnection::connect_with(&database.options("admin")).await.unwrap();
    execute(&mut connection, "SET session_replication_role = replica; SET search_path = leasehold").await;
    execute(&mut connection, sql).await;
}

fn pen() -> (Signer, Trust) {
    let (root, fleet) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let certificate = Certificate {
        issuer: "hq.example".parse().unwrap(),
        environment: "test".parse().unwrap(),
        epoch: 1,
        key: fleet.public(),
        valid_from: at(0),
        valid_until: None,
    };
    let signer = Signer::new(fleet, certificate.sign(&root).unwrap(), vec![root.public()]).unwrap();
    let trust = signer.trust("any".parse().unwrap());
    (signer, trust)
}

async fn signed(database: &Database, ms: i64) -> Checkpointed {
    let (signer, trust) = pen();
    let mut connection = database.hq.acquire().await.unwrap();
    checkpoint(&mut connection, &signer, &trust, Since::LastCheckpoint, (at(ms), "auditor")).await.unwrap()
}

async fn checkpointed(database: &Database, ms: i64) -> SignedCheckpoint {
    match signed(database, ms).await {
        Checkpointed::Signed(signed, _) => *signed,
        refused => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn chains_are_good_as_they_were_written() {
    let database = filled().await;
    let report = verified(&database, Scope::All, &[]).await;
    assert_eq!((report.chains, report.entries, report.beyond_checkpoints), (3, 24, 24));
    assert!(report.is_good(), "{report:?}");
    let one = verified(&database, Scope::One(tenant("acme")), &[]).await;
    assert_eq!((one.chains, one.entries, one.is_good()), (1, 8, true));
    let text = exported(&database, Scope::All).await;
    assert_eq!(verified_file(&text, &[]).unwrap(), report);
    assert_eq!(text.lines().count(), 1 + 3 + 24 + 1);
}

/// 16 writers, 4,000 appends, on chains that nobody has begun.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_writers_make_no_fork_and_no_gap() {
    let database = database().await;
    let writers = (0..16_u64).map(|writer| {
        let pool = database.hq.clone();
        tokio::spawn(async move {
            for number in 0..250 {
                // Four of five go to one chain.
                let of = if number % 5 == 0 { "quiet" } else { "busy" };
                append(&mut pool.acquire().await.unwrap(), &entry(of, writer * 1000 + number)).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let report = verified(&database, Scope::All, &[]).await;
    assert_eq!((report.chains, report.entries), (2, 4000));
    assert!(report.is_good(), "{report:?}");
    let last: Vec<(String, i64)> =
        sqlx::query_as("SELECT tenant_org_id, seq FROM leasehold.sys_audit_heads ORDER BY 1")
            .fetch_all(&database.admin)
            .await
            .unwrap();
    assert_eq!(last, [("busy".to_owned(), 3200), ("quiet".to_owned(), 800)]);
}

#[tokio::test]
async fn what_is_undone_leaves_no_trace() {
    let database = filled().await;
    let mut connection = database.hq.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    assert_eq!(append(&mut transaction, &entry("acme", 9)).await.unwrap(), 9);
    assert_eq!(append(&mut transaction, &entry("new", 1)).await.unwrap(), 1);
    transaction.rollback().await.unwrap();
    let report = verified(&database, Scope::All, &[]).await;
    assert_eq!((report.chains, report.entries, report.is_good()), (3, 24, true));
    assert_eq!(append(&mut connection, &entry("acme", 9)).await.unwrap(), 9);
}

/// The connection is killed between the append and the commit.
#[tokio::test]
async fn a_killed_writer_leaves_no_trace_and_nobody_waiting() {
    let database = filled().await;
    let mut doomed = PgConnection::connect_with(&database.options("hq")).await.unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut doomed).await.unwrap();
    let mut transaction = doomed.begin().await.unwrap();
    append(&mut transaction, &entry("acme", 9)).await.unwrap();
    // Somebody waits for the head already.
    let pool = database.hq.clone();
    let waiting = tokio::spawn(async move { append(&mut pool.acquire().await.unwrap(), &entry("acme", 10)).await });
    let waits =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&database.admin).await.unwrap() {
        tokio::task::yield_now().await;
    }
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&database.admin).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 9);
    let lost = append(&mut transaction, &entry("acme", 11)).await.unwrap_err();
    assert_eq!(lost.code(), "database_unreachable", "{lost}");
    let report = verified(&database, Scope::All, &[]).await;
    assert_eq!((report.entries, report.is_good()), (25, true));
}

#[tokio::test]
async fn entries_that_cannot_be_kept_are_refused() {
    let database = database().await;
    let mut connection = database.hq.acquire().await.unwrap();
    let changed = |change: fn(&mut Entry)| {
        let mut entry = entry("acme", 1);
        change(&mut entry);
        entry
    };
    for (bad, code) in [
        (changed(|entry| entry.detail = json!({ "a": ["\0"] })), "nul_character"),
        (changed(|entry| entry.detail = json!({ "a\0": 1 })), "nul_character"),
        (changed(|entry| entry.actor = "a\0".to_owned()), "nul_character"),
        (changed(|entry| entry.action = "\0".to_owned()), "nul_character"),
        (changed(|entry| entry.subject = "\0".to_owned()), "nul_character"),
        (changed(|entry| entry.trace_id = Some("\0".to_owned())), "nul_character"),
        (changed(|entry| entry.detail = json!(0.5)), "no_canonical_form"),
        (changed(|entry| entry.detail = json!(9_007_199_254_740_992_i64)), "no_canonical_form"),
        (changed(|entry| entry.detail = (0..127).fold(json!(1), |inner, _| json!([inner]))), "no_canonical_form"),
        (changed(|entry| entry.trace_id = Some("t".repeat(257))), "constraint_violated"),
    ] {
        let error = append(&mut connection, &bad).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let mut last = 0;
    for good in [
        changed(|entry| entry.detail = Value::Null),
        changed(|entry| entry.detail = json!("\\u0000")),
        changed(|entry| entry.detail = json!({ "text": "é\u{2028}".repeat(1 << 18) })),
        changed(|entry| entry.detail = (0..126).fold(json!(1), |inner, _| json!([inner]))),
        changed(|entry| entry.at = "0001-01-01T00:00:00Z".parse().unwrap()),
        changed(|entry| entry.at = Timestamp::from_ms(253_402_300_799_999).unwrap()),
        changed(|entry| entry.at = Timestamp::from_ms(-1).unwrap()),
        changed(|entry| (entry.actor, entry.action, entry.subject) = Default::default()),
    ] {
        last = append(&mut connection, &good).await.unwrap_or_else(|error| panic!("{error}: {:?}", good.at));
    }
    assert_eq!(last, 8);
    let text = exported(&database, Scope::All).await;
    assert!(text.len() > 1 << 20);
    let report = verified_file(&text, &[]).unwrap();
    assert!(report.is_good(), "{:?}", report.problems);
}

/// The clock of the machine may go back. The order of a chain is that of its numbers.
#[tokio::test]
async fn entries_stand_in_their_order_whatever_the_clock_says() {
    let database = database().await;
    let mut connection = database.hq.acquire().await.unwrap();
    for ms in [100_000, 50_000, 50_000, -86_400_000, 75_000] {
        append(&mut connection, &Entry { at: at(ms), ..entry("acme", 1) }).await.unwrap();
    }
    let report = verified(&database, Scope::All, &[]).await;
    assert_eq!((report.entries, report.is_good()), (5, true), "{:?}", report.problems);
    // Checkpoints that are signed before what they vouch for, and before each other.
    let first = checkpointed(&database, 40_000).await;
    append(&mut connection, &Entry { at: at(10), ..entry("acme", 2) }).await.unwrap();
    let second = checkpointed(&database, 20_000).await;
    for checkpoint in [&first, &second] {
        let report = verified(&database, Scope::All, &[checkpoint.checkpoint()]).await;
        assert!(report.is_good(), "{:?}", report.problems);
        let text = exported(&database, Scope::All).await;
        assert_eq!(verified_file(&text, &[checkpoint.checkpoint()]).unwrap(), report);
    }
    let end = second.checkpoint().chains.iter().find(|end| end.tenant == tenant("acme")).unwrap();
    assert_eq!(end.seq, 6);
}

/// Where chains end is found by the index, one chain after the other, however many entries they have.
#[tokio::test]
async fn ends_are_found_without_reading_the_log() {
    let database = filled().await;
    tamper(
        &database,
        "INSERT INTO sys_audit_log SELECT of, n, now()::timestamptz(3), 'a', 'b', NULL, repeat('x', 200)::bytea,
            sha256(n::text::bytea), sha256((n + 1)::text::bytea)
         FROM unnest(ARRAY['acme', 'lost', 'zenith']) AS of, generate_series(100, 10000) AS n;
         INSERT INTO sys_audit_log SELECT 'lost too', 1, now()::timestamptz(3), 'a', 'b', NULL, '', sha256(''), sha256('');
         ANALYZE sys_audit_log",
    )
    .await;
    let mut connection = database.hq.acquire().await.unwrap();
    for (call, found) in [
        (
            "hq_audit_heads()",
            vec![("", Some(8)), ("acme", Some(8)), ("lost", None), ("lost too", None), ("zenith", Some(8))],
        ),
        ("hq_audit_head('')", vec![("", Some(8))]),
        ("hq_audit_head('acme')", vec![("acme", Some(8))]),
        ("hq_audit_head('lost')", vec![("lost", None)]),
        ("hq_audit_head('nobody')", vec![]),
    ] {
        let sql = format!("SELECT tenant_org_id, seq FROM leasehold.{call}");
        let ends: Vec<(String, Option<i64>)> =
            sqlx::query_as(AssertSqlSafe(sql.clone())).fetch_all(&mut *connection).await.unwrap();
        let ends: Vec<(&str, Option<i64>)> = ends.iter().map(|(tenant, seq)| (tenant.as_str(), *seq)).collect();
        assert_eq!(ends, found, "{call}");
        let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}");
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await.unwrap();
        let blocks = |which: &str| plan[0]["Plan"][which].as_u64().unwrap();
        let read = blocks("Shared Hit Blocks") + blocks("Shared Read Blocks");
        assert!(read < 100, "{call} read {read} blocks");
    }
    let log: i64 = sqlx::query_scalar("SELECT pg_relation_size('leasehold.sys_audit_log') / 8192")
        .fetch_one(&database.admin)
        .await
        .unwrap();
    assert!(log > 500, "the log has {log} blocks");
}

/// What somebody did who may do anything, and what is found of it; nothing means that only a checkpoint tells.
#[tokio::test]
async fn every_tampering_is_found() {
    const REHASH: &str = "UPDATE sys_audit_log SET hash = sha256(convert_to('leasehold-audit/1' || E'\\n' || \
                          tenant_org_id || E'\\n' || seq || E'\\n', 'UTF8') || prev_hash || body) \
                          WHERE tenant_org_id = 'acme'";
    let altered = "body = convert_to(replace(convert_from(body, 'UTF8'), 'growth', 'gratis'), 'UTF8')";
    let alter = format!("UPDATE sys_audit_log SET {altered} WHERE tenant_org_id = 'acme' AND seq = 3");
    let alter_last = format!("UPDATE sys_audit_log SET {altered} WHERE tenant_org_id = 'acme' AND seq = 8");
    let column = |set: &str| {
        format!(
            "ALTER DOMAIN instant DROP CONSTRAINT instant_check;
             ALTER TABLE sys_audit_log DROP CONSTRAINT well_formed;
             UPDATE sys_audit_log SET {set} WHERE tenant_org_id = 'acme' AND seq = 4"
        )
    };
    let remove = |which: &str| format!("DELETE FROM sys_audit_log WHERE tenant_org_id = 'acme' AND {which}");
    let insert = |seq: &str, prev: &str| {
        format!(
            "INSERT INTO sys_audit_log SELECT tenant_org_id, {seq}, at, actor, action, trace_id, body, {prev}, \
             sha256(convert_to(E'leasehold-audit/1\\nacme\\n' || {seq} || E'\\n', 'UTF8') || {prev} || body) \
             FROM sys_audit_log WHERE tenant_org_id = 'acme' AND seq = 5"
        )
    };
    let loose = "ALTER TABLE sys_audit_log DROP CONSTRAINT sys_audit_log_pkey, \
                 DROP CONSTRAINT sys_audit_log_tenant_org_id_prev_hash_key;";
    let swap = "UPDATE sys_audit_log SET seq = 9 - seq WHERE tenant_org_id = 'acme' AND seq IN (4, 5)";
    type Found = BTreeSet<(String, i64, &'static str)>;
    let cases: Vec<(&str, String, Found)> = vec![
        ("an altered entry", alter.clone(), said([("acme", 3, "hash_mismatch")])),
        (
            "an altered entry with a hash that fits",
            format!("{alter}; {REHASH} AND seq = 3"),
            said([("acme", 4, "broken_link")]),
        ),
        (
            "the last entry with a hash that fits",
            format!("{alter_last}; {REHASH} AND seq = 8"),
            said([("acme", 8, "head_mismatch")]),
        ),
        ("another actor", column("actor = 'nobody'"), said([("acme", 4, "column_mismatch")])),
        ("another action", column("action = 'nothing'"), said([("acme", 4, "column_mismatch")])),
        ("another instant", column("at = at + interval '1 microsecond'"), said([("acme", 4, "column_mismatch")])),
        ("no instant", column("at = 'infinity'"), said([("acme", 4, "column_mismatch")])),
        ("no trace", column("trace_id = NULL"), said([("acme", 4, "column_mismatch")])),
        (
            "bytes that are no text",
            column(r"body = '\xff'"),
            said([("acme", 4, "body_unreadable"), ("acme", 4, "hash_mismatch")]),
        ),
        (
            "another spelling",
            column("body = body || ' '::bytea"),
            said([("acme", 4, "body_unreadable"), ("acme", 4, "hash_mismatch")]),
        ),
        (
            "another hash",
            column("hash = sha256('x')"),
            said([("acme", 4, "hash_mismatch"), ("acme", 5, "broken_link")]),
        ),
        (
            "bytes moved from one part to the other",
            column("prev_hash = substr(prev_hash, 1, 31), body = substr(prev_hash, 32) || body"),
            said([("acme", 4, "body_unreadable"), ("acme", 4, "broken_link"), ("acme", 4, "hash_mismatch")]),
        ),
        ("a removed entry", remove("seq = 3"), said([("acme", 4, "gap")])),
        ("removed first entries", remove("seq <= 3"), said([("acme", 4, "gap")])),
        ("a cut end", remove("seq > 5"), said([("acme", 8, "head_mismatch")])),
        ("all entries", remove("true"), said([("acme", 8, "head_mismatch")])),
        (
            "no head",
            "DELETE FROM sys_audit_heads WHERE tenant_org_id = 'acme'".to_owned(),
            said([("acme", 8, "head_mismatch")]),
        ),
        (
            "another head",
            "UPDATE sys_audit_heads SET hash = sha256('x') WHERE tenant_org_id = 'acme'".to_owned(),
            said([("acme", 8, "head_mismatch")]),
        ),
        (
            "an entry at the end",
            insert("9", "sha256('x')"),
            said([("acme", 9, "broken_link"), ("acme", 8, "head_mismatch")]),
        ),
        ("a fork", format!("{loose} {}", insert("5", "prev_hash")), said([("acme", 5, "fork")])),
        (
            "an inserted entry, the others moved up",
            format!(
                "{loose} UPDATE sys_audit_log SET seq = seq + 1 WHERE tenant_org_id = 'acme' AND seq > 5; {}; \
                 UPDATE sys_audit_heads SET seq = 9 WHERE tenant_org_id = 'acme'",
                insert("6", "hash")
            ),
            said([("acme", 7, "reordered"), ("acme", 8, "reordered"), ("acme", 9, "reordered")]),
        ),
        (
            "a removed entry, the others moved down",
            format!(
                "{loose} {}; UPDATE sys_audit_log SET seq = seq - 1 WHERE tenant_org_id = 'acme' AND seq > 6",
                remove("seq = 6")
            ),
            said([("acme", 6, "reordered"), ("acme", 7, "reordered"), ("acme", 8, "head_mismatch")]),
        ),
        (
            "two entries in each other's place",
            format!("{loose} {swap}"),
            said([("acme", 4, "reordered"), ("acme", 5, "reordered")]),
        ),
    ];
    let clean = filled().await;
    let text = exported(&clean, Scope::All).await;
    for (name, sql, expected) in &cases {
        let database = filled().await;
        assert_eq!(exported(&database, Scope::All).await, text, "equal entries make equal chains");
        tamper(&database, sql).await;
        let report = verified(&database, Scope::All, &[]).await;
        assert_eq!(&found(&report), expected, "{name}: {report:?}");
        assert_eq!(verified_file(&exported(&database, Scope::All).await, &[]).unwrap(), report, "{name}");
        assert!(verified(&database, Scope::One(None), &[]).await.is_good(), "{name}: other chains are good");
    }
}

/// A chain that was cut, or written anew from its third entry on, with head and all, is a good chain: only a checkpoint
/// tells.
#[tokio::test]
async fn what_only_a_checkpoint_tells() {
    let cut = "DELETE FROM sys_audit_log WHERE tenant_org_id = 'acme' AND seq > 5;
               UPDATE sys_audit_heads SET seq = 5, hash = (SELECT hash FROM sys_audit_log WHERE tenant_org_id = 'acme'
                   AND seq = 5) WHERE tenant_org_id = 'acme'";
    let gone = "DELETE FROM sys_audit_log WHERE tenant_org_id = 'acme';
                DELETE FROM sys_audit_heads WHERE tenant_org_id = 'acme'";
    let rewrite = "CREATE TEMP TABLE old AS SELECT * FROM sys_audit_log WHERE tenant_org_id = 'acme' AND seq > 2;
        DELETE FROM sys_audit_log WHERE tenant_org_id = 'acme' AND seq > 2;
        UPDATE sys_audit_heads SET seq = 2, hash = (SELECT hash FROM sys_audit_log WHERE tenant_org_id = 'acme'
            AND seq = 2) WHERE tenant_org_id = 'acme';
        SELECT append_audit('acme', at, actor, action, trace_id,
            convert_to(replace(convert_from(body, 'UTF8'), 'growth', 'gratis'), 'UTF8')) FROM (SELECT * FROM old ORDER BY seq) o";
    for (sql, expected) in [
        (cut, said([("acme", 6, "truncated")])),
        (gone, said([("acme", 1, "truncated")])),
        (rewrite, said([("acme", 8, "rewritten")])),
    ] {
        let database = filled().await;
        let signed = checkpointed(&database, 100).await;
        let trusted = pen().1.checkpoint(signed.bytes()).unwrap();
        let good = verified(&database, Scope::All, &[trusted.checkpoint()]).await;
        // The entry that tells of the checkpoint comes after it.
        assert_eq!((good.is_good(), good.entries, good.beyond_checkpoints), (true, 25, 1));
        tamper(&database, sql).await;
        assert!(verified(&database, Scope::All, &[]).await.is_good(), "the chain alone does not tell");
        let report = verified(&database, Scope::All, &[trusted.checkpoint()]).await;
        assert_eq!(found(&report), expected);
        assert_eq!(verified_file(&exported(&database, Scope::All).await, &[trusted.checkpoint()]).unwrap(), report);
        assert!(verified(&database, Scope::One(tenant("zenith")), &[trusted.checkpoint()]).await.is_good());
        // And nothing more is signed.
        let Checkpointed::Refused(refused) = self::signed(&database, 200).await else { panic!("it was signed") };
        assert_eq!(found(&refused), expected);
    }
}

#[tokio::test]
async fn checkpoints_go_on_from_the_last_one() {
    let database = filled().await;
    let first = checkpointed(&database, 100).await;
    let mut connection = database.hq.acquire().await.unwrap();
    assert_eq!(last_checkpoint(&mut connection).await.unwrap().unwrap(), first.bytes().to_vec());
    append(&mut connection, &entry("new", 1)).await.unwrap();
    append(&mut connection, &entry("acme", 9)).await.unwrap();
    // What was vouched for is not read again but for the last entry of each chain.
    tamper(&database, "UPDATE sys_audit_log SET actor = 'x' WHERE tenant_org_id = 'acme' AND seq = 2").await;
    let Checkpointed::Signed(second, report) = signed(&database, 200).await else { panic!("it is refused") };
    // Of HQ: the 8th and that of the checkpoint; of acme: the 8th and the 9th; of zenith the 8th; of new the first.
    assert_eq!((report.chains, report.entries, report.beyond_checkpoints), (4, 6, 3));
    let ends: Vec<_> = second
        .checkpoint()
        .chains
        .iter()
        .map(|end| (end.tenant.as_ref().map_or("", TenantId::as_str), end.seq))
        .collect();
    assert_eq!(ends, [("", 9), ("acme", 9), ("new", 1), ("zenith", 8)]);
    let (signer, trust) = pen();
    let full = checkpoint(&mut connection, &signer, &trust, Since::Start, (at(300), "auditor")).await.unwrap();
    let Checkpointed::Refused(report) = full else { panic!("it was signed") };
    assert_eq!(found(&report), said([("acme", 2, "column_mismatch")]));
    // One that nobody believes stops everything but a start from the first entry.
    tamper(&database, "UPDATE sys_audit_log SET actor = 'user-2@example.com' WHERE tenant_org_id = 'acme' AND seq = 2")
        .await;
    tamper(&database, "UPDATE sys_audit_checkpoints SET document = 'forged'").await;
    let stopped = checkpoint(&mut connection, &signer, &trust, Since::LastCheckpoint, (at(300), "auditor")).await;
    assert_eq!(stopped.unwrap_err().code(), "wrong_document");
    let full = checkpoint(&mut connection, &signer, &trust, Since::Start, (at(300), "auditor")).await.unwrap();
    assert!(matches!(full, Checkpointed::Signed(..)), "{full:?}");
    assert!(verified(&database, Scope::All, &[second.checkpoint()]).await.is_good());
}

/// Lines of a file that was tampered with.
#[tokio::test]
async fn files_are_verified_like_databases() {
    let database = filled().await;
    let text = exported(&database, Scope::One(tenant("acme"))).await;
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let mut swapped = lines.clone();
    swapped.swap(5, 6);
    let report = verified_file(&joined(&swapped), &[]).unwrap();
    assert_eq!(found(&report), said([("acme", 5, "gap"), ("acme", 4, "reordered")]));

    let refused = |text: &str, line: u64, says: &str| match verified_file(text, &[]) {
        Err(error @ Error::ExportMalformed { .. }) => {
            let message = error.to_string();
            assert!(message.contains(&format!("line {line} ")) && message.contains(says), "{message}");
            assert_eq!(error.code(), "export_malformed");
        }
        other => panic!("{other:?}"),
    };
    refused("", 1, "ends in the middle");
    refused(&joined(&lines[..5]), 6, "ends in the middle");
    refused(&text[..text.len() - 1], lines.len() as u64, "ends in the middle");
    refused(&joined(&lines[1..]), 1, "it does not say");
    refused(&text.replace("export/1", "export/2"), 1, "another format");
    let mut fewer = lines.clone();
    fewer.remove(4);
    refused(&joined(&fewer), lines.len() as u64 - 1, "1 chains and 8 entries");
    refused(&format!("{text}{{}}\n"), lines.len() as u64, "something behind");
    refused(&joined(&[lines[0], lines[2]]), 2, "before any chain");
    refused(&text.replace(r#""seq":3"#, r#""seq":3,"sort":1"#), 5, "unknown field");
    refused(&text.replace(r#""prev_hash":""#, r#""prev_hash":"g"#), 3, "hexadecimal");
}

#[tokio::test]
async fn nobody_changes_what_was_written() {
    let database = filled().await;
    let code =
        |error: sqlx::Error| error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned());
    // Not even the owner, by statements.
    let changes = [
        "UPDATE leasehold.sys_audit_log SET actor = 'x'",
        "DELETE FROM leasehold.sys_audit_log",
        "TRUNCATE leasehold.sys_audit_log",
        "TRUNCATE leasehold.sys_audit_log, leasehold.sys_audit_heads CASCADE",
        "UPDATE leasehold.sys_audit_heads SET hash = hash",
        "UPDATE leasehold.sys_audit_heads SET seq = 1",
        "DELETE FROM leasehold.sys_audit_heads",
        "UPDATE leasehold.sys_audit_checkpoints SET document = 'x'",
        "DELETE FROM leasehold.sys_audit_checkpoints",
        "TRUNCATE leasehold.sys_audit_checkpoints",
    ];
    checkpointed(&database, 100).await;
    for sql in changes {
        let mut connection = database.admin.acquire().await.unwrap();
        sqlx::raw_sql("SET ROLE leasehold_owner").execute(&mut *connection).await.unwrap();
        let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.unwrap_err();
        assert_eq!(code(error).as_deref(), Some("23001"), "{sql}");
        sqlx::raw_sql("RESET ROLE").execute(&mut *connection).await.unwrap();
        for (role, pool) in [("hq", &database.hq), ("app", &database.app), ("engine", &database.engine)] {
            let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap_err();
            assert_eq!(code(error).as_deref(), Some("42501"), "{role}: {sql}");
        }
    }
    // Apps and engines neither append nor read through the functions of HQ.
    for sql in [
        "SELECT leasehold.append_audit('acme', now(), 'a', 'a', NULL, '{}')",
        "SELECT leasehold.hq_audit_entries('acme', 0, 1)",
        "SELECT leasehold.hq_audit_heads()",
        "SELECT leasehold.hq_audit_head('acme')",
        "SELECT FROM leasehold.sys_audit_heads",
        "SELECT FROM leasehold.sys_audit_checkpoints",
        "INSERT INTO leasehold.sys_audit_log SELECT * FROM leasehold.sys_audit_log",
    ] {
        for (role, pool) in [("app", &database.app), ("engine", &database.engine)] {
            let error = sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.unwrap_err();
            assert_eq!(code(error).as_deref(), Some("42501"), "{role}: {sql}");
        }
    }
}

#[tokio::test]
async fn apps_read_their_own_chain_alone() {
    let database = filled().await;
    let chains = "SELECT tenant_org_id, count(*) FROM leasehold.sys_audit_log GROUP BY 1";
    let mut acme = TenantTransaction::begin(&database.app, &"acme".parse().unwrap()).await.unwrap();
    let seen: Vec<(String, i64)> = sqlx::query_as(chains).fetch_all(acme.connection()).await.unwrap();
    assert_eq!(seen, [("acme".to_owned(), 8)]);
    acme.rollback().await.unwrap();
    // Without a tenant, nothing: not HQ's chain either, whose tenant is empty.
    let seen: Vec<(String, i64)> = sqlx::query_as(chains).fetch_all(&database.app).await.unwrap();
    assert_eq!(seen, []);
    let mut connection = database.app.acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    execute(&mut transaction, "SET LOCAL app.current_tenant_id = ''").await;
    let seen: Vec<(String, i64)> = sqlx::query_as(chains).fetch_all(&mut *transaction).await.unwrap();
    assert_eq!(seen, []);
}

/// A value of JSON that may hold anything: control characters, line separators, keys beyond the surrogates.
fn random(choices: &mut Choices<'_>, depth: u32) -> Value {
    const PIECES: &[&str] = &[
        "a",
        "B",
        "_",
        "\"",
        "\\",
        "/",
        "\u{1}",
        "\u{8}",
        "\t",
        "\n",
        "\u{b}",
        "\u{c}",
        "\r",
        "\u{1f}",
        "\u{7f}",
        "\u{80}",
        "é",
        "ض",
        "\u{2028}",
        "\u{2029}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{feff}",
        "\u{ff21}",
        "\u{fffd}",
        "\u{ffff}",
        "😀",
        "\u{10000}",
        "\u{10fffe}",
        " ",
        "\\u0000",
    ];
    let text =
        |choices: &mut Choices<'_>| (0..choices.below(4)).map(|_| *choices.pick(PIECES).unwrap()).collect::<String>();
    match choices.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(choices.percent(50)),
        2 => json!(choices.one_of(0_i64, &[1, -1, 10, -120, 9_007_199_254_740_991, -9_007_199_254_740_991, 1_000_000])),
        3 | 4 => json!(text(choices)),
        5 => (0..choices.below(4)).map(|_| random(choices, depth - 1)).collect::<Vec<_>>().into(),
        _ => {
            let entries = (0..choices.below(6)).map(|_| (text(choices), random(choices, depth - 1)));
            Value::Object(entries.collect())
        }
    }
}

/// The database spells JSON as the engine does, byte for byte, and refuses what the engine refuses.
#[tokio::test]
async fn canonical_json_is_one_in_both() {
    let database = database().await;
    let mut choices = Choices::from_seed(20);
    let values: Vec<Value> = (0..2000).map(|_| random(&mut choices, 4)).collect();
    let expected: Vec<String> =
        values.iter().map(|value| String::from_utf8(canonical::to_vec(value).unwrap()).unwrap()).collect();
    let texts: Vec<String> = values.iter().map(Value::to_string).collect();
    let sql = "SELECT leasehold.canonical_json(t::jsonb) FROM unnest($1::text[]) WITH ORDINALITY AS u(t, n) ORDER BY n";
    let written: Vec<String> = sqlx::query_scalar(sql).bind(&texts).fetch_all(&database.hq).await.unwrap();
    assert_eq!(written.len(), expected.len());
    let mut by_utf16 = 0;
    for ((written, expected), value) in written.iter().zip(&expected).zip(&values) {
        assert_eq!(written, expected);
        // The order of the bytes would be another one.
        by_utf16 += usize::from(value.as_object().is_some_and(|keys| {
            let mut units: Vec<&String> = keys.keys().collect();
            units.sort_by_key(|key| key.encode_utf16().collect::<Vec<_>>());
            !units.is_sorted()
        }));
    }
    assert!(by_utf16 > 20, "{by_utf16}");
    let nested = |depth: usize| ["[", "]"].map(|bracket| bracket.repeat(depth)).concat();
    let one = "SELECT leasehold.canonical_json($1::text::jsonb)";
    for bad in ["0.5", "1.0", "[9007199254740992]", "-9007199254740992", "1e400", "{\"\u{10ffff}\":1}", &nested(128)] {
        let error = sqlx::query_scalar::<_, String>(one).bind(bad).fetch_one(&database.hq).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("22023"), "{bad}: {error}");
    }
    for (good, expected) in [("1e3", "1000"), ("-0", "0"), (&*nested(127), &*nested(127))] {
        let written: String = sqlx::query_scalar(one).bind(good).fetch_one(&database.hq).await.unwrap();
        assert_eq!(written, expected);
    }
}

/// Entries that functions of the database write are those that Rust writes.
#[tokio::test]
async fn bodies_are_one_in_both() {
    let database = database().await;
    for entry in [entry("acme", 1), entry("acme", 2), entry("", 1), Entry { detail: Value::Null, ..entry("", 2) }] {
        let sql = "SELECT leasehold.audit_body($1, $2::text::timestamptz, $3, $4, $5, $6::text::jsonb, $7)";
        let body: Vec<u8> = sqlx::query_scalar(sql)
            .bind(entry.tenant.as_ref().map_or("", TenantId::as_str))
            .bind(entry.at.to_string())
            .bind(&entry.actor)
            .bind(&entry.action)
            .bind(&entry.subject)
            .bind(entry.detail.to_string())
            .bind(&entry.trace_id)
            .fetch_one(&database.hq)
            .await
            .unwrap();
        assert_eq!(String::from_utf8(body).unwrap(), String::from_utf8(entry.body().unwrap()).unwrap());
    }
}
