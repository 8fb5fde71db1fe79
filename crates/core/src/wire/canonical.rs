//! Canonical JSON: one spelling for each value, so that equal contents have equal hashes.
//!
//! The discipline is that of RFC 8785: no white space, keys in the order of their UTF-16 code units, the shortest
//! escapes. Numbers are integers within ±(2^53 − 1), which have one spelling; times are integers, milliseconds since the
//! Unix epoch.

use crate::model::MAX_INTEGER;
use crate::model::read::Node;
use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use std::{borrow::Cow, fmt};

/// Deepest nesting, as for files that people write.
const DEEPEST: usize = 127;

/// Why a value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoCanonicalForm(pub(crate) String);

impl ser::Error for NoCanonicalForm {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A value in canonical form.
///
/// # Errors
/// Floats, integers beyond ±(2^53 − 1), bytes, keys that are neither texts nor integers, and what is nested more than
/// 127 deep.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, NoCanonicalForm> {
    let mut out = Vec::new();
    value.serialize(Writer { out: &mut out, depth: 0 })?;
    Ok(out)
}

/// The order of keys: by UTF-16 code units.
fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    // Both orders agree below the surrogates, and most keys are ASCII.
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    depth: usize,
}

impl<'o> Writer<'o> {
    fn text(self, text: &str) -> Result<(), NoCanonicalForm> {
        self.out.push(b'"');
        for char in text.chars() {
            match char {
                '"' => self.out.extend_from_slice(b"\\\""),
                '\\' => self.out.extend_from_slice(b"\\\\"),
                '\u{8}' => self.out.extend_from_slice(b"\\b"),
                '\t' => self.out.extend_from_slice(b"\\t"),
                '\n' => self.out.extend_from_slice(b"\\n"),
                '\u{c}' => self.out.extend_from_slice(b"\\f"),
                '\r' => self.out.extend_from_slice(b"\\r"),
                '\0'..='\u{1f}' => self.out.extend_from_slice(format!("\\u{:04x}", u32::from(char)).as_bytes()),
                other => self.out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn integer<I: TryInto<i64> + fmt::Display + Copy>(self, value: I) -> Result<(), NoCanonicalForm> {
        match value.try_into() {
            Ok(small) if small.unsigned_abs() <= MAX_INTEGER => {
                self.out.extend_from_slice(small.to_string().as_bytes());
                Ok(())
            }
            _ => Err(NoCanonicalForm(format!("{value} is beyond ±(2^53 − 1)"))),
        }
    }

    fn object(self) -> Result<Object<'o>, NoCanonicalForm> {
        let depth = self.deeper()?;
        let start = self.out.len();
        Ok(Object { out: self.out, depth, start, entries: Vec::new(), key: None })
    }

    fn list(self) -> Result<List<'o>, NoCanonicalForm> {
        let depth = self.deeper()?;
        self.out.push(b'[');
        Ok(List { out: self.out, depth, first: true })
    }

    fn deeper(&self) -> Result<usize, NoCanonicalForm> {
        if self.depth == DEEPEST {
            return Err(NoCanonicalForm(format!("it is nested more than {DEEPEST} deep")));
        }
        Ok(self.depth + 1)
    }
}

macro_rules! integers {
    ($($name:ident $type:ty),+) => {$(
        fn $name(self, value: $type) -> Result<(), NoCanonicalForm> {
            self.integer(value)
        }
    )+};
}

impl<'o> ser::Serializer for Writer<'o> {
    type Ok = ();
    type Error = NoCanonicalForm;
    type SerializeSeq = List<'o>;
    type SerializeTuple = List<'o>;
    type SerializeTupleStruct = Impossible<(), NoCanonicalForm>;
    type SerializeTupleVariant = Impossible<(), NoCanonicalForm>;
    type SerializeMap = Object<'o>;
    type SerializeStruct = Object<'o>;
    type SerializeStructVariant = Impossible<(), NoCanonicalForm>;

    /// What makes times integers.
    fn is_human_readable(&self) -> bool {
        false
    }

    integers!(serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);
    integers!(serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64);

    fn serialize_bool(self, value: bool) -> Result<(), NoCanonicalForm> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), NoCanonicalForm> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<(), NoCanonicalForm> {
        Err(NoCanonicalForm(format!("{value} is a float")))
    }
    fn serialize_char(self, value: char) -> Result<(), NoCanonicalForm> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Result<(), NoCanonicalForm> {
        self.text(value)
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<(), NoCanonicalForm> {
        Err(NoCanonicalForm("bytes are not JSON".to_owned()))
    }
    fn serialize_none(self) -> Result<(), NoCanonicalForm> {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NoCanonicalForm> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), NoCanonicalForm> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), NoCanonicalForm> {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), NoCanonicalForm> {
        self.text(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NoCanonicalForm> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NoCanonicalForm> {
        let mut object = self.object()?;
        SerializeStruct::serialize_field(&mut object, variant, value)?;
        SerializeStruct::end(object)
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<List<'o>, NoCanonicalForm> {
        self.list()
    }
    fn serialize_tuple(self, _: usize) -> Result<List<'o>, NoCanonicalForm> {
        self.list()
    }
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, NoCanonicalForm> {
        Err(NoCanonicalForm(format!("`{name}` is a tuple")))
    }
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoCanonicalForm> {
        Err(NoCanonicalForm(format!("`{name}` holds a tuple")))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Object<'o>, NoCanonicalForm> {
        self.object()
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'o>, NoCanonicalForm> {
        self.object()
    }
    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoCanonicalForm> {
        Err(NoCanonicalForm(format!("`{name}` holds a record")))
    }
}

struct List<'o> {
    out: &'o mut Vec<u8>,
    depth: usize,
    first: bool,
}

impl SerializeSeq for List<'_> {
    type Ok = ();
    type Error = NoCanonicalForm;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoCanonicalForm> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        value.serialize(Writer { out: self.out, depth: self.depth })
    }
    fn end(self) -> Result<(), NoCanonicalForm> {
        self.out.push(b']');
        Ok(())
    }
}

impl SerializeTuple for List<'_> {
    type Ok = ();
    type Error = NoCanonicalForm;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoCanonicalForm> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<(), NoCanonicalForm> {
        SerializeSeq::end(self)
    }
}

/// An object whose entries are written as they come, and put in order at its end.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    depth: usize,
    start: usize,
    /// Each key, and the length of its entry as it was written.
    entries: Vec<(String, usize)>,
    key: Option<String>,
}

impl Object<'_> {
    fn entry<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), NoCanonicalForm> {
        let from = self.out.len();
        Writer { out: self.out, depth: self.depth }.text(&key)?;
        self.out.push(b':');
        value.serialize(Writer { out: self.out, depth: self.depth })?;
        self.entries.push((key, self.out.len() - from));
        Ok(())
    }

    fn finish(self) -> Result<(), NoCanonicalForm> {
        let written = self.out.split_off(self.start);
        let mut rest = written.as_slice();
        let mut entries = Vec::with_capacity(self.entries.len());
        for (key, length) in &self.entries {
            let (entry, others) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
            entries.push((key.as_str(), entry));
            rest = others;
        }
        entries.sort_by(|(a, _), (b, _)| key_order(a, b));
        if let Some(twice) = entries.windows(2).find(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
            let key = twice.first().map_or("", |(key, _)| key);
            return Err(NoCanonicalForm(format!("key `{key}` stands twice")));
        }
        self.out.push(b'{');
        for (at, (_, entry)) in entries.into_iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(entry);
        }
        self.out.push(b'}');
        Ok(())
    }
}

impl SerializeStruct for Object<'_> {
    type Ok = ();
    type Error = NoCanonicalForm;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), NoCanonicalForm> {
        self.entry(key.to_owned(), value)
    }
    fn end(self) -> Result<(), NoCanonicalForm> {
        self.finish()
    }
}

impl SerializeMap for Object<'_> {
    type Ok = ();
    type Error = NoCanonicalForm;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoCanonicalForm> {
        // A key is written as any value is: a text brings its quotes, an integer does not.
        let written = to_vec(key)?;
        let text = match written.as_slice() {
            [b'"', ..] => match parse(&written) {
                Ok(Node::String(text)) => text.into_owned(),
                _ => return Err(NoCanonicalForm("a key is not a text".to_owned())),
            },
            [b'-' | b'0'..=b'9', ..] => String::from_utf8_lossy(&written).into_owned(),
            _ => return Err(NoCanonicalForm("a key is neither a text nor an integer".to_owned())),
        };
        self.key = Some(text);
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoCanonicalForm> {
        match self.key.take() {
            Some(key) => self.entry(key, value),
            None => Err(NoCanonicalForm("a value without a key".to_owned())),
        }
    }
    fn end(self) -> Result<(), NoCanonicalForm> {
        self.finish()
    }
}

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
                // Most objects are records, of a handful of fields.
                let mut entries: Vec<(Cow<'a, str>, Node<'a>)> = Vec::with_capacity(8);
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::model::read::{Read, Reader};
    use serde_json::{Value, json};

    #[test]
    fn one_spelling() {
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
            "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
            "list": [true, null, -9_007_199_254_740_991_i64, 0, "\u{8}\u{1f}\"\\/\u{7f}"],
        });
        let bytes = to_vec(&value).unwrap();
        // The order of RFC 8785, section 3.2.3: by UTF-16 code units, so that the emoji stands before U+FB33.
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"list\":[true,null,-9007199254740991,0,\
                        \"\\b\\u001f\\\"\\\\/\u{7f}\"],\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With \
                        Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet \
                        With Dagesh\"}";
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(Value::read(parse(&bytes).unwrap(), &mut Reader::default()).unwrap(), value);
        for float in [json!(1.5), json!(1e3), json!(9_007_199_254_740_992_u64)] {
            assert!(to_vec(&float).is_err(), "{float}");
        }
    }

    #[test]
    fn second_spellings_are_refused() {
        let spelling = |at| Err(NotCanonical::Spelling(at));
        for (text, flaw) in [
            ("", spelling(0)),
            (" {}", spelling(0)),
            ("{} ", spelling(2)),
            ("{\"b\":1,\"a\":2}", spelling(7)),
            ("{\"a\":1,\"a\":2}", Err(NotCanonical::DuplicateKey(7))),
            ("{\"a\":1,}", spelling(7)),
            ("{,\"a\":1}", spelling(1)),
            ("{\"a\" :1}", spelling(4)),
            ("[1,]", spelling(3)),
            ("[,1]", spelling(1)),
            ("[1 ,2]", spelling(2)),
            ("-0", spelling(0)),
            ("01", spelling(0)),
            ("1.0", spelling(1)),
            ("1e3", spelling(1)),
            ("+1", spelling(0)),
            ("9007199254740992", spelling(0)),
            ("\"\\u0041\"", spelling(1)),
            ("\"\\u000a\"", spelling(1)),
            ("\"\\u001F\"", spelling(1)),
            ("\"\\/\"", spelling(1)),
            ("\"\t\"", spelling(1)),
            ("\"", spelling(1)),
            ("tru", spelling(0)),
            ("nul", spelling(0)),
        ] {
            assert_eq!(parse(text.as_bytes()).map(|_| ()), flaw, "{text}");
        }
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(127).as_bytes()).is_ok());
        assert_eq!(parse(nested(128).as_bytes()).map(|_| ()), Err(NotCanonical::TooDeep(127)));
        assert_eq!(parse(b"\"\xff\"").map(|_| ()), Err(NotCanonical::Utf8(1)));
    }

    #[test]
    fn entries_are_split_where_they_end() {
        let text = r#"{"a":{"x":[1,{"y":"},\"{"}]},"b":[],"c":"d,e"}"#;
        assert_eq!(entries(text).unwrap(), [("a", r#"{"x":[1,{"y":"},\"{"}]}"#), ("b", "[]"), ("c", r#""d,e""#)]);
        assert_eq!(entries("{}").unwrap(), []);
        for bad in ["", "{", "[]", r#"{"a"}"#, r#"{"a":1,}"#, r#"{"a":[}"#, r#"{"a":1}}"#, r#"{"a":"}"#] {
            assert_eq!(entries(bad), None, "{bad}");
        }
    }
}
