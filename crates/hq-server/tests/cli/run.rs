//! Running the program.

use leasehold::model::load;
use leasehold::{Revision, Snapshot, Stamp, Timestamp, read_directory};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const REFERENCE: &str = "examples/cleanmatex";
pub(crate) const NOW: &str = "2026-11-15T12:00:00Z";

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The root of the repository, from which the examples in help texts and in the demo are typed.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The program, in an environment that says nothing.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.current_dir(repository());
    for name in [
        "DATABASE_URL",
        "LEASEHOLD_ALLOW",
        "LEASEHOLD_CERTIFICATE",
        "LEASEHOLD_CONFIG",
        "LEASEHOLD_DEFINITIONS",
        "LEASEHOLD_FLEET_KEY",
        "LEASEHOLD_LISTEN",
        "LEASEHOLD_LOG",
        "LEASEHOLD_PUBLISHER",
        "LEASEHOLD_TRUST",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run<'a>(words: impl IntoIterator<Item = &'a str>) -> Ran {
    finish(program().args(words))
}

pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code().unwrap() }
}

/// Types a line, with words apart by one space.
pub(crate) fn typed(line: &str) -> Ran {
    run(line.split(' '))
}

/// The commands in a help text, as a shell reads them: a backslash at the end of a line goes on in the next.
pub(crate) fn commands(help: &str) -> Vec<String> {
    let mut joined: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in help.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let part = line.trim_end_matches(" \\").to_owned();
        match joined.last_mut().filter(|_| goes_on) {
            Some(begun) => *begun = format!("{begun} {part}"),
            None => joined.push(part),
        }
        goes_on = line.ends_with(" \\");
    }
    joined
}

/// Types a line about the reference definitions at their reference instant.
pub(crate) fn ask(line: &str) -> Ran {
    typed(&format!("{line} --at {NOW} -d {REFERENCE}"))
}

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// The reference definitions, asked without the program.
pub(crate) fn engine() -> Snapshot {
    let definitions = load(&read_directory(&repository().join(REFERENCE)).unwrap()).unwrap();
    let stamp = Stamp { revision: Revision::default(), issued_at: now(), expires_at: None };
    Snapshot::compile(&definitions, stamp).unwrap()
}

/// A copy of the reference definitions that a test may change.
pub(crate) fn copy() -> tempfile::TempDir {
    fn copy_to(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy_to(&entry.path(), &target);
            } else {
                std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
            }
        }
    }
    let copy = tempfile::tempdir().unwrap();
    copy_to(&repository().join(REFERENCE), copy.path());
    copy
}

/// Changes one file of a copy by replacing a text that it holds.
pub(crate) fn edit(copy: &tempfile::TempDir, name: &str, from: &str, to: &str) {
    let path = copy.path().join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{name} does not hold {from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}
