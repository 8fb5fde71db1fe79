//! Definitions from a directory.

use crate::model::{Diagnostic, DiagnosticCode, Diagnostics, MAX_FILE_BYTES, Source};
use std::{
    fs,
    io::{self, Read},
    path::Path,
};

/// Reads every `.json` file below a directory, in the order of names. Names that start with a dot are passed over; links
/// to files are followed, links to folders are refused.
///
/// # Errors
/// Every file and folder that cannot be read. One larger than [`MAX_FILE_BYTES`] is read no further than that, and refused
/// when it is loaded.
pub fn read_directory(root: &Path) -> Result<Vec<Source>, Diagnostics> {
    let mut sources = Vec::new();
    let mut found = Vec::new();
    visit(root, "", &mut sources, &mut found);
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Diagnostics::refuse_if_any(found)?;
    Ok(sources)
}

fn visit(folder: &Path, prefix: &str, sources: &mut Vec<Source>, found: &mut Vec<Diagnostic>) {
    let entries = match fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => return found.push(unreadable(&folder.display().to_string(), &error.to_string())),
    };
    for entry in entries {
        let path = entry.path();
        let file_name = entry.file_name();
        if file_name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let name = file_name.to_string_lossy();
        let name = if prefix.is_empty() { name.into_owned() } else { format!("{prefix}/{name}") };
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if path.is_dir() && is_link {
            // It may lead back here, or out of what was reviewed.
            found.push(unreadable(&name, "it is a link to a folder, and those are not followed"));
        } else if path.is_dir() {
            visit(&path, &name, sources, found);
        } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            match read_file(&path) {
                Ok(bytes) => sources.push(Source { name: name.into(), bytes }),
                Err(error) => found.push(unreadable(&name, &error.to_string())),
            }
        }
    }
}

/// Reads at most one byte more than is allowed: what is too large is refused without being held whole.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A pipe or device would be waited for, or never end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    fs::File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(name: &str, error: &str) -> Diagnostic {
    let mut diagnostic = Diagnostic::new(
        DiagnosticCode::Unreadable,
        "",
        format!("cannot be read: {error}"),
        "check that it exists and that you may read it",
    );
    diagnostic.file = name.into();
    diagnostic
}
