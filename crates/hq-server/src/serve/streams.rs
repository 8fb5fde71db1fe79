//! What was published, in memory: heads, what they name, and an engine for each stream.

use super::extract::Etag;
use super::metrics::Metrics;
use axum::body::Bytes;
use leasehold::follow::{Follower, Settings};
use leasehold::wire::{SignedHead, Trust};
use leasehold::{Engine, Hash, Keep, Region, Revision, TenantId};
use leasehold_postgres::ledger::Ledger;
use leasehold_postgres::publish::{Archive, KnownNodes};
use leasehold_postgres::{Error, PostgresFollowing};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long contents are handed out that no head names any more: to whom is still gathering them.
const LINGER: Duration = Duration::from_secs(600);
/// How often it is looked for what somebody asks for in vain.
const AGAIN: Duration = Duration::from_millis(50);
/// How long an answer waits for this server's own engines.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The head of a stream, as it is handed out.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) head: SignedHead,
    /// The document.
    pub(crate) document: Bytes,
    pub(crate) etag: Etag,
    /// What followers of events are told of it.
    pub(crate) event: Bytes,
    /// What they are told when there is nothing new.
    pub(crate) heartbeat: Bytes,
}

impl Current {
    fn of(head: SignedHead) -> Self {
        let document = Bytes::copy_from_slice(head.bytes());
        let hash = Hash::of(&document);
        let said = head.head();
        let mut told = json!({ "stream": said.stream, "revision": said.revision, "etag": hash });
        let line = |name: &str, told: &serde_json::Value| {
            Bytes::from(format!("event: {name}\nid: {}\ndata: {told}\n\n", said.revision))
        };
        let heartbeat = line("heartbeat", &told);
        if let Some(told) = told.as_object_mut() {
            told.insert("document".to_owned(), json!(String::from_utf8_lossy(&document)));
        }
        let event = line("head", &told);
        Self { document, etag: Etag::of(hash), event, heartbeat, head }
    }
}

/// A stream that has a head.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) region: Region,
    current: watch::Sender<Arc<Current>>,
    named: Mutex<Named>,
    /// The pack of a head, for as long as somebody is sent it.
    pack: tokio::sync::Mutex<Option<(Hash, Weak<Vec<u8>>)>>,
    following: PostgresFollowing,
    ledger: Ledger,
}

/// What may be handed out.
#[derive(Debug, Default)]
struct Named {
    nodes: KnownNodes,
    /// What the head names.
    now: HashSet<Hash>,
    /// What heads before it named, and until when it is handed out.
    before: HashMap<Hash, Instant>,
}

impl Named {
    /// Another head names these.
    fn replace(&mut self, all: HashSet<Hash>, at: Instant) {
        self.before.retain(|hash, until| *until > at && !all.contains(hash));
        let gone = std::mem::take(&mut self.now).into_iter().filter(|hash| !all.contains(hash));
        self.before.extend(gone.map(|hash| (hash, at + LINGER)));
        self.now = all;
    }

    fn has(&self, hash: &Hash, at: Instant) -> bool {
        self.now.contains(hash) || self.before.get(hash).is_some_and(|until| *until > at)
    }
}

impl Stream {
    /// The head that is in force.
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.borrow().clone()
    }

    /// Hears of every head from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Current>> {
        self.current.subscribe()
    }

    /// How many hear of heads.
    pub(crate) fn followers(&self) -> usize {
        self.current.receiver_count()
    }

    /// Whether a head of this stream names a content, or did until lately.
    pub(crate) fn names(&self, hash: &Hash) -> bool {
        self.named().has(hash, Instant::now())
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A head with all that it names, in one file. Whoever asks at the same time is sent the same one.
    ///
    /// # Errors
    /// As those of [`Archive::pack`].
    pub(crate) async fn pack(&self, current: &Current, archive: &Archive) -> Result<Arc<Vec<u8>>, Error> {
        let mut held = self.pack.lock().await;
        if let Some((of, pack)) = &*held
            && *of == current.etag.hash()
            && let Some(pack) = pack.upgrade()
        {
            return Ok(pack);
        }
        let pack = Arc::new(archive.pack(&current.head).await?);
        *held = Some((current.etag.hash(), Arc::downgrade(&pack)));
        Ok(pack)
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.following.engine()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Has what a head names handed out. Before the head is shown: whoever hears of it asks for its contents at once.
    async fn prepare(&self, head: &SignedHead, archive: &Archive) -> Result<(), Error> {
        let mut nodes = std::mem::take(&mut self.named().nodes);
        let all = archive.named_by(head, &mut nodes).await?;
        let mut named = self.named();
        named.nodes = nodes;
        named.replace(all, Instant::now());
        Ok(())
    }

    fn show(&self, head: SignedHead) {
        self.current.send_replace(Arc::new(Current::of(head)));
        self.following.following().notify();
    }
}

/// All streams.
pub(crate) struct Streams {
    archive: Archive,
    trust: Trust,
    database: PgConnectOptions,
    streams: RwLock<BTreeMap<Region, Arc<Stream>>>,
    /// One reading at a time, so that heads are shown in their order.
    turn: tokio::sync::Mutex<()>,
    /// The revision up to which all streams are shown.
    shown_to: AtomicU64,
    /// When somebody asked for what was not here.
    asked: Mutex<Option<Instant>>,
    metrics: Arc<Metrics>,
    /// Told when some head is another one.
    shown: tokio::sync::Notify,
}

/// Only what there is: how the database is reached holds a password.
impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Streams {
    pub(crate) fn new(archive: Archive, trust: Trust, database: PgConnectOptions, metrics: Arc<Metrics>) -> Self {
        Self {
            archive,
            trust,
            database,
            streams: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
            shown_to: AtomicU64::new(0),
            asked: Mutex::default(),
            metrics,
            shown: tokio::sync::Notify::new(),
        }
    }

    pub(crate) fn get(&self, region: &Region) -> Option<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).get(region).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Waits until this server answers from a revision too: who was told of it asks about it next. It does not wait for long:
    /// what was written is written.
    pub(crate) async fn reach(&self, revision: Revision) {
        if !self.has_shown(revision)
            && let Err(error) = self.refresh().await
        {
            tracing::warn!(error = %error, "what was published is not read yet");
        }
        // Streams that skipped the revision have nothing to catch up with.
        let lags = |stream: &Arc<Stream>| {
            stream.current().head.head().revision >= revision && stream.engine().pin().stamp().revision < revision
        };
        let deadline = Instant::now() + CATCH_UP;
        while self.all().iter().any(lags) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Whether the heads of all streams are shown that a revision concerns.
    pub(crate) fn has_shown(&self, revision: Revision) -> bool {
        self.shown_to.load(Ordering::SeqCst) >= revision.get()
    }

    /// Reads what is in force, where nobody did a moment ago: whoever asks in vain costs no more than that.
    pub(crate) async fn refresh_soon(&self) {
        let due = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let due = asked.is_none_or(|at| at.elapsed() >= AGAIN);
            if due {
                *asked = Some(Instant::now());
            }
            due
        };
        // Who is not the first waits for the reading that is under way.
        if !due {
            drop(self.turn.lock().await);
        } else if let Err(error) = self.refresh().await {
            tracing::debug!(error = %error, "nothing new is read");
        }
    }

    /// Waits until some head is another one, since this was waited for last or from now on.
    pub(crate) async fn changed(&self) {
        self.shown.notified().await;
    }

    /// The stream that a tenant is in.
    pub(crate) fn of_tenant(&self, tenant: &TenantId) -> Option<Arc<Stream>> {
        self.all().into_iter().find(|stream| stream.engine().pin().tenant(tenant.as_str()).is_ok())
    }

    pub(crate) fn region_of(&self, tenant: &TenantId) -> Option<Region> {
        self.of_tenant(tenant).map(|stream| stream.region.clone())
    }

    /// Reads what is in force now, and tells whoever follows. A stream that cannot be read stays as it was, and keeps no
    /// other from being shown.
    ///
    /// # Errors
    /// Where nothing can be read; or what is wrong with the first stream that cannot be.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let heads = self.archive.heads_in_force().await?;
        let newest = heads.values().map(|head| head.head().revision.get()).max().unwrap_or_default();
        let (mut ready, mut failed) = (Vec::new(), None);
        for (region, head) in heads {
            let prepared = match self.get(&region) {
                Some(stream) if stream.current().head.bytes() == head.bytes() => continue,
                Some(stream) => stream.prepare(&head, &self.archive).await.map(|()| stream),
                None => self.begin(region.clone(), head.clone()).await,
            };
            match prepared {
                Ok(stream) => ready.push((stream, head)),
                Err(error) => {
                    tracing::error!(stream = %region, code = error.code(), error = %error, "a stream cannot be read");
                    failed = failed.or(Some(error));
                }
            }
        }
        // All together: nobody sees a revision in one stream and not yet in another.
        if !ready.is_empty() {
            let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
            for (stream, head) in ready {
                stream.show(head);
                streams.insert(stream.region.clone(), stream);
            }
            self.shown.notify_one();
        }
        if failed.is_none() {
            self.shown_to.fetch_max(newest, Ordering::SeqCst);
        }
        for stream in self.all() {
            self.metrics.head(&stream.current().head);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Begins to follow a stream.
    async fn begin(&self, region: Region, head: SignedHead) -> Result<Arc<Stream>, Error> {
        let follower = Follower::of_stream(Trust { stream: region.clone(), ..self.trust.clone() })
            .with_settings(Settings { poll_ms: 5_000, ..Settings::default() });
        let database = self.database.clone();
        let started =
            tokio::task::spawn_blocking(move || PostgresFollowing::start(follower, database, Keep::default()));
        let following = started.await.map_err(|_| Error::NothingInForce)??;
        let ledger = Ledger::connect(self.archive.hq().pool().clone(), following.engine().clone()).await?;
        let current = watch::Sender::new(Arc::new(Current::of(head.clone())));
        let (named, pack) = (Mutex::default(), tokio::sync::Mutex::default());
        let stream = Arc::new(Stream { region, current, named, pack, following, ledger });
        stream.prepare(&head, &self.archive).await?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_head_named_is_handed_out_for_a_while_after_it() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|text| Hash::of(text));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut named = Named::default();
        named.replace(HashSet::from([a, b]), at(0));
        // However long it was in force.
        named.replace(HashSet::from([b, c]), at(5_000));
        assert!([a, b, c].iter().all(|hash| named.has(hash, at(5_599))));
        assert!(!named.has(&a, at(5_601)) && named.has(&b, at(50_000)));
        // What comes back stays.
        named.replace(HashSet::from([a]), at(6_000));
        named.replace(HashSet::from([a]), at(20_000));
        assert!(named.has(&a, at(50_000)) && !named.has(&c, at(20_000)));
        assert!(named.before.is_empty());
    }
}
