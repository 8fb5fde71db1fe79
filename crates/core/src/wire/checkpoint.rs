//! Checkpoints: signed statements of where audit chains ended at an instant.
//!
//! A chain of hashes shows that nothing inside it was changed. That its end was cut off, or that all of it was written
//! anew, only somebody can tell who knows where it ended before: a checkpoint, kept elsewhere.

use super::canonical::{self, NoCanonicalForm};
use super::keys::{Certificate, KeyId, PublicKey, SecretKey};
use super::statement::{self, Kind, Statement};
use super::{Fault, FaultCode, MAX_CHECKPOINT_BYTES, Stage};
use crate::model::read::records;
use crate::{Environment, Hash, Issuer, TenantId, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// What a checkpoint says: where each audit chain ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// Whose chains they are.
    pub issuer: Issuer,
    /// In which environment.
    pub environment: Environment,
    /// When the chains were looked at.
    pub at: Timestamp,
    /// Every chain that had an entry: the issuer's own first, then by tenant.
    pub chains: Vec<ChainEnd>,
}

/// Where one audit chain ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainEnd {
    /// Whose chain it is; nothing for the issuer's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Number of the last entry, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

records! {
    Checkpoint => { issuer, environment, at, chains }
    ChainEnd => { tenant, seq, hash }
}

impl Checkpoint {
    /// The checkpoint as a document: the certificate of the key that signs it, then the checkpoint.
    ///
    /// Nothing is checked here: [`Trust::checkpoint`](super::Trust::checkpoint) refuses what does not fit together.
    ///
    /// # Errors
    /// A number beyond 2^53 − 1.
    pub fn sign(&self, certificate: &[u8], fleet: &SecretKey) -> Result<Vec<u8>, NoCanonicalForm> {
        let payload = canonical::to_vec(self)?;
        Ok([certificate, &statement::sign(Kind::Checkpoint, &payload, fleet)].concat())
    }

    /// Where a chain ended; nothing where it had no entry. Takes as many steps as the number of chains has digits in
    /// base 2.
    #[must_use]
    pub fn chain(&self, tenant: Option<&TenantId>) -> Option<&ChainEnd> {
        let found = self.chains.binary_search_by(|end| end.tenant.as_ref().cmp(&tenant)).ok()?;
        self.chains.get(found)
    }

    /// Reads a checkpoint whose signature has been verified.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Fault> {
        let checkpoint: Self = super::read(payload, "checkpoint")?;
        let wrong = |message: &str| Err(Fault::new(Stage::Parse, FaultCode::Malformed, "checkpoint", message));
        let ordered = checkpoint.chains.windows(2).all(|pair| match pair {
            [a, b] => a.tenant < b.tenant,
            _ => true,
        });
        if !ordered {
            return wrong("its chains are not in the order of their tenants, or one stands twice");
        }
        if checkpoint.chains.iter().any(|end| end.seq == 0) {
            return wrong("a chain ends before its first entry");
        }
        Ok(checkpoint)
    }
}

/// A checkpoint whose signature, certificate and origin have been verified. Only [`Trust`](super::Trust) makes one.
#[derive(Debug, Clone)]
pub struct SignedCheckpoint {
    pub(super) bytes: Arc<[u8]>,
    pub(super) checkpoint: Checkpoint,
    pub(super) certificate: Certificate,
    pub(super) signed_by: KeyId,
}

impl SignedCheckpoint {
    /// Verifies a document. `expect` says of issuer, environment and the part that names them whether they are followed.
    pub(crate) fn verify(
        bytes: &[u8],
        roots: &[PublicKey],
        expect: impl Fn(&Issuer, &Environment, &str) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        let fault = |code, message: String| Err(Fault::new(Stage::Verify, code, "checkpoint", message));
        if bytes.len() > MAX_CHECKPOINT_BYTES {
            return fault(FaultCode::TooLong, "it is longer than any may be".to_owned());
        }
        let (statement, rest) = Statement::first(bytes, Kind::Certificate)?;
        let certificate = Certificate::of(&statement, roots)?;
        expect(&certificate.issuer, &certificate.environment, "certificate")?;
        let (statement, rest) = Statement::first(rest, Kind::Checkpoint)?;
        if !rest.is_empty() {
            return fault(FaultCode::TooLong, "there is something behind it".to_owned());
        }
        if statement.key != certificate.key.id() {
            let message = format!("it is signed by key {}, which its certificate is not for", statement.key);
            return fault(FaultCode::UnknownKey, message);
        }
        statement.verify(&certificate.key, "checkpoint")?;
        let checkpoint = Checkpoint::read(statement.payload)?;
        expect(&checkpoint.issuer, &checkpoint.environment, "checkpoint")?;
        if !certificate.is_valid_at(checkpoint.at) {
            let message = format!("it is of {}, when its key was not certified", checkpoint.at);
            return fault(FaultCode::KeyExpired, message);
        }
        Ok(Self { bytes: bytes.into(), checkpoint, certificate, signed_by: statement.key })
    }

    /// The document as it arrived.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// What it says.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What the root key says of the key that signed it.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The fleet key that signed it.
    #[must_use]
    pub fn signed_by(&self) -> KeyId {
        self.signed_by
    }
}
