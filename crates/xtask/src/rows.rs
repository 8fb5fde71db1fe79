//! One row of figures: the JSON that benchmarks write and tools read, and how it reads in a table.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::table::{Align, Table};

/// Our figure for one scenario, beside a peer's measured in the same run.
///
/// A line of a rows file holds exactly these keys; those of the peer and the ratio may be `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The scenario, stable over releases: `check.strings.hot`.
    pub(crate) id: String,
    /// Where it ran: `rust`, `node`, `python`, `node (wasm)`, `chromium`.
    pub(crate) runtime: String,
    /// The scenario in words.
    pub(crate) what: String,
    /// Our figure, in `unit`.
    pub(crate) ours: f64,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) peer: Option<String>,
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) peer_version: Option<String>,
    /// The peer's figure, in `unit`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) theirs: Option<f64>,
    /// `theirs / ours`: for a time, how many times as long the peer takes.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) ratio: Option<f64>,
    /// `ns`, `bytes`, or a word of the benchmark's own.
    pub(crate) unit: String,
}

/// Reads a rows file: one JSON object per line, empty lines left out. `Err` lists every line that is not a row.
pub(crate) fn parse(text: &str) -> std::result::Result<Vec<Row>, Vec<String>> {
    let mut rows = Vec::new();
    let mut errors = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Row>(line) {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(format!("line {} of the rows file is no row: {error}", index + 1)),
        }
    }
    if errors.is_empty() { Ok(rows) } else { Err(errors) }
}

/// The rows as a pretty JSON list with a trailing newline.
pub(crate) fn json(rows: &[Row]) -> Result<String> {
    Ok(serde_json::to_string_pretty(rows)? + "\n")
}

/// The rows for people: units scaled, ratios with two decimals.
pub(crate) fn table(rows: &[Row]) -> Table {
    use Align::{Left, Right};
    let heading = [
        ("id", Left),
        ("runtime", Left),
        ("what", Left),
        ("ours", Right),
        ("theirs", Right),
        ("ratio", Right),
        ("peer", Left),
    ];
    let mut table = Table::new(heading);
    for row in rows {
        let peer = [row.peer.as_deref(), row.peer_version.as_deref()];
        table.push([
            row.id.clone(),
            row.runtime.clone(),
            row.what.clone(),
            amount(row.ours, &row.unit),
            row.theirs.map_or_else(|| "-".to_owned(), |theirs| amount(theirs, &row.unit)),
            row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            peer.into_iter().flatten().collect::<Vec<_>>().join(" "),
        ]);
    }
    table
}

/// A figure with its unit, nanoseconds and bytes scaled to one that reads well.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    let scales: &[(f64, &str)] = match unit {
        "ns" => &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
        "bytes" => &[(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")],
        _ => return format!("{} {unit}", grouped(value)),
    };
    let fits = |(scale, _): &&(f64, &str)| value.abs() >= *scale;
    let (scale, name) = scales.iter().find(fits).copied().unwrap_or((1.0, unit));
    format!("{} {name}", three_digits(value / scale))
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// From a hundred on a whole number in groups of three digits, below it three digits in all.
fn grouped(value: f64) -> String {
    if value.abs() < 99.95 {
        return if value.fract() == 0.0 { format!("{value:.0}") } else { three_digits(value) };
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"memory.fleet","runtime":"rust","what":"a fleet in memory","ours":1500000,"peer":"HashMap","peer_version":"std","theirs":6e6,"ratio":null,"unit":"bytes"}"#;

    fn row() -> Row {
        Row {
            id: "memory.fleet".to_owned(),
            runtime: "rust".to_owned(),
            what: "a fleet in memory".to_owned(),
            ours: 1_500_000.0,
            peer: Some("HashMap".to_owned()),
            peer_version: Some("std".to_owned()),
            theirs: Some(6e6),
            ratio: None,
            unit: "bytes".to_owned(),
        }
    }

    #[test]
    fn a_line_is_a_row_and_empty_lines_are_left_out() {
        assert_eq!(parse(&format!("{LINE}\n\n  \n{LINE}\n")).unwrap(), [row(), row()]);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn every_line_that_is_no_row_is_named() {
        let missing = LINE.replace(r#""ratio":null,"#, "");
        let unknown = LINE.replace(r#""ratio""#, r#""extra":1,"ratio""#);
        let errors = parse(&[LINE, &missing, "not JSON", &unknown].join("\n")).unwrap_err();
        for (error, expected) in
            errors.iter().zip(["line 2 of the rows file is no row: missing field `ratio`", "line 3 ", "line 4 "])
        {
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(errors.len(), 3);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let text = json(&[row()]).unwrap();
        assert!(text.ends_with("]\n"));
        assert_eq!(serde_json::from_str::<Vec<Row>>(&text).unwrap(), [row()]);
    }

    #[test]
    fn amounts_are_scaled_to_units_that_read_well() {
        let cases = [
            (1.6, "ns", "1.60 ns"),
            (0.25, "ns", "0.25 ns"),
            (85.04, "ns", "85.0 ns"),
            (999.0, "ns", "999 ns"),
            (2_300.0, "ns", "2.30 µs"),
            (123_456_789.0, "ns", "123 ms"),
            (5e9, "ns", "5.00 s"),
            (46_080.0, "bytes", "46.1 kB"),
            (0.0, "bytes", "0.00 bytes"),
            (426_000.0, "checks/s", "426,000 checks/s"),
            (1_234_567.8, "checks/s", "1,234,568 checks/s"),
            (3.0, "threads", "3 threads"),
            (1.557, "times", "1.56 times"),
        ];
        for (value, unit, expected) in cases {
            assert_eq!(amount(value, unit), expected);
        }
    }

    #[test]
    fn the_table_leaves_no_cell_out() {
        let alone = Row { peer: None, peer_version: None, theirs: None, ..row() };
        let beside = Row { ratio: Some(4.0), ..row() };
        let expected = [
            "id            runtime  what                  ours   theirs  ratio  peer",
            "memory.fleet  rust     a fleet in memory  1.50 MB        -      -",
            "memory.fleet  rust     a fleet in memory  1.50 MB  6.00 MB   4.00  HashMap std",
            "",
        ];
        assert_eq!(table(&[alone, beside]).to_string(), expected.join("\n"));
    }
}
