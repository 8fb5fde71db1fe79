//! Following, as hosts in other languages carry it: events and actions by their names in snake case, which say what else is
//! there.

use super::{Failure, Result, chunk, id};
use crate::follow::{Action, Event, Follower};
use crate::wire::{Chunk, Trust};
use crate::{EngineId, Hash, TenantId};
use std::sync::Arc;

/// A follower of a stream, as an engine where one is named; or of the slice of a tenant.
///
/// # Errors
/// `invalid_argument` for both.
pub fn follower(trust: Trust, engine: Option<EngineId>, tenant: Option<TenantId>) -> Result<Follower> {
    match (engine, tenant) {
        (None, None) => Ok(Follower::of_stream(trust)),
        (Some(engine), None) => Ok(Follower::of_engine(trust, engine)),
        (None, Some(tenant)) => Ok(Follower::of_slice(trust, tenant)),
        (Some(_), Some(_)) => Err(Failure::argument("a follower of a slice has no engine")),
    }
}

/// What happened.
#[derive(Debug, Default)]
pub struct Happened<'a> {
    /// The name of the event.
    pub kind: &'a str,
    /// A timer, or the token of what was to be persisted.
    pub number: Option<u64>,
    /// A head, a slice, the envelope of one, or the bytes of a content.
    pub document: Option<&'a [u8]>,
    /// The hash of a content.
    pub hash: Option<&'a str>,
    /// How the bytes of a content are to be read: `raw` where nothing is said.
    pub encoding: Option<&'a str>,
    /// Why it failed.
    pub why: Option<&'a str>,
}

impl Happened<'_> {
    /// The event.
    ///
    /// # Errors
    /// `invalid_argument` for what there is not, and what lacks something.
    pub fn event(&self) -> Result<Event> {
        let kind = self.kind;
        let lacks = |what: &str| Failure::argument(format!("the event `{kind}` has no `{what}`"));
        let number = || self.number.ok_or_else(|| lacks("number"));
        let document = || self.document.ok_or_else(|| lacks("document"));
        let hash = || id("hash", self.hash.ok_or_else(|| lacks("hash"))?);
        let why = || self.why.unwrap_or_default().to_owned();
        Ok(match kind {
            "started" => Event::Started,
            "timer" => Event::Timer(number()?),
            "notified" => Event::Notified,
            "connection_lost" => Event::ConnectionLost,
            "head" => Event::Head(document()?.to_vec()),
            "not_modified" => Event::NotModified { envelope: self.document.map(<[u8]>::to_vec) },
            "head_failed" => Event::HeadFailed(why()),
            "chunk" => Event::Chunk(hash()?, chunk(self.encoding.unwrap_or("raw"), document()?)?),
            "chunk_missing" => Event::ChunkMissing(hash()?),
            "chunk_failed" => Event::ChunkFailed(hash()?, why()),
            "persisted" => Event::Persisted(number()?),
            "not_kept" => Event::NotKept(number()?),
            "not_persisted" => Event::NotPersisted(number()?, why()),
            "seen_not_persisted" => Event::SeenNotPersisted(why()),
            _ => return Err(Failure::argument(format!("there is no event `{kind}`"))),
        })
    }
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Todo {
    /// The name of the action.
    pub kind: &'static str,
    /// The hash that is known, or of the content that is asked for.
    pub hash: Option<Hash>,
    /// How many bytes the content has.
    pub length: Option<u64>,
    /// How long to wait, in milliseconds.
    pub ms: Option<u64>,
    /// A timer, the token of what is to be persisted, or the revision to swap to.
    pub number: Option<u64>,
    /// The head that is to be kept.
    pub document: Option<Arc<[u8]>>,
    /// Contents that are to be kept.
    pub chunks: Vec<(Hash, Chunk)>,
    /// Contents that need no longer be kept.
    pub obsolete: Vec<Hash>,
    /// What to tell the publisher, as JSON.
    pub report: Option<String>,
}

impl From<Action> for Todo {
    fn from(action: Action) -> Self {
        let named = |kind| Self { kind, ..Self::default() };
        match action {
            Action::FetchHead { etag } => Self { hash: etag, ..named("fetch_head") },
            Action::FetchChunk(reference) => {
                Self { hash: Some(reference.hash), length: Some(reference.length), ..named("fetch_chunk") }
            }
            Action::Wait { ms, timer } => Self { ms: Some(ms), number: Some(timer), ..named("wait") },
            Action::Swap(snapshot) => Self { number: Some(snapshot.stamp().revision.get()), ..named("swap") },
            Action::Persist(persist) => Self {
                number: Some(persist.token),
                document: Some(persist.head),
                chunks: persist.chunks,
                obsolete: persist.obsolete,
                ..named("persist")
            },
            Action::PersistSeen(head) => Self { document: Some(head), ..named("persist_seen") },
            Action::Report(report) => Self { report: serde_json::to_string(&report).ok(), ..named("report") },
        }
    }
}
