//! Following: the engine's state machine. Whatever is not scalars of an event or action crosses as JSON; what may take long,
//! such as compiling, runs beside JavaScript's thread.

use crate::engine::NativeSnapshot;
use crate::failure::{answer, document};
use leasehold::bindings::{self, Failure, Happened, Patience, Todo, chunk, count, float, id, instant};
use leasehold::follow::{Action, Event, Follower, Kept, Settings};
use leasehold::wire::{Chunk, Pack, Trust};
use leasehold::{Hash, Timestamp};
use napi::bindgen_prelude::{AsyncTask, Uint8Array};
use napi::{Env, Task};
use napi_derive::napi;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The state machine of following.
#[napi]
pub struct NativeFollower {
    follower: Arc<Mutex<Follower>>,
}

/// How patient it is, in milliseconds; what is absent is as usual.
#[napi(object)]
pub struct FollowerSettings {
    /// Between two questions for the head where nobody notifies.
    pub poll_ms: Option<f64>,
    /// For an answer, until it counts as lost.
    pub timeout_ms: Option<f64>,
    /// After the first failure.
    pub backoff_min_ms: Option<f64>,
    /// After many failures.
    pub backoff_max_ms: Option<f64>,
    /// Until the publisher is told again.
    pub report_ms: Option<f64>,
}

/// A content, as it is kept or carried.
#[napi(object)]
pub struct NativeChunk {
    /// Its hash.
    pub hash: String,
    /// `raw` or `zstd`.
    pub encoding: String,
    /// Its bytes.
    pub bytes: Uint8Array,
}

/// What happened: `type` is the name of the core's event in snake case, and says what else is there.
#[napi(object)]
pub struct NativeEvent {
    /// What happened.
    pub r#type: String,
    /// A timer, or the token of what was to be persisted.
    pub number: Option<f64>,
    /// A head, a slice, or the envelope of one.
    pub document: Option<Uint8Array>,
    /// The hash of a content.
    pub hash: Option<String>,
    /// How the bytes of a content are to be read.
    pub encoding: Option<String>,
    /// Why it failed.
    pub why: Option<String>,
}

/// What is to be done: `type` is the name of the core's action in snake case, and says what else is there.
#[napi(object)]
pub struct NativeAction {
    /// What is to be done.
    pub r#type: String,
    /// The hash that is known, or of the content that is asked for.
    pub hash: Option<String>,
    /// How many bytes the content has.
    pub length: Option<f64>,
    /// How long to wait, in milliseconds.
    pub ms: Option<f64>,
    /// A timer, the token of what is to be persisted, or the revision to swap to.
    pub number: Option<f64>,
    /// The head that is to be kept.
    pub document: Option<Uint8Array>,
    /// Contents that are to be kept.
    pub chunks: Option<Vec<NativeChunk>>,
    /// Contents that need no longer be kept.
    pub obsolete: Option<Vec<String>>,
    /// What to tell the publisher, as JSON.
    pub report: Option<String>,
}

/// Work on a follower that is done beside JavaScript's thread, one after another.
pub struct Step {
    follower: Arc<Mutex<Follower>>,
    #[expect(clippy::type_complexity, reason = "it is written once")]
    take: Option<Box<dyn FnOnce(&mut Follower) -> Result<Vec<Action>, Failure> + Send>>,
}

impl Task for Step {
    type Output = Vec<Action>;
    type JsValue = Vec<NativeAction>;

    fn compute(&mut self) -> napi::Result<Self::Output> {
        answer(|| match self.take.take() {
            // A panic has been told to whoever caused it; the next event finds what it left.
            Some(take) => take(&mut self.follower.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Ok(Vec::new()),
        })
    }

    fn resolve(&mut self, _env: Env, actions: Self::Output) -> napi::Result<Self::JsValue> {
        Ok(actions.into_iter().map(NativeAction::of).collect())
    }
}

impl NativeFollower {
    fn with<R>(&self, ask: impl FnOnce(&mut Follower) -> R) -> R {
        ask(&mut self.follower.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn step(
        &self,
        take: impl FnOnce(&mut Follower) -> Result<Vec<Action>, Failure> + Send + 'static,
    ) -> AsyncTask<Step> {
        AsyncTask::new(Step { follower: self.follower.clone(), take: Some(Box::new(take)) })
    }
}

#[napi]
impl NativeFollower {
    /// A follower of a stream, as an engine where one is named; or of the slice of a tenant.
    #[napi(constructor)]
    pub fn new(
        trust: String,
        engine: Option<String>,
        tenant: Option<String>,
        settings: Option<FollowerSettings>,
    ) -> napi::Result<Self> {
        answer(|| {
            let trust = Trust::from_json(trust.as_bytes())?;
            let engine = engine.map(|engine| id("engine", &engine)).transpose()?;
            let tenant = tenant.map(|tenant| id("tenant", &tenant)).transpose()?;
            let follower = bindings::follower(trust, engine, tenant)?;
            let follower = follower.with_settings(settings.map_or_else(Settings::default, Settings::from));
            Ok(Self { follower: Arc::new(Mutex::new(follower)) })
        })
    }

    /// The stream that it follows.
    #[napi]
    pub fn stream(&self) -> napi::Result<String> {
        answer(|| Ok(self.with(|follower| follower.trust().stream.to_string())))
    }

    /// What is to be done about an event.
    #[napi]
    pub fn handle(&self, event: NativeEvent, now: f64, random: f64) -> napi::Result<AsyncTask<Step>> {
        answer(|| {
            let (event, now) = (event.read()?, instant(now)?);
            // Chance has 32 bits there, and is asked for 64.
            let random = count(random);
            Ok(self.step(move |follower| Ok(follower.handle(event, now, random))))
        })
    }

    /// Begins with what was kept: the head in force, the highest that was seen, and contents.
    #[napi]
    pub fn restore(
        &self,
        head: Option<Uint8Array>,
        seen: Option<Uint8Array>,
        contents: Vec<NativeChunk>,
        now: f64,
    ) -> napi::Result<AsyncTask<Step>> {
        answer(|| {
            let [head, seen] = [head, seen].map(|document| document.map(|document| document.to_vec()));
            let contents =
                contents.iter().map(|kept| Ok((id("hash", &kept.hash)?, chunk(&kept.encoding, &kept.bytes)?)));
            let contents: HashMap<Hash, Chunk> = contents.collect::<Result<_, Failure>>()?;
            let now = instant(now)?;
            Ok(self.step(move |follower| {
                let find = |hash| contents.get(&hash).cloned();
                Ok(follower.restore(Kept { head, seen, find: &find }, now))
            }))
        })
    }

    /// Begins with a pack, where that is newer than what is in force.
    #[napi]
    pub fn open(&self, pack: Uint8Array, now: f64) -> napi::Result<AsyncTask<Step>> {
        answer(|| {
            let (pack, now) = (pack.to_vec(), instant(now)?);
            Ok(self.step(move |follower| Ok(follower.open(Pack::read(&pack)?, now)?)))
        })
    }

    /// Whether a content is still of use.
    #[napi]
    pub fn waits_for(&self, hash: String) -> napi::Result<bool> {
        answer(|| {
            let hash = id("hash", &hash)?;
            Ok(self.with(|follower| follower.waits_for(hash)))
        })
    }

    /// The hashes of all contents that are in force.
    #[napi]
    pub fn contents(&self) -> napi::Result<Vec<String>> {
        answer(|| Ok(self.with(|follower| follower.contents().map(|hash| hash.to_string()).collect())))
    }

    /// The snapshot in force.
    #[napi]
    pub fn snapshot(&self) -> napi::Result<Option<NativeSnapshot>> {
        answer(|| Ok(self.with(|follower| follower.snapshot().cloned().map(NativeSnapshot::of))))
    }

    /// How it is doing.
    #[napi]
    pub fn health(&self, now: f64) -> napi::Result<String> {
        document(|| {
            let now: Timestamp = instant(now)?;
            Ok(self.with(|follower| follower.health(now)))
        })
    }
}

impl From<FollowerSettings> for Settings {
    fn from(given: FollowerSettings) -> Self {
        let FollowerSettings { poll_ms, timeout_ms, backoff_min_ms, backoff_max_ms, report_ms } = given;
        Patience { poll_ms, timeout_ms, backoff_min_ms, backoff_max_ms, report_ms }.into()
    }
}

impl NativeEvent {
    fn read(&self) -> Result<Event, Failure> {
        let happened = Happened {
            kind: &self.r#type,
            number: self.number.map(count),
            document: self.document.as_deref(),
            hash: self.hash.as_deref(),
            encoding: self.encoding.as_deref(),
            why: self.why.as_deref(),
        };
        happened.event()
    }
}

impl NativeAction {
    fn of(action: Action) -> Self {
        let Todo { kind, hash, length, ms, number, document, chunks, obsolete, report } = action.into();
        let bytes = |bytes: &[u8]| Uint8Array::new(bytes.to_vec());
        let chunk = |(hash, chunk): (Hash, Chunk)| NativeChunk {
            hash: hash.to_string(),
            encoding: chunk.encoding().as_str().to_owned(),
            bytes: bytes(chunk.bytes()),
        };
        let is_to_persist = kind == "persist";
        Self {
            r#type: kind.to_owned(),
            hash: hash.map(|hash| hash.to_string()),
            length: length.map(float),
            ms: ms.map(float),
            number: number.map(float),
            document: document.map(|document| bytes(&document)),
            chunks: is_to_persist.then(|| chunks.into_iter().map(chunk).collect()),
            obsolete: is_to_persist.then(|| obsolete.iter().map(Hash::to_string).collect()),
            report,
        }
    }
}
