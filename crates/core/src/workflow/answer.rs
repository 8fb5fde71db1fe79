//! What answers about workflows are made of.

use crate::model::read::{Node, Read, Reader};
use crate::model::words::words;
use crate::model::{DiagnosticCode, json};
use crate::{
    CategoryKey, EventKey, GuardKey, RecordId, Role, SortedMap, StageId, TransitionId, VariableName, WorkflowKey,
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt;

words! {
    /// Where a part of a machine comes from, from the least specific to the most.
    Layer as "MachineLayer" {
        /// The version of the template.
        Template = "template",
        /// The version's override for the service category.
        Category = "category",
        /// The tenant's patch.
        Tenant = "tenant",
        /// The tenant's patch for the service category.
        TenantCategory = "tenant_category",
    }

    /// Who filled in a setting of a guard, from the least specific to the most.
    SettingSource {
        /// Nobody: it is the guard's default.
        Default = "default",
        /// The tenant.
        Tenant = "tenant",
        /// The tenant, for the service category.
        TenantCategory = "tenant_category",
        /// The binding of the guard to the transition.
        Binding = "binding",
    }

    /// What a machine says of one of its transitions.
    TransitionState {
        /// It leaves the stage, and everything that it requires holds.
        Enabled = "enabled",
        /// It leaves the stage, and something that it requires does not hold.
        Blocked = "blocked",
        /// It leaves another stage.
        NotFromHere = "not_from_here",
    }

    /// Why a transition is blocked. Whatever cannot be decided blocks.
    BlockerCode {
        /// The guard does not hold.
        GuardFailed = "guard_failed",
        /// An input of the guard was not given.
        InputMissing = "input_missing",
        /// An input of the guard has another type.
        InputMistyped = "input_mistyped",
        /// An input is an integer beyond ±(2^53 − 1), a text of more than 65,536 bytes, or a list of more than 1,024.
        InputOutOfRange = "input_out_of_range",
        /// The guard could not be computed: an overflow, or a division by zero.
        GuardError = "guard_error",
        /// The guard took more than its budget of operations.
        GuardBudgetExceeded = "guard_budget_exceeded",
        /// The guard needs Rhai, which this build is without.
        GuardNeedsRhai = "guard_needs_rhai",
        /// Nobody present has the role that the transition requires.
        RoleRequired = "role_required",
    }
}

/// A transition that may be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Allowed<'m> {
    /// The first one, in declared order, that is enabled between the two stages.
    pub transition: &'m TransitionId,
    /// What happens.
    pub event: &'m EventKey,
}

/// Something that a transition requires and that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Blocker {
    /// What is wrong.
    pub code: BlockerCode,
    /// The transition that it blocks.
    pub transition: TransitionId,
    /// The binding of the guard; absent for a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<RecordId>,
    /// The guard; absent for a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardKey>,
    /// What would have to hold, in words of the guard language; or a type, or a role.
    pub expected: String,
    /// What was found instead: the inputs concerned by name, or the roles.
    pub actual: Value,
    /// The layer that the requirement comes from.
    pub layer: Layer,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actual = json(&self.actual);
        match &self.guard {
            Some(guard) => write!(f, "`{guard}` ({}): expected {}, found {actual}", self.code, self.expected),
            None => write!(f, "{}: expected {}, found {actual}", self.code, self.expected),
        }
    }
}

/// What a machine says of one of its transitions, asked at a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransitionAnswer<'m> {
    /// Its id.
    pub transition: &'m TransitionId,
    /// Label in English.
    pub name: &'m str,
    /// Label in Arabic.
    pub name2: &'m str,
    /// What happens.
    pub event: &'m EventKey,
    /// The stage that it leaves.
    pub from: &'m StageId,
    /// The stage that it enters.
    pub to: &'m StageId,
    /// The role that it requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'m Role>,
    /// Whether it may be taken now. One that is blocked would be possible if what it requires held.
    pub state: TransitionState,
    /// All that blocks it; nothing where it does not leave the stage.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
    /// The layer that touched it last.
    pub layer: Layer,
}

/// Why a move from one stage to another is what it is: everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MoveExplanation {
    /// The template.
    pub workflow: WorkflowKey,
    /// Its version.
    pub version: u32,
    /// The service category, where anything differs for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryKey>,
    /// The stage that is left.
    pub from: StageId,
    /// The stage that is entered.
    pub to: StageId,
    /// The transition that is taken; absent where none may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<TransitionId>,
    /// Every transition between the two stages, in declared order; none where the move is not in the machine.
    pub considered: Vec<ConsideredTransition>,
    /// Inputs that were given and that none of the guards looked at asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// A transition that was looked at for a move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConsideredTransition {
    /// Its id.
    pub transition: TransitionId,
    /// What happens.
    pub event: EventKey,
    /// The layer that touched it last.
    pub layer: Layer,
    /// Whether it may be taken now.
    pub enabled: bool,
    /// The role that it requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ConsideredRole>,
    /// Its guards, in the order of their bindings.
    pub guards: Vec<ConsideredGuard>,
}

/// A role that a transition requires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConsideredRole {
    /// The role.
    pub role: Role,
    /// Whether somebody present has it.
    pub held: bool,
    /// The layer that requires it.
    pub layer: Layer,
}

/// A guard that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConsideredGuard {
    /// The binding.
    pub binding: RecordId,
    /// The guard.
    pub guard: GuardKey,
    /// The layer that touched the binding last.
    pub layer: Layer,
    /// The guard's expression with its settings filled in.
    pub expression: String,
    /// Its settings, and who filled them in.
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    pub settings: SortedMap<VariableName, FilledSetting>,
    /// Whether it holds.
    pub holds: bool,
    /// All that is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<Blocker>,
}

/// A setting of a guard as it is filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FilledSetting {
    /// The value.
    pub value: Value,
    /// Who filled it in.
    pub source: SettingSource,
}
