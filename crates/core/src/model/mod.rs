//! What people author: the definitions that are written, reviewed and published.
//!
//! A [`Definitions`] value is read from JSON with [`load`], which reports every mistake at once, and written back with
//! [`format()`](format::format). Field names here are the field names in the files; `docs/definitions.md` is the guide.

mod diagnostic;
pub mod format;
pub(crate) mod load;
pub(crate) mod read;
pub(crate) mod words;
pub(crate) mod workflow;

pub use diagnostic::{Diagnostic, DiagnosticCode, Diagnostics, Severity};
pub use load::{MAX_FILE_BYTES, Source, load, locate};
pub use words::{
    Access, Action, BlockKind, Kind, LaidBy, Mode, Moves, Op, PhaseKind, PricePeriod, Staleness, ValueType, Window,
};
pub use workflow::{
    CategoryOverride, Edit, FieldChange, Graph, Guard, GuardBinding, GuardBindingChange, GuardSetting, PatchOperation,
    Settings, Stage, StageChange, TenantCategory, TenantWorkflow, Transition, TransitionChange, VariableType, Workflow,
    WorkflowVersion, built_in_guards,
};

use crate::{
    AddOnKey, FeatureKey, GroupKey, GuardKey, PlanKey, RecordId, Region, SortedMap, TenantId, Timestamp, WorkflowKey,
    time::UtcOffset,
};
use read::{Node, Read, Reader, records};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Greatest integer that every language can hold exactly: 2^53 − 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// A value as JSON. Its `Display` writes the same, and brings along writers of its own, a plain one and a pretty one.
pub(crate) fn json(value: &Value) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A tenant's few records of one sort, by id.
pub type Records<T> = SortedMap<RecordId, T>;

/// Everything that HQ decides: features, plans, add-ons, kill switches, guards, workflows and tenants.
///
/// A file may hold any of the seven sections; all files below a directory together are one `Definitions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Definitions {
    /// The JSON Schema that editors check this file with; the engine does not read it.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What tenants may have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub features: BTreeMap<FeatureKey, Feature>,
    /// What is sold as a whole.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub plans: BTreeMap<PlanKey, Plan>,
    /// What is licensed beside a plan.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub add_ons: BTreeMap<AddOnKey, AddOn>,
    /// Kill switches: features that are off for everybody.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub kills: BTreeMap<RecordId, Kill>,
    /// Conditions on transitions, beside those that are [built in](built_in_guards).
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub guards: BTreeMap<GuardKey, Guard>,
    /// How items move from stage to stage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub workflows: BTreeMap<WorkflowKey, Workflow>,
    /// Who it is decided for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub tenants: BTreeMap<TenantId, Tenant>,
}

/// Something that a tenant may have.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Feature {
    /// What an answer looks like, and the global default.
    #[serde(flatten)]
    pub kind: FeatureKind,
    /// Label in English.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// `module`, `add_on` or a group of your own.
    pub group: GroupKey,
    /// Switches that must be on for this feature to be on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub requires: Vec<FeatureKey>,
    /// Least access level at which the feature may be used.
    #[serde(skip_serializing_if = "is_full", default = "full")]
    pub min_access: Access,
    /// Least access level at which what the feature made may be read.
    #[serde(skip_serializing_if = "is_read_only", default = "read_only")]
    pub min_read: Access,
    /// What happens after the snapshot's head has expired.
    #[serde(skip_serializing_if = "is_serve", default)]
    pub staleness: Staleness,
}

#[cfg(feature = "schema")]
fn full() -> Access {
    Access::Full
}
#[cfg(feature = "schema")]
fn read_only() -> Access {
    Access::ReadOnly
}
fn is_full(access: &Access) -> bool {
    *access == Access::Full
}
fn is_read_only(access: &Access) -> bool {
    *access == Access::ReadOnly
}
fn is_serve(staleness: &Staleness) -> bool {
    *staleness == Staleness::Serve
}
fn is_false(value: &bool) -> bool {
    !*value
}
fn is_hard(mode: &Mode) -> bool {
    *mode == Mode::Hard
}
fn is_no_window(window: &Window) -> bool {
    *window == Window::None
}
fn is_utc(offset: &UtcOffset) -> bool {
    offset.minutes() == 0
}

/// The three kinds of feature, each with its global default.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeatureKind {
    /// On or off.
    Switch {
        /// Whether it is on where nothing else says so.
        #[serde(skip_serializing_if = "is_false", default)]
        default: bool,
    },
    /// A typed configuration value.
    Value {
        /// Type of every value of this feature.
        #[serde(rename = "type")]
        value_type: ValueType,
        /// The value where nothing else sets one.
        default: Value,
    },
    /// A quantity with a unit and a window.
    Limit {
        /// What is counted, in the singular: `user`, `order`.
        unit: String,
        /// How often the count starts again; `none` for a capacity.
        #[serde(skip_serializing_if = "is_no_window", default)]
        window: Window,
        /// The grant where nothing else sets one.
        #[serde(skip_serializing_if = "Grant::is_nothing", default)]
        default: Grant,
    },
}

/// How much of a limit is granted, and what happens beyond it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Grant {
    /// The amount, 0 to 2^53 − 1, or `"unlimited"`.
    pub amount: Amount,
    /// What happens beyond the amount.
    #[serde(skip_serializing_if = "is_hard", default)]
    pub mode: Mode,
    /// Percentages of the amount, 1 to 1000, whose crossing is reported.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 1, max = 1000))))]
    pub thresholds: Vec<u16>,
}

impl Grant {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// An amount of a limit: 0 to 2^53 − 1, or unlimited, which is the largest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(u64);

impl Amount {
    /// No bound at all.
    pub const UNLIMITED: Self = Self(u64::MAX);

    /// A finite amount, or nothing above 2^53 − 1.
    #[must_use]
    pub const fn new(amount: u64) -> Option<Self> {
        if amount <= MAX_INTEGER { Some(Self(amount)) } else { None }
    }

    /// The amount, or nothing where it is unlimited.
    #[must_use]
    pub const fn finite(self) -> Option<u64> {
        if self.0 == u64::MAX { None } else { Some(self.0) }
    }
}

/// As people write it: an integer or `"unlimited"`.
impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.finite() {
            Some(amount) => serializer.serialize_u64(amount),
            None => serializer.serialize_str("unlimited"),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "oneOf": [{ "type": "integer", "minimum": 0, "maximum": MAX_INTEGER }, { "const": "unlimited" }]
        })
    }
}

/// What is sold as a whole: a key, a rank, a price and versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Plan {
    /// Label in English.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// Position among the plans: a higher rank is a bigger plan.
    pub rank: u32,
    /// What it costs.
    pub price: Price,
    /// Versions by number. A version never changes once it is published.
    pub versions: SortedMap<u32, PlanVersion>,
}

/// A price per billing period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Price {
    /// Decimal number as text, such as `"19.500"`: there are no floats.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-9]{1,15}(\.[0-9]{1,6})?$")))]
    pub amount: String,
    /// ISO 4217 code, such as `OMR`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[A-Z]{3}$")))]
    pub currency: String,
    /// How often it is paid; billing periods count from the tenant's anchor.
    pub period: PricePeriod,
}

/// One immutable version of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct PlanVersion {
    /// When the version becomes available.
    pub effective_from: Timestamp,
    /// When tenants who follow the plan move to it.
    pub moves: Moves,
    /// What the version grants. Their order has no meaning.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contributions: Vec<Contribution>,
}

/// What a plan version or an add-on does to one feature.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Contribution {
    /// Distinguishes contributions to one feature; `OP:FEATURE`, or `OP:FEATURE:FROM` with a start, where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<RecordId>,
    /// The feature that it changes.
    pub feature: FeatureKey,
    /// How it changes the feature.
    pub op: Op,
    /// What it changes the feature to; its form follows from `op` and the feature's kind.
    pub value: Value,
    /// First instant at which it counts; without it, from always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// First instant at which it no longer counts; without it, for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who decided it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// A separately licensed set of contributions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct AddOn {
    /// Label in English.
    pub name: String,
    /// Label in Arabic.
    pub name2: String,
    /// Plans beside which it may be licensed; with any other it is inert.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub compatible_with: Vec<PlanKey>,
    /// Plans that already include it, once, for every tenant on them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub included_in: Vec<PlanKey>,
    /// What one unit of it grants. Their order has no meaning.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub contributions: Vec<Contribution>,
}

/// Turns a feature off for everybody, above all else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Kill {
    /// The feature that is off.
    pub feature: FeatureKey,
    /// First instant at which it is off.
    pub since: Timestamp,
    /// First instant at which it is no longer off; without it, until the kill is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Who decided it.
    pub actor: String,
}

/// A customer: what it pays for, what it was given or denied, and its condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Tenant {
    /// Name in English.
    pub name: String,
    /// Name in Arabic.
    pub name2: String,
    /// Where its data lives.
    pub region: Region,
    /// Start of its first window and billing period; the n-th starts at anchor + n × period.
    pub anchor: Timestamp,
    /// The tenant's clock, in minutes east of UTC: its days and months start by it.
    #[serde(skip_serializing_if = "is_utc", default)]
    pub utc_offset_minutes: UtcOffset,
    /// Trials and paid terms.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub phases: Records<Phase>,
    /// Licences of add-ons.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub licences: Records<Licence>,
    /// Contributions on this tenant alone.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub overrides: Records<Override>,
    /// Facts that lower its access level.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub blocks: Records<Block>,
    /// What the tenant switched off for itself.
    #[serde(skip_serializing_if = "Preferences::is_empty", default)]
    pub preferences: Preferences,
    /// Versions, patches and settings of workflows.
    #[serde(skip_serializing_if = "SortedMap::is_empty", default)]
    pub workflows: SortedMap<WorkflowKey, TenantWorkflow>,
}

/// A stretch of time on a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Phase {
    /// A valid trial replaces the paid plan; it never stacks on it.
    pub kind: PhaseKind,
    /// The plan.
    pub plan: PlanKey,
    /// The pinned version; without it the tenant follows the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// First instant of the phase.
    pub from: Timestamp,
    /// First instant after the phase; without it, it is open-ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Until when an ended paid phase still applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<Timestamp>,
}

/// A paid add-on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Licence {
    /// The add-on.
    pub add_on: AddOnKey,
    /// How many units, at least 1. Every `add` of the add-on counts so many times.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_INTEGER)))]
    pub quantity: u64,
    /// First instant of the licence.
    pub from: Timestamp,
    /// First instant after the licence; without it, it is open-ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A contribution on one tenant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Override {
    /// The feature that it changes.
    pub feature: FeatureKey,
    /// How it changes the feature.
    pub op: Op,
    /// What it changes the feature to; absent for `revoke`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Narrows a `revoke` to the time in which this plan applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanKey>,
    /// First instant at which it counts; without it, from always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// First instant at which it no longer counts; without it, for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Who decided it.
    pub actor: String,
}

/// A fact that lowers a tenant's access level. Several may hold at once; the strictest decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Block {
    /// What kind of condition it is.
    pub kind: BlockKind,
    /// Who laid it; only they lift it.
    pub laid_by: LaidBy,
    /// The access that it leaves; each kind has a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Access>,
    /// First instant of the block.
    pub since: Timestamp,
    /// First instant after the block; without it, until it is lifted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// What a tenant chose for itself. It can switch off, never on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Preferences {
    /// Switches that the tenant does not want.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub off: Vec<FeatureKey>,
}

impl Preferences {
    fn is_empty(&self) -> bool {
        self.off.is_empty()
    }
}

/// The JSON Schema of a definitions file, for editors to complete and check with.
#[cfg(feature = "schema")]
#[must_use]
pub fn json_schema() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let settings = settings.with_transform(schemars::transform::RecursiveTransform(without_null));
    let mut schema = settings.into_generator().into_root_schema_for::<Definitions>();
    schema.insert("title".to_owned(), "Leasehold definitions".into());
    schema.to_value()
}

/// Takes null out of a schema of definitions: what may be absent may not be null, which it is to schemars, as the last of
/// two forms, or of the types of one. A form of our own that has null says so first.
#[cfg(feature = "schema")]
pub fn without_null(schema: &mut schemars::Schema) {
    let null = serde_json::json!({ "type": "null" });
    if let Some(Value::Array(forms)) = schema.get("anyOf")
        && let [form, last] = forms.as_slice()
        && *last == null
        && let Value::Object(form) = form.clone()
    {
        schema.remove("anyOf");
        for (key, value) in form {
            // What is said of the member stands before what is said of its form.
            if schema.get(&key).is_none() {
                schema.insert(key, value);
            }
        }
    }
    if let Some(Value::Array(types)) = schema.get("type")
        && let [one, last] = types.as_slice()
        && last == "null"
    {
        let one = one.clone();
        schema.insert("type".to_owned(), one);
    }
}

records! {
    Grant => { amount, mode, thresholds }
    Plan => { name, name2, rank, price, versions }
    Price => { amount, currency, period }
    PlanVersion => { effective_from, moves, contributions }
    Contribution => { id, feature, op, value, from, until, author }
    AddOn => { name, name2, compatible_with, included_in, contributions }
    Kill => { feature, since, until, reason, actor }
    Tenant => {
        name, name2, region, anchor, utc_offset_minutes, phases or Records::new(), licences or Records::new(),
        overrides or Records::new(), blocks or Records::new(), preferences, workflows or SortedMap::new()
    }
    Phase => { kind, plan, version, from, until, grace_until }
    Licence => { add_on, quantity, from, until }
    Override => { feature, op, value, plan, from, until, reason, actor }
    Block => { kind, laid_by, level, since, until, reason }
    Preferences or Preferences::default() => { off }
}

/// A feature's keys depend on its kind, so that each kind refuses the keys of the others.
impl<'a> Read<'a> for Feature {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        const COMMON: [&str; 9] =
            ["kind", "name", "name2", "group", "requires", "min_access", "min_read", "staleness", "default"];
        const SWITCH: &[&str] = &COMMON;
        const VALUE: &[&str] =
            &["kind", "name", "name2", "group", "requires", "min_access", "min_read", "staleness", "default", "type"];
        const LIMIT: &[&str] = &[
            "kind",
            "name",
            "name2",
            "group",
            "requires",
            "min_access",
            "min_read",
            "staleness",
            "default",
            "unit",
            "window",
        ];
        let kind = match &node {
            Node::Object(entries) => entries.iter().find(|(key, _)| key == "kind").map(|(_, kind)| kind),
            _ => None,
        };
        let known = match kind {
            Some(Node::String(kind)) if kind == "value" => VALUE,
            Some(Node::String(kind)) if kind == "limit" => LIMIT,
            _ => SWITCH,
        };
        let mut fields = reader.object(node, known)?;
        let kind = fields.take(reader, "kind");
        let name = fields.take(reader, "name");
        let name2 = fields.take(reader, "name2");
        let group = fields.take(reader, "group");
        let requires = fields.take(reader, "requires");
        let min_access: Option<Option<Access>> = fields.take(reader, "min_access");
        let min_read: Option<Option<Access>> = fields.take(reader, "min_read");
        let staleness = fields.take(reader, "staleness");
        let kind = kind.and_then(|kind| match kind {
            Kind::Switch => {
                let default: Option<Option<bool>> = fields.take(reader, "default");
                Some(FeatureKind::Switch { default: default?.unwrap_or(false) })
            }
            Kind::Value => {
                let value_type = fields.take(reader, "type");
                let default = fields.take(reader, "default");
                Some(FeatureKind::Value { value_type: value_type?, default: default? })
            }
            Kind::Limit => {
                let unit = fields.take(reader, "unit");
                let window = fields.take(reader, "window");
                let default: Option<Option<Grant>> = fields.take(reader, "default");
                Some(FeatureKind::Limit { unit: unit?, window: window?, default: default?.unwrap_or_default() })
            }
        });
        Some(Self {
            kind: kind?,
            name: name?,
            name2: name2?,
            group: group?,
            requires: requires?,
            min_access: min_access?.unwrap_or(Access::Full),
            min_read: min_read?.unwrap_or(Access::ReadOnly),
            staleness: staleness?,
        })
    }
}
