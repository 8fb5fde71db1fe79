//! Help and completions.

use crate::run::{commands, run, typed};
use serde_json::Value;

const COMMANDS: [&str; 23] = [
    "check",
    "limit",
    "entitlements",
    "explain",
    "what-if",
    "workflow",
    "diff",
    "lint",
    "fmt",
    "codegen",
    "keygen",
    "certify",
    "build",
    "verify",
    "inspect",
    "history",
    "slice",
    "rotate",
    "db",
    "audit",
    "generate",
    "demo",
    "completions",
];
/// What `workflow` can be asked.
const WORKFLOW: [&str; 8] = ["show", "transitions", "check", "draw", "compare", "upgrade", "paths", "replay"];
/// What `codegen` writes.
const CODEGEN: [&str; 1] = ["ts"];
/// What `db` does.
const DB: [&str; 19] = [
    "migrate",
    "status",
    "undo",
    "import",
    "export",
    "tenant",
    "kill",
    "retire",
    "remove",
    "propose",
    "proposals",
    "approve",
    "reject",
    "publish",
    "rollback",
    "machines",
    "recall",
    "collect",
    "staff",
];
/// What `audit` does.
const AUDIT: [&str; 3] = ["verify", "checkpoint", "export"];
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
    let of_workflows = WORKFLOW.map(|command| vec!["workflow", command]);
    let of_codegen = CODEGEN.map(|command| vec!["codegen", command]);
    let of_the_database =
        DB.map(|command| vec!["db", command]).into_iter().chain(AUDIT.map(|command| vec!["audit", command]));
    for words in
        COMMANDS.map(|command| vec![command]).into_iter().chain(of_workflows).chain(of_codegen).chain(of_the_database)
    {
        let help = run(words.iter().copied().chain(["--help"]));
        let command = words.join(" ");
        let examples = help.out.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples")).1;
        let examples = commands(examples);
        assert!(examples.iter().all(|line| line.starts_with("leasehold ")), "{command}: {examples:?}");
        assert!(examples.iter().any(|line| line.contains(&command)), "{command}");
        for line in examples {
            // There is no database here; `database.rs` asks one.
            let asks = !WRITE.contains(&&*command) && !line.contains(" -o ") && !command.starts_with("db");
            if asks
                && (line.contains("-d examples") || command == "demo")
                && !line.contains("../")
                && !line.contains("snapshots")
                // It stays.
                && !line.contains("--stay")
            {
                let line = line.split(" | ").next().unwrap_or(&line);
                let words = line.split(' ').skip(1).map(|word| word.trim_matches('\''));
                let ran = run(words);
                assert!(ran.code < 2, "{line}: {ran:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 28, "{tried} examples tried");
}

#[test]
fn help_of_workflows() {
    let help = typed("workflow --help");
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    insta::assert_snapshot!("help_workflow", help.out);
    for command in WORKFLOW {
        insta::assert_snapshot!(format!("help_workflow_{command}"), typed(&format!("workflow {command} --help")).out);
    }
}

#[test]
fn help_of_groups() {
    for (of, commands) in [("codegen", &CODEGEN[..]), ("db", &DB), ("audit", &AUDIT)] {
        insta::assert_snapshot!(format!("help_{of}"), typed(&format!("{of} --help")).out);
        for command in commands {
            insta::assert_snapshot!(format!("help_{of}_{command}"), typed(&format!("{of} {command} --help")).out);
        }
    }
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
