//! Enumerations that are written as one word in files and answers.

use super::DiagnosticCode;
use super::read::{Node, Read, Reader};
use serde::{Serialize, Serializer};
use std::fmt;

/// Enumerations by their words. `as` names a schema otherwise than its type, where a document has another of that name;
/// `or` is what stands where nothing is written.
macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident $(as $schema:literal)? $(or $default:ident)? {
        $($(#[$word_doc:meta])* $variant:ident = $word:literal),+ $(,)?
    })+) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$word_doc])* $variant),+ }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that stands for this value in files and answers.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value that a word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        $(impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        })?

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'a> Read<'a> for $name {
            fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
                let word = reader.string(node)?;
                let value = Self::from_word(&word);
                if value.is_none() {
                    reader.choice(DiagnosticCode::UnknownWord, &word, &[$($word),+]);
                }
                value
            }
            $(fn absent() -> Option<Self> {
                Some(Self::$default)
            })?
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                [stringify!($name) $(, $schema)?].last().copied().unwrap_or_default().into()
            }
            fn schema_id() -> std::borrow::Cow<'static, str> {
                concat!(module_path!(), "::", stringify!($name)).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let description = concat!($($doc),*).trim();
                schemars::json_schema!({ "enum": [$($word),+], "description": description })
            }
        }
    )+};
}

pub(crate) use words;

words! {
    /// How much a tenant may do, from least to most.
    Access {
        /// Nothing at all.
        None = "none",
        /// Only what settles the bill.
        BillingOnly = "billing_only",
        /// Look, but do not change.
        ReadOnly = "read_only",
        /// Everything that is granted.
        Full = "full",
    }

    /// What is done with a feature.
    Action {
        /// Use it: needs `min_access`.
        Use = "use",
        /// Read what it made: needs `min_read`.
        Read = "read",
    }

    /// What kind of condition a block is, in the order in which the displayed status picks them.
    BlockKind {
        /// No longer a customer: no access.
        Archived = "archived",
        /// Isolated for security or a restore: no access.
        Quarantined = "quarantined",
        /// Switched off, mostly for unpaid bills: billing only.
        Suspended = "suspended",
        /// Held still: read only.
        Frozen = "frozen",
        /// Narrowed, mostly by dunning: read only.
        Restricted = "restricted",
        /// Not yet approved: no access.
        Pending = "pending",
        /// A notice: full access.
        Warned = "warned",
    }

    /// What an answer about a feature looks like.
    Kind {
        /// On or off.
        Switch = "switch",
        /// A typed configuration value.
        Value = "value",
        /// A quantity with a unit and a window.
        Limit = "limit",
    }

    /// Who laid a block. Only they lift it.
    LaidBy {
        /// The tenant's life cycle.
        Lifecycle = "lifecycle",
        /// Dunning.
        Billing = "billing",
        /// Security.
        Security = "security",
        /// A member of HQ's staff.
        Staff = "staff",
    }

    /// What happens beyond a limit's amount.
    Mode or Hard {
        /// Deny.
        Hard = "hard",
        /// Allow with a warning.
        Soft = "soft",
        /// Allow, and count the overage.
        Billable = "billable",
    }

    /// When tenants who follow a plan move to a version of it. A phase that starts at or after the version's
    /// `effective_from` starts on it whatever this says.
    Moves {
        /// At `effective_from`.
        Now = "now",
        /// At the first start of a billing period at or after `effective_from`.
        Renewal = "renewal",
        /// Never: only phases that start at or after `effective_from`.
        Never = "never",
    }

    /// What a contribution does to a feature.
    Op {
        /// Replaces what lower layers say; `add`s stack on it.
        Set = "set",
        /// Replaces what lower layers say; nothing stacks on it. Limits and values; plans and tenants.
        Pin = "pin",
        /// Adds an amount to a limit. Add-ons and tenants.
        Add = "add",
        /// Takes the feature away, whatever grants it. Tenants.
        Revoke = "revoke",
        /// Replaces the mode of a limit. Tenants.
        Mode = "mode",
    }

    /// Whether a phase is paid.
    PhaseKind {
        /// A trial: it replaces the paid plan while it lasts.
        Trial = "trial",
        /// A paid term.
        Paid = "paid",
    }

    /// How often a price is paid.
    PricePeriod {
        /// Every calendar month.
        Month = "month",
        /// Every calendar year.
        Year = "year",
    }

    /// What happens to a feature after the snapshot's head has expired.
    Staleness or Serve {
        /// The last answer goes on.
        Serve = "serve",
        /// The feature is off.
        Off = "off",
    }

    /// Type of a value feature.
    ValueType {
        /// Text.
        String = "string",
        /// A whole number, −(2^53 − 1) to 2^53 − 1.
        Integer = "integer",
        /// Any JSON without floats.
        Json = "json",
    }

    /// How often the count of a limit starts again.
    Window or None {
        /// Never: a capacity, such as users.
        None = "none",
        /// Every day.
        Day = "day",
        /// Every calendar month.
        Month = "month",
        /// Every calendar year.
        Year = "year",
    }
}

impl BlockKind {
    /// The access that a block of this kind leaves where it does not say itself.
    #[must_use]
    pub const fn default_level(self) -> Access {
        match self {
            Self::Archived | Self::Quarantined | Self::Pending => Access::None,
            Self::Suspended => Access::BillingOnly,
            Self::Frozen | Self::Restricted => Access::ReadOnly,
            Self::Warned => Access::Full,
        }
    }
}
