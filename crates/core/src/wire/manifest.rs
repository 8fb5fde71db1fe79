//! Manifests: which contents make up a snapshot, by hash and length.
//!
//! A manifest names the index of the definitions and the first level of the tenant tree. Each of its up to 64 entries
//! names a node, and each of a node's up to 64 entries a shard of tenants: the first 12 bits of the SHA-256 of a tenant's
//! id say where it belongs.

use super::{Fault, FaultCode, MAX_CHUNK_BYTES, MAX_INDEX_BYTES, Stage, canonical};
use crate::Hash;
use crate::model::DiagnosticCode;
use crate::model::read::{Node, Read, Reader, records};
use crate::model::words::words;
use serde::{Serialize, Serializer};
use std::fmt;

/// Length of `{}` and `[]`. What holds nothing is left out, so that no two places name the same content.
const EMPTY: u64 = 2;

/// Version of the manifest's form.
pub const MANIFEST_FORMAT: u32 = 1;

/// A content by its hash, and how many bytes it has before any compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChunkRef {
    /// SHA-256 of the bytes.
    pub hash: Hash,
    /// Number of the bytes.
    pub length: u64,
}

impl ChunkRef {
    /// What names these bytes.
    #[must_use]
    pub fn to(bytes: &[u8]) -> Self {
        Self { hash: Hash::of(bytes), length: bytes.len() as u64 }
    }
}

/// Where a tenant belongs in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which node: the first six bits of the SHA-256 of the tenant's id.
    pub node: u8,
    /// Which shard of the node: the next six bits.
    pub shard: u8,
}

impl Place {
    /// Where a tenant belongs.
    #[must_use]
    pub fn of(tenant: &str) -> Self {
        let [first, second, ..] = *Hash::of(tenant.as_bytes()).as_bytes();
        Self { node: first >> 2, shard: (first & 3) << 4 | second >> 4 }
    }
}

/// One level of the tenant tree: up to 64 contents by their places, in order. Written as a list of
/// `[place, hash, length]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeNode(Vec<(u8, ChunkRef)>);

impl TreeNode {
    /// Children by their places, which must rise, from 0 to 63.
    #[must_use]
    pub(crate) fn new(children: Vec<(u8, ChunkRef)>) -> Option<Self> {
        let rising = children.is_sorted_by(|(a, _), (b, _)| a < b);
        (rising && children.last().is_none_or(|(last, _)| *last < 64)).then_some(Self(children))
    }

    /// The child at a place.
    #[must_use]
    pub fn get(&self, place: u8) -> Option<ChunkRef> {
        self.0.binary_search_by_key(&place, |(at, _)| *at).ok().and_then(|at| self.0.get(at)).map(|(_, child)| *child)
    }

    /// Children with their places, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u8, ChunkRef)> {
        self.0.iter().copied()
    }

    /// Reads a node whose hash has been verified; faults name it by `item`.
    ///
    /// # Errors
    /// `malformed`, `too_long`, and what canonical JSON must not be.
    pub fn read(bytes: &[u8], item: &str) -> Result<Self, Fault> {
        let node: Self = super::read(bytes, item)?;
        if node.0.is_empty() {
            return Err(Fault::new(Stage::Parse, FaultCode::Malformed, item, "a node without tenants is left out"));
        }
        node.bounded(MAX_CHUNK_BYTES, item)?;
        Ok(node)
    }

    fn bounded(&self, most: u64, item: &str) -> Result<(), Fault> {
        if self.0.iter().any(|(_, child)| child.length <= EMPTY) {
            return Err(Fault::new(Stage::Parse, FaultCode::Malformed, item, "what holds nothing is left out"));
        }
        self.0.iter().try_for_each(|(_, child)| bounded(*child, most, item))
    }
}

impl Serialize for TreeNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(place, child)| (place, child.hash, child.length)))
    }
}

impl<'a> Read<'a> for TreeNode {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let children: Vec<Child> = Read::read(node, reader)?;
        let children = children.into_iter().map(|Child(place, child)| (place, child)).collect();
        let node = Self::new(children);
        if node.is_none() {
            reader.note(
                DiagnosticCode::InvalidValue,
                "places do not rise from 0 to 63",
                "list each place once, in order",
            );
        }
        node
    }
}

struct Child(u8, ChunkRef);

impl<'a> Read<'a> for Child {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let mut parts = match node {
            Node::Array(parts) if parts.len() == 3 => parts.into_iter(),
            _ => {
                reader.note(DiagnosticCode::WrongType, "a child is a list of three", "write [place, hash, length]");
                return None;
            }
        };
        let place = u8::try_from(u16::read(parts.next()?, reader)?).ok();
        let (hash, length) = (Hash::read(parts.next()?, reader), u64::read(parts.next()?, reader));
        // A place beyond a byte is out of range as one beyond 63 is.
        Some(Self(place.unwrap_or(u8::MAX), ChunkRef { hash: hash?, length: length? }))
    }
}

/// Which contents make up a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Version of this form: [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The index of the definitions. Its hash is the definitions hash.
    pub definitions: ChunkRef,
    /// The first level of the tenant tree.
    pub tenants: TreeNode,
}

/// The contents that make up definitions. A section without records is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DefinitionsIndex {
    /// Features by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<ChunkRef>,
    /// Plans by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plans: Option<ChunkRef>,
    /// Add-ons by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_ons: Option<ChunkRef>,
    /// Kill switches by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kills: Option<ChunkRef>,
    /// Guards by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guards: Option<ChunkRef>,
    /// Workflow templates by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflows: Option<ChunkRef>,
    /// What an engine must be built with to answer every question about them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
}

words! {
    /// Something that not every engine is built with.
    Capability {
        /// The feature `rhai`: some guard is more than comparisons. An engine without it blocks such a guard, with a code
        /// of its own.
        Rhai = "rhai",
    }
}

records! {
    ChunkRef => { hash, length }
    Manifest => { format, definitions, tenants }
    DefinitionsIndex => { features, plans, add_ons, kills, guards, workflows, needs }
}

impl Manifest {
    /// Reads a manifest whose hash has been verified.
    ///
    /// # Errors
    /// `unknown_format`, `malformed`, and what canonical JSON must not be.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        // What a later format looks like is not known: its number must be told from anything else first.
        let node = canonical::parse(bytes).map_err(|flaw| super::not_canonical("manifest", flaw))?;
        if let Some(format) = super::integer(&node, "format")
            && format != i64::from(MANIFEST_FORMAT)
        {
            let message = format!("format {format} is not known: this engine knows {MANIFEST_FORMAT}");
            return Err(Fault::new(Stage::Parse, FaultCode::UnknownFormat, "manifest", message));
        }
        let manifest: Self = super::read_node(node, "manifest")?;
        bounded(manifest.definitions, MAX_INDEX_BYTES, "manifest")?;
        manifest.tenants.bounded(MAX_INDEX_BYTES, "manifest")?;
        Ok(manifest)
    }
}

impl DefinitionsIndex {
    /// Reads an index whose hash has been verified.
    ///
    /// # Errors
    /// `malformed`, and what canonical JSON must not be.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let index: Self = super::read(bytes, "definitions")?;
        let malformed = |what| Err(Fault::new(Stage::Parse, FaultCode::Malformed, "definitions", what));
        if index.sections().any(|(_, section)| section.length <= EMPTY) {
            return malformed("an empty section is left out");
        }
        if !index.needs.is_sorted_by(|a, b| a < b) {
            return malformed("`needs` lists each word once, in order");
        }
        // An empty list means what its absence means, and has another hash.
        if index.needs.is_empty() && canonical::to_vec(&index).as_deref() != Ok(bytes) {
            return malformed("an empty `needs` is left out");
        }
        index.sections().try_for_each(|(_, section)| bounded(section, MAX_CHUNK_BYTES, "definitions"))?;
        Ok(index)
    }

    /// The sections that are there, by name.
    pub fn sections(&self) -> impl Iterator<Item = (&'static str, ChunkRef)> {
        let all = [
            ("features", self.features),
            ("plans", self.plans),
            ("add_ons", self.add_ons),
            ("kills", self.kills),
            ("guards", self.guards),
            ("workflows", self.workflows),
        ];
        all.into_iter().filter_map(|(name, section)| Some((name, section?)))
    }
}

/// Refuses a content that is announced longer than any of its sort may be.
pub(crate) fn bounded(child: ChunkRef, most: u64, item: &str) -> Result<(), Fault> {
    if child.length <= most {
        return Ok(());
    }
    let message = format!("it names a content of {} bytes, and {most} are allowed", child.length);
    Err(Fault::new(Stage::Parse, FaultCode::TooLong, item, message))
}
