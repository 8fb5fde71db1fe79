//! `cargo xtask codegen`: the generated files that are checked in, and what generates them.

mod corpus;
mod packs;
mod python;
mod schemas;
mod typescript;

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
#[derive(Debug, PartialEq, Eq)]
struct Generated {
    path: String,
    content: Vec<u8>,
}

/// Every generated file. A new one is one line here.
fn generated(root: &Path) -> Result<Vec<Generated>> {
    let mut files = vec![
        Generated {
            path: "schemas/definitions.schema.json".to_owned(),
            content: pretty(leasehold::model::json_schema())?,
        },
        Generated { path: packs::TRUST.to_owned(), content: pretty(serde_json::to_value(packs::trust()?)?)? },
        Generated { path: corpus::TARGET.to_owned(), content: corpus::vectors(root)? },
        Generated { path: corpus::FOLLOWING.to_owned(), content: corpus::scripts(root)? },
        Generated { path: python::TARGET.to_owned(), content: python::answers()? },
    ];
    for target in typescript::TARGETS {
        files.push(Generated { path: (*target).to_owned(), content: typescript::answers()? });
    }
    for name in packs::fixtures(root)? {
        files.push(Generated { path: format!("{}/{name}.pack", packs::PACKS), content: packs::pack(root, &name)? });
    }
    Ok(files)
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.check {
        println!("generated files: {} up to date", check()?);
        return Ok(ExitCode::SUCCESS);
    }
    let root = workspace::root();
    for path in write(root, &generated(root)?)? {
        println!("wrote {path}");
    }
    for path in packs::orphans(root)? {
        fs::remove_file(root.join(&path)).map_err(|error| format!("`{path}`: {error}"))?;
        println!("removed {path}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Counts the generated files. Fails where one is stale or left over, naming it and the command that fixes it.
pub(crate) fn check() -> Result<usize> {
    let root = workspace::root();
    let files = generated(root)?;
    let stale = stale(root, &files)?;
    let mut paths: Vec<_> = stale.iter().map(|file| format!("`{}`", file.path)).collect();
    paths.extend(packs::orphans(root)?.iter().map(|path| format!("`{path}`")));
    if paths.is_empty() {
        return Ok(files.len());
    }
    Err(format!("not what would be generated: {}; run `cargo xtask codegen` and commit the result", paths.join(", "))
        .into())
}

/// Writes the files that differ, and gives their paths: a file that is up to date keeps its modification time.
fn write<'a>(root: &Path, files: &'a [Generated]) -> Result<Vec<&'a str>> {
    let stale = stale(root, files)?;
    for file in &stale {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.content).map_err(|error| format!("`{}`: {error}", path.display()))?;
    }
    Ok(stale.iter().map(|file| file.path.as_str()).collect())
}

/// The files that are missing or differ from what would be generated.
fn stale<'a>(root: &Path, files: &'a [Generated]) -> Result<Vec<&'a Generated>> {
    let mut stale = Vec::new();
    for file in files {
        let path = root.join(&file.path);
        let present = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("`{}`: {error}", path.display()).into()),
        };
        if present.as_ref() != Some(&file.content) {
            stale.push(file);
        }
    }
    Ok(stale)
}

/// Pretty JSON with its keys sorted: a dependency that turns on `serde_json/preserve_order` changes nothing.
fn pretty(mut value: Value) -> Result<Vec<u8>> {
    value.sort_all_objects();
    Ok((serde_json::to_string_pretty(&value)? + "\n").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<Generated> {
        let json = pretty(serde_json::json!({"b": 1, "a": [2]})).unwrap();
        vec![
            Generated { path: "made/a.json".to_owned(), content: json },
            Generated { path: "b.txt".to_owned(), content: b"b\n".to_vec() },
        ]
    }

    #[test]
    fn only_files_that_differ_are_stale_and_written() {
        let root = tempfile::tempdir().unwrap();
        let files = files();
        let paths = |root: &Path| stale(root, &files).unwrap().iter().map(|file| &*file.path).collect::<Vec<_>>();
        fs::write(root.path().join("b.txt"), "b\n").unwrap();
        assert_eq!(paths(root.path()), ["made/a.json"], "a missing file is stale");

        assert_eq!(write(root.path(), &files).unwrap(), ["made/a.json"]);
        assert_eq!(paths(root.path()), [""; 0]);
        let json = fs::read_to_string(root.path().join("made/a.json")).unwrap();
        assert_eq!(json, "{\n  \"a\": [\n    2\n  ],\n  \"b\": 1\n}\n");

        fs::write(root.path().join("b.txt"), "b").unwrap();
        assert_eq!(paths(root.path()), ["b.txt"]);
    }

    #[test]
    fn no_two_generators_write_one_file_and_they_give_the_same_again() {
        let files = generated(workspace::root()).unwrap();
        let mut paths: Vec<_> = files.iter().map(|file| &file.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), files.len());
        assert_eq!(files, generated(workspace::root()).unwrap());
    }

    #[test]
    fn a_pack_without_a_fixture_is_left_over() {
        let root = tempfile::tempdir().unwrap();
        for (folder, file) in [(packs::FIXTURES, "a.json"), (packs::PACKS, "a.pack"), (packs::PACKS, "b.pack")] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
            fs::write(root.path().join(folder).join(file), "").unwrap();
        }
        assert_eq!(packs::orphans(root.path()).unwrap(), [format!("{}/b.pack", packs::PACKS)]);
    }
}
