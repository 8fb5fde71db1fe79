//! Logs of moves that were made.

use crate::run::{Ran, ask, finish, program, typed};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Stdio;

const HEADER: &str = "tenant,category,from,to,roles,input.invoice_issued,input.balance_due_minor,input.customer_type\n";

/// Writes a log and replays it against version 3.
fn replay(name: &str, log: &[u8], rest: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, log).unwrap();
    let mut ran = ask(&format!("workflow replay {} order --version 3{rest}", path.display()));
    for text in [&mut ran.out, &mut ran.err] {
        *text = text.replace(&path.display().to_string(), name);
    }
    ran
}

#[test]
fn tables_and_json_lines_say_the_same() {
    let table = format!(
        "\u{feff}{HEADER}om-muscat-crown,DRY_CLEAN,ready_for_pickup,closed,counter; clerk,true,0,individual\r\n\
         \r\nom-muscat-crown,,ready_for_pickup,closed,counter,true,7250,individual\r\n"
    );
    let lines = r#"
        {"tenant":"om-muscat-crown","category":"DRY_CLEAN","from":"ready_for_pickup","to":"closed","roles":["counter","clerk"],"inputs":{"invoice_issued":true,"balance_due_minor":0,"customer_type":"individual"}}

        {"tenant":"om-muscat-crown","from":"ready_for_pickup","to":"closed","roles":["counter"],"inputs":{"invoice_issued":true,"balance_due_minor":7250,"customer_type":"individual"}}
    "#
    .trim_start();
    let table = replay("moves.csv", table.as_bytes(), " --json");
    let lines_ran = replay("moves.jsonl", lines.as_bytes(), " --json");
    assert_eq!((table.code, table.err.as_str()), (1, ""));
    let (mut one, mut other) = (table.json(), lines_ran.json());
    assert_eq!((&one["moves"], &one["allowed"]), (&json!(2), &json!(1)));
    assert_eq!(one["refused_by_guard"], json!({ "requires_payment": 1 }));
    // Lines are those of the files.
    assert_eq!((one["refused"][0]["line"].take(), other["refused"][0]["line"].take()), (json!(4), json!(3)));
    assert_eq!(one, other);

    // Without a name that tells, what stands first does.
    assert_eq!(replay("moves", lines.as_bytes(), " --json").json()["moves"], json!(2));
    assert_eq!(replay("moves", HEADER.as_bytes(), " --json").json()["moves"], json!(0));
}

#[test]
fn standard_input_is_read() {
    let mut child = program()
        .args(["workflow", "replay", "-", "order", "--version", "2", "-d", crate::run::REFERENCE, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let log = r#"{"tenant":"om-barka-care","from":"intake","to":"cancelled","roles":["counter"]}"#;
    child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["allowed"]), (Some(0), &json!(1)));
    let nothing = finish(
        program().args(["workflow", "replay", "-", "order", "--version", "2"]).args(["-d", crate::run::REFERENCE]),
    );
    assert_eq!(nothing.code, 3);
    assert!(nothing.err.contains("standard input is refused"), "{}", nothing.err);
}

/// All bad lines are listed, good ones are not replayed.
#[test]
fn bad_logs_are_refused_whole() {
    let mut table = HEADER.as_bytes().to_vec();
    table.extend(b"om-muscat-crown,,ready_for_pickup,closed,counter,true,0,individual\n");
    table.extend(b"om-muscat-crown,,ready_for_pickup\n\n,, ,closed,,,,\n");
    table.extend(
        b"om-muscat-crown,,ready_for_pickup,closed,count\xffer,,,\nom-muscat-crown,,\"ready,closed,,,,\nx,,,,,,,\n",
    );
    let lines = br#"{"tenant":"om-muscat-crown","from":"ready_for_pickup","to":"closed"}
{"tenant":"om-muscat-crown","form":"ready_for_pickup","to":"closed"}
{"tenant":"","from":1,"to":"closed","category":2,"inputs":[],"roles":"counter"}
{"tenant":"om-muscat-crown","tenant":"x","from":"a","to":"b"}
om-muscat-crown,ready_for_pickup,closed
"ready"
"#;
    let header = b"tenant,form,to,to,input.,state\nom-muscat-crown,ready_for_pickup,closed,,,\n";
    let logs: [(&str, &str, &[u8]); 4] = [
        ("bad_table", "moves.csv", &table),
        ("bad_header", "moves.csv", header),
        ("bad_lines", "moves.jsonl", lines),
        ("empty", "moves.csv", b" \n"),
    ];
    for (name, file, log) in logs {
        let ran = replay(file, log, "");
        assert_eq!((ran.code, ran.out.as_str()), (3, ""), "{name}");
        insta::assert_snapshot!(name, ran.err);
        let json = replay(file, log, " --json");
        let error = &json.json()["error"];
        assert_eq!((json.code, &error["code"]), (3, &json!("log_refused")), "{name}");
        let lines = error["lines"].as_array().unwrap();
        assert_eq!(ran.err.matches("error[").count(), lines.len());
        assert!(lines.iter().all(|line| line["line"].is_u64() && line["code"].is_string()), "{name}");
    }
}

/// A log is only read where there is somebody to ask.
#[test]
fn long_lists_are_cut_and_counted() {
    let mut table = HEADER.to_owned();
    for _ in 0..60 {
        table.push_str("om-muscat-crown,,ready_for_pickup,closed,counter,false,0,individual\n");
    }
    let ran = replay("moves.csv", table.as_bytes(), "");
    assert!(ran.out.contains("… and 10 more moves: --json lists all"), "{}", ran.out);
    assert_eq!(replay("moves.csv", table.as_bytes(), " --json").json()["refused"].as_array().unwrap().len(), 60);
    assert_eq!(typed("workflow replay crates/hq-server/demo/moves.csv order --version 3 -d /nowhere").code, 5);
}
