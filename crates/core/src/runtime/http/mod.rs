//! Following HQ over HTTP: a carrier for the engine's follower, and the thread that hears of new heads.

mod client;
mod events;
mod listener;
mod options;

pub use listener::Hearing;
pub use options::{HttpOptions, HttpPatience, InvalidHttpOptions};

use super::following::{PARTING, no_thread};
use super::source::answer;
use super::worker::Worker;
use super::{Answer, Engine, Following, Interrupt, Keep, Source};
use crate::follow::{Follower, Report};
use crate::wire::{Chunk, ChunkRef, Fault, MAX_CHUNK_BYTES, MAX_HEAD_BYTES};
use crate::{EngineId, Hash, Region};
use client::{Client, read};
use listener::{Link, Listener};
use serde::Serialize;
use std::sync::Arc;
use ureq::http::StatusCode;
use ureq::http::header::CONTENT_ENCODING;

/// Snapshots that HQ gives over HTTP. By itself it asks; [`HttpFollowing`] is told too.
///
/// Its calls wait for as long as [`HttpPatience`] says, and end when the [`Following`] that makes them is dropped.
#[derive(Debug)]
pub struct HttpSource {
    client: Arc<Client>,
    link: Arc<Link>,
    stream: Region,
    engine: Option<EngineId>,
    /// The last report, where HQ does not have it yet.
    unsent: Option<Vec<u8>>,
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
        Self { client: Arc::new(Client::new(options)), link: Arc::default(), stream, engine, unsent: None }
    }

    /// Sends the last report where HQ does not have it yet. What HQ refuses is not sent again.
    fn send(&mut self) {
        let (Some(engine), Some(json)) = (&self.engine, &self.unsent) else { return };
        match self.client.post(&format!("/v1/engines/{engine}/status"), json) {
            Err(failure) if failure.passing => {}
            _ => self.unsent = None,
        }
    }
}

// Streams, hashes and ids of engines hold no character that a URL would have to escape.
impl Source for HttpSource {
    fn head(&mut self, stream: &Region, etag: Option<Hash>) -> Result<Answer, String> {
        if *stream == self.stream
            && let Some(document) = self.link.document()
        {
            self.send();
            return answer(Some(document), etag);
        }
        let known = etag.map(|etag| format!("\"{etag}\""));
        let response = self
            .client
            .head(&format!("/v1/snapshots/head?stream={stream}"), known.as_deref())
            .map_err(|failure| failure.why)?;
        let head = if response.status() == StatusCode::NOT_MODIFIED {
            Answer::NotModified
        } else {
            let head = read(response.into_body(), MAX_HEAD_BYTES as u64);
            Answer::Head(head.map_err(|error| self.client.lost(&error).why)?)
        };
        self.send();
        Ok(head)
    }

    fn chunk(&mut self, reference: ChunkRef) -> Result<Chunk, String> {
        let path = format!("/v1/snapshots/chunks/{}?stream={}", reference.hash, self.stream);
        let response = self.client.chunk(&path).map_err(|failure| failure.why)?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Err("HQ says that something is not new which was never asked about".to_owned());
        }
        let encoding = response.headers().get(CONTENT_ENCODING).map(|value| value.as_bytes().to_vec());
        let length = reference.length.min(MAX_CHUNK_BYTES);
        let get = |most| read(response.into_body(), most).map_err(|error| self.client.lost(&error).why);
        match encoding.as_deref() {
            None | Some(b"identity") => Ok(Chunk::raw(get(length)?)),
            Some(b"zstd") => {
                // What the worst compression makes of it.
                let most = length + length / 8 + 1024;
                let frame = get(most)?;
                if frame.len() as u64 > most {
                    return Err(format!("it is longer than {most} bytes, compressed"));
                }
                Ok(Chunk::zstd(frame))
            }
            Some(other) => {
                let other = self.client.shown(&String::from_utf8_lossy(other));
                Err(format!("HQ sends it encoded as `{other}`, which was not asked for"))
            }
        }
    }

    fn report(&mut self, report: &Report) {
        if self.engine.is_none() {
            return;
        }
        // What can be reported can be written as JSON; what is reported now replaces what could not be sent before.
        self.unsent = serde_json::to_vec(&Status { stream: &self.stream, report }).ok();
        self.send();
    }

    fn interrupt(&self) -> Option<Interrupt> {
        let client = self.client.clone();
        Some(Interrupt::new(move || client.interrupt()))
    }
}

/// An engine that follows HQ over HTTP: told of new heads by server-sent events, and asking by itself where it is not.
///
/// It goes on answering while HQ is down, and catches up when it is back. Dropping it ends both of its threads within
/// about a second, whatever HQ does.
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
