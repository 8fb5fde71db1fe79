//! What is signed, hashed and carried: documents, and what is to be said of each.

use super::{bytes, bytes_of, engine, json_of, only_keys, text, trust};
use leasehold::build::definitions_hash;
use leasehold::model::{Source, load};
use leasehold::wire::canonical::{self, NotCanonical};
use leasehold::wire::{Candidate, Certificate, Chunk, ChunkRef, Fault, FaultCode, Pack, Place, PublicKey, SignedHead};
use leasehold::{Engine, Hash, Snapshot};
use serde_json::{Value, json};

/// Answers a question about documents; nothing where the call is none.
pub(crate) fn read(call: &str, args: &Value) -> Option<Result<Value, Value>> {
    let answer = match call {
        "canonical" => return Some(canonical_json(&bytes_of(&args["document"]))),
        "place" => {
            let Place { node, shard } = Place::of(text(args, "tenant"));
            Ok(json!({ "node": node, "shard": shard }))
        }
        "key_id" => text(args, "key").parse().map(|key: PublicKey| json!({ "id": key.id() })),
        "definitions_hash" => Ok(hash_of_definitions(&args["definitions"])),
        "staging" => Ok(staging(args)),
        "verify_certificate" => verify_certificate(args),
        "verify_head" => verify_head(args),
        "verify_slice" => verify_slice(args),
        "open_pack" => open_pack(args),
        "open_chunk" => open_chunk(args),
        _ => return None,
    };
    Some(answer.map_err(json_of))
}

fn canonical_json(document: &[u8]) -> Result<Value, Value> {
    let code = |flaw| match flaw {
        NotCanonical::Utf8(_) => FaultCode::InvalidUtf8,
        NotCanonical::Spelling(_) => FaultCode::NotCanonical,
        NotCanonical::DuplicateKey(_) => FaultCode::DuplicateKey,
        NotCanonical::TooDeep(_) => FaultCode::NestingTooDeep,
    };
    canonical::check(document).map_err(|flaw| json!({ "code": code(flaw) }))?;
    // What is read is what is written.
    if let Ok(value) = serde_json::from_slice::<Value>(document) {
        assert_eq!(canonical::to_vec(&value).unwrap(), document);
    }
    Ok(json!({ "canonical": true }))
}

fn hash_of_definitions(definitions: &Value) -> Value {
    let source = Source { name: "definitions.json".into(), bytes: definitions.to_string().into_bytes() };
    json!({ "hash": definitions_hash(&load(&[source]).unwrap()).unwrap() })
}

fn staging(args: &Value) -> Value {
    let candidate = Candidate {
        definitions: ChunkRef { hash: text(args, "candidate").parse().unwrap(), length: 2 },
        share_permille: args["share_permille"].as_u64().unwrap().try_into().unwrap(),
    };
    json!({ "included": candidate.includes(&text(args, "engine").parse().unwrap()) })
}

fn verify_certificate(args: &Value) -> Result<Value, Fault> {
    let certificate = Certificate::verify(&bytes_of(&args["document"]), &trust(args).roots)?;
    Ok(json!({
        "issuer": certificate.issuer,
        "environment": certificate.environment,
        "epoch": certificate.epoch,
        "key_id": certificate.key.id(),
        "valid_from": certificate.valid_from,
        "valid_until": certificate.valid_until,
    }))
}

/// What a head says, once it is verified, and admitted behind the highest that was seen.
fn verify_head(args: &Value) -> Result<Value, Fault> {
    let trust = trust(args);
    let head = trust.head(&bytes_of(&args["document"]))?;
    if let Some(seen) = args.get("seen") {
        trust.head(&bytes_of(seen)).unwrap().mark().admit(&head)?;
    }
    Ok(head_of(&head))
}

fn head_of(signed: &SignedHead) -> Value {
    let head = signed.head();
    json!({
        "document": Hash::of(signed.bytes()),
        "signed_by": signed.signed_by(),
        "stream": head.stream,
        "epoch": head.epoch,
        "revision": head.revision,
        "issued_at": head.issued_at,
        "expires_at": head.expires_at,
        "manifest": head.manifest,
        "candidate": head.candidate,
        "slice_keys": head.slice_keys.iter().map(|key| json!(key.key.id())).collect::<Vec<_>>(),
    })
}

fn verify_slice(args: &Value) -> Result<Value, Fault> {
    let tenant = text(args, "tenant").parse().unwrap();
    let slice = trust(args).slice(&bytes_of(&args["document"]), &tenant)?;
    let envelope = slice.envelope();
    Ok(json!({
        "tenant": envelope.tenant,
        "revision": slice.head().head().revision,
        "expires_at": envelope.expires_at,
        "definitions": envelope.definitions,
        "content": envelope.content,
        "features": slice.definitions().map(|definitions| definitions.features.len()),
    }))
}

fn open_pack(args: &Value) -> Result<Value, Fault> {
    let file = match args["pack"].get("name") {
        Some(name) => bytes(&format!("packs/{}.pack", name.as_str().unwrap())),
        None => bytes_of(&args["pack"]),
    };
    let snapshot = Snapshot::from_pack(Pack::read(&file)?, &trust(args))?;
    let stamp = snapshot.stamp();
    let mut answer = json!({
        "revision": stamp.revision,
        "issued_at": stamp.issued_at,
        "expires_at": stamp.expires_at,
        "definitions": snapshot.definitions(),
        "tenants": snapshot.tenant_count(),
        "needs": snapshot.needs(),
    });
    if let Some(ask) = args.get("ask") {
        only_keys(ask, &["call", "args"], "ask");
        answer["answer"] = engine::ask(&Engine::new(snapshot), text(ask, "call"), &ask["args"]).unwrap();
    }
    Ok(answer)
}

fn open_chunk(args: &Value) -> Result<Value, Fault> {
    let reference = &args["reference"];
    let reference =
        ChunkRef { hash: text(reference, "hash").parse().unwrap(), length: reference["length"].as_u64().unwrap() };
    let stored = bytes_of(&args["bytes"]);
    let chunk = match text(args, "encoding") {
        "raw" => Chunk::raw(stored),
        "zstd" => Chunk::zstd(stored),
        unknown => panic!("unknown encoding `{unknown}`"),
    };
    let content = chunk.open(reference)?;
    assert_eq!(ChunkRef::to(&content), reference);
    Ok(json!({ "length": content.len() }))
}
