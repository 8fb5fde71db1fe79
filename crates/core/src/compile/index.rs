//! Finding a tenant or a feature by its key: one hash, short probes, keys compared by bytes.

use super::{FeatureIx, FeatureRule, Profile, Record, Switches};
use crate::FeatureKey;
use crate::model::Kind;
use crate::time::Interval;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest probe that a seed may leave before another is tried.
const LONGEST_PROBE: usize = 24;
/// Seeds that are tried before the best of them is taken.
const SEEDS: u64 = 16;
/// Tenants per bucket, about.
const BUCKET: usize = 32;

/// A keyed hash. Which key is only known once all names are: nobody can choose names that collide.
#[derive(Debug, Clone)]
struct Seed(RapidSecrets);

impl Seed {
    /// A seed that depends on every name, in any order.
    fn of<'n>(names: impl Iterator<Item = &'n str>) -> u64 {
        let fixed = Self(RapidSecrets::seed(0));
        names.fold(0, |sum, name| sum.wrapping_add(fixed.hash(name)))
    }

    fn new(seed: u64) -> Self {
        Self(RapidSecrets::seed(seed))
    }

    #[inline]
    fn hash(&self, name: &str) -> u64 {
        rapidhash_v3_nano_inline::<true, false>(name.as_bytes(), &self.0)
    }
}

/// Maps a hash to `0..length` by its high bits, so that tables can have any length.
#[inline]
fn reduce(hash: u32, length: usize) -> usize {
    ((u64::from(hash) * length as u64) >> 32) as usize
}

/// A third of a table stays empty, which makes a probe look at two slots on average.
fn table_length(entries: usize) -> usize {
    entries + entries / 2 + 1
}

/// A tenant's id where the probe finds it without another look at memory, if it is short enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InlineId {
    bytes: [u8; Self::CAPACITY],
    /// Length of the id, which may be more than fits here.
    length: u8,
}

impl InlineId {
    const CAPACITY: usize = 39;

    #[inline]
    pub(crate) fn new(id: &str) -> Self {
        let mut bytes = [0; Self::CAPACITY];
        for (to, from) in bytes.iter_mut().zip(id.as_bytes()) {
            *to = *from;
        }
        Self { bytes, length: u8::try_from(id.len()).unwrap_or(u8::MAX) }
    }

    /// Whether an id is this one, as far as it can be seen here, and whether that is the whole of it.
    #[inline]
    fn starts(&self, id: &str) -> bool {
        let seen = usize::from(self.length).min(Self::CAPACITY);
        usize::from(self.length) == id.len() && self.bytes.get(..seen) == id.as_bytes().get(..seen)
    }

    #[inline]
    fn is_whole(&self) -> bool {
        usize::from(self.length) <= Self::CAPACITY
    }
}

/// A tenant's place in the snapshot: its id, its profile, when that holds, and what it was made from.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    id: InlineId,
    hash: u32,
    /// When the profile holds.
    pub(crate) holds: Interval,
    /// The profile's switches, at hand: a check reads nothing else of it.
    pub(crate) on: Switches,
    pub(crate) profile: Arc<Profile>,
    pub(crate) record: Arc<Record>,
}

impl Slot {
    #[inline]
    fn is(&self, id: &str) -> bool {
        self.id.starts(id) && (self.id.is_whole() || self.record.id() == id)
    }
}

/// All tenants. A bucket holds those whose hashes begin alike, in a table of its own.
#[derive(Debug)]
pub(crate) struct Tenants {
    seed: Seed,
    buckets: Box<[Box<[Option<Slot>]>]>,
    count: usize,
}

impl Tenants {
    pub(crate) fn build(entries: Vec<(Arc<Record>, Interval, Arc<Profile>)>) -> Self {
        let base = Seed::of(entries.iter().map(|(record, ..)| record.id()));
        let buckets = (entries.len() / BUCKET).max(1);
        let count = entries.len();
        let hashes = |seed: &Seed| -> Vec<u64> { entries.iter().map(|(record, ..)| seed.hash(record.id())).collect() };
        let seed = best_seed(base, |seed| longest_probe(&hashes(seed), buckets));

        let mut order: Vec<(u64, usize)> = hashes(&seed).into_iter().zip(0..).collect();
        order.sort_unstable();
        let mut entries: Vec<Option<_>> = entries.into_iter().map(Some).collect();
        let mut tables: Vec<Box<[Option<Slot>]>> = Vec::with_capacity(buckets);
        let mut rest = order.as_slice();
        for bucket in 0..buckets {
            let here = rest.partition_point(|(hash, _)| reduce(high(*hash), buckets) <= bucket);
            let (mine, others) = rest.split_at_checked(here).unwrap_or((rest, &[]));
            rest = others;
            let mut table: Vec<Option<Slot>> = Vec::new();
            table.resize_with(if mine.is_empty() { 0 } else { table_length(mine.len()) }, || None);
            for (hash, at) in mine {
                if let Some((record, holds, profile)) = entries.get_mut(*at).and_then(Option::take) {
                    let (id, hash, on) = (InlineId::new(record.id()), low(*hash), profile.on.clone());
                    let slot = Slot { id, hash, holds, on, profile, record };
                    insert(&mut table, hash, slot);
                }
            }
            tables.push(table.into());
        }
        Self { seed, buckets: tables.into(), count }
    }

    #[inline]
    pub(crate) fn find(&self, id: &str) -> Option<&Slot> {
        let hash = self.seed.hash(id);
        let bucket = reduce(high(hash), self.buckets.len());
        let table = self.buckets.get(bucket)?;
        let (before, from) = table.split_at_checked(reduce(low(hash), table.len()))?;
        for slot in from.iter().chain(before) {
            let slot = slot.as_ref()?;
            if slot.hash == low(hash) && slot.is(id) {
                return Some(slot);
            }
        }
        None
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.buckets.iter().flat_map(|table| table.iter().flatten())
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Bytes that the tenants hold, without what allocators add and without profiles.
    pub(crate) fn bytes(&self) -> usize {
        let tables = self.buckets.iter().map(|table| size_of_val(&**table)).sum::<usize>();
        let records = self.iter().map(|slot| slot.record.bytes()).sum::<usize>();
        size_of_val(&*self.buckets) + tables + records
    }
}

fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn low(hash: u64) -> u32 {
    hash as u32
}

fn insert<T>(table: &mut [Option<T>], hash: u32, value: T) {
    let start = reduce(hash, table.len());
    let (before, from) = table.split_at_mut_checked(start).unwrap_or_default();
    if let Some(free) = from.iter_mut().chain(before).find(|slot| slot.is_none()) {
        *free = Some(value);
    }
}

/// The first seed that keeps probes short, else the best of those tried.
fn best_seed(base: u64, longest: impl Fn(&Seed) -> usize) -> Seed {
    let mut best: Option<(usize, Seed)> = None;
    for at in 0..SEEDS {
        let seed = Seed::new(base.wrapping_add(at));
        let probe = longest(&seed);
        if best.as_ref().is_none_or(|(least, _)| probe < *least) {
            best = Some((probe, seed));
        }
        if probe <= LONGEST_PROBE {
            break;
        }
    }
    best.map_or_else(|| Seed::new(base), |(_, seed)| seed)
}

/// Longest probe that a find would make in tables of these hashes.
fn longest_probe(hashes: &[u64], buckets: usize) -> usize {
    let mut sizes = vec![0_usize; buckets];
    for hash in hashes {
        if let Some(size) = sizes.get_mut(reduce(high(*hash), buckets)) {
            *size += 1;
        }
    }
    let mut sorted = hashes.to_vec();
    sorted.sort_unstable();
    let mut rest = sorted.as_slice();
    let mut longest = 0;
    let mut starts = Vec::new();
    for size in sizes {
        let (mine, others) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        rest = others;
        let length = table_length(mine.len());
        starts.clear();
        starts.extend(mine.iter().map(|hash| reduce(low(*hash), length)));
        starts.sort_unstable();
        // Linear probing, entries taken by start: each is put behind those that start before it. What wraps around is
        // counted as if the table went on.
        let mut next_free = 0;
        for start in &starts {
            next_free = next_free.max(*start) + 1;
            longest = longest.max(next_free - start);
        }
    }
    longest
}

/// Numberings of features made so far in this process.
static NUMBERINGS: AtomicU64 = AtomicU64::new(1);

/// Features by key.
#[derive(Debug)]
pub(crate) struct Features {
    /// Tells this numbering from every other of the process.
    pub(crate) numbering: u64,
    seed: Seed,
    table: Box<[Option<(u32, FeatureIx)>]>,
    keys: Box<[FeatureKey]>,
    /// One bit for each feature that is a switch.
    switches: Box<[u64]>,
}

impl Features {
    pub(crate) fn build(rules: &[FeatureRule]) -> Self {
        let keys: Box<[FeatureKey]> = rules.iter().map(|feature| feature.key.clone()).collect();
        let base = Seed::of(keys.iter().map(FeatureKey::as_str));
        let hashes = |seed: &Seed| keys.iter().map(|key| seed.hash(key.as_str())).collect::<Vec<_>>();
        let seed = best_seed(base, |seed| longest_probe(&hashes(seed), 1));
        // Half empty: there are few features, and each is looked up often.
        let mut table = vec![None; 2 * keys.len() + 1];
        for (hash, ix) in hashes(&seed).into_iter().map(low).zip((0..=u16::MAX).map(FeatureIx)) {
            insert(&mut table, hash, (hash, ix));
        }
        let mut switches = vec![0_u64; keys.len().div_ceil(64)];
        for (at, _) in rules.iter().enumerate().filter(|(_, feature)| feature.kind == Kind::Switch) {
            if let Some(word) = switches.get_mut(at / 64) {
                *word |= 1 << (at % 64);
            }
        }
        let numbering = NUMBERINGS.fetch_add(1, Ordering::Relaxed);
        Self { numbering, seed, table: table.into(), keys, switches: switches.into() }
    }

    #[inline]
    pub(crate) fn find(&self, key: &str) -> Option<FeatureIx> {
        let hash = low(self.seed.hash(key));
        let (before, from) = self.table.split_at_checked(reduce(hash, self.table.len()))?;
        for slot in from.iter().chain(before) {
            let (held, ix) = (*slot)?;
            if held == hash && self.keys.get(ix.index()).is_some_and(|candidate| candidate.as_str() == key) {
                return Some(ix);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn is_switch(&self, ix: FeatureIx) -> bool {
        self.switches.get(ix.index() / 64).is_some_and(|word| word >> (ix.index() % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_seed_that_floods_is_passed_over() {
        let tried = Cell::new(0);
        let probes = [400, 90, 24, 1];
        best_seed(7, |_| {
            tried.set(tried.get() + 1);
            probes.get(tried.get() - 1).copied().unwrap_or_default()
        });
        assert_eq!(tried.get(), 3, "the first seed with short probes is taken");
        tried.set(0);
        best_seed(7, |_| {
            tried.set(tried.get() + 1);
            1_000
        });
        assert_eq!(tried.get(), 16, "no seed is good enough: all are tried, and one is taken");
    }

    #[test]
    fn probes_are_short() {
        for count in [1, 31, 32, 33, 5_000, 50_000] {
            let names: Vec<String> = (0..count).map(|n| format!("tenant-{n}")).collect();
            let seed = Seed::new(Seed::of(names.iter().map(String::as_str)));
            let hashes: Vec<u64> = names.iter().map(|name| seed.hash(name)).collect();
            let longest = longest_probe(&hashes, (count / BUCKET).max(1));
            assert!(longest <= 2 * LONGEST_PROBE, "{count} names need a probe of {longest}");
        }
    }

    #[test]
    fn the_seed_depends_on_every_name_and_not_on_their_order() {
        assert_eq!(Seed::of(["a", "b", "c"].into_iter()), Seed::of(["c", "a", "b"].into_iter()));
        assert_ne!(Seed::of(["a", "b", "c"].into_iter()), Seed::of(["a", "b", "d"].into_iter()));
    }
}
