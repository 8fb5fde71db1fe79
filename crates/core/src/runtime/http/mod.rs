//! Following HQ over HTTP: a carrier for the engine's follower, and the thread that hears of new heads.

mod client;
mod events;
mod listener;
mod options;
mod reporter;

pub use listener::Hearing;
pub use options::{HttpOptions, HttpPatience, InvalidHttpOptions};

use super::following::{PARTING, no_thread};
use super::source::answer;
use super::worker::Worker;
use super::{Answer, Engine, Following, Interrupt, Keep, Source};
use crate::follow::{Follower, Report};
use crate::wire::{Chunk, ChunkRef, Fault, MAX_CHUNK_BYTES, MAX_HEAD_BYTES};
use crate::{EngineId, Hash, Region};
use client::{Client, Failure, read};
use listener::{Link, Listener};
use options::ms;
use reporter::Reporter;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use ureq::http::StatusCode;
use ureq::http::header::CONTENT_ENCODING;

/// Longest pack that is read.
const MAX_PACK_BYTES: u64 = 256 << 20;

/// Snapshots that HQ gives over HTTP. By itself it asks; [`HttpFollowing`] is told too.
///
/// Its calls wait for as long as [`HttpPatience`] says, and end when the [`Following`] that makes them is dropped.
#[derive(Debug)]
pub struct HttpSource {
    client: Arc<Client>,
    link: Arc<Link>,
    stream: Region,
    /// Who sends reports; nobody where the engine has no id.
    reporter: Option<Arc<Reporter>>,
}

/// A report, as HQ takes it.
#[derive(Serialize)]
struct Status<'a> {
    stream: &'a Region,
    #[serde(flatten)]
    report: &'a Report,
}

impl HttpSource {
    /// A source for one stream. It connects when it is asked first. Reports go to HQ where the engine has an id, which
    /// should be the follower's: [`Follower::engine`].
    #[must_use]
    pub fn new(options: HttpOptions, stream: Region, engine: Option<EngineId>) -> Self {
        let client = Arc::new(Client::new(options));
        let reporter = engine.map(|engine| Arc::new(Reporter::new(client.clone(), &engine)));
        Self { client, link: Arc::default(), stream, reporter }
    }

    /// A content, asked for once.
    fn ask_chunk(&self, reference: ChunkRef) -> Result<Option<Chunk>, Failure> {
        let path = format!("/v1/snapshots/chunks/{}?stream={}", reference.hash, self.stream);
        let response = match self.client.chunk(&path) {
            Err(failure) if failure.status == Some(StatusCode::NOT_FOUND) => return Ok(None),
            response => response?,
        };
        let garbage = |why: String| Failure { why, passing: false, status: None };
        if response.status() == StatusCode::NOT_MODIFIED {
            return Err(garbage("HQ says that something is not new which was never asked about".to_owned()));
        }
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().to_vec());
        let length = reference.length.min(MAX_CHUNK_BYTES);
        let get = |most| read(response.into_body(), most).map_err(|error| self.client.lost(&error));
        match encoding.as_deref() {
            None | Some(b"identity") => Ok(Some(Chunk::raw(get(length)?))),
            Some(b"zstd") => {
                // What the worst compression makes of it.
                let most = length + length / 8 + 1024;
                let frame = get(most)?;
                if frame.len() as u64 > most {
                    return Err(garbage(format!("it is longer than {most} bytes, compressed")));
                }
                Ok(Some(Chunk::zstd(frame)))
            }
            Some(other) => {
                let other = self.client.shown(&String::from_utf8_lossy(other));
                Err(garbage(format!("HQ sends it encoded as `{other}`, which was not asked for")))
            }
        }
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        if let Some(reporter) = &self.reporter {
            reporter.stop();
        }
    }
}

// Streams, hashes and ids of engines hold no character that a URL would have to escape.
impl Source for HttpSource {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        if *stream == self.stream
            && let Some(document) = self.link.document()
        {
            return answer(Some(document), etag);
        }
        let known = etag.map(|etag| format!("\"{etag}\""));
        let response = self
            .client
            .head(&format!("/v1/snapshots/head?stream={stream}"), known.as_deref())
            .map_err(|failure| failure.why)?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Answer::NotModified);
        }
        let head = read(response.into_body(), MAX_HEAD_BYTES as u64);
        Ok(Answer::Head(head.map_err(|error| self.client.lost(&error).why)?))
    }

    fn chunk(&mut self, reference: ChunkRef) -> Result<Option<Chunk>, String> {
        let patience = ms(self.client.options().patience.content_ms);
        let began = Instant::now();
        loop {
            match self.ask_chunk(reference) {
                Ok(chunk) => return Ok(chunk),
                // An engine that asks for thousands may be told to wait, and loses nothing by it.
                Err(failure) => {
                    let left_alone = self.client.left_alone();
                    let waits = !left_alone.is_zero() && began.elapsed() + left_alone < patience;
                    if !waits || !self.link.pause(left_alone) {
                        return Err(failure.why);
                    }
                }
            }
        }
    }

    fn pack(&mut self, stream: &Region) -> Option<Vec<u8>> {
        let response = self.client.pack(&format!("/v1/snapshots/pack?stream={stream}")).ok()?;
        let pack = read(response.into_body(), MAX_PACK_BYTES).ok()?;
        // A longer one is fetched in pieces, whose lengths the head vouches for.
        (pack.len() as u64 <= MAX_PACK_BYTES).then_some(pack)
    }

    fn report(&mut self, report: &Report) {
        // What can be reported can be written as JSON.
        if let Some(reporter) = &self.reporter
            && let Ok(json) = serde_json::to_vec(&Status { stream: &self.stream, report })
        {
            reporter.send(json);
        }
    }

    fn interrupt(&self) -> Option<Interrupt> {
        let (client, link) = (self.client.clone(), self.link.clone());
        Some(Interrupt::new(move || {
            link.stop();
            client.interrupt();
        }))
    }
}

/// An engine that follows HQ over HTTP: told of new heads by server-sent events, and asking by itself where it is not.
///
/// It goes on answering while HQ is down, and catches up when it is back. Dropping it ends its threads within about a
/// second, whatever HQ does.
///
/// ```no_run
/// # use leasehold::{HttpFollowing, HttpOptions, Keep, follow::Follower, wire::Trust};
/// let trust = Trust::from_json(&std::fs::read("trust.json")?)?;
/// let follower = Follower::of_engine(trust, "checkout-1".parse()?);
/// let options = HttpOptions::new("https://hq.example", std::env::var("LEASEHOLD_TOKEN")?)?;
/// let keep = Keep { folder: Some("/var/lib/app/last-known-good".into()), ..Keep::default() };
/// let following = HttpFollowing::start(follower, options, keep)?;
/// let engine = following.engine().clone();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct HttpFollowing {
    following: Following,
    client: Arc<Client>,
    link: Arc<Link>,
    listener: Option<Worker>,
}

impl HttpFollowing {
    /// Starts from the last-known-good folder, the pack or HQ, whichever is newest.
    ///
    /// # Errors
    /// Why there is nothing to answer from: neither folder, pack nor HQ have a snapshot that can be believed.
    pub fn start(follower: Follower, options: HttpOptions, keep: Keep) -> Result<Self, Fault> {
        let stream = follower.trust().stream.clone();
        let source = HttpSource::new(options, stream.clone(), follower.engine().cloned());
        let (client, link) = (source.client.clone(), source.link.clone());
        let following = Following::start(follower, source, keep)?;
        let notifier = following.notifier();
        let listener = Listener { client: client.clone(), link: link.clone(), stream, notifier };
        let listener = Worker::spawn("leasehold-listen", move || listener.run()).map_err(no_thread)?;
        Ok(Self { following, client, link, listener: Some(listener) })
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

    /// Whether HQ tells of new heads at the moment.
    #[must_use]
    pub fn hearing(&self) -> Hearing {
        self.link.hearing()
    }
}

impl Drop for HttpFollowing {
    fn drop(&mut self) {
        self.link.stop();
        self.client.interrupt();
        if let Some(listener) = self.listener.take() {
            listener.join_within(PARTING / 2);
        }
    }
}
