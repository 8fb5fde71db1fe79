//! What would change for a tenant on another plan, with another add-on, or without an override.

use crate::compile::{self, Profile, Record};
use crate::decide::{self, Inert, Standing};
use crate::diff::Comparison;
use crate::model::{Action, Kind, MAX_INTEGER};
use crate::{AddOnKey, Difference, Error, FeatureKey, PinnedTenant, PlanKey, RecordId, Timestamp};
use serde::Serialize;
use std::{borrow::Cow, collections::BTreeMap};

/// What to suppose. All parts are supposed together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The tenant is on this plan from now on: one paid phase in place of all its phases.
    pub plan: Option<PlanChoice>,
    /// The tenant has these add-ons beside those it has, so many units each.
    pub add_ons: Vec<(AddOnKey, u64)>,
    /// The tenant does not have these overrides.
    pub without: Vec<RecordId>,
}

/// A plan, followed or pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanChoice {
    /// The plan.
    pub plan: PlanKey,
    /// The pinned version; without it, the newest that a phase starting now gets.
    pub version: Option<u32>,
}

/// How much of each limit is in use.
pub type Usage = BTreeMap<FeatureKey, i64>;

/// What would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WhatIf {
    /// What would be gained, lost and moved.
    #[serde(flatten)]
    pub difference: Difference,
    /// Limits that would be below what is in use already.
    pub exceeded: Vec<Exceeded>,
    /// Overrides that would give less than plan and add-ons.
    pub overrides_below_plan: Vec<OverrideBelowPlan>,
    /// Paid add-ons that are in effect or supposed, and would have no effect.
    pub inert_add_ons: Vec<InertAddOn>,
}

/// A limit below what is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Exceeded {
    /// The limit.
    pub feature: FeatureKey,
    /// What it would be.
    pub limit: u64,
    /// What is in use.
    pub used: u64,
}

/// An override that gives less than plan and add-ons would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OverrideBelowPlan {
    /// The override's id.
    #[serde(rename = "override")]
    pub id: String,
    /// The limit.
    pub feature: FeatureKey,
    /// What the tenant has with it, adds included.
    pub gives: Option<u64>,
    /// What the tenant would have without it; nothing when unlimited.
    pub plan_gives: Option<u64>,
}

/// An add-on without effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InertAddOn {
    /// The add-on.
    pub add_on: AddOnKey,
    /// Why: `addon_incompatible`, `addon_included` or `no_plan`.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ["addon_incompatible", "addon_included", "no_plan"])))]
    pub reason: &'static str,
}

impl PinnedTenant<'_> {
    /// What would change for the tenant, given how much of its limits is in use.
    ///
    /// # Errors
    /// `not_in_slice`; `unknown_plan`, `unknown_plan_version`, `unknown_add_on`, `unknown_override`; for usage `unknown_feature`,
    /// `wrong_kind`, `amount_out_of_range`; `amount_out_of_range` for a quantity outside 1 to 2^53 − 1.
    pub fn what_if(&self, change: &Change, usage: &Usage, now: Timestamp) -> Result<WhatIf, Error> {
        self.snapshot.needs_whole("what_if")?;
        let record = &*self.slot.record;
        let changed = self.suppose(change, now)?;
        let rules = &*self.snapshot.rules;
        let before = self.standing(now);
        let after = Standing::at(rules, &changed, now, before.expired);
        let profile = Profile::resolve(&after);
        let difference = Comparison::of(rules, rules).difference(&Profile::resolve(&before), &profile);

        let mut exceeded = Vec::new();
        for (key, used) in usage {
            let unknown = || Error::UnknownFeature(key.as_str().into());
            let ix = rules.feature_ix(key.as_str()).ok_or_else(unknown)?;
            let rule = self.rule(ix)?;
            decide::expect_kind(rule, Kind::Limit)?;
            let used = decide::amount(*used)?;
            let terms = profile.limit(rule.ordinal).filter(|_| profile.is_on(ix, Action::Use));
            if let Some(limit) = terms.map_or(Some(0), |terms| terms.amount.finite()).filter(|limit| *limit < used) {
                exceeded.push(Exceeded { feature: key.clone(), limit, used });
            }
        }

        // Those that were in effect, and those that are supposed: buying what has no effect should show.
        let supposed = changed.licences.iter().skip(record.licences.len());
        let valid = record.licences.iter().filter(|licence| licence.interval.contains(now));
        let in_effect = valid.filter(|licence| before.inert(licence.add_on).is_none());
        let mut inert_add_ons: Vec<InertAddOn> = in_effect
            .chain(supposed)
            .filter_map(|licence| {
                let reason = match after.inert(licence.add_on)? {
                    Inert::Incompatible => "addon_incompatible",
                    Inert::Included => "addon_included",
                    Inert::NoPlan => "no_plan",
                };
                Some(InertAddOn { add_on: rules.add_on(licence.add_on)?.key.clone(), reason })
            })
            .collect();
        inert_add_ons.sort();
        inert_add_ons.dedup();
        Ok(WhatIf { difference, exceeded, overrides_below_plan: self.below_plan(&changed, now), inert_add_ons })
    }

    /// The tenant as it would be.
    fn suppose(&self, change: &Change, now: Timestamp) -> Result<Record, Error> {
        let rules = &*self.snapshot.rules;
        let mut record = Cow::Borrowed(&*self.slot.record);
        if let Some(choice) = &change.plan {
            let key = choice.plan.as_str();
            let plan = rules.plan_ix(key).ok_or_else(|| Error::UnknownPlan(key.into()))?;
            if let Some(version) = choice.version {
                let has = rules.plan(plan).is_some_and(|rule| rule.versions.iter().any(|v| v.number == version));
                if !has {
                    return Err(Error::UnknownPlanVersion { plan: key.into(), version });
                }
            }
            record = Cow::Owned(record.with_plan(plan, choice.version, now));
        }
        for (key, quantity) in &change.add_ons {
            let unknown = || Error::UnknownAddOn(key.as_str().into());
            let add_on = rules.add_on_ix(key.as_str()).ok_or_else(unknown)?;
            if !(1..=MAX_INTEGER).contains(quantity) {
                return Err(Error::AmountOutOfRange(i64::try_from(*quantity).unwrap_or(i64::MAX)));
            }
            record = Cow::Owned(record.with_licence(add_on, *quantity, now));
        }
        for id in &change.without {
            let has = record.overrides().iter().any(|this| record.text(this.id) == id.as_str());
            if !has {
                return Err(Error::UnknownOverride(id.as_str().into()));
            }
        }
        let dropped = |id: &str| change.without.iter().any(|without| without.as_str() == id);
        Ok(record.keeping_overrides(|this| !dropped(record.text(this.id))))
    }

    /// Valid overrides that set a limit lower than plan and add-ons would.
    fn below_plan(&self, record: &Record, now: Timestamp) -> Vec<OverrideBelowPlan> {
        let rules = &*self.snapshot.rules;
        let of_limits = record.overrides().iter().filter(|this| compile::sets_limit(this));
        let valid = of_limits.filter(|this| this.interval.contains(now));
        let below = valid.filter_map(|this| {
            let without = record.keeping_overrides(|other| other.id != this.id);
            let (gives, plan_gives) = compile::below_plan(rules, (record, &without), this, now)?;
            Some(OverrideBelowPlan {
                id: record.text(this.id).to_owned(),
                feature: rules.feature(this.feature)?.key.clone(),
                gives: gives.finite(),
                plan_gives: plan_gives.finite(),
            })
        });
        below.collect()
    }
}
