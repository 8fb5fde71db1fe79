//! What goes on beside requests.

use super::gauges;
use super::state::Shared;
use super::streams::Stream;
use crate::failure::Failure;
use leasehold::wire::{ChunkRef, Fault, FaultCode, PublicKey, SecretKey, SliceKey, Stage};
use leasehold::{Bucket, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::access::ACCESS_CHANNEL;
use leasehold_postgres::hq::Actor;
use leasehold_postgres::publish::Collected;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long it waits before it tries again, at first and after many attempts.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After how long a silence it is asked whether the connection still lives that tells of rights, and how long the answer may
/// take: what is revoked is not remembered for a second longer than that.
const HEARTBEAT: Duration = Duration::from_millis(500);
const ALIVE: Duration = Duration::from_millis(400);
/// How long a reading of all heads may take.
const READING: Duration = Duration::from_secs(30);
/// How often it looks for heads of which nobody told.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How often this server takes another slice key. It is good for twice as long.
const SLICE_KEY_EVERY: Duration = Duration::from_secs(12 * 3600);
/// How long heads may take to certify a key.
const CERTIFIED_WITHIN: Duration = Duration::from_secs(60);
/// How long after its start this server forgets what is old, besides up to ten minutes that are left to chance, and how often
/// from then on.
const FIRST_COLLECTED: Duration = Duration::from_secs(10 * 60);
const COLLECTED_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Clocks of engines may be behind by so much.
const CLOCKS_MS: i64 = 5 * 60 * 1000;

/// Starts it all, once what was published is read.
pub(super) async fn start(shared: &Shared, bucket: Option<Bucket>) -> Result<(), Failure> {
    if shared.hq().is_above_row_security().await? {
        tracing::warn!(
            "the login is above row level security: give HQ one that is no superuser, with the roles of docs/serving.md"
        );
    }
    for role in shared.hq().missing_roles().await? {
        if role == "leasehold_app" {
            tracing::info!(role, "the login does not have this role: usage is not counted through it");
        } else {
            tracing::warn!(role, "the login does not have a role that HQ needs: see docs/serving.md");
        }
    }
    shared.streams().refresh().await?;
    offer_slice_key(shared).await?;
    tokio::spawn(listen(shared.clone()));
    tokio::spawn(watch_rights(shared.clone()));
    tokio::spawn(renew_slice_keys(shared.clone()));
    tokio::spawn(sweep(shared.clone()));
    tokio::spawn(collect(shared.clone()));
    gauges::start(shared);
    if let Some(bucket) = bucket {
        tokio::spawn(mirror(Arc::new(bucket), shared.clone()));
    }
    Ok(())
}

/// Copies the heads in force to a bucket, with what they name, for ever. A head that is overtaken while another is copied is
/// left out.
async fn mirror(bucket: Arc<Bucket>, shared: Shared) {
    let mut pause = PAUSE;
    loop {
        // A stream that cannot be copied keeps no other waiting.
        let mut copies = JoinSet::new();
        for stream in shared.streams().all() {
            copies.spawn(copy(bucket.clone(), stream, shared.clone()));
        }
        let whole = copies.join_all().await.into_iter().all(|copied| copied);
        if whole {
            pause = PAUSE;
            shared.streams().changed().await;
        } else {
            let spread = Duration::from_millis(u64::from(getrandom::u32().unwrap_or_default() % 250));
            drop(tokio::time::timeout(pause + spread, shared.streams().changed()).await);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Copies the head of a stream that is in force; says whether it is there now.
async fn copy(bucket: Arc<Bucket>, stream: Arc<Stream>, shared: Shared) -> bool {
    let (current, archive) = (stream.current(), shared.archive());
    let contents = async |reference: ChunkRef| {
        let found = archive.content(reference.hash).await;
        let found = found.map(|found| found.map(|(chunk, _)| chunk));
        match found {
            Ok(Some(chunk)) => Ok(chunk),
            Ok(None) => Err(unreachable(reference, "it is not there".to_owned())),
            Err(error) => Err(unreachable(reference, error.to_string())),
        }
    };
    match bucket.publish(&current.head, archive.trust(), contents).await {
        Ok(published) => {
            if published.changed {
                let (stream, revision) = (&published.stream, published.revision.get());
                tracing::info!(stream = %stream, revision, contents = published.new_chunks, "copied");
            }
            true
        }
        // Another server was faster.
        Err(error) if matches!(error.code(), "not_newer" | "older_revision") => true,
        Err(error) => {
            shared.metrics().publish_failed(error.code());
            tracing::warn!(stream = %stream.region, code = error.code(), error = %error, "not copied; trying again");
            false
        }
    }
}

fn unreachable(reference: ChunkRef, why: String) -> Fault {
    Fault::new(Stage::Download, FaultCode::Unreachable, reference.hash.to_string(), why)
}

/// Hears of heads, for ever.
async fn listen(shared: Shared) {
    loop {
        if let Err(error) = hear(&shared).await {
            tracing::warn!(error = %error, "the database tells of no heads; connecting again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(shared: &Shared) -> Result<(), Error> {
    let mut listener = listener(shared, "leasehold_head").await?;
    loop {
        // One that does not come to its end is begun again. What is wrong with a single stream is told by `refresh`.
        match tokio::time::timeout(READING, shared.streams().refresh()).await {
            Ok(Err(Error::Unreachable(error))) => return Err(Error::Unreachable(error)),
            Ok(_) => {}
            Err(_) => return Err(silent()),
        }
        told(&mut listener, LOOK_UP).await?;
    }
}

/// Hears of rights that have changed, for ever. It has a connection of its own: what is revoked waits for nothing.
async fn watch_rights(shared: Shared) {
    loop {
        let watched = async {
            let mut listener = listener(&shared, ACCESS_CHANNEL).await?;
            shared.access().listening(true);
            loop {
                if told(&mut listener, HEARTBEAT).await? {
                    shared.access().forget();
                }
            }
        };
        let watched: Result<(), Error> = watched.await;
        // Nothing is remembered that nobody could take back.
        shared.access().listening(false);
        if let Err(error) = watched {
            tracing::warn!(error = %error, "the database tells nothing of rights; connecting again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listener(shared: &Shared, channel: &str) -> Result<PgListener, Error> {
    let connecting = async {
        let mut listener = PgListener::connect_with(shared.hq().pool()).await?;
        // A lost connection is ours to replace: what was told meanwhile has to be asked for.
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(listener)
    };
    tokio::time::timeout(READING, connecting).await.map_err(|_| silent())?
}

/// Whether something was told within a time. A connection that is dead without a word is found out: it is asked.
async fn told(listener: &mut PgListener, within: Duration) -> Result<bool, Error> {
    match tokio::time::timeout(within, listener.try_recv()).await {
        Ok(Ok(Some(_))) => Ok(true),
        Ok(Ok(None)) => Err(silent()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => {
            let asked = tokio::time::timeout(ALIVE, sqlx::query("SELECT 1").execute(&mut *listener)).await;
            asked.map_err(|_| silent())??;
            Ok(false)
        }
    }
}

fn silent() -> Error {
    Error::Unreachable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
}

/// Takes a new slice key, and has heads certify it.
async fn offer_slice_key(shared: &Shared) -> Result<(), Error> {
    let mut seed = [0; 32];
    if getrandom::fill(&mut seed).is_err() {
        tracing::error!("the operating system gives no random bytes: no slices are signed");
        return Ok(());
    }
    let key = SecretKey::from_seed(&seed);
    let from = super::state::now().as_ms() - CLOCKS_MS;
    let at = |ms| Timestamp::from_ms(ms).unwrap_or(Timestamp::MAX);
    let offered = SliceKey { key: key.public(), valid_from: at(from), valid_until: at(from + SliceKey::LONGEST_MS) };
    shared.hq().offer_slice_key(&offered).await?;
    shared.add_slice_key(key);
    Ok(())
}

/// Takes another key in time; and where heads certify none of this server's any more, because many others came.
async fn renew_slice_keys(shared: Shared) {
    let mut taken = Instant::now();
    loop {
        tokio::time::sleep(LOOK_UP).await;
        let old = taken.elapsed();
        if old < SLICE_KEY_EVERY && (old < CERTIFIED_WITHIN || is_certified(&shared)) {
            continue;
        }
        match offer_slice_key(&shared).await {
            Ok(()) => taken = Instant::now(),
            Err(error) => tracing::warn!(error = %error, "no new slice key yet"),
        }
    }
}

fn is_certified(shared: &Shared) -> bool {
    let keys: Vec<PublicKey> = shared.slice_keys().iter().map(SecretKey::public).collect();
    let streams = shared.streams().all();
    streams.iter().all(|stream| stream.current().head.head().slice_keys.iter().any(|known| keys.contains(&known.key)))
}

async fn sweep(shared: Shared) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        shared.access().sweep();
    }
}

/// Forgets what is older than the history, once a day. First a while after it started, and not a day: a server may be started
/// anew every day.
async fn collect(shared: Shared) {
    let mut pause = FIRST_COLLECTED + Duration::from_secs(u64::from(getrandom::u32().unwrap_or_default() % 600));
    loop {
        tokio::time::sleep(pause).await;
        pause = COLLECTED_EVERY;
        if shared.publishing().is_err() {
            continue;
        }
        let days = shared.config().history.days.get();
        let actor = Actor::new("retention");
        match shared.hq().forget_silent_engines(days, &actor).await {
            Ok(0) => {}
            Ok(engines) => tracing::info!(engines, "forgot engines that are gone"),
            Err(error) => tracing::warn!(error = %error, "engines that are gone could not be forgotten"),
        }
        match shared.archive().collect(days, &actor).await {
            Ok(Collected { heads, chunks, machines, .. }) => {
                tracing::info!(heads, chunks, machines, "forgot what is old");
            }
            Err(error) => tracing::warn!(error = %error, "what is old could not be forgotten"),
        }
    }
}
