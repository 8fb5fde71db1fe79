//! Templates and guards as the engine holds them, and a tenant's machine made of them on demand.

use super::guard::{self, BoundGuard, CheckedGuard, Constant};
use super::layers::{Layered, LayeredTransition, Layers};
use super::machine::{BoundRole, Guarded, Machine, Parts, StageRule, TransitionRule};
use super::{FilledSetting, Finding, Layer, Place, SettingSource};
use crate::model::read::meant;
use crate::model::{self, DiagnosticCode, GuardBinding, Settings, TenantWorkflow, VariableType, WorkflowVersion};
use crate::wire::Capability;
use crate::wire::canonical::{self, NoCanonicalForm};
use crate::{CategoryKey, GuardKey, Hash, RecordId, SortedMap, StageId, TransitionId, VariableName, WorkflowKey};
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All templates and guards of one set of definitions.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    pub(super) guards: SortedMap<GuardKey, GuardRule>,
    /// Guards that are refused, in order: those who bind them are not to blame.
    pub(super) mistaken: Vec<GuardKey>,
    /// Workflows that are refused before any machine is made of them.
    pub(super) mistaken_workflows: Vec<WorkflowKey>,
    pub(super) workflows: SortedMap<WorkflowKey, Template>,
}

/// A guard whose expression has been checked.
#[derive(Debug)]
pub(crate) struct GuardRule {
    pub(super) checked: CheckedGuard,
    pub(super) settings: SortedMap<VariableName, model::GuardSetting>,
    /// The guard where nobody fills in a setting, as it is for most tenants.
    pub(super) unset: Filled,
}

/// A guard with its settings.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    pub(super) bound: Arc<BoundGuard>,
    pub(super) settings: Arc<SortedMap<VariableName, FilledSetting>>,
}

/// A template, and what its versions are known by.
#[derive(Debug)]
pub(crate) struct Template {
    pub(super) definition: model::Workflow,
    /// Hash of each version together with all guards.
    contents: SortedMap<u32, Hash>,
}

/// What one machine is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe<'d> {
    pub(super) workflow: &'d WorkflowKey,
    pub(super) number: u32,
    pub(super) version: &'d WorkflowVersion,
    /// Hash of the version together with all guards.
    #[cfg_attr(
        not(feature = "runtime"),
        expect(dead_code, reason = "only an engine, which keeps machines, asks for it")
    )]
    content: Hash,
    /// The service category, where the version or the tenant says anything of it.
    pub(super) category: Option<&'d CategoryKey>,
    pub(super) tenant: Option<&'d TenantWorkflow>,
}

/// A machine, and what was wrong with what it is made of. Where anything is, the machine lacks it.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) machine: Machine,
    pub(crate) found: Vec<Finding>,
    /// Whether it has all that it is made of.
    pub(crate) is_whole: bool,
}

/// What tells something that machines are made of from others: the hash of its canonical form.
///
/// An engine (feature `runtime`) keeps machines by it, and what many tenants lay over a template is looked at once by it.
/// A page has one tenant, and what writes a workflow out is much code for it to load; there, all are alike.
///
/// # Errors
/// Values that have no canonical form, which only definitions made in a program can have.
pub(super) fn identity(of: &impl Serialize) -> Result<Hash, NoCanonicalForm> {
    if cfg!(feature = "runtime") { canonical::to_vec(of).map(|bytes| Hash::of(&bytes)) } else { Ok(Hash::default()) }
}

impl Templates {
    /// Whether a guard is refused.
    pub(super) fn is_mistaken(&self, guard: &str) -> bool {
        self.mistaken.binary_search_by(|one| one.as_str().cmp(guard)).is_ok()
    }
}

impl Template {
    pub(super) fn new(key: &WorkflowKey, definition: &model::Workflow, guards: Hash) -> Self {
        let contents = definition
            .versions
            .iter()
            .map(|(number, version)| (*number, identity(&(key, number, guards, version)).unwrap_or_default()));
        Self { contents: contents.collect(), definition: definition.clone() }
    }

    /// What a tenant's machine is made of; nothing where there is no such version.
    pub(crate) fn recipe<'d>(
        &'d self,
        workflow: &'d WorkflowKey,
        tenant: Option<&'d TenantWorkflow>,
        category: Option<&str>,
    ) -> Option<Recipe<'d>> {
        let pinned = tenant.and_then(|tenant| tenant.version);
        self.version(workflow, pinned.or_else(|| self.definition.current())?, tenant, category)
    }

    /// What a machine of a version is made of, whichever one the tenant has.
    pub(crate) fn version<'d>(
        &'d self,
        workflow: &'d WorkflowKey,
        number: u32,
        tenant: Option<&'d TenantWorkflow>,
        category: Option<&str>,
    ) -> Option<Recipe<'d>> {
        let (version, content) = (self.definition.versions.get(&number)?, *self.contents.get(&number)?);
        let category = category.and_then(|category| {
            let own = tenant.and_then(|tenant| tenant.categories.get_key_value(category)).map(|(key, _)| key);
            own.or_else(|| version.categories.get_key_value(category).map(|(key, _)| key))
        });
        Some(Recipe { workflow, number, version, content, category, tenant })
    }

    /// Whether questions about it are answered for a tenant.
    pub(crate) fn is_active(&self, tenant: Option<&TenantWorkflow>) -> bool {
        self.definition.active && tenant.is_none_or(|tenant| tenant.active)
    }
}

impl<'d> Recipe<'d> {
    /// What machines that are the same have in common. `tenant` is the hash of what the tenant lays over the template.
    #[cfg(feature = "runtime")]
    pub(crate) fn content(&self, tenant: Hash) -> (Hash, Hash, Option<CategoryKey>) {
        (self.content, tenant, self.category.cloned())
    }

    /// The most specific layer that it has.
    pub(super) fn scope(&self) -> Layer {
        match (self.tenant, self.category) {
            (Some(tenant), Some(category)) if tenant.categories.contains_key(category) => Layer::TenantCategory,
            (Some(_), _) => Layer::Tenant,
            (None, Some(_)) => Layer::Category,
            (None, None) => Layer::Template,
        }
    }

    /// Lays the layers over each other, the more specific later.
    fn layers(&self, found: &mut Vec<Finding>) -> Layers<'d> {
        let mut layers = Layers::of(&self.version.graph);
        let category = self.category.and_then(|category| self.version.categories.get(category));
        let own = self.category.and_then(|category| self.tenant?.categories.get(category));
        let patches = [
            (Layer::Category, category.map(|category| &category.patch)),
            (Layer::Tenant, self.tenant.map(|tenant| &tenant.patch)),
            (Layer::TenantCategory, own.map(|own| &own.patch)),
        ];
        for (layer, patch) in patches {
            let misfits = patch.map(|patch| layers.lay(patch, layer)).unwrap_or_default();
            let asked = self.category.map(|category| format!(" in category `{category}`")).unwrap_or_default();
            found.extend(misfits.into_iter().map(|misfit| Finding {
                code: misfit.code,
                layer,
                place: Place::Operation(misfit.operation),
                message: misfit.message + asked.as_str(),
                hint: "write the patch against what the layers below it give".to_owned(),
            }));
        }
        layers
    }

    /// Values that the tenant fills in for a guard, with who says so, the more specific later.
    fn own_settings(
        &self,
        guard: &GuardKey,
    ) -> impl Iterator<Item = (SettingSource, &'d SortedMap<VariableName, Value>)> {
        let of = |settings: &'d Settings| settings.get(guard);
        let category = self.category.and_then(|category| self.tenant?.categories.get(category));
        let sources = [
            (SettingSource::Tenant, self.tenant.and_then(|tenant| of(&tenant.settings))),
            (SettingSource::TenantCategory, category.and_then(|category| of(&category.settings))),
        ];
        sources.into_iter().filter_map(|(source, values)| Some((source, values?)))
    }
}

impl model::Guard {
    /// Checks the expression against what is declared.
    pub(super) fn check(&self) -> Result<CheckedGuard, Vec<guard::GuardMistake>> {
        let settings = self.settings.iter().map(|(name, setting)| (name.clone(), setting.value_type)).collect();
        guard::compile(&self.expression, &self.inputs, &settings)
    }
}

impl Filled {
    /// About how many bytes it holds. Lists of texts are held three times: as settings, in the form, and as it is run.
    #[cfg(feature = "runtime")]
    pub(super) fn bytes(&self) -> usize {
        fn text(value: &Value) -> usize {
            match value {
                Value::String(text) => text.len() + 24,
                Value::Array(items) => items.iter().map(text).sum(),
                _ => 0,
            }
        }
        512 + 3 * self.settings.values().map(|setting| text(&setting.value)).sum::<usize>()
    }
}

impl GuardRule {
    /// A guard whose settings have defaults of their types; nothing where one has not.
    pub(super) fn new(checked: CheckedGuard, settings: &SortedMap<VariableName, model::GuardSetting>) -> Option<Self> {
        let unset = fill(&checked, settings, std::iter::empty())?;
        Some(Self { checked, settings: settings.clone(), unset })
    }
}

/// Fills in the settings of a guard, the more specific sources later. Nothing where a value is not of its type, which is
/// found when definitions are built.
fn fill<'v>(
    checked: &CheckedGuard,
    declared: &SortedMap<VariableName, model::GuardSetting>,
    sources: impl Iterator<Item = (SettingSource, &'v SortedMap<VariableName, Value>)>,
) -> Option<Filled> {
    let default = |setting: &model::GuardSetting| FilledSetting {
        value: setting.default.clone(),
        source: SettingSource::Default,
    };
    let mut settings: SortedMap<VariableName, FilledSetting> =
        declared.iter().map(|(name, setting)| (name.clone(), default(setting))).collect();
    for (source, values) in sources {
        for (name, value) in values {
            if let Some(setting) = settings.get_mut(name) {
                *setting = FilledSetting { value: value.clone(), source };
            }
        }
    }
    let typed = |name: &VariableName| {
        let (declared, setting) = (declared.get(name)?, settings.get(name)?);
        Constant::read(declared.value_type, &setting.value)
    };
    let bound = checked.bind(typed).ok()?;
    Some(Filled { bound: Arc::new(bound), settings: Arc::new(settings) })
}

/// Whether a value has a type.
pub(super) fn is_of(value: &Value, value_type: VariableType) -> bool {
    Constant::read(value_type, value).is_some()
}

impl Templates {
    /// Whether a guard that is defined needs Rhai.
    pub(crate) fn needs_rhai(&self) -> bool {
        self.guards.values().any(|guard| guard.checked.needs_rhai())
    }

    /// The keys of all templates, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &WorkflowKey> {
        self.workflows.keys()
    }

    /// A template by its key.
    pub(crate) fn get(&self, workflow: &str) -> Option<(&WorkflowKey, &Template)> {
        self.workflows.get_key_value(workflow)
    }

    /// Makes a machine.
    pub(crate) fn resolve(&self, recipe: &Recipe<'_>) -> Resolved {
        let mut found = Vec::new();
        let layers = recipe.layers(&mut found);
        let mut stages: Vec<StageRule> = layers.stages.iter().map(|(id, stage)| StageRule::new(id, stage)).collect();
        stages.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        let mut numbers: Vec<(StageId, u32)> = Vec::with_capacity(stages.len());
        numbers.extend((0..).zip(&stages).map(|(number, stage)| (stage.id.clone(), number)));
        numbers.sort();

        let mut making = Making { templates: self, recipe, numbers: &numbers, found, filled: HashMap::new() };
        let rules = layers.transitions.iter().filter_map(|(id, layered)| making.transition(id, layered));
        let mut transitions: Vec<TransitionRule> = rules.collect();
        transitions.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        let found = making.found;
        let is_whole = transitions.len() == layers.transitions.len();
        let (workflow, version) = (recipe.workflow.clone(), recipe.number);
        let category = recipe.category.cloned();
        let machine = Machine::new(Parts { workflow, version, category, stages, numbers, transitions });
        Resolved { machine, found, is_whole }
    }
}

/// Most guards of a transition.
const MAX_GUARDS: usize = 64;

/// A machine on the way.
struct Making<'m, 'd> {
    templates: &'m Templates,
    recipe: &'m Recipe<'d>,
    /// Numbers of stages, sorted by id.
    numbers: &'m [(StageId, u32)],
    found: Vec<Finding>,
    /// Guards with what the tenant fills in.
    filled: HashMap<&'m GuardKey, Filled>,
}

impl<'m> Making<'m, '_> {
    fn find(&mut self, code: DiagnosticCode, layer: Layer, place: Place, message: String, hint: String) {
        self.found.push(Finding { code, layer, place, message, hint });
    }

    fn transition(&mut self, id: &TransitionId, layered: &LayeredTransition<'_>) -> Option<TransitionRule> {
        let Layered { layer, value } = &layered.transition;
        let [from, to] = [("leaves", &value.from), ("enters", &value.to)].map(|(verb, stage)| {
            let number = super::machine::number_of(self.numbers, stage.as_str());
            if number.is_none() {
                let message = format!("transition `{id}` {verb} stage `{stage}`, which is not defined");
                let place = Place::Transition(id.clone());
                let stages = self.numbers.iter().map(|(id, _)| id.as_str());
                let hint = meant(stage.as_str(), stages, "define the stage, or remove its transitions with it");
                // Whoever took the stage away is to blame, not the transition that uses it: the layer that was laid last.
                let layer = self.recipe.scope();
                self.find(DiagnosticCode::UnknownStage, layer, place, message, hint);
            }
            number
        });
        let count = layered.guards.len();
        if count > MAX_GUARDS {
            let message = format!("transition `{id}` has {count} guards, more than {MAX_GUARDS}");
            let (layer, place) = (self.recipe.scope(), Place::Transition(id.clone()));
            self.find(DiagnosticCode::TooManyDefinitions, layer, place, message, "say it in fewer".to_owned());
            return None;
        }
        let guards: Vec<Option<Guarded>> =
            layered.guards.iter().map(|(binding, bound)| self.guard(id, binding, bound)).collect();
        // A transition that lacked one of its guards would be open.
        let guards: Option<Box<[Guarded]>> = guards.into_iter().collect();
        Some(TransitionRule {
            id: id.clone(),
            name: value.name.as_str().into(),
            name2: value.name2.as_str().into(),
            event: value.event.clone(),
            from: from?,
            to: to?,
            role: layered.role.as_ref().map(|role| BoundRole { role: role.value.clone(), layer: role.layer }),
            guards: guards?,
            layer: *layer,
            order: value.order,
        })
    }

    fn guard(
        &mut self,
        transition: &TransitionId,
        binding: &RecordId,
        bound: &Layered<Cow<'_, GuardBinding>>,
    ) -> Option<Guarded> {
        let place = || Place::Binding(transition.clone(), binding.clone());
        let named = bound.value.guard.as_ref().map_or(binding.as_str(), GuardKey::as_str);
        let templates = self.templates;
        let Some((guard, rule)) = templates.guards.get_key_value(named) else {
            if !templates.is_mistaken(named) {
                let guards = templates.guards.keys().map(GuardKey::as_str);
                let hint = meant(named, guards, "define it in `guards`, or name one that is defined");
                let message = format!("guard `{named}` is not defined");
                self.find(DiagnosticCode::UnknownGuard, bound.layer, place(), message, hint);
            }
            return None;
        };
        for (code, message, hint) in rule.flaws(guard, &bound.value.settings) {
            self.find(code, bound.layer, place(), message, hint);
        }
        let filled = if bound.value.settings.is_empty() {
            let recipe = self.recipe;
            let own = || recipe.own_settings(guard);
            match self.filled.get(guard) {
                Some(filled) => filled.clone(),
                None if own().next().is_none() => rule.unset.clone(),
                None => {
                    let filled = fill(&rule.checked, &rule.settings, own())?;
                    self.filled.insert(guard, filled.clone());
                    filled
                }
            }
        } else {
            let here = [(SettingSource::Binding, &bound.value.settings)];
            fill(&rule.checked, &rule.settings, self.recipe.own_settings(guard).chain(here))?
        };
        Some(Guarded { binding: binding.clone(), guard: guard.clone(), layer: bound.layer, filled })
    }
}

impl GuardRule {
    /// What is wrong with values for its settings.
    pub(super) fn flaws<'v>(
        &'v self,
        guard: &'v GuardKey,
        values: &'v SortedMap<VariableName, Value>,
    ) -> impl Iterator<Item = (DiagnosticCode, String, String)> + 'v {
        values.iter().filter_map(move |(name, value)| match self.settings.get(name) {
            Some(setting) if is_of(value, setting.value_type) => None,
            Some(setting) => Some((
                DiagnosticCode::InvalidValue,
                format!("{} is not a value of setting `{name}` of guard `{guard}`", model::json(value)),
                format!("write {}", described(setting.value_type)),
            )),
            None => {
                let settings = self.settings.keys().map(VariableName::as_str);
                let hint = meant(name.as_str(), settings, "declare it among the guard's settings, or leave it out");
                let message = format!("guard `{guard}` has no setting `{name}`");
                Some((DiagnosticCode::UnknownSetting, message, hint))
            }
        })
    }
}

/// A type, as hints name it.
pub(super) fn described(value_type: VariableType) -> &'static str {
    match value_type {
        VariableType::Bool => "true or false",
        VariableType::Integer => "an integer",
        VariableType::String => "a string",
        VariableType::Strings => "a list of strings",
    }
}

/// What an engine must be built with for all of these guards. Those that are mistaken need nothing.
pub(crate) fn needs(guards: &BTreeMap<GuardKey, model::Guard>) -> Vec<Capability> {
    let needs_rhai = guards.values().filter_map(|guard| guard.check().ok()).any(|checked| checked.needs_rhai());
    if needs_rhai { vec![Capability::Rhai] } else { Vec::new() }
}
