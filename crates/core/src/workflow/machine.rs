//! A machine: one tenant's workflow for one service category, compiled, and the questions to it.

use super::guard::BoundGuard;
use super::layers::Layered;
use super::templates::Filled;
use super::{
    Allowed, Blocker, BlockerCode, ConsideredGuard, ConsideredRole, ConsideredTransition, Context, FilledSetting,
    Layer, MoveExplanation, TransitionAnswer, TransitionState,
};
use crate::model::{self, VariableType};
use crate::{
    CategoryKey, Error, EventKey, GuardKey, RecordId, Role, SortedMap, SortedSet, StageId, TransitionId, VariableName,
    WorkflowKey,
};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A tenant's workflow for a service category, at one revision: stages, transitions and guards with their settings.
///
/// It answers without the snapshot that it was made from and does not follow swaps: take one for each piece of work.
/// Clones share what they hold.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    /// For each stage, the transitions that leave it, in declared order.
    exits: Box<[Box<[u32]>]>,
}

/// What a machine consists of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) workflow: WorkflowKey,
    pub(super) version: u32,
    pub(super) category: Option<CategoryKey>,
    /// In declared order.
    pub(super) stages: Vec<StageRule>,
    /// Numbers of stages, sorted by id.
    pub(super) numbers: Vec<(StageId, u32)>,
    /// In declared order.
    pub(super) transitions: Vec<TransitionRule>,
}

/// A stage of a machine.
#[derive(Debug)]
pub(super) struct StageRule {
    pub(super) id: StageId,
    pub(super) stage: model::Stage,
    pub(super) layer: Layer,
    pub(super) order: u32,
}

impl StageRule {
    pub(super) fn new(id: &StageId, stage: &Layered<Cow<'_, model::Stage>>) -> Self {
        let Layered { layer, value } = stage;
        Self { id: id.clone(), order: value.order, layer: *layer, stage: value.clone().into_owned() }
    }
}

/// A transition of a machine.
#[derive(Debug)]
pub(super) struct TransitionRule {
    pub(super) id: TransitionId,
    pub(super) name: Box<str>,
    pub(super) name2: Box<str>,
    pub(super) event: EventKey,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) role: Option<BoundRole>,
    pub(super) guards: Box<[Guarded]>,
    pub(super) layer: Layer,
    pub(super) order: u32,
}

/// A role that a transition requires, and who says so.
#[derive(Debug)]
pub(super) struct BoundRole {
    pub(super) role: Role,
    pub(super) layer: Layer,
}

/// A guard on a transition, with its settings.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) binding: RecordId,
    pub(super) guard: GuardKey,
    pub(super) layer: Layer,
    pub(super) filled: Filled,
}

impl Guarded {
    pub(super) fn bound(&self) -> &BoundGuard {
        &self.filled.bound
    }
}

/// The number of a stage.
pub(super) fn number_of(numbers: &[(StageId, u32)], stage: &str) -> Option<u32> {
    let at = numbers.binary_search_by(|(id, _)| id.as_str().cmp(stage)).ok()?;
    numbers.get(at).map(|(_, number)| *number)
}

/// A stage of a machine, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineStage<'m> {
    /// Its id.
    pub stage: &'m StageId,
    /// Label in English.
    pub name: &'m str,
    /// Label in Arabic.
    pub name2: &'m str,
    /// Whether items begin here.
    pub initial: bool,
    /// Whether items may end here.
    pub r#final: bool,
    /// The layer that touched it last.
    pub layer: Layer,
}

impl Machine {
    pub(super) fn new(parts: Parts) -> Self {
        let mut exits = vec![Vec::new(); parts.stages.len()];
        for (number, transition) in (0..).zip(&parts.transitions) {
            if let Some(exits) = exits.get_mut(transition.from as usize) {
                exits.push(number);
            }
        }
        Self(Arc::new(Inner { parts, exits: exits.into_iter().map(Vec::into_boxed_slice).collect() }))
    }

    /// The template.
    #[must_use]
    pub fn workflow(&self) -> &WorkflowKey {
        &self.0.parts.workflow
    }

    /// The template's version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.0.parts.version
    }

    /// The service category, where anything differs for it.
    #[must_use]
    pub fn category(&self) -> Option<&CategoryKey> {
        self.0.parts.category.as_ref()
    }

    /// Its stages, in declared order.
    pub fn stages(&self) -> impl ExactSizeIterator<Item = MachineStage<'_>> {
        self.0.parts.stages.iter().map(|StageRule { id, stage, layer, .. }| MachineStage {
            stage: id,
            name: &stage.name,
            name2: &stage.name2,
            initial: stage.initial,
            r#final: stage.r#final,
            layer: *layer,
        })
    }

    /// What its guards may ask for, by name, with the settings filled in. Two guards may ask for one name in two types.
    #[must_use]
    pub fn inputs(&self) -> SortedSet<(&VariableName, VariableType)> {
        let guards = self.0.parts.transitions.iter().flat_map(|transition| &transition.guards);
        let inputs = guards.flat_map(|guard| guard.bound().inputs()).map(|(name, value_type)| (name, *value_type));
        SortedSet::of(inputs.collect())
    }

    /// Whether a guard of it needs Rhai.
    #[must_use]
    pub fn needs_rhai(&self) -> bool {
        let mut guards = self.0.parts.transitions.iter().flat_map(|transition| &transition.guards);
        guards.any(|guard| guard.bound().needs_rhai())
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    /// The transitions that leave a stage, in declared order.
    pub(super) fn exits(&self, stage: u32) -> impl Iterator<Item = &TransitionRule> {
        self.numbered_exits(stage).map(|(_, transition)| transition)
    }

    /// The same, with their places in the declared order.
    pub(super) fn numbered_exits(&self, stage: u32) -> impl Iterator<Item = (usize, &TransitionRule)> {
        let exits = self.0.exits.get(stage as usize).map_or(&[][..], |exits| exits);
        exits.iter().filter_map(|number| Some((*number as usize, self.0.parts.transitions.get(*number as usize)?)))
    }

    pub(super) fn stage(&self, number: u32) -> Option<&StageRule> {
        self.0.parts.stages.get(number as usize)
    }

    fn number(&self, stage: &str) -> Result<u32, Error> {
        number_of(&self.0.parts.numbers, stage)
            .ok_or_else(|| Error::UnknownStage { workflow: self.workflow().as_str().into(), stage: stage.into() })
    }

    /// The transitions between two stages, in declared order; there is at least one.
    fn between(&self, from: &str, to: &str) -> Result<impl Iterator<Item = &TransitionRule>, Error> {
        let (from_number, to_number) = (self.number(from)?, self.number(to)?);
        let mut joining = self.exits(from_number).filter(move |transition| transition.to == to_number).peekable();
        if joining.peek().is_none() {
            return Err(Error::IllegalTransition { from: from.into(), to: to.into() });
        }
        Ok(joining)
    }

    /// Whether an item may move from one stage to another now, and by which transition.
    ///
    /// Where several join the two stages, the first one in declared order that is enabled is taken.
    ///
    /// # Errors
    /// `unknown_stage`, `illegal_transition`, and `guard_failed` with all that blocks each of the transitions.
    pub fn check<'m>(&'m self, from: &str, to: &str, context: &Context<'_>) -> Result<Allowed<'m>, Error> {
        let mut joining = self.between(from, to)?;
        match joining.find(|transition| transition.is_enabled(context)) {
            Some(transition) => Ok(Allowed { transition: &transition.id, event: &transition.event }),
            None => Err(self.refusal(from, to, context)),
        }
    }

    #[cold]
    fn refusal(&self, from: &str, to: &str, context: &Context<'_>) -> Error {
        match self.between(from, to) {
            Ok(joining) => {
                let blockers = joining.flat_map(|transition| transition.blockers(context)).collect();
                Error::GuardFailed { from: from.into(), to: to.into(), blockers }
            }
            Err(error) => error,
        }
    }

    /// What may be done at a stage: every transition of the machine, in declared order, with all that blocks it.
    ///
    /// # Errors
    /// `unknown_stage`.
    pub fn transitions(&self, stage: &str, context: &Context<'_>) -> Result<Vec<TransitionAnswer<'_>>, Error> {
        let here = self.number(stage)?;
        let Parts { stages, transitions, .. } = &self.0.parts;
        let answers = transitions.iter().filter_map(|transition| {
            let leaves = transition.from == here;
            let blockers = if leaves { transition.blockers(context) } else { Vec::new() };
            Some(TransitionAnswer {
                transition: &transition.id,
                name: &transition.name,
                name2: &transition.name2,
                event: &transition.event,
                from: &stages.get(transition.from as usize)?.id,
                to: &stages.get(transition.to as usize)?.id,
                role: transition.role.as_ref().map(|role| &role.role),
                state: match (leaves, blockers.is_empty()) {
                    (false, _) => TransitionState::NotFromHere,
                    (true, true) => TransitionState::Enabled,
                    (true, false) => TransitionState::Blocked,
                },
                blockers,
                layer: transition.layer,
            })
        });
        Ok(answers.collect())
    }

    /// Why a move from one stage to another is what it is. A move that is not in the machine has nothing to consider.
    ///
    /// # Errors
    /// `unknown_stage`.
    pub fn explain(&self, from: &str, to: &str, context: &Context<'_>) -> Result<MoveExplanation, Error> {
        let joining: Vec<&TransitionRule> = match self.between(from, to) {
            Ok(joining) => joining.collect(),
            Err(Error::IllegalTransition { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let asked: SortedSet<&str> = joining
            .iter()
            .flat_map(|transition| &transition.guards)
            .flat_map(|guard| guard.bound().inputs().iter().map(|(name, _)| name.as_str()))
            .collect();
        let given: SortedSet<&str> = context.inputs.iter().map(|(name, _)| *name).collect();
        let id = |stage: &str| {
            let number = self.number(stage)?;
            self.stage(number)
                .map(|rule| rule.id.clone())
                .ok_or_else(|| Error::UnknownStage { workflow: self.workflow().as_str().into(), stage: stage.into() })
        };
        let taken = joining.iter().find(|transition| transition.is_enabled(context));
        Ok(MoveExplanation {
            workflow: self.workflow().clone(),
            version: self.version(),
            category: self.category().cloned(),
            from: id(from)?,
            to: id(to)?,
            allowed: taken.map(|transition| transition.id.clone()),
            considered: joining.iter().map(|transition| transition.considered(context)).collect(),
            ignored: given.iter().filter(|name| !asked.contains(*name)).map(|name| (*name).to_owned()).collect(),
        })
    }

    /// About how many bytes it holds.
    #[cfg(feature = "runtime")]
    pub(crate) fn bytes(&self) -> usize {
        let Parts { stages, transitions, .. } = &self.0.parts;
        let of_stage = |stage: &StageRule| {
            size_of::<StageRule>() + 3 * stage.id.as_str().len() + stage.stage.name.len() + stage.stage.name2.len()
        };
        let of_transition = |transition: &TransitionRule| {
            let text = transition.id.as_str().len() + transition.name.len() + transition.name2.len();
            // Guards are counted where they stand, though those that are filled in alike are shared.
            let guards = transition.guards.iter().map(|guard| size_of::<Guarded>() + guard.filled.bytes());
            size_of::<TransitionRule>() + text + guards.sum::<usize>()
        };
        size_of::<Inner>()
            + stages.iter().map(of_stage).sum::<usize>()
            + transitions.iter().map(of_transition).sum::<usize>()
    }
}

impl TransitionRule {
    pub(super) fn required_role(&self) -> Option<&Role> {
        self.role.as_ref().map(|required| &required.role)
    }

    pub(super) fn bound_guards(&self) -> Vec<&BoundGuard> {
        self.guards.iter().map(Guarded::bound).collect()
    }

    /// Whether everything that it requires holds.
    #[inline]
    pub(super) fn is_enabled(&self, context: &Context<'_>) -> bool {
        self.role.as_ref().is_none_or(|required| required.is_held(context))
            && self.guards.iter().all(|guard| guard.holds(context))
    }

    /// All that it requires and that does not hold: the role first, then guards in the order of their bindings.
    pub(super) fn blockers(&self, context: &Context<'_>) -> Vec<Blocker> {
        let role = self.role.as_ref().filter(|required| !required.is_held(context)).map(|required| Blocker {
            code: BlockerCode::RoleRequired,
            transition: self.id.clone(),
            binding: None,
            guard: None,
            expected: required.role.to_string(),
            actual: context.roles.iter().copied().collect(),
            layer: required.layer,
        });
        let guards = self.guards.iter().flat_map(|guard| guard.blockers(&self.id, context));
        role.into_iter().chain(guards).collect()
    }

    fn considered(&self, context: &Context<'_>) -> ConsideredTransition {
        let guards = self.guards.iter().map(|guard| ConsideredGuard {
            binding: guard.binding.clone(),
            guard: guard.guard.clone(),
            layer: guard.layer,
            expression: guard.bound().text(),
            settings: guard.settings().clone(),
            holds: guard.holds(context),
            blockers: guard.blockers(&self.id, context),
        });
        ConsideredTransition {
            transition: self.id.clone(),
            event: self.event.clone(),
            layer: self.layer,
            enabled: self.is_enabled(context),
            role: self.role.as_ref().map(|required| ConsideredRole {
                role: required.role.clone(),
                held: required.is_held(context),
                layer: required.layer,
            }),
            guards: guards.collect(),
        }
    }
}

impl BoundRole {
    fn is_held(&self, context: &Context<'_>) -> bool {
        context.roles.contains(&self.role.as_str())
    }
}

impl Guarded {
    /// Whether it holds. What cannot be decided does not.
    #[inline]
    fn holds(&self, context: &Context<'_>) -> bool {
        self.bound().evaluate(context.inputs) == Ok(true)
    }

    fn settings(&self) -> &SortedMap<VariableName, FilledSetting> {
        &self.filled.settings
    }

    fn blockers(&self, transition: &TransitionId, context: &Context<'_>) -> Vec<Blocker> {
        let faults = self.bound().examine(context.inputs).into_iter().map(|fault| Blocker {
            code: fault.code,
            transition: transition.clone(),
            binding: Some(self.binding.clone()),
            guard: Some(self.guard.clone()),
            expected: fault.expected,
            actual: Value::Object(fault.actual.into_iter().collect()),
            layer: self.layer,
        });
        faults.collect()
    }
}
