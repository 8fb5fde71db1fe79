//! A thread that carries bytes for a follower, and swaps what it says into an engine.

use super::worker::Worker;
use super::{Answer, Engine, Interrupt, SnapshotDirectory, Source};
use crate::follow::{Action, Event, FaultSeen, Follower, Health};
use crate::wire::{Fault, FaultCode, Pack, Stage};
use crate::{Revision, Timestamp};
use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// How long a thread whose source was interrupted is waited for.
pub(super) const PARTING: Duration = Duration::from_secs(1);

/// Longer than that is for ever: who waits so long is told of what is new.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// What an engine falls back on when it starts and the source cannot be reached.
#[derive(Debug, Clone, Default)]
pub struct Keep {
    /// A folder for the last-known-good snapshot, which nobody else writes. It is made where it is not there.
    pub folder: Option<PathBuf>,
    /// A pack that comes with the program.
    pub pack: Option<Pack>,
}

/// An engine that follows a source, on a thread of its own until this is dropped.
///
/// ```no_run
/// # use leasehold::{Following, Keep, SnapshotDirectory, follow::Follower, wire::Trust};
/// let trust = Trust::from_json(&std::fs::read("trust.json")?)?;
/// let source = SnapshotDirectory::new("/var/lib/hq/snapshots");
/// let keep = Keep { folder: Some("/var/lib/app/last-known-good".into()), ..Keep::default() };
/// let following = Following::start(Follower::of_stream(trust), source, keep)?;
/// let engine = following.engine().clone();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Following {
    engine: Engine,
    shared: Arc<Shared>,
    interrupt: Option<Interrupt>,
    thread: Option<Worker>,
}

/// Why [`Following::wait_for`] gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It took too long.
    #[error("revision {wanted} did not come in time: revision {in_force} is in force, and `health` says why")]
    TimedOut {
        /// The revision that was waited for.
        wanted: Revision,
        /// The one that the engine answers from.
        in_force: Revision,
    },
}

impl WaitError {
    /// The stable code of this error, the same in every language.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TimedOut { .. } => "timed_out",
        }
    }
}

#[derive(Debug)]
struct Shared {
    told: Mutex<Told>,
    /// Something for the thread to do.
    changed: Condvar,
    /// Another snapshot is in force.
    swapped: Condvar,
}

#[derive(Debug)]
struct Told {
    health: Health,
    notified: bool,
    stop: bool,
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self) {
        self.told().notified = true;
        self.changed.notify_all();
    }
}

/// Notifies a [`Following`] from another thread, without keeping it alive.
#[cfg(feature = "http")]
#[derive(Debug, Clone)]
pub(super) struct Notifier(Arc<Shared>);

#[cfg(feature = "http")]
impl Notifier {
    pub(super) fn notify(&self) {
        self.0.notify();
    }
}

impl Following {
    /// Starts from the last-known-good folder, the pack or the source, whichever is newest, and follows the source from
    /// then on. It waits until there is something to answer from, or nothing can be had: in asynchronous code, on a thread
    /// for what blocks.
    ///
    /// # Errors
    /// Why there is nothing to answer from: neither folder, pack nor source have a snapshot that can be believed.
    pub fn start(follower: Follower, source: impl Source + 'static, keep: Keep) -> Result<Self, Fault> {
        if follower.is_of_slice() {
            let message = "a source carries streams: a slice is followed by a host of its own";
            return Err(Fault::new(Stage::Download, FaultCode::WrongDocument, "slice", message));
        }
        let told = Mutex::new(Told { health: follower.health(now()), notified: false, stop: false });
        let shared = Arc::new(Shared { told, changed: Condvar::new(), swapped: Condvar::new() });
        let interrupt = source.interrupt();
        let folder = keep.folder.map(SnapshotDirectory::new);
        let mut host = Host { follower, source, folder, engine: None, shared: shared.clone() };
        let (begun, beginning) = channel();
        // Sources may wait in ways that the caller's thread, which may drive tasks, must not.
        let thread = Worker::spawn("leasehold-follow", move || {
            let (engine, wait) = host.begin(keep.pack);
            let goes_on = engine.is_ok();
            // Whoever starts this waits for it.
            let _ = begun.send(engine);
            if goes_on {
                host.follow(wait);
            }
        });
        let thread = thread.map_err(no_thread)?;
        let engine = beginning
            .recv()
            .unwrap_or_else(|_| Err(Fault::new(Stage::Download, FaultCode::Unreachable, "thread", "it has ended")))?;
        Ok(Self { engine, shared, interrupt, thread: Some(thread) })
    }

    /// The engine, which answers from the newest snapshot that was followed. Clones go on answering when this is dropped,
    /// and hear of nothing new any more.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Asks the source now, without waiting for the next poll.
    pub fn notify(&self) {
        self.shared.notify();
    }

    #[cfg(feature = "http")]
    pub(super) fn notifier(&self) -> Notifier {
        Notifier(self.shared.clone())
    }

    /// Waits until the engine answers from a revision or a later one, and says which. What publishes a change and wants it
    /// to be in force here waits for what it published.
    ///
    /// It blocks: in asynchronous code, wait on a thread for that.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] where that takes longer than `timeout`.
    pub fn wait_for(&self, revision: Revision, timeout: Duration) -> Result<Revision, WaitError> {
        // What is too far away to be told is never.
        let until = Instant::now().checked_add(timeout);
        let mut told = self.shared.told();
        loop {
            let in_force = self.engine.pin().stamp().revision;
            if in_force >= revision {
                return Ok(in_force);
            }
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Err(WaitError::TimedOut { wanted: revision, in_force });
            }
            told = match self.shared.swapped.wait_timeout(told, left) {
                Ok((told, _)) => told,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// How it goes.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.shared.told().health.clone();
        let now = now();
        health.age_ms = health.issued_at.map(|issued_at| now.as_ms() - issued_at.as_ms());
        health.freshness = Some(self.engine.pin().freshness(now));
        health
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.shared.told().stop = true;
        self.shared.changed.notify_all();
        let Some(thread) = self.thread.take() else { return };
        match &self.interrupt {
            None => thread.join(),
            Some(interrupt) => {
                interrupt.call();
                thread.join_within(PARTING);
            }
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Does what a follower says.
struct Host<S> {
    follower: Follower,
    source: S,
    folder: Option<SnapshotDirectory>,
    engine: Option<Engine>,
    shared: Arc<Shared>,
}

/// When to tell the follower that a wait is over.
#[derive(Debug, Clone, Copy)]
struct Wait {
    until: Instant,
    timer: u64,
}

impl<S: Source> Host<S> {
    /// Starts from what there is, and asks the source for what is newer.
    fn begin(&mut self, pack: Option<Pack>) -> (Result<Engine, Fault>, Option<Wait>) {
        self.restore(pack);
        if self.engine.is_none() {
            // Of a large fleet it is one answer in place of thousands. What is wrong with it shows in the contents as well.
            let stream = self.follower.trust().stream.clone();
            let pack =
                asked(|| Ok(self.source.pack(&stream))).unwrap_or_default().and_then(|bytes| Pack::read(&bytes).ok());
            self.open(pack);
        }
        let wait = self.run(Event::Started);
        let engine = self.engine.clone().ok_or_else(|| {
            // What is wrong with something says more than that something is not there.
            let telling = |seen: &FaultSeen| (seen.fault.fault_code() != FaultCode::Unreachable, seen.at);
            let newest = self.follower.health(now()).faults.into_iter().max_by_key(telling).map(|seen| seen.fault);
            newest.unwrap_or_else(|| {
                Fault::new(Stage::Download, FaultCode::Unreachable, "head", "no source has a snapshot")
            })
        });
        (engine, wait)
    }

    fn restore(&mut self, pack: Option<Pack>) {
        if let Some(folder) = self.folder.clone() {
            let stream = self.follower.trust().stream.clone();
            let actions = folder.kept(&stream, |kept| self.follower.restore(kept, now()));
            // What could not be used may be of use to whoever mends the configuration.
            if self.follower.snapshot().is_some() {
                folder.sweep(&self.follower.contents().collect());
            }
            self.carry(actions);
        }
        self.open(pack);
    }

    fn open(&mut self, pack: Option<Pack>) {
        // One that is older than what was kept, or of no use, changes nothing: the source is asked either way.
        if let Some(pack) = pack
            && let Ok(actions) = self.follower.open(pack, now())
        {
            self.carry(actions);
        }
    }

    fn follow(mut self, first: Option<Wait>) {
        let mut wait = first;
        let shared = self.shared.clone();
        loop {
            let event = {
                let mut told = shared.told();
                loop {
                    if told.stop {
                        return;
                    }
                    if std::mem::take(&mut told.notified) {
                        break Event::Notified;
                    }
                    let left = wait.map(|wait| wait.until.saturating_duration_since(Instant::now()));
                    match (left, wait) {
                        (Some(Duration::ZERO), Some(over)) => {
                            wait = None;
                            break Event::Timer(over.timer);
                        }
                        (Some(left), _) => {
                            told = match shared.changed.wait_timeout(told, left) {
                                Ok((told, _)) => told,
                                Err(poisoned) => poisoned.into_inner().0,
                            };
                        }
                        (None, _) => told = shared.changed.wait(told).unwrap_or_else(PoisonError::into_inner),
                    }
                }
            };
            wait = self.run(event).or(wait);
        }
    }

    fn run(&mut self, event: Event) -> Option<Wait> {
        let actions = self.follower.handle(event, now(), random());
        let wait = self.carry(actions);
        self.tell_health();
        wait
    }

    fn tell_health(&self) {
        let health = self.follower.health(now());
        self.shared.told().health = health;
    }

    /// Carries until there is nothing left but to wait.
    fn carry(&mut self, actions: Vec<Action>) -> Option<Wait> {
        let stream = self.follower.trust().stream.clone();
        let mut wait = None;
        let mut todo: VecDeque<Action> = actions.into();
        while let Some(action) = todo.pop_front() {
            if self.shared.told().stop {
                return None;
            }
            let event = match action {
                Action::FetchHead { etag } => Some(match asked(|| self.source.head(&stream, etag)) {
                    Ok(Answer::Head(head)) => Event::Head(head),
                    Ok(Answer::NotModified) => Event::NotModified { envelope: None },
                    Err(why) => Event::HeadFailed(why),
                }),
                // After one that did not come, the others of its head are asked for another time.
                Action::FetchChunk(reference) if !self.follower.waits_for(reference.hash) => None,
                Action::FetchChunk(reference) => Some(match asked(|| self.source.chunk(reference)) {
                    Ok(Some(chunk)) => Event::Chunk(reference.hash, chunk),
                    Ok(None) => Event::ChunkMissing(reference.hash),
                    Err(why) => Event::ChunkFailed(reference.hash, why),
                }),
                Action::Wait { ms, timer } => {
                    let ms = Duration::from_millis(ms).min(LONGEST_WAIT);
                    wait = Some(Wait { until: Instant::now() + ms, timer });
                    None
                }
                Action::Swap(snapshot) => {
                    match &self.engine {
                        Some(engine) => engine.swap(snapshot),
                        None => self.engine = Some(Engine::new(snapshot)),
                    }
                    self.tell_health();
                    self.shared.swapped.notify_all();
                    None
                }
                Action::Persist(persist) => Some(match &self.folder {
                    None => Event::NotKept(persist.token),
                    Some(folder) => match folder.persist(&stream, &persist) {
                        Ok(()) => Event::Persisted(persist.token),
                        Err(error) => Event::NotPersisted(persist.token, error.to_string()),
                    },
                }),
                Action::PersistSeen(head) => {
                    let written = self.folder.as_ref().map_or(Ok(()), |folder| folder.persist_seen(&stream, &head));
                    written.err().map(|error| Event::SeenNotPersisted(error.to_string()))
                }
                Action::Report(report) => {
                    let _ = asked(|| {
                        self.source.report(&report);
                        Ok(())
                    });
                    None
                }
            };
            if let Some(event) = event {
                let failed = matches!(event, Event::HeadFailed(_) | Event::ChunkMissing(_) | Event::ChunkFailed(..));
                todo.extend(self.follower.handle(event, now(), random()));
                if failed {
                    self.tell_health();
                }
            }
        }
        wait
    }
}

/// Asks a source. One that panics is as one that cannot be asked: what is in force goes on, and it is asked again.
fn asked<R>(ask: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(ask)).unwrap_or_else(|_| Err("the source panicked".to_owned()))
}

pub(super) fn no_thread(error: std::io::Error) -> Fault {
    Fault::new(Stage::Download, FaultCode::Unreachable, "thread", error.to_string())
}

/// A number that nobody else can foresee, from the keys that the standard library gives its hash maps.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
