//! Finding something by its key: one hash, short probes, keys compared by bytes. Features by key.

use super::{FeatureIx, FeatureRule};
use crate::FeatureKey;
use crate::model::Kind;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_nano_inline};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest probe that a seed may leave before another is tried.
pub(super) const LONGEST_PROBE: usize = 24;
/// Seeds that are tried before the best of them is taken.
const SEEDS: u64 = 16;

/// A keyed hash. Which key is only known once all names are: nobody can choose names that collide without choosing or
/// knowing all the others.
#[derive(Debug, Clone)]
pub(super) struct Seed(RapidSecrets);

impl Seed {
    /// A seed that depends on every name, in any order.
    pub(super) fn of<'n>(names: impl Iterator<Item = &'n str>) -> u64 {
        let fixed = Self(RapidSecrets::seed(0));
        names.fold(0, |sum, name| sum.wrapping_add(fixed.hash(name)))
    }

    pub(super) fn new(seed: u64) -> Self {
        Self(RapidSecrets::seed(seed))
    }

    #[inline]
    pub(super) fn hash(&self, name: &str) -> u64 {
        rapidhash_v3_nano_inline::<true, false>(name.as_bytes(), &self.0)
    }
}

/// Maps a hash to `0..length` by its high bits, so that tables can have any length.
#[inline]
pub(super) fn reduce(hash: u32, length: usize) -> usize {
    ((u64::from(hash) * length as u64) >> 32) as usize
}

/// A third of a table stays empty, which makes a probe look at two slots on average.
pub(super) fn table_length(entries: usize) -> usize {
    entries + entries / 2 + 1
}

pub(super) fn high(hash: u64) -> u32 {
    (hash >> 32) as u32
}

pub(super) fn low(hash: u64) -> u32 {
    hash as u32
}

/// Puts a value into the first free place from its own on, and says how many places a probe for it looks at.
pub(super) fn insert<T>(table: &mut [Option<T>], hash: u32, value: T) -> usize {
    let start = reduce(hash, table.len());
    let (before, from) = table.split_at_mut_checked(start).unwrap_or_default();
    match from.iter_mut().chain(before).zip(1..).find(|(place, _)| place.is_none()) {
        Some((free, probe)) => {
            *free = Some(value);
            probe
        }
        None => 0,
    }
}

/// The first seed that keeps probes short, else the best of those tried; with the longest probe that it leaves, and what
/// was made of it on the way.
pub(super) fn best_seed<T>(base: u64, attempt: impl Fn(&Seed) -> (usize, T)) -> (Seed, usize, T) {
    let attempt = |at: u64| {
        let seed = Seed::new(base.wrapping_add(at));
        let (longest, made) = attempt(&seed);
        (seed, longest, made)
    };
    let mut best = attempt(0);
    for at in 1..SEEDS {
        if best.1 <= LONGEST_PROBE {
            break;
        }
        let next = attempt(at);
        if next.1 < best.1 {
            best = next;
        }
    }
    best
}

/// Longest probe that a find would make in tables of these keys, which are sorted: the table's number, then the hash
/// within it.
pub(super) fn longest_probe(keys: impl Iterator<Item = u64> + Clone) -> usize {
    let mut sizes = keys.clone().map(high).peekable();
    let mut longest = 0;
    let (mut table, mut length, mut next_free) = (None, 0, 0);
    for key in keys {
        if table != Some(high(key)) {
            table = Some(high(key));
            let mut size = 0;
            while sizes.next_if(|number| Some(*number) == table).is_some() {
                size += 1;
            }
            (length, next_free) = (table_length(size), 0);
        }
        // Linear probing, entries taken by start: each is put behind those that start before it. What wraps around is
        // counted as if the table went on.
        let start = reduce(low(key), length);
        next_free = next_free.max(start) + 1;
        longest = longest.max(next_free - start);
    }
    longest
}

/// Numberings of features made so far in this process.
static NUMBERINGS: AtomicU64 = AtomicU64::new(1);

/// Features by key.
///
/// A clone shares everything: it is the same numbering.
#[derive(Debug, Clone)]
pub(crate) struct Features {
    /// Tells this numbering from every other of the process.
    pub(crate) numbering: u64,
    seed: Seed,
    table: Arc<[Option<(u32, FeatureIx)>]>,
    keys: Arc<[FeatureKey]>,
    /// One bit for each feature that is a switch.
    switches: Arc<[u64]>,
}

impl Features {
    pub(crate) fn build(rules: &[FeatureRule]) -> Self {
        let keys: Arc<[FeatureKey]> = rules.iter().map(|feature| feature.key.clone()).collect();
        let base = Seed::of(keys.iter().map(FeatureKey::as_str));
        let (seed, _, hashes) = best_seed(base, |seed| {
            let hashes: Vec<u32> = keys.iter().map(|key| low(seed.hash(key.as_str()))).collect();
            let mut sorted = hashes.clone();
            sorted.sort_unstable();
            (longest_probe(sorted.iter().copied().map(u64::from)), hashes)
        });
        // Half empty: there are few features, and each is looked up often.
        let mut table = vec![None; 2 * keys.len() + 1];
        for (hash, ix) in hashes.into_iter().zip((0..=u16::MAX).map(FeatureIx)) {
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

    #[cfg(all(test, feature = "generate"))]
    pub(super) fn hash(&self, key: &str) -> u64 {
        self.seed.hash(key)
    }

    #[cfg(all(test, feature = "generate"))]
    pub(super) fn longest_probe(&self) -> usize {
        let length = self.table.len();
        let taken = self.table.iter().enumerate().filter_map(|(at, slot)| Some((at, (*slot)?.0)));
        let probe = |(at, hash): (usize, u32)| 1 + (at + length - reduce(hash, length)) % length;
        taken.map(probe).max().unwrap_or(0)
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
            (probes.get(tried.get() - 1).copied().unwrap_or_default(), ())
        });
        assert_eq!(tried.get(), 3, "the first seed with short probes is taken");
        tried.set(0);
        best_seed(7, |_| {
            tried.set(tried.get() + 1);
            (1_000, ())
        });
        assert_eq!(tried.get(), 16, "no seed is good enough: all are tried, and one is taken");
    }

    #[test]
    fn the_seed_depends_on_every_name_and_not_on_their_order() {
        assert_eq!(Seed::of(["a", "b", "c"].into_iter()), Seed::of(["c", "a", "b"].into_iter()));
        assert_ne!(Seed::of(["a", "b", "c"].into_iter()), Seed::of(["a", "b", "d"].into_iter()));
    }

    #[test]
    fn a_third_of_a_table_stays_empty() {
        assert_eq!([0, 1, 2, 10, 1_000].map(table_length), [1, 2, 4, 16, 1_501]);
        assert_eq!((high(0x1234_5678_9abc_def0), low(0x1234_5678_9abc_def0)), (0x1234_5678, 0x9abc_def0));
    }

    #[test]
    fn a_probe_is_as_long_as_what_it_looks_at() {
        let key = |table: u64, start: usize, length: usize| {
            // The smallest hash that begins there.
            table << 32 | ((start as u64) << 32).div_ceil(length as u64)
        };
        let probes = |keys: &[u64]| longest_probe(keys.iter().copied());
        assert_eq!(probes(&[]), 0);
        assert_eq!(probes(&[key(0, 0, 2)]), 1);
        let length = table_length(4);
        assert_eq!(probes(&[0, 1, 3, 5].map(|start| key(7, start, length))), 1, "each has a place of its own");
        assert_eq!(
            probes(&[0, 0, 1, 5].map(|start| key(7, start, length))),
            2,
            "the third is pushed behind the second"
        );
        assert_eq!(probes(&[0, 0, 0, 1].map(|start| key(7, start, length))), 3);
        let two_tables =
            [[0, 0, 0, 0].map(|start| key(7, start, length)), [1, 1, 3, 3].map(|start| key(8, start, length))];
        assert_eq!(probes(two_tables.as_flattened()), 4);
        assert_eq!(probes(&[key(7, 0, 2), key(8, 0, 2), key(9, 0, 2)]), 1, "tables are counted apart");
    }
}
