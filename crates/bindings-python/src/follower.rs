//! Following: the engine's state machine. What may take long, such as compiling, runs while other threads of Python do.

use crate::answer::{answer, beside, shape};
use crate::arguments::{self, Given, instant, text_or_none};
use crate::failure::{Failure, Result};
use crate::snapshot::{Snapshot, not_copied};
use leasehold::bindings::{chunk, id};
use leasehold::follow::{self, Event, Kept, Settings};
use leasehold::wire::{Chunk, Pack};
use leasehold::{Hash, Timestamp};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The state machine of following.
#[pyclass(frozen, module = "leasehold._native")]
pub(crate) struct Follower(Mutex<follow::Follower>);

/// What is to be done: `kind` is the name of the core's action in snake case, and says what else is there.
#[pyclass(frozen, get_all, module = "leasehold._native")]
pub(crate) struct Action {
    /// What is to be done.
    kind: &'static str,
    /// The hash that is known, or of the content that is asked for.
    hash: Option<String>,
    /// How many bytes the content has.
    length: u64,
    /// How long to wait, in milliseconds.
    ms: u64,
    /// A timer, the token of what is to be persisted, or the revision to swap to.
    number: u64,
    /// The head that is to be kept.
    document: Option<Py<PyBytes>>,
    /// Contents that are to be kept: hash, encoding and bytes of each.
    contents: Vec<(String, &'static str, Py<PyBytes>)>,
    /// Contents that need no longer be kept.
    obsolete: Vec<String>,
    /// What to tell the publisher, as JSON.
    report: Option<String>,
}

impl Action {
    fn of(py: Python<'_>, action: &follow::Action) -> Self {
        let named = |kind| Self {
            kind,
            hash: None,
            length: 0,
            ms: 0,
            number: 0,
            document: None,
            contents: Vec::new(),
            obsolete: Vec::new(),
            report: None,
        };
        let bytes = |bytes: &[u8]| PyBytes::new(py, bytes).unbind();
        match action {
            follow::Action::FetchHead { etag } => {
                Self { hash: etag.map(|etag| etag.to_string()), ..named("fetch_head") }
            }
            follow::Action::FetchChunk(reference) => {
                Self { hash: Some(reference.hash.to_string()), length: reference.length, ..named("fetch_chunk") }
            }
            follow::Action::Wait { ms, timer } => Self { ms: *ms, number: *timer, ..named("wait") },
            follow::Action::Swap(snapshot) => Self { number: snapshot.stamp().revision.get(), ..named("swap") },
            follow::Action::Persist(persist) => {
                let contents = persist.chunks.iter();
                let contents =
                    contents.map(|(hash, chunk)| (hash.to_string(), chunk.encoding().as_str(), bytes(chunk.bytes())));
                Self {
                    number: persist.token,
                    document: Some(bytes(&persist.head)),
                    contents: contents.collect(),
                    obsolete: persist.obsolete.iter().map(Hash::to_string).collect(),
                    ..named("persist")
                }
            }
            follow::Action::PersistSeen(head) => Self { document: Some(bytes(head)), ..named("persist_seen") },
            follow::Action::Report(report) => Self { report: serde_json::to_string(report).ok(), ..named("report") },
        }
    }
}

impl Follower {
    fn with<R>(&self, ask: impl FnOnce(&mut follow::Follower) -> R) -> R {
        // A panic has been told to whoever caused it; the next event finds what it left.
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn step(
        &self,
        py: Python<'_>,
        take: impl FnOnce(&mut follow::Follower) -> Result<Vec<follow::Action>> + Send,
    ) -> PyResult<Vec<Action>> {
        let actions = beside(py, || self.with(take))?;
        Ok(actions.iter().map(|action| Action::of(py, action)).collect())
    }
}

#[pymethods]
impl Follower {
    /// A follower of a stream, as an engine where one is named; or of the slice of a tenant.
    #[new]
    #[pyo3(signature = (trust, *, stream=None, engine=None, tenant=None, poll_ms=None, backoff_min_ms=None, backoff_max_ms=None, report_ms=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn new(
        trust: Given<'_, '_>,
        stream: Option<Given<'_, '_>>,
        engine: Option<Given<'_, '_>>,
        tenant: Option<Given<'_, '_>>,
        poll_ms: Option<u64>,
        backoff_min_ms: Option<u64>,
        backoff_max_ms: Option<u64>,
        report_ms: Option<u64>,
    ) -> PyResult<Self> {
        let trust = arguments::trust(trust, stream)?;
        let (engine, tenant) = (text_or_none("engine_id", engine)?, text_or_none("tenant", tenant)?);
        answer(|| {
            let follower = match (engine, tenant) {
                (None, None) => follow::Follower::of_stream(trust),
                (Some(engine), None) => follow::Follower::of_engine(trust, id("engine_id", engine)?),
                (None, Some(tenant)) => follow::Follower::of_slice(trust, id("tenant", tenant)?),
                (Some(_), Some(_)) => return Err(Failure::argument("a follower of a slice has no engine")),
            };
            let usual = Settings::default();
            let follower = follower.with_settings(Settings {
                poll_ms: poll_ms.unwrap_or(usual.poll_ms),
                backoff_min_ms: backoff_min_ms.unwrap_or(usual.backoff_min_ms),
                backoff_max_ms: backoff_max_ms.unwrap_or(usual.backoff_max_ms),
                report_ms: report_ms.unwrap_or(usual.report_ms),
                ..usual
            });
            Ok(Self(Mutex::new(follower)))
        })
    }

    /// The stream that it follows.
    #[getter]
    fn stream(&self) -> String {
        self.with(|follower| follower.trust().stream.to_string())
    }

    /// What is to be done about an event: `kind` is the name of the core's event in snake case, and says what else is there.
    #[pyo3(signature = (kind, now, random, *, number=None, document=None, hash=None, encoding=None, why=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn handle(
        &self,
        py: Python<'_>,
        kind: &str,
        now: Given<'_, '_>,
        random: u64,
        number: Option<u64>,
        document: Option<&[u8]>,
        hash: Option<&str>,
        encoding: Option<&str>,
        why: Option<&str>,
    ) -> PyResult<Vec<Action>> {
        let now = instant("now", Some(now))?;
        let event = event(kind, number, document, hash, encoding, why)?;
        self.step(py, move |follower| Ok(follower.handle(event, now, random)))
    }

    /// Begins with what was kept: the head in force, the highest that was seen, and contents as hash, encoding and bytes.
    fn restore(
        &self,
        py: Python<'_>,
        head: Option<Vec<u8>>,
        seen: Option<Vec<u8>>,
        contents: Vec<(String, String, Bound<'_, PyBytes>)>,
        now: Given<'_, '_>,
    ) -> PyResult<Vec<Action>> {
        let now = instant("now", Some(now))?;
        let contents =
            contents.iter().map(|(hash, encoding, bytes)| Ok((id("hash", hash)?, chunk(encoding, bytes.as_bytes())?)));
        let contents: HashMap<Hash, Chunk> = contents.collect::<Result<_>>()?;
        self.step(py, move |follower| {
            let find = |hash| contents.get(&hash).cloned();
            Ok(follower.restore(Kept { head, seen, find: &find }, now))
        })
    }

    /// Begins with a pack, where that is newer than what is in force.
    fn open(&self, py: Python<'_>, pack: &[u8], now: Given<'_, '_>) -> PyResult<Vec<Action>> {
        let now = instant("now", Some(now))?;
        self.step(py, move |follower| Ok(follower.open(Pack::read(pack)?, now)?))
    }

    /// Whether a content is still of use.
    fn waits_for(&self, hash: &str) -> PyResult<bool> {
        answer(|| {
            let hash = id("hash", hash)?;
            Ok(self.with(|follower| follower.waits_for(hash)))
        })
    }

    /// The hashes of all contents that are in force.
    fn contents(&self) -> Vec<String> {
        self.with(|follower| follower.contents().map(|hash| hash.to_string()).collect())
    }

    /// The snapshot in force.
    fn snapshot(&self) -> Option<Snapshot> {
        self.with(|follower| follower.snapshot().cloned().map(Snapshot::of))
    }

    /// How it is doing.
    #[pyo3(signature = (now=None))]
    fn health(&self, py: Python<'_>, now: Option<Given<'_, '_>>) -> PyResult<Py<PyAny>> {
        let now: Timestamp = instant("now", now)?;
        shape!("Health").of(py, || Ok(self.with(|follower| follower.health(now))))
    }

    fn __reduce_ex__(&self, _protocol: Given<'_, '_>) -> PyResult<()> {
        Err(not_copied("a follower", "make one in each process"))
    }
}

fn event(
    kind: &str,
    number: Option<u64>,
    document: Option<&[u8]>,
    hash: Option<&str>,
    encoding: Option<&str>,
    why: Option<&str>,
) -> Result<Event> {
    let lacks = |what: &str| Failure::argument(format!("the event `{kind}` has no `{what}`"));
    let number = || number.ok_or_else(|| lacks("number"));
    let document = || document.map(<[u8]>::to_vec);
    let hash = || Ok::<_, Failure>(id("hash", hash.ok_or_else(|| lacks("hash"))?)?);
    let why = || why.unwrap_or_default().to_owned();
    Ok(match kind {
        "started" => Event::Started,
        "timer" => Event::Timer(number()?),
        "notified" => Event::Notified,
        "connection_lost" => Event::ConnectionLost,
        "head" => Event::Head(document().ok_or_else(|| lacks("document"))?),
        "not_modified" => Event::NotModified { envelope: document() },
        "head_failed" => Event::HeadFailed(why()),
        "chunk" => {
            let bytes = document().ok_or_else(|| lacks("document"))?;
            Event::Chunk(hash()?, chunk(encoding.unwrap_or("raw"), &bytes)?)
        }
        "chunk_missing" => Event::ChunkMissing(hash()?),
        "chunk_failed" => Event::ChunkFailed(hash()?, why()),
        "persisted" => Event::Persisted(number()?),
        "not_kept" => Event::NotKept(number()?),
        "not_persisted" => Event::NotPersisted(number()?, why()),
        "seen_not_persisted" => Event::SeenNotPersisted(why()),
        _ => return Err(Failure::argument(format!("there is no event `{kind}`"))),
    })
}
