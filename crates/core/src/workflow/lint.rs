//! What is wrong with definitions of workflows, or most likely not meant: every template with each of its categories, and
//! every tenant with each of them.

use super::finding::Subject;
use super::guard::{BoundGuard, Truth, is_reserved};
use super::machine::{Guarded, Parts, TransitionRule};
use super::templates::{GuardRule, Recipe, Template, described, identity, is_of};
use super::{Finding, Layer, Machine, Place, Templates};
use crate::compile::Check;
use crate::model::{
    self, Definitions, Diagnostic, DiagnosticCode, Guard, Settings, Severity, TenantWorkflow, built_in_guards,
};
use crate::{CategoryKey, GuardKey, SortedSet, WorkflowKey};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

impl Templates {
    /// Checks guards and templates and keeps what is right of them; mistakes go to `check`.
    pub(crate) fn lower(definitions: &Definitions, check: &mut Check) -> Self {
        let mut templates = Self::default();
        for (key, guard) in built_in_guards() {
            templates.guards.extend(lower_guard(guard, check).map(|rule| (key.clone(), rule)));
        }
        check.under("guards", |check| {
            for (key, guard) in &definitions.guards {
                check.under(key.as_str(), |check| {
                    if built_in_guards().contains_key(key) {
                        let message = format!("guard `{key}` is built in");
                        check.refuse::<()>(DiagnosticCode::ReservedKey, message, "use another key");
                        return;
                    }
                    match lower_guard(guard, check) {
                        Some(rule) => drop(templates.guards.insert(key.clone(), rule)),
                        None => templates.mistaken.push(key.clone()),
                    }
                });
            }
        });
        // What has no canonical form was refused above: only settings of guards may hold any value.
        let guards = identity(&definitions.guards).unwrap_or_default();
        check.under("workflows", |check| {
            for (key, workflow) in &definitions.workflows {
                let before = check.found.len();
                check.under(key.as_str(), |check| check_workflow(key, workflow, check));
                if before == check.found.len() {
                    templates.workflows.insert(key.clone(), Template::new(key, workflow, guards));
                } else {
                    templates.mistaken_workflows.push(key.clone());
                }
            }
        });
        check.found.extend(templates.lint(Severity::Error, &mut check.truths));
        templates
    }

    /// What is found in templates by themselves: errors alone, or warnings as well.
    pub(crate) fn lint(&self, least: Severity, truths: &mut Truths) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (key, rule) in self.guards.iter().filter(|_| least == Severity::Warning) {
            // One with settings may be there for somebody to switch on.
            if rule.settings.is_empty() && rule.unset.bound.truth() == Truth::Always {
                found.push(Diagnostic::new(
                    DiagnosticCode::GuardConstant,
                    format!("/guards/{key}/expression"),
                    format!("guard `{key}` always holds"),
                    "let it depend on an input, or leave it out",
                ));
            }
        }
        for (key, template) in &self.workflows {
            for number in template.definition.versions.keys() {
                // Without a category, which comes first.
                let mut before = SortedSet::default();
                for category in categories(template, None, *number) {
                    let asked = category.map(CategoryKey::as_str);
                    let Some(recipe) = template.version(key, *number, None, asked) else { continue };
                    let mut here = self.findings(&recipe, least, truths);
                    here.retain(|one| !before.contains(&one.subject()));
                    if category.is_none() {
                        before = subjects(&here);
                    }
                    found.extend(here.into_iter().map(|one| one.diagnostic(&recipe, None)));
                }
            }
        }
        found
    }

    /// What is found in what a tenant lays over a template, but for what the template has by itself: errors alone, or
    /// warnings as well.
    pub(crate) fn lint_tenant(
        &self,
        tenant: &str,
        workflow: &WorkflowKey,
        laid: &TenantWorkflow,
        least: Severity,
        truths: &mut Truths,
    ) -> Vec<Diagnostic> {
        let Some(template) = self.workflows.get(workflow) else { return Vec::new() };
        let Some(number) = laid.version.or_else(|| template.definition.current()) else { return Vec::new() };
        let mut found = Vec::new();
        let mut without = SortedSet::default();
        for category in categories(template, Some(laid), number) {
            let of = |laid| template.version(workflow, number, laid, category.map(CategoryKey::as_str));
            let (Some(recipe), Some(below)) = (of(Some(laid)), of(None)) else { continue };
            let mut here = self.findings(&recipe, least, truths);
            if here.is_empty() {
                continue;
            }
            let below = subjects(&self.findings(&below, least, truths));
            here.retain(|one| !below.contains(&one.subject()) && !without.contains(&one.subject()));
            if category.is_none() {
                without = subjects(&here);
            }
            found.extend(here.into_iter().map(|one| one.diagnostic(&recipe, Some(tenant))));
        }
        found
    }

    /// Checks what a tenant lays over a template; mistakes go to `check`. Gives its [`identity`].
    pub(crate) fn check_tenant(
        &self,
        tenant: &str,
        workflow: &WorkflowKey,
        laid: &TenantWorkflow,
        check: &mut Check,
    ) -> Option<crate::Hash> {
        if self.mistaken_workflows.binary_search(workflow).is_ok() {
            return Some(crate::Hash::default());
        }
        let Some(template) = self.workflows.get(workflow) else {
            let choices = self.workflows.keys().map(WorkflowKey::as_str);
            return check.unknown(DiagnosticCode::UnknownWorkflow, "workflow", workflow.as_str(), choices);
        };
        let patched = !laid.patch.is_empty() || laid.categories.values().any(|category| !category.patch.is_empty());
        match laid.version {
            Some(number) if !template.definition.versions.contains_key(&number) => {
                let versions = template.definition.versions.keys();
                return check.under("version", |check| unknown_version(workflow, number, versions, check));
            }
            None if patched => {
                let current = template.definition.current().unwrap_or_default();
                return check.refuse(
                    DiagnosticCode::PatchWithoutVersion,
                    "a patch is written against a version, and none is pinned",
                    format!("add `\"version\": {current}`, or the version that the patch was written against"),
                );
            }
            _ => {}
        }
        let before = check.found.len();
        check_sizes(laid, check);
        check.under("settings", |check| self.check_settings(&laid.settings, check));
        check.under("categories", |check| {
            for (category, own) in &laid.categories {
                check.under(category.as_str(), |check| {
                    check.under("settings", |check| self.check_settings(&own.settings, check));
                });
            }
        });
        let hash = match identity(&(workflow, laid)) {
            Ok(hash) => hash,
            Err(error) => {
                let hint = "write texts, integers, true, false and lists of texts";
                return check.refuse(DiagnosticCode::InvalidValue, error.to_string(), hint);
            }
        };
        let plain = !patched && laid.settings.is_empty() && laid.categories.is_empty();
        // Tenants that lay the same over a template have the same machines.
        let is_known = cfg!(feature = "runtime") && check.sound.contains(&hash);
        if before == check.found.len() && !plain && !is_known {
            check.found.extend(self.lint_tenant(tenant, workflow, laid, Severity::Error, &mut check.truths));
            if before == check.found.len() {
                check.sound.insert(hash);
            }
        }
        (before == check.found.len()).then_some(hash)
    }

    fn check_settings(&self, settings: &Settings, check: &mut Check) {
        for (guard, values) in settings {
            check.under(guard.as_str(), |check| match self.guards.get(guard) {
                Some(rule) => {
                    for (code, message, hint) in rule.flaws(guard, values) {
                        check.refuse::<()>(code, message, hint);
                    }
                }
                None if self.is_mistaken(guard.as_str()) => {}
                None => {
                    let choices = self.guards.keys().map(GuardKey::as_str);
                    check.unknown::<()>(DiagnosticCode::UnknownGuard, "guard", guard.as_str(), choices);
                }
            });
        }
    }

    fn findings(&self, recipe: &Recipe<'_>, least: Severity, truths: &mut Truths) -> Vec<Finding> {
        let resolved = self.resolve(recipe);
        let mut found = resolved.found;
        // A machine that lacks something would be found fault with for that.
        if found.is_empty() && resolved.is_whole {
            found = inspect(&resolved.machine, recipe.scope(), least, truths);
        }
        found.retain(|one| least == Severity::Warning || one.code.severity() == Severity::Error);
        found
    }
}

/// What some findings say. There may be one for every guard that is bound.
fn subjects(findings: &[Finding]) -> SortedSet<Subject> {
    SortedSet::of(findings.iter().map(Finding::subject).collect())
}

/// No category, and then each that the version or the tenant says anything of.
fn categories<'t>(
    template: &'t Template,
    laid: Option<&'t TenantWorkflow>,
    number: u32,
) -> impl Iterator<Item = Option<&'t CategoryKey>> {
    let version = template.definition.versions.get(&number);
    let own = version.into_iter().flat_map(|version| version.categories.keys());
    let of_tenant = laid.into_iter().flat_map(|laid| laid.categories.keys());
    let all: SortedSet<&CategoryKey> = own.chain(of_tenant).collect();
    std::iter::once(None).chain(all.into_iter().map(Some))
}

/// Most stages of a version.
const MAX_STAGES: usize = 1_000;
/// Most transitions of a version.
const MAX_TRANSITIONS: usize = 5_000;
/// Most service categories of a version, or of what a tenant lays over one.
const MAX_CATEGORIES: usize = 256;
/// Most operations of one patch.
const MAX_OPERATIONS: usize = 1_000;

fn check_size(what: &str, count: usize, most: usize, check: &mut Check) {
    if count > most {
        check.under(what, |check| {
            let message = format!("{count} entries, more than {most}");
            check.refuse::<()>(DiagnosticCode::TooManyDefinitions, message, "define fewer")
        });
    }
}

/// Checks the sizes of what a tenant lays over a template.
pub(super) fn check_sizes(laid: &TenantWorkflow, check: &mut Check) {
    check_size("categories", laid.categories.len(), MAX_CATEGORIES, check);
    check_size("patch", laid.patch.len(), MAX_OPERATIONS, check);
    for (category, own) in &laid.categories {
        check.under("categories", |check| {
            check.under(category.as_str(), |check| check_size("patch", own.patch.len(), MAX_OPERATIONS, check));
        });
    }
}

/// Checks a template's sizes and versions; what its machines are is looked at when they are made.
fn check_workflow(key: &WorkflowKey, workflow: &model::Workflow, check: &mut Check) {
    let versions = &workflow.versions;
    check.under("versions", |check| {
        for (number, version) in versions {
            check.under(&number.to_string(), |check| {
                check_size("stages", version.graph.stages.len(), MAX_STAGES, check);
                check_size("transitions", version.graph.transitions.len(), MAX_TRANSITIONS, check);
                check_size("categories", version.categories.len(), MAX_CATEGORIES, check);
                for (category, own) in &version.categories {
                    check.under("categories", |check| {
                        check.under(category.as_str(), |check| {
                            check_size("patch", own.patch.len(), MAX_OPERATIONS, check);
                        });
                    });
                }
            });
        }
    });
    if let Err(error) = identity(workflow) {
        let hint = "write texts, integers, true, false and lists of texts";
        check.refuse::<()>(DiagnosticCode::InvalidValue, error.to_string(), hint);
    }
    if versions.is_empty() {
        check.under("versions", |check| {
            let message = format!("workflow `{key}` has no version");
            check.refuse::<()>(DiagnosticCode::MissingKey, message, "write version \"1\"")
        });
    }
    if let Some(current) = workflow.current.filter(|current| !versions.contains_key(current)) {
        check.under("current", |check| unknown_version::<()>(key, current, versions.keys(), check));
    }
}

fn unknown_version<'v, T>(
    key: &WorkflowKey,
    number: u32,
    versions: impl Iterator<Item = &'v u32>,
    check: &mut Check,
) -> Option<T> {
    let versions: Vec<String> = versions.map(u32::to_string).collect();
    let message = format!("workflow `{key}` has no version {number}");
    check.refuse(DiagnosticCode::UnknownWorkflowVersion, message, format!("it has {}", versions.join(", ")))
}

fn lower_guard(guard: &Guard, check: &mut Check) -> Option<GuardRule> {
    let before = check.found.len();
    for (section, names) in
        [("inputs", guard.inputs.keys().collect::<Vec<_>>()), ("settings", guard.settings.keys().collect())]
    {
        for name in names.into_iter().filter(|name| is_reserved(name.as_str())) {
            check.under(section, |check| {
                check.under(name.as_str(), |check| {
                    let message = format!("`{name}` is a word of the guard language");
                    check.refuse::<()>(DiagnosticCode::InvalidKey, message, "use another name")
                })
            });
        }
    }
    check.under("settings", |check| {
        for (name, setting) in &guard.settings {
            check.under(name.as_str(), |check| {
                if guard.inputs.contains_key(name) {
                    let message = format!("`{name}` is an input too");
                    check.refuse::<()>(DiagnosticCode::DuplicateKey, message, "give one of the two another name");
                }
                if !is_of(&setting.default, setting.value_type) {
                    check.under("default", |check| {
                        check.refuse::<()>(
                            DiagnosticCode::InvalidValue,
                            format!("{} is not of type {}", model::json(&setting.default), setting.value_type),
                            format!("write {}", described(setting.value_type)),
                        )
                    });
                }
            });
        }
    });
    let checked = match guard.check() {
        Ok(checked) => Some(checked),
        Err(mistakes) => check.under("expression", |check| {
            for mistake in mistakes {
                let message = format!("{}, at byte {}", mistake.message, mistake.at);
                check.refuse::<()>(mistake.code, message, mistake.hint);
            }
            None
        }),
    };
    checked.filter(|_| before == check.found.len()).and_then(|checked| GuardRule::new(checked, &guard.settings))
}

/// What can be said of a whole machine, whose parts are right.
fn inspect(machine: &Machine, scope: Layer, least: Severity, truths: &mut Truths) -> Vec<Finding> {
    let parts = machine.parts();
    let mut found = Vec::new();
    let mut note = |code, place, message: String, hint: &str| {
        found.push(Finding { code, layer: scope, place, message, hint: hint.to_owned() });
    };
    let numbered = || (0_u32..).zip(&parts.stages);
    let initial: Vec<u32> = numbered().filter(|(_, rule)| rule.stage.initial).map(|(number, _)| number).collect();
    let finals: Vec<u32> = numbered().filter(|(_, rule)| rule.stage.r#final).map(|(number, _)| number).collect();
    let names = |numbers: &[u32]| {
        let names = numbers.iter().filter_map(|number| machine.stage(*number));
        let names: Vec<String> = names.map(|rule| format!("`{}`", rule.id)).collect();
        names.join(", ")
    };
    match initial.as_slice() {
        [] => {
            let hint = "mark the stage that items begin in with `\"initial\": true`";
            note(DiagnosticCode::NoInitialStage, Place::Machine, "no stage is initial".to_owned(), hint);
        }
        [_] => {}
        several => {
            let message = format!("{} are all initial", names(several));
            note(DiagnosticCode::SeveralInitialStages, Place::Machine, message, "leave one of them initial");
        }
    }
    if finals.is_empty() {
        let hint = "mark the stages that items end in with `\"final\": true`";
        note(DiagnosticCode::NoFinalStage, Place::Machine, "no stage is final".to_owned(), hint);
    }
    for (transition, guarded) in guards(parts).filter(|(_, guarded)| guarded.bound().is_over_budget()) {
        let message = format!("guard `{}` is, with its settings, more than Rhai is given", guarded.guard);
        let place = Place::Binding(transition.id.clone(), guarded.binding.clone());
        note(DiagnosticCode::GuardOverBudget, place, message, "give it shorter settings");
    }
    // Transitions that can never be taken lead nowhere.
    let (mut onwards, mut backwards) = (vec![Vec::new(); parts.stages.len()], vec![Vec::new(); parts.stages.len()]);
    let mut closed = Vec::new();
    for transition in &parts.transitions {
        if let Some((place, why)) = truths.closes(transition) {
            let hint = "look at its settings, or remove the transition";
            note(DiagnosticCode::GuardConstant, place, why, hint);
            closed.push(format!("`{}`", transition.id));
            continue;
        }
        for (edges, from, to) in
            [(&mut onwards, transition.from, transition.to), (&mut backwards, transition.to, transition.from)]
        {
            if let Some(edges) = edges.get_mut(from as usize) {
                edges.push(to);
            }
        }
    }
    let (reachable, finishing) = (reach(&initial, &onwards), reach(&finals, &backwards));
    let mut stuck = Vec::new();
    for (number, rule) in numbered() {
        let place = || Place::Stage(rule.id.clone());
        let has_exits = machine.exits(number).next().is_some();
        if !initial.is_empty() && !reachable.contains(&number) {
            let message = format!("no item can get to stage `{}`", rule.id);
            note(DiagnosticCode::UnreachableStage, place(), message, "let a transition enter it, or remove it");
        } else if rule.stage.r#final {
            if has_exits {
                let message = format!("stage `{}` is final, and transitions leave it", rule.id);
                note(DiagnosticCode::ExitFromFinal, place(), message, "items that end here need no way out");
            }
        } else if !has_exits {
            let message = format!("stage `{}` is not final, and nothing leaves it", rule.id);
            note(DiagnosticCode::DeadEnd, place(), message, "mark it `\"final\": true`, or let a transition leave it");
        } else if !finals.is_empty() && !finishing.contains(&number) {
            stuck.push(number);
        }
    }
    if !stuck.is_empty() {
        let mut message = format!("no final stage can be reached from {}", names(&stuck));
        if !closed.is_empty() {
            message.push_str(&format!(": the guards of {} never hold", closed.join(", ")));
        }
        let hint = "open a way to a final stage: look at the settings of guards, and at transitions that were removed";
        note(DiagnosticCode::NoPathToFinal, Place::Machine, message, hint);
    }
    if least == Severity::Warning {
        numbered().for_each(|(number, _)| rivals(machine, number, truths, &mut note));
    }
    found
}

/// Transitions that leave one stage and get in each other's way.
fn rivals(
    machine: &Machine,
    stage: u32,
    truths: &mut Truths,
    note: &mut impl FnMut(DiagnosticCode, Place, String, &str),
) {
    let exits: Vec<&TransitionRule> = machine.exits(stage).collect();
    for (at, transition) in exits.iter().enumerate() {
        let place = || Place::Transition(transition.id.clone());
        for other in exits.iter().take(at) {
            if other.to == transition.to && truths.is_open(other) {
                let message = format!("transition `{}` is never taken: `{}` comes first", transition.id, other.id);
                let hint = "remove one of them, or let the one with guards come first";
                note(DiagnosticCode::ShadowedTransition, place(), message, hint);
                break;
            }
            if other.to != transition.to && other.event == transition.event {
                let message = format!("`{}` and `{}` leave by event `{}`", other.id, transition.id, other.event);
                let hint = "give them events of their own, so that an event says where an item goes";
                note(DiagnosticCode::AmbiguousTransition, place(), message, hint);
                break;
            }
        }
    }
}

fn guards(parts: &Parts) -> impl Iterator<Item = (&TransitionRule, &Guarded)> {
    parts.transitions.iter().flat_map(|transition| transition.guards.iter().map(move |guarded| (transition, guarded)))
}

/// What guards come to whatever their inputs are. Transitions share guards, and so do the machines of categories and tenants:
/// each is looked at once.
#[derive(Debug, Default)]
pub(crate) struct Truths(HashMap<Vec<Same>, Truth>);

/// More of them are not kept: settings of tenants make guards of their own.
const MOST_TRUTHS: usize = 4_096;

/// A guard that is told from others by where it is, and stays there.
#[derive(Debug)]
struct Same(Arc<BoundGuard>);

impl PartialEq for Same {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Same {}

impl Hash for Same {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl Truths {
    /// What guards come to together.
    fn of(&mut self, guards: &[&Guarded]) -> Truth {
        if self.0.len() >= MOST_TRUTHS {
            self.0.clear();
        }
        let keys = guards.iter().map(|guarded| Same(guarded.filled.bound.clone())).collect();
        *self.0.entry(keys).or_insert_with(|| match guards {
            [one] => one.bound().truth(),
            several => {
                let bound: Vec<&BoundGuard> = several.iter().map(|guarded| guarded.bound()).collect();
                if BoundGuard::never_hold_together(&bound) { Truth::Never } else { Truth::Depends }
            }
        })
    }

    /// What keeps a transition from ever being taken, and why.
    fn closes(&mut self, transition: &TransitionRule) -> Option<(Place, String)> {
        for guarded in &transition.guards {
            if self.of(&[guarded]) == Truth::Never {
                let place = Place::Binding(transition.id.clone(), guarded.binding.clone());
                let message = format!("guard `{}` on transition `{}` never holds", guarded.guard, transition.id);
                return Some((place, message));
            }
        }
        let all: Vec<&Guarded> = transition.guards.iter().collect();
        (all.len() > 1 && self.of(&all) == Truth::Never).then(|| {
            let message = format!("the guards on transition `{}` never hold together", transition.id);
            (Place::Transition(transition.id.clone()), message)
        })
    }

    /// Whether a transition may be taken by anybody at any time.
    fn is_open(&mut self, transition: &TransitionRule) -> bool {
        transition.role.is_none() && transition.guards.iter().all(|guarded| self.of(&[guarded]) == Truth::Always)
    }
}

/// The stages that can be reached from some, themselves included.
fn reach(from: &[u32], edges: &[Vec<u32>]) -> SortedSet<u32> {
    let mut reached: SortedSet<u32> = from.iter().copied().collect();
    let mut next: Vec<u32> = from.to_vec();
    while let Some(stage) = next.pop() {
        for to in edges.get(stage as usize).into_iter().flatten() {
            if reached.insert(*to) {
                next.push(*to);
            }
        }
    }
    reached
}
