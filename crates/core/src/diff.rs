//! What differs: between two tenants, and between two snapshots over a whole fleet.

use crate::compile::{FeatureIx, FeatureRule, Profile, Profiles, Rules};
use crate::decide::{Standing, Status};
use crate::model::{Access, Action, Kind, Mode, Window};
use crate::{Error, FeatureKey, PlanKey, Revision, Snapshot, SortedSet, TenantId, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// What one set of answers has over another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Difference {
    /// The plan, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Moved<Option<PlanKey>>>,
    /// The access level, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access: Option<Moved<Access>>,
    /// The displayed status, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Moved<Status>>,
    /// Switches that may be used now and could not.
    pub gained: Vec<FeatureKey>,
    /// Switches that could be used and may not now.
    pub lost: Vec<FeatureKey>,
    /// Features of any kind that may be read now and could not, where using them is as before.
    pub read_gained: Vec<FeatureKey>,
    /// Features of any kind that could be read and may not now, where using them is as before.
    pub read_lost: Vec<FeatureKey>,
    /// Limits whose amount, mode, thresholds, window or unit are other ones, or that went on or off.
    pub limits: Vec<LimitMoved>,
    /// Values that are other ones.
    pub values: Vec<ValueMoved>,
}

/// Before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(inline))]
pub struct Moved<T> {
    /// Before.
    pub from: T,
    /// After.
    pub to: T,
}

impl<T: PartialEq> Moved<T> {
    fn between(from: T, to: T) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

/// A limit that is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitMoved {
    /// The limit.
    pub feature: FeatureKey,
    /// The amount before: nothing when unlimited, 0 when off or not defined.
    pub from: Option<u64>,
    /// The amount after: nothing when unlimited, 0 when off or not defined.
    pub to: Option<u64>,
    /// The mode, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Moved<Mode>>,
    /// The thresholds, where they are other ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Moved<Arc<[u16]>>>,
    /// How often it begins anew, where that is another time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<Moved<Window>>,
    /// The unit, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Moved<Arc<str>>>,
}

/// A value that is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ValueMoved {
    /// The value feature.
    pub feature: FeatureKey,
    /// The value before; nothing when off or not defined.
    pub from: Option<Arc<Value>>,
    /// The value after; nothing when off or not defined.
    pub to: Option<Arc<Value>>,
}

impl Difference {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The features that are concerned, in any way, by key.
    fn features(&self) -> Vec<FeatureKey> {
        let switches = self.gained.iter().chain(&self.lost).chain(&self.read_gained).chain(&self.read_lost);
        let moved =
            self.limits.iter().map(|limit| &limit.feature).chain(self.values.iter().map(|value| &value.feature));
        let features = SortedSet::<&FeatureKey>::of(switches.chain(moved).collect());
        features.into_iter().cloned().collect()
    }

    fn compare(&mut self, key: &FeatureKey, before: &Answer<'_>, after: &Answer<'_>) {
        let switch_on = |answer: &Answer<'_>| answer.on && answer.kind == Some(Kind::Switch);
        if switch_on(before) != switch_on(after) {
            if switch_on(after) { &mut self.gained } else { &mut self.lost }.push(key.clone());
        }
        if before.readable != after.readable && before.on == after.on {
            if after.readable { &mut self.read_gained } else { &mut self.read_lost }.push(key.clone());
        }
        let mode_of_both = before.mode.zip(after.mode);
        let mode = mode_of_both.and_then(|(from, to)| Moved::between(from, to));
        let thresholds = mode_of_both.and_then(|_| {
            let listed = |answer: &Answer<'_>| answer.thresholds.cloned().unwrap_or_default();
            Moved::between(listed(before), listed(after))
        });
        // Of a limit that is off on one side, there is nothing to compare but that.
        let window = mode_of_both.and_then(|_| Moved::between(before.window, after.window));
        let other_unit = mode_of_both.filter(|_| before.unit != after.unit);
        let unit = other_unit.map(|_| Moved { from: before.unit.into(), to: after.unit.into() });
        // An amount of 0 is on; going off from there is a move from 0 to 0.
        let switched = before.mode.is_some() != after.mode.is_some();
        let terms = mode.is_some() || thresholds.is_some() || window.is_some() || unit.is_some();
        if before.amount != after.amount || switched || terms {
            let (from, to) = (before.amount, after.amount);
            self.limits.push(LimitMoved { feature: key.clone(), from, to, mode, thresholds, window, unit });
        }
        if before.value != after.value {
            let (from, to) = (before.value.cloned(), after.value.cloned());
            self.values.push(ValueMoved { feature: key.clone(), from, to });
        }
    }
}

/// Two sets of rules, side by side.
pub(crate) struct Comparison<'r> {
    before: &'r Rules,
    after: &'r Rules,
    /// Every feature of either, with what each calls it.
    features: Vec<(&'r FeatureKey, Rule<'r>, Rule<'r>)>,
}

/// A feature in one set of rules, if it is defined there.
type Rule<'r> = Option<(FeatureIx, &'r FeatureRule)>;

impl<'r> Comparison<'r> {
    pub(crate) fn of(before: &'r Rules, after: &'r Rules) -> Self {
        let rule = |rules: &'r Rules, key: &FeatureKey| {
            let ix = rules.feature_ix(key.as_str())?;
            Some((ix, rules.feature(ix)?))
        };
        let keys = before.features.iter().chain(&after.features).map(|feature| &feature.key);
        let keys = SortedSet::<&FeatureKey>::of(keys.collect());
        let features = keys.into_iter().map(|key| (key, rule(before, key), rule(after, key))).collect();
        Self { before, after, features }
    }

    /// What the second profile, made by the second rules, has over the first.
    pub(crate) fn difference(&self, before: &Profile, after: &Profile) -> Difference {
        let plan = |rules: &Rules, profile: &Profile| {
            profile.plan.and_then(|(plan, _)| rules.plan(plan)).map(|plan| plan.key.clone())
        };
        let mut difference = Difference {
            plan: Moved::between(plan(self.before, before), plan(self.after, after)),
            access: Moved::between(before.access, after.access),
            status: Moved::between(before.status, after.status),
            ..Difference::default()
        };
        for (key, rule_before, rule_after) in &self.features {
            difference.compare(key, &Answer::of(*rule_before, before), &Answer::of(*rule_after, after));
        }
        difference
    }
}

/// The answer about one feature, in a form that compares across kinds and definitions.
struct Answer<'p> {
    kind: Option<Kind>,
    on: bool,
    readable: bool,
    /// Terms of a limit that is on.
    amount: Option<u64>,
    mode: Option<Mode>,
    thresholds: Option<&'p Arc<[u16]>>,
    window: Window,
    unit: &'p str,
    value: Option<&'p Arc<Value>>,
}

impl<'p> Answer<'p> {
    fn of(rule: Rule<'p>, profile: &'p Profile) -> Self {
        let mut answer = Self {
            kind: None,
            on: false,
            readable: false,
            amount: Some(0),
            mode: None,
            thresholds: None,
            window: Window::None,
            unit: "",
            value: None,
        };
        let Some((ix, rule)) = rule else { return answer };
        let on = profile.is_on(ix, Action::Use);
        answer.kind = Some(rule.kind);
        answer.on = on;
        answer.readable = profile.is_on(ix, Action::Read);
        match rule.kind {
            Kind::Switch => {}
            Kind::Limit => {
                if let Some(terms) = profile.limit(rule.ordinal).filter(|_| on) {
                    answer.amount = terms.amount.finite();
                    answer.mode = Some(terms.mode);
                    answer.thresholds = terms.thresholds.as_ref();
                    answer.window = rule.window;
                    answer.unit = &rule.unit;
                }
            }
            Kind::Value => answer.value = profile.value(rule.ordinal).filter(|_| on),
        }
        answer
    }
}

/// What a new snapshot changes for a whole fleet at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FleetDiff {
    /// The instant at which both are asked.
    pub at: Timestamp,
    /// The revisions compared.
    pub revision: Moved<Revision>,
    /// Tenants that only the new snapshot has.
    pub added: Vec<TenantId>,
    /// Tenants that only the old snapshot has.
    pub removed: Vec<TenantId>,
    /// How many tenants have other answers.
    pub changed: usize,
    /// How many tenants have the same answers.
    pub unchanged: usize,
    /// How many tenants gain, lose or see moved what, by their plan in the new snapshot.
    pub features: Vec<FeatureDiff>,
    /// Tenants with other answers, together where the same things change: the largest group first.
    pub groups: Vec<DiffGroup>,
}

/// How many tenants of one plan gain, lose or see moved one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FeatureDiff {
    /// The plan in the new snapshot.
    pub plan: Option<PlanKey>,
    /// The feature.
    pub feature: FeatureKey,
    /// Tenants for whom the switch goes on.
    pub gained: usize,
    /// Tenants for whom the switch goes off.
    pub lost: usize,
    /// Tenants for whom the limit or value is another one, or for whom reading is newly allowed or refused.
    pub moved: usize,
}

/// Tenants for whom the same things change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffGroup {
    /// How many they are.
    pub tenants: usize,
    /// The first few of them, by id.
    pub examples: Vec<TenantId>,
    /// Their plan in the new snapshot.
    pub on_plan: Option<PlanKey>,
    /// What changes.
    #[serde(flatten)]
    pub difference: Difference,
}

/// How many examples a group names.
const EXAMPLES: usize = 5;

/// Profiles at one instant: compiled ones where they hold, others made once for all tenants that share them.
struct ProfilesAt<'s> {
    snapshot: &'s Snapshot,
    now: Timestamp,
    made: Profiles,
}

impl<'s> ProfilesAt<'s> {
    fn new(snapshot: &'s Snapshot, now: Timestamp) -> Self {
        Self { snapshot, now, made: Profiles::default() }
    }

    fn of(&mut self, tenant: &crate::PinnedTenant<'s>) -> Arc<Profile> {
        match tenant.profile_at(self.now) {
            Some(profile) => profile.clone(),
            None => {
                let expired = self.snapshot.is_expired(self.now);
                let standing = Standing::at(&self.snapshot.rules, &tenant.slot.record, self.now, expired);
                self.made.of(&standing)
            }
        }
    }
}

/// The tenants that share a pair of profiles.
#[derive(Default)]
struct Sharers {
    count: usize,
    /// The first few by id.
    examples: Vec<String>,
}

impl Sharers {
    fn add(&mut self, id: &str) {
        self.count += 1;
        self.keep(id);
    }

    fn join(&mut self, others: Self) {
        self.count += others.count;
        others.examples.iter().for_each(|id| self.keep(id));
    }

    fn keep(&mut self, id: &str) {
        if self.examples.len() == EXAMPLES && self.examples.last().is_some_and(|last| last.as_str() <= id) {
            return;
        }
        let at = self.examples.partition_point(|held| held.as_str() < id);
        self.examples.insert(at, id.to_owned());
        self.examples.truncate(EXAMPLES);
    }
}

impl Snapshot {
    /// Every tenant of this snapshot beside the same one in an older one, by the pair of profiles that they share: how
    /// each pair is kept is the caller's. Gives those that the older one does not have, too.
    fn pairs<'s, K: Default>(
        &'s self,
        older: &'s Self,
        now: Timestamp,
        mut keep: impl FnMut(&mut K, &str),
    ) -> (Vec<TenantId>, impl Iterator<Item = (Arc<Profile>, Arc<Profile>, K)>) {
        let mut before = ProfilesAt::new(older, now);
        let mut after = ProfilesAt::new(self, now);
        let mut pairs: HashMap<_, (Arc<Profile>, Arc<Profile>, K)> = HashMap::new();
        let mut added = Vec::new();
        for tenant in self.tenants() {
            let Ok(old) = older.tenant(tenant.id()) else {
                added.extend(tenant.id().parse::<TenantId>());
                continue;
            };
            let (from, to) = (before.of(&old), after.of(&tenant));
            let pair = pairs.entry((Arc::as_ptr(&from), Arc::as_ptr(&to)));
            keep(&mut pair.or_insert_with(|| (from, to, K::default())).2, tenant.id());
        }
        added.sort();
        (added, pairs.into_values())
    }

    /// Tenants of an older snapshot that this one does not have, by id.
    fn removed(&self, older: &Self) -> Vec<TenantId> {
        let gone = older.tenants().filter(|tenant| self.tenant(tenant.id()).is_err());
        let mut removed: Vec<TenantId> = gone.filter_map(|tenant| tenant.id().parse().ok()).collect();
        removed.sort();
        removed
    }

    /// What this snapshot changes over an older one. Tenants are compared once for each pair of profiles that they
    /// share, however many they are.
    #[must_use]
    pub fn diff(&self, older: &Self, now: Timestamp) -> FleetDiff {
        let (added, pairs) = self.pairs(older, now, Sharers::add);
        let mut diff = FleetDiff {
            at: now,
            revision: Moved { from: older.stamp().revision, to: self.stamp().revision },
            added,
            removed: self.removed(older),
            changed: 0,
            unchanged: 0,
            features: Vec::new(),
            groups: Vec::new(),
        };
        let comparison = Comparison::of(&older.rules, &self.rules);
        let mut groups: HashMap<(Option<PlanKey>, Difference), Sharers> = HashMap::new();
        for (from, to, sharers) in pairs {
            let difference = comparison.difference(&from, &to);
            if difference.is_empty() {
                diff.unchanged += sharers.count;
            } else {
                diff.changed += sharers.count;
                let on_plan = to.plan.and_then(|(plan, _)| self.rules.plan(plan)).map(|plan| plan.key.clone());
                groups.entry((on_plan, difference)).or_default().join(sharers);
            }
        }
        let group = |((on_plan, difference), sharers): ((Option<PlanKey>, Difference), Sharers)| DiffGroup {
            tenants: sharers.count,
            examples: sharers.examples.iter().filter_map(|id| id.parse().ok()).collect(),
            on_plan,
            difference,
        };
        diff.groups = groups.into_iter().map(group).collect();
        diff.groups.sort_by(|a, b| (b.tenants, &a.examples).cmp(&(a.tenants, &b.examples)));
        diff.features = diff.per_feature();
        diff
    }

    /// Whose answers are other ones than in an older snapshot, and to which features: what a host tells those who wait for
    /// changes. The cost is that of [`diff`](Self::diff).
    #[must_use]
    pub fn changes(&self, older: &Self, now: Timestamp) -> Changes {
        let keep = |tenants: &mut Vec<TenantId>, id: &str| tenants.extend(id.parse::<TenantId>());
        let (added, pairs) = self.pairs(older, now, keep);
        let comparison = Comparison::of(&older.rules, &self.rules);
        let mut groups: BTreeMap<Vec<FeatureKey>, Vec<TenantId>> = BTreeMap::new();
        for (from, to, tenants) in pairs {
            let difference = comparison.difference(&from, &to);
            if !difference.is_empty() {
                groups.entry(difference.features()).or_default().extend(tenants);
            }
        }
        let group = |(features, mut tenants): (Vec<FeatureKey>, Vec<TenantId>)| {
            tenants.sort();
            ChangedTenants { features, tenants }
        };
        let revision = Moved { from: older.stamp().revision, to: self.stamp().revision };
        let groups = groups.into_iter().map(group).collect();
        Changes { revision, added, removed: self.removed(older), groups }
    }

    /// What a tenant would have more, less or otherwise if it were the other one.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn diff_tenants(&self, tenant: &str, other: &str, now: Timestamp) -> Result<Difference, Error> {
        let (tenant, other) = (self.tenant(tenant)?, self.tenant(other)?);
        Ok(tenant.with_profile(now, |from| {
            other.with_profile(now, |to| Comparison::of(&self.rules, &self.rules).difference(from, to))
        }))
    }
}

/// Whose answers are other ones than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Changes {
    /// The revisions compared.
    pub revision: Moved<Revision>,
    /// Tenants that only the new snapshot has.
    pub added: Vec<TenantId>,
    /// Tenants that only the old snapshot has.
    pub removed: Vec<TenantId>,
    /// Tenants with other answers, together where the same features are concerned.
    pub groups: Vec<ChangedTenants>,
}

/// Tenants whose answers to the same features are other ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangedTenants {
    /// The features, by key; none where only plan, access or status is another one.
    pub features: Vec<FeatureKey>,
    /// The tenants, by id.
    pub tenants: Vec<TenantId>,
}

impl FleetDiff {
    fn per_feature(&self) -> Vec<FeatureDiff> {
        let mut counts: BTreeMap<(Option<&PlanKey>, &FeatureKey), [usize; 3]> = BTreeMap::new();
        for group in &self.groups {
            let difference = &group.difference;
            let moved = difference.limits.iter().map(|limit| &limit.feature);
            let moved = moved.chain(difference.values.iter().map(|value| &value.feature));
            let read = difference.read_gained.iter().chain(&difference.read_lost);
            // A feature that moves in two ways moves once.
            let moved = SortedSet::<&FeatureKey>::of(moved.chain(read).collect());
            let moved = moved.into_iter().map(|key| (2, key));
            let gained = difference.gained.iter().map(|key| (0, key));
            for (column, key) in gained.chain(difference.lost.iter().map(|key| (1, key))).chain(moved) {
                let row = counts.entry((group.on_plan.as_ref(), key)).or_default();
                if let Some(count) = row.get_mut(column) {
                    *count += group.tenants;
                }
            }
        }
        let rows = counts.into_iter().map(|((plan, feature), [gained, lost, moved])| FeatureDiff {
            plan: plan.cloned(),
            feature: feature.clone(),
            gained,
            lost,
            moved,
        });
        rows.collect()
    }
}
