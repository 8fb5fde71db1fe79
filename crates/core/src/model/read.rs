//! Reading JSON into the model, collecting every mistake on the way.
//!
//! serde's derived readers stop at the first mistake. Here a file is parsed by `serde_json` into a [`Node`], which keeps
//! what the parser would otherwise hide (duplicate keys, floats, integers beyond 2^53 − 1), and [`Read`] turns nodes
//! into values, noting each mistake with its path and going on.

use super::{Amount, Diagnostic, DiagnosticCode, MAX_INTEGER};
use crate::{
    AddOnKey, CategoryKey, EngineId, Environment, EventKey, FeatureKey, GroupKey, GuardKey, InvalidId, InvalidTime,
    Issuer, PlanKey, RecordId, Region, Revision, Role, StageId, TenantId, Timestamp, TransitionId, VariableName,
    WorkflowKey, time::UtcOffset,
};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::btree_map::{BTreeMap, Entry};
use std::{borrow::Cow, cmp::Ordering, fmt, fmt::Write, str::FromStr};

/// JSON as it stands in the file, before anything is refused.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer beyond ±(2^53 − 1).
    HugeInteger,
    Float,
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> From<&'a Value> for Node<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match number.as_i64() {
                Some(value) if value.unsigned_abs() <= MAX_INTEGER => Self::Integer(value),
                Some(_) => Self::HugeInteger,
                None if number.is_u64() => Self::HugeInteger,
                None => Self::Float,
            },
            Value::String(text) => Self::String(Cow::Borrowed(text)),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Object(map.iter().map(|(key, value)| (Cow::Borrowed(key.as_str()), value.into())).collect())
            }
        }
    }
}

impl Node<'_> {
    fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::HugeInteger => "an integer",
            Self::Float => "a float",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(if value.unsigned_abs() <= MAX_INTEGER { Node::Integer(value) } else { Node::HugeInteger })
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(match i64::try_from(value) {
            Ok(small) if value <= MAX_INTEGER => Node::Integer(small),
            _ => Node::HugeInteger,
        })
    }
    /// Integers beyond 64 bits arrive here too.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(if value.fract() == 0.0 && value.abs() > MAX_INTEGER as f64 { Node::HugeInteger } else { Node::Float })
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Borrowed(value)))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Node::String(Cow::Owned(value.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // Most objects are records, of a handful of fields.
        let mut entries = Vec::with_capacity(8);
        while let Some((Key(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Node::Object(entries))
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// A key, borrowed from the input where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(value)))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// One step of the path to the node being read.
#[derive(Debug, Clone)]
enum Step<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

/// How what is read was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// By people: times are texts, and no text is empty.
    #[default]
    Authored,
    /// In canonical JSON: times are milliseconds since the Unix epoch, and a text that was stripped is empty.
    Canonical,
}

/// Where the reading is, and what it found so far.
#[derive(Debug, Default)]
pub(crate) struct Reader<'a> {
    form: Form,
    base: String,
    path: Vec<Step<'a>>,
    pub(crate) found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    /// A reader whose paths start below a JSON Pointer.
    pub(crate) fn at(base: &str) -> Self {
        Self { base: base.to_owned(), ..Self::default() }
    }

    /// A reader of canonical JSON, whose paths start below a JSON Pointer.
    pub(crate) fn canonical_at(base: &str) -> Self {
        Self { form: Form::Canonical, ..Self::at(base) }
    }

    /// Reads something one step further down.
    fn under<T>(&mut self, step: Step<'a>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.enter(step);
        let result = read(self);
        self.leave();
        result
    }

    fn enter(&mut self, step: Step<'a>) {
        self.path.push(step);
    }

    fn leave(&mut self) {
        self.path.pop();
    }

    /// The current path as a JSON Pointer.
    fn pointer(&self) -> String {
        self.path.iter().fold(self.base.clone(), |mut pointer, step| {
            match step {
                Step::Key(key) => pointer_push(&mut pointer, key),
                Step::Index(index) => pointer_push(&mut pointer, &index.to_string()),
            }
            pointer
        })
    }

    pub(crate) fn note(&mut self, code: DiagnosticCode, message: impl Into<String>, hint: impl Into<String>) {
        self.found.push(Diagnostic::new(code, self.pointer(), message, hint));
    }

    /// Notes a word that is not one of the choices.
    pub(crate) fn choice(&mut self, code: DiagnosticCode, word: &str, choices: &[&str]) {
        let hint = match nearest(word, choices) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", list(choices)),
        };
        self.note(code, format!("`{word}` is not known here"), hint);
    }

    fn wrong_type<T>(&mut self, node: &Node<'a>, expected: &str) -> Option<T> {
        match node {
            Node::Float => self.note(
                DiagnosticCode::Float,
                "floats are not allowed",
                "write a whole number in a smaller unit, or a decimal as text",
            ),
            Node::HugeInteger => self.note(
                DiagnosticCode::IntegerOutOfRange,
                "integer beyond ±(2^53 − 1)",
                "not every language can hold it exactly; write it as text or in a larger unit",
            ),
            other => {
                self.note(
                    DiagnosticCode::WrongType,
                    format!("{} stands where {expected} is expected", other.describe()),
                    format!("write {expected}"),
                );
            }
        }
        None
    }

    pub(crate) fn string(&mut self, node: Node<'a>) -> Option<Cow<'a, str>> {
        match node {
            Node::String(text) => Some(text),
            other => self.wrong_type(&other, "a string"),
        }
    }

    fn integer(&mut self, node: &Node<'a>, min: i64, max: i64) -> Option<i64> {
        match node {
            Node::Integer(value) if (min..=max).contains(value) => Some(*value),
            Node::Integer(value) => {
                self.note(
                    DiagnosticCode::IntegerOutOfRange,
                    format!("{value} is out of range"),
                    format!("write an integer from {min} to {max}"),
                );
                None
            }
            other => self.wrong_type(other, "an integer"),
        }
    }

    /// Opens an object whose keys are `known`; unknown and duplicate keys are noted at once.
    pub(crate) fn object(&mut self, node: Node<'a>, known: &'static [&'static str]) -> Option<Fields<'a>> {
        let Node::Object(entries) = node else {
            return self.wrong_type(&node, "an object");
        };
        let mut seen = 0_u64;
        for (key, _) in &entries {
            match known.iter().position(|name| name == key) {
                Some(at) if seen >> at & 1 == 1 => self.duplicate(key.clone()),
                Some(at) => seen |= 1 << at,
                None => self.under(Step::Key(key.clone()), |r| r.choice(DiagnosticCode::UnknownKey, key, known)),
            }
        }
        Some(Fields { entries })
    }

    fn duplicate(&mut self, key: Cow<'a, str>) {
        self.under(Step::Key(key.clone()), |reader| {
            reader.note(
                DiagnosticCode::DuplicateKey,
                format!("`{key}` stands twice in this object"),
                "keep one of the two",
            );
        });
    }

    fn defined_twice(&mut self, key: &str) {
        self.note(
            DiagnosticCode::DuplicateKey,
            format!("`{key}` is defined twice"),
            "keep one of the two; other files of the directory count too",
        );
    }

    fn missing(&mut self, key: &str) {
        self.note(DiagnosticCode::MissingKey, format!("`{key}` is missing"), format!("add `{key}`"));
    }

    /// The entries of an object by key, as maps take them best. Those of one key stay in the order of the file: the first
    /// counts.
    fn sorted(&mut self, node: Node<'a>, order: fn(&str, &str) -> Ordering) -> Option<Vec<(Cow<'a, str>, Node<'a>)>> {
        let Node::Object(mut entries) = node else {
            return self.wrong_type(&node, "an object");
        };
        entries.sort_by(|(one, _), (other, _)| order(one, other));
        Some(entries)
    }

    /// Reads a whole map into one that may have entries already; duplicate keys are noted.
    pub(crate) fn entries<M>(&mut self, node: Node<'a>, into: &mut M) -> Option<()>
    where
        M: Map,
        M::Value: Read<'a>,
    {
        for (text, node) in self.sorted(node, M::Key::order)? {
            self.enter(Step::Key(text.clone()));
            let key = M::Key::read(&text, self);
            let value = M::Value::read(node, self);
            if key.is_some_and(|key| !into.put(key, value)) {
                self.defined_twice(&text);
            }
            self.leave();
        }
        Some(())
    }

    pub(crate) fn identifier<K: FromStr<Err = InvalidId>>(&mut self, text: &str) -> Option<K> {
        match text.parse() {
            Ok(key) => Some(key),
            Err(error) => {
                self.note(DiagnosticCode::InvalidKey, error.to_string(), format!("use {}", error.expected()));
                None
            }
        }
    }
}

/// Appends one step to a JSON Pointer, escaped as RFC 6901 has it.
pub(crate) fn pointer_push(pointer: &mut String, step: &str) {
    pointer.push('/');
    if !step.contains(['~', '/']) {
        return pointer.push_str(step);
    }
    for char in step.chars() {
        match char {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// Most choices that are searched for one that was meant: a hint is not worth more.
const MOST_CHOICES: usize = 1_000;

/// The choice nearest to a mistyped word, where one is near enough to be meant.
pub(crate) fn nearest<'c>(word: &str, choices: &[&'c str]) -> Option<&'c str> {
    let within = |choice: &&str| {
        let most = 1 + choice.len() / 4;
        // A word of quite another length is not worth the comparison.
        (word.len().abs_diff(choice.len()) <= most).then(|| edit_distance(word, choice)).filter(|far| *far <= most)
    };
    let near = choices.iter().take(MOST_CHOICES).filter_map(|choice| Some((within(choice)?, *choice)));
    near.min_by_key(|(far, _)| *far).map(|(_, choice)| choice)
}

/// What to do about a name that is not known: the nearest one that may be meant, or what else helps.
pub(crate) fn meant<'c>(word: &str, choices: impl Iterator<Item = &'c str>, otherwise: &str) -> String {
    let choices: Vec<&str> = choices.collect();
    nearest(word, &choices).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

/// Levenshtein distance in bytes; words too long to be a slip of the pen are infinitely far.
fn edit_distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let here = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn list(choices: &[&str]) -> String {
    choices.iter().enumerate().fold(String::new(), |mut text, (at, choice)| {
        let _ = write!(text, "{}`{choice}`", if at == 0 { "" } else { ", " });
        text
    })
}

/// The keys of an opened object.
pub(crate) struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Fields<'a> {
    fn node(&mut self, name: &str) -> Option<Node<'a>> {
        let at = self.entries.iter().position(|(key, _)| key == name)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// The node of a key, where the reader then is.
    fn open(&mut self, reader: &mut Reader<'a>, name: &'static str) -> Option<Node<'a>> {
        let node = self.node(name)?;
        reader.enter(Step::Key(Cow::Borrowed(name)));
        Some(node)
    }

    /// Reads one key; nothing when it is mistaken, or absent where it may not be.
    pub(crate) fn take<T: Read<'a>>(&mut self, reader: &mut Reader<'a>, name: &'static str) -> Option<T> {
        match self.open(reader, name) {
            Some(node) => {
                let value = T::read(node, reader);
                reader.leave();
                value
            }
            None => T::absent().or_else(|| {
                reader.missing(name);
                None
            }),
        }
    }

    /// Reads one key that need not be there.
    pub(crate) fn take_or<T: Read<'a>>(&mut self, reader: &mut Reader<'a>, name: &'static str, absent: T) -> Option<T> {
        Some(self.take::<Option<T>>(reader, name)?.unwrap_or(absent))
    }

    /// Reads one key, a map, into a map that other files have entries in too.
    pub(crate) fn merge<M>(&mut self, reader: &mut Reader<'a>, name: &'static str, into: &mut M)
    where
        M: Map,
        M::Value: Read<'a>,
    {
        if let Some(node) = self.open(reader, name) {
            reader.entries(node, into);
            reader.leave();
        }
    }
}

/// Something that JSON is read into.
pub(crate) trait Read<'a>: Sized {
    /// Reads a node; mistakes go to the reader, and then there is no value.
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self>;

    /// What an absent key means; nothing where the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

/// The key of a field: its name, without the mark of a raw identifier.
pub(crate) const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

/// Implements [`Read`] for structs, given their fields. `or` gives the value of an absent key: that of a field behind the
/// field, that of the struct behind its name.
macro_rules! records {
    ($($name:ident $(or $default:expr)? => { $($field:ident $(or $absent:expr)?),+ $(,)? })+) => {$(
        impl<'a> $crate::model::read::Read<'a> for $name {
            fn read(
                node: $crate::model::read::Node<'a>,
                reader: &mut $crate::model::read::Reader<'a>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$($crate::model::read::key(stringify!($field))),+];
                let mut fields = reader.object(node, KEYS)?;
                $(let $field = $crate::model::read::records!(@take fields, reader, $field $(, $absent)?);)+
                match ($($field,)+) {
                    ($(Some($field),)+) => Some(Self { $($field),+ }),
                    _ => None,
                }
            }
            $(fn absent() -> Option<Self> {
                Some($default)
            })?
        }
    )+};
    (@take $fields:ident, $reader:ident, $field:ident) => {
        $fields.take($reader, const { $crate::model::read::key(stringify!($field)) })
    };
    (@take $fields:ident, $reader:ident, $field:ident, $absent:expr) => {
        $fields.take_or($reader, const { $crate::model::read::key(stringify!($field)) }, $absent)
    };
}
pub(crate) use records;

impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        T::read(node, reader).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<'a, T: Read<'a>> Read<'a> for Vec<T> {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let Node::Array(nodes) = node else {
            return reader.wrong_type(&node, "a list");
        };
        let length = nodes.len();
        let mut items = Self::with_capacity(length);
        for (index, node) in nodes.into_iter().enumerate() {
            reader.enter(Step::Index(index));
            items.extend(T::read(node, reader));
            reader.leave();
        }
        (items.len() == length).then_some(items)
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// Keys of a map: identifiers, and the numbers of plan versions.
pub(crate) trait MapKey: Ord + Sized {
    fn read(text: &str, reader: &mut Reader<'_>) -> Option<Self>;

    /// The order of keys, by how they are written.
    fn order(one: &str, other: &str) -> Ordering {
        one.cmp(other)
    }
}

impl MapKey for u32 {
    fn read(text: &str, reader: &mut Reader<'_>) -> Option<Self> {
        // `01` and `+1` would be second spellings of `1`.
        let number = text.parse().ok().filter(|number: &Self| *number > 0 && number.to_string() == text);
        if number.is_none() {
            reader.note(
                DiagnosticCode::InvalidKey,
                format!("`{text}` is not a version number"),
                "number versions \"1\", \"2\", …",
            );
        }
        number
    }

    fn order(one: &str, other: &str) -> Ordering {
        one.len().cmp(&other.len()).then_with(|| one.cmp(other))
    }
}

/// A map that entries are read into.
pub(crate) trait Map {
    type Key: MapKey;
    type Value;

    /// Puts an entry in, where it could be read; false where the key is there already.
    fn put(&mut self, key: Self::Key, value: Option<Self::Value>) -> bool;
}

impl<K: MapKey, V> Map for BTreeMap<K, V> {
    type Key = K;
    type Value = V;

    fn put(&mut self, key: K, value: Option<V>) -> bool {
        match (self.entry(key), value) {
            (Entry::Occupied(_), _) => false,
            (Entry::Vacant(place), Some(value)) => {
                place.insert(value);
                true
            }
            (Entry::Vacant(_), None) => true,
        }
    }
}

macro_rules! identifiers {
    ($($name:ident)+) => {$(
        impl<'a> Read<'a> for $name {
            fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
                let text = reader.string(node)?;
                reader.identifier(&text)
            }
        }
    )+};
}
identifiers!(FeatureKey PlanKey AddOnKey GroupKey TenantId RecordId Region Issuer Environment EngineId);
identifiers!(GuardKey StageId TransitionId EventKey Role);

macro_rules! map_keys {
    ($($name:ident)+) => {$(
        impl MapKey for $name {
            fn read(text: &str, reader: &mut Reader<'_>) -> Option<Self> {
                reader.identifier(text)
            }
        }
    )+};
}
map_keys!(FeatureKey PlanKey AddOnKey TenantId RecordId);
map_keys!(WorkflowKey GuardKey VariableName StageId TransitionId CategoryKey);

/// Texts are labels, units, reasons and names: never empty.
impl<'a> Read<'a> for String {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let text = reader.string(node)?;
        if reader.form == Form::Authored && text.trim().is_empty() {
            reader.note(DiagnosticCode::EmptyText, "the text is empty", "write something people can read");
            return None;
        }
        Some(text.into_owned())
    }
}

impl<'a> Read<'a> for bool {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        match node {
            Node::Bool(value) => Some(value),
            other => reader.wrong_type(&other, "true or false"),
        }
    }
}

impl<'a> Read<'a> for u16 {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        Self::try_from(reader.integer(&node, 0, Self::MAX.into())?).ok()
    }
}

impl<'a> Read<'a> for u32 {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        Self::try_from(reader.integer(&node, 0, Self::MAX.into())?).ok()
    }
}

impl<'a> Read<'a> for u64 {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        Self::try_from(reader.integer(&node, 0, MAX_INTEGER as i64)?).ok()
    }
}

impl<'a> Read<'a> for Revision {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        Self::new(u64::read(node, reader)?)
    }
}

impl<'a> Read<'a> for UtcOffset {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let max = i64::from(Self::MAX_MINUTES);
        Self::from_minutes(reader.integer(&node, -max, max)?)
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl<'a> Read<'a> for Timestamp {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        if reader.form == Form::Canonical {
            let ms = reader.integer(&node, Self::MIN.as_ms(), Self::MAX.as_ms())?;
            return Self::from_ms(ms).ok();
        }
        let text = reader.string(node)?;
        match text.parse() {
            Ok(time) => Some(time),
            Err(error) => {
                let code = match error {
                    InvalidTime::Syntax(_) => DiagnosticCode::InvalidTime,
                    InvalidTime::Precision(_) => DiagnosticCode::TimePrecision,
                    InvalidTime::Range(_) => DiagnosticCode::TimeOutOfRange,
                };
                reader.note(code, error.to_string(), "write an RFC 3339 time such as `2026-03-01T08:00:00Z`");
                None
            }
        }
    }
}

impl<'a> Read<'a> for Amount {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        match node {
            Node::Integer(amount) => {
                let valid = u64::try_from(amount).ok().and_then(Self::new);
                if valid.is_none() {
                    reader.note(
                        DiagnosticCode::AmountOutOfRange,
                        format!("{amount} is below 0"),
                        "write 0 to 2^53 − 1, or \"unlimited\"",
                    );
                }
                valid
            }
            Node::HugeInteger => {
                reader.note(
                    DiagnosticCode::AmountOutOfRange,
                    "the amount is beyond 2^53 − 1",
                    "write 0 to 2^53 − 1, or \"unlimited\"",
                );
                None
            }
            Node::String(word) if word == "unlimited" => Some(Self::UNLIMITED),
            other => reader.wrong_type(&other, "an integer or \"unlimited\""),
        }
    }
}

/// Any JSON that every language holds exactly.
impl<'a> Read<'a> for Value {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        match node {
            Node::Null => Some(Self::Null),
            Node::Bool(value) => Some(value.into()),
            Node::Integer(value) => Some(value.into()),
            Node::String(text) => Some(text.into_owned().into()),
            Node::Array(_) => Vec::read(node, reader).map(Self::Array),
            Node::Object(entries) => {
                let length = entries.len();
                let mut map = serde_json::Map::new();
                for (key, node) in entries {
                    let value = reader.under(Step::Key(key.clone()), |reader| Self::read(node, reader));
                    if map.contains_key(key.as_ref()) {
                        reader.duplicate(key);
                    } else if let Some(value) = value {
                        map.insert(key.into_owned(), value);
                    }
                }
                (map.len() == length).then_some(Self::Object(map))
            }
            Node::Float | Node::HugeInteger => reader.wrong_type(&node, "another value"),
        }
    }
}
