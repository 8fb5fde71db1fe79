//! `cargo xtask codegen`: the generated files that are checked in, and what generates them.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::{Result, workspace};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Write nothing; name the files that are not what would be generated, and fail when there are any.
    #[arg(long)]
    check: bool,
}

/// A generated file: where it lies below the root, and what it holds.
struct Generated {
    path: &'static str,
    content: fn() -> Result<String>,
}

/// Every generated file. A new one is one line here.
const GENERATED: &[Generated] =
    &[Generated { path: "schemas/definitions.schema.json", content: || pretty(leasehold::model::json_schema()) }];

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        check()?;
        println!("generated files: {} up to date", GENERATED.len());
    } else {
        for path in write(workspace::root(), GENERATED)? {
            println!("wrote {path}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails, naming the stale files and the command that fixes them.
pub(crate) fn check() -> Result<()> {
    let stale = stale(workspace::root(), GENERATED)?;
    if stale.is_empty() {
        return Ok(());
    }
    let paths: Vec<_> = stale.iter().map(|file| format!("`{}`", file.path)).collect();
    Err(format!("not what would be generated: {}; run `cargo xtask codegen` and commit the result", paths.join(", "))
        .into())
}

/// Writes the files that differ, and gives their paths: a file that is up to date keeps its modification time.
fn write(root: &Path, files: &[Generated]) -> Result<Vec<&'static str>> {
    let stale = stale(root, files)?;
    for file in &stale {
        let path = root.join(file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, (file.content)()?).map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    Ok(stale.iter().map(|file| file.path).collect())
}

/// The files that are missing or differ from what would be generated.
fn stale<'a>(root: &Path, files: &'a [Generated]) -> Result<Vec<&'a Generated>> {
    let mut stale = Vec::new();
    for file in files {
        let path = root.join(file.path);
        let present = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("`{}`: {error}", path.display()).into()),
        };
        if present.as_deref() != Some((file.content)()?.as_bytes()) {
            stale.push(file);
        }
    }
    Ok(stale)
}

/// Pretty JSON with its keys sorted: a dependency that turns on `serde_json/preserve_order` changes nothing.
fn pretty(mut value: Value) -> Result<String> {
    value.sort_all_objects();
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &[Generated] = &[
        Generated { path: "made/a.json", content: || pretty(serde_json::json!({"b": 1, "a": [2]})) },
        Generated { path: "b.txt", content: || Ok("b\n".to_owned()) },
    ];

    #[test]
    fn only_files_that_differ_are_stale_and_written() {
        let root = tempfile::tempdir().unwrap();
        let paths = |root: &Path| stale(root, FILES).unwrap().iter().map(|file| file.path).collect::<Vec<_>>();
        fs::write(root.path().join("b.txt"), "b\n").unwrap();
        assert_eq!(paths(root.path()), ["made/a.json"], "a missing file is stale");

        assert_eq!(write(root.path(), FILES).unwrap(), ["made/a.json"]);
        assert_eq!(paths(root.path()), [""; 0]);
        let json = fs::read_to_string(root.path().join("made/a.json")).unwrap();
        assert_eq!(json, "{\n  \"a\": [\n    2\n  ],\n  \"b\": 1\n}\n");

        fs::write(root.path().join("b.txt"), "b").unwrap();
        assert_eq!(paths(root.path()), ["b.txt"]);
    }

    #[test]
    fn no_two_generators_write_one_file() {
        let mut paths: Vec<_> = GENERATED.iter().map(|file| file.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), GENERATED.len());
    }
}
