//! Logs of moves, read whole: every bad line is found before anything is made of the good ones.

mod json;
mod table;

use crate::diagnostics::BadLine;
use crate::failure::Failure;
use crate::files;
use leasehold::workflow::LoggedMove;
use std::io::{self, Read};
use std::path::Path;

/// Longer logs are not read.
const MOST: u64 = 256 << 20;

/// The moves of a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) moves: Vec<LoggedMove>,
    /// The line of each move.
    pub(super) lines: Vec<usize>,
}

/// A log on the way.
#[derive(Debug, Default)]
struct Reading {
    log: Log,
    bad: Vec<BadLine>,
}

impl Reading {
    fn refuse(&mut self, line: usize, code: &'static str, message: impl Into<String>) {
        self.bad.push(BadLine { line, code, message: message.into() });
    }

    fn keep(&mut self, line: usize, logged: LoggedMove) {
        self.log.moves.push(logged);
        self.log.lines.push(line);
    }
}

/// Reads a log; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Log, Failure> {
    let standard = path.as_os_str() == "-";
    let bytes = if standard { standard_input(path)? } else { files::read(path, MOST)? };
    let name = if standard { "standard input".to_owned() } else { format!("`{}`", path.display()) };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reading = Reading::default();
    match bytes.trim_ascii_start().first() {
        None => reading.refuse(1, "empty_log", "there is nothing in it: a table has a header at least"),
        Some(first) if is_json(path, *first) => json::read(bytes, &mut reading),
        Some(_) => table::read(bytes, &mut reading),
    }
    if reading.bad.is_empty() { Ok(reading.log) } else { Err(Failure::bad_log(&name, reading.bad)) }
}

/// The name tells, or else what stands first.
fn is_json(path: &Path, first: u8) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => false,
        Some("jsonl" | "ndjson" | "json") => true,
        _ => first == b'{',
    }
}

fn standard_input(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MOST + 1).read_to_end(&mut bytes);
    let read = read.and_then(|read| match read as u64 > MOST {
        true => Err(io::Error::other(format!("it is larger than {MOST} bytes"))),
        false => Ok(()),
    });
    read.map_err(|error| Failure::io("read", path, &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold::workflow::LoggedInput;

    type Read = fn(&[u8], &mut Reading);
    /// Lines and codes.
    type Bad<'b> = &'b [(usize, &'static str)];

    /// The lines and codes of all that is bad.
    fn bad(read: Read, text: &[u8]) -> Vec<(usize, &'static str)> {
        let mut reading = Reading::default();
        read(text, &mut reading);
        reading.bad.iter().map(|bad| (bad.line, bad.code)).collect()
    }

    fn good(read: Read, text: &str) -> Log {
        let mut reading = Reading::default();
        read(text.as_bytes(), &mut reading);
        assert_eq!(reading.bad, [], "{text}");
        reading.log
    }

    #[test]
    fn tables_and_objects_say_the_same() {
        let table = good(
            table::read,
            "to, from ,tenant,roles,input.photos,category\r\n\r\nb,a,t1,x; y,\"front;\nback\",C\nc,b,t1,,,\n",
        );
        let json = good(
            json::read,
            "\n{\"tenant\":\"t1\",\"from\":\"a\",\"to\":\"b\",\"category\":\"C\",\"roles\":[\"x\",\"y\"],\
             \"inputs\":{\"photos\":[]}}\n\n{\"tenant\":\"t1\",\"from\":\"b\",\"to\":\"c\",\"category\":null}",
        );
        assert_eq!((&table.lines, &json.lines), (&vec![3, 5], &vec![2, 4]));
        let text = |text: &str| LoggedInput::Text(text.to_owned());
        assert_eq!(table.moves[0].inputs, [("photos".to_owned(), text("front;\nback"))].into());
        assert_eq!(table.moves[1].inputs, [("photos".to_owned(), text(""))].into());
        assert_eq!(json.moves[0].inputs, [("photos".to_owned(), LoggedInput::Json(serde_json::json!([])))].into());
        for (mut one, mut other) in table.moves.into_iter().zip(json.moves) {
            (one.inputs, other.inputs) = Default::default();
            assert_eq!(one, other);
        }
    }

    #[test]
    fn every_bad_line_of_a_table_is_found() {
        let cases: [(&[u8], Bad<'_>); 12] = [
            (b"tenant,from\n", &[(1, "missing_column")]),
            (
                b"a,b\n",
                &[
                    (1, "unknown_column"),
                    (1, "unknown_column"),
                    (1, "missing_column"),
                    (1, "missing_column"),
                    (1, "missing_column"),
                ],
            ),
            (b"tenant,from,to,from\n", &[(1, "duplicate_column")]),
            (b"tenant,from,to,input.\n", &[(1, "unknown_column")]),
            (b"tenant,from,to,note\nt,a,b,c\n", &[(1, "unknown_column")]),
            (b"tenant,from,to\nt,a\nt,a,b,c\nt,a,b\n", &[(2, "wrong_field_count"), (3, "wrong_field_count")]),
            (b"tenant,from,to\n,a,b\nt, ,\n", &[(2, "missing_value"), (3, "missing_value"), (3, "missing_value")]),
            (b"tenant,from,to\nt,a,b\nt,\xff,b\n", &[(3, "invalid_utf8")]),
            (b"tenant,from,\xff\n", &[(1, "invalid_utf8"), (1, "missing_column")]),
            (b"tenant,from,to\nt,a,\"b\nt,a,b\n", &[(2, "unclosed_quote")]),
            (b"tenant,from,to\nt,a,b\n\nt,a\n", &[(4, "wrong_field_count")]),
            (b"tenant,from,to\n", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(bad(table::read, text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn every_bad_line_of_json_is_found() {
        let fine = r#""tenant":"t","from":"a","to":"b""#;
        let cases: [(String, Bad<'_>); 10] = [
            ("{\n[]\n".to_owned(), &[(1, "invalid_json"), (2, "wrong_type")]),
            (r#"{"tenant":"t"}"#.to_owned(), &[(1, "missing_key"), (1, "missing_key")]),
            (format!("{{{fine},\"note\":1}}"), &[(1, "unknown_key")]),
            (format!("{{{fine},\"from\":\"b\"}}"), &[(1, "duplicate_key")]),
            (format!("{{{fine},\"inputs\":{{\"a\":1,\"a\":2}}}}"), &[(1, "duplicate_key")]),
            (format!("{{{fine},\"inputs\":[]}}"), &[(1, "wrong_type")]),
            (format!("{{{fine},\"roles\":\"x\"}}\n{{{fine},\"roles\":[1]}}"), &[(1, "wrong_type"), (2, "wrong_type")]),
            (format!("{{{fine},\"category\":1}}"), &[(1, "wrong_type")]),
            (
                r#"{"tenant":"","from":null,"to":3}"#.to_owned(),
                &[(1, "missing_value"), (1, "wrong_type"), (1, "wrong_type")],
            ),
            (format!("{{{fine}}}\n\n{{{fine}}}"), &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(bad(json::read, text.as_bytes()), expected, "{text}");
        }
        assert_eq!(bad(json::read, b"{\"tenant\":\"\xff\"}"), [(1, "invalid_utf8")]);
    }
}
