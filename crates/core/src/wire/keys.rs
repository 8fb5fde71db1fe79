//! Keys, and what the root key says of a fleet key.

use super::canonical::{self, NoCanonicalForm};
use super::statement::{self, Kind, Statement};
use super::{Fault, FaultCode, Stage};
use crate::hash::{from_hex, to_hex};
use crate::model::DiagnosticCode;
use crate::model::read::{Node, Read, Reader, records};
use crate::{Environment, Hash, Issuer, Timestamp};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr};

/// What tells a key from others: the first eight bytes of the SHA-256 of its public half, as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&to_hex(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        from_hex(text).map(Self).ok_or_else(|| malformed("key id", "a key id is 16 lowercase hexadecimal digits"))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The public half of an Ed25519 key pair (RFC 8032). Written as 64 lowercase hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// What tells this key from others.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut id = [0; 8];
        for (to, from) in id.iter_mut().zip(Hash::of(self.0.as_bytes()).as_bytes()) {
            *to = *from;
        }
        KeyId(id)
    }

    /// Whether this key signed these bytes.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&to_hex(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        let key = from_hex(text).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).filter(|key| !key.is_weak());
        key.map(Self).ok_or_else(|| {
            malformed("public key", "a public key is 64 lowercase hexadecimal digits, a point of the curve")
        })
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for PublicKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PublicKey".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "The public half of an Ed25519 key pair, as 64 hexadecimal digits."
        })
    }
}

impl<'a> Read<'a> for PublicKey {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let text = reader.string(node)?;
        match text.parse::<Self>() {
            Ok(key) => Some(key),
            Err(error) => {
                reader.note(DiagnosticCode::InvalidKey, error.to_string(), "write a public key");
                None
            }
        }
    }
}

/// The secret half of an Ed25519 key pair. It shows itself to nobody: neither `Debug` nor `Display` print it.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A key made of 32 random bytes, which the caller gets from a source fit for keys.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// A key from what [`Self::to_hex`] gave.
    ///
    /// # Errors
    /// `malformed` where the text is not 64 lowercase hexadecimal digits. The text is not repeated in the error.
    pub fn from_hex(text: &str) -> Result<Self, Fault> {
        let seed =
            from_hex(text).ok_or_else(|| malformed("secret key", "a secret key is 64 lowercase hexadecimal digits"))?;
        Ok(Self::from_seed(&seed))
    }

    /// The secret, as 64 hexadecimal digits, to be kept where nobody reads it.
    #[must_use]
    pub fn to_hex(&self) -> String {
        to_hex(self.0.as_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

fn malformed(item: &str, message: &str) -> Fault {
    Fault::new(Stage::Parse, FaultCode::Malformed, item, message)
}

/// The root key's word that a fleet key may sign heads of one issuer and environment, in one epoch.
///
/// An epoch ends when a fleet key was lost to somebody else: the root certifies another key with the next epoch, and
/// engines that have seen it take nothing from the last one any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Who may publish.
    pub issuer: Issuer,
    /// In which environment.
    pub environment: Environment,
    /// In which epoch; heads say the same one.
    pub epoch: u64,
    /// The fleet key.
    pub key: PublicKey,
    /// The key signs nothing that was issued before this instant.
    pub valid_from: Timestamp,
    /// The key signs nothing that was issued at or after this instant; without it, until the epoch ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

records! {
    Certificate => { issuer, environment, epoch, key, valid_from, valid_until }
}

impl Certificate {
    /// The certificate as a signed document.
    ///
    /// # Errors
    /// An epoch beyond 2^53 − 1.
    pub fn sign(&self, root: &SecretKey) -> Result<Vec<u8>, NoCanonicalForm> {
        Ok(statement::sign(Kind::Certificate, &canonical::to_vec(self)?, root))
    }

    /// Verifies a certificate that stands alone.
    ///
    /// # Errors
    /// `unknown_key` where none of the root keys signed it, and what a malformed document comes to.
    pub fn verify(bytes: &[u8], roots: &[PublicKey]) -> Result<Self, Fault> {
        let (statement, rest) = Statement::first(bytes, Kind::Certificate)?;
        if !rest.is_empty() {
            return Err(Fault::new(Stage::Verify, FaultCode::TooLong, "certificate", "there is something behind it"));
        }
        Self::of(&statement, roots)
    }

    pub(crate) fn of(statement: &Statement<'_>, roots: &[PublicKey]) -> Result<Self, Fault> {
        let root = roots.iter().find(|root| root.id() == statement.key).ok_or_else(|| {
            let message = format!("it is signed by key {}, which is none of the root keys", statement.key);
            Fault::new(Stage::Verify, FaultCode::UnknownKey, "certificate", message)
        })?;
        statement.verify(root, "certificate")?;
        super::read(statement.payload, "certificate")
    }

    /// Whether the key may sign what is issued at an instant.
    #[must_use]
    pub fn is_valid_at(&self, issued_at: Timestamp) -> bool {
        self.valid_from <= issued_at && self.valid_until.is_none_or(|until| issued_at < until)
    }
}
