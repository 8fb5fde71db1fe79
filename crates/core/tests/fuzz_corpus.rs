//! Replays the corpus of every fuzz target: what fuzzing once found stays found.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../../../fuzz/bodies.rs"]
mod bodies;

use leasehold::model::Source;
use leasehold::{Revision, Snapshot, Stamp, Timestamp};
use std::path::{Path, PathBuf};
use std::{fs, panic};

/// A target's name and its body.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 11] = [
    ("definitions", bodies::definitions),
    ("resolution", bodies::resolution),
    ("explanation", bodies::explanation),
    ("canonical", bodies::snapshots::canonical),
    ("head", bodies::snapshots::head),
    ("manifest", bodies::snapshots::manifest),
    ("pack", bodies::snapshots::pack),
    ("slice", bodies::snapshots::slice),
    ("shard", bodies::snapshots::shard),
    ("follower", bodies::snapshots::follower),
    ("guard", bodies::guards::guard),
];

fn folder(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(inside)
}

/// What a folder holds, sorted by name. Names that start with a dot are passed over.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    entries.sort();
    entries
}

fn names(folder: &Path) -> Vec<String> {
    entries(folder).iter().map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_has_a_body_and_a_corpus() {
    let mut targets = TARGETS.map(|(target, _)| target.to_owned());
    targets.sort();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
}

#[test]
fn every_corpus_file_passes() {
    for (target, body) in TARGETS {
        let files = entries(&folder("corpus").join(target));
        assert!((10..=40).contains(&files.len()), "{target} has {} corpus files", files.len());
        for file in files {
            let bytes = fs::read(&file).unwrap();
            assert!(bytes.len() <= 10_000, "{} is large for a corpus", file.display());
            assert!(panic::catch_unwind(|| body(&bytes)).is_ok(), "{} fails", file.display());
        }
    }
}

/// What was signed with the keys of these tests is still believed: otherwise the bodies would see refusals only.
#[test]
fn what_is_meant_to_be_believed_is() {
    let published = bodies::published::published();
    let read = |file: &str| fs::read(folder("corpus").join(file)).unwrap();
    assert_eq!(published.trust.head(&read("head/signed")).unwrap().bytes(), published.heads[0].bytes());
    let pack = leasehold::wire::Pack::read(&read("pack/signed")).unwrap();
    assert!(Snapshot::from_pack(pack, &published.trust).is_ok());
    assert!(published.trust.slice(&read("slice/signed"), &published.tenant(0)).is_ok());
}

/// Files that are all refused would leave most of the body unused.
#[test]
fn what_is_meant_to_build_builds() {
    for name in ["one-of-everything.json", "ends-of-time.json"] {
        let source = Source { name: name.into(), bytes: fs::read(folder("corpus/definitions").join(name)).unwrap() };
        let stamp = Stamp { revision: Revision::default(), issued_at: Timestamp::MIN, expires_at: None };
        let snapshot = Snapshot::from_sources(&[source], stamp).unwrap_or_else(|refused| panic!("{name}: {refused}"));
        assert!(snapshot.tenant_count() > 0 && snapshot.features().count() > 0, "{name}");
    }
}
