//! The next content of a stream, made from the last one and what has changed since.

use super::Content;
use crate::compile::Compiler;
use crate::model::{Definitions, Diagnostics, Tenant};
use crate::wire::canonical::{self, NoCanonicalForm};
use crate::wire::{
    self, Chunk, ChunkRef, Fault, FaultCode, MANIFEST_FORMAT, MAX_CHUNK_BYTES, Manifest, Opener, Place, Stage, TreeNode,
};
use crate::{Hash, TenantId};
use std::collections::BTreeMap;

/// Definitions without tenants, compiled once to check tenants one by one.
#[derive(Debug)]
pub struct Checker(crate::compile::TenantChecker);

impl Checker {
    /// Compiles definitions. Their tenants are not looked at.
    ///
    /// # Errors
    /// Every mistake in features, plans, add-ons, kill switches, guards and workflows at once.
    pub fn new(definitions: &Definitions) -> Result<Self, Diagnostics> {
        Compiler::begin(definitions, Hash::default()).into_checker().map(Self)
    }

    /// Checks a tenant as compiling would.
    ///
    /// # Errors
    /// Every mistake in the tenant at once.
    pub fn check(&self, id: &TenantId, tenant: &Tenant) -> Result<(), Diagnostics> {
        self.0.check(id, tenant)
    }
}

impl Content {
    /// The content of a stream in which some tenants changed, or left it where nothing is given; and whose definitions
    /// may be others. Only what is new is made: the manifest, first, and the nodes and shards on the way to tenants that
    /// changed. `find` gives what the last manifest names: of the tree, the nodes and shards in which the tenants belong.
    ///
    /// Whether the tenants are right is not looked at: [check](Checker) them first.
    ///
    /// # Errors
    /// `missing_chunk`, and whatever is wrong with a content that was there before; `invalid_definitions` for a tenant
    /// without a canonical form, which compiling refuses too.
    pub fn changed(
        last: &Manifest,
        definitions: ChunkRef,
        changes: &BTreeMap<TenantId, Option<Tenant>>,
        find: &dyn Fn(Hash) -> Option<Chunk>,
    ) -> Result<Self, Fault> {
        let mut opener = Opener::default();
        let mut open = |reference: ChunkRef| -> Result<Vec<u8>, Fault> {
            let chunk = find(reference.hash).ok_or_else(|| crate::follow::missing(reference.hash))?;
            opener.open(&chunk, reference).map(std::borrow::Cow::into_owned)
        };
        let mut places: BTreeMap<u8, BTreeMap<u8, BTreeMap<&TenantId, Option<&Tenant>>>> = BTreeMap::new();
        for (id, tenant) in changes {
            let Place { node, shard } = Place::of(id.as_str());
            places.entry(node).or_default().entry(shard).or_default().insert(id, tenant.as_ref());
        }
        let mut chunks = Vec::new();
        let mut tree = children(&last.tenants);
        for (place, of_node) in places {
            let node =
                tree.get(&place).map(|reference| TreeNode::read(&open(*reference)?, &reference.hash.to_string()));
            let mut shards = children(&node.transpose()?.unwrap_or_default());
            for (place, changes) in of_node {
                let shard = shards.get(&place).copied();
                let before = shard.map_or_else(|| Ok(b"{}".to_vec()), &mut open)?;
                let item = shard.map_or_else(String::new, |shard| shard.hash.to_string());
                replace(&mut shards, place, respelt(&before, &item, &changes)?, &mut chunks)?;
            }
            let node = TreeNode::new(shards.into_iter().collect()).unwrap_or_default();
            replace(&mut tree, place, canonical::to_vec(&node).map_err(|error| no_form(&error))?, &mut chunks)?;
        }
        let tenants = TreeNode::new(tree.into_iter().collect()).unwrap_or_default();
        let manifest = Manifest { format: MANIFEST_FORMAT, definitions, tenants };
        let manifest = canonical::to_vec(&manifest).map_err(|error| no_form(&error))?;
        let root = ChunkRef::to(&manifest);
        chunks.push((root, manifest));
        chunks.rotate_right(1);
        Ok(Self { root, chunks })
    }
}

fn children(node: &TreeNode) -> BTreeMap<u8, ChunkRef> {
    node.iter().collect()
}

/// Puts a content at its place. What holds nothing is left out.
fn replace(
    siblings: &mut BTreeMap<u8, ChunkRef>,
    place: u8,
    content: Vec<u8>,
    chunks: &mut Vec<(ChunkRef, Vec<u8>)>,
) -> Result<(), Fault> {
    let reference = ChunkRef::to(&content);
    if matches!(&*content, b"{}" | b"[]") {
        siblings.remove(&place);
        return Ok(());
    }
    if reference.length > MAX_CHUNK_BYTES {
        let message = format!("a content has {} bytes, and {MAX_CHUNK_BYTES} are allowed", reference.length);
        return Err(no_form(&NoCanonicalForm(message)));
    }
    if siblings.insert(place, reference) != Some(reference) {
        chunks.push((reference, content));
    }
    Ok(())
}

/// A shard with some tenants changed. Those that did not are copied as they are spelt.
fn respelt(before: &[u8], item: &str, changes: &BTreeMap<&TenantId, Option<&Tenant>>) -> Result<Vec<u8>, Fault> {
    let flawed = |flaw| wire::not_canonical(item, flaw);
    let text = canonical::utf8(before).map_err(flawed)?;
    let entries = canonical::entries(text).ok_or(canonical::NotCanonical::Spelling(0)).map_err(flawed)?;
    let mut spelt: BTreeMap<&str, std::borrow::Cow<'_, str>> =
        entries.into_iter().map(|(id, tenant)| (id, tenant.into())).collect();
    for (id, tenant) in changes {
        match tenant {
            None => drop(spelt.remove(id.as_str())),
            Some(tenant) => {
                let bytes = super::content::tenant_bytes(tenant).map_err(|error| no_form(&error))?;
                // Canonical JSON is UTF-8.
                spelt.insert(id.as_str(), String::from_utf8(bytes).unwrap_or_default().into());
            }
        }
    }
    let mut content = String::with_capacity(before.len());
    for (id, tenant) in &spelt {
        content.push(if content.is_empty() { '{' } else { ',' });
        content.push('"');
        content.push_str(id);
        content.push_str("\":");
        content.push_str(tenant);
    }
    content.push_str(if content.is_empty() { "{}" } else { "}" });
    Ok(content.into_bytes())
}

fn no_form(error: &NoCanonicalForm) -> Fault {
    Fault::new(Stage::Compile, FaultCode::InvalidDefinitions, "tenants", error.to_string())
}

#[cfg(all(test, feature = "generate"))]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::Region;
    use crate::generate::{Choices, FleetSpec, fleet};
    use std::collections::HashMap;

    /// Made from the last one, a content is what it is made of everything.
    #[test]
    fn a_changed_content_is_the_content_of_the_changed() {
        for seed in 0..12 {
            let mut choices = Choices::from_seed(seed);
            let tenants = [0, 1, 40, 3_000][choices.below(4)];
            let mut definitions = fleet(&FleetSpec { tenants, seed, ..FleetSpec::default() });
            let stream: Region = "GCC-OM".parse().unwrap();
            definitions.tenants.values_mut().for_each(|tenant| tenant.region = stream.clone());
            let mut content = Content::of_stream(&definitions, &stream).unwrap();
            let mut held: HashMap<Hash, Chunk> = HashMap::new();
            let keep = |held: &mut HashMap<Hash, Chunk>, content: &Content| {
                held.extend(content.chunks.iter().map(|(at, bytes)| (at.hash, Chunk::raw(bytes.clone()))));
            };
            keep(&mut held, &content);
            let other = fleet(&FleetSpec { tenants: 40, seed: seed + 100, ..FleetSpec::default() });
            let template: Vec<Tenant> = other.tenants.into_values().collect();
            for round in 0..8 {
                let mut changes = BTreeMap::new();
                let ids: Vec<TenantId> = definitions.tenants.keys().cloned().collect();
                let count = choices.below(6);
                for (number, like) in template.iter().enumerate().take(count) {
                    let id = match choices.pick(&ids) {
                        Some(id) if choices.percent(70) => id.clone(),
                        _ => format!("new-{round}-{number}").parse().unwrap(),
                    };
                    let tenant = choices.percent(60).then(|| Tenant { region: stream.clone(), ..like.clone() });
                    match &tenant {
                        Some(tenant) => drop(definitions.tenants.insert(id.clone(), tenant.clone())),
                        None => drop(definitions.tenants.remove(&id)),
                    }
                    changes.insert(id, tenant);
                }
                let last = Manifest::read(&held[&content.root.hash].open(content.root).unwrap()).unwrap();
                content =
                    Content::changed(&last, last.definitions, &changes, &|hash| held.get(&hash).cloned()).unwrap();
                keep(&mut held, &content);
                let whole = Content::of_stream(&definitions, &stream).unwrap();
                assert_eq!(content.root, whole.root, "seed {seed}, round {round}");
                assert!(whole.chunks.iter().all(|(at, _)| held.contains_key(&at.hash)));
                assert!(content.chunks.len() <= 1 + 2 * changes.len());
            }
        }
    }
}
