//! Where snapshots come from.

use super::SnapshotDirectory;
use crate::follow::Report;
use crate::wire::{Chunk, ChunkRef, Pack};
use crate::{Hash, Region};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// What a source says when it is asked for its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The current head, as a document.
    Head(Vec<u8>),
    /// It is the one that was asked about.
    NotModified,
}

/// Where snapshots come from. A source carries bytes: what they are worth is for the follower to say.
pub trait Source: Send {
    /// The current head of a stream; no more than a word where its document has this hash.
    ///
    /// # Errors
    /// Why there is none, for people to read.
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String>;

    /// A content; nothing where the source does not have it.
    ///
    /// # Errors
    /// Why it could not be asked, for people to read.
    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String>;

    /// The head and all that it names in one file, for an engine that has nothing yet; nothing where the source has no such
    /// file, or it does not come. Contents are asked for one by one then.
    fn pack(&mut self, stream: &Region) -> Option<Vec<u8>> {
        let _ = stream;
        None
    }

    /// Takes what the publisher wants to know of its followers. A source without a way back drops it.
    fn report(&mut self, report: &Report) {
        let _ = report;
    }

    /// What ends a call that is under way, and keeps calls after it from waiting. A source without one is waited for when
    /// the [`Following`](super::Following) that asks it is dropped.
    fn interrupt(&self) -> Option<Interrupt> {
        None
    }
}

/// Interrupts a source from another thread.
pub struct Interrupt(Box<dyn Fn() + Send + Sync>);

impl Interrupt {
    /// Interrupts by calling this, once or several times.
    pub fn new(interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Box::new(interrupt))
    }

    pub(super) fn call(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupt")
    }
}

/// The answer to whom has this head.
pub(super) fn answer(head: Option<Vec<u8>>, etag: Option<Hash>) -> Result<Answer, String> {
    match head {
        None => Err("the stream has no head".to_owned()),
        Some(head) if etag == Some(Hash::of(&head)) => Ok(Answer::NotModified),
        Some(head) => Ok(Answer::Head(head)),
    }
}

/// A directory that a publisher writes, on this machine or mounted on it.
impl Source for SnapshotDirectory {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        answer(SnapshotDirectory::head(self, stream).map_err(|error| error.to_string())?, etag)
    }

    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
        self.chunk_of(reference.hash, reference.length).map_err(|error| error.to_string())
    }
}

/// Snapshots in memory, for tests and for programs that publish to themselves. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    heads: HashMap<Region, Vec<u8>>,
    chunks: HashMap<Hash, Chunk>,
    reports: Vec<Report>,
}

impl MemorySource {
    /// Offers a head and what it names as the current one of a stream.
    pub fn offer(&self, stream: &Region, pack: Pack) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.chunks.extend(pack.chunks);
        held.heads.insert(stream.clone(), pack.head);
    }

    /// What followers reported, oldest first.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).reports.clone()
    }
}

impl Source for MemorySource {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        answer(self.held.lock().unwrap_or_else(PoisonError::into_inner).heads.get(stream).cloned(), etag)
    }

    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
        Ok(self.held.lock().unwrap_or_else(PoisonError::into_inner).chunks.get(&reference.hash).cloned())
    }

    fn report(&mut self, report: &Report) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).reports.push(report.clone());
    }
}
