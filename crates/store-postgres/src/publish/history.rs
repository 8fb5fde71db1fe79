//! What was known when, and how long it is remembered.

use super::contents::{self, Held};
use super::{Archive, reference};
use crate::Error;
use crate::hq::{Actor, not_found, record};
use leasehold::follow::read_tenant;
use leasehold::model::Definitions;
use leasehold::wire::{ChunkRef, DefinitionsIndex, FaultCode, Manifest, SignedHead, Stage, TreeNode};
use leasehold::{Entitlements, Hash, Region, Revision, Snapshot, TenantId, Timestamp};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashSet};

/// What a tenant had, and which snapshot says so.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoricEntitlements {
    /// The revision that was in force.
    pub revision: Revision,
    /// The stream that the tenant was in.
    pub stream: Region,
    /// What it had.
    pub entitlements: Entitlements,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Heads of the past.
    pub heads: u64,
    /// Contents that nothing names any more.
    pub chunks: u64,
    /// Published changes in the queue.
    pub changes: u64,
    /// Machines that no tenant has any more.
    pub machines: u64,
}

impl Archive {
    /// What a tenant has at an instant, as it was known at another one: asked about `at`, of the newest revision that was
    /// issued by `known_at`; of the newest of all where that is left out.
    ///
    /// Revisions are in one order, and instants are not where clocks differ: a head may be dated ahead, and the key of
    /// the next epoch goes back to what time it is. So it is one revision that is looked for, for all streams.
    ///
    /// # Errors
    /// [`Error::Fault`] with `outside_history` where nothing is remembered of that time; [`Error::NotFound`] where no stream
    /// had the tenant then.
    pub async fn entitlements(
        &self,
        tenant: &TenantId,
        at: Timestamp,
        known_at: Option<Timestamp>,
    ) -> Result<HistoricEntitlements, Error> {
        let mut connection = self.hq.pool.acquire().await?;
        let known = known_at.map(|known_at| known_at.to_string());
        let heads: Vec<(String, Vec<u8>)> = sqlx::query_as(
            "WITH known AS MATERIALIZED (SELECT max(revision) AS revision FROM leasehold.sys_head_history
                 WHERE issued_at <= coalesce($1::timestamptz, 'infinity'))
             SELECT s.stream, last.document FROM leasehold.sys_heads s, known, LATERAL
                 (SELECT document FROM leasehold.sys_head_history h
                  WHERE h.stream = s.stream AND h.revision <= known.revision ORDER BY h.revision DESC LIMIT 1) last
             ORDER BY s.stream",
        )
        .bind(&known)
        .fetch_all(&mut *connection)
        .await?;
        let forgotten: bool = sqlx::query_scalar(
            "SELECT coalesce($1::timestamptz < forgotten_before, false) FROM leasehold.sys_publisher",
        )
        .bind(&known)
        .fetch_one(&mut *connection)
        .await?;
        if heads.is_empty() || forgotten {
            let message = match known_at {
                Some(known_at) => format!("nothing is remembered of {known_at}"),
                None => "nothing was published yet".to_owned(),
            };
            let fault = leasehold::wire::Fault::new(Stage::Download, FaultCode::OutsideHistory, "head", message);
            return Err(fault.into());
        }
        for (stream, document) in heads {
            let Ok(stream) = stream.parse::<Region>() else { continue };
            let head = self.trusted(&stream, &document)?;
            let mut held = Held::new();
            contents::fetch_ways(&mut connection, &[(head.head().manifest, vec![tenant])], &mut held).await?;
            let manifest = contents::manifest(&held, head.head().manifest)?;
            let Some(found) = read_tenant(&manifest, &stream, tenant, &contents::held(&held))? else { continue };
            let mut definitions: Definitions = contents::definitions(&mut connection, manifest.definitions).await?;
            definitions.tenants = BTreeMap::from([(tenant.clone(), found)]);
            let snapshot = Snapshot::compile(&definitions, head.head().stamp())?;
            let entitlements = snapshot.tenant(tenant.as_str())?.entitlements(at);
            return Ok(HistoricEntitlements { revision: head.head().revision, stream, entitlements });
        }
        Err(not_found("tenant at that time", tenant.as_str()))
    }

    /// Says by which machines the items of all tenants move in SQL: those of the snapshots in force. Every publication does
    /// so for whom it concerns; this is for a store whose machines were lost or altered. Gives how many tenants there are.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`]; [`Error::Fault`] where what was published cannot be believed.
    pub async fn place_machines(&self, actor: &Actor) -> Result<usize, Error> {
        let mut connection = self.hq.pool.acquire().await?;
        let heads: Vec<SignedHead> = self.heads(&mut connection).await?.into_values().collect();
        let fleet = contents::fleet(&mut connection, &heads).await?;
        let Some(stamp) = heads.first().map(|head| head.head().stamp()) else { return Ok(0) };
        let snapshot = Snapshot::compile(&fleet, stamp)?;
        let tenants: Vec<&str> = fleet.tenants.keys().map(TenantId::as_str).collect();
        let mut transaction = self.hq.pool.begin().await?;
        crate::workflow::put_machines(&mut transaction, &snapshot, &tenants).await?;
        let detail = json!({ "tenants": tenants.len() });
        record(&mut transaction, None, actor, "workflow.machines.placed", "machines", detail).await?;
        transaction.commit().await?;
        Ok(tenants.len())
    }

    /// Forgets what is older than `history_days`, by the clock of the database: heads of the past, contents that nothing
    /// names any more, the outcomes of changes; and machines that no tenant has. What was in force at the beginning of that
    /// time is still remembered.
    /// Contents and outcomes of the last hour stay in any case.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn collect(&self, history_days: u32, actor: &Actor) -> Result<Collected, Error> {
        let mut connection = self.hq.pool.acquire().await?;
        let machines = crate::workflow::drop_idle_machines(&mut connection).await?;
        let heads: i64 = sqlx::query_scalar("SELECT leasehold.hq_forget_heads($1)")
            .bind(i64::from(history_days))
            .fetch_one(&mut *connection)
            .await?;
        let named = self.named(&mut connection).await?;
        let named: Vec<Vec<u8>> = named.into_iter().map(|hash| hash.as_bytes().to_vec()).collect();
        let (chunks, changes): (i64, i64) = sqlx::query_as("SELECT * FROM leasehold.hq_forget_contents($1, $2)")
            .bind(named)
            .bind(i64::from(history_days))
            .fetch_one(&mut *connection)
            .await?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        let collected = Collected { heads: count(heads), chunks: count(chunks), changes: count(changes), machines };
        let detail = json!({
            "heads": heads, "chunks": chunks, "changes": changes, "machines": machines, "history_days": history_days,
        });
        record(&mut connection, None, actor, "history.collected", "snapshots", detail).await?;
        Ok(collected)
    }

    /// Everything that heads and proposals name.
    async fn named(&self, connection: &mut PgConnection) -> Result<HashSet<Hash>, Error> {
        let manifests: Vec<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT c.hash, c.raw_length FROM leasehold.sys_chunks c WHERE c.hash IN
                 (SELECT manifest FROM leasehold.sys_heads UNION SELECT manifest FROM leasehold.sys_head_history)",
        )
        .fetch_all(&mut *connection)
        .await?;
        let indexes: Vec<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT proposed, proposed_length FROM leasehold.sys_proposals
             UNION SELECT candidate, candidate_length FROM leasehold.sys_publisher WHERE candidate IS NOT NULL
             UNION SELECT definitions, definitions_length FROM leasehold.sys_publisher WHERE definitions IS NOT NULL",
        )
        .fetch_all(&mut *connection)
        .await?;
        let references = |rows: Vec<(Vec<u8>, i64)>| -> Vec<ChunkRef> {
            rows.into_iter().filter_map(|(hash, length)| reference(&hash, length)).collect()
        };
        let mut indexes: HashSet<ChunkRef> = references(indexes).into_iter().collect();
        let manifests = references(manifests);
        let mut named: HashSet<Hash> = manifests.iter().map(|manifest| manifest.hash).collect();
        let mut nodes = HashSet::new();
        each(connection, manifests, |held, manifest| {
            let Manifest { definitions, tenants, .. } = contents::manifest(held, manifest)?;
            indexes.insert(definitions);
            nodes.extend(tenants.iter().map(|(_, node)| node));
            Ok(())
        })
        .await?;
        named.extend(nodes.iter().chain(&indexes).map(|reference| reference.hash));
        each(connection, nodes, |held, node| {
            let Some(chunk) = held.get(&node.hash) else { return Ok(()) };
            let children = TreeNode::read(&chunk.open(node)?, &node.hash.to_string())?;
            named.extend(children.iter().map(|(_, shard)| shard.hash));
            Ok(())
        })
        .await?;
        each(connection, indexes, |held, index| {
            let Some(chunk) = held.get(&index.hash) else { return Ok(()) };
            named.extend(DefinitionsIndex::read(&chunk.open(index)?)?.sections().map(|(_, section)| section.hash));
            Ok(())
        })
        .await?;
        Ok(named)
    }
}

/// Reads contents, so many at a time: a history may hold more of them than memory does.
async fn each(
    connection: &mut PgConnection,
    references: impl IntoIterator<Item = ChunkRef>,
    mut read: impl FnMut(&Held, ChunkRef) -> Result<(), Error>,
) -> Result<(), Error> {
    let references: Vec<ChunkRef> = references.into_iter().collect();
    for batch in references.chunks(contents::BATCH) {
        let mut held = Held::new();
        contents::fetch(connection, batch.iter().map(|reference| reference.hash), &mut held).await?;
        batch.iter().try_for_each(|reference| read(&held, *reference))?;
    }
    Ok(())
}
