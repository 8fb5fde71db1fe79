//! What needs a native host: the store that readers and writers share, and reading directories.

mod directory;
mod engine;

pub use directory::read_directory;
pub use engine::{Engine, Tenant};
