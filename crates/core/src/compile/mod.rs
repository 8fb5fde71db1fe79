//! From definitions to what the engine runs.

mod check;
mod prerequisites;
mod record;
mod rules;

pub(crate) use check::Check;
pub(crate) use record::{Block, Licence, Override, Phase, Record};
pub(crate) use rules::{
    AddOnIx, AddOnRule, ContributionRule, Effect, FeatureIx, FeatureRule, PlanIx, PlanRule, Rules, Setting, Terms,
    VersionRule,
};
