//! What is signed, hashed and carried: documents, and what is to be said of each, as bindings ask it.

use super::{bytes, bytes_of, engine, json_of, only_keys, text, trust};
use leasehold::bindings::{self, Failure, SnapshotAbout};
use leasehold::wire::{ChunkRef, Fault, Pack};
use leasehold::{Engine, Snapshot};
use serde::Serialize;
use serde_json::{Value, json};

/// Answers a question about documents; nothing where the call is none.
pub(crate) fn read(call: &str, args: &Value) -> Option<Result<Value, Value>> {
    let document = || bytes_of(&args["document"]);
    Some(match call {
        "canonical" => canonical(&document()),
        "place" => Ok(json!(bindings::place_of(text(args, "tenant")))),
        "key_id" => said(bindings::key_id(text(args, "key")).map(|id| json!({ "id": id }))),
        "definitions_hash" => {
            let hash = bindings::hash_of_definitions(args["definitions"].to_string().as_bytes());
            said(hash.map(|hash| json!({ "hash": hash })))
        }
        "staging" => {
            let share = args["share_permille"].as_u64().unwrap().try_into().unwrap();
            let included = bindings::is_staged(text(args, "engine"), text(args, "candidate"), share);
            said(included.map(|included| json!({ "included": included })))
        }
        "verify_certificate" => said(bindings::verify_certificate(&document(), &trust(args))),
        "verify_head" => {
            let seen = args.get("seen").map(bytes_of);
            said(bindings::verify_head(&document(), &trust(args), seen.as_deref()))
        }
        "verify_slice" => said(bindings::verify_slice(&document(), text(args, "tenant"), &trust(args))),
        "open_pack" => open_pack(args).map_err(json_of),
        "open_chunk" => open_chunk(args),
        _ => return None,
    })
}

fn said(answer: Result<impl Serialize, Failure>) -> Result<Value, Value> {
    answer.map(|answer| json!(answer)).map_err(|failure| json!(failure))
}

fn canonical(document: &[u8]) -> Result<Value, Value> {
    bindings::check_canonical(document).map_err(|failure| json!(failure))?;
    // What is read is what is written.
    let written = String::from_utf8(document.to_vec()).unwrap();
    assert_eq!(bindings::canonical_form(&written).unwrap(), written);
    Ok(json!({ "canonical": true }))
}

fn open_pack(args: &Value) -> Result<Value, Fault> {
    let file = match args["pack"].get("name") {
        Some(name) => bytes(&format!("packs/{}.pack", name.as_str().unwrap())),
        None => bytes_of(&args["pack"]),
    };
    let snapshot = Snapshot::from_pack(Pack::read(&file)?, &trust(args))?;
    let mut answer = json!(SnapshotAbout::from(&*snapshot));
    if let Some(ask) = args.get("ask") {
        only_keys(ask, &["call", "args"], "ask");
        answer["answer"] = engine::ask(&Engine::new(snapshot), text(ask, "call"), &ask["args"]).unwrap();
    }
    Ok(answer)
}

fn open_chunk(args: &Value) -> Result<Value, Value> {
    let reference = &args["reference"];
    let (hash, length) = (text(reference, "hash"), reference["length"].as_u64().unwrap());
    let content = bindings::open_chunk(hash, length, text(args, "encoding"), &bytes_of(&args["bytes"]));
    said(content.map(|content| {
        assert_eq!(ChunkRef::to(&content), ChunkRef { hash: hash.parse().unwrap(), length });
        json!({ "length": content.len() })
    }))
}
