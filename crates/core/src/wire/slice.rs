//! Slices: what one tenant's browser may know, signed for it alone.
//!
//! A slice is a head, an envelope and a content. The content is named by its hash, which serves as its ETag; the envelope
//! says whose it is and until when, and is renewed without the content.

use super::canonical::{self, NoCanonicalForm};
use super::head::SignedHead;
use super::keys::SecretKey;
use super::statement::{self, Kind, Statement};
use super::{ChunkRef, Fault, FaultCode, Stage};
use crate::model::read::{Reader, records};
use crate::model::{Definitions, Diagnostics, load};
use crate::snapshot::Stamp;
use crate::{FeatureKey, Hash, Region, TenantId, Timestamp};
use serde::Serialize;

/// What is signed about a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SliceEnvelope {
    /// Whose slice it is.
    pub tenant: TenantId,
    /// The content.
    pub content: ChunkRef,
    /// The definitions that the content was cut from.
    pub definitions: Hash,
    /// SHA-256 of the document of the head that it was cut at. The envelope means nothing beside another head.
    pub head: Hash,
    /// When it stops being fresh: no later than the head and the key that signs it.
    pub expires_at: Timestamp,
}

records! {
    SliceEnvelope => { tenant, content, definitions, head, expires_at }
}

impl SliceEnvelope {
    /// The envelope as a document: the head, then the envelope. A content may follow, as one line.
    ///
    /// # Errors
    /// A length beyond 2^53 − 1.
    pub fn sign(&self, head: &SignedHead, key: &SecretKey) -> Result<Vec<u8>, NoCanonicalForm> {
        let payload = canonical::to_vec(self)?;
        Ok([head.bytes(), statement::sign(Kind::Slice, &payload, key).as_slice()].concat())
    }
}

/// A verified slice: one tenant with the definitions that it needs.
#[derive(Debug)]
pub struct Slice {
    head: SignedHead,
    envelope: SliceEnvelope,
    content: Option<SliceContent>,
}

/// What a slice holds: what [`cut`](crate::build::cut) leaves of the whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceContent {
    /// The tenant, and the definitions that questions about it need.
    #[serde(flatten)]
    pub definitions: Definitions,
    /// The features that no plan and no add-on of the whole has a say in, in the order of their keys: answers call them
    /// [`STATIC`](crate::OpenFeatureReason::Static). What is left out may say something about any other.
    #[serde(rename = "static", skip_serializing_if = "Vec::is_empty")]
    pub statics: Vec<FeatureKey>,
}

impl Slice {
    pub(super) fn verify(head: SignedHead, rest: &[u8], tenant: &TenantId) -> Result<Self, Fault> {
        let fault = |code, message: String| Fault::new(Stage::Verify, code, "slice", message);
        let (statement, content) = Statement::first(rest, Kind::Slice)?;
        let key = head.head().slice_keys.iter().find(|key| key.key.id() == statement.key).ok_or_else(|| {
            fault(
                FaultCode::UnknownKey,
                format!("it is signed by key {}, which its head does not certify", statement.key),
            )
        })?;
        if !key.is_valid_at(head.head().issued_at) {
            let message = format!("its head was issued at {}, when the slice key was not valid", head.head().issued_at);
            return Err(fault(FaultCode::KeyExpired, message));
        }
        statement.verify(&key.key, "slice")?;
        let envelope: SliceEnvelope = super::read(statement.payload, "slice")?;
        if envelope.head != Hash::of(head.bytes()) {
            return Err(fault(FaultCode::HashMismatch, "it was cut at another head".to_owned()));
        }
        if envelope.expires_at > head.head().expires_at || envelope.expires_at > key.valid_until {
            return Err(fault(FaultCode::KeyExpired, "it says to outlive its head or its key".to_owned()));
        }
        if envelope.tenant != *tenant {
            let message = format!("it is about tenant `{}`, and `{tenant}` is asked for", envelope.tenant);
            return Err(fault(FaultCode::WrongTenant, message));
        }
        let content = match content.split_last() {
            None => None,
            Some((b'\n', content)) => Some(read_content(content, &envelope, &head.head().stream)?),
            Some(_) => return Err(fault(FaultCode::Truncated, "its content ends in the middle".to_owned())),
        };
        Ok(Self { head, envelope, content })
    }

    /// The head that it was cut at.
    #[must_use]
    pub fn head(&self) -> &SignedHead {
        &self.head
    }

    /// What is signed about it.
    #[must_use]
    pub fn envelope(&self) -> &SliceEnvelope {
        &self.envelope
    }

    /// What it holds; nothing in an envelope that came without content.
    #[must_use]
    pub fn content(&self) -> Option<&SliceContent> {
        self.content.as_ref()
    }

    /// What a snapshot compiled from it carries.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { expires_at: Some(self.envelope.expires_at), ..self.head.head().stamp() }
    }
}

fn read_content(content: &[u8], envelope: &SliceEnvelope, stream: &Region) -> Result<SliceContent, Fault> {
    let fault = |stage, code, message: &str| Fault::new(stage, code, "slice content", message);
    let announced = envelope.content;
    match (content.len() as u64).cmp(&announced.length) {
        std::cmp::Ordering::Less => {
            return Err(fault(Stage::Hash, FaultCode::Truncated, "it is shorter than announced"));
        }
        std::cmp::Ordering::Greater => {
            return Err(fault(Stage::Hash, FaultCode::TooLong, "it is longer than announced"));
        }
        std::cmp::Ordering::Equal => {}
    }
    if Hash::of(content) != announced.hash {
        return Err(fault(Stage::Hash, FaultCode::HashMismatch, "its bytes have another hash"));
    }
    let node = canonical::parse(content).map_err(|flaw| super::not_canonical("slice content", flaw))?;
    let mut reader = Reader::canonical_at("");
    let mut definitions = Definitions::default();
    let statics = load::read_slice(node, &mut reader, &mut definitions).unwrap_or_default();
    Diagnostics::refuse_if_any(reader.found).map_err(|found| Fault::invalid(Stage::Parse, "slice content", found))?;
    let mut tenants = definitions.tenants.iter();
    match (tenants.next(), tenants.next()) {
        (Some((id, tenant)), None) if *id == envelope.tenant && tenant.region == *stream => {
            Ok(SliceContent { definitions, statics })
        }
        _ => Err(fault(Stage::Parse, FaultCode::MisplacedTenant, "it holds not just the tenant that it is about")),
    }
}
