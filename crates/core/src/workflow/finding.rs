//! What is found in a machine, and where in the definitions people look for it.

use super::Layer;
use super::templates::Recipe;
use crate::model::read::pointer_push;
use crate::model::{Diagnostic, DiagnosticCode};
use crate::{RecordId, StageId, TransitionId};

/// A mistake or warning about a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) code: DiagnosticCode,
    /// The layer that it is about.
    pub(crate) layer: Layer,
    pub(crate) place: Place,
    pub(crate) message: String,
    pub(crate) hint: String,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The whole machine.
    Machine,
    Stage(StageId),
    Transition(TransitionId),
    Binding(TransitionId, RecordId),
    /// An operation of the layer's patch.
    Operation(usize),
}

/// What findings have in common that say the same, in machines of which one is made from the other.
pub(super) type Subject = (DiagnosticCode, Place, Option<Layer>);

impl Finding {
    /// What it says, and of what.
    pub(super) fn subject(&self) -> Subject {
        let of_patch = matches!(self.place, Place::Operation(_)).then_some(self.layer);
        (self.code, self.place.clone(), of_patch)
    }

    /// The finding with its place in the definitions of a tenant, or of the template where there is none.
    pub(super) fn diagnostic(self, recipe: &Recipe<'_>, tenant: Option<&str>) -> Diagnostic {
        let category = recipe.category.map_or("", |category| category.as_str());
        let number = recipe.number.to_string();
        let version = ["workflows", recipe.workflow.as_str(), "versions", &number];
        let own = ["tenants", tenant.unwrap_or_default(), "workflows", recipe.workflow.as_str()];
        let mut steps: Vec<&str> = match self.layer {
            Layer::Template | Layer::Category => version.to_vec(),
            Layer::Tenant | Layer::TenantCategory => own.to_vec(),
        };
        if matches!(self.layer, Layer::Category | Layer::TenantCategory) {
            steps.extend(["categories", category]);
        }
        let operation;
        match &self.place {
            Place::Operation(at) => {
                operation = at.to_string();
                steps.extend(["patch", &operation]);
            }
            // Only the template has stages and transitions under their ids; in patches they may stand anywhere.
            _ if self.layer != Layer::Template => {}
            Place::Machine => {}
            Place::Stage(stage) => steps.extend(["stages", stage.as_str()]),
            Place::Transition(transition) => steps.extend(["transitions", transition.as_str()]),
            Place::Binding(transition, binding) => {
                steps.extend(["transitions", transition.as_str(), "guards", binding.as_str()]);
            }
        }
        let path = steps.into_iter().fold(String::new(), |mut path, step| {
            pointer_push(&mut path, step);
            path
        });
        Diagnostic::new(self.code, path, self.message, self.hint)
    }
}
