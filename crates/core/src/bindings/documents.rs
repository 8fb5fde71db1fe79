//! What is signed, hashed and carried: documents, and what is to be known of each.

use super::{Failure, Result, argument, id};
use crate::merge::{Conflict, Side, three_way};
use crate::model::{Source, load};
use crate::wire::canonical::{self, NotCanonical};
use crate::wire::{Candidate, Certificate, Chunk, ChunkRef, Fault, FaultCode, Place, PublicKey, Stage, Trust};
use crate::{Environment, Hash, Issuer, Revision, TenantId, Timestamp, build};
use serde::Serialize;
use serde_json::Value;

/// A content as it is kept: `encoding` is `raw` or `zstd`.
///
/// # Errors
/// `invalid_argument`.
pub fn chunk(encoding: &str, bytes: &[u8]) -> Result<Chunk> {
    match encoding {
        "raw" => Ok(Chunk::raw(bytes)),
        "zstd" => Ok(Chunk::zstd(bytes)),
        _ => Err(Failure::argument(format!("`encoding` is raw or zstd, not `{encoding}`"))),
    }
}

/// What a certificate says.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificateSays {
    /// Who may publish.
    pub issuer: Issuer,
    /// In which environment.
    pub environment: Environment,
    /// In which epoch.
    pub epoch: u64,
    /// The key that may sign.
    pub key_id: String,
    /// It signs nothing that was issued before this instant.
    pub valid_from: Timestamp,
    /// It signs nothing that was issued at or after this instant; nothing where that has no end.
    pub valid_until: Option<Timestamp>,
}

/// What a certificate says, verified by a root key.
///
/// # Errors
/// Whatever is wrong with it.
pub fn verify_certificate(document: &[u8], trust: &Trust) -> Result<CertificateSays> {
    let Certificate { issuer, environment, epoch, key, valid_from, valid_until } =
        Certificate::verify(document, &trust.roots)?;
    Ok(CertificateSays { issuer, environment, epoch, key_id: key.id().to_string(), valid_from, valid_until })
}

/// What a head says.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeadSays {
    /// The hash of the document.
    pub document: Hash,
    /// The key that signed it.
    pub signed_by: String,
    /// Its stream.
    pub stream: String,
    /// In which epoch it was signed.
    pub epoch: u64,
    /// The revision that it publishes.
    pub revision: Revision,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When what it names stops being fresh.
    pub expires_at: Timestamp,
    /// Its manifest.
    pub manifest: ChunkRef,
    /// Definitions that a share of engines tries.
    pub candidate: Option<Candidate>,
    /// The keys that may sign slices.
    pub slice_keys: Vec<String>,
}

/// What a head says, verified; and admitted behind the highest that was seen, where that is given.
///
/// # Errors
/// Whatever is wrong with it.
pub fn verify_head(document: &[u8], trust: &Trust, seen: Option<&[u8]>) -> Result<HeadSays> {
    let signed = trust.head(document)?;
    if let Some(seen) = seen {
        trust.head(seen)?.mark().admit(&signed)?;
    }
    let head = signed.head();
    Ok(HeadSays {
        document: Hash::of(signed.bytes()),
        signed_by: signed.signed_by().to_string(),
        stream: head.stream.to_string(),
        epoch: head.epoch,
        revision: head.revision,
        issued_at: head.issued_at,
        expires_at: head.expires_at,
        manifest: head.manifest,
        candidate: head.candidate.clone(),
        slice_keys: head.slice_keys.iter().map(|key| key.key.id().to_string()).collect(),
    })
}

/// What a slice says.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SliceSays {
    /// The tenant that it is about.
    pub tenant: TenantId,
    /// The revision that it was cut from.
    pub revision: Revision,
    /// When it stops being fresh.
    pub expires_at: Timestamp,
    /// The hash of its definitions.
    pub definitions: Hash,
    /// Its content.
    pub content: ChunkRef,
    /// How many features it has; nothing for an envelope without its content.
    pub features: Option<usize>,
}

/// What the slice of a tenant says, verified.
///
/// # Errors
/// Whatever is wrong with it.
pub fn verify_slice(document: &[u8], tenant: &str, trust: &Trust) -> Result<SliceSays> {
    let slice = trust.slice(document, &id("tenant", tenant)?)?;
    let envelope = slice.envelope();
    Ok(SliceSays {
        tenant: envelope.tenant.clone(),
        revision: slice.head().head().revision,
        expires_at: envelope.expires_at,
        definitions: envelope.definitions,
        content: envelope.content,
        features: slice.content().map(|content| content.definitions.features.len()),
    })
}

/// Where a tenant lies in the tree of its stream.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlaceSays {
    /// The node above its shard.
    pub node: u8,
    /// Its shard.
    pub shard: u8,
}

/// Where a tenant lies in the tree of its stream.
#[must_use]
pub fn place_of(tenant: &str) -> PlaceSays {
    let Place { node, shard } = Place::of(tenant);
    PlaceSays { node, shard }
}

/// A three-way merge, and what it comes to where one side is taken for every conflict.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MergeSays {
    /// What both sides agree on; what the base has where they do not.
    pub result: Value,
    /// Where both changed the same, each otherwise.
    pub conflicts: Vec<Conflict>,
    /// The result with one side's word in every conflict.
    pub resolved: Resolved,
}

/// A merge with one side's word in every conflict.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resolved {
    /// Ours.
    pub ours: Value,
    /// Theirs.
    pub theirs: Value,
}

/// Merges two changed documents over the one that both began with.
#[must_use]
pub fn merge(base: &Value, ours: &Value, theirs: &Value) -> MergeSays {
    let merge = three_way(base, ours, theirs);
    let [ours, theirs] = [Side::Ours, Side::Theirs].map(|side| merge.resolve(|_| side));
    MergeSays { result: merge.result, conflicts: merge.conflicts, resolved: Resolved { ours, theirs } }
}

/// Fails where a document is not JSON in its canonical form.
///
/// # Errors
/// `invalid_utf8`, `not_canonical`, `duplicate_key`, `nesting_too_deep`.
pub fn check_canonical(document: &[u8]) -> Result<()> {
    canonical::check(document).map_err(|flaw| {
        let code = match flaw {
            NotCanonical::Utf8(_) => FaultCode::InvalidUtf8,
            NotCanonical::Spelling(_) => FaultCode::NotCanonical,
            NotCanonical::DuplicateKey(_) => FaultCode::DuplicateKey,
            NotCanonical::TooDeep(_) => FaultCode::NestingTooDeep,
        };
        Fault::new(Stage::Parse, code, "document", flaw.to_string()).into()
    })
}

/// JSON in its canonical form, of which hashes are taken.
///
/// # Errors
/// `invalid_argument`.
pub fn canonical_form(json: &str) -> Result<String> {
    let value: Value = argument("value", json)?;
    String::from_utf8(canonical::to_vec(&value).map_err(Failure::argument)?).map_err(Failure::internal)
}

/// The id of a public key, which is 64 hexadecimal digits.
///
/// # Errors
/// Whatever is wrong with the key.
pub fn key_id(key: &str) -> Result<String> {
    Ok(key.parse::<PublicKey>()?.id().to_string())
}

/// The hash of definitions, which are one document.
///
/// # Errors
/// `invalid_definitions`.
pub fn hash_of_definitions(document: &[u8]) -> Result<String> {
    let definitions = load(&[Source { name: "definitions.json".into(), bytes: document.to_vec() }])?;
    Ok(build::definitions_hash(&definitions).map_err(Failure::argument)?.to_string())
}

/// Whether an engine is in the share of a candidate: the hash of its definitions, and how many of a thousand try it.
///
/// # Errors
/// `invalid_argument`.
pub fn is_staged(engine: &str, candidate: &str, share_permille: u32) -> Result<bool> {
    let refused = || Failure::argument("`share_permille` is an integer from 0 to 1000");
    let definitions = ChunkRef { hash: id("candidate", candidate)?, length: 0 };
    let share_permille = u16::try_from(share_permille).ok().filter(|share| *share <= 1000).ok_or_else(refused)?;
    let candidate = Candidate { definitions, share_permille };
    Ok(candidate.includes(&id("engine", engine)?))
}

/// A content, verified to be the one that is named.
///
/// # Errors
/// Whatever is wrong with it.
pub fn open_chunk(hash: &str, length: u64, encoding: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let reference = ChunkRef { hash: id("hash", hash)?, length };
    Ok(chunk(encoding, bytes)?.open(reference)?)
}
