//! Asking a snapshot for a tenant's machine.

use super::Machine;
use super::templates::Recipe;
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
