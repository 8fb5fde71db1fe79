//! What is said about mistakes and warnings, word for word: vectors compare codes and places alone, since words are this
//! runtime's. To renew them after a wanted change, run
//! `LEASEHOLD_RENEW_WORDS=1 cargo test -p leasehold words_are_as_kept` and read every line that changed.

use super::{engine, read, text};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::{env, fs, path::Path};

#[test]
fn words_are_as_kept() {
    let mut said = String::new();
    let mut before = BTreeSet::new();
    for file in ["build_reading.json", "build_meaning.json", "build_guards.json", "build_workflows.json"] {
        for case in read(file)["cases"].as_array().unwrap() {
            assert_eq!(text(case, "call"), "build");
            let (Ok(found) | Err(found)) = engine::diagnostics(&case["args"]);
            for one in found {
                let words = format!("{}: {}\n    {}\n", one.code.as_str(), one.message, one.hint);
                if before.insert(words.clone()) {
                    writeln!(said, "# {}\n{words}", text(case, "id")).unwrap();
                }
            }
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/words.txt");
    if env::var_os("LEASEHOLD_RENEW_WORDS").is_some() {
        fs::write(&file, &said).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let differs = kept.lines().zip(said.lines()).find(|(kept, said)| kept != said);
    assert!(kept == said, "words have changed, first {differs:?}; the head of this file says how to renew them");
}
