//! Scripts for a follower: what happens, one event after another, and what it is to do about each.

use super::{bytes_of, engine, json_of, only_keys, text, time, trust, wrong};
use leasehold::follow::{Action, Event, Follower, Kept};
use leasehold::wire::{Chunk, Fault, Pack};
use leasehold::{Engine, Hash, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Follows a script; gives the first step whose outcome is another, with what is wrong.
pub(crate) fn follow(args: &Value, documents: &Map<String, Value>) -> Result<(), String> {
    only_keys(args, &["trust", "engine", "tenant", "steps"], "args");
    let mut script = Script {
        follower: follower(args),
        args,
        documents: documents.iter().map(|(name, document)| (name.as_str(), bytes_of(document))).collect(),
        timers: Vec::new(),
        tokens: Vec::new(),
        seen: None,
    };
    for (at, step) in args["steps"].as_array().unwrap().iter().enumerate() {
        if let Some(wrong) = wrong(&script.take(step), step) {
            return Err(format!("step {at}: {wrong}"));
        }
    }
    Ok(())
}

fn follower(args: &Value) -> Follower {
    match (args.get("engine"), args.get("tenant")) {
        (None, None) => Follower::of_stream(trust(args)),
        (Some(engine), None) => Follower::of_engine(trust(args), engine.as_str().unwrap().parse().unwrap()),
        (None, Some(tenant)) => Follower::of_slice(trust(args), tenant.as_str().unwrap().parse().unwrap()),
        (Some(_), Some(_)) => panic!("a follower of a slice has no engine"),
    }
}

/// A follower, and what its host remembers.
struct Script<'s> {
    follower: Follower,
    args: &'s Value,
    documents: HashMap<&'s str, Vec<u8>>,
    timers: Vec<u64>,
    tokens: Vec<u64>,
    /// The head that was remembered last as the highest that was seen.
    seen: Option<Value>,
}

impl Script<'_> {
    /// What comes of a step: actions and health, or an answer.
    fn take(&mut self, step: &Value) -> Result<Value, Value> {
        if step.get("call").is_some() {
            only_keys(step, &["call", "args", "expect", "error"], "step");
            let snapshot = self.follower.snapshot().unwrap_or_else(|| panic!("nothing to answer from: {step}"));
            return engine::ask(&Engine::new(snapshot.clone()), text(step, "call"), &step["args"]);
        }
        only_keys(step, &["event", "now", "random", "expect", "error"], "step");
        let (now, random) = (time(&step["now"]), step.get("random").map_or(0, |random| random.as_u64().unwrap()));
        let actions = self.happens(&step["event"], now, random).map_err(|fault| self.named(&json_of(fault)))?;
        let mut actions: Vec<Value> = actions.iter().map(|action| self.action(action)).collect();
        // To remember the same head once more comes to nothing.
        actions.retain(|action| match action.get("persist_seen") {
            Some(head) => self.seen.replace(head.clone()).as_ref() != Some(head),
            None => true,
        });
        let health = self.follower.health(now);
        let codes: Vec<&str> = health.faults.iter().map(|seen| seen.fault.code()).collect();
        let mut outcome = self.named(&json_of(&health));
        outcome["faults"] = json!(codes);
        outcome["actions"] = json!(actions);
        Ok(outcome)
    }

    fn happens(&mut self, event: &Value, now: Timestamp, random: u64) -> Result<Vec<Action>, Fault> {
        let empty = Map::new();
        let of = event.as_object().unwrap_or(&empty);
        let name = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value} is no name")).to_owned();
        let before =
            |list: &[u64], steps: usize| *list.iter().rev().nth(steps).unwrap_or_else(|| panic!("{event}: none yet"));
        let happened = match event.as_str().or(of.keys().next().map(String::as_str)) {
            Some("started") => vec![Event::Started],
            Some("timer") => vec![Event::Timer(before(&self.timers, 0))],
            Some("timer_before") => vec![Event::Timer(before(&self.timers, 1))],
            Some("notified") => vec![Event::Notified],
            Some("connection_lost") => vec![Event::ConnectionLost],
            Some("head") => vec![Event::Head(self.document(&name(&of["head"])))],
            Some("not_modified") => {
                let envelope = Some(&of["not_modified"]).filter(|envelope| !envelope.is_null());
                vec![Event::NotModified { envelope: envelope.map(|envelope| self.document(&name(envelope))) }]
            }
            Some("head_failed") => vec![Event::HeadFailed(name(&of["head_failed"]))],
            Some("chunks") => {
                let contents = of["chunks"].as_array().unwrap().iter().map(|content| self.document(&name(content)));
                contents.map(|content| Event::Chunk(Hash::of(&content), Chunk::raw(content))).collect()
            }
            Some("damaged") => {
                only_keys(&of["damaged"], &["chunk", "as"], "damaged");
                let hash = Hash::of(&self.document(text(&of["damaged"], "chunk")));
                vec![Event::Chunk(hash, Chunk::raw(self.document(text(&of["damaged"], "as"))))]
            }
            Some("chunk_missing") => {
                vec![Event::ChunkMissing(Hash::of(&self.document(&name(&of["chunk_missing"]))))]
            }
            Some("chunk_failed") => {
                vec![Event::ChunkFailed(Hash::of(&self.document(&name(&of["chunk_failed"]))), "503".into())]
            }
            Some("persisted") => vec![Event::Persisted(before(&self.tokens, 0))],
            Some("persisted_before") => vec![Event::Persisted(before(&self.tokens, 1))],
            Some("not_persisted") => vec![Event::NotPersisted(before(&self.tokens, 0), "the disk is full".into())],
            Some("restore") => return Ok(self.restore(&of["restore"], now)),
            Some("open") => {
                let pack = Pack::read(&self.document(&name(&of["open"])))?;
                let actions = self.follower.open(pack, now)?;
                return Ok(self.remember(actions));
            }
            _ => panic!("unknown event {event}"),
        };
        assert!(of.len() <= 1, "two events at once: {event}");
        let actions = happened.into_iter().flat_map(|event| self.follower.handle(event, now, random)).collect();
        Ok(self.remember(actions))
    }

    /// Begins again, with what was kept.
    fn restore(&mut self, kept: &Value, now: Timestamp) -> Vec<Action> {
        only_keys(kept, &["head", "seen", "contents"], "restore");
        let document = |key: &str| kept.get(key).map(|name| self.document(name.as_str().unwrap()));
        let listed =
            kept.get("contents").map(|names| names.as_array().unwrap().iter().map(|name| name.as_str().unwrap()));
        let names: Vec<&str> = listed.map_or_else(|| self.documents.keys().copied().collect(), Iterator::collect);
        let contents = names.into_iter().map(|name| self.document(name));
        let contents: HashMap<Hash, Chunk> =
            contents.map(|content| (Hash::of(&content), Chunk::raw(content))).collect();
        let find = |hash| contents.get(&hash).cloned();
        let kept = Kept { head: document("head"), seen: document("seen"), find: &find };
        self.follower = follower(self.args);
        self.seen = None;
        let actions = self.follower.restore(kept, now);
        self.remember(actions)
    }

    fn remember(&mut self, actions: Vec<Action>) -> Vec<Action> {
        for action in &actions {
            match action {
                Action::Wait { timer, .. } => self.timers.push(*timer),
                Action::Persist(persist) => self.tokens.push(persist.token),
                _ => {}
            }
        }
        actions
    }

    fn action(&self, action: &Action) -> Value {
        let names = |hashes: &mut dyn Iterator<Item = Hash>| {
            let mut names: Vec<String> = hashes.map(|hash| self.name(hash)).collect();
            names.sort_unstable();
            names
        };
        match action {
            Action::FetchHead { etag } => json!({ "fetch_head": etag.map(|etag| self.name(etag)) }),
            Action::FetchChunk(reference) => json!({ "fetch_chunk": self.name(reference.hash) }),
            Action::Wait { ms, .. } => json!({ "wait_ms": ms }),
            Action::Swap(snapshot) => json!({ "swap": snapshot.stamp().revision }),
            Action::Persist(persist) => json!({ "persist": {
                "head": self.name(Hash::of(&persist.head)),
                "chunks": names(&mut persist.chunks.iter().map(|(hash, _)| *hash)),
                "obsolete": names(&mut persist.obsolete.iter().copied()),
            } }),
            Action::PersistSeen(head) => json!({ "persist_seen": self.name(Hash::of(head)) }),
            Action::Report(report) => json!({ "report": self.named(&json_of(report)) }),
        }
    }

    fn document(&self, name: &str) -> Vec<u8> {
        self.documents.get(name).unwrap_or_else(|| panic!("no document is called `{name}`")).clone()
    }

    /// The name of a document, or its hash where it has none.
    fn name(&self, hash: Hash) -> String {
        let found = self.documents.iter().find(|(_, document)| Hash::of(document) == hash);
        found.map_or_else(|| hash.to_string(), |(name, _)| (*name).to_owned())
    }

    /// The same with the names of documents in place of their hashes.
    fn named(&self, value: &Value) -> Value {
        let mut text = value.to_string();
        for (name, document) in &self.documents {
            text = text.replace(&Hash::of(document).to_string(), name);
        }
        serde_json::from_str(&text).unwrap()
    }
}
