//! What is signed, hashed and carried: documents, and what is to be known of each.

use crate::failure::{answer, document};
use leasehold::bindings::{self, Result, argument};
use leasehold::{Hash, wire::Trust};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

fn trusted(trust: &str) -> Result<Trust> {
    Ok(Trust::from_json(trust.as_bytes())?)
}

/// Fails where a document is not JSON in its canonical form.
#[napi]
pub fn check_canonical(bytes: Uint8Array) -> napi::Result<()> {
    answer(|| bindings::check_canonical(&bytes))
}

/// JSON in its canonical form.
#[napi]
pub fn canonical_form(json: String) -> napi::Result<String> {
    answer(|| bindings::canonical_form(&json))
}

/// The SHA-256 of bytes, in hexadecimal digits.
#[napi]
pub fn hash_of(bytes: Uint8Array) -> napi::Result<String> {
    answer(|| Ok(Hash::of(&bytes).to_string()))
}

/// Where a tenant lies in the tree of its stream.
#[napi]
pub fn place_of(tenant: String) -> napi::Result<String> {
    document(|| Ok(bindings::place_of(&tenant)))
}

/// The id of a public key.
#[napi]
pub fn key_id(key: String) -> napi::Result<String> {
    document(|| bindings::key_id(&key))
}

/// The hash of definitions, which are one file.
#[napi]
pub fn hash_of_definitions(file: Uint8Array) -> napi::Result<String> {
    document(|| bindings::hash_of_definitions(&file))
}

/// Whether an engine is in the share of a candidate.
#[napi]
pub fn is_staged(engine: String, candidate: String, share_permille: u32) -> napi::Result<bool> {
    answer(|| bindings::is_staged(&engine, &candidate, share_permille))
}

/// What a certificate says, verified.
#[napi]
pub fn verify_certificate(bytes: Uint8Array, trust: String) -> napi::Result<String> {
    document(|| bindings::verify_certificate(&bytes, &trusted(&trust)?))
}

/// What a head says, verified, and admitted behind the highest that was seen.
#[napi]
pub fn verify_head(bytes: Uint8Array, trust: String, seen: Option<Uint8Array>) -> napi::Result<String> {
    document(|| bindings::verify_head(&bytes, &trusted(&trust)?, seen.as_deref()))
}

/// What a slice about a tenant says, verified.
#[napi]
pub fn verify_slice(bytes: Uint8Array, tenant: String, trust: String) -> napi::Result<String> {
    document(|| bindings::verify_slice(&bytes, &tenant, &trusted(&trust)?))
}

/// A content, verified to be the one that is named.
#[napi]
pub fn open_chunk(hash: String, length: f64, encoding: String, bytes: Uint8Array) -> napi::Result<Uint8Array> {
    answer(|| Ok(bindings::open_chunk(&hash, bindings::count(length), &encoding, &bytes)?.into()))
}

/// A three-way merge, and what it comes to where one side is taken for every conflict.
#[napi]
pub fn merge(base: String, ours: String, theirs: String) -> napi::Result<String> {
    document(|| {
        let value = |name, json: &str| argument(name, json);
        Ok(bindings::merge(&value("base", &base)?, &value("ours", &ours)?, &value("theirs", &theirs)?))
    })
}
