#![cfg_attr(feature = "runtime", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "runtime"), doc = "The entitlement engine of Leasehold, without its native runtime.")]
//!
//! # Map of the crate
//!
//! In the order in which data flows: [`model`] is what people author and how every mistake in it is found; `compile`
//! lowers it into rules, tenant records and shared profiles; a [`Snapshot`] holds the result; `decide` is the one ladder
//! that every answer climbs; [`Explanation`], [`Difference`], [`FleetDiff`] and [`WhatIf`] are made on the same path, and
//! so are [`Evaluation`]s, which are answers as OpenFeature has them.
//! [`workflow`] makes a tenant's machine on demand and asks it what may be done; [`merge`] is the three-way merge that
//! carries tenants' edits over. An `Engine` (feature `runtime`) lets a new snapshot replace the old one while others read.
//! [`build`] publishes, [`wire`] is what travels, [`follow`] takes it in. `Following` and its sources carry: directories,
//! `HttpSource` (feature `http`), `Bucket` (feature `object-store`). `bindings` (feature `bindings`) is what the packages for
//! other languages share.

#[cfg(feature = "bindings")]
pub mod bindings;
pub mod build;
mod compile;
mod decide;
mod diff;
mod error;
mod explain;
pub mod follow;
#[cfg(feature = "generate")]
pub mod generate;
mod hash;
mod id;
pub mod merge;
pub mod model;
mod open_feature;
#[cfg(feature = "reference")]
pub mod reference;
#[cfg(feature = "runtime")]
mod runtime;
mod snapshot;
mod sorted_map;
mod time;
mod what_if;
pub mod wire;
pub mod workflow;

pub use decide::{
    AnswerTable, Decision, Entitlements, Evaluation, Evaluations, FlagMetadata, Freshness, Layer, LicenceInEffect,
    LimitAnswer, OpenFeatureError, OpenFeatureReason, Outcome, Reason, Status, Variant,
};
pub use diff::{ChangedTenants, Changes, DiffGroup, Difference, FeatureDiff, FleetDiff, LimitMoved, Moved, ValueMoved};
pub use error::Error;
pub use explain::{Comes, Considered, Explanation, Gate, PlanInForce, Prerequisite, Verdict};
pub use hash::{Hash, InvalidHash};
pub use id::{
    AddOnKey, CategoryKey, EngineId, Environment, EventKey, FeatureKey, GroupKey, GuardKey, InvalidId, Issuer, PlanKey,
    RecordId, Region, Revision, Role, StageId, TenantId, TransitionId, VariableName, WorkflowKey,
};
#[cfg(feature = "runtime")]
pub use runtime::{
    Answer, Engine, Following, Interrupt, Keep, MemorySource, Published, SnapshotDirectory, Source, Tenant, WaitError,
    read_directory,
};
#[cfg(feature = "object-store")]
pub use runtime::{Bucket, BucketError};
#[cfg(feature = "http")]
pub use runtime::{Hearing, HttpFollowing, HttpOptions, HttpPatience, HttpSource, InvalidHttpOptions};
pub use snapshot::{Feature, FeatureRef, Memory, PinnedTenant, Snapshot, Stamp};
pub use sorted_map::{SortedMap, SortedSet};
pub use time::{InvalidTime, Timestamp, UtcOffset};
pub use what_if::{Change, Exceeded, InertAddOn, OverrideBelowPlan, PlanChoice, Usage, WhatIf};

/// Pages of the guide, whose examples are compiled, and run where they need nothing; `tests/docs` runs the others.
#[cfg(all(doctest, feature = "http", feature = "object-store", feature = "rhai"))]
mod pages {
    #[doc = include_str!("../../../docs/engine.md")]
    struct Engine;

    #[doc = include_str!("../../../docs/following.md")]
    struct Following;

    #[doc = include_str!("../../../docs/workflows.md")]
    struct Workflows;
}
