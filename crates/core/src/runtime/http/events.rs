//! Server-sent events: a text of lines, of which an empty one ends each event.

use crate::wire::MAX_HEAD_BYTES;

/// Longest line, and most data of one event, in bytes: a head, of which JSON may spell every byte with six.
const MAX_BYTES: usize = 6 * MAX_HEAD_BYTES + 1024;

/// One event, as far as it is of interest here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// Takes a stream of events apart, piece by piece as it comes.
#[derive(Debug, Default)]
pub(super) struct Events {
    line: Vec<u8>,
    /// The last line ended with a carriage return, to which a line feed may belong.
    returned: bool,
    name: String,
    data: Option<String>,
}

impl Events {
    /// The events that are complete with this piece.
    ///
    /// # Errors
    /// What cannot be events: lines without end, or that are not UTF-8.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Event>, &'static str> {
        let mut events = Vec::new();
        for byte in piece {
            let returned = std::mem::take(&mut self.returned);
            match byte {
                b'\n' if returned => {}
                b'\n' | b'\r' => {
                    self.returned = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line)?);
                }
                _ if self.line.len() == MAX_BYTES => return Err("it sends a line without end"),
                byte => self.line.push(*byte),
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &[u8]) -> Result<Option<Event>, &'static str> {
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return Ok(self.data.take().map(|data| Event { name, data }));
        }
        let line = std::str::from_utf8(line).map_err(|_| "it sends something that is not UTF-8")?;
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() > MAX_BYTES => return Err("it sends an event without end"),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            // Comments, which begin with a colon, and fields that say nothing here.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn events_are_the_same_in_whatever_pieces_they_come() {
        let event = |name: &str, data: &str| Event { name: name.to_owned(), data: data.to_owned() };
        let cases: &[(&str, &[Event])] = &[
            ("event: head\ndata: 1\n\n", &[event("head", "1")]),
            ("event: head\r\nid: 7\r\ndata: {\"a\":1}\r\n\r\n", &[event("head", "{\"a\":1}")]),
            ("event:head\rdata:1\r\r", &[event("head", "1")]),
            (": hello\n\ndata: a\ndata: b\n\n", &[event("", "a\nb")]),
            ("event: head\n\ndata: 2\n\n", &[event("", "2")]),
            ("data: 1\n\nretry: 5\nevent: x\ndata\n\n", &[event("", "1"), event("x", "")]),
            ("event: head\ndata: never ends", &[]),
        ];
        for (text, expected) in cases {
            for length in 1..=text.len() {
                let mut events = Events::default();
                let taken: Vec<Event> =
                    text.as_bytes().chunks(length).flat_map(|piece| events.take(piece).unwrap()).collect();
                assert_eq!(&taken, expected, "{text:?} in pieces of {length}");
            }
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let long = "a".repeat(MAX_BYTES + 1);
        let many = format!("data: {}\n", "a".repeat(MAX_BYTES / 2)).repeat(3);
        for text in [long.as_bytes(), many.as_bytes(), b"data: \xff\n"] {
            assert!(Events::default().take(text).is_err());
        }
    }
}
