//! Following snapshots in Postgres: a carrier for the engine's follower.

use crate::Error;
use crate::schema::{self, Part};
use leasehold::follow::Follower;
use leasehold::wire::{Chunk, ChunkRef, Fault, FaultCode, Stage};
use leasehold::{Answer, Engine, Following, Hash, Keep, Region, Source};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// How long a question to the database may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the listener waits before it connects again.
const PAUSE: Duration = Duration::from_millis(500);

/// Snapshots in a database, read with a role that has `leasehold_engine`.
pub struct PostgresSource {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    runtime: Runtime,
}

/// Where it connects to, without the password, which the options themselves would tell.
impl std::fmt::Debug for PostgresSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSource")
            .field("host", &self.options.get_host())
            .field("database", &self.options.get_database())
            .finish_non_exhaustive()
    }
}

impl PostgresSource {
    /// A source; it connects when it is asked first, and again after a connection was lost.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where this machine has no means to wait for answers.
    pub fn new(options: PgConnectOptions) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Unreachable(sqlx::Error::Io(error)))?;
        Ok(Self { options, connection: None, runtime })
    }

    /// Asks something, over a new connection where the old one was lost. Each new one asks for the schema first.
    fn ask<T>(&mut self, question: impl AsyncFn(&mut PgConnection) -> Result<T, sqlx::Error>) -> Result<T, String> {
        let Self { options, connection, runtime } = self;
        let asked = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, async {
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => connected(options).await?,
                };
                let answer = question(&mut open).await?;
                *connection = Some(open);
                Ok::<T, Error>(answer)
            })
            .await
        });
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the database did not answer within {} s", PATIENCE.as_secs())),
        }
    }
}

async fn connected(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    match schema::check(&mut connection, Part::Hq).await {
        // HQ is migrated before those who follow it: what is new expands the schema, and what they read is still there.
        Ok(()) | Err(Error::SchemaAhead { .. }) => Ok(connection),
        Err(error) => Err(error),
    }
}

impl Source for PostgresSource {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        let row: Option<(Vec<u8>,)> = self.ask(async |connection| {
            sqlx::query_as("SELECT document FROM leasehold.sys_heads WHERE stream = $1")
                .bind(stream.as_str())
                .fetch_optional(connection)
                .await
        })?;
        match row {
            None => Err("the stream has no head".to_owned()),
            Some((head,)) if etag == Some(Hash::of(&head)) => Ok(Answer::NotModified),
            Some((head,)) => Ok(Answer::Head(head)),
        }
    }

    fn chunk(&mut self, reference: ChunkRef) -> Result<Chunk, String> {
        // No more than was named, and what the worst compression makes of it.
        let bound = i64::try_from(reference.length + reference.length / 8 + 1024).unwrap_or(i64::MAX);
        let row: Option<(String, Vec<u8>)> = self.ask(async |connection| {
            sqlx::query_as(
                "SELECT encoding, bytes FROM leasehold.sys_chunks WHERE hash = $1 AND octet_length(bytes) <= $2",
            )
            .bind(reference.hash.as_bytes().to_vec())
            .bind(bound)
            .fetch_optional(connection)
            .await
        })?;
        let (encoding, bytes) = row.ok_or_else(|| "it is not there".to_owned())?;
        Ok(if encoding == "zstd" { Chunk::zstd(bytes) } else { Chunk::raw(bytes) })
    }
}

/// An engine that follows snapshots in a database: told of new heads by the database, and asking by itself where it is not.
///
/// It goes on answering while the database is down, and catches up when it is back.
#[derive(Debug)]
pub struct PostgresFollowing {
    following: Arc<Following>,
    listener: Option<std::thread::JoinHandle<()>>,
    stop: Arc<Notify>,
}

impl PostgresFollowing {
    /// Starts from the last-known-good folder, the pack or the database, whichever is newest.
    ///
    /// # Errors
    /// Why there is nothing to answer from: neither folder, pack nor database have a snapshot that can be believed.
    pub fn start(follower: Follower, options: PgConnectOptions, keep: Keep) -> Result<Self, Fault> {
        let unreachable = |error: String| Fault::new(Stage::Download, FaultCode::Unreachable, "head", error);
        let stream = follower.trust().stream.clone();
        let source = PostgresSource::new(options.clone()).map_err(|error| unreachable(error.to_string()))?;
        let following = Arc::new(Following::start(follower, source, keep)?);
        let stop = Arc::new(Notify::new());
        let (told, stopped) = (following.clone(), stop.clone());
        let listener = std::thread::Builder::new().name("leasehold-listen".to_owned()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                tokio::select! {
                    () = listen(&options, &stream, &told) => {}
                    () = stopped.notified() => {}
                }
            });
        });
        let listener = Some(listener.map_err(|error| unreachable(error.to_string()))?);
        Ok(Self { following, listener, stop })
    }

    /// The engine, which answers from the newest snapshot that was followed.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.following.engine()
    }

    /// How it goes, and more that can be asked of what follows.
    #[must_use]
    pub fn following(&self) -> &Following {
        &self.following
    }
}

impl Drop for PostgresFollowing {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(listener) = self.listener.take() {
            // A thread that panicked has nothing more to say.
            let _ = listener.join();
        }
    }
}

/// Passes on what the database tells of a stream, for ever. After every new connection something may have been missed, and
/// is asked for.
async fn listen(options: &PgConnectOptions, stream: &Region, following: &Following) {
    loop {
        if let Ok(mut listener) = connect(options).await {
            following.notify();
            // `recv` would connect again without a word: what was told meanwhile would wait for the next poll.
            while let Ok(Some(told)) = listener.try_recv().await {
                if told.payload().split(' ').next() == Some(stream.as_str()) {
                    following.notify();
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    // A lost connection is ours to replace: nobody can say of a listener that did it when it began to hear again.
    listener.eager_reconnect(false);
    listener.listen("leasehold_head").await?;
    Ok(listener)
}
