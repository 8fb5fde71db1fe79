//! Heads: small signed documents that say which manifest is the current one.

use super::canonical::{self, NoCanonicalForm};
use super::keys::{Certificate, KeyId, PublicKey, SecretKey};
use super::manifest::ChunkRef;
use super::statement::{self, Kind};
use super::{Fault, FaultCode, Stage};
use crate::model::read::records;
use crate::snapshot::Stamp;
use crate::{EngineId, Environment, Hash, Issuer, Region, Revision, Timestamp};
use serde::Serialize;
use std::sync::Arc;

/// What a head says: which manifest is the current one of a stream, and until when it may be taken for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Who publishes.
    pub issuer: Issuer,
    /// In which environment.
    pub environment: Environment,
    /// The region whose tenants it is about.
    pub stream: Region,
    /// Counted up by the root key when a fleet key was lost: an earlier epoch is over.
    pub epoch: u64,
    /// One count per issuer and environment, which only grows. A stream skips the numbers that do not concern it.
    pub revision: Revision,
    /// The manifest.
    pub manifest: ChunkRef,
    /// What an engine must understand to give the answers that are meant.
    pub semantics_version: u32,
    /// When it was signed; greater in every later head of the stream.
    pub issued_at: Timestamp,
    /// When it stops being fresh. A publisher signs it again long before, at the same revision.
    pub expires_at: Timestamp,
    /// Definitions on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// Keys that may sign slices of this stream, at most 24 hours each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slice_keys: Vec<SliceKey>,
}

/// Definitions that a share of the engines uses before all do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Candidate {
    /// The index of the definitions.
    pub definitions: ChunkRef,
    /// How many of a thousand engines use it.
    pub share_permille: u16,
}

/// A key that may sign slices, for a short time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SliceKey {
    /// The key.
    pub key: PublicKey,
    /// First instant at which it may sign.
    pub valid_from: Timestamp,
    /// First instant at which it may no longer sign, at most 24 hours later.
    pub valid_until: Timestamp,
}

records! {
    Head => {
        issuer, environment, stream, epoch, revision, manifest, semantics_version, issued_at, expires_at, candidate,
        slice_keys
    }
    Candidate => { definitions, share_permille }
    SliceKey => { key, valid_from, valid_until }
}

impl SliceKey {
    /// Longest life of a slice key: 24 hours.
    pub const LONGEST_MS: i64 = 24 * 60 * 60 * 1000;

    /// Whether the key may sign what is issued at an instant.
    #[must_use]
    pub fn is_valid_at(&self, issued_at: Timestamp) -> bool {
        self.valid_from <= issued_at && issued_at < self.valid_until
    }

    fn is_well_formed(&self) -> bool {
        let life = self.valid_until.as_ms() - self.valid_from.as_ms();
        (1..=Self::LONGEST_MS).contains(&life)
    }
}

impl Candidate {
    /// Whether an engine is in the share: whether the first eight bytes of the SHA-256 of `leasehold-stage/1`, a zero
    /// byte, the engine's id, a zero byte and the 32 bytes of the candidate's hash, as a big-endian number, leave a rest
    /// below the share when divided by 1000.
    ///
    /// An engine keeps its side for as long as the candidate is the same: raising the share only adds engines.
    #[must_use]
    pub fn includes(&self, engine: &EngineId) -> bool {
        let parts: [&[u8]; 5] =
            [b"leasehold-stage/1", b"\0", engine.as_str().as_bytes(), b"\0", self.definitions.hash.as_bytes()];
        let hash = Hash::of_parts(&parts);
        let number = hash.as_bytes().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        number % 1000 < u64::from(self.share_permille)
    }
}

impl Head {
    /// The head as a document: the certificate of the key that signs it, then the head.
    ///
    /// Nothing is checked here: [`Trust::head`](super::Trust::head) refuses what does not fit together.
    ///
    /// # Errors
    /// An epoch or a length beyond 2^53 − 1.
    pub fn sign(&self, certificate: &[u8], fleet: &SecretKey) -> Result<Vec<u8>, NoCanonicalForm> {
        let payload = canonical::to_vec(self)?;
        Ok([certificate, &statement::sign(Kind::Head, &payload, fleet)].concat())
    }

    /// What says which of two heads of a stream is the later: the epoch, then the revision.
    pub(crate) fn order(&self) -> (u64, Revision) {
        (self.epoch, self.revision)
    }

    /// What compiled snapshots carry of it.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { revision: self.revision, issued_at: self.issued_at, expires_at: Some(self.expires_at) }
    }

    /// The definitions that an engine uses: the candidate's where it is in the share.
    #[must_use]
    pub fn staged_for(&self, engine: Option<&EngineId>) -> Option<&Candidate> {
        let (candidate, engine) = (self.candidate.as_ref()?, engine?);
        candidate.includes(engine).then_some(candidate)
    }

    /// Reads a head whose signature has been verified.
    pub(super) fn read(payload: &[u8], certificate: &Certificate) -> Result<Self, Fault> {
        // What a head of a later semantics looks like is not known: that number must be told from anything else first.
        let node = canonical::parse(payload).map_err(|flaw| super::not_canonical("head", flaw))?;
        if let Some(needed) = super::integer(&node, "semantics_version")
            && needed > i64::from(super::SEMANTICS_VERSION)
        {
            let known = super::SEMANTICS_VERSION;
            let message = format!("it needs semantics version {needed}, and this engine knows {known}");
            return Err(Fault::new(Stage::Parse, FaultCode::UnsupportedSemantics, "head", message));
        }
        let head: Self = super::read_node(node, "head")?;
        head.check(certificate)?;
        Ok(head)
    }

    /// Refuses what no publisher signs on purpose.
    fn check(&self, certificate: &Certificate) -> Result<(), Fault> {
        let wrong = |message: &str| Err(Fault::new(Stage::Parse, FaultCode::Malformed, "head", message));
        if self.expires_at <= self.issued_at {
            return wrong("it expires before or when it is issued");
        }
        if self.candidate.as_ref().is_some_and(|candidate| candidate.share_permille > 1000) {
            return wrong("the candidate's share is above 1000 permille");
        }
        if self.slice_keys.iter().any(|slice| slice.key == certificate.key) {
            return wrong("its own key is among the slice keys");
        }
        if !self.slice_keys.iter().all(SliceKey::is_well_formed) {
            return wrong("a slice key lives for more than 24 hours, or not at all");
        }
        Ok(())
    }
}

/// A head whose signature, certificate and origin have been verified. Only [`Trust`](super::Trust) makes one.
#[derive(Debug, Clone)]
pub struct SignedHead {
    pub(super) bytes: Arc<[u8]>,
    pub(super) head: Head,
    pub(super) certificate: Certificate,
    pub(super) signed_by: KeyId,
}

impl SignedHead {
    /// The document as it arrived.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// What it says.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
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

    /// What later heads are compared with.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let head = &self.head;
        let candidate = head.candidate.clone();
        Mark {
            epoch: head.epoch,
            revision: head.revision,
            issued_at: head.issued_at,
            manifest: head.manifest.hash,
            candidate,
            bytes: Hash::of(&self.bytes),
        }
    }
}

/// The highest head that was seen. Nothing below it is ever accepted again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Its epoch.
    pub epoch: u64,
    /// Its revision.
    pub revision: Revision,
    /// When it was signed.
    pub issued_at: Timestamp,
    manifest: Hash,
    #[serde(skip)]
    candidate: Option<Candidate>,
    #[serde(skip)]
    bytes: Hash,
}

impl Mark {
    /// Whether both are of the same revision and content.
    pub(crate) fn same_content(&self, other: &Self) -> bool {
        (self.epoch, self.revision, self.manifest, &self.candidate)
            == (other.epoch, other.revision, other.manifest, &other.candidate)
    }

    /// Refuses a head that is older than this one, or contradicts it.
    ///
    /// # Errors
    /// `older_revision`, `revision_conflict`, `not_newer`.
    pub fn admit(&self, next: &SignedHead) -> Result<(), Fault> {
        let head = next.head();
        let fault = |code, message: String| Err(Fault::new(Stage::Verify, code, "head", message));
        let order = head.order().cmp(&(self.epoch, self.revision));
        if order.is_lt() {
            let message = format!(
                "revision {} of epoch {} is older than revision {} of epoch {}, which was seen",
                head.revision, head.epoch, self.revision, self.epoch
            );
            return fault(FaultCode::OlderRevision, message);
        }
        // An epoch ends because its key was lost: what that key said of time must not bind the next.
        let same_epoch = head.epoch == self.epoch;
        if order.is_eq() && (head.manifest.hash != self.manifest || head.candidate != self.candidate) {
            let message = format!("revision {} was seen with another content", head.revision);
            return fault(FaultCode::RevisionConflict, message);
        }
        let same = order.is_eq() && Hash::of(next.bytes()) == self.bytes;
        if same_epoch && head.issued_at <= self.issued_at && !same {
            let message = format!("it was issued at {}, and one of {} was seen", head.issued_at, self.issued_at);
            return fault(FaultCode::NotNewer, message);
        }
        Ok(())
    }
}
