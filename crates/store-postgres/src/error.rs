//! What can go wrong, each with a stable code.

use leasehold::model::Diagnostics;
use leasehold::wire::Fault;
use leasehold::wire::canonical::NoCanonicalForm;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The database cannot be reached, or the connection to it was lost.
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    /// The database said something that is not expected here.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
    /// Others changed the same rows again and again.
    #[error("others changed the same rows at every one of {attempts} attempts; try again")]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
    /// A rule of the schema refuses it.
    #[error("{message}")]
    Constraint {
        /// Name of the constraint, where it has one.
        constraint: Option<String>,
        /// What the database says.
        message: String,
    },
    /// Something names what was to be removed.
    #[error("{key} is still named in `{table}`; change what names it first")]
    StillNamed {
        /// What was to be removed, as Postgres has it: `(feature_key)=(orders)`.
        key: String,
        /// The table of the first that names it.
        table: String,
    },
    /// Text holds a character that Postgres cannot keep.
    #[error("text holds the character U+0000, which Postgres cannot keep; leave it out")]
    NulCharacter,
    /// The server is too old for the schema.
    #[error("the server is Postgres {found}, and the schema needs {oldest} or newer; upgrade the server")]
    ServerTooOld {
        /// Its major version.
        found: u32,
        /// The oldest major version that the schema works on.
        oldest: u32,
    },
    /// The database lacks migrations that this build needs.
    #[error("the database lacks the migrations {}; run `leasehold db migrate`", missing.join(", "))]
    SchemaBehind {
        /// Migrations that are missing, as `0003_audit`.
        missing: Vec<String>,
    },
    /// The database has migrations that this build does not know.
    #[error("the database has the migrations {}, which this build does not know; use a newer build", unknown.join(", "))]
    SchemaAhead {
        /// Numbers of the migrations that are not known.
        unknown: Vec<String>,
    },
    /// A migration is not what was applied under its number.
    #[error("the migration {migration} was applied with another text; restore it, or restore the database")]
    SchemaAltered {
        /// The migration, as `0003_audit`.
        migration: String,
    },
    /// A migration could not be applied or undone.
    #[error("the migration failed: {0}")]
    Migration(#[source] Box<sqlx::migrate::MigrateError>),
    /// There is no such record.
    #[error("there is no {what} `{key}`")]
    NotFound {
        /// What was looked for, as `plan`.
        what: &'static str,
        /// Its key or id.
        key: String,
    },
    /// There is such a record already.
    #[error("there is a {what} `{key}` already")]
    Exists {
        /// What there is, as `plan`.
        what: &'static str,
        /// Its key or id.
        key: String,
    },
    /// Somebody else has changed the record since it was read.
    #[error("{what} `{key}` has version {actual} by now, and version {expected} was changed; read it again")]
    Conflict {
        /// What was changed, as `plan`.
        what: &'static str,
        /// Its key or id.
        key: String,
        /// The version that the writer saw.
        expected: i64,
        /// The version that the record has.
        actual: i64,
    },
    /// A proposal cannot be published, or decided.
    #[error("proposal {proposal} is not approved for this: {why}")]
    NotApproved {
        /// Its number.
        proposal: i64,
        /// Why.
        why: String,
    },
    /// Nothing is published before the first definitions are.
    #[error("no definitions are in force yet; propose what is authored, and publish it once it is approved")]
    NothingInForce,
    /// What is authored is what is in force.
    #[error("what is authored is what is in force; there is nothing to propose")]
    NothingToPropose,
    /// A tenant kept its last published form, because of what is wrong with it as it is authored.
    #[error("the change is not published: {found}")]
    KeptBack {
        /// What is wrong, as a list of diagnostics.
        found: serde_json::Value,
    },
    /// Something that was given cannot be taken.
    #[error("{message}")]
    InvalidArgument {
        /// What is wrong, and what to do.
        message: String,
    },
    /// An idempotency key is empty, or longer than 255 bytes.
    #[error("an idempotency key has {bytes} bytes; give it 1 to 255")]
    InvalidIdempotencyKey {
        /// How many it has.
        bytes: usize,
    },
    /// Something else was asked under the same idempotency key before.
    #[error("idempotency key `{key}` was used for another request; use a new key for a new request")]
    IdempotencyKeyReused {
        /// The key.
        key: String,
    },
    /// A reservation is no longer held.
    #[error("reservation `{key}` is {state}; reserve again")]
    ReservationEnded {
        /// Key that it was reserved under.
        key: String,
        /// How it ended: confirmed, released or expired.
        state: &'static str,
    },
    /// More was to be confirmed than is reserved, or more given back than is used.
    #[error("{asked} is more than the {held} there are; ask for at most that")]
    MoreThanHeld {
        /// How much was asked for.
        asked: u64,
        /// How much there is.
        held: u64,
    },
    /// The tenant has no such item.
    #[error("there is no item `{0}`; check the id, or create the item")]
    UnknownItem(String),
    /// Definitions are wrong.
    #[error("{0}")]
    Refused(#[from] Diagnostics),
    /// What was signed cannot be believed, or cannot be signed.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// A value has no canonical JSON.
    #[error("a value has no canonical form: {0}")]
    NoCanonicalForm(#[from] NoCanonicalForm),
    /// A file with exported audit chains cannot be read as one.
    #[error("line {line} is not what an export of audit chains has there: {message}")]
    ExportMalformed {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// A question to the engine failed.
    #[error("{0}")]
    Question(#[from] leasehold::Error),
}

impl Error {
    /// The stable code of this error, the same in every language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "database_unreachable",
            Self::Database(_) => "database_failed",
            Self::Contended { .. } => "contended",
            Self::Constraint { .. } | Self::StillNamed { .. } => "constraint_violated",
            Self::NulCharacter => "nul_character",
            Self::ServerTooOld { .. } => "server_too_old",
            Self::SchemaBehind { .. } => "schema_behind",
            Self::SchemaAhead { .. } => "schema_ahead",
            Self::SchemaAltered { .. } => "schema_altered",
            Self::Migration(_) => "migration_failed",
            Self::NotFound { .. } => "not_found",
            Self::Exists { .. } => "already_exists",
            Self::Conflict { .. } => "row_version_conflict",
            Self::NotApproved { .. } => "not_approved",
            Self::NothingInForce => "nothing_in_force",
            Self::NothingToPropose => "nothing_to_propose",
            Self::KeptBack { .. } => "kept_back",
            Self::InvalidArgument { .. } => "invalid_argument",
            Self::InvalidIdempotencyKey { .. } => "invalid_idempotency_key",
            Self::IdempotencyKeyReused { .. } => "idempotency_key_reused",
            Self::ReservationEnded { .. } => "reservation_ended",
            Self::MoreThanHeld { .. } => "more_than_held",
            Self::UnknownItem(_) => "unknown_item",
            Self::Refused(_) => "invalid_definitions",
            Self::Fault(fault) => fault.code(),
            Self::NoCanonicalForm(_) => "no_canonical_form",
            Self::ExportMalformed { .. } => "export_malformed",
            Self::Question(error) => error.code(),
        }
    }
}

/// What Postgres says by SQLSTATE, and the class of errors that it stands for.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as Sqlx;
        let Sqlx::Database(said) = &error else {
            return match error {
                Sqlx::Io(_) | Sqlx::Tls(_) | Sqlx::PoolTimedOut | Sqlx::PoolClosed | Sqlx::WorkerCrashed => {
                    Self::Unreachable(error)
                }
                error => Self::Database(error),
            };
        };
        match said.code().as_deref() {
            // Serialization failures and deadlocks: trying again helps.
            Some("40001" | "40P01") => Self::Contended { attempts: 1 },
            Some("22P05" | "22021") => Self::NulCharacter,
            // An instant may be in the year 0000, which Postgres does not have.
            Some("22007" | "22008") => Self::InvalidArgument {
                message: "an instant is none that Postgres can keep; give one of the years 1 to 9999".to_owned(),
            },
            // The server is going down, coming up, or has no room for another connection; it gave up waiting for this one,
            // or dropped its database; nobody knows whether a statement was completed.
            Some("57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "53300" | "25P03" | "25P04" | "40003") => {
                Self::Unreachable(error)
            }
            Some(code) if code.starts_with("08") => Self::Unreachable(error),
            Some(code) if code.starts_with("23") => still_named(&**said).unwrap_or_else(|| Self::Constraint {
                constraint: said.constraint().map(str::to_owned),
                message: said.message().to_owned(),
            }),
            _ => Self::Database(error),
        }
    }
}

/// What stands in the way of removing a row that others name.
fn still_named(said: &dyn sqlx::error::DatabaseError) -> Option<Error> {
    let said = said.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    let table = said.table().filter(|_| said.code() == "23503")?;
    let (key, _) = said.detail()?.strip_prefix("Key ")?.split_once(" is still referenced")?;
    Some(Error::StillNamed { key: key.to_owned(), table: table.to_owned() })
}

/// Counts how often something was tried that others may get in the way of; see `retried!`.
#[cfg(any(feature = "hq", feature = "ledger"))]
#[derive(Debug, Default)]
pub(crate) struct Attempts(u32);

#[cfg(any(feature = "hq", feature = "ledger"))]
impl Attempts {
    const MOST: u32 = 8;

    /// After an attempt that failed: pauses where others were in the way, longer each time.
    ///
    /// # Errors
    /// [`Error::Contended`] where they were every time; any other error at once.
    pub(crate) async fn after(&mut self, error: Error) -> Result<(), Error> {
        let Error::Contended { .. } = error else { return Err(error) };
        self.0 += 1;
        if self.0 == Self::MOST {
            return Err(Error::Contended { attempts: Self::MOST });
        }
        tokio::time::sleep(std::time::Duration::from_millis(1 << self.0)).await;
        Ok(())
    }
}

/// Does a piece of work again where others were in the way, up to a bound.
///
/// A loop around the piece of work, and not a function that is given it: what borrows across an await could not be sent
/// to other threads then.
#[cfg(any(feature = "hq", feature = "ledger"))]
macro_rules! retried {
    ($work:expr) => {{
        let mut attempts = crate::error::Attempts::default();
        loop {
            match $work.await {
                Err(error) => {
                    if let Err(last) = attempts.after(error).await {
                        break Err(last);
                    }
                }
                done => break done,
            }
        }
    }};
}
#[cfg(any(feature = "hq", feature = "ledger"))]
pub(crate) use retried;
