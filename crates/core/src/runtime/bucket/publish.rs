//! Publishing into a bucket: contents that are missing, the history, then the head.

use super::{Bucket, BucketError, is_denied};
use crate::runtime::Published;
use crate::wire::{
    Chunk, ChunkRef, DefinitionsIndex, Encoding, Fault, FaultCode, Manifest, SignedHead, Stage, TreeNode, Trust,
};
use crate::{Hash, Region};
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStoreExt, PutOptions};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};

/// How many contents are under way at a time.
const ABREAST: usize = 16;

/// All that one head names, known to be in the bucket.
#[derive(Debug, Default)]
pub(super) struct Whole {
    /// The head's document. Where another lies in the bucket, nothing is known.
    head: Option<Hash>,
    contents: HashSet<Hash>,
    /// Nodes of the tenant tree, which need not be read again to know what is below them.
    nodes: HashMap<Hash, TreeNode>,
}

impl Bucket {
    /// Publishes a head: contents that are not there yet, the history where the revision is new, and the head last. What
    /// was published before stays whole, whatever happens on the way.
    ///
    /// `contents` gives what the head names; each is verified before it is written. `trust` says whom to believe of what
    /// lies in the bucket, and of the head: its stream has no meaning here.
    ///
    /// What the last head names that was published through this is not looked for again.
    ///
    /// # Errors
    /// What is wrong with the head that lies there or with the one to be published: `older_revision`, `revision_conflict`
    /// and `not_newer` where that one is behind it. What is wrong with a content, or why `contents` does not have it.
    /// `bucket_unreachable` where something cannot be read or written.
    pub async fn publish<G>(
        &self,
        head: &SignedHead,
        trust: &Trust,
        contents: impl Fn(ChunkRef) -> G,
    ) -> Result<Published, BucketError>
    where
        G: Future<Output = Result<Chunk, Fault>>,
    {
        let stream = &head.head().stream;
        let trust = Trust { stream: stream.clone(), ..trust.clone() };
        trust.head(head.bytes())?;
        let last = match self.head(stream).await {
            // As for contents below. Readers take no older head, whatever is written over a newer one.
            Err(BucketError::Store(error)) if is_denied(&*error) => None,
            head => head?.map(|document| trust.head(&document)).transpose()?,
        };
        last.as_ref().map_or(Ok(()), |last| last.mark().admit(head))?;

        let published = last.as_ref().map(|last| Hash::of(last.bytes()));
        let known = self.whole().get(stream).filter(|whole| whole.head == published).cloned().unwrap_or_default();
        let carry = Carry { bucket: self, known: &known, contents: &contents };
        let (whole, stored) = carry.all(head).await?;

        let changed = last.as_ref().map(|last| last.head().order()) != Some(head.head().order());
        if changed {
            self.put(&self.history_path(head), head.bytes().to_vec(), "no-cache").await?;
        }
        if last.is_none_or(|last| last.bytes() != head.bytes()) {
            self.put(&self.head_path(stream), head.bytes().to_vec(), "no-cache").await?;
        }
        self.whole().insert(stream.clone(), Arc::new(whole));
        Ok(Published {
            stream: stream.clone(),
            revision: head.head().revision,
            changed,
            new_chunks: stored.chunks,
            new_bytes: stored.bytes,
            stored_bytes: stored.compressed,
            head_bytes: head.bytes().len() as u64,
        })
    }

    /// The same, waiting for it.
    ///
    /// # Errors
    /// Those of [`Self::publish`].
    pub fn publish_blocking(
        &mut self,
        head: &SignedHead,
        trust: &Trust,
        contents: impl Fn(ChunkRef) -> Result<Chunk, Fault> + Send + Sync,
    ) -> Result<Published, BucketError> {
        self.wait(async |bucket| bucket.publish(head, trust, |reference| std::future::ready(contents(reference))).await)
    }

    fn whole(&self) -> MutexGuard<'_, HashMap<Region, Arc<Whole>>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put(&self, path: &Path, bytes: Vec<u8>, cache: &'static str) -> Result<(), BucketError> {
        let mut options = PutOptions::default();
        if self.place.takes_cache_control() {
            options.attributes = Attributes::from_iter([(Attribute::CacheControl, cache)]);
        }
        self.store.put_opts(path, bytes.into(), options).await?;
        Ok(())
    }

    /// Whether a content is there, in one of its forms.
    async fn has(&self, hash: Hash) -> Result<bool, BucketError> {
        for encoding in [Encoding::Zstd, Encoding::Raw] {
            match self.store.head(&self.chunk_path(hash, encoding)).await {
                // S3 says that it may not be read where it is not there, to whom may not list the bucket: writing shows.
                Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    chunks: u64,
    bytes: u64,
    compressed: u64,
}

impl Stored {
    fn and(self, other: Self) -> Self {
        Self {
            chunks: self.chunks + other.chunks,
            bytes: self.bytes + other.bytes,
            compressed: self.compressed + other.compressed,
        }
    }
}

/// Carries all that a head names into a bucket.
struct Carry<'a, C> {
    bucket: &'a Bucket,
    known: &'a Whole,
    contents: &'a C,
}

impl<G, C> Carry<'_, C>
where
    C: Fn(ChunkRef) -> G,
    G: Future<Output = Result<Chunk, Fault>>,
{
    async fn all(&self, head: &SignedHead) -> Result<(Whole, Stored), BucketError> {
        let mut whole = Whole { head: Some(Hash::of(head.bytes())), ..Whole::default() };
        let head = head.head();
        let manifest = Manifest::read(&self.open(head.manifest).await?)?;
        let candidate = head.candidate.as_ref().map(|candidate| candidate.definitions);
        let mut named = vec![head.manifest];
        for index in [Some(manifest.definitions), candidate].into_iter().flatten() {
            named.push(index);
            let index = DefinitionsIndex::read(&self.open(index).await?)?;
            named.extend(index.sections().map(|(_, section)| section));
        }
        for (_, reference) in manifest.tenants.iter() {
            let node = match self.known.nodes.get(&reference.hash) {
                Some(node) => node.clone(),
                None => TreeNode::read(&self.open(reference).await?, &reference.hash.to_string())?,
            };
            named.push(reference);
            named.extend(node.iter().map(|(_, shard)| shard));
            whole.nodes.insert(reference.hash, node);
        }
        named.retain(|reference| whole.contents.insert(reference.hash));
        let missing = named.into_iter().filter(|reference| !self.known.contents.contains(&reference.hash));
        let stored = stream::iter(missing)
            .map(|reference| self.content(reference))
            .buffer_unordered(ABREAST)
            .try_fold(Stored::default(), |sum, one| std::future::ready(Ok(sum.and(one))))
            .await?;
        Ok((whole, stored))
    }

    async fn open(&self, reference: ChunkRef) -> Result<Vec<u8>, BucketError> {
        Ok((self.contents)(reference).await?.open(reference)?)
    }

    /// Writes a content where it is not there yet.
    async fn content(&self, reference: ChunkRef) -> Result<Stored, BucketError> {
        if self.bucket.has(reference.hash).await? {
            return Ok(Stored::default());
        }
        let chunk = (self.contents)(reference).await?;
        // What nobody could use is not published.
        chunk.open(reference)?;
        let compressed = chunk.bytes().len() as u64;
        if compressed > reference.length {
            let message = "it is longer compressed than as it is: readers would take it for too long";
            let item = reference.hash.to_string();
            return Err(Fault::new(Stage::Hash, FaultCode::TooLong, item, message).into());
        }
        let path = self.bucket.chunk_path(reference.hash, chunk.encoding());
        // What bears a hash never changes.
        self.bucket.put(&path, chunk.bytes().to_vec(), "public, max-age=31536000, immutable").await?;
        Ok(Stored { chunks: 1, bytes: reference.length, compressed })
    }
}
