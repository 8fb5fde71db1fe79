//! Laying patches over a template: the version, its override for the category, the tenant's patch, the tenant's patch for
//! the category.

use super::Layer;
use crate::model::{
    DiagnosticCode, Edit, FieldChange, Graph, GuardBinding, GuardBindingChange, PatchOperation, Stage, StageChange,
    Transition, TransitionChange,
};
use crate::{RecordId, Role, SortedMap, StageId, TransitionId};
use std::borrow::Cow;

/// Something, and the layer that touched it last.
#[derive(Debug, Clone)]
pub(crate) struct Layered<T> {
    pub(crate) layer: Layer,
    pub(crate) value: T,
}

/// Stages and transitions on the way through the layers. What no layer changes is borrowed from the template.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layers<'d> {
    pub(crate) stages: SortedMap<&'d StageId, Layered<Cow<'d, Stage>>>,
    pub(crate) transitions: SortedMap<&'d TransitionId, LayeredTransition<'d>>,
}

/// A transition whose role and guards have layers of their own.
#[derive(Debug, Clone)]
pub(crate) struct LayeredTransition<'d> {
    pub(crate) transition: Layered<Cow<'d, Transition>>,
    pub(crate) role: Option<Layered<&'d Role>>,
    pub(crate) guards: SortedMap<&'d RecordId, Layered<Cow<'d, GuardBinding>>>,
}

/// An operation that could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) code: DiagnosticCode,
    /// Its place in the patch.
    pub(crate) operation: usize,
    pub(crate) message: String,
}

impl<'d> Layers<'d> {
    /// The template by itself.
    pub(crate) fn of(graph: &'d Graph) -> Self {
        let stages = graph.stages.iter().map(|(id, stage)| (id, Layered::template(Cow::Borrowed(stage))));
        let transitions = graph.transitions.iter().map(|(id, transition)| {
            (id, LayeredTransition::new(Layered::template(Cow::Borrowed(transition)), transition))
        });
        Self { stages: stages.collect(), transitions: transitions.collect() }
    }

    /// Does the operations of a patch in their order. Those that cannot be done are left out, and given back.
    pub(crate) fn lay(&mut self, patch: &'d [PatchOperation], layer: Layer) -> Vec<Misfit> {
        let done = patch.iter().enumerate().map(|(at, operation)| (at, self.operate(operation, layer)));
        let misfits = done.filter_map(|(operation, done)| {
            let (code, what) = done.err()?;
            let message = match code {
                DiagnosticCode::PatchTargetExists => format!("{what} is there already"),
                _ => format!("there is no {what} here"),
            };
            Some(Misfit { code, operation, message })
        });
        misfits.collect()
    }

    fn operate(&mut self, operation: &'d PatchOperation, layer: Layer) -> Result<(), (DiagnosticCode, String)> {
        match operation {
            PatchOperation::Stage { stage, edit } => {
                let what = || format!("stage `{stage}`");
                match edit {
                    Edit::Add(value) => put(&mut self.stages, stage, Layered::new(layer, Cow::Borrowed(value)), what),
                    Edit::Change(change) => {
                        let held = find(&mut self.stages, stage, what)?;
                        held.layer = layer;
                        change_stage(held.value.to_mut(), change);
                        Ok(())
                    }
                    Edit::Remove => take(&mut self.stages, stage, what),
                }
            }
            PatchOperation::Transition { transition, edit } => {
                let what = || format!("transition `{transition}`");
                match edit {
                    Edit::Add(value) => {
                        let added = LayeredTransition::new(Layered::new(layer, Cow::Borrowed(value)), value);
                        put(&mut self.transitions, transition, added, what)
                    }
                    Edit::Change(change) => {
                        find(&mut self.transitions, transition, what)?.change(change, layer);
                        Ok(())
                    }
                    Edit::Remove => take(&mut self.transitions, transition, what),
                }
            }
            PatchOperation::Guard { transition, guard, edit } => {
                let bound =
                    &mut find(&mut self.transitions, transition, || format!("transition `{transition}`"))?.guards;
                let what = || format!("guard `{guard}` on transition `{transition}`");
                match edit {
                    Edit::Add(value) => put(bound, guard, Layered::new(layer, Cow::Borrowed(value)), what),
                    Edit::Change(change) => {
                        let held = find(bound, guard, what)?;
                        held.layer = layer;
                        change_binding(held.value.to_mut(), change);
                        Ok(())
                    }
                    Edit::Remove => take(bound, guard, what),
                }
            }
        }
    }

    /// The result as a graph of its own.
    pub(crate) fn to_graph(&self) -> Graph {
        let stages = self.stages.iter().map(|(id, stage)| ((*id).clone(), stage.value.clone().into_owned()));
        let transitions = self.transitions.iter().map(|(id, layered)| {
            let guards = layered.guards.iter().map(|(id, binding)| ((*id).clone(), binding.value.clone().into_owned()));
            let transition = Transition {
                role: layered.role.as_ref().map(|role| role.value.clone()),
                guards: guards.collect(),
                ..layered.transition.value.clone().into_owned()
            };
            ((*id).clone(), transition)
        });
        Graph { stages: stages.collect(), transitions: transitions.collect() }
    }
}

impl<T> Layered<T> {
    fn new(layer: Layer, value: T) -> Self {
        Self { layer, value }
    }

    fn template(value: T) -> Self {
        Self::new(Layer::Template, value)
    }
}

impl<'d> LayeredTransition<'d> {
    fn new(transition: Layered<Cow<'d, Transition>>, of: &'d Transition) -> Self {
        let layer = transition.layer;
        let guards = of.guards.iter().map(|(id, binding)| (id, Layered::new(layer, Cow::Borrowed(binding))));
        Self { role: of.role.as_ref().map(|role| Layered::new(layer, role)), guards: guards.collect(), transition }
    }

    fn change(&mut self, change: &'d TransitionChange, layer: Layer) {
        let TransitionChange { name, name2, from, event, to, role, order } = change;
        self.transition.layer = layer;
        let value = self.transition.value.to_mut();
        set(&mut value.name, name);
        set(&mut value.name2, name2);
        set(&mut value.from, from);
        set(&mut value.event, event);
        set(&mut value.to, to);
        set(&mut value.order, order);
        match role {
            FieldChange::Keep => {}
            FieldChange::Clear => self.role = None,
            FieldChange::Set(role) => self.role = Some(Layered::new(layer, role)),
        }
    }
}

fn change_stage(stage: &mut Stage, change: &StageChange) {
    let StageChange { name, name2, initial, r#final, order } = change;
    set(&mut stage.name, name);
    set(&mut stage.name2, name2);
    set(&mut stage.initial, initial);
    set(&mut stage.r#final, r#final);
    set(&mut stage.order, order);
}

fn change_binding(binding: &mut GuardBinding, change: &GuardBindingChange) {
    match &change.guard {
        FieldChange::Keep => {}
        FieldChange::Clear => binding.guard = None,
        FieldChange::Set(guard) => binding.guard = Some(guard.clone()),
    }
    for (name, value) in &change.settings {
        match value {
            FieldChange::Keep => {}
            FieldChange::Clear => drop(binding.settings.remove(name)),
            FieldChange::Set(value) => drop(binding.settings.insert(name.clone(), value.clone())),
        }
    }
}

fn set<T: Clone>(field: &mut T, change: &Option<T>) {
    if let Some(value) = change {
        field.clone_from(value);
    }
}

type Done<T> = Result<T, (DiagnosticCode, String)>;

fn put<'d, K: Ord, V>(map: &mut SortedMap<&'d K, V>, id: &'d K, value: V, what: impl Fn() -> String) -> Done<()> {
    if map.contains_key(id) {
        return Err((DiagnosticCode::PatchTargetExists, what()));
    }
    map.insert(id, value);
    Ok(())
}

fn find<'m, K: Ord, V>(map: &'m mut SortedMap<&K, V>, id: &K, what: impl Fn() -> String) -> Done<&'m mut V> {
    map.get_mut(id).ok_or_else(|| (DiagnosticCode::PatchTargetGone, what()))
}

fn take<K: Ord, V>(map: &mut SortedMap<&K, V>, id: &K, what: impl Fn() -> String) -> Done<()> {
    map.remove(id).map(drop).ok_or_else(|| (DiagnosticCode::PatchTargetGone, what()))
}

/// What patches make of a graph, one after the other. Operations that cannot be done are left out.
pub(crate) fn laid(graph: &Graph, patches: &[&[PatchOperation]]) -> Graph {
    let mut layers = Layers::of(graph);
    for patch in patches {
        // Where something comes from does not show in a graph.
        layers.lay(patch, Layer::Template);
    }
    layers.to_graph()
}

/// The patch that makes one graph of another, in the order in which it can be done.
pub(crate) fn difference(from: &Graph, to: &Graph) -> Vec<PatchOperation> {
    let mut patch = Vec::new();
    // Stages come before the transitions that enter them, and go after those that left them.
    for (stage, value) in &to.stages {
        let edit = match from.stages.get(stage) {
            None => Some(Edit::Add(value.clone())),
            Some(before) => stage_change(before, value).map(Edit::Change),
        };
        patch.extend(edit.map(|edit| PatchOperation::Stage { stage: stage.clone(), edit }));
    }
    for transition in from.transitions.keys().filter(|id| !to.transitions.contains_key(*id)) {
        patch.push(PatchOperation::Transition { transition: transition.clone(), edit: Edit::Remove });
    }
    for (id, value) in &to.transitions {
        let transition = id.clone();
        match from.transitions.get(id) {
            None => patch.push(PatchOperation::Transition { transition, edit: Edit::Add(value.clone()) }),
            Some(before) => {
                let change = transition_change(before, value).map(Edit::Change);
                patch.extend(change.map(|edit| PatchOperation::Transition { transition, edit }));
                patch.extend(binding_changes(id, before, value));
            }
        }
    }
    for stage in from.stages.keys().filter(|id| !to.stages.contains_key(*id)) {
        patch.push(PatchOperation::Stage { stage: stage.clone(), edit: Edit::Remove });
    }
    patch
}

fn stage_change(before: &Stage, after: &Stage) -> Option<StageChange> {
    let change = StageChange {
        name: changed(&before.name, &after.name),
        name2: changed(&before.name2, &after.name2),
        initial: changed(&before.initial, &after.initial),
        r#final: changed(&before.r#final, &after.r#final),
        order: changed(&before.order, &after.order),
    };
    (change != StageChange::default()).then_some(change)
}

fn transition_change(before: &Transition, after: &Transition) -> Option<TransitionChange> {
    let change = TransitionChange {
        name: changed(&before.name, &after.name),
        name2: changed(&before.name2, &after.name2),
        from: changed(&before.from, &after.from),
        event: changed(&before.event, &after.event),
        to: changed(&before.to, &after.to),
        role: changed_field(before.role.as_ref(), after.role.as_ref()),
        order: changed(&before.order, &after.order),
    };
    (change != TransitionChange::default()).then_some(change)
}

fn binding_changes(id: &TransitionId, before: &Transition, after: &Transition) -> Vec<PatchOperation> {
    let operation =
        |guard: &RecordId, edit| PatchOperation::Guard { transition: id.clone(), guard: guard.clone(), edit };
    let gone = before.guards.keys().filter(|guard| !after.guards.contains_key(*guard));
    let mut operations: Vec<PatchOperation> = gone.map(|guard| operation(guard, Edit::Remove)).collect();
    for (guard, binding) in &after.guards {
        match before.guards.get(guard) {
            None => operations.push(operation(guard, Edit::Add(binding.clone()))),
            Some(before) if before != binding => {
                let names = before.settings.keys().chain(binding.settings.keys());
                let settings = names.filter_map(|name| {
                    let change = changed_field(before.settings.get(name), binding.settings.get(name));
                    (!change.is_keep()).then(|| (name.clone(), change))
                });
                let change = GuardBindingChange {
                    guard: changed_field(before.guard.as_ref(), binding.guard.as_ref()),
                    settings: settings.collect(),
                };
                operations.push(operation(guard, Edit::Change(change)));
            }
            Some(_) => {}
        }
    }
    operations
}

fn changed<T: Clone + PartialEq>(before: &T, after: &T) -> Option<T> {
    (before != after).then(|| after.clone())
}

fn changed_field<T: Clone + PartialEq>(before: Option<&T>, after: Option<&T>) -> FieldChange<T> {
    match after {
        _ if before == after => FieldChange::Keep,
        Some(value) => FieldChange::Set(value.clone()),
        None => FieldChange::Clear,
    }
}
