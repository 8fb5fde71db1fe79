//! The corpus of the fuzz targets as conformance vectors, so that what fuzzing found is asked in every language.
//!
//! Worlds (`resolution`, `explanation`) are expected to be answered as the reference evaluator has it. Of everything else,
//! what the engine says is what all runtimes have to say. Two targets are left out: what `shard` reads is a change to
//! what another revision said, and what `follower` reads is a script of events; `follow.json` has such by hand.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leasehold::bindings::{self, Failure};
use leasehold::build::{Content, definitions_hash};
use leasehold::generate::{Choices, Question, instants, question, world};
use leasehold::model::{Definitions, Diagnostic, FeatureKind, Source, locate};
use leasehold::reference::{Answer, Reference};
use leasehold::wire::{ChunkRef, MANIFEST_FORMAT, Manifest, Pack, TreeNode, Trust, canonical};
use leasehold::{Revision, Snapshot, Stamp, Timestamp};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::codegen::{packs, pretty};

/// Where the vectors lie, below the root of the workspace.
pub(crate) const TARGET: &str = "tests/conformance/fuzz_corpus.json";

const CORPUS: &str = "fuzz/corpus";
/// The tenant of the slices that the target `slice` has.
const TENANT: &str = "tenant0";
const REVISION: u64 = 7;
/// When what runners build is compiled.
const BUILT_AT: &str = "2026-03-10T12:00:00Z";

/// What a case asks and what it is told.
struct Case {
    needs: &'static [&'static str],
    call: &'static str,
    args: Value,
    answer: std::result::Result<Value, Value>,
}

/// Turns a file of a corpus into a case; nothing where it says nothing that another file does not say.
type Turn = fn(&[u8], &Trust) -> Result<Option<Case>>;

const TARGETS: [(&str, Turn); 7] = [
    ("canonical", canonical),
    ("definitions", definitions),
    ("guard", guard),
    ("head", head),
    ("manifest", index),
    ("pack", pack),
    ("slice", slice),
];

/// The file of vectors.
pub(crate) fn vectors(root: &Path) -> Result<Vec<u8>> {
    let trust = Trust::from_json(&fs::read(root.join(CORPUS).join("head/trust.json"))?)?;
    let (mut cases, mut documents) = (Vec::new(), Map::new());
    for (target, turn) in TARGETS {
        for (name, bytes) in files(root, target)? {
            if let Some(case) = turn(&bytes, &trust)? {
                cases.push(case.told(target, &name));
            }
        }
    }
    for target in ["resolution", "explanation"] {
        for (name, bytes) in files(root, target)? {
            let Some(Asked { pack, opened_at, questions }) = asked(&bytes)? else { continue };
            let id = format!("{target}-{name}");
            let opened = json!({ "event": { "open": id }, "now": opened_at, "expect": { "revision": REVISION } });
            let steps: Vec<Value> = std::iter::once(opened).chain(questions).collect();
            documents.insert(id.clone(), text_or_base64(&pack));
            cases.push(json!({
                "id": id, "rule": format!("fuzz: {target}"), "call": "follow", "args": { "steps": steps },
            }));
        }
    }
    let about = "The corpus of the fuzz targets; `cargo xtask codegen` makes this file of `fuzz/corpus`";
    pretty(json!({ "about": about, "documents": documents, "cases": cases }))
}

impl Case {
    fn told(self, target: &str, name: &str) -> Value {
        let Self { needs, call, args, answer } = self;
        let (key, said) = match answer {
            Ok(answer) => ("expect", answer),
            Err(error) => ("error", error),
        };
        let mut case = json!({
            "id": format!("{target}-{name}"), "rule": format!("fuzz: {target}"), "call": call, "args": args, key: said,
        });
        if !needs.is_empty() {
            case["needs"] = json!(needs);
        }
        case
    }
}

/// The files of a target's corpus by name, in alphabetical order.
fn files(root: &Path, target: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(CORPUS).join(target))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a file of a corpus has no name")?;
        files.push((name.to_owned(), fs::read(&path)?));
    }
    files.sort();
    Ok(files)
}

/// Bytes as vectors write them.
fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

/// A failure as vectors expect it: what is stable of it.
fn stable(failure: &Failure) -> Value {
    let mut error = json!({ "code": failure.code });
    for key in ["stage", "item"] {
        if let Some(value) = failure.rest.get(key) {
            error[key] = value.clone();
        }
    }
    error
}

fn canonical(bytes: &[u8], _: &Trust) -> Result<Option<Case>> {
    let answer = bindings::check_canonical(bytes).map(|()| json!({ "canonical": true }));
    let args = json!({ "document": text_or_base64(bytes) });
    Ok(Some(Case { needs: &[], call: "canonical", args, answer: answer.map_err(|failure| stable(&failure)) }))
}

fn definitions(bytes: &[u8], _: &Trust) -> Result<Option<Case>> {
    built(bytes).map(Some)
}

/// The text of a guard with the inputs and settings that its target declares. Files in which bytes stand for pieces of text
/// are left out.
fn guard(bytes: &[u8], _: &Trust) -> Result<Option<Case>> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let Some(text) = std::str::from_utf8(text).ok().filter(|_| text.first() != Some(&255)) else { return Ok(None) };
    let guard = json!({
        "name": "Guard", "name2": "شرط", "expression": text,
        "inputs": {
            "count": "integer", "index": "integer", "kind": "string", "note": "string", "paid": "bool", "photo": "bool",
            "tags": "strings", "total": "integer",
        },
        "settings": {
            "above": { "type": "integer", "default": 5 }, "allowed": { "type": "strings", "default": ["a"] },
            "required": { "type": "bool", "default": true }, "wanted": { "type": "string", "default": "a" },
        },
    });
    built(json!({ "guards": { "g": guard } }).to_string().as_bytes()).map(Some)
}

/// A definitions file, and every mistake in it.
fn built(bytes: &[u8]) -> Result<Case> {
    let sources = [Source { name: "fuzz.json".into(), bytes: bytes.to_vec() }];
    let stamp = Stamp { revision: Revision::default(), issued_at: BUILT_AT.parse()?, expires_at: None };
    let brief = |found: &[Diagnostic]| -> Value {
        found.iter().map(|one| json!({ "file": &*one.file, "path": one.path, "code": one.code })).collect()
    };
    let answer = match Snapshot::from_sources(&sources, stamp) {
        Ok(snapshot) => {
            let mut warnings = snapshot.warnings();
            locate(&mut warnings, &sources);
            json!({ "errors": [], "warnings": brief(&warnings) })
        }
        Err(refused) => json!({ "errors": brief(refused.as_slice()), "warnings": [] }),
    };
    let args = json!({ "files": { "fuzz.json": text_or_base64(bytes) } });
    Ok(Case { needs: &["build"], call: "build", args, answer: Ok(answer) })
}

/// What has no end of a line is to its target what somebody signs, and to everybody else no document.
fn is_document(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

fn head(bytes: &[u8], trust: &Trust) -> Result<Option<Case>> {
    if !is_document(bytes) {
        return Ok(None);
    }
    let answer = bindings::verify_head(bytes, trust, None).map(|head| json!(head));
    let args = json!({ "document": text_or_base64(bytes), "trust": trust });
    Ok(Some(Case { needs: &[], call: "verify_head", args, answer: answer.map_err(|failure| stable(&failure)) }))
}

fn slice(bytes: &[u8], trust: &Trust) -> Result<Option<Case>> {
    if !is_document(bytes) {
        return Ok(None);
    }
    let answer = bindings::verify_slice(bytes, TENANT, trust).map(|slice| json!(slice));
    let args = json!({ "document": text_or_base64(bytes), "trust": trust, "tenant": TENANT });
    Ok(Some(Case { needs: &[], call: "verify_slice", args, answer: answer.map_err(|failure| stable(&failure)) }))
}

/// The bytes as the index of definitions, which a manifest without tenants names.
fn index(bytes: &[u8], _: &Trust) -> Result<Option<Case>> {
    let definitions = ChunkRef::to(bytes);
    let manifest = Manifest { format: MANIFEST_FORMAT, definitions, tenants: TreeNode::default() };
    let manifest = canonical::to_vec(&manifest)?;
    let root = ChunkRef::to(&manifest);
    let content = Content { root, chunks: vec![(root, manifest), (definitions, bytes.to_vec())] };
    let (pack, order) =
        packs::around(content, Revision::new(REVISION).unwrap_or_default(), BUILT_AT.parse()?, Timestamp::MAX)?;
    opened(&pack.to_bytes(&order), &packs::trust()?).map(Some)
}

fn pack(bytes: &[u8], trust: &Trust) -> Result<Option<Case>> {
    opened(bytes, trust).map(Some)
}

/// A pack that is opened.
fn opened(bytes: &[u8], trust: &Trust) -> Result<Case> {
    let read = Pack::read(bytes).and_then(|pack| Snapshot::from_pack(pack, trust));
    let answer = read.map(|snapshot| {
        let stamp = snapshot.stamp();
        json!({ "revision": stamp.revision, "issued_at": stamp.issued_at, "tenants": snapshot.tenant_count() })
    });
    let answer = answer.map_err(|fault| stable(&fault.into()));
    let compressed = bytes.windows(6).any(|part| part == b" zstd ");
    let args = json!({ "pack": text_or_base64(bytes), "trust": trust });
    Ok(Case { needs: if compressed { &["zstd"] } else { &[] }, call: "open_pack", args, answer })
}

/// A pack, when it is opened, and what is asked of it.
struct Asked {
    pack: Vec<u8>,
    opened_at: Timestamp,
    questions: Vec<Value>,
}

/// The world that bytes stand for as a pack, and the questions that they stand for; nothing where it does not compile.
fn asked(bytes: &[u8]) -> Result<Option<Asked>> {
    let mut choices = Choices::from_bytes(bytes);
    let instants = instants();
    let (Some(opened_at), Some(expires_at)) = (choices.pick(&instants).copied(), instants.last().copied()) else {
        return Ok(None);
    };
    let definitions = world(&mut choices);
    let revision = Revision::new(REVISION).unwrap_or_default();
    let stamp = Stamp { revision, issued_at: opened_at, expires_at: Some(expires_at) };
    if opened_at == expires_at || Snapshot::compile(&definitions, stamp).is_err() {
        return Ok(None);
    }
    let pack = packs::signed(&definitions, revision, opened_at, expires_at)?;
    let hash = definitions_hash(&definitions)?;
    let reference = Reference { definitions: &definitions, hash, revision: REVISION, expires_at: Some(expires_at) };
    let all: Vec<Question> = (0..4).filter_map(|_| question(&definitions, &mut choices)).collect();
    let questions = all.iter().flat_map(|asked| steps(&definitions, &reference, asked)).collect();
    Ok(Some(Asked { pack, opened_at, questions }))
}

/// An answer from a pack: nobody says that there is nothing newer.
fn unconfirmed(mut answer: Value) -> Value {
    if answer["freshness"] == "fresh" {
        answer["freshness"] = json!("fallback");
    }
    answer
}

/// Every call that a question stands for.
fn steps(definitions: &Definitions, reference: &Reference<'_>, asked: &Question) -> Vec<Value> {
    let Question { tenant, feature, action, now, used, requested } = asked;
    let (id, key) = (tenant.as_str(), feature.as_str());
    let said = |call: &str, mut args: Value, answer: Answer<Value>| {
        args["tenant"] = json!(tenant);
        args["now"] = json!(now);
        match answer {
            Ok(answer) => json!({ "call": call, "args": args, "expect": answer }),
            Err(code) => json!({ "call": call, "args": args, "error": code }),
        }
    };
    let of = json!({ "feature": key, "action": action });
    let value = |answer: Answer<Value>| answer.map(|value| json!({ "value": value }));
    let amounts = json!({ "feature": key, "used": used, "requested": requested });
    let decision = reference.decide(id, key, *action, *now).map(unconfirmed);
    let mut steps = vec![
        said("is_enabled", of.clone(), value(reference.is_enabled(id, key, *action, *now).map(Value::Bool))),
        said("explain", of.clone(), decision.clone().map(|decision| json!({ "decision": decision }))),
        said("decide", of, decision),
        said("check_limit", amounts, reference.check_limit(id, key, *used, *requested, *now).map(unconfirmed)),
        said("entitlements", json!({}), reference.entitlements(id, *now)),
    ];
    if definitions.features.get(feature).is_some_and(|feature| matches!(feature.kind, FeatureKind::Value { .. })) {
        let answer = reference.value(id, key, *now).map(|value| value.unwrap_or(Value::Null));
        steps.push(said("value", json!({ "feature": key }), value(answer)));
    }
    steps
}
