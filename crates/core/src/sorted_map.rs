//! Maps and sets that are sorted vectors.

use crate::model::read::{Map, MapKey, Node, Read, Reader};
use serde::{Serialize, Serializer};
use std::borrow::Borrow;
use std::ops::Index;
use std::slice;

/// A map of few entries, sorted by key.
///
/// A map that is a vector: most tenants have one phase and a licence or two, most guards a setting, and a fleet has
/// hundreds of thousands of such maps, each of which a tree would give a node of eleven places. Its code is small, too,
/// which counts where pages load it. What may have a great many entries that are put in one by one, as the sections of
/// definitions have, is better off in a `BTreeMap`: each entry that comes before others moves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> SortedMap<K, V> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keep(key, value));
    }

    /// Keys and values, in the order of keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter(self.0.iter())
    }

    /// Keys and values, which may be changed, in the order of keys.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&K, &mut V)> + DoubleEndedIterator {
        self.0.iter_mut().map(|(key, value)| (&*key, value))
    }

    /// Keys, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + DoubleEndedIterator + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// Values, in the order of keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + DoubleEndedIterator + Clone {
        self.0.iter().map(|(_, value)| value)
    }

    /// Values, in the order of keys.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut V> + DoubleEndedIterator {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Takes all entries out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// How many entries there are.
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

impl<K: Ord, V> SortedMap<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// The key that is held, and its value.
    #[must_use]
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|(key, value)| (key, value))
    }

    /// The value of a key, to be changed: the default one, put in, where there is none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let at = self.position(&key).unwrap_or_else(|at| {
            self.0.insert(at, (key, V::default()));
            at
        });
        #[expect(clippy::indexing_slicing, reason = "it is there, or was put there")]
        &mut self.0[at].1
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.position(key).is_ok()
    }

    /// Puts a value in; gives back the one that the key had before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => self.0.get_mut(at).map(|(_, held)| std::mem::replace(held, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes a value out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Where a key is, or where it would be.
    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // Most entries come in order.
        match self.0.last() {
            Some((last, _)) if last.borrow() >= key => self.0.binary_search_by(|(held, _)| held.borrow().cmp(key)),
            _ => Err(self.0.len()),
        }
    }
}

/// As std's maps have it: for keys that are known to be there.
///
/// # Panics
/// If the key is not there.
impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        #[expect(clippy::expect_used, reason = "that is what indexing means")]
        self.get(key).expect("no entry has that key")
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    /// Entries that are few, or most of them in order: each that comes before others moves them. Of several with one key, the
    /// last counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'m, K, V> IntoIterator for &'m SortedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Iter<'m, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The entries of a [`SortedMap`], in the order of keys.
#[derive(Debug)]
pub struct Iter<'m, K, V>(slice::Iter<'m, (K, V)>);

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'m, K, V> Iterator for Iter<'m, K, V> {
    type Item = (&'m K, &'m V);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(key, value)| (key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(key, value)| (key, value))
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<K: MapKey, V> Map for SortedMap<K, V> {
    type Key = K;
    type Value = V;

    fn put(&mut self, key: K, value: Option<V>) -> bool {
        let place = self.position(&key);
        if let (Err(at), Some(value)) = (place, value) {
            self.0.insert(at, (key, value));
        }
        place.is_err()
    }
}

impl<'a, K: MapKey, V: Read<'a>> Read<'a> for SortedMap<K, V> {
    fn read(node: Node<'a>, reader: &mut Reader<'a>) -> Option<Self> {
        let mut map = Self::new();
        reader.entries(node, &mut map)?;
        Some(map)
    }
}

#[cfg(feature = "schema")]
impl<K: schemars::JsonSchema, V: schemars::JsonSchema> schemars::JsonSchema for SortedMap<K, V> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        std::collections::BTreeMap::<K, V>::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        std::collections::BTreeMap::<K, V>::json_schema(generator)
    }
}

/// A set of few items, sorted: the keys of a [`SortedMap`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedSet<T>(SortedMap<T, ()>);

impl<T> SortedSet<T> {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(SortedMap::new())
    }

    /// The items, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &T> + DoubleEndedIterator + Clone {
        self.0.keys()
    }

    /// Keeps the items for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|item, ()| keep(item));
    }

    /// How many items there are.
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

impl<T: Ord> SortedSet<T> {
    /// The items of a list that may be long, and in any order: it is sorted once.
    #[must_use]
    pub fn of(mut items: Vec<T>) -> Self {
        items.sort_unstable();
        items.dedup();
        Self(SortedMap(items.into_iter().map(|item| (item, ())).collect()))
    }

    /// Whether it has an item.
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, item: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.contains_key(item)
    }

    /// Puts an item in; says whether it was not there yet.
    pub fn insert(&mut self, item: T) -> bool {
        self.0.insert(item, ()).is_none()
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        for item in items {
            self.insert(item);
        }
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().map(|item| (item, ())).collect())
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = std::iter::Map<std::vec::IntoIter<(T, ())>, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(item, ())| item)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    use std::collections::{BTreeMap, BTreeSet};

    fn check<S: Strategy>(given: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>) {
        let config = Config { failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        runner.run(&given, law).unwrap();
    }

    #[test]
    fn it_is_the_map_of_std() {
        // What is done to it, and with what.
        let steps = vec((0..6_u8, 0..24_u8, any::<u16>()), 0..64);
        check((steps, vec((0..24_u8, any::<u16>()), 0..24)), |(steps, more)| {
            let (mut map, mut model) = (SortedMap::new(), BTreeMap::new());
            for (what, key, value) in steps {
                match what {
                    0 | 1 => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                    2 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    3 => {
                        *map.or_default(key) = value;
                        model.insert(key, value);
                    }
                    4 => {
                        map.retain(|key, _| key % 3 != 0);
                        model.retain(|key, _| key % 3 != 0);
                    }
                    _ => prop_assert_eq!(map.get_mut(&key), model.get_mut(&key)),
                }
                prop_assert_eq!(map.get_key_value(&key), model.get_key_value(&key));
                prop_assert!(map.iter().eq(&model) && map.iter().rev().eq(model.iter().rev()));
                prop_assert_eq!(map.len(), model.len());
            }
            let collected: SortedMap<u8, u16> = more.iter().copied().collect();
            prop_assert!(collected.iter().eq(&more.iter().copied().collect::<BTreeMap<_, _>>()));
            map.extend(collected);
            model.extend(more.iter().copied());
            prop_assert!(map.iter_mut().eq(model.iter_mut()) && map.values_mut().eq(model.values_mut()));
            let set: SortedSet<u16> = more.iter().map(|(_, item)| *item).collect();
            let of_std: BTreeSet<u16> = more.iter().map(|(_, item)| *item).collect();
            prop_assert_eq!(&set, &SortedSet::of(more.iter().map(|(_, item)| *item).collect()));
            prop_assert!(set.iter().eq(&of_std) && set.into_iter().eq(of_std));
            Ok(())
        });
    }

    /// In whatever order a file has its keys, and however often: the first of each counts, and the others are told.
    #[test]
    fn files_may_have_any_order() {
        check(vec(1..40_u32, 0..40), |keys| {
            let member = |(at, key): (usize, &u32)| format!("\"{key}\":{at}");
            let text = format!("{{{}}}", keys.iter().enumerate().map(member).collect::<Vec<_>>().join(","));
            let mut reader = Reader::default();
            let map = SortedMap::<u32, u64>::read(serde_json::from_str(&text).unwrap(), &mut reader).unwrap();
            let mut first = BTreeMap::new();
            for (at, key) in (0_u64..).zip(&keys) {
                first.entry(*key).or_insert(at);
            }
            prop_assert!(map.iter().eq(&first));
            prop_assert_eq!(reader.found.len(), keys.len() - first.len());
            Ok(())
        });
    }
}
