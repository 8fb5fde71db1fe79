//! The publisher: it holds the fleet key, and turns what was authored into the next snapshots.

use super::contents::{self, Held};
use super::{Archive, InForce, read_in_force, reference};
use crate::error::Attempts;
use crate::hq::{Actor, Hq, now, read_definitions, read_tenants};
use crate::{Error, audit};
use leasehold::build::{Content, Signer, Terms, candidate_kills};
use leasehold::model::{Definitions, Diagnostic, Kill, Tenant};
use leasehold::wire::{
    Candidate, Chunk, ChunkRef, MANIFEST_FORMAT, Manifest, SignedHead, SliceKey, TreeNode, canonical,
};
use leasehold::{RecordId, Region, Revision, TenantId};
use serde_json::{Value, json};
use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How many changes are taken into one publication at the most; more wait for the next.
const MOST_CHANGES: i32 = 10_000;
/// How long a publisher waits after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it looks for what waits where nobody tells it, and for heads that grow old.
const LOOK_UP: Duration = Duration::from_secs(1);
/// How many contents are remembered from one publication to the next.
const MOST_HELD: usize = 20_000;

/// Until when what is published is fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// How long a head is fresh, in milliseconds. Heartbeats come well before its end.
    pub fresh_for_ms: i64,
    /// Slice keys that heads certify.
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
    /// Heads were signed; the next step is the commit.
    Signed,
    /// It is committed.
    Committed,
}

/// What was published.
#[derive(Debug, Clone, PartialEq)]
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
}

/// A tenant that was not published as it is authored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The tenant; none for a kill switch.
    pub tenant: Option<TenantId>,
    /// What is wrong.
    pub found: Vec<Diagnostic>,
}

/// What is to be published besides what waits.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    /// Nothing else.
    Pending,
    /// Other definitions, in place of those in force and on trial.
    Definitions { definitions: Box<Definitions>, action: &'static str, actor: Actor, proposal: Option<i64> },
    /// Definitions on trial, for so many engines of a thousand; or none any more.
    Candidate { candidate: Option<(Box<Definitions>, u16)>, action: &'static str, actor: Actor },
}

/// Publishes. There may be several, on several machines: they take turns on the counter of revisions.
pub struct Publisher {
    archive: Archive,
    signer: Signer,
    timing: Timing,
    watch: Option<Arc<dyn Fn(Step) + Send + Sync>>,
    /// One publication at a time in this process; what arrives meanwhile comes with the next. Contents that were read or
    /// made lately go from one to the next.
    turn: Mutex<Held>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("archive", &self.archive)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

/// Everything that a publication is made from, as one reading has it.
struct Reading {
    revision: u64,
    in_force: Option<Arc<InForce>>,
    candidate: Option<(ChunkRef, u16)>,
    heads: BTreeMap<Region, SignedHead>,
    changes: Vec<(i64, String, String)>,
    tenants: BTreeMap<TenantId, Result<Tenant, Error>>,
    /// Kill switches as they are authored; read where one waits, or definitions change.
    kills: BTreeMap<RecordId, Kill>,
}

/// What a publication is going to put in force.
struct Built {
    next_revision: Revision,
    definitions: ChunkRef,
    candidate: Option<Candidate>,
    streams: BTreeMap<Region, ChunkRef>,
    chunks: Vec<(ChunkRef, Vec<u8>)>,
    refused: Vec<Refusal>,
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
        self.reach(&Goal::Pending).await
    }

    /// Waits for a change to be published, publishing it where nobody else does.
    ///
    /// # Errors
    /// [`Error::KeptBack`] with what is wrong with it; those of [`publish`](Self::publish).
    pub async fn publish_change(&self, change: i64) -> Result<Revision, Error> {
        loop {
            if let Some(revision) = self.archive.hq.outcome(change).await? {
                return Ok(revision);
            }
            if self.publish().await?.is_none() && self.archive.hq.outcome(change).await?.is_none() {
                return Err(Error::NotFound { what: "published definitions for change", key: change.to_string() });
            }
        }
    }

    /// Publishes what waits as soon as it is there, and signs heads again once they are older than `heartbeat`, until it is
    /// dropped. What happened is told; after an error it goes on, with a pause.
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
        loop {
            while let Some(publication) = self.publish().await? {
                tell(Ok(publication));
            }
            self.heartbeat(heartbeat_ms).await?;
            // What was told while this was published is still to be received; whatever was lost is looked up.
            let _ = tokio::time::timeout(LOOK_UP, listener.recv()).await;
        }
    }

    /// Signs again the heads that are older than this, with the same contents, so that a quiet week never expires. Gives
    /// the streams.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn heartbeat(&self, older_than_ms: i64) -> Result<Vec<Region>, Error> {
        let mut connection = self.archive.hq.pool.acquire().await?;
        let mut signed = Vec::new();
        for (stream, last) in self.archive.heads(&mut connection).await? {
            let said = last.head();
            if now().as_ms() - said.issued_at.as_ms() < older_than_ms {
                continue;
            }
            let content = (said.revision, said.manifest, said.candidate.clone());
            let next = self.signer.sign(&stream, Some(&last), content, &self.terms())?;
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

    pub(super) async fn reach(&self, goal: &Goal) -> Result<Option<Publication>, Error> {
        let mut held = self.turn.lock().await;
        if held.len() > MOST_HELD {
            held.clear();
        }
        let mut attempts = Attempts::default();
        loop {
            match self.attempt(goal, &mut held).await {
                Err(error) => attempts.after(error).await?,
                done => return done,
            }
        }
    }

    async fn attempt(&self, goal: &Goal, held: &mut Held) -> Result<Option<Publication>, Error> {
        let mut connection = self.archive.hq.pool.acquire().await?;
        let reading = self.read(&mut connection, goal, held).await?;
        self.step(Step::Read);
        let Some(built) = self.build(&mut connection, goal, &reading, held).await? else { return Ok(None) };
        self.step(Step::Built);
        let mut heads = Vec::new();
        // One instant for all streams: who asks what was known then is answered alike in each.
        let terms = self.terms();
        for (stream, manifest) in &built.streams {
            let last = reading.heads.get(stream);
            let content = (built.next_revision, *manifest, built.candidate.clone());
            heads.push(self.signer.sign(stream, last, content, &terms)?);
        }
        self.step(Step::Signed);
        let publication = commit(&mut connection, goal, &reading, &built, &heads).await?;
        self.step(Step::Committed);
        held.extend(built.chunks.into_iter().map(|(reference, bytes)| (reference.hash, Chunk::raw(bytes))));
        Ok(Some(publication))
    }

    fn step(&self, step: Step) {
        if let Some(watch) = &self.watch {
            watch(step);
        }
    }

    fn terms(&self) -> Terms {
        let Timing { fresh_for_ms, slice_keys } = self.timing.clone();
        Terms { issued_at: now(), fresh_for_ms, slice_keys }
    }

    async fn read(&self, connection: &mut PgConnection, goal: &Goal, held: &mut Held) -> Result<Reading, Error> {
        let mut transaction = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let row = sqlx::query(
            "SELECT revision, definitions, definitions_length, candidate, candidate_length, candidate_permille
             FROM leasehold.sys_publisher",
        )
        .fetch_one(&mut *transaction)
        .await?;
        let named = |hash: usize| -> Result<Option<ChunkRef>, sqlx::Error> {
            let (hash, length): (Option<Vec<u8>>, Option<i64>) = (row.try_get(hash)?, row.try_get(hash + 1)?);
            Ok(hash.zip(length).and_then(|(hash, length)| reference(&hash, length)))
        };
        let revision = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        let permille: Option<i32> = row.try_get(5)?;
        let candidate = named(3)?.zip(permille.and_then(|share| u16::try_from(share).ok()));
        let in_force = match named(1)? {
            None => None,
            Some(reference) => Some(match self.archive.hq.known(reference) {
                Some(known) => known,
                None => self.archive.hq.know(read_in_force(&mut transaction, reference).await?),
            }),
        };
        let heads = self.archive.heads(&mut transaction).await?;
        let changes: Vec<(i64, String, String)> =
            sqlx::query_as("SELECT change_id, tenant_org_id, stream FROM leasehold.hq_publish_queue($1)")
                .bind(MOST_CHANGES)
                .fetch_all(&mut *transaction)
                .await?;
        let ids: BTreeSet<&String> = changes.iter().map(|(_, tenant, _)| tenant).filter(|id| !id.is_empty()).collect();
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        let mut tenants = BTreeMap::new();
        if !ids.is_empty() {
            let read = read_tenants(&mut transaction, &ids).await?;
            tenants.extend(read.into_iter().map(|(id, _, tenant)| (id, tenant)));
        }
        let mut kills = BTreeMap::new();
        if !matches!(goal, Goal::Pending) || changes.iter().any(|(_, tenant, _)| tenant.is_empty()) {
            kills = read_definitions(&mut transaction, None).await?.kills;
        }
        // What leads to the tenants that changed.
        let mut ways = Vec::new();
        for (stream, head) in &heads {
            let here = changes.iter().filter(|(_, _, at)| at == stream.as_str());
            let tenants: BTreeSet<TenantId> = here.filter_map(|(_, id, _)| id.parse().ok()).collect();
            ways.push((head.head().manifest, tenants));
        }
        let ways: Vec<(ChunkRef, Vec<&TenantId>)> =
            ways.iter().map(|(manifest, tenants)| (*manifest, tenants.iter().collect())).collect();
        contents::fetch_ways(&mut transaction, &ways, held).await?;
        transaction.commit().await?;
        Ok(Reading { revision, in_force, candidate, heads, changes, tenants, kills })
    }

    /// Makes the next contents; nothing where there is nothing to publish.
    async fn build(
        &self,
        connection: &mut PgConnection,
        goal: &Goal,
        reading: &Reading,
        held: &Held,
    ) -> Result<Option<Built>, Error> {
        let mut refused = Vec::new();
        let next = match (goal, &reading.in_force) {
            (Goal::Definitions { definitions, .. }, in_force) => {
                let mut next = (**definitions).clone();
                // Kill switches that came after the definitions were proposed stand.
                let newer = in_force.iter().flat_map(|in_force| &in_force.definitions.kills);
                let newer = newer.filter(|(id, _)| reading.kills.contains_key(*id) && !next.kills.contains_key(*id));
                let newer: Vec<(RecordId, Kill)> = newer.map(|(id, kill)| (id.clone(), kill.clone())).collect();
                next.kills.extend(newer);
                Some(InForce::of(None, next)?)
            }
            (_, None) => return Ok(None),
            (_, Some(in_force)) => with_new_kills(in_force, reading, &mut refused)?,
        };
        if matches!(goal, Goal::Pending) && reading.changes.is_empty() {
            return Ok(None);
        }
        let mut chunks = Vec::new();
        let (definitions, in_use) = match (&next, &reading.in_force) {
            (Some(next), _) => {
                let content = Content::of_definitions(&next.definitions).map_err(|error| no_form(&error))?;
                chunks.extend(content.chunks);
                (content.root, next)
            }
            (None, Some(in_force)) => (in_force.reference.unwrap_or_else(|| ChunkRef::to(b"")), &**in_force),
            (None, None) => return Ok(None),
        };
        let candidate = self.candidate(connection, goal, reading, &in_use.definitions, &mut chunks).await?;

        let mut streams = BTreeMap::new();
        let changed = sort_changes(reading, in_use, &mut refused);
        for stream in reading.heads.keys().chain(changed.keys()).collect::<BTreeSet<_>>() {
            let last = reading.heads.get(stream);
            let manifest = match last {
                Some(head) => contents::manifest(held, head.head().manifest)?,
                None => Manifest { format: MANIFEST_FORMAT, definitions, tenants: TreeNode::default() },
            };
            let none = BTreeMap::new();
            let changes = changed.get(stream).unwrap_or(&none);
            if last.is_none() && changes.values().all(Option::is_none) {
                // A region that nobody is in has no stream.
                continue;
            }
            let content = Content::changed(&manifest, definitions, changes, &contents::held(held))?;
            let same = |head: &SignedHead| head.head().manifest == content.root && head.head().candidate == candidate;
            if !last.is_some_and(same) {
                streams.insert(stream.clone(), content.root);
                chunks.extend(content.chunks);
            }
        }
        if streams.is_empty() && !matches!(goal, Goal::Pending) && !reading.heads.is_empty() {
            return Ok(None);
        }
        let moved = !streams.is_empty() || !matches!(goal, Goal::Pending);
        let next_revision = Revision::new(reading.revision + u64::from(moved)).ok_or_else(|| Error::Constraint {
            constraint: None,
            message: "there is no revision after the last one".to_owned(),
        })?;
        Ok(Some(Built { next_revision, definitions, candidate, streams, chunks, refused }))
    }

    /// The definitions on trial from now on, with the kill switches in force.
    async fn candidate(
        &self,
        connection: &mut PgConnection,
        goal: &Goal,
        reading: &Reading,
        base: &Definitions,
        chunks: &mut Vec<(ChunkRef, Vec<u8>)>,
    ) -> Result<Option<Candidate>, Error> {
        let (mut definitions, share_permille) = match goal {
            Goal::Definitions { .. } | Goal::Candidate { candidate: None, .. } => return Ok(None),
            Goal::Candidate { candidate: Some((definitions, share)), .. } => ((**definitions).clone(), *share),
            Goal::Pending => match reading.candidate {
                None => return Ok(None),
                Some((reference, share)) => (contents::definitions(connection, reference).await?, share),
            },
        };
        candidate_kills(base, &mut definitions);
        let content = Content::of_definitions(&definitions).map_err(|error| no_form(&error))?;
        chunks.extend(content.chunks);
        Ok(Some(Candidate { definitions: content.root, share_permille }))
    }
}

/// The definitions in force with the kill switches that are new; nothing where none is. One that cannot be is refused:
/// what is published stays.
fn with_new_kills(in_force: &InForce, reading: &Reading, refused: &mut Vec<Refusal>) -> Result<Option<InForce>, Error> {
    if !reading.changes.iter().any(|(_, tenant, _)| tenant.is_empty()) {
        return Ok(None);
    }
    let mut next = None;
    for (id, kill) in reading.kills.iter().filter(|(id, _)| !in_force.definitions.kills.contains_key(*id)) {
        let base = next.as_ref().map_or(&in_force.definitions, |next: &InForce| &next.definitions);
        let mut with = base.clone();
        with.kills.insert(id.clone(), kill.clone());
        match InForce::of(None, with) {
            Ok(with) => next = Some(with),
            Err(Error::Refused(found)) => refused.push(Refusal { tenant: None, found: found.into_vec() }),
            Err(error) => return Err(error),
        }
    }
    Ok(next)
}

type ByStream = BTreeMap<Region, BTreeMap<TenantId, Option<Tenant>>>;

/// What changed, by stream. Tenants that do not compile are left as they are.
fn sort_changes(reading: &Reading, in_use: &InForce, refused: &mut Vec<Refusal>) -> ByStream {
    let mut sorted = ByStream::new();
    let mut bad = BTreeSet::new();
    for (_, id, stream) in &reading.changes {
        let (Ok(id), Ok(stream)) = (id.parse::<TenantId>(), stream.parse::<Region>()) else { continue };
        let tenant = match reading.tenants.get(&id) {
            None => None,
            Some(Ok(tenant)) => match in_use.checker.check(&id, tenant) {
                Ok(()) => Some(tenant),
                Err(found) => {
                    if bad.insert(id.clone()) {
                        refused.push(Refusal { tenant: Some(id), found: found.into_vec() });
                    }
                    continue;
                }
            },
            Some(Err(error)) => {
                if bad.insert(id.clone()) {
                    refused.push(Refusal { tenant: Some(id), found: unreadable(error) });
                }
                continue;
            }
        };
        let here = tenant.filter(|tenant| tenant.region == stream).cloned();
        sorted.entry(stream).or_default().insert(id, here);
    }
    sorted
}

fn unreadable(error: &Error) -> Vec<Diagnostic> {
    match error {
        Error::Refused(found) => found.as_slice().to_vec(),
        _ => Vec::new(),
    }
}

fn no_form(error: &canonical::NoCanonicalForm) -> Error {
    Error::Constraint { constraint: None, message: error.to_string() }
}

/// Commits a publication, by one statement where definitions stay.
async fn commit(
    connection: &mut PgConnection,
    goal: &Goal,
    reading: &Reading,
    built: &Built,
    heads: &[SignedHead],
) -> Result<Publication, Error> {
    let mut transaction = connection.begin().await?;
    let (action, actor, proposal) = match goal {
        Goal::Pending => ("snapshot.published", Actor::new("publisher"), None),
        Goal::Definitions { action, actor, proposal, .. } => (*action, actor.clone(), *proposal),
        Goal::Candidate { action, actor, .. } => (*action, actor.clone(), None),
    };
    let (mut hashes, mut lengths, mut encodings, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    let mut new_bytes = 0;
    for (reference, content) in built.chunks.iter().filter(|(reference, _)| seen.insert(reference.hash)) {
        let chunk = Chunk::compressed(content);
        hashes.push(reference.hash.as_bytes().to_vec());
        lengths.push(i64::try_from(reference.length).unwrap_or(i64::MAX));
        encodings.push(chunk.encoding().as_str().to_owned());
        bytes.push(chunk.bytes().to_vec());
        new_bytes += reference.length;
    }
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
    let changes: Vec<i64> = reading.changes.iter().map(|(change, ..)| *change).collect();
    let mut refusals = serde_json::Map::new();
    for refusal in &built.refused {
        let id = refusal.tenant.as_ref().map_or("", TenantId::as_str);
        for (change, ..) in reading.changes.iter().filter(|(_, tenant, _)| tenant == id) {
            refusals.insert(change.to_string(), json!(refusal.found));
        }
    }
    let at = now();
    let entry = audit::Entry {
        tenant: None,
        at,
        actor: actor.name,
        action: action.to_owned(),
        subject: format!("revision {}", built.next_revision),
        detail: json!({
            "revision": built.next_revision, "streams": built.streams.keys().collect::<Vec<_>>(),
            "definitions": built.definitions.hash, "candidate": built.candidate, "changes": changes.len(),
            "refused": refusals.len(), "proposal": proposal,
        }),
        trace_id: actor.trace_id,
    };
    let body = entry.body()?;
    let candidate = built.candidate.as_ref();
    let committed: bool = sqlx::query_scalar(
        "SELECT leasehold.hq_commit_publication($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
             $15::timestamptz, $16, $17, $18, $19)",
    )
    .bind(i64::try_from(reading.revision).unwrap_or(i64::MAX))
    .bind(i64::try_from(built.next_revision.get()).unwrap_or(i64::MAX))
    .bind(&changes)
    .bind(Value::Object(refusals))
    .bind(&hashes)
    .bind(&lengths)
    .bind(&encodings)
    .bind(&bytes)
    .bind(Value::Array(listed))
    .bind(built.definitions.hash.as_bytes().to_vec())
    .bind(i64::try_from(built.definitions.length).unwrap_or(i64::MAX))
    .bind(candidate.map(|candidate| candidate.definitions.hash.as_bytes().to_vec()))
    .bind(candidate.map(|candidate| i64::try_from(candidate.definitions.length).unwrap_or(i64::MAX)))
    .bind(candidate.map(|candidate| i32::from(candidate.share_permille)))
    .bind(at.to_string())
    .bind(&entry.actor)
    .bind(action)
    .bind(&entry.trace_id)
    .bind(body)
    .fetch_one(&mut *transaction)
    .await?;
    if !committed {
        return Err(Error::Contended { attempts: 1 });
    }
    if let Goal::Definitions { definitions, .. } = goal {
        super::proposal::freeze(&mut transaction, definitions, proposal, built.next_revision).await?;
    }
    transaction.commit().await?;
    Ok(Publication {
        revision: built.next_revision,
        streams: built.streams.keys().cloned().collect(),
        changes,
        refused: built.refused.clone(),
        new_chunks: (hashes.len(), new_bytes),
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
    /// # Errors
    /// As [`outcome`](Self::outcome).
    pub async fn published(&self, change: i64) -> Result<Revision, Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen("leasehold_published").await?;
        loop {
            if let Some(revision) = self.outcome(change).await? {
                return Ok(revision);
            }
            // A notification may be lost with its connection: once a second it is looked up all the same.
            let _ = tokio::time::timeout(LOOK_UP, listener.recv()).await;
        }
    }
}
