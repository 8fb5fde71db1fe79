//! Runs every conformance vector of `tests/conformance`, and fails on what it does not know.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, reason = "tests")]

mod documents;
mod engine;
mod following;
mod words;
mod workflow;

use leasehold::wire::{FaultCode, Pack, Trust};
use leasehold::{Engine, Snapshot, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::{fs, path::PathBuf, sync::Arc};

const FILE_KEYS: [&str; 4] = ["about", "pack", "documents", "cases"];
const CASE_KEYS: [&str; 7] = ["id", "rule", "needs", "call", "args", "expect", "error"];
/// What a case may need, and whether this runtime can do it. A case that needs anything else fails.
const CAPABILITIES: [(&str, bool); 3] =
    [("build", true), ("rhai", cfg!(feature = "rhai")), ("zstd", cfg!(feature = "runtime"))];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance")
}

fn bytes(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("`{key}` is not a text in {value}"))
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a time")).parse().unwrap()
}

fn json_of(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

/// Bytes as vectors write them: a text, `{"base64": "…"}`, `{"repeat": text, "times": number}`, or a list of such.
fn bytes_of(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(parts) => parts.iter().flat_map(bytes_of).collect(),
        value if value.get("times").is_some() => {
            only_keys(value, &["repeat", "times"], "bytes");
            text(value, "repeat").repeat(value["times"].as_u64().unwrap().try_into().unwrap()).into_bytes()
        }
        value => {
            only_keys(value, &["base64"], "bytes");
            from_base64(text(value, "base64"))
        }
    }
}

fn only_keys(object: &Value, known: &[&str], what: &str) {
    let keys = object.as_object().unwrap_or_else(|| panic!("{what} is not an object: {object}")).keys();
    let unknown: Vec<&String> = keys.filter(|key| !known.contains(&key.as_str())).collect();
    assert!(unknown.is_empty(), "{what}: unknown key {unknown:?}");
}

/// Whom this runtime believes, where a case does not say otherwise.
fn trust(args: &Value) -> Trust {
    let own = args.get("trust").map(|trust| trust.to_string().into_bytes());
    Trust::from_json(&own.unwrap_or_else(|| bytes("trust.json"))).unwrap()
}

/// The snapshot of a checked-in pack.
fn pack(name: &str) -> Arc<Snapshot> {
    let pack = Pack::read(&bytes(&format!("packs/{name}.pack"))).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    Snapshot::from_pack(pack, &trust(&Value::Null)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

/// A case in its file.
struct Case<'f> {
    /// The file and the id.
    name: String,
    case: &'f Value,
    engine: Option<&'f Engine>,
    documents: &'f Map<String, Value>,
}

/// What became of the cases of a file.
#[derive(Default)]
struct Results {
    passed: usize,
    skipped: Vec<String>,
    failed: Vec<String>,
}

#[test]
fn every_vector() {
    let index = read("index.json");
    assert_eq!(index["version"], 1);
    let known: Vec<&str> = CAPABILITIES.iter().map(|(name, _)| *name).collect();
    assert_eq!(index["capabilities"], json_of(known), "this runner does not know what vectors may need");
    let mut listed: Vec<String> = ["index.json", "trust.json", "vectors.schema.json"].map(str::to_owned).into();
    let mut results = Results::default();
    for entry in index["files"].as_array().unwrap() {
        let name = text(entry, "file");
        listed.push(name.into());
        let cases = run_file(name, &mut results);
        assert_eq!(entry["cases"], cases, "{name} has lost or gained cases: correct `index.json`");
    }
    for file in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        assert!(!file.ends_with(".json") || listed.contains(&file), "`index.json` does not list {file}");
    }
    let Results { passed, skipped, failed } = results;
    let all = passed + skipped.len() + failed.len();
    assert!(failed.is_empty(), "{} of {all} failed:\n{}", failed.len(), failed.join("\n"));
    println!("{passed} of {all} passed; skipped for what this runtime lacks: {skipped:?}");
    assert!(passed >= 2_000, "only {passed} cases");
}

#[test]
fn every_file_matches_the_schema() {
    let schema = jsonschema::validator_for(&read("vectors.schema.json")).unwrap();
    for entry in read("index.json")["files"].as_array().unwrap() {
        let name = text(entry, "file");
        let errors: Vec<String> =
            schema.iter_errors(&read(name)).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

/// A code that no vector produces is one that a runtime may get wrong unseen.
#[test]
fn every_fault_is_produced_by_some_vector() {
    let mut produced = BTreeSet::new();
    for entry in read("index.json")["files"].as_array().unwrap() {
        for case in read(text(entry, "file"))["cases"].as_array().unwrap() {
            produced.extend(case["error"]["code"].as_str().map(str::to_owned));
            for step in case["args"]["steps"].as_array().into_iter().flatten() {
                let faults = step["expect"]["faults"].as_array().into_iter().flatten();
                produced.extend(faults.map(|code| code.as_str().unwrap().to_owned()));
            }
        }
    }
    // Only a publisher that keeps a history says this.
    produced.insert(FaultCode::OutsideHistory.as_str().to_owned());
    let codes = FaultCode::ALL.iter().map(|code| code.as_str());
    let missing: Vec<&str> = codes.filter(|code| !produced.contains(*code)).collect();
    assert!(missing.is_empty(), "no vector produces {}", missing.join(", "));
}

fn run_file(name: &str, results: &mut Results) -> usize {
    let file = read(name);
    only_keys(&file, &FILE_KEYS, name);
    let engine = file.get("pack").map(|name| Engine::new(pack(name.as_str().unwrap())));
    let none = Map::new();
    let documents = file.get("documents").map_or(&none, |documents| documents.as_object().unwrap());
    let mut seen = HashSet::new();
    let cases = file["cases"].as_array().unwrap();
    for case in cases {
        let id = text(case, "id");
        assert!(seen.insert(id), "{name} has two cases `{id}`");
        let case = Case { name: format!("{name} {id}"), case, engine: engine.as_ref(), documents };
        case.run(results);
    }
    cases.len()
}

impl Case<'_> {
    fn run(&self, results: &mut Results) {
        only_keys(self.case, &CASE_KEYS, &self.name);
        let mut lacking = false;
        for need in self.case["needs"].as_array().into_iter().flatten() {
            let known = CAPABILITIES.iter().find(|(name, _)| need == name);
            lacking |= !known.unwrap_or_else(|| panic!("{}: unknown capability {need}", self.name)).1;
        }
        if lacking {
            results.skipped.push(self.name.clone());
            return;
        }
        let wrong = if self.case["call"] == "follow" {
            following::follow(&self.case["args"], self.documents).err()
        } else {
            wrong(&self.answer(), self.case)
        };
        match wrong {
            None => results.passed += 1,
            Some(wrong) => results.failed.push(format!("  {}: {wrong}", self.name)),
        }
    }

    /// What this runtime says: an answer, or an error with its `code`.
    fn answer(&self) -> Result<Value, Value> {
        let args = &self.case["args"];
        match text(self.case, "call") {
            "build" => Ok(engine::build(args)),
            call => {
                let asks_no_pack = documents::read(call, args);
                asks_no_pack.or_else(|| workflow::read(call, args, self.documents)).unwrap_or_else(|| {
                    let engine = self.engine.unwrap_or_else(|| panic!("{} has no pack, or an unknown call", self.name));
                    engine::ask(engine, call, args)
                })
            }
        }
    }
}

/// What is wrong with an answer, given what a case, or a step of one, expects.
fn wrong(answer: &Result<Value, Value>, case: &Value) -> Option<String> {
    match (answer, case.get("expect"), case.get("error")) {
        (Ok(answer), Some(expected), None) => {
            mismatch(expected, answer, "").map(|what| format!("{what}\n    in {answer}"))
        }
        (Err(error), None, Some(Value::String(code))) if error["code"] == *code => None,
        (Err(error), None, Some(expected @ Value::Object(_))) => {
            mismatch(expected, error, "").map(|what| format!("{what}\n    in {error}"))
        }
        (Ok(answer), _, _) => Some(format!("answered {answer}")),
        (Err(error), _, _) => Some(format!("refused: {error}")),
    }
}

/// Where an answer differs from its pattern.
fn mismatch(pattern: &Value, answer: &Value, path: &str) -> Option<String> {
    match (pattern, answer) {
        (Value::Object(pattern), Value::Object(answer)) => pattern.iter().find_map(|(key, pattern)| {
            let path = format!("{path}/{key}");
            match answer.get(key) {
                Some(answer) => mismatch(pattern, answer, &path),
                None => Some(format!("{path} is absent")),
            }
        }),
        (Value::Array(pattern), Value::Array(answer)) if pattern.len() == answer.len() => pattern
            .iter()
            .zip(answer)
            .enumerate()
            .find_map(|(at, (pattern, answer))| mismatch(pattern, answer, &format!("{path}/{at}"))),
        _ if pattern == answer => None,
        _ => Some(format!("{path} is {answer}, not {pattern}")),
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |byte: &u8| digits.iter().position(|digit| digit == byte).unwrap();
    let values: Vec<usize> = text.as_bytes().iter().filter(|byte| **byte != b'=').map(digit).collect();
    let bytes = values.chunks(4).flat_map(|chunk| {
        let bits = chunk.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - chunk.len()));
        [bits >> 16, bits >> 8, bits].map(|byte| (byte & 0xff) as u8).into_iter().take(chunk.len() - 1)
    });
    bytes.collect()
}
