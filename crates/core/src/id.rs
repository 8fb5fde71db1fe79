//! Identifiers, parsed at the edge: a value of one of these types is always well-formed.

use serde::Serialize;
use std::{borrow::Borrow, fmt, str::FromStr};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: expected {expected}")]
pub struct InvalidId {
    text: String,
    what: &'static str,
    expected: &'static str,
}

impl InvalidId {
    /// The stable code of this error, the same in every language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "invalid_key"
    }

    /// The form that was expected, in words.
    #[must_use]
    pub fn expected(&self) -> &'static str {
        self.expected
    }
}

/// Longest key or id, in bytes, for each alphabet.
const KEY_LENGTH: usize = 64;
const ID_LENGTH: usize = 128;

fn is_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= KEY_LENGTH
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b))
}

fn is_variable(text: &str) -> bool {
    is_key(text) && !text.contains(['.', '-'])
}

fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= ID_LENGTH
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The pattern that every value matches, as a regular expression.
            pub const PATTERN: &'static str = $pattern;

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if $valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { text: text.to_owned(), what: $what, expected: $pattern })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

identifier!(
    /// Key of a feature, such as `orders` or `max_users`.
    FeatureKey, "a feature key", is_key, "^[a-z][a-z0-9_.-]{0,63}$"
);
identifier!(
    /// Key of a plan, such as `growth`.
    PlanKey, "a plan key", is_key, "^[a-z][a-z0-9_.-]{0,63}$"
);
identifier!(
    /// Key of an add-on, such as `extra_pos`.
    AddOnKey, "an add-on key", is_key, "^[a-z][a-z0-9_.-]{0,63}$"
);
identifier!(
    /// Group of a feature: `module` and `add_on` have a meaning in the entitlement object, others are free.
    GroupKey, "a group", is_key, "^[a-z][a-z0-9_.-]{0,63}$"
);
identifier!(
    /// Key of a workflow template, such as `order`.
    WorkflowKey, "a workflow key", is_key, "^[a-z][a-z0-9_.-]{0,63}$"
);
identifier!(
    /// Key of a guard, such as `requires_invoice`.
    GuardKey, "a guard key", is_key, "^[a-z][a-z0-9_.-]{0,63}$"
);
identifier!(
    /// Name of a guard's input or setting, such as `invoice_issued`.
    VariableName, "a name of an input or setting", is_variable, "^[a-z][a-z0-9_]{0,63}$"
);
identifier!(
    /// Id of a stage of a workflow, such as `intake`.
    StageId, "a stage id", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Id of a transition of a workflow, unique in its version.
    TransitionId, "a transition id", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// What happens when an item moves, such as `start`.
    EventKey, "an event", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Role that somebody must have for a transition, such as `cashier`.
    Role, "a role", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Service category, such as `DRY_CLEAN`.
    CategoryKey, "a service category", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Id of a tenant, compared by bytes everywhere.
    TenantId, "a tenant id", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Id of one record of a carrier: a phase, licence, override, block, kill or contribution.
    RecordId, "a record id", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Region that a tenant's data lives in, such as `GCC-OM`.
    Region, "a region", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Who publishes snapshots, such as `hq.example`.
    Issuer, "an issuer", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Which of an issuer's worlds a snapshot is of, such as `production`.
    Environment, "an environment", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);
identifier!(
    /// Name of one engine, unique among those that follow one stream: it decides which share of a staging it falls in.
    EngineId, "an engine id", is_id, "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
);

impl FeatureKey {
    /// Names that the entitlement object uses itself; no feature may have one.
    pub const RESERVED: [&'static str; 9] =
        ["access", "add_ons", "features", "licences", "modules", "plan", "revision", "status", "values"];

    /// Whether this key is reserved for the entitlement object.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        Self::RESERVED.contains(&self.as_str())
    }
}

/// Number of a snapshot in the one count of its issuer and environment: it only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Revision(u64);

impl Revision {
    /// A revision, or nothing above 2^53 − 1.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number <= crate::model::MAX_INTEGER { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Revision {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Revision".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": crate::model::MAX_INTEGER })
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alphabets() {
        for good in ["a", "max_users", "a.b-c_9", &"a".repeat(64)] {
            assert!(good.parse::<FeatureKey>().is_ok(), "{good}");
        }
        for bad in ["", "A", "9a", "_a", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(bad.parse::<FeatureKey>().is_err(), "{bad}");
        }
        for good in ["T", "9", "Tn:om-1.a_b", &"x".repeat(128)] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        for bad in ["", ":a", "-a", "a b", "é", "a/b", "a\0", &"x".repeat(129)] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }
}
