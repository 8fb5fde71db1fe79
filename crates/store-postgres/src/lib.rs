#![doc = include_str!("../README.md")]
//!
//! # Map of the crate
//!
//! [`schema`] brings a database to the schema that this build knows, and checks that it has it. [`TenantTransaction`] is
//! the only way to a tenant's rows. [`ledger`] counts what tenants use of their limits. [`audit`] keeps what was done, and
//! shows that nobody changed it since. [`hq`] is where definitions and tenants are authored, [`publish`] makes signed
//! snapshots of them, and [`PostgresFollowing`] is an engine that follows those. [`workflow`] moves items
//! from stage to stage. [`access`] says who may ask HQ for what, [`fleet`] what engines report and how a trial goes.

#[cfg(feature = "hq")]
pub mod access;
#[cfg(feature = "hq")]
pub mod audit;
#[cfg(feature = "cluster")]
pub mod cluster;
mod error;
#[cfg(feature = "hq")]
pub mod fleet;
#[cfg(feature = "hq")]
pub mod hq;
#[cfg(feature = "ledger")]
pub mod ledger;
#[cfg(feature = "hq")]
pub mod publish;
pub mod schema;
#[cfg(feature = "source")]
mod source;
mod tenant;
#[cfg(feature = "hq")]
pub mod workflow;

pub use error::Error;
#[cfg(feature = "source")]
pub use source::{PostgresFollowing, PostgresSource};
pub use tenant::TenantTransaction;

/// The page of the guide, whose examples are compiled; `tests/docs` runs them.
#[cfg(all(doctest, feature = "hq", feature = "ledger", feature = "source"))]
#[doc = include_str!("../../../docs/postgres.md")]
struct Page;
