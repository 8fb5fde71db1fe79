//! What reaches a terminal, and what does not.

use crate::run::{NOW, REFERENCE, ask, copy, edit, program, typed};
use std::process::Stdio;

#[test]
fn colour_goes_where_it_is_wanted() {
    let line = "explain om-muscat-sparkle sso";
    let plain = ask(line).out;
    assert!(!plain.contains('\u{1b}'));
    assert_eq!(ask(&format!("{line} --color never")).out, plain);
    let coloured = ask(&format!("{line} --color always")).out;
    assert!(coloured.contains("\u{1b}[32m"));
    assert_eq!(without_colour(&coloured), plain);
    let failed = ask("check nobody orders --color always");
    assert!(failed.err.contains('\u{1b}'));
}

/// The text without escape sequences.
fn without_colour(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split('\u{1b}');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[test]
fn what_people_wrote_cannot_steer_a_terminal() {
    let hostile = copy();
    edit(&hostile, "tenants/gcc-om.json", "Muscat Sparkle Laundry", r"Muscat \u001b]0;owned\u0007\u202eSparkle");
    edit(&hostile, "kills.json", "Gateway firmware", r"\u001b[2JGateway\nfirmware");
    let root = hostile.path().display();
    let entitlements = typed(&format!("entitlements om-muscat-sparkle --at {NOW} -d {root}"));
    assert!(entitlements.out.contains(r"Muscat \u{1b}]0;owned\u{7}\u{202e}Sparkle"), "{}", entitlements.out);
    let explained = typed(&format!("explain sa-riyadh-najd machine_monitoring --at {NOW} -d {root}"));
    assert!(explained.out.contains(r"\u{1b}[2JGateway\nfirmware"), "{}", explained.out);
}

#[test]
fn workflows_cannot_steer_a_terminal() {
    let hostile = copy();
    edit(&hostile, "workflows/pickup_request.json", "\"Requested\"", r#""\u001b[2JRequested\u202e""#);
    let root = hostile.path().display();
    for line in ["show om-muscat-sparkle pickup_request", "transitions om-muscat-sparkle pickup_request requested"] {
        let ran = typed(&format!("workflow {line} -d {root}"));
        assert!(ran.code == 0 && ran.out.contains(r"\u{1b}[2JRequested\u{202e}"), "{line}: {ran:?}");
    }
    let line = "workflow check om-muscat-sparkle pickup_request requested cancelled --inputs {\"\\u001b[2J\":1} -d";
    let ran = typed(&format!("{line} {root}"));
    assert!(ran.code == 0 && !ran.out.contains('\u{1b}'), "{ran:?}");
}

/// Arabic stands last in its line, so that neither its width nor its direction moves anything else.
#[test]
fn arabic_stands_last() {
    let text = ask("entitlements om-muscat-sparkle").out + ask("workflow show om-muscat-sparkle order").out.as_str();
    let arabic = |c: char| ('\u{600}'..='\u{6ff}').contains(&c);
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(arabic)).collect();
    assert!(lines.len() > 20);
    for line in lines {
        let from = line.find(arabic).unwrap_or(0);
        assert!(!line[from..].contains("  "), "{line}");
    }
}

/// A reader that leaves early, as `head` does, gets no complaint.
#[test]
fn a_closed_pipe_is_no_fault() {
    let mut child = program()
        .args(["entitlements", "om-muscat-sparkle", "-d", REFERENCE])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

/// A disk that is full is one, and it is said.
#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_no_answer() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = program().args(["entitlements", "om-muscat-sparkle", "-d", REFERENCE]).stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(said.starts_with("error: the answer cannot be written: ") && said.ends_with(" [io]\n"), "{said}");
}
