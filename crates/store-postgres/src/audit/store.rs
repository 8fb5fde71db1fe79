//! Chains and checkpoints in the database.

use super::{Entry, Head, Line, Record, Report, Scope, Verifier, append};
use crate::Error;
use crate::error::retried;
use leasehold::build::Signer;
use leasehold::wire::{ChainEnd, Checkpoint, SignedCheckpoint, Trust};
use leasehold::{Hash, TenantId, Timestamp};
use serde_json::json;
use sqlx::{Connection, PgConnection, Postgres, Row, Transaction};
use std::collections::BTreeMap;

/// How many entries are fetched at once.
const PAGE: i32 = 200;

/// Reads chains as they are at one instant, whatever is appended meanwhile, in the order of their tenants.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Database`], and whatever `visit` says.
pub async fn walk<E: From<Error>>(
    connection: &mut PgConnection,
    scope: &Scope,
    mut visit: impl FnMut(&Line) -> Result<(), E>,
) -> Result<(), E> {
    let mut transaction = still(connection).await?;
    let (mut chains, mut entries) = (0, 0);
    for (tenant, head) in heads(&mut transaction, scope).await? {
        chains += 1;
        visit(&Line::Chain { tenant: tenant.clone(), head })?;
        // Numbers that nobody gave out are read too, and told from the rest by whoever verifies.
        let mut after = i64::MIN;
        loop {
            let page = page(&mut transaction, &tenant, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            entries += page.len() as u64;
            page.into_iter().try_for_each(|record| visit(&Line::Entry(record)))?;
        }
    }
    transaction.rollback().await.map_err(Error::from)?;
    visit(&Line::End { chains, entries })
}

/// A transaction in which nothing changes.
async fn still(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, Error> {
    let mut transaction = connection.begin().await?;
    let statement = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
    sqlx::query(statement).execute(&mut *transaction).await?;
    Ok(transaction)
}

async fn heads(connection: &mut PgConnection, scope: &Scope) -> Result<Vec<(String, Option<Head>)>, Error> {
    let rows = match scope.is_one() {
        None => sqlx::query("SELECT tenant_org_id, seq, hash FROM leasehold.hq_audit_heads()"),
        Some(tenant) => sqlx::query("SELECT tenant_org_id, seq, hash FROM leasehold.hq_audit_head($1)").bind(tenant),
    };
    let rows = rows.fetch_all(connection).await?;
    let head = |row: sqlx::postgres::PgRow| {
        let (seq, hash): (Option<i64>, Option<Vec<u8>>) = (row.try_get(1)?, row.try_get(2)?);
        Ok((row.try_get(0)?, seq.zip(hash).map(|(seq, hash)| Head { seq, hash })))
    };
    rows.into_iter().map(head).collect()
}

/// Entries of one chain in order, those after a number: of a tenant, or HQ's own. They are as they were found; nothing is
/// verified.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Database`].
pub async fn entries(
    connection: &mut PgConnection,
    tenant: Option<&TenantId>,
    after: i64,
    at_most: u32,
) -> Result<Vec<Record>, Error> {
    let at_most = i32::try_from(at_most).unwrap_or(i32::MAX);
    page(connection, tenant.map_or("", TenantId::as_str), after, at_most).await
}

async fn page(connection: &mut PgConnection, tenant: &str, after: i64, at_most: i32) -> Result<Vec<Record>, Error> {
    let sql = "SELECT seq, CASE WHEN isfinite(at) THEN (extract(epoch FROM at) * 1000000)::bigint END, actor, action, \
               trace_id, body, prev_hash, hash FROM leasehold.hq_audit_entries($1, $2, $3)";
    let rows = sqlx::query(sql).bind(tenant).bind(after).bind(at_most).fetch_all(connection).await?;
    let record = |row: sqlx::postgres::PgRow| {
        Ok(Record {
            seq: row.try_get(0)?,
            at_us: row.try_get(1)?,
            actor: row.try_get(2)?,
            action: row.try_get(3)?,
            trace_id: row.try_get(4)?,
            body: row.try_get(5)?,
            prev_hash: row.try_get(6)?,
            hash: row.try_get(7)?,
        })
    };
    rows.into_iter().map(record).collect()
}

/// The last checkpoint that was stored, as a document that nobody has verified.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::Database`].
pub async fn last_checkpoint(connection: &mut PgConnection) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT document FROM leasehold.sys_audit_checkpoints ORDER BY checkpoint_id DESC LIMIT 1";
    Ok(sqlx::query_scalar(sql).fetch_optional(connection).await?)
}

/// From where chains are verified before a checkpoint vouches for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// From the last checkpoint: what that vouched for is not read again.
    LastCheckpoint,
    /// From the first entry. The last checkpoint must still fit; one that is not to be believed is passed over.
    Start,
}

/// What became of a checkpoint.
#[derive(Debug, Clone)]
pub enum Checkpointed {
    /// It is signed and stored, and an entry of HQ's own chain tells of it.
    Signed(Box<SignedCheckpoint>, Report),
    /// Something is wrong with the chains: nothing is signed.
    Refused(Report),
}

/// Verifies the chains, signs where they end, and stores that.
///
/// # Errors
/// [`Error::Fault`] where the last checkpoint is not to be believed, and where the key may not sign at the instant; those
/// of [`append`].
pub async fn checkpoint(
    connection: &mut PgConnection,
    signer: &Signer,
    trust: &Trust,
    since: Since,
    (at, actor): (Timestamp, &str),
) -> Result<Checkpointed, Error> {
    let (report, ends) = verified(connection, trust, since).await?;
    if !report.is_good() {
        return Ok(Checkpointed::Refused(report));
    }
    let signed = signer.checkpoint(at, ends)?;
    let entry = Entry {
        tenant: None,
        at,
        actor: actor.to_owned(),
        action: "audit.checkpoint".to_owned(),
        subject: "audit".to_owned(),
        detail: json!({
            "chains": signed.checkpoint().chains.len(),
            "document": Hash::of(signed.bytes()),
            "signed_by": signed.signed_by(),
        }),
        trace_id: None,
    };
    retried!(store(connection, &signed, &entry))?;
    Ok(Checkpointed::Signed(Box::new(signed), report))
}

/// Stores a checkpoint together with the entry that tells of it.
async fn store(connection: &mut PgConnection, signed: &SignedCheckpoint, entry: &Entry) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query("INSERT INTO leasehold.sys_audit_checkpoints (at, document) VALUES ($1::text::timestamptz, $2)")
        .bind(entry.at.to_string())
        .bind(&signed.bytes()[..])
        .execute(&mut *transaction)
        .await?;
    append(&mut transaction, entry).await?;
    Ok(transaction.commit().await?)
}

/// Verifies the chains, and says where they end.
async fn verified(
    connection: &mut PgConnection,
    trust: &Trust,
    since: Since,
) -> Result<(Report, Vec<ChainEnd>), Error> {
    let mut transaction = still(connection).await?;
    let last = last_checkpoint(&mut transaction).await?.map(|document| trust.checkpoint(&document));
    let last: Option<Checkpoint> = match since {
        Since::LastCheckpoint => last.transpose()?,
        Since::Start => last.and_then(Result::ok),
    }
    .map(|last| last.checkpoint().clone());
    let known: BTreeMap<String, i64> = last
        .iter()
        .flat_map(|checkpoint| &checkpoint.chains)
        .map(|end| (name(end.tenant.as_ref()), i64::try_from(end.seq).unwrap_or(i64::MAX)))
        .collect();
    let mut verifier = Verifier::new(Scope::All, last.into_iter().collect());
    let mut ends = Vec::new();
    for (tenant, head) in heads(&mut transaction, &Scope::All).await? {
        // The entry that was vouched for is read again: its hash is what the rest hangs on. Of a chain that ends before it,
        // all is read, to say where.
        let reaches = |seq: &&i64| head.as_ref().is_some_and(|head| head.seq >= **seq);
        let mut after = match since {
            Since::LastCheckpoint => known.get(&tenant).filter(reaches).map_or(0, |seq| seq - 1),
            Since::Start => 0,
        };
        verifier.begin(&tenant, head.as_ref(), after);
        if after == 0 {
            after = i64::MIN;
        }
        loop {
            let page = page(&mut transaction, &tenant, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            page.into_iter().for_each(|record| verifier.line(&Line::Entry(record)));
        }
        if let Some(end) = head.and_then(|head| chain_end(&tenant, &head)) {
            ends.push(end);
        }
    }
    transaction.rollback().await?;
    Ok((verifier.finish(), ends))
}

fn name(tenant: Option<&TenantId>) -> String {
    tenant.map(ToString::to_string).unwrap_or_default()
}

/// Where a chain ends; nothing where it has no entry, or a head that was tampered with, which the verifier tells.
fn chain_end(tenant: &str, head: &Head) -> Option<ChainEnd> {
    let id = if tenant.is_empty() { None } else { Some(tenant.parse().ok()?) };
    let hash: String = head.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let seq = u64::try_from(head.seq).ok().filter(|seq| *seq > 0)?;
    Some(ChainEnd { tenant: id, seq, hash: hash.parse().ok()? })
}
