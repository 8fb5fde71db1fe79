#![doc = include_str!("../README.md")]
//!
//! # Map of the crate
//!
//! [`schema`] brings a database to the schema that this build knows, and checks that it has it. [`TenantTransaction`] is
//! the only way to a tenant's rows. [`ledger`] counts what tenants use of their limits.

#[cfg(feature = "cluster")]
pub mod cluster;
mod error;
#[cfg(feature = "ledger")]
pub mod ledger;
pub mod schema;
mod tenant;

pub use error::Error;
pub use tenant::TenantTransaction;
