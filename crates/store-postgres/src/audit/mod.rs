//! What was done, by whom: a chain of hashes for each tenant, and one for HQ's own acts.
//!
//! [`append`] adds an [`Entry`] within the transaction of what it tells. [`walk`] reads chains from a database, [`export`]
//! keeps them in a file and reads them from there; a [`Verifier`] says of either whether all of it is as it was written.
//! What a chain alone cannot show, that its end was cut off or that all of it was written anew, is found against a
//! [checkpoint].

mod entry;
pub mod export;
mod store;
mod verifier;

pub use entry::{Entry, append};
pub use store::{Checkpointed, Since, checkpoint, entries, last_checkpoint, walk};
pub use verifier::{Problem, ProblemCode, Report, Verifier};

/// Which chains are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// That of one tenant, or HQ's own.
    One(Option<leasehold::TenantId>),
}

impl Scope {
    fn is_one(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::One(tenant) => Some(tenant.as_ref().map_or("", leasehold::TenantId::as_str)),
        }
    }
}

/// What chains are read as, one behind the other: a chain, its entries by number, the next chain; at last the end.
///
/// Nothing here has been verified, and all of it may have been tampered with: texts and bytes are what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A chain begins.
    Chain {
        /// The tenant; empty for HQ's own chain.
        tenant: String,
        /// Where it ends, as its head says; nothing where the head is missing.
        head: Option<Head>,
    },
    /// The next entry of the chain.
    Entry(Record),
    /// There is nothing more.
    End {
        /// How many chains there were.
        chains: u64,
        /// How many entries, of all chains together.
        entries: u64,
    },
}

/// Where a chain ends, as the head's row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Number of the last entry.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// An entry as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Number of the entry in its chain, from 1.
    pub seq: i64,
    /// When, in microseconds since the Unix epoch; nothing where the column holds no instant.
    pub at_us: Option<i64>,
    /// Who.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// The trace that it was part of.
    pub trace_id: Option<String>,
    /// The bytes that were hashed: canonical JSON.
    pub body: Vec<u8>,
    /// Hash of the entry before; 32 zero bytes for the first.
    pub prev_hash: Vec<u8>,
    /// Hash of this entry.
    pub hash: Vec<u8>,
}
