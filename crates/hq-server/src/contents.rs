//! What a head names, by hash.

use crate::failure::Failure;
use leasehold::Hash;
use leasehold::wire::{Chunk, ChunkRef, DefinitionsIndex, Manifest, TreeNode};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a manifest and a candidate name. What tells it from a guess is that every content was opened by its
/// hash; whether anybody signed that hash is another question.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) manifest: ChunkRef,
    pub(crate) definitions: (ChunkRef, DefinitionsIndex),
    pub(crate) candidate: Option<(ChunkRef, DefinitionsIndex)>,
    pub(crate) nodes: Vec<ChunkRef>,
    /// Shards by their place in the tree.
    pub(crate) shards: BTreeMap<(u8, u8), ChunkRef>,
}

impl Contents {
    /// Goes through what a manifest names, as far as its shards, which are not opened.
    pub(crate) fn of(
        manifest: ChunkRef,
        candidate: Option<ChunkRef>,
        find: &dyn Fn(Hash) -> Option<Chunk>,
    ) -> Result<Self, Failure> {
        let read = Manifest::read(&open(manifest, find)?)?;
        let index =
            |reference| -> Result<_, Failure> { Ok((reference, DefinitionsIndex::read(&open(reference, find)?)?)) };
        let definitions = index(read.definitions)?;
        let candidate = candidate.map(index).transpose()?;
        let (mut nodes, mut shards) = (Vec::new(), BTreeMap::new());
        for (place, node) in read.tenants.iter() {
            nodes.push(node);
            for (shard, child) in TreeNode::read(&open(node, find)?, &node.hash.to_string())?.iter() {
                shards.insert((place, shard), child);
            }
        }
        Ok(Self { manifest, definitions, candidate, nodes, shards })
    }

    /// Every content, once.
    pub(crate) fn all(&self) -> BTreeSet<ChunkRef> {
        let indexes = [Some(&self.definitions), self.candidate.as_ref()].into_iter().flatten();
        let definitions = indexes
            .flat_map(|(index, sections)| [*index].into_iter().chain(sections.sections().map(|(_, section)| section)));
        let tenants = self.nodes.iter().chain(self.shards.values()).copied();
        [self.manifest].into_iter().chain(definitions).chain(tenants).collect()
    }

    /// The bytes of all contents, before compression.
    pub(crate) fn bytes(&self) -> u64 {
        self.all().iter().map(|content| content.length).sum()
    }
}

/// A content, verified to be the one that is named.
pub(crate) fn open(reference: ChunkRef, find: &dyn Fn(Hash) -> Option<Chunk>) -> Result<Vec<u8>, Failure> {
    let chunk = find(reference.hash)
        .ok_or_else(|| Failure::wrong("missing_chunk", format!("content {} is named and not there", reference.hash)))?;
    Ok(chunk.open(reference)?)
}

/// The tenants of a shard, as they are spelt.
pub(crate) fn tenants(
    reference: ChunkRef,
    find: &dyn Fn(Hash) -> Option<Chunk>,
) -> Result<BTreeMap<String, Value>, Failure> {
    Ok(serde_json::from_slice(&open(reference, find)?).unwrap_or_default())
}
