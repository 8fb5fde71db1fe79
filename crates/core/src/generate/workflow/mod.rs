//! Worlds of workflows: guards with random expressions, templates in several versions, overrides for service categories,
//! tenants with patches and settings; and questions to their machines.

mod edits;
mod expression;
mod graph;
mod guards;
mod questions;

pub use edits::laid;
pub use expression::Expression;
pub use questions::{Given, MachineName};

use super::{Choices, made};
use crate::model::{
    CategoryOverride, Definitions, Preferences, Records, Settings, Tenant, TenantCategory, TenantWorkflow, Workflow,
    WorkflowVersion,
};
use crate::{CategoryKey, GuardKey, SortedMap, Timestamp, UtcOffset, WorkflowKey};
use edits::Editor;
use graph::Parts;
use guards::Guards;

/// Service categories that questions are about. Nobody defines anything for the last one.
const CATEGORIES: [&str; 4] = ["DRY_CLEAN", "ALTERATION", "REPAIRS", "UNHEARD_OF"];
const TENANTS: usize = 3;

/// Definitions of workflows that compile, and what their guards say.
#[derive(Debug, Clone)]
pub struct WorkflowWorld {
    /// The definitions.
    pub definitions: Definitions,
    /// The expression of each guard that is not built in, as a tree.
    pub expressions: SortedMap<GuardKey, Expression>,
}

/// Makes a small world of workflows. It is always right: whatever is laid over a version fits it and leaves a way to a
/// final stage.
#[must_use]
pub fn workflow_world(choices: &mut Choices<'_>) -> WorkflowWorld {
    let count = choices.below(6);
    let guards = Guards::new(count, choices);
    let maker = Maker { guards: &guards };
    let mut definitions = Definitions { guards: guards.own.clone(), ..Definitions::default() };
    let names: &[&str] = if choices.percent(20) { &["order", "returns"] } else { &["order"] };
    for name in names {
        let stages = if choices.percent(12) { 12 + choices.below(29) } else { 3 + choices.below(8) };
        let versions = 1 + choices.below(3);
        let workflow = maker.workflow(stages, versions, choices);
        definitions.workflows.extend(made(name).map(|key: WorkflowKey| (key, workflow)));
    }
    for number in 0..TENANTS {
        let workflows = definitions.workflows.iter().filter_map(|(key, workflow)| {
            let own = maker.tenant_workflow(workflow, choices)?;
            Some((key.clone(), own))
        });
        let tenant = tenant(workflows.collect());
        definitions.tenants.extend(made(&format!("tenant{number}")).zip(tenant));
    }
    WorkflowWorld { definitions, expressions: guards.expressions }
}

/// Definitions with one workflow of so many stages, `order`, that has an override for `DRY_CLEAN`, and two tenants:
/// `plain` has it as it is, `patched` lays a patch and settings over it.
#[must_use]
pub fn machine_definitions(stages: usize, seed: u64) -> Definitions {
    let mut choices = Choices::from_seed(seed);
    let guards = Guards::new(6, &mut choices);
    let maker = Maker { guards: &guards };
    let graph = Parts { guards: &guards }.graph(stages, &mut choices);
    let mut editor = Editor::new(&guards, vec![graph.clone()]);
    editor.edit(8, &mut choices);
    let over = CategoryOverride { patch: std::mem::take(&mut editor.patch) };
    let mut own = Editor::new(&guards, std::iter::once(graph.clone()).chain(editor.graphs).collect());
    own.edit(12, &mut choices);
    let laid = TenantWorkflow {
        version: Some(1),
        patch: own.patch,
        settings: maker.settings(&mut choices),
        ..TenantWorkflow::default()
    };
    let categories = made::<CategoryKey>("DRY_CLEAN").map(|category| (category, over)).into_iter().collect();
    let versions = SortedMap::from([(1, WorkflowVersion { graph, categories })]);
    let (name, name2) = ("Order".into(), "طلب".into());
    let workflow = Workflow { name, name2, active: true, current: None, versions };
    let mut definitions = Definitions { guards: guards.own.clone(), ..Definitions::default() };
    let laid: SortedMap<WorkflowKey, TenantWorkflow> = made("order").map(|key| (key, laid)).into_iter().collect();
    for (id, workflows) in [("plain", SortedMap::new()), ("patched", laid)] {
        definitions.tenants.extend(made(id).zip(tenant(workflows)));
    }
    definitions.workflows.extend(made("order").map(|key: WorkflowKey| (key, workflow)));
    definitions
}

struct Maker<'g> {
    guards: &'g Guards,
}

impl Maker<'_> {
    fn workflow(&self, stages: usize, versions: usize, choices: &mut Choices<'_>) -> Workflow {
        let mut graph = Parts { guards: self.guards }.graph(stages, choices);
        let mut made_so_far = SortedMap::new();
        for number in (1..).take(versions) {
            if number > 1 {
                let mut editor = Editor::new(self.guards, vec![graph.clone()]);
                editor.edit(1 + choices.below(6), choices);
                graph = editor.graphs.pop().unwrap_or(graph);
            }
            let mut categories = SortedMap::new();
            for category in self.categories(choices) {
                let mut editor = Editor::new(self.guards, vec![graph.clone()]);
                editor.edit(1 + choices.below(5), choices);
                categories.insert(category, CategoryOverride { patch: editor.patch });
            }
            made_so_far.insert(number, WorkflowVersion { graph: graph.clone(), categories });
        }
        let current = choices.percent(30).then(|| made_so_far.keys().next().copied()).flatten();
        let (name, name2) = ("Order".into(), "طلب".into());
        Workflow { name, name2, active: !choices.percent(2), current, versions: made_so_far }
    }

    fn categories(&self, choices: &mut Choices<'_>) -> Vec<CategoryKey> {
        let known = CATEGORIES.iter().take(3).filter_map(|category| made(category));
        known.filter(|_| choices.percent(45)).collect()
    }

    fn tenant_workflow(&self, workflow: &Workflow, choices: &mut Choices<'_>) -> Option<TenantWorkflow> {
        let laid = choices.below(4);
        if laid == 0 {
            return None;
        }
        let settings = if choices.percent(60) { self.settings(choices) } else { Settings::new() };
        let numbers: Vec<u32> = workflow.versions.keys().copied().collect();
        let mut own = TenantWorkflow { settings, active: !choices.percent(2), ..TenantWorkflow::default() };
        // One in four fills in settings only, and follows the current version.
        if laid > 1 {
            own.version = choices.pick(&numbers).copied();
        }
        let number = own.version.or_else(|| workflow.current())?;
        let version = workflow.versions.get(&number)?;
        let overridden: Vec<(&CategoryKey, _)> = version
            .categories
            .iter()
            .map(|(category, over)| (category, edits::laid(&version.graph, &over.patch)))
            .collect();
        let graphs = std::iter::once(version.graph.clone()).chain(overridden.iter().map(|(_, graph)| graph.clone()));
        let mut editor = Editor::new(self.guards, graphs.collect());
        if own.version.is_some() {
            editor.edit(choices.below(9), choices);
        }
        own.patch = editor.patch;
        for category in self.categories(choices) {
            let settings = if choices.percent(50) { self.settings(choices) } else { Settings::new() };
            let mut patch = Vec::new();
            if own.version.is_some() {
                let over = overridden.iter().position(|(known, _)| **known == category);
                let graph = editor.graphs.get(over.map_or(0, |at| at + 1)).cloned()?;
                let mut editor = Editor::new(self.guards, vec![graph]);
                editor.edit(choices.below(6), choices);
                patch = editor.patch;
            }
            own.categories.insert(category, TenantCategory { patch, settings });
        }
        Some(own)
    }

    /// Values for some settings of some guards.
    fn settings(&self, choices: &mut Choices<'_>) -> Settings {
        let some: Vec<&GuardKey> = self.guards.all().iter().filter(|_| choices.percent(40)).collect();
        let values = some.into_iter().map(|key| (key.clone(), self.guards.settings(key, 50, choices)));
        values.filter(|(_, values)| !values.is_empty()).collect()
    }
}

fn tenant(workflows: SortedMap<WorkflowKey, TenantWorkflow>) -> Option<Tenant> {
    Some(Tenant {
        name: "Tenant".into(),
        name2: "مستأجر".into(),
        region: made("GCC-OM")?,
        anchor: Timestamp::from_ms(1_767_225_600_000).ok()?,
        utc_offset_minutes: UtcOffset::from_minutes(240)?,
        phases: Records::default(),
        licences: Records::default(),
        overrides: Records::default(),
        blocks: Records::default(),
        preferences: Preferences::default(),
        workflows,
    })
}
