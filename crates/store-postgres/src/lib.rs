#![doc = include_str!("../README.md")]
//!
//! # Map of the crate
//!
//! [`schema`] brings a database to the schema that this build knows, and checks that it has it. [`TenantTransaction`] is
//! the only way to a tenant's rows. `workflow` moves items from stage to stage (feature `hq`).

#[cfg(feature = "cluster")]
pub mod cluster;
mod error;
pub mod schema;
mod tenant;
#[cfg(feature = "hq")]
pub mod workflow;

pub use error::Error;
pub use tenant::TenantTransaction;
