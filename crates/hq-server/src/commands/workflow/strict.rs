//! JSON that says everything once: what stands twice in an object is refused, as it is in definitions.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Why a text is not JSON of this sort.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) code: &'static str,
    pub(super) message: String,
}

pub(super) fn parse(text: &[u8]) -> Result<Value, Mistake> {
    let read: Result<Once, serde_json::Error> = serde_json::from_slice(text);
    read.map(|Once(value)| value).map_err(|error| {
        // Most of what comes here is one line by itself.
        let message = error.to_string().replace(" at line 1 column ", " at column ");
        match error.is_data() {
            true => Mistake { code: "duplicate_key", message },
            false => Mistake { code: "invalid_json", message: format!("it is not JSON: {message}") },
        }
    })
}

struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(Once(item)) = items.next_element()? {
            read.push(item);
        }
        Ok(read.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some((key, Once(value))) = members.next_entry::<String, Once>()? {
            if read.contains_key(&key) {
                return Err(A::Error::custom(format_args!("key `{key}` stands twice")));
            }
            read.insert(key, value);
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::json;

    #[test]
    fn nothing_stands_twice() {
        let value = json!({ "a": [1, -2, 1.5, "x", null, true, { "a": 18_446_744_073_709_551_615_u64 }] });
        assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
        let code = |text: &str| parse(text.as_bytes()).map_err(|mistake| mistake.code);
        assert_eq!(code(r#"{"a":1,"a":1}"#), Err("duplicate_key"));
        assert_eq!(code(r#"[{"b":{"a":1,"a":1}}]"#), Err("duplicate_key"));
        for text in ["", "{", "{} {}", "1e999", "nul", &"[".repeat(9_999)] {
            assert_eq!(code(text), Err("invalid_json"), "{text}");
        }
    }
}
