//! What was published, as a server hands it out: heads, what they name, packs, and the slices of single tenants.

use super::contents::{self, Held};
use super::{Archive, reference};
use crate::Error;
use crate::hq::not_found;
use leasehold::build::cut;
use leasehold::follow::read_tenant;
use leasehold::wire::{Chunk, ChunkRef, DefinitionsIndex, Pack, SignedHead, TreeNode, canonical};
use leasehold::{Hash, Region, TenantId};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What nodes of tenant trees name, by their hashes: they never change, so that a server reads each one once.
pub type KnownNodes = HashMap<Hash, Vec<Hash>>;

/// The content of a tenant's slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceBytes {
    /// Hash of the definitions that it is cut from.
    pub definitions: Hash,
    /// The content, as canonical JSON.
    pub content: Vec<u8>,
}

impl Archive {
    /// The heads in force, each verified.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Fault`] where one cannot be believed.
    pub async fn heads_in_force(&self) -> Result<BTreeMap<Region, SignedHead>, Error> {
        self.heads(&mut *self.hq.pool.acquire().await?).await
    }

    /// Everything that a head names: its manifest, nodes and shards of tenants, definitions in force and on trial.
    /// `nodes` keeps what was read of the tree from one head to the next; what this head does not name is dropped from it.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::NotFound`] where contents are missing, [`Error::Fault`] where one is not what it
    /// should be.
    pub async fn named_by(&self, head: &SignedHead, nodes: &mut KnownNodes) -> Result<HashSet<Hash>, Error> {
        let mut connection = self.hq.pool.acquire().await?;
        let said = head.head();
        let mut held = Held::new();
        let candidate = said.candidate.as_ref().map(|candidate| candidate.definitions);
        let first = [said.manifest.hash].into_iter().chain(candidate.map(|index| index.hash));
        contents::fetch(&mut connection, first, &mut held).await?;
        let manifest = contents::manifest(&held, said.manifest)?;
        let children: Vec<ChunkRef> = manifest.tenants.iter().map(|(_, node)| node).collect();
        let unknown = children.iter().map(|node| node.hash).filter(|hash| !nodes.contains_key(hash));
        contents::fetch(&mut connection, unknown.chain([manifest.definitions.hash]), &mut held).await?;
        let mut named = HashSet::from([said.manifest.hash]);
        let mut current = KnownNodes::new();
        for node in children {
            let shards = match nodes.remove(&node.hash) {
                Some(known) => known,
                None => {
                    let read = TreeNode::read(&contents::open(&held, node)?, &node.hash.to_string())?;
                    read.iter().map(|(_, shard)| shard.hash).collect()
                }
            };
            named.insert(node.hash);
            named.extend(&shards);
            current.insert(node.hash, shards);
        }
        *nodes = current;
        for index in [Some(manifest.definitions), candidate].into_iter().flatten() {
            named.insert(index.hash);
            let read = DefinitionsIndex::read(&contents::open(&held, index)?)?;
            named.extend(read.sections().map(|(_, section)| section.hash));
        }
        Ok(named)
    }

    /// A content as it is kept, and its bytes before compression; nothing where it is not there.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Database`].
    pub async fn content(&self, hash: Hash) -> Result<Option<(Chunk, u64)>, Error> {
        let row: Option<(i64, String, Vec<u8>)> =
            sqlx::query_as("SELECT raw_length, encoding, bytes FROM leasehold.sys_chunks WHERE hash = $1")
                .bind(hash.as_bytes().to_vec())
                .fetch_optional(&self.hq.pool)
                .await?;
        Ok(row.and_then(|(length, encoding, bytes)| {
            let reference = reference(hash.as_bytes(), length)?;
            Some((if encoding == "zstd" { Chunk::zstd(bytes) } else { Chunk::raw(bytes) }, reference.length))
        }))
    }

    /// A head with everything that it names, in one file.
    ///
    /// # Errors
    /// As [`named_by`](Self::named_by).
    pub async fn pack(&self, head: &SignedHead) -> Result<Vec<u8>, Error> {
        let named = self.named_by(head, &mut KnownNodes::new()).await?;
        let mut held = Held::new();
        contents::fetch(&mut *self.hq.pool.acquire().await?, named.iter().copied(), &mut held).await?;
        if let Some(missing) = named.iter().find(|hash| !held.contains_key(hash)) {
            return Err(not_found("content", &missing.to_string()));
        }
        let order = [head.head().manifest.hash];
        Ok(Pack { head: head.bytes().to_vec(), chunks: held.into_iter().collect() }.to_bytes(&order))
    }

    /// What the browsers of a tenant may know, as a head has it; nothing where the stream has no such tenant.
    ///
    /// # Errors
    /// As [`named_by`](Self::named_by).
    pub async fn slice(&self, head: &SignedHead, tenant: &TenantId) -> Result<Option<SliceBytes>, Error> {
        let mut connection = self.hq.pool.acquire().await?;
        let said = head.head();
        let mut held = Held::new();
        contents::fetch_ways(&mut connection, &[(said.manifest, vec![tenant])], &mut held).await?;
        let manifest = contents::manifest(&held, said.manifest)?;
        let Some(own) = read_tenant(&manifest, &said.stream, tenant, &contents::held(&held))? else { return Ok(None) };
        let in_force = self.hq.in_force_at(&mut connection, manifest.definitions).await?;
        drop(connection);
        let mut definitions = in_force.definitions.clone();
        definitions.tenants = BTreeMap::from([(tenant.clone(), own)]);
        let Some(sliced) = cut(&definitions, tenant, said.issued_at) else { return Ok(None) };
        let content = canonical::to_vec(&sliced)?;
        Ok(Some(SliceBytes { definitions: manifest.definitions.hash, content }))
    }
}
