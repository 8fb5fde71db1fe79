//! From definitions to what is published: contents by hash, signed heads, slices.

mod content;
mod release;
mod slice;
mod versions;

pub use content::{Content, candidate_kills, definitions_hash};
pub use release::{Signer, Terms, sign_slice};
pub use slice::cut;
pub use versions::changed_versions;
