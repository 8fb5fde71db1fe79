//! From files to [`Definitions`]: parse, read, merge; and back from a mistake to its file.

use super::read::{Fields, Node, Reader, pointer_push};
use super::{Definitions, Diagnostic, DiagnosticCode, Diagnostics};
use crate::FeatureKey;
use std::{collections::HashMap, sync::Arc};

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
            read_sections(node, &mut reader, definitions);
        }
        Err(diagnostic) => reader.found.push(diagnostic),
    }
    for diagnostic in &mut reader.found {
        diagnostic.file = source.name.clone();
    }
    reader.found
}

/// The sections, and what stands beside them.
const fn sections_and(beside: &'static str) -> [&'static str; 8] {
    [beside, "features", "plans", "add_ons", "kills", "guards", "workflows", "tenants"]
}

/// Reads a file.
pub(crate) fn read_sections<'a>(node: Node<'a>, reader: &mut Reader<'a>, into: &mut Definitions) -> Option<()> {
    const MEMBERS: &[&str] = &sections_and("$schema");
    let mut fields = reader.object(node, MEMBERS)?;
    if let Some(Some(schema)) = fields.take::<Option<String>>(reader, "$schema") {
        into.schema = Some(schema);
    }
    take_sections(&mut fields, reader, into);
    Some(())
}

/// Reads what a slice holds, and gives the features that it says are static.
pub(crate) fn read_slice<'a>(
    node: Node<'a>,
    reader: &mut Reader<'a>,
    into: &mut Definitions,
) -> Option<Vec<FeatureKey>> {
    const MEMBERS: &[&str] = &sections_and("static");
    let mut fields = reader.object(node, MEMBERS)?;
    take_sections(&mut fields, reader, into);
    fields.take_or(reader, "static", Vec::new())
}

fn take_sections<'a>(fields: &mut Fields<'a>, reader: &mut Reader<'a>, into: &mut Definitions) {
    fields.merge(reader, "features", &mut into.features);
    fields.merge(reader, "plans", &mut into.plans);
    fields.merge(reader, "add_ons", &mut into.add_ons);
    fields.merge(reader, "kills", &mut into.kills);
    fields.merge(reader, "guards", &mut into.guards);
    fields.merge(reader, "workflows", &mut into.workflows);
    fields.merge(reader, "tenants", &mut into.tenants);
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
    if text.starts_with('\u{feff}') {
        let message = "the file is not JSON: it begins with a byte order mark";
        return Err(Diagnostic::new(DiagnosticCode::InvalidJson, "", message, "save it as UTF-8 without one"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is wrong with a record is told at once, also where another file has a right one.
    #[test]
    fn mistaken_records_count_as_second_ones() {
        let file = |name: &str, feature: &str| Source {
            name: name.into(),
            bytes: format!("{{\"features\":{{\"a\":{feature}}}}}").into_bytes(),
        };
        let right = "{\"name\":\"A\",\"name2\":\"A\",\"group\":\"g\",\"kind\":\"switch\"}";
        let sources = [file("one.json", right), file("two.json", &right.replace("\"A\"", "\" \""))];
        let found = load(&sources).err().map(Diagnostics::into_vec).unwrap_or_default();
        let found: Vec<(&str, &str)> = found.iter().map(|one| (&*one.file, one.code.as_str())).collect();
        assert_eq!(found, [("two.json", "duplicate_key"), ("two.json", "empty_text"), ("two.json", "empty_text")]);
    }
}
