//! Reading: what the writer writes, and nothing else.

use super::{DEEPEST, key_order};
use crate::model::MAX_INTEGER;
use crate::model::read::Node;
use std::borrow::Cow;

/// What is not canonical about some bytes, and where, in bytes from their start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// Not UTF-8.
    #[error("it is not UTF-8 from byte {0} on")]
    Utf8(usize),
    /// Not JSON, or a second spelling of something that has another.
    #[error("it is not canonical JSON from byte {0} on")]
    Spelling(usize),
    /// A key stands twice in one object.
    #[error("a key stands twice, the second time at byte {0}")]
    DuplicateKey(usize),
    /// Nested more than 127 deep.
    #[error("it is nested more than 127 deep at byte {0}")]
    TooDeep(usize),
}

/// Reads canonical JSON, and nothing else: what it accepts, [`to_vec`] writes byte for byte.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node<'_>, NotCanonical> {
    let text = utf8(bytes)?;
    let mut parser = Parser { text, at: 0 };
    let node = parser.value(0)?;
    if parser.at == text.len() { Ok(node) } else { Err(NotCanonical::Spelling(parser.at)) }
}

/// Whether bytes are canonical JSON.
///
/// # Errors
/// What is not canonical about them, and where.
pub fn check(bytes: &[u8]) -> Result<(), NotCanonical> {
    parse(bytes).map(drop)
}

pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, NotCanonical> {
    std::str::from_utf8(bytes).map_err(|error| NotCanonical::Utf8(error.valid_up_to()))
}

/// Splits an object into its entries without reading them: each key as it is spelt between its quotes, each value as it
/// is spelt. Gives nothing where the text is not such an object. What it gives may still be anything: an entry is known
/// to be canonical only when [`parse`] has read it.
pub(crate) fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let inside = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut entries = Vec::new();
    let mut rest = inside;
    while !rest.is_empty() {
        let (key, after) = rest.strip_prefix('"')?.split_once('"')?;
        let after = after.strip_prefix(':')?;
        let length = extent(after)?;
        let (value, after) = after.split_at_checked(length)?;
        entries.push((key, value));
        rest = match after.strip_prefix(',') {
            Some("") => return None,
            Some(more) => more,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(entries)
}

/// How many bytes a value takes: up to the comma or the end behind it.
fn extent(text: &str) -> Option<usize> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_text = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    (depth == 0 && !in_text).then_some(text.len())
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn wrong<T>(&self) -> Result<T, NotCanonical> {
        Err(NotCanonical::Spelling(self.at))
    }

    fn expect(&mut self, token: &[u8]) -> Result<(), NotCanonical> {
        if !self.rest().starts_with(token) {
            return self.wrong();
        }
        self.at += token.len();
        Ok(())
    }

    /// Whether the list or object ends here; otherwise steps over the comma before every entry but the first.
    fn ends(&mut self, end: u8, first: bool) -> Result<bool, NotCanonical> {
        match self.rest().first() {
            Some(byte) if *byte == end => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') if !first => {
                self.at += 1;
                Ok(false)
            }
            Some(_) if first => Ok(false),
            _ => self.wrong(),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, NotCanonical> {
        match self.rest().first() {
            Some(b'{' | b'[') if depth == DEEPEST => Err(NotCanonical::TooDeep(self.at)),
            Some(b'{') => {
                self.at += 1;
                let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = Vec::new();
                while !self.ends(b'}', entries.is_empty())? {
                    let start = self.at;
                    let key = self.string()?;
                    match entries.last().map(|(last, _)| key_order(last, &key)) {
                        None | Some(std::cmp::Ordering::Less) => {}
                        Some(std::cmp::Ordering::Equal) => return Err(NotCanonical::DuplicateKey(start)),
                        Some(std::cmp::Ordering::Greater) => return Err(NotCanonical::Spelling(start)),
                    }
                    self.expect(b":")?;
                    let value = self.value(depth + 1)?;
                    entries.push((key, value));
                }
                Ok(Node::Object(entries))
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.ends(b']', items.is_empty())? {
                    items.push(self.value(depth + 1)?);
                }
                Ok(Node::Array(items))
            }
            Some(b'"') => self.string().map(Node::String),
            Some(b't') => self.expect(b"true").map(|()| Node::Bool(true)),
            Some(b'f') => self.expect(b"false").map(|()| Node::Bool(false)),
            Some(b'n') => self.expect(b"null").map(|()| Node::Null),
            _ => self.integer(),
        }
    }

    fn integer(&mut self) -> Result<Node<'a>, NotCanonical> {
        let rest = self.rest();
        let negative = rest.first() == Some(&b'-');
        let digits = rest.iter().skip(usize::from(negative)).take_while(|byte| byte.is_ascii_digit()).count();
        let first = rest.get(usize::from(negative));
        // `-0` and `01` are second spellings.
        let spelt = digits > 0 && digits <= 16 && (first != Some(&b'0') || (digits == 1 && !negative));
        let length = digits + usize::from(negative);
        let number = self.text.get(self.at..self.at + length).and_then(|text| text.parse::<i64>().ok());
        match number.filter(|number| spelt && number.unsigned_abs() <= MAX_INTEGER) {
            Some(number) => {
                self.at += length;
                Ok(Node::Integer(number))
            }
            None => self.wrong(),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, NotCanonical> {
        self.expect(b"\"")?;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = self.rest();
            let Some(plain) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) else {
                self.at = self.text.len();
                return self.wrong();
            };
            // Both ends are ASCII, so that the stretch between is text.
            let stretch = self.text.get(self.at..self.at + plain).unwrap_or_default();
            self.at += plain;
            match rest.get(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(stretch),
                        Some(mut text) => {
                            text.push_str(stretch);
                            Cow::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    let text = unescaped.get_or_insert_default();
                    text.push_str(stretch);
                    let (char, length) = match rest.get(plain + 1..) {
                        Some([b'"', ..]) => ('"', 2),
                        Some([b'\\', ..]) => ('\\', 2),
                        Some([b'b', ..]) => ('\u{8}', 2),
                        Some([b't', ..]) => ('\t', 2),
                        Some([b'n', ..]) => ('\n', 2),
                        Some([b'f', ..]) => ('\u{c}', 2),
                        Some([b'r', ..]) => ('\r', 2),
                        Some([b'u', b'0', b'0', high @ (b'0' | b'1'), low, ..]) => match (high - b'0') * 16
                            + match low {
                                b'0'..=b'9' => low - b'0',
                                b'a'..=b'f' => low - b'a' + 10,
                                _ => return self.wrong(),
                            } {
                            // These have shorter escapes.
                            8 | 9 | 10 | 12 | 13 => return self.wrong(),
                            code => (char::from(code), 6),
                        },
                        _ => return self.wrong(),
                    };
                    text.push(char);
                    self.at += length;
                }
                _ => return self.wrong(),
            }
        }
    }
}
