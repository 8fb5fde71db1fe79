//! Following, simulated: a follower, a publisher that does all that publishers may do, a network and a disk that do their
//! worst, and after every event the properties P20 to P26 of `docs/properties.md`. Then what deserves a test of its own.
//!
//! A run is made of bytes, always the same ones. One that fails is made shorter, and prints those that are left.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use crate::support::{self, DAY_MS, Publisher, Said, after, assert_says, check};
use leasehold::follow::{Action, Event, Follower, Health, Kept, Persist, Report, Settings};
use leasehold::generate::Choices;
use leasehold::wire::{Chunk, ChunkRef, FaultCode, SignedHead, Stage};
use leasehold::{EngineId, Hash, PinnedTenant, Snapshot, Timestamp};
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

const RUNS: u32 = 320;
const STEPS: usize = 120;
/// Enough for most of what is published in one run; behind them, the plainest happens.
const BYTES: usize = 40_000;

/// What a host's disk holds. Every write happens whole or not at all; what belongs together may be torn apart.
#[derive(Debug, Clone, Default)]
struct Disk {
    chunks: BTreeMap<Hash, Chunk>,
    head: Option<Arc<[u8]>>,
    seen: Option<Arc<[u8]>>,
}

/// One thing that is written or removed at once.
#[derive(Debug, Clone)]
enum Write {
    Chunk(Hash, Chunk),
    Head(Arc<[u8]>),
    Seen(Arc<[u8]>),
    Remove(Hash),
    /// All of a [`Persist`] is on disk.
    Done(u64),
}

impl Write {
    /// Contents first, the head behind them, and nothing is removed before that.
    fn all_of(persist: &Persist) -> impl Iterator<Item = Self> {
        let chunks = persist.chunks.iter().map(|(hash, chunk)| Self::Chunk(*hash, chunk.clone()));
        let obsolete = persist.obsolete.iter().map(|hash| Self::Remove(*hash));
        chunks.chain([Self::Head(persist.head.clone())]).chain(obsolete).chain([Self::Done(persist.token)])
    }
}

impl Disk {
    fn write(&mut self, write: Write) {
        match write {
            Write::Chunk(hash, chunk) => drop(self.chunks.insert(hash, chunk)),
            Write::Head(head) => self.head = Some(head),
            Write::Seen(head) => self.seen = Some(head),
            Write::Remove(hash) => drop(self.chunks.remove(&hash)),
            Write::Done(_) => {}
        }
    }

    fn restore(&self, follower: &mut Follower, now: Timestamp) -> Vec<Action> {
        let find = |hash| self.chunks.get(&hash).cloned();
        let (head, seen) = (self.head.as_deref().map(Vec::from), self.seen.as_deref().map(Vec::from));
        follower.restore(Kept { head, seen, find: &find }, now)
    }
}

/// What is under way between the host and the source.
#[derive(Debug, Clone)]
enum Message {
    AskHead(Option<Hash>),
    AskChunk(ChunkRef),
    Say(Event),
}

/// The place of a head in the order of heads.
type Order = (u64, u64, Timestamp);

fn order(head: &SignedHead) -> Order {
    let head = head.head();
    (head.epoch, head.revision.get(), head.issued_at)
}

/// A follower with everything around it.
struct Run<'c> {
    choices: Choices<'c>,
    publisher: Publisher,
    engine: Option<EngineId>,
    follower: Follower,
    disk: Disk,
    writes: VecDeque<Write>,
    network: Vec<Message>,
    /// The wait that will end, and those that were replaced.
    timer: Option<u64>,
    old_timers: Vec<u64>,
    /// How far the host's clock is off.
    skew_ms: i64,
    /// What the model says of the highest head that was seen.
    seen: Option<SignedHead>,
    /// What was told to be persisted last, until it was said whether it is.
    unpersisted: Option<u64>,
    /// When the publisher was told what is in force, where it was told nothing else since.
    told_at: Option<Timestamp>,
    /// Contents may lie on the disk that nothing names, until they are swept at the next start.
    torn: bool,
    counts: Counts,
}

/// How much of what is to be tested happened.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    events: u64,
    swaps: u64,
    candidates: u64,
    refused: u64,
    invalid: u64,
    restarts: u64,
    restored: u64,
    not_persisted: u64,
    stale_restores: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.swaps += other.swaps;
        self.candidates += other.candidates;
        self.refused += other.refused;
        self.invalid += other.invalid;
        self.restarts += other.restarts;
        self.restored += other.restored;
        self.not_persisted += other.not_persisted;
        self.stale_restores += other.stale_restores;
    }
}

/// Heads that are right for somebody else: another stream, environment or issuer, another root key.
fn foreign_heads() -> &'static [Vec<u8>] {
    static HEADS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    HEADS.get_or_init(|| {
        let own = support::certificate(&support::key(2), 1);
        let head = |certificate: &leasehold::wire::Certificate, root: u8, stream: &str| {
            let signer = support::signer_for(support::key(2), certificate, &support::key(root));
            let terms = leasehold::build::Terms {
                issued_at: after(support::start(), 5 * DAY_MS),
                fresh_for_ms: DAY_MS,
                slice_keys: Vec::new(),
            };
            let content = (support::revision(40), ChunkRef::to(b"{}"), None);
            signer.sign(&stream.parse().unwrap(), None, content, &terms).unwrap().bytes().to_vec()
        };
        let mut environment = own.clone();
        environment.environment = "staging".parse().unwrap();
        let mut issuer = own.clone();
        issuer.issuer = "other.example".parse().unwrap();
        vec![
            head(&own, 1, "EU-DE"),
            head(&environment, 1, support::STREAM),
            head(&issuer, 1, support::STREAM),
            head(&own, 9, support::STREAM),
        ]
    })
}

impl<'c> Run<'c> {
    fn new(mut choices: Choices<'c>) -> Self {
        let definitions = support::first_definitions(&mut choices);
        let engine = (!choices.percent(20)).then(|| format!("engine-{}", choices.wide() % 1000).parse().unwrap());
        let publisher = Publisher::new(&definitions);
        let follower = new_follower(engine.as_ref());
        Self {
            choices,
            publisher,
            engine,
            follower,
            disk: Disk::default(),
            writes: VecDeque::new(),
            network: Vec::new(),
            timer: None,
            old_timers: Vec::new(),
            skew_ms: 0,
            seen: None,
            unpersisted: None,
            told_at: None,
            torn: false,
            counts: Counts::default(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.publisher.now.as_ms() + self.skew_ms).unwrap()
    }

    /// Something happens.
    fn step(&mut self) {
        match self.choices.below(100) {
            0..=39 => (0..1 + self.choices.below(12)).for_each(|_| self.carry_something()),
            40..=59 => (0..1 + self.choices.below(12)).for_each(|_| self.write_something()),
            60..=63 => self.tell_timer(),
            64..=75 => self.publish_something(),
            76..=79 => self.tell(Event::Notified),
            80..=81 => self.tell(Event::ConnectionLost),
            82..=88 => {
                let head = self.some_document();
                self.tell(Event::Head(head));
            }
            89..=91 => {
                let late = self.choices.one_of(0, &[1, 2]);
                let old = self.old_timers.len().checked_sub(1 + late).map(|at| self.old_timers[at]);
                self.tell(Event::Timer(old.unwrap_or(999_999)));
            }
            92 => self.skew_ms = self.choices.one_of(0, &[-40 * DAY_MS, -1, 3_600_000, 40 * DAY_MS]),
            93 => self.tell(Event::NotModified { envelope: None }),
            94 => self.restart(),
            _ => self.carry_something(),
        }
    }

    /// The network carries one of the things that are under way, or fails to.
    fn carry_something(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let at = self.choices.below(self.network.len());
        if self.choices.percent(3) {
            self.network.swap_remove(at);
            return;
        }
        let message = if self.choices.percent(8) { self.network[at].clone() } else { self.network.swap_remove(at) };
        match self.answer(message) {
            Message::Say(event) if self.choices.percent(80) => {
                let event = self.spoil(event);
                self.tell(event);
            }
            later => self.network.push(later),
        }
    }

    /// What the source says to a question, as things stand.
    fn answer(&mut self, message: Message) -> Message {
        Message::Say(match message {
            Message::AskHead(etag) => {
                let last = self.publisher.last.bytes();
                match etag {
                    Some(etag) if etag == Hash::of(last) => Event::NotModified { envelope: None },
                    _ => Event::Head(last.to_vec()),
                }
            }
            Message::AskChunk(reference) => {
                let (_, bytes) = &self.publisher.chunks[&reference.hash];
                let compressed = self.choices.percent(50);
                let chunk = if compressed { Chunk::compressed(bytes) } else { Chunk::raw(bytes.clone()) };
                Event::Chunk(reference.hash, chunk)
            }
            Message::Say(event) => event,
        })
    }

    /// Some of what arrives is not what was sent.
    fn spoil(&mut self, event: Event) -> Event {
        if !self.choices.percent(3) {
            return event;
        }
        match event {
            Event::Head(_) if self.choices.percent(30) => Event::HeadFailed("503".into()),
            Event::Head(bytes) => Event::Head(self.spoilt(&bytes)),
            Event::Chunk(hash, _) if self.choices.percent(30) => Event::ChunkFailed(hash, "503".into()),
            Event::Chunk(hash, chunk) => {
                let bytes = self.spoilt(chunk.bytes());
                Event::Chunk(hash, if self.choices.percent(50) { Chunk::raw(bytes) } else { Chunk::zstd(bytes) })
            }
            other => other,
        }
    }

    fn somewhere_in(&mut self, bytes: &[u8]) -> usize {
        usize::try_from(self.choices.wide() % bytes.len().max(1) as u64).unwrap()
    }

    fn spoilt(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self.choices.below(4) {
            0 => bytes.truncate(self.somewhere_in(&bytes)),
            1 => bytes.push(self.choices.one_of(b'\n', b"0{")),
            _ if bytes.is_empty() => {}
            _ => {
                let at = self.somewhere_in(&bytes);
                bytes[at] ^= 1 << self.choices.below(8);
            }
        }
        bytes
    }

    /// A document that is pushed: the newest, an old one, a spoilt one, one for somebody else, one of a thief.
    fn some_document(&mut self) -> Vec<u8> {
        let old = |run: &mut Self| run.choices.pick(&run.publisher.documents).unwrap().to_vec();
        match self.choices.below(10) {
            0..=3 => self.publisher.last.bytes().to_vec(),
            4 | 5 => old(self),
            6 => {
                let document = old(self);
                self.spoilt(&document)
            }
            7 => self.choices.pick(foreign_heads()).unwrap().clone(),
            8 => {
                // The certificate of one with the head of another.
                let (one, other) = (old(self), old(self));
                let half = |document: &[u8]| {
                    let ends = document.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
                    ends.take(2).last().unwrap()
                };
                [&one[..half(&one)], &other[half(&other)..]].concat()
            }
            _ => {
                // A slice key signs a head.
                let head = self.publisher.last.head().clone();
                let own = self.publisher.signer.certificate();
                head.sign(&own.sign(&support::root()).unwrap(), &support::key(200)).unwrap()
            }
        }
    }

    fn publish_something(&mut self) {
        let publisher = &mut self.publisher;
        publisher.now = after(publisher.now, self.choices.one_of(60_000, &[1, 3_600_000, DAY_MS / 2]));
        let said = publisher.said.clone();
        let staged = |said: &Said| said.candidate.clone();
        if self.choices.percent(10) {
            publisher.certify_slice_key(200);
        }
        let next = match self.choices.below(20) {
            0..=6 => {
                let next = support::other_tenants(&mut self.choices, &said.base);
                Said::new(&next, staged(&said).as_ref().map(|(candidate, share)| (candidate, *share)))
            }
            7 | 8 => Said::new(&support::other_rules(&mut self.choices, &said.base), None),
            9 | 10 => {
                let candidate = support::other_rules(&mut self.choices, &said.base);
                Said::new(&said.base, Some((&candidate, self.choices.one_of(500, &[0, 1, 1000]))))
            }
            11 | 12 => match staged(&said) {
                // More of it, all of it, or none.
                Some((candidate, share)) => match self.choices.below(3) {
                    0 => Said::new(&candidate, None),
                    1 => Said::new(&said.base, None),
                    _ => Said::new(&said.base, Some((&candidate, (share + 250).min(1000)))),
                },
                None => return publisher.heartbeat(),
            },
            13 => {
                // A rollback is older content under a new revision.
                let all: Vec<&Arc<Said>> = publisher.revisions.values().collect();
                let older = (*self.choices.pick(&all).unwrap()).clone();
                return publisher.publish(older);
            }
            14 => Said::new(&support::broken(&mut self.choices, &said.base), None),
            15 => return publisher.change_key(publisher.epoch()),
            16 if self.choices.percent(30) => {
                let evil = support::other_tenants(&mut self.choices, &said.base);
                let ahead = self.choices.one_of(0, &[DAY_MS, 4_000 * DAY_MS]);
                let head = publisher.steal(&evil, ahead);
                return self.network.push(Message::Say(Event::Head(head.to_vec())));
            }
            16 | 17 if publisher.stolen => return publisher.end_epoch(),
            _ => return publisher.heartbeat(),
        };
        publisher.publish(Arc::new(next));
    }

    /// The disk does the next thing that it was told, or fails to.
    fn write_something(&mut self) {
        let Some(write) = self.writes.pop_front() else { return };
        if self.choices.percent(2) {
            return self.fail_to_write(&write);
        }
        self.write(write);
    }

    fn fail_to_write(&mut self, write: &Write) {
        if let Write::Seen(_) = write {
            return;
        }
        self.torn = true;
        // What belongs to the same is not tried any more.
        let is_end = |write: &Write| matches!(write, Write::Done(_));
        let end = if is_end(write) {
            Some(write.clone())
        } else {
            let end = self.writes.iter().position(is_end).unwrap();
            self.writes.drain(..=end).next_back()
        };
        if let Some(Write::Done(token)) = end {
            self.counts.not_persisted += 1;
            self.tell(Event::NotPersisted(token, "no space left on device".into()));
        }
    }

    fn write(&mut self, write: Write) {
        self.disk.write(write.clone());
        if let Write::Done(token) = write {
            self.tell(Event::Persisted(token));
        } else if self.choices.percent(5) {
            self.assert_disk_restores();
        }
    }

    /// P25: whatever was written of the next, the last that was written whole can be started from.
    fn assert_disk_restores(&mut self) {
        let mut follower = new_follower(self.engine.as_ref());
        let actions = self.disk.restore(&mut follower, self.now());
        assert!(follower.health(self.now()).faults.is_empty(), "{:?}", follower.health(self.now()));
        let swaps = actions.iter().filter(|action| matches!(action, Action::Swap(_))).count();
        assert_eq!((swaps, actions.len()), (usize::from(self.disk.head.is_some()), swaps));
        assert!(follower.head().map(SignedHead::bytes) == self.disk.head.as_ref());
        let Some(head) = follower.head().cloned() else { return };
        self.assert_in_force(&head, follower.snapshot().unwrap(), false);
    }

    fn tell_timer(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.tell(Event::Timer(timer));
        }
    }

    /// The process ends and another begins with what is on disk. Whatever was under way is lost.
    fn restart(&mut self) {
        self.counts.restarts += 1;
        self.assert_disk_restores();
        self.writes.clear();
        self.unpersisted = None;
        self.told_at = None;
        if self.choices.percent(80) {
            self.network.clear();
        }
        self.follower = new_follower(self.engine.as_ref());
        let now = self.now();
        for action in self.disk.restore(&mut self.follower, now) {
            assert!(matches!(action, Action::Swap(_)), "{action:?}");
            self.counts.restored += 1;
        }
        // What nothing names any more is swept.
        let needed: BTreeSet<Hash> = self.follower.contents().collect();
        self.disk.chunks.retain(|hash, _| needed.contains(hash));
        self.torn = false;
        let head_of = |document: &Option<Arc<[u8]>>| {
            document.as_ref().map(|document| self.publisher.head_of(document).unwrap().clone())
        };
        let kept = head_of(&self.disk.head);
        self.seen = kept.clone().into_iter().chain(head_of(&self.disk.seen)).max_by_key(order);
        self.counts.stale_restores += u64::from(kept.as_ref().map(order) < self.seen.as_ref().map(order));
        let health = self.follower.health(now);
        assert_eq!(health.seen, self.seen.as_ref().map(|head| (head.head().epoch, head.head().revision)));
        // Timers of the last process do not count.
        self.old_timers.clear();
        self.timer = None;
        self.tell(Event::Started);
    }

    /// What the model says of a document: nothing where it must be refused.
    fn admissible(&self, document: &[u8]) -> Option<SignedHead> {
        let head = self.publisher.head_of(document)?;
        let Some(seen) = &self.seen else { return Some(head.clone()) };
        let (now, before) = (order(head), order(seen));
        let newer = now.0 > before.0 || (now.1 > before.1 && now.0 == before.0 && now.2 > before.2);
        let again = (now.0, now.1) == (before.0, before.1) && now.2 > before.2;
        (newer || again || head.bytes() == seen.bytes()).then(|| head.clone())
    }

    /// Something happens to the host. All that holds after every event is checked here.
    fn tell(&mut self, event: Event) {
        self.counts.events += 1;
        let now = self.now();
        let before = (self.follower.snapshot().cloned(), self.follower.head().cloned(), self.follower.health(now));
        let admissible = match &event {
            Event::Head(document) => Some(self.admissible(document)),
            _ => None,
        };
        let random = self.choices.wide();
        let actions = self.follower.handle(event.clone(), now, random);
        let health = self.follower.health(now);

        if let Some(admissible) = admissible {
            self.check_admission(admissible, &before.2, &health, &actions);
        }
        self.check_chunk(&event, &actions);
        self.check_force(&event, before.0.as_ref(), before.1.as_ref(), &actions);
        self.check_reports(&event, &actions, &before.2, &health);
        self.check_waits(&before.2, &health, &actions);
        self.carry(actions);
        // P24: there is always something that will happen.
        assert!(self.timer.is_some(), "nothing will ever happen again after {event:?}");
        if self.unpersisted.is_none() && self.writes.is_empty() && health.persisted && !self.torn {
            // P25: the disk holds what is needed, and nothing else.
            let kept: BTreeSet<Hash> = self.disk.chunks.keys().copied().collect();
            let needed: BTreeSet<Hash> = self.follower.contents().collect();
            assert_eq!(kept.difference(&needed).count(), 0, "garbage is kept after {event:?}");
            assert_eq!(kept, needed);
            assert!(self.disk.head.as_ref() == self.follower.head().map(SignedHead::bytes));
        }
    }

    /// P21 and P22: only what the publisher signed, and nothing below what was seen, is looked into any further.
    fn check_admission(&mut self, head: Option<SignedHead>, before: &Health, after: &Health, actions: &[Action]) {
        let nacks: Vec<&leasehold::wire::Fault> = actions.iter().filter_map(nack).collect();
        let Some(head) = head else {
            self.counts.refused += 1;
            assert_eq!(nacks.len(), 1, "{actions:?}");
            assert!(matches!(nacks[0].stage(), Stage::Verify | Stage::Parse), "{:?}", nacks[0]);
            let quiet = |action: &Action| matches!(action, Action::Report(_) | Action::Wait { .. });
            assert!(actions.iter().all(quiet), "{actions:?}");
            assert_eq!(after.seen, before.seen);
            assert!(after.faults.iter().any(|seen| seen.fault.code() == nacks[0].code()));
            return;
        };
        assert_eq!(after.seen, Some((head.head().epoch, head.head().revision)));
        assert!(nacks.iter().all(|fault| fault.stage() != Stage::Verify), "{nacks:?}");
        self.seen = Some(head);
    }

    /// A content that is not the one that is named puts nothing in force.
    fn check_chunk(&self, event: &Event, actions: &[Action]) {
        let Event::Chunk(hash, chunk) = event else { return };
        if chunk.open(self.publisher.chunks[hash].0).is_err() {
            let swap = actions.iter().any(|action| matches!(action, Action::Swap(_) | Action::Persist(_)));
            assert!(!swap, "{actions:?}");
        }
    }

    /// P20: what is in force is what was published, and it only ever goes forward.
    fn check_force(
        &mut self,
        event: &Event,
        before: Option<&Arc<Snapshot>>,
        head_before: Option<&SignedHead>,
        actions: &[Action],
    ) {
        let swaps: Vec<&Arc<Snapshot>> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Swap(snapshot) => Some(snapshot),
                _ => None,
            })
            .collect();
        let current = self.follower.snapshot();
        let Some(last) = swaps.last() else {
            assert_eq!(before.map(Arc::as_ptr), current.map(Arc::as_ptr));
            assert_eq!(head_before.map(order), self.follower.head().map(order));
            return;
        };
        self.counts.swaps += 1;
        assert_eq!(swaps.len(), 1);
        assert!(Arc::ptr_eq(last, current.unwrap()));
        let head = self.follower.head().unwrap().clone();
        assert!(head_before.map(order) <= Some(order(&head)));
        assert_eq!(self.seen.as_ref().map(order), Some(order(&head)), "what {event:?} puts in force is the newest");
        self.assert_in_force(&head, last, true);
        let names = self.publisher.said_at(&head).names();
        assert_eq!(self.follower.contents().collect::<BTreeSet<_>>(), names, "no more is held than the head names");
        let candidate = head.head().staged_for(self.engine.as_ref()).is_some();
        self.counts.candidates += u64::from(candidate);
        assert_eq!(self.follower.health(self.now()).candidate, candidate);
    }

    fn assert_in_force(&self, head: &SignedHead, snapshot: &Snapshot, confirmed: bool) {
        let (said, engine) = (self.publisher.said_at(head), self.engine.as_ref());
        assert_eq!(snapshot.stamp(), head.head().stamp());
        let instants = support::some_instants(head.head().issued_at);
        assert_says(snapshot, said.in_use(engine), said.says(engine, confirmed), &instants);
    }

    /// P23: every refusal has a code; what is acknowledged is in force, and the disk has said what it thinks of it.
    fn check_reports(&mut self, event: &Event, actions: &[Action], before: &Health, after: &Health) {
        let token = match event {
            Event::Persisted(token) => Some((*token, true)),
            Event::NotPersisted(token, _) => Some((*token, false)),
            _ => None,
        };
        let expected = token.filter(|(token, _)| self.unpersisted == Some(*token));
        let acks: Vec<&Report> = actions.iter().filter_map(ack).collect();
        // Where the source confirms what is in force, that is told again, and not more often than it should be.
        let since = self.told_at.map(|at| self.now().as_ms() - at.as_ms());
        let confirmed = expected.is_none()
            && matches!(event, Event::NotModified { .. } | Event::Head(_))
            && since.is_none_or(|ms| ms >= Settings::default().report_ms.cast_signed());
        assert!(acks.len() == usize::from(expected.is_some()) || confirmed && acks.len() == 1, "{event:?} {actions:?}");
        if let [Report::Ack { epoch, revision, candidate, persisted, .. }] = acks.as_slice() {
            let told = (Some(*epoch), Some(*revision), *candidate, *persisted);
            assert_eq!(told, (after.epoch, after.revision, after.candidate, after.persisted));
            self.told_at = Some(self.now());
        }
        if let (Some((_, persisted)), [Report::Ack { epoch, revision, candidate, persisted: told, .. }]) =
            (expected, acks.as_slice())
        {
            self.unpersisted = None;
            let in_force = (after.epoch, after.revision, after.candidate);
            assert_eq!((Some(*epoch), Some(*revision), *candidate), in_force);
            assert_eq!((*told, after.persisted), (persisted, persisted));
            let noted = after.faults.iter().any(|seen| seen.fault.fault_code() == FaultCode::NotPersisted);
            assert_eq!(noted, !persisted);
        }
        for fault in actions.iter().filter_map(nack) {
            self.told_at = None;
            assert!(!fault.code().is_empty() && !fault.to_string().is_empty());
            let noted = after.faults.iter().find(|seen| seen.fault.code() == fault.code()).unwrap();
            assert_eq!(&noted.fault, fault);
            self.counts.invalid += u64::from(fault.fault_code() == FaultCode::InvalidDefinitions);
        }
        // Nothing fails quietly.
        let noted = |health: &Health| health.faults.iter().map(|seen| seen.count).sum::<u64>();
        if after.failures > before.failures {
            assert!(noted(after) > noted(before));
        }
    }

    /// P24: waits grow with failures, and have bounds.
    fn check_waits(&self, before: &Health, after: &Health, actions: &[Action]) {
        let settings = Settings::default();
        let backoff = |failures: u32| {
            let doubled = settings.backoff_min_ms << (failures - 1).min(20);
            let most = doubled.min(settings.backoff_max_ms);
            most / 2..=most
        };
        let asked = |action: &Action| matches!(action, Action::FetchHead { .. } | Action::FetchChunk(_));
        let waits: Vec<u64> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Wait { ms, .. } => Some(*ms),
                _ => None,
            })
            .collect();
        assert!(waits.len() <= 1, "{actions:?}");
        let failed = after.failures > before.failures;
        for ms in waits {
            if failed {
                assert!(backoff(after.failures).contains(&ms), "{ms} ms after {} failures", after.failures);
            } else if actions.iter().any(asked) {
                assert_eq!(ms, settings.timeout_ms);
            } else {
                let poll = settings.poll_ms * 9 / 10..settings.poll_ms * 11 / 10;
                assert!(poll.contains(&ms) || ms == settings.timeout_ms, "{ms} ms");
            }
        }
        if actions.iter().any(asked) || failed {
            assert!(actions.iter().any(|action| matches!(action, Action::Wait { .. })));
        }
    }

    fn carry(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::FetchHead { etag } => {
                    // Only what is in force and the newest that was seen may be spared.
                    let in_force = self.follower.head().map(|head| Hash::of(head.bytes()));
                    assert!(etag.is_none() || etag == in_force);
                    assert!(etag.is_none() || in_force == self.seen.as_ref().map(|head| Hash::of(head.bytes())));
                    self.network.push(Message::AskHead(etag));
                }
                Action::FetchChunk(reference) => {
                    assert_eq!(self.publisher.chunks[&reference.hash].0, reference);
                    self.network.push(Message::AskChunk(reference));
                }
                Action::Wait { timer, .. } => self.old_timers.extend(self.timer.replace(timer)),
                Action::Persist(persist) => {
                    self.unpersisted = Some(persist.token);
                    self.writes.extend(Write::all_of(&persist));
                }
                Action::PersistSeen(head) => self.writes.push_back(Write::Seen(head)),
                Action::Swap(_) | Action::Report(_) => {}
            }
        }
    }

    /// All is well: the next thing is written, or the next that is under way arrives. Says whether there was any.
    fn calm_step(&mut self) -> bool {
        if let Some(write) = self.writes.pop_front() {
            self.write(write);
        } else if self.network.is_empty() {
            return false;
        } else {
            let message = self.network.remove(0);
            match self.answer(message) {
                Message::Say(event) => self.tell(event),
                other => self.network.push(other),
            }
        }
        true
    }

    fn calm(&mut self) {
        while self.calm_step() {}
    }

    /// P26: once all is well for long enough, the follower is at the newest head, fresh, and its disk too.
    fn settle(&mut self) {
        if self.publisher.stolen {
            self.publisher.end_epoch();
        }
        if !support::compiles(self.publisher.said.in_use(self.engine.as_ref())) {
            let good =
                self.publisher.revisions.values().find(|said| support::compiles(said.in_use(self.engine.as_ref())));
            let good = good.unwrap().clone();
            self.publisher.publish(good);
        }
        self.publisher.heartbeat();
        self.skew_ms = 0;
        for _ in 0..4 {
            self.calm();
            self.tell_timer();
        }
        self.calm();
        let health = self.follower.health(self.now());
        assert_eq!(self.follower.head().map(order), Some(order(&self.publisher.last)), "{health:?}");
        assert!(health.persisted && health.faults.is_empty() && health.failures == 0, "{health:?}");
        assert_eq!(health.freshness.map(|freshness| freshness.as_str()), Some("fresh"), "{health:?}");
        self.assert_disk_restores();
    }
}

fn new_follower(engine: Option<&EngineId>) -> Follower {
    match engine {
        Some(engine) => Follower::of_engine(support::trust(), engine.clone()),
        None => Follower::of_stream(support::trust()),
    }
}

fn nack(action: &Action) -> Option<&leasehold::wire::Fault> {
    match action {
        Action::Report(Report::Nack { fault, .. }) => Some(fault),
        _ => None,
    }
}

fn ack(action: &Action) -> Option<&Report> {
    match action {
        Action::Report(report @ Report::Ack { .. }) => Some(report),
        _ => None,
    }
}

/// One run.
fn run(choices: Choices<'_>) -> Counts {
    let mut run = Run::new(choices);
    run.tell(Event::Started);
    for step in 0..STEPS {
        run.step();
        // Now and then all is well for a while.
        if step % 60 == 59 {
            run.settle();
        }
    }
    run.settle();
    run.counts
}

#[test]
fn p20_to_p26_whatever_happens() {
    let total = Cell::new(Counts::default());
    check(RUNS, BYTES, |choices| {
        let mut counts = total.get();
        counts.add(run(choices.clone()));
        total.set(counts);
        Ok(())
    });
    let total = total.get();
    let Counts { swaps, candidates, refused, invalid, restored, not_persisted, stale_restores, .. } = total;
    let enough = [swaps > 1_000, candidates > 70, refused > 700, invalid > 130, restored > 100];
    assert!(enough.iter().all(|it| *it) && not_persisted > 70 && stale_restores > 70, "{total:?}");
}

/// Ends the process after so many steps of a scenario, for every number of steps that it has.
fn restart_at_every_step(choices: &Choices<'_>, prepare: impl Fn(&mut Run<'_>)) -> usize {
    for steps in 0.. {
        let mut run = Run::new(choices.clone());
        prepare(&mut run);
        let under_way = (0..steps).all(|_| run.calm_step());
        let before = run.follower.head().map(order);
        run.restart();
        assert!(run.follower.head().map(order) <= before);
        run.settle();
        if !under_way {
            return steps;
        }
    }
    0
}

#[test]
fn p27_a_restart_at_any_step_loses_nothing_that_was_persisted() {
    let total = Cell::new(0);
    check(4, BYTES, |choices| {
        // A first start, from an empty disk.
        let mut steps = restart_at_every_step(choices, |run| run.tell(Event::Started));
        // From one revision to the next: tenants only, all of the definitions, or definitions on trial.
        for change in 0..3 {
            steps += restart_at_every_step(choices, |run| {
                run.tell(Event::Started);
                run.settle();
                let base = run.publisher.said.base.clone();
                let next = match change {
                    0 => Said::new(&support::other_tenants(&mut run.choices, &base), None),
                    1 => Said::new(&support::other_rules(&mut run.choices, &base), None),
                    _ => Said::new(&base, Some((&support::other_rules(&mut run.choices, &base), 1000))),
                };
                run.publisher.publish(Arc::new(next));
                run.tell(Event::Notified);
            });
        }
        total.set(total.get() + steps);
        Ok(())
    });
    assert!(total.get() > 150, "{} steps", total.get());
}

/// The thief of a fleet key cannot keep engines from the next epoch: neither with a high revision nor with a far instant.
#[test]
fn a_stolen_key_ends_with_its_epoch() {
    for ahead_ms in [1, 4_000 * DAY_MS] {
        let mut run = Run::new(Choices::from_seed(1));
        run.tell(Event::Started);
        run.settle();
        let evil = support::other_tenants(&mut run.choices, &run.publisher.said.base.clone());
        let head = run.publisher.steal(&evil, ahead_ms);
        run.tell(Event::Head(head.to_vec()));
        run.calm();
        assert_eq!(run.follower.health(run.now()).revision.map(leasehold::Revision::get), Some(501));
        run.publisher.end_epoch();
        run.settle();
        let health = run.follower.health(run.now());
        assert_eq!((health.epoch, health.revision.map(leasehold::Revision::get)), (Some(2), Some(1)));
        // What the thief signs now is of an epoch that is over.
        run.tell(Event::Head(head.to_vec()));
        let faults = run.follower.health(run.now()).faults;
        assert_eq!(faults.iter().map(|seen| seen.fault.code()).collect::<Vec<_>>(), ["older_revision"]);
    }
}

/// A source that has nothing newer than what it was not asked about says nothing about what runs.
#[test]
fn not_modified_counts_only_where_it_was_asked_for() {
    let mut run = Run::new(Choices::from_seed(2));
    run.tell(Event::Started);
    run.settle();
    let next = support::other_rules(&mut run.choices, &run.publisher.said.base.clone());
    run.publisher.publish_definitions(&next);
    // The next head was seen, its contents cannot be had, and the process ends.
    run.tell(Event::Head(run.publisher.last.bytes().to_vec()));
    while matches!(run.writes.front(), Some(Write::Seen(_))) {
        run.calm_step();
    }
    run.restart();
    run.tell(Event::NotModified { envelope: None });
    let health = run.follower.health(run.now());
    assert_eq!((health.failures, health.last_contact_at), (1, None));
    assert_ne!(health.freshness.map(|freshness| freshness.as_str()), Some("fresh"));
    run.settle();
}

/// What was notified while something was under way is asked for right behind it.
#[test]
fn a_notification_while_busy_is_not_forgotten() {
    let mut run = Run::new(Choices::from_seed(3));
    run.tell(Event::Started);
    run.tell(Event::Head(run.publisher.last.bytes().to_vec()));
    run.network.retain(|message| matches!(message, Message::AskChunk(_)));
    assert!(!run.network.is_empty());
    run.publisher.heartbeat();
    run.tell(Event::Notified);
    // No timer ends.
    run.calm();
    assert_eq!(run.follower.head().map(order), Some(order(&run.publisher.last)));
}

/// What came before a failure is not fetched again.
#[test]
fn contents_that_came_are_not_asked_for_twice() {
    let mut run = Run::new(Choices::from_seed(3));
    run.tell(Event::Started);
    let mut asked: Vec<Hash> = Vec::new();
    // The connection is lost behind every content.
    for _ in 0..1_000 {
        match run.network.pop() {
            None if run.follower.head().is_some() => break,
            None => run.tell_timer(),
            Some(message) => {
                let content = matches!(message, Message::AskChunk(_));
                if let Message::AskChunk(reference) = &message {
                    asked.push(reference.hash);
                }
                if let Message::Say(event) = run.answer(message) {
                    run.tell(event);
                }
                if content {
                    run.network.clear();
                    run.tell(Event::ConnectionLost);
                }
            }
        }
    }
    assert!(run.follower.head().is_some());
    let count = asked.len();
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), count);
}

#[test]
fn p28_a_larger_share_only_adds_engines() {
    check(16, 4_000, |choices| {
        let name = choices.wide();
        let engines: Vec<EngineId> = (0..1_000).map(|n| format!("engine-{name}-{n}").parse().unwrap()).collect();
        let mut shares = vec![0, 1, 999, 1000];
        shares.extend((0..8).map(|_| u16::try_from(choices.wide() % 1_000).unwrap()));
        shares.sort_unstable();
        let base = support::first_definitions(choices);
        let candidate = support::other_rules(choices, &base);
        let mut before: BTreeSet<&EngineId> = BTreeSet::new();
        for share in shares {
            let staged = Said::new(&base, Some((&candidate, share))).staged().unwrap();
            let now: BTreeSet<&EngineId> = engines.iter().filter(|engine| staged.includes(engine)).collect();
            prop_assert!(before.is_subset(&now), "{} permille", share);
            let many = now.len();
            prop_assert!(many.abs_diff(usize::from(share)) <= 75, "{} of a thousand at {} permille", many, share);
            before = now;
        }
        prop_assert_eq!(before.len(), 1000);
        Ok(())
    });
}

/// A candidate goes from no engine to all, each uses what its side of the share says, and tenants change meanwhile.
#[test]
fn staging_goes_its_way() {
    for number in 0..8 {
        let mut run = Run::new(Choices::from_seed(6));
        run.engine = Some(format!("engine-{number}").parse().unwrap());
        run.follower = new_follower(run.engine.as_ref());
        run.tell(Event::Started);
        run.settle();
        let candidate = support::other_rules(&mut run.choices, &run.publisher.said.base.clone());
        let mut uses = false;
        for share in [0, 200, 500, 1000] {
            let tenants = support::other_tenants(&mut run.choices, &run.publisher.said.base.clone());
            run.publisher.publish(Arc::new(Said::new(&tenants, Some((&candidate, share)))));
            run.tell(Event::Notified);
            run.settle();
            let health = run.follower.health(run.now());
            assert!(health.candidate || !uses, "raising the share takes nobody out");
            uses = health.candidate;
        }
        assert!(uses);
        // It becomes what everybody uses, or nobody does.
        let base = run.publisher.said.base.clone();
        let next = if number % 2 == 0 { Said::new(&candidate, None) } else { Said::new(&base, None) };
        run.publisher.publish(Arc::new(next));
        run.tell(Event::Notified);
        run.settle();
        assert!(!run.follower.health(run.now()).candidate);
    }
}

/// A candidate that does not compile: engines in the share say so and stay with what they have, the others go on.
#[test]
fn a_broken_candidate_halts_only_its_share() {
    for (share, halts) in [(1000, true), (0, false)] {
        let mut run = Run::new(Choices::from_seed(7));
        run.engine = Some("engine-1".parse().unwrap());
        run.follower = new_follower(run.engine.as_ref());
        run.tell(Event::Started);
        run.settle();
        let before = run.follower.head().map(order);
        let base = run.publisher.said.base.clone();
        let mut broken = base.clone();
        // Tenants are on plans that the candidate does not have.
        broken.plans.clear();
        broken.add_ons.clear();
        run.publisher.publish(Arc::new(Said::new(&base, Some((&broken, share)))));
        run.tell(Event::Notified);
        run.calm();
        let health = run.follower.health(run.now());
        let codes: Vec<_> = health.faults.iter().map(|seen| (seen.fault.stage(), seen.fault.code())).collect();
        if halts {
            assert_eq!(codes, [(Stage::Compile, "invalid_definitions")]);
            assert_eq!(run.follower.head().map(order), before);
            // Asking again fetches nothing again: the contents are known to be wrong.
            run.tell_timer();
            run.calm_step();
            assert!(run.network.is_empty(), "{:?}", run.network);
        } else {
            assert_eq!(codes, []);
        }
        run.publisher.publish(Arc::new(Said::new(&base, None)));
        run.settle();
    }
}

mod slices {
    use super::*;
    use leasehold::TenantId;
    use leasehold::build::{cut, definitions_hash, sign_slice};
    use leasehold::wire::canonical;

    struct Slices {
        publisher: Publisher,
        tenant: TenantId,
        follower: Follower,
        /// The last that was told to be persisted.
        kept: Option<Vec<u8>>,
    }

    impl Slices {
        fn new(choices: &mut Choices<'_>) -> Self {
            let definitions = support::first_definitions(choices);
            let tenant = definitions.tenants.keys().next().unwrap().clone();
            let mut publisher = Publisher::new(&definitions);
            publisher.certify_slice_key(100);
            publisher.heartbeat();
            let follower = Follower::of_slice(support::trust(), tenant.clone());
            Self { publisher, tenant, follower, kept: None }
        }

        fn content(&self, tenant: &TenantId) -> Vec<u8> {
            let at = self.publisher.last.head().issued_at;
            canonical::to_vec(&cut(&self.publisher.said.base, tenant, at).unwrap()).unwrap()
        }

        fn document(&self, tenant: &TenantId) -> Vec<u8> {
            let definitions = definitions_hash(&self.publisher.said.base).unwrap();
            sign_slice(&self.publisher.last, tenant, definitions, &self.content(tenant), &support::key(100)).unwrap()
        }

        fn envelope(&self, tenant: &TenantId) -> Vec<u8> {
            let mut document = self.document(tenant);
            document.truncate(document.len() - self.content(tenant).len() - 1);
            document
        }

        fn tell(&mut self, event: Event) -> Vec<Action> {
            let before = self.follower.snapshot().cloned();
            let actions = self.follower.handle(event, self.publisher.now, 7);
            for action in &actions {
                if let Action::Persist(persist) = action {
                    assert!(persist.chunks.is_empty() && persist.obsolete.is_empty());
                    self.kept = Some(persist.head.to_vec());
                    let actions = self.follower.handle(Event::Persisted(persist.token), self.publisher.now, 7);
                    assert!(matches!(actions.as_slice(), [Action::Report(Report::Ack { persisted: true, .. })]));
                }
            }
            let swapped = actions.iter().any(|action| matches!(action, Action::Swap(_)));
            let same = before.as_ref().map(Arc::as_ptr) == self.follower.snapshot().map(Arc::as_ptr);
            assert_ne!(swapped, same);
            // What is kept can always be started from.
            if let Some(kept) = &self.kept {
                let mut follower = Follower::of_slice(support::trust(), self.tenant.clone());
                let kept = Kept { head: Some(kept.clone()), seen: None, find: &|_| None };
                let actions = follower.restore(kept, self.publisher.now);
                assert!(matches!(actions.as_slice(), [Action::Swap(_)]), "{:?}", follower.health(self.publisher.now));
                assert_eq!(follower.head().map(order), self.follower.head().map(order));
            }
            actions
        }

        fn assert_current(&self) {
            let (snapshot, head) = (self.follower.snapshot().unwrap(), self.publisher.last.head());
            let sliced = cut(&self.publisher.said.base, &self.tenant, head.issued_at).unwrap();
            assert_eq!(self.follower.head().map(order), Some(order(&self.publisher.last)));
            let says = self.publisher.said.says(None, true);
            assert_says(snapshot, &sliced.definitions, says, &support::some_instants(head.issued_at));
            // What the slice leaves out is nothing that it would be asked for.
            let whole = Snapshot::compile(&self.publisher.said.base, snapshot.stamp()).unwrap();
            let (ours, theirs) = (snapshot.tenant(self.tenant.as_str()), whole.tenant(self.tenant.as_str()));
            for now in [head.issued_at, after(head.issued_at, 30 * DAY_MS), Timestamp::MAX] {
                let (ours, theirs) = (ours.clone().unwrap(), theirs.clone().unwrap());
                assert_eq!(ours.entitlements(now), theirs.entitlements(now));
                let flags = |tenant: &PinnedTenant<'_>| -> Vec<_> {
                    let all = tenant.evaluate_all(now).flags.into_iter();
                    all.map(|flag| (flag.key, flag.value, flag.variant, flag.reason)).collect()
                };
                assert_eq!(flags(&ours), flags(&theirs));
            }
        }

        /// Refused with this code; what runs stays.
        fn assert_refuses(&mut self, event: Event, expected: &str) {
            let actions = self.tell(event);
            let codes: Vec<&str> = actions.iter().filter_map(nack).map(leasehold::wire::Fault::code).collect();
            assert_eq!(codes, [expected], "{actions:?}");
            assert!(!actions.iter().any(|action| matches!(action, Action::Swap(_) | Action::Persist(_))));
        }
    }

    fn started(choices: &mut Choices<'_>) -> Slices {
        let mut slices = Slices::new(choices);
        let actions = slices.tell(Event::Started);
        assert!(matches!(actions[0], Action::FetchHead { etag: None }));
        let document = slices.document(&slices.tenant.clone());
        slices.tell(Event::Head(document));
        slices.assert_current();
        slices
    }

    fn ask(slices: &mut Slices) -> Option<Hash> {
        let actions = slices.tell(Event::Notified);
        let [Action::FetchHead { etag }, ..] = actions.as_slice() else { panic!("{actions:?}") };
        *etag
    }

    #[test]
    fn p29_an_envelope_alone_renews_a_slice() {
        check(64, 4_000, |choices| {
            let waits: Vec<i64> = (0..=choices.below(5)).map(|_| 1 + choices.below(20) as i64).collect();
            let mut slices = started(choices);
            let tenant = slices.tenant.clone();
            let mut before = slices.follower.health(slices.publisher.now).expires_at;
            for hours in waits {
                slices.publisher.now = after(slices.publisher.now, hours * 3_600_000);
                slices.publisher.certify_slice_key(100);
                slices.publisher.heartbeat();
                prop_assert_eq!(ask(&mut slices), Some(Hash::of(&slices.content(&tenant))));
                let envelope = slices.envelope(&tenant);
                slices.tell(Event::NotModified { envelope: Some(envelope) });
                slices.assert_current();
                let renewed = slices.follower.health(slices.publisher.now).expires_at;
                prop_assert!(renewed > before);
                // The slice key's end comes before the head's.
                prop_assert!(renewed < Some(slices.publisher.last.head().expires_at));
                before = renewed;
            }
            Ok(())
        });
    }

    /// A slice that is signed anew at the same head, by a key that lives longer, is another slice.
    #[test]
    fn another_slice_key_renews_a_slice_at_the_same_head() {
        let mut slices = Slices::new(&mut Choices::from_seed(3));
        slices.publisher.certify_slice_key(101);
        slices.publisher.heartbeat();
        slices.tell(Event::Started);
        let tenant = slices.tenant.clone();
        let by = |slices: &Slices, key| {
            let definitions = definitions_hash(&slices.publisher.said.base).unwrap();
            let content = slices.content(&tenant);
            sign_slice(&slices.publisher.last, &tenant, definitions, &content, &support::key(key)).unwrap()
        };
        let (first, second) = (by(&slices, 100), by(&slices, 101));
        assert_ne!(first, second);
        slices.tell(Event::Head(first.clone()));
        assert!(!slices.tell(Event::Head(first)).iter().any(|action| matches!(action, Action::Swap(_))));
        assert!(slices.tell(Event::Head(second)).iter().any(|action| matches!(action, Action::Swap(_))));
        slices.assert_current();
    }

    #[test]
    fn a_change_brings_another_slice() {
        let mut slices = started(&mut Choices::from_seed(3));
        let tenant = slices.tenant.clone();
        let mut choices = Choices::from_seed(4);
        for _ in 0..6 {
            let base = slices.publisher.said.base.clone();
            let mut next = support::other_rules(&mut choices, &base);
            next.tenants.extend(base.tenants.get(&tenant).map(|own| (tenant.clone(), own.clone())));
            slices.publisher.publish_definitions(&next);
            ask(&mut slices);
            let document = slices.document(&tenant);
            slices.tell(Event::Head(document));
            slices.assert_current();
        }
    }

    /// A push may leave the content out where it is the same: what is kept is whole all the same.
    #[test]
    fn an_envelope_that_is_pushed_is_kept_with_its_content() {
        let mut slices = started(&mut Choices::from_seed(3));
        slices.publisher.heartbeat();
        let envelope = slices.envelope(&slices.tenant.clone());
        slices.tell(Event::Head(envelope));
        slices.assert_current();
    }

    #[test]
    fn what_is_not_this_tenants_slice_is_refused() {
        let mut slices = started(&mut Choices::from_seed(3));
        let tenant = slices.tenant.clone();
        let (older, older_envelope) = (slices.document(&tenant), slices.envelope(&tenant));
        let base = slices.publisher.said.base.clone();
        let other = base.tenants.keys().find(|id| **id != tenant).unwrap().clone();
        slices.publisher.publish_definitions(&base);
        ask(&mut slices);
        let document = slices.document(&tenant);
        slices.tell(Event::Head(document.clone()));
        slices.assert_current();

        ask(&mut slices);
        slices.assert_refuses(Event::Head(older), "older_revision");
        ask(&mut slices);
        slices.assert_refuses(Event::NotModified { envelope: Some(older_envelope.clone()) }, "older_revision");
        ask(&mut slices);
        slices.assert_refuses(Event::NotModified { envelope: None }, "malformed");
        slices.publisher.heartbeat();
        let others = slices.document(&other);
        slices.assert_refuses(Event::Head(others.clone()), "wrong_tenant");
        let head = slices.publisher.last.bytes().to_vec();
        // The envelope of one head behind another.
        let mixed = [
            &head[..],
            &document[document.len() - (older_envelope.len() - head.len()) - slices.content(&tenant).len() - 1..],
        ];
        let mixed = mixed.concat();
        slices.assert_refuses(Event::Head(mixed), "hash_mismatch");
        slices.assert_refuses(Event::Head(head), "truncated");
        // The envelope of one content with another.
        let swapped = [slices.envelope(&tenant), slices.content(&other), b"\n".to_vec()].concat();
        let length = slices.content(&tenant).len().cmp(&slices.content(&other).len());
        let code = match length {
            std::cmp::Ordering::Less => "too_long",
            std::cmp::Ordering::Equal => "hash_mismatch",
            std::cmp::Ordering::Greater => "truncated",
        };
        slices.assert_refuses(Event::Head(swapped), code);
        // A key that the head does not certify.
        let content = slices.content(&tenant);
        let envelope = leasehold::wire::SliceEnvelope {
            tenant: tenant.clone(),
            content: ChunkRef::to(&content),
            definitions: definitions_hash(&base).unwrap(),
            head: Hash::of(slices.publisher.last.bytes()),
            expires_at: slices.publisher.last.head().expires_at,
        };
        let unknown =
            [envelope.sign(&slices.publisher.last, &support::key(101)).unwrap(), content, b"\n".to_vec()].concat();
        slices.assert_refuses(Event::Head(unknown), "unknown_key");
        // One that outlives its key.
        let content = slices.content(&tenant);
        let outliving =
            [envelope.sign(&slices.publisher.last, &support::key(100)).unwrap(), content, b"\n".to_vec()].concat();
        slices.assert_refuses(Event::Head(outliving), "key_expired");
        // A stream takes no slice for a head.
        let mut stream = Follower::of_stream(support::trust());
        stream.handle(Event::Started, slices.publisher.now, 0);
        let actions = stream.handle(Event::Head(slices.document(&tenant)), slices.publisher.now, 0);
        assert_eq!(actions.iter().find_map(nack).map(leasehold::wire::Fault::code), Some("wrong_document"));
        // After all that, the newest is taken.
        let newest = slices.document(&tenant);
        slices.tell(Event::Head(newest));
        slices.assert_current();
    }

    #[test]
    fn every_bit_and_every_end_of_a_slice_counts() {
        let slices = Slices::new(&mut Choices::from_seed(3));
        let (document, now) = (slices.document(&slices.tenant), slices.publisher.now);
        let mut follower = Follower::of_slice(support::trust(), slices.tenant.clone());
        let mut refused = |bytes: Vec<u8>| {
            let actions = follower.handle(Event::Head(bytes), now, 0);
            assert_eq!(actions.iter().filter_map(nack).count(), 1);
            assert!(follower.snapshot().is_none());
        };
        // Every byte of what is signed, and some of the content behind it.
        let envelope = slices.envelope(&slices.tenant).len();
        let some = |length: usize| (0..envelope).chain((envelope..length).step_by(13));
        for at in some(document.len()) {
            let mut altered = document.clone();
            altered[at] ^= 1 << (at % 8);
            refused(altered);
        }
        for end in some(document.len()).filter(|end| *end != envelope) {
            refused(document[..end].to_vec());
        }
    }
}
