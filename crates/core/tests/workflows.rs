//! Workflows: the properties from P40 on of `docs/properties.md`, over worlds in which templates, overrides, patches and
//! settings meet. Seeds and case counts are fixed: a run that passes once passes always.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use crate::support::{self, Held};
use leasehold::generate::{Choices, Given, MachineName, WorkflowWorld, laid, workflow_world};
use leasehold::merge::{Conflict, Side, changes, three_way};
use leasehold::model::{
    Definitions, Edit, Graph, GuardBinding, PatchOperation, Source, StageChange, TenantCategory, TenantWorkflow,
    TransitionChange, WorkflowVersion, built_in_guards, json_schema, load,
};
use leasehold::workflow::{
    BlockerCode, ConsideredGuard, Context, JsonInputs, Layer, Machine, SettingSource, TransitionState, Upgrade,
};
use leasehold::{CategoryKey, Engine, Error, Revision, Snapshot, Stamp, TransitionId};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Checks a property over so many worlds, always the same ones.
fn check(cases: u32, property: impl Fn(&World, &mut Choices<'_>) -> Held) {
    support::check(cases, 2_500, |choices| {
        let world = workflow_world(choices);
        let snapshot = compile(&world.definitions);
        property(&World { snapshot, made: world }, choices)
    });
}

/// Checks a property over so many worlds, for a few machines of each.
fn check_machines(cases: u32, property: impl Fn(&World, &MachineName, &Machine, &mut Choices<'_>) -> Held) {
    check(cases, |world, choices| {
        let names = world.made.machines();
        for _ in 0..4 {
            let name = choices.pick(&names).unwrap();
            if let Some(machine) = world.machine(name) {
                property(world, name, &machine, choices)?;
            }
        }
        Ok(())
    });
}

struct World {
    made: WorkflowWorld,
    snapshot: Snapshot,
}

fn compile(definitions: &Definitions) -> Snapshot {
    let issued_at = "2026-06-01T00:00:00Z".parse().unwrap();
    let stamp = Stamp { revision: Revision::new(7).unwrap(), issued_at, expires_at: None };
    // Worlds are always right, and so is whatever the properties make of them.
    Snapshot::compile(definitions, stamp).map_err(|refused| refused.to_string()).unwrap()
}

fn is_right(definitions: &Definitions) -> bool {
    let issued_at = "2026-06-01T00:00:00Z".parse().unwrap();
    Snapshot::compile(definitions, Stamp { revision: Revision::default(), issued_at, expires_at: None }).is_ok()
}

fn ask(snapshot: &Snapshot, name: &MachineName) -> Result<Machine, Error> {
    let category = name.category.as_ref().map(CategoryKey::as_str);
    snapshot.tenant(name.tenant.as_str()).unwrap().machine(name.workflow.as_str(), category)
}

impl World {
    fn machine(&self, name: &MachineName) -> Option<Machine> {
        ask(&self.snapshot, name).ok()
    }

    /// The machine once the definitions are changed.
    fn changed(&self, name: &MachineName, change: impl FnOnce(&mut Definitions)) -> Machine {
        let mut definitions = self.made.definitions.clone();
        change(&mut definitions);
        ask(&compile(&definitions), name).unwrap()
    }

    /// What the tenant lays over the template, if anything.
    fn own(&self, name: &MachineName) -> Option<&TenantWorkflow> {
        self.made.definitions.tenants[&name.tenant].workflows.get(&name.workflow)
    }

    fn version(&self, name: &MachineName) -> &WorkflowVersion {
        let workflow = &self.made.definitions.workflows[&name.workflow];
        let number = self.own(name).and_then(|own| own.version).or(workflow.current()).unwrap();
        &workflow.versions[&number]
    }

    /// The layers of a machine, from the least specific.
    fn layers(&self, name: &MachineName) -> [Graph; 4] {
        let (version, own) = (self.version(name), self.own(name).cloned().unwrap_or_default());
        graphs(version, &own, name.category.as_ref())
    }

    /// Contexts and stages to ask at.
    fn questions(&self, machine: &Machine, choices: &mut Choices<'_>) -> Vec<(String, Given)> {
        let stages: Vec<String> = machine.stages().map(|stage| stage.stage.to_string()).collect();
        (0..4).map(|_| (choices.pick(&stages).unwrap().clone(), self.made.given(choices))).collect()
    }
}

/// A version, with its override, with the tenant's patch, with the tenant's patch for the category.
fn graphs(version: &WorkflowVersion, own: &TenantWorkflow, category: Option<&CategoryKey>) -> [Graph; 4] {
    let of_version = category.and_then(|category| version.categories.get(category));
    let of_tenant = category.and_then(|category| own.categories.get(category));
    let over = laid(&version.graph, of_version.map_or(&[], |category| &category.patch));
    let tenant = laid(&over, &own.patch);
    let category = laid(&tenant, of_tenant.map_or(&[], |category| &category.patch));
    [version.graph.clone(), over, tenant, category]
}

fn own_mut<'d>(definitions: &'d mut Definitions, name: &MachineName) -> &'d mut TenantWorkflow {
    let tenant = definitions.tenants.get_mut(&name.tenant).unwrap();
    tenant.workflows.or_default(name.workflow.clone())
}

fn initial(machine: &Machine) -> String {
    machine.stages().find(|stage| stage.initial).unwrap().stage.to_string()
}

/// Between which stages transitions lead.
fn moves(machine: &Machine) -> BTreeSet<(String, String)> {
    let answers = machine.transitions(&initial(machine), &Context::default()).unwrap();
    answers.iter().map(|answer| (answer.from.to_string(), answer.to.to_string())).collect()
}

/// Everything that a machine says of itself: stages, and transitions with their guards as they are filled in.
fn told(machine: &Machine) -> Value {
    let (mut declared, mut transitions) = (Vec::new(), serde_json::Map::new());
    for answer in machine.transitions(&initial(machine), &Context::default()).unwrap() {
        declared.push(answer.transition.to_string());
        let mut answer = json!(&answer);
        let all = answer.as_object_mut().unwrap();
        all.retain(|field, _| field != "state" && field != "blockers");
        transitions.insert(all["transition"].as_str().unwrap().to_owned(), answer);
    }
    for (from, to) in moves(machine) {
        for considered in machine.explain(&from, &to, &Context::default()).unwrap().considered {
            transitions[considered.transition.as_str()]["considered"] = json!(&considered);
        }
    }
    let stages: Vec<Value> = machine.stages().map(|stage| json!(&stage)).collect();
    json!({ "version": machine.version(), "stages": stages, "declared": declared, "transitions": transitions })
}

/// The same without saying which layer it comes from.
fn without_layers(mut told: Value) -> Value {
    match &mut told {
        Value::Object(fields) => {
            fields.retain(|field, _| field != "layer");
            fields.values_mut().for_each(|value| *value = without_layers(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_layers(item.take())),
        _ => {}
    }
    told
}

/// The transitions that are enabled at a stage.
fn enabled(machine: &Machine, stage: &str, context: &Context<'_>) -> BTreeSet<TransitionId> {
    let answers = machine.transitions(stage, context).unwrap().into_iter();
    answers.filter(|one| one.state == TransitionState::Enabled).map(|one| one.transition.clone()).collect()
}

/// The stage or transition that an operation is on.
fn target(operation: &PatchOperation) -> String {
    match operation {
        PatchOperation::Stage { stage, .. } => format!("stages/{stage}"),
        PatchOperation::Transition { transition, .. } | PatchOperation::Guard { transition, .. } => {
            format!("transitions/{transition}")
        }
    }
}

#[test]
fn p40_a_machine_is_its_layers_laid_over_each_other() {
    check_machines(500, |world, name, machine, _| {
        let [.., graph] = world.layers(name);
        let mut stages: Vec<_> = graph.stages.iter().collect();
        stages.sort_by_key(|(id, stage)| (stage.order, *id));
        let ours: Vec<Value> = machine.stages().map(|one| without_layers(json!(&one))).collect();
        let expected = stages.iter().map(|(id, stage)| {
            json!({ "stage": id, "name": stage.name, "name2": stage.name2, "initial": stage.initial,
                "final": stage.r#final })
        });
        prop_assert_eq!(ours, expected.collect::<Vec<_>>());
        let mut transitions: Vec<_> = graph.transitions.iter().collect();
        transitions.sort_by_key(|(id, transition)| (transition.order, *id));
        let told = told(machine);
        let answers = machine.transitions(&initial(machine), &Context::default()).unwrap();
        prop_assert_eq!(answers.len(), transitions.len());
        for (ours, (id, transition)) in answers.iter().zip(transitions) {
            prop_assert_eq!(ours.transition, id);
            prop_assert_eq!((ours.name, ours.name2), (&*transition.name, &*transition.name2));
            prop_assert_eq!((ours.from, ours.to), (&transition.from, &transition.to));
            prop_assert_eq!((ours.event, ours.role), (&transition.event, transition.role.as_ref()));
            let guards = told["transitions"][id.as_str()]["considered"]["guards"].as_array().unwrap();
            let bound = guards.iter().map(|guard| (&guard["binding"], &guard["guard"]));
            let expected =
                transition.guards.iter().map(|(binding, it)| (json!(binding), json!(named(binding.as_str(), it))));
            prop_assert!(bound.eq(expected.collect::<Vec<_>>().iter().map(|(binding, guard)| (binding, guard))));
        }
        Ok(())
    });
}

/// The guard that a binding names.
fn named(binding: &str, it: &GuardBinding) -> String {
    it.guard.as_ref().map_or_else(|| binding.to_owned(), ToString::to_string)
}

#[test]
fn p41_an_empty_patch_changes_nothing() {
    check_machines(300, |world, name, machine, _| {
        let empty = world.changed(name, |definitions| {
            let version = machine.version();
            let own = own_mut(definitions, name);
            own.version = Some(version);
            if let Some(category) = &name.category {
                own.categories.or_default(category.clone());
            }
        });
        prop_assert_eq!(told(&empty), told(machine));
        Ok(())
    });
}

#[test]
fn p42_a_patch_touches_only_what_it_names() {
    check_machines(400, |world, name, machine, _| {
        let Some(own) = world.own(name) else { return Ok(()) };
        let of_category = name.category.as_ref().and_then(|category| own.categories.get(category));
        let patches = own.patch.iter().chain(of_category.into_iter().flat_map(|own| &own.patch));
        let named: BTreeSet<String> = patches.map(target).collect();
        let without = world.changed(name, |definitions| {
            let own = own_mut(definitions, name);
            own.patch.clear();
            own.categories.values_mut().for_each(|category| category.patch.clear());
        });
        let [with, without] = [machine, &without].map(|machine| {
            let mut told = told(machine);
            let stages = told["stages"].take();
            let stages = stages.as_array().unwrap().iter().cloned();
            let stages = stages.map(|stage| (format!("stages/{}", stage["stage"].as_str().unwrap()), stage));
            let transitions = told["transitions"].as_object().unwrap().clone().into_iter();
            let parts = stages.chain(transitions.map(|(id, it)| (format!("transitions/{id}"), it)));
            parts.filter(|(id, _)| !named.contains(id)).collect::<BTreeMap<String, Value>>()
        });
        prop_assert_eq!(with, without);
        Ok(())
    });
}

#[test]
fn p43_the_order_of_unrelated_operations_has_no_meaning() {
    check_machines(300, |world, name, machine, choices| {
        let mut shuffle = |patch: &mut Vec<PatchOperation>| {
            let mut places: BTreeMap<String, u64> = BTreeMap::new();
            for operation in patch.iter() {
                places.entry(target(operation)).or_insert_with(|| choices.number());
            }
            // The sort is stable: what is done to one thing stays in its order.
            patch.sort_by_key(|operation| places[&target(operation)]);
        };
        let shuffled = world.changed(name, |definitions| {
            let own = own_mut(definitions, name);
            shuffle(&mut own.patch);
            own.categories.values_mut().for_each(|category| shuffle(&mut category.patch));
            let versions = definitions.workflows.values_mut().flat_map(|workflow| workflow.versions.values_mut());
            versions.flat_map(|version| version.categories.values_mut()).for_each(|over| shuffle(&mut over.patch));
        });
        prop_assert_eq!(told(&shuffled), told(machine));
        Ok(())
    });
}

#[test]
fn p44_a_later_layer_wins() {
    check_machines(500, |world, name, machine, choices| {
        let Some(category) = &name.category else { return Ok(()) };
        let (version, own) = (world.version(name), world.own(name).cloned().unwrap_or_default());
        let overrides = version.categories.values().flat_map(|over| &over.patch);
        let of_categories = own.categories.values().flat_map(|category| &category.patch);
        let touched: BTreeSet<String> = overrides.chain(&own.patch).chain(of_categories).map(target).collect();
        let stages = version.graph.stages.keys().filter(|id| !touched.contains(&format!("stages/{id}")));
        let transitions = version.graph.transitions.keys();
        let transitions = transitions.filter(|id| !touched.contains(&format!("transitions/{id}")));
        let (stages, transitions): (Vec<_>, Vec<_>) = (stages.collect(), transitions.collect());
        let (Some(stage), Some(transition)) = (choices.pick(&stages), choices.pick(&transitions)) else {
            return Ok(());
        };
        let renaming: Vec<Layer> = Layer::ALL.iter().skip(1).copied().filter(|_| choices.percent(50)).collect();
        let changed = world.changed(name, |definitions| {
            for layer in &renaming {
                let label = || Some(layer.to_string());
                let on_stage = StageChange { name: label(), ..StageChange::default() };
                let on_transition = TransitionChange { name: label(), ..TransitionChange::default() };
                let number = machine.version();
                let patch = match layer {
                    Layer::Template | Layer::Category => {
                        let workflow = definitions.workflows.get_mut(&name.workflow).unwrap();
                        let version = workflow.versions.get_mut(&number).unwrap();
                        &mut version.categories.or_default(category.clone()).patch
                    }
                    Layer::Tenant | Layer::TenantCategory => {
                        let own = own_mut(definitions, name);
                        own.version = Some(number);
                        match layer {
                            Layer::Tenant => &mut own.patch,
                            _ => &mut own.categories.or_default(category.clone()).patch,
                        }
                    }
                };
                patch.extend([
                    PatchOperation::Stage { stage: (*stage).clone(), edit: Edit::Change(on_stage) },
                    PatchOperation::Transition { transition: (*transition).clone(), edit: Edit::Change(on_transition) },
                ]);
            }
        });
        let Some(last) = renaming.last() else { return Ok(()) };
        let found = changed.stages().find(|one| one.stage == *stage).unwrap();
        prop_assert_eq!((found.name, found.layer), (last.as_str(), *last));
        let answers = changed.transitions(&initial(&changed), &Context::default()).unwrap();
        let found = answers.iter().find(|one| one.transition == *transition).unwrap();
        prop_assert_eq!((found.name, found.layer), (last.as_str(), *last));
        Ok(())
    });
}

#[test]
fn p45_settings_come_from_the_most_specific_who_fills_them_in() {
    check_machines(500, |world, name, machine, _| {
        let own = world.own(name).cloned().unwrap_or_default();
        let of_category = name.category.as_ref().and_then(|category| own.categories.get(category));
        let [.., graph] = world.layers(name);
        for (from, to) in moves(machine) {
            for considered in machine.explain(&from, &to, &Context::default()).unwrap().considered {
                for guard in considered.guards {
                    let binding = &graph.transitions[&considered.transition].guards[&guard.binding];
                    let of_guards = &world.made.definitions.guards;
                    let definition =
                        of_guards.get(&guard.guard).unwrap_or_else(|| &built_in_guards()[guard.guard.as_str()]);
                    prop_assert!(guard.settings.keys().eq(definition.settings.keys()));
                    for (setting, filled) in &guard.settings {
                        let binding = binding.settings.get(setting);
                        let in_category = of_category.and_then(|own| own.settings.get(&guard.guard)?.get(setting));
                        let of_tenant = own.settings.get(&guard.guard).and_then(|values| values.get(setting));
                        let default = &definition.settings[setting].default;
                        let expected = binding
                            .map(|value| (value, SettingSource::Binding))
                            .or(in_category.map(|value| (value, SettingSource::TenantCategory)))
                            .or(of_tenant.map(|value| (value, SettingSource::Tenant)))
                            .unwrap_or((default, SettingSource::Default));
                        prop_assert_eq!((&filled.value, filled.source), expected);
                    }
                }
            }
        }
        Ok(())
    });
}

/// A tenant with a template, and the version that what the tenant lays over its own one is carried over to.
struct Move<'w> {
    world: &'w World,
    name: MachineName,
    own: TenantWorkflow,
    before: &'w WorkflowVersion,
    after: &'w WorkflowVersion,
    to: u32,
}

/// Checks a property over so many worlds, for each tenant that has something of its own.
fn check_moves(cases: u32, property: impl Fn(&Move<'_>, &mut Choices<'_>) -> Held) {
    check(cases, |world, choices| {
        for name in world.made.machines().into_iter().filter(|name| name.category.is_none()) {
            let versions = &world.made.definitions.workflows[&name.workflow].versions;
            let numbers: Vec<u32> = versions.keys().copied().collect();
            let to = *choices.pick(&numbers).unwrap();
            let own = world.own(&name).cloned().unwrap_or_default();
            let before = world.version(&name);
            property(&Move { world, name, own, before, after: &versions[&to], to }, choices)?;
        }
        Ok(())
    });
}

impl Move<'_> {
    fn upgrade(&self, side: Side) -> Upgrade {
        let tenant = self.world.snapshot.tenant(self.name.tenant.as_str()).unwrap();
        tenant.upgrade(self.name.workflow.as_str(), self.to, side).unwrap()
    }

    /// None, and each category that anybody mentions.
    fn categories(&self) -> impl Iterator<Item = Option<&CategoryKey>> {
        let own = self.own.categories.keys();
        let mentioned: BTreeSet<_> =
            self.before.categories.keys().chain(self.after.categories.keys()).chain(own).collect();
        std::iter::once(None).chain(mentioned.into_iter().map(Some))
    }

    /// For a category or for none: base, what the tenant made of it, and the new version.
    fn sides(&self, category: Option<&CategoryKey>) -> [Graph; 3] {
        let [_, base, _, ours] = graphs(self.before, &self.own, category);
        let [_, theirs, _, _] = graphs(self.after, &self.own, category);
        [base, ours, theirs]
    }

    /// The tenant's settings that count, for a category or for none: transition, binding, guard, setting and value.
    fn counting(
        &self,
        category: Option<&CategoryKey>,
        ours: &Graph,
    ) -> Vec<(TransitionId, String, String, String, Value)> {
        let of_category = category.and_then(|category| self.own.categories.get(category));
        let mut counting = Vec::new();
        for (transition, held) in &ours.transitions {
            for (binding, bound) in &held.guards {
                let guard = named(binding.as_str(), bound);
                let of_category = of_category.and_then(|own| own.settings.get(guard.as_str()));
                let mut values = self.own.settings.get(guard.as_str()).cloned().unwrap_or_default();
                values.extend(of_category.cloned().unwrap_or_default());
                for (setting, value) in values.into_iter().filter(|(name, _)| !bound.settings.contains_key(name)) {
                    let guard = guard.clone();
                    counting.push((transition.clone(), binding.to_string(), guard, setting.to_string(), value));
                }
            }
        }
        counting
    }

    /// For a category or for none: the new version with what was carried over to it.
    fn result(&self, category: Option<&CategoryKey>, carried: &TenantWorkflow) -> Graph {
        let [.., result] = graphs(self.after, carried, category);
        result
    }
}

/// What is in conflict in a category or without one; what is so without one is not told again of each.
fn conflicts_in<'u>(upgrade: &'u Upgrade, category: Option<&CategoryKey>) -> Vec<&'u Conflict> {
    let here = upgrade.conflicts.iter().filter(|it| it.category.is_none() || it.category.as_ref() == category);
    here.map(|it| &it.conflict).collect()
}

#[test]
fn p46_carrying_over_to_the_same_version_changes_nothing() {
    check_moves(150, |there, _| {
        let workflow = &there.world.made.definitions.workflows[&there.name.workflow];
        let to = there.own.version.or(workflow.current()).unwrap();
        let (name, own) = (there.name.clone(), there.own.clone());
        let this = Move { name, own, to, after: there.before, ..*there };
        let upgrade = this.upgrade(Side::Theirs);
        prop_assert_eq!(&upgrade.conflicts, &[]);
        for category in this.categories() {
            let [_, ours, _] = this.sides(category);
            prop_assert_eq!(changes(&json!(&ours), &json!(&this.result(category, &upgrade.laid))), []);
        }
        let mine = |name: &&MachineName| (&name.tenant, &name.workflow) == (&this.name.tenant, &this.name.workflow);
        let names = this.world.made.machines();
        let mut definitions = this.world.made.definitions.clone();
        *own_mut(&mut definitions, &this.name) = upgrade.laid;
        let carried = compile(&definitions);
        for name in names.iter().filter(mine) {
            let [before, after] = [&this.world.snapshot, &carried].map(|snapshot| ask(snapshot, name).ok());
            let [before, after] = [before, after].map(|machine| machine.map(|machine| without_layers(told(&machine))));
            prop_assert_eq!(before, after);
        }
        Ok(())
    });
}

#[test]
fn p47_who_has_no_patch_gets_the_new_version_as_it_is() {
    check_moves(600, |this, choices| {
        if !this.own.patch.is_empty() || this.own.categories.values().any(|category| !category.patch.is_empty()) {
            return Ok(());
        }
        // Those that have settings may be asked about these.
        if !this.own.settings.is_empty() || this.own.categories.values().any(|category| !category.settings.is_empty()) {
            return Ok(());
        }
        let upgrade = this.upgrade(choices.one_of(Side::Ours, &[Side::Theirs, Side::Base]));
        prop_assert_eq!(&upgrade.conflicts, &[]);
        prop_assert_eq!(upgrade.laid, TenantWorkflow { version: Some(this.to), ..this.own.clone() });
        Ok(())
    });
}

#[test]
fn p48_what_is_carried_over_laid_over_the_new_version_is_the_merge() {
    check_moves(600, |this, choices| {
        let side = choices.one_of(Side::Ours, &[Side::Theirs, Side::Base]);
        let upgrade = this.upgrade(side);
        for category in this.categories() {
            let [base, ours, theirs] = this.sides(category);
            let merge = three_way(&filled(&base), &filled(&ours), &filled(&theirs));
            let merged: Vec<_> = merge.conflicts.iter().cloned().map(as_written).collect();
            let conflicts = conflicts_in(&upgrade, category);
            prop_assert!(merged.iter().all(|conflict| conflicts.contains(&conflict)));
            let mut expected = merge.resolve(|_| side);
            without_empty(&mut expected);
            let result = json!(&this.result(category, &upgrade.laid));
            // On top of what is merged field by field, a stage that is still in use is restored, and a setting of the
            // tenant's is held against the one that a binding now fixes. Both are listed.
            let is_of_settings = |path: &str| path.starts_with("/transitions/") && path.contains("/settings");
            for other in changes(&expected, &result) {
                let explains = |it: &&&Conflict| match other.path.starts_with("/stages/") {
                    true => it.path == other.path && it.base.is_some() && it.side(side) == other.new.as_ref(),
                    // The last setting goes with its map.
                    false => is_of_settings(&other.path) && is_at_or_below(&it.path, &other.path),
                };
                prop_assert!(conflicts.iter().find(explains).is_some(), "{:?} of {:?}", other, conflicts);
            }
            let told = upgrade.conflicts.iter().filter(|it| it.category.as_ref() == category && it.misfit.is_none());
            for conflict in told.map(|it| &it.conflict).filter(|it| !merged.contains(it)) {
                let Conflict { path, base: stood, ours, theirs } = conflict;
                let of_stage = path.starts_with("/stages/") && stood.is_some();
                let of_setting = is_of_settings(path) && stood.is_none() && ours != theirs;
                prop_assert!(of_stage || of_setting, "{path}");
                if of_setting {
                    let result = filled(&this.result(category, &upgrade.laid));
                    prop_assert_eq!(result.pointer(path), conflict.side(side));
                }
            }
        }
        Ok(())
    });
}

/// A graph in which guards and settings are there even where there are none: adding to none is adding.
fn filled(graph: &Graph) -> Value {
    let mut value = json!(graph);
    let transitions = value.as_object_mut().unwrap().entry("transitions").or_insert_with(|| json!({}));
    for transition in transitions.as_object_mut().unwrap().values_mut() {
        let guards = transition.as_object_mut().unwrap().entry("guards").or_insert_with(|| json!({}));
        for binding in guards.as_object_mut().unwrap().values_mut() {
            binding.as_object_mut().unwrap().entry("settings").or_insert_with(|| json!({}));
        }
    }
    value
}

/// A conflict as it is told: without the maps of which nothing is left.
fn as_written(mut conflict: Conflict) -> Conflict {
    for side in [&mut conflict.base, &mut conflict.ours, &mut conflict.theirs] {
        side.iter_mut().for_each(without_empty);
    }
    conflict
}

/// Takes out guards and settings of which nothing is left.
fn without_empty(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.values_mut().for_each(without_empty);
        for name in ["transitions", "guards", "settings"] {
            if fields.get(name) == Some(&json!({})) {
                fields.remove(name);
            }
        }
    }
}

#[test]
fn p49_no_edit_of_a_tenant_is_lost() {
    check_moves(600, |this, choices| {
        let side = choices.one_of(Side::Ours, &[Side::Theirs]);
        let upgrade = this.upgrade(side);
        for category in this.categories() {
            let [base, ours, theirs] = this.sides(category);
            let result = filled(&this.result(category, &upgrade.laid));
            let here = conflicts_in(&upgrade, category);
            for edit in changes(&filled(&base), &filled(&ours)) {
                let kept = result.pointer(&edit.path) == edit.new.as_ref();
                let listed = here.iter().any(|it| is_at_or_below(&edit.path, &it.path));
                prop_assert!(kept || listed, "{:?} of {:?} in {:#}", edit, category, result);
            }
            // Nor is a setting, where it counted at a binding that is still there.
            for (transition, binding, named, setting, value) in this.counting(category, &ours) {
                let place = format!("/transitions/{transition}/guards/{binding}");
                let path = format!("{place}/settings/{setting}");
                let Some(held) = result.pointer(&place) else { continue };
                let is_same = held.get("guard").map_or(binding.as_str(), |guard| guard.as_str().unwrap()) == named;
                let fixed = held["settings"].get(setting.as_str());
                let counts = fixed.is_none_or(|fixed| *fixed == value);
                let listed = here.iter().any(|it| is_at_or_below(&path, &it.path));
                prop_assert!(!is_same || counts || listed, "{} of {:?} in {:#}", path, category, result);
            }
            if side == Side::Theirs {
                // What the new version changed is not lost either.
                for edit in changes(&filled(&base), &filled(&theirs)) {
                    let kept = result.pointer(&edit.path) == edit.new.as_ref();
                    let listed = here.iter().any(|it| is_at_or_below(&edit.path, &it.path));
                    prop_assert!(kept || listed, "{:?} of {:?} in {:#}", edit, category, result);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn p61_an_upgrade_without_conflicts_fits() {
    check_moves(600, |this, choices| {
        let upgrade = this.upgrade(choices.one_of(Side::Ours, &[Side::Theirs, Side::Base]));
        let is_misfit = |code: &str| code.starts_with("patch_target_") || code == "unknown_stage";
        let found: Vec<_> = upgrade.found.iter().filter(|one| is_misfit(one.code.as_str())).collect();
        prop_assert!(!upgrade.conflicts.is_empty() || found.is_empty(), "{:?}", found);
        // Each operation that does not fit is told of.
        let targets = found.iter().filter(|one| one.code.as_str().starts_with("patch_target_")).count();
        let told = upgrade.conflicts.iter().filter(|it| it.misfit.is_some()).count();
        prop_assert!((told == 0) == (targets == 0), "{:?} of {:?}", upgrade.conflicts, found);
        Ok(())
    });
}

fn is_at_or_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[test]
fn p50_there_and_back_again_is_where_it_was() {
    check_moves(600, |this, _| {
        let there = this.upgrade(Side::Ours);
        let [base, ours, theirs] = this.sides(None);
        let [ours_changed, theirs_changed] = [&ours, &theirs].map(|side| changes(&json!(&base), &json!(side)));
        // What both changed alike is nobody's edit any more.
        let in_common = ours_changed.iter().any(|edit| {
            theirs_changed.iter().any(|it| is_at_or_below(&edit.path, &it.path) || is_at_or_below(&it.path, &edit.path))
        });
        if !there.conflicts.is_empty() || in_common {
            return Ok(());
        }
        let version = this.own.version.or(this.world.made.definitions.workflows[&this.name.workflow].current());
        let mut definitions = this.world.made.definitions.clone();
        *own_mut(&mut definitions, &this.name) = there.laid.clone();
        // What the tenant has in categories may be carried over with faults; the tenant's patch is what is asked about.
        own_mut(&mut definitions, &this.name).categories.clear();
        let Ok(snapshot) = Snapshot::compile(&definitions, this.world.snapshot.stamp()) else { return Ok(()) };
        let tenant = snapshot.tenant(this.name.tenant.as_str()).unwrap();
        let back = tenant.upgrade(this.name.workflow.as_str(), version.unwrap(), Side::Ours).unwrap();
        if back.conflicts.is_empty() {
            prop_assert_eq!(changes(&json!(&ours), &json!(&laid(&this.before.graph, &back.laid.patch))), []);
        }
        Ok(())
    });
}

#[test]
fn p51_a_move_is_allowed_where_a_transition_is_enabled() {
    check_machines(400, |world, _, machine, choices| {
        for (from, given) in world.questions(machine, choices) {
            given.ask(|context| {
                let answers = machine.transitions(&from, context).unwrap();
                for to in machine.stages().map(|stage| stage.stage) {
                    let between: Vec<_> =
                        answers.iter().filter(|one| one.from.as_str() == from && one.to == to).collect();
                    let first = between.iter().find(|one| one.state == TransitionState::Enabled);
                    match machine.check(&from, to.as_str(), context) {
                        Ok(allowed) => {
                            prop_assert_eq!(
                                first.map(|one| (one.transition, one.event)),
                                Some((allowed.transition, allowed.event))
                            );
                        }
                        Err(Error::IllegalTransition { .. }) => prop_assert!(between.is_empty()),
                        Err(Error::GuardFailed { blockers, .. }) => {
                            prop_assert!(!between.is_empty() && first.is_none());
                            let all: Vec<_> = between.iter().flat_map(|one| one.blockers.clone()).collect();
                            prop_assert_eq!(blockers.into_vec(), all);
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
                prop_assert_eq!(machine.check(&from, "nowhere", context).unwrap_err().code(), "unknown_stage");
                prop_assert_eq!(machine.check("nowhere", &from, context).unwrap_err().code(), "unknown_stage");
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn p52_every_transition_is_answered_once_and_blocked_by_something() {
    check_machines(400, |world, _, machine, choices| {
        let all = |stage: &str, context: &Context<'_>| -> Vec<TransitionId> {
            machine.transitions(stage, context).unwrap().iter().map(|one| one.transition.clone()).collect()
        };
        let expected = all(&initial(machine), &Context::default());
        prop_assert_eq!(expected.iter().collect::<BTreeSet<_>>().len(), expected.len());
        for (stage, given) in world.questions(machine, choices) {
            given.ask(|context| {
                prop_assert_eq!(&all(&stage, context), &expected);
                for one in machine.transitions(&stage, context).unwrap() {
                    prop_assert_eq!(one.state == TransitionState::NotFromHere, one.from.as_str() != stage);
                    prop_assert_eq!(one.state == TransitionState::Blocked, !one.blockers.is_empty());
                    prop_assert!(one.blockers.iter().all(|blocker| blocker.transition == *one.transition));
                }
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn p53_an_explanation_says_what_is_answered() {
    check_machines(400, |world, _, machine, choices| {
        for (from, given) in world.questions(machine, choices) {
            given.ask(|context| {
                let answers = machine.transitions(&from, context).unwrap();
                for to in machine.stages().map(|stage| stage.stage) {
                    let explained = machine.explain(&from, to.as_str(), context).unwrap();
                    let allowed = machine.check(&from, to.as_str(), context).ok();
                    prop_assert_eq!(explained.allowed.as_ref(), allowed.map(|allowed| allowed.transition));
                    let between = answers.iter().filter(|one| one.from.as_str() == from && one.to == to);
                    let between: Vec<_> = between.collect();
                    prop_assert_eq!(between.len(), explained.considered.len());
                    for (considered, answer) in explained.considered.iter().zip(between) {
                        prop_assert_eq!(&considered.transition, answer.transition);
                        prop_assert_eq!(considered.enabled, answer.state == TransitionState::Enabled);
                        let held = considered.role.as_ref().is_none_or(|role| role.held);
                        prop_assert_eq!(considered.enabled, held && considered.guards.iter().all(|guard| guard.holds));
                        prop_assert!(considered.guards.iter().all(|guard| guard.holds == guard.blockers.is_empty()));
                        let of_guards = considered.guards.iter().flat_map(|guard| &guard.blockers);
                        let of_role = answer.blockers.iter().filter(|it| it.code == BlockerCode::RoleRequired);
                        prop_assert_eq!(of_role.clone().count(), usize::from(!held));
                        prop_assert!(of_role.chain(of_guards).eq(&answer.blockers));
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn p54_what_a_guard_asks_for_must_be_given_as_declared() {
    check_machines(400, |world, _, machine, choices| {
        let moves: Vec<(String, String)> = moves(machine).into_iter().collect();
        let (from, to) = choices.pick(&moves).unwrap();
        let given = world.made.given(choices);
        let considered = |given: &Given| given.ask(|context| machine.explain(from, to, context).unwrap().considered);
        for (at, transition) in considered(&given).into_iter().enumerate() {
            for (place, guard) in transition.guards.iter().enumerate() {
                let definition = world.made.definitions.guards.get(&guard.guard);
                let definition = definition.unwrap_or_else(|| &built_in_guards()[guard.guard.as_str()]);
                for name in definition.inputs.keys() {
                    let faulty = |value: Option<Value>| -> (ConsideredGuard, bool) {
                        let mut faulty = given.clone();
                        faulty.inputs.retain(|(other, _)| other != name.as_str());
                        faulty.inputs.extend(value.map(|value| (name.to_string(), value)));
                        let transition = considered(&faulty).swap_remove(at);
                        (transition.guards[place].clone(), transition.enabled)
                    };
                    let cases = [
                        (None, BlockerCode::InputMissing),
                        (Some(Value::Null), BlockerCode::InputMistyped),
                        (Some(json!({})), BlockerCode::InputMistyped),
                        (Some(json!(0.5)), BlockerCode::InputMistyped),
                    ];
                    for (value, code) in cases {
                        let (faulty, enabled) = faulty(value);
                        if mentions(&guard.expression, name.as_str()) {
                            prop_assert!(!faulty.holds && !enabled);
                            prop_assert!(faulty.blockers.iter().any(|blocker| blocker.code == code), "{:?}", faulty);
                        } else {
                            prop_assert_eq!(&faulty, guard);
                        }
                    }
                }
            }
        }
        Ok(())
    });
}

/// Whether an expression mentions a variable. None of the texts in generated expressions reads like one.
fn mentions(expression: &str, name: &str) -> bool {
    expression.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name)
}

#[test]
fn p55_what_no_guard_asks_for_changes_nothing() {
    check_machines(400, |world, _, machine, choices| {
        for (stage, given) in world.questions(machine, choices) {
            let mut more = given.clone();
            let at = choices.below(more.inputs.len() + 1);
            more.inputs.insert(at, ("unheard_of".to_owned(), json!([1, "red"])));
            // The first of a name counts.
            more.inputs.extend(given.inputs.iter().map(|(name, _)| (name.clone(), Value::Null)));
            let answers = |given: &Given| given.ask(|context| json!(&machine.transitions(&stage, context).unwrap()));
            prop_assert_eq!(answers(&given), answers(&more));
            let ignored =
                |given: &Given| given.ask(|context| machine.explain(&stage, &stage, context).unwrap().ignored);
            let (before, after) = (ignored(&given), ignored(&more));
            prop_assert!(after.iter().any(|name| name == "unheard_of"));
            prop_assert!(before.iter().all(|name| after.contains(name)));
        }
        Ok(())
    });
}

#[test]
fn p56_another_role_blocks_nothing() {
    check_machines(400, |world, _, machine, choices| {
        for (stage, given) in world.questions(machine, choices) {
            let mut more = given.clone();
            let role = choices.one_of("cashier", &["manager", "driver", "nobody"]);
            more.roles.insert(choices.below(more.roles.len() + 1), role.to_owned());
            let of = |given: &Given| given.ask(|context| enabled(machine, &stage, context));
            prop_assert!(of(&given).is_subset(&of(&more)));
        }
        Ok(())
    });
}

#[test]
fn p57_another_guard_enables_nothing() {
    check_machines(300, |world, name, machine, choices| {
        let Some(category) = &name.category else { return Ok(()) };
        let [.., graph] = world.layers(name);
        let transitions: Vec<&TransitionId> = graph.transitions.keys().collect();
        let transition = *choices.pick(&transitions).unwrap();
        let guarded = world.changed(name, |definitions| {
            let own = own_mut(definitions, name);
            own.version = Some(machine.version());
            let binding = GuardBinding { guard: "requires_pod".parse().ok(), ..GuardBinding::default() };
            own.categories.or_default(category.clone()).patch.push(PatchOperation::Guard {
                transition: transition.clone(),
                guard: "another".parse().unwrap(),
                edit: Edit::Add(binding),
            });
        });
        for (_, given) in world.questions(machine, choices) {
            let stage = graph.transitions[transition].from.as_str();
            let [before, after] = [machine, &guarded].map(|it| given.ask(|context| enabled(it, stage, context)));
            prop_assert!(after.is_subset(&before));
            prop_assert!(before.difference(&after).all(|id| id == transition));
        }
        Ok(())
    });
}

#[test]
fn p58_covering_paths_can_be_walked() {
    check_machines(400, |_, _, machine, _| {
        let covering = machine.covering_paths();
        let mut covered = BTreeSet::new();
        for path in &covering.paths {
            prop_assert_eq!(path.start.as_str(), initial(machine));
            let mut here = &path.start;
            for step in &path.steps {
                prop_assert_eq!(&step.from, here);
                let inputs = JsonInputs::of(step.inputs.iter().map(|(name, value)| (name.as_str(), value)));
                let (inputs, roles) = (inputs.inputs(), step.role.iter().map(|role| role.as_str()).collect::<Vec<_>>());
                let context = Context { inputs: &inputs, roles: &roles };
                let taken = machine.check(step.from.as_str(), step.to.as_str(), &context);
                prop_assert_eq!(taken.ok().map(|allowed| allowed.transition), Some(&step.transition), "{:?}", step);
                prop_assert!(enabled(machine, step.from.as_str(), &context).contains(&step.transition), "{:?}", step);
                covered.insert(step.transition.clone());
                here = &step.to;
            }
            prop_assert_eq!(&path.end, here);
        }
        let answers = machine.transitions(&initial(machine), &Context::default()).unwrap();
        for one in answers {
            prop_assert_eq!(covered.contains(one.transition), !covering.not_covered.contains(one.transition));
        }
        prop_assert_eq!(machine.covering_paths(), covering);
        Ok(())
    });
}

#[test]
fn p59_kept_machines_are_those_of_the_snapshot_across_swaps() {
    check(80, |world, choices| {
        let engine = Engine::new(compile(&world.made.definitions));
        let names = world.made.machines();
        let handles: BTreeMap<&str, leasehold::Tenant> =
            names.iter().map(|name| (name.tenant.as_str(), engine.tenant(name.tenant.as_str()).unwrap())).collect();
        let mut definitions = world.made.definitions.clone();
        for round in 0..5 {
            let snapshot = compile(&definitions);
            engine.swap(compile(&definitions));
            for name in &names {
                let category = name.category.as_ref().map(CategoryKey::as_str);
                let fresh = ask(&snapshot, name).map(|machine| told(&machine)).map_err(|error| error.code());
                for _ in 0..2 {
                    let kept = [
                        engine.machine(name.tenant.as_str(), name.workflow.as_str(), category),
                        handles[name.tenant.as_str()].machine(name.workflow.as_str(), category),
                    ];
                    for kept in kept {
                        let kept = kept.map(|machine| told(&machine)).map_err(|error| error.code());
                        prop_assert_eq!(&kept, &fresh, "{:?} in round {}", name, round);
                    }
                }
            }
            let before = definitions.clone();
            alter(&mut definitions, &names, &world.made.definitions, choices);
            // Another guard may never hold together with those beside it.
            if !is_right(&definitions) {
                definitions = before;
            }
        }
        Ok(())
    });
}

/// Changes something that machines are made of, or goes back to how it was.
fn alter(definitions: &mut Definitions, names: &[MachineName], first: &Definitions, choices: &mut Choices<'_>) {
    let name = choices.pick(names).unwrap();
    match choices.below(5) {
        0 => *definitions = first.clone(),
        1 => {
            if let Some(guard) = definitions.guards.values_mut().next() {
                guard.expression = "!paid".to_owned();
            }
        }
        2 => {
            let settings = json!({ "required": choices.percent(50) });
            let values = [("required".parse().unwrap(), settings["required"].clone())].into();
            own_mut(definitions, name).settings.insert("requires_pod".parse().unwrap(), values);
        }
        3 => {
            let workflow = definitions.workflows.get_mut(&name.workflow).unwrap();
            for stage in workflow.versions.values_mut().flat_map(|version| version.graph.stages.values_mut()) {
                stage.name.push('!');
            }
        }
        _ => {
            let own = own_mut(definitions, name);
            let categories = name.category.iter().map(|category| (category.clone(), TenantCategory::default()));
            own.categories.extend(categories);
            own.active = !choices.percent(30);
        }
    }
}

#[test]
fn p60_definitions_of_workflows_survive_being_written_and_read() {
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    check(250, |world, _| {
        let definitions = &world.made.definitions;
        let written = json!(definitions);
        let errors: Vec<String> = schema.iter_errors(&written).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{:#?}", errors);
        let source = Source { name: "world.json".into(), bytes: written.to_string().into_bytes() };
        let read = load(&[source]).map_err(|refused| TestCaseError::fail(refused.to_string()))?;
        prop_assert_eq!(&read, definitions);
        Ok(())
    });
}
