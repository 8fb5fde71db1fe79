//! The state machine.

use super::gathering::{Gathering, missing};
use super::loaded::Next;
use super::slice::HeldSlice;
use super::{Action, Event, FaultSeen, Health, Loaded, Persist, Report, Settings};
use crate::snapshot::Origin;
use crate::wire::{Chunk, Fault, FaultCode, Mark, Opener, SignedHead, Stage, Trust};
use crate::{EngineId, Hash, Snapshot, SortedMap, TenantId, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Follows one stream, or the slice of one tenant.
///
/// Whatever arrives, in whatever order: only what is signed, whole and newer than everything seen before replaces what is
/// in force.
#[derive(Debug)]
pub struct Follower {
    trust: Trust,
    pub(super) subject: Subject,
    settings: Settings,
    /// The highest head that was seen.
    pub(super) mark: Option<Mark>,
    running: Option<Running>,
    pub(super) doing: Doing,
    /// Something may be newer than what was asked for last.
    again: bool,
    /// Contents of a head that could not be completed, for the next attempt.
    leftover: HashMap<Hash, Chunk>,
    /// The head whose contents are whole and wrong: gathering them again would change nothing.
    rejected: Option<(Mark, Fault)>,
    /// The document of the highest head that was seen.
    seen: Arc<[u8]>,
    timer: u64,
    pub(super) unpersisted: Unpersisted,
    /// When the publisher was told what is in force; nothing where it was told since that something was refused.
    told_at: Option<Timestamp>,
    failures: u32,
    last_contact_at: Option<Timestamp>,
    faults: SortedMap<FaultCode, FaultSeen>,
    pub(super) opener: Opener,
}

/// What is followed, and what of it is in force.
#[derive(Debug)]
pub(super) enum Subject {
    Stream { engine: Option<EngineId>, loaded: Option<Loaded> },
    Slice { tenant: TenantId, held: Option<HeldSlice> },
}

/// What is answered from.
#[derive(Debug)]
struct Running {
    head: SignedHead,
    snapshot: Arc<Snapshot>,
    origin: Origin,
    candidate: bool,
}

/// What the host was asked for.
#[derive(Debug)]
pub(super) enum Doing {
    Nothing,
    AskingHead {
        /// What the source was told to be known.
        etag: Option<Hash>,
    },
    Gathering(Box<Gathering>),
}

/// What came of keeping something.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    OnDisk,
    Nowhere,
    Failed(String),
}

/// What the disk does not hold yet.
#[derive(Debug, Default)]
pub(super) struct Unpersisted {
    token: u64,
    waiting: bool,
    /// Nobody said where to keep anything.
    nowhere: bool,
    chunks: HashMap<Hash, Chunk>,
    obsolete: HashSet<Hash>,
}

/// One event: when it came, what chance says, and what is to be done about it.
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) random: u64,
    pub(super) actions: Vec<Action>,
}

impl Follower {
    /// Follows the stream that is trusted, with the definitions that are in force for everybody.
    #[must_use]
    pub fn of_stream(trust: Trust) -> Self {
        Self::of(trust, Subject::Stream { engine: None, loaded: None })
    }

    /// Follows the stream that is trusted, as one of the engines among which candidates are staged.
    #[must_use]
    pub fn of_engine(trust: Trust, engine: EngineId) -> Self {
        Self::of(trust, Subject::Stream { engine: Some(engine), loaded: None })
    }

    /// Follows the slice of one tenant.
    #[must_use]
    pub fn of_slice(trust: Trust, tenant: TenantId) -> Self {
        Self::of(trust, Subject::Slice { tenant, held: None })
    }

    /// The same, with other patience.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    fn of(trust: Trust, subject: Subject) -> Self {
        Self {
            trust,
            subject,
            settings: Settings::default(),
            mark: None,
            running: None,
            doing: Doing::Nothing,
            again: false,
            leftover: HashMap::new(),
            rejected: None,
            seen: Arc::default(),
            timer: 0,
            unpersisted: Unpersisted::default(),
            told_at: None,
            failures: 0,
            last_contact_at: None,
            faults: SortedMap::new(),
            opener: Opener::default(),
        }
    }

    /// Whether it follows a slice, not a stream.
    #[cfg(feature = "runtime")]
    pub(crate) fn is_of_slice(&self) -> bool {
        matches!(self.subject, Subject::Slice { .. })
    }

    /// As which engine it follows, where it does as one.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineId> {
        match &self.subject {
            Subject::Stream { engine, .. } => engine.as_ref(),
            Subject::Slice { .. } => None,
        }
    }

    /// Whom and what it believes.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The snapshot in force.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.running.as_ref().map(|running| &running.snapshot)
    }

    /// The head in force.
    #[must_use]
    pub fn head(&self) -> Option<&SignedHead> {
        self.running.as_ref().map(|running| &running.head)
    }

    /// Hashes of all contents in force, which a last-known-good folder must keep.
    pub fn contents(&self) -> impl Iterator<Item = Hash> {
        let loaded = match &self.subject {
            Subject::Stream { loaded, .. } => loaded.as_ref(),
            Subject::Slice { .. } => None,
        };
        loaded.into_iter().flat_map(|loaded| loaded.chunks().keys().copied())
    }

    /// How it goes, at an instant.
    #[must_use]
    pub fn health(&self, now: Timestamp) -> Health {
        let running = self.running.as_ref();
        let head = running.map(|running| running.head.head());
        let snapshot = running.map(|running| &running.snapshot);
        Health {
            epoch: head.map(|head| head.epoch),
            revision: head.map(|head| head.revision),
            definitions: snapshot.map(|snapshot| snapshot.definitions()),
            candidate: running.is_some_and(|running| running.candidate),
            issued_at: head.map(|head| head.issued_at),
            expires_at: snapshot.and_then(|snapshot| snapshot.stamp().expires_at),
            age_ms: head.map(|head| now.as_ms() - head.issued_at.as_ms()),
            freshness: snapshot.map(|snapshot| snapshot.freshness(now)),
            seen: self.mark.as_ref().map(|mark| (mark.epoch, mark.revision)),
            last_contact_at: self.last_contact_at,
            persisted: self.is_persisted(),
            failures: self.failures,
            faults: self.faults.values().cloned().collect(),
        }
    }

    fn is_persisted(&self) -> bool {
        self.running.is_some()
            && !self.unpersisted.waiting
            && !self.unpersisted.nowhere
            && !self.faults.contains_key(&FaultCode::NotPersisted)
    }

    /// Takes in what happened, and says what is to be done. `random` is any number that the host cannot foresee; it
    /// spreads retries over time.
    pub fn handle(&mut self, event: Event, now: Timestamp, random: u64) -> Vec<Action> {
        let mut moment = Moment { now, random, actions: Vec::new() };
        let mark = self.mark.clone();
        match event {
            Event::Started => self.ask_head(&mut moment),
            Event::Timer(timer) if timer != self.timer => {}
            Event::Timer(_) => match self.doing {
                Doing::Nothing => self.ask_head(&mut moment),
                Doing::AskingHead { .. } => self.fail(timed_out("head"), None, &mut moment),
                Doing::Gathering(_) => self.fail(timed_out("contents"), None, &mut moment),
            },
            Event::Notified => match self.doing {
                Doing::Nothing => self.ask_head(&mut moment),
                // What was asked for may have been answered before that.
                Doing::AskingHead { .. } | Doing::Gathering(_) => self.again = true,
            },
            Event::ConnectionLost => match self.doing {
                Doing::Nothing => {}
                _ => self.fail(unreachable("source", "the connection is lost"), None, &mut moment),
            },
            Event::Head(bytes) => self.on_head(&bytes, &mut moment),
            Event::NotModified { envelope } => self.on_not_modified(envelope, &mut moment),
            Event::HeadFailed(why) => {
                if matches!(self.doing, Doing::AskingHead { .. }) {
                    self.fail(unreachable("head", &why), None, &mut moment);
                }
            }
            Event::Chunk(hash, chunk) => self.on_chunk(hash, chunk, &mut moment),
            Event::ChunkMissing(hash) => self.on_no_chunk(hash, missing(hash), &mut moment),
            Event::ChunkFailed(hash, why) => {
                self.on_no_chunk(hash, unreachable(&hash.to_string(), &why), &mut moment);
            }
            Event::Persisted(token) => self.on_persisted(token, Kept::OnDisk, &mut moment),
            Event::NotKept(token) => self.on_persisted(token, Kept::Nowhere, &mut moment),
            Event::NotPersisted(token, why) => self.on_persisted(token, Kept::Failed(why), &mut moment),
            Event::SeenNotPersisted(why) => {
                self.note(Fault::new(Stage::Persist, FaultCode::NotPersisted, "highest head seen", why), &moment);
            }
        }
        // What is persisted as in force is remembered as seen too; what is seen and not in force must be as well.
        let is_persisted = moment.actions.iter().any(|action| matches!(action, Action::Persist(_)));
        if self.mark != mark && !is_persisted {
            moment.actions.insert(0, Action::PersistSeen(self.seen.clone()));
        }
        moment.actions
    }

    fn ask_head(&mut self, moment: &mut Moment) {
        self.again = false;
        // A source that knows nothing newer than what runs may still be behind what was seen.
        let running = self.running.as_ref().filter(|running| self.mark == Some(running.head.mark()));
        let etag = running.map(|running| match &self.subject {
            Subject::Slice { held: Some(held), .. } => held.hash(),
            _ => Hash::of(running.head.bytes()),
        });
        self.doing = Doing::AskingHead { etag };
        moment.actions.push(Action::FetchHead { etag });
        self.wait(self.settings.timeout_ms, moment);
    }

    fn wait(&mut self, ms: u64, moment: &mut Moment) {
        self.timer += 1;
        moment.actions.push(Action::Wait { ms, timer: self.timer });
    }

    fn on_head(&mut self, bytes: &[u8], moment: &mut Moment) {
        let asked = matches!(self.doing, Doing::AskingHead { .. });
        // What nobody asked for does not disturb what is being done.
        let turn_down = if asked { Self::fail } else { Self::refuse };
        let head = match self.verify(bytes) {
            Ok(head) => head,
            Err(fault) => return turn_down(self, fault, None, moment),
        };
        if let Err(fault) = self.admit(&head) {
            return turn_down(self, fault, Some(&head), moment);
        }
        self.last_contact_at = Some(moment.now);
        if let Doing::Gathering(gathering) = &self.doing
            && gathering.head.bytes() == head.bytes()
        {
            return;
        }
        let mark = head.mark();
        self.mark = Some(mark.clone());
        self.seen = if let Subject::Slice { .. } = self.subject { bytes.into() } else { head.bytes().clone() };
        let same = match &self.subject {
            Subject::Slice { held, .. } => held.as_ref().is_some_and(|held| held.is(bytes)),
            Subject::Stream { .. } => self.running.as_ref().is_some_and(|running| running.head.bytes() == head.bytes()),
        };
        if same {
            return self.confirm(moment);
        }
        if let Some((rejected, fault)) = &self.rejected
            && rejected.same_content(&mark)
            && matches!(self.subject, Subject::Stream { .. })
        {
            let fault = fault.clone();
            return self.fail(fault, Some(&head), moment);
        }
        if matches!(self.subject, Subject::Slice { .. }) {
            return self.take_slice(bytes, head, Origin::Source, moment);
        }
        if let Doing::Gathering(overtaken) = std::mem::replace(&mut self.doing, Doing::Nothing) {
            self.leftover = overtaken.fetched;
        }
        let gathering = Gathering::new(head, std::mem::take(&mut self.leftover));
        self.gather(gathering, moment);
    }

    /// Goes on with what a head names: asks for what is not here, or puts it in force.
    fn gather(&mut self, mut gathering: Gathering, moment: &mut Moment) {
        let wanted = match &self.subject {
            Subject::Stream { engine, loaded } => gathering.advance(loaded.as_ref(), engine.as_ref(), &mut self.opener),
            Subject::Slice { .. } => Ok(Vec::new()),
        };
        match wanted {
            Err(fault) => {
                let head = gathering.head.clone();
                self.reject(fault, &head, moment);
            }
            Ok(wanted) if wanted.is_empty() => {
                let head = gathering.head.clone();
                match self.put_in_force(gathering, Origin::Source, moment) {
                    Ok(()) => self.succeed(moment),
                    Err(fault) => self.reject(fault, &head, moment),
                }
            }
            Ok(wanted) => {
                moment.actions.extend(wanted.into_iter().map(Action::FetchChunk));
                self.doing = Doing::Gathering(Box::new(gathering));
                self.wait(self.settings.timeout_ms, moment);
            }
        }
    }

    fn on_chunk(&mut self, hash: Hash, chunk: Chunk, moment: &mut Moment) {
        let Doing::Gathering(gathering) = &mut self.doing else { return };
        match gathering.take(hash, chunk, &mut self.opener) {
            Err(fault) => {
                let head = gathering.head.clone();
                self.fail(fault, Some(&head), moment);
            }
            Ok(false) => {}
            Ok(true) if gathering.is_waiting() => self.wait(self.settings.timeout_ms, moment),
            Ok(true) => {
                if let Doing::Gathering(gathering) = std::mem::replace(&mut self.doing, Doing::Nothing) {
                    self.gather(*gathering, moment);
                }
            }
        }
    }

    fn on_no_chunk(&mut self, hash: Hash, fault: Fault, moment: &mut Moment) {
        if let Doing::Gathering(gathering) = &self.doing
            && gathering.waits_for(hash)
        {
            let head = gathering.head.clone();
            self.fail(fault, Some(&head), moment);
        }
    }

    /// Whether a content is still of use that was asked for. After one that did not come, the others of its head are asked
    /// for another time.
    #[must_use]
    pub fn waits_for(&self, hash: Hash) -> bool {
        matches!(&self.doing, Doing::Gathering(gathering) if gathering.waits_for(hash))
    }

    fn on_not_modified(&mut self, envelope: Option<Vec<u8>>, moment: &mut Moment) {
        let Doing::AskingHead { etag } = self.doing else { return };
        match (&self.subject, envelope) {
            (Subject::Stream { .. }, None) if etag.is_some() => {
                self.last_contact_at = Some(moment.now);
                self.confirm(moment);
            }
            (Subject::Slice { held: Some(held), .. }, Some(envelope)) if etag.is_some() => {
                let document = held.renewed(&envelope);
                self.on_head(&document, moment);
            }
            _ => {
                let message = "the source has nothing newer than something that was not asked about";
                self.fail(Fault::new(Stage::Download, FaultCode::Malformed, "head", message), None, moment);
            }
        }
    }

    /// The source has nothing newer than what runs.
    fn confirm(&mut self, moment: &mut Moment) {
        if let Some(running) = &mut self.running
            && running.origin != Origin::Source
        {
            running.origin = Origin::Source;
            let stamp = running.snapshot.stamp();
            let snapshot = match &mut self.subject {
                Subject::Stream { loaded, .. } => loaded.as_mut().map(|loaded| loaded.restamp(stamp)),
                Subject::Slice { held, .. } => held.as_mut().map(|held| held.restamp(stamp)),
            };
            if let Some(snapshot) = snapshot {
                running.snapshot = Arc::new(snapshot);
                moment.actions.push(Action::Swap(running.snapshot.clone()));
            }
        }
        // What was refused was not the head after all, or the publisher has heard nothing for a while.
        let patience = i64::try_from(self.settings.report_ms).unwrap_or(i64::MAX);
        if self.told_at.is_none_or(|at| moment.now.as_ms().saturating_sub(at.as_ms()) >= patience) {
            self.acknowledge(moment);
        }
        // What is being gathered is newer than what was confirmed.
        if !matches!(self.doing, Doing::Gathering(_)) {
            self.succeed(moment);
        }
    }

    fn succeed(&mut self, moment: &mut Moment) {
        self.doing = Doing::Nothing;
        self.failures = 0;
        self.faults.retain(|code, _| *code == FaultCode::NotPersisted);
        self.leftover = HashMap::new();
        if self.again {
            return self.ask_head(moment);
        }
        // A tenth more or less, so that engines that started together do not ask together.
        let (poll_ms, spread) = (self.settings.poll_ms, (self.settings.poll_ms / 5).max(1));
        self.wait((poll_ms - poll_ms / 10).saturating_add(moment.random % spread), moment);
    }

    /// Something that was being done failed: it is tried again, later each time.
    fn fail(&mut self, fault: Fault, head: Option<&SignedHead>, moment: &mut Moment) {
        if let Doing::Gathering(gathering) = std::mem::replace(&mut self.doing, Doing::Nothing) {
            self.leftover = gathering.fetched;
        }
        self.again = false;
        self.failures = self.failures.saturating_add(1);
        let connection = matches!(fault.fault_code(), FaultCode::Unreachable | FaultCode::TimedOut);
        if connection {
            self.note(fault, moment);
        } else {
            self.refuse(fault, head, moment);
        }
        let doubled = self.settings.backoff_min_ms.saturating_mul(1 << (self.failures - 1).min(32));
        let most = doubled.clamp(1, self.settings.backoff_max_ms.max(1));
        self.wait(most / 2 + moment.random % (most / 2 + 1), moment);
    }

    /// The contents of a head are whole and wrong.
    fn reject(&mut self, fault: Fault, head: &SignedHead, moment: &mut Moment) {
        if matches!(fault.stage(), Stage::Parse | Stage::Compile) {
            self.rejected = Some((head.mark(), fault.clone()));
        }
        self.fail(fault, Some(head), moment);
    }

    fn refuse(&mut self, fault: Fault, head: Option<&SignedHead>, moment: &mut Moment) {
        let (epoch, revision) = head.map(|head| (head.head().epoch, head.head().revision)).unzip();
        self.note(fault.clone(), moment);
        self.told_at = None;
        moment.actions.push(Action::Report(Report::Nack { epoch, revision, fault }));
    }

    pub(super) fn note(&mut self, fault: Fault, moment: &Moment) {
        let count = self.faults.get(&fault.fault_code()).map_or(0, |seen| seen.count) + 1;
        self.faults.insert(fault.fault_code(), FaultSeen { fault, at: moment.now, count });
    }

    /// Verifies a document as far as its head.
    pub(super) fn verify(&self, document: &[u8]) -> Result<SignedHead, Fault> {
        match &self.subject {
            Subject::Stream { .. } => self.trust.head_after(document, self.running.as_ref().map(|it| &it.head)),
            Subject::Slice { tenant, .. } => self.trust.slice(document, tenant).map(|slice| slice.head().clone()),
        }
    }

    pub(super) fn admit(&self, head: &SignedHead) -> Result<(), Fault> {
        self.mark.as_ref().map_or(Ok(()), |mark| mark.admit(head))
    }

    /// Swap, then persist.
    pub(super) fn put_in_force(
        &mut self,
        gathered: Gathering,
        origin: Origin,
        moment: &mut Moment,
    ) -> Result<(), Fault> {
        let Subject::Stream { engine, loaded } = &mut self.subject else { return Ok(()) };
        let head = gathered.head.clone();
        let candidate = head.head().staged_for(engine.as_ref()).is_some();
        let Next { snapshot, new, obsolete } = Loaded::apply(loaded, gathered, origin, &mut self.opener)?;
        self.swap(head, snapshot, origin, candidate, moment);
        let document = self.running.as_ref().map(|running| running.head.bytes().clone()).unwrap_or_default();
        self.persist(document, new, obsolete, moment);
        Ok(())
    }

    fn swap(&mut self, head: SignedHead, snapshot: Snapshot, origin: Origin, candidate: bool, moment: &mut Moment) {
        let snapshot = Arc::new(snapshot);
        moment.actions.push(Action::Swap(snapshot.clone()));
        self.running = Some(Running { head, snapshot, origin, candidate });
        self.rejected = None;
    }

    fn take_slice(&mut self, document: &[u8], head: SignedHead, origin: Origin, moment: &mut Moment) {
        match self.hold_slice(document, head.clone(), origin, moment) {
            Ok(()) => self.succeed(moment),
            Err(fault) => self.reject(fault, &head, moment),
        }
    }

    pub(super) fn hold_slice(
        &mut self,
        document: &[u8],
        head: SignedHead,
        origin: Origin,
        moment: &mut Moment,
    ) -> Result<(), Fault> {
        let Subject::Slice { tenant, held } = &mut self.subject else { return Ok(()) };
        let slice = self.trust.slice(document, tenant)?;
        let envelope_only = slice.content().is_none();
        let snapshot = HeldSlice::hold(held, slice, document, origin)?;
        let whole = held.as_ref().filter(|_| envelope_only).map(|held| held.renewed(document));
        self.swap(head, snapshot, origin, false, moment);
        self.persist(whole.as_deref().unwrap_or(document).into(), Vec::new(), Vec::new(), moment);
        Ok(())
    }

    fn persist(&mut self, head: Arc<[u8]>, new: Vec<(Hash, Chunk)>, obsolete: Vec<Hash>, moment: &mut Moment) {
        let unpersisted = &mut self.unpersisted;
        unpersisted.token += 1;
        unpersisted.waiting = true;
        for hash in obsolete {
            unpersisted.chunks.remove(&hash);
            unpersisted.obsolete.insert(hash);
        }
        for (hash, chunk) in new {
            unpersisted.obsolete.remove(&hash);
            unpersisted.chunks.insert(hash, chunk);
        }
        let mut chunks: Vec<(Hash, Chunk)> =
            unpersisted.chunks.iter().map(|(hash, chunk)| (*hash, chunk.clone())).collect();
        chunks.sort_unstable_by_key(|(hash, _)| *hash);
        let mut obsolete: Vec<Hash> = unpersisted.obsolete.iter().copied().collect();
        obsolete.sort_unstable();
        moment.actions.push(Action::Persist(Persist { token: unpersisted.token, head, chunks, obsolete }));
    }

    fn on_persisted(&mut self, token: u64, kept: Kept, moment: &mut Moment) {
        // What was persisted before the last swap says nothing about the last.
        if token != self.unpersisted.token || !self.unpersisted.waiting {
            return;
        }
        self.unpersisted.waiting = false;
        self.unpersisted.nowhere = kept == Kept::Nowhere;
        match kept {
            Kept::OnDisk | Kept::Nowhere => {
                self.unpersisted.chunks.clear();
                self.unpersisted.obsolete.clear();
                self.faults.remove(&FaultCode::NotPersisted);
            }
            // What is not on disk is tried again with the next head.
            Kept::Failed(why) => {
                self.note(Fault::new(Stage::Persist, FaultCode::NotPersisted, "last known good", why), moment);
            }
        }
        self.acknowledge(moment);
    }

    /// Tells the publisher what is in force.
    fn acknowledge(&mut self, moment: &mut Moment) {
        let persisted = self.is_persisted();
        let Some(running) = &self.running else { return };
        self.told_at = Some(moment.now);
        let head = running.head.head();
        moment.actions.push(Action::Report(Report::Ack {
            epoch: head.epoch,
            revision: head.revision,
            definitions: running.snapshot.definitions(),
            candidate: running.candidate,
            persisted,
        }));
    }
}

fn timed_out(item: &str) -> Fault {
    Fault::new(Stage::Download, FaultCode::TimedOut, item, "nothing came in time")
}

fn unreachable(item: &str, why: &str) -> Fault {
    Fault::new(Stage::Download, FaultCode::Unreachable, item, why)
}
