//! What is wrong with definitions of workflows, or most likely not meant: every template with each of its categories, and
//! every tenant with each of them.

use super::guard::{BoundGuard, Truth, is_reserved};
use super::machine::{Guarded, Parts, TransitionRule};
use super::templates::{GuardRule, Recipe, Template, described, is_of};
use super::{Finding, Layer, Machine, Place, Templates};
use crate::compile::Check;
use crate::model::{
    self, Definitions, Diagnostic, DiagnosticCode, Guard, Settings, Severity, TenantWorkflow, built_in_guards,
};
use crate::wire::canonical;
use crate::{CategoryKey, GuardKey, Hash, WorkflowKey};
use std::collections::{BTreeMap, BTreeSet};
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
                        None => drop(templates.mistaken.insert(key.clone())),
                    }
                });
            }
        });
        let guards = Hash::of(&canonical::to_vec(&definitions.guards).unwrap_or_default());
        check.under("workflows", |check| {
            for (key, workflow) in &definitions.workflows {
                check.under(key.as_str(), |check| check_versions(key, workflow, check));
                templates.workflows.insert(key.clone(), Template::new(key, workflow, guards));
            }
        });
        let found = templates.lint().into_iter().filter(|one| one.severity == Severity::Error);
        check.found.extend(found);
        templates
    }

    /// Everything about templates by themselves, errors and warnings.
    pub(crate) fn lint(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (key, rule) in &self.guards {
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
                let mut before = Vec::new();
                for category in categories(template, None, *number) {
                    let category = category.map(CategoryKey::as_str);
                    let Some(recipe) = template.version(key, *number, None, category) else { continue };
                    let here = self.findings(&recipe);
                    let new = here.iter().filter(|one| !before.iter().any(|other| one.is_same(other)));
                    found.extend(new.map(|one| one.clone().diagnostic(&recipe, None)));
                    if category.is_none() {
                        before = here;
                    }
                }
            }
        }
        found
    }

    /// Everything about what a tenant lays over a template, errors and warnings, but for what the template has by itself.
    pub(crate) fn lint_tenant(&self, tenant: &str, workflow: &WorkflowKey, laid: &TenantWorkflow) -> Vec<Diagnostic> {
        let Some(template) = self.workflows.get(workflow) else { return Vec::new() };
        let Some(number) = laid.version.or_else(|| template.definition.current()) else { return Vec::new() };
        let mut found = Vec::new();
        let mut without = Vec::new();
        for category in categories(template, Some(laid), number) {
            let of = |laid| template.version(workflow, number, laid, category.map(CategoryKey::as_str));
            let (Some(recipe), Some(below)) = (of(Some(laid)), of(None)) else { continue };
            let (here, below) = (self.findings(&recipe), self.findings(&below));
            let known = |one: &&Finding| below.iter().chain(&without).any(|other: &Finding| one.is_same(other));
            let new = here.iter().filter(|one| !known(one));
            found.extend(new.map(|one| one.clone().diagnostic(&recipe, Some(tenant))));
            if category.is_none() {
                without = here;
            }
        }
        found
    }

    /// Checks what a tenant lays over a template; mistakes go to `check`. Gives its hash.
    pub(crate) fn check_tenant(
        &self,
        tenant: &str,
        workflow: &WorkflowKey,
        laid: &TenantWorkflow,
        check: &mut Check,
    ) -> Option<Hash> {
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
        check.under("settings", |check| self.check_settings(&laid.settings, check));
        check.under("categories", |check| {
            for (category, own) in &laid.categories {
                check.under(category.as_str(), |check| {
                    check.under("settings", |check| self.check_settings(&own.settings, check));
                });
            }
        });
        let bytes = canonical::to_vec(&(workflow, laid)).unwrap_or_default();
        let hash = Hash::of(&bytes);
        let plain = !patched && laid.settings.is_empty() && laid.categories.is_empty();
        // Tenants that lay the same over a template have the same machines.
        if before == check.found.len() && !plain && !check.sound.contains(&hash) {
            let found = self.lint_tenant(tenant, workflow, laid);
            check.found.extend(found.into_iter().filter(|one| one.severity == Severity::Error));
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
                None if self.mistaken.contains(guard) => {}
                None => {
                    let choices = self.guards.keys().map(GuardKey::as_str);
                    check.unknown::<()>(DiagnosticCode::UnknownGuard, "guard", guard.as_str(), choices);
                }
            });
        }
    }

    fn findings(&self, recipe: &Recipe<'_>) -> Vec<Finding> {
        let resolved = self.resolve(recipe);
        let mut found = resolved.found;
        // A machine that lacks something would be found fault with for that.
        if found.is_empty() {
            found = inspect(&resolved.machine, recipe.scope());
        }
        found
    }
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
    let all: BTreeSet<&CategoryKey> = own.chain(of_tenant).collect();
    std::iter::once(None).chain(all.into_iter().map(Some))
}

fn check_versions(key: &WorkflowKey, workflow: &model::Workflow, check: &mut Check) {
    let versions = &workflow.versions;
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
                            format!("{} is not of type {}", setting.default, setting.value_type),
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
fn inspect(machine: &Machine, scope: Layer) -> Vec<Finding> {
    let parts = machine.parts();
    let mut found = Vec::new();
    let mut note = |code, place, message: String, hint: &str| {
        found.push(Finding { code, layer: scope, place, message, hint: hint.to_owned() });
    };
    let numbered = || (0_u32..).zip(&parts.stages);
    let initial: Vec<u32> = numbered().filter(|(_, rule)| rule.stage.initial).map(|(number, _)| number).collect();
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
    let closed = closed(parts);
    for (transition, guarded) in &closed {
        let message = format!("guard `{}` on transition `{}` never holds", guarded.guard, transition.id);
        let place = Place::Binding(transition.id.clone(), guarded.binding.clone());
        note(DiagnosticCode::GuardConstant, place, message, "look at its settings, or remove the transition");
    }
    let is_closed = |transition: &TransitionRule| closed.iter().any(|(other, _)| other.id == transition.id);
    let edges: Vec<(u32, u32)> =
        parts.transitions.iter().filter(|one| !is_closed(one)).map(|one| (one.from, one.to)).collect();
    let reachable = reach(&initial, &edges);
    let finals: Vec<u32> = numbered().filter(|(_, rule)| rule.stage.r#final).map(|(number, _)| number).collect();
    let backwards: Vec<(u32, u32)> = edges.iter().map(|(from, to)| (*to, *from)).collect();
    let finishing = reach(&finals, &backwards);
    if finals.is_empty() {
        let hint = "mark the stages that items end in with `\"final\": true`";
        note(DiagnosticCode::NoFinalStage, Place::Machine, "no stage is final".to_owned(), hint);
    }
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
        let cut: Vec<String> = closed.iter().map(|(transition, _)| format!("`{}`", transition.id)).collect();
        if !cut.is_empty() {
            message.push_str(&format!(": the guards of {} never hold", cut.join(", ")));
        }
        let hint = "open a way to a final stage: look at the settings of guards, and at transitions that were removed";
        note(DiagnosticCode::NoPathToFinal, Place::Machine, message, hint);
    }
    for (at, transition) in parts.transitions.iter().enumerate() {
        let earlier = parts.transitions.iter().take(at).filter(|other| other.from == transition.from);
        let place = || Place::Transition(transition.id.clone());
        for other in earlier {
            if other.to == transition.to && other.role.is_none() && other.guards.is_empty() {
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
    found
}

/// Transitions that can never be taken, each with the guard that never holds.
fn closed(parts: &Parts) -> Vec<(&TransitionRule, &Guarded)> {
    let mut known: BTreeMap<*const BoundGuard, Truth> = BTreeMap::new();
    let mut never = |guarded: &Guarded| {
        let bound = &guarded.filled.bound;
        *known.entry(Arc::as_ptr(bound)).or_insert_with(|| bound.truth()) == Truth::Never
    };
    let closing = parts.transitions.iter().filter_map(|transition| {
        let guarded = transition.guards.iter().find(|guarded| never(guarded))?;
        Some((transition, guarded))
    });
    closing.collect()
}

/// The stages that can be reached from some, themselves included.
fn reach(from: &[u32], edges: &[(u32, u32)]) -> BTreeSet<u32> {
    let mut reached: BTreeSet<u32> = from.iter().copied().collect();
    let mut next: Vec<u32> = from.to_vec();
    while let Some(stage) = next.pop() {
        for (_, to) in edges.iter().filter(|(start, _)| *start == stage) {
            if reached.insert(*to) {
                next.push(*to);
            }
        }
    }
    reached
}
