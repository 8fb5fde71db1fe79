//! Buckets: snapshots in a directory or an object store, laid out as a [`SnapshotDirectory`](super::SnapshotDirectory) is,
//! so that a CDN can carry them.

mod place;
mod publish;

use super::snapshots::{chunk_name, history_name};
use super::source::answer;
use super::{Answer, Interrupt, Source};
use crate::wire::{Chunk, ChunkRef, Encoding, Fault, MAX_CHUNK_BYTES, MAX_HEAD_BYTES, SignedHead};
use crate::{Hash, Region};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use place::Place;
use publish::Whole;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How long a head may take that is followed.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a content may take.
const CHUNK_PATIENCE: Duration = Duration::from_secs(120);

/// Snapshots in a directory or in a bucket of an object store.
///
/// Publishers write to it with [`publish`](Self::publish), engines follow it as a [`Source`]. What one program writes and
/// another reads has the layout of a [`SnapshotDirectory`](super::SnapshotDirectory). One publisher writes a bucket at a
/// time.
///
/// As a source it waits for answers, on a runtime of its own.
pub struct Bucket {
    url: String,
    place: Place,
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// What the head of each stream names, as far as it was published through this.
    whole: Mutex<HashMap<Region, Arc<Whole>>>,
    runtime: Option<Runtime>,
    /// Whether what waits is to end.
    interrupt: Arc<watch::Sender<bool>>,
}

/// Why something could not be read from a bucket, or written to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The URL names no bucket.
    #[error("`{url}` names no bucket: {why}")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The kind of store has no such option.
    #[error("there is no option `{key}` for this kind of bucket")]
    UnknownOption {
        /// What was given.
        key: String,
    },
    /// The store does not answer, or says no.
    #[error("the bucket cannot be used: {0}")]
    Store(Box<dyn std::error::Error + Send + Sync>),
    /// Something is longer than it may be.
    #[error("`{path}` has {length} bytes, and may have {most}")]
    TooLong {
        /// Where it lies.
        path: String,
        /// How long it is.
        length: u64,
        /// How long it may be.
        most: u64,
    },
    /// What was to be published, or what lies there, is not to be believed, or is newer.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl BucketError {
    /// The stable code of this error, the same in every language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidUrl { .. } => "invalid_bucket_url",
            Self::UnknownOption { .. } => "unknown_bucket_option",
            Self::Store(_) => "bucket_unreachable",
            Self::TooLong { .. } => "too_long",
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl From<object_store::Error> for BucketError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error.into())
    }
}

impl fmt::Debug for Bucket {
    // What opens the store holds its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Bucket {
    /// Opens what a URL names. Nothing is asked yet, and it need not be there.
    ///
    /// - `file:///path` is a directory. It takes no options.
    /// - `s3://bucket/prefix` is a bucket that speaks S3. The variables `AWS_*` of the environment say who and where;
    ///   options add to them and go before them: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `allow_http`,
    ///   `skip_signature` and the others of [`AmazonS3ConfigKey`](object_store::aws::AmazonS3ConfigKey).
    /// - `memory:///` is nowhere, for tests.
    ///
    /// # Errors
    /// `invalid_bucket_url`, `unknown_bucket_option`; `bucket_unreachable` where the options do not go together.
    pub fn open<'o>(url: &str, options: impl IntoIterator<Item = (&'o str, &'o str)>) -> Result<Self, BucketError> {
        let (place, root) = Place::read(url, options)?;
        Self::at(url, place, root)
    }

    /// The same bucket, for another thread: it has connections of its own. One in memory shares what it holds.
    ///
    /// # Errors
    /// As those of [`Self::open`].
    pub fn again(&self) -> Result<Self, BucketError> {
        Self::at(&self.url, self.place.again(), self.root.clone())
    }

    fn at(url: &str, place: Place, root: Path) -> Result<Self, BucketError> {
        let store = place.open()?;
        let (url, whole) = (url.to_owned(), Mutex::default());
        Ok(Self { url, place, store, root, whole, runtime: None, interrupt: Arc::default() })
    }

    /// The current head of a stream; nothing where there is none.
    ///
    /// # Errors
    /// `bucket_unreachable`, `too_long`.
    pub async fn head(&self, stream: &Region) -> Result<Option<Vec<u8>>, BucketError> {
        self.get(&self.head_path(stream), MAX_HEAD_BYTES as u64).await
    }

    /// A content, not verified; nothing where there is none. No more is read than the reference says: compressed, no
    /// content is longer.
    ///
    /// # Errors
    /// `bucket_unreachable`, `too_long`.
    pub async fn chunk(&self, reference: ChunkRef) -> Result<Option<Chunk>, BucketError> {
        let most = reference.length.min(MAX_CHUNK_BYTES);
        let compressed = match self.get(&self.chunk_path(reference.hash, Encoding::Zstd), most).await {
            // S3 says so of what is not there, to whom may not list the bucket.
            Err(BucketError::Store(error)) if is_denied(&*error) => None,
            compressed => compressed?,
        };
        if let Some(frame) = compressed {
            return Ok(Some(Chunk::zstd(frame)));
        }
        Ok(self.get(&self.chunk_path(reference.hash, Encoding::Raw), most).await?.map(Chunk::raw))
    }

    async fn get(&self, path: &Path, most: u64) -> Result<Option<Vec<u8>>, BucketError> {
        let found = match self.store.get(path).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            found => found?,
        };
        let length = found.meta.size;
        if length > most {
            return Err(BucketError::TooLong { path: path.to_string(), length, most });
        }
        Ok(Some(found.bytes().await?.to_vec()))
    }

    fn head_path(&self, stream: &Region) -> Path {
        self.root.clone().join("heads").join(format!("{stream}.head"))
    }

    fn history_path(&self, head: &SignedHead) -> Path {
        self.root.clone().join("history").join(head.head().stream.as_str()).join(history_name(head))
    }

    fn chunk_path(&self, hash: Hash, encoding: Encoding) -> Path {
        let (folder, name) = chunk_name(hash, encoding);
        self.root.clone().join("chunks").join(folder).join(name)
    }

    /// Waits for something that asks this bucket, until it comes or this is interrupted.
    fn wait<T: Send>(
        &mut self,
        ask: impl AsyncFnOnce(&Self) -> Result<T, BucketError> + Send,
    ) -> Result<T, BucketError> {
        let failed = |why: String| BucketError::Store(why.into());
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                builder.enable_all().build().map_err(|error| failed(error.to_string()))?
            }
        };
        let waiting = || {
            runtime.block_on(async {
                let mut interrupted = self.interrupt.subscribe();
                tokio::select! {
                    answer = ask(self) => answer,
                    _ = interrupted.wait_for(|interrupted| *interrupted) => Err(failed("interrupted".to_owned())),
                }
            })
        };
        // The caller's thread may be one that drives a runtime: no other may be driven there.
        let waited = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, waiting);
            let waited = thread.map_err(|error| failed(error.to_string()))?.join();
            waited.unwrap_or_else(|_| Err(failed("asking it panicked".to_owned())))
        });
        self.runtime = Some(runtime);
        waited
    }

    /// The same, for no longer than this.
    fn wait_within<T: Send>(
        &mut self,
        patience: Duration,
        ask: impl AsyncFnOnce(&Self) -> Result<T, BucketError> + Send,
    ) -> Result<T, String> {
        let waited = self.wait(async |bucket| match tokio::time::timeout(patience, ask(bucket)).await {
            Ok(answer) => answer,
            Err(_) => Err(BucketError::Store(format!("it did not answer within {} s", patience.as_secs()).into())),
        });
        waited.map_err(|error| error.to_string())
    }
}

/// Whether a store says that something may not be read.
fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(object_store::Error::PermissionDenied { .. }))
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may be dropped where nothing may wait; what still runs in it is of no use to anybody.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Source for Bucket {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        let head = self.wait_within(HEAD_PATIENCE, async |bucket| bucket.head(stream).await)?;
        answer(head, etag)
    }

    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
        self.wait_within(CHUNK_PATIENCE, async |bucket| bucket.chunk(reference).await)
    }

    fn interrupt(&self) -> Option<Interrupt> {
        let interrupt = self.interrupt.clone();
        Some(Interrupt::new(move || {
            interrupt.send_replace(true);
        }))
    }
}
