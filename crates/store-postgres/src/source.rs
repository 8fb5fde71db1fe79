//! Following snapshots in Postgres: a carrier for the engine's follower.

use crate::Error;
use crate::schema::{self, Part};
use leasehold::follow::Follower;
use leasehold::wire::{Chunk, ChunkRef, Fault, FaultCode, Stage};
use leasehold::{Answer, Engine, Following, Hash, Interrupt, Keep, Region, Source};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

/// How long a question to the database may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the listener waits before it connects again, at first and after many attempts.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// After how long a silence the listener asks whether the database is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// Snapshots in a database, read with a role that has `leasehold_engine`.
pub struct PostgresSource {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    /// Gone only while this is dropped.
    runtime: Option<Runtime>,
    /// Whether what waits is to end.
    interrupt: Arc<watch::Sender<bool>>,
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
        Ok(Self { options, connection: None, runtime: Some(runtime), interrupt: Arc::default() })
    }

    /// Asks something, over a new connection where the old one was lost. Each new one asks for the schema first.
    fn ask<T>(&mut self, question: impl AsyncFn(&mut PgConnection) -> Result<T, sqlx::Error>) -> Result<T, String> {
        let Self { options, connection, runtime, interrupt } = self;
        let Some(runtime) = runtime else { return Err("it is going away".to_owned()) };
        runtime.block_on(async {
            let asked = tokio::time::timeout(PATIENCE, async {
                let mut open = match connection.take() {
                    Some(open) => open,
                    None => connected(options).await?,
                };
                let answer = question(&mut open).await?;
                *connection = Some(open);
                Ok::<T, Error>(answer)
            });
            let mut interrupted = interrupt.subscribe();
            tokio::select! {
                asked = asked => match asked {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_) => Err(format!("the database did not answer within {} s", PATIENCE.as_secs())),
                },
                _ = interrupted.wait_for(|interrupted| *interrupted) => Err("interrupted".to_owned()),
            }
        })
    }
}

impl Drop for PostgresSource {
    fn drop(&mut self) {
        // It may be dropped where nothing may wait; what still runs in it is of no use to anybody.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
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

    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
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
        Ok(row.map(|(encoding, bytes)| if encoding == "zstd" { Chunk::zstd(bytes) } else { Chunk::raw(bytes) }))
    }

    fn interrupt(&self) -> Option<Interrupt> {
        let interrupt = self.interrupt.clone();
        Some(Interrupt::new(move || {
            interrupt.send_replace(true);
        }))
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
            // It would wait for a name that is being looked up, for as long as that takes.
            runtime.shutdown_background();
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
    let mut pause = PAUSE;
    loop {
        if let Ok(Ok(mut listener)) = tokio::time::timeout(PATIENCE, connect(options)).await {
            following.notify();
            pause = PAUSE;
            // Ends with the connection.
            let _ = hear(&mut listener, stream, following).await;
        }
        // Those whom one database left come back one after another.
        let spread = u32::try_from(RandomState::new().hash_one(0) % 1000).unwrap_or_default();
        tokio::time::sleep(pause / 2 + pause / 2 * spread / 1000).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes on what is told over one connection.
async fn hear(listener: &mut PgListener, stream: &Region, following: &Following) -> Result<(), sqlx::Error> {
    loop {
        // `recv` would connect again without a word: what was told meanwhile would wait for the next poll.
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(told) => match told? {
                None => return Ok(()),
                Some(told) if told.payload().split(' ').next() == Some(stream.as_str()) => following.notify(),
                Some(_) => {}
            },
            // A connection that is dead without a word would never tell anything again.
            Err(_) => match tokio::time::timeout(PATIENCE, sqlx::query("SELECT 1").execute(&mut *listener)).await {
                Ok(Ok(_)) => {}
                Ok(Err(lost)) => return Err(lost),
                Err(_) => return Ok(()),
            },
        }
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
