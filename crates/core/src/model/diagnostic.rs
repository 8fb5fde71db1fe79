//! Mistakes in definitions: always a full list, each with its place, a stable code and a hint.

use serde::{Serialize, Serializer};
use std::{cmp::Ordering, fmt, sync::Arc};

/// Whether a diagnostic stops a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is produced.
    Error,
    /// Listed; the build goes on.
    Warning,
}

macro_rules! diagnostic_codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $severity:ident;)+) => {
        /// What is wrong with a definition. The codes are stable: scripts and bindings may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum DiagnosticCode { $($(#[$doc])* $variant),+ }

        impl DiagnosticCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// Whether it stops a build.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }
        }
    };
}

diagnostic_codes! {
    /// The file cannot be read.
    Unreadable = "unreadable", Error;
    /// The file is not JSON.
    InvalidJson = "invalid_json", Error;
    /// The file is not UTF-8.
    InvalidUtf8 = "invalid_utf8", Error;
    /// The file is larger than [`MAX_FILE_BYTES`](super::MAX_FILE_BYTES).
    FileTooLarge = "file_too_large", Error;
    /// Objects and lists are nested more than 127 deep.
    NestingTooDeep = "nesting_too_deep", Error;
    /// A key stands twice in one object, or is defined in two files.
    DuplicateKey = "duplicate_key", Error;
    /// A key that this object does not have.
    UnknownKey = "unknown_key", Error;
    /// A required key is absent.
    MissingKey = "missing_key", Error;
    /// A value of another JSON type is expected.
    WrongType = "wrong_type", Error;
    /// A number with a fraction or exponent.
    Float = "float", Error;
    /// An integer beyond ±(2^53 − 1), or beyond what this field allows.
    IntegerOutOfRange = "integer_out_of_range", Error;
    /// A word that is not one of the choices.
    UnknownWord = "unknown_word", Error;
    /// A key or id outside its alphabet.
    InvalidKey = "invalid_key", Error;
    /// A feature key that the entitlement object uses itself.
    ReservedKey = "reserved_key", Error;
    /// Not an RFC 3339 time.
    InvalidTime = "invalid_time", Error;
    /// A time finer than a millisecond.
    TimePrecision = "time_precision", Error;
    /// A time outside the years 0000 to 9999.
    TimeOutOfRange = "time_out_of_range", Error;
    /// A label, unit, reason or actor without text.
    EmptyText = "empty_text", Error;
    /// A price or currency of another form.
    InvalidPrice = "invalid_price", Error;
    /// A feature that is not defined.
    UnknownFeature = "unknown_feature", Error;
    /// A plan that is not defined.
    UnknownPlan = "unknown_plan", Error;
    /// A version that the plan does not have.
    UnknownPlanVersion = "unknown_plan_version", Error;
    /// An add-on that is not defined.
    UnknownAddOn = "unknown_add_on", Error;
    /// A feature of another kind is expected.
    WrongKind = "wrong_kind", Error;
    /// Features that require each other in a circle.
    CyclicPrerequisites = "cyclic_prerequisites", Error;
    /// More than 64 switches required, directly or through others.
    TooManyPrerequisites = "too_many_prerequisites", Error;
    /// More features, plans or add-ons than a snapshot can number (65,535 each); more than 1,000 stages, 5,000 transitions
    /// or 256 service categories of a version, 64 guards of a transition, or 1,000 operations of a patch.
    TooManyDefinitions = "too_many_definitions", Error;
    /// An operator that this carrier or this kind of feature does not have.
    OpNotAllowed = "op_not_allowed", Error;
    /// A value of another form than the operator and feature need.
    InvalidValue = "invalid_value", Error;
    /// An amount below 0 or above 2^53 − 1.
    AmountOutOfRange = "amount_out_of_range", Error;
    /// A base with its `add`s can exceed 2^53 − 1 at some instant.
    AmountOverflow = "amount_overflow", Error;
    /// An add-on sets a limit below its global default: buying it would lower the limit.
    AddOnBelowDefault = "addon_below_default", Error;
    /// A threshold outside 1 to 1000 percent.
    ThresholdOutOfRange = "threshold_out_of_range", Error;
    /// An interval that ends before or when it starts.
    EmptyInterval = "empty_interval", Error;
    /// Two `set`s or `pin`s of one feature overlap in one plan version or add-on.
    OverlappingContributions = "overlapping_contributions", Error;
    /// Two contributions of one carrier have the same id.
    DuplicateId = "duplicate_id", Error;
    /// Two versions of one plan take effect at the same instant.
    DuplicateEffectiveFrom = "duplicate_effective_from", Error;
    /// A guard that is not defined.
    UnknownGuard = "unknown_guard", Error;
    /// A setting that the guard does not have.
    UnknownSetting = "unknown_setting", Error;
    /// A name in a guard's expression that is neither an input nor a setting of it.
    UnknownInput = "unknown_input", Error;
    /// A function that guards do not have.
    UnknownFunction = "unknown_function", Error;
    /// A guard's expression that is not an expression.
    GuardSyntax = "guard_syntax", Error;
    /// Something that Rhai has and guards may not use: statements, closures, maps, floats and the like.
    GuardNotAllowed = "guard_not_allowed", Error;
    /// An operator or function in a guard that does not take what it is given.
    GuardTypeMismatch = "guard_type_mismatch", Error;
    /// A guard's expression of more than 4,096 bytes.
    GuardTooLong = "guard_too_long", Error;
    /// A guard's expression that is nested more than 32 deep.
    GuardTooDeep = "guard_too_deep", Error;
    /// A guard that takes more than 256 operations, or more than 32 inputs.
    GuardOverBudget = "guard_over_budget", Error;
    /// A workflow template that is not defined.
    UnknownWorkflow = "unknown_workflow", Error;
    /// A version that the workflow template does not have.
    UnknownWorkflowVersion = "unknown_workflow_version", Error;
    /// A transition that leaves or enters a stage that is not defined.
    UnknownStage = "unknown_stage", Error;
    /// A machine in which no stage is initial.
    NoInitialStage = "no_initial_stage", Error;
    /// A machine in which several stages are initial.
    SeveralInitialStages = "several_initial_stages", Error;
    /// A stage that items can get to, that is not final, and that nothing leaves.
    DeadEnd = "dead_end", Error;
    /// A machine without a final stage.
    NoFinalStage = "no_final_stage", Error;
    /// Stages that items can get to, and from which they can get to no final stage.
    NoPathToFinal = "no_path_to_final", Error;
    /// A patch that changes or removes something that is not there.
    PatchTargetGone = "patch_target_gone", Error;
    /// A patch that adds something that is there already.
    PatchTargetExists = "patch_target_exists", Error;
    /// A patch of a tenant that pins no version.
    PatchWithoutVersion = "patch_without_version", Error;
    /// A published version that is not what it was.
    PublishedVersionChanged = "published_version_changed", Error;
    /// A stage that items cannot get to.
    UnreachableStage = "unreachable_stage", Warning;
    /// A final stage that something leaves.
    ExitFromFinal = "exit_from_final", Warning;
    /// A transition that is never taken, since an earlier one between the same stages requires nothing.
    ShadowedTransition = "shadowed_transition", Warning;
    /// Two transitions that leave one stage by the same event for different stages.
    AmbiguousTransition = "ambiguous_transition", Warning;
    /// A guard that holds always, or never, whatever its inputs are.
    GuardConstant = "guard_constant", Warning;
    /// A licence of an add-on beside a plan that it is not compatible with: it is inert.
    AddOnIncompatible = "addon_incompatible", Warning;
    /// A trial that lacks what the paid plan below it grants.
    TrialTakesAway = "trial_takes_away", Warning;
    /// An override that gives less than the plan and add-ons would.
    OverrideBelowPlan = "override_below_plan", Warning;
    /// A feature that may be used at an access level at which it may not be read.
    ReadStricterThanUse = "read_stricter_than_use", Warning;
}

impl fmt::Display for DiagnosticCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for DiagnosticCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for DiagnosticCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DiagnosticCode".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        schemars::json_schema!({ "enum": codes, "description": "What is wrong with a definition. The codes are stable." })
    }
}

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diagnostic {
    /// Whether it stops a build.
    pub severity: Severity,
    /// What is wrong, stable.
    pub code: DiagnosticCode,
    /// The file, as the reader named it; empty where the definitions did not come from files.
    pub file: Arc<str>,
    /// Where in the file: a JSON Pointer (RFC 6901), empty for the whole file.
    pub path: String,
    /// What is wrong, in words.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Diagnostic {
    pub(crate) fn new(
        code: DiagnosticCode,
        path: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            severity: code.severity(),
            code,
            file: Arc::default(),
            path: path.into(),
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl Diagnostic {
    /// The order of a list: by file, by path with positions in lists as numbers, by code.
    pub(crate) fn in_order(&self, other: &Self) -> Ordering {
        fn steps(path: &str) -> impl Iterator<Item = Result<u64, &str>> {
            path.split('/').map(|step| step.parse().map_err(|_| step))
        }
        let files = self.file.cmp(&other.file);
        files.then_with(|| steps(&self.path).cmp(steps(&other.path))).then(self.code.cmp(&other.code))
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = if self.file.is_empty() || self.path.is_empty() { "" } else { "#" };
        write!(f, "{}{hash}{}: {} [{}]", self.file, self.path, self.message, self.code)
    }
}

/// Why definitions were refused: every mistake at once, in the order of files and paths. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// The list as an error, where it holds at least one error; warnings alone refuse nothing.
    ///
    /// # Errors
    /// The errors of the list, in the order of files and paths.
    pub fn refuse_if_any(mut found: Vec<Diagnostic>) -> Result<(), Self> {
        found.retain(|diagnostic| diagnostic.severity == Severity::Error);
        found.sort_by(Diagnostic::in_order);
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// The mistakes.
    #[must_use]
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.0
    }

    /// The mistakes, each by itself.
    #[must_use]
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// The mistakes, to be [located](super::locate).
    pub fn as_mut_slice(&mut self) -> &mut [Diagnostic] {
        &mut self.0
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "definitions refused, {} found:", plural(self.0.len(), "error"))?;
        self.0.iter().try_for_each(|diagnostic| write!(f, "\n  {diagnostic}"))
    }
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
