//! The publisher: it holds the fleet key, and turns what was authored into the next snapshots.

use super::Archive;
use super::contents::Columns;
use super::effect::FleetEffect;
use super::next::{Machines, Next, Wanted};
use super::proposal::{close, freeze};
use super::reading::{About, Reading, Remembered};
use crate::access::slice_keys;
use crate::error::retried;
use crate::fleet::{self, Rollout};
use crate::hq::{Actor, Hq, hold_definitions, now, remember};
use crate::workflow::put_machines;
use crate::{Error, audit};
use futures_util::FutureExt as _;
use leasehold::build::{Signer, Terms};
use leasehold::model::Diagnostic;
use leasehold::wire::{Chunk, SignedHead, SliceKey};
use leasehold::{EngineId, RecordId, Region, Revision, TenantId, Timestamp};
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long a publisher waits after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it looks for what waits where nobody tells it, and for heads that grow old.
const LOOK_UP: Duration = Duration::from_secs(1);
/// How many bytes of contents are remembered from one publication to the next.
const MOST_HELD: usize = 256 << 20;

/// Until when what is published is fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// How long a head is fresh, in milliseconds. Heartbeats come well before its end.
    pub fresh_for_ms: i64,
    /// Slice keys that heads certify, besides those that servers [offer](crate::hq::Hq::offer_slice_key).
    pub slice_keys: Vec<SliceKey>,
}

impl Default for Timing {
    fn default() -> Self {
        Self { fresh_for_ms: 15 * 60 * 1000, slice_keys: Vec::new() }
    }
}

/// Where a publication is. Whoever watches learns of each step before the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything was read.
    Read,
    /// Contents were made.
    Built,
    /// Heads were signed; what comes next is written.
    Signed,
    /// It is written where that takes several statements, and not committed yet.
    Written,
    /// It is committed.
    Committed,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Publication {
    /// The revision that is in force now. It is the last one where nothing but refused changes was there.
    pub revision: Revision,
    /// Streams with a new head.
    pub streams: Vec<Region>,
    /// Changes that were taken, refused ones among them.
    pub changes: Vec<i64>,
    /// Tenants that kept their last published form, and why.
    pub refused: Vec<Refusal>,
    /// Contents that are new, and their bytes before compression.
    pub new_chunks: (usize, u64),
    /// What going back to earlier definitions did to the fleet; none otherwise.
    pub effect: Option<FleetEffect>,
    /// The trial that it began, changed or halted; none otherwise.
    pub trial: Option<Rollout>,
    /// The engine that refused what was on trial, where that [halted it](Publisher::halt_refused).
    pub halted_by: Option<EngineId>,
}

impl Publication {
    /// What is remembered of it for whoever asks again under the same key: [`Hq::earlier`].
    pub(crate) fn came_to(&self) -> String {
        let refused: Vec<Value> = self
            .refused
            .iter()
            .map(|refusal| json!({ "tenant": refusal.tenant, "kill": refusal.kill, "diagnostics": refusal.found }))
            .collect();
        json!({
            "revision": self.revision, "streams": self.streams, "changes": self.changes.len(), "refused": refused,
            "trial": self.trial,
        })
        .to_string()
    }
}

/// A tenant or kill switch that was not published as it is authored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The tenant, where it is about one.
    pub tenant: Option<TenantId>,
    /// The kill switch, where it is about one.
    pub kill: Option<RecordId>,
    /// What is wrong.
    pub found: Vec<Diagnostic>,
}

impl Refusal {
    fn is_of(&self, about: &About) -> bool {
        match about {
            About::Tenant(tenant, _) => self.tenant.as_ref() == Some(tenant),
            About::Kill(kill) => self.kill.as_ref() == Some(kill),
        }
    }
}

/// What is to be published besides what waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    /// Nothing else.
    Pending,
    /// An approved proposal: its definitions are in force from then on.
    Proposal(i64),
    /// An approved proposal on trial, with so many engines of a thousand.
    Trial(i64, u16),
    /// No trial any more.
    NoTrial,
    /// No trial for now: it may be resumed.
    Halt,
    /// The definitions of an earlier revision.
    Rollback(Revision),
}

/// Publishes. There may be several, on several machines: they take turns, by a number that each publication raises.
///
/// It keeps a connection of the store's pool once it has published changes, and [`run`](Self::run) listens on another: the pool
/// needs three at least, and a few more where it serves requests too.
pub struct Publisher {
    archive: Archive,
    signer: Signer,
    timing: Timing,
    watch: Option<Arc<dyn Fn(Step) + Send + Sync>>,
    /// One publication at a time in this process; what arrives meanwhile comes with the next. Contents that were read or
    /// made lately go from one to the next.
    turn: Mutex<Remembered>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("archive", &self.archive)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

impl Publisher {
    /// A publisher that goes on from what was published so far.
    #[must_use]
    pub fn new(archive: Archive, signer: Signer, timing: Timing) -> Self {
        Self { archive, signer, timing, watch: None, turn: Mutex::default() }
    }

    /// The same, telling each step of a publication to somebody.
    #[must_use]
    pub fn watched(self, watch: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self { watch: Some(Arc::new(watch)), ..self }
    }

    /// The store that it publishes from.
    #[must_use]
    pub fn hq(&self) -> &Hq {
        &self.archive.hq
    }

    /// What was published so far.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Publishes what waits: tenants that changed, and new kill switches. Nothing where nothing waits, and nothing before
    /// the first definitions were published.
    ///
    /// A tenant that does not compile keeps its last published form, and is listed.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Contended`] where others published at every attempt; [`Error::Fault`] where the
    /// heads that are there cannot be believed, or nothing can be signed. Nothing is published then.
    pub async fn publish(&self) -> Result<Option<Publication>, Error> {
        self.reach(Goal::Pending, &Actor::new("publisher")).await
    }

    /// Waits for a change to be published, publishing it where nobody else does.
    ///
    /// # Errors
    /// [`Error::KeptBack`] with what is wrong with it; [`Error::NothingInForce`]; those of [`publish`](Self::publish).
    pub async fn publish_change(&self, change: i64) -> Result<Revision, Error> {
        loop {
            if let Some(revision) = self.archive.hq.outcome(change).await? {
                return Ok(revision);
            }
            if self.publish().await?.is_none() && self.archive.hq.outcome(change).await?.is_none() {
                return Err(Error::NothingInForce);
            }
        }
    }

    /// Halts the trial where an engine that is to try it has refused it, be it reported to another server. Gives what was
    /// published for that, which names the engine.
    ///
    /// What could not be fetched, verified or kept says nothing about what it holds: that halts nothing.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn halt_refused(&self) -> Result<Option<Publication>, Error> {
        let mut connection = self.archive.hq.pool.acquire().await?;
        // Most of the time there is none, and then nobody looks at all engines.
        let is_on_trial: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM leasehold.sys_rollout WHERE halted_at IS NULL)")
                .fetch_one(&mut *connection)
                .await?;
        if !is_on_trial {
            return Ok(None);
        }
        let refused: Vec<(String, String)> = sqlx::query_as(
            "SELECT engine_id, stream FROM leasehold.sys_engines, leasehold.sys_rollout
             WHERE halted_at IS NULL AND refused_at >= changed_at AND coalesce(refused_revision >= since_revision, true)
                 AND fault ->> 'stage' IN ('parse', 'compile')
             ORDER BY refused_at, engine_id, stream",
        )
        .fetch_all(&mut *connection)
        .await?;
        if refused.is_empty() {
            return Ok(None);
        }
        let heads = self.archive.heads(&mut connection).await?;
        drop(connection);
        let staged = refused.iter().find_map(|(engine, stream)| {
            let (engine, stream): (EngineId, Region) = (engine.parse().ok()?, stream.parse().ok()?);
            let is_staged = heads.get(&stream)?.head().staged_for(Some(&engine)).is_some();
            is_staged.then_some(engine)
        });
        let Some(engine) = staged else { return Ok(None) };
        match self.halt(&Actor::new(format!("engine {engine}"))).await {
            Ok(halted) => Ok(Some(Publication { halted_by: Some(engine), ..halted })),
            // Somebody else was faster.
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Publishes what waits as soon as it is there, signs heads again once they are older than `heartbeat`, and halts a trial
    /// that an engine refuses, until it is dropped. What happened is told; after an error it goes on, with a pause.
    pub async fn run(&self, heartbeat: Duration, mut tell: impl FnMut(Result<Publication, Error>)) {
        let heartbeat_ms = i64::try_from(heartbeat.as_millis()).unwrap_or(i64::MAX);
        loop {
            let listened = async {
                let mut listener = PgListener::connect_with(&self.archive.hq.pool).await?;
                listener.listen("leasehold_publish").await?;
                Ok::<_, Error>(listener)
            };
            let done = match listened.await {
                Ok(mut listener) => self.publish_as_told(&mut listener, heartbeat_ms, &mut tell).await,
                Err(error) => Err(error),
            };
            // Otherwise it goes on for ever.
            if let Err(error) = done {
                tell(Err(error));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn publish_as_told(
        &self,
        listener: &mut PgListener,
        heartbeat_ms: i64,
        tell: &mut impl FnMut(Result<Publication, Error>),
    ) -> Result<(), Error> {
        let mut looked: Option<Instant> = None;
        loop {
            // First, and in between: what is published never keeps what is in force from being signed again.
            let is_due = looked.is_none_or(|at| at.elapsed() >= LOOK_UP);
            if is_due {
                self.heartbeat(heartbeat_ms).await?;
                looked = Some(Instant::now());
            }
            // What was told so far is in the next reading, all of it. Where the connection was lost, `recv` makes another.
            while let Some(Ok(Some(_))) = listener.try_recv().now_or_never() {}
            let published = self.publish().await?;
            let is_idle = published.is_none();
            if let Some(publication) = published {
                tell(Ok(publication));
            }
            // In between too: what is published never keeps a trial from being halted.
            let halted = if is_idle || is_due { self.halt_refused().await? } else { None };
            match halted {
                Some(publication) => tell(Ok(publication)),
                // What was told while this was published is still to be received; whatever was lost is looked up.
                None if is_idle => drop(tokio::time::timeout(LOOK_UP, listener.recv()).await),
                None => {}
            }
        }
    }

    /// Signs again the heads that are older than this, with the same contents, so that a quiet week never expires; and those
    /// that do not certify a slice key that a server offers. Gives the streams.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn heartbeat(&self, older_than_ms: i64) -> Result<Vec<Region>, Error> {
        let mut connection = self.archive.hq.pool.acquire().await?;
        let mut signed = Vec::new();
        let terms = self.terms(&slice_keys(&mut connection).await?);
        for (stream, last) in self.archive.heads(&mut connection).await? {
            let said = last.head();
            let young = terms.issued_at.as_ms() - said.issued_at.as_ms() < older_than_ms;
            if young && terms.slice_keys.iter().all(|key| said.slice_keys.contains(key)) {
                continue;
            }
            let content = (said.revision, said.manifest, said.candidate.clone());
            let next = self.signer.sign(&stream, Some(&last), content, &terms)?;
            let committed: bool =
                sqlx::query_scalar("SELECT leasehold.hq_commit_heartbeat($1, $2, $3, $4::timestamptz, $5)")
                    .bind(stream.as_str())
                    .bind(last.bytes().to_vec())
                    .bind(i64::try_from(next.head().epoch).unwrap_or(i64::MAX))
                    .bind(next.head().issued_at.to_string())
                    .bind(next.bytes().to_vec())
                    .fetch_one(&mut *connection)
                    .await?;
            // Otherwise somebody else has published or signed it.
            if committed {
                signed.push(stream);
            }
        }
        Ok(signed)
    }

    pub(super) async fn reach(&self, goal: Goal, actor: &Actor) -> Result<Option<Publication>, Error> {
        let mut remembered = self.turn.lock().await;
        if remembered.held.values().map(|chunk| chunk.bytes().len()).sum::<usize>() > MOST_HELD {
            remembered.held.clear();
        }
        retried!(self.attempt(goal, actor, &mut remembered))
    }

    async fn attempt(
        &self,
        goal: Goal,
        actor: &Actor,
        remembered: &mut Remembered,
    ) -> Result<Option<Publication>, Error> {
        match goal {
            Goal::Pending => self.publish_changes(actor, remembered).await,
            _ => self.publish_definitions(goal, actor, remembered).await,
        }
    }

    /// Publishes what waits, from a reading that nobody waits for.
    async fn publish_changes(&self, actor: &Actor, remembered: &mut Remembered) -> Result<Option<Publication>, Error> {
        let mut by_kept = None;
        // The kept one may have been lost since. Nothing was written by it, so that it is read again by another.
        if let Some(mut connection) = remembered.connection.take()
            && let Ok(reading) = Reading::of(&self.archive, &mut connection, false, remembered).await
        {
            by_kept = Some((connection, reading));
        }
        // Kept again when all went well: whoever gives up in between leaves it to the pool.
        let (mut connection, reading) = match by_kept {
            Some(read) => read,
            None => {
                let mut connection = self.archive.hq.pool.acquire().await?;
                let reading = Reading::of(&self.archive, &mut connection, false, remembered).await?;
                (connection, reading)
            }
        };
        self.step(Step::Read);
        if reading.changes.is_empty() {
            remembered.connection = Some(connection);
            return Ok(None);
        }
        let Some((next, heads)) = self.make(&reading, Wanted::default(), remembered)? else { return Ok(None) };
        let publication = if next.machines.is_empty() {
            commit(&mut connection, Goal::Pending, actor, &reading, &next, &heads).await?
        } else {
            let mut transaction = connection.begin().await?;
            // In the order of those who publish definitions: first this, then machines.
            hold(&mut transaction, Some(reading.turn)).await?;
            let publication = commit(&mut transaction, Goal::Pending, actor, &reading, &next, &heads).await?;
            self.step(Step::Written);
            transaction.commit().await?;
            publication
        };
        remembered.connection = Some(connection);
        Ok(Some(self.committed(publication, next, heads, remembered)))
    }

    /// Publishes other definitions, in one transaction.
    ///
    /// The whole fleet is looked at, which takes a while: others would be faster again and again. So nobody else publishes
    /// meanwhile, and nobody writes definitions: what is approved is what is authored is what is published.
    async fn publish_definitions(
        &self,
        goal: Goal,
        actor: &Actor,
        remembered: &mut Remembered,
    ) -> Result<Option<Publication>, Error> {
        let mut transaction = self.archive.hq.pool.begin().await?;
        hold_definitions(&mut transaction).await?;
        hold(&mut transaction, None).await?;
        let reading = Reading::of(&self.archive, &mut transaction, true, remembered).await?;
        let wanted = match self.wanted(goal, &mut transaction, &reading).await? {
            Ok(wanted) => wanted,
            Err(lapsed) => {
                let is_on_trial = fleet::on_trial(&mut transaction).await? == Some(lapsed.proposal);
                transaction.rollback().await?;
                let error = self.archive.hq.lapse(lapsed, actor).await?;
                if is_on_trial {
                    // Nobody approves any more of what engines try.
                    let actor = Actor { request: None, ..actor.clone() };
                    if self.archive.hq.abandon_halted(&actor).await?.is_none() {
                        Box::pin(self.publish_definitions(Goal::NoTrial, &actor, remembered)).await?;
                    }
                }
                return Err(error);
            }
        };
        self.step(Step::Read);
        let Some((next, heads)) = self.make(&reading, wanted, remembered)? else { return Ok(None) };
        let mut publication = commit(&mut transaction, goal, actor, &reading, &next, &heads).await?;
        if let Goal::Proposal(id) | Goal::Trial(id, _) = goal {
            freeze(&mut transaction, id).await?;
        }
        if let Goal::Proposal(id) = goal {
            close(&mut transaction, id, next.revision).await?;
        }
        fleet::remember_trial(&mut transaction, goal, actor).await?;
        if let Goal::Trial(..) | Goal::Halt = goal {
            publication.trial = fleet::rollout(&mut transaction).await?;
        }
        remember(&mut transaction, actor, &publication.came_to()).await?;
        self.step(Step::Written);
        transaction.commit().await?;
        Ok(Some(self.committed(publication, next, heads, remembered)))
    }

    /// Makes and signs what comes next.
    fn make(
        &self,
        reading: &Reading,
        wanted: Wanted,
        remembered: &Remembered,
    ) -> Result<Option<(Next, Vec<SignedHead>)>, Error> {
        let Some(next) = Next::of(reading, wanted, remembered)? else { return Ok(None) };
        self.step(Step::Built);
        let mut heads = Vec::new();
        // One instant for all streams: who asks what was known then is answered alike in each. It is after that of every
        // head in force, whatever clock that was signed by; but what the key of an epoch said of time ends with the epoch.
        let mut terms = self.terms(&reading.slice_keys);
        let epoch = self.signer.certificate().epoch;
        for head in reading.heads.values().map(SignedHead::head).filter(|head| head.epoch == epoch) {
            let next = Timestamp::from_ms(head.issued_at.as_ms() + 1).unwrap_or(Timestamp::MAX);
            terms.issued_at = terms.issued_at.max(next);
        }
        for (stream, manifest) in &next.streams {
            let content = (next.revision, *manifest, next.candidate.clone());
            heads.push(self.signer.sign(stream, reading.heads.get(stream), content, &terms)?);
        }
        self.step(Step::Signed);
        Ok(Some((next, heads)))
    }

    fn committed(
        &self,
        publication: Publication,
        next: Next,
        heads: Vec<SignedHead>,
        remembered: &mut Remembered,
    ) -> Publication {
        self.step(Step::Committed);
        let chunks = next.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes)));
        remembered.held.extend(chunks);
        remembered.heads.extend(heads.into_iter().map(|head| (head.head().stream.clone(), head)));
        publication
    }

    fn step(&self, step: Step) {
        if let Some(watch) = &self.watch {
            watch(step);
        }
    }

    fn terms(&self, offered: &[SliceKey]) -> Terms {
        let Timing { fresh_for_ms, mut slice_keys } = self.timing.clone();
        slice_keys.extend_from_slice(offered);
        // What no head has room for is not waited for.
        slice_keys.truncate(Terms::MOST_SLICE_KEYS);
        Terms { issued_at: now(), fresh_for_ms, slice_keys }
    }
}

/// Keeps others from publishing until the transaction ends.
async fn hold(connection: &mut PgConnection, expected_turn: Option<i64>) -> Result<(), Error> {
    let held: bool =
        sqlx::query_scalar("SELECT leasehold.hq_hold_publisher($1)").bind(expected_turn).fetch_one(connection).await?;
    if held { Ok(()) } else { Err(Error::Contended { attempts: 1 }) }
}

/// Commits a publication, by one statement, and one more where there are machines to place.
async fn commit(
    connection: &mut PgConnection,
    goal: Goal,
    actor: &Actor,
    reading: &Reading,
    next: &Next,
    heads: &[SignedHead],
) -> Result<Publication, Error> {
    let back = match goal {
        Goal::Rollback(to) => next.effect.as_ref().map(|effect| (to, effect)),
        _ => None,
    };
    let (action, proposal) = match goal {
        Goal::Pending => ("snapshot.published", None),
        Goal::Proposal(id) => ("definitions.published", Some(id)),
        Goal::Trial(id, _) => ("definitions.staged", Some(id)),
        Goal::NoTrial => ("definitions.unstaged", None),
        Goal::Halt => ("definitions.halted", None),
        Goal::Rollback(_) => ("definitions.rolled_back", None),
    };
    let Columns { hashes, lengths, encodings, bytes, raw_bytes } = Columns::of(&next.chunks);
    let listed: Vec<Value> = heads
        .iter()
        .map(|signed| {
            let head = signed.head();
            json!({
                "stream": head.stream, "epoch": head.epoch, "revision": head.revision, "issued_at": head.issued_at,
                "manifest": head.manifest.hash, "document": hex(signed.bytes()),
            })
        })
        .collect();
    let changes: Vec<i64> = reading.changes.iter().map(|change| change.id).collect();
    let mut refusals = serde_json::Map::new();
    for refusal in &next.refused {
        for change in reading.changes.iter().filter(|change| refusal.is_of(&change.about)) {
            refusals.insert(change.id.to_string(), json!(refusal.found));
        }
    }
    let at = now();
    let entry = audit::Entry {
        tenant: None,
        at,
        actor: actor.name.clone(),
        action: action.to_owned(),
        subject: format!("revision {}", next.revision),
        detail: json!({
            "revision": next.revision, "streams": next.streams.keys().collect::<Vec<_>>(),
            "definitions": next.definitions.hash, "candidate": next.candidate, "changes": changes.len(),
            "refused": refusals.len(), "proposal": proposal, "to": back.map(|(to, _)| to),
            "affected": back.map(|(_, effect)| effect.affected), "diff": back.map(|(_, effect)| effect.hash),
        }),
        trace_id: actor.trace_id.clone(),
    };
    let body = entry.body()?;
    let candidate = next.candidate.as_ref();
    // Before anything is held that others append to: whoever moves an item holds its machine, and appends then.
    for Machines { snapshot, tenants } in &next.machines {
        let tenants: Vec<&str> = tenants.iter().map(TenantId::as_str).collect();
        put_machines(connection, snapshot, &tenants).await?;
    }
    let committed: bool = sqlx::query_scalar(
        "SELECT leasehold.hq_commit_publication($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
             $15::timestamptz, $16, $17, $18, $19)",
    )
    .bind(reading.turn)
    .bind(i64::try_from(next.revision.get()).unwrap_or(i64::MAX))
    .bind(&changes)
    .bind(Value::Object(refusals))
    .bind(&hashes)
    .bind(&lengths)
    .bind(&encodings)
    .bind(&bytes)
    .bind(Value::Array(listed))
    .bind(next.definitions.hash.as_bytes().to_vec())
    .bind(i64::try_from(next.definitions.length).unwrap_or(i64::MAX))
    .bind(candidate.map(|candidate| candidate.definitions.hash.as_bytes().to_vec()))
    .bind(candidate.map(|candidate| i64::try_from(candidate.definitions.length).unwrap_or(i64::MAX)))
    .bind(candidate.map(|candidate| i32::from(candidate.share_permille)))
    .bind(at.to_string())
    .bind(&entry.actor)
    .bind(action)
    .bind(&entry.trace_id)
    .bind(body)
    .fetch_one(&mut *connection)
    .await?;
    if !committed {
        return Err(Error::Contended { attempts: 1 });
    }
    Ok(Publication {
        revision: next.revision,
        streams: next.streams.keys().cloned().collect(),
        changes,
        refused: next.refused.clone(),
        new_chunks: (hashes.len(), raw_bytes),
        effect: next.effect.clone(),
        trial: None,
        halted_by: None,
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl Hq {
    /// The tenant that a change is of, and its region; nothing where it is of a kill switch.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn concerned_by(&self, change: i64) -> Result<Option<(TenantId, Region)>, Error> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT tenant_org_id, stream FROM leasehold.hq_publish_outcome($1)")
                .bind(change)
                .fetch_optional(&self.pool)
                .await?;
        let (tenant, region) = row.ok_or_else(|| crate::hq::not_found("change", &change.to_string()))?;
        // A kill switch is of no tenant.
        Ok(tenant.parse().ok().zip(region.parse().ok()))
    }

    /// The revision that a change is in; nothing while it waits.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::KeptBack`] where the tenant kept its last published form, with what is wrong.
    pub async fn outcome(&self, change: i64) -> Result<Option<Revision>, Error> {
        let row: Option<(Option<i64>, Option<Value>)> =
            sqlx::query_as("SELECT revision, refused FROM leasehold.hq_publish_outcome($1)")
                .bind(change)
                .fetch_optional(&self.pool)
                .await?;
        let (revision, refused) = row.ok_or_else(|| crate::hq::not_found("change", &change.to_string()))?;
        if let Some(found) = refused {
            return Err(Error::KeptBack { found });
        }
        Ok(revision.and_then(|revision| Revision::new(u64::try_from(revision).ok()?)))
    }

    /// Waits until a change is published, by whoever publishes.
    ///
    /// It looks again and again, less often the longer it takes, and holds no connection in between.
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome).
    pub async fn published(&self, change: i64) -> Result<Revision, Error> {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(revision) = self.outcome(change).await? {
                return Ok(revision);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(LOOK_UP);
        }
    }
}
