//! What was published, in memory: heads, what they name, and an engine for each stream.

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
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long contents are handed out that no head names any more: to whom is still gathering them.
const LINGER: Duration = Duration::from_secs(600);
/// How long an answer waits for this server's own engines.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The head of a stream, as it is handed out.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) head: SignedHead,
    /// The document.
    pub(crate) document: Bytes,
    /// SHA-256 of it, in quotes.
    pub(crate) etag: String,
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
        Self { document, etag: format!("\"{hash}\""), event, heartbeat, head }
    }
}

/// A stream that has a head.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) region: Region,
    current: watch::Sender<Arc<Current>>,
    named: Mutex<Named>,
    following: PostgresFollowing,
    ledger: Ledger,
}

/// What may be handed out, and when a head named it last.
#[derive(Debug, Default)]
struct Named {
    nodes: KnownNodes,
    until: HashMap<Hash, Instant>,
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
        self.named.lock().unwrap_or_else(PoisonError::into_inner).until.contains_key(hash)
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.following.engine()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    async fn show(&self, head: SignedHead, archive: &Archive) -> Result<(), Error> {
        // Contents first: whoever hears of a head asks for them at once.
        let mut nodes = std::mem::take(&mut self.named.lock().unwrap_or_else(PoisonError::into_inner).nodes);
        let all = archive.named_by(&head, &mut nodes).await?;
        {
            let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            named.nodes = nodes;
            named.until.retain(|hash, until| all.contains(hash) || *until > now);
            named.until.extend(all.into_iter().map(|hash| (hash, now + LINGER)));
        }
        self.current.send_replace(Arc::new(Current::of(head)));
        self.following.following().notify();
        Ok(())
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
        let has = |stream: &Arc<Stream>| stream.current().head.head().revision >= revision;
        if !self.all().iter().any(has)
            && let Err(error) = self.refresh().await
        {
            tracing::warn!(error = %error, "what was published is not read yet");
        }
        let answers =
            |stream: &Arc<Stream>| stream.engine().pin().stamp().revision >= stream.current().head.head().revision;
        let deadline = Instant::now() + CATCH_UP;
        while !self.all().iter().all(answers) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(2)).await;
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

    /// Reads what is in force now, and tells whoever follows.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        for (region, head) in self.archive.heads_in_force().await? {
            match self.get(&region) {
                Some(stream) if stream.current().head.bytes() == head.bytes() => {}
                Some(stream) => {
                    stream.show(head, &self.archive).await?;
                    self.shown.notify_one();
                }
                None => {
                    self.begin(region, head).await?;
                    self.shown.notify_one();
                }
            }
        }
        for stream in self.all() {
            self.metrics.head(&stream.current().head);
        }
        Ok(())
    }

    /// Begins to follow a stream.
    async fn begin(&self, region: Region, head: SignedHead) -> Result<(), Error> {
        let follower = Follower::of_stream(Trust { stream: region.clone(), ..self.trust.clone() })
            .with_settings(Settings { poll_ms: 5_000, ..Settings::default() });
        let database = self.database.clone();
        let started =
            tokio::task::spawn_blocking(move || PostgresFollowing::start(follower, database, Keep::default()));
        let following = started.await.map_err(|_| Error::NothingInForce)??;
        let ledger = Ledger::connect(self.archive.hq().pool().clone(), following.engine().clone()).await?;
        let (current, named) = (watch::Sender::new(Arc::new(Current::of(head.clone()))), Mutex::default());
        let stream = Arc::new(Stream { region: region.clone(), current, named, following, ledger });
        stream.show(head, &self.archive).await?;
        self.streams.write().unwrap_or_else(PoisonError::into_inner).insert(region, stream);
        Ok(())
    }
}
