//! What goes on beside requests.

use super::gauges;
use super::state::Shared;
use crate::failure::Failure;
use leasehold::wire::{ChunkRef, Fault, FaultCode, SecretKey, SliceKey, Stage};
use leasehold::{Bucket, Timestamp};
use leasehold_postgres::Error;
use leasehold_postgres::access::ACCESS_CHANNEL;
use leasehold_postgres::hq::Actor;
use sqlx::postgres::PgListener;
use std::time::Duration;

/// How long it waits before it connects again.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it looks for heads of which nobody told.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How often this server takes another slice key. It is good for twice as long.
const SLICE_KEY_EVERY: Duration = Duration::from_secs(12 * 3600);
/// Clocks of engines may be behind by so much.
const CLOCKS_MS: i64 = 5 * 60 * 1000;

/// Starts it all, once what was published is read.
pub(super) async fn start(shared: &Shared) -> Result<(), Failure> {
    shared.streams().refresh().await?;
    offer_slice_key(shared).await?;
    tokio::spawn(listen(shared.clone()));
    tokio::spawn(renew_slice_keys(shared.clone()));
    tokio::spawn(sweep(shared.clone()));
    tokio::spawn(collect(shared.clone()));
    gauges::start(shared);
    let publisher = &shared.config().publisher;
    if let Some(url) = &publisher.mirror {
        let options = publisher.mirror_options.iter().map(|(name, value)| (name.as_str(), value.reveal()));
        let bucket = Bucket::open(url, options).map_err(|error| Failure::wrong(error.code(), error.to_string()))?;
        tokio::spawn(mirror(bucket, shared.clone()));
    }
    Ok(())
}

/// Copies every head in force to a bucket, with what it names, for ever.
async fn mirror(bucket: Bucket, shared: Shared) {
    loop {
        for stream in shared.streams().all() {
            let current = stream.current();
            let archive = shared.archive();
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
                Ok(published) if published.changed => {
                    let (stream, revision) = (&published.stream, published.revision.get());
                    tracing::info!(stream = %stream, revision, contents = published.new_chunks, "copied");
                }
                Ok(_) => {}
                Err(error) => {
                    shared.metrics().publish_failed(error.code());
                    tracing::warn!(stream = %stream.region, code = error.code(), error = %error, "nothing is copied");
                }
            }
        }
        shared.streams().changed().await;
    }
}

fn unreachable(reference: ChunkRef, why: String) -> Fault {
    Fault::new(Stage::Download, FaultCode::Unreachable, reference.hash.to_string(), why)
}

/// Hears what the database tells, for ever: of heads, and of rights that have changed.
async fn listen(shared: Shared) {
    loop {
        if let Err(error) = hear(&shared).await {
            tracing::warn!(error = %error, "the database tells nothing; connecting again");
        }
        // Nothing is remembered that nobody could take back.
        shared.access().listening(false);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(shared: &Shared) -> Result<(), Error> {
    let mut listener = PgListener::connect_with(shared.hq().pool()).await?;
    // A lost connection is ours to replace: what was told meanwhile has to be asked for.
    listener.eager_reconnect(false);
    listener.listen_all(["leasehold_head", ACCESS_CHANNEL]).await?;
    shared.access().listening(true);
    loop {
        shared.streams().refresh().await?;
        match tokio::time::timeout(LOOK_UP, listener.try_recv()).await {
            Ok(Ok(Some(told))) if told.channel() == ACCESS_CHANNEL => shared.access().forget(),
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => return Err(Error::Unreachable(sqlx::Error::WorkerCrashed)),
            Ok(Err(error)) => return Err(error.into()),
            // A connection that is dead without a word would keep what was revoked alive: it is asked whether it lives.
            Err(_) => {
                sqlx::query("SELECT 1").execute(&mut listener).await?;
            }
        }
    }
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

async fn renew_slice_keys(shared: Shared) {
    loop {
        tokio::time::sleep(SLICE_KEY_EVERY).await;
        while let Err(error) = offer_slice_key(&shared).await {
            tracing::warn!(error = %error, "no new slice key yet");
            tokio::time::sleep(LOOK_UP).await;
        }
    }
}

async fn sweep(shared: Shared) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        shared.access().sweep();
    }
}

/// Forgets what is older than the history, once a day.
async fn collect(shared: Shared) {
    loop {
        tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
        if shared.publishing().is_err() {
            continue;
        }
        let days = shared.config().history.days;
        match shared.archive().collect(days, &Actor::new("retention")).await {
            Ok(collected) => tracing::info!(heads = collected.heads, chunks = collected.chunks, "forgot what is old"),
            Err(error) => tracing::warn!(error = %error, "what is old could not be forgotten"),
        }
    }
}
