//! All tenants by id, in tables that a changed set of tenants shares with the one before it.

use super::index::{LONGEST_PROBE, Seed, best_seed, high, insert, longest_probe, low, reduce, table_length};
use super::{Profile, Record, Switches};
use crate::time::Interval;
use crate::{TenantId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tenants per bucket when the number of buckets is chosen, about.
const BUCKET: usize = 32;
/// Tenants per bucket, on average, from which on more buckets are chosen.
const MOST: usize = 2 * BUCKET;
/// Tenants per bucket, on average, below which fewer buckets are chosen.
const LEAST: usize = BUCKET / 4;
/// Buckets per page. One changed tenant copies one table, one page and the list of pages: with a million tenants, as
/// many pointers in the page and a few times as many in the list.
const PAGE: usize = 64;

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

/// What a tenant was made from, its profile, and when that holds.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    pub(crate) record: Arc<Record>,
    pub(crate) profile: Arc<Profile>,
    pub(crate) holds: Interval,
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
    fn new(hash: u32, resolved: Resolved) -> Self {
        let Resolved { record, profile, holds } = resolved;
        Self { id: InlineId::new(record.id()), hash, holds, on: profile.on.clone(), profile, record }
    }

    #[inline]
    fn is(&self, id: &str) -> bool {
        self.id.starts(id) && (self.id.is_whole() || self.record.id() == id)
    }

    fn resolved(&self) -> Resolved {
        Resolved { record: self.record.clone(), profile: self.profile.clone(), holds: self.holds }
    }
}

/// The tenants of one bucket, a third of the places empty.
pub(crate) type Table = Arc<[Option<Slot>]>;

/// Some of the tables. What readers do not look at stands first, beside the count of who shares the page.
#[derive(Debug, Clone)]
#[repr(C)]
struct Page {
    /// For each table, when all profiles in it hold.
    holds: [Interval; PAGE],
    tables: [Table; PAGE],
}

impl Page {
    fn empty() -> Self {
        Self { holds: [Interval::ALWAYS; PAGE], tables: std::array::from_fn(|_| Table::default()) }
    }

    /// When all profiles in it hold.
    fn holds(&self) -> Interval {
        self.holds.iter().fold(Interval::ALWAYS, |all, holds| all.intersect(*holds))
    }
}

/// A page, and when all profiles in it hold.
#[derive(Debug, Clone)]
struct Leaf {
    page: Arc<Page>,
    holds: Interval,
}

impl Leaf {
    fn new(page: Page) -> Self {
        Self { holds: page.holds(), page: Arc::new(page) }
    }
}

/// What is to be done with one tenant.
#[derive(Debug)]
pub(crate) enum Edit {
    /// Stands as here from now on, whether it was there before or not.
    Put(Arc<Record>),
    /// Is gone, if it was there.
    Remove(TenantId),
}

impl Edit {
    fn id(&self) -> &str {
        match self {
            Self::Put(record) => record.id(),
            Self::Remove(id) => id.as_str(),
        }
    }
}

/// All tenants. A bucket holds those whose hashes begin alike, in a table of its own.
///
/// A clone shares everything, and a change copies only what it touches.
#[derive(Debug, Clone)]
pub(crate) struct Tenants {
    seed: Seed,
    buckets: usize,
    pages: Arc<[Leaf]>,
    count: usize,
    /// When all profiles hold.
    holds: Interval,
    /// Longest probe that is put up with before another seed is looked for.
    probe_bound: usize,
}

impl Tenants {
    /// All of them at once. Of several with the same id, the last stands.
    pub(crate) fn build(mut entries: Vec<Resolved>) -> Self {
        let base = Seed::of(entries.iter().map(|entry| entry.record.id()));
        let buckets = (entries.len() / BUCKET).max(1);
        let (seed, longest, mut order) = best_seed(base, |seed| {
            let mut order: Vec<(u64, usize)> =
                entries.iter().zip(0..).map(|(entry, at)| (key(seed.hash(entry.record.id()), buckets), at)).collect();
            order.sort_unstable();
            (longest_probe(order.iter().map(|(key, _)| *key)), order)
        });
        let id = |at: usize| entries.get(at).map(|entry| entry.record.id());
        // Only equal hashes can be equal ids. Among them, the order is that of ids, the last of equals last.
        for alike in order.chunk_by_mut(|(a, _), (b, _)| a == b).filter(|alike| alike.len() > 1) {
            alike.sort_by(|(_, a), (_, b)| id(*a).cmp(&id(*b)));
        }
        keep_last(&mut order, |(a_key, a), (b_key, b)| a_key == b_key && id(*a) == id(*b));

        let mut entries: Vec<Option<Resolved>> = entries.drain(..).map(Some).collect();
        let mut built = Self {
            seed,
            buckets,
            pages: Arc::default(),
            count: order.len(),
            holds: Interval::ALWAYS,
            probe_bound: 2 * longest.max(LONGEST_PROBE),
        };
        let mut pages: Vec<Page> = Vec::with_capacity(buckets.div_ceil(PAGE));
        let mut rest = order.as_slice();
        for bucket in 0..buckets {
            let here = rest.partition_point(|(key, _)| high(*key) as usize <= bucket);
            let (mine, others) = rest.split_at_checked(here).unwrap_or((rest, &[]));
            rest = others;
            let slots = mine.iter().filter_map(|(key, at)| {
                let entry = entries.get_mut(*at).and_then(Option::take)?;
                Some(Slot::new(low(*key), entry))
            });
            if bucket.is_multiple_of(PAGE) {
                pages.push(Page::empty());
            }
            if let Some(page) = pages.last_mut() {
                page.put(bucket, Filled::with(slots.collect()));
            }
        }
        built.pages = pages.into_iter().map(Leaf::new).collect();
        built.holds = all_hold(&built.pages);
        built
    }

    #[inline]
    pub(crate) fn find(&self, id: &str) -> Option<&Slot> {
        let hash = self.seed.hash(id);
        let bucket = reduce(high(hash), self.buckets);
        let table = self.pages.get(bucket / PAGE)?.page.tables.get(bucket % PAGE)?;
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
        self.tables().flat_map(|table| table.iter().flatten())
    }

    /// The tables of all buckets.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Table> {
        self.pages.iter().flat_map(|leaf| &leaf.page.tables).take(self.buckets)
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    #[cfg(test)]
    pub(crate) fn longest_probe(&self) -> usize {
        let probe = |table: &Table, at: usize, slot: &Slot| {
            let start = reduce(slot.hash, table.len());
            1 + if at < start { at + table.len() - start } else { at - start }
        };
        let of_table = |table: &Table| {
            let taken = table.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
            taken.map(|(at, slot)| probe(table, at, slot)).max().unwrap_or(0)
        };
        self.tables().map(of_table).max().unwrap_or(0)
    }

    #[cfg(test)]
    pub(crate) fn hash(&self, id: &str) -> u64 {
        self.seed.hash(id)
    }

    /// Bytes that the tenants hold, without what allocators add and without profiles.
    pub(crate) fn bytes(&self) -> usize {
        let tables = self.tables().map(|table| size_of_val(&**table)).sum::<usize>();
        let records = self.iter().map(|slot| slot.record.bytes()).sum::<usize>();
        size_of_val(&*self.pages) + self.pages.len() * size_of::<Page>() + tables + records
    }

    /// Puts in and takes out tenants, the last of several edits of one tenant standing, and resolves those again whose
    /// profiles do not hold at `now`. Copies a table once, and only where it has something to do.
    ///
    /// Takes time in proportion to the tables touched, not to the tenants, but for every time that the number of tenants
    /// has doubled or fallen to a quarter: then everything is put into its place anew.
    pub(crate) fn change(
        &mut self,
        edits: impl IntoIterator<Item = Edit>,
        now: Timestamp,
        mut resolve: impl FnMut(Arc<Record>) -> Resolved,
    ) {
        let mut work: BTreeMap<usize, Vec<(u32, Edit)>> = BTreeMap::new();
        for edit in edits {
            let hash = self.seed.hash(edit.id());
            work.entry(reduce(high(hash), self.buckets)).or_default().push((low(hash), edit));
        }
        if !self.holds.contains(now) {
            for (number, leaf) in self.pages.iter().enumerate().filter(|(_, leaf)| !leaf.holds.contains(now)) {
                for (at, _) in leaf.page.holds.iter().enumerate().filter(|(_, holds)| !holds.contains(now)) {
                    work.entry(number * PAGE + at).or_default();
                }
            }
        }
        if work.is_empty() {
            return;
        }
        let mut longest = 0;
        let mut work = work.into_iter().peekable();
        let pages = Arc::make_mut(&mut self.pages);
        while let Some((first, _)) = work.peek() {
            let number = first / PAGE;
            let Some(leaf) = pages.get_mut(number) else { break };
            let page = Arc::make_mut(&mut leaf.page);
            while let Some((bucket, edits)) = work.next_if(|(bucket, _)| bucket / PAGE == number) {
                let held = page.tables.get(bucket % PAGE).map_or(&[][..], |table| table);
                let filled = Filled::with(edited(held, edits, now, &mut resolve));
                self.count = self.count - held.iter().flatten().count() + filled.count;
                longest = longest.max(filled.longest);
                page.put(bucket, filled);
            }
            leaf.holds = page.holds();
        }
        self.holds = all_hold(pages);
        let sparse = self.buckets > 1 && self.count < self.buckets * LEAST;
        if sparse || self.count > self.buckets * MOST || longest > self.probe_bound {
            *self = Self::build(self.iter().map(Slot::resolved).collect());
        }
    }
}

/// The tenants of a table after edits, by hash.
fn edited(
    held: &[Option<Slot>],
    edits: Vec<(u32, Edit)>,
    now: Timestamp,
    resolve: &mut impl FnMut(Arc<Record>) -> Resolved,
) -> Vec<Slot> {
    /// What a tenant comes to by the last that is said of it.
    enum Last {
        Stands(Slot),
        Gone(u32, TenantId),
    }
    impl Last {
        fn key(&self) -> (u32, &str) {
            match self {
                Self::Stands(slot) => (slot.hash, slot.record.id()),
                Self::Gone(hash, id) => (*hash, id.as_str()),
            }
        }
    }
    let mut all: Vec<Last> = Vec::with_capacity(held.len() + edits.len());
    all.extend(held.iter().flatten().map(|slot| {
        let holds = slot.holds.contains(now);
        Last::Stands(if holds { slot.clone() } else { Slot::new(slot.hash, resolve(slot.record.clone())) })
    }));
    all.extend(edits.into_iter().map(|(hash, edit)| match edit {
        Edit::Put(record) => Last::Stands(Slot::new(hash, resolve(record))),
        Edit::Remove(id) => Last::Gone(hash, id),
    }));
    // Stable: of several about one tenant, the last comes last. Ids are compared only where hashes are equal.
    all.sort_by(|a, b| {
        let ((a_hash, a_id), (b_hash, b_id)) = (a.key(), b.key());
        a_hash.cmp(&b_hash).then_with(|| a_id.cmp(b_id))
    });
    keep_last(&mut all, |a, b| a.key() == b.key());
    let stands = all.into_iter().filter_map(|last| match last {
        Last::Stands(slot) => Some(slot),
        Last::Gone(..) => None,
    });
    stands.collect()
}

impl Page {
    fn put(&mut self, bucket: usize, filled: Filled) {
        let at = bucket % PAGE;
        if let (Some(table), Some(holds)) = (self.tables.get_mut(at), self.holds.get_mut(at)) {
            (*table, *holds) = (filled.table, filled.holds);
        }
    }
}

/// A table with its tenants in it.
struct Filled {
    table: Table,
    /// When all profiles in it hold.
    holds: Interval,
    count: usize,
    /// Longest probe in it.
    longest: usize,
}

impl Filled {
    /// A table of tenants that stand in the order of their hashes.
    fn with(mut slots: Vec<Slot>) -> Self {
        let count = slots.len();
        let length = if count == 0 { 0 } else { table_length(count) };
        let mut table: Vec<Option<Slot>> = Vec::new();
        table.resize_with(length, || None);
        // Begins where nothing reaches over from behind, around the end of the table: whoever is put in has been pushed
        // on by those only that start before it, and probes stay as short as they can be.
        let pushed_least = |(at, slot): &(usize, &Slot)| reduce(slot.hash, length) + count - at;
        let first = (0..).zip(&slots).max_by_key(pushed_least).map_or(0, |(at, _)| at);
        slots.rotate_left(first);
        let (mut holds, mut longest) = (Interval::ALWAYS, 0);
        for slot in slots {
            holds = holds.intersect(slot.holds);
            longest = longest.max(insert(&mut table, slot.hash, slot));
        }
        Self { table: table.into(), holds, count, longest }
    }
}

/// The bucket of a hash, and its place in there.
fn key(hash: u64, buckets: usize) -> u64 {
    (reduce(high(hash), buckets) as u64) << 32 | u64::from(low(hash))
}

fn all_hold(pages: &[Leaf]) -> Interval {
    pages.iter().fold(Interval::ALWAYS, |all, leaf| all.intersect(leaf.holds))
}

/// Of neighbours that are the same, keeps the last.
fn keep_last<T>(items: &mut Vec<T>, same: impl Fn(&T, &T) -> bool) {
    items.dedup_by(|later, earlier| {
        let drop = same(earlier, later);
        if drop {
            std::mem::swap(later, earlier);
        }
        drop
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_short() {
        for count in [1, 31, 32, 33, 5_000, 50_000] {
            let names: Vec<String> = (0..count).map(|n| format!("tenant-{n}")).collect();
            let seed = Seed::new(Seed::of(names.iter().map(String::as_str)));
            let buckets = (count / BUCKET).max(1);
            let mut keys: Vec<u64> = names.iter().map(|name| key(seed.hash(name), buckets)).collect();
            keys.sort_unstable();
            let longest = longest_probe(keys.into_iter());
            assert!(longest <= 2 * LONGEST_PROBE, "{count} names need a probe of {longest}");
        }
    }

    #[test]
    fn of_the_same_the_last_is_kept() {
        let mut items = vec![(1, 'a'), (1, 'b'), (2, 'c'), (3, 'd'), (3, 'e'), (3, 'f')];
        keep_last(&mut items, |a, b| a.0 == b.0);
        assert_eq!(items, [(1, 'b'), (2, 'c'), (3, 'f')]);
    }
}
