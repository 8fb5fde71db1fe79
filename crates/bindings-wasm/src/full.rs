//! What only the build `full` has: definitions as people write them, comparisons, simulation and pictures, packs to follow
//! from, and what tools ask that look into documents.

use crate::documents::trusted;
use crate::engine::{NativeSnapshot, NativeTenant};
use crate::failure::{Thrown, answer, document};
use crate::follower::{NativeFollower, actions};
use crate::machine::NativeMachine;
use js_sys::{Array, Uint8Array};
use leasehold::Usage;
use leasehold::bindings::{self, Failure, amount, argument, id, instant, stamp};
use leasehold::model::Source;
use leasehold::wire::Pack;
use std::collections::BTreeMap;
use std::sync::Arc;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
impl NativeSnapshot {
    /// The snapshot of definitions, as people write them: names of files, by which mistakes in them are told, and what is
    /// in each.
    pub fn compile(
        names: Vec<String>,
        contents: Vec<Uint8Array>,
        revision: f64,
        issued_at: f64,
        expires_at: Option<f64>,
    ) -> Thrown<NativeSnapshot> {
        answer(|| {
            let files = names.into_iter().zip(contents);
            let sources: Vec<Source> =
                files.map(|(name, bytes)| Source { name: name.into(), bytes: bytes.to_vec() }).collect();
            let (snapshot, warnings) = bindings::compile(&sources, stamp(revision, issued_at, expires_at)?)?;
            Ok(Self { snapshot: Arc::new(snapshot), warnings })
        })
    }

    /// What is most likely not meant in the definitions that it was compiled from.
    pub fn warnings(&self) -> Thrown<String> {
        document(|| Ok(&self.warnings))
    }

    /// What it changes over an older one, in numbers.
    pub fn diff(&self, older: &NativeSnapshot, now: f64) -> Thrown<String> {
        document(|| Ok(self.snapshot.diff(&older.snapshot, instant(now)?)))
    }

    /// What a tenant would have more, less or otherwise if it were the other one.
    #[wasm_bindgen(js_name = diffTenants)]
    pub fn diff_tenants(&self, tenant: &str, other: &str, now: f64) -> Thrown<String> {
        document(|| Ok(self.snapshot.diff_tenants(tenant, other, instant(now)?)?))
    }

    /// How two versions of a workflow differ.
    #[wasm_bindgen(js_name = compareVersions)]
    pub fn compare_versions(&self, workflow: &str, from: u32, to: u32) -> Thrown<String> {
        document(|| Ok(self.snapshot.compare_versions(workflow, from, to)?))
    }

    /// What a tenant lays over a workflow, carried over to another version.
    pub fn upgrade(&self, tenant: &str, workflow: &str, to: u32, side: &str) -> Thrown<String> {
        document(|| Ok(self.snapshot.tenant(tenant)?.upgrade(workflow, to, bindings::side(side)?)?))
    }

    /// The past, tried again with a version of a workflow.
    pub fn replay(&self, workflow: &str, version: u32, log: &str) -> Thrown<String> {
        document(|| Ok(self.snapshot.replay(workflow, version, bindings::log(log)?)?))
    }
}

#[wasm_bindgen]
impl NativeTenant {
    /// What would change.
    #[wasm_bindgen(js_name = whatIf)]
    pub fn what_if(&self, change: &str, usage: &str, now: f64) -> Thrown<String> {
        self.document(now, |tenant, now| {
            let change = bindings::change(change)?;
            let usage: BTreeMap<String, f64> = argument("usage", usage)?;
            let usage = usage.iter().map(|(key, used)| Ok((id("usage", key)?, amount(*used))));
            let usage = usage.collect::<std::result::Result<Usage, Failure>>()?;
            Ok(tenant.what_if(&change, &usage, now)?)
        })
    }
}

#[wasm_bindgen]
impl NativeMachine {
    /// Paths that take every transition.
    #[wasm_bindgen(js_name = coveringPaths)]
    pub fn covering_paths(&self) -> Thrown<String> {
        document(|| Ok(self.0.covering_paths()))
    }

    /// A picture of it.
    pub fn picture(&self, form: &str, language: &str, current: Option<String>) -> Thrown<String> {
        answer(|| bindings::picture(&self.0, None, form, language, current))
    }

    /// A picture of what it changes over an older one.
    #[wasm_bindgen(js_name = pictureAgainst)]
    pub fn picture_against(
        &self,
        older: &NativeMachine,
        form: &str,
        language: &str,
        current: Option<String>,
    ) -> Thrown<String> {
        answer(|| bindings::picture(&self.0, Some(&older.0), form, language, current))
    }
}

#[wasm_bindgen]
impl NativeFollower {
    /// Begins with a pack, where that is newer than what is in force.
    pub fn open(&mut self, pack: &[u8], now: f64) -> Thrown<Array> {
        answer(|| Ok(actions(self.0.open(Pack::read(pack)?, instant(now)?)?)))
    }
}

/// Fails where a document is not JSON in its canonical form.
#[wasm_bindgen(js_name = checkCanonical)]
pub fn check_canonical(bytes: &[u8]) -> Thrown<()> {
    answer(|| bindings::check_canonical(bytes))
}

/// JSON in its canonical form.
#[wasm_bindgen(js_name = canonicalForm)]
pub fn canonical_form(json: &str) -> Thrown<String> {
    answer(|| bindings::canonical_form(json))
}

/// Where a tenant lies in the tree of its stream.
#[wasm_bindgen(js_name = placeOf)]
pub fn place_of(tenant: &str) -> Thrown<String> {
    document(|| Ok(bindings::place_of(tenant)))
}

/// The id of a public key.
#[wasm_bindgen(js_name = keyId)]
pub fn key_id(key: &str) -> Thrown<String> {
    document(|| bindings::key_id(key))
}

/// The hash of definitions, which are one file.
#[wasm_bindgen(js_name = hashOfDefinitions)]
pub fn hash_of_definitions(file: &[u8]) -> Thrown<String> {
    document(|| bindings::hash_of_definitions(file))
}

/// Whether an engine is in the share of a candidate.
#[wasm_bindgen(js_name = isStaged)]
pub fn is_staged(engine: &str, candidate: &str, share_permille: u32) -> Thrown<bool> {
    answer(|| bindings::is_staged(engine, candidate, share_permille))
}

/// What a certificate says, verified.
#[wasm_bindgen(js_name = verifyCertificate)]
pub fn verify_certificate(bytes: &[u8], trust: &str) -> Thrown<String> {
    document(|| bindings::verify_certificate(bytes, &trusted(trust)?))
}

/// What a head says, verified, and admitted behind the highest that was seen.
#[wasm_bindgen(js_name = verifyHead)]
pub fn verify_head(bytes: &[u8], trust: &str, seen: Option<Box<[u8]>>) -> Thrown<String> {
    document(|| bindings::verify_head(bytes, &trusted(trust)?, seen.as_deref()))
}

/// A content, verified to be the one that is named.
#[wasm_bindgen(js_name = openChunk)]
pub fn open_chunk(hash: &str, length: f64, encoding: &str, bytes: &[u8]) -> Thrown<Vec<u8>> {
    answer(|| bindings::open_chunk(hash, bindings::count(length), encoding, bytes))
}

/// A three-way merge, and what it comes to where one side is taken for every conflict.
#[wasm_bindgen]
pub fn merge(base: &str, ours: &str, theirs: &str) -> Thrown<String> {
    document(|| {
        let value = |name, json: &str| argument(name, json);
        Ok(bindings::merge(&value("base", base)?, &value("ours", ours)?, &value("theirs", theirs)?))
    })
}
