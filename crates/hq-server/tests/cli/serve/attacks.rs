//! Threats to HQ, one test each: what an attacker sends, wherever the interface takes anything, and what it comes to.
//! `docs/threat-model.md` lists them, with those that are tested elsewhere.

use super::{Served, ask, desk};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

/// A request with an attacker's text wherever one may stand.
struct Attempt {
    method: String,
    path: String,
    body: Value,
}

/// For every route of the interface: once with the text in the path too, once where everything in the path is there, so that
/// what else is in it is looked at.
fn attempts(document: &Value, text: &str) -> Vec<Attempt> {
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            // It would end the session.
            if path.ends_with("/sessions/current") {
                continue;
            }
            let encoded = encoded(text);
            let mut query = String::new();
            let mut filled = [path.clone(), path.clone()];
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                match parameter["in"].as_str().unwrap() {
                    "path" => {
                        let known = match name {
                            "tenant" => "om-muscat-sparkle",
                            "feature" => "delivery",
                            "workflow" => "order",
                            "number" | "change" => "1",
                            "key" if path.contains("/plans/") => "growth",
                            _ => "somebody",
                        };
                        for (filled, value) in filled.iter_mut().zip([&*encoded, known]) {
                            *filled = filled.replace(&format!("{{{name}}}"), value);
                        }
                    }
                    "query" if parameter["schema"]["type"] == "string" => {
                        query.push_str(&format!("{}{name}={encoded}", if query.is_empty() { "?" } else { "&" }));
                    }
                    _ => {}
                }
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let body = if schema.is_null() { Value::Null } else { example(document, schema, text, 0) };
            let [hostile, known] = filled;
            for path in BTreeSet::from([format!("{hostile}{query}"), format!("{known}{query}"), known]) {
                all.push(Attempt { method: method.to_uppercase(), path, body: body.clone() });
            }
        }
    }
    all
}

/// Every byte that may mean something in a path or query, as its number.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A value that a schema allows, with the text for every text.
fn example(document: &Value, schema: &Value, text: &str, depth: usize) -> Value {
    let of = |schema: &Value| example(document, schema, text, depth + 1);
    if let Some(place) = schema["$ref"].as_str() {
        return of(document.pointer(place.trim_start_matches('#')).unwrap());
    }
    if let Some(value) = schema.get("const").or_else(|| schema["enum"].get(0)) {
        return value.clone();
    }
    for several in ["oneOf", "anyOf"] {
        let choices = schema[several].as_array().into_iter().flatten();
        if let Some(choice) = choices.clone().find(|choice| choice["type"] != "null").or(choices.last()) {
            return of(choice);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        _ if depth > 8 => Value::Null,
        Some("string") if schema["format"] == "date-time" => json!("2026-11-15T12:00:00Z"),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => json!([of(&schema["items"])]),
        Some("string") => json!(text),
        _ => {
            let mut object = Map::new();
            for part in schema["allOf"].as_array().into_iter().flatten().chain([schema]) {
                let part = if part == schema { schema.clone() } else { of(part) };
                if let Some(members) = part["properties"].as_object() {
                    object.extend(members.iter().map(|(name, member)| (name.clone(), of(member))));
                } else if part != *schema {
                    object.extend(part.as_object().cloned().unwrap_or_default());
                }
            }
            if schema["additionalProperties"].is_object() {
                object.insert("somebody".to_owned(), of(&schema["additionalProperties"]));
            }
            // Where anything may stand, a text may.
            if object.is_empty() && kind.is_none() { json!(text) } else { Value::Object(object) }
        }
    }
}

/// Sends them all as the administrator, who is refused nothing; gives how many were answered with a yes.
fn send(served: &Served, attempts: &[Attempt], headers: &[(&str, &str)]) -> usize {
    let mut accepted = 0;
    for Attempt { method, path, body } in attempts {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = ask(&served.base, &served.admin, method, path, headers, body.as_bytes());
        assert_ne!(answer.status, 500, "{method} {path} {body}: {answer:?}");
        accepted += usize::from(answer.status < 400);
    }
    accepted
}

fn document(served: &Served) -> Value {
    ask(&served.base, "", "GET", "/openapi.json", &[], b"").json()
}

/// The attacker writes what would be a line of its own in the log, or steer the terminal of who reads it: in bodies, paths,
/// queries, headers, and in what is no request at all.
#[tokio::test]
async fn log_injection() {
    const FORGED: &str =
        "x\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\n2026-01-01T00:00:00Z ERROR forged\u{1b}[2J\u{202e}";
    for format in ["text", "json"] {
        let desk = desk(&format!("log_{format}")).await;
        desk.write("serve.toml", &format!("[telemetry]\nlog = \"trace\"\nlog_format = \"{format}\"\n"));
        let mut served = Served::start(desk, &[("LEASEHOLD_CONFIG", "serve.toml")]);
        served.adopt_reference();
        let attempts = attempts(&document(&served), FORGED);
        assert!(attempts.len() > 150, "{}", attempts.len());
        send(&served, &attempts, &[]);
        let address = served.base.strip_prefix("http://").unwrap();
        for raw in [
            &b"GET /v1/tenants/x\x1b[2J\xc2\x9b31m HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"[..],
            b"GET /x HTTP/1.1\r\nhost: x\r\nx-tenant-id: a\x1b[2Jforged\r\nconnection: close\r\n\r\n",
            b"GET /x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\tforged\r\nconnection: close\r\n\r\n",
            b"GET /x HTTP/1.1\r\nhost: x\r\ntraceparent: forged\r\nuser-agent: \xe2\x80\xae\r\nconnection: close\r\n\r\n",
            b"FORGED\x1b[2J /x HTTP/1.1\r\nhost: x\r\n\r\n",
            b"\n\n2026-01-01T00:00:00Z ERROR forged\n\n",
        ] {
            let mut stream = TcpStream::connect(address).unwrap();
            // The other end may have closed while this is being sent.
            let _ = stream.write_all(raw);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
        assert!(served.terminate().success());
        let lines: Vec<String> = served.log.iter().collect();
        assert!(lines.len() > attempts.len(), "each of them is logged: {}", lines.len());
        for line in &lines {
            if format == "json" {
                let told: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
                assert!(told["timestamp"].is_string() && told["target"].is_string(), "{line}");
                assert_ne!(told["message"], "forged", "{line}");
            } else {
                let (at, rest) = line.split_once(' ').unwrap_or_default();
                let level = rest.trim_start().split(' ').next().unwrap_or_default();
                assert!(at.parse::<leasehold::Timestamp>().is_ok() || at.ends_with('Z') && at.len() == 27, "{line:?}");
                assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{line:?}");
                assert!(!rest.trim_start().starts_with("ERROR forged") && !line.contains('\u{202e}'), "{line:?}");
            }
            assert!(!line.contains(char::is_control), "{line:?}");
        }
    }
}

/// The attacker names an address of their choice, wherever the interface takes anything: nobody connects to it. What HQ does
/// connect to is in its configuration, and written down.
#[tokio::test]
async fn ssrf() {
    let mut served = Served::new("ssrf").await;
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let address = trap.local_addr().unwrap();
    let document = document(&served);
    let plain = format!("http://{address}/");
    let headers: Vec<(&str, &str)> = [
        "host",
        "origin",
        "referer",
        "x-forwarded-host",
        "x-forwarded-server",
        "x-original-url",
        "x-rewrite-url",
        "x-http-host-override",
        "x-wap-profile",
        "link",
        "baggage",
        "tracestate",
        "true-client-ip",
    ]
    .map(|name| (name, plain.as_str()))
    .into();
    let mut accepted = 0;
    for url in [plain.clone(), address.to_string(), format!("postgresql://x@{address}/x"), format!("s3://{address}/x")]
    {
        accepted += send(&served, &attempts(&document, &url), &[]);
    }
    accepted += send(&served, &attempts(&document, &plain), &headers);
    assert!(accepted > 100, "many get as far as they can: {accepted}");
    // Whatever goes on beside requests has ended as well.
    assert!(served.terminate().success());
    let heard = trap.accept();
    assert_eq!(heard.as_ref().map_err(std::io::Error::kind).err(), Some(ErrorKind::WouldBlock), "{heard:?}");

    // Nothing in the interface says that it is an address.
    let mut named = BTreeSet::new();
    walk(&document["components"]["schemas"], &mut |name, value| {
        if matches!(value["format"].as_str(), Some("uri" | "url" | "uri-reference" | "hostname" | "ipv4" | "ipv6")) {
            named.insert(name.to_owned());
        }
    });
    assert!(named.is_empty(), "{named:?}");
    // What the configuration says of addresses to connect to; origins of pages are compared with, never connected to.
    let example = served.desk.does("serve --example");
    let keys: BTreeSet<&str> = example
        .lines()
        .filter(|line| line.contains("://") && line.contains(" = "))
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(" = "))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, BTreeSet::from(["database_url", "mirror", "mirror_options", "otlp_endpoint"]));
    // And where in the program there is a client at all.
    let mut clients = BTreeSet::new();
    sources(&crate::run::repository().join("crates/hq-server/src"), &mut |path, text| {
        let connects = [
            "ureq::",
            "TcpStream::connect",
            "hyper_util::client",
            "reqwest",
            "HttpFollowing",
            "HttpSource",
            "Bucket::open",
        ];
        if connects.iter().any(|client| text.contains(client)) {
            clients.insert(path.to_owned());
        }
    });
    // The mirror's bucket is what the configuration says.
    let known = ["commands/demo/hq.rs", "serve/mod.rs", "serve/telemetry.rs"];
    assert_eq!(clients, known.map(str::to_owned).into());
}

/// A cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return is a formula to a spreadsheet. Nothing here writes
/// tables for spreadsheets. Whoever adds an export adds its cells to this test.
#[tokio::test]
async fn csv_formula_injection() {
    let openapi: Value = serde_json::from_str(&crate::run::typed("serve --openapi").out).unwrap();
    let mut answers = BTreeSet::new();
    walk(&openapi["paths"], &mut |name, value| {
        if name == "content" {
            answers.extend(value.as_object().unwrap().keys().cloned());
        }
    });
    let known = [
        "application/json",
        "application/octet-stream",
        "application/openmetrics-text",
        "application/problem+json",
        "text/event-stream",
        "text/plain",
    ];
    assert_eq!(answers, known.map(str::to_owned).into());
    // The program offers no such format, and no part of it writes one. It reads tables of moves.
    let offered = crate::run::typed("completions bash").out.to_lowercase();
    assert!(offered.contains("--format") && offered.contains("mermaid"), "the words of options are in it");
    for format in ["csv", "tsv", "xlsx", "spreadsheet", "parquet"] {
        assert!(!offered.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == format), "{format}");
    }
    let crates = ["core", "store-postgres", "hq-server", "bindings-node", "bindings-python", "bindings-wasm"];
    let beside = ["bindings-node/lib", "bindings-python/python", "bindings-wasm/lib"];
    for folder in crates.map(|name| format!("{name}/src")).into_iter().chain(beside.map(str::to_owned)) {
        sources(&crate::run::repository().join("crates").join(&folder), &mut |path, text| {
            for writer in ["csv::Writer", "WriterBuilder", "text/csv", "FORMAT csv", "csv.writer", "DictWriter"] {
                assert!(!text.contains(writer), "{folder}/{path} writes tables: {writer}");
            }
        });
    }
}

/// The attacker sends a body that would come to much more once it is decompressed: nothing here decompresses bodies.
#[tokio::test]
async fn zip_bomb_in_a_request() {
    let served = Served::empty("zip").await;
    // 64 KiB of spaces and `{}`.
    let spaces = [" ".repeat(1 << 16).as_bytes(), b"{}"].concat();
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let deflated = format!("edc1010d00000cc3202bf5f9dcfb8c0005{}753f", "0".repeat(126));
    let bombs = [
        ("zstd", zstd::bulk::compress(&spaces, 3).unwrap()),
        ("gzip", bytes(&format!("1f8b0800000000000203{deflated}b1ece0d202000100"))),
        ("deflate", bytes(&format!("78da{deflated}144402d9"))),
        ("br", bytes("5b0100815f1264afaf24792c10987b0f4003")),
    ];
    for (encoding, bomb) in bombs {
        let headers = [("content-encoding", encoding), ("content-type", "application/json")];
        let answer = ask(&served.base, &served.admin, "POST", "/v1/tokens", &headers, &bomb);
        assert!((400..500).contains(&answer.status), "{encoding}: {answer:?}");
        assert!(["malformed_json", "not_json", "unsupported_encoding"].contains(&&*answer.code()), "{answer:?}");
    }
}

/// Goes through all members of a document, by name.
fn walk(value: &Value, each: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            each(name, member);
            walk(member, each);
        }),
        Value::Array(items) => items.iter().for_each(|item| walk(item, each)),
        _ => {}
    }
}

/// Goes through the sources below a folder: their paths from there, and their texts.
fn sources(root: &Path, each: &mut impl FnMut(&str, &str)) {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| ["rs", "ts", "tsx", "py"].iter().any(|it| extension == *it))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                each(path.strip_prefix(root).unwrap().to_str().unwrap(), &text);
            }
        }
    }
}
