//! `leasehold fmt`: definitions in their normal form.

use crate::context::Context;
use crate::diagnostics::list;
use crate::failure::Failure;
use crate::report::{Exit, Report};
use crate::style::Tone;
use crate::words;
use leasehold::model::format::format;
use leasehold::model::{Diagnostic, MAX_FILE_BYTES, Source};
use leasehold::read_directory;
use serde_json::json;
use std::fmt::Write;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

pub(crate) const EXAMPLES: &str = "\
Each file is replaced at once, or not at all. A file with errors is listed and left as it is; the others are still formatted, and the exit code is 3.

Examples:
  leasehold fmt -d examples/cleanmatex
  leasehold fmt plans/growth.json tenants
  leasehold fmt --check -d examples/cleanmatex";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Files and directories; without any, the directory of definitions
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Change nothing, and exit with 1 where something would change
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options, context: &Context) -> Result<Report, Failure> {
    let default = [context.root().to_owned()];
    let paths = if options.paths.is_empty() { &default[..] } else { &options.paths };
    let mut files = Vec::new();
    for path in paths {
        if context.place(path)?.is_some() {
            let failure = Failure::is_published(format!("`{}` was published, and is not rewritten", path.display()));
            return Err(failure.hint("format the definitions that it was built from, and build again"));
        }
        files.extend(files_at(path)?);
    }
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files.dedup_by(|a, b| a.0 == b.0);

    let mut changed: Vec<String> = Vec::new();
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut left = 0;
    for (path, source) in &files {
        match format(source) {
            Err(refused) => {
                left += 1;
                found.extend_from_slice(refused.as_slice());
            }
            Ok(text) if text.as_bytes() == source.bytes => {}
            Ok(text) => {
                if !options.check {
                    replace(path, &text).map_err(|error| Failure::io("write", path, &error))?;
                }
                changed.push(path.display().to_string());
            }
        }
    }
    let exit = match () {
        () if !found.is_empty() => Exit::Refused,
        () if options.check => Exit::yes_if(changed.is_empty()),
        () => Exit::Yes,
    };
    if context.json() {
        let answer = json!({ "files": files.len(), "check": options.check, "changed": changed, "diagnostics": found });
        return Report::json(&answer, exit);
    }
    let style = context.style;
    let mut text = list(&found, style);
    let done = if options.check { "would change" } else { "changed" };
    for name in &changed {
        let _ = writeln!(text, "{} {}", style.paint(Tone::Notice, done), words::printable(name));
    }
    let mut summary = format!("{} of {} {done}", changed.len(), words::count(files.len(), "file"));
    if !found.is_empty() {
        let _ = write!(summary, ", {left} with {} left alone", words::count(found.len(), "error"));
    }
    let _ = writeln!(text, "{summary}");
    Ok(Report::text(text, exit))
}

/// The files at a path, each with its place on the disk and named by it.
fn files_at(path: &Path) -> Result<Vec<(PathBuf, Source)>, Failure> {
    let named = |path: PathBuf, bytes| {
        let source = Source { name: path.display().to_string().into(), bytes };
        (path, source)
    };
    if path.is_dir() {
        let sources = read_directory(path).map_err(|found| Failure::unreadable(path, found.into_vec()))?;
        return Ok(sources.into_iter().map(|source| named(path.join(&*source.name), source.bytes)).collect());
    }
    let bytes = read(path).map_err(|error| Failure::io("read", path, &error))?;
    Ok(vec![named(path.to_owned(), bytes)])
}

/// Reads at most one byte more than is allowed, so that the engine can say that it is too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a text in a file's place. Whoever reads meanwhile sees the old text or the new one, whole.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Through a link to the file itself, which would else be replaced by a copy.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".leasehold-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    fs::set_permissions(file.path(), fs::metadata(&path)?.permissions())?;
    file.as_file().sync_all()?;
    file.persist(&path)?;
    Ok(())
}
