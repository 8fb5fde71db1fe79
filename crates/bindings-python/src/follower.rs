//! Following: the engine's state machine. What may take long, such as compiling, runs while other threads of Python do.

use crate::answer::{answer, beside, shape};
use crate::arguments::{self, Given, instant, text_or_none};
use crate::failure::{Failure, Result};
use crate::snapshot::{Snapshot, not_copied};
use leasehold::bindings::{self, Happened, Todo, chunk, id};
use leasehold::follow::{self, Kept, Settings};
use leasehold::wire::{Chunk, Pack};
use leasehold::{Hash, Timestamp};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, TryLockError};

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
    fn of(py: Python<'_>, action: follow::Action) -> Self {
        let Todo { kind, hash, length, ms, number, document, chunks, obsolete, report } = action.into();
        let bytes = |bytes: &[u8]| PyBytes::new(py, bytes).unbind();
        let content =
            |(hash, chunk): (Hash, Chunk)| (hash.to_string(), chunk.encoding().as_str(), bytes(chunk.bytes()));
        Self {
            kind,
            hash: hash.map(|hash| hash.to_string()),
            length: length.unwrap_or_default(),
            ms: ms.unwrap_or_default(),
            number: number.unwrap_or_default(),
            document: document.map(|document| bytes(&document)),
            contents: chunks.into_iter().map(content).collect(),
            obsolete: obsolete.iter().map(Hash::to_string).collect(),
            report,
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
        Ok(actions.into_iter().map(|action| Action::of(py, action)).collect())
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
            let engine = engine.map(|engine| id("engine_id", engine)).transpose()?;
            let tenant = tenant.map(|tenant| id("tenant", tenant)).transpose()?;
            let follower = bindings::follower(trust, engine, tenant)?;
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
        let event = Happened { kind, number, document, hash, encoding, why }.event().map_err(Failure::from)?;
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

    /// Whether nobody is in the middle of asking it.
    fn is_free(&self) -> bool {
        !matches!(self.0.try_lock(), Err(TryLockError::WouldBlock))
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
