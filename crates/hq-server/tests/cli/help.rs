//! Help and completions.

use crate::run::{commands, run, typed};
use serde_json::Value;

const COMMANDS: [&str; 19] = [
    "check",
    "limit",
    "entitlements",
    "explain",
    "what-if",
    "diff",
    "lint",
    "fmt",
    "keygen",
    "certify",
    "build",
    "verify",
    "inspect",
    "history",
    "slice",
    "rotate",
    "generate",
    "demo",
    "completions",
];
/// Commands that write, and so are not tried here.
const WRITE: [&str; 7] = ["fmt", "generate", "keygen", "certify", "build", "slice", "rotate"];

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
        let examples = commands(examples);
        assert!(examples.iter().all(|line| line.starts_with("leasehold ")), "{command}: {examples:?}");
        assert!(examples.iter().any(|line| line.contains(command)), "{command}");
        for line in examples {
            let asks = !WRITE.contains(&command);
            if asks
                && (line.contains("-d examples") || command == "demo")
                && !line.contains("../")
                && !line.contains("snapshots")
            {
                let line = line.split(" | ").next().unwrap_or(&line);
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
