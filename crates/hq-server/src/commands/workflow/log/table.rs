//! Logs as CSV tables with a header.

use super::Reading;
use crate::suggest::nearest;
use csv::{ByteRecord, ReaderBuilder};
use leasehold::workflow::{LoggedInput, LoggedMove};
use std::collections::BTreeSet;

const COLUMNS: [&str; 5] = ["tenant", "category", "from", "to", "roles"];
const REQUIRED: [&str; 3] = ["tenant", "from", "to"];
const INPUT: &str = "input.";

/// What a column holds.
enum Column {
    Field(&'static str),
    Input(String),
}

pub(super) fn read(bytes: &[u8], reading: &mut Reading) {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(bytes);
    let header = match reader.byte_headers() {
        Ok(header) => header.clone(),
        Err(error) => return reading.refuse(1, "unreadable", error.to_string()),
    };
    let before = reading.bad.len();
    let columns = columns(&header, reading);
    if reading.bad.len() > before {
        return;
    }
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                let from = record.position().map_or(0, |position| position.byte() as usize);
                let last = reader.position().byte() as usize >= bytes.len();
                let text = bytes.get(from..).unwrap_or_default();
                line(&record, &columns, text, last, reading);
            }
            Ok(false) => return,
            Err(error) => {
                let at = error.position().map_or(1, csv::Position::line);
                return reading.refuse(at as usize, "unreadable", error.to_string());
            }
        }
    }
}

fn columns(header: &ByteRecord, reading: &mut Reading) -> Vec<Column> {
    let mut columns = Vec::new();
    let mut seen = BTreeSet::new();
    for name in header {
        let Ok(name) = std::str::from_utf8(name) else {
            reading.refuse(1, "invalid_utf8", "the name of a column is not UTF-8");
            continue;
        };
        let name = name.trim();
        if !seen.insert(name.to_owned()) {
            reading.refuse(1, "duplicate_column", format!("column `{name}` stands twice"));
            continue;
        }
        let field = COLUMNS.into_iter().find(|column| *column == name).map(Column::Field);
        let input =
            || name.strip_prefix(INPUT).filter(|input| !input.is_empty()).map(|it| Column::Input(it.to_owned()));
        match field.or_else(input) {
            Some(column) => columns.push(column),
            None => {
                let meant = nearest(name, COLUMNS).map(|meant| format!("did you mean `{meant}`?"));
                let meant =
                    meant.unwrap_or_else(|| "a log has tenant, category, from, to, roles and input.NAME".to_owned());
                reading.refuse(1, "unknown_column", format!("column `{name}` is not known: {meant}"));
            }
        }
    }
    for required in REQUIRED.into_iter().filter(|required| !seen.contains(*required)) {
        reading.refuse(1, "missing_column", format!("there is no column `{required}`"));
    }
    columns
}

/// Reads one record. `text` begins with it, and ends with it where it is the last one.
fn line(record: &ByteRecord, columns: &[Column], text: &[u8], last: bool, reading: &mut Reading) {
    // Empty lines before a record belong to it, as its reader sees it.
    let empty = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).filter(|byte| **byte == b'\n').count();
    let number = record.position().map_or(1, |position| position.line() as usize) + empty;
    // What a quote opens and nothing closes swallows all lines that follow.
    if last && text.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        return reading.refuse(number, "unclosed_quote", "a quote is opened here and never closed");
    }
    if record.len() != columns.len() {
        let message = format!("it has {} fields, and the header names {}", record.len(), columns.len());
        return reading.refuse(number, "wrong_field_count", message);
    }
    let mut logged = LoggedMove::default();
    let mut good = true;
    for (column, field) in columns.iter().zip(record) {
        let Ok(field) = std::str::from_utf8(field) else {
            reading.refuse(number, "invalid_utf8", "it is not UTF-8");
            return;
        };
        let word = field.trim();
        match column {
            Column::Field(name) if REQUIRED.contains(name) && word.is_empty() => {
                reading.refuse(number, "missing_value", format!("`{name}` is empty"));
                good = false;
            }
            Column::Field("tenant") => logged.tenant = word.to_owned(),
            Column::Field("category") => logged.category = (!word.is_empty()).then(|| word.to_owned()),
            Column::Field("from") => logged.from = word.to_owned(),
            Column::Field("to") => logged.to = word.to_owned(),
            Column::Field(_) => {
                logged.roles =
                    word.split(';').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned).collect();
            }
            Column::Input(name) => drop(logged.inputs.insert(name.clone(), LoggedInput::Text(field.to_owned()))),
        }
    }
    if good {
        reading.keep(number, logged);
    }
}
