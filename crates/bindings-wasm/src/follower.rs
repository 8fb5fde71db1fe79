//! Following: the engine's state machine. What happens and what is to be done are plain objects of JavaScript's.

use crate::documents::trusted;
use crate::engine::NativeSnapshot;
use crate::failure::{Thrown, answer, document};
use js_sys::{Array, JsString, Object, Reflect, Uint8Array};
use leasehold::Hash;
use leasehold::bindings::{self, Happened, Patience, Result, Todo, chunk, count, float, id, instant};
use leasehold::follow::{Action, Follower, Kept, Settings};
use leasehold::wire::Chunk;
use std::collections::HashMap;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};

#[wasm_bindgen]
extern "C" {
    /// How patient it is, in milliseconds; what is absent is as usual.
    pub type FollowerSettings;
    #[wasm_bindgen(method, getter, structural, js_name = pollMs)]
    fn poll_ms(this: &FollowerSettings) -> Option<f64>;
    #[wasm_bindgen(method, getter, structural, js_name = timeoutMs)]
    fn timeout_ms(this: &FollowerSettings) -> Option<f64>;
    #[wasm_bindgen(method, getter, structural, js_name = backoffMinMs)]
    fn backoff_min_ms(this: &FollowerSettings) -> Option<f64>;
    #[wasm_bindgen(method, getter, structural, js_name = backoffMaxMs)]
    fn backoff_max_ms(this: &FollowerSettings) -> Option<f64>;
    #[wasm_bindgen(method, getter, structural, js_name = reportMs)]
    fn report_ms(this: &FollowerSettings) -> Option<f64>;

    /// What happened, or a content as it is kept: `type` is the name of the core's event in snake case, and says what else
    /// is there.
    pub type NativeEvent;
    #[wasm_bindgen(method, getter, structural, js_name = type)]
    fn kind(this: &NativeEvent) -> String;
    #[wasm_bindgen(method, getter, structural)]
    fn number(this: &NativeEvent) -> Option<f64>;
    #[wasm_bindgen(method, getter, structural)]
    fn document(this: &NativeEvent) -> Option<Uint8Array>;
    #[wasm_bindgen(method, getter, structural)]
    fn bytes(this: &NativeEvent) -> Option<Uint8Array>;
    #[wasm_bindgen(method, getter, structural)]
    fn hash(this: &NativeEvent) -> Option<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn encoding(this: &NativeEvent) -> Option<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn why(this: &NativeEvent) -> Option<String>;
}

/// The state machine of following.
#[wasm_bindgen]
#[derive(Debug)]
pub struct NativeFollower(pub(crate) Follower);

#[wasm_bindgen]
impl NativeFollower {
    /// A follower of a stream, as an engine where one is named; or of the slice of a tenant.
    #[wasm_bindgen(constructor)]
    pub fn new(
        trust: &str,
        engine: Option<String>,
        tenant: Option<String>,
        settings: Option<FollowerSettings>,
    ) -> Thrown<NativeFollower> {
        answer(|| {
            let engine = engine.map(|engine| id("engine", &engine)).transpose()?;
            let tenant = tenant.map(|tenant| id("tenant", &tenant)).transpose()?;
            let patience = settings.map_or_else(Patience::default, |settings| Patience {
                poll_ms: settings.poll_ms(),
                timeout_ms: settings.timeout_ms(),
                backoff_min_ms: settings.backoff_min_ms(),
                backoff_max_ms: settings.backoff_max_ms(),
                report_ms: settings.report_ms(),
            });
            let follower = bindings::follower(trusted(trust)?, engine, tenant)?;
            Ok(Self(follower.with_settings(Settings::from(patience))))
        })
    }

    /// The stream that it follows.
    pub fn stream(&self) -> String {
        self.0.trust().stream.to_string()
    }

    /// What is to be done about an event.
    pub fn handle(&mut self, event: &NativeEvent, now: f64, random: f64) -> Thrown<Array> {
        let document = event.document().map(|document| document.to_vec());
        let (kind, hash, encoding, why) = (event.kind(), event.hash(), event.encoding(), event.why());
        let happened = Happened {
            kind: &kind,
            number: event.number().map(count),
            document: document.as_deref(),
            hash: hash.as_deref(),
            encoding: encoding.as_deref(),
            why: why.as_deref(),
        };
        answer(|| Ok(actions(self.0.handle(happened.event()?, instant(now)?, count(random)))))
    }

    /// Begins with what was kept: the head in force, the highest that was seen, and contents.
    pub fn restore(
        &mut self,
        head: Option<Box<[u8]>>,
        seen: Option<Box<[u8]>>,
        contents: Vec<NativeEvent>,
        now: f64,
    ) -> Thrown<Array> {
        answer(|| {
            let [head, seen] = [head, seen].map(|document| document.map(Vec::from));
            let kept = |kept: &NativeEvent| -> Result<(Hash, Chunk)> {
                let bytes = kept.bytes().map(|bytes| bytes.to_vec()).unwrap_or_default();
                let (hash, encoding) = (kept.hash().unwrap_or_default(), kept.encoding().unwrap_or_default());
                Ok((id("hash", &hash)?, chunk(&encoding, &bytes)?))
            };
            let contents: HashMap<Hash, Chunk> = contents.iter().map(kept).collect::<Result<_>>()?;
            let find = |hash| contents.get(&hash).cloned();
            Ok(actions(self.0.restore(Kept { head, seen, find: &find }, instant(now)?)))
        })
    }

    /// Whether a content is still of use.
    #[wasm_bindgen(js_name = waitsFor)]
    pub fn waits_for(&self, hash: &str) -> Thrown<bool> {
        answer(|| Ok(self.0.waits_for(id("hash", hash)?)))
    }

    /// The hashes of all contents that are in force.
    pub fn contents(&self) -> Vec<String> {
        self.0.contents().map(|hash| hash.to_string()).collect()
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Option<NativeSnapshot> {
        self.0.snapshot().cloned().map(NativeSnapshot::of)
    }

    /// How it is doing.
    pub fn health(&self, now: f64) -> Thrown<String> {
        document(|| Ok(self.0.health(instant(now)?)))
    }
}

/// What is to be done, in order: `type` is the name of the core's action in snake case, and says what else is there.
pub(crate) fn actions(actions: Vec<Action>) -> Array {
    actions.into_iter().map(|action| JsValue::from(object(action.into()))).collect()
}

fn object(todo: Todo) -> Object {
    let Todo { kind, hash, length, ms, number, document, chunks, obsolete, report } = todo;
    let bytes = |bytes: &[u8]| JsValue::from(Uint8Array::from(bytes));
    let text = |hash: Hash| JsValue::from(hash.to_string());
    let object = members([
        ("type", Some(JsValue::from_str(kind))),
        ("hash", hash.map(text)),
        ("length", length.map(|length| float(length).into())),
        ("ms", ms.map(|ms| float(ms).into())),
        ("number", number.map(|number| float(number).into())),
        ("document", document.map(|document| bytes(&document))),
        ("report", report.map(JsValue::from)),
    ]);
    if kind == "persist" {
        let content = |(hash, chunk): (Hash, Chunk)| {
            JsValue::from(members([
                ("hash", Some(text(hash))),
                ("encoding", Some(JsValue::from_str(chunk.encoding().as_str()))),
                ("bytes", Some(bytes(chunk.bytes()))),
            ]))
        };
        set(&object, "chunks", &chunks.into_iter().map(content).collect::<Array>());
        set(&object, "obsolete", &obsolete.into_iter().map(text).collect::<Array>());
    }
    object
}

fn members<const N: usize>(members: [(&str, Option<JsValue>); N]) -> Object {
    let object = Object::new();
    for (name, value) in members {
        if let Some(value) = value {
            set(&object, name, &value);
        }
    }
    object
}

fn set(object: &Object, name: &str, value: &JsValue) {
    // A fresh object takes every member.
    let _ = Reflect::set(object, JsString::from(name).unchecked_ref(), value);
}
