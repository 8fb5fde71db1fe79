//! Workflows as people author them: guards, templates in immutable versions, and what a tenant lays over them.

use super::load::read_sections;
use super::read::{Node, Read, Reader, records};
use super::words::words;
use super::{Definitions, DiagnosticCode, is_false};
use crate::{CategoryKey, EventKey, GuardKey, RecordId, Role, SortedMap, StageId, TransitionId, VariableName};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

words! {
    /// Type of a guard's input or setting.
    VariableType {
        /// True or false.
        Bool = "bool",
        /// A whole number, −(2^53 − 1) to 2^53 − 1.
        Integer = "integer",
        /// Text.
        String = "string",
        /// A list of texts.
        Strings = "strings",
    }
}

/// A condition that bindings put on transitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Guard {
    /// Label in English.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// What the caller must say, by name.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub inputs: SortedMap<VariableName, VariableType>,
    /// What templates and tenants may fill in, by name.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub settings: SortedMap<VariableName, GuardSetting>,
    /// When the guard holds: an expression in Rhai's syntax over inputs and settings.
    pub expression: String,
}

/// A setting of a guard.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct GuardSetting {
    /// Type of every value of this setting.
    #[serde(rename = "type")]
    pub value_type: VariableType,
    /// The value where nobody fills it in.
    pub default: Value,
}

/// The guards that every engine brings along. Bindings name them like any others, and no definitions may define them
/// again.
#[must_use]
pub fn built_in_guards() -> &'static BTreeMap<GuardKey, Guard> {
    static GUARDS: LazyLock<BTreeMap<GuardKey, Guard>> = LazyLock::new(|| {
        let mut definitions = Definitions::default();
        // A test reads them: what ships is right.
        if let Ok(node) = serde_json::from_str(include_str!("built_in_guards.json")) {
            read_sections(node, &mut Reader::default(), &mut definitions);
        }
        definitions.guards
    });
    &GUARDS
}

/// Values of settings, by guard and by setting.
pub type Settings = SortedMap<GuardKey, SortedMap<VariableName, Value>>;

/// A workflow template: versions of stages and transitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Workflow {
    /// Label in English.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// Whether anybody may use it.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub active: bool,
    /// The version of tenants that pin none; without it, the one with the greatest number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<u32>,
    /// Versions by number. A version never changes once it is published.
    pub versions: SortedMap<u32, WorkflowVersion>,
}

impl Workflow {
    /// The number of the version that tenants have which pin none.
    #[must_use]
    pub fn current(&self) -> Option<u32> {
        self.current.or_else(|| self.versions.keys().next_back().copied())
    }
}

/// One immutable version of a workflow template.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct WorkflowVersion {
    /// Where an item can be.
    #[serde(flatten)]
    pub graph: Graph,
    /// What differs for a service category.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub categories: SortedMap<CategoryKey, CategoryOverride>,
}

impl WorkflowVersion {
    /// What differs for a service category; nothing where the version says nothing of it.
    #[must_use]
    pub fn patch(&self, category: &CategoryKey) -> &[PatchOperation] {
        self.categories.get(category).map_or(&[], |category| &category.patch)
    }
}

/// Stages, and the transitions between them.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Graph {
    /// Where an item can be.
    pub stages: SortedMap<StageId, Stage>,
    /// How it gets from one stage to another.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub transitions: SortedMap<TransitionId, Transition>,
}

/// Where an item can be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Stage {
    /// Label in English.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// Whether items begin here. One stage of a machine is initial.
    #[serde(skip_serializing_if = "is_false", default)]
    pub initial: bool,
    /// Whether items may end here.
    #[serde(skip_serializing_if = "is_false", default)]
    pub r#final: bool,
    /// Its place among the stages, lowest first; those with the same are in the order of ids.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub order: u32,
}

/// How an item gets from one stage to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Transition {
    /// Label in English, as on a button.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// The stage that it leaves.
    pub from: StageId,
    /// What happens.
    pub event: EventKey,
    /// The stage that it enters.
    pub to: StageId,
    /// What must hold, by binding. All of them must.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub guards: SortedMap<RecordId, GuardBinding>,
    /// The role that somebody must have for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Its place in the declared order, lowest first; those with the same are in the order of ids.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub order: u32,
}

/// A guard on a transition.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct GuardBinding {
    /// The guard; without it, the one whose key the binding has for an id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardKey>,
    /// Settings that are fixed here, whatever the tenant's are.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub settings: SortedMap<VariableName, Value>,
}

/// What differs from a version for one service category.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct CategoryOverride {
    /// Operations on the version, in the order in which they are done.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub patch: Vec<PatchOperation>,
}

/// What a tenant lays over a workflow template.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct TenantWorkflow {
    /// The pinned version; without it the tenant has the template's current one. A patch is written against a version,
    /// so that it needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Whether the tenant may use it.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub active: bool,
    /// Operations on the version, in the order in which they are done.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub patch: Vec<PatchOperation>,
    /// Settings of guards.
    #[serde(skip_serializing_if = "Settings::is_empty", default)]
    pub settings: Settings,
    /// What differs further for a service category.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub categories: SortedMap<CategoryKey, TenantCategory>,
}

impl Default for TenantWorkflow {
    fn default() -> Self {
        let (patch, settings, categories) = (Vec::new(), Settings::new(), SortedMap::new());
        Self { version: None, active: true, patch, settings, categories }
    }
}

/// What a tenant lays over a workflow template for one service category.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct TenantCategory {
    /// Operations on what the template has for the category and the tenant's patch made of it, in the order in which they
    /// are done.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub patch: Vec<PatchOperation>,
    /// Settings of guards, before the tenant's others.
    #[serde(skip_serializing_if = "Settings::is_empty", default)]
    pub settings: Settings,
}

/// One operation of a patch, on something that has an id. Positions in lists are never meant.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchOperation {
    /// On a stage.
    Stage {
        /// Which one.
        stage: StageId,
        /// What is done.
        edit: Edit<Stage, StageChange>,
    },
    /// On a transition.
    Transition {
        /// Which one.
        transition: TransitionId,
        /// What is done.
        edit: Edit<Transition, TransitionChange>,
    },
    /// On the binding of a guard to a transition.
    Guard {
        /// Which transition.
        transition: TransitionId,
        /// Which of its bindings.
        guard: RecordId,
        /// What is done.
        edit: Edit<GuardBinding, GuardBindingChange>,
    },
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit<T, C> {
    /// Puts in what was not there.
    Add(T),
    /// Changes some of what is there.
    Change(C),
    /// Takes out what is there.
    Remove,
}

/// What a change does to a field that need not be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldChange<T> {
    /// The field is absent from the change, and stays as it is.
    #[default]
    Keep,
    /// The field is null in the change, and is taken out.
    Clear,
    /// The field has another value.
    Set(T),
}

impl<T> FieldChange<T> {
    pub(crate) fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// The fields of a stage that an operation changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct StageChange {
    /// Label in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Label in Arabic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name2: Option<String>,
    /// Whether items begin here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<bool>,
    /// Whether items may end here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#final: Option<bool>,
    /// Its place among the stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
}

/// The fields of a transition that an operation changes. Its guards have operations of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct TransitionChange {
    /// Label in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Label in Arabic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name2: Option<String>,
    /// The stage that it leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<StageId>,
    /// What happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventKey>,
    /// The stage that it enters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<StageId>,
    /// The role that somebody must have for it; null for none.
    #[serde(skip_serializing_if = "FieldChange::is_keep", default)]
    pub role: FieldChange<Role>,
    /// Its place in the declared order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
}

/// The fields of a binding that an operation changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct GuardBindingChange {
    /// The guard; null for the one whose key the binding has for an id.
    #[serde(skip_serializing_if = "FieldChange::is_keep", default)]
    pub guard: FieldChange<GuardKey>,
    /// Settings that are fixed here; null where one no longer is.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub settings: SortedMap<VariableName, FieldChange<Value>>,
}

fn is_true(value: &bool) -> bool {
    *value
}
#[cfg(feature = "schema")]
fn yes() -> bool {
    true
}
fn is_zero(order: &u32) -> bool {
    *order == 0
}

impl<T: Serialize> Serialize for FieldChange<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Set(value) => value.serialize(serializer),
            Self::Keep | Self::Clear => serializer.serialize_unit(),
        }
    }
}

impl<'a, T: Read<'a>> Read<'a> for FieldChange<T> {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        match node {
            Node::Null => Some(Self::Clear),
            node => T::read(node, reader).map(Self::Set),
        }
    }
    fn absent() -> Option<Self> {
        Some(Self::Keep)
    }
}

impl Serialize for PatchOperation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        fn finish<M: SerializeMap, T: Serialize, C: Serialize>(
            mut map: M,
            edit: &Edit<T, C>,
        ) -> Result<M::Ok, M::Error> {
            match edit {
                Edit::Add(value) => map.serialize_entry("value", value)?,
                Edit::Change(value) => map.serialize_entry("value", value)?,
                Edit::Remove => {}
            }
            map.end()
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("op", self.word())?;
        match self {
            Self::Stage { stage, edit } => {
                map.serialize_entry("stage", stage)?;
                finish(map, edit)
            }
            Self::Transition { transition, edit } => {
                map.serialize_entry("transition", transition)?;
                finish(map, edit)
            }
            Self::Guard { transition, guard, edit } => {
                map.serialize_entry("transition", transition)?;
                map.serialize_entry("guard", guard)?;
                finish(map, edit)
            }
        }
    }
}

impl PatchOperation {
    /// The place among stages and transitions of what it is on, as a JSON Pointer.
    #[must_use]
    pub fn path(&self) -> String {
        // Ids hold nothing that a JSON Pointer escapes.
        match self {
            Self::Stage { stage, .. } => format!("/stages/{stage}"),
            Self::Transition { transition, .. } => format!("/transitions/{transition}"),
            Self::Guard { transition, guard, .. } => format!("/transitions/{transition}/guards/{guard}"),
        }
    }

    /// What it does, in one word: `add`, `change` or `remove`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        fn word<T, C>(edit: &Edit<T, C>) -> &'static str {
            match edit {
                Edit::Add(_) => "add",
                Edit::Change(_) => "change",
                Edit::Remove => "remove",
            }
        }
        match self {
            Self::Stage { edit, .. } => word(edit),
            Self::Transition { edit, .. } => word(edit),
            Self::Guard { edit, .. } => word(edit),
        }
    }
}

/// Which of the three an operation does. Its other keys depend on it.
#[derive(Clone, Copy)]
enum Word {
    Add,
    Change,
    Remove,
}

impl<'a> Read<'a> for Word {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let word = reader.string(node)?;
        match &*word {
            "add" => Some(Self::Add),
            "change" => Some(Self::Change),
            "remove" => Some(Self::Remove),
            other => {
                reader.choice(DiagnosticCode::UnknownWord, other, &["add", "change", "remove"]);
                None
            }
        }
    }
}

impl<'a> Read<'a> for PatchOperation {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let has = |name: &str| matches!(&node, Node::Object(entries) if entries.iter().any(|(key, _)| key == name));
        let (on_stage, on_guard) = (has("stage"), has("guard"));
        let removes = matches!(&node, Node::Object(entries)
            if entries.iter().any(|(key, op)| key == "op" && matches!(op, Node::String(word) if word == "remove")));
        let known: &'static [&'static str] = match (on_stage, on_guard, removes) {
            (true, _, false) => &["op", "stage", "value"],
            (true, _, true) => &["op", "stage"],
            (false, true, false) => &["op", "transition", "guard", "value"],
            (false, true, true) => &["op", "transition", "guard"],
            (false, false, false) => &["op", "transition", "value"],
            (false, false, true) => &["op", "transition"],
        };
        let mut fields = reader.object(node, known)?;
        let op = fields.take(reader, "op");
        if on_stage {
            let (stage, edit) = (fields.take(reader, "stage"), edit(fields, op, reader));
            return Some(Self::Stage { stage: stage?, edit: edit? });
        }
        let transition = fields.take(reader, "transition");
        if on_guard {
            let (guard, edit) = (fields.take(reader, "guard"), edit(fields, op, reader));
            return Some(Self::Guard { transition: transition?, guard: guard?, edit: edit? });
        }
        let edit = edit(fields, op, reader);
        Some(Self::Transition { transition: transition?, edit: edit? })
    }
}

fn edit<'a, T: Read<'a>, C: Read<'a>>(
    mut fields: super::read::Fields<'a>,
    op: Option<Word>,
    reader: &mut Reader<'a>,
) -> Option<Edit<T, C>> {
    match op? {
        Word::Add => fields.take(reader, "value").map(Edit::Add),
        Word::Change => fields.take(reader, "value").map(Edit::Change),
        Word::Remove => Some(Edit::Remove),
    }
}

records! {
    Guard => { name, name2, inputs or SortedMap::new(), settings or SortedMap::new(), expression }
    Workflow => { name, name2, active or true, current, versions }
    Graph => { stages, transitions or SortedMap::new() }
    Stage => { name, name2, initial or false, r#final or false, order or 0 }
    Transition => { name, name2, from, event, to, guards or SortedMap::new(), role, order or 0 }
    GuardBinding => { guard, settings or SortedMap::new() }
    CategoryOverride => { patch }
    TenantWorkflow => {
        version, active or true, patch, settings or Settings::new(), categories or SortedMap::new()
    }
    TenantCategory => { patch, settings or Settings::new() }
    StageChange => { name, name2, initial, r#final, order }
    TransitionChange => { name, name2, from, event, to, role, order }
    GuardBindingChange => { guard, settings or SortedMap::new() }
}

/// A setting's type and default. `type` is a word of the language.
impl<'a> Read<'a> for GuardSetting {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let mut fields = reader.object(node, &["type", "default"])?;
        let (value_type, default) = (fields.take(reader, "type"), fields.take(reader, "default"));
        Some(Self { value_type: value_type?, default: default? })
    }
}

/// The graph's keys are the version's own.
impl<'a> Read<'a> for WorkflowVersion {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let mut fields = reader.object(node, &["stages", "transitions", "categories"])?;
        let (stages, transitions) =
            (fields.take(reader, "stages"), fields.take_or(reader, "transitions", SortedMap::new()));
        let categories = fields.take_or(reader, "categories", SortedMap::new());
        let graph = Graph { stages: stages?, transitions: transitions? };
        Some(Self { graph, categories: categories? })
    }
}

#[cfg(feature = "schema")]
mod schema {
    use super::{
        FieldChange, GuardBinding, GuardBindingChange, PatchOperation, Stage, StageChange, Transition, TransitionChange,
    };
    use crate::{RecordId, StageId, TransitionId};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde_json::Value;
    use std::borrow::Cow;

    impl<T: JsonSchema> JsonSchema for FieldChange<T> {
        fn inline_schema() -> bool {
            true
        }
        fn schema_name() -> Cow<'static, str> {
            format!("FieldChange_of_{}", T::schema_name()).into()
        }
        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            json_schema!({ "anyOf": [{ "type": "null" }, generator.subschema_for::<T>()] })
        }
    }

    impl JsonSchema for PatchOperation {
        fn schema_name() -> Cow<'static, str> {
            "PatchOperation".into()
        }
        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let (stage, transition) = (generator.subschema_for::<StageId>(), generator.subschema_for::<TransitionId>());
            let guard = generator.subschema_for::<RecordId>();
            let stages = (generator.subschema_for::<Stage>(), generator.subschema_for::<StageChange>());
            let transitions = (generator.subschema_for::<Transition>(), generator.subschema_for::<TransitionChange>());
            let bindings = (generator.subschema_for::<GuardBinding>(), generator.subschema_for::<GuardBindingChange>());
            let mut forms = Vec::new();
            let targets = [
                (vec![("stage", stage)], stages),
                (vec![("transition", transition.clone())], transitions),
                (vec![("transition", transition), ("guard", guard)], bindings),
            ];
            for (target, (whole, change)) in targets {
                for (op, value) in [("add", Some(whole.clone())), ("change", Some(change)), ("remove", None)] {
                    let mut members = vec![("op", serde_json::json!({ "const": op }))];
                    members.extend(target.iter().map(|(name, id)| (*name, id.clone().to_value())));
                    members.extend(value.map(|value| ("value", value.to_value())));
                    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
                    let properties: serde_json::Map<String, Value> =
                        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
                    forms.push(serde_json::json!({
                        "type": "object", "properties": properties, "required": required, "additionalProperties": false
                    }));
                }
            }
            json_schema!({
                "oneOf": forms,
                "description": "One operation of a patch, on something that has an id. Positions in lists are never meant."
            })
        }
    }
}
