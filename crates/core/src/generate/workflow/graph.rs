//! Random graphs: a way from the first stage to the last one that never closes, and other ways across it.

use super::super::{Choices, made};
use super::guards::Guards;
use crate::model::{Graph, GuardBinding, Stage, Transition};
use crate::{EventKey, GuardKey, RecordId, Role, SortedMap, StageId};
use std::collections::BTreeSet;

/// Roles that transitions require, and that those who ask may have.
pub(super) const ROLES: [&str; 3] = ["cashier", "manager", "driver"];
/// So few that one event may lead from a stage to several others.
const EVENTS: [&str; 8] = ["next", "accept", "finish", "close", "cancel", "return", "hold", "pick.up"];

/// Whether a graph has nothing that stops a build: one initial stage, ends and guards that exist, and from every stage a
/// way to a final one that no setting closes.
pub(super) fn is_right(graph: &Graph, guards: &Guards) -> bool {
    let exists = |stage: &StageId| graph.stages.contains_key(stage);
    let mut transitions = graph.transitions.values();
    let mut bindings = graph.transitions.values().flat_map(|transition| &transition.guards);
    if graph.stages.values().filter(|stage| stage.initial).count() != 1
        || !transitions.all(|transition| exists(&transition.from) && exists(&transition.to))
        || !bindings.all(|(id, binding)| guards.knows(id.as_str(), binding))
    {
        return false;
    }
    let is_open = |one: &&Transition| one.guards.iter().all(|(id, binding)| guards.is_open(id.as_str(), binding));
    let open: Vec<&Transition> = graph.transitions.values().filter(is_open).collect();
    let finals = graph.stages.iter().filter(|(_, stage)| stage.r#final).map(|(id, _)| id);
    let mut finishing: BTreeSet<&StageId> = finals.collect();
    loop {
        let before = finishing.len();
        for transition in &open {
            if finishing.contains(&transition.to) {
                finishing.insert(&transition.from);
            }
        }
        if finishing.len() == before {
            return before == graph.stages.len();
        }
    }
}

pub(super) fn order(choices: &mut Choices<'_>) -> u32 {
    u32::try_from(choices.below(5)).unwrap_or_default()
}

pub(super) fn event(choices: &mut Choices<'_>) -> Option<EventKey> {
    choices.pick(&EVENTS).and_then(|event| made(event))
}

pub(super) fn role(choices: &mut Choices<'_>) -> Option<Role> {
    choices.pick(&ROLES).and_then(|role| made(role))
}

pub(super) fn stage(number: usize, choices: &mut Choices<'_>) -> Stage {
    Stage {
        name: format!("Stage {number}"),
        name2: format!("مرحلة {number}"),
        initial: false,
        r#final: false,
        order: if choices.percent(70) { u32::try_from(number).unwrap_or_default() } else { 0 },
    }
}

/// Makes the parts of graphs.
pub(super) struct Parts<'g> {
    pub(super) guards: &'g Guards,
}

impl Parts<'_> {
    /// A graph with so many stages.
    pub(super) fn graph(&self, stages: usize, choices: &mut Choices<'_>) -> Graph {
        let ids: Vec<StageId> = (0..stages).filter_map(|number| made(&format!("stage{number}"))).collect();
        let mut graph = Graph::default();
        for (number, id) in ids.iter().enumerate() {
            let last = number + 1 == stages;
            let stage = Stage {
                initial: number == 0,
                r#final: last || (number > 0 && choices.percent(8)),
                ..stage(number, choices)
            };
            graph.stages.insert(id.clone(), stage);
        }
        let mut add = |name: String, transition: Option<Transition>| {
            graph.transitions.extend(made(&name).zip(transition));
        };
        for (number, ends) in ids.windows(2).enumerate() {
            if let [from, to] = ends {
                add(format!("step{number}"), self.transition([from.clone(), to.clone()], true, choices));
            }
        }
        for number in 0..choices.below(1 + stages * 2) {
            if let (Some(from), Some(to)) = (choices.pick(&ids).cloned(), choices.pick(&ids).cloned()) {
                add(format!("across{number}"), self.transition([from, to], false, choices));
            }
        }
        graph
    }

    /// A transition. One that is open can be taken at some time, whatever the settings are.
    pub(super) fn transition(
        &self,
        [from, to]: [StageId; 2],
        open: bool,
        choices: &mut Choices<'_>,
    ) -> Option<Transition> {
        let event = event(choices)?;
        let mut guards = SortedMap::new();
        let count = if choices.percent(55) { 1 + choices.below(3) } else { 0 };
        for _ in 0..count {
            guards.extend(self.binding(open, choices));
        }
        let role = if choices.percent(25) { role(choices) } else { None };
        let (name, name2) = (format!("To {to}"), format!("إلى {to}"));
        let order = if choices.percent(40) { order(choices) } else { 0 };
        Some(Transition { name, name2, from, event, to, guards, role, order })
    }

    /// A binding under the guard's key, or under an id of its own.
    pub(super) fn binding(&self, open: bool, choices: &mut Choices<'_>) -> Option<(RecordId, GuardBinding)> {
        let key: GuardKey = if open { self.guards.any_open(choices) } else { self.guards.any(choices) }?;
        let settings = if choices.percent(40) { self.guards.settings(&key, 50, choices) } else { SortedMap::new() };
        let named = choices.percent(50);
        let id = if named { format!("b{}", choices.below(6)) } else { key.to_string() };
        Some((made(&id)?, GuardBinding { guard: named.then_some(key), settings }))
    }
}
