//! Leasehold.
mod compile;
mod decide;
mod diff;
mod error;
mod explain;
#[cfg(feature = "generate")]
pub mod generate;
mod id;
pub mod model;
#[cfg(feature = "reference")]
pub mod reference;
#[cfg(feature = "runtime")]
mod runtime;
mod snapshot;
mod time;
mod what_if;

pub use decide::{AnswerTable, Decision, Entitlements, Layer, LicenceInEffect, LimitAnswer, Outcome, Reason, Status};
pub use diff::{DiffGroup, Difference, FeatureDiff, FleetDiff, LimitMoved, Moved, ValueMoved};
pub use error::Error;
pub use explain::{Comes, Considered, Explanation, Gate, PlanInForce, Prerequisite, Verdict};
pub use id::{AddOnKey, FeatureKey, GroupKey, InvalidId, PlanKey, RecordId, Region, Revision, TenantId};
#[cfg(feature = "runtime")]
pub use runtime::{Engine, Tenant, read_directory};
pub use snapshot::{Feature, FeatureRef, Memory, PinnedTenant, Snapshot, Stamp};
pub use time::{InvalidTime, Timestamp, UtcOffset};
pub use what_if::{Change, Exceeded, InertAddOn, OverrideBelowPlan, PlanChoice, Usage, WhatIf};
