//! What goes wrong, and how it is said.

use crate::run::{REFERENCE, ask, copy, edit, engine, now, repository, typed};
use leasehold::model::{Severity, load};
use leasehold::{Snapshot, Stamp, read_directory};
use serde_json::json;

/// A line, its exit code, its stable code and what else it says.
#[test]
fn failures_have_codes_and_hints() {
    let cases = [
        ("check om-muscat-sparkel orders", 4, "unknown_tenant", "did you mean `om-muscat-sparkle`?"),
        ("check om-muscat-sparkle delivry", 4, "unknown_feature", "did you mean `delivery`?"),
        ("check om-muscat-sparkle zzz", 4, "unknown_feature", "is not known"),
        ("explain om-muscat-sparkle Orders", 4, "unknown_feature", "did you mean `orders`?"),
        ("entitlements nobody", 4, "unknown_tenant", "is not known"),
        ("limit om-muscat-sparkle orders --used 0 --requested 1", 4, "wrong_kind", "is a switch, not a limit"),
        ("limit om-muscat-sparkle max_users --used -1 --requested 1", 2, "amount_out_of_range", "0 to 2^53"),
        ("what-if om-muscat-sparkle --plan busines", 4, "unknown_plan", "did you mean `business`?"),
        ("what-if om-muscat-sparkle --plan business@9", 4, "unknown_plan_version", "its versions are 1, 2, 3"),
        ("what-if om-muscat-sparkle --add-on extra_poss", 4, "unknown_add_on", "did you mean `extra_pos`?"),
        ("what-if sa-tabuk-north --without order-caps", 4, "unknown_override", "did you mean `order-cap`?"),
        ("what-if om-muscat-sparkle --add-on extra_pos --usage orders=1", 4, "wrong_kind", "is a switch"),
        ("what-if om-muscat-sparkle --add-on extra_pos=0", 2, "amount_out_of_range", "out of range"),
        ("what-if om-muscat-sparkle", 2, "usage", "add --plan"),
        ("diff", 2, "usage", "name another directory"),
        ("diff --tenant om-muscat-sparkle --with om-muscat", 4, "unknown_tenant", "did you mean `om-muscat-"),
        ("diff examples/cleanmatex --tenant nobody", 4, "unknown_tenant", "is not known"),
        ("diff /nowhere", 5, "unreadable", "cannot be read"),
    ];
    for (line, exit, code, says) in cases {
        let ran = ask(line);
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{line}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(&format!("[{code}]")), "{line}: {}", ran.err);
        assert!(ran.err.contains(says), "{line}: {}", ran.err);

        let json = ask(&format!("{line} --json"));
        assert_eq!(json.code, exit, "{line}");
        let error = &json.json()["error"];
        assert_eq!(error["code"], json!(code), "{line}");
        assert!(format!("{} {}", error["message"], error["hint"]).contains(says), "{line}: {error}");
    }
}

#[test]
fn a_wrong_line_is_a_failure_too() {
    for line in ["bogus", "check", "check a b --at yesterday", "check a b --action write", "limit a b --used x"] {
        let ran = typed(line);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{line}");
        let json = typed(&format!("{line} --json"));
        assert_eq!((json.code, &json.json()["error"]["code"]), (2, &json!("usage")), "{line}");
    }
}

#[test]
fn directories_without_definitions_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().display();
    for (line, code) in [
        (format!("lint -d {empty}"), "no_definitions"),
        (format!("check a b -d {empty}/none"), "unreadable"),
        (format!("fmt {empty}/none.json"), "io"),
    ] {
        let ran = typed(&line);
        assert_eq!(ran.code, 5, "{line}");
        assert!(ran.err.contains(&format!("[{code}]")), "{line}: {}", ran.err);
        assert_eq!(typed(&format!("{line} --json")).json()["error"]["code"], json!(code), "{line}");
    }
}

#[test]
fn refused_definitions_are_listed_whole() {
    let broken = copy();
    edit(&broken, "plans/growth.json", r#""feature": "delivery""#, r#""feature": "delivry""#);
    edit(&broken, "kills.json", r#""feature": "email_marketing""#, r#""feature": "email_marketin""#);
    let root = broken.path().display().to_string();

    let ran = typed(&format!("lint -d {root}"));
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    insta::assert_snapshot!("lint_errors", ran.out);

    // Commands that need definitions refuse, with the same list.
    for line in ["check om-muscat-sparkle orders", "entitlements om-muscat-sparkle"] {
        let refused = typed(&format!("{line} -d {root}"));
        assert_eq!(refused.code, 3, "{line}");
        assert!(refused.err.contains("[definitions_refused]") && refused.err.contains("`delivry` is not defined"));
        let json = typed(&format!("{line} -d {root} --json")).json();
        assert_eq!(json["error"]["diagnostics"], typed(&format!("lint -d {root} --json")).json()["diagnostics"]);
    }
}

#[test]
fn long_lists_are_cut_where_they_are_not_the_subject() {
    let broken = copy();
    edit(&broken, "tenants/gcc-om.json", r#""region""#, r#""regoin""#);
    let root = broken.path().display().to_string();
    let ran = typed(&format!("check om-muscat-sparkle orders -d {root}"));
    assert_eq!(ran.code, 3);
    assert_eq!(ran.err.matches("hint:").count(), 20);
    assert!(ran.err.contains("more errors: `leasehold lint` lists all"), "{}", ran.err);
}

#[test]
fn lint_counts_what_the_engine_finds() {
    let found = engine().warnings().len();
    assert!(found > 0);
    let json = ask("lint --json");
    assert_eq!((json.code, &json.json()["warnings"]), (0, &json!(found)));
    let denied = ask("lint --deny-warnings");
    assert_eq!(denied.code, 1);
    assert!(denied.out.ends_with(&format!("0 errors, {found} warnings in 21 files\n")), "{}", denied.out);

    let draft = repository().join("crates/hq-server/demo");
    let definitions = load(&read_directory(&draft).unwrap()).unwrap();
    let stamp = Stamp { issued_at: now(), ..engine().stamp() };
    let refused = Snapshot::compile(&definitions, stamp).unwrap_err();
    assert!(refused.as_slice().iter().all(|found| found.severity == Severity::Error));
    let json = typed("lint --json -d crates/hq-server/demo").json();
    assert_eq!(json["errors"], json!(refused.as_slice().len()));
}

#[test]
fn the_environment_names_the_directory() {
    let mut program = crate::run::program();
    let named = program.env("LEASEHOLD_DEFINITIONS", REFERENCE).args(["check", "om-muscat-sparkle", "orders"]);
    assert_eq!(crate::run::finish(named).code, 0);
}
