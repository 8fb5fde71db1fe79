//! What needs a native host: the store that readers and writers share, directories, and the thread that follows a source.

mod directory;
mod engine;
mod following;
mod publish;
mod snapshots;
mod source;

pub use directory::read_directory;
pub use engine::{Engine, Tenant};
pub use following::{Following, Keep};
pub use publish::Published;
pub use snapshots::SnapshotDirectory;
pub use source::{Answer, MemorySource, Source};
