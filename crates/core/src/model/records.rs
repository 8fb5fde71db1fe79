//! A tenant's few records of one sort, by id.

use super::read::{Map, Node, Read, Reader};
use crate::RecordId;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// Records by id, sorted by it.
///
/// A map that is a vector: most tenants have one phase and a licence or two, and a fleet has hundreds of thousands of
/// such maps, each of which a tree would give a node of eleven places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records<T>(Vec<(RecordId, T)>);

impl<T> Records<T> {
    /// The record with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&T> {
        self.position(id).ok().and_then(|at| self.0.get(at)).map(|(_, record)| record)
    }

    /// Puts a record in; gives back the one that had the id before.
    pub fn insert(&mut self, id: RecordId, record: T) -> Option<T> {
        match self.position(id.as_str()) {
            Ok(at) => self.0.get_mut(at).map(|(_, held)| std::mem::replace(held, record)),
            Err(at) => {
                self.0.insert(at, (id, record));
                None
            }
        }
    }

    /// Takes a record out.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        self.position(id).ok().map(|at| self.0.remove(at).1)
    }

    fn position(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.as_str().cmp(id))
    }

    /// Keeps the records for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&RecordId, &T) -> bool) {
        self.0.retain(|(id, record)| keep(id, record));
    }

    /// Ids and records, in the order of ids.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&RecordId, &T)> {
        self.0.iter().map(|(id, record)| (id, record))
    }

    /// Ids, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &RecordId> {
        self.iter().map(|(id, _)| id)
    }

    /// Records, in the order of ids.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.iter().map(|(_, record)| record)
    }

    /// Records, in the order of ids.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, record)| record)
    }

    /// Takes all records out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Records<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Extend<(RecordId, T)> for Records<T> {
    fn extend<I: IntoIterator<Item = (RecordId, T)>>(&mut self, records: I) {
        for (id, record) in records {
            self.insert(id, record);
        }
    }
}

impl<T> FromIterator<(RecordId, T)> for Records<T> {
    fn from_iter<I: IntoIterator<Item = (RecordId, T)>>(records: I) -> Self {
        let mut collected = Self::default();
        collected.extend(records);
        collected
    }
}

impl<T: Serialize> Serialize for Records<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'a, T: Read<'a>> Read<'a> for Records<T> {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let mut gathered = Gathered { records: Vec::new(), late: BTreeMap::new() };
        reader.entries(node, &mut gathered)?;
        let Gathered { mut records, late } = gathered;
        if !late.is_empty() {
            records.extend(late);
            records.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        Some(Self(records))
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Records as they are read: those that come in order, as they do from the normal form, and the others.
struct Gathered<T> {
    records: Vec<(RecordId, T)>,
    late: BTreeMap<RecordId, T>,
}

impl<T> Map for Gathered<T> {
    type Key = RecordId;
    type Value = T;

    fn put(&mut self, id: RecordId, record: Option<T>) -> bool {
        let in_order = self.records.last().is_none_or(|(last, _)| *last < id);
        let here = !in_order && self.records.binary_search_by(|(held, _)| held.cmp(&id)).is_ok();
        if here || self.late.contains_key(&id) {
            return false;
        }
        match record {
            Some(record) if in_order => self.records.push((id, record)),
            Some(record) => {
                self.late.insert(id, record);
            }
            None => {}
        }
        true
    }
}

#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Records<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Records_of_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<BTreeMap<RecordId, T>>()
    }
}
