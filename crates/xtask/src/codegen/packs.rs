//! The signed packs that the conformance vectors ask, made from their fixtures.
//!
//! Keys come from fixed seeds and Ed25519 is deterministic, so that the same fixture gives the same bytes.

use std::fs;
use std::path::Path;

use leasehold::build::{Content, Signer, Terms};
use leasehold::model::{self, Definitions, Source};
use leasehold::wire::{Certificate, Chunk, Pack, SecretKey, Trust};
use leasehold::{Hash, Revision, Snapshot, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::Result;

/// Where the fixtures of the vectors lie, below the root of the workspace.
pub(crate) const FIXTURES: &str = "tests/conformance/fixtures";
/// Where their packs lie.
pub(crate) const PACKS: &str = "tests/conformance/packs";
/// Whom runtimes believe that run the vectors.
pub(crate) const TRUST: &str = "tests/conformance/trust.json";

const ROOT_SEED: [u8; 32] = [1; 32];
const FLEET_SEED: [u8; 32] = [2; 32];
const STREAM: &str = "GCC-OM";
const VALID_FROM: &str = "2026-01-01T00:00:00Z";

/// What a vector's snapshot is made of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    stamp: Stamp,
    definitions: Value,
}

/// What the head says of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stamp {
    revision: u64,
    issued_at: String,
    expires_at: Option<String>,
}

/// The publisher of all packs.
fn signer() -> Result<Signer> {
    let (root, fleet) = (SecretKey::from_seed(&ROOT_SEED), SecretKey::from_seed(&FLEET_SEED));
    let certificate = Certificate {
        issuer: "hq.example".parse()?,
        environment: "test".parse()?,
        epoch: 1,
        key: fleet.public(),
        valid_from: VALID_FROM.parse()?,
        valid_until: None,
    };
    let document = certificate.sign(&root).map_err(|error| error.to_string())?;
    Ok(Signer::new(fleet, document, vec![root.public()])?)
}

/// Whom a runtime believes that reads the packs.
pub(crate) fn trust() -> Result<Trust> {
    Ok(signer()?.trust(STREAM.parse()?))
}

/// The names of all fixtures, in alphabetical order.
pub(crate) fn fixtures(root: &Path) -> Result<Vec<String>> {
    names(&root.join(FIXTURES), "json")
}

/// The packs that no fixture is for.
pub(crate) fn orphans(root: &Path) -> Result<Vec<String>> {
    let fixtures = fixtures(root)?;
    let packs = names(&root.join(PACKS), "pack")?;
    Ok(packs.into_iter().filter(|pack| !fixtures.contains(pack)).map(|pack| format!("{PACKS}/{pack}.pack")).collect())
}

/// The names of a folder's files of one sort, without the ending; none where there is no folder.
fn names(folder: &Path, ending: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder).map_err(|error| format!("`{}`: {error}", folder.display()))? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            names.extend(stem.filter(|_| path.extension().is_some_and(|end| end == ending)).map(str::to_owned));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The pack of a fixture, as a file.
pub(crate) fn pack(root: &Path, name: &str) -> Result<Vec<u8>> {
    let path = root.join(FIXTURES).join(format!("{name}.json"));
    let wrong = |error: &dyn std::fmt::Display| format!("`{}`: {error}", path.display());
    let bytes = fs::read(&path).map_err(|error| wrong(&error))?;
    let fixture: Fixture = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    let source = Source { name: name.into(), bytes: fixture.definitions.to_string().into_bytes() };
    let definitions = model::load(&[source]).map_err(|error| wrong(&error))?;

    let Stamp { revision, issued_at, expires_at } = fixture.stamp;
    let revision = Revision::new(revision).ok_or_else(|| wrong(&"a revision is at most 2^53 − 1"))?;
    let issued_at: Timestamp = issued_at.parse().map_err(|error| wrong(&error))?;
    let expires_at = expires_at.map_or(Ok(Timestamp::MAX), |end| end.parse()).map_err(|error| wrong(&error))?;
    Ok(signed(&definitions, revision, issued_at, expires_at).map_err(|error| wrong(&error))?)
}

/// The pack of definitions, as a file: uncompressed, contents in the order in which a reader asks for them.
pub(crate) fn signed(
    definitions: &Definitions,
    revision: Revision,
    issued_at: Timestamp,
    expires_at: Timestamp,
) -> Result<Vec<u8>> {
    let content = Content::of_stream(definitions, &STREAM.parse()?)?;
    let (pack, order) = around(content, revision, issued_at, expires_at)?;
    let bytes = pack.to_bytes(&order);
    // What the runtimes would refuse is not checked in.
    Snapshot::from_pack(pack, &trust()?)?;
    Ok(bytes)
}

/// A pack of any content, whether it can be read or not, and the order of its contents.
pub(crate) fn around(
    content: Content,
    revision: Revision,
    issued_at: Timestamp,
    expires_at: Timestamp,
) -> Result<(Pack, Vec<Hash>)> {
    let terms = Terms { issued_at, fresh_for_ms: expires_at.as_ms() - issued_at.as_ms(), slice_keys: Vec::new() };
    let head = signer()?.sign(&STREAM.parse()?, None, (revision, content.root, None), &terms)?;
    let order = content.chunks.iter().map(|(reference, _)| reference.hash).collect();
    let chunks = content.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes))).collect();
    Ok((Pack { head: head.bytes().to_vec(), chunks }, order))
}
