//! Random edits of graphs, each as a patch, that leave the graphs right.

use super::super::{Choices, made};
use super::graph::{self, Parts};
use super::guards::Guards;
use crate::model::{
    Edit, FieldChange, Graph, GuardBinding, GuardBindingChange, PatchOperation, Stage, StageChange, Transition,
    TransitionChange,
};
use crate::{RecordId, SortedMap, StageId, TransitionId, VariableName};
use std::collections::BTreeSet;

/// Edits several graphs at once: a patch that fits one may not fit another, and a tenant's patch is laid over the
/// version by itself and over each of its overrides.
#[derive(Debug)]
pub(super) struct Editor<'g> {
    pub(super) guards: &'g Guards,
    pub(super) graphs: Vec<Graph>,
    pub(super) patch: Vec<PatchOperation>,
}

impl<'g> Editor<'g> {
    pub(super) fn new(guards: &'g Guards, graphs: Vec<Graph>) -> Self {
        Self { guards, graphs, patch: Vec::new() }
    }

    /// Tries so many edits. Those that do not fit, or would leave a graph wrong, are left out.
    pub(super) fn edit(&mut self, times: usize, choices: &mut Choices<'_>) {
        for _ in 0..times {
            let operations = self.propose(choices).unwrap_or_default();
            let edited: Option<Vec<Graph>> = self.graphs.iter().map(|graph| self.edited(graph, &operations)).collect();
            if let Some(graphs) = edited.filter(|_| !operations.is_empty()) {
                self.graphs = graphs;
                self.patch.extend(operations);
            }
        }
    }

    fn edited(&self, graph: &Graph, operations: &[PatchOperation]) -> Option<Graph> {
        let mut graph = graph.clone();
        operations.iter().all(|operation| operate(&mut graph, operation)).then_some(())?;
        graph::is_right(&graph, self.guards).then_some(graph)
    }

    fn parts(&self) -> Parts<'_> {
        Parts { guards: self.guards }
    }

    fn stages(&self) -> Vec<StageId> {
        self.graphs.first().into_iter().flat_map(|graph| graph.stages.keys().cloned()).collect()
    }

    fn stage(&self, choices: &mut Choices<'_>) -> Option<StageId> {
        choices.pick(&self.stages()).cloned()
    }

    fn transition(&self, choices: &mut Choices<'_>) -> Option<(TransitionId, Transition)> {
        let transitions: Vec<_> = self.graphs.first()?.transitions.iter().collect();
        choices.pick(&transitions).map(|(id, transition)| ((*id).clone(), (*transition).clone()))
    }

    fn binding(&self, choices: &mut Choices<'_>) -> Option<(TransitionId, RecordId, GuardBinding)> {
        let bindings: Vec<_> = self
            .graphs
            .first()?
            .transitions
            .iter()
            .flat_map(|(id, transition)| transition.guards.iter().map(move |(guard, binding)| (id, guard, binding)))
            .collect();
        choices.pick(&bindings).map(|(id, guard, binding)| ((*id).clone(), (*guard).clone(), (*binding).clone()))
    }

    /// Operations that belong together.
    fn propose(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        match choices.below(12) {
            0 => self.change_stage(choices),
            1 => self.another_initial(choices),
            2 => self.add_stage(choices),
            3 => self.remove_stage(choices),
            4 | 5 => self.add_transition(choices),
            6 => self.change_transition(choices),
            7 => self.transition(choices).map(|(id, _)| vec![on_transition(id, Edit::Remove)]),
            8 | 9 => self.add_binding(choices),
            10 => self.change_binding(choices),
            _ => self.binding(choices).map(|(id, guard, _)| vec![on_binding(id, guard, Edit::Remove)]),
        }
    }

    fn change_stage(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let stage = self.stage(choices)?;
        let change = StageChange {
            name: choices.percent(40).then(|| "Renamed".into()),
            name2: choices.percent(20).then(|| "مسمى جديد".into()),
            initial: None,
            r#final: choices.percent(30).then(|| choices.percent(50)),
            order: choices.percent(40).then(|| graph::order(choices)),
        };
        Some(vec![on_stage(stage, Edit::Change(change))])
    }

    fn another_initial(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let graph = self.graphs.first()?;
        let (now, _) = graph.stages.iter().find(|(_, stage)| stage.initial)?;
        let initial = |value| Edit::Change(StageChange { initial: Some(value), ..StageChange::default() });
        let next = self.stage(choices)?;
        Some(vec![on_stage(now.clone(), initial(false)), on_stage(next, initial(true))])
    }

    fn add_stage(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        // Versions and tenants take their new ids from the same few, so that upgrades meet them on both sides.
        let number = choices.below(12);
        let (from, to) = (self.stage(choices)?, self.stage(choices)?);
        let stage: StageId = made(&format!("extra{number}"))?;
        let value = Stage { r#final: choices.percent(10), ..graph::stage(number, choices) };
        let mut operations = vec![on_stage(stage.clone(), Edit::Add(value))];
        for (id, from, to) in [("to", from, stage.clone()), ("from", stage, to)] {
            let transition = self.parts().transition([from, to], true, choices);
            operations.push(on_transition(made(&format!("{id}_extra{number}"))?, Edit::Add(transition?)));
        }
        Some(operations)
    }

    /// Removes a stage with its transitions, and leads those who came to it elsewhere.
    fn remove_stage(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let gone = self.stage(choices)?;
        let graph = self.graphs.first()?;
        let joined: Vec<_> = graph.transitions.iter().filter(|(_, it)| it.from == gone || it.to == gone).collect();
        let mut operations: Vec<PatchOperation> =
            joined.iter().map(|(id, _)| on_transition((*id).clone(), Edit::Remove)).collect();
        let before: BTreeSet<&StageId> = joined.iter().map(|(_, it)| &it.from).filter(|from| **from != gone).collect();
        let after: Vec<&StageId> = joined.iter().map(|(_, it)| &it.to).filter(|to| **to != gone).collect();
        for from in before {
            let to = choices.pick(&after).map(|to| (*to).clone());
            let transition = self.parts().transition([from.clone(), to?], true, choices)?;
            operations.push(on_transition(made(&format!("past_{gone}_{from}"))?, Edit::Add(transition)));
        }
        operations.push(on_stage(gone, Edit::Remove));
        Some(operations)
    }

    fn add_transition(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let ends = [self.stage(choices)?, self.stage(choices)?];
        let transition = self.parts().transition(ends, false, choices)?;
        let id = made(&format!("way{}", choices.below(20)))?;
        Some(vec![on_transition(id, Edit::Add(transition))])
    }

    fn change_transition(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let (id, _) = self.transition(choices)?;
        let other = self.stage(choices)?;
        let change = TransitionChange {
            name: choices.percent(30).then(|| "Renamed".into()),
            name2: None,
            from: choices.percent(15).then(|| other.clone()),
            event: if choices.percent(25) { graph::event(choices) } else { None },
            to: choices.percent(25).then_some(other),
            role: match choices.below(4) {
                1 => FieldChange::Clear,
                2 => graph::role(choices).map_or(FieldChange::Keep, FieldChange::Set),
                _ => FieldChange::Keep,
            },
            order: choices.percent(30).then(|| graph::order(choices)),
        };
        Some(vec![on_transition(id, Edit::Change(change))])
    }

    fn add_binding(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let (id, _) = self.transition(choices)?;
        let open = choices.percent(50);
        let (guard, binding) = self.parts().binding(open, choices)?;
        Some(vec![on_binding(id, guard, Edit::Add(binding))])
    }

    fn change_binding(&self, choices: &mut Choices<'_>) -> Option<Vec<PatchOperation>> {
        let (id, guard, binding) = self.binding(choices)?;
        let key = self.guards.named(guard.as_str(), &binding)?;
        let (named, mut settings) = (self.guards.any(choices)?, SortedMap::new());
        // Another guard has other settings.
        let (change, key) = if choices.percent(30) {
            settings.extend(clear(&binding));
            (FieldChange::Set(named.clone()), named)
        } else if self.guards.all().iter().any(|known| known.as_str() == guard.as_str()) && choices.percent(30) {
            settings.extend(clear(&binding));
            (FieldChange::Clear, made(guard.as_str())?)
        } else {
            settings.extend(clear(&binding).filter(|_| choices.percent(30)).collect::<Vec<_>>());
            (FieldChange::Keep, key)
        };
        let set = self.guards.settings(&key, 40, choices);
        settings.extend(set.into_iter().map(|(name, value)| (name, FieldChange::Set(value))));
        Some(vec![on_binding(id, guard, Edit::Change(GuardBindingChange { guard: change, settings }))])
    }
}

fn clear(binding: &GuardBinding) -> impl Iterator<Item = (VariableName, FieldChange<serde_json::Value>)> {
    binding.settings.keys().map(|name| (name.clone(), FieldChange::Clear))
}

fn on_stage(stage: StageId, edit: Edit<Stage, StageChange>) -> PatchOperation {
    PatchOperation::Stage { stage, edit }
}

fn on_transition(transition: TransitionId, edit: Edit<Transition, TransitionChange>) -> PatchOperation {
    PatchOperation::Transition { transition, edit }
}

fn on_binding(
    transition: TransitionId,
    guard: RecordId,
    edit: Edit<GuardBinding, GuardBindingChange>,
) -> PatchOperation {
    PatchOperation::Guard { transition, guard, edit }
}

/// A graph with a patch laid over it, operation by operation, as simply as can be: the oracle of the engine's layers. What
/// does not fit is left out.
#[must_use]
pub fn laid(graph: &Graph, patch: &[PatchOperation]) -> Graph {
    let mut graph = graph.clone();
    for operation in patch {
        operate(&mut graph, operation);
    }
    graph
}

/// Does one operation, as simply as can be. Whether it fits.
fn operate(graph: &mut Graph, operation: &PatchOperation) -> bool {
    match operation {
        PatchOperation::Stage { stage, edit } => on(&mut graph.stages, stage, edit, |stage, change| {
            set(&mut stage.name, change.name.as_ref());
            set(&mut stage.name2, change.name2.as_ref());
            set(&mut stage.initial, change.initial.as_ref());
            set(&mut stage.r#final, change.r#final.as_ref());
            set(&mut stage.order, change.order.as_ref());
        }),
        PatchOperation::Transition { transition, edit } => {
            on(&mut graph.transitions, transition, edit, |transition, change| {
                set(&mut transition.name, change.name.as_ref());
                set(&mut transition.name2, change.name2.as_ref());
                set(&mut transition.from, change.from.as_ref());
                set(&mut transition.event, change.event.as_ref());
                set(&mut transition.to, change.to.as_ref());
                set(&mut transition.order, change.order.as_ref());
                set_or_clear(&mut transition.role, &change.role);
            })
        }
        PatchOperation::Guard { transition, guard, edit } => {
            let Some(transition) = graph.transitions.get_mut(transition) else { return false };
            on(&mut transition.guards, guard, edit, |binding, change| {
                set_or_clear(&mut binding.guard, &change.guard);
                for (name, value) in &change.settings {
                    let mut held = binding.settings.remove(name);
                    set_or_clear(&mut held, value);
                    binding.settings.extend(held.map(|held| (name.clone(), held)));
                }
            })
        }
    }
}

fn on<K: Ord + Clone, T: Clone, C>(
    map: &mut SortedMap<K, T>,
    id: &K,
    edit: &Edit<T, C>,
    change: impl FnOnce(&mut T, &C),
) -> bool {
    match edit {
        Edit::Add(value) => !map.contains_key(id) && map.insert(id.clone(), value.clone()).is_none(),
        Edit::Change(fields) => map.get_mut(id).map(|held| change(held, fields)).is_some(),
        Edit::Remove => map.remove(id).is_some(),
    }
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

fn set_or_clear<T: Clone>(field: &mut Option<T>, change: &FieldChange<T>) {
    match change {
        FieldChange::Keep => {}
        FieldChange::Clear => *field = None,
        FieldChange::Set(value) => *field = Some(value.clone()),
    }
}
