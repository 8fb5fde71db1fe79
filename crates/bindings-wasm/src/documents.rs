//! What is signed, hashed and carried: documents, and what is to be known of each.

use crate::failure::{Thrown, document};
use leasehold::bindings::{self, Result};
use leasehold::{Hash, wire::Trust};
use wasm_bindgen::prelude::wasm_bindgen;

pub(crate) fn trusted(trust: &str) -> Result<Trust> {
    Ok(Trust::from_json(trust.as_bytes())?)
}

/// What an error of questions is to OpenFeature.
#[wasm_bindgen(js_name = openFeatureError)]
pub fn open_feature_error(code: &str) -> String {
    bindings::open_feature_error(code).to_owned()
}

/// The SHA-256 of bytes, in hexadecimal digits.
#[wasm_bindgen(js_name = hashOf)]
pub fn hash_of(bytes: &[u8]) -> String {
    Hash::of(bytes).to_string()
}

/// What a slice about a tenant says, verified.
#[wasm_bindgen(js_name = verifySlice)]
pub fn verify_slice(bytes: &[u8], tenant: &str, trust: &str) -> Thrown<String> {
    document(|| bindings::verify_slice(bytes, tenant, &trusted(trust)?))
}
