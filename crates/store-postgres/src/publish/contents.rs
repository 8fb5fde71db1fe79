//! Contents by hash, out of the database.

use super::reference;
use crate::Error;
use leasehold::follow::read_index;
use leasehold::model::{Definitions, Tenant};
use leasehold::wire::{Chunk, ChunkRef, DefinitionsIndex, Manifest, Place, SignedHead, TreeNode};
use leasehold::{Hash, TenantId};
use sqlx::{PgConnection, Row};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Contents that were fetched, by hash.
pub(crate) type Held = HashMap<Hash, Chunk>;

/// How many contents of a fleet are fetched by one statement.
pub(crate) const BATCH: usize = 256;

/// Contents as the columns that they are written to, each once.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) hashes: Vec<Vec<u8>>,
    pub(crate) lengths: Vec<i64>,
    pub(crate) encodings: Vec<&'static str>,
    pub(crate) bytes: Vec<Vec<u8>>,
    /// Bytes of all of them before compression.
    pub(crate) raw_bytes: u64,
}

impl Columns {
    pub(crate) fn of(contents: &[(ChunkRef, Vec<u8>)]) -> Self {
        let mut columns = Self::default();
        let mut seen = HashSet::new();
        for (reference, content) in contents.iter().filter(|(reference, _)| seen.insert(reference.hash)) {
            let chunk = Chunk::compressed(content);
            columns.hashes.push(reference.hash.as_bytes().to_vec());
            columns.lengths.push(i64::try_from(reference.length).unwrap_or(i64::MAX));
            columns.encodings.push(chunk.encoding().as_str());
            columns.bytes.push(chunk.bytes().to_vec());
            columns.raw_bytes += reference.length;
        }
        columns
    }
}

/// What finds contents among those that were fetched.
pub(crate) fn held(held: &Held) -> impl Fn(Hash) -> Option<Chunk> {
    |hash| held.get(&hash).cloned()
}

/// Fetches contents that are not held yet. What the database does not have is missing afterwards.
pub(crate) async fn fetch(
    connection: &mut PgConnection,
    wanted: impl IntoIterator<Item = Hash>,
    held: &mut Held,
) -> Result<(), Error> {
    let missing: BTreeSet<[u8; 32]> =
        wanted.into_iter().filter(|hash| !held.contains_key(hash)).map(|hash| *hash.as_bytes()).collect();
    let missing: Vec<Vec<u8>> = missing.into_iter().map(|hash| hash.to_vec()).collect();
    for batch in missing.chunks(BATCH) {
        let rows =
            sqlx::query("SELECT hash, raw_length, encoding, bytes FROM leasehold.sys_chunks WHERE hash = ANY ($1)")
                .bind(batch)
                .fetch_all(&mut *connection)
                .await?;
        for row in rows {
            let (hash, length): (Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?);
            let (encoding, bytes): (String, Vec<u8>) = (row.try_get(2)?, row.try_get(3)?);
            let chunk = if encoding == "zstd" { Chunk::zstd(bytes) } else { Chunk::raw(bytes) };
            held.extend(reference(&hash, length).map(|reference| (reference.hash, chunk)));
        }
    }
    Ok(())
}

pub(crate) fn open(held: &Held, reference: ChunkRef) -> Result<Vec<u8>, Error> {
    let chunk = held.get(&reference.hash).ok_or_else(|| missing(reference))?;
    Ok(chunk.open(reference)?)
}

fn missing(reference: ChunkRef) -> Error {
    Error::NotFound { what: "content", key: reference.hash.to_string() }
}

/// The definitions that an index names.
pub(crate) async fn definitions(connection: &mut PgConnection, index: ChunkRef) -> Result<Definitions, Error> {
    let mut contents = Held::new();
    fetch(connection, [index.hash], &mut contents).await?;
    let sections: Vec<Hash> =
        DefinitionsIndex::read(&open(&contents, index)?)?.sections().map(|(_, section)| section.hash).collect();
    fetch(connection, sections, &mut contents).await?;
    Ok(read_index(index, &held(&contents))?)
}

/// Fetches what leads to some tenants of streams: manifests, and the nodes and shards in which the tenants belong.
pub(crate) async fn fetch_ways(
    connection: &mut PgConnection,
    streams: &[(ChunkRef, Vec<&TenantId>)],
    contents: &mut Held,
) -> Result<(), Error> {
    fetch(connection, streams.iter().map(|(manifest, _)| manifest.hash), contents).await?;
    let (mut nodes, mut shards) = (Vec::new(), Vec::new());
    for (reference, tenants) in streams {
        let manifest = Manifest::read(&open(contents, *reference)?)?;
        for place in tenants.iter().map(|tenant| Place::of(tenant.as_str())) {
            nodes.extend(manifest.tenants.get(place.node).map(|node| (node, place)));
        }
    }
    fetch(connection, nodes.iter().map(|(node, _)| node.hash), contents).await?;
    for (node, place) in nodes {
        let node = TreeNode::read(&open(contents, node)?, &node.hash.to_string())?;
        shards.extend(node.get(place.shard).map(|shard| shard.hash));
    }
    fetch(connection, shards, contents).await
}

/// Everything that manifests name of tenants, and themselves.
pub(crate) async fn fetch_trees(
    connection: &mut PgConnection,
    manifests: &[ChunkRef],
    contents: &mut Held,
) -> Result<(), Error> {
    fetch(connection, manifests.iter().map(|manifest| manifest.hash), contents).await?;
    let mut nodes = Vec::new();
    for reference in manifests {
        nodes.extend(Manifest::read(&open(contents, *reference)?)?.tenants.iter().map(|(_, node)| node));
    }
    fetch(connection, nodes.iter().map(|node| node.hash), contents).await?;
    let mut shards = Vec::new();
    for node in nodes {
        let children = TreeNode::read(&open(contents, node)?, &node.hash.to_string())?;
        shards.extend(children.iter().map(|(_, shard)| shard.hash));
    }
    fetch(connection, shards, contents).await
}

/// All tenants as they were published, and the definitions that they were published with.
pub(crate) async fn fleet(connection: &mut PgConnection, heads: &[SignedHead]) -> Result<Definitions, Error> {
    let mut contents = Held::new();
    let manifests: Vec<ChunkRef> = heads.iter().map(|head| head.head().manifest).collect();
    fetch_trees(connection, &manifests, &mut contents).await?;
    let mut all = Definitions::default();
    for head in heads {
        let index = Manifest::read(&open(&contents, head.head().manifest)?)?.definitions;
        fetch(connection, [index.hash], &mut contents).await?;
        let sections: Vec<Hash> =
            DefinitionsIndex::read(&open(&contents, index)?)?.sections().map(|(_, section)| section.hash).collect();
        fetch(connection, sections, &mut contents).await?;
        let mut stream = leasehold::follow::read_definitions(head, None, &held(&contents))?;
        let tenants = std::mem::take(&mut stream.tenants);
        let before: std::collections::BTreeMap<TenantId, Tenant> = std::mem::take(&mut all.tenants);
        all = stream;
        all.tenants = before;
        all.tenants.extend(tenants);
    }
    Ok(all)
}

pub(crate) fn manifest(contents: &Held, reference: ChunkRef) -> Result<Manifest, Error> {
    Ok(Manifest::read(&open(contents, reference)?)?)
}
