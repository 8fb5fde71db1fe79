//! What needs a native host: the store that readers and writers share, directories, and the thread that follows a source.

#[cfg(feature = "object-store")]
mod bucket;
mod directory;
mod engine;
mod following;
#[cfg(feature = "http")]
mod http;
mod publish;
mod snapshots;
mod source;
mod worker;

#[cfg(feature = "object-store")]
pub use bucket::{Bucket, BucketError};
pub use directory::read_directory;
pub use engine::{Engine, Tenant};
pub use following::{Following, Keep, WaitError};
#[cfg(feature = "http")]
pub use http::{Hearing, HttpFollowing, HttpOptions, HttpPatience, HttpSource, InvalidHttpOptions};
pub use publish::Published;
pub use snapshots::SnapshotDirectory;
pub use source::{Answer, Interrupt, MemorySource, Source};
