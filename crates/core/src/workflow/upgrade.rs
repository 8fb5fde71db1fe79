//! Carrying what a tenant laid over one version of a template over to another, by three-way merge.

use super::Layer;
use super::layers::{Layers, difference, laid};
use super::lint::{Truths, check_sizes};
use super::templates::Template;
use crate::compile::Check;
use crate::merge::{Conflict, Merge, Side, three_way};
use crate::model::read::{Node, Read, Reader, pointer_push};
use crate::model::{
    Diagnostic, Diagnostics, Graph, PatchOperation, Settings, Severity, TenantWorkflow, WorkflowVersion,
};
use crate::{CategoryKey, Error, GuardKey, PinnedTenant, SortedSet, WorkflowKey};
use serde::Serialize;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// What carrying a tenant's patches over to another version comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Upgrade {
    /// The version that the patches were written against.
    pub from: u32,
    /// The version that they are carried over to.
    pub to: u32,
    /// What the tenant lays over the version now, with the chosen side wherever there is a conflict.
    pub laid: TenantWorkflow,
    /// What both the tenant and the new version changed, each differently.
    pub conflicts: Vec<UpgradeConflict>,
    /// Errors and warnings about the result, but for what the version has by itself.
    pub found: Vec<Diagnostic>,
}

/// Something that both a tenant and a new version changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UpgradeConflict {
    /// The service category that it is found in; absent for what is found without one, and not told again of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryKey>,
    /// The place among stages and transitions, and what stands there: in the version before, with the tenant's patch
    /// (ours), in the version after (theirs). A setting of the tenant that a binding of the version after fixes stands as
    /// ours at that binding.
    #[serde(flatten)]
    pub conflict: Conflict,
    /// Why no side settles it, where that is so: what the tenant's patch does for all categories does not fit what the
    /// version after has for this one. The entry is refused until the operation is taken out of that patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfit: Option<String>,
}

impl UpgradeConflict {
    fn new(category: Option<&CategoryKey>, conflict: Conflict) -> Self {
        Self { category: category.cloned(), conflict, misfit: None }
    }
}

impl PinnedTenant<'_> {
    /// What the tenant lays over a workflow, carried over to another version of the template.
    ///
    /// Without a category and in each one, the result is the three-way merge of the version before, what the tenant made
    /// of it, and the version after. Each edit of the tenant is in it, or at or below the place of a conflict; so is each
    /// setting of the tenant that counted at a binding. `side` says what the result has there: [`Side::Ours`] keeps what
    /// the tenant has.
    ///
    /// # Errors
    /// `unknown_workflow`, `unknown_workflow_version`, `not_in_slice`.
    pub fn upgrade(&self, workflow: &str, to: u32, side: Side) -> Result<Upgrade, Error> {
        self.snapshot.needs_whole("upgrade")?;
        let templates = &self.snapshot.rules.templates;
        let (key, template) = templates.get(workflow).ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
        let laid = self.slot.record.workflow(workflow).map(|own| (*own.laid).clone()).unwrap_or_default();
        let (from, laid, conflicts) = template.carry_over(key, &laid, to, side)?;
        // An entry says for single categories what one patch said for all, and may outgrow what is allowed.
        let mut check = Check::default();
        check.under("tenants", |check| {
            check.under(self.id(), |check| {
                check.under("workflows", |check| check.under(key.as_str(), |check| check_sizes(&laid, check)));
            });
        });
        let mut found = check.found;
        found.extend(templates.lint_tenant(self.id(), key, &laid, Severity::Warning, &mut Truths::default()));
        Ok(Upgrade { from, to, laid, conflicts, found })
    }
}

impl Template {
    /// What a tenant lays over one version, carried over to another: the version it comes from, what the tenant lays over
    /// the other, and what both changed.
    pub(super) fn carry_over(
        &self,
        key: &WorkflowKey,
        own: &TenantWorkflow,
        to: u32,
        side: Side,
    ) -> Result<(u32, TenantWorkflow, Vec<UpgradeConflict>), Error> {
        let unknown = |version| Error::UnknownWorkflowVersion { workflow: key.as_str().into(), version };
        let versions = &self.definition.versions;
        let from = own.version.or_else(|| self.definition.current()).unwrap_or_default();
        let before = versions.get(&from).ok_or_else(|| unknown(from))?;
        let after = versions.get(&to).ok_or_else(|| unknown(to))?;
        let ours = laid(&before.graph, &[&own.patch]);
        let sides = [&before.graph, &ours, &after.graph];
        let Carried { patch, conflicts } = carry(sides, &own.settings, &after.graph, side);
        let mut all: Vec<UpgradeConflict> =
            conflicts.iter().map(|conflict| UpgradeConflict::new(None, conflict.clone())).collect();

        // What the tenant's patch did to a category's override cannot be told from what it does to the version alone, so
        // every category is merged by itself. What the patch for all categories then leaves to do goes into its own.
        let mut categories = own.categories.clone();
        let mentioned = before.categories.keys().chain(after.categories.keys()).chain(own.categories.keys());
        for category in mentioned.collect::<SortedSet<_>>() {
            let own_patch = own.categories.get(category).map_or(&[][..], |category| &category.patch);
            let base = laid(&before.graph, &[before.patch(category)]);
            let ours = laid(&before.graph, &[before.patch(category), &own.patch, own_patch]);
            let theirs = laid(&after.graph, &[after.patch(category)]);
            let below = laid(&after.graph, &[after.patch(category), &patch]);
            let sides = [&base, &ours, &theirs];
            let carried = carry(sides, &settings_in(own, category), &below, side);
            if own.categories.contains_key(category) || !carried.patch.is_empty() {
                categories.or_default(category.clone()).patch = carried.patch;
            }
            let of_category = carried.conflicts.into_iter().filter(|conflict| !conflicts.contains(conflict));
            let mut of_category: Vec<UpgradeConflict> =
                of_category.map(|conflict| UpgradeConflict::new(Some(category), conflict)).collect();
            list_misfits(&mut of_category, &patch, category, after, sides);
            all.extend(of_category);
        }
        let carried =
            TenantWorkflow { version: Some(to), active: own.active, patch, settings: own.settings.clone(), categories };
        Ok((from, carried, all))
    }
}

struct Carried {
    patch: Vec<PatchOperation>,
    conflicts: Vec<Conflict>,
}

/// A tenant's settings in a category: its own before the others.
fn settings_in(own: &TenantWorkflow, category: &CategoryKey) -> Settings {
    let mut settings = own.settings.clone();
    for (guard, values) in own.categories.get(category).into_iter().flat_map(|category| &category.settings) {
        settings.or_default(guard.clone()).extend(values.clone());
    }
    settings
}

/// Lists what a patch for all categories does that does not fit one of them. Such an operation can stand in no other
/// place: there is no patch for items without a category alone.
fn list_misfits(
    conflicts: &mut Vec<UpgradeConflict>,
    patch: &[PatchOperation],
    category: &CategoryKey,
    after: &WorkflowVersion,
    sides: [&Graph; 3],
) {
    let mut layers = Layers::of(&after.graph);
    layers.lay(after.patch(category), Layer::Category);
    let misfits = layers.lay(patch, Layer::Tenant);
    if misfits.is_empty() {
        return;
    }
    let sides = sides.map(|side| serde_json::to_value(side).unwrap_or_default());
    for misfit in misfits {
        let Some(path) = patch.get(misfit.operation).map(PatchOperation::path) else { continue };
        let why = format!("what the tenant's patch does for all categories does not fit here: {}", misfit.message);
        match conflicts.iter_mut().find(|one| one.conflict.path == path) {
            Some(listed) => listed.misfit = Some(why),
            None => {
                let [base, ours, theirs] = sides.each_ref().map(|side| side.pointer(&path).cloned());
                let conflict = Conflict { path, base, ours, theirs };
                conflicts.push(UpgradeConflict { misfit: Some(why), ..UpgradeConflict::new(Some(category), conflict) });
            }
        }
    }
    conflicts.sort_by(|a, b| by_steps(&a.conflict.path, &b.conflict.path));
}

/// Merges what our side and their side made of a base, and gives the patch that makes the result of what lies below.
/// `settings` are our side's, and count where no binding says otherwise.
fn carry([base, ours, theirs]: [&Graph; 3], settings: &Settings, below: &Graph, side: Side) -> Carried {
    let [b, o, t] = [base, ours, theirs].map(written);
    let mut merge = three_way(&b, &o, &t);
    keep_settings(&mut merge, [&o, &t], settings);
    restore_stages(&mut merge, [&b, &o, &t]);
    match read_graph(&merge.resolve(|_| side)) {
        Ok(graph) => {
            let shown = |side: Option<Value>| side.map(without_empty);
            let conflicts = merge.conflicts.into_iter().map(|Conflict { path, base, ours, theirs }| Conflict {
                path,
                base: shown(base),
                ours: shown(ours),
                theirs: shown(theirs),
            });
            Carried { patch: difference(below, &graph), conflicts: conflicts.collect() }
        }
        // Each field of the result is that of one of three graphs that could be read. Were it not so, nothing is merged.
        Err(_) => {
            let conflict = Conflict { path: String::new(), base: Some(b), ours: Some(o), theirs: Some(t) };
            Carried { patch: difference(below, ours), conflicts: vec![conflict] }
        }
    }
}

/// A graph as JSON in which what is empty is there all the same: guards that both sides add to a transition without any
/// are two additions, not two values of one field.
fn written(graph: &Graph) -> Value {
    fn filled<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Map<String, Value>> {
        value.as_object_mut()?.entry(key).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
    }
    let mut value = serde_json::to_value(graph).unwrap_or_default();
    for (_, transition) in filled(&mut value, "transitions").into_iter().flatten() {
        for (_, binding) in filled(transition, "guards").into_iter().flatten() {
            filled(binding, "settings");
        }
    }
    value
}

/// A value as people write it: maps that are empty are left out.
fn without_empty(value: Value) -> Value {
    const MAPS: [&str; 3] = ["transitions", "guards", "settings"];
    match value {
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (key, without_empty(value)));
            let is_empty = |key: &str, value: &Value| {
                MAPS.contains(&key) && value.as_object().is_some_and(serde_json::Map::is_empty)
            };
            Value::Object(members.filter(|(key, value)| !is_empty(key, value)).collect())
        }
        other => other,
    }
}

fn read_graph(value: &Value) -> Result<Graph, Diagnostics> {
    let mut reader = Reader::default();
    let graph = Graph::read(Node::from(value), &mut reader);
    Diagnostics::refuse_if_any(reader.found)?;
    Ok(graph.unwrap_or_default())
}

/// A setting of the tenant's that counted and that the new version fixes otherwise is a conflict that no field shows,
/// because a tenant's settings are no part of a graph: it is left open, and is listed at the binding.
fn keep_settings(merge: &mut Merge, [ours, theirs]: [&Value; 2], settings: &Settings) {
    let said = |binding: &Value, name: &str| binding.get("settings").and_then(|values| values.get(name)).cloned();
    let mut lost = Vec::new();
    for (guard, values) in settings {
        for (name, value) in values {
            // Whether it counts at a binding of the guard.
            let counts = |graph| bindings(graph, guard).any(|(_, binding)| said(binding, name.as_str()).is_none());
            if !counts(ours) {
                continue;
            }
            let counts_yet = counts(&merge.result);
            for (path, binding) in bindings(&merge.result, guard) {
                let Some(fixed) = said(binding, name.as_str()).filter(|fixed| fixed != value) else { continue };
                let is_lost = match bindings(ours, guard).find(|(place, _)| *place == path) {
                    Some((_, before)) => said(before, name.as_str()).is_none(),
                    // It counted elsewhere, and where it did, the guard has gone.
                    None => !counts_yet,
                };
                let settings = format!("{path}/settings");
                let place = format!("{settings}/{name}");
                let is_listed = merge.conflicts.iter().any(|one| is_at_or_below(&place, &one.path));
                if is_lost && !is_listed && theirs.pointer(&place) == Some(&fixed) {
                    let conflict = Conflict { path: place, base: None, ours: Some(value.clone()), theirs: Some(fixed) };
                    lost.push((settings, name.clone(), conflict));
                }
            }
        }
    }
    for (settings, name, conflict) in lost {
        if let Some(values) = merge.result.pointer_mut(&settings).and_then(Value::as_object_mut) {
            values.remove(name.as_str());
        }
        merge.conflicts.push(conflict);
    }
}

/// The bindings of a guard in a graph, each with its path.
fn bindings<'v>(graph: &'v Value, guard: &GuardKey) -> impl Iterator<Item = (String, &'v Value)> {
    let members = |value: &'v Value, key: &str| value.get(key).and_then(Value::as_object).into_iter().flatten();
    let transitions = members(graph, "transitions");
    let all = transitions.flat_map(move |(transition, value)| {
        members(value, "guards").map(move |(id, binding)| (transition, id, binding))
    });
    let names =
        move |id: &str, binding: &Value| binding.get("guard").and_then(Value::as_str).unwrap_or(id) == guard.as_str();
    all.filter(move |(_, id, binding)| names(id, binding))
        .map(|(transition, id, binding)| (format!("/transitions/{transition}/guards/{id}"), binding))
}

fn is_at_or_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A stage that one side removed while the other goes on using it is a conflict that no field shows: it stays as it was,
/// and is listed.
fn restore_stages(merge: &mut Merge, [base, ours, theirs]: [&Value; 3]) {
    fn ends(value: &Value, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
        let transitions = value.get("transitions").and_then(Value::as_object).into_iter().flatten();
        let wanted = transitions.filter(move |(id, _)| wanted(id));
        wanted
            .flat_map(|(_, it)| ["from", "to"].map(|end| it.get(end)))
            .flatten()
            .filter_map(Value::as_str)
            .map(Into::into)
    }
    // Where there are conflicts, any of the sides may be taken.
    let conflicting = |id: &str| {
        let mut path = "/transitions".to_owned();
        pointer_push(&mut path, id);
        merge.conflicts.iter().any(|conflict| is_at_or_below(&conflict.path, &path))
    };
    let mut used: SortedSet<String> = ends(&merge.result, |_| true).collect();
    for side in [base, ours, theirs] {
        used.extend(ends(side, conflicting));
    }
    for stage in used {
        let of = |value: &Value| value.get("stages").and_then(|stages| stages.get(&stage)).cloned();
        let Some(removed) = of(base).filter(|_| of(&merge.result).is_none()) else { continue };
        let mut path = "/stages".to_owned();
        pointer_push(&mut path, &stage);
        let conflict = Conflict { path, base: Some(removed.clone()), ours: of(ours), theirs: of(theirs) };
        if let Some(stages) = merge.result.get_mut("stages").and_then(Value::as_object_mut) {
            stages.insert(stage, removed);
        }
        merge.conflicts.push(conflict);
    }
    merge.conflicts.sort_by(|a, b| by_steps(&a.path, &b.path));
}

/// The order of a merge's conflicts: step by step. Ids hold nothing that a JSON Pointer escapes.
fn by_steps(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}
