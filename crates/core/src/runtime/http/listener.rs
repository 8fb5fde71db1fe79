//! The thread that hears of new heads.

use super::client::{Client, Failure, read_some};
use super::events::{Event, Events};
use super::options::{Pauses, ms};
use crate::runtime::following::Notifier;
use crate::wire::MAX_HEAD_BYTES;
use crate::{Hash, Region};
use serde_json::Value;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::http::header::CONTENT_TYPE;

/// Whether an engine hears of new heads from HQ, or has to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hearing {
    /// HQ tells of new heads, over a connection that is alive.
    Told,
    /// HQ is asked now and then, because it does not tell.
    Asking {
        /// Why it does not.
        why: String,
    },
}

/// What the thread that hears and the one that carries know of each other.
#[derive(Debug)]
pub(super) struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    hearing: Hearing,
    /// The ETag that was heard of last, over the connection that is alive.
    told: Option<Hash>,
    /// The head with that ETag, where it came along.
    document: Option<Vec<u8>>,
    stop: bool,
}

impl Default for Link {
    fn default() -> Self {
        let hearing = Hearing::Asking { why: "nobody has connected yet".to_owned() };
        let state = State { hearing, told: None, document: None, stop: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hearing(&self) -> Hearing {
        self.state().hearing.clone()
    }

    /// The current head, while HQ tells of each.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        self.state().document.clone()
    }

    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_all();
    }

    /// Whether that is something new.
    fn hear(&self, etag: Hash, document: Option<Vec<u8>>) -> bool {
        let mut state = self.state();
        state.hearing = Hearing::Told;
        let new = state.told != Some(etag);
        if new || document.is_some() {
            state.document = document;
        }
        state.told = Some(etag);
        new
    }

    fn lose(&self, why: String) {
        let mut state = self.state();
        state.hearing = Hearing::Asking { why };
        state.told = None;
        state.document = None;
    }

    /// Waits, and says whether to go on.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.stop);
        !waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }
}

pub(super) struct Listener {
    pub(super) client: Arc<Client>,
    pub(super) link: Arc<Link>,
    pub(super) stream: Region,
    pub(super) notifier: Notifier,
}

impl Listener {
    /// Passes on what HQ tells, until it is to stop.
    pub(super) fn run(&self) {
        let mut pauses = Pauses::of(self.client.options().patience);
        loop {
            let (mut heard, began) = (false, Instant::now());
            let why = match self.listen(&mut heard) {
                Ok(()) => "HQ has closed the connection".to_owned(),
                Err(failure) => failure.why,
            };
            self.link.lose(why);
            // Whoever closes every connection after the first event is not asked again and again.
            if heard && began.elapsed() >= ms(pauses.longest_ms()) {
                pauses.reset();
            }
            // Engines that are all asked to wait come back one after another.
            if !self.link.pause(pauses.next() + self.client.left_alone()) {
                return;
            }
        }
    }

    /// Passes on what HQ tells over one connection, until it ends.
    fn listen(&self, heard: &mut bool) -> Result<(), Failure> {
        let garbage = |why: &str| Failure { why: format!("HQ sends no events: {why}"), passing: true, status: None };
        let response = self.client.events(&format!("/v1/snapshots/events?stream={}", self.stream))?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(garbage("it answers with something else"));
        }
        let silence = ms(self.client.options().patience.silence_ms);
        let mut body = response.into_body().into_reader();
        let (mut events, mut last) = (Events::default(), Instant::now());
        loop {
            let piece = read_some(&mut body).map_err(|error| self.client.lost(&error))?;
            if piece.is_empty() {
                return Ok(());
            }
            for event in events.take(&piece).map_err(garbage)? {
                if self.take(&event).map_err(|why| garbage(&why))? {
                    (*heard, last) = (true, Instant::now());
                }
            }
            // Whoever sends a byte now and then has fallen silent too.
            if last.elapsed() > silence {
                return Err(garbage("it keeps the connection, and tells nothing"));
            }
        }
    }

    /// Whether the event is one of this stream.
    fn take(&self, event: &Event) -> Result<bool, String> {
        // What later versions tell beside these is not for this one.
        if !matches!(event.name.as_str(), "head" | "heartbeat") {
            return Ok(false);
        }
        let data: Value = serde_json::from_str(&event.data).map_err(|error| format!("`data` is not JSON: {error}"))?;
        let text = |key: &str| data.get(key).and_then(Value::as_str);
        if text("stream") != Some(self.stream.as_str()) {
            return Ok(false);
        }
        let etag = text("etag").and_then(|etag| etag.parse().ok()).ok_or("`etag` is not a hash")?;
        let document = text("document").map(|document| document.as_bytes().to_vec());
        if let Some(document) = &document {
            if document.len() > MAX_HEAD_BYTES {
                return Err(format!("`document` is longer than {MAX_HEAD_BYTES} bytes"));
            }
            if Hash::of(document) != etag {
                return Err("`document` is not the one of its `etag`".to_owned());
            }
        }
        // The first event after every connection is new: something may have been missed before it.
        if self.link.hear(etag, document) {
            self.notifier.notify();
        }
        Ok(true)
    }
}
