//! What a tenant's workflows are made of, for who stores machines somewhere else or translates their guards.

use super::guard::BoundGuard;
use super::{Layer, Machine};
use crate::{
    CategoryKey, EventKey, GuardKey, PinnedTenant, RecordId, Role, SortedSet, StageId, TransitionId, WorkflowKey,
};
#[cfg(feature = "runtime")]
use crate::{Error, Hash};

/// A transition of a machine, with all that it requires.
#[derive(Debug, Clone)]
pub struct MachineTransition<'m> {
    /// Its id.
    pub transition: &'m TransitionId,
    /// What happens.
    pub event: &'m EventKey,
    /// The stage that it leaves.
    pub from: &'m StageId,
    /// The stage that it enters.
    pub to: &'m StageId,
    /// The role that it requires, and the layer that says so.
    pub role: Option<(&'m Role, Layer)>,
    /// Its guards, in the order of their bindings.
    pub guards: Vec<MachineGuard<'m>>,
}

/// A guard on a transition, with its settings filled in.
#[derive(Debug, Clone, Copy)]
pub struct MachineGuard<'m> {
    /// The binding.
    pub binding: &'m RecordId,
    /// The guard.
    pub guard: &'m GuardKey,
    /// The layer that touched the binding last.
    pub layer: Layer,
    /// What is evaluated.
    pub bound: &'m BoundGuard,
}

/// A workflow template as a tenant has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTemplate<'s> {
    /// The template.
    pub workflow: &'s WorkflowKey,
    /// Whether questions about it are answered for the tenant.
    pub is_active: bool,
    /// The service categories for which the version or the tenant says anything. Every other one has the machine that
    /// items without a category have.
    pub categories: SortedSet<&'s CategoryKey>,
}

impl Machine {
    /// Its transitions with all that they require, in declared order: that in which [`check`](Self::check) looks for one
    /// that is enabled.
    pub fn rules(&self) -> impl Iterator<Item = MachineTransition<'_>> {
        self.parts().transitions.iter().filter_map(|rule| {
            let guards = rule.guards.iter().map(|guard| MachineGuard {
                binding: &guard.binding,
                guard: &guard.guard,
                layer: guard.layer,
                bound: guard.bound(),
            });
            Some(MachineTransition {
                transition: &rule.id,
                event: &rule.event,
                from: &self.stage(rule.from)?.id,
                to: &self.stage(rule.to)?.id,
                role: rule.role.as_ref().map(|role| (&role.role, role.layer)),
                guards: guards.collect(),
            })
        })
    }
}

impl<'s> PinnedTenant<'s> {
    /// Every workflow template, in the order of keys, as the tenant has it.
    pub fn templates(&self) -> impl Iterator<Item = TenantTemplate<'s>> {
        let record = &self.slot.record;
        self.snapshot.rules.templates.workflows.iter().map(move |(workflow, template)| {
            let laid = record.workflow(workflow.as_str()).map(|own| &*own.laid);
            let version = template.recipe(workflow, laid, None).map(|recipe| recipe.version);
            let of_version = version.into_iter().flat_map(|version| version.categories.keys());
            let of_tenant = laid.into_iter().flat_map(|laid| laid.categories.keys());
            TenantTemplate {
                workflow,
                is_active: template.is_active(laid),
                categories: of_version.chain(of_tenant).collect(),
            }
        })
    }

    /// The hash of all that a machine is made of. Machines of equal hashes are equal, of whichever tenants they are;
    /// making the hash is much less work than making the machine.
    ///
    /// # Errors
    /// `unknown_workflow`, `inactive_template`.
    #[cfg(feature = "runtime")]
    pub fn machine_hash(&self, workflow: &str, category: Option<&str>) -> Result<Hash, Error> {
        let (recipe, laid) = self.recipe(workflow, category)?;
        let (content, laid, category) = recipe.content(laid);
        let category = category.as_ref().map_or("", CategoryKey::as_str);
        Ok(Hash::of_parts(&[content.as_bytes(), laid.as_bytes(), category.as_bytes()]))
    }
}
