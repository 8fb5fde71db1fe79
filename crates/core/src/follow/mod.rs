//! Following a source, decided once for every language: a state machine without I/O, clock or randomness.
//!
//! A host carries bytes and keeps time. It tells the [`Follower`] what happened ([`Event`]) and does what it is told
//! ([`Action`]): fetch this, wait so long, swap, persist, report. What to fetch, what to believe, when to try again and
//! what to answer from meanwhile is decided here.
//!
//! ```
//! use leasehold::follow::{Action, Event, Follower};
//! # use leasehold::{Timestamp, wire::{SecretKey, Trust}};
//! # let root = SecretKey::from_seed(&[7; 32]).public();
//! # let trust = format!(r#"{{"issuer":"hq.example","environment":"production","stream":"GCC-OM","roots":["{root}"]}}"#);
//! # let now: Timestamp = "2026-03-01T08:00:00Z".parse()?;
//! let mut follower = Follower::of_stream(Trust::from_json(trust.as_bytes())?);
//! let actions = follower.handle(Event::Started, now, 0);
//! assert!(matches!(actions[0], Action::FetchHead { etag: None }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod follower;
mod gathering;
mod loaded;
mod restore;
mod slice;

pub use follower::Follower;
pub(crate) use gathering::missing;
pub(crate) use loaded::Loaded;
#[cfg(feature = "runtime")]
pub(crate) use loaded::walk;
pub use loaded::{read_definitions, read_index, read_tenant};
pub use restore::Kept;

use crate::decide::Freshness;
use crate::wire::{Chunk, ChunkRef, Fault, FaultCode, Pack, Stage, Trust};
use crate::{Hash, Revision, Snapshot, Timestamp};
use serde::{Serialize, Serializer};
use std::sync::Arc;

impl Snapshot {
    /// The snapshot of a pack: verified, and compiled as a whole. Nothing confirms that it is the newest, so that its
    /// decisions say `fallback`.
    ///
    /// # Errors
    /// Whatever is wrong with the pack: it is signed by nobody who is trusted, incomplete, altered, or does not compile.
    pub fn from_pack(pack: Pack, trust: &Trust) -> Result<Arc<Self>, Fault> {
        let mut follower = Follower::of_stream(trust.clone());
        // The instant matters to nothing but health, which nobody will ask for.
        follower.open(pack, Timestamp::MIN)?;
        let missing = || Fault::new(Stage::Download, FaultCode::MissingChunk, "pack", "it holds nothing");
        follower.snapshot().cloned().ok_or_else(missing)
    }
}

/// What happened to the host.
#[derive(Debug, Clone)]
pub enum Event {
    /// The host is ready to carry.
    Started,
    /// A wait is over. One that was replaced meanwhile does no harm.
    Timer(u64),
    /// The source says that something is new.
    Notified,
    /// The source can no longer be heard; what was asked for will not come.
    ConnectionLost,
    /// The current head, or slice, as a document: asked for or pushed.
    Head(Vec<u8>),
    /// The source has nothing newer than the `etag` that was sent. For slices, with the fresh envelope.
    NotModified {
        /// The head and envelope of a slice, without its content.
        envelope: Option<Vec<u8>>,
    },
    /// The source could not give its head.
    HeadFailed(String),
    /// A content that was asked for.
    Chunk(Hash, Chunk),
    /// The source does not have a content.
    ChunkMissing(Hash),
    /// The source could not be asked for a content: why.
    ChunkFailed(Hash, String),
    /// What was to be persisted is on disk.
    Persisted(u64),
    /// There is nowhere to persist anything: after a restart, everything is fetched again.
    NotKept(u64),
    /// What was to be persisted is not on disk: why.
    NotPersisted(u64, String),
    /// The highest head that was seen is not on disk: why.
    SeenNotPersisted(String),
}

/// What the host is to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Ask the source for its head, or slice; where it is the one with this ETag, for no more than to say so.
    FetchHead {
        /// For streams the hash of the head's document, for slices that of the content.
        etag: Option<Hash>,
    },
    /// Ask the source for a content: at most so many bytes, whatever it sends.
    FetchChunk(ChunkRef),
    /// Send [`Event::Timer`] after so long. Replaces the wait before it.
    Wait {
        /// How long, in milliseconds.
        ms: u64,
        /// To be given back when it is over.
        timer: u64,
    },
    /// Answer from this snapshot from now on.
    Swap(Arc<Snapshot>),
    /// Keep this for the next start, then say [`Event::Persisted`], [`Event::NotPersisted`] or [`Event::NotKept`].
    Persist(Persist),
    /// Remember this head as the highest that was seen, as [`Persist`] does with the one that is answered from. Where that
    /// fails, say [`Event::SeenNotPersisted`].
    PersistSeen(Arc<[u8]>),
    /// Tell the publisher, where there is a way to.
    Report(Report),
}

/// What is to be kept for the next start.
#[derive(Debug, Clone)]
pub struct Persist {
    /// To be given back when it is done.
    pub token: u64,
    /// The head, to be written last.
    pub head: Arc<[u8]>,
    /// Contents that are not kept yet.
    pub chunks: Vec<(Hash, Chunk)>,
    /// Contents that need no longer be kept once the head is written.
    pub obsolete: Vec<Hash>,
}

/// What a publisher wants to know of those who follow it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// A head is in force.
    Ack {
        /// Its epoch.
        epoch: u64,
        /// Its revision.
        revision: Revision,
        /// The definitions in use.
        definitions: Hash,
        /// Whether those are the candidate's.
        candidate: bool,
        /// Whether it will still be in force after a restart.
        persisted: bool,
    },
    /// Something was refused; what ran before still runs.
    Nack {
        /// The epoch of the head that was refused, where it could be read.
        epoch: Option<u64>,
        /// Its revision.
        revision: Option<Revision>,
        /// Why.
        fault: Fault,
    },
}

/// How patient a follower is, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Between two questions for the head where nobody notifies. Up to a tenth more or less.
    pub poll_ms: u64,
    /// For an answer, until it counts as lost.
    pub timeout_ms: u64,
    /// After the first failure; doubles with every further one. Half of it is left to chance.
    pub backoff_min_ms: u64,
    /// After many failures.
    pub backoff_max_ms: u64,
    /// Until the publisher is told again what is in force, where that stays the same: it can tell who is silent.
    pub report_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { poll_ms: 30_000, timeout_ms: 10_000, backoff_min_ms: 1_000, backoff_max_ms: 300_000, report_ms: 60_000 }
    }
}

/// How a follower is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Health {
    /// Epoch of the head in force.
    pub epoch: Option<u64>,
    /// Its revision.
    pub revision: Option<Revision>,
    /// The definitions in use.
    pub definitions: Option<Hash>,
    /// Whether those are the candidate's.
    pub candidate: bool,
    /// When the head in force was signed.
    pub issued_at: Option<Timestamp>,
    /// When it stops being fresh.
    pub expires_at: Option<Timestamp>,
    /// How long ago it was signed, in milliseconds.
    pub age_ms: Option<i64>,
    /// What decisions say about it.
    pub freshness: Option<Freshness>,
    /// Epoch and revision of the highest head that was seen.
    #[serde(serialize_with = "write_seen")]
    pub seen: Option<(u64, Revision)>,
    /// When the source last said something that could be believed.
    pub last_contact_at: Option<Timestamp>,
    /// Whether the head in force is kept for the next start.
    pub persisted: bool,
    /// Failures since the last success.
    pub failures: u32,
    /// What was refused or failed since the last success, each code once, with the newest of its kind.
    pub faults: Vec<FaultSeen>,
}

/// A list, as answers have them: a tuple is another thing to some languages.
fn write_seen<S: Serializer>(seen: &Option<(u64, Revision)>, serializer: S) -> Result<S::Ok, S::Error> {
    seen.map(|(epoch, revision)| [epoch, revision.get()].to_vec()).serialize(serializer)
}

/// A fault, when it was last seen, and how often.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FaultSeen {
    /// The newest of its code.
    #[serde(flatten)]
    pub fault: Fault,
    /// When.
    pub at: Timestamp,
    /// How many of this code.
    pub count: u64,
}
