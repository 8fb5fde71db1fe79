//! What can be wrong with what arrives.

use crate::model::words::words;
use crate::model::{
    DiagnosticCode, Diagnostics,
    read::{Node, Read, Reader},
};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::fmt;

words! {
    /// How far something got before it was refused.
    Stage as "FaultStage" {
        /// On its way here.
        Download = "download",
        /// Checking who signed it, over the raw bytes.
        Verify = "verify",
        /// Comparing contents with the hashes that name them.
        Hash = "hash",
        /// Reading it.
        Parse = "parse",
        /// Compiling it.
        Compile = "compile",
        /// Keeping it for the next start.
        Persist = "persist",
    }

    /// What is wrong. The codes are stable: scripts, bindings and HTTP problems carry them.
    FaultCode {
        /// The source cannot be reached, or says no.
        Unreachable = "unreachable",
        /// Nothing came within the time allowed.
        TimedOut = "timed_out",
        /// A content that is named and not there.
        MissingChunk = "missing_chunk",
        /// A content that nothing names.
        UnexpectedChunk = "unexpected_chunk",
        /// Fewer bytes than announced.
        Truncated = "truncated",
        /// More bytes than announced or allowed.
        TooLong = "too_long",
        /// Compressed bytes that come to more than announced.
        CompressionBomb = "compression_bomb",
        /// Bytes that no compressor made.
        InvalidCompression = "invalid_compression",
        /// A content with another hash than its name says.
        HashMismatch = "hash_mismatch",
        /// A document of another sort than is expected here.
        WrongDocument = "wrong_document",
        /// A format that this engine does not know.
        UnknownFormat = "unknown_format",
        /// A document that lacks a part, or has one too many.
        Malformed = "malformed",
        /// The signature is not one of these bytes by this key.
        BadSignature = "bad_signature",
        /// Signed by a key that nothing trusted certifies.
        UnknownKey = "unknown_key",
        /// Signed by a slice key where a fleet key must sign.
        SliceKey = "slice_key",
        /// Signed outside the time for which the key is certified.
        KeyExpired = "key_expired",
        /// From another issuer.
        WrongIssuer = "wrong_issuer",
        /// From another environment.
        WrongEnvironment = "wrong_environment",
        /// Of another stream.
        WrongStream = "wrong_stream",
        /// About another tenant.
        WrongTenant = "wrong_tenant",
        /// Of an epoch or revision below what was seen.
        OlderRevision = "older_revision",
        /// Of the revision that was seen, with another content.
        RevisionConflict = "revision_conflict",
        /// Issued no later than what was seen.
        NotNewer = "not_newer",
        /// Means something that this engine does not know yet.
        UnsupportedSemantics = "unsupported_semantics",
        /// Not UTF-8.
        InvalidUtf8 = "invalid_utf8",
        /// Not JSON in its one canonical form.
        NotCanonical = "not_canonical",
        /// A key stands twice in one object.
        DuplicateKey = "duplicate_key",
        /// Nested more than 127 deep.
        NestingTooDeep = "nesting_too_deep",
        /// A tenant that belongs in another shard or region.
        MisplacedTenant = "misplaced_tenant",
        /// Definitions or tenants with mistakes in them.
        InvalidDefinitions = "invalid_definitions",
        /// It could not be written down: after a restart the engine begins with an older snapshot.
        NotPersisted = "not_persisted",
        /// What was written down cannot be read.
        NotRestored = "not_restored",
        /// Before the beginning of what is kept.
        OutsideHistory = "outside_history",
    }
}

/// Why something that arrived was refused. The snapshot that runs stays.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    stage: Stage,
    code: FaultCode,
    item: String,
    message: String,
    diagnostics: Option<Diagnostics>,
}

impl Fault {
    /// A fault in what a carrier or publisher of its own found: at which stage, of which sort, on which item, and in words.
    pub fn new(stage: Stage, code: FaultCode, item: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { stage, code, item: item.into(), message: message.into(), diagnostics: None }))
    }

    /// Authoring mistakes in what arrived.
    pub(crate) fn invalid(stage: Stage, item: impl Into<String>, diagnostics: Diagnostics) -> Self {
        let first = diagnostics.as_slice().first();
        let duplicate = first.is_some_and(|one| one.code == DiagnosticCode::DuplicateKey);
        let code = if duplicate { FaultCode::DuplicateKey } else { FaultCode::InvalidDefinitions };
        let mut fault = Self::new(stage, code, item, diagnostics.to_string());
        fault.0.diagnostics = Some(diagnostics);
        fault
    }

    /// How far it got.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.0.stage
    }

    /// What is wrong, as a stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code.as_str()
    }

    /// What is wrong.
    #[must_use]
    pub fn fault_code(&self) -> FaultCode {
        self.0.code
    }

    /// What it is wrong with: a document, or a content by its hash.
    #[must_use]
    pub fn item(&self) -> &str {
        &self.0.item
    }

    /// The mistakes in definitions, where that is what is wrong.
    #[must_use]
    pub fn diagnostics(&self) -> Option<&Diagnostics> {
        self.0.diagnostics.as_ref()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.item, self.0.message)
    }
}

impl std::error::Error for Fault {}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Fault", 4)?;
        fields.serialize_field("stage", &self.0.stage)?;
        fields.serialize_field("code", &self.0.code)?;
        fields.serialize_field("item", &self.0.item)?;
        fields.serialize_field("message", &self.0.message)?;
        fields.end()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Fault {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fault".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let (stage, code) = (generator.subschema_for::<Stage>(), generator.subschema_for::<FaultCode>());
        schemars::json_schema!({
            "type": "object",
            "description": "Why something that arrived was refused. The snapshot that runs stays.",
            "properties": {
                "stage": stage,
                "code": code,
                "item": { "type": "string", "description": "What is wrong: a document, or a content by its hash." },
                "message": { "type": "string", "description": "What is wrong with it, in words." }
            },
            "required": ["stage", "code", "item", "message"]
        })
    }
}
