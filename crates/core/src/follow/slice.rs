//! The slice in force.

use crate::compile::Compiler;
use crate::snapshot::{Origin, Stamp};
use crate::wire::{Fault, FaultCode, Slice, Stage};
use crate::{Hash, Snapshot};

/// The content of a slice, and what was compiled from it.
#[derive(Debug)]
pub(crate) struct HeldSlice {
    hash: Hash,
    /// Hash of what stood before the content.
    envelope: Hash,
    content: Vec<u8>,
    compiler: Compiler,
}

impl HeldSlice {
    /// The content's hash, which is the slice's ETag.
    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }

    /// The whole document, given the head and envelope of a later one with the same content.
    pub(crate) fn renewed(&self, envelope: &[u8]) -> Vec<u8> {
        [envelope, &self.content, b"\n"].concat()
    }

    /// Whether this is the document that is held, with or without its content.
    pub(crate) fn is(&self, document: &[u8]) -> bool {
        self.envelope == Hash::of(self.before_content(document))
    }

    fn before_content<'d>(&self, document: &'d [u8]) -> &'d [u8] {
        let without = document.strip_suffix(b"\n").and_then(|document| document.strip_suffix(self.content.as_slice()));
        without.unwrap_or(document)
    }

    pub(crate) fn restamp(&mut self, stamp: Stamp) -> Snapshot {
        self.compiler.restamp(stamp).sliced()
    }

    /// Holds a slice, whose content is compiled only where it is another.
    pub(crate) fn hold(
        held: &mut Option<Self>,
        slice: Slice,
        document: &[u8],
        origin: Origin,
    ) -> Result<Snapshot, Fault> {
        let envelope = slice.envelope();
        let refused = |found| Fault::invalid(Stage::Compile, "slice content", found);
        let kept = held.as_mut().filter(|held| held.hash == envelope.content.hash);
        let snapshot = if let Some(kept) = kept {
            kept.envelope = Hash::of(kept.before_content(document));
            kept.compiler.name_definitions(envelope.definitions);
            kept.restamp(slice.stamp())
        } else {
            let content = slice.content().ok_or_else(|| {
                let message = "it came without its content";
                Fault::new(Stage::Download, FaultCode::MissingChunk, "slice content", message)
            })?;
            let mut building = Compiler::begin_slice(content, envelope.definitions);
            for (id, tenant) in &content.definitions.tenants {
                building.add(id, tenant);
            }
            let (compiler, snapshot) = building.finish(slice.stamp()).map_err(refused)?;
            let length = usize::try_from(envelope.content.length).unwrap_or(usize::MAX);
            let content = document.len().checked_sub(length + 1).and_then(|start| document.get(start..start + length));
            let content = content.unwrap_or_default().to_vec();
            let mut new = Self { hash: envelope.content.hash, envelope: Hash::default(), content, compiler };
            new.envelope = Hash::of(new.before_content(document));
            *held = Some(new);
            snapshot.sliced()
        };
        Ok(if origin == Origin::Source { snapshot } else { snapshot.restored() })
    }
}
