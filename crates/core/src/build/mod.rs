//! From definitions to what is published: contents by hash, signed heads, slices.

mod change;
mod content;
mod release;
mod slice;
mod versions;

pub use change::Checker;
pub use content::{Content, candidate_kills, definitions_hash};
pub use release::{Signer, Terms, sign_slice};
pub use slice::cut;
pub use versions::changed_versions;
