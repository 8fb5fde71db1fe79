//! Signing what is published: the next head of a stream.

use crate::wire::canonical::NoCanonicalForm;
use crate::wire::{
    Candidate, Certificate, ChainEnd, Checkpoint, ChunkRef, Fault, FaultCode, Head, PublicKey, SEMANTICS_VERSION,
    SecretKey, SignedCheckpoint, SignedHead, SliceEnvelope, SliceKey, Stage, Trust,
};
use crate::{Hash, Region, Revision, TenantId, Timestamp};
use std::cmp::Reverse;

/// The publisher's pen: a fleet key, and the root key's word for it.
#[derive(Debug, Clone)]
pub struct Signer {
    fleet: SecretKey,
    certificate: Certificate,
    document: Vec<u8>,
    roots: Vec<PublicKey>,
}

/// Until when a head is fresh, when it is signed, and which slice keys it certifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// When it is signed. Where the last head of the stream is no older, a millisecond after that one.
    pub issued_at: Timestamp,
    /// How long it is fresh, in milliseconds.
    pub fresh_for_ms: i64,
    /// Slice keys that it certifies beside those of the last head that are still valid: the first
    /// [`MOST_SLICE_KEYS`](Self::MOST_SLICE_KEYS) of them.
    pub slice_keys: Vec<SliceKey>,
}

impl Terms {
    /// How many slice keys a head certifies at the most, so that it stays small. A server takes one every 12 hours that is
    /// good for 24: there is room for 16 servers.
    pub const MOST_SLICE_KEYS: usize = 32;
}

impl Signer {
    /// A fleet key with its certificate, as a signed document.
    ///
    /// # Errors
    /// What [`Certificate::verify`] refuses; `unknown_key` where the certificate is for another key.
    pub fn new(fleet: SecretKey, certificate: Vec<u8>, roots: Vec<PublicKey>) -> Result<Self, Fault> {
        let document = certificate;
        let certificate = Certificate::verify(&document, &roots)?;
        if certificate.key != fleet.public() {
            let (named, given) = (certificate.key.id(), fleet.public().id());
            let message = format!("it is for key {named}, and the fleet key is {given}");
            return Err(Fault::new(Stage::Verify, FaultCode::UnknownKey, "certificate", message));
        }
        Ok(Self { fleet, certificate, document, roots })
    }

    /// What the root key says of the fleet key.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Whom an engine that follows a stream of this publisher believes.
    #[must_use]
    pub fn trust(&self, stream: Region) -> Trust {
        let Certificate { issuer, environment, .. } = self.certificate.clone();
        Trust { issuer, environment, stream, roots: self.roots.clone() }
    }

    /// Signs the next head of a stream: a heartbeat where `revision` and content are those of the last head.
    ///
    /// # Errors
    /// `malformed` where the head is fresh for no time; `key_expired` where the fleet key is not certified for the instant,
    /// or for an epoch before the last head's.
    pub fn sign(
        &self,
        stream: &Region,
        last: Option<&SignedHead>,
        content: (Revision, ChunkRef, Option<Candidate>),
        terms: &Terms,
    ) -> Result<SignedHead, Fault> {
        let (revision, manifest, candidate) = content;
        let mut issued_at = terms.issued_at;
        let mut slice_keys = terms.slice_keys.clone();
        slice_keys.truncate(Terms::MOST_SLICE_KEYS);
        if let Some(last) = last.map(SignedHead::head) {
            if last.epoch > self.certificate.epoch {
                let (over, current) = (self.certificate.epoch, last.epoch);
                let message = format!("it is for epoch {over}, and epoch {current} has begun");
                return Err(Fault::new(Stage::Verify, FaultCode::KeyExpired, "certificate", message));
            }
            // Whoever had the key of the last epoch may have certified slice keys of their own, at any time.
            if last.epoch == self.certificate.epoch {
                let next = Timestamp::from_ms(last.issued_at.as_ms() + 1).unwrap_or(Timestamp::MAX);
                issued_at = issued_at.max(next);
                let is_new = |key: &&SliceKey| slice_keys.iter().all(|new| new.key != key.key);
                let kept = last.slice_keys.iter().filter(|key| key.valid_until > issued_at).filter(is_new);
                let mut kept: Vec<(usize, &SliceKey)> = kept.enumerate().collect();
                // Where there are too many, those that end first make room for new ones.
                kept.sort_by_key(|(_, key)| Reverse(key.valid_until));
                kept.truncate(Terms::MOST_SLICE_KEYS - slice_keys.len());
                kept.sort_by_key(|(at, _)| *at);
                let kept: Vec<SliceKey> = kept.into_iter().map(|(_, key)| key.clone()).collect();
                slice_keys.splice(0..0, kept);
            }
        }
        // What is fresh for longer than there is time is fresh to the end of it; what is fresh for no time is refused.
        let fresh_for_ms = terms.fresh_for_ms.max(0);
        let expires_at = Timestamp::from_ms(issued_at.as_ms().saturating_add(fresh_for_ms));
        let head = Head {
            issuer: self.certificate.issuer.clone(),
            environment: self.certificate.environment.clone(),
            stream: stream.clone(),
            epoch: self.certificate.epoch,
            revision,
            manifest,
            semantics_version: SEMANTICS_VERSION,
            issued_at,
            expires_at: expires_at.unwrap_or(Timestamp::MAX),
            candidate,
            slice_keys,
        };
        // What the engines would refuse is not published.
        let document = head.sign(&self.document, &self.fleet).map_err(|error| malformed("head", &error))?;
        let signed = self.trust(stream.clone()).head(&document)?;
        last.map_or(Ok(()), |last| last.mark().admit(&signed))?;
        Ok(signed)
    }

    /// Signs where audit chains ended at an instant. They come in any order.
    ///
    /// # Errors
    /// `malformed` where a chain stands twice or has no entry; `key_expired` where the fleet key is not certified for the
    /// instant; `too_long` where there are too many chains.
    pub fn checkpoint(&self, at: Timestamp, mut chains: Vec<ChainEnd>) -> Result<SignedCheckpoint, Fault> {
        chains.sort_by(|a, b| a.tenant.cmp(&b.tenant));
        let Certificate { issuer, environment, .. } = self.certificate.clone();
        let checkpoint = Checkpoint { issuer, environment, at, chains };
        let document = checkpoint.sign(&self.document, &self.fleet).map_err(|error| malformed("checkpoint", &error))?;
        // What nobody would believe is not signed; and it is of this publisher, whoever that is.
        SignedCheckpoint::verify(&document, &self.roots, |issuer, environment, item| {
            let Certificate { issuer: own, environment: within, .. } = &self.certificate;
            if issuer == own && environment == within {
                return Ok(());
            }
            let message = "it is of another issuer or environment than its certificate";
            Err(Fault::new(Stage::Verify, FaultCode::WrongIssuer, item, message))
        })
    }
}

fn malformed(item: &str, error: &NoCanonicalForm) -> Fault {
    Fault::new(Stage::Parse, FaultCode::Malformed, item, error.to_string())
}

/// Signs a slice: the head that it was cut at, its envelope, its content.
///
/// The envelope alone, for whom the content has not changed, is what stands before the last line.
///
/// # Errors
/// `unknown_key` where the head does not certify the slice key, `key_expired` where it was not valid when the head was
/// issued.
pub fn sign_slice(
    head: &SignedHead,
    tenant: &TenantId,
    definitions: Hash,
    content: &[u8],
    key: &SecretKey,
) -> Result<Vec<u8>, Fault> {
    let fault = |code, message: String| Fault::new(Stage::Verify, code, "slice", message);
    let id = key.public().id();
    let certified = head.head().slice_keys.iter().find(|certified| certified.key.id() == id);
    let certified =
        certified.ok_or_else(|| fault(FaultCode::UnknownKey, format!("the head certifies no slice key {id}")))?;
    if !certified.is_valid_at(head.head().issued_at) {
        let (from, until) = (certified.valid_from, certified.valid_until);
        return Err(fault(FaultCode::KeyExpired, format!("slice key {id} is valid from {from} until {until}")));
    }
    let envelope = SliceEnvelope {
        tenant: tenant.clone(),
        content: ChunkRef::to(content),
        definitions,
        head: Hash::of(head.bytes()),
        expires_at: head.head().expires_at.min(certified.valid_until),
    };
    let mut document = envelope.sign(head, key).map_err(|error| malformed("slice", &error))?;
    document.extend_from_slice(content);
    document.push(b'\n');
    Ok(document)
}
