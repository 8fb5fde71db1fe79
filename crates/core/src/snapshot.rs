//! A compiled snapshot: everything the engine needs, immutable.

use crate::compile::{self, Compiler, FeatureIx, FeatureRule, Features, Profile, Rules, Slot, Tenants};
use crate::decide::{
    self, AnswerTable, Decision, Entitlements, Freshness, LicenceInEffect, Limit, LimitAnswer, Payload, Provenance,
    Silent, Standing, Status,
};
use crate::model::{self, Action, Definitions, Diagnostic, Diagnostics, Kind, Source};
use crate::time::Interval;
use crate::wire::Capability;
use crate::{Error, FeatureKey, Hash, PlanKey, Revision, Timestamp, WorkflowKey, build};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a snapshot's head says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Which snapshot it is.
    pub revision: Revision,
    /// When it was issued. Profiles are compiled for the time around this instant.
    pub issued_at: Timestamp,
    /// When it stops being fresh; without it, never.
    pub expires_at: Option<Timestamp>,
}

/// Where a snapshot came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The source that is followed.
    Source,
    /// The copy that was kept of the last good one.
    LastKnownGood,
    /// A file that holds all of it.
    Pack,
}

/// A compiled snapshot: rules, tenants and their profiles, immutable and shared freely between threads.
///
/// An [`Engine`](crate::Engine) holds one and swaps it for the next. A snapshot by itself is a pinned view: all answers
/// come from the same revision.
///
/// ```
/// use leasehold::{Snapshot, Stamp, Revision, Timestamp, model::{Source, load}};
/// let file = Source { name: "demo.json".into(), bytes: r#"{
///   "features": { "orders": { "kind": "switch", "name": "Orders", "name2": "الطلبات", "group": "module", "default": true } },
///   "tenants": { "t1": { "name": "One", "name2": "واحد", "region": "GCC-OM", "anchor": "2026-01-01T00:00:00Z" } }
/// }"#.into() };
/// let now: Timestamp = "2026-03-01T08:00:00Z".parse()?;
/// let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
/// let snapshot = Snapshot::compile(&load(&[file])?, stamp)?;
/// assert!(snapshot.tenant("t1")?.is_enabled("orders", now)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) stamp: Stamp,
    /// The definitions that it was compiled from, without their tenants.
    definitions: Hash,
    /// Whether the source stands by it; a copy that was kept is only believed.
    confirmed: bool,
    /// Whether it is about one tenant, with what that needs of the definitions.
    pub(crate) sliced: bool,
    pub(crate) rules: Arc<Rules>,
    pub(crate) tenants: Tenants,
    features: Features,
    /// When answers change because the head has expired, from when on profiles do not hold; never, where every feature
    /// is served stale.
    stale_from: Timestamp,
}

/// What answers name the definitions by. What has no canonical form has no hash either, and does not compile.
fn hash_of(definitions: &Definitions) -> Hash {
    build::definitions_hash(definitions).unwrap_or_default()
}

/// How much memory a snapshot holds, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Tenants: ids, facts and their places in the index.
    pub tenants: usize,
    /// Distinct profiles together.
    pub profiles: usize,
}

impl Snapshot {
    /// Checks definitions as a whole and compiles them.
    ///
    /// # Errors
    /// Every mistake at once. Nothing is produced unless all of it is right.
    pub fn compile(definitions: &Definitions, stamp: Stamp) -> Result<Self, Diagnostics> {
        let mut building = Compiler::begin(definitions, hash_of(definitions));
        definitions.tenants.iter().for_each(|(id, tenant)| building.add(id, tenant));
        building.finish(stamp).map(|(_, snapshot)| snapshot)
    }

    /// A snapshot of what is compiled.
    pub(crate) fn new(
        stamp: Stamp,
        definitions: Hash,
        rules: Arc<Rules>,
        features: Features,
        tenants: Tenants,
    ) -> Self {
        let stale_from = stamp.expires_at.filter(|_| rules.any_stale_off).unwrap_or(Timestamp::MAX);
        Self { stamp, definitions, confirmed: true, sliced: false, rules, tenants, features, stale_from }
    }

    /// The same, as far as can be known without its source.
    pub(crate) fn restored(self) -> Self {
        Self { confirmed: false, ..self }
    }

    /// The same, made from what one tenant needs of the definitions and nothing else.
    pub(crate) fn sliced(self) -> Self {
        Self { sliced: true, ..self }
    }

    /// Reads, checks and compiles definitions files.
    ///
    /// # Errors
    /// Every mistake at once, each with its file.
    pub fn from_sources(sources: &[Source], stamp: Stamp) -> Result<Self, Diagnostics> {
        let mut definitions = model::load(sources)?;
        let tenants = std::mem::take(&mut definitions.tenants);
        let mut building = Compiler::begin(&definitions, hash_of(&definitions));
        // Each is dropped once it is compiled.
        tenants.into_iter().for_each(|(id, tenant)| building.add(&id, &tenant));
        building.finish(stamp).map(|(_, snapshot)| snapshot).map_err(|mut refused| {
            model::locate(refused.as_mut_slice(), sources);
            refused
        })
    }

    /// What the snapshot's head says of it.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The hash of the definitions that it was compiled from, without their tenants.
    #[must_use]
    pub fn definitions(&self) -> Hash {
        self.definitions
    }

    /// What an engine must be built with to answer every question: see [`Capability`].
    #[must_use]
    pub fn needs(&self) -> Vec<Capability> {
        if self.rules.templates.needs_rhai() { vec![Capability::Rhai] } else { Vec::new() }
    }

    /// How sure it is that this snapshot is the newest.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if self.is_expired(now) {
            Freshness::Stale
        } else if self.confirmed {
            Freshness::Fresh
        } else {
            Freshness::Fallback
        }
    }

    /// What decisions say of this snapshot.
    pub(crate) fn provenance(&self, now: Timestamp) -> Provenance {
        let (revision, definitions) = (self.stamp.revision, self.definitions);
        Provenance { revision, freshness: self.freshness(now), definitions }
    }

    /// Warnings about what is allowed and most likely not meant: see [`DiagnosticCode`](crate::model::DiagnosticCode).
    #[must_use]
    pub fn warnings(&self) -> Vec<Diagnostic> {
        compile::lint(self)
    }

    /// One tenant in this snapshot.
    ///
    /// # Errors
    /// `unknown_tenant`.
    pub fn tenant(&self, id: &str) -> Result<PinnedTenant<'_>, Error> {
        match self.tenants.find(id) {
            Some(slot) => Ok(PinnedTenant { snapshot: self, slot }),
            None if self.sliced => Err(Error::NotInSlice(id.into())),
            None => Err(Error::UnknownTenant(id.into())),
        }
    }

    /// Refuses a question for which a slice does not hold enough.
    pub(crate) fn needs_whole(&self, question: &str) -> Result<(), Error> {
        if self.sliced { Err(Error::NotInSlice(question.into())) } else { Ok(()) }
    }

    /// All tenants, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = PinnedTenant<'_>> {
        self.tenants.iter().map(|slot| PinnedTenant { snapshot: self, slot })
    }

    /// How many tenants there are.
    #[must_use]
    pub fn tenant_count(&self) -> usize {
        self.tenants.len()
    }

    /// The keys and kinds of all features, in the order of keys.
    pub fn features(&self) -> impl Iterator<Item = (&FeatureKey, Kind)> {
        self.rules.features.iter().map(|feature| (&feature.key, feature.kind))
    }

    /// The keys of all workflows, in order. A slice has those of its tenant.
    pub fn workflows(&self) -> impl Iterator<Item = &WorkflowKey> {
        self.rules.templates.keys()
    }

    /// How many distinct profiles the tenants share. Counts them, which takes time in proportion to the tenants.
    #[must_use]
    pub fn profile_count(&self) -> usize {
        self.profiles().len()
    }

    /// How much memory the tenants and profiles hold. Adds it up, which takes time in proportion to the tenants; what
    /// other snapshots share is counted too.
    #[must_use]
    pub fn memory(&self) -> Memory {
        Memory { tenants: self.tenants.bytes(), profiles: compile::bytes_of(&self.profiles()) }
    }

    #[cfg(test)]
    pub(crate) fn numbering(&self) -> u64 {
        self.features.numbering
    }

    fn profiles(&self) -> Vec<&Arc<Profile>> {
        compile::distinct(self.tenants.iter().map(|slot| &slot.profile))
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.stamp.expires_at.is_some_and(|end| end <= now)
    }
}

/// The switches of one tenant in one snapshot: enough to answer without the snapshot.
#[cfg(feature = "runtime")]
#[derive(Debug)]
pub(crate) struct Seen {
    numbering: u64,
    holds: Interval,
    /// The first 256 switches for action `use`, one look at memory nearer than `on`.
    first: [u64; 4],
    on: compile::Switches,
}

#[cfg(feature = "runtime")]
impl Seen {
    /// Whether a switch is on; nothing where only the snapshot can tell.
    #[inline]
    pub(crate) fn is_enabled(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Option<bool> {
        let ix = feature.known_switch(self.numbering)?;
        self.holds.contains(now).then(|| match self.first.get(ix.index() / 64) {
            Some(word) if action == Action::Use => word >> (ix.index() % 64) & 1 == 1,
            _ => self.on.is_on(ix, action),
        })
    }
}

/// A feature by its key, found once and then only verified: hold one where a feature is checked often.
///
/// ```
/// # use leasehold::Feature;
/// let orders = Feature::new("orders".parse()?);
/// assert_eq!(orders.key().as_str(), "orders");
/// # Ok::<(), leasehold::InvalidId>(())
/// ```
#[derive(Debug)]
pub struct Feature {
    key: FeatureKey,
    /// Where the feature was found last: the numbering, whether it is a switch, its number. One word, so that no thread
    /// sees half of a change. 47 bits of numbering last for four years of a million compilations a second.
    found: AtomicU64,
}

impl Feature {
    /// A handle on a feature. Whether a snapshot has such a feature shows when it is asked.
    #[must_use]
    pub fn new(key: FeatureKey) -> Self {
        Self { key, found: AtomicU64::new(0) }
    }

    /// The feature's key.
    #[must_use]
    pub fn key(&self) -> &FeatureKey {
        &self.key
    }
}

/// What names a feature in a question: its key as text, a [`FeatureKey`], or a [`Feature`] handle.
pub trait FeatureRef: sealed::Located {}

pub(crate) mod sealed {
    use super::{Error, FeatureIx, Snapshot};

    pub trait Located {
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "sealed: nobody outside can name or call it")]
        fn locate(&self, snapshot: &Snapshot) -> Result<FeatureIx, Error>;

        /// The feature's number in a numbering, if it was found there before and is a switch.
        #[doc(hidden)]
        #[expect(private_interfaces, reason = "sealed: nobody outside can name or call it")]
        fn known_switch(&self, _numbering: u64) -> Option<FeatureIx> {
            None
        }
    }
}

impl FeatureRef for str {}
impl sealed::Located for str {
    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn locate(&self, snapshot: &Snapshot) -> Result<FeatureIx, Error> {
        snapshot.features.find(self).ok_or_else(|| Error::UnknownFeature(self.into()))
    }
}

impl<T: FeatureRef + ?Sized> FeatureRef for &T {}
impl<T: FeatureRef + ?Sized> sealed::Located for &T {
    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn locate(&self, snapshot: &Snapshot) -> Result<FeatureIx, Error> {
        (**self).locate(snapshot)
    }

    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn known_switch(&self, numbering: u64) -> Option<FeatureIx> {
        (**self).known_switch(numbering)
    }
}

impl FeatureRef for String {}
impl sealed::Located for String {
    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn locate(&self, snapshot: &Snapshot) -> Result<FeatureIx, Error> {
        self.as_str().locate(snapshot)
    }
}

impl FeatureRef for FeatureKey {}
impl sealed::Located for FeatureKey {
    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn locate(&self, snapshot: &Snapshot) -> Result<FeatureIx, Error> {
        self.as_str().locate(snapshot)
    }
}

impl FeatureRef for Feature {}
impl sealed::Located for Feature {
    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn locate(&self, snapshot: &Snapshot) -> Result<FeatureIx, Error> {
        let features = &snapshot.features;
        let found = self.found.load(Ordering::Relaxed);
        if found >> 17 == features.numbering {
            return Ok(FeatureIx(found as u16));
        }
        let ix = self.key.locate(snapshot)?;
        let switch = u64::from(features.is_switch(ix));
        self.found.store(features.numbering << 17 | switch << 16 | u64::from(ix.0), Ordering::Relaxed);
        Ok(ix)
    }

    #[inline]
    #[expect(private_interfaces, reason = "sealed")]
    fn known_switch(&self, numbering: u64) -> Option<FeatureIx> {
        let found = self.found.load(Ordering::Relaxed);
        (found >> 16 == (numbering << 1 | 1)).then_some(FeatureIx(found as u16))
    }
}

/// One tenant in one snapshot: all answers come from the same revision.
///
/// Every question takes `now`; the engine reads no clock.
#[derive(Debug, Clone, Copy)]
pub struct PinnedTenant<'s> {
    pub(crate) snapshot: &'s Snapshot,
    pub(crate) slot: &'s Slot,
}

impl<'s> PinnedTenant<'s> {
    /// The tenant's id.
    #[must_use]
    pub fn id(&self) -> &'s str {
        self.slot.record.id()
    }

    /// Whether a switch is on, for action `use`.
    ///
    /// # Errors
    /// `unknown_feature`, `wrong_kind`.
    #[inline]
    pub fn is_enabled(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp) -> Result<bool, Error> {
        self.is_enabled_for(feature, Action::Use, now)
    }

    /// Whether a switch is on, for an action.
    ///
    /// # Errors
    /// `unknown_feature`, `wrong_kind`.
    #[inline]
    pub fn is_enabled_for(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let ix = feature.locate(self.snapshot)?;
        if !self.snapshot.features.is_switch(ix) {
            decide::expect_kind(self.rule(ix)?, Kind::Switch)?;
        }
        if self.is_compiled_at(now) {
            return Ok(self.slot.on.is_on(ix, action));
        }
        Ok(self.resolve(ix, action, now)?.0.is_on())
    }

    /// Whether a switch is on, or `default` where there is no answer.
    #[must_use]
    pub fn is_enabled_or(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp, default: bool) -> bool {
        self.is_enabled(feature, now).unwrap_or(default)
    }

    /// A yes or a no about a feature of any kind, with its reason.
    ///
    /// # Errors
    /// `unknown_feature`.
    pub fn decide(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        action: Action,
        now: Timestamp,
    ) -> Result<Decision, Error> {
        let ix = feature.locate(self.snapshot)?;
        if let Some(profile) = self.profile_at(now)
            && let Some(code) = profile.code(ix, action)
        {
            return Ok(code.decision(profile.block, self.snapshot.provenance(now)));
        }
        let standing = self.standing(now);
        let (code, _) = standing.resolve(ix, self.rule(ix)?, action, &mut Silent);
        Ok(code.decision(standing.block.map(|block| block.kind), self.snapshot.provenance(now)))
    }

    /// The value of a value feature; nothing when it is off.
    ///
    /// # Errors
    /// `unknown_feature`, `wrong_kind`.
    pub fn value(&self, feature: &(impl FeatureRef + ?Sized), now: Timestamp) -> Result<Option<&'s Value>, Error> {
        let ix = feature.locate(self.snapshot)?;
        let rule = self.rule(ix)?;
        decide::expect_kind(rule, Kind::Value)?;
        if let Some(profile) = self.profile_at(now) {
            let value = profile.value(rule.ordinal).filter(|_| profile.is_on(ix, Action::Use));
            return Ok(value.map(|value| &**value));
        }
        Ok(match self.resolve(ix, Action::Use, now)? {
            (code, Payload::Value(value)) if code.is_on() => Some(value),
            _ => None,
        })
    }

    /// What a limit says to a request of `requested` more when `used` are in use already. All or nothing; a request of 0
    /// only reports.
    ///
    /// # Errors
    /// `unknown_feature`, `wrong_kind`, `amount_out_of_range` outside 0 to 2^53 − 1.
    pub fn check_limit(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        used: i64,
        requested: i64,
        now: Timestamp,
    ) -> Result<LimitAnswer, Error> {
        let ix = feature.locate(self.snapshot)?;
        let rule = self.rule(ix)?;
        decide::expect_kind(rule, Kind::Limit)?;
        let (used, requested) = (decide::amount(used)?, decide::amount(requested)?);
        let resets_at = rule.window.period().map(|window| self.slot.record.calendar().next_start(window, now));
        let provenance = self.snapshot.provenance(now);
        let limit = |decision, amount, mode, thresholds: Option<&Arc<[u16]>>| {
            let thresholds = thresholds.map_or(&[][..], |thresholds| thresholds);
            Limit { decision, amount, mode, thresholds, resets_at }.answer(used, requested)
        };
        if let Some(profile) = self.profile_at(now)
            && let (Some(code), Some(terms)) = (profile.code(ix, Action::Use), profile.limit(rule.ordinal))
        {
            let decision = code.decision(profile.block, provenance);
            return Ok(limit(decision, terms.amount, terms.mode, terms.thresholds.as_ref()));
        }
        let standing = self.standing(now);
        let (code, _) = standing.resolve(ix, rule, Action::Use, &mut Silent);
        let decision = code.decision(standing.block.map(|block| block.kind), provenance);
        match standing.fold(ix, rule, &mut Silent).payload() {
            Payload::Limit { amount, mode, thresholds } => Ok(limit(decision, amount, mode, thresholds)),
            _ => Err(Error::UnknownFeature(rule.key.as_str().into())),
        }
    }

    /// When the window that a limit counts in at `now` began; nothing for a capacity. Who keeps counts tells windows apart
    /// by it.
    ///
    /// # Errors
    /// `unknown_feature`, `wrong_kind`.
    pub fn window_start(
        &self,
        feature: &(impl FeatureRef + ?Sized),
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let rule = self.rule(feature.locate(self.snapshot)?)?;
        decide::expect_kind(rule, Kind::Limit)?;
        Ok(rule.window.period().map(|window| self.slot.record.calendar().this_start(window, now)))
    }

    /// Everything that the tenant may have, for action `use`.
    #[must_use]
    pub fn entitlements(&self, now: Timestamp) -> Entitlements {
        self.with_profile(now, |profile| self.snapshot.entitlements_of(profile))
    }

    /// The plan that applies, a trial's before the paid one; nothing where none does. For whoever counts a fleet: it
    /// resolves no feature.
    #[must_use]
    pub fn plan(&self, now: Timestamp) -> Option<&'s PlanKey> {
        let plan = match self.profile_at(now) {
            Some(profile) => profile.plan.map(|(plan, _)| plan),
            None => self.standing(now).applying.map(|applying| applying.phase.plan),
        };
        self.snapshot.rules.plan(plan?).map(|plan| &plan.key)
    }

    /// Where the tenant stands, as it is shown: of its blocks the most serious, else grace, a warning, its trial or its
    /// plan. It resolves no feature.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        match self.profile_at(now) {
            Some(profile) => profile.status,
            None => self.standing(now).status(),
        }
    }

    /// The answers to all switches, and how long they hold.
    #[must_use]
    pub fn answer_table(&self, action: Action, now: Timestamp) -> AnswerTable {
        let holds = self.holds(now);
        let switches = self.snapshot.rules.switches();
        AnswerTable {
            revision: self.snapshot.stamp.revision,
            from: holds.from(),
            until: holds.until(),
            answers: self.with_profile(now, |profile| {
                switches.map(|(ix, feature)| (feature.key.clone(), profile.is_on(ix, action))).collect()
            }),
        }
    }

    /// The time around `now` in which no answer about this tenant changes at this revision.
    pub(crate) fn holds(&self, now: Timestamp) -> Interval {
        // Not the compiled interval, which may reach further or less far: what a question gives must not depend on the
        // instant for which a snapshot was compiled.
        let mut holds = decide::holds(&self.snapshot.rules, &self.slot.record, now);
        if self.snapshot.stale_from != Timestamp::MAX {
            holds.cut(now, self.snapshot.stale_from.as_ms());
        }
        holds
    }

    pub(crate) fn rule(&self, ix: FeatureIx) -> Result<&'s FeatureRule, Error> {
        self.snapshot.rules.feature(ix).ok_or_else(|| Error::UnknownFeature(format!("#{}", ix.0).into()))
    }

    /// The compiled profile, while it holds.
    #[inline]
    pub(crate) fn profile_at(&self, now: Timestamp) -> Option<&'s Arc<Profile>> {
        self.is_compiled_at(now).then_some(&self.slot.profile)
    }

    #[inline]
    fn is_compiled_at(&self, now: Timestamp) -> bool {
        self.slot.holds.contains(now) && now < self.snapshot.stale_from
    }

    /// What a handle may keep of this tenant for as long as the snapshot is the current one.
    #[cfg(feature = "runtime")]
    pub(crate) fn seen(&self) -> Seen {
        let until = Interval::new(None, Some(self.snapshot.stale_from));
        let holds = self.slot.holds.intersect(until);
        let on = self.slot.on.clone();
        Seen { numbering: self.snapshot.features.numbering, holds, first: on.first_of_use(), on }
    }

    pub(crate) fn standing(&self, now: Timestamp) -> Standing<'s> {
        Standing::at(&self.snapshot.rules, &self.slot.record, now, self.snapshot.is_expired(now))
    }

    /// The profile at any instant: the compiled one while it holds, else one resolved for the occasion.
    pub(crate) fn with_profile<R>(&self, now: Timestamp, work: impl FnOnce(&Profile) -> R) -> R {
        match self.profile_at(now) {
            Some(profile) => work(profile),
            None => work(&Profile::resolve(&self.standing(now))),
        }
    }

    /// The same ladder, uncompiled.
    #[cold]
    fn resolve(&self, ix: FeatureIx, action: Action, now: Timestamp) -> Result<(decide::Code, Payload<'s>), Error> {
        let rule = self.rule(ix)?;
        let standing = self.standing(now);
        let (code, fold) = standing.resolve(ix, rule, action, &mut Silent);
        Ok((code, fold.payload()))
    }
}

impl Snapshot {
    pub(crate) fn entitlements_of(&self, profile: &Profile) -> Entitlements {
        let rules = &self.rules;
        let on = |feature: &&(FeatureIx, &FeatureRule)| profile.is_on(feature.0, Action::Use);
        let switches: Vec<(FeatureIx, &FeatureRule)> = rules.switches().collect();
        let switches_on = |group: Option<&str>| -> Vec<FeatureKey> {
            let of_group = |feature: &&(FeatureIx, &FeatureRule)| group.is_none_or(|g| feature.1.group.as_str() == g);
            switches.iter().filter(on).filter(of_group).map(|(_, feature)| feature.key.clone()).collect()
        };
        let of_kind = |kind: Kind| rules.numbered().filter(move |(_, feature)| feature.kind == kind);
        Entitlements {
            plan: profile.plan.and_then(|(plan, _)| rules.plan(plan)).map(|plan| plan.key.clone()),
            modules: switches_on(Some("module")),
            add_ons: switches_on(Some("add_on")),
            limits: of_kind(Kind::Limit)
                .map(|(ix, feature)| {
                    let terms = profile.limit(feature.ordinal).filter(|_| profile.is_on(ix, Action::Use));
                    (feature.key.clone(), terms.map_or(Some(0), |terms| terms.amount.finite()))
                })
                .collect(),
            features: switches_on(None),
            values: of_kind(Kind::Value)
                .map(|(ix, feature)| {
                    let value = profile.value(feature.ordinal).filter(|_| profile.is_on(ix, Action::Use));
                    (feature.key.clone(), value.cloned())
                })
                .collect(),
            licences: profile
                .add_ons
                .iter()
                .filter_map(|(ix, quantity)| {
                    Some(LicenceInEffect { key: rules.add_on(*ix)?.key.clone(), quantity: *quantity })
                })
                .collect(),
            access: profile.access,
            status: profile.status,
            revision: self.stamp.revision,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    #[test]
    fn an_expired_head_is_stale_whatever_it_was_before() {
        let file = br#"{
            "features": { "users": { "kind": "limit", "unit": "user", "name": "U", "name2": "U", "group": "x" } },
            "tenants": { "t": { "name": "T", "name2": "T", "region": "R", "anchor": "2026-01-01T00:00:00Z" } }
        }"#;
        let definitions = model::load(&[Source { name: "a".into(), bytes: file.to_vec() }]).unwrap();
        let hash = build::definitions_hash(&definitions).unwrap();
        let [issued_at, end] = [0, 10].map(|ms| Timestamp::from_ms(ms).unwrap());
        let before = Timestamp::from_ms(9).unwrap();
        let made = |expires_at| {
            let stamp = Stamp { revision: Revision::default(), issued_at, expires_at };
            Snapshot::compile(&definitions, stamp).unwrap()
        };
        for (snapshot, now, freshness) in [
            (made(Some(end)), before, Freshness::Fresh),
            (made(Some(end)), end, Freshness::Stale),
            (made(Some(end)).restored(), before, Freshness::Fallback),
            (made(Some(end)).restored(), end, Freshness::Stale),
            (made(None), Timestamp::MAX, Freshness::Fresh),
            (made(None).restored(), Timestamp::MAX, Freshness::Fallback),
        ] {
            let tenant = snapshot.tenant("t").unwrap();
            let (decision, limit) =
                (tenant.decide("users", Action::Use, now).unwrap(), tenant.check_limit("users", 0, 1, now).unwrap());
            assert_eq!(snapshot.freshness(now), freshness);
            assert_eq!((decision.freshness, limit.freshness), (freshness, freshness));
            assert_eq!((decision.definitions, limit.definitions, snapshot.definitions()), (hash, hash, hash));
            assert!(tenant.explain("users", Action::Use, now).unwrap().verify());
        }
    }

    /// One file of definitions: two switches, a limit by the month, a plan, and tenants on it or on none.
    fn small(tenants: &[(&str, bool)]) -> Snapshot {
        let feature = |kind: &str, more: &str| {
            format!(r#"{{ "kind": "{kind}", "name": "F", "name2": "F", "group": "x"{more} }}"#)
        };
        let tenant = |(id, paid): &(&str, bool)| {
            let phases = r#", "phases": { "p": { "kind": "paid", "plan": "basic", "from": "2026-01-01T00:00:00Z" } }"#;
            format!(
                r#""{id}": {{ "name": "T", "name2": "T", "region": "R", "anchor": "2026-01-10T00:00:00Z"{} }}"#,
                if *paid { phases } else { "" }
            )
        };
        let file = format!(
            r#"{{ "features": {{ "orders": {}, "reports": {}, "users": {}, "exports": {} }},
                 "plans": {{ "basic": {{ "name": "B", "name2": "B", "rank": 1,
                    "price": {{ "amount": "1.000", "currency": "OMR", "period": "month" }},
                    "versions": {{ "1": {{ "effective_from": "2026-01-01T00:00:00Z", "moves": "now",
                        "contributions": [{{ "feature": "orders", "op": "set", "value": true }}] }} }} }} }},
                 "tenants": {{ {} }} }}"#,
            feature("switch", ""),
            feature("switch", ""),
            feature("limit", r#", "unit": "user""#),
            feature("limit", r#", "unit": "export", "window": "month""#),
            tenants.iter().map(tenant).collect::<Vec<_>>().join(", ")
        );
        let issued_at = "2026-03-01T00:00:00Z".parse().unwrap();
        let stamp = Stamp { revision: Revision::default(), issued_at, expires_at: None };
        Snapshot::from_sources(&[Source { name: "a".into(), bytes: file.into_bytes() }], stamp).unwrap()
    }

    #[test]
    fn what_is_asked_beside_features() {
        let snapshot = small(&[("free", false), ("one", true), ("two", true)]);
        // Before the phase: what was compiled does not hold.
        let [before, now] = ["2025-12-31T00:00:00Z", "2026-03-01T00:00:00Z"].map(|text| text.parse().unwrap());
        let plan = |id: &str, at| snapshot.tenant(id).unwrap().plan(at).map(PlanKey::as_str);
        assert_eq!([plan("free", now), plan("one", before), plan("one", now)], [None, None, Some("basic")]);
        let one = snapshot.tenant("one").unwrap();
        let or = |feature: &str, default| one.is_enabled_or(feature, now, default);
        assert_eq!([or("orders", false), or("reports", true)], [true, false], "an answer stands before a default");
        assert_eq!([or("nothing", true), or("nothing", false), or("users", true)], [true, false, true]);
        let start = |feature: &str| one.window_start(feature, now).map(|start| start.map(|start| start.to_string()));
        assert_eq!(start("exports"), Ok(Some("2026-02-10T00:00:00Z".to_owned())));
        assert_eq!(start("users"), Ok(None));
        assert!(matches!(start("orders"), Err(Error::WrongKind { .. })));
        assert_eq!(snapshot.profile_count(), 2, "those on one plan share their answers");
    }

    /// Otherwise nothing could be slow without being wrong, and no test of answers would notice.
    #[cfg(all(feature = "runtime", feature = "generate"))]
    #[test]
    fn what_a_handle_keeps_answers_without_the_snapshot_and_for_no_other() {
        use crate::generate::{FleetSpec, fleet};

        let now = FleetSpec::reference_instant();
        let definitions = fleet(&FleetSpec { tenants: 30, features: 600, ..FleetSpec::default() });
        let stamp = Stamp { revision: Revision::default(), issued_at: now, expires_at: None };
        let [snapshot, other] = [(); 2].map(|()| Snapshot::compile(&definitions, stamp).unwrap());
        let (mut on, mut ended) = ([[0; 2]; 2], 0);
        for tenant in snapshot.tenants() {
            assert!(tenant.profile_at(now).is_some());
            let outside = Timestamp::MIN;
            let holds = tenant.profile_at(outside).is_some();
            ended += usize::from(!holds);
            let (seen, seen_in_other) = (tenant.seen(), other.tenant(tenant.id()).unwrap().seen());
            for (at, (key, kind)) in snapshot.features().enumerate() {
                let feature = Feature::new(key.clone());
                let known = |action, at| seen.is_enabled(&&feature, action, at);
                assert_eq!(known(Action::Use, now), None, "it was not found yet");
                let ix = sealed::Located::locate(&feature, &snapshot).unwrap();
                assert_eq!((ix.index(), snapshot.features.is_switch(ix)), (at, kind == Kind::Switch));
                for (action, on) in [Action::Use, Action::Read].into_iter().zip(&mut on) {
                    let decision = tenant.decide(key, action, now).unwrap().enabled;
                    assert_eq!(known(action, now), (kind == Kind::Switch).then_some(decision), "{key} {action:?}");
                    assert_eq!(known(action, outside), known(action, now).filter(|_| holds));
                    assert_eq!(seen_in_other.is_enabled(&feature, action, now), None, "another numbering");
                    if let Some(enabled) = known(action, now) {
                        on[usize::from(enabled)] += 1;
                    }
                }
            }
        }
        assert!(on.iter().flatten().all(|count| *count > 1_000), "both answers to both actions occur: {on:?}");
        assert!(ended > 10, "those of {ended} tenants do not hold for ever");
        // Found once, it is not looked up again.
        let key: FeatureKey = snapshot.features().next().unwrap().0.clone();
        let found = AtomicU64::new(snapshot.features.numbering << 17 | 1 << 16 | 5);
        assert_eq!(sealed::Located::locate(&Feature { key, found }, &snapshot), Ok(FeatureIx(5)));
    }
}
