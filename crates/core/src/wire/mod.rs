//! What travels: canonical JSON, keys and signatures, heads, manifests, chunks, packs, slices and checkpoints.
//!
//! `docs/snapshot-format.md` lays every byte down. Reading fails closed: a type of this module that stands for something
//! signed can only be had by verifying it.

pub mod canonical;
mod checkpoint;
mod chunk;
mod fault;
mod head;
mod keys;
mod manifest;
mod pack;
mod slice;
mod statement;
mod trust;

pub use checkpoint::{ChainEnd, Checkpoint, SignedCheckpoint};
pub(crate) use chunk::Opener;
pub use chunk::{Chunk, Encoding};
pub use fault::{Fault, FaultCode, Stage};
pub use head::{Candidate, Head, Mark, SignedHead, SliceKey};
pub use keys::{Certificate, KeyId, PublicKey, SecretKey};
pub(crate) use manifest::bounded;
pub use manifest::{Capability, ChunkRef, DefinitionsIndex, MANIFEST_FORMAT, Manifest, Place, TreeNode};
pub use pack::Pack;
pub use slice::{Slice, SliceContent, SliceEnvelope};
pub use trust::Trust;

/// Version of the meaning of definitions that this engine implements. A head that needs a later one is refused.
pub const SEMANTICS_VERSION: u32 = 1;
/// Largest head, with its certificate, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 << 10;
/// Largest manifest or node of the tenant tree, in bytes.
pub const MAX_INDEX_BYTES: u64 = 1 << 20;
/// Largest content of any sort, in bytes before compression.
pub const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// Largest checkpoint, with its certificate, in bytes: room for about 400,000 chains.
pub const MAX_CHECKPOINT_BYTES: usize = 64 << 20;

use crate::model::Diagnostics;
use crate::model::read::{Node, Read, Reader};

/// Reads a whole document in canonical JSON.
pub(crate) fn read<'a, T: Read<'a>>(bytes: &'a [u8], item: &str) -> Result<T, Fault> {
    read_node(canonical::parse(bytes).map_err(|flaw| not_canonical(item, flaw))?, item)
}

/// What an object says under a key, where that is an integer.
pub(crate) fn integer(node: &Node<'_>, key: &str) -> Option<i64> {
    let Node::Object(entries) = node else { return None };
    entries.iter().find_map(|(name, value)| match value {
        Node::Integer(value) if name == key => Some(*value),
        _ => None,
    })
}

pub(crate) fn read_node<'a, T: Read<'a>>(node: Node<'a>, item: &str) -> Result<T, Fault> {
    let mut reader = Reader::canonical_at("");
    let value = T::read(node, &mut reader);
    match (Diagnostics::refuse_if_any(reader.found), value) {
        (Ok(()), Some(value)) => Ok(value),
        (Err(found), _) => Err(Fault::new(Stage::Parse, FaultCode::Malformed, item, listed(&found))),
        (Ok(()), None) => Err(Fault::new(Stage::Parse, FaultCode::Malformed, item, "it cannot be read")),
    }
}

/// Mistakes in a document, in one line.
fn listed(found: &Diagnostics) -> String {
    let told = found.as_slice().iter().take(3).map(|one| match one.path.as_str() {
        "" => one.message.clone(),
        path => format!("{path}: {}", one.message),
    });
    told.collect::<Vec<_>>().join("; ")
}

pub(crate) fn not_canonical(item: &str, flaw: canonical::NotCanonical) -> Fault {
    use canonical::NotCanonical;
    let code = match flaw {
        NotCanonical::Utf8(_) => FaultCode::InvalidUtf8,
        NotCanonical::Spelling(_) => FaultCode::NotCanonical,
        NotCanonical::DuplicateKey(_) => FaultCode::DuplicateKey,
        NotCanonical::TooDeep(_) => FaultCode::NestingTooDeep,
    };
    Fault::new(Stage::Parse, code, item, flaw.to_string())
}
