//! Asking a snapshot for a tenant's machine.

use super::Machine;
use super::templates::{Recipe, Resolved};
use crate::model::{Diagnostic, TenantWorkflow};
use crate::{Error, Hash, PinnedTenant};

impl<'s> PinnedTenant<'s> {
    /// The tenant's machine of a workflow, for a service category or without one. A category that neither the template
    /// nor the tenant mentions changes nothing.
    ///
    /// Makes the machine anew: an [`Engine`](crate::Engine) keeps those that it made.
    ///
    /// # Errors
    /// `unknown_workflow`, `inactive_template`.
    pub fn machine(&self, workflow: &str, category: Option<&str>) -> Result<Machine, Error> {
        let (recipe, _) = self.recipe(workflow, category)?;
        Ok(self.snapshot.rules.templates.resolve(&recipe).machine)
    }

    /// The machine that the tenant would have if it laid this over the workflow, active or not, with what is wrong with it:
    /// where anything is, the machine lacks that. Other categories do not matter.
    ///
    /// # Errors
    /// `unknown_workflow`, `unknown_workflow_version`.
    pub fn supposed_machine(
        &self,
        workflow: &str,
        laid: &TenantWorkflow,
        category: Option<&str>,
    ) -> Result<(Machine, Vec<Diagnostic>), Error> {
        let templates = &self.snapshot.rules.templates;
        let (key, template) = templates.get(workflow).ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
        let recipe = template.recipe(key, Some(laid), category).ok_or_else(|| match laid.version {
            Some(version) => Error::UnknownWorkflowVersion { workflow: workflow.into(), version },
            None => Error::UnknownWorkflow(workflow.into()),
        })?;
        let Resolved { machine, found, .. } = templates.resolve(&recipe);
        Ok((machine, found.into_iter().map(|one| one.diagnostic(&recipe, Some(self.id()))).collect()))
    }

    /// What a machine is made of, and the hash of what the tenant lays over the template.
    pub(crate) fn recipe(&self, workflow: &str, category: Option<&str>) -> Result<(Recipe<'s>, Hash), Error> {
        let unknown = || Error::UnknownWorkflow(workflow.into());
        let (key, template) = self.snapshot.rules.templates.get(workflow).ok_or_else(unknown)?;
        let own = self.slot.record.workflow(workflow);
        let laid = own.map(|own| &*own.laid);
        if !template.is_active(laid) {
            return Err(Error::InactiveTemplate(workflow.into()));
        }
        let recipe = template.recipe(key, laid, category).ok_or_else(unknown)?;
        Ok((recipe, own.map(|own| own.hash).unwrap_or_default()))
    }
}
