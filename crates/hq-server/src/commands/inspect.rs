//! `leasehold inspect`: what something says of itself, believed by nobody.

use crate::contents::Contents;
use crate::context::Context;
use crate::documents::{self, Document, Statement, statements};
use crate::failure::Failure;
use crate::files;
use crate::report::{Exit, Report};
use crate::snapshots::{Place, sections};
use crate::style::{Style, Tone};
use crate::table::Grid;
use crate::words;
use leasehold::wire::{ChunkRef, DefinitionsIndex, Manifest, TreeNode};
use leasehold::{Hash, Timestamp};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Nothing is verified, and no trust is needed: for finding out what something is, and why it is refused. Never decide by it.

Examples:
  leasehold inspect snapshots
  leasehold inspect oman.pack
  leasehold inspect fleet.cert --json";

const WARNING: &str = "NOT VERIFIED: anybody could have written this";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A directory of snapshots, a pack, a head, a slice, a manifest, a certificate or a key's public half
    path: PathBuf,
}

/// A heading, and names with what they are.
type Section = (String, Vec<(String, Value)>);

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let path = &options.path;
    let (kind, found) = match Place::at_directory(path) {
        Some(place) => ("directory", directory(&place)?),
        None if path.is_dir() => return Err(Failure::no_snapshots(path)),
        None => file(path)?,
    };
    if context.json() {
        let parts: Vec<Value> = found
            .iter()
            .map(|(title, fields)| {
                let fields: Map<String, Value> = fields.iter().cloned().collect();
                json!({ "part": title, "says": fields })
            })
            .collect();
        let path = path.display().to_string();
        return Report::json(&json!({ "verified": false, "path": path, "kind": kind, "parts": parts }), Exit::Yes);
    }
    Ok(Report::text(page(kind, path, &found, context.style), Exit::Yes))
}

fn page(kind: &str, path: &Path, found: &[Section], style: Style) -> String {
    let mut text = format!("{}\n", style.paint(Tone::Bad, WARNING));
    let _ = writeln!(text, "{} {}", style.paint(Tone::Strong, &format!("{kind}:")), path.display());
    for (title, fields) in found {
        let _ = writeln!(text, "\n{}", style.paint(Tone::Strong, &words::printable(title)));
        let mut grid = Grid::new(style, &[]);
        for (name, value) in fields {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), words::number),
                other => other.to_string(),
            };
            grid.row([name.clone(), words::printable(&value)]);
        }
        text.push_str(&grid.render(&[]));
    }
    text
}

fn directory(place: &Place) -> Result<Vec<Section>, Failure> {
    let Place::Directory(directory) = place else { return Ok(Vec::new()) };
    let find = |hash| place.chunk(hash);
    let mut found = Vec::new();
    for stream in place.streams()? {
        let head = directory.head(&stream).map_err(|error| Failure::io("read", directory.root(), &error))?;
        let head = head.unwrap_or_default();
        let (claims, _) = statements(&head);
        let title = |what: &str| format!("{stream}: {what}");
        for claim in &claims {
            found.push((title(claim.kind), signed(claim)));
        }
        found.push((title("contents"), contents(&claims, &find)));
    }
    Ok(found)
}

fn file(path: &Path) -> Result<(&'static str, Vec<Section>), Failure> {
    let bytes = files::read(path, 8 << 30)?;
    let size = (String::new(), vec![field("bytes", bytes.len())]);
    Ok(match Document::of(&bytes) {
        Document::Pack(pack) => {
            let (claims, _) = statements(&pack.head);
            let stored: usize = pack.chunks.values().map(|chunk| chunk.bytes().len()).sum();
            let file = vec![
                field("bytes", bytes.len()),
                field("contents", pack.chunks.len()),
                field("bytes of contents", stored),
                field("bytes of head", pack.head.len()),
            ];
            let mut found = vec![("file".to_owned(), file)];
            found.extend(claims.iter().map(|claim| (claim.kind.to_owned(), signed(claim))));
            found.push(("contents".to_owned(), contents(&claims, &|hash| pack.chunks.get(&hash).cloned())));
            ("pack", found)
        }
        Document::Signed(claims, rest) => {
            let kind = match claims.last().map(|claim| claim.kind) {
                Some("certificate") => "certificate",
                Some("head") => "head",
                Some("checkpoint") => "checkpoint",
                Some("slice") if rest.is_empty() => "envelope of a slice",
                Some("slice") => "slice",
                _ => "signed document",
            };
            let mut found: Vec<Section> = claims.iter().map(|claim| (claim.kind.to_owned(), signed(claim))).collect();
            if !rest.is_empty() {
                let content = rest.strip_suffix(b"\n").unwrap_or(rest);
                found.push(("content".to_owned(), content_of(content)));
            }
            (kind, found)
        }
        Document::Content(content, compressed) => {
            let (kind, mut fields) = guessed(&content);
            fields.insert(0, field("hash", Hash::of(&content).to_string()));
            fields.insert(1, field("bytes", content.len()));
            if compressed {
                fields.insert(2, field("bytes compressed", bytes.len()));
            }
            (kind, vec![("content".to_owned(), fields)])
        }
        Document::SecretKey => {
            let note = vec![field("note", "what it holds is not shown, and belongs to its owner alone")];
            ("secret key", vec![("key".to_owned(), note)])
        }
        Document::PublicKey(said) => ("public key", vec![("key".to_owned(), told(&said))]),
        Document::Trust(said) => ("trust file", vec![("trust".to_owned(), told(&said))]),
        Document::Unknown => ("unknown", vec![size]),
    })
}

fn field(name: &str, value: impl Into<Value>) -> (String, Value) {
    (name.to_owned(), value.into())
}

fn told(said: &Value) -> Vec<(String, Value)> {
    said.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a statement says, with times and references as people read them.
fn signed(claim: &Statement<'_>) -> Vec<(String, Value)> {
    const TIMES: [&str; 5] = ["at", "issued_at", "expires_at", "valid_from", "valid_until"];
    fn readable(name: &str, value: &Value) -> Value {
        match value {
            Value::Number(ms) if TIMES.contains(&name) => {
                let time = ms.as_i64().and_then(|ms| Timestamp::from_ms(ms).ok());
                time.map_or_else(|| value.clone(), |time| json!(time.to_string()))
            }
            Value::Object(fields) => match documents::reference(value) {
                Some(reference) if fields.len() == 2 => json!(named(reference)),
                _ => fields.iter().map(|(name, value)| (name.clone(), readable(name, value))).collect(),
            },
            Value::Array(items) => items.iter().map(|item| readable(name, item)).collect(),
            other => other.clone(),
        }
    }
    let mut fields = vec![field("signed by", claim.key), field("bytes", claim.bytes)];
    fields.extend(told(&claim.says).iter().map(|(name, value)| (name.clone(), readable(name, value))));
    fields
}

fn named(reference: ChunkRef) -> String {
    format!("{}, {} bytes", reference.hash, words::number(reference.length))
}

/// What a head names, as far as it is there.
fn contents(claims: &[Statement<'_>], find: &dyn Fn(Hash) -> Option<leasehold::wire::Chunk>) -> Vec<(String, Value)> {
    let Some(head) = claims.iter().find(|claim| claim.kind == "head") else {
        return vec![field("note", "there is no head that says what they are")];
    };
    let candidate = head.says.get("candidate").and_then(|it| it.get("definitions")).and_then(documents::reference);
    let Some(manifest) = head.reference("manifest") else {
        return vec![field("note", "the head names no manifest")];
    };
    match Contents::of(manifest, candidate, find) {
        Ok(contents) => described(&contents),
        Err(failure) => vec![field("note", failure.message())],
    }
}

fn described(contents: &Contents) -> Vec<(String, Value)> {
    let mut fields = vec![
        field("contents", contents.all().len()),
        field("bytes", contents.bytes()),
        field("definitions hash", contents.definitions.0.hash.to_string()),
    ];
    for (name, section) in sections(&contents.definitions.1) {
        fields.push(field(name, named(section)));
    }
    fields.extend(needs(&contents.definitions.1).map(|needs| field("needs", needs)));
    if let Some((reference, index)) = &contents.candidate {
        fields.push(field("candidate's definitions hash", reference.hash.to_string()));
        for (name, section) in sections(index) {
            fields.push(field(&format!("candidate's {name}"), named(section)));
        }
        fields.extend(needs(index).map(|needs| field("candidate's needs", needs)));
    }
    let shards: Vec<u64> = contents.shards.values().map(|shard| shard.length).collect();
    fields.push(field("tree nodes", format!("{} of 64", contents.nodes.len())));
    fields.push(field("shards", format!("{} of 4,096", words::number(shards.len() as u64))));
    fields.push(field("bytes of shards", shards.iter().sum::<u64>()));
    fields.push(field("largest shard", shards.iter().max().copied().unwrap_or(0)));
    fields
}

/// What engines must be built with to answer every question about definitions.
fn needs(index: &DefinitionsIndex) -> Option<String> {
    let needs: Vec<&str> = index.needs.iter().map(|capability| capability.as_str()).collect();
    (!needs.is_empty()).then(|| needs.join(", "))
}

/// What a content without a name seems to be.
fn guessed(content: &[u8]) -> (&'static str, Vec<(String, Value)>) {
    if let Ok(manifest) = Manifest::read(content) {
        let mut fields = vec![field("format", manifest.format), field("definitions", named(manifest.definitions))];
        fields.push(field("tree nodes", format!("{} of 64", manifest.tenants.iter().len())));
        return ("manifest", fields);
    }
    if let Ok(index) = DefinitionsIndex::read(content)
        && index != DefinitionsIndex::default()
    {
        let mut fields: Vec<(String, Value)> =
            sections(&index).into_iter().map(|(name, it)| field(name, named(it))).collect();
        fields.extend(needs(&index).map(|needs| field("needs", needs)));
        return ("index of definitions", fields);
    }
    if let Ok(node) = TreeNode::read(content, "node") {
        return ("node of the tenant tree", vec![field("shards", format!("{} of 64", node.iter().len()))]);
    }
    ("content", content_of(content))
}

fn content_of(content: &[u8]) -> Vec<(String, Value)> {
    let read: Value = serde_json::from_slice(content).unwrap_or_default();
    let mut fields = vec![field("length", content.len()), field("sha-256", Hash::of(content).to_string())];
    for (name, value) in read.as_object().into_iter().flatten().take(20) {
        let size = match value {
            Value::Object(records) => words::count(records.len(), "record"),
            Value::Array(items) => words::count(items.len(), "item"),
            _ => continue,
        };
        fields.push(field(name, size));
    }
    fields
}
