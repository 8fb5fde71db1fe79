//! Everything that a publication is made from, as one reading of the database has it.

use super::contents::{self, Held};
use super::{Archive, InForce, read_in_force, reference};
use crate::Error;
use crate::access::{most_slice_keys, slice_key};
use crate::hq::{read_definitions, read_tenant, read_tenants};
use leasehold::model::{Kill, Tenant};
use leasehold::wire::{ChunkRef, SignedHead, SliceKey};
use leasehold::{RecordId, Region, TenantId};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many changes are taken into one publication at the most; more wait for the next.
const MOST_CHANGES: i32 = 10_000;

/// What a publisher remembers from one publication to the next. All of it is told by hash or byte for byte, and none of it
/// is missed where it is gone.
#[derive(Default)]
pub(super) struct Remembered {
    pub(super) held: Held,
    trial: Option<Arc<InForce>>,
    /// Heads that were verified, or signed here.
    pub(super) heads: BTreeMap<Region, SignedHead>,
    /// The connection that changes were published by. It knows the statements, and need not be asked whether it is there:
    /// where it is not, the reading is tried again by another.
    pub(super) connection: Option<PoolConnection<Postgres>>,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// A tenant, as one stream is concerned.
    Tenant(TenantId, Region),
    /// A new kill switch.
    Kill(RecordId),
}

/// A change that waits, or was kept back and is looked at again.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) id: i64,
    pub(super) about: About,
}

/// Everything that a publication is made from.
pub(super) struct Reading {
    pub(super) revision: u64,
    /// How many publications there were: who expects another number than there is comes too late.
    pub(super) turn: i64,
    /// Where the definitions in force are, and they; none before the first.
    pub(super) in_force: Option<(ChunkRef, Arc<InForce>)>,
    /// The definitions on trial, and with how many engines of a thousand.
    pub(super) trial: Option<(ChunkRef, Arc<InForce>, u16)>,
    pub(super) heads: BTreeMap<Region, SignedHead>,
    pub(super) changes: Vec<Change>,
    pub(super) tenants: BTreeMap<TenantId, Result<Tenant, Error>>,
    /// Kill switches as they are authored; read where one is among the changes.
    pub(super) kills: BTreeMap<RecordId, Kill>,
    /// Keys that servers sign slices with.
    pub(super) slice_keys: Vec<SliceKey>,
}

impl Reading {
    /// Reads it, by one statement, but for contents that are not remembered and new kill switches. Changes that were kept
    /// back are among the others where they are asked for: with other definitions, they may be right.
    pub(super) async fn of(
        archive: &Archive,
        connection: &mut PgConnection,
        kept_back: bool,
        remembered: &mut Remembered,
    ) -> Result<Self, Error> {
        let row = sqlx::query("SELECT * FROM leasehold.hq_read_publication($1, $2, $3)")
            .bind(MOST_CHANGES)
            .bind(kept_back)
            .bind(most_slice_keys())
            .fetch_one(&mut *connection)
            .await?;
        let named = |hash: &str, length: &str| -> Result<Option<ChunkRef>, sqlx::Error> {
            let (hash, length): (Option<Vec<u8>>, Option<i64>) = (row.try_get(hash)?, row.try_get(length)?);
            Ok(hash.zip(length).and_then(|(hash, length)| reference(&hash, length)))
        };
        let in_force = match named("definitions", "definitions_length")? {
            None => None,
            Some(reference) => Some((reference, archive.hq.in_force_at(connection, reference).await?)),
        };
        let share: Option<i32> = row.try_get("candidate_permille")?;
        let share = share.and_then(|share| u16::try_from(share).ok());
        let trial = match named("candidate", "candidate_length")?.zip(share) {
            None => None,
            Some((reference, share)) => {
                let known = remembered.trial.take().filter(|known| known.reference == Some(reference));
                let trial = match known {
                    Some(known) => known,
                    None => Arc::new(read_in_force(connection, reference).await?),
                };
                remembered.trial = Some(trial.clone());
                Some((reference, trial, share))
            }
        };
        let heads = heads(archive, &row, remembered)?;
        let changes = queued(&row)?;
        let tenants = column(&row, "tenants")?.into_iter().zip(column(&row, "tenant_documents")?);
        let tenants: BTreeMap<TenantId, Result<Tenant, Error>> =
            tenants.filter_map(|(id, document): (String, String)| read_tenant(&id, &document)).collect();
        let slice_keys = column(&row, "slice_keys")?.into_iter().zip(column(&row, "slice_keys_from")?);
        let slice_keys = slice_keys.zip(column(&row, "slice_keys_until")?);
        let slice_keys = slice_keys
            .filter_map(|((key, from), until): ((String, String), String)| slice_key(&key, &from, &until))
            .collect();
        let mut kills = BTreeMap::new();
        if changes.iter().any(|change| matches!(change.about, About::Kill(_))) {
            // Of a later instant perhaps. What became of one since is another change, which waits for the next publication.
            kills = read_definitions(connection, None).await?.kills;
        }
        // What leads to the tenants that changed.
        let mut ways: Vec<(ChunkRef, Vec<&TenantId>)> = Vec::new();
        for (stream, head) in &heads {
            let here = changes.iter().filter_map(|change| match &change.about {
                About::Tenant(tenant, _) if change.streams(&tenants).contains(&Some(stream)) => Some(tenant),
                _ => None,
            });
            let here: BTreeSet<&TenantId> = here.collect();
            ways.push((head.head().manifest, here.into_iter().collect()));
        }
        contents::fetch_ways(connection, &ways, &mut remembered.held).await?;
        let revision = u64::try_from(row.try_get::<i64, _>("revision")?).unwrap_or_default();
        let turn = row.try_get("turn")?;
        Ok(Self { revision, turn, in_force, trial, heads, changes, tenants, kills, slice_keys })
    }
}

/// A column that is a list; null where it is empty.
fn column<'r, T>(row: &'r PgRow, name: &str) -> Result<Vec<T>, Error>
where
    Option<Vec<T>>: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    Ok(row.try_get::<Option<Vec<T>>, _>(name)?.unwrap_or_default())
}

/// The heads in force, each verified, now or before. None are read where nothing is to be published.
fn heads(archive: &Archive, row: &PgRow, remembered: &mut Remembered) -> Result<BTreeMap<Region, SignedHead>, Error> {
    let mut heads = BTreeMap::new();
    for (stream, document) in column::<String>(row, "streams")?.into_iter().zip(column::<Vec<u8>>(row, "documents")?) {
        let Ok(stream) = stream.parse::<Region>() else { continue };
        let known = remembered.heads.remove(&stream).filter(|known| **known.bytes() == *document);
        let head = known.map_or_else(|| archive.trusted(&stream, &document), Ok)?;
        heads.insert(stream, head);
    }
    if !heads.is_empty() {
        remembered.heads.clone_from(&heads);
    }
    Ok(heads)
}

/// The changes that wait, oldest first.
fn queued(row: &PgRow) -> Result<Vec<Change>, Error> {
    let about = column(row, "changed_tenants")?.into_iter().zip(column(row, "changed_streams")?);
    let about = about.zip(column(row, "changed_kills")?);
    let all = column(row, "changes")?.into_iter().zip(about);
    Ok(all.filter_map(|(id, ((tenant, stream), kill))| Change::of(id, tenant, stream, kill)).collect())
}

impl Change {
    /// A change as the database tells it.
    fn of(id: i64, tenant: String, stream: String, kill: Option<String>) -> Option<Self> {
        let about = match kill {
            Some(kill) => About::Kill(kill.parse().ok()?),
            None => About::Tenant(tenant.parse().ok()?, stream.parse().ok()?),
        };
        Some(Self { id, about })
    }

    /// The streams that a change of a tenant is about: the one that it was queued for, and the one that the tenant is in. They
    /// are two where the tenant moved meanwhile: whoever writes rows by hand may not have seen that.
    pub(super) fn streams<'c>(
        &'c self,
        authored: &'c BTreeMap<TenantId, Result<Tenant, Error>>,
    ) -> [Option<&'c Region>; 2] {
        let About::Tenant(tenant, stream) = &self.about else { return [None, None] };
        let is_in = authored.get(tenant).and_then(|tenant| tenant.as_ref().ok()).map(|tenant| &tenant.region);
        [Some(stream), is_in.filter(|is_in| *is_in != stream)]
    }
}

/// Changes that wait, oldest first, so many and all others of their tenants; and those that were kept back, where they are
/// asked for.
pub(super) async fn changes(
    connection: &mut PgConnection,
    at_most: i32,
    kept_back: bool,
) -> Result<Vec<Change>, Error> {
    let rows: Vec<(i64, String, String, Option<String>)> =
        sqlx::query_as("SELECT change_id, tenant_org_id, stream, kill_id FROM leasehold.hq_publish_queue($1, $2)")
            .bind(at_most)
            .bind(kept_back)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().filter_map(|(id, tenant, stream, kill)| Change::of(id, tenant, stream, kill)).collect())
}

/// The tenants that changes are about, as they are authored.
pub(super) async fn authored(
    connection: &mut PgConnection,
    changes: &[Change],
) -> Result<BTreeMap<TenantId, Result<Tenant, Error>>, Error> {
    let ids: BTreeSet<&str> = changes
        .iter()
        .filter_map(|change| match &change.about {
            About::Tenant(tenant, _) => Some(tenant.as_str()),
            About::Kill(_) => None,
        })
        .collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<String> = ids.into_iter().map(str::to_owned).collect();
    Ok(read_tenants(connection, &ids).await?.into_iter().map(|(id, _, tenant)| (id, tenant)).collect())
}
