//! What handlers share.

use super::config::Config;
use super::extract::Etag;
use super::gauges::Asked;
use super::metrics::Metrics;
use super::problem::Problem;
use super::publishing::{Publishing, Wish};
use super::streams::{Stream, Streams};
use super::who::Access;
use axum::body::Bytes;
use leasehold::wire::SecretKey;
use leasehold::{Hash, Revision, TenantId, Timestamp};
use leasehold_postgres::hq::{Actor, Hq};
use leasehold_postgres::publish::{Archive, Publication};
use moka::future;
use moka::sync::Cache;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// A content as it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) bytes: Bytes,
    pub(crate) zstd: bool,
    /// Its bytes before compression.
    pub(crate) length: u64,
}

/// A slice as it is sent: the envelope, and the content behind it.
#[derive(Debug, Clone)]
pub(crate) struct SignedSlice {
    pub(crate) document: Bytes,
    /// How much of it is the envelope.
    pub(crate) envelope: usize,
    /// Of the content.
    pub(crate) etag: Etag,
}

/// What handlers share. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Shared(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) hq: Hq,
    pub(crate) archive: Archive,
    pub(crate) access: Access,
    pub(crate) streams: Streams,
    pub(crate) publishing: Option<Publishing>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) config: Config,
    /// Slice keys, the newest last.
    pub(crate) slice_keys: Mutex<Vec<SecretKey>>,
    pub(crate) contents: Cache<Hash, Content>,
    /// By head and tenant.
    pub(crate) slices: future::Cache<(Hash, TenantId), Option<SignedSlice>>,
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) asked: Asked,
}

impl Shared {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    pub(crate) fn hq(&self) -> &Hq {
        &self.0.hq
    }

    pub(crate) fn archive(&self) -> &Archive {
        &self.0.archive
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0.access
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn contents(&self) -> &Cache<Hash, Content> {
        &self.0.contents
    }

    pub(crate) fn slices(&self) -> &future::Cache<(Hash, TenantId), Option<SignedSlice>> {
        &self.0.slices
    }

    pub(crate) fn slice_keys(&self) -> Vec<SecretKey> {
        self.0.slice_keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn add_slice_key(&self, key: SecretKey) {
        let mut keys = self.0.slice_keys.lock().unwrap_or_else(PoisonError::into_inner);
        // The one before it signs until heads certify the new one.
        let old = keys.len().saturating_sub(1);
        keys.drain(..old);
        keys.push(key);
    }

    /// How the database was seen last.
    pub(crate) fn asked(&self) -> &Asked {
        &self.0.asked
    }

    /// Becomes true when the server is to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.clone()
    }

    /// The publisher of this server.
    ///
    /// # Errors
    /// `publishes_elsewhere` where it is none.
    pub(crate) fn publishing(&self) -> Result<&Publishing, Problem> {
        self.0.publishing.as_ref().ok_or_else(|| {
            let detail = "this server does not publish; ask the one that does";
            Problem::new(axum::http::StatusCode::CONFLICT, "publishes_elsewhere", detail)
        })
    }

    /// Has the publisher do something, and this server answer from what came of it.
    ///
    /// # Errors
    /// `publishes_elsewhere` where there is none; what the publisher says.
    pub(crate) async fn publish(&self, wish: Wish, actor: Actor) -> Result<Option<Publication>, Problem> {
        let publication = self.publishing()?.ask(wish, actor).await?;
        if let Some(publication) = &publication {
            self.streams().reach(publication.revision).await;
        }
        Ok(publication)
    }

    /// The stream that a tenant is in.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub(crate) fn stream_of(&self, tenant: &TenantId) -> Result<Arc<Stream>, Problem> {
        let unknown = || leasehold::Error::UnknownTenant(tenant.as_str().into()).into();
        self.streams().of_tenant(tenant).ok_or_else(unknown)
    }

    /// The revision that a change is in; nothing where it was not published in time.
    ///
    /// # Errors
    /// `kept_back`.
    pub(crate) async fn published(&self, change: i64) -> Result<Option<Revision>, Problem> {
        // Before the first definitions nothing is published, and waiting would not help.
        let nothing_yet = self.streams().all().is_empty();
        let wait = if nothing_yet { Duration::from_millis(50) } else { self.config().publisher.wait.std() };
        let began = Instant::now();
        let published = tokio::time::timeout(wait, self.hq().published(change)).await;
        if !nothing_yet {
            self.metrics().waited_for_change(began.elapsed());
        }
        match published {
            Ok(Ok(revision)) => {
                self.streams().reach(revision).await;
                Ok(Some(revision))
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Ok(None),
        }
    }
}

/// Waits until the server is to end.
pub(crate) async fn ends(stopping: &mut watch::Receiver<bool>) {
    // Where nobody can say so any more, it is ending.
    let _ = stopping.wait_for(|stop| *stop).await.map(drop);
}

/// Now, as the engine is asked about.
pub(crate) fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}
