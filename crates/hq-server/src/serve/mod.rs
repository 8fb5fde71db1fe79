//! HQ as a server: it authenticates, calls the store and the engine, and hands out what was published. It decides nothing.
//!
//! `config` says how, `who` who may, `problem` what is answered where something is wrong, `extract` what requests are made
//! of. `api` holds the interface, a file for each thing that there is; `openapi` describes it. `streams` holds what was
//! published in memory, `publishing` the publisher and its key. `listen` takes connections, `telemetry` and `metrics` tell
//! of it, `about` whom and what, by its `route`; `gauges` counts what nobody asks for, and `background` is all else that goes on beside requests.

mod about;
mod api;
mod background;
mod config;
mod extract;
mod gauges;
mod listen;
mod metrics;
mod openapi;
mod problem;
mod publishing;
mod route;
mod state;
mod streams;
mod telemetry;
mod who;

pub(crate) use config::{Config, EXAMPLE};
pub(crate) use openapi::document as openapi_document;
pub(crate) use telemetry::start as start_telemetry;
pub(crate) use who::{Password, Role};

use crate::failure::Failure;
use crate::keys::{self, KeyKind};
use crate::signing;
use crate::trust::TrustFile;
use api::Interface;
use leasehold::Bucket;
use leasehold::build::Signer;
use leasehold_postgres::hq::{Actor, Hq, pool_options};
use leasehold_postgres::publish::{Archive, Publisher, Timing};
use metrics::Metrics;
use moka::future;
use moka::sync::Cache;
use publishing::Publishing;
use sqlx::postgres::PgConnectOptions;
use state::{Inner, Shared};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use streams::Streams;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use who::{Access, Secret, SecretKind};

/// Contents that are held to be handed out again, in bytes.
const HELD_CONTENTS: u64 = 16 << 20;
/// Slices that are held, in bytes.
const HELD_SLICES: u64 = 16 << 20;

/// Files that are open beside connections of those who ask, at the most.
const FILES: u64 = 128;

/// The first member of staff.
const FIRST: &str = "admin";

/// A server that runs.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The administrator that was created because nobody was there, and their password.
    pub(crate) first: Option<(String, String)>,
    shared: Shared,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// Everything that a configuration names, read and checked, before anything starts.
pub(crate) struct Ready {
    config: Config,
    trust: TrustFile,
    pen: Option<Signer>,
    database: PgConnectOptions,
    /// Where heads in force are copied to.
    bucket: Option<Bucket>,
}

impl Ready {
    /// Reads the trust file and the keys, and refuses what is missing.
    pub(crate) fn of(config: Config) -> Result<Self, Failure> {
        let missing = |what: &str, hint: &str| {
            Failure::wrong("configuration_missing", format!("nothing says {what}")).hint(hint.to_owned())
        };
        let trust = config.trust.as_deref().ok_or_else(|| {
            missing("whom to believe", "name the trust file with `trust` in the configuration, or LEASEHOLD_TRUST")
        })?;
        let trust = TrustFile::read(trust)?;
        let pen = match (&config.publisher.fleet_key, &config.publisher.certificate) {
            _ if !config.publisher.enabled => None,
            (Some(fleet), Some(certificate)) => Some(pen(fleet, certificate, &trust)?),
            _ => {
                let hint = "name `fleet_key` and `certificate` in [publisher], or LEASEHOLD_FLEET_KEY and \
                            LEASEHOLD_CERTIFICATE; or say that another server publishes: `enabled = false`";
                return Err(missing("what heads are signed with", hint));
            }
        };
        let url = config.database_url.as_ref().ok_or_else(|| {
            Failure::database_required().hint("name it with `database_url` in the configuration, or DATABASE_URL")
        })?;
        let database = crate::database::parse(url.reveal())?;
        let bucket = match &config.publisher.mirror {
            // One bucket has one writer: who publishes.
            Some(url) if config.publisher.enabled => {
                let options = config.publisher.mirror_options.iter();
                let options = options.map(|(name, value)| (name.as_str(), value.reveal()));
                let bucket = Bucket::open(url, options);
                Some(bucket.map_err(|error| Failure::wrong(error.code(), error.to_string()))?)
            }
            _ => None,
        };
        Ok(Self { config, trust, pen, database, bucket })
    }
}

fn pen(fleet: &Path, certificate: &Path, trust: &TrustFile) -> Result<Signer, Failure> {
    signing::signer(keys::secret(fleet, KeyKind::Fleet)?, certificate, trust)
}

impl Server {
    /// Starts to serve, and returns once it does.
    pub(crate) async fn start(ready: Ready) -> Result<Self, Failure> {
        let Ready { config, trust, pen, database, bucket } = ready;
        // Every follower holds a connection. Where the system allows fewer, connections beyond that are not taken.
        let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
        let connections = config.limits.connections.get();
        if files < connections as u64 + FILES {
            tracing::warn!(files, connections, "this process may open fewer files than `limits.connections` needs");
        }
        let hq = Hq::connect(database.clone()).await?;
        // Whoever asks much keeps neither what is published waiting, nor who may ask.
        let (for_publisher, for_access) = (apart(&database, 4, 10).await?, apart(&database, 4, 2).await?);
        let archive = Archive::new(hq.clone(), trust.any().clone());
        let metrics = Arc::new(Metrics::new());
        let publishing = pen.map(|signer| {
            let timing = Timing { fresh_for_ms: config.publisher.fresh_for.ms, ..Timing::default() };
            let told = metrics.clone();
            let publisher = Publisher::new(Archive::new(for_publisher, trust.any().clone()), signer.clone(), timing)
                .watched(move |step| told.step(step));
            Publishing::start(publisher, signer, trust.any().clone(), config.heartbeat(), metrics.clone())
        });
        let (stop, stopping) = watch::channel(false);
        let shared = Shared::new(Inner {
            access: Access::new(for_access, config.access.clone()),
            streams: Streams::new(archive.clone(), trust.any().clone(), database, metrics.clone()),
            contents: Cache::builder()
                .max_capacity(HELD_CONTENTS)
                .weigher(|_, content: &state::Content| u32::try_from(content.bytes.len() + 128).unwrap_or(u32::MAX))
                .build(),
            slices: future::Cache::builder()
                .max_capacity(HELD_SLICES)
                .weigher(|_, slice: &Option<state::SignedSlice>| {
                    slice.as_ref().map_or(128, |slice| u32::try_from(slice.document.len() + 256).unwrap_or(u32::MAX))
                })
                .build(),
            slice_keys: std::sync::Mutex::default(),
            hq,
            archive,
            publishing,
            metrics,
            config,
            stopping,
            asked: gauges::Asked::default(),
        });
        let interface = Interface::of(shared.clone()).map_err(|error| Failure::internal(error.to_string()))?;
        let listen = shared.config().listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8750)));
        let bound = TcpListener::bind(listen).await;
        let listener = bound.map_err(|error| {
            Failure::wrong("cannot_listen", format!("cannot listen on {listen}: {error}"))
                .hint("name another address with `listen` in the configuration, or LEASEHOLD_LISTEN")
        })?;
        let address = listener.local_addr().map_err(|error| Failure::internal(error.to_string()))?;
        background::start(&shared, bucket).await?;
        // Last: nothing goes wrong any more between this and whoever prints it.
        let first = first_administrator(shared.hq()).await?;
        let serving = tokio::spawn(listen::serve(listener, interface, shared.clone()));
        Ok(Self { address, first, shared, stop, serving })
    }

    /// Signs somebody in without a password, for whoever started this process.
    pub(crate) async fn session(&self, staff: &str) -> Result<String, Failure> {
        let secret = Secret::new(SecretKind::Session).map_err(|error| Failure::internal(error.to_string()))?;
        let until = state::now().as_ms() + self.shared.config().access.session.ms;
        let until = leasehold::Timestamp::from_ms(until).map_err(leasehold::Error::from)?;
        self.shared.hq().sign_in(staff, None, secret.hash(), until, &Actor::new(staff)).await?;
        Ok(secret.reveal())
    }

    /// Ends: no new connections, what is under way is finished, followers of events are let go.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        // A task that panicked has nothing more to finish.
        let _ = self.serving.await;
    }
}

/// The same store, with a few connections of its own.
async fn apart(database: &PgConnectOptions, most: u32, patience_s: u64) -> Result<Hq, Failure> {
    let pool = pool_options().max_connections(most).acquire_timeout(Duration::from_secs(patience_s));
    Ok(Hq::of(pool.connect_lazy_with(database.clone())).await?)
}

/// Creates an administrator where nobody is there to make one.
async fn first_administrator(hq: &Hq) -> Result<Option<(String, String)>, Failure> {
    if hq.has_staff().await? {
        return Ok(None);
    }
    let password = first_password()?;
    let hash = Password::new(password.clone()).hash().await;
    let hash = hash.map_err(|_| Failure::internal("the administrator's password cannot be hashed"))?;
    match hq.add_staff(FIRST, Role::SuperAdmin.as_str(), &hash, &Actor::new("first start")).await {
        Ok(_) => Ok(Some((FIRST.to_owned(), password))),
        // Another server was faster, and printed theirs.
        Err(leasehold_postgres::Error::Exists { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A password that nobody can guess.
pub(crate) fn first_password() -> Result<String, Failure> {
    let secret = Secret::new(SecretKind::Session).map_err(|error| Failure::internal(error.to_string()))?;
    Ok(secret.reveal().chars().rev().take(32).collect())
}
