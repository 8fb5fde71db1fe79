//! From definitions to what the engine runs: rules, records, profiles and the index over tenants.

mod check;
mod index;
mod lint;
mod overflow;
mod prerequisites;
mod profile;
mod record;
mod rules;

pub(crate) use check::Check;
pub(crate) use index::{Features, Slot, Tenants};
pub(crate) use lint::{below_plan, lint};
pub(crate) use overflow::refuse_overflow;
pub(crate) use profile::{Profile, Profiles, Switches};
pub(crate) use record::{Block, Licence, Override, Phase, Record};
pub(crate) use rules::{
    AddOnIx, AddOnRule, ContributionRule, Effect, FeatureIx, FeatureRule, PlanIx, PlanRule, Rules, Setting, Terms,
    VersionRule,
};
