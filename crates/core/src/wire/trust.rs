//! Whom an engine believes.

use super::checkpoint::SignedCheckpoint;
use super::head::{Head, SignedHead};
use super::keys::{Certificate, PublicKey};
use super::slice::Slice;
use super::statement::{Kind, Statement};
use super::{Fault, FaultCode, MAX_CHUNK_BYTES, MAX_HEAD_BYTES, Stage};
use crate::model::Diagnostics;
use crate::model::read::{Node, Read, Reader, records};
use crate::{Environment, Issuer, Region, TenantId};
use serde::Serialize;

/// Whom an engine believes, and about what: root keys, and the one issuer, environment and stream that it follows.
///
/// It comes with the engine's configuration, never with what it is used to verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Trust {
    /// Who publishes.
    pub issuer: Issuer,
    /// In which environment.
    pub environment: Environment,
    /// The region whose tenants the engine answers for.
    pub stream: Region,
    /// Keys that may certify fleet keys. More than one while a root key is replaced.
    pub roots: Vec<PublicKey>,
}

records! {
    Trust => { issuer, environment, stream, roots }
}

impl Trust {
    /// Reads trust from JSON: `{"issuer", "environment", "stream", "roots": ["64 hexadecimal digits"]}`.
    ///
    /// # Errors
    /// `malformed`, with every mistake.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Fault> {
        let malformed = |message: String| Fault::new(Stage::Parse, FaultCode::Malformed, "trust", message);
        // As text, as everything else that `serde_json` reads: bytes would be a second reader in what pages load.
        let text = std::str::from_utf8(bytes).map_err(|error| malformed(format!("it is not JSON: {error}")))?;
        let node: Node<'_> =
            serde_json::from_str(text).map_err(|error| malformed(format!("it is not JSON: {error}")))?;
        let mut reader = Reader::default();
        let trust = Self::read(node, &mut reader);
        Diagnostics::refuse_if_any(reader.found).map_err(|found| malformed(super::listed(&found)))?;
        trust.filter(|trust| !trust.roots.is_empty()).ok_or_else(|| malformed("it names no root key".to_owned()))
    }

    /// Verifies a head: its certificate by a root key, its signature by the key that the certificate is for, then what
    /// it says of itself. Nothing is parsed before its signature has been verified.
    ///
    /// Whether it is newer than what was seen before is [`Mark::admit`](super::Mark::admit)'s question.
    ///
    /// # Errors
    /// `too_long`, `truncated`, `wrong_document`, `unknown_format`, `unknown_key`, `bad_signature`,
    /// `key_expired`, `wrong_issuer`, `wrong_environment`, `wrong_stream`, `unsupported_semantics`, `malformed`, and what
    /// canonical JSON must not be.
    pub fn head(&self, bytes: &[u8]) -> Result<SignedHead, Fault> {
        self.head_after(bytes, None)
    }

    /// The same, where one is in force: what its slice keys sign is no head, and its certificate need not be verified
    /// again.
    pub(crate) fn head_after(&self, bytes: &[u8], last: Option<&SignedHead>) -> Result<SignedHead, Fault> {
        let (head, rest) = self.leading_head(bytes, last)?;
        match Statement::first(rest, Kind::Slice) {
            _ if rest.is_empty() => Ok(head),
            Ok(_) => Err(verify(FaultCode::WrongDocument, "a head is expected, and this is a slice")),
            Err(_) => Err(verify(FaultCode::TooLong, "there is something behind it")),
        }
    }

    /// Verifies a slice about one tenant, envelope and content.
    ///
    /// # Errors
    /// What [`Self::head`] refuses; `wrong_tenant`, `hash_mismatch`, and what the content of a slice must not be.
    pub fn slice(&self, bytes: &[u8], tenant: &TenantId) -> Result<Slice, Fault> {
        if bytes.len() as u64 > MAX_CHUNK_BYTES {
            return Err(verify(FaultCode::TooLong, "the slice is longer than any may be"));
        }
        let (head, rest) = self.leading_head(bytes, None)?;
        Slice::verify(head, rest, tenant)
    }

    /// Verifies a checkpoint: its certificate by a root key, its signature by the key that the certificate is for, then
    /// what it says of itself. The stream plays no part: a checkpoint is about all chains of an issuer.
    ///
    /// # Errors
    /// What [`Self::head`] refuses, but for what is about streams, epochs and semantics.
    pub fn checkpoint(&self, bytes: &[u8]) -> Result<SignedCheckpoint, Fault> {
        SignedCheckpoint::verify(bytes, &self.roots, |issuer, environment, item| self.expect(issuer, environment, item))
    }

    /// Verifies the head that a document begins with; gives what stands behind it too.
    fn leading_head<'b>(&self, bytes: &'b [u8], last: Option<&SignedHead>) -> Result<(SignedHead, &'b [u8]), Fault> {
        let (statement, rest) = Statement::first(bytes, Kind::Certificate)?;
        let length = bytes.len() - rest.len();
        let known =
            last.filter(|last| bytes.get(..length).is_some_and(|certificate| last.bytes.starts_with(certificate)));
        let certificate =
            known.map_or_else(|| Certificate::of(&statement, &self.roots), |last| Ok(last.certificate.clone()))?;
        self.expect(&certificate.issuer, &certificate.environment, "certificate")?;
        let (statement, rest) = Statement::first(rest, Kind::Head)?;
        let document = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
        if document.len() > MAX_HEAD_BYTES {
            return Err(verify(FaultCode::TooLong, "the head is longer than any may be"));
        }
        // A slice key stays one, whatever a root key was made to sign.
        let mut slice_keys = last.into_iter().flat_map(|last| &last.head.slice_keys);
        if slice_keys.any(|key| key.key.id() == statement.key) {
            let message = format!("it is signed by key {}, which may sign slices only", statement.key);
            return Err(verify(FaultCode::SliceKey, message));
        }
        if statement.key != certificate.key.id() {
            let message = format!("it is signed by key {}, which its certificate is not for", statement.key);
            return Err(verify(FaultCode::UnknownKey, message));
        }
        statement.verify(&certificate.key, "head")?;
        let head = Head::read(statement.payload, &certificate)?;
        self.expect(&head.issuer, &head.environment, "head")?;
        if head.stream != self.stream {
            let message = format!("it is of stream `{}`, and `{}` is followed", head.stream, self.stream);
            return Err(verify(FaultCode::WrongStream, message));
        }
        if head.epoch != certificate.epoch {
            let message = format!("it is of epoch {}, and its key may sign epoch {}", head.epoch, certificate.epoch);
            return Err(verify(FaultCode::UnknownKey, message));
        }
        if !certificate.is_valid_at(head.issued_at) {
            let message = format!("it was issued at {}, when its key was not certified", head.issued_at);
            return Err(verify(FaultCode::KeyExpired, message));
        }
        let signed_by = statement.key;
        Ok((SignedHead { bytes: document.into(), head, certificate, signed_by }, rest))
    }

    fn expect(&self, issuer: &Issuer, environment: &Environment, item: &str) -> Result<(), Fault> {
        let fault = |code, message: String| Err(Fault::new(Stage::Verify, code, item, message));
        if *issuer != self.issuer {
            return fault(
                FaultCode::WrongIssuer,
                format!("it is of issuer `{issuer}`, and `{}` is trusted", self.issuer),
            );
        }
        if *environment != self.environment {
            let message = format!("it is of environment `{environment}`, and `{}` is followed", self.environment);
            return fault(FaultCode::WrongEnvironment, message);
        }
        Ok(())
    }
}

fn verify(code: FaultCode, message: impl Into<String>) -> Fault {
    Fault::new(Stage::Verify, code, "head", message)
}
