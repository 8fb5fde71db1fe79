//! What is signed, hashed and carried: documents, and what is to be known of each.

use crate::failure::{Failure, answer, argument, document, id};
use leasehold::Hash;
use leasehold::build::definitions_hash;
use leasehold::merge::{Side, three_way};
use leasehold::model::{Source, load};
use leasehold::wire::canonical::{self, NotCanonical};
use leasehold::wire::{Candidate, Certificate, Chunk, ChunkRef, Fault, FaultCode, Place, PublicKey, Stage, Trust};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;
use serde_json::{Value, json};

/// Fails where a document is not JSON in its canonical form.
#[napi]
pub fn check_canonical(bytes: Uint8Array) -> napi::Result<()> {
    answer(|| {
        canonical::check(&bytes).map_err(|flaw| {
            let code = match flaw {
                NotCanonical::Utf8(_) => FaultCode::InvalidUtf8,
                NotCanonical::Spelling(_) => FaultCode::NotCanonical,
                NotCanonical::DuplicateKey(_) => FaultCode::DuplicateKey,
                NotCanonical::TooDeep(_) => FaultCode::NestingTooDeep,
            };
            Failure::from(Fault::new(Stage::Parse, code, "document", flaw.to_string()))
        })
    })
}

/// JSON in its canonical form.
#[napi]
pub fn canonical_form(json: String) -> napi::Result<String> {
    answer(|| {
        let value: Value = argument("json", &json)?;
        let bytes = canonical::to_vec(&value).map_err(Failure::argument)?;
        String::from_utf8(bytes).map_err(Failure::argument)
    })
}

/// The SHA-256 of bytes, in hexadecimal digits.
#[napi]
pub fn hash_of(bytes: Uint8Array) -> String {
    Hash::of(&bytes).to_string()
}

/// Where a tenant lies in the tree of its stream.
#[napi]
pub fn place_of(tenant: String) -> napi::Result<String> {
    document(|| {
        let Place { node, shard } = Place::of(&tenant);
        Ok(json!({ "node": node, "shard": shard }))
    })
}

/// The id of a public key.
#[napi]
pub fn key_id(key: String) -> napi::Result<String> {
    document(|| Ok(key.parse::<PublicKey>()?.id()))
}

/// The hash of definitions, which are one file.
#[napi]
pub fn hash_of_definitions(file: Uint8Array) -> napi::Result<String> {
    document(|| {
        let definitions = load(&[Source { name: "definitions.json".into(), bytes: file.to_vec() }])?;
        definitions_hash(&definitions).map_err(Failure::argument)
    })
}

/// Whether an engine is in the share of a candidate.
#[napi]
pub fn is_staged(engine: String, candidate: String, share_permille: u32) -> napi::Result<bool> {
    answer(|| {
        let refused = || Failure::argument("`share_permille` is an integer from 0 to 1000");
        let definitions = ChunkRef { hash: id("candidate", &candidate)?, length: 0 };
        let share_permille = u16::try_from(share_permille).ok().filter(|share| *share <= 1000).ok_or_else(refused)?;
        let candidate = Candidate { definitions, share_permille };
        Ok(candidate.includes(&id("engine", &engine)?))
    })
}

fn trusted(trust: &str) -> Result<Trust, Failure> {
    Ok(Trust::from_json(trust.as_bytes())?)
}

/// What a certificate says, verified.
#[napi]
pub fn verify_certificate(bytes: Uint8Array, trust: String) -> napi::Result<String> {
    document(|| {
        let certificate = Certificate::verify(&bytes, &trusted(&trust)?.roots)?;
        Ok(json!({
            "issuer": certificate.issuer,
            "environment": certificate.environment,
            "epoch": certificate.epoch,
            "key_id": certificate.key.id(),
            "valid_from": certificate.valid_from,
            "valid_until": certificate.valid_until,
        }))
    })
}

/// What a head says, verified, and admitted behind the highest that was seen.
#[napi]
pub fn verify_head(bytes: Uint8Array, trust: String, seen: Option<Uint8Array>) -> napi::Result<String> {
    document(|| {
        let trust = trusted(&trust)?;
        let signed = trust.head(&bytes)?;
        if let Some(seen) = seen {
            trust.head(&seen)?.mark().admit(&signed)?;
        }
        let head = signed.head();
        Ok(json!({
            "document": Hash::of(signed.bytes()),
            "signed_by": signed.signed_by(),
            "stream": head.stream,
            "epoch": head.epoch,
            "revision": head.revision,
            "issued_at": head.issued_at,
            "expires_at": head.expires_at,
            "manifest": head.manifest,
            "candidate": head.candidate,
            "slice_keys": head.slice_keys.iter().map(|key| key.key.id()).collect::<Vec<_>>(),
        }))
    })
}

/// What a slice about a tenant says, verified.
#[napi]
pub fn verify_slice(bytes: Uint8Array, tenant: String, trust: String) -> napi::Result<String> {
    document(|| {
        let slice = trusted(&trust)?.slice(&bytes, &id("tenant", &tenant)?)?;
        let envelope = slice.envelope();
        Ok(json!({
            "tenant": envelope.tenant,
            "revision": slice.head().head().revision,
            "expires_at": envelope.expires_at,
            "definitions": envelope.definitions,
            "content": envelope.content,
            "features": slice.definitions().map(|definitions| definitions.features.len()),
        }))
    })
}

/// A content as it is kept.
pub(crate) fn chunk(encoding: &str, bytes: &[u8]) -> Result<Chunk, Failure> {
    match encoding {
        "raw" => Ok(Chunk::raw(bytes)),
        "zstd" => Ok(Chunk::zstd(bytes)),
        _ => Err(Failure::argument(format!("`encoding` is raw or zstd, not `{encoding}`"))),
    }
}

/// A content, verified to be the one that is named.
#[napi]
pub fn open_chunk(hash: String, length: f64, encoding: String, bytes: Uint8Array) -> napi::Result<Uint8Array> {
    answer(|| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of floats saturates")]
        let reference = ChunkRef { hash: id("hash", &hash)?, length: length as u64 };
        Ok(chunk(&encoding, &bytes)?.open(reference)?.into())
    })
}

/// A three-way merge, and what it comes to where one side is taken for every conflict.
#[napi]
pub fn merge(base: String, ours: String, theirs: String) -> napi::Result<String> {
    document(|| {
        let merge = three_way(&argument("base", &base)?, &argument("ours", &ours)?, &argument("theirs", &theirs)?);
        let [ours, theirs] = [Side::Ours, Side::Theirs].map(|side| merge.resolve(|_| side));
        let resolved = json!({ "ours": ours, "theirs": theirs });
        Ok(json!({ "result": merge.result, "conflicts": merge.conflicts, "resolved": resolved }))
    })
}
