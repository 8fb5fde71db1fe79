//! What answers are made of.

use crate::model::read::{Node, Read, Reader};
use crate::model::words::words;
use crate::model::{Access, BlockKind, DiagnosticCode, Kind, Mode};
use crate::{AddOnKey, FeatureKey, Hash, PlanKey, Revision, SortedMap, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::{fmt, sync::Arc};

words! {
    /// Why an answer is what it is.
    Reason {
        /// On: the source layer says so.
        Granted = "granted",
        /// Off: the snapshot's head has expired, and the feature is not served stale.
        Stale = "stale",
        /// Off: a kill switch is on.
        Killed = "killed",
        /// Off: the tenant's access level is below what the action needs.
        Blocked = "blocked",
        /// Off: revoked on the tenant.
        Revoked = "revoked",
        /// Off: nothing turns it on.
        NotGranted = "not_granted",
        /// Off: set to false on the tenant.
        SwitchedOff = "switched_off",
        /// Off: a switch that it requires is off.
        Prerequisite = "prerequisite",
        /// Off: the tenant switched it off for itself.
        Preference = "preference",
        /// On, but there is no room for the request.
        LimitReached = "limit_reached",
    }

    /// Where a base came from, from lowest to highest.
    Layer {
        /// The feature's global default.
        Default = "default",
        /// The applying plan version.
        Plan = "plan",
        /// An add-on, licensed or included.
        AddOn = "add_on",
        /// An override on the tenant.
        Tenant = "tenant",
    }

    /// What to do with a request.
    Outcome as "LimitOutcome" {
        /// Go ahead.
        Allow = "allow",
        /// Go ahead, and warn: a soft limit is exceeded.
        Warn = "warn",
        /// Go ahead, and count: a billable limit is exceeded.
        Overage = "overage",
        /// Do not.
        Deny = "deny",
    }

    /// How sure it is that the snapshot that answered is the newest.
    Freshness {
        /// The source stands by it.
        Fresh = "fresh",
        /// Its head has expired: nothing was heard from the source for too long.
        Stale = "stale",
        /// It was restored from a copy, and no source has confirmed it since.
        Fallback = "fallback",
    }

    /// The condition of a tenant, for people to read. Decisions rest on the access level, not on this.
    Status {
        /// A block of this kind holds.
        Archived = "archived",
        /// A block of this kind holds.
        Quarantined = "quarantined",
        /// A block of this kind holds.
        Suspended = "suspended",
        /// A block of this kind holds.
        Frozen = "frozen",
        /// A block of this kind holds.
        Restricted = "restricted",
        /// A block of this kind holds.
        Pending = "pending",
        /// The paid phase has ended and its grace has not.
        Grace = "grace",
        /// A block of this kind holds.
        Warned = "warned",
        /// The applying phase is a trial.
        Trial = "trial",
        /// A plan applies.
        Active = "active",
        /// No plan applies.
        None = "none",
    }

    /// Why an answer is what it is, in OpenFeature's words. `SPLIT`, `CACHED` and `UNKNOWN` are none of them.
    OpenFeatureReason {
        /// It is the feature's global default, and no plan or add-on says anything about the feature, or about one that
        /// it requires: whoever has nothing of its own gets the same.
        Static = "STATIC",
        /// The tenant's plan, add-on, override or preference says so.
        TargetingMatch = "TARGETING_MATCH",
        /// It is the feature's global default, and some plan or add-on says something about the feature: not one of this
        /// tenant's now.
        Default = "DEFAULT",
        /// It is closed: by a kill switch, a block, a revoke, or a switch that it requires.
        Disabled = "DISABLED",
        /// The snapshot's head has expired, and the feature is not served stale.
        Stale = "STALE",
    }

    /// Why there is no answer, in OpenFeature's words.
    OpenFeatureError {
        /// There is no such feature.
        FlagNotFound = "FLAG_NOT_FOUND",
        /// No tenant is named.
        TargetingKeyMissing = "TARGETING_KEY_MISSING",
        /// The context is not one that can be answered about, as when there is no such tenant.
        InvalidContext = "INVALID_CONTEXT",
        /// The question cannot be read.
        ParseError = "PARSE_ERROR",
        /// The feature's answer has another type.
        TypeMismatch = "TYPE_MISMATCH",
        /// Anything else.
        General = "GENERAL",
    }

    /// Which of a feature's answers it is.
    Variant {
        /// The feature is on. A limit of 0 is on too: exhausted, but not off.
        On = "on",
        /// The feature is off.
        Off = "off",
        /// The feature is a limit without an end.
        Unlimited = "unlimited",
    }
}

impl Reason {
    /// The reason in OpenFeature's words; `source` is the layer that turned it on, and `is_static` says that no plan and
    /// no add-on has a say in it.
    #[must_use]
    pub const fn open_feature(self, source: Option<Layer>, is_static: bool) -> OpenFeatureReason {
        match (self, source) {
            (Self::Granted | Self::LimitReached, Some(Layer::Default)) | (Self::NotGranted, _) => {
                if is_static {
                    OpenFeatureReason::Static
                } else {
                    OpenFeatureReason::Default
                }
            }
            (Self::Granted | Self::LimitReached | Self::SwitchedOff | Self::Preference, _) => {
                OpenFeatureReason::TargetingMatch
            }
            (Self::Killed | Self::Blocked | Self::Revoked | Self::Prerequisite, _) => OpenFeatureReason::Disabled,
            (Self::Stale, _) => OpenFeatureReason::Stale,
        }
    }
}

/// A yes or a no, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decision {
    /// Whether the feature is on for this tenant and action.
    pub enabled: bool,
    /// Why.
    pub reason: Reason,
    /// The layer that turned it on; nothing when it is off.
    pub source: Option<Layer>,
    /// The kind of the block that closes it, when the reason is `blocked`.
    pub block: Option<BlockKind>,
    /// The revision of the snapshot that answered.
    pub revision: Revision,
    /// How sure it is that this snapshot is the newest.
    pub freshness: Freshness,
    /// The definitions that answered, by their hash.
    pub definitions: Hash,
}

/// What decisions say of the snapshot that answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provenance {
    pub(crate) revision: Revision,
    pub(crate) freshness: Freshness,
    pub(crate) definitions: Hash,
}

impl Decision {
    pub(crate) fn provenance(&self) -> Provenance {
        let Self { revision, freshness, definitions, .. } = *self;
        Provenance { revision, freshness, definitions }
    }
}

/// What a limit says to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitAnswer {
    /// What to do.
    pub outcome: Outcome,
    /// The amount granted; nothing when unlimited, 0 when off.
    pub limit: Option<u64>,
    /// What is left before the request; nothing when unlimited.
    pub remaining: Option<u64>,
    /// What happens beyond the amount; `hard` when off.
    pub mode: Mode,
    /// How much of this request lies beyond the limit: `max(0, used + requested − max(limit, used))`. To be billed only
    /// when the outcome is `overage`.
    pub overage_units: u64,
    /// How much of all use, this request included, lies beyond the limit: `max(0, used + requested − limit)`.
    pub overage_total: u64,
    /// Percentages of the limit that this request crosses: `100·used < percent·limit ≤ 100·(used + requested)`.
    pub thresholds_crossed: Vec<u16>,
    /// When the count starts again; nothing for a capacity.
    pub resets_at: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
    /// The layer that the amount came from; nothing when it is off.
    pub source: Option<Layer>,
    /// The kind of the block that closes it, when the reason is `blocked`.
    pub block: Option<BlockKind>,
    /// The revision of the snapshot that answered.
    pub revision: Revision,
    /// How sure it is that this snapshot is the newest.
    pub freshness: Freshness,
    /// The definitions that answered, by their hash.
    pub definitions: Hash,
}

/// Everything that a tenant may have at one instant, for action `use`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entitlements {
    /// The applying plan.
    pub plan: Option<PlanKey>,
    /// Switches of group `module` that are on.
    pub modules: Vec<FeatureKey>,
    /// Switches of group `add_on` that are on, whatever granted them.
    pub add_ons: Vec<FeatureKey>,
    /// Every limit under its own key: nothing means unlimited, 0 off.
    #[serde(flatten)]
    // A pattern of keys would hold for the members beside them too.
    #[cfg_attr(feature = "schema", schemars(with = "SortedMap<String, Option<u64>>"))]
    pub limits: SortedMap<FeatureKey, Option<u64>>,
    /// All switches that are on.
    pub features: Vec<FeatureKey>,
    /// Every value feature: nothing when it is off.
    pub values: SortedMap<FeatureKey, Option<Arc<Value>>>,
    /// Add-ons in effect, licensed or included.
    pub licences: Vec<LicenceInEffect>,
    /// How much the tenant may do.
    pub access: Access,
    /// The displayed condition.
    pub status: Status,
    /// The revision of the snapshot that answered.
    pub revision: Revision,
}

/// An add-on in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LicenceInEffect {
    /// The add-on.
    pub key: AddOnKey,
    /// Units of all licences together; 1 for an add-on that the plan includes.
    pub quantity: u64,
}

/// A feature as a flag of OpenFeature's: a value of the feature's type, whether it is on or off.
///
/// | feature | on | off |
/// |---|---|---|
/// | switch | `true` | `false` |
/// | value | its value | what is empty of the default's JSON type: `""`, `0`, `{}`, `[]`, `false`, `null` |
/// | limit | its amount; [`MAX_INTEGER`](crate::model::MAX_INTEGER) where it is unlimited | `0` |
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(description = "A feature as a flag: a value of the feature's type, whether it is on or off.")
)]
pub struct Evaluation {
    /// The feature.
    pub key: FeatureKey,
    /// The answer.
    pub value: Value,
    /// Which of the feature's answers it is.
    pub variant: Variant,
    /// Why.
    pub reason: OpenFeatureReason,
    /// More about the answer, flat and scalar.
    pub metadata: FlagMetadata,
}

/// What an evaluation says beside its value. What it does not say is left out, since metadata knows no null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FlagMetadata {
    /// What kind of feature it is.
    pub kind: Kind,
    /// Why, in Leasehold's own words.
    pub reason: Reason,
    /// The layer that turned it on; nothing when it is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Layer>,
    /// The kind of the block that closes it, when the reason is `blocked`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<BlockKind>,
    /// The revision of the snapshot that answered.
    pub revision: Revision,
    /// How sure it is that this snapshot is the newest.
    pub freshness: Freshness,
    /// The definitions that answered, by their hash.
    pub definitions: Hash,
}

/// All features of a tenant as flags of OpenFeature's. They hold from `from` until just before `until`, at this revision;
/// what they say of freshness holds now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Evaluations {
    /// The revision of the snapshot that answered.
    pub revision: Revision,
    /// How sure it is that this snapshot is the newest.
    pub freshness: Freshness,
    /// The definitions that answered, by their hash.
    pub definitions: Hash,
    /// First instant at which the answers hold; nothing when they always did.
    pub from: Option<Timestamp>,
    /// First instant at which they may no longer hold; nothing when they hold until the next revision.
    pub until: Option<Timestamp>,
    /// Every switch, value and limit, in the order of keys.
    pub flags: Vec<Evaluation>,
}

/// The answers to all switches, for a host that answers by itself while they hold.
///
/// They hold from `from` until just before `until`, at this revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnswerTable {
    /// The revision of the snapshot that answered.
    pub revision: Revision,
    /// First instant at which the answers hold; nothing when they always did.
    pub from: Option<Timestamp>,
    /// First instant at which they may no longer hold; nothing when they hold until the next revision.
    pub until: Option<Timestamp>,
    /// The answer to each switch.
    pub answers: SortedMap<FeatureKey, bool>,
}
