//! Three-way merge of JSON values: what two sides made of the same base, put together.
//!
//! Objects are merged key by key where all three are objects; everything else, lists among it, is atomic: it is taken
//! whole. What only one side changed is as that side has it, what both changed alike is as both have it. What they
//! changed differently is a [`Conflict`], and the result keeps the base there, so that neither side is preferred.
//! Nothing is dropped silently: every change of a side is in the result, or at or below the path of a conflict.
//!
//! A member that is absent and one that is null are two things. Numbers are equal as JSON has them: 1 is not 1.0.
//!
//! ```
//! use leasehold::merge::{Side, three_way};
//! use serde_json::json;
//!
//! let base = json!({ "name": "Ready", "role": "cashier" });
//! let ours = json!({ "name": "Ready for pickup", "role": "driver" });
//! let theirs = json!({ "name": "Ready", "final": true });
//!
//! let merge = three_way(&base, &ours, &theirs);
//! assert_eq!(merge.result, json!({ "name": "Ready for pickup", "role": "cashier", "final": true }));
//! assert_eq!(merge.conflicts.len(), 1);
//! assert_eq!(merge.conflicts[0].path, "/role");
//! assert_eq!(merge.conflicts[0].theirs, None);
//!
//! let resolved = merge.resolve(|_| Side::Ours);
//! assert_eq!(resolved, json!({ "name": "Ready for pickup", "role": "driver", "final": true }));
//! ```

use crate::model::read::pointer_push;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// Objects in more objects than this are atomic: it is as deep as JSON is read.
const MAX_DEPTH: usize = 128;

/// What two sides made of the same base, put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Merge {
    /// All that both sides changed and agree on; the base where they conflict.
    pub result: Value,
    /// What the sides changed differently, by path: key by key, keys in the order of their bytes. None lies within
    /// another.
    pub conflicts: Vec<Conflict>,
}

/// A place that both sides changed, each differently. What is absent there is `None`, and left out when written; null
/// is a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Conflict {
    /// The place, as a JSON Pointer (RFC 6901).
    pub path: String,
    /// What stood there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Value>,
    /// What our side made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours: Option<Value>,
    /// What their side made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theirs: Option<Value>,
}

/// Whose value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// What both started from.
    Base,
    /// Ours.
    Ours,
    /// Theirs.
    Theirs,
}

/// A place where two values differ. What is absent there is `None`, and left out when written; null is a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The place, as a JSON Pointer (RFC 6901).
    pub path: String,
    /// What stood there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What stands there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// Merges what two sides made of the same base. Swapping the sides swaps the labels of the conflicts, nothing else.
#[must_use]
pub fn three_way(base: &Value, ours: &Value, theirs: &Value) -> Merge {
    let mut conflicts = Vec::new();
    let result = merge(&mut Place::default(), [base, ours, theirs].map(Some), &mut conflicts);
    // Absent is what a member can be, not the whole.
    Merge { result: result.unwrap_or_default(), conflicts }
}

/// Where a value differs from an older one, in the terms of [`three_way`]: objects are compared key by key where both
/// are objects, everything else is atomic. By path: key by key, keys in the order of their bytes.
#[must_use]
pub fn changes(old: &Value, new: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(&mut Place::default(), [old, new].map(Some), &mut differences);
    differences
}

impl Merge {
    /// Whether the sides conflict nowhere.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.conflicts.is_empty()
    }

    /// The result with one side's value, or absence, in the place of every conflict.
    #[must_use]
    pub fn resolve(&self, mut choose: impl FnMut(&Conflict) -> Side) -> Value {
        let mut resolved = self.result.clone();
        for conflict in &self.conflicts {
            let chosen = conflict.side(choose(conflict)).cloned();
            put(&mut resolved, &conflict.path, chosen);
        }
        resolved
    }
}

impl Conflict {
    /// What one side has; nothing where it is absent there.
    #[must_use]
    pub fn side(&self, side: Side) -> Option<&Value> {
        match side {
            Side::Base => self.base.as_ref(),
            Side::Ours => self.ours.as_ref(),
            Side::Theirs => self.theirs.as_ref(),
        }
    }
}

/// What each of so many values has at one place.
type Sides<'v, const N: usize> = [Option<&'v Value>; N];

fn merge(place: &mut Place, sides: Sides<'_, 3>, conflicts: &mut Vec<Conflict>) -> Option<Value> {
    if let Some(members) = place.members(sides) {
        let merged = members.filter_map(|(key, sides)| {
            let value = place.within(key, |place| merge(place, sides, conflicts))?;
            Some((key.to_owned(), value))
        });
        return Some(Value::Object(merged.collect()));
    }
    let [base, ours, theirs] = sides;
    if ours == theirs || theirs == base {
        return ours.cloned();
    }
    if ours == base {
        return theirs.cloned();
    }
    let [base, ours, theirs] = sides.map(Option::<&Value>::cloned);
    conflicts.push(Conflict { path: place.pointer.clone(), base: base.clone(), ours, theirs });
    base
}

fn compare(place: &mut Place, sides: Sides<'_, 2>, differences: &mut Vec<Difference>) {
    if let Some(members) = place.members(sides) {
        return members.for_each(|(key, sides)| place.within(key, |place| compare(place, sides, differences)));
    }
    let [old, new] = sides;
    if old != new {
        differences.push(Difference { path: place.pointer.clone(), old: old.cloned(), new: new.cloned() });
    }
}

/// Where a walk through values is.
#[derive(Default)]
struct Place {
    pointer: String,
    depth: usize,
}

impl Place {
    /// The members of all sides by key, with what each side has there, if all are objects that may be entered.
    fn members<'v, const N: usize>(
        &self,
        sides: Sides<'v, N>,
    ) -> Option<impl Iterator<Item = (&'v str, Sides<'v, N>)> + use<'v, N>> {
        let objects = sides.map(|side| side.and_then(Value::as_object));
        if self.depth == MAX_DEPTH || objects.iter().any(Option::is_none) {
            return None;
        }
        // Sorted here, because with one of its features `serde_json` keeps keys in the order of insertion.
        let keys: BTreeSet<&str> =
            objects.iter().flatten().flat_map(|object| object.keys().map(String::as_str)).collect();
        Some(keys.into_iter().map(move |key| (key, objects.map(|object| object.and_then(|members| members.get(key))))))
    }

    fn within<T>(&mut self, key: &str, walk: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.pointer.len();
        pointer_push(&mut self.pointer, key);
        self.depth += 1;
        let walked = walk(self);
        self.depth -= 1;
        self.pointer.truncate(length);
        walked
    }
}

/// Sets or removes what a path names; a member of something that is no object is left alone.
fn put(root: &mut Value, path: &str, value: Option<Value>) {
    let Some((parent, step)) = path.rsplit_once('/') else {
        return *root = value.unwrap_or_default();
    };
    let Some(members) = root.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    let key = step.replace("~1", "/").replace("~0", "~");
    match value {
        Some(value) => drop(members.insert(key, value)),
        None => drop(members.remove(&key)),
    }
}
