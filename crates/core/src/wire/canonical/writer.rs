//! Writing: any serde type, in canonical form.

use super::{DEEPEST, key_order, parse};
use crate::model::MAX_INTEGER;
use crate::model::read::Node;
use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};
use std::fmt;

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
