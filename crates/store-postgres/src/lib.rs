#![doc = include_str!("../README.md")]
//!
//! # Map of the crate
//!
//! [`schema`] brings a database to the schema that this build knows, and checks that it has it. [`TenantTransaction`] is
//! the only way to a tenant's rows. [`audit`] keeps what was done, and shows that nobody changed it since.

#[cfg(feature = "hq")]
pub mod audit;
#[cfg(feature = "cluster")]
pub mod cluster;
mod error;
pub mod schema;
mod tenant;

pub use error::Error;
pub use tenant::TenantTransaction;
