//! What a new version of a template asks of those who use the old one.

use super::Templates;
use super::layers::laid;
use crate::model::read::{Node, Read, Reader};
use crate::model::words::words;
use crate::model::{DiagnosticCode, Graph, Stage, Transition, WorkflowVersion};
use crate::{CategoryKey, Error, Snapshot, SortedSet, StageId};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::fmt;

words! {
    /// What a change asks of those who use the old version, from least to most.
    Compatibility {
        /// Nothing: whatever could be done before still can be.
        Additive = "additive",
        /// Items that are in a stage which is gone need another.
        NeedsMapping = "needs_mapping",
        /// Something that could be done before cannot be done any more, or needs more.
        Breaking = "breaking",
    }

    /// What is different.
    VersionChangeKind {
        /// A stage is new.
        StageAdded = "stage_added",
        /// A stage is gone.
        StageRemoved = "stage_removed",
        /// A stage has another label or place.
        StageRelabelled = "stage_relabelled",
        /// Items begin in a stage that they did not begin in before, or no longer do.
        InitialChanged = "initial_changed",
        /// Items may end in a stage that they could not end in before.
        FinalAdded = "final_added",
        /// Items may no longer end in a stage.
        FinalRemoved = "final_removed",
        /// A transition is new.
        TransitionAdded = "transition_added",
        /// A transition is gone.
        TransitionRemoved = "transition_removed",
        /// A transition has another label or place in the declared order.
        TransitionRelabelled = "transition_relabelled",
        /// A transition has another event, or joins other stages.
        TransitionMoved = "transition_moved",
        /// A transition requires a role that it did not require before.
        RoleRequired = "role_required",
        /// A transition no longer requires a role.
        RoleDropped = "role_dropped",
        /// A guard is new on a transition.
        GuardAdded = "guard_added",
        /// A binding of a guard to a transition is another, or has other settings.
        GuardChanged = "guard_changed",
        /// A guard is gone from a transition.
        GuardRemoved = "guard_removed",
    }
}

/// How a version differs from an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionComparison {
    /// The most that any change asks.
    pub compatibility: Compatibility,
    /// Stages that are gone, for all service categories or for some: items in them need another.
    pub stages_to_map: BTreeSet<StageId>,
    /// What is different: first without a service category, then what differs for each one.
    pub changes: Vec<VersionChange>,
}

/// One difference between two versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VersionChange {
    /// The service category that it is about; absent where it is about all that have no override.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<CategoryKey>,
    /// What is different.
    pub change: VersionChangeKind,
    /// The stage, transition, or binding of a guard, as `stages/ID`, `transitions/ID` or `transitions/ID/guards/ID`.
    pub subject: String,
    /// What it asks of those who use the old version.
    pub compatibility: Compatibility,
}

impl Snapshot {
    /// How one version of a workflow template differs from another, for all service categories.
    ///
    /// # Errors
    /// `unknown_workflow`, `unknown_workflow_version`, `not_in_slice`.
    pub fn compare_versions(&self, workflow: &str, old: u32, new: u32) -> Result<VersionComparison, Error> {
        self.needs_whole("compare_versions")?;
        let templates: &Templates = &self.rules.templates;
        let (_, template) = templates.get(workflow).ok_or_else(|| Error::UnknownWorkflow(workflow.into()))?;
        let version = |number: u32| {
            let unknown = || Error::UnknownWorkflowVersion { workflow: workflow.into(), version: number };
            template.definition.versions.get(&number).ok_or_else(unknown)
        };
        Ok(compare(version(old)?, version(new)?))
    }
}

/// How a version differs from an older one.
pub(crate) fn compare(old: &WorkflowVersion, new: &WorkflowVersion) -> VersionComparison {
    let mut changes = changes(&old.graph, &new.graph);
    let categories: SortedSet<&CategoryKey> = old.categories.keys().chain(new.categories.keys()).collect();
    let general = changes.clone();
    for category in categories {
        let [old, new] = [old, new].map(|version| laid(&version.graph, &[version.patch(category)]));
        let of_category = self::changes(&old, &new).into_iter().filter(|change| !general.contains(change));
        changes.extend(of_category.map(|change| VersionChange { category: Some(category.clone()), ..change }));
    }
    let removed = changes.iter().filter(|change| change.change == VersionChangeKind::StageRemoved);
    VersionComparison {
        compatibility: changes.iter().map(|change| change.compatibility).max().unwrap_or(Compatibility::Additive),
        stages_to_map: removed.filter_map(|change| change.subject.strip_prefix("stages/")?.parse().ok()).collect(),
        changes,
    }
}

fn changes(old: &Graph, new: &Graph) -> Vec<VersionChange> {
    use Compatibility::{Additive, Breaking, NeedsMapping};
    use VersionChangeKind as Kind;
    let mut changes = Vec::new();
    let mut note = |change, subject: String, compatibility| {
        changes.push(VersionChange { category: None, change, subject, compatibility });
    };
    let subject = |stage: &StageId| format!("stages/{stage}");
    for (id, stage) in &new.stages {
        match old.stages.get(id) {
            None => note(Kind::StageAdded, subject(id), Additive),
            Some(before) => compare_stage(before, stage, |kind, asks| note(kind, subject(id), asks)),
        }
    }
    for id in old.stages.keys().filter(|id| !new.stages.contains_key(*id)) {
        note(Kind::StageRemoved, subject(id), NeedsMapping);
    }
    for (id, transition) in &new.transitions {
        let subject = format!("transitions/{id}");
        match old.transitions.get(id) {
            None => note(Kind::TransitionAdded, subject, Additive),
            Some(before) => {
                compare_transition(before, transition, |kind, guard, asks| {
                    let of_guard = guard.map(|guard| format!("/guards/{guard}")).unwrap_or_default();
                    note(kind, format!("{subject}{of_guard}"), asks);
                });
            }
        }
    }
    for (id, transition) in old.transitions.iter().filter(|(id, _)| !new.transitions.contains_key(*id)) {
        // What led from or to a stage that is gone goes with it.
        let stays = new.stages.contains_key(&transition.from) && new.stages.contains_key(&transition.to);
        note(Kind::TransitionRemoved, format!("transitions/{id}"), if stays { Breaking } else { NeedsMapping });
    }
    changes
}

fn compare_stage(old: &Stage, new: &Stage, mut note: impl FnMut(VersionChangeKind, Compatibility)) {
    use VersionChangeKind as Kind;
    if old.initial != new.initial {
        note(Kind::InitialChanged, Compatibility::Breaking);
    }
    match (old.r#final, new.r#final) {
        (false, true) => note(Kind::FinalAdded, Compatibility::Additive),
        (true, false) => note(Kind::FinalRemoved, Compatibility::Breaking),
        _ => {}
    }
    if (&old.name, &old.name2, old.order) != (&new.name, &new.name2, new.order) {
        note(Kind::StageRelabelled, Compatibility::Additive);
    }
}

fn compare_transition(
    old: &Transition,
    new: &Transition,
    mut note: impl FnMut(VersionChangeKind, Option<&crate::RecordId>, Compatibility),
) {
    use VersionChangeKind as Kind;
    if (&old.from, &old.event, &old.to) != (&new.from, &new.event, &new.to) {
        note(Kind::TransitionMoved, None, Compatibility::Breaking);
    }
    if old.role != new.role {
        match &new.role {
            Some(_) => note(Kind::RoleRequired, None, Compatibility::Breaking),
            None => note(Kind::RoleDropped, None, Compatibility::Additive),
        }
    }
    if (&old.name, &old.name2, old.order) != (&new.name, &new.name2, new.order) {
        note(Kind::TransitionRelabelled, None, Compatibility::Additive);
    }
    for (id, binding) in &new.guards {
        match old.guards.get(id) {
            None => note(Kind::GuardAdded, Some(id), Compatibility::Breaking),
            Some(before) if before != binding => note(Kind::GuardChanged, Some(id), Compatibility::Breaking),
            Some(_) => {}
        }
    }
    for id in old.guards.keys().filter(|id| !new.guards.contains_key(*id)) {
        note(Kind::GuardRemoved, Some(id), Compatibility::Additive);
    }
}
