//! Whose machine is asked.

use crate::context::{Context, World};
use crate::failure::Failure;
use crate::suggest::nearest;
use crate::table::Grid;
use crate::trust::{Published, quoted};
use crate::words;
use leasehold::model::{TenantWorkflow, Workflow};
use leasehold::workflow::Machine;
use leasehold::{CategoryKey, Error};
use std::collections::BTreeSet;

/// The words that name a machine.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Whose {
    /// The tenant's id
    pub(super) tenant: String,
    /// The workflow's key
    pub(super) workflow: String,
    /// The item's service category; without it, an item of none
    #[arg(long, value_name = "CATEGORY")]
    pub(super) category: Option<CategoryKey>,
}

impl Whose {
    /// The machine that is meant, and the world that it is from.
    pub(super) fn ask(&self, published: &Published, context: &Context) -> Result<Asked, Failure> {
        let world = context.world(published)?;
        let machine = world.tenant(&self.tenant)?.machine(&self.workflow, self.category());
        let machine = machine.map_err(|error| world.explain(error, Some(&self.tenant)))?;
        Ok(Asked { whose: self.clone(), world, machine })
    }

    pub(super) fn category(&self) -> Option<&str> {
        self.category.as_ref().map(CategoryKey::as_str)
    }

    /// The option, to be typed again.
    pub(super) fn typed(&self) -> String {
        let category = self.category().map(|category| format!(" --category {}", quoted(category)));
        category.unwrap_or_default()
    }
}

/// A tenant's machine, and where it comes from.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) whose: Whose,
    pub(super) world: World,
    pub(super) machine: Machine,
}

impl Asked {
    fn template(&self) -> Option<&Workflow> {
        self.world.definitions.workflows.get(self.whose.workflow.as_str())
    }

    fn laid(&self) -> Option<&TenantWorkflow> {
        self.world.definitions.tenants.get(self.whose.tenant.as_str())?.workflows.get(self.whose.workflow.as_str())
    }

    /// Whether the tenant pins its version, or has the current one.
    pub(super) fn pinned(&self) -> bool {
        self.laid().is_some_and(|laid| laid.version.is_some())
    }

    /// The workflow with its name: `order (Order)`.
    pub(super) fn named(&self) -> String {
        self.world.workflow(&self.whose.workflow)
    }

    /// Begins a list of facts with those that every answer has.
    pub(super) fn facts(&self, lines: &mut Grid) {
        let follows = if self.pinned() { "pinned by the tenant" } else { "the current one" };
        lines.row(["version".to_owned(), format!("{}, {follows}", self.machine.version())]);
        if let Some(category) = &self.whose.category {
            lines.row(["category".to_owned(), self.category(category)]);
        }
    }

    /// A category that nothing is said of has no machine of its own: it may be a mistake.
    fn category(&self, category: &CategoryKey) -> String {
        if self.machine.category().is_some() {
            return category.to_string();
        }
        let version = self.template().and_then(|template| template.versions.get(&self.machine.version()));
        let own = self.laid().into_iter().flat_map(|laid| laid.categories.keys());
        let known = version.into_iter().flat_map(|version| version.categories.keys()).chain(own);
        let known: BTreeSet<&str> = known.map(CategoryKey::as_str).collect();
        let others = match nearest(category.as_str(), known.iter().copied()) {
            Some(meant) => format!(": did you mean `{meant}`?"),
            None if known.is_empty() => String::new(),
            None => format!("; something does for {}", known.into_iter().collect::<Vec<_>>().join(", ")),
        };
        format!("{category}, for which nothing differs{others}")
    }

    /// A failure that says what may have been meant.
    pub(super) fn explain(&self, error: Error) -> Failure {
        let Error::UnknownStage { stage, .. } = &error else {
            return self.world.explain(error, Some(&self.whose.tenant));
        };
        let stages: Vec<&str> = self.machine.stages().map(|stage| stage.stage.as_str()).collect();
        let hint = match nearest(stage, stages.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("its stages are {}", stages.join(", ")),
        };
        Failure::from(error).hint(hint)
    }

    /// The names of a stage, in English and Arabic.
    pub(super) fn stage_name(&self, stage: &str) -> String {
        let found = self.machine.stages().find(|other| other.stage.as_str() == stage);
        found.map(|found| words::printable(found.name)).unwrap_or_default()
    }
}
