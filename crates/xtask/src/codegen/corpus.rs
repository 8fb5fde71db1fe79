//! The corpus of the fuzz targets as conformance vectors, so that what fuzzing found is asked in every language.
//!
//! Worlds (`resolution`, `explanation`) are expected to be answered as the reference evaluator has it. Of everything else,
//! what the engine says is what all runtimes have to say.

mod following;
#[path = "../../../../fuzz/bodies/published.rs"]
mod published;
#[path = "../../../../fuzz/bodies/written.rs"]
mod written;

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use leasehold::bindings::{self, Failure};
use leasehold::build::{Content, definitions_hash};
use leasehold::generate::{Choices, Question, instants, question, world};
use leasehold::model::{Definitions, Diagnostic, FeatureKind, Source, format, load, locate};
use leasehold::reference::{Answer, Reference};
use leasehold::wire::{ChunkRef, MANIFEST_FORMAT, Manifest, Pack, TreeNode, Trust, canonical};
use leasehold::workflow::guard::{Constant, compile};
use leasehold::workflow::{Context, JsonInputs};
use leasehold::{Error, Revision, Snapshot, Stamp, Timestamp};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::codegen::{packs, pretty};
use published::published;
use written::{INPUTS, SETTINGS, Values, Written, declared};

/// Where the vectors lie, below the root of the workspace.
pub(crate) const TARGET: &str = "tests/conformance/fuzz_corpus.json";
/// Where those lie in which something is followed.
pub(crate) const FOLLOWING: &str = "tests/conformance/fuzz_following.json";
/// What both say of themselves.
const ABOUT: &str = "The corpus of the fuzz targets; `cargo xtask codegen` makes this file of `fuzz/corpus`";

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

/// Turns a file of a corpus into a case.
type Turn = fn(&[u8], &Trust) -> Result<Case>;

/// Of each target, what its bytes are taken for, and what tells several cases of a file apart.
const TARGETS: [(&str, Turn, &str); 9] = [
    ("canonical", canonical, ""),
    ("definitions", definitions, ""),
    ("guard", guard, ""),
    ("head", head, ""),
    ("head", certificate, "-certificate"),
    ("manifest", index, ""),
    ("manifest", root, "-root"),
    ("pack", opened, ""),
    ("slice", slice, ""),
];

/// The file of vectors.
pub(crate) fn vectors(root: &Path) -> Result<Vec<u8>> {
    let trust = Trust::from_json(&fs::read(root.join(CORPUS).join("head/trust.json"))?)?;
    let (mut cases, mut documents) = (Vec::new(), Map::new());
    for (target, turn, more) in TARGETS {
        for (name, bytes) in files(root, target)? {
            cases.push(turn(&bytes, &trust)?.told(target, &format!("{name}{more}")));
        }
    }
    for target in ["resolution", "explanation"] {
        for (name, bytes) in files(root, target)? {
            cases.push(match world_of(&bytes)? {
                Ok(asked) => asked.told(target, format!("{target}-{name}"), &mut documents),
                Err(refused) => refused.told(target, &name),
            });
        }
    }
    for (name, bytes) in files(root, "guard")? {
        if let Some(asked) = guarded(&bytes)? {
            // The text of a guard is a case of its own.
            cases.push(asked.told("guard", format!("guard-{name}-asked"), &mut documents));
        }
    }
    pretty(json!({ "about": ABOUT, "documents": documents, "cases": cases }))
}

/// The file of vectors in which something is followed.
pub(crate) fn scripts(root: &Path) -> Result<Vec<u8>> {
    let (mut cases, mut documents) = (Vec::new(), following::Documents::new());
    for (name, bytes) in files(root, "follower")? {
        cases.push(following::follower(format!("follower-{name}"), &bytes, &mut documents)?);
    }
    for (name, bytes) in files(root, "shard")? {
        cases.push(following::shard(format!("shard-{name}"), &bytes, &mut documents)?);
    }
    for (name, bytes) in files(root, "slice")? {
        if !is_document(&bytes) {
            cases.push(following::slice(format!("slice-{name}"), &bytes, &mut documents)?);
        }
    }
    pretty(json!({ "about": ABOUT, "documents": documents.into_json(), "cases": cases }))
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
    if let (Some(stage), Some(item)) = (&failure.stage, &failure.item) {
        error["stage"] = json!(stage);
        error["item"] = json!(item);
    }
    error
}

fn canonical(bytes: &[u8], _: &Trust) -> Result<Case> {
    let answer = bindings::check_canonical(bytes).map(|()| json!({ "canonical": true }));
    let args = json!({ "document": text_or_base64(bytes) });
    Ok(Case { needs: &[], call: "canonical", args, answer: answer.map_err(|failure| stable(&failure)) })
}

fn definitions(bytes: &[u8], _: &Trust) -> Result<Case> {
    built(bytes)
}

/// The text of a guard, with the inputs and settings that its target declares.
fn guard(bytes: &[u8], _: &Trust) -> Result<Case> {
    let written = Written::read(bytes).ok_or("the guard is no text")?;
    built(json!({ "guards": { "g": guard_of(&written) } }).to_string().as_bytes())
}

/// A guard whose settings are what the bytes draw.
fn guard_of(Written { text, settings, .. }: &Written) -> Value {
    let inputs: Map<String, Value> = INPUTS.iter().map(|(name, kind)| ((*name).to_owned(), json!(kind))).collect();
    let settings: Map<String, Value> = SETTINGS
        .iter()
        .filter_map(|(name, kind)| {
            let value = plain(settings.get(*name)?);
            Some(((*name).to_owned(), json!({ "type": kind, "default": value })))
        })
        .collect();
    json!({ "name": "Guard", "name2": "شرط", "expression": text, "inputs": inputs, "settings": settings })
}

/// A constant as JSON.
fn plain(constant: &Constant) -> Value {
    match constant {
        Constant::Bool(value) => json!(value),
        Constant::Integer(value) => json!(value),
        Constant::String(text) => json!(text),
        Constant::Strings(items) => json!(items),
        Constant::Integers(items) => json!(items),
    }
}

/// A workflow of one move behind the guard that bytes stand for, and what is asked of it. Nothing where the guard does not
/// compile, or needs Rhai, which this build does not have.
fn guarded(bytes: &[u8]) -> Result<Option<Asked>> {
    let written = Written::read(bytes).ok_or("the guard is no text")?;
    let checked = compile(&written.text, &declared(&INPUTS), &declared(&SETTINGS));
    if !checked.is_ok_and(|guard| !guard.needs_rhai()) {
        return Ok(None);
    }
    let named = |more: Value| {
        let mut named = json!({ "name": "Name", "name2": "اسم" });
        if let (Some(named), Some(more)) = (named.as_object_mut(), more.as_object()) {
            named.extend(more.clone());
        }
        named
    };
    let stages = json!({ "start": named(json!({ "initial": true })), "end": named(json!({ "final": true })) });
    let transition = named(json!({ "from": "start", "event": "go", "to": "end", "guards": { "g": { "guard": "g" } } }));
    let version = json!({ "stages": stages, "transitions": { "go": transition } });
    let file = json!({
        "guards": { "g": guard_of(&written) },
        "workflows": { "w": named(json!({ "versions": { "1": version } })) },
        "tenants": { TENANT: named(json!({ "region": "GCC-OM", "anchor": BUILT_AT })) },
    });
    let source = Source { name: "fuzz.json".into(), bytes: file.to_string().into_bytes() };
    let definitions = load(&[source])?;
    let (revision, opened_at) = (Revision::new(REVISION).unwrap_or_default(), BUILT_AT.parse()?);
    let stamp = Stamp { revision, issued_at: opened_at, expires_at: None };
    let snapshot = Snapshot::compile(&definitions, stamp)?;
    let machine = snapshot.tenant(TENANT)?.machine("w", None)?;
    let pack = packs::signed(&definitions, revision, opened_at, Timestamp::MAX)?;
    let ask = |values: &Values| {
        let inputs: Map<String, Value> = values.iter().map(|(name, value)| (name.to_string(), plain(value))).collect();
        let given = JsonInputs::new(&inputs);
        let answer = machine.check("start", "end", &Context { inputs: &given.inputs(), roles: &[] });
        let args = json!({ "tenant": TENANT, "workflow": "w", "from": "start", "to": "end", "inputs": inputs });
        match answer {
            Ok(allowed) => json!({ "call": "check_transition", "args": args, "expect": allowed }),
            Err(refusal) => json!({ "call": "check_transition", "args": args, "error": refused(&refusal) }),
        }
    };
    Ok(Some(Asked { pack, opened_at, questions: written.inputs.iter().map(ask).collect() }))
}

/// A refused move, as vectors expect it.
fn refused(error: &Error) -> Value {
    match error {
        Error::GuardFailed { blockers, .. } => json!({ "code": error.code(), "blockers": blockers }),
        _ => json!(error.code()),
    }
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

/// What has no end of a line is to its target what somebody signs.
fn is_document(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

fn head(bytes: &[u8], trust: &Trust) -> Result<Case> {
    let document = if is_document(bytes) { bytes.to_vec() } else { published().signed(bytes) };
    let answer = bindings::verify_head(&document, trust, None).map(|head| json!(head));
    let args = json!({ "document": text_or_base64(&document), "trust": trust });
    Ok(Case { needs: &[], call: "verify_head", args, answer: answer.map_err(|failure| stable(&failure)) })
}

fn certificate(bytes: &[u8], trust: &Trust) -> Result<Case> {
    let answer = bindings::verify_certificate(bytes, trust).map(|certificate| json!(certificate));
    let args = json!({ "document": text_or_base64(bytes), "trust": trust });
    Ok(Case { needs: &[], call: "verify_certificate", args, answer: answer.map_err(|failure| stable(&failure)) })
}

/// A slice; where it is what somebody signs, what becomes of it is in the file of scripts.
fn slice(bytes: &[u8], trust: &Trust) -> Result<Case> {
    let document = if is_document(bytes) { bytes.to_vec() } else { published().slice(0, Some(bytes)) };
    let answer = bindings::verify_slice(&document, TENANT, trust).map(|slice| json!(slice));
    let args = json!({ "document": text_or_base64(&document), "trust": trust, "tenant": TENANT });
    Ok(Case { needs: &[], call: "verify_slice", args, answer: answer.map_err(|failure| stable(&failure)) })
}

/// The bytes as the index of definitions, which a manifest without tenants names.
fn index(bytes: &[u8], _: &Trust) -> Result<Case> {
    let definitions = ChunkRef::to(bytes);
    let manifest = Manifest { format: MANIFEST_FORMAT, definitions, tenants: TreeNode::default() };
    named_by_a_head(&canonical::to_vec(&manifest)?, vec![(definitions, bytes.to_vec())])
}

/// The bytes as the manifest, which names what is not there.
fn root(bytes: &[u8], _: &Trust) -> Result<Case> {
    named_by_a_head(bytes, Vec::new())
}

/// A pack whose head names this manifest.
fn named_by_a_head(manifest: &[u8], mut chunks: Vec<(ChunkRef, Vec<u8>)>) -> Result<Case> {
    let root = ChunkRef::to(manifest);
    chunks.insert(0, (root, manifest.to_vec()));
    let revision = Revision::new(REVISION).unwrap_or_default();
    let (pack, order) = packs::around(Content { root, chunks }, revision, BUILT_AT.parse()?, Timestamp::MAX)?;
    opened(&pack.to_bytes(&order), &packs::trust()?)
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

impl Asked {
    fn told(self, target: &str, id: String, documents: &mut Map<String, Value>) -> Value {
        let Self { pack, opened_at, questions } = self;
        let opened = json!({ "event": { "open": id }, "now": opened_at, "expect": { "revision": REVISION } });
        let steps: Vec<Value> = std::iter::once(opened).chain(questions).collect();
        documents.insert(id.clone(), text_or_base64(&pack));
        json!({ "id": id, "rule": format!("fuzz: {target}"), "call": "follow", "args": { "steps": steps } })
    }
}

/// The world that bytes stand for as a pack, and the questions that they stand for; or, where it does not compile, that.
fn world_of(bytes: &[u8]) -> Result<std::result::Result<Asked, Case>> {
    let mut choices = Choices::from_bytes(bytes);
    let instants = instants();
    let opened_at = choices.pick(&instants).copied().ok_or("there are no instants")?;
    // What is opened at the last of them has no end.
    let expires_at = instants.last().copied().filter(|last| *last != opened_at).unwrap_or(Timestamp::MAX);
    let mut definitions = world(&mut choices);
    let revision = Revision::new(REVISION).unwrap_or_default();
    let stamp = Stamp { revision, issued_at: opened_at, expires_at: Some(expires_at) };
    if Snapshot::compile(&definitions, stamp).is_err() {
        return built(format::print(&mut definitions).as_bytes()).map(Err);
    }
    let pack = packs::signed(&definitions, revision, opened_at, expires_at)?;
    let hash = definitions_hash(&definitions)?;
    let reference = Reference { definitions: &definitions, hash, revision: REVISION, expires_at: Some(expires_at) };
    let all: Vec<Question> = (0..4).filter_map(|_| question(&definitions, &mut choices)).collect();
    let questions = all.iter().flat_map(|asked| steps(&definitions, &reference, asked)).collect();
    Ok(Ok(Asked { pack, opened_at, questions }))
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
