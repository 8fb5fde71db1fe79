//! Publishing into a directory.

use super::SnapshotDirectory;
use crate::build::{Content, Signer, Terms, candidate_kills};
use crate::model::Definitions;
use crate::wire::{Candidate, ChunkRef, Fault, FaultCode, SignedHead, Stage};
use crate::{Region, Revision};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// What publishing did to one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// The stream.
    pub stream: Region,
    /// The revision of its head.
    pub revision: Revision,
    /// Whether the revision is new; otherwise the head was signed again.
    pub changed: bool,
    /// Contents that were not there before.
    pub new_chunks: u64,
    /// Their bytes before compression.
    pub new_bytes: u64,
    /// Their bytes on disk.
    pub stored_bytes: u64,
    /// Bytes of the head with its certificate.
    pub head_bytes: u64,
}

impl SnapshotDirectory {
    /// Publishes definitions that have been compiled without a mistake: every region that has tenants, or had a head
    /// before, is a stream. Streams whose content changed get the next revision, all the same one; the others are signed
    /// again at theirs.
    ///
    /// # Errors
    /// What [`Signer::sign`] refuses; `not_persisted` where a file cannot be written. A head is written after all that it
    /// names: what was published before stays whole.
    pub fn publish(
        &self,
        definitions: &Definitions,
        candidate: Option<(&Definitions, u16)>,
        signer: &Signer,
        terms: &Terms,
    ) -> Result<Vec<Published>, Fault> {
        let no_form =
            |error| Fault::new(Stage::Compile, FaultCode::InvalidDefinitions, "definitions", format!("{error}"));
        let last = self.last_heads(signer)?;
        let mut streams: BTreeSet<Region> = definitions.tenants.values().map(|tenant| tenant.region.clone()).collect();
        streams.extend(last.keys().cloned());
        let staged = candidate.map(|(candidate, share_permille)| {
            // Kill switches are never on trial.
            let mut candidate = Definitions { tenants: BTreeMap::new(), ..candidate.clone() };
            candidate_kills(definitions, &mut candidate);
            let content = Content::of_definitions(&candidate).map_err(no_form)?;
            Ok((Candidate { definitions: content.root, share_permille }, content))
        });
        let staged = staged.transpose()?;
        let candidate = staged.as_ref().map(|(candidate, _)| candidate.clone());
        let next = next_revision(&last)?;
        // All of them can be signed before any is written.
        let mut signed = Vec::new();
        for stream in streams {
            let content = Content::of_stream(definitions, &stream).map_err(no_form)?;
            let last = last.get(&stream);
            let is_same =
                |head: &SignedHead| head.head().manifest == content.root && head.head().candidate == candidate;
            let same = last.filter(|head| is_same(head));
            let revision = same.map_or(next, |head| head.head().revision);
            let head = signer.sign(&stream, last, (revision, content.root, candidate.clone()), terms)?;
            signed.push((stream, content, last, head, same.is_none()));
        }
        let mut published = Vec::new();
        for (stream, content, _, head, changed) in &signed {
            let staged = staged.iter().flat_map(|(_, content)| &content.chunks);
            let (mut new_chunks, mut new_bytes, mut stored_bytes) = (0, 0, 0);
            for (reference, bytes) in content.chunks.iter().chain(staged) {
                let stored = self.write_chunk(*reference, bytes).map_err(not_written)?;
                if stored > 0 {
                    new_chunks += 1;
                    new_bytes += reference.length;
                    stored_bytes += stored;
                }
            }
            published.push(Published {
                stream: stream.clone(),
                revision: head.head().revision,
                changed: *changed,
                new_chunks,
                new_bytes,
                stored_bytes,
                head_bytes: head.bytes().len() as u64,
            });
        }
        for (_, _, last, head, _) in &signed {
            self.write_head(head, *last).map_err(not_written)?;
        }
        Ok(published)
    }

    /// Signs the current heads again, with the same contents: a heartbeat, another fleet key, another epoch, other slice
    /// keys.
    ///
    /// # Errors
    /// What [`Signer::sign`] refuses; `not_persisted` where a file cannot be written.
    pub fn sign_again(&self, signer: &Signer, terms: &Terms) -> Result<Vec<SignedHead>, Fault> {
        let lasts = self.last_heads(signer)?;
        let mut heads = Vec::new();
        for (stream, last) in &lasts {
            let said = last.head();
            let content: (Revision, ChunkRef, Option<Candidate>) =
                (said.revision, said.manifest, said.candidate.clone());
            heads.push(signer.sign(stream, Some(last), content, terms)?);
        }
        // All of them can be signed before any is written.
        let mut pairs = heads.iter().zip(lasts.values());
        pairs.try_for_each(|(head, last)| self.write_head(head, Some(last))).map_err(not_written)?;
        Ok(heads)
    }
}

fn next_revision(last: &BTreeMap<Region, SignedHead>) -> Result<Revision, Fault> {
    let highest = last.values().map(|head| head.head().revision.get()).max().unwrap_or(0);
    Revision::new(highest + 1).ok_or_else(|| {
        Fault::new(Stage::Verify, FaultCode::OlderRevision, "head", "there is no revision after the last one")
    })
}

fn not_written(error: io::Error) -> Fault {
    Fault::new(Stage::Persist, FaultCode::NotPersisted, "snapshots", error.to_string())
}
