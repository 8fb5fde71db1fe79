//! Commands that write files.

use crate::run::{copy, edit, typed};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file below a directory, by name.
fn files(root: &Path) -> BTreeMap<String, String> {
    fn visit(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}

#[test]
fn formatting_twice_changes_nothing() {
    let copy = copy();
    let root = copy.path().display();
    let normal = files(copy.path());
    edit(&copy, "plans/growth.json", "\n      ", "\n");
    edit(&copy, "tenants/eu.json", r#""2026-12-30T23:00:00Z""#, r#""2026-12-31T00:00:00+01:00""#);
    let changed = files(copy.path());

    let check = typed(&format!("fmt --check -d {root}"));
    assert_eq!(check.code, 1);
    assert!(check.out.ends_with("2 of 21 files would change\n"), "{}", check.out);
    assert_eq!(files(copy.path()), changed, "--check changes nothing");

    let first = typed(&format!("fmt -d {root}"));
    assert_eq!((first.code, first.err.as_str()), (0, ""));
    assert!(first.out.contains("plans/growth.json") && first.out.contains("tenants/eu.json"), "{}", first.out);
    assert_eq!(files(copy.path()), normal);

    let second = typed(&format!("fmt --json -d {root}"));
    assert_eq!((second.code, &second.json()["changed"]), (0, &json!([])));
    assert_eq!(typed(&format!("fmt --check -d {root}")).code, 0);
    assert_eq!(files(copy.path()), normal);
}

#[test]
fn files_with_errors_are_left_as_they_are() {
    let copy = copy();
    let root = copy.path().display();
    edit(&copy, "plans/growth.json", "\n      ", "\n");
    edit(&copy, "add_ons.json", r#""contributions""#, r#""contribution""#);
    let broken = files(copy.path()).remove("add_ons.json");
    let ran = typed(&format!("fmt -d {root}"));
    assert_eq!(ran.code, 3);
    assert!(ran.out.contains("error[unknown_key]") && ran.out.contains("plans/growth.json"), "{}", ran.out);
    assert_eq!(files(copy.path()).remove("add_ons.json"), broken);
    let check = typed(&format!("fmt --check -d {root}"));
    assert_eq!(check.code, 3, "{check:?}");
}

#[test]
fn single_files_and_folders_can_be_named() {
    let copy = copy();
    let root = copy.path().display();
    edit(&copy, "plans/growth.json", "\n      ", "\n");
    edit(&copy, "tenants/eu.json", "\n      ", "\n");
    let one = typed(&format!("fmt --json {root}/plans/growth.json {root}/plans"));
    assert_eq!(one.json()["changed"], json!([format!("{root}/plans/growth.json")]));
    assert_eq!(one.json()["files"], json!(4), "a file that is named twice counts once");
    assert_eq!(typed(&format!("fmt --check {root}/tenants")).code, 1);
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let copy = copy();
    let plan = copy.path().join("plans/growth.json");
    edit(&copy, "plans/growth.json", "\n      ", "\n");
    fs::set_permissions(&plan, fs::Permissions::from_mode(0o640)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("growth.json");
    symlink(&plan, &link).unwrap();
    assert_eq!(typed(&format!("fmt {}", link.display())).code, 0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::metadata(&plan).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(typed(&format!("fmt --check {}", plan.display())).code, 0);
    assert_eq!(files(&copy.path().join("plans")).len(), 4, "no temporary file is left");
}

#[test]
fn fleets_are_written_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let write = |out: &Path, seed: u64| {
        typed(&format!("generate --tenants 2100 --features 60 --seed {seed} --out {} --json", out.display()))
    };
    let ran = write(&one, 7);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!((&ran.json()["tenants"], &ran.json()["files"]), (&json!(2100), &json!(6)));
    assert_eq!(write(&two, 7).code, 0);
    let written = files(&one);
    assert_eq!(written, files(&two), "equal seeds write equal files");
    let tenants: Vec<usize> = written
        .iter()
        .filter(|(name, _)| name.starts_with("tenants"))
        .map(|(_, text)| {
            let file: serde_json::Value = serde_json::from_str(text).unwrap();
            file["tenants"].as_object().unwrap().len()
        })
        .collect();
    assert_eq!(tenants, [1000, 1000, 100]);

    let lint = typed(&format!("lint --json -d {}", one.display()));
    assert_eq!((lint.code, &lint.json()["errors"]), (0, &json!(0)));
    assert_eq!(typed(&format!("fmt --check -d {}", one.display())).code, 0);

    let again = typed(&format!("generate --tenants 1 --out {}", one.display()));
    assert_eq!(again.code, 5);
    assert!(again.err.contains("[not_empty]"), "{}", again.err);
    assert_eq!(files(&one), written);
}
