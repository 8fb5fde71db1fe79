//! Definitions as contents by hash.

use crate::model::{Definitions, Tenant, format};
use crate::wire::canonical::{self, NoCanonicalForm};
use crate::wire::{ChunkRef, DefinitionsIndex, MANIFEST_FORMAT, MAX_CHUNK_BYTES, Manifest, Place, TreeNode};
use crate::{Hash, RecordId, Region, TenantId, workflow};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that one manifest names, each content under its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// What all others hang on: a manifest, or the index of definitions on trial.
    pub root: ChunkRef,
    /// Contents, in the order in which a reader asks for them.
    pub chunks: Vec<(ChunkRef, Vec<u8>)>,
}

impl Content {
    /// The content of one stream: all definitions, and the tenants of that region.
    ///
    /// Whether the definitions are right is not looked at: compile them first.
    ///
    /// # Errors
    /// Values without a canonical form, which compiling refuses too.
    pub fn of_stream(definitions: &Definitions, stream: &Region) -> Result<Self, NoCanonicalForm> {
        let mut chunks = Chunks::default();
        let tenants = definitions.tenants.iter().filter(|(_, tenant)| tenant.region == *stream);
        let mut shards: BTreeMap<Place, BTreeMap<&TenantId, &Tenant>> = BTreeMap::new();
        for (id, tenant) in tenants {
            shards.entry(Place::of(id.as_str())).or_default().insert(id, tenant);
        }
        let mut leaves = Chunks::default();
        let mut nodes: BTreeMap<u8, Vec<(u8, ChunkRef)>> = BTreeMap::new();
        for (place, tenants) in shards {
            let shard = leaves.put(&Sorted(&tenants))?;
            nodes.entry(place.node).or_default().push((place.shard, shard));
        }
        let definitions = chunks.definitions(definitions)?;
        let mut tree = Vec::new();
        for (place, children) in nodes {
            tree.push((place, chunks.put(&TreeNode::new(children).unwrap_or_default())?));
        }
        let tenants = TreeNode::new(tree).unwrap_or_default();
        let manifest = Manifest { format: MANIFEST_FORMAT, definitions, tenants };
        let root = chunks.put_first(&manifest)?;
        chunks.0.append(&mut leaves.0);
        Ok(Self { root, chunks: chunks.0 })
    }

    /// The content of definitions alone, for a candidate.
    ///
    /// # Errors
    /// Values without a canonical form, which compiling refuses too.
    pub fn of_definitions(definitions: &Definitions) -> Result<Self, NoCanonicalForm> {
        let mut chunks = Chunks::default();
        let root = chunks.definitions(definitions)?;
        Ok(Self { root, chunks: chunks.0 })
    }
}

/// The hash of definitions without their tenants: that of the index which manifests name.
///
/// The order of lists that have none does not change it.
///
/// # Errors
/// Values without a canonical form, which compiling refuses too.
pub fn definitions_hash(definitions: &Definitions) -> Result<Hash, NoCanonicalForm> {
    Content::of_definitions(definitions).map(|content| content.root.hash)
}

/// Gives a candidate the kill switches of the definitions in force: they are never staged. Gives back the ids of those
/// of its own that are left out for that.
///
/// A candidate keeps kill switches of its own on features that only it has, and gets none on features that it lacks.
pub fn candidate_kills(base: &Definitions, candidate: &mut Definitions) -> Vec<RecordId> {
    let own = std::mem::take(&mut candidate.kills);
    let in_force = base.kills.iter().filter(|(_, kill)| candidate.features.contains_key(&kill.feature));
    candidate.kills = in_force.map(|(id, kill)| (id.clone(), kill.clone())).collect();
    let mut left_out = Vec::new();
    for (id, kill) in own {
        if base.kills.get(&id) == Some(&kill) {
            continue;
        }
        if base.kills.contains_key(&id) || base.features.contains_key(&kill.feature) {
            left_out.push(id);
        } else {
            candidate.kills.insert(id, kill);
        }
    }
    left_out
}

/// Contents in the order in which they were made.
#[derive(Default)]
struct Chunks(Vec<(ChunkRef, Vec<u8>)>);

impl Chunks {
    fn put(&mut self, value: &impl Serialize) -> Result<ChunkRef, NoCanonicalForm> {
        let bytes = canonical::to_vec(value)?;
        let reference = ChunkRef::to(&bytes);
        if reference.length > MAX_CHUNK_BYTES {
            let message = format!("a content has {} bytes, and {MAX_CHUNK_BYTES} are allowed", reference.length);
            return Err(NoCanonicalForm(message));
        }
        self.0.push((reference, bytes));
        Ok(reference)
    }

    fn put_first(&mut self, value: &impl Serialize) -> Result<ChunkRef, NoCanonicalForm> {
        let reference = self.put(value)?;
        self.0.rotate_right(1);
        Ok(reference)
    }

    /// The index of definitions, and its sections behind it.
    fn definitions(&mut self, definitions: &Definitions) -> Result<ChunkRef, NoCanonicalForm> {
        let mut sorted = Definitions {
            schema: None,
            features: definitions.features.clone(),
            plans: definitions.plans.clone(),
            add_ons: definitions.add_ons.clone(),
            kills: definitions.kills.clone(),
            guards: definitions.guards.clone(),
            workflows: definitions.workflows.clone(),
            tenants: BTreeMap::new(),
        };
        format::sort(&mut sorted);
        let mut sections = Self::default();
        let index = DefinitionsIndex {
            features: sections.section(&sorted.features)?,
            plans: sections.section(&sorted.plans)?,
            add_ons: sections.section(&sorted.add_ons)?,
            kills: sections.section(&sorted.kills)?,
            guards: sections.section(&sorted.guards)?,
            workflows: sections.section(&sorted.workflows)?,
            needs: workflow::needs(&sorted.guards),
        };
        let reference = self.put(&index)?;
        self.0.append(&mut sections.0);
        Ok(reference)
    }

    fn section<K: Serialize, V: Serialize>(
        &mut self,
        records: &BTreeMap<K, V>,
    ) -> Result<Option<ChunkRef>, NoCanonicalForm> {
        if records.is_empty() { Ok(None) } else { self.put(records).map(Some) }
    }
}

/// Tenants whose lists without order are put in the one order that they have in contents.
struct Sorted<'d>(&'d BTreeMap<&'d TenantId, &'d Tenant>);

impl Serialize for Sorted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(id, tenant)| (id, sorted(tenant))))
    }
}

fn sorted(tenant: &Tenant) -> Tenant {
    let mut tenant = tenant.clone();
    tenant.preferences.off.sort();
    tenant
}

/// A tenant as it is spelt in a shard.
pub(super) fn tenant_bytes(tenant: &Tenant) -> Result<Vec<u8>, NoCanonicalForm> {
    canonical::to_vec(&sorted(tenant))
}
