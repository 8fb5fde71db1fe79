//! From files to [`Definitions`]: parse, read, merge; and back from a mistake to its file.

use super::read::{Node, Reader, pointer_push};
use super::{Definitions, Diagnostic, DiagnosticCode, Diagnostics};
use crate::SortedMap;
use std::collections::{HashMap, btree_map::Entry};
use std::{fmt::Display, sync::Arc};

/// Largest file that is read, in bytes. Larger fleets are split over several files.
pub const MAX_FILE_BYTES: usize = 16 << 20;

/// One JSON file: its name, as diagnostics give it, and its bytes.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of the file, relative to the directory of definitions.
    pub name: Arc<str>,
    /// The file as it is.
    pub bytes: Vec<u8>,
}

/// Reads definitions from files.
///
/// Any file may hold any section; the order of the files has no meaning. What the parts say of each other is checked
/// when they are compiled, by [`Snapshot::compile`](crate::Snapshot::compile).
///
/// # Errors
/// Every mistake of every file at once. Nothing is produced unless all of it is right.
pub fn load(sources: &[Source]) -> Result<Definitions, Diagnostics> {
    let mut definitions = Definitions::default();
    let mut found = Vec::new();
    for source in sources {
        found.extend(read_file(source, &mut definitions));
    }
    definitions.schema = None;
    Diagnostics::refuse_if_any(found)?;
    Ok(definitions)
}

/// Names the file of every diagnostic that was found in definitions read from `sources`, and puts them in the order of
/// files and paths.
pub fn locate(diagnostics: &mut [Diagnostic], sources: &[Source]) {
    let origins = if diagnostics.is_empty() { HashMap::new() } else { origins(sources) };
    for diagnostic in &mut *diagnostics {
        if let Some(source) = origins.get(record_of(&diagnostic.path)).and_then(|at| sources.get(*at)) {
            diagnostic.file = source.name.clone();
        }
    }
    diagnostics.sort_by(Diagnostic::in_order);
}

/// Reads one file into `definitions` and returns its mistakes.
pub(crate) fn read_file(source: &Source, definitions: &mut Definitions) -> Vec<Diagnostic> {
    let mut reader = Reader::default();
    match parse(&source.bytes) {
        Ok(node) => {
            let mut part = Definitions::default();
            read_sections(node, &mut reader, &mut part);
            add(part, definitions, &mut reader);
        }
        Err(diagnostic) => reader.found.push(diagnostic),
    }
    for diagnostic in &mut reader.found {
        diagnostic.file = source.name.clone();
    }
    reader.found
}

/// Adds what one file has to what others have.
fn add(part: Definitions, definitions: &mut Definitions, reader: &mut Reader<'_>) {
    fn section<K: Ord + Display, V>(
        name: &str,
        part: SortedMap<K, V>,
        all: &mut SortedMap<K, V>,
        reader: &mut Reader<'_>,
    ) {
        let mut part = part;
        part.retain(|key, _| {
            let is_new = !all.contains_key(key);
            if !is_new {
                reader.also_elsewhere(name, &key.to_string());
            }
            is_new
        });
        all.append(part);
    }
    section("features", part.features, &mut definitions.features, reader);
    section("plans", part.plans, &mut definitions.plans, reader);
    section("add_ons", part.add_ons, &mut definitions.add_ons, reader);
    section("kills", part.kills, &mut definitions.kills, reader);
    section("guards", part.guards, &mut definitions.guards, reader);
    section("workflows", part.workflows, &mut definitions.workflows, reader);
    for (id, tenant) in part.tenants {
        match definitions.tenants.entry(id) {
            Entry::Vacant(place) => drop(place.insert(tenant)),
            Entry::Occupied(there) => reader.also_elsewhere("tenants", there.key().as_str()),
        }
    }
    definitions.schema = part.schema.or(definitions.schema.take());
}

/// Reads the sections of one document. Where they are mistaken, what is right of them is there.
pub(crate) fn read_sections<'a>(node: Node<'a>, reader: &mut Reader<'a>, into: &mut Definitions) -> Option<()> {
    let sections = &["$schema", "features", "plans", "add_ons", "kills", "guards", "workflows", "tenants"];
    let mut fields = reader.object(node, sections)?;
    if let Some(Some(schema)) = fields.take::<Option<String>>(reader, "$schema") {
        into.schema = Some(schema);
    }
    fields.entries(reader, "features", &mut into.features);
    fields.entries(reader, "plans", &mut into.plans);
    fields.entries(reader, "add_ons", &mut into.add_ons);
    fields.entries(reader, "kills", &mut into.kills);
    fields.entries(reader, "guards", &mut into.guards);
    fields.entries(reader, "workflows", &mut into.workflows);
    fields.entries(reader, "tenants", &mut into.tenants);
    Some(())
}

/// Parses the bytes of a file, within the bounds of size and nesting.
fn parse(bytes: &[u8]) -> Result<Node<'_>, Diagnostic> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Diagnostic::new(
            DiagnosticCode::FileTooLarge,
            "",
            format!("the file has {} bytes, more than {MAX_FILE_BYTES}", bytes.len()),
            "split it: sections of all files are merged",
        ));
    }
    // Checked as a whole first: serde_json would report it as one syntax error among others.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Diagnostic::new(
            DiagnosticCode::InvalidUtf8,
            "",
            format!("the file is not UTF-8 from byte {} on", error.valid_up_to()),
            "save the file as UTF-8",
        )
    })?;
    serde_json::from_str(text).map_err(|error| {
        let text = error.to_string();
        if text.starts_with("recursion limit exceeded") {
            Diagnostic::new(
                DiagnosticCode::NestingTooDeep,
                "",
                format!("nested more than 127 deep at line {}, column {}", error.line(), error.column()),
                "make the structure flatter",
            )
        } else {
            Diagnostic::new(
                DiagnosticCode::InvalidJson,
                "",
                format!("the file is not JSON: {text}"),
                "check for a missing quote, comma or bracket near that place",
            )
        }
    })
}

/// The first two steps of a path: the section and the record, as `/tenants/t1`.
fn record_of(path: &str) -> &str {
    let end = path.match_indices('/').nth(2).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or(path)
}

/// Which file defines which record. Made only when there is something to report.
fn origins(sources: &[Source]) -> HashMap<String, usize> {
    let mut origins = HashMap::new();
    for (at, source) in sources.iter().enumerate() {
        let Ok(Node::Object(sections)) = parse(&source.bytes) else { continue };
        for (section, node) in sections {
            let Node::Object(records) = node else { continue };
            for (key, _) in records {
                let mut pointer = String::new();
                pointer_push(&mut pointer, &section);
                pointer_push(&mut pointer, &key);
                origins.insert(pointer, at);
            }
        }
    }
    origins
}
