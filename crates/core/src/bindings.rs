//! What the packages for other languages share (feature `bindings`): the JSON in which questions, errors and documents cross
//! to them. It is for those packages: a program in Rust has the types themselves, and nothing here is stable for it.

use crate::merge::{Conflict, Side, three_way};
use crate::model::{Diagnostics, Kind, Source, VariableType, built_in_guards, load};
use crate::wire::canonical::{self, NotCanonical};
use crate::wire::{
    Candidate, Capability, Certificate, Chunk, ChunkRef, Fault, FaultCode, Place, PublicKey, Stage, Trust,
};
use crate::workflow::{LoggedInput, LoggedMove, Machine, MachineStage, guard};
use crate::{
    CategoryKey, Change, Environment, Error, FeatureKey, Hash, Issuer, PlanChoice, Revision, Snapshot, TenantId,
    Timestamp, VariableName, WorkflowKey, build,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

/// Why a call has no answer, as the JSON `{"kind", "code", "message", …}` of which each language makes an error of its own.
/// `kind` is `argument`, `question`, `snapshot`, `definitions` or `internal`: who has to act.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    kind: &'static str,
    code: &'static str,
    message: String,
    #[serde(flatten)]
    rest: BTreeMap<&'static str, Value>,
}

/// An answer, or why there is none.
pub type Result<R> = std::result::Result<R, Failure>;

impl Failure {
    fn new(kind: &'static str, code: &'static str, message: impl Display) -> Self {
        Self { kind, code, message: message.to_string(), rest: BTreeMap::new() }
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
        json!(self).fmt(f)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut failure = Self::new("question", error.code(), &error);
        if let Error::GuardFailed { blockers, .. } = &error {
            failure.rest.insert("blockers", json!(blockers));
        }
        failure
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        let mut failure = Self::new("snapshot", fault.code(), &fault);
        failure.rest.insert("stage", json!(fault.stage()));
        failure.rest.insert("item", json!(fault.item()));
        if let Some(found) = fault.diagnostics() {
            failure.rest.insert("diagnostics", json!(found.as_slice()));
        }
        failure
    }
}

impl From<Diagnostics> for Failure {
    fn from(found: Diagnostics) -> Self {
        let mut failure = Self::new("definitions", "invalid_definitions", &found);
        failure.rest.insert("diagnostics", json!(found.as_slice()));
        failure
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

/// A content as it is kept: `encoding` is `raw` or `zstd`.
///
/// # Errors
/// `invalid_argument`.
pub fn chunk(encoding: &str, bytes: &[u8]) -> Result<Chunk> {
    match encoding {
        "raw" => Ok(Chunk::raw(bytes)),
        "zstd" => Ok(Chunk::zstd(bytes)),
        _ => Err(Failure::argument(format!("`encoding` is raw or zstd, not `{encoding}`"))),
    }
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
    pub features: BTreeMap<&'a FeatureKey, Kind>,
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

/// What a certificate says.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificateSays {
    /// Who may publish.
    pub issuer: Issuer,
    /// In which environment.
    pub environment: Environment,
    /// In which epoch.
    pub epoch: u64,
    /// The key that may sign.
    pub key_id: String,
    /// It signs nothing that was issued before this instant.
    pub valid_from: Timestamp,
    /// It signs nothing that was issued at or after this instant; nothing where that has no end.
    pub valid_until: Option<Timestamp>,
}

/// What a certificate says, verified by a root key.
///
/// # Errors
/// Whatever is wrong with it.
pub fn verify_certificate(document: &[u8], trust: &Trust) -> Result<CertificateSays> {
    let Certificate { issuer, environment, epoch, key, valid_from, valid_until } =
        Certificate::verify(document, &trust.roots)?;
    Ok(CertificateSays { issuer, environment, epoch, key_id: key.id().to_string(), valid_from, valid_until })
}

/// What a head says.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeadSays {
    /// The hash of the document.
    pub document: Hash,
    /// The key that signed it.
    pub signed_by: String,
    /// Its stream.
    pub stream: String,
    /// In which epoch it was signed.
    pub epoch: u64,
    /// The revision that it publishes.
    pub revision: Revision,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// When what it names stops being fresh.
    pub expires_at: Timestamp,
    /// Its manifest.
    pub manifest: ChunkRef,
    /// Definitions that a share of engines tries.
    pub candidate: Option<Candidate>,
    /// The keys that may sign slices.
    pub slice_keys: Vec<String>,
}

/// What a head says, verified; and admitted behind the highest that was seen, where that is given.
///
/// # Errors
/// Whatever is wrong with it.
pub fn verify_head(document: &[u8], trust: &Trust, seen: Option<&[u8]>) -> Result<HeadSays> {
    let signed = trust.head(document)?;
    if let Some(seen) = seen {
        trust.head(seen)?.mark().admit(&signed)?;
    }
    let head = signed.head();
    Ok(HeadSays {
        document: Hash::of(signed.bytes()),
        signed_by: signed.signed_by().to_string(),
        stream: head.stream.to_string(),
        epoch: head.epoch,
        revision: head.revision,
        issued_at: head.issued_at,
        expires_at: head.expires_at,
        manifest: head.manifest,
        candidate: head.candidate.clone(),
        slice_keys: head.slice_keys.iter().map(|key| key.key.id().to_string()).collect(),
    })
}

/// What a slice says.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SliceSays {
    /// The tenant that it is about.
    pub tenant: TenantId,
    /// The revision that it was cut from.
    pub revision: Revision,
    /// When it stops being fresh.
    pub expires_at: Timestamp,
    /// The hash of its definitions.
    pub definitions: Hash,
    /// Its content.
    pub content: ChunkRef,
    /// How many features it has; nothing for an envelope without its content.
    pub features: Option<usize>,
}

/// What the slice of a tenant says, verified.
///
/// # Errors
/// Whatever is wrong with it.
pub fn verify_slice(document: &[u8], tenant: &str, trust: &Trust) -> Result<SliceSays> {
    let slice = trust.slice(document, &id("tenant", tenant)?)?;
    let envelope = slice.envelope();
    Ok(SliceSays {
        tenant: envelope.tenant.clone(),
        revision: slice.head().head().revision,
        expires_at: envelope.expires_at,
        definitions: envelope.definitions,
        content: envelope.content,
        features: slice.definitions().map(|definitions| definitions.features.len()),
    })
}

/// Where a tenant lies in the tree of its stream.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlaceSays {
    /// The node above its shard.
    pub node: u8,
    /// Its shard.
    pub shard: u8,
}

/// Where a tenant lies in the tree of its stream.
#[must_use]
pub fn place_of(tenant: &str) -> PlaceSays {
    let Place { node, shard } = Place::of(tenant);
    PlaceSays { node, shard }
}

/// A three-way merge, and what it comes to where one side is taken for every conflict.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MergeSays {
    /// What both sides agree on; what the base has where they do not.
    pub result: Value,
    /// Where both changed the same, each otherwise.
    pub conflicts: Vec<Conflict>,
    /// The result with one side's word in every conflict.
    pub resolved: Resolved,
}

/// A merge with one side's word in every conflict.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resolved {
    /// Ours.
    pub ours: Value,
    /// Theirs.
    pub theirs: Value,
}

/// Merges two changed documents over the one that both began with.
#[must_use]
pub fn merge(base: &Value, ours: &Value, theirs: &Value) -> MergeSays {
    let merge = three_way(base, ours, theirs);
    let [ours, theirs] = [Side::Ours, Side::Theirs].map(|side| merge.resolve(|_| side));
    MergeSays { result: merge.result, conflicts: merge.conflicts, resolved: Resolved { ours, theirs } }
}

/// Fails where a document is not JSON in its canonical form.
///
/// # Errors
/// `invalid_utf8`, `not_canonical`, `duplicate_key`, `nesting_too_deep`.
pub fn check_canonical(document: &[u8]) -> Result<()> {
    canonical::check(document).map_err(|flaw| {
        let code = match flaw {
            NotCanonical::Utf8(_) => FaultCode::InvalidUtf8,
            NotCanonical::Spelling(_) => FaultCode::NotCanonical,
            NotCanonical::DuplicateKey(_) => FaultCode::DuplicateKey,
            NotCanonical::TooDeep(_) => FaultCode::NestingTooDeep,
        };
        Fault::new(Stage::Parse, code, "document", flaw.to_string()).into()
    })
}

/// JSON in its canonical form, of which hashes are taken.
///
/// # Errors
/// `invalid_argument`.
pub fn canonical_form(json: &str) -> Result<String> {
    let value: Value = argument("value", json)?;
    String::from_utf8(canonical::to_vec(&value).map_err(Failure::argument)?).map_err(Failure::internal)
}

/// The id of a public key, which is 64 hexadecimal digits.
///
/// # Errors
/// Whatever is wrong with the key.
pub fn key_id(key: &str) -> Result<String> {
    Ok(key.parse::<PublicKey>()?.id().to_string())
}

/// The hash of definitions, which are one document.
///
/// # Errors
/// `invalid_definitions`.
pub fn hash_of_definitions(document: &[u8]) -> Result<String> {
    let definitions = load(&[Source { name: "definitions.json".into(), bytes: document.to_vec() }])?;
    Ok(build::definitions_hash(&definitions).map_err(Failure::argument)?.to_string())
}

/// Whether an engine is in the share of a candidate: the hash of its definitions, and how many of a thousand try it.
///
/// # Errors
/// `invalid_argument`.
pub fn is_staged(engine: &str, candidate: &str, share_permille: u32) -> Result<bool> {
    let refused = || Failure::argument("`share_permille` is an integer from 0 to 1000");
    let definitions = ChunkRef { hash: id("candidate", candidate)?, length: 0 };
    let share_permille = u16::try_from(share_permille).ok().filter(|share| *share <= 1000).ok_or_else(refused)?;
    let candidate = Candidate { definitions, share_permille };
    Ok(candidate.includes(&id("engine", engine)?))
}

/// A content, verified to be the one that is named.
///
/// # Errors
/// Whatever is wrong with it.
pub fn open_chunk(hash: &str, length: u64, encoding: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let reference = ChunkRef { hash: id("hash", hash)?, length };
    Ok(chunk(encoding, bytes)?.open(reference)?)
}
