//! Gathering what a head names: what is here, what is still to be fetched.

use super::Loaded;
use crate::wire::{
    Chunk, ChunkRef, DefinitionsIndex, Encoding, Fault, FaultCode, MAX_INDEX_BYTES, Manifest, Opener, SignedHead,
    Stage, TreeNode,
};
use crate::{EngineId, Hash, SortedMap};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Most bytes of contents that are kept open.
const MOST_OPENED: usize = 4 << 20;

/// A head, and what has come of that which it names.
#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) head: SignedHead,
    /// The definitions to be used: the candidate's where this engine is in the share.
    pub(crate) in_use: Option<ChunkRef>,
    pub(crate) manifest: Option<Manifest>,
    /// The definitions in force, and those on trial.
    pub(crate) indexes: Vec<(ChunkRef, Option<DefinitionsIndex>)>,
    pub(crate) nodes: SortedMap<u8, (ChunkRef, Option<Arc<TreeNode>>)>,
    /// What came.
    pub(crate) fetched: HashMap<Hash, Chunk>,
    /// The contents of what came, where they are few: for a delta, nothing is opened twice.
    opened: HashMap<Hash, Vec<u8>>,
    opened_bytes: usize,
    /// What was asked for.
    outstanding: HashMap<Hash, ChunkRef>,
}

impl Gathering {
    /// Begins with what came for a head before it, if anything.
    pub(crate) fn new(head: SignedHead, fetched: HashMap<Hash, Chunk>) -> Self {
        Self {
            head,
            in_use: None,
            manifest: None,
            indexes: Vec::new(),
            nodes: SortedMap::new(),
            fetched,
            opened: HashMap::new(),
            opened_bytes: 0,
            outstanding: HashMap::new(),
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.outstanding.is_empty()
    }

    pub(crate) fn waits_for(&self, hash: Hash) -> bool {
        self.outstanding.contains_key(&hash)
    }

    /// Takes a content that was asked for; says whether it was.
    pub(crate) fn take(&mut self, hash: Hash, chunk: Chunk, opener: &mut Opener) -> Result<bool, Fault> {
        let Some(reference) = self.outstanding.get(&hash).copied() else { return Ok(false) };
        let content = opener.open(&chunk, reference)?;
        let kept = keep(&chunk, &content);
        if self.opened_bytes + content.len() <= MOST_OPENED {
            self.opened_bytes += content.len();
            self.opened.insert(hash, content.into_owned());
        }
        self.outstanding.remove(&hash);
        self.fetched.insert(hash, kept);
        Ok(true)
    }

    /// Takes a content from a pack or folder. What is compressed is verified when it is opened.
    pub(crate) fn take_unopened(
        &mut self,
        reference: ChunkRef,
        chunk: Chunk,
        opener: &mut Opener,
    ) -> Result<(), Fault> {
        let kept = match chunk.encoding() {
            Encoding::Raw => keep(&chunk, &opener.open(&chunk, reference)?),
            Encoding::Zstd => chunk,
        };
        self.outstanding.remove(&reference.hash);
        self.fetched.insert(reference.hash, kept);
        Ok(())
    }

    /// Opens what will not be compiled: definitions that are not in use.
    pub(crate) fn open_unused(&self, opener: &mut Opener) -> Result<(), Fault> {
        let unused = self.indexes.iter().filter(|(index, _)| Some(*index) != self.in_use);
        let mut sections = unused.filter_map(|(_, index)| index.as_ref()).flat_map(DefinitionsIndex::sections);
        sections.try_for_each(|(_, section)| self.open(None, section, opener).map(drop))
    }

    /// Goes on as far as what is here allows, and gives what is to be asked for next. Nothing more is wanted once it
    /// gives nothing and is not waiting.
    pub(crate) fn advance(
        &mut self,
        loaded: Option<&Loaded>,
        engine: Option<&EngineId>,
        opener: &mut Opener,
    ) -> Result<Vec<ChunkRef>, Fault> {
        if self.is_waiting() {
            return Ok(Vec::new());
        }
        let mut wanted: Vec<ChunkRef> = Vec::new();
        let head = self.head.head();
        if self.manifest.is_none() {
            bounded(head.manifest)?;
            if self.find(loaded, head.manifest.hash).is_none() {
                return Ok(self.ask(vec![head.manifest]));
            }
            let manifest = Manifest::read(&self.open(loaded, head.manifest, opener)?)?;
            let candidate = head.candidate.as_ref().map(|candidate| candidate.definitions);
            candidate.map_or(Ok(()), bounded)?;
            self.in_use = Some(head.staged_for(engine).map_or(manifest.definitions, |it| it.definitions));
            self.indexes = [Some(manifest.definitions), candidate].into_iter().flatten().map(|it| (it, None)).collect();
            self.nodes = manifest.tenants.iter().map(|(place, node)| (place, (node, None))).collect();
            self.manifest = Some(manifest);
        }
        let mut indexes = std::mem::take(&mut self.indexes);
        for (reference, index) in indexes.iter_mut().filter(|(_, index)| index.is_none()) {
            if self.find(loaded, reference.hash).is_none() {
                wanted.push(*reference);
            } else {
                *index = Some(DefinitionsIndex::read(&self.open(loaded, *reference, opener)?)?);
            }
        }
        let mut nodes = std::mem::take(&mut self.nodes);
        for (place, (reference, node)) in nodes.iter_mut().filter(|(_, (_, node))| node.is_none()) {
            // A node that runs already is known, and so is all below it.
            let known = loaded.and_then(|loaded| loaded.node(*place)).filter(|(known, _)| **known == *reference);
            if let Some((_, known)) = known {
                *node = Some(known.clone());
            } else if self.find(loaded, reference.hash).is_none() {
                wanted.push(*reference);
            } else {
                let content = self.open(loaded, *reference, opener)?;
                *node = Some(Arc::new(TreeNode::read(&content, &reference.hash.to_string())?));
            }
        }
        let sections = indexes.iter().filter_map(|(_, index)| index.as_ref()).flat_map(DefinitionsIndex::sections);
        wanted.extend(sections.map(|(_, section)| section).filter(|section| self.find(loaded, section.hash).is_none()));
        for (place, (reference, node)) in &nodes {
            let Some(node) = node else { continue };
            if loaded.and_then(|loaded| loaded.node(*place)).is_some_and(|(known, _)| *known == *reference) {
                continue;
            }
            wanted.extend(node.iter().map(|(_, shard)| shard).filter(|shard| self.find(loaded, shard.hash).is_none()));
        }
        (self.indexes, self.nodes) = (indexes, nodes);
        Ok(self.ask(wanted))
    }

    fn ask(&mut self, mut wanted: Vec<ChunkRef>) -> Vec<ChunkRef> {
        wanted.sort_unstable();
        wanted.dedup();
        self.outstanding = wanted.iter().map(|reference| (reference.hash, *reference)).collect();
        wanted
    }

    pub(crate) fn find<'s>(&'s self, loaded: Option<&'s Loaded>, hash: Hash) -> Option<&'s Chunk> {
        self.fetched.get(&hash).or_else(|| loaded.and_then(|loaded| loaded.chunk(hash)))
    }

    /// The content that a reference names, which must be here.
    pub(crate) fn open<'s>(
        &'s self,
        loaded: Option<&'s Loaded>,
        reference: ChunkRef,
        opener: &mut Opener,
    ) -> Result<Cow<'s, [u8]>, Fault> {
        if let Some(content) = self.opened.get(&reference.hash) {
            return Ok(Cow::Borrowed(content));
        }
        match self.find(loaded, reference.hash) {
            Some(chunk) => opener.open(chunk, reference),
            None => Err(missing(reference.hash)),
        }
    }
}

pub(crate) fn missing(hash: Hash) -> Fault {
    Fault::new(Stage::Download, FaultCode::MissingChunk, hash.to_string(), "it is named and not there")
}

fn bounded(reference: ChunkRef) -> Result<(), Fault> {
    crate::wire::bounded(reference, MAX_INDEX_BYTES, "head")
}

/// Contents stay compressed beside what is compiled from them.
#[cfg(feature = "runtime")]
fn keep(chunk: &Chunk, content: &[u8]) -> Chunk {
    match chunk.encoding() {
        Encoding::Raw => Chunk::compressed(content),
        Encoding::Zstd => chunk.clone(),
    }
}

#[cfg(not(feature = "runtime"))]
fn keep(chunk: &Chunk, _: &[u8]) -> Chunk {
    chunk.clone()
}
