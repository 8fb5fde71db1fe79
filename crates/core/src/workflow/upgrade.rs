//! Carrying what a tenant laid over one version of a template over to another, by three-way merge.

use super::layers::{difference, laid};
use super::templates::Template;
use crate::merge::{Conflict, Merge, Side, three_way};
use crate::model::read::{Node, Read, Reader, pointer_push};
use crate::model::{Diagnostic, Diagnostics, Graph, PatchOperation, Severity, TenantWorkflow};
use crate::{CategoryKey, Error, PinnedTenant, WorkflowKey};
use serde::Serialize;
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// What carrying a tenant's patches over to another version comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
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
pub struct UpgradeConflict {
    /// The service category that it is found in; absent for what is found without one, and not told again of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryKey>,
    /// The place among stages and transitions, and what stands there: in the version before, with the tenant's patch
    /// (ours), in the version after (theirs).
    #[serde(flatten)]
    pub conflict: Conflict,
}

impl PinnedTenant<'_> {
    /// What the tenant lays over a workflow, carried over to another version of the template.
    ///
    /// Without a category and in each one, the result is the three-way merge of the version before, what the tenant made
    /// of it, and the version after. Each edit of the tenant is in it, or at or below the place of a conflict. `side` says
    /// what the result has there: [`Side::Ours`] keeps what the tenant has.
    ///
    /// # Errors
    /// `unknown_workflow`, `unknown_workflow_version`, `not_in_slice`.
    pub fn upgrade(&self, workflow: &str, to: u32, side: Side) -> Result<Upgrade, Error> {
        self.snapshot.needs_whole("upgrade")?;
        let templates = &self.snapshot.rules.templates;
        let (key, template) = templates.get(workflow).ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
        let laid = self.slot.record.workflow(workflow).map(|own| (*own.laid).clone()).unwrap_or_default();
        let (from, laid, conflicts) = template.carry_over(key, &laid, to, side)?;
        let found = templates.lint_tenant(self.id(), key, &laid, Severity::Warning);
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
        let Carried { patch, conflicts } = carry([&before.graph, &ours, &after.graph], &after.graph, side);
        let mut all: Vec<UpgradeConflict> =
            conflicts.iter().map(|conflict| UpgradeConflict { category: None, conflict: conflict.clone() }).collect();

        // What the tenant's patch did to a category's override cannot be told from what it does to the version alone, so
        // every category is merged by itself. What the patch for all categories then leaves to do goes into its own.
        let mut categories = own.categories.clone();
        let mentioned = before.categories.keys().chain(after.categories.keys()).chain(own.categories.keys());
        for category in mentioned.collect::<BTreeSet<_>>() {
            let own_patch = own.categories.get(category).map_or(&[][..], |category| &category.patch);
            let base = laid(&before.graph, &[before.patch(category)]);
            let ours = laid(&before.graph, &[before.patch(category), &own.patch, own_patch]);
            let theirs = laid(&after.graph, &[after.patch(category)]);
            let below = laid(&after.graph, &[after.patch(category), &patch]);
            let carried = carry([&base, &ours, &theirs], &below, side);
            if own.categories.contains_key(category) || !carried.patch.is_empty() {
                categories.entry(category.clone()).or_default().patch = carried.patch;
            }
            let of_category = carried.conflicts.into_iter().filter(|conflict| !conflicts.contains(conflict));
            all.extend(of_category.map(|conflict| UpgradeConflict { category: Some(category.clone()), conflict }));
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

/// Merges what our side and their side made of a base, and gives the patch that makes the result of what lies below.
fn carry([base, ours, theirs]: [&Graph; 3], below: &Graph, side: Side) -> Carried {
    let [b, o, t] = [base, ours, theirs].map(written);
    let mut merge = three_way(&b, &o, &t);
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
        merge.conflicts.iter().any(|conflict| {
            conflict.path == "/transitions" || conflict.path == path || conflict.path.starts_with(&format!("{path}/"))
        })
    };
    let mut used: BTreeSet<String> = ends(&merge.result, |_| true).collect();
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
