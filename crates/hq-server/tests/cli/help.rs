//! Help and completions.

use crate::run::{run, typed};
use serde_json::Value;

const COMMANDS: [&str; 11] =
    ["check", "limit", "entitlements", "explain", "what-if", "diff", "lint", "fmt", "generate", "demo", "completions"];

#[test]
fn help_lists_commands_and_exit_codes() {
    let help = typed("--help");
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    insta::assert_snapshot!("help", help.out);
    for command in COMMANDS {
        assert!(help.out.contains(&format!("\n  {command} ")), "{command}");
    }
    assert_eq!(typed("--version").out, format!("leasehold {}\n", env!("CARGO_PKG_VERSION")));
}

/// Every command has examples, and those that only ask can be typed as they stand.
#[test]
fn every_command_has_examples_that_work() {
    let mut tried = 0;
    for command in COMMANDS {
        let help = run([command, "--help"]);
        let examples = help.out.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples")).1;
        let examples: Vec<&str> = examples.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert!(examples.iter().all(|line| line.starts_with("leasehold ")), "{command}: {examples:?}");
        assert!(examples.iter().any(|line| line.contains(command)), "{command}");
        for line in examples {
            let asks = ["fmt", "generate"].iter().all(|writes| *writes != command);
            if asks && (line.contains("-d examples") || command == "demo") && !line.contains("../") {
                let line = line.split(" | ").next().unwrap_or(line);
                let ran = typed(line.trim_start_matches("leasehold "));
                assert!(ran.code < 2, "{line}: {ran:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 12, "{tried} examples tried");
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = typed(&format!("completions {shell}"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{shell}");
        assert!(COMMANDS.iter().all(|command| ran.out.contains(command)), "{shell}");
        let json = typed(&format!("completions {shell} --json")).json();
        assert_eq!(json["script"], Value::from(ran.out));
    }
}
