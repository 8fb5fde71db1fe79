//! `docs/threat-model.md` names tests: each is there, under that name, and is a test.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the page has to have a row for.
const THREATS: &[&str] = &[
    "Rollback",
    "Freeze",
    "Fast-forward",
    "Mix-and-match",
    "Endless data",
    "Wrong region",
    "Wrong tenant",
    "Fleet key lost",
    "Slice key lost",
    "Zip bomb",
    "Hash flooding",
    "Timing of comparisons",
    "Log injection",
    "CSV formula injection",
    "SSRF",
];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The links of a text whose words are code: what is in them, and where they lead.
fn links(text: &str) -> Vec<(&str, &str)> {
    let parts = text.split("[`").skip(1);
    parts
        .filter_map(|part| part.split_once("`]("))
        .map(|(name, rest)| (name, rest.split_once(')').unwrap().0))
        .collect()
}

/// Whether a file has a test of this name.
fn has_test(path: &Path, name: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let (plain, later) = (format!("fn {name}()"), format!("async fn {name}()"));
            let at = lines.iter().position(|line| line.starts_with(&plain) || line.starts_with(&later));
            let attributes = lines.iter().take(at.unwrap_or(0)).rev().take_while(|line| line.starts_with("#["));
            at.is_some() && attributes.filter(|line| matches!(**line, "#[test]" | "#[tokio::test]")).count() == 1
        }
        Some("mjs") => text.lines().map(str::trim).any(|line| {
            let quoted = ["'", "`"].map(|quote| format!("test({quote}{name}{quote}, "));
            quoted.iter().any(|test| line.starts_with(test))
        }),
        Some("py") => name.starts_with("test_") && text.contains(&format!("\ndef {name}(")),
        _ => false,
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let page = std::fs::read_to_string(docs().join("threat-model.md")).unwrap();
    let mut by_threat: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| **")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let threat = cells.first().unwrap().trim().trim_start_matches("**").split("**").next().unwrap();
        let tests = links(cells.last().unwrap());
        assert!(cells.len() == 4 && !tests.is_empty(), "{threat} is told in four cells, the last with a test");
        by_threat.entry(threat).or_default().extend(tests);
        // Where it is defended is there too.
        for (name, place) in row.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(it, _)| (threat, it))
        {
            let place = place.split('#').next().unwrap();
            assert!(place.is_empty() || docs().join(place).exists(), "{name}: {place} is not there");
        }
    }
    let missing: Vec<_> = THREATS.iter().filter(|threat| !by_threat.contains_key(**threat)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (name, place) in by_threat.values().flatten() {
        assert!(has_test(&docs().join(place), name), "{place} has no test `{name}`");
    }
    // And what was written as an attack is on the page.
    let named: BTreeSet<(&str, &str)> = by_threat.values().flatten().copied().collect();
    for place in ["../crates/core/tests/attacks.rs", "../crates/hq-server/tests/cli/serve/attacks.rs"] {
        let text = std::fs::read_to_string(docs().join(place)).unwrap();
        let functions = text.lines().filter_map(|line| line.trim_start_matches("async ").strip_prefix("fn "));
        let names = functions.filter_map(|line| line.split_once('(')).map(|(name, _)| name);
        for name in names.filter(|name| has_test(&docs().join(place), name)) {
            assert!(named.contains(&(name, place)), "the page does not name `{name}` of {place}");
        }
    }
}
