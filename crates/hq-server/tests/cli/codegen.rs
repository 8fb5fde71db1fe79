//! Keys as source text.

use crate::run::{REFERENCE, ask, copy, edit, typed};
use serde_json::json;
use std::fs;

#[test]
fn keys_of_the_reference_definitions() {
    let ran = ask("codegen ts");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    insta::assert_snapshot!("codegen_ts", ran.out);
    let of_pages = ask("codegen ts --package leasehold-web");
    assert_eq!(of_pages.out, ran.out.replace("'leasehold'", "'leasehold-web'"));
    assert_eq!(ask("codegen ts --package react").code, 2);
    let json = ask("codegen ts --json").json();
    assert_eq!(json, json!({ "features": 88, "workflows": 3, "declarations": ran.out }));
}

#[test]
fn files_are_written_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("src/leasehold-keys.d.ts");
    let line = format!("codegen ts -d {REFERENCE} -o {}", file.display());
    let name = file.display().to_string();

    let missing = typed(&format!("{line} --check"));
    assert_eq!(missing.code, 1, "{missing:?}");
    assert_eq!(
        missing.out,
        format!("would change {name}\nthe definitions have 88 features and 3 workflows: write them without --check\n")
    );
    assert!(!file.exists());

    let written = typed(&line);
    assert_eq!((written.code, written.err.as_str()), (0, ""));
    assert_eq!(written.out, format!("changed {name}\n88 features and 3 workflows in {name}\n"));
    assert_eq!(fs::read_to_string(&file).unwrap(), ask("codegen ts").out);

    let at = fs::metadata(&file).unwrap().modified().unwrap();
    let again = typed(&format!("{line} --json")).json();
    assert_eq!(again, json!({ "features": 88, "workflows": 3, "file": name, "check": false, "changed": false }));
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), at, "what is right is left alone");
    assert_eq!(typed(&format!("{line} --check")).code, 0);

    fs::write(&file, "export {}\n").unwrap();
    let stale = typed(&format!("{line} --check --json"));
    assert_eq!((stale.code, &stale.json()["changed"]), (1, &json!(true)));
    assert_eq!(fs::read_to_string(&file).unwrap(), "export {}\n", "--check writes nothing");
}

#[test]
fn labels_cannot_leave_their_comments() {
    let changed = copy();
    edit(&changed, "workflows/order.json", r#""name": "Order""#, r#""name": "Order */ order: false /* @deprecated""#);
    let ran = typed(&format!("codegen ts -d {}", changed.path().display()));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.contains(r"    /** Order *\/ order: false /* \@deprecated / "), "{}", ran.out);
}

#[test]
fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (line, exit, says) in [
        (format!("codegen ts -d {REFERENCE} --check"), 2, "--out <FILE>"),
        (format!("codegen -d {REFERENCE}"), 2, "Usage: leasehold codegen"),
        (format!("codegen ts -d {REFERENCE} --stream GCC-OM"), 2, "[usage]"),
        (format!("codegen ts -d {}", folder.path().display()), 5, "[no_definitions]"),
        (format!("codegen ts -d {REFERENCE} -o {}", folder.path().display()), 5, "[io]"),
    ] {
        let ran = typed(&line);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{line}: {}", ran.err);
        assert!(ran.err.contains(says), "{line}: {}", ran.err);
    }
}
