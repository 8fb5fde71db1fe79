//! The compiler: makes a snapshot of everything, and the next one from what has changed since.

use super::profile::Profiles;
use super::tenants::{Edit, Resolved, Tenants};
use super::{Check, Features, Record, Rules, overflow};
use crate::decide::{self, Standing};
use crate::model::{self, Definitions, Diagnostics};
use crate::wire::SliceContent;
use crate::{Hash, Snapshot, Stamp, TenantId, Timestamp};
use std::sync::Arc;

/// What is kept between one snapshot and the next, as long as the rules stay the same.
///
/// Snapshots share with it, and with each other, whatever did not change.
#[derive(Debug)]
pub(crate) struct Compiler {
    /// Hash of the definitions, without their tenants.
    definitions: Hash,
    rules: Arc<Rules>,
    features: Features,
    profiles: Profiles,
    tenants: Tenants,
}

/// A snapshot of everything on the way: rules first, tenants one by one.
#[derive(Debug)]
pub(crate) struct Building {
    definitions: Hash,
    rules: Rules,
    check: Check,
    sums: Sums,
    records: Vec<Arc<Record>>,
}

/// Whether sums of amounts are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sums {
    Checked,
    /// They were, before the tenant was cut out of the whole. What had ended by then is missing here, and the sums of
    /// that time mean nothing.
    Known,
}

impl Compiler {
    /// Lowers features, plans, add-ons and kill switches, which answers will name by this hash. Tenants come after,
    /// through [`Building::add`]; those of the definitions are not looked at.
    pub(crate) fn begin(definitions: &Definitions, hash: Hash) -> Building {
        let mut check = Check::default();
        let rules = Rules::lower(definitions, &mut check);
        Building { definitions: hash, rules, check, sums: Sums::Checked, records: Vec::new() }
    }

    /// The same for what a slice holds.
    pub(crate) fn begin_slice(content: &SliceContent, hash: Hash) -> Building {
        let mut building = Building { sums: Sums::Known, ..Self::begin(&content.definitions, hash) };
        building.rules.set_static(&content.statics);
        building
    }

    /// The next snapshot: tenants put or, where there is nothing, removed; of several changes to one tenant the last
    /// stands. Without changes it is the same under another stamp.
    ///
    /// Takes time in proportion to the changes and to the tenants whose profiles have come to their end at the stamp's
    /// `issued_at`. How many tenants there are counts for little: a pointer for every 2,000 of them is copied.
    ///
    /// # Errors
    /// Every mistake in the tenants at once; then nothing has changed.
    pub(crate) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = (TenantId, Option<model::Tenant>)>,
        stamp: Stamp,
    ) -> Result<Snapshot, Diagnostics> {
        let mut check = Check::default();
        let lowered = changes.into_iter().filter_map(|(id, tenant)| match tenant {
            Some(tenant) => Some(Edit::Put(Arc::new(lower(&self.rules, &id, &tenant, Sums::Checked, &mut check)?))),
            None => Some(Edit::Remove(id)),
        });
        let edits: Vec<Edit> = lowered.collect();
        Diagnostics::refuse_if_any(check.found)?;

        Ok(self.change(edits, stamp))
    }

    /// The same under another stamp.
    pub(crate) fn restamp(&mut self, stamp: Stamp) -> Snapshot {
        self.change(Vec::new(), stamp)
    }

    fn change(&mut self, edits: Vec<Edit>, stamp: Stamp) -> Snapshot {
        let Self { rules, profiles, tenants, .. } = self;
        let now = stamp.issued_at;
        profiles.turn_to(rules, now);
        let mut touched = edits.len();
        tenants.change(edits, now, |record| {
            touched += 1;
            resolve(rules, profiles, record, now)
        });
        profiles.sweep(touched);
        self.snapshot(stamp)
    }

    /// Lets answers name the definitions by another hash. Only a slice has one that changes by itself: it holds a part of
    /// them.
    pub(crate) fn name_definitions(&mut self, definitions: Hash) {
        self.definitions = definitions;
    }

    fn snapshot(&self, stamp: Stamp) -> Snapshot {
        Snapshot::new(stamp, self.definitions, self.rules.clone(), self.features.clone(), self.tenants.clone())
    }
}

/// Definitions without tenants, lowered to check tenants one by one.
#[derive(Debug)]
pub(crate) struct TenantChecker(Rules);

impl TenantChecker {
    /// Every mistake in a tenant.
    pub(crate) fn check(&self, id: &TenantId, tenant: &model::Tenant) -> Result<(), Diagnostics> {
        let mut check = Check::default();
        lower(&self.0, id, tenant, Sums::Checked, &mut check);
        Diagnostics::refuse_if_any(check.found)
    }
}

impl Building {
    /// The rules alone, where there is no mistake in them.
    pub(crate) fn into_checker(self) -> Result<TenantChecker, Diagnostics> {
        Diagnostics::refuse_if_any(self.check.found)?;
        Ok(TenantChecker(self.rules))
    }

    /// Checks and lowers a tenant. Of several with the same id, the last stands.
    pub(crate) fn add(&mut self, id: &TenantId, tenant: &model::Tenant) {
        self.records.extend(lower(&self.rules, id, tenant, self.sums, &mut self.check).map(Arc::new));
    }

    /// The snapshot, and what makes the next one.
    ///
    /// # Errors
    /// Every mistake in rules and tenants at once.
    pub(crate) fn finish(self, stamp: Stamp) -> Result<(Compiler, Snapshot), Diagnostics> {
        Diagnostics::refuse_if_any(self.check.found)?;
        let (rules, mut profiles, now) = (Arc::new(self.rules), Profiles::default(), stamp.issued_at);
        profiles.turn_to(&rules, now);
        let entries = self.records.into_iter().map(|record| resolve(&rules, &mut profiles, record, now));
        let tenants = Tenants::build(entries.collect());
        let (definitions, features) = (self.definitions, Features::build(&rules.features));
        let compiler = Compiler { definitions, rules, features, profiles, tenants };
        let snapshot = compiler.snapshot(stamp);
        Ok((compiler, snapshot))
    }
}

/// Checks and lowers one tenant; mistakes go to `check`.
fn lower(rules: &Rules, id: &TenantId, tenant: &model::Tenant, sums: Sums, check: &mut Check) -> Option<Record> {
    check.under("tenants", |check| {
        check.under(id.as_str(), |check| {
            let record = Record::lower(id.as_str(), tenant, rules, check)?;
            // With mistakes, the rules are not whole, and the sums would be wrong.
            if check.found.is_empty() && sums == Sums::Checked {
                overflow::refuse_overflow(rules, &record, check);
            }
            Some(record)
        })
    })
}

fn resolve(rules: &Rules, profiles: &mut Profiles, record: Arc<Record>, now: Timestamp) -> Resolved {
    let profile = profiles.of(&Standing::at(rules, &record, now, false));
    let holds = decide::holds(rules, &record, now);
    Resolved { record, profile, holds }
}

#[cfg(all(test, feature = "generate"))]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::super::index::{LONGEST_PROBE, low};
    use super::super::tenants::Table;
    use super::*;
    use crate::generate::{Choices, FleetSpec, fleet, instants, world};
    use crate::model::{Action, Kill, Tenant};
    use crate::{Revision, Timestamp};
    use std::collections::{BTreeMap, HashMap};

    type Batch = BTreeMap<TenantId, Option<Tenant>>;

    fn stamp(issued_at: Timestamp) -> Stamp {
        Stamp { revision: Revision::new(7).unwrap(), issued_at, expires_at: instants().last().copied() }
    }

    fn everything(definitions: &Definitions, stamp: Stamp) -> Result<(Compiler, Snapshot), Diagnostics> {
        let mut building = Compiler::begin(definitions, Hash::default());
        definitions.tenants.iter().for_each(|(id, tenant)| building.add(id, tenant));
        building.finish(stamp)
    }

    fn put(definitions: &mut Definitions, batch: &Batch) {
        for (id, tenant) in batch {
            match tenant {
                Some(tenant) => drop(definitions.tenants.insert(id.clone(), tenant.clone())),
                None => drop(definitions.tenants.remove(id)),
            }
        }
    }

    /// Every answer at these instants.
    fn assert_same_answers(ours: &Snapshot, theirs: &Snapshot, instants: &[Timestamp]) {
        let ids = |snapshot: &Snapshot| {
            let mut ids: Vec<String> = snapshot.tenants().map(|tenant| tenant.id().to_owned()).collect();
            ids.sort();
            ids
        };
        assert_eq!((ids(ours), ours.tenant_count()), (ids(theirs), theirs.tenant_count()));
        assert_eq!(ours.stamp(), theirs.stamp());
        let features: Vec<&str> = theirs.features().map(|(key, _)| key.as_str()).collect();
        for theirs in theirs.tenants() {
            let ours = ours.tenant(theirs.id()).unwrap();
            for now in instants.iter().copied() {
                assert_eq!(ours.entitlements(now), theirs.entitlements(now), "{} at {now}", theirs.id());
                for action in [Action::Use, Action::Read] {
                    assert_eq!(ours.answer_table(action, now), theirs.answer_table(action, now));
                    for feature in &features {
                        assert_eq!(ours.decide(*feature, action, now), theirs.decide(*feature, action, now));
                        assert_eq!(ours.check_limit(*feature, 4, 2, now), theirs.check_limit(*feature, 4, 2, now));
                    }
                }
            }
        }
    }

    /// The grid on which worlds live, and what lies just beside it.
    fn some_instants(choices: &mut Choices<'_>, issued_at: Timestamp) -> Vec<Timestamp> {
        let grid = instants();
        let beside = |shift| Timestamp::from_ms(issued_at.as_ms() + shift).unwrap();
        let mut some = vec![beside(0), beside(-1), beside(1), Timestamp::MIN, Timestamp::MAX];
        some.extend((0..4).map(|_| grid[choices.below(grid.len())]));
        some
    }

    #[test]
    fn what_is_changed_bit_by_bit_equals_what_is_compiled_at_once() {
        let (mut applied, mut refused) = (0, 0);
        for seed in 0..400 {
            let choices = &mut Choices::from_seed(seed);
            let mut definitions = world(choices);
            let grid = instants();
            let mut at = choices.below(4);
            let Ok((mut compiler, _)) = everything(&definitions, stamp(grid[at])) else { continue };
            for _ in 0..8 {
                // Time goes on, mostly; in one batch out of five it stands still, and in some it goes back.
                at = match choices.below(10) {
                    0 => choices.below(grid.len()),
                    1 | 2 => at,
                    _ => (at + choices.below(3)).min(grid.len() - 1),
                };
                let stamp = stamp(grid[at]);
                let mut batch = Batch::new();
                for _ in 0..choices.below(4) {
                    // Tenants of other worlds know these rules by name; a plan version may be missing.
                    let other = world(choices).tenants.into_values().next();
                    let id = format!("tenant{}", choices.below(5)).parse().unwrap();
                    batch.insert(id, other.filter(|_| choices.percent(70)));
                }
                let mut next = definitions.clone();
                put(&mut next, &batch);
                match (compiler.apply(batch, stamp), everything(&next, stamp)) {
                    (Ok(ours), Ok((_, theirs))) => {
                        applied += 1;
                        definitions = next;
                        assert!(ours.tenants().all(|tenant| tenant.slot.holds.contains(stamp.issued_at)));
                        assert_same_answers(&ours, &theirs, &some_instants(choices, stamp.issued_at));
                    }
                    (Err(ours), Err(theirs)) => {
                        refused += 1;
                        assert_eq!(ours, theirs);
                        let ours = compiler.apply([], stamp).unwrap();
                        let (_, theirs) = everything(&definitions, stamp).unwrap();
                        assert_same_answers(&ours, &theirs, &some_instants(choices, stamp.issued_at));
                    }
                    (ours, theirs) => assert_eq!(ours.err(), theirs.err()),
                }
            }
        }
        assert!(applied > 400 && refused > 100, "{applied} applied, {refused} refused");
    }

    #[test]
    fn a_fleet_that_lives_for_months_equals_one_compiled_at_once() {
        let mut definitions = fleet(&FleetSpec { tenants: 700, features: 40, ..FleetSpec::default() });
        let at_first: Vec<TenantId> = definitions.tenants.keys().take(400).cloned().collect();
        let mut others = definitions.tenants.split_off(at_first.last().unwrap()).into_iter();
        let start = FleetSpec::reference_instant();
        let (mut compiler, _) = everything(&definitions, stamp(start)).unwrap();
        for week in 1..=30 {
            let now = Timestamp::from_ms(start.as_ms() + week * 7 * 86_400_000).unwrap();
            let mut batch: Batch = others.by_ref().take(9).map(|(id, tenant)| (id, Some(tenant))).collect();
            batch.extend(definitions.tenants.keys().step_by(97).map(|id| (id.clone(), None)));
            put(&mut definitions, &batch);
            let ours = compiler.apply(batch, stamp(now)).unwrap();
            // Every profile holds: nobody is resolved on the way to an answer.
            assert!(ours.tenants().all(|tenant| tenant.slot.holds.contains(now)));
            if week % 5 == 0 {
                let (_, theirs) = everything(&definitions, stamp(now)).unwrap();
                assert_same_answers(&ours, &theirs, &[now]);
            }
        }
    }

    #[test]
    fn kill_switches_of_the_rules_come_and_go() {
        let mut definitions = fleet(&FleetSpec { tenants: 100, features: 20, ..FleetSpec::default() });
        let start = FleetSpec::reference_instant();
        let [on, off] = [1, 2].map(|later| Timestamp::from_ms(start.as_ms() + later).unwrap());
        for (number, feature) in definitions.features.keys().enumerate() {
            let (feature, reason, actor) = (feature.clone(), "incident".into(), "ops".into());
            let kill = Kill { feature, since: on, until: Some(off), reason, actor };
            definitions.kills.insert(format!("kill{number}").parse().unwrap(), kill);
        }
        let (mut compiler, _) = everything(&definitions, stamp(start)).unwrap();
        for now in [on, off, on, start] {
            let ours = compiler.apply([], stamp(now)).unwrap();
            assert_same_answers(&ours, &everything(&definitions, stamp(now)).unwrap().1, &[start, on, off]);
        }
    }

    fn tables(snapshot: &Snapshot) -> Vec<&Table> {
        snapshot.tenants.tables().collect()
    }

    fn copied(before: &Snapshot, after: &Snapshot) -> usize {
        let both = tables(before).into_iter().zip(tables(after));
        both.filter(|(a, b)| !Arc::ptr_eq(a, b)).count()
    }

    #[test]
    fn one_changed_tenant_copies_one_table() {
        let definitions = fleet(&FleetSpec { tenants: 10_000, features: 20, ..FleetSpec::default() });
        let stamp = Stamp { expires_at: None, ..stamp(FleetSpec::reference_instant()) };
        let (mut compiler, first) = everything(&definitions, stamp).unwrap();
        let [one, other] = [0, 1].map(|n| definitions.tenants.iter().nth(n).unwrap());
        let second = compiler.apply([(one.0.clone(), Some(other.1.clone()))], stamp).unwrap();
        assert_eq!((tables(&first).len(), copied(&first, &second)), (312, 1));
        assert!(Arc::ptr_eq(&first.rules, &second.rules));
        let third = compiler.apply([], stamp).unwrap();
        assert_eq!(copied(&second, &third), 0);
        let fourth = compiler.apply([(one.0.clone(), None), ("nobody".parse().unwrap(), None)], stamp).unwrap();
        assert!((1..=2).contains(&copied(&third, &fourth)));
        assert_eq!((third.tenant_count(), fourth.tenant_count()), (10_000, 9_999));
        // The first is as it was.
        let (_, again) = everything(&definitions, stamp).unwrap();
        let (a, b) = (first.tenant(one.0.as_str()).unwrap(), again.tenant(one.0.as_str()).unwrap());
        assert_eq!(a.entitlements(stamp.issued_at), b.entitlements(stamp.issued_at));
    }

    #[test]
    fn only_what_has_ended_is_resolved_again() {
        let definitions = fleet(&FleetSpec { tenants: 10_000, features: 20, ..FleetSpec::default() });
        let start = stamp(FleetSpec::reference_instant());
        let (mut compiler, first) = everything(&definitions, start).unwrap();
        let ends = first.tenants().filter_map(|tenant| tenant.slot.holds.until());
        let first_end = ends.min().unwrap();
        let before = Stamp { issued_at: Timestamp::from_ms(first_end.as_ms() - 1).unwrap(), ..start };
        let second = compiler.apply([], before).unwrap();
        assert_eq!(copied(&first, &second), 0);
        let third = compiler.apply([], Stamp { issued_at: first_end, ..start }).unwrap();
        let ended = first.tenants().filter(|tenant| !tenant.slot.holds.contains(first_end)).count();
        assert!((1..=ended).contains(&copied(&second, &third)), "{ended} ended");
        assert!(third.tenants().all(|tenant| tenant.slot.holds.contains(first_end)));
    }

    #[test]
    fn a_fleet_grows_one_by_one_and_goes_again() {
        let definitions = fleet(&FleetSpec { tenants: 5_000, features: 10, ..FleetSpec::default() });
        let (rules, stamp) = (Definitions { tenants: BTreeMap::new(), ..definitions.clone() }, stamp(instants()[0]));
        let (mut compiler, mut snapshot) = everything(&rules, stamp).unwrap();
        let mut most = 0;
        let ids: Vec<&TenantId> = definitions.tenants.keys().collect();
        for (at, (id, tenant)) in definitions.tenants.iter().enumerate() {
            assert!(snapshot.tenant(id.as_str()).is_err());
            snapshot = compiler.apply([(id.clone(), Some(tenant.clone()))], stamp).unwrap();
            assert_eq!(snapshot.tenant_count(), at + 1);
            most = most.max(tables(&snapshot).len());
            if (at + 1).is_power_of_two() {
                assert!(ids[..=at].iter().all(|id| snapshot.tenant(id.as_str()).is_ok()));
            }
            assert!(snapshot.tenants.longest_probe() <= LONGEST_PROBE);
        }
        assert!((5_000 / 64..=5_000 / 8).contains(&tables(&snapshot).len()));
        assert_same_answers(&snapshot, &everything(&definitions, stamp).unwrap().1, &[stamp.issued_at]);
        for (at, id) in ids.iter().enumerate() {
            assert!(snapshot.tenant(id.as_str()).is_ok());
            snapshot = compiler.apply([((*id).clone(), None)], stamp).unwrap();
            assert_eq!(snapshot.tenant_count(), 5_000 - at - 1);
            if (at + 1).is_power_of_two() {
                assert!(ids[..=at].iter().all(|id| snapshot.tenant(id.as_str()).is_err()));
                assert!(ids[at + 1..].iter().all(|id| snapshot.tenant(id.as_str()).is_ok()));
            }
        }
        assert_eq!((tables(&snapshot).len(), snapshot.tenants().count(), snapshot.profile_count()), (1, 0, 0));
        drop(snapshot);
        assert!(compiler.profiles.len() <= 200, "{} profiles that nobody has", compiler.profiles.len());
    }

    #[test]
    fn of_several_changes_to_a_tenant_the_last_stands() {
        let definitions = fleet(&FleetSpec { tenants: 100, features: 20, ..FleetSpec::default() });
        let stamp = stamp(FleetSpec::reference_instant());
        let mut tenants = definitions.tenants.iter();
        let ((id, mine), (_, other)) = (tenants.next().unwrap(), tenants.next().unwrap());
        let (_, all) = everything(&definitions, stamp).unwrap();
        let expected = all.tenant(id.as_str()).unwrap().entitlements(stamp.issued_at);

        let mut building = Compiler::begin(&definitions, Hash::default());
        building.add(id, other);
        building.add(id, mine);
        let (mut compiler, first) = building.finish(stamp).unwrap();
        let change = |tenant: Option<&Tenant>| (id.clone(), tenant.cloned());
        let second = compiler.apply([change(None), change(Some(other)), change(Some(mine))], stamp).unwrap();
        for snapshot in [first, second] {
            assert_eq!(snapshot.tenant_count(), 1);
            assert_eq!(snapshot.tenant(id.as_str()).unwrap().entitlements(stamp.issued_at), expected);
        }
        let third = compiler.apply([change(Some(mine)), change(None)], stamp).unwrap();
        assert_eq!(third.tenant_count(), 0);
    }

    #[test]
    fn a_flood_brings_another_seed() {
        let definitions = fleet(&FleetSpec { tenants: 100, features: 20, ..FleetSpec::default() });
        let rules = Definitions { tenants: BTreeMap::new(), ..definitions.clone() };
        let stamp = stamp(FleetSpec::reference_instant());
        let (mut compiler, _) = everything(&rules, stamp).unwrap();
        let before = compiler.tenants.hash("flood");
        // All would begin at the first place of their table.
        let names =
            (0..).map(|n| format!("flood-{n}")).filter(|name| compiler.tenants.hash(name) as u32 <= u32::MAX / 200);
        let names: Vec<String> = names.take(60).collect();
        let mut changes =
            names.iter().map(|name| name.parse().unwrap()).zip(definitions.tenants.into_values().map(Some));
        let few = compiler.apply(changes.by_ref().take(40), stamp).unwrap();
        assert_eq!(compiler.tenants.hash("flood"), before, "as many as are put up with");
        let all = compiler.apply(changes, stamp).unwrap();
        assert_ne!(compiler.tenants.hash("flood"), before);
        assert!(names[..40].iter().all(|name| few.tenant(name).is_ok() && all.tenant(name).is_ok()));
        assert!(names[40..].iter().all(|name| few.tenant(name).is_err() && all.tenant(name).is_ok()));
    }

    #[test]
    fn handles_on_features_stay_good() {
        let definitions = fleet(&FleetSpec { tenants: 10, features: 20, ..FleetSpec::default() });
        let stamp = stamp(FleetSpec::reference_instant());
        let (mut compiler, first) = everything(&definitions, stamp).unwrap();
        let second = compiler.apply([], stamp).unwrap();
        assert_eq!(first.numbering(), second.numbering());
    }

    #[test]
    fn threads_may_share_both() {
        fn shared<T: Send + Sync>() {}
        shared::<Compiler>();
        shared::<Snapshot>();
    }

    /// Two ids whose hashes are equal, as `tenants` hashes.
    fn alike(tenants: &crate::compile::Tenants, name: impl Fn(usize) -> String) -> [TenantId; 2] {
        let mut seen = HashMap::new();
        let found = (0..).map(name).find_map(|name| {
            let other = seen.insert(low(tenants.hash(&name)), name.clone())?;
            Some([other, name])
        });
        found.unwrap().map(|name| name.parse().unwrap())
    }

    #[test]
    fn ids_with_equal_hashes_are_told_apart() {
        let definitions = fleet(&FleetSpec { tenants: 3, features: 10, ..FleetSpec::default() });
        let (mut compiler, first) = everything(&definitions, stamp(FleetSpec::reference_instant())).unwrap();
        let tenant = definitions.tenants.values().next().unwrap();
        let short = |n: usize| format!("t{n:08}");
        // Where they differ, their places in the table do not show it.
        let long = |n: usize| format!("{}{n:08}", "x".repeat(39));
        for [a, b] in [alike(&first.tenants, short), alike(&first.tenants, long)] {
            assert_eq!((a.as_str().len(), tables(&first).len()), (b.as_str().len(), 1));
            let mut next = |changes: &[(&TenantId, bool)]| {
                let changes = changes.iter().map(|(id, stays)| ((*id).clone(), stays.then(|| tenant.clone())));
                let snapshot = compiler.apply(changes, first.stamp()).unwrap();
                [&a, &b].map(|id| snapshot.tenant(id.as_str()).map(|found| found.id() == id.as_str()).ok())
            };
            assert_eq!(next(&[(&a, true)]), [Some(true), None]);
            assert_eq!(next(&[(&b, true)]), [Some(true), Some(true)]);
            assert_eq!(next(&[(&a, false)]), [None, Some(true)]);
            assert_eq!(next(&[(&a, true), (&b, false)]), [Some(true), None]);
            assert_eq!(next(&[(&a, false)]), [None, None]);
        }
    }
}
