//! Writing machines, as the engine resolves them.

use super::document::Document;
use crate::Error;
use leasehold::{Error as Question, Hash, PinnedTenant, Snapshot};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many tenants are placed in one statement.
const TENANTS_AT_A_TIME: usize = 500;
/// How many documents are sent in one statement.
const DOCUMENTS_AT_A_TIME: usize = 64;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MachinesPut {
    /// Machines that were not there before.
    pub machines: u64,
    /// Entries of tenants that were added, changed or removed.
    pub placed: u64,
}

#[derive(Debug, Serialize)]
struct Placed<'s> {
    tenant: &'s str,
    workflow: &'s str,
    category: &'s str,
    /// Nothing where the template is not active for the tenant.
    machine: Option<Hash>,
}

/// Says by which machines the items of some tenants move: those that a snapshot resolves for them. A tenant that the
/// snapshot does not know has none afterwards.
///
/// Every category that a version or the tenant mentions gets its machine, and items without a category theirs, which is
/// that of every other category too. Tenants with equal machines share them; what is there already is not written again.
///
/// Takes two round trips where every machine is there, and two or more where some are not; one more for each further 500
/// tenants. Others may [drop](drop_idle_machines) machines meanwhile, and place the same ones elsewhere.
///
/// Needs role `leasehold_hq`. Give it a connection within the transaction that publishes, before what that appends to audit
/// chains.
///
/// # Errors
/// [`Error::Database`], [`Error::Unreachable`]; [`Error::Contended`] where another transaction placed other machines at the
/// same tenants. The transaction has to be undone then.
pub async fn put_machines(
    connection: &mut PgConnection,
    snapshot: &Snapshot,
    tenants: &[&str],
) -> Result<MachinesPut, Error> {
    // Everybody goes in the same order, machines first: so they wait for each other, and never lock each other out.
    let tenants: BTreeSet<&str> = tenants.iter().copied().collect();
    let mut resolved = Resolved::default();
    for tenant in tenants.iter().filter_map(|tenant| snapshot.tenant(tenant).ok()) {
        resolved.add(&tenant)?;
    }
    let mut put = MachinesPut { machines: send(connection, snapshot, &resolved).await?, placed: 0 };
    let tenants: Vec<&str> = tenants.into_iter().collect();
    let mut placed = &resolved.placed[..];
    for tenants in tenants.chunks(TENANTS_AT_A_TIME) {
        let last = tenants.last().copied().unwrap_or_default();
        let (these, rest) = placed.split_at(placed.partition_point(|row| row.tenant <= last));
        placed = rest;
        let changed: i64 = sqlx::query_scalar("SELECT leasehold.hq_place_machines($1, $2)")
            .bind(tenants)
            .bind(serde_json::to_value(these).map_err(unwritable)?)
            .fetch_one(&mut *connection)
            .await?;
        put.placed += changed.unsigned_abs();
    }
    Ok(put)
}

/// Drops the machines that no tenant has any more, and says how many there were.
///
/// # Errors
/// [`Error::Database`], [`Error::Unreachable`], [`Error::Contended`].
pub async fn drop_idle_machines(connection: &mut PgConnection) -> Result<u64, Error> {
    let dropped: i64 = sqlx::query_scalar("SELECT leasehold.hq_drop_idle_machines()").fetch_one(connection).await?;
    Ok(dropped.unsigned_abs())
}

/// Which machines tenants have, by the hashes of their documents.
#[derive(Debug, Default)]
struct Resolved<'s> {
    /// In the order of the tenants.
    placed: Vec<Placed<'s>>,
    /// Where in `placed` a document is, for each of them. The documents of a fleet are too much to be held at once, and
    /// hardly one is asked for.
    documents: BTreeMap<Hash, usize>,
    /// Hash of the document by the hash of what a machine is made of: tenants that have the same are not resolved twice.
    known: HashMap<Hash, Hash>,
}

impl<'s> Resolved<'s> {
    /// Adds the machines of a tenant.
    fn add(&mut self, tenant: &PinnedTenant<'s>) -> Result<(), Error> {
        for template in tenant.templates() {
            let workflow = template.workflow.as_str();
            let categories = template.categories.iter().map(|category| Some(category.as_str()));
            for category in std::iter::once(None).chain(categories) {
                let machine = match tenant.machine_hash(workflow, category) {
                    Ok(made_of) => match self.known.get(&made_of) {
                        Some(document) => Some(*document),
                        None => {
                            let document = Hash::of(document(tenant, workflow, category)?.as_bytes());
                            self.known.insert(made_of, document);
                            self.documents.insert(document, self.placed.len());
                            Some(document)
                        }
                    },
                    Err(Question::InactiveTemplate(_)) => None,
                    Err(error) => return Err(error.into()),
                };
                let is_active = machine.is_some();
                let category = category.unwrap_or_default();
                self.placed.push(Placed { tenant: tenant.id(), workflow, category, machine });
                if !is_active {
                    // It says so for every category.
                    break;
                }
            }
        }
        Ok(())
    }
}

fn document(tenant: &PinnedTenant<'_>, workflow: &str, category: Option<&str>) -> Result<String, Error> {
    let machine = tenant.machine(workflow, category)?;
    serde_json::to_string(&Document::of(&machine)).map_err(unwritable)
}

/// Sends the documents that the database lacks, in the order of their hashes, and says how many there were. None of them
/// can be dropped before the transaction ends.
async fn send(connection: &mut PgConnection, snapshot: &Snapshot, resolved: &Resolved<'_>) -> Result<u64, Error> {
    let mut sent = BTreeSet::new();
    loop {
        let hashes: Vec<&[u8]> = resolved.documents.keys().map(|hash| &hash.as_bytes()[..]).collect();
        let missing: Vec<Vec<u8>> = sqlx::query_scalar("SELECT * FROM leasehold.hq_missing_machines($1)")
            .bind(hashes)
            .fetch_all(&mut *connection)
            .await?;
        if missing.is_empty() {
            return Ok(sent.len() as u64);
        }
        let missing: BTreeSet<&[u8]> = missing.iter().map(|hash| &hash[..]).collect();
        let missing: Vec<_> =
            resolved.documents.iter().filter(|(hash, _)| missing.contains(&hash.as_bytes()[..])).collect();
        for some in missing.chunks(DOCUMENTS_AT_A_TIME) {
            let mut texts = Vec::new();
            for Placed { tenant, workflow, category, .. } in some.iter().filter_map(|(_, at)| resolved.placed.get(**at))
            {
                let category = Some(*category).filter(|category| !category.is_empty());
                texts.push(document(&snapshot.tenant(tenant)?, workflow, category)?);
            }
            sqlx::query(
                "SELECT leasehold.hq_put_machine(d)
                 FROM (SELECT d FROM unnest($1) WITH ORDINALITY AS sent(d, n) ORDER BY n) AS in_order",
            )
            .bind(texts)
            .execute(&mut *connection)
            .await?;
            sent.extend(some.iter().map(|(hash, _)| **hash));
        }
        // One that somebody else has sent in between is held only by asking again, if it is still there.
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Database(sqlx::Error::Encode(Box::new(error)))
}
