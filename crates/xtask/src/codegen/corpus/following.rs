//! What followers meet in the corpus, as scripts: those of the target `follower`, shards that the right key signed, and
//! contents of slices that it signed.

use std::collections::{BTreeMap, HashMap};

use leasehold::follow::{Action, Event, Follower, Kept, Report};
use leasehold::wire::{Chunk, Encoding, Pack};
use leasehold::{Hash, Timestamp};
use serde_json::{Value, json};

use super::published::{Changed, Happens, Published, noon, play, published};
use crate::Result;

/// The largest number that all languages have.
const MOST: u64 = (1 << 53) - 1;

/// Bytes that scripts refer to by name.
pub(super) struct Documents {
    named: BTreeMap<String, Vec<u8>>,
    names: HashMap<Hash, String>,
}

impl Documents {
    /// All that was published.
    pub(super) fn new() -> Self {
        let mut documents = Self { named: BTreeMap::new(), names: HashMap::new() };
        let Published { heads, chunks, .. } = published();
        for head in heads {
            documents.name(head.bytes(), &format!("head_{}", head.head().revision));
        }
        for (reference, bytes) in chunks {
            documents.name(bytes, &content(reference.hash));
        }
        documents
    }

    /// The name of bytes: the one that they have, or a new one.
    fn name(&mut self, bytes: &[u8], new: &str) -> String {
        let name = self.names.entry(Hash::of(bytes)).or_insert_with(|| new.to_owned()).clone();
        self.named.entry(name.clone()).or_insert_with(|| bytes.to_vec());
        name
    }

    fn find(&self, hash: Hash) -> Option<Chunk> {
        Some(Chunk::raw(self.named.get(self.names.get(&hash)?)?.clone()))
    }

    /// The same with names in place of hashes.
    fn named(&self, value: &Value) -> Result<Value> {
        let plain = value.to_string();
        let text = self.names.iter().fold(plain, |text, (hash, name)| text.replace(&hash.to_string(), name));
        Ok(serde_json::from_str(&text)?)
    }

    /// The names of contents, sorted.
    fn sorted(&self, hashes: impl Iterator<Item = Hash>) -> Vec<String> {
        let name = |hash: Hash| self.names.get(&hash).cloned().unwrap_or_else(|| hash.to_string());
        let mut names: Vec<String> = hashes.map(name).collect();
        names.sort_unstable();
        names
    }

    pub(super) fn into_json(self) -> Value {
        self.named.into_iter().map(|(name, bytes)| (name, super::text_or_base64(&bytes))).collect()
    }
}

fn content(hash: Hash) -> String {
    let digits = hash.to_string();
    format!("content_{}", digits.get(..8).unwrap_or(&digits))
}

/// A follower, what happens to it, and what it does about that.
struct Script<'d> {
    id: String,
    documents: &'d mut Documents,
    new: fn() -> Follower,
    follower: Follower,
    steps: Vec<Value>,
    /// The head that was remembered last as the highest that was seen.
    seen: Option<Value>,
    /// Whether there was anything to wait for, and anything to keep.
    waits: bool,
    persists: bool,
}

impl<'d> Script<'d> {
    fn new(id: String, documents: &'d mut Documents, new: fn() -> Follower) -> Self {
        let (seen, waits, persists) = (None, false, false);
        Self { id, documents, new, follower: new(), steps: Vec::new(), seen, waits, persists }
    }

    fn happens(&mut self, happens: Happens, now: Timestamp, random: u64) -> Result<Vec<Action>> {
        let random = random.min(MOST);
        let (said, actions) = match happens {
            Happens::Event(event) => {
                let Some((said, event)) = self.said(event) else { return Ok(Vec::new()) };
                (said, self.follower.handle(event, now, random))
            }
            Happens::Restart { head, seen } => {
                let mut said = json!({});
                for (key, document) in [("head", &head), ("seen", &seen)] {
                    if let Some(document) = document {
                        said[key] = json!(self.documents.name(document, "kept"));
                    }
                }
                (self.follower, self.seen) = ((self.new)(), None);
                let find = |hash| self.documents.find(hash);
                (json!({ "restore": said }), self.follower.restore(Kept { head, seen, find: &find }, now))
            }
        };
        self.note(said, now, random, &actions)?;
        Ok(actions)
    }

    /// An event as scripts say it; nothing where they cannot. What is compressed comes uncompressed, and a frame that is
    /// altered as a content that is.
    fn said(&mut self, event: Event) -> Option<(Value, Event)> {
        let new = |what: &str| format!("{}_{what}_{}", self.id, self.steps.len());
        let said = match &event {
            Event::Started => json!("started"),
            Event::Notified => json!("notified"),
            Event::ConnectionLost => json!("connection_lost"),
            Event::Timer(_) => self.waits.then(|| json!("timer"))?,
            Event::Persisted(_) => self.persists.then(|| json!("persisted"))?,
            Event::NotPersisted(..) => self.persists.then(|| json!("not_persisted"))?,
            Event::HeadFailed(why) => json!({ "head_failed": why }),
            Event::NotModified { envelope: None } => json!({ "not_modified": null }),
            Event::Head(document) => json!({ "head": self.documents.name(document, &new("head")) }),
            Event::Chunk(hash, chunk) => {
                let right = self.documents.find(*hash)?;
                let name = self.documents.name(right.bytes(), &content(*hash));
                let is_right = match chunk.encoding() {
                    Encoding::Raw => *chunk == right,
                    Encoding::Zstd => *chunk == Chunk::compressed(right.bytes()),
                };
                if is_right {
                    return Some((json!({ "chunks": [name] }), Event::Chunk(*hash, right)));
                }
                let other = self.documents.name(chunk.bytes(), &new("damaged"));
                let damaged = Chunk::raw(chunk.bytes().clone());
                return Some((json!({ "damaged": { "chunk": name, "as": other } }), Event::Chunk(*hash, damaged)));
            }
            _ => return None,
        };
        Some((said, event))
    }

    /// Writes down what happened, and what came of it.
    fn note(&mut self, said: Value, now: Timestamp, random: u64, actions: &[Action]) -> Result<()> {
        let mut told = Vec::new();
        for action in actions {
            let action = self.action(action)?;
            // To remember the same head once more comes to nothing.
            let seen = action.get("persist_seen");
            if seen.is_none_or(|head| self.seen.replace(head.clone()).as_ref() != Some(head)) {
                told.push(action);
            }
        }
        let health = self.follower.health(now);
        let mut outcome = self.documents.named(&json!(&health))?;
        outcome["faults"] = health.faults.iter().map(|seen| json!(seen.fault.code())).collect();
        outcome["actions"] = json!(told);
        let mut step = json!({ "event": said, "now": now, "expect": outcome });
        if random != 0 {
            step["random"] = json!(random);
        }
        self.steps.push(step);
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<Value> {
        let documents = &mut *self.documents;
        Ok(match action {
            Action::FetchHead { etag } => documents.named(&json!({ "fetch_head": etag }))?,
            Action::FetchChunk(reference) => documents.named(&json!({ "fetch_chunk": reference.hash }))?,
            Action::Wait { ms, .. } => {
                self.waits = true;
                json!({ "wait_ms": ms })
            }
            Action::Swap(snapshot) => json!({ "swap": snapshot.stamp().revision }),
            Action::Persist(persist) => {
                self.persists = true;
                json!({ "persist": {
                    "head": documents.name(&persist.head, "head"),
                    "chunks": documents.sorted(persist.chunks.iter().map(|(hash, _)| *hash)),
                    "obsolete": documents.sorted(persist.obsolete.iter().copied()),
                } })
            }
            Action::PersistSeen(head) => json!({ "persist_seen": documents.name(head, "head") }),
            Action::Report(report) => {
                let mut said = json!(report);
                if let Report::Nack { .. } = report {
                    // What it says in words is not fixed.
                    said["fault"].as_object_mut().map(|fault| fault.remove("message"));
                }
                json!({ "report": documents.named(&said)? })
            }
        })
    }

    /// Asks what everybody has, where there is anything to ask.
    fn ask(&mut self) {
        let Some(snapshot) = self.follower.snapshot() else { return };
        for tenant in snapshot.tenants() {
            let args = json!({ "tenant": tenant.id(), "now": noon() });
            self.steps.push(json!({ "call": "entitlements", "args": args, "expect": tenant.entitlements(noon()) }));
        }
    }

    fn case(self, target: &str, tenant: Option<&str>) -> Value {
        let mut args = json!({ "trust": published().trust, "steps": self.steps });
        if let Some(tenant) = tenant {
            args["tenant"] = json!(tenant);
        }
        json!({ "id": self.id, "rule": format!("fuzz: {target}"), "call": "follow", "args": args })
    }
}

fn of_stream() -> Follower {
    Follower::of_stream(published().trust.clone())
}

fn of_slice() -> Follower {
    Follower::of_slice(published().trust.clone(), published().tenant(0))
}

/// Bytes as a script.
pub(super) fn follower(id: String, bytes: &[u8], documents: &mut Documents) -> Result<Value> {
    let (mut script, mut failed) = (Script::new(id, documents, of_stream), None);
    play(bytes, |happens, now, random| {
        script.happens(happens, now, random).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Vec::new()
        })
    });
    script.ask();
    failed.map_or_else(|| Ok(script.case("follower", None)), Err)
}

/// Bytes as a shard that the right key signed, for a follower that has the revision before.
pub(super) fn shard(id: String, bytes: &[u8], documents: &mut Documents) -> Result<Value> {
    let Changed { before, document, chunks } = published().with_shard(bytes);
    let before = before.to_bytes(&[]);
    let pack = documents.name(&before, "pack");
    for (hash, chunk) in &chunks {
        documents.name(chunk.bytes(), &content(*hash));
    }
    let mut script = Script::new(id, documents, of_stream);
    let opened = script.follower.open(Pack::read(&before)?, noon())?;
    script.note(json!({ "open": pack }), noon(), 0, &opened)?;
    let mut events = vec![Event::Head(document), Event::Started];
    while let Some(event) = events.pop() {
        for action in script.happens(Happens::Event(event), noon(), 0)? {
            let Action::FetchChunk(reference) = action else { continue };
            let chunk = chunks.get(&reference.hash).ok_or("a content that nobody has is asked for")?;
            events.push(Event::Chunk(reference.hash, chunk.clone()));
        }
    }
    script.ask();
    Ok(script.case("shard", None))
}

/// Bytes as the content of a slice that the right key signed.
pub(super) fn slice(id: String, bytes: &[u8], documents: &mut Documents) -> Result<Value> {
    let mut script = Script::new(id, documents, of_slice);
    for event in [Event::Started, Event::Head(published().slice(0, Some(bytes)))] {
        script.happens(Happens::Event(event), noon(), 0)?;
    }
    script.ask();
    Ok(script.case("slice", Some(published().tenant(0).as_str())))
}
