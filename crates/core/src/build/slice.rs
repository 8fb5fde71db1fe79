//! What one tenant's browser needs, and nothing else.

use crate::model::{
    Contribution, Definitions, Edit, FieldChange, GuardBinding, PatchOperation, Phase, Tenant, Transition,
};
use crate::wire::SliceContent;
use crate::{FeatureKey, GuardKey, PlanKey, RecordId, TenantId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The definitions that questions about one tenant need from an instant on; nothing where there is no such tenant.
///
/// All features stay: any of them may be asked about. Plans that the tenant is not on, add-ons that it neither has nor
/// gets with a plan, other tenants, what has ended, authors and reasons are left out.
#[must_use]
pub fn cut(definitions: &Definitions, tenant: &TenantId, at: Timestamp) -> Option<SliceContent> {
    let ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= at);
    let mut own = definitions.tenants.get(tenant)?.clone();
    own.phases.retain(|_, phase| !ended(phase.grace_until.or(phase.until)));
    own.licences.retain(|_, licence| !ended(licence.until));
    own.blocks.retain(|_, block| !ended(block.until));
    let plans: BTreeSet<PlanKey> = own.phases.values().map(|phase| phase.plan.clone()).collect();
    // A revoke for a plan that the tenant will not be on has no effect, and its name is not the tenant's business.
    own.overrides.retain(|_, this| !ended(this.until) && this.plan.as_ref().is_none_or(|plan| plans.contains(plan)));
    for this in own.overrides.values_mut() {
        this.reason.clear();
        this.actor.clear();
    }
    own.blocks.values_mut().for_each(|block| block.reason.clear());

    let keep = |contributions: &mut Vec<Contribution>| {
        contributions.retain(|this| !ended(this.until));
        contributions.iter_mut().for_each(|this| this.author = None);
    };
    let mut sliced = Definitions { features: definitions.features.clone(), ..Definitions::default() };
    for (key, plan) in definitions.plans.iter().filter(|(key, _)| plans.contains(*key)) {
        let mut plan = plan.clone();
        let on_it: Vec<&Phase> = own.phases.values().filter(|phase| phase.plan == *key).collect();
        if on_it.iter().all(|phase| phase.version.is_some()) {
            plan.versions.retain(|number, _| on_it.iter().any(|phase| phase.version == Some(*number)));
        }
        plan.versions.values_mut().for_each(|version| keep(&mut version.contributions));
        sliced.plans.insert(key.clone(), plan);
    }
    for (key, add_on) in &definitions.add_ons {
        let licensed = own.licences.values().any(|licence| licence.add_on == *key);
        if licensed || add_on.included_in.iter().any(|plan| plans.contains(plan)) {
            let mut add_on = add_on.clone();
            add_on.compatible_with.retain(|plan| plans.contains(plan));
            add_on.included_in.retain(|plan| plans.contains(plan));
            keep(&mut add_on.contributions);
            sliced.add_ons.insert(key.clone(), add_on);
        }
    }
    for (id, kill) in definitions.kills.iter().filter(|(_, kill)| !ended(kill.until)) {
        let mut kill = kill.clone();
        kill.reason.clear();
        kill.actor.clear();
        sliced.kills.insert(id.clone(), kill);
    }
    for (key, workflow) in &definitions.workflows {
        let pinned = own.workflows.get(key).and_then(|laid| laid.version);
        let used = pinned.or_else(|| workflow.current());
        let mut workflow = workflow.clone();
        workflow.versions.retain(|number, _| Some(*number) == used);
        workflow.current = used;
        sliced.workflows.insert(key.clone(), workflow);
    }
    let bound = bound_guards(&sliced, &own);
    sliced.guards = definitions.guards.clone();
    sliced.guards.retain(|key, _| bound.contains(key.as_str()));
    sliced.tenants.insert(tenant.clone(), own);
    crate::model::format::sort(&mut sliced);
    let varying = varying(definitions);
    let statics = sliced.features.keys().filter(|key| !varying.contains(key)).cloned().collect();
    Some(SliceContent { definitions: sliced, statics })
}

/// The features that plans or add-ons say something about, and those that require one of them, directly or through
/// others: all that are not static once the whole is compiled, which nobody does to cut a slice.
fn varying(definitions: &Definitions) -> BTreeSet<&FeatureKey> {
    let mut required_by: BTreeMap<&FeatureKey, Vec<&FeatureKey>> = BTreeMap::new();
    for (key, feature) in &definitions.features {
        feature.requires.iter().for_each(|required| required_by.entry(required).or_default().push(key));
    }
    let versions = definitions.plans.values().flat_map(|plan| plan.versions.values());
    let of_plans = versions.flat_map(|version| &version.contributions);
    let of_add_ons = definitions.add_ons.values().flat_map(|add_on| &add_on.contributions);
    let mut open: Vec<&FeatureKey> = of_plans.chain(of_add_ons).map(|contribution| &contribution.feature).collect();
    let mut varying = BTreeSet::new();
    while let Some(key) = open.pop() {
        if varying.insert(key) {
            open.extend(required_by.get(key).into_iter().flatten());
        }
    }
    varying
}

/// The keys of guards that workflows, or what a tenant lays over them, bind or fill in.
fn bound_guards(sliced: &Definitions, tenant: &Tenant) -> BTreeSet<String> {
    fn bind(id: &RecordId, binding: &GuardBinding, bound: &mut BTreeSet<String>) {
        bound.insert(binding.guard.as_ref().map_or(id.as_str(), GuardKey::as_str).to_owned());
    }
    fn transition(transition: &Transition, bound: &mut BTreeSet<String>) {
        transition.guards.iter().for_each(|(id, binding)| bind(id, binding, bound));
    }
    let mut bound = BTreeSet::new();
    let versions = || sliced.workflows.values().flat_map(|workflow| workflow.versions.values());
    for version in versions() {
        version.graph.transitions.values().for_each(|one| transition(one, &mut bound));
    }
    let of_versions = versions().flat_map(|version| version.categories.values()).flat_map(|category| &category.patch);
    let laid = || tenant.workflows.values();
    let of_tenant =
        laid().flat_map(|laid| laid.patch.iter().chain(laid.categories.values().flat_map(|own| &own.patch)));
    for operation in of_versions.chain(of_tenant) {
        match operation {
            PatchOperation::Transition { edit: Edit::Add(value), .. } => transition(value, &mut bound),
            PatchOperation::Guard { guard, edit: Edit::Add(value), .. } => bind(guard, value, &mut bound),
            PatchOperation::Guard { guard, edit: Edit::Change(change), .. } => match &change.guard {
                FieldChange::Set(key) => drop(bound.insert(key.to_string())),
                FieldChange::Clear => drop(bound.insert(guard.to_string())),
                FieldChange::Keep => {}
            },
            _ => {}
        }
    }
    let settings = laid().flat_map(|laid| {
        laid.settings.keys().chain(laid.categories.values().flat_map(|category| category.settings.keys()))
    });
    bound.extend(settings.map(ToString::to_string));
    bound
}
