//! What is in force: contents by hash, and what was compiled from them.

use super::gathering::Gathering;
use crate::compile::Compiler;
use crate::model::read::{Map, Reader};
use crate::model::{Definitions, Diagnostics, Tenant};
use crate::snapshot::{Origin, Stamp};
use crate::wire::{
    self, Candidate, Chunk, ChunkRef, DefinitionsIndex, Fault, FaultCode, Manifest, Opener, Place, SignedHead, Stage,
    TreeNode, canonical,
};
use crate::{Hash, Region, Snapshot, SortedMap, TenantId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A manifest in force, with all that it names and what was compiled from it.
#[derive(Debug)]
pub(crate) struct Loaded {
    manifest: ChunkRef,
    /// The definitions in force and on trial, with their sections.
    indexes: Vec<(ChunkRef, DefinitionsIndex)>,
    /// The definitions that were compiled.
    in_use: ChunkRef,
    nodes: SortedMap<u8, (ChunkRef, Arc<TreeNode>)>,
    chunks: HashMap<Hash, Chunk>,
    compiler: Compiler,
}

/// What going from one manifest to the next comes to.
pub(crate) struct Next {
    pub(crate) snapshot: Snapshot,
    /// Contents that were not here before.
    pub(crate) new: Vec<(Hash, Chunk)>,
    /// Contents that are no longer named.
    pub(crate) obsolete: Vec<Hash>,
}

impl Loaded {
    pub(crate) fn node(&self, place: u8) -> Option<(&ChunkRef, &Arc<TreeNode>)> {
        self.nodes.get(&place).map(|(reference, node)| (reference, node))
    }

    pub(crate) fn chunk(&self, hash: Hash) -> Option<&Chunk> {
        self.chunks.get(&hash)
    }

    /// Contents by hash.
    pub(crate) fn chunks(&self) -> &HashMap<Hash, Chunk> {
        &self.chunks
    }

    /// The same content under another stamp.
    pub(crate) fn restamp(&mut self, stamp: Stamp) -> Snapshot {
        self.compiler.restamp(stamp)
    }

    /// Puts what was gathered in force: all of it, or nothing. Only tenants that changed are compiled, unless the
    /// definitions did.
    pub(crate) fn apply(
        loaded: &mut Option<Self>,
        gathered: Gathering,
        origin: Origin,
        opener: &mut Opener,
    ) -> Result<Next, Fault> {
        let head = gathered.head.head();
        let whole = Whole::of(&gathered)?;
        let stamp = head.stamp();
        let refused = |item: Hash| move |found: Diagnostics| Fault::invalid(Stage::Compile, item.to_string(), found);

        let (compiler, mut snapshot) = match loaded.as_mut().filter(|running| running.in_use == whole.in_use) {
            Some(running) => {
                let changes = changes(running, &gathered, &whole, &head.stream, opener)?;
                let snapshot = running.compiler.apply(changes, stamp).map_err(refused(whole.manifest.hash))?;
                (None, snapshot)
            }
            None => {
                let before = loaded.as_ref();
                let index = whole.indexes.iter().find(|(reference, _)| *reference == whole.in_use);
                let mut definitions = Definitions::default();
                for (name, section) in index.iter().flat_map(|(_, index)| index.sections()) {
                    read_section(&gathered.open(before, section, opener)?, name, section, &mut definitions)?;
                }
                let mut building = Compiler::begin(&definitions, whole.in_use.hash);
                for (place, shard) in shards(&whole.nodes) {
                    let content = gathered.open(before, shard, opener)?;
                    for (id, tenant) in read_shard(&content, shard, place, &head.stream)? {
                        building.add(&id, &tenant);
                    }
                }
                let (compiler, snapshot) = building.finish(stamp).map_err(refused(whole.manifest.hash))?;
                (Some(compiler), snapshot)
            }
        };
        if origin != Origin::Source {
            snapshot = snapshot.restored();
        }
        Ok(Self::commit(loaded, compiler, whole, gathered, snapshot))
    }

    /// Nothing can fail from here on.
    fn commit(
        loaded: &mut Option<Self>,
        compiler: Option<Compiler>,
        whole: Whole,
        gathered: Gathering,
        snapshot: Snapshot,
    ) -> Next {
        let running = loaded.take();
        let named = named(running.as_ref(), &whole);
        let (mut chunks, old_compiler, obsolete) = match running {
            None => (HashMap::new(), None, Vec::new()),
            Some(running) => {
                let obsolete = obsolete(&running, &whole);
                (running.chunks, Some(running.compiler), obsolete)
            }
        };
        for hash in &obsolete {
            chunks.remove(hash);
        }
        // What came for a head that was overtaken is not kept.
        let is_new = |hash: &Hash| named.contains(hash) && !chunks.contains_key(hash);
        let new: Vec<(Hash, Chunk)> = gathered.fetched.into_iter().filter(|(hash, _)| is_new(hash)).collect();
        chunks.extend(new.iter().cloned());
        if let Some(compiler) = compiler.or(old_compiler) {
            let Whole { manifest, indexes, in_use, nodes } = whole;
            *loaded = Some(Self { manifest, indexes, in_use, nodes, chunks, compiler });
        }
        Next { snapshot, new, obsolete }
    }
}

/// A manifest of which every part has been read.
struct Whole {
    manifest: ChunkRef,
    indexes: Vec<(ChunkRef, DefinitionsIndex)>,
    in_use: ChunkRef,
    nodes: SortedMap<u8, (ChunkRef, Arc<TreeNode>)>,
}

impl Whole {
    fn of(gathered: &Gathering) -> Result<Self, Fault> {
        let manifest = gathered.head.head().manifest;
        let indexes = gathered.indexes.iter().map(|(reference, index)| {
            index.clone().map(|index| (*reference, index)).ok_or_else(|| super::gathering::missing(reference.hash))
        });
        let nodes = gathered.nodes.iter().map(|(place, (reference, node))| {
            let node = node.clone().ok_or_else(|| super::gathering::missing(reference.hash))?;
            Ok((*place, (*reference, node)))
        });
        Ok(Self {
            manifest,
            indexes: indexes.collect::<Result<_, _>>()?,
            in_use: gathered.in_use.ok_or_else(|| super::gathering::missing(manifest.hash))?,
            nodes: nodes.collect::<Result<_, Fault>>()?,
        })
    }
}

fn shards(nodes: &SortedMap<u8, (ChunkRef, Arc<TreeNode>)>) -> impl Iterator<Item = (Place, ChunkRef)> {
    nodes.iter().flat_map(|(node, (_, children))| {
        children.iter().map(|(shard, reference)| (Place { node: *node, shard }, reference))
    })
}

/// Indexes of definitions, and what they name.
fn of_definitions(indexes: &[(ChunkRef, DefinitionsIndex)]) -> impl Iterator<Item = Hash> {
    indexes.iter().flat_map(|(reference, index)| {
        [reference.hash].into_iter().chain(index.sections().map(|(_, section)| section.hash))
    })
}

/// What a manifest names, but for nodes that the one before it names too and what is below those.
fn named(before: Option<&Loaded>, whole: &Whole) -> HashSet<Hash> {
    let known = |place: &u8, reference: &ChunkRef| {
        before.and_then(|before| before.node(*place)).is_some_and(|(known, _)| known == reference)
    };
    let nodes = whole.nodes.iter().filter(|(place, (reference, _))| !known(place, reference));
    let tenants = nodes.flat_map(|(_, (reference, node))| {
        [reference.hash].into_iter().chain(node.iter().map(|(_, shard)| shard.hash))
    });
    [whole.manifest.hash].into_iter().chain(of_definitions(&whole.indexes)).chain(tenants).collect()
}

/// What one manifest names and the next does not.
fn obsolete(before: &Loaded, after: &Whole) -> Vec<Hash> {
    let kept: HashSet<Hash> = of_definitions(&after.indexes).collect();
    let mut gone: Vec<Hash> = of_definitions(&before.indexes).filter(|hash| !kept.contains(hash)).collect();
    if before.manifest != after.manifest {
        gone.push(before.manifest.hash);
    }
    for (place, (reference, node)) in &before.nodes {
        let next = after.nodes.get(place);
        if next.is_some_and(|(next, _)| next == reference) {
            continue;
        }
        gone.push(reference.hash);
        // No two shards have the same content: tenants belong in one each.
        let next = |shard: u8| next.and_then(|(_, next)| next.get(shard));
        gone.extend(node.iter().filter(|(at, shard)| next(*at) != Some(*shard)).map(|(_, shard)| shard.hash));
    }
    gone
}

/// The tenants in which two manifests differ. Nodes and shards that are the same are not looked into, and of the others
/// only tenants that are spelt differently are read.
fn changes(
    running: &Loaded,
    gathered: &Gathering,
    whole: &Whole,
    stream: &Region,
    opener: &mut Opener,
) -> Result<Vec<(TenantId, Option<Tenant>)>, Fault> {
    let mut changes = Vec::new();
    let places: std::collections::BTreeSet<u8> = running.nodes.keys().chain(whole.nodes.keys()).copied().collect();
    for node in places {
        let (old, new) = (running.nodes.get(&node), whole.nodes.get(&node));
        if old.map(|(reference, _)| reference) == new.map(|(reference, _)| reference) {
            continue;
        }
        let child = |of: Option<&(ChunkRef, Arc<TreeNode>)>, shard| of.and_then(|(_, node)| node.get(shard));
        for shard in 0..64 {
            let (old, new) = (child(old, shard), child(new, shard));
            if old == new {
                continue;
            }
            let mut content = |of: Option<ChunkRef>| {
                of.map_or(Ok(std::borrow::Cow::Borrowed(&b"{}"[..])), |of| gathered.open(Some(running), of, opener))
            };
            let (old, content) = (content(old)?, content(new)?);
            let named = new.unwrap_or(whole.manifest);
            changed_tenants(&old, &content, named, Place { node, shard }, stream, &mut changes)?;
        }
    }
    Ok(changes)
}

/// The tenants in which two spellings of one shard differ.
fn changed_tenants(
    old: &[u8],
    new: &[u8],
    named: ChunkRef,
    place: Place,
    stream: &Region,
    changes: &mut Vec<(TenantId, Option<Tenant>)>,
) -> Result<(), Fault> {
    let item = named.hash.to_string();
    let flawed = |flaw| wire::not_canonical(&item, flaw);
    let (old, new) = (canonical::utf8(old).map_err(flawed)?, canonical::utf8(new).map_err(flawed)?);
    let split = |text| canonical::entries(text).ok_or(canonical::NotCanonical::Spelling(0)).map_err(flawed);
    let (old, new) = (split(old)?, split(new)?);
    if !new.is_sorted_by(|(a, _), (b, _)| a < b) {
        // The whole of it is read to say what is wrong.
        read_shard(new_text(&new).as_bytes(), named, place, stream)?;
        return Err(flawed(canonical::NotCanonical::Spelling(0)));
    }
    let mut old = old.into_iter().peekable();
    for (id, tenant) in new {
        while let Some((gone, _)) = old.next_if(|(before, _)| *before < id) {
            changes.extend(gone.parse().ok().map(|gone| (gone, None)));
        }
        let before = old.next_if(|(before, _)| *before == id);
        if before.is_some_and(|(_, before)| before == tenant) {
            continue;
        }
        let text = format!("{{\"{id}\":{tenant}}}");
        let read = read_shard(text.as_bytes(), named, place, stream)?;
        changes.extend(read.into_iter().map(|(id, tenant)| (id, Some(tenant))));
    }
    for (gone, _) in old {
        changes.extend(gone.parse().ok().map(|gone| (gone, None)));
    }
    Ok(())
}

fn new_text(entries: &[(&str, &str)]) -> String {
    let entries: Vec<String> = entries.iter().map(|(id, tenant)| format!("\"{id}\":{tenant}")).collect();
    format!("{{{}}}", entries.join(","))
}

/// Reads a shard, each tenant of which must belong in it.
fn read_shard(
    content: &[u8],
    named: ChunkRef,
    place: Place,
    stream: &Region,
) -> Result<Vec<(TenantId, Tenant)>, Fault> {
    let item = || named.hash.to_string();
    let node = canonical::parse(content).map_err(|flaw| wire::not_canonical(&item(), flaw))?;
    let mut reader = Reader::canonical_at("/tenants");
    let mut tenants = Listed(Vec::new());
    reader.entries(node, &mut tenants);
    Diagnostics::refuse_if_any(reader.found).map_err(|found| Fault::invalid(Stage::Parse, item(), found))?;
    for (id, tenant) in &tenants.0 {
        if Place::of(id.as_str()) != place || tenant.region != *stream {
            let message = format!("tenant `{id}` does not belong in this shard");
            return Err(Fault::new(Stage::Parse, FaultCode::MisplacedTenant, item(), message));
        }
    }
    Ok(tenants.0)
}

/// Tenants as they come: canonical JSON has them in order, each once.
struct Listed(Vec<(TenantId, Tenant)>);

impl Map for Listed {
    type Key = TenantId;
    type Value = Tenant;

    fn put(&mut self, id: TenantId, tenant: Option<Tenant>) -> bool {
        self.0.extend(tenant.map(|tenant| (id, tenant)));
        true
    }
}

fn read_section(content: &[u8], name: &str, named: ChunkRef, into: &mut Definitions) -> Result<(), Fault> {
    let item = format!("{name} {}", named.hash);
    let node = canonical::parse(content).map_err(|flaw| wire::not_canonical(&item, flaw))?;
    let mut reader = Reader::canonical_at(&format!("/{name}"));
    let read = match name {
        "features" => reader.entries(node, &mut into.features),
        "plans" => reader.entries(node, &mut into.plans),
        "add_ons" => reader.entries(node, &mut into.add_ons),
        "kills" => reader.entries(node, &mut into.kills),
        "guards" => reader.entries(node, &mut into.guards),
        _ => reader.entries(node, &mut into.workflows),
    };
    Diagnostics::refuse_if_any(reader.found).map_err(|found| Fault::invalid(Stage::Parse, item.clone(), found))?;
    read.ok_or_else(|| Fault::new(Stage::Parse, FaultCode::Malformed, item, "it is not an object"))
}

/// Goes through everything that a head names, in the order in which a reader needs it: the manifest, definitions, nodes,
/// shards. `open` gives the content of each.
#[cfg(feature = "runtime")]
pub(crate) fn walk(head: &SignedHead, mut open: impl FnMut(ChunkRef) -> Result<Vec<u8>, Fault>) -> Result<(), Fault> {
    let manifest = Manifest::read(&open(head.head().manifest)?)?;
    let candidate = head.head().candidate.as_ref().map(|candidate| candidate.definitions);
    for index in [Some(manifest.definitions), candidate].into_iter().flatten() {
        for (_, section) in DefinitionsIndex::read(&open(index)?)?.sections() {
            open(section)?;
        }
    }
    let mut shards = Vec::new();
    for (_, node) in manifest.tenants.iter() {
        let node = TreeNode::read(&open(node)?, &node.hash.to_string())?;
        shards.extend(node.iter().map(|(_, shard)| shard));
    }
    shards.into_iter().try_for_each(|shard| open(shard).map(drop))
}

/// Contents by hash, opened against what names them.
struct Find<'f> {
    find: &'f dyn Fn(Hash) -> Option<Chunk>,
    opener: Opener,
}

impl<'f> Find<'f> {
    fn new(find: &'f dyn Fn(Hash) -> Option<Chunk>) -> Self {
        Self { find, opener: Opener::default() }
    }

    fn open(&mut self, reference: ChunkRef) -> Result<Vec<u8>, Fault> {
        let chunk = (self.find)(reference.hash).ok_or_else(|| super::gathering::missing(reference.hash))?;
        self.opener.open(&chunk, reference).map(std::borrow::Cow::into_owned)
    }

    fn definitions(&mut self, index: ChunkRef) -> Result<Definitions, Fault> {
        let mut definitions = Definitions::default();
        for (name, section) in DefinitionsIndex::read(&self.open(index)?)?.sections() {
            read_section(&self.open(section)?, name, section, &mut definitions)?;
        }
        Ok(definitions)
    }
}

/// Everything that a head names, as people author it: all tenants, and the definitions that are in force for everybody,
/// or those on trial.
///
/// # Errors
/// `missing_chunk`, and whatever is wrong with a content.
pub fn read_definitions(
    head: &SignedHead,
    staged: Option<&Candidate>,
    find: &dyn Fn(Hash) -> Option<Chunk>,
) -> Result<Definitions, Fault> {
    let mut find = Find::new(find);
    let manifest = Manifest::read(&find.open(head.head().manifest)?)?;
    let index = staged.map_or(manifest.definitions, |candidate| candidate.definitions);
    let mut definitions = find.definitions(index)?;
    for (node, reference) in manifest.tenants.iter() {
        for (shard, named) in TreeNode::read(&find.open(reference)?, &reference.hash.to_string())?.iter() {
            let tenants = read_shard(&find.open(named)?, named, Place { node, shard }, &head.head().stream)?;
            definitions.tenants.extend(tenants);
        }
    }
    Ok(definitions)
}

/// The definitions that an index names, as people author them, without tenants.
///
/// # Errors
/// `missing_chunk`, and whatever is wrong with a content.
pub fn read_index(index: ChunkRef, find: &dyn Fn(Hash) -> Option<Chunk>) -> Result<Definitions, Fault> {
    Find::new(find).definitions(index)
}

/// One tenant of a stream, by its manifest; nothing where it is not in it.
///
/// # Errors
/// `missing_chunk`, and whatever is wrong with a content on the way to it.
pub fn read_tenant(
    manifest: &Manifest,
    stream: &Region,
    tenant: &TenantId,
    find: &dyn Fn(Hash) -> Option<Chunk>,
) -> Result<Option<Tenant>, Fault> {
    let mut find = Find::new(find);
    let place = Place::of(tenant.as_str());
    let Some(node) = manifest.tenants.get(place.node) else { return Ok(None) };
    let Some(shard) = TreeNode::read(&find.open(node)?, &node.hash.to_string())?.get(place.shard) else {
        return Ok(None);
    };
    let tenants = read_shard(&find.open(shard)?, shard, place, stream)?;
    Ok(tenants.into_iter().find_map(|(id, read)| (id == *tenant).then_some(read)))
}
