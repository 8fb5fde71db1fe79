//! What the packages for other languages share (feature `bindings`): the words and the JSON in which questions, errors,
//! documents and following cross to them. It is for those packages: a program in Rust has the types themselves, and nothing
//! here is stable for it.

mod documents;
mod following;
mod numbers;

pub use documents::{
    CertificateSays, HeadSays, MergeSays, PlaceSays, Resolved, SliceSays, canonical_form, check_canonical, chunk,
    hash_of_definitions, is_staged, key_id, merge, open_chunk, place_of, verify_certificate, verify_head, verify_slice,
};
pub use following::{Happened, Todo, follower};
pub use numbers::{Patience, amount, count, float, instant, stamp};

use crate::merge::Side;
use crate::model::{Diagnostic, Diagnostics, Kind, Source, VariableType, built_in_guards, locate};
use crate::wire::{Capability, Fault, Stage};
use crate::workflow::{Blocker, Context, JsonInputs, Language, LoggedInput, LoggedMove, Machine, MachineStage, guard};
use crate::{
    AnswerTable, CategoryKey, Change, Error, FeatureKey, Hash, PlanChoice, Revision, Snapshot, SortedMap, Stamp,
    Timestamp, VariableName, WorkflowKey,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

/// Why a call has no answer, as the JSON `{"kind", "code", "message", …}` of which each language makes an error of its own.
/// `kind` is `argument`, `question`, `snapshot`, `definitions` or `internal`: who has to act.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// Who has to act.
    pub kind: &'static str,
    /// Stable, the same in every language.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What blocks a move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blockers: Option<Box<[Blocker]>>,
    /// The step at which a snapshot is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What of a snapshot is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<Box<str>>,
    /// All mistakes in definitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Box<[Diagnostic]>>,
}

/// An answer, or why there is none.
pub type Result<R> = std::result::Result<R, Failure>;

impl Failure {
    fn new(kind: &'static str, code: &'static str, message: impl Display) -> Self {
        let message = message.to_string();
        Self { kind, code, message, blockers: None, stage: None, item: None, diagnostics: None }
    }

    /// A mistake in how a function was called.
    pub fn argument(message: impl Display) -> Self {
        Self::new("argument", "invalid_argument", message)
    }

    /// A mistake of ours.
    pub fn internal(message: impl Display) -> Self {
        Self::new("internal", "internal", message)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Nothing in it lacks a form in JSON.
        f.write_str(&written(self).unwrap_or_default())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new("question", error.code(), &error);
        if let Error::GuardFailed { blockers, .. } = error {
            failure.blockers = Some(blockers);
        }
        failure
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self {
            stage: Some(fault.stage()),
            item: Some(fault.item().into()),
            diagnostics: fault.diagnostics().map(|found| found.as_slice().into()),
            ..Self::new("snapshot", fault.code(), &fault)
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(found: Diagnostics) -> Self {
        let failure = Self::new("definitions", "invalid_definitions", &found);
        Self { diagnostics: Some(found.into_vec().into()), ..failure }
    }
}

/// Asks; a panic, which would be our mistake, becomes a failure of this one call.
///
/// # Errors
/// What the question answers; `internal` after a panic.
pub fn caught<R, F: From<Failure>>(ask: impl FnOnce() -> std::result::Result<R, F>) -> std::result::Result<R, F> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message");
        Err(Failure::internal(format!("the engine panicked, which is a mistake in it: {text}")).into())
    })
}

/// Makes what all engines of a process share, where it is not made yet: so that no thread is in the middle of it when
/// another one forks.
pub fn prepare() {
    let _ = built_in_guards();
    guard::prepare();
}

/// A document as text.
///
/// # Errors
/// `internal`, where it has no form in JSON.
pub fn written(document: &(impl Serialize + ?Sized)) -> Result<String> {
    // Most answers find room in it.
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, document).map_err(Failure::internal)?;
    String::from_utf8(text).map_err(Failure::internal)
}

/// What an argument that crossed as JSON says.
///
/// # Errors
/// `invalid_argument`.
pub fn argument<T: DeserializeOwned>(name: &str, json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| Failure::argument(format!("`{name}` cannot be read: {error}")))
}

/// An identifier.
///
/// # Errors
/// `invalid_argument`.
pub fn id<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| Failure::argument(format!("`{name}`: {error}")))
}

/// An instant by its milliseconds since 1970.
///
/// # Errors
/// `invalid_time`, outside the years 0000 to 9999.
pub fn at(ms: i64) -> Result<Timestamp> {
    Timestamp::from_ms(ms).map_err(|error| Error::from(error).into())
}

/// Whose word counts in a merge.
///
/// # Errors
/// `invalid_argument`.
pub fn side(word: &str) -> Result<Side> {
    match word {
        "base" => Ok(Side::Base),
        "ours" => Ok(Side::Ours),
        "theirs" => Ok(Side::Theirs),
        _ => Err(Failure::argument(format!("`side` is base, ours or theirs, not `{word}`"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Supposed {
    plan: Option<String>,
    version: Option<u32>,
    #[serde(default)]
    add_ons: Vec<SupposedAddOn>,
    #[serde(default)]
    without: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SupposedAddOn {
    key: String,
    quantity: u64,
}

/// What to suppose: `{"plan", "version", "add_ons": [{"key", "quantity"}], "without"}`, of which all may be absent.
///
/// # Errors
/// `invalid_argument`.
pub fn change(json: &str) -> Result<Change> {
    let Supposed { plan, version, add_ons, without } = argument("change", json)?;
    if plan.is_none() && version.is_some() {
        return Err(Failure::argument("a `version` is one of a `plan`: name that too"));
    }
    let plan = plan.map(|plan| Ok::<_, Failure>(PlanChoice { plan: id("plan", &plan)?, version }));
    let add_ons = add_ons.iter().map(|one| Ok::<_, Failure>((id("add_ons", &one.key)?, one.quantity)));
    let without = without.iter().map(|one| id("without", one));
    Ok(Change {
        plan: plan.transpose()?,
        add_ons: add_ons.collect::<Result<_>>()?,
        without: without.collect::<Result<_>>()?,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Logged {
    tenant: String,
    category: Option<String>,
    from: String,
    to: String,
    #[serde(default)]
    inputs: BTreeMap<String, Value>,
    #[serde(default)]
    texts: BTreeMap<String, String>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Moves that were made: a list of `{"tenant", "category", "from", "to", "inputs", "texts", "roles"}`.
///
/// # Errors
/// `invalid_argument`.
pub fn log(json: &str) -> Result<Vec<LoggedMove>> {
    let logged: Vec<Logged> = argument("log", json)?;
    let moved = |logged: Logged| {
        let Logged { tenant, category, from, to, inputs, texts, roles } = logged;
        let json = inputs.into_iter().map(|(name, mut value)| {
            whole(&mut value);
            (name, LoggedInput::Json(value))
        });
        let texts = texts.into_iter().map(|(name, text)| (name, LoggedInput::Text(text)));
        LoggedMove { tenant, category, from, to, inputs: json.chain(texts).collect(), roles }
    };
    Ok(logged.into_iter().map(moved).collect())
}

/// Makes an integer of a number that was written as a float because it is great: it is out of a guard's range, not of
/// another type.
pub fn whole(value: &mut Value) {
    if value.is_f64()
        && let Some(float) = value.as_f64().filter(|float| float.fract() == 0.0)
    {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast of floats saturates, and the engine knows its bounds"
        )]
        let integer = float as i64;
        *value = integer.into();
    }
}

/// What an error of questions is to OpenFeature, by its code.
#[must_use]
pub fn open_feature_error(code: &str) -> &'static str {
    let error = match code {
        "unknown_tenant" => Error::UnknownTenant(Box::default()),
        "unknown_feature" => Error::UnknownFeature(Box::default()),
        "wrong_kind" => Error::WrongKind { feature: Box::default(), expected: Kind::Switch, actual: Kind::Value },
        _ => return "GENERAL",
    };
    error.open_feature().as_str()
}

/// What is known of an item that is to move.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Known {
    #[serde(default)]
    inputs: Map<String, Value>,
    #[serde(default)]
    roles: Vec<String>,
}

/// Asks in a context: `{"inputs", "roles"}`, of which both may be absent. Where nothing is said of one, nothing is known.
///
/// # Errors
/// `invalid_argument`, and what the question answers.
pub fn within<R>(context: Option<&str>, ask: impl FnOnce(&Context<'_>) -> Result<R>) -> Result<R> {
    let mut known: Known = context.map_or_else(|| Ok(Known::default()), |context| argument("context", context))?;
    known.inputs.values_mut().for_each(whole);
    let inputs = JsonInputs::new(&known.inputs);
    let roles: Vec<&str> = known.roles.iter().map(String::as_str).collect();
    ask(&Context { inputs: &inputs.inputs(), roles: &roles })
}

/// The snapshot of definitions as people write them, and what is most likely not meant in them.
///
/// # Errors
/// `invalid_definitions`, with all mistakes.
pub fn compile(sources: &[Source], stamp: Stamp) -> Result<(Snapshot, Vec<Diagnostic>)> {
    let snapshot = Snapshot::from_sources(sources, stamp)?;
    let mut warnings = snapshot.warnings();
    locate(&mut warnings, sources);
    Ok((snapshot, warnings))
}

/// What a snapshot is.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SnapshotAbout<'a> {
    /// Which revision it is.
    pub revision: Revision,
    /// When it was signed, or compiled.
    pub issued_at: Timestamp,
    /// When it stops being fresh; nothing where it never does.
    pub expires_at: Option<Timestamp>,
    /// The hash of its definitions, without their tenants.
    pub definitions: Hash,
    /// How many tenants it has.
    pub tenants: usize,
    /// What an engine must be built with to answer every question, such as `rhai`.
    pub needs: Vec<Capability>,
    /// All features by key.
    pub features: SortedMap<&'a FeatureKey, Kind>,
    /// The keys of all workflows.
    pub workflows: Vec<&'a WorkflowKey>,
}

impl<'a> From<&'a Snapshot> for SnapshotAbout<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        let stamp = snapshot.stamp();
        Self {
            revision: stamp.revision,
            issued_at: stamp.issued_at,
            expires_at: stamp.expires_at,
            definitions: snapshot.definitions(),
            tenants: snapshot.tenant_count(),
            needs: snapshot.needs(),
            features: snapshot.features().collect(),
            workflows: snapshot.workflows().collect(),
        }
    }
}

/// The answers to all switches.
#[derive(Debug, Serialize)]
pub struct TableSays {
    /// The revision that it is of.
    pub revision: Revision,
    /// The instant from which it holds, in milliseconds since 1970; nothing where it always did.
    pub from: Option<i64>,
    /// The instant from which it holds no more; nothing where it always will.
    pub until: Option<i64>,
    /// The answers, by feature.
    pub answers: SortedMap<FeatureKey, bool>,
}

impl From<AnswerTable> for TableSays {
    fn from(AnswerTable { revision, from, until, answers }: AnswerTable) -> Self {
        let [from, until] = [from, until].map(|instant| instant.map(Timestamp::as_ms));
        Self { revision, from, until, answers }
    }
}

/// What a machine is made of.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineAbout<'a> {
    /// Its workflow.
    pub workflow: &'a WorkflowKey,
    /// The version of it.
    pub version: u32,
    /// The service category; nothing where nothing differs for it.
    pub category: Option<&'a CategoryKey>,
    /// Its stages, in declared order.
    pub stages: Vec<MachineStage<'a>>,
    /// What its guards may ask for.
    pub inputs: Vec<MachineInput<'a>>,
    /// Whether a guard of it calculates, which takes Rhai.
    pub needs_rhai: bool,
}

/// Something that guards may ask for.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MachineInput<'a> {
    /// Its name.
    pub name: &'a VariableName,
    /// What it is.
    pub r#type: VariableType,
}

impl<'a> From<&'a Machine> for MachineAbout<'a> {
    fn from(machine: &'a Machine) -> Self {
        Self {
            workflow: machine.workflow(),
            version: machine.version(),
            category: machine.category(),
            stages: machine.stages().collect(),
            inputs: machine.inputs().into_iter().map(|(name, kind)| MachineInput { name, r#type: kind }).collect(),
            needs_rhai: machine.needs_rhai(),
        }
    }
}

/// A picture of a machine, or of what it changes over an older one. `form` is `mermaid`, `dot` or `svg`, `language` `en` or
/// `ar`; `current` is the stage of an item, which is marked.
///
/// # Errors
/// `invalid_argument`.
pub fn picture(
    machine: &Machine,
    older: Option<&Machine>,
    form: &str,
    language: &str,
    current: Option<String>,
) -> Result<String> {
    let unknown = || Failure::argument(format!("`language` is en or ar, not `{language}`"));
    let language = Language::from_word(language).ok_or_else(unknown)?;
    let mut diagram = match older {
        None => machine.diagram(language),
        Some(older) => machine.diagram_against(older, language),
    };
    diagram.current = current;
    match form {
        "mermaid" => Ok(diagram.mermaid()),
        "dot" => Ok(diagram.dot()),
        "svg" => Ok(diagram.svg()),
        _ => Err(Failure::argument(format!("`form` is mermaid, dot or svg, not `{form}`"))),
    }
}
