//! From definitions to what the engine runs: rules, records, profiles and the index over tenants.

mod check;
mod compiler;
#[cfg(all(test, feature = "generate"))]
mod flooding;
mod index;
mod lint;
mod overflow;
mod prerequisites;
mod profile;
mod record;
mod rules;
mod tenants;

pub(crate) use check::Check;
pub(crate) use compiler::{Compiler, TenantChecker};
pub(crate) use index::Features;
pub(crate) use lint::{below_plan, lint, sets_limit};
pub(crate) use profile::{Profile, Profiles, Switches, bytes_of, distinct};
pub(crate) use record::{Block, Licence, Override, Phase, Record};
pub(crate) use rules::{
    AddOnIx, AddOnRule, ContributionRule, Effect, FeatureIx, FeatureRule, PlanIx, PlanRule, Rules, Setting, Terms,
    VersionRule,
};
pub(crate) use tenants::{Slot, Tenants};
