//! Canonical JSON: one spelling for each value, so that equal contents have equal hashes.
//!
//! The discipline is that of RFC 8785: no white space, keys in the order of their UTF-16 code units, the shortest
//! escapes. Numbers are integers within ±(2^53 − 1), which have one spelling; times are integers, milliseconds since the
//! Unix epoch.

mod parser;
mod writer;

pub use parser::{NotCanonical, check};
pub(crate) use parser::{entries, parse, utf8};
pub use writer::{NoCanonicalForm, to_vec};

/// Deepest nesting, as for files that people write.
const DEEPEST: usize = 127;

/// The order of keys: by UTF-16 code units.
fn key_order(a: &str, b: &str) -> std::cmp::Ordering {
    // Both orders agree below the surrogates, and most keys are ASCII.
    if a.is_ascii() || b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
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
        let nested = |depth| ["[", "]"].map(|bracket| bracket.repeat(depth)).concat();
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
