//! An HQ that speaks what `docs/following.md` says of HTTP, well or badly.

use super::web::{Request, Web, reply};
use super::{Publisher, STREAM};
use leasehold::Hash;
use leasehold::wire::Chunk;
use serde_json::json;
use std::collections::HashMap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

pub(crate) const TOKEN: &str = "lh_engine_secret";

/// How it behaves where it is asked for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    Right,
    /// Says no, with a problem.
    Problem {
        status: u16,
        retry_after: Option<u64>,
    },
    /// Sends elsewhere.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Cut,
    /// Sends something else, whole.
    Garbage,
    /// Sends without end.
    Endless,
    /// One byte at a time.
    Slow,
}

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Head,
    Chunk,
    Pack,
    Events,
    Status,
}

pub(crate) struct FakeHq {
    pub(crate) web: Web,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    head: Vec<u8>,
    revision: u64,
    chunks: HashMap<Hash, Vec<u8>>,
    pack: Vec<u8>,
    manners: HashMap<Asked, Manner>,
    listeners: Vec<TcpStream>,
    /// Requests that will never be answered.
    hung: Vec<Asked>,
}

impl FakeHq {
    pub(crate) fn start(publisher: &Publisher) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let theirs = state.clone();
        let web = Web::start(move |request, stream| State::handle(&theirs, request, stream));
        let hq = Self { web, state };
        // Contents are asked for one by one, unless a test says otherwise.
        hq.behave(Asked::Pack, Manner::Problem { status: 404, retry_after: None });
        hq.offer(publisher);
        hq
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.web.address)
    }

    pub(crate) fn behave(&self, asked: Asked, manner: Manner) {
        self.state.lock().unwrap().manners.insert(asked, manner);
    }

    /// Gives what was published last, and tells of it.
    pub(crate) fn offer(&self, publisher: &Publisher) {
        let mut state = self.state.lock().unwrap();
        state.head = publisher.last.bytes().to_vec();
        state.revision = publisher.last.head().revision.get();
        state.chunks = publisher.chunks.iter().map(|(hash, (_, bytes))| (*hash, bytes.clone())).collect();
        state.pack = publisher.pack().to_bytes(&[]);
        let event = state.event("head");
        state.tell(&event);
    }

    /// Tells that it lives.
    pub(crate) fn beat(&self) {
        let mut state = self.state.lock().unwrap();
        let event = state.event("heartbeat");
        state.tell(&event);
    }

    /// Tells anything.
    pub(crate) fn tell(&self, event: &str) {
        self.state.lock().unwrap().tell(event);
    }

    /// Gives what was published last, and tells nobody.
    pub(crate) fn offer_quietly(&self, publisher: &Publisher) {
        let listeners = std::mem::take(&mut self.state.lock().unwrap().listeners);
        self.offer(publisher);
        self.state.lock().unwrap().listeners = listeners;
    }

    pub(crate) fn count(&self, asked: Asked) -> usize {
        self.web.log().iter().filter(|request| asked_for(request) == asked).count()
    }

    /// Whether somebody waits for what will never come.
    pub(crate) fn holds(&self, asked: Asked) -> bool {
        self.state.lock().unwrap().hung.contains(&asked)
    }

    pub(crate) fn wait_for_count(&self, asked: Asked, least: usize) {
        self.web.wait_until(|log| log.iter().filter(|request| asked_for(request) == asked).count() >= least);
    }
}

pub(crate) fn asked_for(request: &Request) -> Asked {
    match request.path.split('?').next().unwrap() {
        "/v1/snapshots/head" => Asked::Head,
        "/v1/snapshots/events" => Asked::Events,
        "/v1/snapshots/pack" => Asked::Pack,
        path if path.starts_with("/v1/snapshots/chunks/") => Asked::Chunk,
        path if path.starts_with("/v1/engines/") && request.method == "POST" => Asked::Status,
        path => unreachable!("nobody asks for {path}"),
    }
}

impl State {
    fn etag(&self) -> String {
        Hash::of(&self.head).to_string()
    }

    fn event(&self, name: &str) -> String {
        let mut data = json!({ "stream": STREAM, "revision": self.revision, "etag": self.etag() });
        if name == "head" {
            data["document"] = String::from_utf8(self.head.clone()).unwrap().into();
        }
        format!("event: {name}\nid: {}\ndata: {data}\n\n", self.revision)
    }

    fn tell(&mut self, event: &str) {
        self.listeners.retain_mut(|listener| write_chunk(listener, event.as_bytes()));
    }

    fn handle(state: &Mutex<Self>, request: &Request, stream: &mut TcpStream) -> bool {
        let asked = asked_for(request);
        let mut state = state.lock().unwrap();
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            problem(stream, 401, None, request);
            return true;
        }
        let manner = state.manners.get(&asked).cloned().unwrap_or(Manner::Right);
        let body = match asked {
            Asked::Head => state.head.clone(),
            Asked::Events => state.event("head").into_bytes(),
            Asked::Chunk => {
                assert!(request.path.ends_with(&format!("?stream={STREAM}")));
                let hash = request.path.split(['/', '?']).nth(4).unwrap().parse().unwrap();
                state.chunks[&hash].clone()
            }
            Asked::Pack => state.pack.clone(),
            Asked::Status => Vec::new(),
        };
        match (manner, asked) {
            (Manner::Problem { status, retry_after }, _) => problem(stream, status, retry_after, request),
            (Manner::Redirect(to), _) => reply(stream, 307, &[("location", &to)], b""),
            (Manner::Cut, _) => return false,
            (Manner::Hang, asked) => state.hung.push(asked),
            (Manner::Garbage, Asked::Events) => {
                begin_events(stream);
                write_chunk(stream, b"event: head\ndata: {\"stream\":\"GCC-OM\",\"etag\":5}\n\n");
            }
            (Manner::Garbage, _) => reply(stream, 200, &[], b"<html>"),
            (Manner::Endless, asked) => {
                let kind = if asked == Asked::Events { "text/event-stream" } else { "application/octet-stream" };
                let start = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
                drop(state);
                let _ = stream.write_all(start.as_bytes());
                // What comes first is right.
                let begun = asked == Asked::Events || write_chunk(stream, &body);
                while begun && write_chunk(stream, &[b'x'; 4096]) {}
                return false;
            }
            (Manner::Slow, _) => {
                drop(state);
                let start = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                let mut bytes = start.into_bytes().into_iter().chain(body);
                return bytes.all(|byte| stream.write_all(&[byte]).is_ok());
            }
            (Manner::Right, Asked::Events) => {
                begin_events(stream);
                write_chunk(stream, &body);
                state.listeners.push(stream.try_clone().unwrap());
            }
            (Manner::Right, Asked::Head) => {
                let etag = format!("\"{}\"", state.etag());
                if request.header("if-none-match") == Some(&etag) {
                    reply(stream, 304, &[("etag", &etag)], b"");
                } else {
                    reply(stream, 200, &[("etag", &etag)], &body);
                }
            }
            (Manner::Right, Asked::Chunk) => {
                let chunk = Chunk::compressed(&body);
                let zstd = request.header("accept-encoding") == Some("zstd") && chunk.bytes().len() < body.len();
                match zstd {
                    true => reply(stream, 200, &[("content-encoding", "zstd")], chunk.bytes()),
                    false => reply(stream, 200, &[], &body),
                }
            }
            (Manner::Right, Asked::Pack) => reply(stream, 200, &[], &body),
            (Manner::Right, Asked::Status) => reply(stream, 204, &[], b""),
        }
        true
    }
}

/// A problem of somebody who repeats what should not be repeated.
fn problem(stream: &mut TcpStream, status: u16, retry_after: Option<u64>, request: &Request) {
    let detail = format!("no to `{}`", request.header("authorization").unwrap_or_default());
    let body =
        json!({ "type": "about:blank", "title": "No", "status": status, "code": "computer_says_no", "detail": detail });
    let mut headers = vec![("content-type", "application/problem+json")];
    let seconds = retry_after.map(|seconds| seconds.to_string());
    headers.extend(seconds.as_ref().map(|seconds| ("retry-after", seconds.as_str())));
    reply(stream, status, &headers, body.to_string().as_bytes());
}

fn begin_events(stream: &mut TcpStream) {
    let start = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let _ = stream.write_all(start.as_bytes());
}

/// One chunk of a body of several; says whether somebody still reads.
fn write_chunk(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    stream.write_all(&chunk).is_ok()
}
