//! What was published, as whoever trusts the root key reads it.

use crate::Error;
use crate::hq::Hq;
use leasehold::Region;
use leasehold::wire::{SignedHead, Trust};
use sqlx::PgConnection;
use std::collections::BTreeMap;

/// What was published. It signs nothing and needs no fleet key; what it reads is verified.
#[derive(Debug, Clone)]
pub struct Archive {
    pub(super) hq: Hq,
    trust: Trust,
}

impl Archive {
    /// What a store holds of a publisher. The stream of `trust` has no meaning here.
    #[must_use]
    pub fn new(hq: Hq, trust: Trust) -> Self {
        Self { hq, trust }
    }

    /// The store.
    #[must_use]
    pub fn hq(&self) -> &Hq {
        &self.hq
    }

    /// Whom it believes. The stream has no meaning here.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The heads in force, each verified.
    pub(super) async fn heads(&self, connection: &mut PgConnection) -> Result<BTreeMap<Region, SignedHead>, Error> {
        let rows: Vec<(String, Vec<u8>)> =
            sqlx::query_as("SELECT stream, document FROM leasehold.sys_heads").fetch_all(connection).await?;
        let mut heads = BTreeMap::new();
        for (stream, document) in rows {
            let Ok(stream) = stream.parse::<Region>() else { continue };
            let head = self.trusted(&stream, &document)?;
            heads.insert(stream, head);
        }
        Ok(heads)
    }

    /// A head, of the past perhaps. The fleet key that signed it may have been replaced; the root key has certified it.
    pub(super) fn trusted(&self, stream: &Region, document: &[u8]) -> Result<SignedHead, Error> {
        Ok(Trust { stream: stream.clone(), ..self.trust.clone() }.head(document)?)
    }
}
