//! Why a question has no answer.

use crate::workflow::Blocker;
use crate::{InvalidTime, model::Kind};

/// Why a question has no answer. A mistaken question is never answered with "off".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The snapshot has no such tenant.
    #[error("tenant `{0}` is not known: check the id, or wait for the revision that creates it")]
    UnknownTenant(Box<str>),
    /// The snapshot has no such feature.
    #[error("feature `{0}` is not known: check the key, or publish its definition")]
    UnknownFeature(Box<str>),
    /// The feature is of another kind than the question is for.
    #[error("feature `{feature}` is a {actual}, not a {expected}: ask for its {actual} instead")]
    WrongKind {
        /// The feature asked for.
        feature: Box<str>,
        /// The kind that the question is for.
        expected: Kind,
        /// The kind that it is.
        actual: Kind,
    },
    /// A used or requested amount outside 0 to 2^53 − 1, or a quantity of an add-on outside 1 to 2^53 − 1.
    #[error("amount {0} is out of range: amounts are integers from 0 to 2^53 − 1, quantities of add-ons from 1 on")]
    AmountOutOfRange(i64),
    /// The snapshot has no such plan.
    #[error("plan `{0}` is not known")]
    UnknownPlan(Box<str>),
    /// The plan has no such version.
    #[error("plan `{plan}` has no version {version}")]
    UnknownPlanVersion {
        /// The plan asked for.
        plan: Box<str>,
        /// The version that it does not have.
        version: u32,
    },
    /// The snapshot has no such add-on.
    #[error("add-on `{0}` is not known")]
    UnknownAddOn(Box<str>),
    /// The tenant has no such override.
    #[error("the tenant has no override `{0}`")]
    UnknownOverride(Box<str>),
    /// The snapshot has no such workflow template.
    #[error("workflow `{0}` is not known: check the key, or publish its definition")]
    UnknownWorkflow(Box<str>),
    /// The workflow template has no such version.
    #[error("workflow `{workflow}` has no version {version}")]
    UnknownWorkflowVersion {
        /// The template asked for.
        workflow: Box<str>,
        /// The version that it does not have.
        version: u32,
    },
    /// The template, or the tenant's use of it, is switched off.
    #[error("workflow `{0}` is not active: activate the template, and the tenant's use of it")]
    InactiveTemplate(Box<str>),
    /// The machine has no such stage.
    #[error("workflow `{workflow}` has no stage `{stage}`")]
    UnknownStage {
        /// The template.
        workflow: Box<str>,
        /// The stage asked for.
        stage: Box<str>,
    },
    /// The machine has no transition between the two stages.
    #[error("nothing leads from stage `{from}` to stage `{to}`")]
    IllegalTransition {
        /// The stage to leave.
        from: Box<str>,
        /// The stage to enter.
        to: Box<str>,
    },
    /// There are transitions between the two stages, and each of them is blocked.
    #[error("the move from stage `{from}` to stage `{to}` is blocked: {}", listed(.blockers))]
    GuardFailed {
        /// The stage to leave.
        from: Box<str>,
        /// The stage to enter.
        to: Box<str>,
        /// All that blocks them, by transition in declared order.
        blockers: Box<[Blocker]>,
    },
    /// A question for which a slice does not hold enough.
    #[error("`{0}` is not in this slice: ask an engine that follows the whole stream")]
    NotInSlice(Box<str>),
    /// A time that no [`Timestamp`](crate::Timestamp) stands for.
    #[error(transparent)]
    InvalidTime(#[from] InvalidTime),
}

impl Error {
    /// The stable code of this error, the same in every language and in HTTP problems.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownTenant(_) => "unknown_tenant",
            Self::UnknownFeature(_) => "unknown_feature",
            Self::WrongKind { .. } => "wrong_kind",
            Self::AmountOutOfRange(_) => "amount_out_of_range",
            Self::UnknownPlan(_) => "unknown_plan",
            Self::UnknownPlanVersion { .. } => "unknown_plan_version",
            Self::UnknownAddOn(_) => "unknown_add_on",
            Self::UnknownOverride(_) => "unknown_override",
            Self::UnknownWorkflow(_) => "unknown_workflow",
            Self::UnknownWorkflowVersion { .. } => "unknown_workflow_version",
            Self::InactiveTemplate(_) => "inactive_template",
            Self::UnknownStage { .. } => "unknown_stage",
            Self::IllegalTransition { .. } => "illegal_transition",
            Self::GuardFailed { .. } => "guard_failed",
            Self::NotInSlice(_) => "not_in_slice",
            Self::InvalidTime(error) => error.code(),
        }
    }
}

fn listed(blockers: &[Blocker]) -> String {
    let blockers: Vec<String> = blockers.iter().map(ToString::to_string).collect();
    blockers.join("; ")
}
