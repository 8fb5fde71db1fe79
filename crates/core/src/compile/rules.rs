//! Definitions lowered into what the resolver reads: keys become numbers, values are typed, lists are sorted.

use super::check::Check;
use crate::model::{
    Access, AddOn, Amount, Contribution, Definitions, DiagnosticCode, Feature, FeatureKind, Grant, Kind, MAX_INTEGER,
    Mode, Moves, Op, Plan, PricePeriod, Staleness, ValueType, Window,
};
use crate::time::{Interval, Period};
use crate::workflow::Templates;
use crate::{AddOnKey, FeatureKey, GroupKey, PlanKey, RecordId, Timestamp};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(pub(crate) u16);
        impl $name {
            pub(crate) fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    )+};
}
numbers! {
    /// Number of a feature in one set of rules, in the order of keys.
    FeatureIx
    /// Number of a plan in one set of rules, in the order of keys.
    PlanIx
    /// Number of an add-on in one set of rules, in the order of keys.
    AddOnIx
}

/// What a feature is set to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Setting {
    Switch(bool),
    Limit(Terms),
    Value(Arc<Value>),
}

/// Amount, mode and thresholds of a limit, which always come together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub(crate) amount: Amount,
    pub(crate) mode: Mode,
    /// Sorted percentages; nothing where there are none.
    pub(crate) thresholds: Option<Arc<[u16]>>,
}

/// What a contribution does, typed by the feature that it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    Set(Setting),
    Pin(Setting),
    Add(u64),
    Mode(Mode),
    Revoke { plan: Option<PlanIx> },
}

impl Effect {
    pub(crate) fn op(&self) -> Op {
        match self {
            Self::Set(_) => Op::Set,
            Self::Pin(_) => Op::Pin,
            Self::Add(_) => Op::Add,
            Self::Mode(_) => Op::Mode,
            Self::Revoke { .. } => Op::Revoke,
        }
    }

    /// The finite amount of a base on which adds stack, or 0.
    pub(crate) fn base_amount(&self) -> u64 {
        match self {
            Self::Set(Setting::Limit(terms)) => terms.amount.finite().unwrap_or(0),
            _ => 0,
        }
    }
}

/// A feature as the resolver reads it.
#[derive(Debug)]
pub(crate) struct FeatureRule {
    pub(crate) key: FeatureKey,
    pub(crate) group: GroupKey,
    pub(crate) kind: Kind,
    pub(crate) value_type: ValueType,
    pub(crate) unit: Box<str>,
    pub(crate) window: Window,
    pub(crate) default: Effect,
    pub(crate) min_access: Access,
    pub(crate) min_read: Access,
    pub(crate) stale_off: bool,
    /// Whether no plan and no add-on says anything about it, or about a switch that it requires.
    pub(crate) is_static: bool,
    /// Kill switches on it, in the order of their ids.
    pub(crate) kills: Vec<(RecordId, Interval)>,
    /// Switches that it requires itself.
    pub(crate) requires: Box<[FeatureIx]>,
    /// Switches that it requires, directly or through others, each after those that it requires itself.
    pub(crate) all_required: Box<[FeatureIx]>,
    /// Features that require it, directly or through others.
    pub(crate) required_by: Vec<FeatureIx>,
    /// Its place among the features of its kind.
    pub(crate) ordinal: u16,
}

/// A plan as the resolver reads it.
#[derive(Debug)]
pub(crate) struct PlanRule {
    pub(crate) key: PlanKey,
    pub(crate) period: Period,
    /// Sorted by `effective_from`.
    pub(crate) versions: Box<[VersionRule]>,
    /// Add-ons that the plan includes.
    pub(crate) included: Box<[AddOnIx]>,
    /// Instants at which what the plan grants may change for somebody, but for renewals, which differ by tenant.
    pub(crate) boundaries: Box<[i64]>,
}

/// A plan version as the resolver reads it.
#[derive(Debug)]
pub(crate) struct VersionRule {
    pub(crate) number: u32,
    pub(crate) effective_from: Timestamp,
    pub(crate) moves: Moves,
    pub(crate) contributions: Contributions,
}

/// An add-on as the resolver reads it.
#[derive(Debug)]
pub(crate) struct AddOnRule {
    pub(crate) key: AddOnKey,
    pub(crate) compatible_with: Box<[PlanIx]>,
    pub(crate) included_in: Box<[PlanIx]>,
    pub(crate) contributions: Contributions,
    /// Instants at which what the add-on grants changes.
    pub(crate) boundaries: Box<[i64]>,
    /// All that its `add`s come to, for one unit.
    pub(crate) adds: u128,
    /// Whether another add-on sets a feature that this one sets too, so that the later start decides between them.
    pub(crate) contested: bool,
}

/// One contribution of a plan version or add-on.
#[derive(Debug)]
pub(crate) struct ContributionRule {
    pub(crate) id: Box<str>,
    pub(crate) feature: FeatureIx,
    pub(crate) effect: Effect,
    pub(crate) interval: Interval,
    pub(crate) author: Option<Box<str>>,
}

/// Contributions of one carrier, sorted by feature, then id.
#[derive(Debug, Default)]
pub(crate) struct Contributions(Box<[ContributionRule]>);

impl Contributions {
    pub(crate) fn of(&self, feature: FeatureIx) -> impl Iterator<Item = &ContributionRule> {
        let start = self.0.partition_point(|contribution| contribution.feature < feature);
        self.0.iter().skip(start).take_while(move |contribution| contribution.feature == feature)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ContributionRule> {
        self.0.iter()
    }

    fn adds(&self) -> u128 {
        let adds = self.0.iter().map(|contribution| match contribution.effect {
            Effect::Add(amount) => u128::from(amount),
            _ => 0,
        });
        adds.sum()
    }

    fn largest_base(&self) -> u64 {
        self.0.iter().map(|contribution| contribution.effect.base_amount()).max().unwrap_or(0)
    }

    fn boundaries(&self) -> impl Iterator<Item = i64> {
        self.0.iter().flat_map(|contribution| contribution.interval.bounds())
    }
}

/// Definitions of features, plans and add-ons, lowered. Everything in it is numbered in the order of keys.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) features: Vec<FeatureRule>,
    pub(crate) plans: Vec<PlanRule>,
    pub(crate) add_ons: Vec<AddOnRule>,
    /// How many features of each kind there are.
    pub(crate) limits: usize,
    pub(crate) values: usize,
    /// Instants at which a kill switch takes effect or ends.
    pub(crate) kill_boundaries: Vec<i64>,
    /// The largest finite base of any limit, and all adds of included add-ons: bounds for sums.
    pub(crate) largest_base: u64,
    pub(crate) all_included_adds: u128,
    /// Whether any feature is off once the head has expired.
    pub(crate) any_stale_off: bool,
    /// Guards and workflow templates.
    pub(crate) templates: Templates,
}

fn position<T, K: Ord + ?Sized>(items: &[T], key_of: impl Fn(&T) -> &K, key: &K) -> Option<u16> {
    items.binary_search_by(|item| key_of(item).cmp(key)).ok().and_then(|at| u16::try_from(at).ok())
}

impl Rules {
    pub(crate) fn feature_ix(&self, key: &str) -> Option<FeatureIx> {
        position(&self.features, |feature| feature.key.as_str(), key).map(FeatureIx)
    }
    pub(crate) fn plan_ix(&self, key: &str) -> Option<PlanIx> {
        position(&self.plans, |plan| plan.key.as_str(), key).map(PlanIx)
    }
    pub(crate) fn add_on_ix(&self, key: &str) -> Option<AddOnIx> {
        position(&self.add_ons, |add_on| add_on.key.as_str(), key).map(AddOnIx)
    }
    pub(crate) fn feature(&self, ix: FeatureIx) -> Option<&FeatureRule> {
        self.features.get(ix.index())
    }
    pub(crate) fn plan(&self, ix: PlanIx) -> Option<&PlanRule> {
        self.plans.get(ix.index())
    }
    pub(crate) fn add_on(&self, ix: AddOnIx) -> Option<&AddOnRule> {
        self.add_ons.get(ix.index())
    }
    /// All features with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (FeatureIx, &FeatureRule)> {
        self.feature_ixs().zip(&self.features)
    }
    pub(crate) fn switches(&self) -> impl Iterator<Item = (FeatureIx, &FeatureRule)> {
        self.numbered().filter(|(_, feature)| feature.kind == Kind::Switch)
    }
    pub(crate) fn feature_ixs(&self) -> impl Iterator<Item = FeatureIx> + use<> {
        (0..u16::try_from(self.features.len()).unwrap_or(u16::MAX)).map(FeatureIx)
    }

    /// The time around `now` in which no rule begins or ends: tenants apart, what a profile depends on stays as it is.
    pub(crate) fn hold(&self, now: Timestamp) -> Interval {
        let mut interval = Interval::ALWAYS;
        let of_plans = self.plans.iter().flat_map(|plan| &plan.boundaries);
        let of_add_ons = self.add_ons.iter().flat_map(|add_on| &add_on.boundaries);
        of_plans.chain(of_add_ons).chain(&self.kill_boundaries).for_each(|at| interval.cut(now, *at));
        interval
    }

    /// Lowers everything but the tenants. Mistakes go to `check`; what is returned is whole only where there are none.
    pub(crate) fn lower(definitions: &Definitions, check: &mut Check) -> Self {
        let mut rules = Self::default();
        for (section, count) in [
            ("features", definitions.features.len()),
            ("plans", definitions.plans.len()),
            ("add_ons", definitions.add_ons.len()),
        ] {
            if count > usize::from(u16::MAX) {
                check.under(section, |check| {
                    check.refuse::<()>(
                        DiagnosticCode::TooManyDefinitions,
                        format!("{count} {section}, more than {}", u16::MAX),
                        "define fewer",
                    )
                });
                return rules;
            }
        }
        rules.templates = Templates::lower(definitions, check);
        rules.lower_features(&definitions.features, check);
        // Plans and add-ons name each other: the keys first, their contents after.
        let plans: Vec<&PlanKey> = definitions.plans.keys().collect();
        let plan_ix = |key: &PlanKey| plans.binary_search(&key).ok().and_then(|at| u16::try_from(at).ok()).map(PlanIx);
        check.under("add_ons", |check| {
            for (key, add_on) in &definitions.add_ons {
                check.under(key.as_str(), |check| {
                    let rule = rules.lower_add_on(key, add_on, check, &plan_ix, &plans);
                    rules.add_ons.push(rule);
                });
            }
        });
        rules.mark_contested();
        check.under("plans", |check| {
            for (key, plan) in &definitions.plans {
                check.under(key.as_str(), |check| {
                    let rule = rules.lower_plan(key, plan, check);
                    rules.plans.push(rule);
                });
            }
        });
        check.under("kills", |check| {
            for (id, kill) in &definitions.kills {
                check.under(id.as_str(), |check| {
                    let feature = check.under("feature", |check| rules.resolve_feature(&kill.feature, check));
                    let interval = check.interval(Some(kill.since), kill.until);
                    let rule = feature.and_then(|ix| rules.features.get_mut(ix.index()));
                    if let (Some(rule), Some(interval)) = (rule, interval) {
                        rules.kill_boundaries.extend(interval.bounds());
                        rule.kills.push((id.clone(), interval));
                    }
                });
            }
        });
        let defaults = rules.features.iter().map(|feature| feature.default.base_amount());
        let of_plans = rules.plans.iter().flat_map(|plan| &plan.versions).map(|version| &version.contributions);
        let of_add_ons = rules.add_ons.iter().map(|add_on| &add_on.contributions);
        let bases = of_plans.chain(of_add_ons).map(Contributions::largest_base);
        rules.largest_base = defaults.chain(bases).max().unwrap_or(0);
        let included = rules.add_ons.iter().filter(|add_on| !add_on.included_in.is_empty());
        rules.all_included_adds = included.map(|add_on| add_on.adds).sum();
        rules.any_stale_off = rules.features.iter().any(|feature| feature.stale_off);
        rules.mark_static();
        rules
    }

    fn mark_static(&mut self) {
        self.features.iter_mut().for_each(|feature| feature.is_static = true);
        let of_plans = self.plans.iter().flat_map(|plan| &plan.versions).map(|version| &version.contributions);
        let of_add_ons = self.add_ons.iter().map(|add_on| &add_on.contributions);
        for contribution in of_plans.chain(of_add_ons).flat_map(Contributions::iter) {
            let Some(named) = self.features.get_mut(contribution.feature.index()) else { continue };
            if std::mem::replace(&mut named.is_static, false) {
                for ix in named.required_by.clone() {
                    if let Some(feature) = self.features.get_mut(ix.index()) {
                        feature.is_static = false;
                    }
                }
            }
        }
    }

    /// Takes which features are static from whoever cut the slice that these rules are of: what was left out may say
    /// something about any other.
    pub(crate) fn set_static(&mut self, keys: &[FeatureKey]) {
        self.features.iter_mut().for_each(|feature| feature.is_static = false);
        for key in keys {
            let ix = self.feature_ix(key.as_str());
            if let Some(feature) = ix.and_then(|ix| self.features.get_mut(ix.index())) {
                feature.is_static = true;
            }
        }
    }

    fn lower_features(&mut self, features: &BTreeMap<FeatureKey, Feature>, check: &mut Check) {
        check.under("features", |check| {
            for (key, feature) in features {
                let rule = check.under(key.as_str(), |check| self.lower_feature(key, feature, check));
                self.features.push(rule);
            }
            let required: Vec<Box<[FeatureIx]>> = features
                .iter()
                .map(|(key, feature)| {
                    check.under(key.as_str(), |check| {
                        check.under("requires", |check| {
                            let found = check.each(&feature.requires, |check, key| self.resolve_switch(key, check));
                            let mut switches: Vec<_> = found.into_iter().flatten().collect();
                            switches.sort();
                            switches.dedup();
                            switches.into()
                        })
                    })
                })
                .collect();
            let closures = super::prerequisites::close(self, &required, check);
            for (feature, (requires, all)) in self.features.iter_mut().zip(required.into_iter().zip(closures)) {
                feature.requires = requires;
                feature.all_required = all;
            }
            for ix in self.feature_ixs() {
                let required = self.feature(ix).map(|feature| feature.all_required.clone()).unwrap_or_default();
                for switch in required {
                    if let Some(feature) = self.features.get_mut(switch.index()) {
                        feature.required_by.push(ix);
                    }
                }
            }
        });
    }

    fn lower_feature(&mut self, key: &FeatureKey, feature: &Feature, check: &mut Check) -> FeatureRule {
        if key.is_reserved() {
            check.refuse::<()>(
                DiagnosticCode::ReservedKey,
                format!("`{key}` is a name that the entitlement object uses itself"),
                "choose another key",
            );
        }
        let mut rule = FeatureRule {
            key: key.clone(),
            group: feature.group.clone(),
            kind: Kind::Switch,
            value_type: ValueType::Json,
            unit: Box::default(),
            window: Window::None,
            default: Effect::Set(Setting::Switch(false)),
            min_access: feature.min_access,
            min_read: feature.min_read,
            stale_off: feature.staleness == Staleness::Off,
            is_static: false,
            kills: Vec::new(),
            requires: Box::default(),
            all_required: Box::default(),
            required_by: Vec::new(),
            ordinal: 0,
        };
        match &feature.kind {
            FeatureKind::Switch { default } => rule.default = Effect::Set(Setting::Switch(*default)),
            FeatureKind::Value { value_type, default } => {
                rule.kind = Kind::Value;
                rule.value_type = *value_type;
                rule.ordinal = u16::try_from(self.values).unwrap_or(u16::MAX);
                self.values += 1;
                check.under("default", |check| check_value(*value_type, default, check));
                rule.default = Effect::Set(Setting::Value(Arc::new(default.clone())));
            }
            FeatureKind::Limit { unit, window, default } => {
                rule.kind = Kind::Limit;
                rule.unit = unit.as_str().into();
                rule.window = *window;
                rule.ordinal = u16::try_from(self.limits).unwrap_or(u16::MAX);
                self.limits += 1;
                if let Some(terms) = check.under("default", |check| lower_grant(default, check)) {
                    rule.default = Effect::Set(Setting::Limit(terms));
                }
            }
        }
        rule
    }

    /// The number of a feature, or a mistake where it is not defined.
    pub(crate) fn resolve_feature(&self, key: &FeatureKey, check: &mut Check) -> Option<FeatureIx> {
        self.feature_ix(key.as_str()).or_else(|| check.unknown_feature(key, self))
    }

    /// The number of a switch, or a mistake where it is not one.
    pub(crate) fn resolve_switch(&self, key: &FeatureKey, check: &mut Check) -> Option<FeatureIx> {
        let ix = self.resolve_feature(key, check)?;
        match self.feature(ix)?.kind {
            Kind::Switch => Some(ix),
            kind => check.refuse(
                DiagnosticCode::WrongKind,
                format!("`{key}` is a {kind}, not a switch"),
                "only switches can be required or switched off",
            ),
        }
    }

    pub(crate) fn resolve_plan(&self, key: &PlanKey, check: &mut Check) -> Option<PlanIx> {
        self.plan_ix(key.as_str()).or_else(|| {
            let choices = self.plans.iter().map(|plan| plan.key.as_str());
            check.unknown(DiagnosticCode::UnknownPlan, "plan", key.as_str(), choices)
        })
    }

    fn lower_add_on(
        &self,
        key: &AddOnKey,
        add_on: &AddOn,
        check: &mut Check,
        plan_ix: &impl Fn(&PlanKey) -> Option<PlanIx>,
        plans: &[&PlanKey],
    ) -> AddOnRule {
        let mut plans_of = |name: &str, keys: &[PlanKey]| -> Box<[PlanIx]> {
            let found = check.under(name, |check| {
                check.each(keys, |check, key| {
                    plan_ix(key).or_else(|| {
                        let choices = plans.iter().map(|plan| plan.as_str());
                        check.unknown(DiagnosticCode::UnknownPlan, "plan", key.as_str(), choices)
                    })
                })
            });
            let mut plans: Vec<_> = found.into_iter().flatten().collect();
            plans.sort();
            plans.into()
        };
        let compatible_with = plans_of("compatible_with", &add_on.compatible_with);
        let included_in = plans_of("included_in", &add_on.included_in);
        let contributions = self.lower_contributions(&add_on.contributions, Carrier::AddOn, check);
        AddOnRule {
            key: key.clone(),
            compatible_with,
            included_in,
            boundaries: contributions.boundaries().collect(),
            adds: contributions.adds(),
            contributions,
            contested: false,
        }
    }

    fn mark_contested(&mut self) {
        let mut setters = vec![0_usize; self.features.len()];
        let sets = |add_on: &AddOnRule| -> Vec<usize> {
            let mut features: Vec<usize> = add_on
                .contributions
                .iter()
                .filter(|contribution| matches!(contribution.effect, Effect::Set(_)))
                .map(|contribution| contribution.feature.index())
                .collect();
            features.dedup();
            features
        };
        for add_on in &self.add_ons {
            for feature in sets(add_on) {
                if let Some(count) = setters.get_mut(feature) {
                    *count += 1;
                }
            }
        }
        for add_on in &mut self.add_ons {
            add_on.contested = sets(add_on).iter().any(|feature| setters.get(*feature).is_some_and(|count| *count > 1));
        }
    }

    fn lower_plan(&self, key: &PlanKey, plan: &Plan, check: &mut Check) -> PlanRule {
        check.under("price", |check| check_price(&plan.price, check));
        let mut versions: Vec<VersionRule> = check.under("versions", |check| {
            plan.versions
                .iter()
                .map(|(number, version)| VersionRule {
                    number: *number,
                    effective_from: version.effective_from,
                    moves: version.moves,
                    contributions: check.under(&number.to_string(), |check| {
                        self.lower_contributions(&version.contributions, Carrier::Plan, check)
                    }),
                })
                .collect()
        });
        versions.sort_by_key(|version| (version.effective_from, version.number));
        for (earlier, later) in versions.iter().zip(versions.iter().skip(1)) {
            if earlier.effective_from == later.effective_from {
                check.under("versions", |check| {
                    check.under(&later.number.to_string(), |check| {
                        check.under("effective_from", |check| {
                            check.refuse::<()>(
                                DiagnosticCode::DuplicateEffectiveFrom,
                                format!("version {} takes effect at the same instant", earlier.number),
                                "let every version of a plan take effect at an instant of its own",
                            )
                        })
                    })
                });
            }
        }
        let ix = PlanIx(u16::try_from(self.plans.len()).unwrap_or(u16::MAX));
        let included = self.add_ons.iter().zip(0_u16..).filter(|(add_on, _)| add_on.included_in.contains(&ix));
        let included: Vec<(AddOnIx, &AddOnRule)> = included.map(|(add_on, number)| (AddOnIx(number), add_on)).collect();
        let boundaries = versions
            .iter()
            .flat_map(|version| version.contributions.boundaries().chain([version.effective_from.as_ms()]))
            .chain(included.iter().flat_map(|(_, add_on)| add_on.boundaries.iter().copied()))
            .collect();
        PlanRule {
            key: key.clone(),
            boundaries,
            period: match plan.price.period {
                PricePeriod::Month => Period::Month,
                PricePeriod::Year => Period::Year,
            },
            versions: versions.into(),
            included: included.into_iter().map(|(ix, _)| ix).collect(),
        }
    }

    fn lower_contributions(&self, list: &[Contribution], carrier: Carrier, check: &mut Check) -> Contributions {
        check.under("contributions", |check| {
            let found = check.each(list.iter().enumerate(), |check, (at, contribution)| {
                let feature = check.under("feature", |check| self.resolve_feature(&contribution.feature, check));
                let effect = feature.and_then(|ix| {
                    self.lower_effect(ix, contribution.op, Some(&contribution.value), None, carrier, check)
                });
                let interval = check.interval(contribution.from, contribution.until);
                let rule = ContributionRule {
                    id: contribution_id(contribution).into(),
                    feature: feature?,
                    effect: effect?,
                    interval: interval?,
                    author: contribution.author.as_deref().map(Into::into),
                };
                Some((rule, at))
            });
            let mut rules: Vec<(ContributionRule, usize)> = found.into_iter().flatten().collect();
            rules.sort_by(|(a, _), (b, _)| (a.feature, &a.id).cmp(&(b.feature, &b.id)));
            self.refuse_conflicts(&rules, check);
            Contributions(rules.into_iter().map(|(rule, _)| rule).collect())
        })
    }

    /// Refuses equal ids, and bases of one feature that overlap in time.
    fn refuse_conflicts(&self, rules: &[(ContributionRule, usize)], check: &mut Check) {
        let is_base = |rule: &ContributionRule| matches!(rule.effect, Effect::Set(_) | Effect::Pin(_));
        let mut ids: Vec<(&str, usize)> = rules.iter().map(|(rule, at)| (&*rule.id, *at)).collect();
        ids.sort_unstable();
        for (earlier, later) in ids.iter().zip(ids.iter().skip(1)) {
            if earlier.0 == later.0 {
                check.under(&later.1.to_string(), |check| {
                    check.refuse::<()>(
                        DiagnosticCode::DuplicateId,
                        format!("contribution {} has the same id `{}`", earlier.1, earlier.0),
                        "give one of them an `id` of its own",
                    )
                });
            }
        }
        // Sorted by start, two bases of a feature overlap where one starts before the furthest end so far.
        let mut bases: Vec<&(ContributionRule, usize)> = rules.iter().filter(|(rule, _)| is_base(rule)).collect();
        bases.sort_by_key(|(rule, at)| (rule.feature, rule.interval.start(), *at));
        let mut furthest: Option<&(ContributionRule, usize)> = None;
        for base in bases {
            let (rule, at) = base;
            match furthest {
                Some((reaching, other)) if reaching.feature == rule.feature => {
                    if reaching.interval.overlaps(rule.interval) {
                        let key = self.feature(rule.feature).map_or("", |feature| feature.key.as_str());
                        check.under(&at.to_string(), |check| {
                            check.refuse::<()>(
                                DiagnosticCode::OverlappingContributions,
                                format!("`{key}` is set here and by contribution {other} at the same time"),
                                "keep one, or give them intervals that do not overlap",
                            )
                        });
                    }
                    let ends_later = match (rule.interval.until(), reaching.interval.until()) {
                        (None, _) => true,
                        (Some(_), None) => false,
                        (Some(here), Some(there)) => here > there,
                    };
                    if ends_later {
                        furthest = Some(base);
                    }
                }
                _ => furthest = Some(base),
            }
        }
    }

    /// Types an operator and its value by the feature that they are for.
    pub(crate) fn lower_effect(
        &self,
        feature: FeatureIx,
        op: Op,
        value: Option<&Value>,
        plan: Option<&PlanKey>,
        carrier: Carrier,
        check: &mut Check,
    ) -> Option<Effect> {
        let rule = self.feature(feature)?;
        if !carrier.may(op) {
            return check.under("op", |check| {
                check.refuse(
                    DiagnosticCode::OpNotAllowed,
                    format!("{carrier} cannot `{op}`"),
                    format!("{carrier} can {}", carrier.ops()),
                )
            });
        }
        let fits = match op {
            Op::Set | Op::Revoke => true,
            Op::Pin => rule.kind != Kind::Switch,
            Op::Add | Op::Mode => rule.kind == Kind::Limit,
        };
        if !fits {
            return check.under("op", |check| {
                check.refuse(
                    DiagnosticCode::OpNotAllowed,
                    format!("`{op}` does not apply to `{}`, a {}", rule.key, rule.kind),
                    match op {
                        Op::Pin => "use `set`; `pin` is for limits and values",
                        _ => "use `set`; `add` and `mode` are for limits",
                    },
                )
            });
        }
        if plan.is_some() && op != Op::Revoke {
            check.under("plan", |check| {
                check.refuse::<()>(
                    DiagnosticCode::OpNotAllowed,
                    "`plan` narrows a `revoke` only",
                    "leave `plan` out; to follow a plan, change the plan",
                )
            });
        }
        if op == Op::Revoke {
            if value.is_some() {
                return check.under("value", |check| {
                    check.refuse(DiagnosticCode::InvalidValue, "`revoke` has no value", "leave `value` out")
                });
            }
            let plan = match plan {
                Some(key) => Some(check.under("plan", |check| self.resolve_plan(key, check))?),
                None => None,
            };
            return Some(Effect::Revoke { plan });
        }
        let Some(value) = value else {
            return check.refuse(DiagnosticCode::MissingKey, "`value` is missing", "add `value`");
        };
        check.under("value", |check| match op {
            Op::Add => lower_add(value, check).map(Effect::Add),
            Op::Mode => check.read(value).map(Effect::Mode),
            Op::Pin => self.lower_setting(rule, value, check).map(Effect::Pin),
            Op::Set | Op::Revoke => {
                let setting = self.lower_setting(rule, value, check)?;
                if carrier != Carrier::Tenant && setting == Setting::Switch(false) {
                    return check.refuse(
                        DiagnosticCode::InvalidValue,
                        format!("{carrier} cannot set a switch to false"),
                        "leave the contribution out; only defaults and tenants set false",
                    );
                }
                if let (Carrier::AddOn, Setting::Limit(terms)) = (carrier, &setting)
                    && let Effect::Set(Setting::Limit(default)) = &rule.default
                    && terms.amount < default.amount
                {
                    return check.under("amount", |check| {
                        check.refuse(
                            DiagnosticCode::AddOnBelowDefault,
                            format!(
                                "the amount is below the default of `{}`: buying the add-on would lower it",
                                rule.key
                            ),
                            "set at least the default, or `add` to it",
                        )
                    });
                }
                Some(Effect::Set(setting))
            }
        })
    }

    fn lower_setting(&self, rule: &FeatureRule, value: &Value, check: &mut Check) -> Option<Setting> {
        match rule.kind {
            Kind::Switch => check.read(value).map(Setting::Switch),
            Kind::Limit => {
                let grant: Grant = check.read(value)?;
                lower_grant(&grant, check).map(Setting::Limit)
            }
            Kind::Value => {
                check_value(rule.value_type, value, check)?;
                Some(Setting::Value(Arc::new(value.clone())))
            }
        }
    }
}

/// Who carries a contribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    Plan,
    AddOn,
    Tenant,
}

impl Carrier {
    fn may(self, op: Op) -> bool {
        match self {
            Self::Plan => matches!(op, Op::Set | Op::Pin),
            Self::AddOn => matches!(op, Op::Set | Op::Add),
            Self::Tenant => true,
        }
    }

    fn ops(self) -> &'static str {
        match self {
            Self::Plan => "`set` and `pin`",
            Self::AddOn => "`set` and `add`",
            Self::Tenant => "`set`, `pin`, `add`, `revoke` and `mode`",
        }
    }
}

impl std::fmt::Display for Carrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plan => "a plan",
            Self::AddOn => "an add-on",
            Self::Tenant => "a tenant",
        })
    }
}

/// The id of a contribution: its own, or `OP:FEATURE`, or `OP:FEATURE:FROM`.
fn contribution_id(contribution: &Contribution) -> String {
    match (&contribution.id, contribution.from) {
        (Some(id), _) => id.to_string(),
        (None, None) => format!("{}:{}", contribution.op, contribution.feature),
        (None, Some(from)) => format!("{}:{}:{from}", contribution.op, contribution.feature),
    }
}

fn lower_grant(grant: &Grant, check: &mut Check) -> Option<Terms> {
    if let Some((at, bad)) = grant.thresholds.iter().enumerate().find(|(_, percent)| !(1..=1000).contains(*percent)) {
        return check.under("thresholds", |check| {
            check.under(&at.to_string(), |check| {
                check.refuse(
                    DiagnosticCode::ThresholdOutOfRange,
                    format!("threshold {bad} is out of range"),
                    "write a percentage from 1 to 1000",
                )
            })
        });
    }
    let mut thresholds = grant.thresholds.clone();
    thresholds.sort_unstable();
    thresholds.dedup();
    let thresholds = if thresholds.is_empty() { None } else { Some(thresholds.into()) };
    Some(Terms { amount: grant.amount, mode: grant.mode, thresholds })
}

fn lower_add(value: &Value, check: &mut Check) -> Option<u64> {
    let amount: Amount = check.read(value)?;
    match amount.finite() {
        Some(amount) => Some(amount),
        None => check.refuse(
            DiagnosticCode::InvalidValue,
            "`add` needs a finite amount",
            "to lift the limit altogether, `set` it to \"unlimited\"",
        ),
    }
}

fn check_value(value_type: ValueType, value: &Value, check: &mut Check) -> Option<()> {
    // A value built in code may hold what the reader of files refuses.
    check.read::<Value>(value)?;
    let fits = match value_type {
        ValueType::String => value.is_string(),
        ValueType::Integer => value.as_i64().is_some_and(|n| n.unsigned_abs() <= MAX_INTEGER),
        ValueType::Json => true,
    };
    if fits {
        return Some(());
    }
    check.refuse(
        DiagnosticCode::InvalidValue,
        format!("the value is not of type {value_type}"),
        format!("write a value of type {value_type}, or change the feature's `type`"),
    )
}

fn check_price(price: &crate::model::Price, check: &mut Check) {
    let (whole, fraction) = price.amount.split_once('.').unwrap_or((&price.amount, "0"));
    let digits = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 15) || !digits(fraction, 6) {
        check.under("amount", |check| {
            check.refuse::<()>(
                DiagnosticCode::InvalidPrice,
                format!("`{}` is not a price", price.amount),
                "write a decimal as text, such as \"19.500\"",
            )
        });
    }
    if price.currency.len() != 3 || !price.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        check.under("currency", |check| {
            check.refuse::<()>(
                DiagnosticCode::InvalidPrice,
                format!("`{}` is not a currency", price.currency),
                "write an ISO 4217 code, such as \"OMR\"",
            )
        });
    }
}
