//! Publishing: from rows to signed snapshots.
//!
//! A publication of what tenants had changed is built outside of any transaction, from one consistent reading, and
//! committed by a single statement that compares the revision and swaps everything at once. Whoever loses the race builds
//! again from what is there then. Other definitions concern the whole fleet: they are looked at, built and committed in one
//! transaction, for which others wait.

mod archive;
mod contents;
mod effect;
mod history;
mod next;
mod proposal;
mod publisher;
mod reading;
mod served;

pub use archive::Archive;
pub use effect::FleetEffect;
pub use history::{Collected, HistoricEntitlements};
pub use proposal::{Proposal, ProposalStatus};
pub(crate) use publisher::Goal;
pub use publisher::{Publication, Publisher, Refusal, Step, Timing};
pub use served::{KnownNodes, SliceBytes};

use crate::Error;
use leasehold::Hash;
use leasehold::build::Checker;
use leasehold::model::Definitions;
use leasehold::wire::ChunkRef;
use sqlx::PgConnection;

/// Definitions, compiled to check tenants.
#[derive(Debug)]
pub(crate) struct InForce {
    /// Their index; none while nothing was published.
    pub(crate) reference: Option<ChunkRef>,
    pub(crate) definitions: Definitions,
    pub(crate) checker: Checker,
}

impl InForce {
    pub(crate) fn of(reference: Option<ChunkRef>, definitions: Definitions) -> Result<Self, Error> {
        let checker = Checker::new(&definitions)?;
        Ok(Self { reference, definitions, checker })
    }
}

/// Where the definitions in force are; none while nothing was published.
pub(crate) async fn in_force_reference(connection: &mut PgConnection) -> Result<Option<ChunkRef>, Error> {
    let (hash, length): (Option<Vec<u8>>, Option<i64>) =
        sqlx::query_as("SELECT definitions, definitions_length FROM leasehold.sys_publisher")
            .fetch_one(connection)
            .await?;
    Ok(hash.zip(length).and_then(|(hash, length)| reference(&hash, length)))
}

pub(crate) async fn read_in_force(connection: &mut PgConnection, reference: ChunkRef) -> Result<InForce, Error> {
    InForce::of(Some(reference), contents::definitions(connection, reference).await?)
}

/// A content's name from its columns.
pub(crate) fn reference(hash: &[u8], length: i64) -> Option<ChunkRef> {
    let hash: [u8; 32] = hash.try_into().ok()?;
    Some(ChunkRef { hash: Hash::from(hash), length: u64::try_from(length).ok()? })
}
