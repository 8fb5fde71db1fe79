//! Writing machines, as the engine resolves them.

use super::document::Document;
use crate::Error;
use leasehold::{Error as Question, Hash, PinnedTenant, Snapshot};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashMap};

/// How many tenants are placed in one statement.
const TENANTS_AT_A_TIME: usize = 500;

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
/// Needs role `leasehold_hq`. Give it a connection within the transaction that publishes.
///
/// # Errors
/// [`Error::Database`], [`Error::Unreachable`], [`Error::Contended`]. The transaction has to be undone then.
pub async fn put_machines(
    connection: &mut PgConnection,
    snapshot: &Snapshot,
    tenants: &[&str],
) -> Result<MachinesPut, Error> {
    let mut put = MachinesPut::default();
    // Hash of the document by the hash of what a machine is made of: tenants that have the same are not resolved twice.
    let mut known: HashMap<Hash, Hash> = HashMap::new();
    for tenants in tenants.chunks(TENANTS_AT_A_TIME) {
        let mut documents = BTreeMap::new();
        let mut placed = Vec::new();
        for tenant in tenants.iter().filter_map(|tenant| snapshot.tenant(tenant).ok()) {
            place(&tenant, &mut known, &mut documents, &mut placed)?;
        }
        put.machines += send(connection, documents).await?;
        let placed = serde_json::to_value(placed).map_err(unwritable)?;
        let changed: i64 = sqlx::query_scalar("SELECT leasehold.hq_place_machines($1, $2)")
            .bind(tenants)
            .bind(placed)
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

/// Resolves the machines of one tenant.
fn place<'s>(
    tenant: &PinnedTenant<'s>,
    known: &mut HashMap<Hash, Hash>,
    documents: &mut BTreeMap<Hash, String>,
    placed: &mut Vec<Placed<'s>>,
) -> Result<(), Error> {
    for template in tenant.templates() {
        let workflow = template.workflow.as_str();
        let categories = template.categories.iter().map(|category| Some(category.as_str()));
        for category in std::iter::once(None).chain(categories) {
            let machine = match tenant.machine_hash(workflow, category) {
                Ok(made_of) => match known.get(&made_of) {
                    Some(document) => Some(*document),
                    None => {
                        let machine = tenant.machine(workflow, category)?;
                        let text = serde_json::to_string(&Document::of(&machine)).map_err(unwritable)?;
                        let document = Hash::of(text.as_bytes());
                        known.insert(made_of, document);
                        documents.insert(document, text);
                        Some(document)
                    }
                },
                Err(Question::InactiveTemplate(_)) => None,
                Err(error) => return Err(error.into()),
            };
            let is_active = machine.is_some();
            placed.push(Placed { tenant: tenant.id(), workflow, category: category.unwrap_or_default(), machine });
            if !is_active {
                // It says so for every category.
                break;
            }
        }
    }
    Ok(())
}

/// Sends the documents that the database lacks, in the order of their hashes, so that two who do so wait for each other
/// and never lock each other out.
async fn send(connection: &mut PgConnection, documents: BTreeMap<Hash, String>) -> Result<u64, Error> {
    let hashes: Vec<&[u8]> = documents.keys().map(|hash| &hash.as_bytes()[..]).collect();
    let missing: Vec<Vec<u8>> = sqlx::query_scalar("SELECT * FROM leasehold.hq_missing_machines($1)")
        .bind(hashes)
        .fetch_all(&mut *connection)
        .await?;
    let mut sent = 0;
    for (_, text) in documents.iter().filter(|(hash, _)| missing.iter().any(|one| one[..] == hash.as_bytes()[..])) {
        sqlx::query("SELECT leasehold.hq_put_machine($1)").bind(text).execute(&mut *connection).await?;
        sent += 1;
    }
    Ok(sent)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::Database(sqlx::Error::Encode(Box::new(error)))
}
