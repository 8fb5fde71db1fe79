//! Paths through a machine that take every transition, as fixtures for the tests of those who embed it.

use super::guard::BoundGuard;
use super::machine::TransitionRule;
use super::{Context, JsonInputs, Machine};
use crate::{CategoryKey, EventKey, Role, SortedMap, SortedSet, StageId, TransitionId, VariableName, WorkflowKey};
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;

/// Paths that together take every transition that can be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CoveringPaths {
    /// The template.
    pub workflow: WorkflowKey,
    /// Its version.
    pub version: u32,
    /// The service category, where anything differs for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryKey>,
    /// Paths from the initial stage, each to a final stage where one can be reached.
    pub paths: Vec<CoveringPath>,
    /// Transitions that no path takes: items cannot get to where they begin, or no inputs were found that let them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<TransitionId>,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CoveringPath {
    /// The stage that it begins in.
    pub start: StageId,
    /// Its moves.
    pub steps: Vec<PathStep>,
    /// The stage that it ends in.
    pub end: StageId,
}

/// A move of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PathStep {
    /// The transition that is taken.
    pub transition: TransitionId,
    /// What happens.
    pub event: EventKey,
    /// The stage that is left.
    pub from: StageId,
    /// The stage that is entered.
    pub to: StageId,
    /// The role that it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Inputs with which all its guards hold.
    pub inputs: SortedMap<VariableName, Value>,
}

impl Machine {
    /// Paths that together take every transition that can be taken, each with inputs with which its guards hold. The same
    /// machine always gives the same paths.
    #[must_use]
    pub fn covering_paths(&self) -> CoveringPaths {
        let steps: Vec<Option<PathStep>> =
            self.parts().transitions.iter().map(|transition| self.step(transition)).collect();
        let mut walk = Walk { machine: self, steps: &steps, covered: SortedSet::new() };
        let mut paths = Vec::new();
        let stages = (0_u32..).zip(&self.parts().stages);
        for (initial, rule) in stages.filter(|(_, rule)| rule.stage.initial) {
            while let Some((taken, end)) = walk.path(initial) {
                let steps = taken.iter().filter_map(|at| steps.get(*at)?.clone()).collect();
                let end = self.stage(end).map_or_else(|| rule.id.clone(), |rule| rule.id.clone());
                paths.push(CoveringPath { start: rule.id.clone(), steps, end });
            }
        }
        let covered = walk.covered;
        let missing = self.parts().transitions.iter().enumerate().filter(|(at, _)| !covered.contains(at));
        CoveringPaths {
            workflow: self.workflow().clone(),
            version: self.version(),
            category: self.category().cloned(),
            paths,
            not_covered: missing.map(|(_, transition)| transition.id.clone()).collect(),
        }
    }

    /// A transition as a move, where inputs are found that let it.
    fn step(&self, transition: &TransitionRule) -> Option<PathStep> {
        // Of those between the same stages the first that is enabled is taken. Whoever takes the step has its role alone.
        let joining = self.parts().transitions.iter().filter(|it| (it.from, it.to) == (transition.from, transition.to));
        let earlier = joining.take_while(|it| it.id != transition.id);
        let rivals: Vec<Vec<&BoundGuard>> = earlier
            .filter(|it| it.role.is_none() || it.required_role() == transition.required_role())
            .map(TransitionRule::bound_guards)
            .collect();
        // What blocks those by a fault is not sought, and need not be: an input of another type, a guard that needs Rhai.
        let guards = transition.bound_guards();
        let mut found = [&[][..], &rivals].into_iter().filter_map(|rivals| BoundGuard::example_of(&guards, rivals));
        found.find_map(|inputs| self.taken(transition, inputs))
    }

    /// A transition as a move with these inputs, where it is the one that is taken.
    fn taken(&self, transition: &TransitionRule, inputs: SortedMap<VariableName, Value>) -> Option<PathStep> {
        let given = JsonInputs::of(inputs.iter().map(|(name, value)| (name.as_str(), value)));
        let given = given.inputs();
        let role = transition.required_role().cloned();
        let roles: Vec<&str> = role.iter().map(Role::as_str).collect();
        let context = Context { inputs: &given, roles: &roles };
        let (from, to) = (self.stage(transition.from)?.id.clone(), self.stage(transition.to)?.id.clone());
        let is_taken =
            self.check(from.as_str(), to.as_str(), &context).is_ok_and(|allowed| *allowed.transition == transition.id);
        let (transition, event) = (transition.id.clone(), transition.event.clone());
        is_taken.then_some(PathStep { transition, event, from, to, role, inputs })
    }
}

struct Walk<'m> {
    machine: &'m Machine,
    steps: &'m [Option<PathStep>],
    covered: SortedSet<usize>,
}

impl Walk<'_> {
    /// A path that takes at least one transition that none took before, and where it ends.
    fn path(&mut self, initial: u32) -> Option<(Vec<usize>, u32)> {
        let (mut taken, mut here) = (Vec::new(), initial);
        while let Some((way, there)) = self.nearest(here, |walk, at, _| !walk.covered.contains(&at)) {
            self.covered.extend(way.iter().copied());
            taken.extend(way);
            here = there;
        }
        if taken.is_empty() {
            return None;
        }
        let is_final = |number: u32| self.machine.stage(number).is_some_and(|rule| rule.stage.r#final);
        if !is_final(here)
            && let Some((way, there)) = self.nearest(here, |_, _, to| is_final(to))
        {
            taken.extend(way);
            here = there;
        }
        Some((taken, here))
    }

    /// The shortest way that ends with a transition that is wanted; of several, the first in declared order.
    fn nearest(&self, from: u32, wanted: impl Fn(&Self, usize, u32) -> bool) -> Option<(Vec<usize>, u32)> {
        // From where, and by which transition, a stage was come to.
        let mut came: SortedMap<u32, Option<(u32, usize)>> = SortedMap::from([(from, None)]);
        let mut next = VecDeque::from([from]);
        while let Some(stage) = next.pop_front() {
            for (at, transition) in self.machine.numbered_exits(stage) {
                if self.steps.get(at).is_none_or(Option::is_none) {
                    continue;
                }
                if wanted(self, at, transition.to) {
                    let mut way = vec![at];
                    let mut here = stage;
                    while let Some(Some((before, by))) = came.get(&here) {
                        way.push(*by);
                        here = *before;
                    }
                    way.reverse();
                    return Some((way, transition.to));
                }
                if !came.contains_key(&transition.to) {
                    came.insert(transition.to, Some((stage, at)));
                    next.push_back(transition.to);
                }
            }
        }
        None
    }
}
