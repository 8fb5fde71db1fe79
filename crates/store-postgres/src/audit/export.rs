//! Chains in a file: one line of JSON for each [`Line`], behind one that says what the file is.
//!
//! The bytes of an entry are kept exactly: as text, or in hexadecimal digits where they are no UTF-8. A file that was cut
//! short lacks its last line.

use super::{Head, Line, Record};
use crate::Error;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};

/// What the first line says.
pub const FORMAT: &str = "leasehold-audit-export/1";
/// Longest line that is read, in bytes.
const LONGEST: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Written {
    Format(String),
    Chain {
        tenant: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        head: Option<WrittenHead>,
    },
    Entry(WrittenEntry),
    End {
        chains: u64,
        entries: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHead {
    seq: i64,
    hash: Hex,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry {
    seq: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_us: Option<i64>,
    actor: String,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    prev_hash: Hex,
    hash: Hex,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_hex: Option<Hex>,
}

/// Bytes in hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Hex(Vec<u8>);

impl Clone for Hex {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl From<Hex> for String {
    fn from(Hex(bytes): Hex) -> Self {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hex {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, &'static str> {
        const NOT_HEX: &str = "bytes are written as pairs of lowercase hexadecimal digits";
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NOT_HEX),
        };
        let pair = |pair: &[u8]| match pair {
            [high, low] => Ok(value(*high)? << 4 | value(*low)?),
            _ => Err(NOT_HEX),
        };
        text.as_bytes().chunks(2).map(pair).collect::<Result<_, _>>().map(Self)
    }
}

impl From<&Line> for Written {
    fn from(line: &Line) -> Self {
        match line {
            Line::Chain { tenant, head } => {
                let head = head.as_ref().map(|head| WrittenHead { seq: head.seq, hash: Hex(head.hash.clone()) });
                Self::Chain { tenant: tenant.clone(), head }
            }
            Line::Entry(record) => {
                let (body, body_hex) = match String::from_utf8(record.body.clone()) {
                    Ok(text) => (Some(text), None),
                    Err(error) => (None, Some(Hex(error.into_bytes()))),
                };
                Self::Entry(WrittenEntry {
                    seq: record.seq,
                    at_us: record.at_us,
                    actor: record.actor.clone(),
                    action: record.action.clone(),
                    trace_id: record.trace_id.clone(),
                    prev_hash: Hex(record.prev_hash.clone()),
                    hash: Hex(record.hash.clone()),
                    body,
                    body_hex,
                })
            }
            Line::End { chains, entries } => Self::End { chains: *chains, entries: *entries },
        }
    }
}

fn text(written: &Written) -> String {
    // Texts, numbers and lists of known keys: there is nothing in it that JSON could not say.
    let mut text = serde_json::to_string(written).unwrap_or_default();
    text.push('\n');
    text
}

/// The first line of a file.
#[must_use]
pub fn first_line() -> String {
    text(&Written::Format(FORMAT.to_owned()))
}

/// A line of a file, line feed included.
#[must_use]
pub fn line(line: &Line) -> String {
    text(&line.into())
}

/// Reads a file, line by line. Memory grows with the longest line only.
///
/// # Errors
/// [`Error::ExportMalformed`] where a line is none of an export, where they stand in an order that no export has, and
/// where the last line is missing or counts other chains or entries; and whatever `visit` says.
pub fn read<E: From<Error>>(file: impl BufRead, mut visit: impl FnMut(&Line) -> Result<(), E>) -> Result<(), E> {
    let mut file = file;
    let (mut number, mut chains, mut entries) = (0_u64, 0_u64, 0_u64);
    loop {
        let mut bytes = Vec::new();
        number += 1;
        let wrong = |message: String| E::from(Error::ExportMalformed { line: number, message });
        let read = (&mut file).take(LONGEST).read_until(b'\n', &mut bytes);
        read.map_err(|error| wrong(format!("it cannot be read: {error}")))?;
        if bytes.pop() != Some(b'\n') {
            return Err(wrong("the file ends in the middle".to_owned()));
        }
        let written: Written = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        let line = match written {
            Written::Format(format) if number == 1 && format == FORMAT => continue,
            Written::Format(format) if number == 1 => {
                return Err(wrong(format!("`{format}` is another format than `{FORMAT}`")));
            }
            _ if number == 1 => return Err(wrong(format!("it does not say {{\"format\":\"{FORMAT}\"}}"))),
            Written::Format(_) => return Err(wrong("the format is said again".to_owned())),
            Written::Chain { tenant, head } => {
                chains += 1;
                Line::Chain { tenant, head: head.map(|head| Head { seq: head.seq, hash: head.hash.0 }) }
            }
            Written::Entry(_) if chains == 0 => return Err(wrong("an entry comes before any chain".to_owned())),
            Written::Entry(entry) => {
                entries += 1;
                let body = match (entry.body, entry.body_hex) {
                    (Some(text), None) => text.into_bytes(),
                    (None, Some(Hex(bytes))) => bytes,
                    _ => return Err(wrong("an entry has either `body` or `body_hex`".to_owned())),
                };
                Line::Entry(Record {
                    seq: entry.seq,
                    at_us: entry.at_us,
                    actor: entry.actor,
                    action: entry.action,
                    trace_id: entry.trace_id,
                    body,
                    prev_hash: entry.prev_hash.0,
                    hash: entry.hash.0,
                })
            }
            Written::End { chains: said, entries: told } => {
                if (said, told) != (chains, entries) {
                    let message =
                        format!("it counts {said} chains and {told} entries, and there are {chains} and {entries}");
                    return Err(wrong(message));
                }
                let mut rest = [0];
                if file.read(&mut rest).is_ok_and(|more| more > 0) {
                    return Err(wrong("there is something behind the end".to_owned()));
                }
                return visit(&Line::End { chains, entries });
            }
        };
        visit(&line)?;
    }
}
